// SPDX-License-Identifier: GPL-2.0-or-later
/* ES10b mutual authentication (SGP.22 5.7.7). */
#include "chip-priv.h"

#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

void chip_session_clear(Chip *chip)
{
	ChipSession *session = &chip->session;

	g_clear_pointer(&session->transaction, g_bytes_unref);
	g_clear_pointer(&session->oid, g_bytes_unref);
	g_free(session->address);
	memset(session, 0, sizeof(*session));
}

static guint16 get_challenge(Chip *chip, GByteArray *out)
{
	ChipSession *session = &chip->session;

	chip_session_clear(chip);
	if (gnutls_rnd(GNUTLS_RND_NONCE, session->challenge, sizeof(session->challenge)) < 0)
		return SW_MEMORY_FAILURE;
	session->has_challenge = TRUE;
	ifpp_tlv_put_header(out, 0xBF2E, 2 + sizeof(session->challenge));
	ifpp_tlv_put(out, 0x80, session->challenge, sizeof(session->challenge));
	return SW_OK;
}

guint16 chip_session(Chip *chip, guint channel, const IfppTlv *command, GByteArray *out)
{
	if (command->tag == 0xBF2E)
		return command->value.len ? SW_WRONG_DATA : get_challenge(chip, out);
	return SW_NO_REFERENCE;
}
