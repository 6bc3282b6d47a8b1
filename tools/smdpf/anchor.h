/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of the ledger's chain, kept where the signing keys are: a ledger that is older than what the token
 * has seen, or another one, does not seal with that key. Where there are or were several tokens the home keeps it too, in DIR/head.
 */
#ifndef SMDPF_ANCHOR_H
#define SMDPF_ANCHOR_H

#include "ledger.h"

/*
 * The newest that any token, or the home, keeps; seq is 0 when there is nothing. Its bound is the most that any of them has seen. At
 * least one token must be there: IFPP_ERROR_TOKEN, PIN.
 */
gboolean anchor_read(const Home *home, LedgerHead *head, GError **error);

gboolean anchor_read_one(const HomeKey *key, LedgerHead *head, GError **error);

/**
 * anchor_write() - keep the ledger's head in every token that is there
 * @home: its tokens
 * @head: of what is bound by now
 * @error: IFPP_ERROR_TOKEN, PIN: none has it, nothing may leave the home
 *
 * A head that another process wrote later is left as it is.
 */
gboolean anchor_write(const Home *home, const LedgerHead *head, GError **error);

/**
 * anchor_advance() - the same for a ledger that is at work
 * @ledger: what is bound in it may leave the home when this returns
 * @home: its tokens
 * @error: IFPP_ERROR_LEDGER: a token has seen another ledger since anchor_check(), or one that is newer; and as anchor_write()
 */
gboolean anchor_advance(Ledger *ledger, const Home *home, GError **error);

/* The same; says that it was done all the same, and to be run again. */
gboolean anchor_catch_up(Ledger *ledger, const Home *home, GError **error);

/**
 * anchor_check() - is the ledger at least as new as what any token knows of?
 * @ledger: open
 * @home: its tokens
 * @agree: how many said so, or NULL
 * @error: IFPP_ERROR_LEDGER says what is missing; TOKEN, PIN: none is there
 *
 * A token that was away knows of an older head, which the ledger has too.
 */
gboolean anchor_check(Ledger *ledger, const Home *home, guint *agree, GError **error);

#endif
