/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which protocol a port speaks. The kernel knows, so that no modem is disturbed by being asked in the wrong one. */
#ifndef IFPPD_MODEM_PORT_H
#define IFPPD_MODEM_PORT_H

#include "modem.h"

/**
 * modem_port_protocol() - what the kernel says of a port
 * @device: its node, or a socket, which is QMI
 * @sysfs: /sys
 * @protocol: set
 * @error: IFPP_ERROR_UNSUPPORTED: of a type that nobody here knows
 *
 * A node of which the kernel says nothing is tried with QMI, and one that is not there fails when it is opened.
 */
gboolean modem_port_protocol(const char *device, const char *sysfs, ModemProtocol *protocol, GError **error);

/* "auto", "qmi" or "mbim"; NULL is auto. FALSE: none of them */
gboolean modem_protocol_parse(const char *name, ModemProtocol *protocol);

/**
 * modem_new() - describe a modem; nothing is opened yet
 * @options: copied
 * @gone: called once when the port disappears
 * @user: for @gone
 *
 * Return: never NULL; what modem_port_protocol() refuses fails when it is opened.
 */
Modem *modem_new(const ModemOptions *options, ModemGoneFunc gone, gpointer user);

#endif
