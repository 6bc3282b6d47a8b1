// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The modem as a node on QRTR, as those inside of a SoC are: each of its services is a socket, and each socket that asks it is a
 * client. Its node is this machine's own, since nothing is between both.
 */
#include "transport-priv.h"

#include <errno.h>
#include <linux/qrtr.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "error.h"

#ifndef AF_QIPCRTR
#define AF_QIPCRTR 42
#endif

#define QMUX_HEADER 6
#define MESSAGE_MAX 65536

typedef struct {
	Transport base;
	Modem *modem;
	GPtrArray *services;	/* QrtrService; empty: unplugged */
} QrtrTransport;

typedef struct {
	Modem *modem;
	guint8 id;
	int fd;
	guint source;
	GPtrArray *peers;
} QrtrService;

typedef struct {
	QrtrService *service;
	struct sockaddr_qrtr address;
	ModemLink *link;
	guint8 cid;
} Peer;

static void peer_free(gpointer data)
{
	Peer *peer = data;

	modem_link_release(peer->link, peer->service->id, peer->cid);
	modem_link_free(peer->link);
	g_free(peer);
}

static void service_free(gpointer data)
{
	QrtrService *service = data;

	g_clear_handle_id(&service->source, g_source_remove);
	if (service->fd >= 0)
		close(service->fd);
	g_ptr_array_unref(service->peers);
	g_free(service);
}

/* QRTR carries what is inside of QMUX. */
static void send_frame(const guint8 *frame, gsize len, gpointer user)
{
	Peer *peer = user;

	if (len > QMUX_HEADER && sendto(peer->service->fd, frame + QMUX_HEADER, len - QMUX_HEADER, MSG_DONTWAIT,
					(struct sockaddr *)&peer->address, sizeof(peer->address)) < 0)
		g_debug("QRTR: an answer was not sent: %s", g_strerror(errno));
}

/* NULL: the modem has no client id left */
static Peer *peer_of(QrtrService *service, const struct sockaddr_qrtr *address)
{
	Peer *peer;

	for (guint i = 0; i < service->peers->len; i++) {
		peer = g_ptr_array_index(service->peers, i);
		if (peer->address.sq_node == address->sq_node && peer->address.sq_port == address->sq_port)
			return peer;
	}
	peer = g_new0(Peer, 1);
	peer->service = service;
	peer->address = *address;
	peer->link = modem_link_new(service->modem, send_frame, peer);
	peer->cid = modem_link_client(peer->link, service->id);
	if (!peer->cid) {
		modem_link_free(peer->link);
		g_free(peer);
		return NULL;
	}
	g_ptr_array_add(service->peers, peer);
	return peer;
}

/* The name service tells who has gone. */
static void control(QrtrService *service, const struct qrtr_ctrl_pkt *packet, gsize len)
{
	if (len < sizeof(*packet) || GUINT32_FROM_LE(packet->cmd) != QRTR_TYPE_DEL_CLIENT)
		return;
	for (guint i = service->peers->len; i-- > 0;) {
		Peer *peer = g_ptr_array_index(service->peers, i);

		if (peer->address.sq_node == GUINT32_FROM_LE(packet->client.node) &&
		    peer->address.sq_port == GUINT32_FROM_LE(packet->client.port))
			g_ptr_array_remove_index_fast(service->peers, i);
	}
}

static gboolean on_message(int fd, GIOCondition condition, gpointer user)
{
	QrtrService *service = user;
	g_autofree guint8 *frame = g_malloc(QMUX_HEADER + MESSAGE_MAX);
	struct sockaddr_qrtr from;
	socklen_t size = sizeof(from);
	ssize_t len = recvfrom(fd, frame + QMUX_HEADER, MESSAGE_MAX, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
	Peer *peer;

	if (len <= 0)
		return G_SOURCE_CONTINUE;
	if (from.sq_port == QRTR_PORT_CTRL) {
		control(service, (struct qrtr_ctrl_pkt *)(frame + QMUX_HEADER), len);
		return G_SOURCE_CONTINUE;
	}
	peer = peer_of(service, &from);
	len += QMUX_HEADER - 1;
	if (!peer || len > G_MAXUINT16)
		return G_SOURCE_CONTINUE;
	frame[0] = 0x01;
	frame[1] = len;
	frame[2] = len >> 8;
	frame[3] = 0;
	frame[4] = service->id;
	frame[5] = peer->cid;
	modem_link_receive(peer->link, frame, len + 1);
	return G_SOURCE_CONTINUE;
}

/* A socket of its own, announced to the name service. NULL: errno */
static QrtrService *service_new(Modem *modem, guint8 id)
{
	QrtrService *service = g_new0(QrtrService, 1);
	struct sockaddr_qrtr address;
	socklen_t size = sizeof(address);
	int err;
	struct qrtr_ctrl_pkt packet = {
		.cmd = GUINT32_TO_LE(QRTR_TYPE_NEW_SERVER),
		.server = { .service = GUINT32_TO_LE(id), .instance = GUINT32_TO_LE(1) },	/* its version */
	};

	service->modem = modem;
	service->id = id;
	service->peers = g_ptr_array_new_with_free_func(peer_free);
	service->fd = socket(AF_QIPCRTR, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (service->fd >= 0 && !getsockname(service->fd, (struct sockaddr *)&address, &size)) {
		address.sq_port = QRTR_PORT_CTRL;
		if (sendto(service->fd, &packet, sizeof(packet), 0, (struct sockaddr *)&address, sizeof(address)) == sizeof(packet)) {
			service->source = g_unix_fd_add(service->fd, G_IO_IN, on_message, service);
			return service;
		}
	}
	err = errno;
	service_free(service);
	errno = err;
	return NULL;
}

static gboolean plug(Transport *base, GError **error)
{
	QrtrTransport *transport = (QrtrTransport *)base;
	guint8 id;

	for (guint i = 0; (id = modem_service_id(transport->modem, i)); i++) {
		QrtrService *service = service_new(transport->modem, id);

		if (!service) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "QRTR: %s; it wants the kernel's module qrtr", g_strerror(errno));
			g_ptr_array_set_size(transport->services, 0);
			return FALSE;
		}
		g_ptr_array_add(transport->services, service);
	}
	return TRUE;
}

static void unplug(Transport *base)
{
	g_ptr_array_set_size(((QrtrTransport *)base)->services, 0);
}

static void qrtr_free(Transport *base)
{
	g_ptr_array_unref(((QrtrTransport *)base)->services);
	g_free(base);
}

Transport *transport_new_qrtr(Modem *modem, GError **error)
{
	QrtrTransport *transport = g_new0(QrtrTransport, 1);

	transport->base.event = transport_replug;
	transport->base.plug = plug;
	transport->base.unplug = unplug;
	transport->base.free = qrtr_free;
	transport->modem = modem;
	transport->services = g_ptr_array_new_with_free_func(service_free);
	if (!plug(&transport->base, error)) {
		qrtr_free(&transport->base);
		return NULL;
	}
	transport_follow(&transport->base, modem);
	return &transport->base;
}
