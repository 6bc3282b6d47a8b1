// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that is locked while an image of it from before lies on its disk: tests/arch/hibernate
 * boots it three times. The anchor is a byte of the clock's memory. IFPP_KO in the environment says
 * where the module is.
 */
#include "ifpp_nl.h"

static int insmod(void)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "insmod %s anchor_nvmem=cmos_nvram0 anchor_offset=96",
		 getenv("IFPP_KO"));
	return system(cmd);
}

static const char *host_state(void)
{
	static char buf[32];
	int fd = open("/sys/class/ifpp/host_state", O_RDONLY), n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	buf[n > 0 ? n - 1 : 0] = '\0';
	return buf;
}

static int put(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY), n = write(fd, word, strlen(word));

	close(fd);
	return n == (int)strlen(word) ? 0 : -1;
}

/* The second boot: nobody resumes the image, and the machine is locked. */
TEST(locked_meanwhile)
{
	struct nl_in in = {};
	struct attrs a;
	int fd, group, family;

	ASSERT_EQ(0, insmod());
	EXPECT_STREQ("FACTORY", host_state());
	fd = nl_open();
	family = nl_family(fd, &group);
	ASSERT_EQ(0, nl_send(fd, family, 0, IFPP_CMD_HOST_LOCK, 0, NULL, 0));
	ASSERT_EQ(0, nl_next(fd, &in, &a));
	EXPECT_EQ(0, a.err);
	EXPECT_STREQ("LOCKED", host_state());
	close(fd);
}

/* The first boot makes the image, the third resumes it: the anchor is burnt by now. */
FIXTURE(image) {
};

FIXTURE_SETUP(image)
{
}

FIXTURE_TEARDOWN(image)
{
}

TEST_F_TIMEOUT(image, hibernate_rises, 600)
{
	struct chip chip, other;
	struct ifpp_req req;
	int relay, front, second, index;

	ASSERT_EQ(0, insmod());
	EXPECT_STREQ("FACTORY", host_state());
	chip_new(&chip, 3);
	relay = relay_open();
	index = relay_attach(relay, &chip);
	front = front_open(index, O_NONBLOCK);
	ASSERT_LE(0, front);
	ASSERT_LT(0, submit(front, &chip, chip.keys[0].id));

	/* Written, the machine starts anew; the call returns when the image is resumed. */
	ASSERT_EQ(0, put("/sys/power/disk", "reboot"));
	ASSERT_EQ(0, put("/sys/power/state", "disk"));

	EXPECT_STREQ("LOCKED", host_state());
	/* What was queued does not leave, and nothing is taken any more. */
	EXPECT_NE(IFPP_REQ_LOAD, relay_next_within(relay, &req, 1000));
	EXPECT_ERR(EPERM, submit(front_open(index, O_NONBLOCK), &chip, chip.keys[1].id));
	second = relay_open();
	chip_new(&other, 1);
	front = front_open(relay_attach(second, &other), O_NONBLOCK);
	ASSERT_LE(0, front);
	EXPECT_ERR(EPERM, submit(front, &other, other.keys[0].id));
}

TEST_HARNESS_MAIN
