/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What conceals the subscriber's identity in 5G: EF.SUCI_Calc_Info (TS 31.102 4.4.11.8), EF.Routing_Indicator (4.4.11.11). */
#ifndef SMDPF_SUCI_H
#define SMDPF_SUCI_H

#include "tlv.h"

enum { SUCI_NULL = 0, SUCI_A = 1, SUCI_B = 2, SUCI_SCHEMES };	/* protection schemes of TS 33.501, annex C */

typedef struct {
	guint8 content[128];	/* of the file: the schemes by their priority, and the keys */
	gsize len;
	guint schemes;		/* a bit for each that is in it */
} Suci;

/**
 * suci_parse() - from words with spaces between them
 * @schemes: A, B and null, or 1, 2 and 0; the first has the highest priority
 * @keys: one in hex for each of the schemes but null: X25519 for A, P-256 for B, compressed or not; or NULL
 * @ids: the home network's number of each key, from 0 to 255; or NULL
 * @test: published keys are fine
 * @suci: filled
 * @error: IFPP_ERROR_USAGE: a key that does not belong to its scheme, is published or is no public key at all
 */
gboolean suci_parse(const char *schemes, const char *keys, const char *ids, gboolean test, Suci *suci, GError **error);

/* Is a private key to it known to everybody, or is it none? */
gboolean suci_key_is_weak(IfppSpan key);

/* Does the content of an EF.SUCI_Calc_Info have such a key? */
gboolean suci_is_weak(IfppSpan content);

/* EF.Routing_Indicator, of 1 to 4 digits. IFPP_ERROR_USAGE */
gboolean suci_routing(const char *digits, guint8 out[4], GError **error);

#endif
