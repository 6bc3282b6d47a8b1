// SPDX-License-Identifier: GPL-2.0-or-later
#include "error.h"
#include "modem-qmi-priv.h"

static char *slot_text(guint number, QmiPhysicalSlotStatusSlot *slot, gboolean is_euicc)
{
	gboolean present = slot->physical_card_status == QMI_UIM_PHYSICAL_CARD_STATE_PRESENT;

	return g_strdup_printf("slot %u: %s%s%s", number, present ? "card present" : "no card",
			       slot->physical_slot_status == QMI_UIM_SLOT_STATE_ACTIVE ? ", active" : ", not active",
			       is_euicc ? ", eUICC" : "");
}

/* Which slot to talk to. The modem's word about "is eUICC" is a hint only: the ISD-R decides. */
gboolean qmi_modem_pick_slot(QmiModem *modem, QmiMessageUimGetSlotStatusOutput *output, GError **error)
{
	GArray *slots = NULL, *info = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	guint found = 0, euicc = 0;

	modem->slot = modem->base.want_slot ? modem->base.want_slot : 1;
	if (!output ||
	    !qmi_message_uim_get_slot_status_output_get_physical_slot_status(output, &slots, NULL) ||
	    !slots->len)
		return TRUE;
	qmi_message_uim_get_slot_status_output_get_physical_slot_information(output, &info, NULL);
	for (guint i = 0; i < slots->len; i++) {
		QmiPhysicalSlotStatusSlot *slot = &g_array_index(slots, QmiPhysicalSlotStatusSlot, i);
		gboolean is_euicc = info && i < info->len &&
				    g_array_index(info, QmiPhysicalSlotInformationSlot, i).is_euicc;
		g_autofree char *one = slot_text(i + 1, slot, is_euicc);

		g_string_append_printf(text, "%s%s", i ? "; " : "", one);
		if (modem->base.want_slot && modem->base.want_slot != i + 1)
			continue;
		if (slot->physical_card_status != QMI_UIM_PHYSICAL_CARD_STATE_PRESENT)
			continue;
		if (slot->physical_slot_status != QMI_UIM_SLOT_STATE_ACTIVE) {
			if (is_euicc || modem->base.want_slot)
				euicc = i + 1;
			continue;
		}
		if (!found || is_euicc) {
			found = i + 1;
			modem->slot = slot->logical_slot ? slot->logical_slot : 1;
		}
	}
	g_free(modem->base.slots);
	modem->base.slots = g_string_free(g_steal_pointer(&text), FALSE);
	if (found)
		return TRUE;
	if (euicc)
		g_set_error(
			error, IFPP_ERROR, IFPP_ERROR_NO_EUICC,
			"%s: the card in slot %u is not active; activate it with qmicli --uim-switch-slot=%u",
			modem->base.device, euicc, euicc);
	else if (modem->base.want_slot)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in slot %u of %u",
			    modem->base.device, modem->base.want_slot, slots->len);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in any slot",
			    modem->base.device);
	return FALSE;
}
