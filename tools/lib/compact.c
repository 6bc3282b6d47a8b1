// SPDX-License-Identifier: LGPL-2.1-or-later
#include "compact.h"

#include <string.h>

#include "error.h"

#define EVENT_INSTALL 0x80
#define SIGNATURE_LEN 64

static const guint8 usual_sima[] = { 0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, 0x00 };
/* ISD-P AIDs, but for bytes 14 and 15. */
static const guint8 aid_start[] = { 0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x00 };

static gboolean wrong(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "compact installation result: %s", what);
	return FALSE;
}

/* compactFinalResult: A0 { 4F, 04 ? } or A1 { errorResult } */
static gboolean parse_final(IfppSpan in, IfppCompactPir *out)
{
	IfppTlv tlv, field;

	if (ifpp_tlv_take(&in, 0xA0, &tlv)) {
		if (!ifpp_tlv_take(&tlv.value, 0x4F, &field) || field.value.len != 2)
			return FALSE;
		out->aid = field.value;
		if (ifpp_tlv_take(&tlv.value, 0x04, &field))
			out->sima = field.value;
		return !tlv.value.len && !in.len;
	}
	if (!ifpp_tlv_take(&in, 0xA1, &tlv) || in.len || !tlv.value.len)
		return FALSE;
	out->failure = tlv.value;
	return TRUE;
}

gboolean ifpp_compact_pir_parse(IfppSpan in, IfppCompactPir *out, GError **error)
{
	IfppTlv whole, data, tlv;

	memset(out, 0, sizeof(*out));
	if (!ifpp_tlv_take(&in, IFPP_TAG_COMPACT_PIR, &whole) || in.len || !ifpp_tlv_take(&whole.value, 0xA0, &data) ||
	    !ifpp_tlv_take(&whole.value, 0x5F37, &tlv) || whole.value.len || tlv.value.len != SIGNATURE_LEN)
		return wrong(error, "not data and a signature");
	out->signature = tlv.value;
	in = data.value;
	if (!ifpp_tlv_take(&in, 0x80, &tlv) || tlv.value.len < 1 || tlv.value.len > 16)
		return wrong(error, "transactionId is not 1 to 16 bytes");
	out->transaction_id = tlv.value;
	if (!ifpp_tlv_take(&in, 0x02, &tlv) || !tlv.value.len)
		return wrong(error, "it has no seqNumber");
	out->seq = tlv.value;
	out->with_iccid = !ifpp_tlv_take(&in, 0x01, &tlv) || (tlv.value.len == 1 && tlv.value.data[0]);
	if (!ifpp_tlv_take(&in, 0xA2, &tlv) || in.len || !parse_final(tlv.value, out))
		return wrong(error, "no final result");
	return TRUE;
}

gboolean ifpp_compact_pir_seq(const IfppCompactPir *compact, guint64 *seq)
{
	const IfppTlv tlv = { .tag = 0x02, .value = compact->seq };

	return ifpp_tlv_uint(&tlv, seq, NULL);
}

GBytes *ifpp_compact_facts(IfppPackage *package)
{
	IfppBpp *bpp = ifpp_package_bpp(package);
	GPtrArray *chain = ifpp_package_chain(package);
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) oid = chain->len ? ifpp_cert_registered_id(ifpp_span_bytes(chain->pdata[0])) : NULL;
	IfppTlv list, entry, events, address;

	if (oid)
		ifpp_tlv_put_span(out, 0x06, ifpp_span_bytes(oid));
	ifpp_tlv_put_span(out, 0x5A, ifpp_bpp_iccid(bpp));
	if (ifpp_tlv_find(ifpp_bpp_metadata(bpp), 0xB6, &list))
		while (ifpp_tlv_take(&list.value, 0x30, &entry))
			if (ifpp_tlv_take(&entry.value, 0x80, &events) && events.value.len >= 2 &&
			    (events.value.data[1] & EVENT_INSTALL) && ifpp_tlv_take(&entry.value, 0x81, &address))
				ifpp_tlv_put_span(out, 0x0C, address.value);
	return g_bytes_new(out->data, out->len);
}

static void put_final(const IfppCompactPir *compact, GByteArray *out)
{
	g_autoptr(GByteArray) part = g_byte_array_new(), final = g_byte_array_new();
	guint8 aid[16] = { 0 };

	if (compact->aid.len) {
		memcpy(aid, aid_start, sizeof(aid_start));
		memcpy(aid + sizeof(aid_start), compact->aid.data, 2);
		ifpp_tlv_put(part, 0x4F, aid, sizeof(aid));
		ifpp_tlv_put_span(part, 0x04, compact->sima.len ? compact->sima : IFPP_SPAN(usual_sima));
		ifpp_tlv_put(final, 0xA0, part->data, part->len);
	} else {
		ifpp_tlv_put_span(final, 0xA1, compact->failure);
	}
	ifpp_tlv_put(out, 0xA2, final->data, final->len);
}

static GBytes *with_address(const IfppCompactPir *compact, IfppSpan address, const IfppTlv *oid, const IfppTlv *iccid)
{
	static const guint8 install[] = { 0x07, EVENT_INSTALL };
	g_autoptr(GByteArray) note = g_byte_array_new(), data = g_byte_array_new(), pir = g_byte_array_new(),
			      out = g_byte_array_new();

	ifpp_tlv_put_span(note, 0x80, compact->seq);
	ifpp_tlv_put_span(note, 0x81, IFPP_SPAN(install));
	ifpp_tlv_put_span(note, 0x0C, address);
	if (compact->with_iccid)
		ifpp_tlv_put_span(note, 0x5A, iccid->value);
	ifpp_tlv_put_span(data, 0x80, compact->transaction_id);
	ifpp_tlv_put(data, 0xBF2F, note->data, note->len);
	ifpp_tlv_put_span(data, 0x06, oid->value);
	put_final(compact, data);
	ifpp_tlv_put(pir, 0xBF27, data->data, data->len);
	ifpp_tlv_put_span(pir, 0x5F37, compact->signature);
	ifpp_tlv_put(out, IFPP_TAG_PIR, pir->data, pir->len);
	return g_bytes_new(out->data, out->len);
}

GBytes *ifpp_compact_pir_expand(const IfppCompactPir *compact, IfppSpan facts, IfppSpan cert_euicc)
{
	IfppTlv oid, iccid, tlv = { 0 };
	gboolean more = TRUE;

	if (!ifpp_tlv_take(&facts, 0x06, &oid) || !ifpp_tlv_take(&facts, 0x5A, &iccid))
		return NULL;
	/* Which address it is the chip decides; without one at the end: it had not come to the metadata. */
	while (more) {
		g_autoptr(GBytes) whole = NULL;
		g_autoptr(IfppPir) pir = NULL;

		more = ifpp_tlv_take(&facts, 0x0C, &tlv);
		whole = with_address(compact, more ? tlv.value : (IfppSpan){ NULL, 0 }, &oid, &iccid);
		pir = ifpp_pir_parse(whole, NULL);
		if (pir && ifpp_pir_verify(pir, cert_euicc, NULL))
			return g_steal_pointer(&whole);
	}
	return NULL;
}
