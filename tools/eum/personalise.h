/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The birth of a virtual chip: its keys, certificates and memory. */
#ifndef IFPP_EUM_PERSONALISE_H
#define IFPP_EUM_PERSONALISE_H

#include "pki.h"

/**
 * personalise() - make one chip
 * @eum: who makes it
 * @eid: its name
 * @keys: number of one-time keys, random
 * @codec: version of the factory services, 1 to IFPP_CHIP_CODEC_MAX
 * @iot: of an IoT eUICC (SGP.32), with immediate enabling configured
 * @chip: chip memory to write; must not exist
 * @data: eUICC data file to write, public
 * @error: IFPP_ERROR_CONSTRAINT, USAGE, IO, NO_SPACE, ACCESS
 */
gboolean personalise(PkiEum *eum, const guint8 eid[16], guint keys, guint codec, gboolean iot, const char *chip, const char *data,
		     GError **error);

/* The EID after this one: next serial number, new check digits. FALSE after the last of its range. */
gboolean next_eid(guint8 eid[16]);

#endif
