// SPDX-License-Identifier: GPL-2.0-or-later
/* A depot that outlives its disk: copies, what is in them, and whether it is sound. */
#include "commands.h"

#include <stdio.h>

#include <error.h>
#include <json.h>

#include "backup.h"

gboolean cmd_backup(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;

	if (!ifpp_options_parse(entries, "FILE",
				"Copies the depot, of either database, into a new file of SQLite, while it works.", &argc, &argv, 1,
				error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	return depot && depot_backup(depot, argv[1], error);
}

gboolean cmd_restore(int argc, char **argv, int *exit_code, GError **error)
{
	gboolean only_epoch = FALSE;
	GOptionEntry entries[] = {
		COMMON,
		{ "done", 0, 0, G_OPTION_ARG_NONE, &only_epoch, "The database was restored by other means: stations shall know", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;

	if (!ifpp_options_parse(entries, "[FILE]",
				"Fills an empty depot, of either database, from a backup. Stations then bring again whatever they have.",
				&argc, &argv, -1, error))
		return FALSE;
	if (argc != (only_epoch ? 1 : 2))
		return ifpp_usage_error(error, "restore: FILE, or --done alone");
	depot = depot_open(args_db(), !only_epoch, error);
	if (!depot)
		return FALSE;
	return only_epoch ? depot_epoch_renew(depot, error) : depot_restore(depot, argv[1], error);
}

static void tell_bad(const char *line, gpointer user)
{
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("damage");

		ifpp_json_string(b, "what", line);
		ifpp_json_print(b);
	} else {
		printf("damaged: %s\n", line);
	}
}

gboolean cmd_check(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	CheckTotals t;

	if (!ifpp_options_parse(entries, NULL,
				"Goes through all of the depot: rows, bytes and their hashes, results and histories.", &argc, &argv, 0,
				error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	if (!depot || !depot_check(depot, &t, tell_bad, NULL, error))
		return FALSE;
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("check");

		ifpp_json_int(b, "packages", t.packages);
		ifpp_json_int(b, "bytes", t.bytes);
		ifpp_json_int(b, "results", t.results);
		ifpp_json_int(b, "events", t.events);
		ifpp_json_int(b, "damaged", t.bad);
		ifpp_json_print(b);
	} else {
		printf("%" G_GUINT64_FORMAT " packages of %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " results, %"
		       G_GUINT64_FORMAT " lines of history: %u damaged\n", t.packages, t.bytes, t.results, t.events, t.bad);
	}
	if (t.bad)
		*exit_code = IFPP_EXIT_FAILED;
	return TRUE;
}
