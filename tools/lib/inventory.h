/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside libifpp: files with a readable inventory in front and what it tells of behind it. */
#ifndef IFPP_INVENTORY_H
#define IFPP_INVENTORY_H

#include "tlv.h"

/* The value of the next line if it begins with @name, else NULL and @in untouched. */
char *inventory_line(IfppSpan *in, const char *name);
/* "NAME: 1" to @max in decimal; FALSE for anything else. */
gboolean inventory_number(IfppSpan *in, const char *name, guint64 min, guint64 max, guint64 *out);
/* 32 bytes in hex. */
gboolean inventory_hash(IfppSpan *in, const char *name, guint8 out[32]);

/* Open a regular file to read; -1 and IFPP_ERROR_IO, ACCESS. */
int inventory_open(const char *path, guint64 *size, GError **error);
/* IFPP_ERROR_IO; LENGTH when it ends before. */
GBytes *inventory_read_at(int fd, guint64 offset, gsize len, GError **error);
/* IFPP_ERROR_LENGTH: the file does not end where its inventory says. */
gboolean inventory_size_is(guint64 size, guint64 end, GError **error);
gboolean inventory_sha256_is(GBytes *bytes, const guint8 sha256[32]);

#endif
