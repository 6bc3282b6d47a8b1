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

/* Element and member of some files: of usim, opt-usim, isim, df-5gs and df-saip of the TCA profile package, 2.3 */
#define IFPP_UPP_IMSI 0xB3, 3
#define IFPP_UPP_UST 0xB3, 8
#define IFPP_UPP_IST 0xB5, 6
#define IFPP_UPP_SUCI 0xBC, 9		/* which the terminal reads */
#define IFPP_UPP_ROUTING 0xBC, 12
#define IFPP_UPP_SUCI_USIM 0xBD, 3	/* which the USIM computes with */
#define IFPP_UPP_GID1 0xB4, 5
#define IFPP_UPP_GID2 0xB4, 6

/**
 * ifpp_upp_file() - the contents of a transparent file, once a chip has made it
 * @upp: sound, or not
 * @element: tag of the profile element that has the file
 * @member: its number there
 *
 * A file is made as long as its efFileSize says, or the template; with its fillPattern or repeatPattern, or what the
 * template has, or FF; and then filled, each piece after the last or at an offset from its end (TCA profile
 * package 2.3, 8.3.5 and 9.5).
 *
 * Return: NULL when the profile has no such file.
 */
GByteArray *ifpp_upp_file(IfppSpan upp, guint32 element, guint8 member);

/* efFileSize of an Fcp's members; an OCTET STRING, so that 80 is 128. FALSE: there is none. */
gboolean ifpp_upp_size(IfppSpan fcp, guint64 *size);

/**
 * ifpp_upp_owner_matches() - is the profileOwner the one whose files are in the profile, so far as they are (SGP.22 5.5.5)?
 * @metadata: members of a StoreMetadata
 * @upp: the profile
 */
gboolean ifpp_upp_owner_matches(IfppSpan metadata, IfppSpan upp);

typedef enum {
	IFPP_UPP_USIM,
	IFPP_UPP_ISIM,
	IFPP_UPP_CSIM,
} IfppUppKind;

#define IFPP_UPP_APPLICATIONS 8	/* more than any profile that we have seen */

typedef struct {
	IfppUppKind kind;
	IfppSpan aid;	/* 5 to 16 bytes, of the package */
} IfppUppApplication;

/**
 * ifpp_upp_applications() - the network access applications that a profile brings
 * @upp: sound, or not
 * @out: filled, in the order of the package
 *
 * Return: how many; those beyond IFPP_UPP_APPLICATIONS are left out
 */
guint ifpp_upp_applications(IfppSpan upp, IfppUppApplication out[IFPP_UPP_APPLICATIONS]);

#endif
