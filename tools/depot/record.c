// SPDX-License-Identifier: GPL-2.0-or-later
#include "record.h"

#include <string.h>

#include <eid.h>
#include <error.h>
#include <euicc.h>
#include <json.h>
#include <package.h>

#include "depot-error.h"

#define DOUBTS_MAX 1024	/* of one chip */
#define DEPTH_MAX 8	/* a report is of records, and has levels of its own */

static gboolean wrong(GError **error, const char *what)
{
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, "%s", what);
	return FALSE;
}

JsonObject *record_load(IfppSpan text, const char *format, int newest, guint8 eid[16], GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autoptr(JsonObject) object = ifpp_json_parse(text, DEPTH_MAX, &why);
	const char *digits;
	gint64 version;

	if (!object) {
		wrong(error, why->message);
		return NULL;
	}
	digits = ifpp_json_get_string(object, "eid");
	if (g_strcmp0(ifpp_json_get_string(object, "format"), format) ||
	    !ifpp_json_get_int(object, "version", 1, newest, &version)) {
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, "not an %s of version 1 to %d", format, newest);
		return NULL;
	}
	if (!digits || !ifpp_eid_parse(digits, eid, NULL)) {
		wrong(error, "its EID is none");
		return NULL;
	}
	return g_steal_pointer(&object);
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

/* What became of the package, from the result's JSON; what the chip has signed must be what it says. */
static gboolean prove_result(Depot *depot, IfppTrust *trust, JsonObject *object, DepotResult *result, char **proof,
			     GError **error)
{
	g_autoptr(GBytes) bytes = ifpp_json_get_base64(object, "pir", DEPOT_RECORD_MAX), cert = NULL;
	g_autoptr(DepotChip) chip = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(GError) local = NULL;
	gint64 status, reason;

	ifpp_json_get_unit(object, &result->unit);
	if (!ifpp_json_get_int(object, "status", G_MININT32, 0, &status) ||
	    !ifpp_json_get_int(object, "reason", 0, G_MAXUINT32, &reason))
		return wrong(error, "status or reason: not numbers of a result");
	if (!bytes && !ifpp_json_is_null(object, "pir"))
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
	/* Chips differ in what they refuse before they spend the key; who has one that says otherwise tells so. */
	result->early = ifpp_pir_reason_is_early(pir->reason) &&
			g_strcmp0(ifpp_json_get_string(object, "spent"), "yes");
	chip = depot_chip(depot, result->eid, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	result->data_was_here = chip && chip->euicc_proven;
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
static char *canonical(JsonObject *object, const char *name)
{
	return json_to_string(json_object_get_member(object, name), FALSE);
}

/* Its data came while the result was looked at, and was not here to prove it: who brought the data saw no doubt yet. */
static gboolean came_meanwhile(Depot *depot, const DepotResult *result, gboolean *came, GError **error)
{
	g_autoptr(DepotChip) chip = NULL;
	g_autoptr(GError) local = NULL;

	*came = FALSE;
	if (result->proven || result->data_was_here || result->state == DEPOT_BURNT)
		return TRUE;
	chip = depot_chip(depot, result->eid, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	*came = chip && chip->euicc_proven;
	return TRUE;
}

gboolean record_put_result(Depot *depot, IfppTrust *trust, const char *station, const guint8 *key_id, IfppSpan text,
			   gboolean *stored, DepotState *state, char **doubt, GError **error)
{
	gboolean came;
	g_autofree char *record = NULL, *proof = NULL;
	DepotState now;
	g_auto(DepotResult) result = {};
	g_autoptr(JsonObject) whole = record_load(text, "ifpp-result", 2, result.eid, error);
	JsonObject *object;

	if (!whole)
		return FALSE;
	object = ifpp_json_get_object(whole, "result");
	if (!object)
		return wrong(error, "it has no result");
	if (!ifpp_unhex_into(ifpp_json_get_string(object, "key_id"), result.key_id, 32) ||
	    (key_id && memcmp(result.key_id, key_id, 32)))
		return wrong(error, "key_id: not that of the package");
	record = canonical(whole, "result");
	if (strlen(record) > DEPOT_RECORD_MAX)
		return wrong(error, "the result is too long");
	if (!prove_result(depot, trust, object, &result, &proof, error))
		return FALSE;
	result.record = record;
	result.proof = proof;
	if (!depot_put_result(depot, station, &result, stored, &now, error) || !came_meanwhile(depot, &result, &came, error))
		return FALSE;
	if (came)
		return record_put_result(depot, trust, station, key_id, text, stored, state, doubt, error);
	*state = now;
	if (doubt)
		*doubt = result.proven ? NULL : g_steal_pointer(&proof);
	return TRUE;
}

/*
 * One that came before its chip's data. It is proven now, or keeps on record why not; only the depot's own
 * trouble is an error, after which the chip's data is sent again, and this is done again.
 */
static gboolean prove_again(Depot *depot, IfppTrust *trust, const guint8 eid[16], const guint8 key_id[32],
			    const char *station, const char *record, gboolean settled, GError **error)
{
	g_auto(DepotResult) result = { .record = record };
	g_autoptr(JsonObject) object =
		ifpp_json_parse((IfppSpan){ (const guint8 *)record, strlen(record) }, DEPTH_MAX, error);
	g_autofree char *proof = NULL;
	g_autoptr(GError) why = NULL, refused = NULL;
	DepotState now;
	gboolean stored;

	if (!object)
		return FALSE;
	memcpy(result.eid, eid, 16);
	memcpy(result.key_id, key_id, 32);
	if (!prove_result(depot, trust, object, &result, &proof, &why)) {
		if (why->domain == DB_ERROR) {
			g_propagate_error(error, g_steal_pointer(&why));
			return FALSE;
		}
		g_free(proof);
		proof = g_strdup(why->message);
	}
	result.proof = proof;
	/* What the operator has settled is no doubt again. */
	if (settled && !result.proven)
		return TRUE;
	if (depot_put_result(depot, station, &result, &stored, &now, &refused) || refused->domain != DB_ERROR)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&refused));
	return FALSE;
}

static gboolean prove_earlier(Depot *depot, IfppTrust *trust, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) doubts = depot_doubts(depot, eid, NULL, DOUBTS_MAX, error);

	for (guint i = 0; doubts && i < doubts->len; i++) {
		const DepotDoubt *doubt = doubts->pdata[i];

		if (doubt->signed_by_chip &&
		    !prove_again(depot, trust, eid, doubt->key_id, doubt->station, doubt->record, FALSE, error))
			return FALSE;
	}
	return doubts != NULL;
}

/* The operator has settled it before anybody could prove it, and no station will bring it again. */
static gboolean prove_settled(Depot *depot, IfppTrust *trust, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) attempts = depot_attempts(depot, eid, error);

	for (guint i = 0; attempts && i < attempts->len; i++) {
		const DepotAttempt *attempt = attempts->pdata[i];

		if (!attempt->installed &&
		    !prove_again(depot, trust, eid, attempt->key_id, attempt->station, attempt->record, TRUE, error))
			return FALSE;
	}
	return attempts != NULL;
}

static gboolean prove_lock(JsonObject *lock, GBytes *cert, const guint8 eid[16], gboolean *proven, GError **error)
{
	g_autoptr(GBytes) receipt = ifpp_json_get_base64(lock, "receipt", DEPOT_RECORD_MAX);
	const char *hex = ifpp_json_get_string(lock, "challenge");
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
	g_autoptr(DepotChip) chip = g_new0(DepotChip, 1), have = NULL;
	g_autoptr(GBytes) cert = NULL;
	g_autoptr(JsonObject) object = record_load(text, "ifpp-chip", 1, chip->eid, error);
	g_autoptr(GError) local = NULL;
	JsonObject *lock;

	if (!object)
		return FALSE;
	if (eid && memcmp(eid, chip->eid, 16))
		return wrong(error, "its EID is not that of the chip");
	chip->euicc_data = ifpp_json_get_base64(object, "euicc_data", DEPOT_EUICC_DATA_MAX);
	if (!chip->euicc_data && !ifpp_json_is_null(object, "euicc_data"))
		return wrong(error, "euicc_data: neither base64 nor null");
	lock = ifpp_json_get_object(object, "lock");
	if (!lock && !ifpp_json_is_null(object, "lock"))
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
	if (lock) {
		if (!prove_lock(lock, cert, chip->eid, &chip->lock_proven, error))
			return FALSE;
		chip->lock = canonical(object, "lock");
		if (strlen(chip->lock) > DEPOT_RECORD_MAX)
			return wrong(error, "the lock receipt is too long");
	}
	return depot_put_chip(depot, station, chip, stored, error) &&
	       (!cert || (prove_earlier(depot, trust, chip->eid, error) && prove_settled(depot, trust, chip->eid, error)));
}
