// SPDX-License-Identifier: GPL-2.0-or-later
#include "deliver.h"
#include "explain.h"
#include "outbox.h"
#include "report.h"

#include <eid.h>
#include <errno.h>
#include <file.h>
#include <glib/gstdio.h>
#include <string.h>

#define MARK_MAX 4096

typedef struct {
	Ctl *ctl;
	const char *outbox, *to;
	CtlDepot *depot;	/* NULL: @to is a directory */
	CtlDelivered *counts;
	GError *waiting;	/* why, the first time */
} Delivery;

static JsonBuilder *record_new(const char *format, const char *eid)
{
	JsonBuilder *b = ifpp_json_new(NULL);

	ifpp_json_string(b, "format", format);
	ifpp_json_int(b, "version", 1);
	ifpp_json_string(b, "eid", eid);
	return b;
}

/* The receipt and the chip's own data, which proves it and the results. NULL: nothing is known yet. */
static char *chip_record(const char *outbox, const char *eid, const guint8 bytes[16], GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(GBytes) data = ctl_outbox_euicc_data(outbox, bytes, &local);
	g_autoptr(CtlReceipt) receipt = local ? NULL : ctl_outbox_receipt(outbox, bytes, &local);
	JsonBuilder *b;

	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	if (!data && !receipt)
		return NULL;
	b = record_new("ifpp-chip", eid);
	if (data)
		ifpp_json_base64(b, "euicc_data", ifpp_span_bytes(data));
	else
		ifpp_json_string(b, "euicc_data", NULL);
	ctl_report_lock(b, receipt);
	return ifpp_json_text(b);
}

static char *result_record(const char *outbox, const char *eid, const guint8 bytes[16], const guint8 key_id[32],
			   GError **error)
{
	g_autoptr(CtlResult) result = ctl_outbox_result(outbox, bytes, key_id, error);
	JsonBuilder *b;

	if (!result)
		return NULL;
	b = record_new("ifpp-result", eid);
	json_builder_set_member_name(b, "result");
	ctl_report_result(b, result);
	return ifpp_json_text(b);
}

static CtlPut put(Delivery *d, const char *path, const char *file_name, const char *record, GError **error)
{
	g_autofree char *file = NULL;

	if (d->depot)
		return ctl_depot_put(d->depot, path, record, error);
	file = g_build_filename(d->to, file_name, NULL);
	return ifpp_file_write(file, record, strlen(record), 0644, error) ? CTL_PUT_STORED : CTL_PUT_LATER;
}

/* FALSE: the others would meet the same. */
static gboolean deliver_one(Delivery *d, const char *mark, const char *path, const char *file_name, const char *record)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, record, -1);
	g_autofree char *note = g_strdup_printf("%s %s\n", sum, d->to);
	g_autoptr(GBytes) have = g_file_test(mark, G_FILE_TEST_EXISTS) ? ifpp_file_read(mark, MARK_MAX, NULL) : NULL;
	g_autoptr(GError) error = NULL;

	if (have && ifpp_span_equal(ifpp_span_bytes(have), (IfppSpan){ (const guint8 *)note, strlen(note) })) {
		d->counts->before++;
		return TRUE;
	}
	switch (put(d, path, file_name, record, &error)) {
	case CTL_PUT_STORED:
		d->counts->delivered++;
		break;
	case CTL_PUT_THERE:
		d->counts->before++;
		break;
	case CTL_PUT_UNKNOWN:
		d->counts->unknown++;
		return TRUE;
	case CTL_PUT_REFUSED:
		d->counts->refused++;
		ctl_error_exit(error);
		return TRUE;
	case CTL_PUT_LATER:
		d->counts->waiting++;
		if (!d->waiting)
			d->waiting = g_steal_pointer(&error);
		return FALSE;
	}
	/* Without the note it is only asked once more. */
	if (!ifpp_file_write(mark, note, strlen(note), 0640, &error))
		g_info("%s", error->message);
	return TRUE;
}

static char *mark_of(const Delivery *d, const char *eid, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".delivered", NULL);

	return g_build_filename(d->outbox, eid, file, NULL);
}

static gboolean deliver_chip(Delivery *d, const char *eid, const guint8 bytes[16])
{
	g_autofree char *mark = mark_of(d, eid, "chip"), *path = g_strconcat("/v1/chips/", eid, NULL);
	g_autofree char *file_name = g_strconcat(eid, ".chip.json", NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *record = chip_record(d->outbox, eid, bytes, &error);

	if (error) {
		d->counts->refused++;
		ctl_error_exit(error);
	}
	return !record || deliver_one(d, mark, path, file_name, record);
}

static gboolean deliver_result(Delivery *d, const char *eid, const guint8 bytes[16], const char *key)
{
	g_autofree char *mark = mark_of(d, eid, key), *path = g_strconcat("/v1/results/", key, NULL);
	g_autofree char *file_name = g_strconcat(key, ".result.json", NULL);
	g_autoptr(GBytes) id = ifpp_unhex(key);
	g_autoptr(GError) error = NULL;
	g_autofree char *record = result_record(d->outbox, eid, bytes, g_bytes_get_data(id, NULL), &error);

	if (error) {
		d->counts->refused++;
		ctl_error_exit(error);
	}
	return !record || deliver_one(d, mark, path, file_name, record);
}

static gboolean deliver_unit(Delivery *d, const char *eid)
{
	g_autoptr(GPtrArray) keys = ctl_outbox_keys(d->outbox, eid);
	guint8 bytes[16];

	/* The chip first: with its certificate the depot can prove the rest. */
	if (!ifpp_eid_parse(eid, bytes, NULL) || !deliver_chip(d, eid, bytes))
		return FALSE;
	for (guint i = 0; i < keys->len; i++)
		if (!deliver_result(d, eid, bytes, keys->pdata[i]))
			return FALSE;
	return TRUE;
}

gboolean ctl_deliver(Ctl *ctl, const char *outbox, const char *to, const CtlDepotKeys *keys, CtlDelivered *counts,
		     GError **error)
{
	g_autoptr(GPtrArray) units = ctl_outbox_units(outbox, error);
	g_autoptr(CtlDepot) depot = NULL;
	Delivery d = { .ctl = ctl, .outbox = outbox, .to = to, .counts = counts };

	memset(counts, 0, sizeof(*counts));
	if (!units)
		return FALSE;
	if (ctl_depot_is_url(to)) {
		d.depot = depot = ctl_depot_new(to, keys, error);
		if (!depot)
			return FALSE;
	} else if (g_mkdir_with_parents(to, 0755)) {
		g_set_error(error, IFPP_ERROR, errno == EACCES || errno == EROFS ? IFPP_ERROR_ACCESS : IFPP_ERROR_IO,
			    "%s: cannot make it: %s", to, g_strerror(errno));
		return FALSE;
	}
	for (guint i = 0; i < units->len; i++)
		if (!deliver_unit(&d, units->pdata[i]))
			break;
	if (!d.waiting)
		return TRUE;
	g_propagate_error(error, d.waiting);
	return FALSE;
}

int ctl_cmd_deliver(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *to = NULL, *outbox = NULL, *cert = NULL, *key = NULL, *ca = NULL;
	const GOptionEntry entries[] = {
		{ "to", 't', 0, G_OPTION_ARG_STRING, &to, "The depot, or a directory whose content goes to it", "URL|DIR" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "Where the daemon keeps results", "DIR" },
		CTL_DEPOT_OPTIONS(cert, key, ca),
		G_OPTION_ENTRY_NULL
	};
	CtlDelivered counts = { 0 };
	CtlDepotKeys keys;
	gboolean ok;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Bring results and lock receipts to the depot. What is there already is not sent again.", error))
		return 0;
	if (!to || argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "deliver: %s",
			    to ? "it takes options only" : "say where to with --to https://HOST:PORT or --to DIR");
		return 0;
	}
	keys = (CtlDepotKeys){ cert, key, ca };
	ok = ctl_deliver(ctl, outbox ?: CTL_OUTBOX, to, &keys, &counts, error);
	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("deliver");

		ifpp_json_int(b, "delivered", counts.delivered);
		ifpp_json_int(b, "before", counts.before);
		ifpp_json_int(b, "unknown", counts.unknown);
		ifpp_json_int(b, "refused", counts.refused);
		ifpp_json_bool(b, "complete", ok);
		ifpp_json_print(b);
	}
	if (ok)
		ctl_say(&ctl->out, "%s: %u records delivered now, %u before, %u not known there, %u refused.", to,
			counts.delivered, counts.before, counts.unknown, counts.refused);
	return counts.refused ? IFPP_EXIT_REFUSED : IFPP_EXIT_OK;
}
