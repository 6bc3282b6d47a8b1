/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the ledger keeps beside its promise: for whom an order is, and what a report told of the unit that a
 * chip is in. The operator is the service provider's name that is in an order's profiles (seal --spn).
 */
#ifndef SMDPF_TOLD_H
#define SMDPF_TOLD_H

#include "json.h"
#include "ledger.h"

/**
 * told_operator() - for whom an order is; its first word stays
 * @ledger: in no transaction
 * @order: its id
 * @name: the service provider's
 * @error: IFPP_ERROR_LEDGER, NO_SPACE
 */
gboolean told_operator(Ledger *ledger, const guint8 order[8], const char *name, GError **error);

/**
 * told_adopt() - say again, after a new beginning of the chain, for whom the orders are
 * @ledger: in a transaction
 * @dropped: of how many orders no event says it as their entries do. These are removed: another operator is told
 *	nothing of them, and the next seal of such an order says it again
 * @error: IFPP_ERROR_LEDGER, NO_SPACE
 */
gboolean told_adopt(Ledger *ledger, guint *dropped, GError **error);

/* A result that was verified, and the factory's word on the unit. */
typedef struct {
	guint8 key_id[32];
	guint8 result[32];	/* SHA-256 of what the chip has signed */
	char *unit;		/* as ifpp_unit_write() has it */
} Told;

void told_clear(gpointer told);

/* Keep them; of one that is there already, what is told of its unit now. */
gboolean told_results(Ledger *ledger, const Told *told, guint n, GError **error);

/* What a factory says of a package that it has not loaded: its word, by which nothing changes. */
typedef struct {
	guint8 key_id[32];
	guint reason;		/* why a station refused it; 0: it lies there */
} ToldUnloaded;

/* Keep the reasons; of a package that lies there by now, forget them. */
gboolean told_unloaded(Ledger *ledger, const ToldUnloaded *unloaded, guint n, GError **error);

/* A package, and all that is known of it. What it points to lives until the callback returns. */
typedef struct {
	guint8 key_id[32], eid[16], iccid[10];
	guint state;			/* LedgerState */
	guint reason;
	guint refused;			/* why a station did not load it, by the factory's word; 0: nobody said so */
	const char *profile, *order, *operator;
	gint64 at;			/* ms, when its result was verified; 0: not yet, or before this was kept */
	const guint8 *result;		/* 32 bytes, or NULL */
	IfppUnit unit;
} ToldRow;

/* One line. In no statement of the database: the caller may take its time. */
typedef gboolean (*ToldFunc)(const ToldRow *row, gpointer user, GError **error);

/**
 * told_walk() - the packages of one operator, in order of their orders and keys, a page at a time
 * @ledger: in no transaction
 * @operator: whose, or NULL: whoever's the order is
 * @order: the order's name, or NULL: all of the operator's
 * @func: called for each
 * @user: for @func
 * @error: IFPP_ERROR_USAGE: there is none, or orders of that name are of several operators; LEDGER
 */
gboolean told_walk(Ledger *ledger, const char *operator, const char *order, ToldFunc func, gpointer user, GError **error);

#endif
