// SPDX-License-Identifier: LGPL-2.1-or-later
/* The non-volatile memory of a virtual eUICC: what is in it. */
#include "chipmem.h"

#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "error.h"

void ifpp_secret_bytes_free(GBytes *bytes)
{
	gsize len;
	guint8 *data;

	if (!bytes)
		return;
	data = g_bytes_unref_to_data(bytes, &len);
	if (data)
		gnutls_memset(data, 0, len);
	g_free(data);
}

void ifpp_chip_profile_free(IfppChipProfile *profile)
{
	g_clear_pointer(&profile->metadata, g_bytes_unref);
	ifpp_secret_bytes_free(profile->upp);
	g_free(profile->nickname);
	g_free(profile);
}

void ifpp_chip_note_free(IfppChipNote *note)
{
	g_free(note->address);
	g_clear_pointer(&note->bytes, g_bytes_unref);
	g_free(note);
}

static void wipe_key(gpointer data)
{
	gnutls_memset(data, 0, sizeof(IfppChipKey));
}

IfppChipMem *ifpp_chipmem_new(const char *path, const guint8 eid[16], IfppEcKey *sk)
{
	IfppChipMem *mem = g_new0(IfppChipMem, 1);

	mem->path = g_strdup(path);
	/* Full size at once: growing would leave copies of the keys in freed memory. */
	mem->keys = g_array_sized_new(FALSE, TRUE, sizeof(IfppChipKey), IFPP_CHIP_KEYS_MAX);
	g_array_set_clear_func(mem->keys, wipe_key);
	mem->dead = g_array_new(FALSE, TRUE, 32);
	mem->profiles = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_chip_profile_free);
	mem->notes = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_chip_note_free);
	mem->dp_address = g_strdup("");
	mem->eims = g_byte_array_new();
	memcpy(mem->eid, eid, 16);
	mem->sk = sk;
	mem->next_seq = 1;
	mem->codec = 1;
	return mem;
}

void ifpp_chipmem_free(IfppChipMem *mem)
{
	if (!mem)
		return;
	g_free(mem->path);
	g_clear_pointer(&mem->sk, ifpp_ec_key_free);
	g_clear_pointer(&mem->cert_euicc, g_bytes_unref);
	g_clear_pointer(&mem->cert_eum, g_bytes_unref);
	g_clear_pointer(&mem->cas, g_bytes_unref);
	g_clear_pointer(&mem->ci, g_bytes_unref);
	g_array_unref(mem->keys);
	g_array_unref(mem->dead);
	g_ptr_array_unref(mem->profiles);
	g_ptr_array_unref(mem->notes);
	g_free(mem->dp_address);
	g_byte_array_unref(mem->eims);
	g_clear_pointer(&mem->load_transaction, g_bytes_unref);
	g_clear_pointer(&mem->load_oid, g_bytes_unref);
	ifpp_chipmem_set_retry(mem, NULL, NULL);
	g_free(mem);
}

IfppChipState ifpp_chipmem_state(const IfppChipMem *mem)
{
	if (mem->locked)
		return IFPP_CHIP_LOCKED;
	return mem->keys->len ? IFPP_CHIP_FACTORY : IFPP_CHIP_DRAINED;
}

gboolean ifpp_chipmem_add_key(IfppChipMem *mem, IfppEcKey *key, GError **error)
{
	g_autoptr(GBytes) tbs = NULL;
	IfppChipKey *slot;
	IfppSpan part;

	if (mem->keys->len == IFPP_CHIP_KEYS_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "a chip holds at most %d one-time keys",
			    IFPP_CHIP_KEYS_MAX);
		return FALSE;
	}
	g_array_set_size(mem->keys, mem->keys->len + 1);
	slot = &g_array_index(mem->keys, IfppChipKey, mem->keys->len - 1);
	ifpp_ec_key_point(key, slot->point);
	ifpp_key_id(slot->point, slot->key_id);
	tbs = ifpp_attestation_tbs(slot->key_id, slot->point, mem->eid);
	part = ifpp_span_bytes(tbs);
	if (!ifpp_ec_key_export(key, slot->scalar, error) ||
	    !ifpp_ec_key_sign(mem->sk, &part, 1, slot->attestation, error)) {
		g_array_set_size(mem->keys, mem->keys->len - 1);
		return FALSE;
	}
	return TRUE;
}

int ifpp_chipmem_find_key(const IfppChipMem *mem, const guint8 key_id[32])
{
	for (guint i = 0; i < mem->keys->len; i++)
		if (memcmp(g_array_index(mem->keys, IfppChipKey, i).key_id, key_id, 32) == 0)
			return i;
	return -1;
}

gboolean ifpp_chipmem_key_dead(const IfppChipMem *mem, const guint8 key_id[32])
{
	for (guint i = 0; i < mem->dead->len; i++)
		if (memcmp(mem->dead->data + i * 32, key_id, 32) == 0)
			return TRUE;
	return FALSE;
}

void ifpp_chipmem_kill_key(IfppChipMem *mem, guint index)
{
	IfppChipKey *key = &g_array_index(mem->keys, IfppChipKey, index);
	IfppChipKey *last = &g_array_index(mem->keys, IfppChipKey, mem->keys->len - 1);

	g_array_append_vals(mem->dead, key->key_id, 1);
	/* By hand: g_array_remove_index() would clear first and then move the others over it, unwiped. */
	memmove(key, key + 1, (guint8 *)last - (guint8 *)key);
	wipe_key(last);
	g_array_set_size(mem->keys, mem->keys->len - 1);
}

void ifpp_chipmem_set_retry(IfppChipMem *mem, IfppEcKey *key, GBytes *oid)
{
	g_clear_pointer(&mem->retry, ifpp_ec_key_free);
	g_clear_pointer(&mem->retry_oid, g_bytes_unref);
	mem->retry = key;
	mem->retry_oid = oid;
}

IfppChipProfile *ifpp_chipmem_find_iccid(const IfppChipMem *mem, const guint8 iccid[10])
{
	for (guint i = 0; i < mem->profiles->len; i++) {
		IfppChipProfile *profile = g_ptr_array_index(mem->profiles, i);

		if (memcmp(profile->iccid, iccid, 10) == 0)
			return profile;
	}
	return NULL;
}

IfppChipProfile *ifpp_chipmem_find_aid(const IfppChipMem *mem, IfppSpan aid)
{
	for (guint i = 0; i < mem->profiles->len; i++) {
		IfppChipProfile *profile = g_ptr_array_index(mem->profiles, i);

		if (ifpp_span_equal(aid, IFPP_SPAN(profile->aid)))
			return profile;
	}
	return NULL;
}

IfppChipProfile *ifpp_chipmem_enabled(const IfppChipMem *mem)
{
	for (guint i = 0; i < mem->profiles->len; i++) {
		IfppChipProfile *profile = g_ptr_array_index(mem->profiles, i);

		if (profile->enabled)
			return profile;
	}
	return NULL;
}

void ifpp_chipmem_free_aid(const IfppChipMem *mem, guint8 aid[16])
{
	static const guint8 first[16] = { 0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF,
					  0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x10, 0x00 };
	IfppSpan span = { aid, 16 };

	memcpy(aid, first, 16);
	while (ifpp_chipmem_find_aid(mem, span))
		if (++aid[14] == 0)
			aid[13]++;
}

guint32 ifpp_chipmem_free_nvm(const IfppChipMem *mem)
{
	guint64 used = 0;

	for (guint i = 0; i < mem->profiles->len; i++) {
		IfppChipProfile *profile = g_ptr_array_index(mem->profiles, i);

		used += g_bytes_get_size(profile->upp) + IFPP_CHIP_PROFILE_COST;
	}
	return used < IFPP_CHIP_NVM ? IFPP_CHIP_NVM - used : 0;
}

void ifpp_chipmem_add_note(IfppChipMem *mem, IfppChipNote *note)
{
	if (mem->notes->len == IFPP_CHIP_NOTES_MAX)
		g_ptr_array_remove_index(mem->notes, 0);
	g_ptr_array_add(mem->notes, note);
}
