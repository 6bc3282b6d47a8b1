/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results wait in the outbox until whoever wants them has them, then go there exactly once. */
#ifndef IFPPCTL_DELIVER_H
#define IFPPCTL_DELIVER_H

#include "ctl.h"
#include "depot.h"

typedef struct {
	guint delivered, before, unknown, refused, waiting;
	guint deleted;		/* packages */
} CtlDelivered;

/**
 * ctl_deliver() - bring what is in the outbox to a depot, or into a directory for one
 * @ctl: tells what is refused
 * @outbox: the daemon's results; a file *.delivered beside each notes where it is already
 * @to: https://HOST:PORT or a directory
 * @cache: where packages of the depot are kept: each is deleted as soon as the depot has confirmed what the
 *	chip signed about it; NULL: all stay
 * @keys: for HTTPS
 * @counts: filled
 * @error: the first thing that keeps results waiting; CTL_ERROR, IFPP_ERROR_*
 *
 * What was delivered and has not changed is not sent again. The depot itself takes the same result
 * once only, so that nothing is lost or doubled when the note could not be written.
 */
gboolean ctl_deliver(Ctl *ctl, const char *outbox, const char *to, const char *cache, const CtlDepotKeys *keys,
		     CtlDelivered *counts, GError **error);

#endif
