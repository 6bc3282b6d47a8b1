/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The eIM that an IoT eUICC obeys in the field: its configuration goes in once the chip is locked (SGP.32, 5.9.4). */
#ifndef IFPPD_ADD_EIM_H
#define IFPPD_ADD_EIM_H

#include "modem.h"

/**
 * add_eim_async() - see to it that the chip has this eIM
 * @modem: open, without a logical channel; none is open afterwards
 * @config: EimConfigurationData, sound (eim.h)
 * @cancellable, @cb, @user: as everywhere
 *
 * The chip is asked first, so this can be cut anywhere and done again: AddInitialEim is sent only to a chip without any
 * eIM, takes effect whole or not at all, and is verified by reading it back. An eIM that is there is never replaced.
 */
void add_eim_async(Modem *modem, GBytes *config, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
/* CHIP: no IoT eUICC, it has another eIM, or does not want this one; MODEM, TIMEOUT, NO_DEVICE */
gboolean add_eim_finish(GAsyncResult *res, GError **error);

#endif
