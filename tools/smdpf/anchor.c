// SPDX-License-Identifier: GPL-2.0-or-later
#include "anchor.h"

#include <stdio.h>
#include <string.h>

#include "chain.h"
#include "cryptoki.h"
#include "error.h"
#include "token.h"

#define APPLICATION "ifpp-smdpf"
#define FOUND_MAX 16		/* two, if a writer died between adding and removing; more by as many writers */
#define VALUE_MAX 160

typedef struct {
	char *label;
	const LedgerHead *put;	/* or NULL: only look */
	LedgerHead newest;
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
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(anchor->put->hash));
	g_autofree char *value = g_strdup_printf("IFPP ledger 1 %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s",
						 anchor->put->seq, anchor->put->bound, hash);
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
	LedgerHead heads[FOUND_MAX] = {};
	Anchor *anchor = user;
	CK_ULONG n = 0;
	CK_RV rv = find(f, session, anchor->label, objects, &n);

	anchor->newest = (LedgerHead){};
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

static gboolean with_token(const char *key_url, Anchor *anchor, GError **error)
{
	g_autofree char *token = token_label(key_url), *object = token_object(key_url);
	gboolean ok;

	anchor->label = g_strdup_printf("%s-ledger", object);
	ok = cryptoki_run(token_module(), token, token_pin, look_and_put, anchor, error);
	g_free(anchor->label);
	if (!ok)
		g_prefix_error(error, "the ledger's head: ");
	return ok;
}

gboolean anchor_read(const char *key_url, LedgerHead *head, GError **error)
{
	Anchor anchor = {};

	if (!with_token(key_url, &anchor, error))
		return FALSE;
	*head = anchor.newest;
	return TRUE;
}

gboolean anchor_write(const char *key_url, const LedgerHead *head, GError **error)
{
	Anchor anchor = { .put = head };

	return with_token(key_url, &anchor, error);
}

gboolean anchor_check(Ledger *ledger, const char *key_url, GError **error)
{
	gboolean known = TRUE;
	LedgerHead head;

	if (!anchor_read(key_url, &head, error) || !ledger_look(ledger, error) ||
	    (head.seq && !chain_knows(ledger, &head, &known, error)))
		return FALSE;
	if (known)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "the ledger is %s than the signing key knows of: it has %" G_GINT64_FORMAT " bound keys, the token has seen %"
		    G_GINT64_FORMAT,
		    head.seq > ledger->head.seq ? "older" : "another one", ledger->head.bound, head.bound);
	return FALSE;
}
