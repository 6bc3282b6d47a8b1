/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A modem that speaks MBIM. Where QMI is inside, QMI is used: it tells of slots, clients and errors what MBIM does
 * not. Else Microsoft's low-level UICC access reaches the card.
 */
#ifndef IFPPD_MODEM_MBIM_H
#define IFPPD_MODEM_MBIM_H

#include "modem.h"

/**
 * modem_mbim_new() - describe a modem; nothing is opened yet
 * @options: copied
 * @gone: called once when the port disappears
 * @user: for @gone
 */
Modem *modem_mbim_new(const ModemOptions *options, ModemGoneFunc gone, gpointer user);

#endif
