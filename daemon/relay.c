// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <glib-unix.h>

#include "error.h"
#include "relay.h"
#include "relay-socket.h"


struct _Relay {
	char *path;
	int fd;
	gboolean socket;
	guint watch;
	RelayFunc func;
	gpointer user;
	guint8 *buf;
};

void relay_request_free(RelayRequest *request)
{
	g_clear_pointer(&request->data, g_bytes_unref);
	g_free(request);
}

static void fail(GError **error, const char *path, const char *what, int err)
{
	int code = err == EACCES ? IFPP_ERROR_ACCESS
		   : err == EPERM ? IFPP_ERROR_CONFINED
		   : err == ENOENT || err == ENODEV || err == ENXIO || err == ECONNREFUSED
			   ? IFPP_ERROR_NO_DEVICE
			   : IFPP_ERROR_IO;

	g_set_error(error, IFPP_ERROR, code, "%s: %s%s", path, what, g_strerror(err));
}

Relay *relay_open(const char *path, GError **error)
{
	g_autoptr(Relay) relay = g_new0(Relay, 1);

	relay->path = g_strdup(path);
	relay->fd = -1;
	relay->buf = g_malloc(IFPP_REQ_BUF_MAX);
	relay->socket = relay_socket_is(path);
	relay->fd = relay->socket ? relay_socket_open(path) : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (relay->fd < 0) {
		fail(error, path, "", errno);
		return NULL;
	}
	return g_steal_pointer(&relay);
}

void relay_free(Relay *relay)
{
	if (relay->watch)
		g_source_remove(relay->watch);
	if (relay->fd >= 0)
		close(relay->fd);
	g_free(relay->buf);
	g_free(relay->path);
	g_free(relay);
}

gboolean relay_attach(Relay *relay, struct ifpp_attach *attach, const struct ifpp_key *keys, GError **error)
{
	int err = 0;

	attach->size = sizeof(*attach);
	attach->keys = (uintptr_t)keys;
	if (relay->socket) {
		err = relay_socket_attach(relay->fd, attach, keys);
	} else {
		if (ioctl(relay->fd, IFPP_RELAY_ATTACH, attach))
			err = errno;
	}
	if (!err)
		return TRUE;
	if (err == EBUSY)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_MODEM, "%s: another daemon serves this chip",
			    relay->path);
	else if (err == ENOTTY)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: the ifpp driver that is loaded is of another release than "
			    "this daemon. Install both of one release, then: modprobe -r ifpp; modprobe ifpp", relay->path);
	else if (err == EBADE)
		g_set_error(
			error, IFPP_ERROR, IFPP_ERROR_CHIP,
			"%s: the chip's report contradicts the kernel's record; this looks like tampering",
			relay->path);
	else
		fail(error, relay->path, "attaching the chip: ", err);
	return FALSE;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user)
{
	Relay *relay = user;
	g_autoptr(GError) error = NULL;
	struct ifpp_req req;
	RelayRequest *request;
	ssize_t n = read(fd, relay->buf, IFPP_REQ_BUF_MAX);

	if (n < 0 && (errno == EAGAIN || errno == EINTR) && !(condition & (G_IO_HUP | G_IO_ERR)))
		return G_SOURCE_CONTINUE;
	if (n >= (ssize_t)sizeof(req))
		memcpy(&req, relay->buf, sizeof(req));
	if (n < (ssize_t)sizeof(req) || req.size < sizeof(req) || (guint64)req.size + req.len != (guint64)n) {
		if (n < 0)
			fail(&error, relay->path, "", errno);
		else
			g_set_error(&error, IFPP_ERROR, IFPP_ERROR_IO, "%s: %s", relay->path,
				    n ? "a malformed request" : "the relay is closed");
		relay->watch = 0;
		relay->func(NULL, error, relay->user);
		return G_SOURCE_REMOVE;
	}
	request = g_new0(RelayRequest, 1);
	request->req = req;
	request->data = g_bytes_new(relay->buf + req.size, req.len);
	relay->watch = 0;
	relay->func(request, NULL, relay->user);
	return G_SOURCE_REMOVE;
}

static void resume(Relay *relay)
{
	if (!relay->watch)
		relay->watch = g_unix_fd_add(relay->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, relay);
}

void relay_watch(Relay *relay, RelayFunc func, gpointer user)
{
	relay->func = func;
	relay->user = user;
	resume(relay);
}

gboolean relay_reply(Relay *relay, struct ifpp_reply *reply, const struct ifpp_key *keys, GBytes *data,
		     GError **error)
{
	g_autoptr(GByteArray) msg = g_byte_array_new();
	ssize_t n;

	reply->size = sizeof(*reply);
	reply->len = data ? g_bytes_get_size(data) : 0;
	g_byte_array_append(msg, (const guint8 *)reply, sizeof(*reply));
	if (reply->n_keys)
		g_byte_array_append(msg, (const guint8 *)keys, reply->n_keys * sizeof(*keys));
	if (reply->len)
		g_byte_array_append(msg, g_bytes_get_data(data, NULL), reply->len);
	do {
		n = relay->socket ? relay_socket_send(relay->fd, msg) : write(relay->fd, msg->data, msg->len);
	} while (n < 0 && errno == EINTR);
	resume(relay);
	if (n == (ssize_t)msg->len)
		return TRUE;
	if (n < 0 && errno == ESTALE)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TIMEOUT, "%s: the answer came too late",
			    relay->path);
	else if (n < 0 && errno == EBADE)
		g_set_error(
			error, IFPP_ERROR, IFPP_ERROR_CHIP,
			"%s: the chip's report contradicts the kernel's record; this looks like tampering",
			relay->path);
	else
		fail(error, relay->path, "replying: ", n < 0 ? errno : EIO);
	return FALSE;
}
