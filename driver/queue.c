// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slot between the clients of a chip and its relay.
 *
 * A chip does one thing at a time, so a device has one slot. A request leaves it
 * exactly once, in ifpp_finish(), whoever comes first: the reply, the deadline or
 * the end of the relay. What comes later finds another id, or none: ESTALE.
 *
 * All of this runs under chip->lock.
 */
#include <linux/atomic.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "ifpp.h"
#include "trace.h"

unsigned int ifpp_timeout_ms = 180000;
module_param_named(timeout_ms, ifpp_timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "A relay's deadline for one request, ms");

static atomic64_t ifpp_last_id;

/**
 * ifpp_request_new() - allocate a request
 * @type: enum ifpp_req_type
 * @len: bytes of data for the relay
 *
 * The memory is charged to the caller's control group, so that nobody can make
 * the kernel hold packages for free.
 *
 * Return: the request with one reference, NULL without memory.
 */
struct ifpp_request *ifpp_request_new(u32 type, u32 len)
{
	struct ifpp_request *req;

	req = kzalloc(sizeof(*req), GFP_KERNEL_ACCOUNT);
	if (!req)
		return NULL;
	/* The data is about to be written over, do not clear 256 KiB for nothing. */
	req->data = len ? kvmalloc(len, GFP_KERNEL_ACCOUNT) : NULL;
	if (len && !req->data) {
		kfree(req);
		return NULL;
	}
	kref_init(&req->ref);
	req->type = type;
	req->len = len;
	req->submitted = ktime_get_ns();
	return req;
}

/* Nobody reads it any more: a result that is not fetched does not keep its package. */
static void ifpp_request_forget(struct ifpp_request *req)
{
	kvfree(req->data);
	req->data = NULL;
}

static void ifpp_request_release(struct kref *ref)
{
	struct ifpp_request *req = container_of(ref, struct ifpp_request, ref);

	kvfree(req->answer);
	kvfree(req->data);
	kfree(req);
}

/**
 * ifpp_request_put() - drop a reference
 * @req: the request
 */
void ifpp_request_put(struct ifpp_request *req)
{
	kref_put(&req->ref, ifpp_request_release);
}

static const struct ifpp_pkg_hdr *ifpp_request_hdr(const struct ifpp_request *req)
{
	return (const struct ifpp_pkg_hdr *)req->data;
}

/**
 * ifpp_wake_done() - wake who waits for a result
 * @dev: the device
 */
void ifpp_wake_done(struct ifpp_dev *dev)
{
	wake_up_all(&dev->wait);
	wake_up_all(&dev->watch);
}

/**
 * ifpp_wake() - wake all clients of a device
 * @dev: the device
 *
 * For a lock, or the end of the relay. A change of the record alone concerns poll() only,
 * see ifpp_announce_change().
 */
void ifpp_wake(struct ifpp_dev *dev)
{
	wake_up_all(&dev->slot);
	ifpp_wake_done(dev);
}

/**
 * ifpp_queue_open() - may a request of this type leave for the relay
 * @dev: the device
 * @type: enum ifpp_req_type
 *
 * Return: 0, or why nothing that the production lock ends may.
 */
int ifpp_queue_open(struct ifpp_dev *dev, u32 type)
{
	if (type == IFPP_REQ_LOCK || type == IFPP_REQ_REFRESH)
		return 0;
	return ifpp_core_open(&dev->chip->rec, ifpp_host_state());
}

static void ifpp_finish(struct ifpp_dev *dev, int status)
{
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_request *req = dev->req;
	struct ifpp_result *result = &req->result;

	lockdep_assert_held(&chip->lock);
	result->size = sizeof(*result);
	result->status = status;
	result->keys_left = chip->rec.unspent;
	result->total_ns = ktime_get_ns() - req->submitted;
	result->queue_ns = req->dispatched ? req->left - req->submitted : result->total_ns;
	trace_ifpp_result(dev->index, req);

	if (req->type == IFPP_REQ_LOAD) {
		memcpy(result->key_id, ifpp_request_hdr(req)->key_id, sizeof(result->key_id));
		if (req->dispatched && !status)
			chip->installed++;
		else if (req->dispatched)
			chip->failed++;
		ifpp_announce_load(dev, result);
	}

	/* Do not leave a key in doubt. Ask once, not a dead relay for ever. */
	if (req->dispatched && req->type != IFPP_REQ_REFRESH && chip->rec.unknown)
		dev->want_refresh = true;

	/* Pairs with ifpp_front_do(): who sees it sees the outcome as well. */
	smp_store_release(&req->done, true);
	dev->req = NULL;
	WRITE_ONCE(dev->pending, false);
	if (!req->copying)
		ifpp_request_forget(req);
	ifpp_request_put(req);
	ifpp_announce_change(dev);
	ifpp_queue_kick(dev);
	/* The slot is for one: who is woken and does not take it passes it on. */
	if (!dev->req)
		wake_up(&dev->slot);
	ifpp_wake_done(dev);
}

/**
 * ifpp_queue_may() - may a package be submitted now
 * @dev: the device
 * @hdr: its header, checked
 *
 * Return: 0; -EAGAIN if it depends on the request in the slot; else why not.
 */
int ifpp_queue_may(struct ifpp_dev *dev, const struct ifpp_pkg_hdr *hdr)
{
	struct ifpp_chip *chip = dev->chip;
	int err;

	lockdep_assert_held(&chip->lock);
	if (dev->gone)
		return -ENODEV;

	err = ifpp_core_submit(&chip->rec, ifpp_host_state(), hdr);
	if (err == -EKEYREJECTED && chip->rec.unknown) {
		if (dev->req)
			return -EAGAIN;
		dev->want_refresh = true;
		ifpp_queue_kick(dev);
	}
	if (err)
		chip->refused++;
	return err;
}

static void ifpp_queue_alarm(struct ifpp_dev *dev, unsigned long when)
{
	unsigned long now = jiffies;

	dev->alarm = when;
	/* A relay that sleeps with the machine is not late. */
	mod_delayed_work(system_freezable_wq, &dev->deadline,
			 time_after(when, now) ? when - now : 0);
}

/**
 * ifpp_queue_put() - put a request into the slot
 * @dev: the device
 * @req: the request; the slot takes a reference of its own
 *
 * Return: 0, -EAGAIN if the slot is taken, -ENODEV if the relay is gone.
 */
int ifpp_queue_put(struct ifpp_dev *dev, struct ifpp_request *req)
{
	lockdep_assert_held(&dev->chip->lock);
	if (dev->gone)
		return -ENODEV;
	if (dev->req)
		return -EAGAIN;

	req->id = atomic64_inc_return(&ifpp_last_id);
	req->expires = jiffies + msecs_to_jiffies(READ_ONCE(ifpp_timeout_ms));
	kref_get(&req->ref);
	dev->req = req;
	WRITE_ONCE(dev->pending, true);
	if (req->type == IFPP_REQ_LOCK)
		dev->lock_sent = true;
	/*
	 * An alarm still set for an earlier request is left alone: when it goes off,
	 * ifpp_deadline() sets it anew. Unless it is too late for this one.
	 */
	if (!delayed_work_pending(&dev->deadline) || time_before(req->expires, dev->alarm))
		ifpp_queue_alarm(dev, req->expires);
	trace_ifpp_submit(dev->index, req);
	wake_up_all(dev->relay_wait);
	return 0;
}

/**
 * ifpp_queue_kick() - send what the kernel itself has to ask of the relay
 * @dev: the device
 *
 * A chip that is LOCKING gets one LOCK from each relay without being asked.
 */
void ifpp_queue_kick(struct ifpp_dev *dev)
{
	struct ifpp_request *req;
	bool lock;

	lockdep_assert_held(&dev->chip->lock);
	lock = dev->chip->rec.state == IFPP_STATE_LOCKING && !dev->lock_sent;
	if (dev->gone || dev->req || !(lock || dev->want_refresh))
		return;

	if (lock)
		req = ifpp_request_new(IFPP_REQ_LOCK, IFPP_CHALLENGE_LEN);
	else
		req = ifpp_request_new(IFPP_REQ_REFRESH, 0);
	if (!req) {
		/* The deadline's work comes back here. */
		ifpp_queue_alarm(dev, jiffies + HZ);
		return;
	}
	if (lock)
		get_random_bytes(req->data, IFPP_CHALLENGE_LEN);
	else
		dev->want_refresh = false;
	ifpp_queue_put(dev, req);
	ifpp_request_put(req);
}

/**
 * ifpp_queue_take() - the relay wants the next request
 * @dev: the device
 *
 * Return: a request with a reference, to be given back with ifpp_queue_taken();
 * NULL if there is none.
 */
struct ifpp_request *ifpp_queue_take(struct ifpp_dev *dev)
{
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_request *req;
	int err;

	lockdep_assert_held(&chip->lock);
	while (dev->pending) {
		req = dev->req;
		/* A read() may have failed meanwhile, and this be the next. */
		err = req->dispatched ? ifpp_queue_open(dev, req->type) :
					ifpp_core_dispatch(&chip->rec, ifpp_host_state(), req->type,
							   ifpp_request_hdr(req));
		if (err) {
			ifpp_finish(dev, err);
			continue;
		}
		if (!req->dispatched) {
			req->dispatched = true;
			req->left = ktime_get_ns();
			if (req->type == IFPP_REQ_LOAD)
				chip->loads++;
			trace_ifpp_dispatch(dev->index, req);
			ifpp_announce_change(dev);
		}
		req->copying = true;
		WRITE_ONCE(dev->pending, false);
		kref_get(&req->ref);
		return req;
	}
	return NULL;
}

/**
 * ifpp_queue_taken() - the relay has copied a request, or failed to
 * @dev: the device
 * @req: from ifpp_queue_take(); its reference is dropped
 * @err: 0, or why it failed: the request waits for the next read
 *
 * Return: 0, or -ESTALE if the request ended meanwhile.
 */
int ifpp_queue_taken(struct ifpp_dev *dev, struct ifpp_request *req, int err)
{
	int ret = 0;

	lockdep_assert_held(&dev->chip->lock);
	req->read = !err;
	req->copying = false;
	if (req->done) {
		ifpp_request_forget(req);
		ret = -ESTALE;
	} else if (err) {
		WRITE_ONCE(dev->pending, true);
		wake_up_all(dev->relay_wait);
	}
	ifpp_request_put(req);
	return ret;
}

/**
 * ifpp_queue_reply() - the relay answers
 * @dev: the device
 * @reply: the reply, its reserved fields and lengths checked
 * @keys: its keys
 * @answer: PIR or receipt, @reply->len bytes; taken over (and set to NULL) if the
 *	request ends here
 *
 * Return: 0; -ESTALE, -EINVAL or -EBADE as the uapi header says.
 */
int ifpp_queue_reply(struct ifpp_dev *dev, const struct ifpp_reply *reply,
		     const struct ifpp_key *keys, void **answer)
{
	struct ifpp_chip *chip = dev->chip;
	struct ifpp_request *req = dev->req;
	struct ifpp_report rep = {
		.state = reply->state,
		.spent_count = reply->spent_count,
		.n_keys = reply->n_keys,
		.keys = keys,
	};
	enum ifpp_tamper_kind kind;
	int status = reply->status;
	int err;

	lockdep_assert_held(&chip->lock);
	if (!req || !req->read || req->id != reply->id)
		return -ESTALE;
	if (req->type != reply->type)
		return -EINVAL;
	/* A lock without receipt proves nothing. */
	if (req->type == IFPP_REQ_LOCK && !status && !reply->len)
		return -EINVAL;

	err = ifpp_core_reply(&chip->rec, req->type, ifpp_request_hdr(req)->key_id, &status,
			      reply->flags & IFPP_REPLY_REPORT ? &rep : NULL, &kind);
	if (err == -EINVAL)
		return err;
	if (err == -EBADE)
		ifpp_announce_tamper(dev->index, chip->rec.state, kind);

	req->result.reason = reply->reason;
	req->result.apdus = reply->apdus;
	req->result.apdu_bytes = reply->apdu_bytes;
	req->result.verify_ns = reply->verify_ns;
	req->result.chip_ns = reply->chip_ns;
	req->result.pir_len = reply->len;
	req->deleted = reply->deleted;
	req->answer = *answer;
	*answer = NULL;
	ifpp_finish(dev, status);
	return err;
}

/**
 * ifpp_queue_abort() - end the request in the slot, if there is one
 * @dev: the device
 * @status: with this
 */
void ifpp_queue_abort(struct ifpp_dev *dev, int status)
{
	lockdep_assert_held(&dev->chip->lock);
	if (dev->req)
		ifpp_finish(dev, status);
}

static void ifpp_deadline(struct work_struct *work)
{
	struct ifpp_dev *dev = container_of(work, struct ifpp_dev, deadline.work);
	struct ifpp_request *req;

	mutex_lock(&dev->chip->lock);
	req = dev->req;
	if (dev->gone)
		;
	else if (!req)
		ifpp_queue_kick(dev);
	else if (time_before(jiffies, req->expires))
		ifpp_queue_alarm(dev, req->expires);
	else
		ifpp_finish(dev, -ETIMEDOUT);
	mutex_unlock(&dev->chip->lock);
}

/**
 * ifpp_queue_init() - prepare a device's slot
 * @dev: the device
 */
void ifpp_queue_init(struct ifpp_dev *dev)
{
	init_waitqueue_head(&dev->slot);
	init_waitqueue_head(&dev->wait);
	init_waitqueue_head(&dev->watch);
	INIT_DELAYED_WORK(&dev->deadline, ifpp_deadline);
}

/**
 * ifpp_queue_stop() - no deadline runs after this; @dev->gone is set
 * @dev: the device
 */
void ifpp_queue_stop(struct ifpp_dev *dev)
{
	cancel_delayed_work_sync(&dev->deadline);
}
