// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ifppN, the factory-only interface: write() one sealed package, read() its
 * result, as with /dev/tpm0.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "ifpp.h"

static unsigned int ifpp_pkg_max = 256 * 1024;
module_param_named(pkg_max, ifpp_pkg_max, uint, 0444);
MODULE_PARM_DESC(pkg_max, "Largest package accepted, bytes");

static int ifpp_front_open(struct inode *inode, struct file *filp)
{
	struct ifpp_dev *dev = container_of(inode->i_cdev, struct ifpp_dev, cdev);
	struct ifpp_file *file;

	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	/* The node may have gone between its lookup and here. */
	if (READ_ONCE(dev->gone)) {
		kfree(file);
		return -ENODEV;
	}
	get_device(&dev->dev);
	file->dev = dev;
	file->changes = READ_ONCE(dev->changes);
	filp->private_data = file;
	return stream_open(inode, filp);
}

/* A load goes on without its client; its result is in the daemon's outbox. */
static int ifpp_front_release(struct inode *inode, struct file *filp)
{
	struct ifpp_file *file = filp->private_data;

	if (file->req)
		ifpp_request_put(file->req);
	put_device(&file->dev->dev);
	kfree(file);
	return 0;
}

static void ifpp_count_refused(struct ifpp_dev *dev)
{
	mutex_lock(&dev->chip->lock);
	dev->chip->refused++;
	mutex_unlock(&dev->chip->lock);
}

/* Submit @req if there is one, else tell whether a package could be; -EAGAIN: wait. */
static int ifpp_front_try(struct ifpp_file *file, const struct ifpp_pkg_hdr *hdr,
			  struct ifpp_request *req)
{
	struct ifpp_dev *dev = file->dev;
	int err;

	mutex_lock(&dev->chip->lock);
	err = file->req ? -EBUSY : ifpp_queue_may(dev, hdr);
	if (!err && req)
		err = ifpp_queue_put(dev, req);
	else if (!err && dev->req)
		err = -EAGAIN;
	if (!err && req)
		file->req = req;
	mutex_unlock(&dev->chip->lock);
	return err;
}

static ssize_t ifpp_front_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	unsigned int mode = ifpp_sleep_mode(iocb);
	struct ifpp_file *file = iocb->ki_filp->private_data;
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	size_t count = iov_iter_count(from);
	struct ifpp_dev *dev = file->dev;
	struct ifpp_pkg_hdr hdr = {};
	struct ifpp_request *req;
	int err;

	err = ifpp_hand_in(from, &hdr, min(count, sizeof(hdr)));
	if (err)
		return err;
	err = ifpp_core_header(&hdr, count, ifpp_pkg_max);
	if (err) {
		ifpp_count_refused(dev);
		return err;
	}

	/* Most refusals need no more than the header. */
	err = ifpp_front_try(file, &hdr, NULL);
	if (err && (err != -EAGAIN || !mode))
		return err;

	req = ifpp_request_new(IFPP_REQ_LOAD, count);
	if (!req)
		return -ENOMEM;
	/* The header that was checked is the header that travels. */
	memcpy(req->data, &hdr, sizeof(hdr));
	err = ifpp_hand_in(from, req->data + sizeof(hdr), count - sizeof(hdr));
	if (err)
		goto put;

	add_wait_queue_exclusive(&dev->slot, &wait);
	do {
		err = ifpp_front_try(file, &hdr, req);
	} while (err == -EAGAIN && !(err = ifpp_sleep(&wait, mode)));
	remove_wait_queue(&dev->slot, &wait);
	if (!err)
		return count;
	/* The slot may have been offered to this one. */
	wake_up(&dev->slot);
put:
	ifpp_request_put(req);
	return err;
}

/*
 * Take the result out of the file: @req has a reference. Until it is handed out for good the file
 * stays busy, and a reader that faults leaves it for the next.
 */
static int ifpp_front_take(struct ifpp_file *file, size_t count, struct ifpp_request **req)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_request *mine;
	int err = 0;

	mutex_lock(&dev->chip->lock);
	mine = file->req;
	if (!mine) {
		err = dev->gone ? -ENODEV : -ENODATA;
	} else if (!mine->done || file->copying) {
		err = -EAGAIN;
	} else if (count < sizeof(mine->result) + mine->result.pir_len) {
		err = -EMSGSIZE;
	} else {
		file->copying = true;
		kref_get(&mine->ref);
		*req = mine;
	}
	mutex_unlock(&dev->chip->lock);
	return err;
}

static void ifpp_front_taken(struct ifpp_file *file, struct ifpp_request *req, bool copied)
{
	struct ifpp_dev *dev = file->dev;

	mutex_lock(&dev->chip->lock);
	file->copying = false;
	if (copied) {
		file->req = NULL;
		ifpp_request_put(req);
	}
	mutex_unlock(&dev->chip->lock);
	ifpp_wake_done(dev);
	ifpp_request_put(req);
}

static ssize_t ifpp_front_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	unsigned int mode = ifpp_sleep_mode(iocb);
	struct ifpp_file *file = iocb->ki_filp->private_data;
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	size_t count = iov_iter_count(to);
	struct ifpp_dev *dev = file->dev;
	struct ifpp_request *req;
	size_t len;
	int err;

	add_wait_queue(&dev->wait, &wait);
	do {
		err = ifpp_front_take(file, count, &req);
	} while (err == -EAGAIN && !(err = ifpp_sleep(&wait, mode)));
	remove_wait_queue(&dev->wait, &wait);
	if (err)
		return err;

	len = sizeof(req->result) + req->result.pir_len;
	err = ifpp_hand_out(to, &req->result, sizeof(req->result), req->answer,
			    req->result.pir_len);
	ifpp_front_taken(file, req, !err);
	return err ?: len;
}

static __poll_t ifpp_front_poll(struct file *filp, poll_table *wait)
{
	struct ifpp_file *file = filp->private_data;
	struct ifpp_dev *dev = file->dev;
	struct ifpp_chip *chip = dev->chip;
	__poll_t mask = 0;

	poll_wait(filp, &dev->watch, wait);
	mutex_lock(&chip->lock);
	if (file->req && file->req->done)
		mask |= EPOLLIN | EPOLLRDNORM;
	/* A locked chip refuses a write at once, so a write does not block. */
	if (!file->req && (!dev->req || chip->rec.state >= IFPP_STATE_LOCKING))
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (file->changes != dev->changes)
		mask |= EPOLLPRI;
	if (dev->gone) {
		mask |= EPOLLHUP | EPOLLERR;
		mask &= ~(EPOLLOUT | EPOLLWRNORM);
	}
	mutex_unlock(&chip->lock);
	return mask;
}

/* What an ioctl takes, and gives back. */
union ifpp_arg {
	struct {
		u32 size;
		u32 flags;
	};
	struct ifpp_info info;
	struct ifpp_keys keys;
	struct ifpp_delete del;
	struct ifpp_lock lock;
};

static int ifpp_ioc_info(struct ifpp_file *file, union ifpp_arg *arg, u32 type)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_info *info = &arg->info;

	*info = (struct ifpp_info){
		.index = dev->index,
		.host_state = ifpp_host_state(),
		.pkg_max = ifpp_pkg_max,
	};

	mutex_lock(&chip->lock);
	if (!dev->gone)
		info->flags |= IFPP_INFO_ONLINE;
	memcpy(info->eid, chip->rec.eid, sizeof(info->eid));
	info->state = chip->rec.state;
	info->keys_unspent = chip->rec.unspent;
	info->keys_unknown = chip->rec.unknown;
	info->keys_spent = chip->rec.spent;
	info->loads = chip->loads;
	info->installed = chip->installed;
	info->failed = chip->failed;
	info->refused = chip->refused;
	file->changes = dev->changes;
	mutex_unlock(&chip->lock);
	return 0;
}

static int ifpp_ioc_keys(struct ifpp_file *file, union ifpp_arg *arg, u32 type)
{
	struct ifpp_chip *chip = file->dev->chip;
	struct ifpp_keys *keys = &arg->keys;
	struct ifpp_key *copy;
	int err = 0;
	size_t len;

	if (keys->flags)
		return -EOPNOTSUPP;
	if (keys->reserved)
		return -EINVAL;

	mutex_lock(&chip->lock);
	len = min(keys->count, chip->rec.n_keys) * sizeof(*copy);
	keys->count = chip->rec.n_keys;
	copy = kmemdup(chip->keys, len, GFP_KERNEL);
	mutex_unlock(&chip->lock);
	if (!copy)
		return -ENOMEM;
	if (copy_to_user(u64_to_user_ptr(keys->keys), copy, len))
		err = -EFAULT;
	kfree(copy);
	return err;
}

/* Only a deadly signal ends it, and a machine that goes to sleep does not wait for it. */
#define IFPP_SLEEP	(TASK_KILLABLE | TASK_FREEZABLE)

/*
 * Put a request of @file's own into the slot and wait for its end. Unlike a load
 * there is no later read() to fetch the outcome, so only a deadly signal ends the
 * wait; the relay's deadline bounds it.
 */
static int ifpp_front_do(struct ifpp_file *file, struct ifpp_request *req)
{
	DEFINE_WAIT_FUNC(slot, woken_wake_function);
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct ifpp_dev *dev = file->dev;
	int err;

	add_wait_queue(&dev->slot, &slot);
	do {
		mutex_lock(&dev->chip->lock);
		/* A chip may begin to be locked while somebody waits to delete its keys. */
		err = ifpp_queue_open(dev, req->type) ?: ifpp_queue_put(dev, req);
		mutex_unlock(&dev->chip->lock);
	} while (err == -EAGAIN && !(err = ifpp_sleep(&slot, IFPP_SLEEP)));
	remove_wait_queue(&dev->slot, &slot);

	add_wait_queue(&dev->wait, &wait);
	/* Pairs with ifpp_finish(). */
	while (!err && !smp_load_acquire(&req->done))
		err = ifpp_sleep(&wait, IFPP_SLEEP);
	remove_wait_queue(&dev->wait, &wait);
	return err ?: req->result.status;
}

static int ifpp_ioc_delete(struct ifpp_file *file, union ifpp_arg *arg, u32 type)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_request *req;
	bool none;
	int err;

	if (arg->flags)
		return -EOPNOTSUPP;
	arg->del.deleted = 0;
	mutex_lock(&dev->chip->lock);
	none = dev->chip->rec.state == IFPP_STATE_DRAINED && !dev->gone;
	mutex_unlock(&dev->chip->lock);
	if (none && type == IFPP_REQ_DELETE_KEYS)
		return 0;

	req = ifpp_request_new(type, 0);
	if (!req)
		return -ENOMEM;
	err = ifpp_front_do(file, req);
	/* After an error it may still be in work. */
	if (!err)
		arg->del.deleted = req->deleted;
	ifpp_request_put(req);
	return err;
}

static int ifpp_ioc_lock(struct ifpp_file *file, union ifpp_arg *arg, u32 type)
{
	struct ifpp_lock *lock = &arg->lock;
	struct ifpp_dev *dev = file->dev;
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_request *req;
	u32 room, len;
	int err;

	if (lock->flags)
		return -EOPNOTSUPP;
	if (lock->reserved)
		return -EINVAL;
	req = ifpp_request_new(type, IFPP_CHALLENGE_LEN);
	if (!req)
		return -ENOMEM;
	memcpy(req->data, lock->challenge, IFPP_CHALLENGE_LEN);

	/*
	 * From here on the chip is LOCKING, even if its relay is gone already. If it has
	 * another by now, that one has to lock it: this file only learns that its own is gone.
	 */
	mutex_lock(&chip->lock);
	dev->lock_sent = true;
	ifpp_unit_lock(dev);
	if (chip->dev && chip->dev != dev) {
		ifpp_unit_lock(chip->dev);
		ifpp_queue_kick(chip->dev);
	}
	mutex_unlock(&chip->lock);

	err = ifpp_front_do(file, req);
	if (err) {
		/* If it never got as far as the relay, the kernel asks in its place. */
		mutex_lock(&chip->lock);
		if (!req->id) {
			dev->lock_sent = false;
			ifpp_queue_kick(dev);
		}
		mutex_unlock(&chip->lock);
		goto put;
	}

	room = lock->receipt_len;
	len = req->result.pir_len;
	lock->receipt_len = len;
	if (len > room)
		err = -EMSGSIZE;
	else if (copy_to_user(u64_to_user_ptr(lock->receipt), req->answer, len))
		err = -EFAULT;
put:
	ifpp_request_put(req);
	return err;
}

/* By number; those that make a request of the relay want a file that may write. */
static const struct {
	int (*fn)(struct ifpp_file *file, union ifpp_arg *arg, u32 type);
	u32 size;
	u32 type;
} ifpp_ioctls[] = {
	[_IOC_NR(IFPP_IOC_INFO)]	= { ifpp_ioc_info, sizeof(struct ifpp_info) },
	[_IOC_NR(IFPP_IOC_KEYS)]	= { ifpp_ioc_keys, sizeof(struct ifpp_keys) },
	[_IOC_NR(IFPP_IOC_DELETE_KEYS)]	= { ifpp_ioc_delete, sizeof(struct ifpp_delete),
					    IFPP_REQ_DELETE_KEYS },
	[_IOC_NR(IFPP_IOC_LOCK)]	= { ifpp_ioc_lock, sizeof(struct ifpp_lock),
					    IFPP_REQ_LOCK },
	[_IOC_NR(IFPP_IOC_REWORK)]	= { ifpp_ioc_delete, sizeof(struct ifpp_delete),
					    IFPP_REQ_REWORK },
};

static long ifpp_front_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	unsigned int nr = cmd - _IO(IFPP_IOC_MAGIC, 0);
	void __user *uarg = (void __user *)arg;
	union ifpp_arg a;
	int err;

	if (nr >= ARRAY_SIZE(ifpp_ioctls))
		return ifpp_ioctl_unknown(cmd);
	nr = array_index_nospec(nr, ARRAY_SIZE(ifpp_ioctls));
	if (ifpp_ioctls[nr].type && !(filp->f_mode & FMODE_WRITE))
		return -EBADF;
	err = ifpp_ioctl_take(&a, ifpp_ioctls[nr].size, uarg);
	if (err)
		return err;
	err = ifpp_ioctls[nr].fn(filp->private_data, &a, ifpp_ioctls[nr].type);
	a.size = ifpp_ioctls[nr].size;
	/* With EMSGSIZE comes the size that is wanted. */
	if ((!err || err == -EMSGSIZE) && copy_to_user(uarg, &a, a.size))
		err = -EFAULT;
	return err;
}

const struct file_operations ifpp_front_fops = {
	.owner		= THIS_MODULE,
	.open		= ifpp_front_open,
	.release	= ifpp_front_release,
	.read_iter	= ifpp_front_read_iter,
	.write_iter	= ifpp_front_write_iter,
	.poll		= ifpp_front_poll,
	.unlocked_ioctl	= ifpp_front_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};
