/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may ask for packages, and what they ask for. */
#ifndef SMDPF_REQUESTS_H
#define SMDPF_REQUESTS_H

#include "home.h"

/**
 * requester_add() - from now on, take only what a known requester has signed
 * @home: the home
 * @file: the requester's certificate, PEM or DER; it stands for itself, no CI is asked
 * @error: IFPP_ERROR_IO, ACCESS, NO_SPACE, EXPIRED
 */
gboolean requester_add(const Home *home, const char *file, GError **error);

/* The hash of what is signed, which need not be in memory; @algorithm is a gnutls_digest_algorithm_t. */
typedef gboolean (*RequesterHash)(int algorithm, guint8 *hash, gpointer user, GError **error);

/**
 * requester_check() - may this be taken?
 * @home: the home; without requesters everything may
 * @hash: of what is signed
 * @user: for @hash
 * @signature: detached CMS SignedData in DER, or NULL
 * @who: set to the name of who signed it, or NULL; free it
 * @error: IFPP_ERROR_CMS_SIGNATURE: not signed, or by nobody known; CMS, EXPIRED
 */
gboolean requester_check(const Home *home, RequesterHash hash, gpointer user, GBytes *signature, char **who, GError **error);

/**
 * request_import() - take a request's chips into the home, each proven (DPFF10)
 * @home: with trust loaded
 * @file: the request bundle
 * @name: what to call it, or NULL: its order, or its file's name
 * @json: one object per chip
 * @exit_code: IFPP_EXIT_REFUSED when some chip was left out
 * @error: as ifpp_request_open() and requester_check(); nothing was taken in then
 *
 * The same again is harmless, and finishes what was interrupted.
 */
gboolean request_import(Home *home, const char *file, const char *name, gboolean json, int *exit_code,
			GError **error);

/* Where a request's chips are, NULL and IFPP_ERROR_IO when there is none of that name. */
char *request_dir(const Home *home, const char *name, GError **error);

#endif
