// SPDX-License-Identifier: GPL-2.0-only
/*
 * The production lock. UNIT: one chip. HOST: this machine, with every chip it has
 * or will ever get. Both only go forward, and fail closed at every step; but what is
 * closed on a guess opens again, so a guess locks no chip.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "ifpp.h"

/* Who says it once cannot be overruled by who says otherwise. */
static int ifpp_locked_set(const char *val, const struct kernel_param *kp)
{
	bool on = true;
	int err = val ? kstrtobool(val, &on) : 0;

	if (!err && on)
		*(bool *)kp->arg = true;
	return err;
}

static const struct kernel_param_ops ifpp_locked_ops = {
	.flags	= KERNEL_PARAM_OPS_FL_NOARG,
	.set	= ifpp_locked_set,
	.get	= param_get_bool,
};

static bool ifpp_locked;
module_param_cb(locked, &ifpp_locked_ops, &ifpp_locked, 0444);
__MODULE_PARM_TYPE(locked, "bool");
MODULE_PARM_DESC(locked, "This machine is locked, whatever its anchors say");

#define IFPP_BURN_WAIT	(5 * HZ)	/* for fuses, with a lock of all of generic netlink held */

/* Anchors may be slow: who reads or burns them, and draws the conclusion. Outside of the next. */
static DEFINE_MUTEX(ifpp_look_mutex);
static DEFINE_MUTEX(ifpp_host_mutex);	/* every change of the machine's state */

/* Refuse what a relay has not read whole, and wake who waits to submit. */
static void ifpp_refuse_queued(struct ifpp_dev *dev)
{
	struct ifpp_request *req = dev->req;
	int err;

	lockdep_assert_held(&dev->chip->lock);
	err = req && !req->read ? ifpp_queue_open(dev, req->type) : 0;
	if (err)
		ifpp_queue_abort(dev, err);
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
	ifpp_announce_change(dev);
}

/* Every attached chip is refused loads, and locked where that was asked for. */
static void ifpp_host_chips(void)
{
	struct ifpp_dev *dev;
	unsigned long index;

	mutex_lock(&ifpp_chips_mutex);
	xa_for_each(&ifpp_devs, index, dev) {
		mutex_lock(&dev->chip->lock);
		if (ifpp_host_sweeps()) {
			ifpp_unit_lock(dev);
			/* Ask again where an earlier LOCK failed, not where one is on its way. */
			if (!dev->req || dev->req->type != IFPP_REQ_LOCK)
				dev->lock_sent = false;
			ifpp_queue_kick(dev);
		} else {
			ifpp_refuse_queued(dev);
		}
		mutex_unlock(&dev->chip->lock);
	}
	mutex_unlock(&ifpp_chips_mutex);
}

static bool ifpp_host_become(u32 state, u32 anchor, bool sweep)
{
	if (!ifpp_host_set(state, anchor, sweep))
		return false;
	ifpp_host_chips();
	ifpp_announce_host();
	return true;
}

/* Where a module can see the kernel command line, which may be signed, modprobe or not. */
static bool ifpp_bootargs_locked(void)
{
	struct device_node *chosen = of_find_node_by_path("/chosen");
	const char *bootargs;
	char *copy, *args, *param, *val;
	bool locked = false;

	if (chosen && !of_property_read_string(chosen, "bootargs", &bootargs)) {
		copy = kstrdup(bootargs, GFP_KERNEL);
		/* Without memory nobody knows, so it is. */
		locked = !copy;
		for (args = copy; args && *skip_spaces(args);) {
			bool on = true;

			args = next_arg(skip_spaces(args), &param, &val);
			if (!strcmp(param, KBUILD_MODNAME ".locked") &&
			    (!val || !kstrtobool(val, &on)))
				locked |= on;
		}
		kfree(copy);
	}
	of_node_put(chosen);
	return locked;
}

static bool ifpp_cmdline_locked;

static u32 ifpp_anchor_of(bool *proven)
{
	u32 anchor = ifpp_anchor_look(proven);

	if (anchor == IFPP_ANCHOR_BURNT)
		return anchor;
	if (ifpp_cmdline_locked)
		return IFPP_ANCHOR_CMDLINE;
	return ifpp_locked ? IFPP_ANCHOR_PARAMETER : anchor;
}

/**
 * ifpp_host_look() - read the anchors again
 *
 * A burnt one locks the machine. One that cannot be read, or is not ours, closes it until it can.
 */
void ifpp_host_look(void)
{
	bool proven = false;
	u32 anchor, state;

	mutex_lock(&ifpp_look_mutex);
	anchor = ifpp_anchor_of(&proven);
	mutex_lock(&ifpp_host_mutex);
	state = ifpp_host_state();
	if (anchor == IFPP_ANCHOR_BURNT || ifpp_locked || ifpp_cmdline_locked)
		state = IFPP_STATE_LOCKED;
	else if (state == IFPP_STATE_FACTORY || state == IFPP_STATE_CLOSED)
		state = anchor == IFPP_ANCHOR_UNREADABLE || anchor == IFPP_ANCHOR_UNUSABLE ?
			IFPP_STATE_CLOSED : IFPP_STATE_FACTORY;
	if (state == IFPP_STATE_LOCKED)
		ifpp_host_pin();
	ifpp_host_become(state, anchor, proven);
	mutex_unlock(&ifpp_host_mutex);
	mutex_unlock(&ifpp_look_mutex);
}

/* The second half of a host lock: what came of it, and of whom. */
static const char *ifpp_burn_name;
static int ifpp_burn_err;
static DECLARE_COMPLETION(ifpp_burnt);

static void ifpp_burn(struct work_struct *work)
{
	const char *name = NULL;
	bool proven = false;
	u32 anchor;
	int err;

	mutex_lock(&ifpp_look_mutex);
	err = ifpp_anchor_burn(&name);
	anchor = ifpp_anchor_of(&proven);
	mutex_lock(&ifpp_host_mutex);
	/* Repeated, it asks again where a LOCK failed. */
	if (!ifpp_host_become(err ? ifpp_host_state() : IFPP_STATE_LOCKED, anchor, !err) && !err)
		ifpp_host_chips();
	ifpp_burn_name = name;
	ifpp_burn_err = err;
	/* Who has asked meanwhile waits for his own turn. */
	if (!work_pending(work))
		complete_all(&ifpp_burnt);
	mutex_unlock(&ifpp_host_mutex);
	mutex_unlock(&ifpp_look_mutex);
}

static DECLARE_WORK(ifpp_burn_work, ifpp_burn);

/**
 * ifpp_host_lock() - lock this machine for ever, or finish to
 * @name: the anchor that could not be burnt, if it is that; else unchanged
 *
 * The machine is LOCKING at once, however slow its anchors are.
 *
 * Return: 0 once the machine is LOCKED and every anchor burnt; its chips follow. -EINPROGRESS if
 * the anchors take their time. After an error the machine stays LOCKING, and every load refused.
 */
int ifpp_host_lock(const char **name)
{
	int err;

	mutex_lock(&ifpp_host_mutex);
	if (!ifpp_host_pin()) {
		mutex_unlock(&ifpp_host_mutex);
		return -ENODEV;
	}
	if (ifpp_host_state() != IFPP_STATE_LOCKED)
		ifpp_host_become(IFPP_STATE_LOCKING, ifpp_host_anchor(), false);
	reinit_completion(&ifpp_burnt);
	queue_work(system_freezable_wq, &ifpp_burn_work);
	mutex_unlock(&ifpp_host_mutex);

	if (!wait_for_completion_timeout(&ifpp_burnt, IFPP_BURN_WAIT))
		return -EINPROGRESS;
	mutex_lock(&ifpp_host_mutex);
	err = ifpp_burn_err;
	if (err)
		*name = ifpp_burn_name;
	mutex_unlock(&ifpp_host_mutex);
	return err;
}

/**
 * ifpp_host_speaker() - who tells udev of the machine
 * @dev: a device, or NULL before it goes
 */
void ifpp_host_speaker(struct device *dev)
{
	mutex_lock(&ifpp_host_mutex);
	ifpp_announce_speaker(dev);
	if (dev)
		ifpp_announce_host();
	mutex_unlock(&ifpp_host_mutex);
}

/*
 * What was burnt after the image was written is not in the image: from before it is written until
 * the anchor has been read in the machine that woke nothing is loaded, whoever reads it meanwhile.
 * The same while the machine sleeps.
 */
static int ifpp_pm_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
		ifpp_host_stale(ifpp_host_anchor() != IFPP_ANCHOR_NONE);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
		ifpp_host_look();
		ifpp_host_stale(false);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block ifpp_pm_nb = { .notifier_call = ifpp_pm_notify };

int __init ifpp_host_init(void)
{
	int err;

	/* What is built in has its parameters from nowhere else. */
	ifpp_cmdline_locked = ifpp_bootargs_locked() || (IS_BUILTIN(CONFIG_IFPP) && ifpp_locked);
	err = ifpp_anchor_init(ifpp_host_look);
	if (err)
		return err;
	err = register_pm_notifier(&ifpp_pm_nb);
	if (err) {
		ifpp_anchor_exit();
		return err;
	}
	ifpp_host_look();
	return 0;
}

void ifpp_host_exit(void)
{
	unregister_pm_notifier(&ifpp_pm_nb);
	ifpp_anchor_exit();
}
