/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Physical slots of a modem, whatever protocol told of them. */
#ifndef IFPPD_MODEM_SLOTS_H
#define IFPPD_MODEM_SLOTS_H

#include "modem.h"

#define MODEM_SLOTS_MAX 8

typedef struct {
	gboolean present;	/* a card is in it */
	gboolean active;
	gboolean euicc;		/* a hint only: the ISD-R decides */
	guint8 logical;		/* slot, of an active one; 0: not told */
} ModemSlot;

/**
 * modem_slots_pick() - which slot to talk to; base.slots is set for people
 * @modem: whose options name a slot, or none
 * @slots: ModemSlot, in their order; empty: the modem does not tell
 * @logical: the slot as messages want it
 * @error: IFPP_ERROR_NO_EUICC: no card, or one that is not active
 */
gboolean modem_slots_pick(Modem *modem, const GArray *slots, guint8 *logical, GError **error);

#endif
