// SPDX-License-Identifier: GPL-2.0-or-later
#include "anchor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "chain.h"
#include "cryptoki.h"
#include "error.h"
#include "file.h"
#include "pool.h"
#include "token.h"

#define APPLICATION "ifpp-smdpf"
#define FOUND_MAX 16		/* two, if a writer died between adding and removing; more by as many writers */
#define VALUE_MAX 160

typedef struct {
	char *label;
	const LedgerHead *put;	/* or NULL: only look */
	LedgerHead newest;
	LedgerHead heads[FOUND_MAX];	/* all that are there; seq 0: not one */
	CK_ULONG n;
} Anchor;

static gboolean parse(const char *text, LedgerHead *head)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	guint64 seq, bound;

	if (g_strv_length(words) != 6 || strcmp(words[0], "IFPP") || strcmp(words[1], "ledger") || strcmp(words[2], "1") ||
	    !g_ascii_string_to_unsigned(words[3], 10, 1, G_MAXINT64, &seq, NULL) ||
	    !g_ascii_string_to_unsigned(words[4], 10, 0, G_MAXINT64, &bound, NULL) ||
	    !ifpp_unhex_into(words[5], head->hash, 32))
		return FALSE;
	head->seq = seq;
	head->bound = bound;
	return TRUE;
}

static char *format(const LedgerHead *head)
{
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(head->hash));

	return g_strdup_printf("IFPP ledger 1 %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s", head->seq, head->bound, hash);
}

/* ------------------------------------------------------------ in a token */

static CK_RV find(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, const char *label, CK_OBJECT_HANDLE *objects,
		  CK_ULONG *n)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_LABEL, (void *)label, strlen(label) },
		{ CKA_APPLICATION, (void *)APPLICATION, strlen(APPLICATION) },
	};
	CK_RV rv = f->C_FindObjectsInit(session, template, G_N_ELEMENTS(template));

	if (rv != CKR_OK)
		return rv;
	rv = f->C_FindObjects(session, objects, FOUND_MAX, n);
	f->C_FindObjectsFinal(session);
	return rv;
}

static CK_RV create(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, const Anchor *anchor)
{
	g_autofree char *value = format(anchor->put);
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_LABEL, anchor->label, strlen(anchor->label) },
		{ CKA_APPLICATION, (void *)APPLICATION, strlen(APPLICATION) },
		{ CKA_VALUE, value, strlen(value) },
	};
	CK_OBJECT_HANDLE object;

	return f->C_CreateObject(session, template, G_N_ELEMENTS(template), &object);
}

/* The new one is added before the old ones go: at no time there is none. */
static CK_RV look_and_put(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	CK_OBJECT_HANDLE objects[FOUND_MAX];
	Anchor *anchor = user;
	LedgerHead *heads = anchor->heads;
	CK_ULONG n = 0;
	CK_RV rv = find(f, session, anchor->label, objects, &n);

	anchor->newest = (LedgerHead){};
	memset(heads, 0, sizeof(anchor->heads));
	anchor->n = n;
	for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
		char value[VALUE_MAX + 1] = "";
		CK_ATTRIBUTE get = { CKA_VALUE, value, VALUE_MAX };

		/* another writer may just have removed it */
		if (f->C_GetAttributeValue(session, objects[i], &get, 1) == CKR_OK && parse(value, &heads[i]) &&
		    heads[i].seq > anchor->newest.seq)
			anchor->newest = heads[i];
	}
	if (rv != CKR_OK || !anchor->put || anchor->put->seq <= anchor->newest.seq)
		return rv;
	cryptoki_hold_signals(TRUE);
	rv = create(f, session, anchor);
	for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++)
		if (heads[i].seq < anchor->put->seq)
			f->C_DestroyObject(session, objects[i]);
	cryptoki_hold_signals(FALSE);
	return rv;
}

static gboolean with_token(const HomeKey *key, gpointer user, GError **error)
{
	g_autofree char *object = token_object(key->url);
	Anchor *anchor = user;
	gboolean ok;

	anchor->label = g_strdup_printf("%s-ledger", object);
	ok = cryptoki_run(token_module(key->token), key->token, token_pin, look_and_put, anchor, error);
	g_free(anchor->label);
	if (!ok)
		g_prefix_error(error, "the ledger's head: ");
	return ok;
}

gboolean anchor_read_one(const HomeKey *key, LedgerHead *head, GError **error)
{
	Anchor anchor = {};

	if (!with_token(key, &anchor, error))
		return FALSE;
	*head = anchor.newest;
	return TRUE;
}

/* ------------------------------------------------------------ in the home */

/*
 * Of several tokens the one that knows most may be away, or be taken out. So the home keeps the head too, beside the ledger and not in
 * it: a ledger from a backup is seen even then.
 */
static gboolean keeps_head(const Home *home, const char *path)
{
	return home->keys->len > 1 || g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean read_home(const Home *home, LedgerHead *head, GError **error)
{
	g_autofree char *path = home_path(home, "head"), *text = NULL;
	g_autoptr(GBytes) file = NULL;

	*head = (LedgerHead){};
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	file = ifpp_file_read(path, VALUE_MAX, error);
	if (!file)
		return FALSE;
	text = g_strchomp(g_strndup(g_bytes_get_data(file, NULL), g_bytes_get_size(file)));
	if (parse(text, head))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "%s: damaged; remove it while every token is there, and run ifpp-smdpf ledger check",
		    path);
	return FALSE;
}

/* One writer at a time: it never goes back. */
static gboolean write_home(const Home *home, const LedgerHead *head, GError **error)
{
	g_autofree char *path = home_path(home, "head"), *runs = home_path(home, "run"), *value = format(head);
	g_autofree char *line = g_strconcat(value, "\n", NULL);
	LedgerHead have;
	gboolean ok;
	int fd;

	if (!keeps_head(home, path))
		return TRUE;
	fd = open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		ifpp_file_error(runs, NULL, error);
		ok = FALSE;
	} else {
		ok = read_home(home, &have, error) &&
		     (have.seq >= head->seq || ifpp_file_write(path, line, strlen(line), 0600, error));
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

/* ------------------------------------------------------------ in all of them */

static gboolean take_newest(const HomeKey *key, gpointer user, GError **error)
{
	LedgerHead *newest = user, head;
	gint64 bound = newest->bound;

	if (!anchor_read_one(key, &head, error))
		return FALSE;
	if (head.seq > newest->seq)
		*newest = head;
	newest->bound = MAX(bound, head.bound);
	return TRUE;
}

gboolean anchor_read(const Home *home, LedgerHead *head, GError **error)
{
	guint done;

	return read_home(home, head, error) && pool_each(home, take_newest, head, &done, error);
}

gboolean anchor_write(const Home *home, const LedgerHead *head, GError **error)
{
	Anchor anchor = { .put = head };
	guint done;

	return pool_each(home, with_token, &anchor, &done, error) && write_home(home, head, error);
}

/* Whose head it is, for messages. */
static gboolean check_head(Ledger *ledger, const LedgerHead *head, const char *whose, GError **error)
{
	gboolean known = TRUE;

	if (!ledger_look(ledger, error) || (head->seq && !chain_knows(ledger, head, &known, error)))
		return FALSE;
	if (known)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "the ledger is %s than the signing key knows of: it has %" G_GINT64_FORMAT " bound keys, %s has seen %" G_GINT64_FORMAT,
		    head->seq > ledger->head.seq ? "older" : "another one", ledger->head.bound, whose, head->bound);
	return FALSE;
}

typedef struct {
	const Home *home;
	Ledger *ledger;
} Check;

/* The ledger after the token: it may have grown in between, and not the other way round. */
static gboolean check_one(const HomeKey *key, gpointer user, GError **error)
{
	Check *check = user;
	g_autofree char *whose = check->home->keys->len > 1 ? g_strdup_printf("token %s", key->token) : g_strdup("the token");
	Anchor anchor = {};

	if (!with_token(key, &anchor, error))
		return FALSE;
	/* more than one: of a writer that was interrupted; or of another ledger, whose writer was as fast as this one's */
	for (CK_ULONG i = 0; i < anchor.n; i++)
		if (!check_head(check->ledger, &anchor.heads[i], whose, error))
			return FALSE;
	return TRUE;
}

/* Looked at before, lest another ledger's head is lost, and after: two may have looked before either had put its own. */
static gboolean advance_one(const HomeKey *key, gpointer user, GError **error)
{
	Check *check = user;
	Anchor anchor = { .put = &check->ledger->head };

	return check_one(key, check, error) && with_token(key, &anchor, error) && check_one(key, check, error);
}

gboolean anchor_advance(Ledger *ledger, const Home *home, GError **error)
{
	Check check = { .home = home, .ledger = ledger };
	guint done;

	return pool_each(home, advance_one, &check, &done, error) && write_home(home, &ledger->head, error);
}

gboolean anchor_catch_up(Ledger *ledger, const Home *home, GError **error)
{
	if (anchor_advance(ledger, home, error))
		return TRUE;
	g_prefix_error(error, "it is done, and the token does not know it; run this, or seal something, once more: ");
	return FALSE;
}

gboolean anchor_check(Ledger *ledger, const Home *home, guint *agree, GError **error)
{
	Check check = { .home = home, .ledger = ledger };
	LedgerHead head;
	guint done;

	if (!read_home(home, &head, error) || !check_head(ledger, &head, "the home", error) ||
	    !pool_each(home, check_one, &check, agree ? agree : &done, error))
		return FALSE;
	/* What other hosts have bound since is known here too, should their newest token be away later. */
	write_home(home, &ledger->head, NULL);
	return TRUE;
}
