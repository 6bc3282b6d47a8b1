// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "error.h"
#include "file.h"
#include "report-file.h"

#define UNITS 40
#define LONG 200000	/* bytes of one unit: several reads */

static gboolean put_units(IfppReportWriter *writer, gpointer user, GError **error)
{
	g_autofree char *filling = g_strnfill(LONG, 'x');
	JsonBuilder *b;

	for (guint i = 0; i < UNITS; i++) {
		b = ifpp_json_new(NULL);
		ifpp_json_int(b, "number", i);
		if (i == UNITS / 2)
			ifpp_json_string(b, "filling", filling);
		if (!ifpp_report_put_unit(writer, b, error))
			return FALSE;
	}
	b = ifpp_json_new(NULL);
	json_builder_set_member_name(b, "totals");
	json_builder_begin_object(b);
	ifpp_json_int(b, "units", UNITS);
	json_builder_end_object(b);
	return ifpp_report_put_end(writer, b, error);
}

/* Bytes of a whole report; in the file, too. */
static GBytes *make_report(void)
{
	GError *error = NULL;
	GBytes *bytes;

	g_assert_true(ifpp_report_write("report", 0600, "NOW", put_units, NULL, &error));
	g_assert_no_error(error);
	bytes = ifpp_file_read("report", 1 << 24, &error);
	g_assert_no_error(error);
	return bytes;
}

static gboolean count(JsonObject *unit, const char *wrong, gpointer user, GError **error)
{
	guint *n = user;
	gint64 number = -1;

	g_assert_null(wrong);
	g_assert_true(ifpp_json_get_int(unit, "number", 0, UNITS, &number));
	g_assert_cmpint(number, ==, *n);
	(*n)++;
	return TRUE;
}

static void put(const void *data, gsize len)
{
	g_assert_true(g_file_set_contents("report", data, len, NULL));
}

static void refused(int code, const char *says)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(ifpp_report_open("report", &error));
	g_assert_error(error, IFPP_ERROR, code);
	if (!strstr(error->message, says))
		g_error("\"%s\" does not say \"%s\"", error->message, says);
	g_assert_null(strchr(error->message, '\n'));
}

static void test_whole(void)
{
	g_autoptr(GBytes) bytes = make_report();
	g_autoptr(IfppReport) report = NULL;
	g_autoptr(GError) error = NULL;
	guint8 hash[48], want[48];
	gint64 units = 0;
	guint n = 0;

	report = ifpp_report_open("report", &error);
	g_assert_no_error(error);
	/* as often as one likes */
	for (guint i = 0; i < 2; i++, n = 0) {
		g_assert_true(ifpp_report_foreach(report, count, &n, &error));
		g_assert_no_error(error);
		g_assert_cmpuint(n, ==, UNITS);
	}
	g_assert_true(ifpp_json_get_int(ifpp_report_totals(report), "units", 0, 1000, &units));
	g_assert_cmpint(units, ==, UNITS);
	g_assert_true(ifpp_report_hash(report, GNUTLS_DIG_SHA384, hash, &error));
	gnutls_hash_fast(GNUTLS_DIG_SHA384, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), want);
	g_assert_cmpmem(hash, sizeof(hash), want, sizeof(want));
}

/* Wherever it was cut: also between two lines. */
static void test_cut(void)
{
	g_autoptr(GBytes) bytes = make_report();
	gsize len = g_bytes_get_size(bytes), head;
	const char *text = g_bytes_get_data(bytes, NULL);

	head = (const char *)memchr(text, '\n', len) + 1 - text;
	for (gsize n = head; n < len; n += n < head + 200 || n > len - 200 || text[n] == '\n' ? 1 : 997) {
		put(text, n);
		refused(IFPP_ERROR_JSON, "cut off on its way");
	}
	put(text, head - 1);
	refused(IFPP_ERROR_JSON, "not a Profile Loading Report");
	put(text, 0);
	refused(IFPP_ERROR_JSON, "empty");
	/* what follows the end */
	{
		g_autofree char *more = g_malloc(len + head);

		memcpy(more, text, len);
		memcpy(more + len, text, head);
		put(more, len + head);
		refused(IFPP_ERROR_JSON, "cut off on its way");
	}
}

static void test_altered(void)
{
	g_autoptr(GBytes) bytes = make_report();
	gsize len = g_bytes_get_size(bytes);
	g_autofree char *text = g_memdup2(g_bytes_get_data(bytes, NULL), len), *line = g_memdup2(text, len);
	char *at = strstr(text, "{\"number\":17");

	/* it is the 19th line, after that which says what it is */
	line[at - text] = '(';
	put(line, len);
	refused(IFPP_ERROR_JSON, "report: line 19: not JSON");
	/* still JSON: where, cannot be told */
	at[strlen("{\"number\":1")] = '8';
	put(text, len);
	refused(IFPP_ERROR_JSON, "another SHA-256");
}

/* In place, behind what was read. */
static gboolean change(JsonObject *unit, const char *wrong, gpointer user, GError **error)
{
	int fd = g_open("report", O_WRONLY | O_CLOEXEC, 0);
	gsize *len = user;

	g_assert_cmpint(pwrite(fd, "0", 1, *len - strlen("0123456789\"}\n")), ==, 1);
	close(fd);
	return TRUE;
}

/* Somebody writes a wrong line and the right digest: it is told, and does not end the reading. */
static gboolean note_wrong(JsonObject *unit, const char *wrong, gpointer user, GError **error)
{
	if (wrong)
		g_string_append(user, wrong);
	return TRUE;
}

static void test_wrong_line(void)
{
	static const char lines[] = "{\"format\":\"ifpp-report\",\"version\":3}\n[]\n\n{\"eid\":1}\n";
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lines, -1);
	g_autofree char *text = g_strdup_printf("%s{\"totals\":{},\"sha256\":\"%s\"}\n", lines, sum);
	g_autoptr(GString) said = g_string_new(NULL);
	g_autoptr(IfppReport) report = NULL;
	g_autoptr(GError) error = NULL;

	put(text, strlen(text));
	report = ifpp_report_open("report", &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_report_foreach(report, note_wrong, said, &error));
	g_assert_true(g_str_has_prefix(said->str, "line 2: not a JSON objectline 3: not JSON"));
}

static void test_changed_meanwhile(void)
{
	g_autoptr(GBytes) bytes = make_report();
	g_autoptr(IfppReport) report = NULL;
	g_autoptr(GError) error = NULL;
	gsize len = g_bytes_get_size(bytes);
	const char *text = g_bytes_get_data(bytes, NULL);

	/* the digit that change() makes 0 must not be 0 */
	while (text[len - strlen("0123456789\"}\n")] == '0')
		len--;
	report = ifpp_report_open("report", &error);
	g_assert_no_error(error);
	g_assert_false(ifpp_report_foreach(report, change, &len, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
}

static void test_versions(void)
{
	static const char before[] = "{\"format\":\"ifpp-report\",\"version\":2,\n\"units\":[{\"number\":0},{\"number\":1}]}";
	static const char totals[] = "{\"format\":\"ifpp-report\",\"version\":1,\"units\":[7],\"totals\":{}}\n";
	g_autoptr(IfppReport) report = NULL, old = NULL;
	g_autoptr(GString) said = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	guint8 hash[32], want[32];
	guint n = 0;

	put(before, strlen(before));
	report = ifpp_report_open("report", &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_report_foreach(report, count, &n, &error));
	g_assert_cmpuint(n, ==, 2);
	g_assert_null(ifpp_report_totals(report));
	g_assert_true(ifpp_report_hash(report, GNUTLS_DIG_SHA256, hash, &error));
	gnutls_hash_fast(GNUTLS_DIG_SHA256, before, strlen(before), want);
	g_assert_cmpmem(hash, 32, want, 32);

	put(totals, strlen(totals));
	old = ifpp_report_open("report", &error);
	g_assert_no_error(error);
	g_assert_nonnull(ifpp_report_totals(old));
	g_assert_true(ifpp_report_foreach(old, note_wrong, said, &error));
	g_assert_cmpstr(said->str, ==, "unit 1: not an object");

	put("{\"format\":\"ifpp-report\",\"version\":4}\n{}\n", strlen("{\"format\":\"ifpp-report\",\"version\":4}\n{}\n"));
	refused(IFPP_ERROR_JSON, "not a Profile Loading Report of version 1 to 3");
	put("{\"format\":\"ifpp-report\",\"version\":4,\"units\":[]}\n", strlen("{\"format\":\"ifpp-report\",\"version\":4,\"units\":[]}\n"));
	refused(IFPP_ERROR_JSON, "not a Profile Loading Report of version 1 to 3");
}

int main(int argc, char **argv)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-report-XXXXXX", NULL);
	int ret;

	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(g_chdir(dir), ==, 0);
	g_test_add_func("/report-file/whole", test_whole);
	g_test_add_func("/report-file/report_cut_off", test_cut);
	g_test_add_func("/report-file/report_altered_line_named", test_altered);
	g_test_add_func("/report-file/wrong-line", test_wrong_line);
	g_test_add_func("/report-file/changed-meanwhile", test_changed_meanwhile);
	g_test_add_func("/report-file/versions", test_versions);
	ret = g_test_run();
	g_unlink("report");
	g_rmdir(dir);
	return ret;
}
