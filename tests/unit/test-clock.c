// SPDX-License-Identifier: GPL-2.0-or-later
/* A station whose clock is wrong: it waits, says so, and goes on when the clock is set, or by policy with what is proven. */
#include <errno.h>
#include <string.h>

#include <glib/gstdio.h>
#include <sys/wait.h>

#include "error.h"
#include "floor.h"
#include "steps.h"

#define DAY 86400
#define YEAR_1970 60
#define YEAR_2015 G_GINT64_CONSTANT(1420070400)

static World *world;
static char *clock_file;

static gint64 real_now(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

/* Of a program that runs as well. */
static void set_clock(gint64 when)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT "\n", when);

	g_assert_true(g_file_set_contents(clock_file, text, -1, NULL));
}

/* What is started between the two has the clock of the file; not the tools that make certificates. */
static void shim_on(void)
{
	g_autofree char *shim = g_build_filename(g_getenv("IFPP_BUILD"), "tests/unit/clock-shim.so", NULL);
	g_autofree char *asan = g_strdup_printf("%s:verify_asan_link_order=0", g_getenv("ASAN_OPTIONS") ?: "");

	g_setenv("IFPP_TEST_CLOCK", clock_file, TRUE);
	g_setenv("ASAN_OPTIONS", asan, TRUE);
	g_setenv("LD_PRELOAD", shim, TRUE);
}

static void shim_off(void)
{
	g_unsetenv("LD_PRELOAD");
}

static void daemon_waits(Station *station)
{
	g_autofree char *log = NULL;

	shim_on();
	station_daemon_start(station);
	shim_off();
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_TIME);
	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	g_assert_nonnull(strstr(log, "the time is not known: this machine's clock says"));
	g_assert_nonnull(strstr(log, "goes on by itself when the clock is set"));
	g_assert_cmpuint(station_outbox(station, ""), ==, 0);
	steps_clean(station);
}

static void daemon_up(Station *station)
{
	shim_on();
	station_daemon_up(station);
	shim_off();
}

static void refused(Station *station, GBytes *package, guint reason)
{
	gint64 before = station_stat(station, "apdus");

	steps_ask(station, IFPP_REQ_LOAD, package, -EKEYREJECTED, reason);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
}

static void test_1970_waits(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);

	station_modem_start(station);
	set_clock(YEAR_1970);
	daemon_waits(station);
	set_clock(YEAR_2015);
	daemon_waits(station);

	/* Nothing was spent by waiting. */
	set_clock(real_now());
	daemon_up(station);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 1);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	steps_end(station);
}

/* The battery fails while the daemon runs: the same package loads once the clock is set. */
static void test_set_goes_on(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);

	station_modem_start(station);
	set_clock(real_now());
	daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	set_clock(YEAR_1970);
	refused(station, packages->pdata[1], IFPP_ERROR_TIME_UNKNOWN);
	set_clock(real_now());
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	steps_end(station);
}

/* What was proven once counts after a restart, without the file that proved it. */
static void test_floor_is_kept(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *path = g_build_filename(station->state, "clock", "floor", NULL);
	g_autofree char *trust = g_build_filename(station->dir, "trust", NULL), *crl = g_build_filename(trust, "ci.crl", NULL);
	g_autofree char *root = g_build_filename(trust, "ci.pem", NULL), *ours = g_build_filename(world->trust, "ci.pem", NULL);
	gint64 floor;

	g_assert_cmpint(g_mkdir(trust, 0700), ==, 0);
	station_copy(ours, root);
	station->trust = trust;
	station_modem_start(station);
	/* two days from now, that a CRL proves is today then */
	g_assert_true(ifpp_floor_write(path, real_now() + 2 * DAY, NULL));
	set_clock(real_now());
	daemon_waits(station);
	set_clock(real_now() + 2 * DAY);
	daemon_up(station);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);

	g_assert_cmpint(g_unlink(path), ==, 0);
	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--out", crl, NULL), ==, 0);
	set_clock(real_now());
	daemon_up(station);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_true(ifpp_floor_read(path, &floor, NULL));
	/* a program that was built since is newer than the CRL */
	g_assert_true(!floor || (floor >= real_now() - DAY && floor <= real_now()));
	/* damaged: as if it were not there */
	g_assert_true(g_file_set_contents(path, "yesterday\n", -1, NULL));
	daemon_up(station);
	steps_end(station);
}

/* A machine that will never know: the CI's CRL is of today, so it is not earlier, and what that revokes is revoked. */
static void test_by_policy(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	g_autofree char *trust = g_build_filename(station->dir, "trust", NULL), *crl = g_build_filename(trust, "ci.crl", NULL);
	g_autofree char *root = g_build_filename(trust, "ci.pem", NULL), *ours = g_build_filename(world->trust, "ci.pem", NULL);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);
	g_autofree char *report = g_build_filename(station->dir, "report.json", NULL);
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL), *text = NULL;
	g_autofree char *cert = g_build_filename(world->dir, "dppb.pem", NULL);

	g_assert_cmpint(g_mkdir(trust, 0700), ==, 0);
	station_copy(ours, root);
	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--out", crl, NULL), ==, 0);
	g_assert_true(g_file_set_contents(policy, "[Target]\nClock=floor\n", -1, NULL));
	station->trust = trust;
	station->policy = policy;
	station_modem_start(station);
	set_clock(YEAR_1970);
	daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_run("ifppctl", "report", "--outbox", outbox, "--output", report, NULL), ==, 0);
	g_assert_true(g_file_get_contents(report, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "\"clock_floor\""));

	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--revoke", cert, "--out", crl, NULL), ==, 0);
	refused(station, packages->pdata[1], IFPP_ERROR_REVOKED);

	/* Who asked for it takes it back. */
	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--out", crl, NULL), ==, 0);
	g_assert_true(g_file_set_contents(policy, "[Target]\nClock=wait\n", -1, NULL));
	refused(station, packages->pdata[1], IFPP_ERROR_TIME_UNKNOWN);
	set_clock(real_now());
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	steps_end(station);
}

/* The check of a station says it too, with the exit status of its own. */
static void test_selftest(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *ifppd = station_program("ifppd");
	const char *argv[] = { ifppd, "--selftest", "--json", "--device", station->socket, "--trust", station->trust,
			       "--state-dir", station->state, NULL };
	g_autofree char *text = NULL;
	int status;

	station_modem_start(station);
	set_clock(YEAR_1970);
	shim_on();
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &text, NULL, &status, NULL));
	shim_off();
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, IFPP_EXIT_TIME);
	g_assert_nonnull(strstr(text, "\"check\":\"time\",\"result\":\"failed\""));
	steps_clean(station);
	station_free(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	clock_file = g_build_filename(world->dir, "clock", NULL);
	g_test_add_func("/clock/clock_1970_waits", test_1970_waits);
	g_test_add_func("/clock/clock_set_goes_on", test_set_goes_on);
	g_test_add_func("/clock/floor_is_kept", test_floor_is_kept);
	g_test_add_func("/clock/clock_floor_by_policy", test_by_policy);
	g_test_add_func("/clock/selftest_says_time_unknown", test_selftest);
	code = g_test_run();
	world_free(world);
	g_free(clock_file);
	return code;
}
