/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An order sealed by several processes, each with a session of its own with the token. This one hands out
 * ranges of chips, and tells what is done: it has neither token nor ledger. So whoever kills it does not hit
 * a token that is being written (SoftHSM writes its file at each login, in place).
 */
#ifndef SMDPF_JOBS_H
#define SMDPF_JOBS_H

#include "bind.h"

#define JOBS_MAX 256

/**
 * jobs_seal() - seal, or hand out again what this order has sealed before
 * @home: with trust loaded
 * @options: what to seal to whom
 * @exit_code: IFPP_EXIT_OK, or why some chip got less than was asked for
 * @error: what ended it early; what was sealed until then is kept
 */
gboolean jobs_seal(Home *home, const BindOptions *options, int *exit_code, GError **error);

#endif
