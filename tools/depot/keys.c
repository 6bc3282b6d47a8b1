// SPDX-License-Identifier: GPL-2.0-or-later
#include "keys.h"

#include <string.h>

#include <eid.h>
#include <euicc.h>

#include "depot-error.h"
#include "esed.h"
#include "rows.h"

#define PAGE 200	/* chips of one transaction: stations claim meanwhile */

typedef struct {
	guint8 id[32];
	gboolean own, others;
} Key;

/* A chip's keys, in the order of its data. */
typedef struct {
	GArray *keys;
	const char *key_maker;
} Chip;

static Key *find(const Chip *chip, const DbValue *value)
{
	guint8 id[32];

	if (!db_get_blob(value, id, 32))
		return NULL;
	for (guint i = 0; i < chip->keys->len; i++) {
		Key *key = &g_array_index(chip->keys, Key, i);

		if (!memcmp(key->id, id, 32))
			return key;
	}
	return NULL;
}

static gboolean take_owner(const DbValue *row, guint n, gpointer user, GError **error)
{
	const Chip *chip = user;
	Key *key = find(chip, &row[0]);

	if (key) {
		key->own = g_str_equal(db_get_text(&row[1]), chip->key_maker);
		key->others = !key->own;
	}
	return TRUE;
}

/* For which there is a package: whoever made it has the key, unless it is assigned. */
static gboolean take_used(const DbValue *row, guint n, gpointer user, GError **error)
{
	Key *key = find(user, &row[0]);

	if (key && !key->own)
		key->others = TRUE;
	return TRUE;
}

static gboolean parse_keys(GBytes *data, GArray *keys, GError **error)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16];

	if (!ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, error) ||
	    !(info = ifpp_factory_info_parse(ff21, error)))
		return FALSE;
	for (guint i = 0; i < info->keys->len; i++) {
		Key key = {};

		memcpy(key.id, g_array_index(info->keys, IfppOtk, i).key_id, 32);
		g_array_append_val(keys, key);
	}
	return TRUE;
}

static gboolean few(const guint8 eid[16], guint n, guint own, guint fresh, const char *key_maker, GError **error)
{
	char digits[33];

	ifpp_eid_format(eid, digits);
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_KEYS,
		    "chip %s: %u keys are asked for; %u are assigned to %s, and %u to nobody", digits, n, own, key_maker, fresh);
	return FALSE;
}

/* Own ones first come first, then such as are nobody's: their ids in @chosen, and in @fresh which of them were nobody's. */
static gboolean choose(Db *db, const guint8 eid[16], const char *key_maker, guint n, GBytes **data, GArray *chosen,
		       GArray *fresh, GError **error)
{
	g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(Key));
	g_autoptr(GBytes) bytes = esed_data(db, eid, error);
	Chip chip = { keys, key_maker };
	guint own = 0, nobodys = 0, more;

	if (!bytes)
		return *error ? FALSE : rows_damaged("esed_chip", error);
	if (!parse_keys(bytes, keys, error) ||
	    !DB_RUN(db, "SELECT key_id, key_maker FROM otk WHERE eid = $1", take_owner, &chip, NULL, error, DB_B(eid, 16)) ||
	    !DB_RUN(db, "SELECT key_id FROM package WHERE eid = $1", take_used, &chip, NULL, error, DB_B(eid, 16)))
		return FALSE;
	for (guint i = 0; i < keys->len; i++) {
		own += g_array_index(keys, Key, i).own;
		nobodys += !g_array_index(keys, Key, i).own && !g_array_index(keys, Key, i).others;
	}
	if (own + nobodys < n)
		return few(eid, n, own, nobodys, key_maker, error);
	more = n > own ? n - own : 0;
	for (guint i = 0; i < keys->len && chosen->len < n; i++) {
		const Key *key = &g_array_index(keys, Key, i);

		if (key->others || (!key->own && !more))
			continue;
		g_array_append_vals(chosen, key->id, 1);
		if (key->own)
			continue;
		more--;
		g_array_append_vals(fresh, key->id, 1);
	}
	if (data)
		*data = g_steal_pointer(&bytes);
	return TRUE;
}

typedef struct {
	const char *key_maker;
	guint n, assigned;
	GArray *eids;
	gboolean look_only;
} Assign;

static gboolean assign_page(Db *db, gpointer user, GError **error)
{
	Assign *a = user;
	gint64 at;

	a->assigned = 0;
	if (!db->ops->now(db, &at, error))
		return FALSE;
	for (guint i = 0; i < a->eids->len; i++) {
		const guint8 *eid = (const guint8 *)a->eids->data + 16 * i;
		g_autoptr(GArray) chosen = g_array_new(FALSE, FALSE, 32), fresh = g_array_new(FALSE, FALSE, 32);

		if (!choose(db, eid, a->key_maker, a->n, NULL, chosen, fresh, error))
			return FALSE;
		for (guint k = 0; k < fresh->len && !a->look_only; k++)
			if (!DB_RUN(db, "INSERT INTO otk (key_id, eid, key_maker, at) VALUES ($1, $2, $3, $4)", NULL, NULL, NULL,
				    error, DB_B(fresh->data + 32 * k, 32), DB_B(eid, 16), db_text(a->key_maker), DB_I(at)))
				return FALSE;
		a->assigned += fresh->len;
	}
	return TRUE;
}

/* Calls @func for the EIDs of each page. */
static gboolean each_page(Depot *depot, const guint8 *esed, gboolean (*func)(Depot *, GArray *, gpointer, GError **),
			  gpointer user, guint *chips, GError **error)
{
	guint8 last[16];
	guint n;

	*chips = 0;
	do {
		g_autoptr(GArray) eids = esed_page(depot->db, esed, *chips ? last : NULL, PAGE, error);

		if (!eids)
			return FALSE;
		n = eids->len;
		if (n && !func(depot, eids, user, error))
			return FALSE;
		if (n)
			memcpy(last, eids->data + 16 * (n - 1), 16);
		*chips += n;
	} while (n == PAGE);
	return TRUE;
}

typedef struct {
	Assign assign;
	guint assigned;
} Run;

static gboolean look_at_page(Depot *depot, GArray *eids, gpointer user, GError **error)
{
	Run *run = user;

	run->assign.eids = eids;
	run->assign.look_only = TRUE;
	return assign_page(depot->db, &run->assign, error);
}

static gboolean take_page(Depot *depot, GArray *eids, gpointer user, GError **error)
{
	Run *run = user;

	run->assign.eids = eids;
	run->assign.look_only = FALSE;
	if (!db_transaction(depot->db, assign_page, &run->assign, error))
		return FALSE;
	run->assigned += run->assign.assigned;
	return TRUE;
}

gboolean keys_assign(Depot *depot, const guint8 *esed, const char *key_maker, guint n, guint *assigned, GError **error)
{
	Run run = { .assign = { .key_maker = key_maker, .n = n } };
	guint chips;

	if (!each_page(depot, esed, look_at_page, &run, &chips, error))
		return FALSE;
	if (!chips) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_KEYS, "no chip is here; import a batch of the EUM first");
		return FALSE;
	}
	if (!each_page(depot, esed, take_page, &run, &chips, error))
		return FALSE;
	*assigned = run.assigned;
	return TRUE;
}

GBytes *keys_data(Depot *depot, const guint8 eid[16], const char *key_maker, guint n, GError **error)
{
	g_autoptr(GArray) chosen = g_array_new(FALSE, FALSE, 32), fresh = g_array_new(FALSE, FALSE, 32);
	g_autoptr(GBytes) data = NULL;

	if (!choose(depot->db, eid, key_maker, n, &data, chosen, fresh, error))
		return NULL;
	if (fresh->len) {
		few(eid, n, n - fresh->len, fresh->len, key_maker, error);
		return NULL;
	}
	return ifpp_euicc_data_keep(ifpp_span_bytes(data), (const guint8(*)[32])chosen->data, chosen->len, error);
}

/* ------------------------------------------------------------ the request */

typedef struct {
	Depot *depot;
	const IfppRequestHead *head;
	gboolean imei;
	GArray *items;
} Ask;

/* As stations have told it last; no device is no error. */
static gboolean tell_device(Depot *depot, IfppRequestItem *item, GError **error)
{
	g_auto(IfppUnit) unit = { 0 };
	g_autoptr(GError) local = NULL;

	if (!depot_unit(depot, item->eid, &unit, &local) && local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (!unit.field[IFPP_UNIT_IMEI] || !ifpp_imei_read(unit.field[IFPP_UNIT_IMEI], item->imei))
		*item->imei = '\0';
	return TRUE;
}

static gboolean add_page(Depot *depot, GArray *eids, gpointer user, GError **error)
{
	Ask *ask = user;

	for (guint i = 0; i < eids->len; i++) {
		const guint8 *eid = (const guint8 *)eids->data + 16 * i;
		g_autoptr(GBytes) data = keys_data(depot, eid, ask->head->key_maker, ask->head->keys_each, error);
		IfppRequestItem item = {};

		if (!data || !ifpp_request_item(data, &item, error) || (ask->imei && !tell_device(depot, &item, error)))
			return FALSE;
		g_array_append_val(ask->items, item);
	}
	if (ask->items->len <= IFPP_REQUEST_CHIPS_MAX)
		return TRUE;
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, "more chips than a request holds (%d); ask batch by batch",
		    IFPP_REQUEST_CHIPS_MAX);
	return FALSE;
}

static GBytes *data_of(guint i, gpointer user, GError **error)
{
	const Ask *ask = user;
	const IfppRequestItem *item = &g_array_index(ask->items, IfppRequestItem, i);

	return keys_data(ask->depot, item->eid, ask->head->key_maker, ask->head->keys_each, error);
}

static gboolean is_there(const char *path, GBytes *text)
{
	g_autoptr(IfppRequest) there = ifpp_request_open(path, NULL);
	gboolean same = there && g_bytes_equal(ifpp_request_text(there), text);

	for (guint i = 0; same && i < ifpp_request_items(there)->len; i++) {
		g_autoptr(GBytes) data = ifpp_request_read(there, i, NULL);

		same = data != NULL;
	}
	return same;
}

gboolean keys_request(Depot *depot, const guint8 *esed, const IfppRequestHead *head, gboolean imei, const char *path, guint *chips,
		      gboolean *written, GError **error)
{
	g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(IfppRequestItem));
	Ask ask = { depot, head, imei, items };
	g_autoptr(GBytes) text = NULL;

	if (!each_page(depot, esed, add_page, &ask, chips, error))
		return FALSE;
	text = ifpp_request_format(head, items);
	*written = !is_there(path, text);
	return !*written || ifpp_request_write(path, text, NULL, items->len, data_of, &ask, error);
}

/* ------------------------------------------------------------ looking */

static void count_free(gpointer data)
{
	g_free(((KeysCount *)data)->key_maker);
	g_free(data);
}

static gboolean take_count(const DbValue *row, guint n, gpointer user, GError **error)
{
	KeysCount *count = g_new0(KeysCount, 1);

	count->key_maker = g_strdup(db_get_text(&row[0]));
	count->chips = row[1].num;
	count->keys = row[2].num;
	count->packages = row[3].num;
	g_ptr_array_add(user, count);
	return TRUE;
}

GPtrArray *keys_list(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(count_free);

	if (!db_run(depot->db,
		    "SELECT o.key_maker, COUNT(DISTINCT o.eid), COUNT(*), COUNT(p.key_id) FROM otk o LEFT JOIN package p "
		    "ON p.key_id = o.key_id GROUP BY o.key_maker ORDER BY o.key_maker", NULL, 0, take_count, list, NULL, error))
		return NULL;
	return g_steal_pointer(&list);
}
