/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sealed package: fixed header, then a strict CMS SignedData (Documentation/package.rst). */
#ifndef IFPP_PACKAGE_H
#define IFPP_PACKAGE_H

#include "bpp.h"
#include "x509.h"

#define IFPP_PACKAGE_MAX (256 * 1024)
#define IFPP_HEADER_LEN 64
#define IFPP_FILE_KEY_LEN 8		/* bytes of the key id in a file's name */

typedef struct {
	guint8 eid[16];
	guint8 key_id[32];
	guint32 body_len;
} IfppHeader;

/* Read the fixed header of @file; lengths must agree with file->len exactly. IFPP_ERROR_HEADER, LENGTH, TOO_LARGE */
gboolean ifpp_header_parse(IfppSpan file, IfppHeader *out, GError **error);
void ifpp_header_write(const IfppHeader *header, guint8 out[IFPP_HEADER_LEN]);

typedef struct _IfppPackage IfppPackage;

/**
 * ifpp_package_open() - parse a sealed package and verify its envelope
 * @file: the whole file
 * @trust: CI roots and CRLs
 * @error: IFPP_ERROR_HEADER .. IFPP_ERROR_HEADER_MISMATCH, IFPP_ERROR_BPP, IFPP_ERROR_TLV
 *
 * Afterwards everything in the package is proven to be what the SM-DPf signed.
 */
IfppPackage *ifpp_package_open(GBytes *file, IfppTrust *trust, GError **error);

/**
 * ifpp_package_read_proven() - parse a sealed package that a signed inventory has proven
 * @file: the whole file, with the hash that a verified delivery tells
 * @error: IFPP_ERROR_HEADER, LENGTH, TOO_LARGE, CMS, CMS_STRICT, HEADER_MISMATCH, BPP, TLV
 *
 * Only for looking at what it says: its own signature is not verified.
 */
IfppPackage *ifpp_package_read_proven(GBytes *file, GError **error);
void ifpp_package_free(IfppPackage *package);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppPackage, ifpp_package_free)

const IfppHeader *ifpp_package_header(IfppPackage *package);
IfppBpp *ifpp_package_bpp(IfppPackage *package);
/* GBytes of DER: CERT.DPpb first, then its sub-CAs, root left out. Owned by the package. */
GPtrArray *ifpp_package_chain(IfppPackage *package);

/**
 * ifpp_package_check_chip() - is this package for this chip and this key?
 * @package: opened
 * @eid: of the chip
 * @otpk: the unspent attested one-time key whose id the header names, 65 bytes, or NULL if there is none
 * @error: IFPP_ERROR_WRONG_EID, UNKNOWN_KEY, POINT, SMDP_SIGN
 */
gboolean ifpp_package_check_chip(IfppPackage *package, const guint8 eid[16], const guint8 *otpk, GError **error);

/* Name of a package's file: EID-KEYID.ifpp, the key id cut to 16 digits. */
char *ifpp_package_file_name(const guint8 eid[16], const guint8 key_id[32]);

/**
 * ifpp_envelope_open() - the strict CMS SignedData alone, whatever its content
 * @der: from its first byte to its last
 * @trust: CI roots and CRLs
 * @error: IFPP_ERROR_CMS .. IFPP_ERROR_KEY_USAGE
 *
 * Return: the content, proven to be signed by a trusted SM-DPf.
 */
GBytes *ifpp_envelope_open(GBytes *der, IfppTrust *trust, GError **error);

/* Content to be signed into an envelope: SEQUENCE { OCTET STRING header, BF36 }. */
GBytes *ifpp_package_content(const guint8 header[IFPP_HEADER_LEN], IfppSpan bf36);

#endif
