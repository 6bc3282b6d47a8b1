// SPDX-License-Identifier: GPL-2.0-or-later
/* What a station says of a unit beside results, in JSON. Texts are made fit to be shown; what is of another type is refused. */
#include "record.h"

#include <string.h>

#include <deletion.h>
#include <eid.h>
#include <error.h>

#include "depot-error.h"
#include "rows.h"

#define REFUSALS_MAX 256
#define OTHERS_MAX 64	/* deletions, records in quarantine, damaged records */
#define NAME_MAX_BYTES 256
#define WHY_MAX 4096
#define BYTES_MAX (64 * 1024)

static gboolean wrong(GError **error, const char *what)
{
	g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, what);
	return FALSE;
}

/* What cannot be printed is a blank, and what is too long is cut. */
static char *fit(const char *text, gsize max)
{
	GString *out = g_string_new(NULL);

	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (out->len + g_utf8_skip[(guchar)*p] > max)
			break;
		g_string_append_unichar(out, g_unichar_isprint(c) ? c : ' ');
	}
	return g_string_free(out, FALSE);
}

static gboolean add_text(JsonBuilder *b, JsonObject *object, const char *name, gsize max)
{
	const char *text = ifpp_json_get_string(object, name);
	g_autofree char *some = text ? fit(text, max) : NULL;

	if (some)
		ifpp_json_string(b, name, some);
	return some != NULL;
}

static const char *get_time(JsonObject *object)
{
	const char *text = ifpp_json_get_string(object, "time");
	g_autoptr(GDateTime) time = text && strlen(text) <= 32 ? g_date_time_new_from_iso8601(text, NULL) : NULL;

	return time ? text : NULL;
}

/* Absent is as good as empty. NULL: something else is there, or too many. */
static JsonArray *get_array(JsonObject *object, const char *name, guint max)
{
	JsonArray *array = ifpp_json_get_array(object, name);

	if (!array && !json_object_has_member(object, name))
		return json_array_new();
	return array && json_array_get_length(array) <= max ? json_array_ref(array) : NULL;
}

static gboolean has_refusal(const GPtrArray *refusals, const guint8 key_id[32])
{
	for (guint i = 0; i < refusals->len; i++)
		if (!memcmp(((const DepotRefusal *)refusals->pdata[i])->key_id, key_id, 32))
			return TRUE;
	return FALSE;
}

static gboolean read_refused(JsonObject *whole, GPtrArray *refusals, GError **error)
{
	g_autoptr(JsonArray) array = get_array(whole, "refused", REFUSALS_MAX);

	if (!array)
		return wrong(error, "refused: not an array of at most 256");
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonObject *object = ifpp_json_get_element(array, i);
		const char *why = object ? ifpp_json_get_string(object, "why") : NULL, *time = object ? get_time(object) : NULL;
		DepotRefusal *refusal;
		guint8 key_id[32];
		gint64 reason;

		if (!why || !time || !ifpp_unhex_into(ifpp_json_get_string(object, "key_id"), key_id, 32) ||
		    has_refusal(refusals, key_id) || !ifpp_json_get_int(object, "reason", 1, G_MAXINT32, &reason))
			return wrong(error, "refused: one has no key_id, reason, why or time, or two are of one key");
		refusal = g_new0(DepotRefusal, 1);
		memcpy(refusal->key_id, key_id, 32);
		refusal->reason = reason;
		refusal->why = fit(why, WHY_MAX);
		refusal->said = g_strdup(time);
		g_ptr_array_add(refusals, refusal);
	}
	return TRUE;
}

static gboolean is_boolean(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

static gboolean copy_eim(JsonBuilder *b, JsonObject *whole, GError **error)
{
	JsonObject *eim = ifpp_json_get_object(whole, "eim");
	guint8 sha256[32];

	if (!eim)
		return !json_object_has_member(whole, "eim") || wrong(error, "eim: not an object");
	json_builder_set_member_name(b, "eim");
	json_builder_begin_object(b);
	if (!add_text(b, eim, "id", NAME_MAX_BYTES) || !get_time(eim) || !is_boolean(eim, "known") ||
	    !ifpp_unhex_into(ifpp_json_get_string(eim, "sha256"), sha256, 32))
		return wrong(error, "eim: it has no id, sha256, known or time");
	ifpp_json_hex(b, "sha256", IFPP_SPAN(sha256));
	ifpp_json_bool(b, "known", json_object_get_boolean_member(eim, "known"));
	add_text(b, eim, "reason", WHY_MAX);
	ifpp_json_string(b, "time", get_time(eim));
	json_builder_end_object(b);
	return TRUE;
}

/* The chip has signed these; who has its certificate proves them. */
static gboolean copy_deletions(JsonBuilder *b, JsonObject *whole, GError **error)
{
	g_autoptr(JsonArray) array = get_array(whole, "deletions", OTHERS_MAX);

	if (!array)
		return wrong(error, "deletions: not an array of at most 64");
	if (!json_array_get_length(array))
		return TRUE;
	json_builder_set_member_name(b, "deletions");
	json_builder_begin_array(b);
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonObject *object = ifpp_json_get_element(array, i);
		g_autoptr(GBytes) bytes = object ? ifpp_json_get_base64(object, "record", BYTES_MAX) : NULL;
		g_autoptr(IfppDeletion) deletion = bytes ? ifpp_deletion_parse(bytes, NULL) : NULL;

		if (!deletion || !get_time(object))
			return wrong(error, "deletions: one has no record of a chip, or no time");
		deletion->time = g_strdup(get_time(object));
		ifpp_json_get_unit(object, &deletion->unit);
		ifpp_json_deletion(b, deletion);
	}
	json_builder_end_array(b);
	return TRUE;
}

static gboolean copy_quarantine(JsonBuilder *b, JsonObject *whole, GError **error)
{
	g_autoptr(JsonArray) array = get_array(whole, "quarantine", OTHERS_MAX);

	if (!array)
		return wrong(error, "quarantine: not an array of at most 64");
	if (!json_array_get_length(array))
		return TRUE;
	json_builder_set_member_name(b, "quarantine");
	json_builder_begin_array(b);
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonObject *object = ifpp_json_get_element(array, i);
		g_autoptr(GBytes) bytes = object ? ifpp_json_get_base64(object, "bytes", BYTES_MAX) : NULL;

		json_builder_begin_object(b);
		if (!object || !add_text(b, object, "name", NAME_MAX_BYTES) || !add_text(b, object, "why", WHY_MAX) ||
		    (!bytes && !ifpp_json_is_null(object, "bytes")))
			return wrong(error, "quarantine: one has no name, why or bytes");
		if (bytes)
			ifpp_json_base64(b, "bytes", ifpp_span_bytes(bytes));
		else
			ifpp_json_string(b, "bytes", NULL);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
	return TRUE;
}

static gboolean copy_damaged(JsonBuilder *b, JsonObject *whole, GError **error)
{
	g_autoptr(JsonArray) array = get_array(whole, "damaged", OTHERS_MAX);

	if (!array)
		return wrong(error, "damaged: not an array of at most 64");
	if (!json_array_get_length(array))
		return TRUE;
	json_builder_set_member_name(b, "damaged");
	json_builder_begin_array(b);
	for (guint i = 0; i < json_array_get_length(array); i++) {
		JsonNode *node = json_array_get_element(array, i);
		g_autofree char *text = json_node_get_value_type(node) == G_TYPE_STRING ? fit(json_node_get_string(node), WHY_MAX) : NULL;

		if (!text)
			return wrong(error, "damaged: one is no text");
		json_builder_add_string_value(b, text);
	}
	json_builder_end_array(b);
	return TRUE;
}

static gboolean copy_others(DepotNotes *notes, JsonObject *whole, GError **error)
{
	g_autoptr(JsonBuilder) b = ifpp_json_new(NULL);
	const char *socket = ifpp_json_get_string(whole, "socket");

	ifpp_json_get_unit(whole, &notes->unit);
	ifpp_json_unit(b, &notes->unit);
	if (socket && ifpp_unit_text_valid(socket))
		ifpp_json_string(b, "socket", socket);
	if (!copy_deletions(b, whole, error) || !copy_eim(b, whole, error) || !copy_quarantine(b, whole, error) || !copy_damaged(b, whole, error))
		return FALSE;
	notes->record = ifpp_json_text(g_steal_pointer(&b));
	return TRUE;
}

/* The same, however it is written. */
static void identify(DepotNotes *notes, JsonObject *whole)
{
	g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), whole);
	g_autofree char *text = json_to_string(node, FALSE);

	notes->bytes = strlen(text);
	rows_sha256(text, notes->bytes, notes->sha256);
}

gboolean record_put_notes(Depot *depot, const char *station, const guint8 *eid, IfppSpan text, gboolean *stored,
			  guint *kept, guint *told, GError **error)
{
	g_autoptr(DepotNotes) notes = g_new0(DepotNotes, 1);
	g_autoptr(JsonObject) whole = record_load(text, "ifpp-notes", 1, notes->eid, error);

	if (!whole)
		return FALSE;
	if (eid && memcmp(eid, notes->eid, 16))
		return wrong(error, "its EID is not that of the chip");
	notes->refusals = g_ptr_array_new_with_free_func((GDestroyNotify)depot_refusal_free);
	if (!read_refused(whole, notes->refusals, error) || !copy_others(notes, whole, error))
		return FALSE;
	identify(notes, whole);
	*told = notes->refusals->len;
	return depot_put_notes(depot, station, notes, stored, kept, error);
}
