// SPDX-License-Identifier: GPL-2.0-or-later
#include "outbox.h"
#include "packages.h"

#include <eid.h>
#include <errno.h>
#include <error.h>
#include <file.h>
#include <string.h>
#include <sys/stat.h>
#include <tlv.h>

#define RESULT_MAX (64 * 1024)
#define EUICC_DATA_MAX (256 * 1024)
#define NOTE_MAX 4096
#define NOTE_PROFILE "profile "

void ctl_result_free(CtlResult *result)
{
	if (!result)
		return;
	g_free(result->transaction_id);
	g_free(result->time);
	g_free(result->pir);
	g_free(result);
}

void ctl_receipt_free(CtlReceipt *receipt)
{
	if (!receipt)
		return;
	g_free(receipt->challenge);
	g_free(receipt->receipt);
	g_free(receipt->time);
	g_free(receipt);
}

static char *unit_file(const char *outbox, const guint8 eid[16], const char *name)
{
	char digits[33];

	ifpp_eid_format(eid, digits);
	return g_build_filename(outbox, digits, name, NULL);
}

/* NULL without an error: there is none. */
static GKeyFile *load(const char *path, const guint8 eid[16], const char *group, GError **error)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) local = NULL;
	g_autofree char *unit = NULL;
	char digits[33];
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return NULL;
	file = ifpp_file_read(path, RESULT_MAX, error);
	if (!file)
		return NULL;
	if (!g_key_file_load_from_bytes(kf, file, G_KEY_FILE_NONE, &local)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "%s: %s", path, local->message);
		return NULL;
	}
	ifpp_eid_format(eid, digits);
	unit = g_key_file_get_string(kf, group, "EID", NULL);
	if (g_key_file_get_integer(kf, group, "Version", NULL) != 1 || g_strcmp0(unit, digits)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR,
			    "%s: not a record of this chip in a version known here", path);
		return NULL;
	}
	return g_steal_pointer(&kf);
}

static char *get_base64(GKeyFile *kf, const char *group, const char *name)
{
	g_autofree char *text = g_key_file_get_string(kf, group, name, NULL);
	g_autofree guchar *raw = NULL;
	g_autofree char *again = NULL;
	gsize len;

	if (!text || !*text)
		return NULL;
	/* GLib passes over what is not base64; what does not survive the round trip is not. */
	raw = g_base64_decode(text, &len);
	again = g_base64_encode(raw, len);
	return g_str_equal(again, text) ? g_steal_pointer(&again) : NULL;
}

static char *get_hex(GKeyFile *kf, const char *group, const char *name)
{
	g_autofree char *text = g_key_file_get_string(kf, group, name, NULL);
	g_autoptr(GBytes) raw = text ? ifpp_unhex(text) : NULL;

	return raw ? ifpp_hex(ifpp_span_bytes(raw)) : NULL;
}

CtlResult *ctl_outbox_result(const char *outbox, const guint8 eid[16], const guint8 key_id[32], GError **error)
{
	g_autoptr(CtlResult) result = NULL;
	g_autofree char *hex = ifpp_hex((IfppSpan){ key_id, 32 });
	g_autofree char *name = g_strconcat(hex, ".result", NULL);
	g_autofree char *path = unit_file(outbox, eid, name);
	g_autofree char *own = NULL;
	g_autoptr(GKeyFile) kf = load(path, eid, "Result", error);
	g_autoptr(GError) local = NULL;

	if (!kf)
		return NULL;
	own = get_hex(kf, "Result", "KeyId");
	result = g_new0(CtlResult, 1);
	memcpy(result->key_id, key_id, 32);
	result->status = g_key_file_get_integer(kf, "Result", "Status", &local);
	result->reason = g_key_file_get_integer(kf, "Result", "Reason", NULL);
	result->apdus = g_key_file_get_integer(kf, "Result", "Apdus", NULL);
	result->apdu_bytes = g_key_file_get_integer(kf, "Result", "ApduBytes", NULL);
	result->verify_ns = g_key_file_get_uint64(kf, "Result", "VerifyNs", NULL);
	result->chip_ns = g_key_file_get_uint64(kf, "Result", "ChipNs", NULL);
	result->modem_ns = MIN(g_key_file_get_uint64(kf, "Result", "ModemNs", NULL), result->chip_ns);
	result->profile_class = g_key_file_has_key(kf, "Result", "ProfileClass", NULL) ?
				g_key_file_get_integer(kf, "Result", "ProfileClass", NULL) : -1;
	result->time = g_key_file_get_string(kf, "Result", "Time", NULL);
	result->transaction_id = get_hex(kf, "Result", "TransactionId");
	result->pir = get_base64(kf, "Result", "PIR");
	if (local || g_strcmp0(own, hex)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "%s: %s", path,
			    local ? local->message : "holds the result of another key");
		return NULL;
	}
	/* Installed is what the chip has signed, nothing else is. */
	if (!result->status && !result->pir) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "%s: tells of success without the chip's result",
			    path);
		return NULL;
	}
	return g_steal_pointer(&result);
}

CtlReceipt *ctl_outbox_receipt(const char *outbox, const guint8 eid[16], GError **error)
{
	g_autoptr(CtlReceipt) receipt = NULL;
	g_autofree char *path = unit_file(outbox, eid, "lock.receipt");
	g_autoptr(GKeyFile) kf = load(path, eid, "Receipt", error);

	if (!kf)
		return NULL;
	receipt = g_new0(CtlReceipt, 1);
	receipt->challenge = get_hex(kf, "Receipt", "Challenge");
	receipt->receipt = get_base64(kf, "Receipt", "Receipt");
	receipt->time = g_key_file_get_string(kf, "Receipt", "Time", NULL);
	if (!receipt->challenge || !receipt->receipt) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT, "%s: has no challenge or no receipt", path);
		return NULL;
	}
	return g_steal_pointer(&receipt);
}

GBytes *ctl_outbox_euicc_data(const char *outbox, const guint8 eid[16], GError **error)
{
	g_autofree char *path = unit_file(outbox, eid, "euicc.data");
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return NULL;
	return ifpp_file_read(path, EUICC_DATA_MAX, error);
}

void ctl_note_clear(CtlNote *note)
{
	g_clear_pointer(&note->where, g_free);
	g_clear_pointer(&note->profile, g_free);
}

static char *note_file(const char *outbox, const char *eid, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".delivered", NULL);

	return g_build_filename(outbox, eid, file, NULL);
}

gboolean ctl_outbox_note_read(const char *outbox, const char *eid, const char *name, CtlNote *note)
{
	g_autofree char *path = note_file(outbox, eid, name);
	g_autoptr(GBytes) file = g_file_test(path, G_FILE_TEST_EXISTS) ? ifpp_file_read(path, NOTE_MAX, NULL) : NULL;
	g_autofree char *text = file ? g_strndup(g_bytes_get_data(file, NULL), g_bytes_get_size(file)) : NULL;
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 3) : NULL;

	if (!lines || !lines[0])
		return FALSE;
	note->where = g_strdup(lines[0]);
	if (lines[1] && g_str_has_prefix(lines[1], NOTE_PROFILE))
		note->profile = g_strdup(lines[1] + strlen(NOTE_PROFILE));
	return TRUE;
}

gboolean ctl_outbox_note_write(const char *outbox, const char *eid, const char *name, const CtlNote *note,
			       GError **error)
{
	g_autofree char *path = note_file(outbox, eid, name);
	g_autofree char *text = note->profile ? g_strdup_printf("%s\n" NOTE_PROFILE "%s\n", note->where, note->profile) :
						g_strdup_printf("%s\n", note->where);

	return ifpp_file_write(path, text, strlen(text), 0640, error);
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *ctl_outbox_units(const char *outbox, GError **error)
{
	g_autoptr(GPtrArray) units = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) d = ctl_dir_open(outbox, error);
	const char *name;
	guint8 eid[16];

	if (!d)
		return NULL;
	while ((name = g_dir_read_name(d)))
		if (ifpp_eid_parse(name, eid, NULL))
			g_ptr_array_add(units, g_strdup(name));
	g_ptr_array_sort(units, by_name);
	return g_steal_pointer(&units);
}

GPtrArray *ctl_outbox_keys(const char *outbox, const char *eid)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *path = g_build_filename(outbox, eid, NULL);
	g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d)))
		if (g_str_has_suffix(name, ".result") && strspn(name, "0123456789abcdef") == 64 &&
		    strlen(name) == 64 + strlen(".result"))
			g_ptr_array_add(keys, g_strndup(name, 64));
	g_ptr_array_sort(keys, by_name);
	return keys;
}
