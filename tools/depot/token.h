/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tokens with which other systems may read: only a hash of each is kept. */
#ifndef IFPP_DEPOT_TOKEN_H
#define IFPP_DEPOT_TOKEN_H

#include "depot.h"

#define TOKEN_PREFIX "ifpp_"
#define TOKEN_BYTES 48	/* prefix and 43 characters of base64url: 256 bits */

typedef struct {
	char *name;
	gint64 added;
	gboolean revoked;
} DepotToken;

/**
 * depot_token_add() - a new token
 * @depot: the depot
 * @name: of who gets it, as depot_station_valid() takes it
 * @token: what he shows; nobody can find it out again; the caller wipes it
 * @error: DEPOT_ERROR_CONFLICT: the name has one; revoke it first, then the name is free again. DB_ERROR
 */
gboolean depot_token_add(Depot *depot, const char *name, char token[TOKEN_BYTES + 1], GError **error);
/* It opens nothing any more. DEPOT_ERROR_UNKNOWN, DB_ERROR */
gboolean depot_token_revoke(Depot *depot, const char *name, GError **error);
/* All, by name, of DepotToken. */
GPtrArray *depot_tokens(Depot *depot, GError **error);

/**
 * depot_token_check() - whose token is this?
 * @depot: the depot
 * @token: what was shown
 * @error: DB_ERROR
 *
 * Return: the name; NULL without an error: nobody's.
 */
char *depot_token_check(Depot *depot, const char *token, GError **error);

#endif
