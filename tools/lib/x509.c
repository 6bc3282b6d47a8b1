// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * GnuTLS does the cryptography and decodes keys, dates and the standard extensions. The path is
 * walked here: RSP links certificates by key identifier only, and its EUM name constraints give
 * serialNumber a prefix meaning that no general path validator knows.
 */
#include "x509.h"

#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "eid.h"
#include "error.h"
#include "file.h"

#define OID_ROLE "2.23.146.1.2.1."
#define ID_LEN 20		/* key identifiers: SHA-1 of the public key */
#define OTHERS_MAX 8
#define EIN_DIGITS_MIN 8
#define FILE_MAX_CERT (64 * 1024)
#define FILE_MAX_CRL (4 * 1024 * 1024)

/* Content octets of the object identifiers that we look for. */
static const guint8 oid_key_usage[] = { 0x55, 0x1D, 0x0F };
static const guint8 oid_basic_constraints[] = { 0x55, 0x1D, 0x13 };
static const guint8 oid_alt_name[] = { 0x55, 0x1D, 0x11 };
static const guint8 oid_name_constraints[] = { 0x55, 0x1D, 0x1E };
static const guint8 oid_policies[] = { 0x55, 0x1D, 0x20 };
static const guint8 oid_ski[] = { 0x55, 0x1D, 0x0E };
static const guint8 oid_aki[] = { 0x55, 0x1D, 0x23 };
static const guint8 oid_crl_number[] = { 0x55, 0x1D, 0x14 };
static const guint8 oid_permitted_eins[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x02, 0x00 };
static const guint8 oid_common_name[] = { 0x55, 0x04, 0x03 };
static const guint8 oid_serial_number[] = { 0x55, 0x04, 0x05 };
static const guint8 oid_organization[] = { 0x55, 0x04, 0x0A };

/* AlgorithmIdentifier ecdsa-with-SHA256, parameters absent (RFC 5758 3.2) */
static const guint8 ecdsa_sha256[] = {
	0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
};

/* The three parts of everything X.509 signs, and the extensions. */
typedef struct {
	IfppSpan tbs;
	IfppSpan sig;
	IfppSpan extensions;		/* SEQUENCE OF Extension, its value; may be empty */
} Signed;

typedef struct {
	GBytes *bytes;
	Signed s;
	IfppSpan issuer, serial, subject, spki;
	gnutls_pubkey_t key;
	gnutls_x509_crt_t crt;		/* NULL until cert_decode() */
	guint8 ski[ID_LEN], aki[ID_LEN];
	gboolean has_aki;
	gboolean used;
	char *name;			/* for messages: never the EID */
} Cert;

typedef struct {
	GBytes *bytes;
	Signed s;
	IfppSpan issuer;
	gnutls_x509_crl_t crl;
	guint8 aki[ID_LEN];
	Cert *proven_by;		/* root whose signature was checked already */
} Crl;

struct _IfppTrust {
	GPtrArray *roots;		/* of Cert */
	GPtrArray *crls;		/* of Crl */
	gboolean fixed_time;
	gint64 time;
};

static gboolean fail(GError **error, IfppError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static gboolean fail(GError **error, IfppError code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(IFPP_ERROR, code, format, args);
	va_end(args);
	return FALSE;
}

#define SPAN_IS(span, array) ifpp_span_equal(span, IFPP_SPAN(array))

static gnutls_datum_t datum(IfppSpan span)
{
	return (gnutls_datum_t){ (guint8 *)span.data, span.len };
}

/* ------------------------------------------------------------ ECDSA */

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

/* ------------------------------------------------------------ DER around certificates and CRLs */

static gboolean split_signed(IfppSpan der, Signed *out, GError **error)
{
	IfppTlv all, tbs, alg, bits;

	if (!ifpp_tlv_expect(&der, 0x30, "SEQUENCE", &all, error))
		return FALSE;
	if (der.len)
		return fail(error, IFPP_ERROR_TLV, "bytes after the end");
	der = all.value;
	if (!ifpp_tlv_expect(&der, 0x30, "signed part", &tbs, error) ||
	    !ifpp_tlv_expect(&der, 0x30, "signature algorithm", &alg, error) ||
	    !ifpp_tlv_expect(&der, 0x03, "signature", &bits, error))
		return FALSE;
	if (der.len)
		return fail(error, IFPP_ERROR_TLV, "bytes after the signature");
	if (!SPAN_IS(alg.whole, ecdsa_sha256))
		return fail(error, IFPP_ERROR_TLV, "not signed with ECDSA and SHA-256");
	out->tbs = tbs.whole;
	out->sig = (IfppSpan){ bits.value.data + 1, bits.value.len - 1 };
	if (bits.value.len < 2 || bits.value.data[0] != 0 || !ifpp_ecdsa_der_strict(out->sig))
		return fail(error, IFPP_ERROR_TLV, "the signature is not DER");
	return TRUE;
}

/* One Extension off the front of a SEQUENCE OF Extension. */
static gboolean next_extension(IfppSpan *list, IfppSpan *oid, gboolean *critical, IfppSpan *value,
			       GError **error)
{
	IfppTlv ext, tlv;

	if (!ifpp_tlv_expect(list, 0x30, "extension", &ext, error) ||
	    !ifpp_tlv_expect(&ext.value, 0x06, "extension name", &tlv, error))
		return FALSE;
	*oid = tlv.value;
	*critical = FALSE;
	if (ifpp_tlv_take(&ext.value, 0x01, &tlv)) {
		/* DER 11.5: the default FALSE is left out; 11.1: TRUE is FF */
		if (tlv.value.len != 1 || tlv.value.data[0] != 0xFF)
			return fail(error, IFPP_ERROR_TLV, "extension: criticality is not DER");
		*critical = TRUE;
	}
	if (!ifpp_tlv_expect(&ext.value, 0x04, "extension value", &tlv, error))
		return FALSE;
	if (ext.value.len)
		return fail(error, IFPP_ERROR_TLV, "extension: bytes after the value");
	*value = tlv.value;
	return TRUE;
}

/* Every extension at most once, and none critical that we would ignore. */
static gboolean check_extensions(IfppSpan list, const IfppSpan *known, gsize n_known, GError **error)
{
	IfppSpan rest = list, oid, value, oid2, value2;
	gboolean critical, critical2;

	while (rest.len) {
		gboolean is_known = FALSE;
		IfppSpan others;

		if (!next_extension(&rest, &oid, &critical, &value, error))
			return FALSE;
		for (others = rest; others.len;) {
			if (!next_extension(&others, &oid2, &critical2, &value2, error))
				return FALSE;
			if (ifpp_span_equal(oid, oid2))
				return fail(error, IFPP_ERROR_TLV, "an extension is there twice");
		}
		for (gsize i = 0; i < n_known; i++)
			is_known |= ifpp_span_equal(oid, known[i]);
		if (critical && !is_known)
			return fail(error, IFPP_ERROR_TLV, "a critical extension that is not understood");
	}
	return TRUE;
}

static gboolean find_extension(IfppSpan list, IfppSpan wanted, IfppSpan *value)
{
	IfppSpan oid;
	gboolean critical;

	while (list.len) {
		if (!next_extension(&list, &oid, &critical, value, NULL))
			return FALSE;
		if (ifpp_span_equal(oid, wanted))
			return TRUE;
	}
	return FALSE;
}

/*
 * The one attribute of a Name (SEQUENCE OF SET OF SEQUENCE { type, value }) with type @oid.
 * FALSE when it is absent, there twice, or not a string that compares byte by byte.
 */
static gboolean name_attribute(IfppSpan name, IfppSpan oid, IfppSpan *value)
{
	IfppTlv rdns, rdn, atv, type, string;
	gboolean found = FALSE;

	if (!ifpp_tlv_take(&name, 0x30, &rdns) || name.len)
		return FALSE;
	while (rdns.value.len) {
		if (!ifpp_tlv_take(&rdns.value, 0x31, &rdn))
			return FALSE;
		while (rdn.value.len) {
			if (!ifpp_tlv_take(&rdn.value, 0x30, &atv) ||
			    !ifpp_tlv_take(&atv.value, 0x06, &type) ||
			    !ifpp_tlv_next(&atv.value, &string, NULL) || atv.value.len)
				return FALSE;
			if (!ifpp_span_equal(type.value, oid))
				continue;
			/* PrintableString, UTF8String, IA5String */
			if (found || (string.tag != 0x13 && string.tag != 0x0C && string.tag != 0x16))
				return FALSE;
			*value = string.value;
			found = TRUE;
		}
	}
	return found;
}

/* ------------------------------------------------------------ certificates */

static void cert_free(Cert *cert)
{
	if (cert->crt)
		gnutls_x509_crt_deinit(cert->crt);
	if (cert->key)
		gnutls_pubkey_deinit(cert->key);
	g_clear_pointer(&cert->bytes, g_bytes_unref);
	g_free(cert->name);
	g_free(cert);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cert, cert_free)

static char *cert_name(IfppSpan subject, IfppSpan serial)
{
	g_autofree char *number = NULL;
	g_autofree char *text = NULL;
	IfppSpan cn;

	serial.len = MIN(serial.len, 20);
	number = ifpp_hex(serial);
	if (!name_attribute(subject, IFPP_SPAN(oid_common_name), &cn))
		return g_strdup_printf("certificate %s", number);
	text = g_utf8_make_valid((const char *)cn.data, MIN(cn.len, 64));
	return g_strdup_printf("certificate '%s' (%s)", text, number);
}

static gboolean split_cert(IfppSpan der, Cert *cert, GError **error)
{
	static const guint8 v3[] = { 0x02, 0x01, 0x02 };
	IfppTlv tbs, version, serial, alg, issuer, validity, subject, spki, ext, list;
	IfppSpan known[] = {
		IFPP_SPAN(oid_key_usage), IFPP_SPAN(oid_basic_constraints),
		IFPP_SPAN(oid_alt_name),  IFPP_SPAN(oid_name_constraints),
		IFPP_SPAN(oid_policies),  IFPP_SPAN(oid_ski),
		IFPP_SPAN(oid_aki),       IFPP_SPAN(oid_permitted_eins),
	};
	IfppSpan in;

	if (!split_signed(der, &cert->s, error))
		return FALSE;
	in = cert->s.tbs;
	if (!ifpp_tlv_expect(&in, 0x30, "certificate", &tbs, error))
		return FALSE;
	in = tbs.value;
	if (!ifpp_tlv_expect(&in, 0xA0, "version", &version, error) ||
	    !ifpp_tlv_expect(&in, 0x02, "serialNumber", &serial, error) ||
	    !ifpp_tlv_expect(&in, 0x30, "signature algorithm", &alg, error) ||
	    !ifpp_tlv_expect(&in, 0x30, "issuer", &issuer, error) ||
	    !ifpp_tlv_expect(&in, 0x30, "validity", &validity, error) ||
	    !ifpp_tlv_expect(&in, 0x30, "subject", &subject, error) ||
	    !ifpp_tlv_expect(&in, 0x30, "public key", &spki, error) ||
	    !ifpp_tlv_expect(&in, 0xA3, "extensions", &ext, error) ||
	    !ifpp_tlv_expect(&ext.value, 0x30, "extensions", &list, error))
		return FALSE;
	if (in.len || ext.value.len)
		return fail(error, IFPP_ERROR_TLV, "bytes after the extensions");
	if (!SPAN_IS(version.value, v3))
		return fail(error, IFPP_ERROR_TLV, "not an X.509 version 3 certificate");
	if (!SPAN_IS(alg.whole, ecdsa_sha256))
		return fail(error, IFPP_ERROR_TLV, "two different signature algorithms");
	cert->s.extensions = list.value;
	cert->issuer = issuer.whole;
	cert->serial = serial.whole;
	cert->subject = subject.whole;
	cert->spki = spki.whole;
	cert->name = cert_name(cert->subject, serial.value);
	return check_extensions(list.value, known, G_N_ELEMENTS(known), error);
}

static gboolean key_is_p256(gnutls_pubkey_t key)
{
	gnutls_ecc_curve_t curve;

	return gnutls_pubkey_get_pk_algorithm(key, NULL) == GNUTLS_PK_ECDSA &&
	       gnutls_pubkey_export_ecc_raw2(key, &curve, NULL, NULL, 0) >= 0 &&
	       curve == GNUTLS_ECC_CURVE_SECP256R1 && gnutls_pubkey_verify_params(key) >= 0;
}

/* keyIdentifier of SubjectKeyIdentifier (@tag 04) or, one level down, of AuthorityKeyIdentifier (80). */
static gboolean key_identifier(Cert *cert, IfppSpan oid, guint32 tag, guint8 id[ID_LEN])
{
	IfppSpan value;
	IfppTlv tlv;

	if (!find_extension(cert->s.extensions, oid, &value))
		return FALSE;
	if (tag == 0x80) {
		if (!ifpp_tlv_take(&value, 0x30, &tlv) || value.len)
			return FALSE;
		value = tlv.value;
	}
	if (!ifpp_tlv_find(value, tag, &tlv) || tlv.value.len != ID_LEN)
		return FALSE;
	memcpy(id, tlv.value.data, ID_LEN);
	return TRUE;
}

/* A certificate that nothing is proven about yet. Every failure is IFPP_ERROR_CHAIN. */
static Cert *cert_new(IfppSpan der, GError **error)
{
	g_autoptr(Cert) cert = g_new0(Cert, 1);
	g_autoptr(GError) why = NULL;
	gnutls_datum_t spki;
	int rc;

	cert->bytes = g_bytes_new(der.data, der.len);
	if (!split_cert(ifpp_span_bytes(cert->bytes), cert, &why)) {
		fail(error, IFPP_ERROR_CHAIN, "%s: %s", cert->name ? cert->name : "certificate",
		     why->message);
		return NULL;
	}
	if (gnutls_pubkey_init(&cert->key) < 0)
		g_error("out of memory");
	spki = datum(cert->spki);
	rc = gnutls_pubkey_import(cert->key, &spki, GNUTLS_X509_FMT_DER);
	if (rc < 0) {
		fail(error, IFPP_ERROR_CHAIN, "%s: its key cannot be read: %s", cert->name,
		     gnutls_strerror(rc));
		return NULL;
	}
	if (!key_is_p256(cert->key)) {
		fail(error, IFPP_ERROR_CHAIN, "%s: its key is not on NIST P-256", cert->name);
		return NULL;
	}
	if (!key_identifier(cert, IFPP_SPAN(oid_ski), 0x04, cert->ski)) {
		fail(error, IFPP_ERROR_CHAIN, "%s: has no subject key identifier of 20 bytes", cert->name);
		return NULL;
	}
	cert->has_aki = key_identifier(cert, IFPP_SPAN(oid_aki), 0x80, cert->aki);
	return g_steal_pointer(&cert);
}

/* The rest of it, which only a certificate in a path needs. */
static gboolean cert_decode(Cert *cert, GError **error)
{
	gnutls_datum_t data = datum(ifpp_span_bytes(cert->bytes));
	int rc;

	if (cert->crt)
		return TRUE;
	if (gnutls_x509_crt_init(&cert->crt) < 0)
		g_error("out of memory");
	rc = gnutls_x509_crt_import(cert->crt, &data, GNUTLS_X509_FMT_DER);
	return rc >= 0 ||
	       fail(error, IFPP_ERROR_CHAIN, "%s: cannot be read: %s", cert->name, gnutls_strerror(rc));
}

static gboolean signed_by(const Signed *s, Cert *issuer)
{
	gnutls_datum_t tbs = datum(s->tbs), sig = datum(s->sig);

	return gnutls_pubkey_verify_data2(issuer->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &tbs, &sig) >= 0;
}

static gboolean check_role(Cert *cert, IfppRole role, gboolean sub_ca, GError **error)
{
	g_autofree char *wanted = g_strdup_printf(OID_ROLE "%d", role);
	gboolean found = FALSE;

	for (guint i = 0;; i++) {
		struct gnutls_x509_policy_st policy;
		gboolean is_role, fits;
		int rc = gnutls_x509_crt_get_policy(cert->crt, i, &policy, NULL);

		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (rc < 0)
			return fail(error, IFPP_ERROR_ROLE, "%s: its certificate policies cannot be read",
				    cert->name);
		is_role = g_str_has_prefix(policy.oid, OID_ROLE);
		/* A sub-CA bears the CI's own role or one that the CI's arc names (2.23.146.1.2.1.0...). */
		fits = g_str_equal(policy.oid, wanted) ||
		       (sub_ca && g_str_has_prefix(policy.oid, OID_ROLE "0."));
		gnutls_x509_policy_release(&policy);
		if (is_role && !fits)
			return fail(error, IFPP_ERROR_ROLE, "%s: has another role than %s", cert->name,
				    wanted);
		found |= fits;
	}
	if (!found)
		return fail(error, IFPP_ERROR_ROLE, "%s: does not have the role %s", cert->name, wanted);
	return TRUE;
}

/* @below: CA certificates between this one and the leaf. */
static gboolean check_usage(Cert *cert, gboolean ca, int below, GError **error)
{
	unsigned int usage, is_ca = 0;
	int pathlen = -1;
	int rc = gnutls_x509_crt_get_key_usage(cert->crt, &usage, NULL);

	if (rc < 0)
		return fail(error, IFPP_ERROR_KEY_USAGE, "%s: has no key usage", cert->name);
	rc = gnutls_x509_crt_get_basic_constraints(cert->crt, NULL, &is_ca, &pathlen);
	if (rc < 0 && rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return fail(error, IFPP_ERROR_CHAIN, "%s: its basic constraints cannot be read", cert->name);
	if (!ca) {
		if (!(usage & GNUTLS_KEY_DIGITAL_SIGNATURE) || usage & GNUTLS_KEY_KEY_CERT_SIGN)
			return fail(error, IFPP_ERROR_KEY_USAGE, "%s: its key usage is not digitalSignature",
				    cert->name);
		if (rc >= 0 && is_ca)
			return fail(error, IFPP_ERROR_KEY_USAGE, "%s: is a CA certificate", cert->name);
		return TRUE;
	}
	if (!(usage & GNUTLS_KEY_KEY_CERT_SIGN))
		return fail(error, IFPP_ERROR_KEY_USAGE, "%s: may not sign certificates", cert->name);
	if (rc < 0 || !is_ca)
		return fail(error, IFPP_ERROR_CHAIN, "%s: is not a CA certificate", cert->name);
	if (pathlen >= 0 && pathlen < below)
		return fail(error, IFPP_ERROR_CHAIN, "%s: the path below it is too long", cert->name);
	return TRUE;
}

static gboolean check_dates(Cert *cert, gint64 now, GError **error)
{
	gint64 from, to;

	if (now < 0)
		return TRUE;
	from = gnutls_x509_crt_get_activation_time(cert->crt);
	to = gnutls_x509_crt_get_expiration_time(cert->crt);
	if (from == -1 || to == -1)
		return fail(error, IFPP_ERROR_CHAIN, "%s: its dates cannot be read", cert->name);
	if (now < from)
		return fail(error, IFPP_ERROR_NOT_YET_VALID, "%s: is not valid yet", cert->name);
	if (now > to)
		return fail(error, IFPP_ERROR_EXPIRED, "%s: has expired", cert->name);
	return TRUE;
}

/* ------------------------------------------------------------ what an EUM may issue */

static gboolean is_prefix(IfppSpan prefix, IfppSpan digits)
{
	if (prefix.len < EIN_DIGITS_MIN || prefix.len > digits.len)
		return FALSE;
	for (gsize i = 0; i < prefix.len; i++)
		if (!g_ascii_isdigit(prefix.data[i]))
			return FALSE;
	return memcmp(prefix.data, digits.data, prefix.len) == 0;
}

/*
 * SGP.22 4.5.2.1.0.2: permitted directory names whose serialNumber is the beginning of the
 * EIDs and whose organizationName is the eUICC's. Any other form of constraint would be one
 * that we do not enforce, so it refuses.
 */
static gboolean names_permit(IfppSpan constraints, IfppSpan eid, IfppSpan org)
{
	IfppTlv all, permitted, subtree, name;
	gboolean fits = FALSE;

	if (!ifpp_tlv_take(&constraints, 0x30, &all) || constraints.len ||
	    !ifpp_tlv_take(&all.value, 0xA0, &permitted) || all.value.len)
		return FALSE;
	while (permitted.value.len) {
		IfppSpan prefix, owner;

		if (!ifpp_tlv_take(&permitted.value, 0x30, &subtree) ||
		    !ifpp_tlv_take(&subtree.value, 0xA4, &name) || subtree.value.len)
			return FALSE;
		if (name_attribute(name.value, IFPP_SPAN(oid_serial_number), &prefix) &&
		    name_attribute(name.value, IFPP_SPAN(oid_organization), &owner) &&
		    is_prefix(prefix, eid) && ifpp_span_equal(owner, org))
			fits = TRUE;
	}
	return fits;
}

/* SGP.22 v3: SEQUENCE OF PrintableString */
static gboolean eins_permit(IfppSpan list, IfppSpan eid)
{
	gboolean fits = FALSE;
	IfppTlv all, ein;

	if (!ifpp_tlv_take(&list, 0x30, &all) || list.len)
		return FALSE;
	while (all.value.len) {
		if (!ifpp_tlv_take(&all.value, 0x13, &ein))
			return FALSE;
		fits |= is_prefix(ein.value, eid);
	}
	return fits;
}

static gboolean subject_eid(Cert *cert, IfppSpan *digits, guint8 eid[16])
{
	char text[IFPP_EID_DIGITS + 1] = "";

	if (!name_attribute(cert->subject, IFPP_SPAN(oid_serial_number), digits) ||
	    digits->len != IFPP_EID_DIGITS)
		return FALSE;
	memcpy(text, digits->data, IFPP_EID_DIGITS);
	return ifpp_eid_parse(text, eid, NULL);
}

static gboolean check_eum(Cert *euicc, Cert *eum, GError **error)
{
	IfppSpan digits, org = { NULL, 0 }, names, eins;
	gboolean has_names, has_eins;
	guint8 eid[16];

	if (!subject_eid(euicc, &digits, eid))
		return fail(error, IFPP_ERROR_CONSTRAINT, "%s: its subject has no valid EID", euicc->name);
	has_names = find_extension(eum->s.extensions, IFPP_SPAN(oid_name_constraints), &names);
	has_eins = find_extension(eum->s.extensions, IFPP_SPAN(oid_permitted_eins), &eins);
	if (!has_names && !has_eins)
		return fail(error, IFPP_ERROR_CONSTRAINT, "%s: does not say which EIDs it may issue",
			    eum->name);
	if (has_names && (!name_attribute(euicc->subject, IFPP_SPAN(oid_organization), &org) ||
			  !names_permit(names, digits, org)))
		return fail(error, IFPP_ERROR_CONSTRAINT, "%s: its name constraints do not cover this eUICC",
			    eum->name);
	if (has_eins && !eins_permit(eins, digits))
		return fail(error, IFPP_ERROR_CONSTRAINT, "%s: its permitted EINs do not cover this EID",
			    eum->name);
	return TRUE;
}

/* ------------------------------------------------------------ CRLs */

static void crl_free(Crl *crl)
{
	if (crl->crl)
		gnutls_x509_crl_deinit(crl->crl);
	g_clear_pointer(&crl->bytes, g_bytes_unref);
	g_free(crl);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Crl, crl_free)

static gboolean split_crl(IfppSpan der, Crl *crl, GError **error)
{
	static const guint8 v2[] = { 0x02, 0x01, 0x01 };
	IfppSpan known[] = { IFPP_SPAN(oid_aki), IFPP_SPAN(oid_crl_number) };
	IfppTlv tbs, tlv, list;
	IfppSpan in;

	if (!split_signed(der, &crl->s, error))
		return FALSE;
	in = crl->s.tbs;
	if (!ifpp_tlv_expect(&in, 0x30, "CRL", &tbs, error))
		return FALSE;
	in = tbs.value;
	if (!ifpp_tlv_expect(&in, 0x02, "version", &tlv, error))
		return FALSE;
	if (!SPAN_IS(tlv.whole, v2))
		return fail(error, IFPP_ERROR_TLV, "not a version 2 CRL");
	if (!ifpp_tlv_expect(&in, 0x30, "signature algorithm", &tlv, error))
		return FALSE;
	if (!SPAN_IS(tlv.whole, ecdsa_sha256))
		return fail(error, IFPP_ERROR_TLV, "two different signature algorithms");
	if (!ifpp_tlv_expect(&in, 0x30, "issuer", &tlv, error))
		return FALSE;
	crl->issuer = tlv.whole;
	while (in.len) {
		if (!ifpp_tlv_next(&in, &tlv, error))
			return FALSE;
		if (tlv.tag == 0xA0) {
			if (!ifpp_tlv_expect(&tlv.value, 0x30, "extensions", &list, error))
				return FALSE;
			if (in.len || tlv.value.len)
				return fail(error, IFPP_ERROR_TLV, "bytes after the extensions");
			crl->s.extensions = list.value;
		}
	}
	return check_extensions(crl->s.extensions, known, G_N_ELEMENTS(known), error);
}

static Crl *crl_new(IfppSpan der, GError **error)
{
	g_autoptr(Crl) crl = g_new0(Crl, 1);
	g_autoptr(GError) why = NULL;
	gnutls_datum_t data;
	gsize size = ID_LEN;
	int rc;

	crl->bytes = g_bytes_new(der.data, der.len);
	der = ifpp_span_bytes(crl->bytes);
	if (!split_crl(der, crl, &why)) {
		fail(error, IFPP_ERROR_CRL, "CRL: %s", why->message);
		return NULL;
	}
	data = datum(der);
	if (gnutls_x509_crl_init(&crl->crl) < 0)
		g_error("out of memory");
	rc = gnutls_x509_crl_import(crl->crl, &data, GNUTLS_X509_FMT_DER);
	if (rc < 0) {
		fail(error, IFPP_ERROR_CRL, "CRL: cannot be read: %s", gnutls_strerror(rc));
		return NULL;
	}
	rc = gnutls_x509_crl_get_authority_key_id(crl->crl, crl->aki, &size, NULL);
	if (rc < 0 || size != ID_LEN) {
		fail(error, IFPP_ERROR_CRL, "CRL: has no authority key identifier of 20 bytes");
		return NULL;
	}
	return g_steal_pointer(&crl);
}

static gboolean crl_proven(Crl *crl, Cert *issuer, GError **error)
{
	unsigned int usage;

	if (crl->proven_by == issuer)
		return TRUE;
	if (gnutls_x509_crt_get_key_usage(issuer->crt, &usage, NULL) < 0 || !(usage & GNUTLS_KEY_CRL_SIGN))
		return fail(error, IFPP_ERROR_CRL, "CRL: %s may not sign CRLs", issuer->name);
	if (!signed_by(&crl->s, issuer))
		return fail(error, IFPP_ERROR_CRL, "CRL: not signed by %s", issuer->name);
	return TRUE;
}

static gboolean crl_lists(Crl *crl, Cert *cert)
{
	gnutls_x509_crl_iter_t iter = NULL;
	guint8 listed[64], serial[64];
	gsize listed_len, serial_len = sizeof(serial);
	gboolean found = FALSE;
	int rc;

	if (gnutls_x509_crt_get_serial(cert->crt, serial, &serial_len) < 0)
		return TRUE;
	for (;;) {
		listed_len = sizeof(listed);
		rc = gnutls_x509_crl_iter_crt_serial(crl->crl, &iter, listed, &listed_len, NULL);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		/* An entry that cannot be read might be ours. */
		if (rc < 0 || (listed_len == serial_len && memcmp(listed, serial, serial_len) == 0)) {
			found = TRUE;
			break;
		}
	}
	if (iter)
		gnutls_x509_crl_iter_deinit(iter);
	return found;
}

/*
 * A certificate listed in any sound CRL of its issuer is revoked, however old that CRL is. But the
 * newest one must be current: else revocations could be hidden by holding CRLs back.
 */
static gboolean check_revocation(IfppTrust *trust, Cert *cert, Cert *issuer, gint64 now, GError **error)
{
	gint64 newest = -1, until = -1;

	for (guint i = 0; i < trust->crls->len; i++) {
		Crl *crl = trust->crls->pdata[i];
		gint64 this_update;

		if (memcmp(crl->aki, issuer->ski, ID_LEN) != 0) {
			/* One damaged just there must not be taken for somebody else's. */
			if (!crl->proven_by && ifpp_span_equal(crl->issuer, issuer->subject))
				return fail(error, IFPP_ERROR_CRL, "CRL of %s: names another key",
					    issuer->name);
			continue;
		}
		if (!crl_proven(crl, issuer, error))
			return FALSE;
		if (crl_lists(crl, cert))
			return fail(error, IFPP_ERROR_REVOKED, "%s: is revoked by %s", cert->name,
				    issuer->name);
		this_update = gnutls_x509_crl_get_this_update(crl->crl);
		if (now >= 0 && this_update > now)
			return fail(error, IFPP_ERROR_CRL, "CRL of %s: is of the future", issuer->name);
		if (this_update >= newest) {
			newest = this_update;
			until = gnutls_x509_crl_get_next_update(crl->crl);
		}
	}
	if (newest >= 0 && now >= 0 && until < now)
		return fail(error, IFPP_ERROR_CRL, "CRL of %s: is out of date", issuer->name);
	return TRUE;
}

/* ------------------------------------------------------------ the trust store */

IfppTrust *ifpp_trust_new(void)
{
	IfppTrust *trust = g_new0(IfppTrust, 1);

	trust->roots = g_ptr_array_new_with_free_func((GDestroyNotify)cert_free);
	trust->crls = g_ptr_array_new_with_free_func((GDestroyNotify)crl_free);
	return trust;
}

void ifpp_trust_free(IfppTrust *trust)
{
	g_ptr_array_unref(trust->roots);
	g_ptr_array_unref(trust->crls);
	g_free(trust);
}

void ifpp_trust_set_time(IfppTrust *trust, gint64 unix_time)
{
	trust->fixed_time = TRUE;
	trust->time = unix_time;
}

gboolean ifpp_trust_add_root(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);
	g_autoptr(GError) why = NULL;

	if (!cert || !cert_decode(cert, error))
		return FALSE;
	if ((cert->has_aki && memcmp(cert->aki, cert->ski, ID_LEN) != 0) || !signed_by(&cert->s, cert))
		return fail(error, IFPP_ERROR_CHAIN, "%s: is not self-signed", cert->name);
	if (!check_role(cert, IFPP_ROLE_CI, FALSE, &why) || !check_usage(cert, TRUE, 0, &why))
		return fail(error, IFPP_ERROR_CHAIN, "%s", why->message);

	for (guint i = 0; i < trust->crls->len; i++) {
		Crl *crl = trust->crls->pdata[i];

		if (memcmp(crl->aki, cert->ski, ID_LEN) != 0)
			continue;
		if (!crl_proven(crl, cert, error)) {
			for (i = 0; i < trust->crls->len; i++) {
				crl = trust->crls->pdata[i];
				if (crl->proven_by == cert)
					crl->proven_by = NULL;
			}
			return FALSE;
		}
		crl->proven_by = cert;
	}
	g_ptr_array_add(trust->roots, g_steal_pointer(&cert));
	return TRUE;
}

gboolean ifpp_trust_add_crl(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(Crl) crl = crl_new(der, error);

	if (!crl)
		return FALSE;
	/* A CRL of a sub-CA is proven when that sub-CA's certificate is at hand. */
	for (guint i = 0; i < trust->roots->len; i++) {
		Cert *root = trust->roots->pdata[i];

		if (memcmp(crl->aki, root->ski, ID_LEN) == 0) {
			if (!crl_proven(crl, root, error))
				return FALSE;
			crl->proven_by = root;
		}
	}
	g_ptr_array_add(trust->crls, g_steal_pointer(&crl));
	return TRUE;
}

typedef gboolean (*AddFunc)(IfppTrust *trust, IfppSpan der, GError **error);

/* Hand a DER file, or every PEM block with @label of a text file, to @add. */
static gboolean add_file(IfppTrust *trust, const char *path, gsize max, const char *label, AddFunc add,
			 GError **error)
{
	g_autofree char *begin = g_strdup_printf("-----BEGIN %s-----", label);
	g_autoptr(GBytes) file = ifpp_file_read(path, max, error);
	const char *p;
	IfppSpan in;
	gsize left;

	if (!file)
		return FALSE;
	in = ifpp_span_bytes(file);
	if (in.len && in.data[0] == 0x30)
		return add(trust, in, error);

	p = (const char *)in.data;
	left = in.len;
	while ((p = g_strstr_len(p, left, begin))) {
		gnutls_datum_t pem, der;
		gboolean ok;
		int rc;

		left = in.len - (p - (const char *)in.data);
		pem = (gnutls_datum_t){ (guint8 *)p, left };
		rc = gnutls_pem_base64_decode2(label, &pem, &der);
		if (rc < 0)
			return fail(error, IFPP_ERROR_CHAIN, "not PEM: %s", gnutls_strerror(rc));
		ok = add(trust, (IfppSpan){ der.data, der.size }, error);
		gnutls_free(der.data);
		if (!ok)
			return FALSE;
		p += strlen(begin);
		left -= strlen(begin);
	}
	return TRUE;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

IfppTrust *ifpp_trust_new_from_dir(const char *dir, GError **error)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) last = NULL;
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	if (!d) {
		fail(error, IFPP_ERROR_IO, "%s: cannot read this directory of CI roots", dir);
		return NULL;
	}
	while ((name = g_dir_read_name(d)))
		g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);

	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);
		g_autoptr(GError) why = NULL;

		if (!g_str_has_suffix(path, ".pem") && !g_str_has_suffix(path, ".der") &&
		    !g_str_has_suffix(path, ".crt"))
			continue;
		if (add_file(trust, path, FILE_MAX_CERT, "CERTIFICATE", ifpp_trust_add_root, &why))
			continue;
		g_info("%s: not used as a CI root: %s", path, why->message);
		g_clear_error(&last);
		last = g_steal_pointer(&why);
	}
	if (trust->roots->len == 0) {
		fail(error, IFPP_ERROR_CHAIN, "%s: no CI root in it%s%s", dir, last ? ": " : "",
		     last ? last->message : "");
		return NULL;
	}
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);
		guint before = trust->crls->len;
		g_autoptr(GError) why = NULL;

		if (!g_str_has_suffix(path, ".crl"))
			continue;
		/* A CRL that cannot be used might be the one that revokes: never go on without it. */
		if (!add_file(trust, path, FILE_MAX_CRL, "X509 CRL", ifpp_trust_add_crl, &why) ||
		    trust->crls->len == before) {
			fail(error, IFPP_ERROR_CRL, "%s: %s", path, why ? why->message : "no CRL in it");
			return NULL;
		}
	}
	return g_steal_pointer(&trust);
}

/* ------------------------------------------------------------ the path */

/* The certificate that signed @cert: a root, or one of @pool that is not used yet. */
static Cert *find_issuer(IfppTrust *trust, Cert *cert, GPtrArray *pool, gboolean *is_root, GError **error)
{
	g_autofree char *aki = NULL;
	gboolean named = FALSE;

	if (!cert->has_aki) {
		fail(error, IFPP_ERROR_CHAIN, "%s: has no authority key identifier", cert->name);
		return NULL;
	}
	for (guint i = 0; i < trust->roots->len; i++) {
		Cert *root = trust->roots->pdata[i];

		if (memcmp(root->ski, cert->aki, ID_LEN) != 0)
			continue;
		named = TRUE;
		if (signed_by(&cert->s, root)) {
			*is_root = TRUE;
			return root;
		}
	}
	for (guint i = 0; i < pool->len; i++) {
		Cert *other = pool->pdata[i];

		if (other->used || memcmp(other->ski, cert->aki, ID_LEN) != 0)
			continue;
		named = TRUE;
		if (signed_by(&cert->s, other)) {
			other->used = TRUE;
			*is_root = FALSE;
			return other;
		}
	}
	if (named) {
		fail(error, IFPP_ERROR_CHAIN, "%s: its signature is wrong", cert->name);
		return NULL;
	}
	aki = ifpp_hex((IfppSpan){ cert->aki, ID_LEN });
	fail(error, IFPP_ERROR_CHAIN, "%s: is issued by %s, which is not a configured CI root", cert->name,
	     aki);
	return NULL;
}

gboolean ifpp_trust_verify(IfppTrust *trust, IfppSpan leaf, GPtrArray *others, IfppRole role, GError **error)
{
	g_autoptr(GPtrArray) pool = g_ptr_array_new_with_free_func((GDestroyNotify)cert_free);
	g_autoptr(GPtrArray) chain = g_ptr_array_new();
	g_autoptr(Cert) first = cert_new(leaf, error);
	gint64 now = trust->fixed_time ? trust->time : g_get_real_time() / G_USEC_PER_SEC;
	gboolean is_root = FALSE;
	Cert *cert;

	if (!first)
		return FALSE;
	if (others && others->len > OTHERS_MAX)
		return fail(error, IFPP_ERROR_CHAIN, "more than %d certificates", OTHERS_MAX);
	for (guint i = 0; others && i < others->len; i++) {
		cert = cert_new(ifpp_span_bytes(others->pdata[i]), error);
		if (!cert)
			return FALSE;
		g_ptr_array_add(pool, cert);
	}

	g_ptr_array_add(chain, first);
	for (cert = first; !is_root; g_ptr_array_add(chain, cert)) {
		cert = find_issuer(trust, cert, pool, &is_root, error);
		if (!cert)
			return FALSE;
	}
	for (guint i = 0; i < pool->len; i++) {
		cert = pool->pdata[i];
		if (!cert->used)
			return fail(error, IFPP_ERROR_CHAIN, "%s: is not part of the chain", cert->name);
	}

	/* From the root down, so that nothing a refused CA says is looked at. */
	for (guint i = chain->len; i-- > 0;) {
		gboolean ca = i > 0 || role == IFPP_ROLE_EUM || role == IFPP_ROLE_CI;
		gboolean eum = i == 1 && role == IFPP_ROLE_EUICC;
		gboolean root = i == chain->len - 1;
		IfppRole wanted = i == 0 ? role : eum ? IFPP_ROLE_EUM : IFPP_ROLE_CI;
		IfppSpan unused;

		cert = chain->pdata[i];
		if (!cert_decode(cert, error) || !check_role(cert, wanted, i > 0 && !eum && !root, error) ||
		    !check_usage(cert, ca, MAX((int)i - 1, 0), error) || !check_dates(cert, now, error))
			return FALSE;
		if (!root && !check_revocation(trust, cert, chain->pdata[i + 1], now, error))
			return FALSE;
		/* On any other certificate they would be constraints that nobody enforces. */
		if (wanted != IFPP_ROLE_EUM &&
		    find_extension(cert->s.extensions, IFPP_SPAN(oid_name_constraints), &unused))
			return fail(error, IFPP_ERROR_CONSTRAINT, "%s: has name constraints but is no EUM",
				    cert->name);
	}
	return role != IFPP_ROLE_EUICC || check_eum(chain->pdata[0], chain->pdata[1], error);
}

/* ------------------------------------------------------------ looking into one certificate */

gboolean ifpp_cert_point(IfppSpan der, guint8 point[65], GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);
	gnutls_datum_t x, y;

	if (!cert)
		return FALSE;
	if (gnutls_pubkey_export_ecc_raw2(cert->key, NULL, &x, &y, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
		return fail(error, IFPP_ERROR_CHAIN, "%s: its key cannot be read", cert->name);
	memset(point, 0, 65);
	point[0] = 0x04;
	if (x.size <= 32 && y.size <= 32) {
		memcpy(point + 33 - x.size, x.data, x.size);
		memcpy(point + 65 - y.size, y.data, y.size);
	}
	gnutls_free(x.data);
	gnutls_free(y.data);
	return TRUE;
}

gboolean ifpp_cert_eid(IfppSpan der, guint8 eid[16], GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);
	IfppSpan digits;

	if (!cert)
		return FALSE;
	if (!subject_eid(cert, &digits, eid))
		return fail(error, IFPP_ERROR_EID, "%s: its subject has no valid EID", cert->name);
	return TRUE;
}

GBytes *ifpp_cert_registered_id(IfppSpan der)
{
	g_autoptr(Cert) cert = cert_new(der, NULL);
	IfppTlv names, name;
	IfppSpan value;

	if (!cert || !find_extension(cert->s.extensions, IFPP_SPAN(oid_alt_name), &value) ||
	    !ifpp_tlv_take(&value, 0x30, &names) || !ifpp_tlv_find(names.value, 0x88, &name))
		return NULL;
	return g_bytes_new(name.value.data, name.value.len);
}

gboolean ifpp_cert_ski(IfppSpan der, guint8 ski[20], GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);

	if (!cert)
		return FALSE;
	memcpy(ski, cert->ski, ID_LEN);
	return TRUE;
}

gboolean ifpp_cert_issuer_serial(IfppSpan der, IfppSpan *issuer, IfppSpan *serial, GError **error)
{
	g_autoptr(GError) why = NULL;
	Cert cert = { 0 };
	gboolean ok = split_cert(der, &cert, &why);

	if (!ok)
		fail(error, IFPP_ERROR_CHAIN, "%s: %s", cert.name ? cert.name : "certificate", why->message);
	g_free(cert.name);
	*issuer = cert.issuer;
	*serial = cert.serial;
	return ok;
}
