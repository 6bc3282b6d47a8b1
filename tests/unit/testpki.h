/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificates, keys, CRLs and envelopes made in memory for tests, right ones and wrong ones. */
#ifndef TESTPKI_H
#define TESTPKI_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "tlv.h"
#include "x509.h"

#define TEST_NOW 1800000000		/* what the tests take for today */
#define TEST_DAY 86400
/* Added to all times that go into certificates and CRLs: for programs, which ask the clock. */
extern gint64 test_shift;
#define TEST_EID "89049032123451234512345678901235"

/* What goes into a certificate. What is 0 or NULL is left out, or is right for the role. */
typedef struct {
	const char *cn;
	const char *org;
	const char *serial_number;	/* subject attribute: the EID */
	const char *policy;		/* OID; NULL: of @role; "": none */
	IfppRole role;
	unsigned int usage;		/* 0: right for @ca */
	gboolean ca;
	int pathlen;			/* 0: none; else pathlen + 1 */
	gint64 from, to;
	const char *country, *unit;	/* subject attributes */
	const char *prefix;		/* name constraint: serialNumber */
	const char *prefix_org, *prefix_country, *prefix_unit;
	const char *excluded_org;	/* name constraint of the other kind */
	const char *ein;		/* permitted EIN */
	const char *rid, *second_rid;	/* subjectAltName registeredID */
	const char *crl_point;		/* URI of cRLDistributionPoints */
	const char *not_critical;	/* OID of an extension that ought to be */
	const char *extra_oid;		/* an extension that nobody knows */
	gboolean extra_critical;
	gboolean no_aki, no_ski;
	gnutls_ecc_curve_t curve;	/* 0: P-256 */
	gnutls_digest_algorithm_t hash;	/* 0: SHA-256 */
	guint8 serial;
	guint serial_len;		/* octets of it; 0: one */
} TestSpec;

typedef struct {
	gnutls_x509_privkey_t x509_key;
	gnutls_privkey_t key;
	gnutls_x509_crt_t crt;
	GBytes *der;
} TestId;

/* DistributionPointName with one URI: of cRLDistributionPoints, or of an issuingDistributionPoint */
void test_put_point(GByteArray *out, const char *uri);
TestId *test_id_new(const TestSpec *spec, TestId *issuer);	/* @issuer NULL: self-signed */
/* The same key again, self-signed: another issue of a root. */
TestId *test_id_reissue(const TestSpec *spec, TestId *root);
void test_id_free(TestId *id);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestId, test_id_free)
IfppSpan test_id_span(TestId *id);
void test_id_point(TestId *id, guint8 point[65]);
void test_id_sign(TestId *id, IfppSpan data, guint8 sig[64]);	/* plain r||s */

/* The usual test PKI: CI, EUM, the chip, the Key Maker. */
typedef struct {
	TestId *ci, *eum, *euicc, *dppb;
	GPtrArray *eum_list;		/* of GBytes: the EUM's certificate */
	IfppTrust *trust;		/* with the CI, at TEST_NOW */
} TestPki;

TestPki *test_pki_new(void);
void test_pki_free(TestPki *pki);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestPki, test_pki_free)
extern const TestSpec test_spec_ci, test_spec_eum, test_spec_euicc, test_spec_dppb;

/* A CRL of @issuer that lists @revoked, NULL for none. */
/* A CRL as CIs, EUMs and sub-CAs issue them. */
enum {
	TEST_CRL_ONLY_USERS = 1,
	TEST_CRL_ONLY_CAS = 2,
	TEST_CRL_SOME_REASONS = 4,
	TEST_CRL_INDIRECT = 8,
	TEST_CRL_ATTRIBUTES = 16,
	TEST_CRL_DELTA = 32,
};
typedef struct {
	TestId *issuer, *revoked;	/* @revoked: or NULL */
	gint64 from, to;
	const char *point;		/* URI of a critical issuingDistributionPoint */
	guint flags;			/* TEST_CRL_* */
	guint8 part, parts;		/* of SGP.22's CRLs in parts */
} TestCrl;
GBytes *test_crl_make(const TestCrl *spec);
GBytes *test_crl_new(TestId *issuer, TestId *revoked, gint64 this_update, gint64 next_update);

/* CMS SignedData over @content by @signer, with @others in it too. @flags: GNUTLS_PKCS7_... */
GBytes *test_cms_new(TestId *signer, TestId **others, IfppSpan content, unsigned int flags);

/*
 * The BF36 of the published vectors, signed by @dppb for @otpk. Its PPKs are public, and so is
 * its profile: good for tests only.
 */
GBytes *test_bpp_new(TestId *dppb, const guint8 otpk[65]);
/* A whole sealed package around @bpp, and one around any content. */
GBytes *test_package_new(TestId *dppb, TestId **others, const guint8 eid[16], const guint8 otpk[65],
			 GBytes *bpp);
/* The same with signed attributes, as gnutls_pkcs7_sign() and openssl make them. */
GBytes *test_package_new_with_attributes(TestId *dppb, TestId **others, const guint8 eid[16],
					 const guint8 otpk[65], GBytes *bpp);
GBytes *test_package_wrap(const guint8 header[64], GBytes *cms);

void test_eid(guint8 eid[16]);		/* TEST_EID */
TestId *test_otk_new(void);		/* only its key pair is of use */
/* FF21 full export of @n keys and the certificates; keys[i] gets each one-time key. */
GBytes *test_factory_info_new(TestPki *pki, guint n, TestId **keys);
GBytes *test_pir_new(TestId *euicc, gboolean success);
GBytes *test_receipt_new(TestId *euicc, const guint8 eid[16], const guint8 challenge[16]);

#endif
