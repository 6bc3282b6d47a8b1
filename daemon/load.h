/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a load needs before the first byte goes to the chip. */
#ifndef IFPPD_LOAD_H
#define IFPPD_LOAD_H

#include "ask.h"
#include "package.h"

/**
 * load_check() - may this package be loaded
 * @chip: met
 * @file: the sealed package
 * @claim: filled if the package is genuine, for this chip, and its key is not offered: it cannot be loaded, but if
 *	another station has done so its result may still be in the chip
 * @error: LOCKED, SPENT_KEY, UNKNOWN_KEY, and those of verify_package()
 *
 * Roots and CRLs are looked at anew for each package.
 */
IfppPackage *load_check(Chip *chip, GBytes *file, AskClaim *claim, GError **error);

/* Note the load, and take the space of its result: of outbox_begin(). The caller has a reference. */
IfppAttempt *load_reserve(Chip *chip, IfppPackage *package, GError **error);

/* What is true of a claim for which the chip has no result: SPENT_KEY. */
GError *load_gone_error(void);

/**
 * load_note_refusal() - for the report: a package was not loaded, and why (ESBPP03)
 * @chip: met
 * @file: the package
 * @attempt: of it, or NULL: refused before there was one
 * @cause: why
 *
 * Not while the chip may still say how the load has ended. That it cannot be noted is told in the log.
 */
void load_note_refusal(Chip *chip, GBytes *file, IfppAttempt *attempt, const GError *cause);

#endif
