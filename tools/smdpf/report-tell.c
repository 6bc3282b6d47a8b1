// SPDX-License-Identifier: GPL-2.0-or-later
#include "report-check.h"

#include <stdio.h>
#include <string.h>

#include "eid.h"

static const char *const outcome_names[] = { "installed", "deleted", "failed", "refused", "not-loaded", "unknown",
					     "foreign", "duplicate", "forged", "clone", "missing" };

void check_tell(Check *check, Outcome outcome, const char *eid, const char *key_id, const LedgerEntry *entry,
		 const char *why)
{
	char iccid[21] = "";

	check->counts[outcome]++;
	if (entry)
		ifpp_iccid_format(entry->iccid, iccid);
	if (check->json) {
		JsonBuilder *b = ifpp_json_new("package");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "key_id", key_id);
		ifpp_json_string(b, "iccid", entry ? iccid : NULL);
		ifpp_json_string(b, "outcome", outcome_names[outcome]);
		ifpp_json_string(b, "why", why);
		ifpp_json_unit(b, &check->identity);
		ifpp_json_print(b);
	} else {
		printf("%-10s  %-32s  %-16.16s  %-20s  %s\n", outcome_names[outcome], eid, key_id, iccid,
		       why ? why : "");
	}
}

void check_tell_unit(Check *check, const char *eid, const char *lock, const char *why)
{
	if (check->json) {
		JsonBuilder *b = ifpp_json_new("chip");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "lock", lock);
		ifpp_json_string(b, "why", why);
		ifpp_json_print(b);
	} else if (why || strcmp(lock, "none")) {
		printf("%-10s  %-32s  %s\n", strcmp(lock, "proven") ? lock : "locked", eid, why ? why : "");
	}
}
void check_tell_end(Check *check)
{
	if (check->json) {
		JsonBuilder *b = ifpp_json_new("summary");

		for (guint i = 0; i < N_OUTCOMES; i++) {
			ifpp_json_int(b, outcome_names[i], check->counts[i]);
		}
		ifpp_json_int(b, "chips", check->units);
		ifpp_json_int(b, "chips_unseen", check->unseen);
		ifpp_json_int(b, "chips_unproven", check->bad_units);
		ifpp_json_int(b, "locks_proven", check->locked);
		ifpp_json_int(b, "locks_forged", check->bad_locks);
		ifpp_json_int(b, "chips_short", check->short_units);
		ifpp_json_int(b, "sealed", check->sealed);
		ifpp_json_int(b, "earlier", check->earlier);
		ifpp_json_int(b, "void", check->voided);
		ifpp_json_int(b, "totals_wrong", check->bad_totals);
		ifpp_json_print(b);
		return;
	}
	printf("\n%u chips", check->units);
	for (guint i = 0; i < N_OUTCOMES; i++)
		if (check->counts[i] || i == INSTALLED)
			printf(", %u %s", check->counts[i], outcome_names[i]);
	printf(", %u locks proven", check->locked);
	if (check->bad_locks)
		printf(", %u lock receipts forged", check->bad_locks);
	if (check->bad_units)
		printf(", %u chips unproven", check->bad_units);
	if (check->unseen)
		printf(", %u chips never seen", check->unseen);
	if (check->short_units)
		printf(", %u chips with more keys spent than results", check->short_units);
	printf("\n%u packages sealed: %u accounted for here, %u by an earlier report, %u missing", check->sealed,
	       check->sealed - check->earlier - check->voided - check->counts[MISSING], check->earlier, check->counts[MISSING]);
	if (check->voided)
		printf(", %u void", check->voided);
	printf("\n");
}
