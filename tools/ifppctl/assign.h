/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which one-time key is whose: a factory that orders from several Key Makers gives each of a chip's keys to one of
 * them, durably and for ever (SGP.41 GENS08). A text file, one key a line: KEYID EID KEYMAKER.
 */
#ifndef IFPPCTL_ASSIGN_H
#define IFPPCTL_ASSIGN_H

#include <glib.h>

#define CTL_ASSIGNMENTS "/var/lib/ifpp/assignments"

typedef struct _Assignments Assignments;

/**
 * assign_open() - read what is assigned, and keep others from assigning until assign_free()
 * @path: the file; may not be there yet
 * @error: IFPP_ERROR_IO, ACCESS, TLV: a line that is none; it is named
 */
Assignments *assign_open(const char *path, GError **error);
void assign_free(Assignments *assignments);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Assignments, assign_free)

/* Whom a key is assigned to; NULL: nobody. */
const char *assign_owner(const Assignments *assignments, const guint8 key_id[32]);

/**
 * assign_take() - @n of a chip's keys for a Key Maker: those that are its own already first, then keys of nobody
 * @assignments: open
 * @eid: of the chip
 * @key_ids: of the chip's keys, 32 bytes each
 * @n_keys: their number
 * @key_maker: its name
 * @n: wanted
 * @taken: @n of the ids, in the order of @key_ids
 * @error: IFPP_ERROR_ELIGIBILITY: it has not so many
 *
 * Nothing is on disk before assign_commit().
 */
gboolean assign_take(Assignments *assignments, const guint8 eid[16], const guint8 (*key_ids)[32], guint n_keys,
		     const char *key_maker, guint n, GArray *taken, GError **error);
/* IFPP_ERROR_IO, ACCESS, NO_SPACE: nothing of it is assigned. */
gboolean assign_commit(Assignments *assignments, GError **error);

#endif
