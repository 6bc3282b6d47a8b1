/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The RSP certificate profile (SGP.22 4.5.2, SGP.26) over GnuTLS. */
#ifndef IFPP_X509_H
#define IFPP_X509_H

#include "tlv.h"

/* Last arc of id-rspRole in SGP.22 v2, 2.23.146.1.2.1.N; the roles of v3 that mean the same count as well */
typedef enum {
	IFPP_ROLE_CI = 0,
	IFPP_ROLE_EUICC = 1,
	IFPP_ROLE_EUM = 2,
	IFPP_ROLE_DP_AUTH = 4,
	IFPP_ROLE_DP_PB = 5,
} IfppRole;

typedef struct _IfppTrust IfppTrust;

/**
 * ifpp_trust_new_from_dir() - load CI roots and CRLs
 * @dir: CI roots in *.pem, *.der, *.crt; CRLs in *.crl, DER or PEM; "require-crl", whatever is in it: no
 *	CI or sub-CA is believed without a current CRL; other names are ignored
 * @error: IFPP_ERROR_IO no such directory, IFPP_ERROR_CHAIN no usable root in it
 *	(self-signed, role CI, keyCertSign)
 *
 * A file that cannot be used stops what depends on it and nothing else: see ifpp_trust_problems().
 */
IfppTrust *ifpp_trust_new_from_dir(const char *dir, GError **error);
/**
 * ifpp_trust_reload() - the same for somebody who stays: take in what has changed since
 * @trust: of an earlier call, or NULL; stays as it is when the files have the same bytes, else is
 *	replaced, or freed and NULL on failure: never go on with what was
 * @dir: as ifpp_trust_new_from_dir()
 * @error: likewise
 *
 * A trust store remembers which certificates and CRLs bear whose signature, so that it is not computed
 * again. Dates, roles, usage and revocation are looked at for each path.
 */
gboolean ifpp_trust_reload(IfppTrust **trust, const char *dir, GError **error);
/* What of the directory is not used, and why: array of "PATH: why", owned by @trust. To be told at start. */
GPtrArray *ifpp_trust_problems(IfppTrust *trust);
/* By when something of a trust directory must be replaced. */
typedef struct {
	char *name;	/* of a root as in messages, of a CRL its file */
	gint64 when;	/* seconds since 1970 */
} IfppTrustExpiry;
/* CI roots and CRLs that end, not those whose next issue is there as well: array of IfppTrustExpiry, of the caller. */
GPtrArray *ifpp_trust_expiry(IfppTrust *trust);
#define IFPP_TRUST_DAYS 14
/**
 * ifpp_trust_ends() - what must be replaced soon, or should have been
 * @trust: a store
 *
 * Of ifpp_trust_expiry() what ends within IFPP_TRUST_DAYS.
 *
 * Return: array of "NAME: ends on DATE, in N days", of the caller.
 */
GPtrArray *ifpp_trust_ends(IfppTrust *trust);
/* The problems in one line; without them, what there is: roots, CRLs, Key Makers. */
char *ifpp_trust_summary(IfppTrust *trust);
/*
 * How many Key Makers the file "key-makers" beside the directory names; 0: any under the CI is taken. A leaf of role
 * DP_PB that it does not name is refused with IFPP_ERROR_KEY_MAKER, and each of them if it cannot be read.
 */
guint ifpp_trust_key_makers(IfppTrust *trust);
IfppTrust *ifpp_trust_new(void);
/* One CI root, DER. What the chip does with the root in its memory. */
gboolean ifpp_trust_add_root(IfppTrust *trust, IfppSpan der, GError **error);
gboolean ifpp_trust_add_crl(IfppTrust *trust, IfppSpan der, GError **error);
/* Verify at this time instead of now; -1: do not check dates, as a chip without a clock. */
void ifpp_trust_set_time(IfppTrust *trust, gint64 unix_time);

/**
 * ifpp_trust_set_floor() - what is proven of the time besides
 * @trust: a store; one that was read from a directory knows when this program was built, and its CI's CRLs prove their dates
 * @floor: it is not earlier than this, seconds since 1970; an earlier one than known changes nothing
 * @what: that proves it, for messages; not copied
 * @go_on: when the clock is behind all that, take the floor for now
 *
 * Without @go_on a path that would be good at the floor is refused with IFPP_ERROR_TIME_UNKNOWN then.
 */
void ifpp_trust_set_floor(IfppTrust *trust, gint64 floor, const char *what, gboolean go_on);
/* The floor that is taken for now, for want of a clock; 0: the clock is right as far as can be told, or nothing goes on. */
gint64 ifpp_trust_floor(IfppTrust *trust);
/* IFPP_ERROR_TIME_UNKNOWN, or @now: what dates are held against. */
gboolean ifpp_trust_now(IfppTrust *trust, gint64 *now, GError **error);
/* The latest date in certificates and CRLs that were believed, which is not later than now: for the next start. */
gint64 ifpp_trust_seen(IfppTrust *trust);
void ifpp_trust_free(IfppTrust *trust);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppTrust, ifpp_trust_free)

/**
 * ifpp_trust_verify() - one leaf up to a configured CI root
 * @trust: roots and CRLs
 * @leaf: DER
 * @others: sub-CAs as GBytes of DER in any order, or NULL; none may be left over
 * @role: what the leaf must be, in v2 or v3; a leaf of role EUICC wants an issuer of role EUM or EUM sub-CA,
 *	and name constraints or permitted EIN prefixes above it that cover its EID
 * @error: IFPP_ERROR_CHAIN, CERTIFICATE, EXPIRED, NOT_YET_VALID, TIME_UNKNOWN, REVOKED, CRL, ROLE, KEY_USAGE, CONSTRAINT
 *
 * Each link is found by AKI = SKI and proven by ECDSA-SHA256 over the TBS bytes as received.
 */
gboolean ifpp_trust_verify(IfppTrust *trust, IfppSpan leaf, GPtrArray *others, IfppRole role, GError **error);

/* Public key of a certificate as the uncompressed point, 65 bytes. P-256 only. */
gboolean ifpp_cert_point(IfppSpan der, guint8 point[65], GError **error);
/* EID in the subject's serialNumber of an eUICC certificate. */
gboolean ifpp_cert_eid(IfppSpan der, guint8 eid[16], GError **error);
/* registeredID of the subjectAltName as DER value bytes of an OID (no tag, length); NULL if none. */
GBytes *ifpp_cert_registered_id(IfppSpan der);
gboolean ifpp_cert_ski(IfppSpan der, guint8 ski[20], GError **error);
/* Issuer and serialNumber TLVs as they stand in the certificate: what a CMS signer identifier repeats. */
gboolean ifpp_cert_issuer_serial(IfppSpan der, IfppSpan *issuer, IfppSpan *serial, GError **error);

/**
 * ifpp_ecdsa_verify() - ECDSA P-256 with SHA-256 in RSP's plain format
 * @point: uncompressed public key, 65 bytes
 * @parts: spans that together are the message
 * @n_parts: their number
 * @sig: 64 bytes r||s (BSI TR-03111)
 *
 * Return: TRUE when it verifies; FALSE for anything else, also a point off the curve.
 */
gboolean ifpp_ecdsa_verify(const guint8 point[65], const IfppSpan *parts, gsize n_parts, IfppSpan sig);
/* Is this the one DER form of an ECDSA P-256 signature: SEQUENCE of two minimal positive INTEGERs? */
gboolean ifpp_ecdsa_der_strict(IfppSpan sig);
gboolean ifpp_point_on_curve(IfppSpan point);	/* 65 bytes, 04, on P-256 */

/* SHA-256 of the 65-byte point: the key id. */
void ifpp_key_id(const guint8 point[65], guint8 key_id[32]);

#endif
