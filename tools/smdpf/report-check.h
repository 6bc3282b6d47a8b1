/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report that is being verified: what the files of it share. */
#ifndef SMDPF_REPORT_CHECK_H
#define SMDPF_REPORT_CHECK_H

#include "db.h"
#include "ledger.h"
#include "unit.h"

typedef enum {
	INSTALLED,	/* proven */
	DELETED,	/* proven: installed, and deleted again in the factory; its ICCID is free */
	FAILED,		/* proven: the chip says why, and its key is spent */
	REFUSED,	/* proven: the chip says why, before it spent the key; the package can be loaded again */
	NOT_LOADED,	/* the factory says so, nothing signed */
	UNKNOWN,	/* it may be installed: the chip spent its key, or one that nobody told of, without a result */
	FOREIGN,	/* a key this Key Maker never bound */
	DUPLICATE,	/* a second result for one key */
	FORGED,		/* does not verify */
	CLONE,		/* proven, and the ledger binds this key or ICCID to another chip */
	MISSING,	/* sealed, but the report does not mention it */
	N_OUTCOMES,
} Outcome;

typedef struct {
	Home *home;
	Ledger *ledger;
	gboolean json;
	Db *seen;		/* key ids in this report */
	char last[33];		/* EID of the unit before */
	/* of the unit at hand; a key is of one chip */
	GHashTable *reported;	/* key ids seen */
	GHashTable *attempts;	/* key id and result of each attempt */
	GHashTable *ended;	/* key ids whose attempts have ended: installed or failed */
	GHashTable *refused;	/* key ids that were refused, and not ended by a later attempt */
	guint counts[N_OUTCOMES];
	guint units, unseen, bad_units, locked, bad_locks;
	GHashTable *orders;	/* ids of the orders that these keys belong to, in hex */
	const char *order;	/* name of the only order to account for, or NULL */
	GArray *proven;		/* LedgerResult, on their way into the ledger */
	GArray *told;		/* Told, likewise */
	GArray *unloaded;	/* ToldUnloaded, likewise */
	GError *error;		/* of the ledger: nothing more is told after it */
	IfppUnit identity;	/* of the unit that is being told, by the factory's word */
	guint results, packages, pending, refusals, deletions, bad_totals;
	guint n_refused;	/* in all, of @refused */
	guint short_units;	/* whose receipts say more spent keys than there are results */
	guint sealed, earlier;	/* in the ledger; of them proven by another report than this */
	guint voided;		/* and void, without a result here */
} Check;

/* report-tell.c. One line for a package, whatever became of it. @entry: of its key, or NULL; @why: or NULL */
void check_tell(Check *check, Outcome outcome, const char *eid, const char *key_id, const LedgerEntry *entry, const char *why);
/* One line for a chip, if there is something to tell. @lock: "none", "proven", "forged", "short", "unseen" or "unproven" */
void check_tell_unit(Check *check, const char *eid, const char *lock, const char *why);
/* The last lines: how many of each. */
void check_tell_end(Check *check);

/* report-ledger.c. The entry of a key that was bound, NULL: there is none. Its order is one that this report is about. */
const LedgerEntry *check_find(Check *check, const guint8 key_id[32], LedgerEntry *entry);
/* The report names this key. FALSE: it has in this unit before. */
gboolean check_report_key(Check *check, const guint8 key_id[32], const char *key_hex);
/* Of a result, on its way into the ledger. @reason: 0: installed */
void check_take_proven(Check *check, const LedgerEntry *entry, guint reason);
/* The chip's own record says that what it installed is gone since: its ICCID is free. */
void check_take_deleted(Check *check, const LedgerEntry *entry, const IfppDeletion *deletion);
/* For the operator's extract: what proves it, and the factory's word on the unit; or why it was not loaded. */
void check_keep_told(Check *check, const guint8 key_id[32], GBytes *pir);
void check_keep_unloaded(Check *check, const guint8 key_id[32], guint reason);
/* All of that goes into the ledger. FALSE: check->error is set. */
gboolean check_flush(Check *check);

/* report-unit.c. A unit of the report, or what stands in its place: an IfppReportUnit with a Check. */
gboolean check_unit(JsonObject *object, const char *wrong, gpointer check, GError **error);

#endif
