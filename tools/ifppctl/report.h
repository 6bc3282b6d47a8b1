/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Profile Loading Report: what came of every package, for the Key Maker. */
#ifndef IFPPCTL_REPORT_H
#define IFPPCTL_REPORT_H

#include <json.h>
#include <report-file.h>

#include "outbox.h"

typedef struct {
	guint units, unseen, packages, results, installed, pending, locked, damaged, quarantine, missing, refused, deleted;
} CtlReportTotals;

/**
 * ctl_report() - every unit that the outbox or the packages know of
 * @outbox: the daemon's results
 * @packages: directory of sealed packages, for those without a result; NULL: none
 * @file: gets them; NULL: only the totals are wanted
 * @totals: filled
 * @error: IFPP_ERROR_IO, ACCESS: a directory cannot be read; those of ifpp_report_put_unit()
 *
 * A record that cannot be read does not hide the others: it is listed as damaged, with the reason.
 * Documentation/report.rst has the format.
 */
gboolean ctl_report(const char *outbox, const char *packages, IfppReportWriter *file, CtlReportTotals *totals, GError **error);

/* One of the report's results; its lock, NULL: none. A depot gets the same. */
void ctl_report_result(JsonBuilder *b, const IfppAttempt *result);
void ctl_report_lock(JsonBuilder *b, const CtlReceipt *receipt);

/**
 * ctl_report_notes() - what a unit of the report has beside its chip's data, results and lock
 * @b: gets these members
 * @outbox: the daemon's results
 * @eid: of the chip
 *
 * The same as in the report, but for bytes in quarantine that are more than a depot takes: null.
 *
 * Return: FALSE: there is nothing of it that results do not tell
 */
gboolean ctl_report_notes(JsonBuilder *b, const char *outbox, const guint8 eid[16]);

#endif
