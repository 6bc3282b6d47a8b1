/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One package through the driver to the chip, with every wait that this can need. */
#ifndef IFPPCTL_LOAD_H
#define IFPPCTL_LOAD_H

#include "ctl.h"
#include "outbox.h"

typedef enum {
	CTL_INSTALLED,		/* just now */
	CTL_DONE,		/* earlier, its result is in the outbox */
	CTL_REFUSED,		/* before the chip saw it; the key is as it was */
	CTL_FAILED,		/* chip, modem or driver */
} CtlOutcome;

typedef struct {
	CtlOutcome outcome;
	int err;			/* positive errno, 0 when installed or done */
	struct ifpp_result result;	/* zero unless the load got as far as the daemon */
	IfppAttempt *stored;		/* from the outbox, for DONE */
	GError *error;			/* for REFUSED and FAILED */
} CtlLoad;

void ctl_load_clear(CtlLoad *load);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlLoad, ctl_load_clear)

/**
 * ctl_load() - load one package and wait for its result
 * @ctl: for progress
 * @chip: where to
 * @path: of the file, for messages
 * @file: the package
 * @header: its header
 * @load: what became of it
 *
 * Waits, bounded, while another package is being loaded and while the fate of its key
 * is unknown; a load that began is waited for until the driver ends it.
 */
void ctl_load(Ctl *ctl, CtlChip *chip, const char *path, GBytes *file, const IfppHeader *header, CtlLoad *load);

/* What the outbox knows of a key that the chip will not take again; FALSE if nothing. */
gboolean ctl_load_lookup(const char *outbox, CtlChip *chip, const char *path, const IfppHeader *header,
			 CtlLoad *load);

/* Tell the outcome: a line, or an object of type "package"; errors also on standard error. */
int ctl_load_tell(Ctl *ctl, CtlChip *chip, const char *path, const IfppHeader *header, const CtlLoad *load);

/* State of one key as the driver knows it; -1: not one of its keys, or no answer. */
int ctl_key_state(CtlChip *chip, const guint8 key_id[32]);

#endif
