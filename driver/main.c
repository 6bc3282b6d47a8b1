// SPDX-License-Identifier: GPL-2.0-only
/*
 * In-Factory Profile Provisioning (GSMA SGP.41): the factory-only interface of
 * eSIM chips, and the production lock that ends it.
 */
#include <linux/module.h>

#include "ifpp.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

unsigned int ifpp_timeout_ms = 180000;
module_param_named(timeout_ms, ifpp_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "A relay's deadline for one request, ms");

unsigned int ifpp_pkg_max = 256 * 1024;
module_param_named(pkg_max, ifpp_pkg_max, uint, 0444);
MODULE_PARM_DESC(pkg_max, "Largest package accepted, bytes");

static char *ifpp_devnode(const struct device *d, umode_t *mode)
{
	if (mode)
		*mode = 0660;
	return NULL;
}

/* May run with chip->lock held, so it reads what was announced last. */
static int ifpp_dev_uevent(const struct device *d, struct kobj_uevent_env *env)
{
	const struct ifpp_dev *dev = container_of(d, struct ifpp_dev, dev);
	char hex[IFPP_EID_HEX_LEN];

	ifpp_eid_hex(hex, dev->chip->rec.eid);
	if (add_uevent_var(env, "IFPP_STATE=%s", ifpp_state_name(READ_ONCE(dev->ev_state))) ||
	    add_uevent_var(env, "IFPP_EID=%s", hex) ||
	    add_uevent_var(env, "IFPP_KEYS=%u", READ_ONCE(dev->ev_unspent)))
		return -ENOMEM;
	return 0;
}

const struct class ifpp_class = {
	.name		= "ifpp",
	.class_groups	= ifpp_class_groups,
	.dev_groups	= ifpp_dev_groups,
	.dev_uevent	= ifpp_dev_uevent,
	.devnode	= ifpp_devnode,
};

static int __init ifpp_init(void)
{
	int err;

	err = class_register(&ifpp_class);
	if (err)
		return err;
	err = ifpp_chips_init();
	if (err)
		goto class;
	err = ifpp_netlink_init();
	if (err)
		goto chips;
	err = ifpp_relay_init();
	if (err)
		goto netlink;
	/* No chip can attach before this has settled what the machine is. */
	err = ifpp_host_init();
	if (err)
		goto relay;
	return 0;

relay:
	ifpp_relay_exit();
netlink:
	ifpp_netlink_exit();
chips:
	ifpp_chips_exit();
class:
	class_unregister(&ifpp_class);
	return err;
}

static void __exit ifpp_exit(void)
{
	ifpp_host_exit();
	ifpp_relay_exit();
	ifpp_netlink_exit();
	ifpp_chips_exit();
	class_unregister(&ifpp_class);
}

module_init(ifpp_init);
module_exit(ifpp_exit);
MODULE_DESCRIPTION("In-Factory Profile Provisioning");
MODULE_AUTHOR("The IFPP for Linux maintainers");
MODULE_LICENSE("GPL");
