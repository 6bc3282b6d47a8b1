// SPDX-License-Identifier: GPL-2.0-or-later
/* A whole file, as ifppctl and the daemon get it. */
#include "fuzz.h"
#include "package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autoptr(GBytes) file = g_bytes_new(data, len);
	g_autoptr(IfppPackage) package = ifpp_package_open(file, fuzz_trust, NULL);

	if (package) {
		fuzz_must_be_seed("package", (IfppSpan){ data, len });
		g_assert_true(
			ifpp_package_check_chip(package, fuzz_eid, g_bytes_get_data(fuzz_otpk, NULL), NULL));
	}
	return 0;
}
