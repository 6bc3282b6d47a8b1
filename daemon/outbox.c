// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

#include "eid.h"
#include "error.h"
#include "file.h"
#include "outbox.h"

/* A PIR of IFPP_PIR_MAX in base64 and everything beside it. */
#define RESERVE (IFPP_PIR_MAX * 2)

struct _Outbox {
	char *dir;
	char eid[33];
	GPtrArray *results;
};

static void result_free(gpointer data)
{
	OutboxResult *result = data;

	g_clear_pointer(&result->transaction, g_bytes_unref);
	g_clear_pointer(&result->pir, g_bytes_unref);
	g_free(result);
}

static char *file_of(Outbox *outbox, const guint8 key_id[32], const char *suffix)
{
	g_autofree char *hex = ifpp_hex((IfppSpan){ key_id, IFPP_KEY_ID_LEN });

	return g_strdup_printf("%s/%s%s", outbox->dir, hex, suffix);
}

static GBytes *key_file_hex(GKeyFile *kf, const char *group, const char *key)
{
	g_autofree char *text = g_key_file_get_string(kf, group, key, NULL);

	return text ? ifpp_unhex(text) : NULL;
}

static GBytes *key_file_base64(GKeyFile *kf, const char *group, const char *key)
{
	g_autofree char *text = g_key_file_get_string(kf, group, key, NULL);
	gsize len;
	guint8 *data;

	if (!text || !*text)
		return NULL;
	data = g_base64_decode(text, &len);
	return g_bytes_new_take(data, len);
}

static gboolean load_one(Outbox *outbox, const char *name)
{
	g_autofree char *path = g_build_filename(outbox->dir, name, NULL);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GBytes) key_id = NULL;
	g_autoptr(GBytes) transaction = NULL;
	gboolean stored = g_str_has_suffix(name, ".result");
	const char *group = stored ? "Result" : "Pending";
	OutboxResult *result;

	if (!g_key_file_load_from_file(kf, path, G_KEY_FILE_NONE, NULL))
		return FALSE;
	key_id = key_file_hex(kf, group, "KeyId");
	transaction = key_file_hex(kf, group, "TransactionId");
	if (!key_id || g_bytes_get_size(key_id) != IFPP_KEY_ID_LEN || !transaction)
		return FALSE;
	result = outbox_find(outbox, g_bytes_get_data(key_id, NULL));
	if (result && result->stored)	/* a result beats the note that its load has begun */
		return TRUE;
	if (result)
		g_ptr_array_remove(outbox->results, result);
	result = g_new0(OutboxResult, 1);
	memcpy(result->key_id, g_bytes_get_data(key_id, NULL), IFPP_KEY_ID_LEN);
	result->transaction = g_steal_pointer(&transaction);
	result->stored = stored;
	result->status = g_key_file_get_integer(kf, group, "Status", NULL);
	result->reason = g_key_file_get_integer(kf, group, "Reason", NULL);
	result->apdus = g_key_file_get_integer(kf, group, "Apdus", NULL);
	result->apdu_bytes = g_key_file_get_integer(kf, group, "ApduBytes", NULL);
	result->verify_ns = g_key_file_get_uint64(kf, group, "VerifyNs", NULL);
	result->chip_ns = g_key_file_get_uint64(kf, group, "ChipNs", NULL);
	result->modem_ns = g_key_file_get_uint64(kf, group, "ModemNs", NULL);
	result->profile_class = g_key_file_has_key(kf, group, "ProfileClass", NULL) ?
				g_key_file_get_integer(kf, group, "ProfileClass", NULL) : -1;
	if (stored)
		result->pir = key_file_base64(kf, group, "PIR");
	g_ptr_array_add(outbox->results, result);
	return TRUE;
}

static int compare_results(gconstpointer a, gconstpointer b)
{
	return memcmp((*(OutboxResult **)a)->key_id, (*(OutboxResult **)b)->key_id, IFPP_KEY_ID_LEN);
}

Outbox *outbox_open(const char *state_dir, const guint8 eid[16], GError **error)
{
	g_autoptr(Outbox) outbox = g_new0(Outbox, 1);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	ifpp_eid_format(eid, outbox->eid);
	outbox->dir = g_build_filename(state_dir, "outbox", outbox->eid, NULL);
	outbox->results = g_ptr_array_new_with_free_func(result_free);
	if (!ifpp_make_dir(outbox->dir, 0750, error))
		return NULL;
	dir = g_dir_open(outbox->dir, 0, NULL);
	if (!dir) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS, "%s: cannot be read", outbox->dir);
		return NULL;
	}
	while ((name = g_dir_read_name(dir))) {
		if (!g_str_has_suffix(name, ".result") && !g_str_has_suffix(name, ".pending"))
			continue;
		if (!load_one(outbox, name))
			g_warning("%s/%s: not readable, ignored", outbox->dir, name);
	}
	g_ptr_array_sort(outbox->results, compare_results);
	return g_steal_pointer(&outbox);
}

void outbox_free(Outbox *outbox)
{
	g_free(outbox->dir);
	g_clear_pointer(&outbox->results, g_ptr_array_unref);
	g_free(outbox);
}

GPtrArray *outbox_results(Outbox *outbox)
{
	return outbox->results;
}

OutboxResult *outbox_find(Outbox *outbox, const guint8 key_id[32])
{
	for (guint i = 0; i < outbox->results->len; i++) {
		OutboxResult *result = outbox->results->pdata[i];

		if (!memcmp(result->key_id, key_id, IFPP_KEY_ID_LEN))
			return result;
	}
	return NULL;
}

OutboxResult *outbox_find_transaction(Outbox *outbox, IfppSpan transaction)
{
	for (guint i = 0; i < outbox->results->len; i++) {
		OutboxResult *result = outbox->results->pdata[i];

		if (ifpp_span_equal(ifpp_span_bytes(result->transaction), transaction))
			return result;
	}
	return NULL;
}

static char *now_text(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();

	return g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
}

static gboolean take_space(const char *path, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	int err;

	if (fd < 0)
		return ifpp_file_error(path, NULL, error);
	err = posix_fallocate(fd, 0, RESERVE);
	if (!err && fsync(fd))
		err = errno;
	close(fd);
	if (err) {
		g_unlink(path);
		errno = err;
		return ifpp_file_error(path, NULL, error);
	}
	return TRUE;
}

gboolean outbox_reserve(Outbox *outbox, const guint8 key_id[32], IfppSpan transaction, guint profile_class,
			GError **error)
{
	g_autofree char *reserve = file_of(outbox, key_id, ".reserve");
	g_autofree char *pending = file_of(outbox, key_id, ".pending");
	g_autofree char *key_hex = ifpp_hex((IfppSpan){ key_id, IFPP_KEY_ID_LEN });
	g_autofree char *tid_hex = ifpp_hex(transaction);
	g_autofree char *when = now_text();
	g_autofree char *text =
		g_strdup_printf("[Pending]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=%s\nProfileClass=%u\nTime=%s\n",
				outbox->eid, key_hex, tid_hex, profile_class, when);
	OutboxResult *result = outbox_find(outbox, key_id);

	if (!take_space(reserve, error))
		return FALSE;
	if (!ifpp_file_write(pending, text, strlen(text), 0640, error)) {
		g_unlink(reserve);
		return FALSE;
	}
	if (!result) {
		result = g_new0(OutboxResult, 1);
		memcpy(result->key_id, key_id, IFPP_KEY_ID_LEN);
		g_ptr_array_add(outbox->results, result);
	}
	g_clear_pointer(&result->transaction, g_bytes_unref);
	result->transaction = g_bytes_new(transaction.data, transaction.len);
	result->profile_class = profile_class;
	return TRUE;
}

void outbox_cancel(Outbox *outbox, const guint8 key_id[32])
{
	g_autofree char *reserve = file_of(outbox, key_id, ".reserve");
	g_autofree char *pending = file_of(outbox, key_id, ".pending");
	OutboxResult *result = outbox_find(outbox, key_id);

	if (!result || result->stored)
		return;
	g_unlink(pending);
	g_unlink(reserve);
	g_ptr_array_remove(outbox->results, result);
}

/* Into the space taken before, then under its name: needs no further block. */
static gboolean write_reserved(Outbox *outbox, const char *reserve, const char *path, const char *text,
			       GError **error)
{
	gsize len = strlen(text);
	int fd = open(reserve, O_WRONLY | O_CLOEXEC);
	gboolean ok;

	if (fd < 0 || len > RESERVE) {
		if (fd >= 0)
			close(fd);
		return ifpp_file_write(path, text, len, 0640, error);
	}
	ok = ifpp_file_put(fd, path, (IfppSpan){ (const guint8 *)text, len }, error);
	if (ok && (ftruncate(fd, len) || fsync(fd)))
		ok = ifpp_file_error(path, NULL, error);
	close(fd);
	if (ok && rename(reserve, path))
		ok = ifpp_file_error(path, NULL, error);
	return ok && ifpp_sync_dir(outbox->dir, error);
}

gboolean outbox_store(Outbox *outbox, OutboxResult *result, GError **error)
{
	g_autofree char *reserve = file_of(outbox, result->key_id, ".reserve");
	g_autofree char *pending = file_of(outbox, result->key_id, ".pending");
	g_autofree char *path = file_of(outbox, result->key_id, ".result");
	g_autofree char *key_hex = ifpp_hex((IfppSpan){ result->key_id, IFPP_KEY_ID_LEN });
	g_autofree char *tid_hex = ifpp_hex(ifpp_span_bytes(result->transaction));
	g_autofree char *when = now_text();
	g_autofree char *pir = result->pir ? g_base64_encode(g_bytes_get_data(result->pir, NULL),
							     g_bytes_get_size(result->pir)) : g_strdup("");
	g_autofree char *text = g_strdup_printf(
		"[Result]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=%s\nStatus=%d\nReason=%u\nApdus=%u\n"
		"ApduBytes=%u\nVerifyNs=%" G_GUINT64_FORMAT "\nChipNs=%" G_GUINT64_FORMAT
		"\nModemNs=%" G_GUINT64_FORMAT "\nProfileClass=%d\nTime=%s\nPIR=%s\n",
		outbox->eid, key_hex, tid_hex, result->status, result->reason, result->apdus,
		result->apdu_bytes, result->verify_ns, result->chip_ns, result->modem_ns, result->profile_class, when,
		pir);

	if (!write_reserved(outbox, reserve, path, text, error))
		return FALSE;
	result->stored = TRUE;
	g_unlink(pending);
	g_unlink(reserve);
	return TRUE;
}

gboolean outbox_store_receipt(Outbox *outbox, const guint8 challenge[16], GBytes *receipt, GError **error)
{
	g_autofree char *path = g_build_filename(outbox->dir, "lock.receipt", NULL);
	g_autofree char *challenge_hex = ifpp_hex((IfppSpan){ challenge, IFPP_CHALLENGE_LEN });
	g_autofree char *base64 = g_base64_encode(g_bytes_get_data(receipt, NULL), g_bytes_get_size(receipt));
	g_autofree char *when = now_text();
	g_autofree char *text =
		g_strdup_printf("[Receipt]\nVersion=1\nEID=%s\nChallenge=%s\nReceipt=%s\nTime=%s\n",
				outbox->eid, challenge_hex, base64, when);

	return ifpp_file_write(path, text, strlen(text), 0640, error);
}

GBytes *outbox_receipt(Outbox *outbox, guint8 challenge[16])
{
	g_autofree char *path = g_build_filename(outbox->dir, "lock.receipt", NULL);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GBytes) hex = NULL;

	if (!g_key_file_load_from_file(kf, path, G_KEY_FILE_NONE, NULL))
		return NULL;
	hex = key_file_hex(kf, "Receipt", "Challenge");
	if (!hex || g_bytes_get_size(hex) != IFPP_CHALLENGE_LEN)
		return NULL;
	memcpy(challenge, g_bytes_get_data(hex, NULL), IFPP_CHALLENGE_LEN);
	return key_file_base64(kf, "Receipt", "Receipt");
}

gboolean outbox_has_euicc_data(Outbox *outbox)
{
	g_autofree char *path = g_build_filename(outbox->dir, "euicc.data", NULL);

	return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

gboolean outbox_store_euicc_data(Outbox *outbox, GBytes *data, GError **error)
{
	g_autofree char *path = g_build_filename(outbox->dir, "euicc.data", NULL);

	return ifpp_file_write(path, g_bytes_get_data(data, NULL), g_bytes_get_size(data), 0640, error);
}
