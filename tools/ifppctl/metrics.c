// SPDX-License-Identifier: GPL-2.0-or-later
/* What a station has done, and when what it trusts ends, for Prometheus: from files alone, so that no chip is asked. */
#include "ctl.h"
#include "outbox.h"
#include "report.h"
#include "services.h"

#include <eid.h>
#include <error.h>
#include <euicc.h>
#include <file.h>
#include <metrics.h>
#include <stdio.h>
#include <string.h>
#include <x509.h>

#define P "ifpp_station_"

typedef struct {
	GHashTable *failed;	/* reason -> count */
	guint64 loads, chip_ns, apdus;
	guint waiting;		/* records that no depot has confirmed */
	gint64 last;		/* Unix time of the last record, s */
} Sums;

static void add_attempt(Sums *sums, const char *outbox, const char *eid, const IfppAttempt *attempt)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(attempt->time ?: "", NULL);
	g_autofree char *name = ctl_attempt_name(attempt);
	g_auto(CtlNote) note = {};
	const char *reason = ifpp_reason_name(attempt->reason);

	sums->loads++;
	sums->chip_ns += attempt->chip_ns;
	sums->apdus += attempt->apdus;
	sums->last = time ? MAX(sums->last, g_date_time_to_unix(time)) : sums->last;
	sums->waiting += !ctl_outbox_note_read(outbox, eid, name, &note);
	if (attempt->status)
		g_hash_table_replace(sums->failed, (gpointer)reason,
				     GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(sums->failed, reason)) + 1));
}

/* A record that cannot be read is counted as damaged by the report. */
static gboolean add_up(Sums *sums, const char *outbox, GError **error)
{
	g_autoptr(GPtrArray) units = ctl_outbox_units(outbox, error);

	for (guint i = 0; units && i < units->len; i++) {
		g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free), attempts = NULL;
		const char *eid = units->pdata[i];
		guint8 bytes[16];

		if (!ifpp_eid_parse(eid, bytes, NULL))
			continue;
		attempts = ctl_outbox_attempts(outbox, bytes, damaged, NULL);
		for (guint j = 0; attempts && j < attempts->len; j++)
			add_attempt(sums, outbox, eid, attempts->pdata[j]);
	}
	return units != NULL;
}

static void one(GString *out, const char *name, const char *type, const char *help, double value)
{
	ifpp_metric(out, name, type, help);
	ifpp_sample(out, name, value, NULL);
}

static void tell_services(GString *out)
{
	g_autoptr(GPtrArray) services = ctl_services(0, NULL);

	ifpp_metric(out, P "failed_units", "gauge", "Daemons and provisionings that ended badly and whose device is here; waiting are tried again.");
	for (guint waiting = 0; waiting < 2; waiting++) {
		guint n = 0;

		for (guint i = 0; services && i < services->len; i++)
			n += ((const CtlService *)services->pdata[i])->waiting == (gboolean)waiting;
		ifpp_sample(out, P "failed_units", n, "waiting", waiting ? "yes" : "no", NULL);
	}
}

static void tell(GString *out, const Sums *sums, const CtlReportTotals *t)
{
	GHashTableIter iter;
	gpointer reason, count;

	ifpp_metric(out, P "build_info", "gauge", "The version of this program.");
	ifpp_sample(out, P "build_info", 1, "version", IFPP_VERSION, NULL);
	one(out, P "units", "gauge", "Units that the outbox or the packages know of.", t->units);
	one(out, P "locked_units", "gauge", "Units whose chip has signed that it is locked.", t->locked);
	one(out, P "pending_packages", "gauge", "Packages that are here without a result.", t->pending);
	one(out, P "packages_installed_total", "counter", "Loads that the chip has signed to be a success.", t->installed);
	one(out, P "loads_total", "counter", "Loads with a record, whatever came of them.", sums->loads);
	ifpp_metric(out, P "loads_failed_total", "counter", "Loads that failed, by reason.");
	g_hash_table_iter_init(&iter, sums->failed);
	while (g_hash_table_iter_next(&iter, &reason, &count))
		ifpp_sample(out, P "loads_failed_total", GPOINTER_TO_UINT(count), "reason", reason, NULL);
	one(out, P "chip_seconds_total", "counter", "From first command to last answer of all loads.", sums->chip_ns / 1e9);
	one(out, P "apdus_total", "counter", "Commands that all loads took.", sums->apdus);
	one(out, P "waiting_records", "gauge", "Records that no depot has confirmed yet; without a depot, all.", sums->waiting);
	one(out, P "damaged_records", "gauge", "Records that cannot be read.", t->damaged);
	one(out, P "quarantined_records", "gauge", "What chips gave and nobody could prove.", t->quarantine);
	one(out, P "missing_results", "gauge", "Keys that chips say are spent and of which no record tells.", t->missing);
	one(out, P "last_record_timestamp_seconds", "gauge", "When the last record was stored; 0: there is none.", sums->last);
	tell_services(out);
}

/* A directory that cannot be used has nothing that ends: the daemon complains about it. */
static void tell_expiry(GString *out, const char *dir)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(dir, NULL);
	g_autoptr(GPtrArray) all = trust ? ifpp_trust_expiry(trust) : NULL;

	ifpp_metric(out, P "expiry_timestamp_seconds", "gauge", "When a CI root ends, or the next CRL is due.");
	for (guint i = 0; all && i < all->len; i++) {
		const IfppTrustExpiry *expiry = all->pdata[i];

		ifpp_sample(out, P "expiry_timestamp_seconds", expiry->when, "name", expiry->name, NULL);
	}
}

int ctl_cmd_metrics(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *given = NULL, *packages = NULL, *trust = NULL, *file = NULL;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &file, "Where to write it; default: standard output", "FILE" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &given, "Where the daemon keeps results", "DIR" },
		{ "packages", 0, 0, G_OPTION_ARG_FILENAME, &packages, "Packages, to tell those without a result", "DIR" },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust, "CI roots and CRLs; default: " CTL_TRUST, "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GString) out = g_string_new(NULL);
	const char *outbox;
	CtlReportTotals t;
	Sums sums = {};
	gboolean ok;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Write what this station has done, and when its CI roots and CRLs end, in Prometheus' text format: for the textfile collector of node_exporter. "
		       "Nothing in it is of a single unit.", error))
		return 0;
	if (argc > 1) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_USAGE, "metrics: it takes options only");
		return 0;
	}
	if (!packages && g_file_test(CTL_PACKAGES, G_FILE_TEST_IS_DIR))
		packages = g_strdup(CTL_PACKAGES);
	outbox = given ?: CTL_OUTBOX;
	if (!ctl_report(outbox, packages, NULL, &t, error))
		return 0;
	sums.failed = g_hash_table_new(g_str_hash, g_str_equal);
	ok = add_up(&sums, outbox, error);
	if (ok) {
		tell(out, &sums, &t);
		tell_expiry(out, trust ?: CTL_TRUST);
	}
	g_hash_table_unref(sums.failed);
	if (!ok)
		return 0;
	if (file && strcmp(file, "-"))
		ifpp_file_write(file, out->str, out->len, 0644, error);
	else
		fputs(out->str, stdout);
	return IFPP_EXIT_OK;
}
