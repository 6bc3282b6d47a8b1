// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI: which services the modem has, and of which version. */
#include "modem-qrtr.h"
#include "task.h"

static void on_versions(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	QmiModem *modem = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) list = qmi_device_get_service_version_info_finish(QMI_DEVICE(source), res, &error);
	g_autoptr(GString) text = g_string_new(NULL);

	if (!list) {
		ifppd_task_fail(task, qmi_modem_error(&modem->base, "reading the versions of its services", error));
		return;
	}
	for (guint i = 0; i < list->len; i++) {
		QmiDeviceServiceVersionInfo *info = &g_array_index(list, QmiDeviceServiceVersionInfo, i);
		const char *name = qmi_service_get_string(info->service);

		if (name)
			g_string_append_printf(text, "%s%s %u.%u", text->len ? ", " : "", name,
					       info->major_version, info->minor_version);
	}
	g_task_return_pointer(task, g_string_free(g_steal_pointer(&text), FALSE), g_free);
	g_object_unref(task);
}

void qmi_modem_versions(Modem *base, gint64 deadline, GTask *task)
{
	QmiModem *modem = (QmiModem *)base;
	GError *error = NULL;
	guint wait = modem_wait(base, 0, deadline, "reading the versions of its services", &error);

	if (!wait) {
		ifppd_task_fail(task, error);
		return;
	}
	if (base->no_node) {
		g_task_return_pointer(task, modem_qrtr_services(modem->device), g_free);
		g_object_unref(task);
		return;
	}
	g_task_set_task_data(task, modem, NULL);
	qmi_device_get_service_version_info(modem->device, wait, g_task_get_cancellable(task), on_versions, task);
}
