// SPDX-License-Identifier: GPL-2.0-or-later
#include "verdict.h"

#include <signal.h>
#include <string.h>

#include "bpp.h"
#include "error.h"

void verdict_sanitizers(void)
{
	/* glib and libqmi have no frame pointers, and lsan.supp goes by the names in a stack */
	g_autofree char *asan =
		g_strdup_printf("exitcode=%d:detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=8",
				VERDICT_SANITIZER_EXIT);
	g_autofree char *ubsan = g_strdup_printf("exitcode=%d:halt_on_error=1:print_stacktrace=1",
						 VERDICT_SANITIZER_EXIT);

	g_setenv("ASAN_OPTIONS", asan, TRUE);
	g_setenv("UBSAN_OPTIONS", ubsan, TRUE);
}

/* SIGKILL is what the campaign itself sends. */
static gboolean known_end(int code)
{
	return code == IFPP_EXIT_OK || code == IFPP_EXIT_NO_DEVICE || code == IFPP_EXIT_REFUSED ||
	       code == IFPP_EXIT_CHIP || code == 256 + SIGKILL;
}

char *verdict_exits(Station *station)
{
	for (guint i = 0; i < station->exits->len; i++) {
		int code = g_array_index(station->exits, int, i);

		if (known_end(code))
			continue;
		if (code < 0)
			return g_strdup("daemon: it does not end");
		if (code > 256)
			return g_strdup_printf("daemon: killed by signal %d, %s", code - 256, strsignal(code - 256));
		if (code == VERDICT_SANITIZER_EXIT)
			return g_strdup("daemon: a sanitizer's report");
		return g_strdup_printf("daemon: exit status %d", code);
	}
	return NULL;
}

/* In quarantine/ is what a faulty wire has made of a result: its bytes, and why. */
static gboolean known_file(const char *name, gboolean aside)
{
	static const char *const usual[] = { ".result", ".refused", ".state", ".model" }, *const quarantined[] = { ".bin", ".txt" };
	const char *const *suffixes = aside ? quarantined : usual;
	guint n = aside ? G_N_ELEMENTS(quarantined) : G_N_ELEMENTS(usual);

	if (*name == '.')
		return FALSE;
	for (guint i = 0; i < n; i++)
		if (g_str_has_suffix(name, suffixes[i]))
			return TRUE;
	/* a receipt that another one has followed is kept, too */
	if (!aside && g_str_has_prefix(name, "lock-") && g_str_has_suffix(name, ".receipt"))
		return TRUE;
	return !aside && (!strcmp(name, "lock.receipt") || !strcmp(name, "euicc.data") || !strcmp(name, "unit.identity") ||
			  !strcmp(name, "lock.begun") || !strcmp(name, "eim.record"));
}

static char *stray(const char *path, gboolean aside)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *inner = g_build_filename(path, name, NULL);
		char *found = NULL;

		if (g_file_test(inner, G_FILE_TEST_IS_DIR))
			found = stray(inner, !strcmp(name, "quarantine"));
		else if (!known_file(name, aside))
			found = g_strdup_printf("left behind: %s", name);
		if (found)
			return found;
	}
	return NULL;
}

char *verdict_files(Station *station)
{
	return stray(station->state, FALSE);
}

/* notificationMetadata.seqNumber: BF37 { BF27 { 80, BF2F { 80 ... */
static gboolean seq_of(IfppSpan in, guint64 *seq)
{
	IfppTlv pir, data, part;

	return ifpp_tlv_take(&in, IFPP_TAG_PIR, &pir) && ifpp_tlv_take(&pir.value, 0xBF27, &data) &&
	       ifpp_tlv_find(data.value, 0xBF2F, &part) && ifpp_tlv_take(&part.value, 0x80, &part) &&
	       ifpp_tlv_uint(&part, seq, NULL);
}

/* NULL: it is one of the chip's; @seq is its number, @success whether it installed a profile. */
static char *check_result(const char *path, IfppChipMem *mem, guint64 *seq, gboolean *success)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *text = NULL;
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(GError) error = NULL;
	guint8 *data;
	gsize len;

	if (!g_key_file_load_from_file(kf, path, G_KEY_FILE_NONE, &error))
		return g_strdup(error->message);
	text = g_key_file_get_string(kf, "Result", "PIR", NULL);
	if (!text || !*text)
		return g_strdup("a result without the chip's word");
	data = g_base64_decode(text, &len);
	bytes = g_bytes_new_take(data, len);
	pir = ifpp_pir_parse(bytes, &error);
	if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(mem->cert_euicc), &error))
		return g_strdup_printf("PIR: %s", error->message);
	if (!seq_of(ifpp_span_bytes(bytes), seq))
		return g_strdup("PIR: no sequence number");
	if ((g_key_file_get_integer(kf, "Result", "Status", NULL) == 0) != pir->success)
		return g_strdup("the outbox's status is not the PIR's");
	*success = pir->success;
	return NULL;
}

/* Results in quarantine that are the chip's own, all the same: set aside, not lost. */
static guint64 count_quarantined(const char *outbox, IfppChipMem *mem, GHashTable *seen)
{
	g_autofree char *path = g_build_filename(outbox, "quarantine", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	guint64 found = 0, seq;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		g_autoptr(GBytes) bytes = NULL;
		g_autoptr(IfppPir) pir = NULL;
		char *data;
		gsize len;

		if (!g_str_has_suffix(name, ".bin") || !g_file_get_contents(file, &data, &len, NULL))
			continue;
		bytes = g_bytes_new_take(data, len);
		pir = ifpp_pir_parse(bytes, NULL);
		if (pir && ifpp_pir_verify(pir, ifpp_span_bytes(mem->cert_euicc), NULL) &&
		    seq_of(ifpp_span_bytes(bytes), &seq))
			found += g_hash_table_add(seen, g_memdup2(&seq, sizeof(seq)));
	}
	return found;
}

/* A garbled transactionId makes a result that names no package of ours: it is not for us to take it from the chip. */
static gboolean is_ours(const IfppChipNote *note, GBytes *package)
{
	IfppSpan in = ifpp_span_bytes(note->bytes);
	IfppTlv pir, data, transaction;
	gsize len;
	const void *all = g_bytes_get_data(package, &len);

	return !ifpp_tlv_take(&in, IFPP_TAG_PIR, &pir) || !ifpp_tlv_take(&pir.value, 0xBF27, &data) ||
	       !ifpp_tlv_take(&data.value, 0x80, &transaction) ||
	       memmem(all, len, transaction.whole.data, transaction.whole.len);
}

char *verdict_outbox(Station *station, IfppChipMem *mem, guint64 first_seq, GBytes *package)
{
	g_autofree char *path = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	guint64 signed_results = mem->next_seq - first_seq, found = 0, installed = 0;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		gboolean success = FALSE;
		guint64 seq = 0;
		char *wrong;

		if (!g_str_has_suffix(name, ".result"))
			continue;
		wrong = check_result(file, mem, &seq, &success);
		if (wrong)
			return wrong;
		if (!g_hash_table_add(seen, g_memdup2(&seq, sizeof(seq))))
			return g_strdup_printf("result %u is there twice", (guint)seq);
		found++;
		installed += success;
	}
	found += count_quarantined(path, mem, seen);
	for (guint i = 0; i < mem->notes->len; i++) {
		if (is_ours(mem->notes->pdata[i], package))
			return g_strdup("a result of ours is left in the chip");
		found += g_hash_table_add(seen, g_memdup2(&((IfppChipNote *)mem->notes->pdata[i])->seq,
							 sizeof(guint64)));
	}
	if (found != signed_results)
		return g_strdup_printf("the chip signed %u results, %u can be found", (guint)signed_results,
				       (guint)found);
	if (installed != mem->profiles->len)
		return g_strdup_printf("the outbox tells of %u profiles, the chip has %u", (guint)installed,
				       mem->profiles->len);
	return NULL;
}
