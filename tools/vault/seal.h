/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libifpp-secret: making a BoundProfilePackage (SGP.22 2.5.2-2.5.4). */
#ifndef IFPP_SEAL_H
#define IFPP_SEAL_H

#include "bsp.h"

/* Signs with SK.DPpb wherever it lives; plain r||s over the concatenated parts. */
typedef gboolean (*IfppSignFunc)(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error);

typedef struct {
	IfppSpan upp;			/* the clear profile, DER */
	IfppSpan metadata;		/* the BF25 TLV */
	IfppSpan configure;		/* the BF24 TLV */
	IfppSpan transaction_id;	/* 1..16 bytes */
	IfppSpan host_id;		/* 1..16 bytes */
	const guint8 *ppk;		/* 48 bytes MCV, ENC, CMAC: PPK mode; NULL: session keys */
	IfppSpan protected_86;		/* the 86s made earlier with ppk; empty: protect @upp now */
	const guint8 *eid;		/* 16 bytes */
	const guint8 *otpk;		/* the chip's, 65 bytes */
	IfppSignFunc sign;
	gpointer sign_user;
} IfppSealInput;

/**
 * ifpp_seal() - bind one profile to one one-time key
 * @in: what to bind
 * @error: IFPP_ERROR_POINT, TOKEN, INTERNAL
 *
 * Generates the ephemeral key otSK.DP, uses it once and wipes it with the session keys before
 * it returns.
 *
 * Return: the BF36 TLV.
 */
GBytes *ifpp_seal(const IfppSealInput *in, GError **error);
/* The same with a given ephemeral key, for the published vectors. */
GBytes *ifpp_seal_with_key(const IfppSealInput *in, IfppEcKey *ephemeral, GError **error);

#endif
