// SPDX-License-Identifier: GPL-2.0-only
/*
 * In-Factory Profile Provisioning (GSMA SGP.41): the factory-only interface of
 * eSIM chips, and the production lock that ends it.
 */
#include <linux/module.h>

#include "ifpp.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init ifpp_init(void)
{
	int err;

	err = class_register(&ifpp_class);
	if (err)
		return err;
	err = ifpp_chips_init(&ifpp_class, &ifpp_front_fops);
	if (err)
		goto class;
	/* Nobody can ask, and no chip attach, before this has settled what the machine is. */
	err = ifpp_host_init();
	if (err)
		goto chips;
	err = ifpp_netlink_init();
	if (err)
		goto host;
	/* Last: once a node can be opened nothing may fail. */
	err = ifpp_relay_init();
	if (err)
		goto netlink;
	return 0;

netlink:
	ifpp_netlink_exit();
host:
	ifpp_host_exit();
chips:
	ifpp_chips_exit();
class:
	class_unregister(&ifpp_class);
	return err;
}

static void __exit ifpp_exit(void)
{
	ifpp_relay_exit();
	ifpp_netlink_exit();
	ifpp_host_exit();
	ifpp_chips_exit();
	class_unregister(&ifpp_class);
}

module_init(ifpp_init);
module_exit(ifpp_exit);
MODULE_DESCRIPTION("In-Factory Profile Provisioning");
MODULE_AUTHOR("The IFPP for Linux maintainers");
MODULE_LICENSE("GPL");
