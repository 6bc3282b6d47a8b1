// SPDX-License-Identifier: GPL-2.0-or-later
/* Key agreement and secure channel against published vectors, and against itself. */
#include "vectors.h"
#include "error.h"

static void agree(IfppBsp *bsp, const char *own, const char *peer_hex)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppEcKey) key = NULL;
	g_autoptr(GBytes) host_id = unhex(V_HOST_ID);
	guint8 scalar[32], peer[65], eid[16];

	unhex_to(own, scalar, 32);
	unhex_to(peer_hex, peer, 65);
	unhex_to(V_EID, eid, 16);
	key = ifpp_ec_key_import(scalar, &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_bsp_agree(bsp, key, peer, ifpp_span_bytes(host_id), eid, &error));
	g_assert_no_error(error);
}

static void vector_agree(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppEcKey) key = NULL;
	guint8 scalar[32], back[32], point[65], peer[65], zab[32];
	IfppBsp a, b;

	unhex_to(V_OTSK_EUICC, scalar, 32);
	key = ifpp_ec_key_import(scalar, &error);
	g_assert_no_error(error);
	ifpp_ec_key_point(key, point);
	assert_hex(point, 65, V_OTPK_EUICC);
	g_assert_true(ifpp_ec_key_export(key, back, &error));
	g_assert_cmpmem(back, 32, scalar, 32);
	unhex_to(V_OTPK_DP, peer, 65);
	g_assert_true(ifpp_ec_key_derive(key, peer, zab, &error));
	assert_hex(zab, 32, V_ZAB);

	agree(&a, V_OTSK_EUICC, V_OTPK_DP);
	agree(&b, V_OTSK_DP, V_OTPK_EUICC);
	assert_hex(a.mcv, 16, "cdd4b41c882894baaba9cff7f61a844e");
	assert_hex(a.enc, 16, "14e867ca4e71e2c12fd311d09b09c24e");
	assert_hex(a.mac, 16, "51a032e136ee92f0677c5e980a523c0f");
	g_assert_cmpuint(a.counter, ==, 1);
	g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
}

struct step {
	guint8 tag;
	gboolean encrypt;
	const char *plain, *out, *mcv;
};

static void run(IfppBsp *bsp, const struct step *steps, guint n)
{
	IfppBsp peer = *bsp;

	for (guint i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GBytes) plain = unhex(steps[i].plain);
		g_autoptr(GByteArray) out = g_byte_array_new();
		g_autoptr(GByteArray) opened = g_byte_array_new();
		IfppSpan in;
		IfppTlv tlv;

		g_assert_true(ifpp_bsp_protect_all(bsp, steps[i].tag, steps[i].encrypt, ifpp_span_bytes(plain),
						   out, &error));
		g_assert_no_error(error);
		assert_hex(out->data, out->len, steps[i].out);
		assert_hex(bsp->mcv, 16, steps[i].mcv);

		in = (IfppSpan){ out->data, out->len };
		g_assert_true(ifpp_tlv_next(&in, &tlv, &error));
		g_assert_true(ifpp_bsp_open(&peer, &tlv, opened, &error));
		g_assert_no_error(error);
		assert_hex(opened->data, opened->len, steps[i].plain);
		g_assert_cmpmem(&peer, sizeof(peer), bsp, sizeof(*bsp));
	}
}

static const struct step common[] = {
	{ 0x87, TRUE, V_CONFIGURE, "8718e6bef49ec8e8058be1f7837c26cba1e74ec41507cb2f2f1e",
	  "4ec41507cb2f2f1eb720cf062ea1a7c5" },
	{ 0x88, FALSE, V_METADATA, "8828" V_METADATA "3347891901c241d9", "3347891901c241d946020fd3bcca365a" },
};

static void vector_ppk(void)
{
	static const struct step replace = {
		0x87, TRUE, V_REPLACE,
		"8748d8e8da10e600ed16d94a8f6c68140ade6040768f3a414d741622989cfde3efbf89d501c3cfa9e3aa2ecaa57e"
		"10a50d7d5fed328355c5d8f9ec5c4c1666664720b9103f04d24c7255",
		"b9103f04d24c7255be26030ea217bb2a"
	};
	static const struct step upp = { 0x86, TRUE, V_UPP, V_86_PPK, "02238f121e1fe99c676467b76ee2cfc3" };
	guint8 mcv[16], enc[16], mac[16];
	IfppBsp bsp;

	agree(&bsp, V_OTSK_DP, V_OTPK_EUICC);
	run(&bsp, common, G_N_ELEMENTS(common));
	run(&bsp, &replace, 1);
	unhex_to(V_PPK_MCV, mcv, 16);
	unhex_to(V_PPK_ENC, enc, 16);
	unhex_to(V_PPK_MAC, mac, 16);
	ifpp_bsp_set_ppk(&bsp, mcv, enc, mac);
	run(&bsp, &upp, 1);
}

static void vector_session(void)
{
	static const struct step upp = {
		0x86, TRUE, V_UPP,
		"8648bb721ffb4c63345e0c42616643269c7850c23c080952b3b78167668bff6887d8fb2c666dc7396eccdb7d0bc9"
		"3ddb236e8d5c901f21ad941480fc11b6d5d16fe4f5022b96b7435459",
		NULL
	};
	g_autoptr(GBytes) plain = unhex(V_UPP);
	g_autoptr(GByteArray) out = g_byte_array_new();
	IfppBsp bsp;

	agree(&bsp, V_OTSK_DP, V_OTPK_EUICC);
	run(&bsp, common, G_N_ELEMENTS(common));
	g_assert_true(ifpp_bsp_encrypt(&bsp, 0x86, ifpp_span_bytes(plain), out, NULL));
	assert_hex(out->data, out->len, upp.out);
}

/* A third party's trace: keys derived from its shared secret protect its first command. */
static void vector_third_party(void)
{
	static const guint8 host_id[8] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80 };
	static const struct step configure = { 0x87, TRUE, V_CONFIGURE,
					       "8718f6fe031e4b9cfe87c8e1e62f3fde85c49412d7722a6a2d89", NULL };
	g_autoptr(GBytes) plain = unhex(configure.plain);
	g_autoptr(GByteArray) out = g_byte_array_new();
	guint8 zab[32], eid[16];
	IfppBsp bsp;

	unhex_to("c9a993dd4879a8f7161f2085410edd4f9652f1df37be097ba96ba2ca6be528fe", zab, 32);
	unhex_to(V_EID, eid, 16);
	g_assert_true(ifpp_bsp_derive(&bsp, zab, IFPP_SPAN(host_id), eid, NULL));
	assert_hex(bsp.mcv, 16, "406d507b448a699e7a36a38494debbde");
	assert_hex(bsp.enc, 16, "472f5bfadd97f21d34f3ce9b51b92751");
	assert_hex(bsp.mac, 16, "9ec07f5b36a13e12a991d66e294e6242");
	g_assert_true(ifpp_bsp_encrypt(&bsp, configure.tag, ifpp_span_bytes(plain), out, NULL));
	assert_hex(out->data, out->len, configure.out);
}

/* 1100 bytes: segments of 1020 and 106. */
static void vector_segments(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new(), opened = g_byte_array_new();
	guint8 plain[1100], mcv[16], enc[16], mac[16];
	g_autoptr(GError) error = NULL;
	IfppBsp bsp, peer;
	IfppSpan in;
	guint n = 0;

	for (guint i = 0; i < sizeof(plain); i++)
		plain[i] = i;
	unhex_to(V_PPK_MCV, mcv, 16);
	unhex_to(V_PPK_ENC, enc, 16);
	unhex_to(V_PPK_MAC, mac, 16);
	ifpp_bsp_set_ppk(&bsp, mcv, enc, mac);
	peer = bsp;
	g_assert_true(ifpp_bsp_protect_all(&bsp, 0x86, TRUE, IFPP_SPAN(plain), out, &error));
	assert_sha256(out->data, out->len, "e5a3348fc52dfc21ca4bc227df2923720f5ba2620fc96e1e5401585739fdc04b");

	in = (IfppSpan){ out->data, out->len };
	while (in.len) {
		static const gsize want[] = { 1020, 106 };
		IfppTlv tlv;

		g_assert_true(ifpp_tlv_next(&in, &tlv, &error));
		g_assert_cmpuint(tlv.whole.len, ==, want[n++]);
		g_assert_true(ifpp_bsp_open(&peer, &tlv, opened, &error));
	}
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, 2);
	g_assert_cmpmem(opened->data, opened->len, plain, sizeof(plain));
}

/* Segments of the other implementation's size, 1036 bytes, can be opened. */
static void open_1036(void)
{
	static const guint8 key[16] = { 1 };
	g_autoptr(GByteArray) out = g_byte_array_new(), opened = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	IfppBsp bsp;
	IfppTlv tlv;
	IfppSpan in;
	guint8 buf[1024] = {}, mac[16], icv[16] = {}, zero[16] = {};
	gnutls_datum_t k = { (guint8 *)key, 16 }, iv = { zero, 16 };
	gnutls_cipher_hd_t hd;
	gnutls_hmac_hd_t hmac;

	memset(buf, 0x5a, 1008);
	buf[1008] = 0x80;
	icv[15] = 1;
	g_assert_cmpint(gnutls_cipher_init(&hd, GNUTLS_CIPHER_AES_128_CBC, &k, &iv), ==, 0);
	gnutls_cipher_encrypt(hd, icv, 16);
	gnutls_cipher_set_iv(hd, icv, 16);
	gnutls_cipher_encrypt(hd, buf, sizeof(buf));
	gnutls_cipher_deinit(hd);
	ifpp_tlv_put_header(out, 0x86, sizeof(buf) + 8);
	g_byte_array_append(out, buf, sizeof(buf));
	g_assert_cmpint(gnutls_hmac_init(&hmac, GNUTLS_MAC_AES_CMAC_128, key, 16), ==, 0);
	gnutls_hmac(hmac, key, 16);
	gnutls_hmac(hmac, out->data, out->len);
	gnutls_hmac_deinit(hmac, mac);
	g_byte_array_append(out, mac, 8);
	g_assert_cmpuint(out->len, ==, 1036);

	ifpp_bsp_set_ppk(&bsp, key, key, key);
	in = (IfppSpan){ out->data, out->len };
	g_assert_true(ifpp_tlv_next(&in, &tlv, &error));
	g_assert_true(ifpp_bsp_open(&bsp, &tlv, opened, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(opened->len, ==, 1008);
}

/* Every single-bit change of a segment is refused and leaves the state alone. */
static void open_tampered(void)
{
	static const guint8 tags[] = { 0x87, 0x88 };
	static const guint8 key[16] = { 7 };

	for (guint t = 0; t < G_N_ELEMENTS(tags); t++) {
		g_autoptr(GByteArray) out = g_byte_array_new();
		IfppBsp bsp, peer, before;

		ifpp_bsp_set_ppk(&bsp, key, key, key);
		peer = before = bsp;
		g_assert_true(ifpp_bsp_protect_all(&bsp, tags[t], t == 0, IFPP_SPAN("0123456789abcdef0"), out,
						   NULL));
		for (guint bit = 0; bit < out->len * 8; bit++) {
			g_autoptr(GByteArray) opened = g_byte_array_new();
			g_autoptr(GError) error = NULL;
			IfppSpan in = { out->data, out->len };
			IfppTlv tlv;

			out->data[bit / 8] ^= 1 << bit % 8;
			if (ifpp_tlv_next(&in, &tlv, &error))
				g_assert_false(ifpp_bsp_open(&peer, &tlv, opened, &error));
			g_assert_nonnull(error);
			g_assert_true(error->domain == IFPP_ERROR);
			g_assert_cmpuint(opened->len, ==, 0);
			g_assert_cmpmem(&peer, sizeof(peer), &before, sizeof(before));
			out->data[bit / 8] ^= 1 << bit % 8;
		}
	}
}

static void open_replayed(void)
{
	static const guint8 key[16] = { 7 };
	g_autoptr(GByteArray) out = g_byte_array_new(), opened = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	IfppBsp bsp, peer;
	IfppSpan in;
	IfppTlv tlv;

	ifpp_bsp_set_ppk(&bsp, key, key, key);
	peer = bsp;
	g_assert_true(ifpp_bsp_encrypt(&bsp, 0x86, IFPP_SPAN("profile"), out, NULL));
	in = (IfppSpan){ out->data, out->len };
	g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
	g_assert_true(ifpp_bsp_open(&peer, &tlv, opened, NULL));
	g_assert_false(ifpp_bsp_open(&peer, &tlv, opened, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_SECURITY);
}

static void open_bad_shape(void)
{
	static const char *const bad[] = { "8600", "8607" "00000000000000", "8608" "0000000000000000",
					   "8609" "000000000000000000", "8807" "00000000000000",
					   "8908" "0000000000000000" };
	static const guint8 key[16] = { 7 };

	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GByteArray) opened = g_byte_array_new();
		g_autoptr(GBytes) bytes = unhex(bad[i]);
		g_autoptr(GError) error = NULL;
		IfppSpan in = ifpp_span_bytes(bytes);
		IfppBsp bsp;
		IfppTlv tlv;

		ifpp_bsp_set_ppk(&bsp, key, key, key);
		g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
		g_assert_false(ifpp_bsp_open(&bsp, &tlv, opened, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TLV);
	}
}

static void refuse_points(void)
{
	static const char *const bad[] = {
		/* y changed by one; infinity as zeros; a compressed prefix; x beyond the prime */
		"04630b0f766a1ca3c543950e6625f4b07fad8d85ea922342cc9e1802c04e9c196e"
		"8450df16010af08c2660701f389ea34035cc3bbea465493b2bf5d2a8bdb80188",
		"0400000000000000000000000000000000000000000000000000000000000000000"
		"000000000000000000000000000000000000000000000000000000000000000",
		"02630b0f766a1ca3c543950e6625f4b07fad8d85ea922342cc9e1802c04e9c196e"
		"8450df16010af08c2660701f389ea34035cc3bbea465493b2bf5d2a8bdb80189",
		"04ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		"8450df16010af08c2660701f389ea34035cc3bbea465493b2bf5d2a8bdb80189",
	};
	g_autoptr(IfppEcKey) key = ifpp_ec_key_generate(NULL);

	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		guint8 point[65], zab[32];

		unhex_to(bad[i], point, 65);
		g_assert_false(ifpp_ec_key_derive(key, point, zab, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_POINT);
	}
}

static void refuse_scalars(void)
{
	guint8 scalar[32] = {};
	g_autoptr(GError) error = NULL;

	g_assert_null(ifpp_ec_key_import(scalar, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL);
	memset(scalar, 0xff, 32);
	g_assert_null(ifpp_ec_key_import(scalar, NULL));
}

/* Fresh keys agree, survive export and import, and their plain signatures verify in GnuTLS. */
static void fresh_keys(void)
{
	for (guint i = 0; i < 64; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(IfppEcKey) a = ifpp_ec_key_generate(&error), b = ifpp_ec_key_generate(&error), c = NULL;
		guint8 pa[65], pb[65], pc[65], za[32], zb[32], scalar[32], sig[64];
		const IfppSpan parts[] = { { (const guint8 *)"one", 3 }, { (const guint8 *)"two", 3 } };
		gnutls_datum_t x = { pa + 1, 32 }, y = { pa + 33, 32 }, r = { sig, 32 }, s = { sig + 32, 32 };
		gnutls_datum_t message = { (guint8 *)"onetwo", 6 }, der;
		gnutls_pubkey_t pub;

		g_assert_no_error(error);
		ifpp_ec_key_point(a, pa);
		ifpp_ec_key_point(b, pb);
		g_assert_true(ifpp_ec_key_derive(a, pb, za, &error));
		g_assert_true(ifpp_ec_key_derive(b, pa, zb, &error));
		g_assert_cmpmem(za, 32, zb, 32);
		g_assert_true(ifpp_ec_key_export(a, scalar, &error));
		c = ifpp_ec_key_import(scalar, &error);
		g_assert_no_error(error);
		ifpp_ec_key_point(c, pc);
		g_assert_cmpmem(pc, 65, pa, 65);

		g_assert_true(ifpp_ec_key_sign(c, parts, 2, sig, &error));
		gnutls_pubkey_init(&pub);
		g_assert_cmpint(gnutls_pubkey_import_ecc_raw(pub, GNUTLS_ECC_CURVE_SECP256R1, &x, &y), ==, 0);
		g_assert_cmpint(gnutls_encode_rs_value(&der, &r, &s), ==, 0);
		g_assert_cmpint(gnutls_pubkey_verify_data2(pub, GNUTLS_SIGN_ECDSA_SHA256, 0, &message, &der), >=, 0);
		gnutls_free(der.data);
		gnutls_pubkey_deinit(pub);
	}
}

static void limits(void)
{
	static const guint8 key[16] = { 7 };
	g_autoptr(GByteArray) out = g_byte_array_new();
	guint8 big[IFPP_BSP_CLEAR_MAX + 1] = {};
	IfppBsp bsp;

	ifpp_bsp_set_ppk(&bsp, key, key, key);
	g_assert_false(ifpp_bsp_encrypt(&bsp, 0x86, (IfppSpan){ big, IFPP_BSP_PLAIN_MAX + 1 }, out, NULL));
	g_assert_false(ifpp_bsp_mac(&bsp, 0x88, (IfppSpan){ big, IFPP_BSP_CLEAR_MAX + 1 }, out, NULL));
	g_assert_cmpuint(out->len, ==, 0);
	g_assert_cmpuint(bsp.counter, ==, 1);
	g_assert_true(ifpp_bsp_encrypt(&bsp, 0x86, (IfppSpan){ big, IFPP_BSP_PLAIN_MAX }, out, NULL));
	g_assert_cmpuint(out->len, ==, 1020);
	g_byte_array_set_size(out, 0);
	g_assert_true(ifpp_bsp_mac(&bsp, 0x88, (IfppSpan){ big, IFPP_BSP_CLEAR_MAX }, out, NULL));
	g_assert_cmpuint(out->len, ==, 1020);
	g_assert_cmpuint(bsp.counter, ==, 3);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/bsp/vector/agree", vector_agree);
	g_test_add_func("/bsp/vector/ppk", vector_ppk);
	g_test_add_func("/bsp/vector/session", vector_session);
	g_test_add_func("/bsp/vector/third-party", vector_third_party);
	g_test_add_func("/bsp/vector/segments", vector_segments);
	g_test_add_func("/bsp/open/1036", open_1036);
	g_test_add_func("/bsp/open/tampered", open_tampered);
	g_test_add_func("/bsp/open/replayed", open_replayed);
	g_test_add_func("/bsp/open/bad-shape", open_bad_shape);
	g_test_add_func("/bsp/limits", limits);
	g_test_add_func("/eckey/refuse-points", refuse_points);
	g_test_add_func("/eckey/refuse-scalars", refuse_scalars);
	g_test_add_func("/eckey/fresh", fresh_keys);
	return g_test_run();
}
