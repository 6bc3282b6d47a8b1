// SPDX-License-Identifier: GPL-2.0-or-later
#include "protect.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "bsp.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "inputs.h"
#include "package.h"
#include "profile.h"
#include "token.h"
#include "upp.h"

#define PUBLIC_KEY "ppk.pub.pem"
#define NAME_MAX_LEN 100		/* as in the profile's header */
#define WRAPPED_MAX 1024
#define FILE_MAX (2 * IFPP_PACKAGE_MAX)
#define SECRET_LEN (PPK_LEN + 32)

static gboolean gnutls_ok(int ret, const char *what, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "%s: %s", what, gnutls_strerror(ret));
	return FALSE;
}

/* ------------------------------------------------------------ the wrapping key */

gnutls_privkey_t protect_open_key(const Home *home, GError **error)
{
	g_autofree char *url = token_wrap_url(home->key_url);

	return token_open_wrap(url, NULL, error);
}

/* Make the key unless it is there, and keep its public half. */
static gboolean make_key(Home *home, const char *pin_file, const char *path, GError **error)
{
	g_autofree char *url = token_wrap_url(home->key_url);
	gnutls_privkey_t key = NULL;
	gnutls_pubkey_t pub = NULL;
	gnutls_datum_t pem = {};
	gboolean ok;

	if (!token_init(home->module, pin_file, error) || !token_generate_wrap(url, error))
		return FALSE;
	key = token_open_wrap(url, &pub, error);
	if (!key)
		return FALSE;
	ok = gnutls_ok(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_PEM, &pem), url, error) &&
	     ifpp_file_write(path, pem.data, pem.size, 0644, error);
	gnutls_free(pem.data);
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	return ok;
}

static gnutls_pubkey_t public_key(Home *home, const char *pin_file, GError **error)
{
	g_autofree char *path = home_path(home, PUBLIC_KEY);
	g_autoptr(GBytes) pem = NULL;
	gnutls_pubkey_t pub = NULL;
	gnutls_datum_t data;
	gboolean ok = TRUE;

	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		/* Two keys of one name would be a disaster: one process at a time. */
		g_autofree char *runs = home_path(home, "run");
		int fd = open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		ok = (fd >= 0 && flock(fd, LOCK_EX) == 0) || ifpp_file_error(runs, NULL, error);
		ok = ok && make_key(home, pin_file, path, error);
		if (fd >= 0)
			close(fd);
	}
	pem = ok ? ifpp_file_read(path, 65536, error) : NULL;
	if (!pem || !gnutls_ok(gnutls_pubkey_init(&pub), path, error))
		return NULL;
	data = (gnutls_datum_t){ (guint8 *)g_bytes_get_data(pem, NULL), g_bytes_get_size(pem) };
	if (gnutls_ok(gnutls_pubkey_import(pub, &data, GNUTLS_X509_FMT_PEM), path, error))
		return pub;
	gnutls_pubkey_deinit(pub);
	return NULL;
}

/* ------------------------------------------------------------ protecting */

/* The TLVs that the digest covers, without the wrapped keys between them. */
static void put_front(GByteArray *out, const IfppUpp *upp, gboolean test_only)
{
	const guint8 class = test_only ? PROFILE_TEST : PROFILE_OPERATIONAL;

	ifpp_tlv_put(out, 0x5A, upp->iccid, sizeof(upp->iccid));
	ifpp_tlv_put(out, 0x0C, upp->profile_type, strlen(upp->profile_type));
	ifpp_tlv_put(out, 0x95, &class, 1);
}

static gboolean digest_of(IfppSpan front, IfppSpan back, guint8 digest[32], GError **error)
{
	gnutls_hash_hd_t hash;

	if (!gnutls_ok(gnutls_hash_init(&hash, GNUTLS_DIG_SHA256), "SHA-256", error))
		return FALSE;
	gnutls_hash(hash, front.data, front.len);
	gnutls_hash(hash, back.data, back.len);
	gnutls_hash_deinit(hash, digest);
	return TRUE;
}

static gboolean protect(const IfppUpp *upp, IfppSpan clear, gnutls_pubkey_t pub, GByteArray *out, GError **error)
{
	static const guint8 version_2[] = { 0x02, 0x01, 0x02 };
	g_autoptr(GByteArray) front = g_byte_array_new(), segments = g_byte_array_new(), back = g_byte_array_new();
	g_autoptr(GByteArray) body = g_byte_array_new();
	guint8 secret[SECRET_LEN];
	gnutls_datum_t in = { secret, sizeof(secret) }, wrapped = {};
	IfppBsp bsp = {};
	gboolean ok;

	ok = gnutls_ok(gnutls_rnd(GNUTLS_RND_KEY, secret, PPK_LEN), "randomness", error);
	if (ok) {
		ifpp_bsp_set_ppk(&bsp, secret, secret + 16, secret + 32);
		ok = ifpp_bsp_protect_all(&bsp, 0x86, TRUE, clear, segments, error);
		ifpp_bsp_wipe(&bsp);
	}
	put_front(front, upp, !profile_check_class(clear, PROFILE_OPERATIONAL, NULL));
	ifpp_tlv_put(back, 0xA3, segments->data, segments->len);
	ok = ok && digest_of((IfppSpan){ front->data, front->len }, (IfppSpan){ back->data, back->len },
			     secret + PPK_LEN, error) &&
	     gnutls_ok(gnutls_pubkey_encrypt_data(pub, 0, &in, &wrapped), "wrapping key", error);
	gnutls_memset(secret, 0, sizeof(secret));
	if (!ok)
		return FALSE;

	g_byte_array_append(body, version_2, sizeof(version_2));
	g_byte_array_append(body, front->data, front->len);
	ifpp_tlv_put(body, 0x04, wrapped.data, wrapped.size);
	g_byte_array_append(body, back->data, back->len);
	gnutls_free(wrapped.data);
	ifpp_tlv_put(out, 0x30, body->data, body->len);
	return TRUE;
}

static gboolean protect_file(const char *path, const char *out, gnutls_pubkey_t pub, gboolean test, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, IFPP_PACKAGE_MAX, error);
	g_autoptr(GByteArray) result = g_byte_array_new();
	g_autoptr(IfppUpp) upp = NULL;
	g_autofree char *name = NULL;
	IfppSpan clear;
	char iccid[21];
	gboolean ok;

	if (!file)
		return FALSE;
	clear = ifpp_span_bytes(file);
	upp = ifpp_upp_parse(clear, error);
	ok = upp && profile_check_class(clear, test ? PROFILE_TEST : PROFILE_OPERATIONAL, error) &&
	     protect(upp, clear, pub, result, error);
	gnutls_memset((guint8 *)clear.data, 0, clear.len);
	if (!ok) {
		g_prefix_error(error, "%s: ", path);
		return FALSE;
	}
	ifpp_iccid_format(upp->iccid, iccid);
	name = g_strdup_printf("%s/%s.ppp", out, iccid);
	return ifpp_file_write(name, result->data, result->len, 0600, error);
}

gboolean protect_profiles(Home *home, const char *pin_file, char **upp, const char *out, gboolean test, guint *count,
			  GError **error)
{
	g_autoptr(GPtrArray) files = input_files(upp, ".der", ".upp", error);
	gnutls_pubkey_t pub = files ? public_key(home, pin_file, error) : NULL;
	gboolean ok = pub != NULL;

	ok = ok && ifpp_make_dir(out, 0700, error);
	for (guint i = 0; ok && i < files->len; i++)
		ok = protect_file(files->pdata[i], out, pub, test, error);
	if (pub)
		gnutls_pubkey_deinit(pub);
	*count = ok ? files->len : 0;
	return ok;
}

/* ------------------------------------------------------------ using */

void protected_free(Protected *profile)
{
	if (!profile)
		return;
	g_clear_pointer(&profile->file, g_bytes_unref);
	g_free(profile->path);
	g_free(profile->name);
	g_free(profile);
}

static gboolean parse(Protected *p, GError **error)
{
	IfppSpan in = ifpp_span_bytes(p->file), front, back;
	IfppTlv all, version, iccid, name, class = {}, wrapped, segments;

	if (!ifpp_tlv_expect(&in, 0x30, "protected profile", &all, error) ||
	    !ifpp_tlv_expect(&all.value, 0x02, "version", &version, error) ||
	    !ifpp_tlv_expect(&all.value, 0x5A, "ICCID", &iccid, error) ||
	    !ifpp_tlv_expect(&all.value, 0x0C, "name", &name, error) ||
	    (version.value.len == 1 && version.value.data[0] == 2 &&
	     !ifpp_tlv_expect(&all.value, 0x95, "class", &class, error)) ||
	    !ifpp_tlv_expect(&all.value, 0x04, "wrapped keys", &wrapped, error) ||
	    !ifpp_tlv_expect(&all.value, 0xA3, "segments", &segments, error))
		return FALSE;
	if (in.len || all.value.len || version.value.len != 1 || version.value.data[0] < 1 ||
	    version.value.data[0] > 2 || (version.value.data[0] == 2 && class.value.len != 1) ||
	    iccid.value.len != sizeof(p->iccid) || name.value.len > NAME_MAX_LEN ||
	    !g_utf8_validate((const char *)name.value.data, name.value.len, NULL) ||
	    wrapped.value.len > WRAPPED_MAX || !segments.value.len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "not a protected profile of this version");
		return FALSE;
	}
	memcpy(p->iccid, iccid.value.data, sizeof(p->iccid));
	p->name = g_strndup((const char *)name.value.data, name.value.len);
	p->wrapped = wrapped.value;
	p->segments = segments.value;
	p->test_only = class.value.len && class.value.data[0] == PROFILE_TEST;
	front = (IfppSpan){ iccid.whole.data, iccid.whole.len + name.whole.len + class.whole.len };
	back = segments.whole;
	return digest_of(front, back, p->digest, error);
}

Protected *protected_read(const char *path, GError **error)
{
	g_autoptr(Protected) p = g_new0(Protected, 1);

	p->path = g_strdup(path);
	p->file = ifpp_file_read(path, FILE_MAX, error);
	if (!p->file)
		return NULL;
	if (!parse(p, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	return g_steal_pointer(&p);
}

gboolean protected_check_class(const Protected *profile, ProfileClass class, GError **error)
{
	if (class == PROFILE_TEST || !profile->test_only)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "%s: was protected with --class test, since its keys are published: say "
		    "--class test here as well, or protect one with keys of its own", profile->path);
	return FALSE;
}

/* One answer for whatever is wrong: the padding (PKCS #1 1.5, which every token knows) must not be an oracle. */
gboolean protected_unwrap(const Protected *profile, gnutls_privkey_t key, guint8 ppk[PPK_LEN], GError **error)
{
	gnutls_datum_t in = { (guint8 *)profile->wrapped.data, profile->wrapped.len };
	guint8 secret[SECRET_LEN] = {};
	gboolean ok;

	ok = gnutls_privkey_decrypt_data2(key, 0, &in, secret, sizeof(secret)) >= 0 &&
	     !memcmp(secret + PPK_LEN, profile->digest, sizeof(profile->digest));
	if (ok)
		memcpy(ppk, secret, PPK_LEN);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s: altered, or protected for another token",
			    profile->path);
	gnutls_memset(secret, 0, sizeof(secret));
	return ok;
}
