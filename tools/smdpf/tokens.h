/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tokens of a home: ifpp-smdpf token. */
#ifndef SMDPF_TOKENS_H
#define SMDPF_TOKENS_H

#include "home.h"

/**
 * tokens_add() - one more key, made in its token if it is not there
 * @home: one of its tokens must be there
 * @url: pkcs11: URL
 * @module: path or NULL
 * @pin_file: as token_init()
 * @error: IFPP_ERROR_TOKEN, PIN, USAGE; LEDGER: the ledger is older than a token knows of
 */
gboolean tokens_add(Home *home, const char *url, const char *module, const char *pin_file, GError **error);
/* Use it no more; the others must be able to go on without it: IFPP_ERROR_USAGE */
gboolean tokens_remove(Home *home, const char *token, GError **error);
/* Ask each of them, whatever it was before; the first error of a token ends up in @exit_code. */
gboolean tokens_list(Home *home, const char *pin_file, gboolean json, int *exit_code, GError **error);

#endif
