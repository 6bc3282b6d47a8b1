// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI UIM over libqmi-glib. */
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <libqmi-glib.h>

#include "error.h"
#include "file.h"
#include "uim.h"

#define BLOCK_DEFAULT 255
#define SWEEP_START 3		/* a modem hands out the lowest channels first */
#define SWEEP_ALL 19
#define CLOSE_TIMEOUT 3		/* seconds per message while going down */
#define RELEASE_TRIES 3
#define PROXY_HINT "no answer; a qmi-proxy runs here and may have read it: stop what uses it (ModemManager, qmicli -p)"

struct _Uim {
	char *device_path;
	char *state_file;
	char *modem_dir;
	char *instance;		/* of the node: client ids do not outlive it */
	guint want_slot;
	guint timeout;
	gboolean proxy;
	UimGoneFunc gone_func;
	gpointer gone_user;

	QmiDevice *device;
	QmiClient *client;
	QmiClient *dms;
	gulong removed_id;
	gboolean gone;
	guint8 slot;		/* logical, as every UIM message wants it */
	guint8 channel;
	guint release_again;	/* times a client was not taken back */
	gboolean suspect;	/* a channel may be open that we do not know of */
	char *model;
	char *slots;
	guint block;
	gint64 asked;
	guint64 round_trip_ns;

	/* What the state file says. */
	guint8 cid;
	guint8 dms_cid;
	gboolean allocating;
};

/* ------------------------------------------------------------ state file */

static char *node_instance(const char *path)
{
	g_autofree char *boot = NULL;
	struct stat st;

	if (stat(path, &st))
		return g_strdup("none");
	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
		boot = g_strdup("");
	g_strstrip(boot);
	return g_strdup_printf("%s:%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, boot, (guint64)st.st_dev,
			       (guint64)st.st_ino);
}

static guint8 key_file_cid(GKeyFile *kf, const char *key)
{
	int cid = g_key_file_get_integer(kf, "Port", key, NULL);

	return cid > 0 && cid < 255 ? cid : QMI_CID_NONE;
}

static void state_load(Uim *uim)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *instance = NULL;

	uim->cid = QMI_CID_NONE;
	uim->dms_cid = QMI_CID_NONE;
	uim->allocating = FALSE;
	if (!g_key_file_load_from_file(kf, uim->state_file, G_KEY_FILE_NONE, NULL))
		return;
	instance = g_key_file_get_string(kf, "Port", "Instance", NULL);
	/* Another node: the modem was away, and its clients with it. */
	if (g_strcmp0(instance, uim->instance))
		return;
	uim->cid = key_file_cid(kf, "Uim");
	uim->dms_cid = key_file_cid(kf, "Dms");
	uim->allocating = g_key_file_get_boolean(kf, "Port", "Allocating", NULL);
}

static gboolean state_save(Uim *uim, GError **error)
{
	g_autofree char *text =
		g_strdup_printf("[Port]\nVersion=1\nInstance=%s\nUim=%u\nDms=%u\nAllocating=%s\n",
				uim->instance, uim->cid, uim->dms_cid, uim->allocating ? "true" : "false");

	return ifpp_file_write(uim->state_file, text, strlen(text), 0640, error);
}

static char *model_file(Uim *uim)
{
	g_autofree char *name = g_strdup(uim->model ? uim->model : "unknown");

	g_strcanon(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_", '_');
	return g_strdup_printf("%s/%.64s.model", uim->modem_dir, name);
}

static void block_load(Uim *uim)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *path = model_file(uim);
	int block;

	uim->block = BLOCK_DEFAULT;
	if (!g_key_file_load_from_file(kf, path, G_KEY_FILE_NONE, NULL))
		return;
	block = g_key_file_get_integer(kf, "Model", "BlockSize", NULL);
	if (block >= 6 && block <= BLOCK_DEFAULT)
		uim->block = block;
}

void uim_set_block(Uim *uim, guint block)
{
	g_autofree char *path = model_file(uim);
	g_autofree char *text = g_strdup_printf("[Model]\nVersion=1\nBlockSize=%u\n", block);
	g_autoptr(GError) error = NULL;

	if (block == uim->block)
		return;
	uim->block = block;
	g_message("%s takes APDU blocks of %u bytes", uim_model(uim), block);
	if (!ifpp_file_write(path, text, strlen(text), 0640, &error))
		g_warning("%s", error->message);
}

guint uim_block(Uim *uim)
{
	return uim->block;
}

const char *uim_model(Uim *uim)
{
	return uim->model ? uim->model : "modem";
}

guint64 uim_round_trip(Uim *uim)
{
	return uim->round_trip_ns;
}

const char *uim_slots(Uim *uim)
{
	return uim->slots ? uim->slots : "the modem tells nothing of its slots";
}

guint uim_channel(Uim *uim)
{
	return uim->channel;
}

guint uim_timeout(Uim *uim)
{
	return uim->timeout;
}

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

GError *uim_gone_error(Uim *uim, const char *what)
{
	/* A read that found nothing, since another was first, looks to libqmi like the end. */
	if (!uim->proxy && !access(uim->device_path, F_OK) && proxy_runs())
		return g_error_new(IFPP_ERROR, IFPP_ERROR_MODEM, "%s: %s: %s", uim->device_path, what, PROXY_HINT);
	return g_error_new(IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "%s: %s: the modem is gone", uim->device_path, what);
}

/* libqmi's error in our domain, with the port and the step in front. */
static GError *qmi_error(Uim *uim, const char *what, const GError *cause)
{
	int code = IFPP_ERROR_MODEM;
	const char *text = cause ? cause->message : "no usable answer";

	if (cause && cause->domain == IFPP_ERROR)
		return g_error_copy(cause);
	if (uim->gone)
		return uim_gone_error(uim, what);
	if (g_error_matches(cause, QMI_CORE_ERROR, QMI_CORE_ERROR_TIMEOUT)) {
		code = IFPP_ERROR_TIMEOUT;
		if (!uim->proxy && proxy_runs())
			text = PROXY_HINT;
	}
	return g_error_new(IFPP_ERROR, code, "%s: %s: %s", uim->device_path, what, text);
}

static gboolean lost_client(const GError *error)
{
	return g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_INVALID_CLIENT_ID);
}

static gboolean no_card(const GError *error)
{
	return g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_NO_SIM) ||
	       g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_UIM_UNINITIALIZED);
}

/* --------------------------------------------------------------- clients */

static void on_removed(QmiDevice *device, gpointer user)
{
	Uim *uim = user;

	if (uim->gone)
		return;
	uim->gone = TRUE;
	uim->channel = 0;
	uim->gone_func(uim->gone_user);
}

static void clients_next(GTask *task);

static void on_client(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Uim *uim = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	QmiClient *client = qmi_device_allocate_client_finish(QMI_DEVICE(source), res, &error);

	if (!client) {
		/*
		 * Only the model's name comes from DMS, a modem without it is as good. But if its answer
		 * got lost there may be a client: the mark stays, and the next start frees it.
		 */
		if (!uim->client || !error || error->domain != QMI_PROTOCOL_ERROR) {
			g_task_return_error(task, qmi_error(uim, "allocating a client", error));
			return;
		}
		g_debug("no DMS client: %s", error ? error->message : "?");
		g_task_return_boolean(task, TRUE);
		return;
	}
	if (!uim->client) {
		uim->client = client;
		uim->cid = qmi_client_get_cid(client);
	} else {
		uim->dms = client;
		uim->dms_cid = qmi_client_get_cid(client);
	}
	clients_next(g_steal_pointer(&task));
}

static void clients_next(GTask *task)
{
	Uim *uim = g_task_get_task_data(task);
	gboolean dms = uim->client != NULL;

	if (uim->client && uim->dms) {
		g_task_return_boolean(task, TRUE);
		g_object_unref(task);
		return;
	}
	qmi_device_allocate_client(uim->device, dms ? QMI_SERVICE_DMS : QMI_SERVICE_UIM,
				   dms ? uim->dms_cid : uim->cid, uim->timeout, g_task_get_cancellable(task),
				   on_client, task);
}

static void clients_begin(GTask *task)
{
	Uim *uim = g_task_get_task_data(task);
	GError *error = NULL;

	/*
	 * Between the modem's answer and the file's fsync an id is known to the modem only.
	 * The mark tells a successor killed us there: it starts with CTL Sync, which frees all.
	 */
	if (uim->cid == QMI_CID_NONE || uim->dms_cid == QMI_CID_NONE) {
		uim->allocating = TRUE;
		if (!state_save(uim, &error)) {
			g_task_return_error(task, error);
			g_object_unref(task);
			return;
		}
	}
	clients_next(task);
}

static void clients_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);

	g_task_set_task_data(task, uim, NULL);
	clients_begin(task);
}

static void renew_next(GTask *task);

static void on_renew_released(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Uim *uim = g_task_get_task_data(task);

	qmi_device_release_client_finish(QMI_DEVICE(source), res, NULL);
	if (uim->dms)
		g_clear_object(&uim->dms);
	else
		g_clear_object(&uim->client);
	renew_next(task);
}

static void renew_next(GTask *task)
{
	Uim *uim = g_task_get_task_data(task);

	if (uim->dms || uim->client) {
		qmi_device_release_client(uim->device, uim->dms ? uim->dms : uim->client,
					  QMI_DEVICE_RELEASE_CLIENT_FLAGS_RELEASE_CID, uim->timeout,
					  g_task_get_cancellable(task), on_renew_released, task);
		return;
	}
	uim->cid = QMI_CID_NONE;
	uim->dms_cid = QMI_CID_NONE;
	uim->channel = 0;
	clients_begin(task);
}

/* The modem does not know our clients, it seems. Give them back all the same, and take new ones. */
static void renew_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);

	g_task_set_task_data(task, uim, NULL);
	renew_next(task);
}

static gboolean clients_finish(Uim *uim, GAsyncResult *res, GError **error)
{
	if (!g_task_propagate_boolean(G_TASK(res), error))
		return FALSE;
	if (!uim->allocating)
		return TRUE;
	uim->allocating = FALSE;
	return state_save(uim, error);
}

/* -------------------------------------------------------------- channels */

typedef struct {
	Uim *uim;
	guint next;
	guint last;
} Sweep;

static void sweep_next(GTask *task);

static void close_request(Uim *uim, guint8 channel, guint timeout, GCancellable *cancellable,
			  GAsyncReadyCallback cb, gpointer user)
{
	g_autoptr(QmiMessageUimLogicalChannelInput) input = qmi_message_uim_logical_channel_input_new();

	qmi_message_uim_logical_channel_input_set_slot(input, uim->slot, NULL);
	qmi_message_uim_logical_channel_input_set_channel_id(input, channel, NULL);
	qmi_client_uim_logical_channel(QMI_CLIENT_UIM(uim->client), input, timeout, cancellable, cb, user);
}

static gboolean close_result(GObject *source, GAsyncResult *res, GError **error)
{
	g_autoptr(QmiMessageUimLogicalChannelOutput) output =
		qmi_client_uim_logical_channel_finish(QMI_CLIENT_UIM(source), res, error);

	return output && qmi_message_uim_logical_channel_output_get_result(output, error);
}

static void on_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Sweep *sweep = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	/* "No such channel" is what we hope for; only silence or a lost client ends the sweep. */
	if (close_result(source, res, &error))
		g_debug("closed stale channel %u", sweep->next);
	else if (!error || error->domain != QMI_PROTOCOL_ERROR || lost_client(error)) {
		if (error)
			g_task_return_error(task, g_steal_pointer(&error));
		else
			g_task_return_new_error(task, QMI_CORE_ERROR, QMI_CORE_ERROR_INVALID_MESSAGE,
						"no usable answer");
		return;
	}
	sweep->next++;
	sweep_next(g_steal_pointer(&task));
}

static void sweep_next(GTask *task)
{
	Sweep *sweep = g_task_get_task_data(task);

	if (sweep->next > sweep->last || !sweep->uim->client) {
		sweep->uim->suspect = FALSE;
		g_task_return_boolean(task, TRUE);
		g_object_unref(task);
		return;
	}
	close_request(sweep->uim, sweep->next, sweep->uim->timeout, g_task_get_cancellable(task), on_swept,
		      task);
}

/* Close channels 1 to @last. The error is libqmi's own. */
static void sweep_async(Uim *uim, guint last, GCancellable *cancellable, GAsyncReadyCallback cb,
			gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	Sweep *sweep = g_new0(Sweep, 1);

	sweep->uim = uim;
	sweep->next = 1;
	sweep->last = last;
	g_task_set_task_data(task, sweep, g_free);
	uim->channel = 0;
	sweep_next(task);
}

typedef struct {
	Uim *uim;
	GBytes *aid;
	gboolean renewed;
	gboolean swept;
} ChannelOpen;

static void channel_open_free(gpointer data)
{
	ChannelOpen *ctx = data;

	g_bytes_unref(ctx->aid);
	g_free(ctx);
}

static void channel_open_try(GTask *task);

static void on_open_clients(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	ChannelOpen *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!clients_finish(ctx->uim, res, &error)) {
		g_task_return_error(task, g_steal_pointer(&error));
		return;
	}
	channel_open_try(g_steal_pointer(&task));
}

static void on_open_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	ChannelOpen *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		if (lost_client(error) && !ctx->renewed) {
			ctx->renewed = TRUE;
			renew_async(ctx->uim, cancellable, on_open_clients,
				      g_steal_pointer(&task));
			return;
		}
		g_task_return_error(task, qmi_error(ctx->uim, "closing stale channels", error));
		return;
	}
	channel_open_try(g_steal_pointer(&task));
}

static void on_channel_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	ChannelOpen *ctx = g_task_get_task_data(task);
	Uim *uim = ctx->uim;
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimOpenLogicalChannelOutput) output =
		qmi_client_uim_open_logical_channel_finish(QMI_CLIENT_UIM(source), res, &error);
	guint8 channel = 0, sw1 = 0x90, sw2 = 0;
	gboolean ok;

	/* Without an answer the channel may be open all the same. */
	if (!output)
		uim->suspect = TRUE;
	ok = output && qmi_message_uim_open_logical_channel_output_get_result(output, &error);
	if (output)
		qmi_message_uim_open_logical_channel_output_get_card_result(output, &sw1, &sw2, NULL);
	if (ok && (!qmi_message_uim_open_logical_channel_output_get_channel_id(output, &channel, NULL) ||
		   channel < 1 || channel > SWEEP_ALL)) {
		uim->suspect = TRUE;
		ok = FALSE;
	}
	if (ok && (sw1 == 0x90 || sw1 == 0x91 || sw1 == 0x61)) {
		uim->channel = channel;
		g_task_return_boolean(task, TRUE);
		return;
	}
	if (ok) {
		uim->suspect = TRUE;
		ok = FALSE;
	}
	if (lost_client(error) && !ctx->renewed) {
		ctx->renewed = TRUE;
		g_message("%s: the modem has forgotten our client, taking a new one", uim->device_path);
		renew_async(uim, cancellable, on_open_clients, g_steal_pointer(&task));
		return;
	}
	if ((sw1 == 0x6a && sw2 == 0x82) ||
	    g_error_matches(error, QMI_PROTOCOL_ERROR, QMI_PROTOCOL_ERROR_SIM_FILE_NOT_FOUND)) {
		g_task_return_new_error(task, IFPP_ERROR, IFPP_ERROR_NO_EUICC,
					"%s: the card in slot %u has no ISD-R", uim->device_path, uim->slot);
		return;
	}
	if (no_card(error)) {
		g_task_return_new_error(task, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in slot %u",
					uim->device_path, uim->slot);
		return;
	}
	/* Any other refusal may mean that every channel is taken: by whom, if not by our predecessors? */
	if (error && error->domain == QMI_PROTOCOL_ERROR && !lost_client(error) && !ctx->swept) {
		ctx->swept = TRUE;
		sweep_async(uim, SWEEP_ALL, cancellable, on_open_swept, g_steal_pointer(&task));
		return;
	}
	g_task_return_error(task, qmi_error(uim, "opening a logical channel", error));
}

static void channel_open_try(GTask *task)
{
	ChannelOpen *ctx = g_task_get_task_data(task);
	g_autoptr(QmiMessageUimOpenLogicalChannelInput) input = NULL;
	g_autoptr(GArray) aid = NULL;

	if (ctx->uim->suspect && !ctx->swept) {
		ctx->swept = TRUE;
		sweep_async(ctx->uim, SWEEP_START, g_task_get_cancellable(task), on_open_swept, task);
		return;
	}
	input = qmi_message_uim_open_logical_channel_input_new();
	aid = g_array_new(FALSE, FALSE, 1);
	g_array_append_vals(aid, g_bytes_get_data(ctx->aid, NULL), g_bytes_get_size(ctx->aid));
	qmi_message_uim_open_logical_channel_input_set_slot(input, ctx->uim->slot, NULL);
	qmi_message_uim_open_logical_channel_input_set_aid(input, aid, NULL);
	qmi_client_uim_open_logical_channel(QMI_CLIENT_UIM(ctx->uim->client), input, ctx->uim->timeout,
					    g_task_get_cancellable(task), on_channel_opened, task);
}

void uim_channel_open_async(Uim *uim, IfppSpan aid, GCancellable *cancellable, GAsyncReadyCallback cb,
			    gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	ChannelOpen *ctx = g_new0(ChannelOpen, 1);

	ctx->uim = uim;
	ctx->aid = g_bytes_new(aid.data, aid.len);
	g_task_set_task_data(task, ctx, channel_open_free);
	if (uim->gone) {
		g_task_return_error(task, qmi_error(uim, "opening a logical channel", NULL));
		g_object_unref(task);
		return;
	}
	if (!uim->client) {
		ctx->renewed = TRUE;
		clients_async(uim, cancellable, on_open_clients, task);
		return;
	}
	channel_open_try(task);
}

gboolean uim_channel_open_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

static void on_channel_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Uim *uim = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (close_result(source, res, &error)) {
		g_task_return_boolean(task, TRUE);
		return;
	}
	uim->suspect = TRUE;
	g_task_return_error(task, qmi_error(uim, "closing the logical channel", error));
}

void uim_channel_close_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	guint8 channel = uim->channel;

	g_task_set_task_data(task, uim, NULL);
	uim->channel = 0;
	if (!channel || uim->gone || !uim->client) {
		g_task_return_boolean(task, TRUE);
		g_object_unref(task);
		return;
	}
	close_request(uim, channel, uim->timeout, cancellable, on_channel_closed, task);
}

gboolean uim_channel_close_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

/* -------------------------------------------------------------- transmit */

static void on_transmitted(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Uim *uim = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimSendApduOutput) output =
		qmi_client_uim_send_apdu_finish(QMI_CLIENT_UIM(source), res, &error);
	GArray *response = NULL;

	if (!output || !qmi_message_uim_send_apdu_output_get_result(output, &error) ||
	    !qmi_message_uim_send_apdu_output_get_apdu_response(output, &response, &error)) {
		g_task_return_error(task, qmi_error(uim, "sending an APDU", error));
		return;
	}
	if (response->len < 2) {
		g_task_return_new_error(task, IFPP_ERROR, IFPP_ERROR_MODEM,
					"%s: an APDU response of %u bytes", uim->device_path, response->len);
		return;
	}
	g_task_return_pointer(task, g_bytes_new(response->data, response->len),
			      (GDestroyNotify)g_bytes_unref);
}

void uim_transmit_async(Uim *uim, const guint8 *apdu, gsize len, guint timeout, GCancellable *cancellable,
			GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	g_autoptr(QmiMessageUimSendApduInput) input = NULL;
	g_autoptr(GArray) bytes = NULL;

	g_task_set_task_data(task, uim, NULL);
	if (uim->gone || !uim->client || !uim->channel) {
		g_autoptr(GError) error = g_error_new(IFPP_ERROR, IFPP_ERROR_MODEM,
						      "%s: no logical channel is open", uim->device_path);

		g_task_return_error(task, qmi_error(uim, "sending an APDU", uim->gone ? NULL : error));
		g_object_unref(task);
		return;
	}
	input = qmi_message_uim_send_apdu_input_new();
	bytes = g_array_new(FALSE, FALSE, 1);
	g_array_append_vals(bytes, apdu, len);
	qmi_message_uim_send_apdu_input_set_slot(input, uim->slot, NULL);
	qmi_message_uim_send_apdu_input_set_apdu(input, bytes, NULL);
	qmi_message_uim_send_apdu_input_set_channel_id(input, uim->channel, NULL);
	qmi_client_uim_send_apdu(QMI_CLIENT_UIM(uim->client), input, timeout, cancellable, on_transmitted,
				 task);
}

GBytes *uim_transmit_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_pointer(G_TASK(res), error);
}

/* ------------------------------------------------------------------ open */

typedef struct {
	Uim *uim;
	gboolean renewed;
} Open;

static void on_model(GObject *source, GAsyncResult *res, gpointer user);
static void on_slots(GObject *source, GAsyncResult *res, gpointer user);

static void on_open_stale(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Open *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		g_task_return_error(task, qmi_error(ctx->uim, "closing stale channels", error));
		return;
	}
	g_task_return_boolean(task, TRUE);
}

static void open_stale(GTask *task)
{
	Open *ctx = g_task_get_task_data(task);

	block_load(ctx->uim);
	sweep_async(ctx->uim, SWEEP_START, g_task_get_cancellable(task), on_open_stale, task);
}

static void on_model(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Open *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageDmsGetModelOutput) output =
		qmi_client_dms_get_model_finish(QMI_CLIENT_DMS(source), res, &error);
	const char *model = NULL;

	if (output && qmi_message_dms_get_model_output_get_result(output, &error) &&
	    qmi_message_dms_get_model_output_get_model(output, &model, NULL) && *model &&
	    g_utf8_validate(model, -1, NULL)) {
		g_free(ctx->uim->model);
		ctx->uim->model = g_strdup(model);
	}
	open_stale(g_steal_pointer(&task));
}

static void on_open_clients_first(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	Open *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!clients_finish(ctx->uim, res, &error)) {
		g_task_return_error(task, g_steal_pointer(&error));
		return;
	}
	ctx->uim->asked = g_get_monotonic_time();
	qmi_client_uim_get_slot_status(QMI_CLIENT_UIM(ctx->uim->client), NULL, ctx->uim->timeout,
				       cancellable, on_slots, g_steal_pointer(&task));
}

static char *slot_text(guint number, QmiPhysicalSlotStatusSlot *slot, gboolean is_euicc)
{
	gboolean present = slot->physical_card_status == QMI_UIM_PHYSICAL_CARD_STATE_PRESENT;

	return g_strdup_printf("slot %u: %s%s%s", number, present ? "card present" : "no card",
			       slot->physical_slot_status == QMI_UIM_SLOT_STATE_ACTIVE ? ", active" : ", not active",
			       is_euicc ? ", eUICC" : "");
}

/* Which slot to talk to. The modem's word about "is eUICC" is a hint only: the ISD-R decides. */
static gboolean pick_slot(Uim *uim, QmiMessageUimGetSlotStatusOutput *output, GError **error)
{
	GArray *slots = NULL, *info = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	guint found = 0, euicc = 0;

	uim->slot = uim->want_slot ? uim->want_slot : 1;
	if (!output ||
	    !qmi_message_uim_get_slot_status_output_get_physical_slot_status(output, &slots, NULL) ||
	    !slots->len)
		return TRUE;
	qmi_message_uim_get_slot_status_output_get_physical_slot_information(output, &info, NULL);
	for (guint i = 0; i < slots->len; i++) {
		QmiPhysicalSlotStatusSlot *slot = &g_array_index(slots, QmiPhysicalSlotStatusSlot, i);
		gboolean is_euicc = info && i < info->len &&
				    g_array_index(info, QmiPhysicalSlotInformationSlot, i).is_euicc;
		g_autofree char *one = slot_text(i + 1, slot, is_euicc);

		g_string_append_printf(text, "%s%s", i ? "; " : "", one);
		if (uim->want_slot && uim->want_slot != i + 1)
			continue;
		if (slot->physical_card_status != QMI_UIM_PHYSICAL_CARD_STATE_PRESENT)
			continue;
		if (slot->physical_slot_status != QMI_UIM_SLOT_STATE_ACTIVE) {
			if (is_euicc || uim->want_slot)
				euicc = i + 1;
			continue;
		}
		if (!found || is_euicc) {
			found = i + 1;
			uim->slot = slot->logical_slot ? slot->logical_slot : 1;
		}
	}
	g_free(uim->slots);
	uim->slots = g_string_free(g_steal_pointer(&text), FALSE);
	if (found)
		return TRUE;
	if (euicc)
		g_set_error(
			error, IFPP_ERROR, IFPP_ERROR_NO_EUICC,
			"%s: the card in slot %u is not active; activate it with qmicli --uim-switch-slot=%u",
			uim->device_path, euicc, euicc);
	else if (uim->want_slot)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in slot %u of %u",
			    uim->device_path, uim->want_slot, slots->len);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC, "%s: no card in any slot",
			    uim->device_path);
	return FALSE;
}

static void on_slots(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	Open *ctx = g_task_get_task_data(task);
	Uim *uim = ctx->uim;
	g_autoptr(GError) error = NULL;
	g_autoptr(QmiMessageUimGetSlotStatusOutput) output =
		qmi_client_uim_get_slot_status_finish(QMI_CLIENT_UIM(source), res, &error);
	gboolean ok = output && qmi_message_uim_get_slot_status_output_get_result(output, &error);

	/* The modem knows its slots by heart, so this is what a request costs without the chip. */
	uim->round_trip_ns = (g_get_monotonic_time() - uim->asked) * 1000;
	if (!ok && !uim->gone && !ctx->renewed &&
	    (lost_client(error) || g_error_matches(error, QMI_CORE_ERROR, QMI_CORE_ERROR_TIMEOUT))) {
		/* The remembered id is not ours any more; some modems say so, some just keep silent. */
		ctx->renewed = TRUE;
		renew_async(uim, cancellable, on_open_clients_first, g_steal_pointer(&task));
		return;
	}
	/* Older firmware has no slots (94, 71): then there is only slot 1. */
	if (!ok && (!error || error->domain != QMI_PROTOCOL_ERROR || lost_client(error))) {
		g_task_return_error(task, qmi_error(uim, "reading the slot status", error));
		return;
	}
	g_clear_error(&error);
	if (!pick_slot(uim, ok ? output : NULL, &error)) {
		g_task_return_error(task, g_steal_pointer(&error));
		return;
	}
	if (uim->dms) {
		qmi_client_dms_get_model(QMI_CLIENT_DMS(uim->dms), NULL, uim->timeout, cancellable,
					 on_model, g_steal_pointer(&task));
		return;
	}
	open_stale(g_steal_pointer(&task));
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	Open *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!qmi_device_open_finish(QMI_DEVICE(source), res, &error)) {
		g_task_return_error(task, qmi_error(ctx->uim, "opening the port", error));
		return;
	}
	clients_async(ctx->uim, cancellable, on_open_clients_first, g_steal_pointer(&task));
}

static void on_device(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	Open *ctx = g_task_get_task_data(task);
	Uim *uim = ctx->uim;
	g_autoptr(GError) error = NULL;
	QmiDeviceOpenFlags flags = QMI_DEVICE_OPEN_FLAGS_NONE;

	uim->device = qmi_device_new_finish(res, &error);
	if (!uim->device) {
		g_task_return_error(task, qmi_error(uim, "opening the port", error));
		return;
	}
	uim->removed_id =
		g_signal_connect(uim->device, QMI_DEVICE_SIGNAL_REMOVED, G_CALLBACK(on_removed), uim);
	if (uim->proxy)
		flags |= QMI_DEVICE_OPEN_FLAGS_PROXY;
	else if (uim->allocating)
		flags |= QMI_DEVICE_OPEN_FLAGS_SYNC;
	if (uim->allocating) {
		uim->cid = QMI_CID_NONE;
		uim->dms_cid = QMI_CID_NONE;
	}
	qmi_device_open(uim->device, flags, uim->timeout, cancellable, on_opened,
			g_steal_pointer(&task));
}

void uim_open_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	Open *ctx = g_new0(Open, 1);
	g_autoptr(GFile) file = g_file_new_for_path(uim->device_path);
	GError *error = NULL;

	ctx->uim = uim;
	g_task_set_task_data(task, ctx, g_free);
	if (access(uim->device_path, R_OK | W_OK)) {
		g_task_return_new_error(task, IFPP_ERROR,
					errno == EACCES ? IFPP_ERROR_ACCESS : IFPP_ERROR_NO_DEVICE, "%s: %s",
					uim->device_path, g_strerror(errno));
		g_object_unref(task);
		return;
	}
	if (!ifpp_make_dir(uim->modem_dir, 0750, &error)) {
		g_task_return_error(task, error);
		g_object_unref(task);
		return;
	}
	uim->instance = node_instance(uim->device_path);
	state_load(uim);
	qmi_device_new(file, cancellable, on_device, task);
}

gboolean uim_open_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

/* -------------------------------------------------------------- versions */

void uim_versions_async(Uim *uim, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	qmi_device_get_service_version_info(uim->device, uim->timeout, cancellable, cb, user);
}

char *uim_versions_finish(Uim *uim, GAsyncResult *res, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(GArray) list = qmi_device_get_service_version_info_finish(uim->device, res, &cause);
	g_autoptr(GString) text = g_string_new(NULL);

	if (!list) {
		g_propagate_error(error, qmi_error(uim, "reading the versions of its services", cause));
		return NULL;
	}
	for (guint i = 0; i < list->len; i++) {
		QmiDeviceServiceVersionInfo *info = &g_array_index(list, QmiDeviceServiceVersionInfo, i);
		const char *name = qmi_service_get_string(info->service);

		if (name)
			g_string_append_printf(text, "%s%s %u.%u", text->len ? ", " : "", name,
					       info->major_version, info->minor_version);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* ----------------------------------------------------------------- close */

static void close_next(GTask *task);

static void on_port_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Uim *uim = g_task_get_task_data(task);

	qmi_device_close_finish(QMI_DEVICE(source), res, NULL);
	g_signal_handler_disconnect(uim->device, uim->removed_id);
	g_clear_object(&uim->device);
	g_task_return_boolean(task, TRUE);
}

static void on_again(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Uim *uim = g_task_get_task_data(task);
	QmiClient *client = qmi_device_allocate_client_finish(QMI_DEVICE(source), res, NULL);

	if (client && qmi_client_get_service(client) == QMI_SERVICE_DMS)
		uim->dms = client;
	else if (client)
		uim->client = client;
	close_next(task);
}

static void on_released(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Uim *uim = g_task_get_task_data(task);
	gboolean ok = qmi_device_release_client_finish(QMI_DEVICE(source), res, NULL);
	gboolean dms = uim->dms != NULL;

	if (dms)
		g_clear_object(&uim->dms);
	else
		g_clear_object(&uim->client);
	/* libqmi forgets the client whatever the modem says: introduce it again, by its number. */
	if (!ok && !uim->gone && uim->release_again < RELEASE_TRIES) {
		uim->release_again++;
		qmi_device_allocate_client(uim->device, dms ? QMI_SERVICE_DMS : QMI_SERVICE_UIM,
					   dms ? uim->dms_cid : uim->cid, CLOSE_TIMEOUT, NULL, on_again,
					   task);
		return;
	}
	/* What the modem did not take back stays in the file, for the next of us. */
	if (ok && dms)
		uim->dms_cid = QMI_CID_NONE;
	else if (ok)
		uim->cid = QMI_CID_NONE;
	close_next(task);
}

static void on_close_swept(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Uim *uim = g_task_get_task_data(task);

	g_task_propagate_boolean(G_TASK(res), NULL);
	uim->suspect = FALSE;
	close_next(g_steal_pointer(&task));
}

static void on_close_channel(GObject *source, GAsyncResult *res, gpointer user)
{
	uim_channel_close_finish(res, NULL);
	close_next(user);
}

static void close_next(GTask *task)
{
	Uim *uim = g_task_get_task_data(task);

	if (!uim->device) {
		g_task_return_boolean(task, TRUE);
		g_object_unref(task);
		return;
	}
	if (!uim->gone && uim->client) {
		if (uim->channel) {
			uim_channel_close_async(uim, NULL, on_close_channel, task);
			return;
		}
		if (uim->suspect) {
			sweep_async(uim, SWEEP_START, NULL, on_close_swept, task);
			return;
		}
	}
	if (!uim->gone && (uim->dms || uim->client)) {
		qmi_device_release_client(uim->device, uim->dms ? uim->dms : uim->client,
					  QMI_DEVICE_RELEASE_CLIENT_FLAGS_RELEASE_CID, CLOSE_TIMEOUT, NULL,
					  on_released, task);
		return;
	}
	g_clear_object(&uim->dms);
	g_clear_object(&uim->client);
	if (!uim->gone && !state_save(uim, NULL))
		g_debug("client ids not forgotten");
	qmi_device_close_async(uim->device, CLOSE_TIMEOUT, NULL, on_port_closed, task);
}

void uim_close_async(Uim *uim, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, NULL, cb, user);

	g_task_set_task_data(task, uim, NULL);
	uim->timeout = MIN(uim->timeout, CLOSE_TIMEOUT);
	close_next(task);
}

void uim_close_finish(GAsyncResult *res)
{
	g_task_propagate_boolean(G_TASK(res), NULL);
}

Uim *uim_new(const UimOptions *options, UimGoneFunc gone, gpointer user)
{
	Uim *uim = g_new0(Uim, 1);
	g_autofree char *port = g_path_get_basename(options->device);

	uim->device_path = g_strdup(options->device);
	uim->modem_dir = g_build_filename(options->state_dir, "modem", NULL);
	uim->state_file = g_strdup_printf("%s/%s.state", uim->modem_dir, port);
	uim->want_slot = options->slot;
	uim->timeout = options->timeout;
	uim->proxy = options->proxy;
	uim->block = BLOCK_DEFAULT;
	uim->slot = 1;
	uim->gone_func = gone;
	uim->gone_user = user;
	return uim;
}

void uim_free(Uim *uim)
{
	if (uim->device)
		g_signal_handler_disconnect(uim->device, uim->removed_id);
	g_clear_object(&uim->client);
	g_clear_object(&uim->dms);
	g_clear_object(&uim->device);
	g_free(uim->device_path);
	g_free(uim->state_file);
	g_free(uim->modem_dir);
	g_free(uim->instance);
	g_free(uim->model);
	g_free(uim->slots);
	g_free(uim);
}
