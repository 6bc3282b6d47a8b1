// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "eid.h"
#include "error.h"

static void test_eid(void)
{
	/* SGP.26's test EID, and one whose check digits we worked out by hand */
	static const char *const good[] = {"89049032123451234512345678901235",
					   "12345000000000000000000000000186"};
	static const char *const bad[] = {"",
					  "8904903212345123451234567890123",
					  "890490321234512345123456789012355",
					  "8904903212345123451234567890123a",
					  "89049032123451234512345678901335",
					  "98049032123451234512345678901235",
					  " 9049032123451234512345678901235"};
	guint8 eid[16];
	char text[33];

	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(ifpp_eid_parse(good[i], eid, &error));
		g_assert_no_error(error);
		g_assert_true(ifpp_eid_valid(eid));
		ifpp_eid_format(eid, text);
		g_assert_cmpstr(text, ==, good[i]);
		memcpy(text + 30, "00", 2);
		ifpp_eid_check_digits(text);
		g_assert_cmpstr(text, ==, good[i]);
	}
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(ifpp_eid_parse(bad[i], eid, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EID);
	}

	g_assert_true(ifpp_eid_parse(good[0], eid, NULL));
	g_assert_cmphex(eid[0], ==, 0x89);
	g_assert_cmphex(eid[15], ==, 0x35);
	ifpp_eid_mask(eid, text);
	g_assert_cmpstr(text, ==, "89049032......................35");
	/* No changed digit goes unnoticed. */
	for (int i = 0; i < 16; i++) {
		eid[i] ^= 0x10;
		g_assert_false(ifpp_eid_valid(eid));
		eid[i] ^= 0x10;
	}
}

static void test_iccid(void)
{
	static const struct {
		const char *text;
		guint8 bytes[10];
		const char *masked;
	} good[] = {
		{ "89000123456789012341", { 0x98, 0, 0x10, 0x32, 0x54, 0x76, 0x98, 0x10, 0x32, 0x14 },
		  "890001............41" },
		{ "8949449999999990023", { 0x98, 0x94, 0x44, 0x99, 0x99, 0x99, 0x99, 0x09, 0x20, 0xF3 },
		  "894944...........23" },
		{ "894944999999999002", { 0x98, 0x94, 0x44, 0x99, 0x99, 0x99, 0x99, 0x09, 0x20, 0xFF },
		  "894944..........02" },
	};
	static const char *const bad[] = {"", "89494499999999900", "890001234567890123411",
					  "8949449999999990O23"};
	guint8 iccid[10];
	char text[21];

	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_true(ifpp_iccid_parse(good[i].text, iccid, NULL));
		g_assert_cmpmem(iccid, 10, good[i].bytes, 10);
		ifpp_iccid_format(iccid, text);
		g_assert_cmpstr(text, ==, good[i].text);
		ifpp_iccid_mask(iccid, text);
		g_assert_cmpstr(text, ==, good[i].masked);
	}
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(ifpp_iccid_parse(bad[i], iccid, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_ICCID);
	}
	memset(iccid, 0xFF, sizeof(iccid));
	ifpp_iccid_mask(iccid, text);
	g_assert_cmpstr(text, ==, "");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/eid", test_eid);
	g_test_add_func("/iccid", test_iccid);
	return g_test_run();
}
