// SPDX-License-Identifier: GPL-2.0-or-later
#include "error.h"
#include "modem-slots.h"

static void describe(Modem *modem, const GArray *slots)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < slots->len; i++) {
		const ModemSlot *slot = &g_array_index(slots, ModemSlot, i);

		g_string_append_printf(text, "%sslot %u: %s%s%s", i ? "; " : "", i + 1,
				       slot->present ? "card present" : "no card",
				       slot->active ? ", active" : ", not active", slot->euicc ? ", eUICC" : "");
	}
	g_free(modem->slots);
	modem->slots = g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean switched(Modem *modem, const GArray *slots, guint8 *logical, GError **error)
{
	const ModemSlot *slot = modem->switching <= slots->len ? &g_array_index(slots, ModemSlot, modem->switching - 1) : NULL;

	if (!slot || !slot->active || (modem->card_expected && !slot->present)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: slot %u has not become active", modem->device,
			    modem->switching);
		return FALSE;
	}
	*logical = slot->logical ? slot->logical : 1;
	modem->switching = 0;
	return TRUE;
}

gboolean modem_slots_pick(Modem *modem, const GArray *slots, guint8 *logical, GError **error)
{
	guint found = 0, inactive = 0;

	*logical = modem->want_slot ? modem->want_slot : 1;
	modem->switch_to = 0;
	if (slots->len)
		describe(modem, slots);
	if (modem->switching)
		return switched(modem, slots, logical, error);
	if (!slots->len)
		return TRUE;
	for (guint i = 0; i < slots->len; i++) {
		const ModemSlot *slot = &g_array_index(slots, ModemSlot, i);

		if ((modem->want_slot && modem->want_slot != i + 1) || !slot->present)
			continue;
		if (!slot->active) {
			if (slot->euicc || !inactive)
				inactive = i + 1;
			continue;
		}
		if (!found || slot->euicc) {
			found = i + 1;
			*logical = slot->logical ? slot->logical : 1;
		}
	}
	if (found)
		return TRUE;
	if (inactive && modem->may_switch) {
		modem->switch_to = inactive;
		return TRUE;
	}
	if (inactive)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC,
			    "%s: the card in slot %u is not active; SwitchSlot=%u in the policy lets ifppd make it so, and cuts off "
			    "whoever uses the card of the active one", modem->device, inactive, inactive);
	else if (modem->want_slot)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in slot %u of %u", modem->device,
			    modem->want_slot, slots->len);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in any slot", modem->device);
	return FALSE;
}
