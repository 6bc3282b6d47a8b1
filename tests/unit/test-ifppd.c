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
#include <json-glib/json-glib.h>

#include "chipmem.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "station.h"

static World *world;

static void assert_result(RelaySimResult *result, int status, guint reason)
{
	if (result->reply.reason != reason)
		g_test_message("reason: %s", ifpp_error_name(result->reply.reason));
	g_assert_cmpint(result->status, ==, status);
	g_assert_cmpuint(result->reply.reason, ==, reason);
	g_assert_cmpuint(result->reply.flags, ==, IFPP_REPLY_REPORT);
}

static void assert_pir(RelaySimResult *result, gboolean success)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppPir) pir = ifpp_pir_parse(result->data, &error);

	g_assert_no_error(error);
	g_assert_cmpint(pir->success, ==, success);
}

/* Nothing of ours may be left in the modem when no daemon runs. */
static void assert_clean(Station *station)
{
	g_assert_cmpint(station_stat(station, "channels_open"), ==, 0);
	g_assert_cmpint(station_stat(station, "clients"), ==, 0);
	g_assert_cmpuint(station->sim->tampers, ==, 0);
}

static void end(Station *station)
{
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	assert_clean(station);
	station_free(station);
}

/* One request that is answered so, of which nothing else is looked at. */
static void asks(Station *station, enum ifpp_req_type type, GBytes *data, int status, guint reason)
{
	RelaySimResult result;

	station_request(station, type, data, &result);
	assert_result(&result, status, reason);
	relay_sim_result_clear(&result);
}

/* Past the driver's checks, straight to the daemon. */
static int force(Station *station, GBytes *package, RelaySimResult *result)
{
	struct ifpp_record saved = station->sim->rec;
	guint8 header[IFPP_PKG_HDR_LEN];
	int status;

	memcpy(header, g_bytes_get_data(package, NULL), sizeof(header));
	relay_sim_force(station->sim, package, 60000);
	g_assert_cmpint(relay_sim_wait(station->sim, result, 60000), ==, 0);
	status = result->reply.status;
	g_assert_cmpuint(station->sim->rec.spent_count, ==, saved.spent_count);
	return status;
}

static GBytes *flipped(GBytes *package, gsize at, guint8 bits)
{
	gsize len;
	const guint8 *data = g_bytes_get_data(package, &len);
	guint8 *copy = g_memdup2(data, len);

	g_assert_cmpuint(at, <, len);
	copy[at] ^= bits;
	return g_bytes_new_take(copy, len);
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
		assert_result(&result, 0, 0);
		assert_pir(&result, TRUE);
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

	/* Replay: the driver's ledger refuses it, and so does the daemon without it. */
	before = station_stat(station, "apdus");
	g_assert_cmpint(station_request(station, IFPP_REQ_LOAD, packages->pdata[0], &result), ==,
			-EKEYEXPIRED);
	relay_sim_result_clear(&result);
	g_assert_cmpint(force(station, packages->pdata[0], &result), ==, -EKEYEXPIRED);
	assert_result(&result, -EKEYEXPIRED, IFPP_ERROR_SPENT_KEY);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);

	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	assert_clean(station);

	/* A new daemon tells the driver which keys were spent. */
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	g_assert_cmpuint(station->sim->rec.spent, ==, 3);
	g_assert_cmpint(force(station, packages->pdata[2], &result), ==, -EKEYEXPIRED);
	relay_sim_result_clear(&result);
	end(station);
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
		g_autoptr(GBytes) bad = flipped(good, at, 1 << at % 8);

		g_assert_cmpint(force(station, bad, &result), <, 0);
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
		g_assert_cmpint(force(station, bad, &result), <, 0);
		relay_sim_result_clear(&result);
		tried++;
	}
	/* Not one byte has reached the chip, and the key is as good as ever. */
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	g_test_message("%u broken packages refused", tried);
	asks(station, IFPP_REQ_LOAD, good, 0, 0);
	end(station);
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
	g_assert_cmpint(force(station, packages->pdata[0], &result), ==, -EXDEV);
	assert_result(&result, -EXDEV, IFPP_ERROR_WRONG_EID);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	assert_clean(station);
	station_free(other);
	station_free(station);
}

static void refused_at_once(Station *station, GBytes *package, guint reason)
{
	gint64 before = station_stat(station, "apdus");
	RelaySimResult result;

	station_request(station, IFPP_REQ_LOAD, package, &result);
	assert_result(&result, -EKEYREJECTED, reason);
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
	asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	end(station);
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
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_REFUSED);
	assert_clean(station);
	station_free(station);
	world_free(fake);
}

static void test_delete(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 3, 1, &packages);
	RelaySimResult result;

	asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	station_request(station, IFPP_REQ_DELETE_KEYS, NULL, &result);
	assert_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.deleted, ==, 2);
	g_assert_cmpuint(result.reply.n_keys, ==, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	station_request(station, IFPP_REQ_DELETE_KEYS, NULL, &result);
	assert_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.deleted, ==, 0);
	relay_sim_result_clear(&result);
	station_request(station, IFPP_REQ_REFRESH, NULL, &result);
	assert_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.state, ==, IFPP_STATE_DRAINED);
	relay_sim_result_clear(&result);
	end(station);
}

static GBytes *challenge(guint8 fill)
{
	guint8 bytes[IFPP_CHALLENGE_LEN];

	memset(bytes, fill, sizeof(bytes));
	return g_bytes_new(bytes, sizeof(bytes));
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
	g_autoptr(GBytes) one = challenge(1);

	station->policy = policy;
	station_modem_start(station);
	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\n", -1, NULL));
	station_daemon_up(station);
	asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_false(is_enabled(station, &name));

	/* A name that no profile has: said, and no reason to fail. */
	g_assert_true(g_file_set_contents(policy, "[Target]\nEnable=Nobody\n", -1, NULL));
	station_daemon_up(station);
	g_assert_false(is_enabled(station, NULL));
	asks(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
	g_assert_false(is_enabled(station, NULL));

	/* The right one, at the next start of a chip that is locked; once more changes nothing. */
	text = g_strdup_printf("[Target]\nEnable=%s\n", name);
	g_assert_true(g_file_set_contents(policy, text, -1, NULL));
	for (guint i = 0; i < 2; i++) {
		station_daemon_up(station);
		g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
		g_assert_true(is_enabled(station, NULL));
		assert_clean(station);
	}

	/* A policy that is not there is an error before anything is done. */
	g_assert_cmpint(g_unlink(policy), ==, 0);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_INPUT);
	station_free(station);
}

/* The policy came after the modem: what it says when the chip is locked counts (the daemon was not started again). */
static void test_enable_late(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL), *name = NULL, *text = NULL;
	g_autoptr(GBytes) one = challenge(1);

	station->policy = policy;
	station_modem_start(station);
	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\n", -1, NULL));
	station_daemon_up(station);
	asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	g_assert_false(is_enabled(station, &name));

	station_daemon_up(station);
	text = g_strdup_printf("[Target]\nLock=unit\nEnable=%s\n", name);
	g_assert_true(g_file_set_contents(policy, text, -1, NULL));
	asks(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
	g_assert_true(is_enabled(station, NULL));

	/* A slip of the pen is told before anything is done. */
	g_assert_true(g_file_set_contents(policy, "[Target]\nEnabel=Basic\n", -1, NULL));
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_INPUT);
	station_free(station);
}

static void test_lock(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GBytes) one = challenge(1);
	g_autofree char *receipt =
		g_build_filename(station->state, "outbox", station->eid, "lock.receipt", NULL);
	RelaySimResult result;

	station_modem_start(station);
	station_daemon_up(station);
	station_request(station, IFPP_REQ_LOCK, one, &result);
	assert_result(&result, 0, 0);
	g_assert_cmpuint(result.reply.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpuint(g_bytes_get_size(result.data), >, 64);
	relay_sim_result_clear(&result);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
	/* Its work is done. */
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
	assert_clean(station);

	/* At the next boot it attaches, so that the driver knows, and ends. */
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);

	/* The receipt was lost before it was stored: it is signed again. */
	g_assert_cmpint(g_unlink(receipt), ==, 0);
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);

	/* One that does not verify is no proof either. */
	g_assert_true(g_file_set_contents(receipt, "[Receipt]\nChallenge=00\nReceipt=MAA=\n", -1, NULL));
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
	assert_clean(station);
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
		g_autofree char *fault = g_strdup_printf("fault apdu %u delay 1500", at[i]);
		g_autofree char *answer = NULL;
		gsize len;
		const void *data = g_bytes_get_data(packages->pdata[0], &len);
		gint64 before;

		station_modem_start(station);
		station_daemon_up(station);
		before = station_stat(station, "send_apdus");
		answer = station_control(station, fault);
		g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOAD, data, len, 60000), ==, 0);
		for (guint n = 0; station_stat(station, "send_apdus") < before + at[i]; n++) {
			g_assert_cmpuint(n, <, 2000);
			g_usleep(2000);
		}
		station_daemon_kill(station);
		g_assert_cmpuint(station->sim->rec.unknown, ==, 1);

		station_daemon_up(station);
		g_assert_cmpuint(station->sim->rec.unknown, ==, 0);
		g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
		if (station->sim->rec.unspent) {
			/* Nothing happened: it can be done again. */
			g_assert_cmpuint(station_outbox(station, ".result"), ==, 0);
			asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
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
		assert_clean(station);
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
	end(station);
}

static void test_unplugged(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 1, 1, &packages);

	g_free(station_control(station, "unplug"));
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_NO_DEVICE);
	g_free(station_control(station, "plug"));
	station_daemon_up(station);
	asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	end(station);
}

/* SIGTERM in the middle of a load: it is finished first. */
static void test_term(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_begin(world, 1, 1, &packages);
	gsize len;
	const void *data = g_bytes_get_data(packages->pdata[0], &len);
	RelaySimResult result;
	gint64 before;

	before = station_stat(station, "send_apdus");
	g_free(station_control(station, "fault apdu 6 delay 700"));
	g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOAD, data, len, 60000), ==, 0);
	while (station_stat(station, "send_apdus") < before + 6)
		g_usleep(2000);
	kill(station->daemon, SIGTERM);
	g_assert_cmpint(relay_sim_wait(station->sim, &result, 20000), ==, 0);
	assert_result(&result, 0, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
	assert_clean(station);
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
	assert_result(&result, -ENOSPC, IFPP_ERROR_NO_SPACE);
	g_assert_cmpuint(result.reply.n_keys, ==, 1);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_stat(station, "apdus"), ==, before);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	g_unlink(ballast);
	asks(station, IFPP_REQ_LOAD, packages->pdata[0], 0, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	assert_clean(station);
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
	end(station);
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
		g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_NO_DEVICE);
		assert_clean(station);
		station_free(station);
	}
}

static gboolean notified(int fd, const char *what)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char text[1024];
	ssize_t n;

	while (poll(&pfd, 1, 10000) == 1) {
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
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, 0);
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
	assert_result(&result, 0, 0);
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
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_NO_DEVICE);
	station->trust = "/nonexistent";
	station_modem_start(station);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_INPUT);
	assert_clean(station);
	g_unlink(station->relay);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, 20000), ==, IFPP_EXIT_NO_DEVICE);
	station_free(station);
}

/* ---------------------------------------------------------------- selftest */

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
	g_assert_cmpint(good->passed, ==, 9);
	g_assert_cmpint(good->failed, ==, 0);
	assert_verdict(good, "port", "ok");
	assert_verdict(good, "qmi", "ok");
	assert_verdict(good, "slots", "ok");
	g_assert_cmpint(assert_verdict(good, "channels", "ok"), ==, 1);
	assert_verdict(good, "isd-r", "ok");
	g_assert_cmpint(assert_verdict(good, "block", "ok"), ==, 255);
	g_assert_cmpint(assert_verdict(good, "codec", "ok"), ==, 1);
	g_assert_cmpint(assert_verdict(good, "keys", "ok"), ==, 3);
	g_assert_cmpint(assert_verdict(good, "timing", "ok"), >, 0);
	assert_clean(station);

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
	assert_clean(station);

	/* It has changed nothing: the daemon finds everything as it was. */
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 3);
	end(station);
}

/* A channel that somebody else has open stays theirs: the test takes the next one. */
static void test_selftest_guest(void)
{
	Station *station = station_begin(world, 1, 0, NULL);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autoptr(Verdicts) verdicts = NULL;
	gsize len;
	const void *data = g_bytes_get_data(packages->pdata[0], &len);
	gint64 before = station_stat(station, "send_apdus");

	station_fault(station, "apdu 3 delay 1500");
	g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOAD, data, len, 60000), ==, 0);
	for (guint n = 0; station_stat(station, "send_apdus") < before + 3; n++) {
		g_assert_cmpuint(n, <, 2000);
		g_usleep(2000);
	}
	station_daemon_kill(station);
	verdicts = selftest(station, TRUE);
	g_assert_cmpint(assert_verdict(verdicts, "channels", "ok"), ==, 2);

	/* The daemon is no guest. */
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	assert_clean(station);
	station_free(station);
}

/* No ISD-R, no factory provisioning, roots of somebody else: each is told where it belongs. */
static void test_selftest_no_euicc(void)
{
	static const struct {
		const char *fault, *check;
		int exit;
	} cases[] = {
		{ "fault qmi 11 error 80", "isd-r", IFPP_EXIT_NO_DEVICE },
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
		assert_clean(station);
	}
	station->trust = fake->trust;
	{
		g_autoptr(Verdicts) verdicts = selftest(station, TRUE);

		g_assert_cmpint(verdicts->exit, ==, IFPP_EXIT_REFUSED);
		assert_verdict(verdicts, "codec", "ok");
		assert_verdict(verdicts, "keys", "failed");
		assert_verdict(verdicts, "timing", "ok");
	}
	assert_clean(station);
	station_free(station);
	world_free(fake);
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

static void test_selftest_no_modem(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(Verdicts) verdicts = selftest(station, TRUE);

	g_assert_cmpint(verdicts->exit, ==, IFPP_EXIT_NO_DEVICE);
	g_assert_cmpint(verdicts->passed, ==, 0);
	assert_verdict(verdicts, "port", "failed");
	assert_verdict(verdicts, "timing", "skipped");
	station_free(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
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
	g_test_add_func("/ifppd/selftest", test_selftest);
	g_test_add_func("/ifppd/selftest/leaves-others", test_selftest_guest);
	g_test_add_func("/ifppd/selftest-no-euicc", test_selftest_no_euicc);
	g_test_add_func("/ifppd/selftest-broken", test_selftest_broken);
	g_test_add_func("/ifppd/selftest-no-modem", test_selftest_no_modem);
	code = g_test_run();
	world_free(world);
	return code;
}
