// SPDX-License-Identifier: GPL-2.0-or-later
/* Preloaded into a program: its calendar says what the file IFPP_TEST_CLOCK says, seconds since 1970, and stands still. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	const char *path = getenv("IFPP_TEST_CLOCK");
	long long now;
	FILE *file;

	if (id == CLOCK_REALTIME && path) {
		file = fopen(path, "re");
		if (!file || fscanf(file, "%lld", &now) != 1)
			abort();
		fclose(file);
		*ts = (struct timespec){ .tv_sec = now };
		return 0;
	}
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	return real(id, ts);
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
