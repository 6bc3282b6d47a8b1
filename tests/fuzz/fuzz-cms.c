// SPDX-License-Identifier: GPL-2.0-or-later
/* A body under a header that fits it, so that every input gets as far as the envelope. */
#include "fuzz.h"

#include <string.h>

#include "package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autoptr(GByteArray) file = g_byte_array_new();
	g_autoptr(IfppPackage) package = NULL;
	g_autoptr(GBytes) bytes = NULL;
	IfppHeader header = { .body_len = len };
	guint8 raw[IFPP_HEADER_LEN];

	memcpy(header.eid, fuzz_eid, sizeof(header.eid));
	ifpp_key_id(g_bytes_get_data(fuzz_otpk, NULL), header.key_id);
	ifpp_header_write(&header, raw);
	g_byte_array_append(file, raw, sizeof(raw));
	g_byte_array_append(file, data, len);
	bytes = g_bytes_new(file->data, file->len);
	package = ifpp_package_open(bytes, fuzz_trust, NULL);
	if (package)
		fuzz_must_be_seed("cms", (IfppSpan){ data, len });
	return 0;
}
