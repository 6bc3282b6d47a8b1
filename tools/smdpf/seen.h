/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which keys a report has named: there may be millions, so they are in a temporary file. */
#ifndef SMDPF_SEEN_H
#define SMDPF_SEEN_H

#include "db.h"

/**
 * seen_new() - none yet; db_close() ends it, and removes the file
 * @error: IFPP_ERROR_DISK, NO_SPACE
 */
Db *seen_new(GError **error);
gboolean seen_add(Db *seen, const guint8 key_id[32], GError **error);
gboolean seen_has(Db *seen, const guint8 key_id[32], gboolean *has, GError **error);

#endif
