/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libifpp: what cert.c knows about one certificate, role.c about what it may do, crl.c about
 * revocation, and what trust.c builds paths of.
 */
#ifndef IFPP_CERT_H
#define IFPP_CERT_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "error.h"
#include "x509.h"

#define CERT_ID_LEN 20		/* key identifiers: SHA-1 of the public key */

/* What a certificate is, by its policy below id-rspRole: SGP.22 v2 and v3 have an OID each. */
typedef enum {
	CERT_NONE,			/* no id-rspRole at all */
	CERT_OTHER,			/* a role that is no business of ours, or several */
	CERT_CI,
	CERT_CI_SUB,
	CERT_EUM,
	CERT_EUM_SUB,
	CERT_EUICC,
	CERT_DP_SUB,
	CERT_DP_AUTH,
	CERT_DP_PB,
} CertKind;

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
	gint64 from, to;		/* valid so long; -1: cannot be read */
	guint8 ski[CERT_ID_LEN], aki[CERT_ID_LEN];
	gboolean has_aki;
	GBytes *signer;			/* the key that is known to have signed it: SubjectPublicKeyInfo */
	CertKind kind;			/* after cert_decode() */
	gboolean v3;			/* its role is one of SGP.22 v3 */
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

/*
 * A path that is proven, leaf first and root last, all decoded: may each of them do what it does in it
 * (SGP.22 4.5.2)? Looked at from the root down, so that nothing a refused CA says counts.
 */
gboolean cert_check_root(Cert *root, GError **error);
gboolean cert_check_kinds(GPtrArray *path, IfppRole role, GError **error);
gboolean cert_check_usage(Cert *cert, gboolean ca, int below, gboolean root, GError **error);
gboolean cert_check_dates(Cert *cert, gint64 now, GError **error);
gboolean cert_check_leaf(Cert *leaf, GError **error);
/* Name constraints and permitted EINs of every CA of the path. */
gboolean cert_check_names(GPtrArray *path, GError **error);

/* ECDSA-SHA256 over a TBS: SEQUENCE { tbs, algorithm, signature }, and nothing after it. */
gboolean cert_split_signed(IfppSpan der, CertSigned *out, GError **error);
/* Is @alg the AlgorithmIdentifier of ECDSA with SHA-256? */
gboolean cert_is_ecdsa_sha256(IfppSpan alg);
/* The value of an extension of SEQUENCE OF Extension @list; @critical may be NULL. */
gboolean cert_find_extension(IfppSpan list, IfppSpan oid, IfppSpan *value, gboolean *critical);
/* keyIdentifier of a SubjectKeyIdentifier, or of an AuthorityKeyIdentifier */
gboolean cert_ski(IfppSpan extensions, guint8 id[CERT_ID_LEN]);
gboolean cert_aki(IfppSpan extensions, guint8 id[CERT_ID_LEN]);
/* The EID in the subject's serialNumber; @digits may be NULL. */
gboolean cert_subject_eid(Cert *cert, IfppSpan *digits, guint8 eid[16]);
/* The next attribute of a Name's RDNs, which @rdns and @rdn walk through; a string that compares byte by byte. */
gboolean cert_next_attribute(IfppSpan *rdns, IfppSpan *rdn, IfppSpan *type, IfppSpan *value);
/* Every extension at most once, and none critical that is not @known. */
gboolean cert_check_extensions(IfppSpan list, const IfppSpan *known, gsize n_known, GError **error);

static inline gnutls_datum_t cert_datum(IfppSpan span)
{
	return (gnutls_datum_t){ (guint8 *)span.data, span.len };
}

#endif
