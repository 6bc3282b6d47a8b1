// SPDX-License-Identifier: GPL-2.0-or-later
/* One unit of a report: what its chip has signed, held against the ledger. */
#include "report-check.h"

#include <string.h>

#include "eid.h"
#include "error.h"

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
	check_take_proven(check, entry, 0);
	return TRUE;
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
		check_tell(check, FOREIGN, unit->eid_text, key_hex, NULL, name);
	} else if (memcmp(entry->eid, unit->eid, 16)) {
		check_tell(check, FORGED, unit->eid_text, key_hex, entry, "sealed for another chip");
	} else if (!status) {
		check_tell(check, FORGED, unit->eid_text, key_hex, entry, "said to be installed, without proof");
	} else if (!g_strcmp0(ifpp_json_get_string(result, "spent"), "yes") || is_short(unit)) {
		check_tell(check, UNKNOWN, unit->eid_text, key_hex, entry, "its key is spent without a signed result: it may be "
		     "installed");
	} else {
		why = g_strdup_printf("%s (the factory's word)", name ? name : "unknown reason");
		check_tell(check, NOT_LOADED, unit->eid_text, key_hex, entry, why);
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
		check_tell(check, UNKNOWN, unit->eid_text, key_hex, entry, "refused once, and the chip has spent a key that nobody "
		     "tells of: it may be installed");
		return FALSE;
	}
	if (!g_hash_table_contains(check->ended, key_hex))
		g_hash_table_add(check->refused, g_strdup(key_hex));
	check_tell(check, REFUSED, unit->eid_text, key_hex, entry, ifpp_pir_reason_name(reason));
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
		check_take_deleted(check, entry, deletion);
	check_tell(check, DELETED, unit->eid_text, key_hex, entry, "rework: deleted in the factory, its ICCID is free");
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
		check_tell(check, FORGED, unit->eid_text, text ? text : "", NULL, "key id is not 32 bytes");
		return;
	}
	key_hex = ifpp_hex(IFPP_SPAN(key_id));
	entry = check_find(check, key_id, &have);
	check->packages += check_report_key(check, key_id, key_hex);
	if (is_repeated(check, key_hex, pir)) {
		check_tell(check, DUPLICATE, unit->eid_text, key_hex, entry, "the same result a second time");
		return;
	}
	if (!pir) {
		check_unsigned(check, unit, result, key_hex, entry);
		return;
	}
	if (!unit->info) {
		check_tell(check, FORGED, unit->eid_text, key_hex, entry, "its chip is not proven");
		return;
	}
	if (is_clone(check, unit, pir, entry, &why)) {
		check_tell(check, CLONE, unit->eid_text, key_hex, entry, why);
		return;
	}
	if (!unit_check_pir(unit, pir, entry, &reason, &error)) {
		check_tell(check, FORGED, unit->eid_text, key_hex, entry, error->message);
		return;
	}
	if (!entry) {
		check_tell(check, FOREIGN, unit->eid_text, key_hex, NULL, ifpp_pir_reason_name(reason));
		return;
	}
	/* The key is as it was: nothing has ended, and the ICCID stays bound. */
	if (ifpp_pir_reason_is_early(reason) && !check_early(check, unit, key_hex, entry, reason))
		return;
	if (!g_hash_table_add(check->ended, g_strdup(key_hex))) {
		check_tell(check, DUPLICATE, unit->eid_text, key_hex, entry, "a second result for this key");
		return;
	}
	g_hash_table_remove(check->refused, key_hex);
	if ((entry->state == LEDGER_INSTALLED && reason) || (entry->state == LEDGER_FAILED && !reason)) {
		check_tell(check, DUPLICATE, unit->eid_text, key_hex, entry, "an earlier report proves the opposite");
		return;
	}
	if (entry->state == LEDGER_BOUND || (entry->state == LEDGER_VOID && !is_deleted(entry)))
		check_take_proven(check, entry, reason);
	check_keep_told(check, key_id, pir);
	if (!reason && check_deleted(check, unit, pir, key_hex, entry))
		return;
	check_tell(check, reason ? FAILED : INSTALLED, unit->eid_text, key_hex, entry,
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
		check_tell(check, FORGED, unit->eid_text, text ? text : "", NULL, "key id is not 32 bytes");
		return;
	}
	key_hex = ifpp_hex(IFPP_SPAN(key_id));
	entry = check_find(check, key_id, &have);
	if (!entry) {
		check_tell(check, FOREIGN, unit->eid_text, key_hex, NULL, "not loaded");
		return;
	}
	if (entry->state == LEDGER_VOID) {
		/* Once, even if it is refused and lies there. */
		if (!g_hash_table_add(check->attempts, g_strconcat(key_hex, " void", NULL)))
			return;
		check_tell(check, NOT_LOADED, unit->eid_text, key_hex, entry, "it is void, and lies in the factory: have it removed there");
		return;
	}
	/* A result, or an earlier report, knows better. */
	if (entry->state != LEDGER_BOUND || g_hash_table_contains(check->reported, key_hex))
		return;
	check_report_key(check, key_id, key_hex);
	if (memcmp(entry->eid, unit->eid, 16))
		check_tell(check, FORGED, unit->eid_text, key_hex, entry, "sealed for another chip");
	else if (is_short(unit))
		check_tell(check, UNKNOWN, unit->eid_text, key_hex, entry, "said to lie in the factory, and the chip has spent a key "
		     "that nobody tells of: it may be installed");
	else
		why = g_strconcat(what, " (the factory's word)", NULL);
	if (!why)
		return;
	check_keep_unloaded(check, key_id, reason);
	check_tell(check, NOT_LOADED, unit->eid_text, key_hex, entry, why);
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
		check_tell_unit(check, unit->eid_text, "none", NULL);
	} else if (error) {
		check->bad_locks++;
		check_tell_unit(check, unit->eid_text, "forged", error->message);
	} else if (is_short(unit)) {
		check->locked++;
		check->short_units++;
		why = g_strdup_printf("the chip has spent %" G_GUINT64_FORMAT " keys, and %u results are known: have the stations "
				      "that met it report, or let one meet it again", unit->spent, unit->known);
		check_tell_unit(check, unit->eid_text, "short", why);
	} else {
		check->locked++;
		check_tell_unit(check, unit->eid_text, "proven", NULL);
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
			check_tell(check, FORGED, unit->eid_text, "", NULL, "not an object");
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
		check_tell(check, FORGED, unit->eid_text, "", NULL, error->message);
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
		check_tell(check, FOREIGN, unit->eid_text, "", NULL, why);
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
		check_tell_unit(check, unit.eid_text, "unseen", "the factory never saw this chip (the factory's word)");
	} else if (!unit_prove(check->home, object, &unit, &error)) {
		check->bad_units++;
		check_tell_unit(check, unit.eid_text, "unproven", error->message);
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

gboolean check_unit(JsonObject *object, const char *wrong, gpointer user, GError **error)
{
	Check *check = user;
	const char *eid = object ? ifpp_json_get_string(object, "eid") : NULL;

	check->units++;
	/* What was said of a chip before is not held against what is said of it later. */
	if (eid && strcmp(eid, check->last) <= 0)
		wrong = strcmp(eid, check->last) ? "not in the order of EIDs" : "there a second time";
	if (wrong) {
		check->bad_units++;
		check_tell_unit(check, eid ? eid : "", "unproven", wrong);
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
