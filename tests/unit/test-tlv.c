// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "error.h"
#include "tlv.h"

static IfppSpan unhex(const char *text, GBytes **keep)
{
	*keep = ifpp_unhex(text);
	g_assert_nonnull(*keep);
	return ifpp_span_bytes(*keep);
}

static void good(const char *text, guint32 tag, gsize value_len, gsize rest)
{
	g_autoptr(GBytes) keep = NULL;
	IfppSpan in = unhex(text, &keep);
	gsize all = in.len, hdr, len;
	GError *error = NULL;
	guint32 t;
	IfppTlv tlv;

	g_assert_true(ifpp_tlv_header(in, &t, &hdr, &len, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(t, ==, tag);
	g_assert_cmpuint(len, ==, value_len);
	g_assert_true(ifpp_tlv_next(&in, &tlv, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(tlv.tag, ==, tag);
	g_assert_cmpuint(tlv.value.len, ==, value_len);
	g_assert_cmpuint(tlv.whole.len, ==, hdr + len);
	g_assert_true(tlv.value.data == tlv.whole.data + hdr);
	g_assert_cmpuint(in.len, ==, rest);
	g_assert_cmpuint(tlv.whole.len + in.len, ==, all);
}

static void bad(const char *text, const char *why)
{
	g_autoptr(GBytes) keep = NULL;
	g_autoptr(GError) error = NULL;
	IfppSpan in = unhex(text, &keep), before = in;
	IfppTlv tlv;

	g_assert_false(ifpp_tlv_next(&in, &tlv, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TLV);
	g_assert_nonnull(strstr(error->message, why));
	g_assert_true(in.data == before.data && in.len == before.len);
}

static void test_next(void)
{
	g_autofree char *long_form = NULL;
	char zeros[2 * 300 + 1];

	good("5a00", 0x5A, 0, 0);
	good("5a01ff05", 0x5A, 1, 1);
	good("5f370212349000", 0x5F37, 2, 2);
	good("bf230100", 0xBF23, 1, 0);
	good("bf1f00", 0xBF1F, 0, 0);
	good("bf810000", 0xBF8100, 0, 0);	/* tag number 128 */

	memset(zeros, '0', sizeof(zeros) - 1);
	zeros[2 * 128] = '\0';
	long_form = g_strconcat("048180", zeros, "aa", NULL);
	good(long_form, 0x04, 128, 1);
	memset(zeros, '0', sizeof(zeros) - 1);
	zeros[2 * 300] = '\0';
	g_free(long_form);
	long_form = g_strconcat("0482012c", zeros, NULL);
	good(long_form, 0x04, 300, 0);
}

static void test_refused(void)
{
	bad("", "nothing where a tag");
	bad("0000", "tag 00");
	bad("5a", "before the length");
	bad("5a02ff", "says 2 bytes, 1 are there");
	bad("bf", "truncated in the tag");
	bad("bf81", "truncated in the tag");
	bad("bf81818100", "more than three bytes");
	bad("bf1e00", "tag that is not minimal");
	bad("bf800100", "tag that is not minimal");
	bad("3080", "indefinite");
	bad("30807f0000", "indefinite");
	bad("307f", "says 127");
	bad("30810100", "length that is not minimal");
	bad("30817f", "length that is not minimal");
	bad("308200ff00", "length that is not minimal");
	bad("3082", "truncated in the length");
	bad("308500000000010000", "more than four");
	bad("3084ffffffff00", "says 4294967295");
	bad("30ff", "more than four");
}

static void test_members(void)
{
	g_autoptr(GBytes) keep = NULL;
	g_autoptr(GBytes) broken = NULL;
	g_autoptr(GError) error = NULL;
	IfppSpan in = unhex("80010181020203", &keep), part = in;
	IfppTlv tlv;

	g_assert_true(ifpp_tlv_find(in, 0x81, &tlv));
	g_assert_cmpuint(tlv.value.len, ==, 2);
	g_assert_false(ifpp_tlv_find(in, 0x82, &tlv));
	g_assert_false(ifpp_tlv_find(unhex("800101810502", &broken), 0x80, &tlv));

	g_assert_false(ifpp_tlv_take(&part, 0x81, &tlv));
	g_assert_cmpuint(part.len, ==, 7);
	g_assert_true(ifpp_tlv_take(&part, 0x80, &tlv));
	g_assert_cmpuint(part.len, ==, 4);

	g_assert_false(ifpp_tlv_expect(&part, 0x82, "thing", &tlv, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TLV);
	g_assert_cmpstr(error->message, ==, "thing: tag 81 where 82 should be");
	g_assert_cmpuint(part.len, ==, 4);
	g_clear_error(&error);
	g_assert_true(ifpp_tlv_expect(&part, 0x81, "thing", &tlv, &error));
	g_assert_no_error(error);
	g_assert_false(ifpp_tlv_expect(&part, 0x82, "thing", &tlv, &error));
	g_assert_cmpstr(error->message, ==, "thing (tag 82) is missing");
}

static void test_uint(void)
{
	static const guint64 values[] = { 0, 1, 127, 128, 255, 256, 32767, 32768, G_MAXINT64,
					  (guint64)G_MAXINT64 + 1, G_MAXUINT64 };
	static const char *const wrong[] = {"0200",
					    "020180",
					    "02020001",
					    "0202007f",
					    "0209010000000000000000",
					    "020a00800000000000000000"};
	g_autoptr(GByteArray) out = g_byte_array_new();
	guint64 value;
	IfppTlv tlv;

	for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
		IfppSpan in;

		g_byte_array_set_size(out, 0);
		ifpp_tlv_put_uint(out, 0x02, values[i]);
		in = (IfppSpan){ out->data, out->len };
		g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
		g_assert_true(ifpp_tlv_uint(&tlv, &value, NULL));
		g_assert_cmpuint(value, ==, values[i]);
	}
	for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GBytes) keep = NULL;
		g_autoptr(GError) error = NULL;
		IfppSpan in = unhex(wrong[i], &keep);

		g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
		g_assert_false(ifpp_tlv_uint(&tlv, &value, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TLV);
	}
}

/* Every length at which the encoding changes, and tags of one to three bytes, come back the same. */
static void test_round_trip(void)
{
	static const gsize lens[] = { 0, 1, 127, 128, 255, 256, 65535, 65536 };
	static const guint32 tags[] = { 0x04, 0x5A, 0x5F37, 0xBF36, 0xFF21, 0xBF8101 };
	g_autofree guint8 *value = g_malloc0(65536);

	for (guint i = 0; i < G_N_ELEMENTS(lens); i++) {
		for (guint j = 0; j < G_N_ELEMENTS(tags); j++) {
			g_autoptr(GByteArray) out = g_byte_array_new();
			IfppSpan in;
			IfppTlv tlv;

			ifpp_tlv_put(out, tags[j], value, lens[i]);
			in = (IfppSpan){ out->data, out->len };
			g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
			g_assert_cmpuint(tlv.tag, ==, tags[j]);
			g_assert_cmpuint(tlv.value.len, ==, lens[i]);
			g_assert_cmpuint(in.len, ==, 0);
		}
	}
}

static void test_hex(void)
{
	g_autoptr(GBytes) bytes = ifpp_unhex("00aBfF");
	g_autofree char *text = ifpp_hex(ifpp_span_bytes(bytes));
	guint8 out[3] = { 0 };

	g_assert_cmpstr(text, ==, "00abff");
	g_assert_null(ifpp_unhex("0"));
	g_assert_null(ifpp_unhex("0g"));
	g_assert_null(ifpp_unhex("00 1"));
	g_assert_null(ifpp_unhex("0x"));

	g_assert_true(ifpp_unhex_into("00aBfF", out, 3));
	g_assert_cmpmem(out, 3, "\x00\xab\xff", 3);
	g_assert_true(ifpp_unhex_into("", out, 0));
	for (const char *const *wrong = (const char *const[]){ "", "00ab", "00abf", "00abff0", "00abff00", "00abf/", "00abf:",
							       "00abf@", "00abfG", "00abf`", "00abfg", NULL }; *wrong; wrong++)
		g_assert_false(ifpp_unhex_into(*wrong, out, 3));
	g_assert_false(ifpp_unhex_into(NULL, out, 0));
}

static void test_base64(void)
{
	static const char *const wrong[] = { "", "!", "AA", "AAA", "AAAA=", "AB==", "AA==\n", " AA==", "AA==AA==", "AA-_", "====" };
	g_autoptr(GBytes) bytes = ifpp_unbase64("AKv/");
	static const guint8 want[] = { 0x00, 0xab, 0xff };

	g_assert_true(ifpp_span_equal(ifpp_span_bytes(bytes), IFPP_SPAN(want)));
	g_assert_null(ifpp_unbase64(NULL));
	for (guint i = 0; i < G_N_ELEMENTS(wrong); i++)
		g_assert_null(ifpp_unbase64(wrong[i]));
}

static void test_error(void)
{
	GError *error;
	GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

	/* Every code has a name of its own and a hint: the table in error.c is complete. */
	for (int code = IFPP_ERROR_HEADER; code <= IFPP_ERROR_INTERNAL; code++) {
		const char *name = ifpp_error_name(code);

		g_assert_cmpstr(name, !=, "unknown");
		g_assert_true(g_hash_table_add(names, (gpointer)name));
		g_assert_cmpuint(strlen(ifpp_error_hint(code)), >, 0);
	}
	g_hash_table_unref(names);
	g_assert_cmpstr(ifpp_error_name(255), ==, "unknown");
	g_assert_nonnull(ifpp_error_hint(255));

	if (g_test_subprocess()) {
		error = g_error_new(IFPP_ERROR, IFPP_ERROR_USAGE, "a\nthing: is wrong.");
		g_assert_cmpint(ifpp_error_exit("prog", error), ==, IFPP_EXIT_USAGE);
		g_error_free(error);
		return;
	}
	g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
	g_test_trap_assert_passed();
	g_test_trap_assert_stderr("prog: a thing: is wrong. See --help.\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tlv/next", test_next);
	g_test_add_func("/tlv/refused", test_refused);
	g_test_add_func("/tlv/members", test_members);
	g_test_add_func("/tlv/uint", test_uint);
	g_test_add_func("/tlv/round-trip", test_round_trip);
	g_test_add_func("/tlv/hex", test_hex);
	g_test_add_func("/tlv/base64", test_base64);
	g_test_add_func("/error", test_error);
	return g_test_run();
}
