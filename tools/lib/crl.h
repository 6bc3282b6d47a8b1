/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside libifpp: certificate revocation lists as CIs, EUMs and sub-CAs issue them (RFC 5280 5, SGP.22 4.5.2.1.2). */
#ifndef IFPP_CRL_H
#define IFPP_CRL_H

#include "cert.h"

typedef struct _Crl Crl;

/**
 * crl_new() - read a CRL; nothing is proven about it yet
 * @der: its bytes
 * @where: the file it came from, for messages; may be NULL
 * @error: IFPP_ERROR_CRL: why it cannot be used. The CRL comes all the same, as one that can only refuse
 *
 * A CRL that cannot be used might be the one that revokes. So it is kept, and stops what depends on it:
 * its issuer, or if it does not say whose it is each issuer that has no current CRL besides.
 *
 * Return: never NULL.
 */
Crl *crl_new(IfppSpan der, const char *where, GError **error);
/* A file that cannot even be read. */
Crl *crl_unreadable(const char *where, const char *why);
void crl_free(Crl *crl);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Crl, crl_free)

/* Does the CRL name this CA's key as its issuer's? */
gboolean crl_is_of(Crl *crl, Cert *issuer);
/* The key of this root signed it, and may: remembered. IFPP_ERROR_CRL */
gboolean crl_prove(Crl *crl, Cert *root, GError **error);
void crl_forget(Crl *crl, Cert *root);
/* When it was issued, if a root has signed it, else 0: it is later than that. @what: its name, for messages */
gint64 crl_proves(Crl *crl, const char **what);
/* By when it must be replaced, seconds since 1970. FALSE: it says no date, cannot be used, or a newer one has its place. */
gboolean crl_ends(GPtrArray *crls, Crl *crl, gint64 *when, const char **where);

/**
 * crl_check() - is a certificate revoked, as far as these CRLs know
 * @crls: of Crl, of any issuers
 * @cert: decoded
 * @ca: it is a CA's
 * @issuer: its issuer, decoded and proven
 * @required: without a current CRL that covers it, it is refused
 * @now: seconds since 1970, or -1: dates do not count
 * @error: IFPP_ERROR_REVOKED, CRL
 *
 * Listed in any sound CRL of its issuer means revoked, however old that CRL is and whatever it is meant to
 * cover. Of each scope (issuingDistributionPoint, part of a CRL in parts) that covers the certificate the newest must
 * be current: else revocations could be hidden by holding CRLs back.
 */
gboolean crl_check(GPtrArray *crls, Cert *cert, gboolean ca, Cert *issuer, gboolean required, gint64 now, GError **error);

#endif
