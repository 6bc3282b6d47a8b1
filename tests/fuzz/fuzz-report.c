// SPDX-License-Identifier: GPL-2.0-or-later
/* A Profile Loading Report as the Key Maker gets it. Only what the chip has signed may reach the ledger. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "fuzz.h"
#include "report.h"

static char *dir, *ledger, *input;
static GBytes *bound;		/* the ledger before any result */
static GPtrArray *pirs, *proofs;	/* signed results; in base64 */

static void start(void)
{
	pirs = fuzz_seeds("pir");
	dir = g_build_filename(g_getenv("IFPP_FUZZ_SEEDS"), "home", NULL);
	ledger = g_build_filename(dir, "ledger", NULL);
	input = g_strdup_printf("/dev/shm/ifpp-fuzz-report-%d", getpid());
	bound = ifpp_file_read(ledger, 65536, NULL);
	g_assert_nonnull(bound);
	proofs = g_ptr_array_new();
	for (guint i = 0; i < pirs->len; i++) {
		IfppSpan pir = ifpp_span_bytes(pirs->pdata[i]);

		g_ptr_array_add(proofs, g_base64_encode(pir.data, pir.len));
	}
	if (!freopen("/dev/null", "w", stdout))
		g_error("no /dev/null");
}

static void write_all(const char *path, const void *data, gsize len)
{
	FILE *file = fopen(path, "w");

	g_assert_nonnull(file);
	g_assert_true(fwrite(data, 1, len, file) == len && fclose(file) == 0);
}

/* Base64 is read strictly: only escapes of JSON can hide it, and these are not looked into. */
static gboolean has_proof(const uint8_t *data, size_t len)
{
	for (guint i = 0; i < proofs->len; i++)
		if (g_strstr_len((const char *)data, len, proofs->pdata[i]))
			return TRUE;
	return memchr(data, '\\', len) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	Home home = { .trust = fuzz_trust };
	g_autoptr(GBytes) after = NULL;
	int exit_code = 0;

	if (!dir)
		start();
	home.dir = dir;
	write_all(input, data, len);
	report_verify(&home, input, NULL, TRUE, FALSE, &exit_code, NULL);
	unlink(input);
	after = ifpp_file_read(ledger, 65536, NULL);
	g_assert_nonnull(after);
	if (!g_bytes_equal(after, bound)) {
		if (!has_proof(data, len))
			g_error("a result that no chip signed went into the ledger");
		write_all(ledger, g_bytes_get_data(bound, NULL), g_bytes_get_size(bound));
	}
	return 0;
}
