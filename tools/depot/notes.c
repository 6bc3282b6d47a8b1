// SPDX-License-Identifier: GPL-2.0-or-later
/* What stations say beside results: packages that they refused, the eIM, what lies in quarantine. Their word, and no more. */
#include "depot.h"

#include <string.h>

#include <euicc.h>

#include "depot-error.h"
#include "rows.h"

#define OWN_BYTES 4096				/* of each chip; what is beyond counts */
#define STATION_BYTES ((gint64)64 * 1024 * 1024)	/* beyond that, of all chips of one station */
#define STATIONS_MAX 64				/* whose notes of one chip are told */

void depot_refusal_free(DepotRefusal *refusal)
{
	g_free(refusal->why);
	g_free(refusal->said);
	g_free(refusal->station);
	g_free(refusal);
}

void depot_notes_free(DepotNotes *notes)
{
	if (!notes)
		return;
	g_free(notes->record);
	g_free(notes->station);
	g_clear_pointer(&notes->refusals, g_ptr_array_unref);
	ifpp_unit_clear(&notes->unit);
	g_free(notes);
}

static GPtrArray *new_refusals(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)depot_refusal_free);
}

static gboolean take_refusal(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotRefusal *refusal = g_new0(DepotRefusal, 1);

	g_ptr_array_add(user, refusal);
	refusal->reason = row[1].num;
	refusal->why = g_strdup(db_get_text(&row[2]));
	refusal->said = g_strdup(db_get_text(&row[3]));
	refusal->station = g_strdup(db_get_text(&row[4]));
	refusal->at = row[5].num;
	return db_get_blob(&row[0], refusal->key_id, 32) || rows_damaged("refusal", error);
}

#define REFUSAL "SELECT r.key_id, r.reason, r.why, r.said, r.station, r.at FROM refusal r "

typedef struct {
	const char *station;
	const DepotNotes *notes;
	GPtrArray *items, *before;
	gboolean stored;
	guint kept;
	gint64 at;
} Put;

static const DepotRefusal *find_before(const Put *put, const guint8 key_id[32])
{
	for (guint i = 0; i < put->before->len; i++)
		if (!memcmp(((const DepotRefusal *)put->before->pdata[i])->key_id, key_id, 32))
			return put->before->pdata[i];
	return NULL;
}

static const DepotItem *find_item(const Put *put, const guint8 key_id[32])
{
	for (guint i = 0; i < put->items->len; i++)
		if (!memcmp(((const DepotItem *)put->items->pdata[i])->key_id, key_id, 32))
			return put->items->pdata[i];
	return NULL;
}

/* One that was told before keeps its time: it is no newer than what came since. The history has it when it says anything new. */
static gboolean put_refusal(Db *db, Put *put, const DepotRefusal *refusal, GError **error)
{
	const DepotItem *item = find_item(put, refusal->key_id);
	const DepotRefusal *before = find_before(put, refusal->key_id);
	g_autofree char *detail = g_strdup_printf("refused, told and not signed: %s", ifpp_reason_name(refusal->reason));
	gboolean again = before && before->reason == refusal->reason;
	gint64 times = 0;

	if (!item)
		return TRUE;
	if (!rows_was_sent(db, put->station, item, &times, error))
		return FALSE;
	if (!times)
		return TRUE;
	put->kept++;
	return DB_RUN(db,
		      "INSERT INTO refusal (key_id, station, eid, reason, why, said, at) VALUES ($1, $2, $3, $4, $5, $6, $7) "
		      "ON CONFLICT (key_id, station) DO UPDATE SET reason = $4, why = $5, said = $6, at = $7", NULL, NULL, NULL,
		      error, DB_B(refusal->key_id, 32), db_text(put->station), DB_B(put->notes->eid, 16), DB_I(refusal->reason),
		      db_text(refusal->why), db_text(refusal->said),
		      DB_I(again && g_str_equal(before->said, refusal->said) ? before->at : put->at)) &&
	       (again || rows_note(db, refusal->key_id, item->state, put->station, detail, put->at, error));
}

static gboolean put_refusals(Db *db, Put *put, GError **error)
{
	const GPtrArray *refusals = put->notes->refusals;

	g_ptr_array_set_size(put->before, 0);
	if (!DB_RUN(db, REFUSAL "WHERE r.eid = $1 AND r.station = $2", take_refusal, put->before, NULL, error,
		    DB_B(put->notes->eid, 16), db_text(put->station)) ||
	    !DB_RUN(db, "DELETE FROM refusal WHERE eid = $1 AND station = $2", NULL, NULL, NULL, error,
		    DB_B(put->notes->eid, 16), db_text(put->station)))
		return FALSE;
	for (guint i = 0; i < refusals->len; i++)
		if (!put_refusal(db, put, refusals->pdata[i], error))
			return FALSE;
	return TRUE;
}

/* A station that has many chips may say a little of each, and a lot of some. */
static gboolean has_room(Db *db, const Put *put, GError **error)
{
	gint64 others = 0, beyond = put->notes->bytes - OWN_BYTES;

	if (beyond <= 0)
		return TRUE;
	if (!DB_RUN(db,
		    "SELECT CAST(COALESCE(SUM(bytes - $3), 0) AS BIGINT) FROM note WHERE station = $1 AND eid <> $2 AND bytes > $3",
		    rows_take_int, &others, NULL, error, db_text(put->station), DB_B(put->notes->eid, 16), DB_I(OWN_BYTES)))
		return FALSE;
	if (others + beyond <= STATION_BYTES)
		return TRUE;
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_TOO_LARGE, "station %s has left as many notes as it may", put->station);
	return FALSE;
}

static gboolean take_sum(const DbValue *row, guint n, gpointer user, GError **error)
{
	return db_get_blob(&row[0], user, 32) || rows_damaged("note", error);
}

static gboolean put_notes(Db *db, gpointer user, GError **error)
{
	Put *put = user;
	const DepotNotes *notes = put->notes;
	guint8 have[32] = {};
	gint64 times = 0;

	put->stored = FALSE;
	put->kept = 0;
	if (!db->ops->now(db, &put->at, error) || !rows_of_chip(db, notes->eid, put->items, error))
		return FALSE;
	for (guint i = 0; i < put->items->len && !times; i++)
		if (!rows_had(db, put->station, put->items->pdata[i], &times, error))
			return FALSE;
	if (!times) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no chip that this station has claimed");
		return FALSE;
	}
	if (!DB_RUN(db, "SELECT sha256 FROM note WHERE eid = $1 AND station = $2", take_sum, have, NULL, error,
		    DB_B(notes->eid, 16), db_text(put->station)))
		return FALSE;
	put->stored = memcmp(have, notes->sha256, 32) != 0;
	return !put->stored ||
	       (has_room(db, put, error) && put_refusals(db, put, error) &&
		rows_note_unit(db, notes->eid, &notes->unit, put->station, FALSE, put->at, error) &&
		DB_RUN(db,
		       "INSERT INTO note (eid, station, sha256, bytes, record, at) VALUES ($1, $2, $3, $4, $5, $6) "
		       "ON CONFLICT (eid, station) DO UPDATE SET sha256 = $3, bytes = $4, record = $5, at = $6", NULL, NULL, NULL,
		       error, DB_B(notes->eid, 16), db_text(put->station), DB_B(notes->sha256, 32), DB_I(notes->bytes),
		       db_text(notes->record), DB_I(put->at)));
}

gboolean depot_put_notes(Depot *depot, const char *station, const DepotNotes *notes, gboolean *stored, guint *kept,
			 GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free), before = new_refusals();
	Put put = { .station = station, .notes = notes, .items = items, .before = before };

	if (!db_transaction(depot->db, put_notes, &put, error))
		return FALSE;
	*stored = put.stored;
	*kept = put.kept;
	return TRUE;
}

static gboolean take_notes(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotNotes *notes = g_new0(DepotNotes, 1);

	g_ptr_array_add(user, notes);
	notes->station = g_strdup(db_get_text(&row[0]));
	notes->record = g_strdup(db_get_text(&row[1]));
	return TRUE;
}

GPtrArray *depot_notes(Depot *depot, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)depot_notes_free);

	if (!DB_RUN(depot->db, "SELECT station, record FROM note WHERE eid = $1 ORDER BY at DESC, station LIMIT $2", take_notes,
		    found, NULL, error, DB_B(eid, 16), DB_I(STATIONS_MAX)))
		return NULL;
	return g_steal_pointer(&found);
}

GPtrArray *depot_refusals(Depot *depot, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) found = new_refusals();

	if (!DB_RUN(depot->db, REFUSAL "JOIN package p ON p.key_id = r.key_id WHERE r.eid = $1 AND " ROWS_REFUSED " ORDER BY r.key_id",
		    take_refusal, found, NULL, error, DB_B(eid, 16)))
		return NULL;
	return g_steal_pointer(&found);
}
