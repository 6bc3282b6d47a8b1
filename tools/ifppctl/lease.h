/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several stations on one directory of packages: which of them may load which chip, until when.
 *
 * DIR/leases/EID/ holds one empty file, whose name is the lease: GENERATION.UNTIL.STATION. A station
 * takes, renews or ends a lease by renaming that very file to the next generation. The old name is there
 * once and never again, so of several that try one succeeds. The first lease comes with its directory, which
 * is renamed into place with the file in it: that fails if there is one. So there is nothing that
 * a station could leave half done, and a file system needs an atomic rename and nothing else.
 *
 * The time is that of the file system: on a network a server has one clock for all stations.
 */
#ifndef IFPPCTL_LEASE_H
#define IFPPCTL_LEASE_H

#include <glib.h>

#define CTL_LEASE_MS (3600 * 1000)

typedef struct {
	char *leases;		/* DIR/leases */
	char *station;
	char *chip;		/* directory of the chip whose lease we have, or NULL */
	guint8 eid[16];
	guint64 generation;
	gint64 since, until;	/* Unix time in ms by the clock of the file system */
	gint64 renew;		/* when half of it is gone: us since boot */
} CtlLease;

/**
 * ctl_lease_new() - the leases of a directory of packages
 * @dir: the directory
 * @station: letters, digits, ._-, up to 64: makes DIR/leases; NULL: this machine's name and id
 * @error: IFPP_ERROR_USAGE, ACCESS, IO, NO_SPACE
 *
 * Return: NULL without an error: the directory has no leases, so it is this station's alone.
 */
CtlLease *ctl_lease_new(const char *dir, const char *station, GError **error);
void ctl_lease_free(CtlLease *lease);	/* ends nothing */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlLease, ctl_lease_free)

/**
 * ctl_lease_take() - have a chip, or go on having it
 * @lease: what this station has is noted in it
 * @eid: of the chip
 * @ms: for how long
 * @error: CTL_ERROR of exit code IFPP_EXIT_BUSY: another station has it; IFPP_ERROR_ACCESS, IO, NO_SPACE
 */
gboolean ctl_lease_take(CtlLease *lease, const guint8 eid[16], guint ms, GError **error);

/* Before each step: renews a lease half of whose time is gone. @lease may be NULL: nothing is shared. */
gboolean ctl_lease_hold(CtlLease *lease, GError **error);

/* End it: the next station need not wait. Should it be another's by now, it stays that. */
void ctl_lease_end(CtlLease *lease);

#endif
