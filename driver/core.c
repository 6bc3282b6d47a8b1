// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pure core: header check, state machine and ledger of one chip.
 *
 * A chip's state only grows and a spent key stays spent: no function here can
 * lower either, whatever a client or a relay says. tests/model proves it.
 */
#include <asm/byteorder.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "core.h"

/**
 * ifpp_core_header() - check a sealed package's fixed header
 * @hdr: the header; read only if @total covers it
 * @total: bytes of the whole package
 * @max: largest package accepted
 *
 * Return: 0, -EMSGSIZE if the package is too large, -EBADMSG if it is not one.
 */
int ifpp_core_header(const struct ifpp_pkg_hdr *hdr, size_t total, size_t max)
{
	if (total > max)
		return -EMSGSIZE;
	if (total <= IFPP_PKG_HDR_LEN)
		return -EBADMSG;
	if (__be32_to_cpu(hdr->magic) != IFPP_PKG_MAGIC ||
	    __be16_to_cpu(hdr->version) != IFPP_PKG_VERSION ||
	    __be16_to_cpu(hdr->hdr_len) != IFPP_PKG_HDR_LEN ||
	    __be32_to_cpu(hdr->body_len) != total - IFPP_PKG_HDR_LEN ||
	    hdr->flags)
		return -EBADMSG;
	return 0;
}

static const struct ifpp_key *ifpp_find(const struct ifpp_key *keys, __u32 n, const __u8 *id)
{
	__u32 i;

	for (i = 0; i < n; i++)
		if (!memcmp(keys[i].id, id, IFPP_KEY_ID_LEN))
			return &keys[i];
	return NULL;
}

static void ifpp_count(struct ifpp_record *rec)
{
	__u32 n[3] = { 0, 0, 0 };
	__u32 i;

	for (i = 0; i < rec->n_keys; i++)
		n[rec->keys[i].state]++;
	rec->unspent = n[IFPP_KEY_UNSPENT];
	rec->unknown = n[IFPP_KEY_UNKNOWN];
	rec->spent = n[IFPP_KEY_SPENT];
}

/* Keys in state @from are now in state @to. */
static void ifpp_move_keys(struct ifpp_record *rec, __u32 from, __u32 to)
{
	__u32 i;

	for (i = 0; i < rec->n_keys; i++)
		if (rec->keys[i].state == from)
			rec->keys[i].state = to;
	ifpp_count(rec);
}

static __u32 ifpp_count_unspent(const struct ifpp_report *rep)
{
	__u32 i, n = 0;

	for (i = 0; i < rep->n_keys; i++)
		n += rep->keys[i].state == IFPP_KEY_UNSPENT;
	return n;
}

/**
 * ifpp_core_report_shape() - is a report sound in itself
 * @rep: the report
 *
 * Return: 0, or -EINVAL if no chip could say this.
 */
int ifpp_core_report_shape(const struct ifpp_report *rep)
{
	__u32 i, unspent;

	if (rep->n_keys > IFPP_KEYS_MAX)
		return -EINVAL;
	if (rep->state != IFPP_STATE_FACTORY && rep->state != IFPP_STATE_DRAINED &&
	    rep->state != IFPP_STATE_LOCKED)
		return -EINVAL;

	for (i = 0; i < rep->n_keys; i++) {
		const struct ifpp_key *key = &rep->keys[i];

		if (key->state != IFPP_KEY_UNSPENT && key->state != IFPP_KEY_SPENT)
			return -EINVAL;
		if (key->reserved || ifpp_find(rep->keys, i, key->id))
			return -EINVAL;
	}

	unspent = ifpp_count_unspent(rep);
	if (unspent && rep->state != IFPP_STATE_FACTORY)
		return -EINVAL;
	if (rep->n_keys - unspent > rep->spent_count)
		return -EINVAL;
	return 0;
}

/**
 * ifpp_core_room() - entries a record needs for a chip
 * @rep: the chip's first report, of sound shape
 *
 * Return: every key the chip ever had, as far as a record can hold them.
 */
__u32 ifpp_core_room(const struct ifpp_report *rep)
{
	__u32 unspent = ifpp_count_unspent(rep);

	if (rep->spent_count > IFPP_KEYS_MAX - unspent)
		return IFPP_KEYS_MAX;
	return unspent + rep->spent_count;
}

/* The state a report amounts to: a chip without keys is drained, whatever it calls itself. */
static __u32 ifpp_report_state(const struct ifpp_report *rep)
{
	if (rep->state == IFPP_STATE_FACTORY && !ifpp_count_unspent(rep))
		return IFPP_STATE_DRAINED;
	return rep->state;
}

static int ifpp_contradicts(const struct ifpp_record *rec, const struct ifpp_report *rep,
			    enum ifpp_tamper_kind *kind)
{
	__u32 state = ifpp_report_state(rep), gone = 0, i;
	const struct ifpp_key *key;

	if ((rec->state == IFPP_STATE_LOCKED && state != IFPP_STATE_LOCKED) ||
	    (rec->state == IFPP_STATE_DRAINED && state == IFPP_STATE_FACTORY)) {
		*kind = IFPP_TAMPER_KIND_STATE_LOWERED;
		return -EBADE;
	}
	if (rep->spent_count < rec->spent_count) {
		*kind = IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED;
		return -EBADE;
	}

	for (i = 0; i < rep->n_keys; i++) {
		if (rep->keys[i].state != IFPP_KEY_UNSPENT)
			continue;
		key = ifpp_find(rec->keys, rec->n_keys, rep->keys[i].id);
		if (!key) {
			*kind = IFPP_TAMPER_KIND_KEY_ADDED;
			return -EBADE;
		}
		if (key->state == IFPP_KEY_SPENT) {
			*kind = IFPP_TAMPER_KIND_KEY_RESURRECTED;
			return -EBADE;
		}
	}

	/* A chip that deletes its keys leaves FACTORY with all of them; else each was spent. */
	if (state != IFPP_STATE_FACTORY)
		return 0;
	for (i = 0; i < rec->n_keys; i++) {
		if (rec->keys[i].state == IFPP_KEY_SPENT)
			continue;
		key = ifpp_find(rep->keys, rep->n_keys, rec->keys[i].id);
		gone += !key || key->state == IFPP_KEY_SPENT;
	}
	if (gone > rep->spent_count - rec->spent_count) {
		*kind = IFPP_TAMPER_KIND_KEY_LOST;
		return -EBADE;
	}
	return 0;
}

/**
 * ifpp_core_report() - take a chip's report into its record
 * @rec: the record
 * @rep: the report
 * @kind: how it contradicts the record, if it does
 *
 * All or nothing: a report that is refused changes nothing.
 *
 * Return: 0, -EINVAL if the report is unsound, -EBADE if it contradicts.
 */
int ifpp_core_report(struct ifpp_record *rec, const struct ifpp_report *rep,
		     enum ifpp_tamper_kind *kind)
{
	__u32 state, i;
	int err;

	err = ifpp_core_report_shape(rep);
	if (err)
		return err;
	if (rec->seen) {
		err = ifpp_contradicts(rec, rep, kind);
		if (err)
			return err;
	}

	for (i = 0; i < rec->n_keys; i++) {
		struct ifpp_key *mine = &rec->keys[i];
		const struct ifpp_key *key = ifpp_find(rep->keys, rep->n_keys, mine->id);

		mine->state = key ? key->state : IFPP_KEY_SPENT;
	}
	/* Only the first report can bring unspent keys, see ifpp_contradicts(). */
	for (i = 0; i < rep->n_keys && rec->n_keys < rec->room; i++)
		if (!ifpp_find(rec->keys, rec->n_keys, rep->keys[i].id))
			rec->keys[rec->n_keys++] = rep->keys[i];
	ifpp_count(rec);

	rec->spent_count = rep->spent_count;
	rec->seen = true;
	state = ifpp_report_state(rep);
	if (state > rec->state)
		rec->state = state;
	return 0;
}

/**
 * ifpp_core_open() - may a key of the chip be used, or its profiles be deleted
 * @rec: the chip's record
 * @host_state: enum ifpp_state of the machine
 *
 * Return: 0; -EPERM if the chip or the machine is locked, or about to be; -ENOMEDIUM if nobody
 * knows, since the machine's anchor cannot be read or is not ours.
 */
int ifpp_core_open(const struct ifpp_record *rec, __u32 host_state)
{
	if (rec->state >= IFPP_STATE_LOCKING)
		return -EPERM;
	if (host_state == IFPP_STATE_FACTORY)
		return 0;
	return host_state == IFPP_STATE_CLOSED ? -ENOMEDIUM : -EPERM;
}

/**
 * ifpp_core_submit() - may a package be loaded
 * @rec: the chip's record
 * @host_state: enum ifpp_state of the machine
 * @hdr: the package's header, checked by ifpp_core_header()
 *
 * Return: 0, or the errno of the table in Documentation/driver.rst.
 */
int ifpp_core_submit(const struct ifpp_record *rec, __u32 host_state,
		     const struct ifpp_pkg_hdr *hdr)
{
	const struct ifpp_key *key;
	int err = ifpp_core_open(rec, host_state);

	if (err)
		return err;
	if (!rec->online)
		return -ENODEV;
	if (memcmp(hdr->eid, rec->eid, IFPP_EID_LEN))
		return -EXDEV;

	key = ifpp_find(rec->keys, rec->n_keys, hdr->key_id);
	if (key && key->state == IFPP_KEY_SPENT)
		return -EKEYEXPIRED;
	/* One that was spent elsewhere: the relay asks the chip for the result. */
	if (!key && rec->spent_count > rec->spent)
		return 0;
	if (rec->state != IFPP_STATE_FACTORY)
		return -ENOKEY;
	if (!key || key->state != IFPP_KEY_UNSPENT)
		return -EKEYREJECTED;
	return 0;
}

/**
 * ifpp_core_dispatch() - a request is about to leave for the relay
 * @rec: the chip's record
 * @host_state: enum ifpp_state of the machine
 * @type: enum ifpp_req_type
 * @hdr: LOAD: the package's header
 *
 * From here on the fate of the keys at stake is unknown until the chip reports. A package whose
 * key the record does not name puts none at stake.
 *
 * Return: 0, or why the request must not leave.
 */
int ifpp_core_dispatch(struct ifpp_record *rec, __u32 host_state, __u32 type,
		       const struct ifpp_pkg_hdr *hdr)
{
	__u32 i;
	int err;

	if (!rec->online)
		return -ENODEV;

	switch (type) {
	case IFPP_REQ_LOAD:
		err = ifpp_core_submit(rec, host_state, hdr);
		if (err)
			return err;
		for (i = 0; i < rec->n_keys; i++)
			if (!memcmp(rec->keys[i].id, hdr->key_id, IFPP_KEY_ID_LEN))
				rec->keys[i].state = IFPP_KEY_UNKNOWN;
		ifpp_count(rec);
		return 0;
	case IFPP_REQ_DELETE_KEYS:
		err = ifpp_core_open(rec, host_state);
		if (err)
			return err;
		ifpp_move_keys(rec, IFPP_KEY_UNSPENT, IFPP_KEY_UNKNOWN);
		return 0;
	case IFPP_REQ_REWORK:
		return ifpp_core_open(rec, host_state);
	case IFPP_REQ_LOCK:
		if (rec->state < IFPP_STATE_LOCKING)
			return -EINVAL;
		ifpp_move_keys(rec, IFPP_KEY_UNSPENT, IFPP_KEY_UNKNOWN);
		return 0;
	case IFPP_REQ_REFRESH:
		return 0;
	default:
		return -EINVAL;
	}
}

/**
 * ifpp_core_reply() - the relay answers a dispatched request
 * @rec: the chip's record
 * @type: enum ifpp_req_type of the request
 * @key_id: LOAD: of the package
 * @status: in: 0 or a negative errno, as the relay says; out: the request's outcome
 * @rep: the chip's report, or NULL if the reply has none
 * @kind: how the report contradicts the record, if it does
 *
 * Success is believed only if the report, where there is one, bears it out. A
 * LOCK without report is the relay's word that it verified the chip's receipt.
 *
 * Return: 0 if the request is over; -EINVAL if the report is unsound, so that
 * nothing happened; -EBADE if it contradicts the record, and the request is over.
 */
int ifpp_core_reply(struct ifpp_record *rec, __u32 type, const __u8 *key_id, int *status,
		    const struct ifpp_report *rep, enum ifpp_tamper_kind *kind)
{
	const struct ifpp_key *key;
	bool borne_out = true;
	int err;

	if (rep) {
		err = ifpp_core_report(rec, rep, kind);
		if (err == -EBADE)
			*status = -EREMOTEIO;
		if (err)
			return err;
	}
	if (*status)
		return 0;

	switch (type) {
	case IFPP_REQ_LOAD:
		key = ifpp_find(rec->keys, rec->n_keys, key_id);
		borne_out = !rep || (key && key->state == IFPP_KEY_SPENT);
		break;
	case IFPP_REQ_DELETE_KEYS:
		borne_out = !rep || !rec->unspent;
		break;
	case IFPP_REQ_LOCK:
		if (!rep && rec->state == IFPP_STATE_LOCKING) {
			/* The lock implies the deletion of every key. */
			ifpp_move_keys(rec, IFPP_KEY_UNSPENT, IFPP_KEY_SPENT);
			ifpp_move_keys(rec, IFPP_KEY_UNKNOWN, IFPP_KEY_SPENT);
			rec->state = IFPP_STATE_LOCKED;
		}
		borne_out = rec->state == IFPP_STATE_LOCKED;
		break;
	}
	if (!borne_out)
		*status = -EREMOTEIO;
	return 0;
}

/**
 * ifpp_core_lock() - begin to lock the chip, irrevocably
 * @rec: the chip's record
 */
void ifpp_core_lock(struct ifpp_record *rec)
{
	if (rec->state < IFPP_STATE_LOCKING)
		rec->state = IFPP_STATE_LOCKING;
}
