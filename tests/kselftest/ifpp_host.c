// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family and the HOST lock. Run it last: afterwards this
 * machine is locked until it boots again.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>

#include "ifpp_nl.h"

FIXTURE(nl) {
	struct chip chip;
	struct ifpp_req req;
	struct answer out;
	struct nl_in in, ev;
	struct attrs a;
	struct ifpp_info info_state;
	int relay, index, front;
	int fd, events;
	int family, group;
};

FIXTURE_SETUP(nl)
{
	self->fd = nl_open();
	self->events = nl_open();
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->events);
	self->family = nl_family(self->fd, &self->group);
	ASSERT_LT(0, self->family);
	ASSERT_EQ(0, setsockopt(self->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &self->group,
				sizeof(self->group)));
	chip_new(&self->chip, 3);
	self->relay = relay_open();
	ASSERT_LE(0, self->relay);
	self->index = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, self->index);
	self->front = front_open(self->index, O_NONBLOCK);
	ASSERT_LE(0, self->front);
}

FIXTURE_TEARDOWN(nl)
{
	close(self->front);
	close(self->relay);
	close(self->fd);
	close(self->events);
}

#define EXPECT_EVENT(command) do {					\
	ASSERT_EQ(0, nl_next(self->events, &self->ev, &self->a));	\
	EXPECT_EQ(command, self->a.cmd);				\
} while (0)

TEST_F(nl, dev_get)
{
	__u32 index = self->index;

	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_DEV_GET, IFPP_A_DEV_INDEX, &index, 4));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(IFPP_CMD_DEV_GET, self->a.cmd);
	EXPECT_EQ(index, u32_of(&self->a, IFPP_A_DEV_INDEX));
	/* The EID is for those who may open the node. */
	EXPECT_EQ(NULL, memmem(&self->a.m, self->a.m.n.nlmsg_len, self->chip.eid, IFPP_EID_LEN));
	EXPECT_EQ(IFPP_STATE_FACTORY, u32_of(&self->a, IFPP_A_DEV_STATE));
	EXPECT_EQ(3, u32_of(&self->a, IFPP_A_DEV_KEYS_UNSPENT));
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_DEV_KEYS_UNKNOWN));
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_DEV_KEYS_SPENT));
	EXPECT_EQ(1, u32_of(&self->a, IFPP_A_DEV_ONLINE));
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_DEV_LOADS));
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_DEV_INSTALLED));
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_DEV_FAILED));
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_DEV_REFUSED));
}

TEST_F(nl, bad_requests)
{
	__u32 none = 255, huge = ~0u;
	__u8 shorter = 0;

	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_DEV_GET, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(-EINVAL, self->a.err);
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_DEV_GET, IFPP_A_DEV_INDEX, &none, 4));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(-ENODEV, self->a.err);
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_DEV_GET, IFPP_A_DEV_INDEX, &huge, 4));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(-ENODEV, self->a.err);
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_DEV_GET, IFPP_A_DEV_INDEX, &shorter, 1));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_GT(0, self->a.err);
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_DEV_GET, IFPP_A_DEV_STATE, &none, 4));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(-EINVAL, self->a.err);
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, 200, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(-EOPNOTSUPP, self->a.err);
	/* An event is no command. */
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_TAMPER_NTF, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(-EOPNOTSUPP, self->a.err);
}

TEST_F(nl, dump)
{
	char seen[256] = {};
	int fds[200], i, n = 0;
	struct chip c;

	for (i = 0; i < 200; i++) {
		fds[i] = relay_open();
		chip_new(&c, 1);
		ASSERT_LE(0, relay_attach(fds[i], &c));
	}
	ASSERT_EQ(0, nl_send(self->fd, self->family, NLM_F_DUMP, IFPP_CMD_DEV_GET, 0, NULL, 0));
	for (;;) {
		ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
		if (self->a.done)
			break;
		ASSERT_GT(256, u32_of(&self->a, IFPP_A_DEV_INDEX));
		seen[u32_of(&self->a, IFPP_A_DEV_INDEX)]++;
		n++;
	}
	EXPECT_EQ(0, self->a.err);
	EXPECT_EQ(201, n);
	for (i = 0; i < 201; i++)
		EXPECT_EQ(1, seen[i]);
	for (i = 0; i < 200; i++)
		close(fds[i]);
}

TEST_F(nl, events)
{
	struct chip lie = self->chip;

	EXPECT_EVENT(IFPP_CMD_DEV_ADD_NTF);
	EXPECT_EQ(self->index, (int)u32_of(&self->a, IFPP_A_DEV_INDEX));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_EVENT(IFPP_CMD_DEV_CHANGE_NTF);
	EXPECT_EQ(1, u32_of(&self->a, IFPP_A_DEV_KEYS_UNKNOWN));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	EXPECT_EVENT(IFPP_CMD_LOAD_DONE_NTF);
	EXPECT_EQ(0, u32_of(&self->a, IFPP_A_LOAD_STATUS));
	EXPECT_EQ(2, u32_of(&self->a, IFPP_A_LOAD_KEYS_LEFT));
	EXPECT_EQ(IFPP_KEY_ID_LEN, self->a.len[IFPP_A_LOAD_KEY_ID]);
	EXPECT_LT(0, self->a.len[IFPP_A_LOAD_DURATION]);
	EXPECT_LT(0, self->a.len[IFPP_A_LOAD_QUEUE]);
	EXPECT_LT(0, self->a.len[IFPP_A_LOAD_VERIFY]);
	EXPECT_LT(0, self->a.len[IFPP_A_LOAD_CHIP]);
	EXPECT_EVENT(IFPP_CMD_DEV_CHANGE_NTF);
	EXPECT_EQ(1, u32_of(&self->a, IFPP_A_DEV_KEYS_SPENT));

	close(self->relay);
	EXPECT_EVENT(IFPP_CMD_DEV_DEL_NTF);
	self->relay = relay_open();
	EXPECT_ERR(EBADE, relay_attach(self->relay, &lie));
	EXPECT_EVENT(IFPP_CMD_TAMPER_NTF);
	EXPECT_EQ(IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED, u32_of(&self->a, IFPP_A_TAMPER_KIND));
	EXPECT_EQ(self->index, (int)u32_of(&self->a, IFPP_A_TAMPER_INDEX));
	EXPECT_EQ(NULL, memmem(&self->a.m, self->a.m.n.nlmsg_len, self->chip.eid, IFPP_EID_LEN));
}

TEST_F(nl, host_get)
{
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_HOST_GET, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(IFPP_CMD_HOST_GET, self->a.cmd);
	EXPECT_EQ(IFPP_STATE_FACTORY, u32_of(&self->a, IFPP_A_HOST_STATE));
	EXPECT_EQ(IFPP_ABI_VERSION, *(__u16 *)self->a.val[IFPP_A_HOST_VERSION]);
	EXPECT_LE(1, u32_of(&self->a, IFPP_A_HOST_CHIPS));
}

/* Become @uid with one capability, or none. */
static int become(int uid, int cap)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (prctl(PR_SET_KEEPCAPS, 1) || setgid(uid) || setuid(uid))
		return -1;
	if (cap >= 0)
		data[cap / 32].effective = data[cap / 32].permitted = 1u << cap % 32;
	return syscall(SYS_capset, &hdr, data);
}

/* @netns: from a network namespace of its own. The error that a child with this right gets. */
static int host_lock_as(int uid, int cap, int netns, int family)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct nl_in in = {};
		struct attrs a = {};
		int fd;

		if ((netns && unshare(CLONE_NEWNET)) || (uid && become(uid, cap)))
			_exit(200);
		/* The socket is the caller's own: the right is checked on both. */
		fd = nl_open();
		if (nl_send(fd, family, 0, IFPP_CMD_HOST_LOCK, 0, NULL, 0) || nl_next(fd, &in, &a))
			_exit(201);
		_exit(-a.err);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(nl, host_lock_needs_admin)
{
	EXPECT_EQ(EPERM, host_lock_as(65534, -1, 0, self->family));
	EXPECT_EQ(EPERM, host_lock_as(65534, CAP_NET_ADMIN, 0, self->family));
	EXPECT_EQ(EPERM, host_lock_as(65534, CAP_DAC_OVERRIDE, 0, self->family));
	ASSERT_EQ(0, info(self->front, &self->info_state));
	EXPECT_EQ(IFPP_STATE_FACTORY, self->info_state.host_state);
}

/* A container's network has no such family, whoever asks there. */
TEST_F(nl, host_lock_netns)
{
	EXPECT_EQ(ENOENT, host_lock_as(0, -1, 1, self->family));
	EXPECT_EQ(ENOENT, host_lock_as(65534, CAP_NET_ADMIN, 1, self->family));
	EXPECT_EQ(ENOENT, host_lock_as(65534, CAP_SYS_ADMIN, 1, self->family));
	ASSERT_EQ(0, info(self->front, &self->info_state));
	EXPECT_EQ(IFPP_STATE_FACTORY, self->info_state.host_state);
}

/* Two chips, one with a load in flight, one with a load that has not left. */
TEST_F(nl, z_host_lock)
{
	struct chip other, third;
	int relay = relay_open(), n, front;
	struct ifpp_info i;
	struct ifpp_req req;

	chip_new(&other, 2);
	n = relay_attach(relay, &other);
	ASSERT_LE(0, n);
	front = front_open(n, O_NONBLOCK);
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_LT(0, submit(front, &other, other.keys[0].id));

	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_HOST_LOCK, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(IFPP_CMD_HOST_LOCK, self->a.cmd);
	EXPECT_EQ(IFPP_STATE_LOCKED, u32_of(&self->a, IFPP_A_HOST_STATE));

	/* The one that had not left is refused, and its chip locked at once. */
	ASSERT_LT(0, read(front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EPERM, self->out.r.status);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(relay, &req));
	chip_lock(&other);
	ASSERT_LT(0, relay_reply(relay, &req, 0, &other, 8));
	ASSERT_EQ(0, info(front, &i));
	EXPECT_EQ(IFPP_STATE_LOCKED, i.state);
	EXPECT_EQ(IFPP_STATE_LOCKED, i.host_state);

	/* The other's load ends first. */
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, self->out.r.status);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EREMOTEIO, &self->chip, 0));
	ASSERT_EQ(0, info(self->front, &i));
	EXPECT_EQ(IFPP_STATE_LOCKING, i.state);

	/* It failed; the lock repeated asks again. */
	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_HOST_LOCK, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(0, self->a.err);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));

	/* A chip that comes later is locked as it comes. */
	close(relay);
	close(front);
	relay = relay_open();
	chip_new(&third, 3);
	n = relay_attach(relay, &third);
	ASSERT_LE(0, n);
	front = front_open(n, O_NONBLOCK);
	EXPECT_ERR(EPERM, submit(front, &third, third.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(relay, &req));
	ASSERT_EQ(0, info(front, &i));
	EXPECT_EQ(IFPP_STATE_LOCKING, i.state);

	ASSERT_EQ(0, nl_send(self->fd, self->family, 0, IFPP_CMD_HOST_GET, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
	EXPECT_EQ(IFPP_STATE_LOCKED, u32_of(&self->a, IFPP_A_HOST_STATE));
	EXPECT_EQ(1, system("rmmod ifpp 2>/dev/null") != 0);
	close(relay);
	close(front);
}

/* What can be tried against it afterwards. */
TEST_F(nl, zz_nothing_reopens)
{
	char state[32] = {}, zeroes[512] = {};
	__u32 factory = IFPP_STATE_FACTORY;
	int fd, cmd, attr;

	zeroes[0] = 128;	/* a size */
	/* Every ioctl there is room for, but the two that ask the chip; every netlink command. */
	for (cmd = 0; cmd < 256; cmd++) {
		if (cmd != _IOC_NR(IFPP_IOC_DELETE_KEYS) && cmd != _IOC_NR(IFPP_IOC_LOCK))
			ioctl(self->front, _IO(IFPP_IOC_MAGIC, cmd), zeroes);
		ioctl(self->relay, _IO(IFPP_IOC_MAGIC, cmd), zeroes);
	}
	for (cmd = 0; cmd <= IFPP_CMD_MAX + 1; cmd++) {
		for (attr = 0; attr <= IFPP_A_HOST_MAX + 1; attr++) {
			ASSERT_EQ(0, nl_send(self->fd, self->family, NLM_F_ACK, cmd, attr, &factory, 4));
			do {
				ASSERT_EQ(0, nl_next(self->fd, &self->in, &self->a));
			} while (!self->a.done);
		}
	}
	EXPECT_ERR(EPERM, submit(self->front, &self->chip, self->chip.keys[0].id));
	fd = open("/sys/class/ifpp/host_state", O_WRONLY);
	if (fd >= 0)
		EXPECT_ERR(EIO, write(fd, "FACTORY", 7));
	close(fd);
	fd = open("/sys/module/ifpp/parameters/locked", O_WRONLY);
	if (fd >= 0)
		EXPECT_ERR(EIO, write(fd, "N", 1));
	close(fd);
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
	fd = open("/sys/class/ifpp/host_state", O_RDONLY);
	ASSERT_LT(0, read(fd, state, sizeof(state) - 1));
	EXPECT_STREQ("LOCKED\n", state);
	close(fd);
	ASSERT_EQ(0, info(self->front, &self->info_state));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info_state.host_state);
	EXPECT_EQ(IFPP_STATE_LOCKING, self->info_state.state);
}

TEST_HARNESS_MAIN
