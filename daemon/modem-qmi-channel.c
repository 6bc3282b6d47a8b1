// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: logical channels and the APDUs on them. */
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem-qmi-priv.h"
#include "task.h"

static gboolean no_card(const GError *error)
{
	return g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_NO_SIM) ||
	       g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_UIM_UNINITIALIZED);
}

gboolean qmi_modem_refused(const GError *error)
{
	return error && error->domain == QMI_PROTOCOL_ERROR && !qmi_modem_lost_client(error);
}

/* ----------------------------------------------------------------- close */

static void on_channel_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;
	g_autoptr(QmiMessageUimLogicalChannelOutput) output =
		qmi_client_uim_logical_channel_finish(QMI_CLIENT_UIM(source), res, &error);

	if (output && qmi_message_uim_logical_channel_output_get_result(output, &error))
		ifppd_task_done(user);
	else
		ifppd_task_fail(user, error ? error : g_error_new(QMI_CORE_ERROR, QMI_CORE_ERROR_INVALID_MESSAGE,
								  "no usable answer"));
}

void qmi_modem_channel_close(Modem *base, guint8 channel, guint wait, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;
	g_autoptr(QmiMessageUimLogicalChannelInput) input = NULL;

	if (!modem->uim) {
		ifppd_task_done(task);
		return;
	}
	input = qmi_message_uim_logical_channel_input_new();
	qmi_message_uim_logical_channel_input_set_slot(input, modem->slot, NULL);
	qmi_message_uim_logical_channel_input_set_channel_id(input, channel, NULL);
	qmi_client_uim_logical_channel(QMI_CLIENT_UIM(modem->uim), input, wait, g_task_get_cancellable(task),
				       on_channel_closed, task);
}

/* ------------------------------------------------------------------ open */

static void on_channel_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	QmiModem *modem = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimOpenLogicalChannelOutput) output =
		qmi_client_uim_open_logical_channel_finish(QMI_CLIENT_UIM(source), res, &error);
	guint8 channel = 0, sw1 = 0x90, sw2 = 0;
	gboolean ok;

	ok = output && qmi_message_uim_open_logical_channel_output_get_result(output, &error);
	if (output)
		qmi_message_uim_open_logical_channel_output_get_card_result(output, &sw1, &sw2, NULL);
	if (ok && qmi_message_uim_open_logical_channel_output_get_channel_id(output, &channel, NULL) &&
	    channel >= 1 && channel <= QMI_CHANNEL_MAX && (sw1 == 0x90 || sw1 == 0x91 || sw1 == 0x61)) {
		modem->base.channel = channel;
		ifppd_task_done(user);
		return;
	}
	/* Without an answer, or with one that makes no sense, the channel may be open all the same. */
	if (!output || ok)
		modem->base.suspect = TRUE;
	if (qmi_modem_lost_client(error))
		ifppd_task_fail(user, g_steal_pointer(&error));
	else if ((sw1 == 0x6a && sw2 == 0x82) ||
		 g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_SIM_FILE_NOT_FOUND))
		ifppd_task_fail(user, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: the card in slot %u has no ISD-R (%s)",
						  modem->base.device, modem->slot, modem_slots(&modem->base)));
	else if (no_card(error))
		ifppd_task_fail(user, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in slot %u",
						  modem->base.device, modem->slot));
	else
		ifppd_task_fail(user, error ? g_steal_pointer(&error) :
				qmi_modem_error(&modem->base, "opening a logical channel", NULL));
}

void qmi_modem_channel_open(Modem *base, IfppSpan aid, guint wait, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;
	g_autoptr(QmiMessageUimOpenLogicalChannelInput) input = qmi_message_uim_open_logical_channel_input_new();
	g_autoptr(GArray) bytes = g_array_new(FALSE, FALSE, 1);

	g_task_set_task_data(task, modem, NULL);
	g_array_append_vals(bytes, aid.data, aid.len);
	qmi_message_uim_open_logical_channel_input_set_slot(input, modem->slot, NULL);
	qmi_message_uim_open_logical_channel_input_set_aid(input, bytes, NULL);
	qmi_client_uim_open_logical_channel(QMI_CLIENT_UIM(modem->uim), input, wait, g_task_get_cancellable(task),
					    on_channel_opened, task);
}

/* -------------------------------------------------------------- transmit */

/* Only these say that it was the length. */
static gboolean about_size(const GError *error)
{
	return g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_ARGUMENT_TOO_LONG) ||
	       g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_SEGMENT_TOO_LONG) ||
	       g_error_matches(error, QMI_CORE_ERROR, QMI_CORE_ERROR_TLV_TOO_LONG);
}

static void on_transmitted(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	QmiModem *modem = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimSendApduOutput) output =
		qmi_client_uim_send_apdu_finish(QMI_CLIENT_UIM(source), res, &error);
	GArray *response = NULL;

	if (!output || !qmi_message_uim_send_apdu_output_get_result(output, &error) ||
	    !qmi_message_uim_send_apdu_output_get_apdu_response(output, &response, &error)) {
		GError *cause = qmi_modem_error(&modem->base, "sending an APDU", error);

		if (about_size(error))
			cause->code = IFPP_ERROR_TOO_LARGE;
		ifppd_task_fail(task, cause);
		return;
	}
	if (response->len < 2) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_MODEM, "%s: an APDU response of %u bytes",
						  modem->base.device, response->len));
		return;
	}
	g_task_return_pointer(task, g_bytes_new(response->data, response->len), (GDestroyNotify)g_bytes_unref);
	g_object_unref(task);
}

void qmi_modem_transmit(Modem *base, IfppSpan apdu, guint timeout, gint64 deadline, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;
	g_autoptr(QmiMessageUimSendApduInput) input = NULL;
	g_autoptr(GArray) bytes = NULL;
	GError *error = NULL;
	guint wait = modem_wait(base, timeout, deadline, "sending an APDU", &error);

	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	input = qmi_message_uim_send_apdu_input_new();
	bytes = g_array_new(FALSE, FALSE, 1);
	g_array_append_vals(bytes, apdu.data, apdu.len);
	qmi_message_uim_send_apdu_input_set_slot(input, modem->slot, NULL);
	qmi_message_uim_send_apdu_input_set_apdu(input, bytes, NULL);
	qmi_message_uim_send_apdu_input_set_channel_id(input, base->channel, NULL);
	qmi_client_uim_send_apdu(QMI_CLIENT_UIM(modem->uim), input, wait, g_task_get_cancellable(task),
				 on_transmitted, task);
}
