// SPDX-License-Identifier: GPL-2.0-or-later
/* What the outbox has of a chip beside its attempts: deletions, lock, receipt, quarantine, the chip's own data. */
#include <string.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/ifpp.h>

#include "eid.h"
#include "error.h"
#include "file.h"
#include "outbox-priv.h"
#include "quarantine.h"
#include "refusal.h"

#define RECEIPT_MAX (64 * 1024)
#define EUICC_DATA_MAX (1024 * 1024)
#define LOCK_MAX 4096
#define EIM_MAX 4096
#define DELETION_RESERVE 8192	/* for one record */

/* NULL: there is none that can be read, whatever has its name. */
static GKeyFile *load(const char *path, gsize max)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, max, NULL);
	g_autoptr(GKeyFile) kf = g_key_file_new();

	return file && g_key_file_load_from_bytes(kf, file, G_KEY_FILE_NONE, NULL) ? g_steal_pointer(&kf) : NULL;
}

/* A directory or a pipe with the name of a file goes out of its way. */
static gboolean put(Outbox *outbox, const char *path, const void *data, gsize len, GError **error)
{
	return (g_file_test(path, G_FILE_TEST_IS_REGULAR) || quarantine_move(outbox->dir, outbox->eid, path, error)) &&
	       ifpp_file_write(path, data, len, 0640, error);
}

/* What a lock before has given is signed as well. */
static gboolean keep_receipt(Outbox *outbox, const char *path, GError **error)
{
	g_autoptr(GBytes) old = ifpp_file_read(path, RECEIPT_MAX, NULL);
	g_autofree char *sum = NULL, *to = NULL;

	if (!old)
		return quarantine_move(outbox->dir, outbox->eid, path, error);
	sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, old);
	to = g_strdup_printf("%s/lock-%.16s.receipt", outbox->dir, sum);
	return ifpp_file_write(to, g_bytes_get_data(old, NULL), g_bytes_get_size(old), 0640, error);
}

gboolean outbox_begin_lock(Outbox *outbox, const guint8 challenge[16], GError **error)
{
	g_autofree char *path = outbox_path(outbox, "lock", ".begun");
	g_autofree char *challenge_hex = ifpp_hex((IfppSpan){ challenge, IFPP_CHALLENGE_LEN });
	g_autofree char *when = outbox_now(), *text = NULL;
	char digits[33];

	ifpp_eid_format(outbox->eid, digits);
	text = g_strdup_printf("[Lock]\nVersion=1\nEID=%s\nChallenge=%s\nTime=%s\n", digits, challenge_hex, when);
	return put(outbox, path, text, strlen(text), error);
}

gboolean outbox_lock_begun(Outbox *outbox)
{
	g_autofree char *path = outbox_path(outbox, "lock", ".begun");
	g_autoptr(GKeyFile) kf = load(path, LOCK_MAX);
	g_autofree char *eid = kf ? g_key_file_get_string(kf, "Lock", "EID", NULL) : NULL;
	g_autofree char *hex = kf ? g_key_file_get_string(kf, "Lock", "Challenge", NULL) : NULL;
	guint8 challenge[IFPP_CHALLENGE_LEN];
	char digits[33];

	ifpp_eid_format(outbox->eid, digits);
	return eid && g_str_equal(eid, digits) && ifpp_unhex_into(hex, challenge, sizeof(challenge));
}

gboolean outbox_store_receipt(Outbox *outbox, const guint8 challenge[16], GBytes *receipt, GError **error)
{
	g_autofree char *path = outbox_path(outbox, "lock", ".receipt");
	g_autofree char *challenge_hex = ifpp_hex((IfppSpan){ challenge, IFPP_CHALLENGE_LEN });
	g_autofree char *base64 = g_base64_encode(g_bytes_get_data(receipt, NULL), g_bytes_get_size(receipt));
	g_autofree char *when = outbox_now(), *text = NULL;
	char digits[33];

	ifpp_eid_format(outbox->eid, digits);
	text = g_strdup_printf("[Receipt]\nVersion=1\nEID=%s\nChallenge=%s\nReceipt=%s\nTime=%s\n", digits, challenge_hex,
			       base64, when);
	return keep_receipt(outbox, path, error) && ifpp_file_write(path, text, strlen(text), 0640, error);
}

GBytes *outbox_receipt(Outbox *outbox, guint8 challenge[16])
{
	g_autofree char *path = outbox_path(outbox, "lock", ".receipt");
	g_autoptr(GKeyFile) kf = load(path, RECEIPT_MAX);
	g_autofree char *hex = NULL, *base64 = NULL;

	if (!kf)
		return NULL;
	hex = g_key_file_get_string(kf, "Receipt", "Challenge", NULL);
	base64 = g_key_file_get_string(kf, "Receipt", "Receipt", NULL);
	return ifpp_unhex_into(hex, challenge, IFPP_CHALLENGE_LEN) ? ifpp_unbase64(base64) : NULL;
}

static gboolean same_value(GKeyFile *old, GKeyFile *new, const char *key)
{
	g_autofree char *before = g_key_file_get_string(old, "Eim", key, NULL);
	g_autofree char *now = g_key_file_get_string(new, "Eim", key, NULL);

	return g_strcmp0(before, now) == 0;
}

gboolean outbox_store_eim(Outbox *outbox, const char *id, GBytes *config, const char *reason, GError **error)
{
	g_autofree char *path = outbox_path(outbox, "eim", ".record"), *when = outbox_now(), *sum = NULL, *text = NULL;
	g_autoptr(GKeyFile) kf = g_key_file_new(), old = load(path, EIM_MAX);
	char digits[33];
	gsize len;

	ifpp_eid_format(outbox->eid, digits);
	sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, config);
	g_key_file_set_integer(kf, "Eim", "Version", 1);
	g_key_file_set_string(kf, "Eim", "EID", digits);
	g_key_file_set_string(kf, "Eim", "Id", id);
	g_key_file_set_string(kf, "Eim", "Sha256", sum);
	g_key_file_set_boolean(kf, "Eim", "Known", !reason);
	if (reason)
		g_key_file_set_string(kf, "Eim", "Reason", reason);
	g_key_file_set_string(kf, "Eim", "Time", when);
	if (old && same_value(old, kf, "Id") &&
	    same_value(old, kf, "Sha256") && same_value(old, kf, "Known") && same_value(old, kf, "Reason"))
		return TRUE;
	text = g_key_file_to_data(kf, &len, NULL);
	return put(outbox, path, text, len, error);
}

gboolean outbox_note_refusal(Outbox *outbox, const guint8 key_id[32], const GError *cause, GError **error)
{
	g_autofree char *when = outbox_now();
	IfppRefusal refusal = { .reason = cause->domain == IFPP_ERROR ? cause->code : IFPP_ERROR_INTERNAL,
				.why = cause->message, .time = when };

	memcpy(refusal.key_id, key_id, sizeof(refusal.key_id));
	return ifpp_refusal_write(outbox->dir, outbox->eid, &refusal, error);
}

gboolean outbox_begin_rework(Outbox *outbox, GError **error)
{
	g_autofree char *path = outbox_path(outbox, "rework", IFPP_RESERVE_SUFFIX);

	return ifpp_file_reserve(path, (outbox->attempts->len + 2) * DELETION_RESERVE, 0640, error);
}

void outbox_end_rework(Outbox *outbox)
{
	g_autofree char *path = outbox_path(outbox, "rework", IFPP_RESERVE_SUFFIX);

	g_unlink(path);
}

GPtrArray *outbox_deletions(Outbox *outbox)
{
	return outbox->deletions;
}

gboolean outbox_store_deletion(Outbox *outbox, IfppDeletion *deletion, GError **error)
{
	g_autofree char *name = ifpp_deletion_name(deletion), *path = outbox_path(outbox, name, "");

	g_free(deletion->time);
	deletion->time = outbox_now();
	outbox_put_unit(outbox, &deletion->unit);
	if (!quarantine_move(outbox->dir, outbox->eid, path, error) ||
	    !ifpp_deletion_write(outbox->dir, outbox->eid, deletion, error))
		return FALSE;
	g_ptr_array_add(outbox->deletions, deletion);
	return TRUE;
}

gboolean outbox_set_aside(Outbox *outbox, GBytes *bytes, const char *why, GError **error)
{
	return quarantine_keep(outbox->dir, outbox->eid, bytes, why, error);
}

gboolean outbox_is_aside(Outbox *outbox, GBytes *bytes)
{
	return quarantine_has(outbox->dir, bytes);
}

GBytes *outbox_euicc_data(Outbox *outbox)
{
	g_autofree char *path = outbox_path(outbox, "euicc", ".data");

	return ifpp_file_read(path, EUICC_DATA_MAX, NULL);
}

gboolean outbox_store_euicc_data(Outbox *outbox, GBytes *data, GError **error)
{
	g_autofree char *path = outbox_path(outbox, "euicc", ".data");

	return put(outbox, path, g_bytes_get_data(data, NULL), g_bytes_get_size(data), error);
}
