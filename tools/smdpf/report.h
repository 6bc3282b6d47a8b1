/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Profile Loading Report: what the chips themselves say became of the packages. */
#ifndef SMDPF_REPORT_H
#define SMDPF_REPORT_H

#include "home.h"

typedef struct {
	const char *signature;	/* file with the factory's signature, or NULL; needed where requesters are known (requests.h) */
	const char *order;	/* account for the packages of this order only, or NULL */
	gboolean json;		/* one object per line instead of a table */
	gboolean complete;	/* also fail when something was not installed or is missing */
} ReportOptions;

/**
 * report_verify() - check every result and lock receipt, and print what came out
 * @home: with trust loaded
 * @file: the report, JSON
 * @options: how
 * @exit_code: IFPP_EXIT_OK, _REFUSED when something does not verify or a profile is in two chips, _FAILED by
 *	@options->complete
 * @error: the report cannot be read, or is not signed as it should be; the ledger's
 *
 * Proven results go into the ledger: a failed load sets its ICCID free again. Missing is what was sealed for one
 * of the orders that the report is about, and no report tells of.
 */
gboolean report_verify(Home *home, const char *file, const ReportOptions *options, int *exit_code, GError **error);

#endif
