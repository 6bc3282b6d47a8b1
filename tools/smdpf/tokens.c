// SPDX-License-Identifier: GPL-2.0-or-later
#include "tokens.h"

#include <stdio.h>
#include <string.h>

#include "anchor.h"
#include "chain.h"
#include "error.h"
#include "json.h"
#include "ledger.h"
#include "pool.h"
#include "token.h"

/* The key is there, or is made, and cannot leave its token. */
static gboolean make_key(const Home *home, const char *url, const char *module, gboolean *created, GError **error)
{
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	gboolean ok;

	token_set_module(url, module);
	if (!token_generate(url, created, error))
		return FALSE;
	key = token_open(url, &pub, error);
	if (!key)
		return FALSE;
	ok = home_add_key(home, url, module, pub, error);
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	return ok;
}

gboolean tokens_add(Home *home, const char *url, const char *module, const char *pin_file, GError **error)
{
	g_autoptr(Ledger) ledger = NULL;
	g_autoptr(Home) now = NULL;
	const HomeKey *key;
	gboolean created;

	if (!token_check_url(url, error) || !pool_start(home, pin_file, error))
		return FALSE;
	/* else a home whose tokens are gone could be made to seal again with an old ledger */
	ledger = ledger_open(home, error);
	if (!ledger || !anchor_check(ledger, home, NULL, error) || !make_key(home, url, module, &created, error))
		return FALSE;
	now = home_open(home->dir, error);
	if (!now || !anchor_check(ledger, now, NULL, error) || !anchor_write(now, &ledger->head, error))
		return FALSE;
	key = home_key(now, now->keys->len - 1);
	for (guint i = 0; i < now->keys->len; i++)
		if (!strcmp(home_key(now, i)->url, url))
			key = home_key(now, i);
	printf("%s: key %s %s. Have a CI certify %s/dppb-%u.pub.pem as DPpb under the same name, then run ifpp-smdpf certificate.\n",
	       home->dir, created ? "made in token" : "found in token", key->token, home->dir, key->number);
	return TRUE;
}

gboolean tokens_remove(Home *home, const char *token, GError **error)
{
	gboolean other = FALSE;

	if (!home_load_trust(home, error))
		return FALSE;
	for (guint i = 0; i < home->keys->len; i++)
		other |= home_key(home, i)->chain && strcmp(home_key(home, i)->token, token);
	if (!other) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: no other token has a certificate; nothing could be sealed "
			    "without token %s", home->dir, token);
		return FALSE;
	}
	if (!home_remove_key(home, token, error))
		return FALSE;
	printf("%s: does not use token %s any more\n", home->dir, token);
	return TRUE;
}

/* ------------------------------------------------------------ list */

typedef struct {
	const char *state;
	char *detail;
	LedgerHead head;
} Seen;

static void print(const HomeKey *key, const Seen *seen, gboolean json)
{
	g_autofree char *object = token_object(key->url);
	JsonBuilder *b;

	if (!json) {
		printf("%-16s  %-16s  %-9s  %10" G_GINT64_FORMAT "  %s\n", key->token, object, seen->state, seen->head.bound,
		       seen->detail ? seen->detail : "");
		return;
	}
	b = ifpp_json_new("token");
	ifpp_json_string(b, "token", key->token);
	ifpp_json_string(b, "key", object);
	ifpp_json_string(b, "state", seen->state);
	ifpp_json_int(b, "bound", seen->head.bound);
	ifpp_json_string(b, "detail", seen->detail);
	ifpp_json_print(b);
}

/* Its key, and what it knows of the ledger. */
static gboolean ask(const HomeKey *key, Ledger *ledger, Seen *seen, GError **error)
{
	gnutls_privkey_t priv;
	gnutls_pubkey_t pub;
	gboolean known = TRUE;

	priv = token_open(key->url, &pub, error);
	if (!priv)
		return FALSE;
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(priv);
	if (!anchor_read_one(key, &seen->head, error) || !ledger_look(ledger, error) ||
	    (seen->head.seq && !chain_knows(ledger, &seen->head, &known, error)))
		return FALSE;
	if (!known) {
		seen->state = "newer";
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "knows of a ledger that is newer than this one, or another");
		return FALSE;
	}
	if (seen->head.seq < ledger->head.seq)
		seen->detail = g_strdup_printf("was away: the ledger has %" G_GINT64_FORMAT, ledger->head.bound);
	return TRUE;
}

static void look(const HomeKey *key, Ledger *ledger, Seen *seen, int *exit_code)
{
	g_autoptr(GError) why = NULL;
	int code;

	seen->state = "gone";
	if (ask(key, ledger, seen, &why)) {
		seen->state = key->chain ? "ready" : "unfit";
		if (!key->chain) {
			g_free(seen->detail);
			seen->detail = g_strdup(key->unfit);
		}
		return;
	}
	if (why->code == IFPP_ERROR_PIN)
		seen->state = "refused";
	seen->detail = g_strdup(why->message);
	code = ifpp_error_exit("ifpp-smdpf", why);
	if (!*exit_code)
		*exit_code = code;
}

gboolean tokens_list(Home *home, const char *pin_file, gboolean json, int *exit_code, GError **error)
{
	g_autoptr(Ledger) ledger = NULL;
	g_autoptr(GError) none = NULL;

	if (!pool_start(home, pin_file, error) || !pool_ask(home, error))
		return FALSE;
	/* what is wrong with a certificate is told of its key */
	if (home_load_trust(home, &none))
		home_check_chain(home, NULL);
	ledger = ledger_open(home, error);
	if (!ledger)
		return FALSE;
	if (!json)
		printf("%-16s  %-16s  %-9s  %10s  %s\n", "TOKEN", "KEY", "STATE", "BOUND", "");
	for (guint i = 0; i < home->keys->len; i++) {
		Seen seen = {};

		look(home_key(home, i), ledger, &seen, exit_code);
		print(home_key(home, i), &seen, json);
		g_free(seen.detail);
	}
	return TRUE;
}
