/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file beside a SQLite depot that knows which depot it is and how far its history had come. A database that is behind
 * it was put back by a copy of its file: that is another epoch, and stations bring again what they have.
 */
#ifndef IFPP_DEPOT_WITNESS_H
#define IFPP_DEPOT_WITNESS_H

#include "depot.h"

typedef struct _Witness Witness;

/**
 * witness_new() - look whether the depot is behind its witness, and begin another epoch then
 * @url: of the depot; one of PostgreSQL has its timeline instead, and nothing is done
 * @tell: called with what was seen, if another epoch has begun; for witness_write(), too
 * @error: DB_ERROR, IFPP_ERROR_IO, ACCESS
 */
Witness *witness_new(const char *url, void (*tell)(const char *line), GError **error);
/*
 * Write down how far it has come, if that is further than before; if it is less, another epoch begins.
 * DB_ERROR, IFPP_ERROR_IO, ACCESS, NO_SPACE
 */
gboolean witness_write(Witness *witness, GError **error);
/* Is the file still the one that was opened? DB_ERROR_REPLACED: it is not, and who opens it next begins another epoch. */
gboolean witness_check(Witness *witness, GError **error);
void witness_free(Witness *witness);

#endif
