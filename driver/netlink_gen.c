// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ifpp.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/ifpp_netlink.h>

/* IFPP_CMD_DEV_GET - do */
static const struct nla_policy ifpp_dev_get_nl_policy[IFPP_A_DEV_INDEX + 1] = {
	[IFPP_A_DEV_INDEX] = { .type = NLA_U32, },
};

/* Ops table for ifpp */
static const struct genl_split_ops ifpp_nl_ops[] = {
	{
		.cmd		= IFPP_CMD_DEV_GET,
		.doit		= ifpp_nl_dev_get_doit,
		.policy		= ifpp_dev_get_nl_policy,
		.maxattr	= IFPP_A_DEV_INDEX,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IFPP_CMD_DEV_GET,
		.dumpit	= ifpp_nl_dev_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= IFPP_CMD_HOST_GET,
		.doit	= ifpp_nl_host_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IFPP_CMD_HOST_LOCK,
		.doit	= ifpp_nl_host_lock_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group ifpp_nl_mcgrps[] = {
	[IFPP_NLGRP_EVENTS] = { "events", },
};

struct genl_family ifpp_nl_family __ro_after_init = {
	.name		= IFPP_FAMILY_NAME,
	.version	= IFPP_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= ifpp_nl_ops,
	.n_split_ops	= ARRAY_SIZE(ifpp_nl_ops),
	.mcgrps		= ifpp_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(ifpp_nl_mcgrps),
};
