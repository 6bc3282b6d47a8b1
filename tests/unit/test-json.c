// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "error.h"
#include "json.h"

static JsonObject *parse(const char *text, guint depth, GError **error)
{
	return ifpp_json_parse((IfppSpan){ (const guint8 *)text, strlen(text) }, depth, error);
}

static void test_accepted(void)
{
	static const char *const good[] = {
		"{}", " {\n}\t", "{\"a\": {\"b\": [1, {}]}}", "{\"[[[[[[\": \"{{{{{{\\\"[[\"}", "{\"a\": \"\\u0041\"}",
	};

	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(JsonObject) object = parse(good[i], 4, &error);

		g_assert_no_error(error);
		g_assert_nonnull(object);
	}
}

static void test_refused(void)
{
	/* "1[]" and the like abort json-glib 1.10 when its parser is not strict. */
	static const char *const bad[] = {
		"", " ", "1", "[]", "null", "\"a\"", "1[]", "1{}", "{}{}", "{} {}", "{}1", "[]{}", "{'a': 1}", "{a: 1}",
		"// {}\n{}", "/* */{}", "{\"a\": 1,}", "{\"a\" 1}", "{\"a\": }", "var a = {};", "{", "}", "{\"a", "{\"a\": \"\\",
		"{\"a\": trve}", "{\"\xff\": 1}", "{\"a\": {\"b\": {\"c\": {\"d\": {}}}}}",
	};

	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		if (parse(bad[i], 4, &error))
			g_error("accepted: %s", bad[i]);
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_JSON);
	}
}

static void test_nul(void)
{
	static const guint8 text[] = "{}\0{}";

	g_assert_null(ifpp_json_parse((IfppSpan){ text, sizeof(text) - 1 }, 4, NULL));
	g_assert_null(ifpp_json_parse((IfppSpan){ text, 0 }, 4, NULL));
	g_assert_null(ifpp_json_parse((IfppSpan){}, 4, NULL));
}

/* A stack would not hold it. */
static void test_deep(void)
{
	g_autofree char *text = g_malloc(1 << 24);
	g_autoptr(GError) error = NULL;

	memset(text, '[', 1 << 24);
	g_assert_null(ifpp_json_parse((IfppSpan){ (guint8 *)text, 1 << 24 }, 16, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_JSON);
}

static void test_members(void)
{
	g_autoptr(JsonObject) o = parse("{\"s\": \"x\", \"i\": 5, \"f\": 5.0, \"n\": null, \"o\": {}, \"a\": [{}, 1],"
					"\"big\": 99999999999999999999}", 4, NULL);
	gint64 i = 7;

	g_assert_nonnull(o);
	g_assert_cmpstr(ifpp_json_get_string(o, "s"), ==, "x");
	g_assert_null(ifpp_json_get_string(o, "i"));
	g_assert_null(ifpp_json_get_string(o, "n"));
	g_assert_null(ifpp_json_get_string(o, "gone"));
	g_assert_nonnull(ifpp_json_get_object(o, "o"));
	g_assert_null(ifpp_json_get_object(o, "a"));
	g_assert_null(ifpp_json_get_object(o, "n"));
	g_assert_nonnull(ifpp_json_get_array(o, "a"));
	g_assert_null(ifpp_json_get_array(o, "o"));
	g_assert_nonnull(ifpp_json_get_element(ifpp_json_get_array(o, "a"), 0));
	g_assert_null(ifpp_json_get_element(ifpp_json_get_array(o, "a"), 1));
	g_assert_true(ifpp_json_is_null(o, "n"));
	g_assert_false(ifpp_json_is_null(o, "gone"));
	g_assert_false(ifpp_json_get_int(o, "f", 0, 9, &i));
	g_assert_false(ifpp_json_get_int(o, "s", 0, 9, &i));
	g_assert_false(ifpp_json_get_int(o, "gone", 0, 9, &i));
	g_assert_false(ifpp_json_get_int(o, "i", 6, 9, &i));
	g_assert_false(ifpp_json_get_int(o, "i", 0, 4, &i));
	g_assert_false(ifpp_json_get_int(o, "big", 0, 9, &i));
	g_assert_cmpint(i, ==, 7);
	g_assert_true(ifpp_json_get_int(o, "i", 5, 5, &i));
	g_assert_cmpint(i, ==, 5);
}

static void test_base64(void)
{
	static const struct {
		const char *text;
		gsize max, len;		/* 0: refused */
	} cases[] = {
		{ "AAEC", 3, 3 }, { "AAEC", 2, 0 }, { "AAE=", 2, 2 }, { "AAE=", 1, 0 }, { "AA==", 1, 1 }, { "AAE", 9, 0 },
		{ "AA=", 9, 0 }, { "AAF=", 9, 0 }, { "AA EC", 9, 0 }, { "AAEC\\n", 9, 0 }, { "AAEC=", 9, 0 }, { "", 9, 0 },
		{ "AA-_", 9, 0 }, { "!!!!", 9, 0 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = g_strdup_printf("{\"b\": \"%s\"}", cases[i].text);
		g_autoptr(JsonObject) o = parse(text, 1, NULL);
		g_autoptr(GBytes) bytes = NULL;

		g_assert_nonnull(o);
		bytes = ifpp_json_get_base64(o, "b", cases[i].max);
		g_assert_cmpuint(bytes ? g_bytes_get_size(bytes) : 0, ==, cases[i].len);
	}
}

static void test_written(void)
{
	static const guint8 eid[16] = { 0x89, 0x04, 0x90, 0x32, 0x12, 0x34, 0x51, 0x23,
					0x45, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x35 };
	JsonBuilder *b = ifpp_json_new("t");
	g_autofree char *text = NULL;

	ifpp_json_string(b, "s", "\"\n");
	ifpp_json_string(b, "n", NULL);
	ifpp_json_int(b, "i", -1);
	ifpp_json_bool(b, "b", TRUE);
	ifpp_json_hex(b, "h", (IfppSpan){ eid, 2 });
	ifpp_json_base64(b, "64", (IfppSpan){ eid, 2 });
	ifpp_json_eid(b, eid);
	text = ifpp_json_text(b);
	g_assert_cmpstr(text, ==, "{\"type\":\"t\",\"s\":\"\\\"\\n\",\"n\":null,\"i\":-1,\"b\":true,\"h\":\"8904\","
			"\"64\":\"iQQ=\",\"eid\":\"89049032123451234512345678901235\"}");
}

static void test_not_utf8(void)
{
	JsonBuilder *b = ifpp_json_new("x");
	g_autofree char *text = NULL;

	ifpp_json_string(b, "file", "a\xff.ifpp");
	text = ifpp_json_text(b);
	g_assert_true(g_utf8_validate(text, -1, NULL));
	g_assert_nonnull(strstr(text, ".ifpp\""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/json/accepted", test_accepted);
	g_test_add_func("/json/refused", test_refused);
	g_test_add_func("/json/nul", test_nul);
	g_test_add_func("/json/deep", test_deep);
	g_test_add_func("/json/members", test_members);
	g_test_add_func("/json/base64", test_base64);
	g_test_add_func("/json/written", test_written);
	g_test_add_func("/json/not-utf8", test_not_utf8);
	return g_test_run();
}
