// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "error.h"
#include "file.h"
#include "testpki.h"

static TestPki *pki;

static void expect(IfppTrust *trust, IfppSpan leaf, GPtrArray *others, IfppRole role, int code,
		   const char *why)
{
	g_autoptr(GError) error = NULL;
	gboolean ok = ifpp_trust_verify(trust, leaf, others, role, &error);

	if (code == 0) {
		g_assert_no_error(error);
		g_assert_true(ok);
		return;
	}
	g_assert_false(ok);
	g_assert_error(error, IFPP_ERROR, code);
	if (!strstr(error->message, why))
		g_error("'%s' does not say '%s'", error->message, why);
}

static void test_good(void)
{
	guint8 eid[16], own[16], ski[20], aki[20], point[65], point2[65];
	size_t size = sizeof(aki);
	g_autoptr(GBytes) rid = ifpp_cert_registered_id(test_id_span(pki->dppb));
	g_autofree char *rid_hex = ifpp_hex(ifpp_span_bytes(rid));
	GError *error = NULL;

	expect(pki->trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(pki->trust, test_id_span(pki->euicc), pki->eum_list, IFPP_ROLE_EUICC, 0, NULL);
	expect(pki->trust, test_id_span(pki->eum), NULL, IFPP_ROLE_EUM, 0, NULL);

	test_eid(own);
	g_assert_true(ifpp_cert_eid(test_id_span(pki->euicc), eid, &error));
	g_assert_no_error(error);
	g_assert_cmpmem(eid, 16, own, 16);
	g_assert_false(ifpp_cert_eid(test_id_span(pki->eum), eid, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EID);
	g_clear_error(&error);
	g_assert_cmpstr(rid_hex, ==, "88370a");		/* 2.999.10 */
	g_assert_null(ifpp_cert_registered_id(test_id_span(pki->euicc)));
	g_assert_true(ifpp_cert_ski(test_id_span(pki->ci), ski, NULL));
	g_assert_cmpint(gnutls_x509_crt_get_authority_key_id(pki->dppb->crt, aki, &size, NULL), ==, 0);
	g_assert_cmpmem(ski, 20, aki, size);
	test_id_point(pki->dppb, point);
	g_assert_true(ifpp_cert_point(test_id_span(pki->dppb), point2, NULL));
	g_assert_cmpmem(point, 65, point2, 65);
}

/* Leaves of a wrong kind: the right DPpb with one thing changed. */
static void test_leaf(void)
{
	static const struct {
		const char *name;
		TestSpec change;
		int code;
		const char *why;
	} cases[] = {
		{"expired", {.to = TEST_NOW - 1}, IFPP_ERROR_EXPIRED, "expired"},
		{"last second", {.to = TEST_NOW}, 0, NULL},
		{"not yet", {.from = TEST_NOW + 1}, IFPP_ERROR_NOT_YET_VALID, "not valid yet"},
		{"first second", {.from = TEST_NOW}, 0, NULL},
		{"role DPauth", {.role = IFPP_ROLE_DP_AUTH}, IFPP_ERROR_ROLE, "another role"},
		{"no policy", {.policy = ""}, IFPP_ERROR_ROLE, "does not have the role"},
		{"longer policy", {.policy = "2.23.146.1.2.1.50"}, IFPP_ERROR_ROLE, "another role"},
		{"policy below", {.policy = "2.23.146.1.2.1.5.0"}, IFPP_ERROR_ROLE, "another role"},
		{"any policy", {.policy = "2.5.29.32.0"}, IFPP_ERROR_ROLE, "does not have the role"},
		{"usage", {.usage = GNUTLS_KEY_KEY_AGREEMENT}, IFPP_ERROR_KEY_USAGE, "digitalSignature"},
		{"usage of a CA",
		 {.usage = GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_CERT_SIGN},
		 IFPP_ERROR_KEY_USAGE,
		 "digitalSignature"},
		{"CA", {.ca = TRUE, .usage = GNUTLS_KEY_DIGITAL_SIGNATURE}, IFPP_ERROR_KEY_USAGE, "CA"},
		{"P-384", {.curve = GNUTLS_ECC_CURVE_SECP384R1}, IFPP_ERROR_CERTIFICATE, "NIST P-384, which is not supported"},
		{"SHA-384", {.hash = GNUTLS_DIG_SHA384}, IFPP_ERROR_CERTIFICATE, "SHA-256"},
		{"no AKI", {.no_aki = TRUE}, IFPP_ERROR_CHAIN, "authority key identifier"},
		{"no SKI", {.no_ski = TRUE}, IFPP_ERROR_CHAIN, "subject key identifier"},
		{"unknown extension", {.extra_oid = "1.2.3.4"}, 0, NULL},
		{"unknown critical",
		 {.extra_oid = "1.2.3.4", .extra_critical = TRUE},
		 IFPP_ERROR_CERTIFICATE,
		 "critical"},
		{"constraints", {.prefix = "89049032", .prefix_org = "X"}, IFPP_ERROR_CONSTRAINT, "no CA"},
		{"role of v3", {.policy = "2.23.146.1.2.1.0.0.1.2"}, 0, NULL},
		{"DPauth of v3", {.policy = "2.23.146.1.2.1.0.0.1.1"}, IFPP_ERROR_ROLE, "another role"},
		{"below the role of v3", {.policy = "2.23.146.1.2.1.0.0.1.2.0"}, IFPP_ERROR_ROLE, "another role"},
		{"serial of 9 octets", {.serial_len = 9}, 0, NULL},
		{"serial of 20 octets", {.serial_len = 20}, 0, NULL},
		{"usage not critical", {.not_critical = "2.5.29.15"}, IFPP_ERROR_CERTIFICATE, "keyUsage is not critical"},
		{"policies not critical",
		 {.not_critical = "2.5.29.32"},
		 IFPP_ERROR_CERTIFICATE,
		 "certificatePolicies is not critical"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		TestSpec spec = cases[i].change;
		g_autoptr(TestId) id = NULL;

		spec.cn = "Test DPpb";
		spec.serial = 5;
		if (!spec.role)
			spec.role = IFPP_ROLE_DP_PB;
		spec.rid = "2.999.10";
		id = test_id_new(&spec, pki->ci);
		g_test_message("%s", cases[i].name);
		expect(pki->trust, test_id_span(id), NULL, IFPP_ROLE_DP_PB, cases[i].code, cases[i].why);
	}
}

/* A chip looks for the one OID of its SM-DP+ in the subjectAltName: what every chip refuses is refused here. */
static void test_rid(void)
{
	TestSpec spec = { .cn = "Test DPpb", .role = IFPP_ROLE_DP_PB, .serial = 5 };
	g_autoptr(TestId) none = test_id_new(&spec, pki->ci), two = NULL, auth = NULL;

	spec.rid = "2.999.10";
	spec.second_rid = "2.999.12";
	two = test_id_new(&spec, pki->ci);
	spec = (TestSpec){ .cn = "Test DPauth", .role = IFPP_ROLE_DP_AUTH, .serial = 5 };
	auth = test_id_new(&spec, pki->ci);
	expect(pki->trust, test_id_span(none), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CERTIFICATE, "no registeredID");
	expect(pki->trust, test_id_span(two), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CERTIFICATE,
	       "more than one registeredID");
	expect(pki->trust, test_id_span(auth), NULL, IFPP_ROLE_DP_AUTH, IFPP_ERROR_CERTIFICATE, "no registeredID");
}

/* EUMs and what they may say about chips. */
static void test_eum(void)
{
#define EUM .cn = "EUM", .role = IFPP_ROLE_EUM, .ca = TRUE, .pathlen = 1, .serial = 8
#define CHIP                                                                                                 \
	.cn = "chip", .org = "RSP Test EUM", .serial_number = TEST_EID, .role = IFPP_ROLE_EUICC, .serial = 9
#define FITS .prefix = "89049032", .prefix_org = "RSP Test EUM"
	static const struct {
		const char *name;
		TestSpec eum, chip;
		int code;
		const char *why;
	} cases[] = {
		{"right", {EUM, FITS}, {CHIP}, 0, NULL},
		{"EIN instead", {EUM, .ein = "89049032"}, {CHIP}, 0, NULL},
		{"both", {EUM, FITS, .ein = "8904903212345"}, {CHIP}, 0, NULL},
		{"neither", {EUM}, {CHIP}, IFPP_ERROR_CONSTRAINT, "does not say"},
		{"other prefix",
		 {EUM, .prefix = "89049033", .prefix_org = "RSP Test EUM"},
		 {CHIP},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"other EIN", {EUM, .ein = "89049033"}, {CHIP}, IFPP_ERROR_CONSTRAINT, "EINs"},
		{"short EIN", {EUM, .ein = "8904903"}, {CHIP}, IFPP_ERROR_CONSTRAINT, "EINs"},
		{"EIN not digits", {EUM, .ein = "8904903A"}, {CHIP}, IFPP_ERROR_CONSTRAINT, "EINs"},
		{"one of both wrong", {EUM, FITS, .ein = "89049033"}, {CHIP}, IFPP_ERROR_CONSTRAINT, "EINs"},
		{"other owner",
		 {EUM, .prefix = "89049032", .prefix_org = "Other"},
		 {CHIP},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"EIDs of any owner", {EUM, .prefix = "89049032"}, {CHIP}, 0, NULL},
		{"the owner alone", {EUM, .prefix_org = "RSP Test EUM"}, {CHIP}, IFPP_ERROR_CONSTRAINT, "does not say"},
		{"the owner, and EINs",
		 {EUM, .prefix_org = "RSP Test EUM", .ein = "89049032"},
		 {CHIP},
		 0,
		 NULL},
		{"another owner, and EINs",
		 {EUM, .prefix_org = "Other", .ein = "89049032"},
		 {CHIP},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"country and unit",
		 {EUM, FITS, .prefix_country = "IT", .prefix_unit = "TESTCERT"},
		 {CHIP, .country = "IT", .unit = "TESTCERT"},
		 0,
		 NULL},
		{"another country",
		 {EUM, FITS, .prefix_country = "IT"},
		 {CHIP, .country = "ES"},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"another unit",
		 {EUM, FITS, .prefix_unit = "TESTCERT"},
		 {CHIP, .unit = "OTHER"},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"excluded",
		 {EUM, .ein = "89049032", .excluded_org = "RSP Test EUM"},
		 {CHIP},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"another is excluded",
		 {EUM, .ein = "89049032", .excluded_org = "Other"},
		 {CHIP},
		 0,
		 NULL},
		{"no path length",
		 {.cn = "EUM", .role = IFPP_ROLE_EUM, .ca = TRUE, .serial = 8, FITS},
		 {CHIP},
		 IFPP_ERROR_CERTIFICATE,
		 "path length"},
		{"constraints not critical",
		 {EUM, FITS, .not_critical = "2.5.29.30"},
		 {CHIP},
		 IFPP_ERROR_CERTIFICATE,
		 "nameConstraints is not critical"},
		{"basic constraints not critical",
		 {EUM, FITS, .not_critical = "2.5.29.19"},
		 {CHIP},
		 IFPP_ERROR_CERTIFICATE,
		 "basicConstraints is not critical"},
		{"chip without owner",
		 {EUM, FITS},
		 {.cn = "chip", .serial_number = TEST_EID, .role = IFPP_ROLE_EUICC, .serial = 9},
		 IFPP_ERROR_CONSTRAINT,
		 "do not cover"},
		{"no EID",
		 {EUM, FITS},
		 {.cn = "chip", .org = "RSP Test EUM", .role = IFPP_ROLE_EUICC, .serial = 9},
		 IFPP_ERROR_CONSTRAINT,
		 "no valid EID"},
		{"bad check digits",
		 {EUM, FITS},
		 {.cn = "chip",
		  .org = "RSP Test EUM",
		  .serial_number = "89049032123451234512345678901236",
		  .role = IFPP_ROLE_EUICC,
		  .serial = 9},
		 IFPP_ERROR_CONSTRAINT,
		 "no valid EID"},
		{"EUM is a DPauth",
		 {.cn = "EUM", .role = IFPP_ROLE_DP_AUTH, .ca = TRUE, .serial = 8, FITS},
		 {CHIP},
		 IFPP_ERROR_ROLE,
		 "another role"},
		{"EUM is a sub-CI",
		 {.cn = "EUM", .role = IFPP_ROLE_CI, .ca = TRUE, .serial = 8, FITS},
		 {CHIP},
		 IFPP_ERROR_ROLE,
		 "another role"},
		{"EUM is no CA",
		 {.cn = "EUM", .role = IFPP_ROLE_EUM, .usage = GNUTLS_KEY_KEY_CERT_SIGN, .serial = 8, FITS},
		 {CHIP},
		 IFPP_ERROR_CHAIN,
		 "not a CA"},
		{"EUM may not sign",
		 {EUM, FITS, .usage = GNUTLS_KEY_CRL_SIGN},
		 {CHIP},
		 IFPP_ERROR_KEY_USAGE,
		 "may not sign"},
		{"EUM expired", {EUM, FITS, .to = TEST_NOW - 1}, {CHIP}, IFPP_ERROR_EXPIRED, "'EUM'"},
		{"chip is a DPpb",
		 {EUM, FITS},
		 {.cn = "chip",
		  .org = "RSP Test EUM",
		  .serial_number = TEST_EID,
		  .role = IFPP_ROLE_DP_PB,
		  .serial = 9},
		 IFPP_ERROR_ROLE,
		 "another role"},
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(TestId) eum = test_id_new(&cases[i].eum, pki->ci);
		g_autoptr(TestId) chip = test_id_new(&cases[i].chip, eum);
		g_autoptr(GPtrArray) others = g_ptr_array_new();

		g_test_message("%s", cases[i].name);
		g_ptr_array_add(others, eum->der);
		expect(pki->trust, test_id_span(chip), others, IFPP_ROLE_EUICC, cases[i].code, cases[i].why);
	}
}

static void test_path(void)
{
	const TestSpec sub_spec = {.cn = "sub", .role = IFPP_ROLE_CI, .ca = TRUE, .pathlen = 1, .serial = 20};
	const TestSpec long_spec = {.cn = "sub", .policy = "2.23.146.1.2.1.0.0.1", .ca = TRUE, .serial = 21};
	const TestSpec ci_path0 = {.cn = "CI 0", .role = IFPP_ROLE_CI, .ca = TRUE, .pathlen = 1, .serial = 1};
	g_autoptr(TestId) sub = test_id_new(&sub_spec, pki->ci);
	g_autoptr(TestId) sub2 = test_id_new(&sub_spec, sub);
	g_autoptr(TestId) long_sub = test_id_new(&long_spec, pki->ci);
	g_autoptr(TestId) leaf = test_id_new(&test_spec_dppb, sub);
	g_autoptr(TestId) leaf2 = test_id_new(&test_spec_dppb, sub2);
	g_autoptr(TestId) long_leaf = test_id_new(&test_spec_dppb, long_sub);
	g_autoptr(TestId) from_eum = test_id_new(&test_spec_dppb, pki->eum);
	g_autoptr(TestId) from_leaf = test_id_new(&test_spec_dppb, pki->dppb);
	g_autoptr(TestId) ci0 = test_id_new(&ci_path0, NULL);
	g_autoptr(TestId) sub0 = test_id_new(&sub_spec, ci0);
	g_autoptr(TestId) leaf0 = test_id_new(&test_spec_dppb, sub0);
	g_autoptr(IfppTrust) trust0 = ifpp_trust_new();
	g_autoptr(TestPki) other = test_pki_new();
	g_autoptr(GPtrArray) others = g_ptr_array_new();
	IfppTrust *trust = pki->trust;

	ifpp_trust_set_time(trust0, TEST_NOW);
	g_assert_true(ifpp_trust_add_root(trust0, test_id_span(ci0), NULL));

	expect(trust, test_id_span(leaf), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN,
	       "not a configured CI root");
	g_ptr_array_add(others, sub->der);
	expect(trust, test_id_span(leaf), others, IFPP_ROLE_DP_PB, 0, NULL);
	expect(trust, test_id_span(pki->dppb), others, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN,
	       "not part of the chain");
	g_ptr_array_add(others, sub2->der);
	expect(trust, test_id_span(leaf2), others, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN, "too long");
	/* the same certificate twice, a root among them */
	g_ptr_array_set_size(others, 1);
	g_ptr_array_add(others, sub->der);
	expect(trust, test_id_span(leaf), others, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN, "not part of the chain");
	others->pdata[1] = pki->ci->der;
	expect(trust, test_id_span(leaf), others, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN, "not part of the chain");

	g_ptr_array_set_size(others, 1);
	others->pdata[0] = long_sub->der;
	expect(trust, test_id_span(long_leaf), others, IFPP_ROLE_DP_PB, 0, NULL);
	others->pdata[0] = pki->eum->der;
	expect(trust, test_id_span(from_eum), others, IFPP_ROLE_DP_PB, IFPP_ERROR_ROLE, "another role");
	others->pdata[0] = pki->dppb->der;
	expect(trust, test_id_span(from_leaf), others, IFPP_ROLE_DP_PB, IFPP_ERROR_ROLE, "another role");
	others->pdata[0] = sub0->der;
	expect(trust0, test_id_span(leaf0), others, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN, "too long");

	expect(trust, test_id_span(other->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN,
	       "not a configured CI root");
	/* Two roots: each found by its key identifier. */
	g_assert_true(ifpp_trust_add_root(trust0, test_id_span(pki->ci), NULL));
	expect(trust0, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
}

static void test_time(void)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new();

	g_assert_true(ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL));
	ifpp_trust_set_time(trust, TEST_NOW + 101 * TEST_DAY);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_EXPIRED, "expired");
	ifpp_trust_set_time(trust, TEST_NOW - 101 * TEST_DAY);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_NOT_YET_VALID,
	       "not valid yet");
	ifpp_trust_set_time(trust, -1);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
}

static void test_roots(void)
{
	static const struct {
		const char *name;
		TestSpec spec;
		const char *why;
	} cases[] = {
		{"another role", {.cn = "x", .role = IFPP_ROLE_EUM, .ca = TRUE, .serial = 1}, "another role"},
		{"no role", {.cn = "x", .policy = "", .ca = TRUE, .serial = 1}, "does not have the role"},
		{"no CA", {.cn = "x", .usage = GNUTLS_KEY_KEY_CERT_SIGN, .serial = 1}, "not a CA"},
		{"may not sign",
		 {.cn = "x", .ca = TRUE, .usage = GNUTLS_KEY_CRL_SIGN, .serial = 1},
		 "may not sign"},
	};
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(TestId) id = test_id_new(&cases[i].spec, NULL);
		g_autoptr(GError) why = NULL;

		g_test_message("%s", cases[i].name);
		g_assert_false(ifpp_trust_add_root(trust, test_id_span(id), &why));
		g_assert_error(why, IFPP_ERROR, IFPP_ERROR_CHAIN);
		g_assert_nonnull(strstr(why->message, cases[i].why));
	}
	g_assert_false(ifpp_trust_add_root(trust, test_id_span(pki->eum), &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CHAIN);
	g_assert_nonnull(strstr(error->message, "not self-signed"));
}

/* A trust store with the CI and these CRLs. */
static IfppTrust *with_crls(GBytes *first, GBytes *second)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new();

	ifpp_trust_set_time(trust, TEST_NOW);
	g_assert_true(ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL));
	g_assert_true(ifpp_trust_add_crl(trust, ifpp_span_bytes(first), NULL));
	if (second)
		g_assert_true(ifpp_trust_add_crl(trust, ifpp_span_bytes(second), NULL));
	return g_steal_pointer(&trust);
}

static void test_crls(void)
{
	const gint64 day = TEST_DAY, now = TEST_NOW;
	g_autoptr(GBytes) empty = test_crl_new(pki->ci, NULL, now - day, now + day);
	g_autoptr(GBytes) stale = test_crl_new(pki->ci, NULL, now - 2 * day, now - 1);
	g_autoptr(GBytes) future = test_crl_new(pki->ci, NULL, now + day, now + 2 * day);
	g_autoptr(GBytes) revokes = test_crl_new(pki->ci, pki->dppb, now - day, now + day);
	g_autoptr(GBytes) old_revokes = test_crl_new(pki->ci, pki->dppb, now - 9 * day, now - 8 * day);
	g_autoptr(GBytes) of_eum = test_crl_new(pki->eum, pki->euicc, now - day, now + day);
	g_autoptr(GBytes) eum_revoked = test_crl_new(pki->ci, pki->eum, now - day, now + day);
	static const TestSpec dull = { .cn = "CI", .role = IFPP_ROLE_CI, .ca = TRUE,
				       .usage = GNUTLS_KEY_KEY_CERT_SIGN, .serial = 1 };
	g_autoptr(TestId) dull_ci = test_id_new(&dull, NULL);
	g_autoptr(GBytes) dull_crl = test_crl_new(dull_ci, NULL, now - day, now + day);
	IfppSpan dppb = test_id_span(pki->dppb), euicc = test_id_span(pki->euicc);
	g_autoptr(GError) error = NULL;
	struct {
		GBytes *first, *second;
		int code;
		const char *why;
	} cases[] = {
		{ empty, NULL, 0, NULL },
		{ stale, NULL, IFPP_ERROR_CRL, "out of date" },
		{ stale, empty, 0, NULL },
		{ empty, stale, 0, NULL },
		{ future, NULL, 0, NULL },
		{ revokes, NULL, IFPP_ERROR_REVOKED, "revoked" },
		{ empty, revokes, IFPP_ERROR_REVOKED, "revoked" },
		{ old_revokes, empty, IFPP_ERROR_REVOKED, "revoked" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(IfppTrust) trust = with_crls(cases[i].first, cases[i].second);

		g_test_message("%u", i);
		expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, cases[i].code, cases[i].why);
		/* without a clock only revocation counts */
		ifpp_trust_set_time(trust, -1);
		expect(trust, dppb, NULL, IFPP_ROLE_DP_PB,
		       cases[i].code == IFPP_ERROR_REVOKED ? cases[i].code : 0, cases[i].why);
	}
	{
		g_autoptr(IfppTrust) trust = with_crls(of_eum, NULL);
		g_autoptr(IfppTrust) trust2 = with_crls(eum_revoked, NULL);

		expect(trust, euicc, pki->eum_list, IFPP_ROLE_EUICC, IFPP_ERROR_REVOKED, "'Test eUICC'");
		expect(trust2, euicc, pki->eum_list, IFPP_ROLE_EUICC, IFPP_ERROR_REVOKED, "'EUM Test'");
		expect(trust2, dppb, NULL, IFPP_ROLE_DP_PB, 0, NULL);
	}
	/* Damaged ones refuse in whatever order they come, wherever the damage is. */
	for (gsize i = 0; i < g_bytes_get_size(revokes); i++) {
		g_autoptr(IfppTrust) trust = ifpp_trust_new();
		g_autofree guint8 *copy =
			g_memdup2(g_bytes_get_data(revokes, NULL), g_bytes_get_size(revokes));
		IfppSpan span = { copy, g_bytes_get_size(revokes) };

		copy[i] ^= 1 << i % 8;
		ifpp_trust_set_time(trust, TEST_NOW);
		if (i % 2) {
			g_assert_true(ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL));
			g_assert_false(ifpp_trust_add_crl(trust, span, NULL) &&
				       ifpp_trust_verify(trust, dppb, NULL, IFPP_ROLE_DP_PB, NULL));
		} else {
			g_assert_false(ifpp_trust_add_crl(trust, span, NULL) &&
				       ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL) &&
				       ifpp_trust_verify(trust, dppb, NULL, IFPP_ROLE_DP_PB, NULL));
		}
	}
	{
		g_autoptr(IfppTrust) trust = ifpp_trust_new();

		g_assert_true(ifpp_trust_add_root(trust, test_id_span(dull_ci), NULL));
		g_assert_false(ifpp_trust_add_crl(trust, ifpp_span_bytes(dull_crl), &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CRL);
		g_assert_nonnull(strstr(error->message, "may not sign"));
	}
}

/* Not one changed bit of a certificate passes, whether the signature covers it or not. */
static void test_flips(void)
{
	IfppSpan der = test_id_span(pki->dppb);
	g_autofree guint8 *copy = g_memdup2(der.data, der.len);

	for (gsize i = 0; i < der.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			copy[i] ^= 1 << bit;
			g_assert_false(ifpp_trust_verify(pki->trust, (IfppSpan){copy, der.len}, NULL,
							 IFPP_ROLE_DP_PB, NULL));
			copy[i] ^= 1 << bit;
		}
		g_assert_false(
			ifpp_trust_verify(pki->trust, (IfppSpan){der.data, i}, NULL, IFPP_ROLE_DP_PB, NULL));
	}
}

static void put(const char *dir, const char *name, const void *data, gsize len)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_true(ifpp_file_write(path, data, len, 0600, NULL));
}

static void remove_dir(const char *dir)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		g_unlink(path);
	}
	g_rmdir(dir);
}

static void test_dir(void)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-test-XXXXXX", NULL);
	g_autofree char *none = g_build_filename(dir, "none", NULL);
	g_autoptr(GBytes) crl = test_crl_new(pki->ci, pki->dppb, TEST_NOW - TEST_DAY, TEST_NOW + TEST_DAY);
	g_autoptr(TestPki) other = test_pki_new();
	g_autoptr(IfppTrust) trust = NULL;
	g_autoptr(GString) bundle = g_string_new("two roots\n");
	g_autoptr(GError) error = NULL;
	IfppSpan ci = test_id_span(pki->ci);
	TestId *both[] = { pki->ci, other->ci };

	g_assert_null(ifpp_trust_new_from_dir(none, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
	g_clear_error(&error);
	g_assert_null(ifpp_trust_new_from_dir(dir, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CHAIN);
	g_clear_error(&error);
	put(dir, "leaf.der", g_bytes_get_data(pki->dppb->der, NULL), g_bytes_get_size(pki->dppb->der));
	put(dir, "README", "hello", 5);
	g_assert_null(ifpp_trust_new_from_dir(dir, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CHAIN);
	g_assert_nonnull(strstr(error->message, "not self-signed"));
	g_clear_error(&error);

	put(dir, "ci.der", ci.data, ci.len);
	trust = ifpp_trust_new_from_dir(dir, &error);
	g_assert_no_error(error);
	ifpp_trust_set_time(trust, TEST_NOW);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(trust, test_id_span(other->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN, "not a configured");
	g_clear_pointer(&trust, ifpp_trust_free);

	for (int i = 0; i < 2; i++) {
		gnutls_datum_t pem;

		g_assert_cmpint(gnutls_x509_crt_export2(both[i]->crt, GNUTLS_X509_FMT_PEM, &pem), ==, 0);
		g_string_append_len(bundle, (char *)pem.data, pem.size);
		gnutls_free(pem.data);
	}
	put(dir, "ci.der", "", 0);
	put(dir, "bundle.pem", bundle->str, bundle->len);
	trust = ifpp_trust_new_from_dir(dir, &error);
	g_assert_no_error(error);
	ifpp_trust_set_time(trust, TEST_NOW);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(trust, test_id_span(other->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
	g_clear_pointer(&trust, ifpp_trust_free);

	put(dir, "a.crl", g_bytes_get_data(crl, NULL), g_bytes_get_size(crl));
	trust = ifpp_trust_new_from_dir(dir, &error);
	g_assert_no_error(error);
	ifpp_trust_set_time(trust, TEST_NOW);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_REVOKED, "revoked");
	g_clear_pointer(&trust, ifpp_trust_free);
	{
		gnutls_datum_t der = { (guint8 *)g_bytes_get_data(crl, NULL), g_bytes_get_size(crl) }, pem;

		g_assert_cmpint(gnutls_pem_base64_encode2("X509 CRL", &der, &pem), ==, 0);
		put(dir, "a.crl", pem.data, pem.size);
		gnutls_free(pem.data);
	}
	trust = ifpp_trust_new_from_dir(dir, &error);
	g_assert_no_error(error);
	ifpp_trust_set_time(trust, TEST_NOW);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_REVOKED, "revoked");
	g_clear_pointer(&trust, ifpp_trust_free);
	/* A CRL that cannot be read is never passed over. */
	put(dir, "a.crl", "nonsense", 8);
	trust = ifpp_trust_new_from_dir(dir, &error);
	g_assert_no_error(error);
	ifpp_trust_set_time(trust, TEST_NOW);
	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CRL, "a.crl");
	remove_dir(dir);
}

static void put_bytes(const char *dir, const char *name, GBytes *bytes)
{
	put(dir, name, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

/* Two CIs side by side; what is wrong with one of them, or belongs to a third, does not stop the other. */
static void test_bad_file(void)
{
	const gint64 day = TEST_DAY, now = TEST_NOW;
	static const TestSpec other_spec = { .cn = "Other CI", .role = IFPP_ROLE_CI, .ca = TRUE, .rid = "2.999.1",
					     .serial = 1 };
	g_autoptr(TestId) other_ci = test_id_new(&other_spec, NULL), other_dppb = test_id_new(&test_spec_dppb, other_ci);
	g_autoptr(TestId) namesake = test_id_new(&test_spec_ci, NULL);
	g_autoptr(GBytes) ours = test_crl_new(pki->ci, NULL, now - day, now + day);
	g_autoptr(GBytes) theirs = test_crl_new(other_ci, NULL, now - day, now + day);
	g_autoptr(GBytes) of_namesake = test_crl_new(namesake, NULL, now - day, now + day);
	const TestCrl delta_spec = { .issuer = other_ci, .from = now - day, .to = now + day, .flags = TEST_CRL_DELTA };
	const TestCrl indirect_spec = { .issuer = other_ci, .from = now - day, .to = now + day,
					.flags = TEST_CRL_INDIRECT };
	g_autoptr(GBytes) delta = test_crl_make(&delta_spec), indirect = test_crl_make(&indirect_spec);
	g_autofree guint8 *damaged = g_memdup2(g_bytes_get_data(theirs, NULL), g_bytes_get_size(theirs));
	gsize len = g_bytes_get_size(theirs);
	g_autoptr(GBytes) forged = NULL, cut = g_bytes_new_from_bytes(theirs, 0, len - 9), garbage = g_bytes_new("?", 1);
	struct {
		const char *name, *why;
		GBytes *crl;
	} cases[] = {
		{ "a delta CRL", "delta CRL", delta },
		{ "an indirect CRL", "indirect CRL", indirect },
		{ "a forged CRL", "not signed by", NULL },
		{ "a truncated CRL", "bad.crl", cut },
		{ "no CRL at all", "bad.crl", garbage },
	};

	damaged[len - 1] ^= 1;
	forged = g_bytes_new(damaged, len);
	cases[2].crl = forged;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *dir = g_dir_make_tmp("ifpp-test-XXXXXX", NULL);
		g_autoptr(IfppTrust) trust = NULL;
		g_autoptr(GError) error = NULL;

		g_test_message("%s", cases[i].name);
		put_bytes(dir, "ci.der", pki->ci->der);
		put_bytes(dir, "other.der", other_ci->der);
		put_bytes(dir, "ci.crl", ours);
		put_bytes(dir, "of-a-namesake.crl", of_namesake);
		put_bytes(dir, "leaf.pem", pki->dppb->der);
		put_bytes(dir, "bad.crl", cases[i].crl);
		trust = ifpp_trust_new_from_dir(dir, &error);
		g_assert_no_error(error);
		ifpp_trust_set_time(trust, now);
		expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
		expect(trust, test_id_span(other_dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CRL, cases[i].why);
		/* both are named: the leaf that is no root, and the CRL */
		g_assert_cmpuint(ifpp_trust_problems(trust)->len, ==, 2);
		g_assert_nonnull(strstr(ifpp_trust_problems(trust)->pdata[0], "leaf.pem: "));
		g_assert_nonnull(strstr(ifpp_trust_problems(trust)->pdata[1], "bad.crl: "));
		remove_dir(dir);
	}
}

/* What ends within two weeks is told, once its next issue is there it is not. */
static void test_ends(void)
{
	const gint64 day = TEST_DAY, now = TEST_NOW;
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GBytes) soon = test_crl_new(pki->ci, NULL, now - 20 * day, now + 6 * day + 100);
	g_autoptr(GBytes) ended = test_crl_new(pki->ci, NULL, now - 10 * day, now - day);
	g_autoptr(GBytes) later = test_crl_new(pki->ci, NULL, now - day, now + 30 * day);
	const IfppSpan crls[] = { ifpp_span_bytes(soon), ifpp_span_bytes(ended), ifpp_span_bytes(later) };
	const char *const says[] = { "ends on", "ended on", NULL };

	ifpp_trust_set_time(trust, now);
	g_assert_true(ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL));
	for (guint i = 0; i < G_N_ELEMENTS(crls); i++) {
		g_autoptr(GPtrArray) ends = NULL;

		g_assert_true(ifpp_trust_add_crl(trust, crls[i], NULL));
		ends = ifpp_trust_ends(trust);
		g_assert_cmpuint(ends->len, ==, says[i] ? 1 : 0);
		g_assert_true(!says[i] || strstr(ends->pdata[0], says[i]));
	}
	/* and the root itself */
	ifpp_trust_set_time(trust, gnutls_x509_crt_get_expiration_time(pki->ci->crt) - 3 * day - 1);
	{
		g_autoptr(GPtrArray) ends = ifpp_trust_ends(trust);

		g_assert_cmpuint(ends->len, ==, 2);
		g_assert_nonnull(strstr(ends->pdata[0], "in 3 days"));
	}
}

/* CRLs with a scope: what they say counts, and what they do not cover they do not hold up. */
static void test_idp(void)
{
	const gint64 day = TEST_DAY, now = TEST_NOW;
	TestSpec spec = test_spec_dppb;
	g_autoptr(TestId) leaf = NULL;
	TestCrl good = { .issuer = pki->ci, .from = now - day, .to = now + day, .point = "http://ci.example/1.crl" };
	TestCrl revokes = good, stale = good, users = good, cas = good, elsewhere = good, reasons = good, attributes = good;
	TestCrl first = good, second = good;
	struct {
		const char *name;
		const TestCrl *crls[2];
		int code, required_code;
		const char *why;
	} cases[] = {
		{ "of the distribution point", { &good }, 0, 0, NULL },
		{ "that revokes", { &revokes }, IFPP_ERROR_REVOKED, IFPP_ERROR_REVOKED, "revoked" },
		{ "out of date", { &stale }, IFPP_ERROR_CRL, IFPP_ERROR_CRL, "out of date" },
		{ "out of date, and a newer one", { &stale, &good }, 0, 0, NULL },
		{ "of users", { &users }, 0, 0, NULL },
		{ "of CAs, out of date", { &cas }, 0, IFPP_ERROR_CRL, "require-crl" },
		{ "of another point, out of date", { &elsewhere }, 0, IFPP_ERROR_CRL, "require-crl" },
		{ "of some reasons", { &reasons }, 0, IFPP_ERROR_CRL, "require-crl" },
		{ "of attribute certificates", { &attributes }, 0, IFPP_ERROR_CRL, "require-crl" },
		{ "one part of two", { &first }, IFPP_ERROR_CRL, IFPP_ERROR_CRL, "part 2 of 2 is missing" },
		{ "both parts", { &second, &first }, 0, 0, NULL },
	};

	spec.crl_point = good.point;
	leaf = test_id_new(&spec, pki->ci);
	revokes.revoked = leaf;
	stale.from = now - 9 * day;
	stale.to = now - 8 * day;
	users.flags = TEST_CRL_ONLY_USERS;
	cas = stale;
	cas.flags = TEST_CRL_ONLY_CAS;
	elsewhere = stale;
	elsewhere.point = "http://ci.example/2.crl";
	reasons.flags = TEST_CRL_SOME_REASONS;
	attributes.flags = TEST_CRL_ATTRIBUTES;
	first.parts = second.parts = 2;
	first.part = 1;
	second.part = 2;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (int required = 0; required < 2; required++) {
			g_autofree char *dir = g_dir_make_tmp("ifpp-test-XXXXXX", NULL);
			g_autoptr(IfppTrust) trust = NULL;

			g_test_message("%s%s", cases[i].name, required ? ", required" : "");
			put_bytes(dir, "ci.der", pki->ci->der);
			for (guint j = 0; j < 2 && cases[i].crls[j]; j++) {
				g_autoptr(GBytes) crl = test_crl_make(cases[i].crls[j]);

				put_bytes(dir, j ? "b.crl" : "a.crl", crl);
			}
			if (required)
				put(dir, "require-crl", "", 0);
			trust = ifpp_trust_new_from_dir(dir, NULL);
			ifpp_trust_set_time(trust, now);
			expect(trust, test_id_span(leaf), NULL, IFPP_ROLE_DP_PB,
			       required ? cases[i].required_code : cases[i].code, cases[i].why);
			remove_dir(dir);
		}
	}
}

/* A clock that is a little slow meets a CRL of its future: that proves the clock slow, and stops nothing. */
static void test_slow_clock(void)
{
	g_autoptr(GBytes) ahead = test_crl_new(pki->ci, NULL, TEST_NOW + 60, TEST_NOW + 7 * TEST_DAY);
	g_autoptr(GBytes) revokes = test_crl_new(pki->ci, pki->dppb, TEST_NOW + 60, TEST_NOW + 7 * TEST_DAY);
	g_autoptr(IfppTrust) trust = with_crls(ahead, NULL), revoked = with_crls(revokes, NULL);

	expect(trust, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(revoked, test_id_span(pki->dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_REVOKED, "revoked");
}

/* A CRL of the EUM, and of the sub-CA that issued the Key Maker's certificate. */
static void test_crl_of_sub_ca(void)
{
	const gint64 day = TEST_DAY, now = TEST_NOW;
	static const TestSpec sub_spec = { .cn = "sub", .policy = "2.23.146.1.2.1.0.0.1", .ca = TRUE, .pathlen = 1,
					   .serial = 20 };
	g_autoptr(TestId) sub = test_id_new(&sub_spec, pki->ci), leaf = test_id_new(&test_spec_dppb, sub);
	g_autoptr(GBytes) of_eum = test_crl_new(pki->eum, pki->euicc, now - day, now + day);
	g_autoptr(GBytes) eum_stale = test_crl_new(pki->eum, NULL, now - 9 * day, now - 8 * day);
	g_autoptr(GBytes) of_sub = test_crl_new(sub, leaf, now - day, now + day);
	g_autoptr(IfppTrust) revokes = with_crls(of_eum, of_sub), stale = with_crls(eum_stale, NULL);
	g_autoptr(GPtrArray) others = g_ptr_array_new();

	g_ptr_array_add(others, sub->der);
	expect(revokes, test_id_span(pki->euicc), pki->eum_list, IFPP_ROLE_EUICC, IFPP_ERROR_REVOKED, "'EUM Test'");
	expect(revokes, test_id_span(leaf), others, IFPP_ROLE_DP_PB, IFPP_ERROR_REVOKED, "'sub'");
	expect(stale, test_id_span(pki->euicc), pki->eum_list, IFPP_ROLE_EUICC, IFPP_ERROR_CRL, "out of date");
}

/* GSMA's CI was issued in 2017, 2020 and 2024 with one key. */
static void test_reissued(void)
{
	TestSpec spec = test_spec_ci;
	g_autoptr(TestId) old = NULL, dppb = NULL;
	g_autoptr(IfppTrust) both = ifpp_trust_new(), other_order = ifpp_trust_new();

	spec.to = TEST_NOW - 1;
	spec.serial = 7;
	old = test_id_reissue(&spec, pki->ci);
	dppb = test_id_new(&test_spec_dppb, pki->ci);
	ifpp_trust_set_time(both, TEST_NOW);
	ifpp_trust_set_time(other_order, TEST_NOW);
	g_assert_true(ifpp_trust_add_root(both, test_id_span(old), NULL));
	expect(both, test_id_span(dppb), NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_EXPIRED, "expired");
	g_assert_true(ifpp_trust_add_root(both, test_id_span(pki->ci), NULL));
	g_assert_true(ifpp_trust_add_root(other_order, test_id_span(pki->ci), NULL));
	g_assert_true(ifpp_trust_add_root(other_order, test_id_span(old), NULL));
	expect(both, test_id_span(dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(other_order, test_id_span(dppb), NULL, IFPP_ROLE_DP_PB, 0, NULL);
}

/* ------------------------------------------------------------ SGP.26's variants */

#define V3 "2.23.146.1.2.1.0.0"
static const struct variant {
	const char *name;
	gboolean v3, ci_sub, role_subs;
} variants[] = {
	{ "O", FALSE, FALSE, FALSE }, { "Ov3", TRUE, FALSE, FALSE }, { "A", TRUE, FALSE, TRUE },
	{ "B", TRUE, TRUE, FALSE },   { "C", TRUE, TRUE, TRUE },
};

/* Which certificates of a path. */
enum {
	AT_CHIP = 1, AT_MAKER = 2, AT_EUM = 4, AT_EUM_SUB = 8, AT_OTHER_CA = 16, ABOVE_CA = 32,
	LEAVES = AT_CHIP | AT_MAKER, EUMS = AT_EUM | AT_EUM_SUB, CAS = EUMS | AT_OTHER_CA, ALL = LEAVES | CAS,
};

/* What is wrong with one of them. */
typedef enum {
	ROLE, NO_ROLE, ENDED, EARLY, CURVE, HASH, EXTENSION, NO_AKI, NO_SKI, USAGE_NOT_CRITICAL, SIGNATURE, REVOKED, OLD_CRL,
	LEFT_OUT, NO_CA, NO_SIGNING, TOO_LONG, CONSTRAINTS_NOT_CRITICAL, NO_PATH_LENGTH, NO_EIDS, OTHER_EIDS, OTHER_OWNER, LEAF_USAGE,
	LEAF_CA, LEAF_NAMES, POLICIES_NOT_CRITICAL, NO_RID, TWO_RIDS, NO_EID, BAD_EID, CHIP_OWNER,
} Wrong;

static const struct wrong {
	const char *name;
	guint where;
	int code;
	const char *why;
} wrongs[] = {
	[ROLE] = { "another role", ALL, IFPP_ERROR_ROLE, "another role" },
	[NO_ROLE] = { "no role", ALL, IFPP_ERROR_ROLE, "does not have the role" },
	[ENDED] = { "expired", ALL, IFPP_ERROR_EXPIRED, "has expired" },
	[EARLY] = { "not valid yet", ALL, IFPP_ERROR_NOT_YET_VALID, "not valid yet" },
	[CURVE] = { "key on NIST P-384", ALL, IFPP_ERROR_CERTIFICATE, "which is not supported: only NIST P-256 is" },
	[HASH] = { "signed with SHA-384", ALL, IFPP_ERROR_CERTIFICATE, "SHA-256" },
	[EXTENSION] = { "unknown critical extension", ALL, IFPP_ERROR_CERTIFICATE, "critical" },
	[NO_AKI] = { "no authority key identifier", ALL, IFPP_ERROR_CHAIN, "authority key identifier" },
	[NO_SKI] = { "no subject key identifier", ALL, IFPP_ERROR_CHAIN, "subject key identifier" },
	[USAGE_NOT_CRITICAL] = { "keyUsage not critical", ALL, IFPP_ERROR_CERTIFICATE, "keyUsage is not critical" },
	[SIGNATURE] = { "forged", ALL, IFPP_ERROR_CHAIN, "its signature is wrong" },
	[REVOKED] = { "revoked by its issuer", ALL, IFPP_ERROR_REVOKED, "revoked" },
	[OLD_CRL] = { "its issuer's CRL out of date", ALL, IFPP_ERROR_CRL, "out of date" },
	[LEFT_OUT] = { "left out", CAS, IFPP_ERROR_CHAIN, "not a configured CI root" },
	[NO_CA] = { "no CA", CAS, IFPP_ERROR_CHAIN, "not a CA" },
	[NO_SIGNING] = { "may not sign", CAS, IFPP_ERROR_KEY_USAGE, "may not sign" },
	[TOO_LONG] = { "path too long", ABOVE_CA, IFPP_ERROR_CHAIN, "too long" },
	[CONSTRAINTS_NOT_CRITICAL] = { "basicConstraints not critical", CAS, IFPP_ERROR_CERTIFICATE, "basicConstraints is not critical" },
	[NO_PATH_LENGTH] = { "no path length", EUMS, IFPP_ERROR_CERTIFICATE, "no path length" },
	[NO_EIDS] = { "an EUM of any EIDs", AT_EUM, IFPP_ERROR_CONSTRAINT, "does not say which EIDs" },
	[OTHER_EIDS] = { "an EUM of other EIDs", AT_EUM, IFPP_ERROR_CONSTRAINT, "do not cover this" },
	[OTHER_OWNER] = { "an EUM for another owner", AT_EUM, IFPP_ERROR_CONSTRAINT, "do not cover" },
	[LEAF_USAGE] = { "key for agreement", LEAVES, IFPP_ERROR_KEY_USAGE, "not digitalSignature" },
	[LEAF_CA] = { "a CA", LEAVES, IFPP_ERROR_KEY_USAGE, "is a CA" },
	[LEAF_NAMES] = { "name constraints, no CA", LEAVES, IFPP_ERROR_CONSTRAINT, "is no CA" },
	[POLICIES_NOT_CRITICAL] = { "policies not critical", LEAVES, IFPP_ERROR_CERTIFICATE, "certificatePolicies is not critical" },
	[NO_RID] = { "no registeredID", AT_MAKER, IFPP_ERROR_CERTIFICATE, "no registeredID" },
	[TWO_RIDS] = { "two registeredIDs", AT_MAKER, IFPP_ERROR_CERTIFICATE, "more than one registeredID" },
	[NO_EID] = { "no EID", AT_CHIP, IFPP_ERROR_CONSTRAINT, "no valid EID" },
	[BAD_EID] = { "EID with wrong check digits", AT_CHIP, IFPP_ERROR_CONSTRAINT, "no valid EID" },
	[CHIP_OWNER] = { "a chip of another owner", AT_CHIP, IFPP_ERROR_CONSTRAINT, "do not cover" },
};

/* What of it is in the certificate itself. */
static void spoil(TestSpec *spec, Wrong wrong)
{
	switch (wrong) {
	case ROLE: spec->policy = V3 ".2.1"; break;	/* SM-DS authentication */
	case NO_ROLE: spec->policy = ""; break;
	case ENDED: spec->to = TEST_NOW - 1; break;
	case EARLY: spec->from = TEST_NOW + 1; break;
	case CURVE: spec->curve = GNUTLS_ECC_CURVE_SECP384R1; break;
	case HASH: spec->hash = GNUTLS_DIG_SHA384; break;
	case EXTENSION: spec->extra_oid = "1.2.3.4"; spec->extra_critical = TRUE; break;
	case NO_AKI: spec->no_aki = TRUE; break;
	case NO_SKI: spec->no_ski = TRUE; break;
	case USAGE_NOT_CRITICAL: spec->not_critical = "2.5.29.15"; break;
	case NO_CA: spec->ca = FALSE; spec->usage = GNUTLS_KEY_KEY_CERT_SIGN; break;
	case NO_SIGNING: spec->usage = GNUTLS_KEY_CRL_SIGN; break;
	case TOO_LONG: spec->pathlen = 1; break;
	case CONSTRAINTS_NOT_CRITICAL: spec->not_critical = "2.5.29.19"; break;
	case NO_PATH_LENGTH: spec->pathlen = 0; break;
	case NO_EIDS: spec->prefix = spec->ein = NULL; break;
	case OTHER_EIDS: spec->prefix = spec->prefix ? "89049033" : NULL; spec->ein = spec->prefix ? NULL : "89049033"; break;
	case OTHER_OWNER: spec->prefix_org = "Other"; break;
	case LEAF_USAGE: spec->usage = GNUTLS_KEY_KEY_AGREEMENT; break;
	case LEAF_CA: spec->ca = TRUE; spec->pathlen = 1; spec->usage = GNUTLS_KEY_DIGITAL_SIGNATURE; break;
	case LEAF_NAMES: spec->prefix = "89049032"; spec->prefix_org = "RSP Test EUM"; break;
	case POLICIES_NOT_CRITICAL: spec->not_critical = "2.5.29.32"; break;
	case NO_RID: spec->rid = NULL; break;
	case TWO_RIDS: spec->second_rid = "2.999.12"; break;
	case NO_EID: spec->serial_number = NULL; break;
	case BAD_EID: spec->serial_number = "89049032123451234512345678901236"; break;
	case CHIP_OWNER: spec->org = "Other"; break;
	default: break;
	}
}

/* A path below the CI, the leaf first, and where each stands. */
typedef struct {
	TestId *ids[4];
	guint where[4], n;
} Path;

static void path_clear(Path *path)
{
	for (guint i = 0; i < path->n; i++)
		test_id_free(path->ids[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Path, path_clear)

/* @at: index of the certificate that has something wrong, or -1. */
static void path_make(Path *path, const struct variant *v, gboolean euicc, int at, Wrong wrong)
{
	TestSpec specs[4];
	TestId *issuer = pki->ci;
	guint n = 0, where[4];

#define ADD(place, ...)                                                                                                \
	do {                                                                                                           \
		where[n] = place;                                                                                      \
		specs[n++] = (TestSpec){ __VA_ARGS__ };                                                                \
	} while (0)
	if (v->ci_sub)
		ADD(AT_OTHER_CA, .cn = "CI sub-CA", .policy = V3, .ca = TRUE);
	if (euicc)
		ADD(AT_EUM, .cn = "EUM", .org = "RSP Test EUM", .policy = v->v3 ? V3 ".0" : NULL, .role = IFPP_ROLE_EUM, .ca = TRUE,
		    .pathlen = v->role_subs ? 2 : 1, .prefix_org = "RSP Test EUM", .prefix = v->v3 ? NULL : "89049032",
		    .ein = v->v3 ? "89049032" : NULL);
	if (v->role_subs && euicc)
		ADD(AT_EUM_SUB, .cn = "EUM sub-CA", .org = "RSP Test EUM", .policy = V3 ".0.0", .ca = TRUE, .pathlen = 1);
	else if (v->role_subs)
		ADD(AT_OTHER_CA, .cn = "SM-DP+ sub-CA", .policy = V3 ".1", .ca = TRUE, .pathlen = 1);
	where[n] = euicc ? AT_CHIP : AT_MAKER;
	specs[n] = euicc ? test_spec_euicc : test_spec_dppb;
	if (v->v3)
		specs[n].policy = euicc ? V3 ".0.0.0" : V3 ".1.2";
	n++;
#undef ADD
	path->n = n;
	for (guint i = 0; i < n; i++) {
		guint j = n - 1 - i;

		specs[i].serial = 30 + i;
		path->where[j] = where[i] | (j > 1 ? ABOVE_CA : 0);
		if ((int)j == at && path->where[j] & wrongs[wrong].where)
			spoil(&specs[i], wrong);
		issuer = path->ids[j] = test_id_new(&specs[i], issuer);
	}
}

/* The rest of what can be wrong: outside the certificate. */
static void path_expect(Path *path, gboolean euicc, int at, Wrong wrong, int code, const char *why)
{
	g_autoptr(GPtrArray) others = g_ptr_array_new();
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GBytes) crl = NULL;
	TestId *issuer = at + 1 < (int)path->n ? path->ids[at + 1] : pki->ci;
	const gint64 day = TEST_DAY;

	ifpp_trust_set_time(trust, TEST_NOW);
	g_assert_true(ifpp_trust_add_root(trust, test_id_span(pki->ci), NULL));
	if (at >= 0 && wrong == REVOKED)
		crl = test_crl_new(issuer, path->ids[at], TEST_NOW - day, TEST_NOW + day);
	else if (at >= 0 && wrong == OLD_CRL)
		crl = test_crl_new(issuer, NULL, TEST_NOW - 2 * day, TEST_NOW - day);
	g_assert_true(!crl || ifpp_trust_add_crl(trust, ifpp_span_bytes(crl), NULL));
	if (at >= 0 && wrong == SIGNATURE) {
		gsize len;
		guint8 *der = g_bytes_unref_to_data(path->ids[at]->der, &len);

		der[len - 1] ^= 1;
		path->ids[at]->der = g_bytes_new_take(der, len);
	}
	for (guint i = 1; i < path->n; i++)
		if (at < 0 || wrong != LEFT_OUT || (int)i != at)
			g_ptr_array_add(others, path->ids[i]->der);
	expect(trust, test_id_span(path->ids[0]), others, euicc ? IFPP_ROLE_EUICC : IFPP_ROLE_DP_PB, code, why);
}

/* Each certificate of both paths of a variant that can have it wrong has so in turn: how many. */
static guint refused(const struct variant *v, Wrong wrong)
{
	const struct wrong *w = &wrongs[wrong];
	guint n = 0;

	for (int euicc = 1; euicc >= 0; euicc--) {
		guint length = 1;

		for (guint at = 0; at < length; at++) {
			g_auto(Path) path = { 0 };

			path_make(&path, v, euicc, at, wrong);
			length = path.n;
			if (!(path.where[at] & w->where))
				continue;
			g_test_message("variant %s, %s %u below the CI: %s", v->name, euicc ? "chip" : "Key Maker", length - at, w->name);
			path_expect(&path, euicc, at, wrong, w->code, w->why);
			n++;
		}
	}
	return n;
}

/* Every variant, in both directions: the whole set is accepted, and with anything wrong in any of its certificates it is refused by name. */
static void test_variants(void)
{
	g_autoptr(GString) line = g_string_new("# accepted, so many below the CI for chip, Key Maker:");

	for (guint i = 0; i < G_N_ELEMENTS(variants); i++) {
		for (int euicc = 1; euicc >= 0; euicc--) {
			g_auto(Path) path = { 0 };

			path_make(&path, &variants[i], euicc, -1, 0);
			path_expect(&path, euicc, -1, 0, 0, NULL);
			if (euicc)
				g_string_append_printf(line, "%6s %u", variants[i].name, path.n);
			else
				g_string_append_printf(line, ",%u", path.n);
		}
	}
	g_print("%s\n# refused by name, so many certificates of both paths:\n", line->str);
	for (guint w = 0; w < G_N_ELEMENTS(wrongs); w++) {
		g_string_printf(line, "# %-32s", wrongs[w].name);
		for (guint i = 0; i < G_N_ELEMENTS(variants); i++)
			g_string_append_printf(line, "%6u", refused(&variants[i], w));
		g_print("%s\n", line->str);
	}
}

/* No CA may issue what is another's to issue, whatever its role is called. */
static void test_crossed(void)
{
	static const TestSpec eum = { .cn = "EUM", .org = "RSP Test EUM", .policy = V3 ".0", .ca = TRUE, .pathlen = 2,
				      .ein = "89049032", .serial = 8 };
	static const TestSpec dp_sub = { .cn = "DP", .policy = V3 ".1", .ca = TRUE, .pathlen = 1, .serial = 9,
					 .ein = "89049032" };
	static const TestSpec two_roles = { .cn = "both", .policy = V3 ".0.0.0.0", .ca = TRUE, .serial = 10 };
	g_autoptr(TestId) e = test_id_new(&eum, pki->ci), d = test_id_new(&dp_sub, pki->ci);
	g_autoptr(TestId) odd = test_id_new(&two_roles, pki->ci);
	g_autoptr(TestId) dppb_of_eum = test_id_new(&test_spec_dppb, e), chip_of_dp = test_id_new(&test_spec_euicc, d);
	g_autoptr(TestId) chip_of_ci = test_id_new(&test_spec_euicc, pki->ci), dppb_of_odd = test_id_new(&test_spec_dppb, odd);
	g_autoptr(GPtrArray) others = g_ptr_array_new();

	expect(pki->trust, test_id_span(chip_of_ci), NULL, IFPP_ROLE_EUICC, IFPP_ERROR_ROLE, "another role than EUM");
	g_ptr_array_add(others, e->der);
	expect(pki->trust, test_id_span(dppb_of_eum), others, IFPP_ROLE_DP_PB, IFPP_ERROR_ROLE, "another role");
	others->pdata[0] = d->der;
	expect(pki->trust, test_id_span(chip_of_dp), others, IFPP_ROLE_EUICC, IFPP_ERROR_ROLE, "another role");
	others->pdata[0] = odd->der;
	expect(pki->trust, test_id_span(dppb_of_odd), others, IFPP_ROLE_DP_PB, IFPP_ERROR_ROLE, "another role");
}

static void test_ecdsa(void)
{
	static const char message[] = "message";
	IfppSpan parts[] = {{(const guint8 *)message, 3}, {NULL, 0}, {(const guint8 *)message + 3, 4}};
	IfppSpan whole = { (const guint8 *)message, 7 };
	guint8 point[65], sig[65] = { 0 }, bad[64];

	test_id_point(pki->dppb, point);
	/* enough signatures to meet short r and s */
	for (int i = 0; i < 600; i++) {
		test_id_sign(pki->dppb, whole, sig);
		g_assert_true(ifpp_ecdsa_verify(point, parts, 3, (IfppSpan){ sig, 64 }));
	}
	g_assert_false(ifpp_ecdsa_verify(point, parts, 2, (IfppSpan){ sig, 64 }));
	g_assert_false(ifpp_ecdsa_verify(point, parts, 3, (IfppSpan){ sig, 63 }));
	g_assert_false(ifpp_ecdsa_verify(point, parts, 3, (IfppSpan){ sig, 65 }));
	g_assert_false(ifpp_ecdsa_verify(point, parts, 3, (IfppSpan){ NULL, 0 }));
	memset(bad, 0, 64);
	g_assert_false(ifpp_ecdsa_verify(point, parts, 3, IFPP_SPAN(bad)));
	memset(bad, 0xFF, 64);
	g_assert_false(ifpp_ecdsa_verify(point, parts, 3, IFPP_SPAN(bad)));
	for (int i = 0; i < 64; i++) {
		sig[i] ^= 1;
		g_assert_false(ifpp_ecdsa_verify(point, parts, 3, (IfppSpan){ sig, 64 }));
		sig[i] ^= 1;
	}

	g_assert_true(ifpp_point_on_curve(IFPP_SPAN(point)));
	point[64] ^= 1;
	g_assert_false(ifpp_point_on_curve(IFPP_SPAN(point)));
	g_assert_false(ifpp_ecdsa_verify(point, parts, 3, (IfppSpan){ sig, 64 }));
	point[64] ^= 1;
	point[0] = 0x02;
	g_assert_false(ifpp_point_on_curve(IFPP_SPAN(point)));
	memset(point, 0, 65);
	point[0] = 0x04;
	g_assert_false(ifpp_point_on_curve(IFPP_SPAN(point)));
	memset(point + 1, 0xFF, 64);		/* beyond the field */
	g_assert_false(ifpp_point_on_curve(IFPP_SPAN(point)));
	g_assert_false(ifpp_point_on_curve((IfppSpan){ point, 64 }));
}

static void test_der_strict(void)
{
	static const struct {
		const char *hex;
		gboolean ok;
	} cases[] = {
		{ "3006020101020101", TRUE },	    { "300702020080020101", TRUE },
		{ "3006020100020101", FALSE },	    { "3006020180020101", FALSE },
		{ "300702020001020101", FALSE },    { "300602010102010100", FALSE },
		{ "300702010102010100", FALSE },    { "3003020101", FALSE },
		{ "30050200020101", FALSE },	    { "", FALSE },
		{ "308106020101020101", FALSE },    { "3106020101020101", FALSE },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) bytes = ifpp_unhex(cases[i].hex);

		g_assert_true(ifpp_ecdsa_der_strict(ifpp_span_bytes(bytes)) == cases[i].ok);
	}
}

/* What somebody who stays sees when the directory changes, and that nothing remembered outlives it. */
static void test_reload(void)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-test-XXXXXX", NULL), *crl_path = NULL, *flag = NULL, *ci_path = NULL;
	g_autoptr(GBytes) revokes = test_crl_new(pki->ci, pki->dppb, TEST_NOW - TEST_DAY, TEST_NOW + TEST_DAY);
	g_autoptr(GBytes) empty = test_crl_new(pki->ci, NULL, TEST_NOW - TEST_DAY, TEST_NOW + TEST_DAY);
	IfppSpan ci = test_id_span(pki->ci), dppb = test_id_span(pki->dppb);
	g_autoptr(TestId) other_ci = test_id_new(&test_spec_ci, NULL);
	g_autoptr(IfppTrust) trust = NULL;
	g_autoptr(GError) error = NULL;
	IfppTrust *before;

#define RELOAD                                                                                                         \
	do {                                                                                                           \
		g_assert_true(ifpp_trust_reload(&trust, dir, &error));                                                 \
		g_assert_no_error(error);                                                                              \
		ifpp_trust_set_time(trust, TEST_NOW);                                                                  \
	} while (0)

	crl_path = g_build_filename(dir, "ci.crl", NULL);
	flag = g_build_filename(dir, "require-crl", NULL);
	ci_path = g_build_filename(dir, "ci.der", NULL);
	put(dir, "ci.der", ci.data, ci.len);
	RELOAD;
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, 0, NULL);
	before = trust;
	RELOAD;
	g_assert_true(trust == before);
	/* the signature is known by now: dates and role are not */
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(trust, dppb, NULL, IFPP_ROLE_DP_AUTH, IFPP_ERROR_ROLE, "another role");
	ifpp_trust_set_time(trust, TEST_NOW + 101 * TEST_DAY);
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_EXPIRED, "expired");

	put(dir, "ci.crl", g_bytes_get_data(revokes, NULL), g_bytes_get_size(revokes));
	RELOAD;
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_REVOKED, "revoked");
	g_unlink(crl_path);
	RELOAD;
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, 0, NULL);

	/* by choice, no CRL is no trust; an EUM need have none */
	put(dir, "require-crl", "", 0);
	RELOAD;
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CRL, "require-crl");
	expect(trust, test_id_span(pki->euicc), pki->eum_list, IFPP_ROLE_EUICC, IFPP_ERROR_CRL, "require-crl");
	put(dir, "ci.crl", g_bytes_get_data(empty, NULL), g_bytes_get_size(empty));
	RELOAD;
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, 0, NULL);
	expect(trust, test_id_span(pki->euicc), pki->eum_list, IFPP_ROLE_EUICC, 0, NULL);
	g_unlink(flag);

	/* another root of the same name, then none: nothing of the old store may be left */
	g_unlink(crl_path);
	put(dir, "ci.der", test_id_span(other_ci).data, test_id_span(other_ci).len);
	RELOAD;
	expect(trust, dppb, NULL, IFPP_ROLE_DP_PB, IFPP_ERROR_CHAIN, "");
	g_unlink(ci_path);
	g_assert_false(ifpp_trust_reload(&trust, dir, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CHAIN);
	g_assert_null(trust);
	g_rmdir(dir);
#undef RELOAD
}

/* ------------------------------------------------------------ GSMA's own test certificates */

/* PEM or DER. */
static GBytes *read_cert(const char *path)
{
	gnutls_datum_t in, out = {};
	gsize len;
	char *text;

	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	in = (gnutls_datum_t){ (guint8 *)text, len };
	if (gnutls_pem_base64_decode2("CERTIFICATE", &in, &out) >= 0) {
		GBytes *der = g_bytes_new(out.data, out.size);

		gnutls_free(out.data);
		g_free(text);
		return der;
	}
	return g_bytes_new_take(text, len);
}

/* Every file below @dir by its name in SGP.26. */
static void find_certs(const char *dir, GHashTable *found)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		char *stem = g_strndup(name, strcspn(name, "."));

		if (g_file_test(path, G_FILE_TEST_IS_DIR))
			find_certs(path, found);
		else if (g_str_has_suffix(name, ".der") || g_str_has_suffix(name, ".pem"))
			g_hash_table_insert(found, g_steal_pointer(&stem), read_cert(path));
		g_free(stem);
	}
}

/*
 * SGP.26 is GSMA's to give out, so its files are not here: $IFPP_SGP26 names a directory with them. Without
 * the CI's file this fails; of the others those are verified that are there.
 */
static void test_sgp26(void)
{
	static const struct { const char *name; IfppRole role; const char *issuer; } certs[] = {
		{ "CERT_S_SM_DPpb_ECDSA_NIST", IFPP_ROLE_DP_PB, NULL },
		{ "CERT_S_SM_DP2pb_ECDSA_NIST", IFPP_ROLE_DP_PB, NULL },
		{ "CERT_S_SM_DPauth_ECDSA_NIST", IFPP_ROLE_DP_AUTH, NULL },
		{ "CERT_S_SM_DP2auth_ECDSA_NIST", IFPP_ROLE_DP_AUTH, NULL },
		{ "CERT_EUM_ECDSA_NIST", IFPP_ROLE_EUM, NULL },
		{ "CERT_EUICC_ECDSA_NIST", IFPP_ROLE_EUICC, "CERT_EUM_ECDSA_NIST" },
	};
	g_autoptr(GHashTable) found =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GError) error = NULL;
	guint verified = 1;
	GBytes *ci;

	find_certs(g_getenv("IFPP_SGP26"), found);
	ci = g_hash_table_lookup(found, "CERT_CI_ECDSA_NIST");
	if (!ci)
		g_error("%s: no CERT_CI_ECDSA_NIST.der or .pem in it", g_getenv("IFPP_SGP26"));
	ifpp_trust_add_root(trust, ifpp_span_bytes(ci), &error);
	g_assert_no_error(error);
	for (guint i = 0; i < G_N_ELEMENTS(certs); i++) {
		GBytes *cert = g_hash_table_lookup(found, certs[i].name);
		g_autoptr(GPtrArray) others = g_ptr_array_new();

		if (certs[i].issuer && g_hash_table_lookup(found, certs[i].issuer))
			g_ptr_array_add(others, g_hash_table_lookup(found, certs[i].issuer));
		if (!cert)
			continue;
		ifpp_trust_verify(trust, ifpp_span_bytes(cert), others, certs[i].role, &error);
		g_assert_no_error(error);
		verified++;
	}
	g_test_message("%u of SGP.26's certificates verified", verified);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	pki = test_pki_new();
	g_test_add_func("/x509/good", test_good);
	g_test_add_func("/x509/leaf", test_leaf);
	g_test_add_func("/x509/dppb_without_rid_refused", test_rid);
	g_test_add_func("/x509/eum", test_eum);
	g_test_add_func("/x509/path", test_path);
	g_test_add_func("/x509/time", test_time);
	g_test_add_func("/x509/roots", test_roots);
	g_test_add_func("/x509/crls", test_crls);
	g_test_add_func("/x509/flips", test_flips);
	g_test_add_func("/x509/dir", test_dir);
	g_test_add_func("/x509/ends_told_in_advance", test_ends);
	g_test_add_func("/x509/bad_file_in_trust_stops_nothing_else", test_bad_file);
	g_test_add_func("/x509/crl_with_idp", test_idp);
	g_test_add_func("/x509/slow_clock", test_slow_clock);
	g_test_add_func("/x509/eum_crl_revokes", test_crl_of_sub_ca);
	g_test_add_func("/x509/reissued-ci", test_reissued);
	g_test_add_func("/x509/variants", test_variants);
	g_test_add_func("/x509/crossed-roles", test_crossed);
	g_test_add_func("/x509/reload", test_reload);
	g_test_add_func("/x509/ecdsa", test_ecdsa);
	g_test_add_func("/x509/der-strict", test_der_strict);
	if (g_getenv("IFPP_SGP26"))
		g_test_add_func("/x509/sgp26", test_sgp26);
	rc = g_test_run();
	test_pki_free(pki);
	return rc;
}
