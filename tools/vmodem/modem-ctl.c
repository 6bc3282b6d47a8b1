// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI CTL: versions, client ids, sync. */
#include "modem-services.h"

#include <string.h>

static void ctl_version_info(Request *req)
{
	GByteArray *value = g_byte_array_new();

	put8(value, 1 + G_N_ELEMENTS(req->modem->services));
	put8(value, SERVICE_CTL);
	put16(value, 1);
	put16(value, 5);
	for (guint i = 0; i < G_N_ELEMENTS(req->modem->services); i++) {
		const Service *service = &req->modem->services[i];

		put8(value, service->kind->id);
		put16(value, service->kind->major);
		put16(value, service->kind->minor);
	}
	put_tlv_array(req->out, 0x01, value);
}

guint8 modem_link_client(ModemLink *link, guint8 id)
{
	Service *service = modem_find_service(link->modem, id);

	for (guint cid = 1; service && cid <= link->modem->max_clients; cid++) {
		Client *client = &service->clients[cid];

		if (client->used)
			continue;
		*client = (Client){ .used = TRUE, .link = link };
		return cid;
	}
	return 0;
}

void modem_link_release(ModemLink *link, guint8 id, guint8 cid)
{
	Service *service = modem_find_service(link->modem, id);

	if (service)
		service->clients[cid] = (Client){};
}

static void ctl_allocate(Request *req)
{
	const guint8 *arg = request_argument(req, 0x01, 1);
	guint8 cid;

	if (!arg)
		return;
	if (!modem_find_service(req->modem, arg[0])) {
		req->error = QMI_INVALID_SERVICE_TYPE;
		return;
	}
	cid = modem_link_client(req->link, arg[0]);
	if (cid)
		put_tlv(req->out, 0x01, (guint8[]){ arg[0], cid }, 2);
	else
		req->error = QMI_CLIENT_IDS_EXHAUSTED;
}

static void ctl_release(Request *req)
{
	const guint8 *arg = request_argument(req, 0x01, 2);
	Service *service;

	if (!arg)
		return;
	service = modem_find_service(req->modem, arg[0]);
	if (!service || arg[1] == 0 || arg[1] > N_CLIENTS || !service->clients[arg[1]].used) {
		req->error = service ? QMI_INVALID_CLIENT_ID : QMI_INVALID_SERVICE_TYPE;
		return;
	}
	modem_link_release(req->link, arg[0], arg[1]);
	put_tlv(req->out, 0x01, arg, 2);
}

/* A host that syncs has forgotten its client ids: so do we. */
static void ctl_sync(Request *req)
{
	for (guint i = 0; i < G_N_ELEMENTS(req->modem->services); i++)
		memset(req->modem->services[i].clients, 0, sizeof(req->modem->services[i].clients));
}

void modem_ctl(Request *req)
{
	const guint8 *arg;

	switch (req->message) {
	case 0x0020:	/* Set Instance ID */
		arg = request_argument(req, 0x01, 1);
		if (arg)
			put_tlv(req->out, 0x01, (guint8[]){ arg[0], 0 }, 2);
		break;
	case 0x0021:
		ctl_version_info(req);
		break;
	case 0x0022:
		ctl_allocate(req);
		break;
	case 0x0023:
		ctl_release(req);
		break;
	case 0x0026:	/* Set Data Format: 802.3 or raw IP, no data flows here */
		if (request_argument(req, 0x01, 1))
			put_tlv(req->out, 0x10, (guint8[]){ 2, 0 }, 2);
		break;
	case 0x0027:
		ctl_sync(req);
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}
