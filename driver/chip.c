// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chips: their records, which outlive everything, and their devices, which do not.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/stringhash.h>

#include "ifpp.h"

DEFINE_MUTEX(ifpp_chips_mutex);		/* who is attached, and the table of chips */
DEFINE_XARRAY_ALLOC(ifpp_devs);		/* by index, NULL if reserved; under ifpp_chips_mutex */
static DEFINE_HASHTABLE(ifpp_chips, 10);	/* by EID; under ifpp_chips_mutex */
static LIST_HEAD(ifpp_absent);		/* chips without device, who went first; likewise */
unsigned int ifpp_devs_seq = 1;		/* counts changes of ifpp_devs; likewise */
static dev_t ifpp_first;
static const struct class *ifpp_chip_class;
static const struct file_operations *ifpp_chip_fops;

static u32 ifpp_eid_hash(const u8 *eid)
{
	return full_name_hash(NULL, (const char *)eid, IFPP_EID_LEN);
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
	kref_init(&chip->ref);
	INIT_LIST_HEAD(&chip->absent);
	mutex_init(&chip->lock);
	memcpy(chip->rec.eid, eid, IFPP_EID_LEN);
	chip->rec.keys = chip->keys;
	chip->rec.room = room;
	return chip;
}

static void ifpp_chip_release(struct kref *ref)
{
	kfree(container_of(ref, struct ifpp_chip, ref));
}

static void ifpp_chip_drop(struct ifpp_chip *chip)
{
	hash_del(&chip->node);
	list_del(&chip->absent);
	atomic_dec(&ifpp_chips_known);
	if (chip->counted)
		atomic_dec(&ifpp_chips_locked);
	kref_put(&chip->ref, ifpp_chip_release);
}

/*
 * Room for one more record: the chip that went first makes it, if nobody has it open any more and
 * it can tell all of it again. That is not so for one that is to be locked, or has a key in doubt.
 */
static bool ifpp_chips_room(void)
{
	struct ifpp_chip *chip;

	if (atomic_read(&ifpp_chips_known) < IFPP_RECORDS_MAX)
		return true;
	list_for_each_entry(chip, &ifpp_absent, absent) {
		if (kref_read(&chip->ref) > 1 || chip->rec.state == IFPP_STATE_LOCKING ||
		    chip->rec.unknown)
			continue;
		ifpp_chip_drop(chip);
		return true;
	}
	return false;
}

static void ifpp_dev_release(struct device *d)
{
	struct ifpp_dev *dev = container_of(d, struct ifpp_dev, dev);

	kref_put(&dev->chip->ref, ifpp_chip_release);
	kfree(dev);
}

static struct ifpp_dev *ifpp_dev_new(struct ifpp_chip *chip, u32 index,
				     wait_queue_head_t *relay_wait)
{
	struct ifpp_dev *dev;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return NULL;
	kref_get(&chip->ref);
	dev->chip = chip;
	dev->index = index;
	dev->relay_wait = relay_wait;
	ifpp_queue_init(dev);
	device_initialize(&dev->dev);
	dev->dev.class = ifpp_chip_class;
	dev->dev.devt = ifpp_first + index;
	dev->dev.release = ifpp_dev_release;
	cdev_init(&dev->cdev, ifpp_chip_fops);
	dev->cdev.owner = THIS_MODULE;
	if (dev_set_name(&dev->dev, "ifpp%u", index)) {
		put_device(&dev->dev);
		return NULL;
	}
	return dev;
}

/* Everybody who waits leaves, nobody comes again; the record stays. */
static void ifpp_dev_end(struct ifpp_dev *dev)
{
	struct ifpp_chip *chip = dev->chip;
	bool told = chip->dev;

	lockdep_assert_held(&ifpp_chips_mutex);
	mutex_lock(&chip->lock);
	chip->dev = NULL;
	chip->rec.online = false;
	WRITE_ONCE(dev->gone, true);
	ifpp_queue_abort(dev, -ENODEV);
	WRITE_ONCE(dev->changes, dev->changes + 1);
	ifpp_wake(dev);
	if (told)
		ifpp_announce_dev(dev, IFPP_CMD_DEV_DEL_NTF);
	mutex_unlock(&chip->lock);
	ifpp_queue_stop(dev);
	list_add_tail(&chip->absent, &ifpp_absent);
}

/* The record takes the report; a chip that ought to be locked begins to be. */
static int ifpp_take_report(struct ifpp_chip *chip, const struct ifpp_report *rep, u32 index)
{
	enum ifpp_tamper_kind kind;
	int err;

	err = ifpp_core_report(&chip->rec, rep, &kind);
	if (err == -EBADE)
		ifpp_announce_tamper(index, chip->rec.state, kind);
	if (err)
		return err;
	if (ifpp_host_sweeps())
		ifpp_core_lock(&chip->rec);
	return 0;
}

/**
 * ifpp_attach() - a relay brings a chip
 * @eid: of the chip
 * @rep: the chip's word
 * @index: reserved in ifpp_devs
 * @relay_wait: where the relay waits for requests, until ifpp_detach()
 *
 * Return: the chip's device, registered; ifpp_detach() ends it. ERR_PTR(-EBUSY)
 * if another relay serves the chip, -EBADE if the report contradicts its record,
 * -ENOSPC if there is no room for one more record.
 */
struct ifpp_dev *ifpp_attach(const u8 *eid, const struct ifpp_report *rep, u32 index,
			     wait_queue_head_t *relay_wait)
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
	err = -ENOSPC;
	if (new && !ifpp_chips_room())
		goto out;
	if (new)
		chip = ifpp_chip_new(eid, rep);
	err = -ENOMEM;
	if (!chip)
		goto out;
	err = -EBUSY;
	if (chip->dev)
		goto out;
	err = -ENOMEM;
	dev = ifpp_dev_new(chip, index, relay_wait);
	if (!dev)
		goto drop;

	mutex_lock(&chip->lock);
	err = ifpp_take_report(chip, rep, index);
	if (err) {
		mutex_unlock(&chip->lock);
		goto put;
	}
	chip->rec.online = true;
	ifpp_host_track(chip);
	dev->ev_state = chip->rec.state;
	dev->ev_unspent = chip->rec.unspent;
	dev->ev_unknown = chip->rec.unknown;
	dev->ev_keys = chip->rec.unspent;
	mutex_unlock(&chip->lock);
	if (new) {
		hash_add(ifpp_chips, &chip->node, ifpp_eid_hash(eid));
		atomic_inc(&ifpp_chips_known);
	}
	new = false;
	list_del_init(&chip->absent);

	err = cdev_device_add(&dev->cdev, &dev->dev);
	if (err) {
		ifpp_dev_end(dev);
		goto put;
	}
	/* Cannot fail, the index is reserved. */
	xa_store(&ifpp_devs, index, dev, GFP_KERNEL);
	ifpp_devs_seq++;

	mutex_lock(&chip->lock);
	chip->dev = dev;
	ifpp_announce_dev(dev, IFPP_CMD_DEV_ADD_NTF);
	ifpp_queue_kick(dev);
	mutex_unlock(&chip->lock);
	mutex_unlock(&ifpp_chips_mutex);
	return dev;

put:
	put_device(&dev->dev);
drop:
	if (new)
		kref_put(&chip->ref, ifpp_chip_release);
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
	mutex_lock(&ifpp_chips_mutex);
	ifpp_dev_end(dev);
	cdev_device_del(&dev->cdev, &dev->dev);
	xa_erase(&ifpp_devs, dev->index);
	ifpp_devs_seq++;
	mutex_unlock(&ifpp_chips_mutex);
	put_device(&dev->dev);
}

/**
 * ifpp_chips_init() - before anything is attached
 * @class: of the devices
 * @fops: of their nodes
 *
 * Return: 0 or an error.
 */
int __init ifpp_chips_init(const struct class *class, const struct file_operations *fops)
{
	ifpp_chip_class = class;
	ifpp_chip_fops = fops;
	return alloc_chrdev_region(&ifpp_first, 0, IFPP_CHIPS_MAX, "ifpp");
}

void ifpp_chips_exit(void)
{
	struct hlist_node *next;
	struct ifpp_chip *chip;
	int i;

	hash_for_each_safe(ifpp_chips, i, next, chip, node)
		ifpp_chip_drop(chip);
	xa_destroy(&ifpp_devs);
	unregister_chrdev_region(ifpp_first, IFPP_CHIPS_MAX);
}
