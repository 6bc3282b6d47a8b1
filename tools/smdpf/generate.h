/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Profile generation: one template, many subscribers. */
#ifndef SMDPF_GENERATE_H
#define SMDPF_GENERATE_H

#include <glib.h>

/**
 * generate_profiles() - write OUT/ICCID.der for each record
 * @template: UPP in DER
 * @records: CSV; its first line names the columns: ICCID (needed), IMSI, Ki, OPc
 * @out: directory, made if absent
 * @count: profiles written
 * @error: IFPP_ERROR_USAGE, ICCID with the line; IFPP_ERROR_UPP of the template; IO, NO_SPACE
 *
 * Every record is checked before the first profile is written.
 */
gboolean generate_profiles(const char *template, const char *records, const char *out, guint *count, GError **error);

#endif
