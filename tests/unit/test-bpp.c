// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "bpp.h"
#include "error.h"
#include "testpki.h"

static TestPki *pki;

static void test_parse(void)
{
	/* The segments of the published vector: LoadBoundProfilePackage, SGP.22 2.5.5 */
	static const gsize sizes[] = { 183, 28, 2, 42, 76, 2, 74 };
	g_autoptr(TestId) otk = test_otk_new();
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(IfppBpp) bpp = NULL;
	g_autoptr(GByteArray) joined = g_byte_array_new();
	GError *error = NULL;
	g_autofree char *txid = NULL;
	g_autofree char *iccid = NULL;
	guint8 otpk[65];

	test_id_point(otk, otpk);
	bytes = test_bpp_new(pki->dppb, otpk);
	g_assert_cmpuint(g_bytes_get_size(bytes), ==, 407);
	bpp = ifpp_bpp_parse(bytes, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(ifpp_bpp_n_segments(bpp), ==, G_N_ELEMENTS(sizes));
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
		IfppSpan segment = ifpp_bpp_segment(bpp, i);

		g_assert_cmpuint(segment.len, ==, sizes[i]);
		g_byte_array_append(joined, segment.data, segment.len);
	}
	g_assert_true(ifpp_span_equal((IfppSpan){ joined->data, joined->len }, ifpp_span_bytes(bytes)));
	txid = ifpp_hex(ifpp_bpp_transaction_id(bpp));
	g_assert_cmpstr(txid, ==, "000102030405060708090a0b0c0d0e0f");
	iccid = ifpp_hex(ifpp_bpp_iccid(bpp));
	g_assert_cmpstr(iccid, ==, "98001032547698103214");
	g_assert_true(ifpp_span_equal(ifpp_bpp_profile_name(bpp), (IfppSpan){ (const guint8 *)"Vector", 6 }));
	g_assert_cmpuint(ifpp_bpp_otpk_dp(bpp).len, ==, 65);
}

static void test_sign(void)
{
	g_autoptr(TestId) otk = test_otk_new();
	g_autoptr(TestId) other = test_otk_new();
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(IfppBpp) bpp = NULL;
	g_autoptr(GError) error = NULL;
	guint8 otpk[65], wrong[65], dppb[65], eum[65];

	test_id_point(otk, otpk);
	test_id_point(other, wrong);
	test_id_point(pki->dppb, dppb);
	test_id_point(pki->eum, eum);
	bytes = test_bpp_new(pki->dppb, otpk);
	bpp = ifpp_bpp_parse(bytes, &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_bpp_verify_sign(bpp, dppb, otpk, &error));
	g_assert_no_error(error);
	g_assert_false(ifpp_bpp_verify_sign(bpp, dppb, wrong, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_SMDP_SIGN);
	g_clear_error(&error);
	g_assert_false(ifpp_bpp_verify_sign(bpp, eum, otpk, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_SMDP_SIGN);
	g_clear_error(&error);
	wrong[64] ^= 1;
	g_assert_false(ifpp_bpp_verify_sign(bpp, dppb, wrong, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_POINT);
}

/* The smdpSign of the reference under SGP.26's DPpb test key, which signs V1's one-time key. */
static void test_published_sign(void)
{
	static const char *const point_hex =
		"04630b0f766a1ca3c543950e6625f4b07fad8d85ea922342cc9e1802c04e9c196e"
		"8450df16010af08c2660701f389ea34035cc3bbea465493b2bf5d2a8bdb80189";
	static const char *const q =
		"04104c2ae3d02def9c979261a7c6710076b970721d0955a2644ae05fae4bc2314e"
		"5dc09f6bf0118026165342e212318775e365f3b57325373066b9906e0bd1388d";
	static const char *const sign =
		"e97432e9ce7b3ad8d4b4a714b95c1634eab6d63db05dfb673db8c96462c1df49"
		"d2c3469d55fca7ea2afe458b41a026977891b765e82d4aae186f0c5272bbc829";
	g_autoptr(GBytes) otpk = ifpp_unhex(point_hex);
	g_autoptr(GBytes) dp = ifpp_unhex(q);
	g_autoptr(GBytes) sig = ifpp_unhex(sign);
	g_autoptr(GBytes) bytes = test_bpp_new(pki->dppb, g_bytes_get_data(otpk, NULL));
	g_autoptr(GBytes) changed = NULL;
	IfppSpan whole = ifpp_span_bytes(bytes);
	/* BF36 header 5, BF23 header 4; 5F37 takes the last 67 of its 174 */
	IfppSpan parts[3] = {
		{whole.data + 9, 174 - 67}, {(const guint8 *)"\x5F\x49\x41", 3}, ifpp_span_bytes(otpk)};

	g_assert_true(ifpp_ecdsa_verify(g_bytes_get_data(dp, NULL), parts, 3, ifpp_span_bytes(sig)));
	parts[0].len--;
	g_assert_false(ifpp_ecdsa_verify(g_bytes_get_data(dp, NULL), parts, 3, ifpp_span_bytes(sig)));
}

static GBytes *edit(GBytes *bytes, const char *find, const char *put)
{
	g_autofree char *text = ifpp_hex(ifpp_span_bytes(bytes));
	char *at = strstr(text, find);

	g_assert_nonnull(at);
	g_assert_cmpuint(strlen(find), ==, strlen(put));
	memcpy(at, put, strlen(put));
	return ifpp_unhex(text);
}

static void test_refused(void)
{
	static const struct {
		const char *find, *put;
		IfppError code;
	} cases[] = {
		{ "bf36820192", "bf35820192", IFPP_ERROR_TLV },
		{ "bf36820192", "bf36820193", IFPP_ERROR_TLV },
		{ "bf36820192", "bf36820191", IFPP_ERROR_BPP },
		{ "82010180", "82010280", IFPP_ERROR_BPP },		/* another operation */
		{ "800188810110", "800189810110", IFPP_ERROR_BPP },	/* not AES */
		{ "800188810110", "800188810120", IFPP_ERROR_BPP },	/* not 16 bytes */
		{ "5f4941", "5f4940", IFPP_ERROR_BPP },
		{ "5f3740", "5f3640", IFPP_ERROR_TLV },
		{ "a01a8718", "a01a8618", IFPP_ERROR_TLV },
		{ "a01a8718", "a01a8717", IFPP_ERROR_BPP },
		{ "a12a8828", "a12a8827", IFPP_ERROR_TLV },
		{ "a12a8828", "a1298828", IFPP_ERROR_TLV },
		{ "a24a8748", "a44a8748", IFPP_ERROR_TLV },
		{ "a34a8648", "a34a8748", IFPP_ERROR_TLV },
		{ "bf251d5a", "bf261d5a", IFPP_ERROR_TLV },
		{ "bf251d5a0a", "bf251d5a09", IFPP_ERROR_BPP },
		{ "566563746f72", "56656374ff72", IFPP_ERROR_BPP },	/* the name is not UTF-8 */
	};
	g_autoptr(TestId) otk = test_otk_new();
	g_autoptr(GBytes) bytes = NULL;
	guint8 otpk[65];

	test_id_point(otk, otpk);
	bytes = test_bpp_new(pki->dppb, otpk);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) changed = edit(bytes, cases[i].find, cases[i].put);
		g_autoptr(GError) error = NULL;

		g_test_message("%s -> %s", cases[i].find, cases[i].put);
		g_assert_null(ifpp_bpp_parse(changed, &error));
		g_assert_error(error, IFPP_ERROR, (int)cases[i].code);
	}
	/* Every truncation and a byte too many */
	for (gsize len = 0; len < g_bytes_get_size(bytes); len++) {
		g_autoptr(GBytes) cut = g_bytes_new(g_bytes_get_data(bytes, NULL), len);

		g_assert_null(ifpp_bpp_parse(cut, NULL));
	}
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	pki = test_pki_new();
	g_test_add_func("/bpp/parse", test_parse);
	g_test_add_func("/bpp/sign", test_sign);
	g_test_add_func("/bpp/published-sign", test_published_sign);
	g_test_add_func("/bpp/refused", test_refused);
	rc = g_test_run();
	test_pki_free(pki);
	return rc;
}
