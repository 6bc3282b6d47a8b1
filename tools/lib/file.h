/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that matter: read whole with a bound, written tmp + fsync + rename + fsync of the directory. */
#ifndef IFPP_FILE_H
#define IFPP_FILE_H

#include <glib.h>

/**
 * ifpp_file_read() - a whole regular file
 * @path: its name
 * @max: most bytes accepted
 * @error: IFPP_ERROR_IO (missing, a directory, not a regular file), ACCESS, TOO_LARGE; the message
 *	names the file
 */
GBytes *ifpp_file_read(const char *path, gsize max, GError **error);

/**
 * ifpp_file_write() - replace a file: the old content or the new one after any crash
 * @path: its name; the directory must exist
 * @data: content
 * @len: bytes
 * @mode: permission bits of a new file
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO
 */
gboolean ifpp_file_write(const char *path, const void *data, gsize len, int mode, GError **error);

#endif
