// SPDX-License-Identifier: GPL-2.0-or-later
/* The modem on a Unix stream socket. libqmi connects to a path that contains "qmux_socket". */
#include "transport-priv.h"
#include "unix.h"

#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib/gstdio.h>

typedef struct {
	Transport base;
	Modem *modem;
	char *path;
	int fd;			/* -1: unplugged */
	guint source;
	GPtrArray *conns;
} SocketTransport;

typedef struct {
	SocketTransport *transport;
	UnixConn *unix_conn;
	ModemLink *link;
} Conn;

static void conn_free(gpointer data)
{
	Conn *conn = data;

	modem_link_free(conn->link);
	unix_conn_free(conn->unix_conn);
	g_free(conn);
}

static gboolean on_data(UnixConn *unix_conn, const guint8 *data, gsize len, gpointer user)
{
	Conn *conn = user;

	if (data)
		return modem_link_receive(conn->link, data, len);
	g_ptr_array_remove_fast(conn->transport->conns, conn);
	return FALSE;
}

static void send_frame(const guint8 *frame, gsize len, gpointer user)
{
	unix_conn_send(((Conn *)user)->unix_conn, frame, len);
}

static gboolean on_connect(int fd, GIOCondition condition, gpointer user)
{
	SocketTransport *transport = user;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	Conn *conn;

	if (client < 0)
		return G_SOURCE_CONTINUE;
	conn = g_new0(Conn, 1);
	conn->transport = transport;
	conn->unix_conn = unix_conn_new(client, on_data, conn);
	conn->link = modem_link_new(transport->modem, send_frame, conn);
	g_ptr_array_add(transport->conns, conn);
	return G_SOURCE_CONTINUE;
}

static gboolean plug(Transport *base, GError **error)
{
	SocketTransport *transport = (SocketTransport *)base;

	transport->fd = unix_listen(transport->path, error);
	if (transport->fd < 0)
		return FALSE;
	transport->source = g_unix_fd_add(transport->fd, G_IO_IN, on_connect, transport);
	return TRUE;
}

static void unplug(Transport *base)
{
	SocketTransport *transport = (SocketTransport *)base;

	if (transport->fd < 0)
		return;
	g_clear_handle_id(&transport->source, g_source_remove);
	close(transport->fd);
	transport->fd = -1;
	g_unlink(transport->path);
	g_ptr_array_set_size(transport->conns, 0);
}

static void socket_free(Transport *base)
{
	SocketTransport *transport = (SocketTransport *)base;

	unplug(base);
	g_ptr_array_unref(transport->conns);
	g_free(transport->path);
	g_free(transport);
}

Transport *transport_new_socket(Modem *modem, const char *path, GError **error)
{
	SocketTransport *transport = g_new0(SocketTransport, 1);

	transport->base.event = transport_replug;
	transport->base.plug = plug;
	transport->base.unplug = unplug;
	transport->base.free = socket_free;
	transport->modem = modem;
	transport->path = g_strdup(path);
	transport->fd = -1;
	transport->conns = g_ptr_array_new_with_free_func(conn_free);
	if (!plug(&transport->base, error)) {
		socket_free(&transport->base);
		return NULL;
	}
	transport_follow(&transport->base, modem);
	return &transport->base;
}
