/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which unit a chip is in, and the socket of the fixture that it is plugged into. */
#ifndef IFPPCTL_SOCKETS_H
#define IFPPCTL_SOCKETS_H

#include <unit.h>

#define CTL_SOCKETS "/etc/ifpp/sockets"

/**
 * ctl_unit_read() - what the daemon and the scanner have told of the unit with this chip
 * @outbox: the daemon's
 * @eid: of the chip
 * @unit: filled; empty if nobody knows
 */
void ctl_unit_read(const char *outbox, const guint8 eid[16], IfppUnit *unit);

/**
 * ctl_socket_name() - what people call a place
 * @file: lines "USB-PATH NAME"; # begins a comment. NULL: CTL_SOCKETS
 * @path: the place, or NULL
 *
 * A line that is none, or whose name is not printable or longer than IFPP_UNIT_TEXT_MAX bytes, is named in
 * the log.
 *
 * Return: the name, else @path; NULL if that is NULL
 */
char *ctl_socket_name(const char *file, const char *path);
/* The same for the unit with this chip; NULL: nobody knows. */
char *ctl_socket(const char *outbox, const guint8 eid[16]);

#endif
