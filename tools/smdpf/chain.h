/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ledger's events: what was done, when, by whom, on which host; each with the SHA-256 of the one before
 * and of itself. An event's text has a line for each key:
 *
 *   bound KEYID EID ICCID ORDER TRANSACTION HOLD SHA256 PROFILE
 *   installed KEYID		proven by the chip's signed result
 *   failed KEYID REASON	likewise
 *   voided KEYID word NAME REASON	its ICCID is free, on somebody's word,
 *   voided KEYID proof SHA256 REASON	or by what the chip has signed, in a file with this hash
 *   order ORDER NAME		what people call an order; empty: nothing
 *   cancelled ORDER REASON	nothing more is sealed for it,
 *   resumed ORDER REASON	or it is again
 *   released ICCID NAME REASON	a cancelled order does not keep it any more, on somebody's word
 *   operator ORDER NAME	for whom it is
 *   accepted N			keys that stay unknown, on the operator's word
 *   adopted			from here on the chain is as whole as could be proven (adopt.h)
 *
 * ICCID is "-" when it is not known, HOLD one of free, one, test; PROFILE, NAME and REASON are escaped as in a URI.
 */
#ifndef SMDPF_CHAIN_H
#define SMDPF_CHAIN_H

#include "ledger.h"

extern const char *const chain_schema;
/* The table of what "operator" says; it came later. */
extern const char *const chain_operators;
#define CHAIN_ADOPTED "adopted\n"

/* Add one event in the running transaction, @bound of whose lines bind a key. */
gboolean chain_append(Ledger *ledger, const char *text, gint64 bound, GError **error);
/* The end of the chain. */
gboolean chain_head(Ledger *ledger, LedgerHead *head, GError **error);
/* Is this the head that the ledger once had? */
gboolean chain_knows(Ledger *ledger, const LedgerHead *head, gboolean *known, GError **error);
/* Does an event that was not altered say that this key has failed or is void? */
gboolean chain_frees(Ledger *ledger, const guint8 key_id[32], gboolean *frees, GError **error);
/* Note which events say so. Reads all of them. */
gboolean chain_find_freed(Db *db, GError **error);
/* Does any event name this key? Reads all of them. */
gboolean chain_names(Ledger *ledger, const guint8 key_id[32], gboolean *named, GError **error);

void chain_bound_line(GString *text, const LedgerEntry *entry);
/* FALSE: it is no such line. @entry->profile is allocated. */
gboolean chain_parse_bound(const char *line, LedgerEntry *entry);

/* What an event says of itself. */
typedef struct {
	gint64 at;		/* ms since 1970 */
	char *who, *host;
	char *text;		/* its lines */
} ChainNote;

/* FALSE: there is none, or it cannot be read. */
gboolean chain_read(Ledger *ledger, gint64 seq, ChainNote *note);
void chain_note_clear(ChainNote *note);
/* The line of an event that begins with these two words, or NULL. */
char *chain_line(const char *text, const char *word, const char *of);

/**
 * chain_check() - hold the events against their hashes, and the entries against the events
 * @ledger: the ledger
 * @all: all of them, and nothing else may be in the ledger; else those at the end, which takes
 *	milliseconds however long the chain is
 * @error: IFPP_ERROR_LEDGER names the event or key
 */
gboolean chain_check(Ledger *ledger, gboolean all, GError **error);

#endif
