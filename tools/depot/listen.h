/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sockets that are listened on: ours, or what systemd hands over. */
#ifndef IFPP_DEPOT_LISTEN_H
#define IFPP_DEPOT_LISTEN_H

#include <glib.h>

/**
 * listen_on() - a listening socket
 * @option: whose value @address is, for errors
 * @address: HOST:PORT
 * @error: IFPP_ERROR_USAGE, IO
 *
 * Return: the socket, or -1.
 */
int listen_on(const char *option, const char *address, GError **error);

/* The one that systemd hands over, or -1. IFPP_ERROR_USAGE */
int listen_handed_over(GError **error);

/* "127.0.0.1:8443" of a socket, or "-"; *port is set to the port alone if it is not NULL. Free both. */
char *listen_name(int fd, char **port);

#endif
