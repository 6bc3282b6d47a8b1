/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a chip's packages come from: a directory, or a depot whose packages are kept in one. */
#ifndef IFPPCTL_SOURCE_H
#define IFPPCTL_SOURCE_H

#include "ctl.h"
#include "depot.h"

typedef struct {
	const char *where;	/* a directory, or https://HOST:PORT */
	const char *cache;	/* where packages of a depot are kept */
	const char *outbox;	/* the daemon's results */
	gboolean keep;		/* packages stay in the cache when their results are delivered */
	CtlDepotKeys keys;
} CtlSource;

/* The directory that the packages are in, once ctl_source_packages() was called. */
const char *ctl_source_dir(const CtlSource *source);

/**
 * ctl_source_packages() - the packages of one chip
 * @ctl: tells what is fetched, and that the depot cannot be reached
 * @source: where to look
 * @eid: of the chip
 * @error: as ctl_packages_scan() and ctl_depot_fetch()
 *
 * A depot that cannot be reached is no error while packages are here from before: a unit
 * that is half done is finished without the network.
 *
 * Return: of CtlPackage, with those that are gone because their results were delivered.
 */
GPtrArray *ctl_source_packages(Ctl *ctl, const CtlSource *source, const guint8 eid[16], GError **error);

/* Give the depot the results; they wait if it cannot be reached, and that is only told. */
void ctl_source_deliver(Ctl *ctl, const CtlSource *source);

#endif
