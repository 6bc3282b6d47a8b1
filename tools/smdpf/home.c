// SPDX-License-Identifier: GPL-2.0-or-later
#include "home.h"

#include <string.h>
#include <sys/stat.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "error.h"
#include "file.h"
#include "token.h"

#define CONF "smdpf.conf"
#define PUBLIC_KEY "pub.pem"
#define CERTIFICATE "pem"
#define CI_DIR "ci"
#define FILE_MAX (1024 * 1024)
#define CERTS_MAX 8

char *home_path(const Home *home, const char *name)
{
	return g_build_filename(home->dir, name, NULL);
}

char *home_ledger_path(const Home *home)
{
	return home->ledger ? NULL : home_path(home, "ledger.db");
}

/* Of this key: the first has no number, as when a home had but one. */
static char *key_path(const Home *home, const HomeKey *key, const char *what)
{
	g_autofree char *name = key->number == 1 ? g_strdup_printf("dppb.%s", what) :
						   g_strdup_printf("dppb-%u.%s", key->number, what);

	return home_path(home, name);
}

static char *key_group(guint number)
{
	return number == 1 ? g_strdup("Key") : g_strdup_printf("Key %u", number);
}

static void key_free(gpointer p)
{
	HomeKey *key = p;

	g_free(key->url);
	g_free(key->module);
	g_free(key->token);
	g_free(key->unfit);
	g_free(key->untold);
	g_clear_pointer(&key->chain, g_ptr_array_unref);
	g_free(key);
}

HomeKey *home_key(const Home *home, guint key)
{
	return home->keys->pdata[key];
}

void home_use(Home *home, guint key)
{
	home->current = key;
	home->key_url = home_key(home, key)->url;
	home->module = home_key(home, key)->module;
	home->chain = home_key(home, key)->chain;
}

void home_free(Home *home)
{
	if (!home)
		return;
	g_free(home->dir);
	g_free(home->ledger);
	g_clear_pointer(&home->keys, g_ptr_array_unref);
	g_clear_pointer(&home->trust, ifpp_trust_free);
	g_free(home);
}

static GKeyFile *read_conf(const char *path, GError **error)
{
	g_autoptr(GBytes) text = ifpp_file_read(path, FILE_MAX, error);
	g_autoptr(GKeyFile) conf = g_key_file_new();

	if (!text)
		return NULL;
	if (g_key_file_load_from_bytes(conf, text, G_KEY_FILE_KEEP_COMMENTS, NULL))
		return g_steal_pointer(&conf);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: damaged", path);
	return NULL;
}

static gboolean write_conf(GKeyFile *conf, const char *path, GError **error)
{
	g_autofree char *text = NULL;
	gsize len;

	text = g_key_file_to_data(conf, &len, NULL);
	return ifpp_file_write(path, text, len, 0600, error);
}

static void load_keys(Home *home, GKeyFile *conf)
{
	home->keys = g_ptr_array_new_with_free_func(key_free);
	for (guint i = 1; i <= HOME_KEYS_MAX; i++) {
		g_autofree char *group = key_group(i), *url = g_key_file_get_string(conf, group, "URL", NULL);
		char *token = url ? token_label(url) : NULL;
		HomeKey *key;

		if (!token)
			continue;
		key = g_new0(HomeKey, 1);
		key->number = i;
		key->url = g_steal_pointer(&url);
		key->token = token;
		key->module = g_key_file_get_string(conf, group, "Module", NULL);
		g_ptr_array_add(home->keys, key);
	}
}

Home *home_open(const char *dir, GError **error)
{
	g_autoptr(Home) home = g_new0(Home, 1);
	g_autoptr(GKeyFile) conf = NULL;
	g_autofree char *path = NULL;
	int series;

	home->dir = g_strdup(dir);
	path = home_path(home, CONF);
	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: not a Key Maker's home (ifpp-smdpf init makes one)",
			    dir);
		return NULL;
	}
	conf = read_conf(path, error);
	if (!conf)
		return NULL;
	load_keys(home, conf);
	if (!home->keys->len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: damaged", path);
		return NULL;
	}
	home_use(home, 0);
	home->ledger = g_key_file_get_string(conf, "Ledger", "URL", NULL);
	home->signed_only = g_key_file_get_boolean(conf, "Requesters", "Required", NULL);
	series = g_key_file_get_integer(conf, "Profiles", "Series", NULL);
	home->series = CLAMP(series, 0, 99999);
	return g_steal_pointer(&home);
}

Home *home_init(const char *dir, const char *key_url, const char *module, const char *ledger,
		gboolean (*make_ledger)(const Home *home, GError **error), GError **error)
{
	static const char *const dirs[] = { CI_DIR, "packages", "run" };
	g_autofree char *conf_path = g_build_filename(dir, CONF, NULL);
	g_autoptr(GKeyFile) conf = g_key_file_new();
	g_autoptr(Home) home = NULL;
	guint16 series = 0;

	if (g_file_test(conf_path, G_FILE_TEST_EXISTS)) {
		home = home_open(dir, error);
		if (!home)
			return NULL;
		while (home->current < home->keys->len && strcmp(home_key(home, home->current)->url, key_url))
			home->current++;
		if (home->current == home->keys->len) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: is the home of another key, %s", dir,
				    home->key_url);
			return NULL;
		}
		home_use(home, home->current);
	}
	for (guint i = 0; i < G_N_ELEMENTS(dirs); i++) {
		g_autofree char *path = g_build_filename(dir, dirs[i], NULL);

		if (!ifpp_make_dir(path, 0700, error))
			return NULL;
	}
	if (home)
		return g_steal_pointer(&home);

	gnutls_rnd(GNUTLS_RND_NONCE, &series, sizeof(series));
	g_key_file_set_string(conf, "Key", "URL", key_url);
	if (module)
		g_key_file_set_string(conf, "Key", "Module", module);
	if (ledger)
		g_key_file_set_string(conf, "Ledger", "URL", ledger);
	g_key_file_set_integer(conf, "Profiles", "Series", series);
	home = g_new0(Home, 1);
	home->dir = g_strdup(dir);
	home->ledger = g_strdup(ledger);
	/* Here and nowhere else: a ledger that is missing later was lost, and is not made anew. */
	if (!make_ledger(home, error) || !write_conf(conf, conf_path, error))
		return NULL;
	home_free(g_steal_pointer(&home));
	return home_open(dir, error);
}

gboolean home_set_signed_only(const Home *home, GError **error)
{
	g_autofree char *path = home_path(home, CONF);
	g_autoptr(GKeyFile) conf = read_conf(path, error);

	if (!conf)
		return FALSE;
	g_key_file_set_boolean(conf, "Requesters", "Required", TRUE);
	return write_conf(conf, path, error);
}

static gboolean gnutls_ok(int ret, const char *what, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "%s: %s", what, gnutls_strerror(ret));
	return FALSE;
}

gboolean home_point(gnutls_pubkey_t pub, guint8 point[65], GError **error)
{
	gnutls_datum_t x = {}, y = {};
	gnutls_ecc_curve_t curve;
	gboolean ok;

	if (!gnutls_ok(gnutls_pubkey_export_ecc_raw2(pub, &curve, &x, &y, GNUTLS_EXPORT_FLAG_NO_LZ), "public key",
		       error))
		return FALSE;
	ok = curve == GNUTLS_ECC_CURVE_SECP256R1 && x.size <= 32 && y.size <= 32;
	if (ok) {
		memset(point, 0, 65);
		point[0] = 0x04;
		memcpy(point + 33 - x.size, x.data, x.size);
		memcpy(point + 65 - y.size, y.data, y.size);
	} else {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_POINT, "public key: not on P-256");
	}
	gnutls_free(x.data);
	gnutls_free(y.data);
	return ok;
}

static gboolean store_public_key(const Home *home, const HomeKey *key, gnutls_pubkey_t pub, GError **error)
{
	g_autofree char *path = key_path(home, key, PUBLIC_KEY);
	gnutls_datum_t pem = {};
	gboolean ok;

	if (!gnutls_ok(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_PEM, &pem), "public key", error))
		return FALSE;
	ok = ifpp_file_write(path, pem.data, pem.size, 0644, error);
	gnutls_free(pem.data);
	return ok;
}

gboolean home_store_public_key(Home *home, gnutls_pubkey_t pub, GError **error)
{
	return store_public_key(home, home_key(home, home->current), pub, error);
}

/* ------------------------------------------------------------ a pool of them */

gboolean home_add_key(const Home *home, const char *url, const char *module, gnutls_pubkey_t pub, GError **error)
{
	g_autofree char *path = home_path(home, CONF), *token = token_label(url), *group = NULL;
	g_autoptr(GKeyFile) conf = read_conf(path, error);
	HomeKey key = { .number = 1 };

	if (!conf)
		return FALSE;
	for (guint i = 0; i < home->keys->len; i++) {
		if (strcmp(home_key(home, i)->token, token))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: has a key in token %s already, %s", home->dir, token,
			    home_key(home, i)->url);
		return FALSE;
	}
	/* the files of one that was removed stay: its number is not used again */
	for (; key.number <= HOME_KEYS_MAX; key.number++) {
		g_autofree char *file = key_path(home, &key, PUBLIC_KEY);

		if (!g_file_test(file, G_FILE_TEST_EXISTS))
			break;
	}
	if (key.number > HOME_KEYS_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: has had %u keys, which is what a home may have", home->dir,
			    HOME_KEYS_MAX);
		return FALSE;
	}
	group = key_group(key.number);
	g_key_file_set_string(conf, group, "URL", url);
	if (module)
		g_key_file_set_string(conf, group, "Module", module);
	return store_public_key(home, &key, pub, error) && write_conf(conf, path, error);
}

gboolean home_remove_key(const Home *home, const char *token, GError **error)
{
	g_autofree char *path = home_path(home, CONF), *group = NULL;
	g_autoptr(GKeyFile) conf = read_conf(path, error);

	if (!conf)
		return FALSE;
	for (guint i = 0; i < home->keys->len; i++)
		if (!strcmp(home_key(home, i)->token, token))
			group = key_group(home_key(home, i)->number);
	if (!group || home->keys->len == 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, group ? "%s: token %s is the only one; add another one first" :
			    "%s: has no key in a token %s", home->dir, token);
		return FALSE;
	}
	g_key_file_remove_group(conf, group, NULL);
	return write_conf(conf, path, error);
}

/* Uncompressed point of a key, as the home has it. */
static gboolean own_point(const Home *home, const HomeKey *key, guint8 point[65], GError **error)
{
	g_autofree char *path = key_path(home, key, PUBLIC_KEY);
	g_autoptr(GBytes) pem = ifpp_file_read(path, FILE_MAX, error);
	gnutls_datum_t data;
	gnutls_pubkey_t pub;
	gboolean ok;

	if (!pem)
		return FALSE;
	data = (gnutls_datum_t){ (guint8 *)g_bytes_get_data(pem, NULL), g_bytes_get_size(pem) };
	if (!gnutls_ok(gnutls_pubkey_init(&pub), path, error))
		return FALSE;
	ok = gnutls_ok(gnutls_pubkey_import(pub, &data, GNUTLS_X509_FMT_PEM), path, error) && home_point(pub, point, error);
	gnutls_pubkey_deinit(pub);
	return ok;
}

gboolean home_key_id(const Home *home, const HomeKey *key, guint8 id[8], GError **error)
{
	guint8 point[65], digest[32];

	if (!own_point(home, key, point, error) ||
	    !gnutls_ok(gnutls_hash_fast(GNUTLS_DIG_SHA256, point, sizeof(point), digest), "SHA-256", error))
		return FALSE;
	memcpy(id, digest, 8);
	return TRUE;
}

/* ------------------------------------------------------------ certificates */

/* Certificates of a PEM or DER file, in the order of the file, as DER. */
static GPtrArray *read_certificates(const char *path, GError **error)
{
	g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(GBytes) file = ifpp_file_read(path, FILE_MAX, error);
	gnutls_x509_crt_t *list = NULL;
	gnutls_datum_t data;
	unsigned int n = 0;
	gsize len;
	int ret;

	if (!file)
		return NULL;
	data.data = (guint8 *)g_bytes_get_data(file, &len);
	data.size = len;
	ret = gnutls_x509_crt_list_import2(&list, &n, &data, GNUTLS_X509_FMT_PEM, 0);
	if (ret < 0)
		ret = gnutls_x509_crt_list_import2(&list, &n, &data, GNUTLS_X509_FMT_DER, 0);
	if (ret < 0 || n == 0 || n > CERTS_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: %s", path,
			    n > CERTS_MAX ? "too many certificates" : "not a certificate in PEM or DER");
		n = ret < 0 ? 0 : n;
	}
	for (unsigned int i = 0; i < n; i++) {
		gnutls_datum_t der = {};

		if (gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_DER, &der) >= 0)
			g_ptr_array_add(out, g_bytes_new(der.data, der.size));
		gnutls_free(der.data);
		gnutls_x509_crt_deinit(list[i]);
	}
	gnutls_free(list);
	return n && n <= CERTS_MAX ? g_steal_pointer(&out) : NULL;
}

/* Prove the first of @chain with the rest of it. */
static gboolean verify_chain(GPtrArray *chain, IfppTrust *trust, GError **error)
{
	g_autoptr(GPtrArray) others = g_ptr_array_new();

	for (guint i = 1; i < chain->len; i++)
		g_ptr_array_add(others, chain->pdata[i]);
	return ifpp_trust_verify(trust, ifpp_span_bytes(chain->pdata[0]), others, IFPP_ROLE_DP_PB, error);
}

static gboolean has_key(const Home *home, const HomeKey *key, IfppSpan cert, gboolean *same, GError **error)
{
	guint8 own[65], certified[65];

	if (!own_point(home, key, own, error) || !ifpp_cert_point(cert, certified, error))
		return FALSE;
	*same = !memcmp(own, certified, sizeof(own));
	return TRUE;
}

static GBytes *subject(GBytes *der)
{
	gnutls_datum_t in = { (guint8 *)g_bytes_get_data(der, NULL), g_bytes_get_size(der) }, dn = {};
	gnutls_x509_crt_t crt;
	GBytes *out = NULL;

	if (gnutls_x509_crt_init(&crt) < 0)
		return NULL;
	if (gnutls_x509_crt_import(crt, &in, GNUTLS_X509_FMT_DER) >= 0 && gnutls_x509_crt_get_raw_dn(crt, &dn) >= 0)
		out = g_bytes_new(dn.data, dn.size);
	gnutls_free(dn.data);
	gnutls_x509_crt_deinit(crt);
	return out;
}

/* A factory names the Key Makers that it takes packages of by their names: whichever key signs, it is one Key Maker. */
static gboolean same_name(const Home *home, const HomeKey *key, GBytes *cert, GError **error)
{
	g_autofree char *path = key_path(home, key, CERTIFICATE);
	g_autoptr(GPtrArray) chain = NULL;
	g_autoptr(GBytes) name = subject(cert), other = NULL;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	chain = read_certificates(path, error);
	if (!chain)
		return FALSE;
	other = subject(chain->pdata[0]);
	if (name && other && g_bytes_equal(name, other))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_ROLE, "has another subject than %s, so it is another Key Maker's", path);
	return FALSE;
}

/* Which of the home's keys it is for. */
static gboolean find_keys(const Home *home, GBytes *cert, gboolean mine[HOME_KEYS_MAX], GError **error)
{
	gboolean any = FALSE;

	for (guint i = 0; i < home->keys->len; i++) {
		if (!has_key(home, home_key(home, i), ifpp_span_bytes(cert), &mine[i], error))
			return FALSE;
		any |= mine[i];
	}
	if (!any) {
		g_autofree char *path = key_path(home, home_key(home, 0), PUBLIC_KEY);

		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ROLE, "is for another key than %s%s", path,
			    home->keys->len > 1 ? ", and than those of the other tokens" : "");
		return FALSE;
	}
	for (guint i = 0; i < home->keys->len; i++)
		if (!mine[i] && !same_name(home, home_key(home, i), cert, error))
			return FALSE;
	return TRUE;
}

/* Copy into the home's trust directory, named after what is in it. */
static gboolean store_trusted(Home *home, GBytes *bytes, const char *suffix, GError **error)
{
	g_autofree char *hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
	g_autofree char *path = g_strdup_printf("%s/" CI_DIR "/%.16s.%s", home->dir, hash, suffix);

	return ifpp_file_write(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0644, error);
}

gboolean home_store_certificate(Home *home, const char *file, char **ci_files, char **crl_files, GError **error)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GPtrArray) chain = read_certificates(file, error);
	g_autoptr(GPtrArray) roots = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
	g_autoptr(GPtrArray) crls = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(GString) pem = g_string_new(NULL);
	gboolean mine[HOME_KEYS_MAX];

	if (!chain)
		return FALSE;
	for (guint i = 0; ci_files && ci_files[i]; i++) {
		GPtrArray *certs = read_certificates(ci_files[i], error);

		if (!certs)
			return FALSE;
		g_ptr_array_add(roots, certs);
		for (guint j = 0; j < certs->len; j++) {
			if (!ifpp_trust_add_root(trust, ifpp_span_bytes(certs->pdata[j]), error)) {
				g_prefix_error(error, "%s: ", ci_files[i]);
				return FALSE;
			}
		}
	}
	for (guint i = 0; crl_files && crl_files[i]; i++) {
		GBytes *crl = ifpp_file_read(crl_files[i], FILE_MAX, error);

		if (!crl)
			return FALSE;
		g_ptr_array_add(crls, crl);
		if (!ifpp_trust_add_crl(trust, ifpp_span_bytes(crl), error)) {
			g_prefix_error(error, "%s: ", crl_files[i]);
			return FALSE;
		}
	}
	if (!find_keys(home, chain->pdata[0], mine, error) || !verify_chain(chain, trust, error)) {
		g_prefix_error(error, "%s: ", file);
		return FALSE;
	}

	for (guint i = 0; i < roots->len; i++) {
		GPtrArray *certs = roots->pdata[i];

		for (guint j = 0; j < certs->len; j++)
			if (!store_trusted(home, certs->pdata[j], "der", error))
				return FALSE;
	}
	for (guint i = 0; i < crls->len; i++)
		if (!store_trusted(home, crls->pdata[i], "crl", error))
			return FALSE;
	for (guint i = 0; i < chain->len; i++) {
		IfppSpan der = ifpp_span_bytes(chain->pdata[i]);
		gnutls_datum_t in = { (guint8 *)der.data, der.len }, out = {};

		if (!gnutls_ok(gnutls_pem_base64_encode2("CERTIFICATE", &in, &out), file, error))
			return FALSE;
		g_string_append_len(pem, (const char *)out.data, out.size);
		gnutls_free(out.data);
	}
	for (guint i = 0; i < home->keys->len; i++) {
		g_autofree char *path = key_path(home, home_key(home, i), CERTIFICATE);

		if (mine[i] && !ifpp_file_write(path, pem->str, pem->len, 0644, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean load_chain(const Home *home, HomeKey *key, GError **error)
{
	g_autofree char *path = key_path(home, key, CERTIFICATE);

	g_clear_pointer(&key->chain, g_ptr_array_unref);
	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		key->unfit = g_strdup("has no certificate yet (ifpp-smdpf certificate stores it)");
		return TRUE;
	}
	key->chain = read_certificates(path, error);
	return key->chain != NULL;
}

static gboolean use_first(Home *home)
{
	for (guint i = 0; i < home->keys->len; i++) {
		if (!home_key(home, i)->chain)
			continue;
		home_use(home, i);
		return TRUE;
	}
	return FALSE;
}

gboolean home_load_trust(Home *home, GError **error)
{
	g_autofree char *ci = home_path(home, CI_DIR);

	for (guint i = 0; i < home->keys->len; i++)
		if (!load_chain(home, home_key(home, i), error))
			return FALSE;
	if (!use_first(home)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: %s", home->dir, home_key(home, 0)->unfit);
		return FALSE;
	}
	home->trust = ifpp_trust_new_from_dir(ci, error);
	return home->trust != NULL;
}

gboolean home_check_chain(Home *home, GError **error)
{
	GError *first = NULL;

	for (guint i = 0; i < home->keys->len; i++) {
		HomeKey *key = home_key(home, i);
		g_autofree char *path = key_path(home, key, CERTIFICATE);
		g_autoptr(GError) why = NULL;

		if (!key->chain || verify_chain(key->chain, home->trust, &why))
			continue;
		g_prefix_error(&why, "%s: ", path);
		key->unfit = g_strdup(why->message);
		g_clear_pointer(&key->chain, g_ptr_array_unref);
		if (!first)
			first = g_steal_pointer(&why);
	}
	if (use_first(home)) {
		g_clear_error(&first);
		return TRUE;
	}
	g_propagate_error(error, first);
	return FALSE;
}

gboolean home_certifies(const Home *home, gnutls_pubkey_t pub, GError **error)
{
	const HomeKey *key = home_key(home, home->current);
	guint8 own[65], certified[65];

	if (!home_point(pub, own, error) || !ifpp_cert_point(ifpp_span_bytes(key->chain->pdata[0]), certified, error))
		return FALSE;
	if (memcmp(own, certified, sizeof(own))) {
		g_autofree char *path = key_path(home, key, CERTIFICATE);

		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "%s: the token's key is not the one in %s", key->url, path);
		return FALSE;
	}
	return TRUE;
}
