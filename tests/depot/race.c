// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stations race for the same chips and are killed now and then: nobody may get what another has.
 *
 * usage: race DB PACKAGES STATIONS KILL_MS [GROUP]	prints "NAME VALUE" lines; exit 1: a double claim
 *
 * GROUP: chips that a station asks for in one transaction, 1 if not said.
 * Without stations the packages are made, for others to race for.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <eid.h>

#include "depot.h"

#define LEASE 86400
#define BATCH 1000
#define GROUP_MAX 64
#define AHEAD 3		/* groups that one half may be ahead of the other */

typedef struct {
	atomic_uint got[2];	/* station + 1 that was told it has this chip */
} Chip;

/* In memory that the stations share and that outlives them. */
static struct Shared {
	atomic_uint next[2];	/* chip that the even and the odd stations come to */
	atomic_uint asked, answered, busy;
	Chip chips[];
} *shared;

static char *url;
static guint n_packages, group = 1;

static void eid_of(guint i, guint8 eid[16])
{
	char digits[33];

	snprintf(digits, sizeof(digits), "89049032%022u00", i);
	ifpp_eid_check_digits(digits);
	g_assert_true(ifpp_eid_parse(digits, eid, NULL));
}

static void key_of(guint i, guint8 key_id[32])
{
	memset(key_id, 0x5A, 32);
	/* spread over the index, as real ones are */
	for (guint j = 0; j < 4; j++)
		key_id[j] = (i * 2654435761u) >> (24 - 8 * j);
}

static Depot *open_depot(void)
{
	g_autoptr(GError) error = NULL;
	Depot *depot = depot_open(url, TRUE, &error);

	if (!depot)
		g_error("%s", error->message);
	return depot;
}

static void fill(void)
{
	g_autoptr(Depot) depot = open_depot();
	g_autoptr(GBytes) package = g_bytes_new("sealed", 6);
	guint8 delivery[32] = { 1 };
	GBytes *packages[BATCH];
	DepotItem items[BATCH], *list[BATCH];
	guint added = 0;

	for (guint from = 0; from < n_packages; from += BATCH) {
		guint n = MIN(BATCH, n_packages - from);
		g_autoptr(GError) error = NULL;

		for (guint i = 0; i < n; i++) {
			items[i] = (DepotItem){ .bytes = 6, .profile = (char *)"", .operator = (char *)"", .batch = (char *)"" };
			eid_of(from + i, items[i].eid);
			key_of(from + i, items[i].key_id);
			list[i] = &items[i];
			packages[i] = package;
		}
		if (!depot_add(depot, delivery, list, packages, n, &added, &error))
			g_error("%s", error->message);
	}
	g_assert_cmpuint(added, ==, n_packages);
}

static void note(guint i, guint station, const DepotTake *take)
{
	guint nobody = 0;

	if (take->items->len && !atomic_compare_exchange_strong(&shared->chips[i].got[0], &nobody, station + 1) &&
	    nobody != station + 1)
		atomic_store(&shared->chips[i].got[1], station + 1);
}

/* @n chips from the one of number @from on. */
static void try(Depot *depot, guint from, guint n, guint station)
{
	g_autofree char *name = g_strdup_printf("station-%u", station);
	DepotTake takes[GROUP_MAX] = {}, *list[GROUP_MAX];
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < n; i++) {
		takes[i].station = name;
		takes[i].lease = LEASE;
		eid_of(from + i, takes[i].eid);
		list[i] = &takes[i];
	}
	atomic_fetch_add(&shared->asked, n);
	if (!depot_take(depot, list, n, &error)) {
		atomic_fetch_add(&shared->busy, n);
		fprintf(stderr, "%s: %s\n", name, error->message);
	}
	atomic_fetch_add(&shared->answered, n);
	for (guint i = 0; i < n; i++) {
		g_assert_no_error(takes[i].error);
		if (!error)
			note(from + i, station, &takes[i]);
		depot_take_clear(&takes[i]);
	}
}

/* Two stations ask for each chip, about at once: an even one and an odd one. */
static void claim_all(guint station)
{
	g_autoptr(Depot) depot = open_depot();
	guint i;

	while ((i = atomic_fetch_add(&shared->next[station % 2], group)) < n_packages) {
		while (i > atomic_load(&shared->next[!(station % 2)]) + AHEAD * group)
			g_usleep(50);
		try(depot, i, MIN(group, n_packages - i), station);
	}
}

static pid_t start(guint station)
{
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		claim_all(station);
		_exit(0);
	}
	return pid;
}

/*
 * Kills one every @ms and starts another in its place; returns how many were killed. None while all of them wait
 * for a disk that stands still: what the server has left to do for the dead are connections, and it has not many.
 */
static guint race(guint n, guint ms)
{
	g_autofree pid_t *pids = g_new0(pid_t, n);
	guint stations = n, kills = 0, left = n, answered, before = 0;

	for (guint i = 0; i < n; i++)
		pids[i] = start(i);
	while (left) {
		guint victim = g_random_int_range(0, n);
		int status;

		g_usleep(ms * 1000);
		for (guint i = 0; i < n; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			g_assert_cmpint(status, ==, 0);
			pids[i] = 0;
			left--;
		}
		answered = atomic_load(&shared->answered);
		if (answered == before || !pids[victim] || atomic_load(&shared->next[victim % 2]) >= n_packages)
			continue;
		before = answered;
		kill(pids[victim], SIGKILL);
		waitpid(pids[victim], &status, 0);
		kills++;
		/* a new name, in the same half */
		stations += 2;
		pids[victim] = start(stations / 2 * 2 + victim % 2);
	}
	return kills;
}

/* What the depot says afterwards, against what the stations were told. */
static guint audit(guint *untold)
{
	g_autoptr(Depot) depot = open_depot();
	guint bad = 0;

	for (guint i = 0; i < n_packages; i++) {
		guint told = atomic_load(&shared->chips[i].got[0]), twice = atomic_load(&shared->chips[i].got[1]);
		g_autofree char *name = g_strdup_printf("station-%u", told - 1);
		DepotFilter filter = { .state = -1 };
		g_autoptr(GPtrArray) items = NULL, events = NULL;
		g_autoptr(GError) error = NULL;
		guint8 key_id[32];
		DepotItem *item;

		key_of(i, key_id);
		filter.key_id = key_id;
		items = depot_list(depot, &filter, NULL, 2, &error);
		events = items ? depot_history(depot, key_id, &error) : NULL;
		if (!events)
			g_error("%s", error->message);
		item = items->pdata[0];
		*untold += !told;
		/* Imported, reserved: a third line would be a second claim. */
		if (items->len != 1 || events->len != 2 || item->state != DEPOT_RESERVED || twice ||
		    (told && g_strcmp0(item->station, name))) {
			printf("# chip %u: told %u, then %u; the depot says %s, %u events\n", i, told, twice,
			       item->station ?: "nobody", events->len);
			bad++;
		}
	}
	return bad;
}

int main(int argc, char **argv)
{
	gint64 begun, ended;
	guint kills, bad, untold = 0;
	gsize size;

	if (argc == 6)
		group = atoi(argv[5]);
	if (argc < 5 || argc > 6 || group < 1 || group > GROUP_MAX) {
		fprintf(stderr, "usage: race DB PACKAGES STATIONS KILL_MS [GROUP]\n");
		return 2;
	}
	url = argv[1];
	n_packages = atoi(argv[2]);
	size = sizeof(*shared) + n_packages * sizeof(Chip);
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert_true(shared != MAP_FAILED);
	fill();
	if (!atoi(argv[3]))
		return 0;
	begun = g_get_monotonic_time();
	kills = race(atoi(argv[3]), atoi(argv[4]));
	ended = g_get_monotonic_time();
	/* What nobody lived to ask for. */
	{
		g_autoptr(Depot) depot = open_depot();

		for (guint i = 0; i < n_packages; i++)
			if (!atomic_load(&shared->chips[i].got[0]))
				try(depot, i, 1, 1000000);
	}
	bad = audit(&untold);
	printf("race.packages %u\nrace.asked %u\nrace.kills %u\nrace.given_up %u\nrace.untold %u\nrace.double %u\n"
	       "race.seconds %.1f\n", n_packages, shared->asked, kills, shared->busy, untold, bad,
	       (ended - begun) / 1e6);
	return bad != 0;
}
