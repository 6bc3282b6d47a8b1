// SPDX-License-Identifier: GPL-2.0-or-later
/* Tokens for the line's own systems. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include <error.h>
#include <json.h>

#include "token.h"

static void tell_token(const DepotToken *token)
{
	g_autofree char *added = depot_time(token->added);

	if (args_json) {
		JsonBuilder *b = ifpp_json_new("token");

		ifpp_json_string(b, "name", token->name);
		ifpp_json_string(b, "added", added);
		ifpp_json_bool(b, "revoked", token->revoked);
		ifpp_json_print(b);
	} else {
		printf("%-20s  %-8s  %s\n", token->name, token->revoked ? "revoked" : "valid", added);
	}
}

static gboolean list_tokens(Depot *depot, GError **error)
{
	g_autoptr(GPtrArray) tokens = depot_tokens(depot, error);

	if (!tokens)
		return FALSE;
	for (guint i = 0; i < tokens->len; i++)
		tell_token(tokens->pdata[i]);
	if (!args_json && !tokens->len)
		puts("No token was given out: nobody can ask the listener of --api. ifpp-depot token add makes one.");
	return TRUE;
}

static gboolean add_token(Depot *depot, const char *name, GError **error)
{
	char token[TOKEN_BYTES + 1];

	if (!depot_token_add(depot, name, token, error))
		return FALSE;
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("token");

		ifpp_json_string(b, "name", name);
		ifpp_json_string(b, "token", token);
		ifpp_json_print(b);
	} else {
		printf("%s\n", token);
		fputs("It is shown this once; only a hash of it is kept.\n", stderr);
	}
	gnutls_memset(token, 0, sizeof(token));
	return TRUE;
}

gboolean cmd_token(int argc, char **argv, int *exit_code, GError **error)
{
	GOptionEntry entries[] = { COMMON, G_OPTION_ENTRY_NULL };
	g_autoptr(Depot) depot = NULL;
	const char *what;

	if (!ifpp_options_parse(entries, "add|revoke NAME, or list",
				"Gives out tokens with which other systems read units, results and figures from the listener of\n"
				"ifpp-depot serve --api; lists them; or revokes one, which holds at once.", &argc, &argv, -1, error))
		return FALSE;
	what = argc > 1 ? argv[1] : "";
	if (!(g_str_equal(what, "list") && argc == 2) &&
	    !(argc == 3 && (g_str_equal(what, "add") || g_str_equal(what, "revoke"))))
		return ifpp_usage_error(error, "token: add NAME, revoke NAME or list");
	if (argc == 3 && !depot_station_valid(argv[2]))
		return ifpp_usage_error(error, "a name has 1 to 64 letters, digits, dots, dashes and underscores");
	depot = depot_open(args_db(), FALSE, error);
	if (!depot)
		return FALSE;
	if (g_str_equal(what, "list"))
		return list_tokens(depot, error);
	if (g_str_equal(what, "add"))
		return add_token(depot, argv[2], error);
	if (!depot_token_revoke(depot, argv[2], error))
		return FALSE;
	if (!args_json)
		printf("The token of %s is revoked\n", argv[2]);
	return TRUE;
}
