// SPDX-License-Identifier: GPL-2.0-or-later
/* The tables of a depot, and opening it. */
#include "depot.h"

#include "rows.h"

#define VERSION 1

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
	if (!db_run(depot->db, "SELECT value FROM depot WHERE name = 'version'", NULL, 0, rows_take_int, &version, NULL,
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

gboolean depot_limit(Depot *depot, guint ms, GError **error)
{
	return db_limit(depot->db, ms, error);
}
