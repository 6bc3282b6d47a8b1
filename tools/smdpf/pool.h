/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The home's keys as a pool: each in a token of its own, with a certificate of the same name. Any of them signs; one that is gone is
 * left alone for a minute, and the next one goes on.
 */
#ifndef SMDPF_POOL_H
#define SMDPF_POOL_H

#include <stdio.h>

#include "home.h"

/**
 * pool_start() - as token_init(), for every key of the home
 * @home: its keys
 * @pin_file: as token_init()
 * @error: IFPP_ERROR_PIN, IO
 */
gboolean pool_start(const Home *home, const char *pin_file, GError **error);
/* Have every PIN that is not known yet: processes to come have no terminal. */
gboolean pool_ask(const Home *home, GError **error);
/* Another process tells which token is gone. */
void pool_quiet(void);

/**
 * pool_open() - a key that signs, which is the one in use from then on
 * @home: with its chains proven (home_check_chain())
 * @failed: the one in use has just failed, for the reason in *@error: begin with the next
 * @error: in and out; IFPP_ERROR_TOKEN, PIN, for each token why
 *
 * When no other is there, the one in use is waited for.
 */
gnutls_privkey_t pool_open(Home *home, gboolean failed, GError **error);

/* Was its token gone a moment ago? */
gboolean pool_is_away(const HomeKey *key);
/* Is it a token that failed, so that another one may do? */
gboolean pool_may_help(const Home *home, const GError *error);

/**
 * pool_each() - do something with every token that is there
 * @home: its keys, that in use first
 * @func: does it; FALSE with an error that is not of the token ends it
 * @user: for @func
 * @done: how many did
 * @error: none did: IFPP_ERROR_TOKEN, PIN, for each token why; or that of @func
 */
typedef gboolean (*PoolFunc)(const HomeKey *key, gpointer user, GError **error);
gboolean pool_each(const Home *home, PoolFunc func, gpointer user, guint *done, GError **error);

/* Tokens that refused their PIN, a line "T" TOKEN for each: not even another process is to try again. */
void pool_tell_refused(const Home *home, FILE *lines);
void pool_refuse(const Home *home, const char *token);

#endif
