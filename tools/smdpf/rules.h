/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eligibility (DPFF09): which chips the profile owner lets a profile go to. */
#ifndef SMDPF_RULES_H
#define SMDPF_RULES_H

#include "profile.h"

typedef struct _Rules Rules;

/**
 * rules_load() - read a rules file
 * @path: key file with one group, [Eligibility]; every key may be left out:
 *	EIDs=PREFIX or FIRST-LAST;…	Classes=operational;…
 *	MinProfileVersion=2.1.0		MinSVN=2.2.2	MinFirmware=1.0.0
 *	MinFreeMemory=BYTES
 * @error: IFPP_ERROR_USAGE names the key; IO
 *
 * A key that is not known is refused: a rule misspelt is a rule not kept.
 */
Rules *rules_load(const char *path, GError **error);
void rules_free(Rules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rules, rules_free)

/**
 * rules_check() - may this chip have it?
 * @rules: the rules, NULL: every chip may
 * @eid: proven
 * @euicc_info2: the BF22 TLV, which no one signed; needed if a rule is about it
 * @class: of the profile
 * @error: IFPP_ERROR_ELIGIBILITY names the rule
 */
gboolean rules_check(const Rules *rules, const guint8 eid[16], IfppSpan euicc_info2, ProfileClass class,
		     GError **error);

#endif
