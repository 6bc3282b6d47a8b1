// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A line: modems side by side, each with its own ifppd, against the same modem alone. Card, wire and modem take the time of
 * real ones (tools/vmodem/wire.h), so that the ratio tells what the station adds, and what 32 simulations do. Over Unix sockets,
 * on this machine: an emulated one would be the limit itself.
 *
 * usage: line [MODEMS [LINK [LOADS]]], with LINK as ifpp-vmodem --link takes it and IFPP_BUILD naming the build; "NAME VALUE" lines on standard output
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "station.h"

#define LOAD_MS 600000

typedef struct {
	Station *station;
	GPtrArray *packages;
	guint next;
	guint64 chip_ns;
} Modem;

static double now(void)
{
	return g_get_monotonic_time() / 1e6;
}

static void submit(Modem *modem)
{
	GBytes *package = modem->packages->pdata[modem->next++];
	int err = relay_sim_submit(modem->station->sim, IFPP_REQ_LOAD, g_bytes_get_data(package, NULL),
				   g_bytes_get_size(package), LOAD_MS);

	if (err)
		g_error("submit: %s", g_strerror(-err));
}

/* All packages of modems FIRST to FIRST + N - 1, each modem one at a time; returns seconds. */
static double load(Modem *modems, guint n)
{
	g_autofree struct pollfd *fds = g_new0(struct pollfd, n);
	double begin = now();
	guint left = n;

	for (guint i = 0; i < n; i++) {
		modems[i].next = 0;
		submit(&modems[i]);
		fds[i] = (struct pollfd){ .fd = modems[i].station->sim->fd, .events = POLLIN };
	}
	while (left) {
		if (poll(fds, n, LOAD_MS) <= 0)
			g_error("no answer");
		for (guint i = 0; i < n; i++) {
			RelaySimResult result = { 0 };

			if (!fds[i].revents)
				continue;
			if (relay_sim_wait(modems[i].station->sim, &result, LOAD_MS) || result.status)
				g_error("modem %u: a load failed: %d", i, result.status);
			modems[i].chip_ns += result.reply.chip_ns;
			relay_sim_result_clear(&result);
			if (modems[i].next < modems[i].packages->len) {
				submit(&modems[i]);
			} else {
				fds[i].fd = -1;
				left--;
			}
		}
	}
	return now() - begin;
}

/* User and system time of a process, seconds. */
static double cpu(GPid pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid), *text = NULL;
	unsigned long user = 0, system = 0;
	const char *p;

	if (g_file_get_contents(path, &text, NULL, NULL) && (p = strrchr(text, ')')))
		sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static guint pss_kb(GPid pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid), *text = NULL;
	const char *p;

	if (!g_file_get_contents(path, &text, NULL, NULL) || !(p = strstr(text, "\nPss:")))
		return 0;
	return strtoul(p + 5, NULL, 10);
}

int main(int argc, char **argv)
{
	guint n = argc > 1 ? atoi(argv[1]) : 32, loads = argc > 3 ? atoi(argv[3]) : 8;
	g_autofree char *link = g_strdup_printf("--link %s", argc > 2 ? argv[2] : "default");
	g_autofree Modem *modems = NULL;
	double alone, together, busy = 0, simulated = 0;
	guint64 chip_ns = 0;
	guint pss = 0, most = 0;
	World *world;

	if (n < 1 || n > 200 || !loads || loads > 8) {
		fprintf(stderr, "usage: line [MODEMS [LINK [LOADS]]]\n");
		return 2;
	}
	world = world_new();
	modems = g_new0(Modem, n + 1);
	for (guint i = 0; i <= n; i++) {
		modems[i].station = station_new(world, loads + 1);
		modems[i].station->timeout = "30";
		modems[i].station->modem_options = link;
		modems[i].packages = station_seal(modems[i].station, loads);
		station_modem_start(modems[i].station);
		station_daemon_up(modems[i].station);
	}
	alone = load(&modems[n], 1);
	for (guint i = 0; i < n; i++) {
		busy -= cpu(modems[i].station->daemon);
		simulated -= cpu(modems[i].station->modem);
	}
	together = load(modems, n);
	for (guint i = 0; i < n; i++) {
		guint kb = pss_kb(modems[i].station->daemon);

		busy += cpu(modems[i].station->daemon);
		simulated += cpu(modems[i].station->modem);
		pss += kb;
		most = MAX(most, kb);
		chip_ns += modems[i].chip_ns;
	}
	printf("line.modems %u\n", n);
	printf("line.loads %u\n", loads);
	printf("line.alone_s %.3f\n", alone);
	printf("line.together_s %.3f\n", together);
	printf("line.alone_per_hour %.0f\n", loads * 3600 / alone);
	printf("line.together_per_hour %.0f\n", n * loads * 3600 / together);
	printf("line.ratio %.3f\n", alone / together);
	printf("line.chip_share %.3f\n", chip_ns / 1e9 / n / together);
	printf("line.daemon_cpu_ms %.1f\n", busy * 1e3 / n / loads);
	printf("line.modem_cpu_ms %.1f\n", simulated * 1e3 / n / loads);
	printf("line.daemon_pss_kb %u\n", pss / n);
	printf("line.daemon_pss_max_kb %u\n", most);
	for (guint i = 0; i <= n; i++) {
		g_ptr_array_unref(modems[i].packages);
		station_free(modems[i].station);
	}
	world_free(world);
	return 0;
}
