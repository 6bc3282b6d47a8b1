/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ifpp.yaml */
/* YNL-GEN uapi header */

#ifndef _UAPI_LINUX_IFPP_NETLINK_H
#define _UAPI_LINUX_IFPP_NETLINK_H

#define IFPP_FAMILY_NAME	"ifpp"
#define IFPP_FAMILY_VERSION	1

/**
 * enum ifpp_anchor - What keeps the host lock across a reboot.
 * @IFPP_ANCHOR_NONE: No anchor is configured, a reboot opens the machine
 *   again.
 * @IFPP_ANCHOR_CLEAN: Configured, readable, not burnt.
 * @IFPP_ANCHOR_BURNT: Burnt and read back.
 * @IFPP_ANCHOR_UNREADABLE: Configured but not readable. Loads are refused
 *   until it is.
 * @IFPP_ANCHOR_CMDLINE: Locked by the kernel command line.
 * @IFPP_ANCHOR_UNUSABLE: Readable, but it holds what is neither clean nor a
 *   lock, or is not of whole words. Loads are refused until it is mended.
 * @IFPP_ANCHOR_PARAMETER: Locked by a module parameter, which the next load
 *   may lack.
 */
enum ifpp_anchor {
	IFPP_ANCHOR_NONE,
	IFPP_ANCHOR_CLEAN,
	IFPP_ANCHOR_BURNT,
	IFPP_ANCHOR_UNREADABLE,
	IFPP_ANCHOR_CMDLINE,
	IFPP_ANCHOR_UNUSABLE,
	IFPP_ANCHOR_PARAMETER,
};

/**
 * enum ifpp_tamper_kind - How a relay's report contradicted the chip's record.
 * @IFPP_TAMPER_KIND_STATE_LOWERED: A state before the one on record.
 * @IFPP_TAMPER_KIND_KEY_RESURRECTED: A key unspent again that was spent.
 * @IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED: Fewer keys spent than on record.
 * @IFPP_TAMPER_KIND_KEY_ADDED: An unspent key that the chip did not have.
 * @IFPP_TAMPER_KIND_KEY_LOST: Fewer keys left than the count of spent ones
 *   explains.
 */
enum ifpp_tamper_kind {
	IFPP_TAMPER_KIND_STATE_LOWERED,
	IFPP_TAMPER_KIND_KEY_RESURRECTED,
	IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED,
	IFPP_TAMPER_KIND_KEY_ADDED,
	IFPP_TAMPER_KIND_KEY_LOST,
};

enum {
	IFPP_A_DEV_INDEX = 1,
	IFPP_A_DEV_STATE,
	IFPP_A_DEV_KEYS_UNSPENT,
	IFPP_A_DEV_KEYS_UNKNOWN,
	IFPP_A_DEV_KEYS_SPENT,
	IFPP_A_DEV_ONLINE,
	IFPP_A_DEV_LOADS,
	IFPP_A_DEV_INSTALLED,
	IFPP_A_DEV_FAILED,
	IFPP_A_DEV_REFUSED,

	__IFPP_A_DEV_MAX,
	IFPP_A_DEV_MAX = (__IFPP_A_DEV_MAX - 1)
};

enum {
	IFPP_A_HOST_VERSION = 1,
	IFPP_A_HOST_STATE,
	IFPP_A_HOST_ANCHOR,
	IFPP_A_HOST_CHIPS,
	IFPP_A_HOST_CHIPS_LOCKED,

	__IFPP_A_HOST_MAX,
	IFPP_A_HOST_MAX = (__IFPP_A_HOST_MAX - 1)
};

enum {
	IFPP_A_LOAD_INDEX = 1,
	IFPP_A_LOAD_KEY_ID,
	IFPP_A_LOAD_STATUS,
	IFPP_A_LOAD_REASON,
	IFPP_A_LOAD_KEYS_LEFT,
	IFPP_A_LOAD_DURATION,
	IFPP_A_LOAD_QUEUE,
	IFPP_A_LOAD_VERIFY,
	IFPP_A_LOAD_CHIP,

	__IFPP_A_LOAD_MAX,
	IFPP_A_LOAD_MAX = (__IFPP_A_LOAD_MAX - 1)
};

enum {
	IFPP_A_TAMPER_INDEX = 1,
	IFPP_A_TAMPER_KIND,

	__IFPP_A_TAMPER_MAX,
	IFPP_A_TAMPER_MAX = (__IFPP_A_TAMPER_MAX - 1)
};

enum {
	IFPP_CMD_DEV_GET = 1,
	IFPP_CMD_DEV_ADD_NTF,
	IFPP_CMD_DEV_DEL_NTF,
	IFPP_CMD_DEV_CHANGE_NTF,
	IFPP_CMD_HOST_GET,
	IFPP_CMD_HOST_CHANGE_NTF,
	IFPP_CMD_HOST_LOCK,
	IFPP_CMD_LOAD_DONE_NTF,
	IFPP_CMD_TAMPER_NTF,

	__IFPP_CMD_MAX,
	IFPP_CMD_MAX = (__IFPP_CMD_MAX - 1)
};

#define IFPP_MCGRP_EVENTS	"events"

#endif /* _UAPI_LINUX_IFPP_NETLINK_H */
