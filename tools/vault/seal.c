// SPDX-License-Identifier: LGPL-2.1-or-later
/* BoundProfilePackage: BF36 { BF23, A0{87}, A1{88…}, A2{87}?, A3{86…} } (SGP.22 2.5.4). */
#include "seal.h"
#include "error.h"

#include <gnutls/gnutls.h>

/* BF26 { 80 MCV, 81 ENC, 82 CMAC }: hands the chip the profile protection keys. */
static gboolean replace_session_keys(IfppBsp *bsp, const guint8 *ppk, GByteArray *out, GError **error)
{
	GByteArray *plain = g_byte_array_sized_new(64);
	gboolean ok;

	ifpp_tlv_put_header(plain, 0xBF26, 3 * (2 + 16));
	for (guint i = 0; i < 3; i++)
		ifpp_tlv_put(plain, 0x80 + i, ppk + 16 * i, 16);
	ok = ifpp_bsp_encrypt(bsp, 0x87, (IfppSpan){ plain->data, plain->len }, out, error);
	ifpp_secret_free(plain);
	return ok;
}

/* Wrap what was appended to @seq and move it to @out. */
static void put_sequence(GByteArray *out, guint32 tag, GByteArray *seq)
{
	ifpp_tlv_put(out, tag, seq->data, seq->len);
	g_byte_array_set_size(seq, 0);
}

static gboolean put_sequences(const IfppSealInput *in, IfppBsp *bsp, GByteArray *out, GError **error)
{
	g_autoptr(GByteArray) seq = g_byte_array_sized_new(in->upp.len + 1024);

	if (!ifpp_bsp_protect_all(bsp, 0x87, TRUE, in->configure, seq, error))
		return FALSE;
	put_sequence(out, 0xA0, seq);

	if (!ifpp_bsp_protect_all(bsp, 0x88, FALSE, in->metadata, seq, error))
		return FALSE;
	put_sequence(out, 0xA1, seq);

	if (in->ppk) {
		if (!replace_session_keys(bsp, in->ppk, seq, error))
			return FALSE;
		put_sequence(out, 0xA2, seq);
		ifpp_bsp_set_ppk(bsp, in->ppk, in->ppk + 16, in->ppk + 32);
	}
	if (in->ppk && in->protected_86.len) {
		ifpp_tlv_put_span(out, 0xA3, in->protected_86);
		return TRUE;
	}
	if (!ifpp_bsp_protect_all(bsp, 0x86, TRUE, in->upp, seq, error))
		return FALSE;
	put_sequence(out, 0xA3, seq);
	return TRUE;
}

/* InitialiseSecureChannelRequest, signed over its members and the chip's own one-time key. */
static gboolean put_initialise(const IfppSealInput *in, IfppEcKey *ephemeral, GByteArray *out, GError **error)
{
	static const guint8 install = 1, aes = 0x88, key_len = 16;
	g_autoptr(GByteArray) crt = g_byte_array_new();
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GByteArray) chip_key = g_byte_array_new();
	guint8 point[65], sig[64];

	ifpp_tlv_put(crt, 0x80, &aes, 1);
	ifpp_tlv_put(crt, 0x81, &key_len, 1);
	ifpp_tlv_put_span(crt, 0x84, in->host_id);

	ifpp_ec_key_point(ephemeral, point);
	ifpp_tlv_put(body, 0x82, &install, 1);
	ifpp_tlv_put_span(body, 0x80, in->transaction_id);
	ifpp_tlv_put(body, 0xA6, crt->data, crt->len);
	ifpp_tlv_put(body, 0x5F49, point, sizeof(point));
	ifpp_tlv_put(chip_key, 0x5F49, in->otpk, 65);

	const IfppSpan parts[] = { { body->data, body->len }, { chip_key->data, chip_key->len } };

	if (!in->sign(parts, G_N_ELEMENTS(parts), sig, in->sign_user, error))
		return FALSE;
	ifpp_tlv_put(body, 0x5F37, sig, sizeof(sig));
	ifpp_tlv_put(out, 0xBF23, body->data, body->len);
	return TRUE;
}

GBytes *ifpp_seal_with_key(const IfppSealInput *in, IfppEcKey *ephemeral, GError **error)
{
	g_autoptr(GByteArray) body = g_byte_array_sized_new(in->upp.len + in->protected_86.len + 2048);
	GByteArray *bpp;
	IfppBsp bsp;
	gboolean ok;

	if (!in->transaction_id.len || in->transaction_id.len > 16) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "transaction id: %zu bytes, not 1 to 16",
			    in->transaction_id.len);
		return NULL;
	}
	if (!ifpp_bsp_agree(&bsp, ephemeral, in->otpk, in->host_id, in->eid, error))
		return NULL;
	ok = put_initialise(in, ephemeral, body, error) && put_sequences(in, &bsp, body, error);
	ifpp_bsp_wipe(&bsp);
	if (!ok)
		return NULL;

	bpp = g_byte_array_sized_new(body->len + 8);
	ifpp_tlv_put(bpp, 0xBF36, body->data, body->len);
	return g_byte_array_free_to_bytes(bpp);
}

GBytes *ifpp_seal(const IfppSealInput *in, GError **error)
{
	g_autoptr(IfppEcKey) ephemeral = ifpp_ec_key_generate(error);

	return ephemeral ? ifpp_seal_with_key(in, ephemeral, error) : NULL;
}
