/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first thing that is done with a chip. */
#ifndef IFPPD_START_H
#define IFPPD_START_H

#include "chip.h"

/**
 * start_async() - get to know the chip
 * @chip: its modem is open
 *
 * EID and full export, verified against the CI roots; results that a predecessor did not fetch go to the outbox. A lock
 * that this station began and has no receipt of is signed again. Nothing else is done to a chip here: its word that it
 * is locked is not signed.
 *
 * Errors: NO_EUICC: no ISD-R, or one that does not speak the codec
 */
void start_async(Chip *chip, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
gboolean start_finish(GAsyncResult *res, GError **error);

#endif
