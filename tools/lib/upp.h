/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unprotected Profile Package (TCA Profile Package, SGP.22 metadata): reading what sealing and installing need. */
#ifndef IFPP_UPP_H
#define IFPP_UPP_H

#include "tlv.h"

typedef struct {
	guint8 version_major, version_minor;
	char *profile_type;	/* UTF-8, may be empty */
	guint8 iccid[10];	/* nibble-swapped, as in metadata */
	guint n_elements;
} IfppUpp;

/**
 * ifpp_upp_parse() - walk the profile elements and check the outer structure
 * @upp: concatenated ProfileElement TLVs, header first, end last
 * @error: IFPP_ERROR_UPP; the message names element and offset
 */
IfppUpp *ifpp_upp_parse(IfppSpan upp, GError **error);
void ifpp_upp_free(IfppUpp *upp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppUpp, ifpp_upp_free)

#endif
