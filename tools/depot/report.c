// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include <errno.h>
#include <string.h>

#include <deletion.h>
#include <eid.h>
#include <error.h>
#include <euicc.h>
#include <json.h>
#include <package.h>
#include <report-file.h>

#include "depot-error.h"

#define PAGE 500
#define DOUBTS_MAX 1024	/* of one chip */
#define DEPTH_MAX 8

typedef struct {
	Depot *depot;
	const DepotFilter *filter;
	IfppReportWriter *writer;
	ReportTotals *totals;
	gboolean whole;		/* every package of a chip is told */
} Report;

static void add_key(JsonBuilder *b, const guint8 key_id[32])
{
	g_autofree char *hex = ifpp_hex((IfppSpan){ key_id, 32 });

	ifpp_json_string(b, "key_id", hex);
}

static gboolean add_json(JsonBuilder *b, const char *text, GError **error)
{
	g_autoptr(GError) local = NULL;
	JsonNode *node = json_from_string(text, &local);

	if (!node) {
		g_set_error(error, DB_ERROR, DB_ERROR_FAILED, "a record that is no JSON: %s", local ? local->message : "");
		return FALSE;
	}
	json_builder_add_value(b, node);
	return TRUE;
}

/* A unit given up by the operator of the depot: there is no record, so the history has to say it. */
static gboolean add_burnt(const Report *r, JsonBuilder *b, const DepotItem *item, GError **error)
{
	g_autoptr(GPtrArray) events = depot_history(r->depot, item->key_id, error);
	const DepotEvent *last;
	g_autofree char *when = NULL;

	if (!events || !events->len)
		return FALSE;
	last = events->pdata[events->len - 1];
	/* Who has said something since, has not burnt it. */
	for (guint i = events->len - 1; i && last->state == DEPOT_BURNT; i--) {
		const DepotEvent *before = events->pdata[i - 1];

		if (before->state != DEPOT_BURNT)
			break;
		last = before;
	}
	when = depot_time(last->at);
	json_builder_begin_object(b);
	add_key(b, item->key_id);
	ifpp_json_string(b, "transaction_id", NULL);
	ifpp_json_int(b, "status", -ENXIO);
	ifpp_json_int(b, "reason", 0);
	ifpp_json_string(b, "reason_name", last->detail);
	ifpp_json_string(b, "pir", NULL);
	ifpp_json_string(b, "time", when);
	json_builder_end_object(b);
	return TRUE;
}

/* What the report needs to know of the chip: its certificate, for what was not proven when it came. */
typedef struct {
	const DepotChip *chip;
	GBytes *cert;		/* or NULL */
	GPtrArray *attempts;	/* of DepotAttempt */
	GPtrArray *refusals;	/* of DepotRefusal */
	GPtrArray *notes;	/* of JsonObject, the newest first */
	GPtrArray *deletions;	/* of JsonObject: of these packages, and signed by the chip */
	GPtrArray *unsigned_deletions;	/* of char *, why: others */
} Unit;

static void unit_clear(Unit *unit)
{
	g_clear_pointer(&unit->cert, g_bytes_unref);
	g_clear_pointer(&unit->attempts, g_ptr_array_unref);
	g_clear_pointer(&unit->refusals, g_ptr_array_unref);
	g_clear_pointer(&unit->notes, g_ptr_array_unref);
	g_clear_pointer(&unit->deletions, g_ptr_array_unref);
	g_clear_pointer(&unit->unsigned_deletions, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Unit, unit_clear)

static gboolean read_notes(const Report *r, const guint8 eid[16], Unit *unit, GError **error)
{
	g_autoptr(GPtrArray) notes = depot_notes(r->depot, eid, error);

	unit->notes = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
	for (guint i = 0; notes && i < notes->len; i++) {
		const char *text = ((const DepotNotes *)notes->pdata[i])->record;
		JsonObject *object = ifpp_json_parse((IfppSpan){ (const guint8 *)text, strlen(text) }, DEPTH_MAX, error);

		if (!object)
			return FALSE;
		g_ptr_array_add(unit->notes, object);
	}
	return notes != NULL;
}

static gboolean has_iccid(const GPtrArray *items, guint from, guint to, const guint8 iccid[10])
{
	char digits[21];

	ifpp_iccid_format(iccid, digits);
	for (guint i = from; i < to; i++)
		if (g_str_equal(((const DepotItem *)items->pdata[i])->iccid, digits))
			return TRUE;
	return FALSE;
}

/* Several stations may tell of one. */
static void read_deletions(Unit *unit, const GPtrArray *items, guint from, guint to)
{
	g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);

	unit->deletions = g_ptr_array_new();
	unit->unsigned_deletions = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < unit->notes->len; i++) {
		JsonArray *array = ifpp_json_get_array(unit->notes->pdata[i], "deletions");

		for (guint j = 0; array && j < json_array_get_length(array); j++) {
			JsonObject *object = ifpp_json_get_element(array, j);
			g_autoptr(GBytes) bytes = object ? ifpp_json_get_base64(object, "record", DEPOT_RECORD_MAX) : NULL;
			g_autoptr(IfppDeletion) deletion = bytes ? ifpp_deletion_parse(bytes, NULL) : NULL;
			g_autoptr(GError) why = NULL;

			if (!deletion || !has_iccid(items, from, to, deletion->iccid) ||
			    !g_hash_table_add(known, (gpointer)ifpp_json_get_string(object, "record")))
				continue;
			if (!unit->cert)
				g_ptr_array_add(unit->unsigned_deletions, g_strdup("a deletion: the chip's own data is not here"));
			else if (!ifpp_deletion_verify(deletion, ifpp_span_bytes(unit->cert), &why))
				g_ptr_array_add(unit->unsigned_deletions, g_strdup_printf("a deletion: %s", why->message));
			else
				g_ptr_array_add(unit->deletions, object);
		}
	}
}

static gboolean read_unit(const Report *r, const guint8 eid[16], const DepotChip *chip, Unit *unit, GError **error)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 own[16];

	unit->chip = chip;
	unit->attempts = depot_attempts(r->depot, eid, error);
	unit->refusals = unit->attempts ? depot_refusals(r->depot, eid, error) : NULL;
	if (!unit->refusals || !read_notes(r, eid, unit, error))
		return FALSE;
	if (chip && chip->euicc_proven && ifpp_euicc_data_parse(ifpp_span_bytes(chip->euicc_data), own, &ff21, &bf22, NULL))
		info = ifpp_factory_info_parse(ff21, NULL);
	unit->cert = info ? g_bytes_ref(info->cert_euicc) : NULL;
	return TRUE;
}

/* Has the chip signed it? What a station only said is a doubt, and not told again as a result. */
static gboolean is_signed(const Unit *unit, const char *record, gboolean *unspent)
{
	g_autoptr(JsonObject) object =
		ifpp_json_parse((IfppSpan){ (const guint8 *)record, strlen(record) }, DEPTH_MAX, NULL);
	g_autoptr(GBytes) bytes = object ? ifpp_json_get_base64(object, "pir", DEPOT_RECORD_MAX) : NULL;
	g_autoptr(IfppPir) pir = bytes ? ifpp_pir_parse(bytes, NULL) : NULL;

	*unspent = pir && ifpp_pir_reason_is_early(pir->reason) && !g_strcmp0(ifpp_json_get_string(object, "spent"), "no");
	return pir && unit->cert && ifpp_pir_verify(pir, ifpp_span_bytes(unit->cert), NULL);
}

/*
 * Attempts of a package beside the result that ended it. @spent, or NULL: is set if one may have spent the key.
 * Return: their number; -1: @error.
 */
static int add_attempts(const Report *r, JsonBuilder *b, const Unit *unit, const DepotItem *item, gboolean *spent,
			GError **error)
{
	gboolean unspent;
	int n = 0;

	for (guint i = 0; i < unit->attempts->len; i++) {
		const DepotAttempt *attempt = unit->attempts->pdata[i];

		if (memcmp(attempt->key_id, item->key_id, 32) || !is_signed(unit, attempt->record, &unspent))
			continue;
		if (b && !add_json(b, attempt->record, error))
			return -1;
		r->totals->results += b != NULL;
		if (spent && !unspent)
			*spent = TRUE;
		n++;
	}
	return n;
}

/* Keys that the chip's lock receipt counts as spent, and of which no result is here. */
static void add_missing(const Report *r, JsonBuilder *b, const Unit *unit, const GPtrArray *items, guint from, guint to)
{
	g_autoptr(JsonObject) lock = NULL;
	g_autoptr(GBytes) receipt = NULL;
	IfppReceipt fields;
	guint known = 0;

	if (!r->whole || !unit->chip || !unit->chip->lock || !unit->chip->lock_proven || !unit->cert)
		return;
	lock = ifpp_json_parse((IfppSpan){ (const guint8 *)unit->chip->lock, strlen(unit->chip->lock) }, DEPTH_MAX, NULL);
	receipt = lock ? ifpp_json_get_base64(lock, "receipt", DEPOT_RECORD_MAX) : NULL;
	if (!receipt || !ifpp_receipt_verify(ifpp_span_bytes(receipt), ifpp_span_bytes(unit->cert), unit->chip->eid, NULL,
					     &fields, NULL))
		return;
	for (guint i = from; i < to; i++) {
		const DepotItem *item = items->pdata[i];
		gboolean spent = item->state == DEPOT_INSTALLED || item->state == DEPOT_FAILED;

		if (!spent)
			add_attempts(r, NULL, unit, item, &spent, NULL);
		known += spent;
	}
	if (fields.spent <= known)
		return;
	ifpp_json_int(b, "missing_results", fields.spent - known);
	r->totals->missing += fields.spent - known;
}

static gboolean add_results(const Report *r, JsonBuilder *b, const Unit *unit, const GPtrArray *items, guint from,
			    guint to, GError **error)
{
	json_builder_set_member_name(b, "results");
	json_builder_begin_array(b);
	for (guint i = from; i < to; i++) {
		const DepotItem *item = items->pdata[i];
		g_autoptr(GError) local = NULL;
		g_autofree char *record = NULL;

		int attempts = add_attempts(r, b, unit, item, NULL, error);

		if (attempts < 0)
			return FALSE;
		r->totals->told += attempts || item->state > DEPOT_SENT;
		if (item->state <= DEPOT_SENT)
			continue;
		record = depot_result(r->depot, item->key_id, NULL, &local);
		if (local) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		}
		if (record ? !add_json(b, record, error) : !add_burnt(r, b, item, error))
			return FALSE;
		r->totals->results++;
	}
	json_builder_end_array(b);
	return TRUE;
}

static void add_doubt(const Report *r, JsonBuilder *b, const guint8 *key_id, const char *why)
{
	json_builder_begin_object(b);
	if (key_id)
		add_key(b, key_id);
	else
		ifpp_json_string(b, "key_id", NULL);
	ifpp_json_string(b, "why", why);
	json_builder_end_object(b);
	r->totals->unproven++;
}

/* What a station says, and the depot could not prove. */
static gboolean add_unproven(const Report *r, JsonBuilder *b, const DepotItem *first, const DepotChip *chip,
			     const Unit *unit, GError **error)
{
	g_autoptr(GPtrArray) doubts = depot_doubts(r->depot, first->eid, NULL, DOUBTS_MAX, error);

	if (!doubts)
		return FALSE;
	json_builder_set_member_name(b, "unproven");
	json_builder_begin_array(b);
	for (guint i = 0; i < doubts->len; i++) {
		const DepotDoubt *one = doubts->pdata[i];

		add_doubt(r, b, one->key_id, one->why);
	}
	if (chip && chip->lock && !chip->lock_proven)
		add_doubt(r, b, NULL, chip->proof);
	for (guint i = 0; i < unit->unsigned_deletions->len; i++)
		add_doubt(r, b, NULL, unit->unsigned_deletions->pdata[i]);
	json_builder_end_array(b);
	return TRUE;
}

/* The unit as it was told last, and what a station calls the place where it was seen. */
static gboolean add_identity(const Report *r, JsonBuilder *b, const Unit *unit, const guint8 eid[16], GError **error)
{
	g_auto(IfppUnit) identity = { 0 };
	g_autoptr(GError) local = NULL;

	if (!depot_unit(r->depot, eid, &identity, &local) && local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	ifpp_json_unit(b, &identity);
	for (guint i = 0; i < unit->notes->len; i++) {
		JsonObject *notes = unit->notes->pdata[i];
		g_auto(IfppUnit) told = { 0 };

		ifpp_json_get_unit(notes, &told);
		if (json_object_has_member(notes, "socket") &&
		    !g_strcmp0(told.field[IFPP_UNIT_USB_PATH], identity.field[IFPP_UNIT_USB_PATH]) &&
		    (!told.field[IFPP_UNIT_STATION] ||
		     !g_strcmp0(told.field[IFPP_UNIT_STATION], identity.field[IFPP_UNIT_STATION]))) {
			ifpp_json_string(b, "socket", ifpp_json_get_string(notes, "socket"));
			break;
		}
	}
	return TRUE;
}

static void add_deletions(const Report *r, JsonBuilder *b, const Unit *unit)
{
	if (!unit->deletions->len)
		return;
	json_builder_set_member_name(b, "deletions");
	json_builder_begin_array(b);
	for (guint i = 0; i < unit->deletions->len; i++) {
		JsonNode *node = json_node_alloc();

		json_builder_add_value(b, json_node_init_object(node, unit->deletions->pdata[i]));
	}
	json_builder_end_array(b);
	r->totals->deleted += unit->deletions->len;
}

/* The stations' word, of packages that nothing else is known of since. */
static void add_refused(const Report *r, JsonBuilder *b, const Unit *unit, const GPtrArray *items, guint from, guint to)
{
	guint before = r->totals->refused;

	for (guint i = 0; i < unit->refusals->len; i++) {
		const DepotRefusal *refusal = unit->refusals->pdata[i];
		gboolean found = FALSE;

		for (guint j = from; j < to && !found; j++)
			found = !memcmp(((const DepotItem *)items->pdata[j])->key_id, refusal->key_id, 32);
		if (!found)
			continue;
		if (before == r->totals->refused++) {
			json_builder_set_member_name(b, "refused");
			json_builder_begin_array(b);
		}
		json_builder_begin_object(b);
		add_key(b, refusal->key_id);
		ifpp_json_int(b, "reason", refusal->reason);
		ifpp_json_string(b, "reason_name", ifpp_reason_name(refusal->reason));
		ifpp_json_string(b, "why", refusal->why);
		ifpp_json_string(b, "time", refusal->said);
		ifpp_json_string(b, "station", refusal->station);
		json_builder_end_object(b);
	}
	if (before != r->totals->refused)
		json_builder_end_array(b);
}

/* Of several stations, the newest word. */
static void add_eim(JsonBuilder *b, const Unit *unit)
{
	for (guint i = 0; i < unit->notes->len; i++) {
		JsonNode *eim = json_object_get_member(unit->notes->pdata[i], "eim");

		if (!eim)
			continue;
		json_builder_set_member_name(b, "eim");
		json_builder_add_value(b, json_node_copy(eim));
		return;
	}
}

/* What every station has of it. Whose it is nobody can tell, so it is not in a report of some packages. */
static void add_all_of(const Report *r, JsonBuilder *b, const Unit *unit, const char *name)
{
	gboolean any = FALSE;

	for (guint i = 0; r->whole && i < unit->notes->len; i++) {
		JsonArray *array = ifpp_json_get_array(unit->notes->pdata[i], name);

		for (guint j = 0; array && j < json_array_get_length(array); j++) {
			if (!any) {
				json_builder_set_member_name(b, name);
				json_builder_begin_array(b);
			}
			any = TRUE;
			json_builder_add_value(b, json_array_dup_element(array, j));
		}
	}
	if (any)
		json_builder_end_array(b);
}

static void add_pending(const Report *r, JsonBuilder *b, const Unit *unit, const GPtrArray *items, guint from, guint to)
{
	json_builder_set_member_name(b, "pending");
	json_builder_begin_array(b);
	for (guint i = from; i < to; i++) {
		const DepotItem *item = items->pdata[i];
		g_autofree char *name = ifpp_package_file_name(item->eid, item->key_id);

		r->totals->packages[item->state]++;
		if (item->state > DEPOT_SENT || add_attempts(r, NULL, unit, item, NULL, NULL))
			continue;
		json_builder_begin_object(b);
		ifpp_json_string(b, "file", name);
		add_key(b, item->key_id);
		ifpp_json_string(b, "state", depot_state_names[item->state]);
		ifpp_json_string(b, "station", item->station);
		json_builder_end_object(b);
		r->totals->pending++;
	}
	json_builder_end_array(b);
}

static gboolean write_unit(const Report *r, const GPtrArray *items, guint from, guint to, GError **error)
{
	const DepotItem *first = items->pdata[from];
	g_autoptr(JsonBuilder) b = ifpp_json_new(NULL);
	g_autoptr(DepotChip) chip = NULL;
	g_autoptr(GError) local = NULL;
	g_autofree char *data = NULL;
	g_auto(Unit) unit = { 0 };
	char eid[33];

	chip = depot_chip(r->depot, first->eid, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (chip && chip->euicc_data)
		data = g_base64_encode(g_bytes_get_data(chip->euicc_data, NULL), g_bytes_get_size(chip->euicc_data));
	ifpp_eid_format(first->eid, eid);
	ifpp_json_string(b, "eid", eid);
	ifpp_json_string(b, "euicc_data", data);
	if (!read_unit(r, first->eid, chip, &unit, error) || !add_identity(r, b, &unit, first->eid, error) ||
	    !add_results(r, b, &unit, items, from, to, error))
		return FALSE;
	read_deletions(&unit, items, from, to);
	add_deletions(r, b, &unit);
	add_refused(r, b, &unit, items, from, to);
	add_pending(r, b, &unit, items, from, to);
	add_missing(r, b, &unit, items, from, to);
	if (!add_unproven(r, b, first, chip, &unit, error))
		return FALSE;
	json_builder_set_member_name(b, "lock");
	if (!chip || !chip->lock)
		json_builder_add_null_value(b);
	else if (!add_json(b, chip->lock, error))
		return FALSE;
	add_eim(b, &unit);
	add_all_of(r, b, &unit, "quarantine");
	add_all_of(r, b, &unit, "damaged");
	r->totals->units++;
	r->totals->locked += chip && chip->lock;
	return ifpp_report_put_unit(r->writer, g_steal_pointer(&b), error);
}

static gboolean same_chip(const GPtrArray *items, guint a, guint b)
{
	return !memcmp(((DepotItem *)items->pdata[a])->eid, ((DepotItem *)items->pdata[b])->eid, 16);
}

/* Pages end anywhere; a chip that may go on in the next one is kept for it. */
static gboolean write_units(const Report *r, GError **error)
{
	g_autoptr(GPtrArray) items = depot_list(r->depot, r->filter, NULL, PAGE, error);
	gboolean more;

	if (!items)
		return FALSE;
	more = items->len == PAGE;
	while (items->len) {
		guint from = 0;

		for (guint to = 1; to <= items->len; to++) {
			if (to == items->len ? more : same_chip(items, from, to))
				continue;
			if (!write_unit(r, items, from, to, error))
				return FALSE;
			from = to;
		}
		if (more) {
			g_autoptr(GPtrArray) next = depot_list(r->depot, r->filter, items->pdata[items->len - 1], PAGE, error);

			if (!next)
				return FALSE;
			more = next->len == PAGE;
			g_ptr_array_remove_range(items, 0, from);
			g_ptr_array_extend_and_steal(items, g_steal_pointer(&next));
		} else {
			g_ptr_array_set_size(items, 0);
		}
	}
	return TRUE;
}

static gboolean write_report(IfppReportWriter *writer, gpointer user, GError **error)
{
	Report *r = user;
	const ReportTotals *t = r->totals;
	JsonBuilder *b;

	r->writer = writer;
	if (!write_units(r, error))
		return FALSE;
	/* So that a unit or a package that was cut out on the way is missed. */
	b = ifpp_json_new(NULL);
	json_builder_set_member_name(b, "totals");
	json_builder_begin_object(b);
	ifpp_json_int(b, "units", t->units);
	ifpp_json_int(b, "packages", t->told + t->pending);
	ifpp_json_int(b, "results", t->results);
	ifpp_json_int(b, "pending", t->pending);
	ifpp_json_int(b, "locked", t->locked);
	ifpp_json_int(b, "unproven", t->unproven);
	ifpp_json_int(b, "missing_results", t->missing);
	if (t->refused)
		ifpp_json_int(b, "refused", t->refused);
	if (t->deleted)
		ifpp_json_int(b, "deleted", t->deleted);
	json_builder_end_object(b);
	return ifpp_report_put_end(writer, b, error);
}

gboolean depot_report(Depot *depot, const DepotFilter *filter, const char *path, ReportTotals *totals, GError **error)
{
	g_autofree char *now = depot_time(g_get_real_time() / 1000);
	Report r = { .depot = depot, .filter = filter, .totals = totals };

	r.whole = !filter->key_id && !filter->iccid && !filter->operator && !filter->batch && filter->state < 0;
	memset(totals, 0, sizeof(*totals));
	return ifpp_report_write(path, 0644, now, write_report, &r, error);
}
