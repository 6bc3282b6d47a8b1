// SPDX-License-Identifier: GPL-2.0-only
/*
 * Announcements: uevents for udev, and the netlink events, which carry everything. Neither names a
 * chip by its EID: who may know it asks the chip's node.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/poll.h>
#include <net/genetlink.h>

#include "ifpp.h"
#include "trace.h"

static const struct genl_family *ifpp_family;	/* NULL until it is registered */
static struct device *ifpp_speaker;

/**
 * ifpp_announce_family() - where events go
 * @family: the generic netlink family, registered; or NULL
 */
void ifpp_announce_family(const struct genl_family *family)
{
	/* Pairs with ifpp_event_new(). */
	smp_store_release(&ifpp_family, family);
}

/**
 * ifpp_announce_speaker() - who tells udev of the machine
 * @dev: a device, or NULL; the caller serialises this with ifpp_announce_host()
 */
void ifpp_announce_speaker(struct device *dev)
{
	ifpp_speaker = dev;
}

/* The wire form of type uint, for kernels older than nla_put_uint(); that of a u32 is the same. */
static int ifpp_put_uint(struct sk_buff *skb, int attr, u64 val)
{
	u32 small = val;
	bool fits = small == val;

	return nla_put(skb, attr, fits ? sizeof(small) : sizeof(val), fits ? (void *)&small : &val);
}

/* Attributes from @attr on, in their order, and the message's end; @err: of what was before. */
static int ifpp_fill(struct sk_buff *skb, void *hdr, int err, int attr, const u64 *val, int n)
{
	for (; !err && n; n--)
		err = ifpp_put_uint(skb, attr++, *val++);
	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

/**
 * ifpp_fill_dev() - what there is to say of a chip
 * @skb: to be filled
 * @hdr: from genlmsg_put(), may be NULL
 * @dev: its device, chip->lock held
 *
 * Return: 0, or -EMSGSIZE if it does not fit, and nothing is left of it.
 */
int ifpp_fill_dev(struct sk_buff *skb, void *hdr, struct ifpp_dev *dev)
{
	const struct ifpp_chip *chip = dev->chip;
	const struct ifpp_record *rec = &chip->rec;

	const u64 val[] = {
		dev->index, rec->state, rec->unspent, rec->unknown, rec->spent, rec->online,
		chip->loads, chip->installed, chip->failed, chip->refused,
	};

	lockdep_assert_held(&chip->lock);
	static_assert(ARRAY_SIZE(val) == IFPP_A_DEV_MAX);
	return ifpp_fill(skb, hdr, hdr ? 0 : -EMSGSIZE, IFPP_A_DEV_INDEX, val, ARRAY_SIZE(val));
}

/**
 * ifpp_fill_host() - what there is to say of this machine
 * @skb: to be filled
 * @hdr: from genlmsg_put(), may be NULL
 *
 * Return: 0, or -EMSGSIZE if it does not fit, and nothing is left of it.
 */
int ifpp_fill_host(struct sk_buff *skb, void *hdr)
{
	const u64 val[] = {
		ifpp_host_state(), ifpp_host_anchor(),
		atomic_read(&ifpp_chips_known), atomic_read(&ifpp_chips_locked),
	};
	int err = -EMSGSIZE;

	static_assert(IFPP_A_HOST_STATE + ARRAY_SIZE(val) - 1 == IFPP_A_HOST_MAX);
	if (hdr)
		err = nla_put_u16(skb, IFPP_A_HOST_VERSION, IFPP_ABI_VERSION);
	return ifpp_fill(skb, hdr, err, IFPP_A_HOST_STATE, val, ARRAY_SIZE(val));
}

/* A message for the listeners, NULL if there are none; *@hdr is NULL if it has no room for one. */
static struct sk_buff *ifpp_event_new(u8 cmd, void **hdr)
{
	/* Pairs with ifpp_announce_family(). */
	const struct genl_family *family = smp_load_acquire(&ifpp_family);
	struct sk_buff *msg;

	if (!family || !genl_has_listeners(family, &init_net, 0))
		return NULL;
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (msg)
		*hdr = genlmsg_put(msg, 0, 0, family, 0, cmd);
	return msg;
}

/* An event that cannot be told is lost; nobody may depend on one. */
static void ifpp_event_send(struct sk_buff *msg, int err)
{
	if (err)
		nlmsg_free(msg);
	else
		genlmsg_multicast(ifpp_family, msg, 0, 0, GFP_KERNEL);
}

/**
 * ifpp_announce_dev() - tell of a device
 * @dev: the device, chip->lock held
 * @cmd: IFPP_CMD_DEV_*_NTF
 */
void ifpp_announce_dev(struct ifpp_dev *dev, u8 cmd)
{
	void *hdr;
	struct sk_buff *msg = ifpp_event_new(cmd, &hdr);

	if (msg)
		ifpp_event_send(msg, ifpp_fill_dev(msg, hdr, dev));
}

/**
 * ifpp_announce_host() - tell of this machine's state
 */
void ifpp_announce_host(void)
{
	char state[32];
	char *env[2] = { state };
	void *hdr;
	struct sk_buff *msg = ifpp_event_new(IFPP_CMD_HOST_CHANGE_NTF, &hdr);

	if (msg)
		ifpp_event_send(msg, ifpp_fill_host(msg, hdr));
	if (!ifpp_speaker)
		return;
	snprintf(state, sizeof(state), "IFPP_HOST_STATE=%s", ifpp_state_names[ifpp_host_state()]);
	kobject_uevent_env(&ifpp_speaker->kobj, KOBJ_CHANGE, env);
}

/**
 * ifpp_announce_load() - tell of the end of a load
 * @dev: the device, chip->lock held
 * @result: what came of it
 */
void ifpp_announce_load(struct ifpp_dev *dev, const struct ifpp_result *result)
{
	const u64 val[] = {
		(u32)result->status, result->reason, result->keys_left, result->total_ns,
		result->queue_ns, result->verify_ns, result->chip_ns,
	};
	void *hdr;
	struct sk_buff *msg = ifpp_event_new(IFPP_CMD_LOAD_DONE_NTF, &hdr);
	int err = -EMSGSIZE;

	static_assert(IFPP_A_LOAD_STATUS + ARRAY_SIZE(val) - 1 == IFPP_A_LOAD_MAX);
	if (!msg)
		return;
	if (hdr)
		err = ifpp_put_uint(msg, IFPP_A_LOAD_INDEX, dev->index) ?:
		      nla_put(msg, IFPP_A_LOAD_KEY_ID, IFPP_KEY_ID_LEN, result->key_id);
	ifpp_event_send(msg, ifpp_fill(msg, hdr, err, IFPP_A_LOAD_STATUS, val, ARRAY_SIZE(val)));
}

/**
 * ifpp_announce_tamper() - tell of a report that contradicted a record
 * @index: of the device that the chip has, or was to get
 * @state: of the record
 * @kind: how
 */
void ifpp_announce_tamper(u32 index, u32 state, enum ifpp_tamper_kind kind)
{
	const u64 val[] = { index, kind };
	void *hdr;
	struct sk_buff *msg = ifpp_event_new(IFPP_CMD_TAMPER_NTF, &hdr);

	trace_ifpp_tamper(index, state, kind);
	pr_warn_ratelimited("ifpp%u: a relay's report contradicts the chip's record (%d)\n",
			    index, kind);
	if (msg)
		ifpp_event_send(msg, ifpp_fill(msg, hdr, hdr ? 0 : -EMSGSIZE, IFPP_A_TAMPER_INDEX,
					       val, ARRAY_SIZE(val)));
}

/**
 * ifpp_announce_change() - tell what changed in a chip's record
 * @dev: its device
 *
 * Called under chip->lock after anything that may have changed it.
 */
void ifpp_announce_change(struct ifpp_dev *dev)
{
	const struct ifpp_record *rec = &dev->chip->rec;
	bool state;

	lockdep_assert_held(&dev->chip->lock);
	state = dev->ev_state != rec->state;
	if (!state && dev->ev_unspent == rec->unspent && dev->ev_unknown == rec->unknown)
		return;

	if (state)
		trace_ifpp_state(dev->index, dev->ev_state, rec->state);
	ifpp_host_track(dev->chip);
	WRITE_ONCE(dev->ev_state, rec->state);
	WRITE_ONCE(dev->ev_unspent, rec->unspent);
	dev->ev_unknown = rec->unknown;
	WRITE_ONCE(dev->changes, dev->changes + 1);
	wake_up_poll(&dev->watch, EPOLLPRI);

	/* Once gone, the kobject may be on its way out. */
	if (dev->gone)
		return;
	ifpp_announce_dev(dev, IFPP_CMD_DEV_CHANGE_NTF);
	/* udev need not know that a load has begun, but what became of its key. */
	if (state || (!rec->unknown && dev->ev_keys != rec->unspent)) {
		dev->ev_keys = rec->unspent;
		kobject_uevent(&dev->dev.kobj, KOBJ_CHANGE);
	}
}
