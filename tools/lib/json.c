// SPDX-License-Identifier: LGPL-2.1-or-later
#include "json.h"

#include <stdio.h>
#include <string.h>

#include "eid.h"
#include "error.h"

static gboolean is_shallow(IfppSpan text, guint max)
{
	gboolean quoted = FALSE;
	guint depth = 0;

	for (gsize i = 0; i < text.len; i++) {
		guint8 c = text.data[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = FALSE;
		} else if (c == '"') {
			quoted = TRUE;
		} else if (c == '{' || c == '[') {
			if (++depth > max)
				return FALSE;
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		}
	}
	return TRUE;
}

JsonObject *ifpp_json_parse(IfppSpan text, guint depth, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new_immutable();
	g_autoptr(GError) why = NULL;
	JsonNode *root = NULL;

	/* Without it, what follows the first value is taken in as well, and "1[]" aborts json-glib. */
	json_parser_set_strict(parser, TRUE);
	if (!text.len)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_JSON, "not JSON: empty");
	else if (!g_utf8_validate_len((const char *)text.data, text.len, NULL))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_JSON, "not JSON: not UTF-8");
	else if (!is_shallow(text, depth))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_JSON, "JSON of more than %u levels", depth);
	else if (!json_parser_load_from_data(parser, (const char *)text.data, text.len, &why))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_JSON, "not JSON: %s", why->message);
	else if (!(root = json_parser_get_root(parser)) || !JSON_NODE_HOLDS_OBJECT(root))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_JSON, "not a JSON object");
	else
		return json_node_dup_object(root);
	return NULL;
}

static const char *node_string(JsonNode *node)
{
	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ?
		       json_node_get_string(node) :
		       NULL;
}

const char *ifpp_json_get_string(JsonObject *object, const char *name)
{
	return node_string(json_object_get_member(object, name));
}

JsonObject *ifpp_json_get_object(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *ifpp_json_get_array(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonObject *ifpp_json_get_element(JsonArray *array, guint i)
{
	JsonNode *node = json_array_get_element(array, i);

	return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

gboolean ifpp_json_is_null(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_NULL(node);
}

gboolean ifpp_json_get_int(JsonObject *object, const char *name, gint64 min, gint64 max, gint64 *out)
{
	JsonNode *node = json_object_get_member(object, name);
	gint64 value;

	if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
		return FALSE;
	value = json_node_get_int(node);
	if (value < min || value > max)
		return FALSE;
	*out = value;
	return TRUE;
}

GBytes *ifpp_json_get_base64(JsonObject *object, const char *name, gsize max)
{
	const char *text = ifpp_json_get_string(object, name);
	g_autoptr(GBytes) bytes = NULL;

	if (!text || strlen(text) / 4 > max / 3 + 1)
		return NULL;
	bytes = ifpp_unbase64(text);
	return bytes && g_bytes_get_size(bytes) <= max ? g_steal_pointer(&bytes) : NULL;
}

void ifpp_json_get_unit(JsonObject *object, IfppUnit *unit)
{
	JsonObject *told = ifpp_json_get_object(object, "unit");

	for (guint i = 0; told && i < IFPP_UNIT_FIELDS; i++)
		ifpp_unit_set(unit, i, ifpp_json_get_string(told, ifpp_unit_names[i]));
}

JsonBuilder *ifpp_json_new(const char *type)
{
	JsonBuilder *b = json_builder_new();

	json_builder_begin_object(b);
	if (type)
		ifpp_json_string(b, "type", type);
	return b;
}

void ifpp_json_string(JsonBuilder *b, const char *name, const char *value)
{
	/* A file's name may be any bytes; a line of JSON is UTF-8. */
	g_autofree char *text = value ? g_utf8_make_valid(value, -1) : NULL;

	json_builder_set_member_name(b, name);
	if (text)
		json_builder_add_string_value(b, text);
	else
		json_builder_add_null_value(b);
}

void ifpp_json_int(JsonBuilder *b, const char *name, gint64 value)
{
	json_builder_set_member_name(b, name);
	json_builder_add_int_value(b, value);
}

void ifpp_json_bool(JsonBuilder *b, const char *name, gboolean value)
{
	json_builder_set_member_name(b, name);
	json_builder_add_boolean_value(b, value);
}

void ifpp_json_hex(JsonBuilder *b, const char *name, IfppSpan value)
{
	g_autofree char *text = ifpp_hex(value);

	ifpp_json_string(b, name, text);
}

void ifpp_json_base64(JsonBuilder *b, const char *name, IfppSpan value)
{
	g_autofree char *text = g_base64_encode(value.data, value.len);

	ifpp_json_string(b, name, text);
}

void ifpp_json_eid(JsonBuilder *b, const guint8 eid[16])
{
	char text[33];

	ifpp_eid_format(eid, text);
	ifpp_json_string(b, "eid", text);
}

void ifpp_json_unit(JsonBuilder *b, const IfppUnit *unit)
{
	if (ifpp_unit_is_empty(unit))
		return;
	json_builder_set_member_name(b, "unit");
	json_builder_begin_object(b);
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		if (unit->field[i])
			ifpp_json_string(b, ifpp_unit_names[i], unit->field[i]);
	json_builder_end_object(b);
}

void ifpp_json_deletion(JsonBuilder *b, const IfppDeletion *deletion)
{
	char iccid[21];

	ifpp_iccid_format(deletion->iccid, iccid);
	json_builder_begin_object(b);
	ifpp_json_string(b, "iccid", iccid);
	ifpp_json_int(b, "seq", deletion->seq);
	ifpp_json_base64(b, "record", ifpp_span_bytes(deletion->bytes));
	ifpp_json_string(b, "time", deletion->time);
	ifpp_json_unit(b, &deletion->unit);
	json_builder_end_object(b);
}

char *ifpp_json_text(JsonBuilder *b)
{
	g_autoptr(JsonNode) root = NULL;
	char *text;

	json_builder_end_object(b);
	root = json_builder_get_root(b);
	g_object_unref(b);
	text = json_to_string(root, FALSE);
	return text;
}

void ifpp_json_print(JsonBuilder *b)
{
	g_autofree char *text = ifpp_json_text(b);

	puts(text);
	fflush(stdout);
}
