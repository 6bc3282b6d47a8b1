/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeping the ledger: proof, copy, and what to do when it was lost. */
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

/**
 * recover_adopt() - a ledger that is missing, older or altered becomes as whole as can be proven
 * @home: the home
 * @packages: directories of released packages, besides the home's own, or NULL; of homes of other hosts also the journals
 * @accept: packages whose chip or ICCID may stay unknown, on the operator's word
 * @error: IFPP_ERROR_LEDGER: more than @accept are unknown, nothing has changed then
 *
 * Takes up what the ledger that is there, the journal, packages and the token prove. It frees neither a key
 * nor an ICCID: what an altered ledger calls free is held again, until a chip's result frees it.
 */
gboolean recover_adopt(const Home *home, char **packages, gint64 accept, GError **error);

/* Delete the home's packages whose chips have proven the result. */
gboolean recover_prune(const Home *home, GError **error);

#endif
