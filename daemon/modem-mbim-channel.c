// SPDX-License-Identifier: GPL-2.0-or-later
/* MBIM: logical channels and the APDUs on them, by Microsoft's low-level UICC access. */
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "error.h"
#include "modem-mbim-priv.h"
#include "task.h"

#define CHANNEL_MAX 19
#define GROUP 0x49465050	/* our tag, of whichever process: what a predecessor left open is found by it */
#define GROUP_GUEST 0x49465051

static guint32 our_group(MbimModem *modem)
{
	return modem->base.guest ? GROUP_GUEST : GROUP;
}

/* The first two bytes of the field: SW1, SW2. */
static guint8 sw1(guint32 status)
{
	return status;
}

static guint8 sw2(guint32 status)
{
	return status >> 8;
}

/* ----------------------------------------------------------------- close */

static void close_request(MbimModem *modem, guint32 channel, guint wait, GCancellable *cancellable,
			  GAsyncReadyCallback cb, gpointer user)
{
	mbim_modem_command(modem, mbim_message_ms_uicc_low_level_access_close_channel_set_new(
				   channel, channel ? 0 : our_group(modem), NULL),
			   wait, cancellable, cb, user);
}

static void on_channel_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	MbimModem *modem = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);

	if (answer) {
		ifppd_task_done(user);
		return;
	}
	modem->suspect = TRUE;
	ifppd_task_fail(user, mbim_modem_error(modem, "closing the logical channel", error));
}

void mbim_modem_channel_close(Modem *base, guint8 channel, gint64 deadline, GTask *task)
{
	MbimModem *modem = (MbimModem *)base;
	GError *error = NULL;
	guint wait = modem_wait(base, 0, deadline, "closing the logical channel", &error);

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
	MbimModem *modem;
	guint timeout;
	gint64 deadline;
	guint next, last;	/* 0: the group */
} Sweep;

static void sweep_step(GTask *task);

static void on_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	Sweep *sweep = g_task_get_task_data(user);
	GError *error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);

	/* "No such channel" is what we hope for; only silence ends the sweep. */
	if (error && !mbim_modem_refused(error)) {
		ifppd_task_fail(user, error);
		return;
	}
	g_clear_error(&error);
	sweep->next++;
	sweep_step(user);
}

static void sweep_step(GTask *task)
{
	Sweep *sweep = g_task_get_task_data(task);
	GError *error = NULL;
	guint wait;

	if (sweep->next > sweep->last) {
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

void mbim_modem_sweep_async(MbimModem *modem, gboolean all, guint timeout, gint64 deadline, GCancellable *cancellable,
			    GAsyncReadyCallback cb, gpointer user)
{
	Sweep *sweep = g_new0(Sweep, 1);

	sweep->modem = modem;
	sweep->timeout = timeout;
	sweep->deadline = deadline;
	sweep->last = all && !modem->base.guest ? CHANNEL_MAX : 0;
	modem->base.channel = 0;
	sweep_step(ifppd_task_new(sweep, g_free, cancellable, cb, user));
}

/* ------------------------------------------------------------------ open */

typedef enum {
	OPEN_SWEEP_OURS,
	OPEN_SWEEP_ALL,
	OPEN_CHANNEL,
} OpenStep;

typedef struct {
	MbimModem *modem;
	GBytes *aid;
	gint64 deadline;
	OpenStep step;
	gboolean swept;
} ChannelOpen;

static void channel_open_free(gpointer data)
{
	ChannelOpen *ctx = data;

	g_bytes_unref(ctx->aid);
	g_free(ctx);
}

static void open_step(GTask *task);

static void on_open_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	ChannelOpen *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		ifppd_task_fail(user, mbim_modem_error(ctx->modem, "closing stale channels", error));
		return;
	}
	ctx->step = OPEN_CHANNEL;
	open_step(user);
}

static void on_channel_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	ChannelOpen *ctx = g_task_get_task_data(user);
	MbimModem *modem = ctx->modem;
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	guint32 status = 0, channel = 0;
	gboolean ok;

	ok = answer && mbim_message_ms_uicc_low_level_access_open_channel_response_parse(answer, &status, &channel, NULL, NULL,
											 &error);
	if (ok && channel >= 1 && channel <= CHANNEL_MAX &&
	    (sw1(status) == 0x90 || sw1(status) == 0x91 || sw1(status) == 0x61)) {
		modem->base.channel = channel;
		ifppd_task_done(user);
		return;
	}
	/* Without an answer, or with one that makes no sense, the channel may be open all the same. */
	if (!mbim_modem_refused(error))
		modem->suspect = TRUE;
	if (g_error_matches(error, MBIM_STATUS_ERROR, MBIM_STATUS_ERROR_MS_SELECT_FAILED) ||
	    (ok && sw1(status) == 0x6a && sw2(status) == 0x82)) {
		ifppd_task_fail(user, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: the active card has no ISD-R (%s)",
						  modem->base.device, modem_slots(&modem->base)));
		return;
	}
	/* Any other refusal may mean that every channel is taken: by whom, if not by our predecessors? */
	if (mbim_modem_refused(error) && !ctx->swept &&
	    !g_error_matches(error, MBIM_STATUS_ERROR, MBIM_STATUS_ERROR_SIM_NOT_INSERTED)) {
		ctx->step = OPEN_SWEEP_ALL;
		open_step(user);
		return;
	}
	ifppd_task_fail(user, mbim_modem_error(modem, "opening a logical channel", error));
}

static void open_step(GTask *task)
{
	ChannelOpen *ctx = g_task_get_task_data(task);
	MbimModem *modem = ctx->modem;
	GCancellable *cancellable = g_task_get_cancellable(task);
	GError *error = NULL;
	guint wait;

	if (ctx->step == OPEN_CHANNEL && modem->suspect && !ctx->swept)
		ctx->step = OPEN_SWEEP_OURS;
	wait = modem_wait(&modem->base, 0, ctx->deadline, "opening a logical channel", &error);
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	switch (ctx->step) {
	case OPEN_SWEEP_OURS:
	case OPEN_SWEEP_ALL:
		ctx->swept = TRUE;
		mbim_modem_sweep_async(modem, ctx->step == OPEN_SWEEP_ALL, 0, ctx->deadline, cancellable, on_open_swept,
				       task);
		break;
	case OPEN_CHANNEL:
		mbim_modem_command(modem, mbim_message_ms_uicc_low_level_access_open_channel_set_new(
					   g_bytes_get_size(ctx->aid), g_bytes_get_data(ctx->aid, NULL), 0,
					   our_group(modem), NULL),
				   wait, cancellable, on_channel_opened, task);
		break;
	}
}

void mbim_modem_channel_open(Modem *base, IfppSpan aid, gint64 deadline, GTask *task)
{
	ChannelOpen *ctx = g_new0(ChannelOpen, 1);

	ctx->modem = (MbimModem *)base;
	ctx->aid = g_bytes_new(aid.data, aid.len);
	ctx->deadline = deadline;
	ctx->step = OPEN_CHANNEL;
	g_task_set_task_data(task, ctx, channel_open_free);
	open_step(task);
}

/* -------------------------------------------------------------- transmit */

static void on_transmitted(GObject *source, GAsyncResult *res, gpointer user)
{
	MbimModem *modem = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	guint32 status = 0, len = 0;
	const guint8 *data = NULL;
	guint8 *response;

	if (!answer ||
	    !mbim_message_ms_uicc_low_level_access_apdu_response_parse(answer, &status, &len, &data, &error)) {
		GError *cause = mbim_modem_error(modem, "sending an APDU", error);

		if (g_error_matches(error, MBIM_STATUS_ERROR, MBIM_STATUS_ERROR_PARAMETER_TOO_LONG))
			cause->code = IFPP_ERROR_TOO_LARGE;
		ifppd_task_fail(user, cause);
		return;
	}
	response = g_malloc(len + 2);
	if (len)
		memcpy(response, data, len);
	response[len] = sw1(status);
	response[len + 1] = sw2(status);
	g_task_return_pointer(user, g_bytes_new_take(response, len + 2), (GDestroyNotify)g_bytes_unref);
	g_object_unref(user);
}

void mbim_modem_transmit(Modem *base, IfppSpan apdu, guint timeout, gint64 deadline, GTask *task)
{
	MbimModem *modem = (MbimModem *)base;
	GError *error = NULL;
	guint wait = modem_wait(base, timeout, deadline, "sending an APDU", &error);

	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	/* The modem puts the channel into the class byte, ours says only of which kind it is. */
	mbim_modem_command(modem, mbim_message_ms_uicc_low_level_access_apdu_set_new(
				   base->channel, MBIM_UICC_SECURE_MESSAGING_NONE,
				   apdu.data[0] & 0x80 ? MBIM_UICC_CLASS_BYTE_TYPE_EXTENDED :
							 MBIM_UICC_CLASS_BYTE_TYPE_INTER_INDUSTRY,
				   apdu.len, apdu.data, NULL),
			   wait, g_task_get_cancellable(task), on_transmitted, task);
}
