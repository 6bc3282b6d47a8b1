/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a home keeps beside its ledger: every package that it released, and a journal that says in clear what
 * each of them is. Both are evidence when the ledger is lost (adopt.h).
 *
 * DIR/packages/XYZ/EID-KEY.ifpp	XYZ: the first three hex digits of the key id, so that no directory
 *				grows beyond what file systems bear
 * DIR/journal			"bound", "voided", "cancelled" and "resumed" lines (chain.h), and "out KEYID": the
 *				ledger has that key by now, and its package may leave; only grows
 */
#ifndef SMDPF_STORE_H
#define SMDPF_STORE_H

#include "ledger.h"

char *store_path(const Home *home, const guint8 eid[16], const guint8 key_id[32]);

/* One package on its way into the store. */
typedef struct {
	const LedgerEntry *entry;
	GBytes *package;
} StoreItem;

/**
 * store_put() - packages and the lines about them are on the disk, or none of it counts
 * @ledger: with a run, in whose directory they are written first
 * @items: what
 * @n: their number
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO
 */
gboolean store_put(Ledger *ledger, const StoreItem *items, guint n, GError **error);

#define STORE_OUT "out "
#define STORE_INSTALLED "installed "	/* although it was void */
/*
 * After ledger_bind(), and before any of them leaves: the journal says so. A line without it is of a batch that was interrupted, and of
 * a key that may be bound otherwise since, here or by another host.
 */
gboolean store_out(const Home *home, LedgerEntry *const *entries, guint n, GError **error);

/* The package of a bound key, which is the one that was bound: IFPP_ERROR_HEADER_MISMATCH. */
GBytes *store_read(const Home *home, const LedgerEntry *entry, GError **error);

/**
 * store_bound_here() - does the journal of this home say that it has bound this very package?
 * @home: this one
 * @entry: key and hash of the package
 * @here: set
 * @error: IFPP_ERROR_IO, ACCESS
 */
gboolean store_bound_here(const Home *home, const LedgerEntry *entry, gboolean *here, GError **error);

/* Put them down for good, without packages: what was adopted, or taken over. */
gboolean store_journal(const Home *home, const char *lines, gsize len, GError **error);
/* Each line of the journal; half a line at its end was never acted on. No journal is an empty one. */
typedef gboolean (*StoreLineFunc)(const char *line, gpointer user, GError **error);
gboolean store_journal_lines(const char *dir, StoreLineFunc func, gpointer user, GError **error);
/* Of those lines, what was bound. */
gboolean store_journal_foreach(const char *dir, LedgerFunc func, gpointer user, GError **error);

/* Each package below a directory, however deep, with what its header and its bytes say of it. */
gboolean store_foreach(const char *dir, LedgerFunc func, gpointer user, GError **error);

/* All files of the file system that @path is on. */
gboolean store_sync(const char *path, GError **error);
gboolean store_write_plain(const char *path, GBytes *bytes, GError **error);

#endif
