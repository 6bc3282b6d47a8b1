// SPDX-License-Identifier: GPL-2.0-or-later
#include "order.h"

#include <stdio.h>
#include <string.h>

#include "anchor.h"
#include "chain.h"
#include "eid.h"
#include "error.h"
#include "json.h"
#include "options.h"
#include "orders.h"
#include "store.h"

static const char *const class_names[] = { "test", "provisioning", "operational" };
static const char *const state_names[] = { "sealing", "sealed", "installed", "failed", "void" };

typedef struct {
	Ledger *ledger;
	gboolean json;
} Show;

/* To the minute, in UTC as everything in the ledger. */
static char *time_text(gint64 ms)
{
	g_autoptr(GDateTime) time = ms ? g_date_time_new_from_unix_utc(ms / 1000) : NULL;

	return time ? g_date_time_format(time, "%Y-%m-%dT%H:%MZ") : g_strdup("-");
}

/* What is not for terminals is not shown to them. */
static char *printable(const char *text)
{
	char *out = g_utf8_make_valid(*text ? text : "-", -1);

	for (char *p = out; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return out;
}

static char *number(gint64 n)
{
	return n < 0 ? g_strdup("-") : g_strdup_printf("%" G_GINT64_FORMAT, n);
}

/* ------------------------------------------------------------ list */

/* "bound", "installed", "failed"...: what the last event did. */
static char *event_word(const ChainNote *note)
{
	return note->text ? g_strndup(note->text, strcspn(note->text, " \n")) : g_strdup("-");
}

static void list_json(const Order *order, const OrderCounts *c, const ChainNote *note)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(order->id)), *word = event_word(note);
	const struct {
		const char *name;
		gint64 n;
	} numbers[] = {
		{ "iccids", order->iccids > 0 ? order->iccids : -1 }, { "free", c->free }, { "sealing", c->reserved },
		{ "sealed", c->sealed }, { "installed", c->installed }, { "failed", c->failed },
		{ "void_proof", c->void_proof }, { "void_word", c->void_word },
	};
	JsonBuilder *b = ifpp_json_new("order");

	ifpp_json_string(b, "order", id);
	ifpp_json_string(b, "name", *order->name ? order->name : NULL);
	ifpp_json_string(b, "profile", *order->profile ? order->profile : NULL);
	ifpp_json_string(b, "class", order->class < 0 ? NULL : class_names[order->class]);
	ifpp_json_string(b, "state", order->cancelled ? "cancelled" : "open");
	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
		if (numbers[i].n < 0)
			ifpp_json_string(b, numbers[i].name, NULL);
		else
			ifpp_json_int(b, numbers[i].name, numbers[i].n);
	}
	ifpp_json_int(b, "since_ms", order->since);
	ifpp_json_int(b, "last_event", order->last);
	ifpp_json_string(b, "last", note->text ? word : NULL);
	ifpp_json_int(b, "last_ms", note->at);
	ifpp_json_string(b, "last_user", note->who);
	ifpp_json_string(b, "last_host", note->host);
	ifpp_json_print(b);
}

static void list_text(const Order *order, const OrderCounts *c, const ChainNote *note)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(order->id)), *word = event_word(note);
	g_autofree char *name = printable(order->name), *profile = printable(order->profile), *free_text = number(c->free);
	g_autofree char *iccids = number(order->iccids > 0 ? order->iccids : -1), *since = time_text(order->since);
	g_autofree char *last = time_text(note->at);

	printf("%-16s  %-9s  %-12s  %8s %8s %8" G_GINT64_FORMAT " %8" G_GINT64_FORMAT " %9" G_GINT64_FORMAT " %8" G_GINT64_FORMAT
	       " %8" G_GINT64_FORMAT " %8" G_GINT64_FORMAT "  %-17s  %-17s %-9s  %s, %s\n", id,
	       order->cancelled ? "cancelled" : "open", order->class < 0 ? "-" : class_names[order->class], iccids, free_text,
	       c->reserved, c->sealed, c->installed, c->failed, c->void_proof, c->void_word, since, last, word, name, profile);
}

static gboolean list_order(const Order *order, gpointer user, GError **error)
{
	Show *show = user;
	OrderCounts counts;
	ChainNote note;

	if (!orders_count(show->ledger, order, &counts, error))
		return FALSE;
	if (!order->last || !chain_read(show->ledger, order->last, &note))
		note = (ChainNote){};
	(show->json ? list_json : list_text)(order, &counts, &note);
	chain_note_clear(&note);
	return TRUE;
}

static void list_head(void)
{
	printf("%-16s  %-9s  %-12s  %8s %8s %8s %8s %9s %8s %8s %8s  %-17s  %-27s  %s\n", "ORDER", "STATE", "CLASS", "ICCIDS",
	       "FREE", "SEALING", "SEALED", "INSTALLED", "FAILED", "V.PROOF", "V.WORD", "SINCE", "LAST EVENT", "NAME, PROFILE");
}

static void order_free(gpointer p)
{
	orders_clear(p);
	g_free(p);
}

static gboolean take(const Order *order, gpointer user, GError **error)
{
	Order *copy = g_memdup2(order, sizeof(*order));

	copy->name = g_strdup(order->name);
	copy->profile = g_strdup(order->profile);
	g_ptr_array_add(user, copy);
	return TRUE;
}

gboolean order_list(const Home *home, gboolean json, GError **error)
{
	g_autoptr(GPtrArray) orders = g_ptr_array_new_with_free_func(order_free);
	g_autoptr(Ledger) ledger = ledger_open(home, error);
	Show show = { .ledger = ledger, .json = json };

	/* first all of them: nothing is asked of a database, or printed, while it gives its rows */
	if (!ledger || !orders_foreach(ledger, take, orders, error))
		return FALSE;
	if (!json)
		list_head();
	for (guint i = 0; i < orders->len; i++)
		if (!list_order(orders->pdata[i], &show, error))
			return FALSE;
	return TRUE;
}

/* ------------------------------------------------------------ show */

static void show_line(Show *show, const LedgerEntry *entry, const char *state, const char *detail)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(entry->key_id));
	gboolean bound = strcmp(state, "free") != 0;
	char eid[33], iccid[21];

	ifpp_eid_format(entry->eid, eid);
	ifpp_iccid_format(entry->iccid, iccid);
	if (show->json) {
		JsonBuilder *b = ifpp_json_new("iccid");

		ifpp_json_string(b, "iccid", iccid);
		ifpp_json_string(b, "state", state);
		ifpp_json_string(b, "eid", bound ? eid : NULL);
		ifpp_json_string(b, "key_id", bound ? key : NULL);
		ifpp_json_string(b, "profile", bound && *entry->profile ? entry->profile : NULL);
		ifpp_json_string(b, "detail", detail);
		ifpp_json_print(b);
		return;
	}
	printf("%-20s  %-10s  %-32s  %-16.16s  %s\n", iccid, state, bound ? eid : "-", bound ? key : "-", detail ? detail : "");
}

static gboolean take_seq(const DbValue *row, guint n, gpointer user, GError **error)
{
	*(gint64 *)user = row[0].num;
	return TRUE;
}

/* Who voided it, when and why, as the event says. */
static char *void_detail(Ledger *ledger, const LedgerEntry *entry)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(entry->key_id)), *line = NULL, *when = NULL, *name = NULL, *reason = NULL;
	g_auto(GStrv) words = NULL;
	ChainNote note = {};
	gint64 seq = 0;
	char *out = NULL;

	if (DB_RUN(ledger->db, "SELECT event FROM freed WHERE key_id = $1", take_seq, &seq, NULL, NULL, DB_B(entry->key_id, 32)) &&
	    chain_read(ledger, seq, &note))
		line = chain_line(note.text, "voided", id);
	words = line ? g_strsplit(line, " ", -1) : NULL;
	if (words && g_strv_length(words) == 5) {
		name = g_uri_unescape_string(words[3], NULL);
		reason = g_uri_unescape_string(words[4], NULL);
		when = time_text(note.at);
		out = g_strdup_printf("by %s %s, %s by %s at %s: %s", ledger_void_reason(words[2]) ? "proof" : "the word of",
				      name ? name : "-", when, note.who, note.host, reason ? reason : "-");
	}
	chain_note_clear(&note);
	return out;
}

static const char *const void_names[] = {
	[LEDGER_VOID_WORD] = "void-word", [LEDGER_VOID_PROOF] = "void-proof", [LEDGER_VOID_DELETED] = "void-deleted",
};

static gboolean show_entry(const LedgerEntry *entry, gpointer user, GError **error)
{
	g_autofree char *detail = NULL;
	Show *show = user;
	const char *state = state_names[entry->state];

	if (entry->state == LEDGER_VOID) {
		state = void_names[entry->reason % G_N_ELEMENTS(void_names)];
		detail = void_detail(show->ledger, entry);
	} else if (entry->state == LEDGER_FAILED) {
		detail = g_strdup_printf("reason %u", entry->reason);
	} else if (entry->state == LEDGER_INSTALLED && entry->reason) {
		detail = g_strdup("although it was void");
	}
	show_line(show, entry, state, detail);
	return TRUE;
}

static gboolean show_free(const guint8 iccid[10], gpointer user, GError **error)
{
	LedgerEntry entry = { .profile = "" };

	memcpy(entry.iccid, iccid, sizeof(entry.iccid));
	show_line(user, &entry, "free", NULL);
	return TRUE;
}

gboolean order_show(const Home *home, const char *text, gboolean json, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open(home, error);
	Show show = { .ledger = ledger, .json = json };
	gboolean ok;
	Order order;

	if (!ledger || !orders_find(ledger, text, &order, error))
		return FALSE;
	if (!json)
		list_head();
	ok = list_order(&order, &show, error);
	if (ok && !json)
		printf("\n%-20s  %-10s  %-32s  %-16s\n", "ICCID", "STATE", "EID", "KEY ID");
	ok = ok && ledger_foreach(ledger, order.id, show_entry, &show, error) &&
	     orders_free_iccids(ledger, order.id, show_free, &show, error);
	orders_clear(&order);
	return ok;
}

/* ------------------------------------------------------------ cancel, resume */

gboolean order_confirm(const char *what, gboolean yes, GError **error)
{
	if (yes)
		return TRUE;
	if (!ifpp_can_ask()) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s Nobody can be asked here: nothing was done. Run it on a "
			    "terminal, or add --yes if it is meant", what);
		return FALSE;
	}
	if (ifpp_ask(what))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "nothing was done");
	return FALSE;
}

static char *cancel_question(const Order *order, const OrderCounts *c, const char *text)
{
	g_autofree char *free_text = c->free < 0 ? g_strdup("its") : g_strdup_printf("%" G_GINT64_FORMAT, c->free);

	return g_strdup_printf("Order %s is sealed no more, and %s free ICCIDs stay out of use until it is resumed; %" G_GINT64_FORMAT
			       " packages that are sealed stay as they are.", text, free_text, c->sealed);
}

static gboolean cancel(Ledger *ledger, const Order *order, const char *text, gboolean to, const char *reason, gboolean yes,
		       GError **error)
{
	g_autofree char *id = ifpp_hex(IFPP_SPAN(order->id)), *escaped = g_uri_escape_string(reason, NULL, FALSE);
	g_autofree char *line = g_strdup_printf("%s %s %s\n", to ? "cancelled" : "resumed", id, escaped), *question = NULL;
	gboolean changed = FALSE;
	OrderCounts counts;

	if (!orders_count(ledger, order, &counts, error))
		return FALSE;
	question = cancel_question(order, &counts, text);
	if (to && !order->cancelled && !order_confirm(question, yes, error))
		return FALSE;
	/* The journal first, as with keys: it tells when the ledger is lost. */
	if (order->cancelled != to && !store_journal(ledger->home, line, strlen(line), error))
		return FALSE;
	if (!orders_cancel(ledger, order->id, to, reason, &changed, error))
		return FALSE;
	printf("order %s: %s%s\n", text, to ? "cancelled" : "open", changed ? "" : ", as before");
	if (to && order->iccids == ORDER_UNKNOWN)
		fprintf(stderr, "ifpp-smdpf: which ICCIDs it had is not known, since an earlier version sealed it. Seal it once more: "
			"that is refused, and the ICCIDs are kept from others from then on.\n");
	return TRUE;
}

gboolean order_cancel(const Home *home, const char *text, gboolean to, const char *reason, gboolean yes, GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open(home, error);
	Order order;
	gboolean ok;

	if (!ledger || !orders_find(ledger, text, &order, error))
		return FALSE;
	ok = anchor_check(ledger, home, NULL, error) && cancel(ledger, &order, text, to, reason, yes, error) &&
	     anchor_catch_up(ledger, home, error);
	orders_clear(&order);
	return ok;
}
