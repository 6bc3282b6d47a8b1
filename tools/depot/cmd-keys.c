// SPDX-License-Identifier: GPL-2.0-or-later
/* Chips that EUMs have told of, and which of their keys is for which Key Maker. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <bundle.h>
#include <json.h>

#include "esed.h"
#include "keys.h"
#include "rows.h"

static gboolean list_batches(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) list = esed_list(depot, error);

	for (guint i = 0; list && i < list->len; i++) {
		const Esed *esed = list->pdata[i];
		g_autofree char *id = ifpp_hex(IFPP_SPAN(esed->id)), *at = depot_time(esed->at);

		if (args_json) {
			JsonBuilder *b = ifpp_json_new("batch");

			ifpp_json_string(b, "id", id);
			ifpp_json_string(b, "name", esed->name);
			ifpp_json_int(b, "chips", esed->chips);
			ifpp_json_bool(b, "whole", esed->done);
			ifpp_json_string(b, "at", at);
			ifpp_json_print(b);
		} else {
			printf("%.16s  %s  %6" G_GINT64_FORMAT " chips  %s%s\n", id, at, esed->chips, esed->name ?: "-",
			       esed->done ? "" : "  not here whole: import it again");
		}
	}
	return list != NULL;
}

gboolean cmd_chips(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *out = NULL;
	GOptionEntry entries[] = {
		COMMON,
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &out, "The batch to write", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint8 id[32];

	if (!ifpp_options_parse(entries, "list, or export BATCH -o FILE",
				"Lists the batches of eUICC data that import has taken in, or writes one again as its EUM signed it.",
				&argc, &argv, -1, error))
		return FALSE;
	if (argc == 2 && g_str_equal(argv[1], "list") && !out) {
		depot = depot_open(args_db(), FALSE, error);
		return depot && list_batches(depot, error);
	}
	if (argc != 3 || !g_str_equal(argv[1], "export") || !out)
		return ifpp_usage_error(error, "chips: list, or export BATCH -o FILE");
	depot = depot_open(args_db(), FALSE, error);
	return depot && esed_find(depot, argv[2], id, error) && esed_export(depot, id, out, error);
}

static gboolean list_keys(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) list = keys_list(depot, error);

	for (guint i = 0; list && i < list->len; i++) {
		const KeysCount *count = list->pdata[i];

		if (args_json) {
			JsonBuilder *b = ifpp_json_new("key_maker");

			ifpp_json_string(b, "key_maker", count->key_maker);
			ifpp_json_int(b, "chips", count->chips);
			ifpp_json_int(b, "keys", count->keys);
			ifpp_json_int(b, "packages", count->packages);
			ifpp_json_print(b);
		} else {
			printf("%8" G_GINT64_FORMAT " keys of %" G_GINT64_FORMAT " chips, packages for %" G_GINT64_FORMAT "  %s\n",
			       count->keys, count->chips, count->packages, count->key_maker);
		}
	}
	return list != NULL;
}

static char *plain(const char *text)
{
	char *copy = g_strdup(text);

	for (char *p = copy; *p; p++)
		if (!g_ascii_isalnum(*p) && *p != '.' && *p != '_')
			*p = '-';
	return copy;
}

/* Names that a file's name cannot hold as they are do not meet: a part of their hash stands behind. */
static char *file_name(const char *dir, const IfppRequestHead *head, const char *batch)
{
	g_autofree char *all = g_strjoin("\n", head->order ?: "", head->key_maker, head->profile ?: "", batch ?: "", NULL);
	g_autofree char *order = plain(head->order ?: "request"), *maker = plain(head->key_maker), *hex = NULL, *name = NULL;
	guint8 sum[32];

	rows_sha256(all, strlen(all), sum);
	hex = ifpp_hex((IfppSpan){ sum, 4 });
	name = g_strdup_printf("%s-%s-%s.ifppr", order, maker, hex);
	return g_build_filename(dir, name, NULL);
}

static gboolean assign(const IfppRequestHead *head, gboolean imei, const char *batch, const char *dir, GError **error)
{
	g_autoptr(Depot) depot = depot_open(args_db(), FALSE, error);
	g_autofree char *path = file_name(dir, head, batch);
	guint8 id[32], *esed = batch ? id : NULL;
	guint assigned, chips;
	gboolean written;

	if (!depot || (batch && !esed_find(depot, batch, id, error)) ||
	    !keys_assign(depot, esed, head->key_maker, head->keys_each, &assigned, error) ||
	    !keys_request(depot, esed, head, imei, path, &chips, &written, error))
		return FALSE;
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("request");

		ifpp_json_string(b, "file", path);
		ifpp_json_string(b, "order", head->order);
		ifpp_json_string(b, "key_maker", head->key_maker);
		ifpp_json_string(b, "profile", head->profile);
		ifpp_json_int(b, "chips", chips);
		ifpp_json_int(b, "keys", head->keys_each);
		ifpp_json_int(b, "assigned", assigned);
		ifpp_json_string(b, "outcome", written ? "written" : "there already");
		ifpp_json_print(b);
	} else {
		printf("%s: %u chips, %u keys of each for %s, %u keys assigned now, %s.\n", path, chips, head->keys_each,
		       head->key_maker, assigned, written ? "written" : "there already");
	}
	return TRUE;
}

static gboolean text_ok(const char *text, const char *option, GError **error)
{
	g_autofree char *what = NULL;

	if (!text || ifpp_bundle_text_valid(text))
		return TRUE;
	what = g_strdup_printf("%s: not 1 to 64 bytes of printable UTF-8", option);
	return ifpp_usage_error(error, what);
}

gboolean cmd_keys(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *key_maker = NULL, *order = NULL, *profile = NULL, *batch = NULL, *dir = NULL;
	gboolean imei = FALSE;
	int keys = 0;
	GOptionEntry entries[] = {
		COMMON,
		{ "for", 0, 0, G_OPTION_ARG_STRING, &key_maker, "Whose they are from then on", "KEYMAKER" },
		{ "keys", 0, 0, G_OPTION_ARG_INT, &keys, "How many of each chip (1 to 256)", "N" },
		{ "batch", 0, 0, G_OPTION_ARG_STRING, &batch, "Chips of this batch of an EUM (all)", "BATCH" },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order, "What the order is called", "NAME" },
		{ "profile", 0, 0, G_OPTION_ARG_STRING, &profile, "Which type of profile is asked for", "TYPE" },
		{ "imei", 0, 0, G_OPTION_ARG_NONE, &imei, "Tell the IMEI of each device that stations have told", NULL },
		{ "to", 0, 0, G_OPTION_ARG_FILENAME, &dir, "Where the request is written; its name tells order and Key Maker", "DIR" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, "assign, or list",
				"Assigns keys of many chips to a Key Maker and writes the request that carries these keys only, or lists\n"
				"how many are whose. The same again assigns nothing, and leaves the request as it is.", &argc, &argv, 1,
				error))
		return FALSE;
	if (g_str_equal(argv[1], "list")) {
		g_autoptr(Depot) depot = depot_open(args_db(), FALSE, error);

		return depot && list_keys(depot, error);
	}
	if (!g_str_equal(argv[1], "assign"))
		return ifpp_usage_error(error, "keys: assign, or list");
	if (!key_maker || keys < 1 || keys > 256 || !dir)
		return ifpp_usage_error(error, "keys assign: --for KEYMAKER, --keys N (1 to 256) and --to DIR are needed");
	return text_ok(key_maker, "--for", error) && text_ok(order, "--order", error) && text_ok(profile, "--profile", error) &&
	       assign(&(IfppRequestHead){ .order = order, .key_maker = key_maker, .profile = profile, .keys_each = keys }, imei,
		      batch, dir, error);
}
