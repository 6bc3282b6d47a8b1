// SPDX-License-Identifier: GPL-2.0-or-later
/* The lasting character of a virtual modem: each quirk does what its name says, at every message. */
#include <string.h>

#include <glib/gstdio.h>

#include "chipkit.h"
#include "error.h"
#include "modem.h"

typedef struct {
	Kit *kit;
	Modem *modem;
	ModemLink *link;
	char *frame;		/* the last one, hex */
} Bench;

static void keep(const guint8 *frame, gsize len, gpointer user)
{
	Bench *bench = user;

	g_free(bench->frame);
	bench->frame = ifpp_hex((IfppSpan){ frame, len });
}

static void send_hex(Bench *bench, const char *hex)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(hex);

	g_assert_nonnull(bytes);
	g_clear_pointer(&bench->frame, g_free);
	g_assert_true(modem_link_receive(bench->link, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)));
}

/* One UIM request: what follows message and length in the answer; NULL: there is none. */
static const char *uim(Bench *bench, const char *message, const char *tlvs)
{
	guint len = strlen(tlvs) / 2;
	g_autofree char *hex = g_strdup_printf("01%02x%02x000b01000100%s%02x%02x%s", (12 + len) & 0xFF, (12 + len) >> 8,
					       message, len & 0xFF, len >> 8, tlvs);

	send_hex(bench, hex);
	return bench->frame ? bench->frame + 2 * 13 : NULL;
}

static Bench *bench_new(const Quirks *quirks)
{
	Bench *bench = g_new0(Bench, 1);

	bench->kit = kit_new(1);
	kit_close(bench->kit);
	bench->modem = modem_new(g_steal_pointer(&bench->kit->chip));
	modem_set_quirks(bench->modem, quirks);
	bench->link = modem_link_new(bench->modem, keep, bench);
	send_hex(bench, "010f000000000002220004000101000b");
	return bench;
}

static void bench_free(Bench *bench)
{
	modem_link_free(bench->link);
	modem_free(bench->modem);
	g_free(bench->frame);
	kit_free(bench->kit);
	g_free(bench);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bench, bench_free)

#define OK "02040000000000"
#define ERROR_94 "02040001005e00"

static void open_isdr(Bench *bench)
{
	g_assert_true(g_str_has_prefix(uim(bench, "4200", "01010001" "10110010" "a0000005591010ffffffff8900000100"), OK));
}

/* One APDU on channel 1: what the host gets to see of the card. What the modem does of its own comes after it. */
static void apdu(Bench *bench, const char *command, const char *want)
{
	guint len = strlen(command) / 2;
	g_autofree char *tlvs = g_strdup_printf("0101000102%02x%02x%02x%02x%s10010001", (len + 2) & 0xFF, (len + 2) >> 8,
						len & 0xFF, len >> 8, command);
	g_autofree char *answer = g_strdup_printf(OK "10%02x00%02x00%s", (guint)strlen(want) / 2 + 2,
						  (guint)strlen(want) / 2, want);

	g_assert_cmpstr(uim(bench, "3b00", tlvs), ==, answer);
	while (g_main_context_iteration(NULL, FALSE))
		;
}

#define GET_EID "81e2910006bf3e035c015a"
#define EID "bf3e125a1089049032123451234512345678901235"

static void strict_cla(void)
{
	g_autoptr(Bench) bench = bench_new(&(Quirks){ .strict_cla = TRUE });

	open_isdr(bench);
	apdu(bench, GET_EID, "6115");
	apdu(bench, "81c0000015", "6e00");	/* GET RESPONSE is an interindustry command */
	apdu(bench, "00c0000015", "6881");	/* of another channel */
	apdu(bench, "01c0000015", EID "9000");
	apdu(bench, "01e2910006bf3e035c015a", "6e00");
	apdu(bench, "80e2910006bf3e035c015a", "6881");
}

static void forward_cla(void)
{
	g_autoptr(Bench) bench = bench_new(&(Quirks){ .forward_cla = TRUE });

	open_isdr(bench);
	apdu(bench, "80e2910006bf3e035c015a", "6985");	/* the basic channel has no ISD-R */
	apdu(bench, GET_EID, "6115");
	apdu(bench, "01c0000015", EID "9000");
}

static void answers(void)
{
	g_autoptr(Bench) chained = bench_new(&(Quirks){ .chunk = 9 });
	g_autoptr(Bench) fetched = bench_new(&(Quirks){ .chunk = 9, .fetch_response = TRUE });

	open_isdr(chained);
	apdu(chained, GET_EID "00", "6109");
	apdu(chained, "81c0000009", "bf3e125a1089049032" "6109");
	apdu(chained, "81c0000000", "123451234512345678" "6103");
	apdu(chained, "81c0000003", "901235" "9000");
	open_isdr(fetched);
	apdu(fetched, GET_EID, EID "9000");
}

static void traffic(void)
{
	g_autoptr(Bench) each = bench_new(&(Quirks){ .proactive_every = 1 });
	g_autoptr(Bench) data = bench_new(&(Quirks){ .proactive_every = 1, .proactive_data = TRUE });
	g_autoptr(Bench) polled = bench_new(&(Quirks){ .status_every = 2 });
	guint64 before;

	/* In the middle of a command, and after it: the modem fetches, and the command goes on. */
	open_isdr(each);
	while (g_main_context_iteration(NULL, FALSE))
		;
	apdu(each, "81e2110003bf3e03", "910f");
	before = chip_stats(modem_chip(each->modem))->apdus;
	apdu(each, "81e29101035c015a", "6115");
	apdu(each, "81c0000015", EID "910f");
	g_assert_cmpuint(chip_stats(modem_chip(each->modem))->apdus - before, ==, 4);	/* FETCH, TERMINAL RESPONSE */

	open_isdr(data);
	while (g_main_context_iteration(NULL, FALSE))
		;
	apdu(data, "81e2110003bf3e03", "9000");
	apdu(data, "81e29101035c015a", "6115");
	apdu(data, "81c0000015", EID "910f");

	open_isdr(polled);
	before = chip_stats(modem_chip(polled->modem))->apdus;
	apdu(polled, "81e2110003bf3e03", "9000");
	apdu(polled, "81e29101035c015a", "6115");
	apdu(polled, "81c0000015", EID "9000");
	g_assert_cmpuint(chip_stats(modem_chip(polled->modem))->apdus - before, ==, 4);	/* STATUS */
}

static void limits(void)
{
	g_autoptr(Bench) modem = bench_new(&(Quirks){ .apdu_limit = 5, .limit_error = 19 });
	g_autoptr(Bench) card = bench_new(&(Quirks){ .apdu_limit = 5 });

	open_isdr(modem);
	g_assert_cmpstr(uim(modem, "3b00", "01010001" "020d000b00" GET_EID "10010001"), ==, "02040001001300");
	apdu(modem, "81e2110003bf3e03", "9000");
	open_isdr(card);
	apdu(card, GET_EID, "6700");
	apdu(card, "81e2110003bf3e03", "9000");
}

static void slots(void)
{
	g_autoptr(Bench) active = bench_new(&(Quirks){ .slots = 2 });
	g_autoptr(Bench) inactive = bench_new(&(Quirks){ .slots = 2, .active_slot = 1 });
	g_autoptr(Bench) silent = bench_new(&(Quirks){ .no_slot_status = TRUE });

	/* absent, inactive, no logical slot, no ICCID; present, active, logical slot 1 */
	g_assert_nonnull(strstr(uim(active, "4700", ""), "101500" "02" "01000000" "00000000" "00" "00"
				"02000000" "01000000" "01" "00"));
	open_isdr(active);
	g_assert_nonnull(strstr(uim(inactive, "4700", ""), "101500" "02" "01000000" "01000000" "01" "00"
				"02000000" "00000000" "00" "00"));
	g_assert_cmpstr(uim(inactive, "3b00", "01010001" "020d000b00" GET_EID "10010001"), ==, "02040001006600");
	g_assert_cmpstr(uim(inactive, "4600", "01010001" "02040003000000"), ==, "02040001003000");
	g_assert_cmpstr(uim(inactive, "4600", "01010001" "02040002000000"), ==, OK);
	open_isdr(inactive);
	g_assert_cmpstr(uim(silent, "4700", ""), ==, "02040001004700");
}

static void refusals(void)
{
	g_autoptr(Bench) none = bench_new(&(Quirks){ .uim_error = 94 });
	g_autoptr(Bench) mute = bench_new(&(Quirks){ .mute = TRUE });

	g_assert_cmpstr(uim(none, "4700", ""), ==, ERROR_94);
	g_assert_cmpstr(uim(none, "2f00", ""), ==, ERROR_94);
	g_assert_null(mute->frame);
	g_assert_null(uim(mute, "4700", ""));
}

/* EnableProfile by ICCID: undefinedError, and the profile stays as it is; by AID. */
static void enable_by_aid(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autoptr(IfppPir) pir = NULL;
	g_autofree char *iccid = NULL, *aid = NULL, *by_iccid = NULL, *by_aid = NULL, *first = NULL, *second = NULL;
	IfppChipProfile *profile;
	guint16 sw;

	pir = kit_load_next(kit, NULL, &sw);
	g_assert_true(pir->success);
	chip_set_quirks(kit->chip, &(Quirks){ .aid_only = TRUE });
	profile = chip_memory(kit->chip)->profiles->pdata[0];
	iccid = ifpp_hex((IfppSpan){ profile->iccid, 10 });
	aid = ifpp_hex((IfppSpan){ profile->aid, 16 });
	by_iccid = g_strdup_printf("bf3111a00c5a0a%s810100", iccid);
	by_aid = g_strdup_printf("bf3117a0124f10%s810100", aid);
	first = kit_hex(kit, by_iccid, &sw);
	g_assert_cmpstr(first, ==, "bf310380017f");
	g_assert_false(profile->enabled);
	second = kit_hex(kit, by_aid, &sw);
	g_assert_cmpstr(second, ==, "bf3103800100");
	g_assert_true(profile->enabled);
}

/* A result and a notification in the list, as an IoT eUICC may give them (SGP.32 5.9.11). */
static void compact(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	const Quirks quirks = { .compact = TRUE };
	g_autoptr(IfppPir) pir = NULL;
	g_autofree char *list = NULL;
	guint16 sw;

	pir = kit_load_next(kit, &(KitSeal){ 0 }, &sw);
	g_assert_nonnull(pir);
	chip_set_quirks(kit->chip, &quirks);
	list = kit_hex(kit, "bf2b00", &sw);
	g_assert_cmpuint(sw, ==, SW_OK);
	/* A0 { A0 { 80 transactionId, 02 seqNumber, A2 { A0 { 4F } } }, 5F37 } */
	g_assert_true(g_pattern_match_simple("bf2b*a0*a0*a0*80*020101a206a0044f02*5f3740*", list));
	g_assert_null(strstr(list, "bf37"));
}

/* No A4 in a full export; GetCerts is there, of an ordinary chip too, and nothing else of SGP.32. */
static void getcerts(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autofree char *before = NULL, *after = NULL, *certs = NULL, *eims = NULL;
	guint16 sw;

	before = kit_hex(kit, "ff2103800101", &sw);
	g_assert_true(g_pattern_match_simple("ff21*a48204*30820*", before));
	chip_set_quirks(kit->chip, &(Quirks){ .getcerts = TRUE });
	after = kit_hex(kit, "ff2103800101", &sw);
	g_assert_cmpuint(sw, ==, SW_OK);
	g_assert_true(g_str_has_suffix(after, "830100"));
	certs = kit_hex(kit, "bf5600", &sw);
	g_assert_cmpuint(sw, ==, SW_OK);
	g_assert_true(g_pattern_match_simple("bf56*a0*a5*a6*", certs));
	eims = kit_hex(kit, "bf5500", &sw);
	g_assert_cmpuint(sw, ==, SW_CONDITIONS);
}

static void load_text(const char *text, Quirks *quirks, GError **error)
{
	g_autofree char *path = g_build_filename(g_get_tmp_dir(), "ifpp-quirks.conf", NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_true(quirks_load(path, quirks, error) == !*error);
	g_unlink(path);
}

static void files(void)
{
	static const char *const bad[] = {
		"[Modem]\nSlotz=2\n",	"[Modem]\nStrictCla=true\n", "[Chip]\nStrictCla=yes\n", "[Modem]\nSlots=0\n",
		"[Modem]\nSlots=6\n",	"[Modem]\nApduLimit=-1\n",   "[Other]\nMute=true\n",	"Mute=true\n",
		"[Modem]\nSlots=2\nActiveSlot=3\n",
	};
	const char *dir = g_getenv("IFPP_QUIRKS"), *name;
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	static const Quirks none;
	Quirks quirks;
	guint n = 0;

	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		load_text(bad[i], &quirks, &error);
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	}
	for (; (name = g_dir_read_name(d)); n++) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		g_autoptr(GError) error = NULL;

		quirks_load(path, &quirks, &error);
		g_assert_no_error(error);
		g_assert_cmpint(memcmp(&quirks, &none, sizeof(quirks)), !=, 0);
	}
	g_assert_cmpuint(n, >=, 13);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/quirks/files", files);
	g_test_add_func("/quirks/strict-cla", strict_cla);
	g_test_add_func("/quirks/forwarded-cla", forward_cla);
	g_test_add_func("/quirks/answers", answers);
	g_test_add_func("/quirks/traffic", traffic);
	g_test_add_func("/quirks/limits", limits);
	g_test_add_func("/quirks/slots", slots);
	g_test_add_func("/quirks/refusals", refusals);
	g_test_add_func("/quirks/enable-by-aid", enable_by_aid);
	g_test_add_func("/quirks/compact", compact);
	g_test_add_func("/quirks/getcerts", getcerts);
	return g_test_run();
}
