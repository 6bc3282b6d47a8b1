/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locking one chip: the last thing done to it in a factory. */
#ifndef IFPPCTL_LOCK_H
#define IFPPCTL_LOCK_H

#include "ctl.h"
#include "outbox.h"

/**
 * ctl_lock() - lock a chip for life, or finish an interrupted lock
 * @ctl: tells the outcome
 * @chip: which
 * @outbox: where the daemon keeps the receipt
 * @error: CTL_ERROR, IFPP_ERROR_RECEIPT
 *
 * The daemon has verified the chip's signature before the driver believes it; here we only
 * see that the receipt answers our challenge and names this chip.
 */
gboolean ctl_lock(Ctl *ctl, CtlChip *chip, const char *outbox, GError **error);

/* There is no way back, so nobody need be asked. That a chip only says that it is locked, without @proof, is not enough. */
gboolean ctl_lock_has_begun(guint32 state, const CtlReceipt *proof);

/* Lock this machine, and wait until every attached chip is locked; IfppExit, or anything with @error set. */
int ctl_lock_host(Ctl *ctl, GError **error);

#endif
