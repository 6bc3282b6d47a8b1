/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Behind a load balancer that passes TLS on as it is: the PROXY protocol, version 1 or 2, tells whose
 * connection it is (haproxy's doc/proxy-protocol.txt). It is taken from named addresses only.
 */
#ifndef IFPP_DEPOT_PROXY_H
#define IFPP_DEPOT_PROXY_H

#include <gio/gio.h>
#include <microhttpd.h>
#include <sys/socket.h>

typedef enum {
	PROXY_MORE,	/* the header goes on */
	PROXY_DONE,
	PROXY_WRONG,	/* no such header */
} ProxyParsed;

/**
 * proxy_parse() - the header at the start of a connection
 * @data: what has come
 * @n: how much
 * @address: set to the client's; untouched if the balancer speaks for itself (its health check)
 * @address_len: likewise
 * @header_len: set to how much of @data is the header, with PROXY_DONE
 */
ProxyParsed proxy_parse(const guint8 *data, gsize n, struct sockaddr_storage *address, socklen_t *address_len,
			gsize *header_len);

typedef struct _Proxy Proxy;

/**
 * proxy_start() - accept connections, and hand them over when their header has come
 * @daemon: to whom
 * @fd: the listening socket; not closed
 * @from: addresses or networks of balancers, separated by commas, as in "192.0.2.1,2001:db8::/64"
 * @tell: a line about each connection that was refused, bounded in number; any thread
 * @user: for @tell
 * @error: IFPP_ERROR_USAGE
 */
Proxy *proxy_start(struct MHD_Daemon *daemon, int fd, const char *from,
		   void (*tell)(const char *address, const char *why, gpointer user), gpointer user, GError **error);
/* Before the daemon ends. */
void proxy_stop(Proxy *proxy);

#endif
