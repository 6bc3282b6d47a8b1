// SPDX-License-Identifier: GPL-2.0-or-later
/* What the policy leaves in a chip for its life in the field. */
#include <string.h>

#include <glib/gstdio.h>

#include "chipmem.h"
#include "steps.h"

static World *world;

/* How many installation results wait in the chip's memory; the modem may run. */
static guint results_in_chip(Station *station)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	guint n = 0;

	g_assert_nonnull(mem);
	for (guint i = 0; i < mem->notes->len; i++) {
		const IfppChipNote *note = mem->notes->pdata[i];
		const guint8 *bytes = g_bytes_get_data(note->bytes, NULL);

		n += bytes[0] == 0xBF && bytes[1] == 0x37;
	}
	return n;
}

static guint count(const char *text, const char *word)
{
	guint n = 0;

	for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
		n++;
	return n;
}

/* Report=field: the factory has its copy, and the chip tells its operator itself when it is first switched on. */
static void test_deferred(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(GPtrArray) packages = station_seal(station, 3);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL), *text = NULL;
	g_autoptr(GBytes) one = steps_challenge(1);

	station->policy = policy;
	station_modem_start(station);
	g_assert_true(g_file_set_contents(policy, "[Target]\nReport=factory\n", -1, NULL));
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpuint(results_in_chip(station), ==, 0);

	/* From now on they stay, whoever starts or asks again. */
	g_assert_true(g_file_set_contents(policy, "[Target]\nReport=field\n", -1, NULL));
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	g_assert_cmpuint(results_in_chip(station), ==, 1);
	steps_ask(station, IFPP_REQ_REFRESH, NULL, 0, 0);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[2], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);
	g_assert_cmpuint(results_in_chip(station), ==, 2);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 3);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);

	/* What was promised to the field is not taken back. */
	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\n", -1, NULL));
	steps_ask(station, IFPP_REQ_REFRESH, NULL, 0, 0);
	g_assert_cmpuint(results_in_chip(station), ==, 2);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(results_in_chip(station), ==, 2);
	text = station_report(station);
	g_assert_cmpuint(count(text, "\"left_in_chip\""), ==, 2);
	steps_clean(station);
	station_free(station);
}

static void set_policy(Station *station, const char *text)
{
	g_autofree char *whole = g_strconcat("[Target]\n", text, "\n", NULL);

	g_assert_true(g_file_set_contents(station->policy, whole, -1, NULL));
}

static gboolean logged(Station *station, const char *words)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents(station->log, &text, NULL, NULL));
	return strstr(text, words) != NULL;
}

/* The chip's own memory: nothing is enabled in it, and so many keys are left. */
static void assert_factory(Station *station, guint keys, guint profiles)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);

	g_assert_nonnull(mem);
	g_assert_null(ifpp_chipmem_enabled(mem));
	g_assert_cmpuint(mem->keys->len, ==, keys);
	g_assert_cmpuint(mem->profiles->len, ==, profiles);
}

/* Test=: each loaded profile is in use for a while, as long as keys are left. */
static void test_connectivity(void)
{
	Station *station = station_new(world, 4);
	g_autoptr(GPtrArray) packages = station_seal(station, 4);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);
	RelaySimResult result;

	station->policy = policy;
	station_modem_start(station);
	set_policy(station, "Test=1");
	station_daemon_up(station);
	station_submit(station, packages->pdata[0]);
	station_until(station, "enabled", 1);
	assert_factory(station, 3, 1);
	g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
	steps_result(&result, 0, 0);
	steps_pir(&result, TRUE);
	g_assert_cmpuint(result.reply.n_keys, ==, 3);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "enabled"), ==, 0);
	g_assert_true(logged(station, "is enabled for a test of 1 seconds"));
	g_assert_true(logged(station, "is over"));
	assert_factory(station, 3, 1);

	/* Power goes in the middle of one: the load is done and told, and the chip is as the factory left it. */
	set_policy(station, "Test=60");
	station_submit(station, packages->pdata[1]);
	station_until(station, "enabled", 1);
	station_modem_stop(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), !=, -1);
	relay_sim_hangup(station->sim);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 2);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	station_modem_start(station);
	g_assert_cmpint(station_stat(station, "enabled"), ==, 0);
	set_policy(station, "Test=0");
	station_daemon_up(station);
	assert_factory(station, 2, 2);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[2], 0, 0);

	/* With its last key gone the chip is a chip of the field. */
	set_policy(station, "Test=1");
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[3], 0, 0);
	g_assert_true(logged(station, "no one-time key is left"));
	assert_factory(station, 0, 4);
	steps_end(station);
}

/* A chip of codec version 1 loads as ever, and the log says why it is not tested. */
static void test_not_offered(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);

	g_assert_cmpuint(mem->codec, ==, IFPP_CHIP_CODEC_MAX);
	mem->codec = 1;
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
	station->policy = policy;
	station_modem_start(station);
	set_policy(station, "Test=1");
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_true(logged(station, "no test of connectivity"));
	g_assert_true(logged(station, "the chip does not offer it"));
	g_assert_false(logged(station, "could not be begun"));
	assert_factory(station, 1, 1);
	steps_end(station);
}

/* The outbox of a station with what the Key Maker says of its report: on standard output, and by its exit status 0. */
static char *verified(Station *station)
{
	g_autofree char *program = station_program("ifpp-smdpf"), *file = g_build_filename(station->dir, "report.json", NULL);
	const char *argv[] = { program, "verify-report", "--home", station->world->home, "--json", file, NULL };
	char *text = NULL;
	int status;

	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &text, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	return text;
}

/* ESBPP03: what the station itself refuses is in the report with its reason; it is told, not signed, and changes nothing. */
static void test_failures(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	gsize len = g_bytes_get_size(packages->pdata[0]);
	g_autoptr(GBytes) bent = steps_flipped(packages->pdata[0], len - 200, 1);
	g_autofree char *refused = NULL, *told = NULL, *again = NULL, *loaded = NULL, *proven = NULL;

	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	for (guint i = 0; i < 2; i++) {
		RelaySimResult result;

		g_assert_cmpint(station_request(station, IFPP_REQ_LOAD, bent, &result), <, 0);
		g_assert_cmpuint(result.reply.reason, >=, 256);
		relay_sim_result_clear(&result);
	}
	g_assert_cmpuint(station_outbox(station, ".refused"), ==, 1);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
	refused = station_report(station);
	g_assert_cmpuint(count(refused, "\"refused\":["), ==, 1);
	g_assert_cmpuint(count(refused, "\"pir\":"), ==, 1);
	told = verified(station);
	g_assert_cmpuint(count(told, "\"outcome\":\"not-loaded\",\"why\":\"not loaded, told and not signed: "), ==, 1);
	g_assert_cmpuint(count(told, "\"outcome\":\"installed\""), ==, 1);
	/* It is still bound: said again, it is the same. */
	again = verified(station);
	g_assert_cmpuint(count(again, "told and not signed"), ==, 1);

	/* The whole package loads, and what was told of it before is of no interest any more. */
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	loaded = station_report(station);
	g_assert_cmpuint(count(loaded, "\"refused\""), ==, 0);
	proven = verified(station);
	g_assert_cmpuint(count(proven, "told and not signed"), ==, 0);
	steps_end(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/field/deferred_report", test_deferred);
	g_test_add_func("/field/connectivity_test", test_connectivity);
	g_test_add_func("/field/connectivity_test_not_offered", test_not_offered);
	g_test_add_func("/field/fpa_failures_in_report", test_failures);
	code = g_test_run();
	world_free(world);
	return code;
}
