// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What others paid for, and what a cut may not cost: one scenario for each lesson and each place where
 * power, plug or process may go. The campaign finds what nobody thought of; these are the ones that
 * somebody did, and say by name what is broken.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <glib/gstdio.h>

#include "chipmem.h"
#include "error.h"
#include "station.h"
#include "verdict.h"

static World *world;

/* As many packages as keys. */
static Station *begin(guint keys, const char *modem_options, GPtrArray **packages)
{
	Station *station = station_new(world, keys);

	station->modem_options = modem_options;
	station->quiet = TRUE;
	station_up(station, keys, packages);
	return station;
}

static void finish_lock(Station *station)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
	RelaySimResult result;

	g_assert_cmpint(station_request(station, IFPP_REQ_LOCK, challenge, &result), ==, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
}

/* No program crashed or leaked, nothing is left half done; the modem goes. */
static void end_in_peace(Station *station)
{
	g_autofree char *exits = verdict_exits(station);
	g_autofree char *files = verdict_files(station);

	g_assert_cmpstr(exits, ==, NULL);
	g_assert_cmpstr(files, ==, NULL);
	g_assert_cmpint(station_modem_quit(station), ==, 0);
}

/* The chip as its memory has it, with modem and daemon gone. */
static void end(Station *station, guint profiles, guint spent, guint results)
{
	g_autoptr(IfppChipMem) mem = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_cmpuint(station->sim->tampers, ==, 0);
	g_assert_cmpuint(station->sim->rec.unknown, ==, 0);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, results);
	if (station->daemon)
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	g_assert_cmpint(station_stat(station, "clients"), ==, 0);
	end_in_peace(station);
	mem = ifpp_chipmem_load(station->chip, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(mem->profiles->len, ==, profiles);
	g_assert_cmpuint(mem->spent, ==, spent);
	g_assert_cmpuint(mem->notes->len, ==, 0);
	station_free(station);
}

/* ------------------------------------------------------------------ lessons others paid for */

/* A killed QMI client keeps its id until the modem reboots: with two ids, eight kills must not matter. */
static void test_client_ids(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, "--max-clients 2", &packages);

	for (guint i = 0; i < 8; i++) {
		station_daemon_kill(station);
		station_daemon_up(station);
	}
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	end(station, 1, 1, 1);
}

/* A channel that a killed host left open: with two channels, each kill in a load leaves one. */
static void test_stale_channels(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(3, "--max-channels 2", &packages);

	for (guint i = 0; i < 3; i++) {
		gint64 before = station_stat(station, "send_apdus");

		station_fault(station, "apdu 1 " STATION_LATE);
		station_submit(station, packages->pdata[i]);
		station_until(station, "send_apdus", before + 1);
		station_daemon_kill(station);
		station_daemon_up(station);
		g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	}
	for (guint i = 0; i < 3; i++)
		g_assert_cmpint(station_load(station, packages->pdata[i], NULL, NULL), ==, 0);
	end(station, 3, 3, 3);
}

/* In the middle of a package a channel cannot be opened anew: what is lost is told, not gone on with. */
static void test_no_reopening(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, NULL, &packages);
	guint reason;

	station_fault(station, "apdu 6 error 3");
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, -EREMOTEIO);
	g_assert_cmpuint(reason, ==, 11);
	end(station, 0, 1, 1);
}

/* A result may come early: no segment is sent after it. */
static void test_early_result(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, NULL, &packages);
	gint64 before = station_stat(station, "send_apdus");
	guint reason;

	station_fault(station, "apdu 5 pir 8");
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, -EREMOTEIO);
	g_assert_cmpuint(reason, ==, 8);
	/* the five, RemoveNotification and GetFactoryInfo, each with its answer fetched */
	g_assert_cmpint(station_stat(station, "send_apdus") - before, <=, 5 + 4);
	end(station, 0, 1, 1);
}

/* A signed result leaves the chip when it is in the outbox, and not before. */
static void test_stored_first(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(2, NULL, &packages);
	gint64 before;
	guint apdus;

	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, &apdus), ==, 0);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 0);
	/* the same again, held at the APDU after the result: RemoveNotificationFromList */
	before = station_stat(station, "send_apdus");
	station_fault(station, "apdu %u hang", apdus + 1);
	station_submit(station, packages->pdata[1]);
	station_until(station, "send_apdus", before + apdus + 1);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 2);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 1);
	station_daemon_kill(station);
	g_free(station_control(station, "reset"));
	station_daemon_up(station);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 0);
	end(station, 2, 2, 2);
}

/* Notifications are counted from 0 on some chips. */
static void test_number_zero(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_new(world, 1);
	IfppChipMem *mem = ifpp_chipmem_load(station->chip, NULL);

	mem->next_seq = 0;
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
	ifpp_chipmem_free(mem);
	packages = station_seal(station, 1);
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	end(station, 1, 1, 1);
}

/* ------------------------------------------------------------------ nothing is lost */

/* The client goes while its package is loaded: the load goes on, and its result waits. */
static void test_client_gone(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, NULL, &packages);
	RelaySimResult result;

	station_submit(station, packages->pdata[0]);
	for (guint i = 0; i < STATION_WAIT_MS / 10 && !station_outbox(station, ".result"); i++)
		g_usleep(10000);
	g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
	relay_sim_result_clear(&result);
	/* whoever comes next is told that this key has done its work */
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, -EKEYEXPIRED);
	end(station, 1, 1, 1);
}

/* What the one result in the outbox says. */
static gboolean says_installed(Station *station)
{
	g_autofree char *outbox = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(GDir) dir = g_dir_open(outbox, 0, NULL);
	g_autoptr(GKeyFile) result = g_key_file_new();
	const char *name;

	while ((name = g_dir_read_name(dir)) && !g_str_has_suffix(name, ".result"))
		;
	g_assert_nonnull(name);
	{
		g_autofree char *path = g_build_filename(outbox, name, NULL);
		g_autofree char *pir = NULL;

		g_assert_true(g_key_file_load_from_file(result, path, G_KEY_FILE_NONE, NULL));
		pir = g_key_file_get_string(result, "Result", "PIR", NULL);
		g_assert_nonnull(pir);
	}
	return g_key_file_get_integer(result, "Result", "Status", NULL) == 0;
}

/* A fault is on its way: what becomes of the load in hand, and what it takes to do it again. */
static void resume(Station *station, GBytes *package, const char *what)
{
	guint unspent;

	/* with the modem gone the daemon goes too, unless it can still ask */
	if (station->daemon) {
		RelaySimResult result;

		if (relay_sim_wait(station->sim, &result, STATION_WAIT_MS))
			station_daemon_wait(station, STATION_WAIT_MS);
		else
			relay_sim_result_clear(&result);
		if (station->daemon && station->sim->rec.unknown)
			station_daemon_kill(station);
	}
	if (!station->daemon)
		station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.unknown, ==, 0);
	unspent = station->sim->rec.unspent;
	if (unspent)	/* nothing had happened: it can be done again */
		g_assert_cmpint(station_load(station, package, NULL, NULL), ==, 0);
	g_test_message("%s: key %s", what, unspent ? "untouched" : "spent, result signed");
	end(station, says_installed(station), 1, 1);
}

static void cut_and_resume(const char *line, gboolean kill_daemon, gboolean plug)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = begin(1, NULL, &packages);
	gint64 faults = station_stat(station, "faults");

	station_fault(station, "%s", line);
	station_submit(station, packages->pdata[0]);
	station_until(station, "faults", faults + 1);
	if (kill_daemon)
		station_daemon_kill(station);
	if (plug)
		g_free(station_control(station, "plug"));
	resume(station, packages->pdata[0], line);
}

/* The daemon is killed at an APDU: before, in and after the load proper. */
static void test_daemon_killed(void)
{
	cut_and_resume("apdu 2 " STATION_LATE, TRUE, FALSE);
	cut_and_resume("apdu 6 " STATION_LATE, TRUE, FALSE);
	cut_and_resume("apdu 12 " STATION_LATE, TRUE, FALSE);
}

static void test_unplugged(void)
{
	cut_and_resume("apdu 6 unplug", FALSE, TRUE);
}

static void test_reset(void)
{
	cut_and_resume("apdu 6 reset", FALSE, FALSE);
	cut_and_resume("apdu 6 reset-after", FALSE, FALSE);
}

/* Both writes of a load: the key spent, the profile installed; before, in the middle, after. */
static void test_power_cut(void)
{
	static const char *const kinds[] = { "power-cut", "power-cut-during", "power-cut-after" };

	for (guint write = 1; write <= 2; write++)
		for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
			g_autofree char *line = g_strdup_printf("write %u %s", write, kinds[i]);

			cut_and_resume(line, FALSE, FALSE);
		}
}

static void test_disk_full(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_new(world, 1);
	g_autofree char *ballast = g_build_filename(station->state, "ballast", NULL);
	g_autofree char *junk = g_malloc0(4096);
	g_autofree char *state = g_strdup(station->state);
	gint64 before;
	guint reason;
	FILE *file;

	packages = station_seal(station, 1);
	g_assert_cmpint(mount("none", station->state, "tmpfs", 0, "size=256k,mode=0700"), ==, 0);
	station_modem_start(station);
	station_daemon_up(station);
	before = station_stat(station, "apdus");
	file = fopen(ballast, "w");
	setbuf(file, NULL);
	while (fwrite(junk, 4096, 1, file) == 1)
		;
	fclose(file);
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, -ENOSPC);
	g_assert_cmpuint(reason, ==, IFPP_ERROR_NO_SPACE);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_unlink(ballast);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	end(station, 1, 1, 1);
	g_assert_cmpint(umount(state), ==, 0);
	g_rmdir(state);
}

/* Wherever a lock is cut it stays LOCKING, and doing it again ends it; the chip locks once. */
static void test_lock_cut(void)
{
	static const char *const lines[] = {
		"apdu 1 power-cut",	"apdu 1 power-cut-after",  "apdu 2 reset",	  "apdu 2 reset-after",
		"write 1 power-cut",	"write 1 power-cut-during", "write 1 power-cut-after",
	};

	for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
		Station *station = station_new(world, 2);
		g_autoptr(IfppChipMem) mem = NULL;
		RelaySimResult result;
		int status;

		station_modem_start(station);
		station_daemon_up(station);
		station_fault(station, "%s", lines[i]);
		status = station_request(station, IFPP_REQ_LOCK, challenge, &result);
		relay_sim_result_clear(&result);
		/* irrevocable from the request on */
		g_assert_cmpuint(station->sim->rec.state, >=, IFPP_STATE_LOCKING);
		if (status) {
			station_daemon_wait(station, STATION_WAIT_MS);
			station_daemon_kill(station);
			g_free(station_control(station, "reset"));
			station_daemon_up(station);
			g_assert_cmpuint(station->sim->rec.state, >=, IFPP_STATE_LOCKING);
			if (station->sim->rec.state == IFPP_STATE_LOCKED)
				g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
			else
				finish_lock(station);
		} else {
			g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
		}
		g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
		g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
		end_in_peace(station);
		mem = ifpp_chipmem_load(station->chip, NULL);
		g_assert_true(mem->locked);
		g_assert_cmpuint(mem->lock_counter, ==, 1);
		g_assert_cmpuint(mem->keys->len, ==, 0);
		g_assert_cmpuint(station->sim->tampers, ==, 0);
		station_free(station);
	}
}

/* ------------------------------------------------------------------ one client of qmi-proxy among others */

#define QMI_PROXY "/usr/libexec/qmi-proxy"

static GPid proxy;

/* Its socket is an abstract one: in a network of our own nobody else's is in the way. */
static void proxy_start(void)
{
	static gboolean apart;
	char *argv[] = { (char *)QMI_PROXY, (char *)"--no-exit", NULL };
	g_autoptr(GError) error = NULL;

	if (!apart)
		g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
	apart = TRUE;
	g_spawn_async(NULL, argv, NULL,
		      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
		      &proxy, &error);
	g_assert_no_error(error);
	for (guint i = 0;; i++) {
		g_autofree char *sockets = NULL;

		g_assert_true(g_file_get_contents("/proc/self/net/unix", &sockets, NULL, NULL));
		if (strstr(sockets, " @qmi-proxy\n"))
			break;
		g_assert_cmpuint(i, <, STATION_WAIT_MS / 10);
		g_usleep(10000);
	}
}

static void proxy_stop(int sig)
{
	g_assert_cmpint(kill(proxy, sig), ==, 0);
	g_assert_cmpint(waitpid(proxy, NULL, 0), ==, proxy);
}

/* What somebody else asks of the modem beside the daemon. */
static gboolean other(Station *station, const char *option)
{
	char *argv[] = { (char *)"qmicli", (char *)"-p", (char *)"-d", station->socket,
			 (char *)"--device-open-qmi", (char *)option, NULL };
	g_autofree char *out = NULL, *err = NULL;
	g_autoptr(GError) error = NULL;
	int status;

	g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
	g_assert_no_error(error);
	if (g_spawn_check_wait_status(status, NULL))
		return TRUE;
	g_test_message("qmicli %s: %s%s", option, out, err);
	return FALSE;
}

static void proxy_killed(Station *station)
{
	proxy_stop(SIGKILL);
	proxy_start();
}

static void proxy_restarted(Station *station)
{
	proxy_stop(SIGTERM);
	proxy_start();
}

static void card_off_and_on(Station *station)
{
	g_assert_true(other(station, "--uim-sim-power-off=1"));
	g_assert_true(other(station, "--uim-sim-power-on=1"));
}

static void modem_reset_by_other(Station *station)
{
	gint64 resets = station_stat(station, "resets");

	/* the modem may be gone before it can take its leave */
	other(station, "--dms-set-operating-mode=reset");
	station_until(station, "resets", resets + 1);
	/* The proxy may have noticed, and may have not. */
	proxy_stop(SIGKILL);
	proxy_start();
}

/* Early, in the middle and at the end of a load somebody is in the daemon's way, who uses the port too. */
static void share_and_resume(gconstpointer data)
{
	void (*meanwhile)(Station *station) = data;
	static const guint apdus[] = { 2, 6, 12 };

	for (guint i = 0; i < G_N_ELEMENTS(apdus); i++) {
		g_autofree char *what = g_strdup_printf("apdu %u", apdus[i]);
		g_autoptr(GPtrArray) packages = NULL;
		Station *station = station_new(world, 1);
		gint64 faults;

		proxy_start();
		station->proxy = TRUE;
		station->quiet = TRUE;
		station_up(station, 1, &packages);
		faults = station_stat(station, "faults");
		station_fault(station, "%s delay 2500", what);
		station_submit(station, packages->pdata[0]);
		station_until(station, "faults", faults + 1);
		g_assert_true(other(station, "--uim-get-slot-status"));
		meanwhile(station);
		resume(station, packages->pdata[0], what);
		proxy_stop(SIGKILL);
	}
}

/* A lock that loses its proxy is done again, and ends. */
static void test_proxy_lock(void)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
	Station *station = station_new(world, 2);
	g_autoptr(IfppChipMem) mem = NULL;

	proxy_start();
	station->proxy = TRUE;
	station->quiet = TRUE;
	station_up(station, 0, NULL);
	station_fault(station, "apdu 1 " STATION_LATE);
	g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOCK, g_bytes_get_data(challenge, NULL),
					 g_bytes_get_size(challenge), STATION_WAIT_MS), ==, 0);
	station_until(station, "faults", 1);
	proxy_killed(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), !=, 0);
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, >=, IFPP_STATE_LOCKING);
	if (station->sim->rec.state != IFPP_STATE_LOCKED)
		finish_lock(station);
	else
		g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	g_assert_cmpint(station_stat(station, "clients"), ==, 0);
	end_in_peace(station);
	mem = ifpp_chipmem_load(station->chip, NULL);
	g_assert_true(mem->locked);
	g_assert_cmpuint(mem->lock_counter, ==, 1);
	g_assert_cmpuint(station->sim->tampers, ==, 0);
	station_free(station);
	proxy_stop(SIGKILL);
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	verdict_sanitizers();
	world = world_new();
	g_test_add_func("/lesson/client-ids", test_client_ids);
	g_test_add_func("/lesson/stale-channels", test_stale_channels);
	g_test_add_func("/lesson/no-reopening", test_no_reopening);
	g_test_add_func("/lesson/early-result", test_early_result);
	g_test_add_func("/lesson/stored-first", test_stored_first);
	g_test_add_func("/lesson/number-zero", test_number_zero);
	g_test_add_func("/nothing-lost/client-gone", test_client_gone);
	g_test_add_func("/nothing-lost/daemon-killed", test_daemon_killed);
	g_test_add_func("/nothing-lost/unplugged", test_unplugged);
	g_test_add_func("/nothing-lost/reset", test_reset);
	g_test_add_func("/nothing-lost/power-cut", test_power_cut);
	g_test_add_func("/nothing-lost/disk-full", test_disk_full);
	g_test_add_func("/nothing-lost/lock-cut", test_lock_cut);
	/* last: these go into a network of their own */
	g_test_add_data_func("/proxy/killed", proxy_killed, share_and_resume);
	g_test_add_data_func("/proxy/restarted", proxy_restarted, share_and_resume);
	g_test_add_data_func("/proxy/card-off-and-on", card_off_and_on, share_and_resume);
	g_test_add_data_func("/proxy/modem-reset", modem_reset_by_other, share_and_resume);
	g_test_add_func("/proxy/lock", test_proxy_lock);
	status = g_test_run();
	world_free(world);
	return status;
}
