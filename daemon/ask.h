/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The common ground of all jobs: over a fresh channel, who are you, what do you have, what have you signed.
 * After any error the chip is asked before the job ends.
 */
#ifndef IFPPD_ASK_H
#define IFPPD_ASK_H

#include "result.h"

/**
 * ask_async() - ask the chip, up to three times
 * @chip: its modem is open
 * @meet: the first time: EID and full export, verified against the CI roots; the outbox is opened
 * @claim: of a load, or NULL; not copied
 * @deadline: monotonic microseconds
 * @cancellable: of the job
 * @cb: called with a NULL source
 * @user: for @cb
 *
 * Results of ours are stored, then removed from the chip. Nothing else is removed, and no result stops anything: one of a
 * load that is not ours stays, one that cannot be read or proven is kept in quarantine as well. What could not be
 * stored stays in the chip, and chip->disk says why.
 */
void ask_async(Chip *chip, gboolean meet, const AskClaim *claim, gint64 deadline, GCancellable *cancellable,
	       GAsyncReadyCallback cb, gpointer user);
/* NO_EUICC: no ISD-R, or one that does not speak the codec; else why the chip cannot be asked */
gboolean ask_finish(GAsyncResult *res, GError **error);

#endif
