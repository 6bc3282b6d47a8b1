// SPDX-License-Identifier: GPL-2.0-or-later
#include "record.h"

#include <string.h>

#include <eid.h>
#include <error.h>
#include <euicc.h>
#include <json-glib/json-glib.h>
#include <package.h>

#include "depot-error.h"

#define DEPTH_MAX 8

static gboolean wrong(GError **error, const char *what)
{
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, "%s", what);
	return FALSE;
}

/* json-glib recurses: what is nested deeper than any record of ours does not get to it. */
static gboolean shallow(IfppSpan text)
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
			if (++depth > DEPTH_MAX)
				return FALSE;
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		}
	}
	return TRUE;
}

static const char *get_string(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ?
		       json_node_get_string(node) :
		       NULL;
}

static gboolean get_int(JsonObject *object, const char *name, gint64 min, gint64 max, gint64 *out)
{
	JsonNode *node = json_object_get_member(object, name);

	if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
		return FALSE;
	*out = json_node_get_int(node);
	return *out >= min && *out <= max;
}

static gboolean is_null(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_NULL(node);
}

/* GLib passes over what is not base64; what does not survive the round trip is not. */
static GBytes *get_base64(JsonObject *object, const char *name, gsize max)
{
	const char *text = get_string(object, name);
	g_autofree guchar *raw = NULL;
	g_autofree char *again = NULL;
	gsize len;

	if (!text || !*text || strlen(text) > max * 4 / 3 + 4)
		return NULL;
	raw = g_base64_decode(text, &len);
	again = g_base64_encode(raw, len);
	return g_str_equal(again, text) ? g_bytes_new_take(g_steal_pointer(&raw), len) : NULL;
}

static JsonObject *load(JsonParser *parser, IfppSpan text, const char *format, guint8 eid[16], GError **error)
{
	g_autoptr(GError) local = NULL;
	JsonNode *root;
	JsonObject *object;
	const char *digits;
	gint64 version;

	if (!g_utf8_validate_len((const char *)text.data, text.len, NULL) || !shallow(text) ||
	    !json_parser_load_from_data(parser, (const char *)text.data, text.len, &local) ||
	    !(root = json_parser_get_root(parser)) || !JSON_NODE_HOLDS_OBJECT(root)) {
		wrong(error, "not a JSON object");
		return NULL;
	}
	object = json_node_get_object(root);
	digits = get_string(object, "eid");
	if (g_strcmp0(get_string(object, "format"), format) || !get_int(object, "version", 1, 1, &version)) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, "not an %s of version 1", format);
		return NULL;
	}
	if (!digits || !ifpp_eid_parse(digits, eid, NULL)) {
		wrong(error, "its EID is none");
		return NULL;
	}
	return object;
}

static gboolean unproven(GError **error, const GError *why)
{
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, "what it says is not what the chip signed: %s", why->message);
	return FALSE;
}

/* The chip's certificate, proven up to a CI root. NULL: cannot be told, and *why says so. */
static GBytes *prove_chip(IfppTrust *trust, const guint8 eid[16], GBytes *data, char **why)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	g_autoptr(GError) error = NULL;
	IfppSpan ff21, bf22;
	guint8 own[16];

	if (!data)
		*why = g_strdup("the chip's own data is not here");
	else if (!trust)
		*why = g_strdup("no CI root is here");
	else if (!ifpp_euicc_data_parse(ifpp_span_bytes(data), own, &ff21, &bf22, &error) ||
		 !(info = ifpp_factory_info_parse(ff21, &error)) ||
		 !ifpp_factory_info_verify(info, eid, trust, &error))
		*why = g_strdup(error->message);
	else
		return g_bytes_ref(info->cert_euicc);
	return NULL;
}

/* Is the PIR of the very package that the depot has for that key? */
static gboolean check_package(Depot *depot, const guint8 key_id[32], const IfppPir *pir, GError **error)
{
	g_autoptr(GBytes) bytes = depot_package(depot, key_id, error);
	g_autoptr(IfppPackage) package = bytes ? ifpp_package_read_proven(bytes, error) : NULL;

	if (!bytes && !*error)
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no package for this key that this station has claimed");
	if (!package)
		return FALSE;
	if (ifpp_span_equal(ifpp_bpp_transaction_id(ifpp_package_bpp(package)), pir->transaction_id))
		return TRUE;
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, "the chip's result is of another package");
	return FALSE;
}

static gboolean prove_result(Depot *depot, IfppTrust *trust, JsonObject *object, DepotResult *result, char **proof,
			     gint64 status, gint64 reason, GError **error)
{
	g_autoptr(GBytes) bytes = get_base64(object, "pir", DEPOT_RECORD_MAX), cert = NULL;
	g_autoptr(DepotChip) chip = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(GError) local = NULL;

	if (!bytes && !is_null(object, "pir"))
		return wrong(error, "pir: neither base64 nor null");
	if (!bytes) {
		if (!status)
			return wrong(error, "installed is what the chip has signed: there is no pir");
		result->state = DEPOT_BURNT;
		*proof = g_strdup("the chip has signed nothing");
		return TRUE;
	}
	pir = ifpp_pir_parse(bytes, &local);
	if (!pir)
		return unproven(error, local);
	if (pir->success != !status || (!pir->success && (gint64)pir->reason != reason))
		return wrong(error, "status or reason are not those of the pir");
	if (!check_package(depot, result->key_id, pir, &local)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	result->state = pir->success ? DEPOT_INSTALLED : DEPOT_FAILED;
	chip = depot_chip(depot, result->eid, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	cert = prove_chip(trust, result->eid, chip ? chip->euicc_data : NULL, proof);
	if (!cert)
		return TRUE;
	if (!ifpp_pir_verify(pir, ifpp_span_bytes(cert), &local))
		return unproven(error, local);
	result->proven = TRUE;
	*proof = g_strdup("proven");
	return TRUE;
}

/* One text for one object: what is stored and compared does not depend on the sender's spaces. */
static char *canonical(JsonNode *node)
{
	return json_to_string(node, FALSE);
}

gboolean record_put_result(Depot *depot, IfppTrust *trust, const char *station, const guint8 *key_id, IfppSpan text,
			   gboolean *stored, DepotState *state, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new_immutable();
	g_autofree char *record = NULL, *proof = NULL;
	g_autoptr(GBytes) id = NULL;
	DepotResult result = {};
	JsonObject *object = load(parser, text, "ifpp-result", result.eid, error);
	JsonNode *node = object ? json_object_get_member(object, "result") : NULL;
	const char *hex;
	gint64 status, reason;

	if (!object)
		return FALSE;
	if (!node || !JSON_NODE_HOLDS_OBJECT(node))
		return wrong(error, "it has no result");
	object = json_node_get_object(node);
	hex = get_string(object, "key_id");
	id = hex ? ifpp_unhex(hex) : NULL;
	if (!id || g_bytes_get_size(id) != 32 || (key_id && memcmp(g_bytes_get_data(id, NULL), key_id, 32)))
		return wrong(error, "key_id: not that of the package");
	memcpy(result.key_id, g_bytes_get_data(id, NULL), 32);
	if (!get_int(object, "status", G_MININT32, 0, &status) || !get_int(object, "reason", 0, G_MAXUINT32, &reason))
		return wrong(error, "status or reason: not numbers of a result");
	record = canonical(node);
	if (strlen(record) > DEPOT_RECORD_MAX)
		return wrong(error, "the result is too long");
	if (!prove_result(depot, trust, object, &result, &proof, status, reason, error))
		return FALSE;
	result.record = record;
	result.proof = proof;
	*state = result.state;
	return depot_put_result(depot, station, &result, stored, error);
}

static gboolean prove_lock(JsonObject *lock, GBytes *cert, const guint8 eid[16], gboolean *proven, GError **error)
{
	g_autoptr(GBytes) receipt = get_base64(lock, "receipt", DEPOT_RECORD_MAX);
	const char *hex = get_string(lock, "challenge");
	g_autoptr(GBytes) challenge = hex ? ifpp_unhex(hex) : NULL;
	g_autoptr(GError) local = NULL;

	if (!receipt || !challenge || g_bytes_get_size(challenge) != 16)
		return wrong(error, "lock: it has no receipt or no challenge");
	if (cert && !ifpp_receipt_verify(ifpp_span_bytes(receipt), ifpp_span_bytes(cert), eid,
					 g_bytes_get_data(challenge, NULL), NULL, &local))
		return unproven(error, local);
	*proven = cert != NULL;
	return TRUE;
}

gboolean record_put_chip(Depot *depot, IfppTrust *trust, const char *station, const guint8 *eid, IfppSpan text,
			 gboolean *stored, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new_immutable();
	g_autoptr(DepotChip) chip = g_new0(DepotChip, 1), have = NULL;
	g_autoptr(GBytes) cert = NULL;
	JsonObject *object = load(parser, text, "ifpp-chip", chip->eid, error);
	g_autoptr(GError) local = NULL;
	JsonNode *lock;

	if (!object)
		return FALSE;
	if (eid && memcmp(eid, chip->eid, 16))
		return wrong(error, "its EID is not that of the chip");
	chip->euicc_data = get_base64(object, "euicc_data", DEPOT_EUICC_DATA_MAX);
	if (!chip->euicc_data && !is_null(object, "euicc_data"))
		return wrong(error, "euicc_data: neither base64 nor null");
	lock = json_object_get_member(object, "lock");
	if (!lock || !(JSON_NODE_HOLDS_OBJECT(lock) || JSON_NODE_HOLDS_NULL(lock)))
		return wrong(error, "lock: neither an object nor null");

	have = depot_chip(depot, chip->eid, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	cert = prove_chip(trust, chip->eid, chip->euicc_data, &chip->proof);
	chip->euicc_proven = cert != NULL;
	if (!cert && have && have->euicc_proven) {
		g_clear_pointer(&chip->proof, g_free);
		cert = prove_chip(trust, chip->eid, have->euicc_data, &chip->proof);
	}
	if (cert)
		chip->proof = g_strdup("proven");
	if (JSON_NODE_HOLDS_OBJECT(lock)) {
		if (!prove_lock(json_node_get_object(lock), cert, chip->eid, &chip->lock_proven, error))
			return FALSE;
		chip->lock = canonical(lock);
		if (strlen(chip->lock) > DEPOT_RECORD_MAX)
			return wrong(error, "the lock receipt is too long");
	}
	return depot_put_chip(depot, station, chip, stored, error);
}
