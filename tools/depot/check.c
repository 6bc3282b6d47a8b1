// SPDX-License-Identifier: GPL-2.0-or-later
#include "backup.h"

#include <string.h>

#include <tlv.h>

#include "rows.h"

#define PAGE 500

typedef struct {
	Depot *depot;
	CheckTotals *totals;
	void (*tell)(const char *line, gpointer user);
	gpointer user;
} Check;

static void wrong(const Check *c, const guint8 key_id[32], const char *what)
{
	g_autofree char *key = ifpp_hex((IfppSpan){ key_id, 32 });
	g_autofree char *line = g_strdup_printf("%s %s", key, what);

	c->totals->bad++;
	c->tell(line, c->user);
}

static gboolean check_bytes(const Check *c, const DepotItem *item, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(GBytes) bytes = depot_package(c->depot, item->key_id, &local);
	guint8 sum[32];
	gsize len;
	const void *data;

	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (!bytes) {
		wrong(c, item->key_id, "has no bytes");
		return TRUE;
	}
	data = g_bytes_get_data(bytes, &len);
	rows_sha256(data, len, sum);
	c->totals->bytes += len;
	if ((gint64)len != item->bytes || memcmp(sum, item->sha256, 32))
		wrong(c, item->key_id, "has other bytes than were delivered");
	return TRUE;
}

typedef struct {
	gint64 next, state;
	gboolean gap;
} Chain;

static gboolean take_event(const DbValue *row, guint n, gpointer user, GError **error)
{
	Chain *chain = user;

	chain->gap |= row[0].num != ++chain->next;
	chain->state = row[1].num;
	return TRUE;
}

static gboolean check_history(const Check *c, const DepotItem *item, GError **error)
{
	Chain chain = { .state = DEPOT_FREE };

	if (!DB_RUN(c->depot->db, "SELECT seq, state FROM history WHERE key_id = $1 ORDER BY seq", take_event, &chain, NULL,
		    error, DB_B(item->key_id, 32)))
		return FALSE;
	c->totals->events += chain.next;
	if (chain.gap)
		wrong(c, item->key_id, "has a gap in its history");
	else if (chain.state != (gint64)item->state)
		wrong(c, item->key_id, "is in another state than its history ends with");
	return TRUE;
}

typedef struct {
	gboolean there;
	guint8 sha256[32], sum[32];
} Record;

static gboolean take_record(const DbValue *row, guint n, gpointer user, GError **error)
{
	Record *record = user;
	const char *text = db_get_text(&row[1]);

	record->there = TRUE;
	rows_sha256(text, strlen(text), record->sum);
	return db_get_blob(&row[0], record->sha256, 32) || rows_damaged("result", error);
}

static gboolean check_result(const Check *c, const DepotItem *item, GError **error)
{
	Record record = {};

	if (!DB_RUN(c->depot->db, "SELECT sha256, record FROM result WHERE key_id = $1", take_record, &record, NULL, error,
		    DB_B(item->key_id, 32)))
		return FALSE;
	c->totals->results += record.there;
	if (record.there && memcmp(record.sum, record.sha256, 32))
		wrong(c, item->key_id, "has another result than was brought");
	return TRUE;
}

gboolean depot_check(Depot *depot, CheckTotals *totals, void (*tell)(const char *line, gpointer user), gpointer user,
		     GError **error)
{
	const DepotFilter all = { .state = -1 };
	Check c = { depot, totals, tell, user };
	g_autoptr(GPtrArray) page = NULL;

	memset(totals, 0, sizeof(*totals));
	do {
		g_autoptr(GPtrArray) next = depot_list(depot, &all, page ? page->pdata[page->len - 1] : NULL, PAGE, error);

		if (!next)
			return FALSE;
		for (guint i = 0; i < next->len; i++) {
			const DepotItem *item = next->pdata[i];

			if (!check_bytes(&c, item, error) || !check_history(&c, item, error) || !check_result(&c, item, error))
				return FALSE;
		}
		totals->packages += next->len;
		g_clear_pointer(&page, g_ptr_array_unref);
		page = g_steal_pointer(&next);
	} while (page->len == PAGE);
	return TRUE;
}
