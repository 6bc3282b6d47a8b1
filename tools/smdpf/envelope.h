/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sealed package around a BPP: header and CMS SignedData by SK.DPpb. */
#ifndef SMDPF_ENVELOPE_H
#define SMDPF_ENVELOPE_H

#include <gnutls/abstract.h>

#include "package.h"

/**
 * envelope_seal() - header and signed envelope
 * @eid: of the chip
 * @key_id: of the one-time key
 * @bf36: the BPP
 * @chain: GBytes of DER, CERT.DPpb first, root left out
 * @key: SK.DPpb
 * @error: IFPP_ERROR_TOKEN, TOO_LARGE
 *
 * The same bytes as gnutls_pkcs7_sign() with EMBED_DATA and INCLUDE_CERT gives, except that
 * the signature always has 71 bytes: the signed header tells the length of what contains it.
 *
 * Return: the whole file.
 */
GBytes *envelope_seal(const guint8 eid[16], const guint8 key_id[32], IfppSpan bf36, GPtrArray *chain,
		      gnutls_privkey_t key, GError **error);

/* The same envelope around any other content, in DER. IFPP_ERROR_TOKEN */
GBytes *envelope_sign(IfppSpan content, GPtrArray *chain, gnutls_privkey_t key, GError **error);

#endif
