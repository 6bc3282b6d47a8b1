/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last thing that the factory wants of a chip that is locked: a profile that is in use from the first day. */
#ifndef IFPPD_ENABLE_H
#define IFPPD_ENABLE_H

#include "modem.h"

/**
 * enable_async() - enable a profile by its name (ES10c, SGP.22 5.7.15 and 5.7.16)
 * @modem: open, without a logical channel; none is open afterwards
 * @name: profileName of its metadata
 * @cancellable, @cb, @user: as everywhere
 *
 * By ICCID, and by AID where the chip refuses that; after each refusal the profile's state is read, and counts. The chip asks
 * the modem for a refresh. A profile that is enabled already stays so. Only a chip without unused keys does this (EUICCF04): a
 * chip that is locked has none.
 */
void enable_async(Modem *modem, const char *name, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
/* CHIP: there is no such profile, or the chip does not want to; MODEM, TIMEOUT, NO_DEVICE */
gboolean enable_finish(GAsyncResult *res, GError **error);

#endif
