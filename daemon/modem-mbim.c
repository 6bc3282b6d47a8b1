// SPDX-License-Identifier: GPL-2.0-or-later
/* MBIM over libmbim-glib: the port from its opening to its end. */
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem-mbim.h"
#include "modem-mbim-priv.h"
#include "modem-qmi.h"
#include "task.h"

/* ---------------------------------------------------------------- errors */

static GError *mbim_modem_gone_error(Modem *base, const char *what)
{
	return g_error_new(IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "%s: %s: the modem is gone", base->device, what);
}

gboolean mbim_modem_refused(const GError *error)
{
	return error && error->domain == MBIM_STATUS_ERROR;
}

GError *mbim_modem_error(Modem *base, const char *what, const GError *cause)
{
	int code = IFPP_ERROR_MODEM;

	if (cause && cause->domain == IFPP_ERROR)
		return g_error_copy(cause);
	if (base->gone)
		return mbim_modem_gone_error(base, what);
	if (g_error_matches(cause, MBIM_CORE_ERROR, MBIM_CORE_ERROR_TIMEOUT))
		code = IFPP_ERROR_TIMEOUT;
	if (g_error_matches(cause, MBIM_STATUS_ERROR, MBIM_STATUS_ERROR_SIM_NOT_INSERTED))
		code = IFPP_ERROR_NO_EUICC;
	return g_error_new(IFPP_ERROR, code, "%s: %s: %s", base->device, what,
			   cause ? cause->message : "no usable answer");
}

/* -------------------------------------------------------------- messages */

void mbim_modem_command(MbimModem *modem, MbimMessage *request, guint wait, GCancellable *cancellable,
			GAsyncReadyCallback cb, gpointer user)
{
	mbim_device_command(modem->device, request, wait, cancellable, cb, user);
	mbim_message_unref(request);
}

MbimMessage *mbim_modem_answer(GObject *source, GAsyncResult *res, GError **error)
{
	g_autoptr(MbimMessage) response = mbim_device_command_finish(MBIM_DEVICE(source), res, error);

	if (!response || !mbim_message_response_get_result(response, MBIM_MESSAGE_TYPE_COMMAND_DONE, error))
		return NULL;
	return g_steal_pointer(&response);
}

/* ------------------------------------------------------------------ open */

typedef enum {
	OPEN_DEVICE,
	OPEN_PORT,
	OPEN_SERVICES,
	OPEN_CLOSE,		/* QMI is inside, and opens the port its own way */
	OPEN_QMI,
	OPEN_CAPS,
	OPEN_SLOTS,
	OPEN_SWEEP,
	OPEN_DONE,
} OpenStep;

typedef struct {
	MbimModem *modem;
	gint64 deadline;
	OpenStep step;
	gint64 asked;		/* when the capabilities were */
} Open;

static void open_step(GTask *task);

static void on_removed(MbimDevice *device, gpointer user)
{
	g_cancellable_cancel(((MbimModem *)user)->closing);
	modem_set_gone(user);
}

static void open_next(GTask *task, OpenStep step)
{
	Open *ctx = g_task_get_task_data(task);

	ctx->step = step;
	open_step(task);
}

static void drop_device(MbimModem *modem)
{
	if (modem->device)
		g_signal_handler_disconnect(modem->device, modem->removed_id);
	g_clear_object(&modem->device);
}

static void on_device(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	MbimModem *modem = ctx->modem;
	g_autoptr(GError) error = NULL;

	modem->device = mbim_device_new_finish(res, &error);
	if (!modem->device) {
		ifppd_task_fail(user, mbim_modem_error(&modem->base, "opening the port", error));
		return;
	}
	modem->removed_id = g_signal_connect(modem->device, MBIM_DEVICE_SIGNAL_REMOVED, G_CALLBACK(on_removed), modem);
	open_next(user, OPEN_PORT);
}

static void on_port(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (!mbim_device_open_full_finish(MBIM_DEVICE(source), res, &error)) {
		ifppd_task_fail(user, mbim_modem_error(&ctx->modem->base, "opening the port", error));
		return;
	}
	open_next(user, OPEN_SERVICES);
}

static void note_service(MbimModem *modem, GString *text, MbimService service)
{
	const char *name = mbim_service_get_string(service);

	modem->has_qmi |= service == MBIM_SERVICE_QMI;
	modem->has_uicc |= service == MBIM_SERVICE_MS_UICC_LOW_LEVEL_ACCESS;
	modem->has_slots |= service == MBIM_SERVICE_MS_BASIC_CONNECT_EXTENSIONS;
	if (name && service != MBIM_SERVICE_INVALID)
		g_string_append_printf(text, ", %s", name);
}

static void on_services(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	MbimModem *modem = ctx->modem;
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	g_autoptr(MbimDeviceServiceElementArray) elements = NULL;
	g_autoptr(GString) text = g_string_new("mbim 1.0");
	guint32 count = 0;

	if (!answer ||
	    !mbim_message_device_services_response_parse(answer, &count, NULL, &elements, &error)) {
		ifppd_task_fail(user, mbim_modem_error(&modem->base, "reading its services", error));
		return;
	}
	modem->has_qmi = modem->has_uicc = modem->has_slots = FALSE;
	for (guint i = 0; i < count; i++)
		note_service(modem, text, mbim_uuid_to_service(&elements[i]->device_service_id));
	g_free(modem->services);
	modem->services = g_string_free(g_steal_pointer(&text), FALSE);
	open_next(user, modem->has_qmi ? OPEN_CLOSE : OPEN_CAPS);
}

static void on_handed_over(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (!mbim_device_close_finish(MBIM_DEVICE(source), res, &error)) {
		ifppd_task_fail(user, mbim_modem_error(&ctx->modem->base, "opening the port", error));
		return;
	}
	drop_device(ctx->modem);
	open_next(user, OPEN_QMI);
}

static void on_qmi(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;

	if (modem_open_finish(res, &error))
		ifppd_task_done(user);
	else
		ifppd_task_fail(user, error);
}

static char *take_text(char *text)
{
	if (text && *g_strstrip(text))
		return text;
	g_free(text);
	return NULL;
}

/* A modem that does not say what it is can be used all the same. */
static void on_caps(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	MbimModem *modem = ctx->modem;
	ModemIdentity *identity = &modem->base.identity;
	g_autoptr(GError) error = NULL;
	g_autoptr(MbimMessage) answer = mbim_modem_answer(source, res, &error);
	char *imei = NULL, *revision = NULL, *model = NULL;

	modem->base.round_trip_ns = (g_get_monotonic_time() - ctx->asked) * 1000;
	if (answer && mbim_message_device_caps_response_parse(answer, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
							      NULL, &imei, &revision, &model, &error)) {
		identity->imei = take_text(imei);
		identity->revision = take_text(revision);
		identity->model = take_text(model);
	}
	if (!modem->has_uicc) {
		ifppd_task_fail(user, g_error_new(IFPP_ERROR, IFPP_ERROR_UNSUPPORTED,
						  "%s: %s, firmware %s: in MBIM mode it offers neither QMI nor the low-level UICC "
						  "access (%s)", modem->base.device, modem_model(&modem->base),
						  identity->revision ? identity->revision : "unknown", modem->services));
		return;
	}
	if (error && !mbim_modem_refused(error))
		ifppd_task_fail(user, mbim_modem_error(&modem->base, "reading the model", error));
	else
		open_next(user, OPEN_SLOTS);
}

static void on_slots(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	GError *error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error)) {
		open_next(user, OPEN_SWEEP);
		return;
	}
	modem_name_in_error(&ctx->modem->base, error);
	ifppd_task_fail(user, error);
}

static void on_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	Open *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (g_task_propagate_boolean(G_TASK(res), &error))
		open_next(user, OPEN_DONE);
	else
		ifppd_task_fail(user, mbim_modem_error(&ctx->modem->base, "closing stale channels", error));
}

static void open_step(GTask *task)
{
	static const char *const doing[] = {
		"opening the port", "opening the port", "reading its services", "opening the port", "opening the port",
		"reading the model", "reading the slots", "closing stale channels", "opening the port",
	};
	Open *ctx = g_task_get_task_data(task);
	MbimModem *modem = ctx->modem;
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
		file = g_file_new_for_path(modem->base.device);
		mbim_device_new(file, cancellable, on_device, task);
		break;
	case OPEN_PORT:
		mbim_device_open_full(modem->device, modem->base.proxy ? MBIM_DEVICE_OPEN_FLAGS_PROXY :
				      MBIM_DEVICE_OPEN_FLAGS_NONE, wait, cancellable, on_port, task);
		break;
	case OPEN_SERVICES:
		mbim_modem_command(modem, mbim_message_device_services_query_new(NULL), wait, cancellable, on_services,
				   task);
		break;
	case OPEN_CLOSE:
		mbim_device_close(modem->device, wait, cancellable, on_handed_over, task);
		break;
	case OPEN_QMI:
		modem->base.inside = modem->base.candidate;
		modem_open_async(modem->base.inside, ctx->deadline, cancellable, on_qmi, task);
		break;
	case OPEN_CAPS:
		ctx->asked = g_get_monotonic_time();
		mbim_modem_command(modem, mbim_message_device_caps_query_new(NULL), wait, cancellable, on_caps, task);
		break;
	case OPEN_SLOTS:
		mbim_modem_slots_async(modem, ctx->deadline, cancellable, on_slots, task);
		break;
	case OPEN_SWEEP:
		modem_sweep_async(&modem->base, modem->base.ops->our_channels, ctx->deadline, cancellable, on_swept, task);
		break;
	case OPEN_DONE:
		ifppd_task_done(task);
		break;
	}
}

static void mbim_modem_open(Modem *base, gint64 deadline, GTask *task)
{
	Open *ctx = g_new0(Open, 1);

	ctx->modem = (MbimModem *)base;
	ctx->deadline = deadline;
	g_task_set_task_data(task, ctx, g_free);
	open_step(task);
}

static void mbim_modem_versions(Modem *base, gint64 deadline, GTask *task)
{
	g_task_return_pointer(task, g_strdup(((MbimModem *)base)->services), g_free);
	g_object_unref(task);
}

/* ----------------------------------------------------------------- close */

static void on_port_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	mbim_device_close_finish(MBIM_DEVICE(source), res, NULL);
	drop_device(g_task_get_task_data(user));
	ifppd_task_done(user);
}

static void mbim_modem_close(Modem *base, gint64 deadline, GTask *task)
{
	MbimModem *modem = (MbimModem *)base;

	if (!modem->device) {
		ifppd_task_done(task);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	mbim_device_close(modem->device, MBIM_CLOSE_TIMEOUT, modem->closing, on_port_closed, task);
}

static void mbim_modem_free(Modem *base)
{
	MbimModem *modem = (MbimModem *)base;

	drop_device(modem);
	g_object_unref(modem->closing);
	g_free(modem->services);
}

static const ModemOps mbim_ops = {
	.free = mbim_modem_free,
	.open = mbim_modem_open,
	.channel_open = mbim_modem_channel_open,
	.channel_close = mbim_modem_channel_close,
	.refused = mbim_modem_refused,
	.error = mbim_modem_error,
	.transmit = mbim_modem_transmit,
	.switch_slot = mbim_modem_switch_slot,
	.versions = mbim_modem_versions,
	.close = mbim_modem_close,
	.gone_error = mbim_modem_gone_error,
	.first_channel = 0,
	.our_channels = 0,
	.last_channel = MBIM_CHANNEL_MAX,
};

Modem *modem_mbim_new(const ModemOptions *options, ModemGoneFunc gone, gpointer user)
{
	MbimModem *modem = g_new0(MbimModem, 1);
	ModemOptions inside = *options;

	modem_init(&modem->base, &mbim_ops, options, gone, user);
	modem->closing = g_cancellable_new();
	inside.protocol = MODEM_PROTOCOL_MBIM;
	modem->base.candidate = modem_qmi_new(&inside, gone, user);
	return &modem->base;
}
