/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The profiles of an order by what decides which chip can have them: their type, and the version of their package. */
#ifndef SMDPF_KINDS_H
#define SMDPF_KINDS_H

#include "rules.h"

#define KINDS_VERSIONS 8	/* that a chip tells; more than there are */

typedef struct {
	guint number;
	int profile;		/* of the rules, RULES_ANY or RULES_NONE */
	guint8 version[2];	/* of the package, major and minor; 0.0: not told */
	gboolean unreadable;	/* nothing is known of them: whoever tries one says why */
	GArray *members;	/* guint: numbers of the profiles */
} Kind;

typedef struct {
	const Rules *rules;	/* or NULL */
	GPtrArray *all;		/* Kind; once they are sorted the newest version first */
	GPtrArray *of;		/* Kind of each profile */
} Kinds;

Kinds *kinds_new(const Rules *rules);
void kinds_free(Kinds *kinds);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kinds, kinds_free)

/* The next profile: its type as its header says, NULL if it cannot be read; and its version. */
void kinds_add(Kinds *kinds, const char *type, const guint8 version[2]);
void kinds_sort(Kinds *kinds);

/* What a chip can have. */
typedef struct {
	int profile;		/* of the rules, or RULES_ANY */
	guint8 versions[KINDS_VERSIONS][2];	/* of packages: major, and the newest minor of it */
	guint n_versions;
} KindsChip;

/**
 * kinds_chip() - by its rules, and by the versions in EUICCInfo2 (profileVersion, additionalProfilePackageVersions)
 * @kinds: of the order
 * @chip: about the chip
 * @class: of the profiles
 * @out: filled
 * @error: IFPP_ERROR_ELIGIBILITY: the chip fits no rule, or nothing of the order fits it; what does not is named
 */
gboolean kinds_chip(const Kinds *kinds, const RulesChip *chip, ProfileClass class, KindsChip *out, GError **error);

/* Can a chip have profiles of this kind? */
gboolean kind_fits(const Kind *kind, const KindsChip *chip);

/* May this chip have this very profile? IFPP_ERROR_ELIGIBILITY */
gboolean kinds_check(const Kinds *kinds, guint number, const KindsChip *chip, GError **error);

#endif
