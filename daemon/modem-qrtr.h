/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A modem inside of a SoC: its QMI services are sockets of a node on QRTR, and nothing in /dev is its port. */
#ifndef IFPPD_MODEM_QRTR_H
#define IFPPD_MODEM_QRTR_H

#include "modem-qmi-priv.h"

/* "qrtr://N", as libqmi's own tools call it? */
gboolean modem_qrtr_named(const char *device);

/**
 * modem_qrtr_device_async() - find the node, and its UIM service
 * @device: qrtr://N
 * @wait: seconds at most for each of both
 *
 * Errors, in our domain: NO_DEVICE: no such node, or one without UIM; UNSUPPORTED: no QRTR in the kernel, or in this build
 */
void modem_qrtr_device_async(const char *device, guint wait, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
/* libqmi's device, not opened yet. */
QmiDevice *modem_qrtr_device_finish(GAsyncResult *res, GError **error);

/* "uim 1, dms 1": what the node offers, as libqmi knows its name; never NULL */
char *modem_qrtr_services(QmiDevice *device);

#endif
