// SPDX-License-Identifier: GPL-2.0-or-later
/* Lock receipt */
#include "fuzz.h"

#include "euicc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	IfppSpan in = { data, len };
	IfppReceipt receipt;

	if (ifpp_receipt_verify(in, ifpp_span_bytes(fuzz_euicc), fuzz_eid, NULL, &receipt, NULL))
		fuzz_must_be_seed("receipt", in);
	return 0;
}
