// SPDX-License-Identifier: GPL-2.0-or-later
#include "adopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "anchor.h"
#include "chain.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "journals.h"
#include "ledger.h"
#include "orders.h"
#include "store.h"
#include "told.h"

#define EVENT_LINES 256

typedef struct {
	const Home *home;
	Ledger *ledger;
	LedgerHead token;
	const char *const *dirs;	/* with packages and a journal: this home, and others */
	const Journals *journals;	/* what they say together */
	guint reading;			/* number of the journal */
	GHashTable *told;		/* SHA-256 of packages that were said to be second ones */
	GHashTable *unsure;		/* and of those of which nothing says that they were ever bound; -> key id */
	gint64 accept;
	gboolean sound;		/* what is there: it only lacks the end */
	GString *text;		/* lines of the event to come */
	guint lines;
	GString *journal;	/* lines that it does not have */
	gboolean from_packages;
	gboolean delivered;	/* from a directory that was named */
	guint8 mark[8];		/* in the place of a run: what was adopted now, */
	guint8 void_mark[8];	/* and what was there, and became void */
	GHashTable *voids;	/* key id -> "voided" line of the journal, */
	GHashTable *late;	/* and of those that are installed all the same */
	GString *late_text;	/* lines of an event */
	gint64 adopted, twice, unknown, total;
	gboolean kept;			/* there are ICCIDs that no key holds, and that are out */
	guint strays;			/* orders that nothing proves to be anybody's */
} Adopt;

static gboolean flush(Adopt *a, GError **error)
{
	gboolean ok = !a->lines || chain_append(a->ledger, a->text->str, a->lines, error);

	g_string_truncate(a->text, 0);
	a->lines = 0;
	return ok;
}

static gboolean add_line(Adopt *a, const LedgerEntry *entry, GError **error)
{
	chain_bound_line(a->text, entry);
	return ++a->lines < EVENT_LINES || flush(a, error);
}

static gboolean has_iccid(const LedgerEntry *entry)
{
	static const guint8 unknown[10];

	return memcmp(entry->iccid, unknown, 10) != 0;
}

/* Two packages with one key, or with one ICCID for two chips: they exist, and that must be said. */
static void tell_twice(Adopt *a, const LedgerEntry *one, const LedgerEntry *other, const char *what)
{
	char eid1[33], eid2[33];

	a->twice++;
	ifpp_eid_format(one->eid, eid1);
	ifpp_eid_format(other->eid, eid2);
	fprintf(stderr, "ifpp-smdpf: %s is in two packages: for chip %s and for chip %s\n", what, eid1, eid2);
}

/* What the journal says of how this key was voided, or NULL. */
static const char *voided(Adopt *a, const LedgerEntry *entry)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id));

	return g_hash_table_lookup(a->voids, id);
}

static LedgerVoid void_reason(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);

	return g_strv_length(words) == 5 ? ledger_void_reason(words[2]) : LEDGER_VOID_WORD;
}

static void say_out(gpointer hash, gpointer id, gpointer journal)
{
	g_string_append_printf(journal, STORE_OUT "%s\n", (const char *)id);
}

/* What the own journal lacks. A batch may have been interrupted: its line must not stand for a key that the token has seen. */
static void keep_line(Adopt *a, const LedgerEntry *entry)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id));

	if (!a->from_packages && journals_sure(a->journals, a->reading, entry))
		return;
	if (a->from_packages || a->reading)
		chain_bound_line(a->journal, entry);
	if (a->from_packages)
		say_out(NULL, id, a->journal);
	else
		g_hash_table_insert(a->unsure, ifpp_hex(IFPP_SPAN(entry->sha256)), g_steal_pointer(&id));
}

static gboolean insert(Adopt *a, LedgerEntry *entry, GError **error)
{
	gboolean held = FALSE, test = entry->hold == LEDGER_HELD_TEST;
	LedgerEntry holder;

	const char *line = voided(a, entry);

	if (line)
		entry->hold = LEDGER_FREE;
	if (!has_iccid(entry)) {
		a->unknown++;
		entry->hold = LEDGER_FREE;
	} else if (line) {
		held = FALSE;
	} else if (!ledger_holder(a->ledger, entry->iccid, entry->eid, test, &holder, &held, error)) {
		return FALSE;
	}
	if (held) {
		g_autofree char *what = NULL;
		char iccid[21];

		ifpp_iccid_format(entry->iccid, iccid);
		what = g_strdup_printf("ICCID %s", iccid);
		tell_twice(a, &holder, entry, what);
		entry->hold = LEDGER_FREE; /* of this key; the other holds it */
	}
	a->adopted++;
	keep_line(a, entry);
	return orders_insert(a->ledger, entry->order, "", error) &&
	       DB_RUN(a->ledger->db,
		      "INSERT INTO binding (key_id, eid, iccid, order_id, transaction_id, run, state, hold, reason, sha256, "
		      "profile) VALUES ($1, $2, $3, $4, $5, $6, $10, $7, $11, $8, $9)",
		      NULL, NULL, NULL, error, DB_B(entry->key_id, 32), DB_B(entry->eid, 16),
		      has_iccid(entry) ? DB_B(entry->iccid, 10) : (DbValue){ .type = DB_NULL }, DB_B(entry->order, 8),
		      DB_B(entry->transaction, 16), DB_B(a->mark, 8), DB_I(entry->hold), DB_B(entry->sha256, 32),
		      db_text(entry->profile), DB_I(line ? LEDGER_VOID : LEDGER_BOUND), DB_I(line ? void_reason(line) : 0));
}

/* An altered ledger is not believed against the journal; what chips have proven stays. */
static gboolean correct(Adopt *a, const LedgerEntry *have, LedgerEntry *entry, GError **error)
{
	gboolean test = entry->hold == LEDGER_HELD_TEST;

	if (!memcmp(have->eid, entry->eid, 16) && !memcmp(have->iccid, entry->iccid, 10) &&
	    !memcmp(have->order, entry->order, 8) && !memcmp(have->transaction, entry->transaction, 16))
		/* a test profile's ICCID may be on many chips, another's not; hold_again() has the last word on what is free */
		return test == (have->hold == LEDGER_HELD_TEST) ||
		       DB_RUN(a->ledger->db, "UPDATE binding SET hold = $2 WHERE key_id = $1", NULL, NULL, NULL, error,
			      DB_B(entry->key_id, 32), DB_I(test ? LEDGER_HELD_TEST : LEDGER_FREE));
	a->adopted--;
	return DB_RUN(a->ledger->db, "DELETE FROM binding WHERE key_id = $1", NULL, NULL, NULL, error,
		      DB_B(entry->key_id, 32)) &&
	       insert(a, entry, error) &&
	       DB_RUN(a->ledger->db, "UPDATE binding SET state = $2, reason = $3 WHERE key_id = $1", NULL, NULL, NULL, error,
		      DB_B(entry->key_id, 32), DB_I(have->state), DB_I(have->reason));
}

/* A second package of a key. A cancelled order, with the mark for its id, keeps its ICCID. */
static gboolean sealed_twice(Adopt *a, const LedgerEntry *have, const LedgerEntry *entry, GError **error)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id)), *what = g_strdup_printf("key %.16s", id);

	/* by a journal, and now by the package itself */
	if (!g_hash_table_add(a->told, ifpp_hex(IFPP_SPAN(entry->sha256))))
		return TRUE;
	tell_twice(a, have, entry, what);
	if (!has_iccid(entry))
		return TRUE;
	a->kept = TRUE;
	return orders_insert(a->ledger, a->mark, "", error) &&
	       DB_RUN(a->ledger->db,
		      "INSERT INTO order_iccid (order_id, iccid) VALUES ($1, $2) ON CONFLICT (order_id, iccid) DO NOTHING", NULL, NULL,
		      NULL, error, DB_B(a->mark, 8), DB_B(entry->iccid, 10));
}

/* Its package was delivered. */
static void sure_now(Adopt *a, const LedgerEntry *entry)
{
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(entry->sha256));
	const char *id = g_hash_table_lookup(a->unsure, hash);

	if (!id)
		return;
	say_out(NULL, (gpointer)id, a->journal);
	g_hash_table_remove(a->unsure, hash);
}

/* What is there may have been accepted without its ICCID, and the line that tells it found since: never the other way round. */
static gboolean same_package(Adopt *a, const LedgerEntry *have, LedgerEntry *entry, GError **error)
{
	gboolean now = !memcmp(have->run, a->mark, 8);

	if (a->delivered)
		sure_now(a, entry);
	if (!has_iccid(entry))
		return TRUE;
	if (!has_iccid(have) && (have->state == LEDGER_BOUND || have->state == LEDGER_INSTALLED)) {
		a->unknown -= now;
		/* its event says otherwise */
		a->sound &= now;
		return correct(a, have, entry, error);
	}
	return a->sound || correct(a, have, entry, error);
}

/* Although it was void; and not deleted since. */
static gboolean installed_late(Adopt *a, const LedgerEntry *have)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(have->key_id));

	return have->reason != LEDGER_VOID_DELETED && g_hash_table_contains(a->late, id) && !voided(a, have);
}

/* The ledger is older than the chip's proof. Another chip may have its ICCID by now. */
static gboolean hold_late(Adopt *a, const LedgerEntry *have, GError **error)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(have->key_id));
	gboolean held = !has_iccid(have);
	LedgerEntry holder;

	g_string_append_printf(a->late_text, "installed %s\n", id);
	return (held || ledger_holder(a->ledger, have->iccid, have->eid, FALSE, &holder, &held, error)) &&
	       DB_RUN(a->ledger->db, "UPDATE binding SET state = 2, reason = 1, hold = $2 WHERE key_id = $1", NULL, NULL, NULL, error,
		      DB_B(have->key_id, 32), DB_I(held ? LEDGER_FREE : LEDGER_HELD));
}

static gboolean unsure(const Adopt *a, const LedgerEntry *have)
{
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(have->sha256));

	return g_hash_table_contains(a->unsure, hash);
}

/* The package that was delivered, instead of one of a batch that was interrupted. */
static gboolean instead(Adopt *a, const LedgerEntry *have, LedgerEntry *entry, GError **error)
{
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(have->sha256));

	g_hash_table_remove(a->unsure, hash);
	a->adopted--;
	return DB_RUN(a->ledger->db, "DELETE FROM binding WHERE key_id = $1", NULL, NULL, NULL, error, DB_B(entry->key_id, 32)) &&
	       insert(a, entry, error);
}

static gboolean adopt_entry(const LedgerEntry *said, gpointer user, GError **error)
{
	LedgerEntry entry = *said, have;
	const char *line;
	gboolean found;
	Adopt *a = user;

	/* A line of a batch that was interrupted before it was bound; a package of it that is out was sealed twice. */
	if (journals_unbound(a->journals, &entry) || (!a->from_packages && journals_superseded(a->journals, &entry)))
		return TRUE;
	/* nor is its package a second one, which is still in the home */
	if (a->from_packages && !a->delivered && journals_begun(a->journals, &entry))
		return TRUE;
	if (!ledger_find(a->ledger, entry.key_id, &have, &found, error))
		return FALSE;
	if (found && have.state == LEDGER_VOID && installed_late(a, &have))
		return hold_late(a, &have, error);
	/* the ledger is older than the void: its ICCID may be another key's by now */
	line = found ? voided(a, &have) : NULL;
	if (line && (have.state == LEDGER_BOUND || (have.state == LEDGER_INSTALLED && void_reason(line) == LEDGER_VOID_DELETED)))
		return DB_RUN(a->ledger->db, "UPDATE binding SET state = 4, hold = 0, reason = $2, run = $3 WHERE key_id = $1", NULL,
			      NULL, NULL, error, DB_B(have.key_id, 32), DB_I(void_reason(line)), DB_B(a->void_mark, 8));
	if (found && have.state != LEDGER_RESERVED) {
		if (!memcmp(have.sha256, entry.sha256, 32))
			return same_package(a, &have, &entry, error);
		if (a->delivered && unsure(a, &have))
			return instead(a, &have, &entry, error);
		if (a->from_packages || !memcmp(have.run, a->mark, 8) || journals_out(a->journals, a->reading, &entry))
			return sealed_twice(a, &have, &entry, error);
		/* such a line again: the ledger's own counts */
		return TRUE;
	}
	return (!found || DB_RUN(a->ledger->db, "DELETE FROM binding WHERE key_id = $1", NULL, NULL, NULL, error,
				 DB_B(entry.key_id, 32))) &&
	       insert(a, &entry, error);
}

/* A package that was out, and is no more what its journal has of its key. */
static gboolean adopt_replaced(const LedgerEntry *entry, gpointer user, GError **error)
{
	Adopt *a = user;
	LedgerEntry have;
	gboolean found;

	if (!journals_replaced(a->journals, entry))
		return TRUE;
	return ledger_find(a->ledger, entry->key_id, &have, &found, error) &&
	       (!found || !memcmp(have.sha256, entry->sha256, 32) || sealed_twice(a, &have, entry, error));
}

static gboolean hold_again(const LedgerEntry *entry, gpointer user, GError **error)
{
	Adopt *a = user;
	gboolean held, by_journal = entry->state == LEDGER_VOID && voided(a, entry), said = TRUE;
	LedgerEntry holder;

	if ((entry->state == LEDGER_FAILED || entry->state == LEDGER_VOID) && !by_journal &&
	    !chain_frees(a->ledger, entry->key_id, &said, error))
		return FALSE;
	/* neither an event nor the journal says so: it is out */
	if (!said && !DB_RUN(a->ledger->db, "UPDATE binding SET state = 1, reason = 0 WHERE key_id = $1", NULL, NULL, NULL, error,
			     DB_B(entry->key_id, 32)))
		return FALSE;
	if (entry->hold != LEDGER_FREE || !has_iccid(entry) || by_journal)
		return TRUE;
	if (!ledger_holder(a->ledger, entry->iccid, entry->eid, FALSE, &holder, &held, error))
		return FALSE;
	return held || DB_RUN(a->ledger->db, "UPDATE binding SET hold = 1 WHERE key_id = $1", NULL, NULL, NULL, error,
			      DB_B(entry->key_id, 32));
}

static gboolean say_adopted(const LedgerEntry *entry, gpointer user, GError **error)
{
	Adopt *a = user;

	return memcmp(entry->run, a->mark, 8) || add_line(a, entry, error);
}

static gboolean say_again(const LedgerEntry *entry, gpointer user, GError **error)
{
	Adopt *a = user;

	return add_line(a, entry, error);
}

static gboolean take_seq(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

/* As the event said that voided it, which is before this beginning. */
static gboolean say_voided(Adopt *a, const LedgerEntry *entry, const char *id, GError **error)
{
	g_autofree char *line = NULL;
	ChainNote note;
	gint64 seq = 0;

	if (!DB_RUN(a->ledger->db, "SELECT event FROM freed WHERE key_id = $1", take_seq, &seq, NULL, error,
		    DB_B(entry->key_id, 32)))
		return FALSE;
	if (chain_read(a->ledger, seq, &note))
		line = chain_line(note.text, "voided", id);
	chain_note_clear(&note);
	/* or as the journal says, where no event does */
	if (line || voided(a, entry))
		g_string_append_printf(a->text, "%s\n", line ? line : voided(a, entry));
	return TRUE;
}

static gboolean say_result(const LedgerEntry *entry, gpointer user, GError **error)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id));
	Adopt *a = user;

	if (entry->state == LEDGER_FAILED)
		g_string_append_printf(a->text, "failed %s %u\n", id, entry->reason);
	else if (entry->state == LEDGER_INSTALLED)
		g_string_append_printf(a->text, "installed %s\n", id);
	else if (entry->state == LEDGER_VOID && !say_voided(a, entry, id, error))
		return FALSE;
	return a->text->len < EVENT_LINES * 80 ||
	       (chain_append(a->ledger, a->text->str, 0, error) && (g_string_truncate(a->text, 0), TRUE));
}

/* A new beginning of the chain, and after it all that there is. What was altered stays before it, to be looked at. */
static gboolean begin_anew(Adopt *a, GError **error)
{
	LedgerHead last;

	if (!ledger_foreach(a->ledger, NULL, hold_again, a, error) || !chain_head(a->ledger, &last, error) ||
	    !chain_append(a->ledger, CHAIN_ADOPTED, -last.bound, error) ||
	    !ledger_foreach(a->ledger, NULL, say_again, a, error) || !flush(a, error) ||
	    !ledger_foreach(a->ledger, NULL, say_result, a, error))
		return FALSE;
	if (a->text->len && !chain_append(a->ledger, a->text->str, 0, error))
		return FALSE;
	return told_adopt(a->ledger, &a->strays, error);
}

static gint64 count_missing(const Adopt *a)
{
	return MAX(0, a->token.bound - (a->total - g_hash_table_size(a->unsure)));
}

static gboolean judge(Adopt *a, GError **error)
{
	gint64 missing = count_missing(a);

	if (missing + a->unknown <= a->accept)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "of %" G_GINT64_FORMAT " keys that the token has seen %" G_GINT64_FORMAT " are missing, and of %"
		    G_GINT64_FORMAT " packages the ICCID is not known: bring back DIR/journal or give --packages, or with --accept %"
		    G_GINT64_FORMAT " take it on you that their ICCIDs are sealed again",
		    a->token.bound, missing, a->unknown, missing + a->unknown);
	return FALSE;
}

static gboolean void_line(const char *line, gpointer user, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	Adopt *a = user;

	if (g_strv_length(words) == 5 && g_str_equal(words[0], "voided"))
		g_hash_table_insert(a->voids, g_strdup(words[1]), g_strdup(line));
	else if (g_str_has_prefix(line, STORE_INSTALLED) && words[1])
		g_hash_table_add(a->late, g_strdup(words[1]));
	return TRUE;
}

static gboolean is_late(gpointer id, gpointer line, gpointer user)
{
	return void_reason(line) != LEDGER_VOID_DELETED && g_hash_table_contains(user, id);
}

static gboolean order_line(const char *line, gpointer user, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 3);
	GHashTable *orders = user;
	guint8 id[8];

	if (words[0] && words[1] && ifpp_unhex_into(words[1], id, sizeof(id))) {
		if (g_str_equal(words[0], "cancelled"))
			g_hash_table_insert(orders, g_strdup(words[1]), "cancelled");
		else if (g_str_equal(words[0], "resumed"))
			g_hash_table_insert(orders, g_strdup(words[1]), "resumed");
	}
	return TRUE;
}

/* By the last word of each journal; where one says so and another does not, nobody knows which was later: it is cancelled. */
static gboolean read_orders(Adopt *a, GHashTable *orders, GError **error)
{
	for (guint i = 0; a->dirs[i]; i++) {
		g_autoptr(GHashTable) these = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		const char *id, *word;
		GHashTableIter iter;

		if (!store_journal_lines(a->dirs[i], order_line, these, error))
			return FALSE;
		g_hash_table_iter_init(&iter, these);
		while (g_hash_table_iter_next(&iter, (gpointer *)&id, (gpointer *)&word))
			if (*word == 'c' || !g_hash_table_contains(orders, id))
				g_hash_table_insert(orders, g_strdup(id), (gpointer)word);
	}
	return TRUE;
}

/* Orders that the journal knows to be cancelled, or not any more. */
static gboolean adopt_orders(Adopt *a, GError **error)
{
	g_autoptr(GHashTable) orders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *kept = ifpp_hex(IFPP_SPAN(a->mark));
	g_autoptr(GString) text = g_string_new(NULL);
	const char *id, *word;
	GHashTableIter iter;

	if (!read_orders(a, orders, error))
		return FALSE;
	if (a->kept)
		g_hash_table_insert(orders, g_strdup(kept), "cancelled");
	g_hash_table_iter_init(&iter, orders);
	while (g_hash_table_iter_next(&iter, (gpointer *)&id, (gpointer *)&word)) {
		guint8 order[8];

		ifpp_unhex_into(id, order, sizeof(order));
		if (!orders_insert(a->ledger, order, "", error) ||
		    !orders_set_state(a->ledger, order, g_str_equal(word, "cancelled"), error))
			return FALSE;
		g_string_append_printf(text, "%s %s adopted\n", word, id);
	}
	return !text->len || chain_append(a->ledger, text->str, 0, error);
}

/* Who was void and is adopted so: as the journal says. */
static gboolean adopt_void(const LedgerEntry *entry, gpointer user, GError **error)
{
	Adopt *a = user;
	gboolean now = !memcmp(entry->run, a->mark, 8) || !memcmp(entry->run, a->void_mark, 8);
	const char *line = entry->state == LEDGER_VOID && now ? voided(a, entry) : NULL;
	g_autofree char *text = line ? g_strdup_printf("%s\n", line) : NULL;

	return !line || chain_append(a->ledger, text, 0, error);
}

static gboolean adopt_body(Db *db, gpointer user, GError **error)
{
	Adopt *a = user;
	g_autofree char *own = home_path(a->home, "packages"), *accepted = NULL;

	a->adopted = a->twice = a->unknown = a->lines = 0;
	a->kept = a->delivered = FALSE;
	g_hash_table_remove_all(a->told);
	g_hash_table_remove_all(a->unsure);
	g_string_truncate(a->text, 0);
	g_string_truncate(a->journal, 0);
	g_string_truncate(a->late_text, 0);
	/* no number of an event is used again that the token has seen */
	a->ledger->head.seq = MAX(a->ledger->head.seq, a->token.seq);
	a->from_packages = FALSE;
	for (a->reading = 0; a->dirs[a->reading]; a->reading++)
		if (!store_journal_foreach(a->dirs[a->reading], adopt_entry, a, error))
			return FALSE;
	for (a->reading = 0; a->dirs[a->reading]; a->reading++)
		if (!store_journal_foreach(a->dirs[a->reading], adopt_replaced, a, error))
			return FALSE;
	a->from_packages = TRUE;
	for (guint i = 0; a->dirs[i]; i++) {
		a->delivered = i > 0;
		if (!store_foreach(i ? a->dirs[i] : own, adopt_entry, a, error))
			return FALSE;
	}
	if (!(a->sound ? ledger_foreach(a->ledger, NULL, say_adopted, a, error) && flush(a, error) : begin_anew(a, error)))
		return FALSE;
	if (a->sound && a->late_text->len && !chain_append(a->ledger, a->late_text->str, 0, error))
		return FALSE;
	if (!adopt_orders(a, error) || (a->sound && !ledger_foreach(a->ledger, NULL, adopt_void, a, error)))
		return FALSE;
	a->total = a->ledger->head.bound;
	if (!judge(a, error))
		return FALSE;
	/* these are bound from now on */
	g_hash_table_foreach(a->unsure, say_out, a->journal);
	/* What was accepted is an event as well, and takes the head beyond what the token has seen. */
	accepted = g_strdup_printf("accepted %" G_GINT64_FORMAT "\n", count_missing(a) + a->unknown);
	return a->ledger->head.seq > a->token.seq || chain_append(a->ledger, accepted, 0, error);
}

/* A file that is no database any more: beside it a new one is made. */
static gboolean set_aside(const Home *home, GError **error)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	g_autofree char *path = home_ledger_path(home);

	if (!path)
		return TRUE;
	for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autofree char *from = g_strconcat(path, ends[i], NULL);
		g_autofree char *to = g_strdup_printf("%s.damaged-%" G_GINT64_FORMAT "%s", path,
						      g_get_real_time() / G_USEC_PER_SEC, ends[i]);

		if (rename(from, to) < 0 && errno != ENOENT)
			return ifpp_file_error(from, NULL, error);
	}
	return TRUE;
}

static Ledger *open_or_renew(const Home *home, gboolean *sound, GError **error)
{
	g_autoptr(Ledger) ledger = NULL;

	*sound = TRUE;
	if (ledger_is_damaged(home) && !set_aside(home, error))
		return NULL;
	ledger = ledger_open_unchecked(home, TRUE, error);
	if (!ledger || !ledger_look(ledger, error))
		return NULL;
	*sound = chain_check(ledger, TRUE, NULL);
	return g_steal_pointer(&ledger);
}

/* This home, and the directories that were named. */
static GPtrArray *list_dirs(const Home *home, char **packages)
{
	GPtrArray *dirs = g_ptr_array_new();

	g_ptr_array_add(dirs, home->dir);
	for (guint i = 0; packages && packages[i]; i++)
		g_ptr_array_add(dirs, packages[i]);
	g_ptr_array_add(dirs, NULL);
	return dirs;
}

/* Also a token, or a home, that was away while another one adopted. */
static gboolean all_agree(Ledger *ledger, const Home *home, gboolean *agree, GError **error)
{
	GError *local = NULL;

	*agree = anchor_check(ledger, home, NULL, &local);
	if (*agree || local->code == IFPP_ERROR_LEDGER) {
		g_clear_error(&local);
		return TRUE;
	}
	g_propagate_error(error, local);
	return FALSE;
}

gboolean adopt_ledger(const Home *home, char **packages, gint64 accept, GError **error)
{
	g_autoptr(GPtrArray) dirs = list_dirs(home, packages);
	const char *const *names = (const char *const *)dirs->pdata;
	g_autofree char *old = home_path(home, "ledger");
	g_autoptr(GString) text = g_string_new(NULL), journal = g_string_new(NULL);
	g_autoptr(GHashTable) voids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GHashTable) late = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) late_text = g_string_new(NULL);
	Adopt a = { .home = home, .dirs = names, .accept = accept, .text = text, .journal = journal };
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) unsure = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(Journals) journals = NULL;
	g_autoptr(Ledger) ledger = NULL;
	gboolean agree;

	if (g_file_test(old, G_FILE_TEST_EXISTS)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "%s: ifpp-smdpf ledger migrate takes it over first", old);
		return FALSE;
	}
	a.voids = voids;
	a.late = late;
	a.late_text = late_text;
	a.told = told;
	a.unsure = unsure;
	for (guint i = 0; names[i]; i++)
		if (!store_journal_lines(names[i], void_line, &a, error))
			return FALSE;
	/* what a chip has proven counts, whichever journal says so */
	g_hash_table_foreach_remove(voids, is_late, late);
	a.journals = journals = journals_read(names, error);
	if (!journals)
		return FALSE;
	if (!anchor_read(home, &a.token, error))
		return FALSE;
	gnutls_rnd(GNUTLS_RND_NONCE, a.mark, sizeof(a.mark));
	gnutls_rnd(GNUTLS_RND_NONCE, a.void_mark, sizeof(a.void_mark));
	ledger = a.ledger = open_or_renew(home, &a.sound, error);
	if (!ledger || !all_agree(ledger, home, &agree, error))
		return FALSE;
	if (a.sound && agree) {
		printf("%s: the ledger is sound, there is nothing to adopt\n", home->dir);
		return TRUE;
	}
	if (!ledger_transaction(ledger, adopt_body, &a, error) || !store_journal(home, journal->str, journal->len, error) ||
	    !anchor_write(home, &ledger->head, error))
		return FALSE;
	printf("%s: %" G_GINT64_FORMAT " keys bound, %" G_GINT64_FORMAT " of them adopted; the token has seen %" G_GINT64_FORMAT
	       "\n", home->dir, a.total, a.adopted, a.token.bound);
	if (a.strays)
		fprintf(stderr, "%u orders: no event says for whom they are; the next seal of each says it again\n", a.strays);
	if (!a.twice)
		return TRUE;
	return ifpp_fail(error, IFPP_ERROR_SECOND, "%s: %" G_GINT64_FORMAT " were sealed twice", home->dir, a.twice);
}
