// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of states and stations, and how times are written. */
#include "depot.h"

#include <string.h>

const char *const depot_state_names[DEPOT_N_STATES] = { "free", "reserved", "sent", "installed", "failed", "burnt" };

gboolean depot_station_valid(const char *name)
{
	gsize len = strlen(name);

	return len && len <= DEPOT_STATION_MAX &&
	       strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == len;
}

gboolean depot_state_parse(const char *name, DepotState *state)
{
	for (guint i = 0; i < DEPOT_N_STATES; i++) {
		if (g_str_equal(name, depot_state_names[i])) {
			*state = i;
			return TRUE;
		}
	}
	return FALSE;
}

char *depot_time(gint64 ms)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(ms / 1000);

	return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("-");
}
