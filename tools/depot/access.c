// SPDX-License-Identifier: GPL-2.0-or-later
#include "access.h"

#include <stdio.h>
#include <string.h>

#include <eid.h>
#include <file.h>

#include "depot.h"

#define PATH_MAX_BYTES 128
#define RATE_LINES 5	/* a second */

struct _AccessLog {
	FILE *file;	/* NULL: standard error */
	gint64 second;	/* and what was written and left out of refusals that come in floods in it */
	guint written, left_out;
	GString *lines;	/* noted, not written yet */
	GMutex lock;
};

AccessLog *access_open(const char *path, GError **error)
{
	AccessLog *log;
	FILE *file = NULL;

	if (path && !(file = fopen(path, "ae"))) {
		ifpp_file_error(path, NULL, error);
		return NULL;
	}
	log = g_new0(AccessLog, 1);
	log->file = file;
	log->lines = g_string_new(NULL);
	g_mutex_init(&log->lock);
	return log;
}

void access_close(AccessLog *log)
{
	if (!log)
		return;
	access_flush(log);
	g_string_free(log->lines, TRUE);
	if (log->file)
		fclose(log->file);
	g_mutex_clear(&log->lock);
	g_free(log);
}

static char *masked(const char *path)
{
	char *text = g_strndup(path, PATH_MAX_BYTES);
	char *last = strrchr(text, '/');
	guint8 eid[16];
	char shown[33];

	if (last && ifpp_eid_parse(last + 1, eid, NULL)) {
		ifpp_eid_mask(eid, shown);
		strcpy(last + 1, shown);
	}
	return text;
}

static void plain(char *text)
{
	for (; *text; text++)
		if (g_ascii_iscntrl(*text) || *text == '"' || *text & 0x80)
			*text = '?';
}

/* A station that floods or drips does not flood the log. */
static gboolean comes_in_floods(guint status)
{
	return status == 429 || status == 408;
}

static gboolean has_room(AccessLog *log)
{
	gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;

	if (second != log->second) {
		log->second = second;
		log->written = 0;
	}
	return log->written++ < RATE_LINES;
}

void access_note(AccessLog *log, const AccessEntry *entry)
{
	g_autofree char *when = depot_time(g_get_real_time() / 1000);
	g_autofree char *path = masked(entry->path ?: "-"), *method = g_strndup(entry->method ?: "-", 16);
	g_autofree char *reason = g_strdup(entry->reason ?: "");

	plain(path);
	plain(method);
	plain(reason);
	g_mutex_lock(&log->lock);
	if (comes_in_floods(entry->status) && !has_room(log)) {
		log->left_out++;
		g_mutex_unlock(&log->lock);
		return;
	}
	if (log->left_out && !comes_in_floods(entry->status)) {
		g_string_append_printf(log->lines, "%s %u refusals for rate or time were not listed one by one\n", when, log->left_out);
		log->left_out = 0;
	}
	g_string_append_printf(log->lines, "%s station=%s address=%s request=\"%s %s\" status=%u reason=\"%s\"\n", when,
			       entry->station ?: "-", entry->address ?: "-", method, path, entry->status, reason);
	g_mutex_unlock(&log->lock);
}

void access_flush(AccessLog *log)
{
	FILE *file = log->file ?: stderr;

	g_mutex_lock(&log->lock);
	if (log->lines->len) {
		fwrite(log->lines->str, 1, log->lines->len, file);
		fflush(file);
		g_string_truncate(log->lines, 0);
	}
	g_mutex_unlock(&log->lock);
}

void access_write(AccessLog *log, const AccessEntry *entry)
{
	access_note(log, entry);
	access_flush(log);
}
