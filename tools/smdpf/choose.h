/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which profile goes into a package: the one that was given, the next of many, or one of the built-in series. */
#ifndef SMDPF_CHOOSE_H
#define SMDPF_CHOOSE_H

#include "bind.h"
#include "ledger.h"
#include "protect.h"

/* A profile that was chosen. */
typedef struct {
	GByteArray *upp;	/* clear: freed as soon as it is sealed */
	Protected *protected;	/* instead of @upp */
	char *name;		/* UTF-8, from the profile's header */
} Chosen;

void chosen_clear(Chosen *chosen);

/* Where a process is in the profiles of an order. */
typedef struct {
	const BindOrder *order;
	Ledger *ledger;
	gboolean pool;		/* several profiles: each goes out once */
	guint *next, *marked;	/* member of each kind, and what it was when the transaction began */
	gboolean *empty;	/* none of that kind is left */
	guint8 *state;		/* of each: whether it was seen to be somebody's, or broken */
	LedgerEntry holder;	/* of the ICCID that was asked for last */
	gboolean kept;		/* a cancelled order keeps that one */
	gboolean any_kept;	/* or one before it */
} Choice;

void choice_init(Choice *choice, const BindOrder *order, Ledger *ledger);
void choice_clear(Choice *choice);

/* A transaction begins; and it was rolled back: from there on anew. */
void choice_mark(Choice *choice);
void choice_again(Choice *choice);

/* Go on where the profiles of this chip would be if every one before it had got its own. */
void choice_seek(Choice *choice, guint chip);

/**
 * choose_profile() - give an entry its profile and so its ICCID; in a transaction
 * @choice: moves on
 * @chip: what it can have
 * @entry: has its EID; gets iccid and hold
 * @chosen: gets the profile
 * @broken: called with those that are left out for it, once each; takes the error
 * @user: for @broken
 * @error: IFPP_ERROR_KEY_BOUND, USAGE: none left; ELIGIBILITY; UPP, IO; DB_ERROR
 */
gboolean choose_profile(Choice *choice, const KindsChip *chip, LedgerEntry *entry, Chosen *chosen,
			void (*broken)(GError *why, gpointer user), gpointer user, GError **error);

#endif
