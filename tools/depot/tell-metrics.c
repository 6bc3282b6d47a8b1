// SPDX-License-Identifier: GPL-2.0-or-later
/* The figures in the text format of Prometheus. No label is of a single unit: a million of them would be as many series. */
#include "tell.h"

#include <metrics.h>

#include "counters.h"

#define P "ifpp_depot_"

static void tell_failures(GString *out, const char *metric, const char *help, const GPtrArray *failures)
{
	ifpp_metric(out, metric, "gauge", help);
	for (guint i = 0; i < failures->len; i++) {
		const FiguresFailure *failure = failures->pdata[i];

		ifpp_sample(out, metric, failure->packages, "reason", failure->reason, "station", failure->station, "firmware",
			    failure->firmware, NULL);
	}
}

static void tell_packages(GString *out, const Figures *figures)
{
	ifpp_metric(out, P "packages", "gauge", "Packages by order, operator, profile and state; older orders are one with empty names.");
	for (guint i = 0; i < figures->stock->len; i++) {
		const FiguresStock *stock = figures->stock->pdata[i];

		for (guint j = 0; j < DEPOT_N_STATES; j++)
			ifpp_sample(out, P "packages", stock->packages[j], "order", stock->order, "operator", stock->operator,
				    "profile", stock->profile, "state", depot_state_names[j], NULL);
	}
	/* Proven, and never undone. */
	ifpp_metric(out, P "packages_installed_total", "counter", "Packages that a chip has signed to be installed.");
	ifpp_sample(out, P "packages_installed_total", figures->packages[DEPOT_INSTALLED], NULL);
	tell_failures(out, P "failed_packages", "Packages that failed or were burnt, by reason, station and the modem's firmware.",
		      figures->failures);
	tell_failures(out, P "refused_packages", "Packages that a station did not load, by its reason, station and the modem's firmware.",
		      figures->refusals);
	ifpp_metric(out, P "results", "gauge", "Packages that a chip has ended, by the modem's firmware.");
	for (guint i = 0; i < figures->firmware->len; i++) {
		const FiguresFirmware *firmware = figures->firmware->pdata[i];

		ifpp_sample(out, P "results", firmware->results, "firmware", firmware->name, NULL);
	}
	ifpp_metric(out, P "units", "gauge", "Units: untouched, open, done (all packages installed) or lost (all ended, not all installed).");
	for (guint i = 0; i < FIGURES_N_UNITS; i++)
		ifpp_sample(out, P "units", figures->units[i], "state", figures_unit_names[i], NULL);
	ifpp_metric(out, P "deliveries", "gauge", "Deliveries of Key Makers: begun, done, conflict or rejected.");
	for (guint i = 0; i < G_N_ELEMENTS(figures->deliveries); i++)
		ifpp_sample(out, P "deliveries", figures->deliveries[i], "state", figures_delivery_names[i], NULL);
	ifpp_metric(out, P "doubts", "gauge", "Results that no chip has signed or nobody can prove.");
	ifpp_sample(out, P "doubts", figures->doubts, NULL);
}

static void tell_stations(GString *out, const GPtrArray *stations)
{
#define OF_EACH(metric, help, value) \
	do { \
		ifpp_metric(out, P "station_" metric, "gauge", help); \
		for (guint i_ = 0; i_ < stations->len; i_++) { \
			const FiguresStation *s = stations->pdata[i_]; \
			ifpp_sample(out, P "station_" metric, value, "station", s->name, NULL); \
		} \
	} while (0)
	OF_EACH("leased_chips", "Chips that the station holds now.", s->chips);
	OF_EACH("quota_chips", "Chips that it may hold at a time; 0 is any number.", s->quota);
	OF_EACH("sent_packages", "Packages that were sent to it and have not ended.", s->sent);
	OF_EACH("doubts", "What it says and no chip has signed.", s->doubts);
	OF_EACH("last_change_timestamp_seconds", "When a package of it last changed.", s->last / 1000.0);
	ifpp_metric(out, P "station_packages_installed_total", "counter", "Packages that were installed at the station.");
	for (guint i = 0; i < stations->len; i++) {
		const FiguresStation *s = stations->pdata[i];

		ifpp_sample(out, P "station_packages_installed_total", s->installed, "station", s->name, NULL);
	}
	ifpp_metric(out, P "station_failed_packages", "gauge", "Packages that failed or were burnt at the station.");
	for (guint i = 0; i < stations->len; i++) {
		const FiguresStation *s = stations->pdata[i];

		ifpp_sample(out, P "station_failed_packages", s->failed + s->burnt, "station", s->name, NULL);
	}
#undef OF_EACH
}

static void tell_expiry(GString *out, const GPtrArray *expiry)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	ifpp_metric(out, P "expiry_timestamp_seconds", "gauge", "When a certificate ends, or the next CRL is due.");
	for (guint i = 0; i < expiry->len; i++) {
		const Expiry *e = expiry->pdata[i];

		/* The first to end is told of those that have the same labels. */
		if (g_hash_table_add(told, g_strjoin("\x1f", e->kind, e->file, e->name, NULL)))
			ifpp_sample(out, P "expiry_timestamp_seconds", e->until, "kind", e->kind, "file", e->file, "name", e->name, NULL);
	}
}

static void tell_request(const char *what, guint status, guint64 count, gpointer user)
{
	g_autofree char *code = g_strdup_printf("%u", status);

	ifpp_sample(user, P "requests_total", count, "request", what, "code", code, NULL);
}

void tell_metrics(const SnapshotView *view, gpointer user)
{
	GString *out = user;

	ifpp_metric(out, P "build_info", "gauge", "The version of this program, and its database.");
	ifpp_sample(out, P "build_info", 1, "version", IFPP_VERSION, "database", view->engine, NULL);
	ifpp_metric(out, P "database_up", "gauge", "Whether the database has answered the last time it was asked.");
	ifpp_sample(out, P "database_up", !view->trouble, NULL);
	ifpp_metric(out, P "requests_total", "counter", "Requests of stations that this process has answered, by HTTP status.");
	counters_each(tell_request, out);
	ifpp_metric(out, P "last_reload_successful", "gauge", "Whether certificates, CRLs and CI roots are those that the files have.");
	ifpp_sample(out, P "last_reload_successful", !view->reload_trouble, NULL);
	if (view->reload_at) {
		ifpp_metric(out, P "last_reload_success_timestamp_seconds", "gauge", "When they were read last without a failure.");
		ifpp_sample(out, P "last_reload_success_timestamp_seconds", view->reload_at / 1000.0, NULL);
	}
	tell_expiry(out, view->expiry);
	/* Old figures would look like a line that stands still. */
	if (!view->figures || view->trouble)
		return;
	ifpp_metric(out, P "figures_timestamp_seconds", "gauge", "When what follows was added up.");
	ifpp_sample(out, P "figures_timestamp_seconds", view->figures->at / 1000.0, NULL);
	ifpp_metric(out, P "figures_seconds", "gauge", "How long the database took for it.");
	ifpp_sample(out, P "figures_seconds", view->figures->took / 1e6, NULL);
	tell_packages(out, view->figures);
	tell_stations(out, view->figures->stations);
}
