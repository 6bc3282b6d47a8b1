// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into a program: its calendar says what the file IFPP_TEST_CLOCK says, seconds since 1970, and stands still.
 * What the file IFPP_TEST_UPTIME says is added to the seconds that the machine has been up.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long long number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	long long number;

	if (!file || fscanf(file, "%lld", &number) != 1)
		abort();
	fclose(file);
	return number;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	const char *path = getenv(id == CLOCK_REALTIME ? "IFPP_TEST_CLOCK" : "IFPP_TEST_UPTIME");
	int status;

	if (id == CLOCK_REALTIME && path) {
		*ts = (struct timespec){ .tv_sec = number_in(path) };
		return 0;
	}
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	status = real(id, ts);
	if (id == CLOCK_MONOTONIC && path)
		ts->tv_sec += number_in(path);
	return status;
}

int gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}
