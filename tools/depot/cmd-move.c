// SPDX-License-Identifier: GPL-2.0-or-later
/* Packages in and out, and results in. */
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <eid.h>
#include <error.h>
#include <file.h>
#include <json.h>
#include <package.h>

#include "depot-error.h"
#include "esed.h"
#include "import.h"
#include "record.h"

#define RECORD_FILE_MAX (1024 * 1024)

static void progress(const char *doing, guint done, guint all)
{
	static gint64 last;
	gint64 now = g_get_monotonic_time();

	if (done < all && now - last < 200000)
		return;
	last = now;
	fprintf(stderr, "\r%s %u of %u%s", doing, done, all, done == all ? "\n" : "");
}

gboolean cmd_init(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;

	if (!ifpp_options_parse(entries, NULL, "Makes the depot if it is not there. import does that too.", &argc, &argv,
				0, error))
		return FALSE;
	depot = depot_open(args_db(), TRUE, error);
	if (depot && !args_json)
		puts("The depot is ready. Nothing that will be in it is secret.");
	return depot != NULL;
}

static void tell_waiting(const char *why)
{
	g_autofree char *line = g_strdelimit(g_strdup(why), "\r\n", ' ');

	fprintf(stderr, "ifpp-depot: %s; waiting for the database.\n", g_strchomp(line));
}

static gboolean import_chips(Depot *depot, const char *file, IfppTrust *trust, GError **error)
{
	EsedCount count;
	gboolean ok = esed_import(depot, file, trust, isatty(STDERR_FILENO) ? progress : NULL, &count, error);

	if (ok && args_json) {
		JsonBuilder *b = ifpp_json_new("import");

		ifpp_json_string(b, "file", file);
		ifpp_json_string(b, "batch", count.name);
		ifpp_json_int(b, "chips", count.chips);
		ifpp_json_int(b, "added", count.added);
		ifpp_json_print(b);
	} else if (ok) {
		printf("%s: %u chips%s%s, %u added now, %u there already.\n", file, count.chips,
		       count.name ? " of batch " : "", count.name ?: "", count.added, count.chips - count.added);
	}
	g_free(count.name);
	return ok;
}

gboolean cmd_import(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *trust_dir = NULL, *operator = NULL;
	int wait = 60;
	GOptionEntry entries[] = {
		COMMON,
		TRUST(trust_dir),
		{ "wait", 0, 0, G_OPTION_ARG_INT, &wait, "For a database that goes away in the middle (60)", "SECONDS" },
		{ "operator", 0, 0, G_OPTION_ARG_STRING, &operator, "Whose profiles; default: as each package says", "NAME" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(IfppTrust) trust = NULL;
	g_autoptr(Depot) depot = NULL;

	if (!ifpp_options_parse(entries, "DELIVERY|BATCH",
				"Verifies a Key Maker's delivery (.ifppd) and takes its packages in, or an EUM's batch of eUICC data\n"
				"(.ifppe) and its chips. Again is harmless, and finishes what was interrupted.", &argc, &argv, 1, error))
		return FALSE;
	if (operator && !ifpp_bundle_text_valid(operator))
		return ifpp_usage_error(error, "--operator: not 1 to 64 bytes of printable UTF-8");
	if (wait < 0 || wait > 3600)
		return ifpp_usage_error(error, "--wait: from 0 seconds to an hour");
	trust = args_trust(trust_dir, error);
	depot = trust ? depot_open(args_db(), TRUE, error) : NULL;
	if (!depot)
		return FALSE;
	depot_wait(depot, wait, tell_waiting);
	if (g_str_has_suffix(argv[1], ".ifppe"))
		return import_chips(depot, argv[1], trust, error);
	{
		ImportCount count;
		gboolean ok = depot_import(depot, argv[1], trust, operator, isatty(STDERR_FILENO) ? progress : NULL, &count,
					   error);

		if (ok && args_json) {
			JsonBuilder *b = ifpp_json_new("import");

			ifpp_json_string(b, "file", argv[1]);
			ifpp_json_string(b, "order", count.order);
			ifpp_json_int(b, "packages", count.packages);
			ifpp_json_int(b, "added", count.added);
			ifpp_json_print(b);
		} else if (ok) {
			printf("%s: %u packages%s%s, %u added now, %u there already.\n", argv[1], count.packages,
			       count.order ? " of order " : "", count.order ?: "", count.added, count.packages - count.added);
		}
		g_free(count.order);
		return ok;
	}
}

typedef struct {
	Depot *depot;
	const char *station, *to;
	guint lease, chips, packages;
	guint8 last[16];
	gboolean any;
} Take;

/* The same on a directory as over HTTPS: claim, then fetch. */
static gboolean take_chip(Take *t, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) items = NULL;
	gint64 until;

	items = depot_claim(t->depot, eid, t->station, t->lease, &until, error);
	if (!items)
		return FALSE;
	for (guint i = 0; i < items->len; i++) {
		DepotItem *item = items->pdata[i];
		g_autofree char *name = ifpp_package_file_name(item->eid, item->key_id);
		g_autofree char *path = t->to ? g_build_filename(t->to, name, NULL) : NULL;
		g_autoptr(GBytes) package = NULL;
		guint8 sha256[32];

		if (path) {
			package = depot_fetch(t->depot, item->key_id, t->station, sha256, error);
			if (!package || !ifpp_file_write(path, g_bytes_get_data(package, NULL), g_bytes_get_size(package),
							 0644, error))
				return FALSE;
			item->state = DEPOT_SENT;
		}
		g_free(item->station);
		item->station = g_strdup(t->station);
		item->lease = until;
		args_tell_item(item);
	}
	t->chips += items->len > 0;
	t->packages += items->len;
	return TRUE;
}

static gboolean take_one(DepotItem *item, gpointer user, GError **error)
{
	Take *t = user;

	if (t->any && !memcmp(t->last, item->eid, 16))
		return TRUE;
	t->any = TRUE;
	memcpy(t->last, item->eid, 16);
	return item->state > DEPOT_SENT || take_chip(t, item->eid, error);
}

gboolean cmd_claim(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *station = NULL;
	int lease = 3600;
	GOptionEntry entries[] = {
		COMMON,
		STATION(station, "For whom"),
		LEASE(lease, "3600"),
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint8 eid[16];
	Take take;

	if (!ifpp_options_parse(entries, "EID", "Reserves all packages of a chip for a station, or none.", &argc, &argv, 1,
				error) ||
	    !args_station_ok(station, lease, error) || !ifpp_eid_parse(argv[1], eid, error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	take = (Take){ .depot = depot, .station = station, .lease = lease };
	if (!depot || !take_chip(&take, eid, error))
		return FALSE;
	if (!args_json)
		printf("%u packages claimed\n", take.packages);
	return TRUE;
}

gboolean cmd_export(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *station = NULL, *to = NULL;
	g_auto(Filter) f = {};
	int lease = DEPOT_LEASE_MAX;
	GOptionEntry entries[] = {
		COMMON, FILTER(f),
		STATION(station, "For whom"),
		LEASE(lease, "604800"),
		{ "to", 0, 0, G_OPTION_ARG_FILENAME, &to, "Where the packages go", "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint count = 0;
	Take take;

	if (!ifpp_options_parse(entries, NULL,
				"Claims chips for a station and writes their packages into a directory, for ifppctl provision\n"
				"--source DIR on a line without a network. Results come back with ifppctl deliver and collect.",
				&argc, &argv, 0, error) ||
	    !args_filter_read(&f, error) || !args_station_ok(station, lease, error))
		return FALSE;
	if (!to)
		return ifpp_usage_error(error, "--to: say where the packages go");
	depot = depot_open(args_db(), FALSE, error);
	take = (Take){ .depot = depot, .station = station, .to = to, .lease = lease };
	if (!depot || !ifpp_make_dir(to, 0755, error) || !args_each(depot, &f.filter, take_one, &take, &count, error))
		return FALSE;
	if (!args_json)
		printf("%u packages of %u chips in %s\n", take.packages, take.chips, to);
	return TRUE;
}

gboolean cmd_release(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *station = NULL;
	GOptionEntry entries[] = {
		COMMON,
		STATION(station, "Only if this one has it"),
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint8 eid[16];
	guint released;

	if (!ifpp_options_parse(entries, "EID", "Ends the claim of a chip: any station may have it then.", &argc, &argv, 1,
				error) ||
	    !ifpp_eid_parse(argv[1], eid, error))
		return FALSE;
	depot = depot_open(args_db(), FALSE, error);
	if (!depot || !depot_release(depot, eid, station, &released, error))
		return FALSE;
	if (!args_json)
		printf("%u packages released\n", released);
	return TRUE;
}

typedef struct {
	guint files, stored, there, refused;
} Collected;

/* Chips first: their certificates prove the results. */
static const char *const kinds[] = { ".chip.json", ".result.json", ".notes.json" };

static gboolean put_record(Depot *depot, IfppTrust *trust, const char *station, IfppSpan text, guint kind,
			   gboolean *stored, GError **error)
{
	DepotState state;
	guint kept, told;

	switch (kind) {
	case 0:
		return record_put_chip(depot, trust, station, NULL, text, stored, error);
	case 1:
		return record_put_result(depot, trust, station, NULL, text, stored, &state, NULL, error);
	default:
		return record_put_notes(depot, station, NULL, text, stored, &kept, &told, error);
	}
}

static gboolean collect_file(Depot *depot, IfppTrust *trust, const char *station, const char *path, guint kind,
			     Collected *c, GError **error)
{
	g_autoptr(GBytes) text = ifpp_file_read(path, RECORD_FILE_MAX, error);
	g_autoptr(GError) local = NULL;
	gboolean stored;

	if (!text)
		return FALSE;
	c->files++;
	if (put_record(depot, trust, station, ifpp_span_bytes(text), kind, &stored, &local)) {
		c->stored += stored;
		c->there += !stored;
	} else if (local->domain == DB_ERROR) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	} else {
		/* One bad file does not keep the others out. */
		c->refused++;
		g_prefix_error(&local, "%s: ", path);
		depot_error_exit(local);
	}
	return TRUE;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static gboolean collect(Depot *depot, IfppTrust *trust, const char *station, const char *dir, Collected *c,
			GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) local = NULL;
	g_autoptr(GDir) d = g_dir_open(dir, 0, &local);
	const char *name;

	if (!d) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: %s", dir, local->message);
		return FALSE;
	}
	while ((name = g_dir_read_name(d)))
		if (name[0] != '.')
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, by_name);
	for (guint kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
		for (guint i = 0; i < names->len; i++) {
			g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);

			if (g_str_has_suffix(path, kinds[kind]) &&
			    !collect_file(depot, trust, station, path, kind, c, error))
				return FALSE;
		}
	}
	return TRUE;
}

gboolean cmd_collect(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *trust_dir = NULL, *station = NULL;
	GOptionEntry entries[] = {
		COMMON,
		TRUST(trust_dir),
		STATION(station, "Whose results they are"),
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(IfppTrust) trust = NULL;
	g_autoptr(Depot) depot = NULL;
	Collected c = {};

	if (!ifpp_options_parse(entries, "DIR",
				"Takes in what ifppctl deliver --to DIR has written. Each is proven if it can be; again is harmless.",
				&argc, &argv, 1, error) ||
	    !args_station_ok(station, 1, error))
		return FALSE;
	trust = args_trust(trust_dir, error);
	depot = trust ? depot_open(args_db(), FALSE, error) : NULL;
	if (!depot || !collect(depot, trust, station, argv[1], &c, error))
		return FALSE;
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("collect");

		ifpp_json_int(b, "files", c.files);
		ifpp_json_int(b, "stored", c.stored);
		ifpp_json_int(b, "there", c.there);
		ifpp_json_int(b, "refused", c.refused);
		ifpp_json_print(b);
	} else {
		printf("%s: %u files, %u stored now, %u there already, %u refused.\n", argv[1], c.files, c.stored, c.there,
		       c.refused);
	}
	if (c.refused)
		*exit_code = IFPP_EXIT_REFUSED;
	return TRUE;
}
