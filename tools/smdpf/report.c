// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include <stdio.h>

#include "diskset.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "report-check.h"
#include "report-file.h"
#include "request-bundle.h"
#include "requests.h"
#include "told.h"

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
	check_tell(check, MISSING, eid, key_hex, entry, NULL);
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
	if (!check_flush(check)) {
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
	check_tell_end(&check);
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
