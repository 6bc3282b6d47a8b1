// SPDX-License-Identifier: GPL-2.0-or-later
/* ProfileInstallationResult */
#include "fuzz.h"

#include "euicc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autoptr(GBytes) bytes = g_bytes_new(data, len);
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, NULL);

	if (!pir)
		return 0;
	g_assert_true(pir->success == (pir->reason == 0));
	g_assert_nonnull(ifpp_pir_reason_name(pir->reason));
	if (ifpp_pir_verify(pir, ifpp_span_bytes(fuzz_euicc), NULL))
		fuzz_must_be_seed("pir", (IfppSpan){ data, len });
	return 0;
}
