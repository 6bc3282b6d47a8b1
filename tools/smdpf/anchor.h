/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of the ledger's chain, kept where the signing key is: a ledger that is older than what the token
 * has seen, or another one, does not seal with that key.
 */
#ifndef SMDPF_ANCHOR_H
#define SMDPF_ANCHOR_H

#include "ledger.h"

/* What the token keeps for this key; seq is 0 when there is nothing. IFPP_ERROR_TOKEN, PIN. */
gboolean anchor_read(const char *key_url, LedgerHead *head, GError **error);

/**
 * anchor_write() - keep the ledger's head in the token
 * @key_url: the signing key
 * @head: of what is bound by now
 * @error: IFPP_ERROR_TOKEN, PIN: nothing may leave the home
 *
 * A head that another process wrote later is left as it is.
 */
gboolean anchor_write(const char *key_url, const LedgerHead *head, GError **error);

/**
 * anchor_check() - is the ledger at least as new as what the token knows of?
 * @ledger: open
 * @key_url: the signing key
 * @error: IFPP_ERROR_LEDGER says what is missing; TOKEN, PIN
 */
gboolean anchor_check(Ledger *ledger, const char *key_url, GError **error);

#endif
