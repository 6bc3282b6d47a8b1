// SPDX-License-Identifier: GPL-2.0-or-later
#include "modem-qmi-priv.h"
#include "modem-slots.h"

gboolean qmi_modem_pick_slot(QmiModem *modem, QmiMessageUimGetSlotStatusOutput *output, GError **error)
{
	g_autoptr(GArray) slots = g_array_new(FALSE, TRUE, sizeof(ModemSlot));
	GArray *status = NULL, *info = NULL;

	if (output &&
	    qmi_message_uim_get_slot_status_output_get_physical_slot_status(output, &status, NULL))
		g_array_set_size(slots, MIN(status->len, MODEM_SLOTS_MAX));
	if (output)
		qmi_message_uim_get_slot_status_output_get_physical_slot_information(output, &info, NULL);
	for (guint i = 0; i < slots->len; i++) {
		const QmiPhysicalSlotStatusSlot *from = &g_array_index(status, QmiPhysicalSlotStatusSlot, i);

		g_array_index(slots, ModemSlot, i) = (ModemSlot){
			.present = from->physical_card_status == QMI_UIM_PHYSICAL_CARD_STATE_PRESENT,
			.active = from->physical_slot_status == QMI_UIM_SLOT_STATE_ACTIVE,
			.euicc = info && i < info->len &&
				 g_array_index(info, QmiPhysicalSlotInformationSlot, i).is_euicc,
			.logical = from->logical_slot,
		};
	}
	return modem_slots_pick(&modem->base, slots, &modem->slot, error);
}
