// SPDX-License-Identifier: GPL-2.0-or-later
/* A Profile Loading Report as the Key Maker gets it. Only what the chip has signed may reach the ledger. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain.h"
#include "file.h"
#include "fuzz.h"
#include "report.h"

#define LEDGER_MAX (1024 * 1024)

static char *dir, *ledger, *input;
static GBytes *bound;		/* the ledger before any result */
static GPtrArray *pirs, *proofs;	/* signed results; in base64 */

static void remove_home(void)
{
	g_autofree char *runs = g_build_filename(dir, "run", NULL);

	unlink(ledger);
	rmdir(runs);
	rmdir(dir);
}

static gboolean reserve(Db *db, gpointer user, GError **error)
{
	gpointer *both = user;

	return ledger_reserve(both[0], both[1], error);
}

/* The package that the result is of. */
static void make_ledger(void)
{
	g_autofree char *path = g_build_filename(g_getenv("IFPP_FUZZ_SEEDS"), "home", "bound", NULL), *line = NULL;
	g_autofree char *runs = g_build_filename(dir, "run", NULL);
	g_autoptr(GError) error = NULL;
	Home home = { .dir = dir };
	LedgerEntry entry, *entries[] = { &entry };
	Ledger *made;

	/* its last word, the name of the profile, may be empty */
	g_assert_true(g_file_get_contents(path, &line, NULL, NULL) && chain_parse_bound(g_strdelimit(line, "\n", '\0'), &entry));
	g_assert_cmpint(g_mkdir_with_parents(runs, 0700), ==, 0);
	g_assert_true(ledger_create(&home, &error));
	made = ledger_open(&home, &error);
	g_assert_no_error(error);
	g_assert_true(ledger_start_run(made, &error) &&
		      ledger_transaction(made, reserve, (gpointer[]){ made, &entry }, &error) &&
		      ledger_bind(made, entries, 1, &error));
	ledger_free(made);
	g_free((char *)entry.profile);
	atexit(remove_home);
}

static void start(void)
{
	pirs = fuzz_seeds("pir");
	dir = g_strdup_printf("/dev/shm/ifpp-fuzz-home-%d", getpid());
	ledger = g_build_filename(dir, "ledger.db", NULL);
	make_ledger();
	bound = ifpp_file_read(ledger, LEDGER_MAX, NULL);
	g_assert_nonnull(bound);
	input = g_strdup_printf("/dev/shm/ifpp-fuzz-report-%d", getpid());
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

/* After a line feed: units of version 3, a line each, in a report whose digest is right. */
static void write_lines(const char *units, gsize len)
{
	g_autofree char *lines = g_strdup_printf("{\"format\":\"ifpp-report\",\"version\":3}\n%.*s\n", (int)len, units);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lines, -1);
	g_autofree char *all = g_strdup_printf("%s{\"totals\":{},\"sha256\":\"%s\"}\n", lines, sum);

	write_all(input, all, strlen(all));
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
	const ReportOptions options = { .json = TRUE };
	Home home = { .trust = fuzz_trust };
	g_autoptr(GBytes) after = NULL;
	int exit_code = 0;

	if (!dir)
		start();
	home.dir = dir;
	if (len && data[0] == '\n')
		write_lines((const char *)data + 1, len - 1);
	else
		write_all(input, data, len);
	report_verify(&home, input, &options, &exit_code, NULL);
	unlink(input);
	after = ifpp_file_read(ledger, LEDGER_MAX, NULL);
	g_assert_nonnull(after);
	if (!g_bytes_equal(after, bound)) {
		if (!has_proof(data, len))
			g_error("a result that no chip signed went into the ledger");
		write_all(ledger, g_bytes_get_data(bound, NULL), g_bytes_get_size(bound));
	}
	return 0;
}
