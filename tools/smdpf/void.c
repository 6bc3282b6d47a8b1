// SPDX-License-Identifier: GPL-2.0-or-later
#include "void.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib/gstdio.h>

#include "anchor.h"
#include "chain.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "order.h"
#include "orders.h"
#include "package.h"
#include "report-file.h"
#include "store.h"
#include "unit.h"

/* One ICCID on its way. */
typedef struct {
	const char *text;
	guint8 iccid[10];
	gboolean kept;		/* no key holds it, but a cancelled order */
	LedgerEntry entry;
	char *proof;		/* JSON: what its chip has signed */
	char *hash;		/* of it */
} Item;

typedef struct {
	const Home *home;
	const VoidOptions *options;
	Ledger *ledger;
	IfppReport *report;	/* or NULL */
	Item *items;
	guint n_items;
	Item *item;		/* in the transaction */
} Void;

static gboolean refuse(GError **error, const Item *item, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean refuse(GError **error, const Item *item, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND, "ICCID %s: %s", item->text, text);
	return FALSE;
}

/* ------------------------------------------------------------ proof */

/* Keys that the chip has spent on other packages than this: those of whose results it has signed. */
typedef struct {
	const LedgerEntry *entry;
	GHashTable *spent;	/* transactions, in hex */
} Others;

static gboolean count_other(const LedgerEntry *other, gpointer user, GError **error)
{
	Others *others = user;

	/* What was refused early may not have spent its key: it does not count, so that no key is explained away. */
	if (memcmp(other->key_id, others->entry->key_id, 32) &&
	    (other->state == LEDGER_INSTALLED || (other->state == LEDGER_FAILED && !ifpp_pir_reason_is_early(other->reason))))
		g_hash_table_add(others->spent, ifpp_hex(IFPP_SPAN(other->transaction)));
	return TRUE;
}

/* A result in the report: of this package or of another. */
static gboolean take_result(Unit *unit, JsonObject *result, const Item *item, Others *others, gboolean *failed, GError **error)
{
	g_autoptr(GBytes) bytes = result ? ifpp_json_get_base64(result, "pir", UNIT_PROOF_MAX) : NULL;
	g_autoptr(IfppPir) pir = bytes ? ifpp_pir_parse(bytes, NULL) : NULL;
	guint reason;

	if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(unit->info->cert_euicc), NULL))
		return TRUE;
	if (!ifpp_span_equal(pir->transaction_id, IFPP_SPAN(item->entry.transaction))) {
		if (!ifpp_pir_reason_is_early(pir->reason))
			g_hash_table_add(others->spent, ifpp_hex(pir->transaction_id));
		return TRUE;
	}
	if (!unit_check_pir(unit, bytes, &item->entry, &reason, error))
		return FALSE;
	if (!reason)
		return refuse(error, item, "chip %s has proven that it is installed", unit->eid_text);
	*failed |= !ifpp_pir_reason_is_early(reason);
	return TRUE;
}

static gboolean judge(Void *v, Item *item, JsonObject *object, GError **error)
{
	g_autoptr(GHashTable) spent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	JsonArray *results = ifpp_json_get_array(object, "results");
	Others others = { .entry = &item->entry, .spent = spent };
	gboolean failed = FALSE, ok;
	GError *local = NULL;
	Unit unit = {};

	ok = unit_prove(v->home, object, &unit, error) &&
	     unit_prove_lock(&unit, ifpp_json_get_object(object, "lock"), error);
	for (guint i = 0; ok && results && i < json_array_get_length(results); i++)
		ok = take_result(&unit, ifpp_json_get_element(results, i), item, &others, &failed, error);
	if (ok && !ledger_chip(v->ledger, unit.eid, count_other, &others, &local))
		ok = ledger_error(v->home, local, error);
	/* A failed load has spent the key. A locked chip has none left, and has it not spent this one it never can. */
	if (ok && !failed && !unit.locked)
		ok = refuse(error, item, "neither a failed result nor a lock receipt of chip %s is in %s: it may still be loaded",
			    unit.eid_text, v->options->proof);
	else if (ok && !failed && unit.spent > g_hash_table_size(spent))
		ok = refuse(error, item, "chip %s has spent %" G_GUINT64_FORMAT " keys, and %u results prove that it was another: it "
			    "may be installed", unit.eid_text, unit.spent, g_hash_table_size(spent));
	unit_clear(&unit);
	return ok;
}

static gboolean find_proof(JsonObject *unit, const char *wrong, gpointer user, GError **error)
{
	const char *text = unit ? ifpp_json_get_string(unit, "eid") : NULL;
	Void *v = user;
	guint8 eid[16];

	if (!text || !ifpp_eid_parse(text, eid, NULL))
		return TRUE;
	for (guint i = 0; i < v->n_items; i++) {
		Item *item = &v->items[i];
		g_autoptr(JsonNode) node = NULL;

		if (item->proof || memcmp(item->entry.eid, eid, 16))
			continue;
		if (!judge(v, item, unit, error))
			return FALSE;
		node = json_node_init_object(json_node_alloc(), unit);
		item->proof = json_to_string(node, FALSE);
		item->hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, item->proof, -1);
	}
	return TRUE;
}

static gboolean find_proofs(Void *v, GError **error)
{
	if (!v->report)
		return TRUE;
	if (!ifpp_report_foreach(v->report, find_proof, v, error))
		return FALSE;
	for (guint i = 0; i < v->n_items; i++) {
		char eid[33];

		ifpp_eid_format(v->items[i].entry.eid, eid);
		if (!v->items[i].proof)
			return refuse(error, &v->items[i], "%s tells nothing of chip %s", v->options->proof, eid);
	}
	return TRUE;
}

/* ------------------------------------------------------------ what holds it */

static gboolean look(Void *v, Item *item, GError **error)
{
	static const guint8 no_eid[16];
	gboolean held = FALSE;
	GError *local = NULL;
	char eid[33];

	if (!ifpp_iccid_parse(item->text, item->iccid, error))
		return FALSE;
	if (!ledger_holder(v->ledger, item->iccid, no_eid, FALSE, &item->entry, &held, &local) ||
	    (!held && !ledger_freed(v->ledger, item->iccid, &item->entry, &held, &local)) ||
	    (!held && !orders_keep(v->ledger, item->iccid, &item->kept, &local)))
		return ledger_error(v->home, local, error);
	if (item->kept && v->options->word)
		return TRUE;
	if (item->kept)
		return refuse(error, item, "no key has it, but a cancelled order: there is nothing to prove, say --word");
	if (!held) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "ICCID %s: no key holds it, there is nothing to free", item->text);
		return FALSE;
	}
	ifpp_eid_format(item->entry.eid, eid);
	if (item->entry.hold == LEDGER_HELD_TEST)
		return refuse(error, item, "is a test profile's, which may be on many chips: there is nothing to free");
	if (item->entry.state == LEDGER_RESERVED)
		return refuse(error, item, "is being sealed for chip %s; when that is done, try again", eid);
	if (item->entry.state == LEDGER_INSTALLED)
		return refuse(error, item, "chip %s has proven that it is installed", eid);
	return TRUE;
}

/* ------------------------------------------------------------ doing it */

static char *void_text(Void *v, const Item *item)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(item->entry.key_id));
	g_autofree char *word = v->options->word ? g_uri_escape_string(v->options->word, NULL, FALSE) : NULL;
	g_autofree char *reason = g_uri_escape_string(v->options->reason, NULL, FALSE);

	return g_strdup_printf("voided %s %s %s %s\n", id, word ? "word" : "proof", word ? word : item->hash, reason);
}

static gboolean void_body(Db *db, gpointer user, GError **error)
{
	Void *v = user;
	Item *item = v->item;
	g_autofree char *text = void_text(v, item);
	gint64 changed = 0;

	if (!DB_RUN(db, "UPDATE binding SET state = 4, hold = 0, reason = $2 WHERE key_id = $1 AND state = $3 AND hold <> 2", NULL,
		    NULL, &changed, error, DB_B(item->entry.key_id, 32), DB_I(v->options->word ? LEDGER_VOID_WORD : LEDGER_VOID_PROOF),
		    DB_I(item->entry.state)))
		return FALSE;
	if (!changed) {
		LedgerEntry have;
		gboolean found;

		/* after a COMMIT whose answer was lost, it is done */
		if (!ledger_find(v->ledger, item->entry.key_id, &have, &found, error))
			return FALSE;
		return (found && have.state == LEDGER_VOID && have.hold == LEDGER_FREE) ||
		       refuse(error, item, "was changed by somebody else just now; look at it again");
	}
	return chain_append(v->ledger, text, 0, error) && orders_touch(v->ledger, item->entry.order, error);
}

static gboolean remove_file(const char *path, gboolean *removed, GError **error)
{
	*removed = g_unlink(path) == 0;
	return *removed || errno == ENOENT || ifpp_file_error(path, NULL, error);
}

/* On somebody's word the package may still be loaded, wherever it is: it is named. */
static gboolean remove_packages(Void *v, const Item *item, GError **error)
{
	g_autofree char *name = ifpp_package_file_name(item->entry.eid, item->entry.key_id);
	g_autofree char *path = store_path(v->home, item->entry.eid, item->entry.key_id);
	gboolean removed;
	guint n = 0;

	if (!remove_file(path, &removed, error))
		return FALSE;
	for (guint i = 0; v->options->packages && v->options->packages[i]; i++) {
		g_autofree char *other = g_build_filename(v->options->packages[i], name, NULL);

		if (!remove_file(other, &removed, error))
			return FALSE;
		n += removed;
	}
	printf("%s: void by %s%s; package %s removed from the home", item->text, v->options->word ? "the word of " : "proof",
	       v->options->word ? v->options->word : "", name);
	if (n)
		printf(" and %u other directories", n);
	printf("%s\n", v->options->word ? "; any other copy of it still loads: call it back" : "");
	return TRUE;
}

static gboolean keep_proof(Void *v, const Item *item, GError **error)
{
	g_autofree char *dir = home_path(v->home, "proofs"), *path = g_strdup_printf("%s/%s.json", dir, item->hash);

	return ifpp_make_dir(dir, 0700, error) && ifpp_file_write(path, item->proof, strlen(item->proof), 0600, error);
}

static gboolean void_one(Void *v, Item *item, GError **error)
{
	g_autofree char *text = NULL;
	gint64 kept;

	if (item->kept) {
		if (!orders_release(v->ledger, item->iccid, v->options->word, v->options->reason, &kept, error))
			return FALSE;
		printf("%s: no cancelled order keeps it any more\n", item->text);
		return TRUE;
	}
	v->item = item;
	/* The journal last: what it says is believed when the ledger is lost, and this frees something. */
	if ((item->proof && !keep_proof(v, item, error)) || !ledger_transaction(v->ledger, void_body, v, error))
		return FALSE;
	text = void_text(v, item);
	return store_journal(v->home, text, strlen(text), error) && remove_packages(v, item, error);
}

static gboolean ask(Void *v, guint n, GError **error)
{
	g_autofree char *question = g_strdup_printf("%u ICCIDs may be sealed again, and their packages are removed%s.", n,
						    v->options->word ? "; a copy that is loaded all the same makes two chips with "
						    "one subscriber" : "");

	return order_confirm(question, v->options->yes, error);
}

static gboolean void_all(Void *v, GError **error)
{
	guint n = g_strv_length(v->options->iccids);
	g_autofree Item *items = g_new0(Item, n);
	gboolean ok = TRUE;

	v->items = items;
	v->n_items = n;
	for (guint i = 0; ok && i < n; i++) {
		items[i].text = v->options->iccids[i];
		ok = look(v, &items[i], error);
	}
	ok = ok && find_proofs(v, error) && ask(v, n, error);
	for (guint i = 0; ok && i < n; i++)
		ok = void_one(v, &items[i], error) && anchor_catch_up(v->ledger, v->home, error);
	for (guint i = 0; i < n; i++) {
		g_free(items[i].proof);
		g_free(items[i].hash);
	}
	return ok;
}

gboolean void_iccids(const Home *home, const VoidOptions *options, GError **error)
{
	g_autoptr(IfppReport) report = options->proof ? ifpp_report_open(options->proof, error) : NULL;
	g_autoptr(Ledger) ledger = NULL;
	Void v = { .home = home, .options = options, .report = report };

	if (options->proof && !report)
		return FALSE;
	ledger = v.ledger = ledger_open(home, error);
	/* an old ledger does not know whose the ICCID is */
	return ledger && anchor_check(ledger, home, NULL, error) && void_all(&v, error);
}
