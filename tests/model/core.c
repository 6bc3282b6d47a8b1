// SPDX-License-Identifier: GPL-2.0-only
/*
 * CBMC: what no sequence of clients, relays and chips can do to a record. It is
 * driver/core.c itself that is checked; only its environment is free here.
 *
 *   header	ifpp_core_header() reads inside its 64 bytes, for any input
 *   shape	a report that passes is one a chip can make
 *   first	whatever a new record is told first, it is consistent afterwards
 *   step_*	one arbitrary event on an arbitrary consistent record leaves it
 *		consistent, and undoes nothing: the state never falls, a spent key
 *		stays spent, a count never falls, a load leaves only FACTORY, online,
 *		with a key that is neither spent nor in doubt, and what is refused
 *		changes nothing. With "first" this is induction over every sequence
 *		of events, however long, for chips of up to KEYS keys.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* KEYS, the bound of what is proved: keys of a chip, from the command line */

unsigned int nondet_uint(void);
int nondet_int(void);
bool nondet_bool(void);
size_t nondet_size(void);
unsigned char nondet_byte(void);

/* Here ids differ in their first byte only; that all of them can be read is checked. */
int memcmp(const void *a, const void *b, size_t n)
{
	assert(__CPROVER_r_ok(a, n) && __CPROVER_r_ok(b, n));
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

static void free_bytes(void *p, size_t n)
{
	unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		b[i] = nondet_byte();
}

void header(void)
{
	size_t total = nondet_size(), max = nondet_size();
	/* Exactly what the driver copies, and not a byte after it. */
	struct ifpp_pkg_hdr *hdr = malloc(IFPP_PKG_HDR_LEN);

	__CPROVER_assume(hdr);
	free_bytes(hdr, sizeof(*hdr));
	int err = ifpp_core_header(hdr, total, max);

	assert(err == 0 || err == -EBADMSG || err == -EMSGSIZE);
	if (!err) {
		assert(total <= max && total > IFPP_PKG_HDR_LEN);
		assert(hdr->flags == 0);
	}
	/* A package too short is refused unread. */
	assert(ifpp_core_header(NULL, nondet_size() % (IFPP_PKG_HDR_LEN + 1), max));
}

static void free_report(struct ifpp_report *rep, struct ifpp_key *keys)
{
	rep->state = nondet_uint();
	rep->spent_count = nondet_uint();
	rep->n_keys = nondet_uint();
	__CPROVER_assume(rep->n_keys <= KEYS);
	rep->keys = keys;
	for (unsigned int i = 0; i < KEYS; i++) {
		memset(&keys[i], 0, sizeof(keys[i]));
		keys[i].id[0] = nondet_byte() % (KEYS + 1);
		keys[i].state = nondet_uint();
		keys[i].reserved = nondet_uint();
	}
}

void shape(void)
{
	struct ifpp_key keys[KEYS];
	struct ifpp_report rep;
	unsigned int i, unspent = 0;

	free_report(&rep, keys);
	if (ifpp_core_report_shape(&rep))
		return;
	assert(rep.state == IFPP_STATE_FACTORY || rep.state == IFPP_STATE_DRAINED ||
	       rep.state == IFPP_STATE_LOCKED);
	for (i = 0; i < rep.n_keys; i++) {
		assert(keys[i].state == IFPP_KEY_UNSPENT || keys[i].state == IFPP_KEY_SPENT);
		unspent += keys[i].state == IFPP_KEY_UNSPENT;
	}
	assert(!unspent || rep.state == IFPP_STATE_FACTORY);
	assert(ifpp_core_room(&rep) >= rep.n_keys);
	assert(ifpp_core_room(&rep) <= IFPP_KEYS_MAX);
}

static void consistent(const struct ifpp_record *rec)
{
	assert(rec->n_keys <= rec->room);
	assert(rec->unspent + rec->unknown + rec->spent == rec->n_keys);
	assert(rec->state <= IFPP_STATE_LOCKED);
	if (rec->state == IFPP_STATE_LOCKED || rec->state == IFPP_STATE_DRAINED)
		assert(!rec->unspent);
}

/* What may never be undone between two moments. */
static void only_forward(const struct ifpp_record *was, const struct ifpp_key *keys,
			 const struct ifpp_record *is)
{
	assert(is->state >= was->state);
	assert(is->spent_count >= was->spent_count);
	assert(is->n_keys >= was->n_keys);
	for (unsigned int i = 0; i < KEYS; i++) {
		if (i >= was->n_keys)
			break;
		assert(is->keys[i].id[0] == keys[i].id[0]);
		if (keys[i].state == IFPP_KEY_SPENT)
			assert(is->keys[i].state == IFPP_KEY_SPENT);
	}
	/* No unspent key is ever added to those the chip first had. */
	for (unsigned int i = 0; i < KEYS; i++)
		if (was->seen && i >= was->n_keys && i < is->n_keys)
			assert(is->keys[i].state == IFPP_KEY_SPENT);
}

void first(void)
{
	struct ifpp_key store[KEYS], keys[KEYS];
	struct ifpp_record rec = { .keys = store };
	enum ifpp_tamper_kind kind;
	struct ifpp_report rep;
	int err;

	memset(store, 0, sizeof(store));
	free_report(&rep, keys);
	/* The driver gives a new record the room that its first report asks for. */
	__CPROVER_assume(!ifpp_core_report_shape(&rep));
	rec.room = ifpp_core_room(&rep);
	__CPROVER_assume(rec.room <= KEYS);
	if (nondet_bool())
		ifpp_core_lock(&rec);
	err = ifpp_core_report(&rec, &rep, &kind);
	assert(!err);
	assert(rec.n_keys >= rep.n_keys);
	consistent(&rec);
}

/* Any record that consistent() admits. */
static void free_record(struct ifpp_record *rec, struct ifpp_key *store)
{
	__u32 n[3] = { 0, 0, 0 };

	rec->keys = store;
	rec->state = nondet_uint() % 4;
	rec->online = nondet_bool();
	rec->seen = true;
	rec->spent_count = nondet_uint();
	rec->room = nondet_uint();
	rec->n_keys = nondet_uint();
	__CPROVER_assume(rec->room <= KEYS && rec->n_keys <= rec->room);
	for (unsigned int i = 0; i < KEYS; i++) {
		memset(&store[i], 0, sizeof(store[i]));
		store[i].id[0] = nondet_byte() % (KEYS + 1);
		store[i].state = nondet_uint() % 3;
		for (unsigned int k = 0; k < i; k++)
			__CPROVER_assume(store[i].id[0] != store[k].id[0]);
		if (i < rec->n_keys)
			n[store[i].state]++;
	}
	rec->unspent = n[IFPP_KEY_UNSPENT];
	rec->unknown = n[IFPP_KEY_UNKNOWN];
	rec->spent = n[IFPP_KEY_SPENT];
	__CPROVER_assume(!rec->unspent || rec->state == IFPP_STATE_FACTORY ||
			 rec->state == IFPP_STATE_LOCKING);
}

static void step(int event)
{
	struct ifpp_key store[KEYS], saved[KEYS], keys[KEYS];
	struct ifpp_record rec = {}, was;
	struct ifpp_report rep;
	struct ifpp_pkg_hdr hdr = {};
	enum ifpp_tamper_kind kind;
	__u32 host = nondet_uint(), type = nondet_uint();
	int err = 0, status = nondet_int();

	free_record(&rec, store);
	consistent(&rec);
	was = rec;
	memcpy(saved, store, sizeof(saved));
	hdr.eid[0] = nondet_byte();
	hdr.key_id[0] = nondet_byte() % (KEYS + 1);
	free_report(&rep, keys);

	switch (event) {
	case 0:
		err = ifpp_core_report(&rec, &rep, &kind);
		break;
	case 1:
		err = ifpp_core_dispatch(&rec, host, type, &hdr);
		if (!err && type == IFPP_REQ_LOAD) {
			bool found = false;

			assert(host == IFPP_STATE_FACTORY);
			assert(was.state < IFPP_STATE_LOCKING && was.online);
			assert(!hdr.eid[0]);
			for (unsigned int k = 0; k < KEYS; k++) {
				if (k >= was.n_keys || saved[k].id[0] != hdr.key_id[0])
					continue;
				assert(was.state == IFPP_STATE_FACTORY);
				assert(saved[k].state == IFPP_KEY_UNSPENT);
				assert(store[k].state == IFPP_KEY_UNKNOWN);
				found = true;
			}
			/* or it may be one of those that were spent elsewhere */
			assert(found || was.spent_count > was.spent);
		}
		if (!err && type == IFPP_REQ_REWORK) {
			assert(host == IFPP_STATE_FACTORY);
			assert(was.state < IFPP_STATE_LOCKING && was.online);
			for (unsigned int k = 0; k < KEYS; k++)
				assert(store[k].state == saved[k].state);
		}
		break;
	case 2:
		__CPROVER_assume(status <= 0);
		err = ifpp_core_reply(&rec, type, hdr.key_id, &status,
				      nondet_bool() ? &rep : NULL, &kind);
		if (!err && !status && type == IFPP_REQ_LOCK)
			assert(rec.state == IFPP_STATE_LOCKED);
		break;
	case 3:
		ifpp_core_lock(&rec);
		assert(rec.state >= IFPP_STATE_LOCKING);
		break;
	}
	if (err) {
		/* Refused is refused: nothing moved. */
		assert(rec.state == was.state && rec.spent_count == was.spent_count);
		assert(rec.n_keys == was.n_keys);
		for (unsigned int k = 0; k < KEYS; k++)
			assert(store[k].state == saved[k].state);
	}
	consistent(&rec);
	only_forward(&was, saved, &rec);
}

void step_report(void)
{
	step(0);
}

void step_dispatch(void)
{
	step(1);
}

void step_reply(void)
{
	step(2);
}

void step_lock(void)
{
	step(3);
}
