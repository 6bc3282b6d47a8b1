/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the MBIM modem share. */
#ifndef IFPPD_MODEM_MBIM_PRIV_H
#define IFPPD_MODEM_MBIM_PRIV_H

#include <libmbim-glib.h>

#include "modem.h"

#define MBIM_CLOSE_TIMEOUT 3	/* seconds per message while going down */

typedef struct {
	Modem base;
	MbimDevice *device;
	gulong removed_id;
	GCancellable *closing;	/* of the close: a port that is gone answers no more */
	char *services;		/* what it offers, for people */
	gboolean has_qmi, has_uicc, has_slots;
} MbimModem;

/* libmbim's error in our domain, with the port and the step in front; @cause may be NULL. */
GError *mbim_modem_error(Modem *base, const char *what, const GError *cause);
/* The modem has answered, with a status that is an error. */
gboolean mbim_modem_refused(const GError *error);

/**
 * mbim_modem_command() - send a request
 * @request: taken; NULL: @cb hears of it
 * @wait: seconds
 */
void mbim_modem_command(MbimModem *modem, MbimMessage *request, guint wait, GCancellable *cancellable,
			GAsyncReadyCallback cb, gpointer user);
/* The answer, if its status is good; the error is libmbim's own. */
MbimMessage *mbim_modem_answer(GObject *source, GAsyncResult *res, GError **error);

/* Channel 0 stands for all that bear our tag, in closing. */
#define MBIM_CHANNEL_MAX 19
void mbim_modem_channel_open(Modem *base, IfppSpan aid, guint wait, GTask *task);
void mbim_modem_channel_close(Modem *base, guint8 channel, guint wait, GTask *task);
void mbim_modem_transmit(Modem *base, IfppSpan apdu, guint timeout, gint64 deadline, GTask *task);

void mbim_modem_switch_slot(Modem *base, guint slot, gint64 deadline, GTask *task);
/* Learn of the slots, and whether the card wanted is in an active one. NO_EUICC, and the errors of each message */
void mbim_modem_slots_async(MbimModem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
			    gpointer user);

#endif
