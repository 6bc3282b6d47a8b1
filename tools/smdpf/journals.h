/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journals of several homes beside one another. A host that was killed before it had bound leaves lines about keys that another
 * host may have sealed to since: what was bound is said to be out, and the others tell of packages that never left their home.
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

/* Was this package not bound, since another one of its key was? */
gboolean journals_dead(const Journals *journals, const LedgerEntry *entry);

/* Does the journal of that number (of @dirs) say that it is out? */
gboolean journals_out(const Journals *journals, guint journal, const LedgerEntry *entry);

#endif
