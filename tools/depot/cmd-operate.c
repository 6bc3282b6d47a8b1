// SPDX-License-Identifier: GPL-2.0-or-later
/* What only the operator may say: which units are lost, which stations are served, which delivery is not wanted. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <bundle.h>
#include <eid.h>
#include <error.h>
#include <json.h>

#define PAGE 500
#define QUOTA 64

/* burn and unburn: what a person says became of a unit, with the reason for the history. */
static gboolean settle(int argc, char **argv, const char *about, const char *ask, const char *says,
		       gboolean (*act)(Depot *, const guint8 *, const char *, const char *, guint *, GError **), GError **error)
{
	g_autofree char *why = NULL;
	GOptionEntry entries[] = {
		COMMON,
		{ "why", 0, 0, G_OPTION_ARG_STRING, &why, ask, "TEXT" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint8 eid[16];
	guint count;

	if (!ifpp_options_parse(entries, "EID", about, &argc, &argv, 1, error) || !ifpp_eid_parse(argv[1], eid, error))
		return FALSE;
	if (!why || !ifpp_bundle_text_valid(why)) {
		g_autofree char *what = g_strdup_printf("--why: %s, in 1 to 64 bytes of printable UTF-8", ask);

		return ifpp_usage_error(error, what);
	}
	depot = depot_open(args_db(), FALSE, error);
	if (!depot || !act(depot, eid, g_get_user_name(), why, &count, error))
		return FALSE;
	if (!args_json)
		printf("%u packages %s\n", count, says);
	return TRUE;
}

gboolean cmd_burn(int argc, char **argv, int *exit_code, GError **error)
{
	return settle(argc, argv, "Accounts for a unit that is broken or gone: its packages that have not ended are burnt.",
		      "Say what happened to the unit", "burnt", depot_burn, error);
}

gboolean cmd_unburn(int argc, char **argv, int *exit_code, GError **error)
{
	return settle(argc, argv,
		      "A unit that was given up is good after all: its packages that were burnt are free again, and what\n"
		      "stations said of it without proof is put aside. What a chip has signed stays.",
		      "Say how it was found out", "are free again", depot_unburn, error);
}

static void tell_doubt(const DepotDoubt *doubt)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(doubt->key_id)), *when = depot_time(doubt->at);
	char eid[33];

	ifpp_eid_format(doubt->eid, eid);
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("doubt");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "key_id", key);
		ifpp_json_string(b, "station", doubt->station);
		ifpp_json_string(b, "time", when);
		ifpp_json_bool(b, "signed", doubt->signed_by_chip);
		ifpp_json_string(b, "why", doubt->why);
		ifpp_json_string(b, "record", doubt->record);
		ifpp_json_print(b);
	} else {
		printf("%s  %s  %.16s  %-12s  %s\n", when, eid, key, doubt->station, doubt->why);
	}
}

gboolean cmd_doubts(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(GPtrArray) doubts = NULL;
	g_autoptr(Depot) depot = NULL;
	guint count = 0;

	if (!ifpp_options_parse(entries, NULL,
				"Lists what stations say became of packages, and no chip has signed or nobody can prove. It changes\n"
				"nothing until the chip's data proves it, or burn or unburn settles it.", &argc, &argv, 0, error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	if (!depot)
		return FALSE;
	do {
		g_autoptr(GPtrArray) next = depot_doubts(depot, NULL, doubts ? doubts->pdata[doubts->len - 1] : NULL, PAGE,
							 error);

		if (!next)
			return FALSE;
		for (guint i = 0; i < next->len; i++)
			tell_doubt(next->pdata[i]);
		count += next->len;
		g_clear_pointer(&doubts, g_ptr_array_unref);
		doubts = g_steal_pointer(&next);
	} while (doubts->len >= PAGE);
	if (!args_json)
		printf("%u doubts\n", count);
	return TRUE;
}

static void tell_station(const DepotStation *station)
{
	g_autofree char *added = depot_time(station->added);
	g_autofree char *batches = station->batches ? g_strjoinv(", ", station->batches) : NULL;

	if (args_json) {
		JsonBuilder *b = ifpp_json_new("station");

		ifpp_json_string(b, "name", station->name);
		json_builder_set_member_name(b, "batches");
		json_builder_begin_array(b);
		for (char **batch = station->batches; batch && *batch; batch++)
			json_builder_add_string_value(b, *batch);
		json_builder_end_array(b);
		ifpp_json_int(b, "quota", station->quota);
		ifpp_json_int(b, "held", station->held);
		ifpp_json_bool(b, "revoked", station->revoked);
		ifpp_json_string(b, "added", added);
		ifpp_json_print(b);
	} else {
		printf("%-20s  %-8s  %5" G_GINT64_FORMAT " of %-5" G_GINT64_FORMAT "  %s\n", station->name,
		       station->revoked ? "revoked" : "served", station->held, station->quota, batches ?: "all orders");
	}
}

static gboolean list_stations(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) stations = depot_stations(depot, error);

	if (!stations)
		return FALSE;
	if (!args_json && stations->len)
		printf("%-20s  %-8s  %-14s  %s\n", "STATION", "", "CHIPS HELD", "ORDERS");
	for (guint i = 0; i < stations->len; i++)
		tell_station(stations->pdata[i]);
	if (!args_json && !stations->len)
		puts("No station is named: each that the station CA certifies is served. Name them with ifpp-depot station add.");
	return TRUE;
}

gboolean cmd_station(int argc, char **argv, int *exit_code, GError **error)
{
	g_auto(GStrv) batches = NULL;
	int quota = QUOTA;
	GOptionEntry entries[] = {
		COMMON,
		{ "batch", 0, 0, G_OPTION_ARG_STRING_ARRAY, &batches, "An order that it serves; again for more (all)", "NAME" },
		{ "quota", 0, 0, G_OPTION_ARG_INT, &quota, "Chips that it may hold at a time, 0: any number (64)", "N" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	const char *what;
	guint released;

	if (!ifpp_options_parse(entries, "add|revoke NAME, or list",
				"Names a station by the CN of its certificate, or changes what it may have; lists stations; or revokes\n"
				"one. From the first one on, those that are not named are refused.", &argc, &argv, -1, error))
		return FALSE;
	what = argc > 1 ? argv[1] : "";
	if (g_str_equal(what, "list") && argc == 2) {
		depot = depot_open(args_db(), FALSE, error);
		return depot && list_stations(depot, error);
	}
	if (argc != 3 || (!g_str_equal(what, "add") && !g_str_equal(what, "revoke")))
		return ifpp_usage_error(error, "station: add NAME, revoke NAME or list");
	if (!args_station_ok(argv[2], 1, error))
		return FALSE;
	for (char **batch = batches; batch && *batch; batch++)
		if (!ifpp_bundle_text_valid(*batch))
			return ifpp_usage_error(error, "--batch: not 1 to 64 bytes of printable UTF-8");
	if (quota < 0)
		return ifpp_usage_error(error, "--quota: 0 or more");
	depot = depot_open(args_db(), FALSE, error);
	if (!depot)
		return FALSE;
	if (g_str_equal(what, "add"))
		return depot_station_add(depot, &(DepotStation){ .name = argv[2], .batches = batches, .quota = quota }, error);
	if (!depot_station_revoke(depot, argv[2], &released, error))
		return FALSE;
	if (!args_json)
		printf("%s is revoked; the leases of %u packages have ended\n", argv[2], released);
	return TRUE;
}

gboolean cmd_reject(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	guint removed, burnt;

	if (!ifpp_options_parse(entries, "DELIVERY",
				"Has nothing more to do with a delivery that is not here whole, by the digits that status shows. Those of\n"
				"its packages that no station ever claimed are taken out; the others are burnt, and what a chip has signed counts.", &argc, &argv, 1, error))
		return FALSE;
	if (strlen(argv[1]) < 8 || strspn(argv[1], "0123456789abcdef") != strlen(argv[1]))
		return ifpp_usage_error(error, "a delivery has hexadecimal digits, at least eight of them");
	depot = depot_open(args_db(), FALSE, error);
	if (!depot || !depot_reject(depot, argv[1], &removed, &burnt, error))
		return FALSE;
	if (!args_json)
		printf("The delivery is rejected; %u packages are taken out, %u are burnt\n", removed, burnt);
	return TRUE;
}
