/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DER TLVs: reading in place, writing into a GByteArray. */
#ifndef IFPP_TLV_H
#define IFPP_TLV_H

#include <glib.h>

/* Borrowed bytes; whoever holds the GBytes behind them keeps them alive. */
typedef struct {
	const guint8 *data;
	gsize len;
} IfppSpan;

typedef struct {
	guint32 tag;		/* as written: 0x5A, 0x5F37, 0xBF36 */
	IfppSpan whole;		/* tag, length and value */
	IfppSpan value;
} IfppTlv;

#define IFPP_SPAN(b) ((IfppSpan){ (const guint8 *)(b), sizeof(b) })
IfppSpan ifpp_span_bytes(GBytes *bytes);
gboolean ifpp_span_equal(IfppSpan a, IfppSpan b);

/**
 * ifpp_tlv_next() - take the next TLV off the front of a span
 * @in: advanced past the TLV on success, untouched on failure
 * @out: the TLV
 * @error: IFPP_ERROR_TLV: truncated, a tag of more than three bytes, or a length
 *	that is indefinite, not minimal, or more than four bytes long
 *
 * Source: X.690 8.1, DER length rules 10.1.
 *
 * Return: TRUE on success. An empty @in is an error; test @in->len first.
 */
gboolean ifpp_tlv_next(IfppSpan *in, IfppTlv *out, GError **error);

/**
 * ifpp_tlv_header() - read only tag and length, the value may not be there yet
 * @in: at least the header
 * @tag: the tag
 * @hdr_len: bytes of tag and length
 * @value_len: declared length of the value
 * @error: IFPP_ERROR_TLV
 */
gboolean ifpp_tlv_header(IfppSpan in, guint32 *tag, gsize *hdr_len, gsize *value_len, GError **error);

/* Take the next TLV, which must have @tag; IFPP_ERROR_TLV names @what. */
gboolean ifpp_tlv_expect(IfppSpan *in, guint32 tag, const char *what, IfppTlv *out, GError **error);

/* Take the next TLV if it has @tag: TRUE and @out filled, else FALSE and @in untouched. */
gboolean ifpp_tlv_take(IfppSpan *in, guint32 tag, IfppTlv *out);

/* First direct member with @tag. FALSE when absent or when the members do not parse. */
gboolean ifpp_tlv_find(IfppSpan members, guint32 tag, IfppTlv *out);

/* Unsigned INTEGER value of at most 8 bytes, two's complement and minimal. */
gboolean ifpp_tlv_uint(const IfppTlv *tlv, guint64 *out, GError **error);

void ifpp_tlv_put(GByteArray *out, guint32 tag, const void *value, gsize len);
void ifpp_tlv_put_span(GByteArray *out, guint32 tag, IfppSpan value);
void ifpp_tlv_put_uint(GByteArray *out, guint32 tag, guint64 value);	/* minimal INTEGER */
/* Tag and length only, for a value that follows. */
void ifpp_tlv_put_header(GByteArray *out, guint32 tag, gsize len);

/* Hex, lower case; parsing accepts either case, nothing else. */
char *ifpp_hex(IfppSpan span);
GBytes *ifpp_unhex(const char *text);	/* NULL when it is not hex */
/* Just @len bytes; FALSE when @text is NULL or is not that. */
gboolean ifpp_unhex_into(const char *text, guint8 *out, gsize len);
/* NULL when @text is NULL, empty or not whole base64 on one line. */
GBytes *ifpp_unbase64(const char *text);

#endif
