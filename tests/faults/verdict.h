/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold whatever went wrong: how the programs ended, what they left behind, what the outbox says. */
#ifndef VERDICT_H
#define VERDICT_H

#include "chipmem.h"
#include "station.h"

#define VERDICT_SANITIZER_EXIT 99

/* Programs of a sanitized build, this one's children, end with VERDICT_SANITIZER_EXIT when a sanitizer speaks. */
void verdict_sanitizers(void);

/* Each of these: NULL when all is well, else what is not. */

/* Nobody crashed, no sanitizer spoke, and every end is one that ifppd(8) knows. */
char *verdict_exits(Station *station);
/* No file in the state directory but those that ifppd(8) names; nothing begun, reserved or half written. */
char *verdict_files(Station *station);
/**
 * verdict_outbox() - the outbox against the chip
 * @station: with daemon and modem gone
 * @mem: its chip's memory
 * @first_seq: number of the first signed result
 * @package: the one that was loaded
 *
 * Everything that the chip signed is there once, byte for byte its own, with the status that it has, or in quarantine.
 * Only what names another package may be left in the chip.
 */
char *verdict_outbox(Station *station, IfppChipMem *mem, guint64 first_seq, GBytes *package);

#endif
