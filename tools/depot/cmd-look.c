// SPDX-License-Identifier: GPL-2.0-or-later
/* Looking: what there is, what became of it, whether it adds up. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <eid.h>
#include <error.h>
#include <json.h>

#include "depot-error.h"
#include "report.h"

#define PAGE 500

static void tell_line(const char *line, gpointer user)
{
	++*(guint *)user;
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("unreconciled");

		ifpp_json_string(b, "what", line);
		ifpp_json_print(b);
	} else {
		printf("does not add up: %s\n", line);
	}
}

gboolean cmd_status(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	DepotTotals totals;
	gint64 all = 0;
	guint odd = 0;

	if (!ifpp_options_parse(entries, NULL, "Counts, and names whatever does not add up.", &argc, &argv, 0, error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	if (!depot || !depot_totals(depot, &totals, error) || !depot_reconcile(depot, tell_line, &odd, error))
		return FALSE;
	for (guint i = 0; i < DEPOT_N_STATES; i++)
		all += totals.packages[i];
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("status");

		ifpp_json_int(b, "packages", all);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			ifpp_json_int(b, depot_state_names[i], totals.packages[i]);
		ifpp_json_int(b, "bytes", totals.bytes);
		ifpp_json_int(b, "deliveries", totals.deliveries);
		ifpp_json_int(b, "results", totals.results);
		ifpp_json_int(b, "proven", totals.proven);
		ifpp_json_int(b, "doubts", totals.doubts);
		ifpp_json_int(b, "stations", totals.stations);
		ifpp_json_int(b, "chips", totals.chips);
		ifpp_json_int(b, "locked", totals.locked);
		ifpp_json_int(b, "unreconciled", odd);
		ifpp_json_print(b);
	} else {
		printf("%" G_GINT64_FORMAT " packages, %" G_GINT64_FORMAT " bytes, from %" G_GINT64_FORMAT " deliveries\n",
		       all, totals.bytes, totals.deliveries);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			printf("%10" G_GINT64_FORMAT " %s\n", totals.packages[i], depot_state_names[i]);
		printf("%" G_GINT64_FORMAT " results, %" G_GINT64_FORMAT " of them proven; %" G_GINT64_FORMAT
		       " chips seen, %" G_GINT64_FORMAT " locked; %" G_GINT64_FORMAT " doubts\n", totals.results, totals.proven,
		       totals.chips, totals.locked, totals.doubts);
		if (!totals.stations)
			puts("no station is named: each that the station CA certifies is served, see ifpp-depot station");
	}
	if (odd)
		*exit_code = IFPP_EXIT_FAILED;
	return TRUE;
}

static gboolean list_one(DepotItem *item, gpointer user, GError **error)
{
	args_tell_item(item);
	return TRUE;
}

gboolean cmd_list(int argc, char **argv, int *exit_code, GError **error)
{
	g_auto(Filter) f = {};
	GOptionEntry entries[] = {
		COMMON, FILTER(f),
		{ "key", 0, 0, G_OPTION_ARG_STRING, &f.key, "For this one-time key", "KEYID" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint count = 0;

	if (!ifpp_options_parse(entries, NULL, "Lists packages: all, or those that are asked for.", &argc, &argv, 0,
				error) ||
	    !args_filter_read(&f, error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	if (!depot)
		return FALSE;
	if (!args_json)
		printf("%-9s  %-32s  %-16s  %-20s  %-12s  %s\n", "STATE", "EID", "KEY ID", "ICCID", "STATION",
		       "OPERATOR / BATCH");
	if (!args_each(depot, &f.filter, list_one, NULL, &count, error))
		return FALSE;
	if (!args_json)
		printf("%u packages\n", count);
	return TRUE;
}

gboolean cmd_history(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	g_autoptr(GPtrArray) events = NULL;
	g_autofree char *proof = NULL, *record = NULL;
	g_autoptr(GError) local = NULL;
	guint8 key_id[32];

	if (!ifpp_options_parse(entries, "KEYID", "Tells what happened to a package, and shows its result.", &argc, &argv,
				1, error) ||
	    !args_key(argv[1], key_id, error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	events = depot ? depot_history(depot, key_id, error) : NULL;
	if (!events)
		return FALSE;
	if (!events->len) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no package for the key %s", argv[1]);
		return FALSE;
	}
	for (guint i = 0; i < events->len; i++) {
		const DepotEvent *event = events->pdata[i];
		g_autofree char *when = depot_time(event->at);

		if (args_json) {
			JsonBuilder *b = ifpp_json_new("event");

			ifpp_json_string(b, "time", when);
			ifpp_json_string(b, "state", depot_state_names[event->state]);
			ifpp_json_string(b, "station", event->station);
			ifpp_json_string(b, "detail", event->detail);
			ifpp_json_print(b);
		} else {
			printf("%s  %-9s  %-12s  %s\n", when, depot_state_names[event->state], event->station ?: "-",
			       event->detail);
		}
	}
	record = depot_result(depot, key_id, &proof, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (record)
		puts(record);
	return TRUE;
}

gboolean cmd_report(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *file = NULL;
	g_auto(Filter) f = {};
	GOptionEntry entries[] = {
		COMMON, FILTER(f),
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &file, "Where to write it; - is standard output", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	ReportTotals t;
	guint all = 0, odd = 0;

	if (!ifpp_options_parse(entries, NULL,
				"Writes the Profile Loading Report for the Key Maker (ifpp-smdpf verify-report): every package that\n"
				"was delivered, whatever became of it.", &argc, &argv, 0, error) ||
	    !args_filter_read(&f, error))
		return FALSE;
	if (!file)
		return ifpp_usage_error(error, "say where to write it with -o FILE");
	depot = depot_open(args_db(), FALSE, error);
	if (!depot || !depot_report(depot, &f.filter, file, &t, error))
		return FALSE;
	for (guint i = 0; i < DEPOT_N_STATES; i++)
		all += t.packages[i];
	if (g_str_equal(file, "-"))
		return TRUE;
	if (!depot_reconcile(depot, tell_line, &odd, error))
		return FALSE;
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("report");

		ifpp_json_string(b, "file", file);
		ifpp_json_int(b, "units", t.units);
		ifpp_json_int(b, "packages", all);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			ifpp_json_int(b, depot_state_names[i], t.packages[i]);
		ifpp_json_int(b, "locked", t.locked);
		ifpp_json_int(b, "unproven", t.unproven);
		ifpp_json_int(b, "refused", t.refused);
		ifpp_json_int(b, "deleted", t.deleted);
		ifpp_json_int(b, "missing_results", t.missing);
		ifpp_json_int(b, "unreconciled", odd);
		ifpp_json_print(b);
	} else {
		printf("%s: %u units, %u packages =", file, t.units, all);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			printf("%s %u %s", i ? " +" : "", t.packages[i], depot_state_names[i]);
		printf("; %u units locked; %u results and locks not proven.\n", t.locked, t.unproven);
		if (t.refused)
			printf("%u packages were refused by stations before their chips saw them; the report has the reasons, unsigned.\n",
			       t.refused);
		if (t.deleted)
			printf("%u profiles were deleted again in their chips (ifppctl rework); the report has the chips' signed records.\n",
			       t.deleted);
		if (t.missing)
			printf("%u keys are spent, as the chips' lock receipts say, and no station has brought a result of them.\n",
			       t.missing);
	}
	if (t.told + t.pending != all || odd) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_RECONCILE, "%s: %u things do not add up", file, odd);
		return FALSE;
	}
	return TRUE;
}
