/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libifpp-secret: key agreement and BSP (SGP.22 2.6.4, annex G; formerly SCP03t).
 * Linked by smdpf, eum and vmodem only: a factory binary that opens a package cannot exist.
 */
#ifndef IFPP_BSP_H
#define IFPP_BSP_H

#include "tlv.h"

#include <gnutls/abstract.h>

#define IFPP_BSP_TLV_MAX 1036		/* accepted; we send at most 1020 */
#define IFPP_BSP_PLAIN_MAX 1007		/* encrypted payload of one segment */
#define IFPP_BSP_CLEAR_MAX 1008		/* MAC-only payload of one segment */

typedef struct {
	guint8 enc[16];
	guint8 mac[16];
	guint8 mcv[16];
	guint64 counter;		/* of the next segment, from 1 */
} IfppBsp;

/* A P-256 key pair held by us; wiped when freed. */
typedef struct _IfppEcKey IfppEcKey;
IfppEcKey *ifpp_ec_key_generate(GError **error);
IfppEcKey *ifpp_ec_key_import(const guint8 scalar[32], GError **error);
gboolean ifpp_ec_key_export(IfppEcKey *key, guint8 scalar[32], GError **error);
void ifpp_ec_key_point(IfppEcKey *key, guint8 point[65]);
/* ECDSA-SHA256 over the parts, plain r||s. */
gboolean ifpp_ec_key_sign(IfppEcKey *key, const IfppSpan *parts, gsize n_parts, guint8 sig[64], GError **error);
/* ECDH: the x-coordinate. @peer refused with IFPP_ERROR_POINT if not on the curve; wipe @zab. */
gboolean ifpp_ec_key_derive(IfppEcKey *key, const guint8 peer[65], guint8 zab[32], GError **error);
void ifpp_ec_key_free(IfppEcKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppEcKey, ifpp_ec_key_free)

/*
 * Is it the public key of a key pair: of X25519 (32 bytes) none that makes every secret zero, of P-256 (33 bytes or 65) a point
 * on the curve?
 */
gboolean ifpp_public_key_sound(IfppSpan key);

/* ECDSA-SHA256 over the parts, plain r||s, by any P-256 key of GnuTLS, also one in a token. */
gboolean ifpp_ecdsa_sign(gnutls_privkey_t key, const IfppSpan *parts, gsize n_parts, guint8 sig[64],
			 GError **error);

/**
 * ifpp_bsp_agree() - ECDH and X9.63 KDF with SHA-256 to the session keys
 * @bsp: filled; wipe with ifpp_bsp_wipe()
 * @own: our one-time key
 * @peer: the other side's point, 65 bytes; refused if not on the curve
 * @host_id: 1..16 bytes
 * @eid: of the chip
 * @error: IFPP_ERROR_POINT, IFPP_ERROR_INTERNAL
 */
gboolean ifpp_bsp_agree(IfppBsp *bsp, IfppEcKey *own, const guint8 peer[65], IfppSpan host_id,
			const guint8 eid[16], GError **error);
/* The second half of it: from the shared x-coordinate to the keys. */
gboolean ifpp_bsp_derive(IfppBsp *bsp, const guint8 zab[32], IfppSpan host_id, const guint8 eid[16],
			 GError **error);
void ifpp_bsp_set_ppk(IfppBsp *bsp, const guint8 mcv[16], const guint8 enc[16], const guint8 mac[16]);
void ifpp_bsp_wipe(IfppBsp *bsp);

/* Append one protected TLV to @out. @plain at most the limits above. */
gboolean ifpp_bsp_encrypt(IfppBsp *bsp, guint8 tag, IfppSpan plain, GByteArray *out, GError **error);
gboolean ifpp_bsp_mac(IfppBsp *bsp, guint8 tag, IfppSpan clear, GByteArray *out, GError **error);
/* Cut @plain into segments of IFPP_BSP_PLAIN_MAX or IFPP_BSP_CLEAR_MAX and protect each. */
gboolean ifpp_bsp_protect_all(IfppBsp *bsp, guint8 tag, gboolean encrypt, IfppSpan plain, GByteArray *out,
			      GError **error);

/**
 * ifpp_bsp_open() - check one protected TLV and append its payload to @out
 * @bsp: advanced on success only
 * @tlv: 86, 87 (encrypted) or 88 (MAC only)
 * @out: plaintext appended; wipe it
 * @error: IFPP_ERROR_SECURITY for a wrong MAC or padding, IFPP_ERROR_TLV
 */
gboolean ifpp_bsp_open(IfppBsp *bsp, const IfppTlv *tlv, GByteArray *out, GError **error);

/* Wipe and free a GByteArray that held a secret. */
void ifpp_secret_free(GByteArray *array);
/* Wipe and free what GnuTLS has allocated. */
void ifpp_secret_datum_clear(gnutls_datum_t *datum);
/* Append a constructed TLV from its members; they may hold secrets: wiped and freed. */
void ifpp_secret_put(GByteArray *out, guint32 tag, GByteArray *members);

#endif
