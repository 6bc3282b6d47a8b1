// SPDX-License-Identifier: GPL-2.0-only
/* /dev/ifpp-relay: attach, requests, replies, with good, bad and hostile arguments. */
#include <sys/epoll.h>
#include <sys/mount.h>

#include "ifpp_test.h"

TEST(no_attach_no_service)
{
	struct ifpp_reply r = { .size = sizeof(r), .id = 1 };
	char buf[64];
	int fd = relay_open();

	ASSERT_LE(0, fd);
	EXPECT_ERR(ENOTCONN, read(fd, buf, sizeof(buf)));
	EXPECT_ERR(ENOTCONN, write(fd, &r, sizeof(r)));
	EXPECT_EQ(0, poll_now(fd));
	EXPECT_ERR(ENOTTY, ioctl(fd, IFPP_IOC_INFO, buf));
	EXPECT_ERR(ENOTTY, ioctl(fd, 0, 0));
	EXPECT_ERR(ESPIPE, lseek(fd, 0, SEEK_SET));
	close(fd);
}

TEST(attach_refuses)
{
	struct ifpp_attach a, *short_a;
	struct chip c;
	int fd = relay_open();

	ASSERT_LE(0, fd);
	chip_new(&c, 3);
	EXPECT_ERR(EFAULT, ioctl(fd, IFPP_RELAY_ATTACH, NULL));
	short_a = edge(sizeof(a) - 1);
	EXPECT_ERR(EINVAL, ioctl(fd, IFPP_RELAY_ATTACH, short_a));
	short_a->size = sizeof(a);
	EXPECT_ERR(EFAULT, ioctl(fd, IFPP_RELAY_ATTACH, short_a));

	attach_fill(&a, &c);
	a.flags = 1;
	EXPECT_ERR(EOPNOTSUPP, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	a.flags = 1u << 31;
	EXPECT_ERR(EOPNOTSUPP, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	attach_fill(&a, &c);
	a.n_keys = IFPP_KEYS_MAX + 1;
	EXPECT_ERR(EINVAL, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	a.n_keys = ~0u;
	EXPECT_ERR(EINVAL, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	attach_fill(&a, &c);
	a.keys = (uintptr_t)BAD_ADDRESS;
	EXPECT_ERR(EFAULT, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	a.keys = ~0ull;
	EXPECT_ERR(EFAULT, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	attach_fill(&a, &c);
	a.state = IFPP_STATE_LOCKING;
	EXPECT_ERR(EINVAL, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	a.state = 17;
	EXPECT_ERR(EINVAL, ioctl(fd, IFPP_RELAY_ATTACH, &a));
	a.state = IFPP_STATE_LOCKED;
	EXPECT_ERR(EINVAL, ioctl(fd, IFPP_RELAY_ATTACH, &a));

	c.keys[1].state = IFPP_KEY_UNKNOWN;
	EXPECT_ERR(EINVAL, relay_attach(fd, &c));
	c.keys[1].state = 7;
	EXPECT_ERR(EINVAL, relay_attach(fd, &c));
	c.keys[1].state = IFPP_KEY_SPENT;	/* but the chip spent none */
	EXPECT_ERR(EINVAL, relay_attach(fd, &c));
	c.keys[1].state = 0;
	c.keys[1].reserved = 1;
	EXPECT_ERR(EINVAL, relay_attach(fd, &c));
	c.keys[1] = c.keys[0];
	EXPECT_ERR(EINVAL, relay_attach(fd, &c));

	/* None of this is remembered. */
	chip_new(&c, 3);
	EXPECT_LE(0, relay_attach(fd, &c));
	EXPECT_ERR(EBUSY, relay_attach(fd, &c));
	chip_new(&c, 3);
	EXPECT_ERR(EBUSY, relay_attach(fd, &c));
	close(fd);
}

/* An attach whose index cannot be told does not happen. */
TEST(attach_index_fault)
{
	struct ifpp_attach *a = edge(sizeof(*a));
	long page = sysconf(_SC_PAGESIZE);
	struct chip c;
	int fd = relay_open(), index;

	chip_new(&c, 1);
	attach_fill(a, &c);
	ASSERT_EQ(0, mprotect((void *)((uintptr_t)a & ~(page - 1)), page, PROT_READ));
	EXPECT_ERR(EFAULT, ioctl(fd, IFPP_RELAY_ATTACH, a));
	index = relay_attach(fd, &c);
	EXPECT_LE(0, index);
	close(fd);
}

TEST(attach_limits)
{
	struct chip c;
	int fd = relay_open();

	chip_new(&c, IFPP_KEYS_MAX);
	EXPECT_LE(0, relay_attach(fd, &c));
	close(fd);
	fd = relay_open();
	chip_new(&c, 0);
	c.spent = ~0u;
	EXPECT_LE(0, relay_attach(fd, &c));
	close(fd);
}

FIXTURE(many) {
};

FIXTURE_SETUP(many)
{
}

FIXTURE_TEARDOWN(many)
{
}

/* Slow on a debug kernel in emulation. */
TEST_F_TIMEOUT(many, chips, 180)
{
	static struct chip c[257];
	int fds[257], fronts[257], index[257], i, n = 0;
	struct ifpp_req req;
	struct answer out;
	char path[32];

	for (i = 0; i < 257; i++) {
		fds[i] = relay_open();
		if (fds[i] < 0)
			break;
		chip_new(&c[i], 1);
		index[n] = relay_attach(fds[i], &c[i]);
		if (index[n] < 0)
			break;
		n++;
	}
	EXPECT_EQ(256, n);
	EXPECT_EQ(ENOSPC, errno);
	snprintf(path, sizeof(path), "/dev/ifpp%d", 255);
	EXPECT_EQ(0, access(path, R_OK | W_OK));

	/* All of them are loaded at the same time, and each gets what is its own. */
	for (n = 0; n < 256; n++) {
		fronts[n] = front_open(index[n], O_NONBLOCK);
		ASSERT_LT(0, submit(fronts[n], &c[n], c[n].keys[0].id));
	}
	for (n = 255; n >= 0; n--) {
		ASSERT_EQ(IFPP_REQ_LOAD, relay_next(fds[n], &req));
		chip_spend(&c[n], 0);
		ASSERT_LT(0, relay_reply(fds[n], &req, 0, &c[n], n));
	}
	for (n = 0; n < 256; n++) {
		EXPECT_EQ((ssize_t)sizeof(out.r) + n, read(fronts[n], &out, sizeof(out)));
		EXPECT_EQ(0, out.r.status);
		EXPECT_EQ(0, memcmp(c[n].keys[0].id, out.r.key_id, IFPP_KEY_ID_LEN));
		close(fronts[n]);
	}
	while (i >= 0)
		close(fds[i--]);
	EXPECT_EQ(-1, access(path, F_OK));
}

TEST_F(ifpp, one_relay_per_chip)
{
	int other = relay_open();

	ASSERT_LE(0, other);
	EXPECT_ERR(EBUSY, relay_attach(other, &self->chip));
	close(self->relay);
	self->relay = -1;
	EXPECT_LE(0, relay_attach(other, &self->chip));
	close(other);
}

TEST_F(ifpp, read_semantics)
{
	struct ifpp_req *small;
	char buf[64];

	EXPECT_ERR(EAGAIN, read(self->relay, buf, sizeof(buf)));
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	ASSERT_EQ(IFPP_PKG_HDR_LEN + BODY, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_TRUE(poll_now(self->relay) & POLLIN);

	/* Too small a buffer or a bad one leaves the request where it is. */
	EXPECT_ERR(EMSGSIZE, read(self->relay, buf, sizeof(buf)));
	EXPECT_ERR(EMSGSIZE, read(self->relay, buf, 0));
	small = edge(100);
	EXPECT_ERR(EFAULT, read(self->relay, small, 4096));
	EXPECT_ERR(EFAULT, read(self->relay, BAD_ADDRESS, 4096));
	EXPECT_TRUE(poll_now(self->relay) & POLLIN);
	EXPECT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_EQ(IFPP_PKG_HDR_LEN + BODY, self->req.len);
	EXPECT_EQ(0, self->req.flags);
	EXPECT_LT(0, self->req.timeout_ms);

	/* And it is handed out once. */
	EXPECT_ERR(EAGAIN, read(self->relay, buf, sizeof(buf)));
}

TEST_F(ifpp, reply_refuses)
{
	__u8 buf[sizeof(struct ifpp_reply) + 4 * sizeof(struct ifpp_key)];
	struct ifpp_reply good = { .size = sizeof(good), .type = IFPP_REQ_LOAD }, *r = (void *)buf;
	struct ifpp_req wrong;

	memset(buf, 0, sizeof(buf));
	/* Nothing asked, nothing to answer. */
	*r = good;
	EXPECT_ERR(ESTALE, write(self->relay, r, sizeof(*r)));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	/* An id that nobody was told. */
	r->id = 1;
	EXPECT_ERR(ESTALE, write(self->relay, r, sizeof(*r)));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	good.id = self->req.id;

	EXPECT_ERR(EINVAL, write(self->relay, &good, 0));
	EXPECT_ERR(EINVAL, write(self->relay, &good, sizeof(good) - 1));
	EXPECT_ERR(EFAULT, write(self->relay, BAD_ADDRESS, sizeof(good)));
	*r = good;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r) + 1));
	r->flags = 2;
	EXPECT_ERR(EOPNOTSUPP, write(self->relay, r, sizeof(*r)));
	*r = good;
	r->size--;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	r->size += 9;
	EXPECT_ERR(E2BIG, write(self->relay, r, sizeof(*r) + 8));
	*r = good;
	r->status = 1;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	r->status = -4096;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	r->status = (__s32)0x80000000;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	*r = good;
	r->n_keys = 1;				/* keys without a report */
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r) + sizeof(struct ifpp_key)));
	r->flags = IFPP_REPLY_REPORT;
	r->n_keys = ~0u;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	r->n_keys = 4;				/* the same key four times */
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(buf)));
	*r = good;
	r->len = IFPP_PIR_MAX + 1;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	r->len = ~0u;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));
	*r = good;
	r->type = IFPP_REQ_LOCK;
	EXPECT_ERR(EINVAL, write(self->relay, r, sizeof(*r)));

	/* A PIR that ends in memory that is not there. */
	r = edge(sizeof(*r));
	*r = good;
	r->len = 16;
	EXPECT_ERR(EFAULT, write(self->relay, r, sizeof(*r) + 16));
	r = edge(sizeof(*r));
	*r = good;
	r->flags = IFPP_REPLY_REPORT;
	r->n_keys = 1;
	EXPECT_ERR(EFAULT, write(self->relay, r, sizeof(*r) + sizeof(struct ifpp_key)));

	wrong = self->req;
	wrong.id++;
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &wrong, 0, &self->chip, 8));
	wrong.id = 0;
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &wrong, 0, &self->chip, 8));

	/* After all that the request is still there to be answered, once. */
	chip_spend(&self->chip, 0);
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, IFPP_PIR_MAX));
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	EXPECT_EQ(sizeof(self->out), read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, self->out.r.status);
}

/* A report that contradicts what is known changes nothing. */
TEST_F(ifpp, tamper_at_attach)
{
	struct chip lie;
	int n;

	/* Spend one. */
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	lie = self->chip;
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	close(self->relay);

	self->relay = relay_open();
	EXPECT_ERR(EBADE, relay_attach(self->relay, &lie));		/* fewer spent */
	lie.spent = 1;
	EXPECT_ERR(EBADE, relay_attach(self->relay, &lie));		/* resurrected */
	lie = self->chip;
	chip_new(&lie, 2);
	memcpy(lie.eid, self->chip.eid, sizeof(lie.eid));
	lie.spent = 1;
	EXPECT_ERR(EBADE, relay_attach(self->relay, &lie));		/* added */
	lie = self->chip;
	lie.n = 1;
	EXPECT_ERR(EBADE, relay_attach(self->relay, &lie));		/* lost */

	n = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, n);
	close(self->front);
	self->front = front_open(n, O_NONBLOCK);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(2, self->info.keys_unspent);
	EXPECT_EQ(1, self->info.keys_spent);
}

TEST_F(ifpp, tamper_in_reply)
{
	struct chip lie = self->chip;

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	lie.n = 1;					/* two keys gone, none spent */
	EXPECT_ERR(EBADE, relay_reply(self->relay, &self->req, 0, &lie, 8));
	EXPECT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EREMOTEIO, self->out.r.status);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(2, self->info.keys_unspent);
	EXPECT_EQ(1, self->info.keys_unknown);

	/* The kernel asks what is true. */
	ASSERT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
	EXPECT_EQ(0, self->req.len);
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unspent);
}

/* Success that the chip's own word does not bear out is none. */
TEST_F(ifpp, success_without_spent_key)
{
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	EXPECT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EREMOTEIO, self->out.r.status);
}

/* The relay dies at each step of a load; the record stays, the key's fate waits for the chip. */
TEST_F(ifpp, dies_before_reading)
{
	const __u8 *key = self->chip.keys[0].id;
	int front;

	ASSERT_LT(0, submit(self->front, &self->chip, key));
	close(self->relay);
	EXPECT_TRUE(poll_now(self->front) & POLLHUP);
	EXPECT_TRUE(poll_now(self->front) & POLLIN);
	EXPECT_EQ(sizeof(self->out.r), read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-ENODEV, self->out.r.status);
	EXPECT_ERR(ENODEV, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_ERR(ENODEV, submit(self->front, &self->chip, key));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(0, self->info.flags);
	EXPECT_EQ(3, self->info.keys_unspent);
	EXPECT_EQ(0, self->info.loads);

	self->relay = relay_open();
	self->index = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, self->index);
	/* The old file stays dead, a new one is served. */
	EXPECT_ERR(ENODEV, submit(self->front, &self->chip, key));
	front = front_open(self->index, O_NONBLOCK);
	EXPECT_LT(0, submit(front, &self->chip, key));
	close(front);
}

TEST_F(ifpp, dies_after_reading)
{
	struct chip spent = self->chip;
	const __u8 *key = self->chip.keys[0].id;
	int front;

	ASSERT_LT(0, submit(self->front, &self->chip, key));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	close(self->relay);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(2, self->info.keys_unspent);
	EXPECT_EQ(1, self->info.keys_unknown);
	EXPECT_EQ(1, self->info.loads);
	EXPECT_EQ(1, self->info.failed);

	self->relay = relay_open();
	chip_spend(&spent, 0);
	self->index = relay_attach(self->relay, &spent);
	ASSERT_LE(0, self->index);
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &self->req, 0, &spent, 8));
	front = front_open(self->index, O_NONBLOCK);
	EXPECT_ERR(EKEYEXPIRED, submit(front, &self->chip, key));
	ASSERT_EQ(0, info(front, &self->info));
	EXPECT_EQ(1, self->info.loads);		/* counters outlive the relay as well */
	close(front);
}

TEST_F(ifpp, dies_while_clients_block)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + BODY];
	struct ifpp_delete del = { .size = sizeof(del) };
	int fd[4], i;
	struct call c[5];
	struct answer out;
	struct ifpp_key *keys = self->chip.keys;

	for (i = 0; i < 4; i++)
		fd[i] = front_open(self->index, 0);
	ASSERT_LT(0, submit(fd[0], &self->chip, keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));

	call_start(&c[0], fd[0], 0, &out, sizeof(out));
	call_start(&c[1], fd[1], 1, pkg, package(pkg, &self->chip, keys[1].id, BODY));
	call_start(&c[2], fd[2], 2, NULL, 0);
	call_start(&c[3], fd[3], IFPP_IOC_DELETE_KEYS, &del, 0);
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(call_blocked(&c[i]));
	close(self->relay);

	EXPECT_EQ(sizeof(out.r), call_end(&c[0]));
	EXPECT_EQ(-ENODEV, out.r.status);
	EXPECT_ERR(ENODEV, call_end(&c[1]));
	EXPECT_TRUE(call_end(&c[2]) & POLLHUP);
	EXPECT_ERR(ENODEV, call_end(&c[3]));
	for (i = 0; i < 4; i++)
		close(fd[i]);
	self->relay = relay_open();
}

/* A relay that sleeps in read() has the request that comes. */
TEST_F(ifpp, request_wakes_read)
{
	static __u8 buf[IFPP_REQ_BUF_MAX];
	int fd = open(RELAY, O_RDWR | O_CLOEXEC), front;
	struct chip chip;
	struct call c;

	chip_new(&chip, 1);
	front = relay_attach(fd, &chip);
	ASSERT_LE(0, front);
	front = front_open(front, O_NONBLOCK);
	ASSERT_LE(0, front);
	call_start(&c, fd, 0, buf, sizeof(buf));
	EXPECT_TRUE(call_blocked(&c));
	ASSERT_LT(0, submit(front, &chip, chip.keys[0].id));
	EXPECT_LT((ssize_t)sizeof(self->req), call_end(&c));
	memcpy(&self->req, buf, sizeof(self->req));
	EXPECT_EQ(IFPP_REQ_LOAD, self->req.type);
	EXPECT_LT(0, relay_reply(fd, &self->req, 0, NULL, 0));
	close(front);
	close(fd);
}

TEST_F(ifpp, signal_interrupts_read)
{
	struct call c;
	char buf[16];
	int fd = open(RELAY, O_RDWR | O_CLOEXEC);
	struct chip chip;

	chip_new(&chip, 1);
	ASSERT_LE(0, relay_attach(fd, &chip));
	catch_signal(SIGUSR1, 0);
	call_start(&c, fd, 0, buf, sizeof(buf));
	EXPECT_TRUE(call_blocked(&c));
	pthread_kill(c.thread, SIGUSR1);
	EXPECT_ERR(EINTR, call_end(&c));
	close(fd);
}

TEST(modes)
{
	struct stat st;
	struct chip c;
	int fd = relay_open(), n;
	char path[32];

	ASSERT_EQ(0, stat(RELAY, &st));
	EXPECT_EQ(0, st.st_mode & 07177);
	chip_new(&c, 1);
	n = relay_attach(fd, &c);
	snprintf(path, sizeof(path), "/dev/ifpp%d", n);
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
	close(fd);
}

#define TRACING "/sys/kernel/tracing"

/* What tools make of the tracepoints: values in a format, names in what is printed. */
TEST_F(ifpp, tracepoints)
{
	char cmd[200];

	mount("tracefs", TRACING, "tracefs", 0, NULL);	/* unless it is there */
	EXPECT_EQ(0, system("grep -q '{ 1, \"LOAD\" }' " TRACING "/events/ifpp/ifpp_submit/format"));
	ASSERT_EQ(0, system("echo 1 >" TRACING "/events/ifpp/enable"));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	close(self->relay);
	self->relay = relay_open();
	memset(self->chip.keys[self->chip.n++].id, 0xad, IFPP_KEY_ID_LEN);
	EXPECT_ERR(EBADE, relay_attach(self->relay, &self->chip));
	ASSERT_EQ(0, system("echo 0 >" TRACING "/events/ifpp/enable"));

	EXPECT_EQ(0, system("grep -q 'ifpp_tamper: ifpp[0-9]* FACTORY key-added' " TRACING "/trace"));
	snprintf(cmd, sizeof(cmd), "grep -q 'ifpp_submit: ifpp%d id=[0-9]* LOAD len=%d' " TRACING "/trace",
		 self->index, IFPP_PKG_HDR_LEN + BODY);
	EXPECT_EQ(0, system(cmd));
	snprintf(cmd, sizeof(cmd), "grep -q 'ifpp_result: .* LOAD status=-%d ' " TRACING "/trace", ENODEV);
	EXPECT_EQ(0, system(cmd));
}

/* A relay that was being watched before it attached its chip hears of the first request. */
TEST(epoll_before_attach)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int fd = relay_open(), ep = epoll_create1(EPOLL_CLOEXEC), front;
	struct ifpp_req req;
	struct chip c;

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	chip_new(&c, 1);
	front = front_open(relay_attach(fd, &c), O_NONBLOCK);
	ASSERT_LE(0, front);
	while (epoll_wait(ep, &ev, 1, 0) == 1)
		EXPECT_FALSE(ev.events & EPOLLIN);
	ASSERT_LT(0, submit(front, &c, c.keys[0].id));
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 5000));
	EXPECT_TRUE(ev.events & EPOLLIN);
	EXPECT_EQ(IFPP_REQ_LOAD, relay_next(fd, &req));
	close(front);
	close(fd);
	close(ep);
}

/*
 * More chips than there is room for records: of the oldest that are gone each new one takes the
 * place of one, but not of one that has a key in doubt, is to be locked, or is open.
 */
TEST_F_TIMEOUT(many, records_bounded, 180)
{
	struct chip doubt, open, locking, first, c;
	struct ifpp_lock lock = { .size = sizeof(lock) };
	struct ifpp_info info_open;
	struct call call;
	int fd, front, held, i;
	struct ifpp_req req;

	chip_new(&doubt, 2);
	fd = relay_open();
	front = front_open(relay_attach(fd, &doubt), O_NONBLOCK);
	ASSERT_LT(0, submit(front, &doubt, doubt.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(fd, &req));
	close(fd);
	close(front);

	chip_new(&open, 2);
	fd = relay_open();
	held = front_open(relay_attach(fd, &open), O_NONBLOCK);
	close(fd);

	/* Without keys, so that no fate is in doubt. */
	chip_new(&locking, 0);
	fd = relay_open();
	front = front_open(relay_attach(fd, &locking), O_NONBLOCK);
	call_start(&call, front, IFPP_IOC_LOCK, &lock, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(fd, &req));
	close(fd);
	EXPECT_ERR(ENODEV, call_end(&call));
	close(front);

	for (i = 0; i < 1100; i++) {
		fd = relay_open();
		chip_new(&c, 1);
		ASSERT_LE(0, relay_attach(fd, &c));
		close(fd);
		if (!i)
			first = c;
	}
	/* The first of them is forgotten: that it has another key now contradicts nothing. */
	fd = relay_open();
	memset(first.keys[first.n++].id, 0xad, IFPP_KEY_ID_LEN);
	EXPECT_LE(0, relay_attach(fd, &first));
	close(fd);
	fd = relay_open();
	front = front_open(relay_attach(fd, &locking), O_NONBLOCK);
	EXPECT_ERR(EPERM, submit(front, &locking, locking.keys[0].id));
	EXPECT_EQ(IFPP_REQ_LOCK, relay_next(fd, &req));
	close(front);
	close(fd);
	/* What the key's fate was is not forgotten: a report that adds one is still a lie. */
	fd = relay_open();
	memset(doubt.keys[doubt.n++].id, 0xad, IFPP_KEY_ID_LEN);
	EXPECT_ERR(EBADE, relay_attach(fd, &doubt));
	memset(open.keys[open.n++].id, 0xad, IFPP_KEY_ID_LEN);
	EXPECT_ERR(EBADE, relay_attach(fd, &open));
	ASSERT_EQ(0, info(held, &info_open));
	EXPECT_EQ(2, info_open.keys_unspent);
	/* Of the last the record is there, with its key. */
	memset(c.keys[c.n++].id, 0xad, IFPP_KEY_ID_LEN);
	EXPECT_ERR(EBADE, relay_attach(fd, &c));
	close(fd);
	close(held);
}

TEST_HARNESS_MAIN
