/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine may not know the time. What it has proves that it is not earlier than some date, its floor: it was built
 * then, or somebody signed something then.
 */
#ifndef IFPP_FLOOR_H
#define IFPP_FLOOR_H

#include <glib.h>

/* So much a clock may be slow: it counts as being at the floor. */
#define IFPP_FLOOR_SLACK (24 * 3600)

/* When this program was built (SOURCE_DATE_EPOCH, or the time of configuring), seconds since 1970. */
gint64 ifpp_floor_built(void);

/**
 * ifpp_floor_read() - the newest date that was ever proven here
 * @path: a file of one line, an ISO 8601 date in UTC
 * @floor: seconds since 1970; 0: there is no such file
 * @error: IFPP_ERROR_ACCESS, DISK; IFPP_ERROR_IO: no date in it
 */
gboolean ifpp_floor_read(const char *path, gint64 *floor, GError **error);

/**
 * ifpp_floor_write() - keep a newer one
 * @path: of the file; its directory is made if need be
 * @floor: seconds since 1970
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 *
 * Never falls, and rises by no less than a day: less changes nothing, and flash memory wears out. Any number of
 * processes may call it at once.
 */
gboolean ifpp_floor_write(const char *path, gint64 floor, GError **error);

/* The date for people and records, "2026-11-28T20:31:24Z"; free it. */
char *ifpp_floor_text(gint64 when);

/**
 * ifpp_floor_check() - what is the time, as far as it is known
 * @clock: what the machine's clock says, seconds since 1970
 * @floor: what is proven
 * @what: that proves it, for messages
 * @error: IFPP_ERROR_TIME_UNKNOWN: the clock is more than a day behind it
 *
 * Return: TRUE when the later of the two can be taken for now.
 */
gboolean ifpp_floor_check(gint64 clock, gint64 floor, const char *what, GError **error);

#endif
