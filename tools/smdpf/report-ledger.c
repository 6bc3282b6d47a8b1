// SPDX-License-Identifier: GPL-2.0-or-later
/* What a report that is being verified has of the ledger, and gives to it. */
#include "report-check.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "diskset.h"
#include "store.h"
#include "told.h"

#define RESULTS_MAX 256	/* that go into the ledger at once */

const LedgerEntry *check_find(Check *check, const guint8 key_id[32], LedgerEntry *entry)
{
	gboolean found = FALSE;
	GError *local = NULL;

	if (!check->error && !ledger_find(check->ledger, key_id, entry, &found, &local))
		ledger_error(check->home, local, &check->error);
	if (!found || entry->state == LEDGER_RESERVED)
		return NULL;
	g_hash_table_add(check->orders, ifpp_hex(IFPP_SPAN(entry->order)));
	return entry;
}

gboolean check_report_key(Check *check, const guint8 key_id[32], const char *key_hex)
{
	if (!check->error)
		diskset_add(check->seen, (IfppSpan){ key_id, 32 }, &check->error);
	return g_hash_table_add(check->reported, g_strdup(key_hex));
}

gboolean check_flush(Check *check)
{
	g_autoptr(GString) freed = g_string_new(NULL), held = g_string_new(NULL);

	for (guint i = 0; i < check->proven->len; i++) {
		const LedgerResult *result = &g_array_index(check->proven, LedgerResult, i);
		g_autofree char *id = ifpp_hex(IFPP_SPAN(result->key_id));

		if (result->deleted)
			ledger_deleted_line(freed, result);
		else if (result->late)
			g_string_append_printf(held, STORE_INSTALLED "%s\n", id);
	}
	/* Before, what takes an ICCID out of use again: the journal says that it was void. */
	if (!check->error && held->len)
		store_journal(check->home, held->str, held->len, &check->error);
	/* The journal last: what it says is believed when the ledger is lost, and this frees something. */
	if (!check->error &&
	    ledger_result(check->ledger, (LedgerResult *)check->proven->data, check->proven->len, &check->error) &&
	    (!freed->len || store_journal(check->home, freed->str, freed->len, &check->error)) &&
	    told_results(check->ledger, (Told *)check->told->data, check->told->len, &check->error))
		told_unloaded(check->ledger, (ToldUnloaded *)check->unloaded->data, check->unloaded->len, &check->error);
	g_array_set_size(check->proven, 0);
	g_array_set_size(check->told, 0);
	g_array_set_size(check->unloaded, 0);
	return !check->error;
}

void check_take_proven(Check *check, const LedgerEntry *entry, guint reason)
{
	gboolean late = !reason && entry->state == LEDGER_VOID && entry->reason != LEDGER_VOID_DELETED;
	LedgerResult proven = { .reason = reason, .late = late };

	memcpy(proven.key_id, entry->key_id, 32);
	memcpy(proven.order, entry->order, 8);
	g_array_append_val(check->proven, proven);
	if (check->proven->len >= RESULTS_MAX)
		check_flush(check);
}

void check_take_deleted(Check *check, const LedgerEntry *entry, const IfppDeletion *deletion)
{
	LedgerResult proven = { .deleted = TRUE };
	gsize len;
	const void *data = g_bytes_get_data(deletion->bytes, &len);

	memcpy(proven.key_id, entry->key_id, 32);
	memcpy(proven.order, entry->order, 8);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, proven.record);
	g_array_append_val(check->proven, proven);
	if (check->proven->len >= RESULTS_MAX)
		check_flush(check);
}

void check_keep_told(Check *check, const guint8 key_id[32], GBytes *pir)
{
	g_autoptr(GString) unit = g_string_new(NULL);
	gsize len;
	const void *data = g_bytes_get_data(pir, &len);
	Told told = {};

	memcpy(told.key_id, key_id, 32);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, told.result);
	ifpp_unit_write(&check->identity, unit);
	told.unit = g_string_free(g_steal_pointer(&unit), FALSE);
	g_array_append_val(check->told, told);
	if (check->told->len == RESULTS_MAX)
		check_flush(check);
}

void check_keep_unloaded(Check *check, const guint8 key_id[32], guint reason)
{
	ToldUnloaded unloaded = { .reason = reason };

	memcpy(unloaded.key_id, key_id, 32);
	g_array_append_val(check->unloaded, unloaded);
	if (check->unloaded->len == RESULTS_MAX)
		check_flush(check);
}
