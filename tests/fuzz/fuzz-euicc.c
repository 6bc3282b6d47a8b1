// SPDX-License-Identifier: GPL-2.0-or-later
/* eUICC data, or the bare answer of GetFactoryInfo. */
#include "fuzz.h"

#include "euicc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	IfppSpan in = { data, len }, ff21 = in, bf22;
	g_autoptr(IfppFactoryInfo) info = NULL;
	guint8 eid[16];

	ifpp_euicc_data_parse(in, eid, &ff21, &bf22, NULL);
	info = ifpp_factory_info_parse(ff21, NULL);
	if (!info)
		return 0;
	for (guint i = 0; i < info->keys->len; i++) {
		const IfppOtk *otk = &g_array_index(info->keys, IfppOtk, i);

		g_assert_true(ifpp_factory_info_find(info, otk->key_id) == otk);
	}
	if (ifpp_factory_info_verify(info, fuzz_eid, fuzz_trust, NULL)) {
		g_assert_true(g_bytes_equal(info->cert_euicc, fuzz_euicc));
		for (guint i = 0; i < info->keys->len; i++)
			g_assert_true(ifpp_span_equal(IFPP_SPAN(g_array_index(info->keys, IfppOtk, i).point),
						      ifpp_span_bytes(fuzz_otpk)));
	}
	return 0;
}
