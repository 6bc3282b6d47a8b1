// SPDX-License-Identifier: GPL-2.0-only
/* What both nodes have in common: how they talk to their callers, and how these wait. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "ifpp.h"

/**
 * ifpp_ioctl_take() - take the structure of a caller who may know more of it, or less
 * @dst: where to
 * @len: its size as the driver knows it
 * @arg: from the caller
 *
 * Return: 0; -EINVAL if the caller knows less, -E2BIG if it sets what is not known here; -EFAULT.
 */
int ifpp_ioctl_take(void *dst, size_t len, const void __user *arg)
{
	u32 size;

	if (get_user(size, (const u32 __user *)arg))
		return -EFAULT;
	if (size < len)
		return -EINVAL;
	return size > PAGE_SIZE ? -E2BIG : copy_struct_from_user(dst, len, arg, size);
}

/**
 * ifpp_ioctl_unknown() - answer a caller of something else
 * @cmd: what no ioctl of ours is; the first version's had another magic number
 *
 * Return: -ENOTTY.
 */
int ifpp_ioctl_unknown(unsigned int cmd)
{
	if (_IOC_TYPE(cmd) == 0xb7)
		pr_warn_once("%s was built for version 1 of this driver's interface, which is %d now: install both of one release\n",
			     current->comm, IFPP_ABI_VERSION);
	return -ENOTTY;
}

/**
 * ifpp_hand_out() - what a read() returns
 * @to: the reader's memory
 * @hdr: a structure
 * @hdr_len: its bytes
 * @data: what follows
 * @len: its bytes
 *
 * Return: 0, or -EFAULT.
 */
int ifpp_hand_out(struct iov_iter *to, const void *hdr, size_t hdr_len, const void *data,
		  size_t len)
{
	if (copy_to_iter(hdr, hdr_len, to) != hdr_len || copy_to_iter(data, len, to) != len)
		return -EFAULT;
	return 0;
}

/**
 * ifpp_hand_in() - take what a write() brings
 * @from: the writer's memory
 * @dst: where to
 * @len: bytes
 *
 * Return: 0, or -EFAULT.
 */
int ifpp_hand_in(struct iov_iter *from, void *dst, size_t len)
{
	return copy_from_iter_full(dst, len, from) ? 0 : -EFAULT;
}

/**
 * ifpp_sleep_mode() - how a read() or write() waits
 * @iocb: the call
 *
 * Return: TASK_INTERRUPTIBLE, or 0 if it does not.
 */
unsigned int ifpp_sleep_mode(const struct kiocb *iocb)
{
	if (iocb->ki_filp->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT)
		return 0;
	return TASK_INTERRUPTIBLE;
}

/**
 * ifpp_sleep() - wait once
 * @wait: in a queue, with woken_wake_function(); who was woken since the last call does not sleep
 * @mode: TASK_*, or 0
 *
 * Return: 0: look again; -EAGAIN: @mode is 0; -ERESTARTSYS: a signal, of those that end a sleep of
 * @mode.
 */
int ifpp_sleep(struct wait_queue_entry *wait, unsigned int mode)
{
	if (!mode)
		return -EAGAIN;
	if (signal_pending_state(mode, current))
		return -ERESTARTSYS;
	wait_woken(wait, mode, MAX_SCHEDULE_TIMEOUT);
	return 0;
}
