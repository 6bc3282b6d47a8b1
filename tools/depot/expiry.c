// SPDX-License-Identifier: GPL-2.0-or-later
#include "expiry.h"

#include <string.h>

#include <file.h>

#define FILE_MAX (4 * 1024 * 1024)

static void expiry_free(gpointer data)
{
	Expiry *expiry = data;

	g_free(expiry->file);
	g_free(expiry->name);
	g_free(expiry);
}

static void add(GPtrArray *found, const char *kind, const char *path, const char *name, gint64 until)
{
	Expiry *expiry;

	if (until < 0)	/* a CRL may leave it out */
		return;
	expiry = g_new0(Expiry, 1);
	expiry->kind = kind;
	expiry->file = g_path_get_basename(path);
	expiry->name = g_strdup(name);
	expiry->until = until;
	g_ptr_array_add(found, expiry);
}

static gboolean add_certificates(GPtrArray *found, const char *path, const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format)
{
	gnutls_x509_crt_t *crts = NULL;
	unsigned int n = 0;

	if (gnutls_x509_crt_list_import2(&crts, &n, data, format, 0) < 0)
		return FALSE;
	for (unsigned int i = 0; i < n; i++) {
		char name[128] = "";
		size_t len = sizeof(name);

		if (gnutls_x509_crt_get_dn_by_oid(crts[i], GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) < 0)
			*name = '\0';
		add(found, "certificate", path, name, gnutls_x509_crt_get_expiration_time(crts[i]));
		gnutls_x509_crt_deinit(crts[i]);
	}
	gnutls_free(crts);
	return n > 0;
}

static gboolean add_crls(GPtrArray *found, const char *path, const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format)
{
	gnutls_x509_crl_t *crls = NULL;
	unsigned int n = 0;

	if (gnutls_x509_crl_list_import2(&crls, &n, data, format, 0) < 0)
		return FALSE;
	for (unsigned int i = 0; i < n; i++) {
		char name[128] = "";
		size_t len = sizeof(name);

		if (gnutls_x509_crl_get_issuer_dn_by_oid(crls[i], GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) < 0)
			*name = '\0';
		add(found, "crl", path, name, gnutls_x509_crl_get_next_update(crls[i]));
		gnutls_x509_crl_deinit(crls[i]);
	}
	gnutls_free(crls);
	return n > 0;
}

static void look_into(GPtrArray *found, const char *path)
{
	g_autoptr(GBytes) bytes = path ? ifpp_file_read(path, FILE_MAX, NULL) : NULL;
	gnutls_datum_t data;
	gsize len;

	if (!bytes)
		return;
	data.data = (unsigned char *)g_bytes_get_data(bytes, &len);
	data.size = len;
	for (gnutls_x509_crt_fmt_t format = GNUTLS_X509_FMT_DER; format <= GNUTLS_X509_FMT_PEM; format++)
		if (add_certificates(found, path, &data, format) || add_crls(found, path, &data, format))
			return;
}

static int by_time(gconstpointer a, gconstpointer b)
{
	const Expiry *x = *(Expiry *const *)a, *y = *(Expiry *const *)b;

	return x->until != y->until ? (x->until < y->until ? -1 : 1) : g_strcmp0(x->file, y->file) ?: g_strcmp0(x->name, y->name);
}

GPtrArray *expiry_read(const TlsFiles *files, const char *trust)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(expiry_free);
	g_autoptr(GDir) dir = g_dir_open(trust, 0, NULL);
	const char *name;

	look_into(found, files->cert);
	look_into(found, files->client_ca);
	look_into(found, files->client_crl);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(trust, name, NULL);

		look_into(found, path);
	}
	g_ptr_array_sort(found, by_time);
	return found;
}
