/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EID and ICCID: digits, packing, check digits. Source: SGP.29, SGP.02, ITU-T E.118. */
#ifndef IFPP_EID_H
#define IFPP_EID_H

#include <glib.h>

#define IFPP_EID_BYTES 16
#define IFPP_EID_DIGITS 32
#define IFPP_ICCID_BYTES 10

/**
 * ifpp_eid_parse() - 32 decimal digits to the 16 bytes of tag 5A
 * @text: the digits, nothing else
 * @eid: 16 bytes, high nibble first
 * @error: IFPP_ERROR_EID: length, a non-digit, or wrong check digits (ISO 7064 mod 97-10)
 */
gboolean ifpp_eid_parse(const char *text, guint8 eid[16], GError **error);
gboolean ifpp_eid_valid(const guint8 eid[16]);			/* decimal, check digits right */
void ifpp_eid_format(const guint8 eid[16], char text[33]);
/* Fill the last two of 32 digits in place from the first 30. */
void ifpp_eid_check_digits(char text[33]);
/* First eight and last two digits, the rest dots: for logs. */
void ifpp_eid_mask(const guint8 eid[16], char text[33]);

/**
 * ifpp_iccid_parse() - 18 to 20 digits to the ten nibble-swapped bytes of EF.ICCID
 * @text: the digits
 * @iccid: ten bytes, padded with F
 * @error: IFPP_ERROR_ICCID: length or a non-digit
 */
gboolean ifpp_iccid_parse(const char *text, guint8 iccid[10], GError **error);
void ifpp_iccid_format(const guint8 iccid[10], char text[21]);	/* padding left out */
void ifpp_iccid_mask(const guint8 iccid[10], char text[21]);
/* The check digit ('0'..'9') that belongs after @digits: of an ICCID, of an IMEI (ITU-T E.118 annex B). */
char ifpp_luhn(const char *digits);
void ifpp_nibble_swap(guint8 *bytes, gsize len);

#endif
