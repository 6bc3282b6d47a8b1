// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: logical channels and the APDUs on them. */
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem-qmi-priv.h"
#include "task.h"

static gboolean protocol_error(const GError *error)
{
	return error && error->domain == QMI_PROTOCOL_ERROR;
}

static gboolean no_card(const GError *error)
{
	return g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_NO_SIM) ||
	       g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_UIM_UNINITIALIZED);
}

/* ----------------------------------------------------------------- close */

static void close_request(QmiModem *modem, guint8 channel, guint wait, GCancellable *cancellable,
			  GAsyncReadyCallback cb, gpointer user)
{
	g_autoptr(QmiMessageUimLogicalChannelInput) input = qmi_message_uim_logical_channel_input_new();

	qmi_message_uim_logical_channel_input_set_slot(input, modem->slot, NULL);
	qmi_message_uim_logical_channel_input_set_channel_id(input, channel, NULL);
	qmi_client_uim_logical_channel(QMI_CLIENT_UIM(modem->uim), input, wait, cancellable, cb, user);
}

static gboolean close_result(GObject *source, GAsyncResult *res, GError **error)
{
	g_autoptr(QmiMessageUimLogicalChannelOutput) output =
		qmi_client_uim_logical_channel_finish(QMI_CLIENT_UIM(source), res, error);

	return output && qmi_message_uim_logical_channel_output_get_result(output, error);
}

static void on_channel_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	QmiModem *modem = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (close_result(source, res, &error)) {
		ifppd_task_done(task);
		return;
	}
	modem->suspect = TRUE;
	ifppd_task_fail(task, qmi_modem_error(modem, "closing the logical channel", error));
}

void qmi_modem_channel_close(Modem *base, guint8 channel, gint64 deadline, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;
	GError *error = NULL;
	guint wait;

	if (!modem->uim) {
		ifppd_task_done(task);
		return;
	}
	wait = modem_wait(base, 0, deadline, "closing the logical channel", &error);
	if (!wait) {
		modem->suspect = TRUE;
		ifppd_task_fail(task, error);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	close_request(modem, channel, wait, g_task_get_cancellable(task), on_channel_closed, task);
}

/* ----------------------------------------------------------------- sweep */

typedef struct {
	QmiModem *modem;
	guint timeout;
	gint64 deadline;
	guint next, last;
} Sweep;

static void sweep_step(GTask *task);

static void on_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Sweep *sweep = g_task_get_task_data(task);
	GError *error = NULL;

	if (close_result(source, res, &error)) {
		g_debug("closed stale channel %u", sweep->next);
	} else if (!protocol_error(error) || qmi_modem_lost_client(error)) {
		/* "No such channel" is what we hope for; only silence or a lost client ends the sweep. */
		ifppd_task_fail(task, error ? error : g_error_new(QMI_CORE_ERROR, QMI_CORE_ERROR_INVALID_MESSAGE,
								  "no usable answer"));
		return;
	}
	g_clear_error(&error);
	sweep->next++;
	sweep_step(task);
}

static void sweep_step(GTask *task)
{
	Sweep *sweep = g_task_get_task_data(task);
	GError *error = NULL;
	guint wait;

	if (sweep->next > sweep->last || !sweep->modem->uim) {
		sweep->modem->suspect = FALSE;
		ifppd_task_done(task);
		return;
	}
	wait = modem_wait(&sweep->modem->base, sweep->timeout, sweep->deadline, "closing stale channels", &error);
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	close_request(sweep->modem, sweep->next, wait, g_task_get_cancellable(task), on_swept, task);
}

void qmi_modem_sweep_async(QmiModem *modem, guint last, guint timeout, gint64 deadline, GCancellable *cancellable,
			   GAsyncReadyCallback cb, gpointer user)
{
	Sweep *sweep = g_new0(Sweep, 1);

	sweep->modem = modem;
	sweep->timeout = timeout;
	sweep->deadline = deadline;
	sweep->next = 1;
	sweep->last = modem->base.guest ? 0 : last;
	modem->base.channel = 0;
	sweep_step(ifppd_task_new(sweep, g_free, cancellable, cb, user));
}

/* ------------------------------------------------------------------ open */

typedef enum {
	OPEN_CLIENTS,
	OPEN_SWEEP_START,
	OPEN_SWEEP_ALL,
	OPEN_CHANNEL,
} OpenStep;

typedef struct {
	QmiModem *modem;
	GBytes *aid;
	gint64 deadline;
	OpenStep step;
	gboolean renewed;
	gboolean swept;
} ChannelOpen;

static void channel_open_free(gpointer data)
{
	ChannelOpen *ctx = data;

	g_bytes_unref(ctx->aid);
	g_free(ctx);
}

static void open_step(GTask *task);

/* Once, the modem is believed that it has forgotten our client. */
static gboolean open_renew(GTask *task, const GError *error)
{
	ChannelOpen *ctx = g_task_get_task_data(task);

	if (!qmi_modem_lost_client(error) || ctx->renewed)
		return FALSE;
	g_message("%s: the modem has forgotten our client, taking a new one", ctx->modem->base.device);
	ctx->step = OPEN_CLIENTS;
	open_step(task);
	return TRUE;
}

static void on_open_clients(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	ChannelOpen *ctx = g_task_get_task_data(task);
	GError *error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		ifppd_task_fail(task, error);
		return;
	}
	ctx->step = OPEN_CHANNEL;
	open_step(task);
}

static void on_open_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	ChannelOpen *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		if (!open_renew(task, error))
			ifppd_task_fail(task, qmi_modem_error(ctx->modem, "closing stale channels", error));
		return;
	}
	ctx->step = OPEN_CHANNEL;
	open_step(task);
}

static void on_channel_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	ChannelOpen *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimOpenLogicalChannelOutput) output =
		qmi_client_uim_open_logical_channel_finish(QMI_CLIENT_UIM(source), res, &error);
	guint8 channel = 0, sw1 = 0x90, sw2 = 0;
	gboolean ok;

	ok = output && qmi_message_uim_open_logical_channel_output_get_result(output, &error);
	if (output)
		qmi_message_uim_open_logical_channel_output_get_card_result(output, &sw1, &sw2, NULL);
	if (ok && qmi_message_uim_open_logical_channel_output_get_channel_id(output, &channel, NULL) &&
	    channel >= 1 && channel <= QMI_SWEEP_ALL && (sw1 == 0x90 || sw1 == 0x91 || sw1 == 0x61)) {
		modem->base.channel = channel;
		ifppd_task_done(task);
		return;
	}
	/* Without an answer, or with one that makes no sense, the channel may be open all the same. */
	if (!output || ok)
		modem->suspect = TRUE;
	if (open_renew(task, error))
		return;
	if ((sw1 == 0x6a && sw2 == 0x82) ||
	    g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_SIM_FILE_NOT_FOUND)) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC,
						  "%s: the card in slot %u has no ISD-R (%s)", modem->base.device,
						  modem->slot, modem_slots(&modem->base)));
		return;
	}
	if (no_card(error)) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in slot %u",
						  modem->base.device, modem->slot));
		return;
	}
	/* Any other refusal may mean that every channel is taken: by whom, if not by our predecessors? */
	if (protocol_error(error) && !qmi_modem_lost_client(error) && !ctx->swept) {
		ctx->step = OPEN_SWEEP_ALL;
		open_step(task);
		return;
	}
	ifppd_task_fail(task, qmi_modem_error(modem, "opening a logical channel", error));
}

static void open_channel(GTask *task, guint wait)
{
	ChannelOpen *ctx = g_task_get_task_data(task);
	g_autoptr(QmiMessageUimOpenLogicalChannelInput) input = qmi_message_uim_open_logical_channel_input_new();
	g_autoptr(GArray) aid = g_array_new(FALSE, FALSE, 1);

	g_array_append_vals(aid, g_bytes_get_data(ctx->aid, NULL), g_bytes_get_size(ctx->aid));
	qmi_message_uim_open_logical_channel_input_set_slot(input, ctx->modem->slot, NULL);
	qmi_message_uim_open_logical_channel_input_set_aid(input, aid, NULL);
	qmi_client_uim_open_logical_channel(QMI_CLIENT_UIM(ctx->modem->uim), input, wait,
					    g_task_get_cancellable(task), on_channel_opened, task);
}

static void open_step(GTask *task)
{
	ChannelOpen *ctx = g_task_get_task_data(task);
	GCancellable *cancellable = g_task_get_cancellable(task);
	GError *error = NULL;
	guint wait;

	if (!ctx->modem->uim)
		ctx->step = OPEN_CLIENTS;
	else if (ctx->step == OPEN_CHANNEL && ctx->modem->suspect && !ctx->swept)
		ctx->step = OPEN_SWEEP_START;
	wait = modem_wait(&ctx->modem->base, 0, ctx->deadline, "opening a logical channel", &error);
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	switch (ctx->step) {
	case OPEN_CLIENTS:
		ctx->renewed = TRUE;
		qmi_modem_clients_async(ctx->modem, ctx->modem->uim != NULL, ctx->deadline, cancellable,
					on_open_clients, task);
		break;
	case OPEN_SWEEP_START:
	case OPEN_SWEEP_ALL:
		ctx->swept = TRUE;
		qmi_modem_sweep_async(ctx->modem, ctx->step == OPEN_SWEEP_ALL ? QMI_SWEEP_ALL : QMI_SWEEP_START, 0,
				      ctx->deadline, cancellable, on_open_swept, task);
		break;
	case OPEN_CHANNEL:
		open_channel(task, wait);
		break;
	}
}

void qmi_modem_channel_open(Modem *base, IfppSpan aid, gint64 deadline, GTask *task)
{
	ChannelOpen *ctx = g_new0(ChannelOpen, 1);

	ctx->modem = (QmiModem *)base;
	ctx->aid = g_bytes_new(aid.data, aid.len);
	ctx->deadline = deadline;
	ctx->step = OPEN_CHANNEL;
	g_task_set_task_data(task, ctx, channel_open_free);
	open_step(task);
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
		GError *cause = qmi_modem_error(modem, "sending an APDU", error);

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
