// SPDX-License-Identifier: GPL-2.0-or-later
#include "api-csv.h"

#include <stdio.h>
#include <string.h>

#include <eid.h>

#include "csv-field.h"
#include "units.h"

#define PAGE 500
#define BLOCK 32768

typedef struct {
	Depot *depot;
	gboolean failures, end;
	void (*give_back)(Depot *depot, gpointer user);
	gpointer user;
	UnitsResult last;	/* EID and key id of what was told last; what it points to is not kept */
	gboolean has_last;
	GString *text;		/* what is to be sent */
	gsize sent;
} Csv;

static void add(GString *out, const char *text)
{
	ifpp_csv_field(out, text);
	g_string_append_c(out, ',');
}

static void end_line(GString *out)
{
	g_string_truncate(out, out->len - 1);
	g_string_append(out, "\r\n");
}

static void add_number(GString *out, gint64 number)
{
	g_string_append_printf(out, "%" G_GINT64_FORMAT ",", number);
}

static void add_time(GString *out, gint64 ms)
{
	g_autofree char *text = ms ? depot_time(ms) : NULL;

	add(out, text);
}

static void add_identity(GString *out, const IfppUnit *unit)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		add(out, unit->field[i]);
}

static void add_head(GString *out, gboolean failures)
{
	static const char *const of_units[] = { "eid", "state", "packages", "installed", "failed", "burnt", "changed" };
	static const char *const of_failures[] = { "eid", "key_id", "iccid", "profile", "operator", "order", "state", "reason",
						   "reported_by", "proof", "at" };
	const char *const *names = failures ? of_failures : of_units;
	guint n = failures ? G_N_ELEMENTS(of_failures) : G_N_ELEMENTS(of_units);

	for (guint i = 0; i < n; i++)
		add(out, names[i]);
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		add(out, ifpp_unit_names[i]);
	end_line(out);
}

static void add_unit(GString *out, const UnitsRow *unit)
{
	char eid[33];

	ifpp_eid_format(unit->eid, eid);
	add(out, eid);
	add(out, figures_unit_names[unit->state]);
	add_number(out, unit->packages);
	add_number(out, unit->installed);
	add_number(out, unit->failed);
	add_number(out, unit->burnt);
	add_time(out, unit->changed);
	add_identity(out, &unit->unit);
	end_line(out);
}

static void add_failure(GString *out, const UnitsResult *result)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(result->key_id)), *proof = NULL;
	gboolean refused = result->refused.reason != NULL;
	char eid[33];

	if (refused)
		proof = g_strdup_printf("not signed: %s", result->refused.why);

	ifpp_eid_format(result->eid, eid);
	add(out, eid);
	add(out, key);
	add(out, result->iccid);
	add(out, result->profile);
	add(out, result->operator);
	add(out, result->order);
	add(out, refused ? "refused" : depot_state_names[result->state]);
	add(out, refused ? result->refused.reason : result->reason);
	add(out, refused ? result->refused.station : result->station);
	add(out, refused ? proof : result->proof);
	add_time(out, refused ? result->refused.at : result->at);
	add_identity(out, &result->unit);
	end_line(out);
}

static gboolean next_page(Csv *csv, GError **error)
{
	g_autoptr(GPtrArray) rows = NULL;

	rows = csv->failures ? units_results(csv->depot, UNITS_FAILURES, NULL, csv->has_last ? &csv->last : NULL, PAGE, error) :
			       units_list(csv->depot, UNITS_ALL, NULL, csv->has_last ? csv->last.eid : NULL, PAGE, error);
	if (!rows)
		return FALSE;
	g_string_truncate(csv->text, 0);
	csv->sent = 0;
	for (guint i = 0; i < rows->len; i++) {
		if (csv->failures)
			add_failure(csv->text, rows->pdata[i]);
		else
			add_unit(csv->text, rows->pdata[i]);
	}
	csv->end = rows->len < PAGE;
	if (rows->len) {
		const UnitsResult *result = rows->pdata[rows->len - 1];
		const UnitsRow *unit = rows->pdata[rows->len - 1];

		csv->has_last = TRUE;
		memcpy(csv->last.eid, csv->failures ? result->eid : unit->eid, 16);
		if (csv->failures)
			memcpy(csv->last.key_id, result->key_id, 32);
	}
	return TRUE;
}

static ssize_t read_block(void *cls, uint64_t position, char *block, size_t max)
{
	g_autoptr(GError) error = NULL;
	Csv *csv = cls;
	gsize n;

	if (csv->sent == csv->text->len && !csv->end && !next_page(csv, &error)) {
		fprintf(stderr, "ifpp-depot: a CSV was not sent to its end: %s\n", error->message);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	n = MIN(max, csv->text->len - csv->sent);
	memcpy(block, csv->text->str + csv->sent, n);
	csv->sent += n;
	return n ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void csv_free(void *cls)
{
	Csv *csv = cls;

	csv->give_back(csv->depot, csv->user);
	g_string_free(csv->text, TRUE);
	g_free(csv);
}

struct MHD_Response *api_csv(Depot *depot, gboolean failures, void (*give_back)(Depot *depot, gpointer user), gpointer user)
{
	Csv *csv = g_new0(Csv, 1);

	csv->depot = depot;
	csv->failures = failures;
	csv->give_back = give_back;
	csv->user = user;
	csv->text = g_string_new(NULL);
	add_head(csv->text, failures);
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_block, csv, csv_free);
}
