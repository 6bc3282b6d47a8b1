// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include "error.h"
#include "modem-qrtr.h"
#include "task.h"

#if IFPP_QRTR

typedef struct {
	char *device;
	guint wait;
	QrtrBus *bus;
	QrtrNode *node;
} Find;

static void find_free(gpointer data)
{
	Find *ctx = data;

	g_clear_object(&ctx->node);
	g_clear_object(&ctx->bus);
	g_free(ctx->device);
	g_free(ctx);
}

static void on_device(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Find *ctx = g_task_get_task_data(task);
	GError *error = NULL;
	QmiDevice *device = qmi_device_new_from_node_finish(res, &error);

	if (!device) {
		ifppd_task_fail(task, error);
		return;
	}
	/* Who tells that the node has gone. */
	g_object_set_data_full(G_OBJECT(device), "qrtr-bus", g_object_ref(ctx->bus), g_object_unref);
	g_task_return_pointer(task, device, g_object_unref);
	g_object_unref(task);
}

static void on_services(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Find *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	if (!qrtr_node_wait_for_services_finish(ctx->node, res, &error)) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "%s: the node has no UIM service: %s", ctx->device,
						  error->message));
		return;
	}
	qmi_device_new_from_node(ctx->node, g_task_get_cancellable(task), on_device, task);
}

/* "1, 3" */
static char *nodes(QrtrBus *bus)
{
	GString *text = g_string_new(NULL);

	for (GList *l = qrtr_bus_peek_nodes(bus); l; l = l->next)
		g_string_append_printf(text, "%s%u", text->len ? ", " : "", qrtr_node_get_id(l->data));
	return g_string_free(text->len ? text : g_string_append(text, "none"), FALSE);
}

static void on_node(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Find *ctx = g_task_get_task_data(task);
	g_autoptr(GArray) services = g_array_new(FALSE, FALSE, sizeof(guint32));
	const guint32 uim = QMI_SERVICE_UIM;
	g_autoptr(GError) error = NULL;

	ctx->node = qrtr_bus_wait_for_node_finish(ctx->bus, res, &error);
	if (!ctx->node) {
		g_autofree char *there = nodes(ctx->bus);

		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "%s: no such node on QRTR (there: %s): %s",
						  ctx->device, there, error->message));
		return;
	}
	g_array_append_val(services, uim);
	qrtr_node_wait_for_services(ctx->node, services, ctx->wait * 1000, g_task_get_cancellable(task), on_services, task);
}

static void on_bus(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Find *ctx = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	guint32 id = 0;

	ctx->bus = qrtr_bus_new_finish(res, &error);
	if (!ctx->bus) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_UNSUPPORTED, "%s: no QRTR here: %s; it wants the kernel's module "
						  "qrtr, and a unit that allows AF_QIPCRTR, as ifppd-qrtr@.service does", ctx->device,
						  error->message));
		return;
	}
	if (!qrtr_get_node_for_uri(ctx->device, &id)) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_USAGE, "%s: no number of a node: qrtr://0 is one", ctx->device));
		return;
	}
	qrtr_bus_wait_for_node(ctx->bus, id, ctx->wait * 1000, g_task_get_cancellable(task), on_node, task);
}

void modem_qrtr_device_async(const char *device, guint wait, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	Find *ctx = g_new0(Find, 1);

	ctx->device = g_strdup(device);
	ctx->wait = wait;
	/* The lookup ends with an answer of the kernel's own, which is at once there. */
	qrtr_bus_new(wait * 1000, cancellable, on_bus, ifppd_task_new(ctx, find_free, cancellable, cb, user));
}

char *modem_qrtr_services(QmiDevice *device)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (GList *l = qrtr_node_peek_service_info_list(qmi_device_peek_node(device)); l; l = l->next) {
		const char *name = qmi_service_get_string(qrtr_node_service_info_get_service(l->data));

		if (name)
			g_string_append_printf(text, "%s%s %u", text->len ? ", " : "", name,
					       qrtr_node_service_info_get_version(l->data));
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

#else

void modem_qrtr_device_async(const char *device, guint wait, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	ifppd_task_fail(ifppd_task_new(NULL, NULL, cancellable, cb, user),
			g_error_new(IFPP_ERROR, IFPP_ERROR_UNSUPPORTED, "%s: a node on QRTR, and this ifppd was built without", device));
}

char *modem_qrtr_services(QmiDevice *device)
{
	return g_strdup("");
}

#endif

gboolean modem_qrtr_named(const char *device)
{
	return g_str_has_prefix(device, "qrtr://");
}

QmiDevice *modem_qrtr_device_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_pointer(G_TASK(res), error);
}
