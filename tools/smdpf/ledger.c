// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger.h"

#include <string.h>

#include "chain.h"
#include "eid.h"
#include "error.h"
#include "orders.h"
#include "run.h"

#define VERSION 3
#define PAGE 500		/* entries read at once */

static const char *const schema[] = {
	"CREATE TABLE IF NOT EXISTS ledger (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS run (id BYTEA PRIMARY KEY, place TEXT NOT NULL, host TEXT NOT NULL, until BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS orders (id BYTEA PRIMARY KEY, name TEXT NOT NULL, profile TEXT NOT NULL, "
	"class BIGINT NOT NULL, iccids BIGINT NOT NULL, state BIGINT NOT NULL, since BIGINT NOT NULL, last BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS binding (key_id BYTEA PRIMARY KEY, eid BYTEA NOT NULL, iccid BYTEA, "
	"order_id BYTEA NOT NULL, transaction_id BYTEA NOT NULL, run BYTEA NOT NULL, state BIGINT NOT NULL, "
	"hold BIGINT NOT NULL, reason BIGINT NOT NULL, sha256 BYTEA, profile TEXT NOT NULL)",
	"CREATE INDEX IF NOT EXISTS binding_eid ON binding (eid)",
	"CREATE INDEX IF NOT EXISTS binding_order ON binding (order_id, key_id)",
	"CREATE INDEX IF NOT EXISTS binding_reserved ON binding (run) WHERE state = 0",
	/* The promise about ICCIDs; that test profiles and others do not share one is ledger_holder()'s. */
	"CREATE UNIQUE INDEX IF NOT EXISTS binding_iccid ON binding (iccid) WHERE hold = 1",
	"CREATE UNIQUE INDEX IF NOT EXISTS binding_test ON binding (iccid, eid) WHERE hold = 2",
	/* What an order has become is counted without its entries. */
	"CREATE INDEX IF NOT EXISTS binding_count ON binding (order_id, state, reason)",
	"CREATE TABLE IF NOT EXISTS order_iccid (order_id BYTEA NOT NULL, iccid BYTEA NOT NULL, PRIMARY KEY (order_id, iccid))",
	"CREATE INDEX IF NOT EXISTS order_iccid_iccid ON order_iccid (iccid)",
	/* Which event said last that a key has failed or is void. */
	"CREATE TABLE IF NOT EXISTS freed (key_id BYTEA PRIMARY KEY, event BIGINT NOT NULL)",
	/* Who had an ICCID before it is given again. */
	"CREATE INDEX IF NOT EXISTS binding_freed ON binding (iccid) WHERE hold = 0",
};

/* From version 1, before the tables above are made: what it says of an order that it did not keep is that it does not know. */
static const char *const from_1[] = {
	"ALTER TABLE orders ADD COLUMN profile TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE orders ADD COLUMN class BIGINT NOT NULL DEFAULT -1",
	"ALTER TABLE orders ADD COLUMN iccids BIGINT NOT NULL DEFAULT -1",
	"ALTER TABLE orders ADD COLUMN state BIGINT NOT NULL DEFAULT 0",
	"ALTER TABLE orders ADD COLUMN since BIGINT NOT NULL DEFAULT 0",
	"ALTER TABLE orders ADD COLUMN last BIGINT NOT NULL DEFAULT 0",
	"INSERT INTO orders (id, name) SELECT DISTINCT order_id, '' FROM binding WHERE true ON CONFLICT (id) DO NOTHING",
};

/* From version 2, after that: the events say all that this table did. */
static const char *const from_2[] = {
	"DROP TABLE IF EXISTS voided",
};

#define COLUMNS "key_id, eid, iccid, order_id, transaction_id, run, state, hold, reason, sha256, profile"
enum { KEY_ID, EID, ICCID, ORDER, TRANSACTION, RUN, STATE, HOLD, REASON, SHA256, PROFILE, N_COLUMNS };

#define BLOB(bytes) DB_B(bytes, sizeof(bytes))

/* ------------------------------------------------------------ errors */

gboolean ledger_error(const Home *home, GError *db_error, GError **error)
{
	IfppError code = IFPP_ERROR_LEDGER;

	if (db_error->domain != DB_ERROR) {
		g_propagate_error(error, db_error);
		return FALSE;
	}
	switch (db_error->code) {
	case DB_ERROR_FULL:
		code = IFPP_ERROR_NO_SPACE;
		break;
	case DB_ERROR_AWAY:
	case DB_ERROR_REPLACED:
	case DB_ERROR_BUSY:
		code = IFPP_ERROR_DATABASE;
		break;
	}
	g_set_error(error, IFPP_ERROR, code, "ledger: %s", db_error->message);
	g_error_free(db_error);
	return FALSE;
}

gboolean ledger_transaction(Ledger *ledger, DbBody body, gpointer user, GError **error)
{
	GError *local = NULL;

	return db_transaction(ledger->db, body, user, &local) || ledger_error(ledger->home, local, error);
}

/* ------------------------------------------------------------ rows */

static gboolean read_entry(const DbValue *row, guint n, LedgerEntry *entry, GError **error)
{
	*entry = (LedgerEntry){ .profile = "" };
	if (n == N_COLUMNS && db_get_blob(&row[KEY_ID], entry->key_id, 32) && db_get_blob(&row[EID], entry->eid, 16) &&
	    (row[ICCID].type == DB_NULL || db_get_blob(&row[ICCID], entry->iccid, 10)) &&
	    db_get_blob(&row[ORDER], entry->order, 8) && db_get_blob(&row[TRANSACTION], entry->transaction, 16) &&
	    db_get_blob(&row[RUN], entry->run, 8) &&
	    (row[SHA256].type == DB_NULL || db_get_blob(&row[SHA256], entry->sha256, 32)) &&
	    row[STATE].num >= LEDGER_RESERVED && row[STATE].num <= LEDGER_VOID &&
	    row[HOLD].num >= LEDGER_FREE && row[HOLD].num <= LEDGER_HELD_TEST) {
		entry->state = row[STATE].num;
		entry->hold = row[HOLD].num;
		entry->reason = row[REASON].num;
		entry->profile = db_get_text(&row[PROFILE]);
		return TRUE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: an entry is damaged");
	return FALSE;
}

typedef struct {
	LedgerFunc func;
	gpointer user;
} Walk;

static gboolean walk_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	Walk *walk = user;
	LedgerEntry entry;

	return read_entry(row, n, &entry, error) && walk->func(&entry, walk->user, error);
}

static gboolean take_one(const LedgerEntry *entry, gpointer user, GError **error)
{
	LedgerEntry *out = user;

	*out = *entry;
	out->profile = "";
	return TRUE;
}

static gboolean one(Ledger *ledger, const char *sql, const DbValue *params, guint n, LedgerEntry *entry,
		    gboolean *found, GError **error)
{
	Walk walk = { take_one, entry };

	/* a state that no entry has */
	*entry = (LedgerEntry){ .state = 0xFF, .profile = "" };
	if (!db_run(ledger->db, sql, params, n, walk_row, &walk, NULL, error))
		return FALSE;
	*found = entry->state != 0xFF;
	return TRUE;
}

gboolean ledger_find(Ledger *ledger, const guint8 key_id[32], LedgerEntry *entry, gboolean *found, GError **error)
{
	const DbValue params[] = { DB_B(key_id, 32) };

	return one(ledger, "SELECT " COLUMNS " FROM binding WHERE key_id = $1", params, 1, entry, found, error);
}

gboolean ledger_chip(Ledger *ledger, const guint8 eid[16], LedgerFunc func, gpointer user, GError **error)
{
	Walk walk = { func, user };

	return DB_RUN(ledger->db, "SELECT " COLUMNS " FROM binding WHERE eid = $1 ORDER BY key_id", walk_row, &walk, NULL,
		      error, DB_B(eid, 16));
}

gboolean ledger_holder(Ledger *ledger, const guint8 iccid[10], const guint8 eid[16], gboolean test,
		       LedgerEntry *entry, gboolean *found, GError **error)
{
	const DbValue params[] = { DB_B(iccid, 10), DB_B(eid, 16) };

	if (!one(ledger, "SELECT " COLUMNS " FROM binding WHERE iccid = $1 AND hold = 1", params, 1, entry, found, error))
		return FALSE;
	if (*found)
		return TRUE;
	return test ? one(ledger, "SELECT " COLUMNS " FROM binding WHERE iccid = $1 AND eid = $2 AND hold = 2", params, 2,
			  entry, found, error) :
		      one(ledger, "SELECT " COLUMNS " FROM binding WHERE iccid = $1 AND hold = 2 LIMIT 1", params, 1,
			  entry, found, error);
}

static gboolean add_entry(const LedgerEntry *entry, gpointer user, GError **error)
{
	LedgerEntry copy = *entry;

	copy.profile = "";
	g_array_append_val((GArray *)user, copy);
	return TRUE;
}

gboolean ledger_freed(Ledger *ledger, const guint8 iccid[10], LedgerEntry *holder, gboolean *held, GError **error)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(LedgerEntry));
	Walk walk = { add_entry, entries };

	*held = FALSE;
	if (!DB_RUN(ledger->db, "SELECT " COLUMNS " FROM binding WHERE iccid = $1 AND hold = 0", walk_row, &walk, NULL, error,
		    DB_B(iccid, 10)))
		return FALSE;
	for (guint i = 0; i < entries->len && !*held; i++) {
		const LedgerEntry *entry = &g_array_index(entries, LedgerEntry, i);
		g_autofree char *id = NULL;
		gboolean said;

		*held = entry->state != LEDGER_FAILED && entry->state != LEDGER_VOID;
		if (*held) {
			*holder = *entry;
			return TRUE;
		}
		if (!chain_frees(ledger, entry->key_id, &said, error))
			return FALSE;
		if (said)
			continue;
		id = ifpp_hex(IFPP_SPAN(entry->key_id));
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
			    "ledger: no event sets the ICCID of key %.16s free, and its entry does", id);
		return FALSE;
	}
	return TRUE;
}

gboolean ledger_sole(Ledger *ledger, const LedgerEntry *entry, GError **error)
{
	const DbValue params[] = { DB_B(entry->iccid, 10), DB_B(entry->key_id, 32) };
	char iccid[21], eid[33], other_eid[33];
	LedgerEntry other;
	gboolean found;

	if (entry->hold == LEDGER_HELD_TEST)
		return TRUE;
	if (!one(ledger, "SELECT " COLUMNS " FROM binding WHERE iccid = $1 AND hold = 1 AND key_id <> $2", params, 2, &other, &found, error))
		return FALSE;
	if (!found && !one(ledger, "SELECT " COLUMNS " FROM binding WHERE iccid = $1 AND hold = 0 AND state IN (1, 2) AND key_id <> $2 LIMIT 1",
			   params, 2, &other, &found, error))
		return FALSE;
	if (!found)
		return TRUE;
	ifpp_iccid_format(entry->iccid, iccid);
	ifpp_eid_format(entry->eid, eid);
	ifpp_eid_format(other.eid, other_eid);
	return ifpp_fail(error, IFPP_ERROR_SECOND, "ICCID %s is in two packages, for chip %s and for chip %s: neither leaves until one of "
			 "them is void", iccid, eid, other_eid);
}

gboolean ledger_reserve(Ledger *ledger, const LedgerEntry *entry, GError **error)
{
	return DB_RUN(ledger->db,
		      "INSERT INTO binding (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 0, NULL, '')", NULL,
		      NULL, NULL, error, BLOB(entry->key_id), BLOB(entry->eid), BLOB(entry->iccid), BLOB(entry->order),
		      BLOB(entry->transaction), BLOB(ledger->run), DB_I(entry->hold));
}

gboolean ledger_release(Ledger *ledger, GError **error)
{
	return DB_RUN(ledger->db, "DELETE FROM binding WHERE run = $1 AND state = 0", NULL, NULL, NULL, error, BLOB(ledger->run));
}

static gboolean take_int(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

gboolean ledger_serial(Ledger *ledger, gint64 *serial, GError **error)
{
	*serial = 0;
	return DB_RUN(ledger->db, "SELECT value FROM ledger WHERE name = 'serial'", take_int, serial, NULL, error) &&
	       DB_RUN(ledger->db, "UPDATE ledger SET value = value + 1 WHERE name = 'serial'", NULL, NULL, NULL, error);
}

/* ------------------------------------------------------------ changes */

typedef struct {
	Ledger *ledger;
	LedgerEntry *const *entries;
	const LedgerResult *results;
	guint n;
} Change;

static gboolean bind_body(Db *db, gpointer user, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	Change *change = user;

	for (guint i = 0; i < change->n; i++) {
		LedgerEntry *entry = change->entries[i];
		gint64 changed = 0;

		if (!DB_RUN(db,
			    "UPDATE binding SET state = 1, sha256 = $2, profile = $3 "
			    "WHERE key_id = $1 AND state = 0 AND run = $4",
			    NULL, NULL, &changed, error, BLOB(entry->key_id), BLOB(entry->sha256),
			    db_text(entry->profile), BLOB(change->ledger->run)))
			return FALSE;
		if (changed != 1) {
			g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id));

			/* after a COMMIT whose answer was lost, it is ours already */
			LedgerEntry have;
			gboolean found;

			if (!ledger_find(change->ledger, entry->key_id, &have, &found, error))
				return FALSE;
			if (found && have.state != LEDGER_RESERVED && !memcmp(have.sha256, entry->sha256, 32))
				return chain_head(change->ledger, &change->ledger->head, error);
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
				    "key %.16s: another process took this one for dead and released the key; nothing of "
				    "this batch has left the home",
				    id);
			return FALSE;
		}
		chain_bound_line(text, entry);
	}
	/* all of one order */
	return chain_append(change->ledger, text->str, change->n, error) &&
	       orders_touch(change->ledger, change->entries[0]->order, error);
}

gboolean ledger_bind(Ledger *ledger, LedgerEntry *const *entries, guint n, GError **error)
{
	Change change = { .ledger = ledger, .entries = entries, .n = n };

	return !n || ledger_transaction(ledger, bind_body, &change, error);
}

/* A void one that is installed after all is held again, unless another has its ICCID by now. */
static gboolean put_result(Ledger *ledger, const LedgerResult *result, gint64 *changed, GError **error)
{
	LedgerEntry entry, holder;
	gboolean found, held;

	if (result->deleted)
		return DB_RUN(ledger->db,
			      "UPDATE binding SET state = 4, hold = 0, reason = 2 WHERE key_id = $1 AND state = 2", NULL, NULL, changed, error, BLOB(result->key_id));
	if (!DB_RUN(ledger->db,
		    "UPDATE binding SET state = $2, hold = CASE WHEN $2 = 3 THEN 0 ELSE hold END, reason = $3 "
		    "WHERE key_id = $1 AND state = 1",
		    NULL, NULL, changed, error, BLOB(result->key_id),
		    DB_I(result->reason ? LEDGER_FAILED : LEDGER_INSTALLED), DB_I(result->reason)))
		return FALSE;
	if (*changed)
		return TRUE;
	if (!ledger_find(ledger, result->key_id, &entry, &found, error))
		return FALSE;
	if (!found || entry.state != LEDGER_VOID || entry.reason == LEDGER_VOID_DELETED || (result->reason && entry.reason))
		return TRUE;
	if (result->reason)
		return DB_RUN(ledger->db, "UPDATE binding SET state = 3, reason = $2 WHERE key_id = $1", NULL, NULL, changed, error,
			      BLOB(result->key_id), DB_I(result->reason));
	if (!ledger_holder(ledger, entry.iccid, entry.eid, FALSE, &holder, &held, error))
		return FALSE;
	return DB_RUN(ledger->db, "UPDATE binding SET state = 2, reason = 1, hold = $2 WHERE key_id = $1", NULL, NULL, changed,
		      error, BLOB(result->key_id), DB_I(held ? LEDGER_FREE : LEDGER_HELD));
}

LedgerVoid ledger_void_reason(const char *word)
{
	return g_str_equal(word, "deleted") ? LEDGER_VOID_DELETED : g_str_equal(word, "proof") ? LEDGER_VOID_PROOF : LEDGER_VOID_WORD;
}

/* A line as void.c has it: whoever reads what is void need not know of this. */
void ledger_deleted_line(GString *text, const LedgerResult *result)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(result->key_id)), *record = ifpp_hex(IFPP_SPAN(result->record));

	g_string_append_printf(text, "voided %s deleted %s rework\n", id, record);
}

static gboolean result_body(Db *db, gpointer user, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	Change *change = user;
	const guint8 *touched = NULL;
	gboolean ok = TRUE;

	for (guint i = 0; i < change->n; i++) {
		const LedgerResult *result = &change->results[i];
		g_autofree char *id = ifpp_hex(IFPP_SPAN(result->key_id));
		gint64 changed = 0;

		if (!put_result(change->ledger, result, &changed, error))
			return FALSE;
		if (changed && result->deleted)
			ledger_deleted_line(text, result);
		else if (changed && result->reason)
			g_string_append_printf(text, "failed %s %u\n", id, result->reason);
		else if (changed)
			g_string_append_printf(text, "installed %s\n", id);
	}
	if (!text->len)
		return TRUE;
	if (!chain_append(change->ledger, text->str, 0, error))
		return FALSE;
	for (guint i = 0; ok && i < change->n; i++) {
		if (!touched || memcmp(touched, change->results[i].order, 8))
			ok = orders_touch(change->ledger, change->results[i].order, error);
		touched = change->results[i].order;
	}
	return ok;
}

gboolean ledger_result(Ledger *ledger, const LedgerResult *results, guint n, GError **error)
{
	Change change = { .ledger = ledger, .results = results, .n = n };

	return !n || ledger_transaction(ledger, result_body, &change, error);
}

/* ------------------------------------------------------------ looking */

typedef struct {
	Walk walk;
	guint8 last[32];
	guint n;
} Page;

static gboolean page_entry(const LedgerEntry *entry, gpointer user, GError **error)
{
	Page *page = user;

	memcpy(page->last, entry->key_id, 32);
	page->n++;
	return page->walk.func(entry, page->walk.user, error);
}

gboolean ledger_foreach(Ledger *ledger, const guint8 *order, LedgerFunc func, gpointer user, GError **error)
{
	Page page = { .walk = { func, user } };
	Walk walk = { page_entry, &page };
	GError *local = NULL;
	gboolean ok;

	do {
		page.n = 0;
		ok = order ? DB_RUN(ledger->db,
				    "SELECT " COLUMNS " FROM binding WHERE order_id = $1 AND key_id > $2 AND state > 0 "
				    "ORDER BY key_id LIMIT $3",
				    walk_row, &walk, NULL, &local, DB_B(order, 8), BLOB(page.last), DB_I(PAGE)) :
			     DB_RUN(ledger->db,
				    "SELECT " COLUMNS " FROM binding WHERE key_id > $1 AND state > 0 ORDER BY key_id LIMIT $2",
				    walk_row, &walk, NULL, &local, BLOB(page.last), DB_I(PAGE));
	} while (ok && page.n == PAGE);
	return ok || ledger_error(ledger->home, local, error);
}

static gboolean order_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	Walk *walk = user;
	LedgerEntry entry = { .profile = db_get_text(&row[1]) };

	return !db_get_blob(&row[0], entry.order, 8) || walk->func(&entry, walk->user, error);
}

gboolean ledger_orders(Ledger *ledger, const char *name, LedgerFunc func, gpointer user, GError **error)
{
	Walk walk = { func, user };
	GError *local = NULL;
	gboolean ok;

	ok = name ? DB_RUN(ledger->db, "SELECT id, name FROM orders WHERE name = $1", order_row, &walk, NULL, &local,
			   db_text(name)) :
		    DB_RUN(ledger->db, "SELECT id, name FROM orders ORDER BY name", order_row, &walk, NULL, &local);
	return ok || ledger_error(ledger->home, local, error);
}

gboolean ledger_count(Ledger *ledger, const guint8 *order, LedgerState state, gint64 *count, GError **error)
{
	GError *local = NULL;
	gboolean ok;

	ok = order ? DB_RUN(ledger->db, "SELECT COUNT(*) FROM binding WHERE order_id = $1 AND state = $2", take_int, count,
			    NULL, &local, DB_B(order, 8), DB_I(state)) :
		     DB_RUN(ledger->db, "SELECT COUNT(*) FROM binding WHERE state = $1", take_int, count, NULL, &local,
			    DB_I(state));
	return ok || ledger_error(ledger->home, local, error);
}

gboolean ledger_look(Ledger *ledger, GError **error)
{
	GError *local = NULL;

	return chain_head(ledger, &ledger->head, &local) || ledger_error(ledger->home, local, error);
}

/* ------------------------------------------------------------ opening */

static gboolean run_all(Db *db, const char *const *statements, guint n, GError **error)
{
	for (guint i = 0; i < n; i++)
		if (!db_run(db, statements[i], NULL, 0, NULL, NULL, NULL, error))
			return FALSE;
	return TRUE;
}

static gboolean check_version(Db *db, GError **error)
{
	gint64 version = 0;

	if (!DB_RUN(db, "SELECT value FROM ledger WHERE name = 'version'", take_int, &version, NULL, error))
		return FALSE;
	if (version == VERSION)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "the ledger is of version %" G_GINT64_FORMAT ", this program knows version %d; %s", version, VERSION,
		    version > VERSION ? "use a newer ifpp-smdpf" : "ifpp-smdpf ledger migrate takes it over");
	return FALSE;
}

/* One of another version is left as it is. */
static gboolean create_body(Db *db, gpointer user, GError **error)
{
	return run_all(db, schema, 1, error) &&
	       DB_RUN(db, "INSERT INTO ledger (name, value) VALUES ('version', $1) ON CONFLICT (name) DO NOTHING", NULL, NULL,
		      NULL, error, DB_I(VERSION)) &&
	       DB_RUN(db, "INSERT INTO ledger (name, value) VALUES ('serial', 0) ON CONFLICT (name) DO NOTHING", NULL, NULL,
		      NULL, error) &&
	       check_version(db, error) && run_all(db, schema, G_N_ELEMENTS(schema), error) &&
	       run_all(db, &chain_schema, 1, error);
}

static Db *open_db(const Home *home, gboolean create, GError **error)
{
	g_autofree char *path = home_ledger_path(home), *old = home_path(home, "ledger");
	GError *local = NULL;
	Db *db;

	if (path && !create && !g_file_test(path, G_FILE_TEST_EXISTS)) {
		if (g_file_test(old, G_FILE_TEST_EXISTS))
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
				    "%s: is a ledger of version 0; ifpp-smdpf ledger migrate takes it over", old);
		else
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "%s: the ledger is missing", path);
		return NULL;
	}
	db = db_open(home->ledger ? home->ledger : path, create, &local);
	if (!db)
		ledger_error(home, local, error);
	return db;
}

gboolean ledger_create(const Home *home, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open_unchecked(home, TRUE, error);

	return ledger != NULL;
}

Ledger *ledger_open_unchecked(const Home *home, gboolean create, GError **error)
{
	g_autoptr(Ledger) ledger = g_new0(Ledger, 1);
	GError *local = NULL;

	ledger->home = home;
	ledger->run_fd = -1;
	ledger->db = open_db(home, create, error);
	if (!ledger->db)
		return NULL;
	if ((create && !db_transaction(ledger->db, create_body, NULL, &local)) || !check_version(ledger->db, &local)) {
		ledger_error(home, local, error);
		return NULL;
	}
	return g_steal_pointer(&ledger);
}

static gboolean upgrade_body(Db *db, gpointer user, GError **error)
{
	gboolean *done = user;
	gint64 version = 0;

	*done = FALSE;
	if (!DB_RUN(db, "SELECT value FROM ledger WHERE name = 'version'", take_int, &version, NULL, error))
		return FALSE;
	if (version < 1 || version >= VERSION)
		return version < 1 || check_version(db, error);
	*done = TRUE;
	return (version > 1 || run_all(db, from_1, G_N_ELEMENTS(from_1), error)) &&
	       DB_RUN(db, "UPDATE ledger SET value = $1 WHERE name = 'version'", NULL, NULL, NULL, error, DB_I(VERSION)) &&
	       create_body(db, NULL, error) && chain_find_freed(db, error) && run_all(db, from_2, G_N_ELEMENTS(from_2), error);
}

gboolean ledger_upgrade(const Home *home, gboolean *done, GError **error)
{
	g_autoptr(Db) db = open_db(home, FALSE, error);
	GError *local = NULL;

	return db && (db_transaction(db, upgrade_body, done, &local) || ledger_error(home, local, error));
}

static gboolean ignore_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	return TRUE;
}

gboolean ledger_is_damaged(const Home *home)
{
	g_autofree char *path = home_ledger_path(home);
	g_autoptr(GError) why = NULL;
	g_autoptr(Db) db = path ? db_open(path, FALSE, &why) : NULL;

	/* reads every page of the entries and the events */
	if (db && DB_RUN(db, "SELECT * FROM binding", ignore_row, NULL, NULL, &why))
		DB_RUN(db, "SELECT * FROM event", ignore_row, NULL, NULL, &why);
	return g_error_matches(why, DB_ERROR, DB_ERROR_DAMAGED);
}

Ledger *ledger_open(const Home *home, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open_unchecked(home, FALSE, error);

	if (!ledger || !ledger_look(ledger, error) || !chain_check(ledger, FALSE, error))
		return NULL;
	return g_steal_pointer(&ledger);
}

void ledger_free(Ledger *ledger)
{
	if (!ledger)
		return;
	run_end(ledger);
	db_close(ledger->db);
	g_free(ledger);
}
