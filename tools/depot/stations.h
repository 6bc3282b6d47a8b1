/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stations may have, as claims ask it in their transaction. */
#ifndef IFPP_DEPOT_STATIONS_H
#define IFPP_DEPOT_STATIONS_H

#include "depot.h"

/**
 * stations_filter() - which packages of a chip may this station have?
 * @db: in a transaction
 * @station: who asks
 * @eid: of the chip
 * @now: Unix time in ms
 * @items: packages of the chip; those of orders that it does not serve are taken out
 * @error: DEPOT_ERROR_AUTHORITY, QUOTA, DB_ERROR
 */
gboolean stations_filter(Db *db, const char *station, const guint8 eid[16], gint64 now, GPtrArray *items,
			 GError **error);

#endif
