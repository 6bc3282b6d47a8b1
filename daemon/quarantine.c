// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>
#include <glib/gstdio.h>

#include "attempt.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "quarantine.h"

#define KEPT_MAX 64	/* so that a chip that makes up results cannot fill the disk */

static gboolean is_there(const char *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK);
}

static char *name_of(const char *dir, GBytes *bytes, const char *suffix)
{
	g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);

	return g_strdup_printf("%s/" IFPP_QUARANTINE "/%s%s", dir, sum, suffix);
}

static gboolean write_reason(const guint8 eid[16], const char *path, const char *why, GError **error)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *when = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
	g_autofree char *text = NULL;
	char digits[33];

	ifpp_eid_format(eid, digits);
	text = g_strdup_printf("EID=%s\nTime=%s\nReason=%s\n", digits, when, why);
	return ifpp_file_write(path, text, strlen(text), 0640, error);
}

static gboolean make_room(const char *dir, GError **error)
{
	g_autofree char *path = g_build_filename(dir, IFPP_QUARANTINE, NULL);

	return ifpp_make_dir(path, 0750, error);
}

static guint count(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, IFPP_QUARANTINE, NULL);
	g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
	const char *name;
	guint n = 0;

	while (d && (name = g_dir_read_name(d)))
		n += g_str_has_suffix(name, IFPP_QUARANTINE_BYTES);
	return n;
}

gboolean quarantine_has(const char *dir, GBytes *bytes)
{
	g_autofree char *path = name_of(dir, bytes, IFPP_QUARANTINE_BYTES);

	return is_there(path);
}

gboolean quarantine_keep(const char *dir, const guint8 eid[16], GBytes *bytes, const char *why, GError **error)
{
	g_autofree char *path = name_of(dir, bytes, IFPP_QUARANTINE_BYTES);
	g_autofree char *reason = name_of(dir, bytes, IFPP_QUARANTINE_REASON);

	if (is_there(path))
		return TRUE;
	if (count(dir) >= KEPT_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_SPACE, "%s/" IFPP_QUARANTINE ": has %u results already", dir,
			    KEPT_MAX);
		return FALSE;
	}
	/* The reason first: the bytes say that it is complete. */
	return make_room(dir, error) && write_reason(eid, reason, why, error) &&
	       ifpp_file_write(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0640, error);
}

gboolean quarantine_move(const char *dir, const guint8 eid[16], const char *path, GError **error)
{
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *to = g_strdup_printf("%s/" IFPP_QUARANTINE "/%s", dir, base);
	g_autofree char *reason = NULL;

	if (!is_there(path))
		return TRUE;
	for (guint i = 1; is_there(to); i++) {
		g_free(to);
		to = g_strdup_printf("%s/" IFPP_QUARANTINE "/%s.%u", dir, base, i);
	}
	reason = g_strconcat(to, IFPP_QUARANTINE_REASON, NULL);
	if (!make_room(dir, error) || !write_reason(eid, reason, "not readable, and it had the name of a new record", error))
		return FALSE;
	if (g_rename(path, to) < 0)
		return ifpp_file_error(path, "cannot move it", error);
	g_warning("%s: not readable; moved to %s", path, to);
	return ifpp_sync_dir(dir, error);
}
