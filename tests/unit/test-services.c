// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The field services of SGP.22 5.7, one row each: what an LPA sends, what it gets while a one-time key
 * is left (EUICCF04), and what it gets afterwards; in this order, on one chip with two profiles. It
 * prints the table that Documentation/virtual-modem.rst shows.
 */
#include <string.h>

#include "chipkit.h"
#include "eid.h"
#include "profile.h"

#define REFUSED "6985"
#define SAME "="	/* open: the same bytes as afterwards */
#define OPEN "+"	/* open: the same command answers, with what there is at that time */
#define LATER "-"	/* open, and asked afterwards only: it changes something */

/*
 * {eid}, {ski}, {iccid1}, {iccid2}, {aid1}, {aid2}: of this chip. (...) around hex: its length first.
 * In answers * stands for any bytes. Four digits are a status word.
 */
typedef struct {
	const char *service, *clause, *what, *request, *factory, *field;
} Row;

#define ROOT_DS "74657374726f6f74736d64732e6578616d706c652e636f6d"
#define SIGNATURE "5f3740" Z16 Z16 Z16 Z16
#define AUTHENTICATE "bf38(30(8001aa8110" Z16 "8301618410" Z16 ")" SIGNATURE "041400000000" Z16 "3000a000)"
#define Z16 "00000000000000000000000000000000"

#define VENDOR "bf220e300c" "80052b06010401" "a103040142"
static const Row rows[] = {
	{ "ES10c GetEID", "5.7.20", "", "bf3e035c015a", SAME, "bf3e125a10{eid}" },
	{ "ES10b GetEUICCInfo1", "5.7.8", "", "bf2000", SAME, "bf20(8203020202a9160414{ski}aa160414{ski})" },
	{ "ES10b GetEUICCInfo2", "5.7.8", "", "bf2200", SAME,
	  "bf22(810302030182030202028303000100840f8101028204*8304000100008504037a80f886030d000087030203008802"
	  "0490a9160414{ski}aa160414{ski}8b0102990100040301000 00c09494650502d54455354)" },
	{ "ES10c GetProfilesInfo", "5.7.15", "all, usual tags", "bf2d00", SAME,
	  "bf2d(a0(e3(5a0a{iccid1}4f10{aid1}9f70010091034b69749204546573749501"
	  "02)e3(5a0a{iccid2}4f10{aid2}9f70010091034b697492045465737495 0102)))" },
	{ "ES10c GetProfilesInfo", "5.7.15", "by ICCID, tags 5A 9F70", "bf2d(a0(5a0a{iccid2})5c035a9f70)", SAME,
	  "bf2d(a0(e3(5a0a{iccid2}9f700100)))" },
	{ "ES10c GetProfilesInfo", "5.7.15", "by AID, tags 99 B6", "bf2d(a0(4f10{aid2})5c0299b6)", SAME,
	  "bf2d(a0(e3(99020560)))" },
	{ "ES10c GetProfilesInfo", "5.7.15", "class test", "bf2d(a0(950100))", SAME, "bf2d02a000" },
	{ "ES10c GetProfilesInfo", "5.7.15", "class operational, tag B6", "bf2d(a0(950102)5c01b6)", SAME,
	  "bf2d(a0(e3(b6(30(800204f0810861" "2e746573742e2e)))e300))" },
	{ "ES10c GetProfilesInfo", "5.7.15", "malformed search", "bf2d(a0(0101))", SAME, "bf2d03810101" },
	{ "ES10c GetProfilesInfo", "5.7.15", "by ICCID, tag BF22", "bf2d(a0(5a0a{iccid1})5c02bf22)", SAME,
	  "bf2d(a0(e3(" VENDOR ")))" },
	{ "ES10b ListNotification", "5.7.9", "all", "bf2800", SAME,
	  "bf28(a0(bf2f(8001018102078" "00c08612e746573742e2e5a0a{iccid1})bf2f(80010281020780" "0c005a0a{iccid2})))" },
	{ "ES10b ListNotification", "5.7.9", "enable events", "bf28(81020640)", SAME, "bf2802a000" },
	{ "ES10b ListNotification", "5.7.9", "malformed", "bf28(0500)", SAME, "bf280381017f" },
	{ "ES10b RetrieveNotificationsList", "5.7.10", "number 2", "bf2b(a0(800102))", SAME,
	  "bf2b(a0(bf37(bf27*5f3740*)))" },
	{ "ES10b RetrieveNotificationsList", "5.7.10", "number 0", "bf2b(a0(800100))", SAME, "bf2b03810101" },
	{ "ES10b RetrieveNotificationsList", "5.7.10", "malformed", "bf2b(a0(0500))", SAME, "bf2b0381017f" },
	{ "ES10b RemoveNotificationFromList", "5.7.11", "number 0", "bf3003800100", SAME, "bf3003800101" },
	{ "ES10b RemoveNotificationFromList", "5.7.11", "number 9", "bf3003800109", SAME, "bf3003800101" },
	/* From here on the field only. */
	{ "ES10b RemoveNotificationFromList", "5.7.11", "number 1", "bf3003800101", LATER, "bf3003800100" },
	{ "ES10a GetEuiccConfiguredAddresses", "5.7.3", "", "bf3c00", REFUSED, "bf3c(8118" ROOT_DS ")" },
	{ "ES10a SetDefaultDpAddress", "5.7.4", "", "bf3f(8007612e746573742e)", REFUSED, "bf3f03800100" },
	{ "ES10a GetEuiccConfiguredAddresses", "5.7.3", "", "bf3c00", REFUSED,
	  "bf3c(8007612e746573742e8118" ROOT_DS ")" },
	{ "ES10b GetRAT", "5.7.22", "", "bf4300", REFUSED, "bf4314a012301080020560a10730058003eeeeee820100" },
	{ "ES10b LoadCRL", "5.7.12", "", "bf35(3000)", REFUSED, "bf350381017f" },
	{ "ES10b AuthenticateServer", "5.7.13", "no challenge before",
	  AUTHENTICATE, REFUSED,
	  "bf38(a1(8001aa020104))" },
	{ "ES10b GetEUICCChallenge", "5.7.7", "", "bf2e00", REFUSED, "bf2e128010*" },
	{ "ES10b AuthenticateServer", "5.7.13", "unknown CI",
	  AUTHENTICATE, REFUSED,
	  "bf38(a1(8001aa020107))" },
	{ "ES10b PrepareDownload", "5.7.5", "not authenticated", "bf21(30(8001aa010100)" SIGNATURE "3000)", REFUSED,
	  "bf21(a1(8001aa020104))" },
	{ "ES10b LoadBoundProfilePackage", "5.7.6", "not prepared", "bf3601", REFUSED, REFUSED },
	{ "ES10b CancelSession", "5.7.14", "no such session", "bf41(8001aa810100)", REFUSED, "bf4103810105" },
	{ "ES10c EnableProfile", "5.7.16", "by ICCID", "bf31(a0(5a0a{iccid1})810100)", REFUSED, "bf3103800100" },
	{ "ES10c EnableProfile", "5.7.16", "is enabled", "bf31(a0(5a0a{iccid1})810100)", REFUSED, "bf3103800102" },
	{ "ES10c EnableProfile", "5.7.16", "unknown", "bf31(a0(5a0a" "ffffffffffffffffffff" ")810100)", REFUSED,
	  "bf3103800101" },
	{ "ES10c DeleteProfile", "5.7.18", "is enabled", "bf33(5a0a{iccid1})", REFUSED, "bf3303800102" },
	{ "ES10c DisableProfile", "5.7.17", "by AID, refresh", "bf32(a0(4f10{aid1})8101ff)", REFUSED,
	  "bf3203800100" },
	{ "ES10c DisableProfile", "5.7.17", "is disabled", "bf32(a0(4f10{aid1})810100)", REFUSED, "bf3203800102" },
	{ "ES10b ListNotification", "5.7.9", "disable events", "bf28(81020520)", OPEN,
	  "bf28(a0(bf2f(80010481020520" "0c08612e746573742e2e5a0a{iccid1})))" },
	{ "ES10b RetrieveNotificationsList", "5.7.10", "number 4", "bf2b(a0(800104))", OPEN,
	  "bf2b(a0(30(bf2f(80010481020520" "0c08612e746573742e2e5a0a{iccid1})5f3740*30*30*)))" },
	{ "ES10c EnableProfile", "5.7.16", "the other one, PPR1", "bf31(a0(5a0a{iccid2})810100)", REFUSED,
	  "bf3103800100" },
	{ "ES10c DisableProfile", "5.7.17", "PPR1 forbids", "bf32(a0(5a0a{iccid2})810100)", REFUSED,
	  "bf3203800103" },
	{ "ES10c EnableProfile", "5.7.16", "PPR1 of the other forbids", "bf31(a0(5a0a{iccid1})810100)", REFUSED,
	  "bf3103800103" },
	{ "ES10c SetNickname", "5.7.21", "", "bf29(5a0a{iccid1}90046e69636b)", REFUSED, "bf2903800100" },
	{ "ES10c GetProfilesInfo", "5.7.15", "tag 90", "bf2d(a0(5a0a{iccid1})5c0190)", OPEN,
	  "bf2d(a0(e3(90046e69636b)))" },
	{ "ES10c SetNickname", "5.7.21", "empty removes it", "bf29(5a0a{iccid1}9000)", REFUSED, "bf2903800100" },
	{ "ES10c SetNickname", "5.7.21", "unknown", "bf29(5a0affffffffffffffffffff9000)", REFUSED, "bf2903800101" },
	{ "ES10c DeleteProfile", "5.7.18", "by ICCID", "bf33(5a0a{iccid1})", REFUSED, "bf3303800100" },
	{ "ES10c DeleteProfile", "5.7.18", "gone", "bf33(5a0a{iccid1})", REFUSED, "bf3303800101" },
	{ "ES10c eUICCMemoryReset", "5.7.19", "test profiles", "bf34(82020640)", REFUSED, "bf3403800101" },
	{ "ES10c eUICCMemoryReset", "5.7.19", "all, and the address", "bf34(820205e0)", REFUSED, "bf3403800100" },
	{ "ES10c eUICCMemoryReset", "5.7.19", "nothing left", "bf34(820205e0)", REFUSED, "bf3403800101" },
	{ "ES10c GetProfilesInfo", "5.7.15", "empty", "bf2d00", OPEN, "bf2d02a000" },
	{ "unknown command", "", "", "bf7f00", REFUSED, "6a88" },
	{ "ES10b GetEimConfigurationData", "", "of an IoT eUICC only", "bf5500", REFUSED, "6a88" },
};

#define EIM "30(800865696d2e74657374" EIM_KEY ")"
#define EIM_KEY "a5(a0(30003000))"

/* The same of an IoT eUICC: what an IPA sends (SGP.32 5.9), and what an LPA finds different. */
static const Row iot_rows[] = {
	{ "ES10b GetEUICCInfo2", "5.9.2", "what SGP.32 adds", "bf2200", SAME,
	  "bf22*0c09494650502d544553548d020780900100b407a0050403010200" },
	{ "ES10b GetCerts", "5.9.10", "", "bf5600", SAME, "bf56*a0*a5*a6*" },
	{ "ES10b GetCerts", "5.9.10", "its CI", "bf56(8014{ski})", SAME, "bf56*a0*a5*a6*" },
	{ "ES10b GetCerts", "5.9.10", "another CI", "bf56(801400000000" Z16 ")", SAME, "bf5603810101" },
	{ "ES10b GetProfilesInfo", "", "tags 9F26 9F67", "bf2d(a0(5a0a{iccid1})5c049f269f67)", SAME,
	  "bf2d(a0(e3(9f2601009f6701ff)))" },
	/* From here on the field only. */
	{ "ES10b LoadEuiccPackage", "5.9.1", "the field's", "bf5100", REFUSED, "6a88" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "none", "bf5500", REFUSED, "bf5502a000" },
	{ "ES10b ConfigureImmediate..", "5.9.17", "off", "bf5900", REFUSED, "bf5903800100" },
	{ "ES10b ImmediateEnable", "5.9.15", "not configured", "bf5a03800100", REFUSED, "bf5a03800101" },
	{ "ES10b ConfigureImmediate..", "5.9.17", "on", "bf59028000", REFUSED, "bf5903800100" },
	{ "ES10b AddInitialEim", "5.9.4", "malformed", "bf57(a0(3000))", REFUSED, "bf5703810107" },
	{ "ES10b AddInitialEim", "5.9.4", "no key", "bf57(a0(30(800165)))", REFUSED, "bf5703810107" },
	{ "ES10b AddInitialEim", "5.9.4", "unknown CI", "bf57(a0(30(800165" EIM_KEY "881400000000" Z16 ")))", REFUSED,
	  "bf5703810103" },
	{ "ES10b AddInitialEim", "5.9.4", "a token of its own", "bf57(a0(30(800165840105" EIM_KEY ")))", REFUSED,
	  "bf5703810105" },
	{ "ES10b AddInitialEim", "5.9.4", "one twice", "bf57(a0(" EIM EIM "))", REFUSED, "bf5703810107" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "still none", "bf5500", REFUSED, "bf5502a000" },
	{ "ES10b AddInitialEim", "5.9.4", "one", "bf57(a0(" EIM "))", REFUSED, "bf57(a0(0500))" },
	{ "ES10b AddInitialEim", "5.9.4", "there is one", "bf57(a0(" EIM "))", REFUSED, "bf5703810102" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "all", "bf5500", REFUSED, "bf55(a0(" EIM "))" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "by eimId", "bf55(a0(800865696d2e74657374))", REFUSED,
	  "bf55(a0(" EIM "))" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "another eimId", "bf55(a0(800165))", REFUSED, "bf5502a000" },
	{ "ES10b ConfigureImmediate..", "5.9.17", "the eIM's to decide", "bf5900", REFUSED, "bf5903800102" },
	{ "ES10b ImmediateEnable", "5.9.15", "the last one installed", "bf5a03800100", REFUSED, "bf5a03800100" },
	{ "ES10b GetProfilesInfo", "", "tag 9F70", "bf2d(a0(5a0a{iccid2})5c029f70)", OPEN,
	  "bf2d(a0(e3(9f700101)))" },
	{ "ES10b ImmediateEnable", "5.9.15", "no other one installed", "bf5a03800100", REFUSED, "bf5a03800104" },
	{ "ES10b ProfileRollback", "5.9.16", "nothing to go back to", "bf5803800100", REFUSED, "bf5803800101" },
	{ "ES10b EnableEmergencyProfile", "5.9.22", "no eCall", "bf5b03800100", REFUSED, "bf5b03800108" },
	{ "ES10b DisableEmergencyProfile", "", "no eCall", "bf5c03800100", REFUSED, "bf5c03800108" },
	{ "ES10b ExecuteFallback..", "", "no fallback", "bf5d03800100", REFUSED, "bf5d03800106" },
	{ "ES10b ReturnFromFallback", "", "no fallback", "bf5e03800100", REFUSED, "bf5e03800106" },
	{ "ES10b GetConnectivityParameters", "", "none", "bf5f00", REFUSED, "bf5f03810101" },
	{ "ES10b SetDefaultDpAddress", "", "", "bf65(8007612e746573742e)", REFUSED, "bf6503800100" },
	{ "ES10b eUICCMemoryReset", "5.9.5", "eIMs, immediate enabling", "bf6404" "82020106", REFUSED,
	  "bf6409800101810100820100" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "none", "bf5500", REFUSED, "bf5502a000" },
	{ "ES10b AddInitialEim", "5.9.4", "a token is asked for", "bf57(a0(30(8001658401ff" EIM_KEY ")))", REFUSED,
	  "bf57(a0(840101))" },
	{ "ES10b GetEimConfigurationData", "5.9.18", "with its token", "bf5500", REFUSED,
	  "bf55(a0(30(800165840101" EIM_KEY ")))" },
	{ "ES10b eUICCMemoryReset", "5.9.5", "all profiles", "bf640482020398", REFUSED, "bf6403800100" },
	{ "ES10b GetProfilesInfo", "", "empty", "bf2d00", OPEN, "bf2d02a000" },
};

typedef struct {
	const Row *rows;
	guint n_rows;
	gboolean iot;
	const char *end, *ended;	/* what ends the factory, and its answer */
} Case;

typedef struct {
	Kit *kit;
	const char *names[6];
	char *values[6];
} Bench;

static void replace_all(GString *text, const Bench *bench)
{
	for (guint i = 0; i < G_N_ELEMENTS(bench->names); i++)
		g_string_replace(text, bench->names[i], bench->values[i], 0);
	g_string_replace(text, " ", "", 0);
}

/* Innermost first: (hex) becomes length and hex. A pattern with * in it has a length of two *. */
static char *expand(const Bench *bench, const char *template)
{
	g_autoptr(GString) text = g_string_new(template);
	char *close;

	replace_all(text, bench);
	while ((close = strchr(text->str, ')'))) {
		gsize end = close - text->str, begin = end;
		g_autofree char *inner = NULL, *length = NULL;
		gsize len;

		while (text->str[--begin] != '(')
			;
		inner = g_strndup(text->str + begin + 1, end - begin - 1);
		len = strlen(inner) / 2;
		if (strchr(inner, '*'))
			length = g_strdup("*");
		else
			length = g_strdup_printf(len < 128 ? "%02zx" : len < 256 ? "81%02zx" : "82%04zx", len);
		g_string_erase(text, begin, end - begin + 1);
		g_string_insert(text, begin, inner);
		g_string_insert(text, begin, length);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Answer in hex, or the status word when there is none. */
static char *exchange(Bench *bench, const char *request)
{
	g_autofree char *hex = expand(bench, request);
	char *answer;
	guint16 sw;

	answer = kit_hex(bench->kit, hex, &sw);
	if (answer && sw == SW_OK)
		return answer;
	g_free(answer);
	return g_strdup_printf("%04x", sw);
}

static void check(Bench *bench, const Row *row, const char *answer, const char *want)
{
	g_autofree char *pattern = NULL;

	if (!strcmp(want, OPEN))
		pattern = g_strdup_printf("%.4s*", row->field);
	else
		pattern = expand(bench, !strcmp(want, SAME) ? row->field : want);
	if (g_pattern_match_simple(pattern, answer))
		return;
	g_test_message("%s %s: %s, wanted %s", row->service, row->what, answer, pattern);
	g_test_fail();
}

/* Two profiles: one that tells an address of everything, one with an owner, PPR1 and PPR2; one key left. */
static void fill(Bench *bench)
{
	static const char *const more[] = { "b610300e800204f08108612e746573742e2e" VENDOR "9f6701ff", "b705800399f907" "99020560" "9f670100" };

	for (guint i = 0; i < 2; i++) {
		g_autoptr(GBytes) extra = ifpp_unhex(more[i]);
		g_autoptr(GByteArray) metadata = NULL;
		g_autoptr(IfppPir) pir = NULL;
		guint8 iccid[10];
		guint16 sw;

		profile_builtin_iccid(i + 1, iccid);
		metadata = profile_metadata(iccid, "Kit", "Test", 2);
		g_byte_array_append(metadata, g_bytes_get_data(extra, NULL), g_bytes_get_size(extra));
		metadata->data[2] += g_bytes_get_size(extra);
		pir = kit_load_next(bench->kit, &(KitSeal){ .metadata = metadata, .serial = i + 1 }, &sw);
		kit_check_pir(bench->kit, pir, TRUE, 0, 0);
		bench->values[2 + i] = ifpp_hex(IFPP_SPAN(iccid));
		bench->values[4 + i] = ifpp_hex(pir->aid);
	}
}

/* At most @max characters of an answer. */
static char *shown(const char *answer, gsize max)
{
	gsize len = strlen(answer);

	return len <= max ? g_strdup(answer) : g_strdup_printf("%.*s.. (%zu)", (int)max - 8, answer, len / 2);
}

static void test_services(gconstpointer data)
{
	const Case *which = data;
	Bench bench = { .kit = which->iot ? kit_new_iot(3) : kit_new(3),
			.names = { "{eid}", "{ski}", "{iccid1}", "{iccid2}", "{aid1}", "{aid2}" } };
	g_auto(GStrv) factory = g_new0(char *, which->n_rows + 1);
	g_autofree char *ended = NULL;
	guint8 ski[20];

	g_assert_true(ifpp_cert_ski(ifpp_span_bytes(chip_memory(bench.kit->chip)->ci), ski, NULL));
	bench.values[0] = ifpp_hex(IFPP_SPAN(bench.kit->eid));
	bench.values[1] = ifpp_hex(IFPP_SPAN(ski));
	fill(&bench);
	for (guint i = 0; i < which->n_rows; i++) {
		const Row *row = &which->rows[i];

		factory[i] = strcmp(row->factory, LATER) ? exchange(&bench, row->request) : g_strdup("");
		if (*factory[i])
			check(&bench, row, factory[i], row->factory);
	}
	ended = exchange(&bench, which->end);
	g_assert_true(g_pattern_match_simple(which->ended, ended));
	g_test_message("%-33s %-7s %-29s %-9s %s", "service", which->iot ? "SGP.32" : "SGP.22", "", "keys left", "no key left");
	for (guint i = 0; i < which->n_rows; i++) {
		const Row *row = &which->rows[i];
		g_autofree char *answer = exchange(&bench, row->request);
		g_autofree char *text = shown(answer, 44);

		check(&bench, row, answer, row->field);
		g_test_message("%-33s %-7s %-29s %-9s %s", row->service, row->clause, row->what,
			       strlen(factory[i]) != 4 ? "served" : factory[i], text);
	}
	for (guint i = 0; i < G_N_ELEMENTS(bench.values); i++)
		g_free(bench.values[i]);
	kit_free(bench.kit);
}

#define DRAIN "ff2300", "ff2306800100810101"
#define LOCK "ff24(8010" Z16 ")", "ff24*5f3740*"

int main(int argc, char **argv)
{
	static const Case cases[] = {
		{ rows, G_N_ELEMENTS(rows), FALSE, DRAIN },
		{ rows, G_N_ELEMENTS(rows), FALSE, LOCK },
		{ iot_rows, G_N_ELEMENTS(iot_rows), TRUE, DRAIN },
		{ iot_rows, G_N_ELEMENTS(iot_rows), TRUE, LOCK },
	};

	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/services/drained", &cases[0], test_services);
	g_test_add_data_func("/services/locked", &cases[1], test_services);
	g_test_add_data_func("/services/iot_drained", &cases[2], test_services);
	g_test_add_data_func("/services/ipa_refused_while_keys", &cases[3], test_services);
	return g_test_run();
}
