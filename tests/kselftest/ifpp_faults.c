// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole life of a chip, once for each allocation and each copy to or from
 * user memory that it makes, with that one failing (fail-nth). Wants a kernel with
 * fault injection; what it did wrong shows in KASAN, lockdep and kmemleak.
 */
#include <sys/syscall.h>

#include "ifpp_nl.h"

static int set(const char *path, const char *val)
{
	int fd = open(path, O_WRONLY), n = write(fd, val, strlen(val));

	close(fd);
	return n == (int)strlen(val) ? 0 : -1;
}

static void fail_nth(int n)
{
	char buf[16];

	snprintf(buf, sizeof(buf), "%d", n);
	if (set("/proc/thread-self/fail-nth", buf))
		abort();
}

/* 0: the fault has struck. */
static int fail_left(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDONLY), n;
	char buf[16] = {};

	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return n > 0 ? atoi(buf) : -1;
}

struct life {
	struct chip c;
	int relay, front, nl, events, family, group;
	int faults;		/* calls that failed with what was injected */
	int wrong;		/* calls that failed with anything else */
};

static void judge(struct life *l, long ret)
{
	if (ret >= 0)
		return;
	if (errno == ENOMEM || errno == EFAULT)
		l->faults++;
	else if (errno != ENODEV && errno != ENODATA && errno != EAGAIN && errno != EBUSY &&
		 errno != EKEYREJECTED && errno != EBADF && errno != ENOTCONN && errno != ESTALE &&
		 errno != ENOENT && errno != EKEYEXPIRED && errno != EPROTO && errno != ENOBUFS)
		l->wrong++;
}

static void live(struct life *l, int nth)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + 20000];
	struct ifpp_key got[4];
	struct ifpp_keys k = { .size = sizeof(k), .count = 4, .keys = (uintptr_t)got };
	struct ifpp_delete del = { .size = sizeof(del) };
	struct nl_in in = {};
	struct ifpp_info inf;
	struct ifpp_req req = {};
	struct answer out;
	struct attrs a;
	__u32 index;
	size_t len;
	int n, fd;

	chip_new(&l->c, 2);
	len = package(pkg, &l->c, l->c.keys[0].id, 20000);
	fail_nth(nth);
	fd = relay_open();
	judge(l, fd);
	n = relay_attach(fd, &l->c);
	judge(l, n);
	index = n;
	l->front = front_open(n, O_NONBLOCK);
	judge(l, l->front);
	judge(l, info(l->front, &inf));
	judge(l, ioctl(l->front, IFPP_IOC_KEYS, &k));
	judge(l, write(l->front, pkg, len));
	n = relay_next_within(fd, &req, 0);
	judge(l, n);
	if (n == IFPP_REQ_LOAD) {
		chip_spend(&l->c, 0);
		judge(l, relay_reply(fd, &req, 0, &l->c, 500));
	}
	judge(l, read(l->front, &out, sizeof(out)));
	nl_send(l->nl, l->family, 0, IFPP_CMD_DEV_GET, IFPP_A_DEV_INDEX, &index, 4);
	nl_next(l->nl, &in, &a);
	nl_send(l->nl, l->family, 0, IFPP_CMD_HOST_GET, 0, NULL, 0);
	nl_next(l->nl, &in, &a);
	nl_send(l->nl, l->family, NLM_F_DUMP, IFPP_CMD_DEV_GET, 0, NULL, 0);
	while (!nl_next(l->nl, &in, &a) && !a.done)
		;
	/* The relay goes with a load in its hands. */
	judge(l, submit(l->front, &l->c, l->c.keys[0].id));
	judge(l, relay_next_within(fd, &req, 0));
	close(fd);
	judge(l, read(l->front, &out, sizeof(out)));
	judge(l, ioctl(l->front, IFPP_IOC_DELETE_KEYS, &del));
	close(l->front);
}

FIXTURE(faults) {
};

FIXTURE_SETUP(faults)
{
}

FIXTURE_TEARDOWN(faults)
{
}

TEST_F_TIMEOUT(faults, every_one, 180)
{
	struct timeval quick = { .tv_usec = 10000 };
	static const char * const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	struct life l = {};
	char path[96];
	int n, left, kind;

	for (kind = 0; kind < 3; kind++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/ignore-gfp-wait", kinds[kind]);
		if (kind < 2)
			ASSERT_EQ(0, set(path, "N"));
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/verbose", kinds[kind]);
		ASSERT_EQ(0, set(path, "0"));
	}
	l.nl = nl_open();
	l.events = nl_open();
	l.family = nl_family(l.nl, &l.group);
	ASSERT_LT(0, l.family);
	ASSERT_EQ(0, setsockopt(l.events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &l.group,
				sizeof(l.group)));
	setsockopt(l.nl, SOL_SOCKET, SO_RCVTIMEO, &quick, sizeof(quick));

	for (n = 1; n < 5000; n++) {
		live(&l, n);
		left = fail_left();
		fail_nth(0);
		if (left)
			break;
	}
	TH_LOG("%d places to fail, %d calls failed of it", n - 1, l.faults);
	EXPECT_LT(50, n);
	EXPECT_GT(5000, n);
	EXPECT_LT(20, l.faults);
	EXPECT_EQ(0, l.wrong);

	/* And after all that a life without faults. */
	l.faults = 0;
	live(&l, 0);
	EXPECT_EQ(0, l.faults);
	EXPECT_EQ(0, l.wrong);
	EXPECT_EQ(1, l.c.n);
}

#define FAR 1000000

/*
 * Loading the module, likewise: what it had set up is taken down again. The kernel's
 * own part of a load comes first and warns when it fails, so it is counted with a
 * load that goes just that far: its parameters are parsed right before our part.
 */
TEST_F_TIMEOUT(faults, load_module, 180)
{
	const char *ko = getenv("IFPP_KO");
	int fd, n, first, err, left;

	ASSERT_NE(NULL, ko);
	fd = open(ko, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, syscall(SYS_delete_module, "ifpp", O_NONBLOCK));
	fail_nth(FAR);
	EXPECT_ERR(EINVAL, syscall(SYS_finit_module, fd, "locked=what", 0));
	first = FAR - fail_left();
	fail_nth(0);
	for (n = first; n < first + 5000; n++) {
		fail_nth(n);
		err = syscall(SYS_finit_module, fd, "", 0);
		left = fail_left();
		fail_nth(0);
		if (!err && left)
			break;
		if (!err)
			ASSERT_EQ(0, syscall(SYS_delete_module, "ifpp", O_NONBLOCK));
		ASSERT_NE(0, access(RELAY, F_OK));
	}
	TH_LOG("%d places to fail", n - first);
	EXPECT_LT(20, n - first);
	EXPECT_GT(5000, n - first);
	EXPECT_EQ(0, access(RELAY, F_OK));
	close(fd);
}

TEST_HARNESS_MAIN
