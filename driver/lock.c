// SPDX-License-Identifier: GPL-2.0-only
/*
 * The production lock. UNIT: one chip. HOST: this machine, with every chip it has
 * or will ever get. Both only go forward, and fail closed at every step.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "ifpp.h"

static bool ifpp_cmdline_locked;
module_param_named(locked, ifpp_cmdline_locked, bool, 0444);
MODULE_PARM_DESC(locked, "This machine is locked, whatever its anchor says");

static DEFINE_MUTEX(ifpp_host_mutex);	/* every change of the machine's state */

/*
 * @state:	enum ifpp_state: FACTORY, LOCKING or LOCKED
 * @anchor:	enum ifpp_anchor
 * @settled:	the anchor has been read, or there is none
 * @fuse:	what the anchor is burnt into, NULL if there is none
 */
static struct {
	u32 state;
	u32 anchor;
	bool settled;
	const struct ifpp_fuse *fuse;
} ifpp_host;

/**
 * ifpp_host_state() - is this machine locked
 *
 * Return: enum ifpp_state: FACTORY, LOCKING or LOCKED.
 */
u32 ifpp_host_state(void)
{
	return READ_ONCE(ifpp_host.state);
}

/**
 * ifpp_host_anchor() - what keeps the lock across a reboot
 *
 * Return: enum ifpp_anchor.
 */
u32 ifpp_host_anchor(void)
{
	return READ_ONCE(ifpp_host.anchor);
}

/**
 * ifpp_host_settled() - is it known whether the machine is locked
 *
 * Return: false until the anchor has been read.
 */
bool ifpp_host_settled(void)
{
	/* Pairs with ifpp_host_settle(): who sees it sees the state as well. */
	return smp_load_acquire(&ifpp_host.settled);
}

/* Refuse what has not left for the relay yet, and wake who waits to submit. */
static void ifpp_refuse_queued(struct ifpp_dev *dev)
{
	struct ifpp_request *req = dev->req;

	lockdep_assert_held(&dev->chip->lock);
	if (req && !req->dispatched &&
	    (req->type == IFPP_REQ_LOAD || req->type == IFPP_REQ_DELETE_KEYS))
		ifpp_queue_abort(dev, -EPERM);
	WRITE_ONCE(dev->changes, dev->changes + 1);
	ifpp_wake(dev);
}

/**
 * ifpp_unit_lock() - begin to lock a chip
 * @dev: its device; the relay may be gone already
 *
 * Called under chip->lock. The load in flight ends first; what is queued does not
 * leave any more.
 */
void ifpp_unit_lock(struct ifpp_dev *dev)
{
	ifpp_core_lock(&dev->chip->rec);
	ifpp_refuse_queued(dev);
	ifpp_changed(dev);
}

static void ifpp_host_set(u32 state, u32 anchor)
{
	if (state == ifpp_host.state && anchor == ifpp_host.anchor)
		return;
	WRITE_ONCE(ifpp_host.state, state);
	WRITE_ONCE(ifpp_host.anchor, anchor);
	pr_info("this machine is %s, its anchor %s\n", ifpp_state_name(state),
		ifpp_anchor_names[anchor]);
}

static void ifpp_host_announce(void)
{
	char state[32];
	char *env[2] = { state };

	ifpp_netlink_host();
	snprintf(state, sizeof(state), "IFPP_HOST_STATE=%s", ifpp_state_name(ifpp_host.state));
	kobject_uevent_env(&ifpp_relay_device()->kobj, KOBJ_CHANGE, env);
}

/* Burn and read back. A machine without anchor has nothing to burn. */
static int ifpp_host_burn(void)
{
	int err;

	if (!ifpp_host.settled)
		return -EAGAIN;
	if (!ifpp_host.fuse)
		return 0;
	err = ifpp_fuse_burn(ifpp_host.fuse);
	if (err) {
		int val = ifpp_fuse_read(ifpp_host.fuse);

		ifpp_host_set(IFPP_STATE_LOCKING,
			      val ? IFPP_ANCHOR_UNREADABLE : IFPP_ANCHOR_CLEAN);
		pr_err("the anchor could not be burnt: %d\n", err);
	}
	return err;
}

/* Take every attached chip through LOCKING, or as far as step one: refuse loads. */
static void ifpp_host_chips(bool lock)
{
	struct ifpp_dev *dev;
	unsigned long index;

	mutex_lock(&ifpp_chips_mutex);
	xa_for_each(&ifpp_devs, index, dev) {
		mutex_lock(&dev->chip->lock);
		if (lock) {
			ifpp_unit_lock(dev);
			/* Ask again where an earlier LOCK failed. */
			dev->lock_sent = false;
			ifpp_queue_kick(dev);
		} else {
			ifpp_refuse_queued(dev);
		}
		mutex_unlock(&dev->chip->lock);
	}
	mutex_unlock(&ifpp_chips_mutex);
}

/**
 * ifpp_host_lock() - lock this machine for ever, or finish to
 *
 * Return: 0 once the machine is LOCKED; its chips follow. After an error it stays
 * LOCKING, and every load refused.
 */
int ifpp_host_lock(void)
{
	int err = 0;

	if (!ifpp_pin())
		return -ENODEV;

	mutex_lock(&ifpp_host_mutex);
	if (ifpp_host.state == IFPP_STATE_FACTORY) {
		ifpp_host_set(IFPP_STATE_LOCKING, ifpp_host.anchor);
		ifpp_host_chips(false);
		ifpp_host_announce();
	}
	if (ifpp_host.state == IFPP_STATE_LOCKING) {
		err = ifpp_host_burn();
		if (!err)
			ifpp_host_set(IFPP_STATE_LOCKED,
				      ifpp_host.fuse ? IFPP_ANCHOR_BURNT : IFPP_ANCHOR_NONE);
		ifpp_host_announce();
	}
	if (!err)
		ifpp_host_chips(true);
	mutex_unlock(&ifpp_host_mutex);
	return err;
}

/**
 * ifpp_host_settle() - the anchor can be read now
 * @fuse: what it is burnt into; stays valid for as long as the module
 */
void ifpp_host_settle(const struct ifpp_fuse *fuse)
{
	int val;

	mutex_lock(&ifpp_host_mutex);
	if (ifpp_host.settled)
		goto unlock;
	ifpp_host.fuse = fuse;
	val = ifpp_fuse_read(fuse);
	if (!val) {
		ifpp_host_set(ifpp_host.state, IFPP_ANCHOR_CLEAN);
	} else {
		ifpp_pin();
		ifpp_host_set(IFPP_STATE_LOCKED,
			      val < 0 ? IFPP_ANCHOR_UNREADABLE : IFPP_ANCHOR_BURNT);
	}
	/* Pairs with ifpp_host_settled(). */
	smp_store_release(&ifpp_host.settled, true);
	ifpp_host_announce();
unlock:
	mutex_unlock(&ifpp_host_mutex);
}

int __init ifpp_host_init(void)
{
	bool anchor = !ifpp_cmdline_locked && ifpp_anchor_configured();

	/* The nodes and netlink are there already: a HOST lock may have begun. */
	mutex_lock(&ifpp_host_mutex);
	if (ifpp_cmdline_locked) {
		ifpp_pin();
		ifpp_host_set(IFPP_STATE_LOCKED, IFPP_ANCHOR_CMDLINE);
	} else if (anchor) {
		/* Configured but not read yet counts as unreadable, and no chip can attach. */
		ifpp_host_set(ifpp_host.state, IFPP_ANCHOR_UNREADABLE);
	}
	if (!anchor) {
		/* Pairs with ifpp_host_settled(). */
		smp_store_release(&ifpp_host.settled, true);
	}
	mutex_unlock(&ifpp_host_mutex);
	return anchor ? ifpp_anchor_init() : 0;
}

void ifpp_host_exit(void)
{
	ifpp_anchor_exit();
}
