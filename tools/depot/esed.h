/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Batches of eUICC data that EUMs have signed (SGP.41 Esed), and the chips in them. */
#ifndef IFPP_DEPOT_ESED_H
#define IFPP_DEPOT_ESED_H

#include <x509.h>

#include "depot.h"

typedef struct {
	guint8 id[32];		/* SHA-256 of its inventory */
	char *name;		/* as the EUM calls it, or NULL */
	gint64 chips, at;
	gboolean done;		/* here whole; until then none of its chips counts */
} Esed;

/* All, the oldest first; of Esed. */
GPtrArray *esed_list(Depot *depot, GError **error);

/**
 * esed_find() - the batch that is meant
 * @depot: the depot
 * @name: its name, or the first eight or more digits of its id
 * @id: set
 * @error: DEPOT_ERROR_UNKNOWN: none, several, or one that is not here whole; DB_ERROR
 */
gboolean esed_find(Depot *depot, const char *name, guint8 id[32], GError **error);

typedef struct {
	guint chips, added;	/* added now; the rest was there */
	char *name;
} EsedCount;

/**
 * esed_import() - verify a batch and take its chips in
 * @depot: where to
 * @file: the batch, .ifppe
 * @trust: CI roots and CRLs
 * @progress: called now and then, or NULL
 * @count: filled; free its name
 * @error: as ifpp_request_open() and ifpp_batch_verify(); DEPOT_ERROR_CONFLICT: other data of one of its chips is
 *	here; DB_ERROR
 *
 * Every byte is proven before the first chip is added, and none counts before all are here. Again is harmless, and
 * finishes what was interrupted.
 */
gboolean esed_import(Depot *depot, const char *file, IfppTrust *trust,
		     void (*progress)(const char *doing, guint done, guint all), EsedCount *count, GError **error);

/**
 * esed_export() - write a batch again, as the EUM signed it
 * @depot: the depot
 * @id: which
 * @path: the file
 * @error: as ifpp_request_write(); DB_ERROR
 */
gboolean esed_export(Depot *depot, const guint8 id[32], const char *path, GError **error);

/* eUICC data of a chip; NULL without an error: none is here. */
GBytes *esed_data(Db *db, const guint8 eid[16], GError **error);

/**
 * esed_page() - chips that are here, by EID
 * @db: the database
 * @id: of this batch; NULL: of any
 * @after: EID of the last one of the page before; NULL: from the first one
 * @limit: most of one page
 * @error: DB_ERROR
 *
 * Return: their EIDs, 16 bytes each
 */
GArray *esed_page(Db *db, const guint8 *id, const guint8 *after, guint limit, GError **error);

#endif
