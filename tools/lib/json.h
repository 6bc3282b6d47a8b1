/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON (RFC 8259): records and reports of others, read strictly; lines and records of ours, written. */
#ifndef IFPP_JSON_H
#define IFPP_JSON_H

#include <json-glib/json-glib.h>

#include "deletion.h"
#include "tlv.h"
#include "unit.h"

/**
 * ifpp_json_parse() - one JSON object from someone who may mean harm
 * @text: UTF-8; nothing but white space may stand beside the object
 * @depth: most levels of brackets, itself included; json-glib recurses for each
 * @error: IFPP_ERROR_JSON
 *
 * Returns: the object, immutable; unref it.
 */
JsonObject *ifpp_json_parse(IfppSpan text, guint depth, GError **error);

/* Members. Absent, null and of another type are one: NULL. They live as long as @object. */
const char *ifpp_json_get_string(JsonObject *object, const char *name);
JsonObject *ifpp_json_get_object(JsonObject *object, const char *name);
JsonArray *ifpp_json_get_array(JsonObject *object, const char *name);
/* Element @i, which must be there. */
JsonObject *ifpp_json_get_element(JsonArray *array, guint i);
gboolean ifpp_json_is_null(JsonObject *object, const char *name);

/**
 * ifpp_json_get_int() - a whole number
 * @object: where it is
 * @name: of the member
 * @min: least value accepted
 * @max: greatest value accepted
 * @out: the number; untouched if there is none in this range
 */
gboolean ifpp_json_get_int(JsonObject *object, const char *name, gint64 min, gint64 max, gint64 *out);

/**
 * ifpp_json_get_base64() - bytes in base64 (RFC 4648, padded)
 * @object: where they are
 * @name: of the member
 * @max: most bytes accepted
 *
 * Returns: NULL if the member is not exactly what would be written for these bytes, or is empty.
 */
GBytes *ifpp_json_get_base64(JsonObject *object, const char *name, gsize max);
/* Member "unit" of a record: what is fit of it; nobody is refused for the rest. */
void ifpp_json_get_unit(JsonObject *object, IfppUnit *unit);

/* An object to write: members are added until ifpp_json_text() or ifpp_json_print() takes it. */
JsonBuilder *ifpp_json_new(const char *type);		/* NULL: no member "type" */
void ifpp_json_string(JsonBuilder *b, const char *name, const char *value);	/* NULL: null */
void ifpp_json_int(JsonBuilder *b, const char *name, gint64 value);
void ifpp_json_bool(JsonBuilder *b, const char *name, gboolean value);
void ifpp_json_hex(JsonBuilder *b, const char *name, IfppSpan value);
void ifpp_json_base64(JsonBuilder *b, const char *name, IfppSpan value);
void ifpp_json_eid(JsonBuilder *b, const guint8 eid[16]);
void ifpp_json_unit(JsonBuilder *b, const IfppUnit *unit);	/* member "unit"; none if it is empty */
/* What a report and a record of notes say of one. */
void ifpp_json_deletion(JsonBuilder *b, const IfppDeletion *deletion);
char *ifpp_json_text(JsonBuilder *b);	/* takes @b */
void ifpp_json_print(JsonBuilder *b);	/* takes @b; a line on standard output */

#endif
