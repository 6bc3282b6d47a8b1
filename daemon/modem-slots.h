/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Physical slots of a modem, whatever protocol told of them. */
#ifndef IFPPD_MODEM_SLOTS_H
#define IFPPD_MODEM_SLOTS_H

#include "modem.h"

#define MODEM_SLOTS_MAX 8
#define MODEM_SLOT_LOOK_MS 500	/* between looks whether a slot has become active */

typedef struct {
	gboolean present;	/* a card is in it */
	gboolean active;
	gboolean euicc;		/* a hint only: the ISD-R decides */
	guint8 logical;		/* slot, of an active one; 0: not told */
} ModemSlot;

/**
 * modem_slots_pick() - which slot to talk to; base.slots is set for people
 * @modem: whose options name a slot, or none; base.switch_to is set if its slot has to be made active, and may be
 * @slots: ModemSlot, in their order; empty: the modem does not tell
 * @logical: the slot as messages want it
 * @error: IFPP_ERROR_NO_EUICC: no card, or one that is not active; while base.switching: it is not active yet
 */
gboolean modem_slots_pick(Modem *modem, const GArray *slots, guint8 *logical, GError **error);

#endif
