// SPDX-License-Identifier: GPL-2.0-or-later
#include "outbox.h"

#include <eid.h>
#include <errno.h>
#include <error.h>
#include <euicc.h>
#include <file.h>
#include <string.h>
#include <sys/stat.h>
#include <tlv.h>

#define RESULT_MAX (64 * 1024)
#define EUICC_DATA_MAX (256 * 1024)
#define NOTE_MAX 4096
#define NOTE_PROFILE "profile "

GDir *ctl_dir_open(const char *path, GError **error)
{
	g_autoptr(GError) local = NULL;
	GDir *dir = g_dir_open(path, 0, &local);

	if (dir)
		return dir;
	if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_ACCES))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS, "%s: you may not read this directory", path);
	else if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: there is no such directory", path);
	else if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOTDIR))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: is not a directory", path);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: %s", path, local->message);
	return NULL;
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
	g_autoptr(GBytes) bytes = ifpp_unbase64(text);

	return bytes ? g_steal_pointer(&text) : NULL;
}

static char *get_hex(GKeyFile *kf, const char *group, const char *name)
{
	g_autofree char *text = g_key_file_get_string(kf, group, name, NULL);
	g_autoptr(GBytes) raw = text ? ifpp_unhex(text) : NULL;

	return raw ? ifpp_hex(ifpp_span_bytes(raw)) : NULL;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void aside_free(gpointer data)
{
	CtlAside *aside = data;

	g_free(aside->name);
	g_free(aside->why);
	g_clear_pointer(&aside->bytes, g_bytes_unref);
	g_free(aside);
}

static int by_aside_name(gconstpointer a, gconstpointer b)
{
	return strcmp((*(CtlAside *const *)a)->name, (*(CtlAside *const *)b)->name);
}

static CtlAside *read_aside(const char *dir, const char *name)
{
	CtlAside *aside = g_new0(CtlAside, 1);
	g_autofree char *path = g_build_filename(dir, name, NULL), *stem = g_strdup(name), *reason = NULL, *text = NULL;
	char *why;

	if (g_str_has_suffix(stem, IFPP_QUARANTINE_BYTES))
		stem[strlen(stem) - strlen(IFPP_QUARANTINE_BYTES)] = '\0';
	reason = g_strdup_printf("%s/%s" IFPP_QUARANTINE_REASON, dir, stem);
	why = g_file_get_contents(reason, &text, NULL, NULL) ? strstr(text, "\nReason=") : NULL;
	aside->name = g_strdup(name);
	aside->why = g_strdup(why ? g_strchomp(why + strlen("\nReason=")) : "no reason is noted");
	aside->bytes = ifpp_file_read(path, RESULT_MAX, NULL);
	return aside;
}

GPtrArray *ctl_outbox_quarantine(const char *outbox, const guint8 eid[16])
{
	GPtrArray *all = g_ptr_array_new_with_free_func(aside_free);
	g_autofree char *dir = unit_file(outbox, eid, IFPP_QUARANTINE);
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d)))
		if (*name != '.' && !g_str_has_suffix(name, IFPP_QUARANTINE_REASON))
			g_ptr_array_add(all, read_aside(dir, name));
	g_ptr_array_sort(all, by_aside_name);
	return all;
}

GPtrArray *ctl_outbox_attempts(const char *outbox, const guint8 eid[16], GPtrArray *damaged, GError **error)
{
	g_autofree char *dir = unit_file(outbox, eid, "");
	g_autoptr(GPtrArray) unread = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) attempts = ifpp_attempts_read(dir, eid, damaged ?: unread, NULL, error);

	if (!attempts)
		return NULL;
	if (unread->len) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_PIR, unread->pdata[0]);
		return NULL;
	}
	for (guint i = attempts->len; i-- > 0;)
		if (!((IfppAttempt *)attempts->pdata[i])->stored)
			g_ptr_array_remove_index(attempts, i);
	return g_steal_pointer(&attempts);
}

IfppAttempt *ctl_outbox_result(const char *outbox, const guint8 eid[16], const guint8 key_id[32], GError **error)
{
	g_autofree char *dir = unit_file(outbox, eid, "");
	g_autofree char *hex = ifpp_hex((IfppSpan){ key_id, 32 });
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) attempts = ifpp_attempts_read(dir, eid, damaged, NULL, error);
	IfppAttempt *attempt;

	if (!attempts)
		return NULL;
	for (guint i = 0; i < damaged->len; i++) {
		if (strstr(damaged->pdata[i], hex)) {
			g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_PIR, damaged->pdata[i]);
			return NULL;
		}
	}
	attempt = ifpp_attempts_find(attempts, key_id);
	return attempt ? ifpp_attempt_ref(attempt) : NULL;
}

char *ctl_attempt_name(const IfppAttempt *attempt)
{
	return g_strndup(attempt->file, strlen(attempt->file) - strlen(IFPP_RESULT_SUFFIX));
}

GPtrArray *ctl_outbox_deletions(const char *outbox, const guint8 eid[16], GPtrArray *damaged)
{
	g_autofree char *dir = unit_file(outbox, eid, NULL);

	return ifpp_deletions_read(dir, eid, damaged);
}

gboolean ctl_attempt_deleted(const IfppAttempt *attempt, const GPtrArray *deletions)
{
	g_autoptr(IfppPir) pir = attempt->pir && !attempt->status ? ifpp_pir_parse(attempt->pir, NULL) : NULL;

	return attempt->gone || (pir && ifpp_deletions_find(deletions, pir->iccid, pir->seq));
}

GPtrArray *ctl_outbox_refusals(const char *outbox, const guint8 eid[16])
{
	g_autofree char *dir = unit_file(outbox, eid, NULL);

	return ifpp_refusals_read(dir, eid);
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

void ctl_eim_free(CtlEim *eim)
{
	g_free(eim->id);
	g_free(eim->sha256);
	g_free(eim->reason);
	g_free(eim->time);
	g_free(eim);
}

CtlEim *ctl_outbox_eim(const char *outbox, const guint8 eid[16], GError **error)
{
	g_autofree char *path = unit_file(outbox, eid, "eim.record");
	g_autoptr(GKeyFile) kf = load(path, eid, "Eim", error);
	CtlEim *eim;

	if (!kf)
		return NULL;
	eim = g_new0(CtlEim, 1);
	eim->id = g_key_file_get_string(kf, "Eim", "Id", NULL);
	eim->sha256 = g_key_file_get_string(kf, "Eim", "Sha256", NULL);
	eim->known = g_key_file_get_boolean(kf, "Eim", "Known", NULL);
	eim->reason = g_key_file_get_string(kf, "Eim", "Reason", NULL);
	eim->time = g_key_file_get_string(kf, "Eim", "Time", NULL);
	if (eim->id && eim->sha256 && eim->time && eim->known == !eim->reason)
		return eim;
	ctl_eim_free(eim);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "%s: not a note of an eIM", path);
	return NULL;
}

GBytes *ctl_outbox_euicc_data(const char *outbox, const guint8 eid[16], GError **error)
{
	g_autofree char *path = unit_file(outbox, eid, "euicc.data");
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return NULL;
	return ifpp_file_read(path, EUICC_DATA_MAX, error);
}

guint ctl_outbox_missing(const char *outbox, const guint8 eid[16], const GPtrArray *attempts)
{
	g_autoptr(CtlReceipt) receipt = ctl_outbox_receipt(outbox, eid, NULL);
	g_autoptr(GBytes) data = receipt ? ctl_outbox_euicc_data(outbox, eid, NULL) : NULL;
	g_autofree guchar *bytes = NULL;
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	IfppReceipt fields;
	guint8 own[16];
	guint known = 0;
	gsize len;

	if (!data || !ifpp_euicc_data_parse(ifpp_span_bytes(data), own, &ff21, &bf22, NULL))
		return 0;
	info = ifpp_factory_info_parse(ff21, NULL);
	bytes = g_base64_decode(receipt->receipt, &len);
	/* The daemon has proven the certificate; this is about numbers. */
	if (!info || !info->cert_euicc ||
	    !ifpp_receipt_verify((IfppSpan){ bytes, len }, ifpp_span_bytes(info->cert_euicc), eid, NULL, &fields, NULL))
		return 0;
	for (guint i = 0; i < attempts->len; i++) {
		const IfppAttempt *attempt = attempts->pdata[i];

		known += attempt->spent == IFPP_SPENT_YES && ifpp_attempts_find(attempts, attempt->key_id) == attempt;
	}
	return fields.spent > known ? fields.spent - known : 0;
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
