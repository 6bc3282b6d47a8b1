/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * In-Factory Profile Provisioning (GSMA SGP.41): the factory-only interface
 *
 * /dev/ifppN       Esfac: one chip's factory-only interface. write() one sealed
 *                  package, read() one struct ifpp_result followed by the PIR.
 * /dev/ifpp-relay  the daemon's end: one open file is one chip's relay. It
 *                  attaches a chip, read()s requests and write()s replies.
 *
 * Every structure has the same layout for 32 and 64 bit callers, and begins with its
 * size, which is the caller's sizeof() where the caller fills it, and the kernel's where
 * the kernel does: structures grow at their end. What the kernel does not know must be
 * zero (E2BIG), what the caller does not know it leaves alone. A size below that of this
 * header gives EINVAL, as do non-zero reserved fields; unknown flags give EOPNOTSUPP, an
 * unknown ioctl ENOTTY.
 */
#ifndef _UAPI_LINUX_IFPP_H
#define _UAPI_LINUX_IFPP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IFPP_ABI_VERSION	2	/* of this header and of netlink */

#define IFPP_EID_LEN		16	/* as in tag 5A, high nibble first */
#define IFPP_KEY_ID_LEN		32	/* SHA-256 of the uncompressed otPK */
#define IFPP_CHALLENGE_LEN	16
#define IFPP_KEYS_MAX		256	/* one-time keys in one chip's record */
#define IFPP_PIR_MAX		4096	/* PIR or lock receipt, bytes */

#define IFPP_PKG_MAGIC		0x49465050	/* "IFPP" */
#define IFPP_PKG_VERSION	1
#define IFPP_PKG_HDR_LEN	64

/**
 * struct ifpp_pkg_hdr - the sealed package's fixed header, in network byte order
 * @magic:	IFPP_PKG_MAGIC
 * @version:	IFPP_PKG_VERSION
 * @hdr_len:	IFPP_PKG_HDR_LEN
 * @body_len:	bytes that follow
 * @flags:	0
 * @eid:	of the chip that can open it
 * @key_id:	of the chip's one-time key that opens it
 *
 * The body, a CMS SignedData in DER, follows; header and body are the whole write().
 */
struct ifpp_pkg_hdr {
	__be32	magic;
	__be16	version;
	__be16	hdr_len;
	__be32	body_len;
	__be32	flags;
	__u8	eid[IFPP_EID_LEN];
	__u8	key_id[IFPP_KEY_ID_LEN];
};

/**
 * enum ifpp_state - a chip's state and the host's; up to LOCKED it only ever grows
 * @IFPP_STATE_FACTORY:	one-time keys left, loads accepted
 * @IFPP_STATE_DRAINED:	no one-time key left, not locked
 * @IFPP_STATE_LOCKING:	irrevocable, chip or anchor not yet proven
 * @IFPP_STATE_LOCKED:	for ever
 * @IFPP_STATE_CLOSED:	the host only: its anchor cannot be read or is not its own, so that loads
 *			are refused until it is mended; no lock
 */
enum ifpp_state {
	IFPP_STATE_FACTORY	= 0,
	IFPP_STATE_DRAINED	= 1,
	IFPP_STATE_LOCKING	= 2,
	IFPP_STATE_LOCKED	= 3,
	IFPP_STATE_CLOSED	= 4,
};

/**
 * enum ifpp_key_state - what became of a one-time key
 * @IFPP_KEY_UNSPENT:	a package can be sealed for it
 * @IFPP_KEY_UNKNOWN:	fate unknown until the chip says
 * @IFPP_KEY_SPENT:	gone
 */
enum ifpp_key_state {
	IFPP_KEY_UNSPENT	= 0,
	IFPP_KEY_UNKNOWN	= 1,
	IFPP_KEY_SPENT		= 2,
};

/**
 * struct ifpp_key - one one-time key of a chip
 * @id:		key id
 * @state:	enum ifpp_key_state
 * @reserved:	0
 */
struct ifpp_key {
	__u8	id[IFPP_KEY_ID_LEN];
	__u32	state;
	__u32	reserved;
};

/* ------------------------------------------------------------ /dev/ifppN */

/**
 * struct ifpp_result - what read() on /dev/ifppN returns, then @pir_len bytes
 *
 * One read() takes one whole result: EMSGSIZE if the buffer is too small, and
 * the result waits (a buffer of this and IFPP_PIR_MAX always suffices). ENODATA
 * if nothing was submitted on this file.
 *
 * @size:	of this; the PIR is behind it
 * @status:	0: the chip installed the profile; else a negative errno
 * @reason:	0; 1..127: the chip's SGP.22 errorReason; 256 and up: the daemon's
 *		refusal
 * @key_id:	of the package
 * @keys_left:	unspent one-time keys afterwards
 * @apdus:	command APDUs the daemon sent to the chip for this package
 * @apdu_bytes:	their bytes
 * @pir_len:	bytes of the ProfileInstallationResult that follow; 0 if none
 * @reserved:	0
 * @queue_ns:	from write() until the relay read the request
 * @verify_ns:	the daemon's verification
 * @chip_ns:	from the first APDU to the last answer
 * @total_ns:	from write() until the reply
 */
struct ifpp_result {
	__u32	size;
	__s32	status;
	__u32	reason;
	__u8	key_id[IFPP_KEY_ID_LEN];
	__u32	keys_left;
	__u32	apdus;
	__u32	apdu_bytes;
	__u32	pir_len;
	__u32	reserved;
	__u64	queue_ns;
	__u64	verify_ns;
	__u64	chip_ns;
	__u64	total_ns;
};

#define IFPP_INFO_ONLINE	(1u << 0)	/* a relay serves the chip */

/**
 * struct ifpp_info - IFPP_IOC_INFO
 * @size:	of this
 * @flags:	out: IFPP_INFO_*
 * @index:	out: N of /dev/ifppN
 * @eid:	out: of the chip
 * @state:	out: enum ifpp_state of the chip
 * @host_state:	out: enum ifpp_state of this machine: FACTORY, CLOSED, LOCKING or LOCKED
 * @keys_unspent: out: keys that can be used
 * @keys_unknown: out: keys whose fate is unknown until the chip says
 * @keys_spent:	out: keys that are gone
 * @pkg_max:	out: largest package accepted, bytes
 * @reserved:	out: 0
 * @loads:	out: packages handed to the relay
 * @installed:	out: loads that ended with status 0
 * @failed:	out: loads that ended otherwise
 * @refused:	out: packages refused before the relay saw them
 */
struct ifpp_info {
	__u32	size;
	__u32	flags;
	__u32	index;
	__u8	eid[IFPP_EID_LEN];
	__u32	state;
	__u32	host_state;
	__u32	keys_unspent;
	__u32	keys_unknown;
	__u32	keys_spent;
	__u32	pkg_max;
	__u32	reserved;
	__u64	loads;
	__u64	installed;
	__u64	failed;
	__u64	refused;
};

/**
 * struct ifpp_keys - IFPP_IOC_KEYS
 * @size:	of this
 * @flags:	0
 * @count:	in: room at @keys; out: keys in the record (copied: the smaller)
 * @reserved:	0
 * @keys:	user pointer to struct ifpp_key[]
 */
struct ifpp_keys {
	__u32	size;
	__u32	flags;
	__u32	count;
	__u32	reserved;
	__aligned_u64 keys;
};

/**
 * struct ifpp_delete - IFPP_IOC_DELETE_KEYS, IFPP_IOC_REWORK
 * @size:	of this
 * @flags:	0
 * @deleted:	out: number the chip deleted
 *
 * DELETE_KEYS deletes every unused one-time key. REWORK deletes every profile that was loaded, so
 * that the unit can be provisioned anew with the keys that are left; the chip signs a record of
 * each, which is in the daemon's outbox when this returns 0. Once the chip or the machine is
 * LOCKING both give EPERM. EOPNOTSUPP from REWORK: the chip cannot, or a profile is in use.
 */
struct ifpp_delete {
	__u32	size;
	__u32	flags;
	__u32	deleted;
};

/**
 * struct ifpp_lock - IFPP_IOC_LOCK, lock this chip for ever (UNIT lock)
 * @size:	of this
 * @flags:	0
 * @receipt_len: in: room at @receipt; out: bytes of the receipt
 * @reserved:	0
 * @challenge:	in: what the chip signs into its receipt
 * @receipt:	user pointer
 *
 * Returns 0 once the chip is proven locked. Any error after the request was
 * taken leaves the chip LOCKING: repeat the call to finish. On a chip already
 * LOCKED the receipt is signed again over the new challenge. EMSGSIZE: the
 * receipt did not fit, @receipt_len tells its size.
 */
struct ifpp_lock {
	__u32	size;
	__u32	flags;
	__u32	receipt_len;
	__u32	reserved;
	__u8	challenge[IFPP_CHALLENGE_LEN];
	__aligned_u64 receipt;
};

/* The size is in the structure, so that the numbers stay when it grows. */
#define IFPP_IOC_MAGIC		0xBD
#define IFPP_IOC_INFO		_IO(IFPP_IOC_MAGIC, 0x00)
#define IFPP_IOC_KEYS		_IO(IFPP_IOC_MAGIC, 0x01)
#define IFPP_IOC_DELETE_KEYS	_IO(IFPP_IOC_MAGIC, 0x02)
#define IFPP_IOC_LOCK		_IO(IFPP_IOC_MAGIC, 0x03)
#define IFPP_IOC_REWORK		_IO(IFPP_IOC_MAGIC, 0x04)

/* -------------------------------------------------------- /dev/ifpp-relay */

/**
 * struct ifpp_attach - IFPP_RELAY_ATTACH, the first call on a relay file
 * @size:	of this
 * @flags:	0
 * @index:	out: N of /dev/ifppN
 * @state:	enum ifpp_state, as the chip reports: FACTORY, DRAINED or LOCKED
 * @eid:	of the chip
 * @spent_count: the chip's count of spent keys
 * @n_keys:	struct ifpp_key at @keys: every unspent key of the chip, and any
 *		spent one the daemon can still name
 * @keys:	user pointer
 *
 * EBUSY: another relay serves this chip, or this file is attached already.
 * ENOSPC: 256 chips are attached, or 1024 on record of which none can be forgotten.
 * EBADE: the report contradicts the chip's record; announced as tampering.
 */
struct ifpp_attach {
	__u32	size;
	__u32	flags;
	__u32	index;
	__u32	state;
	__u8	eid[IFPP_EID_LEN];
	__u32	spent_count;
	__u32	n_keys;
	__aligned_u64 keys;
};

#define IFPP_RELAY_ATTACH	_IO(IFPP_IOC_MAGIC, 0x40)

/**
 * enum ifpp_req_type - what a relay is asked to do
 * @IFPP_REQ_LOAD:	hand a package to the chip; data: the package
 * @IFPP_REQ_DELETE_KEYS: have the chip delete its keys; no data
 * @IFPP_REQ_LOCK:	have the chip lock itself; data: IFPP_CHALLENGE_LEN bytes
 * @IFPP_REQ_REFRESH:	report what the chip has; no data
 * @IFPP_REQ_REWORK:	have the chip delete its profiles; no data
 */
enum ifpp_req_type {
	IFPP_REQ_LOAD		= 1,
	IFPP_REQ_DELETE_KEYS	= 2,
	IFPP_REQ_LOCK		= 3,
	IFPP_REQ_REFRESH	= 4,
	IFPP_REQ_REWORK		= 5,
};

/**
 * struct ifpp_req - what read() on /dev/ifpp-relay returns, then @len bytes
 * @size:	of this; the data is behind it
 * @type:	enum ifpp_req_type
 * @id:		to be repeated in the reply; never reused
 * @flags:	0
 * @timeout_ms:	the relay's deadline for the reply
 * @len:	bytes of data that follow
 * @reserved:	0
 *
 * One read() returns one whole request; EMSGSIZE if the buffer is too small
 * (the request stays queued). A buffer of IFPP_REQ_BUF_MAX always suffices
 * with the default package limit.
 */
struct ifpp_req {
	__u32	size;
	__u32	type;
	__u64	id;
	__u32	flags;
	__u32	timeout_ms;
	__u32	len;
	__u32	reserved;
};

#define IFPP_REQ_BUF_MAX	(sizeof(struct ifpp_req) + 256 * 1024)

/* state, spent_count and keys are the chip's word */
#define IFPP_REPLY_REPORT	(1u << 0)

/**
 * struct ifpp_reply - write() on /dev/ifpp-relay: this, @n_keys struct ifpp_key,
 * then @len bytes, in one write()
 * @size:	of this
 * @type:	of the request
 * @id:		of the request; ESTALE if it is unknown, answered or aborted
 * @flags:	IFPP_REPLY_*
 * @status:	0 or a negative errno, handed to the client
 * @reason:	as in struct ifpp_result
 * @state:	with REPORT: as in struct ifpp_attach
 * @spent_count: with REPORT
 * @n_keys:	with REPORT: unspent keys that follow; else 0
 * @len:	bytes of PIR (LOAD) or lock receipt (LOCK)
 * @apdus:	as in struct ifpp_result
 * @apdu_bytes:	likewise
 * @deleted:	DELETE_KEYS: keys deleted; REWORK: profiles deleted
 * @verify_ns:	as in struct ifpp_result
 * @chip_ns:	likewise
 *
 * Without REPORT the fate of the key in flight is unknown and stays so until a
 * report arrives (REFRESH, another reply, or the next attach). A report that
 * contradicts the record fails with EBADE and ends the request with EREMOTEIO. A
 * status of 0 that the report does not bear out becomes EREMOTEIO as well. A LOCK
 * of status 0 carries the receipt, or is EINVAL.
 */
struct ifpp_reply {
	__u32	size;
	__u32	type;
	__u64	id;
	__u32	flags;
	__s32	status;
	__u32	reason;
	__u32	state;
	__u32	spent_count;
	__u32	n_keys;
	__u32	len;
	__u32	apdus;
	__u32	apdu_bytes;
	__u32	deleted;
	__u64	verify_ns;
	__u64	chip_ns;
};

#endif /* _UAPI_LINUX_IFPP_H */
