// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of packages: results of chips, and units that the operator has given up. */
#include "depot.h"

#include <string.h>

#include "depot-error.h"
#include "rows.h"

typedef struct {
	const char *station;
	const DepotResult *result;
	guint8 sha256[32];
	GPtrArray *items;
	gboolean stored;
} Put;

typedef struct {
	gboolean there, proven;
	guint8 sha256[32];
} Stored;

static gboolean take_stored(const DbValue *row, guint n, gpointer user, GError **error)
{
	Stored *stored = user;

	stored->there = TRUE;
	stored->proven = row[1].num != 0;
	return db_get_blob(&row[0], stored->sha256, 32) || rows_damaged("result", error);
}

static gboolean put_result(Db *db, gpointer user, GError **error)
{
	Put *put = user;
	const DepotResult *r = put->result;
	Stored stored = {};
	DepotItem *item;
	gint64 at, times;

	put->stored = FALSE;
	if (!db->ops->now(db, &at, error) || !rows_of_key(db, r->key_id, put->items, error))
		return FALSE;
	item = put->items->len ? put->items->pdata[0] : NULL;
	if (!item || memcmp(item->eid, r->eid, 16))
		return rows_unknown(r->key_id, error);
	/* Who may say that a key is lost: only who had it. What a chip has signed anybody may bring. */
	if (!r->proven && !rows_had(db, put->station, item, &times, error))
		return FALSE;
	if (!r->proven && !times)
		return rows_unknown(r->key_id, error);
	if (!DB_RUN(db, "SELECT sha256, proven FROM result WHERE key_id = $1", take_stored, &stored, NULL, error,
		    DB_B(r->key_id, 32)))
		return FALSE;
	if (stored.there && !memcmp(stored.sha256, put->sha256, 32) && (stored.proven || !r->proven))
		return stored.proven || DB_RUN(db, "UPDATE result SET proof = $2 WHERE key_id = $1 AND proof <> $2", NULL, NULL,
					       NULL, error, DB_B(r->key_id, 32), db_text(r->proof));
	if (stored.there && (stored.proven || !r->proven)) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, "another result of this package is on record");
		return FALSE;
	}
	if (!DB_RUN(db,
		    "INSERT INTO result (key_id, eid, sha256, record, proven, proof, station, at) "
		    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key_id) DO UPDATE SET sha256 = $3, record = $4, "
		    "proven = $5, proof = $6, station = $7, at = $8",
		    NULL, NULL, NULL, error, DB_B(r->key_id, 32), DB_B(r->eid, 16), DB_B(put->sha256, 32),
		    db_text(r->record), DB_I(r->proven), db_text(r->proof), db_text(put->station), DB_I(at)) ||
	    !rows_note(db, r->key_id, r->state, put->station, r->proof, at, error) ||
	    !rows_set_state(db, r->key_id, r->state, item->station ? item->station : put->station, 0, at, error))
		return FALSE;
	put->stored = TRUE;
	return TRUE;
}

static void digest(const void *data, gsize len, guint8 out[32])
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize size = 32;

	g_checksum_update(sum, data, len);
	g_checksum_get_digest(sum, out, &size);
}

gboolean depot_put_result(Depot *depot, const char *station, const DepotResult *result, gboolean *stored,
			  GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Put put = { .station = station, .result = result, .items = items };

	digest(result->record, strlen(result->record), put.sha256);
	if (!db_transaction(depot->db, put_result, &put, error))
		return FALSE;
	*stored = put.stored;
	return TRUE;
}

static void unproven_free(gpointer data)
{
	DepotUnproven *unproven = data;

	g_free(unproven->record);
	g_free(unproven->station);
	g_free(unproven->why);
	g_free(unproven);
}

static gboolean take_unproven(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotUnproven *unproven = g_new0(DepotUnproven, 1);

	g_ptr_array_add(user, unproven);
	unproven->record = g_strdup(db_get_text(&row[1]));
	unproven->station = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	unproven->why = g_strdup(db_get_text(&row[3]));
	unproven->signed_by_chip = row[4].num != DEPOT_BURNT;
	return db_get_blob(&row[0], unproven->key_id, 32) || rows_damaged("result", error);
}

GPtrArray *depot_unproven(Depot *depot, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(unproven_free);

	/* By way of the packages, since it is they that have an index by EID. */
	if (!DB_RUN(depot->db,
		    "SELECT r.key_id, r.record, r.station, r.proof, p.state FROM package p JOIN result r ON r.key_id = p.key_id WHERE p.eid = $1 "
		    "AND r.proven = 0", take_unproven, found, NULL, error, DB_B(eid, 16)))
		return NULL;
	return g_steal_pointer(&found);
}

static gboolean take_record(const DbValue *row, guint n, gpointer user, GError **error)
{
	char **record = user;

	record[0] = g_strdup(db_get_text(&row[0]));
	record[1] = g_strdup(db_get_text(&row[1]));
	return TRUE;
}

char *depot_result(Depot *depot, const guint8 key_id[32], char **proof, GError **error)
{
	char *record[2] = {};

	DB_RUN(depot->db, "SELECT record, proof FROM result WHERE key_id = $1", take_record, record, NULL, error,
	       DB_B(key_id, 32));
	if (proof)
		*proof = record[1];
	else
		g_free(record[1]);
	return record[0];
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
