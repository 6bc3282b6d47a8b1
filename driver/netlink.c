// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink family "ifpp": who is there, in what state, and the HOST lock.
 * Specified in Documentation/netlink/specs/ifpp.yaml; netlink_gen.[ch] come from it.
 */
#include <kunit/visibility.h>
#include <net/genetlink.h>

#include "ifpp.h"
#include "netlink_gen.h"

/* The wire form of type uint, for kernels older than nla_put_uint(). */
static int ifpp_put_uint(struct sk_buff *skb, int attr, u64 val)
{
	u32 small = val;

	if (small == val)
		return nla_put(skb, attr, sizeof(small), &small);
	return nla_put(skb, attr, sizeof(val), &val);
}

VISIBLE_IF_KUNIT int ifpp_fill_dev(struct sk_buff *skb, struct ifpp_dev *dev, u32 portid,
				   u32 seq, int flags, u8 cmd)
{
	const struct ifpp_chip *chip = dev->chip;
	const struct ifpp_record *rec = &chip->rec;
	void *hdr;

	lockdep_assert_held(&chip->lock);
	hdr = genlmsg_put(skb, portid, seq, &ifpp_nl_family, flags, cmd);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(skb, IFPP_A_DEV_INDEX, dev->index) ||
	    nla_put(skb, IFPP_A_DEV_EID, IFPP_EID_LEN, rec->eid) ||
	    nla_put_u32(skb, IFPP_A_DEV_STATE, rec->state) ||
	    nla_put_u32(skb, IFPP_A_DEV_KEYS_UNSPENT, rec->unspent) ||
	    nla_put_u32(skb, IFPP_A_DEV_KEYS_UNKNOWN, rec->unknown) ||
	    nla_put_u32(skb, IFPP_A_DEV_KEYS_SPENT, rec->spent) ||
	    nla_put_u32(skb, IFPP_A_DEV_ONLINE, rec->online) ||
	    ifpp_put_uint(skb, IFPP_A_DEV_LOADS, chip->loads) ||
	    ifpp_put_uint(skb, IFPP_A_DEV_INSTALLED, chip->installed) ||
	    ifpp_put_uint(skb, IFPP_A_DEV_FAILED, chip->failed) ||
	    ifpp_put_uint(skb, IFPP_A_DEV_REFUSED, chip->refused)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

VISIBLE_IF_KUNIT int ifpp_fill_host(struct sk_buff *skb, u32 portid, u32 seq, u8 cmd)
{
	u32 chips, locked;
	void *hdr;

	ifpp_chips_count(&chips, &locked);
	hdr = genlmsg_put(skb, portid, seq, &ifpp_nl_family, 0, cmd);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(skb, IFPP_A_HOST_STATE, ifpp_host_state()) ||
	    nla_put_u32(skb, IFPP_A_HOST_ANCHOR, ifpp_host_anchor()) ||
	    nla_put_u32(skb, IFPP_A_HOST_CHIPS, chips) ||
	    nla_put_u32(skb, IFPP_A_HOST_CHIPS_LOCKED, locked)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int ifpp_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ifpp_dev *dev;
	struct sk_buff *msg;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, IFPP_A_DEV_INDEX))
		return -EINVAL;
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;

	mutex_lock(&ifpp_chips_mutex);
	dev = xa_load(&ifpp_devs, nla_get_u32(info->attrs[IFPP_A_DEV_INDEX]));
	if (dev) {
		mutex_lock(&dev->chip->lock);
		err = ifpp_fill_dev(msg, dev, info->snd_portid, info->snd_seq, 0,
				    IFPP_CMD_DEV_GET);
		mutex_unlock(&dev->chip->lock);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[IFPP_A_DEV_INDEX], "no such device");
		err = -ENODEV;
	}
	mutex_unlock(&ifpp_chips_mutex);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return genlmsg_reply(msg, info);
}

int ifpp_nl_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long index = cb->args[0];
	struct ifpp_dev *dev;
	int err = 0;

	mutex_lock(&ifpp_chips_mutex);
	xa_for_each_start(&ifpp_devs, index, dev, cb->args[0]) {
		mutex_lock(&dev->chip->lock);
		err = ifpp_fill_dev(skb, dev, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				    NLM_F_MULTI, IFPP_CMD_DEV_GET);
		mutex_unlock(&dev->chip->lock);
		if (err)
			break;
		cb->args[0] = index + 1;
	}
	mutex_unlock(&ifpp_chips_mutex);
	return err && !skb->len ? err : skb->len;
}

static int ifpp_host_reply(struct genl_info *info, u8 cmd)
{
	struct sk_buff *msg;
	int err;

	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	err = ifpp_fill_host(msg, info->snd_portid, info->snd_seq, cmd);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	return genlmsg_reply(msg, info);
}

int ifpp_nl_host_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return ifpp_host_reply(info, IFPP_CMD_HOST_GET);
}

int ifpp_nl_host_lock_doit(struct sk_buff *skb, struct genl_info *info)
{
	int err = ifpp_host_lock();

	if (err) {
		NL_SET_ERR_MSG(info->extack, "the anchor could not be burnt, repeat to finish");
		return err;
	}
	return ifpp_host_reply(info, IFPP_CMD_HOST_LOCK);
}

static struct sk_buff *ifpp_event_new(void)
{
	if (!genl_has_listeners(&ifpp_nl_family, &init_net, IFPP_NLGRP_EVENTS))
		return NULL;
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
}

/* An event that cannot be told is lost; nobody may depend on one. */
static void ifpp_event_send(struct sk_buff *msg, int err)
{
	if (err)
		nlmsg_free(msg);
	else
		genlmsg_multicast(&ifpp_nl_family, msg, 0, IFPP_NLGRP_EVENTS, GFP_KERNEL);
}

/**
 * ifpp_netlink_dev() - tell of a device
 * @dev: the device, chip->lock held
 * @cmd: IFPP_CMD_DEV_*_NTF
 */
void ifpp_netlink_dev(struct ifpp_dev *dev, u8 cmd)
{
	struct sk_buff *msg = ifpp_event_new();

	if (msg)
		ifpp_event_send(msg, ifpp_fill_dev(msg, dev, 0, 0, 0, cmd));
}

/**
 * ifpp_netlink_host() - tell of this machine's state
 */
void ifpp_netlink_host(void)
{
	struct sk_buff *msg = ifpp_event_new();

	if (msg)
		ifpp_event_send(msg, ifpp_fill_host(msg, 0, 0, IFPP_CMD_HOST_CHANGE_NTF));
}

/**
 * ifpp_netlink_load() - tell of the end of a load
 * @dev: the device, chip->lock held
 * @result: what came of it
 */
void ifpp_netlink_load(struct ifpp_dev *dev, const struct ifpp_result *result)
{
	struct sk_buff *msg = ifpp_event_new();
	int err = 0;
	void *hdr;

	if (!msg)
		return;
	hdr = genlmsg_put(msg, 0, 0, &ifpp_nl_family, 0, IFPP_CMD_LOAD_DONE_NTF);
	if (!hdr ||
	    nla_put_u32(msg, IFPP_A_LOAD_INDEX, dev->index) ||
	    nla_put(msg, IFPP_A_LOAD_EID, IFPP_EID_LEN, dev->chip->rec.eid) ||
	    nla_put(msg, IFPP_A_LOAD_KEY_ID, IFPP_KEY_ID_LEN, result->key_id) ||
	    nla_put_s32(msg, IFPP_A_LOAD_STATUS, result->status) ||
	    nla_put_u32(msg, IFPP_A_LOAD_REASON, result->reason) ||
	    nla_put_u32(msg, IFPP_A_LOAD_KEYS_LEFT, result->keys_left) ||
	    ifpp_put_uint(msg, IFPP_A_LOAD_DURATION, result->total_ns) ||
	    ifpp_put_uint(msg, IFPP_A_LOAD_QUEUE, result->queue_ns) ||
	    ifpp_put_uint(msg, IFPP_A_LOAD_VERIFY, result->verify_ns) ||
	    ifpp_put_uint(msg, IFPP_A_LOAD_CHIP, result->chip_ns))
		err = -EMSGSIZE;
	else
		genlmsg_end(msg, hdr);
	ifpp_event_send(msg, err);
}

/**
 * ifpp_netlink_tamper() - tell of a report that contradicted a record
 * @eid: of the chip
 * @kind: how
 */
void ifpp_netlink_tamper(const u8 *eid, enum ifpp_tamper_kind kind)
{
	struct sk_buff *msg = ifpp_event_new();
	int err = 0;
	void *hdr;

	if (!msg)
		return;
	hdr = genlmsg_put(msg, 0, 0, &ifpp_nl_family, 0, IFPP_CMD_TAMPER_NTF);
	if (!hdr ||
	    nla_put(msg, IFPP_A_TAMPER_EID, IFPP_EID_LEN, eid) ||
	    nla_put_u32(msg, IFPP_A_TAMPER_KIND, kind))
		err = -EMSGSIZE;
	else
		genlmsg_end(msg, hdr);
	ifpp_event_send(msg, err);
}

int __init ifpp_netlink_init(void)
{
	return genl_register_family(&ifpp_nl_family);
}

void ifpp_netlink_exit(void)
{
	genl_unregister_family(&ifpp_nl_family);
}
