// SPDX-License-Identifier: GPL-2.0-or-later
/* The logical channel, whatever protocol carries it: opened, closed, and the ones of a predecessor swept away. */
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem.h"
#include "task.h"

/* ----------------------------------------------------------------- close */

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	Modem *modem = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error)) {
		ifppd_task_done(user);
		return;
	}
	modem->suspect = TRUE;
	ifppd_task_fail(user, modem->ops->error(modem, "closing the logical channel", error));
}

void modem_channel_end(Modem *modem, gint64 deadline, GTask *task)
{
	guint8 channel = modem->channel;
	GError *error = NULL;
	guint wait;

	modem->channel = 0;
	if (!channel || modem->gone) {
		ifppd_task_done(task);
		return;
	}
	wait = modem_wait(modem, 0, deadline, "closing the logical channel", &error);
	if (!wait) {
		modem->suspect = TRUE;
		ifppd_task_fail(task, error);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	modem->ops->channel_close(modem, channel, wait,
				  ifppd_task_new(NULL, NULL, g_task_get_cancellable(task), on_closed, task));
}

/* ----------------------------------------------------------------- sweep */

typedef struct {
	Modem *modem;
	gint64 deadline;
	guint next, last;
} Sweep;

static void sweep_step(GTask *task);

static void on_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	Sweep *sweep = g_task_get_task_data(user);
	GError *error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error)) {
		g_debug("closed stale channel %u", sweep->next);
	} else if (!sweep->modem->ops->refused(error)) {
		/* "No such channel" is what we hope for; only silence or a lost client ends the sweep. */
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
	Modem *modem = sweep->modem;
	GError *error = NULL;
	guint wait;

	if (sweep->next > sweep->last) {
		modem->suspect = FALSE;
		ifppd_task_done(task);
		return;
	}
	wait = modem_wait(modem, 0, sweep->deadline, "closing stale channels", &error);
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	modem->ops->channel_close(modem, sweep->next, wait,
				  ifppd_task_new(NULL, NULL, g_task_get_cancellable(task), on_swept, task));
}

void modem_sweep_async(Modem *modem, guint last, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
		       gpointer user)
{
	Sweep *sweep = g_new0(Sweep, 1);

	sweep->modem = modem;
	sweep->deadline = deadline;
	sweep->next = modem->ops->first_channel;
	sweep->last = modem->guest ? 0 : last;
	modem->channel = 0;
	sweep_step(ifppd_task_new(sweep, g_free, cancellable, cb, user));
}

/* ------------------------------------------------------------------ open */

typedef struct {
	Modem *modem;
	GBytes *aid;
	gint64 deadline;
	gboolean renewed;
	gboolean swept;
} Open;

static void open_free(gpointer data)
{
	Open *ctx = data;

	g_bytes_unref(ctx->aid);
	g_free(ctx);
}

static void open_step(GTask *task);

static void on_renewed(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		open_step(user);
	else
		ifppd_task_fail(user, error);
}

/* Once, the modem is believed that it has forgotten our client. */
static gboolean open_renew(GTask *task, const GError *error)
{
	Open *ctx = g_task_get_task_data(task);
	Modem *modem = ctx->modem;

	if (!modem->ops->lost || !modem->ops->lost(modem, error) || ctx->renewed)
		return FALSE;
	if (error)
		g_message("%s: the modem has forgotten our client, taking a new one", modem->device);
	ctx->renewed = TRUE;
	modem->ops->renew(modem, ctx->deadline, ifppd_task_new(NULL, NULL, g_task_get_cancellable(task), on_renewed, task));
	return TRUE;
}

static void on_open_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		open_step(user);
	else if (!open_renew(user, error))
		ifppd_task_fail(user, ctx->modem->ops->error(ctx->modem, "closing stale channels", error));
}

static void open_sweep(GTask *task, guint last)
{
	Open *ctx = g_task_get_task_data(task);

	ctx->swept = TRUE;
	modem_sweep_async(ctx->modem, last, ctx->deadline, g_task_get_cancellable(task), on_open_swept, task);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	const ModemOps *ops = ctx->modem->ops;
	g_autoptr(GError) error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		ifppd_task_done(user);
	else if (open_renew(user, error))
		return;
	/* Any other refusal may mean that every channel is taken: by whom, if not by our predecessors? */
	else if (ops->refused(error) && !ctx->swept)
		open_sweep(user, ops->last_channel);
	else
		ifppd_task_fail(user, ops->error(ctx->modem, "opening a logical channel", error));
}

static void open_step(GTask *task)
{
	Open *ctx = g_task_get_task_data(task);
	Modem *modem = ctx->modem;
	GError *error = NULL;
	guint wait = modem_wait(modem, 0, ctx->deadline, "opening a logical channel", &error);

	if (!wait)
		ifppd_task_fail(task, error);
	else if (open_renew(task, NULL))
		return;
	else if (modem->ops->lost && modem->ops->lost(modem, NULL))
		ifppd_task_fail(task, modem->ops->error(modem, "allocating a client", NULL));
	else if (modem->suspect && !ctx->swept)
		open_sweep(task, modem->ops->our_channels);
	else
		modem->ops->channel_open(modem, ifpp_span_bytes(ctx->aid), wait,
					 ifppd_task_new(NULL, NULL, g_task_get_cancellable(task), on_opened, task));
}

void modem_channel_begin(Modem *modem, IfppSpan aid, gint64 deadline, GTask *task)
{
	Open *ctx = g_new0(Open, 1);

	ctx->modem = modem;
	ctx->aid = g_bytes_new(aid.data, aid.len);
	ctx->deadline = deadline;
	g_task_set_task_data(task, ctx, open_free);
	open_step(task);
}
