/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the driver share.
 *
 * A chip (struct ifpp_chip) is a record keyed by EID that lives as long as the
 * module. While a relay serves it, it has a device (struct ifpp_dev): the node
 * /dev/ifppN and one slot for the request that the relay works on.
 *
 * Locks, outermost first: ifpp_host_mutex, ifpp_chips_mutex, chip->lock. Nobody
 * waits for a relay, or for user memory, with one of them held. Around them is a relay
 * file's own lock, which its attach holds; inside the first is that of the anchor's cell.
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

struct nvmem_cell;
struct sk_buff;

#define IFPP_CHIPS_MAX		256	/* attached at the same time */
#define IFPP_EID_HEX_LEN	(2 * IFPP_EID_LEN + 1)

/**
 * struct ifpp_chip - one chip, attached or not
 * @node:	in the table of chips, under ifpp_chips_mutex
 * @dev:	its device while a relay serves it; changed under ifpp_chips_mutex and @lock
 * @lock:	guards everything below, and the slot of @dev
 * @rec:	what is known of the chip
 * @loads:	packages handed to the relay
 * @installed:	loads that ended with status 0
 * @failed:	loads that ended otherwise
 * @refused:	packages refused before the relay saw them
 * @keys:	storage of @rec.keys
 */
struct ifpp_chip {
	struct hlist_node node;
	struct ifpp_dev *dev;
	struct mutex lock; /* record, counters and slot */
	struct ifpp_record rec;
	u64 loads;
	u64 installed;
	u64 failed;
	u64 refused;
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
 * @wait:	clients: the slot is free, a request is done, a lock, the end
 * @watch:	clients in poll(): all of that, and any other change
 * @relay_wait:	the relay: a request is in the slot
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
	wait_queue_head_t wait;
	wait_queue_head_t watch;
	wait_queue_head_t relay_wait;
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
 * @read:	the relay has all of it and may reply
 * @done:	over; the outcome below is final
 * @expires:	jiffies
 * @submitted:	ns
 * @left:	ns, when the relay read it
 * @result:	outcome
 * @deleted:	outcome of DELETE_KEYS
 * @answer:	PIR or lock receipt, @result.pir_len bytes
 * @len:	bytes at @data
 * @data:	what the relay reads after struct ifpp_req
 */
struct ifpp_request {
	struct kref ref;
	u64 id;
	u32 type;
	bool dispatched;
	bool read;
	bool done;
	unsigned long expires;
	u64 submitted;
	u64 left;
	struct ifpp_result result;
	u32 deleted;
	void *answer;
	u32 len;
	u8 data[];
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

/* main.c */
extern unsigned int ifpp_timeout_ms;
extern unsigned int ifpp_pkg_max;
extern const struct class ifpp_class;

/* chip.c */
extern struct mutex ifpp_chips_mutex;
extern struct xarray ifpp_devs;
int ifpp_chips_init(void);
void ifpp_chips_exit(void);
void ifpp_chips_count(u32 *chips, u32 *locked);
struct ifpp_dev *ifpp_attach(const u8 *eid, const struct ifpp_report *rep, u32 index);
void ifpp_detach(struct ifpp_dev *dev);
void ifpp_changed(struct ifpp_dev *dev);
bool ifpp_pin(void);

/* queue.c */
void ifpp_queue_init(struct ifpp_dev *dev);
void ifpp_wake(struct ifpp_dev *dev);
struct ifpp_request *ifpp_request_new(u32 type, u32 len);
void ifpp_request_put(struct ifpp_request *req);
int ifpp_queue_may(struct ifpp_dev *dev, const struct ifpp_pkg_hdr *hdr);
int ifpp_queue_put(struct ifpp_dev *dev, struct ifpp_request *req);
void ifpp_queue_kick(struct ifpp_dev *dev);
struct ifpp_request *ifpp_queue_take(struct ifpp_dev *dev);
int ifpp_queue_taken(struct ifpp_dev *dev, struct ifpp_request *req, int err);
int ifpp_queue_reply(struct ifpp_dev *dev, const struct ifpp_reply *reply,
		     const struct ifpp_key *keys, void **answer);
void ifpp_queue_abort(struct ifpp_dev *dev, int status);
void ifpp_queue_stop(struct ifpp_dev *dev);

/* cdev.c */
extern const struct file_operations ifpp_front_fops;

/* relay.c */
int ifpp_relay_init(void);
void ifpp_relay_exit(void);
struct device *ifpp_relay_device(void);

/* anchor.c */
/**
 * struct ifpp_fuse - what the anchor is burnt into
 * @provider:	name of an nvmem device, with @offset
 * @offset:	of one byte there
 * @cell:	or an nvmem cell
 */
struct ifpp_fuse {
	const char *provider;
	unsigned int offset;
	struct nvmem_cell *cell;
};

int ifpp_fuse_read(const struct ifpp_fuse *fuse);
int ifpp_fuse_burn(const struct ifpp_fuse *fuse);
bool ifpp_anchor_configured(void);
int ifpp_anchor_init(void);
void ifpp_anchor_exit(void);

/* lock.c */
u32 ifpp_host_state(void);
u32 ifpp_host_anchor(void);
bool ifpp_host_settled(void);
int ifpp_host_lock(void);
void ifpp_host_settle(const struct ifpp_fuse *fuse);
int ifpp_host_init(void);
void ifpp_host_exit(void);
void ifpp_unit_lock(struct ifpp_dev *dev);

/* netlink.c */
int ifpp_netlink_init(void);
void ifpp_netlink_exit(void);
void ifpp_netlink_dev(struct ifpp_dev *dev, u8 cmd);
void ifpp_netlink_host(void);
void ifpp_netlink_load(struct ifpp_dev *dev, const struct ifpp_result *result);
void ifpp_netlink_tamper(const u8 *eid, enum ifpp_tamper_kind kind);

#if IS_ENABLED(CONFIG_KUNIT)
int ifpp_fill_dev(struct sk_buff *skb, struct ifpp_dev *dev, u32 portid, u32 seq, int flags,
		  u8 cmd);
int ifpp_fill_host(struct sk_buff *skb, u32 portid, u32 seq, u8 cmd);
#endif

/* sysfs.c */
extern const struct attribute_group *ifpp_dev_groups[];
extern const struct attribute_group *ifpp_class_groups[];
extern const char * const ifpp_anchor_names[];
const char *ifpp_state_name(u32 state);
void ifpp_eid_hex(char *hex, const u8 *eid);

#endif /* _IFPP_H */
