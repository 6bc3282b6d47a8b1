// SPDX-License-Identifier: GPL-2.0-or-later
#include "counters.h"

#define KINDS_MAX 128	/* of requests, times statuses: both are few */

static struct {
	GMutex lock;
	guint n;
	struct {
		const char *what;
		guint status;
		guint64 count;
	} kinds[KINDS_MAX];
} counters;

void counters_add(const char *what, guint status)
{
	guint i;

	g_mutex_lock(&counters.lock);
	for (i = 0; i < counters.n; i++)
		if (counters.kinds[i].what == what && counters.kinds[i].status == status)
			break;
	if (i < KINDS_MAX) {
		counters.n = MAX(counters.n, i + 1);
		counters.kinds[i].what = what;
		counters.kinds[i].status = status;
		counters.kinds[i].count++;
	}
	g_mutex_unlock(&counters.lock);
}

void counters_each(void (*each)(const char *what, guint status, guint64 count, gpointer user), gpointer user)
{
	g_mutex_lock(&counters.lock);
	for (guint i = 0; i < counters.n; i++)
		each(counters.kinds[i].what, counters.kinds[i].status, counters.kinds[i].count, user);
	g_mutex_unlock(&counters.lock);
}
