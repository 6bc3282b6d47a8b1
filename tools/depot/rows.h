/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the table "package", and lines of its history: what the parts of the depot share. */
#ifndef IFPP_DEPOT_ROWS_H
#define IFPP_DEPOT_ROWS_H

#include "depot.h"

#define ROWS_COLUMNS "key_id, eid, sha256, bytes, iccid, profile, operator, batch, state, station, lease, changed"

/* GDestroyNotify of an array of DepotItem. */
void rows_item_free(gpointer item);
/* DB_ERROR_FAILED: no depot has written this row of @table. Always FALSE. */
gboolean rows_damaged(const char *table, GError **error);
/* A DepotItem from ROWS_COLUMNS; @user: GPtrArray. */
gboolean rows_take_item(const DbValue *row, guint n, gpointer user, GError **error);
/* The first column; @user: gint64. */
gboolean rows_take_int(const DbValue *row, guint n, gpointer user, GError **error);
/* DEPOT_ERROR_UNKNOWN, the same for what is not there and what is another station's. Always FALSE. */
gboolean rows_unknown(const guint8 key_id[32], GError **error);

/*
 * Of package p and refusal r of the same key: is it the last word on the package? Then the package has not ended, no
 * other station has refused it since, and no result or doubt of it came later.
 */
#define ROWS_REFUSED "p.state < 3 AND " \
	"NOT EXISTS (SELECT 1 FROM refusal o WHERE o.key_id = r.key_id AND (o.at, o.station) > (r.at, r.station)) AND " \
	"NOT EXISTS (SELECT 1 FROM attempt a WHERE a.key_id = r.key_id AND a.at >= r.at) AND " \
	"NOT EXISTS (SELECT 1 FROM doubt d WHERE d.key_id = r.key_id AND d.at >= r.at)"

/* The packages of a chip by key id, or that of a key: @items is emptied first. */
gboolean rows_of_chip(Db *db, const guint8 eid[16], GPtrArray *items, GError **error);
gboolean rows_of_key(Db *db, const guint8 key_id[32], GPtrArray *items, GError **error);
/* How often this station has had the package. */
gboolean rows_had(Db *db, const char *station, const DepotItem *item, gint64 *times, GError **error);
/* How often it was sent to this station. */
gboolean rows_was_sent(Db *db, const char *station, const DepotItem *item, gint64 *times, GError **error);
/* Move the doubts about a package to the attempts: they are settled, and kept. */
gboolean rows_put_aside(Db *db, const guint8 key_id[32], GError **error);
/* The name of a record, and the sum that a package is known by. */
void rows_sha256(const void *data, gsize len, guint8 out[32]);
/*
 * Does its lease run? One that ends later than the longest lease that is given out was made under a wrong
 * clock, and has ended.
 */
gboolean rows_is_leased(const DepotItem *item, gint64 now);
/* Reserved or sent. */
gboolean rows_is_held(const DepotItem *item);

gboolean rows_set_state(Db *db, const guint8 key_id[32], DepotState state, const char *station, gint64 lease,
			gint64 at, GError **error);
/*
 * Note the identity of a unit as @station tells it. @newest: it takes the place of what was told before, else it
 * only counts when nothing was.
 */
gboolean rows_note_unit(Db *db, const guint8 eid[16], const IfppUnit *unit, const char *station, gboolean newest,
			gint64 at, GError **error);
/* Add a line to the history. */
gboolean rows_note(Db *db, const guint8 key_id[32], DepotState state, const char *station, const char *detail,
		   gint64 at, GError **error);

#endif
