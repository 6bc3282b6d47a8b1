// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several attempts of one package, and results that are not ours, through the real daemon: nothing that a
 * chip has signed is lost, and nothing of it stops anything.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <poll.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "attempt.h"
#include "chipmem.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "station.h"

static World *world;

/* ------------------------------------------- one bit on the way to the chip */

typedef struct {
	char *front, *back;
	int listener;
	gint left;	/* bits still to be flipped */
	GThread *thread;
} Flip;

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	return fd;
}

/* A bit of smdpSign in the InitialiseSecureChannel of a BPP. */
static void flip_bit(Flip *flip, guint8 *data, gsize len)
{
	static const guint8 bpp[] = { 0xbf, 0x36 }, sign[] = { 0x5f, 0x37, 0x40 };
	guint8 *begin = memmem(data, len, bpp, sizeof(bpp)), *at;

	at = begin ? memmem(begin, len - (begin - data), sign, sizeof(sign)) : NULL;
	if (!at || at + 12 >= data + len || g_atomic_int_get(&flip->left) <= 0)
		return;
	g_atomic_int_add(&flip->left, -1);
	at[12] ^= 1;
}

/* One connection at a time: the daemon has one. */
static gpointer flip_thread(gpointer user)
{
	Flip *flip = user;
	int client;

	while ((client = accept(flip->listener, NULL, NULL)) >= 0) {
		int modem = connect_to(flip->back);
		struct pollfd fds[] = { { client, POLLIN, 0 }, { modem, POLLIN, 0 } };
		gboolean open = TRUE;

		while (open && poll(fds, 2, -1) > 0) {
			for (guint i = 0; i < 2 && open; i++) {
				guint8 data[65536];
				ssize_t n = fds[i].revents ? read(fds[i].fd, data, sizeof(data)) : -2;

				if (n == -2)
					continue;
				if (n > 0 && !i)
					flip_bit(flip, data, n);
				open = n > 0 && send(fds[!i].fd, data, n, MSG_NOSIGNAL) == n;
			}
		}
		close(client);
		close(modem);
	}
	return NULL;
}

/* Before the daemon starts: the modem is behind it from now on. */
static Flip *flip_new(Station *station, guint bits)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	Flip *flip = g_new0(Flip, 1);

	flip->left = bits;
	flip->front = g_strdup(station->socket);
	flip->back = g_build_filename(station->dir, "modem.real", NULL);
	g_assert_cmpint(g_rename(flip->front, flip->back), ==, 0);
	flip->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_strlcpy(addr.sun_path, flip->front, sizeof(addr.sun_path));
	g_assert_cmpint(bind(flip->listener, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_assert_cmpint(listen(flip->listener, 4), ==, 0);
	flip->thread = g_thread_new("flip", flip_thread, flip);
	return flip;
}

/* When the daemon has gone. */
static void flip_free(Flip *flip)
{
	shutdown(flip->listener, SHUT_RDWR);
	g_thread_join(flip->thread);
	close(flip->listener);
	g_free(flip->front);
	g_free(flip->back);
	g_free(flip);
}

/* -------------------------------------------------------------------- what is there */

static GPtrArray *attempts_of(Station *station)
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *dir = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(GError) error = NULL;
	GPtrArray *attempts;
	guint8 eid[16];

	g_assert_true(ifpp_eid_parse(station->eid, eid, NULL));
	attempts = ifpp_attempts_read(dir, eid, damaged, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(damaged->len, ==, 0);
	return attempts;
}

static void check_attempt(const IfppAttempt *attempt, guint reason, IfppSpent spent)
{
	g_autoptr(IfppPir) pir = NULL;

	g_assert_true(attempt->stored);
	g_assert_cmpint(attempt->status, ==, reason ? -EREMOTEIO : 0);
	g_assert_cmpuint(attempt->reason, ==, reason);
	g_assert_cmpint(attempt->spent, ==, spent);
	g_assert_nonnull(attempt->pir);
	pir = ifpp_pir_parse(attempt->pir, NULL);
	g_assert_true(pir && pir->success == !reason && pir->reason == reason && pir->seq == attempt->seq);
}

static void assert_log(Station *station, const char *text, guint times)
{
	g_autofree char *log = NULL;
	guint n = 0;

	g_assert_true(g_file_get_contents(station->log, &log, NULL, NULL));
	for (const char *p = log; (p = strstr(p, text)); p++)
		n++;
	g_assert_cmpuint(n, ==, times);
}

/* ------------------------------------------------------------------------ tests */

/* A bit flips on the way, the chip refuses and keeps the key, the same package is loaded again. */
static void test_both_kept(void)
{
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1), attempts = NULL;
	guint reason;
	Flip *flip;

	station_modem_start(station);
	flip = flip_new(station, 1);
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, -EREMOTEIO);
	g_assert_cmpuint(reason, ==, 2);
	g_assert_cmpuint(station->sim->rec.unspent, ==, 1);
	attempts = attempts_of(station);
	g_assert_cmpuint(attempts->len, ==, 1);
	check_attempt(attempts->pdata[0], 2, IFPP_SPENT_NO);

	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, 0);
	g_assert_cmpuint(reason, ==, 0);
	g_assert_cmpint(station_stat(station, "profiles"), ==, 1);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 0);
	g_ptr_array_unref(attempts);
	attempts = attempts_of(station);
	g_assert_cmpuint(attempts->len, ==, 2);
	check_attempt(attempts->pdata[0], 2, IFPP_SPENT_NO);
	check_attempt(attempts->pdata[1], 0, IFPP_SPENT_YES);
	g_assert_cmpuint(station_outbox(station, ".pending") + station_outbox(station, ".reserve"), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	flip_free(flip);
	station_free(station);
}

/* Refused with its key unspent, then the chip is locked, which deletes the key: it was never spent. */
static void test_attach_after_refusal_and_lock(void)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1), attempts = NULL;
	RelaySimResult result;
	guint reason;
	Flip *flip;

	station_modem_start(station);
	flip = flip_new(station, 1);
	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, NULL), ==, -EREMOTEIO);
	g_assert_cmpint(station_request(station, IFPP_REQ_LOCK, challenge, &result), ==, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);

	/* The machine reboots: the driver knows nothing, and takes what the daemon tells. */
	memset(&station->sim->rec, 0, sizeof(station->sim->rec));
	station->sim->rec.keys = station->sim->keys;
	station_daemon_start(station);
	g_assert_cmpint(relay_sim_attach_of(station->sim, &station->daemon, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station->sim->rec.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpuint(station->sim->rec.spent_count, ==, 0);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	attempts = attempts_of(station);
	g_assert_cmpuint(attempts->len, ==, 1);
	check_attempt(attempts->pdata[0], 2, IFPP_SPENT_NO);
	flip_free(flip);
	station_free(station);
}

/* bppCommandId 6 is none that we know; the signature is no signature. */
static GBytes *strange_pir(void)
{
	static const guint8 sig[64];
	g_autoptr(GByteArray) fin = g_byte_array_new(), in = g_byte_array_new(), data = g_byte_array_new();
	g_autoptr(GByteArray) meta = g_byte_array_new(), pir = g_byte_array_new(), whole = g_byte_array_new();

	ifpp_tlv_put_uint(fin, 0x80, 6);
	ifpp_tlv_put_uint(fin, 0x81, 5);
	ifpp_tlv_put(in, 0xa1, fin->data, fin->len);
	ifpp_tlv_put(data, 0x80, "\x01", 1);
	ifpp_tlv_put_uint(meta, 0x80, 7);
	ifpp_tlv_put(meta, 0x81, "\x07\x80", 2);
	ifpp_tlv_put(meta, 0x0c, "a", 1);
	ifpp_tlv_put(data, 0xbf2f, meta->data, meta->len);
	ifpp_tlv_put(data, 0x06, "\x2a", 1);
	ifpp_tlv_put(data, 0xa2, in->data, in->len);
	ifpp_tlv_put(pir, 0xbf27, data->data, data->len);
	ifpp_tlv_put(pir, 0x5f37, sig, sizeof(sig));
	ifpp_tlv_put(whole, 0xbf37, pir->data, pir->len);
	return g_bytes_new(whole->data, whole->len);
}

/* A result that nobody can read is kept aside, told once, and the chip is loaded and locked all the same. */
static void test_foreign_pir_stops_nothing(void)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16), strange = strange_pir();
	g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, strange);
	Station *station = station_new(world, 1);
	g_autoptr(GPtrArray) packages = station_seal(station, 1);
	IfppChipMem *mem = ifpp_chipmem_load(station->chip, NULL);
	IfppChipNote *note = g_new0(IfppChipNote, 1);
	g_autofree char *dir = g_build_filename(station->state, "outbox", station->eid, "quarantine", NULL);
	g_autofree char *kept = g_strdup_printf("%s/%s.bin", dir, sum), *why = g_strdup_printf("%s/%s.txt", dir, sum);
	g_autofree char *bytes = NULL, *reason = NULL;
	RelaySimResult result;
	gsize len;

	note->seq = 7;
	note->events = 0x80;
	note->address = g_strdup("a");
	note->bytes = g_bytes_ref(strange);
	ifpp_chipmem_add_note(mem, note);
	mem->next_seq = 8;
	g_assert_true(ifpp_chipmem_commit(mem, NULL));
	ifpp_chipmem_free(mem);

	station_modem_start(station);
	for (guint i = 0; i < 2; i++) {
		station_daemon_up(station);
		g_assert_cmpint(station_daemon_stop(station), ==, 0);
	}
	assert_log(station, "a copy is in quarantine", 1);
	g_assert_true(g_file_get_contents(kept, &bytes, &len, NULL));
	g_assert_cmpmem(bytes, len, g_bytes_get_data(strange, NULL), g_bytes_get_size(strange));
	g_assert_true(g_file_get_contents(why, &reason, NULL, NULL));
	g_assert_nonnull(strstr(reason, station->eid));
	g_assert_nonnull(strstr(reason, "\nReason="));

	station_daemon_up(station);
	g_assert_cmpint(station_load(station, packages->pdata[0], NULL, NULL), ==, 0);
	g_assert_cmpint(station_stat(station, "notifications"), ==, 1);	/* an LPA may wait for it */
	g_assert_cmpint(station_request(station, IFPP_REQ_LOCK, challenge, &result), ==, 0);
	relay_sim_result_clear(&result);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);
	g_assert_cmpuint(station_outbox(station, ".result"), ==, 1);
	g_assert_cmpuint(station_outbox(station, "lock.receipt"), ==, 1);
	station_free(station);
}

static char *report_of(Station *station, int verdict)
{
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL);
	g_autofree char *file = g_build_filename(station->dir, "report.json", NULL);
	char *text = NULL;

	g_assert_cmpint(station_run("tools/ifppctl/ifppctl", "report", "--outbox", outbox, "--packages", station->packages,
				    "-o", file, NULL), ==, 0);
	g_assert_cmpint(station_run("tools/smdpf/ifpp-smdpf", "verify-report", "--home", world->home,
				    file, NULL), ==, verdict);
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	return text;
}

/* The results of a unit are at another station: its receipt says so, to this station and to the Key Maker. */
static void test_unit_moves_station(void)
{
	g_autoptr(GBytes) challenge = g_bytes_new_static("0123456789abcdef", 16);
	g_autoptr(GPtrArray) packages = NULL, attempts = NULL;
	Station *station = station_begin(world, 2, 2, &packages);
	g_autofree char *whole = NULL, *part = NULL, *away = NULL, *result = NULL;
	RelaySimResult reply;

	for (guint i = 0; i < 2; i++)
		g_assert_cmpint(station_load(station, packages->pdata[i], NULL, NULL), ==, 0);
	g_assert_cmpint(station_request(station, IFPP_REQ_LOCK, challenge, &reply), ==, 0);
	relay_sim_result_clear(&reply);
	g_assert_cmpint(station_daemon_wait(station, STATION_WAIT_MS), ==, 0);

	attempts = attempts_of(station);
	g_assert_cmpuint(attempts->len, ==, 2);
	result = g_build_filename(station->state, "outbox", station->eid, ((IfppAttempt *)attempts->pdata[1])->file, NULL);
	away = g_build_filename(station->dir, "elsewhere", NULL);
	g_assert_cmpint(g_rename(result, away), ==, 0);
	part = report_of(station, IFPP_EXIT_REFUSED);
	g_assert_nonnull(strstr(part, "\"missing_results\":1"));
	g_assert_cmpint(g_rename(away, result), ==, 0);
	whole = report_of(station, 0);
	g_assert_nonnull(strstr(whole, "\"missing_results\":0"));
	station_free(station);
}

int main(int argc, char **argv)
{
	int code;

	g_test_init(&argc, &argv, NULL);
	world = world_new();
	g_test_add_func("/attempts/attempts_both_kept", test_both_kept);
	g_test_add_func("/attempts/attach_after_refusal_and_lock", test_attach_after_refusal_and_lock);
	g_test_add_func("/attempts/foreign_pir_stops_nothing", test_foreign_pir_stops_nothing);
	g_test_add_func("/attempts/unit_moves_station", test_unit_moves_station);
	code = g_test_run();
	world_free(world);
	return code;
}
