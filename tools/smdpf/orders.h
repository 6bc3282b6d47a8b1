/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Orders, as the ledger keeps them: what was asked for, which ICCIDs that are, whether it is cancelled. The ICCIDs
 * of a cancelled order that no key has are nobody's, until it is resumed or they are voided one by one.
 */
#ifndef SMDPF_ORDERS_H
#define SMDPF_ORDERS_H

#include "ledger.h"
#include "profile.h"

#define ORDER_UNKNOWN (-1)	/* class or number of ICCIDs of an order that an earlier version has sealed */

typedef struct {
	guint8 id[8];
	const char *name;	/* "" if it has none */
	const char *profile;	/* name of its first profile */
	int class;		/* ProfileClass, or ORDER_UNKNOWN */
	gint64 iccids;		/* how many; 0: of the built-in series, which has no end */
	gboolean cancelled;
	gint64 since, last;	/* ms since 1970, and number of the last event; 0: not known */
} Order;

/* Of the keys of an order. */
typedef struct {
	gint64 free;		/* ICCIDs that no key holds; ORDER_UNKNOWN */
	gint64 reserved, sealed, installed, failed;
	gint64 void_proof, void_word;
} OrderCounts;

/**
 * orders_open() - an order is about to be sealed: make it known, with its ICCIDs
 * @ledger: the ledger
 * @order: id, name, profile, class; iccids is how many there are at @iccids
 * @iccids: 10 bytes each; all zero: of a profile that cannot be read
 * @error: IFPP_ERROR_ORDER: it is cancelled; LEDGER, NO_SPACE
 */
gboolean orders_open(Ledger *ledger, const Order *order, const guint8 *iccids, GError **error);

/* Called for each; it lives until this returns. */
typedef gboolean (*OrderFunc)(const Order *order, gpointer user, GError **error);
gboolean orders_foreach(Ledger *ledger, OrderFunc func, gpointer user, GError **error);

/**
 * orders_find() - the order that a person means
 * @ledger: the ledger
 * @text: its name, or its id in 16 hex digits
 * @order: gets it; free its texts with orders_clear()
 * @error: IFPP_ERROR_USAGE: there is none, or several have that name
 */
gboolean orders_find(Ledger *ledger, const char *text, Order *order, GError **error);
void orders_clear(Order *order);

gboolean orders_count(Ledger *ledger, const Order *order, OrderCounts *counts, GError **error);

/* ICCIDs of an order that no key holds, in order, a page at a time. */
typedef gboolean (*OrderIccidFunc)(const guint8 iccid[10], gpointer user, GError **error);
gboolean orders_free_iccids(Ledger *ledger, const guint8 id[8], OrderIccidFunc func, gpointer user, GError **error);

/**
 * orders_cancel() - seal it no more, or again
 * @ledger: the ledger
 * @id: which
 * @cancel: FALSE: resume it
 * @reason: goes into the event
 * @changed: FALSE: it was so already
 * @error: IFPP_ERROR_LEDGER, NO_SPACE
 */
gboolean orders_cancel(Ledger *ledger, const guint8 id[8], gboolean cancel, const char *reason, gboolean *changed,
		       GError **error);

/* Take an ICCID out of the cancelled orders that keep it from others: how many kept it. */
gboolean orders_release(Ledger *ledger, const guint8 iccid[10], const char *who, const char *reason, gint64 *kept,
			GError **error);

/* ------------------------------------------------------------ in a transaction */

/* IFPP_ERROR_ORDER: it is cancelled. */
gboolean orders_check(Ledger *ledger, const guint8 id[8], GError **error);
/* Does a cancelled order keep this ICCID, which no key holds? */
gboolean orders_keep(Ledger *ledger, const guint8 iccid[10], gboolean *kept, GError **error);
/* The last event is about this order. */
gboolean orders_touch(Ledger *ledger, const guint8 id[8], GError **error);
/* What is known of an order that was adopted: that there is one. */
gboolean orders_insert(Ledger *ledger, const guint8 id[8], const char *name, GError **error);
gboolean orders_set_state(Ledger *ledger, const guint8 id[8], gboolean cancelled, GError **error);

#endif
