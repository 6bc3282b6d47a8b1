// SPDX-License-Identifier: GPL-2.0-or-later
#include "envelope.h"

#include <string.h>

#include "bsp.h"
#include "error.h"

#define SIGNATURE_LEN 71
#define TRIES 32

static const guint8 version_1[] = { 0x02, 0x01, 0x01 };
static const guint8 oid_signed_data[] = { 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02 };
static const guint8 oid_data[] = { 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01 };
static const guint8 alg_sha256[] = { 0x30, 0x0B, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01 };
static const guint8 alg_ecdsa_sha256[] = { 0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02 };

/* n, the order of P-256's group. */
static const guint8 order[32] = {
	0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
};

#define PUT(out, bytes) g_byte_array_append(out, bytes, sizeof(bytes))

/* Bytes of a 32-byte number as a DER INTEGER's value. */
static gsize der_len(const guint8 *n)
{
	gsize len = 32;

	while (len > 1 && !*n) {
		n++;
		len--;
	}
	return len + (*n >> 7);
}

static void put_integer(GByteArray *out, const guint8 n[32])
{
	guint8 value[33] = {};
	gsize len = der_len(n);

	memcpy(value + 1, n, 32);
	ifpp_tlv_put(out, 0x02, value + 33 - len, len);
}

/*
 * DER of a plain signature in exactly SIGNATURE_LEN bytes. (r, s) and (r, n - s) are
 * equally valid and their lengths mostly differ: take the one that fits.
 */
static gboolean fit_signature(guint8 sig[64], GByteArray *out)
{
	gsize want = SIGNATURE_LEN - 2 - 2 - 2 - der_len(sig);
	guint8 *s = sig + 32;

	if (der_len(s) != want) {
		int borrow = 0;

		for (int i = 31; i >= 0; i--) {
			int d = order[i] - s[i] - borrow;

			borrow = d < 0;
			s[i] = d;
		}
		if (der_len(s) != want)
			return FALSE;
	}
	ifpp_tlv_put_header(out, 0x30, SIGNATURE_LEN - 2);
	put_integer(out, sig);
	put_integer(out, s);
	return TRUE;
}

static int compare(gconstpointer a, gconstpointer b)
{
	return g_bytes_compare(*(GBytes *const *)a, *(GBytes *const *)b);
}

/* SET OF in DER: ascending. */
static GByteArray *join_certificates(GPtrArray *chain)
{
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();
	GByteArray *out = g_byte_array_new();

	for (guint i = 0; i < chain->len; i++)
		g_ptr_array_add(sorted, chain->pdata[i]);
	g_ptr_array_sort(sorted, compare);
	for (guint i = 0; i < sorted->len; i++) {
		IfppSpan der = ifpp_span_bytes(sorted->pdata[i]);

		g_byte_array_append(out, der.data, der.len);
	}
	return out;
}

/* Bytes of a TLV with a one-byte tag. */
static gsize size_of(gsize len)
{
	return 1 + (len < 0x80 ? 1 : len < 0x100 ? 2 : len < 0x10000 ? 3 : 4) + len;
}

static gboolean put_signature(IfppSpan content, gnutls_privkey_t key, GByteArray *out, GError **error)
{
	guint8 sig[64];

	/* One in about 64 has an r or s too short for either form to fit. */
	for (int i = 0; i < TRIES; i++) {
		if (!ifpp_ecdsa_sign(key, &content, 1, sig, error))
			return FALSE;
		if (fit_signature(sig, out))
			return TRUE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "signing key: makes no usable signature");
	return FALSE;
}

/* Lengths of the parts, known before anything is signed. */
typedef struct {
	GByteArray *certs;
	IfppSpan issuer, serial;
	gsize content, sid, signer, encap, data, body;
} Layout;

static gboolean lay_out(Layout *l, gsize content_len, GPtrArray *chain, GError **error)
{
	if (!ifpp_cert_issuer_serial(ifpp_span_bytes(chain->pdata[0]), &l->issuer, &l->serial, error))
		return FALSE;
	l->certs = join_certificates(chain);
	l->content = content_len;
	l->sid = l->issuer.len + l->serial.len;
	l->signer = sizeof(version_1) + size_of(l->sid) + sizeof(alg_sha256) + sizeof(alg_ecdsa_sha256) +
		    size_of(SIGNATURE_LEN);
	l->encap = sizeof(oid_data) + size_of(size_of(l->content));
	l->data = sizeof(version_1) + size_of(sizeof(alg_sha256)) + size_of(l->encap) + size_of(l->certs->len) +
		  size_of(size_of(l->signer));
	l->body = size_of(sizeof(oid_signed_data) + size_of(size_of(l->data)));
	return TRUE;
}

static gboolean put_signed_data(const Layout *l, IfppSpan content, gnutls_privkey_t key, GByteArray *out,
				GError **error)
{
	gsize before = out->len;

	ifpp_tlv_put_header(out, 0x30, sizeof(oid_signed_data) + size_of(size_of(l->data)));
	PUT(out, oid_signed_data);
	ifpp_tlv_put_header(out, 0xA0, size_of(l->data));
	ifpp_tlv_put_header(out, 0x30, l->data);
	PUT(out, version_1);
	ifpp_tlv_put(out, 0x31, alg_sha256, sizeof(alg_sha256));
	ifpp_tlv_put_header(out, 0x30, l->encap);
	PUT(out, oid_data);
	ifpp_tlv_put_header(out, 0xA0, size_of(l->content));
	ifpp_tlv_put_span(out, 0x04, content);
	ifpp_tlv_put(out, 0xA0, l->certs->data, l->certs->len);
	ifpp_tlv_put_header(out, 0x31, size_of(l->signer));
	ifpp_tlv_put_header(out, 0x30, l->signer);
	PUT(out, version_1);
	ifpp_tlv_put_header(out, 0x30, l->sid);
	g_byte_array_append(out, l->issuer.data, l->issuer.len);
	g_byte_array_append(out, l->serial.data, l->serial.len);
	PUT(out, alg_sha256);
	PUT(out, alg_ecdsa_sha256);
	ifpp_tlv_put_header(out, 0x04, SIGNATURE_LEN);
	if (!put_signature(content, key, out, error))
		return FALSE;

	g_assert(content.len == l->content && out->len == before + l->body);
	return TRUE;
}

GBytes *envelope_seal(const guint8 eid[16], const guint8 key_id[32], IfppSpan bf36, GPtrArray *chain,
		      gnutls_privkey_t key, GError **error)
{
	g_autoptr(GByteArray) certs = NULL, out = NULL;
	g_autoptr(GBytes) content = NULL;
	guint8 header[IFPP_HEADER_LEN];
	IfppHeader fields;
	Layout l;

	/* The signed header tells the length. */
	if (!lay_out(&l, size_of(size_of(IFPP_HEADER_LEN) + bf36.len), chain, error))
		return NULL;
	certs = l.certs;
	if (IFPP_HEADER_LEN + l.body > IFPP_PACKAGE_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOO_LARGE, "package: %zu bytes, more than %d",
			    IFPP_HEADER_LEN + l.body, IFPP_PACKAGE_MAX);
		return NULL;
	}

	fields.body_len = l.body;
	memcpy(fields.eid, eid, sizeof(fields.eid));
	memcpy(fields.key_id, key_id, sizeof(fields.key_id));
	ifpp_header_write(&fields, header);
	content = ifpp_package_content(header, bf36);

	out = g_byte_array_sized_new(IFPP_HEADER_LEN + l.body);
	PUT(out, header);
	if (!put_signed_data(&l, ifpp_span_bytes(content), key, out, error))
		return NULL;
	return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

GBytes *envelope_sign(IfppSpan content, GPtrArray *chain, gnutls_privkey_t key, GError **error)
{
	g_autoptr(GByteArray) certs = NULL, out = NULL;
	Layout l;

	if (!lay_out(&l, content.len, chain, error))
		return NULL;
	certs = l.certs;
	out = g_byte_array_sized_new(l.body);
	if (!put_signed_data(&l, content, key, out, error))
		return NULL;
	return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
