/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often each station may ask. A front end lets requests in by what it knows itself. If others serve the same
 * PostgreSQL, a thread charges what was let in to the station's account there, some requests at a time, and learns what
 * the others have let in: no request waits for that.
 */
#ifndef IFPP_DEPOT_RATES_H
#define IFPP_DEPOT_RATES_H

#include <glib.h>

typedef struct _Rates Rates;

/**
 * rates_new() - begin to count
 * @db: URL of the depot's database; of SQLite there is one front end, which counts by itself
 * @rate: requests a second of one station; two seconds' worth of them may come at once
 * @error: DB_ERROR
 */
Rates *rates_new(const char *db, guint rate, GError **error);
void rates_free(Rates *rates);

/* One request of @station: FALSE: it asks too often. Any thread. */
gboolean rates_take(Rates *rates, const char *station);
guint rates_limit(const Rates *rates);

#endif
