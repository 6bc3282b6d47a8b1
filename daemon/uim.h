/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modem: one QMI port, one UIM client on it, at most one logical channel.
 * Whatever happens to this process, the modem must not run out of clients or channels.
 */
#ifndef IFPPD_UIM_H
#define IFPPD_UIM_H

#include <gio/gio.h>
#include "tlv.h"

typedef struct _Uim Uim;
typedef void (*UimGoneFunc)(gpointer user);

typedef struct {
	const char *device;	/* /dev/cdc-wdm0, or a Unix socket whose path contains qmux_socket */
	const char *state_dir;	/* client ids and block sizes are remembered below it, in modem/ */
	guint slot;		/* physical slot, 0: the first active one with a card */
	guint timeout;		/* seconds for one QMI message */
	gboolean proxy;		/* share the port through qmi-proxy */
} UimOptions;

/**
 * uim_new() - describe a modem; nothing is opened yet
 * @options: copied
 * @gone: called once when the port disappears
 * @user: for @gone
 */
Uim *uim_new(const UimOptions *options, UimGoneFunc gone, gpointer user);
void uim_free(Uim *uim);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Uim, uim_free)

/* Why the port is gone, while @what was done: unplugged, or somebody else reads it. */
GError *uim_gone_error(Uim *uim, const char *what);

/*
 * Open the port, take up the client id of a predecessor or allocate one, find the
 * slot, close the channels a predecessor left open.
 * IFPP_ERROR_NO_DEVICE, ACCESS, MODEM, TIMEOUT, NO_EUICC (no card)
 */
void uim_open_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
gboolean uim_open_finish(GAsyncResult *res, GError **error);

/* Open a logical channel to an application. NO_EUICC: there is no such application. */
void uim_channel_open_async(Uim *uim, IfppSpan aid, GCancellable *cancellable, GAsyncReadyCallback cb,
			    gpointer user);
gboolean uim_channel_open_finish(GAsyncResult *res, GError **error);
void uim_channel_close_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
gboolean uim_channel_close_finish(GAsyncResult *res, GError **error);
guint uim_channel(Uim *uim);	/* 0: none open */

/* One command APDU on the open channel; the response ends with SW1 SW2. */
void uim_transmit_async(Uim *uim, const guint8 *apdu, gsize len, guint timeout, GCancellable *cancellable,
			GAsyncReadyCallback cb, gpointer user);
GBytes *uim_transmit_finish(GAsyncResult *res, GError **error);

/* Close the channel, give the clients back, close the port. Never fails for good: what is stuck is left. */
void uim_close_async(Uim *uim, GAsyncReadyCallback cb, gpointer user);
void uim_close_finish(GAsyncResult *res);

/* Versions of the QMI services: "ctl 1.5, uim 1.46". The port must be open. MODEM, TIMEOUT, NO_DEVICE */
void uim_versions_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
char *uim_versions_finish(Uim *uim, GAsyncResult *res, GError **error);

const char *uim_model(Uim *uim);
const char *uim_slots(Uim *uim);	/* what the modem said of them, for people */
guint64 uim_round_trip(Uim *uim);	/* ns, of a request that the modem answers without the chip */
guint uim_timeout(Uim *uim);
/* APDU block size that works with this model: remembered, 255 for a model never seen. */
guint uim_block(Uim *uim);
void uim_set_block(Uim *uim, guint block);

#endif
