/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journals of one home or several. A host that was killed before it had bound leaves lines about keys that it, or another host,
 * may have sealed to since: a later line counts, and what was bound is said to be out. The others tell of packages that never left
 * their home. Before the first that is said to be out, nothing can be told: versions before this said it only where hosts share a ledger.
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

/* And is that certain: it was never said to be out, by a journal that would have? */
gboolean journals_begun(const Journals *journals, const LedgerEntry *entry);

/* Was this package not bound, since another one of its key was, on another host? */
gboolean journals_unbound(const Journals *journals, const LedgerEntry *entry);

/* Was it bound, by the journal of that number (of @dirs), as far as that says such things? */
gboolean journals_sure(const Journals *journals, guint journal, const LedgerEntry *entry);

/* Does a journal say that this package is out, and later that another one of its key is? Both are; somebody put ledger and token back. */
gboolean journals_replaced(const Journals *journals, const LedgerEntry *entry);

/* Does the journal of that number say that it is out? */
gboolean journals_out(const Journals *journals, guint journal, const LedgerEntry *entry);

#endif
