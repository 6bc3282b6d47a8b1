/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operator gets: which profile is in which eUICC. */
#ifndef SMDPF_EXTRACT_H
#define SMDPF_EXTRACT_H

#include "home.h"

/**
 * extract_write() - on standard output, a line for each package of one operator
 * @home: the home
 * @operator: whose, or NULL: whoever's the order is
 * @order: the order's name, or NULL: all of the operator's
 * @json: JSON, one object a line; else CSV with a header
 * @error: IFPP_ERROR_USAGE, LEDGER; what cannot be written is told by ifpp_stdout_exit()
 */
gboolean extract_write(const Home *home, const char *operator, const char *order, gboolean json, GError **error);

#endif
