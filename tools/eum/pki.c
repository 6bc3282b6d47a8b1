// SPDX-License-Identifier: GPL-2.0-or-later
#include "pki.h"

#include <string.h>

#include <glib/gstdio.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>

#include "eid.h"
#include "error.h"
#include "file.h"
#include "tlv.h"

#define PEM_MAX 65536
#define DAY (24 * 3600)
#define OID_O "2.5.4.10"
#define OID_CN "2.5.4.3"
#define OID_C "2.5.4.6"
#define OID_SERIAL "2.5.4.5"
#define OID_POLICIES "2.5.29.32"
#define OID_NAME_CONSTRAINTS "2.5.29.30"
#define OID_PERMITTED_EINS "2.23.146.1.2.2.0"

/* What the certificate profile leaves open, per certificate. */
typedef struct {
	IfppRole role;
	const char *org;
	const char *cn;
	const char *serial;		/* subject's serialNumber: the EID, or NULL */
	const char *rid;		/* registeredID in the SAN, or NULL */
	const char *v3;			/* arcs of the role in SGP.22 v3, "\0\0\1" and so on; NULL: @role, as in v2 */
	guint v3_len;
	int pathlen;			/* -2: not a CA, -1: a CA without limit */
	unsigned int usage;
	gint64 not_before, not_after;	/* not_after -1: never */
} Profile;

struct _PkiEum {
	gnutls_x509_crt_t cert;
	gnutls_privkey_t key;
	GBytes *cert_der;
	GBytes *ci_der;
	GBytes *cas;
	char *org;
	char prefix[9];
	gboolean v3;
};

static gboolean check(int ret, const char *what, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "%s: %s", what, gnutls_strerror(ret));
	return FALSE;
}

static gboolean bad_file(int ret, const char *path, const char *what, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: not %s: %s", path, what, gnutls_strerror(ret));
	return FALSE;
}

static gboolean write_datum(const char *path, const gnutls_datum_t *datum, int mode, GError **error)
{
	return ifpp_file_write(path, datum->data, datum->size, mode, error);
}

/* ------------------------------------------------------------------ certificates */

/* 30 { A0 { 30 { A4 { Name { O, serialNumber } } } } }: GnuTLS cannot write a directoryName constraint. @prefix NULL: O alone */
static GByteArray *name_constraints(const char *org, const char *prefix)
{
	static const struct {
		guint8 oid[3];
	} oids[2] = { { { 0x55, 0x04, 0x0A } }, { { 0x55, 0x04, 0x05 } } };
	const char *values[2] = { org, prefix };
	g_autoptr(GByteArray) name = g_byte_array_new();
	static const guint32 wrap[] = { 0x30, 0xA4, 0x30, 0xA0, 0x30 };
	GByteArray *der;

	for (guint i = 0; i < 2 && values[i]; i++) {
		g_autoptr(GByteArray) pair = g_byte_array_new();
		g_autoptr(GByteArray) atv = g_byte_array_new();

		ifpp_tlv_put(pair, 0x06, oids[i].oid, 3);
		ifpp_tlv_put(pair, 0x13, values[i], strlen(values[i]));
		ifpp_tlv_put(atv, 0x30, pair->data, pair->len);
		ifpp_tlv_put(name, 0x31, atv->data, atv->len);
	}
	der = g_byte_array_ref(name);
	for (guint i = 0; i < G_N_ELEMENTS(wrap); i++) {
		GByteArray *outer = g_byte_array_new();

		ifpp_tlv_put(outer, wrap[i], der->data, der->len);
		g_byte_array_unref(der);
		der = outer;
	}
	return der;
}

/* SubjectKeyIdentifier: SHA-1 of the key bits, RFC 5280 4.2.1.2 (1). */
static gboolean key_identifier(gnutls_pubkey_t key, guint8 ski[20], GError **error)
{
	gnutls_ecc_curve_t curve;
	gnutls_datum_t x = {}, y = {};
	guint8 point[65] = { 4 };
	gboolean ok;

	if (!check(gnutls_pubkey_export_ecc_raw2(key, &curve, &x, &y, GNUTLS_EXPORT_FLAG_NO_LZ), "public key",
		   error))
		return FALSE;
	ok = curve == GNUTLS_ECC_CURVE_SECP256R1 && x.size <= 32 && y.size <= 32;
	if (ok) {
		memcpy(point + 33 - x.size, x.data, x.size);
		memcpy(point + 65 - y.size, y.data, y.size);
		ok = gnutls_hash_fast(GNUTLS_DIG_SHA1, point, sizeof(point), ski) == 0;
	}
	gnutls_free(x.data);
	gnutls_free(y.data);
	if (!ok)
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_POINT, "public key: not a P-256 key");
	return ok;
}

static gboolean set_dn(gnutls_x509_crt_t crt, const char *oid, const char *value, GError **error)
{
	return !value || check(gnutls_x509_crt_set_dn_by_oid(crt, oid, 0, value, strlen(value)), "subject",
			       error);
}

/* 30 { 30 { id-rspRole.N } }, 2.23.146.1.2.1.N; by hand because GnuTLS would not make it critical */
static GByteArray *role_policies(const Profile *p)
{
	static const guint8 role[] = { 0x67, 0x81, 0x12, 0x01, 0x02, 0x01 };
	g_autoptr(GByteArray) oid = g_byte_array_new(), policy = g_byte_array_new(), info = g_byte_array_new();
	GByteArray *all = g_byte_array_new();
	guint8 v2 = p->role;

	g_byte_array_append(oid, role, sizeof(role));
	g_byte_array_append(oid, p->v3 ? (const guint8 *)p->v3 : &v2, p->v3 ? p->v3_len : 1);
	ifpp_tlv_put(policy, 0x06, oid->data, oid->len);
	ifpp_tlv_put(info, 0x30, policy->data, policy->len);
	ifpp_tlv_put(all, 0x30, info->data, info->len);
	return all;
}

static gboolean set_fields(gnutls_x509_crt_t crt, const Profile *p, gnutls_pubkey_t key, GError **error)
{
	g_autoptr(GByteArray) policies = role_policies(p);
	guint8 serial[8], ski[20];

	if (!check(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)), "random numbers", error) ||
	    !key_identifier(key, ski, error))
		return FALSE;
	serial[0] = (serial[0] & 0x7F) | 0x40;	/* positive, always eight bytes */

	return check(gnutls_x509_crt_set_version(crt, 3), "version", error) &&
	       check(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)), "serial", error) &&
	       check(gnutls_x509_crt_set_activation_time(crt, p->not_before), "notBefore", error) &&
	       check(gnutls_x509_crt_set_expiration_time(crt, p->not_after), "notAfter", error) &&
	       set_dn(crt, OID_C, "IT", error) && set_dn(crt, OID_O, p->org, error) &&
	       set_dn(crt, OID_SERIAL, p->serial, error) && set_dn(crt, OID_CN, p->cn, error) &&
	       check(gnutls_x509_crt_set_pubkey(crt, key), "public key", error) &&
	       check(gnutls_x509_crt_set_key_usage(crt, p->usage), "keyUsage", error) &&
	       (p->pathlen < -1 ||
		check(gnutls_x509_crt_set_basic_constraints(crt, 1, p->pathlen), "basicConstraints",
		      error)) &&
	       check(gnutls_x509_crt_set_extension_by_oid(crt, OID_POLICIES, policies->data, policies->len, 1),
		     "certificatePolicies", error) &&
	       (!p->rid || check(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_REGISTERED_ID, p->rid,
								      strlen(p->rid), GNUTLS_FSAN_SET),
				 "subjectAltName", error)) &&
	       check(gnutls_x509_crt_set_subject_key_id(crt, ski, sizeof(ski)), "subjectKeyIdentifier",
		     error);
}

/* @issuer NULL: self-signed. */
static gnutls_x509_crt_t make_cert(const Profile *p, gnutls_pubkey_t key, const char *eid_prefix,
				   gnutls_x509_crt_t issuer, gnutls_privkey_t issuer_key, GError **error)
{
	gnutls_x509_crt_t crt;
	guint8 aki[20];
	size_t len = sizeof(aki);

	if (!check(gnutls_x509_crt_init(&crt), "certificate", error))
		return NULL;
	if (!set_fields(crt, p, key, error))
		goto fail;
	if (eid_prefix && p->v3) {
		g_autoptr(GByteArray) ein = g_byte_array_new(), eins = g_byte_array_new();

		ifpp_tlv_put(ein, 0x13, eid_prefix, strlen(eid_prefix));
		ifpp_tlv_put(eins, 0x30, ein->data, ein->len);
		if (!check(gnutls_x509_crt_set_extension_by_oid(crt, OID_PERMITTED_EINS, eins->data, eins->len, 0),
			   "permittedEins", error))
			goto fail;
	}
	if (eid_prefix) {
		g_autoptr(GByteArray) der = name_constraints(p->org, p->v3 ? NULL : eid_prefix);

		if (!check(gnutls_x509_crt_set_extension_by_oid(crt, OID_NAME_CONSTRAINTS, der->data,
								der->len, 1), "nameConstraints", error))
			goto fail;
	}
	if (!issuer)
		issuer = crt;
	if (!check(gnutls_x509_crt_get_subject_key_id(issuer, aki, &len, NULL), "issuer's key identifier",
		   error) ||
	    !check(gnutls_x509_crt_set_authority_key_id(crt, aki, len), "authorityKeyIdentifier", error) ||
	    !check(gnutls_x509_crt_privkey_sign(crt, issuer, issuer_key, GNUTLS_DIG_SHA256, 0), "signature",
		   error))
		goto fail;
	return crt;
fail:
	gnutls_x509_crt_deinit(crt);
	return NULL;
}

/* ------------------------------------------------------------------ files */

/* NAME.pem of the PKI */
static gboolean write_cert(const char *dir, const char *name, gnutls_x509_crt_t crt, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.pem", dir, name);
	gnutls_datum_t pem = {};
	gboolean ok;

	if (!check(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), path, error))
		return FALSE;
	ok = write_datum(path, &pem, 0644, error);
	gnutls_free(pem.data);
	return ok;
}

static gboolean write_key(const char *dir, const char *name, gnutls_privkey_t key, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.key", dir, name);
	gnutls_x509_privkey_t x509 = NULL;
	gnutls_datum_t pem = {};
	gboolean ok = FALSE;

	if (!check(gnutls_privkey_export_x509(key, &x509), path, error))
		return FALSE;
	if (check(gnutls_x509_privkey_export2_pkcs8(x509, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem),
		  path, error))
		ok = write_datum(path, &pem, 0600, error);
	ifpp_secret_datum_clear(&pem);
	gnutls_x509_privkey_deinit(x509);
	return ok;
}

static gboolean load_cert_file(const char *path, gnutls_x509_crt_t *crt, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, PEM_MAX, error);
	gnutls_datum_t datum;
	gsize len;

	if (!file)
		return FALSE;
	datum.data = (void *)g_bytes_get_data(file, &len);
	datum.size = len;
	if (!check(gnutls_x509_crt_init(crt), path, error))
		return FALSE;
	if (bad_file(gnutls_x509_crt_import(*crt, &datum, GNUTLS_X509_FMT_PEM), path, "a PEM certificate",
		     error))
		return TRUE;
	gnutls_x509_crt_deinit(*crt);
	*crt = NULL;
	return FALSE;
}

/* NAME.pem and NAME.key of the PKI. */
static gboolean load_pair(const char *dir, const char *name, gnutls_x509_crt_t *crt, gnutls_privkey_t *key,
			  GError **error)
{
	g_autofree char *cert_path = g_strdup_printf("%s/%s.pem", dir, name);
	g_autofree char *key_path = g_strdup_printf("%s/%s.key", dir, name);
	GBytes *file;
	gnutls_datum_t datum;
	gboolean ok = FALSE;
	gsize len;

	*crt = NULL;
	*key = NULL;
	file = ifpp_file_read(key_path, PEM_MAX, error);
	if (!file)
		return FALSE;
	datum.data = g_bytes_unref_to_data(file, &len);
	datum.size = len;
	if (check(gnutls_privkey_init(key), key_path, error) &&
	    bad_file(gnutls_privkey_import_x509_raw(*key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0), key_path,
		     "a PEM private key", error))
		ok = load_cert_file(cert_path, crt, error);
	if (datum.data)
		gnutls_memset(datum.data, 0, len);
	g_free(datum.data);
	if (!ok && *key) {
		gnutls_privkey_deinit(*key);
		*key = NULL;
	}
	return ok;
}

static GBytes *cert_der(gnutls_x509_crt_t crt, GError **error)
{
	gnutls_datum_t der = {};
	GBytes *bytes;

	if (!check(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), "certificate", error))
		return NULL;
	bytes = g_bytes_new(der.data, der.size);
	gnutls_free(der.data);
	return bytes;
}

/* ------------------------------------------------------------------ init */

static gboolean new_key(gnutls_privkey_t *key, gnutls_pubkey_t *pub, GError **error)
{
	*key = NULL;
	*pub = NULL;
	return check(gnutls_privkey_init(key), "key", error) &&
	       check(gnutls_privkey_generate(*key, GNUTLS_PK_ECDSA,
					     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		     "key", error) &&
	       check(gnutls_pubkey_init(pub), "key", error) &&
	       check(gnutls_pubkey_import_privkey(*pub, *key, 0, 0), "key", error);
}

/* The CAs of a PKI in the order in which they certify each other. */
static const struct ca {
	const char *name, *cn;
	guint variants;			/* which have it: bits of PkiVariant */
	IfppRole role;
	const char *v3;
	guint v3_len;
	int pathlen;			/* without an EUM sub-CA */
	const char *rid;
	const char *issuers[3];		/* the first of these that is there */
	gboolean names_eids;
} cas[] = {
	{ "ci", "CI", 0x1F, IFPP_ROLE_CI, "\0", 1, -1, "2.999.1", { NULL }, FALSE },
	{ "ci-sub", "CI sub-CA", 1 << PKI_B | 1 << PKI_C, IFPP_ROLE_CI, "\0\0", 2, -1, "2.999.2", { "ci" }, FALSE },
	{ "eum", "EUM", 0x1F, IFPP_ROLE_EUM, "\0\0\0", 3, 0, "2.999.5", { "ci-sub", "ci" }, TRUE },
	{ "eum-sub", "EUM sub-CA", 1 << PKI_A | 1 << PKI_C, IFPP_ROLE_EUM, "\0\0\0\0", 4, 0, "2.999.6", { "eum" }, TRUE },
	{ "dp-sub", "SM-DP+ sub-CA", 1 << PKI_A | 1 << PKI_C, IFPP_ROLE_CI, "\0\0\1", 3, 0, "2.999.7",
	  { "ci-sub", "ci" }, FALSE },
};

static gboolean has_file(const char *dir, const char *name)
{
	g_autofree char *path = g_strdup_printf("%s/%s.pem", dir, name);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The first of these CAs that the PKI has. */
static const char *first_of(const char *dir, const char *const *names)
{
	while (names[1] && !has_file(dir, names[0]))
		names++;
	return names[0];
}

static gboolean init_ca(const char *dir, PkiVariant variant, const struct ca *ca, const char *name,
			const char *eid_prefix, GError **error)
{
	g_autofree char *cn = g_strdup_printf("%s %s", name, ca->cn);
	g_autofree char *org = ca->names_eids ? g_strdup_printf("%s EUM", name) : g_strdup(name);
	gint64 now = g_get_real_time() / G_USEC_PER_SEC - DAY;
	gboolean has_sub = variant == PKI_A || variant == PKI_C;
	Profile p = { .role = ca->role, .org = org, .cn = cn, .rid = ca->rid,
		      .v3 = variant == PKI_O ? NULL : ca->v3, .v3_len = ca->v3_len,
		      .pathlen = ca->pathlen + (has_sub && g_str_equal(ca->name, "eum")),
		      .usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN, .not_before = now,
		      .not_after = now + (ca->issuers[0] ? 30LL : 35LL) * 365 * DAY };
	gnutls_x509_crt_t crt = NULL, issuer = NULL;
	gnutls_privkey_t key = NULL, issuer_key = NULL;
	gnutls_pubkey_t pub = NULL;
	gboolean ok;

	ok = new_key(&key, &pub, error) &&
	     (!ca->issuers[0] || load_pair(dir, first_of(dir, ca->issuers), &issuer, &issuer_key, error)) &&
	     (crt = make_cert(&p, pub, ca->names_eids ? eid_prefix : NULL, issuer, issuer ? issuer_key : key, error)) &&
	     write_key(dir, ca->name, key, error) && write_cert(dir, ca->name, crt, error);
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (issuer)
		gnutls_x509_crt_deinit(issuer);
	if (issuer_key)
		gnutls_privkey_deinit(issuer_key);
	gnutls_privkey_deinit(key);
	gnutls_pubkey_deinit(pub);
	return ok;
}

static gboolean init_files(const char *dir, PkiVariant variant, const char *name, const char *eid_prefix, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(cas); i++)
		if (cas[i].variants & 1 << variant && !init_ca(dir, variant, &cas[i], name, eid_prefix, error))
			return FALSE;
	return TRUE;
}

gboolean pki_variant_parse(const char *name, PkiVariant *variant, GError **error)
{
	static const char *const names[] = { "O", "Ov3", "A", "B", "C" };

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		*variant = i;
		if (g_str_equal(name, names[i]))
			return TRUE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: the variants are O, Ov3, A, B and C", name);
	return FALSE;
}

gboolean pki_init(const char *dir, PkiVariant variant, const char *name, const char *eid_prefix, GError **error)
{
	g_autofree char *ci = g_build_filename(dir, "ci.pem", NULL);

	if (strlen(eid_prefix) != 8 || strspn(eid_prefix, "0123456789") != 8) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: an EID prefix is eight digits",
			    eid_prefix);
		return FALSE;
	}
	/* 4 bytes for " EUM"; X.520 allows 64 */
	if (!*name || strlen(name) > 60 || !g_str_is_ascii(name)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: a name is 1 to 60 ASCII characters",
			    name);
		return FALSE;
	}
	if (g_file_test(ci, G_FILE_TEST_EXISTS)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "%s: exists already; its certificates would be void", ci);
		return FALSE;
	}
	return ifpp_make_dir(dir, 0700, error) && init_files(dir, variant, name, eid_prefix, error);
}

/* ------------------------------------------------------------------ CERT.DPpb, CERT.DPauth, CRL */

static gnutls_pubkey_t load_subject_key(const char *path, gboolean is_csr, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, PEM_MAX, error);
	gnutls_x509_crq_t crq = NULL;
	gnutls_pubkey_t key = NULL;
	gnutls_datum_t datum;
	gboolean ok;
	gsize len;

	if (!file || !check(gnutls_pubkey_init(&key), path, error))
		return NULL;
	datum.data = (void *)g_bytes_get_data(file, &len);
	datum.size = len;
	if (is_csr)
		ok = check(gnutls_x509_crq_init(&crq), path, error) &&
		     bad_file(gnutls_x509_crq_import(crq, &datum, GNUTLS_X509_FMT_PEM), path,
			      "a PEM certificate request", error) &&
		     bad_file(gnutls_x509_crq_verify(crq, 0), path, "a request signed by its own key",
			      error) && check(gnutls_pubkey_import_x509_crq(key, crq, 0), path, error);
	else
		ok = bad_file(gnutls_pubkey_import(key, &datum, GNUTLS_X509_FMT_PEM), path,
			      "a PEM public key", error);
	if (crq)
		gnutls_x509_crq_deinit(crq);
	if (ok)
		return key;
	gnutls_pubkey_deinit(key);
	return NULL;
}

/* A certificate and those of the sub-CAs above it, @issuer first, one PEM file. */
static gboolean write_chain(const char *dir, gnutls_x509_crt_t crt, const char *issuer, const char *out, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	gnutls_datum_t pem = {};

	if (!check(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), out, error))
		return FALSE;
	g_string_append_len(text, (const char *)pem.data, pem.size);
	gnutls_free(pem.data);
	while (!g_str_equal(issuer, "ci")) {
		g_autofree char *path = g_strdup_printf("%s/%s.pem", dir, issuer);
		g_autoptr(GBytes) file = ifpp_file_read(path, PEM_MAX, error);

		if (!file)
			return FALSE;
		g_string_append_len(text, g_bytes_get_data(file, NULL), g_bytes_get_size(file));
		issuer = g_str_equal(issuer, "ci-sub") ? "ci" :
							 first_of(dir, (const char *const[]){ "ci-sub", "ci", NULL });
	}
	return ifpp_file_write(out, text->str, text->len, 0644, error);
}

/* The eight digits that an EUM's certificate permits: in v3 by themselves, in v2 last in its name constraints. */
static gboolean permitted_prefix(gnutls_x509_crt_t crt, char prefix[9], gboolean *v3)
{
	guint8 der[256];
	size_t len = sizeof(der);
	unsigned int critical;

	*v3 = gnutls_x509_crt_get_extension_by_oid(crt, OID_PERMITTED_EINS, 0, der, &len, &critical) >= 0;
	if (!*v3) {
		len = sizeof(der);
		if (gnutls_x509_crt_get_extension_by_oid(crt, OID_NAME_CONSTRAINTS, 0, der, &len, &critical) < 0)
			return FALSE;
	}
	if (len < 10 || der[len - 10] != 0x13 || der[len - 9] != 8)
		return FALSE;
	memcpy(prefix, der + len - 8, 8);
	prefix[8] = '\0';
	return TRUE;
}

/* The CI's own role is the same in v2 and v3: its EUM tells which of them this PKI is of. */
static gboolean is_v3(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, "eum.pem", NULL);
	gnutls_x509_crt_t eum = NULL;
	gboolean v3 = FALSE;
	char prefix[9];

	if (load_cert_file(path, &eum, NULL))
		permitted_prefix(eum, prefix, &v3);
	if (eum)
		gnutls_x509_crt_deinit(eum);
	return v3;
}

gboolean pki_dp(const char *dir, IfppRole role, const char *key_path, gboolean is_csr, const char *oid,
		const char *out, gint64 not_before, gint64 not_after, GError **error)
{
	Profile dp = { .role = role, .org = "IFPP Key Maker", .rid = oid, .pathlen = -2,
		       .cn = role == IFPP_ROLE_DP_PB ? "SM-DPf profile binding" : "SM-DP authentication",
		       .usage = GNUTLS_KEY_DIGITAL_SIGNATURE,
		       .not_before = not_before, .not_after = not_after };
	const char *issuer = first_of(dir, (const char *const[]){ "dp-sub", "ci-sub", "ci", NULL });
	gnutls_x509_crt_t ca = NULL, crt = NULL;
	gnutls_privkey_t ca_key = NULL;
	gnutls_pubkey_t key;
	gboolean ok;

	if (not_after <= not_before) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: its validity ends before it begins",
			    out);
		return FALSE;
	}
	key = load_subject_key(key_path, is_csr, error);
	if (!key)
		return FALSE;
	ok = load_pair(dir, issuer, &ca, &ca_key, error);
	if (ok && is_v3(dir)) {
		dp.v3 = role == IFPP_ROLE_DP_PB ? "\0\0\1\2" : "\0\0\1\1";
		dp.v3_len = 4;
	}
	ok = ok && (crt = make_cert(&dp, key, NULL, ca, ca_key, error)) != NULL && write_chain(dir, crt, issuer, out, error);
	gnutls_pubkey_deinit(key);
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (ca)
		gnutls_x509_crt_deinit(ca);
	if (ca_key)
		gnutls_privkey_deinit(ca_key);
	return ok;
}

static gboolean crl_revoke(gnutls_x509_crl_t crl, const char *path, gint64 when, GError **error)
{
	gnutls_x509_crt_t crt = NULL;
	gboolean ok;

	if (!load_cert_file(path, &crt, error))
		return FALSE;
	ok = check(gnutls_x509_crl_set_crt(crl, crt, when), path, error);
	gnutls_x509_crt_deinit(crt);
	return ok;
}

gboolean pki_crl(const char *dir, const char *issuer, char **revoke, const char *out, guint days, GError **error)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	guint64 number = GUINT64_TO_BE(now);	/* grows with time, as a CRL number must */
	gnutls_x509_crt_t ca = NULL;
	gnutls_privkey_t ca_key = NULL;
	gnutls_x509_crl_t crl = NULL;
	gnutls_datum_t der = {};
	guint8 ski[20];
	size_t len = sizeof(ski);
	gboolean ok;

	for (guint i = 0;; i++) {
		if (i == G_N_ELEMENTS(cas)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: no CA of a PKI is called so", issuer);
			return FALSE;
		}
		if (g_str_equal(issuer, cas[i].name))
			break;
	}
	ok = load_pair(dir, issuer, &ca, &ca_key, error) && check(gnutls_x509_crl_init(&crl), "CRL", error) &&
	     check(gnutls_x509_crl_set_version(crl, 2), "CRL", error) &&
	     check(gnutls_x509_crl_set_number(crl, (guint8 *)&number + 3, 5), "CRL", error) &&
	     check(gnutls_x509_crl_set_this_update(crl, now), "CRL", error) &&
	     check(gnutls_x509_crl_set_next_update(crl, now + (gint64)days * DAY), "CRL", error) &&
	     check(gnutls_x509_crt_get_subject_key_id(ca, ski, &len, NULL), issuer, error) &&
	     check(gnutls_x509_crl_set_authority_key_id(crl, ski, len), "CRL", error);
	for (guint i = 0; ok && revoke && revoke[i]; i++)
		ok = crl_revoke(crl, revoke[i], now, error);
	ok = ok && check(gnutls_x509_crl_privkey_sign(crl, ca, ca_key, GNUTLS_DIG_SHA256, 0), "CRL", error) &&
	     check(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_DER, &der), "CRL", error) &&
	     write_datum(out, &der, 0644, error);
	gnutls_free(der.data);
	if (crl)
		gnutls_x509_crl_deinit(crl);
	if (ca)
		gnutls_x509_crt_deinit(ca);
	if (ca_key)
		gnutls_privkey_deinit(ca_key);
	return ok;
}

/* ------------------------------------------------------------------ the EUM */

void pki_eum_free(PkiEum *eum)
{
	if (!eum)
		return;
	if (eum->cert)
		gnutls_x509_crt_deinit(eum->cert);
	if (eum->key)
		gnutls_privkey_deinit(eum->key);
	g_clear_pointer(&eum->cert_der, g_bytes_unref);
	g_clear_pointer(&eum->ci_der, g_bytes_unref);
	g_clear_pointer(&eum->cas, g_bytes_unref);
	g_free(eum->org);
	g_free(eum);
}

/* DER of one of the PKI's CAs at the end of @out. */
static gboolean append_ca(const char *dir, const char *name, GByteArray *out, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.pem", dir, name);
	g_autoptr(GBytes) der = NULL;
	gnutls_x509_crt_t crt = NULL;

	if (!load_cert_file(path, &crt, error))
		return FALSE;
	der = cert_der(crt, error);
	gnutls_x509_crt_deinit(crt);
	if (!der)
		return FALSE;
	g_byte_array_append(out, g_bytes_get_data(der, NULL), g_bytes_get_size(der));
	return TRUE;
}

/* What stands between the issuer of the chips and the CI. */
static gboolean read_cas(PkiEum *eum, const char *dir, const char *issuer, GError **error)
{
	g_autoptr(GByteArray) above = g_byte_array_new();

	if ((g_str_equal(issuer, "eum-sub") && !append_ca(dir, "eum", above, error)) ||
	    (has_file(dir, "ci-sub") && !append_ca(dir, "ci-sub", above, error)))
		return FALSE;
	if (above->len)
		eum->cas = g_bytes_new(above->data, above->len);
	return TRUE;
}

PkiEum *pki_eum_open(const char *dir, GError **error)
{
	g_autofree char *ci_path = g_build_filename(dir, "ci.pem", NULL);
	const char *issuer = first_of(dir, (const char *const[]){ "eum-sub", "eum", NULL });
	g_autoptr(PkiEum) eum = g_new0(PkiEum, 1);
	gnutls_x509_crt_t ci = NULL;
	char org[128];
	size_t len = sizeof(org);

	if (!load_pair(dir, issuer, &eum->cert, &eum->key, error) || !load_cert_file(ci_path, &ci, error))
		return NULL;
	eum->ci_der = cert_der(ci, error);
	gnutls_x509_crt_deinit(ci);
	if (!eum->ci_der)
		return NULL;
	eum->cert_der = cert_der(eum->cert, error);
	if (!permitted_prefix(eum->cert, eum->prefix, &eum->v3)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CONSTRAINT, "%s.pem: no EID prefix of eight digits in it", issuer);
		return NULL;
	}
	if (!eum->cert_der || !read_cas(eum, dir, issuer, error) ||
	    !check(gnutls_x509_crt_get_dn_by_oid(eum->cert, OID_O, 0, 0, org, &len), "eum.pem: O", error))
		return NULL;
	eum->org = g_strdup(org);
	return g_steal_pointer(&eum);
}

GBytes *pki_eum_cert(PkiEum *eum)
{
	return eum->cert_der;
}

GBytes *pki_eum_cas(PkiEum *eum)
{
	return eum->cas;
}

GBytes *pki_eum_ci(PkiEum *eum)
{
	return eum->ci_der;
}

GBytes *pki_eum_sign(PkiEum *eum, GBytes *text, GError **error)
{
	gnutls_datum_t data = { (guint8 *)g_bytes_get_data(text, NULL), g_bytes_get_size(text) }, der = {};
	gnutls_pkcs7_t cms = NULL;
	GBytes *signature = NULL;

	if (check(gnutls_pkcs7_init(&cms), "CMS", error) &&
	    check(gnutls_pkcs7_sign(cms, eum->cert, eum->key, &data, NULL, NULL, GNUTLS_DIG_SHA256,
				    GNUTLS_PKCS7_INCLUDE_CERT), "CMS", error) &&
	    check(gnutls_pkcs7_export2(cms, GNUTLS_X509_FMT_DER, &der), "CMS", error))
		signature = g_bytes_new(der.data, der.size);
	gnutls_free(der.data);
	if (cms)
		gnutls_pkcs7_deinit(cms);
	return signature;
}

GBytes *pki_eum_certify(PkiEum *eum, const guint8 eid[16], const guint8 point[65], GError **error)
{
	gnutls_datum_t x = { (guint8 *)point + 1, 32 }, y = { (guint8 *)point + 33, 32 };
	char digits[IFPP_EID_DIGITS + 1];
	Profile chip = { .role = IFPP_ROLE_EUICC, .org = eum->org, .cn = "IFPP test eUICC", .serial = digits,
			 .pathlen = -2, .usage = GNUTLS_KEY_DIGITAL_SIGNATURE,
			 .not_before = gnutls_x509_crt_get_activation_time(eum->cert), .not_after = -1 };
	gnutls_x509_crt_t crt = NULL;
	gnutls_pubkey_t key = NULL;
	GBytes *der = NULL;

	if (eum->v3) {
		chip.v3 = "\0\0\0\0\0";
		chip.v3_len = 5;
	}
	ifpp_eid_format(eid, digits);
	if (strncmp(digits, eum->prefix, 8)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CONSTRAINT, "EID %s: this EUM may only issue %s…",
			    digits, eum->prefix);
		return NULL;
	}
	if (check(gnutls_pubkey_init(&key), "key", error) &&
	    check(gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_SECP256R1, &x, &y), "key", error))
		crt = make_cert(&chip, key, NULL, eum->cert, eum->key, error);
	if (crt) {
		der = cert_der(crt, error);
		gnutls_x509_crt_deinit(crt);
	}
	if (key)
		gnutls_pubkey_deinit(key);
	return der;
}
