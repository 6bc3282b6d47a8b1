/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at work on a ledger: see ledger.h. */
#ifndef SMDPF_RUN_H
#define SMDPF_RUN_H

#include "ledger.h"

/* Release what this run still has, and forget it; nothing if it never started. */
void run_end(Ledger *ledger);

#endif
