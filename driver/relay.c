// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ifpp-relay, the daemon's end. One open file is one chip's relay: it
 * attaches the chip, read()s requests and write()s replies; its close detaches.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "ifpp.h"

/**
 * struct ifpp_relay - one open file
 * @lock:	serialises IFPP_RELAY_ATTACH
 * @wait:	the file's, so that poll() can wait for the attach as well
 * @dev:	the chip's device once attached
 */
struct ifpp_relay {
	struct mutex lock; /* attach */
	wait_queue_head_t wait;
	struct ifpp_dev *dev;
};

/* NULL before the attach; afterwards the same device for as long as the file is open. */
static struct ifpp_dev *ifpp_relay_dev(struct file *filp)
{
	struct ifpp_relay *relay = filp->private_data;

	/* Pairs with ifpp_relay_attach(): who sees the device sees it whole. */
	return smp_load_acquire(&relay->dev);
}

static int ifpp_relay_open(struct inode *inode, struct file *filp)
{
	struct ifpp_relay *relay;

	relay = kzalloc(sizeof(*relay), GFP_KERNEL);
	if (!relay)
		return -ENOMEM;
	mutex_init(&relay->lock);
	init_waitqueue_head(&relay->wait);
	filp->private_data = relay;
	return stream_open(inode, filp);
}

static int ifpp_relay_release(struct inode *inode, struct file *filp)
{
	struct ifpp_relay *relay = filp->private_data;

	if (relay->dev)
		ifpp_detach(relay->dev);
	kfree(relay);
	return 0;
}

static long ifpp_relay_attach(struct ifpp_relay *relay, struct ifpp_attach __user *uarg)
{
	struct ifpp_report rep = {};
	struct ifpp_attach att;
	struct ifpp_dev *dev;
	struct ifpp_key *keys = NULL;
	u32 index;
	int err;

	err = ifpp_ioctl_take(&att, sizeof(att), uarg);
	if (err)
		return err;
	if (att.flags)
		return -EOPNOTSUPP;
	if (att.n_keys > IFPP_KEYS_MAX)
		return -EINVAL;
	if (att.n_keys)
		keys = memdup_array_user(u64_to_user_ptr(att.keys), att.n_keys, sizeof(*keys));
	if (IS_ERR(keys))
		return PTR_ERR(keys);

	/* Its anchor may have been burnt since. */
	ifpp_host_look();
	mutex_lock(&relay->lock);
	err = -EBUSY;
	if (relay->dev)
		goto unlock;
	err = xa_alloc(&ifpp_devs, &index, NULL, XA_LIMIT(0, IFPP_CHIPS_MAX - 1), GFP_KERNEL);
	if (err) {
		err = err == -EBUSY ? -ENOSPC : err;
		goto unlock;
	}
	/* Tell the index first: an attach that the daemon does not learn of must not be. */
	err = -EFAULT;
	if (put_user(index, &uarg->index))
		goto erase;

	rep.state = att.state;
	rep.spent_count = att.spent_count;
	rep.n_keys = att.n_keys;
	rep.keys = keys;
	dev = ifpp_attach(att.eid, &rep, index, &relay->wait);
	err = PTR_ERR_OR_ZERO(dev);
	if (err)
		goto erase;
	/* Pairs with ifpp_relay_dev(). */
	smp_store_release(&relay->dev, dev);
	wake_up_all(&relay->wait);
	goto unlock;

erase:
	xa_erase(&ifpp_devs, index);
unlock:
	mutex_unlock(&relay->lock);
	kfree(keys);
	return err;
}

static int ifpp_relay_copy(const struct ifpp_request *req, struct iov_iter *to)
{
	struct ifpp_req hdr = {
		.size = sizeof(hdr),
		.id = req->id,
		.type = req->type,
		.timeout_ms = time_before(jiffies, req->expires) ?
			      jiffies_to_msecs(req->expires - jiffies) : 0,
		.len = req->len,
	};

	return ifpp_hand_out(to, &hdr, sizeof(hdr), req->data, req->len);
}

/* The next request, with a reference; -EAGAIN if there is none. */
static int ifpp_relay_take(struct ifpp_dev *dev, size_t count, struct ifpp_request **req)
{
	int err = -EMSGSIZE;

	mutex_lock(&dev->chip->lock);
	if (!dev->pending || count >= sizeof(struct ifpp_req) + dev->req->len) {
		*req = ifpp_queue_take(dev);
		err = *req ? 0 : -EAGAIN;
	}
	mutex_unlock(&dev->chip->lock);
	return err;
}

static int ifpp_relay_taken(struct ifpp_dev *dev, struct ifpp_request *req, int err)
{
	int stale;

	mutex_lock(&dev->chip->lock);
	stale = ifpp_queue_taken(dev, req, err);
	mutex_unlock(&dev->chip->lock);
	return err ?: stale;
}

static ssize_t ifpp_relay_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	unsigned int mode = ifpp_sleep_mode(iocb);
	struct ifpp_dev *dev = ifpp_relay_dev(iocb->ki_filp);
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	size_t count = iov_iter_count(to);
	struct ifpp_request *req;
	size_t len;
	int err;

	if (!dev)
		return -ENOTCONN;
	add_wait_queue(dev->relay_wait, &wait);
	do {
		err = ifpp_relay_take(dev, count, &req);
		if (err)
			continue;
		len = sizeof(struct ifpp_req) + req->len;
		err = ifpp_relay_taken(dev, req, ifpp_relay_copy(req, to));
		/* Its time ran out while it was being copied: hand out the next instead. */
		if (err == -ESTALE)
			iov_iter_revert(to, len);
	} while (err == -ESTALE || (err == -EAGAIN && !(err = ifpp_sleep(&wait, mode))));
	remove_wait_queue(dev->relay_wait, &wait);
	return err ?: len;
}

/* Memory with the next @len bytes, NULL if that is none. */
static void *ifpp_relay_dup(struct iov_iter *from, size_t len)
{
	void *p;
	int err;

	if (!len)
		return NULL;
	p = kmalloc(len, GFP_USER);
	if (!p)
		return ERR_PTR(-ENOMEM);
	err = ifpp_hand_in(from, p, len);
	if (!err)
		return p;
	kfree(p);
	return ERR_PTR(err);
}

static ssize_t ifpp_relay_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct ifpp_dev *dev = ifpp_relay_dev(iocb->ki_filp);
	size_t count = iov_iter_count(from), keys_len;
	struct ifpp_key *keys = NULL;
	struct ifpp_reply reply;
	void *answer = NULL;
	int err;

	if (!dev)
		return -ENOTCONN;
	if (count < sizeof(reply))
		return -EINVAL;
	err = ifpp_hand_in(from, &reply, sizeof(reply));
	if (err)
		return err;
	if (reply.size != sizeof(reply))
		return reply.size < sizeof(reply) ? -EINVAL : -E2BIG;
	if (reply.flags & ~IFPP_REPLY_REPORT)
		return -EOPNOTSUPP;
	if (reply.status > 0 || reply.status < -MAX_ERRNO ||
	    reply.n_keys > IFPP_KEYS_MAX || reply.len > IFPP_PIR_MAX ||
	    (reply.n_keys && !(reply.flags & IFPP_REPLY_REPORT)))
		return -EINVAL;
	keys_len = reply.n_keys * sizeof(*keys);
	if (count != sizeof(reply) + keys_len + reply.len)
		return -EINVAL;

	keys = ifpp_relay_dup(from, keys_len);
	if (IS_ERR(keys))
		return PTR_ERR(keys);
	answer = ifpp_relay_dup(from, reply.len);
	if (IS_ERR(answer)) {
		kfree(keys);
		return PTR_ERR(answer);
	}

	mutex_lock(&dev->chip->lock);
	err = ifpp_queue_reply(dev, &reply, keys, &answer);
	mutex_unlock(&dev->chip->lock);
	kfree(answer);
	kfree(keys);
	return err ?: count;
}

static __poll_t ifpp_relay_poll(struct file *filp, poll_table *wait)
{
	struct ifpp_relay *relay = filp->private_data;
	struct ifpp_dev *dev;

	poll_wait(filp, &relay->wait, wait);
	dev = ifpp_relay_dev(filp);
	if (!dev)
		return 0;
	if (READ_ONCE(dev->pending))
		return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
	return EPOLLOUT | EPOLLWRNORM;
}

static long ifpp_relay_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	if (cmd != IFPP_RELAY_ATTACH)
		return ifpp_ioctl_unknown(cmd);
	return ifpp_relay_attach(filp->private_data, (struct ifpp_attach __user *)arg);
}

static const struct file_operations ifpp_relay_fops = {
	.owner		= THIS_MODULE,
	.open		= ifpp_relay_open,
	.release	= ifpp_relay_release,
	.read_iter	= ifpp_relay_read_iter,
	.write_iter	= ifpp_relay_write_iter,
	.poll		= ifpp_relay_poll,
	.unlocked_ioctl	= ifpp_relay_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice ifpp_relay_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ifpp-relay",
	.mode	= 0600,
	.fops	= &ifpp_relay_fops,
};

int __init ifpp_relay_init(void)
{
	int err = misc_register(&ifpp_relay_misc);

	if (!err)
		ifpp_host_speaker(ifpp_relay_misc.this_device);
	return err;
}

void ifpp_relay_exit(void)
{
	ifpp_host_speaker(NULL);
	misc_deregister(&ifpp_relay_misc);
}
