// SPDX-License-Identifier: LGPL-2.1-or-later
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "error.h"

gboolean ifpp_file_error(const char *path, const char *doing, GError **error)
{
	int code, err = errno;

	switch (err) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		code = IFPP_ERROR_NO_SPACE;
		break;
	case EACCES:
		code = IFPP_ERROR_ACCESS;
		break;
	case EPERM:
		code = IFPP_ERROR_CONFINED;
		break;
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EEXIST:
	case ENOTEMPTY:
	case ELOOP:
	case ENAMETOOLONG:
	case ENODEV:
	case ENXIO:
		code = IFPP_ERROR_IO;
		break;
	default:
		code = IFPP_ERROR_DISK;
	}
	g_set_error(error, IFPP_ERROR, code, "%s: %s%s%s", path, doing ?: "", doing ? ": " : "", g_strerror(err));
	return FALSE;
}

int ifpp_file_open(const char *path, gsize *size, GError **error)
{
	/* O_NONBLOCK: a FIFO must not make us wait for its other end. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0) {
		ifpp_file_error(path, "cannot open", error);
		return -1;
	}
	if (fstat(fd, &st) < 0) {
		ifpp_file_error(path, "cannot read", error);
	} else if (!S_ISREG(st.st_mode)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: is %s, not a file", path,
			    S_ISDIR(st.st_mode) ? "a directory" : "a device, pipe or socket");
	} else {
		*size = MAX(st.st_size, 0);
		return fd;
	}
	close(fd);
	return -1;
}

GBytes *ifpp_file_read(const char *path, gsize max, GError **error)
{
	g_autofree guint8 *data = NULL;
	gsize len = 0, size;
	ssize_t n;
	int fd;

	fd = ifpp_file_open(path, &size, error);
	if (fd < 0)
		return NULL;
	if (size > max)
		goto too_large;

	/* One byte more than stat said, so that a file that grows meanwhile is noticed. */
	data = g_malloc(size + 1);
	while (size + 1 > len) {
		n = read(fd, data + len, size + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ifpp_file_error(path, "cannot read", error);
			goto out;
		}
		if (n == 0)
			break;
		len += n;
	}
	if (len > size) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: grows while it is read", path);
		goto out;
	}
	close(fd);
	return g_bytes_new_take(g_steal_pointer(&data), len);

too_large:
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOO_LARGE, "%s: larger than the %zu bytes it may have",
		    path, max);
out:
	close(fd);
	return NULL;
}

gboolean ifpp_file_put(int fd, const char *path, IfppSpan in, GError **error)
{
	while (in.len) {
		ssize_t n = write(fd, in.data, in.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ifpp_file_error(path, "cannot write", error);
		in.data += n;
		in.len -= n;
	}
	return TRUE;
}

/* A new name would take the place of a device, /dev/null for instance, or of the link that /dev/stdout is. */
static gboolean may_replace(const char *path, GError **error)
{
	g_autofree char *link = g_file_read_link(path, NULL);
	struct stat st;

	if ((!link || !g_str_has_prefix(link, "/proc/")) && (stat(path, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: is a device, pipe or socket, and would be replaced by a file", path);
	return FALSE;
}

gboolean ifpp_file_write_by(const char *path, int mode, IfppFileBody body, gpointer user, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *tmp = g_strdup_printf("%s/.%s.XXXXXX", dir, base);
	gboolean ok;
	int fd;

	if (!may_replace(path, error))
		return FALSE;
	fd = g_mkstemp_full(tmp, O_WRONLY | O_CLOEXEC, mode);
	if (fd < 0)
		return ifpp_file_error(path, "cannot create", error);
	ok = body(fd, path, user, error) && (fsync(fd) == 0 || ifpp_file_error(path, "cannot write", error));
	if (close(fd) < 0 && ok)
		ok = ifpp_file_error(path, "cannot write", error);
	if (ok && rename(tmp, path) < 0)
		ok = ifpp_file_error(path, "cannot replace", error);
	if (!ok) {
		g_unlink(tmp);
		return FALSE;
	}
	/* The new name itself must reach the disk. */
	return ifpp_sync_dir(dir, error);
}

static gboolean put_span(int fd, const char *path, gpointer user, GError **error)
{
	const IfppSpan *in = user;

	return ifpp_file_put(fd, path, *in, error);
}

gboolean ifpp_file_write(const char *path, const void *data, gsize len, int mode, GError **error)
{
	return ifpp_file_write_by(path, mode, put_span, &(IfppSpan){ data, len }, error);
}

/* One that compresses must not make little of it, so these are no zeros. */
static gboolean fill(int fd, const char *path, gsize len, GError **error)
{
	guint8 block[1024];

	for (gsize done = 0; done < len; done += sizeof(block)) {
		if (getrandom(block, sizeof(block), 0) != sizeof(block))
			return ifpp_file_error(path, "getrandom", error);
		if (!ifpp_file_put(fd, path, (IfppSpan){ block, MIN(len - done, sizeof(block)) }, error))
			return FALSE;
	}
	return TRUE;
}

gboolean ifpp_file_reserve(const char *path, gsize len, int mode, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	gboolean ok;

	if (fd < 0)
		return ifpp_file_error(path, "cannot create", error);
	errno = posix_fallocate(fd, 0, len);
	if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
		ok = fill(fd, path, len, error);
	else
		ok = !errno || ifpp_file_error(path, "cannot take space", error);
	if (ok && fsync(fd))
		ok = ifpp_file_error(path, "cannot write", error);
	close(fd);
	if (!ok)
		g_unlink(path);
	return ok;
}

gboolean ifpp_sync_dir(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok;

	if (fd < 0)
		return ifpp_file_error(path, "cannot open", error);
	ok = fsync(fd) == 0 || errno == EINVAL || ifpp_file_error(path, "cannot write", error);
	close(fd);
	return ok;
}

gboolean ifpp_make_dir(const char *path, int mode, GError **error)
{
	g_autofree char *above = g_path_get_dirname(path);

	if (g_mkdir(path, mode) == 0)
		return ifpp_sync_dir(above, error);
	if (errno == EEXIST && g_file_test(path, G_FILE_TEST_IS_DIR))
		return TRUE;
	if (errno != ENOENT || g_str_equal(above, path))
		return ifpp_file_error(path, "cannot make it", error);
	if (!ifpp_make_dir(above, mode, error))
		return FALSE;
	if (g_mkdir(path, mode) < 0 && errno != EEXIST)
		return ifpp_file_error(path, "cannot make it", error);
	return ifpp_sync_dir(above, error);
}
