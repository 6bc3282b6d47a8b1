/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journals of one home or several. A host that was killed before it had bound leaves lines about keys that it, or another host,
 * may have sealed to since: a later line counts, and what was bound is said to be out where hosts share a ledger. The others tell of
 * packages that never left their home.
 */
#ifndef SMDPF_JOURNALS_H
#define SMDPF_JOURNALS_H

#include "ledger.h"

typedef struct Journals Journals;

/**
 * journals_read() - see which lines of a key count
 * @dirs: homes, ended by NULL; one without a journal has said nothing
 * @error: IFPP_ERROR_IO, ACCESS
 */
Journals *journals_read(const char *const *dirs, GError **error);
void journals_free(Journals *journals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Journals, journals_free)

/* Does the same journal have another package of its key later? */
gboolean journals_superseded(const Journals *journals, const LedgerEntry *entry);

/* Was this package not bound, since another one of its key was, on another host? */
gboolean journals_unbound(const Journals *journals, const LedgerEntry *entry);

/* Does the journal of that number (of @dirs) say that it is out? */
gboolean journals_out(const Journals *journals, guint journal, const LedgerEntry *entry);

#endif
