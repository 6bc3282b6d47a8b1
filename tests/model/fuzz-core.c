// SPDX-License-Identifier: GPL-2.0-only
/* libFuzzer on driver/core.c: a script of events on one record; nothing may go backwards. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static const uint8_t *in;
static size_t left;

static void take(void *p, size_t n)
{
	memset(p, 0, n);
	if (n > left)
		n = left;
	memcpy(p, in, n);
	in += n;
	left -= n;
}

static uint32_t take_u8(void)
{
	uint8_t b;

	take(&b, 1);
	return b;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void take_report(struct ifpp_report *rep, struct ifpp_key *keys)
{
	rep->state = take_u8() % 5;
	rep->spent_count = take_u8() % 8;
	rep->n_keys = take_u8() % 6;
	for (uint32_t i = 0; i < rep->n_keys; i++) {
		memset(&keys[i], 0, sizeof(keys[i]));
		keys[i].id[31] = take_u8() % 7;
		keys[i].state = take_u8() % 16 ? IFPP_KEY_UNSPENT : take_u8() % 4;
	}
	/* Memory of exactly this size, so that a read past the end is seen. */
	struct ifpp_key *copy = malloc(rep->n_keys * sizeof(*copy));

	memcpy(copy, keys, rep->n_keys * sizeof(*copy));
	rep->keys = copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ifpp_record rec = {}, was;
	struct ifpp_key keys[6], *saved;
	enum ifpp_tamper_kind kind;
	struct ifpp_report rep = {};
	struct ifpp_pkg_hdr hdr;
	int err, status;

	/* The header in memory of its own size. */
	struct ifpp_pkg_hdr *h = malloc(sizeof(*h));

	in = data;
	left = size;
	take(h, sizeof(*h));
	if (!ifpp_core_header(h, size, 4096))
		check(size > IFPP_PKG_HDR_LEN && size <= 4096);
	if (size < sizeof(*h))
		ifpp_core_header((void *)data, size, 4096);
	hdr = *h;
	free(h);

	in = data;
	left = size;
	take_report(&rep, keys);
	if (ifpp_core_report_shape(&rep))
		goto out;
	rec.room = ifpp_core_room(&rep);
	rec.keys = calloc(rec.room, sizeof(*rec.keys));
	saved = calloc(rec.room, sizeof(*saved));
	check(!ifpp_core_report(&rec, &rep, &kind));

	while (left) {
		was = rec;
		if (rec.room)
			memcpy(saved, rec.keys, rec.room * sizeof(*saved));
		rec.online = take_u8() % 4;
		memset(&hdr, 0, sizeof(hdr));
		hdr.key_id[31] = take_u8() % 7;
		hdr.eid[15] = take_u8() % 8 == 7;
		free((void *)rep.keys);
		take_report(&rep, keys);
		status = -(int)(take_u8() / 64);
		err = 0;
		switch (take_u8() % 5) {
		case 0:
			err = ifpp_core_report(&rec, &rep, &kind);
			break;
		case 1: {
			uint32_t host = take_u8() % 8 ? IFPP_STATE_FACTORY : IFPP_STATE_LOCKED;

			err = ifpp_core_dispatch(&rec, host, IFPP_REQ_LOAD, &hdr);
			check(err || (was.state < IFPP_STATE_LOCKING && rec.online && !host));
			/* a key of the chip, or one that may have been spent elsewhere */
			check(err || (was.state == IFPP_STATE_FACTORY && rec.unknown == was.unknown + 1) ||
			      (was.spent_count > was.spent && rec.unknown == was.unknown));
			break;
		}
		case 2:
			err = ifpp_core_dispatch(&rec, 0, take_u8() % 6, &hdr);
			break;
		case 3:
			err = ifpp_core_reply(&rec, take_u8() % 6, hdr.key_id, &status,
					      take_u8() % 2 ? &rep : NULL, &kind);
			break;
		case 4:
			if (take_u8() % 8 == 0)
				ifpp_core_lock(&rec);
			break;
		}
		check(rec.state >= was.state && rec.spent_count >= was.spent_count);
		check(rec.n_keys >= was.n_keys && rec.n_keys <= rec.room);
		check(rec.unspent + rec.unknown + rec.spent == rec.n_keys);
		for (uint32_t i = 0; i < was.n_keys; i++) {
			if (saved[i].state == IFPP_KEY_SPENT)
				check(rec.keys[i].state == IFPP_KEY_SPENT);
			if (err)
				check(rec.keys[i].state == saved[i].state);
		}
	}
	free(rec.keys);
	free(saved);
out:
	free((void *)rep.keys);
	return 0;
}
