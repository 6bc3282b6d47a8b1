// SPDX-License-Identifier: GPL-2.0-or-later
/* TLVs at any depth: what is read writes back the same, and header and whole agree. */
#include "fuzz.h"

static void walk(IfppSpan in, int depth)
{
	guint64 number, again;
	gsize hdr, len;
	guint32 tag;
	IfppTlv tlv;

	while (in.len && ifpp_tlv_next(&in, &tlv, NULL)) {
		g_autoptr(GByteArray) out = g_byte_array_new();

		g_assert_true(ifpp_tlv_header(tlv.whole, &tag, &hdr, &len, NULL));
		g_assert_true(tag == tlv.tag && len == tlv.value.len && hdr + len == tlv.whole.len);
		ifpp_tlv_put_span(out, tlv.tag, tlv.value);
		g_assert_true(ifpp_span_equal((IfppSpan){ out->data, out->len }, tlv.whole));
		if (ifpp_tlv_uint(&tlv, &number, NULL)) {
			IfppSpan span;
			IfppTlv copy;

			g_byte_array_set_size(out, 0);
			ifpp_tlv_put_uint(out, tlv.tag, number);
			span = (IfppSpan){ out->data, out->len };
			g_assert_true(ifpp_span_equal(span, tlv.whole));
			g_assert_true(ifpp_tlv_next(&span, &copy, NULL) &&
				      ifpp_tlv_uint(&copy, &again, NULL));
			g_assert_cmpuint(number, ==, again);
		}
		ifpp_tlv_find(tlv.value, 0x80, &tlv);
		if (depth < 8)
			walk(tlv.value, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	walk((IfppSpan){ data, len }, 0);
	return 0;
}
