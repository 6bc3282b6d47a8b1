// SPDX-License-Identifier: GPL-2.0-or-later
/* Packages by what they are, and their history. */
#include "depot.h"

#include "rows.h"

GPtrArray *depot_list(Depot *depot, const DepotFilter *filter, const DepotItem *after, guint limit, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(rows_item_free);
	static const guint8 zero[32];
	DbValue eid = after ? DB_B(after->eid, 16) : DB_B(zero, 0), key = after ? DB_B(after->key_id, 32) : DB_B(zero, 0);
	DbValue state = DB_I(filter->state);
	gboolean ok;

	/* One statement for each index, so that each engine takes it. */
#define PAGE "AND ($2 < 0 OR state = $2) AND (eid, key_id) > ($3, $4) ORDER BY eid, key_id LIMIT $5"
#define LIST(column, value) \
	DB_RUN(depot->db, "SELECT " ROWS_COLUMNS " FROM package WHERE " column " = $1 " PAGE, rows_take_item, items, NULL, error, \
	       value, state, eid, key, DB_I(limit))
	if (filter->key_id)
		ok = LIST("key_id", DB_B(filter->key_id, 32));
	else if (filter->eid)
		ok = LIST("eid", DB_B(filter->eid, 16));
	else if (filter->iccid)
		ok = LIST("iccid", db_text(filter->iccid));
	else if (filter->batch)
		ok = LIST("batch", db_text(filter->batch));
	else if (filter->operator)
		ok = LIST("operator", db_text(filter->operator));
	else
		ok = LIST("1", DB_I(1));
#undef LIST
#undef PAGE
	return ok ? g_steal_pointer(&items) : NULL;
}

static void event_free(gpointer data)
{
	DepotEvent *event = data;

	g_free(event->station);
	g_free(event->detail);
	g_free(event);
}

static gboolean take_event(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotEvent *event;

	if (row[1].num < 0 || row[1].num >= DEPOT_N_STATES)
		return rows_damaged("history", error);
	event = g_new0(DepotEvent, 1);
	event->at = row[0].num;
	event->state = row[1].num;
	event->station = row[2].type == DB_TEXT ? g_strdup(row[2].data) : NULL;
	event->detail = g_strdup(db_get_text(&row[3]));
	g_ptr_array_add(user, event);
	return TRUE;
}

GPtrArray *depot_history(Depot *depot, const guint8 key_id[32], GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(event_free);

	/* How it came here is in its own row. */
	if (!DB_RUN(depot->db, "SELECT added, 0, NULL, 'imported' FROM package WHERE key_id = $1", take_event, events,
		    NULL, error, DB_B(key_id, 32)) ||
	    !DB_RUN(depot->db, "SELECT at, state, station, detail FROM history WHERE key_id = $1 ORDER BY seq", take_event,
		    events, NULL, error, DB_B(key_id, 32)))
		return NULL;
	return g_steal_pointer(&events);
}
