// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "error.h"
#include "file.h"

struct _Ledger {
	char *path;
	char *runs;		/* DIR/run */
	char *run_name;
	char *run_dir;
	guint8 run[8];
	int fd;
	int run_fd;
	gint64 offset;		/* up to here the file is in memory */
	guint64 lines;
	guint64 serial;
	GString *pending;	/* lines not yet on the disk */
	GHashTable *keys;	/* key_id → entry, owner */
	GHashTable *chips;	/* eid → first entry */
	GHashTable *iccids;	/* iccid → last entry */
	GHashTable *orders;	/* order, hex → its name */
	GStringChunk *names;
};

static guint hash_bytes(gconstpointer p)
{
	guint32 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* EIDs and ICCIDs begin alike and differ at the end. */
static guint hash_eid(gconstpointer p)
{
	return hash_bytes((const guint8 *)p + 11) ^ hash_bytes((const guint8 *)p + 7) * 31;
}

static guint hash_iccid(gconstpointer p)
{
	return hash_bytes((const guint8 *)p + 6) ^ hash_bytes((const guint8 *)p + 2) * 31;
}

static gboolean equal_key(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, 32);
}

static gboolean equal_eid(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, 16);
}

static gboolean equal_iccid(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, 10);
}

/* ------------------------------------------------------------ lines */

static gboolean hex_field(char **line, guint8 *out, gsize len)
{
	return ifpp_unhex_into(*line ? strsep(line, " ") : NULL, out, len);
}

/* The last field, escaped; NULL when it is not text. */
static const char *name_field(Ledger *ledger, const char *line)
{
	g_autofree char *name = line && *line ? g_uri_unescape_string(line, NULL) : NULL;

	return name && g_utf8_validate(name, -1, NULL) ? g_string_chunk_insert_const(ledger->names, name) : NULL;
}

static gboolean apply_order(Ledger *ledger, char *line)
{
	const char *name;
	guint8 order[8];

	if (!hex_field(&line, order, 8) || !(name = name_field(ledger, line)))
		return FALSE;
	g_hash_table_insert(ledger->orders, ifpp_hex(IFPP_SPAN(order)), (char *)name);
	return TRUE;
}

static gboolean apply_reserve(Ledger *ledger, char *line)
{
	LedgerEntry in = {}, *entry;

	if (!hex_field(&line, in.key_id, 32) || !hex_field(&line, in.eid, 16) || !hex_field(&line, in.iccid, 10) ||
	    !hex_field(&line, in.order, 8) || !hex_field(&line, in.transaction, 16) ||
	    !hex_field(&line, in.run, 8) || line)
		return FALSE;
	ledger->serial++;
	entry = g_hash_table_lookup(ledger->keys, in.key_id);
	if (entry) {
		/* again only after its process died */
		if (entry->state != LEDGER_RESERVED || memcmp(entry->eid, in.eid, 16) ||
		    !memcmp(entry->run, in.run, 8))
			return FALSE;
		in.next = entry->next;
		if (g_hash_table_lookup(ledger->iccids, entry->iccid) == entry)
			g_hash_table_remove(ledger->iccids, entry->iccid);
		*entry = in;
	} else {
		entry = g_memdup2(&in, sizeof(in));
		entry->next = g_hash_table_lookup(ledger->chips, in.eid);
		g_hash_table_insert(ledger->keys, entry->key_id, entry);
		g_hash_table_replace(ledger->chips, entry->eid, entry);
	}
	g_hash_table_replace(ledger->iccids, entry->iccid, entry);
	return TRUE;
}

static gboolean apply(Ledger *ledger, char *line)
{
	char *word = strsep(&line, " ");
	LedgerEntry *entry;
	guint8 key_id[32];

	if (!strcmp(word, "reserve"))
		return apply_reserve(ledger, line);
	if (!strcmp(word, "order"))
		return apply_order(ledger, line);
	if (!hex_field(&line, key_id, 32) || !(entry = g_hash_table_lookup(ledger->keys, key_id)))
		return FALSE;
	if (!strcmp(word, "bound")) {
		guint8 hash[32];

		if (!hex_field(&line, hash, 32) || entry->state != LEDGER_RESERVED)
			return FALSE;
		if (line && !(entry->profile = name_field(ledger, line)))
			return FALSE;
		memcpy(entry->sha256, hash, sizeof(hash));
		entry->state = LEDGER_BOUND;
		return TRUE;
	}
	if (entry->state == LEDGER_RESERVED)
		return FALSE;
	if (!strcmp(word, "installed") && !line) {
		entry->state = LEDGER_INSTALLED;
		return TRUE;
	}
	if (!strcmp(word, "failed") && line) {
		guint64 reason;

		if (!g_ascii_string_to_unsigned(line, 10, 1, 127, &reason, NULL))
			return FALSE;
		entry->state = LEDGER_FAILED;
		entry->reason = reason;
		return TRUE;
	}
	return FALSE;
}

/* Apply whole lines of @text; the length of what was applied, or -1. */
static gssize apply_lines(Ledger *ledger, char *text, gsize len, GError **error)
{
	char *p = text, *end = text + len, *nl;

	while ((nl = memchr(p, '\n', end - p))) {
		*nl = '\0';
		ledger->lines++;
		if (strlen(p) != (gsize)(nl - p) || !apply(ledger, p)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO,
				    "%s: line %" G_GUINT64_FORMAT " is damaged; restore it from a backup",
				    ledger->path, ledger->lines);
			return -1;
		}
		p = nl + 1;
	}
	return p - text;
}

/* Read what was added since. A last line without its end was never acted on: cut it off. */
static gboolean catch_up(Ledger *ledger, GError **error)
{
	g_autofree char *buf = g_malloc(65536);
	gsize have = 0;

	for (;;) {
		ssize_t n = pread(ledger->fd, buf + have, 65536 - have, ledger->offset + have);
		gssize used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ifpp_file_error(ledger->path, NULL, error);
		if (n == 0)
			break;
		have += n;
		used = apply_lines(ledger, buf, have, error);
		if (used < 0)
			return FALSE;
		ledger->offset += used;
		have -= used;
		memmove(buf, buf + used, have);
		if (have == 65536) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: is not a ledger", ledger->path);
			return FALSE;
		}
	}
	if (have && ftruncate(ledger->fd, ledger->offset) < 0)
		return ifpp_file_error(ledger->path, NULL, error);
	return TRUE;
}

static void add_line(Ledger *ledger, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add_line(Ledger *ledger, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_string_append_vprintf(ledger->pending, format, args);
	va_end(args);
	g_string_append_c(ledger->pending, '\n');
}

#define HEX(bytes) ifpp_hex((IfppSpan){ bytes, sizeof(bytes) })

void ledger_reserve(Ledger *ledger, const LedgerEntry *entry)
{
	g_autofree char *key_id = HEX(entry->key_id), *eid = HEX(entry->eid), *iccid = HEX(entry->iccid);
	g_autofree char *order = HEX(entry->order), *transaction = HEX(entry->transaction);

	add_line(ledger, "reserve %s %s %s %s %s %s", key_id, eid, iccid, order, transaction, ledger->run_name);
}

void ledger_bind(Ledger *ledger, const guint8 key_id[32], GBytes *package, const char *profile)
{
	g_autofree char *id = ifpp_hex((IfppSpan){ key_id, 32 });
	g_autofree char *hash = NULL;
	g_autofree char *name = g_uri_escape_string(profile, NULL, FALSE);
	guint8 digest[32];

	gnutls_hash_fast(GNUTLS_DIG_SHA256, g_bytes_get_data(package, NULL), g_bytes_get_size(package), digest);
	hash = HEX(digest);
	add_line(ledger, "bound %s %s%s%s", id, hash, *name ? " " : "", name);
}

void ledger_name_order(Ledger *ledger, const guint8 order[8], const char *name)
{
	g_autofree char *id = ifpp_hex((IfppSpan){ order, 8 }), *escaped = g_uri_escape_string(name, NULL, FALSE);

	if (!g_hash_table_contains(ledger->orders, id))
		add_line(ledger, "order %s %s", id, escaped);
}

void ledger_result(Ledger *ledger, const guint8 key_id[32], guint reason)
{
	g_autofree char *id = ifpp_hex((IfppSpan){ key_id, 32 });

	if (reason)
		add_line(ledger, "failed %s %u", id, reason);
	else
		add_line(ledger, "installed %s", id);
}

gboolean ledger_commit(Ledger *ledger, GError **error)
{
	gsize len = ledger->pending->len, done = 0;
	gssize used;

	while (done < len) {
		ssize_t n = pwrite(ledger->fd, ledger->pending->str + done, len - done, ledger->offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ifpp_file_error(ledger->path, NULL, error);
			goto undo;
		}
		done += n;
	}
	if (len && fdatasync(ledger->fd) < 0) {
		ifpp_file_error(ledger->path, NULL, error);
		goto undo;
	}
	used = apply_lines(ledger, ledger->pending->str, len, error);
	g_string_truncate(ledger->pending, 0);
	if (used < 0)
		return FALSE;
	ledger->offset += used;
	return TRUE;

undo:
	g_string_truncate(ledger->pending, 0);
	if (ftruncate(ledger->fd, ledger->offset) < 0)
		g_prefix_error(error, "%s: cannot take back what was written: ", ledger->path);
	return FALSE;
}

/* ------------------------------------------------------------ processes */

static void remove_run_dir(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		g_unlink(file);
	}
	g_rmdir(path);
}

/* Forget processes that are gone. Their half-made packages go with them. */
static void bury_dead(Ledger *ledger)
{
	g_autoptr(GDir) dir = g_dir_open(ledger->runs, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(ledger->runs, name, NULL);
		int fd;

		if (!strcmp(name, ledger->run_name))
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_run_dir(path);
		close(fd);
	}
}

gboolean ledger_run_alive(Ledger *ledger, const char *run)
{
	g_autofree char *path = g_build_filename(ledger->runs, run, NULL);

	return g_file_test(path, G_FILE_TEST_IS_DIR);
}

const char *ledger_run_dir(Ledger *ledger)
{
	return ledger->run_dir;
}

const char *ledger_run_name(Ledger *ledger)
{
	return ledger->run_name;
}

/* ------------------------------------------------------------ the ledger */

gboolean ledger_lock(Ledger *ledger, GError **error)
{
	int ret;

	do
		ret = flock(ledger->fd, LOCK_EX);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return ifpp_file_error(ledger->path, NULL, error);
	if (!catch_up(ledger, error)) {
		ledger_unlock(ledger);
		return FALSE;
	}
	bury_dead(ledger);
	return TRUE;
}

void ledger_unlock(Ledger *ledger)
{
	g_string_truncate(ledger->pending, 0);
	flock(ledger->fd, LOCK_UN);
}

Ledger *ledger_open(const Home *home, GError **error)
{
	g_autoptr(Ledger) ledger = g_new0(Ledger, 1);

	ledger->fd = ledger->run_fd = -1;
	ledger->path = home_path(home, "ledger");
	ledger->runs = home_path(home, "run");
	ledger->pending = g_string_new(NULL);
	ledger->keys = g_hash_table_new_full(hash_bytes, equal_key, NULL, g_free);
	ledger->chips = g_hash_table_new(hash_eid, equal_eid);
	ledger->iccids = g_hash_table_new(hash_iccid, equal_iccid);
	ledger->orders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ledger->names = g_string_chunk_new(1024);
	gnutls_rnd(GNUTLS_RND_NONCE, ledger->run, sizeof(ledger->run));
	ledger->run_name = HEX(ledger->run);

	ledger->fd = open(ledger->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ledger->fd < 0) {
		ifpp_file_error(ledger->path, NULL, error);
		return NULL;
	}
	if (!ifpp_sync_dir(home->dir, error) || !ledger_lock(ledger, error))
		return NULL;
	/* Under the lock, so that nobody takes the new directory for a dead one's. */
	ledger->run_dir = g_build_filename(ledger->runs, ledger->run_name, NULL);
	if (g_mkdir(ledger->run_dir, 0700) == 0)
		ledger->run_fd = open(ledger->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ledger->run_fd < 0 || flock(ledger->run_fd, LOCK_EX | LOCK_NB) < 0) {
		ifpp_file_error(ledger->run_dir, NULL, error);
		return NULL;
	}
	ledger_unlock(ledger);
	return g_steal_pointer(&ledger);
}

void ledger_free(Ledger *ledger)
{
	if (!ledger)
		return;
	if (ledger->run_fd >= 0) {
		remove_run_dir(ledger->run_dir);
		close(ledger->run_fd);
	}
	if (ledger->fd >= 0)
		close(ledger->fd);
	g_hash_table_unref(ledger->iccids);
	g_hash_table_unref(ledger->chips);
	g_hash_table_unref(ledger->keys);
	g_hash_table_unref(ledger->orders);
	g_string_chunk_free(ledger->names);
	g_string_free(ledger->pending, TRUE);
	g_free(ledger->run_dir);
	g_free(ledger->run_name);
	g_free(ledger->runs);
	g_free(ledger->path);
	g_free(ledger);
}

/* A reservation counts while its process lives. */
static gboolean counts(Ledger *ledger, LedgerEntry *entry)
{
	g_autofree char *run = NULL;

	if (entry->state != LEDGER_RESERVED || !memcmp(entry->run, ledger->run, sizeof(ledger->run)))
		return TRUE;
	run = HEX(entry->run);
	return ledger_run_alive(ledger, run);
}

LedgerEntry *ledger_find(Ledger *ledger, const guint8 key_id[32])
{
	LedgerEntry *entry = g_hash_table_lookup(ledger->keys, key_id);

	return entry && counts(ledger, entry) ? entry : NULL;
}

LedgerEntry *ledger_chip(Ledger *ledger, const guint8 eid[16])
{
	return g_hash_table_lookup(ledger->chips, eid);
}

LedgerEntry *ledger_iccid(Ledger *ledger, const guint8 iccid[10])
{
	LedgerEntry *entry = g_hash_table_lookup(ledger->iccids, iccid);

	return entry && entry->state != LEDGER_FAILED && counts(ledger, entry) ? entry : NULL;
}

const char *ledger_order_name(Ledger *ledger, const guint8 order[8])
{
	g_autofree char *id = ifpp_hex((IfppSpan){ order, 8 });

	return g_hash_table_lookup(ledger->orders, id);
}

guint64 ledger_serial(Ledger *ledger)
{
	return ledger->serial;
}

void ledger_foreach(Ledger *ledger, void (*func)(LedgerEntry *entry, gpointer user), gpointer user)
{
	GHashTableIter iter;
	gpointer entry;

	g_hash_table_iter_init(&iter, ledger->keys);
	while (g_hash_table_iter_next(&iter, NULL, &entry))
		func(entry, user);
}
