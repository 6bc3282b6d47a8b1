// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "testpki.h"

static TestPki *pki;

/* @bytes with one byte changed. */
static GBytes *flip(GBytes *bytes, gsize at, guint8 mask)
{
	gsize len;
	guint8 *copy = g_memdup2(g_bytes_get_data(bytes, &len), g_bytes_get_size(bytes));

	copy[at] ^= mask;
	return g_bytes_new_take(copy, len);
}

static void test_factory_info(void)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	g_autoptr(GBytes) bytes = NULL;
	GError *error = NULL;
	TestId *keys[3];
	guint8 eid[16], other[16] = { 0 }, key_id[32], point[65];
	const IfppOtk *otk;

	test_eid(eid);
	bytes = test_factory_info_new(pki, 3, keys);
	info = ifpp_factory_info_parse(ifpp_span_bytes(bytes), &error);
	g_assert_no_error(error);
	g_assert_cmpuint(info->keys->len, ==, 3);
	g_assert_cmpuint(info->state, ==, 0);
	g_assert_true(ifpp_factory_info_verify(info, eid, pki->trust, &error));
	g_assert_no_error(error);

	test_id_point(keys[1], point);
	ifpp_key_id(point, key_id);
	otk = ifpp_factory_info_find(info, key_id);
	g_assert_nonnull(otk);
	g_assert_cmpmem(otk->point, 65, point, 65);
	key_id[0] ^= 1;
	g_assert_null(ifpp_factory_info_find(info, key_id));

	g_assert_false(ifpp_factory_info_verify(info, other, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_WRONG_EID);
	g_clear_error(&error);
	g_array_index(info->keys, IfppOtk, 2).attestation[5] ^= 1;
	g_assert_false(ifpp_factory_info_verify(info, eid, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_ATTESTATION);
	g_clear_error(&error);
	g_array_index(info->keys, IfppOtk, 2).point[64] ^= 1;
	g_assert_false(ifpp_factory_info_verify(info, eid, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_POINT);
	g_clear_error(&error);
	for (int i = 0; i < 3; i++)
		test_id_free(keys[i]);
}

/* Nothing in a full export can be changed without notice, except the numbers that nobody signs. */
static void test_factory_info_flips(void)
{
	g_autoptr(GBytes) bytes = NULL;
	guint accepted = 0;
	guint8 eid[16];
	TestId *key;

	test_eid(eid);
	bytes = test_factory_info_new(pki, 1, &key);
	for (gsize i = 0; i < g_bytes_get_size(bytes); i++) {
		g_autoptr(GBytes) changed = flip(bytes, i, 1 << i % 8);
		g_autoptr(IfppFactoryInfo) info = ifpp_factory_info_parse(ifpp_span_bytes(changed), NULL);

		if (info && ifpp_factory_info_verify(info, eid, pki->trust, NULL)) {
			/* state or spent count */
			g_assert_true(info->state != 0 || info->spent != 0);
			accepted++;
		}
	}
	g_assert_cmpuint(accepted, <=, 2);
	test_id_free(key);
}

static void test_factory_info_short(void)
{
	static const char *const bad[] = {
		"ff2100",
		"ff210b800101810100a20083010300",
		"ff210b800104810100a200830103",			/* codec 4 */
		"ff210b800100810100a200830103",			/* codec 0 */
		"ff210b800101810103a200830103",			/* no such state */
		"ff210d800101810100a202300083010300",
		"ff210b8001018101ffa200830103",
		"ff210a8101008101a200830103",
	};
	g_autoptr(GBytes) good = ifpp_unhex("ff210b800101810102a200830103");
	g_autoptr(IfppFactoryInfo) info = ifpp_factory_info_parse(ifpp_span_bytes(good), NULL);
	guint8 eid[16];
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(info);
	g_assert_cmpuint(info->state, ==, 2);
	g_assert_cmpuint(info->spent, ==, 3);
	test_eid(eid);
	g_assert_false(ifpp_factory_info_verify(info, eid, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GBytes) bytes = ifpp_unhex(bad[i]);

		g_test_message("%s", bad[i]);
		g_assert_null(ifpp_factory_info_parse(ifpp_span_bytes(bytes), NULL));
	}
}

static void test_euicc_data(void)
{
	g_autoptr(GBytes) bf22 = ifpp_unhex("bf2205810301020399"), bf22_ok = ifpp_unhex("bf22058103010203");
	g_autoptr(GBytes) ff21 = NULL;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GBytes) bad = NULL;
	IfppSpan a, b;
	GError *error = NULL;
	guint8 eid[16], out[16];
	TestId *key;

	test_eid(eid);
	ff21 = test_factory_info_new(pki, 1, &key);
	file = ifpp_euicc_data_build(eid, ifpp_span_bytes(ff21), ifpp_span_bytes(bf22_ok));
	g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(file), out, &a, &b, &error));
	g_assert_no_error(error);
	g_assert_cmpmem(eid, 16, out, 16);
	g_assert_true(ifpp_span_equal(a, ifpp_span_bytes(ff21)));
	g_assert_true(ifpp_span_equal(b, ifpp_span_bytes(bf22_ok)));

	bad = ifpp_euicc_data_build(eid, ifpp_span_bytes(ff21), ifpp_span_bytes(bf22));
	g_assert_false(ifpp_euicc_data_parse(ifpp_span_bytes(bad), out, &a, &b, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA);
	g_clear_error(&error);
	g_bytes_unref(bad);
	eid[0] ^= 0x10;
	bad = ifpp_euicc_data_build(eid, ifpp_span_bytes(ff21), ifpp_span_bytes(bf22_ok));
	g_assert_false(ifpp_euicc_data_parse(ifpp_span_bytes(bad), out, &a, &b, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA);
	g_clear_error(&error);
	test_id_free(key);
}

static void test_pir(void)
{
	g_autoptr(GBytes) good = test_pir_new(pki->euicc, TRUE);
	g_autoptr(GBytes) bad = test_pir_new(pki->euicc, FALSE);
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(IfppPir) failed = NULL;
	GError *error = NULL;

	g_assert_cmpuint(g_bytes_get_size(good), ==, 167);
	pir = ifpp_pir_parse(good, &error);
	g_assert_no_error(error);
	g_assert_true(pir->success);
	g_assert_cmpuint(pir->reason, ==, 0);
	g_assert_cmpuint(pir->seq, ==, 1);
	g_assert_cmpstr(pir->address, ==, "f.example.com");
	g_assert_cmpuint(pir->aid.len, ==, 16);
	g_assert_cmpuint(pir->iccid.len, ==, 10);
	g_assert_true(ifpp_pir_verify(pir, test_id_span(pki->euicc), &error));
	g_assert_no_error(error);
	g_assert_false(ifpp_pir_verify(pir, test_id_span(pki->eum), &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_PIR_SIGNATURE);
	g_clear_error(&error);

	failed = ifpp_pir_parse(bad, &error);
	g_assert_no_error(error);
	g_assert_false(failed->success);
	g_assert_cmpuint(failed->reason, ==, 2);
	g_assert_cmpuint(failed->command_id, ==, 0);
	g_assert_true(ifpp_pir_verify(failed, test_id_span(pki->euicc), &error));

	g_assert_cmpstr(ifpp_pir_reason_name(0), ==, "ok");
	g_assert_cmpstr(ifpp_pir_reason_name(11), ==, "interruption");
	g_assert_cmpstr(ifpp_pir_reason_name(15), ==, "ppr-not-allowed");
	g_assert_cmpstr(ifpp_pir_reason_name(16), ==, "unknown");
	g_assert_cmpstr(ifpp_pir_reason_name(31), ==, "insufficient-minimum-security-level");
	g_assert_cmpstr(ifpp_pir_reason_name(32), ==, "server-address-not-allowed");
	g_assert_cmpstr(ifpp_pir_reason_name(33), ==, "unknown");
	g_assert_cmpstr(ifpp_pir_reason_name(127), ==, "unknown-error");

	/* Every single-byte change, every truncation */
	for (gsize i = 0; i < g_bytes_get_size(good); i++) {
		for (guint mask = 1; mask < 256; mask++) {
			g_autoptr(GBytes) changed = flip(good, i, mask);
			g_autoptr(IfppPir) p = ifpp_pir_parse(changed, NULL);

			if (mask == 1) {
				g_autoptr(GBytes) cut = g_bytes_new(g_bytes_get_data(good, NULL), i);

				g_assert_null(ifpp_pir_parse(cut, NULL));
			}
			/* A signature check costs time: where it alone decides, a few masks will do. */
			if (p && (mask & (mask - 1)) == 0)
				g_assert_false(ifpp_pir_verify(p, test_id_span(pki->euicc), NULL));
		}
	}
}

static void test_receipt(void)
{
	guint8 eid[16], challenge[16] = { 1, 2, 3 }, other[16] = { 9 };
	g_autoptr(GBytes) good = NULL;
	GError *error = NULL;
	IfppReceipt receipt;
	IfppSpan cert = test_id_span(pki->euicc);

	test_eid(eid);
	good = test_receipt_new(pki->euicc, eid, challenge);
	g_assert_true(ifpp_receipt_verify(ifpp_span_bytes(good), cert, eid, challenge, &receipt, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(receipt.lock_counter, ==, 1);
	g_assert_cmpuint(receipt.spent, ==, 3);
	g_assert_true(ifpp_receipt_verify(ifpp_span_bytes(good), cert, eid, NULL, NULL, NULL));

	g_assert_false(ifpp_receipt_verify(ifpp_span_bytes(good), cert, eid, other, NULL, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT);
	g_assert_cmpstr(error->message, ==, "lock receipt: answers another challenge");
	g_clear_error(&error);
	g_assert_false(ifpp_receipt_verify(ifpp_span_bytes(good), cert, other, challenge, NULL, &error));
	g_assert_cmpstr(error->message, ==, "lock receipt: is of another chip");
	g_clear_error(&error);
	g_assert_false(ifpp_receipt_verify(ifpp_span_bytes(good), test_id_span(pki->eum), eid, challenge,
					   NULL, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT);
	g_clear_error(&error);
	for (gsize i = 0; i < g_bytes_get_size(good); i++) {
		for (int bit = 0; bit < 8; bit++) {
			g_autoptr(GBytes) changed = flip(good, i, 1 << bit);

			g_assert_false(ifpp_receipt_verify(ifpp_span_bytes(changed), cert, eid, challenge,
							   NULL, NULL));
		}
	}
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	pki = test_pki_new();
	g_test_add_func("/euicc/factory-info", test_factory_info);
	g_test_add_func("/euicc/factory-info-flips", test_factory_info_flips);
	g_test_add_func("/euicc/factory-info-short", test_factory_info_short);
	g_test_add_func("/euicc/data", test_euicc_data);
	g_test_add_func("/euicc/pir", test_pir);
	g_test_add_func("/euicc/receipt", test_receipt);
	rc = g_test_run();
	test_pki_free(pki);
	return rc;
}
