// SPDX-License-Identifier: GPL-2.0-or-later
/* Who has which packages: claims, their end, and the bytes. */
#include "depot.h"

#include <string.h>

#include "depot-error.h"
#include "rows.h"
#include "stations.h"

static gboolean take_bytes(const DbValue *row, guint n, gpointer user, GError **error)
{
	if (row[0].type != DB_BLOB)
		return rows_damaged("content", error);
	*(GBytes **)user = g_bytes_new(row[0].data, row[0].len);
	return TRUE;
}

static void empty(DepotTake *take)
{
	g_clear_error(&take->error);
	if (!take->items)
		take->items = g_ptr_array_new_with_free_func(rows_item_free);
	g_ptr_array_set_size(take->items, 0);
}

void depot_take_clear(DepotTake *take)
{
	g_clear_error(&take->error);
	g_clear_pointer(&take->items, g_ptr_array_unref);
}

static gboolean is_of_another(const DepotTake *t, gint64 now)
{
	for (guint i = 0; i < t->items->len; i++) {
		const DepotItem *item = t->items->pdata[i];

		if (g_strcmp0(item->station, t->station) && rows_is_leased(item, now))
			return TRUE;
	}
	return FALSE;
}

static gboolean claim(Db *db, DepotTake *t, gint64 now, GError **error)
{
	gboolean other;

	t->until = now + (gint64)t->lease * 1000;
	if (!rows_of_chip(db, t->eid, t->items, error))
		return FALSE;
	/* The chip is in one place: a package of an order that this station does not serve counts, too. */
	other = is_of_another(t, now);
	if (!stations_filter(db, t->station, t->eid, now, t->items, error))
		return FALSE;
	if (other) {
		g_ptr_array_set_size(t->items, 0);
		return TRUE;
	}
	for (guint i = 0; i < t->items->len;) {
		DepotItem *item = t->items->pdata[i];
		gboolean mine = rows_is_held(item) && !g_strcmp0(item->station, t->station);

		if (item->state > DEPOT_SENT) {
			g_ptr_array_remove_index(t->items, i);
			continue;
		}
		if (!mine && !rows_note(db, item->key_id, DEPOT_RESERVED, t->station,
				   item->state == DEPOT_FREE ? "" : "the lease before had ended", now, error))
			return FALSE;
		if (!mine)
			item->state = DEPOT_RESERVED;
		if (!rows_set_state(db, item->key_id, item->state, t->station, t->until, now, error))
			return FALSE;
		i++;
	}
	return TRUE;
}

/* The package is this station's: only then it learns that it is there. */
static gboolean is_leased_to(const DepotItem *item, const char *station, gint64 now)
{
	return !g_strcmp0(item->station, station) && rows_is_leased(item, now);
}

static gboolean mark_sent(Db *db, DepotTake *t, gint64 now, GError **error)
{
	const DepotItem *item;

	if (!rows_of_key(db, t->key_id, t->items, error))
		return FALSE;
	item = t->items->len ? t->items->pdata[0] : NULL;
	if (!item || !is_leased_to(item, t->station, now))
		return rows_unknown(t->key_id, error);
	return item->state == DEPOT_SENT ||
	       (rows_note(db, t->key_id, DEPOT_SENT, t->station, "", now, error) &&
		rows_set_state(db, t->key_id, DEPOT_SENT, t->station, item->lease, now, error));
}

typedef struct {
	DepotTake *const *takes;
	guint n;
} Group;

/* A refusal comes before anything is written for it, so that the others can go on. */
static gboolean take_all(Db *db, gpointer user, GError **error)
{
	const Group *group = user;
	gint64 now;

	if (!db->ops->now(db, &now, error))
		return FALSE;
	for (guint i = 0; i < group->n; i++) {
		DepotTake *take = group->takes[i];
		GError *local = NULL;

		empty(take);
		if ((take->fetch ? mark_sent : claim)(db, take, now, &local))
			continue;
		if (local->domain != DEPOT_ERROR) {
			g_propagate_error(error, local);
			return FALSE;
		}
		take->error = local;
	}
	return TRUE;
}

gboolean depot_take(Depot *depot, DepotTake *const *takes, guint n, GError **error)
{
	Group group = { takes, n };

	return db_transaction(depot->db, take_all, &group, error);
}

static gboolean take_one(Depot *depot, DepotTake *take, GError **error)
{
	if (!depot_take(depot, &take, 1, error))
		return FALSE;
	if (!take->error)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&take->error));
	return FALSE;
}

GPtrArray *depot_claim(Depot *depot, const guint8 eid[16], const char *station, guint lease, gint64 *until,
		       GError **error)
{
	DepotTake take = { .station = station, .lease = lease };
	GPtrArray *items = NULL;

	memcpy(take.eid, eid, sizeof(take.eid));
	if (take_one(depot, &take, error)) {
		*until = take.until;
		items = g_steal_pointer(&take.items);
	}
	depot_take_clear(&take);
	return items;
}

typedef struct {
	const guint8 *eid;
	const char *station;
	gint64 now;
	GPtrArray *items;
	guint count;
} Release;

static gboolean release(Db *db, gpointer user, GError **error)
{
	Release *c = user;

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
	Release c = { .eid = eid, .station = station, .items = items };

	if (!db_transaction(depot->db, release, &c, error))
		return FALSE;
	*released = c.count;
	return TRUE;
}

GBytes *depot_package(Depot *depot, const guint8 key_id[32], GError **error)
{
	GBytes *package = NULL;

	DB_RUN(depot->db, "SELECT package FROM content WHERE key_id = $1", take_bytes, &package, NULL, error,
	       DB_B(key_id, 32));
	return package;
}

GBytes *depot_fetch_again(Depot *depot, const guint8 key_id[32], const char *station, guint8 sha256[32], GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	const DepotItem *item;
	gint64 now;

	if (!rows_of_key(depot->db, key_id, items, error) || !depot->db->ops->now(depot->db, &now, error))
		return NULL;
	item = items->len ? items->pdata[0] : NULL;
	if (!item || item->state != DEPOT_SENT || !is_leased_to(item, station, now))
		return NULL;
	memcpy(sha256, item->sha256, 32);
	return depot_package(depot, key_id, error);
}

GBytes *depot_fetch(Depot *depot, const guint8 key_id[32], const char *station, guint8 sha256[32], GError **error)
{
	DepotTake take = { .fetch = TRUE, .station = station };
	g_autoptr(GError) local = NULL;
	GBytes *bytes = depot_fetch_again(depot, key_id, station, sha256, &local);

	if (bytes)
		return bytes;
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	memcpy(take.key_id, key_id, sizeof(take.key_id));
	if (take_one(depot, &take, error)) {
		memcpy(sha256, ((const DepotItem *)take.items->pdata[0])->sha256, 32);
		bytes = depot_package(depot, key_id, error);
	}
	depot_take_clear(&take);
	return bytes;
}
