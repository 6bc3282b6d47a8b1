/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sealing profiles to the one-time keys of chips: what one process does, a range of chips at a time. */
#ifndef SMDPF_BIND_H
#define SMDPF_BIND_H

#include <stdio.h>

#include <gnutls/abstract.h>

#include "assign.h"
#include "devices.h"
#include "home.h"
#include "inputs.h"
#include "kinds.h"
#include "metadata.h"
#include "profile.h"
#include "wrap.h"

/* What is needed of the token. A session does not survive a fork. */
typedef struct {
	gnutls_privkey_t key;		/* SK.DPpb of the home's key in use */
	GPtrArray *unwrap;		/* for protected profiles: a Wrap for each key of the home; or NULL */
} BindKeys;

typedef struct {
	char **euicc;		/* eUICC data files, or directories of *.euicc */
	char **upp;		/* clear profiles, or directories of *.der and *.upp; NULL: the built-in one */
	char **protected;	/* protected profiles, or directories of *.ppp; instead of @upp */
	const char *rules;	/* eligibility, or NULL */
	const char *assign;	/* which chip gets which profile, or NULL */
	int count;		/* packages for each chip */
	const char *spn;
	const char *profile_name;
	const Metadata *metadata;	/* more of it, or NULL */
	ProfileClass class;
	gboolean session_keys;
	const char *order;	/* tells apart orders that look alike */
	const char *out;	/* or NULL: they stay in the home */
	gboolean anchored;	/* hold the ledger against the token, and keep its head there */
	gboolean json;
	int jobs;		/* processes at most, each with a session of its own; 0: one for each core */
	/* Called in each of them; @spare: the others can do without. IFPP_ERROR_TOKEN, PIN */
	gboolean (*open)(Home *home, gboolean spare, BindKeys *keys, gpointer user, GError **error);
	/* The key in use has failed, for the reason in *@error, which is cleared if another can go on; or NULL: none ever can */
	gboolean (*next)(Home *home, BindKeys *keys, GError **error);
	void (*close)(gpointer user);	/* or NULL */
	gpointer open_user;
} BindOptions;

/* An order, as every process that works on it sees it. */
typedef struct {
	Home *home;		/* with trust loaded */
	const BindOptions *options;
	Inputs *files;		/* eUICC data */
	Devices *devices;	/* that they are in, as far as it is known */
	Inputs *profiles;	/* or NULL */
	GByteArray *iccids;	/* of each profile, 10 bytes; all zero: it cannot be read */
	char *profile;		/* what the first is called */
	Rules *rules;
	Kinds *kinds;		/* of the profiles; of the built-in one if there are none */
	Assignments *assignments;	/* or NULL */
	guint8 id[8];
} BindOrder;

#define BIND_BATCH 64		/* packages between two visits to the ledger */

typedef struct {
	guint64 sealed, again;
	guint64 elsewhere;	/* another process is at it */
	guint64 abroad;		/* in another host's home */
	int exit_code;		/* IFPP_EXIT_OK, or why some chip got less than was asked for */
} BindCounts;

typedef struct _Bind Bind;

/**
 * bind_new() - open token and ledger, and hold them against each other
 * @order: lives as long
 * @spare: it is not the first process of the order
 * @error: IFPP_ERROR_TOKEN, PIN, LEDGER
 */
Bind *bind_new(const BindOrder *order, gboolean spare, GError **error);
void bind_free(Bind *bind);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bind, bind_free)

/**
 * bind_range() - seal, or hand out again what this order has sealed before
 * @bind: of bind_new()
 * @from: number of the first chip's file; fewer than BIND_BATCH packages at once
 * @to: number of the one after the last
 * @lines: gets "P", a line of text or JSON, and a line feed for each package
 * @counts: what was done is added
 * @error: what must end the work on this order
 *
 * A chip that is refused is named on standard error, the others go on.
 */
gboolean bind_range(Bind *bind, guint from, guint to, FILE *lines, BindCounts *counts, GError **error);

#endif
