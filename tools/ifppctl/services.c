// SPDX-License-Identifier: GPL-2.0-or-later
#include "services.h"

#include <error.h>
#include <glib/gstdio.h>
#include <linux/ifpp.h>
#include <string.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define CALL_MS 30000		/* a machine that has just been started is busy */

void ctl_service_free(CtlService *service)
{
	if (!service)
		return;
	g_free(service->unit);
	g_free(service->node);
	g_free(service->message);
	g_free(service);
}

static void service_free(gpointer data)
{
	ctl_service_free(data);
}

static GVariant *call(GDBusConnection *bus, const char *path, const char *interface, const char *method, GVariant *args,
		      const char *type, GError **error)
{
	return g_dbus_connection_call_sync(bus, SYSTEMD, path, interface, method, args, G_VARIANT_TYPE(type),
					   G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_MS, NULL, error);
}

GDBusConnection *ctl_systemd(GError **error)
{
	GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);

	/* A bus that restarts is no reason to end. */
	if (bus)
		g_dbus_connection_set_exit_on_close(bus, FALSE);
	return bus;
}

static char *node_of(const char *unit)
{
	const char *at = strchr(unit, '@'), *end = at ? strrchr(at, '.') : NULL;

	return end ? g_strndup(at + 1, end - at - 1) : g_strdup("");
}

gboolean ctl_systemd_follow(GDBusConnection *bus, GDBusSignalCallback changed, gpointer user, GError **error)
{
	g_autoptr(GVariant) reply = NULL;

	g_dbus_connection_signal_subscribe(bus, SYSTEMD, "org.freedesktop.DBus.Properties", "PropertiesChanged", NULL,
					   SYSTEMD ".Unit", G_DBUS_SIGNAL_FLAGS_NONE, changed, user, NULL);
	reply = call(bus, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "Subscribe", NULL, "()", error);
	return reply != NULL;
}

gboolean ctl_service_restart(GDBusConnection *bus, const CtlService *service, GError **error)
{
	g_autoptr(GVariant) job = call(bus, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "RestartUnit",
				       g_variant_new("(ss)", service->unit, "replace"), "(o)", error);

	return job != NULL;
}

static CtlService *look(GDBusConnection *bus, const char *unit, const char *path, GError **error)
{
	g_autoptr(GVariant) reply = call(bus, path, "org.freedesktop.DBus.Properties", "GetAll",
					 g_variant_new("(s)", SYSTEMD ".Service"), "(a{sv})", error);
	g_autoptr(GVariant) properties = reply ? g_variant_get_child_value(reply, 0) : NULL;
	CtlService *service;
	const char *message = NULL, *result = "";
	gint32 code = 0, status = 0;
	guint32 restarts = 0;
	guint64 started = 0, ended = 0;

	if (!properties)
		return NULL;
	g_variant_lookup(properties, "Result", "&s", &result);
	g_variant_lookup(properties, "StatusText", "&s", &message);
	g_variant_lookup(properties, "ExecMainCode", "i", &code);
	g_variant_lookup(properties, "ExecMainStatus", "i", &status);
	g_variant_lookup(properties, "NRestarts", "u", &restarts);
	g_variant_lookup(properties, "ExecMainStartTimestamp", "t", &started);
	g_variant_lookup(properties, "ExecMainExitTimestamp", "t", &ended);
	service = g_new0(CtlService, 1);
	service->unit = g_strdup(unit);
	service->node = node_of(unit);
	service->exit = code == CLD_EXITED || !code ? status : -status;
	service->tries = restarts + 1;
	service->started = started;
	service->ended = ended;
	/* Programs write their errors there; one that was killed, or not even started, could not. */
	if (service->exit && code == CLD_EXITED && message && *message)
		service->message = g_strdup(message);
	else
		service->message = g_strdup(g_str_equal(result, "success") ? "" : result);
	return service;
}

GPtrArray *ctl_services(guint more, GError **error)
{
	static const char *const patterns[] = {
		"ifppd@*.service", "ifppd-qrtr@*.service", "ifpp-fetch@*.service", "ifpp-provision@*.service", "ifpp-handover.service", NULL
	};
	static const char *const states[] = { NULL };
	g_autoptr(GPtrArray) services = g_ptr_array_new_with_free_func(service_free);
	g_autoptr(GDBusConnection) bus = ctl_systemd(error);
	g_autoptr(GVariant) reply = NULL;
	g_autoptr(GVariantIter) iter = NULL;
	const char *unit, *active, *sub, *path;

	if (bus)
		reply = call(bus, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "ListUnitsByPatterns",
			     g_variant_new("(^as^as)", states, patterns), "(a(ssssssouso))", error);
	if (!reply)
		return NULL;
	g_variant_get(reply, "(a(ssssssouso))", &iter);
	while (g_variant_iter_next(iter, "(&s&s&s&s&s&s&ou&s&o)", &unit, NULL, NULL, &active, &sub, NULL, &path, NULL, NULL,
				   NULL)) {
		gboolean daemon = g_str_has_prefix(unit, "ifppd"), provision = g_str_has_prefix(unit, "ifpp-provision@");
		gboolean waiting = g_str_has_prefix(sub, "auto-restart");
		gboolean starting = (more & CTL_SERVICES_STARTING) && daemon && g_str_equal(sub, "start");
		gboolean running = (more & CTL_SERVICES_RUNNING) && provision && g_str_equal(sub, "start");
		gboolean exited = (more & CTL_SERVICES_DONE) && provision && g_str_equal(sub, "exited");
		g_autoptr(CtlService) service = NULL;
		g_autoptr(GError) local = NULL;
		g_autofree char *device = NULL;
		GStatBuf st;

		if (!waiting && !exited && !starting && !running && !g_str_equal(active, "failed"))
			continue;
		service = look(bus, unit, path, &local);
		if (!service && g_error_matches(local, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return NULL;
		}
		/* It has gone meanwhile. */
		if (!service)
			continue;
		service->waiting = waiting;
		service->done = exited;
		service->running = running;
		/* One that starts for the first time reads everything as it is now. */
		if (starting && service->tries < 2)
			continue;
		/* Nobody mends what is not plugged in any more. access() fails where DevicePolicy= keeps the node away, stat() does not. */
		device = g_build_filename("/dev", service->node, NULL);
		if (g_str_has_prefix(unit, "ifppd-qrtr@") || !g_stat(device, &st))
			g_ptr_array_add(services, g_steal_pointer(&service));
	}
	return g_steal_pointer(&services);
}

gboolean ctl_service_failed(const CtlService *service)
{
	return !service->done && !service->running;
}

const CtlService *ctl_services_of(GPtrArray *services, const char *node)
{
	const CtlService *found = NULL;

	for (guint i = 0; services && i < services->len; i++) {
		const CtlService *service = services->pdata[i];

		if (g_str_equal(service->node, node) && (!found || ctl_service_failed(service)))
			found = service;
	}
	return found;
}

const char *ctl_to_do(guint32 state, guint64 installed, const CtlService *service)
{
	if (service && ctl_service_failed(service))
		return "mend what failed";
	if (service && service->running)
		return "wait, being provisioned";
	switch (state) {
	case IFPP_STATE_FACTORY:
		return installed ? "more packages, or lock" : "packages";
	case IFPP_STATE_DRAINED:
		return "lock";
	case IFPP_STATE_LOCKING:
		return "finish the lock";
	default:
		return "nothing";
	}
}

static const char *program_of(const CtlService *service)
{
	if (g_str_has_prefix(service->unit, "ifppd"))
		return "the daemon";
	if (g_str_has_prefix(service->unit, "ifpp-provision@"))
		return "the provisioning";
	return g_str_has_prefix(service->unit, "ifpp-fetch@") ? "the depot" : "the handover";
}

char *ctl_service_line(CtlOutput *out, const CtlService *service)
{
	char *line = g_strdup_printf("%s%s%s failed%s: %s %s", service->node, *service->node ? ": " : "", program_of(service),
				     service->tries > 1 ? " again and again" : "",
				     *service->message ? service->message : "it did not say why.",
				     service->exit == IFPP_EXIT_TIME ? "It waits until this machine's clock is set." :
				     service->waiting ? "It is tried again after a pause; ifppctl retry does it now." :
				     "It waits for a person, or for a change of what it reads.");

	if (!out->terminal && !out->show_ids)
		ctl_mask(line);
	/* Whatever a program said is shown on a terminal, as characters. */
	for (char *p = line; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = ' ';
	return line;
}

char *ctl_service_json(const CtlService *service)
{
	JsonBuilder *b = ifpp_json_new("service");

	ifpp_json_string(b, "unit", service->unit);
	ifpp_json_string(b, "device", *service->node ? service->node : NULL);
	ifpp_json_string(b, "state", service->exit == IFPP_EXIT_TIME ? "waiting-for-clock" :
			 service->waiting ? "waiting" : "failed");
	ifpp_json_int(b, "exit", service->exit);
	ifpp_json_int(b, "tries", service->tries);
	ifpp_json_string(b, "message", service->message);
	return ifpp_json_text(b);
}
