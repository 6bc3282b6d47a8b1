// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a package costs on its way through the driver: a client and a relay as two processes,
 * beside the same two with a pair of pipes and a pair of SEQPACKET sockets between them, taking
 * turns. Runs on the gateway with the module loaded; writes "NAME VALUE" lines.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/ifpp.h>

#define KEYS 3
#define PIR 600			/* about what a chip signs */
#define SMALL (13 * 1024)
#define LARGE (256 * 1024)
#define TURNS 10
#define THROUGHPUT 320		/* packages, whatever the number of chips */
#define REFUSALS 300		/* in each turn */
#define RECORDS 192

enum kind { DRIVER, PIPE, SOCKET, KINDS };

static const char *const kind_name[KINDS] = { "driver", "pipe", "socket" };

struct chip {
	__u8 eid[IFPP_EID_LEN];
	__u32 state;
	__u32 n_keys;
	struct ifpp_key keys[KEYS];
};

/* Both ends of one way between a client and a relay. */
struct way {
	enum kind kind;
	struct chip chip;
	int client_out, client_in;
	int relay_in, relay_out;
	pid_t relay;
};

static unsigned char buf[IFPP_REQ_BUF_MAX], answer[16384];

static void die(const char *what)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static long long median(long long *v, int n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* ------------------------------------------------------------ a way */

static void chip_new(struct chip *c, __u32 state)
{
	static __u32 number;
	int i;

	memset(c, 0, sizeof(*c));
	c->eid[0] = 0x89;
	number++;
	memcpy(c->eid + 4, &number, sizeof(number));
	c->state = state;
	c->n_keys = state == IFPP_STATE_FACTORY ? KEYS : 0;
	for (i = 0; i < KEYS; i++) {
		c->keys[i].id[0] = i + 1;
		memcpy(c->keys[i].id + 4, &number, sizeof(number));
	}
}

static size_t package(unsigned char *out, const struct chip *c, size_t size)
{
	struct ifpp_pkg_hdr *h = (void *)out;

	memset(out, 0x5a, size);
	memset(h, 0, sizeof(*h));
	h->magic = htobe32(IFPP_PKG_MAGIC);
	h->version = htobe16(IFPP_PKG_VERSION);
	h->hdr_len = htobe16(IFPP_PKG_HDR_LEN);
	h->body_len = htobe32(size - sizeof(*h));
	memcpy(h->eid, c->eid, sizeof(h->eid));
	memcpy(h->key_id, c->keys[0].id, sizeof(h->key_id));
	return size;
}

static int attach(const struct chip *c, int *front)
{
	struct ifpp_attach a = { .size = sizeof(a), .state = c->state, .n_keys = c->n_keys };
	char path[32];
	int fd = open("/dev/ifpp-relay", O_RDWR);

	memcpy(a.eid, c->eid, sizeof(a.eid));
	a.keys = (uintptr_t)c->keys;
	if (fd < 0 || ioctl(fd, IFPP_RELAY_ATTACH, &a) < 0)
		die("/dev/ifpp-relay");
	if (front) {
		snprintf(path, sizeof(path), "/dev/ifpp%u", a.index);
		*front = open(path, O_RDWR);
		if (*front < 0)
			die(path);
	}
	return fd;
}

static void way_open(struct way *w, enum kind kind)
{
	int one[2], two[2], room = 1 << 20;

	memset(w, 0, sizeof(*w));
	w->kind = kind;
	chip_new(&w->chip, IFPP_STATE_FACTORY);
	switch (kind) {
	case DRIVER:
		w->relay_in = w->relay_out = attach(&w->chip, &w->client_out);
		w->client_in = w->client_out;
		break;
	case PIPE:
		/* room for a whole package, so that a write does not wait for the reader */
		if (pipe(one) < 0 || pipe(two) < 0 || fcntl(one[1], F_SETPIPE_SZ, room) < 0)
			die("pipe");
		w->client_out = one[1];
		w->relay_in = one[0];
		w->relay_out = two[1];
		w->client_in = two[0];
		break;
	default:
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, one) < 0 ||
		    setsockopt(one[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
			die("socketpair");
		w->client_out = w->client_in = one[0];
		w->relay_in = w->relay_out = one[1];
	}
}

static void way_close(struct way *w)
{
	if (w->relay > 0) {
		kill(w->relay, SIGKILL);
		waitpid(w->relay, NULL, 0);
	}
	close(w->client_out);
	close(w->relay_in);
	if (w->kind == PIPE) {
		close(w->client_in);
		close(w->relay_out);
	}
}

/* One message of @len bytes: a pipe may give it in pieces. */
static void take(int fd, void *data, size_t len, size_t room)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = read(fd, (char *)data + have, room - have);
		if (n <= 0)
			die("read");
		have += n;
	}
}

static size_t answer_len(void)
{
	return sizeof(struct ifpp_reply) + KEYS * sizeof(struct ifpp_key) + PIR;
}

static void relay_once(struct way *w, size_t size)
{
	struct ifpp_reply *reply = (void *)answer;
	struct ifpp_req *req = (void *)buf;
	size_t len = answer_len();

	if (w->kind != DRIVER) {
		take(w->relay_in, buf, size, sizeof(buf));
	} else {
		take(w->relay_in, buf, sizeof(*req) + size, sizeof(buf));
		memset(reply, 0, sizeof(*reply));
		reply->size = sizeof(*reply);
		reply->id = req->id;
		reply->type = req->type;
		/* A load that failed before it cost the chip a key: it can be had again and again. */
		reply->status = -EBADMSG;
		reply->flags = IFPP_REPLY_REPORT;
		reply->state = IFPP_STATE_FACTORY;
		reply->n_keys = KEYS;
		reply->len = PIR;
		memcpy(reply + 1, w->chip.keys, sizeof(w->chip.keys));
	}
	if (write(w->relay_out, answer, len) != (ssize_t)len)
		die("reply");
}

static void client_once(struct way *w, unsigned char *data, size_t size)
{
	static unsigned char result[sizeof(struct ifpp_result) + IFPP_PIR_MAX];

	if (write(w->client_out, data, size) != (ssize_t)size)
		die("submit");
	take(w->client_in, result, w->kind == DRIVER ? sizeof(struct ifpp_result) + PIR : answer_len(),
	     sizeof(result));
}

static void relay_start(struct way *w, size_t size)
{
	w->relay = fork();
	if (w->relay < 0)
		die("fork");
	if (w->relay)
		return;
	for (;;)
		relay_once(w, size);
}

static void pin(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < 2; i++)
		if (cpu < 0 || cpu == i)
			CPU_SET(i, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) < 0)
		die("sched_setaffinity");
}

/* ------------------------------------------------------------ what is measured */

static void round_trip(const char *name, size_t size, int relay_cpu, int rounds)
{
	static long long took[KINDS][512];
	static unsigned char data[LARGE];
	struct way ways[KINDS];
	int n[KINDS] = { 0 };
	long long mid[KINDS];

	for (int k = 0; k < KINDS; k++) {
		way_open(&ways[k], k);
		relay_start(&ways[k], size);
		pin(ways[k].relay, relay_cpu);
	}
	pin(0, 0);
	for (int turn = 0; turn <= TURNS; turn++) {
		for (int k = 0; k < KINDS; k++) {
			package(data, &ways[k].chip, size);
			for (int i = 0; i < rounds / TURNS; i++) {
				long long start = now();

				client_once(&ways[k], data, size);
				if (turn)	/* the first warms up */
					took[k][n[k]++] = now() - start;
			}
		}
	}
	for (int k = 0; k < KINDS; k++) {
		mid[k] = median(took[k], n[k]);
		printf("round_trip.%s.%s_us %.1f\n", name, kind_name[k], mid[k] / 1e3);
		way_close(&ways[k]);
	}
	printf("round_trip.%s.to_pipe %.2f\n", name, (double)mid[DRIVER] / mid[PIPE]);
	printf("round_trip.%s.to_socket %.2f\n", name, (double)mid[DRIVER] / mid[SOCKET]);
	pin(0, -1);
}

/* Packages a second through @n ways at once, each with a client and a relay of its own. */
static double throughput(enum kind kind, int n)
{
	static unsigned char data[SMALL];
	struct way ways[64];
	pid_t clients[64];
	int go[2], status;
	long long start;
	char byte;

	for (int i = 0; i < n; i++) {
		way_open(&ways[i], kind);
		relay_start(&ways[i], SMALL);
	}
	/* after the relays are there: they must not hold its other end */
	if (pipe(go) < 0)
		die("pipe");
	for (int i = 0; i < n; i++) {
		clients[i] = fork();
		if (clients[i] < 0)
			die("fork");
		if (!clients[i]) {
			close(go[1]);
			package(data, &ways[i].chip, SMALL);
			client_once(&ways[i], data, SMALL);
			if (read(go[0], &byte, 1))
				_exit(1);
			for (int k = 0; k < THROUGHPUT / n; k++)
				client_once(&ways[i], data, SMALL);
			_exit(0);
		}
	}
	usleep(300000);
	start = now();
	close(go[1]);
	for (int i = 0; i < n; i++)
		if (waitpid(clients[i], &status, 0) < 0 || status)
			die("a client");
	start = now() - start;
	close(go[0]);
	for (int i = 0; i < n; i++)
		way_close(&ways[i]);
	return THROUGHPUT * 1e9 / start;
}

static void chips(int n)
{
	long long driver[3], pipes[3];

	for (int i = 0; i < 3; i++) {
		driver[i] = throughput(DRIVER, n);
		pipes[i] = throughput(PIPE, n);
	}
	printf("chips.%d.driver_per_s %lld\n", n, median(driver, 3));
	printf("chips.%d.pipe_per_s %lld\n", n, median(pipes, 3));
	printf("chips.%d.to_pipe %.2f\n", n, (double)driver[1] / pipes[1]);
}

static long long submit_ns(int fd, unsigned char *data, int error)
{
	long long start = now();

	for (int i = 0; i < REFUSALS; i++)
		if (error ? write(fd, data, SMALL) != -1 || errno != error : write(fd, data, SMALL) != SMALL)
			die("a package that should be refused");
	return (now() - start) / REFUSALS;
}

static void refused(void)
{
	enum { NOTHING, LOCKED, WRONG, CASES };
	static const char *const names[CASES] = { "dev_null", "locked", "wrong_chip" };
	static const int errors[CASES] = { 0, EPERM, EXDEV };
	long long took[CASES][TURNS], mid[CASES];
	static unsigned char data[CASES][SMALL];
	struct chip locked, other;
	int relays[CASES], fds[CASES];

	chip_new(&locked, IFPP_STATE_LOCKED);
	chip_new(&other, IFPP_STATE_FACTORY);
	fds[NOTHING] = open("/dev/null", O_WRONLY);
	relays[LOCKED] = attach(&locked, &fds[LOCKED]);
	relays[WRONG] = attach(&other, &fds[WRONG]);
	package(data[NOTHING], &other, SMALL);
	package(data[LOCKED], &locked, SMALL);
	package(data[WRONG], &locked, SMALL);
	for (int turn = 0; turn < TURNS; turn++)
		for (int i = 0; i < CASES; i++)
			took[i][turn] = submit_ns(fds[i], data[i], errors[i]);
	for (int i = 0; i < CASES; i++) {
		mid[i] = median(took[i], TURNS);
		printf("refused.%s_ns %lld\n", names[i], mid[i]);
	}
	for (int i = LOCKED; i < CASES; i++) {
		printf("refused.%s_to_dev_null %.2f\n", names[i], (double)mid[i] / mid[NOTHING]);
		close(fds[i]);
		close(relays[i]);
	}
	close(fds[NOTHING]);
}

static long slab(void)
{
	char line[256];
	long kb = -1;
	FILE *f;
	int fd;

	usleep(500000);
	sync();
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (fd < 0 || write(fd, "2", 1) != 1)
		die("drop_caches");
	close(fd);
	usleep(500000);
	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Slab: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static void memory(void)
{
	int relays[RECORDS];
	struct chip c;
	long before = slab(), attached, detached;

	for (int i = 0; i < RECORDS; i++) {
		chip_new(&c, IFPP_STATE_FACTORY);
		relays[i] = attach(&c, NULL);
	}
	attached = slab();
	for (int i = 0; i < RECORDS; i++)
		close(relays[i]);
	detached = slab();
	printf("memory.attached_bytes %ld\n", (attached - before) * 1024 / RECORDS);
	printf("memory.detached_bytes %ld\n", (detached - before) * 1024 / RECORDS);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	memory();
	round_trip("13k_one_cpu", SMALL, 0, 500);
	round_trip("13k_two_cpus", SMALL, 1, 500);
	round_trip("256k_one_cpu", LARGE, 0, 80);
	round_trip("256k_two_cpus", LARGE, 1, 80);
	chips(1);
	chips(8);
	chips(64);
	refused();
	return 0;
}
