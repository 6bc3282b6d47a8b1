// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ifppN, the factory-only interface: write() one sealed package, read() its
 * result, as with /dev/tpm0.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
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
			  struct ifpp_request *req, unsigned int *changes)
{
	struct ifpp_dev *dev = file->dev;
	int err;

	mutex_lock(&dev->chip->lock);
	*changes = dev->changes;
	err = file->req ? -EBUSY : ifpp_queue_may(dev, hdr);
	if (!err && req)
		err = ifpp_queue_put(dev, req);
	else if (!err && dev->req)
		err = -EAGAIN;
	if (!err && req)
		WRITE_ONCE(file->req, req);
	mutex_unlock(&dev->chip->lock);
	return err;
}

static ssize_t ifpp_front_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	bool nonblock = iocb->ki_filp->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT;
	struct ifpp_file *file = iocb->ki_filp->private_data;
	size_t count = iov_iter_count(from);
	struct ifpp_dev *dev = file->dev;
	struct ifpp_pkg_hdr hdr = {};
	struct ifpp_request *req;
	unsigned int changes;
	int err;

	if (!copy_from_iter_full(&hdr, min(count, sizeof(hdr)), from))
		return -EFAULT;
	err = ifpp_core_header(&hdr, count, ifpp_pkg_max);
	if (err) {
		ifpp_count_refused(dev);
		return err;
	}

	/* Most refusals need no more than the header. */
	err = ifpp_front_try(file, &hdr, NULL, &changes);
	if (err && (err != -EAGAIN || nonblock))
		return err;

	req = ifpp_request_new(IFPP_REQ_LOAD, count);
	if (!req)
		return -ENOMEM;
	/* The header that was checked is the header that travels. */
	memcpy(req->data, &hdr, sizeof(hdr));
	if (!copy_from_iter_full(req->data + sizeof(hdr), count - sizeof(hdr), from)) {
		err = -EFAULT;
		goto put;
	}

	while ((err = ifpp_front_try(file, &hdr, req, &changes)) == -EAGAIN) {
		if (nonblock)
			break;
		err = wait_event_interruptible_exclusive(dev->slot, !READ_ONCE(dev->req) ||
							 READ_ONCE(dev->changes) != changes);
		if (err)
			break;
	}
	if (!err)
		return count;
	/* The slot may have been offered to this one. */
	wake_up(&dev->slot);
put:
	ifpp_request_put(req);
	return err;
}

/*
 * Take the result out of the file. Until it is handed out for good the file
 * stays busy, and a reader that faults leaves it for the next. The caller has a
 * reference to *@req if that is not NULL.
 */
static int ifpp_front_take(struct ifpp_file *file, size_t count, struct ifpp_request **req)
{
	struct ifpp_dev *dev = file->dev;
	int err = 0;

	mutex_lock(&dev->chip->lock);
	*req = file->req;
	if (*req)
		kref_get(&(*req)->ref);
	if (!*req)
		err = dev->gone ? -ENODEV : -ENODATA;
	else if (!(*req)->done || file->copying)
		err = -EAGAIN;
	else if (count < sizeof((*req)->result) + (*req)->result.pir_len)
		err = -EMSGSIZE;
	else
		WRITE_ONCE(file->copying, true);
	mutex_unlock(&dev->chip->lock);
	return err;
}

static void ifpp_front_taken(struct ifpp_file *file, struct ifpp_request *req, bool copied)
{
	struct ifpp_dev *dev = file->dev;

	mutex_lock(&dev->chip->lock);
	WRITE_ONCE(file->copying, false);
	if (copied) {
		WRITE_ONCE(file->req, NULL);
		ifpp_request_put(req);
	}
	mutex_unlock(&dev->chip->lock);
	ifpp_wake_done(dev);
}

static ssize_t ifpp_front_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	bool nonblock = iocb->ki_filp->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT;
	struct ifpp_file *file = iocb->ki_filp->private_data;
	size_t count = iov_iter_count(to);
	struct ifpp_dev *dev = file->dev;
	struct ifpp_request *req;
	size_t len;
	int err;

	while ((err = ifpp_front_take(file, count, &req)) == -EAGAIN) {
		if (!nonblock)
			err = wait_event_interruptible(dev->wait, READ_ONCE(file->req) != req ||
						       (READ_ONCE(req->done) &&
							!READ_ONCE(file->copying)));
		ifpp_request_put(req);
		if (err)
			return err;
	}
	if (!err) {
		len = sizeof(req->result) + req->result.pir_len;
		if (copy_to_iter(&req->result, sizeof(req->result), to) != sizeof(req->result) ||
		    copy_to_iter(req->answer, req->result.pir_len, to) != req->result.pir_len)
			err = -EFAULT;
		ifpp_front_taken(file, req, !err);
	}
	if (req)
		ifpp_request_put(req);
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

static long ifpp_ioc_info(struct ifpp_file *file, void __user *arg)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_info info;
	int err;

	err = ifpp_copy_from_user(&info, sizeof(info), arg);
	if (err)
		return err;
	info = (struct ifpp_info){
		.size = sizeof(info),
		.index = dev->index,
		.host_state = ifpp_host_state(),
		.pkg_max = ifpp_pkg_max,
	};

	mutex_lock(&chip->lock);
	if (!dev->gone)
		info.flags |= IFPP_INFO_ONLINE;
	memcpy(info.eid, chip->rec.eid, sizeof(info.eid));
	info.state = chip->rec.state;
	info.keys_unspent = chip->rec.unspent;
	info.keys_unknown = chip->rec.unknown;
	info.keys_spent = chip->rec.spent;
	info.loads = chip->loads;
	info.installed = chip->installed;
	info.failed = chip->failed;
	info.refused = chip->refused;
	file->changes = dev->changes;
	mutex_unlock(&chip->lock);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long ifpp_ioc_keys(struct ifpp_file *file, void __user *arg)
{
	struct ifpp_chip *chip = file->dev->chip;
	struct ifpp_key *copy = NULL;
	struct ifpp_keys keys;
	u32 n, count;
	long err;

	err = ifpp_copy_from_user(&keys, sizeof(keys), arg);
	if (err)
		return err;
	if (keys.flags)
		return -EOPNOTSUPP;
	if (keys.reserved)
		return -EINVAL;

	/* Keys are only ever added up to the record's fixed room. */
	n = min(keys.count, chip->rec.room);
	if (n) {
		copy = kcalloc(n, sizeof(*copy), GFP_KERNEL);
		if (!copy)
			return -ENOMEM;
	}
	mutex_lock(&chip->lock);
	count = chip->rec.n_keys;
	n = min(n, count);
	memcpy(copy, chip->keys, n * sizeof(*copy));
	mutex_unlock(&chip->lock);

	keys.size = sizeof(keys);
	keys.count = count;
	if (copy_to_user(u64_to_user_ptr(keys.keys), copy, n * sizeof(*copy)) ||
	    copy_to_user(arg, &keys, sizeof(keys)))
		err = -EFAULT;
	kfree(copy);
	return err;
}

/* Only a deadly signal ends it, and a machine that goes to sleep does not wait for it. */
#define ifpp_wait_event(wait, condition) \
	wait_event_state(wait, condition, (TASK_KILLABLE | TASK_FREEZABLE))

/*
 * Put a request of @file's own into the slot and wait for its end. Unlike a load
 * there is no later read() to fetch the outcome, so only a deadly signal ends the
 * wait; the relay's deadline bounds it.
 */
static int ifpp_front_do(struct ifpp_file *file, struct ifpp_request *req)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_chip *chip = dev->chip;
	int err;

	for (;;) {
		mutex_lock(&chip->lock);
		/* A chip may begin to be locked while somebody waits to delete its keys. */
		err = ifpp_queue_open(dev, req->type) ?: ifpp_queue_put(dev, req);
		mutex_unlock(&chip->lock);
		if (err != -EAGAIN)
			break;
		err = ifpp_wait_event(dev->slot, !READ_ONCE(dev->req) || READ_ONCE(dev->gone));
		if (err)
			return err;
	}
	if (err)
		return err;
	/* Pairs with ifpp_finish(). */
	return ifpp_wait_event(dev->wait, smp_load_acquire(&req->done)) ?: req->result.status;
}

static long ifpp_ioc_delete_keys(struct ifpp_file *file, void __user *arg)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_request *req;
	struct ifpp_delete del;
	bool none;
	long err;

	err = ifpp_copy_from_user(&del, sizeof(del), arg);
	if (err)
		return err;
	if (del.flags)
		return -EOPNOTSUPP;

	mutex_lock(&dev->chip->lock);
	none = dev->chip->rec.state == IFPP_STATE_DRAINED && !dev->gone;
	mutex_unlock(&dev->chip->lock);
	del.size = sizeof(del);
	del.deleted = 0;
	if (!none) {
		req = ifpp_request_new(IFPP_REQ_DELETE_KEYS, 0);
		if (!req)
			return -ENOMEM;
		err = ifpp_front_do(file, req);
		/* After an error it may still be in work. */
		if (!err)
			del.deleted = req->deleted;
		ifpp_request_put(req);
		if (err)
			return err;
	}
	return copy_to_user(arg, &del, sizeof(del)) ? -EFAULT : 0;
}

static long ifpp_ioc_lock(struct ifpp_file *file, void __user *arg)
{
	struct ifpp_dev *dev = file->dev;
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_request *req;
	struct ifpp_lock lock;
	u32 room, len;
	long err;

	err = ifpp_copy_from_user(&lock, sizeof(lock), arg);
	if (err)
		return err;
	if (lock.flags)
		return -EOPNOTSUPP;
	if (lock.reserved)
		return -EINVAL;
	lock.size = sizeof(lock);
	req = ifpp_request_new(IFPP_REQ_LOCK, IFPP_CHALLENGE_LEN);
	if (!req)
		return -ENOMEM;
	memcpy(req->data, lock.challenge, IFPP_CHALLENGE_LEN);

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

	room = lock.receipt_len;
	len = req->result.pir_len;
	lock.receipt_len = len;
	if (len > room)
		err = -EMSGSIZE;
	else if (copy_to_user(u64_to_user_ptr(lock.receipt), req->answer, len))
		err = -EFAULT;
	if (copy_to_user(arg, &lock, sizeof(lock)))
		err = -EFAULT;
put:
	ifpp_request_put(req);
	return err;
}

static long ifpp_front_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct ifpp_file *file = filp->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case IFPP_IOC_INFO:
		return ifpp_ioc_info(file, uarg);
	case IFPP_IOC_KEYS:
		return ifpp_ioc_keys(file, uarg);
	case IFPP_IOC_DELETE_KEYS:
	case IFPP_IOC_LOCK:
		if (!(filp->f_mode & FMODE_WRITE))
			return -EBADF;
		if (cmd == IFPP_IOC_LOCK)
			return ifpp_ioc_lock(file, uarg);
		return ifpp_ioc_delete_keys(file, uarg);
	default:
		return ifpp_no_ioctl(cmd);
	}
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
