// SPDX-License-Identifier: GPL-2.0-or-later
#include "diskset.h"

#include "error.h"

const char *diskset_dir(void)
{
	const char *dir = g_getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

static gboolean fail(GError *why, GError **error)
{
	if (why->domain != DB_ERROR) {
		g_propagate_error(error, why);
		return FALSE;
	}
	g_set_error(error, IFPP_ERROR, why->code == DB_ERROR_FULL ? IFPP_ERROR_NO_SPACE : IFPP_ERROR_DISK,
		    "%s: a temporary file: %s", diskset_dir(), why->message);
	g_error_free(why);
	return FALSE;
}

Db *diskset_new(GError **error)
{
	GError *why = NULL;
	/* SQLite makes a file without a name there, and keeps in memory what is small. */
	g_autoptr(Db) set = db_sqlite_open("", FALSE, &why);

	/* Nothing is ever rolled back or found again. */
	if (set && DB_RUN(set, "PRAGMA journal_mode=OFF", NULL, NULL, NULL, &why) &&
	    DB_RUN(set, "PRAGMA cache_size=-4000", NULL, NULL, NULL, &why) &&
	    DB_RUN(set, "CREATE TABLE item (item BLOB PRIMARY KEY) WITHOUT ROWID", NULL, NULL, NULL, &why) &&
	    DB_RUN(set, "BEGIN", NULL, NULL, NULL, &why))
		return g_steal_pointer(&set);
	fail(why, error);
	return NULL;
}

gboolean diskset_add(Db *set, IfppSpan item, GError **error)
{
	GError *why = NULL;

	return DB_RUN(set, "INSERT INTO item (item) VALUES ($1) ON CONFLICT DO NOTHING", NULL, NULL, NULL, &why,
		      DB_B(item.data, item.len)) || fail(why, error);
}

static gboolean note(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gboolean *)user = TRUE;
	return TRUE;
}

gboolean diskset_has(Db *set, IfppSpan item, gboolean *has, GError **error)
{
	GError *why = NULL;

	*has = FALSE;
	return DB_RUN(set, "SELECT 1 FROM item WHERE item = $1", note, has, NULL, &why, DB_B(item.data, item.len)) ||
	       fail(why, error);
}

typedef struct {
	DisksetFunc func;
	gpointer user;
} Walk;

static gboolean tell(const DbValue *row, guint n, gpointer user, GError **error)
{
	const Walk *walk = user;

	return walk->func((IfppSpan){ row[0].data, row[0].len }, walk->user, error);
}

gboolean diskset_foreach(Db *set, DisksetFunc func, gpointer user, GError **error)
{
	Walk walk = { func, user };
	GError *why = NULL;

	return db_run(set, "SELECT item FROM item ORDER BY item", NULL, 0, tell, &walk, NULL, &why) || fail(why, error);
}
