/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CSV to write (RFC 4180), for people who open it in a spreadsheet. */
#ifndef IFPP_CSV_H
#define IFPP_CSV_H

#include <glib.h>

/* Add one field, in quotes where it needs them. What a spreadsheet would take for a formula is text. NULL: empty. */
void ifpp_csv_field(GString *out, const char *text);

#endif
