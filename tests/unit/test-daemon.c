// SPDX-License-Identifier: GPL-2.0-or-later
/* The daemon's parts that need no modem: codec, ledger of reports. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "codec.h"
#include "eid.h"
#include "error.h"
#include "es10.h"
#include "modem-port.h"
#include "relay.h"
#include "verify.h"

static GBytes *hex(const char *text)
{
	GBytes *bytes = ifpp_unhex(text);

	g_assert_nonnull(bytes);
	return bytes;
}

static void assert_hex(GBytes *bytes, const char *want)
{
	g_autofree char *got = ifpp_hex(ifpp_span_bytes(bytes));

	g_assert_cmpstr(got, ==, want);
	g_bytes_unref(bytes);
}

static void test_requests(void)
{
	g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	guint8 key_id[32], challenge[16];

	memset(key_id, 0xab, sizeof(key_id));
	memset(challenge, 0xcd, sizeof(challenge));
	g_ptr_array_add(chain, hex("3003020101"));
	g_ptr_array_add(chain, hex("3000"));
	assert_hex(ifpp_codec.get_info(FALSE), "ff2103800100");
	assert_hex(ifpp_codec.get_info(TRUE), "ff2103800101");
	assert_hex(ifpp_codec.prepare_load(key_id, chain),
		   "ff222b8020abababababababababababababababababababababababababababababababab"
		   "a10730030201013000");
	assert_hex(ifpp_codec.delete_keys(), "ff2300");
	assert_hex(ifpp_codec.rework(), "ff2600");
	assert_hex(ifpp_codec.lock(challenge), "ff24128010cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd");
	assert_hex(es10_get_eid(), "bf3e035c015a");
	assert_hex(es10_list_results(), "bf2b00");
	assert_hex(es10_remove(0), "bf3003800100");
	assert_hex(es10_remove(255), "bf3004800200ff");
}

static int prepare_code(const char *response)
{
	g_autoptr(GBytes) bytes = hex(response);
	g_autoptr(GError) error = NULL;

	if (ifpp_codec.parse_prepare(bytes, &error))
		return 0;
	g_assert_nonnull(error);
	g_assert_true(error->domain == IFPP_ERROR);
	return error->code;
}

static void test_responses(void)
{
	g_autoptr(GBytes) deleted = hex("ff2306800100810103");
	g_autoptr(GBytes) none = hex("ff2306800101810100");
	g_autoptr(GBytes) refused = hex("ff2303800102");
	g_autoptr(GBytes) reworked = hex("ff2606800100810102");
	g_autoptr(GBytes) enabled = hex("ff2606800102810100");
	g_autoptr(GBytes) short_one = hex("ff2603800100");
	g_autoptr(GBytes) lock = hex("ff24023000");
	g_autoptr(GBytes) receipt = NULL;
	g_autoptr(GError) error = NULL;
	guint n = 0;

	g_assert_cmpint(prepare_code("ff2203800100"), ==, 0);
	g_assert_cmpint(prepare_code("ff2203800101"), ==, IFPP_ERROR_CHAIN);
	g_assert_cmpint(prepare_code("ff2203800108"), ==, IFPP_ERROR_UNKNOWN_KEY);
	g_assert_cmpint(prepare_code("ff2203800109"), ==, IFPP_ERROR_SPENT_KEY);
	g_assert_cmpint(prepare_code("ff220380017f"), ==, IFPP_ERROR_CHIP);
	g_assert_cmpint(prepare_code("ff220380010000"), ==, IFPP_ERROR_TLV);
	g_assert_cmpint(prepare_code("ff2200"), ==, IFPP_ERROR_CHIP);
	g_assert_cmpint(prepare_code("ff2303800100"), ==, IFPP_ERROR_TLV);
	g_assert_cmpint(prepare_code(""), ==, IFPP_ERROR_CHIP);

	g_assert_true(ifpp_codec.parse_delete(deleted, &n, NULL));
	g_assert_cmpuint(n, ==, 3);
	g_assert_true(ifpp_codec.parse_delete(none, &n, NULL));
	g_assert_cmpuint(n, ==, 0);
	g_assert_false(ifpp_codec.parse_delete(refused, &n, NULL));
	g_assert_true(ifpp_codec.parse_rework(reworked, &n, NULL));
	g_assert_cmpuint(n, ==, 2);
	g_assert_false(ifpp_codec.parse_rework(enabled, &n, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_NO_REWORK);
	g_assert_false(ifpp_codec.parse_rework(deleted, &n, NULL));
	g_assert_false(ifpp_codec.parse_rework(short_one, &n, NULL));
	receipt = ifpp_codec.parse_lock(lock, NULL);
	g_assert_nonnull(receipt);
	assert_hex(g_steal_pointer(&receipt), "3000");
}

#define ZEROES "00000000000000000000000000000000"
#define DELETED_FOR(tag, len, note, address) tag len "bf2f" note "800105" "81020410" address "5a0a98999910325476981032" \
	"5f3740" ZEROES ZEROES ZEROES ZEROES
#define DELETED(tag, address) DELETED_FOR(tag, "5b", "15", address)

static void test_results_list(void)
{
	static const struct { const char *response; int n; } cases[] = {
		{ "bf2b02a000", 0 },
		{ "bf2b03810101", 0 },			/* noResultAvailable */
		{ "bf2b0381017f", -1 },			/* undefinedError: there may be some */
		{ "bf2b00", 0 },
		{ "bf2b05a003bf3700", 1 },
		{ "bf2b0aa008bf37003000bf3700", 2 },	/* another kind of notification between */
		{ "bf2b5fa05d" DELETED("30", "0c00"), 1 },
		{ "bf2b5fa05d" DELETED("a1", "0c00"), 1 },		/* compact */
		{ "bf2b60a05e" DELETED_FOR("30", "5c", "16", "0c0161"), 0 },	/* for somebody: the field's */
		{ "bf2b04a003bf37", -1 },		/* a list longer than what holds it */
		{ "bf2b04a002bf37", -1 },
		{ "bf2b00ff", -1 },
		{ "", -1 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) bytes = hex(cases[i].response);
		g_autoptr(GError) error = NULL;
		g_autoptr(GPtrArray) list = es10_list_results_parse(bytes, &error);

		g_assert_cmpint(list ? (int)list->len : -1, ==, cases[i].n);
		g_assert_true(list || error);
	}
}

/* Keys are named by single letters. */
static IfppFactoryInfo *info(guint state, guint spent, const char *keys)
{
	IfppFactoryInfo *out = g_new0(IfppFactoryInfo, 1);

	out->version = 1;
	out->state = state;
	out->spent = spent;
	out->keys = g_array_new(FALSE, TRUE, sizeof(IfppOtk));
	out->cas = g_ptr_array_new();
	for (; *keys; keys++) {
		IfppOtk otk = { 0 };

		memset(otk.key_id, *keys, sizeof(otk.key_id));
		g_array_append_val(out->keys, otk);
	}
	return out;
}

static void test_progress(void)
{
	static const struct { guint state, spent; const char *keys; gboolean ok; } after[] = {
		{ 0, 1, "abc", TRUE },	/* nothing happened */
		{ 0, 2, "ac", TRUE },	/* one load */
		{ 0, 3, "b", TRUE },
		{ 1, 4, "", TRUE },	/* all spent */
		{ 1, 1, "", TRUE },	/* all deleted */
		{ 2, 2, "", TRUE },	/* one spent, the rest gone with the lock */
		{ 0, 1, "ab", FALSE },	/* a key vanished unspent */
		{ 0, 2, "abc", FALSE },	/* spent, and still there */
		{ 0, 0, "abc", FALSE },
		{ 0, 1, "abd", FALSE },	/* a key out of nowhere */
		{ 1, 5, "", FALSE },	/* more spent than there were */
		{ 1, 1, "abc", FALSE },	/* drained with keys */
		{ 0, 4, "", FALSE },	/* factory without */
		{ 2, 1, "abc", FALSE },
	};
	g_autoptr(IfppFactoryInfo) before = info(0, 1, "abc");
	g_autoptr(IfppFactoryInfo) locked = info(2, 1, "");
	g_autoptr(IfppFactoryInfo) drained = info(1, 1, "");

	for (guint i = 0; i < G_N_ELEMENTS(after); i++) {
		g_autoptr(IfppFactoryInfo) now = info(after[i].state, after[i].spent, after[i].keys);
		g_autoptr(GError) error = NULL;

		g_assert_cmpint(verify_progress(before, now, &error), ==, after[i].ok);
		g_assert_true(after[i].ok || g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP));
	}
	g_assert_false(verify_progress(locked, drained, NULL));
	g_assert_true(verify_progress(drained, locked, NULL));
	g_assert_true(verify_progress(NULL, locked, NULL));
}

static void test_errno(void)
{
	for (int code = IFPP_ERROR_HEADER; code <= IFPP_ERROR_INTERNAL; code++) {
		g_autoptr(GError) error = g_error_new(IFPP_ERROR, code, "x");

		g_assert_cmpint(verify_errno(error), >, 0);
		g_assert_cmpint(verify_errno(error), <, 4096);
	}
}

/* As a device cgroup does it. */
/* What the kernel says of a port decides, and a port that nobody knows is refused with the next step. */
static void test_port_protocol(void)
{
	static const struct { const char *name, *driver, *type; int protocol; const char *said; } ports[] = {
		{ "cdc-wdm0", "qmi_wwan", NULL, MODEM_PROTOCOL_QMI, NULL },
		{ "cdc-wdm1", "cdc_mbim", NULL, MODEM_PROTOCOL_MBIM, NULL },
		{ "cdc-wdm2", "huawei_cdc_ncm", NULL, -1, "its driver is huawei_cdc_ncm" },
		{ "wwan0qmi0", NULL, "QMI\n", MODEM_PROTOCOL_QMI, NULL },
		{ "wwan0mbim0", NULL, "MBIM\n", MODEM_PROTOCOL_MBIM, NULL },
		{ "wwan0at0", NULL, "AT\n", -1, "a WWAN port of type AT" },
		{ "qmux_socket", NULL, NULL, MODEM_PROTOCOL_QMI, NULL },
	};
	g_autofree char *sys = g_dir_make_tmp("ifpp-XXXXXX", NULL);

	for (guint i = 0; i < G_N_ELEMENTS(ports); i++) {
		g_autofree char *dir = g_build_filename(sys, "class", ports[i].driver ? "usbmisc" : "wwan", ports[i].name,
							ports[i].driver ? "device" : NULL, NULL);
		g_autofree char *path = g_build_filename(dir, ports[i].driver ? "driver" : "type", NULL);
		g_autofree char *driver = g_strdup_printf("../../drivers/%s", ports[i].driver);
		g_autofree char *node = g_build_filename("/dev", ports[i].name, NULL);
		g_autoptr(GError) error = NULL;
		ModemProtocol protocol;

		if (ports[i].driver || ports[i].type)
			g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
		if (ports[i].driver)
			g_assert_cmpint(symlink(driver, path), ==, 0);
		else if (ports[i].type)
			g_assert_true(g_file_set_contents(path, ports[i].type, -1, NULL));
		if (modem_port_protocol(node, sys, &protocol, &error)) {
			g_assert_cmpint(protocol, ==, ports[i].protocol);
		} else {
			g_assert_error(error, IFPP_ERROR, IFPP_ERROR_UNSUPPORTED);
			g_assert_nonnull(strstr(error->message, ports[i].said));
			g_assert_nonnull(strstr(error->message, "--protocol"));
		}
		g_remove(path);
		for (; strcmp(dir, sys); dir[strrchr(dir, '/') - dir] = '\0')
			g_rmdir(dir);
	}
	g_rmdir(sys);
}

static const char *forbidden;

int open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	if (forbidden && !strcmp(path, forbidden)) {
		errno = EPERM;
		return -1;
	}
	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The relay's node is not this container's: a matter of the container, not of the chip, the machine or of root. */
static void test_eperm(void)
{
	g_autoptr(GError) error = NULL;

	forbidden = "/dev/null";
	g_assert_null(relay_open(forbidden, &error));
	forbidden = NULL;
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CONFINED);
	g_assert_cmpint(ifpp_error_exit("ifppd", error), ==, IFPP_EXIT_ACCESS);
	g_assert_nonnull(strstr(ifpp_error_hint(error->code), "device cgroup"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/daemon/codec/requests", test_requests);
	g_test_add_func("/daemon/codec/responses", test_responses);
	g_test_add_func("/daemon/es10/results", test_results_list);
	g_test_add_func("/daemon/verify/progress", test_progress);
	g_test_add_func("/daemon/verify/errno", test_errno);
	g_test_add_func("/daemon/port_protocol", test_port_protocol);
	g_test_add_func("/daemon/eperm_is_not_locked", test_eperm);
	return g_test_run();
}
