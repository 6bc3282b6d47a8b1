// SPDX-License-Identifier: GPL-2.0-or-later
/* A record of the outbox: the first line is the file's name, the rest its content. */
#include "attempt.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	g_autofree char *name = end ? g_strndup((const char *)data, end - data) : NULL;
	g_autoptr(GBytes) text = end ? g_bytes_new(end + 1, data + len - end - 1) : NULL;
	g_autoptr(IfppAttempt) attempt = text ? ifpp_attempt_parse(text, fuzz_eid, name, NULL) : NULL, again = NULL;
	g_autofree char *written = NULL, *stem = NULL, *file = NULL;
	g_autoptr(GBytes) bytes = NULL;

	if (!attempt)
		return 0;
	g_assert_true(attempt->status || !attempt->stored || attempt->pir);
	/* What is written of it is read as the same: that is how records of version 1 are carried over. */
	written = ifpp_attempt_text(attempt);
	stem = ifpp_attempt_name(attempt);
	file = g_strconcat(stem, attempt->stored ? IFPP_RESULT_SUFFIX : IFPP_PENDING_SUFFIX, NULL);
	bytes = g_bytes_new(written, strlen(written));
	again = ifpp_attempt_parse(bytes, fuzz_eid, file, NULL);
	g_assert_nonnull(again);
	g_assert_true(!memcmp(again->key_id, attempt->key_id, 32) && again->status == attempt->status &&
		      again->reason == attempt->reason && again->spent == attempt->spent && again->seq == attempt->seq &&
		      again->stored == attempt->stored && again->before == attempt->before &&
		      g_bytes_equal(again->transaction, attempt->transaction) && !again->pir == !attempt->pir &&
		      (!again->pir || g_bytes_equal(again->pir, attempt->pir)));
	return 0;
}
