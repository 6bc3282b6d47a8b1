// SPDX-License-Identifier: GPL-2.0-or-later
#include "migrate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib/gstdio.h>

#include "anchor.h"
#include "chain.h"
#include "error.h"
#include "file.h"
#include "ledger.h"
#include "orders.h"
#include "package.h"
#include "store.h"

#define EVENT_LINES 256

typedef struct {
	const Home *home;
	Ledger *ledger;
	GHashTable *keys;	/* key id -> LedgerEntry */
	GHashTable *holders;	/* ICCID -> number of keys that hold it */
	GString *names;		/* "order" lines */
	gint64 serial;
	GString *journal;
} Migrate;

static guint hash_bytes(gconstpointer p)
{
	guint value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static gboolean equal_key(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, 32);
}

static void entry_free(gpointer p)
{
	g_free((char *)((LedgerEntry *)p)->profile);
	g_free(p);
}

/*
 *   reserve KEYID EID ICCID ORDER TRANSACTION RUN	bound KEYID SHA256 [PROFILE]
 *   installed KEYID	failed KEYID REASON		order ORDER NAME
 */
static gboolean read_line(Migrate *m, const char *line)
{
	g_auto(GStrv) w = g_strsplit(line, " ", -1);
	guint n = g_strv_length(w);
	LedgerEntry *entry, in = {};

	if (n == 3 && !strcmp(w[0], "order")) {
		g_string_append_printf(m->names, "%s\n", line);
		return ifpp_unhex_into(w[1], in.order, 8);
	}
	if (n < 2 || !ifpp_unhex_into(w[1], in.key_id, 32))
		return FALSE;
	entry = g_hash_table_lookup(m->keys, in.key_id);
	if (n == 7 && !strcmp(w[0], "reserve")) {
		if (!ifpp_unhex_into(w[2], in.eid, 16) || !ifpp_unhex_into(w[3], in.iccid, 10) ||
		    !ifpp_unhex_into(w[4], in.order, 8) || !ifpp_unhex_into(w[5], in.transaction, 16) ||
		    (entry && entry->state != LEDGER_RESERVED))
			return FALSE;
		m->serial++;
		entry = g_memdup2(&in, sizeof(in));
		g_hash_table_replace(m->keys, entry->key_id, entry);
		return TRUE;
	}
	if (!entry)
		return FALSE;
	if (!strcmp(w[0], "bound") && (n == 3 || n == 4) && entry->state == LEDGER_RESERVED) {
		entry->state = LEDGER_BOUND;
		entry->profile = n == 4 ? g_uri_unescape_string(w[3], NULL) : g_strdup("");
		return entry->profile && ifpp_unhex_into(w[2], entry->sha256, 32);
	}
	if (entry->state == LEDGER_RESERVED)
		return FALSE;
	entry->reason = n == 3 ? g_ascii_strtoull(w[2], NULL, 10) : 0;
	entry->state = entry->reason ? LEDGER_FAILED : LEDGER_INSTALLED;
	return (n == 2 && !strcmp(w[0], "installed")) || (n == 3 && !strcmp(w[0], "failed") && entry->reason);
}

static gboolean read_old(Migrate *m, const char *path, GError **error)
{
	FILE *file = fopen(path, "re");
	guint64 number = 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	gboolean ok = TRUE;

	if (!file)
		return ifpp_file_error(path, NULL, error);
	/* A last line without its end was never acted on. */
	while (ok && (len = getline(&line, &size, file)) > 0 && line[len - 1] == '\n') {
		line[len - 1] = '\0';
		number++;
		ok = read_line(m, line);
	}
	if (!ok)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO,
			    "%s: line %" G_GUINT64_FORMAT " is damaged; restore it from a backup", path, number);
	free(line);
	fclose(file);
	return ok;
}

static guint hash_iccid(gconstpointer p)
{
	return hash_bytes((const guint8 *)p + 6);
}

static gboolean equal_iccid(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, 10);
}

/* The old ledger did not say which profiles were test profiles: those that several chips have. */
static void set_holds(Migrate *m)
{
	GHashTableIter iter;
	LedgerEntry *entry;

	g_hash_table_iter_init(&iter, m->keys);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry)) {
		guint n = GPOINTER_TO_UINT(g_hash_table_lookup(m->holders, entry->iccid));

		if (entry->state == LEDGER_BOUND || entry->state == LEDGER_INSTALLED)
			g_hash_table_insert(m->holders, entry->iccid, GUINT_TO_POINTER(n + 1));
	}
	g_hash_table_iter_init(&iter, m->keys);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry)) {
		guint n = GPOINTER_TO_UINT(g_hash_table_lookup(m->holders, entry->iccid));

		entry->hold = entry->state == LEDGER_FAILED ? LEDGER_FREE : n > 1 ? LEDGER_HELD_TEST : LEDGER_HELD;
		if (entry->state != LEDGER_RESERVED)
			chain_bound_line(m->journal, entry);
	}
}

static gboolean insert(Migrate *m, const LedgerEntry *entry, GError **error)
{
	return DB_RUN(m->ledger->db,
		      "INSERT INTO binding (key_id, eid, iccid, order_id, transaction_id, run, state, hold, reason, sha256, "
		      "profile) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		      NULL, NULL, NULL, error, DB_B(entry->key_id, 32), DB_B(entry->eid, 16), DB_B(entry->iccid, 10),
		      DB_B(entry->order, 8), DB_B(entry->transaction, 16), DB_B(entry->run, 8), DB_I(entry->state),
		      DB_I(entry->hold), DB_I(entry->reason), DB_B(entry->sha256, 32), db_text(entry->profile));
}

static gboolean insert_names(Migrate *m, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(m->names->str, "\n", -1);

	for (guint i = 0; lines[i] && *lines[i]; i++) {
		g_auto(GStrv) w = g_strsplit(lines[i], " ", -1);
		g_autofree char *name = g_uri_unescape_string(w[2], NULL);
		guint8 order[8];

		ifpp_unhex_into(w[1], order, 8);
		if (name && !orders_insert(m->ledger, order, name, error))
			return FALSE;
	}
	return !m->names->len || chain_append(m->ledger, m->names->str, 0, error);
}

static gboolean migrate_body(Db *db, gpointer user, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL), results = g_string_new(NULL);
	Migrate *m = user;
	GHashTableIter iter;
	LedgerEntry *entry;
	gint64 n = 0;

	if (!DB_RUN(db, "UPDATE ledger SET value = $1 WHERE name = 'serial'", NULL, NULL, NULL, error, DB_I(m->serial)) ||
	    !insert_names(m, error))
		return FALSE;
	g_hash_table_iter_init(&iter, m->keys);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry)) {
		g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id));

		if (entry->state == LEDGER_RESERVED)
			continue;
		if (!insert(m, entry, error) || !orders_insert(m->ledger, entry->order, "", error))
			return FALSE;
		chain_bound_line(text, entry);
		if (entry->state == LEDGER_FAILED)
			g_string_append_printf(results, "failed %s %u\n", id, entry->reason);
		else if (entry->state == LEDGER_INSTALLED)
			g_string_append_printf(results, "installed %s\n", id);
		if (++n % EVENT_LINES == 0) {
			if (!chain_append(m->ledger, text->str, EVENT_LINES, error))
				return FALSE;
			g_string_truncate(text, 0);
		}
	}
	return (!text->len || chain_append(m->ledger, text->str, n % EVENT_LINES, error)) &&
	       (!results->len || chain_append(m->ledger, results->str, 0, error));
}

/* DIR/packages was one directory for all. */
static gboolean move_packages(const Home *home, GError **error)
{
	g_autofree char *path = home_path(home, "packages");
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *from = g_build_filename(path, name, NULL), *to = NULL, *below = NULL;
		g_autoptr(GBytes) package = NULL;
		IfppHeader header;

		if (!g_str_has_suffix(name, ".ifpp"))
			continue;
		package = ifpp_file_read(from, IFPP_PACKAGE_MAX, error);
		if (!package)
			return FALSE;
		if (!ifpp_header_parse(ifpp_span_bytes(package), &header, error)) {
			g_prefix_error(error, "%s: ", from);
			return FALSE;
		}
		to = store_path(home, header.eid, header.key_id);
		below = g_path_get_dirname(to);
		if ((g_mkdir(below, 0700) < 0 && errno != EEXIST) || rename(from, to) < 0)
			return ifpp_file_error(to, NULL, error);
	}
	return store_sync(path, error);
}

/* A database of the version before; with a text file beside it there may be none yet. */
static gboolean upgrade(const Home *home, const char *text, gboolean *done, GError **error)
{
	g_autofree char *path = home_ledger_path(home);

	*done = FALSE;
	if (path && !g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	if (!ledger_upgrade(home, done, error)) {
		/* a server that has no ledger yet */
		if (path || !g_file_test(text, G_FILE_TEST_EXISTS))
			return FALSE;
		g_clear_error(error);
		return TRUE;
	}
	if (*done)
		printf("%s: the ledger is of this version now\n", home->dir);
	return TRUE;
}

gboolean migrate_ledger(const Home *home, GError **error)
{
	g_autofree char *path = home_path(home, "ledger"), *done = home_path(home, "ledger.migrated");
	g_autoptr(GHashTable) keys = g_hash_table_new_full(hash_bytes, equal_key, NULL, entry_free);
	g_autoptr(GHashTable) holders = g_hash_table_new(hash_iccid, equal_iccid);
	g_autoptr(GString) names = g_string_new(NULL), journal = g_string_new(NULL);
	g_autoptr(Ledger) ledger = NULL;
	gboolean upgraded;
	Migrate m = { .home = home, .keys = keys, .holders = holders, .names = names, .journal = journal };

	if (!upgrade(home, path, &upgraded, error))
		return FALSE;
	if (upgraded && !g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	if (!read_old(&m, path, error))
		return FALSE;
	set_holds(&m);
	ledger = m.ledger = ledger_open_unchecked(home, TRUE, error);
	if (!ledger || !ledger_look(ledger, error))
		return FALSE;
	/* What was interrupted after the transaction goes on there; a ledger that is at work is not overwritten. */
	if (!ledger->head.seq && !ledger_transaction(ledger, migrate_body, &m, error))
		return FALSE;
	if (!chain_check(ledger, TRUE, error))
		return FALSE;
	if (!store_journal(home, journal->str, journal->len, error) || !move_packages(home, error) ||
	    !anchor_write(home, &ledger->head, error))
		return FALSE;
	if (rename(path, done) < 0)
		return ifpp_file_error(done, NULL, error);
	printf("%s: %" G_GINT64_FORMAT " bound keys taken over\n", home->dir, ledger->head.bound);
	return ifpp_sync_dir(home->dir, error);
}
