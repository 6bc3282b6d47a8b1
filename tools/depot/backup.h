/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies of a depot, and whether all in it is sound. */
#ifndef IFPP_DEPOT_BACKUP_H
#define IFPP_DEPOT_BACKUP_H

#include "depot.h"

/**
 * depot_backup() - copy a depot into a file, while it works
 * @depot: the depot, of either engine
 * @path: a file of SQLite, which must not be there; it appears whole or not at all
 * @error: DB_ERROR, IFPP_ERROR_IO, ACCESS, NO_SPACE
 *
 * The copy is of another epoch than the depot: if it is restored, stations bring what it misses.
 */
gboolean depot_backup(Depot *depot, const char *path, GError **error);

/**
 * depot_restore() - fill a depot from such a file
 * @depot: an empty depot, of either engine
 * @path: the file
 * @error: DEPOT_ERROR_CONFLICT: it is not empty; DB_ERROR
 */
gboolean depot_restore(Depot *depot, const char *path, GError **error);

typedef struct {
	guint64 packages, bytes, results, events;
	guint bad;
} CheckTotals;

/**
 * depot_check() - every row, every byte
 * @depot: the depot
 * @totals: filled
 * @tell: called with one line for each thing that is wrong
 * @user: for @tell
 * @error: DB_ERROR
 *
 * Packages against their hashes, results against theirs, and histories: without a gap, and ending in the
 * state that the package has.
 */
gboolean depot_check(Depot *depot, CheckTotals *totals, void (*tell)(const char *line, gpointer user), gpointer user,
		     GError **error);

#endif
