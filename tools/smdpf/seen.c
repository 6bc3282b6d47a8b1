// SPDX-License-Identifier: GPL-2.0-or-later
#include "seen.h"

#include "error.h"

static gboolean fail(GError *why, GError **error)
{
	g_set_error(error, IFPP_ERROR, why->code == DB_ERROR_FULL ? IFPP_ERROR_NO_SPACE : IFPP_ERROR_DISK,
		    "temporary file, in the directory that TMPDIR names (/var/tmp): %s", why->message);
	g_error_free(why);
	return FALSE;
}

Db *seen_new(GError **error)
{
	GError *why = NULL;
	/* SQLite makes a file without a name, and keeps in memory what is small. */
	g_autoptr(Db) seen = db_sqlite_open("", FALSE, &why);

	/* Nothing is ever rolled back or found again. */
	if (seen && DB_RUN(seen, "PRAGMA journal_mode=OFF", NULL, NULL, NULL, &why) &&
	    DB_RUN(seen, "PRAGMA cache_size=-4000", NULL, NULL, NULL, &why) &&
	    DB_RUN(seen, "CREATE TABLE seen (key_id BLOB PRIMARY KEY) WITHOUT ROWID", NULL, NULL, NULL, &why) &&
	    DB_RUN(seen, "BEGIN", NULL, NULL, NULL, &why))
		return g_steal_pointer(&seen);
	fail(why, error);
	return NULL;
}

gboolean seen_add(Db *seen, const guint8 key_id[32], GError **error)
{
	GError *why = NULL;

	return DB_RUN(seen, "INSERT INTO seen (key_id) VALUES ($1) ON CONFLICT DO NOTHING", NULL, NULL, NULL, &why,
		      DB_B(key_id, 32)) || fail(why, error);
}

static gboolean take(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gboolean *)user = TRUE;
	return TRUE;
}

gboolean seen_has(Db *seen, const guint8 key_id[32], gboolean *has, GError **error)
{
	GError *why = NULL;

	*has = FALSE;
	return DB_RUN(seen, "SELECT 1 FROM seen WHERE key_id = $1", take, has, NULL, &why, DB_B(key_id, 32)) || fail(why, error);
}
