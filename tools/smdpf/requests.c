// SPDX-License-Identifier: GPL-2.0-or-later
#include "requests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>

#include "bundle.h"
#include "devices.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "request-bundle.h"
#include "store.h"

#define REQUESTERS "requesters"
#define REQUESTS "requests"
#define CERT_MAX (64 * 1024)
#define PROGRESS_EVERY 64
#define AT_ONCE 256	/* files between two times that the disk is waited for */
#define NEW ".new"	/* of a file that is not whole yet, after its name with a dot before it */

/* ------------------------------------------------------------ requesters */

static gnutls_x509_crt_t read_certificate(const char *path, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, CERT_MAX, error);
	gnutls_x509_crt_t crt;
	gnutls_datum_t data;
	gsize len;
	int ret;

	if (!file)
		return NULL;
	data.data = (guint8 *)g_bytes_get_data(file, &len);
	data.size = len;
	if (gnutls_x509_crt_init(&crt) < 0)
		g_error("out of memory");
	ret = gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_PEM);
	if (ret < 0)
		ret = gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_DER);
	if (ret >= 0)
		return crt;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: not a certificate in PEM or DER", path);
	gnutls_x509_crt_deinit(crt);
	return NULL;
}

static gboolean is_current(gnutls_x509_crt_t crt, const char *path, GError **error)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;

	if (gnutls_x509_crt_get_activation_time(crt) <= now && now <= gnutls_x509_crt_get_expiration_time(crt))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_EXPIRED, "%s: the requester's certificate is not valid today", path);
	return FALSE;
}

/* For people, and their terminals. */
static char *name_of(gnutls_x509_crt_t crt)
{
	char text[128] = "";
	gsize len = sizeof(text) - 1;
	char *name;

	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &len) < 0)
		return g_strdup("unnamed");
	name = g_utf8_make_valid(text, -1);
	for (char *p = name; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = '?';
	return name;
}

gboolean requester_add(const Home *home, const char *file, GError **error)
{
	gnutls_x509_crt_t crt = read_certificate(file, error);
	g_autofree char *dir = home_path(home, REQUESTERS), *sum = NULL, *path = NULL;
	gnutls_datum_t pem = {};
	gboolean ok;

	if (!crt)
		return FALSE;
	/* The rule first, then the one that it knows. */
	ok = is_current(crt, file, error) && home_set_signed_only(home, error) && ifpp_make_dir(dir, 0700, error);
	if (ok && gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) < 0)
		g_error("out of memory");
	gnutls_x509_crt_deinit(crt);
	if (!ok)
		return FALSE;
	sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, pem.data, pem.size);
	path = g_strdup_printf("%s/%.16s.pem", dir, sum);
	ok = ifpp_file_write(path, pem.data, pem.size, 0644, error);
	gnutls_free(pem.data);
	return ok;
}

/* The one signature of a CMS SignedData (RFC 5652), and the hash of what it is over. */
typedef struct {
	gnutls_pkcs7_t cms;
	gnutls_pkcs7_signature_info_st info;
	GByteArray *attributes;	/* as they are signed; NULL: there are none, and the content itself is */
	guint8 hash[64];
	gsize hash_len;
	gboolean matches;	/* what the attributes say of the content */
} Signature;

static gboolean no_signature(GError **error)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CMS, "the signature is not a CMS SignedData in DER with one signer");
	return FALSE;
}

/* Signed are the attributes as a SET, where the structure has them as [0]. */
static gboolean find_attributes(Signature *s, GBytes *der)
{
	static const guint32 path[] = { 0x30, 0xA0, 0x30 };
	IfppSpan in = ifpp_span_bytes(der), signers = {};
	IfppTlv tlv;

	for (guint i = 0; i < G_N_ELEMENTS(path); i++) {
		if (!ifpp_tlv_find(in, path[i], &tlv))
			return FALSE;
		in = tlv.value;
	}
	/* two SETs: of the algorithms, and of the signers */
	while (ifpp_tlv_next(&in, &tlv, NULL))
		if (tlv.tag == 0x31)
			signers = tlv.value;
	if (!ifpp_tlv_find(signers, 0x30, &tlv) || !ifpp_tlv_find(tlv.value, 0xA0, &tlv))
		return FALSE;
	s->attributes = g_byte_array_new();
	ifpp_tlv_put_span(s->attributes, 0x31, tlv.value);
	return TRUE;
}

static gboolean check_attributes(Signature *s)
{
	static const char type_oid[] = "1.2.840.113549.1.9.3", digest_oid[] = "1.2.840.113549.1.9.4";
	static const guint8 data_oid[] = { 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01 };
	gnutls_datum_t value;
	guint types = 0, digests = 0;
	gboolean ok = TRUE;
	char *oid;

	for (guint i = 0; ok && gnutls_pkcs7_get_attr(s->info.signed_attrs, i, &oid, &value, 0) >= 0; i++) {
		IfppSpan in = { value.data, value.size };
		IfppTlv tlv;

		if (g_str_equal(oid, type_oid)) {
			types++;
			ok = ifpp_span_equal(in, IFPP_SPAN(data_oid));
		} else if (g_str_equal(oid, digest_oid)) {
			digests++;
			ok = ifpp_tlv_take(&in, 0x04, &tlv) && !in.len && ifpp_span_equal(tlv.value, (IfppSpan){ s->hash, s->hash_len });
		}
		gnutls_free(value.data);
	}
	return ok && types == 1 && digests == 1;
}

static void signature_clear(Signature *s)
{
	gnutls_pkcs7_signature_info_deinit(&s->info);
	g_clear_pointer(&s->attributes, g_byte_array_unref);
	gnutls_pkcs7_deinit(s->cms);
}

static gboolean signature_read(Signature *s, GBytes *der, RequesterHash hash, gpointer user, GError **error)
{
	gnutls_datum_t data = { (guint8 *)g_bytes_get_data(der, NULL), g_bytes_get_size(der) };
	gnutls_digest_algorithm_t algorithm;

	if (gnutls_pkcs7_import(s->cms, &data, GNUTLS_X509_FMT_DER) < 0 || gnutls_pkcs7_get_signature_count(s->cms) != 1 ||
	    gnutls_pkcs7_get_signature_info(s->cms, 0, &s->info) < 0)
		return no_signature(error);
	algorithm = gnutls_sign_get_hash_algorithm(s->info.algo);
	if (algorithm != GNUTLS_DIG_SHA256 && algorithm != GNUTLS_DIG_SHA384 && algorithm != GNUTLS_DIG_SHA512) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CMS, "the signature is made with another hash than SHA-256, SHA-384 or SHA-512");
		return FALSE;
	}
	s->hash_len = gnutls_hash_get_len(algorithm);
	if (!hash(algorithm, s->hash, user, error))
		return FALSE;
	if (s->info.signed_attrs && !find_attributes(s, der))
		return no_signature(error);
	s->matches = !s->attributes || check_attributes(s);
	return TRUE;
}

static gboolean verify(const Signature *s, gnutls_x509_crt_t crt)
{
	gnutls_datum_t attributes = s->attributes ? (gnutls_datum_t){ s->attributes->data, s->attributes->len } : (gnutls_datum_t){};
	gnutls_datum_t hash = { (guint8 *)s->hash, s->hash_len };
	gnutls_pubkey_t key;
	gboolean ok;

	if (gnutls_pubkey_init(&key) < 0)
		g_error("out of memory");
	ok = s->matches && gnutls_pubkey_import_x509(key, crt, 0) >= 0 &&
	     (s->attributes ? gnutls_pubkey_verify_data2(key, s->info.algo, 0, &attributes, &s->info.sig) :
			      gnutls_pubkey_verify_hash2(key, s->info.algo, 0, &hash, &s->info.sig)) >= 0;
	gnutls_pubkey_deinit(key);
	return ok;
}

/* Did the key of @path sign this? A requester whose certificate has run out is told, not passed over. */
static gboolean signed_by(const char *path, const Signature *signature, char **who, GError **error)
{
	gnutls_x509_crt_t crt = read_certificate(path, error);
	gboolean ok;

	if (!crt)
		return FALSE;
	ok = verify(signature, crt) && is_current(crt, path, error);
	if (ok)
		*who = name_of(crt);
	gnutls_x509_crt_deinit(crt);
	return ok;
}

gboolean requester_check(const Home *home, RequesterHash hash, gpointer user, GBytes *signature, char **who, GError **error)
{
	g_autofree char *dir = home_path(home, REQUESTERS);
	g_autoptr(GDir) d = NULL;
	g_autoptr(GError) why = NULL;
	struct stat st;
	Signature cms = {};
	gboolean ok = FALSE;
	guint known = 0;
	const char *name;

	*who = NULL;
	d = g_dir_open(dir, 0, NULL);
	if (!d && (home->signed_only || stat(dir, &st) == 0 || errno != ENOENT)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS,
			    "not taken: %s cannot be read, and this home knows who may ask; restore it, or name them again with "
			    "ifpp-smdpf requester", dir);
		return FALSE;
	}
	if (gnutls_pkcs7_init(&cms.cms) < 0)
		g_error("out of memory");
	if (signature && !signature_read(&cms, signature, hash, user, error))
		goto out;
	while (!ok && !why && d && (name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		if (!g_str_has_suffix(name, ".pem"))
			continue;
		known++;
		ok = signature && signed_by(path, &cms, who, &why);
	}
	if (!known && !why && !home->signed_only)
		ok = TRUE;
	else if (!known && !why)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS,
			    "not taken: %s is empty, and this home knows who may ask; restore it, or name them again with "
			    "ifpp-smdpf requester", dir);
	else if (why)
		g_propagate_error(error, g_steal_pointer(&why));
	else if (!ok)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CMS_SIGNATURE, "%s",
			    signature ? "is signed by no requester that this home knows, or was altered" :
					"is not signed, and this home knows who may ask");
out:
	signature_clear(&cms);
	return ok;
}

/* ------------------------------------------------------------ requests */

static char *dir_of(const Home *home, const char *name)
{
	g_autofree char *escaped = g_uri_escape_string(name, " ", TRUE);

	/* "." and ".." are what escaping leaves */
	if (escaped[0] == '.')
		return g_strdup_printf("%s/" REQUESTS "/%%2E%s", home->dir, escaped + 1);
	return g_build_filename(home->dir, REQUESTS, escaped, NULL);
}

char *request_dir(const Home *home, const char *name, GError **error)
{
	g_autofree char *dir = dir_of(home, name);

	if (g_file_test(dir, G_FILE_TEST_IS_DIR))
		return g_steal_pointer(&dir);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "request %s: not in this home (ifpp-smdpf import takes it in)",
		    name);
	return NULL;
}

typedef struct {
	Home *home;
	IfppRequest *request;
	char *dir;
	GPtrArray *fresh;	/* names that are written as new, and not yet in their place */
	gboolean json;
	guint taken, there, refused;
} Import;

static char *new_path(const Import *import, const char *name)
{
	return g_strdup_printf("%s/.%s" NEW, import->dir, name);
}

/* All of them written, one sync for all, then all renamed: after a crash a name stands for the whole or for nothing. */
static gboolean put_in_place(Import *import, GError **error)
{
	gboolean ok = !import->fresh->len || store_sync(import->dir, error);

	for (guint i = 0; ok && i < import->fresh->len; i++) {
		const char *name = import->fresh->pdata[i];
		g_autofree char *from = new_path(import, name), *to = g_build_filename(import->dir, name, NULL);

		ok = rename(from, to) == 0 || ifpp_file_error(to, NULL, error);
	}
	ok = ok && (!import->fresh->len || ifpp_sync_dir(import->dir, error));
	import->taken += ok ? import->fresh->len : 0;
	g_ptr_array_set_size(import->fresh, 0);
	return ok;
}

/* One at a time in this directory, so what is not in its place is of one that was killed. */
static int lock_dir(const Import *import, GError **error)
{
	int fd = open(import->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		ifpp_file_error(import->dir, NULL, error);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	dir = g_dir_open(import->dir, 0, NULL);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(import->dir, name, NULL);

		if (name[0] == '.' && g_str_has_suffix(name, NEW))
			g_unlink(path);
	}
	return fd;
}

static gboolean prove(Import *import, GBytes *data, GError **error)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16];

	return ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, error) &&
	       (info = ifpp_factory_info_parse(ff21, error)) &&
	       ifpp_factory_info_verify(info, eid, import->home->trust, error);
}

static gboolean import_chip(Import *import, guint i, GError **error)
{
	const IfppRequestItem *item = &g_array_index(ifpp_request_items(import->request), IfppRequestItem, i);
	g_autoptr(GBytes) data = ifpp_request_read(import->request, i, error), have = NULL;
	g_autofree char *path = NULL, *name = NULL, *fresh = NULL;
	g_autoptr(GError) refusal = NULL;
	const char *outcome = "taken";
	char eid[33];

	if (!data)
		return FALSE;
	ifpp_eid_format(item->eid, eid);
	name = g_strconcat(eid, ".euicc", NULL);
	path = g_build_filename(import->dir, name, NULL);
	fresh = new_path(import, name);
	have = ifpp_file_read(path, IFPP_REQUEST_DATA_MAX, NULL);
	if (!prove(import, data, &refusal)) {
		outcome = "refused";
		import->refused++;
	} else if (have && g_bytes_equal(have, data)) {
		outcome = "there";
		import->there++;
	} else if (store_write_plain(fresh, data, error)) {
		g_ptr_array_add(import->fresh, g_steal_pointer(&name));
	} else {
		return FALSE;
	}
	if (import->json)
		printf("{\"eid\":\"%s\",\"keys\":%u,\"outcome\":\"%s\"%s%s%s}\n", eid, item->keys, outcome,
		       refusal ? ",\"code\":\"" : "", refusal ? ifpp_error_name(refusal->code) : "", refusal ? "\"" : "");
	if (refusal) {
		g_prefix_error(&refusal, "chip %s: ", eid);
		ifpp_error_exit("ifpp-smdpf", refusal);
	}
	return TRUE;
}

/* Every byte is the one that was asked with, before the first file is written. */
static gboolean check_all(Import *import, GError **error)
{
	for (guint i = 0; i < ifpp_request_items(import->request)->len; i++) {
		g_autoptr(GBytes) data = ifpp_request_read(import->request, i, error);

		if (!data)
			return FALSE;
	}
	return TRUE;
}

/* Before the chips: there is none whose device is told but not known. */
static gboolean import_devices(Import *import, GError **error)
{
	GArray *items = ifpp_request_items(import->request);
	g_autoptr(Devices) devices = devices_new();
	guint n = 0;

	if (!devices_load(devices, import->dir, error))
		return FALSE;
	for (guint i = 0; i < items->len; i++) {
		const IfppRequestItem *item = &g_array_index(items, IfppRequestItem, i);

		if (!*item->imei)
			continue;
		devices_set(devices, item->eid, item->imei);
		n++;
	}
	return !n || devices_save(devices, import->dir, error);
}

static gboolean import_chips(Import *import, GError **error)
{
	guint count = ifpp_request_items(import->request)->len;

	for (guint i = 0; i < count; i++) {
		if (!import_chip(import, i, error) || (import->fresh->len == AT_ONCE && !put_in_place(import, error)))
			return FALSE;
		if (isatty(STDERR_FILENO) && (i + 1) % PROGRESS_EVERY == 0)
			fprintf(stderr, "\r%u of %u chips ", i + 1, count);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return put_in_place(import, error);
}

static gboolean import_all(Import *import, GError **error)
{
	gboolean ok;
	int lock;

	if (!check_all(import, error) || !ifpp_make_dir(import->dir, 0700, error))
		return FALSE;
	lock = lock_dir(import, error);
	if (lock < 0)
		return FALSE;
	ok = import_devices(import, error) && import_chips(import, error);
	close(lock);
	return ok;
}

static gboolean hash_bytes(int algorithm, guint8 *hash, gpointer user, GError **error)
{
	gsize len;
	const void *data = g_bytes_get_data(user, &len);

	if (gnutls_hash_fast(algorithm, data, len, hash) < 0)
		g_error("a hash failed");
	return TRUE;
}

gboolean request_import(Home *home, const char *file, const char *name, gboolean json, int *exit_code,
			GError **error)
{
	g_autoptr(IfppRequest) request = ifpp_request_open(file, error);
	g_autofree char *base = g_path_get_basename(file), *who = NULL, *dir = NULL;
	g_autoptr(GPtrArray) fresh = g_ptr_array_new_with_free_func(g_free);
	Import import = { .home = home, .request = request, .json = json, .fresh = fresh };

	if (!request)
		return FALSE;
	/* A batch is signed by the EUM whose chips are in it, a request by whoever may ask. */
	if (ifpp_request_head(request)->batch) {
		if (!ifpp_batch_verify(request, home->trust, error))
			return FALSE;
		who = g_strdup("the EUM of its chips");
	} else if (!requester_check(home, hash_bytes, ifpp_request_text(request), ifpp_request_signature(request), &who, error)) {
		g_prefix_error(error, "%s: ", file);
		return FALSE;
	}
	if (g_str_has_suffix(base, ".ifppr") || g_str_has_suffix(base, ".ifppe"))
		base[strlen(base) - strlen(".ifppr")] = '\0';
	name = name ? name : ifpp_request_order(request) ? ifpp_request_order(request) : base;
	if (!ifpp_bundle_text_valid(name)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: no name for it; give one with --name", file);
		return FALSE;
	}
	import.dir = dir = dir_of(home, name);
	if (!import_all(&import, error))
		return FALSE;
	if (!json)
		printf("%s %s, %s%s: %u chips, %u taken in now, %u there already, %u refused\n",
		       ifpp_request_head(request)->batch ? "batch" : "request", name, who ? "signed by " : "", who ? who : "its signer not checked", ifpp_request_items(request)->len,
		       import.taken, import.there, import.refused);
	if (import.refused)
		*exit_code = IFPP_EXIT_REFUSED;
	return TRUE;
}
