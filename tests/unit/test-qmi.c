// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtual modem: QMUX byte for byte, faults, and Debian's qmicli against its socket. */
#include <string.h>

#include <gio/gio.h>

#include "chipkit.h"
#include "control.h"
#include "error.h"
#include "modem.h"
#include "transport.h"

typedef struct {
	Kit *kit;
	Modem *modem;
	ModemLink *link;
	GPtrArray *frames;	/* of hex */
	guint resets, unplugs, plugs;
} Bench;

static void collect(const guint8 *frame, gsize len, gpointer user)
{
	g_ptr_array_add(((Bench *)user)->frames, ifpp_hex((IfppSpan){ frame, len }));
}

static void count_event(ModemEvent event, gpointer user)
{
	Bench *bench = user;

	bench->resets += event == MODEM_RESET;
	bench->unplugs += event == MODEM_UNPLUG;
	bench->plugs += event == MODEM_PLUG;
	g_clear_pointer(&bench->link, modem_link_free);
	if (event != MODEM_UNPLUG)
		bench->link = modem_link_new(bench->modem, collect, bench);
}

static Bench *bench_new(guint keys)
{
	Bench *bench = g_new0(Bench, 1);

	bench->kit = kit_new(keys);
	kit_close(bench->kit);
	bench->modem = modem_new(g_steal_pointer(&bench->kit->chip));
	bench->frames = g_ptr_array_new_with_free_func(g_free);
	bench->link = modem_link_new(bench->modem, collect, bench);
	modem_set_event_func(bench->modem, count_event, bench);
	return bench;
}

static void bench_free(Bench *bench)
{
	g_clear_pointer(&bench->link, modem_link_free);
	modem_free(bench->modem);
	g_ptr_array_unref(bench->frames);
	kit_free(bench->kit);
	g_free(bench);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bench, bench_free)

static void settle(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void send_hex(Bench *bench, const char *hex)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(hex);

	g_assert_nonnull(bytes);
	g_ptr_array_set_size(bench->frames, 0);
	g_assert_true(modem_link_receive(bench->link, g_bytes_get_data(bytes, NULL),
					 g_bytes_get_size(bytes)));
}

static void talk(Bench *bench, const char *request, const char *want)
{
	send_hex(bench, request);
	g_assert_cmpuint(bench->frames->len, ==, want ? 1 : 0);
	if (want)
		g_assert_cmpstr(g_ptr_array_index(bench->frames, 0), ==, want);
}

#define ALLOCATE "010f000000000002220004000101000b"
#define OPEN "012400000b01000100420018000101000110110010a0000005591010ffffffff8900000100"
#define GET_EID "012400000b0100020" "03b00180001010001020d000b0081e2910006bf3e035c015a10010001"
#define OPENED "014100800b01020100420035000204000000000010010001110200900012220021" \
	       "6f1f8410a0000005591010ffffffff8900000100a5049f6501ffe0058203020202"

/* The worked frames of TS and libqmi's own coding. */
static void test_frames(void)
{
	g_autoptr(Bench) bench = bench_new(1);

	talk(bench, ALLOCATE, "01170080000001022200" "0c00" "02040000000000" "0102000b01");
	talk(bench, "010b0000000000012100" "0000",
	     "013400800000010121002900" "02040000000000" "011f0006" "0001000500" "0101004300" "0201000e00"
	     "0301001900" "0b01003700" "1a01001000");
	talk(bench, OPEN, OPENED);
	talk(bench, GET_EID, "011a00800b0102020" "03b000e00" "02040000000000" "10040002006115");
	talk(bench, "011e00000b010003003b001200" "010100010207000500" "81c0000015" "10010001",
	     "012f00800b010203003b002300" "02040000000000" "1019001700"
	     "bf3e125a1089049032123451234512345678901235" "9000");
	talk(bench, "011400000b010004003f000800" "01010001" "11010001",
	     "011800800b010204003f000c00" "02040000000000" "1102009000");
	g_assert_cmpuint(chip_channels_open(modem_chip(bench->modem)), ==, 0);
	/* closing it again fails, and says so */
	talk(bench, "011400000b010005003f000800" "01010001" "11010001",
	     "011800800b010205003f000c00" "02040001003000" "1102006881");
	talk(bench, "01100000000000032300" "0500" "0102000b01",
	     "01170080000001032300" "0c00" "02040000000000" "0102000b01");
	talk(bench, OPEN, "011300800b010201004200" "0700" "02040001000700");
}

static void test_ctl(void)
{
	g_autoptr(Bench) bench = bench_new(1);

	modem_set_max_clients(bench->modem, 2);
	send_hex(bench, ALLOCATE);
	send_hex(bench, ALLOCATE);
	g_assert_cmpuint(modem_clients(bench->modem), ==, 2);
	talk(bench, ALLOCATE, "011200800000010222000700" "02040001000500");
	/* leaked until reset, or until the host syncs */
	modem_link_free(bench->link);
	bench->link = modem_link_new(bench->modem, collect, bench);
	talk(bench, ALLOCATE, "011200800000010222000700" "02040001000500");
	talk(bench, "010b000000000003270000" "00", "011200800000010327000700" "02040000000000");
	g_assert_cmpuint(modem_clients(bench->modem), ==, 0);
	talk(bench, "010f00000000000422000400" "01010005", "011200800000010422000700" "02040001001f00");
	talk(bench, "010b00000000000522000000", "011200800000010522000700" "02040001001100");
	talk(bench, "01100000000000062300" "0500" "0102000b09", "011200800000010623000700" "02040001000700");
	talk(bench, "010b0000000000077f000000", "01120080000001077f000700" "02040001004700");
	/* DMS has nothing to do with the UIM here: error 94 to all of it, as from an EC25-E */
	talk(bench, "010f0000000000082200040001010002", "011700800000010822000c00" "02040000000000" "0102000201");
	talk(bench, "010c0000020100010044000000", "011300800201020100" "44000700" "02040001005e00");
	talk(bench, "010c0000020100020027000000", "011300800201020200" "27000700" "02040001005e00");
	talk(bench, "010c000002010003003c000000", "011300800201020300" "3c000700" "02040001005e00");
}

static void test_malformed(void)
{
	g_autoptr(Bench) bench = bench_new(1);
	GRand *rand = g_rand_new_with_seed(11);
	const guint8 noise[] = { 0x02, 0x03, 0x04 };
	static const char *const others[] = {	/* clients of WDS, DMS, NAS, WDA */
		"010f0000000000012200040001010001", "010f0000000000012200040001010002",
		"010f0000000000012200040001010003", "010f000000000001220004000101001a",
	};

	/* a TLV longer than its message, a TLV block longer than the frame */
	talk(bench, "010f00000000000222000400" "0102000b", "011200800000010222000700" "02040001000100");
	talk(bench, "010f00000000000222000500" "0101000b", "011200800000010222000700" "02040001000100");
	/* an answer, not a request; too short to answer */
	talk(bench, "010f0080000001022200040001" "01000b", NULL);
	talk(bench, "0107000000000002", NULL);
	g_assert_false(modem_link_receive(bench->link, noise, sizeof(noise)));
	/* split anywhere */
	for (guint i = 1; i < 16; i++) {
		g_autoptr(GBytes) bytes = ifpp_unhex("010b00000000000127000000");
		const guint8 *data = g_bytes_get_data(bytes, NULL);
		gsize len = g_bytes_get_size(bytes), cut = MIN(i, len);

		g_ptr_array_set_size(bench->frames, 0);
		g_assert_true(modem_link_receive(bench->link, data, cut));
		g_assert_true(modem_link_receive(bench->link, data + cut, len - cut));
		g_assert_cmpuint(bench->frames->len, ==, 1);
	}
	send_hex(bench, ALLOCATE);
	for (guint i = 0; i < G_N_ELEMENTS(others); i++)
		send_hex(bench, others[i]);
	for (guint i = 0; i < 10000; i++) {
		guint8 frame[80];
		gsize len = g_rand_int_range(rand, 13, sizeof(frame));

		for (gsize j = 0; j < len; j++)
			frame[j] = g_rand_int(rand);
		frame[0] = 1;
		frame[1] = len - 1;
		frame[2] = 0;
		frame[3] = 0;
		frame[4] = (guint8[]){ 0, 2, 0x0B, 0x0B, 3, 1, 0x0B, 0x1A }[i % 8];
		frame[5] = 1;
		frame[6] = 0;
		if (i % 4) {
			frame[9] = g_rand_int_range(rand, 0x20, 0x50);
			frame[10] = 0;
			frame[11] = len - 13;
			frame[12] = 0;
		}
		g_ptr_array_set_size(bench->frames, 0);
		g_assert_true(modem_link_receive(bench->link, frame, len));
		settle();
		if (!bench->link)
			bench->link = modem_link_new(bench->modem, collect, bench);
	}
	g_rand_free(rand);
}

static void control(Bench *bench, const char *line, gboolean good)
{
	g_autofree char *answer = control_run(bench->modem, line);

	g_assert_cmpint(!g_str_has_prefix(answer, "{\"error\""), ==, good);
	settle();
}

static void test_faults(void)
{
	g_autoptr(Bench) bench = bench_new(1);
	gint64 end;

	send_hex(bench, ALLOCATE);
	talk(bench, OPEN, OPENED);
	control(bench, "fault apdu 1 sw 6985", TRUE);
	talk(bench, GET_EID, "011a00800b010202003b000e00" "02040000000000" "10040002006985");
	control(bench, "fault apdu 1 error 52", TRUE);
	talk(bench, GET_EID, "011300800b010202003b000700" "02040001003400");
	control(bench, "fault qmi 2 drop", TRUE);
	control(bench, "fault qmi 3 lose", TRUE);
	control(bench, "fault  qmi 4 duplicate", TRUE);
	control(bench, "fault qmi 5 truncate", TRUE);
	control(bench, "fault qmi 6 corrupt", TRUE);
	control(bench, "fault qmi 7 error 3", TRUE);
	talk(bench, GET_EID, "011a00800b010202003b000e00" "02040000000000" "10040002006115");
	talk(bench, GET_EID, NULL);
	talk(bench, GET_EID, NULL);
	g_assert_cmpuint(modem_stats(bench->modem)->send_apdus, ==, 4);
	send_hex(bench, GET_EID);
	g_assert_cmpuint(bench->frames->len, ==, 2);
	g_assert_cmpstr(g_ptr_array_index(bench->frames, 0), ==, g_ptr_array_index(bench->frames, 1));
	send_hex(bench, GET_EID);
	g_assert_cmpuint(strlen(g_ptr_array_index(bench->frames, 0)), ==, 26);
	send_hex(bench, GET_EID);
	g_assert_cmpstr(g_ptr_array_index(bench->frames, 0), !=,
			"011a00800b010202003b000e00" "02040000000000" "10040002006115");
	talk(bench, GET_EID, "011300800b010202003b000700" "02040001000300");
	g_assert_cmpuint(faults_armed(modem_faults(bench->modem)), ==, 0);

	control(bench, "fault apdu 1 garble 1", TRUE);	/* INS B7 */
	talk(bench, GET_EID, "011a00800b010202003b000e00" "02040000000000" "10040002006d00");
	control(bench, "fault qmi 1 garble 0", TRUE);	/* message 6E */
	talk(bench, GET_EID, "011300800b010202006e000700" "02040001004700");

	control(bench, "fault qmi 1 delay 30", TRUE);
	talk(bench, GET_EID, NULL);
	end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
	while (!bench->frames->len && g_get_monotonic_time() < end)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(bench->frames->len, ==, 1);

	control(bench, "fault apdu 1 hang", TRUE);
	talk(bench, GET_EID, NULL);
	talk(bench, ALLOCATE, NULL);
	control(bench, "reset", TRUE);
	g_assert_cmpuint(bench->resets, ==, 1);
	g_assert_cmpuint(modem_clients(bench->modem), ==, 0);
	g_assert_cmpuint(chip_channels_open(modem_chip(bench->modem)), ==, 0);
	send_hex(bench, ALLOCATE);
	talk(bench, OPEN, OPENED);
	control(bench, "fault apdu 1 unplug", TRUE);
	talk(bench, GET_EID, NULL);
	settle();
	g_assert_cmpuint(bench->unplugs, ==, 1);
	control(bench, "unplug", TRUE);
	g_assert_cmpuint(bench->unplugs, ==, 1);
	control(bench, "plug", TRUE);
	g_assert_cmpuint(bench->plugs, ==, 1);
	send_hex(bench, ALLOCATE);
	talk(bench, OPEN, OPENED);

	for (guint i = 0; i < 7; i++) {
		static const char *const wrong[] = {
			"", "nonsense", "fault", "fault apdu 0 hang", "fault apdu 1 drop",
			"fault write 1 sw 6985",
			"fault apdu 1 sw",
		};

		control(bench, wrong[i], FALSE);
	}
	control(bench, "fault apdu 5 hang", TRUE);
	control(bench, "fault clear", TRUE);
	g_assert_cmpuint(faults_armed(modem_faults(bench->modem)), ==, 0);
}

/* Power off hides the card from everyone, and tells those who asked. */
static void test_power_and_events(void)
{
	g_autoptr(Bench) bench = bench_new(1);
	const char *frame;

	send_hex(bench, ALLOCATE);
	talk(bench, "011300000b010001002e000700" "01040011000000",
	     "011a00800b010201002e000e00" "02040000000000" "10040011000000");
	send_hex(bench, "011000000b0100020030000400" "01010001");
	g_assert_cmpuint(bench->frames->len, ==, 3);	/* card status, slot status, the answer */
	frame = g_ptr_array_index(bench->frames, 0);
	g_assert_true(g_str_has_prefix(frame + 6, "800b01040000" "3200"));
	g_assert_nonnull(strstr(frame, "ffffffffffffffff" "01" "00"));
	talk(bench, OPEN, "011300800b010201004200" "0700" "02040001006600");
	send_hex(bench, "011000000b0100030031000400" "01010001");
	g_assert_cmpuint(bench->frames->len, ==, 3);
	talk(bench, "011000000b0100040031000400" "01010001",
	     "011300800b010204003100" "0700" "02040001001a00");
	talk(bench, OPEN, OPENED);
	/* another slot does not exist */
	talk(bench, "011000000b0100050030000400" "01010002",
	     "011300800b010205003000" "0700" "02040001003000");
	talk(bench, "011700000b0100060046000b00" "01010001" "02040001000000",
	     "011300800b010206004600" "0700" "02040001001a00");
}

static const char *last(Bench *bench)
{
	settle();
	return g_ptr_array_index(bench->frames, bench->frames->len - 1);
}

/* Session primary GW; EF at 3F00 or 3F00 7FFF; offset 0, all of it. */
#define FILE_ICCID "0102000000" "020500e22f02003f"
#define FILE_IMSI "0102000000" "020700076f04003fff7f"
#define FILE_GID1 "0102000000" "0207003e6f04003fff7f"
#define ALL "03040000000000"

static void ask_file(Bench *bench, const char *message, const char *tlvs)
{
	guint len = strlen(tlvs) / 2;
	g_autofree char *hex = g_strdup_printf("01%02x00000b01000100%s%02x00%s", 12 + len, message, len, tlvs);

	send_hex(bench, hex);
}

/* What a modem reads when a SIM comes up, and the refresh that makes it come up. */
static void test_files(void)
{
	g_autoptr(Bench) bench = g_new0(Bench, 1);
	g_autoptr(IfppPir) pir = NULL;
	g_autofree char *answer = NULL, *iccid = NULL, *enable = NULL;
	guint16 sw;

	bench->kit = kit_new(1);
	pir = kit_load_next(bench->kit, &(KitSeal){ 0 }, &sw);
	g_assert_nonnull(pir);
	iccid = ifpp_hex((IfppSpan){ ((IfppChipProfile *)chip_memory(bench->kit->chip)->profiles->pdata[0])->iccid, 10 });
	kit_close(bench->kit);
	bench->modem = modem_new(g_steal_pointer(&bench->kit->chip));
	bench->frames = g_ptr_array_new_with_free_func(g_free);
	bench->link = modem_link_new(bench->modem, collect, bench);
	modem_set_event_func(bench->modem, count_event, bench);

	send_hex(bench, ALLOCATE);
	ask_file(bench, "2000", FILE_ICCID ALL);	/* no profile is enabled */
	g_assert_true(g_str_has_suffix(last(bench), "02040001005000" "1002006a82"));
	ask_file(bench, "2000", FILE_ICCID);
	g_assert_true(g_str_has_suffix(last(bench), "02040001001100"));
	ask_file(bench, "2000", "0102000000" "020500e22f03003f" ALL);
	g_assert_true(g_str_has_suffix(last(bench), "02040001000100"));

	/* Refresh Register All; ES10c enable with refresh: nothing happens until the answer is fetched. */
	ask_file(bench, "4400", "0102000000" "02010001");
	talk(bench, OPEN, OPENED);
	enable = g_strdup_printf("01010001" "021b001900" "81e2910014" "bf3111" "a00c5a0a%s" "8101ff" "10010001", iccid);
	ask_file(bench, "3b00", enable);
	settle();
	g_assert_cmpuint(bench->frames->len, ==, 1);
	g_assert_nonnull(strstr(last(bench), "6106"));
	ask_file(bench, "3b00", "01010001" "0207000500" "81c0000006" "10010001");
	g_assert_nonnull(strstr(g_ptr_array_index(bench->frames, 0), "bf3103800100" "910b"));
	settle();
	g_assert_cmpuint(bench->frames->len, ==, 3);	/* the answer, refresh begins, refresh has ended */
	g_assert_nonnull(strstr(g_ptr_array_index(bench->frames, 1), "3300"));
	g_assert_cmpuint(chip_channels_open(modem_chip(bench->modem)), ==, 0);

	ask_file(bench, "2000", FILE_ICCID ALL);
	answer = g_strconcat("1002009000" "110c000a00", iccid, NULL);
	g_assert_true(g_str_has_suffix(last(bench), answer));
	ask_file(bench, "2000", FILE_IMSI ALL);		/* 99970... */
	g_assert_nonnull(strstr(last(bench), "1002009000" "110b000900" "08999907"));
	ask_file(bench, "2000", FILE_IMSI "03040001000200");
	g_assert_true(g_str_has_suffix(last(bench), "110400" "0200" "9999"));
	ask_file(bench, "2000", FILE_IMSI "03040001000900");	/* past its end */
	g_assert_nonnull(strstr(last(bench), "02040001003000"));
	ask_file(bench, "2400", FILE_IMSI);
	g_assert_nonnull(strstr(last(bench), "1002009000" "111a00" "0900" "076f" "00"));
	ask_file(bench, "2000", FILE_GID1 ALL);
	g_assert_true(g_str_has_suffix(last(bench), "02040001005000" "1002006a82"));
	ask_file(bench, "2000", "0102000000" "020700ad6f04003fff7f" ALL);	/* the template's EF.AD */
	g_assert_true(g_str_has_suffix(last(bench), "110600" "0400" "00000002"));
	ask_file(bench, "2f00", "");	/* two applications: a USIM, ready, and an ISIM, with the profile's own AIDs */
	g_assert_nonnull(strstr(last(bench), "0000" "ffffffffffff" "01" "01" "00000000" "02" "0207020000000c"
				"a0000000871002ff49ff0589"));
	g_assert_nonnull(strstr(last(bench), "0c" "a0000000871004ff49ff0589"));
}

/* A write fault: the unit goes dark in the middle of the command, and comes back with what its file says. */
static void test_write_fault(void)
{
	g_autoptr(Bench) bench = bench_new(2);

	for (guint i = 0; i < 2; i++) {
		send_hex(bench, ALLOCATE);
		talk(bench, OPEN, OPENED);
		control(bench, i ? "fault write 1 power-cut-after" : "fault write 1 power-cut", TRUE);
		/* FF23: delete all keys */
		talk(bench, "012100000b010002003b001500" "01010001" "020a000800" "81e2910003ff2300"
		     "10010001", NULL);
		settle();
		g_assert_cmpuint(bench->resets, ==, i + 1);
		g_assert_true(chip_powered(modem_chip(bench->modem)));
		g_assert_cmpuint(chip_memory(modem_chip(bench->modem))->keys->len, ==, i ? 0 : 2);
		g_assert_cmpuint(modem_clients(bench->modem), ==, 0);
	}
}

/* ------------------------------------------------------------------ Debian's own qmicli */

typedef struct {
	GMainLoop *loop;
	char *out;
	gboolean ok;
} Qmicli;

static void qmicli_done(GObject *object, GAsyncResult *result, gpointer user)
{
	Qmicli *run = user;

	g_subprocess_communicate_utf8_finish(G_SUBPROCESS(object), result, &run->out, NULL, NULL);
	run->ok = g_subprocess_get_successful(G_SUBPROCESS(object));
	g_main_loop_quit(run->loop);
}

static char *qmicli(const char *socket, const char *what)
{
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GError) error = NULL;
	Qmicli run = { .loop = g_main_loop_new(NULL, FALSE) };

	process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error,
				   "timeout",
				   "30", "qmicli", "-d", socket, "--device-open-qmi", what, NULL);
	g_assert_no_error(error);
	g_subprocess_communicate_utf8_async(process, NULL, NULL, qmicli_done, &run);
	g_main_loop_run(run.loop);
	g_main_loop_unref(run.loop);
	if (!run.ok)
		g_test_message("%s", run.out);
	g_assert_true(run.ok);
	return run.out;
}

static void test_qmicli(void)
{
	static const struct {
		const char *ask, *want;
	} asks[] = {
		{ "--get-service-version-info", "uim (1.55)" },
		{ "--dms-get-ids", "IMEI: '001012" },
		{ "--dms-get-manufacturer", "IFPP project" },
		{ "--dms-get-model", "Virtual EC25" },
		{ "--dms-get-revision", "ifpp-vmodem" },
		{ "--dms-get-operating-mode", "online" },
		{ "--dms-get-capabilities", "gsm, umts, lte" },
		{ "--dms-get-band-capabilities", "LTE bands: '1, 3, 5, 7, 8, 20'" },
		{ "--dms-get-software-version", "ifpp-vmodem" },
		{ "--dms-set-operating-mode=low-power", "" },
		{ "--dms-get-operating-mode", "low-power" },
		{ "--dms-set-operating-mode=online", "" },
		{ "--nas-get-serving-system", "Registration state: 'not-registered'" },
		{ "--nas-get-system-selection-preference", "gsm, umts, lte" },
		{ "--nas-set-system-selection-preference=lte", "" },
		{ "--nas-get-system-selection-preference", "Mode preference: 'lte'" },
		{ "--nas-get-signal-info", "" },
		{ "--nas-get-system-info", "LTE service:" },
		{ "--wds-get-packet-service-status", "disconnected" },
		{ "--wds-get-profile-list=3gpp", "empty" },
		{ "--wda-get-data-format", "Link layer protocol: '802-3'" },
		{ "--wda-set-data-format=raw-ip", "Link layer protocol: 'raw-ip'" },
		{ "--uim-get-card-status", "Card state: 'present'" },
		{ "--uim-get-slot-status", KIT_EID },
		{ "--uim-open-logical-channel=1,A0000005591010FFFFFFFF8900000100", "completed: 1" },
		{ "--uim-send-apdu=1,1,81E2910006BF3E035C015A", "61:15" },
		{ "--uim-send-apdu=1,1,81C0000015", "BF:3E:12:5A:10:89:04:90:32" },
		{ "--uim-close-logical-channel=1,1", "" },
		{ "--uim-sim-power-off=1", "" },
		{ "--uim-sim-power-on=1", "" },
	};
	g_autofree char *found = g_find_program_in_path("qmicli");
	g_autoptr(Kit) kit = NULL;
	g_autoptr(Modem) modem = NULL;
	g_autoptr(Transport) transport = NULL;
	g_autofree char *socket = NULL;
	g_autoptr(GError) error = NULL;

	if (!found) {
		g_test_skip("qmicli is not here");
		return;
	}
	kit = kit_new(1);
	kit_close(kit);
	modem = modem_new(g_steal_pointer(&kit->chip));
	socket = g_build_filename(kit->dir, "qmux_socket", NULL);
	transport = transport_new_socket(modem, socket, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < G_N_ELEMENTS(asks); i++) {
		g_autofree char *out = qmicli(socket, asks[i].ask);

		if (!strstr(out, asks[i].want))
			g_error("%s: no \"%s\" in: %s", asks[i].ask, asks[i].want, out);
	}
	g_assert_cmpuint(modem_clients(modem), ==, 0);
	g_assert_cmpuint(chip_channels_open(modem_chip(modem)), ==, 0);
	modem_unplug(modem);
	settle();
	g_assert_false(g_file_test(socket, G_FILE_TEST_EXISTS));
	modem_plug(modem);
	settle();
	g_free(qmicli(socket, "--dms-get-model"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/qmi/frames", test_frames);
	g_test_add_func("/qmi/ctl", test_ctl);
	g_test_add_func("/qmi/malformed", test_malformed);
	g_test_add_func("/qmi/faults", test_faults);
	g_test_add_func("/qmi/power-and-events", test_power_and_events);
	g_test_add_func("/qmi/files", test_files);
	g_test_add_func("/qmi/write-fault", test_write_fault);
	g_test_add_func("/qmi/qmicli", test_qmicli);
	return g_test_run();
}
