// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI over libqmi-glib: the port from its opening to its end. */
#define G_LOG_DOMAIN "ifppd"

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "modem-qmi.h"
#include "modem-qmi-priv.h"
#include "modem-qrtr.h"
#include "task.h"

#define PROXY_HINT "no answer; a qmi-proxy runs here and may have read it: stop what uses it (ModemManager, qmicli -p)"

/* ---------------------------------------------------------------- errors */

/*
 * Two that read one port take each other's answers, and the kernel lets them. Who has it open we may
 * not see, but a qmi-proxy, which ModemManager and qmicli -p leave running, is known by its socket.
 */
static gboolean proxy_runs(void)
{
	g_autofree char *sockets = NULL;

	return g_file_get_contents("/proc/self/net/unix", &sockets, NULL, NULL) &&
	       strstr(sockets, " @" QMI_PROXY_SOCKET_PATH "\n");
}

static GError *qmi_modem_gone_error(Modem *base, const char *what)
{
	/* A read that found nothing, since another was first, looks to libqmi like the end. */
	if (!base->proxy && !access(base->device, F_OK) && proxy_runs())
		return g_error_new(IFPP_ERROR, IFPP_ERROR_MODEM, "%s: %s: %s", base->device, what, PROXY_HINT);
	return g_error_new(IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "%s: %s: the modem is gone", base->device, what);
}

GError *qmi_modem_error(Modem *base, const char *what, const GError *cause)
{
	int code = IFPP_ERROR_MODEM;
	const char *text = cause ? cause->message : "no usable answer";
	GError *error;

	if (cause && cause->domain == IFPP_ERROR)
		return g_error_copy(cause);
	if (base->gone)
		return qmi_modem_gone_error(base, what);
	/* The firmware's, whatever is done to the modem. */
	if (g_error_matches(cause, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_ACCESS_DENIED))
		code = IFPP_ERROR_UNSUPPORTED;
	if (g_error_matches(cause, QMI_CORE_ERROR, QMI_CORE_ERROR_TIMEOUT)) {
		code = IFPP_ERROR_TIMEOUT;
		if (!base->proxy && proxy_runs())
			text = PROXY_HINT;
	}
	error = g_error_new(IFPP_ERROR, code, "%s: %s: %s", base->device, what, text);
	if (code == IFPP_ERROR_UNSUPPORTED)
		modem_name_in_error(base, error);
	return error;
}

gboolean qmi_modem_lost_client(const GError *error)
{
	return g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_INVALID_CLIENT_ID);
}

/* ------------------------------------------------------------------ open */

typedef enum {
	OPEN_DEVICE,
	OPEN_PORT,
	OPEN_CLIENTS,
	OPEN_SLOTS,
	OPEN_MODEL,
	OPEN_REVISION,
	OPEN_IDS,
	OPEN_SWEEP,
	OPEN_DONE,
} OpenStep;

typedef struct {
	QmiModem *modem;
	gint64 deadline;
	OpenStep step;
	gboolean renewed;
	gint64 asked;		/* when the slots were */
	GError *no_slot;	/* why none can be used, or NULL */
} Open;

static void open_free(gpointer data)
{
	Open *ctx = data;

	g_clear_error(&ctx->no_slot);
	g_free(ctx);
}

static void open_step(GTask *task);

static void on_removed(QmiDevice *device, gpointer user)
{
	modem_set_gone(user);
}

static void open_next(GTask *task, OpenStep step)
{
	Open *ctx = g_task_get_task_data(task);

	ctx->step = step;
	open_step(task);
}

/* The remembered ids are not ours any more; some modems say so, some just keep silent. */
static gboolean open_renew(GTask *task, const GError *error, gboolean silent_too)
{
	Open *ctx = g_task_get_task_data(task);

	if (ctx->renewed || ctx->modem->base.gone)
		return FALSE;
	if (!qmi_modem_lost_client(error) &&
	    !(silent_too && g_error_matches(error, QMI_CORE_ERROR, QMI_CORE_ERROR_TIMEOUT)))
		return FALSE;
	ctx->renewed = TRUE;
	open_next(task, OPEN_CLIENTS);
	return TRUE;
}

static void on_device(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Open *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	g_autoptr(GError) error = NULL;

	modem->device = modem->base.no_node ? modem_qrtr_device_finish(res, &error) : qmi_device_new_finish(res, &error);
	if (!modem->device) {
		ifppd_task_fail(task, qmi_modem_error(&modem->base, "opening the port", error));
		return;
	}
	modem->removed_id =
		g_signal_connect(modem->device, QMI_DEVICE_SIGNAL_REMOVED, G_CALLBACK(on_removed), modem);
	open_next(task, OPEN_PORT);
}

static void on_port(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Open *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!qmi_device_open_finish(QMI_DEVICE(source), res, &error)) {
		ifppd_task_fail(task, qmi_modem_error(&ctx->modem->base, "opening the port", error));
		return;
	}
	open_next(task, OPEN_CLIENTS);
}

static void on_clients(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	GError *error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		ifppd_task_fail(task, error);
		return;
	}
	open_next(task, OPEN_SLOTS);
}

static void on_slots(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Open *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	GError *error = NULL;
	g_autoptr(QmiMessageUimGetSlotStatusOutput) output =
		qmi_client_uim_get_slot_status_finish(QMI_CLIENT_UIM(source), res, &error);
	gboolean ok = output && qmi_message_uim_get_slot_status_output_get_result(output, &error);

	/* The modem knows its slots by heart, so this is what a request costs without the chip. */
	modem->base.round_trip_ns = (g_get_monotonic_time() - ctx->asked) * 1000;
	if (!ok && open_renew(task, error, TRUE)) {
		g_clear_error(&error);
		return;
	}
	/* Older firmware has no slots (94, 71): then there is only slot 1. */
	if (!ok && (!error || error->domain != QMI_PROTOCOL_ERROR || qmi_modem_lost_client(error))) {
		GError *cause = qmi_modem_error(&modem->base, "reading the slot status", error);

		g_clear_error(&error);
		ifppd_task_fail(task, cause);
		return;
	}
	g_clear_error(&error);
	/* Told when it is known which modem it is, and of which firmware. */
	g_clear_error(&ctx->no_slot);
	qmi_modem_pick_slot(modem, ok ? output : NULL, &ctx->no_slot);
	open_next(task, modem->dms ? OPEN_MODEL : OPEN_SWEEP);
}

static void set_text(char **text, const char *value)
{
	if (!value || !*value || !g_utf8_validate(value, -1, NULL))
		return;
	g_free(*text);
	*text = g_strdup(value);
}

/* A modem that does not say what it is can be used all the same; one that keeps silent is not asked on. */
static void identity_next(GTask *task, OpenStep next, const GError *error)
{
	if (error && open_renew(task, error, FALSE))
		return;
	open_next(task, error && error->domain != QMI_PROTOCOL_ERROR ? OPEN_SWEEP : next);
}

static void on_model(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageDmsGetModelOutput) output =
		qmi_client_dms_get_model_finish(QMI_CLIENT_DMS(source), res, &error);
	const char *model = NULL;

	if (output && qmi_message_dms_get_model_output_get_result(output, &error) &&
	    qmi_message_dms_get_model_output_get_model(output, &model, NULL))
		set_text(&ctx->modem->base.identity.model, model);
	identity_next(user, OPEN_REVISION, error);
}

static void on_revision(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageDmsGetRevisionOutput) output =
		qmi_client_dms_get_revision_finish(QMI_CLIENT_DMS(source), res, &error);
	const char *revision = NULL;

	if (output && qmi_message_dms_get_revision_output_get_result(output, &error) &&
	    qmi_message_dms_get_revision_output_get_revision(output, &revision, NULL))
		set_text(&ctx->modem->base.identity.revision, revision);
	identity_next(user, OPEN_IDS, error);
}

static void on_ids(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	ModemIdentity *identity = &ctx->modem->base.identity;
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageDmsGetIdsOutput) output =
		qmi_client_dms_get_ids_finish(QMI_CLIENT_DMS(source), res, &error);
	const char *text = NULL;

	if (output && qmi_message_dms_get_ids_output_get_result(output, &error)) {
		if (qmi_message_dms_get_ids_output_get_imei(output, &text, NULL))
			set_text(&identity->imei, text);
		/* Modems without CDMA say 0. */
		if (qmi_message_dms_get_ids_output_get_esn(output, &text, NULL) && strcmp(text, "0"))
			set_text(&identity->serial, text);
	}
	identity_next(user, OPEN_SWEEP, error);
}

static void on_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Open *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		ifppd_task_fail(task, qmi_modem_error(&ctx->modem->base, "closing stale channels", error));
		return;
	}
	open_next(task, OPEN_DONE);
}

static void open_port(QmiModem *modem, guint wait, GTask *task)
{
	QmiDeviceOpenFlags flags = modem->mbim ? QMI_DEVICE_OPEN_FLAGS_MBIM : QMI_DEVICE_OPEN_FLAGS_NONE;

	if (modem->base.proxy)
		flags |= QMI_DEVICE_OPEN_FLAGS_PROXY;
	else if (modem->state.allocating)
		flags |= QMI_DEVICE_OPEN_FLAGS_SYNC;
	if (modem->state.allocating) {
		modem->state.uim = QMI_CID_NONE;
		modem->state.dms = QMI_CID_NONE;
	}
	qmi_device_open(modem->device, flags, wait, g_task_get_cancellable(task), on_port, task);
}

static void open_step(GTask *task)
{
	static const char *const doing[] = {
		"opening the port", "opening the port", "allocating a client", "reading the slot status",
		"reading the model", "reading the firmware revision", "reading the serial numbers",
		"closing stale channels", "opening the port",
	};
	Open *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	GCancellable *cancellable = g_task_get_cancellable(task);
	g_autoptr(GFile) file = NULL;
	GError *error = NULL;
	guint wait = modem_wait(&modem->base, 0, ctx->deadline, doing[ctx->step], &error);

	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	switch (ctx->step) {
	case OPEN_DEVICE:
		if (modem->base.no_node) {
			modem_qrtr_device_async(modem->base.device, wait, cancellable, on_device, task);
			break;
		}
		file = g_file_new_for_path(modem->base.device);
		qmi_device_new(file, cancellable, on_device, task);
		break;
	case OPEN_PORT:
		open_port(modem, wait, task);
		break;
	case OPEN_CLIENTS:
		qmi_modem_clients_async(modem, ctx->renewed, ctx->deadline, cancellable, on_clients, task);
		break;
	case OPEN_SLOTS:
		ctx->asked = g_get_monotonic_time();
		qmi_client_uim_get_slot_status(QMI_CLIENT_UIM(modem->uim), NULL, wait, cancellable, on_slots, task);
		break;
	case OPEN_MODEL:
		qmi_client_dms_get_model(QMI_CLIENT_DMS(modem->dms), NULL, wait, cancellable, on_model, task);
		break;
	case OPEN_REVISION:
		qmi_client_dms_get_revision(QMI_CLIENT_DMS(modem->dms), NULL, wait, cancellable, on_revision, task);
		break;
	case OPEN_IDS:
		qmi_client_dms_get_ids(QMI_CLIENT_DMS(modem->dms), NULL, wait, cancellable, on_ids, task);
		break;
	case OPEN_SWEEP:
		if (ctx->no_slot) {
			modem_name_in_error(&modem->base, ctx->no_slot);
			ifppd_task_fail(task, g_steal_pointer(&ctx->no_slot));
			return;
		}
		/* The card of a slot that is left is somebody else's. */
		modem_sweep_async(&modem->base, modem->base.switch_to ? 0 : QMI_OUR_CHANNELS, ctx->deadline, cancellable, on_swept,
				  task);
		break;
	case OPEN_DONE:
		ifppd_task_done(task);
		break;
	}
}

static void qmi_modem_open(Modem *base, gint64 deadline, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;
	Open *ctx = g_new0(Open, 1);
	GError *error = NULL;

	ctx->modem = modem;
	ctx->deadline = deadline;
	g_task_set_task_data(task, ctx, open_free);
	if (!ifpp_make_dir(base->run_dir, 0750, &error)) {
		ifppd_task_fail(task, error);
		return;
	}
	/* On QRTR a client is a socket of ours, and goes with us. */
	if (!base->no_node)
		port_state_load(&modem->state, base->run_dir, base->device);
	open_step(task);
}

/* ----------------------------------------------------------------- close */

static void on_port_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	QmiModem *modem = g_task_get_task_data(user);

	qmi_device_close_finish(QMI_DEVICE(source), res, NULL);
	g_signal_handler_disconnect(modem->device, modem->removed_id);
	g_clear_object(&modem->device);
	ifppd_task_done(user);
}

static void on_released(GObject *source, GAsyncResult *res, gpointer user)
{
	QmiModem *modem = g_task_get_task_data(user);

	if (!g_task_propagate_boolean(G_TASK(res), NULL))
		g_debug("%s: its clients were not given back", modem->base.device);
	qmi_device_close_async(modem->device, QMI_CLOSE_TIMEOUT, NULL, on_port_closed, user);
}

static void qmi_modem_close(Modem *base, gint64 deadline, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;

	if (!modem->device) {
		ifppd_task_done(task);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	qmi_modem_release_async(modem, deadline, on_released, task);
}

static gboolean qmi_modem_lost(Modem *base, const GError *error)
{
	return error ? qmi_modem_lost_client(error) : !((QmiModem *)base)->uim;
}

static void on_renewed(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		ifppd_task_done(user);
	else
		ifppd_task_fail(user, error);
}

static void qmi_modem_renew(Modem *base, gint64 deadline, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;

	qmi_modem_clients_async(modem, modem->uim != NULL, deadline, g_task_get_cancellable(task), on_renewed, task);
}

static void qmi_modem_free(Modem *base)
{
	QmiModem *modem = (QmiModem *)base;

	if (modem->device)
		g_signal_handler_disconnect(modem->device, modem->removed_id);
	g_clear_object(&modem->uim);
	g_clear_object(&modem->dms);
	g_clear_object(&modem->device);
	port_state_clear(&modem->state);
}

static const ModemOps qmi_ops = {
	.free = qmi_modem_free,
	.open = qmi_modem_open,
	.channel_open = qmi_modem_channel_open,
	.channel_close = qmi_modem_channel_close,
	.refused = qmi_modem_refused,
	.error = qmi_modem_error,
	.lost = qmi_modem_lost,
	.renew = qmi_modem_renew,
	.transmit = qmi_modem_transmit,
	.switch_slot = qmi_modem_switch_slot,
	.versions = qmi_modem_versions,
	.close = qmi_modem_close,
	.gone_error = qmi_modem_gone_error,
	.first_channel = 1,
	.our_channels = QMI_OUR_CHANNELS,
	.last_channel = QMI_CHANNEL_MAX,
};

Modem *modem_qmi_new(const ModemOptions *options, ModemGoneFunc gone, gpointer user)
{
	QmiModem *modem = g_new0(QmiModem, 1);

	modem_init(&modem->base, &qmi_ops, options, gone, user);
	modem->base.no_node = modem_qrtr_named(options->device);
	modem->mbim = options->protocol == MODEM_PROTOCOL_MBIM;
	modem->slot = 1;
	return &modem->base;
}
