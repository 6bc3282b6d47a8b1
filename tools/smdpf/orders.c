// SPDX-License-Identifier: GPL-2.0-or-later
#include "orders.h"

#include <string.h>

#include "chain.h"
#include "eid.h"
#include "error.h"

#define PAGE 500		/* ICCIDs read or written at once */

/* Of an ICCID i: also nobody who had to give it up and is out or loaded all the same. */
#define NO_HOLDER "NOT EXISTS (SELECT 1 FROM binding b WHERE b.iccid = i.iccid AND b.hold = 1) AND " \
		  "NOT EXISTS (SELECT 1 FROM binding b WHERE b.iccid = i.iccid AND b.hold = 2) AND " \
		  "NOT EXISTS (SELECT 1 FROM binding b WHERE b.iccid = i.iccid AND b.hold = 0 AND b.state IN (1, 2))"

#define COLUMNS "id, name, profile, class, iccids, state, since, last"
enum { ID, NAME, PROFILE, CLASS, ICCIDS, STATE, SINCE, LAST };

static gboolean take_int(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

/* ------------------------------------------------------------ looking */

typedef struct {
	OrderFunc func;
	gpointer user;
} Walk;

static gboolean order_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	Walk *walk = user;
	Order order = {
		.name = db_get_text(&row[NAME]), .profile = db_get_text(&row[PROFILE]), .class = row[CLASS].num,
		.iccids = row[ICCIDS].num, .cancelled = row[STATE].num != 0, .since = row[SINCE].num, .last = row[LAST].num,
	};

	if (db_get_blob(&row[ID], order.id, sizeof(order.id)))
		return walk->func(&order, walk->user, error);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: an order is damaged");
	return FALSE;
}

gboolean orders_foreach(Ledger *ledger, OrderFunc func, gpointer user, GError **error)
{
	Walk walk = { func, user };
	GError *local = NULL;

	return db_run(ledger->db, "SELECT " COLUMNS " FROM orders ORDER BY since, id", NULL, 0, order_row, &walk, NULL, &local) ||
	       ledger_error(ledger->home, local, error);
}

typedef struct {
	Order order;
	GString *ids;
	guint n;
} Found;

static gboolean take_order(const Order *order, gpointer user, GError **error)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(order->id));
	Found *found = user;

	if (found->n++) {
		g_string_append_printf(found->ids, ", %s", id);
		return TRUE;
	}
	g_string_assign(found->ids, id);
	found->order = *order;
	found->order.name = g_strdup(order->name);
	found->order.profile = g_strdup(order->profile);
	return TRUE;
}

void orders_clear(Order *order)
{
	g_free((char *)order->name);
	g_free((char *)order->profile);
	*order = (Order){};
}

gboolean orders_find(Ledger *ledger, const char *text, Order *order, GError **error)
{
	g_autoptr(GString) ids = g_string_new(NULL);
	Found found = { .ids = ids };
	Walk walk = { take_order, &found };
	GError *local = NULL;
	guint8 id[8] = {};
	gboolean ok;

	*order = (Order){};
	ok = DB_RUN(ledger->db, "SELECT " COLUMNS " FROM orders WHERE name = $1 ORDER BY since, id", order_row, &walk, NULL,
		    &local, db_text(text));
	if (ok && !found.n && ifpp_unhex_into(text, id, sizeof(id)))
		ok = DB_RUN(ledger->db, "SELECT " COLUMNS " FROM orders WHERE id = $1", order_row, &walk, NULL, &local,
			    DB_B(id, sizeof(id)));
	*order = found.order;
	if (ok && found.n == 1)
		return TRUE;
	orders_clear(order);
	if (!ok)
		return ledger_error(ledger->home, local, error);
	if (found.n)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "order %s: %u have that name; give the id of one: %s", text,
			    found.n, ids->str);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "order %s: there is none; ifpp-smdpf order list names them", text);
	return FALSE;
}

static gboolean count_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	OrderCounts *counts = user;

	switch (row[0].num) {
	case LEDGER_RESERVED:
		counts->reserved += row[2].num;
		break;
	case LEDGER_BOUND:
		counts->sealed += row[2].num;
		break;
	case LEDGER_INSTALLED:
		counts->installed += row[2].num;
		break;
	case LEDGER_FAILED:
		counts->failed += row[2].num;
		break;
	case LEDGER_VOID:
		*(row[1].num ? &counts->void_proof : &counts->void_word) += row[2].num;
		break;
	}
	return TRUE;
}

gboolean orders_count(Ledger *ledger, const Order *order, OrderCounts *counts, GError **error)
{
	GError *local = NULL;

	*counts = (OrderCounts){ .free = ORDER_UNKNOWN };
	if (!DB_RUN(ledger->db,
		    "SELECT state, CASE WHEN state = 4 THEN reason ELSE 0 END AS why, COUNT(*) FROM binding WHERE order_id = $1 "
		    "GROUP BY state, why", count_row, counts, NULL, &local, DB_B(order->id, 8)))
		return ledger_error(ledger->home, local, error);
	return order->iccids <= 0 ||
	       DB_RUN(ledger->db,
		      "SELECT COUNT(*) FROM order_iccid i WHERE order_id = $1 AND "
		      NO_HOLDER, take_int, &counts->free,
		      NULL, &local, DB_B(order->id, 8)) ||
	       ledger_error(ledger->home, local, error);
}

typedef struct {
	OrderIccidFunc func;
	gpointer user;
	guint8 last[10];
	guint n;
} Page;

static gboolean iccid_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	Page *page = user;

	page->n++;
	return !db_get_blob(&row[0], page->last, sizeof(page->last)) || page->func(page->last, page->user, error);
}

gboolean orders_free_iccids(Ledger *ledger, const guint8 id[8], OrderIccidFunc func, gpointer user, GError **error)
{
	Page page = { .func = func, .user = user };
	GError *local = NULL;
	gboolean ok;

	do {
		page.n = 0;
		ok = DB_RUN(ledger->db,
			    "SELECT iccid FROM order_iccid i WHERE order_id = $1 AND iccid > $2 AND "
			    NO_HOLDER " ORDER BY iccid LIMIT $3",
			    iccid_row, &page, NULL, &local, DB_B(id, 8), DB_B(page.last, sizeof(page.last)), DB_I(PAGE));
	} while (ok && page.n == PAGE);
	return ok || ledger_error(ledger->home, local, error);
}

/* ------------------------------------------------------------ in a transaction */

gboolean orders_check(Ledger *ledger, const guint8 id[8], GError **error)
{
	g_autofree char *hex = ifpp_hex((IfppSpan){ id, 8 });
	gint64 state = 0;

	if (!DB_RUN(ledger->db, "SELECT state FROM orders WHERE id = $1", take_int, &state, NULL, error, DB_B(id, 8)))
		return FALSE;
	if (!state)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_ORDER, "order %s: is cancelled, nothing more is sealed for it", hex);
	return FALSE;
}

gboolean orders_keep(Ledger *ledger, const guint8 iccid[10], gboolean *kept, GError **error)
{
	gint64 found = 0;

	if (!DB_RUN(ledger->db,
		    "SELECT 1 FROM order_iccid i JOIN orders o ON o.id = i.order_id WHERE i.iccid = $1 AND o.state <> 0 LIMIT 1",
		    take_int, &found, NULL, error, DB_B(iccid, 10)))
		return FALSE;
	*kept = found != 0;
	return TRUE;
}

gboolean orders_touch(Ledger *ledger, const guint8 id[8], GError **error)
{
	return DB_RUN(ledger->db, "UPDATE orders SET last = $2 WHERE id = $1", NULL, NULL, NULL, error, DB_B(id, 8),
		      DB_I(ledger->head.seq));
}

gboolean orders_insert(Ledger *ledger, const guint8 id[8], const char *name, GError **error)
{
	return DB_RUN(ledger->db,
		      "INSERT INTO orders (" COLUMNS ") VALUES ($1, $2, '', -1, -1, 0, 0, 0) ON CONFLICT (id) DO NOTHING", NULL,
		      NULL, NULL, error, DB_B(id, 8), db_text(name));
}

gboolean orders_set_state(Ledger *ledger, const guint8 id[8], gboolean cancelled, GError **error)
{
	return DB_RUN(ledger->db, "UPDATE orders SET state = $2 WHERE id = $1", NULL, NULL, NULL, error, DB_B(id, 8),
		      DB_I(cancelled));
}

/* ------------------------------------------------------------ making it known */

typedef struct {
	Ledger *ledger;
	const Order *order;
	const guint8 *iccids;	/* of the page */
	guint n;
	gint64 known;		/* how many ICCIDs; -2: there is no such order */
} Open;

/* One that was adopted has no name; the operator gives it again. */
static gboolean name_again(Db *db, Open *open, const char *text, GError **error)
{
	gint64 changed = 0;

	return DB_RUN(db, "UPDATE orders SET name = $2 WHERE id = $1 AND name = ''", NULL, NULL, &changed, error, DB_B(open->order->id, 8),
		      db_text(open->order->name)) &&
	       (!changed || chain_append(open->ledger, text, 0, error));
}

static gboolean open_body(Db *db, gpointer user, GError **error)
{
	Open *open = user;
	const Order *order = open->order;
	g_autofree char *id = ifpp_hex(IFPP_SPAN(order->id)), *name = g_uri_escape_string(order->name, NULL, FALSE);
	g_autofree char *text = g_strdup_printf("order %s %s\n", id, name);
	gint64 now;

	open->known = -2;
	if (!DB_RUN(db, "SELECT iccids FROM orders WHERE id = $1", take_int, &open->known, NULL, error, DB_B(order->id, 8)))
		return FALSE;
	if (open->known == -2 && (!chain_append(open->ledger, text, 0, error) || !db->ops->now(db, &now, error) ||
				  !orders_insert(open->ledger, order->id, order->name, error) ||
				  !DB_RUN(db, "UPDATE orders SET since = $2, last = $3 WHERE id = $1", NULL, NULL, NULL, error,
					  DB_B(order->id, 8), DB_I(now), DB_I(open->ledger->head.seq))))
		return FALSE;
	if (open->known != -2 && *order->name && !name_again(db, open, text, error))
		return FALSE;
	/* also of one that an earlier version has begun */
	return open->known >= 0 ||
	       DB_RUN(db, "UPDATE orders SET profile = $2, class = $3, iccids = CASE WHEN $4 = 0 THEN 0 ELSE iccids END "
		      "WHERE id = $1", NULL, NULL, NULL, error, DB_B(order->id, 8), db_text(order->profile),
		      DB_I(order->class), DB_I(order->iccids));
}

static gboolean iccids_body(Db *db, gpointer user, GError **error)
{
	static const guint8 unknown[10];
	Open *open = user;

	for (guint i = 0; i < open->n; i++) {
		const guint8 *iccid = open->iccids + 10 * i;

		if (memcmp(iccid, unknown, sizeof(unknown)) &&
		    !DB_RUN(db, "INSERT INTO order_iccid (order_id, iccid) VALUES ($1, $2) ON CONFLICT (order_id, iccid) DO NOTHING",
			    NULL, NULL, NULL, error, DB_B(open->order->id, 8), DB_B(iccid, 10)))
			return FALSE;
	}
	return TRUE;
}

/* Only now: what was interrupted begins again. */
static gboolean known_body(Db *db, gpointer user, GError **error)
{
	Open *open = user;

	return DB_RUN(db,
		      "UPDATE orders SET iccids = (SELECT COUNT(*) FROM order_iccid WHERE order_id = $1) "
		      "WHERE id = $1 AND iccids < 0", NULL, NULL, NULL, error, DB_B(open->order->id, 8));
}

static gboolean check_body(Db *db, gpointer user, GError **error)
{
	Open *open = user;

	return orders_check(open->ledger, open->order->id, error);
}

gboolean orders_open(Ledger *ledger, const Order *order, const guint8 *iccids, GError **error)
{
	Open open = { .ledger = ledger, .order = order };

	if (!ledger_transaction(ledger, open_body, &open, error))
		return FALSE;
	for (gint64 i = 0; open.known < 0 && i < order->iccids; i += PAGE) {
		open.iccids = iccids + 10 * i;
		open.n = MIN(PAGE, order->iccids - i);
		if (!ledger_transaction(ledger, iccids_body, &open, error))
			return FALSE;
	}
	return (open.known >= 0 || !order->iccids || ledger_transaction(ledger, known_body, &open, error)) &&
	       ledger_transaction(ledger, check_body, &open, error);
}

/* ------------------------------------------------------------ cancelling */

typedef struct {
	Ledger *ledger;
	const guint8 *id, *iccid;
	gboolean cancel, *changed;
	const char *who, *reason;
	gint64 *kept;
} Change;

static gboolean cancel_body(Db *db, gpointer user, GError **error)
{
	Change *change = user;
	g_autofree char *id = ifpp_hex((IfppSpan){ change->id, 8 });
	g_autofree char *reason = g_uri_escape_string(change->reason, NULL, FALSE);
	g_autofree char *text = g_strdup_printf("%s %s %s\n", change->cancel ? "cancelled" : "resumed", id, reason);
	gint64 state = -1;

	if (!DB_RUN(db, "SELECT state FROM orders WHERE id = $1", take_int, &state, NULL, error, DB_B(change->id, 8)))
		return FALSE;
	*change->changed = state != change->cancel;
	return !*change->changed || (chain_append(change->ledger, text, 0, error) &&
				     orders_set_state(change->ledger, change->id, change->cancel, error) &&
				     orders_touch(change->ledger, change->id, error));
}

gboolean orders_cancel(Ledger *ledger, const guint8 id[8], gboolean cancel, const char *reason, gboolean *changed,
		       GError **error)
{
	Change change = { .ledger = ledger, .id = id, .cancel = cancel, .reason = reason, .changed = changed };

	return ledger_transaction(ledger, cancel_body, &change, error);
}

static gboolean release_body(Db *db, gpointer user, GError **error)
{
	Change *change = user;
	g_autofree char *iccid = ifpp_hex((IfppSpan){ change->iccid, 10 });
	g_autofree char *who = g_uri_escape_string(change->who, NULL, FALSE);
	g_autofree char *reason = g_uri_escape_string(change->reason, NULL, FALSE);
	g_autofree char *text = g_strdup_printf("released %s %s %s\n", iccid, who, reason);

	return DB_RUN(db,
		      "DELETE FROM order_iccid WHERE iccid = $1 AND order_id IN (SELECT id FROM orders WHERE state <> 0)", NULL,
		      NULL, change->kept, error, DB_B(change->iccid, 10)) &&
	       (!*change->kept || chain_append(change->ledger, text, 0, error));
}

gboolean orders_release(Ledger *ledger, const guint8 iccid[10], const char *who, const char *reason, gint64 *kept,
			GError **error)
{
	Change change = { .ledger = ledger, .iccid = iccid, .who = who, .reason = reason, .kept = kept };

	return ledger_transaction(ledger, release_body, &change, error);
}
