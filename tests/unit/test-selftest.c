// SPDX-License-Identifier: GPL-2.0-or-later
/* ifppd --selftest, as an integrator calls it through ifppctl. */
#include <string.h>

#include <glib/gstdio.h>
#include <sys/wait.h>
#include <json-glib/json-glib.h>

#include "error.h"
#include "steps.h"

static World *world;

typedef struct {
	int exit;
	GHashTable *result;	/* check: JsonObject of its line */
	gint64 passed, failed;
	char *text;
} Verdicts;

static void verdicts_free(Verdicts *verdicts)
{
	g_hash_table_unref(verdicts->result);
	g_free(verdicts->text);
	g_free(verdicts);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Verdicts, verdicts_free)

/* As an integrator calls it, through ifppctl. */
static Verdicts *selftest(Station *station, gboolean json)
{
	g_autofree char *ifppctl = station_program("ifppctl");
	g_autofree char *ifppd = station_program("ifppd");
	const char *argv[] = { ifppctl, "selftest", "--ifppd", ifppd, "--device", station->socket, "--trust",
			       station->trust, json ? "--json" : NULL, NULL };
	g_autoptr(GError) error = NULL;
	g_autofree char *err = NULL;
	g_auto(GStrv) lines = NULL;
	Verdicts *verdicts = g_new0(Verdicts, 1);
	int status;

	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &verdicts->text, &err, &status,
		     &error);
	g_assert_no_error(error);
	g_assert_true(WIFEXITED(status));
	verdicts->exit = WEXITSTATUS(status);
	verdicts->result =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_object_unref);
	g_test_message("exit %d: %s%s", verdicts->exit, verdicts->text, err);
	lines = g_strsplit(verdicts->text, "\n", -1);
	for (guint i = 0; json && *lines[i]; i++) {
		g_autoptr(JsonNode) node = json_from_string(lines[i], &error);
		JsonObject *object;

		g_assert_no_error(error);
		object = json_node_get_object(node);
		if (json_object_has_member(object, "check")) {
			g_hash_table_insert(verdicts->result,
					    g_strdup(json_object_get_string_member(object, "check")),
					    json_object_ref(object));
		} else {
			verdicts->passed = json_object_get_int_member(object, "ok");
			verdicts->failed = json_object_get_int_member(object, "failed");
		}
	}
	/* Why it failed is told on standard error too, in one line. */
	g_assert_cmpint(verdicts->exit != 0, ==, strstr(err, "ifppd: selftest: ") != NULL);
	return verdicts;
}

static gint64 assert_verdict(Verdicts *verdicts, const char *check, const char *result)
{
	JsonObject *object = g_hash_table_lookup(verdicts->result, check);

	g_assert_nonnull(object);
	g_assert_cmpstr(json_object_get_string_member(object, "result"), ==, result);
	g_assert_cmpuint(strlen(json_object_get_string_member(object, "detail")), >, 3);
	/* What to do is said wherever something is to be done. */
	g_assert_cmpint(!json_object_get_null_member(object, "hint"), ==,
			!strcmp(result, "failed") || !strcmp(result, "warning"));
	return json_object_get_null_member(object, "value") ? -1 : json_object_get_int_member(object, "value");
}

static void test_selftest(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(Verdicts) good = NULL;
	g_autoptr(Verdicts) spoken = NULL;
	g_autoptr(Verdicts) smaller = NULL;

	station_modem_start(station);
	good = selftest(station, TRUE);
	g_assert_cmpint(good->exit, ==, 0);
	g_assert_cmpint(good->passed, ==, 11);
	assert_verdict(good, "trust", "ok");
	assert_verdict(good, "time", "ok");
	g_assert_cmpint(good->failed, ==, 0);
	assert_verdict(good, "port", "ok");
	assert_verdict(good, "qmi", "ok");
	assert_verdict(good, "slots", "ok");
	g_assert_cmpint(assert_verdict(good, "channels", "ok"), ==, 1);
	assert_verdict(good, "isd-r", "ok");
	g_assert_cmpint(assert_verdict(good, "block", "ok"), ==, 255);
	g_assert_cmpint(assert_verdict(good, "codec", "ok"), ==, 3);
	g_assert_cmpint(assert_verdict(good, "keys", "ok"), ==, 3);
	g_assert_cmpint(assert_verdict(good, "timing", "ok"), >, 0);
	steps_clean(station);

	/* The EID is for terminals and programs, not for logs. */
	g_assert_nonnull(strstr(good->text, station->eid));
	spoken = selftest(station, FALSE);
	g_assert_cmpint(spoken->exit, ==, 0);
	g_assert_nonnull(strstr(spoken->text, "can be provisioned"));
	g_assert_null(strstr(spoken->text, station->eid));

	/* The second APDU is the long one: its first two sizes are refused. */
	g_free(station_control(station, "fault apdu 2 sw 6700"));
	g_free(station_control(station, "fault apdu 3 sw 6700"));
	smaller = selftest(station, TRUE);
	g_assert_cmpint(smaller->exit, ==, 0);
	g_assert_cmpint(assert_verdict(smaller, "block", "ok"), ==, 120);
	steps_clean(station);

	/* It has changed nothing: the daemon finds everything as it was. */
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 3);
	steps_end(station);
}

/* A channel that somebody else has open stays theirs: the test takes the next one. */
static void test_selftest_guest(void)
{
	Station *station = station_begin(world, 1, 0, NULL);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autoptr(Verdicts) verdicts = NULL;
	gint64 before = station_stat(station, "send_apdus");

	station_fault(station, "apdu 3 " STATION_LATE);
	station_submit(station, packages->pdata[0]);
	station_until(station, "send_apdus", before + 3);
	station_daemon_kill(station);
	verdicts = selftest(station, TRUE);
	g_assert_cmpint(assert_verdict(verdicts, "channels", "ok"), ==, 2);

	/* The daemon is no guest. */
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);
	station_free(station);
}

/* No ISD-R, no factory provisioning, roots of somebody else: each is told where it belongs. */
static void test_selftest_no_euicc(void)
{
	static const struct {
		const char *fault, *check;
		int exit;
	} cases[] = {
		{ "fault qmi 8 error 80", "isd-r", IFPP_EXIT_NO_DEVICE },
		{ "fault apdu 4 sw 6D00", "codec", IFPP_EXIT_NO_DEVICE },
		{ "fault apdu 1 sw 6985", "isd-r", IFPP_EXIT_CHIP },
	};
	World *fake = world_new();
	Station *station = station_new(world, 1);

	station_modem_start(station);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Verdicts) verdicts = NULL;

		g_free(station_control(station, cases[i].fault));
		verdicts = selftest(station, TRUE);
		g_assert_cmpint(verdicts->exit, ==, cases[i].exit);
		g_assert_cmpint(verdicts->failed, ==, 1);
		assert_verdict(verdicts, cases[i].check, "failed");
		assert_verdict(verdicts, "slots", "ok");
		assert_verdict(verdicts, "keys", "skipped");
		steps_clean(station);
	}
	station->trust = fake->trust;
	{
		g_autoptr(Verdicts) verdicts = selftest(station, TRUE);

		g_assert_cmpint(verdicts->exit, ==, IFPP_EXIT_REFUSED);
		assert_verdict(verdicts, "codec", "ok");
		assert_verdict(verdicts, "keys", "failed");
		assert_verdict(verdicts, "timing", "ok");
	}
	steps_clean(station);
	station_free(station);
	world_free(fake);
}

static const char *member(Verdicts *verdicts, const char *check, const char *name)
{
	return json_object_get_string_member(g_hash_table_lookup(verdicts->result, check), name);
}

/* What others have met is told with what helped them, and with the model and the firmware revision, of which it depends. */
static void test_selftest_known_failure(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *quirks = g_build_filename(station->dir, "quirks.conf", NULL);
	g_autofree char *options = g_strdup_printf("--quirks %s", quirks);
	g_autoptr(Verdicts) denied = NULL, slot = NULL;

	station_modem_start(station);
	station_fault(station, "apdu 1 error 82");
	denied = selftest(station, TRUE);
	g_assert_cmpint(denied->exit, ==, IFPP_EXIT_NO_DEVICE);
	assert_verdict(denied, "isd-r", "failed");
	g_assert_nonnull(strstr(member(denied, "isd-r", "detail"), "(Virtual EC25, firmware ifpp-vmodem"));
	g_assert_nonnull(strstr(member(denied, "isd-r", "hint"), "generic firmware helped"));
	g_assert_null(strstr(member(denied, "isd-r", "hint"), "Reset"));
	g_assert_nonnull(strstr(member(denied, "slots", "detail"), "Virtual EC25, firmware ifpp-vmodem"));
	steps_clean(station);
	station_modem_stop(station);

	g_assert_true(g_file_set_contents(quirks, "[Modem]\nSlots=2\nActiveSlot=1\n", -1, NULL));
	station->modem_options = options;
	station_modem_start(station);
	slot = selftest(station, TRUE);
	g_assert_cmpint(slot->exit, ==, IFPP_EXIT_NO_DEVICE);
	assert_verdict(slot, "slots", "failed");
	g_assert_nonnull(strstr(member(slot, "slots", "detail"), "(Virtual EC25, firmware ifpp-vmodem"));
	g_assert_nonnull(strstr(member(slot, "slots", "detail"), "SwitchSlot=2"));
	steps_clean(station);
	station_free(station);
}

/* Whatever one message meets, every check has its line, and what failed says what to do. */
static void test_selftest_broken(void)
{
	static const char *const checks[] = { "port", "qmi",   "slots", "channels", "isd-r",
					      "block", "codec", "keys",	 "timing" };
	static const guint errors[] = { 3, 48, 71 };
	Station *station = station_new(world, 1);
	g_autoptr(Verdicts) good = NULL;
	g_autoptr(Verdicts) slow = NULL;
	g_autofree char *fault = NULL;
	guint seen[G_N_ELEMENTS(checks)] = { 0 };
	gint64 requests, apdus;

	station_modem_start(station);
	good = selftest(station, TRUE);
	requests = station_stat(station, "requests");
	apdus = station_stat(station, "send_apdus");
	for (gint64 n = 1; n <= requests; n++) {
		g_autofree char *line = g_strdup_printf("fault qmi %d error %u", (int)n,
							errors[n % G_N_ELEMENTS(errors)]);
		g_autoptr(Verdicts) verdicts = NULL;

		g_free(station_control(station, line));
		verdicts = selftest(station, TRUE);
		g_free(station_control(station, "fault clear"));
		g_assert_cmpint(verdicts->exit != 0, ==, verdicts->failed > 0);
		for (guint i = 0; i < G_N_ELEMENTS(checks); i++) {
			JsonObject *object = g_hash_table_lookup(verdicts->result, checks[i]);
			const char *result;

			g_assert_nonnull(object);
			result = json_object_get_string_member(object, "result");
			assert_verdict(verdicts, checks[i], result);
			seen[i] += strcmp(result, "ok") != 0;
		}
		/* an error at the release of a client or channel may leave it: the modem forgets at reset */
		g_free(station_control(station, "reset"));
	}
	for (guint i = 1; i < G_N_ELEMENTS(checks); i++)	/* the port opens without a message */
		g_assert_cmpuint(seen[i], >, 0);

	/* The last round trip takes too long. */
	fault = g_strdup_printf("fault apdu %d delay 700", (int)apdus);
	g_free(station_control(station, fault));
	slow = selftest(station, TRUE);
	g_assert_cmpint(slow->exit, ==, 0);
	assert_verdict(slow, "timing", "warning");
	station_free(station);

	/* Nothing left to load with is no fault of the modem. */
	station = station_new(world, 0);
	station_modem_start(station);
	{
		g_autoptr(Verdicts) drained = selftest(station, TRUE);

		g_assert_cmpint(drained->exit, ==, 0);
		g_assert_cmpint(assert_verdict(drained, "keys", "warning"), ==, 0);
		assert_verdict(drained, "codec", "ok");
	}
	station_free(station);
}

/* Certificates that are in GetCerts alone are good enough, and what it says instead is told. */
static void test_selftest_getcerts(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *options = g_strdup_printf("--quirks %s/getcerts.conf", g_getenv("IFPP_QUIRKS"));
	g_autoptr(Verdicts) good = NULL;
	gboolean told = FALSE;

	station->modem_options = options;
	station_modem_start(station);
	good = selftest(station, TRUE);
	g_assert_cmpint(good->exit, ==, 0);
	assert_verdict(good, "keys", "ok");
	for (guint n = 1; n < 20 && !told; n++) {
		g_autoptr(Verdicts) bad = NULL;

		station_fault(station, "apdu %u sw 6a88", n);
		bad = selftest(station, TRUE);
		g_free(station_control(station, "fault clear"));
		told = strstr(bad->text, "no certificates in GetFactoryInfo, and GetCerts: the chip answered 6A88") != NULL;
		g_assert_true(!told || bad->exit);
	}
	g_assert_true(told);
	station_free(station);
}

/* One bad file in the directory of roots is named, and the modem is tested all the same. */
static void test_selftest_trust(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *bad = g_build_filename(world->trust, "bad.crl", NULL);
	g_autoptr(Verdicts) verdicts = NULL;

	station_modem_start(station);
	g_assert_true(g_file_set_contents(bad, "no CRL", -1, NULL));
	verdicts = selftest(station, TRUE);
	g_assert_cmpint(assert_verdict(verdicts, "trust", "warning"), ==, 1);
	g_assert_nonnull(strstr(verdicts->text, "bad.crl"));
	assert_verdict(verdicts, "block", "ok");
	g_assert_cmpint(g_unlink(bad), ==, 0);
	station_free(station);
}

/* What ends soon is told in advance. */
static void test_selftest_ends(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *soon = g_build_filename(world->trust, "soon.crl", NULL);
	g_autoptr(Verdicts) verdicts = NULL;

	station_modem_start(station);
	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--days", "6", "--out", soon, NULL), ==, 0);
	verdicts = selftest(station, TRUE);
	g_assert_cmpint(assert_verdict(verdicts, "trust", "warning"), ==, 1);
	g_assert_nonnull(strstr(verdicts->text, "soon.crl: ends on"));
	assert_verdict(verdicts, "block", "ok");
	g_assert_cmpint(g_unlink(soon), ==, 0);
	station_free(station);
}

static void test_selftest_no_modem(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(Verdicts) verdicts = selftest(station, TRUE);

	g_assert_cmpint(verdicts->exit, ==, IFPP_EXIT_NO_DEVICE);
	g_assert_cmpint(verdicts->passed, ==, 2);	/* the roots */
	assert_verdict(verdicts, "port", "failed");
	assert_verdict(verdicts, "timing", "skipped");
	station_free(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/ifppd/selftest", test_selftest);
	g_test_add_func("/ifppd/selftest/leaves-others", test_selftest_guest);
	g_test_add_func("/ifppd/selftest_known_failure", test_selftest_known_failure);
	g_test_add_func("/ifppd/selftest-no-euicc", test_selftest_no_euicc);
	g_test_add_func("/ifppd/selftest-broken", test_selftest_broken);
	g_test_add_func("/ifppd/selftest-getcerts", test_selftest_getcerts);
	g_test_add_func("/ifppd/selftest-trust", test_selftest_trust);
	g_test_add_func("/ifppd/selftest-ends", test_selftest_ends);
	g_test_add_func("/ifppd/selftest-no-modem", test_selftest_no_modem);
	code = g_test_run();
	world_free(world);
	return code;
}
