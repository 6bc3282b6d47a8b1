// SPDX-License-Identifier: GPL-2.0-only
/* KUnit: what the netlink messages say, and that a full message is taken back. */
#include <kunit/skbuff.h>
#include <kunit/test.h>
#include <net/genetlink.h>

#include "ifpp.h"
#include "netlink_gen.h"

struct bench {
	struct ifpp_dev dev;
	struct ifpp_chip chip;
};

static int nl_init(struct kunit *test)
{
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	if (!b)
		return -ENOMEM;
	mutex_init(&b->chip.lock);
	b->chip.rec.state = IFPP_STATE_LOCKING;
	b->chip.rec.unspent = 4;
	b->chip.rec.unknown = 5;
	b->chip.rec.spent = 6;
	b->chip.rec.online = true;
	b->chip.loads = 7;
	b->chip.installed = U32_MAX;
	b->chip.failed = 1ULL << 32;
	b->chip.refused = U64_MAX;
	b->dev.chip = &b->chip;
	b->dev.index = 255;
	test->priv = b;
	return 0;
}

static int fill(struct bench *b, struct sk_buff *skb)
{
	int err;

	mutex_lock(&b->chip.lock);
	err = ifpp_fill_dev(skb, genlmsg_put(skb, 1, 2, &ifpp_nl_family, 0, IFPP_CMD_DEV_GET),
			    &b->dev);
	mutex_unlock(&b->chip.lock);
	return err;
}

static u64 uint_of(struct nlattr *attr)
{
	return nla_len(attr) == 4 ? nla_get_u32(attr) : nla_get_u64(attr);
}

static void test_fill_dev(struct kunit *test)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	struct nlattr *tb[IFPP_A_DEV_MAX + 1];
	struct bench *b = test->priv;
	struct nlmsghdr *nlh;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_EQ(test, fill(b, skb), 0);
	nlh = nlmsg_hdr(skb);
	KUNIT_EXPECT_EQ(test, nlh->nlmsg_len, skb->len);
	KUNIT_EXPECT_EQ(test, ((struct genlmsghdr *)nlmsg_data(nlh))->cmd, IFPP_CMD_DEV_GET);
	KUNIT_ASSERT_EQ(test, nlmsg_parse(nlh, GENL_HDRLEN, tb, IFPP_A_DEV_MAX, NULL,
					  NULL), 0);
	for (i = 1; i <= IFPP_A_DEV_MAX; i++)
		KUNIT_ASSERT_NOT_NULL_MSG(test, tb[i], "attribute %d", i);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_DEV_INDEX]), 255);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_DEV_STATE]), IFPP_STATE_LOCKING);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_DEV_KEYS_UNSPENT]), 4);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_DEV_KEYS_UNKNOWN]), 5);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_DEV_KEYS_SPENT]), 6);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_DEV_ONLINE]), 1);
	/* The type uint is as short as its value allows. */
	KUNIT_EXPECT_EQ(test, nla_len(tb[IFPP_A_DEV_INSTALLED]), 4);
	KUNIT_EXPECT_EQ(test, nla_len(tb[IFPP_A_DEV_FAILED]), 8);
	KUNIT_EXPECT_EQ(test, uint_of(tb[IFPP_A_DEV_LOADS]), 7);
	KUNIT_EXPECT_EQ(test, uint_of(tb[IFPP_A_DEV_INSTALLED]), U32_MAX);
	KUNIT_EXPECT_EQ(test, uint_of(tb[IFPP_A_DEV_FAILED]), 1ULL << 32);
	KUNIT_EXPECT_EQ(test, uint_of(tb[IFPP_A_DEV_REFUSED]), U64_MAX);
	nlmsg_free(skb);
}

/* A dump fills message after message: what does not fit leaves no trace. */
static void test_fill_full(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(512, GFP_KERNEL);
	struct bench *b = test->priv;
	unsigned int len;
	int pad;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_EQ(test, fill(b, skb), 0);
	len = skb->len;
	for (pad = 0; pad <= len; pad += 4) {
		skb_trim(skb, 0);
		skb_put_zero(skb, skb_tailroom(skb) - pad);
		if (pad < len)
			KUNIT_EXPECT_EQ(test, fill(b, skb), -EMSGSIZE);
		else
			KUNIT_EXPECT_EQ(test, fill(b, skb), 0);
		if (pad < len)
			KUNIT_EXPECT_EQ(test, skb_tailroom(skb), pad);
	}
	nlmsg_free(skb);
}

static int fill_host(struct sk_buff *skb)
{
	return ifpp_fill_host(skb, genlmsg_put(skb, 1, 2, &ifpp_nl_family, 0, IFPP_CMD_HOST_GET));
}

static void test_fill_host(struct kunit *test)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	struct nlattr *tb[IFPP_A_HOST_MAX + 1];
	unsigned int pad, len;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_ASSERT_EQ(test, fill_host(skb), 0);
	KUNIT_ASSERT_EQ(test, nlmsg_parse(nlmsg_hdr(skb), GENL_HDRLEN, tb, IFPP_A_HOST_MAX,
					  NULL, NULL), 0);
	KUNIT_ASSERT_NOT_NULL(test, tb[IFPP_A_HOST_VERSION]);
	KUNIT_EXPECT_EQ(test, nla_get_u16(tb[IFPP_A_HOST_VERSION]), IFPP_ABI_VERSION);
	KUNIT_ASSERT_NOT_NULL(test, tb[IFPP_A_HOST_STATE]);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_HOST_STATE]), IFPP_STATE_FACTORY);
	KUNIT_ASSERT_NOT_NULL(test, tb[IFPP_A_HOST_ANCHOR]);
	KUNIT_EXPECT_EQ(test, nla_get_u32(tb[IFPP_A_HOST_ANCHOR]), IFPP_ANCHOR_NONE);
	KUNIT_EXPECT_NOT_NULL(test, tb[IFPP_A_HOST_CHIPS]);
	KUNIT_EXPECT_NOT_NULL(test, tb[IFPP_A_HOST_CHIPS_LOCKED]);

	len = skb->len;
	for (pad = 0; pad < len; pad += 4) {
		skb_trim(skb, 0);
		skb_put_zero(skb, skb_tailroom(skb) - pad);
		KUNIT_EXPECT_EQ(test, fill_host(skb), -EMSGSIZE);
	}
	nlmsg_free(skb);
}

static struct kunit_case netlink_cases[] = {
	KUNIT_CASE(test_fill_dev),
	KUNIT_CASE(test_fill_full),
	KUNIT_CASE(test_fill_host),
	{}
};

static struct kunit_suite netlink_suite = {
	.name = "ifpp-netlink",
	.init = nl_init,
	.test_cases = netlink_cases,
};

kunit_test_suite(netlink_suite);
