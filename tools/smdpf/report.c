// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include <stdio.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <json.h>

#include "diskset.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "ledger.h"
#include "report-file.h"
#include "request-bundle.h"
#include "requests.h"
#include "store.h"
#include "told.h"
#include "unit.h"

#define RESULTS_MAX 256	/* that go into the ledger at once */

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

static const char *const outcome_names[] = { "installed", "deleted", "failed", "refused", "not-loaded", "unknown",
					     "foreign", "duplicate", "forged", "clone", "missing" };

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

/* One line for a package, whatever became of it. */
static void tell(Check *check, Outcome outcome, const char *eid, const char *key_id, const LedgerEntry *entry,
		 const char *why)
{
	char iccid[21] = "";

	check->counts[outcome]++;
	if (entry)
		ifpp_iccid_format(entry->iccid, iccid);
	if (check->json) {
		JsonBuilder *b = ifpp_json_new("package");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "key_id", key_id);
		ifpp_json_string(b, "iccid", entry ? iccid : NULL);
		ifpp_json_string(b, "outcome", outcome_names[outcome]);
		ifpp_json_string(b, "why", why);
		ifpp_json_unit(b, &check->identity);
		ifpp_json_print(b);
	} else {
		printf("%-10s  %-32s  %-16.16s  %-20s  %s\n", outcome_names[outcome], eid, key_id, iccid,
		       why ? why : "");
	}
}

static void tell_unit(Check *check, const char *eid, const char *lock, const char *why)
{
	if (check->json) {
		JsonBuilder *b = ifpp_json_new("chip");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "lock", lock);
		ifpp_json_string(b, "why", why);
		ifpp_json_print(b);
	} else if (why || strcmp(lock, "none")) {
		printf("%-10s  %-32s  %s\n", strcmp(lock, "proven") ? lock : "locked", eid, why ? why : "");
	}
}

/* The entry of a key that was bound, NULL when there is none. Marks its order as one that this report is about. */
static const LedgerEntry *find(Check *check, const guint8 key_id[32], LedgerEntry *entry)
{
	gboolean found = FALSE;
	GError *local = NULL;

	if (!check->error && !ledger_find(check->ledger, key_id, entry, &found, &local))
		ledger_error(check->home, local, &check->error);
	if (!found || entry->state == LEDGER_RESERVED)
		return NULL;
	g_hash_table_add(check->orders, ifpp_hex(IFPP_SPAN(entry->order)));
	return entry;
}

/* FALSE: it was in this unit before. */
static gboolean report_key(Check *check, const guint8 key_id[32], const char *key_hex)
{
	if (!check->error)
		diskset_add(check->seen, (IfppSpan){ key_id, 32 }, &check->error);
	return g_hash_table_add(check->reported, g_strdup(key_hex));
}

static gboolean flush(Check *check)
{
	g_autoptr(GString) freed = g_string_new(NULL);

	for (guint i = 0; i < check->proven->len; i++) {
		const LedgerResult *result = &g_array_index(check->proven, LedgerResult, i);

		if (result->deleted)
			ledger_deleted_line(freed, result);
	}
	/* The journal last: what it says is believed when the ledger is lost, and this frees something. */
	if (!check->error &&
	    ledger_result(check->ledger, (LedgerResult *)check->proven->data, check->proven->len, &check->error) &&
	    (!freed->len || store_journal(check->home, freed->str, freed->len, &check->error)) &&
	    told_results(check->ledger, (Told *)check->told->data, check->told->len, &check->error))
		told_unloaded(check->ledger, (ToldUnloaded *)check->unloaded->data, check->unloaded->len, &check->error);
	g_array_set_size(check->proven, 0);
	g_array_set_size(check->told, 0);
	g_array_set_size(check->unloaded, 0);
	return !check->error;
}

static void take_proven(Check *check, const LedgerEntry *entry, guint reason)
{
	LedgerResult proven = { .reason = reason };

	memcpy(proven.key_id, entry->key_id, 32);
	memcpy(proven.order, entry->order, 8);
	g_array_append_val(check->proven, proven);
	if (check->proven->len >= RESULTS_MAX)
		flush(check);
}

/* The chip's own record says that it is gone since: its ICCID is free. */
static void take_deleted(Check *check, const LedgerEntry *entry, const IfppDeletion *deletion)
{
	LedgerResult proven = { .deleted = TRUE };
	gsize len;
	const void *data = g_bytes_get_data(deletion->bytes, &len);

	memcpy(proven.key_id, entry->key_id, 32);
	memcpy(proven.order, entry->order, 8);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, proven.record);
	g_array_append_val(check->proven, proven);
	if (check->proven->len >= RESULTS_MAX)
		flush(check);
}

static gboolean is_deleted(const LedgerEntry *entry)
{
	return entry->state == LEDGER_VOID && entry->reason == LEDGER_VOID_DELETED;
}

/* What was void is in a chip. Its ICCID is taken again, or another chip has it by now. */
static gboolean is_void_installed(Check *check, Unit *unit, const LedgerEntry *entry, char **why)
{
	char eid[33], iccid[21];
	LedgerEntry holder;
	gboolean held = FALSE;
	GError *local = NULL;

	if (!check->error && !ledger_holder(check->ledger, entry->iccid, unit->eid, FALSE, &holder, &held, &local))
		ledger_error(check->home, local, &check->error);
	ifpp_iccid_format(entry->iccid, iccid);
	ifpp_eid_format(holder.eid, eid);
	*why = held ? g_strdup_printf("ICCID %s was void, is installed in chip %s, and is bound to chip %s", iccid, unit->eid_text, eid) :
		      g_strdup_printf("ICCID %s was void, and is installed in chip %s; it is out of use again", iccid,
				      unit->eid_text);
	take_proven(check, entry, 0);
	return TRUE;
}

/* For the operator's extract: what proves it, and the factory's word on the unit. */
static void keep_told(Check *check, const guint8 key_id[32], GBytes *pir)
{
	g_autoptr(GString) unit = g_string_new(NULL);
	gsize len;
	const void *data = g_bytes_get_data(pir, &len);
	Told told = {};

	memcpy(told.key_id, key_id, 32);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, told.result);
	ifpp_unit_write(&check->identity, unit);
	told.unit = g_string_free(g_steal_pointer(&unit), FALSE);
	g_array_append_val(check->told, told);
	if (check->told->len == RESULTS_MAX)
		flush(check);
}

/* Likewise, why a package was not loaded. */
static void keep_unloaded(Check *check, const guint8 key_id[32], guint reason)
{
	ToldUnloaded unloaded = { .reason = reason };

	memcpy(unloaded.key_id, key_id, 32);
	g_array_append_val(check->unloaded, unloaded);
	if (check->unloaded->len == RESULTS_MAX)
		flush(check);
}

/*
 * The chip has signed that it installed this ICCID. Does the ledger bind it, or the key, to another chip?
 * Then both chips have the same subscriber, and that is the worst that there is.
 */
static gboolean is_clone(Check *check, Unit *unit, GBytes *bytes, const LedgerEntry *entry, char **why)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, NULL);
	char eid[33], iccid[21];
	LedgerEntry holder;
	gboolean held = FALSE;
	GError *local = NULL;

	if (!pir || pir->reason || !ifpp_pir_verify(pir, ifpp_span_bytes(unit->info->cert_euicc), NULL))
		return FALSE;
	if (entry && memcmp(entry->eid, unit->eid, 16)) {
		ifpp_eid_format(entry->eid, eid);
		*why = g_strdup_printf("installed in chip %s, and its key is bound to chip %s", unit->eid_text, eid);
		return TRUE;
	}
	if ((entry && is_deleted(entry)) || ifpp_deletions_find(unit->deletions, pir->iccid, pir->seq))
		return FALSE;
	if (entry && entry->state == LEDGER_VOID)
		return is_void_installed(check, unit, entry, why);
	if (pir->iccid.len != 10)
		return FALSE;
	if (!check->error &&
	    !ledger_holder(check->ledger, pir->iccid.data, unit->eid, FALSE, &holder, &held, &local))
		ledger_error(check->home, local, &check->error);
	if (!held || holder.hold != LEDGER_HELD || !memcmp(holder.eid, unit->eid, 16))
		return FALSE;
	ifpp_iccid_format(holder.iccid, iccid);
	ifpp_eid_format(holder.eid, eid);
	*why = g_strdup_printf("ICCID %s is installed in chip %s, and is bound to chip %s", iccid, unit->eid_text, eid);
	return TRUE;
}

/* The chip has spent keys of which nobody has shown a result. */
static gboolean is_short(const Unit *unit)
{
	return unit->locked && unit->spent > unit->known;
}

/* A result that was shown already; a package that the chip refused early has several. */
static gboolean is_repeated(Check *check, const char *key_hex, GBytes *pir)
{
	g_autofree char *sum = pir ? g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, pir) : NULL;

	return !g_hash_table_add(check->attempts, g_strdup_printf("%s %s", key_hex, sum ? sum : ""));
}

/* No signed result. What does not count as loaded must not be what the chip may have loaded. */
static void check_unsigned(Check *check, Unit *unit, JsonObject *result, const char *key_hex, const LedgerEntry *entry)
{
	const char *name = ifpp_json_get_string(result, "reason_name");
	g_autofree char *why = NULL;
	gint64 status = 0;

	ifpp_json_get_int(result, "status", G_MININT64, G_MAXINT64, &status);
	if (!entry) {
		tell(check, FOREIGN, unit->eid_text, key_hex, NULL, name);
	} else if (memcmp(entry->eid, unit->eid, 16)) {
		tell(check, FORGED, unit->eid_text, key_hex, entry, "sealed for another chip");
	} else if (!status) {
		tell(check, FORGED, unit->eid_text, key_hex, entry, "said to be installed, without proof");
	} else if (!g_strcmp0(ifpp_json_get_string(result, "spent"), "yes") || is_short(unit)) {
		tell(check, UNKNOWN, unit->eid_text, key_hex, entry, "its key is spent without a signed result: it may be "
		     "installed");
	} else {
		why = g_strdup_printf("%s (the factory's word)", name ? name : "unknown reason");
		tell(check, NOT_LOADED, unit->eid_text, key_hex, entry, why);
	}
}

/* The chip refused the package before it spent the key: what may have become of it since? TRUE: nothing, it has failed. */
static gboolean check_early(Check *check, Unit *unit, const char *key_hex, const LedgerEntry *entry, guint reason)
{
	gboolean later = unit->late && g_hash_table_contains(unit->late, key_hex);

	/* Locked, and every key that it has spent is accounted for: it can never be loaded again. */
	if (unit->locked && !is_short(unit) && !later && !g_hash_table_contains(check->ended, key_hex))
		return TRUE;
	if (is_short(unit) && !later) {
		tell(check, UNKNOWN, unit->eid_text, key_hex, entry, "refused once, and the chip has spent a key that nobody "
		     "tells of: it may be installed");
		return FALSE;
	}
	if (!g_hash_table_contains(check->ended, key_hex))
		g_hash_table_add(check->refused, g_strdup(key_hex));
	tell(check, REFUSED, unit->eid_text, key_hex, entry, ifpp_pir_reason_name(reason));
	return FALSE;
}

/* Rework: the profile that was installed is deleted since, as the chip has signed, here or in an earlier report. */
static gboolean check_deleted(Check *check, Unit *unit, GBytes *bytes, const char *key_hex, const LedgerEntry *entry)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, NULL);
	const IfppDeletion *deletion = ifpp_deletions_find(unit->deletions, pir->iccid, pir->seq);

	if (!deletion && !is_deleted(entry))
		return FALSE;
	if (!is_deleted(entry))
		take_deleted(check, entry, deletion);
	tell(check, DELETED, unit->eid_text, key_hex, entry, "rework: deleted in the factory, its ICCID is free");
	return TRUE;
}

static void check_result(Check *check, Unit *unit, JsonObject *result)
{
	const char *text = ifpp_json_get_string(result, "key_id");
	g_autoptr(GBytes) pir = ifpp_json_get_base64(result, "pir", UNIT_PROOF_MAX);
	g_autofree char *key_hex = NULL, *why = NULL;
	g_autoptr(GError) error = NULL;
	const LedgerEntry *entry;
	guint8 key_id[32];
	LedgerEntry have;
	guint reason = 0;

	ifpp_unit_clear(&check->identity);
	ifpp_json_get_unit(result, &check->identity);
	if (!ifpp_unhex_into(text, key_id, sizeof(key_id))) {
		tell(check, FORGED, unit->eid_text, text ? text : "", NULL, "key id is not 32 bytes");
		return;
	}
	key_hex = ifpp_hex(IFPP_SPAN(key_id));
	entry = find(check, key_id, &have);
	check->packages += report_key(check, key_id, key_hex);
	if (is_repeated(check, key_hex, pir)) {
		tell(check, DUPLICATE, unit->eid_text, key_hex, entry, "the same result a second time");
		return;
	}
	if (!pir) {
		check_unsigned(check, unit, result, key_hex, entry);
		return;
	}
	if (!unit->info) {
		tell(check, FORGED, unit->eid_text, key_hex, entry, "its chip is not proven");
		return;
	}
	if (is_clone(check, unit, pir, entry, &why)) {
		tell(check, CLONE, unit->eid_text, key_hex, entry, why);
		return;
	}
	if (!unit_check_pir(unit, pir, entry, &reason, &error)) {
		tell(check, FORGED, unit->eid_text, key_hex, entry, error->message);
		return;
	}
	if (!entry) {
		tell(check, FOREIGN, unit->eid_text, key_hex, NULL, ifpp_pir_reason_name(reason));
		return;
	}
	/* The key is as it was: nothing has ended, and the ICCID stays bound. */
	if (ifpp_pir_reason_is_early(reason) && !check_early(check, unit, key_hex, entry, reason))
		return;
	if (!g_hash_table_add(check->ended, g_strdup(key_hex))) {
		tell(check, DUPLICATE, unit->eid_text, key_hex, entry, "a second result for this key");
		return;
	}
	g_hash_table_remove(check->refused, key_hex);
	if ((entry->state == LEDGER_INSTALLED && reason) || (entry->state == LEDGER_FAILED && !reason)) {
		tell(check, DUPLICATE, unit->eid_text, key_hex, entry, "an earlier report proves the opposite");
		return;
	}
	if (entry->state == LEDGER_BOUND || (entry->state == LEDGER_VOID && !is_deleted(entry)))
		take_proven(check, entry, reason);
	keep_told(check, key_id, pir);
	if (!reason && check_deleted(check, unit, pir, key_hex, entry))
		return;
	tell(check, reason ? FAILED : INSTALLED, unit->eid_text, key_hex, entry,
	     reason ? ifpp_pir_reason_name(reason) : NULL);
}

/*
 * A package of which the factory says that it was not loaded: nothing signed, and nothing changes by it. Only the ledger can
 * vouch that it was ever sealed. @reason: why it was refused; 0: it was not.
 */
static void check_unloaded(Check *check, Unit *unit, JsonObject *package, guint reason, const char *what)
{
	const char *text = ifpp_json_get_string(package, "key_id");
	g_autofree char *why = NULL;
	g_autofree char *key_hex = NULL;
	const LedgerEntry *entry;
	guint8 key_id[32];
	LedgerEntry have;

	if (!ifpp_unhex_into(text, key_id, sizeof(key_id))) {
		tell(check, FORGED, unit->eid_text, text ? text : "", NULL, "key id is not 32 bytes");
		return;
	}
	key_hex = ifpp_hex(IFPP_SPAN(key_id));
	entry = find(check, key_id, &have);
	if (!entry) {
		tell(check, FOREIGN, unit->eid_text, key_hex, NULL, "not loaded");
		return;
	}
	if (entry->state == LEDGER_VOID) {
		/* Once, even if it is refused and lies there. */
		if (!g_hash_table_add(check->attempts, g_strconcat(key_hex, " void", NULL)))
			return;
		tell(check, NOT_LOADED, unit->eid_text, key_hex, entry, "it is void, and lies in the factory: have it removed there");
		return;
	}
	/* A result, or an earlier report, knows better. */
	if (entry->state != LEDGER_BOUND || g_hash_table_contains(check->reported, key_hex))
		return;
	report_key(check, key_id, key_hex);
	if (memcmp(entry->eid, unit->eid, 16))
		tell(check, FORGED, unit->eid_text, key_hex, entry, "sealed for another chip");
	else if (is_short(unit))
		tell(check, UNKNOWN, unit->eid_text, key_hex, entry, "said to lie in the factory, and the chip has spent a key "
		     "that nobody tells of: it may be installed");
	else
		why = g_strconcat(what, " (the factory's word)", NULL);
	if (!why)
		return;
	keep_unloaded(check, key_id, reason);
	tell(check, NOT_LOADED, unit->eid_text, key_hex, entry, why);
}

static void check_pending(Check *check, Unit *unit, JsonObject *pending)
{
	check->pending++;
	check_unloaded(check, unit, pending, 0, "it lies in the factory");
}

/* A station would not hand it to the chip, or could not: ESBPP03. */
static void check_refused(Check *check, Unit *unit, JsonObject *refused)
{
	const char *name = ifpp_json_get_string(refused, "reason_name");
	g_autofree char *what = g_strdup_printf("not loaded, told and not signed: %s", name ? name : "unknown reason");
	gint64 reason = 0;

	ifpp_json_get_int(refused, "reason", 1, G_MAXINT32, &reason);
	check->refusals++;
	check_unloaded(check, unit, refused, reason, what);
}

typedef struct {
	GHashTable *here;	/* keys that this report has results for */
	guint n;
} Before;

static gboolean count_before(const LedgerEntry *entry, gpointer user, GError **error)
{
	g_autofree char *key_hex = ifpp_hex(IFPP_SPAN(entry->key_id));
	Before *before = user;

	before->n += (entry->state == LEDGER_INSTALLED || entry->state == LEDGER_FAILED || is_deleted(entry)) &&
		     !g_hash_table_contains(before->here, key_hex);
	return TRUE;
}

/* Keys of this chip that an earlier report has proven to be spent, and this one does not name. */
static guint known_before(Check *check, const Unit *unit, GHashTable *here)
{
	Before before = { .here = here };
	GError *local = NULL;

	if (!check->error && !ledger_chip(check->ledger, unit->eid, count_before, &before, &local))
		ledger_error(check->home, local, &check->error);
	return before.n;
}

/*
 * How many spent keys the results account for. What of them is forged is told with each, and refused by itself. A
 * refusal before the key was spent counts unless the factory says that the key is unspent: chips differ in that.
 */
static void count_known(Check *check, Unit *unit, JsonArray *results)
{
	g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	unit->late = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; results && i < json_array_get_length(results); i++) {
		JsonObject *result = ifpp_json_get_element(results, i);
		const char *key = result ? ifpp_json_get_string(result, "key_id") : NULL;
		g_autoptr(GBytes) bytes = result ? ifpp_json_get_base64(result, "pir", UNIT_PROOF_MAX) : NULL;
		g_autoptr(IfppPir) pir = bytes ? ifpp_pir_parse(bytes, NULL) : NULL;

		if (!key || !pir)
			continue;
		if (!ifpp_pir_reason_is_early(pir->reason))
			g_hash_table_add(unit->late, g_ascii_strdown(key, -1));
		else if (!g_strcmp0(ifpp_json_get_string(result, "spent"), "no"))
			continue;
		g_hash_table_add(keys, g_ascii_strdown(key, -1));
	}
	unit->known = g_hash_table_size(keys) + known_before(check, unit, keys);
}

static void tell_lock(Check *check, Unit *unit, JsonObject *lock, const GError *error)
{
	g_autofree char *why = NULL;

	if (!lock) {
		tell_unit(check, unit->eid_text, "none", NULL);
	} else if (error) {
		check->bad_locks++;
		tell_unit(check, unit->eid_text, "forged", error->message);
	} else if (is_short(unit)) {
		check->locked++;
		check->short_units++;
		why = g_strdup_printf("the chip has spent %" G_GUINT64_FORMAT " keys, and %u results are known: have the stations "
				      "that met it report, or let one meet it again", unit->spent, unit->known);
		tell_unit(check, unit->eid_text, "short", why);
	} else {
		check->locked++;
		tell_unit(check, unit->eid_text, "proven", NULL);
	}
}

/* A chip that no station has seen: nothing signed is said of it, so there is nothing to prove. */
static gboolean is_unseen(JsonObject *object, Unit *unit)
{
	JsonArray *results = ifpp_json_get_array(object, "results");
	const char *text = ifpp_json_get_string(object, "eid");

	if (ifpp_json_get_string(object, "euicc_data") || ifpp_json_get_object(object, "lock") || !text ||
	    !ifpp_eid_parse(text, unit->eid, NULL))
		return FALSE;
	for (guint i = 0; results && i < json_array_get_length(results); i++) {
		JsonObject *result = ifpp_json_get_element(results, i);

		if (!result || ifpp_json_get_string(result, "pir"))
			return FALSE;
	}
	g_strlcpy(unit->eid_text, text, sizeof(unit->eid_text));
	return TRUE;
}

static void check_each(Check *check, Unit *unit, JsonArray *array,
		       void (*one)(Check *check, Unit *unit, JsonObject *object))
{
	for (guint i = 0; array && i < json_array_get_length(array); i++) {
		JsonObject *object = ifpp_json_get_element(array, i);

		if (object)
			one(check, unit, object);
		else
			tell(check, FORGED, unit->eid_text, "", NULL, "not an object");
	}
}

static gboolean has_result_of(JsonArray *results, const IfppDeletion *deletion)
{
	for (guint i = 0; results && i < json_array_get_length(results); i++) {
		JsonObject *result = ifpp_json_get_element(results, i);
		g_autoptr(GBytes) bytes = result ? ifpp_json_get_base64(result, "pir", UNIT_PROOF_MAX) : NULL;
		g_autoptr(IfppPir) pir = bytes ? ifpp_pir_parse(bytes, NULL) : NULL;

		if (pir && pir->seq < deletion->seq && ifpp_span_equal(pir->iccid, IFPP_SPAN(deletion->iccid)))
			return TRUE;
	}
	return FALSE;
}

/* Which installation a record takes back only its result can tell: an ICCID may be on the chip for a second time. */
static void check_deletions(Check *check, Unit *unit, JsonArray *deletions, JsonArray *results)
{
	g_autoptr(GError) error = NULL;

	check->deletions += deletions ? json_array_get_length(deletions) : 0;
	if (!unit_prove_deletions(unit, deletions, &error)) {
		tell(check, FORGED, unit->eid_text, "", NULL, error->message);
		return;
	}
	for (guint i = 0; i < unit->deletions->len; i++) {
		const IfppDeletion *deletion = unit->deletions->pdata[i];
		g_autofree char *why = NULL;
		char iccid[21];

		if (has_result_of(results, deletion))
			continue;
		ifpp_iccid_format(deletion->iccid, iccid);
		why = g_strdup_printf("ICCID %s was deleted in the factory, and its result is not in this report: it stays bound until "
				      "both are in one", iccid);
		tell(check, FOREIGN, unit->eid_text, "", NULL, why);
	}
}

static void check_chip(Check *check, JsonObject *object)
{
	JsonArray *results = ifpp_json_get_array(object, "results");
	g_autoptr(GError) error = NULL, bad_lock = NULL;
	JsonObject *lock;
	Unit unit = {};

	check->results += results ? json_array_get_length(results) : 0;
	if (is_unseen(object, &unit)) {
		check->unseen++;
		tell_unit(check, unit.eid_text, "unseen", "the factory never saw this chip (the factory's word)");
	} else if (!unit_prove(check->home, object, &unit, &error)) {
		check->bad_units++;
		tell_unit(check, unit.eid_text, "unproven", error->message);
	}
	check_deletions(check, &unit, ifpp_json_get_array(object, "deletions"), results);
	/* First, since it says how many results there must be. */
	lock = ifpp_json_get_object(object, "lock");
	if (unit_prove_lock(&unit, lock, &bad_lock) && unit.locked)
		count_known(check, &unit, results);
	check_each(check, &unit, results, check_result);
	ifpp_unit_clear(&check->identity);
	/* Before those that lie there: they say more of the same package. */
	check_each(check, &unit, ifpp_json_get_array(object, "refused"), check_refused);
	check_each(check, &unit, ifpp_json_get_array(object, "pending"), check_pending);
	if (unit.info || lock)
		tell_lock(check, &unit, lock, bad_lock);
	unit_clear(&unit);
}

/* @object: NULL if it is none. */
static gboolean check_unit(JsonObject *object, const char *wrong, gpointer user, GError **error)
{
	Check *check = user;
	const char *eid = object ? ifpp_json_get_string(object, "eid") : NULL;

	check->units++;
	/* What was said of a chip before is not held against what is said of it later. */
	if (eid && strcmp(eid, check->last) <= 0)
		wrong = strcmp(eid, check->last) ? "not in the order of EIDs" : "there a second time";
	if (wrong) {
		check->bad_units++;
		tell_unit(check, eid ? eid : "", "unproven", wrong);
	} else {
		check_chip(check, object);
	}
	if (eid)
		g_strlcpy(check->last, eid, sizeof(check->last));
	check->n_refused += g_hash_table_size(check->refused);
	g_hash_table_remove_all(check->reported);
	g_hash_table_remove_all(check->attempts);
	g_hash_table_remove_all(check->ended);
	g_hash_table_remove_all(check->refused);
	if (!check->error)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&check->error));
	return FALSE;
}

/* What the report says of itself, beside what is in it: a line that was cut out shows here. */
static void check_totals(Check *check, JsonObject *totals)
{
	const struct {
		const char *name;
		guint counted;
	} fields[] = {
		{ "units", check->units },
		{ "unseen", check->unseen },
		{ "results", check->results },
		{ "pending", check->pending },
		{ "refused", check->refusals },
		{ "deleted", check->deletions },
		{ "packages", check->packages + check->pending },
		{ "locked", check->locked + check->bad_locks },
	};

	for (guint i = 0; totals && i < G_N_ELEMENTS(fields); i++) {
		gint64 said = -1;

		ifpp_json_get_int(totals, fields[i].name, 0, G_MAXINT64, &said);
		if (!json_object_has_member(totals, fields[i].name) || said == fields[i].counted)
			continue;
		check->bad_totals++;
		if (!check->json)
			printf("the report says %" G_GINT64_FORMAT " %s, and has %u\n",
			       said, fields[i].name, fields[i].counted);
	}
}

static gboolean find_missing(const LedgerEntry *entry, gpointer user, GError **error)
{
	g_autofree char *key_hex = NULL;
	Check *check = user;
	gboolean here;
	char eid[33];

	check->sealed++;
	if (!diskset_has(check->seen, IFPP_SPAN(entry->key_id), &here, error))
		return FALSE;
	if (here)
		return TRUE;
	if (entry->state != LEDGER_BOUND) {
		(*(entry->state == LEDGER_VOID ? &check->voided : &check->earlier))++;
		return TRUE;
	}
	ifpp_eid_format(entry->eid, eid);
	key_hex = ifpp_hex(IFPP_SPAN(entry->key_id));
	tell(check, MISSING, eid, key_hex, entry, NULL);
	return TRUE;
}

static gboolean add_order(const LedgerEntry *order, gpointer user, GError **error)
{
	g_hash_table_add(user, ifpp_hex(IFPP_SPAN(order->order)));
	return TRUE;
}

/* Of the orders that this report is about, each package must be in it, or in an earlier one. */
static gboolean account(Check *check, GError **error)
{
	GHashTableIter iter;
	const char *id;

	if (check->order) {
		g_hash_table_remove_all(check->orders);
		if (!ledger_orders(check->ledger, check->order, add_order, check->orders, error))
			return FALSE;
		if (!g_hash_table_size(check->orders)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "order %s: there is none of that name", check->order);
			return FALSE;
		}
	}
	g_hash_table_iter_init(&iter, check->orders);
	while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL)) {
		guint8 order[8];

		ifpp_unhex_into(id, order, sizeof(order));
		if (!ledger_foreach(check->ledger, order, find_missing, check, error))
			return FALSE;
	}
	return TRUE;
}

static void summary(Check *check)
{
	if (check->json) {
		JsonBuilder *b = ifpp_json_new("summary");

		for (guint i = 0; i < N_OUTCOMES; i++) {
			ifpp_json_int(b, outcome_names[i], check->counts[i]);
		}
		ifpp_json_int(b, "chips", check->units);
		ifpp_json_int(b, "chips_unseen", check->unseen);
		ifpp_json_int(b, "chips_unproven", check->bad_units);
		ifpp_json_int(b, "locks_proven", check->locked);
		ifpp_json_int(b, "locks_forged", check->bad_locks);
		ifpp_json_int(b, "chips_short", check->short_units);
		ifpp_json_int(b, "sealed", check->sealed);
		ifpp_json_int(b, "earlier", check->earlier);
		ifpp_json_int(b, "void", check->voided);
		ifpp_json_int(b, "totals_wrong", check->bad_totals);
		ifpp_json_print(b);
		return;
	}
	printf("\n%u chips", check->units);
	for (guint i = 0; i < N_OUTCOMES; i++)
		if (check->counts[i] || i == INSTALLED)
			printf(", %u %s", check->counts[i], outcome_names[i]);
	printf(", %u locks proven", check->locked);
	if (check->bad_locks)
		printf(", %u lock receipts forged", check->bad_locks);
	if (check->bad_units)
		printf(", %u chips unproven", check->bad_units);
	if (check->unseen)
		printf(", %u chips never seen", check->unseen);
	if (check->short_units)
		printf(", %u chips with more keys spent than results", check->short_units);
	printf("\n%u packages sealed: %u accounted for here, %u by an earlier report, %u missing", check->sealed,
	       check->sealed - check->earlier - check->voided - check->counts[MISSING], check->earlier, check->counts[MISSING]);
	if (check->voided)
		printf(", %u void", check->voided);
	printf("\n");
}

static gboolean hash_report(int algorithm, guint8 *hash, gpointer user, GError **error)
{
	return ifpp_report_hash(user, algorithm, hash, error);
}

static gboolean check_signature(const Home *home, const char *file, IfppReport *report, const char *signature, GError **error)
{
	g_autoptr(GBytes) cms = signature ? ifpp_file_read(signature, IFPP_REQUEST_SIGNATURE_MAX, error) : NULL;
	g_autofree char *who = NULL;

	if (signature && !cms)
		return FALSE;
	if (requester_check(home, hash_report, report, cms, &who, error))
		return TRUE;
	g_prefix_error(error, "%s: ", file);
	return FALSE;
}

static gboolean check_all(Check *check, IfppReport *report, GError **error)
{
	if (!check->json)
		printf("%-10s  %-32s  %-16s  %-20s\n", "RESULT", "EID", "KEY ID", "ICCID");
	if (!ifpp_report_foreach(report, check_unit, check, error))
		return FALSE;
	check_totals(check, ifpp_report_totals(report));
	if (!flush(check)) {
		g_propagate_error(error, g_steal_pointer(&check->error));
		return FALSE;
	}
	return account(check, error);
}

static GHashTable *new_set(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

gboolean report_verify(Home *home, const char *file, const ReportOptions *options, int *exit_code, GError **error)
{
	g_autoptr(IfppReport) report = ifpp_report_open(file, error);
	g_autoptr(GHashTable) reported = new_set(), attempts = new_set(), ended = new_set(), refused = new_set();
	g_autoptr(GHashTable) orders = new_set();
	g_autoptr(GArray) proven = g_array_new(FALSE, FALSE, sizeof(LedgerResult)), told = g_array_new(FALSE, FALSE, sizeof(Told));
	g_autoptr(GArray) unloaded = g_array_new(FALSE, FALSE, sizeof(ToldUnloaded));
	g_autoptr(Ledger) ledger = NULL;
	g_autoptr(Db) seen = NULL;
	Check check = { .home = home, .json = options->json, .order = options->order, .reported = reported, .attempts = attempts,
			.ended = ended, .refused = refused, .orders = orders, .proven = proven, .told = told,
			.unloaded = unloaded };

	g_array_set_clear_func(told, told_clear);
	if (!report || !check_signature(home, file, report, options->signature, error))
		return FALSE;
	check.ledger = ledger = ledger_open(home, error);
	check.seen = seen = ledger ? diskset_new(error) : NULL;
	if (!seen || !check_all(&check, report, error))
		return FALSE;
	summary(&check);
	if (check.counts[FORGED] || check.counts[DUPLICATE] || check.counts[UNKNOWN] || check.counts[CLONE] ||
	    check.bad_units || check.bad_locks || check.bad_totals || check.short_units)
		*exit_code = IFPP_EXIT_REFUSED;
	else if (options->complete && (check.counts[FAILED] || check.counts[DELETED] || check.n_refused || check.counts[NOT_LOADED] ||
				       check.counts[MISSING]))
		*exit_code = IFPP_EXIT_FAILED;
	else
		*exit_code = IFPP_EXIT_OK;
	return TRUE;
}
