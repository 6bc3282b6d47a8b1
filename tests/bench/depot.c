// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a depot costs: packages added, chips claimed, all packages listed page by page, as "NAME VALUE" lines.
 *
 * usage: depot NAME DB PACKAGES BYTES CLAIMS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <eid.h>

#include "depot.h"

#define BATCH 500	/* as import.c */
#define PAGE 500	/* as ifpp-depot list */
#define ROUNDS 3

static void eid_of(guint i, guint8 eid[16])
{
	char digits[33];

	snprintf(digits, sizeof(digits), "89049032%022u00", i);
	ifpp_eid_check_digits(digits);
	g_assert_true(ifpp_eid_parse(digits, eid, NULL));
}

static void add_all(Depot *depot, guint n_packages, gsize bytes)
{
	g_autofree guint8 *body = g_malloc(bytes);
	guint8 delivery[32] = { 1 };
	DepotItem items[BATCH], *list[BATCH];
	GBytes *packages[BATCH];
	guint added = 0;

	for (gsize i = 0; i < bytes; i++)
		body[i] = g_random_int();
	for (guint from = 0; from < n_packages; from += BATCH) {
		guint n = MIN(BATCH, n_packages - from);
		g_autoptr(GError) error = NULL;

		for (guint i = 0; i < n; i++) {
			gsize len = sizeof(items[i].key_id);
			g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

			items[i] = (DepotItem){ .bytes = bytes, .profile = (char *)"Gateway", .operator = (char *)"Telco",
						.batch = (char *)"line-7" };
			eid_of(from + i, items[i].eid);
			memcpy(body, items[i].eid, 16);
			packages[i] = g_bytes_new(body, bytes);
			g_checksum_update(sum, body, bytes);
			g_checksum_get_digest(sum, items[i].key_id, &len);
			memcpy(items[i].sha256, items[i].key_id, 32);
			snprintf(items[i].iccid, sizeof(items[i].iccid), "8949%016u", from + i);
			list[i] = &items[i];
		}
		if (!depot_add(depot, delivery, list, packages, n, &added, &error))
			g_error("%s", error->message);
		for (guint i = 0; i < n; i++)
			g_bytes_unref(packages[i]);
	}
	g_assert_cmpuint(added, ==, n_packages);
}

static int by_time(const void *a, const void *b)
{
	gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

	return (x > y) - (x < y);
}

/* The whole stock, microseconds; the best of some rounds. */
static gint64 list_all(Depot *depot, guint n_packages)
{
	const DepotFilter all = { .state = -1 };
	gint64 best = G_MAXINT64;

	for (guint round = 0; round < ROUNDS; round++) {
		g_autoptr(GPtrArray) page = NULL;
		gint64 begun = g_get_monotonic_time();
		guint n = 0;

		do {
			g_autoptr(GPtrArray) before = g_steal_pointer(&page);
			g_autoptr(GError) error = NULL;

			page = depot_list(depot, &all, before ? before->pdata[before->len - 1] : NULL, PAGE, &error);
			if (!page)
				g_error("%s", error->message);
			n += page->len;
		} while (page->len == PAGE);
		g_assert_cmpuint(n, ==, n_packages);
		best = MIN(best, g_get_monotonic_time() - begun);
	}
	return best;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Depot) depot = NULL;
	guint packages, claims;
	struct rusage usage;
	gint64 *times, begun;
	double seconds;

	if (argc != 6) {
		fprintf(stderr, "usage: depot NAME DB PACKAGES BYTES CLAIMS\n");
		return 2;
	}
	packages = atoi(argv[3]);
	claims = atoi(argv[5]);
	depot = depot_open(argv[2], TRUE, &error);
	if (!depot)
		g_error("%s", error->message);
	begun = g_get_monotonic_time();
	add_all(depot, packages, atoi(argv[4]));
	seconds = (g_get_monotonic_time() - begun) / 1e6;
	times = g_new(gint64, claims);
	for (guint i = 0; i < claims; i++) {
		g_autoptr(GPtrArray) items = NULL;
		guint8 eid[16];
		gint64 until;

		eid_of((guint64)i * packages / claims, eid);
		begun = g_get_monotonic_time();
		items = depot_claim(depot, eid, "bench", 3600, &until, &error);
		times[i] = g_get_monotonic_time() - begun;
		g_assert_true(items && items->len == 1);
	}
	printf("depot.%s.list_ms %.1f\n", argv[1], list_all(depot, packages) / 1e3);
	qsort(times, claims, sizeof(*times), by_time);
	getrusage(RUSAGE_SELF, &usage);
	printf("depot.%s.packages %u\ndepot.%s.added_per_s %.0f\ndepot.%s.claim_p50_us %" G_GINT64_FORMAT
	       "\ndepot.%s.claim_p99_us %" G_GINT64_FORMAT "\ndepot.%s.client_rss_kb %ld\n", argv[1], packages, argv[1],
	       packages / seconds, argv[1], times[claims / 2], argv[1], times[claims * 99 / 100], argv[1], usage.ru_maxrss);
	g_free(times);
	return 0;
}
