/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Profile Loading Report: what the chips themselves say became of the packages. */
#ifndef SMDPF_REPORT_H
#define SMDPF_REPORT_H

#include "home.h"

/**
 * report_verify() - check every result and lock receipt, and print what came out
 * @home: with trust loaded
 * @file: the report, JSON
 * @signature: file with the factory's signature over it, or NULL; needed where requesters are known (requests.h)
 * @json: one object per line instead of a table
 * @complete: also fail when something was not installed or is missing
 * @exit_code: IFPP_EXIT_OK, _REFUSED when something does not verify, _FAILED by @complete
 * @error: the report cannot be read, or is not signed as it should be
 *
 * Proven results go into the ledger: a failed load sets its ICCID free again.
 */
gboolean report_verify(Home *home, const char *file, const char *signature, gboolean json, gboolean complete,
		       int *exit_code, GError **error);

#endif
