// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: what the modem says of its card and its slots, asked or not. */
#include "modem-services.h"

static const guint8 usim_aid[] = { 0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF,
				   0xFF, 0xFF, 0xFF, 0x89, 0x03, 0x02, 0x00, 0x00 };

GByteArray *modem_card_status(Modem *modem)
{
	const IfppChipMem *mem = modem_card_present(modem) ? chip_memory(modem->chip) : NULL;
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

void modem_put_slot_status(Modem *modem, GByteArray *out)
{
	/* Interface characters of a card with T=0 and T=1 that offers the eUICC bit, TS 102 221. */
	static const guint8 atr[] = { 0x3B, 0x9F, 0x96, 0x80, 0x3F, 0xC7, 0x82, 0x80, 0x31, 0xE0, 0x73,
				      0xFE, 0x21, 0x1F, 0x64, 0x08, 0x07, 0x02, 0x00, 0x82, 0x90, 0x00 };
	const IfppChipMem *mem = chip_memory(modem->chip);
	IfppChipProfile *profile = mem ? ifpp_chipmem_enabled(mem) : NULL;
	GByteArray *slot = g_byte_array_new(), *info = g_byte_array_new(), *eid = g_byte_array_new();

	put8(slot, modem_chip_slot(modem));
	put8(info, modem_chip_slot(modem));
	put8(eid, modem_chip_slot(modem));
	for (guint i = 1; i <= modem_chip_slot(modem); i++) {
		gboolean card = mem && i == modem_chip_slot(modem), ready = card && profile;

		put32(slot, card ? 2 : 1);			/* present, absent */
		put32(slot, i == modem->slot);			/* active */
		put8(slot, i == modem->slot ? 1 : 0);		/* logical slot */
		put_lv8(slot, ready ? profile->iccid : NULL, ready ? 10 : 0);
		put32(info, 2);			/* UICC */
		put8(info, ready);
		put_lv8(info, atr, card ? sizeof(atr) : 0);
		put8(info, card);		/* is an eUICC */
		put_lv8(eid, card ? mem->eid : NULL, card ? 16 : 0);
	}
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

void modem_indicate_card(Modem *modem)
{
	g_autoptr(GByteArray) card = g_byte_array_new();
	g_autoptr(GByteArray) slot = g_byte_array_new();

	put_tlv_array(card, 0x10, modem_card_status(modem));
	modem_indicate(modem, 0x0032, card, wants_card);
	modem_put_slot_status(modem, slot);
	modem_indicate(modem, 0x0048, slot, wants_slot);
}

void modem_indicate_refresh(Modem *modem, guint8 stage)
{
	g_autoptr(GByteArray) tlvs = g_byte_array_new();

	/* stage, UICC reset, primary GW session, no AID, no files */
	put_tlv(tlvs, 0x10, (guint8[]){ stage, 0, 0, 0, 0, 0 }, 6);
	modem_indicate(modem, 0x0033, tlvs, wants_refresh);
}
