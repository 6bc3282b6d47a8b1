// SPDX-License-Identifier: GPL-2.0-only
/* KUnit: the anchor on a fake nvmem provider: write-once, broken, deaf, too small, not ours. */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/nvmem-consumer.h>
#include <linux/nvmem-provider.h>

#include "ifpp.h"

#define OTP_SIZE	32

struct otp {
	u8 bits[OTP_SIZE];
	bool read_fails, write_fails, deaf;
	struct device *dev;
	struct nvmem_device *nvmem;
	struct ifpp_fuse fuse;
};

static int otp_read(void *priv, unsigned int offset, void *val, size_t bytes)
{
	struct otp *otp = priv;

	if (otp->read_fails || offset + bytes > OTP_SIZE)
		return -EIO;
	memcpy(val, otp->bits + offset, bytes);
	return 0;
}

/* Fuses: a bit that is set stays set. */
static int otp_write(void *priv, unsigned int offset, void *val, size_t bytes)
{
	struct otp *otp = priv;
	size_t i;

	if (otp->write_fails || offset + bytes > OTP_SIZE)
		return -EIO;
	for (i = 0; i < bytes && !otp->deaf; i++)
		otp->bits[offset + i] |= ((u8 *)val)[i];
	return 0;
}

static const struct nvmem_cell_info otp_cell = {
	.name	= "lock",
	.offset	= 8,
	.bytes	= 4,
};

static struct nvmem_cell_lookup otp_lookup = {
	.nvmem_name	= "ifpp-kunit-otp",
	.cell_name	= "lock",
	.con_id		= "production-lock",
};

static int otp_init(struct kunit *test)
{
	struct otp *otp = kunit_kzalloc(test, sizeof(*otp), GFP_KERNEL);
	struct nvmem_config config = {
		.name		= "ifpp-kunit-otp",
		.id		= NVMEM_DEVID_NONE,
		.priv		= otp,
		.size		= OTP_SIZE,
		.word_size	= 1,
		.stride		= 1,
		.reg_read	= otp_read,
		.reg_write	= otp_write,
		.cells		= &otp_cell,
		.ncells		= 1,
	};

	if (!otp)
		return -ENOMEM;
	otp->dev = kunit_device_register(test, "ifpp-kunit");
	if (IS_ERR(otp->dev))
		return PTR_ERR(otp->dev);
	config.dev = otp->dev;
	otp->nvmem = nvmem_register(&config);
	if (IS_ERR(otp->nvmem))
		return PTR_ERR(otp->nvmem);
	otp_lookup.dev_id = dev_name(otp->dev);
	nvmem_add_cell_lookups(&otp_lookup, 1);
	otp->fuse.name = "kunit";
	otp->fuse.provider = "ifpp-kunit-otp";
	otp->fuse.offset = 8;
	otp->fuse.len = 4;
	test->priv = otp;
	return 0;
}

static void otp_exit(struct kunit *test)
{
	struct otp *otp = test->priv;

	if (!otp)
		return;
	nvmem_del_cell_lookups(&otp_lookup, 1);
	if (otp->fuse.cell)
		nvmem_cell_put(otp->fuse.cell);
	nvmem_unregister(otp->nvmem);
}

static void otp_use_cell(struct kunit *test, struct otp *otp)
{
	otp->fuse.cell = nvmem_cell_get(otp->dev, "production-lock");
	if (IS_ERR(otp->fuse.cell)) {
		int err = PTR_ERR(otp->fuse.cell);

		otp->fuse.cell = NULL;
		KUNIT_FAIL_AND_ABORT(test, "no cell: %d", err);
	}
	otp->fuse.provider = NULL;
}

/* What one who comes fresh reads there. */
static u32 fresh(struct otp *otp)
{
	otp->fuse.state = IFPP_ANCHOR_NONE;
	otp->fuse.proven = false;
	return ifpp_fuse_look(&otp->fuse);
}

static void check_burn(struct kunit *test, struct otp *otp, bool proven)
{
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_CLEAN);
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), 0);
	KUNIT_EXPECT_EQ(test, fresh(otp), IFPP_ANCHOR_BURNT);
	KUNIT_EXPECT_EQ(test, otp->fuse.proven, proven);
	KUNIT_EXPECT_EQ(test, otp->bits[7] | otp->bits[12], 0);
	/* Again: nothing to do, so a write that would fail does no harm. */
	otp->write_fails = true;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), 0);
	/* What was burnt once stays burnt. */
	memset(otp->bits, 0, sizeof(otp->bits));
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_BURNT);
}

static void check_failures(struct kunit *test, struct otp *otp)
{
	otp->write_fails = true;
	KUNIT_EXPECT_LT(test, ifpp_fuse_burn(&otp->fuse), 0);
	otp->write_fails = false;
	otp->deaf = true;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -EIO);
	otp->deaf = false;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_CLEAN);
	otp->read_fails = true;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_UNREADABLE);
	KUNIT_EXPECT_LT(test, ifpp_fuse_burn(&otp->fuse), 0);
	/* It was a guess, so it is taken back. */
	otp->read_fails = false;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_CLEAN);
}

static void test_named_burn(struct kunit *test)
{
	check_burn(test, test->priv, true);
}

static void test_named_failures(struct kunit *test)
{
	check_failures(test, test->priv);
}

static void test_cell_burn(struct kunit *test)
{
	struct otp *otp = test->priv;

	otp_use_cell(test, otp);
	check_burn(test, otp, false);
}

static void test_cell_failures(struct kunit *test)
{
	otp_use_cell(test, test->priv);
	check_failures(test, test->priv);
}

/* Any bit of a fuse counts, wherever it is in the cell. */
static void test_any_bit(struct kunit *test)
{
	struct otp *otp = test->priv;
	int i;

	otp_use_cell(test, otp);
	for (i = 0; i < 32; i++) {
		otp->bits[8 + i / 8] = 1 << i % 8;
		KUNIT_EXPECT_EQ(test, fresh(otp), IFPP_ANCHOR_BURNT);
		otp->bits[8 + i / 8] = 0;
	}
	KUNIT_EXPECT_EQ(test, fresh(otp), IFPP_ANCHOR_CLEAN);
}

/* Memory that is named may be anybody's: only the pattern is ours. */
static void test_pattern(struct kunit *test)
{
	struct otp *otp = test->priv;
	int i;

	for (i = 0; i < 32; i++) {
		otp->bits[8 + i / 8] = 1 << i % 8;
		/* The first bit alone is what version 1 burnt. */
		KUNIT_EXPECT_EQ(test, fresh(otp), i ? IFPP_ANCHOR_UNUSABLE : IFPP_ANCHOR_BURNT);
		KUNIT_EXPECT_FALSE(test, otp->fuse.proven);
		otp->bits[8 + i / 8] = 0;
	}
	memset(otp->bits + 8, 0xff, 4);
	KUNIT_EXPECT_EQ(test, fresh(otp), IFPP_ANCHOR_UNUSABLE);
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -EADDRINUSE);

	/* A burn that was cut short can be finished. */
	memset(otp->bits + 8, 0, 4);
	otp->bits[8] = 'I';
	KUNIT_EXPECT_EQ(test, fresh(otp), IFPP_ANCHOR_UNUSABLE);
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), 0);
	KUNIT_EXPECT_TRUE(test, otp->fuse.proven);
	KUNIT_EXPECT_MEMEQ(test, otp->bits + 8, "IF\xb6\xb9", 4);
}

static void test_out_of_range(struct kunit *test)
{
	struct otp *otp = test->priv;

	otp->fuse.offset = OTP_SIZE - 4;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_CLEAN);
	otp->fuse.offset = OTP_SIZE;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&otp->fuse), IFPP_ANCHOR_UNREADABLE);
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -ERANGE);
	otp->fuse.offset = UINT_MAX - 3;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -ERANGE);
	otp->fuse.offset = 6;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -EINVAL);
	otp->fuse.offset = 8;
	otp->fuse.len = 0;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -EINVAL);
	otp->fuse.len = IFPP_FUSE_MAX + 4;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&otp->fuse), -EINVAL);
}

static void test_no_provider(struct kunit *test)
{
	struct ifpp_fuse fuse = { .name = "none", .provider = "ifpp-no-such", .len = 4 };

	KUNIT_EXPECT_EQ(test, ifpp_fuse_look(&fuse), IFPP_ANCHOR_UNREADABLE);
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&fuse), -ENODEV);
	fuse.provider = NULL;
	KUNIT_EXPECT_EQ(test, ifpp_fuse_burn(&fuse), -ENODEV);
}

static struct kunit_case anchor_cases[] = {
	KUNIT_CASE(test_named_burn),
	KUNIT_CASE(test_named_failures),
	KUNIT_CASE(test_cell_burn),
	KUNIT_CASE(test_cell_failures),
	KUNIT_CASE(test_any_bit),
	KUNIT_CASE(test_pattern),
	KUNIT_CASE(test_out_of_range),
	KUNIT_CASE(test_no_provider),
	{}
};

static struct kunit_suite anchor_suite = {
	.name = "ifpp-anchor",
	.init = otp_init,
	.exit = otp_exit,
	.test_cases = anchor_cases,
};

kunit_test_suite(anchor_suite);
