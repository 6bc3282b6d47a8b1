/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ifpp-smdpf order: what people see of orders and do to them. */
#ifndef SMDPF_ORDER_H
#define SMDPF_ORDER_H

#include "home.h"

/* A line for each order, oldest first. */
gboolean order_list(const Home *home, gboolean json, GError **error);

/* A line for each key that it has bound, then one for each ICCID that is free; memory does not grow with them. */
gboolean order_show(const Home *home, const char *text, gboolean json, GError **error);

/**
 * order_cancel() - seal an order no more, or again
 * @home: the home
 * @text: the order's name or id
 * @cancel: FALSE: resume it
 * @reason: of one line
 * @yes: do not ask
 * @error: IFPP_ERROR_USAGE: there is no such order, or nobody said yes; LEDGER
 *
 * What was sealed stays as it is, and the ICCIDs of a cancelled order that are free stay out of use.
 */
gboolean order_cancel(const Home *home, const char *text, gboolean cancel, const char *reason, gboolean yes,
		      GError **error);

/* Ask on the terminal; without one, or if the answer is not yes, IFPP_ERROR_USAGE. */
gboolean order_confirm(const char *what, gboolean yes, GError **error);

#endif
