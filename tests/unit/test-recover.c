// SPDX-License-Identifier: GPL-2.0-or-later
/* Nothing that a chip signed is lost, and no unit is stuck: ifppd among cuts, damage, full disks and other stations. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "chipmem.h"
#include "error.h"
#include "euicc.h"
#include "steps.h"
#include "tap.h"

static World *world;

/* ---------------------------------------------------------------- attempts */

static guint8 *find(guint8 *data, gsize len, const char *what, gsize what_len)
{
	return len < what_len ? NULL : memmem(data, len, what, what_len);
}

static void assert_settled(Station *station, guint results)
{
	g_assert_cmpuint(station_outbox(station, ".result"), ==, results);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);
	g_assert_cmpuint(station_outbox(station, ".reserve"), ==, 0);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 0);
}

/* ------------------------------------------------------------ foreign results */

/* A result as version 3 of the specification has it, which our parser does not know. */
static void add_foreign_note(Station *station)
{
	static const guint8 bytes[] = {
		0xbf, 0x37, 0x66, 0xbf, 0x27, 0x20, 0x80, 0x01, 0x01, 0xbf, 0x2f, 0x0a, 0x80, 0x01, 0x07, 0x81,
		0x02, 0x07, 0x80, 0x0c, 0x01, 0x61, 0x06, 0x01, 0x2a, 0xa2, 0x08, 0xa1, 0x06, 0x80, 0x01, 0x06,
		0x81, 0x01, 0x05, 0x04, 0x01, 0x00, 0x5f, 0x37, 0x40,
	};
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	IfppChipNote *note = g_new0(IfppChipNote, 1);
	guint8 whole[sizeof(bytes) + 64] = { 0 };

	memcpy(whole, bytes, sizeof(bytes));
	note->seq = mem->next_seq++;
	note->events = 0x80;
	note->address = g_strdup("a");
	note->bytes = g_bytes_new(whole, sizeof(whole));
	ifpp_chipmem_add_note(mem, note);
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
}

/* A bit of the last result's signature is wrong, and stays so. */
static void damage_note(Station *station)
{
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	IfppChipNote *note = mem->notes->pdata[mem->notes->len - 1];
	gsize len;
	guint8 *copy = g_bytes_unref_to_data(g_steal_pointer(&note->bytes), &len);

	copy[len - 5] ^= 1;
	note->bytes = g_bytes_new_take(copy, len);
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
}

static guint quarantined(Station *station)
{
	g_autofree char *path = g_build_filename(station->state, "outbox", station->eid, "quarantine", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint n = 0;

	while (dir && (name = g_dir_read_name(dir)))
		n += g_str_has_suffix(name, ".bin");
	return n;
}

static void power_cycle(Station *station)
{
	station_modem_stop(station);
	station_modem_start(station);
}

/* Cut off when the chip has signed its result and nobody has heard it. */
static void cut_load(Station *station, GBytes *package, guint apdu)
{
	gint64 before = station_stat(station, "send_apdus");

	station_fault(station, "apdu %u " STATION_LATE, apdu);
	station_submit(station, package);
	station_until(station, "send_apdus", before + apdu);
	station_daemon_kill(station);
	station_modem_stop(station);
}

/* Results that cannot be read, proven, or removed: kept, told, and everything else goes on. */
static void test_foreign_pir_stops_nothing(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(GPtrArray) packages = station_seal(station, 3);
	g_autoptr(GBytes) one = steps_challenge(1);
	g_autofree char *log = NULL;
	guint apdus;

	add_foreign_note(station);
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpuint(quarantined(station), ==, 1);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 1);

	/* The chip does not want to let go of a result that is stored. */
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, &apdus), ==, 0);
	station_fault(station, "apdu %u sw 6985", apdus + 1);
	station_fault(station, "apdu %u sw 6985", apdus + 6);	/* asked once more, with the chip's state */
	station_fault(station, "apdu %u sw 6985", apdus + 7);
	g_assert_cmpint(station_load(station, packages->pdata[1], NULL, NULL), ==, 0);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 2);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 2);

	/* A load of ours is cut off, and its result does not verify. */
	cut_load(station, packages->pdata[2], 5);
	station_modem_start(station);
	station_modem_stop(station);
	damage_note(station);
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpuint(quarantined(station), ==, 2);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 0);
	g_assert_cmpuint(station_outbox(station, ".pending"), ==, 0);

	/* Once is enough, and the lock works. */
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);
	g_assert_cmpuint(quarantined(station), ==, 2);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	g_assert_nonnull(strstr(log, "quarantine"));
	steps_clean(station);
	station_free(station);
}

/* Another station, and a machine that has not met this chip before. */
static void move_to(Station *station, const char *name)
{
	g_free(station->state);
	station->state = g_build_filename(station->dir, name, NULL);
	memset(&station->sim->rec, 0, sizeof(station->sim->rec));
	station->sim->rec.keys = station->sim->keys;
}

/* What the driver says of a load, from its submission on. */
static int load_again(Station *station, GBytes *package, RelaySimResult *result)
{
	station_submit(station, package);
	g_assert_cmpint(relay_sim_wait(station->sim, result, STATION_WAIT_MS), ==, 0);
	return result->status;
}

/* Cut off at one station, met by another: the result is found there, with its package. */
static void test_unit_moves_station(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	RelaySimResult result;

	station_modem_start(station);
	station_daemon_up(station);
	cut_load(station, packages->pdata[0], 9);

	move_to(station, "elsewhere");
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 1);
	g_assert_cmpuint(station->sim->rec.spent_count, ==, 1);
	/* A copy is kept from now on, whatever becomes of the unit. */
	g_assert_cmpuint(quarantined(station), ==, 1);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 1);

	g_assert_cmpint(load_again(station, packages->pdata[0], &result), ==, -EREMOTEIO);
	g_assert_cmpuint(result.reply.reason, <, IFPP_ERROR_HEADER);
	g_assert_cmpuint(result.reply.flags, ==, IFPP_REPLY_REPORT);
	steps_pir(&result, FALSE);
	relay_sim_result_clear(&result);
	assert_settled(station, 1);
	g_assert_cmpuint(station->sim->rec.spent, ==, 1);

	/* Known from then on; the other package loads. */
	g_assert_cmpint(steps_force(station, packages->pdata[0], &result), ==, -EKEYEXPIRED);
	relay_sim_result_clear(&result);
	steps_ask(station, IFPP_REQ_LOAD, packages->pdata[1], 0, 0);
	assert_settled(station, 2);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);

	/* A third station: nothing is left in the chip, and the key is called spent, not unknown. */
	move_to(station, "third");
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	g_assert_cmpint(load_again(station, packages->pdata[1], &result), ==, -EKEYEXPIRED);
	steps_result(&result, -EKEYEXPIRED, IFPP_ERROR_SPENT_KEY);
	relay_sim_result_clear(&result);
	steps_end(station);
}

/* The last key's profile was installed as the power went, and nobody had heard of it: said at the next station. */
static void test_installed_elsewhere(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	RelaySimResult result;
	guint apdus;

	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, &apdus), ==, 0);
	cut_load(station, packages->pdata[1], apdus);

	move_to(station, "elsewhere");
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_DRAINED);
	g_assert_cmpint(load_again(station, packages->pdata[1], &result), ==, 0);
	steps_pir(&result, TRUE);
	relay_sim_result_clear(&result);
	g_assert_cmpuint(station->sim->rec.spent, ==, 1);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 0);
	g_assert_cmpint(load_again(station, packages->pdata[0], &result), ==, -EKEYEXPIRED);
	steps_result(&result, -EKEYEXPIRED, IFPP_ERROR_SPENT_KEY);
	relay_sim_result_clear(&result);
	steps_end(station);
}

/* ------------------------------------------------------------------- the lock */

/*
 * A chip that only says that it is locked: nothing is loaded, and nothing that cannot be undone is done to it
 * before somebody asks.
 */
static void test_no_lock_on_unsigned_word(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autoptr(GBytes) one = steps_challenge(1);
	g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(station->chip, NULL);
	RelaySimResult result;
	guint64 counter = mem->lock_counter;

	while (mem->keys->len)
		ifpp_chipmem_kill_key(mem, 0);
	mem->locked = TRUE;
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
	g_clear_pointer(&mem, ifpp_chipmem_free);
	station_modem_start(station);
	for (guint i = 0; i < 2; i++) {
		station_daemon_up(station);
		g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
		g_assert_cmpint(steps_force(station, packages->pdata[0], &result), ==, -EPERM);
		relay_sim_result_clear(&result);
		g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 0);
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
		steps_clean(station);
	}
	power_cycle(station);
	mem = ifpp_chipmem_load(station->chip, NULL);
	g_assert_cmpuint(mem->lock_counter, ==, counter);

	/* Asked for: then it is signed, and the work is done. */
	station_daemon_up(station);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
	steps_clean(station);
	station_free(station);
}

/* -------------------------------------------------------------------- the disk */

static gboolean mount_state(Station *station, const char *options, unsigned long flags)
{
	return mount("none", station->state, "tmpfs", flags, options) == 0;
}

static void assert_log(Station *station, const char *text)
{
	g_autofree char *log = NULL;

	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	if (!strstr(log, text))
		g_test_message("%s", log);
	g_assert_nonnull(strstr(log, text));
}

/* A disk that fails is named, and neither chip nor modem is blamed; before the lock it is found out. */
static void test_disk_is_named(void)
{
	Station *station = station_new(world, 2);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autoptr(GBytes) one = steps_challenge(1);
	guint reason;

	if (!mount_state(station, "size=1m,mode=0700", 0)) {
		g_test_skip("not allowed to mount");
		station_free(station);
		return;
	}
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_true(mount_state(station, "size=1m,mode=0700", MS_REMOUNT | MS_RDONLY));
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), <, 0);
	g_assert_cmpuint(reason, ==, IFPP_ERROR_DISK);
	steps_ask(station, IFPP_REQ_LOCK, one, -EIO, IFPP_ERROR_DISK);
	assert_log(station, "not locked: its receipt could not be stored");
	assert_log(station, "Read-only file system");
	g_assert_cmpuint(station->sim->rec.unspent, ==, 2);	/* the chip is not locked */

	/* It has not ended, and works when the disk does. */
	g_assert_true(mount_state(station, "size=1m,mode=0700", MS_REMOUNT));
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	steps_clean(station);
	g_assert_cmpint(umount(station->state), ==, 0);
	station_free(station);
}

static char *euicc_data(Station *station)
{
	return g_build_filename(station->state, "outbox", station->eid, "euicc.data", NULL);
}

static void assert_euicc_data(Station *station)
{
	g_autofree char *path = euicc_data(station), *data = NULL;
	g_autoptr(GError) error = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16];
	gsize len;

	g_assert_true(g_file_get_contents(path, &data, &len, NULL));
	ifpp_euicc_data_parse((IfppSpan){ (guint8 *)data, len }, eid, &ff21, &bf22, &error);
	g_assert_no_error(error);
}

/* A length inside EUICCInfo2, in the chip's answer. */
static void damage_info2(guint8 *data, gsize len, gboolean to_modem, guint *left)
{
	guint8 *info2 = to_modem ? NULL : find(data, len, "\xbf\x22", 2);

	if (!info2 || info2 + 8 >= data + len)
		return;
	info2[4] ^= 0x40;
	--*left;
}

/* eUICC data that nobody could read is not stored; what is on disk and damaged is replaced. */
static void test_euicc_data_replaced(void)
{
	Station *station = station_new(world, 1);
	g_autofree char *path = euicc_data(station);
	Tap *tap;

	station_modem_start(station);
	tap = tap_new(station, damage_info2, 1);
	station_daemon_up(station);
	g_assert_cmpuint(tap_left(tap), ==, 0);
	g_assert_cmpuint(station_outbox(station, "euicc.data"), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	/* Twice the same damage is no better. */
	tap_set_left(tap, 2);
	station_daemon_up(station);
	g_assert_cmpuint(station_outbox(station, "euicc.data"), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_daemon_up(station);
	assert_euicc_data(station);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);

	g_assert_true(g_file_set_contents(path, "damaged", -1, NULL));
	station_daemon_up(station);
	assert_euicc_data(station);
	steps_end(station);
	tap_free(tap);
}

/* -------------------------------------------------------- ends at any message */

typedef enum { AT_START, AT_LOAD, AT_LOCK, N_ACTS } Act;

static const char *const act_names[] = { "start", "load", "lock" };

/* Begin it; the daemon runs, but for a start. */
static void begin(Station *station, Act act, GBytes *package)
{
	static const guint8 challenge[IFPP_CHALLENGE_LEN] = { 7 };

	if (act == AT_START)
		station_daemon_start(station);
	else if (act == AT_LOAD)
		station_submit(station, package);
	else
		g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOCK, challenge, sizeof(challenge),
						 STATION_WAIT_MS), ==, 0);
}

/* How many messages it takes when nothing happens. */
static guint messages_of(Act act)
{
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	RelaySimResult result;
	gint64 before, n;

	station_modem_start(station);
	before = station_stat(station, station_messages(station));
	station_daemon_up(station);
	if (act != AT_START) {
		before = station_stat(station, station_messages(station));
		begin(station, act, packages->pdata[0]);
		g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
		g_assert_cmpint(result.status, ==, 0);
		relay_sim_result_clear(&result);
	}
	if (act == AT_LOCK)	/* the clients that it gives back as it leaves are part of it */
		g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	n = station_stat(station, station_messages(station)) - before;
	if (act != AT_LOCK)
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_free(station);
	return n;
}

/* After whatever happened: exactly what the chip has is known. */
static void assert_recovers(Station *station, Act act)
{
	station_daemon_up(station);
	g_assert_cmpuint(station->sim->tampers, ==, 0);
	g_assert_cmpuint(station->sim->rec.unknown, ==, 0);
	if (act == AT_LOAD)
		assert_settled(station, station->sim->rec.spent_count);
	if (station->sim->rec.state == IFPP_STATE_LOCKED)
		g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	else
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
	steps_clean(station);
}

/*
 * A start, a load and a lock, with @fault in the modem at each of their messages. @then sees to it that the daemon ends;
 * @requests: how many the modem has had with that message.
 */
static void each_message(const char *fault, void (*then)(Station *station, Act act, gint64 requests))
{
	guint tried = 0;

	for (Act act = AT_START; act < N_ACTS; act++) {
		guint messages = messages_of(act);

		for (guint n = 1; n <= messages; n++, tried++) {
			Station *station = station_new(world, 1);
			g_autoptr(GPtrArray) packages = act == AT_LOAD ? station_seal(station, 1) : NULL;
			gint64 before;

			g_test_message("%s, message %u", act_names[act], n);
			station_modem_start(station);
			if (act != AT_START)
				station_daemon_up(station);
			before = station_stat(station, station_messages(station));
			station_fault(station, "%s %u %s", station_place(station), n, fault);
			begin(station, act, packages ? packages->pdata[0] : NULL);
			if (act == AT_START && n == messages)	/* its last one, after the attach */
				relay_sim_attach_of(station->sim, &station->daemon, STATION_WAIT_MS);
			then(station, act, before + n);
			if (act == AT_LOCK)	/* the kernel asks again for a lock that nobody answered */
				station->sim->rec.state = IFPP_STATE_FACTORY;
			assert_recovers(station, act);
			station_free(station);
		}
	}
	g_test_message("tried %u times", tried);
	g_assert_cmpuint(tried, >, 30);
}

static void ends_and_returns(Station *station, Act act, gint64 requests)
{
	int code = station_daemon_wait(station, STATION_WAIT_MS);

	/* Locked, and its receipt stored: then there was nothing left to do. */
	g_assert_cmpint(code, ==, act == AT_LOCK && station_outbox(station, "lock.receipt") ? 0 : IFPP_EXIT_NO_DEVICE);
	g_free(station_control(station, "plug"));
}

/* The modem is pulled out at each message of a start, a load and a lock: said, with its exit code. */
static void test_unplug_every_message(void)
{
	each_message("unplug", ends_and_returns);
}

/* Locked, and gone before its profile is enabled: that is still to be done. */
static void test_unplug_before_enable(void)
{
	static const guint8 bytes[IFPP_CHALLENGE_LEN] = { 9 };
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	g_autofree char *policy = g_build_filename(station->dir, "policy", NULL);
	RelaySimResult result;

	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\nEnable=Nobody\n", -1, NULL));
	station->policy = policy;
	station_modem_start(station);
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	station_fault(station, "apdu 2 unplug");	/* the first is the lock */
	g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOCK, bytes, sizeof(bytes), STATION_WAIT_MS), ==, 0);
	g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
	g_assert_cmpint(result.status, ==, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);

	g_free(station_control(station, "plug"));
	station_daemon_up(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	assert_log(station, "the profile Nobody could not be enabled");
	steps_clean(station);
	station_free(station);
}

/* The port breaks when the work is done: the clients that are left in the modem are given back by a successor. */
static void test_port_breaks_at_end(void)
{
	static const guint8 bytes[IFPP_CHALLENGE_LEN] = { 9 };
	guint messages = messages_of(AT_LOCK);

	for (guint n = messages - 1; n <= messages; n++) {
		Station *station = station_new(world, 1);
		RelaySimResult result;
		int code;

		station_modem_start(station);
		station_daemon_up(station);
		station_fault(station, "qmi %u truncate", n);
		g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOCK, bytes, sizeof(bytes), STATION_WAIT_MS),
				==, 0);
		g_assert_cmpint(relay_sim_wait(station->sim, &result, STATION_WAIT_MS), ==, 0);
		g_assert_cmpint(result.status, ==, 0);
		relay_sim_result_clear(&result);
		code = station_daemon_wait(station, STATION_WAIT_MS);
		if (code) {
			g_assert_cmpint(code, ==, IFPP_EXIT_NO_DEVICE);
			station_daemon_up(station);
			g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
		}
		steps_clean(station);
		station_free(station);
	}
}

static void asked_twice(Station *station, Act act, gint64 requests)
{
	gint64 begun;

	station_until(station, station_messages(station), requests);
	begun = g_get_monotonic_time();
	kill(station->daemon, SIGTERM);
	g_usleep(20000);
	if (station->daemon)
		kill(station->daemon, SIGTERM);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpint(g_get_monotonic_time() - begun, <, 12 * G_USEC_PER_SEC);
}

/* Who asks twice means it: the daemon ends in peace and at once, and its successor finds out what happened. */
static void test_sigterm_twice(void)
{
	each_message("delay 300", asked_twice);
}

/* --------------------------------------------------------------- other protocols */

/* A cut, without a word: its successor finds out what happened. */
static void killed(Station *station, Act act, gint64 messages)
{
	station_until(station, station_messages(station), messages);
	station_daemon_kill(station);
}

/* From the first look to the lock: two packages, their results, the receipt, and a daemon that ends in peace. */
static void whole_story(void)
{
	Station *station = station_new(world, 3);
	g_autoptr(GPtrArray) packages = station_seal(station, 2);
	g_autoptr(GBytes) one = steps_challenge(1);
	g_autofree char *log = NULL;

	station_modem_start(station);
	station_daemon_up(station);
	for (guint i = 0; i < packages->len; i++)
		g_assert_cmpint(station_load(station, packages->pdata[i], NULL, NULL), ==, 0);
	assert_settled(station, 2);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
	g_assert_cmpint(station_stat(station, "profiles"), ==, 2);
	/* QMI was used where it is, and only there. */
	g_assert_cmpint(station_stat(station, "requests") > 0, ==, !strcmp(station->protocol, "mbim-qmi"));
	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	g_assert_nonnull(strstr(log, "on Virtual EC25 is ifpp"));
	steps_clean(station);
	station_free(station);
}

static void write_quirks(Station *station, const char *text)
{
	g_autofree char *path = g_build_filename(station->dir, "quirks.conf", NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_free(station->options);
	station->options = g_strdup_printf("--quirks %s", path);
	station->modem_options = station->options;
}

/* Firmware that lets nobody at the card in this mode: one line, with model, firmware, and what to do. */
static void test_mbim_gives_no_way(void)
{
	Station *station;

	world->protocol = "mbim";
	station = station_new(world, 1);
	write_quirks(station, "[Modem]\nNoUiccAccess=true\n");
	station_modem_start(station);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);
	assert_log(station, "Virtual EC25, firmware ifpp-vmodem");
	assert_log(station, "neither QMI nor the low-level UICC access");
	assert_log(station, "Will it work with my modem");
	station_free(station);
	world->protocol = NULL;
}

/* Channels that others have left open, all of them: ours is had all the same. */
static void test_mbim_channels_taken(void)
{
	g_autoptr(GPtrArray) packages = NULL;
	Station *station;

	world->protocol = "mbim";
	station = station_new(world, 1);
	packages = station_seal(station, 1);
	station->modem_options = "--max-channels 1";
	station_modem_start(station);
	for (guint i = 0; i < 3; i++) {
		station_daemon_up(station);
		station_daemon_kill(station);
	}
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	assert_settled(station, 1);
	steps_end(station);
	world->protocol = NULL;
}

/* The eUICC is in slot 2, slot 1 is active: nothing is switched but by the policy, and what was active is so in the end. */
static void test_slot_switched(gconstpointer protocol)
{
	Station *station;
	g_autoptr(GPtrArray) packages = NULL;
	g_autoptr(GBytes) one = steps_challenge(1);
	g_autofree char *policy = NULL;

	world->protocol = protocol;
	station = station_new(world, 1);
	packages = station_seal(station, 1);
	policy = g_build_filename(station->dir, "policy", NULL);
	write_quirks(station, "[Modem]\nSlots=2\nActiveSlot=1\n");
	station_modem_start(station);
	station_daemon_start(station);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, IFPP_EXIT_NO_DEVICE);
	assert_log(station, "SwitchSlot=2 in the policy");
	g_assert_cmpint(station_stat(station, "slot"), ==, 1);

	g_assert_true(g_file_set_contents(policy, "[Target]\nLock=unit\nSwitchSlot=2\nSwitchBack=1\n", -1, NULL));
	station->policy = policy;
	station_daemon_up(station);
	g_assert_cmpint(station_stat(station, "slot"), ==, 2);
	assert_log(station, "slot 2 is the active one now");
	/* Who comes after a kill finds it as it is. */
	station_daemon_kill(station);
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	steps_ask(station, IFPP_REQ_LOCK, one, 0, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	assert_log(station, "slot 1 is the active one again");
	g_assert_cmpint(station_stat(station, "slot"), ==, 1);
	assert_settled(station, 1);
	steps_clean(station);
	station_free(station);
	world->protocol = NULL;
}

/* All of it, and the daemon killed, and the modem pulled out, at each message. */
static void test_load_over(gconstpointer protocol)
{
	world->protocol = protocol;
	whole_story();
	each_message("delay 300", killed);
	each_message("unplug", ends_and_returns);
	world->protocol = NULL;
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/recover/foreign_pir_stops_nothing", test_foreign_pir_stops_nothing);
	g_test_add_func("/recover/unit_moves_station/cut", test_unit_moves_station);
	g_test_add_func("/recover/unit_moves_station/installed", test_installed_elsewhere);
	g_test_add_func("/recover/no_lock_on_unsigned_word", test_no_lock_on_unsigned_word);
	g_test_add_func("/recover/disk_is_named", test_disk_is_named);
	g_test_add_func("/recover/euicc_data_replaced", test_euicc_data_replaced);
	g_test_add_func("/recover/unplug_every_message", test_unplug_every_message);
	g_test_add_func("/recover/unplug-before-enable", test_unplug_before_enable);
	g_test_add_func("/recover/port-breaks-at-end", test_port_breaks_at_end);
	g_test_add_func("/recover/sigterm_twice", test_sigterm_twice);
	g_test_add_data_func("/recover/slot_switched/qmi", NULL, test_slot_switched);
	g_test_add_data_func("/recover/slot_switched/mbim-qmi", "mbim-qmi", test_slot_switched);
	g_test_add_data_func("/recover/slot_switched/mbim", "mbim", test_slot_switched);
	g_test_add_func("/recover/mbim_gives_no_way", test_mbim_gives_no_way);
	g_test_add_func("/recover/mbim_channels_taken", test_mbim_channels_taken);
	g_test_add_data_func("/recover/load_over_mbim_qmi", "mbim-qmi", test_load_over);
	g_test_add_data_func("/recover/load_over_mbim", "mbim", test_load_over);
	code = g_test_run();
	world_free(world);
	return code;
}
