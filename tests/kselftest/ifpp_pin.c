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
	struct ifpp_lock lock = { .size = sizeof(lock) };
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

/*
 * A chip that is LOCKED says so itself: the module may go, to be replaced by the next release, and
 * what the next one knows is what the chip says.
 */
TEST(locked_lets_go)
{
	struct ifpp_lock lock = { .size = sizeof(lock) };
	struct ifpp_info i;
	struct ifpp_req req;
	struct chip chip;
	__u8 receipt[8];
	struct call call;
	int relay, front;

	ASSERT_EQ(0, insmod());
	chip_new(&chip, 3);
	relay = relay_open();
	front = front_open(relay_attach(relay, &chip), O_NONBLOCK);
	ASSERT_LE(0, front);
	lock.receipt = (uintptr_t)receipt;
	lock.receipt_len = sizeof(receipt);
	call_start(&call, front, IFPP_IOC_LOCK, &lock, 0);
	ASSERT_EQ(IFPP_REQ_LOCK, relay_next(relay, &req));
	chip_lock(&chip);
	ASSERT_LT(0, relay_reply(relay, &req, 0, &chip, 8));
	EXPECT_EQ(0, call_end(&call));
	close(relay);
	close(front);
	ASSERT_EQ(0, system("rmmod ifpp"));

	ASSERT_EQ(0, insmod());
	relay = relay_open();
	front = front_open(relay_attach(relay, &chip), O_NONBLOCK);
	ASSERT_EQ(0, info(front, &i));
	EXPECT_EQ(IFPP_STATE_LOCKED, i.state);
	EXPECT_ERR(EPERM, submit(front, &chip, chip.keys[0].id));
	close(relay);
	close(front);
	EXPECT_EQ(0, system("rmmod ifpp"));
}

TEST_HARNESS_MAIN
