// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One certificate of the RSP profile. GnuTLS decodes keys, dates and the standard extensions; what
 * stands where in the DER, and what GnuTLS has no word for, is read here.
 */
#include "cert.h"

#include <string.h>

#include "eid.h"

#define OID_ROLE "2.23.146.1.2.1."
#define EIN_DIGITS_MIN 8

/* Content octets of the object identifiers that we look for. */
static const guint8 oid_key_usage[] = { 0x55, 0x1D, 0x0F };
static const guint8 oid_basic_constraints[] = { 0x55, 0x1D, 0x13 };
static const guint8 oid_alt_name[] = { 0x55, 0x1D, 0x11 };
static const guint8 oid_name_constraints[] = { 0x55, 0x1D, 0x1E };
static const guint8 oid_policies[] = { 0x55, 0x1D, 0x20 };
static const guint8 oid_ski[] = { 0x55, 0x1D, 0x0E };
static const guint8 oid_aki[] = { 0x55, 0x1D, 0x23 };
static const guint8 oid_permitted_eins[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x02, 0x00 };
static const guint8 oid_common_name[] = { 0x55, 0x04, 0x03 };
static const guint8 oid_serial_number[] = { 0x55, 0x04, 0x05 };
static const guint8 oid_organization[] = { 0x55, 0x04, 0x0A };

/* AlgorithmIdentifier ecdsa-with-SHA256, parameters absent (RFC 5758 3.2) */
static const guint8 ecdsa_sha256[] = {
	0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
};

gboolean cert_fail(GError **error, IfppError code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(IFPP_ERROR, code, format, args);
	va_end(args);
	return FALSE;
}

/* ------------------------------------------------------------ DER around certificates and CRLs */

gboolean cert_is_ecdsa_sha256(IfppSpan alg)
{
	return ifpp_span_equal(alg, IFPP_SPAN(ecdsa_sha256));
}

gboolean cert_split_signed(IfppSpan der, CertSigned *out, GError **error)
{
	IfppTlv all, tbs, alg, bits;

	if (!ifpp_tlv_expect(&der, 0x30, "SEQUENCE", &all, error))
		return FALSE;
	if (der.len)
		return cert_fail(error, IFPP_ERROR_TLV, "bytes after the end");
	der = all.value;
	if (!ifpp_tlv_expect(&der, 0x30, "signed part", &tbs, error) ||
	    !ifpp_tlv_expect(&der, 0x30, "signature algorithm", &alg, error) ||
	    !ifpp_tlv_expect(&der, 0x03, "signature", &bits, error))
		return FALSE;
	if (der.len)
		return cert_fail(error, IFPP_ERROR_TLV, "bytes after the signature");
	if (!cert_is_ecdsa_sha256(alg.whole))
		return cert_fail(error, IFPP_ERROR_TLV, "not signed with ECDSA and SHA-256");
	out->tbs = tbs.whole;
	out->sig = (IfppSpan){ bits.value.data + 1, bits.value.len - 1 };
	if (bits.value.len < 2 || bits.value.data[0] != 0 || !ifpp_ecdsa_der_strict(out->sig))
		return cert_fail(error, IFPP_ERROR_TLV, "the signature is not DER");
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
			return cert_fail(error, IFPP_ERROR_TLV, "extension: criticality is not DER");
		*critical = TRUE;
	}
	if (!ifpp_tlv_expect(&ext.value, 0x04, "extension value", &tlv, error))
		return FALSE;
	if (ext.value.len)
		return cert_fail(error, IFPP_ERROR_TLV, "extension: bytes after the value");
	*value = tlv.value;
	return TRUE;
}

gboolean cert_check_extensions(IfppSpan list, const IfppSpan *known, gsize n_known, GError **error)
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
				return cert_fail(error, IFPP_ERROR_TLV, "an extension is there twice");
		}
		for (gsize i = 0; i < n_known; i++)
			is_known |= ifpp_span_equal(oid, known[i]);
		if (critical && !is_known)
			return cert_fail(error, IFPP_ERROR_TLV,
					 "a critical extension that is not understood");
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

Cert *cert_ref(Cert *cert)
{
	cert->refs++;
	return cert;
}

void cert_unref(Cert *cert)
{
	if (--cert->refs)
		return;
	if (cert->crt)
		gnutls_x509_crt_deinit(cert->crt);
	if (cert->key)
		gnutls_pubkey_deinit(cert->key);
	g_clear_pointer(&cert->signer, g_bytes_unref);
	g_clear_pointer(&cert->bytes, g_bytes_unref);
	g_free(cert->name);
	g_free(cert);
}

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
	/* It may be anybody's text, and goes into logs. */
	for (char *p = text; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
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

	if (!cert_split_signed(der, &cert->s, error))
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
		return cert_fail(error, IFPP_ERROR_TLV, "bytes after the extensions");
	if (!ifpp_span_equal(version.value, IFPP_SPAN(v3)))
		return cert_fail(error, IFPP_ERROR_TLV, "not an X.509 version 3 certificate");
	if (!cert_is_ecdsa_sha256(alg.whole))
		return cert_fail(error, IFPP_ERROR_TLV, "two different signature algorithms");
	cert->s.extensions = list.value;
	cert->issuer = issuer.whole;
	cert->serial = serial.whole;
	cert->subject = subject.whole;
	cert->spki = spki.whole;
	cert->name = cert_name(cert->subject, serial.value);
	return cert_check_extensions(list.value, known, G_N_ELEMENTS(known), error);
}

static gboolean key_is_p256(gnutls_pubkey_t key)
{
	gnutls_ecc_curve_t curve;

	return gnutls_pubkey_get_pk_algorithm(key, NULL) == GNUTLS_PK_ECDSA &&
	       gnutls_pubkey_export_ecc_raw2(key, &curve, NULL, NULL, 0) >= 0 &&
	       curve == GNUTLS_ECC_CURVE_SECP256R1 && gnutls_pubkey_verify_params(key) >= 0;
}

/* keyIdentifier of SubjectKeyIdentifier (@tag 04) or, one level down, of AuthorityKeyIdentifier (80). */
static gboolean key_identifier(Cert *cert, IfppSpan oid, guint32 tag, guint8 id[CERT_ID_LEN])
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
	if (!ifpp_tlv_find(value, tag, &tlv) || tlv.value.len != CERT_ID_LEN)
		return FALSE;
	memcpy(id, tlv.value.data, CERT_ID_LEN);
	return TRUE;
}

Cert *cert_new(IfppSpan der, GError **error)
{
	g_autoptr(Cert) cert = g_new0(Cert, 1);
	g_autoptr(GError) why = NULL;
	gnutls_datum_t spki;
	int rc;

	cert->refs = 1;
	cert->bytes = g_bytes_new(der.data, der.len);
	if (!split_cert(ifpp_span_bytes(cert->bytes), cert, &why)) {
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: %s", cert->name ? cert->name : "certificate",
			  why->message);
		return NULL;
	}
	if (gnutls_pubkey_init(&cert->key) < 0)
		g_error("out of memory");
	spki = cert_datum(cert->spki);
	rc = gnutls_pubkey_import(cert->key, &spki, GNUTLS_X509_FMT_DER);
	if (rc < 0) {
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: its key cannot be read: %s", cert->name,
			  gnutls_strerror(rc));
		return NULL;
	}
	if (!key_is_p256(cert->key)) {
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: its key is not on NIST P-256", cert->name);
		return NULL;
	}
	if (!key_identifier(cert, IFPP_SPAN(oid_ski), 0x04, cert->ski)) {
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: has no subject key identifier of 20 bytes",
			  cert->name);
		return NULL;
	}
	cert->has_aki = key_identifier(cert, IFPP_SPAN(oid_aki), 0x80, cert->aki);
	return g_steal_pointer(&cert);
}

gboolean cert_decode(Cert *cert, GError **error)
{
	gnutls_datum_t data = cert_datum(ifpp_span_bytes(cert->bytes));
	int rc;

	if (cert->crt)
		return TRUE;
	if (gnutls_x509_crt_init(&cert->crt) < 0)
		g_error("out of memory");
	rc = gnutls_x509_crt_import(cert->crt, &data, GNUTLS_X509_FMT_DER);
	return rc >= 0 ||
	       cert_fail(error, IFPP_ERROR_CHAIN, "%s: cannot be read: %s", cert->name, gnutls_strerror(rc));
}

gboolean cert_signed(const CertSigned *s, Cert *issuer, GBytes **signer)
{
	gnutls_datum_t tbs = cert_datum(s->tbs), sig = cert_datum(s->sig);

	if (*signer && ifpp_span_equal(ifpp_span_bytes(*signer), issuer->spki))
		return TRUE;
	if (gnutls_pubkey_verify_data2(issuer->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &tbs, &sig) < 0)
		return FALSE;
	g_clear_pointer(signer, g_bytes_unref);
	*signer = g_bytes_new(issuer->spki.data, issuer->spki.len);
	return TRUE;
}

gboolean cert_check_role(Cert *cert, IfppRole role, gboolean sub_ca, GError **error)
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
			return cert_fail(error, IFPP_ERROR_ROLE,
					 "%s: its certificate policies cannot be read", cert->name);
		is_role = g_str_has_prefix(policy.oid, OID_ROLE);
		/* A sub-CA bears the CI's own role or one that the CI's arc names (2.23.146.1.2.1.0...). */
		fits = g_str_equal(policy.oid, wanted) ||
		       (sub_ca && g_str_has_prefix(policy.oid, OID_ROLE "0."));
		gnutls_x509_policy_release(&policy);
		if (is_role && !fits)
			return cert_fail(error, IFPP_ERROR_ROLE, "%s: has another role than %s", cert->name,
					 wanted);
		found |= fits;
	}
	if (!found)
		return cert_fail(error, IFPP_ERROR_ROLE, "%s: does not have the role %s", cert->name, wanted);
	return TRUE;
}

gboolean cert_check_usage(Cert *cert, gboolean ca, int below, GError **error)
{
	unsigned int usage, is_ca = 0;
	int pathlen = -1;
	int rc = gnutls_x509_crt_get_key_usage(cert->crt, &usage, NULL);

	if (rc < 0)
		return cert_fail(error, IFPP_ERROR_KEY_USAGE, "%s: has no key usage", cert->name);
	rc = gnutls_x509_crt_get_basic_constraints(cert->crt, NULL, &is_ca, &pathlen);
	if (rc < 0 && rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: its basic constraints cannot be read",
				 cert->name);
	if (!ca) {
		if (!(usage & GNUTLS_KEY_DIGITAL_SIGNATURE) || usage & GNUTLS_KEY_KEY_CERT_SIGN)
			return cert_fail(error, IFPP_ERROR_KEY_USAGE,
					 "%s: its key usage is not digitalSignature", cert->name);
		if (rc >= 0 && is_ca)
			return cert_fail(error, IFPP_ERROR_KEY_USAGE, "%s: is a CA certificate", cert->name);
		return TRUE;
	}
	if (!(usage & GNUTLS_KEY_KEY_CERT_SIGN))
		return cert_fail(error, IFPP_ERROR_KEY_USAGE, "%s: may not sign certificates", cert->name);
	if (rc < 0 || !is_ca)
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: is not a CA certificate", cert->name);
	if (pathlen >= 0 && pathlen < below)
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: the path below it is too long", cert->name);
	return TRUE;
}

gboolean cert_check_dates(Cert *cert, gint64 now, GError **error)
{
	gint64 from, to;

	if (now < 0)
		return TRUE;
	from = gnutls_x509_crt_get_activation_time(cert->crt);
	to = gnutls_x509_crt_get_expiration_time(cert->crt);
	if (from == -1 || to == -1)
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: its dates cannot be read", cert->name);
	if (now < from)
		return cert_fail(error, IFPP_ERROR_NOT_YET_VALID, "%s: is not valid yet", cert->name);
	if (now > to)
		return cert_fail(error, IFPP_ERROR_EXPIRED, "%s: has expired", cert->name);
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

gboolean cert_check_eum(Cert *euicc, Cert *eum, GError **error)
{
	IfppSpan digits, org = { NULL, 0 }, names, eins;
	gboolean has_names, has_eins;
	guint8 eid[16];

	if (!subject_eid(euicc, &digits, eid))
		return cert_fail(error, IFPP_ERROR_CONSTRAINT, "%s: its subject has no valid EID",
				 euicc->name);
	has_names = find_extension(eum->s.extensions, IFPP_SPAN(oid_name_constraints), &names);
	has_eins = find_extension(eum->s.extensions, IFPP_SPAN(oid_permitted_eins), &eins);
	if (!has_names && !has_eins)
		return cert_fail(error, IFPP_ERROR_CONSTRAINT, "%s: does not say which EIDs it may issue",
				 eum->name);
	if (has_names && (!name_attribute(euicc->subject, IFPP_SPAN(oid_organization), &org) ||
			  !names_permit(names, digits, org)))
		return cert_fail(error, IFPP_ERROR_CONSTRAINT,
				 "%s: its name constraints do not cover this eUICC", eum->name);
	if (has_eins && !eins_permit(eins, digits))
		return cert_fail(error, IFPP_ERROR_CONSTRAINT, "%s: its permitted EINs do not cover this EID",
				 eum->name);
	return TRUE;
}

gboolean cert_has_name_constraints(Cert *cert)
{
	IfppSpan value;

	return find_extension(cert->s.extensions, IFPP_SPAN(oid_name_constraints), &value);
}

/* ------------------------------------------------------------ looking into one certificate */

gboolean cert_point(Cert *cert, guint8 point[65], GError **error)
{
	gnutls_datum_t x, y;

	if (gnutls_pubkey_export_ecc_raw2(cert->key, NULL, &x, &y, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: its key cannot be read", cert->name);
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

gboolean ifpp_cert_point(IfppSpan der, guint8 point[65], GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);

	return cert && cert_point(cert, point, error);
}

gboolean cert_eid(Cert *cert, guint8 eid[16], GError **error)
{
	IfppSpan digits;

	return subject_eid(cert, &digits, eid) ||
	       cert_fail(error, IFPP_ERROR_EID, "%s: its subject has no valid EID", cert->name);
}

gboolean ifpp_cert_eid(IfppSpan der, guint8 eid[16], GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);

	return cert && cert_eid(cert, eid, error);
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
	memcpy(ski, cert->ski, CERT_ID_LEN);
	return TRUE;
}

gboolean ifpp_cert_issuer_serial(IfppSpan der, IfppSpan *issuer, IfppSpan *serial, GError **error)
{
	g_autoptr(GError) why = NULL;
	Cert cert = { 0 };
	gboolean ok = split_cert(der, &cert, &why);

	if (!ok)
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: %s", cert.name ? cert.name : "certificate",
			  why->message);
	g_free(cert.name);
	*issuer = cert.issuer;
	*serial = cert.serial;
	return ok;
}
