// SPDX-License-Identifier: GPL-2.0-or-later
#include "testpki.h"

#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/pkcs7.h>

#include "eid.h"
#include "euicc.h"
#include "package.h"

#define OK(call) g_assert_cmpint(call, >=, 0)

gint64 test_shift;

const TestSpec test_spec_ci = {
	.cn = "Test CI", .role = IFPP_ROLE_CI, .ca = TRUE, .rid = "2.999.1", .serial = 1};
const TestSpec test_spec_eum = {
	.cn = "EUM Test", .org = "RSP Test EUM", .role = IFPP_ROLE_EUM, .ca = TRUE, .pathlen = 1,
	.prefix = "89049032", .prefix_org = "RSP Test EUM", .rid = "2.999.5", .serial = 2,
};
const TestSpec test_spec_euicc = {
	.cn = "Test eUICC",
	.org = "RSP Test EUM",
	.serial_number = TEST_EID,
	.role = IFPP_ROLE_EUICC,
	.serial = 3,
};
const TestSpec test_spec_dppb = {
	.cn = "Test DPpb", .org = "ACME", .role = IFPP_ROLE_DP_PB, .rid = "2.999.10", .serial = 4};

IfppSpan test_id_span(TestId *id)
{
	return ifpp_span_bytes(id->der);
}

static GBytes *take_datum(gnutls_datum_t *datum)
{
	GBytes *bytes = g_bytes_new(datum->data, datum->size);

	gnutls_free(datum->data);
	return bytes;
}

static void put_oid(GByteArray *out, guint32 tag, const char *text)
{
	g_auto(GStrv) arcs = g_strsplit(text, ".", 0);
	g_autoptr(GByteArray) value = g_byte_array_new();

	for (guint i = 1; arcs[i]; i++) {
		guint64 arc = g_ascii_strtoull(arcs[i], NULL, 10);
		guint8 buf[10];
		int n = sizeof(buf);

		if (i == 1)
			arc += 40 * g_ascii_strtoull(arcs[0], NULL, 10);
		buf[--n] = arc & 0x7F;
		while (arc >>= 7)
			buf[--n] = 0x80 | (arc & 0x7F);
		g_byte_array_append(value, buf + n, sizeof(buf) - n);
	}
	ifpp_tlv_put(out, tag, value->data, value->len);
}

/* Wrap what is in @out into a TLV. */
static void wrap(GByteArray *out, guint32 tag)
{
	g_autoptr(GByteArray) all = g_byte_array_new();

	ifpp_tlv_put(all, tag, out->data, out->len);
	g_byte_array_set_size(out, 0);
	g_byte_array_append(out, all->data, all->len);
}

static void add_extension(gnutls_x509_crt_t crt, const char *oid, GByteArray *value, gboolean critical)
{
	OK(gnutls_x509_crt_set_extension_by_oid(crt, oid, value->data, value->len, critical));
}

static void put_rdn(GByteArray *out, const char *oid, const char *text)
{
	g_autoptr(GByteArray) atv = g_byte_array_new();

	put_oid(atv, 0x06, oid);
	ifpp_tlv_put(atv, 0x13, text, strlen(text));
	wrap(atv, 0x30);
	wrap(atv, 0x31);
	g_byte_array_append(out, atv->data, atv->len);
}

/* GeneralSubtrees { one directoryName } under @tag */
static void put_subtree(GByteArray *out, guint32 tag, const TestSpec *spec, gboolean excluded)
{
	g_autoptr(GByteArray) name = g_byte_array_new();

	if (excluded) {
		put_rdn(name, "2.5.4.10", spec->excluded_org);
	} else {
		if (spec->prefix_country)
			put_rdn(name, "2.5.4.6", spec->prefix_country);
		if (spec->prefix_unit)
			put_rdn(name, "2.5.4.11", spec->prefix_unit);
		if (spec->prefix_org)
			put_rdn(name, "2.5.4.10", spec->prefix_org);
		if (spec->prefix)
			put_rdn(name, "2.5.4.5", spec->prefix);
	}
	wrap(name, 0x30);
	wrap(name, 0xA4);
	wrap(name, 0x30);
	wrap(name, tag);
	g_byte_array_append(out, name->data, name->len);
}

static void add_name_constraints(gnutls_x509_crt_t crt, const TestSpec *spec)
{
	g_autoptr(GByteArray) out = g_byte_array_new();

	if (spec->prefix || spec->prefix_org)
		put_subtree(out, 0xA0, spec, FALSE);
	if (spec->excluded_org)
		put_subtree(out, 0xA1, spec, TRUE);
	wrap(out, 0x30);
	add_extension(crt, "2.5.29.30", out, TRUE);
}

void test_put_point(GByteArray *out, const char *uri)
{
	ifpp_tlv_put(out, 0x86, uri, strlen(uri));
	wrap(out, 0xA0);
	wrap(out, 0xA0);
}

/* The same extension again, but not critical. */
static void make_not_critical(gnutls_x509_crt_t crt, const char *oid)
{
	guint8 value[256];
	gsize size = sizeof(value);
	unsigned int critical;

	OK(gnutls_x509_crt_get_extension_by_oid(crt, oid, 0, value, &size, &critical));
	g_assert_true(critical);
	OK(gnutls_x509_crt_set_extension_by_oid(crt, oid, value, size, 0));
}

static void set_dn(gnutls_x509_crt_t crt, const char *oid, const char *text)
{
	if (text)
		OK(gnutls_x509_crt_set_dn_by_oid(crt, oid, 0, text, strlen(text)));
}

static void set_extensions(TestId *id, const TestSpec *spec, TestId *issuer)
{
	g_autofree char *role = g_strdup_printf("2.23.146.1.2.1.%d", spec->role);
	const char *policy_oid = spec->policy ? spec->policy : role;
	unsigned int usage =
		spec->ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE;
	guint8 key_id[20];
	gsize size = sizeof(key_id);

	OK(gnutls_x509_crt_set_key_usage(id->crt, spec->usage ? spec->usage : usage));
	if (*policy_oid) {
		/* GnuTLS would not make it critical */
		g_autoptr(GByteArray) out = g_byte_array_new();

		put_oid(out, 0x06, policy_oid);
		wrap(out, 0x30);
		wrap(out, 0x30);
		add_extension(id->crt, "2.5.29.32", out, TRUE);
	}
	if (spec->ca)
		OK(gnutls_x509_crt_set_basic_constraints(id->crt, 1, spec->pathlen - 1));
	OK(gnutls_x509_crt_get_key_id(id->crt, 0, key_id, &size));
	if (!spec->no_ski)
		OK(gnutls_x509_crt_set_subject_key_id(id->crt, key_id, size));
	OK(gnutls_x509_crt_get_key_id(issuer->crt, 0, key_id, &size));
	if (!spec->no_aki)
		OK(gnutls_x509_crt_set_authority_key_id(id->crt, key_id, size));
	if (spec->prefix || spec->prefix_org || spec->excluded_org)
		add_name_constraints(id->crt, spec);
	if (spec->ein) {
		g_autoptr(GByteArray) out = g_byte_array_new();

		ifpp_tlv_put(out, 0x13, spec->ein, strlen(spec->ein));
		wrap(out, 0x30);
		add_extension(id->crt, "2.23.146.1.2.2.0", out, FALSE);
	}
	if (spec->rid) {
		g_autoptr(GByteArray) out = g_byte_array_new();

		put_oid(out, 0x88, spec->rid);
		if (spec->second_rid)
			put_oid(out, 0x88, spec->second_rid);
		wrap(out, 0x30);
		add_extension(id->crt, "2.5.29.17", out, FALSE);
	}
	if (spec->crl_point) {
		g_autoptr(GByteArray) out = g_byte_array_new();

		test_put_point(out, spec->crl_point);
		wrap(out, 0x30);
		wrap(out, 0x30);
		add_extension(id->crt, "2.5.29.31", out, FALSE);
	}
	if (spec->not_critical)
		make_not_critical(id->crt, spec->not_critical);
	if (spec->extra_oid) {
		g_autoptr(GByteArray) out = g_byte_array_new();

		wrap(out, 0x30);
		add_extension(id->crt, spec->extra_oid, out, spec->extra_critical);
	}
}

/* @again: with the key of this one, or NULL */
static TestId *id_new(const TestSpec *spec, TestId *issuer, TestId *again)
{
	TestId *id = g_new0(TestId, 1);
	gnutls_ecc_curve_t curve = spec->curve ? spec->curve : GNUTLS_ECC_CURVE_SECP256R1;
	guint8 serial[20];
	gnutls_datum_t der;

	if (!issuer)
		issuer = id;
	OK(gnutls_x509_privkey_init(&id->x509_key));
	if (again)
		OK(gnutls_x509_privkey_cpy(id->x509_key, again->x509_key));
	else
		OK(gnutls_x509_privkey_generate(id->x509_key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(curve), 0));
	OK(gnutls_privkey_init(&id->key));
	OK(gnutls_privkey_import_x509(id->key, id->x509_key, 0));

	OK(gnutls_x509_crt_init(&id->crt));
	OK(gnutls_x509_crt_set_version(id->crt, 3));
	memset(serial, 0x5A, sizeof(serial));
	serial[0] = spec->serial;
	OK(gnutls_x509_crt_set_serial(id->crt, serial, MAX(spec->serial_len, 1)));
	OK(gnutls_x509_crt_set_key(id->crt, id->x509_key));
	set_dn(id->crt, "2.5.4.6", spec->country);
	set_dn(id->crt, "2.5.4.11", spec->unit);
	set_dn(id->crt, "2.5.4.10", spec->org);
	set_dn(id->crt, "2.5.4.5", spec->serial_number);
	set_dn(id->crt, "2.5.4.3", spec->cn);
	OK(gnutls_x509_crt_set_activation_time(id->crt, test_shift + (spec->from ? spec->from :
								      TEST_NOW - 100 * TEST_DAY)));
	OK(gnutls_x509_crt_set_expiration_time(id->crt, test_shift + (spec->to ? spec->to :
								      TEST_NOW + 100 * TEST_DAY)));
	set_extensions(id, spec, issuer);
	OK(gnutls_x509_crt_privkey_sign(id->crt, issuer->crt, issuer->key,
					spec->hash ? spec->hash : GNUTLS_DIG_SHA256, 0));
	OK(gnutls_x509_crt_export2(id->crt, GNUTLS_X509_FMT_DER, &der));
	id->der = take_datum(&der);
	return id;
}

TestId *test_id_new(const TestSpec *spec, TestId *issuer)
{
	return id_new(spec, issuer, NULL);
}

TestId *test_id_reissue(const TestSpec *spec, TestId *root)
{
	return id_new(spec, NULL, root);
}

void test_id_free(TestId *id)
{
	gnutls_x509_crt_deinit(id->crt);
	gnutls_privkey_deinit(id->key);
	gnutls_x509_privkey_deinit(id->x509_key);
	g_bytes_unref(id->der);
	g_free(id);
}

void test_id_point(TestId *id, guint8 point[65])
{
	gnutls_datum_t x, y;

	OK(gnutls_x509_privkey_export_ecc_raw(id->x509_key, NULL, &x, &y, NULL));
	memset(point, 0, 65);
	point[0] = 0x04;
	/* GnuTLS may put a sign byte in front. */
	for (guint i = 0; i < 32; i++) {
		point[32 - i] = i < x.size ? x.data[x.size - 1 - i] : 0;
		point[64 - i] = i < y.size ? y.data[y.size - 1 - i] : 0;
	}
	gnutls_free(x.data);
	gnutls_free(y.data);
}

void test_id_sign(TestId *id, IfppSpan data, guint8 sig[64])
{
	gnutls_datum_t in = { (guint8 *)data.data, data.len }, der, r, s;

	OK(gnutls_privkey_sign_data2(id->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &in, &der));
	OK(gnutls_decode_rs_value(&der, &r, &s));
	for (guint i = 0; i < 32; i++) {
		sig[31 - i] = i < r.size ? r.data[r.size - 1 - i] : 0;
		sig[63 - i] = i < s.size ? s.data[s.size - 1 - i] : 0;
	}
	gnutls_free(der.data);
	gnutls_free(r.data);
	gnutls_free(s.data);
}

TestPki *test_pki_new(void)
{
	TestPki *pki = g_new0(TestPki, 1);

	pki->ci = test_id_new(&test_spec_ci, NULL);
	pki->eum = test_id_new(&test_spec_eum, pki->ci);
	pki->euicc = test_id_new(&test_spec_euicc, pki->eum);
	pki->dppb = test_id_new(&test_spec_dppb, pki->ci);
	pki->eum_list = g_ptr_array_new();
	g_ptr_array_add(pki->eum_list, pki->eum->der);
	pki->trust = ifpp_trust_new();
	ifpp_trust_set_time(pki->trust, TEST_NOW + test_shift);
	g_assert_true(ifpp_trust_add_root(pki->trust, test_id_span(pki->ci), NULL));
	return pki;
}

void test_pki_free(TestPki *pki)
{
	test_id_free(pki->ci);
	test_id_free(pki->eum);
	test_id_free(pki->euicc);
	test_id_free(pki->dppb);
	g_ptr_array_unref(pki->eum_list);
	ifpp_trust_free(pki->trust);
	g_free(pki);
}

static void put_time(GByteArray *out, gint64 when)
{
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(when + test_shift);
	/* RFC 5280 5.1.2.4: UTCTime through 2049, GeneralizedTime from 2050 */
	gboolean late = g_date_time_get_year(date) >= 2050;
	g_autofree char *text = g_date_time_format(date, late ? "%Y%m%d%H%M%SZ" : "%y%m%d%H%M%SZ");

	ifpp_tlv_put(out, late ? 0x18 : 0x17, text, strlen(text));
}

/* One Extension at the end of @out; @value is what stands in the OCTET STRING. */
static void put_extension(GByteArray *out, const char *oid, gboolean critical, GByteArray *value)
{
	g_autoptr(GByteArray) ext = g_byte_array_new();

	put_oid(ext, 0x06, oid);
	if (critical)
		ifpp_tlv_put(ext, 0x01, "\xFF", 1);
	ifpp_tlv_put(ext, 0x04, value->data, value->len);
	wrap(ext, 0x30);
	g_byte_array_append(out, ext->data, ext->len);
}

static void put_number_extension(GByteArray *out, const char *oid, gboolean critical, guint8 number)
{
	g_autoptr(GByteArray) value = g_byte_array_new();

	ifpp_tlv_put(value, 0x02, &number, 1);
	put_extension(out, oid, critical, value);
}

static void put_idp(GByteArray *out, const TestCrl *spec)
{
	static const struct { guint32 tag; guint flag; } flags[] = {
		{ 0x81, TEST_CRL_ONLY_USERS }, { 0x82, TEST_CRL_ONLY_CAS }, { 0x84, TEST_CRL_INDIRECT },
		{ 0x85, TEST_CRL_ATTRIBUTES },
	};
	g_autoptr(GByteArray) value = g_byte_array_new();

	if (spec->point)
		test_put_point(value, spec->point);
	for (guint i = 0; i < G_N_ELEMENTS(flags); i++) {
		if (flags[i].tag == 0x84 && spec->flags & TEST_CRL_SOME_REASONS)
			ifpp_tlv_put(value, 0x83, "\x06\x40", 2);
		if (spec->flags & flags[i].flag)
			ifpp_tlv_put(value, flags[i].tag, "\xFF", 1);
	}
	wrap(value, 0x30);
	put_extension(out, "2.5.29.28", TRUE, value);
}

static void put_crl_extensions(GByteArray *out, const TestCrl *spec)
{
	g_autoptr(GByteArray) aki = g_byte_array_new();
	guint8 key_id[20];
	gsize size = sizeof(key_id);

	OK(gnutls_x509_crt_get_key_id(spec->issuer->crt, 0, key_id, &size));
	ifpp_tlv_put(aki, 0x80, key_id, size);
	wrap(aki, 0x30);
	put_extension(out, "2.5.29.35", FALSE, aki);
	put_number_extension(out, "2.5.29.20", FALSE, 1);
	if (spec->point || spec->flags & ~TEST_CRL_DELTA)
		put_idp(out, spec);
	if (spec->flags & TEST_CRL_DELTA)
		put_number_extension(out, "2.5.29.27", TRUE, 1);
	if (spec->parts) {
		put_number_extension(out, "2.23.146.1.2.0.2", TRUE, spec->parts);
		put_number_extension(out, "2.23.146.1.2.0.3", TRUE, spec->part);
	}
	wrap(out, 0x30);
	wrap(out, 0xA0);
}

/* By hand: GnuTLS cannot write the extensions that CIs write. */
GBytes *test_crl_make(const TestCrl *spec)
{
	static const guint8 algorithm[] = { 0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02 };
	g_autoptr(GByteArray) tbs = g_byte_array_new(), extensions = g_byte_array_new(), sig = g_byte_array_new();
	gnutls_datum_t name, data, der;

	ifpp_tlv_put(tbs, 0x02, "\1", 1);
	g_byte_array_append(tbs, algorithm, sizeof(algorithm));
	OK(gnutls_x509_crt_get_raw_dn(spec->issuer->crt, &name));
	g_byte_array_append(tbs, name.data, name.size);
	gnutls_free(name.data);
	put_time(tbs, spec->from);
	put_time(tbs, spec->to);
	if (spec->revoked) {
		g_autoptr(GByteArray) entry = g_byte_array_new();
		guint8 serial[32];
		gsize size = sizeof(serial);

		OK(gnutls_x509_crt_get_serial(spec->revoked->crt, serial, &size));
		ifpp_tlv_put(entry, 0x02, serial, size);
		put_time(entry, spec->from);
		wrap(entry, 0x30);
		wrap(entry, 0x30);
		g_byte_array_append(tbs, entry->data, entry->len);
	}
	put_crl_extensions(extensions, spec);
	g_byte_array_append(tbs, extensions->data, extensions->len);
	wrap(tbs, 0x30);

	data = (gnutls_datum_t){ tbs->data, tbs->len };
	OK(gnutls_privkey_sign_data2(spec->issuer->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &der));
	g_byte_array_append(sig, (const guint8 *)"", 1);
	g_byte_array_append(sig, der.data, der.size);
	gnutls_free(der.data);
	g_byte_array_append(tbs, algorithm, sizeof(algorithm));
	ifpp_tlv_put(tbs, 0x03, sig->data, sig->len);
	wrap(tbs, 0x30);
	return g_bytes_new(tbs->data, tbs->len);
}

GBytes *test_crl_new(TestId *issuer, TestId *revoked, gint64 this_update, gint64 next_update)
{
	const TestCrl spec = { .issuer = issuer, .revoked = revoked, .from = this_update, .to = next_update };

	return test_crl_make(&spec);
}

GBytes *test_cms_new(TestId *signer, TestId **others, IfppSpan content, unsigned int flags)
{
	gnutls_datum_t data = { (guint8 *)content.data, content.len }, der;
	gnutls_pkcs7_t cms;

	OK(gnutls_pkcs7_init(&cms));
	OK(gnutls_pkcs7_sign(cms, signer->crt, signer->key, &data, NULL, NULL, GNUTLS_DIG_SHA256, flags));
	for (; others && *others; others++)
		OK(gnutls_pkcs7_set_crt(cms, (*others)->crt));
	OK(gnutls_pkcs7_export2(cms, GNUTLS_X509_FMT_DER, &der));
	gnutls_pkcs7_deinit(cms);
	return take_datum(&der);
}

static void put_hex(GByteArray *out, const char *hex)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(hex);

	g_byte_array_append(out, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

GBytes *test_bpp_new(TestId *dppb, const guint8 otpk[65])
{
	g_autoptr(GByteArray) bf23 = g_byte_array_new();
	g_autoptr(GByteArray) tbs = g_byte_array_new();
	g_autoptr(GByteArray) all = g_byte_array_new();
	guint8 sig[64];

	put_hex(bf23, "8201018010000102030405060708090a0b0c0d0e0fa610800188810110840849465050484f5354"
		      "5f4941045d88ab0d597dce971d547f7ad3589a0399322e709425c5164016256ad0b8da7239824ec9c2c308"
		      "249df762847b5e96e7"
		      "f42d3a66a3588ff0aa663026252fc3a7");
	g_byte_array_append(tbs, bf23->data, bf23->len);
	ifpp_tlv_put(tbs, 0x5F49, otpk, 65);
	test_id_sign(dppb, (IfppSpan){ tbs->data, tbs->len }, sig);
	ifpp_tlv_put(bf23, 0x5F37, sig, sizeof(sig));

	ifpp_tlv_put(all, 0xBF23, bf23->data, bf23->len);
	put_hex(all,
		"a01a8718e6bef49ec8e8058be1f7837c26cba1e74ec41507cb2f2f1e"
		"a12a8828bf251d5a0a980010325476981032149104494650509206566563746f729501023347891901c241d9"
		"a24a8748d8e8da10e600ed16d94a8f6c68140ade6040768f3a414d741622989cfde3efbf89d501c3cfa9e3aa2eca"
		"a57e10a50d7d"
		"5fed328355c5d8f9ec5c4c1666664720b9103f04d24c7255"
		"a34a8648250f860c8b5145be186d10bd1149e7e5309a0d27076a9e6560e8b077a675e14bb59714cb14f1f262889d"
		"740baf0f79f1"
		"ef2e466bc217cf054df37ca4f8b7b67102238f121e1fe99c");
	wrap(all, 0xBF36);
	return g_bytes_new(all->data, all->len);
}

GBytes *test_package_wrap(const guint8 header[64], GBytes *cms)
{
	GByteArray *out = g_byte_array_new();

	g_byte_array_append(out, header, IFPP_HEADER_LEN);
	g_byte_array_append(out, g_bytes_get_data(cms, NULL), g_bytes_get_size(cms));
	return g_byte_array_free_to_bytes(out);
}

/*
 * The header is signed and holds the length of what signs it. DER signatures vary by a byte or
 * two, so: sign until the length comes out as foretold.
 */
static GBytes *package_new(TestId *dppb, TestId **others, const guint8 eid[16], const guint8 otpk[65],
			   GBytes *bpp, unsigned int flags)
{
	IfppHeader header = { .body_len = 0 };
	guint8 raw[IFPP_HEADER_LEN];

	memcpy(header.eid, eid, 16);
	ifpp_key_id(otpk, header.key_id);
	for (;;) {
		g_autoptr(GBytes) content = NULL;
		g_autoptr(GBytes) cms = NULL;

		ifpp_header_write(&header, raw);
		content = ifpp_package_content(raw, ifpp_span_bytes(bpp));
		cms = test_cms_new(dppb, others, ifpp_span_bytes(content),
				   GNUTLS_PKCS7_EMBED_DATA | GNUTLS_PKCS7_INCLUDE_CERT | flags);
		if (g_bytes_get_size(cms) == header.body_len)
			return test_package_wrap(raw, cms);
		header.body_len = g_bytes_get_size(cms);
	}
}

GBytes *test_package_new(TestId *dppb, TestId **others, const guint8 eid[16], const guint8 otpk[65],
			 GBytes *bpp)
{
	return package_new(dppb, others, eid, otpk, bpp, 0);
}

GBytes *test_package_new_with_attributes(TestId *dppb, TestId **others, const guint8 eid[16],
					 const guint8 otpk[65], GBytes *bpp)
{
	return package_new(dppb, others, eid, otpk, bpp, GNUTLS_PKCS7_INCLUDE_TIME);
}

void test_eid(guint8 eid[16])
{
	g_assert_true(ifpp_eid_parse(TEST_EID, eid, NULL));
}

TestId *test_otk_new(void)
{
	return test_id_new(&(TestSpec){ .cn = "one-time key", .serial = 9 }, NULL);
}

GBytes *test_factory_info_new(TestPki *pki, guint n, TestId **keys)
{
	g_autoptr(GByteArray) list = g_byte_array_new();
	g_autoptr(GByteArray) certs = g_byte_array_new();
	g_autoptr(GByteArray) all = g_byte_array_new();
	guint8 eid[16];

	test_eid(eid);
	for (guint i = 0; i < n; i++) {
		g_autoptr(GByteArray) key = g_byte_array_new();
		g_autoptr(GBytes) tbs = NULL;
		guint8 point[65], key_id[32], sig[64];

		keys[i] = test_otk_new();
		test_id_point(keys[i], point);
		ifpp_key_id(point, key_id);
		tbs = ifpp_attestation_tbs(key_id, point, eid);
		test_id_sign(pki->euicc, ifpp_span_bytes(tbs), sig);
		ifpp_tlv_put(key, 0x80, key_id, 32);
		ifpp_tlv_put(key, 0x5F49, point, 65);
		ifpp_tlv_put(key, 0x5F37, sig, 64);
		ifpp_tlv_put(list, 0x30, key->data, key->len);
	}
	ifpp_tlv_put_uint(all, 0x80, 1);
	ifpp_tlv_put_uint(all, 0x81, 0);
	ifpp_tlv_put(all, 0xA2, list->data, list->len);
	ifpp_tlv_put_uint(all, 0x83, 0);
	g_byte_array_append(certs, g_bytes_get_data(pki->eum->der, NULL), g_bytes_get_size(pki->eum->der));
	g_byte_array_append(certs, g_bytes_get_data(pki->euicc->der, NULL),
			    g_bytes_get_size(pki->euicc->der));
	ifpp_tlv_put(all, 0xA4, certs->data, certs->len);
	wrap(all, IFPP_TAG_FACTORY_INFO);
	return g_bytes_new(all->data, all->len);
}

GBytes *test_pir_new(TestId *euicc, gboolean success)
{
	g_autoptr(GByteArray) all = g_byte_array_new();
	guint8 sig[64];

	put_hex(all, success ? "bf275d8010000102030405060708090a0b0c0d0e0fbf2f22800101810207800c0d662e6578616"
			       "d706c652e636f6d"
			       "5a0a98001032547698103214060388370aa21fa01d4f10a0000005591010ffffffff890000110"
			       "004093007a005"
			       "3003800100"
			     : "bf27468010000102030405060708090a0b0c0d0e0fbf2f22800101810207800c0d662e6578616"
			       "d706c652e636f6d"
			       "5a0a98001032547698103214060388370aa208a106800100810102");
	test_id_sign(euicc, (IfppSpan){ all->data, all->len }, sig);
	ifpp_tlv_put(all, 0x5F37, sig, sizeof(sig));
	wrap(all, IFPP_TAG_PIR);
	return g_bytes_new(all->data, all->len);
}

GBytes *test_receipt_new(TestId *euicc, const guint8 eid[16], const guint8 challenge[16])
{
	g_autoptr(GByteArray) all = g_byte_array_new();
	guint8 sig[64];

	ifpp_tlv_put(all, 0x80, eid, 16);
	ifpp_tlv_put(all, 0x81, challenge, 16);
	ifpp_tlv_put_uint(all, 0x82, 1);
	ifpp_tlv_put_uint(all, 0x83, 3);
	wrap(all, 0x30);
	test_id_sign(euicc, (IfppSpan){ all->data, all->len }, sig);
	ifpp_tlv_put(all, 0x5F37, sig, sizeof(sig));
	return g_bytes_new(all->data, all->len);
}
