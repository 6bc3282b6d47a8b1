// SPDX-License-Identifier: GPL-2.0-only
/* KUnit: attach and detach, the slot, ids, late replies, aborts and deadlines. */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "ifpp.h"

struct bench {
	struct ifpp_dev *dev;
	struct ifpp_chip *chip;
	u32 index;
	u8 eid[IFPP_EID_LEN];
	struct ifpp_key keys[3];
	struct ifpp_report rep;
	wait_queue_head_t wait;
	unsigned int timeout;
};

static int bench_attach(struct bench *b)
{
	struct ifpp_dev *dev;
	int err;

	err = xa_alloc(&ifpp_devs, &b->index, NULL, XA_LIMIT(0, IFPP_CHIPS_MAX - 1), GFP_KERNEL);
	if (err)
		return err;
	dev = ifpp_attach(b->eid, &b->rep, b->index, &b->wait);
	if (IS_ERR(dev)) {
		xa_erase(&ifpp_devs, b->index);
		return PTR_ERR(dev);
	}
	b->dev = dev;
	b->chip = dev->chip;
	return 0;
}

static void bench_detach(struct bench *b)
{
	if (b->dev)
		ifpp_detach(b->dev);
	b->dev = NULL;
}

static int bench_init(struct kunit *test)
{
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	int i;

	if (!b)
		return -ENOMEM;
	init_waitqueue_head(&b->wait);
	get_random_bytes(b->eid, sizeof(b->eid));
	for (i = 0; i < 3; i++)
		memset(b->keys[i].id, i + 1, sizeof(b->keys[i].id));
	b->rep.state = IFPP_STATE_FACTORY;
	b->rep.n_keys = 3;
	b->rep.keys = b->keys;
	b->timeout = ifpp_timeout_ms;
	test->priv = b;
	return bench_attach(b);
}

static void bench_exit(struct kunit *test)
{
	struct bench *b = test->priv;

	if (!b)
		return;
	ifpp_timeout_ms = b->timeout;
	bench_detach(b);
}

static struct ifpp_pkg_hdr bench_hdr(struct bench *b, u8 key)
{
	struct ifpp_pkg_hdr hdr = {};

	memcpy(hdr.eid, b->eid, sizeof(hdr.eid));
	memset(hdr.key_id, key, sizeof(hdr.key_id));
	return hdr;
}

static struct ifpp_request *bench_load(struct bench *b, u8 key)
{
	struct ifpp_pkg_hdr hdr = bench_hdr(b, key);
	struct ifpp_request *req = ifpp_request_new(IFPP_REQ_LOAD, sizeof(hdr));

	if (req)
		memcpy(req->data, &hdr, sizeof(hdr));
	return req;
}

static int bench_put(struct bench *b, struct ifpp_request *req)
{
	int err;

	mutex_lock(&b->chip->lock);
	err = ifpp_queue_put(b->dev, req);
	mutex_unlock(&b->chip->lock);
	return err;
}

static struct ifpp_request *bench_take(struct bench *b)
{
	struct ifpp_request *req;

	mutex_lock(&b->chip->lock);
	req = ifpp_queue_take(b->dev);
	mutex_unlock(&b->chip->lock);
	return req;
}

static int bench_taken(struct bench *b, struct ifpp_request *req, int err)
{
	mutex_lock(&b->chip->lock);
	err = ifpp_queue_taken(b->dev, req, err);
	mutex_unlock(&b->chip->lock);
	return err;
}

/* The relay reads what there is: its type, 0 if nothing; *@id is its id. */
static u32 bench_read(struct bench *b, u64 *id)
{
	struct ifpp_request *req = bench_take(b);
	u32 type;

	if (!req)
		return 0;
	type = req->type;
	*id = req->id;
	return bench_taken(b, req, 0) ? 0 : type;
}

/* The chip, which has spent @spent of its keys (the first ones), answers. */
static int bench_reply(struct bench *b, u64 id, u32 type, int status, int spent, u32 len)
{
	struct ifpp_reply reply = {
		.id = id,
		.type = type,
		.status = status,
		.len = len,
	};
	void *answer = len ? kzalloc(len, GFP_KERNEL) : NULL;
	int err;

	if (spent >= 0) {
		reply.flags = IFPP_REPLY_REPORT;
		reply.spent_count = spent;
		reply.n_keys = 3 - spent;
		reply.state = spent == 3 ? IFPP_STATE_DRAINED : IFPP_STATE_FACTORY;
	}
	mutex_lock(&b->chip->lock);
	err = ifpp_queue_reply(b->dev, &reply, b->keys + max(spent, 0), &answer);
	mutex_unlock(&b->chip->lock);
	kfree(answer);
	return err;
}

static void test_round_trip(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	KUNIT_EXPECT_TRUE(test, b->dev->pending);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	KUNIT_EXPECT_FALSE(test, b->dev->pending);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, 0, 1, 10), 0);
	KUNIT_EXPECT_TRUE(test, req->done);
	KUNIT_EXPECT_EQ(test, req->result.status, 0);
	KUNIT_EXPECT_EQ(test, req->result.keys_left, 2);
	KUNIT_EXPECT_EQ(test, req->result.pir_len, 10);
	KUNIT_EXPECT_EQ(test, b->chip->loads, 1);
	KUNIT_EXPECT_EQ(test, b->chip->installed, 1);
	KUNIT_EXPECT_NULL(test, b->dev->req);
	ifpp_request_put(req);
}

static void test_one_slot(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *one = bench_load(b, 1), *two = bench_load(b, 2);
	u64 first, second;

	KUNIT_ASSERT_NOT_NULL(test, one);
	KUNIT_ASSERT_NOT_NULL(test, two);
	KUNIT_EXPECT_EQ(test, bench_put(b, one), 0);
	KUNIT_EXPECT_EQ(test, bench_put(b, two), -EAGAIN);
	KUNIT_EXPECT_EQ(test, bench_read(b, &first), IFPP_REQ_LOAD);
	KUNIT_EXPECT_EQ(test, bench_read(b, &second), 0);
	KUNIT_EXPECT_EQ(test, bench_put(b, two), -EAGAIN);
	KUNIT_EXPECT_EQ(test, bench_reply(b, first, IFPP_REQ_LOAD, 0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, bench_put(b, two), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &second), IFPP_REQ_LOAD);
	KUNIT_EXPECT_GT(test, second, first);
	KUNIT_EXPECT_EQ(test, bench_reply(b, first, IFPP_REQ_LOAD, 0, 1, 1), -ESTALE);
	KUNIT_EXPECT_EQ(test, bench_reply(b, second, IFPP_REQ_LOCK, 0, 2, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, bench_reply(b, second, IFPP_REQ_LOAD, 0, 2, 1), 0);
	ifpp_request_put(one);
	ifpp_request_put(two);
}

static void test_reply_before_read(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1), *taken;

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	KUNIT_EXPECT_EQ(test, bench_reply(b, req->id, IFPP_REQ_LOAD, 0, 1, 1), -ESTALE);
	taken = bench_take(b);
	KUNIT_EXPECT_PTR_EQ(test, taken, req);
	KUNIT_EXPECT_EQ(test, bench_reply(b, req->id, IFPP_REQ_LOAD, 0, 1, 1), -ESTALE);
	KUNIT_EXPECT_EQ(test, bench_taken(b, taken, 0), 0);
	KUNIT_EXPECT_EQ(test, bench_reply(b, req->id, IFPP_REQ_LOAD, 0, 1, 1), 0);
	ifpp_request_put(req);
}

/* A relay whose buffer faults gets the same request again, counted once. */
static void test_read_fault(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	KUNIT_EXPECT_EQ(test, bench_taken(b, bench_take(b), -EFAULT), 0);
	KUNIT_EXPECT_TRUE(test, b->dev->pending);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	KUNIT_EXPECT_EQ(test, b->chip->loads, 1);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, -EIO, 0, 0), 0);
	ifpp_request_put(req);
}

static void test_no_report_means_refresh(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1);
	struct ifpp_pkg_hdr hdr = bench_hdr(b, 1);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, 0, -1, 1), 0);
	ifpp_request_put(req);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_REFRESH);
	/* That fails too. It is not repeated until somebody wants the key. */
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_REFRESH, -EIO, -1, 0), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), 0);
	mutex_lock(&b->chip->lock);
	KUNIT_EXPECT_EQ(test, ifpp_queue_may(b->dev, &hdr), -EKEYREJECTED);
	KUNIT_EXPECT_EQ(test, ifpp_queue_may(b->dev, &hdr), -EAGAIN);
	mutex_unlock(&b->chip->lock);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_REFRESH);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_REFRESH, 0, 1, 0), 0);
	mutex_lock(&b->chip->lock);
	KUNIT_EXPECT_EQ(test, ifpp_queue_may(b->dev, &hdr), -EKEYEXPIRED);
	mutex_unlock(&b->chip->lock);
}

static void test_tamper_ends_request(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	/* A key that was never there. */
	memset(b->keys[2].id, 77, sizeof(b->keys[2].id));
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, 0, 1, 1), -EBADE);
	KUNIT_EXPECT_EQ(test, req->result.status, -EREMOTEIO);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, 0, 1, 1), -ESTALE);
	ifpp_request_put(req);
	memset(b->keys[2].id, 3, sizeof(b->keys[2].id));
}

static void test_detach_before_dispatch(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1);

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	get_device(&b->dev->dev);
	ifpp_detach(b->dev);
	KUNIT_EXPECT_TRUE(test, req->done);
	KUNIT_EXPECT_EQ(test, req->result.status, -ENODEV);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unspent, 3);
	KUNIT_EXPECT_EQ(test, b->chip->failed, 0);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), -ENODEV);
	put_device(&b->dev->dev);
	b->dev = NULL;
	ifpp_request_put(req);
	KUNIT_EXPECT_EQ(test, bench_attach(b), 0);
	KUNIT_EXPECT_FALSE(test, b->dev->pending);
}

static void test_detach_while_copied(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1), *taken;
	struct ifpp_dev *dev = b->dev;

	KUNIT_ASSERT_NOT_NULL(test, req);
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	taken = bench_take(b);
	KUNIT_ASSERT_PTR_EQ(test, taken, req);
	get_device(&dev->dev);
	ifpp_detach(dev);
	KUNIT_EXPECT_EQ(test, req->result.status, -ENODEV);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, bench_taken(b, taken, 0), -ESTALE);
	KUNIT_EXPECT_FALSE(test, dev->pending);
	put_device(&dev->dev);
	b->dev = NULL;
	ifpp_request_put(req);

	/* The chip comes back and says that the key is gone. */
	b->rep.spent_count = 1;
	b->rep.n_keys = 2;
	b->rep.keys = b->keys + 1;
	KUNIT_EXPECT_EQ(test, bench_attach(b), 0);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 0);
	KUNIT_EXPECT_EQ(test, b->chip->rec.spent, 1);
}

static void test_attach_twice(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_dev *dev;
	u32 index;

	KUNIT_ASSERT_EQ(test, xa_alloc(&ifpp_devs, &index, NULL, XA_LIMIT(0, 255), GFP_KERNEL), 0);
	dev = ifpp_attach(b->eid, &b->rep, index, &b->wait);
	KUNIT_EXPECT_PTR_EQ(test, dev, ERR_PTR(-EBUSY));
	xa_erase(&ifpp_devs, index);
}

static void test_attach_lies(struct kunit *test)
{
	struct bench *b = test->priv;

	bench_detach(b);
	b->rep.n_keys = 2;
	KUNIT_EXPECT_EQ(test, bench_attach(b), -EBADE);
	b->rep.state = IFPP_STATE_LOCKING;
	KUNIT_EXPECT_EQ(test, bench_attach(b), -EINVAL);
	b->rep.state = IFPP_STATE_FACTORY;
	b->rep.n_keys = 3;
	KUNIT_EXPECT_EQ(test, bench_attach(b), 0);
}

/* Long enough for the work to run on a machine that is busy with checking. */
static bool wait_done(struct ifpp_request *req)
{
	int i;

	for (i = 0; i < 1000 && !READ_ONCE(req->done); i++)
		msleep(20);
	return READ_ONCE(req->done);
}

static void test_deadline(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *req = bench_load(b, 1);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, req);
	ifpp_timeout_ms = 100;
	KUNIT_EXPECT_EQ(test, bench_put(b, req), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	ifpp_timeout_ms = 1000000;
	KUNIT_EXPECT_TRUE(test, wait_done(req));
	KUNIT_EXPECT_EQ(test, req->result.status, -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, b->chip->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, b->chip->failed, 1);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, 0, 1, 1), -ESTALE);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_REFRESH);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_REFRESH, 0, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, b->chip->rec.spent, 1);
	ifpp_request_put(req);
}

static void test_deadline_of_successor(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *one = bench_load(b, 1), *two = bench_load(b, 2);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, one);
	KUNIT_ASSERT_NOT_NULL(test, two);
	/* The timer of a request that ended must not end the next one early. */
	ifpp_timeout_ms = 200;
	KUNIT_EXPECT_EQ(test, bench_put(b, one), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, -EIO, 0, 0), 0);
	ifpp_timeout_ms = 1000000;
	KUNIT_EXPECT_EQ(test, bench_put(b, two), 0);
	msleep(400);
	KUNIT_EXPECT_FALSE(test, two->done);
	/* Nor may a shorter deadline wait for a longer one's timer. */
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOAD);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOAD, -EIO, 0, 0), 0);
	ifpp_request_put(two);
	two = bench_load(b, 2);
	KUNIT_ASSERT_NOT_NULL(test, two);
	ifpp_timeout_ms = 100;
	KUNIT_EXPECT_EQ(test, bench_put(b, two), 0);
	KUNIT_EXPECT_TRUE(test, wait_done(two));
	KUNIT_EXPECT_EQ(test, two->result.status, -ETIMEDOUT);
	ifpp_request_put(one);
	ifpp_request_put(two);
}

static void test_unit_lock(struct kunit *test)
{
	struct bench *b = test->priv;
	struct ifpp_request *queued = bench_load(b, 1);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, queued);
	KUNIT_EXPECT_EQ(test, bench_put(b, queued), 0);
	mutex_lock(&b->chip->lock);
	ifpp_unit_lock(b->dev);
	mutex_unlock(&b->chip->lock);
	KUNIT_EXPECT_EQ(test, queued->result.status, -EPERM);
	KUNIT_EXPECT_EQ(test, b->chip->rec.state, IFPP_STATE_LOCKING);
	/* The kernel's own LOCK followed at once; failed, it is not repeated by itself. */
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOCK);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOCK, -EIO, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), 0);
	KUNIT_EXPECT_EQ(test, b->chip->rec.state, IFPP_STATE_LOCKING);
	/* A new relay is asked again; no receipt is no success. */
	bench_detach(b);
	KUNIT_ASSERT_EQ(test, bench_attach(b), 0);
	KUNIT_EXPECT_EQ(test, b->chip->rec.state, IFPP_STATE_LOCKING);
	KUNIT_EXPECT_EQ(test, bench_read(b, &id), IFPP_REQ_LOCK);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOCK, 0, -1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, bench_reply(b, id, IFPP_REQ_LOCK, 0, -1, 8), 0);
	KUNIT_EXPECT_EQ(test, b->chip->rec.state, IFPP_STATE_LOCKED);
	KUNIT_EXPECT_EQ(test, b->chip->rec.spent, 3);
	ifpp_request_put(queued);
}

static struct kunit_case queue_cases[] = {
	KUNIT_CASE(test_round_trip),
	KUNIT_CASE(test_one_slot),
	KUNIT_CASE(test_reply_before_read),
	KUNIT_CASE(test_read_fault),
	KUNIT_CASE(test_no_report_means_refresh),
	KUNIT_CASE(test_tamper_ends_request),
	KUNIT_CASE(test_detach_before_dispatch),
	KUNIT_CASE(test_detach_while_copied),
	KUNIT_CASE(test_attach_twice),
	KUNIT_CASE(test_attach_lies),
	KUNIT_CASE(test_deadline),
	KUNIT_CASE(test_deadline_of_successor),
	KUNIT_CASE(test_unit_lock),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "ifpp-queue",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = queue_cases,
};

kunit_test_suite(queue_suite);
