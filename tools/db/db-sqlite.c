// SPDX-License-Identifier: GPL-2.0-or-later
/* SQLite: the depot of one machine, in one file, with no server. */
#include "db.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 10000
#define COLUMNS_MAX 24

typedef struct {
	Db base;
	sqlite3 *handle;
	GHashTable *statements;	/* address of the text -> sqlite3_stmt */
	char *path;
	dev_t dev;		/* the file that was opened */
	ino_t ino;
	gint64 patience;	/* us that begin() waits for other threads */
	gboolean writing;
} Sqlite;

/* Files to which a thread of this process writes: another is told at once when it ends, where SQLite would sleep and look again. */
static GMutex writers_lock;
static GCond writers_change;
static GHashTable *writers;

static DbError judge(int code)
{
	switch (code) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return DB_ERROR_BUSY;
	case SQLITE_FULL:
		return DB_ERROR_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return DB_ERROR_DAMAGED;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return DB_ERROR_AWAY;
	default:
		return DB_ERROR_FAILED;
	}
}

static gboolean fail(Sqlite *db, GError **error)
{
	DbError code = judge(sqlite3_errcode(db->handle) & 0xFF);

	db->base.again = code == DB_ERROR_BUSY;
	g_set_error(error, DB_ERROR, code, "%s: %s", db->path, sqlite3_errmsg(db->handle));
	return FALSE;
}

static gboolean simple(Sqlite *db, const char *sql, GError **error)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || fail(db, error);
}

/* After its time it tries all the same: SQLite decides. */
static void enter(Sqlite *db)
{
	gint64 until = g_get_monotonic_time() + db->patience;

	g_mutex_lock(&writers_lock);
	if (!writers)
		writers = g_hash_table_new(g_str_hash, g_str_equal);
	while (g_hash_table_contains(writers, db->path) && g_cond_wait_until(&writers_change, &writers_lock, until))
		;
	db->writing = !g_hash_table_contains(writers, db->path);
	if (db->writing)
		g_hash_table_add(writers, db->path);
	g_mutex_unlock(&writers_lock);
}

static void leave(Sqlite *db)
{
	if (!db->writing)
		return;
	db->writing = FALSE;
	g_mutex_lock(&writers_lock);
	g_hash_table_remove(writers, db->path);
	g_cond_broadcast(&writers_change);
	g_mutex_unlock(&writers_lock);
}

static void rollback(Db *base)
{
	Sqlite *db = (Sqlite *)base;

	if (!sqlite3_get_autocommit(db->handle))
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	leave(db);
}

static sqlite3_stmt *prepare(Sqlite *db, const char *sql, GError **error)
{
	sqlite3_stmt *statement = g_hash_table_lookup(db->statements, sql);

	if (statement)
		return statement;
	if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
		fail(db, error);
		return NULL;
	}
	g_hash_table_insert(db->statements, (gpointer)sql, statement);
	return statement;
}

static int bind(sqlite3_stmt *statement, guint i, const DbValue *value)
{
	const char name[] = { '$', i < 9 ? '1' + i : '0' + (i + 1) / 10, i < 9 ? '\0' : '0' + (i + 1) % 10, '\0' };
	/* $1 is a name to SQLite, and its number that of its first mention. */
	int at = sqlite3_bind_parameter_index(statement, name);

	switch (value->type) {
	case DB_INT:
		return sqlite3_bind_int64(statement, at, value->num);
	case DB_TEXT:
		return sqlite3_bind_text64(statement, at, value->data, value->len, SQLITE_STATIC, SQLITE_UTF8);
	case DB_BLOB:
		return value->len ? sqlite3_bind_blob64(statement, at, value->data, value->len, SQLITE_STATIC) :
				    sqlite3_bind_zeroblob(statement, at, 0);
	default:
		return sqlite3_bind_null(statement, at);
	}
}

static guint get_row(sqlite3_stmt *statement, DbValue *row)
{
	guint n = MIN(sqlite3_column_count(statement), COLUMNS_MAX);

	for (guint i = 0; i < n; i++) {
		row[i] = (DbValue){ .type = DB_NULL };
		switch (sqlite3_column_type(statement, i)) {
		case SQLITE_INTEGER:
			row[i] = DB_I(sqlite3_column_int64(statement, i));
			break;
		case SQLITE_TEXT:
			row[i].type = DB_TEXT;
			row[i].data = sqlite3_column_text(statement, i);
			row[i].len = sqlite3_column_bytes(statement, i);
			break;
		case SQLITE_BLOB:
			row[i].type = DB_BLOB;
			row[i].data = sqlite3_column_blob(statement, i);
			row[i].len = sqlite3_column_bytes(statement, i);
			break;
		}
	}
	return n;
}

/* What is written into a file that has no name any more is lost, and what is read there is not so. */
static gboolean is_there(const Sqlite *db, GError **error)
{
	struct stat st;

	/* one without a name is its opener's alone */
	if (!*db->path || (stat(db->path, &st) == 0 && st.st_dev == db->dev && st.st_ino == db->ino))
		return TRUE;
	g_set_error(error, DB_ERROR, DB_ERROR_REPLACED, "%s: it is not the file any more that was opened", db->path);
	return FALSE;
}

static gboolean run(Db *base, const char *sql, const DbValue *params, guint n_params, DbRow row, gpointer user,
		    gint64 *changed, GError **error)
{
	Sqlite *db = (Sqlite *)base;
	sqlite3_stmt *statement = prepare(db, sql, error);
	DbValue values[COLUMNS_MAX];
	gboolean ok = TRUE;
	int code = SQLITE_OK;

	if (!statement || (sqlite3_get_autocommit(db->handle) && !is_there(db, error)))
		return FALSE;
	for (guint i = 0; ok && i < n_params; i++)
		ok = bind(statement, i, &params[i]) == SQLITE_OK || fail(db, error);
	while (ok && (code = sqlite3_step(statement)) == SQLITE_ROW)
		if (row)
			ok = row(values, get_row(statement, values), user, error);
	if (ok && code != SQLITE_DONE)
		ok = fail(db, error);
	if (ok && changed)
		*changed = sqlite3_changes64(db->handle);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return ok;
}

static gboolean begin(Db *base, GError **error)
{
	Sqlite *db = (Sqlite *)base;

	enter(db);
	/* Takes the write lock at once, so that no later statement finds that it cannot have it. */
	if (run(base, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL, NULL, error))
		return TRUE;
	leave(db);
	return FALSE;
}

static gboolean commit(Db *base, GError **error)
{
	if (!is_there((Sqlite *)base, error) || !run(base, "COMMIT", NULL, 0, NULL, NULL, NULL, error))
		return FALSE;
	leave((Sqlite *)base);
	return TRUE;
}

static gboolean now(Db *base, gint64 *ms, GError **error)
{
	*ms = g_get_real_time() / 1000;
	return TRUE;
}

static gboolean limit(Db *base, guint ms, GError **error)
{
	Sqlite *db = (Sqlite *)base;

	sqlite3_busy_timeout(db->handle, ms ?: BUSY_MS);
	db->patience = (gint64)(ms ?: BUSY_MS) * 1000;
	return TRUE;
}

/* A read transaction: with WAL nobody waits for it. */
static gboolean copy_to(Db *base, const char *path, GError **error)
{
	return DB_RUN(base, "VACUUM INTO $1", NULL, NULL, NULL, error, db_text(path));
}

static void close_db(Db *base)
{
	Sqlite *db = (Sqlite *)base;

	g_hash_table_unref(db->statements);
	sqlite3_close(db->handle);
	g_free(db->path);
	g_free(db);
}

static void finalize(gpointer statement)
{
	sqlite3_finalize(statement);
}

/* A database and its logs. */
static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

void db_sqlite_remove(const char *path)
{
	for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *name = g_strconcat(path, suffixes[i], NULL);

		unlink(name);
	}
}

char *db_sqlite_in_the_way(const char *path)
{
	for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		char *name = g_strconcat(path, suffixes[i], NULL);

		if (g_file_test(name, G_FILE_TEST_EXISTS) || g_file_test(name, G_FILE_TEST_IS_SYMLINK))
			return name;
		g_free(name);
	}
	return NULL;
}

static const DbOps ops = { begin, commit, rollback, run, now, limit, NULL, copy_to, close_db };

/* Its own directory; one further up that is not there is a mistake in the path. */
static gboolean make_directory(const char *path, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);

	if (mkdir(dir, 0750) == 0 || errno == EEXIST)
		return TRUE;
	g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "%s: %s", dir, g_strerror(errno));
	return FALSE;
}

Db *db_sqlite_open(const char *path, gboolean create, GError **error)
{
	g_autoptr(Db) base = NULL;
	struct stat st = {};
	Sqlite *db;

	if (create && !make_directory(path, error))
		return NULL;
	db = g_new0(Sqlite, 1);
	base = &db->base;
	db->base.ops = &ops;
	db->path = g_strdup(path);
	db->statements = g_hash_table_new_full(NULL, NULL, NULL, finalize);
	if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
			    (create ? SQLITE_OPEN_CREATE : 0), NULL) != SQLITE_OK) {
		fail(db, error);
		return NULL;
	}
	sqlite3_extended_result_codes(db->handle, 1);
	limit(base, 0, NULL);
	/* A commit is on the disk when it returns. Readers never wait for a writer. */
	if (!simple(db, "PRAGMA journal_mode=WAL", error) || !simple(db, "PRAGMA synchronous=FULL", error) ||
	    !simple(db, "PRAGMA cache_size=-16000", error) ||
	    /* 16 MB of log: a page that changes often is copied into the database once. */
	    !simple(db, "PRAGMA wal_autocheckpoint=4000", error))
		return NULL;
	if (*path && stat(path, &st) < 0) {
		g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
		return NULL;
	}
	db->dev = st.st_dev;
	db->ino = st.st_ino;
	return g_steal_pointer(&base);
}
