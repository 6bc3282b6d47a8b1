// SPDX-License-Identifier: GPL-2.0-or-later
/* The factory's side of the chip: FF21 to FF24, from version 2 of the codec on FF25, from 3 on FF26 (Documentation/chip-codec.rst). */
#include "chip-services.h"

#include <string.h>

#include "error.h"

/* Result of PrepareFactoryLoad, besides those of chip_check_chain() */
#define PREPARE_UNKNOWN_KEY 8
#define PREPARE_SPENT_KEY 9

/* Result of TestProfile, those of ES10c EnableProfile where there is the same */
#define TEST_OK 0
#define TEST_NO_PROFILE 1	/* or: no test to end */
#define TEST_WRONG_STATE 2	/* another one is enabled */
#define TEST_BUSY 5		/* a REFRESH waits */
#define TEST_SECONDS 3600

static guint16 put_result(GByteArray *out, guint32 tag, guint8 result)
{
	ifpp_tlv_put_header(out, tag, 3);
	ifpp_tlv_put(out, 0x80, &result, 1);
	return SW_OK;
}

static guint16 factory_info(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	guint64 detail;
	IfppTlv tlv;

	if (!ifpp_tlv_take(&value, 0x80, &tlv) || value.len || !ifpp_tlv_uint(&tlv, &detail, NULL) ||
	    detail > 1)
		return SW_WRONG_DATA;
	ifpp_chipmem_put_factory_info(chip->mem, detail == 1, !chip->quirks.getcerts, out);
	return SW_OK;
}

static guint16 prepare_load(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	const guint8 *point;
	IfppTlv id, chain;
	ChipLoad *load = &chip->load;
	g_autoptr(GBytes) oid = NULL;
	guint8 dp_point[65], result;
	int key;

	if (chip->mem->locked || chip_load_running(chip) || chip->test.until)
		return SW_CONDITIONS;
	if (!ifpp_tlv_take(&value, 0x80, &id) || id.value.len != 32 || !ifpp_tlv_take(&value, 0xA1, &chain) ||
	    value.len)
		return SW_WRONG_DATA;
	chip_load_clear(chip);
	key = ifpp_chipmem_find_key(chip->mem, id.value.data);
	if (key < 0)
		return put_result(out, IFPP_TAG_PREPARE_LOAD,
				  ifpp_chipmem_key_dead(chip->mem, id.value.data) ? PREPARE_SPENT_KEY :
										    PREPARE_UNKNOWN_KEY);
	result = chip_check_chain(chip, chain.value, IFPP_ROLE_DP_PB, dp_point, &oid);
	if (result != CHAIN_OK)
		return put_result(out, IFPP_TAG_PREPARE_LOAD, result);

	point = g_array_index(chip->mem->keys, IfppChipKey, key).point;
	load->stage = LOAD_PREPARED;
	load->channel = channel;
	load->factory = TRUE;
	memcpy(load->otpk, point, sizeof(load->otpk));
	memcpy(load->dp_point, dp_point, sizeof(load->dp_point));
	load->oid = g_steal_pointer(&oid);
	return put_result(out, IFPP_TAG_PREPARE_LOAD, CHAIN_OK);
}

static guint delete_all(Chip *chip)
{
	guint n = chip->mem->keys->len;

	while (chip->mem->keys->len)
		ifpp_chipmem_kill_key(chip->mem, chip->mem->keys->len - 1);
	return n;
}

static guint16 delete_keys(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *members;
	guint n;

	if (chip->mem->locked || chip_load_running(chip))
		return SW_CONDITIONS;
	if (value.len)
		return SW_WRONG_DATA;
	chip_load_clear(chip);
	chip_test_end(chip);
	n = delete_all(chip);
	if (n && !chip_commit(chip))
		return SW_MEMORY_FAILURE;
	members = g_byte_array_new();
	ifpp_tlv_put_uint(members, 0x80, n ? 0 : 1);	/* 1: nothing to delete */
	ifpp_tlv_put_uint(members, 0x81, n);
	chip_put(out, IFPP_TAG_DELETE_KEYS, members);
	return SW_OK;
}

static guint16 lock_services(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *fields, *receipt;
	IfppTlv challenge;
	guint8 sig[64];
	IfppSpan part;

	if (chip_load_running(chip))
		return SW_CONDITIONS;
	if (!ifpp_tlv_take(&value, 0x80, &challenge) || challenge.value.len != 16 || value.len)
		return SW_WRONG_DATA;
	if (!chip->mem->locked) {
		chip_load_clear(chip);
		chip_test_end(chip);
		delete_all(chip);
		chip->mem->locked = TRUE;
		chip->mem->lock_counter++;
		if (!chip_commit(chip))
			return SW_MEMORY_FAILURE;
	}
	/* Once locked, this changes nothing: it proves the lock again over a new challenge. */
	fields = g_byte_array_new();
	ifpp_tlv_put(fields, 0x80, chip->mem->eid, 16);
	ifpp_tlv_put_span(fields, 0x81, challenge.value);
	ifpp_tlv_put_uint(fields, 0x82, chip->mem->lock_counter);
	ifpp_tlv_put_uint(fields, 0x83, chip->mem->spent);
	receipt = g_byte_array_new();
	chip_put(receipt, 0x30, fields);
	part = chip_span(receipt);
	if (!chip_sign(chip, &part, 1, sig)) {
		g_byte_array_unref(receipt);
		return SW_MEMORY_FAILURE;
	}
	ifpp_tlv_put(receipt, 0x5F37, sig, sizeof(sig));
	chip_put(out, IFPP_TAG_LOCK, receipt);
	return SW_OK;
}

static guint8 begin_test(Chip *chip, guint64 seconds, const guint8 iccid[10])
{
	if (!ifpp_chipmem_find_iccid(chip->mem, iccid))
		return TEST_NO_PROFILE;
	if (chip->test.until || ifpp_chipmem_enabled(chip->mem))
		return TEST_WRONG_STATE;
	if (chip->refresh)
		return TEST_BUSY;
	chip->test.until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	memcpy(chip->test.iccid, iccid, sizeof(chip->test.iccid));
	chip->refresh = TRUE;
	return TEST_OK;
}

/* EUICCF05. Nothing of it is written: the chip that is switched on is as the factory left it. */
static guint16 test_profile(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppTlv tlv, iccid = { 0 };
	guint64 seconds;
	guint8 result = TEST_OK;

	if (chip->mem->codec < 2)
		return SW_NO_REFERENCE;
	/* Only between the first key and the last: afterwards the services of the field do it. */
	if (chip->mem->locked || !chip->mem->keys->len || chip_load_running(chip))
		return SW_CONDITIONS;
	if (!ifpp_tlv_take(&value, 0x80, &tlv) || !ifpp_tlv_uint(&tlv, &seconds, NULL) || seconds > TEST_SECONDS ||
	    (seconds && (!ifpp_tlv_take(&value, 0x5A, &iccid) || iccid.value.len != 10)) || value.len)
		return SW_WRONG_DATA;
	chip_load_clear(chip);
	if (seconds)
		result = begin_test(chip, seconds, iccid.value.data);
	else if (chip->test.until)
		chip_test_end(chip);
	else
		result = TEST_NO_PROFILE;
	return put_result(out, IFPP_TAG_TEST, result);
}

/* Result of Rework, those of ES10c DeleteProfile where there is the same */
#define REWORK_OK 0
#define REWORK_NOTHING 1
#define REWORK_ENABLED 2

/*
 * Every profile goes, and a record of each comes, in one write. Only the lock ends this: a chip without a key may hold the
 * wrong profile as well. A policy rule is the field's, as for eUICCMemoryReset.
 */
static guint16 rework(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppChipMem *mem = chip->mem;
	GByteArray *members;
	guint n = mem->profiles->len;
	guint8 result = n ? REWORK_OK : REWORK_NOTHING;

	if (mem->codec < 3)
		return SW_NO_REFERENCE;
	if (mem->locked || chip_load_running(chip) || chip->test.until)
		return SW_CONDITIONS;
	if (value.len)
		return SW_WRONG_DATA;
	if (ifpp_chipmem_enabled(mem))
		result = REWORK_ENABLED;
	if (result == REWORK_OK) {
		chip_load_clear(chip);
		for (guint i = 0; i < n; i++)
			if (!chip_note_rework(chip, g_ptr_array_index(mem->profiles, i)))
				return SW_MEMORY_FAILURE;
		g_ptr_array_set_size(mem->profiles, 0);
		chip->has_last = FALSE;
		if (!chip_commit(chip))
			return SW_MEMORY_FAILURE;
	}
	members = g_byte_array_new();
	ifpp_tlv_put_uint(members, 0x80, result);
	ifpp_tlv_put_uint(members, 0x81, result == REWORK_OK ? n : 0);
	chip_put(out, IFPP_TAG_REWORK, members);
	return SW_OK;
}

const ChipService chip_factory_services[] = {
	{ IFPP_TAG_FACTORY_INFO, SERVE_WITH_KEYS | SERVE_IN_LOAD, factory_info },
	{ IFPP_TAG_PREPARE_LOAD, SERVE_WITH_KEYS, prepare_load },
	{ IFPP_TAG_DELETE_KEYS, SERVE_WITH_KEYS, delete_keys },
	{ IFPP_TAG_LOCK, SERVE_WITH_KEYS, lock_services },
	{ IFPP_TAG_TEST, SERVE_WITH_KEYS, test_profile },
	{ IFPP_TAG_REWORK, SERVE_WITH_KEYS, rework },
	{ 0 }
};
