/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How hosts reach the modem: a Unix socket, a pseudo terminal, QRTR, or USB through FunctionFS. */
#ifndef VMODEM_TRANSPORT_H
#define VMODEM_TRANSPORT_H

#include "modem.h"

typedef struct _Transport Transport;

/* Plugged in from the start. All follow the modem's events. */
Transport *transport_new_socket(Modem *modem, const char *path, GError **error);

/* @path becomes a symbolic link to the terminal, and goes with the modem. IFPP_ERROR_ACCESS, IO */
Transport *transport_new_pty(Modem *modem, const char *path, GError **error);

/* Each QMI service becomes a socket of this machine's node. IFPP_ERROR_NO_DEVICE: no QRTR in the kernel */
Transport *transport_new_qrtr(Modem *modem, GError **error);

/**
 * transport_new_functionfs() - USB, with the identity and interfaces of a Quectel EC25
 * @modem: the modem
 * @dir: a mounted functionfs
 * @gadget: configfs gadget to bind and unbind, or NULL when somebody else does
 * @udc: USB device controller to bind it to, or NULL for the first free one
 * @error: IFPP_ERROR_NO_DEVICE, ACCESS, IO
 */
Transport *transport_new_functionfs(Modem *modem, const char *dir, const char *gadget, const char *udc,
				    GError **error);
void transport_free(Transport *transport);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transport, transport_free)

#endif
