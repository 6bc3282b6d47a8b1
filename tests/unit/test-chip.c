// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtual chip through its APDU interface. */
#include <string.h>

#include <gnutls/gnutls.h>

#include "chipkit.h"
#include "deletion.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "metadata.h"
#include "peer.h"
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

	g_assert_cmpuint(ids->version, ==, 3);
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

/* profileOwner 999-70 */
#define OWNER "b705" "800399f907"

/* Reasons 14 and 15: a test profile with a real key, and rules that nobody owns or granted. */
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
		{ 2, NULL, OWNER "99020560", 3, 0, 0 },	/* PPR1 and PPR2, as the RAT grants */
		{ 2, NULL, OWNER "990204f0", 3, 2, 15 },	/* PPR3, which it does not */
		{ 2, NULL, OWNER "9903070080", 3, 2, 15 },	/* a rule of a later version */
		{ 0, NULL, OWNER "99020640", 3, 0, 0 },	/* a test profile had better not, but may */
		{ 2, NULL, "99020560", 3, 2, 15 },	/* rules that nobody owns */
		{ 0, NULL, "99020640", 3, 2, 15 },
		{ 2, NULL, "99020780", 3, 0, 0 },	/* update control is none */
		{ 2, NULL, "b704" "80029999" "99020560", 3, 2, 1 },	/* an owner who is none */
		{ 2, NULL, OWNER, 3, 0, 0 },
		{ 2, NULL, "b705" "800399f917", 3, 5, 13 },	/* 999-71 has no IMSI of 999-70 */
		{ 2, NULL, "b705" "8003990907", 3, 0, 0 },	/* 999-700 has */
		{ 2, NULL, "b705" "8003991907", 3, 5, 13 },	/* and 999-701 has not */
		{ 2, NULL, "b705" "800389f907", 3, 5, 13 },
		{ 2, NULL, "b708" "800399f907" "810101", 3, 5, 13 },	/* a group that the profile is not of */
		{ 2, NULL, "b708" "800399f907" "820101", 3, 5, 13 },
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
			g_autoptr(GBytes) rules = ifpp_unhex(cases[i].rules);

			g_byte_array_append(metadata, g_bytes_get_data(rules, NULL), g_bytes_get_size(rules));
			metadata->data[2] += g_bytes_get_size(rules);
		}
		pir = kit_load_next(kit, &(KitSeal){ .upp = upp, .metadata = metadata, .serial = serial }, &sw);
		kit_check_pir(kit, pir, !cases[i].reason, cases[i].command, cases[i].reason);
	}
}

/* EF.IMSI and EF.GID1 given as fillPattern are files like any other: their owner's profile is installed. */
static void test_owner_by_pattern(void)
{
	static const struct {
		const char *owner;
		guint reason;
	} cases[] = {
		{ "b705" "800399f907", 0 },
		{ "b70f" "800399f907" "8108abcdcdcdcdcdcdcd", 0 },
		{ "b70f" "800399f907" "8108abcdcdcdcdcdcdce", 13 },
		{ "b705" "800399f917", 13 },
	};
	g_autoptr(Kit) kit = kit_new(G_N_ELEMENTS(cases));
	/* EF.GID1 { Fcp { EFInfo { fillPattern AB CD } } } of opt-usim */
	g_autoptr(GBytes) gid1 = ifpp_unhex("a508" "a106a504c102abcd");

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) upp = profile_builtin(800 + i, NULL), metadata = NULL;
		g_autoptr(GBytes) owner = ifpp_unhex(cases[i].owner);
		g_autoptr(IfppPir) pir = NULL;
		guint8 iccid[10], *imsi, *opt;
		guint16 sw;

		/* as many bytes: the first five of the contents, the last of which goes on */
		imsi = memmem(upp->data, upp->len, "\xA3\x0B\x83\x09\x08", 5);
		g_assert_nonnull(imsi);
		memmove(imsi + 8, imsi + 4, 5);
		memcpy(imsi + 2, "\xA1\x09\xA5\x07\xC1\x05", 6);
		/* after header and template, before EF.MSISDN */
		opt = memmem(upp->data, upp->len, "\xB4\x1C\xA0", 3);
		g_assert_nonnull(opt);
		{
			gsize at = opt - upp->data + 17, n = g_bytes_get_size(gid1);

			opt[1] += n;
			g_byte_array_set_size(upp, upp->len + n);
			memmove(upp->data + at + n, upp->data + at, upp->len - n - at);
			memcpy(upp->data + at, g_bytes_get_data(gid1, NULL), n);
		}
		profile_builtin_iccid(800 + i, iccid);
		metadata = profile_metadata(iccid, "Kit", "Test", 2);
		g_byte_array_append(metadata, g_bytes_get_data(owner, NULL), g_bytes_get_size(owner));
		metadata->data[2] += g_bytes_get_size(owner);
		pir = kit_load_next(kit, &(KitSeal){ .upp = upp, .metadata = metadata, .serial = 800 + i }, &sw);
		kit_check_pir(kit, pir, !cases[i].reason, 5, cases[i].reason);
	}
}

/* What the Key Maker puts into the metadata besides the names comes in several segments, is kept, and is told again. */
static void test_metadata_whole(void)
{
	static const char text[] = "[metadata]\nmcc-mnc=99970\npolicy-rules=ppr2\nicon=logo.png\nnotify-install=smdp.example.com\n"
				   "notify-delete=smdp.example.com\n";
	g_autoptr(Kit) kit = kit_new(1);
	g_autofree char *conf = g_build_filename(kit->dir, "metadata.conf", NULL), *logo = g_build_filename(kit->dir, "logo.png", NULL);
	g_autoptr(GByteArray) upp = profile_builtin(850, NULL), metadata = NULL;
	g_autofree char *icon = g_malloc(1024), *reply = NULL, *want_icon = NULL, *want_rest = NULL;
	g_autoptr(Metadata) whole = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppPir) pir = NULL;
	guint8 iccid[10];
	guint16 sw;

	memset(icon, 'i', 1024);
	memcpy(icon, "\x89PNG\r\n\x1A\n", 8);
	g_assert_true(g_file_set_contents(logo, icon, 1024, NULL));
	g_assert_true(g_file_set_contents(conf, text, -1, NULL));
	whole = metadata_load(conf, &error);
	g_assert_no_error(error);
	profile_builtin_iccid(850, iccid);
	metadata = profile_metadata(iccid, "Kit", "Test", 2);
	metadata_add(whole, metadata);
	g_assert_cmpuint(metadata->len, >, 1024);
	pir = kit_load_next(kit, &(KitSeal){ .upp = upp, .metadata = metadata, .serial = 850 }, &sw);
	kit_check_pir(kit, pir, TRUE, 0, 0);
	g_assert_cmpstr(pir->address, ==, "smdp.example.com");
	reply = kit_hex(kit, "bf2d075c059394b6b799", &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	want_icon = ifpp_hex((IfppSpan){ whole->icon->data, whole->icon->len });
	want_rest = ifpp_hex((IfppSpan){ whole->rest->data, whole->rest->len });
	g_assert_nonnull(strstr(reply, want_icon));
	g_assert_nonnull(strstr(reply, want_rest));
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

/* SGP.22 5.7.16: test profiles come and go between two operational ones, and PPR1 does not keep them out. */
static void test_reenabling(void)
{
	enum { PPR1 = 1, OTHER, TEST_A, TEST_B, BOOTSTRAP, PROFILES = BOOTSTRAP };
	static const int classes[] = { 2, 2, 0, 0, 1 };
	static const struct {
		guint8 tag, profile, result;
		gboolean cold;		/* power off first */
	} steps[] = {
		{ 0x31, TEST_A, 0, FALSE },
		{ 0x31, OTHER, 4, FALSE },	/* nothing was enabled before it: nothing may follow it but a test profile */
		{ 0x31, BOOTSTRAP, 4, FALSE },
		{ 0x32, TEST_A, 0, FALSE },
		{ 0x31, OTHER, 0, FALSE },	/* once it is disabled, anything may */
		{ 0x31, PPR1, 0, FALSE },
		{ 0x31, OTHER, 3, FALSE },
		{ 0x32, PPR1, 3, FALSE },
		{ 0x31, TEST_A, 0, FALSE },
		{ 0x31, TEST_A, 2, FALSE },
		{ 0x31, TEST_B, 0, FALSE },
		{ 0x31, OTHER, 4, TRUE },
		{ 0x31, BOOTSTRAP, 4, FALSE },
		{ 0x31, PPR1, 0, FALSE },	/* back to where it began, through two of them and a cold start */
		{ 0x31, OTHER, 3, FALSE },
		{ 0x31, BOOTSTRAP, 0, FALSE },	/* to reach a server */
		{ 0x31, OTHER, 0, TRUE },
		{ 0x31, TEST_B, 0, FALSE },
		{ 0x31, PPR1, 4, FALSE },
		{ 0x31, OTHER, 0, FALSE },
	};
	g_autoptr(Kit) kit = kit_new(PROFILES);
	guint16 sw;

	for (guint serial = 1; serial <= PROFILES; serial++) {
		g_autoptr(GByteArray) metadata = NULL;
		g_autoptr(IfppPir) pir = NULL;
		/* all of them want to tell of everything */
		g_autoptr(GBytes) more = ifpp_unhex(serial == PPR1 ? "b610300e800204f08108612e746573742e2e"
								     OWNER "99020640" :
								     "b610300e800204f08108612e746573742e2e");
		guint8 iccid[10];

		profile_builtin_iccid(serial, iccid);
		metadata = profile_metadata(iccid, "Kit", "Test", classes[serial - 1]);
		g_byte_array_append(metadata, g_bytes_get_data(more, NULL), g_bytes_get_size(more));
		metadata->data[2] += g_bytes_get_size(more);
		pir = kit_load_next(kit, &(KitSeal){ .metadata = metadata, .serial = serial }, &sw);
		kit_check_pir(kit, pir, TRUE, 0, 0);
	}
	for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
		g_autofree char *iccid = iccid_hex(steps[i].profile);
		g_autofree char *command = g_strdup_printf("bf%02x11a00c5a0a%s810100", steps[i].tag, iccid);
		g_autofree char *want = g_strdup_printf("bf%02x038001%02x", steps[i].tag, steps[i].result);
		guint notes, told = 0;

		if (steps[i].cold) {
			chip_power_off(kit->chip);
			kit_open(kit);
		}
		notes = chip_memory(kit->chip)->next_seq;
		if (steps[i].result == 0) {	/* what changes state tells it, unless it is a test profile */
			IfppChipProfile *enabled = ifpp_chipmem_enabled(chip_memory(kit->chip));

			told = (enabled && enabled->profile_class) +
			       (steps[i].tag == 0x31 && classes[steps[i].profile - 1]);
		}
		assert_es10(kit, command, SW_OK, want);
		g_assert_cmpuint(chip_memory(kit->chip)->next_seq, ==, notes + told);
	}
	/* catBusy: until the terminal has answered the REFRESH of the last one */
	with_iccid(kit, "bf330c5a0a", TEST_A, "", "bf3303800100");
	{
		g_autofree char *iccid = iccid_hex(TEST_B);
		g_autofree char *apdu = g_strconcat("81e2910014bf3111a00c5a0a", iccid, "8101ff", NULL);
		static const char *const busy[] = { "81e2910014bf3111a00c5a0a", "81e2910014bf3211a00c5a0a" };

		g_assert_cmphex(sw_of(kit, 1, apdu), ==, 0x6106);
		for (guint i = 0; i < G_N_ELEMENTS(busy); i++) {
			g_autofree char *id = iccid_hex(i ? TEST_B : OTHER);
			g_autofree char *again = g_strconcat(busy[i], id, "810100", NULL);
			g_autoptr(GBytes) bytes = ifpp_unhex(again);
			g_autoptr(GByteArray) direct = NULL, got = NULL;

			direct = kit_apdu(kit, 1, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &sw);
			g_assert_cmphex(sw, ==, 0x6106);
			got = APDU(kit, 1, &sw, 0x81, 0xC0, 0x00, 0x00, 0x06);
			g_assert_cmphex(sw, ==, 0x910B);
			g_assert_cmphex(got->data[5], ==, 5);
		}
	}
	g_assert_cmphex(sw_of(kit, 1, "81e2910007bf3404820205e0"), ==, 0x6106);
	g_assert_cmphex(sw_of(kit, 0, "801400000C810301010482028281830100"), ==, SW_OK);
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, PROFILES - 1);
	assert_es10(kit, "bf3404820205e0", SW_OK, "bf3403800100");
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 1);
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

#define ZEROS "00000000000000000000000000000000"

typedef struct {
	Kit *kit;
	SmDp *dp;
	Lpa *lpa;
	GByteArray *upp, *metadata;
} Field;

static void field_clear(Field *field)
{
	lpa_close(field->lpa);
	smdp_free(field->dp);
	kit_free(field->kit);
	g_byte_array_unref(field->upp);
	g_byte_array_unref(field->metadata);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Field, field_clear)

/* The profile that the SM-DP+ has to give. */
static void field_offer(Field *field, guint64 serial)
{
	guint8 iccid[10];

	g_clear_pointer(&field->upp, g_byte_array_unref);
	g_clear_pointer(&field->metadata, g_byte_array_unref);
	profile_builtin_iccid(serial, iccid);
	field->upp = profile_builtin(serial, NULL);
	field->metadata = profile_metadata(iccid, "Kit", "Test", 2);
	field->dp->upp = (IfppSpan){ field->upp->data, field->upp->len };
	field->dp->metadata = (IfppSpan){ field->metadata->data, field->metadata->len };
}

static Field field_new(void)
{
	Field field = { .kit = kit_new(0) };

	field.dp = smdp_new(field.kit->pki, field.kit->dir);
	field.lpa = lpa_of_kit(field.kit);
	field_offer(&field, 1);
	return field;
}

static guint authenticate(Field *field, SmDpWrong wrong)
{
	g_autoptr(GBytes) response = NULL;

	field->dp->wrong = wrong;
	response = lpa_authenticate(field->lpa, field->dp);
	field->dp->wrong = (SmDpWrong){ 0 };
	return lpa_refusal(response, 0xBF38);
}

/* PrepareDownload after an authentication that was good; the answer if it is wanted. */
static guint prepare(Field *field, GBytes *authenticated, SmDpWrong wrong, GBytes **answer)
{
	g_autoptr(GBytes) response = NULL;
	guint refusal;

	field->dp->wrong = wrong;
	response = lpa_prepare(field->lpa, field->dp, authenticated);
	field->dp->wrong = (SmDpWrong){ 0 };
	refusal = lpa_refusal(response, 0xBF21);
	if (answer)
		*answer = g_steal_pointer(&response);
	return refusal;
}

static void test_download(void)
{
	g_auto(Field) field = field_new();
	guint8 first[65];
	guint16 sw;

	for (guint i = 0; i < 2; i++) {
		g_autoptr(GBytes) authenticated = NULL;
		g_autoptr(GBytes) prepared = NULL;
		g_autoptr(GBytes) bpp = NULL;
		g_autoptr(GBytes) result = NULL;
		g_autoptr(IfppPir) pir = NULL;

		field_offer(&field, i + 1);
		field.dp->session_keys = i;
		authenticated = lpa_authenticate(field.lpa, field.dp);
		g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ 0 }, &prepared), ==, 0);
		bpp = smdp_get_bound_profile_package(field.dp, ifpp_span_bytes(prepared));
		result = lpa_load(field.lpa, bpp);
		pir = ifpp_pir_parse(result, NULL);
		kit_check_pir(field.kit, pir, TRUE, 0, 0);
		g_assert_cmpstr(pir->address, ==, field.dp->address);
		g_assert_cmpmem(pir->transaction_id.data, pir->transaction_id.len, field.dp->transaction, 16);
		/* the session is over */
		g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ 0 }, NULL), ==, 4);
		kit_load(field.kit, bpp, &sw);
		g_assert_cmphex(sw, ==, SW_CONDITIONS);
		if (i)
			g_assert_cmpint(memcmp(first, field.dp->otpk, 65), !=, 0);
		memcpy(first, field.dp->otpk, 65);
	}
	g_assert_cmpuint(chip_memory(field.kit->chip)->profiles->len, ==, 2);
	/* no factory key was used */
	g_assert_cmpuint(chip_memory(field.kit->chip)->spent, ==, 0);
}

static void test_download_refused(void)
{
	g_auto(Field) field = field_new();
	g_autoptr(GBytes) authenticated = NULL;
	g_autoptr(GBytes) prepared = NULL;
	g_autofree char *challenge = NULL;
	guint16 sw;

	g_assert_cmpuint(authenticate(&field, (SmDpWrong){ .challenge = TRUE }), ==, 6);
	g_assert_cmpuint(authenticate(&field, (SmDpWrong){ .ci = TRUE }), ==, 7);
	g_assert_cmpuint(authenticate(&field, (SmDpWrong){ .signature = TRUE }), ==, 2);
	g_assert_cmpuint(authenticate(&field, (SmDpWrong){ .role = TRUE }), ==, 5);
	authenticated = lpa_authenticate(field.lpa, field.dp);
	g_assert_cmpuint(lpa_refusal(authenticated, 0xBF38), ==, 0);
	/* a session is over when another is tried, even in vain: the CI is unknown */
	challenge = kit_hex(field.kit, "bf2e00", &sw);
	g_assert_nonnull(challenge);
	assert_es10(field.kit, "bf388189" "302a" "8001aa" "8110" ZEROS "830161" "8410" ZEROS "5f3740" ZEROS ZEROS
		    ZEROS ZEROS "041400000000" ZEROS "3000" "a000", SW_OK, "bf3808a1068001aa020107");
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ 0 }, NULL), ==, 4);
	g_clear_pointer(&authenticated, g_bytes_unref);
	authenticated = lpa_authenticate(field.lpa, field.dp);
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ .transaction = TRUE }, NULL), ==, 5);
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ .signature = TRUE }, NULL), ==, 2);
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ .role = TRUE }, NULL), ==, 1);
	field.dp->code = "1234";	/* which the user did not type in */
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ .hash = TRUE }, NULL), ==, 127);
	field.dp->code = NULL;
	g_assert_null(chip_memory(field.kit->chip)->retry);
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ 0 }, &prepared), ==, 0);
	{	/* a BPP of another transaction */
		g_autoptr(GBytes) good = smdp_get_bound_profile_package(field.dp, ifpp_span_bytes(prepared));
		g_autoptr(GBytes) bpp = kit_seal(field.kit, field.dp->otpk, NULL);
		g_autoptr(IfppPir) pir = kit_load(field.kit, bpp, &sw);

		kit_check_pir(field.kit, pir, FALSE, 0, 3);
	}
	/* cancelled by the user, signed; another one cannot be */
	g_clear_pointer(&authenticated, g_bytes_unref);
	authenticated = lpa_authenticate(field.lpa, field.dp);
	g_assert_cmpuint(lpa_refusal(authenticated, 0xBF38), ==, 0);
	assert_es10(field.kit, "bf4115" "8010" "00000000000000000000000000000000" "810100", SW_OK,
		    "bf4103810105");
	{	/* before there is a key */
		g_autoptr(GBytes) client = smdp_authenticate_client(field.dp, ifpp_span_bytes(authenticated));

		g_assert_nonnull(client);
		g_assert_cmpuint(lpa_cancel(field.lpa, field.dp, 0), ==, 0);
	}
	g_assert_cmpuint(lpa_cancel(field.lpa, field.dp, 0), ==, 5);
	/* a session that is no more than a challenge has no name, and ends all the same */
	g_free(challenge);
	challenge = kit_hex(field.kit, "bf2e00", &sw);
	g_assert_cmpuint(lpa_cancel(field.lpa, field.dp, 0), ==, 5);
	assert_es10(field.kit, "bf388189" "302a" "8001aa" "8110" ZEROS "830161" "8410" ZEROS "5f3740" ZEROS ZEROS
		    ZEROS ZEROS "041400000000" ZEROS "3000" "a000", SW_OK, "bf3808a1068001aa020104");
	g_assert_cmpuint(prepare(&field, authenticated, (SmDpWrong){ 0 }, NULL), ==, 4);
	g_assert_cmpuint(chip_memory(field.kit->chip)->profiles->len, ==, 0);
}

/* ------------------------------------------------------------------ its one-time key, for a second try */

/* Authenticate and prepare, with the key of the last try offered; TRUE: the chip took it up. */
static gboolean try_again(Field *field, GBytes **prepared)
{
	g_autoptr(GBytes) authenticated = lpa_authenticate(field->lpa, field->dp);
	g_autoptr(GBytes) response = NULL;
	const guint8 *retry = field->dp->retry;
	guint8 offered[65] = { 0 };
	IfppTlv bf21, ok, signed2, key;
	IfppSpan in;

	if (retry)
		memcpy(offered, retry, 65);
	g_assert_cmpuint(prepare(field, authenticated, (SmDpWrong){ 0 }, &response), ==, 0);
	in = ifpp_span_bytes(response);
	g_assert_true(ifpp_tlv_take(&in, 0xBF21, &bf21));
	g_assert_true(ifpp_tlv_take(&bf21.value, 0xA0, &ok));
	g_assert_true(ifpp_tlv_take(&ok.value, 0x30, &signed2));
	g_assert_true(ifpp_tlv_find(signed2.value, 0x5F49, &key));
	g_assert_cmpuint(key.value.len, ==, 65);
	memcpy(field->dp->otpk, key.value.data, 65);
	field->dp->retry = field->dp->otpk;
	if (prepared)
		*prepared = g_steal_pointer(&response);
	return retry && !memcmp(offered, field->dp->otpk, 65);
}

/* otSK.EUICC in the chip's file */
static gboolean in_file(Field *field, const guint8 scalar[32])
{
	g_autoptr(GBytes) file = ifpp_file_read(field->kit->chip_file, 1 << 20, NULL);
	IfppSpan span = ifpp_span_bytes(file);

	return memmem(span.data, span.len, scalar, 32) != NULL;
}

static void test_retry(void)
{
	g_auto(Field) field = field_new();
	g_autoptr(GBytes) prepared = NULL;
	g_autoptr(IfppPir) pir = NULL;
	guint8 scalar[32];
	guint64 made;

	g_assert_false(try_again(&field, NULL));
	g_assert_true(ifpp_ec_key_export(chip_memory(field.kit->chip)->retry, scalar, NULL));
	g_assert_true(in_file(&field, scalar));
	made = chip_stats(field.kit->chip)->agreements;
	/* what a broken connection, a channel, a session and the power do to it: nothing */
	g_assert_true(try_again(&field, NULL));
	kit_close(field.kit);
	kit_open(field.kit);
	g_assert_true(try_again(&field, NULL));
	chip_power_off(field.kit->chip);
	kit_open(field.kit);
	g_assert_true(try_again(&field, NULL));
	/* postponed, timeout */
	for (guint reason = 1; reason <= 2; reason++) {
		g_assert_cmpuint(lpa_cancel(field.lpa, field.dp, reason), ==, 0);
		g_assert_true(in_file(&field, scalar));
		g_assert_true(try_again(&field, &prepared));
		if (reason == 1)
			g_clear_pointer(&prepared, g_bytes_unref);
	}
	g_assert_cmpuint(chip_stats(field.kit->chip)->agreements, ==, made);

	/* used: it is gone before the first effect, and for ever */
	pir = lpa_finish(field.lpa, field.dp, prepared);
	kit_check_pir(field.kit, pir, TRUE, 0, 0);
	g_assert_cmpuint(chip_memory(field.kit->chip)->profiles->len, ==, 1);
	g_assert_null(chip_memory(field.kit->chip)->retry);
	g_assert_false(in_file(&field, scalar));
	g_assert_false(try_again(&field, NULL));
}

/* Who gave up, or is somebody else, does not get it. */
static void test_retry_refused(void)
{
	static const guint given_up[] = { 0, 3, 4, 5, 127 };
	g_auto(Field) field = field_new();
	g_autoptr(SmDp) other = smdp_new_named(field.kit->pki, field.kit->dir, "2.999.12");
	SmDp *own = field.dp;
	guint8 wrong[65], scalar[32], first[65];

	for (guint i = 0; i < G_N_ELEMENTS(given_up); i++) {
		try_again(&field, NULL);
		g_assert_true(ifpp_ec_key_export(chip_memory(field.kit->chip)->retry, scalar, NULL));
		g_assert_cmpuint(lpa_cancel(field.lpa, field.dp, given_up[i]), ==, 0);
		g_assert_null(chip_memory(field.kit->chip)->retry);
		g_assert_false(in_file(&field, scalar));
		g_assert_false(try_again(&field, NULL));
	}
	/* another key than the chip's, and nothing that is a key */
	memcpy(wrong, field.dp->otpk, 65);
	wrong[64] ^= 1;
	field.dp->retry = wrong;
	g_assert_false(try_again(&field, NULL));
	/* another SM-DP+, which has heard of it; then it is the other's that is kept */
	memcpy(first, own->otpk, 65);
	other->retry = first;
	other->upp = own->upp;
	other->metadata = own->metadata;
	field.dp = other;
	g_assert_false(try_again(&field, NULL));
	g_assert_true(try_again(&field, NULL));
	field.dp = own;
	g_assert_false(try_again(&field, NULL));
	/* a package that is refused at its beginning, and a memory reset */
	{
		g_autoptr(GBytes) bpp = kit_seal(field.kit, own->otpk, NULL);
		g_autoptr(IfppPir) pir = NULL;
		guint16 sw;

		pir = kit_load(field.kit, bpp, &sw);
		kit_check_pir(field.kit, pir, FALSE, 0, 3);
	}
	g_assert_false(try_again(&field, NULL));
	assert_es10(field.kit, "bf3f09" "8007" "612e746573742e", SW_OK, "bf3f03800100");
	assert_es10(field.kit, "bf3404820205e0", SW_OK, "bf3403800100");
	g_assert_null(chip_memory(field.kit->chip)->retry);
	g_assert_false(try_again(&field, NULL));
}

/* An SM-DP+ that names a one-time key of the factory gets a new one, whatever became of that key. */
static void test_retry_factory_keys(void)
{
	g_auto(Field) field = field_new();
	g_autoptr(Kit) kit = kit_new(2);
	g_autoptr(IfppPir) pir = NULL;
	IfppOtk keys[2];
	Lpa *own = field.lpa;
	guint16 sw;

	{
		g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);

		memcpy(keys, info->keys->data, sizeof(keys));
	}
	pir = kit_load_next(kit, NULL, &sw);
	kit_check_pir(kit, pir, TRUE, 0, 0);
	assert_es10(kit, "bf2e00", SW_CONDITIONS, NULL);
	assert_es10(kit, "ff2300", SW_OK, "ff2306800100810101");
	smdp_free(field.dp);
	field.dp = smdp_new(kit->pki, kit->dir);
	field_offer(&field, 7);
	field.lpa = lpa_of_kit(kit);
	for (guint i = 0; i < 2; i++) {
		field.dp->retry = keys[i].point;
		g_assert_false(try_again(&field, NULL));
		g_assert_cmpuint(kit_prepare(kit, keys[i].key_id), ==, 9);
	}
	g_assert_cmpuint(chip_memory(kit->chip)->spent, ==, 1);
	g_assert_cmpuint(chip_memory(kit->chip)->dead->len, ==, 2);
	lpa_close(field.lpa);
	field.lpa = own;
}

/* Power lost at each write of a second try: the key serves it, or is gone; never both. */
static void test_retry_power_cuts(void)
{
	static const IfppChipMemFate fates[] = { IFPP_CHIPMEM_CUT_BEFORE, IFPP_CHIPMEM_CUT_DURING,
						 IFPP_CHIPMEM_CUT_AFTER };

	for (guint f = 0; f < G_N_ELEMENTS(fates); f++) {
		for (guint at = 1; at <= 2; at++) {	/* BF23, the result */
			g_auto(Field) field = field_new();
			g_autoptr(GBytes) prepared = NULL;
			g_autoptr(GBytes) bpp = NULL;
			Cut cut = { at, fates[f] };
			gboolean begun = at == 2 || fates[f] == IFPP_CHIPMEM_CUT_AFTER;
			gboolean done = at == 2 && fates[f] == IFPP_CHIPMEM_CUT_AFTER;
			const IfppChipMem *mem;

			try_again(&field, NULL);
			g_assert_true(try_again(&field, &prepared));
			bpp = smdp_get_bound_profile_package(field.dp, ifpp_span_bytes(prepared));
			chip_set_write_hook(field.kit->chip, cut_hook, &cut);
			g_assert_null(lpa_load(field.lpa, bpp));
			g_assert_false(chip_powered(field.kit->chip));
			kit_open(field.kit);
			mem = chip_memory(field.kit->chip);
			g_assert_cmpuint(mem->profiles->len, ==, done);
			g_assert_cmpuint(mem->notes->len, ==, begun);
			g_assert_cmpint(mem->retry != NULL, ==, !begun);
			g_assert_cmpint(try_again(&field, NULL), ==, !begun);
		}
	}
	/* and when it is made: what is not in the file was never told */
	for (guint f = 0; f < G_N_ELEMENTS(fates); f++) {
		g_auto(Field) field = field_new();
		g_autoptr(GBytes) authenticated = lpa_authenticate(field.lpa, field.dp);
		g_autoptr(GBytes) client = smdp_authenticate_client(field.dp, ifpp_span_bytes(authenticated));
		g_autoptr(GByteArray) command = g_byte_array_new();
		Cut cut = { 1, fates[f] };
		guint16 sw;

		ifpp_tlv_put_span(command, 0xBF21, ifpp_span_bytes(client));
		chip_set_write_hook(field.kit->chip, cut_hook, &cut);
		g_assert_null(kit_es10(field.kit, (IfppSpan){ command->data, command->len }, &sw));
		g_assert_cmphex(sw, ==, 0);
		kit_open(field.kit);
		g_assert_cmpint(chip_memory(field.kit->chip)->retry != NULL, ==,
				fates[f] == IFPP_CHIPMEM_CUT_AFTER);
		g_assert_false(try_again(&field, NULL));
	}
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

static GBytes *memory_file(Kit *kit)
{
	char *text;
	gsize len;

	g_assert_true(g_file_get_contents(kit->chip_file, &text, &len, NULL));
	return g_bytes_new_take(text, len);
}

/* The modem does what the card has asked for: a reset, after which the card still has power. */
static void after_refresh(Kit *kit)
{
	chip_power_reset(kit->chip);
	kit_open(kit);
}

/* EUICCF05: in use for a bounded time, while everything else is refused as before, and nothing of it is written. */
static void test_connectivity(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(GBytes) before = NULL, after = NULL;
	IfppUppApplication apps[IFPP_UPP_APPLICATIONS];
	guint16 sw;

	pir = kit_load_next(kit, &(KitSeal){ .serial = 1 }, &sw);
	kit_check_pir(kit, pir, TRUE, 0, 0);
	before = memory_file(kit);

	/* No such profile; no time, too much time, or no name; no test that could end. */
	with_iccid(kit, "ff250f80013c5a0a", 2, "", "ff2503800101");
	assert_es10(kit, "ff2503800100", SW_OK, "ff2503800101");
	assert_es10(kit, "ff250380013c", SW_WRONG_DATA, NULL);
	assert_es10(kit, "ff2500", SW_WRONG_DATA, NULL);
	{
		g_autofree char *iccid = iccid_hex(1), *command = g_strconcat("ff251080020e115a0a", iccid, NULL);

		assert_es10(kit, command, SW_WRONG_DATA, NULL);
	}
	g_assert_cmpuint(chip_applications(kit->chip, apps), ==, 0);

	with_iccid(kit, "ff250f80013c5a0a", 1, "", "ff2503800100");
	after_refresh(kit);
	g_assert_cmpuint(chip_applications(kit->chip, apps), >, 0);
	with_iccid(kit, "bf2d12a00c5a0a", 1, "5c029f70", "bf2d08a006e3049f700101");
	/* Still the factory: the services of the field and the next load are refused, a second test is as well. */
	assert_es10(kit, "bf3c00", SW_CONDITIONS, NULL);
	{
		g_autofree char *iccid = iccid_hex(1);
		g_autofree char *disable = g_strconcat("bf3211a00c5a0a", iccid, "8101ff", NULL);
		g_autofree char *delete = g_strconcat("bf330c5a0a", iccid, NULL);
		g_autofree char *id = ifpp_hex((IfppSpan){ g_array_index(chip_memory(kit->chip)->keys, IfppChipKey, 0).key_id, 32 });
		g_autofree char *prepare = g_strconcat("ff22248020", id, "a100", NULL);

		assert_es10(kit, disable, SW_CONDITIONS, NULL);
		assert_es10(kit, delete, SW_CONDITIONS, NULL);
		assert_es10(kit, prepare, SW_CONDITIONS, NULL);
	}
	with_iccid(kit, "ff250f80013c5a0a", 1, "", "ff2503800102");
	/* Ended. */
	assert_es10(kit, "ff2503800100", SW_OK, "ff2503800100");
	after_refresh(kit);
	g_assert_cmpuint(chip_applications(kit->chip, apps), ==, 0);
	with_iccid(kit, "bf2d12a00c5a0a", 1, "5c029f70", "bf2d08a006e3049f700100");

	/* Without power it is over, with its time it is over; and the memory has not seen any of it. */
	with_iccid(kit, "ff250f80013c5a0a", 1, "", "ff2503800100");
	chip_power_off(kit->chip);
	kit_open(kit);
	g_assert_cmpuint(chip_applications(kit->chip, apps), ==, 0);
	with_iccid(kit, "ff250f8001015a0a", 1, "", "ff2503800100");
	for (guint i = 0; chip_applications(kit->chip, apps); i++) {
		g_assert_cmpuint(i, <, 3000);
		g_usleep(10000);
	}
	after = memory_file(kit);
	g_assert_true(g_bytes_equal(before, after));

	/* A lock waits for no test; then there is none. */
	chip_power_off(kit->chip);
	kit_open(kit);
	with_iccid(kit, "ff250f80013c5a0a", 1, "", "ff2503800100");
	after_refresh(kit);
	{
		g_autofree char *receipt = kit_hex(kit, "ff24128010000102030405060708090a0b0c0d0e0f", &sw);

		g_assert_true(g_str_has_prefix(receipt, "ff24"));
	}
	g_assert_cmpuint(chip_applications(kit->chip, apps), ==, 0);
	assert_es10(kit, "ff2503800100", SW_CONDITIONS, NULL);
}

/* A chip of version 1 knows nothing of it. */
static void test_codec_1(void)
{
	g_autoptr(Kit) kit = kit_new(2);
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(IfppFactoryInfo) info = NULL, was = kit_info(kit, TRUE);
	guint16 sw;

	g_assert_cmpuint(was->version, ==, 3);
	chip_power_off(kit->chip);
	{
		g_autoptr(IfppChipMem) mem = ifpp_chipmem_load(kit->chip_file, NULL);

		mem->codec = 1;
		g_assert_true(ifpp_chipmem_commit(mem, NULL));
	}
	kit_open(kit);
	info = kit_info(kit, TRUE);
	g_assert_cmpuint(info->version, ==, 1);
	pir = kit_load_next(kit, &(KitSeal){ .serial = 1 }, &sw);
	kit_check_pir(kit, pir, TRUE, 0, 0);
	{
		g_autofree char *iccid = iccid_hex(1), *command = g_strconcat("ff250f80013c5a0a", iccid, NULL);

		assert_es10(kit, command, SW_NO_REFERENCE, NULL);
	}
	assert_es10(kit, "ff2600", SW_NO_REFERENCE, NULL);
}

/* All profiles and the records of them in one write, whenever power goes; the lock ends it. */
static void test_rework(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	guint16 sw;

	assert_es10(kit, "ff2600", SW_OK, "ff2606800101810100");
	assert_es10(kit, "ff260101", SW_WRONG_DATA, NULL);
	for (guint i = 1; i <= 2; i++) {
		g_autoptr(IfppPir) pir = kit_load_next(kit, &(KitSeal){ .serial = i }, &sw);

		kit_check_pir(kit, pir, TRUE, 0, 0);
	}
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 2);
	with_iccid(kit, "ff250f80013c5a0a", 1, "", "ff2503800100");
	assert_es10(kit, "ff2600", SW_CONDITIONS, NULL);	/* a test of connectivity runs */
	after_refresh(kit);
	assert_es10(kit, "ff2503800100", SW_OK, "ff2503800100");
	after_refresh(kit);
	assert_es10(kit, "ff2600", SW_OK, "ff2606800100810102");
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 0);
	g_assert_cmpuint(chip_memory(kit->chip)->keys->len, ==, 1);
	g_assert_cmpuint(chip_memory(kit->chip)->notes->len, ==, 4);
	for (guint i = 2; i < 4; i++) {
		const IfppChipNote *note = chip_memory(kit->chip)->notes->pdata[i];
		g_autoptr(GError) error = NULL;
		g_autoptr(IfppDeletion) deletion = ifpp_deletion_parse(note->bytes, &error);
		guint8 iccid[10];

		g_assert_no_error(error);
		g_assert_true(ifpp_deletion_verify(deletion, ifpp_span_bytes(chip_memory(kit->chip)->cert_euicc), NULL));
		g_assert_cmpuint(deletion->seq, ==, i + 1);
		profile_builtin_iccid(i - 1, iccid);
		g_assert_cmpmem(deletion->iccid, 10, iccid, 10);
	}
	/* The same profile again, for the key that is left; then the lock. */
	{
		g_autoptr(IfppPir) pir = kit_load_next(kit, &(KitSeal){ .serial = 1 }, &sw);
		g_autofree char *receipt = NULL;

		kit_check_pir(kit, pir, TRUE, 0, 0);
		receipt = kit_hex(kit, "ff24128010000102030405060708090a0b0c0d0e0f", &sw);
		g_assert_true(g_str_has_prefix(receipt, "ff24"));
	}
	assert_es10(kit, "ff2600", SW_CONDITIONS, NULL);
	g_assert_cmpuint(chip_memory(kit->chip)->profiles->len, ==, 1);
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
	g_test_add_func("/chip/owner-by-pattern", test_owner_by_pattern);
	g_test_add_func("/chip/metadata_whole", test_metadata_whole);
	g_test_add_func("/chip/memory", test_memory);
	g_test_add_func("/chip/iccid-lengths", test_iccid_lengths);
	g_test_add_func("/chip/chain-refused", test_chain_refused);
	g_test_add_func("/chip/interrupted", test_interrupted);
	g_test_add_func("/chip/wrong-order", test_wrong_order);
	g_test_add_func("/chip/power-cuts", test_power_cuts);
	g_test_add_func("/chip/power-cut-at-start", test_power_cut_at_start);
	g_test_add_func("/chip/lock", test_lock);
	g_test_add_func("/chip/gate", test_gate);
	g_test_add_func("/chip/connectivity_test", test_connectivity);
	g_test_add_func("/chip/rework", test_rework);
	g_test_add_func("/chip/codec-1", test_codec_1);
	g_test_add_func("/chip/field", test_field);
	g_test_add_func("/chip/classes", test_classes);
	g_test_add_func("/chip/field-power-cuts", test_field_power_cuts);
	g_test_add_func("/chip/download", test_download);
	g_test_add_func("/chip/download-refused", test_download_refused);
	g_test_add_func("/chip/retry", test_retry);
	g_test_add_func("/chip/retry-refused", test_retry_refused);
	g_test_add_func("/chip/retry-factory-keys", test_retry_factory_keys);
	g_test_add_func("/chip/retry-power-cuts", test_retry_power_cuts);
	g_test_add_func("/chip/reenabling", test_reenabling);
	g_test_add_func("/chip/memory-failure", test_memory_failure);
	g_test_add_func("/chip/garbage", test_garbage);
	return g_test_run();
}
