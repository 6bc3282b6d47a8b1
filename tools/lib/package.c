// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The envelope is walked here byte by byte, because "strict" means that nothing may be in it which
 * the signature does not cover or which could have been written differently. What is signed is then
 * known to the byte, and GnuTLS verifies the signature over it.
 */
#include "package.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "cert.h"
#include "eid.h"

#define VERSION 1
#define CERTS_MAX 8

static const guint8 magic[] = { 'I', 'F', 'P', 'P' };

/* RFC 5652, RFC 5754: each has one encoding, and it must be this one. */
static const guint8 oid_signed_data[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02 };
static const guint8 oid_data[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01 };
static const guint8 oid_content_type[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x03 };
static const guint8 oid_message_digest[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04 };
static const guint8 oid_signing_time[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x05 };
static const guint8 alg_sha256[] = { 0x30, 0x0B, 0x06, 0x09, 0x60, 0x86, 0x48,
				    0x01, 0x65, 0x03, 0x04, 0x02, 0x01 };
static const guint8 alg_ecdsa_sha256[] = { 0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86,
					  0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02 };
static const guint8 version_1[] = { 0x02, 0x01, 0x01 };

struct _IfppPackage {
	GBytes *file;
	IfppHeader header;
	IfppBpp *bpp;
	GPtrArray *chain;
	guint8 signer[65];		/* public key of CERT.DPpb */
};

/* Where the parts of an envelope are. */
typedef struct {
	IfppSpan all;
	IfppSpan content;
	IfppSpan attributes;		/* value of the signed ones; empty: none */
	IfppSpan digest;		/* messageDigest in them */
	IfppSpan signature;
	GPtrArray *certs;		/* of GBytes; once the signer is found, it is the first */
	IfppTrust *trust;
	Cert *signer;
} Envelope;

static void envelope_clear(Envelope *env)
{
	g_clear_pointer(&env->signer, cert_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Envelope, envelope_clear)

static gboolean fail(GError **error, IfppError code, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, code, what);
	return FALSE;
}

static gboolean not_strict(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CMS_STRICT, "envelope: %s", what);
	return FALSE;
}

/* ------------------------------------------------------------ header */

static guint32 get_be(const guint8 *p, int n)
{
	guint32 value = 0;

	while (n--)
		value = value << 8 | *p++;
	return value;
}

static void put_be(guint8 *p, int n, guint32 value)
{
	while (n--) {
		p[n] = value;
		value >>= 8;
	}
}

gboolean ifpp_header_parse(IfppSpan file, IfppHeader *out, GError **error)
{
	guint32 len;

	if (file.len == 0)
		return fail(error, IFPP_ERROR_LENGTH, "the file is empty");
	if (file.len < sizeof(magic) || memcmp(file.data, magic, sizeof(magic)) != 0)
		return fail(error, IFPP_ERROR_HEADER, "this is not a sealed package");
	if (file.len < IFPP_HEADER_LEN)
		return fail(error, IFPP_ERROR_LENGTH, "the package is truncated in its header");
	if (file.len > IFPP_PACKAGE_MAX)
		return fail(error, IFPP_ERROR_TOO_LARGE, "the package is larger than 256 KiB");
	if (get_be(file.data + 4, 2) != VERSION)
		return fail(error, IFPP_ERROR_HEADER, "a package version that this program does not know");
	if (get_be(file.data + 6, 2) != IFPP_HEADER_LEN)
		return fail(error, IFPP_ERROR_HEADER, "the package's header length is not 64");
	if (get_be(file.data + 12, 4) != 0)
		return fail(error, IFPP_ERROR_HEADER, "package flags that this program does not know");
	len = get_be(file.data + 8, 4);
	if (len != file.len - IFPP_HEADER_LEN) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LENGTH,
			    "the package should have %u bytes after its header and has %zu", len,
			    file.len - IFPP_HEADER_LEN);
		return FALSE;
	}
	out->body_len = len;
	memcpy(out->eid, file.data + 16, sizeof(out->eid));
	memcpy(out->key_id, file.data + 32, sizeof(out->key_id));
	return TRUE;
}

void ifpp_header_write(const IfppHeader *header, guint8 out[IFPP_HEADER_LEN])
{
	memcpy(out, magic, sizeof(magic));
	put_be(out + 4, 2, VERSION);
	put_be(out + 6, 2, IFPP_HEADER_LEN);
	put_be(out + 8, 4, header->body_len);
	put_be(out + 12, 4, 0);
	memcpy(out + 16, header->eid, sizeof(header->eid));
	memcpy(out + 32, header->key_id, sizeof(header->key_id));
}

GBytes *ifpp_package_content(const guint8 header[IFPP_HEADER_LEN], IfppSpan bf36)
{
	g_autoptr(GByteArray) in = g_byte_array_new();
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(in, 0x04, header, IFPP_HEADER_LEN);
	g_byte_array_append(in, bf36.data, bf36.len);
	ifpp_tlv_put(out, 0x30, in->data, in->len);
	return g_byte_array_free_to_bytes(out);
}

/* ------------------------------------------------------------ envelope */

/* The next TLV, which must have @tag. */
static gboolean want(IfppSpan *in, guint32 tag, const char *what, IfppTlv *out, GError **error)
{
	g_autoptr(GError) why = NULL;

	return ifpp_tlv_expect(in, tag, what, out, &why) || not_strict(error, why->message);
}

/* The next TLV, which must be exactly these bytes. */
static gboolean want_bytes(IfppSpan *in, IfppSpan bytes, const char *what, GError **error)
{
	if (in->len < bytes.len || memcmp(in->data, bytes.data, bytes.len) != 0)
		return not_strict(error, what);
	in->data += bytes.len;
	in->len -= bytes.len;
	return TRUE;
}

static gboolean end(IfppSpan in, const char *what, GError **error)
{
	return in.len == 0 || not_strict(error, what);
}

/* SET OF in DER: members ascend (X.690 11.6). Equal ones would be one thing said twice. */
static gboolean ascends(IfppSpan previous, IfppSpan next)
{
	int order = memcmp(previous.data, next.data, MIN(previous.len, next.len));

	return order < 0 || (order == 0 && previous.len < next.len);
}

/* contentType, messageDigest and perhaps signingTime, each with one value, and nothing else. */
static gboolean check_attributes(Envelope *env, IfppSpan in, GError **error)
{
	gboolean type = FALSE, digest = FALSE;
	IfppSpan previous = { NULL, 0 };
	IfppTlv attr, name, values, value;

	for (; in.len; previous = attr.whole) {
		if (!want(&in, 0x30, "signed attribute", &attr, error) ||
		    !want(&attr.value, 0x06, "signed attribute", &name, error) ||
		    !want(&attr.value, 0x31, "signed attribute", &values, error) ||
		    !end(attr.value, "bytes after a signed attribute", error))
			return FALSE;
		if (previous.len && !ascends(previous, attr.whole))
			return not_strict(error, "signed attributes out of order");
		if (!ifpp_tlv_next(&values.value, &value, NULL) || values.value.len)
			return not_strict(error, "a signed attribute without exactly one value");
		if (ifpp_span_equal(name.value, IFPP_SPAN(oid_content_type))) {
			if (type || value.tag != 0x06 || !ifpp_span_equal(value.value, IFPP_SPAN(oid_data)))
				return not_strict(error, "contentType is not data");
			type = TRUE;
		} else if (ifpp_span_equal(name.value, IFPP_SPAN(oid_message_digest))) {
			if (digest || value.tag != 0x04 || value.value.len != 32)
				return not_strict(error, "messageDigest is not one SHA-256");
			env->digest = value.value;
			digest = TRUE;
		} else if (!ifpp_span_equal(name.value, IFPP_SPAN(oid_signing_time)) ||
			   (value.tag != 0x17 && value.tag != 0x18)) {
			return not_strict(error, "a signed attribute that does not belong here");
		}
	}
	return (type && digest) || not_strict(error, "contentType or messageDigest is missing");
}

/* Find the certificate that the signer identifier names and put it first. */
static gboolean find_signer(Envelope *env, IfppSpan sid, GError **error)
{
	gpointer first;
	guint at = 0;

	for (guint i = 0; i < env->certs->len; i++) {
		g_autoptr(Cert) cert = trust_cert(env->trust, ifpp_span_bytes(env->certs->pdata[i]), error);

		if (!cert)
			return FALSE;
		if (sid.len != cert->issuer.len + cert->serial.len ||
		    memcmp(sid.data, cert->issuer.data, cert->issuer.len) != 0 ||
		    memcmp(sid.data + cert->issuer.len, cert->serial.data, cert->serial.len) != 0)
			continue;
		if (env->signer)
			return not_strict(error, "two certificates for one signer");
		env->signer = g_steal_pointer(&cert);
		at = i;
	}
	if (!env->signer)
		return not_strict(error, "the signer's certificate is not in it");
	first = env->certs->pdata[0];
	env->certs->pdata[0] = env->certs->pdata[at];
	env->certs->pdata[at] = first;
	return TRUE;
}

static gboolean check_signer_info(Envelope *env, IfppSpan in, GError **error)
{
	IfppTlv sid, tlv;

	if (!want_bytes(&in, IFPP_SPAN(version_1), "the signer's version is not 1", error) ||
	    !want(&in, 0x30, "signer identifier", &sid, error) || !find_signer(env, sid.value, error) ||
	    !want_bytes(&in, IFPP_SPAN(alg_sha256), "the signer's digest is not SHA-256", error))
		return FALSE;
	if (ifpp_tlv_take(&in, 0xA0, &tlv)) {
		if (!check_attributes(env, tlv.value, error))
			return FALSE;
		env->attributes = tlv.value;
	}
	if (!want_bytes(&in, IFPP_SPAN(alg_ecdsa_sha256), "the signature is not ECDSA with SHA-256", error) ||
	    !want(&in, 0x04, "signature", &tlv, error))
		return FALSE;
	if (!ifpp_ecdsa_der_strict(tlv.value))
		return not_strict(error, "the signature is not DER");
	env->signature = tlv.value;
	return end(in, "unsigned attributes", error);
}

static gboolean check_certificates(Envelope *env, IfppSpan in, GError **error)
{
	IfppSpan previous = { NULL, 0 };
	IfppTlv cert;

	for (; in.len; previous = cert.whole) {
		if (!want(&in, 0x30, "certificate", &cert, error))
			return FALSE;
		if (previous.len && !ascends(previous, cert.whole))
			return not_strict(error, "certificates out of order");
		if (env->certs->len == CERTS_MAX)
			return not_strict(error, "too many certificates");
		g_ptr_array_add(env->certs, g_bytes_new(cert.whole.data, cert.whole.len));
	}
	return TRUE;
}

static gboolean check_envelope(Envelope *env, GError **error)
{
	IfppSpan in = env->all;
	IfppTlv info, type, tlv, data, certs, signers, signer;

	if (!ifpp_tlv_take(&in, 0x30, &info) || !ifpp_tlv_take(&info.value, 0x06, &type) ||
	    !ifpp_span_equal(type.value, IFPP_SPAN(oid_signed_data)))
		return fail(error, IFPP_ERROR_CMS, "envelope: not a CMS SignedData in DER");
	if (!end(in, "bytes after the end", error) || !want(&info.value, 0xA0, "content", &tlv, error) ||
	    !end(info.value, "bytes after the content", error) ||
	    !want(&tlv.value, 0x30, "SignedData", &data, error) ||
	    !end(tlv.value, "bytes after SignedData", error))
		return FALSE;

	in = data.value;
	if (!want_bytes(&in, IFPP_SPAN(version_1), "SignedData is not version 1", error) ||
	    !want(&in, 0x31, "digest algorithms", &tlv, error))
		return FALSE;
	if (!ifpp_span_equal(tlv.value, IFPP_SPAN(alg_sha256)))
		return not_strict(error, "the digest algorithm is not only SHA-256");
	if (!want(&in, 0x30, "encapsulated content", &info, error) ||
	    !want(&info.value, 0x06, "content type", &type, error) ||
	    !want(&info.value, 0xA0, "encapsulated content", &tlv, error) ||
	    !end(info.value, "bytes after the encapsulated content", error) ||
	    !want(&tlv.value, 0x04, "encapsulated content", &info, error) ||
	    !end(tlv.value, "bytes after the encapsulated content", error))
		return FALSE;
	if (!ifpp_span_equal(type.value, IFPP_SPAN(oid_data)))
		return not_strict(error, "the content type is not data");
	env->content = info.value;

	if (!want(&in, 0xA0, "certificates", &certs, error) ||
	    !check_certificates(env, certs.value, error))
		return FALSE;
	if (ifpp_tlv_take(&in, 0xA1, &tlv))
		return not_strict(error, "CRLs do not belong in it");
	if (!want(&in, 0x31, "signers", &signers, error) || !end(in, "bytes after the signers", error) ||
	    !want(&signers.value, 0x30, "signer", &signer, error) ||
	    !end(signers.value, "more than one signer", error))
		return FALSE;
	return check_signer_info(env, signer.value, error);
}

/* RFC 5652 5.4: over the content, or over the attributes, as the SET that they are, with its digest. */
static gboolean verify_signature(Envelope *env, GError **error)
{
	gnutls_datum_t sig = cert_datum(env->signature), hash;
	guint8 digest[32];
	int rc = 0;

	gnutls_hash_fast(GNUTLS_DIG_SHA256, env->content.data, env->content.len, digest);
	if (env->attributes.len) {
		g_autoptr(GByteArray) set = g_byte_array_sized_new(env->attributes.len + 8);

		if (memcmp(env->digest.data, digest, sizeof(digest)) != 0)
			rc = GNUTLS_E_PK_SIG_VERIFY_FAILED;
		ifpp_tlv_put_span(set, 0x31, env->attributes);
		gnutls_hash_fast(GNUTLS_DIG_SHA256, set->data, set->len, digest);
	}
	hash = (gnutls_datum_t){ digest, sizeof(digest) };
	if (rc >= 0)
		rc = gnutls_pubkey_verify_hash2(env->signer->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &hash, &sig);
	if (rc < 0)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CMS_SIGNATURE,
			    "envelope: the Key Maker's signature does not verify: %s", gnutls_strerror(rc));
	return rc >= 0;
}

static gboolean verify_chain(Envelope *env, GError **error)
{
	g_autoptr(GPtrArray) pool = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);

	for (guint i = 1; i < env->certs->len; i++) {
		Cert *cert = trust_cert(env->trust, ifpp_span_bytes(env->certs->pdata[i]), error);

		if (!cert)
			return FALSE;
		g_ptr_array_add(pool, cert);
	}
	return trust_verify(env->trust, env->signer, pool, IFPP_ROLE_DP_PB, error);
}

static gboolean open_envelope(Envelope *env, GError **error)
{
	return check_envelope(env, error) && verify_chain(env, error) && verify_signature(env, error);
}

GBytes *ifpp_envelope_open(GBytes *der, IfppTrust *trust, GError **error)
{
	g_autoptr(GPtrArray) certs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_auto(Envelope) env = { .all = ifpp_span_bytes(der), .certs = certs, .trust = trust };

	if (!open_envelope(&env, error))
		return NULL;
	return g_bytes_new_from_bytes(der, env.content.data - env.all.data, env.content.len);
}

/* ------------------------------------------------------------ package */

char *ifpp_package_file_name(const guint8 eid[16], const guint8 key_id[32])
{
	g_autofree char *id = ifpp_hex((IfppSpan){ key_id, IFPP_FILE_KEY_LEN });
	char digits[33];

	ifpp_eid_format(eid, digits);
	return g_strdup_printf("%s-%s.ifpp", digits, id);
}

static gboolean open_content(IfppPackage *package, IfppSpan in, GError **error)
{
	const guint8 *file = g_bytes_get_data(package->file, NULL);
	g_autoptr(GBytes) bf36 = NULL;
	IfppTlv all, header;

	if (!ifpp_tlv_expect(&in, 0x30, "package content", &all, error) ||
	    !ifpp_tlv_expect(&all.value, 0x04, "signed header", &header, error))
		return FALSE;
	if (in.len)
		return fail(error, IFPP_ERROR_LENGTH, "package content: bytes after the end");
	if (!ifpp_span_equal(header.value, (IfppSpan){ file, IFPP_HEADER_LEN }))
		return fail(error, IFPP_ERROR_HEADER_MISMATCH,
			    "the package's header is not the one that was signed");
	bf36 = g_bytes_new_from_bytes(package->file, all.value.data - file, all.value.len);
	package->bpp = ifpp_bpp_parse(bf36, error);
	return package->bpp != NULL;
}

/* @trust NULL: the signature is not looked at. */
static IfppPackage *open_package(GBytes *file, IfppTrust *trust, GError **error)
{
	g_autoptr(IfppPackage) package = g_new0(IfppPackage, 1);
	IfppSpan all = ifpp_span_bytes(file);
	g_auto(Envelope) env = { .trust = trust };

	package->file = g_bytes_ref(file);
	package->chain = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	if (!ifpp_header_parse(all, &package->header, error))
		return NULL;

	env.certs = package->chain;
	env.all = (IfppSpan){ all.data + IFPP_HEADER_LEN, all.len - IFPP_HEADER_LEN };
	if (!(trust ? open_envelope(&env, error) : check_envelope(&env, error)) ||
	    !cert_point(env.signer, package->signer, error) ||
	    !open_content(package, env.content, error))
		return NULL;
	return g_steal_pointer(&package);
}

IfppPackage *ifpp_package_open(GBytes *file, IfppTrust *trust, GError **error)
{
	g_return_val_if_fail(trust, NULL);
	return open_package(file, trust, error);
}

IfppPackage *ifpp_package_read_proven(GBytes *file, GError **error)
{
	return open_package(file, NULL, error);
}

void ifpp_package_free(IfppPackage *package)
{
	g_clear_pointer(&package->bpp, ifpp_bpp_free);
	g_ptr_array_unref(package->chain);
	g_bytes_unref(package->file);
	g_free(package);
}

const IfppHeader *ifpp_package_header(IfppPackage *package)
{
	return &package->header;
}

IfppBpp *ifpp_package_bpp(IfppPackage *package)
{
	return package->bpp;
}

GPtrArray *ifpp_package_chain(IfppPackage *package)
{
	return package->chain;
}

gboolean ifpp_package_check_chip(IfppPackage *package, const guint8 eid[16], const guint8 *otpk,
				 GError **error)
{
	guint8 key_id[32];

	if (memcmp(package->header.eid, eid, sizeof(package->header.eid)) != 0)
		return fail(error, IFPP_ERROR_WRONG_EID, "the package is sealed for another chip");
	if (!otpk)
		return fail(error, IFPP_ERROR_UNKNOWN_KEY,
			    "the package is sealed to a one-time key that this chip does not have");
	ifpp_key_id(otpk, key_id);
	if (memcmp(package->header.key_id, key_id, sizeof(key_id)) != 0)
		return fail(error, IFPP_ERROR_UNKNOWN_KEY, "the package is sealed to another one-time key");
	return ifpp_bpp_verify_sign(package->bpp, package->signer, otpk, error);
}
