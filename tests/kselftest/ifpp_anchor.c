// SPDX-License-Identifier: GPL-2.0-only
/*
 * The anchor, on a write-once nvmem provider that can be made to fail. Each test
 * wants a machine of its own, freshly booted without the driver: see run-anchor.
 *
 * IFPP_KO and OTP_KO in the environment say where the modules are.
 */
#include "ifpp_nl.h"

static int insmod(const char *env, const char *args)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "insmod %s %s", getenv(env), args);
	return system(cmd);
}

#define NAMED "anchor_nvmem=ifpp_otp0 anchor_offset=4"

static const char *host(const char *name)
{
	static char buf[64];
	char path[96];
	int fd, n;

	snprintf(path, sizeof(path), "/sys/class/ifpp/%s", name);
	fd = open(path, O_RDONLY);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n < 1)
		return "";
	buf[n - 1] = '\0';
	return buf;
}

static int otp(const char *param, const char *val)
{
	char path[96];
	int fd, n;

	snprintf(path, sizeof(path), "/sys/module/ifpp_otp/parameters/%s", param);
	fd = open(path, O_WRONLY);
	n = write(fd, val, strlen(val));
	close(fd);
	return n == (int)strlen(val) ? 0 : -1;
}

static int fuse(int i)
{
	char path[] = "/sys/module/ifpp_otp/parameters/fuses", buf[128] = {};
	int fd = open(path, O_RDONLY), n = read(fd, buf, sizeof(buf) - 1), k;
	char *p = buf;

	close(fd);
	for (k = 0; n > 0 && k < i; k++)
		p = strchr(p, ',') + 1;
	return atoi(p);
}

/* 0, or the error the kernel answers with. */
static int host_lock(void)
{
	struct nl_in in = {};
	struct attrs a;
	int fd = nl_open(), group, family = nl_family(fd, &group);

	if (nl_send(fd, family, 0, IFPP_CMD_HOST_LOCK, 0, NULL, 0) || nl_next(fd, &in, &a))
		return -1;
	close(fd);
	return a.err;
}

/* What a new chip meets on this machine: the errno of a load, 0 if it is taken. */
static int load(void)
{
	int relay = relay_open(), index, front, err = 0;
	struct chip c;

	chip_new(&c, 1);
	index = relay_attach(relay, &c);
	if (index < 0) {
		close(relay);
		return -errno;
	}
	front = front_open(index, O_NONBLOCK);
	if (submit(front, &c, c.keys[0].id) < 0)
		err = -errno;
	close(front);
	close(relay);
	return err;
}

TEST(clean_then_burnt)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_STREQ("clean", host("anchor"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	EXPECT_EQ(0, load());
	EXPECT_EQ(0, fuse(4));
	/* Nothing is burnt yet, so the module may go and come. */
	ASSERT_EQ(0, system("rmmod ifpp"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_EQ(0, host_lock());
	EXPECT_STREQ("burnt", host("anchor"));
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_EQ(1, fuse(4));
	EXPECT_EQ(0, fuse(3) | fuse(5));
	EXPECT_EQ(-EPERM, load());
	EXPECT_EQ(0, host_lock());
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
}

TEST(burnt_at_load)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,128"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_STREQ("burnt", host("anchor"));
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_EQ(-EPERM, load());
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
}

TEST(unreadable_at_load)
{
	ASSERT_EQ(0, insmod("OTP_KO", "read_fails=1"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_STREQ("unreadable", host("anchor"));
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_EQ(-EPERM, load());
}

TEST(out_of_range)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", "anchor_nvmem=ifpp_otp0 anchor_offset=16"));
	EXPECT_STREQ("unreadable", host("anchor"));
	EXPECT_STREQ("LOCKED", host("host_state"));
}

/* The lock has begun: whatever the fuse does, no load passes, and it can be finished. */
static void cannot_burn(struct __test_metadata *_metadata, const char *how)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_EQ(0, load());
	ASSERT_EQ(0, otp(how, "1"));
	EXPECT_EQ(-EIO, host_lock());
	EXPECT_STREQ("LOCKING", host("host_state"));
	EXPECT_EQ(-EPERM, load());
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
	ASSERT_EQ(0, otp(how, "0"));
	EXPECT_EQ(-EPERM, load());
	EXPECT_EQ(0, host_lock());
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_STREQ("burnt", host("anchor"));
	EXPECT_EQ(1, fuse(4));
}

TEST(write_fails)
{
	cannot_burn(_metadata, "write_fails");
}

TEST(write_is_lost)
{
	cannot_burn(_metadata, "deaf");
}

TEST(read_back_fails)
{
	cannot_burn(_metadata, "read_fails");
}

/* Before the provider is there nobody knows, so no chip can come to harm. */
TEST(provider_comes_later)
{
	int i;

	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_STREQ("unreadable", host("anchor"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	EXPECT_EQ(-EAGAIN, load());
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	for (i = 0; i < 100 && strcmp("clean", host("anchor")); i++)
		usleep(20000);
	EXPECT_STREQ("clean", host("anchor"));
	EXPECT_EQ(0, load());
}

TEST(provider_never_comes)
{
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_EQ(-EAGAIN, load());
	EXPECT_EQ(-EAGAIN, host_lock());
	EXPECT_STREQ("LOCKING", host("host_state"));
}

static int unbind(void)
{
	return system("cd /sys/bus/platform/drivers/ifpp-otp && set -- *otp && "
		      "echo $1 >/tmp/otp && echo $1 >unbind");
}

static int bind_again(void)
{
	return system("cat /tmp/otp >/sys/bus/platform/drivers/ifpp-otp/bind");
}

/* Root takes the fuses' driver away: nothing is burnt and nothing opens until it is back. */
static void without_provider(struct __test_metadata *_metadata)
{
	EXPECT_STREQ("clean", host("anchor"));
	ASSERT_EQ(0, unbind());
	EXPECT_EQ(-ENODEV, host_lock());
	EXPECT_STREQ("LOCKING", host("host_state"));
	EXPECT_STREQ("unreadable", host("anchor"));
	EXPECT_EQ(-EPERM, load());
	EXPECT_EQ(0, fuse(4));

	ASSERT_EQ(0, bind_again());
	EXPECT_EQ(0, host_lock());
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_STREQ("burnt", host("anchor"));
}

TEST(provider_unbound)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	without_provider(_metadata);
	EXPECT_EQ(1, fuse(4));
}

TEST(locked_by_command_line)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED " locked=1"));
	EXPECT_STREQ("cmdline", host("anchor"));
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_EQ(-EPERM, load());
}

TEST(no_anchor)
{
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_STREQ("none", host("anchor"));
	EXPECT_EQ(0, load());
	EXPECT_EQ(0, host_lock());
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_STREQ("none", host("anchor"));
	EXPECT_EQ(-EPERM, load());
}

/* With a device tree: the cell is one bit in the middle of a byte. */
TEST(dt_clean_then_burnt)
{
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_EQ(-EAGAIN, load());
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,16"));
	EXPECT_STREQ("clean", host("anchor"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	EXPECT_EQ(0, load());
	EXPECT_EQ(0, host_lock());
	EXPECT_STREQ("burnt", host("anchor"));
	EXPECT_EQ(16 | 8, fuse(4));
	EXPECT_EQ(0, fuse(5));
	EXPECT_EQ(-EPERM, load());
}

TEST(dt_burnt_at_load)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,8"));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_STREQ("burnt", host("anchor"));
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_EQ(-EPERM, load());
}

/* As provider_unbound: the driver core unbinds the anchor as well. */
TEST(dt_provider_unbound)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	without_provider(_metadata);
	EXPECT_EQ(8, fuse(4));
	EXPECT_EQ(0, fuse(5));
}

TEST_HARNESS_MAIN
