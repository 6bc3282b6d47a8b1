// SPDX-License-Identifier: GPL-2.0-or-later
#include "rows.h"

#include <string.h>

#include <tlv.h>

#include "depot-error.h"

void depot_item_free(DepotItem *item)
{
	if (!item)
		return;
	g_free(item->profile);
	g_free(item->operator);
	g_free(item->batch);
	g_free(item->station);
	g_free(item);
}

void rows_item_free(gpointer item)
{
	depot_item_free(item);
}

gboolean rows_damaged(const char *table, GError **error)
{
	g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "table %s holds a row that no depot wrote", table);
	return FALSE;
}

gboolean rows_take_item(const DbValue *row, guint n, gpointer user, GError **error)
{
	g_autoptr(DepotItem) item = g_new0(DepotItem, 1);

	if (n != 12 || !db_get_blob(&row[0], item->key_id, 32) || !db_get_blob(&row[1], item->eid, 16) ||
	    !db_get_blob(&row[2], item->sha256, 32) || row[8].num < 0 || row[8].num >= DEPOT_N_STATES)
		return rows_damaged("package", error);
	item->bytes = row[3].num;
	g_strlcpy(item->iccid, db_get_text(&row[4]), sizeof(item->iccid));
	item->profile = g_strdup(db_get_text(&row[5]));
	item->operator = g_strdup(db_get_text(&row[6]));
	item->batch = g_strdup(db_get_text(&row[7]));
	item->state = row[8].num;
	item->station = row[9].type == DB_TEXT ? g_strdup(row[9].data) : NULL;
	item->lease = row[10].num;
	item->changed = row[11].num;
	g_ptr_array_add(user, g_steal_pointer(&item));
	return TRUE;
}

gboolean rows_take_int(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

gboolean rows_note(Db *db, const guint8 key_id[32], DepotState state, const char *station, const char *detail,
		     gint64 at, GError **error)
{
	/* Not INSERT ... SELECT: SQLite would make a table in between, as it reads the one that it writes. */
	return DB_RUN(db,
		      "INSERT INTO history (key_id, seq, at, state, station, detail) VALUES ($1, "
		      "(SELECT COALESCE(MAX(seq), 0) + 1 FROM history WHERE key_id = $1), $2, $3, $4, $5)",
		      NULL, NULL, NULL, error, DB_B(key_id, 32), DB_I(at), DB_I(state), db_text(station), db_text(detail));
}

gboolean rows_of_chip(Db *db, const guint8 eid[16], GPtrArray *items, GError **error)
{
	g_ptr_array_set_size(items, 0);
	return DB_RUN(db, "SELECT " ROWS_COLUMNS " FROM package WHERE eid = $1 ORDER BY key_id", rows_take_item, items, NULL, error,
		      DB_B(eid, 16));
}

gboolean rows_set_state(Db *db, const guint8 key_id[32], DepotState state, const char *station, gint64 lease,
			  gint64 at, GError **error)
{
	return DB_RUN(db, "UPDATE package SET state = $2, station = $3, lease = $4, changed = $5 WHERE key_id = $1", NULL,
		      NULL, NULL, error, DB_B(key_id, 32), DB_I(state), db_text(station), DB_I(lease), DB_I(at));
}

gboolean rows_is_held(const DepotItem *item)
{
	return item->state == DEPOT_RESERVED || item->state == DEPOT_SENT;
}

gboolean rows_of_key(Db *db, const guint8 key_id[32], GPtrArray *items, GError **error)
{
	g_ptr_array_set_size(items, 0);
	return DB_RUN(db, "SELECT " ROWS_COLUMNS " FROM package WHERE key_id = $1", rows_take_item, items, NULL, error,
		      DB_B(key_id, 32));
}

gboolean rows_unknown(const guint8 key_id[32], GError **error)
{
	g_autofree char *key = ifpp_hex((IfppSpan){ key_id, 32 });

	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no package for the key %.16s that this station has claimed",
		    key);
	return FALSE;
}

gboolean rows_had(Db *db, const char *station, const DepotItem *item, gint64 *times, GError **error)
{
	*times = !g_strcmp0(item->station, station);
	return *times || DB_RUN(db, "SELECT COUNT(*) FROM history WHERE key_id = $1 AND station = $2", rows_take_int, times,
				NULL, error, DB_B(item->key_id, 32), db_text(station));
}

gboolean rows_was_sent(Db *db, const char *station, const DepotItem *item, gint64 *times, GError **error)
{
	*times = item->state == DEPOT_SENT && !g_strcmp0(item->station, station);
	/* Others bring results of it while it is sent: such lines say what they brought. */
	return *times || DB_RUN(db, "SELECT COUNT(*) FROM history WHERE key_id = $1 AND station = $2 AND state = 2 AND detail = ''",
				rows_take_int, times, NULL, error, DB_B(item->key_id, 32), db_text(station));
}

gboolean rows_is_leased(const DepotItem *item, gint64 now)
{
	return rows_is_held(item) && item->lease > now && item->lease <= now + DEPOT_LEASE_MAX * (gint64)1000;
}

gboolean rows_put_aside(Db *db, const guint8 key_id[32], GError **error)
{
	return DB_RUN(db,
		      "INSERT INTO attempt (key_id, sha256, record, station, at) SELECT key_id, sha256, record, station, at "
		      "FROM doubt WHERE key_id = $1 ON CONFLICT (key_id, sha256) DO NOTHING", NULL, NULL, NULL, error,
		      DB_B(key_id, 32)) &&
	       DB_RUN(db, "DELETE FROM doubt WHERE key_id = $1", NULL, NULL, NULL, error, DB_B(key_id, 32));
}

void rows_sha256(const void *data, gsize len, guint8 out[32])
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize size = 32;

	g_checksum_update(sum, data, len);
	g_checksum_get_digest(sum, out, &size);
}
