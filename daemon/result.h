/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a chip's list has of loads: each signed result is brought to the attempt that it ends. */
#ifndef IFPPD_RESULT_H
#define IFPPD_RESULT_H

#include "chip.h"

/**
 * struct AskClaim - a package whose key the chip does not offer: another station may have loaded it
 * @key_id: of the package
 * @transaction: of its BPP; a result with it is ours
 * @profile_class: of its profile
 * @facts: what a compact result of it leaves out
 */
typedef struct {
	guint8 key_id[IFPP_KEY_ID_LEN];
	GBytes *transaction;
	guint profile_class;
	GBytes *facts;
} AskClaim;

/**
 * result_take() - a result out of the chip's list
 * @chip: met
 * @claim: of a load, or NULL
 * @bytes: ProfileInstallationResult, or the compact form of an IoT eUICC
 * @remove: its number is appended (guint64) if the chip may forget it
 * @stored: made FALSE if it is ours and is not on disk; chip->disk says why
 * @error: PIR, PIR_SIGNATURE, TLV: it cannot be read or proven
 */
gboolean result_take(Chip *chip, const AskClaim *claim, GBytes *bytes, GArray *remove, gboolean *stored, GError **error);

#endif
