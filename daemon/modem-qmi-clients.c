// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI clients. A modem has few of them, and frees none by itself. */
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem-qmi-priv.h"
#include "task.h"

#define RELEASE_TRIES 3

/* ------------------------------------------------------------------ take */

typedef struct {
	QmiModem *modem;
	gint64 deadline;
	gboolean renew;
	gboolean marked;
	gboolean no_dms;
} Clients;

static void clients_step(GTask *task);

static void on_client(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Clients *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	g_autoptr(GError) error = NULL;
	QmiClient *client = qmi_device_allocate_client_finish(QMI_DEVICE(source), res, &error);

	if (client && !modem->uim) {
		modem->uim = client;
		modem->state.uim = qmi_client_get_cid(client);
	} else if (client) {
		modem->dms = client;
		modem->state.dms = qmi_client_get_cid(client);
	} else if (modem->uim && error && error->domain == QMI_PROTOCOL_ERROR) {
		g_debug("no DMS client: %s", error->message);
		ctx->no_dms = TRUE;
	} else {
		/*
		 * What comes from DMS is its name only, a modem without it is as good. But if its answer
		 * got lost there may be a client: the mark stays, and the next start frees it.
		 */
		ifppd_task_fail(task, qmi_modem_error(&modem->base, "allocating a client", error));
		return;
	}
	clients_step(task);
}

static void on_renew_released(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Clients *ctx = g_task_get_task_data(task);

	qmi_device_release_client_finish(QMI_DEVICE(source), res, NULL);
	if (ctx->modem->dms)
		g_clear_object(&ctx->modem->dms);
	else
		g_clear_object(&ctx->modem->uim);
	clients_step(task);
}

static void clients_step(GTask *task)
{
	Clients *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	GCancellable *cancellable = g_task_get_cancellable(task);
	guint wait;
	GError *error = NULL;

	if (!ctx->renew && modem->uim && (modem->dms || ctx->no_dms)) {
		gboolean changed = modem->state.allocating;

		modem->state.allocating = FALSE;
		if (changed && !port_state_save(&modem->state, &error))
			ifppd_task_fail(task, error);
		else
			ifppd_task_done(task);
		return;
	}
	wait = modem_wait(&modem->base, 0, ctx->deadline, "allocating a client", &error);
	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	if (ctx->renew && (modem->dms || modem->uim)) {
		qmi_device_release_client(modem->device, modem->dms ? modem->dms : modem->uim,
					  QMI_DEVICE_RELEASE_CLIENT_FLAGS_RELEASE_CID, wait, cancellable,
					  on_renew_released, task);
		return;
	}
	if (ctx->renew) {
		ctx->renew = FALSE;
		modem->state.uim = QMI_CID_NONE;
		modem->state.dms = QMI_CID_NONE;
		modem->base.channel = 0;
	}
	/*
	 * Between the modem's answer and the file's fsync an id is known to the modem only.
	 * The mark tells a successor killed us there: it starts with CTL Sync, which frees all.
	 */
	if (!ctx->marked && (modem->state.uim == QMI_CID_NONE || modem->state.dms == QMI_CID_NONE)) {
		modem->state.allocating = TRUE;
		if (!port_state_save(&modem->state, &error)) {
			ifppd_task_fail(task, error);
			return;
		}
	}
	ctx->marked = TRUE;
	qmi_device_allocate_client(modem->device, modem->uim ? QMI_SERVICE_DMS : QMI_SERVICE_UIM,
				   modem->uim ? modem->state.dms : modem->state.uim, wait, cancellable, on_client,
				   task);
}

void qmi_modem_clients_async(QmiModem *modem, gboolean renew, gint64 deadline, GCancellable *cancellable,
			     GAsyncReadyCallback cb, gpointer user)
{
	Clients *ctx = g_new0(Clients, 1);

	ctx->modem = modem;
	ctx->deadline = deadline;
	ctx->renew = renew;
	clients_step(ifppd_task_new(ctx, g_free, cancellable, cb, user));
}

/* --------------------------------------------------------------- release */

typedef struct {
	QmiModem *modem;
	gint64 deadline;
	guint again;		/* times a client was not taken back */
} Release;

static void release_step(GTask *task);

static void on_again(GObject *source, GAsyncResult *res, gpointer user)
{
	Release *ctx = g_task_get_task_data(user);
	QmiClient *client = qmi_device_allocate_client_finish(QMI_DEVICE(source), res, NULL);

	if (client && qmi_client_get_service(client) == QMI_SERVICE_DMS)
		ctx->modem->dms = client;
	else if (client)
		ctx->modem->uim = client;
	release_step(user);
}

static void on_released(GObject *source, GAsyncResult *res, gpointer user)
{
	Release *ctx = g_task_get_task_data(user);
	QmiModem *modem = ctx->modem;
	gboolean ok = qmi_device_release_client_finish(QMI_DEVICE(source), res, NULL);
	gboolean dms = modem->dms != NULL;

	if (dms)
		g_clear_object(&modem->dms);
	else
		g_clear_object(&modem->uim);
	/* libqmi forgets the client whatever the modem says: introduce it again, by its number. */
	if (!ok && !modem->base.gone && ctx->again < RELEASE_TRIES) {
		ctx->again++;
		qmi_device_allocate_client(modem->device, dms ? QMI_SERVICE_DMS : QMI_SERVICE_UIM,
					   dms ? modem->state.dms : modem->state.uim, QMI_CLOSE_TIMEOUT, NULL,
					   on_again, user);
		return;
	}
	if (ok && dms)
		modem->state.dms = QMI_CID_NONE;
	else if (ok)
		modem->state.uim = QMI_CID_NONE;
	release_step(user);
}

static void release_step(GTask *task)
{
	Release *ctx = g_task_get_task_data(task);
	QmiModem *modem = ctx->modem;
	guint wait = modem_wait(&modem->base, QMI_CLOSE_TIMEOUT, ctx->deadline, "releasing a client", NULL);

	if (!modem->base.gone && wait && (modem->dms || modem->uim)) {
		qmi_device_release_client(modem->device, modem->dms ? modem->dms : modem->uim,
					  QMI_DEVICE_RELEASE_CLIENT_FLAGS_RELEASE_CID, wait, NULL, on_released,
					  task);
		return;
	}
	g_clear_object(&modem->dms);
	g_clear_object(&modem->uim);
	if (!modem->base.gone && !port_state_save(&modem->state, NULL))
		g_debug("client ids not forgotten");
	ifppd_task_done(task);
}

void qmi_modem_release_async(QmiModem *modem, gint64 deadline, GAsyncReadyCallback cb, gpointer user)
{
	Release *ctx = g_new0(Release, 1);

	ctx->modem = modem;
	ctx->deadline = deadline;
	release_step(ifppd_task_new(ctx, g_free, NULL, cb, user));
}
