// SPDX-License-Identifier: GPL-2.0-only
/* The UNIT lock: a chip that begins to be locked never comes back. */
#include "ifpp_test.h"

static void lock_init(struct ifpp_lock *l, void *receipt, __u32 len)
{
	memset(l, 0, sizeof(*l));
	l->size = sizeof(*l);
	memset(l->challenge, 0xc1, sizeof(l->challenge));
	l->receipt = (uintptr_t)receipt;
	l->receipt_len = len;
}

TEST_F(ifpp, lock)
{
	__u8 receipt[100], want[100];
	struct ifpp_delete del = { .size = sizeof(del) };
	struct ifpp_lock l;
	struct call c;

	lock_init(&l, receipt, sizeof(receipt));
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	EXPECT_EQ(IFPP_CHALLENGE_LEN, self->req.len);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKING, self->info.state);
	EXPECT_ERR(EPERM, submit(self->front, &self->chip, self->chip.keys[0].id));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 100));
	EXPECT_EQ(0, call_end(&c));
	EXPECT_EQ(100, l.receipt_len);
	memset(want, 0xbf, sizeof(want));
	EXPECT_EQ(0, memcmp(want, receipt, sizeof(want)));

	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info.state);
	EXPECT_EQ(0, self->info.keys_unspent);
	EXPECT_ERR(EPERM, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_ERR(EPERM, ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del));
	EXPECT_TRUE(poll_now(self->front) & POLLOUT);	/* a write does not block, it fails */

	/* Locked again: the chip signs over the new challenge. A small buffer is told the size. */
	lock_init(&l, receipt, 10);
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 100));
	EXPECT_ERR(EMSGSIZE, call_end(&c));
	EXPECT_EQ(100, l.receipt_len);
	lock_init(&l, BAD_ADDRESS, 100);
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 100));
	EXPECT_ERR(EFAULT, call_end(&c));
}

/* Nothing brings a locked chip back: not a new relay, or a lying one. For an unload see ifpp_pin. */
TEST_F(ifpp, lock_is_final)
{
	struct ifpp_delete del = { .size = sizeof(del) };
	struct chip before = self->chip;
	struct ifpp_lock l;
	struct call c;
	__u8 receipt[8];
	int n;

	lock_init(&l, receipt, sizeof(receipt));
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	EXPECT_ERR(EPERM, ioctl(self->front, IFPP_IOC_REWORK, &del));	/* LOCKING */
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	ASSERT_EQ(0, call_end(&c));
	close(self->relay);
	close(self->front);

	self->relay = relay_open();
	EXPECT_ERR(EBADE, relay_attach(self->relay, &before));
	before.n = 0;
	before.state = IFPP_STATE_DRAINED;
	EXPECT_ERR(EBADE, relay_attach(self->relay, &before));
	n = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, n);
	self->front = front_open(n, O_NONBLOCK);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info.state);
	EXPECT_ERR(EPERM, submit(self->front, &self->chip, before.keys[0].id));
	EXPECT_ERR(EPERM, ioctl(self->front, IFPP_IOC_REWORK, &del));
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);	/* nothing left to do */
}

/* The chip fails: LOCKING, refused for ever, and retried. */
TEST_F(ifpp, lock_fails)
{
	struct ifpp_lock l;
	struct call c;
	__u8 receipt[8];
	int n;

	lock_init(&l, receipt, sizeof(receipt));
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EREMOTEIO, &self->chip, 0));
	EXPECT_ERR(EREMOTEIO, call_end(&c));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKING, self->info.state);
	EXPECT_EQ(3, self->info.keys_unspent);
	EXPECT_ERR(EPERM, submit(self->front, &self->chip, self->chip.keys[0].id));

	/* Success that the chip does not confirm, or that shows no receipt. */
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	EXPECT_ERR(EINVAL, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	EXPECT_ERR(EREMOTEIO, call_end(&c));

	/* A new relay is told to finish without being asked. */
	close(self->relay);
	self->relay = relay_open();
	n = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, n);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	close(self->front);
	self->front = front_open(n, O_NONBLOCK);
	EXPECT_ERR(EPERM, submit(self->front, &self->chip, self->chip.keys[0].id));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info.state);
}

/* The load in flight ends first; what has not left for the relay does not leave. */
TEST_F(ifpp, lock_during_load)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + BODY], receipt[8];
	int b = front_open(self->index, 0), k = front_open(self->index, 0);
	struct ifpp_lock l;
	struct call writer, locker;

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	call_start(&writer, b, 1, pkg, package(pkg, &self->chip, self->chip.keys[1].id, BODY));
	EXPECT_TRUE(call_blocked(&writer));
	lock_init(&l, receipt, sizeof(receipt));
	call_start(&locker, k, IFPP_IOC_LOCK, &l, 0);
	EXPECT_ERR(EPERM, call_end(&writer));
	EXPECT_TRUE(call_blocked(&locker));

	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 4));
	EXPECT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, self->out.r.status);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	EXPECT_EQ(0, call_end(&locker));
	close(b);
	close(k);
}

TEST_F(ifpp, lock_before_dispatch)
{
	__u8 receipt[8];
	struct ifpp_lock l;
	struct call c;
	int k = front_open(self->index, 0);

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	lock_init(&l, receipt, sizeof(receipt));
	call_start(&c, k, IFPP_IOC_LOCK, &l, 0);
	EXPECT_TRUE(poll_for(self->front, POLLIN) & POLLIN);
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EPERM, self->out.r.status);
	EXPECT_EQ(3, self->out.r.keys_left);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	EXPECT_EQ(0, call_end(&c));
	close(k);
}

/* The locker dies while it waits for a load: the kernel sends the LOCK in its place. */
TEST_F(ifpp, locker_killed)
{
	__u8 receipt[8];
	struct ifpp_lock l;
	int status;
	pid_t pid;

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_EQ(0, info(self->front, &self->info));
	pid = fork();
	if (!pid) {
		lock_init(&l, receipt, sizeof(receipt));
		ioctl(self->front, IFPP_IOC_LOCK, &l);
		_exit(1);
	}
	EXPECT_TRUE(poll_for(self->front, POLLPRI) & POLLPRI);
	usleep(20000);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 4));
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info.state);
}

/* The request counts even when the relay has just gone: the next one must finish it. */
TEST_F(ifpp, lock_without_relay)
{
	struct ifpp_lock l;
	__u8 receipt[8];

	close(self->relay);
	lock_init(&l, receipt, sizeof(receipt));
	EXPECT_ERR(ENODEV, ioctl(self->front, IFPP_IOC_LOCK, &l));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKING, self->info.state);
	self->relay = relay_open();
	ASSERT_LE(0, relay_attach(self->relay, &self->chip));
	EXPECT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
}

/* A file of the relay before this one locks as well: what is queued now does not leave any more. */
TEST_F(ifpp, lock_through_old_file)
{
	struct ifpp_lock l;
	__u8 receipt[8];
	int front;

	close(self->relay);
	self->relay = relay_open();
	self->index = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, self->index);
	front = front_open(self->index, O_NONBLOCK);
	ASSERT_LT(0, submit(front, &self->chip, self->chip.keys[0].id));

	lock_init(&l, receipt, sizeof(receipt));
	EXPECT_ERR(ENODEV, ioctl(self->front, IFPP_IOC_LOCK, &l));
	EXPECT_TRUE(poll_for(front, POLLIN) & POLLIN);
	ASSERT_LT(0, read(front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EPERM, self->out.r.status);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	ASSERT_EQ(0, info(front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info.state);
	close(front);
}

TEST_F(ifpp, relay_dies_mid_lock)
{
	struct ifpp_lock l;
	__u8 receipt[8];
	struct call c;

	lock_init(&l, receipt, sizeof(receipt));
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	close(self->relay);
	EXPECT_ERR(ENODEV, call_end(&c));
	/* It may have happened or not; both are finished by the next relay. */
	chip_lock(&self->chip);
	self->relay = relay_open();
	self->index = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, self->index);
	close(self->front);
	self->front = front_open(self->index, O_NONBLOCK);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_LOCKED, self->info.state);
}

/* A package that the relay could not read whole does not leave once a lock has begun. */
TEST_F(ifpp, no_load_after_lock)
{
	struct ifpp_lock l;
	struct call c;
	__u8 receipt[8];
	int k = front_open(self->index, 0);

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_ERR(EFAULT, read(self->relay, edge(100), IFPP_REQ_BUF_MAX));
	lock_init(&l, receipt, sizeof(receipt));
	call_start(&c, k, IFPP_IOC_LOCK, &l, 0);
	EXPECT_TRUE(poll_for(self->front, POLLIN) & POLLIN);
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EPERM, self->out.r.status);
	/* Its key is in doubt, so the chip is asked, before or after it is locked. */
	while (relay_next_within(self->relay, &self->req, 1000) >= 0) {
		EXPECT_NE(IFPP_REQ_LOAD, self->req.type);
		if (self->req.type == IFPP_REQ_LOCK)
			chip_lock(&self->chip);
		ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip,
					 self->req.type == IFPP_REQ_LOCK ? 8 : 0));
	}
	EXPECT_EQ(0, call_end(&c));
	close(k);
}

/* A chip that arrives locked is locked, whoever did it. */
TEST(arrives_locked)
{
	struct ifpp_info i;
	struct chip c;
	int relay = relay_open(), n, fd;

	chip_new(&c, 0);
	c.state = IFPP_STATE_LOCKED;
	n = relay_attach(relay, &c);
	ASSERT_LE(0, n);
	fd = front_open(n, O_NONBLOCK);
	ASSERT_EQ(0, info(fd, &i));
	EXPECT_EQ(IFPP_STATE_LOCKED, i.state);
	EXPECT_ERR(EPERM, submit(fd, &c, c.keys[0].id));
	close(fd);
	close(relay);
}

TEST_HARNESS_MAIN
