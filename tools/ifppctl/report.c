// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"
#include "ctl.h"
#include "explain.h"
#include "outbox.h"
#include "sockets.h"

#include <eid.h>
#include <euicc.h>
#include <floor.h>
#include <stdio.h>
#include <string.h>

#define NOTES_ROOM (64 * 1024)	/* bytes in quarantine of one unit that go to a depot */
#define NOTES_MAX 64		/* records of one unit that cannot be read or were set aside, likewise */

/* What is known of one unit, collected before it is written. */
typedef struct {
	guint8 eid[16];
	gboolean seen;		/* it has a directory in the outbox */
	GPtrArray *attempts;	/* of IfppAttempt; NULL when not seen, or when that cannot be read */
	GPtrArray *packages;	/* of const CtlPackage */
} Unit;

static void unit_free(gpointer data)
{
	Unit *unit = data;

	g_clear_pointer(&unit->attempts, g_ptr_array_unref);
	g_ptr_array_unref(unit->packages);
	g_free(unit);
}

static int by_text(gconstpointer a, gconstpointer b, gpointer user)
{
	return strcmp(a, b);
}

static Unit *get_unit(GTree *units, const guint8 eid[16])
{
	char digits[33];
	Unit *unit;

	ifpp_eid_format(eid, digits);
	unit = g_tree_lookup(units, digits);
	if (!unit) {
		unit = g_new0(Unit, 1);
		memcpy(unit->eid, eid, 16);
		unit->packages = g_ptr_array_new();
		g_tree_insert(units, g_strdup(digits), unit);
	}
	return unit;
}

typedef struct {
	IfppReportWriter *file;	/* NULL: only the totals are wanted */
	JsonBuilder *b;
	const char *outbox;
	CtlReportTotals *totals;
	GPtrArray *damaged;	/* of char *, this unit's */
	gsize room;		/* for bytes in quarantine */
	guint most;		/* records in quarantine, and damaged ones */
	GError *error;
} Writer;

static void note_damaged(Writer *w, GError *error)
{
	g_ptr_array_add(w->damaged, g_strdup(error->message));
	w->totals->damaged++;
	g_error_free(error);
}

void ctl_report_result(JsonBuilder *b, const IfppAttempt *r)
{
	json_builder_begin_object(b);
	ifpp_json_hex(b, "key_id", IFPP_SPAN(r->key_id));
	ifpp_json_hex(b, "transaction_id", ifpp_span_bytes(r->transaction));
	if (r->pir)
		ifpp_json_int(b, "seq", r->seq);
	else
		ifpp_json_string(b, "seq", NULL);
	ifpp_json_string(b, "spent", ifpp_spent_name(r->spent));
	ifpp_json_int(b, "status", r->status);
	ifpp_json_int(b, "reason", r->reason);
	ifpp_json_string(b, "reason_name", ifpp_reason_name(r->reason));
	if (r->pir)
		ifpp_json_base64(b, "pir", ifpp_span_bytes(r->pir));
	else
		ifpp_json_string(b, "pir", NULL);
	ifpp_json_int(b, "apdus", r->apdus);
	ifpp_json_int(b, "apdu_bytes", r->apdu_bytes);
	ifpp_json_int(b, "verify_ns", r->verify_ns);
	ifpp_json_int(b, "chip_ns", r->chip_ns);
	ifpp_json_int(b, "modem_ns", r->modem_ns);
	ifpp_json_string(b, "time", r->time);
	ifpp_json_unit(b, &r->unit);
	if (r->floor) {
		g_autofree char *floor = ifpp_floor_text(r->floor);

		ifpp_json_string(b, "clock_floor", floor);
	}
	if (r->deferred) {
		json_builder_set_member_name(b, "left_in_chip");
		json_builder_add_boolean_value(b, TRUE);
	}
	json_builder_end_object(b);
}

/* @last: the one before it, or NULL: several attempts of a package are one package. */
static void write_result(Writer *w, const IfppAttempt *r, const IfppAttempt *last)
{
	ctl_report_result(w->b, r);
	w->totals->results++;
	w->totals->packages += !last || memcmp(last->key_id, r->key_id, 32);
	w->totals->installed += !r->status;
}

static void write_results(Writer *w, const Unit *unit)
{
	json_builder_set_member_name(w->b, "results");
	json_builder_begin_array(w->b);
	for (guint i = 0; unit->attempts && i < unit->attempts->len; i++)
		write_result(w, unit->attempts->pdata[i], i ? unit->attempts->pdata[i - 1] : NULL);
	json_builder_end_array(w->b);
}

static gboolean has_result(const Unit *unit, const guint8 key_id[32])
{
	return unit->attempts && ifpp_attempts_find(unit->attempts, key_id);
}

/* The station's word. What has a result by now was loaded after all. */
static void write_refused(Writer *w, const Unit *unit)
{
	g_autoptr(GPtrArray) all = ctl_outbox_refusals(w->outbox, unit->eid);
	guint before = w->totals->refused;

	for (guint i = 0; i < all->len; i++) {
		const IfppRefusal *refusal = all->pdata[i];

		if (has_result(unit, refusal->key_id))
			continue;
		if (before == w->totals->refused++) {
			json_builder_set_member_name(w->b, "refused");
			json_builder_begin_array(w->b);
		}
		json_builder_begin_object(w->b);
		ifpp_json_hex(w->b, "key_id", IFPP_SPAN(refusal->key_id));
		ifpp_json_int(w->b, "reason", refusal->reason);
		ifpp_json_string(w->b, "reason_name", ifpp_reason_name(refusal->reason));
		ifpp_json_string(w->b, "why", refusal->why);
		ifpp_json_string(w->b, "time", refusal->time);
		json_builder_end_object(w->b);
	}
	if (before != w->totals->refused)
		json_builder_end_array(w->b);
}

/* What the chip has signed of its rework: the profiles that are not in it any more. */
static void write_deletions(Writer *w, const Unit *unit)
{
	guint before = w->damaged->len;
	g_autoptr(GPtrArray) all = ctl_outbox_deletions(w->outbox, unit->eid, w->damaged);

	w->totals->damaged += w->damaged->len - before;
	if (!all->len)
		return;
	json_builder_set_member_name(w->b, "deletions");
	json_builder_begin_array(w->b);
	for (guint i = 0; i < all->len; i++)
		ifpp_json_deletion(w->b, all->pdata[i]);
	json_builder_end_array(w->b);
	w->totals->deleted += all->len;
}

static void write_pending(Writer *w, const Unit *unit)
{
	json_builder_set_member_name(w->b, "pending");
	json_builder_begin_array(w->b);
	for (guint i = 0; i < unit->packages->len; i++) {
		const CtlPackage *package = unit->packages->pdata[i];
		g_autofree char *name = g_path_get_basename(package->path);

		if (has_result(unit, package->header.key_id))
			continue;
		json_builder_begin_object(w->b);
		ifpp_json_string(w->b, "file", name);
		ifpp_json_hex(w->b, "key_id", IFPP_SPAN(package->header.key_id));
		json_builder_end_object(w->b);
		w->totals->pending++;
		w->totals->packages++;
	}
	json_builder_end_array(w->b);
}

void ctl_report_lock(JsonBuilder *b, const CtlReceipt *receipt)
{
	json_builder_set_member_name(b, "lock");
	if (!receipt) {
		json_builder_add_null_value(b);
		return;
	}
	json_builder_begin_object(b);
	ifpp_json_string(b, "challenge", receipt->challenge);
	ifpp_json_string(b, "receipt", receipt->receipt);
	ifpp_json_string(b, "time", receipt->time);
	json_builder_end_object(b);
}

static void write_lock(Writer *w, const Unit *unit)
{
	GError *error = NULL;
	g_autoptr(CtlReceipt) receipt = ctl_outbox_receipt(w->outbox, unit->eid, &error);

	if (error)
		note_damaged(w, error);
	ctl_report_lock(w->b, receipt);
	w->totals->locked += receipt != NULL;
}

static gboolean write_eim(Writer *w, const Unit *unit)
{
	GError *error = NULL;
	g_autoptr(CtlEim) eim = ctl_outbox_eim(w->outbox, unit->eid, &error);

	if (error)
		note_damaged(w, error);
	if (!eim)
		return FALSE;
	json_builder_set_member_name(w->b, "eim");
	json_builder_begin_object(w->b);
	ifpp_json_string(w->b, "id", eim->id);
	ifpp_json_string(w->b, "sha256", eim->sha256);
	json_builder_set_member_name(w->b, "known");
	json_builder_add_boolean_value(w->b, eim->known);
	if (eim->reason)
		ifpp_json_string(w->b, "reason", eim->reason);
	ifpp_json_string(w->b, "time", eim->time);
	json_builder_end_object(w->b);
	return TRUE;
}

static void write_missing(Writer *w, const Unit *unit)
{
	guint n = unit->attempts ? ctl_outbox_missing(w->outbox, unit->eid, unit->attempts) : 0;

	if (n)
		ifpp_json_int(w->b, "missing_results", n);
	w->totals->missing += n;
}

/* Not of the chip's results, as far as anybody can tell; but whoever looks into it may want the bytes. */
static void write_quarantine(Writer *w, const Unit *unit)
{
	g_autoptr(GPtrArray) all = ctl_outbox_quarantine(w->outbox, unit->eid);

	if (!all->len)
		return;
	json_builder_set_member_name(w->b, "quarantine");
	json_builder_begin_array(w->b);
	for (guint i = 0; i < all->len && i < w->most; i++) {
		const CtlAside *aside = all->pdata[i];
		gsize size = aside->bytes ? g_bytes_get_size(aside->bytes) : 0;

		json_builder_begin_object(w->b);
		ifpp_json_string(w->b, "name", aside->name);
		ifpp_json_string(w->b, "why", aside->why);
		if (aside->bytes && size <= w->room) {
			ifpp_json_base64(w->b, "bytes", ifpp_span_bytes(aside->bytes));
			w->room -= size;
		} else {
			ifpp_json_string(w->b, "bytes", NULL);
		}
		json_builder_end_object(w->b);
	}
	json_builder_end_array(w->b);
	w->totals->quarantine += all->len;
}

/* The unit as it was seen last; its results tell how it was then. TRUE: the station has a name for the place. */
static gboolean write_identity(Writer *w, const Unit *unit)
{
	g_auto(IfppUnit) identity = { 0 };
	g_autofree char *socket = NULL;

	ctl_unit_read(w->outbox, unit->eid, &identity);
	socket = ctl_socket_name(NULL, identity.field[IFPP_UNIT_USB_PATH]);
	ifpp_json_unit(w->b, &identity);
	if (socket)
		ifpp_json_string(w->b, "socket", socket);
	return g_strcmp0(socket, identity.field[IFPP_UNIT_USB_PATH]) != 0;
}

static void write_damaged(Writer *w)
{
	if (!w->damaged->len)
		return;
	json_builder_set_member_name(w->b, "damaged");
	json_builder_begin_array(w->b);
	for (guint i = 0; i < w->damaged->len && i < w->most; i++)
		json_builder_add_string_value(w->b, w->damaged->pdata[i]);
	json_builder_end_array(w->b);
}

static void read_attempts(Writer *w, Unit *unit)
{
	guint before = w->damaged->len;
	GError *error = NULL;

	unit->attempts = ctl_outbox_attempts(w->outbox, unit->eid, w->damaged, &error);
	w->totals->damaged += w->damaged->len - before;
	if (error)
		note_damaged(w, error);
}

gboolean ctl_report_notes(JsonBuilder *b, const char *outbox, const guint8 eid[16])
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	CtlReportTotals totals = { 0 };
	Writer w = { .b = b, .outbox = outbox, .totals = &totals, .damaged = damaged, .room = NOTES_ROOM, .most = NOTES_MAX };
	Unit unit = { 0 };
	gboolean any;

	memcpy(unit.eid, eid, sizeof(unit.eid));
	read_attempts(&w, &unit);
	any = write_identity(&w, &unit);
	write_deletions(&w, &unit);
	write_refused(&w, &unit);
	any |= write_eim(&w, &unit);
	write_quarantine(&w, &unit);
	write_damaged(&w);
	g_clear_pointer(&unit.attempts, g_ptr_array_unref);
	return any || totals.refused || totals.deleted || totals.quarantine || totals.damaged;
}

static gboolean write_unit(gpointer key, gpointer value, gpointer user)
{
	Writer *w = user;
	Unit *unit = value;
	GError *error = NULL;
	g_autoptr(GBytes) data = ctl_outbox_euicc_data(w->outbox, unit->eid, &error);

	w->damaged = g_ptr_array_new_with_free_func(g_free);
	if (error)
		note_damaged(w, g_steal_pointer(&error));
	if (unit->seen)
		read_attempts(w, unit);
	w->b = ifpp_json_new(NULL);
	ifpp_json_eid(w->b, unit->eid);
	if (data)
		ifpp_json_base64(w->b, "euicc_data", ifpp_span_bytes(data));
	else
		ifpp_json_string(w->b, "euicc_data", NULL);
	write_identity(w, unit);
	write_results(w, unit);
	write_deletions(w, unit);
	write_refused(w, unit);
	write_pending(w, unit);
	write_lock(w, unit);
	write_eim(w, unit);
	write_missing(w, unit);
	write_quarantine(w, unit);
	write_damaged(w);
	w->totals->units++;
	w->totals->unseen += !unit->seen;
	g_clear_pointer(&w->damaged, g_ptr_array_unref);
	/* There may be many units. */
	g_clear_pointer(&unit->attempts, g_ptr_array_unref);
	if (w->file)
		return !ifpp_report_put_unit(w->file, g_steal_pointer(&w->b), &w->error);
	g_clear_object(&w->b);
	return FALSE;
}

/* So that a reader can tell a unit or a package that was cut out on the way. */
static void write_totals(JsonBuilder *b, const CtlReportTotals *t, GPtrArray *files)
{
	json_builder_set_member_name(b, "totals");
	json_builder_begin_object(b);
	ifpp_json_int(b, "units", t->units);
	ifpp_json_int(b, "unseen", t->unseen);
	ifpp_json_int(b, "packages", t->packages);
	ifpp_json_int(b, "results", t->results);
	ifpp_json_int(b, "installed", t->installed);
	ifpp_json_int(b, "failed", t->results - t->installed);
	ifpp_json_int(b, "pending", t->pending);
	if (t->refused)
		ifpp_json_int(b, "refused", t->refused);
	if (t->deleted)
		ifpp_json_int(b, "deleted", t->deleted);
	ifpp_json_int(b, "locked", t->locked);
	ifpp_json_int(b, "missing_results", t->missing);
	if (files)
		ifpp_json_int(b, "files", files->len);
	json_builder_end_object(b);
}

static gboolean write_end(Writer *w, GPtrArray *files, guint n_broken, GError **error)
{
	JsonBuilder *b;

	w->totals->damaged += n_broken;
	if (!w->file)
		return TRUE;
	b = ifpp_json_new(NULL);
	write_totals(b, w->totals, files);
	if (n_broken) {
		json_builder_set_member_name(b, "damaged");
		json_builder_begin_array(b);
		for (guint i = 0; i < files->len; i++) {
			CtlPackage *package = files->pdata[i];

			if (package->error)
				json_builder_add_string_value(b, package->error->message);
		}
		json_builder_end_array(b);
	}
	return ifpp_report_put_end(w->file, b, error);
}

gboolean ctl_report(const char *outbox, const char *packages, IfppReportWriter *file, CtlReportTotals *totals, GError **error)
{
	g_autoptr(GTree) units = g_tree_new_full(by_text, NULL, g_free, unit_free);
	g_autoptr(GPtrArray) eids = ctl_outbox_units(outbox, error);
	g_autoptr(GPtrArray) files = NULL;
	Writer w = { .file = file, .outbox = outbox, .totals = totals, .room = G_MAXSIZE, .most = G_MAXUINT };
	guint n_broken = 0;

	memset(totals, 0, sizeof(*totals));
	if (!eids)
		return FALSE;
	if (packages) {
		files = ctl_packages_scan(packages, NULL, error);
		if (!files)
			return FALSE;
	}

	for (guint i = 0; i < eids->len; i++) {
		guint8 eid[16];

		ifpp_eid_parse(eids->pdata[i], eid, NULL);
		get_unit(units, eid)->seen = TRUE;
	}
	for (guint i = 0; files && i < files->len; i++) {
		CtlPackage *package = files->pdata[i];

		if (!package->error)
			g_ptr_array_add(get_unit(units, package->header.eid)->packages, package);
		else
			n_broken++;
	}

	g_tree_foreach(units, write_unit, &w);
	if (w.error) {
		g_propagate_error(error, w.error);
		return FALSE;
	}
	return write_end(&w, files, n_broken, error);
}

typedef struct {
	const char *outbox, *packages;
	CtlReportTotals *totals;
} Body;

static gboolean write_body(IfppReportWriter *file, gpointer user, GError **error)
{
	const Body *body = user;

	return ctl_report(body->outbox, body->packages, file, body->totals, error);
}

int ctl_cmd_report(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *given = NULL, *packages = NULL, *file = NULL;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &file, "Where to write it; - is standard output", "FILE" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &given, "Where the daemon keeps results", "DIR" },
		{ "packages", 0, 0, G_OPTION_ARG_FILENAME, &packages, "Packages, to tell those without a result",
		  "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autofree char *created = ctl_now();
	CtlReportTotals t;
	Body body = { .totals = &t };

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Write the Profile Loading Report for the Key Maker, who verifies it with ifpp-smdpf "
		       "verify-report.", error))
		return 0;
	if (!file || argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "report: %s",
			    file ? "it takes options only" : "say where to write it with -o FILE");
		return 0;
	}
	if (!packages && g_file_test(CTL_STATE_DIR "/packages", G_FILE_TEST_IS_DIR))
		packages = g_strdup(CTL_STATE_DIR "/packages");
	body.outbox = given ?: CTL_OUTBOX;
	body.packages = packages;
	if (!ifpp_report_write(file, 0640, created, write_body, &body, error))
		return 0;
	if (!g_str_equal(file, "-")) {
		ctl_say(&ctl->out, "%s: %u units, %u results (%u installed), %u packages without a result, %u units "
			"locked, %u never seen.", file, t.units, t.results, t.installed, t.pending, t.locked, t.unseen);
		if (t.missing)
			ctl_say(&ctl->out, "%u keys are spent, as the chips' lock receipts say, and no result of them is here. "
				"Other stations may have them; a chip that still has one gives it to the next ifppd that meets it.",
				t.missing);
		if (t.refused)
			ctl_say(&ctl->out, "%u packages were refused before their chips saw them; the report has the reasons, "
				"unsigned.", t.refused);
		if (t.deleted)
			ctl_say(&ctl->out, "%u profiles were deleted again in their chips (ifppctl rework); the report has the "
				"chips' signed records.", t.deleted);
		if (t.quarantine)
			ctl_say(&ctl->out, "%u things that chips gave as results are in quarantine; the report has them with "
				"the reasons.", t.quarantine);
		if (ctl->out.json) {
			JsonBuilder *b = ifpp_json_new("report");

			ifpp_json_string(b, "file", file);
			ifpp_json_int(b, "units", t.units);
			ifpp_json_int(b, "unseen", t.unseen);
			ifpp_json_int(b, "results", t.results);
			ifpp_json_int(b, "installed", t.installed);
			ifpp_json_int(b, "pending", t.pending);
			ifpp_json_int(b, "refused", t.refused);
			ifpp_json_int(b, "deleted", t.deleted);
			ifpp_json_int(b, "locked", t.locked);
			ifpp_json_int(b, "damaged", t.damaged);
			ifpp_json_int(b, "quarantine", t.quarantine);
			ifpp_json_int(b, "missing_results", t.missing);
			ifpp_json_print(b);
		}
	}
	if (t.damaged) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: %u records or packages cannot be read; the report "
			    "lists them as damaged. Restore them from a copy, or account for those units by hand", file,
			    t.damaged);
		return 0;
	}
	return IFPP_EXIT_OK;
}
