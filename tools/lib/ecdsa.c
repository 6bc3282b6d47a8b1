// SPDX-License-Identifier: LGPL-2.1-or-later
#include "x509.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>

gboolean ifpp_ecdsa_der_strict(IfppSpan sig)
{
	IfppSpan numbers;
	IfppTlv tlv;

	if (!ifpp_tlv_take(&sig, 0x30, &tlv) || sig.len)
		return FALSE;
	numbers = tlv.value;
	for (int i = 0; i < 2; i++) {
		const guint8 *p;

		if (!ifpp_tlv_take(&numbers, 0x02, &tlv) || tlv.value.len == 0 || tlv.value.len > 33)
			return FALSE;
		p = tlv.value.data;
		if (p[0] & 0x80 || (p[0] == 0 && (tlv.value.len == 1 || !(p[1] & 0x80))))
			return FALSE;
		if (tlv.value.len == 33 && p[0] != 0)
			return FALSE;
	}
	return numbers.len == 0;
}

static gnutls_pubkey_t point_import(IfppSpan point)
{
	gnutls_pubkey_t key;
	gnutls_datum_t x, y;

	if (point.len != 65 || point.data[0] != 0x04)
		return NULL;
	x = (gnutls_datum_t){ (guint8 *)point.data + 1, 32 };
	y = (gnutls_datum_t){ (guint8 *)point.data + 33, 32 };
	if (gnutls_pubkey_init(&key) < 0)
		return NULL;
	if (gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_SECP256R1, &x, &y) < 0 ||
	    gnutls_pubkey_verify_params(key) < 0) {
		gnutls_pubkey_deinit(key);
		return NULL;
	}
	return key;
}

gboolean ifpp_point_on_curve(IfppSpan point)
{
	gnutls_pubkey_t key = point_import(point);

	if (!key)
		return FALSE;
	gnutls_pubkey_deinit(key);
	return TRUE;
}

gboolean ifpp_ecdsa_verify(const guint8 point[65], const IfppSpan *parts, gsize n_parts, IfppSpan sig)
{
	gnutls_datum_t der = { NULL, 0 }, r, s, hash;
	gnutls_hash_hd_t ctx = NULL;
	gnutls_pubkey_t key = NULL;
	gboolean ok = FALSE;
	guint8 digest[32];

	if (sig.len != 64)
		return FALSE;
	key = point_import((IfppSpan){ point, 65 });
	if (!key || gnutls_hash_init(&ctx, GNUTLS_DIG_SHA256) < 0)
		goto out;
	for (gsize i = 0; i < n_parts; i++)
		if (parts[i].len && gnutls_hash(ctx, parts[i].data, parts[i].len) < 0)
			goto out;
	gnutls_hash_output(ctx, digest);

	r = (gnutls_datum_t){ (guint8 *)sig.data, 32 };
	s = (gnutls_datum_t){ (guint8 *)sig.data + 32, 32 };
	for (; r.size > 1 && r.data[0] == 0; r.size--)
		r.data++;
	for (; s.size > 1 && s.data[0] == 0; s.size--)
		s.data++;
	if (gnutls_encode_rs_value(&der, &r, &s) < 0)
		goto out;
	hash = (gnutls_datum_t){ digest, sizeof(digest) };
	ok = gnutls_pubkey_verify_hash2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &hash, &der) >= 0;
out:
	gnutls_free(der.data);
	if (ctx)
		gnutls_hash_deinit(ctx, NULL);
	if (key)
		gnutls_pubkey_deinit(key);
	return ok;
}

void ifpp_key_id(const guint8 point[65], guint8 key_id[32])
{
	int rc = gnutls_hash_fast(GNUTLS_DIG_SHA256, point, 65, key_id);

	g_assert(rc == 0);
}
