/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A modem that speaks QMI: DMS says what it is, UIM reaches the card. */
#ifndef IFPPD_MODEM_QMI_H
#define IFPPD_MODEM_QMI_H

#include "modem.h"

/**
 * modem_qmi_new() - describe a modem; nothing is opened yet
 * @options: copied; @protocol MBIM: QMI is inside of it
 * @gone: called once when the port disappears
 * @user: for @gone
 */
Modem *modem_qmi_new(const ModemOptions *options, ModemGoneFunc gone, gpointer user);

#endif
