// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random and mutated calls from many threads: relays, clients, netlink, sysfs; optionally
 * with faults injected into their allocations and copies. The judges are KASAN,
 * lockdep and kmemleak, and here: a state that falls, or calls that never get deep.
 *
 * usage: fuzzer SECONDS [SEED]
 */
#include <stdatomic.h>

#include "ifpp_nl.h"

#define EIDS	12
#define CLIENTS	4

static volatile int stop, lock_host;
/* Files that threads share on purpose; one may be closed, or another, by the time it is used. */
static atomic_int any_relay = -1, any_front = -1;
static atomic_ulong calls, good, installed, locked;
static atomic_int fell;
static unsigned long seed0;

struct rng {
	unsigned long s;
};

static unsigned long rnd(struct rng *r)
{
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return r->s;
}

static int one_in(struct rng *r, int n)
{
	return rnd(r) % n == 0;
}

static long note(long ret)
{
	atomic_fetch_add(&calls, 1);
	if (ret >= 0)
		atomic_fetch_add(&good, 1);
	return ret;
}

static void mutate(struct rng *r, void *buf, size_t len)
{
	static const __u32 odd[] = { 0, 1, 0x7fffffff, 0x80000000, ~0u, 256, 257, 4096, 4097 };
	unsigned char *b = buf;
	int i, n = 1 + rnd(r) % 4;

	for (i = 0; i < n && len; i++) {
		if (one_in(r, 2) && len >= 4)
			memcpy(b + rnd(r) % (len / 4) * 4, &odd[rnd(r) % 9], 4);
		else
			b[rnd(r) % len] ^= 1 << rnd(r) % 8;
	}
}

/* The chips of this game: few, so that threads meet; each has a generation of keys. */
static void chip_of(struct chip *c, unsigned int eid, unsigned int generation, __u32 spent)
{
	__u32 i;

	memset(c, 0, sizeof(*c));
	memset(c->eid, eid, sizeof(c->eid));
	memcpy(c->eid, &generation, sizeof(generation));
	for (i = spent; i < 8; i++)
		memset(c->keys[c->n++].id, i + 1, IFPP_KEY_ID_LEN);
	c->spent = spent;
	c->state = c->n ? IFPP_STATE_FACTORY : IFPP_STATE_DRAINED;
}

static atomic_uint generations[EIDS];
static atomic_uint spents[EIDS];

static void *relay_thread(void *arg)
{
	struct rng r = { seed0 * 31 + (long)arg * 7919 + 1 };
	static __thread __u8 buf[IFPP_REQ_BUF_MAX], out[sizeof(struct ifpp_reply) + 300 * 40 + 5000];
	unsigned int id = (long)arg % EIDS;
	struct ifpp_attach a;
	struct ifpp_reply *rep = (void *)out;
	struct ifpp_req req;
	struct chip c;
	size_t len;
	ssize_t n;
	int fd, i;

	while (!stop) {
		fd = one_in(&r, 8) ? dup(any_relay) : relay_open();
		if (note(fd) < 0)
			continue;
		any_relay = fd;
		chip_of(&c, id, generations[id], spents[id]);
		attach_fill(&a, &c);
		if (one_in(&r, 4))
			mutate(&r, &a, sizeof(a));
		if (one_in(&r, 8))
			mutate(&r, c.keys, sizeof(c.keys[0]) * 8);
		n = note(ioctl(fd, IFPP_RELAY_ATTACH, &a));
		if (n < 0 && one_in(&r, 8)) {
			/* Spoilt by a lie or by a lock: play on with a new chip. */
			spents[id] = 0;
			generations[id]++;
		}
		for (i = rnd(&r) % 60; i >= 0 && !stop; i--) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			poll(&p, 1, 20);
			n = note(read(fd, one_in(&r, 20) ? (void *)16 : buf,
				      one_in(&r, 20) ? rnd(&r) % 200 : sizeof(buf)));
			if (n < (ssize_t)sizeof(req) || (memcpy(&req, buf, sizeof(req)), 0))
				continue;
			if (one_in(&r, 12))
				usleep(rnd(&r) % 30000);
			memset(rep, 0, sizeof(*rep));
			rep->size = sizeof(*rep);
			rep->id = req.id;
			rep->type = req.type;
			rep->status = one_in(&r, 4) ? -(int)(rnd(&r) % 200) : 0;
			rep->len = one_in(&r, 8) ? rnd(&r) % 5000 : 8;
			if (!one_in(&r, 6)) {
				rep->flags = IFPP_REPLY_REPORT;
				if (req.type == IFPP_REQ_LOAD && !rep->status && c.n)
					chip_spend(&c, 0);
				if (req.type == IFPP_REQ_LOCK && one_in(&r, 2))
					chip_lock(&c);
				if (req.type == IFPP_REQ_DELETE_KEYS && !rep->status) {
					c.n = 0;
					c.state = IFPP_STATE_DRAINED;
				}
				rep->state = c.state;
				rep->spent_count = c.spent;
				rep->n_keys = c.n;
				memcpy(rep + 1, c.keys, c.n * sizeof(c.keys[0]));
			}
			len = sizeof(*rep) + rep->n_keys * sizeof(c.keys[0]) + rep->len;
			if (one_in(&r, 10))
				mutate(&r, out, sizeof(*rep) + 64);
			if (one_in(&r, 20))
				len = rnd(&r) % sizeof(out);
			if (note(write(fd, out, len < sizeof(out) ? len : sizeof(out))) > 0) {
				if (req.type == IFPP_REQ_LOAD && !rep->status)
					atomic_fetch_add(&installed, 1);
				if (req.type == IFPP_REQ_LOCK && !rep->status)
					atomic_fetch_add(&locked, 1);
			}
			spents[id] = c.spent;
		}
		close(fd);
	}
	return NULL;
}

static void *client_thread(void *arg)
{
	struct rng r = { seed0 * 17 + (long)arg * 104729 + 3 };
	static __thread __u8 pkg[300 * 1024];
	struct ifpp_key keys[16];
	union {
		struct ifpp_keys k;
		struct ifpp_delete d;
		struct ifpp_lock l;
		struct ifpp_info i;
		char raw[256];
	} u;
	__u32 last;
	__u8 seen[IFPP_EID_LEN], receipt[5000];
	struct answer out;
	struct chip c;
	size_t len;
	int fd, i;

	while (!stop) {
		fd = one_in(&r, 3) ? dup(any_front) :
				     front_open(rnd(&r) % EIDS, one_in(&r, 4) ? 0 : O_NONBLOCK);
		if (note(fd) < 0) {
			usleep(2000);
			continue;
		}
		any_front = fd;
		last = 0;
		memset(seen, 0, sizeof(seen));
		for (i = rnd(&r) % 80; i >= 0 && !stop; i--) {
			memset(&u, 0, sizeof(u));
			u.i.size = sizeof(u);
			switch (rnd(&r) % 12) {
			case 0 ... 4:
				memset(&c, 0, sizeof(c));
				memcpy(c.eid, seen, sizeof(seen));
				memset(c.keys[0].id, 1 + rnd(&r) % 8, IFPP_KEY_ID_LEN);
				len = package(pkg, &c, c.keys[0].id,
					      one_in(&r, 10) ? rnd(&r) % (290 * 1024) : 500);
				if (one_in(&r, 5))
					mutate(&r, pkg, IFPP_PKG_HDR_LEN);
				note(write(fd, one_in(&r, 30) ? (void *)16 : pkg,
					   one_in(&r, 20) ? rnd(&r) % sizeof(pkg) : len));
				break;
			case 5:
			case 6:
				note(read(fd, &out, one_in(&r, 4) ? rnd(&r) % sizeof(out) : sizeof(out)));
				break;
			case 7:
				if (note(ioctl(fd, IFPP_IOC_INFO, &u.i)))
					break;
				if (!memcmp(seen, u.i.eid, sizeof(seen)) && u.i.state < last)
					atomic_fetch_add(&fell, 1);
				memcpy(seen, u.i.eid, sizeof(seen));
				last = u.i.state;
				break;
			case 8:
				u.k.count = rnd(&r) % 20;
				u.k.keys = (uintptr_t)keys;
				if (u.k.count > 16)
					u.k.keys = 16;
				if (one_in(&r, 4))
					mutate(&r, &u.k, 8);
				note(ioctl(fd, IFPP_IOC_KEYS, &u));
				break;
			case 9:
				if (one_in(&r, 20))
					note(ioctl(fd, IFPP_IOC_DELETE_KEYS, &u));
				else if (one_in(&r, 4))
					note(ioctl(fd, IFPP_IOC_REWORK, &u));
				break;
			case 10:
				u.l.receipt = (uintptr_t)receipt;
				u.l.receipt_len = rnd(&r) % sizeof(receipt);
				if (one_in(&r, 40))
					note(ioctl(fd, IFPP_IOC_LOCK, &u));
				break;
			case 11:
				mutate(&r, &u, sizeof(u));
				/* Any command but the two that end a game too soon. */
				note(ioctl(fd, IFPP_IOC_LOCK + 1 + rnd(&r) % 64, &u));
				poll_now(fd);
				break;
			}
		}
		close(fd);
	}
	return NULL;
}

/* What sysfs shows of a chip, which may go meanwhile. */
static void look(struct rng *r)
{
	static const char * const names[] = { "state", "keys_unspent", "keys_unknown",
					      "keys_spent", "loads", "refused", "uevent" };
	char path[64], buf[256];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/ifpp/ifpp%d/%s", (int)(rnd(r) % EIDS),
		 names[rnd(r) % 7]);
	fd = open(path, O_RDONLY);
	if (note(fd) < 0)
		return;
	note(read(fd, buf, sizeof(buf)));
	close(fd);
}

static void *netlink_thread(void *arg)
{
	struct rng r = { seed0 + 5 };
	struct timeval quick = { .tv_usec = 50000 };
	struct nl_in in = {};
	struct attrs a;
	__u8 val[64];
	int fd, group = 0, family, cmd;

	fd = nl_open();
	family = nl_family(fd, &group);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quick, sizeof(quick));
	setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
	while (!stop) {
		if (one_in(&r, 4))
			look(&r);
		memset(val, 0, sizeof(val));
		val[0] = rnd(&r);
		if (one_in(&r, 3))
			mutate(&r, val, sizeof(val));
		cmd = rnd(&r) % (IFPP_CMD_MAX + 2);
		if (cmd == IFPP_CMD_HOST_LOCK && !lock_host)
			cmd = IFPP_CMD_DEV_GET;
		nl_send(fd, family, one_in(&r, 2) ? NLM_F_DUMP : 0, cmd,
			one_in(&r, 3) ? (int)(rnd(&r) % 12) : IFPP_A_DEV_INDEX, val,
			one_in(&r, 3) ? (int)(rnd(&r) % sizeof(val)) : 4);
		note(nl_next(fd, &in, &a));
	}
	close(fd);
	return NULL;
}

static void set(const char *kind, const char *file, const char *val)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, file);
	fd = open(path, O_WRONLY);
	if (fd >= 0 && write(fd, val, strlen(val)) < 0)
		perror(path);
	close(fd);
}

static const char * const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
#define KINDS	3
#define PLENTY	2000000000

static void inject(const char *percent)
{
	int i;

	for (i = 0; i < KINDS; i++)
		set(kinds[i], "probability", percent);
}

static void inject_init(void)
{
	char plenty[16];
	int i;

	snprintf(plenty, sizeof(plenty), "%d", PLENTY);
	inject("0");
	for (i = 0; i < KINDS; i++) {
		set(kinds[i], "task-filter", "Y");
		set(kinds[i], "interval", "1");
		set(kinds[i], "times", plenty);
		set(kinds[i], "verbose", "0");
		if (i < 2)
			set(kinds[i], "ignore-gfp-wait", "N");
	}
}

/* How often it struck: the kernel counts down from PLENTY. */
static int injected(int kind)
{
	char path[96], buf[16] = {};
	int fd, n;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/times", kinds[kind]);
	fd = open(path, O_RDONLY);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return n > 0 ? PLENTY - atoi(buf) : 0;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 60, i, n = 0, fd, last, turn, faulty = 0;
	pthread_t t[EIDS + CLIENTS + 1];

	seed0 = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)time(NULL);
	printf("# seed %lu\n", seed0);
	/* Short deadlines, so that they expire while there is something to expire. */
	fd = open("/sys/module/ifpp/parameters/timeout_ms", O_WRONLY);
	if (fd < 0 || write(fd, "300", 3) != 3)
		return perror("timeout_ms"), 1;
	close(fd);
	inject_init();
	/* Threads inherit it; faults come with the probability. */
	fd = open("/proc/self/make-it-fail", O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return perror("make-it-fail"), 1;
	close(fd);

	for (i = 0; i < EIDS; i++)
		pthread_create(&t[n++], NULL, relay_thread, (void *)(long)i);
	for (i = 0; i < CLIENTS; i++)
		pthread_create(&t[n++], NULL, client_thread, (void *)(long)i);
	pthread_create(&t[n++], NULL, netlink_thread, NULL);

	/* By turns without faults and with; the host is locked at the end, still with them. */
	last = seconds / 6 < 60 ? seconds / 6 : 60;
	turn = seconds / 3 < 30 ? seconds / 3 : 30;
	for (i = seconds - last; i > 0; i -= turn, faulty = !faulty) {
		inject(faulty ? "1" : "0");
		sleep(turn < i ? turn : i);
	}
	inject("1");
	lock_host = 1;
	sleep(last);
	inject("0");
	stop = 1;
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);

	printf("# %lu calls, %lu of them succeeded, %lu installed, %lu locked\n", calls, good, installed,
	       locked);
	printf("# faults injected: %d slab, %d page, %d copy\n", injected(0), injected(1), injected(2));
	if (fell)
		printf("not ok 1 a state fell %d times\n", fell);
	else if (installed < 20 || locked < 2)
		printf("not ok 1 the calls did not get deep enough to try anything\n");
	else
		printf("ok 1 fuzzer\n");
	return fell || installed < 20 || locked < 2;
}
