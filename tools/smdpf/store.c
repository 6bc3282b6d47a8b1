// SPDX-License-Identifier: GPL-2.0-or-later
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "chain.h"
#include "error.h"
#include "file.h"
#include "package.h"

#define JOURNAL "journal"
#define DEPTH_MAX 4		/* of directories with packages */

char *store_path(const Home *home, const guint8 eid[16], const guint8 key_id[32])
{
	g_autofree char *name = ifpp_package_file_name(eid, key_id), *id = ifpp_hex((IfppSpan){ key_id, 2 });

	return g_strdup_printf("%s/packages/%.3s/%s", home->dir, id, name);
}

gboolean store_write_plain(const char *path, GBytes *bytes, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	gboolean ok;

	if (fd < 0)
		return ifpp_file_error(path, NULL, error);
	ok = ifpp_file_put(fd, path, ifpp_span_bytes(bytes), error);
	if (close(fd) < 0 && ok)
		ok = ifpp_file_error(path, NULL, error);
	if (!ok)
		g_unlink(path);
	return ok;
}

gboolean store_sync(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok;

	if (fd < 0)
		return ifpp_file_error(path, NULL, error);
	ok = syncfs(fd) == 0 || ifpp_file_error(path, NULL, error);
	close(fd);
	return ok;
}

/* ------------------------------------------------------------ journal */

gboolean store_journal(const Home *home, const char *lines, gsize len, GError **error)
{
	g_autofree char *path = home_path(home, JOURNAL);
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	gboolean ok = fd >= 0;
	char last = '\n';
	off_t end;

	/* one writer at a time: a line is never torn */
	while (ok && flock(fd, LOCK_EX) < 0)
		ok = errno == EINTR;
	end = ok ? lseek(fd, 0, SEEK_END) : -1;
	ok = end >= 0 && (end == 0 || pread(fd, &last, 1, end - 1) == 1);
	if (!ok)
		ifpp_file_error(path, NULL, error);
	/* half a line of one who was killed is no line with ours after it */
	ok = ok && (last == '\n' || ifpp_file_put(fd, path, (IfppSpan){ (const guint8 *)"\n", 1 }, error)) &&
	     ifpp_file_put(fd, path, (IfppSpan){ (const guint8 *)lines, len }, error);
	if (ok && fdatasync(fd) < 0)
		ok = ifpp_file_error(path, NULL, error);
	if (fd >= 0)
		close(fd);
	return ok;
}

gboolean store_journal_lines(const char *dir, StoreLineFunc func, gpointer user, GError **error)
{
	g_autofree char *path = g_build_filename(dir, JOURNAL, NULL);
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	gboolean ok = TRUE;

	if (!file)
		return errno == ENOENT || ifpp_file_error(path, NULL, error);
	while (ok && (len = getline(&line, &size, file)) > 0) {
		if (line[len - 1] != '\n')
			break;
		line[len - 1] = '\0';
		ok = func(line, user, error);
	}
	if (ok && ferror(file))
		ok = ifpp_file_error(path, NULL, error);
	free(line);
	fclose(file);
	return ok;
}

typedef struct {
	LedgerFunc func;
	gpointer user;
} Entries;

static gboolean entry_line(const char *line, gpointer user, GError **error)
{
	Entries *entries = user;
	LedgerEntry entry;
	gboolean ok;

	if (!chain_parse_bound(line, &entry))
		return TRUE;
	ok = entries->func(&entry, entries->user, error);
	g_free((char *)entry.profile);
	return ok;
}

gboolean store_journal_foreach(const char *dir, LedgerFunc func, gpointer user, GError **error)
{
	Entries entries = { func, user };

	return store_journal_lines(dir, entry_line, &entries, error);
}

typedef struct {
	const LedgerEntry *entry;
	gboolean *here;
} Bound;

static gboolean is_same(const LedgerEntry *entry, gpointer user, GError **error)
{
	Bound *bound = user;

	*bound->here |= !memcmp(entry->key_id, bound->entry->key_id, 32) && !memcmp(entry->sha256, bound->entry->sha256, 32);
	return TRUE;
}

gboolean store_bound_here(const Home *home, const LedgerEntry *entry, gboolean *here, GError **error)
{
	Bound bound = { entry, here };

	*here = FALSE;
	return store_journal_foreach(home->dir, is_same, &bound, error);
}

/* ------------------------------------------------------------ packages */

static char *tmp_path(Ledger *ledger, const LedgerEntry *entry)
{
	g_autofree char *name = ifpp_package_file_name(entry->eid, entry->key_id);

	return g_build_filename(ledger->run_dir, name, NULL);
}

static gboolean put_packages(Ledger *ledger, const StoreItem *items, guint n, GError **error)
{
	g_autofree char *packages = home_path(ledger->home, "packages");

	for (guint i = 0; i < n; i++) {
		g_autofree char *tmp = tmp_path(ledger, items[i].entry);

		if (!store_write_plain(tmp, items[i].package, error))
			return FALSE;
	}
	if (!store_sync(ledger->run_dir, error))
		return FALSE;
	for (guint i = 0; i < n; i++) {
		g_autofree char *path = store_path(ledger->home, items[i].entry->eid, items[i].entry->key_id);
		g_autofree char *tmp = tmp_path(ledger, items[i].entry), *dir = g_path_get_dirname(path);

		/* mostly its directory is there */
		if (rename(tmp, path) < 0 &&
		    (errno != ENOENT || (g_mkdir(dir, 0700) < 0 && errno != EEXIST) || rename(tmp, path) < 0))
			return ifpp_file_error(path, NULL, error);
	}
	/* the names, in directories of all sorts */
	return store_sync(packages, error);
}

static gboolean has_journal(const Home *home)
{
	g_autofree char *path = home_path(home, JOURNAL);
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > 0;
}

gboolean store_put(Ledger *ledger, const StoreItem *items, guint n, GError **error)
{
	g_autoptr(GString) lines = g_string_new(NULL);

	if (!n)
		return TRUE;
	/* from its first line on, a journal says what was bound; one of an earlier version did not */
	if (!has_journal(ledger->home))
		g_string_append(lines, STORE_OUT "-\n");
	for (guint i = 0; i < n; i++)
		chain_bound_line(lines, items[i].entry);
	/* The line first: there is never a package of which nothing is known. */
	if (store_journal(ledger->home, lines->str, lines->len, error) && put_packages(ledger, items, n, error))
		return TRUE;
	for (guint i = 0; i < n; i++) {
		g_autofree char *tmp = tmp_path(ledger, items[i].entry);

		g_unlink(tmp);
	}
	return FALSE;
}

gboolean store_out(const Home *home, LedgerEntry *const *entries, guint n, GError **error)
{
	g_autoptr(GString) lines = g_string_new(NULL);

	for (guint i = 0; i < n; i++) {
		g_autofree char *id = ifpp_hex(IFPP_SPAN(entries[i]->key_id));

		g_string_append_printf(lines, STORE_OUT "%s\n", id);
	}
	return !n || store_journal(home, lines->str, lines->len, error);
}

GBytes *store_read(const Home *home, const LedgerEntry *entry, GError **error)
{
	g_autofree char *path = store_path(home, entry->eid, entry->key_id);
	g_autoptr(GBytes) package = ifpp_file_read(path, IFPP_PACKAGE_MAX, error);
	guint8 digest[32];

	if (!package)
		return NULL;
	gnutls_hash_fast(GNUTLS_DIG_SHA256, g_bytes_get_data(package, NULL), g_bytes_get_size(package), digest);
	if (memcmp(digest, entry->sha256, 32)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_HEADER_MISMATCH,
			    "%s: is not what the ledger says; restore it from a backup", path);
		return NULL;
	}
	return g_steal_pointer(&package);
}

/* From BF23 of the BoundProfilePackage in the envelope: it is in clear there. */
static void find_transaction(IfppSpan file, guint8 transaction[16])
{
	/* ContentInfo, [0], SignedData, encapContentInfo, [0], OCTET STRING, SEQUENCE { header, BF36 } */
	static const guint32 path[] = { 0x30, 0xA0, 0x30, 0x30, 0xA0, 0x04, 0x30, 0xBF36, 0xBF23, 0x80 };
	IfppSpan in = { file.data + IFPP_HEADER_LEN, file.len - IFPP_HEADER_LEN };
	IfppTlv tlv;

	for (guint i = 0; i < G_N_ELEMENTS(path); i++) {
		if (!ifpp_tlv_find(in, path[i], &tlv))
			return;
		in = tlv.value;
	}
	if (in.len == 16)
		memcpy(transaction, in.data, 16);
}

static gboolean tell_package(const char *path, LedgerFunc func, gpointer user, GError **error)
{
	g_autoptr(GBytes) package = ifpp_file_read(path, IFPP_PACKAGE_MAX, error);
	LedgerEntry entry = { .state = LEDGER_BOUND, .hold = LEDGER_HELD, .profile = "" };
	IfppHeader header;
	IfppSpan span;

	if (!package)
		return FALSE;
	span = ifpp_span_bytes(package);
	if (!ifpp_header_parse(span, &header, NULL))
		return TRUE;
	memcpy(entry.eid, header.eid, 16);
	memcpy(entry.key_id, header.key_id, 32);
	find_transaction(span, entry.transaction);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, span.data, span.len, entry.sha256);
	return func(&entry, user, error);
}

static gboolean walk(const char *path, int depth, LedgerFunc func, gpointer user, GError **error)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (!g_file_test(path, G_FILE_TEST_IS_DIR))
		return !g_str_has_suffix(path, ".ifpp") || tell_package(path, func, user, error);
	dir = g_dir_open(path, 0, NULL);
	if (!dir)
		return ifpp_file_error(path, NULL, error);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *below = g_build_filename(path, name, NULL);

		if (depth < DEPTH_MAX && !walk(below, depth + 1, func, user, error))
			return FALSE;
	}
	return TRUE;
}

gboolean store_foreach(const char *dir, LedgerFunc func, gpointer user, GError **error)
{
	return walk(dir, 0, func, user, error);
}
