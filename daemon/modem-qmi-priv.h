/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the QMI modem share. */
#ifndef IFPPD_MODEM_QMI_PRIV_H
#define IFPPD_MODEM_QMI_PRIV_H

#include <libqmi-glib.h>

#include "modem.h"
#include "port-state.h"

#define QMI_CLOSE_TIMEOUT 3	/* seconds per message while going down */
#define QMI_OUR_CHANNELS 3	/* a modem hands out the lowest channels first */
#define QMI_CHANNEL_MAX 19

typedef struct {
	Modem base;
	QmiDevice *device;
	QmiClient *uim, *dms;
	gulong removed_id;
	gboolean mbim;		/* QMI is inside of it */
	guint8 slot;		/* logical, as every UIM message wants it */
	PortState state;
} QmiModem;

/* libqmi's error in our domain, with the port and the step in front; @cause may be NULL. */
GError *qmi_modem_error(Modem *base, const char *what, const GError *cause);
/* The modem has forgotten the client that asked. */
gboolean qmi_modem_lost_client(const GError *error);

/**
 * qmi_modem_clients_async() - have a client for UIM, and one for DMS if the modem has it
 * @renew: give back those that there are, and take new ones: the modem does not know them, it seems
 */
void qmi_modem_clients_async(QmiModem *modem, gboolean renew, gint64 deadline, GCancellable *cancellable,
			     GAsyncReadyCallback cb, gpointer user);
/* Give them back. Never fails: what the modem does not take stays in the state file, for the next of us. */
void qmi_modem_release_async(QmiModem *modem, gint64 deadline, GAsyncReadyCallback cb, gpointer user);

void qmi_modem_channel_open(Modem *base, IfppSpan aid, guint wait, GTask *task);
void qmi_modem_channel_close(Modem *base, guint8 channel, guint wait, GTask *task);
gboolean qmi_modem_refused(const GError *error);
void qmi_modem_transmit(Modem *base, IfppSpan apdu, guint timeout, gint64 deadline, GTask *task);

void qmi_modem_versions(Modem *base, gint64 deadline, GTask *task);
void qmi_modem_switch_slot(Modem *base, guint slot, gint64 deadline, GTask *task);
/* Which slot to talk to, from the modem's answer or NULL. NO_EUICC: no card, or one that is not active. */
gboolean qmi_modem_pick_slot(QmiModem *modem, QmiMessageUimGetSlotStatusOutput *output, GError **error);

#endif
