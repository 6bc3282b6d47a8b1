// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chips: their records, which outlive everything, and their devices, which do not.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "ifpp.h"
#include "trace.h"

DEFINE_MUTEX(ifpp_chips_mutex);		/* who is attached, and the table of chips */
DEFINE_XARRAY_ALLOC(ifpp_devs);		/* by index, NULL if reserved; under ifpp_chips_mutex */
static DEFINE_HASHTABLE(ifpp_chips, 10);	/* by EID; under ifpp_chips_mutex */
static dev_t ifpp_first;
static unsigned long ifpp_pinned;

/**
 * ifpp_pin() - keep the module for ever
 *
 * A lock that an rmmod undoes is none.
 *
 * Return: false if the module is on its way out already.
 */
bool ifpp_pin(void)
{
	if (test_bit(0, &ifpp_pinned))
		return true;
	if (!try_module_get(THIS_MODULE))
		return false;
	if (test_and_set_bit(0, &ifpp_pinned))
		module_put(THIS_MODULE);
	return true;
}

static u32 ifpp_eid_hash(const u8 *eid)
{
	return jhash(eid, IFPP_EID_LEN, 0);
}

static struct ifpp_chip *ifpp_chip_find(const u8 *eid)
{
	struct ifpp_chip *chip;

	lockdep_assert_held(&ifpp_chips_mutex);
	hash_for_each_possible(ifpp_chips, chip, node, ifpp_eid_hash(eid))
		if (!memcmp(chip->rec.eid, eid, IFPP_EID_LEN))
			return chip;
	return NULL;
}

/* The relay pays for the record of a chip it brings. */
static struct ifpp_chip *ifpp_chip_new(const u8 *eid, const struct ifpp_report *rep)
{
	u32 room = ifpp_core_room(rep);
	struct ifpp_chip *chip;

	chip = kzalloc(struct_size(chip, keys, room), GFP_KERNEL_ACCOUNT);
	if (!chip)
		return NULL;
	mutex_init(&chip->lock);
	memcpy(chip->rec.eid, eid, IFPP_EID_LEN);
	chip->rec.keys = chip->keys;
	chip->rec.room = room;
	return chip;
}

/**
 * ifpp_chips_count() - count the chips on record
 * @chips: all of them, attached or not
 * @locked: those that are LOCKED
 */
void ifpp_chips_count(u32 *chips, u32 *locked)
{
	struct ifpp_chip *chip;
	int i;

	*chips = 0;
	*locked = 0;
	mutex_lock(&ifpp_chips_mutex);
	hash_for_each(ifpp_chips, i, chip, node) {
		mutex_lock(&chip->lock);
		++*chips;
		*locked += chip->rec.state == IFPP_STATE_LOCKED;
		mutex_unlock(&chip->lock);
	}
	mutex_unlock(&ifpp_chips_mutex);
}

/**
 * ifpp_changed() - announce what changed in a chip's record
 * @dev: its device
 *
 * Called under chip->lock after anything that may have changed it.
 */
void ifpp_changed(struct ifpp_dev *dev)
{
	const struct ifpp_record *rec = &dev->chip->rec;
	bool state;

	lockdep_assert_held(&dev->chip->lock);
	state = dev->ev_state != rec->state;
	if (!state && dev->ev_unspent == rec->unspent && dev->ev_unknown == rec->unknown)
		return;

	if (state)
		trace_ifpp_state(dev->index, dev->ev_state, rec->state);
	if (rec->state >= IFPP_STATE_LOCKING)
		ifpp_pin();
	WRITE_ONCE(dev->ev_state, rec->state);
	WRITE_ONCE(dev->ev_unspent, rec->unspent);
	dev->ev_unknown = rec->unknown;
	WRITE_ONCE(dev->changes, dev->changes + 1);
	wake_up_poll(&dev->watch, EPOLLPRI);

	/* Once gone, the kobject may be on its way out. */
	if (dev->gone)
		return;
	ifpp_netlink_dev(dev, IFPP_CMD_DEV_CHANGE_NTF);
	/* udev need not know that a load has begun, but what became of its key. */
	if (state || (!rec->unknown && dev->ev_keys != rec->unspent)) {
		dev->ev_keys = rec->unspent;
		kobject_uevent(&dev->dev.kobj, KOBJ_CHANGE);
	}
}

static void ifpp_dev_release(struct device *d)
{
	kfree(container_of(d, struct ifpp_dev, dev));
}

static struct ifpp_dev *ifpp_dev_new(struct ifpp_chip *chip, u32 index)
{
	struct ifpp_dev *dev;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return NULL;
	dev->chip = chip;
	dev->index = index;
	ifpp_queue_init(dev);
	device_initialize(&dev->dev);
	dev->dev.class = &ifpp_class;
	dev->dev.devt = ifpp_first + index;
	dev->dev.release = ifpp_dev_release;
	cdev_init(&dev->cdev, &ifpp_front_fops);
	dev->cdev.owner = THIS_MODULE;
	if (dev_set_name(&dev->dev, "ifpp%u", index)) {
		put_device(&dev->dev);
		return NULL;
	}
	return dev;
}

/* Everybody who waits leaves, nobody comes again. */
static void ifpp_dev_end(struct ifpp_dev *dev)
{
	lockdep_assert_held(&dev->chip->lock);
	dev->chip->dev = NULL;
	dev->chip->rec.online = false;
	WRITE_ONCE(dev->gone, true);
	ifpp_queue_abort(dev, -ENODEV);
	WRITE_ONCE(dev->changes, dev->changes + 1);
	ifpp_wake(dev);
}

/* The record takes the report; a chip that ought to be locked begins to be. */
static int ifpp_take_report(struct ifpp_chip *chip, const struct ifpp_report *rep)
{
	enum ifpp_tamper_kind kind;
	int err;

	err = ifpp_core_report(&chip->rec, rep, &kind);
	if (err == -EBADE) {
		trace_ifpp_tamper(chip->rec.eid, kind);
		pr_warn("a relay's report contradicts a chip's record (%d)\n", kind);
		ifpp_netlink_tamper(chip->rec.eid, kind);
	}
	if (err)
		return err;
	if (ifpp_host_state() == IFPP_STATE_LOCKED)
		ifpp_core_lock(&chip->rec);
	if (chip->rec.state >= IFPP_STATE_LOCKING)
		ifpp_pin();
	return 0;
}

/**
 * ifpp_attach() - a relay brings a chip
 * @eid: of the chip
 * @rep: the chip's word
 * @index: reserved in ifpp_devs
 *
 * Return: the chip's device, registered; ifpp_detach() ends it. ERR_PTR(-EBUSY)
 * if another relay serves the chip, -EBADE if the report contradicts its record.
 */
struct ifpp_dev *ifpp_attach(const u8 *eid, const struct ifpp_report *rep, u32 index)
{
	struct ifpp_chip *chip;
	struct ifpp_dev *dev;
	bool new;
	int err;

	err = ifpp_core_report_shape(rep);
	if (err)
		return ERR_PTR(err);

	mutex_lock(&ifpp_chips_mutex);
	chip = ifpp_chip_find(eid);
	new = !chip;
	if (new)
		chip = ifpp_chip_new(eid, rep);
	err = -ENOMEM;
	if (!chip)
		goto out;
	err = -EBUSY;
	if (chip->dev)
		goto out;
	err = -ENOMEM;
	dev = ifpp_dev_new(chip, index);
	if (!dev)
		goto free;

	mutex_lock(&chip->lock);
	err = ifpp_take_report(chip, rep);
	if (err) {
		mutex_unlock(&chip->lock);
		goto put;
	}
	chip->rec.online = true;
	dev->ev_state = chip->rec.state;
	dev->ev_unspent = chip->rec.unspent;
	dev->ev_unknown = chip->rec.unknown;
	dev->ev_keys = chip->rec.unspent;
	mutex_unlock(&chip->lock);
	if (new)
		hash_add(ifpp_chips, &chip->node, ifpp_eid_hash(eid));
	new = false;

	err = cdev_device_add(&dev->cdev, &dev->dev);
	if (err) {
		mutex_lock(&chip->lock);
		ifpp_dev_end(dev);
		mutex_unlock(&chip->lock);
		ifpp_queue_stop(dev);
		goto put;
	}
	/* Cannot fail, the index is reserved. */
	xa_store(&ifpp_devs, index, dev, GFP_KERNEL);

	mutex_lock(&chip->lock);
	chip->dev = dev;
	ifpp_netlink_dev(dev, IFPP_CMD_DEV_ADD_NTF);
	ifpp_queue_kick(dev);
	mutex_unlock(&chip->lock);
	mutex_unlock(&ifpp_chips_mutex);
	return dev;

put:
	put_device(&dev->dev);
free:
	if (new)
		kfree(chip);
out:
	mutex_unlock(&ifpp_chips_mutex);
	return ERR_PTR(err);
}

/**
 * ifpp_detach() - the relay leaves
 * @dev: from ifpp_attach(); the reference is dropped
 *
 * The request in work ends; if the relay had read it, the fate of its key stays
 * unknown until the chip reports again.
 */
void ifpp_detach(struct ifpp_dev *dev)
{
	struct ifpp_chip *chip = dev->chip;

	mutex_lock(&ifpp_chips_mutex);
	mutex_lock(&chip->lock);
	ifpp_dev_end(dev);
	ifpp_netlink_dev(dev, IFPP_CMD_DEV_DEL_NTF);
	mutex_unlock(&chip->lock);

	cdev_device_del(&dev->cdev, &dev->dev);
	ifpp_queue_stop(dev);
	xa_erase(&ifpp_devs, dev->index);
	mutex_unlock(&ifpp_chips_mutex);
	put_device(&dev->dev);
}

int __init ifpp_chips_init(void)
{
	return alloc_chrdev_region(&ifpp_first, 0, IFPP_CHIPS_MAX, "ifpp");
}

void ifpp_chips_exit(void)
{
	struct hlist_node *next;
	struct ifpp_chip *chip;
	int i;

	hash_for_each_safe(ifpp_chips, i, next, chip, node) {
		hash_del(&chip->node);
		kfree(chip);
	}
	xa_destroy(&ifpp_devs);
	unregister_chrdev_region(ifpp_first, IFPP_CHIPS_MAX);
}
