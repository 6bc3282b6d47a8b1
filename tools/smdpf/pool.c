// SPDX-License-Identifier: GPL-2.0-or-later
#include "pool.h"

#include <string.h>

#include "cryptoki.h"
#include "error.h"
#include "token.h"

#define AWAY_US (60 * G_USEC_PER_SEC)

static gboolean quiet;

gboolean pool_start(const Home *home, const char *pin_file, GError **error)
{
	if (!token_init(home->module, pin_file, error))
		return FALSE;
	for (guint i = 0; i < home->keys->len; i++)
		token_set_module(home_key(home, i)->url, home_key(home, i)->module);
	return TRUE;
}

gboolean pool_ask(const Home *home, GError **error)
{
	for (guint i = 0; i < home->keys->len; i++)
		if (!token_pin(home_key(home, i)->token, error))
			return FALSE;
	return TRUE;
}

void pool_quiet(void)
{
	quiet = TRUE;
}

static gboolean of_token(const GError *error)
{
	return error->domain == IFPP_ERROR && (error->code == IFPP_ERROR_TOKEN || error->code == IFPP_ERROR_PIN);
}

gboolean pool_is_away(const HomeKey *key)
{
	return g_get_monotonic_time() < key->away;
}

/* Said once, until it is there again, and not before it is known that another one is. */
static void mark_away(HomeKey *key, const GError *why)
{
	if (!key->away && !quiet)
		key->untold = g_strdup(why->message);
	key->away = g_get_monotonic_time() + AWAY_US;
}

static void mark_there(HomeKey *key)
{
	key->away = 0;
	g_clear_pointer(&key->untold, g_free);
}

static void tell_away(const Home *home)
{
	for (guint i = 0; i < home->keys->len; i++) {
		HomeKey *key = home_key(home, i);

		if (key->untold)
			fprintf(stderr, "ifpp-smdpf: %s; it goes on without\n", key->untold);
		g_clear_pointer(&key->untold, g_free);
	}
}

/* One line for all that failed; who of them refused a PIN needs somebody, who is gone may come back. */
static void join(GError **all, GError *one)
{
	if (!*all) {
		*all = one;
		return;
	}
	if (one->code == IFPP_ERROR_TOKEN)
		(*all)->code = IFPP_ERROR_TOKEN;
	if (!strstr((*all)->message, one->message)) {
		char *text = g_strdup_printf("%s; %s", (*all)->message, one->message);

		g_free((*all)->message);
		(*all)->message = text;
	}
	g_error_free(one);
}

/* ------------------------------------------------------------ the key that signs */

static gnutls_privkey_t open_key(Home *home, guint number, GError **error)
{
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;

	home_use(home, number);
	key = token_open(home->key_url, &pub, error);
	if (!key)
		return NULL;
	if (!home_certifies(home, pub, error))
		g_clear_pointer(&key, gnutls_privkey_deinit);
	gnutls_pubkey_deinit(pub);
	return key;
}

static guint count_fit(const Home *home)
{
	guint n = 0;

	for (guint i = 0; i < home->keys->len; i++)
		n += home_key(home, i)->chain != NULL;
	return n;
}

gboolean pool_may_help(const Home *home, const GError *error)
{
	return error && count_fit(home) > 1 && of_token(error);
}

/* From @first on, all around. */
static gnutls_privkey_t try_each(Home *home, guint first, guint n, gboolean patient, GError **all)
{
	for (guint k = 0; k < n; k++) {
		guint number = (first + k) % home->keys->len;
		HomeKey *key = home_key(home, number);
		gnutls_privkey_t priv;
		GError *why = NULL;

		if (!key->chain)
			continue;
		cryptoki_others(!patient);
		priv = open_key(home, number, &why);
		cryptoki_others(count_fit(home) > 1);
		if (priv) {
			mark_there(key);
			tell_away(home);
			return priv;
		}
		if (!patient)
			mark_away(key, why);
		join(all, why);
	}
	return NULL;
}

gnutls_privkey_t pool_open(Home *home, gboolean failed, GError **error)
{
	guint was = home->current, n = home->keys->len, fit = count_fit(home);
	gnutls_privkey_t key = NULL;
	GError *all = NULL;

	if (failed && error && *error) {
		if (fit > 1)
			mark_away(home_key(home, was), *error);
		all = g_steal_pointer(error);
	}
	if (fit > 1)
		key = failed ? try_each(home, was + 1, n - 1, FALSE, &all) : try_each(home, was, n, FALSE, &all);
	if (!key)
		key = try_each(home, was, n, TRUE, &all);
	if (key)
		g_clear_error(&all);
	else
		g_propagate_error(error, all);
	return key;
}

/* ------------------------------------------------------------ every one of them */

static gboolean do_each(const Home *home, PoolFunc func, gpointer user, gboolean patient, guint *done, GError **all)
{
	guint n = home->keys->len;

	for (guint k = 0; k < n; k++) {
		HomeKey *key = home_key(home, (home->current + k) % n);
		GError *why = NULL;
		gboolean ok;

		if (patient ? n > 1 && *done : pool_is_away(key))
			continue;
		cryptoki_others(n > 1 && !patient);
		ok = func(key, user, &why);
		cryptoki_others(n > 1);
		if (ok) {
			mark_there(key);
			(*done)++;
			continue;
		}
		if (!of_token(why)) {
			g_clear_error(all);
			*all = why;
			return FALSE;
		}
		if (n > 1 && !patient)
			mark_away(key, why);
		join(all, why);
	}
	return TRUE;
}

gboolean pool_each(const Home *home, PoolFunc func, gpointer user, guint *done, GError **error)
{
	GError *all = NULL;
	gboolean ok;

	*done = 0;
	ok = do_each(home, func, user, home->keys->len == 1, done, &all);
	if (ok && !*done && home->keys->len > 1) {
		g_clear_error(&all);
		ok = do_each(home, func, user, TRUE, done, &all);
	}
	if (ok && *done) {
		tell_away(home);
		g_clear_error(&all);
		return TRUE;
	}
	g_propagate_error(error, all);
	return FALSE;
}

/* ------------------------------------------------------------ PINs that were refused */

void pool_tell_refused(const Home *home, FILE *lines)
{
	for (guint i = 0; home->keys->len > 1 && i < home->keys->len; i++)
		if (cryptoki_refused(token_module(home_key(home, i)->token), home_key(home, i)->token))
			fprintf(lines, "T%s\n", home_key(home, i)->token);
}

void pool_refuse(const Home *home, const char *token)
{
	for (guint i = 0; i < home->keys->len; i++)
		if (!strcmp(home_key(home, i)->token, token))
			cryptoki_refuse(token_module(token), token);
}
