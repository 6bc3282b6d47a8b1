// SPDX-License-Identifier: GPL-2.0-or-later
/* MBIM: logical channels and the APDUs on them, by Microsoft's low-level UICC access. */
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "error.h"
#include "modem-mbim-priv.h"
#include "task.h"

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

static void on_channel_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);

	if (answer)
		ifppd_task_done(user);
	else
		ifppd_task_fail(user, error);
}

void mbim_modem_channel_close(Modem *base, guint8 channel, guint wait, GTask *task)
{
	MbimModem *modem = (MbimModem *)base;

	mbim_modem_command(modem, mbim_message_ms_uicc_low_level_access_close_channel_set_new(
				   channel, channel ? 0 : our_group(modem), NULL),
			   wait, g_task_get_cancellable(task), on_channel_closed, task);
}

static void on_channel_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	MbimModem *modem = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	guint32 status = 0, channel = 0;
	gboolean ok;

	ok = answer && mbim_message_ms_uicc_low_level_access_open_channel_response_parse(answer, &status, &channel, NULL, NULL,
											 &error);
	if (ok && channel >= 1 && channel <= MBIM_CHANNEL_MAX &&
	    (sw1(status) == 0x90 || sw1(status) == 0x91 || sw1(status) == 0x61)) {
		modem->base.channel = channel;
		ifppd_task_done(user);
		return;
	}
	/* Without an answer, or with one that makes no sense, the channel may be open all the same. */
	if (!mbim_modem_refused(error))
		modem->base.suspect = TRUE;
	if (g_error_matches(error, MBIM_STATUS_ERROR, MBIM_STATUS_ERROR_MS_SELECT_FAILED) ||
	    (ok && sw1(status) == 0x6a && sw2(status) == 0x82))
		ifppd_task_fail(user, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: the active card has no ISD-R (%s)",
						  modem->base.device, modem_slots(&modem->base)));
	else if (!error || g_error_matches(error, MBIM_STATUS_ERROR, MBIM_STATUS_ERROR_SIM_NOT_INSERTED))
		ifppd_task_fail(user, mbim_modem_error(&modem->base, "opening a logical channel", error));
	else
		ifppd_task_fail(user, g_steal_pointer(&error));
}

void mbim_modem_channel_open(Modem *base, IfppSpan aid, guint wait, GTask *task)
{
	MbimModem *modem = (MbimModem *)base;

	g_task_set_task_data(task, modem, NULL);
	mbim_modem_command(modem, mbim_message_ms_uicc_low_level_access_open_channel_set_new(aid.len, aid.data, 0, our_group(modem),
											     NULL),
			   wait, g_task_get_cancellable(task), on_channel_opened, task);
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
		GError *cause = mbim_modem_error(&modem->base, "sending an APDU", error);

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
