/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The figures as they were a moment ago, for however many look at them: a thread of its own adds them up while
 * somebody looks, and spends a bounded part of its time on that.
 */
#ifndef IFPP_DEPOT_SNAPSHOT_H
#define IFPP_DEPOT_SNAPSHOT_H

#include "expiry.h"
#include "figures.h"
#include "reload.h"

typedef struct _Snapshot Snapshot;

typedef struct {
	const char *db, *trust;
	const TlsFiles *files;
	Reload *reload;
} SnapshotOptions;

Snapshot *snapshot_new(const SnapshotOptions *options);
void snapshot_free(Snapshot *snapshot);

/* What there is to tell. */
typedef struct {
	const char *engine;		/* "SQLite" or "PostgreSQL" */
	const Figures *figures;		/* the last ones; NULL: there were none yet */
	const char *trouble;		/* why there are no newer ones, or NULL */
	gint64 trouble_since;		/* Unix ms */
	const GPtrArray *expiry;	/* of Expiry */
	const char *reload_trouble;	/* why certificates or CI roots from before are in use, or NULL */
	gint64 reload_since, reload_at;	/* Unix ms: in trouble since, or 0; all read last */
} SnapshotView;

/**
 * snapshot_tell() - let somebody look
 * @snapshot: the snapshot
 * @tell: called once, while nobody changes what it sees
 * @user: for @tell
 *
 * It waits for figures of the last two seconds, or longer ago if adding up takes long, and at most two seconds: then
 * it tells what there is. Any thread.
 */
void snapshot_tell(Snapshot *snapshot, void (*tell)(const SnapshotView *view, gpointer user), gpointer user);

#endif
