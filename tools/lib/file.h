/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that matter: read whole with a bound, written tmp + fsync + rename + fsync of the directory. */
#ifndef IFPP_FILE_H
#define IFPP_FILE_H

#include "tlv.h"

/**
 * ifpp_file_error() - what errno says of a file
 * @path: its name, the first thing in the message
 * @doing: what could not be done, or NULL
 * @error: IFPP_ERROR_NO_SPACE; ACCESS: this user may not; CONFINED: nobody may here; IO: the path is wrong; else DISK, which is
 *	nobody's fault who gave the path
 *
 * Return: FALSE
 */
gboolean ifpp_file_error(const char *path, const char *doing, GError **error);

/**
 * ifpp_file_read() - a whole regular file
 * @path: its name
 * @max: most bytes accepted
 * @error: IFPP_ERROR_IO (missing, a directory, not a regular file), ACCESS, DISK, TOO_LARGE; the message
 *	names the file
 */
GBytes *ifpp_file_read(const char *path, gsize max, GError **error);

/* Open one for reading: its descriptor and its size; -1: @error, as above. */
int ifpp_file_open(const char *path, gsize *size, GError **error);

/**
 * ifpp_file_write() - replace a file: the old content or the new one after any crash
 * @path: its name; the directory must exist
 * @data: content
 * @len: bytes
 * @mode: permission bits of a new file
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO (also: there is a device, pipe or socket, which is left as it is), DISK
 */
gboolean ifpp_file_write(const char *path, const void *data, gsize len, int mode, GError **error);

/* Writes the content to @fd, with ifpp_file_put() for instance; @path is for messages. */
typedef gboolean (*IfppFileBody)(int fd, const char *path, gpointer user, GError **error);

/**
 * ifpp_file_write_by() - the same for a content that is too large to be put together in memory
 * @path: its name; the directory must exist
 * @mode: permission bits of a new file
 * @body: called once
 * @user: for @body
 * @error: as ifpp_file_write(), or what @body set
 */
gboolean ifpp_file_write_by(const char *path, int mode, IfppFileBody body, gpointer user, GError **error);
gboolean ifpp_file_put(int fd, const char *path, IfppSpan in, GError **error);

/**
 * ifpp_file_reserve() - a file that holds space for what is written into it later
 * @path: its name
 * @len: bytes
 * @mode: permission bits of a new file
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 *
 * A file system that cannot set space aside (EOPNOTSUPP of posix_fallocate(3): UBIFS, JFFS2, FAT, NFSv3 with
 * some C libraries) gets bytes to keep it with, which is the most that can be had there.
 */
gboolean ifpp_file_reserve(const char *path, gsize len, int mode, GError **error);

/**
 * ifpp_sync_dir() - the names that were made and removed in a directory reach the disk
 * @path: its name
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 *
 * A file system that knows no such thing (EINVAL, fsync(2)) has done what it can.
 */
gboolean ifpp_sync_dir(const char *path, GError **error);

/**
 * ifpp_make_dir() - a directory and those above it, if they are not there
 * @path: its name
 * @mode: permission bits of new ones
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 *
 * The name of each new one is on disk when this returns TRUE: it could vanish in a power cut otherwise,
 * with all that was synced in it.
 */
gboolean ifpp_make_dir(const char *path, int mode, GError **error);

#endif
