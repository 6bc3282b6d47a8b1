// SPDX-License-Identifier: GPL-2.0-only
/* KUnit: the pure core, every state against every event. */
#include <kunit/test.h>
#include <linux/module.h>

#include "core.h"

#define ROOM	6

struct chip {
	struct ifpp_record rec;
	struct ifpp_key store[ROOM];
	struct ifpp_key keys[ROOM];
	struct ifpp_report rep;
};

static void key_make(struct ifpp_key *key, u8 n, u32 state)
{
	memset(key, 0, sizeof(*key));
	memset(key->id, n, sizeof(key->id));
	key->state = state;
}

/* A report with unspent keys 1..@unspent, of a chip that has spent @spent. */
static void report(struct chip *c, u32 state, u32 unspent, u32 spent)
{
	u32 i;

	for (i = 0; i < unspent; i++)
		key_make(&c->keys[i], i + 1, IFPP_KEY_UNSPENT);
	c->rep.state = state;
	c->rep.spent_count = spent;
	c->rep.n_keys = unspent;
	c->rep.keys = c->keys;
}

/*
 * A chip that had three keys, 1 to 3. FACTORY and LOCKING: 3 is spent; DRAINED
 * and LOCKED: all are.
 */
static struct chip *chip_in(struct kunit *test, u32 state)
{
	struct chip *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	enum ifpp_tamper_kind kind;

	KUNIT_ASSERT_NOT_NULL(test, c);
	memset(c->rec.eid, 0x89, sizeof(c->rec.eid));
	c->rec.keys = c->store;
	c->rec.room = ROOM;
	report(c, IFPP_STATE_FACTORY, 3, 0);
	KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
	report(c, IFPP_STATE_FACTORY, 2, 1);
	KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
	if (state == IFPP_STATE_LOCKING)
		ifpp_core_lock(&c->rec);
	if (state == IFPP_STATE_DRAINED || state == IFPP_STATE_LOCKED) {
		report(c, state, 0, 3);
		KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
	}
	KUNIT_ASSERT_EQ(test, c->rec.state, state);
	c->rec.online = true;
	return c;
}

static struct ifpp_pkg_hdr header(u8 eid, u8 key)
{
	struct ifpp_pkg_hdr hdr = {
		.magic = cpu_to_be32(IFPP_PKG_MAGIC),
		.version = cpu_to_be16(IFPP_PKG_VERSION),
		.hdr_len = cpu_to_be16(IFPP_PKG_HDR_LEN),
		.body_len = cpu_to_be32(100),
	};

	memset(hdr.eid, eid, sizeof(hdr.eid));
	memset(hdr.key_id, key, sizeof(hdr.key_id));
	return hdr;
}

/* ------------------------------------------------ every state x every event */

struct outcome {
	int ret;
	u32 state;
};

struct event {
	const char *name;
	int (*run)(struct chip *c);
	struct outcome out[4];		/* from FACTORY, DRAINED, LOCKING, LOCKED */
};

static int submit(struct chip *c, u32 host, u8 eid, u8 key)
{
	struct ifpp_pkg_hdr hdr = header(eid, key);

	return ifpp_core_submit(&c->rec, host, &hdr);
}

static int submit_good(struct chip *c)
{
	return submit(c, IFPP_STATE_FACTORY, 0x89, 1);
}

static int submit_clone(struct chip *c)
{
	return submit(c, IFPP_STATE_FACTORY, 0x88, 1);
}

static int submit_replay(struct chip *c)
{
	return submit(c, IFPP_STATE_FACTORY, 0x89, 3);
}

static int submit_foreign_key(struct chip *c)
{
	return submit(c, IFPP_STATE_FACTORY, 0x89, 99);
}

static int submit_host_locking(struct chip *c)
{
	return submit(c, IFPP_STATE_LOCKING, 0x89, 1);
}

static int submit_host_locked(struct chip *c)
{
	return submit(c, IFPP_STATE_LOCKED, 0x89, 1);
}

static int submit_offline(struct chip *c)
{
	c->rec.online = false;
	return submit_good(c);
}

static int submit_unknown(struct chip *c)
{
	struct ifpp_pkg_hdr hdr = header(0x89, 1);

	ifpp_core_dispatch(&c->rec, IFPP_STATE_FACTORY, IFPP_REQ_LOAD, &hdr);
	return submit_good(c);
}

static int dispatch(struct chip *c, u32 host, u32 type)
{
	struct ifpp_pkg_hdr hdr = header(0x89, 1);

	return ifpp_core_dispatch(&c->rec, host, type, &hdr);
}

static int dispatch_load(struct chip *c)
{
	return dispatch(c, IFPP_STATE_FACTORY, IFPP_REQ_LOAD);
}

static int dispatch_load_host_locked(struct chip *c)
{
	return dispatch(c, IFPP_STATE_LOCKED, IFPP_REQ_LOAD);
}

static int dispatch_delete(struct chip *c)
{
	return dispatch(c, IFPP_STATE_FACTORY, IFPP_REQ_DELETE_KEYS);
}

static int dispatch_rework(struct chip *c)
{
	return dispatch(c, IFPP_STATE_FACTORY, IFPP_REQ_REWORK);
}

static int dispatch_rework_host_locked(struct chip *c)
{
	return dispatch(c, IFPP_STATE_LOCKED, IFPP_REQ_REWORK);
}

static int dispatch_lock(struct chip *c)
{
	return dispatch(c, IFPP_STATE_FACTORY, IFPP_REQ_LOCK);
}

static int dispatch_refresh(struct chip *c)
{
	return dispatch(c, IFPP_STATE_FACTORY, IFPP_REQ_REFRESH);
}

static int dispatch_nonsense(struct chip *c)
{
	return dispatch(c, IFPP_STATE_FACTORY, 99);
}

static int dispatch_offline(struct chip *c)
{
	c->rec.online = false;
	return dispatch_refresh(c);
}

static int lock(struct chip *c)
{
	ifpp_core_lock(&c->rec);
	return 0;
}

static int take(struct chip *c)
{
	enum ifpp_tamper_kind kind;

	return ifpp_core_report(&c->rec, &c->rep, &kind);
}

static int report_same(struct chip *c)
{
	report(c, IFPP_STATE_FACTORY, 2, 1);
	return take(c);
}

static int report_one_less(struct chip *c)
{
	report(c, IFPP_STATE_FACTORY, 1, 3);
	return take(c);
}

static int report_empty_factory(struct chip *c)
{
	report(c, IFPP_STATE_FACTORY, 0, 3);
	return take(c);
}

static int report_drained(struct chip *c)
{
	report(c, IFPP_STATE_DRAINED, 0, 3);
	return take(c);
}

static int report_deleted(struct chip *c)
{
	report(c, IFPP_STATE_DRAINED, 0, c->rec.spent_count);
	return take(c);
}

static int report_locked(struct chip *c)
{
	report(c, IFPP_STATE_LOCKED, 0, 3);
	return take(c);
}

static int report_locking(struct chip *c)
{
	report(c, IFPP_STATE_LOCKING, 0, 3);
	return take(c);
}

static int report_locked_with_keys(struct chip *c)
{
	report(c, IFPP_STATE_LOCKED, 2, 1);
	return take(c);
}

static int reply(struct chip *c, u32 type, int status, bool rep)
{
	enum ifpp_tamper_kind kind;
	u8 key[IFPP_KEY_ID_LEN];
	int err;

	memset(key, 1, sizeof(key));
	err = ifpp_core_reply(&c->rec, type, key, &status, rep ? &c->rep : NULL, &kind);
	return err ?: status;
}

static int reply_load_ok(struct chip *c)
{
	/* Key 1 is spent: what is left is key 2, or nothing. */
	report(c, IFPP_STATE_FACTORY, 2, c->rec.spent_count + 1);
	c->keys[0] = c->keys[1];
	c->rep.n_keys = 1;
	return reply(c, IFPP_REQ_LOAD, 0, true);
}

static int reply_load_not_borne_out(struct chip *c)
{
	report(c, IFPP_STATE_FACTORY, 2, 1);
	return reply(c, IFPP_REQ_LOAD, 0, true);
}

static int reply_load_no_report(struct chip *c)
{
	return reply(c, IFPP_REQ_LOAD, 0, false);
}

static int reply_load_failed(struct chip *c)
{
	return reply(c, IFPP_REQ_LOAD, -EBADMSG, false);
}

static int reply_delete_ok(struct chip *c)
{
	report(c, IFPP_STATE_DRAINED, 0, c->rec.spent_count);
	return reply(c, IFPP_REQ_DELETE_KEYS, 0, true);
}

static int reply_delete_not_borne_out(struct chip *c)
{
	report(c, IFPP_STATE_FACTORY, 2, 1);
	return reply(c, IFPP_REQ_DELETE_KEYS, 0, true);
}

static int reply_lock_receipt(struct chip *c)
{
	return reply(c, IFPP_REQ_LOCK, 0, false);
}

static int reply_lock_reported(struct chip *c)
{
	report(c, IFPP_STATE_LOCKED, 0, 3);
	return reply(c, IFPP_REQ_LOCK, 0, true);
}

static int reply_lock_not_borne_out(struct chip *c)
{
	report(c, IFPP_STATE_FACTORY, 2, 1);
	return reply(c, IFPP_REQ_LOCK, 0, true);
}

static int reply_lock_failed(struct chip *c)
{
	return reply(c, IFPP_REQ_LOCK, -EIO, false);
}

#define F IFPP_STATE_FACTORY
#define D IFPP_STATE_DRAINED
#define L IFPP_STATE_LOCKING
#define X IFPP_STATE_LOCKED

static const struct event events[] = {
	{ "submit", submit_good,
	  { { 0, F }, { -EKEYEXPIRED, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit clone", submit_clone,
	  { { -EXDEV, F }, { -EXDEV, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit replay", submit_replay,
	  { { -EKEYEXPIRED, F }, { -EKEYEXPIRED, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit foreign key", submit_foreign_key,
	  { { -EKEYREJECTED, F }, { -ENOKEY, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit host LOCKING", submit_host_locking,
	  { { -EPERM, F }, { -EPERM, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit host LOCKED", submit_host_locked,
	  { { -EPERM, F }, { -EPERM, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit offline", submit_offline,
	  { { -ENODEV, F }, { -ENODEV, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "submit key of unknown fate", submit_unknown,
	  { { -EKEYREJECTED, F }, { -EKEYEXPIRED, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "dispatch LOAD", dispatch_load,
	  { { 0, F }, { -EKEYEXPIRED, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "dispatch LOAD host LOCKED", dispatch_load_host_locked,
	  { { -EPERM, F }, { -EPERM, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "dispatch DELETE", dispatch_delete,
	  { { 0, F }, { 0, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "dispatch REWORK", dispatch_rework,
	  { { 0, F }, { 0, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "dispatch REWORK host LOCKED", dispatch_rework_host_locked,
	  { { -EPERM, F }, { -EPERM, D }, { -EPERM, L }, { -EPERM, X } } },
	{ "dispatch LOCK", dispatch_lock,
	  { { -EINVAL, F }, { -EINVAL, D }, { 0, L }, { 0, X } } },
	{ "dispatch REFRESH", dispatch_refresh,
	  { { 0, F }, { 0, D }, { 0, L }, { 0, X } } },
	{ "dispatch nonsense", dispatch_nonsense,
	  { { -EINVAL, F }, { -EINVAL, D }, { -EINVAL, L }, { -EINVAL, X } } },
	{ "dispatch offline", dispatch_offline,
	  { { -ENODEV, F }, { -ENODEV, D }, { -ENODEV, L }, { -ENODEV, X } } },
	{ "lock", lock,
	  { { 0, L }, { 0, L }, { 0, L }, { 0, X } } },
	{ "report same", report_same,
	  { { 0, F }, { -EBADE, D }, { 0, L }, { -EBADE, X } } },
	{ "report one less", report_one_less,
	  { { 0, F }, { -EBADE, D }, { 0, L }, { -EBADE, X } } },
	{ "report FACTORY without keys", report_empty_factory,
	  { { 0, D }, { 0, D }, { 0, L }, { -EBADE, X } } },
	{ "report DRAINED", report_drained,
	  { { 0, D }, { 0, D }, { 0, L }, { -EBADE, X } } },
	{ "report keys deleted", report_deleted,
	  { { 0, D }, { 0, D }, { 0, L }, { -EBADE, X } } },
	{ "report LOCKED", report_locked,
	  { { 0, X }, { 0, X }, { 0, X }, { 0, X } } },
	{ "report LOCKING", report_locking,
	  { { -EINVAL, F }, { -EINVAL, D }, { -EINVAL, L }, { -EINVAL, X } } },
	{ "report LOCKED with keys", report_locked_with_keys,
	  { { -EINVAL, F }, { -EINVAL, D }, { -EINVAL, L }, { -EINVAL, X } } },
	{ "reply LOAD", reply_load_ok,
	  { { 0, F }, { -EBADE, D }, { 0, L }, { -EBADE, X } } },
	{ "reply LOAD not borne out", reply_load_not_borne_out,
	  { { -EREMOTEIO, F }, { -EBADE, D }, { -EREMOTEIO, L }, { -EBADE, X } } },
	{ "reply LOAD without report", reply_load_no_report,
	  { { 0, F }, { 0, D }, { 0, L }, { 0, X } } },
	{ "reply LOAD failed", reply_load_failed,
	  { { -EBADMSG, F }, { -EBADMSG, D }, { -EBADMSG, L }, { -EBADMSG, X } } },
	{ "reply DELETE", reply_delete_ok,
	  { { 0, D }, { 0, D }, { 0, L }, { -EBADE, X } } },
	{ "reply DELETE not borne out", reply_delete_not_borne_out,
	  { { -EREMOTEIO, F }, { -EBADE, D }, { -EREMOTEIO, L }, { -EBADE, X } } },
	{ "reply LOCK with receipt", reply_lock_receipt,
	  { { -EREMOTEIO, F }, { -EREMOTEIO, D }, { 0, X }, { 0, X } } },
	{ "reply LOCK reported", reply_lock_reported,
	  { { 0, X }, { 0, X }, { 0, X }, { 0, X } } },
	{ "reply LOCK not borne out", reply_lock_not_borne_out,
	  { { -EREMOTEIO, F }, { -EBADE, D }, { -EREMOTEIO, L }, { -EBADE, X } } },
	{ "reply LOCK failed", reply_lock_failed,
	  { { -EIO, F }, { -EIO, D }, { -EIO, L }, { -EIO, X } } },
};

static void event_desc(const struct event *ev, char *desc)
{
	strscpy(desc, ev->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(event, events, event_desc);

static void test_state_event(struct kunit *test)
{
	const struct event *ev = test->param_value;
	u32 state;

	for (state = F; state <= X; state++) {
		struct chip *c = chip_in(test, state);

		KUNIT_EXPECT_EQ_MSG(test, ev->run(c), ev->out[state].ret, "from %u", state);
		KUNIT_EXPECT_EQ_MSG(test, c->rec.state, ev->out[state].state, "from %u", state);
		KUNIT_EXPECT_GE(test, c->rec.state, state);
		KUNIT_EXPECT_EQ(test, c->rec.unspent + c->rec.unknown + c->rec.spent,
				c->rec.n_keys);
	}
}

/* ------------------------------------------------------------- the header */

static void test_header(struct kunit *test)
{
	struct ifpp_pkg_hdr good = header(1, 2), bad;
	u8 *bytes = (u8 *)&bad;
	int i;

	KUNIT_EXPECT_EQ(test, ifpp_core_header(&good, 164, 164), 0);
	KUNIT_EXPECT_EQ(test, ifpp_core_header(&good, 164, 163), -EMSGSIZE);
	KUNIT_EXPECT_EQ(test, ifpp_core_header(&good, 163, 1000), -EBADMSG);
	KUNIT_EXPECT_EQ(test, ifpp_core_header(&good, 165, 1000), -EBADMSG);
	KUNIT_EXPECT_EQ(test, ifpp_core_header(&good, SIZE_MAX, 1000), -EMSGSIZE);
	/* Too short to be read at all. */
	KUNIT_EXPECT_EQ(test, ifpp_core_header(NULL, 0, 1000), -EBADMSG);
	KUNIT_EXPECT_EQ(test, ifpp_core_header(NULL, IFPP_PKG_HDR_LEN, 1000), -EBADMSG);

	/* Every bit of the fixed part counts, and none of the rest. */
	for (i = 0; i < 8 * IFPP_PKG_HDR_LEN; i++) {
		bad = good;
		bytes[i / 8] ^= 1 << i % 8;
		KUNIT_EXPECT_EQ_MSG(test, ifpp_core_header(&bad, 164, 1000),
				    i < 8 * 16 ? -EBADMSG : 0, "bit %d", i);
	}
}

/* ------------------------------------------------------------- the ledger */

struct lie {
	const char *name;
	u32 state, unspent, spent;
	u8 key;			/* of the last unspent one, 0: as it comes */
	enum ifpp_tamper_kind kind;
};

/* Against a FACTORY chip with keys 1 and 2 left, 3 spent. */
static const struct lie lies[] = {
	{ "fewer spent", F, 2, 0, 0, IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED },
	{ "resurrected", F, 2, 1, 3, IFPP_TAMPER_KIND_KEY_RESURRECTED },
	{ "added", F, 3, 1, 9, IFPP_TAMPER_KIND_KEY_ADDED },
	{ "lost", F, 1, 1, 0, IFPP_TAMPER_KIND_KEY_LOST },
};

static void lie_desc(const struct lie *lie, char *desc)
{
	strscpy(desc, lie->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(lie, lies, lie_desc);

static void test_tamper(struct kunit *test)
{
	const struct lie *lie = test->param_value;
	struct chip *c = chip_in(test, F), *before;
	enum ifpp_tamper_kind kind = -1;

	report(c, lie->state, lie->unspent, lie->spent);
	if (lie->key)
		key_make(&c->keys[lie->unspent - 1], lie->key, IFPP_KEY_UNSPENT);
	before = kunit_kzalloc(test, sizeof(*before), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, before);
	*before = *c;
	KUNIT_EXPECT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), -EBADE);
	KUNIT_EXPECT_EQ(test, kind, lie->kind);
	KUNIT_EXPECT_MEMEQ(test, c, before, sizeof(*c));
}

static void test_state_lowered(struct kunit *test)
{
	struct chip *c = chip_in(test, X);
	enum ifpp_tamper_kind kind = -1;

	report(c, D, 0, 3);
	KUNIT_EXPECT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), -EBADE);
	KUNIT_EXPECT_EQ(test, kind, IFPP_TAMPER_KIND_STATE_LOWERED);
}

static void test_report_shape(struct kunit *test)
{
	struct chip *c = chip_in(test, F);

	report(c, F, 2, 1);
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), 0);
	c->rep.n_keys = IFPP_KEYS_MAX + 1;
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), -EINVAL);
	report(c, F, 2, 1);
	c->keys[1].state = IFPP_KEY_UNKNOWN;
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), -EINVAL);
	report(c, F, 2, 1);
	c->keys[1].reserved = 1;
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), -EINVAL);
	report(c, F, 2, 1);
	c->keys[1] = c->keys[0];
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), -EINVAL);
	report(c, F, 2, 0);
	c->keys[1].state = IFPP_KEY_SPENT;
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), -EINVAL);
	c->rep.spent_count = 1;
	KUNIT_EXPECT_EQ(test, ifpp_core_report_shape(&c->rep), 0);
}

static void test_room(struct kunit *test)
{
	struct chip *c = chip_in(test, F);

	report(c, F, 2, 1);
	KUNIT_EXPECT_EQ(test, ifpp_core_room(&c->rep), 3);
	report(c, F, 2, U32_MAX);
	KUNIT_EXPECT_EQ(test, ifpp_core_room(&c->rep), IFPP_KEYS_MAX);
	report(c, D, 0, 0);
	KUNIT_EXPECT_EQ(test, ifpp_core_room(&c->rep), 0);
}

/* A dispatched key belongs to the chip until the chip speaks. */
static void test_fate(struct kunit *test)
{
	struct chip *c = chip_in(test, F);
	enum ifpp_tamper_kind kind;

	KUNIT_ASSERT_EQ(test, dispatch_load(c), 0);
	KUNIT_EXPECT_EQ(test, c->rec.unknown, 1);
	KUNIT_EXPECT_EQ(test, dispatch_load(c), -EKEYREJECTED);

	/* It is still there. */
	report(c, F, 2, 1);
	KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
	KUNIT_EXPECT_EQ(test, c->rec.unspent, 2);
	KUNIT_ASSERT_EQ(test, dispatch_load(c), 0);

	/* It is not. */
	report(c, F, 2, 2);
	c->keys[0] = c->keys[1];
	c->rep.n_keys = 1;
	KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
	KUNIT_EXPECT_EQ(test, c->rec.spent, 2);
	KUNIT_EXPECT_EQ(test, dispatch_load(c), -EKEYEXPIRED);
}

static void test_delete_and_lock_put_all_in_doubt(struct kunit *test)
{
	struct chip *c = chip_in(test, F);

	KUNIT_ASSERT_EQ(test, dispatch_delete(c), 0);
	KUNIT_EXPECT_EQ(test, c->rec.unknown, 2);
	KUNIT_EXPECT_EQ(test, submit_good(c), -EKEYREJECTED);

	c = chip_in(test, L);
	KUNIT_ASSERT_EQ(test, dispatch_lock(c), 0);
	KUNIT_EXPECT_EQ(test, c->rec.unknown, 2);
	KUNIT_EXPECT_EQ(test, reply_lock_receipt(c), 0);
	KUNIT_EXPECT_EQ(test, c->rec.spent, 3);
}

/* Spent keys that only the relay can name are kept as long as there is room. */
static void test_named_spent_keys(struct kunit *test)
{
	struct chip *c = chip_in(test, F);
	enum ifpp_tamper_kind kind;
	int i;

	report(c, F, 2, 20);
	for (i = 2; i < ROOM; i++)
		key_make(&c->keys[i], 40 + i, IFPP_KEY_SPENT);
	c->rep.n_keys = ROOM;
	KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
	KUNIT_EXPECT_EQ(test, c->rec.n_keys, ROOM);
	KUNIT_EXPECT_EQ(test, c->rec.unspent, 2);
	KUNIT_EXPECT_EQ(test, submit(c, F, 0x89, 42), -EKEYEXPIRED);
	/* Of the rest only the chip can tell. */
	KUNIT_EXPECT_EQ(test, submit(c, F, 0x89, 40 + ROOM - 1), 0);
}

static int load_reply(struct chip *c, const u8 *key_id, int *status, enum ifpp_tamper_kind *kind)
{
	return ifpp_core_reply(&c->rec, IFPP_REQ_LOAD, key_id, status, &c->rep, kind);
}

/* From another station: what a chip spent there has no name here until its result is heard. */
static void test_spent_elsewhere(struct kunit *test)
{
	static const u32 states[] = { F, D };
	struct ifpp_pkg_hdr hdr = header(0x89, 40);
	enum ifpp_tamper_kind kind;
	int i, status;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		struct chip *c = chip_in(test, states[i]);
		u32 unspent = c->rec.unspent;

		c->rec.n_keys = unspent;
		c->rec.seen = false;
		report(c, states[i], unspent, 1);
		KUNIT_ASSERT_EQ(test, ifpp_core_report(&c->rec, &c->rep, &kind), 0);
		KUNIT_EXPECT_EQ(test, submit(c, F, 0x88, 40), -EXDEV);
		KUNIT_EXPECT_EQ(test, submit(c, X, 0x89, 40), -EPERM);

		/* No key is at stake, and success without its name in the report is none. */
		KUNIT_ASSERT_EQ(test, ifpp_core_dispatch(&c->rec, F, IFPP_REQ_LOAD, &hdr), 0);
		KUNIT_EXPECT_EQ(test, c->rec.unknown, 0);
		status = 0;
		KUNIT_EXPECT_EQ(test, load_reply(c, hdr.key_id, &status, &kind), 0);
		KUNIT_EXPECT_EQ(test, status, -EREMOTEIO);

		/* With it the key is known from now on, and no other is asked for. */
		key_make(&c->keys[unspent], 40, IFPP_KEY_SPENT);
		c->rep.n_keys = unspent + 1;
		status = 0;
		KUNIT_EXPECT_EQ(test, load_reply(c, hdr.key_id, &status, &kind), 0);
		KUNIT_EXPECT_EQ(test, status, 0);
		KUNIT_EXPECT_EQ(test, submit(c, F, 0x89, 40), -EKEYEXPIRED);
		KUNIT_EXPECT_EQ(test, submit(c, F, 0x89, 41),
				states[i] == F ? -EKEYREJECTED : -ENOKEY);
	}
}

static struct kunit_case core_cases[] = {
	KUNIT_CASE_PARAM(test_state_event, event_gen_params),
	KUNIT_CASE(test_header),
	KUNIT_CASE_PARAM(test_tamper, lie_gen_params),
	KUNIT_CASE(test_state_lowered),
	KUNIT_CASE(test_report_shape),
	KUNIT_CASE(test_room),
	KUNIT_CASE(test_fate),
	KUNIT_CASE(test_delete_and_lock_put_all_in_doubt),
	KUNIT_CASE(test_named_spent_keys),
	KUNIT_CASE(test_spent_elsewhere),
	{}
};

static struct kunit_suite core_suite = {
	.name = "ifpp-core",
	.test_cases = core_cases,
};

kunit_test_suite(core_suite);

MODULE_DESCRIPTION("KUnit suites of the IFPP driver");
MODULE_AUTHOR("The IFPP for Linux maintainers");
MODULE_LICENSE("GPL");
