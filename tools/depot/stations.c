// SPDX-License-Identifier: GPL-2.0-or-later
/* Stations that the operator has named, and what each may have. */
#include "stations.h"

#include <string.h>

#include "depot-error.h"
#include "rows.h"

/* A name of an order has no line end in it (ifpp_bundle_text_valid). */
#define SEPARATOR "\n"
/* Nobody is charged for more than this ahead: a wrong clock was. */
#define AHEAD_MAX_US (300 * G_USEC_PER_SEC)

static void station_free(gpointer data)
{
	DepotStation *station = data;

	g_free(station->name);
	g_strfreev(station->batches);
	g_free(station);
}

static gboolean take_station(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotStation *station = g_new0(DepotStation, 1);
	const char *batches = db_get_text(&row[1]);

	g_ptr_array_add(user, station);
	station->name = g_strdup(db_get_text(&row[0]));
	station->batches = *batches ? g_strsplit(batches, SEPARATOR, -1) : NULL;
	station->quota = row[2].num;
	station->revoked = row[3].num != 0;
	station->added = row[4].num;
	station->held = row[5].num;
	return TRUE;
}

static gboolean refuse(const char *name, const char *why, GError **error)
{
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_AUTHORITY, "station %s %s", name, why);
	return FALSE;
}

/* *found stays NULL while no station is named at all: then each that the station CA certifies is served. */
static gboolean find(Db *db, const char *name, GPtrArray *found, GError **error)
{
	const DepotStation *station;
	gint64 any = 0;

	g_ptr_array_set_size(found, 0);
	if (!DB_RUN(db, "SELECT name, batches, quota, revoked, added, 0 FROM station WHERE name = $1", take_station, found,
		    NULL, error, db_text(name)))
		return FALSE;
	if (!found->len)
		return db_run(db, "SELECT COUNT(*) FROM (SELECT 1 FROM station LIMIT 1) AS one", NULL, 0, rows_take_int, &any,
			      NULL, error) &&
		       (!any || refuse(name, "is not one that this depot serves", error));
	station = found->pdata[0];
	return !station->revoked || refuse(name, "may have nothing any more", error);
}

static gboolean within_quota(Db *db, const DepotStation *station, const guint8 eid[16], gint64 now, GError **error)
{
	gint64 held = 0;

	if (!station->quota)
		return TRUE;
	if (!DB_RUN(db,
		    "SELECT COUNT(DISTINCT eid) FROM package WHERE station = $1 AND lease > $2 AND lease <= $3 "
		    "AND state IN (1, 2) AND eid <> $4", rows_take_int, &held, NULL, error, db_text(station->name), DB_I(now),
		    DB_I(now + DEPOT_LEASE_MAX * (gint64)1000), DB_B(eid, 16)))
		return FALSE;
	if (held < station->quota)
		return TRUE;
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_QUOTA, "station %s holds %" G_GINT64_FORMAT " chips, as many as it may",
		    station->name, held);
	return FALSE;
}

gboolean stations_filter(Db *db, const char *name, const guint8 eid[16], gint64 now, GPtrArray *items, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(station_free);
	const DepotStation *station;

	if (!find(db, name, found, error))
		return FALSE;
	if (!found->len)
		return TRUE;
	station = found->pdata[0];
	for (guint i = items->len; station->batches && i--;) {
		const DepotItem *item = items->pdata[i];

		if (!g_strv_contains((const char *const *)station->batches, item->batch))
			g_ptr_array_remove_index(items, i);
	}
	return !items->len || within_quota(db, station, eid, now, error);
}

gboolean depot_station_check(Depot *depot, const char *name, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(station_free);

	return find(depot->db, name, found, error);
}

static gboolean add(Db *db, gpointer user, GError **error)
{
	const DepotStation *station = user;
	g_autofree char *batches = station->batches ? g_strjoinv(SEPARATOR, station->batches) : g_strdup("");
	gint64 at;

	return db->ops->now(db, &at, error) &&
	       DB_RUN(db,
		      "INSERT INTO station (name, batches, quota, revoked, added) VALUES ($1, $2, $3, 0, $4) "
		      "ON CONFLICT (name) DO UPDATE SET batches = $2, quota = $3, revoked = 0",
		      NULL, NULL, NULL, error, db_text(station->name), db_text(batches), DB_I(station->quota), DB_I(at));
}

gboolean depot_station_add(Depot *depot, const DepotStation *station, GError **error)
{
	return db_transaction(depot->db, add, (gpointer)station, error);
}

typedef struct {
	const char *name;
	gint64 at, changed;
	GPtrArray *items;
	guint released;
} Revoke;

static gboolean end_station(Db *db, gpointer user, GError **error)
{
	Revoke *r = user;

	g_ptr_array_set_size(r->items, 0);
	r->released = 0;
	if (!db->ops->now(db, &r->at, error) ||
	    !DB_RUN(db, "UPDATE station SET revoked = 1 WHERE name = $1", NULL, NULL, &r->changed, error, db_text(r->name)))
		return FALSE;
	if (!r->changed) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no station %s was named", r->name);
		return FALSE;
	}
	if (!DB_RUN(db, "SELECT " ROWS_COLUMNS " FROM package WHERE station = $1 AND lease > $2 AND state IN (1, 2)",
		    rows_take_item, r->items, NULL, error, db_text(r->name), DB_I(r->at)))
		return FALSE;
	/* What was sent stays sent: the chip may have it. */
	for (guint i = 0; i < r->items->len; i++) {
		const DepotItem *item = r->items->pdata[i];
		gboolean sent = item->state == DEPOT_SENT;

		if (!rows_note(db, item->key_id, sent ? DEPOT_SENT : DEPOT_FREE, r->name, "the station was revoked", r->at,
			       error) ||
		    !rows_set_state(db, item->key_id, sent ? DEPOT_SENT : DEPOT_FREE, sent ? r->name : NULL, 0, r->at, error))
			return FALSE;
		r->released++;
	}
	return TRUE;
}

gboolean depot_station_revoke(Depot *depot, const char *name, guint *released, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Revoke r = { .name = name, .items = items };

	if (!db_transaction(depot->db, end_station, &r, error))
		return FALSE;
	*released = r.released;
	return TRUE;
}

GPtrArray *depot_stations(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) stations = g_ptr_array_new_with_free_func(station_free);
	gint64 now;

	if (!depot->db->ops->now(depot->db, &now, error) ||
	    !DB_RUN(depot->db,
		    "SELECT s.name, s.batches, s.quota, s.revoked, s.added, (SELECT COUNT(DISTINCT p.eid) FROM package p "
		    "WHERE p.station = s.name AND p.lease > $1 AND p.lease <= $2 AND p.state IN (1, 2)) FROM station s "
		    "ORDER BY s.name", take_station, stations, NULL, error, DB_I(now), DB_I(now + DEPOT_LEASE_MAX * (gint64)1000)))
		return NULL;
	return g_steal_pointer(&stations);
}

typedef struct {
	DepotCharge *charges;
	guint n;
} Charges;

static gboolean charge(Db *db, gpointer user, GError **error)
{
	const Charges *all = user;
	gint64 now;

	if (!db->ops->now(db, &now, error))
		return FALSE;
	now *= 1000;
	for (guint i = 0; i < all->n; i++) {
		DepotCharge *c = &all->charges[i];
		gint64 full_at = now;

		if (!DB_RUN(db,
			    "INSERT INTO account (station, full_at) VALUES ($1, $2) ON CONFLICT (station) DO UPDATE SET full_at = "
			    "CASE WHEN account.full_at > $3 AND account.full_at < $4 THEN account.full_at + $5 ELSE $2 END "
			    "RETURNING full_at", rows_take_int, &full_at, NULL, error, db_text(c->station), DB_I(now + c->us),
			    DB_I(now), DB_I(now + AHEAD_MAX_US), DB_I(c->us)))
			return FALSE;
		c->behind = full_at - now;
	}
	return TRUE;
}

gboolean depot_charge(Depot *depot, DepotCharge *charges, guint n, GError **error)
{
	return db_transaction(depot->db, charge, &(Charges){ charges, n }, error);
}
