// SPDX-License-Identifier: GPL-2.0-or-later
/* The tables of a depot, and opening it. */
#include "depot.h"

#include <string.h>

#include "rows.h"

#define VERSION 7

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
	"record TEXT NOT NULL, proven BIGINT NOT NULL, proof TEXT NOT NULL, station TEXT, at BIGINT NOT NULL, "
	"imei TEXT, model TEXT, firmware TEXT, serial TEXT, usb_path TEXT, board_serial TEXT, work_order TEXT)",
	"CREATE TABLE IF NOT EXISTS chip (eid BYTEA PRIMARY KEY, euicc_data BYTEA, euicc_proven BIGINT NOT NULL, "
	"lock_record TEXT, lock_proven BIGINT NOT NULL, proof TEXT NOT NULL, station TEXT, at BIGINT NOT NULL)",
	/* Since version 2. */
	"CREATE TABLE IF NOT EXISTS station (name TEXT PRIMARY KEY, batches TEXT NOT NULL, quota BIGINT NOT NULL, "
	"revoked BIGINT NOT NULL, added BIGINT NOT NULL)",
	"CREATE INDEX IF NOT EXISTS package_station ON package (station, lease)",
	"CREATE TABLE IF NOT EXISTS doubt (key_id BYTEA NOT NULL, sha256 BYTEA NOT NULL, eid BYTEA NOT NULL, "
	"station TEXT NOT NULL, record TEXT NOT NULL, signed BIGINT NOT NULL, why TEXT NOT NULL, at BIGINT NOT NULL, "
	"PRIMARY KEY (key_id, sha256))",
	"CREATE INDEX IF NOT EXISTS doubt_eid ON doubt (eid, key_id)",
	/* Records that others have taken the place of: nothing that was signed is thrown away. */
	"CREATE TABLE IF NOT EXISTS attempt (key_id BYTEA NOT NULL, sha256 BYTEA NOT NULL, record TEXT NOT NULL, "
	"station TEXT, at BIGINT NOT NULL, PRIMARY KEY (key_id, sha256))",
	/* Since version 3: the newest identity of a unit; its records have theirs. */
	"CREATE TABLE IF NOT EXISTS unit (eid BYTEA PRIMARY KEY, imei TEXT, model TEXT, firmware TEXT, serial TEXT, "
	"usb_path TEXT, station TEXT, board_serial TEXT, work_order TEXT, at BIGINT NOT NULL)",
	"CREATE INDEX IF NOT EXISTS unit_imei ON unit (imei)",
	"CREATE INDEX IF NOT EXISTS unit_serial ON unit (serial)",
	"CREATE INDEX IF NOT EXISTS unit_board_serial ON unit (board_serial)",
	/* Since version 4. */
	"CREATE INDEX IF NOT EXISTS unit_work_order ON unit (work_order)",
	"CREATE TABLE IF NOT EXISTS token (name TEXT PRIMARY KEY, sha256 BYTEA NOT NULL, added BIGINT NOT NULL, "
	"revoked BIGINT NOT NULL)",
	"CREATE UNIQUE INDEX IF NOT EXISTS token_sha256 ON token (sha256)",
	/* Since version 5: batches of EUMs, their chips, and whose the one-time keys of these are. */
	"CREATE TABLE IF NOT EXISTS esed (id BYTEA PRIMARY KEY, name TEXT, chips BIGINT NOT NULL, done BIGINT NOT NULL, "
	"at BIGINT NOT NULL, inventory BYTEA NOT NULL, signature BYTEA NOT NULL)",
	"CREATE TABLE IF NOT EXISTS esed_chip (esed BYTEA NOT NULL, eid BYTEA NOT NULL, PRIMARY KEY (esed, eid))",
	"CREATE INDEX IF NOT EXISTS esed_chip_eid ON esed_chip (eid)",
	"CREATE TABLE IF NOT EXISTS euicc (eid BYTEA PRIMARY KEY, sha256 BYTEA NOT NULL, data BYTEA NOT NULL)",
	"CREATE TABLE IF NOT EXISTS otk (key_id BYTEA PRIMARY KEY, eid BYTEA NOT NULL, key_maker TEXT NOT NULL, "
	"at BIGINT NOT NULL)",
	"CREATE INDEX IF NOT EXISTS otk_eid ON otk (eid)",
	"CREATE INDEX IF NOT EXISTS otk_key_maker ON otk (key_maker, eid)",
	/* Since version 6: when all that a station has asked is made up for at its rate, Unix us. No backup has it. */
	"CREATE TABLE IF NOT EXISTS account (station TEXT PRIMARY KEY, full_at BIGINT NOT NULL)",
	/* Since version 7: what stations say beside results. Nobody has signed it, and no package changes by it. */
	"CREATE TABLE IF NOT EXISTS note (eid BYTEA NOT NULL, station TEXT NOT NULL, sha256 BYTEA NOT NULL, "
	"bytes BIGINT NOT NULL, record TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (eid, station))",
	"CREATE INDEX IF NOT EXISTS note_station ON note (station, bytes)",
	"CREATE TABLE IF NOT EXISTS refusal (key_id BYTEA NOT NULL, station TEXT NOT NULL, eid BYTEA NOT NULL, "
	"reason BIGINT NOT NULL, why TEXT NOT NULL, said TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (key_id, station))",
	"CREATE INDEX IF NOT EXISTS refusal_eid ON refusal (eid, station)",
};

/*
 * Version 1 let a station's word end a package. What the chip may have signed and nobody could prove is a
 * doubt now, and its package is sent again; what was burnt stays so until the operator says otherwise.
 */
static const char *const from_1_to_2[] = {
	("INSERT INTO doubt (key_id, sha256, eid, station, record, signed, why, at) SELECT r.key_id, r.sha256, r.eid, "
	 "COALESCE(r.station, ''), r.record, 1, r.proof, r.at FROM result r JOIN package p ON p.key_id = r.key_id "
	 "WHERE r.proven = 0 AND p.state IN (3, 4)"),
	("INSERT INTO history (key_id, seq, at, state, station, detail) SELECT d.key_id, (SELECT COALESCE(MAX(h.seq), 0) + 1 "
	 "FROM history h WHERE h.key_id = d.key_id), d.at, 2, d.station, 'in doubt since the upgrade' FROM doubt d"),
	"UPDATE package SET state = 2, lease = 0 WHERE key_id IN (SELECT key_id FROM doubt)",
	"DELETE FROM result WHERE proven = 0 AND key_id IN (SELECT key_id FROM doubt)",
};

/* Nobody told an identity before. */
static const char *const from_2_to_3[] = {
	"ALTER TABLE result ADD COLUMN imei TEXT",
	"ALTER TABLE result ADD COLUMN model TEXT",
	"ALTER TABLE result ADD COLUMN firmware TEXT",
	"ALTER TABLE result ADD COLUMN serial TEXT",
	"ALTER TABLE result ADD COLUMN usb_path TEXT",
	"ALTER TABLE result ADD COLUMN board_serial TEXT",
	"ALTER TABLE result ADD COLUMN work_order TEXT",
};

/* Of columns that an older depot has only now. */
static const char *const indexes[] = {
	"CREATE INDEX IF NOT EXISTS result_firmware ON result (firmware)",
};

static gint64 random_number(void)
{
	return (gint64)g_random_int() << 31 ^ g_random_int();
}

static gboolean set_once(Db *db, const char *sql, gint64 value, GError **error)
{
	return DB_RUN(db, sql, NULL, NULL, NULL, error, DB_I(value));
}

static gboolean run_all(Db *db, const char *const *statements, guint n, GError **error)
{
	for (guint i = 0; i < n; i++)
		if (!db_run(db, statements[i], NULL, 0, NULL, NULL, NULL, error))
			return FALSE;
	return TRUE;
}

static gboolean get_version(Db *db, gint64 *version, GError **error)
{
	return db_run(db, "SELECT value FROM depot WHERE name = 'version'", NULL, 0, rows_take_int, version, NULL, error);
}

/* From nothing, or from an older version; when others do the same at once, once. */
static gboolean make_tables(Db *db, gpointer user, GError **error)
{
	gint64 version = 0;

	if (!run_all(db, schema, G_N_ELEMENTS(schema), error) || !get_version(db, &version, error))
		return FALSE;
	if (version == 1 && !run_all(db, from_1_to_2, G_N_ELEMENTS(from_1_to_2), error))
		return FALSE;
	if (version && version < 3 && !run_all(db, from_2_to_3, G_N_ELEMENTS(from_2_to_3), error))
		return FALSE;
	return run_all(db, indexes, G_N_ELEMENTS(indexes), error) &&
	       set_once(db, "INSERT INTO depot (name, value) VALUES ('version', $1) ON CONFLICT (name) DO UPDATE SET value = $1",
			VERSION, error) &&
	       set_once(db, "INSERT INTO depot (name, value) VALUES ('identity', $1) ON CONFLICT (name) DO NOTHING",
			random_number(), error) &&
	       set_once(db, "INSERT INTO depot (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING",
			random_number(), error);
}

Depot *depot_open(const char *url, gboolean create, GError **error)
{
	g_autoptr(Depot) depot = g_new0(Depot, 1);
	g_autoptr(GError) local = NULL;
	gint64 version = 0;

	depot->db = db_open(url, create, error);
	if (!depot->db) {
		if (!create && !db_is_server(url))
			g_prefix_error(error, "there is no depot; ifpp-depot init or import makes one: ");
		return NULL;
	}
	if (!get_version(depot->db, &version, &local) && !create) {
		g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "there is no depot yet; ifpp-depot init makes one (%s)",
			    local->message);
		return NULL;
	}
	if (version < VERSION &&
	    (!db_transaction(depot->db, make_tables, NULL, error) || !get_version(depot->db, &version, error)))
		return NULL;
	if (version != VERSION) {
		g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "the depot is of version %" G_GINT64_FORMAT
			    ", this program knows %d; use a newer one", version, VERSION);
		return NULL;
	}
	return g_steal_pointer(&depot);
}

static gboolean take_epoch(const DbValue *row, guint n, gpointer user, GError **error)
{
	gint64 *numbers = user;

	numbers[!strcmp(db_get_text(&row[0]), "epoch")] = row[1].num;
	return TRUE;
}

char *depot_epoch(Depot *depot, GError **error)
{
	g_autofree char *incarnation = NULL;
	gint64 numbers[2] = {};

	if (!db_run(depot->db, "SELECT name, value FROM depot WHERE name IN ('identity', 'epoch')", NULL, 0, take_epoch,
		    numbers, NULL, error))
		return NULL;
	incarnation = db_incarnation(depot->db);
	return g_strdup_printf("%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x%s%s", (guint64)numbers[0],
			       (guint64)numbers[1], incarnation ? "-" : "", incarnation ?: "");
}

static gboolean renew_epoch(Db *db, gpointer user, GError **error)
{
	return set_once(db, "UPDATE depot SET value = $1 WHERE name = 'epoch'", random_number(), error);
}

gboolean depot_epoch_renew(Depot *depot, GError **error)
{
	return db_transaction(depot->db, renew_epoch, NULL, error);
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

gboolean depot_limit(Depot *depot, guint ms, GError **error)
{
	return db_limit(depot->db, ms, error);
}
