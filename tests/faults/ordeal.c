// SPDX-License-Identifier: GPL-2.0-or-later
#include "ordeal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verdict.h"

#define ATTACH_MS STATION_WAIT_MS
#define END_MS 60000
#define ROUNDS 8		/* of "do it again" */
#define SECOND_TERM_US 30000
#define LOG_LINES 12

typedef struct {
	const Ordeal *ordeal;
	Station *station;
	guint64 first_seq;	/* of the chip as it was born */
	gboolean leave;		/* one load, then the lock */
	gboolean submitted;
	pid_t striker;
} Run;

/* What an operator does with a modem that is away or does not answer: plug it in, switch it off and on. */
static void revive(Station *station)
{
	g_free(station_control(station, "fault clear"));
	g_free(station_control(station, "plug"));
	g_free(station_control(station, "reset"));
	station->timeout = "20";	/* it answers now, however busy the machine is */
}

static gboolean start_and_attach(Station *station, int *err)
{
	station_daemon_start(station);
	*err = relay_sim_attach_of(station->sim, &station->daemon, ATTACH_MS);
	if (*err)
		station_daemon_wait(station, ATTACH_MS);
	return !*err;
}

static gboolean loaded(Run *run)
{
	const struct ifpp_record *rec = &run->station->sim->rec;

	return (run->leave && run->submitted) || (rec->seen && !rec->unspent && !rec->unknown);
}

/* One attempt to bring the chip to its end: loaded, locked, the daemon gone in peace. */
static gboolean attempt(Run *run)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
	Station *station = run->station;
	RelaySimResult result;
	int status;

	if (!station->daemon && !start_and_attach(station, &status))
		return FALSE;
	if (station->sim->rec.unknown) {
		status = station_request(station, IFPP_REQ_REFRESH, NULL, &result);
		relay_sim_result_clear(&result);
		if (status)
			goto failed;
	}
	if (!loaded(run)) {
		station_request(station, IFPP_REQ_LOAD, run->ordeal->package, &result);
		relay_sim_result_clear(&result);
		run->submitted = TRUE;
		if (!loaded(run))
			goto failed;
	}
	if (station->sim->rec.state != IFPP_STATE_LOCKED || station->sim->fd >= 0) {
		status = station_request(station, IFPP_REQ_LOCK, challenge, &result);
		relay_sim_result_clear(&result);
		if (status && station->sim->rec.state != IFPP_STATE_LOCKED)
			goto failed;
	}
	return station_daemon_wait(station, END_MS) == 0;
failed:
	/* A daemon that could not ask its chip ends; one that could goes on. */
	if (station->sim->fd < 0)
		station_daemon_wait(station, ATTACH_MS);
	return FALSE;
}

/* Wait until the modem has seen its n-th request, then send the daemon signals. Return: who waits. */
static pid_t strike(Station *station, guint n, int sig, gboolean twice)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	while (station_stat(station, "requests") < n)
		g_usleep(3000);
	kill(station->daemon, sig);
	if (twice) {
		g_usleep(SECOND_TERM_US);
		kill(station->daemon, sig);
	}
	_exit(0);
}

static char *arm(Run *run, const char *word)
{
	g_autofree char *line = NULL, *answer = NULL;
	Station *station = run->station;
	int sig = 0, status;
	guint n = 0;

	if (!strcmp(word, "leave")) {
		run->leave = TRUE;
		return NULL;
	}
	if (sscanf(word, "kill %u", &n) == 1)
		sig = SIGKILL;
	else if (sscanf(word, "term2 %u", &n) == 1 || sscanf(word, "term %u", &n) == 1)
		sig = SIGTERM;
	/* the message is still under way when the signal comes */
	line = sig ? g_strdup_printf("fault qmi %u delay 400", n) : g_strdup_printf("fault %s", word);
	answer = station_control(station, line);
	if (strstr(answer, "error"))
		return g_strdup_printf("modem: %s", answer);
	if (sig) {
		/* The daemon must be there to be struck: start it first. */
		station_daemon_start(station);
		run->striker = strike(station, n, sig, g_str_has_prefix(word, "term2"));
		status = relay_sim_attach_of(station->sim, &station->daemon, ATTACH_MS);
		if (status)
			station_daemon_wait(station, ATTACH_MS);
	}
	return NULL;
}

/* The same chip, locked, meets one more daemon, which knows from its files what the last one had. */
static char *successor(Run *run)
{
	int status;

	if (!start_and_attach(run->station, &status))
		return g_strdup_printf("the driver does not take the unit again: %s", g_strerror(-status));
	status = station_daemon_wait(run->station, END_MS);
	return status ? g_strdup_printf("the next daemon ends with %d", status) : NULL;
}

/* The gateway is switched off and on: the driver knows nothing, and what is on disk and in the chip must do. */
static char *reboot(Run *run)
{
	Station *station = run->station;
	int status;

	revive(station);
	memset(&station->sim->rec, 0, sizeof(station->sim->rec));
	station->sim->rec.keys = station->sim->keys;
	if (!start_and_attach(station, &status))
		return g_strdup_printf("after a reboot the driver does not take the unit: %s", g_strerror(-status));
	if (station->sim->rec.state != IFPP_STATE_LOCKED)
		return g_strdup_printf("after a reboot the state is %u", station->sim->rec.state);
	status = station_daemon_wait(station, END_MS);
	return status ? g_strdup_printf("after a reboot the daemon ends with %d", status) : NULL;
}

static char *nothing_leaked(Station *station)
{
	if (station_stat(station, "clients"))
		return g_strdup_printf("%d clients leaked", (int)station_stat(station, "clients"));
	if (station_stat(station, "channels_open"))
		return g_strdup_printf("%d channels leaked", (int)station_stat(station, "channels_open"));
	return NULL;
}

static char *check_chip(Run *run)
{
	Station *station = run->station;
	g_autoptr(IfppChipMem) mem = NULL;
	g_autoptr(GError) error = NULL;

	mem = ifpp_chipmem_load(station->chip, &error);
	if (!mem)
		return g_strdup_printf("chip: %s", error->message);
	if (!mem->locked || mem->keys->len)
		return g_strdup("the chip is not locked");
	if (mem->spent != 1 && !(run->leave && !mem->spent))
		return g_strdup_printf("%u keys spent by loads", (guint)mem->spent);
	if (station->sim->rec.spent_count != mem->spent)
		return g_strdup("driver and chip disagree about spent keys");
	if (station_outbox(station, "lock.receipt") != 1)
		return g_strdup("there is no receipt");
	return verdict_outbox(station, mem, run->first_seq, run->ordeal->package);
}

/* A modem that leads nowhere: nothing was done to the chip, and nobody has crashed over it. */
static char *check_untouched(Run *run)
{
	Station *station = run->station;
	g_autoptr(IfppChipMem) mem = NULL;
	char *wrong = verdict_exits(station);
	int status;

	wrong = wrong ?: verdict_files(station);
	if (wrong)
		return wrong;
	status = station_modem_quit(station);
	if (status)
		return g_strdup_printf("modem: exit status %d", status);
	mem = ifpp_chipmem_load(station->chip, NULL);
	if (!mem || mem->locked || !mem->keys->len || mem->spent || mem->notes->len)
		return g_strdup("the chip has been changed");
	return NULL;
}

/* What must hold at the end of every run, whatever went wrong in between. */
static char *check(Run *run)
{
	Station *station = run->station;
	char *wrong;
	int status;

	if (station->sim->tampers)
		return g_strdup_printf("%u reports contradicted the driver's record", station->sim->tampers);
	if (station->sim->rec.state != IFPP_STATE_LOCKED)
		return g_strdup_printf("the driver's state is %u", station->sim->rec.state);
	wrong = nothing_leaked(station);
	wrong = wrong ?: reboot(run);
	wrong = wrong ?: nothing_leaked(station);
	wrong = wrong ?: verdict_exits(station);
	if (wrong)
		return wrong;
	status = station_modem_quit(station);
	if (status)
		return g_strdup_printf("modem: exit status %d", status);
	return check_chip(run) ?: verdict_files(station);
}

static char *last_words(Station *station)
{
	g_autofree char *log = NULL;
	g_auto(GStrv) lines = NULL;
	const char *report;
	guint n;

	if (!g_file_get_contents(station->log, &log, NULL, NULL))
		return g_strdup("");
	report = strstr(log, "ERROR: ");	/* a sanitizer's, from its beginning */
	report = report ?: strstr(log, "runtime error: ");
	lines = g_strsplit(report ? report : log, "\n", -1);
	n = g_strv_length(lines);
	for (guint i = LOG_LINES; report && i < n; i++)
		g_clear_pointer(&lines[i], g_free);
	return g_strjoinv("\n    ", report || n <= LOG_LINES ? lines : lines + n - LOG_LINES);
}

static char *run_to_the_end(Run *run, char **words, OrdealRecord *record)
{
	Station *station = run->station;
	gboolean done = FALSE;
	char *wrong;

	for (guint i = 0; words[i] && *words[i]; i++) {
		wrong = arm(run, words[i]);
		if (wrong)
			return wrong;
	}
	for (guint round = 0; round < (run->ordeal->hopeless ? 2 : ROUNDS) && !done; round++) {
		done = attempt(run);
		if (!done && round)
			revive(station);
	}
	if (run->striker) {	/* the other fault of a pair may have ended the daemon before its turn */
		kill(run->striker, SIGKILL);
		waitpid(run->striker, NULL, 0);
	}
	/* Whoever has crashed all the time says more by that. */
	wrong = done ? NULL : verdict_exits(station);
	if (wrong || (!done && !run->ordeal->hopeless))
		return wrong ?: g_strdup_printf("not finished after %u rounds: state %u, unspent %u, unknown %u",
						ROUNDS, station->sim->rec.state, station->sim->rec.unspent,
						station->sim->rec.unknown);
	if (record) {
		record->requests = station_stat(station, "requests");
		record->apdus = station_stat(station, "send_apdus");
		record->writes = station_stat(station, "writes");
	}
	return NULL;
}

char *ordeal_run(const Ordeal *ordeal, const char *fault, OrdealRecord *record)
{
	g_auto(GStrv) words = g_strsplit(fault, ";", -1);
	g_autoptr(IfppChipMem) born = NULL;
	g_autofree char *wrong = NULL, *words_of_it = NULL;
	Run run = { .ordeal = ordeal };
	Station *station;

	station = run.station = station_clone(ordeal->mould);
	born = ifpp_chipmem_load(station->chip, NULL);
	g_assert_nonnull(born);
	run.first_seq = born->next_seq;
	g_clear_pointer(&born, ifpp_chipmem_free);	/* one program at a time */
	station->timeout = ordeal->timeout;
	station->modem_options = ordeal->options;
	station->ifppd = ordeal->ifppd;
	station->quiet = TRUE;
	station_modem_start(station);
	wrong = run_to_the_end(&run, words, record);
	/* A modem that hangs takes no client back; it forgets all when it is switched off and on. */
	if (!wrong && strstr(fault, "hang"))
		revive(station);
	/* Half a message is the end of a stream: what could not be given back is the successor's to give back. */
	if (!wrong && strstr(fault, "truncate") && station_stat(station, "clients"))
		wrong = successor(&run);
	if (!wrong)
		wrong = ordeal->hopeless ? check_untouched(&run) : check(&run);
	words_of_it = wrong ? last_words(station) : NULL;
	g_array_set_size(station->exits, 0);	/* they have been judged */
	station_free(station);
	return wrong ? g_strdup_printf("%s\n    %s", wrong, words_of_it) : NULL;
}
