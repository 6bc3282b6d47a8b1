// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMI NAS, WDS and WDA of a modem that hears nobody: enough for a connection manager to list it,
 * switch it on and say why there is no network. The numbers are libqmi's.
 */
#include "modem-services.h"


static gboolean subscriber(Modem *modem)
{
	return !modem->sim_off && chip_enabled(modem->chip);
}

static gboolean online(Modem *modem)
{
	return modem->mode == 0;
}

/* ------------------------------------------------------------------ NAS */

static void nas_signal_strength(Request *req)
{
	/* dBm; no radio */
	put_tlv(req->out, 0x01, (guint8[]){ (guint8)-125, 0 }, 2);
}

static void nas_serving_system(Request *req)
{
	gboolean searching = online(req->modem) && subscriber(req->modem);

	/* not registered, or searching; CS and PS detached; 3GPP; no radio interface */
	put_tlv(req->out, 0x01, (guint8[]){ searching ? 2 : 0, 2, 2, 2, 0 }, 5);
	put_tlv(req->out, 0x10, (guint8[]){ 1 }, 1);	/* roaming: off */
}

static void nas_system_info(Request *req)
{
	/* GSM, UMTS, LTE: no service, truly none, no preferred path */
	for (guint8 tlv = 0x12; tlv <= 0x14; tlv++)
		put_tlv(req->out, tlv, (guint8[]){ 0, 0, 0 }, 3);
}

static void nas_selection(Request *req)
{
	GByteArray *value = g_byte_array_new();

	put_tlv(req->out, 0x10, (guint8[]){ 0 }, 1);		/* no emergency mode */
	put16(value, req->modem->modes);
	put_tlv_array(req->out, 0x11, value);
	value = g_byte_array_new();
	put64(value, MODEM_BANDS);
	put_tlv_array(req->out, 0x12, value);
	put_tlv(req->out, 0x14, (guint8[]){ 0xFF, 0 }, 2);	/* roaming: any */
	value = g_byte_array_new();
	put64(value, MODEM_BANDS_LTE);
	put_tlv_array(req->out, 0x15, value);
	put_tlv(req->out, 0x16, (guint8[]){ 0 }, 1);		/* network: automatic */
	put_tlv(req->out, 0x18, (guint8[]){ 2, 0, 0, 0 }, 4);	/* domain: CS and PS */
	put_tlv(req->out, 0x19, (guint8[]){ 0, 0, 0, 0 }, 4);	/* GSM or UMTS first: automatic */
}

static void nas_select(Request *req)
{
	IfppSpan value;

	if (!request_tlv(req, 0x11, &value))
		return;
	if (value.len != 2)
		req->error = QMI_MALFORMED;
	else if (!(get16(value.data) & MODEM_MODES))
		req->error = QMI_INVALID_ARGUMENT;
	else
		req->modem->modes = get16(value.data) & MODEM_MODES;
}

void modem_nas(Request *req)
{
	switch (req->message) {
	case 0x0000:	/* Reset */
	case 0x0002:	/* Set Event Report */
	case 0x0003:	/* Register Indications */
	case 0x0050:	/* Config Signal Info: nothing will ever change */
		break;
	case 0x0020:
		nas_signal_strength(req);
		break;
	case 0x0021:	/* Network Scan: none */
		put_tlv(req->out, 0x10, (guint8[]){ 0, 0 }, 2);
		break;
	case 0x0022:	/* Initiate Network Register */
		if (!online(req->modem))
			req->error = QMI_DEVICE_NOT_READY;
		else if (!subscriber(req->modem))
			req->error = QMI_NO_SIM;
		break;
	case 0x0024:
		nas_serving_system(req);
		break;
	case 0x0033:
		nas_select(req);
		break;
	case 0x0034:
		nas_selection(req);
		break;
	case 0x004D:
		nas_system_info(req);
		break;
	case 0x004F:	/* Get Signal Info: of no network */
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}

/* ------------------------------------------------------------------ WDS */

static void wds_start(Request *req)
{
	req->error = QMI_CALL_FAILED;
	put_tlv(req->out, 0x10, (guint8[]){ 3, 0 }, 2);			/* call end: no service */
	put_tlv(req->out, 0x11, (guint8[]){ 3, 0, 0xD1, 0x07 }, 4);	/* call manager: no service */
}

void modem_wds(Request *req)
{
	switch (req->message) {
	case 0x0000:	/* Reset */
	case 0x0001:	/* Set Event Report */
	case 0x0003:	/* Indication Register */
	case 0x004D:	/* Set IP Family */
	case 0x00A2:	/* Bind Mux Data Port */
		break;
	case 0x0020:
		wds_start(req);
		break;
	case 0x0021:	/* Stop Network: none runs */
		req->error = QMI_NO_EFFECT;
		break;
	case 0x0022:	/* Get Packet Service Status: disconnected */
		put_tlv(req->out, 0x01, (guint8[]){ 1 }, 1);
		break;
	case 0x002A:	/* Get Profile List: empty */
		put_tlv(req->out, 0x01, (guint8[]){ 0 }, 1);
		break;
	case 0x002D:	/* Get Current Settings */
		req->error = QMI_OUT_OF_CALL;
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}

/* ------------------------------------------------------------------ WDA */

static void wda_format(Request *req)
{
	put_tlv(req->out, 0x10, (guint8[]){ 0 }, 1);		/* no QoS header */
	put_tlv(req->out, 0x11, (guint8[]){ req->modem->link_layer, 0, 0, 0 }, 4);
	put_tlv(req->out, 0x12, (guint8[]){ 0, 0, 0, 0 }, 4);	/* no aggregation up, none down */
	put_tlv(req->out, 0x13, (guint8[]){ 0, 0, 0, 0 }, 4);
}

static void wda_set_format(Request *req)
{
	IfppSpan value;

	if (request_tlv(req, 0x11, &value)) {
		if (value.len != 4) {
			req->error = QMI_MALFORMED;
			return;
		}
		if (get32(value.data) != 1 && get32(value.data) != 2) {
			req->error = QMI_INVALID_ARGUMENT;
			return;
		}
		req->modem->link_layer = get32(value.data);
	}
	wda_format(req);
}

void modem_wda(Request *req)
{
	switch (req->message) {
	case 0x0020:
		wda_set_format(req);
		break;
	case 0x0021:
		wda_format(req);
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}
