/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pure core: header check, state machine and ledger of one chip.
 *
 * Nothing here sleeps, allocates, locks or knows of the kernel beyond types, so
 * that core.c is the very same file in the module and under the model checker,
 * the fuzzer and valgrind. The caller serialises calls on one record.
 */
#ifndef _IFPP_CORE_H
#define _IFPP_CORE_H

#include <linux/types.h>
#ifndef __KERNEL__
#include <stdbool.h>
#include <stddef.h>
#endif

#include <uapi/linux/ifpp.h>
#include <uapi/linux/ifpp_netlink.h>

/**
 * struct ifpp_record - what is known of one chip, for as long as the module lives
 * @eid:	of the chip
 * @state:	enum ifpp_state, only grows
 * @online:	a relay serves the chip
 * @seen:	the chip has reported at least once
 * @spent_count: as the chip last reported, only grows
 * @unspent:	keys in state UNSPENT
 * @unknown:	keys in state UNKNOWN
 * @spent:	keys in state SPENT
 * @n_keys:	entries used in @keys
 * @room:	entries there are at @keys
 * @keys:	every key the chip was ever known to have
 */
struct ifpp_record {
	__u8 eid[IFPP_EID_LEN];
	__u32 state;
	bool online;
	bool seen;
	__u32 spent_count;
	__u32 unspent;
	__u32 unknown;
	__u32 spent;
	__u32 n_keys;
	__u32 room;
	struct ifpp_key *keys;
};

/**
 * struct ifpp_report - the chip's word, as a relay brings it
 * @state:	enum ifpp_state: FACTORY, DRAINED or LOCKED
 * @spent_count: keys the chip has spent
 * @n_keys:	entries at @keys
 * @keys:	every unspent key, and spent ones the relay can still name
 */
struct ifpp_report {
	__u32 state;
	__u32 spent_count;
	__u32 n_keys;
	const struct ifpp_key *keys;
};

int ifpp_core_header(const struct ifpp_pkg_hdr *hdr, size_t total, size_t max);
int ifpp_core_report_shape(const struct ifpp_report *rep);
__u32 ifpp_core_room(const struct ifpp_report *rep);
int ifpp_core_report(struct ifpp_record *rec, const struct ifpp_report *rep,
		     enum ifpp_tamper_kind *kind);
int ifpp_core_open(const struct ifpp_record *rec, __u32 host_state);
int ifpp_core_submit(const struct ifpp_record *rec, __u32 host_state,
		     const struct ifpp_pkg_hdr *hdr);
int ifpp_core_dispatch(struct ifpp_record *rec, __u32 host_state, __u32 type,
		       const struct ifpp_pkg_hdr *hdr);
int ifpp_core_reply(struct ifpp_record *rec, __u32 type, const __u8 *key_id, int *status,
		    const struct ifpp_report *rep, enum ifpp_tamper_kind *kind);
void ifpp_core_lock(struct ifpp_record *rec);

#endif /* _IFPP_CORE_H */
