// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two stations on one directory of packages, of many processes each, that are killed now and then: no
 * lease is given twice, and none before the one before it has ended.
 *
 * usage: leases DIR CHIPS PROCESSES KILL_MS SECONDS	prints "NAME VALUE" lines; exit 1: a double lease
 *
 * It lasts longer where a disk is slow: until each chip was asked for and a station was killed and refused.
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

#include "explain.h"
#include "lease.h"

#define GRANTS_MAX 4000000
#define ASKED_MIN 40	/* times for each chip; they are chosen at random */
#define SECONDS_MAX 90

typedef struct {
	guint chip, station;
	guint64 generation;
	gint64 since, until;
	gboolean ended;		/* early, by whom it was given to */
	gint noted;		/* last: who was killed before it has noted nothing */
} Grant;

/* In memory that the processes share and that outlives them. */
static struct Shared {
	atomic_uint n, busy, ended;
	gboolean over;
	Grant grants[];
} *shared;

static const char *dir;
static guint n_chips;

static void eid_of(guint i, guint8 eid[16])
{
	char digits[33];

	snprintf(digits, sizeof(digits), "89049032%022u00", i);
	ifpp_eid_check_digits(digits);
	g_assert_true(ifpp_eid_parse(digits, eid, NULL));
}

static void note(guint chip, guint station, const CtlLease *lease, gboolean ended)
{
	guint i = atomic_fetch_add(&shared->n, 1);

	g_assert_cmpuint(i, <, GRANTS_MAX);
	shared->grants[i] = (Grant){ chip, station, lease->generation, lease->since, lease->until, ended, 0 };
	g_atomic_int_set(&shared->grants[i].noted, 1);
}

static void work(guint station)
{
	g_autofree char *name = g_strdup_printf("station-%u", station);

	while (!shared->over) {
		g_autoptr(GError) error = NULL;
		g_autoptr(CtlLease) lease = ctl_lease_new(dir, name, &error);
		guint chip = g_random_int_range(0, n_chips);
		guint8 eid[16];

		if (!lease)
			g_error("%s", error->message);
		eid_of(chip, eid);
		/* From shorter than a turn of the scheduler to longer than the whole test. */
		if (!ctl_lease_take(lease, eid, 1 << g_random_int_range(0, 16), &error)) {
			if (!g_error_matches(error, CTL_ERROR, IFPP_EXIT_BUSY))
				g_error("%s", error->message);
			atomic_fetch_add(&shared->busy, 1);
			continue;
		}
		note(chip, station, lease, FALSE);
		if (g_random_int_range(0, 8))
			continue;
		/* What is noted before it is done may be done or not. */
		lease->generation++;
		note(chip, station, lease, TRUE);
		lease->generation--;
		ctl_lease_end(lease);
	}
}

static pid_t start(guint station)
{
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		work(station);
		_exit(0);
	}
	return pid;
}

static gboolean is_enough(guint kills)
{
	guint busy = atomic_load(&shared->busy);

	return kills && busy && atomic_load(&shared->n) + busy >= ASKED_MIN * n_chips;
}

static guint race(guint n, guint kill_ms, guint seconds)
{
	gint64 start_us = g_get_monotonic_time(), us;
	g_autofree pid_t *pids = g_new0(pid_t, n);
	guint kills = 0;
	int status;

	for (guint i = 0; i < n; i++)
		pids[i] = start(i % 2);
	while ((us = g_get_monotonic_time() - start_us) < (gint64)seconds * G_USEC_PER_SEC ||
	       (!is_enough(kills) && us < SECONDS_MAX * G_USEC_PER_SEC)) {
		guint victim = g_random_int_range(0, n);

		g_usleep(kill_ms * 1000);
		kill(pids[victim], SIGKILL);
		waitpid(pids[victim], &status, 0);
		g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		kills++;
		pids[victim] = start(victim % 2);
	}
	shared->over = TRUE;
	for (guint i = 0; i < n; i++) {
		waitpid(pids[i], &status, 0);
		g_assert_cmpint(status, ==, 0);
	}
	return kills;
}

static int by_generation(const void *a, const void *b)
{
	const Grant *x = a, *y = b;

	if (x->chip != y->chip)
		return x->chip < y->chip ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return y->ended - x->ended;
}

/* Of those in a row: is the later one another's, and too early? */
static guint audit(void)
{
	guint bad = 0, n = shared->n;
	const Grant *last = NULL;

	qsort(shared->grants, n, sizeof(Grant), by_generation);
	for (guint i = 0; i < n; i++) {
		const Grant *g = &shared->grants[i];

		if (!g->noted)
			continue;
		if (last && last->chip == g->chip &&
		    ((last->generation == g->generation && !last->ended && !g->ended) ||
		     (last->generation + 1 == g->generation && last->station != g->station && !last->ended &&
		      !g->ended && g->since < last->until))) {
			printf("# chip %u: generation %" G_GUINT64_FORMAT " of station %u until %" G_GINT64_FORMAT
			       ", generation %" G_GUINT64_FORMAT " of station %u from %" G_GINT64_FORMAT "\n", g->chip,
			       last->generation, last->station, last->until, g->generation, g->station, g->since);
			bad++;
		}
		last = g;
	}
	return bad;
}

int main(int argc, char **argv)
{
	gsize size = sizeof(*shared) + GRANTS_MAX * sizeof(Grant);
	guint kills, bad;

	if (argc != 6) {
		fprintf(stderr, "usage: leases DIR CHIPS PROCESSES KILL_MS SECONDS\n");
		return 2;
	}
	dir = argv[1];
	n_chips = atoi(argv[2]);
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g_assert_true(shared != MAP_FAILED);
	kills = race(atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	bad = audit();
	printf("leases.given %u\nleases.busy %u\nleases.kills %u\nleases.double %u\n", shared->n, shared->busy, kills, bad);
	return bad != 0;
}
