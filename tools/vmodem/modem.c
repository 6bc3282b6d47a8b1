// SPDX-License-Identifier: GPL-2.0-or-later
/* QMUX, as it is or out of MBIM: requests come in, their service answers them; the modem's life. */
#include "modem-services.h"

#include <string.h>

#include "error.h"

#define STREAM_MAX (2 * 65536)

/* ------------------------------------------------------------------ in */

static GByteArray *make_response(const Request *req)
{
	g_autoptr(GByteArray) tlvs = g_byte_array_new();

	put8(tlvs, 0x02);
	put16(tlvs, 4);
	put16(tlvs, req->error ? 1 : 0);
	put16(tlvs, req->error);
	g_byte_array_append(tlvs, req->out->data, req->out->len);
	return modem_frame(req->service, req->cid, req->service == SERVICE_CTL ? 0x01 : 0x02, req->transaction,
			  req->message, tlvs);
}

static void dispatch(Request *req)
{
	Service *service;

	if (!request_tlvs_sound(req->tlvs)) {
		req->error = QMI_MALFORMED;
		return;
	}
	if (req->service == SERVICE_CTL) {
		modem_ctl(req);
		return;
	}
	service = modem_find_service(req->modem, req->service);
	if (!service || req->cid == 0 || req->cid > N_CLIENTS || !service->clients[req->cid].used) {
		req->error = QMI_INVALID_CLIENT_ID;
		return;
	}
	req->client = &service->clients[req->cid];
	req->client->link = req->link;
	service->requests++;
	if (req->service == SERVICE_UIM && req->modem->quirks.uim_error)
		req->error = req->modem->quirks.uim_error;
	else
		service->kind->handle(req);
}

static void respond(Request *req, FaultKind kind)
{
	g_autoptr(GByteArray) frame = make_response(req);
	g_autoptr(GByteArray) covered = req->link->cover ? req->link->cover(req->link, frame) : NULL;

	modem_link_answer(req->link, covered ? covered : frame, kind,
			  req->delay + wire_take_delay(&req->modem->wire));
}

static void handle_frame(ModemLink *link, const guint8 *frame, gsize len)
{
	Modem *modem = link->modem;
	Request req = { .modem = modem, .link = link, .service = frame[4], .cid = frame[5] };
	gsize head = req.service == SERVICE_CTL ? 6 : 7;
	g_autofree guint8 *sdu = g_memdup2(frame + QMUX_HEADER, len - QMUX_HEADER);
	gsize sdu_len = len - QMUX_HEADER;
	FaultKind kind;
	guint arg = 0;

	/* Not a request to a modem: nobody could match an answer to it. */
	if (frame[3] != 0 || sdu_len < head || sdu[0] != 0 || modem->hung || link->stale)
		return;
	req.transaction = req.service == SERVICE_CTL ? sdu[1] : get16(sdu + 1);
	modem->stats.requests++;
	if (modem->quirks.mute)
		return;
	kind = faults_next(modem->faults, FAULT_AT_QMI, &arg);
	/* To damage: what follows the transaction, that is message, length, arguments. */
	if (!modem_request_fault(modem, kind, arg, sdu + head - 4, sdu_len - head + 4, &req.delay))
		return;
	req.message = get16(sdu + head - 4);
	req.tlvs = (IfppSpan){ sdu + head, sdu_len - head };
	req.out = g_byte_array_new();
	if (kind == FAULT_ERROR)
		req.error = arg;
	else if (get16(sdu + head - 2) != req.tlvs.len)
		req.error = QMI_MALFORMED;
	else
		dispatch(&req);
	if (!req.silent)
		respond(&req, kind);
	g_byte_array_unref(req.out);
}

/* A stream of frames, or each of them out of MBIM. */
static gboolean receive_qmux(ModemLink *link, const guint8 *data, gsize len)
{
	gsize used = 0;

	g_byte_array_append(link->in, data, len);
	while (link->in->len - used >= 3) {
		const guint8 *frame = link->in->data + used;
		gsize frame_len = get16(frame + 1) + 1;

		if (frame[0] != 0x01 || frame_len < QMUX_HEADER) {
			g_byte_array_set_size(link->in, 0);
			return FALSE;
		}
		if (link->in->len - used < frame_len)
			break;
		handle_frame(link, frame, frame_len);
		used += frame_len;
	}
	if (used)
		g_byte_array_remove_range(link->in, 0, used);
	return link->in->len < STREAM_MAX;
}

gboolean modem_link_receive(ModemLink *link, const guint8 *data, gsize len)
{
	return link->mbim ? mbim_receive(link->mbim, data, len) : receive_qmux(link, data, len);
}

/* ------------------------------------------------------------------ life */

ModemLink *modem_link_new(Modem *modem, ModemSendFunc send, gpointer user)
{
	ModemLink *link = g_new0(ModemLink, 1);

	link->modem = modem;
	link->send = send;
	link->user = user;
	link->in = g_byte_array_new();
	if (modem->protocol != MODEM_QMI)
		link->mbim = mbim_new(link, receive_qmux);
	g_ptr_array_add(modem->links, link);
	return link;
}

void modem_link_free(ModemLink *link)
{
	Modem *modem = link->modem;

	for (guint i = 0; i < G_N_ELEMENTS(modem->services); i++)
		for (guint cid = 0; cid <= N_CLIENTS; cid++)
			if (modem->services[i].clients[cid].link == link)
				modem->services[i].clients[cid].link = NULL;
	modem_late_drop(link);
	g_ptr_array_remove_fast(modem->links, link);
	g_clear_pointer(&link->mbim, mbim_free);
	g_byte_array_unref(link->in);
	g_free(link);
}

static IfppChipMemFate write_fault(IfppChipMem *mem, gpointer user)
{
	Modem *modem = user;

	switch (faults_next(modem->faults, FAULT_AT_WRITE, NULL)) {
	case FAULT_POWER_CUT:
		modem->stats.faults++;
		return IFPP_CHIPMEM_CUT_BEFORE;
	case FAULT_POWER_CUT_DURING:
		modem->stats.faults++;
		return IFPP_CHIPMEM_CUT_DURING;
	case FAULT_POWER_CUT_AFTER:
		modem->stats.faults++;
		return IFPP_CHIPMEM_CUT_AFTER;
	default:
		return IFPP_CHIPMEM_WRITE;
	}
}

static const ServiceKind kinds[N_SERVICES] = {
	{ SERVICE_WDS, "wds", 1, 67, modem_wds },
	{ SERVICE_DMS, "dms", 1, 14, modem_dms },
	{ SERVICE_NAS, "nas", 1, 25, modem_nas },
	{ SERVICE_UIM, "uim", 1, 55, modem_uim },
	{ SERVICE_WDA, "wda", 1, 16, modem_wda },
};

Modem *modem_new(Chip *chip)
{
	Modem *modem = g_new0(Modem, 1);

	modem->chip = chip;
	modem->faults = faults_new();
	modem->wire.model = wire_default;
	for (guint i = 0; i < N_SERVICES; i++)
		modem->services[i].kind = &kinds[i];
	modem->modes = MODEM_MODES;
	modem->link_layer = 1;
	modem->max_clients = 16;
	modem->links = g_ptr_array_new();
	modem_late_init(modem);
	modem->plugged = TRUE;
	modem->slot = 1;
	g_queue_init(&modem->events);
	chip_set_write_hook(chip, write_fault, modem);
	return modem;
}

void modem_free(Modem *modem)
{
	if (!modem)
		return;
	modem_forget(modem);
	g_clear_handle_id(&modem->event_source, g_source_remove);
	g_queue_clear(&modem->events);
	while (modem->links->len)
		modem_link_free(g_ptr_array_index(modem->links, 0));
	g_ptr_array_unref(modem->links);
	g_ptr_array_unref(modem->late);
	chip_free(modem->chip);
	faults_free(modem->faults);
	g_free(modem);
}

void modem_set_event_func(Modem *modem, ModemEventFunc func, gpointer user)
{
	modem->event = func;
	modem->event_user = user;
}

void modem_set_protocol(Modem *modem, ModemProtocol protocol)
{
	modem->protocol = protocol;
}

void modem_set_max_clients(Modem *modem, guint max)
{
	modem->max_clients = CLAMP(max, 1, N_CLIENTS);
}

void modem_set_quirks(Modem *modem, const Quirks *quirks)
{
	modem->quirks = *quirks;
	modem->slot = quirks->active_slot ? quirks->active_slot : modem_chip_slot(modem);
	chip_set_quirks(modem->chip, quirks);
}

void modem_set_wire(Modem *modem, const WireModel *model)
{
	modem->wire.model = *model;
}

const WireTime *modem_wire_time(const Modem *modem)
{
	return &modem->wire.time;
}

Chip *modem_chip(Modem *modem)
{
	return modem->chip;
}

Faults *modem_faults(Modem *modem)
{
	return modem->faults;
}

guint modem_clients(const Modem *modem)
{
	guint n = 0;

	for (guint i = 0; i < G_N_ELEMENTS(modem->services); i++)
		for (guint cid = 1; cid <= N_CLIENTS; cid++)
			n += modem->services[i].clients[cid].used;
	return n;
}

const char *modem_service(const Modem *modem, guint index, guint64 *requests)
{
	if (index >= N_SERVICES)
		return NULL;
	*requests = modem->services[index].requests;
	return modem->services[index].kind->name;
}

guint8 modem_service_id(const Modem *modem, guint index)
{
	return index < N_SERVICES ? modem->services[index].kind->id : 0;
}

const ModemStats *modem_stats(const Modem *modem)
{
	return &modem->stats;
}
