// SPDX-License-Identifier: GPL-2.0-or-later
/* What a machine knows of the time that its clock does not, and certificates and CRLs of odd years. */
#include <string.h>

#include <glib/gstdio.h>

#include "error.h"
#include "floor.h"
#include "testpki.h"

#define DAY TEST_DAY

static gint64 at(const char *text)
{
	g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(text, NULL);

	g_assert_nonnull(date);
	return g_date_time_to_unix(date);
}

static void expect(IfppTrust *trust, TestId *leaf, gint64 clock, int code)
{
	g_autoptr(GError) error = NULL;
	gboolean ok;

	ifpp_trust_set_time(trust, clock);
	ok = ifpp_trust_verify(trust, test_id_span(leaf), NULL, IFPP_ROLE_DP_PB, &error);
	if (error)
		g_test_message("clock %" G_GINT64_FORMAT ": %s", clock, error->message);
	if (code)
		g_assert_error(error, IFPP_ERROR, code);
	else
		g_assert_no_error(error);
	g_assert_cmpint(ok, ==, !code);
}

/* A PKI that lives 100 days before and after each of these. */
static void test_years(void)
{
	static const char *const years[] = { "2015-06-01T00:00:00Z", "2016-12-31T23:59:59Z", "2028-02-29T12:00:00Z",
					     "2038-01-19T03:14:08Z", "2050-01-01T00:00:00Z", "9999-09-01T00:00:00Z" };

	for (guint i = 0; i < G_N_ELEMENTS(years); i++) {
		gint64 when = at(years[i]);
		g_autoptr(TestPki) pki = NULL;
		g_autoptr(GBytes) crl = NULL;

		test_shift = when - TEST_NOW;
		pki = test_pki_new();
		crl = test_crl_new(pki->ci, NULL, TEST_NOW, TEST_NOW + 50 * DAY);
		test_shift = 0;
		g_test_message("%s", years[i]);
		/* Without anything proven a clock is believed, as ever. */
		expect(pki->trust, pki->dppb, when, 0);
		expect(pki->trust, pki->dppb, 0, IFPP_ERROR_NOT_YET_VALID);
		expect(pki->trust, pki->dppb, when + 101 * DAY, IFPP_ERROR_EXPIRED);
		g_assert_true(ifpp_trust_add_crl(pki->trust, ifpp_span_bytes(crl), NULL));
		/* The CI signed something then. */
		expect(pki->trust, pki->dppb, 0, IFPP_ERROR_TIME_UNKNOWN);
		expect(pki->trust, pki->dppb, when - DAY - 1, IFPP_ERROR_TIME_UNKNOWN);
		expect(pki->trust, pki->dppb, when - DAY, 0);
		expect(pki->trust, pki->dppb, when, 0);
		expect(pki->trust, pki->dppb, when + 51 * DAY, IFPP_ERROR_CRL);
		ifpp_trust_set_floor(pki->trust, 0, NULL, TRUE);
		expect(pki->trust, pki->dppb, 0, 0);
		g_assert_cmpint(ifpp_trust_floor(pki->trust), ==, when);
		g_assert_cmpint(ifpp_trust_seen(pki->trust), ==, when);
		ifpp_trust_set_time(pki->trust, when);
		g_assert_cmpint(ifpp_trust_floor(pki->trust), ==, 0);
	}
}

/* The last second counts, the one after it does not: of a day with a leap second, of 2049, of all years. */
static void test_last_second(void)
{
	static const char *const ends[] = { "2016-12-31T23:59:59Z", "2038-01-19T03:14:07Z", "2049-12-31T23:59:59Z",
					    "9999-12-31T23:59:59Z" };

	for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
		gint64 end = at(ends[i]);
		TestSpec ci = test_spec_ci, dppb = test_spec_dppb;
		g_autoptr(TestId) root = NULL, leaf = NULL;
		g_autoptr(IfppTrust) trust = ifpp_trust_new();

		ci.from = dppb.from = end - 100 * DAY;
		ci.to = dppb.to = end;
		root = test_id_new(&ci, NULL);
		leaf = test_id_new(&dppb, root);
		g_assert_true(ifpp_trust_add_root(trust, test_id_span(root), NULL));
		expect(trust, leaf, end, 0);
		expect(trust, leaf, end + 1, IFPP_ERROR_EXPIRED);
	}
}

/* What is wrong whatever the time is, or was over at the floor, is not a matter of the clock. */
static void test_not_the_clock(void)
{
	g_autoptr(TestPki) pki = test_pki_new(), other = test_pki_new();
	g_autoptr(GBytes) revokes = test_crl_new(pki->ci, pki->dppb, TEST_NOW, TEST_NOW + DAY);

	ifpp_trust_set_floor(pki->trust, TEST_NOW, "a test", FALSE);
	expect(pki->trust, pki->dppb, 0, IFPP_ERROR_TIME_UNKNOWN);
	expect(pki->trust, other->dppb, 0, IFPP_ERROR_CHAIN);
	expect(pki->trust, pki->eum, 0, IFPP_ERROR_ROLE);
	ifpp_trust_set_floor(pki->trust, TEST_NOW + 101 * DAY, "a test", TRUE);
	expect(pki->trust, pki->dppb, 0, IFPP_ERROR_EXPIRED);
	g_assert_true(ifpp_trust_add_crl(other->trust, ifpp_span_bytes(revokes), NULL));
	/* A CRL that nobody proves tells no time. */
	expect(other->trust, other->dppb, 0, IFPP_ERROR_NOT_YET_VALID);
}

/* A certificate that begins next year proves nothing, and what was believed never lies after now. */
static void test_seen(void)
{
	g_autoptr(TestPki) pki = test_pki_new();
	TestSpec spec = test_spec_dppb;
	g_autoptr(TestId) next = NULL, newest = NULL;

	spec.from = TEST_NOW + 30 * DAY;
	next = test_id_new(&spec, pki->ci);
	spec.from = TEST_NOW - DAY;
	newest = test_id_new(&spec, pki->ci);
	g_assert_cmpint(ifpp_trust_seen(pki->trust), ==, 0);
	expect(pki->trust, next, TEST_NOW, IFPP_ERROR_NOT_YET_VALID);
	g_assert_cmpint(ifpp_trust_seen(pki->trust), ==, 0);
	expect(pki->trust, newest, TEST_NOW, 0);
	g_assert_cmpint(ifpp_trust_seen(pki->trust), ==, TEST_NOW - DAY);
}

static void test_file(void)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-XXXXXX", NULL), *sub = g_build_filename(dir, "clock", NULL);
	g_autofree char *path = g_build_filename(sub, "floor", NULL), *text = NULL;
	static const char *const bad[] = { "", "\n", "2026", "2026-13-01T00:00:00Z", "a long line that is no date and longer than one" };
	gint64 floor = 7, first = at("2026-11-28T20:31:24Z");
	g_autoptr(GError) error = NULL;

	g_assert_true(ifpp_floor_read(path, &floor, NULL));
	g_assert_cmpint(floor, ==, 0);
	g_assert_true(ifpp_floor_write(path, first, &error));
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "2026-11-28T20:31:24Z\n");
	/* It never falls, and flash is not worn out for hours. */
	g_assert_true(ifpp_floor_write(path, first - DAY, NULL));
	g_assert_true(ifpp_floor_write(path, first + DAY - 1, NULL));
	g_assert_true(ifpp_floor_read(path, &floor, NULL));
	g_assert_cmpint(floor, ==, first);
	g_assert_true(ifpp_floor_write(path, first + DAY, NULL));
	g_assert_true(ifpp_floor_read(path, &floor, NULL));
	g_assert_cmpint(floor, ==, first + DAY);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) why = NULL;

		g_assert_true(g_file_set_contents(path, bad[i], -1, NULL));
		g_assert_false(ifpp_floor_read(path, &floor, &why));
		g_assert_error(why, IFPP_ERROR, IFPP_ERROR_IO);
		g_assert_cmpint(floor, ==, 0);
		g_assert_true(ifpp_floor_write(path, first, NULL));
		g_assert_true(ifpp_floor_read(path, &floor, NULL));
		g_assert_cmpint(floor, ==, first);
	}
	g_assert_cmpint(ifpp_floor_built(), >, at("2025-01-01T00:00:00Z"));
	g_assert_cmpint(g_unlink(path), ==, 0);
	g_assert_cmpint(g_rmdir(sub), ==, 0);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/floor/years_1970_2015_leap_2038_2050_9999", test_years);
	g_test_add_func("/floor/last_second", test_last_second);
	g_test_add_func("/floor/not_the_clock", test_not_the_clock);
	g_test_add_func("/floor/seen", test_seen);
	g_test_add_func("/floor/file", test_file);
	return g_test_run();
}
