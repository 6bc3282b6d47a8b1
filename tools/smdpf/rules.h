/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eligibility (DPFF09): which chips the profile owner lets a profile go to, and which type of profile a chip is for. */
#ifndef SMDPF_RULES_H
#define SMDPF_RULES_H

#include "profile.h"

typedef struct _Rules Rules;

/* What rules are about. */
typedef struct {
	const guint8 *eid;	/* proven */
	IfppSpan cert_eum;	/* proven: who has issued the chip's certificate; may be empty */
	IfppSpan info2;		/* the BF22 TLV, which no one signed */
	const char *imei;	/* of the device, by the factory's word; NULL: not told */
} RulesChip;

#define RULES_ANY (-1)		/* the file has no types of profile: every one is for every chip */
#define RULES_NONE (-2)		/* it has some, and not this one */

/**
 * rules_load() - read a rules file
 * @path: key file with the groups [Eligibility], which every chip must fit, and [Profile NAME] for types of profile by
 *	the name in their header, of which a chip is for the first that it fits; every key may be left out:
 *	EIDs=PREFIX or FIRST-LAST;…	Classes=operational;…
 *	EUMs=O of its certificate, or subjectKeyIdentifier;…
 *	Capabilities=usim;tuak128;…	TACs=…	IMEIs=… as EIDs
 *	MinProfileVersion=2.1.0		MinSVN=2.2.2	MinFirmware=1.0.0
 *	MinFreeMemory=BYTES
 * @error: IFPP_ERROR_USAGE names the group and the key; IO
 *
 * A key that is not known is refused: a rule misspelt is a rule not kept.
 */
Rules *rules_load(const char *path, GError **error);
void rules_free(Rules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rules, rules_free)

/**
 * rules_check() - may this chip have anything, and which type of profile?
 * @rules: the rules, NULL: every chip may have every one
 * @chip: about the chip
 * @class: of the profile
 * @profile: set to the number of the first [Profile] that it fits, or RULES_ANY
 * @error: IFPP_ERROR_ELIGIBILITY names the rule, of every type if it fits none
 */
gboolean rules_check(const Rules *rules, const RulesChip *chip, ProfileClass class, int *profile, GError **error);

/* The number of the [Profile] of this name, RULES_NONE or RULES_ANY; and the name of a number. */
int rules_find(const Rules *rules, const char *name);
const char *rules_name(const Rules *rules, int profile);

#endif
