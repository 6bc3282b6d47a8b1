// SPDX-License-Identifier: GPL-2.0-or-later
#include "db.h"

#include <string.h>

G_DEFINE_QUARK(db-error-quark, db_error)

#define ATTEMPTS 40
#define PAUSE_MAX_US 200000

DbValue db_text(const char *text)
{
	return text ? (DbValue){ .type = DB_TEXT, .data = text, .len = strlen(text) } : (DbValue){ .type = DB_NULL };
}

const char *db_get_text(const DbValue *value)
{
	return value->type == DB_TEXT ? value->data : "";
}

gboolean db_get_blob(const DbValue *value, void *out, gsize len)
{
	if (value->type != DB_BLOB || value->len != len)
		return FALSE;
	memcpy(out, value->data, len);
	return TRUE;
}

gboolean db_is_server(const char *url)
{
	return g_str_has_prefix(url, "postgresql:") || g_str_has_prefix(url, "postgres:");
}

Db *db_open(const char *url, gboolean create, GError **error)
{
	if (db_is_server(url))
		return db_postgres_open(url, error);
	if (g_str_has_prefix(url, "sqlite:"))
		url += strlen("sqlite:");
	/* These are SQLite's names for a database that is gone when it is closed. */
	if (!*url || g_str_equal(url, ":memory:")) {
		g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "\"%s\" is no database: give a file or a postgresql: URL", url);
		return NULL;
	}
	return db_sqlite_open(url, create, error);
}

void db_close(Db *db)
{
	if (db)
		db->ops->close(db);
}

gboolean db_limit(Db *db, guint ms, GError **error)
{
	db->limit = (gint64)ms * 1000;
	return db->ops->limit(db, ms, error);
}

char *db_incarnation(Db *db)
{
	return db->ops->incarnation ? db->ops->incarnation(db) : NULL;
}

gboolean db_copy_to(Db *db, const char *path, gboolean *done, GError **error)
{
	*done = db->ops->copy_to != NULL;
	return !*done || db->ops->copy_to(db, path, error);
}

gboolean db_run(Db *db, const char *sql, const DbValue *params, guint n_params, DbRow row, gpointer user,
		gint64 *changed, GError **error)
{
	return db->ops->run(db, sql, params, n_params, row, user, changed, error);
}

static gboolean attempt(Db *db, DbBody body, gpointer user, GError **error)
{
	db->again = db->away = FALSE;
	if (!db->ops->begin(db, error))
		return FALSE;
	if (body(db, user, error) && db->ops->commit(db, error))
		return TRUE;
	db->ops->rollback(db);
	return FALSE;
}

/* The server is away: is it worth while to come again? */
static gboolean wait_for(Db *db, gint64 *since, const GError *why)
{
	gint64 now = g_get_monotonic_time();

	if (!db->away || !db->patience)
		return FALSE;
	if (!*since) {
		*since = now;
		if (db->waiting)
			db->waiting(why->message);
	}
	if (now - *since >= db->patience)
		return FALSE;
	g_usleep(PAUSE_MAX_US);
	return TRUE;
}

gboolean db_transaction(Db *db, DbBody body, gpointer user, GError **error)
{
	gint64 pause = 1000, away_since = 0, begun = g_get_monotonic_time();

	for (guint i = 1;;) {
		g_autoptr(GError) local = NULL;

		if (attempt(db, body, user, &local))
			return TRUE;
		if (wait_for(db, &away_since, local))
			continue;
		if (!db->again || i++ == ATTEMPTS || (db->limit && g_get_monotonic_time() - begun > db->limit)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		}
		g_usleep(g_random_int_range(pause / 2, pause));
		pause = MIN(pause * 2, PAUSE_MAX_US);
	}
}
