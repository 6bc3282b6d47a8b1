// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fault campaign: a complete load-and-lock run is recorded; then for every message and every
 * kind of fault the run is repeated with that one fault, finished by "do it again", and whatever
 * happened, what must hold is checked. No kernel: the relay plays the driver with its own ledger.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "chipmem.h"
#include "error.h"
#include "station.h"

#define ATTACH_MS 40000
#define REQUEST_MS 30000
#define ROUNDS 8		/* of "do it again" */
#define CASE_SECONDS 300

typedef struct {
	guint requests, apdus, writes;	/* of an undisturbed run */
} Record;

static World *world;
static Station *mould;		/* its chip and package are copied for each run */
static GBytes *package;
static char reason[512];

static gboolean G_GNUC_PRINTF(1, 2) broken(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return FALSE;
}

/* --------------------------------------------------------------- one run */

/* What an operator does with a modem that is away or does not answer: plug it in, switch it off and on. */
static void revive(Station *station)
{
	g_free(station_control(station, "fault clear"));
	g_free(station_control(station, "plug"));
	g_free(station_control(station, "reset"));
}

static gboolean loaded(Station *station)
{
	return station->sim->rec.seen && !station->sim->rec.unspent && !station->sim->rec.unknown;
}

/* One attempt to bring the chip to its end: loaded, locked, the daemon gone in peace. */
static gboolean attempt(Station *station)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
	RelaySimResult result;
	int status;

	if (!station->daemon) {
		station_daemon_start(station);
		if (relay_sim_attach_of(station->sim, &station->daemon, ATTACH_MS)) {
			station_daemon_wait(station, ATTACH_MS);
			return FALSE;
		}
	}
	if (station->sim->rec.unknown) {
		status = station_request(station, IFPP_REQ_REFRESH, NULL, &result);
		relay_sim_result_clear(&result);
		if (status)
			goto failed;
	}
	if (!loaded(station)) {
		status = station_request(station, IFPP_REQ_LOAD, package, &result);
		relay_sim_result_clear(&result);
		if (!loaded(station))
			goto failed;
	}
	if (station->sim->rec.state != IFPP_STATE_LOCKED || station->sim->fd >= 0) {
		status = station_request(station, IFPP_REQ_LOCK, challenge, &result);
		relay_sim_result_clear(&result);
		if (status && station->sim->rec.state != IFPP_STATE_LOCKED)
			goto failed;
	}
	return station_daemon_wait(station, 20000) == 0;
failed:
	/* A daemon that could not ask its chip ends; one that could goes on. */
	if (station->sim->fd < 0)
		station_daemon_wait(station, ATTACH_MS);
	return FALSE;
}

static gboolean check_result(Station *station, const char *name, IfppChipMem *mem)
{
	g_autofree char *path = g_build_filename(station->state, "outbox", station->eid, name, NULL);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *text = NULL;
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(GError) error = NULL;
	guint8 *data;
	gsize len;

	if (!g_key_file_load_from_file(kf, path, G_KEY_FILE_NONE, &error))
		return broken("%s: %s", name, error->message);
	text = g_key_file_get_string(kf, "Result", "PIR", NULL);
	if (!text || !*text)
		return broken("the key is spent and there is no PIR");
	data = g_base64_decode(text, &len);
	bytes = g_bytes_new_take(data, len);
	pir = ifpp_pir_parse(bytes, &error);
	if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(mem->cert_euicc), &error))
		return broken("PIR: %s", error->message);
	if (pir->success != (mem->profiles->len == 1))
		return broken("PIR says %d, the chip has %u profiles", pir->success, mem->profiles->len);
	if ((g_key_file_get_integer(kf, "Result", "Status", NULL) == 0) != pir->success)
		return broken("the outbox's status is not the PIR's");
	return TRUE;
}

/* What must hold at the end of every run, whatever went wrong in between. */
static gboolean check(Station *station)
{
	g_autofree char *outbox = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(IfppChipMem) mem = NULL;
	g_autoptr(GDir) dir = NULL;
	g_autoptr(GError) error = NULL;
	const char *name;

	if (station->sim->tampers)
		return broken("%u reports contradicted the driver's record", station->sim->tampers);
	if (station->sim->rec.state != IFPP_STATE_LOCKED)
		return broken("the driver's state is %u", station->sim->rec.state);
	if (station_stat(station, "clients"))
		return broken("%d clients leaked", (int)station_stat(station, "clients"));
	if (station_stat(station, "channels_open"))
		return broken("%d channels leaked", (int)station_stat(station, "channels_open"));
	station_modem_stop(station);

	mem = ifpp_chipmem_load(station->chip, &error);
	if (!mem)
		return broken("chip: %s", error->message);
	if (!mem->locked || mem->keys->len)
		return broken("the chip is not locked");
	if (mem->spent != 1)
		return broken("%u keys spent by loads", (guint)mem->spent);
	if (mem->profiles->len > 1)
		return broken("%u profiles", mem->profiles->len);
	if (mem->notes->len)
		return broken("%u results left in the chip", mem->notes->len);
	if (station->sim->rec.spent_count != mem->spent)
		return broken("driver and chip disagree about spent keys");
	if (station_outbox(station, ".result") != 1 || station_outbox(station, "lock.receipt") != 1)
		return broken("outbox: %u results, %u receipts", station_outbox(station, ".result"),
			      station_outbox(station, "lock.receipt"));
	if (station_outbox(station, ".pending") || station_outbox(station, ".reserve"))
		return broken("outbox: something is left over");
	dir = g_dir_open(outbox, 0, NULL);
	while ((name = g_dir_read_name(dir))) {
		if (g_str_has_suffix(name, ".result") && !check_result(station, name, mem))
			return FALSE;
	}
	return TRUE;
}

/* Wait until the modem has seen its n-th request, then send the daemon a signal. Return: who waits. */
static pid_t strike(Station *station, guint n, int sig)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	while (station_stat(station, "requests") < n)
		g_usleep(3000);
	kill(station->daemon, sig);
	_exit(0);
}

/* @fault: lines for the control socket, separated by ';', or "kill N" and "term N" */
static gboolean run_case(const char *fault, Record *record)
{
	Station *station = station_clone(mould);
	g_auto(GStrv) faults = g_strsplit(fault, ";", -1);
	gboolean ok = FALSE;
	pid_t striker = 0;
	guint n, round;

	station->timeout = "1";
	station->quiet = TRUE;
	station_modem_start(station);
	for (guint i = 0; faults[i] && *faults[i]; i++) {
		g_autofree char *line = NULL;
		g_autofree char *answer = NULL;
		int sig = 0;

		if (sscanf(faults[i], "kill %u", &n) == 1)
			sig = SIGKILL;
		else if (sscanf(faults[i], "term %u", &n) == 1)
			sig = SIGTERM;
		line = sig ? g_strdup_printf("fault qmi %u delay 400", n)
			   : g_strdup_printf("fault %s", faults[i]);
		answer = station_control(station, line);
		if (strstr(answer, "error")) {
			broken("modem: %s", answer);
			goto out;
		}
		if (sig) {
			/* The daemon must be there to be struck: start it first. */
			station_daemon_start(station);
			striker = strike(station, n, sig);
			if (relay_sim_attach_of(station->sim, &station->daemon, ATTACH_MS))
				station_daemon_wait(station, ATTACH_MS);
		}
	}
	for (round = 0; round < ROUNDS; round++) {
		if (attempt(station)) {
			ok = TRUE;
			break;
		}
		if (round)
			revive(station);
	}
	if (striker) {		/* the other fault of a pair may have ended the daemon before its turn */
		kill(striker, SIGKILL);
		waitpid(striker, NULL, 0);
	}
	if (!ok) {
		broken("not finished after %u rounds: state %u, unspent %u, unknown %u", ROUNDS,
		       station->sim->rec.state, station->sim->rec.unspent, station->sim->rec.unknown);
		goto out;
	}
	if (record) {
		record->requests = station_stat(station, "requests");
		record->apdus = station_stat(station, "send_apdus");
		record->writes = station_stat(station, "writes");
	}
	/* A modem that hangs takes no client back; it forgets all when it is switched off and on. */
	if (strstr(fault, "hang"))
		revive(station);
	ok = check(station);
out:
	if (!ok) {
		g_autofree char *log = NULL;

		g_file_get_contents(station->log, &log, NULL, NULL);
		g_print("VIOLATION %s: %s\n%s", fault, reason, g_getenv("IFPP_FAULT_LOG") && log ? log : "");
	}
	station_free(station);
	return ok;
}

/* ----------------------------------------------------------- the campaign */

static GPtrArray *all_cases(const Record *record)
{
	static const char *const qmi[] = {
		"drop",	    "lose",	"delay 300", "delay 1300", "truncate", "corrupt",  "duplicate",
		"hang",	    "reset",	"unplug",    "power-cut",  "error 1",  "error 3",  "error 5",
		"error 7",  "error 17", "error 26",  "error 46",   "error 48", "error 52", "error 71",
		"error 80", "error 82", "error 94",  "error 102",
	};
	static const char *const apdu[] = {
		"delay 300",	   "delay 1300", "error 1", "error 3",	   "error 46", "error 48",
		"error 52",	   "sw 6700",	 "sw 6985", "sw 6A80",	   "sw 6A82",  "sw 6A88",
		"sw 6881",	   "sw 6982",	 "sw 6581", "sw 6F00",	   "sw 6D00",  "sw 6E00",
		"sw 9000",	   "sw 9110",	 "pir 1",   "pir 2",	   "pir 8",    "pir 10",
		"pir 127",	   "hang",	 "reset",   "reset-after", "unplug",   "power-cut",
		"power-cut-after",
	};
	static const char *const write[] = { "power-cut", "power-cut-during", "power-cut-after" };
	static const char *const sig[] = { "kill", "term" };
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

	for (guint n = 1; n <= record->requests; n++) {
		for (guint i = 0; i < G_N_ELEMENTS(qmi); i++)
			g_ptr_array_add(out, g_strdup_printf("qmi %u %s", n, qmi[i]));
		for (guint i = 0; i < G_N_ELEMENTS(sig); i++)
			g_ptr_array_add(out, g_strdup_printf("%s %u", sig[i], n));
	}
	for (guint n = 1; n <= record->apdus; n++)
		for (guint i = 0; i < G_N_ELEMENTS(apdu); i++)
			g_ptr_array_add(out, g_strdup_printf("apdu %u %s", n, apdu[i]));
	for (guint n = 1; n <= record->writes; n++)
		for (guint i = 0; i < G_N_ELEMENTS(write); i++)
			g_ptr_array_add(out, g_strdup_printf("write %u %s", n, write[i]));
	return out;
}

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

int main(int argc, char **argv)
{
	g_autofree char *only = NULL;
	g_autofree char *match = NULL;
	int jobs = 6, every = 1, soak = 0, seed = 0;
	const GOptionEntry entries[] = {
		{ "jobs", 'j', 0, G_OPTION_ARG_INT, &jobs, "Runs at a time (6)", "N" },
		{ "every", 0, 0, G_OPTION_ARG_INT, &every, "Only each N-th fault", "N" },
		{ "match", 0, 0, G_OPTION_ARG_STRING, &match, "Only faults that contain this", "TEXT" },
		{ "one", 0, 0, G_OPTION_ARG_STRING, &only, "Only this fault, as a VIOLATION line names it",
		  "FAULT" },
		{ "soak", 0, 0, G_OPTION_ARG_INT, &soak, "Pairs of faults at random for so long", "MINUTES" },
		{ "seed", 0, 0, G_OPTION_ARG_INT, &seed, "Of the random pairs", "N" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("- break the load and the lock in every way");
	g_autoptr(GPtrArray) cases = NULL;
	g_autoptr(GPtrArray) packages = NULL;
	g_autoptr(GError) error = NULL;
	guint violations = 0, tried = 0;
	Record record = { 0 };

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		g_printerr("campaign: %s\n", error->message);
		return IFPP_EXIT_USAGE;
	}
	world = world_new();
	mould = station_new(world, 1);
	packages = station_seal(mould, 1);
	package = packages->pdata[0];
	if (seed)
		g_random_set_seed(seed);

	if (only) {
		tried = 1;
		violations = !run_case(only, NULL);
	} else if (!run_case("", &record)) {
		tried = violations = 1;
	} else {
		g_autoptr(GPtrArray) chosen = g_ptr_array_new();
		gint64 until = g_get_monotonic_time() + (gint64)soak * 60 * G_USEC_PER_SEC;

		g_print("# recorded: %u QMI messages, %u APDUs, %u writes of the chip's memory\n",
			record.requests, record.apdus, record.writes);
		cases = all_cases(&record);
		for (guint i = 0; i < cases->len; i++) {
			if (i % MAX(every, 1) == 0 && (!match || strstr(cases->pdata[i], match)))
				g_ptr_array_add(chosen, cases->pdata[i]);
		}
		while (soak && g_get_monotonic_time() < until) {
			g_autoptr(GPtrArray) pairs = random_pairs(cases, 200);

			violations += run_cases(pairs, jobs);
			tried += pairs->len;
		}
		if (!soak) {
			violations = run_cases(chosen, jobs);
			tried = chosen->len;
		}
	}
	g_print("%u faults tried, %u violations\n", tried, violations);
	station_free(mould);
	world_free(world);
	return violations != 0;
}
