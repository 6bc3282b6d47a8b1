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

static char *report_of(Station *station)
{
	g_autofree char *file = g_build_filename(station->dir, "report.json", NULL);
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL);
	char *text = NULL;

	g_assert_cmpint(station_run("ifppctl", "report", "--outbox", outbox, "--output", file, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "verify-report", "--home", station->world->home, file, NULL), ==, 0);
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	return text;
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
	text = report_of(station);
	g_assert_cmpuint(count(text, "\"left_in_chip\""), ==, 2);
	steps_clean(station);
	station_free(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/field/deferred_report", test_deferred);
	code = g_test_run();
	world_free(world);
	return code;
}
