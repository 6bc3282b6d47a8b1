// SPDX-License-Identifier: GPL-2.0-or-later
/* ifpp-depot: the warehouse of sealed packages. It cannot open one, and holds nothing that could. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <eid.h>
#include <error.h>
#include <file.h>
#include <json.h>
#include <options.h>
#include <package.h>

#include "depot-error.h"
#include "import.h"
#include "record.h"
#include "report.h"
#include "serve.h"

#define PROGRAM "ifpp-depot"
#define DEFAULT_DB "/var/lib/ifpp-depot/depot.db"
#define DEFAULT_TRUST "/etc/ifpp/ci"
#define RECORD_FILE_MAX (1024 * 1024)
#define PAGE 500

static const char usage[] =
	"usage: ifpp-depot COMMAND [OPTION...]\n"
	"\n"
	"  init       make the depot\n"
	"  import     verify deliveries of the Key Maker and take their packages in\n"
	"  status     how many packages there are in each state, and whether it adds up\n"
	"  list       packages by EID, key id, ICCID, operator, batch or state\n"
	"  history    what happened to a package\n"
	"  claim      reserve the packages of a chip for a station\n"
	"  release    end a claim early\n"
	"  export     claim and write packages into a directory, for a line without a network\n"
	"  collect    take results in that such a line has written into a directory\n"
	"  burn       account for a unit that is broken or gone\n"
	"  report     write the Profile Loading Report for the Key Maker\n"
	"  serve      serve stations over HTTPS\n"
	"\n"
	"ifpp-depot COMMAND --help lists the options of a command.\n"
	"--db, or IFPP_DEPOT_DB in the environment, says where the depot is: a file of SQLite, or\n"
	"postgresql://USER@HOST/NAME. Nothing in it is secret: packages are sealed, results signed.\n";

static char *opt_db;
static gboolean opt_json;

#define COMMON \
	{ "db", 0, 0, G_OPTION_ARG_STRING, &opt_db, "The depot; default: " DEFAULT_DB, "PATH|URL" }, \
	{ "json", 0, 0, G_OPTION_ARG_NONE, &opt_json, "One JSON object per line", NULL }

#define TRUST(dir) \
	{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &(dir), "CI roots and CRLs; default: " DEFAULT_TRUST, "DIR" }
#define STATION(name, what) { "station", 0, 0, G_OPTION_ARG_STRING, &(name), what, "NAME" }
#define LEASE(seconds, by_default) \
	{ "lease", 0, 0, G_OPTION_ARG_INT, &(seconds), "How long a claim lasts (" by_default ")", "SECONDS" }

static const char *db_url(void)
{
	return opt_db ?: g_getenv("IFPP_DEPOT_DB") ?: DEFAULT_DB;
}

/* ------------------------------------------------------------ telling */

static void tell_item(const DepotItem *item)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id)), *sha256 = ifpp_hex(IFPP_SPAN(item->sha256));
	g_autofree char *lease = item->lease ? depot_time(item->lease) : NULL, *changed = depot_time(item->changed);
	char eid[33];

	ifpp_eid_format(item->eid, eid);
	if (opt_json) {
		JsonBuilder *b = ifpp_json_new("package");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "key_id", key);
		ifpp_json_string(b, "state", depot_state_names[item->state]);
		ifpp_json_string(b, "station", item->station);
		ifpp_json_string(b, "lease", lease);
		ifpp_json_string(b, "changed", changed);
		ifpp_json_string(b, "iccid", item->iccid);
		ifpp_json_string(b, "operator", item->operator);
		ifpp_json_string(b, "batch", item->batch);
		ifpp_json_string(b, "profile", item->profile);
		ifpp_json_int(b, "bytes", item->bytes);
		ifpp_json_string(b, "sha256", sha256);
		ifpp_json_print(b);
		return;
	}
	printf("%-9s  %s  %.16s  %-20s  %-12s  %s%s%s\n", depot_state_names[item->state], eid, key, item->iccid,
	       item->station ?: "-", item->operator, *item->batch ? " / " : "", item->batch);
}

static void progress(const char *doing, guint done, guint all)
{
	static gint64 last;
	gint64 now = g_get_monotonic_time();

	if (done < all && now - last < 200000)
		return;
	last = now;
	fprintf(stderr, "\r%s %u of %u packages%s", doing, done, all, done == all ? "\n" : "");
}

/* ------------------------------------------------------------ arguments */

typedef struct {
	char *eid, *key, *iccid, *operator, *batch, *state;
	guint8 eid_bytes[16], key_bytes[32];
	DepotFilter filter;
} Filter;

#define FILTER(f) \
	{ "eid", 0, 0, G_OPTION_ARG_STRING, &(f).eid, "Of this chip", "EID" }, \
	{ "iccid", 0, 0, G_OPTION_ARG_STRING, &(f).iccid, "With this ICCID", "ICCID" }, \
	{ "operator", 0, 0, G_OPTION_ARG_STRING, &(f).operator, "Of this operator", "NAME" }, \
	{ "batch", 0, 0, G_OPTION_ARG_STRING, &(f).batch, "Of this order of the Key Maker", "NAME" }, \
	{ "state", 0, 0, G_OPTION_ARG_STRING, &(f).state, "free, reserved, sent, installed, failed or burnt", "STATE" }

static void filter_clear(Filter *f)
{
	g_free(f->eid);
	g_free(f->key);
	g_free(f->iccid);
	g_free(f->operator);
	g_free(f->batch);
	g_free(f->state);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Filter, filter_clear)

static gboolean parse_key(const char *text, guint8 key_id[32], GError **error)
{
	return ifpp_unhex_into(text, key_id, 32) || ifpp_usage_error(error, "a key id has 64 hexadecimal digits");
}

static gboolean filter_read(Filter *f, GError **error)
{
	DepotState state;

	f->filter = (DepotFilter){ .iccid = f->iccid, .operator = f->operator, .batch = f->batch, .state = -1 };
	if (!!f->eid + !!f->key + !!f->iccid + !!f->operator + !!f->batch > 1)
		return ifpp_usage_error(error, "give one of --eid, --key, --iccid, --operator and --batch");
	if (f->eid) {
		if (!ifpp_eid_parse(f->eid, f->eid_bytes, error))
			return FALSE;
		f->filter.eid = f->eid_bytes;
	}
	if (f->key) {
		if (!parse_key(f->key, f->key_bytes, error))
			return FALSE;
		f->filter.key_id = f->key_bytes;
	}
	if (f->state) {
		if (!depot_state_parse(f->state, &state))
			return ifpp_usage_error(error, "--state: free, reserved, sent, installed, failed or burnt");
		f->filter.state = state;
	}
	return TRUE;
}

/* How a chip's packages are claimed from the command line. */
static gboolean station_ok(const char *station, int lease, GError **error)
{
	if (!station || !depot_station_valid(station))
		return ifpp_usage_error(error, "--station: 1 to 64 letters, digits, dots, dashes and underscores");
	if (lease < 1 || lease > DEPOT_LEASE_MAX)
		return ifpp_usage_error(error, "--lease: from 1 second to 7 days");
	return TRUE;
}

/* ------------------------------------------------------------ commands */

static gboolean cmd_init(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;

	if (!ifpp_options_parse(entries, NULL, "Makes the depot if it is not there. import does that too.", &argc, &argv,
				0, error))
		return FALSE;
	depot = depot_open(db_url(), TRUE, error);
	if (depot && !opt_json)
		puts("The depot is ready. Nothing that will be in it is secret.");
	return depot != NULL;
}

static IfppTrust *open_trust(const char *dir, GError **error)
{
	return ifpp_trust_new_from_dir(dir ?: DEFAULT_TRUST, error);
}

static void tell_waiting(const char *why)
{
	g_autofree char *line = g_strdelimit(g_strdup(why), "\r\n", ' ');

	fprintf(stderr, "ifpp-depot: %s; waiting for the database.\n", g_strchomp(line));
}

static gboolean cmd_import(int argc, char **argv, int *exit_code, GError **error)
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

	if (!ifpp_options_parse(entries, "DELIVERY",
				"Verifies a delivery (.ifppd) and takes its packages in. Again is harmless, and finishes what was\n"
				"interrupted.", &argc, &argv, 1, error))
		return FALSE;
	if (operator && !ifpp_bundle_text_valid(operator))
		return ifpp_usage_error(error, "--operator: not 1 to 64 bytes of printable UTF-8");
	if (wait < 0 || wait > 3600)
		return ifpp_usage_error(error, "--wait: from 0 seconds to an hour");
	trust = open_trust(trust_dir, error);
	depot = trust ? depot_open(db_url(), TRUE, error) : NULL;
	if (!depot)
		return FALSE;
	depot_wait(depot, wait, tell_waiting);
	{
		ImportCount count;
		gboolean ok = depot_import(depot, argv[1], trust, operator, isatty(STDERR_FILENO) ? progress : NULL, &count,
					   error);

		if (ok && opt_json) {
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

static void tell_line(const char *line, gpointer user)
{
	++*(guint *)user;
	if (opt_json) {
		JsonBuilder *b = ifpp_json_new("unreconciled");

		ifpp_json_string(b, "what", line);
		ifpp_json_print(b);
	} else {
		printf("does not add up: %s\n", line);
	}
}

static gboolean cmd_status(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	DepotTotals totals;
	gint64 all = 0;
	guint odd = 0;

	if (!ifpp_options_parse(entries, NULL, "Counts, and names whatever does not add up.", &argc, &argv, 0, error))
		return FALSE;
	depot = depot_open(db_url(), FALSE, error);
	if (!depot || !depot_totals(depot, &totals, error) || !depot_reconcile(depot, tell_line, &odd, error))
		return FALSE;
	for (guint i = 0; i < DEPOT_N_STATES; i++)
		all += totals.packages[i];
	if (opt_json) {
		JsonBuilder *b = ifpp_json_new("status");

		ifpp_json_int(b, "packages", all);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			ifpp_json_int(b, depot_state_names[i], totals.packages[i]);
		ifpp_json_int(b, "bytes", totals.bytes);
		ifpp_json_int(b, "deliveries", totals.deliveries);
		ifpp_json_int(b, "results", totals.results);
		ifpp_json_int(b, "proven", totals.proven);
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
		       " chips seen, %" G_GINT64_FORMAT " locked\n", totals.results, totals.proven, totals.chips,
		       totals.locked);
	}
	if (odd)
		*exit_code = IFPP_EXIT_FAILED;
	return TRUE;
}

/* Calls @func for each package, page by page. */
static gboolean each(Depot *depot, const DepotFilter *filter, gboolean (*func)(DepotItem *, gpointer, GError **),
		     gpointer user, guint *count, GError **error)
{
	g_autoptr(GPtrArray) items = NULL;

	do {
		g_autoptr(GPtrArray) next = depot_list(depot, filter, items ? items->pdata[items->len - 1] : NULL, PAGE,
						       error);

		if (!next)
			return FALSE;
		for (guint i = 0; i < next->len; i++)
			if (!func(next->pdata[i], user, error))
				return FALSE;
		*count += next->len;
		g_clear_pointer(&items, g_ptr_array_unref);
		items = g_steal_pointer(&next);
	} while (items->len == PAGE);
	return TRUE;
}

static gboolean list_one(DepotItem *item, gpointer user, GError **error)
{
	tell_item(item);
	return TRUE;
}

static gboolean cmd_list(int argc, char **argv, int *exit_code, GError **error)
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
	    !filter_read(&f, error))
		return FALSE;
	depot = depot_open(db_url(), FALSE, error);
	if (!depot)
		return FALSE;
	if (!opt_json)
		printf("%-9s  %-32s  %-16s  %-20s  %-12s  %s\n", "STATE", "EID", "KEY ID", "ICCID", "STATION",
		       "OPERATOR / BATCH");
	if (!each(depot, &f.filter, list_one, NULL, &count, error))
		return FALSE;
	if (!opt_json)
		printf("%u packages\n", count);
	return TRUE;
}

static gboolean cmd_history(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	g_autoptr(GPtrArray) events = NULL;
	g_autofree char *proof = NULL, *record = NULL;
	g_autoptr(GError) local = NULL;
	guint8 key_id[32];

	if (!ifpp_options_parse(entries, "KEYID", "Tells what happened to a package, and shows its result.", &argc, &argv,
				1, error) ||
	    !parse_key(argv[1], key_id, error))
		return FALSE;
	depot = depot_open(db_url(), FALSE, error);
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

		if (opt_json) {
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
		tell_item(item);
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

static gboolean cmd_claim(int argc, char **argv, int *exit_code, GError **error)
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
	    !station_ok(station, lease, error) || !ifpp_eid_parse(argv[1], eid, error))
		return FALSE;
	depot = depot_open(db_url(), FALSE, error);
	take = (Take){ .depot = depot, .station = station, .lease = lease };
	if (!depot || !take_chip(&take, eid, error))
		return FALSE;
	if (!opt_json)
		printf("%u packages claimed\n", take.packages);
	return TRUE;
}

static gboolean cmd_export(int argc, char **argv, int *exit_code, GError **error)
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
	    !filter_read(&f, error) || !station_ok(station, lease, error))
		return FALSE;
	if (!to)
		return ifpp_usage_error(error, "--to: say where the packages go");
	depot = depot_open(db_url(), FALSE, error);
	take = (Take){ .depot = depot, .station = station, .to = to, .lease = lease };
	if (!depot || !ifpp_make_dir(to, 0755, error) || !each(depot, &f.filter, take_one, &take, &count, error))
		return FALSE;
	if (!opt_json)
		printf("%u packages of %u chips in %s\n", take.packages, take.chips, to);
	return TRUE;
}

static gboolean cmd_release(int argc, char **argv, int *exit_code, GError **error)
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
	depot = depot_open(db_url(), FALSE, error);
	if (!depot || !depot_release(depot, eid, station, &released, error))
		return FALSE;
	if (!opt_json)
		printf("%u packages released\n", released);
	return TRUE;
}

static gboolean cmd_burn(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *why = NULL;
	GOptionEntry entries[] = {
		COMMON,
		{ "why", 0, 0, G_OPTION_ARG_STRING, &why, "What happened to the unit", "TEXT" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Depot) depot = NULL;
	guint8 eid[16];
	guint burnt;

	if (!ifpp_options_parse(entries, "EID",
				"Accounts for a unit that is broken or gone: its packages that have not ended are burnt.", &argc,
				&argv, 1, error) ||
	    !ifpp_eid_parse(argv[1], eid, error))
		return FALSE;
	if (!why || !ifpp_bundle_text_valid(why))
		return ifpp_usage_error(error, "--why: say what happened, in 1 to 64 bytes of printable UTF-8");
	depot = depot_open(db_url(), FALSE, error);
	if (!depot || !depot_burn(depot, eid, g_get_user_name(), why, &burnt, error))
		return FALSE;
	if (!opt_json)
		printf("%u packages burnt\n", burnt);
	return TRUE;
}

typedef struct {
	guint files, stored, there, refused;
} Collected;

static gboolean collect_file(Depot *depot, IfppTrust *trust, const char *station, const char *path, gboolean chips,
			     Collected *c, GError **error)
{
	g_autoptr(GBytes) text = ifpp_file_read(path, RECORD_FILE_MAX, error);
	g_autoptr(GError) local = NULL;
	gboolean stored, ok;
	DepotState state;

	if (!text)
		return FALSE;
	c->files++;
	ok = chips ? record_put_chip(depot, trust, station, NULL, ifpp_span_bytes(text), &stored, &local) :
		     record_put_result(depot, trust, station, NULL, ifpp_span_bytes(text), &stored, &state, &local);
	if (ok) {
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
	/* Chips first: their certificates prove the results. */
	for (guint chips = 2; chips--;) {
		for (guint i = 0; i < names->len; i++) {
			g_autofree char *path = g_build_filename(dir, names->pdata[i], NULL);

			if (g_str_has_suffix(path, chips ? ".chip.json" : ".result.json") &&
			    !collect_file(depot, trust, station, path, chips, c, error))
				return FALSE;
		}
	}
	return TRUE;
}

static gboolean cmd_collect(int argc, char **argv, int *exit_code, GError **error)
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
	    !station_ok(station, 1, error))
		return FALSE;
	trust = open_trust(trust_dir, error);
	depot = trust ? depot_open(db_url(), FALSE, error) : NULL;
	if (!depot || !collect(depot, trust, station, argv[1], &c, error))
		return FALSE;
	if (opt_json) {
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

static gboolean cmd_report(int argc, char **argv, int *exit_code, GError **error)
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
	guint all = 0, ended = 0, odd = 0;

	if (!ifpp_options_parse(entries, NULL,
				"Writes the Profile Loading Report for the Key Maker (ifpp-smdpf verify-report): every package that\n"
				"was delivered, whatever became of it.", &argc, &argv, 0, error) ||
	    !filter_read(&f, error))
		return FALSE;
	if (!file)
		return ifpp_usage_error(error, "say where to write it with -o FILE");
	depot = depot_open(db_url(), FALSE, error);
	if (!depot || !depot_report(depot, &f.filter, file, &t, error))
		return FALSE;
	for (guint i = 0; i < DEPOT_N_STATES; i++) {
		all += t.packages[i];
		ended += i > DEPOT_SENT ? t.packages[i] : 0;
	}
	if (g_str_equal(file, "-"))
		return TRUE;
	if (!depot_reconcile(depot, tell_line, &odd, error))
		return FALSE;
	if (opt_json) {
		JsonBuilder *b = ifpp_json_new("report");

		ifpp_json_string(b, "file", file);
		ifpp_json_int(b, "units", t.units);
		ifpp_json_int(b, "packages", all);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			ifpp_json_int(b, depot_state_names[i], t.packages[i]);
		ifpp_json_int(b, "locked", t.locked);
		ifpp_json_int(b, "unproven", t.unproven);
		ifpp_json_int(b, "unreconciled", odd);
		ifpp_json_print(b);
	} else {
		printf("%s: %u units, %u packages =", file, t.units, all);
		for (guint i = 0; i < DEPOT_N_STATES; i++)
			printf("%s %u %s", i ? " +" : "", t.packages[i], depot_state_names[i]);
		printf("; %u units locked; %u results and locks not proven.\n", t.locked, t.unproven);
	}
	if (t.results != ended || t.pending != all - ended || odd) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_RECONCILE, "%s: %u things do not add up", file, odd);
		return FALSE;
	}
	return TRUE;
}

static gboolean cmd_serve(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *trust_dir = NULL, *listen = NULL, *cert = NULL, *key = NULL, *ca = NULL, *crl = NULL, *log = NULL;
	ServeOptions o = { .lease = 3600, .threads = 2, .connections = 512, .rate = 200, .timeout = 60 };
	GOptionEntry entries[] = {
		COMMON,
		{ "listen", 0, 0, G_OPTION_ARG_STRING, &listen, "Address; default: the socket of systemd", "HOST:PORT" },
		{ "cert", 0, 0, G_OPTION_ARG_FILENAME, &cert, "The server's certificate and its chain", "FILE" },
		{ "key", 0, 0, G_OPTION_ARG_FILENAME, &key, "Its private key", "FILE" },
		{ "client-ca", 0, 0, G_OPTION_ARG_FILENAME, &ca, "Who certifies stations; the subject's CN is the name", "FILE" },
		{ "client-crl", 0, 0, G_OPTION_ARG_FILENAME, &crl, "Station certificates that were revoked", "FILE" },
		{ "refuse-stale-crl", 0, 0, G_OPTION_ARG_NONE, &o.refuse_stale_crl, "Refuse stations when the CRL is out of date", NULL },
		{ "access-log", 0, 0, G_OPTION_ARG_FILENAME, &log, "Every refusal and change; default: standard error", "FILE" },
		TRUST(trust_dir),
		LEASE(o.lease, "3600"),
		{ "threads", 0, 0, G_OPTION_ARG_INT, &o.threads, "That work, each with its own connection to the database (2)", "N" },
		{ "connections", 0, 0, G_OPTION_ARG_INT, &o.connections, "At most (512)", "N" },
		{ "rate", 0, 0, G_OPTION_ARG_INT, &o.rate, "Requests a second of one station (200)", "N" },
		{ "timeout", 0, 0, G_OPTION_ARG_INT, &o.timeout, "For one request, from its first byte on (60)", "SECONDS" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, NULL, "Serves stations over HTTPS, until it is told to end.", &argc, &argv, 0,
				error))
		return FALSE;
	if (!cert || !key || !ca)
		return ifpp_usage_error(error, "--cert, --key and --client-ca are needed");
	if (o.lease < 1 || o.lease > DEPOT_LEASE_MAX || o.threads < 1 || o.threads > 64 || o.connections < o.threads ||
	    o.connections > 65536 || o.rate < 1 || o.timeout < 1 || o.timeout > 3600)
		return ifpp_usage_error(error, "a limit is out of its range, see ifpp-depot(1)");
	o.db = db_url();
	o.listen = listen;
	o.cert = cert;
	o.key = key;
	o.client_ca = ca;
	o.client_crl = crl;
	o.access_log = log;
	o.trust = trust_dir ?: DEFAULT_TRUST;
	return depot_serve(&o, error);
}

static const IfppCommand commands[] = {
	{ "init", cmd_init },	    { "import", cmd_import }, { "status", cmd_status },	  { "list", cmd_list },
	{ "history", cmd_history }, { "claim", cmd_claim },   { "release", cmd_release }, { "export", cmd_export },
	{ "collect", cmd_collect }, { "burn", cmd_burn },     { "report", cmd_report },	  { "serve", cmd_serve },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	int exit_code;

	setlocale(LC_ALL, "");
	/* Messages of the C library are part of ours. */
	setlocale(LC_MESSAGES, "C");
	signal(SIGPIPE, SIG_IGN);
	exit_code = ifpp_options_main(PROGRAM, usage, commands, depot_error_exit, argc, argv);
	g_free(opt_db);
	return exit_code;
}
