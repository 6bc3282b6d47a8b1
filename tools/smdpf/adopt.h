/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ledger that was lost, put back or altered. */
#ifndef SMDPF_ADOPT_H
#define SMDPF_ADOPT_H

#include "home.h"

/**
 * adopt_ledger() - a ledger that is missing, older or altered becomes as whole as can be proven
 * @home: the home
 * @packages: directories of released packages, besides the home's own, or NULL; of homes of other hosts also the journals
 * @accept: packages whose chip or ICCID may stay unknown, on the operator's word
 * @error: IFPP_ERROR_LEDGER: more than @accept are unknown, nothing has changed then
 *
 * Takes up what the ledger that is there, the journal, packages and the token prove. It frees neither a key
 * nor an ICCID: what an altered ledger calls free is held again, until a chip's result frees it.
 */
gboolean adopt_ledger(const Home *home, char **packages, gint64 accept, GError **error);

#endif
