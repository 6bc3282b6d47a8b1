// SPDX-License-Identifier: GPL-2.0-or-later
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <error.h>

#define V1_MAX 107
#define V2_FIXED 16
#define HEADER_MAX 4096		/* with the TLVs of version 2, which are not looked at */
#define PENDING_MAX 256
#define HEADER_US (3 * G_USEC_PER_SEC)
#define TICK_MS 200

typedef struct {
	int fd;
	gint64 since;
	struct sockaddr_storage address;
	socklen_t address_len;
} Pending;

struct _Proxy {
	struct MHD_Daemon *daemon;
	int fd;
	GPtrArray *from;	/* of GInetAddressMask */
	void (*tell)(const char *address, const char *why, gpointer user);
	gpointer user;
	GThread *thread;
	GArray *pending;	/* of Pending, the thread's */
	gint ending;		/* atomic */
};

static const guint8 v2_signature[12] = { 0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A };

/* Addresses are numbers here, so nobody is asked for a name. */
static gboolean set_address(int family, const void *ip, guint16 port_be, struct sockaddr_storage *address, socklen_t *len)
{
	memset(address, 0, sizeof(*address));
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)address;

		in->sin_family = AF_INET;
		in->sin_port = port_be;
		memcpy(&in->sin_addr, ip, 4);
		*len = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = port_be;
		memcpy(&in6->sin6_addr, ip, 16);
		*len = sizeof(*in6);
	}
	return TRUE;
}

static gboolean v1_address(const char *line, struct sockaddr_storage *address, socklen_t *len)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 7);
	int family;
	guint8 ip[16];
	guint64 port;

	if (g_strv_length(words) >= 2 && g_str_equal(words[1], "UNKNOWN"))
		return TRUE;
	if (g_strv_length(words) != 6 || (!g_str_equal(words[1], "TCP4") && !g_str_equal(words[1], "TCP6")))
		return FALSE;
	family = g_str_equal(words[1], "TCP4") ? AF_INET : AF_INET6;
	if (inet_pton(family, words[2], ip) != 1 || !g_ascii_string_to_unsigned(words[4], 10, 0, 65535, &port, NULL))
		return FALSE;
	return set_address(family, ip, htons(port), address, len);
}

static ProxyParsed parse_v1(const guint8 *data, gsize n, struct sockaddr_storage *address, socklen_t *address_len,
			    gsize *header_len)
{
	const guint8 *end = memchr(data, '\n', MIN(n, V1_MAX));
	g_autofree char *line = NULL;

	if (!end)
		return n >= V1_MAX ? PROXY_WRONG : PROXY_MORE;
	if (end == data || end[-1] != '\r' || memchr(data, '\0', end - data))
		return PROXY_WRONG;
	line = g_strndup((const char *)data, end - 1 - data);
	if (!v1_address(line, address, address_len))
		return PROXY_WRONG;
	*header_len = end + 1 - data;
	return PROXY_DONE;
}

static ProxyParsed parse_v2(const guint8 *data, gsize n, struct sockaddr_storage *address, socklen_t *address_len,
			    gsize *header_len)
{
	const guint8 *body = data + V2_FIXED;
	guint16 len, port;

	if (n < V2_FIXED)
		return PROXY_MORE;
	len = data[14] << 8 | data[15];
	if (data[12] >> 4 != 2 || (data[12] & 15) > 1 || V2_FIXED + len > HEADER_MAX)
		return PROXY_WRONG;
	if (n < (gsize)V2_FIXED + len)
		return PROXY_MORE;
	*header_len = V2_FIXED + len;
	if ((data[12] & 15) == 0 || data[13] == 0)
		return PROXY_DONE;
	if (data[13] == 0x11 && len >= 12) {
		memcpy(&port, body + 8, 2);
		set_address(AF_INET, body, port, address, address_len);
		return PROXY_DONE;
	}
	if (data[13] == 0x21 && len >= 36) {
		memcpy(&port, body + 32, 2);
		set_address(AF_INET6, body, port, address, address_len);
		return PROXY_DONE;
	}
	return PROXY_WRONG;
}

ProxyParsed proxy_parse(const guint8 *data, gsize n, struct sockaddr_storage *address, socklen_t *address_len,
			gsize *header_len)
{
	static const char v1[] = "PROXY ";

	if (!memcmp(data, v2_signature, MIN(n, sizeof(v2_signature))))
		return n < sizeof(v2_signature) ? PROXY_MORE : parse_v2(data, n, address, address_len, header_len);
	if (!memcmp(data, v1, MIN(n, sizeof(v1) - 1)))
		return n < sizeof(v1) - 1 ? PROXY_MORE : parse_v1(data, n, address, address_len, header_len);
	return PROXY_WRONG;
}

static GSocketAddress *g_address(const struct sockaddr_storage *address, socklen_t len)
{
	return g_socket_address_new_from_native((gpointer)address, len);
}

static gboolean is_balancer(const Proxy *proxy, const Pending *p)
{
	g_autoptr(GSocketAddress) address = g_address(&p->address, p->address_len);
	GInetAddress *ip = G_IS_INET_SOCKET_ADDRESS(address) ?
				   g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)) : NULL;

	for (guint i = 0; ip && i < proxy->from->len; i++)
		if (g_inet_address_mask_matches(proxy->from->pdata[i], ip))
			return TRUE;
	return FALSE;
}

static void refuse(const Proxy *proxy, const Pending *p, const char *why)
{
	char host[NI_MAXHOST] = "-", port[NI_MAXSERV] = "-";
	g_autofree char *name = NULL;

	getnameinfo((const struct sockaddr *)&p->address, p->address_len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	name = g_strdup_printf("%s:%s", host, port);
	proxy->tell(name, why, proxy->user);
	close(p->fd);
}

static void accept_all(Proxy *proxy)
{
	while (proxy->pending->len < PENDING_MAX) {
		Pending p = { .since = g_get_monotonic_time(), .address_len = sizeof(p.address) };

		p.fd = accept4(proxy->fd, (struct sockaddr *)&p.address, &p.address_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (p.fd < 0)
			return;
		if (is_balancer(proxy, &p))
			g_array_append_val(proxy->pending, p);
		else
			refuse(proxy, &p, "not one of the balancers that connections are taken from");
	}
}

/* TRUE: it is dealt with. What comes after the header stays in the socket. */
static gboolean look(Proxy *proxy, Pending *p)
{
	guint8 data[HEADER_MAX];
	ssize_t n = recv(p->fd, data, sizeof(data), MSG_PEEK);
	gsize len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = -1;
	else if (n <= 0) {
		close(p->fd);
		return TRUE;
	}
	switch (n > 0 ? proxy_parse(data, n, &p->address, &p->address_len, &len) : PROXY_MORE) {
	case PROXY_MORE:
		if (g_get_monotonic_time() - p->since < HEADER_US)
			return FALSE;
		refuse(proxy, p, "no header of the PROXY protocol in time");
		return TRUE;
	case PROXY_WRONG:
		refuse(proxy, p, "no header of the PROXY protocol");
		return TRUE;
	case PROXY_DONE:
		break;
	}
	if (recv(p->fd, data, len, 0) != (ssize_t)len)
		close(p->fd);
	else
		/* It closes what it does not take. */
		MHD_add_connection(proxy->daemon, p->fd, (const struct sockaddr *)&p->address, p->address_len);
	return TRUE;
}

static gpointer serve(gpointer user)
{
	Proxy *proxy = user;

	while (!g_atomic_int_get(&proxy->ending)) {
		g_autofree struct pollfd *fds = g_new0(struct pollfd, proxy->pending->len + 1);
		guint n = proxy->pending->len;

		fds[0] = (struct pollfd){ .fd = proxy->fd, .events = n < PENDING_MAX ? POLLIN : 0 };
		for (guint i = 0; i < n; i++)
			fds[i + 1] = (struct pollfd){ .fd = g_array_index(proxy->pending, Pending, i).fd, .events = POLLIN };
		poll(fds, n + 1, TICK_MS);
		for (guint i = n; i--;) {
			Pending *p = &g_array_index(proxy->pending, Pending, i);
			gboolean old = g_get_monotonic_time() - p->since > HEADER_US;

			if ((fds[i + 1].revents || old) && look(proxy, p))
				g_array_remove_index_fast(proxy->pending, i);
		}
		if (fds[0].revents)
			accept_all(proxy);
	}
	for (guint i = 0; i < proxy->pending->len; i++)
		close(g_array_index(proxy->pending, Pending, i).fd);
	return NULL;
}

static void proxy_free(Proxy *proxy)
{
	g_ptr_array_unref(proxy->from);
	g_array_unref(proxy->pending);
	g_free(proxy);
}

Proxy *proxy_start(struct MHD_Daemon *daemon, int fd, const char *from,
		   void (*tell)(const char *address, const char *why, gpointer user), gpointer user, GError **error)
{
	g_auto(GStrv) words = g_strsplit(from, ",", -1);
	Proxy *proxy = g_new0(Proxy, 1);

	proxy->daemon = daemon;
	proxy->fd = fd;
	proxy->tell = tell;
	proxy->user = user;
	proxy->from = g_ptr_array_new_with_free_func(g_object_unref);
	proxy->pending = g_array_new(FALSE, FALSE, sizeof(Pending));
	for (char **word = words; *word; word++) {
		GInetAddressMask *mask = g_inet_address_mask_new_from_string(*word, NULL);

		if (!mask) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
				    "--proxy-from: %s is no address or network, as in 192.0.2.1 or 2001:db8::/64", *word);
			proxy_free(proxy);
			return NULL;
		}
		g_ptr_array_add(proxy->from, mask);
	}
	proxy->thread = g_thread_new("proxy", serve, proxy);
	return proxy;
}

void proxy_stop(Proxy *proxy)
{
	if (!proxy)
		return;
	g_atomic_int_set(&proxy->ending, TRUE);
	g_thread_join(proxy->thread);
	proxy_free(proxy);
}
