/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What TLS sends, in fewer and larger pieces: libmicrohttpd gives the head of an answer and its body to GnuTLS one after
 * the other. Each would be a system call here, and a packet for the client to wake up for.
 */
#ifndef IFPP_DEPOT_TRANSPORT_H
#define IFPP_DEPOT_TRANSPORT_H

#include <glib.h>
#include <gnutls/gnutls.h>

typedef struct {
	int fd;
	gboolean hold;		/* what is sent next waits for what follows it */
	GByteArray *held;	/* NULL: nothing yet */
	gint received;		/* changes with what comes; atomic */
} Transport;

/**
 * transport_begin() - send for a session from now on
 * @transport: stays where it is as long as the session does; all zero
 * @session: before its handshake
 * @fd: its socket, which does not block
 */
void transport_begin(Transport *transport, gnutls_session_t session, int fd);
void transport_end(Transport *transport);

/* The next record goes with the one after it, which must come: for an answer that has a body. */
void transport_hold(Transport *transport);

#endif
