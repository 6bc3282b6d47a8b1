// SPDX-License-Identifier: GPL-2.0-or-later
#include "unit.h"

#include <string.h>

#include "eid.h"
#include "error.h"

void unit_clear(Unit *unit)
{
	g_clear_pointer(&unit->info, ifpp_factory_info_free);
	g_clear_pointer(&unit->late, g_hash_table_unref);
	g_clear_pointer(&unit->deletions, g_ptr_array_unref);
}

/* The chip's own data, as the factory exported it: certificates up to a CI root, attested keys. */
gboolean unit_prove(const Home *home, JsonObject *object, Unit *unit, GError **error)
{
	g_autoptr(GBytes) data = ifpp_json_get_base64(object, "euicc_data", UNIT_PROOF_MAX);
	g_autoptr(IfppFactoryInfo) info = NULL;
	const char *text = ifpp_json_get_string(object, "eid");
	IfppSpan ff21, bf22;
	guint8 eid[16];

	g_strlcpy(unit->eid_text, text ? text : "", sizeof(unit->eid_text));
	if (!text || !ifpp_eid_parse(text, unit->eid, error)) {
		if (!text)
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_EID, "a unit without EID");
		return FALSE;
	}
	if (!data) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA, "no eUICC data");
		return FALSE;
	}
	if (!ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, error) ||
	    !(info = ifpp_factory_info_parse(ff21, error)) ||
	    !ifpp_factory_info_verify(info, unit->eid, home->trust, error))
		return FALSE;
	unit->info = g_steal_pointer(&info);
	return TRUE;
}

gboolean unit_prove_lock(Unit *unit, JsonObject *lock, GError **error)
{
	const char *challenge = lock ? ifpp_json_get_string(lock, "challenge") : NULL;
	g_autoptr(GBytes) receipt = lock ? ifpp_json_get_base64(lock, "receipt", UNIT_PROOF_MAX) : NULL;
	g_autoptr(GBytes) expect = challenge ? ifpp_unhex(challenge) : NULL;
	IfppReceipt fields;

	if (!lock)
		return TRUE;
	if (!receipt || !expect || g_bytes_get_size(expect) != 16) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT, "lock receipt without challenge or bytes");
		return FALSE;
	}
	if (!unit->info) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT, "its chip is not proven");
		return FALSE;
	}
	if (!ifpp_receipt_verify(ifpp_span_bytes(receipt), ifpp_span_bytes(unit->info->cert_euicc), unit->eid,
				 g_bytes_get_data(expect, NULL), &fields, error))
		return FALSE;
	unit->locked = TRUE;
	unit->spent = fields.spent;
	return TRUE;
}

gboolean unit_prove_deletions(Unit *unit, JsonArray *deletions, GError **error)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_deletion_free);

	for (guint i = 0; deletions && i < json_array_get_length(deletions); i++) {
		JsonObject *object = ifpp_json_get_element(deletions, i);
		g_autoptr(GBytes) bytes = object ? ifpp_json_get_base64(object, "record", UNIT_PROOF_MAX) : NULL;
		g_autoptr(IfppDeletion) deletion = NULL;

		if (!bytes || !unit->info) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_JSON, "deletion record: %s", bytes ? "its chip is not proven" :
				    "not there in base64");
			return FALSE;
		}
		deletion = ifpp_deletion_parse(bytes, error);
		if (!deletion || !ifpp_deletion_verify(deletion, ifpp_span_bytes(unit->info->cert_euicc), error))
			return FALSE;
		g_ptr_array_add(all, g_steal_pointer(&deletion));
	}
	unit->deletions = g_steal_pointer(&all);
	return TRUE;
}

/* The signature, and that the result is of this chip and of the package this home sealed. */
gboolean unit_check_pir(Unit *unit, GBytes *bytes, const LedgerEntry *entry, guint *reason, GError **error)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, error);

	if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(unit->info->cert_euicc), error))
		return FALSE;
	*reason = pir->reason;
	if (!entry)
		return TRUE;
	if (memcmp(entry->eid, unit->eid, 16) || !ifpp_span_equal(pir->transaction_id, IFPP_SPAN(entry->transaction))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR_MISMATCH, "the result is of another package");
		return FALSE;
	}
	if (pir->iccid.len && !ifpp_span_equal(pir->iccid, IFPP_SPAN(entry->iccid))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR_MISMATCH, "the result is of another profile");
		return FALSE;
	}
	return TRUE;
}
