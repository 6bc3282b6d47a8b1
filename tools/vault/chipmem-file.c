// SPDX-License-Identifier: LGPL-2.1-or-later
/* The file of a virtual eUICC's memory: read whole, replaced whole. */
#include "chipmem.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "eid.h"
#include "error.h"
#include "file.h"

/*
 * The file: FF70 { members in this order } 9F40 20 SHA-256 of the FF70 TLV. The digest tells a
 * damaged file from a chip's state; it is no protection against someone who can write the file.
 */
#define TAG_MEMORY 0xFF70
#define TAG_DIGEST 0x9F40
#define TAG_VERSION 0x80
#define TAG_EID 0x5A
#define TAG_SK 0x81
#define TAG_CERTS 0xA2		/* CERT.EUICC, CERT.EUM */
#define TAG_CI 0xA3
#define TAG_KEYS 0xA4		/* 30 { 80 id, 81 scalar, 5F49 point, 5F37 attestation } */
#define TAG_SPENT 0x85
#define TAG_DEAD 0x86		/* ids, 32 bytes each */
#define TAG_LOCKED 0x87
#define TAG_LOCK_COUNTER 0x88
#define TAG_PROFILES 0xA9	/* 30 { 5A, 4F, 9F70, 95, 80 metadata, 81 UPP, 90?, 82 ousted? } */
#define TAG_SEQ 0x8A
#define TAG_NOTES 0xAB		/* 30 { 80 seq, 81 events, 0C address, 5A?, 82 bytes } */
#define TAG_LOADING 0xAC	/* 80 transactionId, 06 OID */
#define TAG_DP_ADDRESS 0x8D
#define TAG_RETRY 0xAE		/* 06 OID, 81 scalar */
#define TAG_CODEC 0x90		/* not there: 1 */
#define TAG_IOT 0xAF		/* 80 immediate enabling, 81 tokens, A2 eIMs; not there: a consumer eUICC */

#define UNFINISHED_SUFFIX 6	/* of mkstemp() */

#define MEMORY_VERSION 1
#define MEMORY_MAX (4 * IFPP_CHIP_NVM)

/* ------------------------------------------------------------------ reading */

static gboolean bad(GError **error, const char *path, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA, "%s: not a sound chip memory: %s", path, what);
	return FALSE;
}

static gboolean get_fixed(IfppSpan *in, guint32 tag, const char *what, guint8 *out, gsize len, GError **error)
{
	IfppTlv tlv;

	if (!ifpp_tlv_expect(in, tag, what, &tlv, error))
		return FALSE;
	if (tlv.value.len != len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s has a wrong length", what);
		return FALSE;
	}
	memcpy(out, tlv.value.data, len);
	return TRUE;
}

static gboolean get_uint(IfppSpan *in, guint32 tag, const char *what, guint64 *out, GError **error)
{
	IfppTlv tlv;

	return ifpp_tlv_expect(in, tag, what, &tlv, error) && ifpp_tlv_uint(&tlv, out, error);
}

static char *span_text(IfppSpan span)
{
	return g_strndup((const char *)span.data, span.len);
}

static gboolean read_keys(IfppChipMem *mem, IfppSpan in, GError **error)
{
	while (in.len) {
		IfppTlv item;
		IfppChipKey *key;

		if (!ifpp_tlv_expect(&in, 0x30, "one-time key", &item, error))
			return FALSE;
		if (mem->keys->len == IFPP_CHIP_KEYS_MAX) {
			g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_TLV, "too many one-time keys");
			return FALSE;
		}
		g_array_set_size(mem->keys, mem->keys->len + 1);
		key = &g_array_index(mem->keys, IfppChipKey, mem->keys->len - 1);
		if (!get_fixed(&item.value, 0x80, "key id", key->key_id, 32, error) ||
		    !get_fixed(&item.value, 0x81, "private key", key->scalar, 32, error) ||
		    !get_fixed(&item.value, 0x5F49, "public key", key->point, 65, error) ||
		    !get_fixed(&item.value, 0x5F37, "attestation", key->attestation, 64, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean read_profiles(IfppChipMem *mem, IfppSpan in, GError **error)
{
	while (in.len) {
		IfppTlv item, metadata, upp, tlv;
		IfppChipProfile *profile;
		guint8 enabled;
		guint64 cls;

		if (!ifpp_tlv_expect(&in, 0x30, "profile", &item, error))
			return FALSE;
		profile = g_new0(IfppChipProfile, 1);
		g_ptr_array_add(mem->profiles, profile);
		if (!get_fixed(&item.value, 0x5A, "ICCID", profile->iccid, 10, error) ||
		    !get_fixed(&item.value, 0x4F, "ISD-P AID", profile->aid, 16, error) ||
		    !get_fixed(&item.value, 0x9F70, "profile state", &enabled, 1, error) ||
		    !get_uint(&item.value, 0x95, "profile class", &cls, error) ||
		    !ifpp_tlv_expect(&item.value, 0x80, "metadata", &metadata, error) ||
		    !ifpp_tlv_expect(&item.value, 0x81, "profile", &upp, error))
			return FALSE;
		profile->enabled = enabled == 1;
		profile->profile_class = cls;
		profile->metadata = g_bytes_new(metadata.value.data, metadata.value.len);
		profile->upp = g_bytes_new(upp.value.data, upp.value.len);
		if (ifpp_tlv_take(&item.value, 0x90, &tlv))
			profile->nickname = span_text(tlv.value);
		profile->ousted = ifpp_tlv_take(&item.value, 0x82, &tlv);
	}
	return TRUE;
}

static gboolean read_notes(IfppChipMem *mem, IfppSpan in, GError **error)
{
	while (in.len) {
		IfppTlv item, tlv;
		IfppChipNote *note;

		if (!ifpp_tlv_expect(&in, 0x30, "notification", &item, error))
			return FALSE;
		note = g_new0(IfppChipNote, 1);
		g_ptr_array_add(mem->notes, note);
		if (!get_uint(&item.value, 0x80, "sequence number", &note->seq, error) ||
		    !get_fixed(&item.value, 0x81, "events", &note->events, 1, error) ||
		    !ifpp_tlv_expect(&item.value, 0x0C, "address", &tlv, error))
			return FALSE;
		note->address = span_text(tlv.value);
		if (ifpp_tlv_take(&item.value, 0x5A, &tlv)) {
			if (tlv.value.len != 10) {
				g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_TLV,
						    "ICCID has a wrong length");
				return FALSE;
			}
			note->has_iccid = TRUE;
			memcpy(note->iccid, tlv.value.data, 10);
		}
		if (!ifpp_tlv_expect(&item.value, 0x82, "signed notification", &tlv, error))
			return FALSE;
		note->bytes = g_bytes_new(tlv.value.data, tlv.value.len);
	}
	return TRUE;
}

static gboolean read_retry(IfppChipMem *mem, IfppSpan in, GError **error)
{
	guint8 scalar[32];
	IfppEcKey *key;
	IfppTlv oid;

	if (!ifpp_tlv_expect(&in, 0x06, "SM-DP+ OID", &oid, error) ||
	    !get_fixed(&in, 0x81, "download key", scalar, 32, error))
		return FALSE;
	key = ifpp_ec_key_import(scalar, error);
	gnutls_memset(scalar, 0, sizeof(scalar));
	if (!key)
		return FALSE;
	ifpp_chipmem_set_retry(mem, key, g_bytes_new(oid.value.data, oid.value.len));
	return TRUE;
}

static gboolean read_iot(IfppChipMem *mem, IfppSpan in, GError **error)
{
	guint8 immediate;
	IfppTlv eims;

	if (!get_fixed(&in, 0x80, "immediate enabling", &immediate, 1, error) ||
	    !get_uint(&in, 0x81, "association tokens", &mem->tokens, error) ||
	    !ifpp_tlv_expect(&in, 0xA2, "eIMs", &eims, error))
		return FALSE;
	mem->iot = TRUE;
	mem->immediate = immediate != 0;
	g_byte_array_append(mem->eims, eims.value.data, eims.value.len);
	return TRUE;
}

static gboolean read_members(IfppChipMem *mem, IfppSpan in, GError **error)
{
	IfppTlv tlv, cert;
	guint8 scalar[32], locked;
	guint64 version;

	if (!get_uint(&in, TAG_VERSION, "version", &version, error))
		return FALSE;
	if (version != MEMORY_VERSION) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "version %" G_GUINT64_FORMAT
			    ", this program knows %d", version, MEMORY_VERSION);
		return FALSE;
	}
	if (!get_fixed(&in, TAG_EID, "EID", mem->eid, 16, error) ||
	    !get_fixed(&in, TAG_SK, "SK.EUICC", scalar, 32, error))
		return FALSE;
	mem->sk = ifpp_ec_key_import(scalar, error);
	gnutls_memset(scalar, 0, sizeof(scalar));
	if (!mem->sk || !ifpp_tlv_expect(&in, TAG_CERTS, "certificates", &tlv, error))
		return FALSE;
	if (!ifpp_tlv_expect(&tlv.value, 0x30, "CERT.EUICC", &cert, error))
		return FALSE;
	mem->cert_euicc = g_bytes_new(cert.whole.data, cert.whole.len);
	if (!ifpp_tlv_expect(&tlv.value, 0x30, "CERT.EUM", &cert, error))
		return FALSE;
	mem->cert_eum = g_bytes_new(cert.whole.data, cert.whole.len);
	if (tlv.value.len)
		mem->cas = g_bytes_new(tlv.value.data, tlv.value.len);
	if (!ifpp_tlv_expect(&in, TAG_CI, "CI root", &tlv, error) ||
	    !ifpp_tlv_expect(&tlv.value, 0x30, "CERT.CI", &cert, error))
		return FALSE;
	mem->ci = g_bytes_new(cert.whole.data, cert.whole.len);

	if (!ifpp_tlv_expect(&in, TAG_KEYS, "one-time keys", &tlv, error) ||
	    !read_keys(mem, tlv.value, error) ||
	    !get_uint(&in, TAG_SPENT, "spent count", &mem->spent, error) ||
	    !ifpp_tlv_expect(&in, TAG_DEAD, "spent keys", &tlv, error))
		return FALSE;
	if (tlv.value.len % 32) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_TLV, "spent keys have a wrong length");
		return FALSE;
	}
	if (tlv.value.len)
		g_array_append_vals(mem->dead, tlv.value.data, tlv.value.len / 32);
	if (!get_fixed(&in, TAG_LOCKED, "lock state", &locked, 1, error) ||
	    !get_uint(&in, TAG_LOCK_COUNTER, "lock counter", &mem->lock_counter, error) ||
	    !ifpp_tlv_expect(&in, TAG_PROFILES, "profiles", &tlv, error) ||
	    !read_profiles(mem, tlv.value, error) ||
	    !get_uint(&in, TAG_SEQ, "sequence counter", &mem->next_seq, error) ||
	    !ifpp_tlv_expect(&in, TAG_NOTES, "notifications", &tlv, error) ||
	    !read_notes(mem, tlv.value, error))
		return FALSE;
	mem->locked = locked != 0;
	if (ifpp_tlv_take(&in, TAG_LOADING, &tlv)) {
		mem->loading = TRUE;
		if (!ifpp_tlv_expect(&tlv.value, 0x80, "transactionId", &cert, error))
			return FALSE;
		mem->load_transaction = g_bytes_new(cert.value.data, cert.value.len);
		if (!ifpp_tlv_expect(&tlv.value, 0x06, "SM-DP OID", &cert, error))
			return FALSE;
		mem->load_oid = g_bytes_new(cert.value.data, cert.value.len);
	}
	if (!ifpp_tlv_expect(&in, TAG_DP_ADDRESS, "SM-DP+ address", &tlv, error))
		return FALSE;
	g_free(mem->dp_address);
	mem->dp_address = span_text(tlv.value);
	if (ifpp_tlv_take(&in, TAG_RETRY, &tlv) && !read_retry(mem, tlv.value, error))
		return FALSE;
	mem->codec = 1;
	if (ifpp_tlv_take(&in, TAG_CODEC, &tlv)) {
		if (!ifpp_tlv_uint(&tlv, &version, error))
			return FALSE;
		mem->codec = CLAMP(version, 1, IFPP_CHIP_CODEC_MAX);
	}
	if (ifpp_tlv_take(&in, TAG_IOT, &tlv) && !read_iot(mem, tlv.value, error))
		return FALSE;
	if (in.len) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_TLV, "unknown members");
		return FALSE;
	}
	return TRUE;
}

static gboolean read_file(IfppChipMem *mem, IfppSpan file, GError **error)
{
	g_autoptr(GError) inner = NULL;
	IfppTlv memory, digest;
	guint8 sha[32];

	if (!ifpp_tlv_take(&file, TAG_MEMORY, &memory))
		return bad(error, mem->path, "it does not begin like one, or is cut short");
	if (!ifpp_tlv_take(&file, TAG_DIGEST, &digest) || file.len || digest.value.len != sizeof(sha))
		return bad(error, mem->path, "its end is missing");
	gnutls_hash_fast(GNUTLS_DIG_SHA256, memory.whole.data, memory.whole.len, sha);
	if (memcmp(sha, digest.value.data, sizeof(sha)))
		return bad(error, mem->path, "its digest is wrong");
	if (!read_members(mem, memory.value, &inner))
		return bad(error, mem->path, inner->message);
	return TRUE;
}

/* The name of the new state until it is whole, as ifpp_file_write() has it. */
static char *unfinished_prefix(const char *path)
{
	g_autofree char *base = g_path_get_basename(path);

	return g_strconcat(".", base, ".", NULL);
}

/* Keys are in it, perhaps ones that the old state says are spent: it must not stay. */
static void sweep_unfinished(const char *path)
{
	g_autofree char *prefix = unfinished_prefix(path);
	g_autofree char *where = g_path_get_dirname(path);
	g_autoptr(GDir) dir = g_dir_open(where, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		if (g_str_has_prefix(name, prefix) && strlen(name) == strlen(prefix) + UNFINISHED_SUFFIX) {
			g_autofree char *file = g_build_filename(where, name, NULL);

			g_unlink(file);
		}
	}
}

IfppChipMem *ifpp_chipmem_load(const char *path, GError **error)
{
	g_autoptr(IfppChipMem) mem = NULL;
	GBytes *file;
	gboolean ok;

	sweep_unfinished(path);
	file = ifpp_file_read(path, MEMORY_MAX, error);
	if (!file)
		return NULL;
	mem = ifpp_chipmem_new(path, (const guint8[16]){ 0 }, NULL);
	ok = read_file(mem, ifpp_span_bytes(file), error);
	ifpp_secret_bytes_free(file);
	return ok ? g_steal_pointer(&mem) : NULL;
}

/* ------------------------------------------------------------------ writing */

static void put_bytes(GByteArray *out, guint32 tag, GBytes *bytes)
{
	ifpp_tlv_put_span(out, tag, ifpp_span_bytes(bytes));
}

static void put_profile(GByteArray *out, const IfppChipProfile *profile, gsize room)
{
	GByteArray *item = g_byte_array_sized_new(room);
	guint8 enabled = profile->enabled;

	ifpp_tlv_put(item, 0x5A, profile->iccid, 10);
	ifpp_tlv_put(item, 0x4F, profile->aid, 16);
	ifpp_tlv_put(item, 0x9F70, &enabled, 1);
	ifpp_tlv_put_uint(item, 0x95, profile->profile_class);
	put_bytes(item, 0x80, profile->metadata);
	put_bytes(item, 0x81, profile->upp);
	if (profile->nickname)
		ifpp_tlv_put(item, 0x90, profile->nickname, strlen(profile->nickname));
	if (profile->ousted)
		ifpp_tlv_put(item, 0x82, NULL, 0);
	ifpp_secret_put(out, 0x30, item);
}

static void put_note(GByteArray *out, const IfppChipNote *note)
{
	GByteArray *item = g_byte_array_new();

	ifpp_tlv_put_uint(item, 0x80, note->seq);
	ifpp_tlv_put(item, 0x81, &note->events, 1);
	ifpp_tlv_put(item, 0x0C, note->address, strlen(note->address));
	if (note->has_iccid)
		ifpp_tlv_put(item, 0x5A, note->iccid, 10);
	put_bytes(item, 0x82, note->bytes);
	ifpp_secret_put(out, 0x30, item);
}

static gboolean put_scalar(GByteArray *out, guint32 tag, IfppEcKey *key, GError **error)
{
	guint8 scalar[32];

	if (!ifpp_ec_key_export(key, scalar, error))
		return FALSE;
	ifpp_tlv_put(out, tag, scalar, sizeof(scalar));
	gnutls_memset(scalar, 0, sizeof(scalar));
	return TRUE;
}

static gsize cas_size(const IfppChipMem *mem)
{
	return mem->cas ? g_bytes_get_size(mem->cas) : 0;
}

static void append_cas(const IfppChipMem *mem, GByteArray *out)
{
	if (mem->cas)
		g_byte_array_append(out, g_bytes_get_data(mem->cas, NULL), g_bytes_get_size(mem->cas));
}

/* An upper bound of the file's size: no array that holds secrets may have to grow. */
static gsize memory_size(const IfppChipMem *mem)
{
	gsize size = 8192 + g_bytes_get_size(mem->cert_euicc) + g_bytes_get_size(mem->cert_eum) +
		     cas_size(mem) + g_bytes_get_size(mem->ci) + mem->keys->len * 256 + mem->dead->len * 32 +
		     strlen(mem->dp_address) + mem->eims->len;

	for (guint i = 0; i < mem->profiles->len; i++) {
		IfppChipProfile *profile = g_ptr_array_index(mem->profiles, i);

		size += 512 + g_bytes_get_size(profile->metadata) + g_bytes_get_size(profile->upp);
	}
	for (guint i = 0; i < mem->notes->len; i++) {
		IfppChipNote *note = g_ptr_array_index(mem->notes, i);

		size += 128 + strlen(note->address) + g_bytes_get_size(note->bytes);
	}
	return size;
}

static GByteArray *serialise(const IfppChipMem *mem, GError **error)
{
	gsize size = memory_size(mem);
	GByteArray *out = g_byte_array_sized_new(size), *part;
	guint8 locked = mem->locked, sha[32];
	GByteArray *file;

	ifpp_tlv_put_uint(out, TAG_VERSION, MEMORY_VERSION);
	ifpp_tlv_put(out, TAG_EID, mem->eid, 16);
	if (!put_scalar(out, TAG_SK, mem->sk, error)) {
		ifpp_secret_free(out);
		return NULL;
	}
	ifpp_tlv_put_header(out, TAG_CERTS,
			    g_bytes_get_size(mem->cert_euicc) + g_bytes_get_size(mem->cert_eum) + cas_size(mem));
	g_byte_array_append(out, g_bytes_get_data(mem->cert_euicc, NULL), g_bytes_get_size(mem->cert_euicc));
	g_byte_array_append(out, g_bytes_get_data(mem->cert_eum, NULL), g_bytes_get_size(mem->cert_eum));
	append_cas(mem, out);
	put_bytes(out, TAG_CI, mem->ci);

	part = g_byte_array_sized_new(mem->keys->len * 256);
	for (guint i = 0; i < mem->keys->len; i++)
		ifpp_chipmem_put_key(part, &g_array_index(mem->keys, IfppChipKey, i), TRUE);
	ifpp_secret_put(out, TAG_KEYS, part);
	ifpp_tlv_put_uint(out, TAG_SPENT, mem->spent);
	ifpp_tlv_put(out, TAG_DEAD, mem->dead->data, mem->dead->len * 32);
	ifpp_tlv_put(out, TAG_LOCKED, &locked, 1);
	ifpp_tlv_put_uint(out, TAG_LOCK_COUNTER, mem->lock_counter);

	part = g_byte_array_sized_new(size);
	for (guint i = 0; i < mem->profiles->len; i++)
		put_profile(part, g_ptr_array_index(mem->profiles, i), size);
	ifpp_secret_put(out, TAG_PROFILES, part);
	ifpp_tlv_put_uint(out, TAG_SEQ, mem->next_seq);
	part = g_byte_array_new();
	for (guint i = 0; i < mem->notes->len; i++)
		put_note(part, g_ptr_array_index(mem->notes, i));
	ifpp_secret_put(out, TAG_NOTES, part);
	if (mem->loading) {
		part = g_byte_array_new();
		put_bytes(part, 0x80, mem->load_transaction);
		put_bytes(part, 0x06, mem->load_oid);
		ifpp_secret_put(out, TAG_LOADING, part);
	}
	ifpp_tlv_put(out, TAG_DP_ADDRESS, mem->dp_address, strlen(mem->dp_address));
	if (mem->retry) {
		part = g_byte_array_sized_new(128);
		put_bytes(part, 0x06, mem->retry_oid);
		if (!put_scalar(part, 0x81, mem->retry, error)) {
			ifpp_secret_free(part);
			ifpp_secret_free(out);
			return NULL;
		}
		ifpp_secret_put(out, TAG_RETRY, part);
	}
	if (mem->codec > 1)
		ifpp_tlv_put_uint(out, TAG_CODEC, mem->codec);
	if (mem->iot) {
		guint8 immediate = mem->immediate;

		part = g_byte_array_new();
		ifpp_tlv_put(part, 0x80, &immediate, 1);
		ifpp_tlv_put_uint(part, 0x81, mem->tokens);
		ifpp_tlv_put(part, 0xA2, mem->eims->data, mem->eims->len);
		ifpp_secret_put(out, TAG_IOT, part);
	}

	file = g_byte_array_sized_new(size);
	ifpp_secret_put(file, TAG_MEMORY, out);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, file->data, file->len, sha);
	ifpp_tlv_put(file, TAG_DIGEST, sha, sizeof(sha));
	return file;
}

static void write_half(IfppChipMem *mem, const GByteArray *file)
{
	g_autofree char *prefix = unfinished_prefix(mem->path);
	g_autofree char *where = g_path_get_dirname(mem->path);
	g_autofree char *name = g_strconcat(where, "/", prefix, "XXXXXX", NULL);
	int fd = g_mkstemp(name);

	if (fd < 0 || write(fd, file->data, file->len / 2) < 0)
		g_warning("%s: cannot leave half a write", mem->path);
	if (fd >= 0)
		close(fd);
}

gboolean ifpp_chipmem_commit(IfppChipMem *mem, GError **error)
{
	IfppChipMemFate fate = IFPP_CHIPMEM_WRITE;
	GByteArray *file;
	gboolean ok;

	mem->writes++;
	if (mem->hook)
		fate = mem->hook(mem, mem->hook_user);
	if (fate == IFPP_CHIPMEM_CUT_BEFORE)
		goto cut;

	file = serialise(mem, error);
	if (!file)
		return FALSE;
	if (fate == IFPP_CHIPMEM_CUT_DURING) {
		write_half(mem, file);
		ifpp_secret_free(file);
		goto cut;
	}
	ok = ifpp_file_write(mem->path, file->data, file->len, 0600, error);
	ifpp_secret_free(file);
	if (!ok)
		return FALSE;
	if (fate != IFPP_CHIPMEM_CUT_AFTER)
		return TRUE;
cut:
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "%s: power cut at write %" G_GUINT64_FORMAT,
		    mem->path, mem->writes);
	return FALSE;
}
