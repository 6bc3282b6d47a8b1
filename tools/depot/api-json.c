// SPDX-License-Identifier: GPL-2.0-or-later
#include "api-json.h"

#include <eid.h>

#include "answer.h"

static void tell_time(JsonBuilder *b, const char *name, gint64 ms)
{
	g_autofree char *text = ms ? depot_time(ms) : NULL;

	ifpp_json_string(b, name, text);
}

static void tell_identity(JsonBuilder *b, const IfppUnit *unit)
{
	json_builder_set_member_name(b, "identity");
	json_builder_begin_object(b);
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		ifpp_json_string(b, ifpp_unit_names[i], unit->field[i]);
	json_builder_end_object(b);
}

static void tell_unit(JsonBuilder *b, const UnitsRow *unit)
{
	ifpp_json_eid(b, unit->eid);
	ifpp_json_string(b, "state", figures_unit_names[unit->state]);
	ifpp_json_int(b, "packages", unit->packages);
	ifpp_json_int(b, "installed", unit->installed);
	ifpp_json_int(b, "failed", unit->failed);
	ifpp_json_int(b, "burnt", unit->burnt);
	tell_time(b, "changed", unit->changed);
	tell_identity(b, &unit->unit);
}

static void tell_refused(JsonBuilder *b, const UnitsResult *result)
{
	json_builder_set_member_name(b, "refused");
	if (!result->refused.reason) {
		json_builder_add_null_value(b);
		return;
	}
	json_builder_begin_object(b);
	ifpp_json_string(b, "reason", result->refused.reason);
	ifpp_json_string(b, "why", result->refused.why);
	ifpp_json_string(b, "station", result->refused.station);
	tell_time(b, "at", result->refused.at);
	json_builder_end_object(b);
}

static void tell_result(JsonBuilder *b, const UnitsResult *result)
{
	json_builder_begin_object(b);
	ifpp_json_hex(b, "key_id", IFPP_SPAN(result->key_id));
	ifpp_json_eid(b, result->eid);
	ifpp_json_string(b, "iccid", result->iccid);
	ifpp_json_string(b, "profile", result->profile);
	ifpp_json_string(b, "operator", result->operator);
	ifpp_json_string(b, "order", result->order);
	ifpp_json_string(b, "state", depot_state_names[result->state]);
	ifpp_json_string(b, "station", result->station);
	ifpp_json_string(b, "reason", result->reason);
	ifpp_json_bool(b, "proven", result->proven);
	ifpp_json_string(b, "proof", result->proof);
	tell_time(b, "at", result->at);
	tell_refused(b, result);
	tell_identity(b, &result->unit);
	json_builder_end_object(b);
}

JsonBuilder *api_json_units(const GPtrArray *units, guint limit)
{
	JsonBuilder *b = answer_new();
	char next[33];

	json_builder_set_member_name(b, "units");
	json_builder_begin_array(b);
	for (guint i = 0; i < units->len; i++) {
		json_builder_begin_object(b);
		tell_unit(b, units->pdata[i]);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
	if (units->len == limit)
		ifpp_eid_format(((const UnitsRow *)units->pdata[limit - 1])->eid, next);
	ifpp_json_string(b, "next", units->len == limit ? next : NULL);
	return b;
}

static void tell_results(JsonBuilder *b, const char *name, const GPtrArray *results)
{
	json_builder_set_member_name(b, name);
	json_builder_begin_array(b);
	for (guint i = 0; i < results->len; i++)
		tell_result(b, results->pdata[i]);
	json_builder_end_array(b);
}

JsonBuilder *api_json_unit(const UnitsRow *unit, const GPtrArray *results)
{
	JsonBuilder *b = answer_new();

	tell_unit(b, unit);
	tell_results(b, "results", results);
	return b;
}

JsonBuilder *api_json_results(const GPtrArray *results, guint limit)
{
	JsonBuilder *b = answer_new();
	g_autofree char *next = NULL;

	tell_results(b, "results", results);
	if (results->len == limit) {
		const UnitsResult *last = results->pdata[limit - 1];
		g_autofree char *key = ifpp_hex(IFPP_SPAN(last->key_id));
		char eid[33];

		ifpp_eid_format(last->eid, eid);
		next = g_strconcat(eid, "-", key, NULL);
	}
	ifpp_json_string(b, "next", next);
	return b;
}

JsonBuilder *api_json_yield(const GPtrArray *yields)
{
	JsonBuilder *b = answer_new();

	json_builder_set_member_name(b, "orders");
	json_builder_begin_array(b);
	for (guint i = 0; i < yields->len; i++) {
		const UnitsYield *yield = yields->pdata[i];
		gint64 ended = yield->units[FIGURES_DONE] + yield->units[FIGURES_LOST];

		json_builder_begin_object(b);
		ifpp_json_string(b, "order", yield->order);
		for (guint j = 0; j < FIGURES_N_UNITS; j++)
			ifpp_json_int(b, figures_unit_names[j], yield->units[j]);
		json_builder_set_member_name(b, "yield");
		if (ended)
			json_builder_add_double_value(b, (double)yield->units[FIGURES_DONE] / ended);
		else
			json_builder_add_null_value(b);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
	return b;
}

JsonBuilder *api_json_states(const DepotTotals *totals)
{
	JsonBuilder *b = answer_new();

	json_builder_set_member_name(b, "packages");
	json_builder_begin_object(b);
	for (guint i = 0; i < DEPOT_N_STATES; i++)
		ifpp_json_int(b, depot_state_names[i], totals->packages[i]);
	json_builder_end_object(b);
	ifpp_json_int(b, "results", totals->results);
	ifpp_json_int(b, "proven", totals->proven);
	ifpp_json_int(b, "doubts", totals->doubts);
	ifpp_json_int(b, "locked", totals->locked);
	return b;
}
