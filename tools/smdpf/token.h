/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SK.DPpb in its PKCS#11 token, and the PIN. */
#ifndef SMDPF_TOKEN_H
#define SMDPF_TOKEN_H

#include <glib.h>
#include <gnutls/abstract.h>

/**
 * token_init() - start PKCS#11 and say where the PIN comes from
 * @module: path of the PKCS#11 module, or NULL: those that p11-kit knows
 * @pin_file: file whose first line is the PIN, with lines TOKEN=PIN after it for tokens with another one; or NULL: IFPP_PIN,
 *	which has the same in it, else ask on the terminal
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN, IFPP_ERROR_IO
 */
gboolean token_init(const char *module, const char *pin_file, GError **error);
/* The token of this URL is behind another module; NULL: it is one that p11-kit knows. */
void token_set_module(const char *url, const char *module);
void token_deinit(void);	/* wipes the PINs */

/* For cryptoki_run(): a token's module or NULL, its PIN (asked for if need be), and the parts of a key's URL. */
const char *token_module(const char *label);
const char *token_pin(const char *label, GError **error);
char *token_label(const char *url);
char *token_object(const char *url);

/* Refuse a URL without object name, or with a PIN in it: IFPP_ERROR_USAGE. */
gboolean token_check_url(const char *url, GError **error);

/* Why the token could not sign last, or NULL. */
const GError *token_reason(void);

/**
 * token_open() - SK.DPpb: one session for every signature to come
 * @url: pkcs11: URL
 * @pub: its public half
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN; TOKEN too when the key could leave the token
 */
gnutls_privkey_t token_open(const char *url, gnutls_pubkey_t *pub, GError **error);

/**
 * token_generate() - make the key in the token unless it is there already
 * @url: pkcs11: URL with token and object
 * @created: whether it was made
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN
 */
gboolean token_generate(const char *url, gboolean *created, GError **error);

/*
 * The RSA key that wraps profile protection keys: beside the signing key, in the same token, under that
 * key's name with "-ppk" after it. See wrap.h.
 */
char *token_wrap_url(const char *url);
gboolean token_generate_wrap(const char *url, GError **error);
gboolean token_check_wrap(const char *url, GError **error);	/* it is there, and cannot leave the token */

#endif
