// SPDX-License-Identifier: LGPL-2.1-or-later
#include "refusal.h"

#include <string.h>

#include "eid.h"
#include "error.h"
#include "file.h"

#define GROUP "Refusal"
#define VERSION 1
#define RECORD_MAX (16 * 1024)
#define WHY_MAX 1024

void ifpp_refusal_free(IfppRefusal *refusal)
{
	g_free(refusal->why);
	g_free(refusal->time);
	g_free(refusal);
}

gboolean ifpp_refusal_write(const char *dir, const guint8 eid[16], const IfppRefusal *refusal, GError **error)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(refusal->key_id)), *text = NULL;
	g_autofree char *path = g_strconcat(dir, "/", key, IFPP_REFUSAL_SUFFIX, NULL);
	g_autofree char *why = g_utf8_make_valid(refusal->why, -1);
	g_autofree char *some = g_utf8_substring(why, 0, MIN(g_utf8_strlen(why, -1), WHY_MAX));
	g_autoptr(GKeyFile) kf = g_key_file_new();
	char digits[33];
	gsize len;

	ifpp_eid_format(eid, digits);
	g_key_file_set_integer(kf, GROUP, "Version", VERSION);
	g_key_file_set_string(kf, GROUP, "EID", digits);
	g_key_file_set_string(kf, GROUP, "KeyId", key);
	g_key_file_set_uint64(kf, GROUP, "Reason", refusal->reason);
	g_key_file_set_string(kf, GROUP, "Why", some);
	g_key_file_set_string(kf, GROUP, "Time", refusal->time);
	text = g_key_file_to_data(kf, &len, NULL);
	return ifpp_file_write(path, text, len, 0640, error);
}

static IfppRefusal *parse(GBytes *text, const guint8 eid[16], const char *name)
{
	g_autoptr(IfppRefusal) refusal = g_new0(IfppRefusal, 1);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *unit = NULL, *key = NULL, *file = NULL;
	char digits[33];
	guint64 reason;

	if (!g_key_file_load_from_bytes(kf, text, G_KEY_FILE_NONE, NULL))
		return NULL;
	ifpp_eid_format(eid, digits);
	unit = g_key_file_get_string(kf, GROUP, "EID", NULL);
	key = g_key_file_get_string(kf, GROUP, "KeyId", NULL);
	file = g_strconcat(key ? key : "", IFPP_REFUSAL_SUFFIX, NULL);
	reason = g_key_file_get_uint64(kf, GROUP, "Reason", NULL);
	refusal->why = g_key_file_get_string(kf, GROUP, "Why", NULL);
	refusal->time = g_key_file_get_string(kf, GROUP, "Time", NULL);
	if (g_key_file_get_integer(kf, GROUP, "Version", NULL) != VERSION || g_strcmp0(unit, digits) ||
	    !g_str_equal(file, name) || !ifpp_unhex_into(key, refusal->key_id, sizeof(refusal->key_id)) || !reason ||
	    reason > G_MAXINT32 || !refusal->why || !refusal->time)
		return NULL;
	refusal->reason = reason;
	return g_steal_pointer(&refusal);
}

static int by_key(gconstpointer a, gconstpointer b)
{
	return memcmp((*(IfppRefusal *const *)a)->key_id, (*(IfppRefusal *const *)b)->key_id, 32);
}

GPtrArray *ifpp_refusals_read(const char *dir, const guint8 eid[16])
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_refusal_free);
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		g_autoptr(GBytes) text = NULL;
		IfppRefusal *refusal;

		if (*name == '.' || !g_str_has_suffix(name, IFPP_REFUSAL_SUFFIX))
			continue;
		text = ifpp_file_read(path, RECORD_MAX, NULL);
		refusal = text ? parse(text, eid, name) : NULL;
		if (refusal)
			g_ptr_array_add(all, refusal);
	}
	g_ptr_array_sort(all, by_key);
	return all;
}
