// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include "clock.h"
#include "floor.h"
#include "policy.h"

static char *floor_path(const char *state_dir)
{
	return g_build_filename(state_dir, "clock", "floor", NULL);
}

void clock_apply(IfppTrust *trust, const char *state_dir, const char *policy)
{
	g_autofree char *path = floor_path(state_dir);
	g_auto(IfppPolicy) target = IFPP_POLICY_DEFAULT;
	g_autoptr(GError) error = NULL;
	gint64 floor = 0;

	if (!ifpp_floor_read(path, &floor, &error))
		g_message("%s; it is as if there were none", error->message);
	if (!ifpp_policy_find(policy, &target, NULL))
		target.clock_floor = FALSE;
	ifpp_trust_set_floor(trust, floor, "what was proven here before", target.clock_floor);
}

void clock_keep(IfppTrust *trust, const char *state_dir)
{
	g_autofree char *path = floor_path(state_dir);
	g_autoptr(GError) error = NULL;
	gint64 seen = ifpp_trust_seen(trust);

	if (ifpp_trust_floor(trust))
		g_message("no clock: dates are held against what is proven of the time, as Clock=floor says");
	/* The program carries its own date. */
	if (seen > ifpp_floor_built() && !ifpp_floor_write(path, seen, &error))
		g_message("the date of what was proven is not kept: %s", error->message);
}
