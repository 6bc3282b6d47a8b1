// SPDX-License-Identifier: GPL-2.0-or-later
/* What Key Makers have delivered. */
#include "depot.h"

#include <tlv.h>

#include "depot-error.h"
#include "rows.h"

typedef struct {
	const guint8 *delivery;
	const char *order;
	guint packages;
	gint64 done;
	DepotItem *const *items;
	GBytes *const *bytes;
	guint n, added;
} Add;

/* An error if the operator has rejected it, perhaps while it is imported. */
static gboolean not_rejected(Db *db, Add *a, GError **error)
{
	if (!DB_RUN(db, "SELECT done FROM delivery WHERE id = $1", rows_take_int, &a->done, NULL, error, DB_B(a->delivery, 32)))
		return FALSE;
	if (a->done != DEPOT_DELIVERY_REJECTED)
		return TRUE;
	g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, "the operator has rejected this delivery");
	return FALSE;
}

/* Deliveries can have packages in common. What came with one that is not here whole is of this one from now on. */
static gboolean same_package(Db *db, const guint8 delivery[32], const DepotItem *item, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(rows_item_free);
	g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id));

	if (!DB_RUN(db, "SELECT " ROWS_COLUMNS " FROM package WHERE key_id = $1", rows_take_item, found, NULL, error,
		    DB_B(item->key_id, 32)))
		return FALSE;
	if (found->len && !memcmp(((DepotItem *)found->pdata[0])->sha256, item->sha256, 32))
		return DB_RUN(db, "UPDATE package SET delivery = $2, batch = CASE WHEN $3 = '' THEN batch ELSE $3 END "
			      "WHERE key_id = $1 AND delivery <> $2 AND delivery IN (SELECT id FROM delivery WHERE done <> 1)",
			      NULL, NULL, NULL, error, DB_B(item->key_id, 32), DB_B(delivery, 32), db_text(item->batch));
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT,
		    "another package for the key %s is here already; a key takes one, ask the Key Maker", key);
	return FALSE;
}

static gboolean add(Db *db, gpointer user, GError **error)
{
	Add *a = user;
	gint64 at, changed;

	a->added = 0;
	if (!db->ops->now(db, &at, error) || !not_rejected(db, a, error))
		return FALSE;
	for (guint i = 0; i < a->n; i++) {
		const DepotItem *item = a->items[i];
		gsize len;
		const void *bytes = g_bytes_get_data(a->bytes[i], &len);

		if (!DB_RUN(db,
			    "INSERT INTO package (key_id, eid, sha256, bytes, iccid, profile, operator, batch, delivery, "
			    "state, lease, changed, added) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $10) "
			    "ON CONFLICT (key_id) DO NOTHING",
			    NULL, NULL, &changed, error, DB_B(item->key_id, 32), DB_B(item->eid, 16),
			    DB_B(item->sha256, 32), DB_I(item->bytes), db_text(item->iccid), db_text(item->profile),
			    db_text(item->operator), db_text(item->batch), DB_B(a->delivery, 32), DB_I(at)))
			return FALSE;
		if (!changed) {
			if (!same_package(db, a->delivery, item, error))
				return FALSE;
			continue;
		}
		if (!DB_RUN(db, "INSERT INTO content (key_id, package) VALUES ($1, $2)", NULL, NULL, NULL, error,
			    DB_B(item->key_id, 32), DB_B(bytes, len)))
			return FALSE;
		a->added++;
	}
	return TRUE;
}

gboolean depot_add(Depot *depot, const guint8 delivery[32], DepotItem *const *items, GBytes *const *packages, guint n,
		   guint *added, GError **error)
{
	Add a = { .delivery = delivery, .items = items, .bytes = packages, .n = n };

	if (!db_transaction(depot->db, add, &a, error))
		return FALSE;
	*added += a.added;
	return TRUE;
}

static gboolean note_delivery(Db *db, gpointer user, GError **error)
{
	Add *a = user;
	gint64 at;

	return db->ops->now(db, &at, error) &&
	       DB_RUN(db,
		      "INSERT INTO delivery (id, batch, packages, done, at) VALUES ($1, $2, $3, 0, $4) "
		      "ON CONFLICT (id) DO NOTHING",
		      NULL, NULL, NULL, error, DB_B(a->delivery, 32), db_text(a->order), DB_I(a->packages), DB_I(at)) &&
	       not_rejected(db, a, error);
}

static gboolean end_delivery(Db *db, gpointer user, GError **error)
{
	Add *a = user;

	return not_rejected(db, a, error) &&
	       DB_RUN(db, "UPDATE delivery SET done = 1 WHERE id = $1", NULL, NULL, NULL, error, DB_B(a->delivery, 32));
}

gboolean depot_delivery(Depot *depot, const guint8 id[32], const char *order, guint packages, gboolean *done,
			GError **error)
{
	Add a = { .delivery = id, .order = order ? order : "", .packages = packages };

	if (*done)
		return db_transaction(depot->db, end_delivery, &a, error);
	if (!db_transaction(depot->db, note_delivery, &a, error))
		return FALSE;
	*done = a.done == DEPOT_DELIVERY_DONE;
	return TRUE;
}

static gboolean in_conflict(Db *db, gpointer user, GError **error)
{
	return DB_RUN(db, "UPDATE delivery SET done = 2 WHERE id = $1 AND done = 0", NULL, NULL, NULL, error,
		      DB_B(user, 32));
}

gboolean depot_delivery_conflict(Depot *depot, const guint8 id[32], GError **error)
{
	return db_transaction(depot->db, in_conflict, (gpointer)id, error);
}

typedef struct {
	const char *prefix;
	guint8 id[32];
	guint found, burnt;
	gint64 removed;
} Reject;

static gboolean take_delivery(const DbValue *row, guint n, gpointer user, GError **error)
{
	Reject *r = user;
	g_autofree char *hex = ifpp_hex((IfppSpan){ row[0].data, row[0].len });

	if (g_str_has_prefix(hex, r->prefix)) {
		r->found++;
		return db_get_blob(&row[0], r->id, 32) || rows_damaged("delivery", error);
	}
	return TRUE;
}

/* What a station has had may be in a chip, whose result counts; nobody else gets it. */
static gboolean burn_the_rest(Db *db, Reject *r, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	gint64 now;

	if (!db->ops->now(db, &now, error) ||
	    !DB_RUN(db, "SELECT " ROWS_COLUMNS " FROM package WHERE delivery = $1 AND state < 3", rows_take_item, items, NULL,
		    error, DB_B(r->id, 32)))
		return FALSE;
	r->burnt = items->len;
	for (guint i = 0; i < items->len; i++) {
		const DepotItem *item = items->pdata[i];

		if (!rows_note(db, item->key_id, DEPOT_BURNT, NULL, "its delivery was rejected", now, error) ||
		    !rows_set_state(db, item->key_id, DEPOT_BURNT, item->station, 0, now, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean reject(Db *db, gpointer user, GError **error)
{
	Reject *r = user;

	r->found = 0;
	if (!db_run(db, "SELECT id FROM delivery WHERE done IN (0, 2)", NULL, 0, take_delivery, r, NULL, error))
		return FALSE;
	if (r->found != 1) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "%s delivery that is not here whole begins with %s",
			    r->found ? "more than one" : "no", r->prefix);
		return FALSE;
	}
	return DB_RUN(db, "DELETE FROM content WHERE key_id IN (SELECT key_id FROM package WHERE delivery = $1 AND state = 0 "
		      "AND NOT EXISTS (SELECT 1 FROM history h WHERE h.key_id = package.key_id))", NULL, NULL, NULL, error,
		      DB_B(r->id, 32)) &&
	       DB_RUN(db, "DELETE FROM package WHERE delivery = $1 AND state = 0 AND NOT EXISTS (SELECT 1 FROM history h "
		      "WHERE h.key_id = package.key_id)", NULL, NULL, &r->removed, error, DB_B(r->id, 32)) &&
	       burn_the_rest(db, r, error) &&
	       DB_RUN(db, "UPDATE delivery SET done = 3 WHERE id = $1", NULL, NULL, NULL, error, DB_B(r->id, 32));
}

gboolean depot_reject(Depot *depot, const char *id, guint *removed, guint *burnt, GError **error)
{
	Reject r = { .prefix = id };

	if (!db_transaction(depot->db, reject, &r, error))
		return FALSE;
	*removed = r.removed;
	*burnt = r.burnt;
	return TRUE;
}
