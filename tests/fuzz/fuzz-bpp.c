// SPDX-License-Identifier: GPL-2.0-or-later
/* BF36: its segments are the whole of it, in order; and smdpSign cannot be had by guessing. */
#include "fuzz.h"

#include "bpp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autoptr(GBytes) bytes = g_bytes_new(data, len);
	g_autoptr(IfppBpp) bpp = ifpp_bpp_parse(bytes, NULL);
	g_autoptr(GByteArray) joined = g_byte_array_new();
	guint8 signer[65];

	if (!bpp)
		return 0;
	for (guint i = 0; i < ifpp_bpp_n_segments(bpp); i++) {
		IfppSpan segment = ifpp_bpp_segment(bpp, i);

		g_assert_cmpuint(segment.len, >, 0);
		g_byte_array_append(joined, segment.data, segment.len);
	}
	g_assert_true(ifpp_span_equal((IfppSpan){ joined->data, joined->len }, ifpp_span_bytes(bytes)));
	g_assert_true(ifpp_bpp_iccid(bpp).len == 0 || ifpp_bpp_iccid(bpp).len == 10);
	g_assert_cmpuint(ifpp_bpp_otpk_dp(bpp).len, ==, 65);
	g_assert_cmpuint(ifpp_bpp_transaction_id(bpp).len - 1, <, 16);
	g_assert_true(ifpp_cert_point(ifpp_span_bytes(fuzz_dppb), signer, NULL));
	ifpp_bpp_verify_sign(bpp, signer, g_bytes_get_data(fuzz_otpk, NULL), NULL);
	return 0;
}
