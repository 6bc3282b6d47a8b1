// SPDX-License-Identifier: GPL-2.0-or-later
#include "chain.h"

#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "error.h"

#define PAGE 64			/* events read at once */
#define LOOK_EVENTS 256		/* at most so many are looked at by every command, */
#define LOOK_BYTES (128 * 1024)	/* and with about so much text */

const char *const chain_schema =
	"CREATE TABLE IF NOT EXISTS event (seq BIGINT PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL, "
	"host TEXT NOT NULL, bound BIGINT NOT NULL, text TEXT NOT NULL, hash BYTEA NOT NULL)";

const char *const chain_operators =
	"CREATE TABLE IF NOT EXISTS order_operator (order_id BYTEA PRIMARY KEY, name TEXT NOT NULL)";

#define COLUMNS "seq, at, who, host, bound, text, hash"
enum { SEQ, AT, WHO, HOST, BOUND, TEXT, HASH };

static const char *const holds[] = { "free", "one", "test" };

/* ------------------------------------------------------------ lines */

void chain_bound_line(GString *text, const LedgerEntry *entry)
{
	static const guint8 unknown[10];
	g_autofree char *key_id = ifpp_hex(IFPP_SPAN(entry->key_id)), *eid = ifpp_hex(IFPP_SPAN(entry->eid));
	g_autofree char *iccid = ifpp_hex(IFPP_SPAN(entry->iccid)), *order = ifpp_hex(IFPP_SPAN(entry->order));
	g_autofree char *transaction = ifpp_hex(IFPP_SPAN(entry->transaction));
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(entry->sha256));
	g_autofree char *name = g_uri_escape_string(entry->profile, NULL, FALSE);

	g_string_append_printf(text, "bound %s %s %s %s %s %s %s %s\n", key_id, eid,
			       memcmp(entry->iccid, unknown, 10) ? iccid : "-", order, transaction, holds[entry->hold], hash,
			       name);
}

gboolean chain_parse_bound(const char *line, LedgerEntry *entry)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	g_autofree char *name = NULL;

	*entry = (LedgerEntry){ .state = LEDGER_BOUND };
	if (g_strv_length(words) != 9 || strcmp(words[0], "bound") || !ifpp_unhex_into(words[1], entry->key_id, 32) ||
	    !ifpp_unhex_into(words[2], entry->eid, 16) ||
	    (strcmp(words[3], "-") && !ifpp_unhex_into(words[3], entry->iccid, 10)) ||
	    !ifpp_unhex_into(words[4], entry->order, 8) || !ifpp_unhex_into(words[5], entry->transaction, 16) ||
	    !ifpp_unhex_into(words[7], entry->sha256, 32))
		return FALSE;
	while (entry->hold < G_N_ELEMENTS(holds) && strcmp(words[6], holds[entry->hold]))
		entry->hold++;
	name = g_uri_unescape_string(words[8], NULL);
	if (entry->hold == G_N_ELEMENTS(holds) || !name || !g_utf8_validate(name, -1, NULL))
		return FALSE;
	entry->profile = g_steal_pointer(&name);
	return TRUE;
}

/* ------------------------------------------------------------ events */

typedef struct {
	LedgerHead head;	/* seq, bound, and the hash that it says */
	gint64 at;
	char *who, *host, *text;
} Event;

static void event_clear(Event *event)
{
	g_free(event->who);
	g_free(event->host);
	g_free(event->text);
}

static void hash_event(const guint8 before[32], const Event *event, guint8 hash[32])
{
	g_autofree char *front = g_strdup_printf("%" G_GINT64_FORMAT "\n%" G_GINT64_FORMAT "\n%s\n%s\n%" G_GINT64_FORMAT "\n",
						 event->head.seq, event->at, event->who, event->host, event->head.bound);
	gnutls_hash_hd_t sum;

	if (gnutls_hash_init(&sum, GNUTLS_DIG_SHA256) < 0)
		g_error("no SHA-256");
	gnutls_hash(sum, before, 32);
	gnutls_hash(sum, front, strlen(front));
	gnutls_hash(sum, event->text, strlen(event->text));
	gnutls_hash_deinit(sum, hash);
}

static gboolean take_head(const DbValue *row, guint n, gpointer user, GError **error)
{
	LedgerHead *head = user;

	head->seq = row[0].num;
	head->bound = row[1].num;
	if (db_get_blob(&row[2], head->hash, 32))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: event %" G_GINT64_FORMAT " is damaged", head->seq);
	return FALSE;
}

gboolean chain_head(Ledger *ledger, LedgerHead *head, GError **error)
{
	*head = (LedgerHead){};
	return DB_RUN(ledger->db, "SELECT seq, bound, hash FROM event ORDER BY seq DESC LIMIT 1", take_head, head, NULL,
		      error);
}

/* What it says that sets an ICCID free is to be found when that is given again. */
static gboolean note_freed(Db *db, gint64 seq, const char *text, GError **error)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		g_autofree char *id = NULL;
		guint8 key_id[32];

		if (!g_str_has_prefix(line, "failed ") && !g_str_has_prefix(line, "voided "))
			continue;
		id = g_strndup(line + strlen("failed "), 64);
		if (ifpp_unhex_into(id, key_id, sizeof(key_id)) &&
		    !DB_RUN(db, "INSERT INTO freed (key_id, event) VALUES ($1, $2) ON CONFLICT (key_id) DO UPDATE SET event = $2",
			    NULL, NULL, NULL, error, DB_B(key_id, 32), DB_I(seq)))
			return FALSE;
	}
	return TRUE;
}

gboolean chain_append(Ledger *ledger, const char *text, gint64 bound, GError **error)
{
	Event event = { .text = (char *)text, .who = (char *)g_get_user_name(), .host = (char *)g_get_host_name() };
	LedgerHead last;

	if (!chain_head(ledger, &last, error) || !ledger->db->ops->now(ledger->db, &event.at, error))
		return FALSE;
	/* adopted: no event of a lost ledger may be taken for one of this */
	event.head.seq = MAX(last.seq, ledger->head.seq) + 1;
	event.head.bound = last.bound + bound;
	hash_event(last.hash, &event, event.head.hash);
	if (!DB_RUN(ledger->db, "INSERT INTO event (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7)", NULL, NULL, NULL, error,
		    DB_I(event.head.seq), DB_I(event.at), db_text(event.who), db_text(event.host),
		    DB_I(event.head.bound), db_text(text), DB_B(event.head.hash, 32)) ||
	    !note_freed(ledger->db, event.head.seq, text, error))
		return FALSE;
	ledger->head = event.head;
	return TRUE;
}

gboolean chain_knows(Ledger *ledger, const LedgerHead *head, gboolean *known, GError **error)
{
	LedgerHead have = {};
	GError *local = NULL;

	if (!DB_RUN(ledger->db, "SELECT seq, bound, hash FROM event WHERE seq = $1", take_head, &have, NULL, &local,
		    DB_I(head->seq)))
		return ledger_error(ledger->home, local, error);
	*known = have.seq == head->seq && have.bound == head->bound && !memcmp(have.hash, head->hash, 32);
	return TRUE;
}

static gboolean take_flag(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gboolean *)user = TRUE;
	return TRUE;
}

gboolean chain_names(Ledger *ledger, const guint8 key_id[32], gboolean *named, GError **error)
{
	g_autofree char *id = ifpp_hex((IfppSpan){ key_id, 32 });
	g_autofree char *like = g_strdup_printf("%%bound %s %%", id);

	*named = FALSE;
	return DB_RUN(ledger->db, "SELECT 1 FROM event WHERE text LIKE $1 LIMIT 1", take_flag, named, NULL, error,
		      db_text(like));
}

static gboolean take_note(const DbValue *row, guint n, gpointer user, GError **error)
{
	ChainNote *note = user;

	note->at = row[0].num;
	note->who = g_strdup(db_get_text(&row[1]));
	note->host = g_strdup(db_get_text(&row[2]));
	note->text = g_strdup(db_get_text(&row[3]));
	return TRUE;
}

gboolean chain_read(Ledger *ledger, gint64 seq, ChainNote *note)
{
	*note = (ChainNote){};
	return DB_RUN(ledger->db, "SELECT at, who, host, text FROM event WHERE seq = $1", take_note, note, NULL, NULL, DB_I(seq)) &&
	       note->text;
}

void chain_note_clear(ChainNote *note)
{
	g_free(note->who);
	g_free(note->host);
	g_free(note->text);
	*note = (ChainNote){};
}

char *chain_line(const char *text, const char *word, const char *of)
{
	g_autofree char *start = g_strdup_printf("%s %s ", word, of);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = 0; lines[i]; i++)
		if (g_str_has_prefix(lines[i], start))
			return g_strdup(lines[i]);
	return NULL;
}

/* ------------------------------------------------------------ check */

static void event_free(gpointer p)
{
	event_clear(p);
	g_free(p);
}

static gboolean take_event(const DbValue *row, guint n, gpointer user, GError **error)
{
	GPtrArray *events = user;
	Event *event = g_new0(Event, 1);

	g_ptr_array_add(events, event);
	event->head.seq = row[SEQ].num;
	event->head.bound = row[BOUND].num;
	event->at = row[AT].num;
	event->who = g_strdup(db_get_text(&row[WHO]));
	event->host = g_strdup(db_get_text(&row[HOST]));
	event->text = g_strdup(db_get_text(&row[TEXT]));
	if (db_get_blob(&row[HASH], event->head.hash, 32))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: event %" G_GINT64_FORMAT " is damaged", event->head.seq);
	return FALSE;
}

gboolean chain_frees(Ledger *ledger, const guint8 key_id[32], gboolean *frees, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(event_free);
	g_autofree char *id = ifpp_hex((IfppSpan){ key_id, 32 }), *failed = NULL, *voided = NULL;
	LedgerHead before = {};
	const Event *event;
	guint8 hash[32];

	*frees = FALSE;
	if (!DB_RUN(ledger->db, "SELECT " COLUMNS " FROM event WHERE seq = (SELECT event FROM freed WHERE key_id = $1)",
		    take_event, events, NULL, error, DB_B(key_id, 32)))
		return FALSE;
	if (!events->len)
		return TRUE;
	event = events->pdata[0];
	if (!DB_RUN(ledger->db, "SELECT seq, bound, hash FROM event WHERE seq < $1 ORDER BY seq DESC LIMIT 1", take_head, &before,
		    NULL, error, DB_I(event->head.seq)))
		return FALSE;
	hash_event(before.hash, event, hash);
	failed = chain_line(event->text, "failed", id);
	voided = chain_line(event->text, "voided", id);
	*frees = (failed || voided) && !memcmp(hash, event->head.hash, sizeof(hash));
	return TRUE;
}

gboolean chain_find_freed(Db *db, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(event_free);
	gint64 last = 0;

	do {
		g_ptr_array_set_size(events, 0);
		if (!DB_RUN(db, "SELECT " COLUMNS " FROM event WHERE seq > $1 AND (text LIKE '%failed %' OR text LIKE '%voided %') "
			    "ORDER BY seq LIMIT $2", take_event, events, NULL, error, DB_I(last), DB_I(PAGE)))
			return FALSE;
		for (guint i = 0; i < events->len; i++) {
			const Event *event = events->pdata[i];

			last = event->head.seq;
			if (!note_freed(db, last, event->text, error))
				return FALSE;
		}
	} while (events->len == PAGE);
	return TRUE;
}

/* What the events said, by ids in hexadecimal. */
typedef struct {
	GHashTable *states;	/* of orders: the last of "cancelled" and "resumed" */
	GHashTable *operators;	/* orders whose operator was named */
	GHashTable *freed;	/* keys that failed or were void */
	GHashTable *free;	/* keys that hold their ICCID no more, by their entries */
	gint64 installed;	/* keys that were proven, each once, and are still so */
} Heard;

static gboolean differs(const Event *event, const char *line, GError **error)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "ledger: event %" G_GINT64_FORMAT " says '%.32s...', and the entry of that key does not", event->head.seq,
		    line);
	return FALSE;
}

static gboolean check_bound(Ledger *ledger, const Event *event, const char *line, Heard *heard, GError **error)
{
	LedgerEntry said, have;
	gboolean found, same;

	if (!chain_parse_bound(line, &said))
		return differs(event, line, error);
	g_free((char *)said.profile);
	if (!ledger_find(ledger, said.key_id, &have, &found, error))
		return FALSE;
	same = found && have.state != LEDGER_RESERVED && !memcmp(have.eid, said.eid, 16) &&
	       !memcmp(have.iccid, said.iccid, 10) && !memcmp(have.order, said.order, 8) &&
	       !memcmp(have.transaction, said.transaction, 16) && !memcmp(have.sha256, said.sha256, 32) &&
	       (have.hold == said.hold || have.state == LEDGER_FAILED || have.state == LEDGER_VOID ||
		(have.state == LEDGER_INSTALLED && have.reason));
	if (same && (have.hold != said.hold || have.state == LEDGER_FAILED || have.state == LEDGER_VOID))
		g_hash_table_add(heard->free, ifpp_hex(IFPP_SPAN(said.key_id)));
	return same || differs(event, line, error);
}

static gboolean check_result(Ledger *ledger, const Event *event, const char *line, Heard *heard, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	gboolean failed = g_str_equal(words[0], "failed");
	LedgerEntry have;
	guint8 key_id[32];
	gboolean found;

	if (!words[1] || !ifpp_unhex_into(words[1], key_id, 32) || (failed && !words[2]))
		return differs(event, line, error);
	if (!ledger_find(ledger, key_id, &have, &found, error))
		return FALSE;
	heard->installed += !failed && found && have.state == LEDGER_INSTALLED;
	/* what was installed may be deleted since */
	return (found && (failed ? have.state == LEDGER_FAILED && have.reason == (guint)atoi(words[2]) :
			  have.state == LEDGER_INSTALLED ||
			  (have.state == LEDGER_VOID && have.reason == LEDGER_VOID_DELETED))) ||
	       differs(event, line, error);
}

static gboolean take_count(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

/* What was void may be proven since, this way or that. */
static gboolean check_voided(Ledger *ledger, const Event *event, const char *line, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	LedgerEntry have;
	guint8 key_id[32];
	gboolean found;

	if (g_strv_length(words) != 5 || !ifpp_unhex_into(words[1], key_id, 32))
		return differs(event, line, error);
	if (!ledger_find(ledger, key_id, &have, &found, error))
		return FALSE;
	return (found && (have.state == LEDGER_FAILED || (have.state == LEDGER_INSTALLED && have.reason) ||
			  (have.state == LEDGER_VOID && (have.reason == LEDGER_VOID_DELETED ||
							 have.reason == ledger_void_reason(words[2]))))) ||
	       differs(event, line, error);
}

static gboolean take_name(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(char **)user = g_strdup(db_get_text(&row[0]));
	return TRUE;
}

/* Neither the name of an order nor its operator ever changes. */
static gboolean check_name(Ledger *ledger, const Event *event, const char *line, Heard *heard, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 3);
	gboolean operator = g_str_equal(words[0], "operator");
	const char *query = operator ? "SELECT name FROM order_operator WHERE order_id = $1" : "SELECT name FROM orders WHERE id = $1";
	g_autofree char *said = g_strv_length(words) == 3 ? g_uri_unescape_string(words[2], NULL) : NULL, *have = NULL;
	guint8 order[8];

	if (!said || !ifpp_unhex_into(words[1], order, sizeof(order)))
		return differs(event, line, error);
	if (operator)
		g_hash_table_add(heard->operators, g_strdup(words[1]));
	if (!DB_RUN(ledger->db, query, take_name, &have, NULL, error, DB_B(order, 8)))
		return FALSE;
	if (!g_strcmp0(said, have))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "ledger: event %" G_GINT64_FORMAT " gives the %s of order %s, and its entry does not say so", event->head.seq,
		    operator ? "operator" : "name", words[1]);
	return FALSE;
}

static gboolean check_told(const DbValue *row, guint n, gpointer user, GError **error)
{
	Heard *heard = user;
	g_autofree char *id = NULL;
	guint8 order[8] = {};

	db_get_blob(&row[0], order, sizeof(order));
	id = ifpp_hex(IFPP_SPAN(order));
	if (g_hash_table_contains(heard->operators, id))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: no event gives the operator of order %s, and its entry does", id);
	return FALSE;
}

/* An ICCID is free by what an event says, not by what an entry says. */
static gboolean check_freed(Ledger *ledger, gboolean all, const Heard *heard, GError **error)
{
	GHashTableIter iter;
	const char *id;

	g_hash_table_iter_init(&iter, heard->free);
	while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL)) {
		gboolean free = g_hash_table_contains(heard->freed, id);
		guint8 key_id[32];

		/* and it must be found when it is given again */
		if (free && all && (!ifpp_unhex_into(id, key_id, 32) || !chain_frees(ledger, key_id, &free, error)))
			return FALSE;
		if (free)
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
			    "ledger: no event sets the ICCID of key %.16s free, and its entry does", id);
		return FALSE;
	}
	return TRUE;
}

/* The last word on each order, "cancelled" or "resumed", is what its entry must say. */
static gboolean check_orders(Ledger *ledger, GHashTable *orders, GError **error)
{
	GHashTableIter iter;
	const char *id, *word;

	g_hash_table_iter_init(&iter, orders);
	while (g_hash_table_iter_next(&iter, (gpointer *)&id, (gpointer *)&word)) {
		gint64 state = -1;
		guint8 order[8];

		if (!ifpp_unhex_into(id, order, sizeof(order)) ||
		    !DB_RUN(ledger->db, "SELECT state FROM orders WHERE id = $1", take_count, &state, NULL, error,
			    DB_B(order, 8)))
			return FALSE;
		if (state == (*word == 'c'))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "ledger: order %s was %s last, and its entry does not say so", id,
			    word);
		return FALSE;
	}
	return TRUE;
}

static gboolean check_lines(Ledger *ledger, const Event *event, Heard *heard, gint64 *bound, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(event->text, "\n", -1);

	*bound = 0;
	for (guint i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], "bound ")) {
			if (!check_bound(ledger, event, lines[i], heard, error))
				return FALSE;
			(*bound)++;
		} else if (g_str_has_prefix(lines[i], "installed ") || g_str_has_prefix(lines[i], "failed ")) {
			if (!check_result(ledger, event, lines[i], heard, error))
				return FALSE;
			if (*lines[i] == 'f')
				g_hash_table_add(heard->freed, g_strndup(lines[i] + strlen("failed "), 64));
		} else if (g_str_has_prefix(lines[i], "voided ")) {
			if (!check_voided(ledger, event, lines[i], error))
				return FALSE;
			g_hash_table_add(heard->freed, g_strndup(lines[i] + strlen("voided "), 64));
		} else if (g_str_has_prefix(lines[i], "cancelled ") || g_str_has_prefix(lines[i], "resumed ")) {
			g_auto(GStrv) words = g_strsplit(lines[i], " ", 3);

			g_hash_table_insert(heard->states, g_strdup(words[1]), *lines[i] == 'c' ? "cancelled" : "resumed");
		} else if (g_str_has_prefix(lines[i], "order ") || g_str_has_prefix(lines[i], "operator ")) {
			if (!check_name(ledger, event, lines[i], heard, error))
				return FALSE;
		}
	}
	return TRUE;
}

typedef struct {
	LedgerHead before;	/* the event before the first to be checked */
	gsize want;		/* bytes of text still to be had */
	guint n;
	gboolean done;
} Start;

static gboolean take_start(const DbValue *row, guint n, gpointer user, GError **error)
{
	Start *start = user;

	if (start->done)
		return TRUE;
	if (!take_head(row, n, &start->before, error))
		return FALSE;
	start->n++;
	start->done = start->want == 0;
	start->want -= MIN(start->want, (gsize)row[3].num);
	return TRUE;
}

/* Where a check begins: after an adoption, and for a look not before the last few events. */
static gboolean find_start(Ledger *ledger, gboolean all, LedgerHead *before, GError **error)
{
	Start start = { .want = LOOK_BYTES };
	gint64 adopted = 0, first = 0;

	*before = (LedgerHead){};
	if (!all) {
		if (!DB_RUN(ledger->db, "SELECT seq, bound, hash, LENGTH(text) FROM event ORDER BY seq DESC LIMIT $1", take_start,
			    &start, NULL, error, DB_I(LOOK_EVENTS + 1)))
			return FALSE;
		first = start.done || start.n > LOOK_EVENTS ? start.before.seq : 0;
	}
	if (!DB_RUN(ledger->db, "SELECT seq FROM event WHERE seq > $1 AND text = $2 ORDER BY seq DESC LIMIT 1", take_count,
		    &adopted, NULL, error, DB_I(first), db_text(CHAIN_ADOPTED)))
		return FALSE;
	return DB_RUN(ledger->db, "SELECT seq, bound, hash FROM event WHERE seq <= $1 ORDER BY seq DESC LIMIT 1", take_head,
		      before, NULL, error, DB_I(adopted ? adopted - 1 : first));
}

static gboolean check_events(Ledger *ledger, gboolean all, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(event_free);
	g_autoptr(GHashTable) states = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) operators = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) freed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) free = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Heard heard = { states, operators, freed, free, 0 };
	LedgerHead before;
	gint64 count = 0, installed = 0;

	/* a ledger may be older than this table */
	if ((all && !DB_RUN(ledger->db, chain_operators, NULL, NULL, NULL, error)) || !find_start(ledger, all, &before, error))
		return FALSE;
	do {
		g_ptr_array_set_size(events, 0);
		if (!DB_RUN(ledger->db, "SELECT " COLUMNS " FROM event WHERE seq > $1 ORDER BY seq LIMIT $2", take_event, events,
			    NULL, error, DB_I(before.seq), DB_I(PAGE)))
			return FALSE;
		for (guint i = 0; i < events->len; i++) {
			const Event *event = events->pdata[i];
			guint8 hash[32];
			gint64 bound;

			hash_event(before.hash, event, hash);
			if (memcmp(hash, event->head.hash, 32)) {
				g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
					    "ledger: event %" G_GINT64_FORMAT " was altered, or one before it is missing",
					    event->head.seq);
				return FALSE;
			}
			if (!check_lines(ledger, event, &heard, &bound, error))
				return FALSE;
			if (event->head.bound != (g_str_equal(event->text, CHAIN_ADOPTED) ? 0 : before.bound + bound)) {
				g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
					    "ledger: event %" G_GINT64_FORMAT " counts wrong", event->head.seq);
				return FALSE;
			}
			before = event->head;
		}
	} while (events->len == PAGE);
	if (!check_freed(ledger, all, &heard, error) || !check_orders(ledger, states, error))
		return FALSE;
	if (!all)
		return TRUE;
	if (!DB_RUN(ledger->db, "SELECT order_id FROM order_operator", check_told, &heard, NULL, error))
		return FALSE;
	if (!DB_RUN(ledger->db, "SELECT COUNT(*) FROM binding WHERE state > 0", take_count, &count, NULL, error) ||
	    !DB_RUN(ledger->db, "SELECT COUNT(*) FROM binding WHERE state = 2", take_count, &installed, NULL, error))
		return FALSE;
	if (count == before.bound && installed == heard.installed)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER,
		    "ledger: has %" G_GINT64_FORMAT " bound keys and %" G_GINT64_FORMAT " installed ones, its events tell of %"
		    G_GINT64_FORMAT " and %" G_GINT64_FORMAT, count, installed, before.bound, heard.installed);
	return FALSE;
}

gboolean chain_check(Ledger *ledger, gboolean all, GError **error)
{
	GError *local = NULL;

	return check_events(ledger, all, &local) || ledger_error(ledger->home, local, error);
}
