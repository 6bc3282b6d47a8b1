// SPDX-License-Identifier: GPL-2.0-or-later
#include "told.h"

#include <string.h>

#include "chain.h"
#include "error.h"

#define PAGE 500		/* rows read at once */
#define EVENT_BYTES 65536	/* of text in one event, about */

static gboolean take_int(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

/* A ledger may be older than these tables. */
static gboolean make_tables(Db *db, GError **error)
{
	return DB_RUN(db, chain_operators, NULL, NULL, NULL, error) &&
	       DB_RUN(db,
		      "CREATE TABLE IF NOT EXISTS told (key_id BYTEA PRIMARY KEY, at BIGINT NOT NULL, result BYTEA NOT NULL, "
		      "unit TEXT NOT NULL)",
		      NULL, NULL, NULL, error) &&
	       DB_RUN(db, "CREATE TABLE IF NOT EXISTS refused (key_id BYTEA PRIMARY KEY, at BIGINT NOT NULL, reason BIGINT NOT NULL)",
		      NULL, NULL, NULL, error);
}

static gboolean tables_body(Db *db, gpointer user, GError **error)
{
	return make_tables(db, error);
}

/* Two hosts may be about to: then one of them fails, and finds the other's. */
static gboolean have_tables(Ledger *ledger, GError **error)
{
	return ledger_transaction(ledger, tables_body, NULL, NULL) || ledger_transaction(ledger, tables_body, NULL, error);
}

/* ------------------------------------------------------------ what is told */

typedef struct {
	Ledger *ledger;
	const guint8 *order;
	const char *name;
	const Told *told;
	const ToldUnloaded *unloaded;
	guint n;
} Telling;

static gboolean operator_body(Db *db, gpointer user, GError **error)
{
	Telling *t = user;
	g_autofree char *id = ifpp_hex((IfppSpan){ t->order, 8 });
	g_autofree char *escaped = g_uri_escape_string(t->name, NULL, FALSE);
	g_autofree char *text = g_strdup_printf("operator %s %s\n", id, escaped);
	gint64 have = -1;

	return DB_RUN(db, "SELECT 1 FROM order_operator WHERE order_id = $1", take_int, &have, NULL, error, DB_B(t->order, 8)) &&
	       (have == 1 || (DB_RUN(db, "INSERT INTO order_operator (order_id, name) VALUES ($1, $2)", NULL, NULL, NULL, error,
				     DB_B(t->order, 8), db_text(t->name)) &&
			      chain_append(t->ledger, text, 0, error)));
}

gboolean told_operator(Ledger *ledger, const guint8 order[8], const char *name, GError **error)
{
	Telling telling = { .ledger = ledger, .order = order, .name = name };

	return have_tables(ledger, error) && ledger_transaction(ledger, operator_body, &telling, error);
}

static gboolean take_line(const DbValue *row, guint n, gpointer user, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(db_get_text(&row[0]), "\n", -1);

	for (guint i = 0; lines[i]; i++)
		g_hash_table_add(user, g_strdup(lines[i]));
	return TRUE;
}

static gboolean take_operator(const DbValue *row, guint n, gpointer user, GError **error)
{
	g_autofree char *id = NULL, *escaped = g_uri_escape_string(db_get_text(&row[1]), NULL, FALSE);
	guint8 order[8] = {};

	db_get_blob(&row[0], order, sizeof(order));
	id = ifpp_hex(IFPP_SPAN(order));
	g_ptr_array_add(user, g_strdup_printf("operator %s %s", id, escaped));
	return TRUE;
}

gboolean told_adopt(Ledger *ledger, guint *dropped, GError **error)
{
	g_autoptr(GHashTable) said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) have = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) text = g_string_new(NULL);

	*dropped = 0;
	if (!make_tables(ledger->db, error) ||
	    !DB_RUN(ledger->db, "SELECT text FROM event WHERE text LIKE 'operator %'", take_line, said, NULL, error) ||
	    !DB_RUN(ledger->db, "SELECT order_id, name FROM order_operator ORDER BY order_id", take_operator, have, NULL, error))
		return FALSE;
	for (guint i = 0; i < have->len; i++) {
		const char *line = have->pdata[i];
		guint8 order[8] = {};

		if (g_hash_table_contains(said, line)) {
			g_string_append_printf(text, "%s\n", line);
		} else {
			g_autofree char *id = g_strndup(line + strlen("operator "), 16);

			ifpp_unhex_into(id, order, sizeof(order));
			if (!DB_RUN(ledger->db, "DELETE FROM order_operator WHERE order_id = $1", NULL, NULL, NULL, error,
				    DB_B(order, 8)))
				return FALSE;
			++*dropped;
		}
		if (text->len && (text->len > EVENT_BYTES || i + 1 == have->len)) {
			if (!chain_append(ledger, text->str, 0, error))
				return FALSE;
			g_string_truncate(text, 0);
		}
	}
	return TRUE;
}

void told_clear(gpointer told)
{
	g_free(((Told *)told)->unit);
}

static gboolean results_body(Db *db, gpointer user, GError **error)
{
	gint64 now = g_get_real_time() / 1000;
	Telling *t = user;

	for (guint i = 0; i < t->n; i++) {
		const Told *told = &t->told[i];

		if (!DB_RUN(db,
			    "INSERT INTO told (key_id, at, result, unit) VALUES ($1, $2, $3, $4) "
			    "ON CONFLICT (key_id) DO UPDATE SET unit = CASE WHEN $4 = '' THEN told.unit ELSE $4 END",
			    NULL, NULL, NULL, error, DB_B(told->key_id, 32), DB_I(now), DB_B(told->result, 32),
			    db_text(told->unit)))
			return FALSE;
	}
	return TRUE;
}

gboolean told_results(Ledger *ledger, const Told *told, guint n, GError **error)
{
	Telling telling = { .told = told, .n = n };

	return !n || (have_tables(ledger, error) && ledger_transaction(ledger, results_body, &telling, error));
}

static gboolean unloaded_body(Db *db, gpointer user, GError **error)
{
	gint64 now = g_get_real_time() / 1000, any = 0;
	Telling *t = user;

	if (!DB_RUN(db, "SELECT COUNT(*) FROM (SELECT 1 FROM refused LIMIT 1) AS one", take_int, &any, NULL, error))
		return FALSE;
	for (guint i = 0; i < t->n; i++) {
		const ToldUnloaded *one = &t->unloaded[i];

		if (one->reason ? !DB_RUN(db,
					  "INSERT INTO refused (key_id, at, reason) VALUES ($1, $2, $3) "
					  "ON CONFLICT (key_id) DO UPDATE SET at = $2, reason = $3",
					  NULL, NULL, NULL, error, DB_B(one->key_id, 32), DB_I(now), DB_I(one->reason)) :
				  any && !DB_RUN(db, "DELETE FROM refused WHERE key_id = $1", NULL, NULL, NULL, error,
						 DB_B(one->key_id, 32)))
			return FALSE;
	}
	return TRUE;
}

gboolean told_unloaded(Ledger *ledger, const ToldUnloaded *unloaded, guint n, GError **error)
{
	Telling telling = { .unloaded = unloaded, .n = n };

	return !n || (have_tables(ledger, error) && ledger_transaction(ledger, unloaded_body, &telling, error));
}

/* ------------------------------------------------------------ who asks */

typedef struct {
	guint8 id[8];
	char *name, *operator;
} Order;

static void order_clear(gpointer order)
{
	g_free(((Order *)order)->name);
	g_free(((Order *)order)->operator);
}

static gboolean take_order(const DbValue *row, guint n, gpointer user, GError **error)
{
	Order order = {};

	if (!db_get_blob(&row[0], order.id, 8))
		return TRUE;
	order.name = g_strdup(db_get_text(&row[1]));
	order.operator = g_strdup(db_get_text(&row[2]));
	g_array_append_val((GArray *)user, order);
	return TRUE;
}

static gboolean find_orders(Ledger *ledger, const char *operator, const char *name, GArray *out, GError **error)
{
	GError *local = NULL;
	gboolean ok;

	if (operator)
		ok = DB_RUN(ledger->db,
			    "SELECT p.order_id, o.name, p.name FROM order_operator p LEFT JOIN orders o ON o.id = p.order_id "
			    "WHERE p.name = $1 AND ($2 = '' OR o.name = $2) ORDER BY o.name, p.order_id",
			    take_order, out, NULL, &local, db_text(operator), db_text(name ? name : ""));
	else
		ok = DB_RUN(ledger->db,
			    "SELECT o.id, o.name, p.name FROM orders o LEFT JOIN order_operator p ON o.id = p.order_id "
			    "WHERE o.name = $1 ORDER BY o.id",
			    take_order, out, NULL, &local, db_text(name));
	if (!ok)
		return ledger_error(ledger->home, local, error);
	for (guint i = 1; i < out->len; i++) {
		const Order *a = &g_array_index(out, Order, 0), *b = &g_array_index(out, Order, i);

		if (strcmp(a->operator, b->operator)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
				    "order %s: there is one of \"%s\" and one of \"%s\". Say whose with --operator", name,
				    a->operator, b->operator);
			return FALSE;
		}
	}
	if (out->len)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s%s%s%s: no order is known%s", operator ? "operator " : "",
		    operator ? operator : "", name ? operator ? ", order " : "order " : "", name ? name : "",
		    operator ? ". The operator is the service provider's name that was sealed (seal --spn)" : " of that name");
	return FALSE;
}

/* ------------------------------------------------------------ a page */

enum { KEY_ID, EID, ICCID, STATE, REASON, PROFILE, AT, RESULT, UNIT, REFUSED };

typedef struct {
	ToldRow row;
	guint8 result[32];
	char *profile;
} Item;

static void item_clear(gpointer item)
{
	g_free(((Item *)item)->profile);
	ifpp_unit_clear(&((Item *)item)->row.unit);
}

static gboolean take_item(const DbValue *row, guint n, gpointer user, GError **error)
{
	const char *text = db_get_text(&row[UNIT]);
	Item item = {};

	if (!db_get_blob(&row[KEY_ID], item.row.key_id, 32) || !db_get_blob(&row[EID], item.row.eid, 16) ||
	    (row[ICCID].type != DB_NULL && !db_get_blob(&row[ICCID], item.row.iccid, 10))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: an entry is damaged");
		return FALSE;
	}
	item.row.state = row[STATE].num;
	item.row.reason = row[REASON].num;
	item.row.refused = row[REFUSED].type == DB_INT ? row[REFUSED].num : 0;
	item.profile = g_strdup(db_get_text(&row[PROFILE]));
	if (db_get_blob(&row[RESULT], item.result, 32))
		item.row.at = row[AT].num;
	if (*text) {
		g_autofree char *file = g_strconcat("[Unit]\n", text, NULL);
		g_autoptr(GKeyFile) kf = g_key_file_new();

		if (g_key_file_load_from_data(kf, file, -1, G_KEY_FILE_NONE, NULL))
			ifpp_unit_read(&item.row.unit, kf, "Unit");
	}
	g_array_append_val((GArray *)user, item);
	return TRUE;
}

static gboolean walk_order(Ledger *ledger, const Order *order, ToldFunc func, gpointer user, GError **error)
{
	g_autoptr(GArray) page = g_array_new(FALSE, FALSE, sizeof(Item));
	guint8 last[32] = {};
	GError *local = NULL;

	g_array_set_clear_func(page, item_clear);
	do {
		g_array_set_size(page, 0);
		if (!DB_RUN(ledger->db,
			    "SELECT b.key_id, b.eid, b.iccid, b.state, b.reason, b.profile, t.at, t.result, t.unit, f.reason FROM binding b "
			    "LEFT JOIN told t ON t.key_id = b.key_id LEFT JOIN refused f ON f.key_id = b.key_id WHERE b.order_id = $1 AND b.key_id > $2 AND b.state > 0 "
			    "ORDER BY b.key_id LIMIT $3",
			    take_item, page, NULL, &local, DB_B(order->id, 8), DB_B(last, 32), DB_I(PAGE)))
			return ledger_error(ledger->home, local, error);
		for (guint i = 0; i < page->len; i++) {
			Item *item = &g_array_index(page, Item, i);

			item->row.profile = item->profile;
			item->row.order = order->name;
			item->row.operator = order->operator;
			item->row.result = item->row.at ? item->result : NULL;
			memcpy(last, item->row.key_id, 32);
			if (!func(&item->row, user, error))
				return FALSE;
		}
	} while (page->len == PAGE);
	return TRUE;
}

gboolean told_walk(Ledger *ledger, const char *operator, const char *order, ToldFunc func, gpointer user, GError **error)
{
	g_autoptr(GArray) orders = g_array_new(FALSE, FALSE, sizeof(Order));

	g_array_set_clear_func(orders, order_clear);
	if (!have_tables(ledger, error) || !find_orders(ledger, operator, order, orders, error))
		return FALSE;
	for (guint i = 0; i < orders->len; i++)
		if (!walk_order(ledger, &g_array_index(orders, Order, i), func, user, error))
			return FALSE;
	return TRUE;
}
