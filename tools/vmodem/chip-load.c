// SPDX-License-Identifier: GPL-2.0-or-later
/* LoadBoundProfilePackage: the segments of a BPP, one after the other (SGP.22 2.5.4, 2.5.5, 5.5, 5.7.6). */
#include "chip-services.h"

#include <string.h>

#include <gnutls/gnutls.h>

#include "eid.h"
#include "error.h"
#include "upp.h"

/* EUICCResponse (TCA): one PEStatus */
#define SIMA_OK 0
#define SIMA_BAD_VALUES 3

#define CLASS_TEST 0
#define PPR_UPDATE_CONTROL 0x80
#define PE_AKA 0xA4
#define AKA_TEST_ALGORITHM 3	/* of TS 34.108: no secret in it */

gboolean chip_load_tag(guint32 tag)
{
	return tag == IFPP_TAG_LOAD_BPP || (tag >= 0xA0 && tag <= 0xA3) || (tag >= 0x86 && tag <= 0x88);
}

/* ------------------------------------------------------------------ the signed result */

typedef struct {
	IfppSpan transaction, oid;
	const char *address;
	const guint8 *iccid;		/* NULL: not known yet */
	const guint8 *aid;		/* NULL: not installed */
	BppCommand command;
	PirReason reason;
	int sima;			/* -1: none */
} Result;

static void put_sima(GByteArray *out, guint32 tag, guint8 status)
{
	const guint8 response[] = { 0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, status };

	ifpp_tlv_put(out, tag, response, sizeof(response));
}

/* BF37 { BF27 {...} 5F37 }, reference order throughout: servers verify a re-encoding. */
static GByteArray *make_pir(Chip *chip, guint64 seq, const Result *r)
{
	GByteArray *pir = g_byte_array_new(), *data = g_byte_array_new(), *part;
	GByteArray *whole = g_byte_array_new(), *final = g_byte_array_new();
	guint8 sig[64];
	IfppSpan span;

	ifpp_tlv_put_span(data, 0x80, r->transaction);
	part = g_byte_array_new();
	ifpp_tlv_put_uint(part, 0x80, seq);
	ifpp_tlv_put(part, 0x81, (guint8[]){ 0x07, 0x80 }, 2);
	ifpp_tlv_put(part, 0x0C, r->address, strlen(r->address));
	if (r->iccid)
		ifpp_tlv_put(part, 0x5A, r->iccid, 10);
	chip_put(data, 0xBF2F, part);
	ifpp_tlv_put_span(data, 0x06, r->oid);
	part = g_byte_array_new();
	if (r->aid) {
		ifpp_tlv_put(part, 0x4F, r->aid, 16);
		put_sima(part, 0x04, r->sima);
	} else {
		ifpp_tlv_put_uint(part, 0x80, r->command);
		ifpp_tlv_put_uint(part, 0x81, r->reason);
		if (r->sima >= 0)
			put_sima(part, 0x82, r->sima);
	}
	chip_put(final, r->aid ? 0xA0 : 0xA1, part);
	chip_put(data, 0xA2, final);
	chip_put(pir, 0xBF27, data);
	span = chip_span(pir);
	if (!chip_sign(chip, &span, 1, sig)) {
		g_byte_array_unref(pir);
		g_byte_array_unref(whole);
		return NULL;
	}
	ifpp_tlv_put(pir, 0x5F37, sig, sizeof(sig));
	chip_put(whole, IFPP_TAG_PIR, pir);
	return whole;
}

/* The result joins the notification list; with it the load is over, in one write. */
static gboolean record(Chip *chip, const Result *r, GByteArray *out)
{
	IfppChipMem *mem = chip->mem;
	IfppChipNote *note;
	GByteArray *pir;

	pir = make_pir(chip, mem->next_seq, r);
	if (!pir)
		return FALSE;
	note = g_new0(IfppChipNote, 1);
	note->seq = mem->next_seq++;
	note->events = 0x80;
	note->address = g_strdup(r->address);
	if (r->iccid) {
		note->has_iccid = TRUE;
		memcpy(note->iccid, r->iccid, 10);
	}
	note->bytes = g_bytes_new(pir->data, pir->len);
	chip->stats.nvm_bytes += pir->len;
	ifpp_chipmem_add_note(mem, note);
	mem->loading = FALSE;
	g_clear_pointer(&mem->load_transaction, g_bytes_unref);
	g_clear_pointer(&mem->load_oid, g_bytes_unref);
	if (out)
		g_byte_array_append(out, pir->data, pir->len);
	g_byte_array_unref(pir);
	return chip_commit(chip);
}

static guint16 end_load(Chip *chip, Result *r, GByteArray *out)
{
	ChipLoad *load = &chip->load;
	g_autofree char *address = NULL;
	gboolean ok;

	if (load->address)
		address = g_strdup(load->address);
	else if (load->has_iccid)
		address = chip_notify_address(chip_span(load->metadata), 0x80);
	r->address = address ? address : "";
	r->transaction = ifpp_span_bytes(load->transaction);
	r->oid = ifpp_span_bytes(load->oid);
	r->iccid = load->has_iccid ? load->iccid : NULL;
	/* A download that was refused at its beginning is over, too. */
	if (!load->factory)
		ifpp_chipmem_set_retry(chip->mem, NULL, NULL);
	ok = record(chip, r, out);
	if (!load->factory)
		chip_session_clear(chip);
	chip_load_clear(chip);
	return ok ? SW_OK : SW_MEMORY_FAILURE;
}

static guint16 fail_load(Chip *chip, BppCommand command, PirReason reason, GByteArray *out)
{
	Result r = { .command = command, .reason = reason,
		     .sima = reason == PIR_ELEMENT ? SIMA_BAD_VALUES : -1 };

	return end_load(chip, &r, out);
}

static BppCommand stage_command(LoadStage stage)
{
	switch (stage) {
	case LOAD_CONFIGURE:
		return BPP_CONFIGURE;
	case LOAD_METADATA:
	case LOAD_METADATA_88:
		return BPP_METADATA;
	case LOAD_KEYS_OR_PROFILE:
		return BPP_REPLACE_KEYS;
	case LOAD_PROFILE:
	case LOAD_PROFILE_86:
		return BPP_ELEMENTS;
	default:
		return BPP_INITIALISE;
	}
}

gboolean chip_load_interrupt(Chip *chip)
{
	if (chip_load_running(chip))
		return fail_load(chip, stage_command(chip->load.stage), PIR_INTERRUPTED, NULL) == SW_OK;
	chip_load_clear(chip);
	return TRUE;
}

GByteArray *chip_fail_load(Chip *chip, int channel, guint reason)
{
	GByteArray *out;

	if (!chip->mem || !chip_load_running(chip) || (int)chip->load.channel != channel)
		return NULL;
	out = g_byte_array_new();
	if (fail_load(chip, stage_command(chip->load.stage), reason, out) != SW_OK) {
		g_byte_array_unref(out);
		return NULL;
	}
	g_byte_array_append(out, (guint8[]){ 0x90, 0x00 }, 2);
	return out;
}

gboolean chip_load_recover(Chip *chip)
{
	IfppChipMem *mem = chip->mem;
	g_autoptr(GBytes) transaction = NULL;
	g_autoptr(GBytes) oid = NULL;
	Result r = { .address = "", .command = BPP_INITIALISE, .reason = PIR_INTERRUPTED, .sima = -1 };

	if (!mem->loading)
		return TRUE;
	/* BF23 is the last thing the memory knows of this load. */
	transaction = g_bytes_ref(mem->load_transaction);
	oid = g_bytes_ref(mem->load_oid);
	r.transaction = ifpp_span_bytes(transaction);
	r.oid = ifpp_span_bytes(oid);
	return record(chip, &r, NULL);
}

/* ------------------------------------------------------------------ BF36 with BF23 */

typedef struct {
	IfppTlv op, transaction, crt, point, sign;
	IfppTlv key_type, key_len, host_id;
	IfppSpan tbs;			/* up to the signature */
} Initialise;

static gboolean parse_initialise(IfppSpan in, Initialise *init)
{
	IfppSpan start = in, crt;

	memset(init, 0, sizeof(*init));
	if (!ifpp_tlv_take(&in, 0x82, &init->op) || !ifpp_tlv_take(&in, 0x80, &init->transaction))
		return FALSE;
	if (!ifpp_tlv_take(&in, 0xA6, &init->crt) || !ifpp_tlv_take(&in, 0x5F49, &init->point))
		return FALSE;
	init->tbs = (IfppSpan){ start.data, start.len - in.len };
	if (!ifpp_tlv_take(&in, 0x5F37, &init->sign) || in.len)
		return FALSE;
	crt = init->crt.value;
	return init->point.value.len == 65 && init->sign.value.len == 64 &&
	       ifpp_tlv_take(&crt, 0x80, &init->key_type) && ifpp_tlv_take(&crt, 0x81, &init->key_len) &&
	       ifpp_tlv_take(&crt, 0x84, &init->host_id) && !crt.len && init->host_id.value.len >= 1 &&
	       init->host_id.value.len <= 16;
}

static gboolean is_byte(const IfppTlv *tlv, guint8 byte)
{
	return tlv->value.len == 1 && tlv->value.data[0] == byte;
}

static PirReason check_initialise(Chip *chip, const Initialise *init)
{
	const ChipLoad *load = &chip->load;
	guint8 own[3 + 65] = { 0x5F, 0x49, 0x41 };
	IfppSpan parts[2] = { init->tbs, IFPP_SPAN(own) };

	if (!is_byte(&init->op, 1))
		return PIR_OPERATION;
	if (load->want_transaction &&
	    !ifpp_span_equal(init->transaction.value, ifpp_span_bytes(load->want_transaction)))
		return PIR_TRANSACTION;
	if (!is_byte(&init->key_type, 0x88) || !is_byte(&init->key_len, 0x10))
		return PIR_CRT;
	/* otPK.eUICC is not transmitted: whoever signed had to know which key this is for. */
	memcpy(own + 3, load->otpk, 65);
	if (!chip_verify(chip, load->dp_point, parts, G_N_ELEMENTS(parts), init->sign.value))
		return PIR_SIGNATURE;
	if (!ifpp_point_on_curve(init->point.value))
		return PIR_INPUT;
	return PIR_OK;
}

/* From here on the key is spent, whatever happens. Nothing has had an effect yet. */
static gboolean spend(Chip *chip, IfppSpan transaction)
{
	IfppChipMem *mem = chip->mem;
	ChipLoad *load = &chip->load;
	guint8 key_id[32];
	int i;

	if (load->factory) {
		ifpp_key_id(load->otpk, key_id);
		i = ifpp_chipmem_find_key(mem, key_id);
		if (i < 0)
			return FALSE;
		load->otsk = ifpp_ec_key_import(g_array_index(mem->keys, IfppChipKey, i).scalar, NULL);
		if (!load->otsk)
			return FALSE;
		ifpp_chipmem_kill_key(mem, i);
		mem->spent++;
	} else {
		load->otsk = g_steal_pointer(&mem->retry);
		ifpp_chipmem_set_retry(mem, NULL, NULL);
		if (!load->otsk)
			return FALSE;
	}
	mem->loading = TRUE;
	mem->load_transaction = g_bytes_new(transaction.data, transaction.len);
	mem->load_oid = g_bytes_ref(load->oid);
	return chip_commit(chip);
}

static guint16 begin_load(Chip *chip, IfppSpan segment, GByteArray *out)
{
	ChipLoad *load = &chip->load;
	gsize hdr, total;
	guint32 tag;
	Initialise init;
	IfppTlv bf23;
	PirReason reason;
	gboolean ok;

	if (!ifpp_tlv_header(segment, &tag, &hdr, &total, NULL))
		return SW_WRONG_DATA;
	segment.data += hdr;
	segment.len -= hdr;
	if (!ifpp_tlv_take(&segment, 0xBF23, &bf23) || segment.len)
		return SW_WRONG_DATA;
	ok = parse_initialise(bf23.value, &init);
	if (init.transaction.value.len < 1 || init.transaction.value.len > 16)
		return SW_WRONG_DATA;	/* no result can name this load */
	load->transaction = g_bytes_new(init.transaction.value.data, init.transaction.value.len);
	if (!ok || total <= bf23.whole.len)
		return fail_load(chip, BPP_INITIALISE, PIR_INPUT, out);
	reason = check_initialise(chip, &init);
	if (reason != PIR_OK)
		return fail_load(chip, BPP_INITIALISE, reason, out);

	if (!spend(chip, init.transaction.value))
		return SW_MEMORY_FAILURE;
	chip->stats.loads++;
	chip->stats.agreements++;
	load->total_left = total - bf23.whole.len;
	ok = ifpp_bsp_agree(&load->bsp, load->otsk, init.point.value.data, init.host_id.value, chip->mem->eid,
			    NULL);
	g_clear_pointer(&load->otsk, ifpp_ec_key_free);
	if (!ok)
		return fail_load(chip, BPP_INITIALISE, PIR_INPUT, out);
	load->metadata = g_byte_array_new();
	load->upp = g_byte_array_sized_new(IFPP_CHIP_NVM);
	load->stage = LOAD_CONFIGURE;
	return SW_OK;
}

/* ------------------------------------------------------------------ the segments after it */

static PirReason open_tlv(Chip *chip, const IfppTlv *tlv, GByteArray *plain)
{
	ChipLoad *load = &chip->load;
	g_autoptr(GError) error = NULL;

	if (tlv->whole.len > IFPP_BSP_TLV_MAX)
		return PIR_STRUCTURE;
	/* The MAC, and for all but 88 the decryption. */
	chip->stats.cipher_bytes += tlv->whole.len * (tlv->tag == 0x88 ? 1 : 2);
	if (ifpp_bsp_open(&load->bsp, tlv, plain, &error))
		return PIR_OK;
	return g_error_matches(error, IFPP_ERROR, IFPP_ERROR_SECURITY) ? PIR_SECURITY : PIR_STRUCTURE;
}

/* A whole A0 or A2: its 87s, opened and joined. */
static PirReason open_87s(Chip *chip, IfppSpan segment, guint32 tag, GByteArray *plain)
{
	ChipLoad *load = &chip->load;
	IfppTlv outer, tlv;
	PirReason reason;

	if (!ifpp_tlv_take(&segment, tag, &outer) || segment.len || !outer.value.len ||
	    outer.whole.len > load->total_left)
		return PIR_STRUCTURE;
	load->total_left -= outer.whole.len;
	while (outer.value.len) {
		if (!ifpp_tlv_take(&outer.value, 0x87, &tlv))
			return PIR_STRUCTURE;
		reason = open_tlv(chip, &tlv, plain);
		if (reason != PIR_OK)
			return reason;
	}
	return PIR_OK;
}

static PirReason configure(Chip *chip, IfppSpan segment)
{
	g_autoptr(GByteArray) plain = g_byte_array_new();
	IfppTlv bf24, b8;
	PirReason reason;
	IfppSpan in;

	reason = open_87s(chip, segment, 0xA0, plain);
	if (reason != PIR_OK)
		return reason;
	in = chip_span(plain);
	if (!ifpp_tlv_take(&in, 0xBF24, &bf24) || in.len)
		return PIR_INPUT;
	in = bf24.value;
	if (!in.len)
		return PIR_OK;
	/* dpProprietaryData: kept for whoever asks GetProfilesInfo. */
	if (!ifpp_tlv_take(&in, 0xB8, &b8) || in.len || b8.whole.len > 128)
		return PIR_INPUT;
	chip->load.proprietary = g_bytes_new(b8.whole.data, b8.whole.len);
	return PIR_OK;
}

/* A1 or A3 alone: the members follow in segments of their own. */
static PirReason list_header(ChipLoad *load, IfppSpan segment, guint32 want)
{
	gsize hdr, len;
	guint32 tag;

	if (!ifpp_tlv_header(segment, &tag, &hdr, &len, NULL) || tag != want || segment.len != hdr || !len)
		return PIR_STRUCTURE;
	if (hdr > load->total_left || len > load->total_left - hdr)
		return PIR_STRUCTURE;
	load->total_left -= hdr + len;
	load->part_left = len;
	return PIR_OK;
}

static PirReason list_member(Chip *chip, IfppSpan segment, guint32 tag, GByteArray *plain)
{
	ChipLoad *load = &chip->load;
	IfppTlv tlv;

	if (!ifpp_tlv_take(&segment, tag, &tlv) || segment.len || tlv.whole.len > load->part_left)
		return PIR_STRUCTURE;
	load->part_left -= tlv.whole.len;
	return open_tlv(chip, &tlv, plain);
}

/*
 * SGP.22 2.9.3.1: a rule wants a profile owner, and that GetRAT lets the owner use it, as ours does any
 * operator with PPR1 and PPR2. Update control is no rule; one that we do not know is not allowed.
 */
static gboolean rules_allowed(const IfppTlv *rules, gboolean owned)
{
	guint8 allowed = PPR_UPDATE_CONTROL | (owned ? CHIP_RAT_RULES : 0);

	for (gsize i = 1; i < rules->value.len; i++)
		if (rules->value.data[i] & (i == 1 ? ~allowed : 0xFF))
			return FALSE;
	return TRUE;
}

/* StoreMetadata is complete: BF25 {...}, kept as its value. */
static PirReason check_metadata(Chip *chip)
{
	ChipLoad *load = &chip->load;
	IfppSpan in = chip_span(load->metadata), value;
	gboolean rules_ok, owned;
	IfppTlv bf25, tlv, owner;
	guint64 cls = 2;

	if (!ifpp_tlv_take(&in, 0xBF25, &bf25) || in.len)
		return PIR_INPUT;
	value = bf25.value;
	if (!ifpp_tlv_find(value, 0x5A, &tlv) || tlv.value.len != 10)
		return PIR_INPUT;
	memcpy(load->iccid, tlv.value.data, 10);
	if (!ifpp_tlv_find(value, 0x91, &tlv) || tlv.value.len > 32 ||
	    !ifpp_tlv_find(value, 0x92, &tlv) || tlv.value.len > 64)
		return PIR_INPUT;
	if (ifpp_tlv_find(value, 0x94, &tlv) && tlv.value.len > 1024)
		return PIR_INPUT;
	if (ifpp_tlv_find(value, 0x95, &tlv) && (!ifpp_tlv_uint(&tlv, &cls, NULL) || cls > 2))
		return PIR_CLASS;
	load->profile_class = cls;
	owned = ifpp_tlv_find(value, 0xB7, &owner);
	if (owned && (!ifpp_tlv_find(owner.value, 0x80, &tlv) || tlv.value.len != 3))
		return PIR_INPUT;
	rules_ok = !ifpp_tlv_find(value, 0x99, &tlv) || rules_allowed(&tlv, owned);
	g_byte_array_remove_range(load->metadata, 0, bf25.value.data - bf25.whole.data);
	load->has_iccid = TRUE;
	if (ifpp_chipmem_find_iccid(chip->mem, load->iccid))
		return PIR_ICCID_EXISTS;
	return rules_ok ? PIR_OK : PIR_POLICY_RULE;
}

/* BF26 36 { 80 10 MCV, 81 10 ENC, 82 10 CMAC } */
static PirReason replace_keys(Chip *chip, IfppSpan segment)
{
	GByteArray *plain = g_byte_array_sized_new(128);
	IfppTlv bf26, mcv, enc, mac;
	PirReason reason;
	IfppSpan in;

	reason = open_87s(chip, segment, 0xA2, plain);
	if (reason == PIR_OK) {
		in = chip_span(plain);
		if (ifpp_tlv_take(&in, 0xBF26, &bf26) && !in.len && ifpp_tlv_take(&bf26.value, 0x80, &mcv) &&
		    ifpp_tlv_take(&bf26.value, 0x81, &enc) && ifpp_tlv_take(&bf26.value, 0x82, &mac) &&
		    !bf26.value.len && mcv.value.len == 16 && enc.value.len == 16 && mac.value.len == 16)
			ifpp_bsp_set_ppk(&chip->load.bsp, mcv.value.data, enc.value.data, mac.value.data);
		else
			reason = PIR_INPUT;
	}
	ifpp_secret_free(plain);
	return reason;
}

/* Milenage or TUAK key of a test profile: 00 01 .. 0E and a last byte that is free, or all zero. */
static gboolean is_test_key(IfppSpan key)
{
	gboolean counting = TRUE, zero = TRUE;

	if (key.len != 16 && key.len != 32)
		return FALSE;
	for (gsize i = 0; i + 1 < key.len; i++) {
		counting &= key.data[i] == i;
		zero &= key.data[i] == 0;
	}
	return counting || zero;
}

static gboolean test_keys_only(IfppSpan upp)
{
	IfppTlv pe, choice, algorithm, id, key;
	guint64 number;

	while (upp.len) {
		if (!ifpp_tlv_next(&upp, &pe, NULL))
			return FALSE;
		if (pe.tag != PE_AKA || !ifpp_tlv_find(pe.value, 0xA1, &choice) ||
		    !ifpp_tlv_find(choice.value, 0xA1, &algorithm))
			continue;	/* a mapping to another one's parameters has no key of its own */
		if (!ifpp_tlv_find(algorithm.value, 0x80, &id) || !ifpp_tlv_uint(&id, &number, NULL))
			return FALSE;
		if (number == AKA_TEST_ALGORITHM)
			continue;
		if (!ifpp_tlv_find(algorithm.value, 0x82, &key) || !is_test_key(key.value))
			return FALSE;
	}
	return TRUE;
}

static PirReason check_profile(Chip *chip, const guint8 iccid[10])
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppUpp) upp = ifpp_upp_parse(chip_span(chip->load.upp), &error);

	if (!upp) {
		g_info("profile refused: %s", error->message);
		return PIR_ELEMENT;
	}
	if (memcmp(upp->iccid, iccid, 10) ||
	    !ifpp_upp_owner_matches(chip_span(chip->load.metadata), chip_span(chip->load.upp)))
		return PIR_DATA_MISMATCH;
	/* A test profile must not be able to pose as a subscriber: its keys are ones that everybody knows. */
	if (chip->load.profile_class == CLASS_TEST && !test_keys_only(chip_span(chip->load.upp)))
		return PIR_TEST_KEY;
	return PIR_OK;
}

static guint16 install(Chip *chip, GByteArray *out)
{
	ChipLoad *load = &chip->load;
	IfppChipProfile *profile;
	Result r = { .sima = SIMA_OK };
	PirReason reason;
	guint8 aid[16];
	guint16 sw;

	if (load->total_left)
		return fail_load(chip, BPP_ELEMENTS, PIR_STRUCTURE, out);
	reason = check_profile(chip, load->iccid);
	if (reason != PIR_OK)
		return fail_load(chip, BPP_ELEMENTS, reason, out);

	ifpp_chipmem_free_aid(chip->mem, aid);
	profile = g_new0(IfppChipProfile, 1);
	memcpy(profile->iccid, load->iccid, 10);
	memcpy(profile->aid, aid, 16);
	profile->profile_class = load->profile_class;
	if (load->proprietary)
		g_byte_array_append(load->metadata, g_bytes_get_data(load->proprietary, NULL),
				    g_bytes_get_size(load->proprietary));
	profile->metadata = g_bytes_new(load->metadata->data, load->metadata->len);
	chip->stats.nvm_bytes += load->metadata->len + load->upp->len;
	profile->upp = g_bytes_new(load->upp->data, load->upp->len);
	g_ptr_array_add(chip->mem->profiles, profile);
	r.aid = aid;
	/* Profile, result and the end of the load reach the memory in one write. */
	sw = end_load(chip, &r, out);
	if (sw != SW_OK)
		return sw;
	chip->stats.installed++;
	chip->has_last = TRUE;
	memcpy(chip->last, profile->iccid, sizeof(chip->last));
	return SW_OK;
}

static guint16 next_segment(Chip *chip, guint32 tag, IfppSpan segment, GByteArray *out)
{
	ChipLoad *load = &chip->load;
	BppCommand command = stage_command(load->stage);
	PirReason reason = PIR_STRUCTURE;

	switch (load->stage) {
	case LOAD_CONFIGURE:
		reason = configure(chip, segment);
		load->stage = LOAD_METADATA;
		break;
	case LOAD_METADATA:
		reason = list_header(load, segment, 0xA1);
		load->stage = LOAD_METADATA_88;
		break;
	case LOAD_METADATA_88:
		reason = list_member(chip, segment, 0x88, load->metadata);
		if (reason == PIR_OK && load->part_left == 0) {
			reason = check_metadata(chip);
			load->stage = LOAD_KEYS_OR_PROFILE;
		}
		break;
	case LOAD_KEYS_OR_PROFILE:
		if (tag == 0xA2) {
			reason = replace_keys(chip, segment);
			load->stage = LOAD_PROFILE;
			break;
		}
		/* fall through */
	case LOAD_PROFILE:
		command = BPP_ELEMENTS;
		reason = list_header(load, segment, 0xA3);
		load->stage = LOAD_PROFILE_86;
		break;
	case LOAD_PROFILE_86:
		/* Padding and MAC make the protected form the larger one: a safe bound. */
		if (load->upp->len + segment.len + IFPP_CHIP_PROFILE_COST > ifpp_chipmem_free_nvm(chip->mem))
			reason = PIR_NO_MEMORY;
		else
			reason = list_member(chip, segment, 0x86, load->upp);
		if (reason == PIR_OK && load->part_left == 0)
			return install(chip, out);
		break;
	default:
		break;
	}
	return reason == PIR_OK ? SW_OK : fail_load(chip, command, reason, out);
}

guint16 chip_load_segment(Chip *chip, guint channel, IfppSpan segment, GByteArray *out)
{
	ChipLoad *load = &chip->load;
	gsize hdr, len;
	guint32 tag;
	guint16 sw;

	if (load->stage == LOAD_IDLE || load->channel != channel ||
	    !ifpp_tlv_header(segment, &tag, &hdr, &len, NULL))
		return SW_CONDITIONS;
	if (load->stage > LOAD_PREPARED)
		return next_segment(chip, tag, segment, out);
	if (tag != IFPP_TAG_LOAD_BPP)
		return SW_CONDITIONS;
	/* One try per preparation. */
	sw = begin_load(chip, segment, out);
	if (load->stage == LOAD_PREPARED)
		chip_load_clear(chip);
	return sw;
}
