// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <unistd.h>

#include "error.h"
#include "modem.h"
#include "task.h"

#define CLOSE_TIME (10 * G_USEC_PER_SEC)
#define CLOSE_MESSAGE_S 3	/* for each message while going down */
#define SWITCH_TIME (30 * G_USEC_PER_SEC)	/* the card of the slot starts cold */

void modem_init(Modem *modem, const ModemOps *ops, const ModemOptions *options, ModemGoneFunc gone, gpointer user)
{
	modem->ops = ops;
	modem->device = g_strdup(options->device);
	modem->modem_dir = g_build_filename(options->state_dir, "modem", NULL);
	modem->run_dir = g_strdup(options->run_dir ? options->run_dir : modem->modem_dir);
	modem->want_slot = options->slot;
	modem->may_switch = options->switch_slot;
	modem->timeout = options->timeout;
	modem->proxy = options->proxy;
	modem->guest = options->guest;
	modem->gone_func = gone;
	modem->gone_user = user;
}

/* Who speaks for it: the protocol inside, if there is one. */
static Modem *actual(const Modem *modem)
{
	return modem->inside ? modem->inside : (Modem *)modem;
}

void modem_free(Modem *modem)
{
	if (!modem)
		return;
	modem_free(modem->candidate);
	modem->ops->free(modem);
	g_clear_error(&modem->refusal);
	g_free(modem->device);
	g_free(modem->modem_dir);
	g_free(modem->run_dir);
	g_free(modem->identity.model);
	g_free(modem->identity.revision);
	g_free(modem->identity.imei);
	g_free(modem->identity.serial);
	g_free(modem->slots);
	g_clear_pointer(&modem->block, block_free);
	g_free(modem);
}

void modem_set_gone(Modem *modem)
{
	if (modem->gone)
		return;
	modem->gone = TRUE;
	modem->channel = 0;
	modem->gone_func(modem->gone_user);
}

gboolean modem_is_there(Modem *modem)
{
	return !access(modem->device, F_OK);
}

GError *modem_gone_error(Modem *modem, const char *what)
{
	return actual(modem)->ops->gone_error(actual(modem), what);
}

void modem_name_in_error(Modem *modem, GError *error)
{
	char *text;

	if (!modem->identity.model && !modem->identity.revision)
		return;
	text = g_strdup_printf("%s (%s, firmware %s)", error->message, modem_model(modem),
			       modem->identity.revision ? modem->identity.revision : "unknown");
	g_free(error->message);
	error->message = text;
}

guint modem_wait(Modem *modem, guint timeout, gint64 deadline, const char *what, GError **error)
{
	gint64 left = deadline - g_get_monotonic_time();

	if (left <= 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TIMEOUT, "%s: %s: out of time", modem->device, what);
		return 0;
	}
	return MIN(timeout ? timeout : modem->timeout, (left + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
}

typedef struct {
	Modem *modem;
	gint64 deadline;
} Opening;

static void on_switched(GObject *source, GAsyncResult *res, gpointer user)
{
	Opening *ctx = g_task_get_task_data(user);
	GError *error = NULL;

	if (!modem_switch_slot_finish(res, &error)) {
		ifppd_task_fail(user, error);
		return;
	}
	g_message("%s: slot %u is the active one now, as the policy allows", ctx->modem->device,
		  actual(ctx->modem)->want_slot);
	ifppd_task_done(user);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	Opening *ctx = g_task_get_task_data(user);
	Modem *modem = actual(ctx->modem);
	GError *error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error))
		ifppd_task_fail(user, error);
	else if (modem->switch_to)
		modem_switch_slot_async(modem, modem->switch_to, ctx->deadline, g_task_get_cancellable(user), on_switched, user);
	else
		ifppd_task_done(user);
}

void modem_open_async(Modem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
		      gpointer user)
{
	Opening *ctx = g_new0(Opening, 1);
	GTask *task = ifppd_task_new(ctx, g_free, cancellable, cb, user);

	ctx->modem = modem;
	ctx->deadline = deadline;
	if (!modem->no_node && access(modem->device, R_OK | W_OK)) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, errno == EACCES ? IFPP_ERROR_ACCESS :
						  errno == EPERM ? IFPP_ERROR_CONFINED : IFPP_ERROR_NO_DEVICE, "%s: %s", modem->device, g_strerror(errno)));
		return;
	}
	if (modem->refusal)
		ifppd_task_fail(task, g_error_copy(modem->refusal));
	else
		modem->ops->open(modem, deadline, ifppd_task_new(NULL, NULL, cancellable, on_opened, task));
}

gboolean modem_open_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

void modem_channel_open_async(Modem *modem, IfppSpan aid, gint64 deadline, GCancellable *cancellable,
			      GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = ifppd_task_new(NULL, NULL, cancellable, cb, user);

	modem = actual(modem);
	if (modem->gone) {
		ifppd_task_fail(task, modem_gone_error(modem, "opening a logical channel"));
		return;
	}
	modem_channel_begin(modem, aid, deadline, task);
}

gboolean modem_channel_open_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

void modem_channel_close_async(Modem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
			       gpointer user)
{
	modem_channel_end(actual(modem), deadline, ifppd_task_new(NULL, NULL, cancellable, cb, user));
}

gboolean modem_channel_close_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

void modem_transmit_async(Modem *modem, IfppSpan apdu, guint timeout, gint64 deadline, GCancellable *cancellable,
			  GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = ifppd_task_new(NULL, NULL, cancellable, cb, user);

	modem = actual(modem);
	if (modem->gone)
		ifppd_task_fail(task, modem_gone_error(modem, "sending an APDU"));
	else if (!modem->channel)
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_MODEM,
						  "%s: sending an APDU: no logical channel is open", modem->device));
	else
		modem->ops->transmit(modem, apdu, timeout, deadline, task);
}

GBytes *modem_transmit_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_pointer(G_TASK(res), error);
}

void modem_switch_slot_async(Modem *modem, guint slot, gint64 deadline, GCancellable *cancellable,
			     GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = ifppd_task_new(NULL, NULL, cancellable, cb, user);
	gint64 limit = g_get_monotonic_time() + SWITCH_TIME;

	modem = actual(modem);
	modem->card_expected = modem->switch_to == slot;
	modem->switching = slot;
	modem->switch_to = 0;
	modem->want_slot = slot;
	modem->may_switch = FALSE;
	if (modem->gone)
		ifppd_task_fail(task, modem_gone_error(modem, "switching the slot"));
	else
		modem->ops->switch_slot(modem, slot, MIN(deadline, limit), task);
}

gboolean modem_switch_slot_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

typedef struct {
	Modem *modem;
	gint64 deadline;
} Closing;

static void close_port(GTask *task)
{
	Closing *ctx = g_task_get_task_data(task);
	Modem *modem = ctx->modem;
	gint64 deadline = ctx->deadline;

	modem->ops->close(modem, deadline, task);
}

/* Whatever these say, the port is closed. */
static void on_close_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	Closing *ctx = g_task_get_task_data(user);

	if (!g_task_propagate_boolean(G_TASK(res), NULL))
		g_debug("%s: stale channels were not closed", ctx->modem->device);
	close_port(user);
}

static void on_close_channel(GObject *source, GAsyncResult *res, gpointer user)
{
	Closing *ctx = g_task_get_task_data(user);
	Modem *modem = ctx->modem;

	if (!g_task_propagate_boolean(G_TASK(res), NULL))
		g_debug("%s: its channel was not closed", modem->device);
	if (modem->gone || !modem->suspect)
		close_port(user);
	else
		modem_sweep_async(modem, modem->ops->our_channels, ctx->deadline, NULL, on_close_swept, user);
}

void modem_close_async(Modem *modem, GAsyncReadyCallback cb, gpointer user)
{
	Closing *ctx = g_new0(Closing, 1);

	ctx->modem = actual(modem);
	ctx->deadline = g_get_monotonic_time() + CLOSE_TIME;
	ctx->modem->timeout = MIN(ctx->modem->timeout, CLOSE_MESSAGE_S);
	modem_channel_end(ctx->modem, ctx->deadline, ifppd_task_new(NULL, NULL, NULL, on_close_channel,
								    ifppd_task_new(ctx, g_free, NULL, cb, user)));
}

void modem_close_finish(GAsyncResult *res)
{
	g_task_propagate_boolean(G_TASK(res), NULL);
}

void modem_versions_async(Modem *modem, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb,
			  gpointer user)
{
	modem = actual(modem);
	modem->ops->versions(modem, deadline, ifppd_task_new(NULL, NULL, cancellable, cb, user));
}

char *modem_versions_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_pointer(G_TASK(res), error);
}

const char *modem_model(Modem *modem)
{
	modem = actual(modem);
	return modem->identity.model ? modem->identity.model : "modem";
}

const ModemIdentity *modem_identity(Modem *modem)
{
	return &actual(modem)->identity;
}

const char *modem_slots(Modem *modem)
{
	modem = actual(modem);
	return modem->slots ? modem->slots : "the modem tells nothing of its slots";
}

guint modem_channel(Modem *modem)
{
	return actual(modem)->channel;
}

guint64 modem_round_trip(Modem *modem)
{
	return actual(modem)->round_trip_ns;
}

guint modem_timeout(Modem *modem)
{
	return actual(modem)->timeout;
}

Block *modem_block(Modem *modem)
{
	modem = actual(modem);
	if (!modem->block)
		modem->block = block_new(modem->modem_dir, modem->identity.model, modem->identity.revision);
	return modem->block;
}
