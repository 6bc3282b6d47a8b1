// SPDX-License-Identifier: GPL-2.0-or-later
/* The whole way: EUM, Key Maker, virtual modem and chip, ifppd, and a relay that plays the driver. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "attempt.h"
#include "chipmem.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "steps.h"

static World *world;

/* Each record tells the unit, as its modem does. */
static void assert_unit(Station *station, guint records)
{
	g_autofree char *dir = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(GPtrArray) attempts = NULL;
	g_auto(IfppUnit) noted = { 0 };
	guint8 eid[16];

	g_assert_true(ifpp_eid_parse(station->eid, eid, NULL));
	attempts = ifpp_attempts_read(dir, eid, NULL, NULL, NULL);
	g_assert_cmpuint(attempts->len, ==, records);
	ifpp_unit_load(&noted, dir, IFPP_UNIT_FILE);
	for (guint i = 0; i < records; i++) {
		const IfppAttempt *attempt = attempts->pdata[i];
		char *const *field = attempt->unit.field;

		g_assert_true(g_str_has_prefix(field[IFPP_UNIT_IMEI], "001012"));
		g_assert_cmpstr(field[IFPP_UNIT_MODEL], ==, "Virtual EC25");
		g_assert_true(g_str_has_prefix(field[IFPP_UNIT_FIRMWARE], "ifpp-vmodem"));
		g_assert_nonnull(field[IFPP_UNIT_USB_PATH]);
		g_assert_cmpstr(field[IFPP_UNIT_STATION], ==, "bench-4");
		for (guint f = 0; f < IFPP_UNIT_FIELDS; f++)
			g_assert_cmpstr(field[f], ==, noted.field[f]);
	}
}

static void test_way(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 3, 3, &packages);
	RelaySimResult result;
	gint64 before;

	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_FACTORY);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 3);
	g_assert_cmpuint(station_outbox(station, "euicc.data"), ==, 1);
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);

	for (guint i = 0; i < 3; i++) {
		before = station_stat(station, "apdus");
		station_request(station, IFPP_REQ_LOAD, packages->pdata[i], &result);
		steps_result(&result, 0, 0);
		steps_pir(&result, TRUE);
		g_assert_cmpuint(result.reply.n_keys, ==, 2 - i);
		g_assert_cmpuint(result.reply.apdus, >, 5);
		g_assert_cmpint(station_stat(station, "apdus") - before, >=, result.reply.apdus);
		/* The modem's own three for the channel; RemoveNotification and GetFactoryInfo. */
		g_assert_cmpint(station_stat(station, "apdus") - before, <=, result.reply.apdus + 5);
		g_assert_cmpuint(result.reply.verify_ns, >, 0);
		g_assert_cmpuint(result.reply.chip_ns, >, 0);
		g_assert_cmpuint(station_outbox(station, ".result"), ==, i + 1);
		g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
		g_assert_cmpuint(station_outbox(station, ".reserve"), ==, 0);
		g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
		g_test_message("%u bytes in %u APDUs (%u bytes), verified in %.1f ms, chip %.1f ms",
			       (guint)g_bytes_get_size(packages->pdata[i]), result.reply.apdus,
			       result.reply.apdu_bytes, result.reply.verify_ns / 1e6,
			       result.reply.chip_ns / 1e6);
		relay_sim_result_clear(&result);
	}
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	assert_unit(station, 3);

	/* Replay: the driver's ledger refuses it, and so does the daemon without it. */
	before = station_stat(station, "apdus");
	g_assert_cmpint(station_request(station, IFPP_REQ_LOAD, packages->pdata[0], &result), ==,
			-EKEYEXPIRED);
	relay_sim_result_clear(&result);
	g_assert_cmpint(steps_force(station, packages->pdata[0], &result), ==, -EKEYEXPIRED);
	steps_result(&result, -EKEYEXPIRED, IFPP_ERROR_SPENT_KEY);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);

	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);

	/* A new daemon tells the driver which keys were spent. */
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	g_assert_cmpuint(station->sim->rec.spent, ==, 3);
	g_assert_cmpint(steps_force(station, packages->pdata[2], &result), ==, -EKEYEXPIRED);
	relay_sim_result_clear(&result);
	steps_end(station);
}

static void test_tampered(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 1, 1, &packages);
	GBytes *good = packages->pdata[0];
	gsize len = g_bytes_get_size(good);
	RelaySimResult result;
	gint64 before;
	guint tried = 0;

	before = station_stat(station, "apdus");
	for (gsize at = 0; at < len; at += at < 128 ? 1 : 23) {
		g_autoptr(GBytes) bad = steps_flipped(good, at, 1 << at % 8);

		g_assert_cmpint(steps_force(station, bad, &result), <, 0);
		g_assert_cmpuint(result.reply.reason, >=, IFPP_ERROR_HEADER);
		g_assert_cmpuint(result.reply.flags, ==, IFPP_REPLY_REPORT);
		g_assert_cmpuint(result.reply.n_keys, ==, 1);
		g_assert_cmpuint(result.reply.apdus, ==, 0);
		relay_sim_result_clear(&result);
		tried++;
	}
	for (gsize cut = 1; cut < len; cut += 97) {
		g_autoptr(GBytes) bad = g_bytes_new_from_bytes(good, 0, len - cut);

		if (g_bytes_get_size(bad) <= IFPP_PKG_HDR_LEN)
			break;
		g_assert_cmpint(steps_force(station, bad, &result), <, 0);
		relay_sim_result_clear(&result);
		tried++;
	}
	/* Not one byte has reached the chip, and the key is as good as ever. */
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	g_test_message("%u broken packages refused", tried);
	steps_ask(station, IFPP_REQ_LOAD, good, 0, 0);
	steps_end(station);
}

static void test_foreign(void)
{
	Station *station = station_new(world, 1);
	Station *other = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(other, 1);
	RelaySimResult result;
	gint64 before;

	station_modem_start(station);
	station_daemon_up(station);
	before = station_stat(station, "apdus");
	/* A clone is found by the driver from the header, and by the daemon without it. */
	g_assert_cmpint(station_request(station, IFPP_REQ_LOAD, packages->pdata[0], &result), ==, -EXDEV);
	relay_sim_result_clear(&result);
	g_assert_cmpint(steps_force(station, packages->pdata[0], &result), ==, -EXDEV);
	steps_result(&result, -EXDEV, IFPP_ERROR_WRONG_EID);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);
	station_free(other);
	station_free(station);
}

static void refused_at_once(Station *station, GBytes *package, guint reason)
{
	gint64 before = station_stat(station, "apdus");
	RelaySimResult result;

	station_request(station, IFPP_REQ_LOAD, package, &result);
	steps_result(&result, -EKEYREJECTED, reason);
	g_assert_cmpuint(result.reply.n_keys, ==, 1);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
}

/* Roots and CRLs are read for each package: what comes in counts from then on. */
static void test_trust(void)
{
	World *fake = world_new();
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *trust = g_build_filename(station->dir, "trust", NULL);
	g_autofree char *ours = g_build_filename(world->trust, "ci.pem", NULL);
	g_autofree char *theirs = g_build_filename(fake->trust, "ci.pem", NULL);
	g_autofree char *root = g_build_filename(trust, "ci.pem", NULL);
	g_autofree char *crl = g_build_filename(trust, "ci.crl", NULL);
	g_autofree char *cert = g_build_filename(world->dir, "dppb.pem", NULL);

	g_assert_cmpint(g_mkdir(trust, 0700), ==, 0);
	station_copy(ours, root);
	station->trust = trust;
	station_modem_start(station);
	station_daemon_up(station);

	station_copy(theirs, root);
	refused_at_once(station, packages->pdata[0], IFPP_ERROR_CHAIN);
	station_copy(ours, root);
	g_assert_cmpint(
		station_run("ifpp-eum", "pki", "crl", world->pki, "--revoke", cert, "--out", crl, NULL), ==,
		0);
	refused_at_once(station, packages->pdata[0], IFPP_ERROR_REVOKED);
	g_assert_cmpint(station_run("ifpp-eum", "pki", "crl", world->pki, "--out", crl, NULL), ==, 0);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	steps_end(station);
	world_free(fake);
}

/* A chip whose own certificates lead nowhere is not served. */
static void test_wrong_trust(void)
{
	World *fake = world_new();
	Station *station = station_new(world, 1);

	station->trust = fake->trust;
	station_modem_start(station);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_REFUSED);
	steps_clean(station);
	station_free(station);
	world_free(fake);
}

static void test_delete(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 3, 1, &packages);
	RelaySimResult result;

	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	/* A refusal is no lock: only the chip's state says that. */
	station_fault(station, "apdu 1 sw 6985");
	station_request(station, IFPP_REQ_DELETE_KEYS, NULL, &result);
	steps_result(&result, -EREMOTEIO, IFPP_ERROR_CHIP);
	g_assert_cmpuint(result.reply.n_keys, ==, 2);
	relay_sim_result_clear(&result);
	station_request(station, IFPP_REQ_DELETE_KEYS, NULL, &result);
	steps_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.deleted, ==, 2);
	g_assert_cmpuint(result.reply.n_keys, ==, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	station_request(station, IFPP_REQ_DELETE_KEYS, NULL, &result);
	steps_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.deleted, ==, 0);
	relay_sim_result_clear(&result);
	station_request(station, IFPP_REQ_REFRESH, NULL, &result);
	steps_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.state, ==, IFPP_STATE_DRAINED);
	relay_sim_result_clear(&result);
	steps_end(station);
}

/* What the chip's memory says of its only profile. */
static gboolean is_enabled(Station *station, char **name)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	IfppChipProfile *profile;
	IfppTlv tlv;

	g_assert_nonnull(mem);
	g_assert_cmpuint(mem->profiles->len, ==, 1);
	profile = mem->profiles->pdata[0];
	g_assert_true(ifpp_tlv_find(ifpp_span_bytes(profile->metadata), 0x92, &tlv));
	if (name)
		*name = g_strndup((const char *)tlv.value.data, tlv.value.len);
	return profile->enabled;
}

/* The policy's profile starts its life in use: enabled after the lock, and only then. */
static void test_enable(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);
	g_autofree char *name = NULL, *text = NULL;
	g_autoptr(GBytes) one = steps_challenge(1);

	station->policy = policy;
	station_modem_start(station);
	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\n", -1, NULL));
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_false(is_enabled(station, &name));

	/* A name that no profile has: said, and no reason to fail. */
	g_assert_true(g_file_set_contents(policy, "[Target]\nEnable=Nobody\n", -1, NULL));
	station_daemon_up(station);
	g_assert_false(is_enabled(station, NULL));
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_false(is_enabled(station, NULL));

	/* The right one, at the next start of a chip that is locked; once more changes nothing. */
	text = g_strdup_printf("[Target]\nEnable=%s\n", name);
	g_assert_true(g_file_set_contents(policy, text, -1, NULL));
	for (guint i = 0; i < 2; i++) {
		station_daemon_up(station);
		g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
		g_assert_true(is_enabled(station, NULL));
		steps_clean(station);
	}

	/* A policy that is not there is an error before anything is done. */
	g_assert_cmpint(g_unlink(policy), ==, 0);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_INPUT);
	station_free(station);
}

/* The policy came after the modem: what it says when the chip is locked counts (the daemon was not started again). */
static void test_enable_late(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL), *name = NULL, *text = NULL;
	g_autoptr(GBytes) one = steps_challenge(1);

	station->policy = policy;
	station_modem_start(station);
	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\n", -1, NULL));
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_false(is_enabled(station, &name));

	station_daemon_up(station);
	text = g_strdup_printf("[Target]\nLock=unit\nEnable=%s\n", name);
	g_assert_true(g_file_set_contents(policy, text, -1, NULL));
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_true(is_enabled(station, NULL));

	/* A slip of the pen is told before anything is done. */
	g_assert_true(g_file_set_contents(policy, "[Target]\nEnabel=Basic\n", -1, NULL));
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_INPUT);
	station_free(station);
}

/* Enable=@wanted after a lock, with a modem of these options and this fault from the lock on; what the log says. */
static char *enable_with(const char *options, const char *fault, const char *wanted, gboolean enabled)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);
	g_autofree char *name = NULL, *text = NULL;
	g_autoptr(GBytes) one = steps_challenge(1);
	char *log = NULL;

	station->policy = policy;
	station->modem_options = options;
	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\n", -1, NULL));
	station_modem_start(station);
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_false(is_enabled(station, &name));
	text = g_strdup_printf("[Target]\nLock=unit\nEnable=%s\n", wanted ? wanted : name);
	g_assert_true(g_file_set_contents(policy, text, -1, NULL));
	if (fault)
		station_fault(station, "%s", fault);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_true(is_enabled(station, NULL) == enabled);
	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	steps_clean(station);
	station_free(station);
	return log;
}

/*
 * A chip that knows its profiles by AID only, one that refuses once, one that refuses both, and one that has no such profile.
 * The APDUs: two of the lock, the list, by ICCID, the list, by AID, the list.
 */
static void test_enable_by_aid(void)
{
	g_autofree char *quirk = g_strdup_printf("--quirks %s/enable-by-aid.conf", g_getenv("IFPP_QUIRKS"));
	g_autofree char *aid = enable_with(quirk, NULL, NULL, TRUE);
	g_autofree char *once = enable_with(NULL, "apdu 4 sw 6f00", NULL, TRUE);
	g_autofree char *neither = enable_with(quirk, "apdu 6 sw 6f00", NULL, FALSE);
	g_autofree char *nobody = enable_with(quirk, NULL, "Nobody", FALSE);

	g_assert_nonnull(strstr(aid, "by ICCID: EnableProfile: the chip refuses with result 127. Reading what the chip has"));
	g_assert_null(strstr(aid, "by AID: "));
	g_assert_nonnull(strstr(once, "by ICCID: EnableProfile: "));
	g_assert_null(strstr(once, "by AID: "));
	g_assert_nonnull(strstr(neither, "by ICCID: "));
	g_assert_nonnull(strstr(neither, "by AID: "));
	g_assert_nonnull(strstr(neither, "could not be enabled"));
	g_assert_null(strstr(nobody, "EnableProfile"));
}

static void test_lock(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GBytes) one = steps_challenge(1);
	g_autofree char *receipt =
		g_build_filename(station->state, "outbox", station->eid, "lock.receipt", NULL);
	RelaySimResult result;

	station_modem_start(station);
	station_daemon_up(station);
	station_request(station, IFPP_REQ_LOCK, one, &result);
	steps_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpuint(g_bytes_get_size(result.data), >, 64);
	relay_sim_result_clear(&result);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
	/* Its work is done. */
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	steps_clean(station);

	/* At the next boot it attaches, so that the driver knows, and ends. */
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);

	/* The receipt was lost before it was stored: it is signed again. */
	g_assert_cmpint(g_unlink(receipt), ==, 0);
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);

	/* One that does not verify is no proof either. */
	g_assert_true(g_file_set_contents(receipt, "[Receipt]\nChallenge=00\nReceipt=MAA=\n", -1, NULL));
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	steps_clean(station);
	station_free(station);
}

/* SIGKILL while the modem works on the n-th APDU of a load, for several n. */
static void test_killed(void)
{
	static const guint at[] = { 1, 2, 3, 4, 5, 6, 8, 10, 13 };
	guint installed = 0, interrupted = 0, untouched = 0;

	for (guint i = 0; i < G_N_ELEMENTS(at); i++) {
		Station *station = station_new(world, 1);
		g_autoptr(GPtrArray) packages = station_seal(station, 1);
		gint64 before;

		station_modem_start(station);
		station_daemon_up(station);
		before = station_stat(station, "send_apdus");
		station_fault(station, "apdu %u " STATION_LATE, at[i]);
		station_submit(station, packages->pdata[0]);
		station_until(station, "send_apdus", before + at[i]);
		station_daemon_kill(station);
		g_assert_cmpuint(station->sim->rec.unknown, ==, 1);

		station_daemon_up(station);
		g_assert_cmpuint(station->sim->rec.unknown, ==, 0);
		g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
		if (station->sim->rec.unspent) {
			/* Nothing happened: it can be done again. */
			g_assert_cmpuint(station_outbox(station, ".result"), ==, 0);
			steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
			untouched++;
		} else if (station_stat(station, "installed")) {
			installed++;
		} else {
			interrupted++;
		}
		g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
		g_assert_cmpint(station_stat(station, "loads"), ==, 1);
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
		g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
		steps_clean(station);
		station_free(station);
	}
	g_test_message("key untouched %u times, load cut off %u times, profile installed %u times", untouched,
		       interrupted, installed);
	g_assert_cmpuint(untouched, >, 0);
	g_assert_cmpuint(interrupted, >, 0);
}

/* Killed again and again, the daemon must not use up the modem's clients and channels. */
static void test_no_leak(void)
{
	Station *station = station_begin(world, 1, 0, NULL);
	gint64 clients;

	clients = station_stat(station, "clients");
	for (guint i = 0; i < 8; i++) {
		station_daemon_kill(station);
		station_daemon_start(station);
		g_usleep(i * 3000);
	}
	station_daemon_kill(station);
	station_daemon_up(station);
	g_assert_cmpint(station_stat(station, "clients"), ==, clients);
	steps_end(station);
}

static void test_unplugged(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 1, 1, &packages);

	g_free(station_control(station, "unplug"));
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);
	g_free(station_control(station, "plug"));
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	steps_end(station);
}

/* SIGTERM in the middle of a load: it is finished first. */
static void test_term(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 1, 1, &packages);
	gint64 before = station_stat(station, "send_apdus");
	RelaySimResult result;

	station_fault(station, "apdu 6 delay 700");
	station_submit(station, packages->pdata[0]);
	station_until(station, "send_apdus", before + 6);
	kill(station->daemon, SIGTERM);
	g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
	steps_result(&result, 0, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
	steps_clean(station);
	station_free(station);
}

/* A full disk is found before the first byte goes to the chip. */
static void test_full_disk(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *ballast = g_build_filename(station->state, "ballast", NULL);
	g_autofree char *junk = g_malloc0(4096);
	RelaySimResult result;
	gint64 before;
	FILE *file;

	if (mount("none", station->state, "tmpfs", 0, "size=256k,mode=0700")) {
		g_test_skip("not allowed to mount");
		station_free(station);
		return;
	}
	station_modem_start(station);
	station_daemon_up(station);
	before = station_stat(station, "apdus");
	file = fopen(ballast, "w");
	setbuf(file, NULL);
	while (fwrite(junk, 4096, 1, file) == 1)
		;
	fclose(file);
	station_request(station, IFPP_REQ_LOAD, packages->pdata[0], &result);
	steps_result(&result, -ENOSPC, IFPP_ERROR_NO_SPACE);
	g_assert_cmpuint(result.reply.n_keys, ==, 1);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	g_unlink(ballast);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);
	g_assert_cmpint(umount(station->state), ==, 0);
	station_free(station);
}

/* Files of block sizes, and whether one of them says @text. */
static guint remembered(Station *station, const char *text)
{
	g_autofree char *path = g_build_filename(station->state, "modem", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint n = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		g_autofree char *content = NULL;

		if (g_str_has_suffix(name, ".model") && g_file_get_contents(file, &content, NULL, NULL))
			n += strstr(content, text) != NULL;
	}
	return n;
}

/*
 * A block size is for this model and firmware, it goes down only for what is about size, and it does not
 * stay down: what was refused once is tried again.
 */
static void test_block_size_recovers(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 6, 6, &packages);
	guint plain, apdus, reason;

	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, &plain), ==, 0);

	/* A passing error of the modem: the block is sent once more, and that is all. */
	station_fault(station, "apdu 1 error 3");
	g_assert_cmpint(station_load(station, packages->pdata[1], &reason, &apdus), ==, 0);
	g_assert_cmpuint(apdus, ==, plain + 1);
	g_assert_cmpuint(remembered(station, "BlockSize"), ==, 0);

	/* Twice too long, and both say so: 120, at once and after a restart. */
	station_fault(station, "apdu 1 error 19");
	station_fault(station, "apdu 2 sw 6700");
	g_assert_cmpint(station_load(station, packages->pdata[2], &reason, &apdus), ==, 0);
	g_assert_cmpuint(apdus, >, plain + 2);
	g_assert_cmpuint(remembered(station, "BlockSize=120"), ==, 1);
	g_assert_cmpuint(remembered(station, "Revision=ifpp-vmodem"), ==, 1);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);

	/* The larger one is tried again, refused, and the smaller one stays. */
	station_fault(station, "apdu 1 sw 6700");
	station_fault(station, "apdu 2 sw 6700");
	g_assert_cmpint(station_load(station, packages->pdata[3], &reason, &apdus), ==, 0);
	g_assert_cmpuint(apdus, >, plain + 2);
	g_assert_cmpuint(remembered(station, "BlockSize=120"), ==, 1);

	/* Taken now. */
	g_assert_cmpint(station_load(station, packages->pdata[4], &reason, &apdus), ==, 0);
	g_assert_cmpuint(apdus, ==, plain);
	g_assert_cmpuint(remembered(station, "BlockSize=255"), ==, 1);
	g_assert_cmpint(station_load(station, packages->pdata[5], &reason, &apdus), ==, 0);
	g_assert_cmpuint(apdus, ==, plain);
	steps_end(station);
}

/* A card without ISD-R, no card, and an eUICC that does not speak the codec. */
static void test_no_euicc(void)
{
	static const char *const faults[] = { "fault qmi 10 error 80", "fault qmi 10 error 102",
					      "fault apdu 2 sw 6D00" };

	for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
		Station *station = station_new(world, 1);

		station_modem_start(station);
		g_free(station_control(station, faults[i]));
		station_daemon_start(station);
		g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);
		steps_clean(station);
		station_free(station);
	}
}

static gboolean notified(int fd, const char *what)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char text[1024];
	ssize_t n;

	while (poll(&pfd, 1, STATION_WAIT_MS) == 1) {
		n = recv(fd, text, sizeof(text) - 1, 0);
		text[MAX(n, 0)] = 0;
		if (strstr(text, what))
			return TRUE;
	}
	return FALSE;
}

/* systemd hears when the chip is attached, what goes on, and that we are alive. */
static void test_notify(void)
{
	Station *station = station_new(world, 1);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", station->dir);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_setenv("NOTIFY_SOCKET", addr.sun_path, TRUE);
	g_setenv("WATCHDOG_USEC", "400000", TRUE);
	station_modem_start(station);
	station_daemon_up(station);
	g_unsetenv("NOTIFY_SOCKET");
	g_unsetenv("WATCHDOG_USEC");
	g_assert_true(notified(fd, "FACTORY, 1 keys left"));
	g_assert_true(notified(fd, "READY=1"));
	g_assert_true(notified(fd, "WATCHDOG=1"));
	g_assert_true(notified(fd, "WATCHDOG=1"));
	kill(station->daemon, SIGTERM);
	g_assert_true(notified(fd, "STOPPING=1"));
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	close(fd);
	station_free(station);
}

/* Neither EID nor ICCID in full, whatever there is to complain about. */
static void test_masked(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *junk = g_build_filename(station->state, "outbox", station->eid, "junk.result", NULL);
	g_autofree char *log = NULL;
	g_autoptr(IfppPir) pir = NULL;
	char iccid[21];
	RelaySimResult result;

	station_modem_start(station);
	station_daemon_up(station);
	station_request(station, IFPP_REQ_LOAD, packages->pdata[0], &result);
	steps_result(&result, 0, 0);
	pir = ifpp_pir_parse(result.data, NULL);
	ifpp_iccid_format(pir->iccid.data, iccid);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_true(g_file_set_contents(junk, "junk", -1, NULL));
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	g_assert_nonnull(strstr(log, "installed"));
	g_assert_nonnull(strstr(log, "junk.result"));
	g_assert_null(strstr(log, station->eid));
	g_assert_null(strstr(log, iccid));
	station_free(station);
}

static void test_no_modem(void)
{
	Station *station = station_new(world, 1);

	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);
	station->trust = "/nonexistent";
	station_modem_start(station);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_INPUT);
	steps_clean(station);
	g_unlink(station->relay);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);
	station_free(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	g_setenv("IFPP_STATION", "bench-4", TRUE);
	world = world_new();
	g_test_add_func("/ifppd/way", test_way);
	g_test_add_func("/ifppd/tampered", test_tampered);
	g_test_add_func("/ifppd/foreign", test_foreign);
	g_test_add_func("/ifppd/trust", test_trust);
	g_test_add_func("/ifppd/wrong-trust", test_wrong_trust);
	g_test_add_func("/ifppd/delete", test_delete);
	g_test_add_func("/ifppd/lock", test_lock);
	g_test_add_func("/ifppd/enable", test_enable);
	g_test_add_func("/ifppd/enable_not_skipped", test_enable_late);
	g_test_add_func("/ifppd/enable_by_aid", test_enable_by_aid);
	g_test_add_func("/ifppd/killed", test_killed);
	g_test_add_func("/ifppd/no-leak", test_no_leak);
	g_test_add_func("/ifppd/unplugged", test_unplugged);
	g_test_add_func("/ifppd/term", test_term);
	g_test_add_func("/ifppd/full-disk", test_full_disk);
	g_test_add_func("/ifppd/block_size_recovers", test_block_size_recovers);
	g_test_add_func("/ifppd/no-euicc", test_no_euicc);
	g_test_add_func("/ifppd/notify", test_notify);
	g_test_add_func("/ifppd/masked", test_masked);
	g_test_add_func("/ifppd/no-modem", test_no_modem);
	code = g_test_run();
	world_free(world);
	return code;
}
