// SPDX-License-Identifier: GPL-2.0-or-later
/* Who has which packages: claims, their end, and the bytes. */
#include "depot.h"

#include <string.h>

#include "rows.h"
#include "stations.h"

static gboolean take_bytes(const DbValue *row, guint n, gpointer user, GError **error)
{
	if (row[0].type != DB_BLOB)
		return rows_damaged("content", error);
	*(GBytes **)user = g_bytes_new(row[0].data, row[0].len);
	return TRUE;
}

typedef struct {
	const guint8 *eid, *key_id;
	const char *station, *why;
	gint64 lease, until, now;
	GPtrArray *items;
	guint count;
} Claim;

static gboolean claim(Db *db, gpointer user, GError **error)
{
	Claim *c = user;

	if (!db->ops->now(db, &c->now, error) || !rows_of_chip(db, c->eid, c->items, error))
		return FALSE;
	c->until = c->now + c->lease;
	if (!stations_filter(db, c->station, c->eid, c->now, c->items, error))
		return FALSE;
	for (guint i = 0; i < c->items->len; i++) {
		const DepotItem *item = c->items->pdata[i];

		if (g_strcmp0(item->station, c->station) && rows_is_leased(item, c->now)) {
			g_ptr_array_set_size(c->items, 0);
			return TRUE;
		}
	}
	for (guint i = 0; i < c->items->len;) {
		DepotItem *item = c->items->pdata[i];
		gboolean mine = rows_is_held(item) && !g_strcmp0(item->station, c->station);

		if (item->state > DEPOT_SENT) {
			g_ptr_array_remove_index(c->items, i);
			continue;
		}
		if (!mine && !rows_note(db, item->key_id, DEPOT_RESERVED, c->station,
				   item->state == DEPOT_FREE ? "" : "the lease before had ended", c->now, error))
			return FALSE;
		if (!mine)
			item->state = DEPOT_RESERVED;
		if (!rows_set_state(db, item->key_id, item->state, c->station, c->until, c->now, error))
			return FALSE;
		i++;
	}
	return TRUE;
}

GPtrArray *depot_claim(Depot *depot, const guint8 eid[16], const char *station, guint lease, gint64 *until,
		       GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Claim c = { .eid = eid, .station = station, .lease = (gint64)lease * 1000, .items = items };

	if (!db_transaction(depot->db, claim, &c, error))
		return NULL;
	*until = c.until;
	return g_steal_pointer(&items);
}

static gboolean release(Db *db, gpointer user, GError **error)
{
	Claim *c = user;

	c->count = 0;
	if (!db->ops->now(db, &c->now, error) || !rows_of_chip(db, c->eid, c->items, error))
		return FALSE;
	for (guint i = 0; i < c->items->len; i++) {
		const DepotItem *item = c->items->pdata[i];

		if (!rows_is_held(item) || (c->station && g_strcmp0(item->station, c->station)))
			continue;
		if (!rows_note(db, item->key_id, DEPOT_FREE, item->station, c->station ? "released" : "released by the depot",
			  c->now, error) ||
		    !rows_set_state(db, item->key_id, DEPOT_FREE, NULL, 0, c->now, error))
			return FALSE;
		c->count++;
	}
	return TRUE;
}

gboolean depot_release(Depot *depot, const guint8 eid[16], const char *station, guint *released, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Claim c = { .eid = eid, .station = station, .items = items };

	if (!db_transaction(depot->db, release, &c, error))
		return FALSE;
	*released = c.count;
	return TRUE;
}

static gboolean mark_sent(Db *db, gpointer user, GError **error)
{
	Claim *c = user;
	const DepotItem *item;

	if (!db->ops->now(db, &c->now, error) || !rows_of_key(db, c->key_id, c->items, error))
		return FALSE;
	item = c->items->len ? c->items->pdata[0] : NULL;
	if (!item || g_strcmp0(item->station, c->station) || !rows_is_leased(item, c->now))
		return rows_unknown(c->key_id, error);
	return item->state == DEPOT_SENT ||
	       (rows_note(db, c->key_id, DEPOT_SENT, c->station, "", c->now, error) &&
		rows_set_state(db, c->key_id, DEPOT_SENT, c->station, item->lease, c->now, error));
}

GBytes *depot_package(Depot *depot, const guint8 key_id[32], GError **error)
{
	GBytes *package = NULL;

	DB_RUN(depot->db, "SELECT package FROM content WHERE key_id = $1", take_bytes, &package, NULL, error,
	       DB_B(key_id, 32));
	return package;
}

GBytes *depot_fetch(Depot *depot, const guint8 key_id[32], const char *station, guint8 sha256[32], GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Claim c = { .key_id = key_id, .station = station, .items = items };
	const DepotItem *item;
	gint64 at;

	/* A range of what is sent already needs no write. */
	if (!rows_of_key(depot->db, key_id, items, error) || !depot->db->ops->now(depot->db, &at, error))
		return NULL;
	item = items->len ? items->pdata[0] : NULL;
	if (!item || item->state != DEPOT_SENT || g_strcmp0(item->station, station) || !rows_is_leased(item, at)) {
		if (!db_transaction(depot->db, mark_sent, &c, error))
			return NULL;
		item = items->pdata[0];
	}
	memcpy(sha256, item->sha256, 32);
	return depot_package(depot, key_id, error);
}
