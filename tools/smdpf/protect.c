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
#include "wrap.h"

#define NAME_MAX_LEN 100		/* as in the profile's header */
#define WRAPPED_MAX 1024
#define FILE_MAX (2 * IFPP_PACKAGE_MAX)

static gboolean gnutls_ok(int ret, const char *what, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "%s: %s", what, gnutls_strerror(ret));
	return FALSE;
}

/* ------------------------------------------------------------ the wrapping key */

/* Chosen and made once: two keys of one name would be a disaster. One process at a time. */
static gboolean choose(const Home *home, Wrap *wrap, GError **error)
{
	g_autofree char *runs = home_path(home, "run");
	int fd = open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = (fd >= 0 && flock(fd, LOCK_EX) == 0) || ifpp_file_error(runs, NULL, error);

	ok = ok && wrap_choose(wrap, error);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* ------------------------------------------------------------ protecting */

/* The TLVs that the digest covers, without the wrapped keys between them. */
static void put_front(GByteArray *out, const IfppUpp *upp, gboolean test_only, WrapMethod by)
{
	const guint8 class = test_only ? PROFILE_TEST : PROFILE_OPERATIONAL, method = by;

	ifpp_tlv_put(out, 0x5A, upp->iccid, sizeof(upp->iccid));
	ifpp_tlv_put(out, 0x0C, upp->profile_type, strlen(upp->profile_type));
	ifpp_tlv_put(out, 0x95, &class, 1);
	ifpp_tlv_put(out, 0x80, &method, 1);
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

static gboolean protect(const IfppUpp *upp, IfppSpan clear, Wrap *wrap, GByteArray *out, GError **error)
{
	static const guint8 version_3[] = { 0x02, 0x01, 0x03 };
	g_autoptr(GByteArray) front = g_byte_array_new(), segments = g_byte_array_new(), back = g_byte_array_new();
	g_autoptr(GByteArray) body = g_byte_array_new(), wrapped = g_byte_array_new();
	guint8 secret[WRAP_LEN];
	IfppBsp bsp = {};
	gboolean ok;

	ok = gnutls_ok(gnutls_rnd(GNUTLS_RND_KEY, secret, PPK_LEN), "randomness", error);
	if (ok) {
		ifpp_bsp_set_ppk(&bsp, secret, secret + 16, secret + 32);
		ok = ifpp_bsp_protect_all(&bsp, 0x86, TRUE, clear, segments, error);
		ifpp_bsp_wipe(&bsp);
	}
	put_front(front, upp, !profile_check_class(clear, PROFILE_OPERATIONAL, NULL), wrap_method(wrap));
	ifpp_tlv_put(back, 0xA3, segments->data, segments->len);
	ok = ok && digest_of((IfppSpan){ front->data, front->len }, (IfppSpan){ back->data, back->len },
			     secret + PPK_LEN, error) &&
	     wrap_put(wrap, secret, wrapped, error);
	gnutls_memset(secret, 0, sizeof(secret));
	if (!ok)
		return FALSE;

	g_byte_array_append(body, version_3, sizeof(version_3));
	g_byte_array_append(body, front->data, front->len);
	ifpp_tlv_put(body, 0x04, wrapped->data, wrapped->len);
	g_byte_array_append(body, back->data, back->len);
	ifpp_tlv_put(out, 0x30, body->data, body->len);
	return TRUE;
}

static gboolean protect_file(const char *path, const char *out, Wrap *wrap, gboolean test, GError **error)
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
	     protect(upp, clear, wrap, result, error);
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
	g_autoptr(Wrap) wrap = wrap_new(home->key_url);
	gboolean ok;

	ok = files && token_init(home->module, pin_file, error) && choose(home, wrap, error) && ifpp_make_dir(out, 0700, error);
	for (guint i = 0; ok && i < files->len; i++)
		ok = protect_file(files->pdata[i], out, wrap, test, error);
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
	IfppTlv all, version, iccid, name, class = {}, method = {}, wrapped, segments;
	guint8 v;

	if (!ifpp_tlv_expect(&in, 0x30, "protected profile", &all, error) ||
	    !ifpp_tlv_expect(&all.value, 0x02, "version", &version, error))
		return FALSE;
	v = version.value.len == 1 ? version.value.data[0] : 0;
	if (!ifpp_tlv_expect(&all.value, 0x5A, "ICCID", &iccid, error) ||
	    !ifpp_tlv_expect(&all.value, 0x0C, "name", &name, error) ||
	    (v >= 2 && !ifpp_tlv_expect(&all.value, 0x95, "class", &class, error)) ||
	    (v >= 3 && !ifpp_tlv_expect(&all.value, 0x80, "method", &method, error)) ||
	    !ifpp_tlv_expect(&all.value, 0x04, "wrapped keys", &wrapped, error) ||
	    !ifpp_tlv_expect(&all.value, 0xA3, "segments", &segments, error))
		return FALSE;
	if (in.len || all.value.len || v < 1 || v > 3 || (v >= 2 && class.value.len != 1) ||
	    (v >= 3 && (method.value.len != 1 || method.value.data[0] >= WRAP_METHODS)) ||
	    iccid.value.len != sizeof(p->iccid) || name.value.len > NAME_MAX_LEN ||
	    !g_utf8_validate((const char *)name.value.data, name.value.len, NULL) ||
	    wrapped.value.len > WRAPPED_MAX || !segments.value.len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "not a protected profile of this version");
		return FALSE;
	}
	memcpy(p->iccid, iccid.value.data, sizeof(p->iccid));
	p->name = g_strndup((const char *)name.value.data, name.value.len);
	p->wrapped = wrapped.value;
	p->method = v >= 3 ? method.value.data[0] : WRAP_PKCS1;
	p->segments = segments.value;
	p->test_only = class.value.len && class.value.data[0] == PROFILE_TEST;
	front = (IfppSpan){ iccid.whole.data, iccid.whole.len + name.whole.len + class.whole.len + method.whole.len };
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

/* One answer for whatever is wrong: the padding of the oldest method must not be an oracle. */
gboolean protected_unwrap(const Protected *profile, Wrap *wrap, guint8 ppk[PPK_LEN], GError **error)
{
	guint8 secret[WRAP_LEN] = {};
	gboolean ok = FALSE, done = wrap_take(wrap, profile->method, profile->wrapped, secret, &ok, error);

	ok = ok && !memcmp(secret + PPK_LEN, profile->digest, sizeof(profile->digest));
	if (ok)
		memcpy(ppk, secret, PPK_LEN);
	else if (done)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s: altered, or protected for another token",
			    profile->path);
	gnutls_memset(secret, 0, sizeof(secret));
	return ok;
}
