// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two things at one moment: a second reader while a result is copied, a header that changes while
 * the package is copied, the end of a relay while a client polls. userfaultfd holds a copy in its
 * middle, so that none of this is left to chance.
 */
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "ifpp_test.h"

/* Two pages; whoever touches the second stops until release(). */
struct trap {
	char *pages;
	long size;
	int fd;
};

static int trap_set(struct trap *t)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	t->size = sysconf(_SC_PAGESIZE);
	t->pages = mmap(NULL, 2 * t->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t->fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (t->pages == MAP_FAILED || t->fd < 0 || ioctl(t->fd, UFFDIO_API, &api))
		return -1;
	memset(t->pages, 0, t->size);
	reg.range.start = (uintptr_t)t->pages + t->size;
	reg.range.len = t->size;
	return ioctl(t->fd, UFFDIO_REGISTER, &reg);
}

/* Somebody stands in it within five seconds. */
static int trap_sprung(struct trap *t)
{
	struct uffd_msg msg;

	return poll_for(t->fd, POLLIN) & POLLIN && read(t->fd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

/* Let him go on, with @page, or zeroes. */
static int trap_release(struct trap *t, const void *page)
{
	__u64 at = (uintptr_t)t->pages + t->size;
	struct uffdio_zeropage zero = { .range = { at, t->size } };
	struct uffdio_copy copy = { .dst = at, .src = (uintptr_t)page, .len = t->size };

	return page ? ioctl(t->fd, UFFDIO_COPY, &copy) : ioctl(t->fd, UFFDIO_ZEROPAGE, &zero);
}

static void trap_remove(struct trap *t)
{
	close(t->fd);
	munmap(t->pages, 2 * t->size);
}

TEST_F(ifpp, one_result_one_reader)
{
	struct trap trap;
	struct call first;

	ASSERT_EQ(0, trap_set(&trap));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	chip_spend(&self->chip, 0);
	ASSERT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 8));

	call_start(&first, self->front, 0, trap.pages + trap.size, sizeof(self->out));
	ASSERT_TRUE(trap_sprung(&trap));
	EXPECT_ERR(EAGAIN, read(self->front, &self->out, sizeof(self->out)));
	ASSERT_EQ(0, trap_release(&trap, NULL));
	EXPECT_EQ((long)sizeof(self->out.r) + 8, call_end(&first));
	EXPECT_ERR(ENODATA, read(self->front, &self->out, sizeof(self->out)));
	trap_remove(&trap);
}

/*
 * The header changes after its first part was read: what travels is what was checked. Only the first
 * words change, since a processor may read those at the page's end again.
 */
TEST_F(ifpp, header_is_read_once)
{
	static __u8 buf[IFPP_REQ_BUF_MAX], rest[65536] __attribute__((aligned(65536)));
	const size_t first = IFPP_PKG_HDR_LEN - 4, len = IFPP_PKG_HDR_LEN + BODY;
	struct trap trap;
	struct call call;
	char *at;

	ASSERT_EQ(0, trap_set(&trap));
	ASSERT_LE(trap.size, (long)sizeof(rest));
	package(buf, &self->chip, self->chip.keys[0].id, BODY);
	at = trap.pages + trap.size - first;
	memcpy(at, buf, first);
	memcpy(rest, buf + first, len - first);
	call_start(&call, self->front, 1, at, len);
	ASSERT_TRUE(trap_sprung(&trap));
	memset(at, 0xff, offsetof(struct ifpp_pkg_hdr, eid));
	ASSERT_EQ(0, trap_release(&trap, rest));
	EXPECT_EQ((long)len, call_end(&call));

	EXPECT_TRUE(poll_for(self->relay, POLLIN) & POLLIN);
	ASSERT_EQ((ssize_t)(sizeof(self->req) + len), read(self->relay, buf, sizeof(buf)));
	package(&self->out, &self->chip, self->chip.keys[0].id, BODY);
	EXPECT_EQ(0, memcmp(&self->out, buf + sizeof(self->req), len));
	trap_remove(&trap);
}

/* Nothing is in work whose end would wake anybody. */
TEST_F(ifpp, end_wakes_idle_poll)
{
	struct call call;
	int i;

	call_start(&call, self->front, 2, NULL, 0);
	ASSERT_TRUE(call_blocked(&call));
	close(self->relay);
	self->relay = -1;
	for (i = 0; i < 1000 && !call.done; i++)
		usleep(20000);
	ASSERT_TRUE(call.done);
	EXPECT_TRUE(call_end(&call) & POLLHUP);
}

/* A reply to another request than the one in work. */
TEST_F(ifpp, another_id_is_stale)
{
	struct ifpp_req other;

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	chip_spend(&self->chip, 0);
	other = self->req;
	other.id++;
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &other, 0, &self->chip, 0));
	EXPECT_ERR(EAGAIN, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
}

/* Somebody waits until the relay may be written to, which it may once it has a chip. */
TEST(attach_wakes_poll)
{
	int relay = relay_open(), status;
	struct chip chip;
	pid_t pid;

	ASSERT_LE(0, relay);
	pid = fork();
	if (!pid) {
		struct pollfd p = { .fd = relay, .events = POLLOUT };

		/* Not by a timeout of poll(), which looks once more at its end. */
		alarm(20);
		_exit(poll(&p, 1, -1) != 1 || !(p.revents & POLLOUT));
	}
	usleep(200000);
	chip_new(&chip, 1);
	ASSERT_LE(0, relay_attach(relay, &chip));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(relay);
}

TEST_HARNESS_MAIN
