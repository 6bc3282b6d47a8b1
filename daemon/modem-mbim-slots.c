// SPDX-License-Identifier: GPL-2.0-or-later
/* MBIM: the slots, where the modem has Microsoft's extensions of basic connectivity; else there is one. */
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem-mbim-priv.h"
#include "modem-slots.h"
#include "task.h"

typedef enum {
	SLOTS_COUNT,
	SLOTS_MAPPING,
	SLOTS_STATE,		/* of each */
	SLOTS_DONE,
} SlotsStep;

typedef struct {
	MbimModem *modem;
	gint64 deadline;
	SlotsStep step;
	GArray *slots;		/* ModemSlot */
	guint asked;		/* how many of them */
} Slots;

static void slots_free(gpointer data)
{
	Slots *ctx = data;

	g_array_unref(ctx->slots);
	g_free(ctx);
}

static void slots_step(GTask *task);

/* A modem that does not tell has one slot. TRUE: go on; else the task has ended */
static gboolean slots_told(GTask *task, const GError *error)
{
	Slots *ctx = g_task_get_task_data(task);

	if (!error)
		return TRUE;
	if (!mbim_modem_refused(error)) {
		ifppd_task_fail(task, mbim_modem_error(&ctx->modem->base, "reading the slots", error));
		return FALSE;
	}
	g_array_set_size(ctx->slots, 0);
	ctx->step = SLOTS_DONE;
	return TRUE;
}

static void on_count(GObject *source, GAsyncResult *res, gpointer user)
{
	Slots *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	guint32 count = 0;

	ctx->step = SLOTS_MAPPING;
	if (answer && mbim_message_ms_basic_connect_extensions_sys_caps_response_parse(answer, NULL, &count, NULL, NULL, &error))
		g_array_set_size(ctx->slots, MIN(count, MODEM_SLOTS_MAX));
	if (slots_told(user, error))
		slots_step(user);
}

static void on_mapping(GObject *source, GAsyncResult *res, gpointer user)
{
	Slots *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	g_autoptr(MbimSlotArray) map = NULL;
	guint32 count = 0;

	ctx->step = SLOTS_STATE;
	if (answer &&
	    mbim_message_ms_basic_connect_extensions_device_slot_mappings_response_parse(answer, &count, &map, &error) &&
	    count && map[0]->slot < ctx->slots->len) {
		ModemSlot *slot = &g_array_index(ctx->slots, ModemSlot, map[0]->slot);

		slot->active = TRUE;
		slot->logical = 1;
	}
	if (slots_told(user, error))
		slots_step(user);
}

static void on_state(GObject *source, GAsyncResult *res, gpointer user)
{
	Slots *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	ModemSlot *slot = &g_array_index(ctx->slots, ModemSlot, ctx->asked);
	MbimUiccSlotState state = MBIM_UICC_SLOT_STATE_UNKNOWN;

	if (answer &&
	    mbim_message_ms_basic_connect_extensions_slot_info_status_response_parse(answer, NULL, &state, &error)) {
		slot->present = state != MBIM_UICC_SLOT_STATE_EMPTY && state != MBIM_UICC_SLOT_SATE_OFF_EMPTY;
		slot->euicc = state == MBIM_UICC_SLOT_STATE_ACTIVE_ESIM ||
			      state == MBIM_UICC_SLOT_STATE_ACTIVE_ESIM_NO_PROFILES;
	}
	if (++ctx->asked >= ctx->slots->len)
		ctx->step = SLOTS_DONE;
	if (slots_told(user, error))
		slots_step(user);
}

static void slots_step(GTask *task)
{
	Slots *ctx = g_task_get_task_data(task);
	MbimModem *modem = ctx->modem;
	GCancellable *cancellable = g_task_get_cancellable(task);
	GError *error = NULL;
	guint8 logical;
	guint wait;

	if (!modem->has_slots || (ctx->step != SLOTS_COUNT && !ctx->slots->len))
		ctx->step = SLOTS_DONE;
	wait = modem_wait(&modem->base, 0, ctx->deadline, "reading the slots", &error);
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	switch (ctx->step) {
	case SLOTS_COUNT:
		mbim_modem_command(modem, mbim_message_ms_basic_connect_extensions_sys_caps_query_new(NULL), wait, cancellable,
				   on_count, task);
		break;
	case SLOTS_MAPPING:
		mbim_modem_command(modem, mbim_message_ms_basic_connect_extensions_device_slot_mappings_query_new(NULL), wait,
				   cancellable, on_mapping, task);
		break;
	case SLOTS_STATE:
		mbim_modem_command(modem, mbim_message_ms_basic_connect_extensions_slot_info_status_query_new(ctx->asked, NULL),
				   wait, cancellable, on_state, task);
		break;
	case SLOTS_DONE:
		if (modem_slots_pick(&modem->base, ctx->slots, &logical, &error))
			ifppd_task_done(task);
		else
			ifppd_task_fail(task, error);
		break;
	}
}

void mbim_modem_slots_async(MbimModem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
			    gpointer user)
{
	Slots *ctx = g_new0(Slots, 1);

	ctx->modem = modem;
	ctx->deadline = deadline;
	ctx->slots = g_array_new(FALSE, TRUE, sizeof(ModemSlot));
	slots_step(ifppd_task_new(ctx, slots_free, cancellable, cb, user));
}

/* ---------------------------------------------------------------- switch */

typedef struct {
	MbimModem *modem;
	gint64 deadline;
} Switch;

static void on_switched(GObject *source, GAsyncResult *res, gpointer user);

static gboolean look_again(gpointer user)
{
	Switch *ctx = g_task_get_task_data(user);

	mbim_modem_slots_async(ctx->modem, ctx->deadline, g_task_get_cancellable(user), on_switched, user);
	return G_SOURCE_REMOVE;
}

/* No card in an active slot yet: it is looked for again, until the time is over. */
static void on_switched(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GError) error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		ifppd_task_done(user);
	else if (g_error_matches(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC) &&
		 !g_cancellable_is_cancelled(g_task_get_cancellable(user)))
		g_timeout_add(MODEM_SLOT_LOOK_MS, look_again, user);
	else
		ifppd_task_fail(user, g_steal_pointer(&error));
}

static void on_mapped(GObject *source, GAsyncResult *res, gpointer user)
{
	Switch *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);

	if (answer)
		look_again(user);
	else
		ifppd_task_fail(user, mbim_modem_error(&ctx->modem->base, "switching the slot", error));
}

void mbim_modem_switch_slot(Modem *base, guint slot, gint64 deadline, GTask *task)
{
	MbimModem *modem = (MbimModem *)base;
	const MbimSlot wanted = { .slot = slot - 1 };
	const MbimSlot *map = &wanted;
	Switch *ctx;
	GError *error = NULL;
	guint wait = modem_wait(base, 0, deadline, "switching the slot", &error);

	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	ctx = g_new0(Switch, 1);
	ctx->modem = modem;
	ctx->deadline = deadline;
	g_task_set_task_data(task, ctx, g_free);
	mbim_modem_command(modem, mbim_message_ms_basic_connect_extensions_device_slot_mappings_set_new(1, &map, NULL), wait,
			   g_task_get_cancellable(task), on_mapped, task);
}
