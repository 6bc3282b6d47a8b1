// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The modem on a pseudo terminal, for libraries that open nothing but a device node. The host cannot be seen to come
 * and go; so, as on USB, there is one link as long as the modem is plugged in.
 */
#include "transport-priv.h"
#include "unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "error.h"

typedef struct {
	Transport base;
	Modem *modem;
	char *path;		/* links to the terminal */
	UnixConn *conn;		/* NULL: unplugged */
	ModemLink *link;
	int terminal;		/* the host's side, kept open: else it hangs up with each host */
} PtyTransport;

static void send_message(const guint8 *message, gsize len, gpointer user)
{
	unix_conn_send(((PtyTransport *)user)->conn, message, len);
}

static gboolean on_data(UnixConn *conn, const guint8 *data, gsize len, gpointer user)
{
	PtyTransport *transport = user;

	/* Noise is lost, and nobody can be cut off for it. */
	if (data && transport->link)
		modem_link_receive(transport->link, data, len);
	return data != NULL;
}

static gboolean plug(Transport *base, GError **error)
{
	PtyTransport *transport = (PtyTransport *)base;
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;
	char name[64];
	int saved;

	transport->terminal = -1;
	if (fd < 0 || grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, sizeof(name)))
		goto fail;
	transport->terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (transport->terminal < 0 || tcgetattr(transport->terminal, &raw))
		goto fail;
	cfmakeraw(&raw);
	if (tcsetattr(transport->terminal, TCSANOW, &raw))
		goto fail;
	g_unlink(transport->path);
	if (symlink(name, transport->path))
		goto fail;
	transport->conn = unix_conn_new(fd, on_data, transport);
	transport->link = modem_link_new(transport->modem, send_message, transport);
	return TRUE;
fail:
	saved = errno;
	if (transport->terminal >= 0)
		close(transport->terminal);
	transport->terminal = -1;
	if (fd >= 0)
		close(fd);
	g_set_error(error, IFPP_ERROR, saved == EACCES ? IFPP_ERROR_ACCESS : IFPP_ERROR_IO,
		    "%s: cannot make a terminal: %s", transport->path, g_strerror(saved));
	return FALSE;
}

static void unplug(Transport *base)
{
	PtyTransport *transport = (PtyTransport *)base;

	if (!transport->conn)
		return;
	g_unlink(transport->path);
	g_clear_pointer(&transport->link, modem_link_free);
	g_clear_pointer(&transport->conn, unix_conn_free);
	close(transport->terminal);
}

static void pty_free(Transport *base)
{
	PtyTransport *transport = (PtyTransport *)base;

	unplug(base);
	g_free(transport->path);
	g_free(transport);
}

Transport *transport_new_pty(Modem *modem, const char *path, GError **error)
{
	PtyTransport *transport = g_new0(PtyTransport, 1);

	transport->base.event = transport_replug;
	transport->base.plug = plug;
	transport->base.unplug = unplug;
	transport->base.free = pty_free;
	transport->modem = modem;
	transport->path = g_strdup(path);
	if (!plug(&transport->base, error)) {
		pty_free(&transport->base);
		return NULL;
	}
	transport_follow(&transport->base, modem);
	return &transport->base;
}
