// SPDX-License-Identifier: GPL-2.0-or-later
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <error.h>
#include <file.h>

#include "depot-error.h"

#define PAGE 500
#define COLUMNS_MAX 16

/* A table is read by its key, a page at a time, and written as it is. */
typedef struct {
	const char *first, *next;	/* SELECT: a page from the start; after the key ($2[, $3]) */
	const char *insert;
	guint n, keys;			/* columns; of these the first ones are the key */
} Table;

#define TABLE(name, columns, key, after, values, n, keys) \
	{ "SELECT " columns " FROM " name " ORDER BY " key " LIMIT $1", \
	  "SELECT " columns " FROM " name " WHERE (" key ") > (" after ") ORDER BY " key " LIMIT $1", \
	  "INSERT INTO " name " (" columns ") VALUES (" values ")", n, keys }

static const Table tables[] = {
	TABLE("delivery", "id, batch, packages, done, at", "id", "$2", "$1, $2, $3, $4, $5", 5, 1),
	TABLE("package",
	      "key_id, eid, sha256, bytes, iccid, profile, operator, batch, delivery, state, station, lease, changed, added",
	      "key_id", "$2", "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14", 14, 1),
	TABLE("content", "key_id, package", "key_id", "$2", "$1, $2", 2, 1),
	TABLE("history", "key_id, seq, at, state, station, detail", "key_id, seq", "$2, $3", "$1, $2, $3, $4, $5, $6", 6, 2),
	TABLE("result",
	      "key_id, eid, sha256, record, proven, proof, station, at, imei, model, firmware, serial, usb_path, "
	      "board_serial, work_order",
	      "key_id", "$2", "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15", 15, 1),
	TABLE("attempt", "key_id, sha256, record, station, at", "key_id, sha256", "$2, $3", "$1, $2, $3, $4, $5", 5, 2),
	TABLE("doubt", "key_id, sha256, eid, station, record, signed, why, at", "key_id, sha256", "$2, $3",
	      "$1, $2, $3, $4, $5, $6, $7, $8", 8, 2),
	TABLE("chip", "eid, euicc_data, euicc_proven, lock_record, lock_proven, proof, station, at", "eid", "$2",
	      "$1, $2, $3, $4, $5, $6, $7, $8", 8, 1),
	TABLE("unit", "eid, imei, model, firmware, serial, usb_path, station, board_serial, work_order, at", "eid", "$2",
	      "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10", 10, 1),
	TABLE("note", "eid, station, sha256, bytes, record, at", "eid, station", "$2, $3", "$1, $2, $3, $4, $5, $6", 6, 2),
	TABLE("refusal", "key_id, station, eid, reason, why, said, at", "key_id, station", "$2, $3", "$1, $2, $3, $4, $5, $6, $7", 7, 2),
	TABLE("token", "name, sha256, added, revoked", "name", "$2", "$1, $2, $3, $4", 4, 1),
	TABLE("esed", "id, name, chips, done, at, inventory, signature", "id", "$2", "$1, $2, $3, $4, $5, $6, $7", 7, 1),
	TABLE("esed_chip", "esed, eid", "esed, eid", "$2, $3", "$1, $2", 2, 2),
	TABLE("euicc", "eid, sha256, data", "eid", "$2", "$1, $2, $3", 3, 1),
	TABLE("otk", "key_id, eid, key_maker, at", "key_id", "$2", "$1, $2, $3, $4", 4, 1),
	TABLE("station", "name, batches, quota, revoked, added", "name", "$2", "$1, $2, $3, $4, $5", 5, 1),
};

typedef struct {
	const Table *table;
	Db *from, *to;
	guint rows;
	DbValue last[2];		/* key of the row that was copied last */
	GBytes *held[2];		/* what it points to */
} Copy;

static void hold(Copy *c, guint i, const DbValue *value)
{
	g_clear_pointer(&c->held[i], g_bytes_unref);
	c->last[i] = *value;
	if (value->type == DB_INT)
		return;
	/* With the NUL that stands after a text. */
	c->held[i] = g_bytes_new(value->data, value->len + (value->type == DB_TEXT));
	c->last[i].data = g_bytes_get_data(c->held[i], NULL);
}

static gboolean copy_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	Copy *c = user;

	if (!db_run(c->to, c->table->insert, row, c->table->n, NULL, NULL, NULL, error))
		return FALSE;
	for (guint i = 0; i < c->table->keys; i++)
		hold(c, i, &row[i]);
	c->rows++;
	return TRUE;
}

static gboolean copy_table(Copy *c, GError **error)
{
	const Table *t = c->table;
	gboolean ok;

	c->rows = 0;
	ok = DB_RUN(c->from, t->first, copy_row, c, NULL, error, DB_I(PAGE));
	while (ok && c->rows == PAGE) {
		DbValue last[] = { c->last[0], c->last[1] };
		g_autoptr(GBytes) a = c->held[0] ? g_bytes_ref(c->held[0]) : NULL, b = c->held[1] ? g_bytes_ref(c->held[1]) : NULL;

		c->rows = 0;
		ok = t->keys == 2 ?
			     DB_RUN(c->from, t->next, copy_row, c, NULL, error, DB_I(PAGE), last[0], last[1]) :
			     DB_RUN(c->from, t->next, copy_row, c, NULL, error, DB_I(PAGE), last[0]);
	}
	g_clear_pointer(&c->held[0], g_bytes_unref);
	g_clear_pointer(&c->held[1], g_bytes_unref);
	return ok;
}

static gboolean copy_tables(Db *from, Db *to, GError **error)
{
	Copy c = { .from = from, .to = to };

	for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
		c.table = &tables[i];
		if (!copy_table(&c, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean take_number(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

static gboolean copy_identity(Db *from, Db *to, GError **error)
{
	gint64 identity = 0;

	return db_run(from, "SELECT value FROM depot WHERE name = 'identity'", NULL, 0, take_number, &identity, NULL, error) &&
	       DB_RUN(to, "UPDATE depot SET value = $1 WHERE name = 'identity'", NULL, NULL, NULL, error, DB_I(identity));
}

typedef struct {
	Depot *from, *to;
} Pair;

static gboolean read_side(Db *db, gpointer user, GError **error)
{
	const Pair *pair = user;

	return copy_tables(db, pair->to->db, error) && copy_identity(db, pair->to->db, error);
}

/* Both in one transaction each; only the outer one can collide with others. */
static gboolean write_side(Db *db, gpointer user, GError **error)
{
	return db_transaction(((Pair *)user)->from->db, read_side, user, error);
}

static gboolean sync_path(const char *path, int flags, GError **error)
{
	int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
	gboolean ok = fd >= 0 && fsync(fd) == 0;

	if (!ok)
		ifpp_file_error(path, NULL, error);
	if (fd >= 0)
		close(fd);
	return ok;
}

static gboolean fill(Depot *depot, const char *path, GError **error)
{
	g_autoptr(Depot) copy = NULL;
	gboolean done;

	if (!db_copy_to(depot->db, path, &done, error))
		return FALSE;
	copy = depot_open(path, TRUE, error);
	if (!copy)
		return FALSE;
	if (!done && !db_transaction(copy->db, write_side, &(Pair){ depot, copy }, error))
		return FALSE;
	return depot_epoch_renew(copy, error);
}

gboolean depot_backup(Depot *depot, const char *path, GError **error)
{
	g_autofree char *part = g_strconcat(path, ".part", NULL), *dir = g_path_get_dirname(path);
	g_autofree char *old = db_sqlite_in_the_way(path);

	if (old) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: is there already; a backup is a new file", old);
		return FALSE;
	}
	db_sqlite_remove(part);
	if (!fill(depot, part, error) || !sync_path(part, 0, error)) {
		db_sqlite_remove(part);
		return FALSE;
	}
	if (rename(part, path) < 0)
		return ifpp_file_error(path, NULL, error);
	return sync_path(dir, O_DIRECTORY, error);
}

gboolean depot_restore(Depot *depot, const char *path, GError **error)
{
	g_autoptr(Depot) from = depot_open(path, FALSE, error);
	gint64 rows = 0;

	if (!from || !db_run(depot->db, "SELECT COUNT(*) FROM (SELECT 1 FROM package UNION ALL SELECT 1 FROM delivery UNION ALL "
			     "SELECT 1 FROM station UNION ALL SELECT 1 FROM token UNION ALL SELECT 1 FROM esed) AS rows",
			     NULL, 0, take_number, &rows, NULL, error))
		return FALSE;
	if (rows) {
		g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, "this depot is not empty; make another database");
		return FALSE;
	}
	return db_transaction(depot->db, write_side, &(Pair){ from, depot }, error) && depot_epoch_renew(depot, error);
}
