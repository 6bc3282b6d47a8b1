/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ifpp.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_IFPP_GEN_H
#define _LINUX_IFPP_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/ifpp_netlink.h>

int ifpp_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info);
int ifpp_nl_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ifpp_nl_host_get_doit(struct sk_buff *skb, struct genl_info *info);
int ifpp_nl_host_lock_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	IFPP_NLGRP_EVENTS,
};

extern struct genl_family ifpp_nl_family;

#endif /* _LINUX_IFPP_GEN_H */
