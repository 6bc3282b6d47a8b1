/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compact installation results (SGP.32, 5.9.11): what an IoT eUICC may leave out of a ProfileInstallationResult, since
 * whoever loaded the profile knows it. The signature is over the whole.
 */
#ifndef IFPP_COMPACT_H
#define IFPP_COMPACT_H

#include "euicc.h"
#include "package.h"

#define IFPP_TAG_COMPACT_PIR 0xA0	/* in the list of RetrieveNotificationsList */

/**
 * struct IfppCompactPir - CompactProfileInstallationResult, taken apart
 * @transaction_id: of the BPP
 * @seq: value of seqNumber
 * @with_iccid: the whole one has an ICCID
 * @aid: bytes 14 and 15 of the ISD-P's AID; empty: a failure
 * @sima: value of simaResponse, empty: the usual one of a success
 * @failure: value of errorResult
 * @signature: euiccSignPIR, 64 bytes
 */
typedef struct {
	IfppSpan transaction_id;
	IfppSpan seq;
	gboolean with_iccid;
	IfppSpan aid;
	IfppSpan sima;
	IfppSpan failure;
	IfppSpan signature;
} IfppCompactPir;

/**
 * ifpp_compact_pir_parse() - take one apart
 * @in: the A0 TLV; must outlive @out
 * @out: filled
 * @error: IFPP_ERROR_PIR
 */
gboolean ifpp_compact_pir_parse(IfppSpan in, IfppCompactPir *out, GError **error);
gboolean ifpp_compact_pir_seq(const IfppCompactPir *compact, guint64 *seq);

/* What such a result leaves out of the load of @package: 06 smdpOid, 5A ICCID, 0C address..., to be kept with the load. */
GBytes *ifpp_compact_facts(IfppPackage *package);

/**
 * ifpp_compact_pir_expand() - the ProfileInstallationResult that the chip has signed
 * @compact: what came
 * @facts: ifpp_compact_facts() of the load
 * @cert_euicc: verified certificate of the chip
 *
 * Return: the BF37 TLV, whose signature verifies; NULL: no such one does
 */
GBytes *ifpp_compact_pir_expand(const IfppCompactPir *compact, IfppSpan facts, IfppSpan cert_euicc);

#endif
