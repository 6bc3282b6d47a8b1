// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: what the modem says of its card and its slots, asked or not. */
#include "modem-services.h"

/* An application of the card: the first USIM is what the modem works with, the others are seen. */
static void put_application(GByteArray *out, const IfppUppApplication *app, gboolean primary)
{
	static const guint8 types[] = { [IFPP_UPP_USIM] = 2, [IFPP_UPP_ISIM] = 5, [IFPP_UPP_CSIM] = 4 };

	put8(out, types[app->kind]);
	put8(out, primary ? 7 : 1);	/* ready, detected */
	put8(out, primary ? 2 : 0);	/* personalisation: ready, unknown */
	put8(out, 0);
	put8(out, 0);
	put8(out, 0);
	put_lv8(out, app->aid.data, app->aid.len);
	put8(out, 0);			/* UPIN does not replace PIN1 */
	put8(out, 3);			/* PIN1 disabled, 3 tries, PUK1 10 */
	put8(out, 3);
	put8(out, 10);
	put8(out, 1);			/* PIN2 enabled, not verified */
	put8(out, 3);
	put8(out, 10);
}

GByteArray *modem_card_status(Modem *modem)
{
	gboolean present = modem_card_present(modem);
	IfppUppApplication apps[IFPP_UPP_APPLICATIONS];
	guint n = present ? chip_applications(modem->chip, apps) : 0, primary = 0;
	GByteArray *value = g_byte_array_new();

	while (primary < n && apps[primary].kind != IFPP_UPP_USIM)
		primary++;
	put16(value, primary < n ? primary : 0xFFFF);	/* primary GW; the other three: none */
	for (guint i = 0; i < 3; i++)
		put16(value, 0xFFFF);
	put8(value, 1);			/* cards */
	put8(value, present);
	put8(value, 0);			/* UPIN: unknown, no retries */
	put8(value, 0);
	put8(value, 0);
	put8(value, 0);			/* no error */
	put8(value, n);			/* applications */
	for (guint i = 0; i < n; i++)
		put_application(value, &apps[i], i == primary);
	return value;
}

/* Interface characters of a card with T=0 and T=1 that offers the eUICC bit, TS 102 221. */
IfppSpan modem_card_atr(void)
{
	static const guint8 atr[] = { 0x3B, 0x9F, 0x96, 0x80, 0x3F, 0xC7, 0x82, 0x80, 0x31, 0xE0, 0x73,
				      0xFE, 0x21, 0x1F, 0x64, 0x08, 0x07, 0x02, 0x00, 0x82, 0x90, 0x00 };

	return IFPP_SPAN(atr);
}

void modem_put_slot_status(Modem *modem, GByteArray *out)
{
	const IfppSpan atr = modem_card_atr();
	const IfppChipMem *mem = chip_memory(modem->chip);
	IfppChipProfile *profile = chip_enabled(modem->chip);
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
		put_lv8(info, atr.data, card ? atr.len : 0);
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

void modem_switch_slot(Modem *modem, guint slot)
{
	modem->slot = slot;
	chip_power_off(modem->chip);
	modem_chip_on(modem);
	modem_indicate_card(modem);
}
