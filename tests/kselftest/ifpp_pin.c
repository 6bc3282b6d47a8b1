// SPDX-License-Identifier: GPL-2.0-only
/*
 * What keeps the module loaded. Each test wants a machine of its own, freshly booted without the
 * driver: see run-anchor. IFPP_KO in the environment says where the module is.
 */
#include "ifpp_test.h"

static int insmod(void)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "insmod %s", getenv("IFPP_KO"));
	return system(cmd);
}

/* A chip that is LOCKING, with nobody there who has a file open. */
TEST(locking_pins)
{
	struct ifpp_lock lock = {};
	struct ifpp_info i;
	struct ifpp_req req;
	struct chip chip;
	struct call call;
	int relay, front;

	ASSERT_EQ(0, insmod());
	chip_new(&chip, 3);
	relay = relay_open();
	front = front_open(relay_attach(relay, &chip), O_NONBLOCK);
	ASSERT_LE(0, front);
	call_start(&call, front, IFPP_IOC_LOCK, &lock, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(relay, &req));
	ASSERT_EQ(0, info(front, &i));
	EXPECT_EQ(IFPP_STATE_LOCKING, i.state);
	close(relay);
	EXPECT_ERR(ENODEV, call_end(&call));
	close(front);
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
	EXPECT_EQ(0, access(RELAY, F_OK));
}

TEST_HARNESS_MAIN
