// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One certificate of the RSP profile. GnuTLS decodes keys, dates and the standard extensions; what
 * stands where in the DER, and what GnuTLS has no word for, is read here.
 */
#include "cert.h"

#include <string.h>

#include "eid.h"

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
static const guint8 oid_crl_points[] = { 0x55, 0x1D, 0x1F };
static const guint8 oid_ec_key[] = { 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01 };

/* AlgorithmIdentifier ecdsa-with-SHA256, parameters absent (RFC 5758 3.2) */
static const guint8 ecdsa_sha256[] = {
	0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
};

/* ------------------------------------------------------------ DER around certificates and CRLs */

gboolean cert_is_ecdsa_sha256(IfppSpan alg)
{
	return ifpp_span_equal(alg, IFPP_SPAN(ecdsa_sha256));
}

/* SEQUENCE of two INTEGERs, one of which P-256 does not have. */
static gboolean is_of_larger_curve(IfppSpan sig)
{
	IfppTlv all, r, s;

	return ifpp_tlv_take(&sig, 0x30, &all) && !sig.len && ifpp_tlv_take(&all.value, 0x02, &r) &&
	       ifpp_tlv_take(&all.value, 0x02, &s) && !all.value.len && MAX(r.value.len, s.value.len) > 33;
}

gboolean cert_split_signed(IfppSpan der, CertSigned *out, GError **error)
{
	IfppTlv all, tbs, alg, bits;

	if (!ifpp_tlv_expect(&der, 0x30, "SEQUENCE", &all, error))
		return FALSE;
	if (der.len)
		return ifpp_fail(error, IFPP_ERROR_TLV, "bytes after the end");
	der = all.value;
	if (!ifpp_tlv_expect(&der, 0x30, "signed part", &tbs, error) ||
	    !ifpp_tlv_expect(&der, 0x30, "signature algorithm", &alg, error) ||
	    !ifpp_tlv_expect(&der, 0x03, "signature", &bits, error))
		return FALSE;
	if (der.len)
		return ifpp_fail(error, IFPP_ERROR_TLV, "bytes after the signature");
	if (!cert_is_ecdsa_sha256(alg.whole))
		return ifpp_fail(error, IFPP_ERROR_CERTIFICATE, "not signed with ECDSA and SHA-256, the one algorithm that is supported");
	out->tbs = tbs.whole;
	out->sig = (IfppSpan){ bits.value.data + 1, bits.value.len - 1 };
	if (bits.value.len >= 2 && is_of_larger_curve(out->sig))
		return ifpp_fail(error, IFPP_ERROR_CERTIFICATE,
				 "its issuer's key is on another curve, which is not supported: only NIST P-256 is");
	if (bits.value.len < 2 || bits.value.data[0] != 0 || !ifpp_ecdsa_der_strict(out->sig))
		return ifpp_fail(error, IFPP_ERROR_TLV, "the signature is not DER");
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
			return ifpp_fail(error, IFPP_ERROR_TLV, "extension: criticality is not DER");
		*critical = TRUE;
	}
	if (!ifpp_tlv_expect(&ext.value, 0x04, "extension value", &tlv, error))
		return FALSE;
	if (ext.value.len)
		return ifpp_fail(error, IFPP_ERROR_TLV, "extension: bytes after the value");
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
				return ifpp_fail(error, IFPP_ERROR_TLV, "an extension is there twice");
		}
		for (gsize i = 0; i < n_known; i++)
			is_known |= ifpp_span_equal(oid, known[i]);
		if (critical && !is_known)
			return ifpp_fail(error, IFPP_ERROR_CERTIFICATE,
					 "a critical extension that is not understood");
	}
	return TRUE;
}

gboolean cert_find_extension(IfppSpan list, IfppSpan wanted, IfppSpan *value, gboolean *critical)
{
	gboolean is_critical;
	IfppSpan oid;

	while (list.len) {
		if (!next_extension(&list, &oid, &is_critical, value, NULL))
			return FALSE;
		if (!ifpp_span_equal(oid, wanted))
			continue;
		if (critical)
			*critical = is_critical;
		return TRUE;
	}
	return FALSE;
}

/* keyIdentifier of SubjectKeyIdentifier (@tag 04) or, one level down, of AuthorityKeyIdentifier (80). */
static gboolean key_identifier(IfppSpan extensions, IfppSpan oid, guint32 tag, guint8 id[CERT_ID_LEN])
{
	IfppSpan value;
	IfppTlv tlv;

	if (!cert_find_extension(extensions, oid, &value, NULL))
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

gboolean cert_ski(IfppSpan extensions, guint8 id[CERT_ID_LEN])
{
	return key_identifier(extensions, IFPP_SPAN(oid_ski), 0x04, id);
}

gboolean cert_aki(IfppSpan extensions, guint8 id[CERT_ID_LEN])
{
	return key_identifier(extensions, IFPP_SPAN(oid_aki), 0x80, id);
}

/* Name: SEQUENCE OF SET OF SEQUENCE { type, value }. A value of another string type has no bytes here. */
gboolean cert_next_attribute(IfppSpan *rdns, IfppSpan *rdn, IfppSpan *type, IfppSpan *value)
{
	IfppTlv set, atv, oid, string;

	while (!rdn->len) {
		if (!rdns->len || !ifpp_tlv_take(rdns, 0x31, &set))
			return FALSE;
		*rdn = set.value;
	}
	if (!ifpp_tlv_take(rdn, 0x30, &atv) || !ifpp_tlv_take(&atv.value, 0x06, &oid) ||
	    !ifpp_tlv_next(&atv.value, &string, NULL) || atv.value.len)
		return FALSE;
	*type = oid.value;
	/* PrintableString, UTF8String, IA5String */
	*value = string.tag == 0x13 || string.tag == 0x0C || string.tag == 0x16 ? string.value : (IfppSpan){ NULL, 0 };
	return TRUE;
}

/* The one attribute of a Name with type @oid. FALSE when it is absent or there twice. */
static gboolean name_attribute(IfppSpan name, IfppSpan oid, IfppSpan *value)
{
	IfppSpan rdn = { NULL, 0 }, type, found;
	gboolean is_there = FALSE;
	IfppTlv rdns;

	if (!ifpp_tlv_take(&name, 0x30, &rdns) || name.len)
		return FALSE;
	while (cert_next_attribute(&rdns.value, &rdn, &type, &found)) {
		if (!ifpp_span_equal(type, oid))
			continue;
		if (is_there || !found.len)
			return FALSE;
		*value = found;
		is_there = TRUE;
	}
	/* all of it was read, or it is not a Name */
	return is_there && !rdns.value.len && !rdn.len;
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
		IFPP_SPAN(oid_crl_points),
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
		return ifpp_fail(error, IFPP_ERROR_TLV, "bytes after the extensions");
	if (!ifpp_span_equal(version.value, IFPP_SPAN(v3)))
		return ifpp_fail(error, IFPP_ERROR_TLV, "not an X.509 version 3 certificate");
	if (!cert_is_ecdsa_sha256(alg.whole))
		return ifpp_fail(error, IFPP_ERROR_TLV, "two different signature algorithms");
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

/* What a key that is not supported is called: SubjectPublicKeyInfo's algorithm. */
static const char *curve_name(IfppSpan spki)
{
	static const struct {
		guint8 len, oid[10];
		const char *name;
	} curves[] = {
		{ 8, { 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 }, "NIST P-256" },
		{ 9, { 0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07 }, "brainpoolP256r1" },
		{ 9, { 0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0B }, "brainpoolP384r1" },
		{ 9, { 0x2B, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0D }, "brainpoolP512r1" },
		{ 10, { 0x2A, 0x81, 0x7A, 0x01, 0x81, 0x5F, 0x65, 0x82, 0x00, 0x01 }, "FRP256v1" },
		{ 8, { 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D }, "SM2" },
		{ 5, { 0x2B, 0x81, 0x04, 0x00, 0x22 }, "NIST P-384" },
		{ 5, { 0x2B, 0x81, 0x04, 0x00, 0x23 }, "NIST P-521" },
		{ 5, { 0x2B, 0x81, 0x04, 0x00, 0x0A }, "secp256k1" },
	};
	IfppTlv all, alg, oid, curve;

	if (!ifpp_tlv_take(&spki, 0x30, &all) || !ifpp_tlv_take(&all.value, 0x30, &alg) ||
	    !ifpp_tlv_take(&alg.value, 0x06, &oid))
		return NULL;
	if (!ifpp_span_equal(oid.value, IFPP_SPAN(oid_ec_key)))
		return "no elliptic curve";
	if (!ifpp_tlv_take(&alg.value, 0x06, &curve))
		return NULL;
	for (guint i = 0; i < G_N_ELEMENTS(curves); i++)
		if (ifpp_span_equal(curve.value, (IfppSpan){ curves[i].oid, curves[i].len }))
			return curves[i].name;
	return "an unknown curve";
}

static gboolean read_key(Cert *cert, GError **error)
{
	gnutls_datum_t spki = cert_datum(cert->spki);
	const char *curve = curve_name(cert->spki);
	int rc;

	if (curve && !g_str_equal(curve, "NIST P-256"))
		return ifpp_fail(error, IFPP_ERROR_CERTIFICATE,
				 "%s: its key is on %s, which is not supported: only NIST P-256 is", cert->name, curve);
	if (gnutls_pubkey_init(&cert->key) < 0)
		g_error("out of memory");
	rc = gnutls_pubkey_import(cert->key, &spki, GNUTLS_X509_FMT_DER);
	if (rc < 0)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its key cannot be read: %s", cert->name,
				 gnutls_strerror(rc));
	return key_is_p256(cert->key) ||
	       ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its key is not on NIST P-256", cert->name);
}

Cert *cert_new(IfppSpan der, GError **error)
{
	g_autoptr(Cert) cert = g_new0(Cert, 1);
	g_autoptr(GError) why = NULL;

	cert->refs = 1;
	cert->bytes = g_bytes_new(der.data, der.len);
	if (!split_cert(ifpp_span_bytes(cert->bytes), cert, &why)) {
		ifpp_fail(error, why->code == IFPP_ERROR_CERTIFICATE ? IFPP_ERROR_CERTIFICATE : IFPP_ERROR_CHAIN, "%s: %s",
			  cert->name ? cert->name : "certificate", why->message);
		return NULL;
	}
	if (!read_key(cert, error))
		return NULL;
	if (!cert_ski(cert->s.extensions, cert->ski)) {
		ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: has no subject key identifier of 20 bytes",
			  cert->name);
		return NULL;
	}
	cert->has_aki = cert_aki(cert->s.extensions, cert->aki);
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
	if (rc < 0) {
		g_clear_pointer(&cert->crt, gnutls_x509_crt_deinit);
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: cannot be read: %s", cert->name, gnutls_strerror(rc));
	}
	/* asked for at every use, and GnuTLS reads them anew each time */
	cert->from = gnutls_x509_crt_get_activation_time(cert->crt);
	cert->to = gnutls_x509_crt_get_expiration_time(cert->crt);
	return TRUE;
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

/* ------------------------------------------------------------ looking into one certificate */

gboolean cert_point(Cert *cert, guint8 point[65], GError **error)
{
	gnutls_datum_t x, y;

	if (gnutls_pubkey_export_ecc_raw2(cert->key, NULL, &x, &y, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its key cannot be read", cert->name);
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

gboolean cert_subject_eid(Cert *cert, IfppSpan *digits, guint8 eid[16])
{
	char text[IFPP_EID_DIGITS + 1] = "";
	IfppSpan found;

	if (!name_attribute(cert->subject, IFPP_SPAN(oid_serial_number), &found) || found.len != IFPP_EID_DIGITS)
		return FALSE;
	if (digits)
		*digits = found;
	memcpy(text, found.data, IFPP_EID_DIGITS);
	return ifpp_eid_parse(text, eid, NULL);
}

gboolean cert_eid(Cert *cert, guint8 eid[16], GError **error)
{
	return cert_subject_eid(cert, NULL, eid) ||
	       ifpp_fail(error, IFPP_ERROR_EID, "%s: its subject has no valid EID", cert->name);
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

	if (!cert || !cert_find_extension(cert->s.extensions, IFPP_SPAN(oid_alt_name), &value, NULL) ||
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
		ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: %s", cert.name ? cert.name : "certificate",
			  why->message);
	g_free(cert.name);
	*issuer = cert.issuer;
	*serial = cert.serial;
	return ok;
}
