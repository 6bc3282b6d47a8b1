/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Freeing an ICCID whose key has no result: by what the chip has signed, or on somebody's word. The key stays used. */
#ifndef SMDPF_VOID_H
#define SMDPF_VOID_H

#include "home.h"

typedef struct {
	char **iccids;		/* NULL at the end */
	const char *reason;	/* of one line */
	const char *proof;	/* a report with what the chips have signed, or NULL */
	const char *word;	/* whose word it is; instead of @proof */
	char **packages;	/* directories where released packages are removed too, or NULL */
	gboolean yes;		/* do not ask */
} VoidOptions;

/**
 * void_iccids() - set ICCIDs free
 * @home: with trust loaded, for proofs
 * @options: what, and why
 * @error: IFPP_ERROR_USAGE: nothing holds it, or nobody said yes; KEY_BOUND: it is installed, being sealed, or a test
 *	profile's, or the proof does not prove it; LEDGER, NO_SPACE
 *
 * All are looked at before the first is freed. What the chip has signed is kept in DIR/proofs.
 */
gboolean void_iccids(const Home *home, const VoidOptions *options, GError **error);

#endif
