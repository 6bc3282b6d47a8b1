// SPDX-License-Identifier: GPL-2.0-or-later
#include "assign.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bundle.h>
#include <eid.h>
#include <error.h>
#include <file.h>

#define FILE_MAX (256 * 1024 * 1024)

struct _Assignments {
	char *path;
	int lock;
	GString *text;		/* the file as it will be */
	gsize on_disk;
	GHashTable *owners;	/* key id in hex to name */
};

void assign_free(Assignments *a)
{
	if (a->lock >= 0)
		close(a->lock);
	g_string_free(a->text, TRUE);
	g_hash_table_unref(a->owners);
	g_free(a->path);
	g_free(a);
}

static gboolean parse_line(Assignments *a, const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 3);
	g_autoptr(GBytes) id = words[0] ? ifpp_unhex(words[0]) : NULL;
	guint8 eid[16];

	if (!id || g_bytes_get_size(id) != 32 || !words[1] || !ifpp_eid_parse(words[1], eid, NULL) || !words[2] ||
	    !ifpp_bundle_text_valid(words[2]))
		return FALSE;
	/* One key is one Key Maker's. */
	return g_hash_table_insert(a->owners, g_strdup(words[0]), g_strdup(words[2]));
}

static gboolean read_all(Assignments *a, GError **error)
{
	g_autoptr(GBytes) file = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_test(a->path, G_FILE_TEST_EXISTS))
		return TRUE;
	file = ifpp_file_read(a->path, FILE_MAX, error);
	if (!file)
		return FALSE;
	g_string_append_len(a->text, g_bytes_get_data(file, NULL), g_bytes_get_size(file));
	a->on_disk = a->text->len;
	lines = g_strsplit(a->text->str, "\n", -1);
	for (guint i = 0; lines[i]; i++) {
		if ((!*lines[i] && !lines[i + 1]) || parse_line(a, lines[i]))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV,
			    "%s: line %u is damaged, or names a key again; nothing is assigned until it is mended", a->path, i + 1);
		return FALSE;
	}
	return TRUE;
}

Assignments *assign_open(const char *path, GError **error)
{
	g_autoptr(Assignments) a = g_new0(Assignments, 1);
	g_autofree char *lock = g_strconcat(path, ".lock", NULL);

	a->path = g_strdup(path);
	a->text = g_string_new(NULL);
	a->owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	a->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (a->lock < 0 || flock(a->lock, LOCK_EX) < 0) {
		ifpp_file_error(lock, "cannot be locked", error);
		return NULL;
	}
	return read_all(a, error) ? g_steal_pointer(&a) : NULL;
}

const char *assign_owner(const Assignments *a, const guint8 key_id[32])
{
	g_autofree char *hex = ifpp_hex((IfppSpan){ key_id, 32 });

	return g_hash_table_lookup(a->owners, hex);
}

gboolean assign_take(Assignments *a, const guint8 eid[16], const guint8 (*key_ids)[32], guint n_keys,
		     const char *key_maker, guint n, GArray *taken, GError **error)
{
	guint own = 0, fresh = 0;
	char digits[33];

	for (guint i = 0; i < n_keys; i++) {
		const char *owner = assign_owner(a, key_ids[i]);

		own += owner && g_str_equal(owner, key_maker);
		fresh += !owner;
	}
	if (own + fresh < n) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ELIGIBILITY,
			    "%u keys are asked for; of its %u keys %u are assigned to %s, and %u to nobody", n, n_keys, own,
			    key_maker, fresh);
		return FALSE;
	}
	fresh = n > own ? n - own : 0;
	ifpp_eid_format(eid, digits);
	for (guint i = 0; i < n_keys && taken->len < n; i++) {
		const char *owner = assign_owner(a, key_ids[i]);
		g_autofree char *hex = NULL;

		if (owner ? !g_str_equal(owner, key_maker) : !fresh)
			continue;
		g_array_append_val(taken, key_ids[i]);
		if (owner)
			continue;
		fresh--;
		hex = ifpp_hex((IfppSpan){ key_ids[i], 32 });
		g_string_append_printf(a->text, "%s %s %s\n", hex, digits, key_maker);
		g_hash_table_insert(a->owners, g_steal_pointer(&hex), g_strdup(key_maker));
	}
	return TRUE;
}

gboolean assign_commit(Assignments *a, GError **error)
{
	if (a->text->len == a->on_disk)
		return TRUE;
	if (!ifpp_file_write(a->path, a->text->str, a->text->len, 0644, error))
		return FALSE;
	a->on_disk = a->text->len;
	return TRUE;
}
