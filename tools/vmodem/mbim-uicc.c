// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Microsoft's low-level UICC access: as firmware that has QMI at its heart does it, each command is a request of QMI
 * UIM inside, so that faults and quirks of the card are the same.
 */
#include "mbim-base.h"
#include "modem-services.h"

enum {
	UICC_ATR = 1,
	UICC_OPEN_CHANNEL,
	UICC_CLOSE_CHANNEL,
	UICC_APDU,
	UICC_TERMINAL_CAPABILITY,
	UICC_RESET,
};

#define RESPONSE_HEADER 12	/* of an APDU's: status, size, offset */

static guint32 status_of(guint16 error)
{
	switch (error) {
	case QMI_OK:
		return MBIM_OK;
	case QMI_NO_SIM:
		return MBIM_SIM_NOT_INSERTED;
	case QMI_DEVICE_NOT_READY:
		return MBIM_NOT_INITIALIZED;
	case QMI_SIM_FILE_NOT_FOUND:
		return MBIM_SELECT_FAILED;
	case QMI_INSUFFICIENT_RESOURCES:
		return MBIM_NO_LOGICAL_CHANNELS;
	case QMI_ARGUMENT_TOO_LONG:
		return MBIM_PARAMETER_TOO_LONG;
	case QMI_INVALID_ARGUMENT:
	case QMI_MALFORMED:
		return MBIM_INVALID_PARAMETERS;
	default:
		return MBIM_FAILURE;
	}
}

/* @handle a request with @tlvs (taken) about the active slot. The answer's TLVs are left to who calls. */
static GByteArray *ask(MbimCommand *command, void (*handle)(Request *req), GByteArray *tlvs)
{
	Request req = { .modem = command->modem, .link = command->link, .service = SERVICE_UIM };

	put_tlv(tlvs, 0x01, (const guint8[]){ 1 }, 1);
	req.tlvs = (IfppSpan){ tlvs->data, tlvs->len };
	req.out = g_byte_array_new();
	handle(&req);
	command->status = status_of(req.error);
	command->silent = req.silent;
	command->delay += req.delay;
	g_byte_array_unref(tlvs);
	return req.out;
}

static gboolean answer_tlv(const GByteArray *out, guint8 type, IfppSpan *value)
{
	const Request req = { .tlvs = { out->data, out->len } };

	return request_tlv(&req, type, value);
}

static void open_channel(MbimCommand *command)
{
	GByteArray *tlvs = g_byte_array_new(), *name = g_byte_array_new();
	g_autoptr(GByteArray) out = NULL;
	guint32 p2 = 0, group = 0;
	IfppSpan aid, channel, sw, fci = { NULL, 0 };

	if (!mbim_bytes(command, 0, &aid) || !mbim_number(command, 2, &p2) || !mbim_number(command, 3, &group) ||
	    aid.len > 32) {
		command->status = MBIM_INVALID_PARAMETERS;
		g_byte_array_unref(tlvs);
		g_byte_array_unref(name);
		return;
	}
	put_lv8(name, aid.data, aid.len);
	put_tlv_array(tlvs, 0x10, name);
	put_tlv(tlvs, 0x11, (const guint8[]){ p2 == 0x0C ? 0 : p2 == 0x04 ? 1 : 2 }, 1);
	out = ask(command, modem_uim_open, tlvs);
	if (command->silent || command->status || !answer_tlv(out, 0x10, &channel) || !answer_tlv(out, 0x11, &sw))
		return;
	command->modem->channel_groups[channel.data[0]] = group;
	if (answer_tlv(out, 0x12, &fci))
		fci = (IfppSpan){ fci.data + 1, fci.len - 1 };
	put32(command->out, get16(sw.data));
	put32(command->out, channel.data[0]);
	put32(command->out, fci.len);
	put32(command->out, fci.len ? 16 : 0);
	mbim_put_bytes(command->out, fci.data, fci.len);
}

static void close_one(MbimCommand *command, guint8 channel)
{
	GByteArray *tlvs = g_byte_array_new();
	g_autoptr(GByteArray) out = NULL;

	put_tlv(tlvs, 0x11, &channel, 1);
	out = ask(command, modem_uim_logical_channel, tlvs);
	command->modem->channel_groups[channel] = 0;
	if (command->status == MBIM_INVALID_PARAMETERS)
		command->status = MBIM_INVALID_LOGICAL_CHANNEL;
}

/* A channel by its number, or number 0: all that were opened with the same tag. */
static void close_channel(MbimCommand *command)
{
	guint32 channel, group;

	if (!mbim_number(command, 0, &channel) || !mbim_number(command, 1, &group))
		return;
	if (channel >= CHIP_CHANNELS) {
		command->status = MBIM_INVALID_LOGICAL_CHANNEL;
	} else if (channel) {
		close_one(command, channel);
	} else {
		for (guint i = 1; group && i < CHIP_CHANNELS && !command->silent; i++)
			if (command->modem->channel_groups[i] == group)
				close_one(command, i);
		command->status = MBIM_OK;
	}
	put32(command->out, 0x0090);
}

/* TS 102 221 10.1.1: the function makes the class byte of the kind of command and the channel. */
static guint8 class_byte(gboolean extended, guint32 channel)
{
	guint8 base = extended ? 0x80 : 0x00;

	return channel < 4 ? base | channel : base | 0x40 | (channel - 4);
}

static void apdu(MbimCommand *command)
{
	GByteArray *tlvs, *data;
	g_autoptr(GByteArray) out = NULL;
	guint32 channel, secure, extended;
	IfppSpan body, response;
	guint8 number;

	if (!mbim_number(command, 0, &channel) || !mbim_number(command, 1, &secure) ||
	    !mbim_number(command, 2, &extended) || !mbim_bytes(command, 3, &body))
		return;
	if (!channel || channel >= CHIP_CHANNELS || secure || extended > 1 || body.len < 4 || body.len > 261) {
		command->status = MBIM_INVALID_PARAMETERS;
		return;
	}
	number = channel;
	tlvs = g_byte_array_new();
	data = g_byte_array_new();
	put16(data, body.len);
	put8(data, command->modem->quirks.forward_cla ? body.data[0] : class_byte(extended, channel));
	g_byte_array_append(data, body.data + 1, body.len - 1);
	put_tlv_array(tlvs, 0x02, data);
	put_tlv(tlvs, 0x10, &number, 1);
	out = ask(command, modem_uim_send_apdu, tlvs);
	if (command->silent || command->status || !answer_tlv(out, 0x10, &response) || response.len < 4)
		return;
	response = (IfppSpan){ response.data + 2, response.len - 2 };
	put32(command->out, get16(response.data + response.len - 2));
	put32(command->out, response.len - 2);
	put32(command->out, response.len > 2 ? RESPONSE_HEADER : 0);
	mbim_put_bytes(command->out, response.data, response.len - 2);
}

static void atr(MbimCommand *command)
{
	IfppSpan bytes = modem_card_atr();

	if (!modem_card_present(command->modem) || command->modem->sim_off) {
		command->status = MBIM_SIM_NOT_INSERTED;
		return;
	}
	put32(command->out, bytes.len);
	put32(command->out, 8);
	mbim_put_bytes(command->out, bytes.data, bytes.len);
}

/* Kept for the next reset of the card, as the specification has it. */
static void terminal_capability(MbimCommand *command)
{
	GByteArray **kept = &command->modem->terminal_capability;
	guint32 count;

	if (command->set) {
		if (!mbim_number(command, 0, &count))
			return;
		g_clear_pointer(kept, g_byte_array_unref);
		*kept = g_byte_array_append(g_byte_array_new(), command->info.data, command->info.len);
	}
	if (*kept)
		mbim_put_bytes(command->out, (*kept)->data, (*kept)->len);
	else
		put32(command->out, 0);
}

static void reset(MbimCommand *command)
{
	guint32 pass_through = 0;

	if (command->set) {
		if (!mbim_number(command, 0, &pass_through))
			return;
		chip_power_off(command->modem->chip);
		modem_chip_on(command->modem);
		modem_indicate_card(command->modem);
	}
	put32(command->out, pass_through);
}

void mbim_uicc(MbimCommand *command)
{
	if (command->cid == UICC_ATR && !command->set)
		atr(command);
	else if (command->cid == UICC_OPEN_CHANNEL && command->set)
		open_channel(command);
	else if (command->cid == UICC_CLOSE_CHANNEL && command->set)
		close_channel(command);
	else if (command->cid == UICC_APDU && command->set)
		apdu(command);
	else if (command->cid == UICC_TERMINAL_CAPABILITY)
		terminal_capability(command);
	else if (command->cid == UICC_RESET)
		reset(command);
	else
		command->status = MBIM_NO_DEVICE_SUPPORT;
}
