// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fault campaign: a complete load-and-lock run is recorded; then for every message and every
 * kind of fault the run is repeated with that one fault, finished by "do it again", and whatever
 * happened, what must hold is checked. No kernel: the relay plays the driver with its own ledger.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib.h>

#include "error.h"
#include "ordeal.h"
#include "verdict.h"

#define CASE_SECONDS 300
#define SHOWN 40		/* violations whose log is shown */

/* One character of modem: none, or a file of tools/vmodem/quirks. */
typedef struct {
	const char *name;
	const char *timeout;	/* NULL: 1 s for a message */
	guint sparse;		/* so many times fewer faults; 0: as many as with the others */
	gboolean hopeless;	/* no load can come of it */
} Profile;

/* What is not as with the others. */
static const Profile special[] = {
	{ .name = "slow-install", .timeout = "3", .sparse = 4 },
	{ .name = "mute", .hopeless = TRUE },
	{ .name = "no-uim", .hopeless = TRUE },
};

static Ordeal ordeal;
static guint logs_shown;

/* ----------------------------------------------------------- the cases */

/* @place: what comes before the number; @kinds: what comes after it, up to NULL */
static void add_cases(GPtrArray *out, const char *place, guint n, const char *const *kinds)
{
	for (guint i = 1; i <= n; i++)
		for (guint k = 0; kinds[k]; k++)
			g_ptr_array_add(out, g_strdup_printf("%s %u %s", place, i, kinds[k]));
}

static GPtrArray *all_cases(const OrdealRecord *record)
{
	static const char *const qmi[] = {
		"drop",	    "lose",	"delay 300", "delay 1300", "truncate", "corrupt",  "duplicate",
		"hang",	    "reset",	"unplug",    "power-cut",  "error 1",  "error 3",  "error 5",
		"error 7",  "error 17", "error 26",  "error 46",   "error 48", "error 52", "error 71",
		"error 80", "error 82", "error 94",  "error 102",  "garble 0", "garble 2", "garble 5",
		"garble 7", "garble 11", NULL
	};
	static const char *const apdu[] = {
		"delay 300",	   "delay 1300", "error 1",   "error 3",     "error 46",   "error 48",
		"error 52",	   "sw 6700",	 "sw 6985",   "sw 6A80",     "sw 6A82",	   "sw 6A88",
		"sw 6881",	   "sw 6982",	 "sw 6581",   "sw 6F00",     "sw 6D00",	   "sw 6E00",
		"sw 9000",	   "sw 9110",	 "pir 1",     "pir 2",	     "pir 8",	   "pir 10",
		"pir 127",	   "hang",	 "reset",     "reset-after", "unplug",	   "power-cut",
		"power-cut-after", "garble 0",	 "garble 1",  "garble 2",    "garble 3",   "garble 4",
		"garble 5",	   "garble 30",	 "garble 77", "garble 120",  "garble 200", NULL
	};
	static const char *const write[] = { "power-cut", "power-cut-during", "power-cut-after", NULL };
	static const char *const leave[] = { "sw 6985", "sw 6A80", "error 3", "garble 5", "garble 30", "garble 77",
					     "garble 120", "garble 200", NULL };
	static const char *const plain[] = { "", NULL };
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

	add_cases(out, "qmi", record->requests, qmi);
	add_cases(out, "kill", record->requests, plain);
	add_cases(out, "term", record->requests, plain);
	add_cases(out, "term2", record->requests, plain);
	add_cases(out, "apdu", record->apdus, apdu);
	add_cases(out, "leave;apdu", record->apdus, leave);
	add_cases(out, "write", record->writes, write);
	for (guint i = 0; i < out->len; i++)
		g_strchomp(out->pdata[i]);
	return out;
}

static gboolean run_case(const char *fault, OrdealRecord *record)
{
	g_autofree char *wrong = ordeal_run(&ordeal, fault, record);
	const char *end = wrong ? strchr(wrong, '\n') : NULL;

	if (wrong)
		g_print("VIOLATION %s %s: %.*s%s\n", ordeal.profile, fault, (int)(end - wrong), wrong, logs_shown < SHOWN ? end : "");
	return !wrong;
}

/* ----------------------------------------------------------- the campaign */

static pid_t start_case(const char *fault)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	alarm(CASE_SECONDS);
	exit(run_case(fault, NULL) ? 0 : 1);
}

/* Each in a process of its own, so that nothing of one run can help the next. */
static guint run_cases(GPtrArray *cases, guint jobs)
{
	g_autoptr(GHashTable) running = g_hash_table_new(NULL, NULL);
	gint64 begin = g_get_monotonic_time(), shown = begin;
	guint next = 0, done = 0, violations = 0;

	while (done < cases->len) {
		const char *name;
		int status;
		pid_t pid;

		while (next < cases->len && g_hash_table_size(running) < jobs) {
			pid = start_case(cases->pdata[next]);
			g_hash_table_insert(running, GINT_TO_POINTER(pid), cases->pdata[next++]);
		}
		pid = wait(&status);
		name = g_hash_table_lookup(running, GINT_TO_POINTER(pid));
		if (!name)
			continue;
		g_hash_table_remove(running, GINT_TO_POINTER(pid));
		done++;
		if (status) {
			violations++;
			logs_shown++;
			if (WIFSIGNALED(status))
				g_print("VIOLATION %s: %s\n", name, strsignal(WTERMSIG(status)));
		}
		if (g_get_monotonic_time() - shown > 20 * G_USEC_PER_SEC) {
			shown = g_get_monotonic_time();
			g_print("# %u of %u faults, %u violations, %us\n", done, cases->len, violations,
				(guint)((shown - begin) / G_USEC_PER_SEC));
		}
	}
	return violations;
}

/* Pairs of single faults at random, until the time is over. */
static GPtrArray *random_pairs(GPtrArray *cases, guint n)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

	while (out->len < n) {
		const char *a = cases->pdata[g_random_int_range(0, cases->len)];
		const char *b = cases->pdata[g_random_int_range(0, cases->len)];

		/* The daemon can be started for one signal only. */
		if ((*a == 'k' || *a == 't') && (*b == 'k' || *b == 't'))
			continue;
		g_ptr_array_add(out, *a == 'k' || *a == 't' ? g_strdup_printf("%s;%s", b, a) :
							      g_strdup_printf("%s;%s", a, b));
	}
	return out;
}

typedef struct {
	int jobs, every, sample, soak, seed;
	char *match, *only, *quirks, *profile, *ifppd;
} Options;

typedef struct {
	guint tried, violations;
} Sum;

static void set_profile(const Options *o, Profile *profile, const char *name)
{
	*profile = (Profile){ .name = name };
	for (guint i = 0; i < G_N_ELEMENTS(special); i++)
		if (!g_strcmp0(name, special[i].name))
			*profile = special[i];
	g_free((char *)ordeal.options);
	ordeal.options = name ? g_strdup_printf("--quirks %s/%s.conf", o->quirks, name) : NULL;
	ordeal.profile = name ?: "plain";
	ordeal.timeout = profile->timeout ?: "1";
	ordeal.hopeless = profile->hopeless;
}

/* @name: of the profile, NULL for the plain modem; of its faults each @every-th is tried. */
static Sum run_profile(const Options *o, const char *name, guint every)
{
	g_autoptr(GPtrArray) chosen = g_ptr_array_new();
	g_autoptr(GPtrArray) cases = NULL;
	OrdealRecord record = { 0 };
	Sum sum = { 1, 1 };
	Profile profile;

	set_profile(o, &profile, name);
	if (o->only) {
		sum.violations = !run_case(o->only, NULL);
		return sum;
	}
	if (run_case("", &record)) {
		gint64 until = g_get_monotonic_time() + (gint64)o->soak * 60 * G_USEC_PER_SEC;

		cases = all_cases(&record);
		every *= MAX(profile.sparse, 1);
		/* Each profile begins elsewhere, so that their samples together have all kinds of faults. */
		for (guint i = name && cases->len ? g_str_hash(name) % MIN(every, cases->len) : 0; i < cases->len;
		     i += every)
			if (!o->match || strstr(cases->pdata[i], o->match))
				g_ptr_array_add(chosen, cases->pdata[i]);
		sum = (Sum){ 0, 0 };
		while (o->soak && g_get_monotonic_time() < until) {
			g_autoptr(GPtrArray) pairs = random_pairs(cases, 200);

			sum.violations += run_cases(pairs, o->jobs);
			sum.tried += pairs->len;
		}
		if (!o->soak) {
			sum.violations = run_cases(chosen, o->jobs);
			sum.tried = chosen->len;
		}
	}
	g_print("profile %s: %u messages, %u APDUs, %u writes; %u faults, %u violations\n", name ?: "plain",
		record.requests, record.apdus, record.writes, sum.tried, sum.violations);
	return sum;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char **)a, *(const char **)b);
}

/* Names of the quirk files, NULL for the plain modem first; or the one that is wanted. */
static GPtrArray *profiles(const Options *o)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (!o->profile || !strcmp(o->profile, "plain"))
		g_ptr_array_add(out, NULL);
	dir = o->quirks ? g_dir_open(o->quirks, 0, NULL) : NULL;
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *base = g_strndup(name, strcspn(name, "."));

		if (g_str_has_suffix(name, ".conf") && (!o->profile || !strcmp(o->profile, base)))
			g_ptr_array_add(out, g_steal_pointer(&base));
	}
	if (out->len && !out->pdata[0])
		qsort(out->pdata + 1, out->len - 1, sizeof(char *), by_name);
	return out;
}

int main(int argc, char **argv)
{
	Options o = { .jobs = 6, .every = 1, .sample = 25 };
	const GOptionEntry entries[] = {
		{ "jobs", 'j', 0, G_OPTION_ARG_INT, &o.jobs, "Runs at a time (6)", "N" },
		{ "every", 0, 0, G_OPTION_ARG_INT, &o.every, "Only each N-th fault", "N" },
		{ "sample", 0, 0, G_OPTION_ARG_INT, &o.sample, "With quirks only each N-th of those (25)", "N" },
		{ "match", 0, 0, G_OPTION_ARG_STRING, &o.match, "Only faults that contain this", "TEXT" },
		{ "one", 0, 0, G_OPTION_ARG_STRING, &o.only, "Only this fault, as a VIOLATION line names it",
		  "FAULT" },
		{ "quirks", 0, 0, G_OPTION_ARG_FILENAME, &o.quirks, "Where the quirk files are", "DIR" },
		{ "profile", 0, 0, G_OPTION_ARG_STRING, &o.profile, "Only this one, or \"plain\"", "NAME" },
		{ "daemon", 0, 0, G_OPTION_ARG_FILENAME, &o.ifppd, "Another ifppd than the build's", "FILE" },
		{ "soak", 0, 0, G_OPTION_ARG_INT, &o.soak, "Pairs of faults at random for so long", "MINUTES" },
		{ "seed", 0, 0, G_OPTION_ARG_INT, &o.seed, "Of the random pairs", "N" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("- break the load and the lock in every way");
	g_autoptr(GPtrArray) packages = NULL, names = NULL;
	g_autoptr(GError) error = NULL;
	Sum all = { 0, 0 };
	World *world;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		g_printerr("campaign: %s\n", error->message);
		return IFPP_EXIT_USAGE;
	}
	verdict_sanitizers();
	if (o.soak && !o.profile)
		o.profile = g_strdup("plain");
	names = profiles(&o);
	world = world_new();
	ordeal.mould = station_new(world, 1);
	packages = station_seal(ordeal.mould, 1);
	ordeal.package = packages->pdata[0];
	ordeal.ifppd = o.ifppd;
	if (o.seed)
		g_random_set_seed(o.seed);
	for (guint i = 0; i < names->len; i++) {
		guint every = MAX(o.every, 1) * (names->pdata[i] ? MAX(o.sample, 1) : 1);
		Sum sum = run_profile(&o, names->pdata[i], every);

		all.tried += sum.tried;
		all.violations += sum.violations;
	}
	g_print("%u faults tried, %u violations\n", all.tried, all.violations);
	station_free(ordeal.mould);
	world_free(world);
	g_free((char *)ordeal.options);
	g_free(o.match);
	g_free(o.only);
	g_free(o.quirks);
	g_free(o.profile);
	g_free(o.ifppd);
	return all.violations != 0 || !all.tried;
}
