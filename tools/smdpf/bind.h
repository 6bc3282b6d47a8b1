/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sealing profiles to the one-time keys of many chips. */
#ifndef SMDPF_BIND_H
#define SMDPF_BIND_H

#include <gnutls/abstract.h>

#include "home.h"
#include "profile.h"

typedef struct {
	char **euicc;		/* eUICC data files, or directories of *.euicc */
	char **upp;		/* clear profiles, or directories of *.der and *.upp; NULL: the built-in one */
	char **protected;	/* protected profiles, or directories of *.ppp; instead of @upp */
	gnutls_privkey_t unwrap;	/* for @protected */
	const char *rules;	/* eligibility, or NULL */
	int count;		/* packages for each chip */
	const char *spn;
	const char *profile_name;
	ProfileClass class;
	gboolean session_keys;
	const char *order;	/* tells apart orders that look alike */
	const char *out;	/* or NULL: they stay in the home */
	gboolean anchored;	/* hold the ledger against the token, and keep its head there */
	gboolean json;
} BindOptions;

/**
 * bind_all() - seal, or hand out again what this order has sealed before
 * @home: with trust loaded
 * @key: SK.DPpb
 * @options: what to seal to whom
 * @exit_code: IFPP_EXIT_OK, or why some chip got less than was asked for
 * @error: what ended the run early
 *
 * A chip that is refused is named on standard error, the others go on.
 */
gboolean bind_all(Home *home, gnutls_privkey_t key, const BindOptions *options, int *exit_code, GError **error);

#endif
