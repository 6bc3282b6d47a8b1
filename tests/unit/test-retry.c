// SPDX-License-Identifier: GPL-2.0-or-later
/* ifppctl retry, beside a systemd that speaks D-Bus from a thread of this program. */
#include <string.h>
#include <sys/stat.h>

#include <gio/gio.h>
#include <glib/gstdio.h>

#include "ctl.h"
#include "error.h"
#include "fake-systemd.h"
#include "netlink.h"
#include "packages.h"

#define UNIT "ifpp-provision@ifpp0.service"
#define UNIT_PATH "/org/freedesktop/systemd1/unit/ifpp_2dprovision_40ifpp0_2eservice"
#define HEARD 2		/* questions about a provisioning that runs, before it ends */

static GMutex lock;		/* of what follows: the thread of the bus and this one */
static gboolean running;	/* the provisioning */
static gboolean followed;	/* somebody wants to hear of changes */
static guint heard;
static guint restarts, restarts_while_running;
static guint64 started;

static char *package_path;

/* ------------------------------------------------- the chip, its node, its package */

IfppNetlink *__wrap_ifpp_netlink_new(GError **error);
void __wrap_ifpp_netlink_free(IfppNetlink *nl);
GArray *__wrap_ifpp_netlink_dump(IfppNetlink *nl, GError **error);
GPtrArray *__wrap_ctl_packages_scan(const char *dir, const guint8 *eid, GError **error);
int __wrap_stat64(const char *path, struct stat *st);
int __real_stat64(const char *path, struct stat *st);

IfppNetlink *__wrap_ifpp_netlink_new(GError **error)
{
	return (IfppNetlink *)&lock;
}

void __wrap_ifpp_netlink_free(IfppNetlink *nl)
{
}

GArray *__wrap_ifpp_netlink_dump(IfppNetlink *nl, GError **error)
{
	GArray *devs = g_array_new(FALSE, TRUE, sizeof(IfppNlDev));

	return g_array_set_size(devs, 1);	/* ifpp0 */
}

GPtrArray *__wrap_ctl_packages_scan(const char *dir, const guint8 *eid, GError **error)
{
	GPtrArray *packages = g_ptr_array_new_with_free_func(g_free);
	CtlPackage *package = g_new0(CtlPackage, 1);

	package->path = package_path;
	g_ptr_array_add(packages, package);
	return packages;
}

int __wrap_stat64(const char *path, struct stat *st)
{
	return __real_stat64(g_str_equal(path, "/dev/ifpp0") ? "/dev/null" : path, st);
}

/* ------------------------------------------------------------------ systemd */

static void tell_change(GDBusConnection *bus)
{
	g_autoptr(GDBusMessage) signal =
		g_dbus_message_new_signal(UNIT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged");

	g_dbus_message_set_sender(signal, FAKE_SYSTEMD_NAME);
	g_dbus_message_set_body(signal, g_variant_new("(s@a{sv}@as)", "org.freedesktop.systemd1.Unit",
						      g_variant_new("a{sv}", NULL), g_variant_new("as", NULL)));
	g_dbus_connection_send_message(bus, signal, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static GVariant *list_units(void)
{
	GVariantBuilder units;

	g_variant_builder_init(&units, G_VARIANT_TYPE("a(ssssssouso)"));
	g_variant_builder_add(&units, "(ssssssouso)", UNIT, "", "loaded", running ? "activating" : "failed",
			      running ? "start" : "failed", "", UNIT_PATH, 0, "", "/");
	return g_variant_new("(a(ssssssouso))", &units);
}

static GVariant *properties(void)
{
	GVariantBuilder all;

	g_variant_builder_init(&all, G_VARIANT_TYPE("a{sv}"));
	g_variant_builder_add(&all, "{sv}", "ExecMainStartTimestamp", g_variant_new_uint64(started));
	return g_variant_new("(a{sv})", &all);
}

/* In the bus's thread. */
static GVariant *answer(GDBusConnection *bus, const char *member)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);

	if (g_str_equal(member, "Subscribe"))
		followed = TRUE;
	if (g_str_equal(member, "ListUnitsByPatterns"))
		return list_units();
	if (g_str_equal(member, "GetAll")) {
		GVariant *now = properties();

		/* It goes on for a while, and ends; whoever follows hears of either. */
		if (running && followed) {
			running = started != 0 || ++heard < HEARD;
			tell_change(bus);
		}
		return now;
	}
	if (g_str_equal(member, "RestartUnit")) {
		restarts++;
		restarts_while_running += running;
		running = TRUE;
		started = g_get_real_time() + G_USEC_PER_SEC;
		return g_variant_new("(o)", "/org/freedesktop/systemd1/job/1");
	}
	return NULL;
}

/* -------------------------------------------------------------------- tests */

static void retry(gboolean packages)
{
	char *argv[] = { (char *)"retry", packages ? (char *)"--packages" : NULL, (char *)"--source", NULL, NULL };
	g_autofree char *dir = g_path_get_dirname(package_path);
	g_autoptr(GError) error = NULL;
	Ctl ctl = { .out.json = TRUE };

	argv[3] = dir;
	heard = restarts = restarts_while_running = 0;
	followed = FALSE;
	g_assert_cmpint(ctl_cmd_retry(&ctl, packages ? 4 : 1, argv, &error), ==, IFPP_EXIT_OK);
	g_assert_no_error(error);
	g_assert_cmpuint(restarts_while_running, ==, 0);
}

/* A package comes for a chip whose provisioning runs: that ends by itself, and begins again. */
static void test_waits(void)
{
	running = TRUE;
	started = 0;
	retry(TRUE);
	g_assert_cmpuint(heard, ==, HEARD);
	g_assert_cmpuint(restarts, ==, 1);
}

/* One that began after the package has read it. */
static void test_newer(void)
{
	running = TRUE;
	started = g_get_real_time() + G_USEC_PER_SEC;
	retry(TRUE);
	g_assert_cmpuint(restarts, ==, 0);
	running = FALSE;
	retry(TRUE);
	g_assert_cmpuint(restarts, ==, 0);
	/* A policy, a CRL: whatever failed, and nothing that runs. */
	retry(FALSE);
	g_assert_cmpuint(restarts, ==, 1);
	g_assert_true(running);
	retry(FALSE);
	g_assert_cmpuint(restarts, ==, 0);
}

int main(int argc, char **argv)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-retry-XXXXXX", NULL);
	FakeSystemd *systemd;
	int status;

	g_test_init(&argc, &argv, NULL);
	package_path = g_build_filename(dir, "a.ifpp", NULL);
	g_assert_true(g_file_set_contents(package_path, "", 0, NULL));
	systemd = fake_systemd_new(dir, answer);

	g_test_add_func("/retry/provisioning_that_runs", test_waits);
	g_test_add_func("/retry/only_what_is_newer", test_newer);
	status = g_test_run();

	fake_systemd_free(systemd);
	g_remove(package_path);
	g_free(package_path);
	g_rmdir(dir);
	return status;
}
