// SPDX-License-Identifier: GPL-2.0-or-later
#include "services.h"
#include "ctl.h"
#include "explain.h"
#include "outbox.h"

#include <eid.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <netlink.h>
#include <string.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define CALL_MS 30000		/* a machine that has just been started is busy */
#define QUIET_MS 1000		/* files come in bursts: one start for all of them */
#define QUIET_MAX_MS 30000

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

static GDBusConnection *system_bus(GError **error)
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

static CtlService *look(GDBusConnection *bus, const char *unit, const char *path, gboolean waiting, gboolean done,
			GError **error)
{
	g_autoptr(GVariant) reply = call(bus, path, "org.freedesktop.DBus.Properties", "GetAll",
					 g_variant_new("(s)", SYSTEMD ".Service"), "(a{sv})", error);
	g_autoptr(GVariant) properties = reply ? g_variant_get_child_value(reply, 0) : NULL;
	CtlService *service;
	const char *message = NULL, *result = "";
	gint32 code = 0, status = 0;
	guint32 restarts = 0;
	guint64 started = 0;

	if (!properties)
		return NULL;
	g_variant_lookup(properties, "Result", "&s", &result);
	g_variant_lookup(properties, "StatusText", "&s", &message);
	g_variant_lookup(properties, "ExecMainCode", "i", &code);
	g_variant_lookup(properties, "ExecMainStatus", "i", &status);
	g_variant_lookup(properties, "NRestarts", "u", &restarts);
	g_variant_lookup(properties, "ExecMainStartTimestamp", "t", &started);
	service = g_new0(CtlService, 1);
	service->unit = g_strdup(unit);
	service->node = node_of(unit);
	service->waiting = waiting;
	service->done = done;
	service->exit = code == CLD_EXITED || !code ? status : -status;
	service->tries = restarts + 1;
	service->started = started;
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
		"ifppd@*.service", "ifpp-fetch@*.service", "ifpp-provision@*.service", "ifpp-handover.service", NULL
	};
	static const char *const states[] = { NULL };
	g_autoptr(GPtrArray) services = g_ptr_array_new_with_free_func(service_free);
	g_autoptr(GDBusConnection) bus = system_bus(error);
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
		gboolean waiting = g_str_has_prefix(sub, "auto-restart");
		gboolean starting = (more & CTL_SERVICES_STARTING) && g_str_equal(sub, "start") &&
				    g_str_has_prefix(unit, "ifppd@");
		gboolean exited = (more & CTL_SERVICES_DONE) && g_str_equal(sub, "exited") && g_str_has_prefix(unit, "ifpp-provision@");
		g_autoptr(CtlService) service = NULL;
		g_autoptr(GError) local = NULL;
		g_autofree char *device = NULL;
		GStatBuf st;

		if (!waiting && !exited && !starting && !g_str_equal(active, "failed"))
			continue;
		service = look(bus, unit, path, waiting, exited, &local);
		if (!service && g_error_matches(local, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return NULL;
		}
		/* It has gone meanwhile. */
		if (!service)
			continue;
		/* One that starts for the first time reads everything as it is now. */
		if (starting && service->tries < 2)
			continue;
		/* Nobody mends what is not plugged in any more. access() fails where DevicePolicy= keeps the node away, stat() does not. */
		device = g_build_filename("/dev", service->node, NULL);
		if (!g_stat(device, &st))
			g_ptr_array_add(services, g_steal_pointer(&service));
	}
	return g_steal_pointer(&services);
}

static const char *program_of(const CtlService *service)
{
	if (g_str_has_prefix(service->unit, "ifppd@"))
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
	ifpp_json_string(b, "state", service->waiting ? "waiting" : "failed");
	ifpp_json_int(b, "exit", service->exit);
	ifpp_json_int(b, "tries", service->tries);
	ifpp_json_string(b, "message", service->message);
	return ifpp_json_text(b);
}

/* ----------------------------------------------------------------- retry */

typedef struct {
	GMainLoop *loop;
	guint timer;
	gint64 end;
} Quiet;

static gboolean on_quiet(gpointer user)
{
	Quiet *quiet = user;

	quiet->timer = 0;
	g_main_loop_quit(quiet->loop);
	return G_SOURCE_REMOVE;
}

static void on_change(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer user)
{
	Quiet *quiet = user;

	if (g_get_monotonic_time() > quiet->end)
		return;
	g_clear_handle_id(&quiet->timer, g_source_remove);
	quiet->timer = g_timeout_add(QUIET_MS, on_quiet, quiet);
}

/* A file that is being copied, or a delivery that is being unpacked: wait for its end. */
static void settle(const char *dir)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GFile) file = g_file_new_for_path(dir);
	g_autoptr(GFileMonitor) monitor = g_file_monitor_directory(file, G_FILE_MONITOR_NONE, NULL, NULL);
	Quiet quiet = { .loop = loop, .end = g_get_monotonic_time() + QUIET_MAX_MS * 1000 };

	if (monitor)
		g_signal_connect(monitor, "changed", G_CALLBACK(on_change), &quiet);
	quiet.timer = g_timeout_add(QUIET_MS, on_quiet, &quiet);
	g_main_loop_run(loop);
}

/* Has a package for the chip of this node come in since @since? */
static gboolean has_newer(const char *dir, const char *node, gint64 since)
{
	g_autoptr(IfppNetlink) nl = ifpp_netlink_new(NULL);
	g_autoptr(GArray) devs = nl ? ifpp_netlink_dump(nl, NULL) : NULL;

	for (guint i = 0; devs && i < devs->len; i++) {
		const IfppNlDev *dev = &g_array_index(devs, IfppNlDev, i);
		g_autofree char *name = g_strdup_printf("ifpp%u", dev->index);
		g_autoptr(GPtrArray) packages = NULL;

		if (!g_str_equal(name, node))
			continue;
		packages = ctl_packages_scan(dir, dev->eid, NULL);
		for (guint p = 0; packages && p < packages->len; p++) {
			GStatBuf st;

			if (!g_stat(((CtlPackage *)packages->pdata[p])->path, &st) &&
			    st.st_ctim.tv_sec * G_USEC_PER_SEC + st.st_ctim.tv_nsec / 1000 >= since)
				return TRUE;
		}
	}
	return FALSE;
}

int ctl_cmd_retry(Ctl *ctl, int argc, char **argv, GError **error)
{
	gboolean packages = FALSE, wait = FALSE;
	g_autofree char *dir = NULL;
	const GOptionEntry entries[] = {
		{ "packages", 0, 0, G_OPTION_ARG_NONE, &packages, "Only provisionings for which a package has come since", NULL },
		{ "source", 's', 0, G_OPTION_ARG_FILENAME, &dir, "Where packages come in; default: " CTL_PACKAGES, "DIR" },
		{ "settle", 0, 0, G_OPTION_ARG_NONE, &wait, "First wait until no more files come in", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GDBusConnection) bus = NULL;
	g_autoptr(GPtrArray) services = NULL;
	const char *where;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Start the daemons and provisionings again whose last run failed, now that their cause is gone.", error))
		return 0;
	if (argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "retry: it takes options only");
		return 0;
	}
	where = dir ?: CTL_PACKAGES;
	if (wait)
		settle(packages ? where : CTL_TRUST);
	bus = system_bus(error);
	if (!bus)
		return 0;
	services = ctl_services(packages ? CTL_SERVICES_DONE : CTL_SERVICES_STARTING, error);
	for (guint i = 0; services && i < services->len; i++) {
		CtlService *service = services->pdata[i];
		g_autoptr(GVariant) job = NULL;

		if (packages && (!g_str_has_prefix(service->unit, "ifpp-provision@") ||
				 !has_newer(where, service->node, service->started)))
			continue;
		job = call(bus, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "RestartUnit",
			   g_variant_new("(ss)", service->unit, "replace"), "(o)", error);
		if (!job)
			return 0;
		ctl_say(&ctl->out, "%s: started again.", service->unit);
	}
	return IFPP_EXIT_OK;
}
