// SPDX-License-Identifier: GPL-2.0-or-later
/* The modem's base: requests and answers, client ids, coming and going. It knows none of the services. */
#include "modem-base.h"

#include <string.h>

#include "error.h"

#define FROM_MODEM 0x80

typedef struct {
	Modem *modem;
	ModemLink *link;
	GByteArray *frame;
	guint source;
} Late;

/* ------------------------------------------------------------------ requests */

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

gboolean request_tlvs_sound(IfppSpan tlvs)
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

Service *modem_find_service(Modem *modem, guint8 id)
{
	for (guint i = 0; i < G_N_ELEMENTS(modem->services); i++)
		if (modem->services[i].kind->id == id)
			return &modem->services[i];
	return NULL;
}

gboolean request_slot_ready(Request *req)
{
	const guint8 *slot = request_argument(req, 0x01, 1);

	if (!slot)
		return FALSE;
	if (slot[0] != 1)
		req->error = QMI_INVALID_ARGUMENT;
	else if (req->modem->sim_off)
		req->error = QMI_NO_SIM;
	else if (modem_chip_slot(req->modem) != req->modem->slot)
		req->error = QMI_NO_SIM;
	else if (!chip_powered(req->modem->chip))
		req->error = QMI_DEVICE_NOT_READY;
	return req->error == QMI_OK;
}

/* ------------------------------------------------------------------ out */

GByteArray *modem_frame(guint8 service, guint8 cid, guint8 sdu_flags, guint16 transaction,
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

void modem_link_send(ModemLink *link, const GByteArray *frame)
{
	g_autoptr(GByteArray) covered = link->cover ? link->cover(link, frame) : NULL;

	modem_link_send_raw(link, covered ? covered : frame, 0);
}

void modem_indicate(Modem *modem, guint16 message, const GByteArray *tlvs,
		    gboolean (*wants)(const Client *client))
{
	Service *uim = modem_find_service(modem, SERVICE_UIM);

	for (guint cid = 1; cid <= N_CLIENTS; cid++) {
		Client *client = &uim->clients[cid];
		g_autoptr(GByteArray) frame = NULL;

		if (!client->used || !client->link || !wants(client))
			continue;
		frame = modem_frame(SERVICE_UIM, cid, 0x04, 0, message, tlvs);
		modem_link_send(client->link, frame);
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
	late->link->send(late->frame->data, late->frame->len, late->link->user);
	g_ptr_array_remove_fast(late->modem->late, late);
	return G_SOURCE_REMOVE;
}

void modem_link_send_raw(ModemLink *link, const GByteArray *message, guint delay)
{
	Late *late;

	if (!delay) {
		link->send(message->data, message->len, link->user);
		return;
	}
	late = g_new0(Late, 1);
	late->modem = link->modem;
	late->link = link;
	late->frame = g_byte_array_append(g_byte_array_new(), message->data, message->len);
	late->source = g_timeout_add(delay, late_send, late);
	g_ptr_array_add(link->modem->late, late);
}

void modem_link_answer(ModemLink *link, const GByteArray *message, FaultKind kind, guint delay)
{
	g_autoptr(GByteArray) sent = g_byte_array_append(g_byte_array_new(), message->data, message->len);

	switch (kind) {
	case FAULT_DROP:
		return;
	case FAULT_TRUNCATE:
		g_byte_array_set_size(sent, sent->len / 2);
		break;
	case FAULT_CORRUPT:
		sent->data[sent->len / 2] ^= 0x55;
		break;
	case FAULT_DUPLICATE:
		modem_link_send_raw(link, sent, 0);
		break;
	default:
		break;
	}
	modem_link_send_raw(link, sent, delay);
}

gboolean modem_request_fault(Modem *modem, FaultKind kind, guint arg, guint8 *bytes, gsize len, guint *delay)
{
	if (kind == FAULT_NONE)
		return TRUE;
	modem->stats.faults++;
	switch (kind) {
	case FAULT_LOSE:
		return FALSE;
	case FAULT_HANG:
		modem->hung = TRUE;
		return FALSE;
	case FAULT_RESET:
	case FAULT_POWER_CUT:
		modem_reset(modem);
		return FALSE;
	case FAULT_UNPLUG:
		modem_unplug(modem);
		return FALSE;
	case FAULT_DELAY:
		*delay = arg;
		return TRUE;
	case FAULT_GARBLE:
		bytes[arg % len] ^= 0x55;
		return TRUE;
	default:
		return TRUE;
	}
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

void modem_forget(Modem *modem)
{
	for (guint i = 0; i < G_N_ELEMENTS(modem->services); i++)
		memset(modem->services[i].clients, 0, sizeof(modem->services[i].clients));
	for (guint i = 0; i < modem->links->len; i++)
		((ModemLink *)g_ptr_array_index(modem->links, i))->stale = TRUE;
	g_ptr_array_set_size(modem->late, 0);
	memset(modem->channel_groups, 0, sizeof(modem->channel_groups));
	g_clear_pointer(&modem->terminal_capability, g_byte_array_unref);
	g_clear_handle_id(&modem->refresh_source, g_source_remove);
	modem->hung = FALSE;
	modem->sim_off = FALSE;
	modem->mode = 0;
}

guint modem_chip_slot(const Modem *modem)
{
	return MAX(modem->quirks.slots, 1);
}

gboolean modem_card_present(const Modem *modem)
{
	return chip_powered(modem->chip) && modem->slot == modem_chip_slot(modem);
}

void modem_chip_on(Modem *modem)
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
	modem_forget(modem);
	chip_power_off(modem->chip);
	modem_chip_on(modem);
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
	modem_forget(modem);
	chip_power_off(modem->chip);
	tell_later(modem, MODEM_UNPLUG);
}

void modem_plug(Modem *modem)
{
	if (modem->plugged)
		return;
	modem->plugged = TRUE;
	modem_chip_on(modem);
	tell_later(modem, MODEM_PLUG);
}

guint modem_slot(const Modem *modem)
{
	return modem->slot;
}

gboolean modem_plugged(const Modem *modem)
{
	return modem->plugged;
}

void modem_late_init(Modem *modem)
{
	modem->late = g_ptr_array_new_with_free_func(late_free);
}

void modem_late_drop(ModemLink *link)
{
	GPtrArray *late = link->modem->late;

	for (guint i = late->len; i-- > 0;)
		if (((Late *)g_ptr_array_index(late, i))->link == link)
			g_ptr_array_remove_index_fast(late, i);
}
