/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Profile Loading Report out of the depot, in the format of Documentation/report.rst. */
#ifndef IFPP_DEPOT_REPORT_H
#define IFPP_DEPOT_REPORT_H

#include "depot.h"

typedef struct {
	guint units, results, locked, pending;
	guint told;		/* packages with a result; some have several */
	guint unproven;		/* results and locks that the depot could not prove */
	guint refused;		/* packages that a station did not load, and nothing else is known of */
	guint deleted;		/* profiles that their chips have deleted again in the factory */
	guint missing;		/* keys that lock receipts count as spent, and of which no result is here */
	guint packages[DEPOT_N_STATES];
} ReportTotals;

/**
 * depot_report() - what became of every package
 * @depot: the depot
 * @filter: which packages
 * @path: file to write, whole or not at all; "-": standard output
 * @totals: filled; the sum over packages is the number of packages
 * @error: DB_ERROR_FAILED, IFPP_ERROR_IO, ACCESS, NO_SPACE
 *
 * It is written as it is read: its size is not bounded by memory.
 */
gboolean depot_report(Depot *depot, const DepotFilter *filter, const char *path, ReportTotals *totals, GError **error);

#endif
