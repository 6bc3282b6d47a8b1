// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deadlines as long as a product has them. Wants User Mode Linux with time travel,
 * where a wait takes no time: see run-time.
 */
#include "ifpp_test.h"

/* The timer wheel fires up to an eighth late, never early. */
#define LATE	1.125

static int set_timeout(const char *ms)
{
	int fd = open("/sys/module/ifpp/parameters/timeout_ms", O_WRONLY), n;

	n = write(fd, ms, strlen(ms));
	close(fd);
	return n == (int)strlen(ms) ? 0 : -1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Seconds until the load in flight has ended. */
static double until_done(struct __test_metadata *_metadata, int front, struct answer *out)
{
	struct pollfd p = { .fd = front, .events = POLLIN };
	double start = now();

	EXPECT_EQ(1, poll(&p, 1, 10000000));
	EXPECT_LT(0, read(front, out, sizeof(*out)));
	EXPECT_EQ(-ETIMEDOUT, out->r.status);
	return now() - start;
}

TEST_F_TIMEOUT(ifpp, the_default, 100000)
{
	double took;

	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_GE(180000, self->req.timeout_ms);
	EXPECT_LE(179000, self->req.timeout_ms);
	took = until_done(_metadata, self->front, &self->out);
	EXPECT_LE(179, took);
	EXPECT_GE(180 * LATE, took);
	EXPECT_LE(179000000000ull, self->out.r.total_ns);
	EXPECT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
	/* The refresh runs out as well, and is not repeated for a relay that is deaf. */
	sleep(400);
	EXPECT_ERR(ESTALE, relay_reply(self->relay, &self->req, 0, &self->chip, 0));
	EXPECT_FALSE(poll_now(self->relay) & POLLIN);
	EXPECT_ERR(EKEYREJECTED, submit(self->front, &self->chip, self->chip.keys[0].id));
	EXPECT_EQ(IFPP_REQ_REFRESH, relay_next(self->relay, &self->req));
}

TEST_F_TIMEOUT(ifpp, an_hour, 100000)
{
	double took;

	ASSERT_EQ(0, set_timeout("3600000"));
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	/* Read late: the deadline counts from the submit, and the request says what is left. */
	sleep(1800);
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	EXPECT_GE(1801000, self->req.timeout_ms);
	took = until_done(_metadata, self->front, &self->out);
	EXPECT_LE(1798, took);
	EXPECT_GE(1800 * LATE, took);
	EXPECT_LE(1799000000000ull, self->out.r.queue_ns);
	ASSERT_EQ(0, set_timeout("180000"));
}

/* In time is in time. */
TEST_F_TIMEOUT(ifpp, just_before, 100000)
{
	ASSERT_LT(0, submit(self->front, &self->chip, self->chip.keys[0].id));
	ASSERT_EQ(IFPP_REQ_LOAD, relay_next(self->relay, &self->req));
	sleep(178);
	chip_spend(&self->chip, 0);
	EXPECT_LT(0, relay_reply(self->relay, &self->req, 0, &self->chip, 1));
	EXPECT_LT(0, read(self->front, &self->out, sizeof(self->out)));
	EXPECT_EQ(0, self->out.r.status);
	sleep(1000);
	ASSERT_EQ(0, info(self->front, &self->info));
	EXPECT_EQ(1, self->info.installed);
	EXPECT_EQ(0, self->info.failed);
}

TEST_HARNESS_MAIN
