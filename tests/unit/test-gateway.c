// SPDX-License-Identifier: GPL-2.0-or-later
/* When a machine may be locked for life, who is asked before it, and what an open() that is refused says. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "ctl.h"
#include "eid.h"
#include "explain.h"
#include "gateway.h"

static char *base;
static int open_errno;		/* of the next open(), 0: the real one */

/* The name that open() has where off_t is 64 bits wide everywhere. */
int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if (open_errno) {
		errno = open_errno;
		return -1;
	}
	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	return __real_open64(path, flags, mode);
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_tree(child);
	}
	g_remove(path);
}

static void test_eperm(void)
{
	g_autoptr(GError) forbidden = NULL, request = NULL;

	open_errno = EPERM;
	g_assert_null(ctl_device_open("/dev/ifpp0", &forbidden));
	open_errno = 0;
	g_assert_error(forbidden, CTL_ERROR, IFPP_EXIT_ACCESS);
	g_assert_nonnull(strstr(forbidden->message, "DeviceAllow=/dev/ifpp0"));
	/* The driver's own answer to a request is what it was. */
	ctl_set_errno(&request, EPERM, "a.ifpp");
	g_assert_error(request, CTL_ERROR, IFPP_EXIT_LOCKED);
}

static void test_needs_answer(void)
{
	Ctl quiet = { .out.terminal = FALSE }, json = { .out = { .terminal = TRUE, .json = TRUE } };
	Ctl given = { .yes = TRUE };
	g_autoptr(GError) error = NULL, again = NULL;

	/* What "ifppctl lock --host | tee log" is. */
	g_assert_false(ctl_confirm(&quiet, "This machine will be locked.", &error));
	g_assert_error(error, CTL_ERROR, IFPP_EXIT_USAGE);
	g_assert_nonnull(strstr(error->message, "This machine will be locked."));
	g_assert_nonnull(strstr(error->message, "--yes"));
	g_assert_false(ctl_confirm(&json, "x", &again));
	g_assert_error(again, CTL_ERROR, IFPP_EXIT_USAGE);
	g_assert_true(ctl_confirm(&given, "x", NULL));
}

static void test_read(void)
{
	static const struct {
		const char *text;
		guint chips, ports;	/* 0 chips: an error */
	} cases[] = {
		{ "", 0, 0 }, { "\n", 0, 0 }, { "Chips=1\n", 0, 0 }, { "[Gateway]\n", 0, 0 },
		{ "[Gateway]\nChips=0\n", 0, 0 }, { "[Gateway]\nChips=-1\n", 0, 0 }, { "[Gateway]\nChips=65\n", 0, 0 },
		{ "[Gateway]\nChips=two\n", 0, 0 }, { "[Gateway]\nChip=1\n", 0, 0 }, { "[Gateway]\nChips=1\nPorts=1-1\n", 0, 0 },
		{ "[Gateway]\nChips=1\n[More]\n", 0, 0 }, { "[Target]\nChips=1\n", 0, 0 },
		{ "[Gateway]\nPorts=\n", 0, 0 }, { "[Gateway]\nPorts=1-1;1-1\n", 0, 0 }, { "[Gateway]\nPorts=1-1;;1-2\n", 0, 0 },
		{ "[Gateway]\nPorts=/dev/cdc-wdm0\n", 0, 0 },
		{ "[Gateway]\nChips=2\nChips=1\n", 0, 0 }, { "[Gateway]\nPorts=1-1;1-2\n[Gateway]\nPorts=1-1\n", 0, 0 },
		{ "[Gateway]\n# two modems\nChips=2\n", 2, 0 }, { "[Gateway]\nPorts=1-1.2; 1-1.3\n", 2, 2 },
	};
	g_autofree char *path = g_build_filename(base, "gateway", NULL);

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(CtlGateway) gateway = { 0 };
		g_autoptr(GError) error = NULL;
		gboolean ok;

		g_assert_true(g_file_set_contents(path, cases[i].text, -1, NULL));
		ok = ctl_gateway_read(path, &gateway, &error);
		g_assert_true(ok == (cases[i].chips > 0));
		if (ok) {
			g_assert_cmpuint(gateway.chips, ==, cases[i].chips);
			g_assert_cmpuint(gateway.ports ? g_strv_length(gateway.ports) : 0, ==, cases[i].ports);
			continue;
		}
		g_assert_error(error, CTL_ERROR, IFPP_EXIT_INPUT);
		g_assert_nonnull(strstr(error->message, path));
	}
}

/* A QMI port as sysfs has it: class/usbmisc/cdc-wdmN -> .../PORT/PORT:1.4/usbmisc/cdc-wdmN */
static void plug(const char *class, const char *node, const char *place)
{
	g_autofree char *dir = g_build_filename(base, "class", class, NULL);
	g_autofree char *link = g_build_filename(dir, node, NULL);

	g_mkdir_with_parents(dir, 0755);
	g_assert_cmpint(symlink(place, link), ==, 0);
}

static void test_two_modems(void)
{
	CtlGateway two = { .chips = 2 };
	g_auto(CtlGateway) ports = { .chips = 2 };
	IfppNlHost host = { .chips = 1, .chips_locked = 1 };
	g_autoptr(GError) late = NULL, open = NULL, absent = NULL;

	/* The second is late or absent: one of one on record is not two. */
	g_assert_false(ctl_gateway_judge(&two, &host, base, &late));
	g_assert_error(late, CTL_ERROR, IFPP_EXIT_BUSY);
	g_assert_nonnull(strstr(late->message, "not yet, this machine has 2 chips, 1 has been met"));
	/* The second is here and not locked; nor is one that nobody expected. */
	host.chips = 2;
	g_assert_false(ctl_gateway_judge(&two, &host, base, &open));
	g_assert_error(open, CTL_ERROR, IFPP_EXIT_BUSY);
	host.chips = 3;
	host.chips_locked = 2;
	g_assert_false(ctl_gateway_judge(&two, &host, base, NULL));
	host.chips = 2;
	g_assert_true(ctl_gateway_judge(&two, &host, base, NULL));

	/* By port: as many chips, and a modem on each, USB or PCIe. */
	ports.ports = g_strsplit("1-1.2;0000:03:00.0", ";", -1);
	plug("usbmisc", "cdc-wdm0", "../../devices/pci0/usb1/1-1/1-1.2/1-1.2:1.4/usbmisc/cdc-wdm0");
	plug("usbmisc", "cdc-wdm1", "../../devices/pci0/usb1/1-1/1-1.20/1-1.20:1.4/usbmisc/cdc-wdm1");
	g_assert_false(ctl_gateway_judge(&ports, &host, base, &absent));
	g_assert_error(absent, CTL_ERROR, IFPP_EXIT_BUSY);
	g_assert_nonnull(strstr(absent->message, "; no modem on port 0000:03:00.0."));
	g_assert_null(strstr(absent->message, "port 1-1.2"));
	plug("wwan", "wwan0qmi0", "../../devices/pci0/0000:03:00.0/mhi0/wwan/wwan0/wwan0qmi0");
	g_assert_true(ctl_gateway_judge(&ports, &host, base, NULL));
}

static void put_receipt(const char *eid, const char *text)
{
	g_autofree char *dir = g_build_filename(base, "outbox", eid, NULL), *path = g_build_filename(dir, "lock.receipt", NULL);
	g_autofree char *record = g_strdup_printf("[Receipt]\nVersion=1\nEID=%s\n%s", eid, text);

	g_mkdir_with_parents(dir, 0755);
	g_assert_true(g_file_set_contents(path, record, -1, NULL));
}

/* A chip says that it is locked, and has signed nothing: the machine is not locked for life on that. */
static void test_host_on_unsigned_word(void)
{
	static const char first[] = "89049032123451234512345678901235", second[] = "89049032000000000000000000000163";
	g_autofree char *outbox = g_build_filename(base, "outbox", NULL);
	g_autoptr(GArray) devs = g_array_new(FALSE, TRUE, sizeof(IfppNlDev));
	IfppNlDev liar = { .index = 1, .state = IFPP_STATE_LOCKED };
	IfppNlHost host = { .chips = 2, .chips_locked = 2 };
	g_autoptr(GError) none = NULL, here = NULL, gone = NULL;

	g_assert_true(ifpp_eid_parse(second, liar.eid, NULL));
	g_assert_false(ctl_gateway_proven(outbox, devs, &host, &none));
	g_assert_error(none, IFPP_ERROR, IFPP_ERROR_IO);
	put_receipt(first, "Challenge=00\nReceipt=MAA=\n");
	put_receipt(second, "Challenge=00\nReceipt=\n");
	g_assert_false(ctl_gateway_proven(outbox, devs, &host, &gone));
	g_assert_error(gone, CTL_ERROR, IFPP_EXIT_BUSY);
	g_assert_nonnull(strstr(gone->message, "locked: 2, and"));
	g_assert_nonnull(strstr(gone->message, "receipts of 1."));
	/* Whatever else lies in the outbox: of this one there is none. */
	host.chips_locked = 1;
	g_array_append_val(devs, liar);
	g_assert_false(ctl_gateway_proven(outbox, devs, &host, &here));
	g_assert_error(here, CTL_ERROR, IFPP_EXIT_BUSY);
	g_assert_nonnull(strstr(here->message, "ifpp1 says that it is locked"));
	host.chips_locked = 2;
	put_receipt(second, "Challenge=00\nReceipt=MAA=\n");
	g_assert_true(ctl_gateway_proven(outbox, devs, &host, NULL));
}

int main(int argc, char **argv)
{
	int ret;

	g_test_init(&argc, &argv, NULL);
	base = g_dir_make_tmp("test-gateway.XXXXXX", NULL);
	g_test_add_func("/gateway/eperm_is_not_locked", test_eperm);
	g_test_add_func("/gateway/lock_needs_answer", test_needs_answer);
	g_test_add_func("/gateway/read", test_read);
	g_test_add_func("/gateway/two_modems_host_lock", test_two_modems);
	g_test_add_func("/gateway/no_lock_on_unsigned_word", test_host_on_unsigned_word);
	ret = g_test_run();
	remove_tree(base);
	g_free(base);
	return ret;
}
