// SPDX-License-Identifier: GPL-2.0-or-later
/* The chip's base: memory, signatures, certificates, and what its services keep in RAM. */
#include "chip-base.h"

#include <string.h>

#include "error.h"

#define NVM_RECORD 64	/* a change of state: a flag or counter in its page, twice for the journal */

gboolean chip_commit(Chip *chip)
{
	g_autoptr(GError) error = NULL;

	chip->stats.writes++;
	chip->stats.nvm_bytes += NVM_RECORD;
	if (ifpp_chipmem_commit(chip->mem, &error))
		return TRUE;
	chip->broken = TRUE;
	chip->cut = g_error_matches(error, IFPP_ERROR, IFPP_ERROR_INTERNAL);
	if (!chip->cut)
		g_warning("chip memory: %s", error->message);
	return FALSE;
}

gboolean chip_sign(Chip *chip, const IfppSpan *parts, gsize n_parts, guint8 sig[64])
{
	g_autoptr(GError) error = NULL;

	chip->stats.signs++;
	if (ifpp_ec_key_sign(chip->mem->sk, parts, n_parts, sig, &error))
		return TRUE;
	g_warning("SK.EUICC: %s", error->message);
	return FALSE;
}

gboolean chip_verify(Chip *chip, const guint8 point[65], const IfppSpan *parts, gsize n_parts, IfppSpan sig)
{
	chip->stats.verifies++;
	return ifpp_ecdsa_verify(point, parts, n_parts, sig);
}

void chip_put(GByteArray *out, guint32 tag, GByteArray *members)
{
	ifpp_tlv_put(out, tag, members->data, members->len);
	g_byte_array_unref(members);
}

void chip_test_end(Chip *chip)
{
	if (!chip->test.until)
		return;
	memset(&chip->test, 0, sizeof(chip->test));
	chip->refresh = TRUE;
}

void chip_test_check(Chip *chip)
{
	if (g_get_monotonic_time() >= chip->test.until)
		chip_test_end(chip);
}

void chip_load_clear(Chip *chip)
{
	ChipLoad *load = &chip->load;

	g_clear_pointer(&load->otsk, ifpp_ec_key_free);
	g_clear_pointer(&load->oid, g_bytes_unref);
	g_clear_pointer(&load->want_transaction, g_bytes_unref);
	g_clear_pointer(&load->transaction, g_bytes_unref);
	g_clear_pointer(&load->metadata, g_byte_array_unref);
	g_clear_pointer(&load->proprietary, g_bytes_unref);
	g_clear_pointer(&load->upp, ifpp_secret_free);
	g_free(load->address);
	ifpp_bsp_wipe(&load->bsp);
	memset(load, 0, sizeof(*load));
}

gboolean chip_load_running(const Chip *chip)
{
	return chip->load.stage > LOAD_PREPARED;
}

void chip_session_clear(Chip *chip)
{
	ChipSession *session = &chip->session;

	g_clear_pointer(&session->transaction, g_bytes_unref);
	g_clear_pointer(&session->oid, g_bytes_unref);
	g_free(session->address);
	memset(session, 0, sizeof(*session));
}

/* A chip has no clock and no CRL; it knows its CI. */
guint8 chip_check_chain(Chip *chip, IfppSpan certs, IfppRole role, guint8 point[65], GBytes **oid)
{
	g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GError) error = NULL;
	IfppTlv leaf, tlv;

	if (!ifpp_tlv_take(&certs, 0x30, &leaf))
		return CHAIN_INVALID_CERTIFICATE;
	while (certs.len) {
		if (!ifpp_tlv_take(&certs, 0x30, &tlv))
			return CHAIN_INVALID_CERTIFICATE;
		g_ptr_array_add(others, g_bytes_new(tlv.whole.data, tlv.whole.len));
	}
	ifpp_trust_set_time(trust, -1);
	chip->stats.verifies += 1 + others->len;
	if (!ifpp_trust_add_root(trust, ifpp_span_bytes(chip->mem->ci), &error) ||
	    !ifpp_trust_verify(trust, leaf.whole, others, role, &error))
		return g_error_matches(error, IFPP_ERROR, IFPP_ERROR_ROLE) ? CHAIN_INVALID_OID :
									     CHAIN_INVALID_CERTIFICATE;
	if (!ifpp_cert_point(leaf.whole, point, NULL))
		return CHAIN_UNSUPPORTED_CURVE;
	*oid = ifpp_cert_registered_id(leaf.whole);
	return *oid ? CHAIN_OK : CHAIN_INVALID_OID;
}

/* First byte of a BIT STRING, 0 when it is empty. */
guint8 chip_bits(const IfppTlv *tlv)
{
	return tlv->value.len >= 2 ? tlv->value.data[1] : 0;
}

/* Calls for every notificationAddress in B6 whose events include @event, until @func has enough. */
void chip_for_each_address(IfppSpan metadata, guint8 event,
			   gboolean (*func)(IfppSpan address, gpointer user), gpointer user)
{
	IfppTlv list, entry, events, address;

	if (!ifpp_tlv_find(metadata, 0xB6, &list))
		return;
	while (ifpp_tlv_take(&list.value, 0x30, &entry))
		if (ifpp_tlv_take(&entry.value, 0x80, &events) && (chip_bits(&events) & event) &&
		    ifpp_tlv_take(&entry.value, 0x81, &address) && !func(address.value, user))
			return;
}

static gboolean take_address(IfppSpan address, gpointer user)
{
	*(char **)user = g_strndup((const char *)address.data, address.len);
	return FALSE;
}

char *chip_notify_address(IfppSpan metadata, guint8 event)
{
	char *address = NULL;

	chip_for_each_address(metadata, event, take_address, &address);
	return address;
}
