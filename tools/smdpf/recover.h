/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeping the ledger: proof, copy, and less beside it. */
#ifndef SMDPF_RECOVER_H
#define SMDPF_RECOVER_H

#include "home.h"

/**
 * recover_check() - hold every event, every entry and the token against each other
 * @home: the home
 * @token: also what the token knows; the caller has started it
 * @error: IFPP_ERROR_LEDGER says what is wrong
 */
gboolean recover_check(const Home *home, gboolean token, GError **error);

/* Copy the ledger while others are at work. IFPP_ERROR_USAGE when a server keeps it, IO when @out is there. */
gboolean recover_backup(const Home *home, const char *out, GError **error);

/* Delete the home's packages whose chips have proven the result. */
gboolean recover_prune(const Home *home, GError **error);

#endif
