// SPDX-License-Identifier: GPL-2.0-or-later
/* The figures as one JSON object, for the dashboard. */
#include "tell.h"

static void tell_states(JsonBuilder *b, const gint64 packages[DEPOT_N_STATES])
{
	json_builder_set_member_name(b, "packages");
	json_builder_begin_object(b);
	for (guint i = 0; i < DEPOT_N_STATES; i++)
		ifpp_json_int(b, depot_state_names[i], packages[i]);
	json_builder_end_object(b);
}

static void tell_time(JsonBuilder *b, const char *name, gint64 ms)
{
	g_autofree char *text = ms ? depot_time(ms) : NULL;

	ifpp_json_string(b, name, text);
}

static void tell_stock(JsonBuilder *b, const FiguresStock *stock)
{
	json_builder_begin_object(b);
	ifpp_json_string(b, "order", stock->order);
	ifpp_json_string(b, "operator", stock->operator);
	ifpp_json_string(b, "profile", stock->profile);
	tell_states(b, stock->packages);
	json_builder_end_object(b);
}

static void tell_station(JsonBuilder *b, const FiguresStation *station)
{
	json_builder_begin_object(b);
	ifpp_json_string(b, "name", station->name);
	ifpp_json_string(b, "doing", figures_doing(station));
	ifpp_json_bool(b, "named", station->named);
	ifpp_json_int(b, "quota", station->quota);
	ifpp_json_int(b, "chips", station->chips);
	ifpp_json_int(b, "leased", station->packages);
	ifpp_json_int(b, "sent", station->sent);
	ifpp_json_int(b, "installed", station->installed);
	ifpp_json_int(b, "failed", station->failed);
	ifpp_json_int(b, "burnt", station->burnt);
	ifpp_json_int(b, "hour", station->hour);
	ifpp_json_int(b, "doubts", station->doubts);
	tell_time(b, "last", station->last);
	json_builder_end_object(b);
}

static void tell_failure(JsonBuilder *b, const FiguresFailure *failure)
{
	json_builder_begin_object(b);
	ifpp_json_string(b, "reason", failure->reason);
	ifpp_json_string(b, "station", failure->station);
	ifpp_json_string(b, "firmware", failure->firmware);
	ifpp_json_int(b, "packages", failure->packages);
	json_builder_end_object(b);
}

static void tell_firmware(JsonBuilder *b, const FiguresFirmware *firmware)
{
	json_builder_begin_object(b);
	ifpp_json_string(b, "name", firmware->name);
	ifpp_json_int(b, "results", firmware->results);
	json_builder_end_object(b);
}

static void tell_doubt(JsonBuilder *b, const FiguresDoubt *doubt)
{
	json_builder_begin_object(b);
	ifpp_json_string(b, "why", doubt->why);
	ifpp_json_string(b, "station", doubt->station);
	ifpp_json_int(b, "count", doubt->count);
	tell_time(b, "since", doubt->since);
	json_builder_end_object(b);
}

static void tell_expiry(JsonBuilder *b, const Expiry *expiry)
{
	json_builder_begin_object(b);
	ifpp_json_string(b, "kind", expiry->kind);
	ifpp_json_string(b, "file", expiry->file);
	ifpp_json_string(b, "name", expiry->name);
	tell_time(b, "until", expiry->until * 1000);
	json_builder_end_object(b);
}

#define TELL_ALL(b, name, array, tell) \
	do { \
		json_builder_set_member_name(b, name); \
		json_builder_begin_array(b); \
		for (guint i_ = 0; i_ < (array)->len; i_++) \
			tell(b, (array)->pdata[i_]); \
		json_builder_end_array(b); \
	} while (0)

static void tell_hours(JsonBuilder *b, const Figures *figures)
{
	json_builder_set_member_name(b, "hours");
	json_builder_begin_array(b);
	for (int i = FIGURES_HOURS - 1; i >= 0; i--) {
		json_builder_begin_object(b);
		tell_time(b, "from", (figures->at / 3600000 - i) * 3600000);
		ifpp_json_int(b, "units", figures->hours[i].units);
		ifpp_json_int(b, "packages", figures->hours[i].packages);
		ifpp_json_int(b, "lost", figures->hours[i].lost);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
}

static void tell_figures(JsonBuilder *b, const Figures *figures)
{
	tell_time(b, "at", figures->at);
	ifpp_json_int(b, "took_ms", figures->took / 1000);
	tell_states(b, figures->packages);
	json_builder_set_member_name(b, "units");
	json_builder_begin_object(b);
	for (guint i = 0; i < FIGURES_N_UNITS; i++)
		ifpp_json_int(b, figures_unit_names[i], figures->units[i]);
	json_builder_end_object(b);
	json_builder_set_member_name(b, "deliveries");
	json_builder_begin_object(b);
	for (guint i = 0; i < G_N_ELEMENTS(figures->deliveries); i++)
		ifpp_json_int(b, figures_delivery_names[i], figures->deliveries[i]);
	json_builder_end_object(b);
	tell_hours(b, figures);
	TELL_ALL(b, "stock", figures->stock, tell_stock);
	TELL_ALL(b, "stations", figures->stations, tell_station);
	TELL_ALL(b, "failures", figures->failures, tell_failure);
	TELL_ALL(b, "refusals", figures->refusals, tell_failure);
	TELL_ALL(b, "firmware", figures->firmware, tell_firmware);
	TELL_ALL(b, "doubts", figures->doubt, tell_doubt);
}

void tell_json(const SnapshotView *view, gpointer user)
{
	JsonBuilder *b = user;

	tell_time(b, "now", g_get_real_time() / 1000);
	ifpp_json_string(b, "engine", view->engine);
	ifpp_json_string(b, "trouble", view->trouble);
	tell_time(b, "trouble_since", view->trouble ? view->trouble_since : 0);
	ifpp_json_string(b, "reload_trouble", view->reload_trouble);
	tell_time(b, "reload_trouble_since", view->reload_since);
	TELL_ALL(b, "expiry", view->expiry, tell_expiry);
	json_builder_set_member_name(b, "figures");
	if (!view->figures) {
		json_builder_add_null_value(b);
		return;
	}
	json_builder_begin_object(b);
	tell_figures(b, view->figures);
	json_builder_end_object(b);
}
