// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM: the slots, and making another one active. */
#define G_LOG_DOMAIN "ifppd"

#include "modem-qmi-priv.h"
#include "modem-slots.h"
#include "task.h"

gboolean qmi_modem_pick_slot(QmiModem *modem, QmiMessageUimGetSlotStatusOutput *output, GError **error)
{
	g_autoptr(GArray) slots = g_array_new(FALSE, TRUE, sizeof(ModemSlot));
	GArray *status = NULL, *info = NULL;

	if (output &&
	    qmi_message_uim_get_slot_status_output_get_physical_slot_status(output, &status, NULL))
		g_array_set_size(slots, MIN(status->len, MODEM_SLOTS_MAX));
	if (output)
		qmi_message_uim_get_slot_status_output_get_physical_slot_information(output, &info, NULL);
	for (guint i = 0; i < slots->len; i++) {
		const QmiPhysicalSlotStatusSlot *from = &g_array_index(status, QmiPhysicalSlotStatusSlot, i);

		g_array_index(slots, ModemSlot, i) = (ModemSlot){
			.present = from->physical_card_status == QMI_UIM_PHYSICAL_CARD_STATE_PRESENT,
			.active = from->physical_slot_status == QMI_UIM_SLOT_STATE_ACTIVE,
			.euicc = info && i < info->len &&
				 g_array_index(info, QmiPhysicalSlotInformationSlot, i).is_euicc,
			.logical = from->logical_slot,
		};
	}
	return modem_slots_pick(&modem->base, slots, &modem->slot, error);
}

/* ---------------------------------------------------------------- switch */

typedef enum {
	SWITCH_ASK,
	SWITCH_CLIENTS,		/* the modem has forgotten ours */
	SWITCH_LOOK,
} SwitchStep;

typedef struct {
	QmiModem *modem;
	guint slot;
	gint64 deadline;
	SwitchStep step, after;
	gboolean renewed;
} Switch;

static void switch_step(GTask *task);

static gboolean look_again(gpointer user)
{
	switch_step(user);
	return G_SOURCE_REMOVE;
}

static void switch_next(GTask *task, SwitchStep step)
{
	Switch *ctx = g_task_get_task_data(task);

	ctx->step = step;
	switch_step(task);
}

/* Firmware that starts its UIM anew with the card forgets its clients: once. */
static gboolean switch_renew(GTask *task, const GError *error)
{
	Switch *ctx = g_task_get_task_data(task);

	if (!qmi_modem_lost_client(error) || ctx->renewed)
		return FALSE;
	ctx->renewed = TRUE;
	ctx->after = ctx->step;
	switch_next(task, SWITCH_CLIENTS);
	return TRUE;
}

static void on_switch_clients(GObject *source, GAsyncResult *res, gpointer user)
{
	Switch *ctx = g_task_get_task_data(user);
	GError *error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		switch_next(user, ctx->after);
	else
		ifppd_task_fail(user, error);
}

static void on_asked(GObject *source, GAsyncResult *res, gpointer user)
{
	Switch *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimSwitchSlotOutput) output =
		qmi_client_uim_switch_slot_finish(QMI_CLIENT_UIM(source), res, &error);

	if ((output && qmi_message_uim_switch_slot_output_get_result(output, &error)) ||
	    g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_NO_EFFECT))
		switch_next(user, SWITCH_LOOK);
	else if (!switch_renew(user, error))
		ifppd_task_fail(user, qmi_modem_error(&ctx->modem->base, "switching the slot", error));
}

static void on_look(GObject *source, GAsyncResult *res, gpointer user)
{
	Switch *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimGetSlotStatusOutput) output =
		qmi_client_uim_get_slot_status_finish(QMI_CLIENT_UIM(source), res, &error);

	if (output && qmi_message_uim_get_slot_status_output_get_result(output, &error)) {
		if (qmi_modem_pick_slot(ctx->modem, output, NULL))
			ifppd_task_done(user);
		else
			g_timeout_add(MODEM_SLOT_LOOK_MS, look_again, user);
	} else if (!switch_renew(user, error)) {
		ifppd_task_fail(user, qmi_modem_error(&ctx->modem->base, "switching the slot", error));
	}
}

static void switch_step(GTask *task)
{
	Switch *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	GCancellable *cancellable = g_task_get_cancellable(task);
	g_autoptr(QmiMessageUimSwitchSlotInput) input = NULL;
	GError *error = NULL;
	guint wait = modem_wait(&modem->base, 0, ctx->deadline, "waiting for the slot to become active", &error);

	if (wait && g_cancellable_set_error_if_cancelled(cancellable, &error))
		wait = 0;
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	switch (ctx->step) {
	case SWITCH_ASK:
		input = qmi_message_uim_switch_slot_input_new();
		qmi_message_uim_switch_slot_input_set_logical_slot(input, 1, NULL);
		qmi_message_uim_switch_slot_input_set_physical_slot(input, ctx->slot, NULL);
		qmi_client_uim_switch_slot(QMI_CLIENT_UIM(modem->uim), input, wait, cancellable, on_asked, task);
		break;
	case SWITCH_CLIENTS:
		qmi_modem_clients_async(modem, TRUE, ctx->deadline, cancellable, on_switch_clients, task);
		break;
	case SWITCH_LOOK:
		qmi_client_uim_get_slot_status(QMI_CLIENT_UIM(modem->uim), NULL, wait, cancellable, on_look, task);
		break;
	}
}

void qmi_modem_switch_slot(Modem *base, guint slot, gint64 deadline, GTask *task)
{
	Switch *ctx = g_new0(Switch, 1);

	ctx->modem = (QmiModem *)base;
	ctx->slot = slot;
	ctx->deadline = deadline;
	g_task_set_task_data(task, ctx, g_free);
	if (ctx->modem->uim)
		switch_step(task);
	else
		ifppd_task_fail(task, qmi_modem_error(&ctx->modem->base, "switching the slot", NULL));
}
