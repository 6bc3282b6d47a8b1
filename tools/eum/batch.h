/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An EUM's batch: the eUICC data of many chips in one file that the EUM signs (SGP.41 Esed). */
#ifndef IFPP_EUM_BATCH_H
#define IFPP_EUM_BATCH_H

#include "pki.h"

/**
 * batch_make() - write the batch of a directory of eUICC data
 * @eum: signs it
 * @dir: *.euicc in it, as personalise() writes them; each chip once
 * @name: what the batch is called, or NULL
 * @out: file to write
 * @error: IFPP_ERROR_IO, ACCESS, NO_SPACE; USAGE: no data, or more than a batch holds
 */
gboolean batch_make(PkiEum *eum, const char *dir, const char *name, const char *out, GError **error);

#endif
