// SPDX-License-Identifier: LGPL-2.1-or-later
#include "eid.h"

#include <string.h>

#include "error.h"

char ifpp_luhn(const char *digits)
{
	guint sum = 0;
	gboolean twice = TRUE;

	for (const char *p = digits + strlen(digits); p-- > digits; twice = !twice) {
		guint d = g_ascii_digit_value(*p);

		sum += twice ? d * 2 / 10 + d * 2 % 10 : d;
	}
	return '0' + (10 - sum % 10) % 10;
}

void ifpp_nibble_swap(guint8 *bytes, gsize len)
{
	for (gsize i = 0; i < len; i++)
		bytes[i] = bytes[i] << 4 | bytes[i] >> 4;
}

static gboolean all_digits(const char *text)
{
	for (; *text; text++)
		if (!g_ascii_isdigit(*text))
			return FALSE;
	return TRUE;
}

/* ISO 7064 mod 97-10: remainder of the first @len digits. */
static guint mod97(const char *digits, gsize len)
{
	guint r = 0;

	for (gsize i = 0; i < len; i++)
		r = (r * 10 + (digits[i] - '0')) % 97;
	return r;
}

gboolean ifpp_eid_parse(const char *text, guint8 eid[16], GError **error)
{
	if (strlen(text) != IFPP_EID_DIGITS || !all_digits(text)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_EID, "'%.64s': an EID has 32 decimal digits", text);
		return FALSE;
	}
	if (mod97(text, IFPP_EID_DIGITS) != 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_EID, "EID %s: the check digits are wrong", text);
		return FALSE;
	}
	for (int i = 0; i < IFPP_EID_BYTES; i++)
		eid[i] = (text[2 * i] - '0') << 4 | (text[2 * i + 1] - '0');
	return TRUE;
}

void ifpp_eid_format(const guint8 eid[16], char text[33])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < IFPP_EID_BYTES; i++) {
		text[2 * i] = digits[eid[i] >> 4];
		text[2 * i + 1] = digits[eid[i] & 0xF];
	}
	text[IFPP_EID_DIGITS] = '\0';
}

gboolean ifpp_eid_valid(const guint8 eid[16])
{
	char text[IFPP_EID_DIGITS + 1];

	ifpp_eid_format(eid, text);
	return all_digits(text) && mod97(text, IFPP_EID_DIGITS) == 1;
}

void ifpp_eid_check_digits(char text[33])
{
	guint check;

	text[30] = '0';
	text[31] = '0';
	check = 98 - mod97(text, IFPP_EID_DIGITS);
	text[30] = '0' + check / 10;
	text[31] = '0' + check % 10;
}

void ifpp_eid_mask(const guint8 eid[16], char text[33])
{
	ifpp_eid_format(eid, text);
	memset(text + 8, '.', IFPP_EID_DIGITS - 10);
}

gboolean ifpp_iccid_parse(const char *text, guint8 iccid[10], GError **error)
{
	gsize len = strlen(text);

	if (len < 18 || len > 20 || !all_digits(text)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ICCID,
			    "'%.64s': an ICCID has 18 to 20 decimal digits", text);
		return FALSE;
	}
	memset(iccid, 0xFF, IFPP_ICCID_BYTES);
	for (gsize i = 0; i < len; i++) {
		guint8 digit = text[i] - '0';

		if (i % 2)
			iccid[i / 2] = (iccid[i / 2] & 0x0F) | digit << 4;
		else
			iccid[i / 2] = (iccid[i / 2] & 0xF0) | digit;
	}
	return TRUE;
}

void ifpp_iccid_format(const guint8 iccid[10], char text[21])
{
	static const char digits[] = "0123456789abcdef";
	int len = 2 * IFPP_ICCID_BYTES;

	for (int i = 0; i < IFPP_ICCID_BYTES; i++) {
		text[2 * i] = digits[iccid[i] & 0xF];
		text[2 * i + 1] = digits[iccid[i] >> 4];
	}
	while (len > 0 && text[len - 1] == 'f')
		len--;
	text[len] = '\0';
}

void ifpp_iccid_mask(const guint8 iccid[10], char text[21])
{
	gsize len;

	ifpp_iccid_format(iccid, text);
	len = strlen(text);
	for (gsize i = 6; i + 2 < len; i++)
		text[i] = '.';
}
