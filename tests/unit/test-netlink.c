// SPDX-License-Identifier: GPL-2.0-or-later
/* Events as the driver sends them, and as it never would. */
#include <string.h>

#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

#include "module.h"
#include "netlink.h"

static const guint8 key_id[IFPP_KEY_ID_LEN] = { 0xAB, 1, 2, 3 };

typedef struct nl_msg Msg;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Msg, nlmsg_free)

static Msg *begin(int command)
{
	Msg *msg = nlmsg_alloc();

	g_assert_nonnull(genlmsg_put(msg, 1, 0, 0x20, 0, 0, command, IFPP_FAMILY_VERSION));
	return msg;
}

static Msg *dev(int command)
{
	Msg *msg = begin(command);

	nla_put_u32(msg, IFPP_A_DEV_INDEX, 7);
	nla_put_u32(msg, IFPP_A_DEV_STATE, IFPP_STATE_LOCKING);
	nla_put_u32(msg, IFPP_A_DEV_KEYS_UNSPENT, 1);
	nla_put_u32(msg, IFPP_A_DEV_KEYS_UNKNOWN, 2);
	nla_put_u32(msg, IFPP_A_DEV_KEYS_SPENT, 3);
	nla_put_u32(msg, IFPP_A_DEV_ONLINE, 1);
	nla_put_u32(msg, IFPP_A_DEV_LOADS, 4);
	nla_put_u64(msg, IFPP_A_DEV_INSTALLED, G_GUINT64_CONSTANT(0x100000005));
	return msg;
}

static void test_dev(void)
{
	static const int commands[] = { IFPP_CMD_DEV_ADD_NTF, IFPP_CMD_DEV_DEL_NTF, IFPP_CMD_DEV_CHANGE_NTF };
	IfppNlEvent event;

	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		g_autoptr(Msg) msg = dev(commands[i]);

		g_assert_true(ifpp_netlink_parse_event(nlmsg_hdr(msg), &event));
		g_assert_cmpuint(event.command, ==, commands[i]);
		g_assert_cmpuint(event.dev.index, ==, 7);
		g_assert_cmpuint(event.dev.state, ==, IFPP_STATE_LOCKING);
		g_assert_cmpuint(event.dev.keys_unspent, ==, 1);
		g_assert_cmpuint(event.dev.keys_unknown, ==, 2);
		g_assert_cmpuint(event.dev.keys_spent, ==, 3);
		g_assert_true(event.dev.online);
		/* Both widths of the kernel's uint, and one that was left out. */
		g_assert_cmpuint(event.dev.loads, ==, 4);
		g_assert_cmpuint(event.dev.installed, ==, G_GUINT64_CONSTANT(0x100000005));
		g_assert_cmpuint(event.dev.failed, ==, 0);
	}
}

static void test_others(void)
{
	g_autoptr(Msg) host = begin(IFPP_CMD_HOST_CHANGE_NTF);
	g_autoptr(Msg) load = begin(IFPP_CMD_LOAD_DONE_NTF);
	g_autoptr(Msg) tamper = begin(IFPP_CMD_TAMPER_NTF);
	IfppNlEvent event;

	nla_put_u16(host, IFPP_A_HOST_VERSION, IFPP_ABI_VERSION);
	nla_put_u32(host, IFPP_A_HOST_STATE, IFPP_STATE_LOCKED);
	nla_put_u32(host, IFPP_A_HOST_ANCHOR, IFPP_ANCHOR_BURNT);
	nla_put_u32(host, IFPP_A_HOST_CHIPS, 3);
	nla_put_u32(host, IFPP_A_HOST_CHIPS_LOCKED, 2);
	g_assert_true(ifpp_netlink_parse_event(nlmsg_hdr(host), &event));
	g_assert_cmpuint(event.host.state, ==, IFPP_STATE_LOCKED);
	g_assert_cmpuint(event.host.anchor, ==, IFPP_ANCHOR_BURNT);
	g_assert_cmpuint(event.host.chips, ==, 3);
	g_assert_cmpuint(event.host.chips_locked, ==, 2);

	nla_put_u32(load, IFPP_A_LOAD_INDEX, 5);
	nla_put(load, IFPP_A_LOAD_KEY_ID, sizeof(key_id), key_id);
	nla_put_s32(load, IFPP_A_LOAD_STATUS, -121);
	nla_put_u32(load, IFPP_A_LOAD_REASON, 8);
	nla_put_u32(load, IFPP_A_LOAD_DURATION, 4000000000u);
	nla_put_u32(load, IFPP_A_LOAD_QUEUE, 7);
	nla_put_u64(load, IFPP_A_LOAD_CHIP, 5000000000u);
	g_assert_true(ifpp_netlink_parse_event(nlmsg_hdr(load), &event));
	g_assert_cmpuint(event.load.index, ==, 5);
	g_assert_cmpmem(event.load.key_id, 32, key_id, 32);
	g_assert_cmpint(event.load.status, ==, -121);
	g_assert_cmpuint(event.load.reason, ==, 8);
	g_assert_cmpuint(event.load.duration_ns, ==, 4000000000u);
	g_assert_cmpuint(event.load.queue_ns, ==, 7);
	g_assert_cmpuint(event.load.verify_ns, ==, 0);
	g_assert_cmpuint(event.load.chip_ns, ==, 5000000000u);

	nla_put_u32(tamper, IFPP_A_TAMPER_INDEX, 6);
	nla_put_u32(tamper, IFPP_A_TAMPER_KIND, IFPP_TAMPER_KIND_KEY_LOST);
	g_assert_true(ifpp_netlink_parse_event(nlmsg_hdr(tamper), &event));
	g_assert_cmpuint(event.tamper.index, ==, 6);
	g_assert_cmpuint(event.tamper.kind, ==, IFPP_TAMPER_KIND_KEY_LOST);
}

static void test_unsound(void)
{
	static const int lengths[] = { 0, 1, 3 };
	g_autoptr(Msg) no_index = begin(IFPP_CMD_DEV_ADD_NTF);
	g_autoptr(Msg) version_1 = begin(IFPP_CMD_HOST_CHANGE_NTF);
	g_autoptr(Msg) version_3 = begin(IFPP_CMD_HOST_CHANGE_NTF);
	g_autoptr(Msg) no_status = begin(IFPP_CMD_LOAD_DONE_NTF);
	g_autoptr(Msg) request = dev(IFPP_CMD_DEV_GET);
	g_autoptr(Msg) other = dev(200);
	g_autoptr(Msg) whole = dev(IFPP_CMD_DEV_ADD_NTF);
	IfppNlEvent event;

	g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(request), &event));
	g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(other), &event));

	nla_put_u32(no_index, IFPP_A_DEV_STATE, 0);
	g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(no_index), &event));
	/* The host's state was the first attribute. */
	nla_put_u32(version_1, 1, IFPP_STATE_LOCKING);
	nla_put_u32(version_1, 2, IFPP_ANCHOR_CLEAN);
	g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(version_1), &event));
	nla_put_u16(version_3, IFPP_A_HOST_VERSION, 3);
	nla_put_u32(version_3, IFPP_A_HOST_STATE, 0);
	g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(version_3), &event));
	nla_put_u32(no_status, IFPP_A_LOAD_INDEX, 0);
	nla_put(no_status, IFPP_A_LOAD_KEY_ID, sizeof(key_id), key_id);
	g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(no_status), &event));

	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autoptr(Msg) msg = begin(IFPP_CMD_TAMPER_NTF);
		guint8 wrong[32] = { 0 };

		nla_put(msg, IFPP_A_TAMPER_INDEX, lengths[i], wrong);
		g_assert_false(ifpp_netlink_parse_event(nlmsg_hdr(msg), &event));
	}

	/* Cut anywhere, it is never read past its end; ASan watches. */
	for (guint32 len = nlmsg_hdr(whole)->nlmsg_len; len-- > 0;) {
		g_autofree struct nlmsghdr *copy = g_memdup2(nlmsg_hdr(whole), MAX(len, sizeof(*copy)));

		copy->nlmsg_len = len;
		ifpp_netlink_parse_event(copy, &event);
	}
}

static void test_names(void)
{
	g_assert_cmpstr(ifpp_state_name(IFPP_STATE_FACTORY), ==, "FACTORY");
	g_assert_cmpstr(ifpp_state_name(IFPP_STATE_DRAINED), ==, "DRAINED");
	g_assert_cmpstr(ifpp_state_name(IFPP_STATE_LOCKING), ==, "LOCKING");
	g_assert_cmpstr(ifpp_state_name(IFPP_STATE_LOCKED), ==, "LOCKED");
	g_assert_cmpstr(ifpp_state_name(IFPP_STATE_CLOSED), ==, "CLOSED");
	g_assert_cmpstr(ifpp_state_name(5), ==, "UNKNOWN");
}

static void put(const char *root, const char *path, const char *text)
{
	g_autofree char *name = g_strconcat(root, path, NULL), *dir = g_path_get_dirname(name);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
	g_assert_true(g_file_set_contents(name, text, -1, NULL));
}

static void advises(const char *root, const char *release, const char *what)
{
	g_autofree char *advice = ifpp_module_advice(root, release);

	if (!strstr(advice, what))
		g_error("'%s' does not say '%s'", advice, what);
}

/* No driver: why, as far as the machine tells. */
static void test_advice(void)
{
	g_autofree char *root = g_dir_make_tmp("ifpp-module-XXXXXX", NULL);
	const char *const argv[] = { "rm", "-rf", root, NULL };
	static const char *const open[] = { "none [integrity] confidentiality\n", "none integrity [confidentiality]\n" };

	/* a container does not see the modules */
	advises(root, "6.12.1", "modprobe ifpp");
	put(root, "/lib/modules/6.12.1/modules.dep", "kernel/drivers/net/ifpp.ko.d/other.ko: kernel/lib/ifpp.ko\n");
	advises(root, "6.12.1", "linux-headers-6.12.1");
	put(root, "/lib/modules/6.1.0-40/modules.dep", "");
	advises(root, "6.1.0-40", "needs Linux 6.6");
	put(root, "/lib/modules/5.15/modules.dep", "");
	advises(root, "5.15", "needs Linux 6.6");
	put(root, "/lib/modules/6.12.1/modules.dep", "kernel/lib/a.ko:\nupdates/dkms/ifpp.ko.xz: kernel/lib/a.ko\n");
	advises(root, "6.12.1", "modprobe ifpp loads it");
	put(root, "/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put(root, "/sys/module/module/parameters/sig_enforce", "N\n");
	advises(root, "6.12.1", "modprobe ifpp loads it");
	for (guint i = 0; i < G_N_ELEMENTS(open); i++) {
		put(root, "/sys/kernel/security/lockdown", open[i]);
		advises(root, "6.12.1", "mokutil --import");
	}
	put(root, "/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put(root, "/sys/module/module/parameters/sig_enforce", "Y\n");
	advises(root, "6.12.1", "mokutil --import");
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/netlink/dev", test_dev);
	g_test_add_func("/netlink/host-load-tamper", test_others);
	g_test_add_func("/netlink/unsound", test_unsound);
	g_test_add_func("/netlink/names", test_names);
	g_test_add_func("/netlink/module_rejected_is_told", test_advice);
	return g_test_run();
}
