// SPDX-License-Identifier: GPL-2.0-or-later
/* PostgreSQL, and distributed engines that speak its protocol: one depot for several stations. */
#include "db.h"

#include <libpq-fe.h>
#include <string.h>

#define PARAMS_MAX 24
#define COLUMNS_MAX 24

/* Type numbers of pg_type, the same on every engine of that protocol. */
enum { OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };

typedef struct {
	Db base;
	PGconn *conn;
	GHashTable *statements;	/* address of the text -> number + 1 of the prepared statement */
	guint limit_ms;		/* for locks; 0: none */
	gboolean inside;	/* a transaction was begun, on whatever connection there was then */
} Postgres;

static gboolean lost(const Postgres *db)
{
	return PQstatus(db->conn) != CONNECTION_OK;
}

/*
 * 25006: a standby, or set to read-only; 42501: not for this user; 53, 58: the machine it is on. XX001, XX002: the pages are not what
 * they were.
 */
static DbError judge(const char *state, gboolean gone, gboolean busy)
{
	if (busy)
		return DB_ERROR_BUSY;
	if (g_strcmp0(state, "53100") == 0)
		return DB_ERROR_FULL;
	if (state && (g_str_equal(state, "XX001") || g_str_equal(state, "XX002")))
		return DB_ERROR_DAMAGED;
	if (gone || (state && (g_str_equal(state, "25006") || g_str_equal(state, "42501") || g_str_has_prefix(state, "53") ||
			       g_str_has_prefix(state, "58"))))
		return DB_ERROR_AWAY;
	return DB_ERROR_FAILED;
}

static gboolean fail(Postgres *db, PGresult *result, GError **error)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	/*
	 * 57P01 to 57P05: the server ends, or ends us. No state: libpq could not even ask. The connection only looks alive then, sometimes.
	 */
	gboolean busy, gone = lost(db) || !state || !strncmp(state, "57P", 3);

	/*
	 * Class 40: serialization failure, deadlock. 23505 is one too where two make the same row, or the
	 * same table. A lost connection is opened anew by begin().
	 */
	db->base.again = gone || (state && (!strncmp(state, "40", 2) || !strcmp(state, "23505")));
	/* 55P03: a lock that was not given in time. To try again at once would wait for it again. */
	busy = (db->base.again && !gone) || (state && !strcmp(state, "55P03"));
	g_set_error(error, DB_ERROR, judge(state, gone, busy), "PostgreSQL: %s", primary ? primary : PQerrorMessage(db->conn));
	PQclear(result);
	return FALSE;
}

static gboolean set_limit(Postgres *db, GError **error);

static gboolean alive(Postgres *db, GError **error)
{
	if (!lost(db))
		return TRUE;
	g_hash_table_remove_all(db->statements);
	PQreset(db->conn);
	if (!lost(db))
		return set_limit(db, error);
	fail(db, NULL, error);
	db->base.again = FALSE;
	db->base.away = TRUE;
	return FALSE;
}

static gboolean simple(Postgres *db, const char *sql, GError **error)
{
	PGresult *result = PQexec(db->conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		return fail(db, result, error);
	PQclear(result);
	return TRUE;
}

static gboolean set_limit(Postgres *db, GError **error)
{
	g_autofree char *sql = g_strdup_printf("SET lock_timeout = %u", db->limit_ms);

	return !db->limit_ms || simple(db, sql, error);
}

static gboolean begin(Db *base, GError **error)
{
	Postgres *db = (Postgres *)base;

	if (!alive(db, error) || !simple(db, "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE", error))
		return FALSE;
	db->inside = TRUE;
	return TRUE;
}

static gboolean commit(Db *base, GError **error)
{
	Postgres *db = (Postgres *)base;
	PGresult *result = PQexec(db->conn, "COMMIT");

	/* A transaction that has failed answers COMMIT with ROLLBACK. */
	if (PQresultStatus(result) != PGRES_COMMAND_OK || strcmp(PQcmdStatus(result), "COMMIT"))
		return fail(db, result, error);
	PQclear(result);
	db->inside = FALSE;
	return TRUE;
}

static void rollback(Db *base)
{
	Postgres *db = (Postgres *)base;

	db->inside = FALSE;
	if (!lost(db) && PQtransactionStatus(db->conn) != PQTRANS_IDLE)
		PQclear(PQexec(db->conn, "ROLLBACK"));
}

static gboolean prepare(Postgres *db, const char *sql, char name[16], GError **error)
{
	guint number = GPOINTER_TO_UINT(g_hash_table_lookup(db->statements, sql));
	PGresult *result;

	g_snprintf(name, 16, "s%u", number ? number - 1 : g_hash_table_size(db->statements));
	if (number)
		return TRUE;
	result = PQprepare(db->conn, name, sql, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		return fail(db, result, error);
	PQclear(result);
	g_hash_table_insert(db->statements, (gpointer)sql, GUINT_TO_POINTER(g_hash_table_size(db->statements) + 1));
	return TRUE;
}

static gint64 get_int(const guint8 *data, int len)
{
	guint64 n = data[0] & 0x80 ? G_MAXUINT64 : 0;

	for (int i = 0; i < len; i++)
		n = n << 8 | data[i];
	return (gint64)n;
}

static guint get_row(const PGresult *result, int at, DbValue *row)
{
	guint n = MIN(PQnfields(result), COLUMNS_MAX);

	for (guint i = 0; i < n; i++) {
		const char *data = PQgetvalue(result, at, i);
		int len = PQgetlength(result, at, i);

		row[i] = (DbValue){ .type = DB_NULL };
		if (PQgetisnull(result, at, i))
			continue;
		switch (PQftype(result, i)) {
		case OID_INT2:
		case OID_INT4:
		case OID_INT8:
			row[i] = DB_I(get_int((const guint8 *)data, len));
			break;
		default:
			row[i].type = PQftype(result, i) == OID_BYTEA ? DB_BLOB : DB_TEXT;
			row[i].data = data;
			row[i].len = len;
		}
	}
	return n;
}

/* NULL: @error is set. */
static PGresult *execute(Postgres *db, const char *sql, const DbValue *params, guint n_params, GError **error)
{
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX], formats[PARAMS_MAX];
	char numbers[PARAMS_MAX][24], name[16];
	ExecStatusType status;
	PGresult *result;

	g_assert(n_params <= PARAMS_MAX);
	/* What was begun on a connection is lost with it: nothing of it may go on outside. */
	if (!db->inside && !alive(db, error))
		return NULL;
	if (!prepare(db, sql, name, error))
		return NULL;
	for (guint i = 0; i < n_params; i++) {
		formats[i] = params[i].type == DB_BLOB;
		lengths[i] = params[i].len;
		values[i] = params[i].data;
		if (params[i].type == DB_INT) {
			g_snprintf(numbers[i], sizeof(numbers[i]), "%" G_GINT64_FORMAT, params[i].num);
			values[i] = numbers[i];
		} else if (params[i].type == DB_BLOB && !params[i].data) {
			values[i] = "";
		}
	}
	result = PQexecPrepared(db->conn, name, n_params, values, lengths, formats, 1);
	status = PQresultStatus(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	fail(db, result, error);
	return NULL;
}

static gboolean run(Db *base, const char *sql, const DbValue *params, guint n_params, DbRow row, gpointer user,
		    gint64 *changed, GError **error)
{
	Postgres *db = (Postgres *)base;
	DbValue columns[COLUMNS_MAX];
	g_autoptr(GError) local = NULL;
	PGresult *result = execute(db, sql, params, n_params, &local);

	/* Outside a transaction there are only SELECTs. That the server was restarted meanwhile is no news to tell. */
	if (!result && !db->inside && lost(db) && !base->away) {
		g_clear_error(&local);
		result = execute(db, sql, params, n_params, &local);
	}
	if (!result) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (changed)
		*changed = g_ascii_strtoll(PQcmdTuples(result), NULL, 10);
	for (int i = 0; row && i < PQntuples(result); i++) {
		if (!row(columns, get_row(result, i, columns), user, error)) {
			PQclear(result);
			return FALSE;
		}
	}
	PQclear(result);
	return TRUE;
}

static gboolean take_int(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

static gboolean now(Db *base, gint64 *ms, GError **error)
{
	return run(base, "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)", NULL, 0, take_int,
		   ms, NULL, error);
}

static gboolean limit(Db *base, guint ms, GError **error)
{
	Postgres *db = (Postgres *)base;

	db->limit_ms = ms;
	return set_limit(db, error);
}

static gboolean take_text(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(char **)user = g_strdup(db_get_text(&row[0]));
	return TRUE;
}

/* Other engines of this protocol do not know the function. */
static char *incarnation(Db *base)
{
	char *timeline = NULL;

	run(base, "SELECT CAST(SUBSTR(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS TEXT)", NULL, 0, take_text, &timeline,
	    NULL, NULL);
	return timeline;
}

static void close_db(Db *base)
{
	Postgres *db = (Postgres *)base;

	g_hash_table_unref(db->statements);
	PQfinish(db->conn);
	g_free(db);
}

/* "NOTICE: relation exists" is no news. */
static void no_notice(void *user, const PGresult *result)
{
}

static const DbOps ops = { begin, commit, rollback, run, now, limit, incarnation, NULL, close_db };

Db *db_postgres_open(const char *url, GError **error)
{
	/*
	 * The URL overrides what stands before it. A server that vanishes without a word is noticed in half
	 * a minute: silent for so long, or so long without a sign that it has what was sent.
	 */
	const char *names[] = { "connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
				"tcp_user_timeout", "application_name", "dbname", NULL };
	const char *values[] = { "10", "15", "5", "3", "30000", "ifpp-depot", url, NULL };
	Postgres *db = g_new0(Postgres, 1);
	g_autoptr(Db) base = &db->base;

	db->base.ops = &ops;
	db->statements = g_hash_table_new(NULL, NULL);
	db->conn = PQconnectdbParams(names, values, 1);
	if (PQstatus(db->conn) != CONNECTION_OK) {
		fail(db, NULL, error);
		return NULL;
	}
	PQsetNoticeReceiver(db->conn, no_notice, NULL);
	return g_steal_pointer(&base);
}
