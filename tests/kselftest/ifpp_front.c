// SPDX-License-Identifier: GPL-2.0-only
/* /dev/ifppN: submit, results, poll, ioctls, two clients, signals. */
#include <linux/netlink.h>
#include <sys/socket.h>

#include "ifpp_test.h"

TEST_F(ifpp, load)
{
	__u8 id[IFPP_KEY_ID_LEN];
	int i;

	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_INFO_ONLINE, self->info.flags);
	EXPECT_EQ(self->index, (int)self->info.index);
	EXPECT_EQ(0, memcmp(self->info.eid, self->chip.eid, IFPP_EID_LEN));
	EXPECT_EQ(IFPP_STATE_FACTORY, self->info.state);
	EXPECT_EQ(3, self->info.keys_unspent);
	EXPECT_EQ(0, self->info.loads);

	memcpy(id, self->chip.keys[0].id, sizeof(id));
	ASSERT_EQ(IFPP_PKG_HDR_LEN + BODY, submit(self->front, &self->chip, id));
	EXPECT_ERR(EAGAIN, read(self->front, &self->out, sizeof(self->out)));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(1, self->info.keys_unknown);
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 300));

	ASSERT_EQ((ssize_t)sizeof(self->out.r) + 300,
		  read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, self->out.r.status);
	EXPECT_EQ(0, self->out.r.reason);
	EXPECT_EQ(0, memcmp(self->out.r.key_id, id, sizeof(id)));
	EXPECT_EQ(2, self->out.r.keys_left);
	EXPECT_EQ(56, self->out.r.apdus);
	EXPECT_EQ(13000, self->out.r.apdu_bytes);
	EXPECT_EQ(300, self->out.r.pir_len);
	EXPECT_EQ(11, self->out.r.verify_ns);
	EXPECT_EQ(22, self->out.r.chip_ns);
	EXPECT_LE(self->out.r.queue_ns, self->out.r.total_ns);
	EXPECT_LT(0, self->out.r.total_ns);
	for (i = 0; i < 300; i++)
		EXPECT_EQ(0xbf, self->out.pir[i]);

	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(1, self->info.loads);
	EXPECT_EQ(1, self->info.installed);
	EXPECT_EQ(0, self->info.failed);
	EXPECT_EQ(1, self->info.keys_spent);
}

TEST_F(ifpp, header_refused)
{
	__u8 buf[IFPP_PKG_HDR_LEN + BODY + 1];
	size_t len = package(buf, &self->chip, self->chip.keys[0].id, BODY), i;
	struct ifpp_pkg_hdr *h = (void *)buf;

	for (i = 0; i <= IFPP_PKG_HDR_LEN; i++)
		EXPECT_ERR(EBADMSG, write(self->front, buf, i));
	EXPECT_ERR(EBADMSG, write(self->front, buf, len - 1));
	EXPECT_ERR(EBADMSG, write(self->front, buf, len + 1));
	/* Magic, version, lengths, flags: the first 16 bytes must be just so. */
	for (i = 0; i < 16; i++) {
		buf[i] ^= 1;
		EXPECT_ERR(EBADMSG, write(self->front, buf, len));
		buf[i] ^= 1;
	}
	h->eid[15] ^= 1;
	EXPECT_ERR(EXDEV, write(self->front, buf, len));
	h->eid[15] ^= 1;
	h->key_id[31] ^= 1;
	EXPECT_ERR(EKEYREJECTED, write(self->front, buf, len));
	h->key_id[31] ^= 1;
	EXPECT_ERR(EFAULT, write(self->front, BAD_ADDRESS, len));
	EXPECT_ERR(EFAULT, write(self->front, memcpy(edge(len - 1), buf, len - 1), len));

	/* The relay saw nothing of it. */
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(0, self->info.loads);
	EXPECT_LE(80, self->info.refused);
	EXPECT_EQ((ssize_t)len, write(self->front, buf, len));
}

TEST_F(ifpp, size_limits)
{
	size_t max;
	__u8 *buf;

	ASSERT_EQ(0, info(self->front, &self->info));
	max = self->info.pkg_max;
	EXPECT_EQ(256 * 1024, max);
	buf = malloc(max + 1);
	package(buf, &self->chip, self->chip.keys[0].id, max + 1 - IFPP_PKG_HDR_LEN);
	EXPECT_ERR(EMSGSIZE, write(self->front, buf, max + 1));
	package(buf, &self->chip, self->chip.keys[0].id, max - IFPP_PKG_HDR_LEN);
	EXPECT_EQ((ssize_t)max, write(self->front, buf, max));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_EQ(max, self->req.len);
	free(buf);
}

TEST_F(ifpp, replay_and_drained)
{
	__u8 id[3][IFPP_KEY_ID_LEN], unknown[IFPP_KEY_ID_LEN] = { 1 };
	int i;

	for (i = 0; i < 3; i++) {
		memcpy(id[i], self->chip.keys[0].id, IFPP_KEY_ID_LEN);
		ASSERT_LT(0, submit(self->front, &self->chip, id[i]));
		ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
		chip_spend(&self->chip, 0);
		ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
		ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
		EXPECT_EQ(0, self->out.r.status);
		EXPECT_ERR(EKEYEXPIRED, submit(self->front, &self->chip, id[i]));
	}
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_DRAINED, self->info.state);
	EXPECT_ERR(ENOKEY, submit(self->front, &self->chip, unknown));
	EXPECT_ERR(EKEYEXPIRED, submit(self->front, &self->chip, id[0]));
}

TEST_F(ifpp, failure_is_told)
{
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EBADMSG, &self->chip, 0));
	ASSERT_EQ(sizeof(self->out.r), read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-EBADMSG, self->out.r.status);
	EXPECT_EQ(300, self->out.r.reason);
	EXPECT_EQ(3, self->out.r.keys_left);	/* verified before the chip: nothing burnt */
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(1, self->info.failed);
	EXPECT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
}

/* Any errno may be a status, also those that the driver itself gives a meaning. */
TEST_F(ifpp, status_is_passed_on)
{
	static const int status[] = { -EINVAL, -EBADE, -EAGAIN, -EPERM, -ESTALE, -4095 };
	size_t i;

	for (i = 0; i < sizeof(status) / sizeof(status[0]); i++) {
		ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
		ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
		ASSERT_LT(0, relay_reply(self->relay, &self->req, status[i], &self->chip, 0));
		ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
		EXPECT_EQ(status[i], self->out.r.status);
	}
}

TEST_F(ifpp, fate_unknown)
{
	const __u8 *key = self->chip.keys[0].id;

	ASSERT_LT(0, submit(self->front, &self->chip, key));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EREMOTEIO, NULL, 0));
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	ASSERT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
	EXPECT_ERR(EAGAIN, submit(self->front, &self->chip, key));
	/* The refresh fails as well: refused, and asked again. */
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EIO, NULL, 0));
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	EXPECT_ERR(EKEYREJECTED, submit(self->front, &self->chip, key));
	ASSERT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_LT(0, submit(self->front, &self->chip, key));
}

TEST_F(ifpp, read_semantics)
{
	__u8 *small;

	EXPECT_ERR(ENODATA, read(self->front, &self->out, sizeof(self->out)));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_ERR(EBUSY, submit(self->front, &self->chip, self->chip.keys[1].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 100));

	/* The result waits until somebody has all of it. */
	EXPECT_ERR(EBUSY, submit(self->front, &self->chip, self->chip.keys[1].id));
	EXPECT_ERR(EMSGSIZE, read(self->front, &self->out, 0));
	EXPECT_ERR(EMSGSIZE, read(self->front, &self->out, sizeof(self->out.r)));
	EXPECT_ERR(EMSGSIZE, read(self->front, &self->out, sizeof(self->out.r) + 99));
	EXPECT_ERR(EFAULT, read(self->front, BAD_ADDRESS, 4096));
	small = edge(sizeof(self->out.r) + 50);
	EXPECT_ERR(EFAULT, read(self->front, small, 4096));
	EXPECT_EQ((ssize_t)sizeof(self->out.r) + 100,
		  read(self->front, &self->out, sizeof(self->out.r) + 100));
	EXPECT_ERR(ENODATA, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
}

TEST_F(ifpp, poll)
{
	EXPECT_EQ(POLLOUT, poll_now(self->front));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_EQ(0, poll_now(self->front));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_EQ(POLLPRI, poll_now(self->front));	/* a key's fate is unknown */
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(0, poll_now(self->front));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	EXPECT_EQ(POLLIN | POLLPRI, poll_now(self->front));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(POLLIN, poll_now(self->front));
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(POLLOUT, poll_now(self->front));
	close(self->relay);
	EXPECT_EQ(POLLHUP | POLLERR | POLLPRI, poll_now(self->front));
	self->relay = relay_open();
}

TEST_F(ifpp, two_clients)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + BODY];
	int a = front_open(self->index, 0), b = front_open(self->index, 0);
	struct call write_b, read_a;
	__u8 id[2][IFPP_KEY_ID_LEN];

	memcpy(id[0], self->chip.keys[0].id, IFPP_KEY_ID_LEN);
	memcpy(id[1], self->chip.keys[1].id, IFPP_KEY_ID_LEN);
	ASSERT_LT(0, submit(a, &self->chip, id[0]));
	EXPECT_ERR(EAGAIN, submit(self->front, &self->chip, id[1]));
	EXPECT_FALSE(poll_now(self->front) & POLLOUT);
	call_start(&write_b, b, 1, pkg, package(pkg, &self->chip, id[1], BODY));
	call_start(&read_a, a, 0, &self->out, sizeof(self->out));
	EXPECT_TRUE(call_blocked(&write_b));
	EXPECT_TRUE(call_blocked(&read_a));

	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	EXPECT_LT(0, call_end(&read_a));
	EXPECT_EQ(0, memcmp(self->out.r.key_id, id[0], IFPP_KEY_ID_LEN));
	EXPECT_LT(0, call_end(&write_b));

	/* Each gets its own result. */
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EIO, &self->chip, 0));
	EXPECT_ERR(ENODATA, read(a, &self->out, sizeof(self->out)));
	EXPECT_LT(0, read(b, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, memcmp(self->out.r.key_id, id[1], IFPP_KEY_ID_LEN));
	EXPECT_EQ(-EIO, self->out.r.status);
	close(a);
	close(b);
}

/* The same package twice: the second waits for the first and is then a replay. */
TEST_F(ifpp, same_package_twice)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + BODY];
	int b = front_open(self->index, 0);
	struct call c;

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	call_start(&c, b, 1, pkg, package(pkg, &self->chip, self->chip.keys[0].id, BODY));
	EXPECT_TRUE(call_blocked(&c));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	EXPECT_ERR(EKEYEXPIRED, call_end(&c));
	close(b);
}

TEST_F(ifpp, signals)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + BODY];
	int a = front_open(self->index, 0), b = front_open(self->index, 0);
	struct call reader, writer;

	catch_signal(SIGUSR1, 0);
	ASSERT_LT(0, submit(a, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	call_start(&reader, a, 0, &self->out, sizeof(self->out));
	call_start(&writer, b, 1, pkg, package(pkg, &self->chip, self->chip.keys[1].id, BODY));
	EXPECT_TRUE(call_blocked(&reader));
	EXPECT_TRUE(call_blocked(&writer));
	pthread_kill(reader.thread, SIGUSR1);
	pthread_kill(writer.thread, SIGUSR1);
	EXPECT_ERR(EINTR, call_end(&reader));
	EXPECT_ERR(EINTR, call_end(&writer));

	/* The wait was interrupted, the load was not. */
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 5));
	EXPECT_EQ((ssize_t)sizeof(self->out.r) + 5, read(a, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, self->out.r.status);
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	close(a);
	close(b);
}

/* A client that dies leaves its load to its fate, and the slot to the next. */
TEST_F(ifpp, client_killed)
{
	pid_t pid = fork();
	int status, fd;

	if (!pid) {
		fd = front_open(self->index, 0);
		if (submit(fd, &self->chip, self->chip.keys[0].id) > 0)
			read(fd, &self->out, sizeof(self->out));
		_exit(1);
	}
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_ERR(EAGAIN, submit(self->front, &self->chip, self->chip.keys[1].id));
	chip_spend(&self->chip, 0);
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 5));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(1, self->info.installed);
	EXPECT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
}

/* So does one that sits in an ioctl: a deadly signal ends that wait, no other does. */
TEST_F(ifpp, ioctl_killed)
{
	struct ifpp_delete del = { .size = sizeof(del) };
	pid_t pid = fork();
	int status;

	if (!pid) {
		catch_signal(SIGUSR1, 0);
		ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del);
		_exit(1);
	}
	ASSERT_EQ(IFPP_REQ_DELETE_KEYS, relay_next(self->relay, &self->req));
	kill(pid, SIGUSR1);
	usleep(50000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
}

TEST_F(ifpp, ioctl_arguments)
{
	struct ifpp_keys keys = { .size = sizeof(keys), .flags = 1 };
	struct ifpp_delete del = { .size = sizeof(del), .flags = 1 };
	struct ifpp_lock lock = { .size = sizeof(lock), .flags = 1 };
	int ro = front_open(self->index, O_NONBLOCK) , fd;
	struct ifpp_lock *short_lock;
	char path[32];

	EXPECT_ERR(ENOTTY, ioctl(self->front, 0, 0));
	EXPECT_ERR(ENOTTY, ioctl(self->front, ~0ul, 0));
	EXPECT_ERR(ENOTTY, ioctl(self->front, _IO(IFPP_IOC_MAGIC, 0x7f), 0));
	EXPECT_ERR(ENOTTY, ioctl(self->front, IFPP_RELAY_ATTACH, &lock));
	EXPECT_ERR(EFAULT, ioctl(self->front, IFPP_IOC_INFO, BAD_ADDRESS));
	EXPECT_ERR(EFAULT, ioctl(self->front, IFPP_IOC_KEYS, BAD_ADDRESS));
	EXPECT_ERR(EFAULT, ioctl(self->front, IFPP_IOC_DELETE_KEYS, BAD_ADDRESS));
	EXPECT_ERR(EFAULT, ioctl(self->front, IFPP_IOC_LOCK, BAD_ADDRESS));
	short_lock = edge(sizeof(lock) - 1);
	EXPECT_ERR(EINVAL, ioctl(self->front, IFPP_IOC_LOCK, short_lock));
	short_lock->size = sizeof(lock);
	EXPECT_ERR(EFAULT, ioctl(self->front, IFPP_IOC_LOCK, short_lock));
	EXPECT_ERR(EOPNOTSUPP, ioctl(self->front, IFPP_IOC_KEYS, &keys));
	EXPECT_ERR(EOPNOTSUPP, ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del));
	EXPECT_ERR(EOPNOTSUPP, ioctl(self->front, IFPP_IOC_REWORK, &del));
	EXPECT_ERR(EOPNOTSUPP, ioctl(self->front, IFPP_IOC_LOCK, &lock));
	EXPECT_ERR(ESPIPE, lseek(self->front, 0, SEEK_SET));

	/* Who may only look may not destroy. */
	snprintf(path, sizeof(path), "/dev/ifpp%d", self->index);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	del.flags = 0;
	lock.flags = 0;
	EXPECT_ERR(EBADF, ioctl(fd, IFPP_IOC_DELETE_KEYS, &del));
	EXPECT_ERR(EBADF, ioctl(fd, IFPP_IOC_REWORK, &del));
	EXPECT_ERR(EBADF, ioctl(fd, IFPP_IOC_LOCK, &lock));
	EXPECT_ERR(EBADF, submit(fd, &self->chip, self->chip.keys[0].id));
	EXPECT_EQ(0, info(fd, &self->info));
	EXPECT_EQ(IFPP_STATE_FACTORY, self->info.state);
	close(fd);
	close(ro);
}

/* Callers of other versions: structures that are longer or shorter than the kernel's. */
TEST_F(ifpp, other_versions)
{
	struct { struct ifpp_info info; __u64 more; } longer = { .more = 0 };
	struct { struct ifpp_delete del; __u64 more; } del = { .more = 1 };

	longer.info.size = sizeof(longer);
	longer.more = ~0ull;
	EXPECT_ERR(E2BIG, ioctl(self->front, IFPP_IOC_INFO, &longer));
	longer.more = 0;
	ASSERT_EQ(0, ioctl(self->front, IFPP_IOC_INFO, &longer));
	EXPECT_EQ(sizeof(longer.info), longer.info.size);
	EXPECT_EQ(IFPP_STATE_FACTORY, longer.info.state);
	EXPECT_EQ(3, longer.info.keys_unspent);
	EXPECT_EQ(0, longer.info.reserved);
	EXPECT_EQ(0, longer.more);
	/* What is asked for and not known is not done. */
	del.del.size = sizeof(del);
	EXPECT_ERR(E2BIG, ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del));
	del.del.size = ~0u;
	EXPECT_ERR(E2BIG, ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del));
	del.del.size = sizeof(del.del) - 4;
	EXPECT_ERR(EINVAL, ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del));
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	/* Version 1, whose numbers were another's: the log says what to do. */
	EXPECT_ERR(ENOTTY, ioctl(self->front, _IOWR(0xb7, 3, char[40]), &del));
	EXPECT_EQ(0, system("dmesg | grep -q 'built for version 1'"));
}

/* One writev() is one package, in as many pieces as the caller has. */
TEST_F(ifpp, package_in_pieces)
{
	__u8 pkg[IFPP_PKG_HDR_LEN + BODY], got[sizeof(self->req) + sizeof(pkg)];
	size_t len = package(pkg, &self->chip, self->chip.keys[0].id, BODY);
	struct iovec out[3] = { { pkg, 10 }, { pkg + 10, 100 }, { pkg + 110, len - 110 } };
	struct iovec in[2] = { { got, sizeof(self->req) + 5 }, { got + sizeof(self->req) + 5, len - 5 } };

	ASSERT_EQ((ssize_t)len, writev(self->front, out, 3));
	ASSERT_EQ((ssize_t)(sizeof(self->req) + len), readv(self->relay, in, 2));
	EXPECT_EQ(0, memcmp(pkg, got + sizeof(self->req), len));
	memcpy(&self->req, got, sizeof(self->req));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 4));
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(sizeof(self->out.r), self->out.r.size);
	EXPECT_EQ(0, self->out.r.status);
}

TEST_F(ifpp, keys)
{
	struct ifpp_key got[4];
	struct ifpp_keys k = { .size = sizeof(k), .count = 4, .keys = (uintptr_t)got };

	memset(got, 0xee, sizeof(got));
	ASSERT_EQ(0, ioctl(self->front, IFPP_IOC_KEYS, &k));
	EXPECT_EQ(3, k.count);
	EXPECT_EQ(0, memcmp(got, self->chip.keys, 3 * sizeof(got[0])));
	EXPECT_EQ(0xee, got[3].id[0]);

	memset(got, 0xee, sizeof(got));
	k.count = 1;
	ASSERT_EQ(0, ioctl(self->front, IFPP_IOC_KEYS, &k));
	EXPECT_EQ(3, k.count);
	EXPECT_EQ(0, memcmp(got, self->chip.keys, sizeof(got[0])));
	EXPECT_EQ(0xee, got[1].id[0]);

	k.count = 0;
	k.keys = 0;
	ASSERT_EQ(0, ioctl(self->front, IFPP_IOC_KEYS, &k));
	EXPECT_EQ(3, k.count);
	k.count = ~0u;
	k.keys = (uintptr_t)got;
	ASSERT_EQ(0, ioctl(self->front, IFPP_IOC_KEYS, &k));
	EXPECT_EQ(3, k.count);
	k.keys = (uintptr_t)BAD_ADDRESS;
	EXPECT_ERR(EFAULT, ioctl(self->front, IFPP_IOC_KEYS, &k));
}

TEST_F(ifpp, delete_keys)
{
	struct ifpp_delete del = { .size = sizeof(del) };
	struct call c;

	call_start(&c, self->front, IFPP_IOC_DELETE_KEYS, &del, 0);
	ASSERT_EQ(IFPP_REQ_DELETE_KEYS, relay_next(self->relay, &self->req));
	EXPECT_EQ(0, self->req.len);
	EXPECT_TRUE(call_blocked(&c));
	self->chip.n = 0;
	self->chip.state = IFPP_STATE_DRAINED;
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_EQ(0, call_end(&c));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(IFPP_STATE_DRAINED, self->info.state);
	EXPECT_EQ(0, self->info.keys_unspent);
	/* With nothing left to delete nobody is asked. */
	EXPECT_EQ(0, ioctl(self->front, IFPP_IOC_DELETE_KEYS, &del));
	EXPECT_EQ(0, del.deleted);
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
}

TEST_F(ifpp, delete_keys_fails)
{
	struct ifpp_delete del = { .size = sizeof(del) };
	struct call c;

	call_start(&c, self->front, IFPP_IOC_DELETE_KEYS, &del, 0);
	ASSERT_EQ(IFPP_REQ_DELETE_KEYS, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EREMOTEIO, NULL, 0));
	EXPECT_ERR(EREMOTEIO, call_end(&c));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unknown);
	ASSERT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unspent);
}

/* A drained chip is asked as well: what was loaded can be taken out until the lock. */
TEST_F(ifpp, rework)
{
	struct ifpp_delete del = { .size = sizeof(del) };
	struct call c;

	call_start(&c, self->front, IFPP_IOC_REWORK, &del, 0);
	ASSERT_EQ(IFPP_REQ_REWORK, relay_next(self->relay, &self->req));
	EXPECT_EQ(0, self->req.len);
	EXPECT_TRUE(call_blocked(&c));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unspent);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_EQ(0, call_end(&c));

	call_start(&c, self->front, IFPP_IOC_REWORK, &del, 0);
	ASSERT_EQ(IFPP_REQ_REWORK, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EREMOTEIO, NULL, 0));
	EXPECT_ERR(EREMOTEIO, call_end(&c));
	/* No key was at stake: nobody is asked. */
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unspent);

	self->chip.n = 0;
	self->chip.state = IFPP_STATE_DRAINED;
	call_start(&c, self->front, IFPP_IOC_DELETE_KEYS, &del, 0);
	ASSERT_EQ(IFPP_REQ_DELETE_KEYS, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_EQ(0, call_end(&c));
	call_start(&c, self->front, IFPP_IOC_REWORK, &del, 0);
	ASSERT_EQ(IFPP_REQ_REWORK, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_EQ(0, call_end(&c));
}

static int set_timeout(const char *ms)
{
	int fd = open("/sys/module/ifpp/parameters/timeout_ms", O_WRONLY), n;

	n = write(fd, ms, strlen(ms));
	close(fd);
	return n == (int)strlen(ms) ? 0 : -1;
}

TEST_F(ifpp, deadline)
{
	int i, type = -1;

	/* On a busy machine it may run out before it is read: then once more, and the one after it has its time. */
	for (i = 0; i < 20 && type < 0; i++) {
		ASSERT_EQ(0, set_timeout("300"));
		ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
		ASSERT_EQ(0, set_timeout("180000"));
		type = relay_next_within(self->relay, &self->req, 0);
		if (type < 0)
			ASSERT_TRUE(poll_for(self->front, POLLIN) & POLLIN);
		if (type < 0)
			ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	}
	ASSERT_EQ(IFPP_REQ_LOAD, type);
	EXPECT_GE(300, self->req.timeout_ms);
	EXPECT_TRUE(poll_for(self->front, POLLIN) & POLLIN);
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-ETIMEDOUT, self->out.r.status);
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	/* One refresh waits to be read. */
	EXPECT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unspent);
}

/* A relay that never reads has burnt nothing. */
TEST_F(ifpp, deadline_unread)
{
	ASSERT_EQ(0, set_timeout("200"));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_TRUE(poll_for(self->front, POLLIN) & POLLIN);
	ASSERT_EQ(0, set_timeout("180000"));
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(-ETIMEDOUT, self->out.r.status);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(3, self->info.keys_unspent);
	EXPECT_EQ(0, self->info.loads);
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
}

/* The next uevent about @index's node: its text, lines ended by NULs; "" if none comes. */
static const char *next_uevent(int fd, int index)
{
	static char buf[4096];
	char name[32];
	char *p;
	int n;

	snprintf(name, sizeof(name), "DEVNAME=ifpp%d", index);
	while ((n = recv(fd, buf, sizeof(buf) - 1, 0)) > 0) {
		buf[n] = '\0';
		for (p = buf; p < buf + n; p += strlen(p) + 1)
			if (!strcmp(p, name))
				break;
		if (p >= buf + n)
			continue;
		for (p = buf; p < buf + n - 1; p++)
			if (!*p)
				*p = '\n';
		return buf;
	}
	return "";
}

#define EXPECT_UEVENT(state, keys) do {						\
	const char *ev = next_uevent(fd, self->index);				\
	EXPECT_NE(NULL, strstr(ev, "\nACTION=change\n"));			\
	EXPECT_NE(NULL, strstr(ev, "\nIFPP_STATE=" state "\n"));			\
	EXPECT_NE(NULL, strstr(ev, "\nIFPP_KEYS=" keys "\n"));			\
} while (0)

/* udev learns what became of a load, not that it began; and each step of a lock. */
TEST_F(ifpp, uevents)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct timeval soon = { .tv_usec = 200000 };
	struct ifpp_lock l = { .size = sizeof(l) };
	struct call c;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	ASSERT_LT(0, relay_reply(self->relay, &self->req, -EIO, &self->chip, 0));
	ASSERT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_STREQ("", next_uevent(fd, self->index));

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	EXPECT_UEVENT("FACTORY", "2");
	EXPECT_STREQ("", next_uevent(fd, self->index));

	l.receipt = (uintptr_t)&self->out;
	l.receipt_len = sizeof(self->out);
	call_start(&c, self->front, IFPP_IOC_LOCK, &l, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(self->relay, &self->req));
	EXPECT_UEVENT("LOCKING", "2");
	chip_lock(&self->chip);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));
	EXPECT_EQ(0, call_end(&c));
	EXPECT_UEVENT("LOCKED", "0");
	EXPECT_STREQ("", next_uevent(fd, self->index));
	close(fd);
}

static void sysfs(int index, const char *name, char *buf, size_t len)
{
	char path[96];
	int fd, n;

	snprintf(path, sizeof(path), "/sys/class/ifpp/ifpp%d/%s", index, name);
	fd = open(path, O_RDONLY);
	n = read(fd, buf, len - 1);
	buf[n > 0 ? n : 0] = '\0';
	close(fd);
}

TEST_F(ifpp, sysfs)
{
	static const char * const names[] = { "state", "keys_unspent", "keys_unknown", "keys_spent", "loads",
					      "installed", "failed", "refused" };
	char want[64], got[512], path[160];
	struct stat st;
	size_t i;

	for (i = 0; i < IFPP_EID_LEN; i++)
		sprintf(want + 2 * i, "%02x", self->chip.eid[i]);
	sysfs(self->index, "state", got, sizeof(got));
	EXPECT_STREQ("FACTORY\n", got);
	sysfs(self->index, "keys_unspent", got, sizeof(got));
	EXPECT_STREQ("3\n", got);
	sysfs(self->index, "uevent", got, sizeof(got));
	EXPECT_NE(NULL, strstr(got, "IFPP_STATE=FACTORY\n"));
	EXPECT_NE(NULL, strstr(got, "IFPP_KEYS=3\n"));
	/* The EID is for those who may open the node. */
	EXPECT_EQ(NULL, strstr(got, want));
	snprintf(path, sizeof(path), "! grep -qs %s /sys/class/ifpp/ifpp%d/*", want, self->index);
	EXPECT_EQ(0, system(path));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/sys/class/ifpp/ifpp%d/%s", self->index, names[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0444, st.st_mode & 0777);
		sysfs(self->index, names[i], got, sizeof(got));
		if (i >= 2)
			EXPECT_STREQ("0\n", got);
	}
}

/* A machine goes to sleep while a chip takes its time, and the call goes on when it is awake. */
TEST_F(ifpp, freezer)
{
	struct ifpp_delete del = { .size = sizeof(del), .flags = 0 };
	struct call c;
	int asleep;

	if (access("/sys/power/pm_test", W_OK))
		SKIP(return, "the kernel has no CONFIG_PM_DEBUG");
	call_start(&c, self->front, IFPP_IOC_DELETE_KEYS, &del, 0);
	ASSERT_EQ(IFPP_REQ_DELETE_KEYS, relay_next(self->relay, &self->req));
	ASSERT_EQ(0, system("echo freezer >/sys/power/pm_test"));
	asleep = system("echo freeze >/sys/power/state");
	system("echo none >/sys/power/pm_test");
	EXPECT_EQ(0, asleep);
	EXPECT_TRUE(call_blocked(&c));
	self->chip.n = 0;
	self->chip.spent = 3;
	self->chip.state = IFPP_STATE_DRAINED;
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_EQ(0, call_end(&c));
}

TEST_HARNESS_MAIN
