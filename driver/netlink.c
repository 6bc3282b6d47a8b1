// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink family "ifpp": who is there, in what state, and the HOST lock.
 * Specified in Documentation/netlink/specs/ifpp.yaml; netlink_gen.[ch] come from it.
 */
#include <net/genetlink.h>

#include "ifpp.h"
#include "netlink_gen.h"

/* Answer with a chip, its lock held, or with the machine. */
static int ifpp_reply(struct genl_info *info, struct ifpp_dev *dev)
{
	struct sk_buff *msg;
	void *hdr;
	int err;

	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &ifpp_nl_family, 0, info->genlhdr->cmd);
	err = dev ? ifpp_fill_dev(msg, hdr, dev) : ifpp_fill_host(msg, hdr);
	if (!err)
		return genlmsg_reply(msg, info);
	nlmsg_free(msg);
	return err;
}

int ifpp_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ifpp_dev *dev;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, IFPP_A_DEV_INDEX))
		return -EINVAL;

	mutex_lock(&ifpp_chips_mutex);
	dev = xa_load(&ifpp_devs, nla_get_u32(info->attrs[IFPP_A_DEV_INDEX]));
	if (dev) {
		mutex_lock(&dev->chip->lock);
		err = ifpp_reply(info, dev);
		mutex_unlock(&dev->chip->lock);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[IFPP_A_DEV_INDEX], "no such device");
		err = -ENODEV;
	}
	mutex_unlock(&ifpp_chips_mutex);
	return err;
}

int ifpp_nl_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long index = cb->args[0];
	struct ifpp_dev *dev;
	int err = 0;
	void *hdr;

	mutex_lock(&ifpp_chips_mutex);
	cb->seq = ifpp_devs_seq;
	xa_for_each_start(&ifpp_devs, index, dev, cb->args[0]) {
		hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				  &ifpp_nl_family, NLM_F_MULTI, IFPP_CMD_DEV_GET);
		if (hdr)
			genl_dump_check_consistent(cb, hdr);
		mutex_lock(&dev->chip->lock);
		err = ifpp_fill_dev(skb, hdr, dev);
		mutex_unlock(&dev->chip->lock);
		if (err)
			break;
		cb->args[0] = index + 1;
	}
	mutex_unlock(&ifpp_chips_mutex);
	return err && !skb->len ? err : skb->len;
}

int ifpp_nl_host_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return ifpp_reply(info, NULL);
}

int ifpp_nl_host_lock_doit(struct sk_buff *skb, struct genl_info *info)
{
	const char *name = NULL;
	int err;

	/* It burns fuses: whoever may only configure networks may not. */
	if (!netlink_capable(skb, CAP_SYS_ADMIN)) {
		NL_SET_ERR_MSG(info->extack, "host-lock wants CAP_SYS_ADMIN, in no container");
		return -EPERM;
	}
	err = ifpp_host_lock(&name);
	if (err == -EINPROGRESS)
		NL_SET_ERR_MSG(info->extack, "the anchors are still being burnt; repeat");
	if (name)
		NL_SET_ERR_MSG_FMT(info->extack,
				   "anchor %.24s could not be burnt, see dmesg; repeat", name);
	if (err)
		return err;
	return ifpp_reply(info, NULL);
}

int __init ifpp_netlink_init(void)
{
	int err;

	/* It is the machine that is told of and locked, whatever its networks are. */
	ifpp_nl_family.netnsok = false;
	err = genl_register_family(&ifpp_nl_family);
	if (!err)
		ifpp_announce_family(&ifpp_nl_family);
	return err;
}

void ifpp_netlink_exit(void)
{
	ifpp_announce_family(NULL);
	genl_unregister_family(&ifpp_nl_family);
}
