// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of packages: results that chips have signed, and doubts. */
#include "depot.h"

#include <string.h>

#include <json.h>

#include "depot-error.h"
#include "rows.h"

#define DEPTH_MAX 8
#define DOUBTS_MAX 4	/* of one station about one package */

typedef struct {
	const char *station;
	const DepotResult *result;
	guint8 sha256[32];	/* of the record */
	guint8 id[32];		/* of what the chip has signed */
	GPtrArray *items;
	gboolean stored;
	DepotState now;
	gint64 at;
} Put;

typedef struct {
	gboolean there, proven;
	guint8 id[32];
	char *record, *station;
	gint64 at;
} Stored;

static void stored_clear(Stored *stored)
{
	g_free(stored->record);
	g_free(stored->station);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Stored, stored_clear)

/* What the chip has signed, or all of it where there is nothing: the rest is the station's to write. */
static void identify(const char *record, guint8 out[32])
{
	g_autoptr(JsonObject) object =
		ifpp_json_parse((IfppSpan){ (const guint8 *)record, strlen(record) }, DEPTH_MAX, NULL);
	g_autoptr(GBytes) pir = object ? ifpp_json_get_base64(object, "pir", DEPOT_RECORD_MAX) : NULL;

	if (pir)
		rows_sha256(g_bytes_get_data(pir, NULL), g_bytes_get_size(pir), out);
	else
		rows_sha256(record, strlen(record), out);
}

static gboolean take_stored(const DbValue *row, guint n, gpointer user, GError **error)
{
	Stored *stored = user;

	stored->there = TRUE;
	stored->proven = row[1].num != 0;
	stored->record = g_strdup(db_get_text(&row[0]));
	stored->station = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	stored->at = row[3].num;
	identify(stored->record, stored->id);
	return TRUE;
}

static gboolean conflict(GError **error, const char *what)
{
	g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, what);
	return FALSE;
}

/* It is kept, and nothing else happens: only who was sent the package can have a doubt about it. */
static gboolean put_doubt(Db *db, Put *put, const DepotItem *item, const Stored *stored, GError **error)
{
	const DepotResult *r = put->result;
	g_autofree char *detail = g_strdup_printf("in doubt, nothing is changed by it: %s", r->proof);
	gint64 times, others = 0, changed = 0;

	if (!rows_was_sent(db, put->station, item, &times, error))
		return FALSE;
	if (!times)
		return rows_unknown(r->key_id, error);
	if (stored->there && stored->proven)
		return conflict(error, "another result of this package is on record, and proven");
	if (!DB_RUN(db, "UPDATE doubt SET why = $3 WHERE key_id = $1 AND sha256 = $2", NULL, NULL, &changed, error,
		    DB_B(r->key_id, 32), DB_B(put->id, 32), db_text(r->proof)))
		return FALSE;
	if (changed)
		return TRUE;
	if (!DB_RUN(db, "SELECT COUNT(*) FROM doubt WHERE key_id = $1 AND station = $2", rows_take_int, &others, NULL, error,
		    DB_B(r->key_id, 32), db_text(put->station)))
		return FALSE;
	if (others >= DOUBTS_MAX)
		return conflict(error, "this station has said too many different things of this package");
	put->stored = TRUE;
	return DB_RUN(db,
		      "INSERT INTO doubt (key_id, sha256, eid, station, record, signed, why, at) "
		      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", NULL, NULL, NULL, error, DB_B(r->key_id, 32),
		      DB_B(put->id, 32), DB_B(r->eid, 16), db_text(put->station), db_text(r->record),
		      DB_I(r->state != DEPOT_BURNT), db_text(r->proof), DB_I(put->at)) &&
	       rows_note_unit(db, r->eid, &r->unit, put->station, FALSE, put->at, error) &&
	       rows_note(db, r->key_id, item->state, put->station, detail, put->at, error);
}

/* A record that does not decide, or does not any more, is kept beside. *changed: it was not there. */
static gboolean keep_attempt(Db *db, const Put *put, gint64 *changed, GError **error)
{
	const DepotResult *r = put->result;

	return DB_RUN(db,
		      "INSERT INTO attempt (key_id, sha256, record, station, at) VALUES ($1, $2, $3, $4, $5) "
		      "ON CONFLICT (key_id, sha256) DO NOTHING", NULL, NULL, changed, error, DB_B(r->key_id, 32),
		      DB_B(put->id, 32), db_text(r->record), db_text(put->station), DB_I(put->at));
}

/* Under the name that the same record has when it is brought again. */
static gboolean keep_stored(Db *db, const DepotResult *r, const Stored *stored, GError **error)
{
	return DB_RUN(db,
		      "INSERT INTO attempt (key_id, sha256, record, station, at) VALUES ($1, $2, $3, $4, $5) "
		      "ON CONFLICT (key_id, sha256) DO NOTHING", NULL, NULL, NULL, error, DB_B(r->key_id, 32),
		      DB_B(stored->id, 32), db_text(stored->record), db_text(stored->station), DB_I(stored->at));
}

/* What was a doubt until now is none: the chip has signed it. One of before the upgrade is named by its whole record. */
static gboolean drop_doubt(Db *db, const Put *put, GError **error)
{
	return DB_RUN(db, "DELETE FROM doubt WHERE key_id = $1 AND sha256 IN ($2, $3)", NULL, NULL, NULL, error,
		      DB_B(put->result->key_id, 32), DB_B(put->id, 32), DB_B(put->sha256, 32));
}

/* The chip has refused the package and kept the key: nothing has ended. */
static gboolean put_early(Db *db, Put *put, const DepotItem *item, GError **error)
{
	const DepotResult *r = put->result;
	gint64 changed;

	if (!drop_doubt(db, put, error) || !keep_attempt(db, put, &changed, error))
		return FALSE;
	put->stored = changed != 0;
	return !changed ||
	       (rows_note_unit(db, r->eid, &r->unit, put->station, TRUE, put->at, error) &&
		rows_note(db, r->key_id, item->state, put->station,
			  "the chip refused it before it spent the key: it can be loaded again", put->at, error));
}

/* The chip has signed it: it ends the package, whoever brings it, and whatever was said of it before. */
static gboolean put_proven(Db *db, Put *put, const DepotItem *item, const Stored *stored, GError **error)
{
	const DepotResult *r = put->result;
	char *const *unit = r->unit.field;
	gint64 changed;

	if (!drop_doubt(db, put, error))
		return FALSE;
	/* An attempt that failed, when one has succeeded or another failure is on record. */
	if (stored->there && stored->proven && (r->state != DEPOT_INSTALLED || item->state == DEPOT_INSTALLED)) {
		if (r->state == DEPOT_INSTALLED)
			return conflict(error, "another result of this package is on record");
		if (!keep_attempt(db, put, &changed, error))
			return FALSE;
		put->stored = changed != 0;
		return !changed || rows_note(db, r->key_id, item->state, put->station, "another attempt: failed", put->at, error);
	}
	if (stored->there && !keep_stored(db, r, stored, error))
		return FALSE;
	put->stored = TRUE;
	put->now = r->state;
	/* As a doubt that was settled it may be there already: it is told once. */
	return DB_RUN(db, "DELETE FROM attempt WHERE key_id = $1 AND sha256 = $2", NULL, NULL, NULL, error, DB_B(r->key_id, 32),
		      DB_B(put->id, 32)) &&
	       DB_RUN(db,
		      "INSERT INTO result (key_id, eid, sha256, record, proven, proof, station, at, imei, model, firmware, "
		      "serial, usb_path, board_serial, work_order) VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, "
		      "$12, $13, $14) ON CONFLICT (key_id) DO UPDATE SET sha256 = $3, record = $4, proven = 1, proof = $5, "
		      "station = $6, at = $7, imei = $8, model = $9, firmware = $10, serial = $11, usb_path = $12, "
		      "board_serial = $13, work_order = $14",
		      NULL, NULL, NULL, error, DB_B(r->key_id, 32), DB_B(r->eid, 16), DB_B(put->sha256, 32),
		      db_text(r->record), db_text(r->proof), db_text(put->station), DB_I(put->at),
		      db_text(unit[IFPP_UNIT_IMEI]), db_text(unit[IFPP_UNIT_MODEL]), db_text(unit[IFPP_UNIT_FIRMWARE]),
		      db_text(unit[IFPP_UNIT_SERIAL]), db_text(unit[IFPP_UNIT_USB_PATH]),
		      db_text(unit[IFPP_UNIT_BOARD_SERIAL]), db_text(unit[IFPP_UNIT_WORK_ORDER])) &&
	       rows_note_unit(db, r->eid, &r->unit, put->station, TRUE, put->at, error) &&
	       rows_note(db, r->key_id, r->state, put->station, r->proof, put->at, error) &&
	       rows_set_state(db, r->key_id, r->state, item->station ? item->station : put->station, 0, put->at, error) &&
	       rows_put_aside(db, r->key_id, error);
}

static gboolean put_result(Db *db, gpointer user, GError **error)
{
	Put *put = user;
	const DepotResult *r = put->result;
	const DepotItem *item;
	g_auto(Stored) stored = {};

	put->stored = FALSE;
	if (!db->ops->now(db, &put->at, error) || !rows_of_key(db, r->key_id, put->items, error))
		return FALSE;
	item = put->items->len ? put->items->pdata[0] : NULL;
	if (!item || memcmp(item->eid, r->eid, 16))
		return rows_unknown(r->key_id, error);
	put->now = item->state;
	if (!DB_RUN(db, "SELECT record, proven, station, at FROM result WHERE key_id = $1", take_stored, &stored, NULL, error,
		    DB_B(r->key_id, 32)))
		return FALSE;
	if (stored.there && stored.proven && !memcmp(stored.id, put->id, 32))
		return TRUE;
	if (!r->proven)
		return put_doubt(db, put, item, &stored, error);
	return r->early ? put_early(db, put, item, error) : put_proven(db, put, item, &stored, error);
}

gboolean depot_put_result(Depot *depot, const char *station, const DepotResult *result, gboolean *stored,
			  DepotState *now, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	Put put = { .station = station, .result = result, .items = items };

	rows_sha256(result->record, strlen(result->record), put.sha256);
	identify(result->record, put.id);
	if (!db_transaction(depot->db, put_result, &put, error))
		return FALSE;
	*stored = put.stored;
	*now = put.now;
	return TRUE;
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

static void attempt_free(gpointer data)
{
	DepotAttempt *attempt = data;

	g_free(attempt->record);
	g_free(attempt->station);
	g_free(attempt);
}

static gboolean take_attempt(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotAttempt *attempt = g_new0(DepotAttempt, 1);

	g_ptr_array_add(user, attempt);
	attempt->record = g_strdup(db_get_text(&row[1]));
	attempt->station = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	attempt->installed = row[3].num == DEPOT_INSTALLED;
	return db_get_blob(&row[0], attempt->key_id, 32) || rows_damaged("attempt", error);
}

GPtrArray *depot_attempts(Depot *depot, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(attempt_free);

	/* By way of the packages, since it is they that have an index by EID. */
	if (!DB_RUN(depot->db,
		    "SELECT a.key_id, a.record, a.station, p.state FROM package p JOIN attempt a ON a.key_id = p.key_id WHERE p.eid = $1 "
		    "ORDER BY a.key_id, a.at", take_attempt, found, NULL, error, DB_B(eid, 16)))
		return NULL;
	return g_steal_pointer(&found);
}
