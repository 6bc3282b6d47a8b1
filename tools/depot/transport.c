// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PIECES_MAX 8

/*
 * What is held is the transport's to send, so the caller hears only of its own: of that nothing went if not all of
 * the held went.
 */
static ssize_t push(gnutls_transport_ptr_t user, const giovec_t *pieces, int n)
{
	struct iovec all[PIECES_MAX + 1];
	Transport *t = user;
	gsize held = t->held ? t->held->len : 0;
	struct msghdr message = { .msg_iov = all, .msg_iovlen = 1 };
	ssize_t sent;

	n = MIN(n, PIECES_MAX);
	if (t->hold) {
		gsize len = 0;

		t->hold = FALSE;
		if (!t->held)
			t->held = g_byte_array_new();
		for (int i = 0; i < n; i++) {
			g_byte_array_append(t->held, pieces[i].iov_base, pieces[i].iov_len);
			len += pieces[i].iov_len;
		}
		return len;
	}
	all[0] = (struct iovec){ held ? t->held->data : NULL, held };
	for (int i = 0; i < n; i++)
		all[message.msg_iovlen++] = (struct iovec){ pieces[i].iov_base, pieces[i].iov_len };
	sent = sendmsg(t->fd, &message, MSG_NOSIGNAL);
	if (sent < 0 || !held)
		return sent;
	g_byte_array_remove_range(t->held, 0, MIN((gsize)sent, held));
	if ((gsize)sent > held)
		return sent - held;
	errno = EAGAIN;
	return -1;
}

/* Nothing is read ahead of GnuTLS: whoever polls the socket would not know of it. */
static ssize_t pull(gnutls_transport_ptr_t user, void *out, size_t len)
{
	Transport *t = user;
	ssize_t n;

	n = recv(t->fd, out, len, 0);
	if (n > 0)
		g_atomic_int_inc(&t->received);
	return n;
}

static int pull_timeout(gnutls_transport_ptr_t user, unsigned int ms)
{
	const Transport *t = user;
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	return poll(&p, 1, ms == GNUTLS_INDEFINITE_TIMEOUT ? -1 : (int)ms);
}

void transport_begin(Transport *transport, gnutls_session_t session, int fd)
{
	transport->fd = fd;
	gnutls_transport_set_ptr(session, transport);
	gnutls_transport_set_vec_push_function(session, push);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_transport_set_pull_timeout_function(session, pull_timeout);
}

void transport_end(Transport *transport)
{
	g_clear_pointer(&transport->held, g_byte_array_unref);
}

void transport_hold(Transport *transport)
{
	transport->hold = TRUE;
}
