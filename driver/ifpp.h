/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the driver share.
 *
 * A chip (struct ifpp_chip) is a record keyed by EID that outlives its relay. While a
 * relay serves it, it has a device (struct ifpp_dev): the node /dev/ifppN and one slot
 * for the request that the relay works on.
 *
 * Locks, outermost first: ifpp_look_mutex, which whoever reads or burns the anchors holds,
 * ifpp_host_mutex, ifpp_chips_mutex, chip->lock. Nobody waits for a relay, an anchor or user memory
 * with one of the last three held. Around the last two is a relay file's own lock, which its attach
 * holds.
 */
#ifndef _IFPP_H
#define _IFPP_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "core.h"

struct device_node;
struct genl_family;
struct iov_iter;
struct kiocb;
struct nvmem_cell;
struct sk_buff;

#define IFPP_CHIPS_MAX		256	/* attached at the same time */
#define IFPP_RECORDS_MAX	1024	/* on record */
#define IFPP_FUSE_MAX		32	/* bytes of an anchor */

/**
 * struct ifpp_chip - one chip, attached or not
 * @node:	in the table of chips, under ifpp_chips_mutex
 * @absent:	among those without device, in the order in which they went; likewise
 * @ref:	the table, and every device it has or had that somebody still holds
 * @dev:	its device while a relay serves it; changed under ifpp_chips_mutex and @lock
 * @lock:	guards everything below, and the slot of @dev
 * @rec:	what is known of the chip
 * @loads:	packages handed to the relay
 * @installed:	loads that ended with status 0
 * @failed:	loads that ended otherwise
 * @refused:	packages refused before the relay saw them
 * @pins:	it keeps the module loaded
 * @counted:	among the LOCKED ones
 * @keys:	storage of @rec.keys
 */
struct ifpp_chip {
	struct hlist_node node;
	struct list_head absent;
	struct kref ref;
	struct ifpp_dev *dev;
	struct mutex lock; /* record, counters and slot */
	struct ifpp_record rec;
	u64 loads;
	u64 installed;
	u64 failed;
	u64 refused;
	bool pins;
	bool counted;
	struct ifpp_key keys[];
};

/**
 * struct ifpp_dev - one chip's node, from the relay's attach to its close
 * @dev:	class device; its release frees the object
 * @cdev:	/dev/ifppN
 * @chip:	the chip
 * @index:	N
 * @gone:	the relay left; nothing revives the object
 * @lock_sent:	a LOCK went to this relay, or a client is about to send one
 * @want_refresh: the kernel has a REFRESH of its own to send
 * @req:	the slot: the request in work, of any client or of the kernel
 * @pending:	the request in the slot waits for the relay to read it
 * @changes:	counts changes of state, keys or relay, for POLLPRI
 * @slot:	clients that want the slot: it is free, a lock, the end
 * @wait:	clients that want a result: a request is done, the end
 * @watch:	clients in poll(): all of that, and any other change
 * @relay_wait:	the relay's own: a request is in the slot; gone with the relay
 * @deadline:	ends the request in the slot when its time is over
 * @alarm:	jiffies for which @deadline was last set
 * @ev_state:	what was last announced; uevents read it without the lock
 * @ev_unspent:	likewise
 * @ev_unknown:	likewise
 * @ev_keys:	unspent keys as the last uevent told them
 */
struct ifpp_dev {
	struct device dev;
	struct cdev cdev;
	struct ifpp_chip *chip;
	u32 index;
	bool gone;
	bool lock_sent;
	bool want_refresh;
	struct ifpp_request *req;
	bool pending;
	unsigned int changes;
	wait_queue_head_t slot;
	wait_queue_head_t wait;
	wait_queue_head_t watch;
	wait_queue_head_t *relay_wait;
	struct delayed_work deadline;
	unsigned long alarm;
	u32 ev_state;
	u32 ev_unspent;
	u32 ev_unknown;
	u32 ev_keys;
};

/**
 * struct ifpp_request - one request to a relay, and what came of it
 * @ref:	the slot, the client that waits, and a relay that reads
 * @id:		as the relay sees it
 * @type:	enum ifpp_req_type
 * @dispatched:	the relay has begun to read it
 * @copying:	the relay is at it
 * @read:	the relay has all of it and may reply
 * @done:	over; the outcome below is final
 * @expires:	jiffies
 * @submitted:	ns
 * @left:	ns, when the relay read it
 * @result:	outcome
 * @deleted:	outcome of DELETE_KEYS
 * @answer:	PIR or lock receipt, @result.pir_len bytes
 * @len:	bytes at @data
 * @data:	what the relay reads after struct ifpp_req; NULL once it is over
 */
struct ifpp_request {
	struct kref ref;
	u64 id;
	u32 type;
	bool dispatched;
	bool copying;
	bool read;
	bool done;
	unsigned long expires;
	u64 submitted;
	u64 left;
	struct ifpp_result result;
	u32 deleted;
	void *answer;
	u32 len;
	u8 *data;
};

/**
 * struct ifpp_file - one open file of /dev/ifppN
 * @dev:	the device
 * @req:	the load of this file, until its result is read; under chip->lock
 * @copying:	a read() is handing out the result
 * @changes:	@dev->changes as this file last saw it
 */
struct ifpp_file {
	struct ifpp_dev *dev;
	struct ifpp_request *req;
	bool copying;
	unsigned int changes;
};

/**
 * struct ifpp_fuse - one anchor
 * @node:	in the list of them
 * @name:	as messages call it
 * @provider:	name of an nvmem device, with @offset and @len; NULL: by device tree
 * @offset:	there, bytes
 * @len:	bytes
 * @np:		or the node of the device tree that names a cell
 * @cell:	the cell; NULL while its provider is away
 * @state:	enum ifpp_anchor, as last read; BURNT stays
 * @err:	why it cannot be read
 * @proven:	what it holds is there because somebody asked for the host lock
 */
struct ifpp_fuse {
	struct list_head node;
	const char *name;
	const char *provider;
	u32 offset;
	u32 len;
	struct device_node *np;
	struct nvmem_cell *cell;
	u32 state;
	int err;
	bool proven;
};

/* Each file calls those below it, and itself. */

/* host.c */
extern atomic_t ifpp_chips_known;
extern atomic_t ifpp_chips_locked;
extern const char * const ifpp_state_names[];
extern const char * const ifpp_anchor_names[];
u32 ifpp_host_state(void);
u32 ifpp_host_anchor(void);
bool ifpp_host_sweeps(void);
bool ifpp_host_set(u32 state, u32 anchor, bool sweep);
void ifpp_host_stale(bool stale);
bool ifpp_host_pin(void);
void ifpp_host_track(struct ifpp_chip *chip);

/* node.c */
int ifpp_ioctl_take(void *dst, size_t len, const void __user *arg);
int ifpp_ioctl_unknown(unsigned int cmd);
int ifpp_hand_out(struct iov_iter *to, const void *hdr, size_t hdr_len, const void *data,
		  size_t len);
int ifpp_hand_in(struct iov_iter *from, void *dst, size_t len);
unsigned int ifpp_sleep_mode(const struct kiocb *iocb);
int ifpp_sleep(struct wait_queue_entry *wait, unsigned int mode);

/* announce.c */
void ifpp_announce_family(const struct genl_family *family);
void ifpp_announce_speaker(struct device *dev);
int ifpp_fill_dev(struct sk_buff *skb, void *hdr, struct ifpp_dev *dev);
int ifpp_fill_host(struct sk_buff *skb, void *hdr);
void ifpp_announce_dev(struct ifpp_dev *dev, u8 cmd);
void ifpp_announce_host(void);
void ifpp_announce_load(struct ifpp_dev *dev, const struct ifpp_result *result);
void ifpp_announce_tamper(u32 index, u32 state, enum ifpp_tamper_kind kind);
void ifpp_announce_change(struct ifpp_dev *dev);

/* anchor.c */
u32 ifpp_fuse_look(struct ifpp_fuse *fuse);
int ifpp_fuse_burn(struct ifpp_fuse *fuse);
u32 ifpp_anchor_look(bool *proven);
int ifpp_anchor_burn(const char **name);
int ifpp_anchor_init(void (*changed)(void));
void ifpp_anchor_exit(void);

/* queue.c */
extern unsigned int ifpp_timeout_ms;
void ifpp_queue_init(struct ifpp_dev *dev);
void ifpp_wake_done(struct ifpp_dev *dev);
void ifpp_wake(struct ifpp_dev *dev);
struct ifpp_request *ifpp_request_new(u32 type, u32 len);
void ifpp_request_put(struct ifpp_request *req);
int ifpp_queue_open(struct ifpp_dev *dev, u32 type);
int ifpp_queue_may(struct ifpp_dev *dev, const struct ifpp_pkg_hdr *hdr);
int ifpp_queue_put(struct ifpp_dev *dev, struct ifpp_request *req);
void ifpp_queue_kick(struct ifpp_dev *dev);
struct ifpp_request *ifpp_queue_take(struct ifpp_dev *dev);
int ifpp_queue_taken(struct ifpp_dev *dev, struct ifpp_request *req, int err);
int ifpp_queue_reply(struct ifpp_dev *dev, const struct ifpp_reply *reply,
		     const struct ifpp_key *keys, void **answer);
void ifpp_queue_abort(struct ifpp_dev *dev, int status);
void ifpp_queue_stop(struct ifpp_dev *dev);

/* chip.c */
extern struct mutex ifpp_chips_mutex;
extern struct xarray ifpp_devs;
extern unsigned int ifpp_devs_seq;
struct ifpp_dev *ifpp_attach(const u8 *eid, const struct ifpp_report *rep, u32 index,
			     wait_queue_head_t *relay_wait);
void ifpp_detach(struct ifpp_dev *dev);
int ifpp_chips_init(const struct class *class, const struct file_operations *fops);
void ifpp_chips_exit(void);

/* lock.c */
void ifpp_unit_lock(struct ifpp_dev *dev);
void ifpp_host_look(void);
int ifpp_host_lock(const char **name);
void ifpp_host_speaker(struct device *dev);
int ifpp_host_init(void);
void ifpp_host_exit(void);

/* cdev.c */
extern const struct file_operations ifpp_front_fops;

/* relay.c */
int ifpp_relay_init(void);
void ifpp_relay_exit(void);

/* netlink.c */
int ifpp_netlink_init(void);
void ifpp_netlink_exit(void);

/* sysfs.c */
extern const struct class ifpp_class;

#endif /* _IFPP_H */
