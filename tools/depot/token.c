// SPDX-License-Identifier: GPL-2.0-or-later
#include "token.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "depot-error.h"
#include "rows.h"

/* It has 256 random bits: there is nothing to guess, so a plain hash keeps it, and finds it by an index. */
static void hash(const char *token, guint8 sum[32])
{
	rows_sha256(token, strlen(token), sum);
}

typedef struct {
	const char *name;
	guint8 sum[32];
	gint64 changed;
} Change;

static gboolean add(Db *db, gpointer user, GError **error)
{
	Change *c = user;
	gint64 at;

	/* A name whose token was revoked may have another. */
	if (!db->ops->now(db, &at, error) ||
	    !DB_RUN(db,
		    "INSERT INTO token (name, sha256, added, revoked) VALUES ($1, $2, $3, 0) ON CONFLICT (name) DO UPDATE SET "
		    "sha256 = $2, added = $3, revoked = 0 WHERE token.revoked <> 0 OR token.sha256 = $2",
		    NULL, NULL, &c->changed, error, db_text(c->name), DB_B(c->sum, 32), DB_I(at)))
		return FALSE;
	if (!c->changed)
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_CONFLICT, "%s has a token; ifpp-depot token revoke ends it", c->name);
	return c->changed != 0;
}

gboolean depot_token_add(Depot *depot, const char *name, char token[TOKEN_BYTES + 1], GError **error)
{
	Change c = { .name = name };
	guint8 random[32];
	g_autofree char *text = NULL;

	if (gnutls_rnd(GNUTLS_RND_KEY, random, sizeof(random)) < 0) {
		g_set_error_literal(error, DB_ERROR, DB_ERROR_FAILED, "there is no randomness");
		return FALSE;
	}
	text = g_base64_encode(random, sizeof(random));
	g_strdelimit(text, "+", '-');
	g_strdelimit(text, "/", '_');
	g_strdelimit(text, "=", '\0');
	g_snprintf(token, TOKEN_BYTES + 1, TOKEN_PREFIX "%s", text);
	hash(token, c.sum);
	gnutls_memset(text, 0, strlen(text));
	gnutls_memset(random, 0, sizeof(random));
	return db_transaction(depot->db, add, &c, error);
}

static gboolean end_token(Db *db, gpointer user, GError **error)
{
	Change *c = user;

	if (!DB_RUN(db, "UPDATE token SET revoked = 1 WHERE name = $1", NULL, NULL, &c->changed, error, db_text(c->name)))
		return FALSE;
	if (!c->changed)
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_UNKNOWN, "no token %s was given out", c->name);
	return c->changed != 0;
}

gboolean depot_token_revoke(Depot *depot, const char *name, GError **error)
{
	Change c = { .name = name };

	return db_transaction(depot->db, end_token, &c, error);
}

static void token_free(gpointer data)
{
	DepotToken *token = data;

	g_free(token->name);
	g_free(token);
}

static gboolean take_token(const DbValue *row, guint n, gpointer user, GError **error)
{
	DepotToken *token = g_new0(DepotToken, 1);

	token->name = g_strdup(db_get_text(&row[0]));
	token->added = row[1].num;
	token->revoked = row[2].num != 0;
	g_ptr_array_add(user, token);
	return TRUE;
}

GPtrArray *depot_tokens(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) tokens = g_ptr_array_new_with_free_func(token_free);

	return db_run(depot->db, "SELECT name, added, revoked FROM token ORDER BY name", NULL, 0, take_token, tokens, NULL, error) ?
	       g_steal_pointer(&tokens) : NULL;
}

static gboolean take_name(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(char **)user = g_strdup(db_get_text(&row[0]));
	return TRUE;
}

char *depot_token_check(Depot *depot, const char *token, GError **error)
{
	char *name = NULL;
	guint8 sum[32];

	if (strlen(token) != TOKEN_BYTES)
		return NULL;
	hash(token, sum);
	DB_RUN(depot->db, "SELECT name FROM token WHERE sha256 = $1 AND revoked = 0", take_name, &name, NULL, error, DB_B(sum, 32));
	return name;
}
