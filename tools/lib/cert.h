/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside libifpp: what cert.c knows about one certificate and trust.c builds paths of. */
#ifndef IFPP_CERT_H
#define IFPP_CERT_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "error.h"
#include "x509.h"

#define CERT_ID_LEN 20		/* key identifiers: SHA-1 of the public key */

/* The parts of everything X.509 signs. */
typedef struct {
	IfppSpan tbs;
	IfppSpan sig;
	IfppSpan extensions;		/* SEQUENCE OF Extension, its value; may be empty */
} CertSigned;

typedef struct {
	guint refs;
	GBytes *bytes;
	CertSigned s;
	IfppSpan issuer, serial, subject, spki;
	gnutls_pubkey_t key;
	gnutls_x509_crt_t crt;		/* NULL until cert_decode() */
	guint8 ski[CERT_ID_LEN], aki[CERT_ID_LEN];
	gboolean has_aki;
	GBytes *signer;			/* the key that is known to have signed it: SubjectPublicKeyInfo */
	char *name;			/* for messages: never the EID */
} Cert;

/* A certificate that nothing is proven about yet. Every failure is IFPP_ERROR_CHAIN. */
Cert *cert_new(IfppSpan der, GError **error);
Cert *cert_ref(Cert *cert);
void cert_unref(Cert *cert);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cert, cert_unref)
/* The rest of it, which only a certificate in a path needs. */
gboolean cert_decode(Cert *cert, GError **error);

/*
 * Did the key of @issuer sign this certificate or CRL? Once proven, the key is remembered in @signer:
 * that these bytes bear its signature never changes. Whether it may sign is no part of it.
 */
gboolean cert_signed(const CertSigned *s, Cert *issuer, GBytes **signer);
gboolean cert_point(Cert *cert, guint8 point[65], GError **error);
gboolean cert_eid(Cert *cert, guint8 eid[16], GError **error);

/* The same certificate as often as it is asked for, parsed once. Of CAs and Key Makers, not of chips. @trust NULL: parsed anew. */
Cert *trust_cert(IfppTrust *trust, IfppSpan der, GError **error);
/* As ifpp_trust_verify(), of certificates that are parsed; what is used of @pool is taken out of it. */
gboolean trust_verify(IfppTrust *trust, Cert *leaf, GPtrArray *pool, IfppRole role, GError **error);

/* For certificates that are decoded. @below: CA certificates between this one and the leaf. */
gboolean cert_check_role(Cert *cert, IfppRole role, gboolean sub_ca, GError **error);
gboolean cert_check_usage(Cert *cert, gboolean ca, int below, GError **error);
gboolean cert_check_dates(Cert *cert, gint64 now, GError **error);
/* May this EUM issue this eUICC? */
gboolean cert_check_eum(Cert *euicc, Cert *eum, GError **error);
gboolean cert_has_name_constraints(Cert *cert);

/* ECDSA-SHA256 over a TBS: SEQUENCE { tbs, algorithm, signature }, and nothing after it. */
gboolean cert_split_signed(IfppSpan der, CertSigned *out, GError **error);
/* Is @alg the AlgorithmIdentifier of ECDSA with SHA-256? */
gboolean cert_is_ecdsa_sha256(IfppSpan alg);
/* Every extension at most once, and none critical that is not @known. */
gboolean cert_check_extensions(IfppSpan list, const IfppSpan *known, gsize n_known, GError **error);

gboolean cert_fail(GError **error, IfppError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static inline gnutls_datum_t cert_datum(IfppSpan span)
{
	return (gnutls_datum_t){ (guint8 *)span.data, span.len };
}

#endif
