// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: logical channels, APDUs, and what the terminal in the modem does of its own accord. */
#include "modem-services.h"

#include <string.h>

static GByteArray *card_command(Modem *modem, guint channel, const guint8 *apdu, gsize len, guint16 *sw);

#define COMMAND_REFRESH 0x01	/* TS 102 223 9.4 */

/* FETCH and TERMINAL RESPONSE, as the terminal in the modem does them. FALSE: it was no REFRESH. */
static gboolean take_proactive(Modem *modem)
{
	guint8 fetch[] = { 0x80, 0x12, 0x00, 0x00, modem->proactive_len };
	/* command details as fetched, terminal to UICC, performed successfully */
	guint8 done[] = { 0x80, 0x14, 0x00, 0x00, 0x0C, 0x81, 0x03, 0x01, 0x00,
			  0x00, 0x82, 0x02, 0x82, 0x81, 0x83, 0x01, 0x00 };
	g_autoptr(GByteArray) command = NULL;
	g_autoptr(GByteArray) answer = NULL;
	guint16 sw;

	command = card_command(modem, 0, fetch, sizeof(fetch), &sw);
	if (!command || command->len < 7 || command->len != fetch[4])
		return FALSE;
	memcpy(done + 7, command->data + 4, 3);
	answer = card_command(modem, 0, done, sizeof(done), &sw);
	return answer && command->data[5] == COMMAND_REFRESH;
}

/* The card asked for a UICC reset: every channel goes, the card comes back as what it is now. */
static gboolean do_refresh(gpointer user)
{
	Modem *modem = user;

	modem->refresh_source = 0;
	if (!take_proactive(modem))
		return G_SOURCE_REMOVE;
	modem_indicate_refresh(modem, 1);
	chip_power_reset(modem->chip);
	modem_chip_on(modem);
	modem_indicate_refresh(modem, 2);
	modem_indicate_card(modem);
	return G_SOURCE_REMOVE;
}

static GByteArray *transmit(Modem *modem, int channel, IfppSpan apdu)
{
	ChipStats before = *chip_stats(modem->chip);
	GByteArray *response = chip_transmit(modem->chip, channel, apdu);

	wire_exchange(&modem->wire, apdu, response, &before, chip_stats(modem->chip));
	return response;
}

/* The card has announced a proactive command: dealt with when the answer is out, before any request. */
static void refresh_soon(Modem *modem, guint8 len)
{
	modem->proactive_len = len;
	if (!modem->refresh_source)
		modem->refresh_source = g_idle_add_full(G_PRIORITY_HIGH, do_refresh, modem, NULL);
}

static guint8 interindustry_cla(guint channel)
{
	return channel < 4 ? channel : 0x40 | (channel - 4);
}

/* What 61xx announces, fetched by the modem; @response is taken. NULL: the chip went dark. */
static GByteArray *fetch_rest(Modem *modem, int channel, guint8 cla, GByteArray *response)
{
	guint8 get[] = { channel < 0 ? cla & 0x7F : interindustry_cla(channel), 0xC0, 0, 0, 0 };

	while (response->data[response->len - 2] == 0x61) {
		g_autoptr(GByteArray) more = NULL;

		get[4] = response->data[response->len - 1];
		more = transmit(modem, channel, IFPP_SPAN(get));
		if (!more) {
			g_byte_array_unref(response);
			return NULL;
		}
		g_byte_array_set_size(response, response->len - 2);
		g_byte_array_append(response, more->data, more->len);
	}
	return response;
}

/* A command of the modem's own. @sw 0: the chip went dark. */
static GByteArray *card_command(Modem *modem, guint channel, const guint8 *apdu, gsize len, guint16 *sw)
{
	GByteArray *response = transmit(modem, channel, (IfppSpan){ apdu, len });

	*sw = 0;
	if (response)
		response = fetch_rest(modem, channel, apdu[0], response);
	if (!response)
		return NULL;
	*sw = response->data[response->len - 2] << 8 | response->data[response->len - 1];
	g_byte_array_set_size(response, response->len - 2);
	if (*sw >> 8 == SW_PROACTIVE >> 8) {
		refresh_soon(modem, *sw);
		*sw = SW_OK;
	}
	return response;
}

static void went_dark(Request *req)
{
	req->silent = TRUE;
	modem_power_cut(req->modem);
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
		select[0] = interindustry_cla(channel);
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

void modem_uim_open(Request *req)
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
void modem_uim_logical_channel(Request *req)
{
	IfppSpan value;

	if (!request_slot_ready(req))
		return;
	if (request_tlv(req, 0x11, &value) && value.len == 1)
		close_channel(req, value.data[0]);
	else
		modem_uim_open(req);
}

static void answer_apdu(Request *req, const guint8 *data, gsize len)
{
	GByteArray *value = g_byte_array_new();

	put16(value, len);
	g_byte_array_append(value, data, len);
	put_tlv_array(req->out, 0x10, value);
}

/* What a fault does instead of the chip, or around it. FALSE: the APDU is dealt with. */
static gboolean apdu_fault(Request *req, FaultKind kind, guint arg, int channel, guint8 *apdu, gsize apdu_len)
{
	GByteArray *pir;

	req->modem->stats.faults++;
	switch (kind) {
	case FAULT_DELAY:
		req->delay = arg;
		return TRUE;
	case FAULT_GARBLE:
		if (apdu_len)
			apdu[arg % apdu_len] ^= 0x55;
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

/* A command whose data is longer than this modem, or its card, takes. */
static gboolean too_long(Request *req, const guint8 *apdu, gsize len)
{
	const Quirks *quirks = &req->modem->quirks;

	if (!quirks->apdu_limit || len <= 5 || apdu[4] <= quirks->apdu_limit)
		return FALSE;
	if (quirks->limit_error)
		req->error = quirks->limit_error;
	else
		answer_apdu(req, (const guint8[]){ SW_WRONG_LENGTH >> 8, SW_WRONG_LENGTH & 0xFF }, 2);
	return TRUE;
}

/* Is the card still there? TS 102 221 14.5. */
static void poll_card(Modem *modem)
{
	static const guint8 status[] = { 0x80, 0xF2, 0x00, 0x0C };
	g_autoptr(GByteArray) response = NULL;
	guint16 sw;

	response = card_command(modem, 0, status, sizeof(status), &sw);
}

void modem_uim_send_apdu(Request *req)
{
	g_autoptr(GByteArray) response = NULL;
	g_autofree guint8 *apdu = NULL;
	IfppSpan value;
	const Quirks *quirks = &req->modem->quirks;
	guint64 installed;
	gsize apdu_len;
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
	apdu_len = value.len - 2;
	apdu = g_memdup2(value.data + 2, apdu_len);	/* a fault may change it on its way */
	/* The modem knows the channel; what the host wrote into CLA does not count, unless the modem hands it on. */
	if (!quirks->forward_cla && request_tlv(req, 0x10, &value) && value.len == 1)
		channel = value.data[0];

	req->modem->stats.send_apdus++;
	kind = faults_next(req->modem->faults, FAULT_AT_APDU, &arg);
	if (kind != FAULT_NONE && !apdu_fault(req, kind, arg, channel, apdu, apdu_len))
		return;
	if (too_long(req, apdu, apdu_len))
		return;
	installed = chip_stats(req->modem->chip)->installed;
	if (quirks->status_every && ++req->modem->host_apdus % quirks->status_every == 0)
		poll_card(req->modem);
	response = transmit(req->modem, channel, (IfppSpan){ apdu, apdu_len });
	if (response && quirks->fetch_response)
		response = fetch_rest(req->modem, channel, apdu_len ? apdu[0] : 0, response);
	if (!response) {
		went_dark(req);
		return;
	}
	if (installed != chip_stats(req->modem->chip)->installed)
		req->delay += quirks->install_ms;
	if (kind == FAULT_RESET_AFTER || kind == FAULT_POWER_CUT_AFTER) {
		req->silent = TRUE;
		modem_reset(req->modem);
		return;
	}
	answer_apdu(req, response->data, response->len);
	/* The last bytes of the answer: the host has all of it. */
	if (response->data[response->len - 2] == SW_PROACTIVE >> 8)
		refresh_soon(req->modem, response->data[response->len - 1]);
}
