/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A home of before the database: its ledger was a text file. To be removed with the next version. */
#ifndef SMDPF_MIGRATE_H
#define SMDPF_MIGRATE_H

#include "home.h"

/**
 * migrate_ledger() - take over DIR/ledger, and move its packages to where they belong now
 * @home: the home
 * @error: IFPP_ERROR_IO names the line that is damaged; LEDGER when there is a ledger already
 *
 * The same again finishes what was interrupted. The file stays, as DIR/ledger.migrated.
 */
gboolean migrate_ledger(const Home *home, GError **error);

#endif
