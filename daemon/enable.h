/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last thing that the factory wants of a chip that is locked: a profile that is in use from the first day. */
#ifndef IFPPD_ENABLE_H
#define IFPPD_ENABLE_H

#include "chip.h"

/**
 * enable_async() - enable a profile by its name (SGP.22 5.7.15 and 5.7.16, SGP.32 5.9.15)
 * @chip: locked; its modem is open, without a logical channel, and has none afterwards
 * @name: profileName of its metadata
 * @cancellable, @cb, @user: as everywhere
 *
 * By ICCID, and by AID where the chip refuses that; after each refusal the profile's state is read, and counts. An IoT eUICC
 * with one profile is asked to enable it at once, before that. The chip asks the modem for a refresh; then the state is read
 * on a new channel: only a profile that is seen to be enabled is. A profile that is enabled already stays so. Only a chip without unused keys does this (EUICCF04): a
 * chip that is locked has none.
 */
void enable_async(Chip *chip, const char *name, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
/* CHIP: there is no such profile, or the chip does not want to; MODEM, TIMEOUT, NO_DEVICE */
gboolean enable_finish(GAsyncResult *res, GError **error);

#endif
