/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix stream sockets, and a connection with an output queue on the main loop. */
#ifndef VMODEM_UNIX_H
#define VMODEM_UNIX_H

#include <glib.h>

/* A listening socket, non-blocking. A path left over by a dead process is taken over. */
int unix_listen(const char *path, GError **error);
/* Blocking. */
int unix_connect(const char *path, GError **error);

typedef struct _UnixConn UnixConn;
/* @data NULL: the peer is gone, free the connection. FALSE: drop it. */
typedef gboolean (*UnixConnFunc)(UnixConn *conn, const guint8 *data, gsize len, gpointer user);

/* @fd, a socket or a terminal, is taken and made non-blocking. SIGPIPE is ignored from now on. */
UnixConn *unix_conn_new(int fd, UnixConnFunc func, gpointer user);
void unix_conn_free(UnixConn *conn);
void unix_conn_send(UnixConn *conn, const void *data, gsize len);

#endif
