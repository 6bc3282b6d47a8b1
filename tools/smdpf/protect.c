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
#include "pool.h"
#include "profile.h"
#include "token.h"
#include "upp.h"
#include "wrap.h"

#define NAME_MAX_LEN 100		/* as in the profile's header */
#define WRAPPED_MAX 1024
#define VERSION 5
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
static gboolean choose(const Home *home, GPtrArray *wraps, GError **error)
{
	g_autofree char *runs = home_path(home, "run");
	int fd = open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = (fd >= 0 && flock(fd, LOCK_EX) == 0) || ifpp_file_error(runs, NULL, error);

	for (guint i = 0; ok && i < wraps->len; i++) {
		ok = wrap_choose(wraps->pdata[i], error);
		if (!ok && wraps->len > 1)
			g_prefix_error(error, "profiles are protected for every token of the pool (for one that is lost see ifpp-smdpf "
				       "token remove): ");
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

GPtrArray *protected_wraps(const Home *home)
{
	GPtrArray *wraps = g_ptr_array_new_with_free_func((GDestroyNotify)wrap_free);

	for (guint i = 0; i < home->keys->len; i++)
		g_ptr_array_add(wraps, wrap_new(home_key(home, i)->url));
	return wraps;
}

/* ------------------------------------------------------------ protecting */

/* For whom. */
typedef struct {
	GPtrArray *wraps;
	guint8 ids[HOME_KEYS_MAX][8];
} Keepers;

/* The TLVs that the digest covers, without the wrapped keys between them. */
static void put_front(GByteArray *out, const IfppUpp *upp, gboolean test_only, const Keepers *keepers)
{
	const guint8 class = test_only ? PROFILE_TEST : PROFILE_OPERATIONAL;
	guint8 methods[HOME_KEYS_MAX];
	guint n = keepers->wraps->len;

	for (guint i = 0; i < n; i++)
		methods[i] = wrap_method(keepers->wraps->pdata[i]);

	ifpp_tlv_put(out, 0x5A, upp->iccid, sizeof(upp->iccid));
	ifpp_tlv_put(out, 0x0C, upp->profile_type, strlen(upp->profile_type));
	ifpp_tlv_put(out, 0x95, &class, 1);
	ifpp_tlv_put(out, 0x80, methods, n);
	if (n > 1)
		ifpp_tlv_put(out, 0x81, keepers->ids[0], n * sizeof(keepers->ids[0]));
	ifpp_tlv_put(out, 0x82, (const guint8[]){ upp->version_major, upp->version_minor }, 2);
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

static gboolean put_wrapped(const Keepers *keepers, const guint8 secret[WRAP_LEN], GByteArray *out, GError **error)
{
	for (guint i = 0; i < keepers->wraps->len; i++) {
		g_autoptr(GByteArray) wrapped = g_byte_array_new();

		if (!wrap_put(keepers->wraps->pdata[i], secret, wrapped, error))
			return FALSE;
		ifpp_tlv_put(out, 0x04, wrapped->data, wrapped->len);
	}
	return TRUE;
}

static gboolean protect(const IfppUpp *upp, IfppSpan clear, const Keepers *keepers, GByteArray *out, GError **error)
{
	const guint8 version = VERSION;
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
	put_front(front, upp, !profile_check_class(clear, PROFILE_OPERATIONAL, NULL), keepers);
	ifpp_tlv_put(back, 0xA3, segments->data, segments->len);
	ok = ok && digest_of((IfppSpan){ front->data, front->len }, (IfppSpan){ back->data, back->len },
			     secret + PPK_LEN, error) &&
	     put_wrapped(keepers, secret, wrapped, error);
	gnutls_memset(secret, 0, sizeof(secret));
	if (!ok)
		return FALSE;

	ifpp_tlv_put(body, 0x02, &version, 1);
	g_byte_array_append(body, front->data, front->len);
	g_byte_array_append(body, wrapped->data, wrapped->len);
	g_byte_array_append(body, back->data, back->len);
	ifpp_tlv_put(out, 0x30, body->data, body->len);
	return TRUE;
}

static gboolean protect_file(const char *path, const char *out, const Keepers *keepers, gboolean test, GError **error)
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
	     protect(upp, clear, keepers, result, error);
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
	g_autoptr(Inputs) files = inputs_open(upp, ".der", ".upp", error);
	g_autoptr(GPtrArray) wraps = protected_wraps(home);
	Keepers keepers = { .wraps = wraps };
	gboolean ok = files && pool_start(home, pin_file, error);

	for (guint i = 0; ok && i < home->keys->len; i++)
		ok = home_key_id(home, home_key(home, i), keepers.ids[i], error);
	ok = ok && choose(home, wraps, error) && ifpp_make_dir(out, 0700, error);
	for (guint i = 0; ok && i < inputs_count(files); i++) {
		g_autofree char *path = inputs_path(files, i);

		ok = protect_file(path, out, &keepers, test, error);
	}
	*count = ok ? inputs_count(files) : 0;
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

/* How, for whom and by whom, as far as the version says it. */
static gboolean parse_wrapped(Protected *p, guint8 version, IfppSpan methods, IfppSpan ids, IfppSpan *in, GError **error)
{
	IfppTlv wrapped;

	p->n = version >= 4 ? methods.len : 1;
	if (p->n < 1 || p->n > HOME_KEYS_MAX || (version >= 3 && methods.len != p->n) ||
	    (version >= 4 && ids.len != 8 * p->n && !(version > 4 && p->n == 1 && !ids.len)))
		return FALSE;
	p->ids = ids;
	for (guint i = 0; i < p->n; i++) {
		p->method[i] = version >= 3 ? methods.data[i] : WRAP_PKCS1;
		if (!ifpp_tlv_expect(in, 0x04, "wrapped keys", &wrapped, error))
			return FALSE;
		p->wrapped[i] = wrapped.value;
		if (p->method[i] >= WRAP_METHODS || wrapped.value.len > WRAPPED_MAX)
			return FALSE;
	}
	return TRUE;
}

static gboolean not_ours(GError **error)
{
	if (error && !*error)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UPP, "not a protected profile of this version");
	return FALSE;
}

static gboolean parse(Protected *p, GError **error)
{
	IfppSpan in = ifpp_span_bytes(p->file), front, back;
	IfppTlv all, version, iccid, name, class = {}, method = {}, ids = {}, package = {}, segments;
	guint8 v;

	if (!ifpp_tlv_expect(&in, 0x30, "protected profile", &all, error) ||
	    !ifpp_tlv_expect(&all.value, 0x02, "version", &version, error))
		return FALSE;
	v = version.value.len == 1 ? version.value.data[0] : 0;
	if (v < 1 || v > VERSION)
		return not_ours(error);
	if (!ifpp_tlv_expect(&all.value, 0x5A, "ICCID", &iccid, error) ||
	    !ifpp_tlv_expect(&all.value, 0x0C, "name", &name, error) ||
	    (v >= 2 && !ifpp_tlv_expect(&all.value, 0x95, "class", &class, error)) ||
	    (v >= 3 && !ifpp_tlv_expect(&all.value, 0x80, "method", &method, error)) ||
	    (v == 4 && !ifpp_tlv_expect(&all.value, 0x81, "keys", &ids, error)))
		return FALSE;
	if (v > 4)
		ifpp_tlv_take(&all.value, 0x81, &ids);
	if (v > 4 && !ifpp_tlv_expect(&all.value, 0x82, "package version", &package, error))
		return FALSE;
	if (!parse_wrapped(p, v, method.value, ids.value, &all.value, error))
		return not_ours(error);
	if (!ifpp_tlv_expect(&all.value, 0xA3, "segments", &segments, error))
		return FALSE;
	if (in.len || all.value.len || (v >= 2 && class.value.len != 1) || (v > 4 && package.value.len != 2) || iccid.value.len != sizeof(p->iccid) ||
	    name.value.len > NAME_MAX_LEN || !g_utf8_validate((const char *)name.value.data, name.value.len, NULL) ||
	    !segments.value.len)
		return not_ours(error);
	memcpy(p->iccid, iccid.value.data, sizeof(p->iccid));
	p->name = g_strndup((const char *)name.value.data, name.value.len);
	p->segments = segments.value;
	p->test_only = class.value.len && class.value.data[0] == PROFILE_TEST;
	front = (IfppSpan){ iccid.whole.data,
			    iccid.whole.len + name.whole.len + class.whole.len + method.whole.len + ids.whole.len +
				    package.whole.len };
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

/* Which of the wrapped ones is of this key, or -1. */
static int find_wrapped(const Protected *profile, const Home *home, guint key)
{
	guint8 id[8];

	if (!profile->ids.len)
		return 0;
	if (!home_key_id(home, home_key(home, key), id, NULL))
		return -1;
	for (guint i = 0; i < profile->n; i++)
		if (!memcmp(profile->ids.data + 8 * i, id, sizeof(id)))
			return i;
	return -1;
}

static gboolean unwrap_one(const Protected *profile, guint which, Wrap *wrap, guint8 ppk[PPK_LEN], gboolean *done, GError **error)
{
	guint8 secret[WRAP_LEN] = {};
	gboolean ok = FALSE;

	*done = wrap_take(wrap, profile->method[which], profile->wrapped[which], secret, &ok, error);
	ok = ok && !memcmp(secret + PPK_LEN, profile->digest, sizeof(profile->digest));
	if (ok)
		memcpy(ppk, secret, PPK_LEN);
	gnutls_memset(secret, 0, sizeof(secret));
	return ok;
}

/* One answer for whatever is wrong: the padding of the oldest method must not be an oracle. */
gboolean protected_unwrap(const Protected *profile, const Home *home, GPtrArray *wraps, guint8 ppk[PPK_LEN], GError **error)
{
	for (guint k = 0; k < wraps->len; k++) {
		guint key = (home->current + k) % wraps->len;
		int which = find_wrapped(profile, home, key);
		gboolean done;

		if (which < 0 || (k && pool_is_away(home_key(home, key))))
			continue;
		if (unwrap_one(profile, which, wraps->pdata[key], ppk, &done, k ? NULL : error))
			return TRUE;
		/* the token in use is gone: another one signs, and unwraps */
		if (!done && !k)
			return FALSE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s: altered, or protected for another token%s", profile->path,
		    wraps->len > 1 ? ", or for one that is not there" : "");
	return FALSE;
}
