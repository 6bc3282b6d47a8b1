/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the outbox keeps what nobody could read or prove: byte for byte, with a reason and the time. */
#ifndef IFPPD_QUARANTINE_H
#define IFPPD_QUARANTINE_H

#include <glib.h>

/**
 * quarantine_keep() - what a chip gave, under its SHA-256
 * @dir: of the chip's outbox
 * @eid: of the chip
 * @bytes: as the chip gave them
 * @why: for people
 * @error: IFPP_ERROR_NO_SPACE (also: there is too much of it already), ACCESS, IO, DISK
 */
gboolean quarantine_keep(const char *dir, const guint8 eid[16], GBytes *bytes, const char *why, GError **error);
gboolean quarantine_has(const char *dir, GBytes *bytes);

/**
 * quarantine_move() - make a name free for a new record, whatever has it: a damaged record, a directory
 * @dir: of the chip's outbox
 * @eid: of the chip
 * @path: the name; nothing is done when nothing is there
 * @error: as above
 */
gboolean quarantine_move(const char *dir, const guint8 eid[16], const char *path, GError **error);

#endif
