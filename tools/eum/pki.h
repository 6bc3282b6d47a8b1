/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A test PKI with the certificate profile of SGP.26: CI, EUM, eUICC and SM-DP. Keys are plain files. */
#ifndef IFPP_EUM_PKI_H
#define IFPP_EUM_PKI_H

#include <glib.h>

#include "bsp.h"
#include "x509.h"

/**
 * pki_init() - make a CI root and an EUM under it: ci.{key,pem} and eum.{key,pem}
 * @dir: made if absent; must not hold a PKI yet
 * @name: goes into the subjects' O
 * @eid_prefix: first eight digits of the EIDs the EUM may issue
 * @error: IFPP_ERROR_USAGE, IO, ACCESS, NO_SPACE
 */
gboolean pki_init(const char *dir, const char *name, const char *eid_prefix, GError **error);

/**
 * pki_dp() - the CI certifies a key of an SM-DP: for profile binding, or for authentication
 * @dir: of the PKI
 * @role: IFPP_ROLE_DP_PB or IFPP_ROLE_DP_AUTH
 * @key: PEM file of a public key or of a certificate request
 * @is_csr: which of them
 * @oid: registeredID, dotted
 * @out: certificate to write, PEM
 * @not_before, @not_after: validity, seconds since 1970
 * @error: IFPP_ERROR_IO, ...
 */
gboolean pki_dp(const char *dir, IfppRole role, const char *key, gboolean is_csr, const char *oid,
		const char *out, gint64 not_before, gint64 not_after, GError **error);

/* The CI's CRL with these certificates (PEM files) on it; valid for @days. */
gboolean pki_crl(const char *dir, char **revoke, const char *out, guint days, GError **error);

/* The EUM, ready to personalise. */
typedef struct _PkiEum PkiEum;
PkiEum *pki_eum_open(const char *dir, GError **error);
void pki_eum_free(PkiEum *eum);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PkiEum, pki_eum_free)
GBytes *pki_eum_cert(PkiEum *eum);	/* CERT.EUM, DER */
GBytes *pki_eum_ci(PkiEum *eum);	/* CERT.CI, DER */
/* CERT.EUICC for a chip's key. IFPP_ERROR_CONSTRAINT: an EID this EUM may not issue. */
GBytes *pki_eum_certify(PkiEum *eum, const guint8 eid[16], const guint8 point[65], GError **error);

#endif
