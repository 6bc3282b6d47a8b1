// SPDX-License-Identifier: GPL-2.0-or-later
#include "depot.h"

#include <string.h>

#include <eid.h>
#include <tlv.h>

#include "depot-error.h"

#define VERSION 1

const char *const depot_state_names[DEPOT_N_STATES] = { "free", "reserved", "sent", "installed", "failed", "burnt" };

/*
 * Types that both engines know by the same name. Numbers are BIGINT, times Unix ms, bytes BYTEA.
 * No sequences: every key is there before its row is.
 */
static const char *const schema[] = {
	"CREATE TABLE IF NOT EXISTS depot (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS delivery (id BYTEA PRIMARY KEY, batch TEXT NOT NULL, packages BIGINT NOT NULL, "
	"done BIGINT NOT NULL, at BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS package (key_id BYTEA PRIMARY KEY, eid BYTEA NOT NULL, sha256 BYTEA NOT NULL, "
	"bytes BIGINT NOT NULL, iccid TEXT NOT NULL, profile TEXT NOT NULL, operator TEXT NOT NULL, "
	"batch TEXT NOT NULL, delivery BYTEA NOT NULL, state BIGINT NOT NULL, station TEXT, lease BIGINT NOT NULL, "
	"changed BIGINT NOT NULL, added BIGINT NOT NULL)",
	"CREATE INDEX IF NOT EXISTS package_eid ON package (eid, key_id)",
	"CREATE INDEX IF NOT EXISTS package_iccid ON package (iccid)",
	"CREATE INDEX IF NOT EXISTS package_operator ON package (operator, eid, key_id)",
	"CREATE INDEX IF NOT EXISTS package_batch ON package (batch, eid, key_id)",
	"CREATE INDEX IF NOT EXISTS package_delivery ON package (delivery)",
	/* The bytes apart, so that a change of state does not write them again. */
	"CREATE TABLE IF NOT EXISTS content (key_id BYTEA PRIMARY KEY, package BYTEA NOT NULL)",
	"CREATE TABLE IF NOT EXISTS history (key_id BYTEA NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, "
	"state BIGINT NOT NULL, station TEXT, detail TEXT NOT NULL, PRIMARY KEY (key_id, seq))",
	"CREATE TABLE IF NOT EXISTS result (key_id BYTEA PRIMARY KEY, eid BYTEA NOT NULL, sha256 BYTEA NOT NULL, "
	"record TEXT NOT NULL, proven BIGINT NOT NULL, proof TEXT NOT NULL, station TEXT, at BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS chip (eid BYTEA PRIMARY KEY, euicc_data BYTEA, euicc_proven BIGINT NOT NULL, "
	"lock_record TEXT, lock_proven BIGINT NOT NULL, proof TEXT NOT NULL, station TEXT, at BIGINT NOT NULL)",
};

#define COLUMNS "key_id, eid, sha256, bytes, iccid, profile, operator, batch, state, station, lease, changed"

/* ------------------------------------------------------------ rows */

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

static void item_free(gpointer item)
{
	depot_item_free(item);
}

static gboolean damaged(const char *table, GError **error)
{
	g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "table %s holds a row that no depot wrote", table);
	return FALSE;
}

static gboolean take_item(const DbValue *row, guint n, gpointer user, GError **error)
{
	g_autoptr(DepotItem) item = g_new0(DepotItem, 1);

	if (n != 12 || !db_get_blob(&row[0], item->key_id, 32) || !db_get_blob(&row[1], item->eid, 16) ||
	    !db_get_blob(&row[2], item->sha256, 32) || row[8].num < 0 || row[8].num >= DEPOT_N_STATES)
		return damaged("package", error);
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

static gboolean take_int(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

static gboolean take_bytes(const DbValue *row, guint n, gpointer user, GError **error)
{
	if (row[0].type != DB_BLOB)
		return damaged("content", error);
	*(GBytes **)user = g_bytes_new(row[0].data, row[0].len);
	return TRUE;
}

static gboolean note(Db *db, const guint8 key_id[32], DepotState state, const char *station, const char *detail,
		     gint64 at, GError **error)
{
	return DB_RUN(db,
		      "INSERT INTO history (key_id, seq, at, state, station, detail) SELECT $1, COALESCE(MAX(seq), 0) + 1, "
		      "CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT) FROM history WHERE key_id = $1",
		      NULL, NULL, NULL, error, DB_B(key_id, 32), DB_I(at), DB_I(state), db_text(station),
		      db_text(detail));
}

/* ------------------------------------------------------------ opening */

static gboolean make_tables(Db *db, gpointer user, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(schema); i++)
		if (!db_run(db, schema[i], NULL, 0, NULL, NULL, NULL, error))
			return FALSE;
	return DB_RUN(db, "INSERT INTO depot (name, value) VALUES ('version', $1) ON CONFLICT (name) DO NOTHING", NULL,
		      NULL, NULL, error, DB_I(VERSION));
}

Depot *depot_open(const char *url, gboolean create, GError **error)
{
	g_autoptr(Depot) depot = g_new0(Depot, 1);
	g_autoptr(GError) local = NULL;
	gint64 version = 0;

	depot->db = db_open(url, create, error);
	if (!depot->db)
		return NULL;
	if (!db_run(depot->db, "SELECT value FROM depot WHERE name = 'version'", NULL, 0, take_int, &version, NULL,
		    &local)) {
		if (!create) {
			g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "there is no depot yet; ifpp-depot init makes one (%s)",
				    local->message);
			return NULL;
		}
		if (!db_transaction(depot->db, make_tables, NULL, error))
			return NULL;
		version = VERSION;
	}
	if (version != VERSION) {
		g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "the depot is of version %" G_GINT64_FORMAT
			    ", this program knows %d", version, VERSION);
		return NULL;
	}
	return g_steal_pointer(&depot);
}

void depot_close(Depot *depot)
{
	if (!depot)
		return;
	db_close(depot->db);
	g_free(depot);
}

void depot_wait(Depot *depot, guint seconds, void (*waiting)(const char *why))
{
	depot->db->patience = (gint64)seconds * G_USEC_PER_SEC;
	depot->db->waiting = waiting;
}

gboolean depot_station_valid(const char *name)
{
	gsize len = strlen(name);

	return len && len <= DEPOT_STATION_MAX &&
	       strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == len;
}

gboolean depot_state_parse(const char *name, DepotState *state)
{
	for (guint i = 0; i < DEPOT_N_STATES; i++) {
		if (g_str_equal(name, depot_state_names[i])) {
			*state = i;
			return TRUE;
		}
	}
	return FALSE;
}

char *depot_time(gint64 ms)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(ms / 1000);

	return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("-");
}

/* ------------------------------------------------------------ deliveries */

typedef struct {
	const guint8 *delivery;
	const char *order;
	guint packages;
	gint64 done;
	DepotItem *const *items;
	GBytes *const *bytes;
	guint n, added;
} Add;

static gboolean same_package(Db *db, const DepotItem *item, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(item_free);
	g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id));

	if (!DB_RUN(db, "SELECT " COLUMNS " FROM package WHERE key_id = $1", take_item, found, NULL, error,
		    DB_B(item->key_id, 32)))
		return FALSE;
	if (found->len && !memcmp(((DepotItem *)found->pdata[0])->sha256, item->sha256, 32))
		return TRUE;
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT,
		    "another package for the key %s is here already; a key takes one, ask the Key Maker", key);
	return FALSE;
}

static gboolean add(Db *db, gpointer user, GError **error)
{
	Add *a = user;
	gint64 at, changed;

	a->added = 0;
	if (!db->ops->now(db, &at, error))
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
			if (!same_package(db, item, error))
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
	       DB_RUN(db, "SELECT done FROM delivery WHERE id = $1", take_int, &a->done, NULL, error,
		      DB_B(a->delivery, 32));
}

static gboolean end_delivery(Db *db, gpointer user, GError **error)
{
	return DB_RUN(db, "UPDATE delivery SET done = 1 WHERE id = $1", NULL, NULL, NULL, error,
		      DB_B(((Add *)user)->delivery, 32));
}

gboolean depot_delivery(Depot *depot, const guint8 id[32], const char *order, guint packages, gboolean *done,
			GError **error)
{
	Add a = { .delivery = id, .order = order ? order : "", .packages = packages };

	if (*done)
		return db_transaction(depot->db, end_delivery, &a, error);
	if (!db_transaction(depot->db, note_delivery, &a, error))
		return FALSE;
	*done = a.done != 0;
	return TRUE;
}

/* ------------------------------------------------------------ claims */

typedef struct {
	const guint8 *eid, *key_id;
	const char *station, *why;
	gint64 lease, until, now;
	GPtrArray *items;
	guint count;
} Claim;

static gboolean chip_items(Db *db, const guint8 eid[16], GPtrArray *items, GError **error)
{
	g_ptr_array_set_size(items, 0);
	return DB_RUN(db, "SELECT " COLUMNS " FROM package WHERE eid = $1 ORDER BY key_id", take_item, items, NULL, error,
		      DB_B(eid, 16));
}

static gboolean set_state(Db *db, const guint8 key_id[32], DepotState state, const char *station, gint64 lease,
			  gint64 at, GError **error)
{
	return DB_RUN(db, "UPDATE package SET state = $2, station = $3, lease = $4, changed = $5 WHERE key_id = $1", NULL,
		      NULL, NULL, error, DB_B(key_id, 32), DB_I(state), db_text(station), DB_I(lease), DB_I(at));
}

static gboolean is_held(const DepotItem *item)
{
	return item->state == DEPOT_RESERVED || item->state == DEPOT_SENT;
}

static gboolean claim(Db *db, gpointer user, GError **error)
{
	Claim *c = user;

	if (!db->ops->now(db, &c->now, error) || !chip_items(db, c->eid, c->items, error))
		return FALSE;
	c->until = c->now + c->lease;
	for (guint i = 0; i < c->items->len; i++) {
		const DepotItem *item = c->items->pdata[i];

		if (is_held(item) && g_strcmp0(item->station, c->station) && item->lease > c->now) {
			g_ptr_array_set_size(c->items, 0);
			return TRUE;
		}
	}
	for (guint i = 0; i < c->items->len;) {
		DepotItem *item = c->items->pdata[i];
		gboolean mine = is_held(item) && !g_strcmp0(item->station, c->station);

		if (item->state > DEPOT_SENT) {
			g_ptr_array_remove_index(c->items, i);
			continue;
		}
		if (!mine && !note(db, item->key_id, DEPOT_RESERVED, c->station,
				   item->state == DEPOT_FREE ? "" : "the lease before had ended", c->now, error))
			return FALSE;
		if (!mine)
			item->state = DEPOT_RESERVED;
		if (!set_state(db, item->key_id, item->state, c->station, c->until, c->now, error))
			return FALSE;
		i++;
	}
	return TRUE;
}

GPtrArray *depot_claim(Depot *depot, const guint8 eid[16], const char *station, guint lease, gint64 *until,
		       GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
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
	if (!db->ops->now(db, &c->now, error) || !chip_items(db, c->eid, c->items, error))
		return FALSE;
	for (guint i = 0; i < c->items->len; i++) {
		const DepotItem *item = c->items->pdata[i];

		if (!is_held(item) || (c->station && g_strcmp0(item->station, c->station)))
			continue;
		if (!note(db, item->key_id, DEPOT_FREE, item->station, c->station ? "released" : "released by the depot",
			  c->now, error) ||
		    !set_state(db, item->key_id, DEPOT_FREE, NULL, 0, c->now, error))
			return FALSE;
		c->count++;
	}
	return TRUE;
}

gboolean depot_release(Depot *depot, const guint8 eid[16], const char *station, guint *released, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	Claim c = { .eid = eid, .station = station, .items = items };

	if (!db_transaction(depot->db, release, &c, error))
		return FALSE;
	*released = c.count;
	return TRUE;
}

static gboolean find_key(Db *db, const guint8 key_id[32], GPtrArray *items, GError **error)
{
	g_ptr_array_set_size(items, 0);
	return DB_RUN(db, "SELECT " COLUMNS " FROM package WHERE key_id = $1", take_item, items, NULL, error,
		      DB_B(key_id, 32));
}

static gboolean unknown(const guint8 key_id[32], GError **error)
{
	g_autofree char *key = ifpp_hex((IfppSpan){ key_id, 32 });

	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no package for the key %.16s that this station has claimed",
		    key);
	return FALSE;
}

static gboolean mark_sent(Db *db, gpointer user, GError **error)
{
	Claim *c = user;
	const DepotItem *item;

	if (!db->ops->now(db, &c->now, error) || !find_key(db, c->key_id, c->items, error))
		return FALSE;
	item = c->items->len ? c->items->pdata[0] : NULL;
	if (!item || !is_held(item) || g_strcmp0(item->station, c->station) || item->lease <= c->now)
		return unknown(c->key_id, error);
	return item->state == DEPOT_SENT ||
	       (note(db, c->key_id, DEPOT_SENT, c->station, "", c->now, error) &&
		set_state(db, c->key_id, DEPOT_SENT, c->station, item->lease, c->now, error));
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
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	Claim c = { .key_id = key_id, .station = station, .items = items };
	const DepotItem *item;
	gint64 at;

	/* A range of what is sent already needs no write. */
	if (!find_key(depot->db, key_id, items, error) || !depot->db->ops->now(depot->db, &at, error))
		return NULL;
	item = items->len ? items->pdata[0] : NULL;
	if (!item || item->state != DEPOT_SENT || g_strcmp0(item->station, station) || item->lease <= at) {
		if (!db_transaction(depot->db, mark_sent, &c, error))
			return NULL;
		item = items->pdata[0];
	}
	memcpy(sha256, item->sha256, 32);
	return depot_package(depot, key_id, error);
}

/* ------------------------------------------------------------ results */

typedef struct {
	const char *station;
	const DepotResult *result;
	const DepotChip *chip;
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
	return db_get_blob(&row[0], stored->sha256, 32) || damaged("result", error);
}

/* Has this station ever had the package? */
static gboolean had_it(Db *db, const Put *put, const DepotItem *item, gint64 *times, GError **error)
{
	*times = !g_strcmp0(item->station, put->station);
	return *times || DB_RUN(db, "SELECT COUNT(*) FROM history WHERE key_id = $1 AND station = $2", take_int, times,
				NULL, error, DB_B(item->key_id, 32), db_text(put->station));
}

static gboolean put_result(Db *db, gpointer user, GError **error)
{
	Put *put = user;
	const DepotResult *r = put->result;
	Stored stored = {};
	DepotItem *item;
	gint64 at, times;

	put->stored = FALSE;
	if (!db->ops->now(db, &at, error) || !find_key(db, r->key_id, put->items, error))
		return FALSE;
	item = put->items->len ? put->items->pdata[0] : NULL;
	if (!item || memcmp(item->eid, r->eid, 16))
		return unknown(r->key_id, error);
	/* Who may say that a key is lost: only who had it. What a chip has signed anybody may bring. */
	if (!r->proven && !had_it(db, put, item, &times, error))
		return FALSE;
	if (!r->proven && !times)
		return unknown(r->key_id, error);
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
	    !note(db, r->key_id, r->state, put->station, r->proof, at, error) ||
	    !set_state(db, r->key_id, r->state, item->station ? item->station : put->station, 0, at, error))
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
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
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
	return db_get_blob(&row[0], unproven->key_id, 32) || damaged("result", error);
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

void depot_chip_free(DepotChip *chip)
{
	if (!chip)
		return;
	g_clear_pointer(&chip->euicc_data, g_bytes_unref);
	g_free(chip->lock);
	g_free(chip->proof);
	g_free(chip);
}

static gboolean take_chip(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotChip *chip = g_new0(DepotChip, 1);

	if (row[0].type == DB_BLOB)
		chip->euicc_data = g_bytes_new(row[0].data, row[0].len);
	chip->euicc_proven = row[1].num != 0;
	chip->lock = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	chip->lock_proven = row[3].num != 0;
	chip->proof = g_strdup(db_get_text(&row[4]));
	*(DepotChip **)user = chip;
	return TRUE;
}

static gboolean get_chip(Db *db, const guint8 eid[16], DepotChip **chip, GError **error)
{
	if (!DB_RUN(db, "SELECT euicc_data, euicc_proven, lock_record, lock_proven, proof FROM chip WHERE eid = $1",
		    take_chip, chip, NULL, error, DB_B(eid, 16)))
		return FALSE;
	if (*chip)
		memcpy((*chip)->eid, eid, 16);
	return TRUE;
}

DepotChip *depot_chip(Depot *depot, const guint8 eid[16], GError **error)
{
	DepotChip *chip = NULL;

	get_chip(depot->db, eid, &chip, error);
	return chip;
}

/* Of two, that which is proven; of two alike, the one on record for data, the later one for a lock. */
static gboolean put_chip(Db *db, gpointer user, GError **error)
{
	Put *put = user;
	const DepotChip *new = put->chip;
	g_autoptr(DepotChip) have = NULL;
	gboolean take_data, take_lock;
	gint64 at, times = 0;
	gsize len = 0;
	const void *data;
	const DepotChip *from;

	put->stored = FALSE;
	if (!db->ops->now(db, &at, error) || !chip_items(db, new->eid, put->items, error))
		return FALSE;
	for (guint i = 0; i < put->items->len && !times; i++)
		if (!had_it(db, put, put->items->pdata[i], &times, error))
			return FALSE;
	if (!put->items->len || (!times && !new->euicc_proven)) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no chip that this station has claimed");
		return FALSE;
	}
	if (!get_chip(db, new->eid, &have, error))
		return FALSE;
	take_data = new->euicc_data &&
		    (!have || !have->euicc_data || (!have->euicc_proven && new->euicc_proven) ||
		     (have->euicc_proven == new->euicc_proven && !have->euicc_proven &&
		      !g_bytes_equal(have->euicc_data, new->euicc_data)));
	take_lock = new->lock && (!have || !have->lock || (new->lock_proven >= have->lock_proven &&
							   g_strcmp0(new->lock, have->lock)));
	if (have && !take_data && !take_lock)
		return TRUE;
	from = take_data || !have ? new : have;
	data = from->euicc_data ? g_bytes_get_data(from->euicc_data, &len) : NULL;
	put->stored = TRUE;
	return DB_RUN(db,
		      "INSERT INTO chip (eid, euicc_data, euicc_proven, lock_record, lock_proven, proof, station, at) "
		      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (eid) DO UPDATE SET euicc_data = $2, "
		      "euicc_proven = $3, lock_record = $4, lock_proven = $5, proof = $6, station = $7, at = $8",
		      NULL, NULL, NULL, error, DB_B(new->eid, 16), data ? DB_B(data, len) : (DbValue){ .type = DB_NULL },
		      DB_I(from->euicc_proven), db_text(take_lock || !have ? new->lock : have->lock),
		      DB_I(take_lock || !have ? new->lock_proven : have->lock_proven), db_text(new->proof),
		      db_text(put->station), DB_I(at));
}

gboolean depot_put_chip(Depot *depot, const char *station, const DepotChip *chip, gboolean *stored, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	Put put = { .station = station, .chip = chip, .items = items };

	if (!db_transaction(depot->db, put_chip, &put, error))
		return FALSE;
	*stored = put.stored;
	return TRUE;
}

static gboolean burn(Db *db, gpointer user, GError **error)
{
	Claim *c = user;

	c->count = 0;
	if (!db->ops->now(db, &c->now, error) || !chip_items(db, c->eid, c->items, error))
		return FALSE;
	for (guint i = 0; i < c->items->len; i++) {
		const DepotItem *item = c->items->pdata[i];

		if (item->state > DEPOT_SENT)
			continue;
		if (!note(db, item->key_id, DEPOT_BURNT, c->station, c->why, c->now, error) ||
		    !set_state(db, item->key_id, DEPOT_BURNT, item->station, 0, c->now, error))
			return FALSE;
		c->count++;
	}
	return TRUE;
}

gboolean depot_burn(Depot *depot, const guint8 eid[16], const char *who, const char *why, guint *burnt, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	Claim c = { .eid = eid, .station = who, .why = why, .items = items };

	if (!db_transaction(depot->db, burn, &c, error))
		return FALSE;
	*burnt = c.count;
	return TRUE;
}

/* ------------------------------------------------------------ looking */

GPtrArray *depot_list(Depot *depot, const DepotFilter *filter, const DepotItem *after, guint limit, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	static const guint8 zero[32];
	DbValue eid = after ? DB_B(after->eid, 16) : DB_B(zero, 0), key = after ? DB_B(after->key_id, 32) : DB_B(zero, 0);
	DbValue state = DB_I(filter->state);
	gboolean ok;

	/* One statement for each index, so that each engine takes it. */
#define PAGE "AND ($2 < 0 OR state = $2) AND (eid > $3 OR (eid = $3 AND key_id > $4)) ORDER BY eid, key_id LIMIT $5"
#define LIST(column, value) \
	DB_RUN(depot->db, "SELECT " COLUMNS " FROM package WHERE " column " = $1 " PAGE, take_item, items, NULL, error, \
	       value, state, eid, key, DB_I(limit))
	if (filter->key_id)
		ok = LIST("key_id", DB_B(filter->key_id, 32));
	else if (filter->eid)
		ok = LIST("eid", DB_B(filter->eid, 16));
	else if (filter->iccid)
		ok = LIST("iccid", db_text(filter->iccid));
	else if (filter->batch)
		ok = LIST("batch", db_text(filter->batch));
	else if (filter->operator)
		ok = LIST("operator", db_text(filter->operator));
	else
		ok = LIST("1", DB_I(1));
#undef LIST
#undef PAGE
	return ok ? g_steal_pointer(&items) : NULL;
}

static void event_free(gpointer data)
{
	DepotEvent *event = data;

	g_free(event->station);
	g_free(event->detail);
	g_free(event);
}

static gboolean take_event(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotEvent *event;

	if (row[1].num < 0 || row[1].num >= DEPOT_N_STATES)
		return damaged("history", error);
	event = g_new0(DepotEvent, 1);
	event->at = row[0].num;
	event->state = row[1].num;
	event->station = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	event->detail = g_strdup(db_get_text(&row[3]));
	g_ptr_array_add(user, event);
	return TRUE;
}

GPtrArray *depot_history(Depot *depot, const guint8 key_id[32], GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(event_free);

	/* How it came here is in its own row. */
	if (!DB_RUN(depot->db, "SELECT added, 0, NULL, 'imported' FROM package WHERE key_id = $1", take_event, events,
		    NULL, error, DB_B(key_id, 32)) ||
	    !DB_RUN(depot->db, "SELECT at, state, station, detail FROM history WHERE key_id = $1 ORDER BY seq", take_event,
		    events, NULL, error, DB_B(key_id, 32)))
		return NULL;
	return g_steal_pointer(&events);
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

static gboolean take_state(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotTotals *totals = user;

	if (row[0].num < 0 || row[0].num >= DEPOT_N_STATES)
		return damaged("package", error);
	totals->packages[row[0].num] = row[1].num;
	totals->bytes += row[2].num;
	return TRUE;
}

static gboolean take_pair(const DbValue *row, guint n, gpointer user, GError **error)
{
	gint64 **pair = user;

	*pair[0] = row[0].num;
	*pair[1] = row[1].num;
	return TRUE;
}

gboolean depot_totals(Depot *depot, DepotTotals *totals, GError **error)
{
	gint64 *deliveries[] = { &totals->deliveries, &totals->delivered };
	gint64 *results[] = { &totals->results, &totals->proven }, *chips[] = { &totals->chips, &totals->locked };

	memset(totals, 0, sizeof(*totals));
	return db_run(depot->db, "SELECT state, COUNT(*), CAST(SUM(bytes) AS BIGINT) FROM package GROUP BY state", NULL,
		      0, take_state, totals, NULL, error) &&
	       db_run(depot->db, "SELECT COUNT(*), CAST(COALESCE(SUM(packages), 0) AS BIGINT) FROM delivery", NULL, 0,
		      take_pair, deliveries, NULL, error) &&
	       db_run(depot->db, "SELECT COUNT(*), CAST(COALESCE(SUM(proven), 0) AS BIGINT) FROM result", NULL, 0,
		      take_pair, results, NULL, error) &&
	       db_run(depot->db, "SELECT COUNT(*), COUNT(lock_record) FROM chip", NULL, 0, take_pair, chips, NULL, error);
}

typedef struct {
	void (*tell)(const char *line, gpointer user);
	gpointer user;
	const char *what;
} Reconcile;

static gboolean tell_key(const DbValue *row, guint n, gpointer user, GError **error)
{
	const Reconcile *r = user;
	g_autofree char *key = ifpp_hex((IfppSpan){ row[0].data, row[0].len });
	g_autofree char *line = g_strdup_printf("%s %s", key, r->what);

	r->tell(line, r->user);
	return TRUE;
}

static gboolean tell_unproven(const DbValue *row, guint n, gpointer user, GError **error)
{
	Reconcile r = *(const Reconcile *)user;
	g_autofree char *what = g_strdup_printf("has a result that is not proven: %s", db_get_text(&row[1]));

	r.what = what;
	return tell_key(row, n, &r, error);
}

static gboolean tell_delivery(const DbValue *row, guint n, gpointer user, GError **error)
{
	const Reconcile *r = user;
	g_autofree char *id = ifpp_hex((IfppSpan){ row[0].data, row[0].len });
	g_autofree char *line = g_strdup_printf("delivery %.16s%s%s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
						" packages are here; import it again to finish it", id,
						*db_get_text(&row[1]) ? " of order " : "", db_get_text(&row[1]),
						row[3].num, row[2].num);

	r->tell(line, r->user);
	return TRUE;
}

gboolean depot_reconcile(Depot *depot, void (*tell)(const char *line, gpointer user), gpointer user, GError **error)
{
	Reconcile r = { tell, user, NULL };

	if (!db_run(depot->db,
		    "SELECT d.id, d.batch, d.packages, COUNT(p.key_id) FROM delivery d LEFT JOIN package p ON p.delivery = "
		    "d.id GROUP BY d.id, d.batch, d.packages, d.done HAVING d.done = 0",
		    NULL, 0, tell_delivery, &r, NULL, error))
		return FALSE;
	r.what = "has no bytes";
	if (!db_run(depot->db, "SELECT key_id FROM package p WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.key_id = p.key_id)", NULL, 0,
		    tell_key, &r, NULL, error))
		return FALSE;
	r.what = "is installed or failed without a result";
	if (!db_run(depot->db,
		    "SELECT key_id FROM package p WHERE state IN (3, 4) AND NOT EXISTS (SELECT 1 FROM result r WHERE "
		    "r.key_id = p.key_id)", NULL, 0,
		    tell_key, &r, NULL, error))
		return FALSE;
	r.what = "has a result and is not ended";
	if (!db_run(depot->db, "SELECT r.key_id FROM result r LEFT JOIN package p ON p.key_id = r.key_id WHERE "
		    "p.state IS NULL OR p.state < 3", NULL, 0, tell_key, &r, NULL, error))
		return FALSE;
	return db_run(depot->db, "SELECT r.key_id, r.proof FROM result r JOIN package p ON p.key_id = r.key_id WHERE "
		      "r.proven = 0 AND p.state IN (3, 4)", NULL, 0, tell_unproven, &r, NULL, error);
}
