// SPDX-License-Identifier: GPL-2.0-or-later
/* Structure of profile packages, the built-in one and personalised copies of it. */
#include <string.h>

#include "bsp.h"
#include "eid.h"
#include "error.h"
#include "profile.h"
#include "upp.h"

#define MF "b012a0058000810101810667810f010201a201ff"
#define USIM "b307a0058000810102"
#define AKA "a407a0058000810103"
#define END "aa07a0058000810104"

/* Header with the given list of mandatory services. */
static GByteArray *make(const char *services, const char *rest)
{
	g_autoptr(GByteArray) header = g_byte_array_new();
	g_autoptr(GBytes) start = ifpp_unhex("800102810103830a8949449999999990023f");
	g_autoptr(GBytes) list = ifpp_unhex(services);
	g_autoptr(GBytes) tail = ifpp_unhex(rest);
	GByteArray *out = g_byte_array_new();
	IfppSpan span;

	span = ifpp_span_bytes(start);
	g_byte_array_append(header, span.data, span.len);
	ifpp_tlv_put_span(header, 0xA5, ifpp_span_bytes(list));
	ifpp_tlv_put(header, 0xA6, "\x06\x06\x67\x81\x0f\x01\x02\x01", 8);
	ifpp_tlv_put(out, 0xA0, header->data, header->len);
	span = ifpp_span_bytes(tail);
	g_byte_array_append(out, span.data, span.len);
	return out;
}

static void expect(const char *services, const char *rest, const char *refusal)
{
	g_autoptr(GByteArray) upp = make(services, rest);
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppUpp) parsed = ifpp_upp_parse((IfppSpan){ upp->data, upp->len }, &error);

	if (!refusal) {
		g_assert_no_error(error);
		return;
	}
	g_assert_null(parsed);
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_UPP);
	if (!strstr(error->message, refusal))
		g_error("'%s' does not say '%s'", error->message, refusal);
}

static void structure(void)
{
	expect("8100", MF USIM END, NULL);
	expect("81009100", MF USIM AKA END, NULL);
	expect("", MF END, NULL);
	expect("8100", MF END, "service 81 has no element usim");
	expect("9100", MF USIM END, "service 91 has no element akaParameter");
	expect("810100", MF USIM END, "list of NULLs");
	expect("8100", USIM MF END, "mf comes second");
	expect("8100", MF USIM, "instead of an end");
	expect("8100", MF USIM END "aa07a0058000810105", "after the end");
	expect("8100", MF USIM USIM END, "identification 2");
	expect("8100", MF USIM "b307a0058000810107" END, "2 elements usim");
	expect("81008d00", MF USIM "b307a0058000810107" END, NULL);
	expect("8100", MF USIM "b407a0058000810107" END, NULL);
	expect("", MF "b407a0058000810107" END, "opt-usim without usim");
	expect("", MF "b607a0058000810107" END, "opt-isim without isim");
	expect("", MF "b007a0058000810107" END, "mf comes second");
	expect("", MF "b307a00580008101" END, "at byte");
	expect("", MF "b302a100" END, "has no header");
	expect("", MF "b308a006800100810102" END, "mandated is not NULL");
	expect("", MF "b308a00680008102800" "1" END, "no identification");
	expect("", MF "e000" END, "unknown tag E0");
}

static void broken(void)
{
	static const struct {
		const char *hex, *refusal;
	} bad[] = {
		{ "", "empty" },
		{ MF END, "the header comes first" },
		{ "a000", "major version" },
		{ "a003800102", "minor version" },
		{ "a006800102810103", "ICCID" },
		{ "a012800102810103830a89494499999999900b3f", "ICCID" },
		{ "a012800102810103830a894944999999fff0023f", "ICCID" },
		{ "a012800102810103830a8949449999999990023f", "services missing" },
		{ "a0148001028101038200830a8949449999999990023f", "profileType" },
		{ "a0", "at byte 0" },
		{ "3000", "unknown tag 30" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GBytes) bytes = ifpp_unhex(bad[i].hex);
		g_autoptr(GError) error = NULL;

		g_assert_null(ifpp_upp_parse(ifpp_span_bytes(bytes), &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_UPP);
		if (!strstr(error->message, bad[i].refusal))
			g_error("'%s' does not say '%s'", error->message, bad[i].refusal);
	}
}

static void builtin(void)
{
	GByteArray *upp = profile_builtin(1234567, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppUpp) parsed = ifpp_upp_parse((IfppSpan){ upp->data, upp->len }, &error);
	guint8 iccid[10];
	char text[21];

	g_assert_no_error(error);
	g_assert_cmpuint(parsed->n_elements, ==, 13);
	g_assert_cmpuint(parsed->version_major, ==, 2);
	g_assert_cmpuint(parsed->version_minor, ==, 3);
	g_assert_cmpstr(parsed->profile_type, ==, "IFPP minimal");
	profile_builtin_iccid(1234567, iccid);
	g_assert_cmpmem(iccid, 10, parsed->iccid, 10);
	ifpp_iccid_format(iccid, text);
	g_assert_cmpstr(text, ==, "89999000000012345671");
	ifpp_secret_free(upp);
}

/* Every truncation is refused, no byte changed anywhere makes the parser fall over. */
static void mutations(void)
{
	GByteArray *upp = profile_builtin(1, NULL);

	for (guint len = 0; len < upp->len; len++) {
		g_autofree guint8 *copy = g_memdup2(upp->data, len);

		g_assert_null(ifpp_upp_parse((IfppSpan){ copy, len }, NULL));
	}
	for (guint i = 0; i < upp->len; i++) {
		for (guint v = 1; v < 256; v += 7) {
			upp->data[i] ^= v;
			ifpp_upp_free(ifpp_upp_parse((IfppSpan){ upp->data, upp->len }, NULL));
			upp->data[i] ^= v;
		}
	}
	ifpp_secret_free(upp);
}

static gboolean contains(GByteArray *haystack, const char *hex)
{
	g_autoptr(GBytes) needle = ifpp_unhex(hex);
	IfppSpan n = ifpp_span_bytes(needle);

	return memmem(haystack->data, haystack->len, n.data, n.len) != NULL;
}

static void personalise(void)
{
	static const struct {
		const char *iccid, *header, *file, *imsi, *file_imsi, *acc;
	} cases[] = {
		{ "89000123456789012341", "830a89000123456789012341", "830a98001032547698103214",
		  "001010123456063", "8309080910101032540636", "83020008" },
		{ "8949449999999990023", "830a8949449999999990023f", "830a989444999999990920f3",
		  "26242012345678", "83090821262410325476f8", "83020100" },
		{ "894944999999999002", "830a894944999999999002ff", "830a989444999999990920ff", "999990",
		  "830904919999f0ffffffff", "83020001" },
	};
	static const guint8 ki[16] = "0123456789abcdef", opc[16] = "fedcba9876543210";
	GByteArray *template = profile_builtin(0, NULL);
	IfppSpan span = { template->data, template->len };

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		const ProfileRecord record = { .iccid = cases[i].iccid, .imsi = cases[i].imsi, .ki = ki, .opc = opc };
		g_autoptr(GError) error = NULL;
		GByteArray *out = profile_personalise(span, &record, &error);
		g_autoptr(IfppUpp) parsed = NULL;

		g_assert_no_error(error);
		g_assert_true(contains(out, cases[i].header));
		g_assert_true(contains(out, cases[i].file));
		g_assert_true(contains(out, cases[i].file_imsi));
		g_assert_true(contains(out, cases[i].acc));
		g_assert_nonnull(memmem(out->data, out->len, ki, 16));
		g_assert_nonnull(memmem(out->data, out->len, opc, 16));
		parsed = ifpp_upp_parse((IfppSpan){ out->data, out->len }, &error);
		g_assert_no_error(error);
		ifpp_secret_free(out);
	}
	ifpp_secret_free(template);
}

static void personalise_refusals(void)
{
	g_autoptr(GByteArray) bare = make("", MF END);
	GByteArray *template = profile_builtin(0, NULL);
	IfppSpan span = { template->data, template->len }, bare_span = { bare->data, bare->len };
	static const guint8 key[16] = {};
	const struct {
		IfppSpan template;
		ProfileRecord record;
		int code;
	} cases[] = {
		{ span, { .iccid = "8900012345678901" }, IFPP_ERROR_ICCID },
		{ span, { .iccid = "8900012345678901234x" }, IFPP_ERROR_ICCID },
		{ span, { .imsi = "99999" }, IFPP_ERROR_USAGE },
		{ span, { .imsi = "9999999999999999" }, IFPP_ERROR_USAGE },
		{ span, { .imsi = "99999a" }, IFPP_ERROR_USAGE },
		{ bare_span, { .iccid = "89000123456789012341" }, IFPP_ERROR_UPP },
		{ bare_span, { .imsi = "001010123456063" }, IFPP_ERROR_UPP },
		{ bare_span, { .ki = key }, IFPP_ERROR_UPP },
		{ bare_span, { .opc = key }, IFPP_ERROR_UPP },
		{ { bare->data, bare->len - 1 }, {}, IFPP_ERROR_UPP },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(profile_personalise(cases[i].template, &cases[i].record, &error));
		g_assert_error(error, IFPP_ERROR, cases[i].code);
	}
	ifpp_secret_free(template);
}

/* One file of usim (B3) or opt-usim (B4), named with @file or not at all: what is in it. NULL: there is none. */
static void expect_file(guint32 element, guint8 member, const char *file, const char *content)
{
	g_autoptr(GByteArray) upp = g_byte_array_new(), members = g_byte_array_new();
	g_autoptr(GBytes) bytes = file ? ifpp_unhex(file) : NULL;
	g_autoptr(GByteArray) got = NULL;
	g_autofree char *hex = NULL;

	if (bytes)
		ifpp_tlv_put_span(members, 0xA0 | member, ifpp_span_bytes(bytes));
	ifpp_tlv_put(upp, element, members->data, members->len);
	got = ifpp_upp_file((IfppSpan){ upp->data, upp->len }, element, member);
	hex = got ? ifpp_hex((IfppSpan){ got->data, got->len }) : NULL;
	g_assert_cmpstr(hex, ==, content);
}

/* Patterns, sizes and templates; the first two files are of GSMA's TS.48 version 5. */
static void files(void)
{
	g_autofree char *zeros = g_strnfill(2 * 128, '0');

	/* EF.SPN: a pattern whose last byte goes on to the template's 17 bytes */
	expect_file(0xB3, 13, "a11c8202412183026f468b036f0607a50dc10b0147534d411154455354ff",
		    "0147534d411154455354ffffffffffffff");
	/* EF.FPLMN: nothing but the template's */
	expect_file(0xB3, 19, "a10f8202412183026f7b8b036f0606a500", "ffffffffffffffffffffffff");
	/* made by the template without being named; not if the profile says so, nor if it is optional */
	expect_file(0xB3, 21, NULL, "00000002");
	expect_file(0xB3, 7, NULL, "0a");
	expect_file(0xB3, 21, "8000", NULL);
	expect_file(0xB3, 13, NULL, NULL);
	expect_file(0xB4, 5, NULL, NULL);
	/* the IMSI as a pattern; as contents, which have the last word */
	expect_file(0xB3, 3, "a10da50bc109080910101032547698", "080910101032547698");
	expect_file(0xB3, 3, "a105a503c101ff83050809101010", "0809101010ffffffff");
	/* a pattern over and over, to the template's size and to the profile's own; a longer one is not cut */
	expect_file(0xB4, 5, "a106a504c202abcd", "abcdabcdabcdabcd");
	expect_file(0xB4, 5, "a109800103a504c202abcd", "abcdab");
	expect_file(0xB4, 5, "a10a800102a505c103abcdef", "abcdef");
	expect_file(0xB4, 5, "a103800102", "ffff");
	/* pieces, each after the last or further on, into what the file was made with */
	expect_file(0xB4, 6, "a107a505c1030001028301aa8201028302bbcc", "aa0102bbcc020202");
	expect_file(0xB4, 17, "a1008201018302aabb", "ffaabb0000");
	expect_file(0xB4, 15, "a100",
		    "ffffff0000ffffff0000ffffff0000ffffff0000ffffff0000ffffff0000ffffff0000ffffff0000");
	/* a size is bytes, not a number with a sign; the tables of services, and the routing indicator of 5G, have no or a short pattern */
	expect_file(0xB4, 5, "a108800180a503c10100", zeros);
	expect_file(0xB3, 8, "a100", "ffffffffffffffffffffffffffff");
	expect_file(0xB5, 6, "a100830180", "80ffffffffffffffffffffffffff");
	expect_file(0xBC, 12, "a100", "f0ffffff");
	/* no template has this one; a size or an offset beyond all reason is none */
	expect_file(0xB4, 30, "8303010203", "010203");
	expect_file(0xB4, 5, "a1058003010000", "ffffffffffffffff");
	expect_file(0xB4, 5, "820300ffff8302aabb", "ffffffffffffffff");
}

static void applications(void)
{
	/* usim, csim and isim as TS.48 has them, and an isim whose ADF has no AID */
	g_autoptr(GBytes) bytes = ifpp_unhex(
		"b320a21ea11c83027fd0840ca0000000871002ff49ff05898b032f0601c60381010a"
		"b924a222a12083027fc08410a0000003431002f310ffff89020000ff8b032f0604c60381010a"
		"b520a21ea11c83027fb0840ca0000000871004ff49ff05898b032f0601c60381010a" "b500" "b508a206a10483027fb0");
	static const struct {
		IfppUppKind kind;
		const char *aid;
	} want[] = {
		{ IFPP_UPP_USIM, "a0000000871002ff49ff0589" },
		{ IFPP_UPP_CSIM, "a0000003431002f310ffff89020000ff" },
		{ IFPP_UPP_ISIM, "a0000000871004ff49ff0589" },
	};
	IfppUppApplication apps[IFPP_UPP_APPLICATIONS];

	g_assert_cmpuint(ifpp_upp_applications(ifpp_span_bytes(bytes), apps), ==, G_N_ELEMENTS(want));
	for (guint i = 0; i < G_N_ELEMENTS(want); i++) {
		g_autofree char *aid = ifpp_hex(apps[i].aid);

		g_assert_cmpint(apps[i].kind, ==, want[i].kind);
		g_assert_cmpstr(aid, ==, want[i].aid);
	}
}

static void luhn(void)
{
	g_assert_cmpint(ifpp_luhn("8900012345678901234"), ==, '1');
	g_assert_cmpint(ifpp_luhn("894944999999999002"), ==, '3');
	g_assert_cmpint(ifpp_luhn("0"), ==, '0');
}

static void metadata(void)
{
	g_autoptr(GByteArray) out = NULL;
	g_autofree char *hex = NULL;
	guint8 iccid[10];

	ifpp_iccid_parse("89000123456789012341", iccid, NULL);
	out = profile_metadata(iccid, "IFPP", "Vector", PROFILE_OPERATIONAL);
	hex = ifpp_hex((IfppSpan){ out->data, out->len });
	g_assert_cmpstr(hex, ==, "bf251d5a0a980010325476981032149104494650509206566563746f72950102");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/upp/structure", structure);
	g_test_add_func("/upp/broken", broken);
	g_test_add_func("/upp/builtin", builtin);
	g_test_add_func("/upp/mutations", mutations);
	g_test_add_func("/upp/personalise", personalise);
	g_test_add_func("/upp/personalise/refusals", personalise_refusals);
	g_test_add_func("/upp/files", files);
	g_test_add_func("/upp/applications", applications);
	g_test_add_func("/upp/luhn", luhn);
	g_test_add_func("/upp/metadata", metadata);
	return g_test_run();
}
