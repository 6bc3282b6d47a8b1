// SPDX-License-Identifier: GPL-2.0-or-later
#include "extract.h"

#include <stdio.h>
#include <string.h>

#include "csv-field.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "json.h"
#include "told.h"

static const char *const states[] = { "reserved", "sealed", "installed", "failed", "void" };

/* The columns, in CSV and JSON; those of the unit come between. */
enum { ICCID, EID, STATE, REASON, PROFILE, ORDER, OPERATOR, N_FRONT };
static const char *const front[N_FRONT] = { "iccid", "eid", "state", "reason", "profile", "order", "operator" };
enum { VERIFIED, PROOF, KEY_ID, N_BACK };
static const char *const back[N_BACK] = { "verified", "proof_sha256", "key_id" };

static void put(GString *line, JsonBuilder *b, const char *name, const char *value)
{
	if (b) {
		ifpp_json_string(b, name, value);
		return;
	}
	if (line->len)
		g_string_append_c(line, ',');
	ifpp_csv_field(line, value);
}

static void end_line(GString *line)
{
	g_string_append(line, "\r\n");
	fwrite(line->str, 1, line->len, stdout);
}

static void write_header(void)
{
	g_autoptr(GString) line = g_string_new(NULL);

	for (guint i = 0; i < N_FRONT; i++)
		put(line, NULL, NULL, front[i]);
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		put(line, NULL, NULL, ifpp_unit_names[i]);
	for (guint i = 0; i < N_BACK; i++)
		put(line, NULL, NULL, back[i]);
	end_line(line);
}

static gboolean write_row(const ToldRow *row, gpointer json, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	g_autofree char *proof = row->result ? ifpp_hex((IfppSpan){ row->result, 32 }) : NULL;
	g_autofree char *key_id = ifpp_hex(IFPP_SPAN(row->key_id)), *when = NULL;
	g_autoptr(GDateTime) time = row->at ? g_date_time_new_from_unix_utc(row->at / 1000) : NULL;
	static const guint8 unknown[10];
	char iccid[21] = "", eid[33];
	const char *values[N_FRONT] = {
		[ICCID] = iccid, [EID] = eid, [STATE] = row->state < G_N_ELEMENTS(states) ? states[row->state] : "unknown",
		[REASON] = row->state == LEDGER_FAILED ? ifpp_pir_reason_name(row->reason) :
			   row->state == LEDGER_BOUND && row->refused ? ifpp_reason_name(row->refused) :
			   row->state == LEDGER_VOID && row->reason == LEDGER_VOID_DELETED ? "deleted" : NULL,
		[PROFILE] = row->profile, [ORDER] = row->order, [OPERATOR] = row->operator,
	};
	const char *ends[N_BACK] = { [PROOF] = proof, [KEY_ID] = key_id };
	JsonBuilder *b;

	if (ferror(stdout))	/* told when the program ends */
		return TRUE;
	b = json ? ifpp_json_new("extract") : NULL;
	if (memcmp(row->iccid, unknown, 10))
		ifpp_iccid_format(row->iccid, iccid);
	ifpp_eid_format(row->eid, eid);
	when = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;
	ends[VERIFIED] = when;
	for (guint i = 0; i < N_FRONT; i++)
		put(line, b, front[i], values[i]);
	for (guint i = 0; !b && i < IFPP_UNIT_FIELDS; i++)
		put(line, NULL, NULL, row->unit.field[i]);
	if (b)
		ifpp_json_unit(b, &row->unit);
	for (guint i = 0; i < N_BACK; i++)
		put(line, b, back[i], ends[i]);
	if (b)
		ifpp_json_print(b);
	else
		end_line(line);
	return TRUE;
}

gboolean extract_write(const Home *home, const char *operator, const char *order, gboolean json, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open(home, error);

	if (!ledger)
		return FALSE;
	if (!json)
		write_header();
	return told_walk(ledger, operator, order, write_row, GINT_TO_POINTER(json), error);
}
