/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which chip gets which profile, when somebody has decided it: CSV with the columns eid and iccid. */
#ifndef SMDPF_ASSIGN_H
#define SMDPF_ASSIGN_H

#include "inputs.h"
#include "ledger.h"

typedef struct {
	guint8 eid[16];
	guint8 iccid[10];
	guint profile;		/* its number in the order */
	guint line;
} Assignment;

typedef struct {
	char *path;
	GArray *all;		/* Assignment, by EID */
} Assignments;

/**
 * assign_load() - read an assignment file
 * @path: the file
 * @chips: files with eUICC data: the chips of the order
 * @iccids: of its profiles, 10 bytes each; all zero: it cannot be read
 * @error: IFPP_ERROR_USAGE names line and column: no EID or ICCID, not of this order, there twice; IO, EUICC_DATA
 */
Assignments *assign_load(const char *path, const Inputs *chips, GByteArray *iccids, GError **error);
void assign_free(Assignments *assignments);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Assignments, assign_free)

/* What this chip is to get, or NULL: whatever is left. */
const Assignment *assign_find(const Assignments *assignments, const guint8 eid[16]);

/**
 * assign_check() - nothing of it is bound otherwise
 * @assignments: of assign_load()
 * @ledger: the ledger
 * @order: in which the chips may have these ICCIDs already
 * @error: IFPP_ERROR_KEY_BOUND names line and column; LEDGER
 */
gboolean assign_check(const Assignments *assignments, Ledger *ledger, const guint8 order[8], GError **error);

#endif
