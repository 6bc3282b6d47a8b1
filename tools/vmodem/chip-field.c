// SPDX-License-Identifier: GPL-2.0-or-later
/* Field services: ES10c, ES10a, the lists of ES10b (SGP.22 5.7), and who may be served when. */
#include "chip-services.h"

#include <string.h>

#define ROOT_DS "testrootsmds.example.com"

#define EVENT_ENABLE 0x40
#define EVENT_DISABLE 0x20
#define EVENT_DELETE 0x10

#define PPR_NO_DISABLE 0x40	/* BIT STRING: bit 0 is update control */
#define PPR_NO_DELETE 0x20

#define CLASS_TEST 0
#define CLASS_OPERATIONAL 2

enum {
	RESULT_OK = 0,
	RESULT_NOT_FOUND = 1,		/* nothing to delete, as the case may be */
	RESULT_WRONG_STATE = 2,
	RESULT_POLICY = 3,
	RESULT_WRONG_REENABLING = 4,
	RESULT_CAT_BUSY = 5,
	RESULT_UNDEFINED = 127,
};

static guint16 put_result(GByteArray *out, guint32 tag, guint8 result)
{
	ifpp_tlv_put_header(out, tag, 3);
	ifpp_tlv_put(out, 0x80, &result, 1);
	return SW_OK;
}

static GByteArray *put_undefined(void)
{
	GByteArray *members = g_byte_array_new();

	ifpp_tlv_put_uint(members, 0x81, RESULT_UNDEFINED);
	return members;
}

/* BIT STRING of one event: the unused bits are those below it. */
static void put_event(GByteArray *out, guint32 tag, guint8 event)
{
	ifpp_tlv_put(out, tag, (guint8[]){ g_bit_nth_lsf(event, -1), event }, 2);
}

/* ------------------------------------------------------------------ notifications */

static void put_note_metadata(GByteArray *out, guint64 seq, guint8 event, IfppSpan address,
			      const guint8 *iccid)
{
	GByteArray *part = g_byte_array_new();

	ifpp_tlv_put_uint(part, 0x80, seq);
	put_event(part, 0x81, event);
	ifpp_tlv_put_span(part, 0x0C, address);
	if (iccid)
		ifpp_tlv_put(part, 0x5A, iccid, 10);
	chip_put(out, 0xBF2F, part);
}

typedef struct {
	Chip *chip;
	IfppChipProfile *profile;
	guint8 event;
	gboolean failed;
} Notify;

/* OtherSignedNotification: 30 { BF2F, 5F37 over BF2F, CERT.EUICC, CERT.EUM } */
static gboolean add_note(IfppSpan address, gpointer user)
{
	Notify *notify = user;
	IfppChipMem *mem = notify->chip->mem;
	GByteArray *part = g_byte_array_new(), *whole = g_byte_array_new();
	IfppChipNote *note;
	IfppSpan span;
	guint8 sig[64];

	put_note_metadata(part, mem->next_seq, notify->event, address, notify->profile->iccid);
	span = chip_span(part);
	if (!chip_sign(notify->chip, &span, 1, sig)) {
		notify->failed = TRUE;
		g_byte_array_unref(part);
		g_byte_array_unref(whole);
		return FALSE;
	}
	ifpp_tlv_put(part, 0x5F37, sig, sizeof(sig));
	g_byte_array_append(part, g_bytes_get_data(mem->cert_euicc, NULL), g_bytes_get_size(mem->cert_euicc));
	g_byte_array_append(part, g_bytes_get_data(mem->cert_eum, NULL), g_bytes_get_size(mem->cert_eum));
	chip_put(whole, 0x30, part);

	note = g_new0(IfppChipNote, 1);
	note->seq = mem->next_seq++;
	note->events = notify->event;
	note->address = g_strndup((const char *)address.data, address.len);
	note->has_iccid = TRUE;
	memcpy(note->iccid, notify->profile->iccid, 10);
	notify->chip->stats.nvm_bytes += whole->len;
	note->bytes = g_byte_array_free_to_bytes(whole);
	ifpp_chipmem_add_note(mem, note);
	return TRUE;
}

static gboolean notify_all(Chip *chip, IfppChipProfile *profile, guint8 event)
{
	Notify notify = { chip, profile, event, FALSE };

	/* Test profiles have nobody to tell (SGP.22 2.4.5.3). */
	if (profile->profile_class == CLASS_TEST)
		return TRUE;
	chip_for_each_address(ifpp_span_bytes(profile->metadata), event, add_note, &notify);
	return !notify.failed;
}

gboolean chip_note_rework(Chip *chip, IfppChipProfile *profile)
{
	Notify notify = { chip, profile, EVENT_DELETE, FALSE };

	add_note((IfppSpan){ (const guint8 *)"", 0 }, &notify);
	return !notify.failed;
}

/* BF28 { 81 event bits ? } */
static guint16 list_notifications(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *list = g_byte_array_new(), *members = g_byte_array_new();
	guint8 filter = 0xF0;
	IfppTlv tlv;

	if (ifpp_tlv_take(&value, 0x81, &tlv))
		filter = chip_bits(&tlv);
	if (value.len) {
		g_byte_array_unref(list);
		g_byte_array_unref(members);
		chip_put(out, 0xBF28, put_undefined());
		return SW_OK;
	}
	for (guint i = 0; i < chip->mem->notes->len; i++) {
		IfppChipNote *note = g_ptr_array_index(chip->mem->notes, i);

		if (note->events & filter)
			put_note_metadata(list, note->seq, note->events,
					  (IfppSpan){ (guint8 *)note->address, strlen(note->address) },
					  note->has_iccid ? note->iccid : NULL);
	}
	chip_put(members, 0xA0, list);
	chip_put(out, 0xBF28, members);
	return SW_OK;
}

/* A compact result (SGP.32 5.9.11): without address, ICCID and smdpOid, and of the AID what is its own. */
static void put_compact_result(IfppSpan pir, GByteArray *out)
{
	static const guint8 usual[] = { 0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, 0x00 };
	GByteArray *final = g_byte_array_new(), *data = g_byte_array_new(), *whole = g_byte_array_new();
	IfppTlv tlv, note, seq, bf27, result, aid, sima;

	ifpp_tlv_take(&pir, 0xBF27, &bf27);
	ifpp_tlv_find(bf27.value, 0x80, &tlv);
	g_byte_array_append(data, tlv.whole.data, tlv.whole.len);
	ifpp_tlv_find(bf27.value, 0xBF2F, &note);
	ifpp_tlv_find(note.value, 0x80, &seq);
	ifpp_tlv_put_span(data, 0x02, seq.value);
	if (!ifpp_tlv_find(note.value, 0x5A, &tlv))
		ifpp_tlv_put(data, 0x01, (guint8[]){ 0 }, 1);
	ifpp_tlv_find(bf27.value, 0xA2, &result);
	if (ifpp_tlv_find(result.value, 0xA0, &tlv) && ifpp_tlv_find(tlv.value, 0x4F, &aid) &&
	    ifpp_tlv_find(tlv.value, 0x04, &sima)) {
		GByteArray *success = g_byte_array_new();

		ifpp_tlv_put(success, 0x4F, aid.value.data + 13, 2);
		if (!ifpp_span_equal(sima.value, IFPP_SPAN(usual)))
			g_byte_array_append(success, sima.whole.data, sima.whole.len);
		chip_put(final, 0xA0, success);
	} else {
		g_byte_array_append(final, result.value.data, result.value.len);
	}
	chip_put(data, 0xA2, final);
	chip_put(whole, 0xA0, data);
	ifpp_tlv_take(&pir, 0x5F37, &tlv);
	g_byte_array_append(whole, tlv.whole.data, tlv.whole.len);
	chip_put(out, 0xA0, whole);
}

/* As it is kept, or compact; that of another notification lacks the certificates. */
static void put_note(Chip *chip, const IfppChipNote *note, GByteArray *out)
{
	IfppSpan in = ifpp_span_bytes(note->bytes);
	IfppTlv whole, metadata, signature;
	GByteArray *part;

	if (!chip->quirks.compact || !ifpp_tlv_next(&(IfppSpan){ in.data, in.len }, &whole, NULL)) {
		g_byte_array_append(out, in.data, in.len);
	} else if (whole.tag == IFPP_TAG_PIR) {
		put_compact_result(whole.value, out);
	} else if (ifpp_tlv_find(whole.value, 0xBF2F, &metadata) && ifpp_tlv_find(whole.value, 0x5F37, &signature)) {
		part = g_byte_array_new();
		g_byte_array_append(part, metadata.whole.data, metadata.whole.len);
		g_byte_array_append(part, signature.whole.data, signature.whole.len);
		chip_put(out, 0xA1, part);
	}
}

/* BF2B { A0 { 80 seqNumber | 81 event bits } ? } */
static guint16 retrieve_notifications(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *list = g_byte_array_new(), *members = g_byte_array_new();
	gboolean by_seq = FALSE;
	guint8 filter = 0xF0;
	gboolean sound = TRUE;
	guint64 seq = 0;
	IfppTlv search, tlv;

	if (ifpp_tlv_take(&value, 0xA0, &search)) {
		if (ifpp_tlv_take(&search.value, 0x81, &tlv))
			filter = chip_bits(&tlv);
		else if (ifpp_tlv_take(&search.value, 0x80, &tlv) && ifpp_tlv_uint(&tlv, &seq, NULL))
			by_seq = TRUE;
		else
			sound = FALSE;
		sound &= !search.value.len;
	}
	sound &= !value.len;
	for (guint i = 0; sound && i < chip->mem->notes->len; i++) {
		IfppChipNote *note = g_ptr_array_index(chip->mem->notes, i);

		if (by_seq ? note->seq == seq : (note->events & filter) != 0)
			put_note(chip, note, list);
	}
	if (list->len) {
		chip_put(members, 0xA0, list);
	} else {
		g_byte_array_unref(list);
		ifpp_tlv_put_uint(members, 0x81, sound ? 1 : RESULT_UNDEFINED);	/* noResultAvailable */
	}
	chip_put(out, 0xBF2B, members);
	return SW_OK;
}

/* BF30 { 80 seqNumber } */
static guint16 remove_notification(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	guint64 seq;
	IfppTlv tlv;

	if (!ifpp_tlv_take(&value, 0x80, &tlv) || value.len || !ifpp_tlv_uint(&tlv, &seq, NULL))
		return SW_WRONG_DATA;
	for (guint i = 0; i < chip->mem->notes->len; i++) {
		IfppChipNote *note = g_ptr_array_index(chip->mem->notes, i);

		if (note->seq != seq)
			continue;
		g_ptr_array_remove_index(chip->mem->notes, i);
		if (!chip_commit(chip))
			return SW_MEMORY_FAILURE;
		return put_result(out, 0xBF30, RESULT_OK);
	}
	return put_result(out, 0xBF30, RESULT_NOT_FOUND);
}

/* ------------------------------------------------------------------ profiles */

/* 4F AID or 5A ICCID; 18 digits may come without their padding. */
static gboolean parse_id(IfppSpan *in, Chip *chip, IfppChipProfile **profile)
{
	guint8 iccid[10];
	IfppTlv tlv;

	if (ifpp_tlv_take(in, 0x4F, &tlv)) {
		*profile = ifpp_chipmem_find_aid(chip->mem, tlv.value);
		return TRUE;
	}
	if (!ifpp_tlv_take(in, 0x5A, &tlv) || tlv.value.len < 9 || tlv.value.len > 10)
		return FALSE;
	memset(iccid, 0xFF, sizeof(iccid));
	memcpy(iccid, tlv.value.data, tlv.value.len);
	*profile = ifpp_chipmem_find_iccid(chip->mem, iccid);
	return TRUE;
}

static guint8 policy_rules(IfppChipProfile *profile)
{
	IfppTlv tlv;

	return ifpp_tlv_find(ifpp_span_bytes(profile->metadata), 0x99, &tlv) ? chip_bits(&tlv) : 0;
}

static gboolean wanted(IfppSpan tags, gboolean have_list, guint32 tag, gboolean by_default)
{
	if (!have_list)
		return by_default;
	while (tags.len) {
		guint32 t = tags.data[0];
		gsize n = 1;

		if ((t & 0x1F) == 0x1F && tags.len > 1) {
			t = t << 8 | tags.data[1];
			n = 2;
		}
		if (t == tag)
			return TRUE;
		tags.data += n;
		tags.len -= n;
	}
	return FALSE;
}

/* E3: tags in the order of ProfileInfo, those asked for or the usual ones. */
static void put_profile(Chip *chip, GByteArray *out, IfppChipProfile *profile, IfppSpan tags, gboolean have_list)
{
	static const struct {
		guint32 tag;
		gboolean by_default;
	} order[] = {
		{ 0x5A, TRUE }, { 0x4F, TRUE }, { 0x9F70, TRUE }, { 0x90, TRUE }, { 0x91, TRUE },
		{ 0x92, TRUE },
		{ 0x93, TRUE }, { 0x94, TRUE }, { 0x95, TRUE }, { 0xB6, FALSE }, { 0xB7, FALSE },
		{ 0xB8, FALSE }, { 0x99, FALSE }, { 0xBF22, FALSE },
		{ 0xBF76, FALSE },
		/* SGP.32: fallbackAttribute, which no eIM has set yet; fallbackAllowed, iotSpecificProfileInfo */
		{ 0x9F26, FALSE }, { 0x9F67, FALSE }, { 0xBF64, FALSE },
	};
	GByteArray *e3 = g_byte_array_new();
	guint8 enabled = profile == chip_enabled(chip);
	IfppTlv tlv;

	for (guint i = 0; i < G_N_ELEMENTS(order); i++) {
		if (!wanted(tags, have_list, order[i].tag, order[i].by_default))
			continue;
		switch (order[i].tag) {
		case 0x5A:
			ifpp_tlv_put(e3, 0x5A, profile->iccid, 10);
			break;
		case 0x4F:
			ifpp_tlv_put(e3, 0x4F, profile->aid, 16);
			break;
		case 0x9F70:
			ifpp_tlv_put(e3, 0x9F70, &enabled, 1);
			break;
		case 0x90:
			if (profile->nickname)
				ifpp_tlv_put(e3, 0x90, profile->nickname, strlen(profile->nickname));
			break;
		case 0x95:
			ifpp_tlv_put_uint(e3, 0x95, profile->profile_class);
			break;
		case 0x9F26:
			if (chip->mem->iot)
				ifpp_tlv_put(e3, 0x9F26, (guint8[]){ 0 }, 1);
			break;
		default:
			if (ifpp_tlv_find(ifpp_span_bytes(profile->metadata), order[i].tag, &tlv))
				g_byte_array_append(e3, tlv.whole.data, tlv.whole.len);
		}
	}
	chip_put(out, 0xE3, e3);
}

/* BF2D { A0 { 5A | 4F | 95 } ?, 5C tagList ? } */
static guint16 profiles_info(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *list, *members;
	IfppChipProfile *only = NULL;
	gboolean by_id = FALSE, have_list;
	IfppTlv search, tags = { 0 }, tlv;
	guint64 cls = 3;

	if (ifpp_tlv_take(&value, 0xA0, &search)) {
		if (ifpp_tlv_take(&search.value, 0x95, &tlv)) {
			if (!ifpp_tlv_uint(&tlv, &cls, NULL))
				cls = 4;	/* matches none */
		} else if (parse_id(&search.value, chip, &only)) {
			by_id = TRUE;
		} else {
			goto bad;
		}
		if (search.value.len)
			goto bad;
	}
	have_list = ifpp_tlv_take(&value, 0x5C, &tags);
	if (value.len)
		goto bad;
	list = g_byte_array_new();
	for (guint i = 0; i < chip->mem->profiles->len; i++) {
		IfppChipProfile *profile = g_ptr_array_index(chip->mem->profiles, i);

		if ((!by_id || profile == only) && (cls == 3 || profile->profile_class == cls))
			put_profile(chip, list, profile, tags.value, have_list);
	}
	members = g_byte_array_new();
	chip_put(members, 0xA0, list);
	chip_put(out, 0xBF2D, members);
	return SW_OK;
bad:
	ifpp_tlv_put(out, 0xBF2D, (guint8[]){ 0x81, 0x01, 0x01 }, 3);	/* incorrectInputValues */
	return SW_OK;
}

static gboolean is_test(const IfppChipProfile *profile)
{
	return profile && profile->profile_class == CLASS_TEST;
}

/*
 * SGP.22 5.7.16: PPR1 keeps the enabled profile enabled, but not against a test or a provisioning profile.
 * What a test profile took the place of is the only one that may follow it, besides another test profile.
 */
static guint8 may_enable(const IfppChipProfile *profile, IfppChipProfile *current)
{
	if (!current)
		return RESULT_OK;
	if (is_test(current))
		return is_test(profile) || profile->ousted ? RESULT_OK : RESULT_WRONG_REENABLING;
	if (profile->profile_class == CLASS_OPERATIONAL && (policy_rules(current) & PPR_NO_DISABLE))
		return RESULT_POLICY;
	return RESULT_OK;
}

/* SGP.22 3.1.5: the RSP session does not outlive a change of profile. */
static void end_session(Chip *chip)
{
	chip_session_clear(chip);
	chip_load_clear(chip);
}

/* Set the state and tell who wants to know; the caller commits. */
static gboolean set_state(Chip *chip, IfppChipProfile *profile, gboolean enabled)
{
	profile->enabled = enabled;
	return notify_all(chip, profile, enabled ? EVENT_ENABLE : EVENT_DISABLE);
}

/* The new state of @profile, and what becomes of the one that is enabled. FALSE: as chip_commit() */
static gboolean switch_profile(Chip *chip, IfppChipProfile *profile, gboolean enable, gboolean refresh)
{
	IfppChipProfile *current = ifpp_chipmem_enabled(chip->mem);
	gboolean ok = TRUE;

	end_session(chip);
	if (!enable || !is_test(profile) || !is_test(current))
		for (guint i = 0; i < chip->mem->profiles->len; i++)
			((IfppChipProfile *)g_ptr_array_index(chip->mem->profiles, i))->ousted = FALSE;
	if (current) {
		current->ousted = enable && is_test(profile) && !is_test(current);
		ok = set_state(chip, current, FALSE);
	}
	if (ok && enable)
		ok = set_state(chip, profile, TRUE);
	if (!ok || !chip_commit(chip))
		return FALSE;
	chip->refresh |= refresh;
	return TRUE;
}

guint16 chip_enable(Chip *chip, IfppChipProfile *profile, gboolean refresh, guint8 *result)
{
	if (!profile)
		*result = RESULT_NOT_FOUND;
	else if (profile->enabled)
		*result = RESULT_WRONG_STATE;
	else
		*result = may_enable(profile, ifpp_chipmem_enabled(chip->mem));
	/* The terminal has not answered the last REFRESH: a proactive session is open. */
	if (*result == RESULT_OK && chip->refresh)
		*result = RESULT_CAT_BUSY;
	return *result != RESULT_OK || switch_profile(chip, profile, TRUE, refresh) ? SW_OK : SW_MEMORY_FAILURE;
}

/* { A0 { 4F | 5A }, 81 refreshFlag } */
static gboolean parse_switch(Chip *chip, IfppSpan value, IfppChipProfile **profile, gboolean *by_iccid, gboolean *refresh)
{
	IfppTlv id, flag;

	if (!ifpp_tlv_take(&value, 0xA0, &id))
		return FALSE;
	*by_iccid = id.value.len && id.value.data[0] == 0x5A;
	if (!parse_id(&id.value, chip, profile) || id.value.len || !ifpp_tlv_take(&value, 0x81, &flag) ||
	    flag.value.len != 1 || value.len)
		return FALSE;
	*refresh = flag.value.data[0] != 0;
	return TRUE;
}

static guint16 enable(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	guint8 result = RESULT_UNDEFINED;
	IfppChipProfile *profile;
	gboolean by_iccid, refresh;

	if (!parse_switch(chip, value, &profile, &by_iccid, &refresh))
		return SW_WRONG_DATA;
	if (!(by_iccid && chip->quirks.aid_only) && chip_enable(chip, profile, refresh, &result) != SW_OK)
		return SW_MEMORY_FAILURE;
	return put_result(out, 0xBF31, result);
}

static guint16 disable(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppChipProfile *profile;
	gboolean by_iccid, refresh;

	if (!parse_switch(chip, value, &profile, &by_iccid, &refresh))
		return SW_WRONG_DATA;
	if (!profile)
		return put_result(out, 0xBF32, RESULT_NOT_FOUND);
	if (!profile->enabled)
		return put_result(out, 0xBF32, RESULT_WRONG_STATE);
	if (policy_rules(profile) & PPR_NO_DISABLE)
		return put_result(out, 0xBF32, RESULT_POLICY);
	if (chip->refresh)
		return put_result(out, 0xBF32, RESULT_CAT_BUSY);
	if (!switch_profile(chip, profile, FALSE, refresh))
		return SW_MEMORY_FAILURE;
	return put_result(out, 0xBF32, RESULT_OK);
}

static guint16 delete_profile(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppChipProfile *profile;

	if (!parse_id(&value, chip, &profile) || value.len)
		return SW_WRONG_DATA;
	if (!profile)
		return put_result(out, 0xBF33, RESULT_NOT_FOUND);
	if (profile->enabled)
		return put_result(out, 0xBF33, RESULT_WRONG_STATE);
	if (policy_rules(profile) & PPR_NO_DELETE)
		return put_result(out, 0xBF33, RESULT_POLICY);
	if (!notify_all(chip, profile, EVENT_DELETE))
		return SW_MEMORY_FAILURE;
	g_ptr_array_remove(chip->mem->profiles, profile);
	if (!chip_commit(chip))
		return SW_MEMORY_FAILURE;
	return put_result(out, 0xBF33, RESULT_OK);
}

/* BF29 { 5A, 90 } */
static guint16 set_nickname(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppChipProfile *profile;
	IfppTlv tlv;

	if (!parse_id(&value, chip, &profile) || !ifpp_tlv_take(&value, 0x90, &tlv) || value.len ||
	    tlv.value.len > 64 || !g_utf8_validate((const char *)tlv.value.data, tlv.value.len, NULL))
		return SW_WRONG_DATA;
	if (!profile)
		return put_result(out, 0xBF29, RESULT_NOT_FOUND);
	g_clear_pointer(&profile->nickname, g_free);
	if (tlv.value.len)
		profile->nickname = g_strndup((const char *)tlv.value.data, tlv.value.len);
	if (!chip_commit(chip))
		return SW_MEMORY_FAILURE;
	return put_result(out, 0xBF29, RESULT_OK);
}

guint16 chip_reset(Chip *chip, guint8 what, guint8 *result)
{
	gboolean changed = FALSE;

	*result = RESULT_CAT_BUSY;
	if (chip->refresh)
		return SW_OK;
	for (guint i = chip->mem->profiles->len; i-- > 0;) {
		IfppChipProfile *profile = g_ptr_array_index(chip->mem->profiles, i);
		guint8 bit = profile->profile_class == CLASS_OPERATIONAL ? CHIP_RESET_OPERATIONAL :
			     profile->profile_class == CLASS_TEST ? CHIP_RESET_TEST : CHIP_RESET_PROVISIONING;

		if (!(what & bit))
			continue;
		if (!notify_all(chip, profile, EVENT_DELETE))
			return SW_MEMORY_FAILURE;
		chip->refresh |= profile->enabled;
		g_ptr_array_remove_index(chip->mem->profiles, i);
		changed = TRUE;
	}
	if ((what & CHIP_RESET_DP_ADDRESS) && *chip->mem->dp_address) {
		chip->mem->dp_address[0] = '\0';
		changed = TRUE;
	}
	if (changed) {
		end_session(chip);
		ifpp_chipmem_set_retry(chip->mem, NULL, NULL);
		if (!chip_commit(chip))
			return SW_MEMORY_FAILURE;
	}
	*result = changed ? RESULT_OK : RESULT_NOT_FOUND;
	return SW_OK;
}

/* BF34 { 82 bits: operational profiles, field-loaded test profiles, default SM-DP+ address } */
static guint16 memory_reset(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	guint8 what, result;
	IfppTlv tlv;

	if (!ifpp_tlv_take(&value, 0x82, &tlv) || value.len)
		return SW_WRONG_DATA;
	what = chip_bits(&tlv) & (CHIP_RESET_OPERATIONAL | CHIP_RESET_TEST | CHIP_RESET_DP_ADDRESS);
	if (chip_reset(chip, what, &result) != SW_OK)
		return SW_MEMORY_FAILURE;
	return put_result(out, 0xBF34, result);
}

/* ------------------------------------------------------------------ the rest */

static guint16 configured_addresses(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	GByteArray *members = g_byte_array_new();

	if (*chip->mem->dp_address)
		ifpp_tlv_put(members, 0x80, chip->mem->dp_address, strlen(chip->mem->dp_address));
	ifpp_tlv_put(members, 0x81, ROOT_DS, strlen(ROOT_DS));
	chip_put(out, 0xBF3C, members);
	return SW_OK;
}

gboolean chip_take_dp_address(Chip *chip, IfppSpan value, gboolean *stored)
{
	IfppTlv tlv;

	if (!ifpp_tlv_take(&value, 0x80, &tlv) || value.len || tlv.value.len > 255 ||
	    !g_utf8_validate((const char *)tlv.value.data, tlv.value.len, NULL))
		return FALSE;
	g_free(chip->mem->dp_address);
	chip->mem->dp_address = g_strndup((const char *)tlv.value.data, tlv.value.len);
	*stored = chip_commit(chip);
	return TRUE;
}

static guint16 set_dp_address(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	gboolean stored;

	if (!chip_take_dp_address(chip, value, &stored))
		return SW_WRONG_DATA;
	return stored ? put_result(out, 0xBF3F, RESULT_OK) : SW_MEMORY_FAILURE;
}

/* One rule: any operator may use PPR1 and PPR2, without asking the user. */
static guint16 rules_authorisation_table(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	/* A0 { 30 { 80 PPR1 PPR2, A1 { 30 { 80 EEEEEE } }, 82 no flags } } */
	static const guint8 rat[] = { 0xA0, 0x12, 0x30, 0x10, 0x80, 0x02, 0x05, CHIP_RAT_RULES, 0xA1, 0x07, 0x30, 0x05,
				      0x80, 0x03, 0xEE, 0xEE, 0xEE, 0x82, 0x01, 0x00 };

	ifpp_tlv_put(out, 0xBF43, rat, sizeof(rat));
	return SW_OK;
}

/* BF3E { 5C 01 5A } */
static guint16 get_eid(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	IfppTlv tlv;

	if (!ifpp_tlv_take(&value, 0x5C, &tlv) || value.len || tlv.value.len != 1 ||
	    tlv.value.data[0] != 0x5A)
		return SW_WRONG_DATA;
	ifpp_tlv_put_header(out, 0xBF3E, 18);
	ifpp_tlv_put(out, 0x5A, chip->mem->eid, 16);
	return SW_OK;
}

static guint16 info1(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ifpp_chipmem_put_info1(chip->mem, out);
	return SW_OK;
}

static guint16 info2(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ifpp_chipmem_put_info2(chip->mem, out);
	return SW_OK;
}

/* LoadCRL: EUICCInfo2 does not offer it. */
static guint16 load_crl(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	chip_put(out, 0xBF35, put_undefined());
	return SW_OK;
}

/* Reading who the chip is, and the factory's own results, is open at all times (EUICCF04 and the codec). */
const ChipService chip_field_services[] = {
	{ 0xBF20, SERVE_WITH_KEYS | SERVE_IN_LOAD, info1 },
	{ 0xBF22, SERVE_WITH_KEYS | SERVE_IN_LOAD, info2 },
	{ 0xBF28, SERVE_WITH_KEYS, list_notifications },
	{ 0xBF29, 0, set_nickname },
	{ 0xBF2B, SERVE_WITH_KEYS, retrieve_notifications },
	{ 0xBF2D, SERVE_WITH_KEYS, profiles_info },
	{ 0xBF30, SERVE_WITH_KEYS, remove_notification },
	{ 0xBF31, 0, enable },
	{ 0xBF32, 0, disable },
	{ 0xBF33, 0, delete_profile },
	{ 0xBF34, 0, memory_reset },
	{ 0xBF35, 0, load_crl },
	{ 0xBF3C, 0, configured_addresses },
	{ 0xBF3E, SERVE_WITH_KEYS | SERVE_IN_LOAD, get_eid },
	{ 0xBF3F, 0, set_dp_address },
	{ 0xBF43, 0, rules_authorisation_table },
	{ 0 }
};
