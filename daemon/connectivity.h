/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EUICCF05: a profile that was just loaded is enabled for a bounded time, while one-time keys are left. */
#ifndef IFPPD_CONNECTIVITY_H
#define IFPPD_CONNECTIVITY_H

#include "chip.h"

/**
 * connectivity_wanted() - shall this chip's profile be tested, and can it be?
 * @chip: met; its report is of after the load
 *
 * What the policy wants and the chip cannot do is told in the log.
 *
 * Return: seconds; 0: no test
 */
guint connectivity_wanted(Chip *chip);

/**
 * connectivity_test_async() - enable a profile for a test, wait, and have the chip end it
 * @chip: its modem is open, without a logical channel
 * @iccid: of the profile, 10 bytes
 * @seconds: how long; the chip counts by itself as well
 * @deadline: monotonic microseconds; the test is over before
 * @cancellable: ends the wait, and the test with it
 * @cb: called with a NULL source
 * @user: for @cb
 *
 * Never fails: the load is over and its result is stored. The log says what could not be done. The chip writes nothing of a
 * test: without power, or once its time is up, it is as the load has left it.
 */
void connectivity_test_async(Chip *chip, const guint8 iccid[10], guint seconds, gint64 deadline, GCancellable *cancellable,
			     GAsyncReadyCallback cb, gpointer user);
void connectivity_test_finish(GAsyncResult *res);

#endif
