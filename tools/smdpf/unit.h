/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A chip in a Profile Loading Report, and what it has signed. */
#ifndef SMDPF_UNIT_H
#define SMDPF_UNIT_H

#include "deletion.h"
#include "euicc.h"
#include "json.h"
#include "ledger.h"

#define UNIT_PROOF_MAX (256u * 1024)	/* bytes of eUICC data, a result or a receipt */

typedef struct {
	char eid_text[33];
	guint8 eid[16];
	IfppFactoryInfo *info;	/* NULL when its certificate does not verify */
	gboolean locked;	/* its receipt is proven */
	guint64 spent;		/* keys, as the receipt says */
	guint known;		/* of them, by results here and in earlier reports */
	GHashTable *late;	/* key ids of results that the chip has signed after it had spent the key; if locked */
	GPtrArray *deletions;	/* of IfppDeletion: proven; NULL: none */
} Unit;

void unit_clear(Unit *unit);

/* The chip's own data: certificates up to a CI root, attested keys. IFPP_ERROR_EID, EUICC_DATA, CHAIN... */
gboolean unit_prove(const Home *home, JsonObject *object, Unit *unit, GError **error);

/* Its lock receipt, if there is one: IFPP_ERROR_RECEIPT. */
gboolean unit_prove_lock(Unit *unit, JsonObject *lock, GError **error);

/* The profiles that it has deleted in the factory, if it has: IFPP_ERROR_PIR, PIR_SIGNATURE, JSON. */
gboolean unit_prove_deletions(Unit *unit, JsonArray *deletions, GError **error);

/**
 * unit_check_pir() - a result is of this chip, and of the package that an entry is about
 * @unit: proven
 * @bytes: the result
 * @entry: of the key, or NULL
 * @reason: gets what it says; 0: installed
 * @error: IFPP_ERROR_PIR, PIR_SIGNATURE, PIR_MISMATCH
 */
gboolean unit_check_pir(Unit *unit, GBytes *bytes, const LedgerEntry *entry, guint *reason, GError **error);

#endif
