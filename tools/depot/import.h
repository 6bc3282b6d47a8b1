/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A delivery of the Key Maker goes into the depot. */
#ifndef IFPP_DEPOT_IMPORT_H
#define IFPP_DEPOT_IMPORT_H

#include "depot.h"

typedef struct {
	guint packages, added;	/* added now; the rest was there */
	char *order;
} ImportCount;

/**
 * depot_import() - verify a delivery and add its packages
 * @depot: where to
 * @file: the delivery, .ifppd
 * @trust: CI roots and CRLs
 * @operator: whose profiles they are; NULL: what each package says of its service provider
 * @progress: called now and then, or NULL
 * @count: filled; free its order
 * @error: as ifpp_bundle_open(); DEPOT_ERROR_CONFLICT, DB, BUSY
 *
 * Every byte is proven before the first package is added. Again is harmless, and finishes what
 * was interrupted.
 */
gboolean depot_import(Depot *depot, const char *file, IfppTrust *trust, const char *operator,
		      void (*progress)(const char *doing, guint done, guint all), ImportCount *count, GError **error);

#endif
