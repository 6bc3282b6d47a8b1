/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Profile generation: one template, many subscribers. */
#ifndef SMDPF_GENERATE_H
#define SMDPF_GENERATE_H

#include <glib.h>

typedef struct {
	const char *template;	/* UPP in DER */
	const char *records;	/* CSV; its first line names the columns */
	const char *out;	/* directory, made if absent */
	gboolean test;		/* published keys and the test algorithm are fine */
	gboolean short_imsi;	/* IMSIs may have less than 15 digits */
	gboolean leave_out;	/* what is wrong in a line is told, and the others are made */
	gboolean no_check_digit;	/* ICCIDs of 18 digits are whole */
	char *const *column_keys;	/* as transport_new() takes them; or NULL: no column is encrypted */
} GenerateOptions;

/**
 * generate_profiles() - write OUT/ICCID.der for each record
 * @options: from what
 * @count: profiles written
 * @exit_code: with @options->leave_out, untouched or that of the first line that was left out
 * @error: IFPP_ERROR_USAGE, ICCID with line and column; IFPP_ERROR_UPP of the template; IO, NO_SPACE; TOKEN, PIN of column keys
 *
 * Every record is checked before the first profile is written. The file is as spreadsheets write it: commas,
 * semicolons or tabs, quotes or none, with a byte order mark or without.
 */
gboolean generate_profiles(const GenerateOptions *options, guint *count, int *exit_code, GError **error);

#endif
