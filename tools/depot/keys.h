/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which one-time key of which chip is for which Key Maker (SGP.41 MCE01): once, and for ever. */
#ifndef IFPP_DEPOT_KEYS_H
#define IFPP_DEPOT_KEYS_H

#include <request-bundle.h>

#include "depot.h"

/**
 * keys_assign() - give keys of each chip to a Key Maker
 * @depot: the depot
 * @esed: chips of this batch; NULL: of all that are here whole
 * @key_maker: a name, as ifpp_bundle_text_valid()
 * @n: how many keys of each chip
 * @assigned: set: keys that are its from now on and were nobody's before
 * @error: DEPOT_ERROR_KEYS: a chip has not so many left, and nothing was assigned; UNKNOWN: no chip; DB_ERROR
 *
 * It keeps what it has, and gets what neither another one nor a package has. The same again assigns nothing.
 */
gboolean keys_assign(Depot *depot, const guint8 *esed, const char *key_maker, guint n, guint *assigned, GError **error);

/* A chip's eUICC data with the first @n keys in it that are this Key Maker's. DEPOT_ERROR_KEYS, DB_ERROR */
GBytes *keys_data(Depot *depot, const guint8 eid[16], const char *key_maker, guint n, GError **error);

/**
 * keys_request() - ask a Key Maker for profiles, with the keys that are its
 * @depot: the depot
 * @esed: as above
 * @head: what stands above the chips: Key Maker and number of keys were assigned
 * @imei: tell the devices that the chips are in, as far as stations have
 * @path: the file; if the same request is there already it stays as it is, signature and all
 * @chips: set: how many are in it
 * @written: set: FALSE: it was there
 * @error: as ifpp_request_write(), DEPOT_ERROR_KEYS, INPUT: more chips than a request holds; DB_ERROR
 */
gboolean keys_request(Depot *depot, const guint8 *esed, const IfppRequestHead *head, gboolean imei, const char *path, guint *chips,
		      gboolean *written, GError **error);

typedef struct {
	char *key_maker;
	gint64 chips, keys, packages;	/* packages: that are here for its keys */
} KeysCount;

/* By Key Maker; of KeysCount. */
GPtrArray *keys_list(Depot *depot, GError **error);

#endif
