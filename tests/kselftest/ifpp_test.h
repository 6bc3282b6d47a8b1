/* SPDX-License-Identifier: GPL-2.0-only */
/* What the selftests share: a relay and clients to play with, in one process. */
#ifndef IFPP_TEST_H
#define IFPP_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/ifpp.h>

#include "kselftest_harness.h"

/* A machine that is emulated, sanitized and busy is slow; what hangs is found all the same. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

#define RELAY	"/dev/ifpp-relay"
#define BODY	1000

/* Nothing can be tested without the driver; who names a module in IFPP_KO loads it himself. */
static void __attribute__((constructor)) need_driver(void)
{
	if (getenv("IFPP_KO") || !access(RELAY, F_OK) || !system("modprobe -q ifpp 2>/dev/null"))
		return;
	ksft_print_header();
	ksft_exit_skip("there is no driver: " RELAY " is missing\n");
}

/* One call that fails with one errno. */
#define EXPECT_ERR(err, call) do {			\
	errno = 0;					\
	EXPECT_EQ(-1, (long)(call));			\
	EXPECT_EQ(err, errno);				\
} while (0)

/* A chip as the tests' relay knows it. */
struct chip {
	__u8 eid[IFPP_EID_LEN];
	__u32 state;
	__u32 spent;
	__u32 n;
	struct ifpp_key keys[IFPP_KEYS_MAX + 1];
};

static inline void chip_new(struct chip *c, __u32 n)
{
	__u32 i;

	memset(c, 0, sizeof(*c));
	if (getrandom(c->eid, sizeof(c->eid), 0) != sizeof(c->eid))
		abort();
	c->eid[0] = 0x89;
	c->n = n;
	c->state = n ? IFPP_STATE_FACTORY : IFPP_STATE_DRAINED;
	for (i = 0; i < n; i++)
		if (getrandom(c->keys[i].id, IFPP_KEY_ID_LEN, 0) != IFPP_KEY_ID_LEN)
			abort();
}

/* The chip spends its key @i; the last takes its place. */
static inline void chip_spend(struct chip *c, __u32 i)
{
	c->keys[i] = c->keys[--c->n];
	c->spent++;
	if (!c->n)
		c->state = IFPP_STATE_DRAINED;
}

static inline void chip_lock(struct chip *c)
{
	c->n = 0;
	c->state = IFPP_STATE_LOCKED;
}

static inline void attach_fill(struct ifpp_attach *a, const struct chip *c)
{
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->index = ~0u;
	memcpy(a->eid, c->eid, sizeof(a->eid));
	a->state = c->state;
	a->spent_count = c->spent;
	a->n_keys = c->n;
	a->keys = (uintptr_t)c->keys;
}

/* Attach; the index, or -1 with errno. */
static inline int relay_attach(int fd, const struct chip *c)
{
	struct ifpp_attach a;

	attach_fill(&a, c);
	if (ioctl(fd, IFPP_RELAY_ATTACH, &a) < 0)
		return -1;
	return a.index;
}

static inline int relay_open(void)
{
	return open(RELAY, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static inline int front_open(int index, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/ifpp%d", index);
	return open(path, O_RDWR | O_CLOEXEC | flags);
}

static inline size_t package(void *buf, const struct chip *c, const __u8 *key_id, size_t body)
{
	struct ifpp_pkg_hdr *h = buf;

	memset(h, 0, sizeof(*h));
	h->magic = htobe32(IFPP_PKG_MAGIC);
	h->version = htobe16(IFPP_PKG_VERSION);
	h->hdr_len = htobe16(IFPP_PKG_HDR_LEN);
	h->body_len = htobe32(body);
	memcpy(h->eid, c->eid, sizeof(h->eid));
	memcpy(h->key_id, key_id, sizeof(h->key_id));
	memset(h + 1, 0x5a, body);
	return sizeof(*h) + body;
}

static inline ssize_t submit(int fd, const struct chip *c, const __u8 *key_id)
{
	__u8 buf[IFPP_PKG_HDR_LEN + BODY];

	return write(fd, buf, package(buf, c, key_id, BODY));
}

#define PATIENCE_MS 20000	/* a busy host may stand still for seconds */

/* Read a request that comes within @ms; its type, or -1 with errno. */
static inline int relay_next_within(int fd, struct ifpp_req *req, int ms)
{
	static __u8 buf[IFPP_REQ_BUF_MAX];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	poll(&p, 1, ms);
	n = read(fd, buf, sizeof(buf));
	if (n < 0)
		return -1;
	memcpy(req, buf, sizeof(*req));
	if (req->size != sizeof(*req) || (size_t)n != sizeof(*req) + req->len) {
		errno = EPROTO;
		return -1;
	}
	return req->type;
}

static inline int relay_next(int fd, struct ifpp_req *req)
{
	return relay_next_within(fd, req, PATIENCE_MS);
}

/* Reply as the chip is now, @answer_len bytes of PIR or receipt. */
static inline ssize_t relay_reply(int fd, const struct ifpp_req *req, int status, const struct chip *c,
				  __u32 answer_len)
{
	static __u8 buf[sizeof(struct ifpp_reply) + sizeof(c->keys) + IFPP_PIR_MAX + 1];
	struct ifpp_reply *r = (void *)buf;
	size_t len = sizeof(*r);

	memset(r, 0, sizeof(*r));
	r->size = sizeof(*r);
	r->id = req->id;
	r->type = req->type;
	r->status = status;
	r->reason = status ? 300 : 0;
	r->apdus = 56;
	r->apdu_bytes = 13000;
	r->verify_ns = 11;
	r->chip_ns = 22;
	r->len = answer_len;
	if (c) {
		r->flags = IFPP_REPLY_REPORT;
		r->state = c->state;
		r->spent_count = c->spent;
		r->n_keys = c->n;
		memcpy(buf + len, c->keys, c->n * sizeof(c->keys[0]));
		len += c->n * sizeof(c->keys[0]);
	}
	memset(buf + len, 0xbf, answer_len);
	return write(fd, buf, len + answer_len);
}

static inline int info(int fd, struct ifpp_info *i)
{
	memset(i, 0xff, sizeof(*i));
	i->size = sizeof(*i);
	return ioctl(fd, IFPP_IOC_INFO, i);
}

static inline short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* Wait for any of @events; what is there. */
static inline short poll_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, PATIENCE_MS) < 0 ? -1 : p.revents;
}

struct answer {
	struct ifpp_result r;
	__u8 pir[IFPP_PIR_MAX];
};

/* A call that blocks, in a thread of its own, so that the test can see it block. */
struct call {
	pthread_t thread;
	int fd;
	unsigned long cmd;	/* 0: read into @buf; 1: write @buf; 2: poll for POLLIN; else ioctl */
	void *buf;
	size_t len;
	long ret;
	int err;
	volatile int done;
};

static inline void *call_thread(void *data)
{
	struct call *c = data;
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	switch (c->cmd) {
	case 0:
		c->ret = read(c->fd, c->buf, c->len);
		break;
	case 1:
		c->ret = write(c->fd, c->buf, c->len);
		break;
	case 2:
		c->ret = poll(&p, 1, -1);
		if (c->ret == 1)
			c->ret = p.revents;
		break;
	default:
		c->ret = ioctl(c->fd, c->cmd, c->buf);
	}
	c->err = errno;
	c->done = 1;
	return NULL;
}

static inline void call_start(struct call *c, int fd, unsigned long cmd, void *buf, size_t len)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->cmd = cmd;
	c->buf = buf;
	c->len = len;
	if (pthread_create(&c->thread, NULL, call_thread, c))
		abort();
}

/* Give the call the time to return if it is going to. */
static inline int call_blocked(struct call *c)
{
	usleep(50000);
	return !c->done;
}

static inline long call_end(struct call *c)
{
	pthread_join(c->thread, NULL);
	errno = c->err;
	return c->ret;
}

static inline void on_signal(int sig)
{
}

static inline void catch_signal(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

/* A page that cannot be touched, after @len bytes that can. */
static inline void *edge(size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE), room = (len + page - 1) / page * page;
	char *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + room, page, PROT_NONE))
		abort();
	return p + room - len;
}

/* Not a constant, or the compiler sees what is coming. */
static void *volatile bad_address = (void *)16;
#define BAD_ADDRESS bad_address

/* A relay with a chip of three keys, and one client. */
FIXTURE(ifpp) {
	struct chip chip;
	struct ifpp_req req;
	struct answer out;
	struct ifpp_info info;
	int relay;
	int index;
	int front;
};

FIXTURE_SETUP(ifpp)
{
	chip_new(&self->chip, 3);
	self->relay = relay_open();
	ASSERT_LE(0, self->relay);
	self->index = relay_attach(self->relay, &self->chip);
	ASSERT_LE(0, self->index);
	self->front = front_open(self->index, O_NONBLOCK);
	ASSERT_LE(0, self->front);
}

FIXTURE_TEARDOWN(ifpp)
{
	close(self->front);
	close(self->relay);
}

#endif
