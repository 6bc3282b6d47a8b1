/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory of sealed packages: which are whose. */
#ifndef IFPPCTL_PACKAGES_H
#define IFPPCTL_PACKAGES_H

#include <package.h>

typedef struct {
	char *path;
	IfppHeader header;	/* only when @error is NULL */
	GError *error;		/* why this file is no package, or NULL */
	char *gone;		/* NULL: it is there; else its profile's name, and the result has been delivered */
} CtlPackage;

/**
 * ctl_packages_scan() - the packages in a directory, by name
 * @dir: the directory; files *.ifpp in it, nothing below it
 * @eid: only those for this chip, or NULL for all
 * @error: IFPP_ERROR_IO, ACCESS: the directory itself
 *
 * The header decides whose a package is. The name only tells whose a file may be whose header
 * cannot be read: a broken one named for another chip is not this chip's trouble, one named
 * for this chip is, as is one whose header denies its name.
 *
 * Return: of CtlPackage.
 */
GPtrArray *ctl_packages_scan(const char *dir, const guint8 *eid, GError **error);

/**
 * ctl_packages_add_gone() - count those that were loaded, delivered and deleted
 * @packages: of ctl_packages_scan()
 * @outbox: the daemon's results, with the notes of the delivery
 * @eid: of the chip
 *
 * So that a unit is what it was before its packages were deleted.
 */
void ctl_packages_add_gone(GPtrArray *packages, const char *outbox, const guint8 eid[16]);

/* Leave out those whose profile was deleted in the factory (rework): the chip has it no more, and their keys are spent. */
void ctl_packages_drop_deleted(GPtrArray *packages, const char *outbox, const guint8 eid[16]);

/* Read one file and its header. IFPP_ERROR_IO, ACCESS, TOO_LARGE, LENGTH, HEADER */
GBytes *ctl_package_read(const char *path, IfppHeader *header, GError **error);

#endif
