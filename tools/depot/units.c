// SPDX-License-Identifier: GPL-2.0-or-later
#include "units.h"

#include <string.h>

#include <eid.h>
#include <euicc.h>
#include <json.h>

#include "rows.h"

const char *const units_key_names[UNITS_KEYS] = { NULL, "eid", "order", "imei", "serial", "board_serial", "work_order" };

static void row_free(gpointer data)
{
	UnitsRow *row = data;

	ifpp_unit_clear(&row->unit);
	g_free(row);
}

static void result_free(gpointer data)
{
	UnitsResult *result = data;

	g_free(result->iccid);
	g_free(result->profile);
	g_free(result->operator);
	g_free(result->order);
	g_free(result->station);
	g_free(result->proof);
	g_free(result->refused.why);
	g_free(result->refused.station);
	ifpp_unit_clear(&result->unit);
	g_free(result);
}

static void yield_free(gpointer data)
{
	UnitsYield *yield = data;

	g_free(yield->order);
	g_free(yield);
}

static void take_identity(const DbValue *row, IfppUnit *unit)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		if (row[i].type == DB_TEXT)
			ifpp_unit_set(unit, i, row[i].data);
}

static gboolean take_row(const DbValue *row, guint n, gpointer user, GError **error)
{
	UnitsRow *unit = g_new0(UnitsRow, 1);

	g_ptr_array_add(user, unit);
	if (!db_get_blob(&row[0], unit->eid, 16))
		return rows_damaged("package", error);
	unit->state = figures_unit(row[1].num, row[2].num);
	unit->packages = row[3].num;
	unit->installed = row[4].num;
	unit->failed = row[5].num;
	unit->burnt = row[6].num;
	unit->changed = row[7].num;
	take_identity(row + 8, &unit->unit);
	return TRUE;
}

GPtrArray *units_list(Depot *depot, UnitsKey key, const char *value, const guint8 *after, guint limit, GError **error)
{
	g_autoptr(GPtrArray) units = g_ptr_array_new_with_free_func(row_free);
	static const guint8 zero[16];
	DbValue from = DB_B(after ?: zero, after ? 16 : 0);
	guint8 eid[16];
	gboolean ok;

	/* One statement for each index, so that each engine takes it. */
#define LIST(which, by) \
	DB_RUN(depot->db, \
	       "SELECT a.eid, a.least, a.most, a.n, a.installed, a.failed, a.burnt, a.changed, u.imei, u.model, u.firmware, u.serial, " \
	       "u.usb_path, u.station, u.board_serial, u.work_order FROM (SELECT p.eid, MIN(p.state) AS least, MAX(p.state) AS most, " \
	       "COUNT(*) AS n, COUNT(CASE WHEN p.state = 3 THEN 1 END) AS installed, COUNT(CASE WHEN p.state = 4 THEN 1 END) AS failed, " \
	       "COUNT(CASE WHEN p.state = 5 THEN 1 END) AS burnt, MAX(p.changed) AS changed FROM package p WHERE p.eid > $1 AND " which \
	       " GROUP BY p.eid ORDER BY p.eid LIMIT $2) AS a LEFT JOIN unit u ON u.eid = a.eid ORDER BY a.eid", \
	       take_row, units, NULL, error, from, DB_I(limit), by)
	switch (key) {
	case UNITS_EID:
		if (!ifpp_eid_parse(value, eid, error))
			return NULL;
		ok = LIST("p.eid = $3", DB_B(eid, 16));
		break;
	case UNITS_ORDER:
		ok = LIST("p.batch = $3", db_text(value));
		break;
	case UNITS_IMEI:
		ok = LIST("p.eid IN (SELECT eid FROM unit WHERE imei = $3)", db_text(value));
		break;
	case UNITS_SERIAL:
		ok = LIST("p.eid IN (SELECT eid FROM unit WHERE serial = $3)", db_text(value));
		break;
	case UNITS_BOARD_SERIAL:
		ok = LIST("p.eid IN (SELECT eid FROM unit WHERE board_serial = $3)", db_text(value));
		break;
	case UNITS_WORK_ORDER:
		ok = LIST("p.eid IN (SELECT eid FROM unit WHERE work_order = $3)", db_text(value));
		break;
	default:
		ok = LIST("1 = $3", DB_I(1));
	}
#undef LIST
	return ok ? g_steal_pointer(&units) : NULL;
}

static gboolean take_result(const DbValue *row, guint n, gpointer user, GError **error)
{
	UnitsResult *result = g_new0(UnitsResult, 1);
	g_autoptr(JsonObject) record = NULL;
	gint64 reason;

	g_ptr_array_add(user, result);
	if (!db_get_blob(&row[0], result->key_id, 32) || !db_get_blob(&row[1], result->eid, 16) || row[6].num < 0 ||
	    row[6].num >= DEPOT_N_STATES)
		return rows_damaged("package", error);
	result->iccid = g_strdup(db_get_text(&row[2]));
	result->profile = g_strdup(db_get_text(&row[3]));
	result->operator = g_strdup(db_get_text(&row[4]));
	result->order = g_strdup(db_get_text(&row[5]));
	result->state = row[6].num;
	result->station = row[7].type == DB_TEXT ? g_strdup(row[7].data) : NULL;
	result->at = row[8].num;
	result->proven = row[10].num != 0;
	result->proof = row[11].type == DB_TEXT ? g_strdup(row[11].data) : NULL;
	if (row[12].type == DB_INT) {
		result->refused.reason = ifpp_reason_name(row[12].num);
		result->refused.why = g_strdup(db_get_text(&row[13]));
		result->refused.station = g_strdup(db_get_text(&row[14]));
		result->refused.at = row[15].num;
	}
	take_identity(row + 16, &result->unit);
	if (result->state == DEPOT_BURNT) {
		result->reason = "burnt";
	} else if (row[9].type == DB_TEXT) {
		record = ifpp_json_parse((IfppSpan){ row[9].data, row[9].len }, 4, NULL);
		result->reason = record && ifpp_json_get_int(record, "reason", 0, G_MAXUINT32, &reason) ?
				 ifpp_pir_reason_name(reason) : "unknown";
	}
	return TRUE;
}

GPtrArray *units_results(Depot *depot, UnitsWhich which, const guint8 *eid, const UnitsResult *after, guint limit, GError **error)
{
	g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func(result_free);
	static const guint8 zero[32];
	DbValue from = after ? DB_B(after->eid, 16) : DB_B(zero, 0), key = after ? DB_B(after->key_id, 32) : DB_B(zero, 0);
	gboolean ok;

#define RESULTS(join, condition, by) \
	DB_RUN(depot->db, \
	       "SELECT p.key_id, p.eid, p.iccid, p.profile, p.operator, p.batch, p.state, COALESCE(e.station, p.station), " \
	       "COALESCE(e.at, p.changed), e.record, e.proven, e.proof, r.reason, r.why, r.station, r.at, COALESCE(e.imei, u.imei), COALESCE(e.model, u.model), " \
	       "COALESCE(e.firmware, u.firmware), COALESCE(e.serial, u.serial), COALESCE(e.usb_path, u.usb_path), NULL, " \
	       "COALESCE(e.board_serial, u.board_serial), COALESCE(e.work_order, u.work_order) FROM package p LEFT JOIN result e ON " \
	       "e.key_id = p.key_id " join "JOIN refusal r ON r.key_id = p.key_id AND " ROWS_REFUSED " LEFT JOIN unit u ON u.eid = p.eid " \
	       "WHERE " condition " AND (p.eid, p.key_id) > ($1, $2) " \
	       "ORDER BY p.eid, p.key_id LIMIT $3", take_result, results, NULL, error, from, key, DB_I(limit), by)
	if (eid)
		ok = RESULTS("LEFT ", "p.eid = $4", DB_B(eid, 16));
	else if (which == UNITS_REFUSED)
		ok = RESULTS("", "1 = $4", DB_I(1));
	else if (which == UNITS_FAILURES)
		ok = RESULTS("LEFT ", "(p.state >= $4 OR r.reason IS NOT NULL)", DB_I(DEPOT_FAILED));
	else
		ok = RESULTS("LEFT ", "p.state >= $4", DB_I(which == UNITS_LOST ? DEPOT_FAILED : DEPOT_INSTALLED));
#undef RESULTS
	return ok ? g_steal_pointer(&results) : NULL;
}

static gboolean take_yield(const DbValue *row, guint n, gpointer user, GError **error)
{
	GPtrArray *yields = user;
	UnitsYield *yield = yields->len ? yields->pdata[yields->len - 1] : NULL;

	if (!yield || strcmp(yield->order, db_get_text(&row[0]))) {
		yield = g_new0(UnitsYield, 1);
		yield->order = g_strdup(db_get_text(&row[0]));
		g_ptr_array_add(yields, yield);
	}
	yield->units[figures_unit(row[1].num, row[2].num)] += row[3].num;
	return TRUE;
}

GPtrArray *units_yield(Depot *depot, const char *order, GError **error)
{
	g_autoptr(GPtrArray) yields = g_ptr_array_new_with_free_func(yield_free);
	gboolean ok;

#define YIELD(which, by) \
	DB_RUN(depot->db, \
	       "SELECT batch, least, most, COUNT(*) FROM (SELECT batch, MIN(state) AS least, MAX(state) AS most FROM package WHERE " which \
	       " GROUP BY batch, eid) AS unit GROUP BY batch, least, most ORDER BY batch", take_yield, yields, NULL, error, by)
	if (order)
		ok = YIELD("batch = $1", db_text(order));
	else
		ok = YIELD("1 = $1", DB_I(1));
#undef YIELD
	return ok ? g_steal_pointer(&yields) : NULL;
}
