// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an IPA finds in an IoT eUICC, as far as a factory meets it: ES10a and ES10b of SGP.32 (5.8, 5.9). The signed
 * packages of an eIM (BF51) are the field's; the eIM's end of them is not here.
 */
#include "chip-services.h"

#include <string.h>

#include "eim.h"

/* addInitialEimError */
enum {
	EIM_OK = 0,
	EIM_NO_MEMORY = 1,
	EIM_EXISTS = 2,
	EIM_UNKNOWN_CI = 3,
	EIM_BAD_TOKEN = 5,
	EIM_COMMAND_ERROR = 7,
};

/* immediateEnableResult; the others are those of EnableProfile */
#define IMMEDIATE_NOT_AVAILABLE 1
#define IMMEDIATE_NO_CONTEXT 4
#define RESULT_CAT_BUSY 5
#define RESULT_UNDEFINED 127

#define NOTHING_TO_DELETE 1

static guint16 put_result(GByteArray *out, guint32 tag, guint8 result)
{
	ifpp_tlv_put_header(out, tag, 3);
	ifpp_tlv_put(out, 0x80, &result, 1);
	return SW_OK;
}

/* ------------------------------------------------------------------ eIMs */

/* BF55 { A0 { 80 eimId } ? }: one of them, or all */
static guint16 get_eims(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppSpan in = chip_span(chip->mem->eims);
	GByteArray *list, *members;
	IfppTlv search, id = { 0 }, tlv;
	IfppEim eim;

	if (ifpp_tlv_take(&value, 0xA0, &search) && (!ifpp_tlv_take(&search.value, 0x80, &id) || search.value.len))
		return SW_WRONG_DATA;
	if (value.len)
		return SW_WRONG_DATA;
	list = g_byte_array_new();
	while (ifpp_tlv_take(&in, 0x30, &tlv))
		if (!id.whole.len || (ifpp_eim_parse(tlv.whole, &eim, NULL) && ifpp_span_equal(eim.id, id.value)))
			g_byte_array_append(list, tlv.whole.data, tlv.whole.len);
	members = g_byte_array_new();
	chip_put(members, 0xA0, list);
	chip_put(out, 0xBF55, members);
	return SW_OK;
}

/* Append @eim, with a token of ours where it asks for one. */
static void keep_eim(Chip *chip, const IfppEim *eim, GByteArray *kept, GByteArray *answers)
{
	GByteArray *part = g_byte_array_new();
	IfppTlv whole, tlv;
	IfppSpan in = eim->whole;

	ifpp_tlv_next(&in, &whole, NULL);
	for (in = whole.value; ifpp_tlv_next(&in, &tlv, NULL);) {
		if (tlv.tag == 0x84) {
			ifpp_tlv_put_uint(part, 0x84, ++chip->mem->tokens);
			ifpp_tlv_put_uint(answers, 0x84, chip->mem->tokens);
		} else {
			g_byte_array_append(part, tlv.whole.data, tlv.whole.len);
		}
	}
	if (!eim->token.len)
		ifpp_tlv_put(answers, 0x05, NULL, 0);	/* addOk */
	chip_put(kept, 0x30, part);
}

static gboolean has_eim(const GByteArray *kept, IfppSpan id)
{
	IfppSpan in = chip_span(kept);
	IfppTlv tlv;
	IfppEim eim;

	while (ifpp_tlv_take(&in, 0x30, &tlv))
		if (ifpp_eim_parse(tlv.whole, &eim, NULL) && ifpp_span_equal(eim.id, id))
			return TRUE;
	return FALSE;
}

static guint8 check_eim(Chip *chip, IfppSpan in, const GByteArray *kept, IfppEim *eim)
{
	guint8 ski[20];

	if (!ifpp_eim_parse(in, eim, NULL) || has_eim(kept, eim->id))
		return EIM_COMMAND_ERROR;
	if (eim->token.len && (eim->token.len != 1 || eim->token.data[0] != IFPP_EIM_NEW_TOKEN))
		return EIM_BAD_TOKEN;
	if (eim->ci.len && (!ifpp_cert_ski(ifpp_span_bytes(chip->mem->ci), ski, NULL) ||
			    !ifpp_span_equal(eim->ci, IFPP_SPAN(ski))))
		return EIM_UNKNOWN_CI;
	return kept->len + in.len > IFPP_CHIP_EIMS_MAX ? EIM_NO_MEMORY : EIM_OK;
}

/* BF57 { A0 { EimConfigurationData... } }: all of them or none, and only while there is none */
static guint16 add_initial_eim(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *members = g_byte_array_new(), *answers = g_byte_array_new();
	g_autoptr(GByteArray) kept = g_byte_array_new();
	guint8 result = EIM_OK;
	IfppTlv list, tlv;
	IfppEim eim;

	if (!ifpp_tlv_take(&value, 0xA0, &list) || value.len || !list.value.len)
		result = EIM_COMMAND_ERROR;
	else if (chip->mem->eims->len)
		result = EIM_EXISTS;
	while (result == EIM_OK && list.value.len) {
		result = ifpp_tlv_take(&list.value, 0x30, &tlv) ? check_eim(chip, tlv.whole, kept, &eim) :
								 EIM_COMMAND_ERROR;
		if (result == EIM_OK)
			keep_eim(chip, &eim, kept, answers);
	}
	if (result == EIM_OK) {
		g_byte_array_append(chip->mem->eims, kept->data, kept->len);
		chip->stats.nvm_bytes += kept->len;
		if (!chip_commit(chip)) {
			g_byte_array_unref(members);
			g_byte_array_unref(answers);
			return SW_MEMORY_FAILURE;
		}
		chip_put(members, 0xA0, answers);
	} else {
		g_byte_array_unref(answers);
		ifpp_tlv_put_uint(members, 0x81, result);
	}
	chip_put(out, 0xBF57, members);
	return SW_OK;
}

/* ------------------------------------------------------------------ certificates */

/* [n] Certificate: the tag takes the place of the SEQUENCE's */
static void put_cert(GByteArray *out, guint32 tag, GBytes *cert)
{
	IfppSpan in = ifpp_span_bytes(cert);
	IfppTlv tlv;

	if (ifpp_tlv_take(&in, 0x30, &tlv))
		ifpp_tlv_put_span(out, tag, tlv.value);
}

/* BF56 { 80 euiccCiPKId ? } */
static guint16 get_certs(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *members, *certs;
	guint8 ski[20];
	IfppTlv ci;

	if (ifpp_tlv_take(&value, 0x80, &ci) && (!ifpp_cert_ski(ifpp_span_bytes(chip->mem->ci), ski, NULL) ||
						 !ifpp_span_equal(ci.value, IFPP_SPAN(ski)))) {
		ifpp_tlv_put(out, CHIP_TAG_GET_CERTS, (guint8[]){ 0x81, 0x01, 0x01 }, 3);	/* invalidCiPKId */
		return SW_OK;
	}
	if (value.len)
		return SW_WRONG_DATA;
	certs = g_byte_array_new();
	put_cert(certs, 0xA5, chip->mem->cert_eum);
	put_cert(certs, 0xA6, chip->mem->cert_euicc);
	members = g_byte_array_new();
	chip_put(members, 0xA0, certs);
	chip_put(out, CHIP_TAG_GET_CERTS, members);
	return SW_OK;
}

/* ------------------------------------------------------------------ enabling at once */

/* BF59 { 80 NULL ?, 81 OID ?, 82 address ? }: the IPA's only while there is no eIM, whose decision it is then */
static guint16 configure_immediate(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppTlv flag, oid, address;
	gboolean on = ifpp_tlv_take(&value, 0x80, &flag);

	ifpp_tlv_take(&value, 0x81, &oid);
	ifpp_tlv_take(&value, 0x82, &address);
	if (value.len || (on && flag.value.len))
		return SW_WRONG_DATA;
	if (chip->mem->eims->len)
		return put_result(out, 0xBF59, EIM_EXISTS);
	chip->mem->immediate = on;
	return chip_commit(chip) ? put_result(out, 0xBF59, EIM_OK) : SW_MEMORY_FAILURE;
}

/* BF5A { 80 refreshFlag }: the profile that was installed last */
static guint16 immediate_enable(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppChipProfile *profile;
	IfppTlv refresh;
	guint8 result;

	if (!ifpp_tlv_take(&value, 0x80, &refresh) || refresh.value.len != 1 || value.len)
		return SW_WRONG_DATA;
	if (!chip->mem->immediate)
		return put_result(out, 0xBF5A, IMMEDIATE_NOT_AVAILABLE);
	profile = chip->has_last ? ifpp_chipmem_find_iccid(chip->mem, chip->last) : NULL;
	if (!profile)
		return put_result(out, 0xBF5A, IMMEDIATE_NO_CONTEXT);
	if (chip_enable(chip, profile, refresh.value.data[0] != 0, &result) != SW_OK)
		return SW_MEMORY_FAILURE;
	if (!result)
		chip->has_last = FALSE;
	return put_result(out, 0xBF5A, !result || result == RESULT_CAT_BUSY ? result : RESULT_UNDEFINED);
}

/* ------------------------------------------------------------------ the rest */

/* BF64 { 82 bits: as BF34, and the eIMs and the configuration of immediate enabling } */
static guint16 memory_reset(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	guint8 what, result, eims = NOTHING_TO_DELETE;
	GByteArray *members;
	IfppTlv tlv;

	if (!ifpp_tlv_take(&value, 0x82, &tlv) || value.len)
		return SW_WRONG_DATA;
	what = chip_bits(&tlv);
	if (chip_reset(chip, what, &result) != SW_OK)
		return SW_MEMORY_FAILURE;
	members = g_byte_array_new();
	ifpp_tlv_put(members, 0x80, &result, 1);
	if (result != RESULT_CAT_BUSY && (what & (CHIP_RESET_EIMS | CHIP_RESET_IMMEDIATE))) {
		if ((what & CHIP_RESET_EIMS) && chip->mem->eims->len) {
			g_byte_array_set_size(chip->mem->eims, 0);
			eims = EIM_OK;
		}
		if (what & CHIP_RESET_IMMEDIATE)
			chip->mem->immediate = FALSE;
		if (!chip_commit(chip)) {
			g_byte_array_unref(members);
			return SW_MEMORY_FAILURE;
		}
		if (what & CHIP_RESET_EIMS)
			ifpp_tlv_put(members, 0x81, &eims, 1);
		if (what & CHIP_RESET_IMMEDIATE)
			ifpp_tlv_put(members, 0x82, (guint8[]){ 0 }, 1);
	}
	chip_put(out, 0xBF64, members);
	return SW_OK;
}

static guint16 set_dp_address(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	gboolean stored;

	if (!chip_take_dp_address(chip, value, &stored))
		return SW_WRONG_DATA;
	return stored ? put_result(out, 0xBF65, 0) : SW_MEMORY_FAILURE;
}

/* There is nothing to go back to: no eIM has enabled a profile with a way back. */
static guint16 roll_back(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	return put_result(out, 0xBF58, 1);		/* rollbackNotAllowed */
}

/* Neither eCall nor fallback, as EUICCInfo2 says. */
static guint16 enable_emergency(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	return put_result(out, 0xBF5B, 8);		/* ecallNotAvailable */
}

static guint16 disable_emergency(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	return put_result(out, 0xBF5C, 8);
}

static guint16 fall_back(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	return put_result(out, 0xBF5D, 6);		/* fallbackNotAvailable */
}

static guint16 return_from_fallback(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	return put_result(out, 0xBF5E, 6);
}

static guint16 connectivity_parameters(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ifpp_tlv_put(out, 0xBF5F, (guint8[]){ 0x81, 0x01, 0x01 }, 3);	/* parametersNotAvailable */
	return SW_OK;
}

/* EUICCF04: an IPA's services like an LPA's. Certificates are no secret, and the factory needs them. */
const ChipService chip_iot_services[] = {
	{ 0xBF55, 0, get_eims },
	{ CHIP_TAG_GET_CERTS, SERVE_WITH_KEYS, get_certs },
	{ 0xBF57, 0, add_initial_eim },
	{ 0xBF58, 0, roll_back },
	{ 0xBF59, 0, configure_immediate },
	{ 0xBF5A, 0, immediate_enable },
	{ 0xBF5B, 0, enable_emergency },
	{ 0xBF5C, 0, disable_emergency },
	{ 0xBF5D, 0, fall_back },
	{ 0xBF5E, 0, return_from_fallback },
	{ 0xBF5F, 0, connectivity_parameters },
	{ 0xBF64, 0, memory_reset },
	{ 0xBF65, 0, set_dp_address },
	{ 0 }
};
