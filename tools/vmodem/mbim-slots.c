// SPDX-License-Identifier: GPL-2.0-or-later
/* Slots, as Microsoft's extensions of basic connectivity have them: numbers from 0. */
#include "mbim-base.h"
#include "modem-services.h"

enum {
	SYS_CAPS = 5,
	DEVICE_SLOT_MAPPINGS = 7,
	SLOT_INFO_STATUS = 8,
};

enum {
	SLOT_OFF = 2,		/* a card without power */
	SLOT_EMPTY = 3,
	SLOT_ACTIVE_ESIM = 7,
	SLOT_ACTIVE_ESIM_NO_PROFILES = 8,
};

static void sys_caps(MbimCommand *command)
{
	put32(command->out, 1);		/* executors */
	put32(command->out, modem_chip_slot(command->modem));
	put32(command->out, 1);		/* active at a time */
	put64(command->out, 1);		/* modem id */
}

static void slot_mappings(MbimCommand *command)
{
	guint32 count, size, offset, slot;

	if (command->set) {
		if (!mbim_number(command, 0, &count) || !mbim_number(command, 1, &offset) ||
		    !mbim_number(command, 2, &size) || count != 1 || size != 4 || offset % 4 ||
		    !mbim_number(command, offset / 4, &slot) || slot >= modem_chip_slot(command->modem)) {
			command->status = MBIM_INVALID_PARAMETERS;
			return;
		}
		if (slot + 1 != command->modem->slot)
			modem_switch_slot(command->modem, slot + 1);
	}
	put32(command->out, 1);
	put32(command->out, 12);
	put32(command->out, 4);
	put32(command->out, command->modem->slot - 1);
}

static void slot_info(MbimCommand *command)
{
	const IfppChipMem *mem = chip_memory(command->modem->chip);
	guint32 slot, state = SLOT_EMPTY;

	if (!mbim_number(command, 0, &slot))
		return;
	if (slot >= modem_chip_slot(command->modem)) {
		command->status = MBIM_INVALID_PARAMETERS;
		return;
	}
	if (mem && slot + 1 == modem_chip_slot(command->modem))
		state = slot + 1 != command->modem->slot ? SLOT_OFF :
			chip_enabled(command->modem->chip) ? SLOT_ACTIVE_ESIM : SLOT_ACTIVE_ESIM_NO_PROFILES;
	put32(command->out, slot);
	put32(command->out, state);
}

void mbim_slots(MbimCommand *command)
{
	if (command->cid == SYS_CAPS && !command->set)
		sys_caps(command);
	else if (command->cid == DEVICE_SLOT_MAPPINGS)
		slot_mappings(command);
	else if (command->cid == SLOT_INFO_STATUS && !command->set)
		slot_info(command);
	else
		command->status = MBIM_NO_DEVICE_SUPPORT;
}
