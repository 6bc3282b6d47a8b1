// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tlv.h"

#include <string.h>

#include "error.h"

IfppSpan ifpp_span_bytes(GBytes *bytes)
{
	IfppSpan span;

	span.data = g_bytes_get_data(bytes, &span.len);
	return span;
}

gboolean ifpp_span_equal(IfppSpan a, IfppSpan b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static gboolean fail(GError **error, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_TLV, what);
	return FALSE;
}

/* X.690 8.1.2: identifier octets, at most three of them. */
static gboolean get_tag(IfppSpan in, guint32 *tag, gsize *used, GError **error)
{
	gsize i = 0;

	if (in.len == 0)
		return fail(error, "TLV: nothing where a tag should be");
	if (in.data[0] == 0)
		return fail(error, "TLV: tag 00");

	*tag = in.data[i++];
	if ((*tag & 0x1F) != 0x1F) {
		*used = 1;
		return TRUE;
	}
	do {
		if (i == in.len)
			return fail(error, "TLV: truncated in the tag");
		if (i == 3)
			return fail(error, "TLV: a tag of more than three bytes");
		*tag = *tag << 8 | in.data[i++];
	} while (in.data[i - 1] & 0x80);
	/* 8.1.2.4: the long form is for numbers from 31, without leading zeros */
	if (in.data[1] < 0x1F || in.data[1] == 0x80)
		return fail(error, "TLV: a tag that is not minimal");
	*used = i;
	return TRUE;
}

gboolean ifpp_tlv_header(IfppSpan in, guint32 *tag, gsize *hdr_len, gsize *value_len, GError **error)
{
	guint32 t, len;
	gsize i, n;

	if (!get_tag(in, &t, &i, error))
		return FALSE;
	if (i == in.len)
		return fail(error, "TLV: truncated before the length");

	len = in.data[i++];
	if (len == 0x80)
		return fail(error, "TLV: indefinite length");
	if (len > 0x80) {
		n = len & 0x7F;
		if (n > 4)
			return fail(error, "TLV: a length of more than four bytes");
		if (in.len - i < n)
			return fail(error, "TLV: truncated in the length");
		if (in.data[i] == 0)
			return fail(error, "TLV: a length that is not minimal");
		for (len = 0; n > 0; n--)
			len = len << 8 | in.data[i++];
		if (len < 0x80)
			return fail(error, "TLV: a length that is not minimal");
	}

	*tag = t;
	*hdr_len = i;
	*value_len = len;
	return TRUE;
}

gboolean ifpp_tlv_next(IfppSpan *in, IfppTlv *out, GError **error)
{
	gsize hdr, len;
	guint32 tag;

	if (!ifpp_tlv_header(*in, &tag, &hdr, &len, error))
		return FALSE;
	if (len > in->len - hdr) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "TLV: tag %X says %zu bytes, %zu are there",
			    tag, len, in->len - hdr);
		return FALSE;
	}

	out->tag = tag;
	out->whole = (IfppSpan){ in->data, hdr + len };
	out->value = (IfppSpan){ in->data + hdr, len };
	in->data += hdr + len;
	in->len -= hdr + len;
	return TRUE;
}

gboolean ifpp_tlv_expect(IfppSpan *in, guint32 tag, const char *what, IfppTlv *out, GError **error)
{
	IfppSpan rest = *in;
	IfppTlv tlv;

	if (rest.len == 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s (tag %X) is missing", what, tag);
		return FALSE;
	}
	if (!ifpp_tlv_next(&rest, &tlv, error)) {
		g_prefix_error(error, "%s: ", what);
		return FALSE;
	}
	if (tlv.tag != tag) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s: tag %X where %X should be", what,
			    tlv.tag, tag);
		return FALSE;
	}
	*in = rest;
	*out = tlv;
	return TRUE;
}

gboolean ifpp_tlv_take(IfppSpan *in, guint32 tag, IfppTlv *out)
{
	IfppSpan rest = *in;
	IfppTlv tlv;

	if (!ifpp_tlv_next(&rest, &tlv, NULL) || tlv.tag != tag)
		return FALSE;
	*in = rest;
	*out = tlv;
	return TRUE;
}

gboolean ifpp_tlv_find(IfppSpan members, guint32 tag, IfppTlv *out)
{
	gboolean found = FALSE;
	IfppTlv tlv;

	while (members.len) {
		if (!ifpp_tlv_next(&members, &tlv, NULL))
			return FALSE;
		if (tlv.tag == tag && !found) {
			*out = tlv;
			found = TRUE;
		}
	}
	return found;
}

gboolean ifpp_tlv_uint(const IfppTlv *tlv, guint64 *out, GError **error)
{
	const guint8 *p = tlv->value.data;
	gsize len = tlv->value.len;
	guint64 value = 0;

	if (len == 0)
		return fail(error, "INTEGER: empty");
	if (p[0] & 0x80)
		return fail(error, "INTEGER: negative");
	if (len > 1 && p[0] == 0 && !(p[1] & 0x80))
		return fail(error, "INTEGER: not minimal");
	/* A ninth byte is there only as the sign of a number from 2^63. */
	if (len > 9 || (len == 9 && p[0] != 0))
		return fail(error, "INTEGER: more than eight bytes");
	while (len--)
		value = value << 8 | *p++;
	*out = value;
	return TRUE;
}

void ifpp_tlv_put_header(GByteArray *out, guint32 tag, gsize len)
{
	guint8 buf[8];
	gsize n = 0;
	int shift;

	g_assert(len <= G_MAXUINT32);

	for (shift = 16; shift > 0; shift -= 8)
		if (tag >> shift)
			buf[n++] = tag >> shift;
	buf[n++] = tag;
	if (len < 0x80) {
		buf[n++] = len;
	} else {
		for (shift = 24; len >> shift == 0; shift -= 8)
			;
		buf[n++] = 0x80 | (shift / 8 + 1);
		for (; shift >= 0; shift -= 8)
			buf[n++] = len >> shift;
	}
	g_byte_array_append(out, buf, n);
}

void ifpp_tlv_put(GByteArray *out, guint32 tag, const void *value, gsize len)
{
	ifpp_tlv_put_header(out, tag, len);
	if (len)
		g_byte_array_append(out, value, len);
}

void ifpp_tlv_put_span(GByteArray *out, guint32 tag, IfppSpan value)
{
	ifpp_tlv_put(out, tag, value.data, value.len);
}

void ifpp_tlv_put_uint(GByteArray *out, guint32 tag, guint64 value)
{
	guint8 buf[9] = { 0 };
	gsize i;

	for (i = 0; i < 8; i++)
		buf[8 - i] = value >> (8 * i);
	for (i = 0; i < 8 && buf[i] == 0 && !(buf[i + 1] & 0x80); i++)
		;
	ifpp_tlv_put(out, tag, buf + i, sizeof(buf) - i);
}

char *ifpp_hex(IfppSpan span)
{
	static const char digits[] = "0123456789abcdef";
	char *text = g_malloc(2 * span.len + 1);

	for (gsize i = 0; i < span.len; i++) {
		text[2 * i] = digits[span.data[i] >> 4];
		text[2 * i + 1] = digits[span.data[i] & 0xF];
	}
	text[2 * span.len] = '\0';
	return text;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

gboolean ifpp_unhex_into(const char *text, guint8 *out, gsize len)
{
	for (gsize i = 0; text && i < len; i++) {
		int high = digit(text[2 * i]);
		int low = high < 0 ? -1 : digit(text[2 * i + 1]);

		if (low < 0)
			return FALSE;
		out[i] = high << 4 | low;
	}
	return text && !text[2 * len];
}

GBytes *ifpp_unhex(const char *text)
{
	gsize len = strlen(text) / 2;
	guint8 *bytes = g_malloc(len);

	if (!ifpp_unhex_into(text, bytes, len)) {
		g_free(bytes);
		return NULL;
	}
	return g_bytes_new_take(bytes, len);
}

GBytes *ifpp_unbase64(const char *text)
{
	g_autofree guchar *raw = NULL;
	g_autofree char *again = NULL;
	gsize len;

	if (!text || !*text)
		return NULL;
	/* GLib passes over what is not base64; what does not survive the round trip is not. */
	raw = g_base64_decode(text, &len);
	again = g_base64_encode(raw, len);
	return g_str_equal(again, text) ? g_bytes_new_take(g_steal_pointer(&raw), len) : NULL;
}
