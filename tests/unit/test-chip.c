// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtual chip through its APDU interface. */
#include <string.h>

#include <gnutls/gnutls.h>

#include "chipkit.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "profile.h"

#define APDU(kit, channel, sw, ...) \
	kit_apdu(kit, channel, (guint8[]){ __VA_ARGS__ }, sizeof((guint8[]){ __VA_ARGS__ }), sw)

static guint16 sw_of(Kit *kit, int channel, const char *hex)
{
	g_autoptr(GBytes) apdu = ifpp_unhex(hex);
	g_autoptr(GByteArray) r = NULL;
	guint16 sw;

	r = kit_apdu(kit, channel, g_bytes_get_data(apdu, NULL), g_bytes_get_size(apdu), &sw);
	return sw;
}

static void assert_es10(Kit *kit, const char *command, guint16 want_sw, const char *want)
{
	guint16 sw;
	g_autofree char *got = kit_hex(kit, command, &sw);

	g_assert_cmphex(sw, ==, want_sw);
	g_assert_cmpstr(got, ==, want);
}

/* ------------------------------------------------------------------ APDU layer */

static void test_channels(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	guint16 sw;

	g_assert_cmpuint(chip_channels_open(kit->chip), ==, 1);
	for (guint i = 2; i <= 19; i++) {
		g_autoptr(GByteArray) r = APDU(kit, 0, &sw, 0x00, 0x70, 0x00, 0x00, 0x01);

		g_assert_cmphex(sw, ==, SW_OK);
		g_assert_cmpuint(r->len, ==, 1);
		g_assert_cmpuint(r->data[0], ==, i);
	}
	g_assert_cmphex(sw_of(kit, 0, "0070000001"), ==, SW_NO_FREE_CHANNEL);
	g_assert_cmphex(sw_of(kit, 0, "00708005"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 0, "00708005"), ==, SW_NO_CHANNEL);
	g_assert_cmphex(sw_of(kit, 0, "0070800600"), ==, SW_OK);	/* with Le, as lpac closes */
	g_assert_cmphex(sw_of(kit, 0, "00708000"), ==, SW_NO_CHANNEL);
	/* the host chooses the number */
	g_assert_cmphex(sw_of(kit, 0, "00700006"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 0, "00700006"), ==, SW_NO_CHANNEL);
	g_assert_cmphex(sw_of(kit, 5, "81E2910006BF3E035C015A"), ==, SW_NO_CHANNEL);
	/* CLA: 0-3 in the low bits, 4-19 in the further class */
	g_assert_cmphex(sw_of(kit, -1, "41A404000CA0000005591010FFFFFFFF89"), ==, SW_NO_CHANNEL);
	g_assert_cmphex(sw_of(kit, -1, "42A404000CA0000005591010FFFFFFFF89") >> 8, ==, 0x61);
	g_assert_cmphex(sw_of(kit, -1, "C2E2910006BF3E035C015A"), ==, 0x6115);
	g_assert_cmphex(sw_of(kit, -1, "84E2910006BF3E035C015A"), ==, SW_WRONG_CLA);
	g_assert_cmphex(sw_of(kit, -1, "A0E2910006BF3E035C015A"), ==, SW_WRONG_CLA);
	chip_power_off(kit->chip);
	g_assert_null(chip_transmit(kit->chip, 0, (IfppSpan){ (guint8[]){ 0, 0x70, 0, 0, 1 }, 5 }));
	kit_open(kit);
	g_assert_cmpuint(chip_channels_open(kit->chip), ==, 1);
	chip_set_max_channels(kit->chip, 2);
	g_assert_cmphex(sw_of(kit, 0, "0070000001"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 0, "0070000001"), ==, SW_NO_FREE_CHANNEL);
}

static void test_select(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autoptr(GByteArray) fci = NULL;
	g_autofree char *hex = NULL;
	guint16 sw;

	fci = APDU(kit, 1, &sw, 0x01, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x05, 0x59, 0x00);
	g_assert_cmphex(sw, ==, SW_OK);
	hex = ifpp_hex((IfppSpan){ fci->data, fci->len });
	g_assert_cmpstr(hex, ==, "6f1f8410a0000005591010ffffffff8900000100a5049f6501ffe0058203020202");
	g_assert_cmphex(sw_of(kit, 1, "01A4040010A0000005591010FFFFFFFF8900000200"), ==, SW_NOT_FOUND);
	/* still selected: a failed SELECT changes nothing */
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C015A"), ==, 0x6115);
	g_assert_cmphex(sw_of(kit, 1, "01A4040004A0000005"), ==, SW_NOT_FOUND);
	g_assert_cmphex(sw_of(kit, 1, "01A4040205A000000559"), ==, SW_WRONG_P1P2);
	g_assert_cmphex(sw_of(kit, 1, "01A4000002" "3F00"), ==, SW_WRONG_P1P2);
	/* no USIM on an empty chip */
	g_assert_cmphex(sw_of(kit, 1, "01A4040007A0000000871002"), ==, SW_NOT_FOUND);
	g_assert_cmphex(sw_of(kit, 0, "80E2910006BF3E035C015A"), ==, SW_CONDITIONS);
}

static void test_apdu_cases(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autoptr(GByteArray) direct = NULL;
	g_autoptr(GByteArray) part = NULL;
	guint16 sw;

	/* case 4 is answered at once, case 3 is fetched */
	direct = APDU(kit, 1, &sw, 0x81, 0xE2, 0x91, 0x00, 0x06, 0xBF, 0x3E, 0x03, 0x5C, 0x01, 0x5A, 0x00);
	g_assert_cmphex(sw, ==, SW_OK);
	g_assert_cmpuint(direct->len, ==, 21);
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C015A"), ==, 0x6115);
	g_assert_cmphex(sw_of(kit, 1, "81C0000020"), ==, 0x6C15);
	part = APDU(kit, 1, &sw, 0x81, 0xC0, 0x00, 0x00, 0x05);
	g_assert_cmphex(sw, ==, 0x6110);
	g_assert_cmpmem(part->data, part->len, direct->data, 5);
	g_assert_cmphex(sw_of(kit, 1, "01C0000010"), ==, SW_OK);	/* either class */
	g_assert_cmphex(sw_of(kit, 1, "01C0000010"), ==, SW_CONDITIONS);
	/* another command in between: the answer is gone */
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C015A"), ==, 0x6115);
	g_assert_cmphex(sw_of(kit, 1, "80F2000000"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 1, "81C0000015"), ==, SW_CONDITIONS);

	g_assert_cmphex(sw_of(kit, 1, "80AA00000AA9088100820101830107"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 1, "81E2"), ==, SW_WRONG_LENGTH);
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C01"), ==, SW_WRONG_LENGTH);
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C015A0000"), ==, SW_WRONG_LENGTH);
	g_assert_cmphex(sw_of(kit, 1, "81E29100"), ==, SW_WRONG_DATA);
	g_assert_cmphex(sw_of(kit, 1, "81EE000000"), ==, SW_WRONG_INS);
	g_assert_cmphex(sw_of(kit, 1, "01B0000000"), ==, SW_WRONG_INS);
	g_assert_cmphex(sw_of(kit, 1, "81E2900006BF3E035C015A"), ==, SW_WRONG_P1P2);
	g_assert_cmphex(sw_of(kit, 1, "81E2910106BF3E035C015A"), ==, SW_WRONG_P1P2);
	g_assert_cmphex(sw_of(kit, 1, "81E2110003BF3E03"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 1, "81E29102035C015A"), ==, SW_WRONG_P1P2);
	/* the broken run is forgotten, its tail is no command */
	g_assert_cmphex(sw_of(kit, 1, "81E29101035C015A"), ==, SW_WRONG_P1P2);
	/* block 0 begins anew */
	g_assert_cmphex(sw_of(kit, 1, "81E2110003BF3E03"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C015A"), ==, 0x6115);
	g_assert_cmphex(sw_of(kit, 1, "81E2910006BF3E035C015B"), ==, SW_WRONG_DATA);
	g_assert_cmphex(sw_of(kit, 1, "81E2910004BF3E035C"), ==, SW_WRONG_DATA);
	g_assert_cmphex(sw_of(kit, 1, "81E2910008BF2000BF2200BF20"), ==, SW_WRONG_DATA);
	g_assert_cmphex(sw_of(kit, 1, "81E2910003BF7F00"), ==, SW_CONDITIONS);
}

static void test_run_too_long(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	guint8 apdu[260] = { 0x81, 0xE2, 0x11, 0x00, 255 };
	guint16 sw = SW_OK;
	guint blocks = 0;

	memset(apdu + 5, 0xBF, 255);
	while (sw == SW_OK && blocks < 1000) {
		g_autoptr(GByteArray) r = kit_apdu(kit, 1, apdu, sizeof(apdu), &sw);

		apdu[3] = ++blocks;
		if (apdu[3] == 0)	/* P2 wraps to 0, which begins anew */
			break;
	}
	g_assert_cmphex(sw, ==, SW_NO_MEMORY);
	g_assert_cmpuint(blocks, <, 256);
}

static void test_block_sizes(void)
{
	g_autoptr(Kit) kit = kit_new(2);

	for (kit->block = 6; kit->block <= 255; kit->block++) {
		g_autoptr(IfppFactoryInfo) info = NULL;

		info = kit_info(kit, TRUE);
		g_assert_cmpuint(kit_prepare(kit, g_array_index(info->keys, IfppOtk, 0).key_id), ==, 0);
	}
	kit->block = 6;
	for (guint i = 0; i < 2; i++) {
		guint16 sw;
		g_autoptr(IfppPir) pir = kit_load_next(kit, NULL, &sw);

		kit_check_pir(kit, pir, TRUE, 0, 0);
		kit->block = 120;
	}
}

/* ------------------------------------------------------------------ codec 1 */

static void test_factory_info(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	g_autoptr(IfppFactoryInfo) ids = kit_info(kit, FALSE);
	g_autoptr(IfppFactoryInfo) full = kit_info(kit, TRUE);
	g_autoptr(GError) error = NULL;

	g_assert_cmpuint(ids->version, ==, 1);
	g_assert_cmpuint(ids->state, ==, 0);
	g_assert_cmpuint(ids->spent, ==, 0);
	g_assert_cmpuint(ids->keys->len, ==, 3);
	g_assert_null(ids->cert_eum);
	ifpp_factory_info_verify(full, kit->eid, kit->trust, &error);
	g_assert_no_error(error);
	assert_es10(kit, "ff2103800102", SW_WRONG_DATA, NULL);
}

static void test_load(gconstpointer session)
{
	g_autoptr(Kit) kit = kit_new(3);
	KitSeal how = { .session_keys = session != NULL };
	g_autoptr(IfppFactoryInfo) before = kit_info(kit, TRUE);
	g_autoptr(IfppFactoryInfo) after = NULL;
	const IfppOtk *key = &g_array_index(before->keys, IfppOtk, 0);
	g_autoptr(GBytes) bpp = kit_seal(kit, key->point, &how);
	guint8 nobody[32] = { 0 };
	guint8 iccid[10];
	guint16 sw;

	g_assert_cmpuint(kit_prepare(kit, nobody), ==, 8);
	g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
	{
		g_autoptr(IfppPir) pir = kit_load(kit, bpp, &sw);

		kit_check_pir(kit, pir, TRUE, 0, 0);
		g_assert_cmpuint(pir->seq, ==, 1);
		g_assert_cmpuint(pir->aid.len, ==, 16);
		profile_builtin_iccid(1, iccid);
		g_assert_cmpmem(pir->iccid.data, pir->iccid.len, iccid, 10);
	}
	after = kit_info(kit, FALSE);
	g_assert_cmpuint(after->keys->len, ==, 2);
	g_assert_cmpuint(after->spent, ==, 1);
	g_assert_null(ifpp_factory_info_find(after, key->key_id));
	/* a replay finds no key */
	g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 9);
	kit_load(kit, bpp, &sw);
	g_assert_cmphex(sw, ==, SW_CONDITIONS);

	/* it is all still there after a cold start, and again after the acknowledgement */
	chip_power_off(kit->chip);
	kit_open(kit);
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 1);
	assert_es10(kit, "bf300380010a", SW_OK, "bf3003800101");
	assert_es10(kit, "bf3003800101", SW_OK, "bf3003800100");
	assert_es10(kit, "bf3003800101", SW_OK, "bf3003800101");
	assert_es10(kit, "bf2b00", SW_OK, "bf2b03810101");
	chip_power_off(kit->chip);
	kit_open(kit);
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 0);
	g_assert_cmpuint(chip_memory(kit->chip)->next_seq, ==, 2);
}

/* The private half of a spent key must be nowhere in the file; of an unspent one it must. */
static void test_key_destroyed(void)
{
	g_autoptr(Kit) kit = kit_new(2);
	g_autoptr(GBytes) before = ifpp_file_read(kit->chip_file, 1 << 20, NULL);
	g_autoptr(GBytes) after = NULL;
	g_autoptr(IfppPir) pir = NULL;
	IfppChipKey spent = g_array_index(chip_memory(kit->chip)->keys, IfppChipKey, 0);
	IfppChipKey kept = g_array_index(chip_memory(kit->chip)->keys, IfppChipKey, 1);
	guint16 sw;
	IfppSpan a, b;

	pir = kit_load_next(kit, NULL, &sw);
	kit_check_pir(kit, pir, TRUE, 0, 0);
	after = ifpp_file_read(kit->chip_file, 1 << 20, NULL);
	a = ifpp_span_bytes(before);
	b = ifpp_span_bytes(after);
	g_assert_nonnull(memmem(a.data, a.len, spent.scalar, 32));
	g_assert_null(memmem(b.data, b.len, spent.scalar, 32));
	g_assert_nonnull(memmem(b.data, b.len, kept.scalar, 32));
	/* and no copy of it may linger in the list's memory */
	g_assert_null(memmem(chip_memory(kit->chip)->keys->data, 2 * sizeof(IfppChipKey),
			     spent.scalar, 32));
}

/* BF23 is refused before the key is spent, everything after it when it is. */
static void test_tamper(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
	static const struct {
		gsize at;
		guint8 bytes[2];
		guint reason;
	} fields[] = {
		{ 2, { 0x02 }, 5 },		/* remoteOpId */
		{ 3 + 18 + 4, { 0x89 }, 4 },	/* keyType */
		{ 3 + 18 + 7, { 0x20 }, 4 },	/* keyLen */
		{ 3 + 18 + 2 + 6 + 7 + 3 + 1, { 0xFF }, 1 },	/* otPK.DP off the curve */
	};
	guint16 sw;

	for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
		g_autoptr(GBytes) bpp = kit_seal(kit, key->point, NULL);
		g_autoptr(GBytes) bad = kit_resign(kit, bpp, key->point, fields[i].at, fields[i].bytes, 1);
		g_autoptr(IfppPir) pir = NULL;

		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
		pir = kit_load(kit, bad, &sw);
		kit_check_pir(kit, pir, FALSE, 0, fields[i].reason);
	}
	{	/* signed for the chip's other key */
		g_autoptr(GBytes) bpp = kit_seal(kit, g_array_index(info->keys, IfppOtk, 1).point, NULL);
		g_autoptr(IfppPir) pir = NULL;

		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
		pir = kit_load(kit, bpp, &sw);
		kit_check_pir(kit, pir, FALSE, 0, 2);
	}
	{	/* one preparation, one try */
		g_autoptr(GBytes) bpp = kit_seal(kit, key->point, NULL);

		kit_load(kit, bpp, &sw);
		g_assert_cmphex(sw, ==, SW_CONDITIONS);
	}
	g_assert_cmpuint(chip_memory(kit->chip)->keys->len, ==, 3);
	g_assert_cmpuint(chip_memory(kit->chip)->spent, ==, 0);
	g_assert_cmpuint(chip_stats(kit->chip)->loads, ==, 0);
}

static void test_tamper_segments(void)
{
	/* segment of a PPK-mode BPP -> the command that finds its MAC wrong */
	static const guint8 segments[] = { 1, 3, 4, 6 }, commands[] = { 1, 2, 4, 5 };
	g_autoptr(Kit) kit = kit_new(4);

	for (guint i = 0; i < G_N_ELEMENTS(segments); i++) {
		g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
		const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
		g_autoptr(GBytes) bytes = kit_seal(kit, key->point, NULL);
		g_autoptr(IfppBpp) bpp = ifpp_bpp_parse(bytes, NULL);
		GByteArray *copy = g_byte_array_new();
		g_autoptr(GBytes) bad = NULL;
		g_autoptr(IfppPir) pir = NULL;
		IfppSpan segment = ifpp_bpp_segment(bpp, segments[i]);
		guint16 sw;
		gsize at;

		g_byte_array_append(copy, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
		at = segment.data - (const guint8 *)g_bytes_get_data(bytes, NULL);
		copy->data[at + segment.len - 1 - copy->len % 7] ^= 1;
		bad = g_byte_array_free_to_bytes(copy);
		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
		pir = kit_load(kit, bad, &sw);
		kit_check_pir(kit, pir, FALSE, commands[i], 8);
		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 9);
	}
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 0);
	g_assert_cmpuint(chip_memory(kit->chip)->spent, ==, 4);
}

static void test_profile_refused(void)
{
	g_autoptr(Kit) kit = kit_new(6);
	g_autoptr(GByteArray) upp = profile_builtin(77, NULL);
	g_autoptr(GByteArray) metadata = NULL;
	IfppChipProfile *profile;
	guint8 iccid[10];
	guint16 sw;

	{
		g_autoptr(IfppPir) pir = kit_load_next(kit, &(KitSeal){ .serial = 5, .metadata_serial = 6 },
						       &sw);

		kit_check_pir(kit, pir, FALSE, 5, 13);
	}
	{
		g_autoptr(IfppPir) pir = kit_load_next(kit, &(KitSeal){ .serial = 5 }, &sw);

		kit_check_pir(kit, pir, TRUE, 0, 0);
	}
	{
		g_autoptr(IfppPir) pir = kit_load_next(kit, &(KitSeal){ .serial = 5 }, &sw);

		kit_check_pir(kit, pir, FALSE, 2, 9);
	}
	{
		g_autoptr(IfppPir) pir = NULL;

		g_byte_array_set_size(upp, upp->len - 1);
		pir = kit_load_next(kit, &(KitSeal){ .upp = upp, .serial = 77 }, &sw);
		kit_check_pir(kit, pir, FALSE, 5, 12);
	}
	{
		g_autoptr(IfppPir) pir = NULL;

		profile_builtin_iccid(78, iccid);
		metadata = profile_metadata(iccid, "Kit", "Test", 2);
		g_assert_cmphex(metadata->data[metadata->len - 1], ==, 2);
		metadata->data[metadata->len - 1] = 3;
		pir = kit_load_next(kit, &(KitSeal){ .metadata = metadata, .serial = 78 }, &sw);
		kit_check_pir(kit, pir, FALSE, 2, 6);
	}
	{
		g_autoptr(IfppPir) pir = NULL;

		/* something large came before: no room for this one */
		profile = g_ptr_array_index(chip_memory(kit->chip)->profiles, 0);
		ifpp_secret_bytes_free(profile->upp);
		profile->upp = g_bytes_new_take(g_malloc0(IFPP_CHIP_NVM - 1200), IFPP_CHIP_NVM - 1200);
		pir = kit_load_next(kit, &(KitSeal){ .serial = 79 }, &sw);
		kit_check_pir(kit, pir, FALSE, 5, 10);
	}
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 1);
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 6);
}

/* Reasons 14 and 15: a test profile with a real key, and rules that nobody granted. */
static void test_rules_refused(void)
{
	static const struct {
		int profile_class;
		const char *ki, *rules;
		guint algorithm, command, reason;
	} cases[] = {
		/* the built-in profile has the test algorithm: its key is nobody's secret */
		{ 0, "0102030405060708090a0b0c0d0e0f10", NULL, 3, 0, 0 },
		{ 0, "0102030405060708090a0b0c0d0e0f10", NULL, 1, 5, 14 },
		{ 0, "000102030405060708090a0b0c0d0e7f", NULL, 1, 0, 0 },
		{ 0, "00000000000000000000000000000001", NULL, 2, 0, 0 },
		{ 2, "0102030405060708090a0b0c0d0e0f10", NULL, 1, 0, 0 },
		{ 2, NULL, "020560", 3, 0, 0 },		/* PPR1 and PPR2, as the RAT grants */
		{ 2, NULL, "0204f0", 3, 2, 15 },	/* PPR3, which it does not */
		{ 2, NULL, "03070080", 3, 2, 15 },	/* a rule of a later version */
		{ 0, NULL, "020640", 3, 2, 15 },	/* a test profile has none */
	};
	g_autoptr(Kit) kit = kit_new(G_N_ELEMENTS(cases));

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) ki = cases[i].ki ? ifpp_unhex(cases[i].ki) : NULL;
		guint64 serial = 500 + i;
		g_autoptr(GByteArray) built = profile_builtin(serial, NULL);
		g_autoptr(GByteArray) upp = NULL;
		g_autoptr(GByteArray) metadata = NULL;
		g_autoptr(IfppPir) pir = NULL;
		guint8 iccid[10], *algorithm;
		guint16 sw;

		upp = profile_personalise((IfppSpan){ built->data, built->len },
					  &(ProfileRecord){ .ki = ki ? g_bytes_get_data(ki, NULL) : NULL }, NULL);
		/* akaParameter { A0 header, A1 { A1 { 80 algorithmID ... */
		algorithm = memmem(upp->data, upp->len, "\xA1\x2C\xA1\x2A\x80\x01", 6);
		g_assert_nonnull(algorithm);
		algorithm[6] = cases[i].algorithm;
		profile_builtin_iccid(serial, iccid);
		metadata = profile_metadata(iccid, "Kit", "Test", cases[i].profile_class);
		if (cases[i].rules) {
			g_autofree char *hex = g_strconcat("99", cases[i].rules, NULL);
			g_autoptr(GBytes) rules = ifpp_unhex(hex);

			g_byte_array_append(metadata, g_bytes_get_data(rules, NULL), g_bytes_get_size(rules));
			metadata->data[2] += g_bytes_get_size(rules);
		}
		pir = kit_load_next(kit, &(KitSeal){ .upp = upp, .metadata = metadata, .serial = serial }, &sw);
		kit_check_pir(kit, pir, !cases[i].reason, cases[i].command, cases[i].reason);
	}
}

/* The room for a profile is its own size and the ISD-P's; EUICCInfo2 tells what is left. */
static guint64 free_memory(Kit *kit)
{
	g_autofree char *hex = NULL;
	char digits[9];
	const char *at;
	guint16 sw;

	hex = kit_hex(kit, "bf2200", &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	at = strstr(hex, "8204");
	g_assert_nonnull(at);
	g_strlcpy(digits, at + 4, sizeof(digits));
	return g_ascii_strtoull(digits, NULL, 16);
}

static void test_memory(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	guint64 all = free_memory(kit), one;
	guint16 sw;

	{
		g_autoptr(IfppPir) pir = kit_load_next(kit, NULL, &sw);

		kit_check_pir(kit, pir, TRUE, 0, 0);
	}
	one = all - free_memory(kit);
	g_assert_cmpuint(one, >, IFPP_CHIP_PROFILE_COST);
	g_assert_cmpuint(one, <, 2 * IFPP_CHIP_PROFILE_COST + 1024);
	{	/* another of the same size takes the same, and its failure nothing */
		g_autoptr(IfppPir) good = kit_load_next(kit, NULL, &sw);
		g_autoptr(IfppPir) bad = NULL;

		kit_check_pir(kit, good, TRUE, 0, 0);
		bad = kit_load_next(kit, &(KitSeal){ .serial = 5, .metadata_serial = 6 }, &sw);
		kit_check_pir(kit, bad, FALSE, 5, 13);
	}
	g_assert_cmpuint(all - free_memory(kit), ==, 2 * one);
	assert_es10(kit, "bf3404820205e0", SW_OK, "bf3403800100");
	g_assert_cmpuint(free_memory(kit), ==, all);
}

/* A profile may have any of the three lengths of ICCID; an LPA may leave out the padding of 18. */
static void test_iccid_lengths(void)
{
	static const char *const digits[] = { "891234567890123456", "8912345678901234567", "89123456789012345678" };
	g_autoptr(Kit) kit = kit_new(G_N_ELEMENTS(digits));

	for (guint i = 0; i < G_N_ELEMENTS(digits); i++) {
		g_autoptr(GByteArray) built = profile_builtin(1, NULL);
		g_autoptr(GByteArray) upp = NULL;
		g_autoptr(GByteArray) metadata = NULL;
		g_autoptr(IfppPir) pir = NULL;
		g_autoptr(GError) error = NULL;
		g_autofree char *command = NULL, *hex = NULL, *want = NULL;
		guint8 iccid[10];
		gsize bytes = i == 0 ? 9 : 10;
		guint16 sw;

		upp = profile_personalise((IfppSpan){ built->data, built->len },
					  &(ProfileRecord){ .iccid = digits[i] }, &error);
		g_assert_no_error(error);
		g_assert_true(ifpp_iccid_parse(digits[i], iccid, NULL));
		metadata = profile_metadata(iccid, "Kit", "Test", 2);
		pir = kit_load_next(kit, &(KitSeal){ .upp = upp, .metadata = metadata, .serial = 1 }, &sw);
		kit_check_pir(kit, pir, TRUE, 0, 0);
		g_assert_cmpmem(pir->iccid.data, pir->iccid.len, iccid, 10);
		/* found by exactly what an LPA would send */
		hex = ifpp_hex((IfppSpan){ iccid, bytes });
		command = g_strdup_printf("bf2d%02zxa0%02zx5a%02zx%s5c015a", bytes + 7, bytes + 2, bytes, hex);
		g_free(hex);
		hex = ifpp_hex(IFPP_SPAN(iccid));
		want = g_strconcat("bf2d10a00ee30c5a0a", hex, NULL);
		assert_es10(kit, command, SW_OK, want);
	}
}

/* A chain that does not lead to the chip's CI, or that is of another role. */
static void test_chain_refused(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autoptr(Kit) other = kit_new(1);
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	const guint8 *id = g_array_index(info->keys, IfppOtk, 0).key_id;
	GBytes *own = kit->dp_cert;

	kit->dp_cert = other->dp_cert;
	g_assert_cmpuint(kit_prepare(kit, id), ==, 1);
	kit->dp_cert = info->cert_eum;
	g_assert_cmpuint(kit_prepare(kit, id), !=, 0);
	kit->dp_cert = chip_memory(kit->chip)->ci;
	g_assert_cmpuint(kit_prepare(kit, id), !=, 0);
	kit->dp_cert = own;
	g_assert_cmpuint(kit_prepare(kit, id), ==, 0);
}

/* Closing the channel, selecting anew or a stray command in the middle of a load. */
static void test_interrupted(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	guint16 sw;

	for (guint i = 0; i < 2; i++) {
		g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
		const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
		g_autoptr(GBytes) bytes = kit_seal(kit, key->point, NULL);
		g_autoptr(IfppBpp) bpp = ifpp_bpp_parse(bytes, NULL);
		const IfppChipNote *note;
		g_autoptr(IfppPir) pir = NULL;

		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
		for (guint s = 0; s < 3; s++)
			g_assert_null(kit_es10(kit, ifpp_bpp_segment(bpp, s), &sw));
		g_assert_cmphex(sw, ==, SW_OK);
		/* what may be asked meanwhile, and what not */
		assert_es10(kit, "bf2d00", SW_CONDITIONS, NULL);
		assert_es10(kit, "ff2300", SW_CONDITIONS, NULL);
		assert_es10(kit, "bf3e035c015a", SW_OK, "bf3e125a1089049032123451234512345678901235");
		if (i == 0)
			kit_close(kit);
		kit_open(kit);
		if (i == 1) {	/* the other channel goes on unharmed, this one is cut by power */
			g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 1);
			chip_power_off(kit->chip);
			kit_open(kit);
		}
		g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, i + 1);
		note = g_ptr_array_index(chip_memory(kit->chip)->notes, i);
		pir = ifpp_pir_parse(note->bytes, NULL);
		kit_check_pir(kit, pir, FALSE, i == 0 ? 2 : 0, 11);
		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 9);
	}
}

/* Segments out of order end the load, with a signed result. */
static void test_wrong_order(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
	g_autoptr(GBytes) bytes = kit_seal(kit, key->point, NULL);
	g_autoptr(IfppBpp) bpp = ifpp_bpp_parse(bytes, NULL);
	g_autoptr(GBytes) response = NULL;
	g_autoptr(IfppPir) pir = NULL;
	guint16 sw;

	kit_es10(kit, ifpp_bpp_segment(bpp, 0), &sw);
	g_assert_cmphex(sw, ==, SW_CONDITIONS);		/* not prepared */
	g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
	kit_es10(kit, ifpp_bpp_segment(bpp, 1), &sw);
	g_assert_cmphex(sw, ==, SW_CONDITIONS);		/* not begun */
	kit_es10(kit, ifpp_bpp_segment(bpp, 0), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	response = kit_es10(kit, ifpp_bpp_segment(bpp, 2), &sw);
	g_assert_nonnull(response);
	pir = ifpp_pir_parse(response, NULL);
	kit_check_pir(kit, pir, FALSE, 1, 7);
}

/* ------------------------------------------------------------------ power */

typedef struct {
	guint at;
	IfppChipMemFate fate;
} Cut;

static IfppChipMemFate cut_hook(IfppChipMem *mem, gpointer user)
{
	Cut *cut = user;

	return cut->at && --cut->at == 0 ? cut->fate : IFPP_CHIPMEM_WRITE;
}

/* Power lost at every write of a load: spent at most once, and what became of it is always known. */
static void test_power_cuts(void)
{
	for (guint at = 1; at <= 4; at++) {
		g_autoptr(Kit) kit = kit_new(1);
		g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
		const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
		g_autoptr(GBytes) bpp = kit_seal(kit, key->point, NULL);
		Cut cut = { 1 + (at - 1) / 2, at % 2 ? IFPP_CHIPMEM_CUT_BEFORE : IFPP_CHIPMEM_CUT_AFTER };
		const IfppChipMem *mem;
		g_autoptr(IfppPir) pir = NULL;
		guint16 sw;

		g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
		chip_set_write_hook(kit->chip, cut_hook, &cut);
		g_assert_null(kit_load(kit, bpp, &sw));
		g_assert_cmphex(sw, ==, 0);
		g_assert_false(chip_powered(kit->chip));
		kit_open(kit);
		mem = chip_memory(kit->chip);
		g_assert_false(mem->loading);
		if (at == 1) {	/* before the key was spent: nothing happened */
			g_assert_cmpuint(mem->keys->len, ==, 1);
			g_assert_cmpuint(mem->notes->len, ==, 0);
			g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
			pir = kit_load(kit, bpp, &sw);
			kit_check_pir(kit, pir, TRUE, 0, 0);
			continue;
		}
		g_assert_cmpuint(mem->keys->len, ==, 0);
		g_assert_cmpuint(mem->spent, ==, 1);
		g_assert_cmpuint(mem->notes->len, ==, 1);
		pir = ifpp_pir_parse(((IfppChipNote *)g_ptr_array_index(mem->notes, 0))->bytes, NULL);
		/* 4: profile and result were in place, only the answer was lost */
		kit_check_pir(kit, pir, at == 4, 0, at == 4 ? 0 : 11);
		g_assert_cmpuint(mem->profiles->len, ==, at == 4);
	}
}

/* Power lost again while the interrupted load's result is being written. */
static void test_power_cut_at_start(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	Cut cut = { 1, IFPP_CHIPMEM_CUT_AFTER };
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
	g_autoptr(GBytes) bpp = kit_seal(kit, key->point, NULL);
	guint16 sw;

	g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
	chip_set_write_hook(kit->chip, cut_hook, &cut);
	g_assert_null(kit_load(kit, bpp, &sw));
	cut = (Cut){ 1, IFPP_CHIPMEM_CUT_BEFORE };
	g_assert_false(chip_power_on(kit->chip, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CHIP);
	kit_open(kit);
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 1);
	g_assert_cmpuint(chip_memory(kit->chip)->spent, ==, 1);
}

/* ------------------------------------------------------------------ the end of the factory */

static void assert_lock(Kit *kit, guint8 fill)
{
	guint8 command[21] = { 0xFF, 0x24, 0x12, 0x80, 0x10 };
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) response = NULL;
	IfppReceipt receipt;
	IfppTlv ff24;
	IfppSpan in;
	guint16 sw;

	memset(command + 5, fill, 16);
	response = kit_es10(kit, IFPP_SPAN(command), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	in = ifpp_span_bytes(response);
	g_assert_true(ifpp_tlv_take(&in, IFPP_TAG_LOCK, &ff24));
	ifpp_receipt_verify(ff24.value, ifpp_span_bytes(chip_memory(kit->chip)->cert_euicc), kit->eid,
			    command + 5,
			    &receipt, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(receipt.lock_counter, ==, 1);
	g_assert_cmpuint(receipt.spent, ==, chip_memory(kit->chip)->spent);
}

static void test_lock(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	g_autoptr(IfppFactoryInfo) locked = NULL;
	g_autoptr(IfppPir) pir = NULL;
	guint16 sw;

	pir = kit_load_next(kit, NULL, &sw);
	assert_es10(kit, "ff2400", SW_WRONG_DATA, NULL);
	assert_lock(kit, 0x11);
	for (guint i = 0; i < 2; i++) {
		GByteArray *prepare = g_byte_array_new();
		g_autoptr(GByteArray) command = g_byte_array_new();

		locked = kit_info(kit, FALSE);
		g_assert_cmpuint(locked->state, ==, 2);
		g_assert_cmpuint(locked->keys->len, ==, 0);
		g_assert_cmpuint(locked->spent, ==, 1);
		g_clear_pointer(&locked, ifpp_factory_info_free);
		ifpp_tlv_put(prepare, 0x80, g_array_index(info->keys, IfppOtk, 1).key_id, 32);
		ifpp_tlv_put_span(prepare, 0xA1, ifpp_span_bytes(kit->dp_cert));
		ifpp_tlv_put(command, 0xFF22, prepare->data, prepare->len);
		g_byte_array_unref(prepare);
		kit_es10(kit, (IfppSpan){ command->data, command->len }, &sw);
		g_assert_cmphex(sw, ==, SW_CONDITIONS);
		assert_es10(kit, "ff2300", SW_CONDITIONS, NULL);
		assert_lock(kit, 0x22 + i);
		chip_power_off(kit->chip);
		kit_open(kit);
	}
}

/* EUICCF04, both ways. */
static void test_gate(void)
{
	static const char *const closed[] = {
		"bf3c00", "bf4300", "bf2e00", "bf310e" "a00c5a0a98001032547698103214", "bf29" "00",
		"bf33" "00",
		"bf3404820205e0", "bf3f03800161",
	};
	static const char *const open[] = { "bf3e035c015a", "bf2000", "bf2200", "bf2d00", "bf2800", "bf2b00",
					    "ff2103800100" };
	g_autoptr(Kit) kit = kit_new(2);

	for (guint i = 0; i < G_N_ELEMENTS(closed); i++)
		assert_es10(kit, closed[i], SW_CONDITIONS, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(open); i++) {
		guint16 sw;
		g_autofree char *answer = kit_hex(kit, open[i], &sw);

		g_assert_cmphex(sw, ==, SW_OK);
		g_assert_nonnull(answer);
	}
	assert_es10(kit, "ff2300", SW_OK, "ff2306800100810102");
	assert_es10(kit, "ff2300", SW_OK, "ff2306800101810100");
	assert_es10(kit, "bf4300", SW_OK, "bf4314a012301080020560a10730058003eeeeee820100");
	for (guint i = 0; i < G_N_ELEMENTS(closed); i++) {
		guint16 sw;
		g_autofree char *answer = kit_hex(kit, closed[i], &sw);

		g_assert_cmphex(sw, !=, SW_CONDITIONS);
	}
}

/* ------------------------------------------------------------------ field services */

static char *iccid_hex(guint64 serial)
{
	guint8 iccid[10];

	profile_builtin_iccid(serial, iccid);
	return ifpp_hex(IFPP_SPAN(iccid));
}

static void with_iccid(Kit *kit, const char *before, guint64 serial, const char *after, const char *want)
{
	g_autofree char *iccid = iccid_hex(serial);
	g_autofree char *command = g_strconcat(before, iccid, after, NULL);

	assert_es10(kit, command, SW_OK, want);
}

/* Metadata with notification addresses for every event. */
static GByteArray *noisy_metadata(guint64 serial)
{
	g_autofree char *iccid = iccid_hex(serial);
	g_autofree char *hex = g_strconcat(
		"bf2537" "5a0a", iccid, "9101" "41" "9201" "42" "950102" "b61e"
		"300d" "800204f0" "8107" "612e746573742e" "300d" "80020640" "8107" "622e746573742e"
		"99020600", NULL);
	g_autoptr(GBytes) bytes = NULL;
	GByteArray *out = g_byte_array_new();
	IfppSpan in;
	IfppTlv tlv;

	/* lengths by counting: B6 = 2 x 15, the rest follows */
	bytes = ifpp_unhex(hex);
	g_byte_array_append(out, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
	out->data[2] = out->len - 3;
	in = (IfppSpan){ out->data, out->len };
	g_assert_true(ifpp_tlv_take(&in, 0xBF25, &tlv));
	return out;
}

static void test_field(void)
{
	g_autoptr(Kit) kit = kit_new(2);
	g_autoptr(GByteArray) metadata = noisy_metadata(1);
	g_autofree char *one = iccid_hex(1), *two = iccid_hex(2);
	g_autofree char *list = NULL, *note = NULL, *refresh = NULL;
	guint16 sw;

	kit->serial = 1;
	for (guint i = 1; i <= 2; i++) {
		KitSeal how = { .metadata = i == 1 ? metadata : NULL };
		g_autoptr(IfppPir) pir = kit_load_next(kit, &how, &sw);

		kit_check_pir(kit, pir, TRUE, 0, 0);
		if (i == 1)
			g_assert_cmpstr(pir->address, ==, "a.test.");
	}
	/* PIRs stay until acknowledged */
	assert_es10(kit, "bf3003800101", SW_OK, "bf3003800100");
	assert_es10(kit, "bf3003800102", SW_OK, "bf3003800100");

	list = kit_hex(kit, "bf2d00", &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	g_assert_nonnull(strstr(list, one));
	g_assert_nonnull(strstr(list, two));
	g_clear_pointer(&list, g_free);
	{	/* search by ICCID, short tag list */
		g_autofree char *command = g_strconcat("bf2d13a00c5a0a", two, "5c035a9f70", NULL);
		g_autofree char *want = g_strconcat("bf2d14a012e310" "5a0a", two, "9f700100", NULL);

		assert_es10(kit, command, SW_OK, want);
	}
	assert_es10(kit, "bf2d05a003950100", SW_OK, "bf2d02a000");
	assert_es10(kit, "bf2d03a00101", SW_OK, "bf2d03810101");

	/* enable, and enable the other one instead */
	with_iccid(kit, "bf3111a00c5a0a", 1, "810100", "bf3103800100");
	with_iccid(kit, "bf3111a00c5a0a", 1, "810100", "bf3103800102");
	with_iccid(kit, "bf3111a00c5a0a", 9, "810100", "bf3103800101");
	with_iccid(kit, "bf3211a00c5a0a", 2, "810100", "bf3203800102");
	with_iccid(kit, "bf330c5a0a", 1, "", "bf3303800102");
	/* with the refresh flag: a proactive command waits, until it is answered */
	g_assert_cmphex(sw_of(kit, 0, "801200000B"), ==, SW_CONDITIONS);
	refresh = g_strconcat("81e2910014bf3111a00c5a0a", two, "8101ff", NULL);
	g_assert_cmphex(sw_of(kit, 1, refresh), ==, 0x6106);
	g_assert_cmphex(sw_of(kit, 1, "81C0000006"), ==, 0x910B);
	g_assert_cmphex(sw_of(kit, 0, "80F2000000"), ==, 0x910B);
	g_assert_cmphex(sw_of(kit, 0, "8012000000"), ==, 0x6C0B);
	{
		g_autoptr(GByteArray) command = APDU(kit, 0, &sw, 0x80, 0x12, 0x00, 0x00, 0x0B);
		g_autofree char *hex = ifpp_hex((IfppSpan){ command->data, command->len });

		g_assert_cmphex(sw, ==, SW_OK);
		g_assert_cmpstr(hex, ==, "d009810301010482028182");
	}
	g_assert_cmphex(sw_of(kit, 0, "801400000C810301010482028281830100"), ==, SW_OK);
	g_assert_cmphex(sw_of(kit, 0, "80F2000000"), ==, SW_OK);
	/* profile 1: enabled told to both addresses, disabled to one */
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 3);
	note = kit_hex(kit, "bf2804810205" "20", &sw);
	g_assert_nonnull(note);
	g_assert_true(g_str_has_prefix(note, "bf28"));
	g_assert_nonnull(strstr(note, "bf2f1c80010581020520" "0c07612e746573742e" "5a0a"));
	g_assert_null(strstr(note, "622e746573742e"));
	g_clear_pointer(&note, g_free);
	note = kit_hex(kit, "bf2b05a003800103", &sw);
	g_assert_true(g_str_has_prefix(note, "bf2b82"));
	/* the selected USIM follows the enabled profile */
	g_assert_cmphex(sw_of(kit, 1, "01A4040C07A0000000871002"), ==, SW_OK);
	kit_open(kit);

	with_iccid(kit, "bf29125a0a", 1, "90046e69636b", "bf2903800100");
	list = kit_hex(kit, "bf2d00", &sw);
	g_assert_nonnull(strstr(list, "90046e69636b"));
	with_iccid(kit, "bf290e5a0a", 1, "9000", "bf2903800100");
	g_assert_null(((IfppChipProfile *)g_ptr_array_index(chip_memory(kit->chip)->profiles, 0))->nickname);
	with_iccid(kit, "bf290e5a0a", 9, "9000", "bf2903800101");

	with_iccid(kit, "bf330c5a0a", 1, "", "bf3303800100");
	with_iccid(kit, "bf330c5a0a", 1, "", "bf3303800101");
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 4);

	assert_es10(kit, "bf3c00", SW_OK, "bf3c1a8118746573747" "26f6f74736d64732e6578616d706c652e636f6d");
	assert_es10(kit, "bf3f09" "8007" "612e746573742e", SW_OK, "bf3f03800100");
	assert_es10(kit, "bf3c00", SW_OK,
		    "bf3c23" "8007612e746573742e" "8118746573747" "26f6f74736d64732e6578616d706c652e636f6d");
	/* test profiles and the address: the address goes */
	assert_es10(kit, "bf340482020560", SW_OK, "bf3403800100");
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 1);
	assert_es10(kit, "bf3404820205e0", SW_OK, "bf3403800100");
	assert_es10(kit, "bf3404820205e0", SW_OK, "bf3403800101");
	assert_es10(kit, "bf2d00", SW_OK, "bf2d02a000");
	chip_power_off(kit->chip);
	kit_open(kit);
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 0);
	g_assert_cmpuint(chip_memory(kit->chip)->next_seq, ==, 7);
	assert_es10(kit, "bf7f00", SW_NO_REFERENCE, NULL);
}

/* Memory reset takes the classes it was told to; a provisioning profile stays. */
static void test_classes(void)
{
	g_autoptr(Kit) kit = kit_new(3);

	for (guint cls = 0; cls <= 2; cls++) {
		g_autoptr(GByteArray) metadata = NULL;
		g_autoptr(IfppPir) pir = NULL;
		guint8 iccid[10];
		guint16 sw;

		profile_builtin_iccid(cls + 1, iccid);
		metadata = profile_metadata(iccid, "Kit", "Test", cls);
		pir = kit_load_next(kit, &(KitSeal){ .metadata = metadata, .serial = cls + 1 }, &sw);
		kit_check_pir(kit, pir, TRUE, 0, 0);
	}
	assert_es10(kit, "bf2d08a003950101" "5c0195", SW_OK, "bf2d07a005e303950101");
	assert_es10(kit, "bf3404820206" "40", SW_OK, "bf3403800100");
	assert_es10(kit, "bf2d035c0195", SW_OK, "bf2d0ca00ae303950101e303950102");
	assert_es10(kit, "bf3404820206" "40", SW_OK, "bf3403800101");
	assert_es10(kit, "bf3404820205" "80", SW_OK, "bf3403800100");
	assert_es10(kit, "bf2d035c0195", SW_OK, "bf2d07a005e303950101");
	assert_es10(kit, "bf3404820205" "e0", SW_OK, "bf3403800101");
}

/* Power lost at the write of every field command: the old state or the new one. */
static void test_field_power_cuts(void)
{
	static const struct {
		const char *before, *after;	/* around the ICCID */
		guint8 again;			/* the result when it had been done */
	} commands[] = {
		{ "bf3111a00c5a0a", "810100", 2 },
		{ "bf3211a00c5a0a", "810100", 2 },
		{ "bf330c5a0a", "", 1 },
	};
	static const IfppChipMemFate fates[] = { IFPP_CHIPMEM_CUT_BEFORE, IFPP_CHIPMEM_CUT_DURING,
						 IFPP_CHIPMEM_CUT_AFTER };

	for (guint f = 0; f < G_N_ELEMENTS(fates); f++) {
		g_autoptr(Kit) kit = kit_new(1);
		g_autoptr(GByteArray) metadata = noisy_metadata(1);
		g_autoptr(IfppPir) pir = NULL;
		guint16 sw;

		pir = kit_load_next(kit, &(KitSeal){ .metadata = metadata, .serial = 1 }, &sw);
		kit_check_pir(kit, pir, TRUE, 0, 0);
		for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
			g_autofree char *iccid = iccid_hex(1);
			g_autofree char *command = g_strconcat(commands[i].before, iccid, commands[i].after, NULL);
			guint8 result = fates[f] == IFPP_CHIPMEM_CUT_AFTER ? commands[i].again : 0;
			g_autofree char *want = g_strdup_printf("%.4s038001%02x", command, result);
			guint notes = chip_memory(kit->chip)->notes->len;
			Cut cut = { 1, fates[f] };
			g_autofree char *dark = NULL;

			chip_set_write_hook(kit->chip, cut_hook, &cut);
			dark = kit_hex(kit, command, &sw);
			g_assert_null(dark);
			g_assert_false(chip_powered(kit->chip));
			kit_open(kit);
			/* what it would tell an operator goes with the state, never before it */
			g_assert_cmpint(chip_memory(kit->chip)->notes->len > notes, ==,
					fates[f] == IFPP_CHIPMEM_CUT_AFTER);
			assert_es10(kit, command, SW_OK, want);
			g_assert_cmpuint(chip_memory(kit->chip)->notes->len, >, notes);
		}
	}
}

/* ------------------------------------------------------------------ an ordinary SGP.22 download */

static const guint8 transaction[16] = { 0xD0, 0x17 };

static void put_signed(GByteArray *out, IfppEcKey *key, const IfppSpan *parts, guint n)
{
	guint8 sig[64];

	g_assert_true(ifpp_ec_key_sign(key, parts, n, sig, NULL));
	ifpp_tlv_put(out, 0x5F37, sig, 64);
}

static GByteArray *wrap(guint32 tag, GByteArray *value)
{
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(out, tag, value->data, value->len);
	g_byte_array_unref(value);
	return out;
}

typedef struct {
	gboolean wrong_challenge, wrong_ci, wrong_signature, wrong_role, wrong_transaction;
} Server;

static GBytes *command(Kit *kit, GByteArray *bytes)
{
	GBytes *response;
	guint16 sw;

	response = kit_es10(kit, (IfppSpan){ bytes->data, bytes->len }, &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	g_byte_array_unref(bytes);
	return response;
}

/* GetEuiccChallenge and AuthenticateServer, as an SM-DP+ and its LPA would. Fills euiccSignature1. */
static guint8 authenticate(Kit *kit, const Server *server, guint8 signature1[64])
{
	const IfppChipMem *mem = chip_memory(kit->chip);
	static const guint8 host_challenge[16] = { 7 };
	g_autofree char *hex = NULL;
	g_autoptr(GBytes) challenge = NULL;
	g_autoptr(GBytes) response = NULL;
	GByteArray *signed1 = g_byte_array_new(), *value = g_byte_array_new(), *context = g_byte_array_new();
	guint8 ski[20], point[65];
	IfppTlv bf38, answer, tlv, sig;
	IfppSpan part, in;
	guint16 sw;

	hex = kit_hex(kit, "bf2e00", &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	challenge = ifpp_unhex(hex + 10);
	g_assert_cmpuint(g_bytes_get_size(challenge), ==, 16);
	ifpp_tlv_put(signed1, 0x80, transaction, 16);
	ifpp_tlv_put(signed1, 0x81,
		     server->wrong_challenge ? host_challenge : g_bytes_get_data(challenge, NULL), 16);
	ifpp_tlv_put(signed1, 0x83, "dp.test", 7);
	ifpp_tlv_put(signed1, 0x84, host_challenge, 16);
	signed1 = wrap(0x30, signed1);
	g_byte_array_append(value, signed1->data, signed1->len);
	part = (IfppSpan){ signed1->data, signed1->len };
	put_signed(value, server->wrong_signature ? kit->dp_key : kit->auth_key, &part, 1);
	g_assert_true(ifpp_cert_ski(ifpp_span_bytes(mem->ci), ski, NULL));
	ski[0] ^= server->wrong_ci;
	ifpp_tlv_put(value, 0x04, ski, 20);
	part = ifpp_span_bytes(server->wrong_role ? kit->dp_cert : kit->auth_cert);
	g_byte_array_append(value, part.data, part.len);
	ifpp_tlv_put(context, 0x80, "matching", 8);
	context = wrap(0xA0, context);
	g_byte_array_append(value, context->data, context->len);
	g_byte_array_unref(context);
	g_byte_array_unref(signed1);
	response = command(kit, wrap(0xBF38, value));

	in = ifpp_span_bytes(response);
	g_assert_true(ifpp_tlv_take(&in, 0xBF38, &bf38));
	if (ifpp_tlv_take(&bf38.value, 0xA1, &answer)) {
		g_assert_true(ifpp_tlv_take(&answer.value, 0x80, &tlv));
		g_assert_true(ifpp_tlv_take(&answer.value, 0x02, &tlv));
		return tlv.value.data[0];
	}
	g_assert_true(ifpp_tlv_take(&bf38.value, 0xA0, &answer));
	g_assert_true(ifpp_tlv_take(&answer.value, 0x30, &tlv));
	g_assert_true(ifpp_tlv_take(&answer.value, 0x5F37, &sig));
	g_assert_true(ifpp_cert_point(ifpp_span_bytes(mem->cert_euicc), point, NULL));
	g_assert_true(ifpp_ecdsa_verify(point, &tlv.whole, 1, sig.value));
	memcpy(signature1, sig.value.data, 64);
	return 0;
}

/* PrepareDownload; on success the chip's fresh one-time key. */
static guint8 prepare_download(Kit *kit, const Server *server, const guint8 signature1[64], guint8 otpk[65])
{
	GByteArray *signed2 = g_byte_array_new(), *value = g_byte_array_new();
	guint8 sig1[67] = { 0x5F, 0x37, 0x40 }, point[65], id[16];
	g_autoptr(GBytes) response = NULL;
	IfppTlv bf21, answer, tlv, sig, key;
	IfppSpan parts[2], in;
	g_autoptr(GByteArray) sig2 = g_byte_array_new();

	memcpy(id, transaction, 16);
	id[15] ^= server->wrong_transaction;
	ifpp_tlv_put(signed2, 0x80, id, 16);
	ifpp_tlv_put(signed2, 0x01, (guint8[]){ 0 }, 1);
	signed2 = wrap(0x30, signed2);
	memcpy(sig1 + 3, signature1, 64);
	parts[0] = (IfppSpan){ signed2->data, signed2->len };
	parts[1] = IFPP_SPAN(sig1);
	g_byte_array_append(value, signed2->data, signed2->len);
	put_signed(sig2, server->wrong_signature ? kit->auth_key : kit->dp_key, parts, 2);
	g_byte_array_append(value, sig2->data, sig2->len);
	in = ifpp_span_bytes(server->wrong_role ? kit->auth_cert : kit->dp_cert);
	g_byte_array_append(value, in.data, in.len);
	g_byte_array_unref(signed2);
	response = command(kit, wrap(0xBF21, value));

	in = ifpp_span_bytes(response);
	g_assert_true(ifpp_tlv_take(&in, 0xBF21, &bf21));
	if (ifpp_tlv_take(&bf21.value, 0xA1, &answer)) {
		g_assert_true(ifpp_tlv_take(&answer.value, 0x80, &tlv));
		g_assert_true(ifpp_tlv_take(&answer.value, 0x02, &tlv));
		return tlv.value.data[0];
	}
	g_assert_true(ifpp_tlv_take(&bf21.value, 0xA0, &answer));
	g_assert_true(ifpp_tlv_take(&answer.value, 0x30, &tlv));
	g_assert_true(ifpp_tlv_take(&answer.value, 0x5F37, &sig));
	parts[0] = tlv.whole;
	parts[1] = (IfppSpan){ sig2->data, sig2->len };
	g_assert_true(ifpp_cert_point(ifpp_span_bytes(chip_memory(kit->chip)->cert_euicc), point, NULL));
	g_assert_true(ifpp_ecdsa_verify(point, parts, 2, sig.value));
	g_assert_true(ifpp_tlv_find(tlv.value, 0x5F49, &key));
	memcpy(otpk, key.value.data, 65);
	return 0;
}

static void test_download(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	guint8 sig1[64] = { 0 }, first[65], second[65];
	guint16 sw;

	for (guint i = 0; i < 2; i++) {
		KitSeal how = { .session_keys = i, .transaction = transaction };
		g_autoptr(GBytes) bpp = NULL;
		g_autoptr(IfppPir) pir = NULL;
		guint8 *otpk = i ? second : first;

		g_assert_cmpuint(authenticate(kit, &(Server){ 0 }, sig1), ==, 0);
		g_assert_cmpuint(prepare_download(kit, &(Server){ 0 }, sig1, otpk), ==, 0);
		bpp = kit_seal(kit, otpk, &how);
		pir = kit_load(kit, bpp, &sw);
		kit_check_pir(kit, pir, TRUE, 0, 0);
		g_assert_cmpstr(pir->address, ==, "dp.test");
		g_assert_cmpmem(pir->transaction_id.data, pir->transaction_id.len, transaction, 16);
		/* the session is over */
		g_assert_cmpuint(prepare_download(kit, &(Server){ 0 }, sig1, otpk), ==, 4);
		kit_load(kit, bpp, &sw);
		g_assert_cmphex(sw, ==, SW_CONDITIONS);
	}
	g_assert_cmpint(memcmp(first, second, 65), !=, 0);
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 2);
	/* no factory key was used */
	g_assert_cmpuint(chip_memory(kit->chip)->spent, ==, 0);
}

static void test_download_refused(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	guint8 sig1[64] = { 0 }, otpk[65];
	guint16 sw;

	g_assert_cmpuint(prepare_download(kit, &(Server){ 0 }, sig1, otpk), ==, 4);
	g_assert_cmpuint(authenticate(kit, &(Server){ .wrong_challenge = TRUE }, sig1), ==, 6);
	g_assert_cmpuint(authenticate(kit, &(Server){ .wrong_ci = TRUE }, sig1), ==, 7);
	g_assert_cmpuint(authenticate(kit, &(Server){ .wrong_signature = TRUE }, sig1), ==, 2);
	g_assert_cmpuint(authenticate(kit, &(Server){ .wrong_role = TRUE }, sig1), ==, 5);
	g_assert_cmpuint(prepare_download(kit, &(Server){ 0 }, sig1, otpk), ==, 4);
	g_assert_cmpuint(authenticate(kit, &(Server){ 0 }, sig1), ==, 0);
	g_assert_cmpuint(prepare_download(kit, &(Server){ .wrong_transaction = TRUE }, sig1, otpk), ==, 5);
	g_assert_cmpuint(prepare_download(kit, &(Server){ .wrong_signature = TRUE }, sig1, otpk), ==, 2);
	g_assert_cmpuint(prepare_download(kit, &(Server){ .wrong_role = TRUE }, sig1, otpk), ==, 1);
	g_assert_cmpuint(prepare_download(kit, &(Server){ 0 }, sig1, otpk), ==, 0);
	{	/* a BPP of another transaction */
		g_autoptr(GBytes) bpp = kit_seal(kit, otpk, NULL);
		g_autoptr(IfppPir) pir = kit_load(kit, bpp, &sw);

		kit_check_pir(kit, pir, FALSE, 0, 3);
	}
	/* cancelled by the user, signed; another one cannot be */
	g_assert_cmpuint(authenticate(kit, &(Server){ 0 }, sig1), ==, 0);
	assert_es10(kit, "bf4115" "8010" "00000000000000000000000000000000" "810100", SW_OK, "bf4103810105");
	{
		g_autofree char *hex =
			kit_hex(kit, "bf4115" "8010" "d0170000000000000000000000000000" "810100", &sw);

		g_assert_cmphex(sw, ==, SW_OK);
		g_assert_true(g_str_has_prefix(hex,
					       "bf4161" "a05f" "301a" "8010d0170000000000000000000000000000"
					       "8103" "88370a" "820100" "5f3740"));
	}
	g_assert_cmpuint(prepare_download(kit, &(Server){ 0 }, sig1, otpk), ==, 4);
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 0);
}

/* A disk that cannot be written: the chip answers memory failure and keeps its old state. */
static void test_memory_failure(void)
{
	g_autoptr(Kit) kit = kit_new(2);
	g_autofree char *gone = g_strconcat(kit->chip_file, ".d", NULL);

	g_free(((IfppChipMem *)chip_memory(kit->chip))->path);
	((IfppChipMem *)chip_memory(kit->chip))->path = g_build_filename(gone, "chip", NULL);
	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*chip memory*");
	assert_es10(kit, "ff2300", SW_MEMORY_FAILURE, NULL);
	g_test_assert_expected_messages();
	kit_open(kit);
	g_assert_cmpuint(chip_memory(kit->chip)->keys->len, ==, 2);
}

/* Whatever the bytes, an answer with a status word. */
static void test_garbage(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	GRand *rand = g_rand_new_with_seed(41);

	for (guint i = 0; i < 20000; i++) {
		guint8 apdu[300];
		gsize len = g_rand_int_range(rand, 0, sizeof(apdu));
		g_autoptr(GByteArray) r = NULL;
		guint16 sw;

		for (gsize j = 0; j < len; j++)
			apdu[j] = g_rand_int(rand);
		if (i % 2 && len > 8) {	/* nearly a command */
			static const guint8 tags[] = { 0x20, 0x22, 0x28, 0x29, 0x2B, 0x2D, 0x2E, 0x30, 0x31,
						       0x33, 0x36, 0x3E };

			apdu[0] = 0x80;
			apdu[1] = 0xE2;
			apdu[2] = 0x91;
			apdu[3] = 0;
			len = MIN(len, 260);
			apdu[4] = len - 5;
			apdu[5] = i % 4 == 1 ? 0xBF : 0xFF;
			apdu[6] = i % 4 == 1 ? tags[i / 4 % sizeof(tags)] : 0x21 + i / 4 % 3;
			apdu[7] = len - 8 < 128 ? len - 8 : 0x7F;
		}
		if (chip_channels_open(kit->chip) == 0)
			kit_open(kit);
		r = kit_apdu(kit, i % 3 ? (int)kit->channel : -1, apdu, len, &sw);
		g_assert_nonnull(r);
	}
	g_rand_free(rand);
	g_assert_cmpuint(chip_memory(kit->chip)->spent, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/chip/channels", test_channels);
	g_test_add_func("/chip/select", test_select);
	g_test_add_func("/chip/apdu-cases", test_apdu_cases);
	g_test_add_func("/chip/run-too-long", test_run_too_long);
	g_test_add_func("/chip/block-sizes", test_block_sizes);
	g_test_add_func("/chip/factory-info", test_factory_info);
	g_test_add_data_func("/chip/load/ppk", NULL, test_load);
	g_test_add_data_func("/chip/load/session-keys", "", test_load);
	g_test_add_func("/chip/key-destroyed", test_key_destroyed);
	g_test_add_func("/chip/tamper/bf23", test_tamper);
	g_test_add_func("/chip/tamper/segments", test_tamper_segments);
	g_test_add_func("/chip/profile-refused", test_profile_refused);
	g_test_add_func("/chip/rules-refused", test_rules_refused);
	g_test_add_func("/chip/memory", test_memory);
	g_test_add_func("/chip/iccid-lengths", test_iccid_lengths);
	g_test_add_func("/chip/chain-refused", test_chain_refused);
	g_test_add_func("/chip/interrupted", test_interrupted);
	g_test_add_func("/chip/wrong-order", test_wrong_order);
	g_test_add_func("/chip/power-cuts", test_power_cuts);
	g_test_add_func("/chip/power-cut-at-start", test_power_cut_at_start);
	g_test_add_func("/chip/lock", test_lock);
	g_test_add_func("/chip/gate", test_gate);
	g_test_add_func("/chip/field", test_field);
	g_test_add_func("/chip/classes", test_classes);
	g_test_add_func("/chip/field-power-cuts", test_field_power_cuts);
	g_test_add_func("/chip/download", test_download);
	g_test_add_func("/chip/download-refused", test_download_refused);
	g_test_add_func("/chip/memory-failure", test_memory_failure);
	g_test_add_func("/chip/garbage", test_garbage);
	return g_test_run();
}
