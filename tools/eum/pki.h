/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A test PKI with the certificate profile of SGP.26: CI, EUM, eUICC and SM-DP. Keys are plain files. */
#ifndef IFPP_EUM_PKI_H
#define IFPP_EUM_PKI_H

#include <glib.h>

#include "bsp.h"
#include "x509.h"

/* SGP.26's variants: O has the roles of SGP.22 v2, the others those of v3; A, B and C have sub-CAs. */
typedef enum { PKI_O, PKI_OV3, PKI_A, PKI_B, PKI_C } PkiVariant;
/* "O", "Ov3", "A", "B", "C". IFPP_ERROR_USAGE */
gboolean pki_variant_parse(const char *name, PkiVariant *variant, GError **error);

/**
 * pki_init() - make a CI root and an EUM under it: ci.{key,pem} and eum.{key,pem}
 * @dir: made if absent; must not hold a PKI yet
 * @variant: B and C have a ci-sub.{key,pem}, A and C an eum-sub and a dp-sub besides
 * @name: goes into the subjects' O
 * @eid_prefix: first eight digits of the EIDs the EUM may issue
 * @error: IFPP_ERROR_USAGE, IO, ACCESS, NO_SPACE
 */
gboolean pki_init(const char *dir, PkiVariant variant, const char *name, const char *eid_prefix, GError **error);

/**
 * pki_dp() - the CI, or its sub-CA, certifies a key of an SM-DP: for profile binding, or for authentication
 * @dir: of the PKI
 * @role: IFPP_ROLE_DP_PB or IFPP_ROLE_DP_AUTH
 * @key: PEM file of a public key or of a certificate request
 * @is_csr: which of them
 * @oid: registeredID, dotted
 * @out: certificate to write, PEM, with those of the sub-CAs behind it
 * @not_before, @not_after: validity, seconds since 1970
 * @error: IFPP_ERROR_IO, ...
 */
gboolean pki_dp(const char *dir, IfppRole role, const char *key, gboolean is_csr, const char *oid,
		const char *out, gint64 not_before, gint64 not_after, GError **error);

/* The CRL of @issuer ("ci", "eum", ...) with these certificates (PEM files) on it; valid for @days. */
gboolean pki_crl(const char *dir, const char *issuer, char **revoke, const char *out, guint days, GError **error);

/* The EUM, ready to personalise. */
typedef struct _PkiEum PkiEum;
PkiEum *pki_eum_open(const char *dir, GError **error);
void pki_eum_free(PkiEum *eum);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PkiEum, pki_eum_free)
GBytes *pki_eum_cert(PkiEum *eum);	/* CERT.EUM, or of its sub-CA: what issues CERT.EUICC; DER */
GBytes *pki_eum_cas(PkiEum *eum);	/* the CAs between that one and the CI, DER one after the other; NULL: none */
GBytes *pki_eum_ci(PkiEum *eum);	/* CERT.CI, DER */
/* Detached CMS SignedData over @text by the key that issues the chips' certificates, DER. */
GBytes *pki_eum_sign(PkiEum *eum, GBytes *text, GError **error);
/* CERT.EUICC for a chip's key. IFPP_ERROR_CONSTRAINT: an EID this EUM may not issue. */
GBytes *pki_eum_certify(PkiEum *eum, const guint8 eid[16], const guint8 point[65], GError **error);

#endif
