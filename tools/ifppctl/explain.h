/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the driver, the daemon and the chip answer, in words: what is wrong and what to do next. */
#ifndef IFPPCTL_EXPLAIN_H
#define IFPPCTL_EXPLAIN_H

#include <attempt.h>
#include <error.h>
#include <linux/ifpp.h>

/* Errors whose message is complete, with its next step in it; the code is the IfppExit. */
#define CTL_ERROR ctl_error_quark()
GQuark ctl_error_quark(void);

/**
 * ctl_set_errno() - explain an errno of the driver
 * @error: set to CTL_ERROR
 * @err: positive errno
 * @thing: what it happened to: a file or a node
 */
void ctl_set_errno(GError **error, int err, const char *thing);

/* Explain a load that ended with a status other than 0; @spent: what the chip says of its key. */
void ctl_set_result(GError **error, gint32 status, guint32 reason, IfppSpent spent, const char *thing);

/* Is this errno about the device, so that the next package would meet it too? */
gboolean ctl_errno_is_final(int err);

/* Print one line on standard error; returns the exit code. */
int ctl_error_exit(const GError *error);

/* Mask EIDs in errors from here on, as in everything else that goes to a log. */
void ctl_error_mask(gboolean on);

#endif
