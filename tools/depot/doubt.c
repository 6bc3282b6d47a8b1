// SPDX-License-Identifier: GPL-2.0-or-later
/* Doubts, and what the operator makes of them. */
#include "depot.h"

#include <string.h>

#include "rows.h"

static void doubt_free(gpointer data)
{
	DepotDoubt *doubt = data;

	g_free(doubt->record);
	g_free(doubt->station);
	g_free(doubt->why);
	g_free(doubt);
}

static gboolean take_doubt(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotDoubt *doubt = g_new0(DepotDoubt, 1);

	g_ptr_array_add(user, doubt);
	doubt->record = g_strdup(db_get_text(&row[2]));
	doubt->station = g_strdup(db_get_text(&row[3]));
	doubt->why = g_strdup(db_get_text(&row[4]));
	doubt->signed_by_chip = row[5].num != 0;
	doubt->at = row[6].num;
	return (db_get_blob(&row[0], doubt->eid, 16) && db_get_blob(&row[1], doubt->key_id, 32) &&
		db_get_blob(&row[7], doubt->sha256, 32)) ||
	       rows_damaged("doubt", error);
}

#define DOUBT "SELECT eid, key_id, record, station, why, signed, at, sha256 FROM doubt "

GPtrArray *depot_doubts(Depot *depot, const guint8 *eid, const DepotDoubt *after, guint limit, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(doubt_free);
	static const guint8 zero[32];
	gboolean ok;

	if (eid)
		ok = DB_RUN(depot->db, DOUBT "WHERE eid = $1 ORDER BY key_id, at LIMIT $2", take_doubt, found, NULL, error,
			    DB_B(eid, 16), DB_I(limit));
	else
		ok = DB_RUN(depot->db, DOUBT "WHERE (key_id, sha256) > ($1, $3) ORDER BY key_id, sha256 LIMIT $2", take_doubt, found, NULL,
			    error, after ? DB_B(after->key_id, 32) : DB_B(zero, 0), DB_I(limit),
			    after ? DB_B(after->sha256, 32) : DB_B(zero, 0));
	return ok ? g_steal_pointer(&found) : NULL;
}

typedef struct {
	const guint8 *eid;
	const char *station, *why;
	gint64 now;
	GPtrArray *items;
	guint count;
} Burn;

static gboolean burn(Db *db, gpointer user, GError **error)
{
	Burn *c = user;

	c->count = 0;
	if (!db->ops->now(db, &c->now, error) || !rows_of_chip(db, c->eid, c->items, error))
		return FALSE;
	for (guint i = 0; i < c->items->len; i++) {
		const DepotItem *item = c->items->pdata[i];

		/* Also of what is burnt already: a station may have said it since. */
		if (!rows_put_aside(db, item->key_id, error))
			return FALSE;
		if (item->state > DEPOT_SENT)
			continue;
		if (!rows_note(db, item->key_id, DEPOT_BURNT, c->station, c->why, c->now, error) ||
		    !rows_set_state(db, item->key_id, DEPOT_BURNT, item->station, 0, c->now, error))
			return FALSE;
		c->count++;
	}
	return TRUE;
}

gboolean depot_burn(Depot *depot, const guint8 eid[16], const char *who, const char *why, guint *burnt, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Burn c = { .eid = eid, .station = who, .why = why, .items = items };

	if (!db_transaction(depot->db, burn, &c, error))
		return FALSE;
	*burnt = c.count;
	return TRUE;
}

static gboolean unburn_one(Db *db, const Burn *b, const DepotItem *item, gboolean *freed, GError **error)
{
	gint64 proven = 0, rejected = 0;

	if (!rows_put_aside(db, item->key_id, error) ||
	    !DB_RUN(db, "SELECT COUNT(*) FROM result WHERE key_id = $1 AND proven = 1", rows_take_int, &proven, NULL, error,
		    DB_B(item->key_id, 32)) ||
	    !DB_RUN(db, "SELECT COUNT(*) FROM package p JOIN delivery d ON d.id = p.delivery WHERE p.key_id = $1 AND d.done = 3",
		    rows_take_int, &rejected, NULL, error, DB_B(item->key_id, 32)))
		return FALSE;
	*freed = item->state == DEPOT_BURNT && !proven && !rejected;
	if (!*freed)
		return TRUE;
	/* A depot of version 1 may have a station's word as a result. */
	return DB_RUN(db,
		      "INSERT INTO attempt (key_id, sha256, record, station, at) SELECT key_id, sha256, record, station, at "
		      "FROM result WHERE key_id = $1 ON CONFLICT (key_id, sha256) DO NOTHING", NULL, NULL, NULL, error,
		      DB_B(item->key_id, 32)) &&
	       DB_RUN(db, "DELETE FROM result WHERE key_id = $1", NULL, NULL, NULL, error, DB_B(item->key_id, 32)) &&
	       rows_note(db, item->key_id, DEPOT_FREE, b->station, b->why, b->now, error) &&
	       rows_set_state(db, item->key_id, DEPOT_FREE, NULL, 0, b->now, error);
}

static gboolean unburn(Db *db, gpointer user, GError **error)
{
	Burn *b = user;

	b->count = 0;
	if (!db->ops->now(db, &b->now, error) || !rows_of_chip(db, b->eid, b->items, error))
		return FALSE;
	for (guint i = 0; i < b->items->len; i++) {
		gboolean freed;

		if (!unburn_one(db, b, b->items->pdata[i], &freed, error))
			return FALSE;
		b->count += freed;
	}
	return TRUE;
}

gboolean depot_unburn(Depot *depot, const guint8 eid[16], const char *who, const char *why, guint *freed,
		      GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Burn b = { .eid = eid, .station = who, .why = why, .items = items };

	if (!db_transaction(depot->db, unburn, &b, error))
		return FALSE;
	*freed = b.count;
	return TRUE;
}
