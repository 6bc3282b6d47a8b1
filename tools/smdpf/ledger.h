/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One one-time key binds one profile, ever: who took which key for what.
 *
 * A text file that only grows, a line per event, every change under an exclusive
 * flock and on the disk before its effect:
 *
 *   reserve KEYID EID ICCID ORDER TRANSACTION RUN	before sealing
 *   bound KEYID SHA256 [PROFILE]			before the package leaves the home
 *   installed KEYID / failed KEYID REASON		proven by the chip's signed result
 *   order ORDER NAME					what people call an order
 *
 * PROFILE and NAME are escaped as in a URI.
 * A reservation whose process died without binding never left the home: the key is
 * free again. A process lives while it holds the lock in DIR/run/RUN.
 */
#ifndef SMDPF_LEDGER_H
#define SMDPF_LEDGER_H

#include "home.h"

typedef enum {
	LEDGER_RESERVED,
	LEDGER_BOUND,
	LEDGER_INSTALLED,
	LEDGER_FAILED,
} LedgerState;

typedef struct _LedgerEntry LedgerEntry;
struct _LedgerEntry {
	guint8 key_id[32];
	guint8 eid[16];
	guint8 iccid[10];
	guint8 transaction[16];
	guint8 order[8];	/* which order it fulfils: the same order twice is the same packages */
	guint8 run[8];
	guint8 state;
	guint8 reason;		/* FAILED: errorReason */
	guint8 sha256[32];	/* of the package, once bound */
	const char *profile;	/* its name, once bound; may be NULL */
	LedgerEntry *next;	/* of the same chip */
};

typedef struct _Ledger Ledger;

/**
 * ledger_open() - read the ledger of a home
 * @home: the home
 * @error: IFPP_ERROR_IO, ACCESS; a damaged ledger is refused
 */
Ledger *ledger_open(const Home *home, GError **error);
void ledger_free(Ledger *ledger);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ledger, ledger_free)

/* Directory of this process in DIR/run, on the home's file system; goes away with the ledger. */
const char *ledger_run_dir(Ledger *ledger);
const char *ledger_run_name(Ledger *ledger);
/* Is this the name of a process that may still be at work? Only while locked. */
gboolean ledger_run_alive(Ledger *ledger, const char *run);

/* Take the lock and learn what other processes wrote; wait for it if need be. */
gboolean ledger_lock(Ledger *ledger, GError **error);
void ledger_unlock(Ledger *ledger);

/* While locked; lines go to the disk with ledger_commit(), and count only then. */
void ledger_reserve(Ledger *ledger, const LedgerEntry *entry);
void ledger_bind(Ledger *ledger, const guint8 key_id[32], GBytes *package, const char *profile);
void ledger_name_order(Ledger *ledger, const guint8 order[8], const char *name);
void ledger_result(Ledger *ledger, const guint8 key_id[32], guint reason);
gboolean ledger_commit(Ledger *ledger, GError **error);

/* NULL for an order without a name. */
const char *ledger_order_name(Ledger *ledger, const guint8 order[8]);

/* NULL when the key is free: never seen, or reserved by a process that died. */
LedgerEntry *ledger_find(Ledger *ledger, const guint8 key_id[32]);
/* First entry of a chip; follow next. Skip those that ledger_find() does not return. */
LedgerEntry *ledger_chip(Ledger *ledger, const guint8 eid[16]);
/* An entry that keeps this ICCID from being sealed again, or NULL: a failed load sets it free. */
LedgerEntry *ledger_iccid(Ledger *ledger, const guint8 iccid[10]);
/* Grows with every reservation, never repeats. */
guint64 ledger_serial(Ledger *ledger);
void ledger_foreach(Ledger *ledger, void (*func)(LedgerEntry *entry, gpointer user), gpointer user);

#endif
