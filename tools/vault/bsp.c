// SPDX-License-Identifier: LGPL-2.1-or-later
/* BSP: AES-128 CBC and CMAC with a chained MAC value (SGP.22 2.6.4). */
#include "bsp.h"
#include "error.h"

#include <gnutls/crypto.h>
#include <string.h>

#define BLOCK 16
#define MAC_LEN 8 /* transmitted; the chain keeps all 16 */

static gboolean crypto(int ret, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "secure channel: %s", gnutls_strerror(ret));
	return FALSE;
}

void ifpp_bsp_set_ppk(IfppBsp *bsp, const guint8 mcv[16], const guint8 enc[16], const guint8 mac[16])
{
	memcpy(bsp->mcv, mcv, 16);
	memcpy(bsp->enc, enc, 16);
	memcpy(bsp->mac, mac, 16);
	bsp->counter = 1;
}

void ifpp_bsp_wipe(IfppBsp *bsp)
{
	gnutls_memset(bsp, 0, sizeof(*bsp));
}

void ifpp_secret_free(GByteArray *array)
{
	if (!array)
		return;
	if (array->len)
		gnutls_memset(array->data, 0, array->len);
	g_byte_array_unref(array);
}

void ifpp_secret_datum_clear(gnutls_datum_t *datum)
{
	if (datum->data)
		gnutls_memset(datum->data, 0, datum->size);
	gnutls_free(datum->data);
	datum->data = NULL;
}

void ifpp_secret_put(GByteArray *out, guint32 tag, GByteArray *members)
{
	ifpp_tlv_put(out, tag, members->data, members->len);
	ifpp_secret_free(members);
}

/* ANSI X9.63 KDF; SharedInfo = keyType keyLen LV(hostId) LV(EID), SGP.22 annex G. */
gboolean ifpp_bsp_derive(IfppBsp *bsp, const guint8 zab[32], IfppSpan host_id, const guint8 eid[16],
			 GError **error)
{
	guint8 info[2 + 1 + 16 + 1 + 16], data[64];
	gsize len = 0;
	int ret = 0;

	if (host_id.len < 1 || host_id.len > 16) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "host id: %zu bytes, not 1 to 16",
			    host_id.len);
		return FALSE;
	}
	info[len++] = 0x88; /* AES */
	info[len++] = 16;
	info[len++] = host_id.len;
	memcpy(info + len, host_id.data, host_id.len);
	len += host_id.len;
	info[len++] = 16;
	memcpy(info + len, eid, 16);
	len += 16;

	for (guint8 i = 1; i <= 2 && ret >= 0; i++) {
		const guint8 counter[4] = { 0, 0, 0, i };
		gnutls_hash_hd_t hd;

		ret = gnutls_hash_init(&hd, GNUTLS_DIG_SHA256);
		if (ret < 0)
			break;
		ret = gnutls_hash(hd, zab, 32);
		if (ret >= 0)
			ret = gnutls_hash(hd, counter, sizeof(counter));
		if (ret >= 0)
			ret = gnutls_hash(hd, info, len);
		gnutls_hash_deinit(hd, data + 32 * (i - 1));
	}
	if (ret >= 0)
		ifpp_bsp_set_ppk(bsp, data, data + 16, data + 32);
	gnutls_memset(data, 0, sizeof(data));
	return crypto(ret, error);
}

gboolean ifpp_bsp_agree(IfppBsp *bsp, IfppEcKey *own, const guint8 peer[65], IfppSpan host_id,
			const guint8 eid[16], GError **error)
{
	guint8 zab[32];
	gboolean ok;

	ok = ifpp_ec_key_derive(own, peer, zab, error) && ifpp_bsp_derive(bsp, zab, host_id, eid, error);
	gnutls_memset(zab, 0, sizeof(zab));
	return ok;
}

/* The keys set up, for one segment or for all of a sequence. */
typedef struct {
	gnutls_cipher_hd_t aes;
	gnutls_hmac_hd_t cmac;
} Engine;

static gboolean engine_open(Engine *e, const IfppBsp *bsp, GError **error)
{
	gnutls_datum_t key = { (guint8 *)bsp->enc, 16 };
	guint8 zero[BLOCK] = {};
	gnutls_datum_t iv = { zero, sizeof(zero) };
	int ret;

	ret = gnutls_cipher_init(&e->aes, GNUTLS_CIPHER_AES_128_CBC, &key, &iv);
	if (ret < 0)
		return crypto(ret, error);
	ret = gnutls_hmac_init(&e->cmac, GNUTLS_MAC_AES_CMAC_128, bsp->mac, 16);
	if (ret < 0)
		gnutls_cipher_deinit(e->aes);
	return crypto(ret, error);
}

static void engine_close(Engine *e)
{
	gnutls_cipher_deinit(e->aes);
	gnutls_hmac_deinit(e->cmac, NULL);
}

/* Initial vector of segment n: its number, enciphered. One block of CBC with a zero vector is ECB. */
static int cbc_start(Engine *e, const IfppBsp *bsp)
{
	guint8 zero[BLOCK] = {}, icv[BLOCK] = {};
	guint64 n = GUINT64_TO_BE(bsp->counter);
	int ret;

	memcpy(icv + 8, &n, 8);
	gnutls_cipher_set_iv(e->aes, zero, sizeof(zero));
	ret = gnutls_cipher_encrypt(e->aes, icv, sizeof(icv));
	if (ret >= 0)
		gnutls_cipher_set_iv(e->aes, icv, sizeof(icv));
	gnutls_memset(icv, 0, sizeof(icv));
	return ret;
}

static int chain_mac(Engine *e, const IfppBsp *bsp, const guint8 *tlv, gsize len, guint8 out[16])
{
	int ret = gnutls_hmac(e->cmac, bsp->mcv, 16);

	if (ret >= 0)
		ret = gnutls_hmac(e->cmac, tlv, len);
	gnutls_hmac_output(e->cmac, out);
	return ret;
}

/* MAC the TLV that begins at @start of @out and close it. */
static gboolean seal_tlv(Engine *e, IfppBsp *bsp, GByteArray *out, guint start, GError **error)
{
	guint8 mac[16];

	if (!crypto(chain_mac(e, bsp, out->data + start, out->len - start, mac), error)) {
		g_byte_array_set_size(out, start);
		return FALSE;
	}
	g_byte_array_append(out, mac, MAC_LEN);
	memcpy(bsp->mcv, mac, 16);
	bsp->counter++;
	gnutls_memset(mac, 0, sizeof(mac));
	return TRUE;
}

static gboolean too_long(gsize len, gsize max, GError **error)
{
	if (len <= max)
		return FALSE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "segment: %zu bytes, more than %zu", len, max);
	return TRUE;
}

static gboolean encrypt_one(Engine *e, IfppBsp *bsp, guint8 tag, IfppSpan plain, GByteArray *out, GError **error)
{
	gsize padded = (plain.len / BLOCK + 1) * BLOCK;
	guint8 buf[IFPP_BSP_PLAIN_MAX + 1] = {};
	guint start = out->len;
	gboolean ok;
	int ret;

	if (too_long(plain.len, IFPP_BSP_PLAIN_MAX, error))
		return FALSE;
	if (plain.len)
		memcpy(buf, plain.data, plain.len);
	buf[plain.len] = 0x80;

	ret = cbc_start(e, bsp);
	if (ret >= 0)
		ret = gnutls_cipher_encrypt(e->aes, buf, padded);
	ok = crypto(ret, error);
	if (ok) {
		ifpp_tlv_put_header(out, tag, padded + MAC_LEN);
		g_byte_array_append(out, buf, padded);
		ok = seal_tlv(e, bsp, out, start, error);
	}
	gnutls_memset(buf, 0, sizeof(buf));
	return ok;
}

static gboolean mac_one(Engine *e, IfppBsp *bsp, guint8 tag, IfppSpan clear, GByteArray *out, GError **error)
{
	guint start = out->len;

	if (too_long(clear.len, IFPP_BSP_CLEAR_MAX, error))
		return FALSE;
	ifpp_tlv_put_header(out, tag, clear.len + MAC_LEN);
	if (clear.len)
		g_byte_array_append(out, clear.data, clear.len);
	return seal_tlv(e, bsp, out, start, error);
}

gboolean ifpp_bsp_encrypt(IfppBsp *bsp, guint8 tag, IfppSpan plain, GByteArray *out, GError **error)
{
	gboolean ok;
	Engine e;

	if (!engine_open(&e, bsp, error))
		return FALSE;
	ok = encrypt_one(&e, bsp, tag, plain, out, error);
	engine_close(&e);
	return ok;
}

gboolean ifpp_bsp_mac(IfppBsp *bsp, guint8 tag, IfppSpan clear, GByteArray *out, GError **error)
{
	gboolean ok;
	Engine e;

	if (!engine_open(&e, bsp, error))
		return FALSE;
	ok = mac_one(&e, bsp, tag, clear, out, error);
	engine_close(&e);
	return ok;
}

gboolean ifpp_bsp_protect_all(IfppBsp *bsp, guint8 tag, gboolean encrypt, IfppSpan plain, GByteArray *out,
			      GError **error)
{
	gsize max = encrypt ? IFPP_BSP_PLAIN_MAX : IFPP_BSP_CLEAR_MAX;
	gboolean ok = TRUE;
	Engine e;

	if (!engine_open(&e, bsp, error))
		return FALSE;
	while (ok && plain.len) {
		IfppSpan piece = { plain.data, MIN(plain.len, max) };

		ok = (encrypt ? encrypt_one : mac_one)(&e, bsp, tag, piece, out, error);
		plain.data += piece.len;
		plain.len -= piece.len;
	}
	engine_close(&e);
	return ok;
}

static gboolean insecure(const IfppBsp *bsp, const char *what, GError **error)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_SECURITY, "segment %" G_GUINT64_FORMAT ": %s", bsp->counter,
		    what);
	return FALSE;
}

/* Strip zeros and one 80; returns the payload's length, or -1. */
static gssize unpad(const guint8 *buf, gsize len)
{
	gsize end = len;

	while (end && !buf[end - 1])
		end--;
	if (!end || buf[end - 1] != 0x80 || len - end >= BLOCK)
		return -1;
	return end - 1;
}

static gboolean decrypt(Engine *e, const IfppBsp *bsp, IfppSpan body, GByteArray *out, GError **error)
{
	guint8 buf[IFPP_BSP_TLV_MAX];
	gssize len = -1;
	gboolean ok;
	int ret;

	memcpy(buf, body.data, body.len);
	ret = cbc_start(e, bsp);
	if (ret >= 0)
		ret = gnutls_cipher_decrypt(e->aes, buf, body.len);
	ok = crypto(ret, error);
	if (ok) {
		len = unpad(buf, body.len);
		ok = len >= 0 || insecure(bsp, "wrong padding", error);
	}
	if (ok)
		g_byte_array_append(out, buf, len);
	gnutls_memset(buf, 0, sizeof(buf));
	return ok;
}

gboolean ifpp_bsp_open(IfppBsp *bsp, const IfppTlv *tlv, GByteArray *out, GError **error)
{
	IfppSpan body = { tlv->value.data, tlv->value.len - MAC_LEN };
	gboolean encrypted = tlv->tag == 0x86 || tlv->tag == 0x87;
	guint8 mac[16];
	gboolean ok;
	Engine e;

	if ((!encrypted && tlv->tag != 0x88) || tlv->whole.len > IFPP_BSP_TLV_MAX ||
	    tlv->value.len < MAC_LEN || (encrypted && (!body.len || body.len % BLOCK))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV,
			    "segment %" G_GUINT64_FORMAT ": tag %02X with %zu bytes", bsp->counter, tlv->tag,
			    tlv->value.len);
		return FALSE;
	}
	if (!engine_open(&e, bsp, error))
		return FALSE;
	ok = crypto(chain_mac(&e, bsp, tlv->whole.data, tlv->whole.len - MAC_LEN, mac), error);
	if (ok && gnutls_memcmp(mac, body.data + body.len, MAC_LEN))
		ok = insecure(bsp, "wrong MAC", error);
	else if (ok && encrypted)
		ok = decrypt(&e, bsp, body, out, error);
	else if (ok)
		g_byte_array_append(out, body.data, body.len);
	engine_close(&e);
	if (ok) {
		memcpy(bsp->mcv, mac, 16);
		bsp->counter++;
	}
	gnutls_memset(mac, 0, sizeof(mac));
	return ok;
}
