// SPDX-License-Identifier: GPL-2.0-or-later
#include "deliver.h"
#include "explain.h"
#include "file.h"
#include "outbox.h"
#include "report.h"

#include <eid.h>
#include <errno.h>
#include <file.h>
#include <glib/gstdio.h>
#include <string.h>

typedef struct {
	Ctl *ctl;
	const char *outbox, *to, *cache;
	char *place;		/* @to, and which epoch of that depot: what is noted with each record */
	CtlDepot *depot;	/* NULL: @to is a directory */
	gboolean notes;		/* it takes more than chips and results */
	CtlDelivered *counts;
	GError *waiting;	/* why, the first time */
} Delivery;

static JsonBuilder *record_new(const char *format, int version, const char *eid)
{
	JsonBuilder *b = ifpp_json_new(NULL);

	ifpp_json_string(b, "format", format);
	ifpp_json_int(b, "version", version);
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
	b = record_new("ifpp-chip", 1, eid);
	if (data)
		ifpp_json_base64(b, "euicc_data", ifpp_span_bytes(data));
	else
		ifpp_json_string(b, "euicc_data", NULL);
	ctl_report_lock(b, receipt);
	return ifpp_json_text(b);
}

static char *result_record(const char *eid, const IfppAttempt *result)
{
	JsonBuilder *b = record_new("ifpp-result", 2, eid);

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

/* The paths in it are named for the chip. */
static void tell_info(Delivery *d, const GError *error)
{
	g_autofree char *shown = ctl_show_path(&d->ctl->out, error->message);

	g_info("%s", shown);
}

typedef enum { ON_RECORD, NOT_ON_RECORD, LATER } Delivered;

static Delivered deliver_one(Delivery *d, const char *eid, const char *name, const char *path, const char *file_name,
			     const char *record)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, record, -1);
	g_auto(CtlNote) have = { 0 }, note = { .where = g_strdup_printf("%s %s", sum, d->place) };
	g_autoptr(GError) error = NULL;

	if (ctl_outbox_note_read(d->outbox, eid, name, &have) && g_str_equal(have.where, note.where)) {
		d->counts->before++;
		return ON_RECORD;
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
		return NOT_ON_RECORD;
	case CTL_PUT_REFUSED:
		d->counts->refused++;
		ctl_error_exit(error);
		return NOT_ON_RECORD;
	case CTL_PUT_LATER:
		d->counts->waiting++;
		if (!d->waiting)
			d->waiting = g_steal_pointer(&error);
		return LATER;
	}
	/* Without the note it is only asked once more. What it says of a package that is gone stays. */
	note.profile = g_steal_pointer(&have.profile);
	if (!ctl_outbox_note_write(d->outbox, eid, name, &note, &error))
		tell_info(d, error);
	return ON_RECORD;
}

/*
 * The depot has what the chip signed: the key is spent, the package is good for nothing. What provision
 * has to know of it is noted first, so that after any crash either is there.
 */
static void delete_package(Delivery *d, const char *eid, const char *note_name, const IfppAttempt *result)
{
	g_autofree char *name = NULL, *path = NULL, *shown = NULL;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(IfppPackage) package = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(CtlNote) note = { 0 };
	guint8 bytes[16];
	IfppHeader header;
	IfppSpan profile;

	/* Whose key is unspent can be loaded again. A class that nobody has written down is read in it before a lock. */
	if (!result->pir || result->spent != IFPP_SPENT_YES || result->profile_class < 0 || !ifpp_eid_parse(eid, bytes, NULL))
		return;
	name = ifpp_package_file_name(bytes, result->key_id);
	path = g_build_filename(d->cache, name, NULL);
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return;
	file = ctl_package_read(path, &header, NULL);
	package = file ? ifpp_package_read_proven(file, NULL) : NULL;
	if (!package || memcmp(header.eid, bytes, 16) || memcmp(header.key_id, result->key_id, 32) ||
	    !ifpp_span_equal(ifpp_bpp_transaction_id(ifpp_package_bpp(package)), ifpp_span_bytes(result->transaction)))
		return;
	if (!ctl_outbox_note_read(d->outbox, eid, note_name, &note))
		return;
	profile = ifpp_bpp_profile_name(ifpp_package_bpp(package));
	g_free(note.profile);
	note.profile = g_strndup((const char *)profile.data, profile.len);
	g_strdelimit(note.profile, "\r\n", ' ');
	if (!ctl_outbox_note_write(d->outbox, eid, note_name, &note, &error)) {
		tell_info(d, error);
	} else if (g_unlink(path) == 0) {
		d->counts->deleted++;
	} else {
		int err = errno;

		shown = ctl_show_path(&d->ctl->out, path);
		g_warning("%s: cannot delete it: %s", shown, g_strerror(err));
	}
}

/* FALSE: the others would meet the same. */
static gboolean deliver_chip(Delivery *d, const char *eid, const guint8 bytes[16])
{
	g_autofree char *path = g_strconcat("/v1/chips/", eid, NULL);
	g_autofree char *file_name = g_strconcat(eid, ".chip.json", NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *record = chip_record(d->outbox, eid, bytes, &error);

	if (error) {
		d->counts->refused++;
		ctl_error_exit(error);
	}
	return !record || deliver_one(d, eid, "chip", path, file_name, record) != LATER;
}

static gboolean deliver_attempt(Delivery *d, const char *eid, const IfppAttempt *attempt)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(attempt->key_id));
	g_autofree char *path = g_strconcat("/v1/results/", key, NULL);
	g_autofree char *name = ctl_attempt_name(attempt);
	g_autofree char *file_name = g_strconcat(name, ".result.json", NULL);
	g_autofree char *record = result_record(eid, attempt);
	Delivered delivered = deliver_one(d, eid, name, path, file_name, record);

	if (delivered == ON_RECORD && d->depot && d->cache)
		delete_package(d, eid, name, attempt);
	return delivered != LATER;
}

/* What no chip has signed. Once it was told, it is told also that there is nothing any more. */
static gboolean deliver_notes(Delivery *d, const char *eid, const guint8 bytes[16])
{
	g_autofree char *path = g_strconcat("/v1/notes/", eid, NULL);
	g_autofree char *file_name = g_strconcat(eid, ".notes.json", NULL);
	JsonBuilder *b = record_new("ifpp-notes", 1, eid);
	gboolean any = ctl_report_notes(b, d->outbox, bytes);
	g_autofree char *record = ifpp_json_text(b);
	g_auto(CtlNote) before = { 0 };

	return (!any && !ctl_outbox_note_read(d->outbox, eid, "notes", &before)) ||
	       deliver_one(d, eid, "notes", path, file_name, record) != LATER;
}

static gboolean deliver_unit(Delivery *d, const char *eid)
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free), attempts = NULL;
	g_autoptr(GError) error = NULL;
	guint8 bytes[16];

	/* The chip first: with its certificate the depot can prove the rest. */
	if (!ifpp_eid_parse(eid, bytes, NULL) || !deliver_chip(d, eid, bytes))
		return FALSE;
	attempts = ctl_outbox_attempts(d->outbox, bytes, damaged, &error);
	if (!attempts) {
		d->counts->refused++;
		ctl_error_exit(error);
		return TRUE;
	}
	for (guint i = 0; i < damaged->len; i++) {
		g_autoptr(GError) why = g_error_new_literal(IFPP_ERROR, IFPP_ERROR_PIR, damaged->pdata[i]);

		d->counts->refused++;
		ctl_error_exit(why);
	}
	for (guint i = 0; i < attempts->len; i++)
		if (!deliver_attempt(d, eid, attempts->pdata[i]))
			return FALSE;
	return !d->notes || deliver_notes(d, eid, bytes);
}

gboolean ctl_deliver(Ctl *ctl, const char *outbox, const char *to, const char *cache, const CtlDepotKeys *keys,
		     CtlDelivered *counts, GError **error)
{
	g_autoptr(GPtrArray) units = ctl_outbox_units(outbox, error);
	g_autoptr(CtlDepot) depot = NULL;
	g_autofree char *epoch = NULL, *place = NULL;
	Delivery d = { .ctl = ctl, .outbox = outbox, .to = to, .cache = cache, .counts = counts, .notes = TRUE };

	memset(counts, 0, sizeof(*counts));
	if (!units)
		return FALSE;
	if (ctl_depot_is_url(to)) {
		d.depot = depot = ctl_depot_new(to, keys, error);
		if (!depot)
			return FALSE;
		/* A depot that was restored has forgotten what the notes say that it has: it gets all again. */
		epoch = units->len ? ctl_depot_epoch(depot, &d.notes, error) : g_strdup("-");
		if (!epoch)
			return FALSE;
	} else if (!ifpp_make_dir(to, 0755, error)) {
		return FALSE;
	}
	place = g_strdup_printf("%s%s%s", to, epoch ? " " : "", epoch ?: "");
	d.place = place;
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
	g_autofree char *to = NULL, *outbox = NULL, *cache = NULL, *cert = NULL, *key = NULL, *ca = NULL;
	gboolean keep = FALSE;
	const GOptionEntry entries[] = {
		{ "to", 't', 0, G_OPTION_ARG_STRING, &to, "The depot, or a directory whose content goes to it", "URL|DIR" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "Where the daemon keeps results", "DIR" },
		{ "cache", 0, 0, G_OPTION_ARG_FILENAME, &cache, "Where packages of the depot are kept", "DIR" },
		{ "keep", 0, 0, G_OPTION_ARG_NONE, &keep, "Keep them there when the depot has their results", NULL },
		CTL_DEPOT_OPTIONS(cert, key, ca),
		G_OPTION_ENTRY_NULL
	};
	CtlDelivered counts = { 0 };
	CtlDepotKeys keys;
	gboolean ok;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Bring results, lock receipts and notes to the depot. What is there already is not sent again. "
		       "A package whose result the depot has is deleted here.", error))
		return 0;
	if (!to || argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "deliver: %s",
			    to ? "it takes options only" : "say where to with --to https://HOST:PORT or --to DIR");
		return 0;
	}
	keys = (CtlDepotKeys){ cert, key, ca };
	ok = ctl_deliver(ctl, outbox ?: CTL_OUTBOX, to, keep ? NULL : cache ?: CTL_PACKAGES, &keys, &counts, error);
	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("deliver");

		ifpp_json_int(b, "delivered", counts.delivered);
		ifpp_json_int(b, "before", counts.before);
		ifpp_json_int(b, "unknown", counts.unknown);
		ifpp_json_int(b, "refused", counts.refused);
		ifpp_json_int(b, "deleted", counts.deleted);
		ifpp_json_bool(b, "complete", ok);
		ifpp_json_print(b);
	}
	if (ok)
		ctl_say(&ctl->out, "%s: %u records delivered now, %u before, %u not known there, %u refused.", to,
			counts.delivered, counts.before, counts.unknown, counts.refused);
	return counts.refused ? IFPP_EXIT_REFUSED : IFPP_EXIT_OK;
}
