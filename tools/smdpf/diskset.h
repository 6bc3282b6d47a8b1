/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set of strings of bytes in a temporary file, for what may be millions: key ids, names of files. */
#ifndef SMDPF_DISKSET_H
#define SMDPF_DISKSET_H

#include "db.h"
#include "tlv.h"

/**
 * diskset_new() - an empty set; db_close() ends it, and its file is gone
 * @error: IFPP_ERROR_DISK, NO_SPACE
 */
Db *diskset_new(GError **error);
/* What is there already stays. */
gboolean diskset_add(Db *set, IfppSpan item, GError **error);
gboolean diskset_has(Db *set, IfppSpan item, gboolean *has, GError **error);

/* It lives until this returns. FALSE with @error set ends the walk. */
typedef gboolean (*DisksetFunc)(IfppSpan item, gpointer user, GError **error);
/* All, in the order of their bytes. */
gboolean diskset_foreach(Db *set, DisksetFunc func, gpointer user, GError **error);

/* Where temporary files go: TMPDIR, or /var/tmp, which is seldom memory. */
const char *diskset_dir(void);

#endif
