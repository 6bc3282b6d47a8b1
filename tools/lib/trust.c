// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Roots, CRLs and the path. It is walked here because RSP links certificates by key identifier
 * only, and its EUM name constraints give serialNumber a prefix meaning, which no general path
 * validator knows.
 */
#include "cert.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "file.h"

#define OTHERS_MAX 8
#define REQUIRE_CRL "require-crl"	/* in a directory of CI roots: its name is enough */
#define KNOWN_MAX 64		/* certificates kept parsed */
#define FILE_MAX_CERT (64 * 1024)
#define FILE_MAX_CRL (4 * 1024 * 1024)

static const guint8 oid_aki[] = { 0x55, 0x1D, 0x23 };
static const guint8 oid_crl_number[] = { 0x55, 0x1D, 0x14 };

typedef struct {
	GBytes *bytes;
	CertSigned s;
	IfppSpan issuer;
	gnutls_x509_crl_t crl;
	guint8 aki[CERT_ID_LEN];
	GBytes *signer;			/* as in Cert */
	Cert *proven_by;		/* root that may sign it and did */
} Crl;

struct _IfppTrust {
	GPtrArray *roots;		/* of Cert */
	GPtrArray *crls;		/* of Crl */
	GHashTable *known;		/* GBytes of DER to Cert, only parsed: nothing else follows from it */
	guint8 digest[32];		/* of the directory that this came from */
	gboolean require_crl;		/* an issuer without a CRL is not believed */
	gboolean fixed_time;
	gint64 time;
};

/* ------------------------------------------------------------ CRLs */

static void crl_free(Crl *crl)
{
	if (crl->crl)
		gnutls_x509_crl_deinit(crl->crl);
	g_clear_pointer(&crl->signer, g_bytes_unref);
	g_clear_pointer(&crl->bytes, g_bytes_unref);
	g_free(crl);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Crl, crl_free)

static gboolean split_crl(IfppSpan der, Crl *crl, GError **error)
{
	static const guint8 v2[] = { 0x02, 0x01, 0x01 };
	IfppSpan known[] = { IFPP_SPAN(oid_aki), IFPP_SPAN(oid_crl_number) };
	IfppTlv tbs, tlv, list;
	IfppSpan in;

	if (!cert_split_signed(der, &crl->s, error))
		return FALSE;
	in = crl->s.tbs;
	if (!ifpp_tlv_expect(&in, 0x30, "CRL", &tbs, error))
		return FALSE;
	in = tbs.value;
	if (!ifpp_tlv_expect(&in, 0x02, "version", &tlv, error))
		return FALSE;
	if (!ifpp_span_equal(tlv.whole, IFPP_SPAN(v2)))
		return cert_fail(error, IFPP_ERROR_TLV, "not a version 2 CRL");
	if (!ifpp_tlv_expect(&in, 0x30, "signature algorithm", &tlv, error))
		return FALSE;
	if (!cert_is_ecdsa_sha256(tlv.whole))
		return cert_fail(error, IFPP_ERROR_TLV, "two different signature algorithms");
	if (!ifpp_tlv_expect(&in, 0x30, "issuer", &tlv, error))
		return FALSE;
	crl->issuer = tlv.whole;
	while (in.len) {
		if (!ifpp_tlv_next(&in, &tlv, error))
			return FALSE;
		if (tlv.tag == 0xA0) {
			if (!ifpp_tlv_expect(&tlv.value, 0x30, "extensions", &list, error))
				return FALSE;
			if (in.len || tlv.value.len)
				return cert_fail(error, IFPP_ERROR_TLV, "bytes after the extensions");
			crl->s.extensions = list.value;
		}
	}
	return cert_check_extensions(crl->s.extensions, known, G_N_ELEMENTS(known), error);
}

static Crl *crl_new(IfppSpan der, GError **error)
{
	g_autoptr(Crl) crl = g_new0(Crl, 1);
	g_autoptr(GError) why = NULL;
	gnutls_datum_t data;
	gsize size = CERT_ID_LEN;
	int rc;

	crl->bytes = g_bytes_new(der.data, der.len);
	der = ifpp_span_bytes(crl->bytes);
	if (!split_crl(der, crl, &why)) {
		cert_fail(error, IFPP_ERROR_CRL, "CRL: %s", why->message);
		return NULL;
	}
	data = cert_datum(der);
	if (gnutls_x509_crl_init(&crl->crl) < 0)
		g_error("out of memory");
	rc = gnutls_x509_crl_import(crl->crl, &data, GNUTLS_X509_FMT_DER);
	if (rc < 0) {
		cert_fail(error, IFPP_ERROR_CRL, "CRL: cannot be read: %s", gnutls_strerror(rc));
		return NULL;
	}
	rc = gnutls_x509_crl_get_authority_key_id(crl->crl, crl->aki, &size, NULL);
	if (rc < 0 || size != CERT_ID_LEN) {
		cert_fail(error, IFPP_ERROR_CRL, "CRL: has no authority key identifier of 20 bytes");
		return NULL;
	}
	return g_steal_pointer(&crl);
}

static gboolean crl_proven(Crl *crl, Cert *issuer, GError **error)
{
	unsigned int usage;

	if (crl->proven_by == issuer)
		return TRUE;
	if (gnutls_x509_crt_get_key_usage(issuer->crt, &usage, NULL) < 0 || !(usage & GNUTLS_KEY_CRL_SIGN))
		return cert_fail(error, IFPP_ERROR_CRL, "CRL: %s may not sign CRLs", issuer->name);
	if (!cert_signed(&crl->s, issuer, &crl->signer))
		return cert_fail(error, IFPP_ERROR_CRL, "CRL: not signed by %s", issuer->name);
	return TRUE;
}

static gboolean crl_lists(Crl *crl, Cert *cert)
{
	gnutls_x509_crl_iter_t iter = NULL;
	guint8 listed[64], serial[64];
	gsize listed_len, serial_len = sizeof(serial);
	gboolean found = FALSE;
	int rc;

	if (gnutls_x509_crt_get_serial(cert->crt, serial, &serial_len) < 0)
		return TRUE;
	for (;;) {
		listed_len = sizeof(listed);
		rc = gnutls_x509_crl_iter_crt_serial(crl->crl, &iter, listed, &listed_len, NULL);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		/* An entry that cannot be read might be ours. */
		if (rc < 0 || (listed_len == serial_len && memcmp(listed, serial, serial_len) == 0)) {
			found = TRUE;
			break;
		}
	}
	if (iter)
		gnutls_x509_crl_iter_deinit(iter);
	return found;
}

/*
 * A certificate listed in any sound CRL of its issuer is revoked, however old that CRL is. But the
 * newest one must be current: else revocations could be hidden by holding CRLs back.
 */
static gboolean check_revocation(IfppTrust *trust, Cert *cert, Cert *issuer, gboolean required, gint64 now,
				 GError **error)
{
	gint64 newest = -1, until = -1;

	for (guint i = 0; i < trust->crls->len; i++) {
		Crl *crl = trust->crls->pdata[i];
		gint64 this_update;

		if (memcmp(crl->aki, issuer->ski, CERT_ID_LEN) != 0) {
			/* One damaged just there must not be taken for somebody else's. */
			if (!crl->proven_by && ifpp_span_equal(crl->issuer, issuer->subject))
				return cert_fail(error, IFPP_ERROR_CRL, "CRL of %s: names another key",
						 issuer->name);
			continue;
		}
		if (!crl_proven(crl, issuer, error))
			return FALSE;
		if (crl_lists(crl, cert))
			return cert_fail(error, IFPP_ERROR_REVOKED, "%s: is revoked by %s", cert->name,
					 issuer->name);
		this_update = gnutls_x509_crl_get_this_update(crl->crl);
		if (now >= 0 && this_update > now)
			return cert_fail(error, IFPP_ERROR_CRL, "CRL of %s: is of the future", issuer->name);
		if (this_update >= newest) {
			newest = this_update;
			until = gnutls_x509_crl_get_next_update(crl->crl);
		}
	}
	if (newest < 0 && required)
		return cert_fail(error, IFPP_ERROR_CRL, "%s: has no CRL here, and " REQUIRE_CRL " says it must", issuer->name);
	if (newest >= 0 && now >= 0 && until < now)
		return cert_fail(error, IFPP_ERROR_CRL, "CRL of %s: is out of date", issuer->name);
	return TRUE;
}

/* ------------------------------------------------------------ the trust store */

IfppTrust *ifpp_trust_new(void)
{
	IfppTrust *trust = g_new0(IfppTrust, 1);

	trust->roots = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);
	trust->crls = g_ptr_array_new_with_free_func((GDestroyNotify)crl_free);
	trust->known = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, (GDestroyNotify)cert_unref);
	return trust;
}

void ifpp_trust_free(IfppTrust *trust)
{
	g_hash_table_unref(trust->known);
	g_ptr_array_unref(trust->roots);
	g_ptr_array_unref(trust->crls);
	g_free(trust);
}

void ifpp_trust_set_time(IfppTrust *trust, gint64 unix_time)
{
	trust->fixed_time = TRUE;
	trust->time = unix_time;
}

gboolean ifpp_trust_add_root(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(Cert) cert = cert_new(der, error);
	g_autoptr(GError) why = NULL;

	if (!cert || !cert_decode(cert, error))
		return FALSE;
	if ((cert->has_aki && memcmp(cert->aki, cert->ski, CERT_ID_LEN) != 0) ||
	    !cert_signed(&cert->s, cert, &cert->signer))
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: is not self-signed", cert->name);
	if (!cert_check_role(cert, IFPP_ROLE_CI, FALSE, &why) || !cert_check_usage(cert, TRUE, 0, &why))
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s", why->message);

	for (guint i = 0; i < trust->crls->len; i++) {
		Crl *crl = trust->crls->pdata[i];

		if (memcmp(crl->aki, cert->ski, CERT_ID_LEN) != 0)
			continue;
		if (!crl_proven(crl, cert, error)) {
			for (i = 0; i < trust->crls->len; i++) {
				crl = trust->crls->pdata[i];
				if (crl->proven_by == cert)
					crl->proven_by = NULL;
			}
			return FALSE;
		}
		crl->proven_by = cert;
	}
	g_ptr_array_add(trust->roots, g_steal_pointer(&cert));
	return TRUE;
}

gboolean ifpp_trust_add_crl(IfppTrust *trust, IfppSpan der, GError **error)
{
	g_autoptr(Crl) crl = crl_new(der, error);

	if (!crl)
		return FALSE;
	/* A CRL of a sub-CA is proven when that sub-CA's certificate is at hand. */
	for (guint i = 0; i < trust->roots->len; i++) {
		Cert *root = trust->roots->pdata[i];

		if (memcmp(crl->aki, root->ski, CERT_ID_LEN) == 0) {
			if (!crl_proven(crl, root, error))
				return FALSE;
			crl->proven_by = root;
		}
	}
	g_ptr_array_add(trust->crls, g_steal_pointer(&crl));
	return TRUE;
}

typedef gboolean (*AddFunc)(IfppTrust *trust, IfppSpan der, GError **error);

/* Hand a DER file, or every PEM block with @label of a text file, to @add. */
static gboolean add_all(IfppTrust *trust, IfppSpan in, const char *label, AddFunc add, GError **error)
{
	g_autofree char *begin = g_strdup_printf("-----BEGIN %s-----", label);
	const char *p = (const char *)in.data;
	gsize left = in.len;

	if (in.len && in.data[0] == 0x30)
		return add(trust, in, error);

	while ((p = g_strstr_len(p, left, begin))) {
		gnutls_datum_t pem, der;
		gboolean ok;
		int rc;

		left = in.len - (p - (const char *)in.data);
		pem = (gnutls_datum_t){ (guint8 *)p, left };
		rc = gnutls_pem_base64_decode2(label, &pem, &der);
		if (rc < 0)
			return cert_fail(error, IFPP_ERROR_CHAIN, "not PEM: %s", gnutls_strerror(rc));
		ok = add(trust, (IfppSpan){ der.data, der.size }, error);
		gnutls_free(der.data);
		if (!ok)
			return FALSE;
		p += strlen(begin);
		left -= strlen(begin);
	}
	return TRUE;
}

/* A file of the directory. */
typedef struct {
	char *path;
	gboolean is_crl, is_flag;
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

/* Every file that counts, in the order of their names. */
static GPtrArray *read_files(const char *dir, GError **error)
{
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(trust_file_free);
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	if (!d) {
		cert_fail(error, IFPP_ERROR_IO, "%s: cannot read this directory of CI roots", dir);
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

static gboolean load_files(IfppTrust *trust, GPtrArray *files, const char *dir, GError **error)
{
	g_autoptr(GError) last = NULL;

	for (guint i = 0; i < files->len; i++) {
		const TrustFile *file = files->pdata[i];
		g_autoptr(GError) why = NULL;

		trust->require_crl |= file->is_flag;
		if (file->is_crl || file->is_flag)
			continue;
		if (!file->bytes)
			why = g_error_copy(file->why);
		else if (add_all(trust, ifpp_span_bytes(file->bytes), "CERTIFICATE", ifpp_trust_add_root, &why))
			continue;
		g_info("%s: not used as a CI root: %s", file->path, why->message);
		g_clear_error(&last);
		last = g_steal_pointer(&why);
	}
	if (trust->roots->len == 0)
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: no CI root in it%s%s", dir, last ? ": " : "",
				 last ? last->message : "");
	for (guint i = 0; i < files->len; i++) {
		const TrustFile *file = files->pdata[i];
		guint before = trust->crls->len;
		g_autoptr(GError) why = NULL;

		if (!file->is_crl)
			continue;
		/* A CRL that cannot be used might be the one that revokes: never go on without it. */
		if (!file->bytes)
			why = g_error_copy(file->why);
		else if (add_all(trust, ifpp_span_bytes(file->bytes), "X509 CRL", ifpp_trust_add_crl, &why) &&
			 trust->crls->len > before)
			continue;
		return cert_fail(error, IFPP_ERROR_CRL, "%s: %s", file->path, why ? why->message : "no CRL in it");
	}
	return TRUE;
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

/* The certificate that signed @cert: a root, or one of @pool, which is taken out of it. */
static Cert *find_issuer(IfppTrust *trust, Cert *cert, GPtrArray *pool, gboolean *is_root, GError **error)
{
	g_autofree char *aki = NULL;
	gboolean named = FALSE;

	if (!cert->has_aki) {
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: has no authority key identifier", cert->name);
		return NULL;
	}
	for (guint i = 0; i < trust->roots->len; i++) {
		Cert *root = trust->roots->pdata[i];

		if (memcmp(root->ski, cert->aki, CERT_ID_LEN) != 0)
			continue;
		named = TRUE;
		if (cert_signed(&cert->s, root, &cert->signer)) {
			*is_root = TRUE;
			return cert_ref(root);
		}
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
		cert_fail(error, IFPP_ERROR_CHAIN, "%s: its signature is wrong", cert->name);
		return NULL;
	}
	aki = ifpp_hex((IfppSpan){ cert->aki, CERT_ID_LEN });
	cert_fail(error, IFPP_ERROR_CHAIN, "%s: is issued by %s, which is not a configured CI root",
		  cert->name, aki);
	return NULL;
}

gboolean trust_verify(IfppTrust *trust, Cert *leaf, GPtrArray *pool, IfppRole role, GError **error)
{
	g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);
	gint64 now = trust->fixed_time ? trust->time : g_get_real_time() / G_USEC_PER_SEC;
	gboolean is_root = FALSE;
	Cert *cert;

	g_ptr_array_add(chain, cert_ref(leaf));
	for (cert = leaf; !is_root; g_ptr_array_add(chain, cert)) {
		cert = find_issuer(trust, cert, pool, &is_root, error);
		if (!cert)
			return FALSE;
	}
	if (pool->len) {
		cert = pool->pdata[0];
		return cert_fail(error, IFPP_ERROR_CHAIN, "%s: is not part of the chain", cert->name);
	}

	/* From the root down, so that nothing a refused CA says is looked at. */
	for (guint i = chain->len; i-- > 0;) {
		gboolean ca = i > 0 || role == IFPP_ROLE_EUM || role == IFPP_ROLE_CI;
		gboolean eum = i == 1 && role == IFPP_ROLE_EUICC;
		gboolean root = i == chain->len - 1;
		IfppRole wanted = i == 0 ? role : eum ? IFPP_ROLE_EUM : IFPP_ROLE_CI;

		cert = chain->pdata[i];
		if (!cert_decode(cert, error) ||
		    !cert_check_role(cert, wanted, i > 0 && !eum && !root, error) ||
		    !cert_check_usage(cert, ca, MAX((int)i - 1, 0), error) ||
		    !cert_check_dates(cert, now, error))
			return FALSE;
		/* EUMs issue no CRLs: what they issued is revoked with them. */
		if (!root && !check_revocation(trust, cert, chain->pdata[i + 1],
					       trust->require_crl && (i > 0 || role != IFPP_ROLE_EUICC), now, error))
			return FALSE;
		/* On any other certificate they would be constraints that nobody enforces. */
		if (wanted != IFPP_ROLE_EUM && cert_has_name_constraints(cert))
			return cert_fail(error, IFPP_ERROR_CONSTRAINT,
					 "%s: has name constraints but is no EUM", cert->name);
	}
	return role != IFPP_ROLE_EUICC || cert_check_eum(chain->pdata[0], chain->pdata[1], error);
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
		return cert_fail(error, IFPP_ERROR_CHAIN, "more than %d certificates", OTHERS_MAX);
	for (guint i = 0; others && i < others->len; i++) {
		Cert *cert = trust_cert(trust, ifpp_span_bytes(others->pdata[i]), error);

		if (!cert)
			return FALSE;
		g_ptr_array_add(pool, cert);
	}
	return trust_verify(trust, first, pool, role, error);
}
