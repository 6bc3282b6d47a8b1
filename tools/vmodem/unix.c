// SPDX-License-Identifier: GPL-2.0-or-later
#include "unix.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include "error.h"

#define QUEUE_MAX (1024 * 1024)	/* a peer that reads nothing is dropped */

struct _UnixConn {
	int fd;
	guint in, out;
	GByteArray *queue;
	UnixConnFunc func;
	gpointer user;
};

static gboolean fail(GError **error, const char *path, const char *what, int err)
{
	int code = err == EACCES || err == EPERM ? IFPP_ERROR_ACCESS :
		   err == ENOENT || err == ECONNREFUSED ? IFPP_ERROR_NO_DEVICE : IFPP_ERROR_IO;

	g_set_error(error, IFPP_ERROR, code, "%s: %s: %s", path, what, g_strerror(err));
	return FALSE;
}

static gboolean make_address(const char *path, struct sockaddr_un *addr, GError **error)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(addr->sun_path))
		return fail(error, path, "too long for a socket", ENAMETOOLONG);
	strcpy(addr->sun_path, path);
	return TRUE;
}

int unix_connect(const char *path, GError **error)
{
	struct sockaddr_un addr;
	int fd, err;

	if (!make_address(path, &addr, error))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	fail(error, path, "cannot connect", err);
	return -1;
}

int unix_listen(const char *path, GError **error)
{
	struct sockaddr_un addr;
	int fd, err, other;

	if (!make_address(path, &addr, error))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		goto out;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno != EADDRINUSE)
			goto out;
		other = unix_connect(path, NULL);
		if (other >= 0) {
			close(other);
			errno = EADDRINUSE;
			goto out;
		}
		if (unlink(path) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			goto out;
	}
	if (listen(fd, 16) == 0)
		return fd;
out:
	err = errno;
	if (fd >= 0)
		close(fd);
	fail(error, path, "cannot listen", err);
	return -1;
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer user)
{
	UnixConn *conn = user;
	ssize_t n = write(fd, conn->queue->data, conn->queue->len);

	if (n > 0)
		g_byte_array_remove_range(conn->queue, 0, n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		g_byte_array_set_size(conn->queue, 0);	/* the reading side sees the end */
	if (conn->queue->len)
		return G_SOURCE_CONTINUE;
	conn->out = 0;
	return G_SOURCE_REMOVE;
}

void unix_conn_send(UnixConn *conn, const void *data, gsize len)
{
	ssize_t n = 0;

	if (!conn->queue->len) {
		n = write(conn->fd, data, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return;
		n = MAX(n, 0);
	}
	if ((gsize)n == len || conn->queue->len + len > QUEUE_MAX)
		return;
	g_byte_array_append(conn->queue, (const guint8 *)data + n, len - n);
	if (!conn->out)
		conn->out = g_unix_fd_add(conn->fd, G_IO_OUT, on_writable, conn);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user)
{
	UnixConn *conn = user;
	guint8 buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n > 0 && conn->func(conn, buf, n, conn->user))
		return G_SOURCE_CONTINUE;
	conn->in = 0;
	conn->func(conn, NULL, 0, conn->user);
	return G_SOURCE_REMOVE;
}

UnixConn *unix_conn_new(int fd, UnixConnFunc func, gpointer user)
{
	UnixConn *conn = g_new0(UnixConn, 1);

	conn->fd = fd;
	conn->func = func;
	conn->user = user;
	conn->queue = g_byte_array_new();
	g_unix_set_fd_nonblocking(fd, TRUE, NULL);
	signal(SIGPIPE, SIG_IGN);	/* a peer that is gone is seen by reading */
	conn->in = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, conn);
	return conn;
}

void unix_conn_free(UnixConn *conn)
{
	g_clear_handle_id(&conn->in, g_source_remove);
	g_clear_handle_id(&conn->out, g_source_remove);
	close(conn->fd);
	g_byte_array_unref(conn->queue);
	g_free(conn);
}
