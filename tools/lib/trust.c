// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Roots and the path. It is walked here because RSP links certificates by key identifier
 * only, and its EUM name constraints give serialNumber a prefix meaning, which no general path
 * validator knows.
 */
#include "cert.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "crl.h"
#include "file.h"
#include "floor.h"
#include "keymakers.h"

#define OTHERS_MAX 8
#define DAY (24 * 60 * 60)
#define REQUIRE_CRL "require-crl"	/* in a directory of CI roots: its name is enough */
#define KEY_MAKERS "key-makers"	/* beside that directory */
#define KNOWN_MAX 64		/* certificates kept parsed */
#define FILE_MAX_CERT (64 * 1024)
#define FILE_MAX_LIST (1024 * 1024)
#define FILE_MAX_CRL (4 * 1024 * 1024)

struct _IfppTrust {
	GPtrArray *roots;		/* of Cert */
	GPtrArray *crls;		/* of Crl */
	GPtrArray *problems;		/* of char: files that are not used, and why */
	KeyMakers *key_makers;		/* NULL: any under the CI */
	GError *no_key_makers;		/* why the list cannot be read: then none */
	GHashTable *known;		/* GBytes of DER to Cert, only parsed: nothing else follows from it */
	guint8 digest[32];		/* of the directory that this came from */
	gboolean require_crl;		/* an issuer without a CRL is not believed */
	gboolean fixed_time;
	gint64 time;
	gint64 floor;			/* proven otherwise than by the CRLs; 0: nothing is */
	const char *floor_what;		/* by what */
	gboolean floor_go_on;
	gint64 seen;			/* the latest date that was believed */
};

/* ------------------------------------------------------------ the trust store */

IfppTrust *ifpp_trust_new(void)
{
	IfppTrust *trust = g_new0(IfppTrust, 1);

	trust->roots = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);
	trust->crls = g_ptr_array_new_with_free_func((GDestroyNotify)crl_free);
	trust->problems = g_ptr_array_new_with_free_func(g_free);
	trust->known = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, (GDestroyNotify)cert_unref);
	return trust;
}

void ifpp_trust_free(IfppTrust *trust)
{
	g_hash_table_unref(trust->known);
	g_ptr_array_unref(trust->roots);
	g_ptr_array_unref(trust->crls);
	g_ptr_array_unref(trust->problems);
	g_clear_pointer(&trust->key_makers, key_makers_free);
	g_clear_error(&trust->no_key_makers);
	g_free(trust);
}

void ifpp_trust_set_time(IfppTrust *trust, gint64 unix_time)
{
	trust->fixed_time = TRUE;
	trust->time = unix_time;
}

void ifpp_trust_set_floor(IfppTrust *trust, gint64 floor, const char *what, gboolean go_on)
{
	if (floor > trust->floor) {
		trust->floor = floor;
		trust->floor_what = what;
	}
	trust->floor_go_on = go_on;
}

static gint64 clock_of(IfppTrust *trust)
{
	return trust->fixed_time ? trust->time : g_get_real_time() / G_USEC_PER_SEC;
}

/* A CRL cannot be issued tomorrow: it proves its date. A certificate does not, it can be made to begin next year. */
static gint64 floor_of(IfppTrust *trust, const char **what)
{
	gint64 floor = trust->floor;

	*what = trust->floor_what;
	for (guint i = 0; i < trust->crls->len; i++) {
		const char *name;
		gint64 proven = crl_proves(trust->crls->pdata[i], &name);

		if (proven > floor) {
			floor = proven;
			*what = name;
		}
	}
	return floor;
}

gint64 ifpp_trust_floor(IfppTrust *trust)
{
	const char *what;
	gint64 floor = floor_of(trust, &what);

	return trust->floor_go_on && !ifpp_floor_check(clock_of(trust), floor, what, NULL) ? floor : 0;
}

gboolean ifpp_trust_now(IfppTrust *trust, gint64 *now, GError **error)
{
	gint64 clock = clock_of(trust), floor;
	const char *what;

	*now = clock;
	/* a chip */
	if (clock < 0)
		return TRUE;
	floor = floor_of(trust, &what);
	*now = MAX(clock, floor);
	return trust->floor_go_on || ifpp_floor_check(clock, floor, what, error);
}

gint64 ifpp_trust_seen(IfppTrust *trust)
{
	return trust->seen;
}

gboolean ifpp_trust_add_root(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);
	g_autoptr(GError) why = NULL;

	if (!cert || !cert_decode(cert, error))
		return FALSE;
	if ((cert->has_aki && memcmp(cert->aki, cert->ski, CERT_ID_LEN) != 0) ||
	    !cert_signed(&cert->s, cert, &cert->signer))
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: is not self-signed", cert->name);
	if (!cert_check_root(cert, &why))
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s", why->message);

	for (guint i = 0; i < trust->crls->len; i++) {
		Crl *crl = trust->crls->pdata[i];

		if (!crl_is_of(crl, cert) || crl_prove(crl, cert, error))
			continue;
		while (i-- > 0)
			crl_forget(trust->crls->pdata[i], cert);
		return FALSE;
	}
	g_ptr_array_add(trust->roots, g_steal_pointer(&cert));
	return TRUE;
}

/* A CRL of a sub-CA is proven when that sub-CA's certificate is at hand. */
static gboolean prove_crl(IfppTrust *trust, Crl *crl, GError **error)
{
	for (guint i = 0; i < trust->roots->len; i++) {
		Cert *root = trust->roots->pdata[i];

		if (crl_is_of(crl, root) && !crl_prove(crl, root, error))
			return FALSE;
	}
	return TRUE;
}

gboolean ifpp_trust_add_crl(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autoptr(Crl) crl = crl_new(der, NULL, &why);

	if (why) {
		g_propagate_error(error, g_steal_pointer(&why));
		return FALSE;
	}
	if (!prove_crl(trust, crl, error))
		return FALSE;
	g_ptr_array_add(trust->crls, g_steal_pointer(&crl));
	return TRUE;
}

/* Something of the file at @path is not used: said once, by whoever asks for the problems. */
static void note(IfppTrust *trust, const char *path, const char *why)
{
	g_ptr_array_add(trust->problems, g_strdup_printf("%s: %s", path, why));
}

typedef void (*AddFunc)(IfppTrust *trust, const char *path, IfppSpan der);

static void add_root_of(IfppTrust *trust, const char *path, IfppSpan der)
{
	g_autoptr(GError) why = NULL;

	if (!ifpp_trust_add_root(trust, der, &why))
		note(trust, path, why->message);
}

/* One that cannot be used is kept all the same, and stops what depends on it: see crl_new(). */
static void add_crl_of(IfppTrust *trust, const char *path, IfppSpan der)
{
	g_autoptr(GError) why = NULL;
	Crl *crl = crl_new(der, path, &why);

	if (!why)
		prove_crl(trust, crl, &why);
	if (why)
		note(trust, path, why->message);
	g_ptr_array_add(trust->crls, crl);
}

/* Hand a DER file, or every PEM block with @label of a text file, to @add. FALSE: there was nothing. */
static gboolean add_all(IfppTrust *trust, const char *path, IfppSpan in, const char *label, AddFunc add, GError **error)
{
	gboolean found = FALSE;
	g_autofree char *begin = g_strdup_printf("-----BEGIN %s-----", label);
	const char *p = (const char *)in.data;
	gsize left = in.len;

	if (in.len && in.data[0] == 0x30) {
		add(trust, path, in);
		return TRUE;
	}

	while ((p = g_strstr_len(p, left, begin))) {
		gnutls_datum_t pem, der;
		int rc;

		left = in.len - (p - (const char *)in.data);
		pem = (gnutls_datum_t){ (guint8 *)p, left };
		rc = gnutls_pem_base64_decode2(label, &pem, &der);
		if (rc < 0)
			return ifpp_fail(error, IFPP_ERROR_CHAIN, "not PEM: %s", gnutls_strerror(rc));
		add(trust, path, (IfppSpan){ der.data, der.size });
		gnutls_free(der.data);
		found = TRUE;
		p += strlen(begin);
		left -= strlen(begin);
	}
	return found || ifpp_fail(error, IFPP_ERROR_CHAIN, "no %s in it", label);
}

/* A file of the directory, or the list of Key Makers beside it. */
typedef struct {
	char *path;
	gboolean is_crl, is_flag, is_list;
	GBytes *bytes;		/* NULL: cannot be read, and why */
	GError *why;
} TrustFile;

static void trust_file_free(gpointer p)
{
	TrustFile *file = p;

	g_free(file->path);
	g_clear_pointer(&file->bytes, g_bytes_unref);
	g_clear_error(&file->why);
	g_free(file);
}

static int compare_files(gconstpointer a, gconstpointer b)
{
	const TrustFile *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static void add_list(GPtrArray *files, const char *dir)
{
	g_autofree char *whole = g_canonicalize_filename(dir, NULL), *parent = g_path_get_dirname(whole);
	g_autofree char *path = g_build_filename(parent, KEY_MAKERS, NULL);
	TrustFile *file;

	if (!g_file_test(path, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK))
		return;
	file = g_new0(TrustFile, 1);
	file->is_list = TRUE;
	file->bytes = ifpp_file_read(path, FILE_MAX_LIST, &file->why);
	file->path = g_steal_pointer(&path);
	g_ptr_array_add(files, file);
}

/* Every file that counts, in the order of their names. */
static GPtrArray *read_files(const char *dir, GError **error)
{
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(trust_file_free);
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	if (!d) {
		ifpp_fail(error, IFPP_ERROR_IO, "%s: cannot read this directory of CI roots", dir);
		return NULL;
	}
	while ((name = g_dir_read_name(d))) {
		gboolean is_crl = g_str_has_suffix(name, ".crl"), is_flag = g_str_equal(name, REQUIRE_CRL);
		TrustFile *file;

		if (!is_crl && !is_flag && !g_str_has_suffix(name, ".pem") && !g_str_has_suffix(name, ".der") &&
		    !g_str_has_suffix(name, ".crt"))
			continue;
		file = g_new0(TrustFile, 1);
		g_ptr_array_add(files, file);
		file->path = g_build_filename(dir, name, NULL);
		file->is_crl = is_crl;
		file->is_flag = is_flag;
		file->bytes = is_flag ? g_bytes_new(NULL, 0) :
					ifpp_file_read(file->path, is_crl ? FILE_MAX_CRL : FILE_MAX_CERT, &file->why);
	}
	g_ptr_array_sort(files, compare_files);
	add_list(files, dir);
	return g_steal_pointer(&files);
}

static void hash_files(GPtrArray *files, guint8 digest[32])
{
	gnutls_hash_hd_t ctx;

	if (gnutls_hash_init(&ctx, GNUTLS_DIG_SHA256) < 0)
		g_error("out of memory");
	for (guint i = 0; i < files->len; i++) {
		const TrustFile *file = files->pdata[i];
		IfppSpan in = file->bytes ? ifpp_span_bytes(file->bytes) :
					    (IfppSpan){ (const guint8 *)file->why->message, strlen(file->why->message) };
		guint64 head[] = { file->bytes != NULL, in.len };

		gnutls_hash(ctx, file->path, strlen(file->path) + 1);
		gnutls_hash(ctx, head, sizeof(head));
		if (in.len)
			gnutls_hash(ctx, in.data, in.len);
	}
	gnutls_hash_deinit(ctx, digest);
}

/* A list that cannot be read names nobody, but it is there: no Key Maker is taken. */
static void read_list(IfppTrust *trust, const TrustFile *file)
{
	if (file->bytes)
		trust->key_makers = key_makers_parse(ifpp_span_bytes(file->bytes), file->path, &trust->no_key_makers);
	else
		trust->no_key_makers = g_error_new(IFPP_ERROR, IFPP_ERROR_KEY_MAKER, "%s", file->why->message);
	if (trust->no_key_makers)
		g_ptr_array_add(trust->problems, g_strdup(trust->no_key_makers->message));
}

/*
 * One bad file stops what depends on it and nothing else. A bad root is one root less. A CRL that cannot be used
 * might be the one that revokes: it stops its issuer.
 */
static gboolean load_files(IfppTrust *trust, GPtrArray *files, const char *dir, GError **error)
{
	for (guint i = 0; i < files->len; i++) {
		const TrustFile *file = files->pdata[i];
		g_autoptr(GError) why = NULL;

		trust->require_crl |= file->is_flag;
		if (file->is_list)
			read_list(trust, file);
		if (file->is_crl || file->is_flag || file->is_list)
			continue;
		if (!file->bytes)
			note(trust, file->path, file->why->message);
		else if (!add_all(trust, file->path, ifpp_span_bytes(file->bytes), "CERTIFICATE", add_root_of, &why))
			note(trust, file->path, why->message);
	}
	if (trust->roots->len == 0)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: no CI root in it%s%s", dir, trust->problems->len ? ": " : "",
				 trust->problems->len ? (char *)trust->problems->pdata[0] : "");
	for (guint i = 0; i < files->len; i++) {
		const TrustFile *file = files->pdata[i];
		g_autoptr(GError) why = NULL;

		if (!file->is_crl)
			continue;
		if (!file->bytes)
			why = g_error_copy(file->why);
		else if (add_all(trust, file->path, ifpp_span_bytes(file->bytes), "X509 CRL", add_crl_of, &why))
			continue;
		note(trust, file->path, why->message);
		g_ptr_array_add(trust->crls, crl_unreadable(file->path, why->message));
	}
	return TRUE;
}

GPtrArray *ifpp_trust_problems(IfppTrust *trust)
{
	return trust->problems;
}

/* A CI is issued again with the same key. */
static gboolean issued_again(IfppTrust *trust, const Cert *root)
{
	for (guint i = 0; i < trust->roots->len; i++) {
		const Cert *other = trust->roots->pdata[i];

		if (!memcmp(other->ski, root->ski, CERT_ID_LEN) && other->to > root->to)
			return TRUE;
	}
	return FALSE;
}

static void expiry_free(gpointer p)
{
	IfppTrustExpiry *expiry = p;

	g_free(expiry->name);
	g_free(expiry);
}

static void add_expiry(GPtrArray *all, const char *name, gint64 when)
{
	IfppTrustExpiry *expiry = g_new(IfppTrustExpiry, 1);

	*expiry = (IfppTrustExpiry){ .name = g_strdup(name), .when = when };
	g_ptr_array_add(all, expiry);
}

GPtrArray *ifpp_trust_expiry(IfppTrust *trust)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(expiry_free);
	const char *where;
	gint64 when;

	for (guint i = 0; i < trust->roots->len; i++) {
		const Cert *root = trust->roots->pdata[i];

		if (root->to >= 0 && !issued_again(trust, root))
			add_expiry(all, root->name, root->to);
	}
	for (guint i = 0; i < trust->crls->len; i++)
		if (crl_ends(trust->crls, trust->crls->pdata[i], &when, &where))
			add_expiry(all, where ?: "a CRL", when);
	return all;
}

GPtrArray *ifpp_trust_ends(IfppTrust *trust)
{
	GPtrArray *ends = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) all = ifpp_trust_expiry(trust);
	gint64 now;

	/* whether the time is known at all is told elsewhere */
	ifpp_trust_now(trust, &now, NULL);
	for (guint i = 0; i < all->len; i++) {
		const IfppTrustExpiry *expiry = all->pdata[i];
		g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(expiry->when);
		g_autofree char *text = date ? g_date_time_format(date, "%Y-%m-%d") : NULL;
		gint64 left = (expiry->when - now) / DAY;

		if (!text || expiry->when > now + IFPP_TRUST_DAYS * DAY)
			continue;
		if (expiry->when < now)
			g_ptr_array_add(ends, g_strdup_printf("%s: ended on %s", expiry->name, text));
		else
			g_ptr_array_add(ends, g_strdup_printf("%s: ends on %s, in %" G_GINT64_FORMAT " day%s", expiry->name, text,
							      left, left == 1 ? "" : "s"));
	}
	return ends;
}

guint ifpp_trust_key_makers(IfppTrust *trust)
{
	return trust->key_makers ? key_makers_count(trust->key_makers) : 0;
}

char *ifpp_trust_summary(IfppTrust *trust)
{
	g_autoptr(GString) text = g_string_new(NULL);
	guint makers = ifpp_trust_key_makers(trust);

	for (guint i = 0; i < trust->problems->len; i++)
		g_string_append_printf(text, "%s%s", i ? "; " : "", (char *)trust->problems->pdata[i]);
	if (text->len)
		return g_string_free(g_steal_pointer(&text), FALSE);
	g_string_printf(text, "%u CI root%s, %u CRL%s, ", trust->roots->len, trust->roots->len == 1 ? "" : "s",
			trust->crls->len, trust->crls->len == 1 ? "" : "s");
	if (makers)
		g_string_append_printf(text, "%u Key Maker%s named", makers, makers == 1 ? "" : "s");
	else
		g_string_append(text, "no Key Maker named: any under these roots is taken");
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean check_key_maker(IfppTrust *trust, Cert *dppb, GError **error)
{
	if (trust->no_key_makers) {
		g_propagate_error(error, g_error_copy(trust->no_key_makers));
		return FALSE;
	}
	return !trust->key_makers || key_makers_check(trust->key_makers, dppb, error);
}

gboolean ifpp_trust_reload(IfppTrust **trust, const char *dir, GError **error)
{
	g_autoptr(IfppTrust) old = g_steal_pointer(trust);
	g_autoptr(IfppTrust) new = NULL;
	g_autoptr(GPtrArray) files = read_files(dir, error);
	guint8 digest[32];

	if (!files)
		return FALSE;
	hash_files(files, digest);
	if (old && memcmp(old->digest, digest, sizeof(digest)) == 0) {
		*trust = g_steal_pointer(&old);
		return TRUE;
	}
	new = ifpp_trust_new();
	memcpy(new->digest, digest, sizeof(digest));
	ifpp_trust_set_floor(new, ifpp_floor_built(), "this program", FALSE);
	if (!load_files(new, files, dir, error))
		return FALSE;
	*trust = g_steal_pointer(&new);
	return TRUE;
}

IfppTrust *ifpp_trust_new_from_dir(const char *dir, GError **error)
{
	IfppTrust *trust = NULL;

	ifpp_trust_reload(&trust, dir, error);
	return trust;
}

/* ------------------------------------------------------------ the path */

/*
 * The certificate that signed @cert: a root, or one of @pool, which is taken out of it. A CI is issued again with
 * the same key: the issue that is valid @now is taken.
 */
static Cert *find_issuer(IfppTrust *trust, Cert *cert, GPtrArray *pool, gint64 now, gboolean *is_root, GError **error)
{
	g_autofree char *aki = NULL;
	Cert *found = NULL;
	gboolean named = FALSE;

	if (!cert->has_aki) {
		ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: has no authority key identifier", cert->name);
		return NULL;
	}
	for (guint i = 0; i < trust->roots->len; i++) {
		Cert *root = trust->roots->pdata[i];

		if (memcmp(root->ski, cert->aki, CERT_ID_LEN) != 0)
			continue;
		named = TRUE;
		if (cert_signed(&cert->s, root, &cert->signer) && (!found || cert_check_dates(root, now, NULL)))
			found = root;
	}
	if (found) {
		*is_root = TRUE;
		return cert_ref(found);
	}
	for (guint i = 0; i < pool->len; i++) {
		Cert *other = pool->pdata[i];

		if (memcmp(other->ski, cert->aki, CERT_ID_LEN) != 0)
			continue;
		named = TRUE;
		if (cert_signed(&cert->s, other, &cert->signer)) {
			*is_root = FALSE;
			return g_ptr_array_steal_index(pool, i);
		}
	}
	if (named) {
		ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: its signature is wrong", cert->name);
		return NULL;
	}
	aki = ifpp_hex((IfppSpan){ cert->aki, CERT_ID_LEN });
	ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: is issued by %s, which is not a configured CI root",
		  cert->name, aki);
	return NULL;
}

/* What was believed, believed to be of its date: the machine's clock was right, or there is none. */
static void note_seen(IfppTrust *trust, GPtrArray *chain, gint64 now)
{
	const char *what;

	for (guint i = 0; i < chain->len; i++) {
		Cert *cert = chain->pdata[i];

		trust->seen = MAX(trust->seen, cert->from);
	}
	trust->seen = MIN(MAX(trust->seen, floor_of(trust, &what)), now);
}

/* Is the path good @now? */
static gboolean verify_at(IfppTrust *trust, Cert *leaf, GPtrArray *pool, IfppRole role, gint64 now, GPtrArray *chain,
			  GError **error)
{
	gboolean is_root = FALSE;
	Cert *cert;

	g_ptr_array_add(chain, cert_ref(leaf));
	for (cert = leaf; !is_root; g_ptr_array_add(chain, cert)) {
		cert = find_issuer(trust, cert, pool, now, &is_root, error);
		if (!cert)
			return FALSE;
	}
	if (pool->len) {
		cert = pool->pdata[0];
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "%s: is not part of the chain", cert->name);
	}

	for (guint i = 0; i < chain->len; i++)
		if (!cert_decode(chain->pdata[i], error))
			return FALSE;
	/* From the root down, so that nothing a refused CA says is looked at. */
	if (!cert_check_kinds(chain, role, error))
		return FALSE;
	for (guint i = chain->len; i-- > 0;) {
		gboolean ca = i > 0 || role == IFPP_ROLE_EUM || role == IFPP_ROLE_CI;
		gboolean root = i == chain->len - 1;

		cert = chain->pdata[i];
		if (!cert_check_usage(cert, ca, MAX((int)i - 1, 0), root, error) || !cert_check_dates(cert, now, error))
			return FALSE;
		/* Many an EUM issues no CRL: what it issued is revoked with it. */
		if (!root && !crl_check(trust->crls, cert, ca, chain->pdata[i + 1],
					trust->require_crl && (i > 0 || role != IFPP_ROLE_EUICC), now, error))
			return FALSE;
	}
	return cert_check_leaf(leaf, error) && cert_check_names(chain, error) &&
	       (role != IFPP_ROLE_DP_PB || check_key_maker(trust, leaf, error));
}

gboolean trust_verify(IfppTrust *trust, Cert *leaf, GPtrArray *pool, IfppRole role, GError **error)
{
	g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);
	g_autoptr(GError) unknown = NULL, why = NULL;
	gint64 now;
	gboolean known = ifpp_trust_now(trust, &now, &unknown);

	/* What is wrong whatever the time is, or was over long ago, is told as that. */
	if (verify_at(trust, leaf, pool, role, now, chain, &why)) {
		if (known && now >= 0)
			note_seen(trust, chain, now);
	} else if (known || why->code != IFPP_ERROR_NOT_YET_VALID) {
		g_propagate_error(error, g_steal_pointer(&why));
		return FALSE;
	}
	if (!known)
		g_propagate_error(error, g_steal_pointer(&unknown));
	return known;
}

Cert *trust_cert(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(GBytes) key = g_bytes_new_static(der.data, der.len);
	Cert *cert = trust ? g_hash_table_lookup(trust->known, key) : NULL;

	if (cert)
		return cert_ref(cert);
	cert = cert_new(der, error);
	if (!cert || !trust)
		return cert;
	/* Whoever sends many different ones costs time, not memory. */
	if (g_hash_table_size(trust->known) >= KNOWN_MAX)
		g_hash_table_remove_all(trust->known);
	g_hash_table_insert(trust->known, cert->bytes, cert_ref(cert));
	return cert;
}

gboolean ifpp_trust_verify(IfppTrust *trust, IfppSpan leaf, GPtrArray *others, IfppRole role, GError **error)
{
	g_autoptr(GPtrArray) pool = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);
	g_autoptr(Cert) first = role == IFPP_ROLE_EUICC ? cert_new(leaf, error) : trust_cert(trust, leaf, error);

	if (!first)
		return FALSE;
	if (others && others->len > OTHERS_MAX)
		return ifpp_fail(error, IFPP_ERROR_CHAIN, "more than %d certificates", OTHERS_MAX);
	for (guint i = 0; others && i < others->len; i++) {
		Cert *cert = trust_cert(trust, ifpp_span_bytes(others->pdata[i]), error);

		if (!cert)
			return FALSE;
		g_ptr_array_add(pool, cert);
	}
	return trust_verify(trust, first, pool, role, error);
}
