/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The warehouse of sealed packages: which there are, who has them, what became of them.
 *
 *   free -> reserved (a station has claimed its chip, until the lease ends)
 *        -> sent (that station has fetched it) -> installed | failed | burnt
 *
 * A claim is for a chip: all its packages, or none while another station's lease runs. Every step is
 * a line of the history, which only grows. Only what the chip has signed ends a package, or the
 * operator of the depot; what a station says without that is a doubt and changes nothing.
 *
 * Nothing in here is secret: packages are sealed, results are signed, keys are public.
 */
#ifndef IFPP_DEPOT_H
#define IFPP_DEPOT_H

#include <bundle.h>
#include <unit.h>

#include "db.h"

#define DEPOT_STATION_MAX 64
#define DEPOT_LEASE_MAX (7 * 24 * 3600)		/* seconds */
#define DEPOT_RECORD_MAX (64 * 1024)		/* bytes of a result's record */
#define DEPOT_EUICC_DATA_MAX (256 * 1024)

typedef enum {
	DEPOT_FREE,
	DEPOT_RESERVED,
	DEPOT_SENT,
	DEPOT_INSTALLED,	/* the chip has signed so */
	DEPOT_FAILED,		/* the chip has signed why not; its key is spent */
	DEPOT_BURNT,		/* the operator says so: unit or key are lost */
	DEPOT_N_STATES
} DepotState;

/* How far a delivery is; numbers of the table "delivery". */
enum { DEPOT_DELIVERY_BEGUN, DEPOT_DELIVERY_DONE, DEPOT_DELIVERY_CONFLICT, DEPOT_DELIVERY_REJECTED };

extern const char *const depot_state_names[DEPOT_N_STATES];
gboolean depot_state_parse(const char *name, DepotState *state);

typedef struct {
	guint8 eid[16], key_id[32], sha256[32];
	gint64 bytes;
	char iccid[21];
	char *profile, *operator, *batch;
	DepotState state;
	char *station;		/* who has it, or had it last; NULL: nobody yet */
	gint64 lease;		/* until, Unix time in ms */
	gint64 changed;
} DepotItem;

void depot_item_free(DepotItem *item);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DepotItem, depot_item_free)

typedef struct {
	Db *db;
} Depot;

/**
 * depot_open() - open a depot
 * @url: as for db_open()
 * @create: make file and tables if they are not there
 * @error: DB_ERROR_FAILED
 */
Depot *depot_open(const char *url, gboolean create, GError **error);
void depot_close(Depot *depot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Depot, depot_close)

/**
 * depot_wait() - sit out a restart of the database
 * @depot: the depot
 * @seconds: how long a change waits for a server that has gone away; 0, as at first: not at all
 * @waiting: called when such a wait begins, or NULL
 */
void depot_wait(Depot *depot, guint seconds, void (*waiting)(const char *why));

/**
 * depot_limit() - give up what others do not let us have
 * @depot: the depot
 * @ms: how long a statement waits for a lock, and how long a transaction is tried again; 0: no limit
 * @error: DB_ERROR_FAILED
 */
gboolean depot_limit(Depot *depot, guint ms, GError **error);

/* A-Z a-z 0-9 . _ - and no other, 1 to DEPOT_STATION_MAX. */
gboolean depot_station_valid(const char *name);

/**
 * depot_add() - some packages of a delivery, in one transaction
 * @depot: the depot
 * @delivery: SHA-256 of the inventory that tells them
 * @items: what they are; state and station are not looked at
 * @packages: their bytes
 * @n: how many
 * @added: plus those that were not there yet
 * @error: DEPOT_ERROR_CONFLICT: another package for the same key is there; then none is added
 */
gboolean depot_add(Depot *depot, const guint8 delivery[32], DepotItem *const *items, GBytes *const *packages, guint n,
		   guint *added, GError **error);
/* Note a delivery before its packages and, @done, after them; *done: it was imported whole before. */
gboolean depot_delivery(Depot *depot, const guint8 id[32], const char *order, guint packages, gboolean *done,
			GError **error);
/* Its packages are for keys that others' are for already: so that status names it as what it is. */
gboolean depot_delivery_conflict(Depot *depot, const guint8 id[32], GError **error);

/**
 * depot_reject() - have nothing more to do with a delivery that is not here whole
 * @depot: the depot
 * @id: the first digits of its id, hexadecimal, as status shows them
 * @removed: packages of it that no station ever claimed, which are taken out
 * @burnt: the others that have not ended; what a chip signs of them still counts
 * @error: DEPOT_ERROR_UNKNOWN: none, or several, or it is complete; DB_ERROR
 */
gboolean depot_reject(Depot *depot, const char *id, guint *removed, guint *burnt, GError **error);

/**
 * struct DepotTake - a claim of a chip, or the first fetch of one of its packages
 * @fetch: FALSE: a claim
 * @eid: of the chip that is claimed
 * @key_id: of the package that is fetched
 * @station: who asks; a fetch needs its lease
 * @lease: seconds, of a claim
 * @until: set: end of the lease, Unix time in ms
 * @items: set: of DepotItem; what was claimed, or the package, which counts as sent from here on. Nothing
 *	claimed: unknown chip, nothing left, or another station has it; nobody can tell these apart
 * @error: set: DEPOT_ERROR_AUTHORITY, QUOTA, UNKNOWN: this one was refused; or NULL
 *
 * The same station that claims again gets the same packages and a new lease.
 */
typedef struct {
	gboolean fetch;
	guint8 eid[16], key_id[32];
	const char *station;
	guint lease;
	gint64 until;
	GPtrArray *items;
	GError *error;
} DepotTake;

void depot_take_clear(DepotTake *take);

/**
 * depot_take() - claims and first fetches of any stations, in one transaction
 * @depot: the depot
 * @takes: as if each came after the one before
 * @n: how many
 * @error: DB_ERROR: nothing was done for any of them
 *
 * TRUE: all are durable, but for those that have an error of their own.
 */
gboolean depot_take(Depot *depot, DepotTake *const *takes, guint n, GError **error);

/**
 * depot_claim() - everything that is to be loaded into one chip
 * @depot: the depot
 * @eid: of the chip
 * @station: who asks
 * @lease: seconds
 * @until: end of the lease, Unix time in ms
 * @error: DEPOT_ERROR_AUTHORITY, QUOTA, DB_ERROR
 *
 * Return: as DepotTake says of its items
 */
GPtrArray *depot_claim(Depot *depot, const guint8 eid[16], const char *station, guint lease, gint64 *until,
		       GError **error);
/**
 * depot_release() - end a lease early
 * @eid: of the chip
 * @station: whose lease; NULL: anybody's, for the operator of the depot
 * @released: packages that are free now
 */
gboolean depot_release(Depot *depot, const guint8 eid[16], const char *station, guint *released, GError **error);

/**
 * depot_fetch() - the bytes of a claimed package, which counts as sent from here on
 * @station: must have the lease
 * @error: DEPOT_ERROR_UNKNOWN, DB, BUSY
 */
GBytes *depot_fetch(Depot *depot, const guint8 key_id[32], const char *station, guint8 sha256[32], GError **error);
/* The same, if it was sent to this station before: that writes nothing. NULL without an error: it was not. */
GBytes *depot_fetch_again(Depot *depot, const guint8 key_id[32], const char *station, guint8 sha256[32], GError **error);

/* The bytes of any package, for the depot itself; NULL without an error: there is none. */
GBytes *depot_package(Depot *depot, const guint8 key_id[32], GError **error);

/**
 * struct DepotResult - what a station says became of a package
 * @record: the "result" object of the Profile Loading Report, as text. Two with the same PIR are the same: what a
 *	station writes beside it may change
 * @state: INSTALLED, FAILED or BURNT
 * @early: FAILED before the key was spent: an attempt that ends nothing, the package can be loaded again
 * @proven: the chip's own certificate proves it
 * @data_was_here: proven data of the chip was on record when it was looked at
 * @proof: "proven", or why it is not
 * @unit: as the record has it; the only thing of this that is owned
 */
typedef struct {
	guint8 eid[16], key_id[32];
	const char *record;
	DepotState state;
	gboolean early;
	gboolean proven;
	gboolean data_was_here;
	const char *proof;
	IfppUnit unit;
} DepotResult;

void depot_result_clear(DepotResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DepotResult, depot_result_clear)

/**
 * depot_put_result() - keep a result; the same twice is one
 * @depot: the depot
 * @station: who brings it; without proof it must have been sent the package
 * @result: checked by the caller
 * @stored: FALSE: it was there already
 * @now: state of the package after it
 * @error: DEPOT_ERROR_UNKNOWN, CONFLICT: something proven is on record, DB_ERROR
 *
 * What is proven ends the package, and the doubts about it. Of several proven attempts "installed"
 * counts, and each is kept. What is not proven is kept as a doubt; the same with another reason leaves
 * that reason.
 */
gboolean depot_put_result(Depot *depot, const char *station, const DepotResult *result, gboolean *stored,
			  DepotState *now, GError **error);

/* What a station says without a proof: it waits for the chip's data or for the operator. */
typedef struct {
	guint8 eid[16], key_id[32], sha256[32];	/* sha256: of the record */
	char *record, *station, *why;
	gboolean signed_by_chip;	/* or so it says */
	gint64 at;
} DepotDoubt;

/* Of one chip, or of all with @eid NULL, by key; after @after, at most @limit. Of DepotDoubt. */
GPtrArray *depot_doubts(Depot *depot, const guint8 *eid, const DepotDoubt *after, guint limit, GError **error);

/* What the depot keeps of a chip. */
typedef struct {
	guint8 eid[16];
	GBytes *euicc_data;		/* or NULL */
	gboolean euicc_proven;
	char *lock;			/* the "lock" object of the report, as text, or NULL */
	gboolean lock_proven;
	char *proof;			/* "proven", or what is not */
} DepotChip;

void depot_chip_free(DepotChip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DepotChip, depot_chip_free)

/* NULL without an error: nothing is known of it. */
DepotChip *depot_chip(Depot *depot, const guint8 eid[16], GError **error);
/* What was told last of the unit that the chip is in. FALSE without an error: nothing was. */
gboolean depot_unit(Depot *depot, const guint8 eid[16], IfppUnit *unit, GError **error);
/* Only what is new and not worse than what is there; UNKNOWN: no package is for this chip. */
gboolean depot_put_chip(Depot *depot, const char *station, const DepotChip *chip, gboolean *stored, GError **error);

/* A package that a station did not hand to its chip, or could not (ESBPP03): its word. */
typedef struct {
	guint8 key_id[32];
	guint reason;		/* IfppError, or errorReason */
	char *why;		/* in words */
	char *said;		/* when, by the station's clock: ISO 8601 */
	char *station;
	gint64 at;		/* when it was told, Unix ms */
} DepotRefusal;

void depot_refusal_free(DepotRefusal *refusal);

/**
 * struct DepotNotes - what one station says of a unit beside results
 * @sha256: of it all, as it came
 * @bytes: of it all
 * @record: members of a unit of the report, but for "refused", as text
 * @refusals: of DepotRefusal; of what was read back, NULL
 * @station: who says so
 * @unit: as the record has it
 */
typedef struct {
	guint8 eid[16], sha256[32];
	gint64 bytes;
	char *record, *station;
	GPtrArray *refusals;
	IfppUnit unit;
} DepotNotes;

void depot_notes_free(DepotNotes *notes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DepotNotes, depot_notes_free)

/**
 * depot_put_notes() - keep them in place of what this station said of the unit before; no package changes by it
 * @depot: the depot
 * @notes: all but @station
 * @station: who brings them; it must have had the chip
 * @stored: FALSE: they were there already
 * @kept: how many refusals are on record by it: those of packages that this station was sent
 * @error: DEPOT_ERROR_UNKNOWN, TOO_LARGE: the station has left as much as it may, DB_ERROR
 */
gboolean depot_put_notes(Depot *depot, const char *station, const DepotNotes *notes, gboolean *stored, guint *kept,
			 GError **error);
/* Those of one chip, the newest first; of DepotNotes. */
GPtrArray *depot_notes(Depot *depot, const guint8 eid[16], GError **error);
/* Of the chip's packages the ones that were refused and nothing else is known of since, by key; of DepotRefusal. */
GPtrArray *depot_refusals(Depot *depot, const guint8 eid[16], GError **error);

/**
 * depot_burn() - a unit is broken or gone: account for its packages
 * @eid: of the chip
 * @why: for the history and the report, 1 to 64 printable bytes
 * @burnt: packages that have ended by it
 */
gboolean depot_burn(Depot *depot, const guint8 eid[16], const char *who, const char *why, guint *burnt, GError **error);
/* The opposite: what was burnt without a proof is free again, and the doubts about the chip are put aside. */
gboolean depot_unburn(Depot *depot, const guint8 eid[16], const char *who, const char *why, guint *freed,
		      GError **error);

/**
 * struct DepotStation - a station that the operator has named
 * @batches: orders whose packages it may have; NULL: all
 * @quota: chips that it may hold at a time; 0: any number
 */
typedef struct {
	char *name;
	char **batches;
	gint64 quota, added, held;
	gboolean revoked;
} DepotStation;

/**
 * depot_station_add() - name a station, or change what it may have
 * @depot: the depot
 * @station: name, batches and quota
 * @error: DB_ERROR
 *
 * From the first one on, those that are not named are refused.
 */
gboolean depot_station_add(Depot *depot, const DepotStation *station, GError **error);
/* It may have nothing from here on, and its leases end. UNKNOWN: it was not named. */
gboolean depot_station_revoke(Depot *depot, const char *name, guint *released, GError **error);
/* All, by name; held: chips whose leases run. Of DepotStation. */
GPtrArray *depot_stations(Depot *depot, GError **error);
/* May it ask for anything? DEPOT_ERROR_AUTHORITY, DB_ERROR */
gboolean depot_station_check(Depot *depot, const char *name, GError **error);

/**
 * struct DepotCharge - requests of a station, on the account that front ends share
 * @requests: how many, for whoever charges them
 * @us: the time that they take at the rate at which it may ask
 * @behind: set: time until all that was charged is made up for, by the database's clock
 */
typedef struct {
	const char *station;
	guint requests;
	gint64 us, behind;
} DepotCharge;

/**
 * depot_charge() - charge stations for their requests
 * @depot: the depot
 * @charges: of stations by name, each once
 * @n: how many
 * @error: DB_ERROR: nothing was charged
 *
 * Should the answer to a commit be lost with the connection, it is charged twice: that costs a station a moment.
 */
gboolean depot_charge(Depot *depot, DepotCharge *charges, guint n, GError **error);

/**
 * depot_epoch() - which depot this is, and since when its memory has no gap
 * @depot: the depot
 * @error: DB_ERROR
 *
 * Another one after a backup was restored or a standby promoted: stations then bring again what they
 * still have.
 *
 * Return: "IDENTITY-EPOCH[-TIMELINE]", hexadecimal
 */
char *depot_epoch(Depot *depot, GError **error);
/* Begin another epoch: the operator has restored the database by other means. */
gboolean depot_epoch_renew(Depot *depot, GError **error);

/* Narrow a listing; what is NULL or -1 does not. */
typedef struct {
	const guint8 *eid, *key_id;
	const char *iccid, *operator, *batch;
	int state;
} DepotFilter;

/**
 * depot_list() - packages by EID, then key id
 * @filter: which
 * @after: the last one of the page before, or NULL
 * @limit: most of one page
 */
GPtrArray *depot_list(Depot *depot, const DepotFilter *filter, const DepotItem *after, guint limit, GError **error);

typedef struct {
	gint64 at;
	DepotState state;
	char *station, *detail;
} DepotEvent;

GPtrArray *depot_history(Depot *depot, const guint8 key_id[32], GError **error);

/* A record that has not ended its package, or that another has taken the place of; proven or not. */
typedef struct {
	guint8 key_id[32];
	char *record;
	char *station;		/* who brought it, or NULL */
	gboolean installed;	/* its package is */
} DepotAttempt;

/* Those of one chip, by key, the earlier one first; of DepotAttempt. */
GPtrArray *depot_attempts(Depot *depot, const guint8 eid[16], GError **error);

/* The record of a result and its proof; NULL without an error: none. */
char *depot_result(Depot *depot, const guint8 key_id[32], char **proof, GError **error);

typedef struct {
	gint64 packages[DEPOT_N_STATES], bytes;
	gint64 deliveries, delivered;		/* what the signed inventories tell */
	gint64 results, proven, doubts, chips, locked, stations;
} DepotTotals;

gboolean depot_totals(Depot *depot, DepotTotals *totals, GError **error);

/**
 * depot_reconcile() - does everything add up?
 * @tell: called with one line for each thing that does not
 *
 * Deliveries against packages, states against results, packages against their bytes.
 */
gboolean depot_reconcile(Depot *depot, void (*tell)(const char *line, gpointer user), gpointer user, GError **error);

/* Unix time in ms as ISO 8601 in UTC. */
char *depot_time(gint64 ms);

#endif
