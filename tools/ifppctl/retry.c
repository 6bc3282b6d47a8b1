// SPDX-License-Identifier: GPL-2.0-or-later
#include "services.h"
#include "ctl.h"
#include "outbox.h"

#include <error.h>
#include <glib/gstdio.h>
#include <netlink.h>
#include <string.h>

#define QUIET_MS 1000		/* files come in bursts: one start for all of them */
#define QUIET_MAX_MS 30000

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

typedef struct {
	GDBusConnection *bus;
	const char *packages;	/* only provisionings for which a package has come in here since they began, or NULL */
	gboolean running;	/* there are some that have not ended */
	gboolean changed;	/* one of them, or what is in the directory */
} Retry;

static void on_unit(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *signal,
		    GVariant *args, gpointer user)
{
	if (strstr(path, "ifpp_2dprovision"))
		((Retry *)user)->changed = TRUE;
}

static void on_package(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer user)
{
	((Retry *)user)->changed = TRUE;
}

static void on_bus_closed(GDBusConnection *bus, gboolean vanished, GError *error, gpointer user)
{
	((Retry *)user)->changed = TRUE;
}

static gboolean retry_now(Ctl *ctl, Retry *retry, GError **error)
{
	g_autoptr(GPtrArray) services = ctl_services(retry->packages ? CTL_SERVICES_DONE | CTL_SERVICES_RUNNING :
						     CTL_SERVICES_STARTING, error);

	retry->running = FALSE;
	for (guint i = 0; services && i < services->len; i++) {
		CtlService *service = services->pdata[i];

		if (retry->packages && (!g_str_has_prefix(service->unit, "ifpp-provision@") ||
					!has_newer(retry->packages, service->node, service->started)))
			continue;
		if (service->running) {
			retry->running = TRUE;
			continue;
		}
		if (!ctl_service_restart(retry->bus, service, error))
			return FALSE;
		ctl_say(&ctl->out, "%s: started again.", service->unit);
	}
	return services != NULL;
}

/*
 * A provisioning that runs has read the directory already: it is not disturbed, and started again when it has ended. The unit
 * that waits here hears nothing of files that come in meanwhile, so they are looked for as well.
 */
static gboolean retry_packages(Ctl *ctl, Retry *retry, GError **error)
{
	g_autoptr(GFile) dir = g_file_new_for_path(retry->packages);
	g_autoptr(GFileMonitor) monitor = g_file_monitor_directory(dir, G_FILE_MONITOR_NONE, NULL, NULL);

	if (!ctl_systemd_follow(retry->bus, on_unit, retry, error))
		return FALSE;
	g_signal_connect(retry->bus, "closed", G_CALLBACK(on_bus_closed), retry);
	if (monitor)
		g_signal_connect(monitor, "changed", G_CALLBACK(on_package), retry);
	for (gboolean told = FALSE;; told = TRUE) {
		retry->changed = FALSE;
		if (!retry_now(ctl, retry, error))
			return FALSE;
		if (!retry->running)
			return TRUE;
		if (!told)
			ctl_say(&ctl->out, "A provisioning that runs is started again when it has ended.");
		while (!retry->changed)
			g_main_context_iteration(NULL, TRUE);
		settle(retry->packages);
	}
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
	Retry retry = { 0 };
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
	bus = retry.bus = ctl_systemd(error);
	if (!bus)
		return 0;
	retry.packages = packages ? where : NULL;
	if (packages)
		retry_packages(ctl, &retry, error);
	else
		retry_now(ctl, &retry, error);
	return IFPP_EXIT_OK;
}
