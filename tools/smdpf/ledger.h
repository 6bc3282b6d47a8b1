/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One one-time key binds one profile, ever: who took which key for what.
 *
 * A database (tools/db): in DIR/ledger.db, or on a server that several hosts share. Its constraints keep the
 * promise: a key id is there once, an ICCID is held by one key, or by test profiles only. What was bound and
 * what became of it is said again by events, which only grow and are chained by SHA-256 (chain.h).
 *
 * A reservation belongs to a run, and is no event: a run that died has released nothing. A run lives while it
 * holds the lock on DIR/run/RUN; one of another machine, until its lease ends. Whoever is taken for dead and is
 * not, finds in ledger_bind() that its reservations are gone.
 */
#ifndef SMDPF_LEDGER_H
#define SMDPF_LEDGER_H

#include "db.h"
#include "home.h"

typedef enum {
	LEDGER_RESERVED,
	LEDGER_BOUND,
	LEDGER_INSTALLED,
	LEDGER_FAILED,
	LEDGER_VOID,
} LedgerState;

/* Why an entry is VOID */
typedef enum {
	LEDGER_VOID_WORD,	/* somebody said so */
	LEDGER_VOID_PROOF,	/* its chip cannot load it any more, and has not */
	LEDGER_VOID_DELETED,	/* its chip has deleted it in the factory */
} LedgerVoid;

typedef enum {
	LEDGER_FREE,		/* the ICCID may be sealed again */
	LEDGER_HELD,		/* it belongs to this key alone */
	LEDGER_HELD_TEST,	/* and to other chips' test profiles */
} LedgerHold;

typedef struct {
	guint8 key_id[32];
	guint8 eid[16];
	guint8 iccid[10];	/* all zero: not known, the entry was adopted from a package */
	guint8 transaction[16];
	guint8 order[8];	/* which order it fulfils: the same order twice is the same packages */
	guint8 run[8];		/* RESERVED: whose */
	guint8 state;		/* LedgerState */
	guint8 hold;		/* LedgerHold */
	guint8 reason;		/* FAILED: errorReason; VOID: LedgerVoid; INSTALLED: 1 although it was void */
	guint8 sha256[32];	/* of the package, once bound */
	const char *profile;	/* its name, once bound; "" if none */
} LedgerEntry;

/* The end of the chain of events. */
typedef struct {
	gint64 seq;		/* 0: no event yet */
	gint64 bound;		/* keys that were ever bound */
	guint8 hash[32];
} LedgerHead;

typedef struct {
	Db *db;
	const Home *home;
	char *runs;		/* DIR/run */
	char *run_dir;		/* DIR/run/RUN, or NULL */
	char *run_name;
	guint8 run[8];
	int run_fd;
	LedgerHead head;	/* after the last ledger_bind(), ledger_result() or ledger_look() */
} Ledger;

/**
 * ledger_create() - make the tables where there are none
 * @home: says where
 * @error: IFPP_ERROR_LEDGER, ACCESS, NO_SPACE
 */
gboolean ledger_create(const Home *home, GError **error);

/**
 * ledger_open() - open the ledger of a home, and look whether its end is sound
 * @home: the home
 * @error: IFPP_ERROR_LEDGER: not there, damaged, edited, or of another version
 */
Ledger *ledger_open(const Home *home, GError **error);
/* Without the look, for those who repair it. */
Ledger *ledger_open_unchecked(const Home *home, gboolean create, GError **error);
void ledger_free(Ledger *ledger);
/* Bring a database of a version before to this one; *done: it was such a one. */
gboolean ledger_upgrade(const Home *home, gboolean *done, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ledger, ledger_free)

/* Is it a file that is no database any more? Everything else may pass by itself. */
gboolean ledger_is_damaged(const Home *home);

/* What the database says, as an error of ours: IFPP_ERROR_NO_SPACE, DATABASE: it is away or busy, or LEDGER. Returns FALSE. */
gboolean ledger_error(const Home *home, GError *db_error, GError **error);

/**
 * ledger_transaction() - run @body; see db_transaction(): it may run several times
 * @error: IFPP_ERROR_LEDGER, NO_SPACE, or what @body set
 */
gboolean ledger_transaction(Ledger *ledger, DbBody body, gpointer user, GError **error);

/* ------------------------------------------------------------ runs */

/* Become one who may reserve; release what the dead had. Ends with the ledger. */
gboolean ledger_start_run(Ledger *ledger, GError **error);
/* Say that this run lives; in a transaction of its own. Needed once in LEDGER_LEASE seconds at least. */
gboolean ledger_renew(Ledger *ledger, GError **error);
#define LEDGER_LEASE 300
/* Is this the name of a process that may still be at work? */
gboolean ledger_run_alive(Ledger *ledger, const char *name);

/* ------------------------------------------------------------ in a transaction */

/* Called for each entry; it lives until this returns. FALSE with @error set ends the walk. */
typedef gboolean (*LedgerFunc)(const LedgerEntry *entry, gpointer user, GError **error);

/* Entry of a key: *found tells whether there is one; entry->profile is not set. */
gboolean ledger_find(Ledger *ledger, const guint8 key_id[32], LedgerEntry *entry, gboolean *found, GError **error);
gboolean ledger_chip(Ledger *ledger, const guint8 eid[16], LedgerFunc func, gpointer user, GError **error);
/* Of those who hold this ICCID, the one that keeps @eid from having it too, if there is one. */
gboolean ledger_holder(Ledger *ledger, const guint8 iccid[10], const guint8 eid[16], gboolean test,
		       LedgerEntry *entry, gboolean *found, GError **error);
/**
 * ledger_freed() - may an ICCID without a holder be given again?
 * @iccid: which; ledger_holder() finds none
 * @holder: who has it all the same: one that had to give it up and is loaded, or is out
 * @held: whether there is such a one
 * @error: IFPP_ERROR_LEDGER: an entry says that it is free, and no event does
 */
gboolean ledger_freed(Ledger *ledger, const guint8 iccid[10], LedgerEntry *holder, gboolean *held, GError **error);
/**
 * ledger_sole() - may this package leave, as far as its ICCID goes?
 * @entry: a bound one
 * @error: IFPP_ERROR_SECOND: another key's package has the ICCID too and may be loaded, as ledger adopt has found
 */
gboolean ledger_sole(Ledger *ledger, const LedgerEntry *entry, GError **error);
gboolean ledger_reserve(Ledger *ledger, const LedgerEntry *entry, GError **error);
/* Give back what this run has reserved and not bound. */
gboolean ledger_release(Ledger *ledger, GError **error);
/* Grows with every call, never repeats. */
gboolean ledger_serial(Ledger *ledger, gint64 *serial, GError **error);
/* Release reservations of runs that are dead. */
gboolean ledger_bury_dead(Ledger *ledger, GError **error);

/* ------------------------------------------------------------ a transaction each */

/**
 * ledger_bind() - the packages of these entries are in the home; from now on they may leave it
 * @entries: reserved by this run; with sha256 and profile
 * @n: their number
 * @error: IFPP_ERROR_KEY_BOUND: a reservation was lost, none is bound; LEDGER, NO_SPACE
 */
gboolean ledger_bind(Ledger *ledger, LedgerEntry *const *entries, guint n, GError **error);

typedef struct {
	guint8 key_id[32];
	guint8 order[8];
	guint8 reason;		/* 0: installed */
	gboolean late;		/* and was void until now */
	gboolean deleted;	/* and deleted since, in the factory */
	guint8 record[32];	/* if so: SHA-256 of the chip's record */
} LedgerResult;

/* What chips prove. A failed load sets the ICCID free, as does a deletion. A key that has its result keeps it. */
gboolean ledger_result(Ledger *ledger, const LedgerResult *results, guint n, GError **error);

/* The line of the event, and of the journal, that tells of a deletion. */
void ledger_deleted_line(GString *text, const LedgerResult *result);
/* What the third word of such a line means. */
LedgerVoid ledger_void_reason(const char *word);

/* ------------------------------------------------------------ looking */

/* Every bound key, or those of one order (NULL: all), in order of key ids; a page at a time. */
gboolean ledger_foreach(Ledger *ledger, const guint8 *order, LedgerFunc func, gpointer user, GError **error);
/* Orders of that name; called with entry->order and entry->profile as the name. NULL: all. */
gboolean ledger_orders(Ledger *ledger, const char *name, LedgerFunc func, gpointer user, GError **error);
/* How many of an order (NULL: all) are in this state. */
gboolean ledger_count(Ledger *ledger, const guint8 *order, LedgerState state, gint64 *count, GError **error);
/* Read the head anew. */
gboolean ledger_look(Ledger *ledger, GError **error);

#endif
