// SPDX-License-Identifier: GPL-2.0-or-later
/* What ifppctl shows in a real terminal of a station whose provisioning fails, beside a fake systemd and driver. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "ctl.h"
#include "error.h"
#include "fake-systemd.h"
#include "file.h"
#include "netlink.h"
#include "testpki.h"

#define ROWS 24
#define EID "89040000000000000000000000000000"
#define WHY "/etc/ifpp/provision.conf: line 3: no such policy: \"Lok\". Write Lock=chip or Lock=host there; " \
	    "systemd starts it again by itself when the file changes."

static int columns = 80;	/* of the terminal */
static guint n_units;		/* ifpp-provision@ifpp0 and further ones */
static gboolean running;	/* they have begun again */

/* ------------------------------------------------------------------ the driver */

IfppNetlink *__wrap_ifpp_netlink_new(GError **error);
void __wrap_ifpp_netlink_free(IfppNetlink *nl);
GArray *__wrap_ifpp_netlink_dump(IfppNetlink *nl, GError **error);
gboolean __wrap_ifpp_netlink_host_get(IfppNetlink *nl, IfppNlHost *out, GError **error);
gboolean __wrap_ifpp_netlink_watch(IfppNetlink *nl, IfppNlEventFunc func, gpointer user, GError **error);
CtlChip *__wrap_ctl_chip_open(Ctl *ctl, GError **error);
int __wrap_stat64(const char *path, struct stat *st);
int __real_stat64(const char *path, struct stat *st);

IfppNetlink *__wrap_ifpp_netlink_new(GError **error)
{
	return (IfppNetlink *)&n_units;
}

void __wrap_ifpp_netlink_free(IfppNetlink *nl)
{
}

GArray *__wrap_ifpp_netlink_dump(IfppNetlink *nl, GError **error)
{
	const IfppNlDev dev = { .eid = { 0x89, 4 }, .keys_unspent = 3, .online = TRUE };
	GArray *devs = g_array_new(FALSE, TRUE, sizeof(dev));

	return g_array_append_val(devs, dev);	/* ifpp0 */
}

gboolean __wrap_ifpp_netlink_host_get(IfppNetlink *nl, IfppNlHost *out, GError **error)
{
	*out = (IfppNlHost){ 0 };
	return TRUE;
}

gboolean __wrap_ifpp_netlink_watch(IfppNetlink *nl, IfppNlEventFunc func, gpointer user, GError **error)
{
	return TRUE;
}

CtlChip *__wrap_ctl_chip_open(Ctl *ctl, GError **error)
{
	CtlChip *chip = g_new0(CtlChip, 1);

	chip->node = g_strdup("ifpp0");
	chip->info.keys_unspent = 3;
	chip->info.flags = IFPP_INFO_ONLINE;
	return chip;
}

/* The nodes are there. */
int __wrap_stat64(const char *path, struct stat *st)
{
	return __real_stat64(g_str_has_prefix(path, "/dev/ifpp") ? "/dev/null" : path, st);
}

/* ------------------------------------------------------------------ systemd */

static GVariant *list_units(void)
{
	GVariantBuilder units;

	g_variant_builder_init(&units, G_VARIANT_TYPE("a(ssssssouso)"));
	for (guint i = 0; i < n_units; i++) {
		g_autofree char *name = g_strdup_printf("ifpp-provision@ifpp%u.service", i);

		g_variant_builder_add(&units, "(ssssssouso)", name, "", "loaded", running ? "activating" : "failed",
				      running ? "start" : "failed", "", "/unit", 0, "", "/");
	}
	return g_variant_new("(a(ssssssouso))", &units);
}

static GVariant *answer(GDBusConnection *bus, const char *member)
{
	GVariantBuilder all;

	if (g_str_equal(member, "ListUnitsByPatterns"))
		return list_units();
	if (!g_str_equal(member, "GetAll"))
		return NULL;
	g_variant_builder_init(&all, G_VARIANT_TYPE("a{sv}"));
	g_variant_builder_add(&all, "{sv}", "Result", g_variant_new_string("exit-code"));
	g_variant_builder_add(&all, "{sv}", "StatusText", g_variant_new_string(WHY));
	g_variant_builder_add(&all, "{sv}", "ExecMainCode", g_variant_new_int32(1));
	g_variant_builder_add(&all, "{sv}", "ExecMainStatus", g_variant_new_int32(2));
	g_variant_builder_add(&all, "{sv}", "ExecMainExitTimestamp", g_variant_new_uint64(86400ull * 1000000));
	return g_variant_new("(a{sv})", &all);
}

/* ------------------------------------------------------------------ the terminal */

typedef int (*Command)(Ctl *ctl, int argc, char **argv, GError **error);

typedef struct {
	int fd;
	GString *text;
} Reader;

static gpointer read_all(gpointer user)
{
	Reader *reader = user;
	char buffer[4096];
	ssize_t n;

	/* EIO: the last that had the terminal open has closed it. */
	while ((n = read(reader->fd, buffer, sizeof(buffer))) > 0)
		g_string_append_len(reader->text, buffer, n);
	return NULL;
}

/* What a command writes to a terminal of ROWS by @columns, with what the terminal itself makes of line ends. */
static char *on_terminal(Command command, gboolean json, const char *const *words)
{
	const struct winsize size = { .ws_row = ROWS, .ws_col = columns };
	Reader reader = { .fd = posix_openpt(O_RDWR | O_NOCTTY), .text = g_string_new(NULL) };
	Ctl ctl = { .out = { .terminal = TRUE, .json = json } };
	g_auto(GStrv) argv = g_strdupv((char **)words);
	g_autofree char **args = g_memdup2(argv, (g_strv_length(argv) + 1) * sizeof(char *));
	g_autoptr(GError) error = NULL;
	int terminal, before = dup(1);
	GThread *thread;

	g_assert_cmpint(reader.fd, >=, 0);
	g_assert_cmpint(grantpt(reader.fd) | unlockpt(reader.fd), ==, 0);
	terminal = open(ptsname(reader.fd), O_RDWR | O_NOCTTY);
	g_assert_cmpint(terminal, >=, 0);
	g_assert_cmpint(ioctl(terminal, TIOCSWINSZ, &size), ==, 0);
	thread = g_thread_new("terminal", read_all, &reader);
	fflush(stdout);
	dup2(terminal, 1);
	close(terminal);
	g_assert_cmpint(command(&ctl, g_strv_length(argv), args, &error), ==, IFPP_EXIT_OK);
	fflush(stdout);
	dup2(before, 1);
	close(before);
	g_assert_no_error(error);
	g_thread_join(thread);
	close(reader.fd);
	g_free(ctl.device);
	return g_string_free(reader.text, FALSE);
}

/* The last screen of the monitor: lines that fit, in no more of them than there are. */
static char *screen(void)
{
	static const char *const words[] = { "monitor", "--seconds", "1", NULL };
	g_autofree char *all = on_terminal(ctl_cmd_monitor, FALSE, words);
	char *last = g_strrstr(all, "\033[H\033[J");
	g_auto(GStrv) lines = NULL;

	g_assert_nonnull(last);
	last += strlen("\033[H\033[J");
	/* Nothing is told by colour alone: there is none. */
	g_assert_null(strchr(last, '\033'));
	lines = g_strsplit(last, "\r\n", -1);
	g_assert_cmpuint(g_strv_length(lines), <=, ROWS);
	for (guint i = 0; lines[i]; i++)
		g_assert_cmpuint(g_utf8_strlen(lines[i], -1), <=, columns);
	return g_strjoinv("\n", lines);
}

static char *unwrapped(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "\n  ", -1);

	return g_strjoinv(" ", parts);
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		g_error("\"%s\" has not \"%s\"", text, part);
}

static void test_failed(void)
{
	g_autofree char *shown = NULL, *whole = NULL, *again = NULL, *many = NULL, *wide = NULL;

	n_units = 1;
	running = FALSE;
	shown = screen();
	assert_has(shown, "failed, see below");
	whole = unwrapped(shown);
	assert_has(whole, "ifpp0: the provisioning failed: " WHY " It waits for a person, or for a change of what it reads.");

	/* It has begun again. */
	running = TRUE;
	again = screen();
	assert_has(again, "wait, being provisioned");
	g_assert_null(strstr(again, "failed,"));

	/* A bad day: the table is still there. */
	running = FALSE;
	n_units = 40;
	many = screen();
	assert_has(many, "failed, see below");
	assert_has(many, "... and others: ifppctl list");

	n_units = 0;
	g_free(again);
	again = screen();
	assert_has(again, "  packages\n");
	/* Of the EID its end where all of it would leave no room, all of it where there is. */
	g_assert_null(strstr(again, EID));
	columns = 200;
	n_units = 1;
	wide = screen();
	columns = 80;
	assert_has(wide, EID);
	assert_has(wide, "failed, see below");
}

static void test_list_and_info(void)
{
	static const char *const list[] = { "list", NULL }, *const info[] = { "info", "ifpp0", NULL };
	g_autofree char *listed = NULL, *told = NULL, *json = NULL, *idle = NULL;

	n_units = 1;
	running = FALSE;
	listed = on_terminal(ctl_cmd_list, FALSE, list);
	assert_has(listed, "TO DO\r\n");
	assert_has(listed, "mend what failed\r\n");
	assert_has(listed, "ifpp0: the provisioning failed: " WHY);
	told = on_terminal(ctl_cmd_info, FALSE, info);
	assert_has(told, "  To do         mend what failed\r\n");
	assert_has(told, "  Last error    1970-01-02T00:00:00Z, ifpp0: the provisioning failed: " WHY);
	json = on_terminal(ctl_cmd_info, TRUE, info);
	assert_has(json, "\"to_do\":\"mend what failed\",\"last_error\":\"/etc/ifpp/provision.conf: line 3");
	assert_has(json, "\"last_error_at\":\"1970-01-02T00:00:00Z\"");

	n_units = 0;
	idle = on_terminal(ctl_cmd_info, FALSE, info);
	assert_has(idle, "  To do         packages\r\n");
	g_assert_null(strstr(idle, "Last error"));
}

static void put(const char *dir, const char *name, GBytes *bytes)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_true(ifpp_file_write(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0644, NULL));
}

static void drop(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_cmpint(g_unlink(path), ==, 0);
}

/* What ends within two weeks has a row, whatever its time it has a figure; so until its next issue is there. */
static void test_ends(void)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-monitor-XXXXXX", NULL), *root = NULL, *crl = NULL, *row = NULL;
	const char *const metrics[] = { "metrics", "--outbox", dir, "--trust", dir, NULL }, *const info[] = { "info", "--trust", dir, NULL };
	g_autofree char *told = NULL, *json = NULL, *figures = NULL, *replaced = NULL, *after = NULL, *none = NULL, *without = NULL;
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	g_autoptr(GBytes) soon = NULL, next = NULL;
	g_autoptr(TestPki) pki = NULL;

	test_shift = now - TEST_NOW;
	pki = test_pki_new();
	soon = test_crl_new(pki->ci, NULL, TEST_NOW - 20 * TEST_DAY, TEST_NOW + 6 * TEST_DAY + 3600);
	next = test_crl_new(pki->ci, NULL, TEST_NOW - TEST_DAY, TEST_NOW + 30 * TEST_DAY);
	test_shift = 0;
	n_units = 0;
	put(dir, "ci.der", pki->ci->der);
	put(dir, "ci.crl", soon);
	root = g_strdup_printf("ifpp_station_expiry_timestamp_seconds{name=\"certificate 'Test CI' (01)\"} %" G_GINT64_FORMAT "\r\n",
			       (gint64)gnutls_x509_crt_get_expiration_time(pki->ci->crt));
	crl = g_strdup_printf("ifpp_station_expiry_timestamp_seconds{name=\"%s/ci.crl\"} %" G_GINT64_FORMAT "\r\n", dir,
			      now + 6 * TEST_DAY + 3600);
	row = g_strdup_printf("  Trust         %s/ci.crl: ends on ", dir);
	told = on_terminal(ctl_cmd_info, FALSE, info);
	assert_has(told, row);
	assert_has(told, ", in 6 days\r\n");
	json = on_terminal(ctl_cmd_info, TRUE, info);
	assert_has(json, ",\"trust_ends\":[\"/");
	figures = on_terminal(ctl_cmd_metrics, FALSE, metrics);
	assert_has(figures, root);
	assert_has(figures, crl);

	put(dir, "next.crl", next);
	replaced = on_terminal(ctl_cmd_info, FALSE, info);
	g_assert_null(strstr(replaced, "Trust"));
	after = on_terminal(ctl_cmd_metrics, FALSE, metrics);
	g_assert_null(strstr(after, crl));
	assert_has(after, "/next.crl\"} ");
	assert_has(after, root);

	/* no root: nothing is known to end, and nothing is wrong with the rest */
	drop(dir, "ci.der");
	none = on_terminal(ctl_cmd_info, TRUE, info);
	assert_has(none, "\"trust_ends\":[]");
	without = on_terminal(ctl_cmd_metrics, FALSE, metrics);
	g_assert_null(strstr(without, "expiry_timestamp_seconds{"));
	assert_has(without, "ifpp_station_units 0\r\n");
	drop(dir, "ci.crl");
	drop(dir, "next.crl");
	g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-monitor-XXXXXX", NULL);
	FakeSystemd *systemd;
	int status;

	g_test_init(&argc, &argv, NULL);
	systemd = fake_systemd_new(dir, answer);
	g_test_add_func("/monitor/monitor_shows_failed_provisioning", test_failed);
	g_test_add_func("/monitor/list_and_info_say_what_is_to_be_done", test_list_and_info);
	g_test_add_func("/monitor/ends_in_metrics_and_info", test_ends);
	status = g_test_run();
	fake_systemd_free(systemd);
	g_rmdir(dir);
	return status;
}
