// SPDX-License-Identifier: GPL-2.0-or-later
/* QMUX, client ids, and the services CTL and UIM. */
#include "modem-priv.h"

#include <string.h>

#include "error.h"

#define FROM_MODEM 0x80
#define QMUX_HEADER 6
#define STREAM_MAX (2 * 65536)

/* UIM Register Events */
#define EVENT_CARD_STATUS 0x01
#define EVENT_SLOT_STATUS 0x10

typedef struct {
	Modem *modem;
	ModemLink *link;
	GByteArray *frame;
	guint source;
} Late;

/* ------------------------------------------------------------------ little pieces */

gboolean request_tlv(const Request *req, guint8 type, IfppSpan *value)
{
	IfppSpan tlvs = req->tlvs;

	while (tlvs.len >= 3) {
		gsize len = get16(tlvs.data + 1);

		if (len > tlvs.len - 3)
			return FALSE;
		if (tlvs.data[0] == type) {
			*value = (IfppSpan){ tlvs.data + 3, len };
			return TRUE;
		}
		tlvs.data += 3 + len;
		tlvs.len -= 3 + len;
	}
	return FALSE;
}

/* Every TLV must fit, and nothing be left over. */
static gboolean tlvs_sound(IfppSpan tlvs)
{
	while (tlvs.len) {
		gsize len;

		if (tlvs.len < 3)
			return FALSE;
		len = get16(tlvs.data + 1);
		if (len > tlvs.len - 3)
			return FALSE;
		tlvs.data += 3 + len;
		tlvs.len -= 3 + len;
	}
	return TRUE;
}

const guint8 *request_argument(Request *req, guint8 type, gsize len)
{
	IfppSpan value;

	if (!request_tlv(req, type, &value))
		req->error = QMI_MISSING_ARGUMENT;
	else if (value.len != len)
		req->error = QMI_MALFORMED;
	else
		return value.data;
	return NULL;
}

static Service *find_service(Modem *modem, guint8 id)
{
	for (guint i = 0; i < G_N_ELEMENTS(modem->services); i++)
		if (modem->services[i].kind->id == id)
			return &modem->services[i];
	return NULL;
}

/* ------------------------------------------------------------------ out */

static GByteArray *make_frame(guint8 service, guint8 cid, guint8 sdu_flags, guint16 transaction,
			      guint16 message, const GByteArray *tlvs)
{
	gsize sdu = (service == SERVICE_CTL ? 6 : 7) + tlvs->len;
	GByteArray *frame = g_byte_array_sized_new(QMUX_HEADER + sdu);

	put8(frame, 0x01);
	put16(frame, QMUX_HEADER - 1 + sdu);
	put8(frame, FROM_MODEM);
	put8(frame, service);
	put8(frame, cid);
	put8(frame, sdu_flags);
	if (service == SERVICE_CTL)
		put8(frame, transaction);
	else
		put16(frame, transaction);
	put16(frame, message);
	put16(frame, tlvs->len);
	g_byte_array_append(frame, tlvs->data, tlvs->len);
	return frame;
}

static void link_send(ModemLink *link, const GByteArray *frame)
{
	link->send(frame->data, frame->len, link->user);
}

static void indicate(Modem *modem, guint16 message, const GByteArray *tlvs,
		     gboolean (*wants)(const Client *client))
{
	Service *uim = find_service(modem, SERVICE_UIM);

	for (guint cid = 1; cid <= N_CLIENTS; cid++) {
		Client *client = &uim->clients[cid];
		g_autoptr(GByteArray) frame = NULL;

		if (!client->used || !client->link || !wants(client))
			continue;
		frame = make_frame(SERVICE_UIM, cid, 0x04, 0, message, tlvs);
		link_send(client->link, frame);
	}
}

static void late_free(gpointer data)
{
	Late *late = data;

	if (late->source)
		g_source_remove(late->source);
	g_byte_array_unref(late->frame);
	g_free(late);
}

static gboolean late_send(gpointer user)
{
	Late *late = user;

	late->source = 0;
	link_send(late->link, late->frame);
	g_ptr_array_remove_fast(late->modem->late, late);
	return G_SOURCE_REMOVE;
}

static void send_late(ModemLink *link, const GByteArray *frame, guint ms)
{
	Late *late = g_new0(Late, 1);

	late->modem = link->modem;
	late->link = link;
	late->frame = g_byte_array_append(g_byte_array_new(), frame->data, frame->len);
	late->source = g_timeout_add(ms, late_send, late);
	g_ptr_array_add(link->modem->late, late);
}

/* ------------------------------------------------------------------ coming and going */

static gboolean tell(gpointer user)
{
	Modem *modem = user;

	modem->event_source = 0;
	while (!g_queue_is_empty(&modem->events)) {
		ModemEvent event = GPOINTER_TO_UINT(g_queue_pop_head(&modem->events));

		if (modem->event)
			modem->event(event, modem->event_user);
	}
	return G_SOURCE_REMOVE;
}

static void tell_later(Modem *modem, ModemEvent event)
{
	g_queue_push_tail(&modem->events, GUINT_TO_POINTER(event));
	if (!modem->event_source)
		modem->event_source = g_idle_add_full(G_PRIORITY_HIGH, tell, modem, NULL);
}

/* RAM of the modem: clients, and whatever it was waiting for. */
static void forget(Modem *modem)
{
	for (guint i = 0; i < G_N_ELEMENTS(modem->services); i++)
		memset(modem->services[i].clients, 0, sizeof(modem->services[i].clients));
	for (guint i = 0; i < modem->links->len; i++)
		((ModemLink *)g_ptr_array_index(modem->links, i))->stale = TRUE;
	g_ptr_array_set_size(modem->late, 0);
	g_clear_handle_id(&modem->refresh_source, g_source_remove);
	modem->hung = FALSE;
	modem->sim_off = FALSE;
	modem->mode = 0;
}

static void chip_on(Modem *modem)
{
	g_autoptr(GError) error = NULL;

	/* Power lost again while the chip came up: the unit simply starts once more. */
	while (!chip_power_on(modem->chip, &error)) {
		if (!g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP)) {
			g_warning("chip: %s", error->message);
			return;
		}
		g_clear_error(&error);
	}
}

void modem_reset(Modem *modem)
{
	modem->stats.resets++;
	forget(modem);
	chip_power_off(modem->chip);
	chip_on(modem);
	if (modem->plugged)
		tell_later(modem, MODEM_RESET);
}

void modem_power_cut(Modem *modem)
{
	/* The chip is asked nothing more, not even to close: what its file says is what is left. */
	modem_reset(modem);
}

void modem_unplug(Modem *modem)
{
	if (!modem->plugged)
		return;
	modem->plugged = FALSE;
	forget(modem);
	chip_power_off(modem->chip);
	tell_later(modem, MODEM_UNPLUG);
}

void modem_plug(Modem *modem)
{
	if (modem->plugged)
		return;
	modem->plugged = TRUE;
	chip_on(modem);
	tell_later(modem, MODEM_PLUG);
}

gboolean modem_plugged(const Modem *modem)
{
	return modem->plugged;
}

/* ------------------------------------------------------------------ CTL */

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

static void ctl_allocate(Request *req)
{
	const guint8 *arg = request_argument(req, 0x01, 1);
	Service *service;

	if (!arg)
		return;
	service = find_service(req->modem, arg[0]);
	if (!service) {
		req->error = QMI_INVALID_SERVICE_TYPE;
		return;
	}
	for (guint cid = 1; cid <= req->modem->max_clients; cid++) {
		Client *client = &service->clients[cid];

		if (client->used)
			continue;
		memset(client, 0, sizeof(*client));
		client->used = TRUE;
		client->link = req->link;
		put_tlv(req->out, 0x01, (guint8[]){ service->kind->id, cid }, 2);
		return;
	}
	req->error = QMI_CLIENT_IDS_EXHAUSTED;
}

static void ctl_release(Request *req)
{
	const guint8 *arg = request_argument(req, 0x01, 2);
	Service *service;

	if (!arg)
		return;
	service = find_service(req->modem, arg[0]);
	if (!service || arg[1] == 0 || arg[1] > N_CLIENTS || !service->clients[arg[1]].used) {
		req->error = service ? QMI_INVALID_CLIENT_ID : QMI_INVALID_SERVICE_TYPE;
		return;
	}
	memset(&service->clients[arg[1]], 0, sizeof(Client));
	put_tlv(req->out, 0x01, arg, 2);
}

/* A host that syncs has forgotten its client ids: so do we. */
static void ctl_sync(Request *req)
{
	for (guint i = 0; i < G_N_ELEMENTS(req->modem->services); i++)
		memset(req->modem->services[i].clients, 0, sizeof(req->modem->services[i].clients));
}

static void ctl(Request *req)
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

/* ------------------------------------------------------------------ UIM: what it tells */

static const guint8 usim_aid[] = { 0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF,
				   0xFF, 0xFF, 0xFF, 0x89, 0x03, 0x02, 0x00, 0x00 };

static GByteArray *card_status(Modem *modem)
{
	const IfppChipMem *mem = chip_memory(modem->chip);
	gboolean usim = mem && ifpp_chipmem_enabled(mem);
	GByteArray *value = g_byte_array_new();

	put16(value, usim ? 0 : 0xFFFF);	/* primary GW; the other three: none */
	for (guint i = 0; i < 3; i++)
		put16(value, 0xFFFF);
	put8(value, 1);			/* cards */
	put8(value, mem ? 1 : 0);	/* present, absent */
	put8(value, 0);			/* UPIN: unknown, no retries */
	put8(value, 0);
	put8(value, 0);
	put8(value, 0);			/* no error */
	put8(value, usim ? 1 : 0);	/* applications */
	if (usim) {
		put8(value, 2);		/* USIM */
		put8(value, 7);		/* ready */
		put8(value, 2);		/* personalisation: ready */
		put8(value, 0);
		put8(value, 0);
		put8(value, 0);
		put_lv8(value, usim_aid, sizeof(usim_aid));
		put8(value, 0);		/* UPIN does not replace PIN1 */
		put8(value, 3);		/* PIN1 disabled, 3 tries, PUK1 10 */
		put8(value, 3);
		put8(value, 10);
		put8(value, 1);		/* PIN2 enabled, not verified */
		put8(value, 3);
		put8(value, 10);
	}
	return value;
}

static void put_slot_status(Modem *modem, GByteArray *out)
{
	/* Interface characters of a card with T=0 and T=1 that offers the eUICC bit, TS 102 221. */
	static const guint8 atr[] = { 0x3B, 0x9F, 0x96, 0x80, 0x3F, 0xC7, 0x82, 0x80, 0x31, 0xE0, 0x73,
				      0xFE, 0x21, 0x1F, 0x64, 0x08, 0x07, 0x02, 0x00, 0x82, 0x90, 0x00 };
	const IfppChipMem *mem = chip_memory(modem->chip);
	IfppChipProfile *profile = mem ? ifpp_chipmem_enabled(mem) : NULL;
	GByteArray *slot = g_byte_array_new(), *info = g_byte_array_new(), *eid = g_byte_array_new();

	put8(slot, 1);
	put32(slot, mem ? 2 : 1);	/* present, absent */
	put32(slot, 1);			/* active */
	put8(slot, 1);			/* logical slot */
	put_lv8(slot, profile ? profile->iccid : NULL, profile ? 10 : 0);
	put8(info, 1);
	put32(info, 2);			/* UICC */
	put8(info, profile ? 1 : 0);
	put_lv8(info, atr, mem ? sizeof(atr) : 0);
	put8(info, mem != NULL);	/* is an eUICC */
	put8(eid, 1);
	put_lv8(eid, mem ? mem->eid : NULL, mem ? 16 : 0);
	put_tlv_array(out, 0x10, slot);
	put_tlv_array(out, 0x11, info);
	put_tlv_array(out, 0x12, eid);
}

static gboolean wants_card(const Client *client)
{
	return client->events & EVENT_CARD_STATUS;
}

static gboolean wants_slot(const Client *client)
{
	return client->events & EVENT_SLOT_STATUS;
}

static gboolean wants_refresh(const Client *client)
{
	return client->refresh;
}

static void indicate_card(Modem *modem)
{
	g_autoptr(GByteArray) card = g_byte_array_new();
	g_autoptr(GByteArray) slot = g_byte_array_new();

	put_tlv_array(card, 0x10, card_status(modem));
	indicate(modem, 0x0032, card, wants_card);
	put_slot_status(modem, slot);
	indicate(modem, 0x0048, slot, wants_slot);
}

static void indicate_refresh(Modem *modem, guint8 stage)
{
	g_autoptr(GByteArray) tlvs = g_byte_array_new();

	/* stage, UICC reset, primary GW session, no AID, no files */
	put_tlv(tlvs, 0x10, (guint8[]){ stage, 0, 0, 0, 0, 0 }, 6);
	indicate(modem, 0x0033, tlvs, wants_refresh);
}

/* The card asked for a UICC reset: every channel goes, the card comes back as what it is now. */
static gboolean do_refresh(gpointer user)
{
	Modem *modem = user;

	modem->refresh_source = 0;
	indicate_refresh(modem, 1);
	chip_power_off(modem->chip);
	chip_on(modem);
	indicate_refresh(modem, 2);
	indicate_card(modem);
	return G_SOURCE_REMOVE;
}

/* ------------------------------------------------------------------ UIM: APDUs */

gboolean request_slot_ready(Request *req)
{
	const guint8 *slot = request_argument(req, 0x01, 1);

	if (!slot)
		return FALSE;
	if (slot[0] != 1)
		req->error = QMI_INVALID_ARGUMENT;
	else if (req->modem->sim_off)
		req->error = QMI_NO_SIM;
	else if (!chip_powered(req->modem->chip))
		req->error = QMI_DEVICE_NOT_READY;
	return req->error == QMI_OK;
}

/* A command of the modem's own. @sw 0: the chip went dark. */
static GByteArray *card_command(Modem *modem, guint channel, const guint8 *apdu, gsize len, guint16 *sw)
{
	GByteArray *response = chip_transmit(modem->chip, channel, (IfppSpan){ apdu, len });

	*sw = 0;
	if (!response)
		return NULL;
	*sw = response->data[response->len - 2] << 8 | response->data[response->len - 1];
	g_byte_array_set_size(response, response->len - 2);
	return response;
}

static void went_dark(Request *req)
{
	req->silent = TRUE;
	modem_power_cut(req->modem);
}

/* A card asks for its refresh when the answer to the command that wants it has been fetched. */
static void refresh_soon(Modem *modem)
{
	if (chip_take_refresh(modem->chip) && !modem->refresh_source)
		modem->refresh_source = g_idle_add(do_refresh, modem);
}

static void close_channel(Request *req, guint8 channel)
{
	const guint8 apdu[] = { 0x00, 0x70, 0x80, channel };
	g_autoptr(GByteArray) response = NULL;
	guint16 sw;

	response = card_command(req->modem, 0, apdu, sizeof(apdu), &sw);
	if (!response) {
		went_dark(req);
		return;
	}
	put_tlv(req->out, 0x11, (guint8[]){ sw >> 8, sw }, 2);
	if (sw != SW_OK)
		req->error = QMI_INVALID_ARGUMENT;
	refresh_soon(req->modem);
}

static void open_channel(Request *req, IfppSpan aid, guint8 fci)
{
	static const guint8 manage[] = { 0x00, 0x70, 0x00, 0x00, 0x01 };
	guint8 select[5 + 255 + 1] = { 0x00, 0xA4, 0x04, 0x00 };
	g_autoptr(GByteArray) opened = NULL;
	g_autoptr(GByteArray) selected = NULL;
	guint8 channel;
	guint16 sw;

	opened = card_command(req->modem, 0, manage, sizeof(manage), &sw);
	if (!opened) {
		went_dark(req);
		return;
	}
	if (sw != SW_OK) {
		req->error = QMI_INSUFFICIENT_RESOURCES;
		put_tlv(req->out, 0x11, (guint8[]){ sw >> 8, sw }, 2);
		return;
	}
	channel = opened->data[0];
	if (aid.len) {
		select[3] = fci == 0 ? 0x0C : fci == 1 ? 0x04 : 0x00;
		select[4] = aid.len;
		memcpy(select + 5, aid.data, aid.len);
		selected = card_command(req->modem, channel, select, 6 + aid.len, &sw);
		if (!selected) {
			went_dark(req);
			return;
		}
	}
	if (sw != SW_OK) {
		close_channel(req, channel);
		g_byte_array_set_size(req->out, 0);
		req->error = QMI_SIM_FILE_NOT_FOUND;
		put_tlv(req->out, 0x11, (guint8[]){ sw >> 8, sw }, 2);
		return;
	}
	put_tlv(req->out, 0x10, &channel, 1);
	put_tlv(req->out, 0x11, (guint8[]){ sw >> 8, sw }, 2);
	if (selected && selected->len) {
		GByteArray *value = g_byte_array_new();

		put_lv8(value, selected->data, selected->len);
		put_tlv_array(req->out, 0x12, value);
	}
}

static void uim_open(Request *req)
{
	IfppSpan aid = { NULL, 0 }, value;
	guint8 fci = 2;

	if (!request_slot_ready(req))
		return;
	if (request_tlv(req, 0x10, &value)) {
		if (value.len < 1 || value.data[0] != value.len - 1) {
			req->error = QMI_MALFORMED;
			return;
		}
		aid = (IfppSpan){ value.data + 1, value.len - 1 };
	}
	if (request_tlv(req, 0x11, &value) && value.len == 1)
		fci = value.data[0];
	open_channel(req, aid, fci);
}

/* Older form: opens with an AID, closes with a channel. */
static void uim_logical_channel(Request *req)
{
	IfppSpan value;

	if (!request_slot_ready(req))
		return;
	if (request_tlv(req, 0x11, &value) && value.len == 1)
		close_channel(req, value.data[0]);
	else
		uim_open(req);
}

static void answer_apdu(Request *req, const guint8 *data, gsize len)
{
	GByteArray *value = g_byte_array_new();

	put16(value, len);
	g_byte_array_append(value, data, len);
	put_tlv_array(req->out, 0x10, value);
}

/* What a fault does instead of the chip, or around it. FALSE: the APDU is dealt with. */
static gboolean apdu_fault(Request *req, FaultKind kind, guint arg, int channel)
{
	GByteArray *pir;

	req->modem->stats.faults++;
	switch (kind) {
	case FAULT_DELAY:
		req->delay = arg;
		return TRUE;
	case FAULT_ERROR:
		req->error = arg;
		return FALSE;
	case FAULT_SW:
		answer_apdu(req, (guint8[]){ arg >> 8, arg }, 2);
		return FALSE;
	case FAULT_PIR:
		pir = chip_fail_load(req->modem->chip, channel, arg);
		if (!pir)
			return TRUE;
		answer_apdu(req, pir->data, pir->len);
		g_byte_array_unref(pir);
		return FALSE;
	case FAULT_HANG:
		req->modem->hung = TRUE;
		break;
	case FAULT_RESET:
		modem_reset(req->modem);
		break;
	case FAULT_UNPLUG:
		modem_unplug(req->modem);
		break;
	case FAULT_POWER_CUT:
		modem_power_cut(req->modem);
		break;
	default:
		return TRUE;
	}
	req->silent = TRUE;
	return FALSE;
}

static void uim_send_apdu(Request *req)
{
	g_autoptr(GByteArray) response = NULL;
	IfppSpan value, apdu;
	int channel = -1;
	FaultKind kind;
	guint arg = 0;

	if (!request_slot_ready(req))
		return;
	if (!request_tlv(req, 0x02, &value)) {
		req->error = QMI_MISSING_ARGUMENT;
		return;
	}
	if (value.len < 2 || get16(value.data) != value.len - 2) {
		req->error = QMI_MALFORMED;
		return;
	}
	apdu = (IfppSpan){ value.data + 2, value.len - 2 };
	/* The modem knows the channel; what the host wrote into CLA does not count. */
	if (request_tlv(req, 0x10, &value) && value.len == 1)
		channel = value.data[0];

	req->modem->stats.send_apdus++;
	kind = faults_next(req->modem->faults, FAULT_AT_APDU, &arg);
	if (kind != FAULT_NONE && !apdu_fault(req, kind, arg, channel))
		return;
	response = chip_transmit(req->modem->chip, channel, apdu);
	if (!response) {
		went_dark(req);
		return;
	}
	if (kind == FAULT_RESET_AFTER || kind == FAULT_POWER_CUT_AFTER) {
		req->silent = TRUE;
		modem_reset(req->modem);
		return;
	}
	answer_apdu(req, response->data, response->len);
	if (response->len != 2 || response->data[0] != 0x61)
		refresh_soon(req->modem);
}

/* ------------------------------------------------------------------ UIM: the rest */

static void uim_power(Request *req, gboolean on)
{
	const guint8 *slot = request_argument(req, 0x01, 1);

	if (!slot)
		return;
	if (slot[0] != 1) {
		req->error = QMI_INVALID_ARGUMENT;
		return;
	}
	if (on == !req->modem->sim_off && on == chip_powered(req->modem->chip)) {
		req->error = QMI_NO_EFFECT;
		return;
	}
	chip_power_off(req->modem->chip);
	if (on)
		chip_on(req->modem);
	req->modem->sim_off = !on;
	indicate_card(req->modem);
}

static void uim_register_events(Request *req)
{
	const guint8 *mask = request_argument(req, 0x01, 4);

	if (!mask)
		return;
	req->client->events =
		(get16(mask) | (guint32)get16(mask + 2) << 16) & (EVENT_CARD_STATUS | EVENT_SLOT_STATUS);
	put_tlv(req->out, 0x10, (guint8[]){ req->client->events, 0, 0, 0 }, 4);
}

static void uim_refresh_register(Request *req)
{
	IfppSpan value;

	if (request_tlv(req, 0x02, &value) && value.len)
		req->client->refresh = value.data[0] != 0;
	else
		req->error = QMI_MISSING_ARGUMENT;
}

static void uim_switch_slot(Request *req)
{
	const guint8 *logical = request_argument(req, 0x01, 1), *physical;

	if (!logical)
		return;
	physical = request_argument(req, 0x02, 4);
	if (!physical)
		return;
	if (logical[0] != 1 || physical[0] != 1 || physical[1] || physical[2] || physical[3])
		req->error = QMI_INVALID_ARGUMENT;
	else
		req->error = QMI_NO_EFFECT;
}

static void uim(Request *req)
{
	if (modem_files(req))
		return;
	switch (req->message) {
	case 0x0000:
		req->client->events = 0;
		req->client->refresh = FALSE;
		break;
	case 0x002A:
	case 0x0044:
		uim_refresh_register(req);
		break;
	case 0x002C:	/* Refresh Complete */
		break;
	case 0x002E:
		uim_register_events(req);
		break;
	case 0x002F:
		put_tlv_array(req->out, 0x10, card_status(req->modem));
		break;
	case 0x0030:
		uim_power(req, FALSE);
		break;
	case 0x0031:
		uim_power(req, TRUE);
		break;
	case 0x003B:
		uim_send_apdu(req);
		break;
	case 0x003F:
		uim_logical_channel(req);
		break;
	case 0x0042:
		uim_open(req);
		break;
	case 0x0046:
		uim_switch_slot(req);
		break;
	case 0x0047:
		put_slot_status(req->modem, req->out);
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}

/* ------------------------------------------------------------------ in */

static GByteArray *make_response(const Request *req)
{
	g_autoptr(GByteArray) tlvs = g_byte_array_new();

	put8(tlvs, 0x02);
	put16(tlvs, 4);
	put16(tlvs, req->error ? 1 : 0);
	put16(tlvs, req->error);
	g_byte_array_append(tlvs, req->out->data, req->out->len);
	return make_frame(req->service, req->cid, req->service == SERVICE_CTL ? 0x01 : 0x02, req->transaction,
			  req->message, tlvs);
}

static void dispatch(Request *req)
{
	Service *service;

	if (!tlvs_sound(req->tlvs)) {
		req->error = QMI_MALFORMED;
		return;
	}
	if (req->service == SERVICE_CTL) {
		ctl(req);
		return;
	}
	service = find_service(req->modem, req->service);
	if (!service || req->cid == 0 || req->cid > N_CLIENTS || !service->clients[req->cid].used) {
		req->error = QMI_INVALID_CLIENT_ID;
		return;
	}
	req->client = &service->clients[req->cid];
	req->client->link = req->link;
	service->requests++;
	service->kind->handle(req);
}

/* Before anything is done. FALSE: the request is dealt with. */
static gboolean request_fault(Request *req, FaultKind kind, guint arg)
{
	if (kind == FAULT_NONE)
		return TRUE;
	req->modem->stats.faults++;
	switch (kind) {
	case FAULT_LOSE:
		return FALSE;
	case FAULT_HANG:
		req->modem->hung = TRUE;
		return FALSE;
	case FAULT_RESET:
	case FAULT_POWER_CUT:
		modem_reset(req->modem);
		return FALSE;
	case FAULT_UNPLUG:
		modem_unplug(req->modem);
		return FALSE;
	case FAULT_DELAY:
		req->delay = arg;
		return TRUE;
	default:
		return TRUE;
	}
}

static void respond(Request *req, FaultKind kind)
{
	g_autoptr(GByteArray) frame = make_response(req);

	switch (kind) {
	case FAULT_DROP:
		return;
	case FAULT_TRUNCATE:
		g_byte_array_set_size(frame, frame->len / 2);
		break;
	case FAULT_CORRUPT:
		frame->data[frame->len / 2] ^= 0x55;
		break;
	case FAULT_DUPLICATE:
		link_send(req->link, frame);
		break;
	default:
		break;
	}
	if (req->delay)
		send_late(req->link, frame, req->delay);
	else
		link_send(req->link, frame);
}

static void handle_frame(ModemLink *link, const guint8 *frame, gsize len)
{
	Modem *modem = link->modem;
	Request req = { .modem = modem, .link = link, .service = frame[4], .cid = frame[5] };
	gsize head = req.service == SERVICE_CTL ? 6 : 7;
	const guint8 *sdu = frame + QMUX_HEADER;
	gsize sdu_len = len - QMUX_HEADER;
	FaultKind kind;
	guint arg = 0;

	/* Not a request to a modem: nobody could match an answer to it. */
	if (frame[3] != 0 || sdu_len < head || sdu[0] != 0 || modem->hung || link->stale)
		return;
	req.transaction = req.service == SERVICE_CTL ? sdu[1] : get16(sdu + 1);
	req.message = get16(sdu + head - 4);
	req.tlvs = (IfppSpan){ sdu + head, sdu_len - head };
	modem->stats.requests++;
	kind = faults_next(modem->faults, FAULT_AT_QMI, &arg);
	if (!request_fault(&req, kind, arg))
		return;
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

gboolean modem_link_receive(ModemLink *link, const guint8 *data, gsize len)
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

/* ------------------------------------------------------------------ life */

ModemLink *modem_link_new(Modem *modem, ModemSendFunc send, gpointer user)
{
	ModemLink *link = g_new0(ModemLink, 1);

	link->modem = modem;
	link->send = send;
	link->user = user;
	link->in = g_byte_array_new();
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
	for (guint i = modem->late->len; i-- > 0;)
		if (((Late *)g_ptr_array_index(modem->late, i))->link == link)
			g_ptr_array_remove_index_fast(modem->late, i);
	g_ptr_array_remove_fast(modem->links, link);
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
	{ SERVICE_UIM, "uim", 1, 55, uim },
	{ SERVICE_WDA, "wda", 1, 16, modem_wda },
};

Modem *modem_new(Chip *chip)
{
	Modem *modem = g_new0(Modem, 1);

	modem->chip = chip;
	modem->faults = faults_new();
	for (guint i = 0; i < N_SERVICES; i++)
		modem->services[i].kind = &kinds[i];
	modem->modes = MODEM_MODES;
	modem->link_layer = 1;
	modem->max_clients = 16;
	modem->links = g_ptr_array_new();
	modem->late = g_ptr_array_new_with_free_func(late_free);
	modem->plugged = TRUE;
	g_queue_init(&modem->events);
	chip_set_write_hook(chip, write_fault, modem);
	return modem;
}

void modem_free(Modem *modem)
{
	if (!modem)
		return;
	forget(modem);
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

void modem_set_max_clients(Modem *modem, guint max)
{
	modem->max_clients = CLAMP(max, 1, N_CLIENTS);
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

const ModemStats *modem_stats(const Modem *modem)
{
	return &modem->stats;
}
