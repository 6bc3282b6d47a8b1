// SPDX-License-Identifier: GPL-2.0-or-later
#include "esed.h"

#include <string.h>

#include <eid.h>
#include <request-bundle.h>

#include "depot-error.h"
#include "rows.h"

#define PAGE 500	/* chips of one transaction */
#define DIGITS_MIN 8

typedef struct {
	IfppRequest *request;
	GArray *items;
	GBytes *text, *signature;
	const char *name;
	guint8 id[32];
	GPtrArray *data;	/* of the page */
	guint from, added;
	gint64 done;
} Import;

/* ------------------------------------------------------------ what is here */

static void esed_free(gpointer data)
{
	g_free(((Esed *)data)->name);
	g_free(data);
}

static gboolean take_esed(const DbValue *row, guint n, gpointer user, GError **error)
{
	Esed *esed = g_new0(Esed, 1);

	g_ptr_array_add(user, esed);
	esed->name = row[1].type == DB_TEXT ? g_strdup(row[1].data) : NULL;
	esed->chips = row[2].num;
	esed->done = row[3].num != 0;
	esed->at = row[4].num;
	return db_get_blob(&row[0], esed->id, 32) || rows_damaged("esed", error);
}

GPtrArray *esed_list(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(esed_free);

	if (!db_run(depot->db, "SELECT id, name, chips, done, at FROM esed ORDER BY at, id", NULL, 0, take_esed, list, NULL,
		    error))
		return NULL;
	return g_steal_pointer(&list);
}

gboolean esed_find(Depot *depot, const char *name, guint8 id[32], GError **error)
{
	g_autoptr(GPtrArray) list = esed_list(depot, error);
	const Esed *found = NULL;
	guint n = 0;

	if (!list)
		return FALSE;
	for (guint i = 0; i < list->len; i++) {
		const Esed *esed = list->pdata[i];
		g_autofree char *hex = ifpp_hex(IFPP_SPAN(esed->id));

		if (g_strcmp0(esed->name, name) && !(strlen(name) >= DIGITS_MIN && g_str_has_prefix(hex, name)))
			continue;
		found = esed;
		n++;
	}
	if (n == 1 && found->done) {
		memcpy(id, found->id, 32);
		return TRUE;
	}
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "%s: %s", name,
		    n > 1 ? "several batches of that name; say the first digits of its id" :
		    n ? "this batch is not here whole; import it again" : "no such batch of an EUM");
	return FALSE;
}

static gboolean take_bytes(const DbValue *row, guint n, gpointer user, GError **error)
{
	if (row[0].type != DB_BLOB)
		return rows_damaged("euicc", error);
	*(GBytes **)user = g_bytes_new(row[0].data, row[0].len);
	return TRUE;
}

GBytes *esed_data(Db *db, const guint8 eid[16], GError **error)
{
	GBytes *data = NULL;

	DB_RUN(db, "SELECT data FROM euicc WHERE eid = $1", take_bytes, &data, NULL, error, DB_B(eid, 16));
	return data;
}

static gboolean take_eid(const DbValue *row, guint n, gpointer user, GError **error)
{
	guint8 eid[16];

	if (!db_get_blob(&row[0], eid, 16))
		return rows_damaged("euicc", error);
	g_array_append_val(user, eid);
	return TRUE;
}

GArray *esed_page(Db *db, const guint8 *id, const guint8 *after, guint limit, GError **error)
{
	g_autoptr(GArray) eids = g_array_new(FALSE, FALSE, 16);
	const DbValue from = DB_B(after ?: (const guint8 *)"", after ? 16 : 0);
	gboolean ok;

	if (id)
		ok = DB_RUN(db,
			    "SELECT c.eid FROM esed_chip c JOIN esed b ON b.id = c.esed WHERE c.esed = $1 AND c.eid > $2 "
			    "AND b.done = 1 ORDER BY c.eid LIMIT $3", take_eid, eids, NULL, error, DB_B(id, 32), from,
			    DB_I(limit));
	else
		ok = DB_RUN(db,
			    "SELECT e.eid FROM euicc e WHERE e.eid > $1 AND EXISTS (SELECT 1 FROM esed_chip c JOIN esed b "
			    "ON b.id = c.esed WHERE c.eid = e.eid AND b.done = 1) ORDER BY e.eid LIMIT $2", take_eid, eids,
			    NULL, error, from, DB_I(limit));
	return ok ? g_steal_pointer(&eids) : NULL;
}

/* ------------------------------------------------------------ importing */

typedef struct {
	gboolean there;
	guint8 sha256[32];
	gint64 counts;		/* a batch that is here whole has it */
} Have;

static gboolean take_have(const DbValue *row, guint n, gpointer user, GError **error)
{
	Have *have = user;

	have->there = TRUE;
	have->counts = row[1].num;
	return db_get_blob(&row[0], have->sha256, 32) || rows_damaged("euicc", error);
}

/* Other data of a chip only counts when the batch that brought it is here whole. */
static gboolean look(Db *db, const IfppRequestItem *item, Have *have, GError **error)
{
	char digits[33];

	memset(have, 0, sizeof(*have));
	if (!DB_RUN(db,
		    "SELECT e.sha256, (SELECT COUNT(*) FROM esed_chip c JOIN esed b ON b.id = c.esed WHERE c.eid = e.eid AND "
		    "b.done = 1) FROM euicc e WHERE e.eid = $1", take_have, have, NULL, error, DB_B(item->eid, 16)))
		return FALSE;
	if (!have->counts || !memcmp(have->sha256, item->sha256, 32))
		return TRUE;
	ifpp_eid_format(item->eid, digits);
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT,
		    "chip %s: other eUICC data of it is here, from another batch; ask the EUM which is right", digits);
	return FALSE;
}

static gboolean look_at_all(Depot *depot, const Import *import, GError **error)
{
	Have have;

	for (guint i = 0; i < import->items->len; i++)
		if (!look(depot->db, &g_array_index(import->items, IfppRequestItem, i), &have, error))
			return FALSE;
	return TRUE;
}

static gboolean begin(Db *db, gpointer user, GError **error)
{
	Import *import = user;
	const IfppSpan text = ifpp_span_bytes(import->text), signature = ifpp_span_bytes(import->signature);
	gint64 at;

	return db->ops->now(db, &at, error) &&
	       DB_RUN(db,
		      "INSERT INTO esed (id, name, chips, done, at, inventory, signature) VALUES ($1, $2, $3, 0, $4, $5, $6) "
		      "ON CONFLICT (id) DO NOTHING", NULL, NULL, NULL, error, DB_B(import->id, 32), db_text(import->name),
		      DB_I(import->items->len), DB_I(at), DB_B(text.data, text.len), DB_B(signature.data, signature.len)) &&
	       DB_RUN(db, "SELECT done FROM esed WHERE id = $1", rows_take_int, &import->done, NULL, error,
		      DB_B(import->id, 32));
}

static gboolean add_chip(Db *db, Import *import, const IfppRequestItem *item, GBytes *data, GError **error)
{
	const DbValue eid = DB_B(item->eid, 16), sha256 = DB_B(item->sha256, 32);
	const IfppSpan span = ifpp_span_bytes(data);
	Have have;

	if (!look(db, item, &have, error))
		return FALSE;
	if (!have.there && !DB_RUN(db, "INSERT INTO euicc (eid, sha256, data) VALUES ($1, $2, $3)", NULL, NULL, NULL, error, eid,
				   sha256, DB_B(span.data, span.len)))
		return FALSE;
	if (have.there && !have.counts && !DB_RUN(db, "UPDATE euicc SET sha256 = $2, data = $3 WHERE eid = $1", NULL, NULL, NULL,
						  error, eid, sha256, DB_B(span.data, span.len)))
		return FALSE;
	import->added += !have.there;
	return DB_RUN(db, "INSERT INTO esed_chip (esed, eid) VALUES ($1, $2) ON CONFLICT (esed, eid) DO NOTHING", NULL, NULL,
		      NULL, error, DB_B(import->id, 32), eid);
}

static gboolean add_page(Db *db, gpointer user, GError **error)
{
	Import *import = user;

	import->added = 0;
	for (guint i = 0; i < import->data->len; i++)
		if (!add_chip(db, import, &g_array_index(import->items, IfppRequestItem, import->from + i), import->data->pdata[i],
			      error))
			return FALSE;
	return TRUE;
}

static gboolean finish(Db *db, gpointer user, GError **error)
{
	Import *import = user;

	return DB_RUN(db, "UPDATE esed SET done = 1 WHERE id = $1", NULL, NULL, NULL, error, DB_B(import->id, 32));
}

static gboolean add_all(Depot *depot, Import *import, void (*progress)(const char *doing, guint done, guint all),
			guint *added, GError **error)
{
	for (import->from = 0; import->from < import->items->len; import->from += import->data->len) {
		g_ptr_array_set_size(import->data, 0);
		for (guint i = import->from; i < import->items->len && import->data->len < PAGE; i++) {
			GBytes *data = ifpp_request_read(import->request, i, error);

			if (!data)
				return FALSE;
			g_ptr_array_add(import->data, data);
		}
		if (!db_transaction(depot->db, add_page, import, error))
			return FALSE;
		*added += import->added;
		if (progress)
			progress("importing", import->from + import->data->len, import->items->len);
	}
	return TRUE;
}

gboolean esed_import(Depot *depot, const char *file, IfppTrust *trust,
		     void (*progress)(const char *doing, guint done, guint all), EsedCount *count, GError **error)
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, error);
	g_autoptr(GPtrArray) data = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	Import import = { .request = request, .data = data };

	memset(count, 0, sizeof(*count));
	if (!request || !ifpp_batch_verify(request, trust, error))
		return FALSE;
	import.items = ifpp_request_items(request);
	import.text = ifpp_request_text(request);
	import.signature = ifpp_request_signature(request);
	import.name = ifpp_request_order(request);
	rows_sha256(g_bytes_get_data(import.text, NULL), g_bytes_get_size(import.text), import.id);
	count->chips = import.items->len;
	count->name = g_strdup(import.name);
	if (!look_at_all(depot, &import, error) || !db_transaction(depot->db, begin, &import, error))
		return FALSE;
	return import.done || (add_all(depot, &import, progress, &count->added, error) &&
			       db_transaction(depot->db, finish, &import, error));
}

/* ------------------------------------------------------------ exporting */

typedef struct {
	Depot *depot;
	const guint8 *id;
	GBytes *text, *signature;
	gint64 chips;
	GArray *page;		/* EIDs of chips from number @from on */
	guint from;
} Export;

static gboolean take_head(const DbValue *row, guint n, gpointer user, GError **error)
{
	Export *export = user;

	if (row[0].type != DB_BLOB || row[1].type != DB_BLOB)
		return rows_damaged("esed", error);
	export->text = g_bytes_new(row[0].data, row[0].len);
	export->signature = g_bytes_new(row[1].data, row[1].len);
	export->chips = row[2].num;
	return TRUE;
}

/* The inventory is ascending by EID, as pages are. */
static GBytes *next_data(guint i, gpointer user, GError **error)
{
	Export *export = user;
	guint8 last[16];
	GBytes *data;

	if (!export->page || i >= export->from + export->page->len) {
		g_autoptr(GArray) before = g_steal_pointer(&export->page);

		if (before && before->len)
			memcpy(last, before->data + 16 * (before->len - 1), 16);
		export->page = esed_page(export->depot->db, export->id, before ? last : NULL, PAGE, error);
		export->from = i;
		if (!export->page)
			return NULL;
	}
	data = i - export->from < export->page->len ?
		       esed_data(export->depot->db, (guint8 *)export->page->data + 16 * (i - export->from), error) : NULL;
	if (!data && !*error)
		rows_damaged("esed_chip", error);
	return data;
}

gboolean esed_export(Depot *depot, const guint8 id[32], const char *path, GError **error)
{
	Export export = { .depot = depot, .id = id };
	gboolean ok;

	ok = DB_RUN(depot->db, "SELECT inventory, signature, chips FROM esed WHERE id = $1", take_head, &export, NULL, error,
		    DB_B(id, 32)) &&
	     ifpp_request_write(path, export.text, export.signature, export.chips, next_data, &export, error);
	g_clear_pointer(&export.text, g_bytes_unref);
	g_clear_pointer(&export.signature, g_bytes_unref);
	if (export.page)
		g_array_unref(export.page);
	return ok;
}
