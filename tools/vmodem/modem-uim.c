// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: card, slots, events, refresh; who asks for APDUs and files goes on to modem-apdu.c and modem-files.c. */
#include "modem-services.h"

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
		modem_chip_on(req->modem);
	req->modem->sim_off = !on;
	modem_indicate_card(req->modem);
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
	if (logical[0] != 1 || !get32(physical) || get32(physical) > modem_chip_slot(req->modem)) {
		req->error = QMI_INVALID_ARGUMENT;
	} else if (get32(physical) == req->modem->slot) {
		req->error = QMI_NO_EFFECT;
	} else {
		modem_switch_slot(req->modem, get32(physical));
	}
}

void modem_uim(Request *req)
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
		put_tlv_array(req->out, 0x10, modem_card_status(req->modem));
		break;
	case 0x0030:
		uim_power(req, FALSE);
		break;
	case 0x0031:
		uim_power(req, TRUE);
		break;
	case 0x003B:
		modem_uim_send_apdu(req);
		break;
	case 0x003F:
		modem_uim_logical_channel(req);
		break;
	case 0x0042:
		modem_uim_open(req);
		break;
	case 0x0046:
		uim_switch_slot(req);
		break;
	case 0x0047:
		if (req->modem->quirks.no_slot_status)
			req->error = QMI_INVALID_COMMAND;
		else
			modem_put_slot_status(req->modem, req->out);
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}
