// SPDX-License-Identifier: GPL-2.0-or-later
#include "journals.h"

#include <string.h>

#include "chain.h"
#include "error.h"
#include "store.h"

/* What a journal says last of a key. */
typedef struct {
	guint8 key_id[32];
	guint journal;
	guint8 sha256[32];
	gboolean out, old;	/* old: from before it was said what is out */
} Last;

/* A package of whose key the same journal has another later: what is known of it. Where journals differ, the last of these. */
typedef enum { KEPT, SUPERSEDED, BEGUN, REPLACED } Fate;

struct Journals {
	GHashTable *last;	/* Last, by key and journal */
	GHashTable *fates;	/* SHA-256 of a package, in hexadecimal -> Fate */
	GHashTable *unbound;	/* such SHA-256 */
	guint journal;		/* that is being read, */
	gboolean says_out;	/* and whether it has said of any that it is out */
};

static guint hash_last(gconstpointer p)
{
	const Last *last = p;
	guint hash;

	memcpy(&hash, last->key_id, sizeof(hash));
	return hash + last->journal;
}

static gboolean equal_last(gconstpointer a, gconstpointer b)
{
	const Last *x = a, *y = b;

	return x->journal == y->journal && !memcmp(x->key_id, y->key_id, sizeof(x->key_id));
}

static Last *find(const Journals *j, const guint8 key_id[32], guint journal)
{
	Last wanted = { .journal = journal };

	memcpy(wanted.key_id, key_id, sizeof(wanted.key_id));
	return g_hash_table_lookup(j->last, &wanted);
}

static Fate fate_of(const Journals *j, const guint8 sha256[32])
{
	g_autofree char *hash = ifpp_hex((IfppSpan){ sha256, 32 });

	return GPOINTER_TO_UINT(g_hash_table_lookup(j->fates, hash));
}

/* Another package of its key; it may be one that was there before. */
static void supersede(Journals *j, Last *last, const LedgerEntry *entry)
{
	g_autofree char *now = ifpp_hex(IFPP_SPAN(entry->sha256));
	Fate fate = last->out ? REPLACED : last->old ? SUPERSEDED : BEGUN;

	fate = MAX(fate, fate_of(j, last->sha256));
	g_hash_table_insert(j->fates, ifpp_hex(IFPP_SPAN(last->sha256)), GUINT_TO_POINTER(fate));
	g_hash_table_remove(j->fates, now);
	last->out = FALSE;
	last->old = !j->says_out;
}

static gboolean take_line(const char *line, gpointer user, GError **error)
{
	Journals *j = user;
	guint8 key_id[32];
	LedgerEntry entry;
	Last *last;

	if (g_str_has_prefix(line, STORE_OUT)) {
		j->says_out = TRUE;
		last = ifpp_unhex_into(line + strlen(STORE_OUT), key_id, sizeof(key_id)) ? find(j, key_id, j->journal) : NULL;
		if (last)
			last->out = TRUE;
		return TRUE;
	}
	if (!chain_parse_bound(line, &entry))
		return TRUE;
	g_free((char *)entry.profile);
	last = find(j, entry.key_id, j->journal);
	if (!last) {
		last = g_new0(Last, 1);
		memcpy(last->key_id, entry.key_id, sizeof(last->key_id));
		last->journal = j->journal;
		last->old = !j->says_out;
		g_hash_table_add(j->last, last);
	} else if (memcmp(last->sha256, entry.sha256, sizeof(last->sha256))) {
		supersede(j, last, &entry);
	}
	memcpy(last->sha256, entry.sha256, sizeof(last->sha256));
	return TRUE;
}

static void judge(Journals *j)
{
	GHashTableIter iter;
	const Last *last;

	g_hash_table_iter_init(&iter, j->last);
	while (g_hash_table_iter_next(&iter, (gpointer *)&last, NULL)) {
		for (guint i = 0; !last->out && i < j->journal; i++) {
			const Last *other = find(j, last->key_id, i);

			if (other && other->out && memcmp(other->sha256, last->sha256, sizeof(last->sha256)))
				g_hash_table_add(j->unbound, ifpp_hex(IFPP_SPAN(last->sha256)));
		}
	}
}

Journals *journals_read(const char *const *dirs, GError **error)
{
	g_autoptr(Journals) j = g_new0(Journals, 1);

	j->last = g_hash_table_new_full(hash_last, equal_last, g_free, NULL);
	j->fates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	j->unbound = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (; dirs[j->journal]; j->journal++, j->says_out = FALSE)
		if (!store_journal_lines(dirs[j->journal], take_line, j, error))
			return NULL;
	judge(j);
	return g_steal_pointer(&j);
}

void journals_free(Journals *journals)
{
	if (!journals)
		return;
	g_hash_table_unref(journals->last);
	g_hash_table_unref(journals->fates);
	g_hash_table_unref(journals->unbound);
	g_free(journals);
}

gboolean journals_superseded(const Journals *journals, const LedgerEntry *entry)
{
	return fate_of(journals, entry->sha256) != KEPT;
}

gboolean journals_begun(const Journals *journals, const LedgerEntry *entry)
{
	return fate_of(journals, entry->sha256) == BEGUN;
}

gboolean journals_unbound(const Journals *journals, const LedgerEntry *entry)
{
	g_autofree char *hash = ifpp_hex(IFPP_SPAN(entry->sha256));

	return g_hash_table_contains(journals->unbound, hash);
}

gboolean journals_sure(const Journals *journals, guint journal, const LedgerEntry *entry)
{
	const Last *last = find(journals, entry->key_id, journal);

	return last && (last->out || last->old) && !memcmp(last->sha256, entry->sha256, sizeof(last->sha256));
}

gboolean journals_replaced(const Journals *journals, const LedgerEntry *entry)
{
	return fate_of(journals, entry->sha256) == REPLACED;
}

gboolean journals_out(const Journals *journals, guint journal, const LedgerEntry *entry)
{
	const Last *last = find(journals, entry->key_id, journal);

	return last && last->out && !memcmp(last->sha256, entry->sha256, sizeof(last->sha256));
}
