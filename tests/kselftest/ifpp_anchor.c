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

static int becomes(const char *name, const char *value)
{
	int i;

	for (i = 0; i < 1000 && strcmp(value, host(name)); i++)
		usleep(20000);
	return !strcmp(value, host(name));
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

/* One byte of what is burnt. */
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

/* The word at @i holds the lock that is written into memory by name. */
static int pattern(int i)
{
	return fuse(i) == 'I' && fuse(i + 1) == 'F' && fuse(i + 2) == 0xb6 && fuse(i + 3) == 0xb9;
}

/* Only the word at 4 is looked at by the tests, so that nothing near it may change. */
static int others(void)
{
	int i, sum = 0;

	for (i = 0; i < 16; i++)
		sum |= i / 4 == 1 ? 0 : fuse(i);
	return sum;
}

/*
 * What a new chip meets on this machine: the errno of a load, 0 if it is taken. @lock: is it sent
 * a LOCK without being asked?
 */
static int load_and(int *lock)
{
	int relay = relay_open(), index, front, err = 0;
	struct ifpp_req req;
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
	*lock = relay_next_within(relay, &req, 200) == IFPP_REQ_LOCK;
	close(front);
	close(relay);
	return err;
}

static int load(void)
{
	int lock;

	return load_and(&lock);
}

/* Refused, and the chip keeps its keys. */
#define EXPECT_CLOSED(anchor) do {			\
	int lock = -1;					\
							\
	EXPECT_STREQ(anchor, host("anchor"));		\
	EXPECT_STREQ("CLOSED", host("host_state"));	\
	EXPECT_EQ(-ENOMEDIUM, load_and(&lock));		\
	EXPECT_EQ(0, lock);				\
} while (0)

/* Locked, and whether chips are locked unasked. */
#define EXPECT_LOCKED(anchor, locks) do {		\
	int lock = -1;					\
							\
	EXPECT_STREQ(anchor, host("anchor"));		\
	EXPECT_STREQ("LOCKED", host("host_state"));	\
	EXPECT_EQ(-EPERM, load_and(&lock));		\
	EXPECT_EQ(locks, lock);				\
} while (0)

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
	EXPECT_TRUE(pattern(4));
	EXPECT_EQ(0, others());
	EXPECT_LOCKED("burnt", 1);
	EXPECT_EQ(0, host_lock());
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
}

/* What host-lock wrote is not there by chance. */
TEST(burnt_at_load)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,73,70,182,185"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_LOCKED("burnt", 1);
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
}

/* A byte of 1, as version 1 wrote it, locks the machine and proves nothing. */
TEST(version_1_burnt)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,1"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_LOCKED("burnt", 0);
	/* Asked for, it is done. */
	EXPECT_EQ(0, host_lock());
	EXPECT_LOCKED("burnt", 1);
}

TEST(unreadable_sends_no_lock)
{
	ASSERT_EQ(0, insmod("OTP_KO", "read_fails=1"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_CLOSED("unreadable");
	/* It can be read again, and is clean: the guess is taken back by the next chip. */
	ASSERT_EQ(0, otp("read_fails", "0"));
	EXPECT_EQ(0, load());
	EXPECT_STREQ("clean", host("anchor"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	/* And the other way. */
	ASSERT_EQ(0, otp("read_fails", "1"));
	EXPECT_EQ(-ENOMEDIUM, load());
	EXPECT_CLOSED("unreadable");
	EXPECT_EQ(0, system("rmmod ifpp"));
}

/* A place that is not there, or not ours: the machine is closed until the typing is mended. */
TEST(typo_sends_no_lock)
{
	static const struct { const char *args, *anchor; } typo[] = {
		{ "anchor_nvmem=ifpp_otp0 anchor_offset=16", "unreadable" },
		{ "anchor_nvmem=ifpp_otp0 anchor_offset=4294967292", "unreadable" },
		{ "anchor_nvmem=ifpp_otp0 anchor_offset=5", "unusable" },
		{ "anchor_nvmem=ifpp_otp0 anchor_len=0", "unreadable" },
		{ "anchor_nvmem=ifpp_otp0 anchor_len=20", "unreadable" },
		{ "anchor_nvmem=ifpp_otp0 anchor_len=3", "unusable" },
		{ "anchor_nvmem=ifpp_toto0", "unreadable" },
		{ "anchor_nvmem=", "unreadable" },
		{ "anchor_nvmem=ifpp_otp0 anchor_offset=8", "unusable" },	/* a BIOS */
		{ "anchor_nvmem=ifpp_otp0 anchor_offset=12", "unusable" },	/* blank */
		{ "anchor_nvmem=ifpp_otp0 anchor_offset=4 anchor_len=8", "unusable" },
	};
	int i;

	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,0,0,0,0,0,0,64,1,255,255,255,255"));
	for (i = 0; i < 11; i++) {
		TH_LOG("%s", typo[i].args);
		ASSERT_EQ(0, insmod("IFPP_KO", typo[i].args));
		EXPECT_CLOSED(typo[i].anchor);
		ASSERT_EQ(0, system("rmmod ifpp"));
	}
	/* On request the machine is locked, but nothing is written over what is not ours. */
	ASSERT_EQ(0, insmod("IFPP_KO", typo[9].args));
	EXPECT_EQ(-EADDRINUSE, host_lock());
	EXPECT_STREQ("LOCKING", host("host_state"));
	EXPECT_EQ(255, fuse(12));
	EXPECT_EQ(-EPERM, load());
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
	EXPECT_LOCKED("burnt", 1);
	EXPECT_TRUE(pattern(4));
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

/*
 * A fuse that takes its time holds up nobody: the machine is LOCKING at once, and the request,
 * which holds a lock of generic netlink, ends.
 */
TEST(slow_fuse)
{
	int relay, index, front;
	struct chip c;

	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	relay = relay_open();
	chip_new(&c, 1);
	index = relay_attach(relay, &c);
	front = front_open(index, O_NONBLOCK);
	ASSERT_LE(0, front);

	ASSERT_EQ(0, otp("hold", "1"));
	EXPECT_EQ(-EINPROGRESS, host_lock());
	EXPECT_STREQ("LOCKING", host("host_state"));
	EXPECT_ERR(EPERM, submit(front, &c, c.keys[0].id));
	EXPECT_EQ(0, fuse(4));
	ASSERT_EQ(0, otp("hold", "0"));
	EXPECT_TRUE(becomes("host_state", "LOCKED"));
	EXPECT_EQ(0, host_lock());
	EXPECT_TRUE(pattern(4));
	EXPECT_LOCKED("burnt", 1);
}

/* Before the provider is there nobody knows, so nothing is loaded and no chip comes to harm. */
TEST(provider_comes_later)
{
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_CLOSED("unreadable");
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	EXPECT_TRUE(becomes("anchor", "clean"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	EXPECT_EQ(0, load());
}

TEST(provider_never_comes)
{
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_CLOSED("unreadable");
	EXPECT_EQ(-ENODEV, host_lock());
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
	EXPECT_TRUE(becomes("anchor", "clean"));	/* the driver core binds those who use it later */
	EXPECT_EQ(0, host_lock());
	EXPECT_LOCKED("burnt", 1);
}

TEST(provider_unbound)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	without_provider(_metadata);
	EXPECT_TRUE(pattern(4));
}

/* Burnt while nobody could see it: seen as soon as the provider is back, without a chip. */
static void rebind(struct __test_metadata *_metadata, const char *fuses, int proven)
{
	EXPECT_EQ(0, load());
	ASSERT_EQ(0, unbind());
	ASSERT_EQ(0, otp("fuses", fuses));
	ASSERT_EQ(0, bind_again());
	EXPECT_TRUE(becomes("host_state", "LOCKED"));
	EXPECT_LOCKED("burnt", proven);
	/* It stays, whatever is read from now on. */
	ASSERT_EQ(0, otp("fuses", "0,0,0,0,0,0,0,0"));
	EXPECT_LOCKED("burnt", proven);
}

TEST(rebind_rises)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	rebind(_metadata, "0,0,0,0,73,70,182,185", 1);
}

TEST(dt_rebind_rises)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	rebind(_metadata, "0,0,0,0,0,0,0,0,0,0,0,2", 0);
}

/* Burnt by somebody else while we are here: the next chip is not loaded any more. */
TEST(attach_rises)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_EQ(0, load());
	ASSERT_EQ(0, otp("fuses", "0,0,0,0,73,70,182,185"));
	EXPECT_EQ(-EPERM, load());
	EXPECT_LOCKED("burnt", 1);
}

/* A machine that sleeps may wake with another fuse: no load before it has been read. */
TEST(suspend_rises)
{
	if (access("/sys/power/pm_test", W_OK))
		SKIP(return, "the kernel has no CONFIG_PM_DEBUG");
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_EQ(0, load());
	ASSERT_EQ(0, otp("fuses", "0,0,0,0,73,70,182,185"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	ASSERT_EQ(0, system("echo freezer >/sys/power/pm_test && echo freeze >/sys/power/state"));
	EXPECT_STREQ("LOCKED", host("host_state"));
	EXPECT_LOCKED("burnt", 1);
}

/* The gate of the test provider is reached. */
static int pm_step(int step)
{
	char word[4] = {};
	int i, fd;

	for (i = 0; i < 1000; i++) {
		fd = open("/sys/module/ifpp_otp/parameters/pm_step", O_RDONLY);
		if (read(fd, word, sizeof(word) - 1) > 0 && atoi(word) == step)
			i = 1000;
		close(fd);
		usleep(20000);
	}
	return atoi(word) == step;
}

/*
 * From the moment when the machine is to sleep until the anchor has been read after it woke nothing
 * is loaded, whoever else reads the anchor on the way: it may be burnt afterwards.
 */
TEST(no_load_around_sleep)
{
	int relay, index, front, status;
	struct chip c;
	pid_t pid;

	if (access("/sys/power/pm_test", W_OK))
		SKIP(return, "the kernel has no CONFIG_PM_DEBUG");
	ASSERT_EQ(0, insmod("OTP_KO", "pm_go=0"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	relay = relay_open();
	chip_new(&c, 2);
	index = relay_attach(relay, &c);
	front = front_open(index, O_NONBLOCK);
	ASSERT_LE(0, front);

	pid = fork();
	if (!pid)
		_exit(!!system("cd /sys/power && echo freezer >pm_test && echo freeze >state"));
	ASSERT_TRUE(pm_step(1));
	/* It attaches a chip, for which the anchor is read. */
	EXPECT_EQ(-ENOMEDIUM, load());
	EXPECT_ERR(ENOMEDIUM, submit(front, &c, c.keys[0].id));
	ASSERT_EQ(0, otp("fuses", "0,0,0,0,73,70,182,185"));
	ASSERT_EQ(0, otp("pm_go", "1"));

	ASSERT_TRUE(pm_step(2));
	EXPECT_ERR(ENOMEDIUM, submit(front, &c, c.keys[0].id));
	EXPECT_STREQ("CLOSED", host("host_state"));
	ASSERT_EQ(0, otp("pm_go", "2"));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ERR(EPERM, submit(front, &c, c.keys[0].id));
	EXPECT_LOCKED("burnt", 1);
}

/* A parameter is nobody's proof, so no chip is locked; and it takes nothing away. */
TEST(locked_by_parameter)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_NE(0, insmod("IFPP_KO", NAMED " locked=maybe"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED " locked=1 locked=0"));
	EXPECT_LOCKED("parameter", 0);
	/* A fuse beside it is burnt all the same. */
	EXPECT_EQ(0, host_lock());
	EXPECT_TRUE(pattern(4));
	EXPECT_LOCKED("burnt", 1);
}

/* insmod hands nothing over from the kernel command line; the device tree has it. */
TEST(cmdline_insmod)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED " locked=0"));
	EXPECT_LOCKED("cmdline", 0);
	EXPECT_EQ(0, host_lock());
	EXPECT_TRUE(pattern(4));
}

TEST(no_anchor)
{
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_STREQ("none", host("anchor"));
	EXPECT_EQ(0, load());
	EXPECT_EQ(0, host_lock());
	EXPECT_LOCKED("none", 1);
}

/* A controller that knows words only. */
TEST(word_cells)
{
	ASSERT_EQ(0, insmod("OTP_KO", "words=1"));
	ASSERT_EQ(0, insmod("IFPP_KO", "anchor_nvmem=ifpp_otp0 anchor_offset=4 anchor_len=1"));
	EXPECT_CLOSED("unreadable");
	ASSERT_EQ(0, system("rmmod ifpp"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED " anchor_len=8"));
	EXPECT_STREQ("clean", host("anchor"));
	ASSERT_EQ(0, system("rmmod ifpp"));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	EXPECT_STREQ("clean", host("anchor"));
	EXPECT_EQ(0, host_lock());
	EXPECT_TRUE(pattern(4));
	EXPECT_EQ(0, others());
	EXPECT_LOCKED("burnt", 1);
}

TEST(dt_word_cells)
{
	ASSERT_EQ(0, insmod("OTP_KO", "words=1"));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_STREQ("clean", host("anchor"));
	EXPECT_EQ(0, host_lock());
	EXPECT_EQ(1, fuse(4));
	EXPECT_EQ(1, fuse(8));
	EXPECT_LOCKED("burnt", 1);
}

/* With a device tree: two fuses. */
TEST(dt_clean_then_burnt)
{
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_CLOSED("unreadable");
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	EXPECT_TRUE(becomes("anchor", "clean"));
	EXPECT_STREQ("FACTORY", host("host_state"));
	EXPECT_EQ(0, load());
	EXPECT_EQ(0, host_lock());
	EXPECT_EQ(1, fuse(4));
	EXPECT_EQ(1, fuse(8));
	EXPECT_EQ(0, fuse(5) | fuse(9) | fuse(12));
	EXPECT_LOCKED("burnt", 1);
}

/* Any bit of any fuse locks the machine. It proves nothing: the bit may be somebody else's. */
TEST(dt_every_fuse_counts)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,0,0,0,0,0,0,128"));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_LOCKED("burnt", 0);
	EXPECT_NE(0, system("rmmod ifpp 2>/dev/null"));
	/* The lock that is asked for burns the others, and finishes them later if one fails. */
	ASSERT_EQ(0, otp("write_fails_at", "4"));
	EXPECT_EQ(-EIO, host_lock());
	EXPECT_EQ(0, system("dmesg | grep -q 'ifpp: anchor production-lock could not be burnt'"));
	EXPECT_EQ(0, fuse(4));
	ASSERT_EQ(0, otp("write_fails_at", "-1"));
	EXPECT_EQ(0, host_lock());
	EXPECT_EQ(1, fuse(4));
	EXPECT_EQ(128, fuse(10));
	EXPECT_LOCKED("burnt", 1);
}

/* A fuse by name beside those of the device tree, which it cannot hide. */
TEST(dt_param_adds_only)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,8"));
	ASSERT_EQ(0, insmod("IFPP_KO", "anchor_nvmem=ifpp_otp0 anchor_offset=12"));
	EXPECT_LOCKED("burnt", 0);
	EXPECT_EQ(0, host_lock());
	EXPECT_EQ(1, fuse(8));
	EXPECT_TRUE(pattern(12));
	EXPECT_LOCKED("burnt", 1);
}

TEST(dt_param_burnt_adds)
{
	ASSERT_EQ(0, insmod("OTP_KO", "fuses=0,0,0,0,0,0,0,0,0,0,0,0,73,70,182,185"));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	EXPECT_STREQ("clean", host("anchor"));
	ASSERT_EQ(0, system("rmmod ifpp"));
	ASSERT_EQ(0, insmod("IFPP_KO", "anchor_nvmem=ifpp_otp0 anchor_offset=12"));
	EXPECT_LOCKED("burnt", 1);
}

/* As provider_unbound: the driver core unbinds the anchors as well. */
TEST(dt_provider_unbound)
{
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", ""));
	without_provider(_metadata);
	EXPECT_EQ(1, fuse(4));
	EXPECT_EQ(1, fuse(8));
}

/* HOST_LOCK in a loop while the module comes: it is taken, or there is nobody to take it. */
TEST(host_lock_early)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		int i, fd = nl_open(), group, family = -1;
		struct nl_in in = {};
		struct attrs a = {};

		for (i = 0; i < 1000000 && family < 0; i++)
			family = nl_family(fd, &group);
		if (nl_send(fd, family, 0, IFPP_CMD_HOST_LOCK, 0, NULL, 0) || nl_next(fd, &in, &a))
			_exit(1);
		_exit(a.err ? 2 : 0);
	}
	usleep(20000);
	ASSERT_EQ(0, insmod("OTP_KO", ""));
	ASSERT_EQ(0, insmod("IFPP_KO", NAMED));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(pattern(4));
	EXPECT_LOCKED("burnt", 1);
}

TEST_HARNESS_MAIN
