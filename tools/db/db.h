/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A database behind one struct of function pointers: SQLite in a file, or PostgreSQL and what speaks
 * its protocol. One schema and one set of statements run on both, so they use only what both have.
 */
#ifndef IFPP_DB_H
#define IFPP_DB_H

#include <glib.h>

#define DB_ERROR db_error_quark()
GQuark db_error_quark(void);

typedef enum {
	DB_ERROR_FAILED,	/* the database refuses */
	DB_ERROR_BUSY,		/* others are at the same rows: try again */
	DB_ERROR_FULL,		/* no space where the database is */
	DB_ERROR_DAMAGED,	/* it is there, and is no database, or not a whole one */
	DB_ERROR_AWAY,		/* it is not there, or its server or disk takes nothing: what is in it may be sound */
	DB_ERROR_REPLACED,	/* its file was taken away, and perhaps another put there: what was opened is nobody's any more */
} DbError;

typedef enum { DB_NULL, DB_INT, DB_TEXT, DB_BLOB } DbType;

typedef struct {
	DbType type;
	gint64 num;
	const void *data;	/* of a text: with a NUL after its end */
	gsize len;
} DbValue;

#define DB_I(n) ((DbValue){ .type = DB_INT, .num = (n) })
#define DB_B(p, n) ((DbValue){ .type = DB_BLOB, .data = (p), .len = (n) })
DbValue db_text(const char *text);	/* NULL: DB_NULL */
const char *db_get_text(const DbValue *value);	/* never NULL */
/* Copy a blob of exactly @len bytes; FALSE if it is anything else. */
gboolean db_get_blob(const DbValue *value, void *out, gsize len);

typedef struct Db Db;
/* One row; what it points to lives until it returns. FALSE with @error set ends the statement. */
typedef gboolean (*DbRow)(const DbValue *row, guint n, gpointer user, GError **error);

typedef struct {
	gboolean (*begin)(Db *db, GError **error);		/* serializable, and meant for writing */
	gboolean (*commit)(Db *db, GError **error);
	void (*rollback)(Db *db);
	gboolean (*run)(Db *db, const char *sql, const DbValue *params, guint n_params, DbRow row, gpointer user,
			gint64 *changed, GError **error);
	gboolean (*now)(Db *db, gint64 *ms, GError **error);	/* the database's clock */
	gboolean (*limit)(Db *db, guint ms, GError **error);	/* how long a statement waits for a lock */
	char *(*incarnation)(Db *db);				/* or NULL: the engine has none */
	gboolean (*copy_to)(Db *db, const char *path, GError **error);	/* or NULL: row by row only */
	void (*close)(Db *db);
} DbOps;

struct Db {
	const DbOps *ops;
	gboolean again;		/* the last failure was a collision: the same transaction may succeed next time */
	gboolean away;		/* the last failure was that there is no server */
	gint64 limit;		/* us after which db_transaction() gives up collisions; 0: by their number alone */
	gint64 patience;	/* us that db_transaction() waits for a server that is away; 0: it fails at once */
	void (*waiting)(const char *why);	/* called once when such a wait begins, or NULL */
};

Db *db_sqlite_open(const char *path, gboolean create, GError **error);
Db *db_postgres_open(const char *url, GError **error);

/* A server, which several machines may share; FALSE: a file of SQLite. */
gboolean db_is_server(const char *url);

/**
 * db_open() - open a database
 * @url: a path, sqlite:PATH, or postgresql://USER@HOST:PORT/NAME (also postgres://) as libpq takes it
 * @create: make the file of SQLite if there is none
 * @error: DB_ERROR_FAILED
 *
 * A handle is for one thread at a time.
 */
Db *db_open(const char *url, gboolean create, GError **error);
void db_close(Db *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Db, db_close)

/**
 * db_limit() - give up what others do not let us have
 * @db: the database
 * @ms: how long a statement waits for a lock, and a transaction is tried again; 0: the engine's own
 * @error: DB_ERROR_FAILED
 *
 * What was given up is DB_ERROR_BUSY. It holds for connections that are opened again, too.
 */
gboolean db_limit(Db *db, guint ms, GError **error);

/**
 * db_sqlite_in_the_way() - what would make a new file of SQLite one that is not new
 * @path: where it is to be
 *
 * A log that another file of this name has left behind counts: SQLite would take it for the new one's, and write its pages over it.
 *
 * Return: a file that is there; NULL: none.
 */
char *db_sqlite_in_the_way(const char *path);
/* Remove a file of SQLite that was not finished, with its logs. */
void db_sqlite_remove(const char *path);

/* What is another after a standby was promoted or a backup restored: PostgreSQL's timeline; NULL: cannot be told. */
char *db_incarnation(Db *db);

/**
 * db_copy_to() - the whole database as a file of SQLite, while others work on it
 * @db: the database
 * @path: the new file
 * @done: FALSE: this engine cannot, and nothing was done
 * @error: DB_ERROR
 */
gboolean db_copy_to(Db *db, const char *path, gboolean *done, GError **error);

/**
 * db_run() - one statement
 * @db: the database
 * @sql: a literal with $1, $2...; it is prepared once and found again by its address
 * @row: called for each row, or NULL
 * @user: for @row
 * @changed: rows inserted, updated or deleted, or NULL
 * @error: DB_ERROR_FAILED, BUSY, or what @row set
 * @params: values of $1, $2...
 * @n_params: how many
 */
gboolean db_run(Db *db, const char *sql, const DbValue *params, guint n_params, DbRow row, gpointer user,
		gint64 *changed, GError **error);
#define DB_RUN(db, sql, row, user, changed, error, ...) \
	db_run(db, sql, (const DbValue[]){ __VA_ARGS__ }, sizeof((const DbValue[]){ __VA_ARGS__ }) / sizeof(DbValue), \
	       row, user, changed, error)

/* May be run several times: it starts from nothing each time. */
typedef gboolean (*DbBody)(Db *db, gpointer user, GError **error);

/**
 * db_transaction() - run @body in a serializable transaction
 * @db: the database
 * @body: what is done in it
 * @user: for @body
 * @error: DB_ERROR_FAILED, BUSY (after a bounded number of collisions), or what @body set
 *
 * A collision (SQLSTATE class 40, SQLITE_BUSY) rolls back and runs @body again after a random
 * pause that grows: distributed engines demand this of their clients. So does a connection that
 * breaks, also in a COMMIT whose answer is lost: @body must come to the same when it finds its own
 * work done already.
 */
gboolean db_transaction(Db *db, DbBody body, gpointer user, GError **error);

#endif
