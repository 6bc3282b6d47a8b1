// SPDX-License-Identifier: GPL-2.0-or-later
#include "tls.h"

#include <string.h>
#include <time.h>

#include <file.h>
#include <tlv.h>

#include "depot.h"
#include "depot-error.h"

#define PEM_MAX (4 * 1024 * 1024)
#define CHAIN_MAX 8
#define WARN_SECONDS (14 * 24 * 3600)

struct _Tls {
	gatomicrefcount refs;
	const TlsFiles *files;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned int n_chain;
	gnutls_privkey_t key;
	gnutls_x509_trust_list_t trust;
	gnutls_x509_crt_t *cas;
	unsigned int n_cas;
	gnutls_x509_crl_t *crls;
	unsigned int n_crls;
	gint64 own_until, crl_until;	/* Unix time; 0: no end is known */
};

static gboolean bad(GError **error, const char *option, const char *path, const char *what, int gnutls)
{
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_FILES, "%s %s: %s%s%s", option, path, what, gnutls ? ": " : "",
		    gnutls ? gnutls_strerror(gnutls) : "");
	return FALSE;
}

static guint count(const char *text, const char *end, const char *what)
{
	guint n = 0;

	while ((text = g_strstr_len(text, end - text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* GnuTLS takes what comes before a block that is cut. */
static gboolean is_cut(const char *text, gsize len)
{
	const char *end = text + len, *last;

	while (end > text && g_ascii_isspace(end[-1]))
		end--;
	for (last = end; last > text && last[-1] != '\n'; last--)
		;
	return count(text, end, "-----BEGIN ") != count(text, end, "-----END ") ||
	       (last < end && *last == '-' && !(count(last, end, "-----END ") && !memcmp(end - 5, "-----", 5)));
}

static GBytes *read_pem(const char *option, const char *path, gnutls_datum_t *data, GError **error)
{
	g_autoptr(GBytes) bytes = ifpp_file_read(path, PEM_MAX, error);
	gsize len;

	if (!bytes) {
		g_prefix_error(error, "%s ", option);
		return NULL;
	}
	data->data = (unsigned char *)g_bytes_get_data(bytes, &len);
	data->size = len;
	if (!len || is_cut((const char *)data->data, len)) {
		bad(error, option, path, len ? "it ends in the middle of a block" : "it is empty", 0);
		return NULL;
	}
	return g_steal_pointer(&bytes);
}

static gboolean load_own(Tls *tls, GError **error)
{
	const TlsFiles *files = tls->files;
	g_autoptr(GBytes) cert = NULL, key = NULL;
	gnutls_x509_crt_t *crts = NULL;
	gnutls_datum_t data;
	unsigned int n = 0;
	int code;

	cert = read_pem("--cert", files->cert, &data, error);
	if (!cert)
		return FALSE;
	code = gnutls_x509_crt_list_import2(&crts, &n, &data, GNUTLS_X509_FMT_PEM, 0);
	if (code < 0)
		return bad(error, "--cert", files->cert, "no certificates in PEM", code);
	n = MIN(n, CHAIN_MAX);
	code = gnutls_pcert_import_x509_list(tls->chain, crts, &n, 0);
	tls->n_chain = code < 0 ? 0 : n;
	tls->own_until = gnutls_x509_crt_get_expiration_time(crts[0]);
	key = code < 0 ? NULL : read_pem("--key", files->key, &data, error);
	if (code >= 0 && key) {
		gnutls_privkey_init(&tls->key);
		code = gnutls_privkey_import_x509_raw(tls->key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
	}
	for (guint i = 0; i < n; i++)
		gnutls_x509_crt_deinit(crts[i]);
	gnutls_free(crts);
	if (code < 0)
		return bad(error, tls->n_chain ? "--key" : "--cert", tls->n_chain ? files->key : files->cert, "cannot be used", code);
	return key != NULL;
}

/* A certificate whose key is another's fails in every handshake; it is better refused here. */
static gboolean key_fits(const Tls *tls, GError **error)
{
	unsigned char of_cert[64], of_key[64];
	size_t n_cert = sizeof(of_cert), n_key = sizeof(of_key);
	gnutls_pubkey_t public;
	int code;

	gnutls_pubkey_init(&public);
	code = gnutls_pubkey_import_privkey(public, tls->key, 0, 0);
	if (code >= 0)
		code = gnutls_pubkey_get_key_id(public, 0, of_key, &n_key);
	if (code >= 0)
		code = gnutls_pubkey_get_key_id(tls->chain[0].pubkey, 0, of_cert, &n_cert);
	if (code >= 0 && (n_key != n_cert || memcmp(of_key, of_cert, n_key)))
		code = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	gnutls_pubkey_deinit(public);
	return code >= 0 || bad(error, "--key", tls->files->key, "is not the key of the certificate", code);
}

static gboolean load_cas(Tls *tls, GError **error)
{
	gnutls_datum_t data;
	g_autoptr(GBytes) pem = read_pem("--client-ca", tls->files->client_ca, &data, error);
	int code;

	if (!pem)
		return FALSE;
	code = gnutls_x509_crt_list_import2(&tls->cas, &tls->n_cas, &data, GNUTLS_X509_FMT_PEM, 0);
	if (code < 0)
		return bad(error, "--client-ca", tls->files->client_ca, "no CA certificates in PEM", code);
	gnutls_x509_trust_list_init(&tls->trust, 0);
	return gnutls_x509_trust_list_add_cas(tls->trust, tls->cas, tls->n_cas, 0) > 0 ||
	       bad(error, "--client-ca", tls->files->client_ca, "no CA certificates", GNUTLS_E_NO_CERTIFICATE_FOUND);
}

static gboolean issued_by_ours(const Tls *tls, gnutls_x509_crl_t crl)
{
	for (guint i = 0; i < tls->n_cas; i++) {
		/* Whether it is out of date is another question, see tls_check(). */
		const unsigned int times = GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
					   GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;
		unsigned int status = 0;

		if (gnutls_x509_crl_verify(crl, &tls->cas[i], 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) >= 0 &&
		    (!status || !(status & ~(times | GNUTLS_CERT_INVALID))))
			return TRUE;
	}
	return FALSE;
}

static gboolean load_crls(Tls *tls, GError **error)
{
	const char *path = tls->files->client_crl;
	g_autoptr(GBytes) pem = NULL;
	gnutls_datum_t data;
	int code;

	if (!path)
		return TRUE;
	pem = read_pem("--client-crl", path, &data, error);
	if (!pem)
		return FALSE;
	code = gnutls_x509_crl_list_import2(&tls->crls, &tls->n_crls, &data, GNUTLS_X509_FMT_PEM, 0);
	if (code < 0)
		return bad(error, "--client-crl", path, "no CRL in PEM", code);
	for (guint i = 0; i < tls->n_crls; i++) {
		time_t until = gnutls_x509_crl_get_next_update(tls->crls[i]);

		if (!issued_by_ours(tls, tls->crls[i]))
			return bad(error, "--client-crl", path, "not signed by a station CA", GNUTLS_E_CRL_VERIFICATION_ERROR);
		if (until != (time_t)-1 && (!tls->crl_until || until < tls->crl_until))
			tls->crl_until = until;
	}
	return TRUE;
}

Tls *tls_load(const TlsFiles *files, GError **error)
{
	g_autoptr(Tls) tls = g_new0(Tls, 1);

	g_atomic_ref_count_init(&tls->refs);
	tls->files = files;
	if (!load_own(tls, error) || !key_fits(tls, error) || !load_cas(tls, error) || !load_crls(tls, error))
		return NULL;
	return g_steal_pointer(&tls);
}

Tls *tls_ref(Tls *tls)
{
	g_atomic_ref_count_inc(&tls->refs);
	return tls;
}

void tls_unref(Tls *tls)
{
	if (!tls || !g_atomic_ref_count_dec(&tls->refs))
		return;
	for (guint i = 0; i < tls->n_chain; i++)
		gnutls_pcert_deinit(&tls->chain[i]);
	if (tls->key)
		gnutls_privkey_deinit(tls->key);
	/* The list owns the CAs once it has them. */
	if (tls->trust)
		gnutls_x509_trust_list_deinit(tls->trust, 1);
	gnutls_free(tls->cas);
	for (guint i = 0; i < tls->n_crls; i++)
		gnutls_x509_crl_deinit(tls->crls[i]);
	gnutls_free(tls->crls);
	g_free(tls);
}

static void warn(const char *what, const char *path, gint64 until, void (*tell)(const char *line))
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	g_autofree char *when = depot_time(until * 1000), *line = NULL;

	if (!until || until - now > WARN_SECONDS)
		return;
	line = g_strdup_printf("%s: the %s %s on %s; put a new one there, it is read without a restart", path, what,
			       until < now ? "ended" : "ends", when);
	tell(line);
}

void tls_warn(const Tls *tls, void (*tell)(const char *line))
{
	warn("certificate", tls->files->cert, tls->own_until, tell);
	warn("CRL", tls->files->client_crl, tls->crl_until, tell);
	for (guint i = 0; i < tls->n_cas; i++)
		warn("station CA", tls->files->client_ca, gnutls_x509_crt_get_expiration_time(tls->cas[i]), tell);
}

void tls_own(const Tls *tls, gnutls_pcert_st **chain, unsigned int *n, gnutls_privkey_t *key)
{
	*chain = (gnutls_pcert_st *)tls->chain;
	*n = tls->n_chain;
	*key = tls->key;
}

gboolean tls_peer_take(TlsPeer *peer, gnutls_session_t session)
{
	unsigned int n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);

	if (!chain || !n || n > G_N_ELEMENTS(peer->crts))
		return FALSE;
	for (guint i = 0; i < n; i++) {
		gnutls_x509_crt_init(&peer->crts[i]);
		peer->n++;
		if (gnutls_x509_crt_import(peer->crts[i], &chain[i], GNUTLS_X509_FMT_DER) < 0)
			return FALSE;
	}
	return TRUE;
}

void tls_peer_clear(TlsPeer *peer)
{
	for (guint i = 0; i < peer->n; i++)
		gnutls_x509_crt_deinit(peer->crts[i]);
	peer->n = 0;
}

char *tls_peer_serial(const TlsPeer *peer)
{
	guint8 serial[128];
	size_t len = sizeof(serial);

	if (gnutls_x509_crt_get_serial(peer->crts[0], serial, &len) < 0)
		len = 0;
	return ifpp_hex((IfppSpan){ serial, len });
}

static char *common_name(gnutls_x509_crt_t crt)
{
	char name[DEPOT_STATION_MAX + 2] = "";
	size_t len = sizeof(name) - 1;

	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) < 0 ||
	    !depot_station_valid(name))
		return NULL;
	return g_strdup(name);
}

/* Only its time is wrong: whose, and since or until when? */
static char *wrong_time(const TlsPeer *peer, unsigned int status)
{
	gboolean early = status & GNUTLS_CERT_NOT_ACTIVATED;
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	gint64 at = early ? gnutls_x509_crt_get_activation_time(peer->crts[0]) :
			    gnutls_x509_crt_get_expiration_time(peer->crts[0]);
	g_autofree char *when = depot_time(at * 1000);

	if (early ? at > now : at < now)
		return g_strdup_printf("the station's certificate %s %s", early ? "is not valid before" : "expired on", when);
	return g_strdup("a CA certificate above the station's certificate has expired");
}

static gboolean is_revoked(const Tls *tls, gnutls_x509_crt_t crt)
{
	return gnutls_x509_crt_check_revocation(crt, tls->crls, tls->n_crls) > 0;
}

/* Itself, or a CA above it, whether the station has shown that or the depot's own file has it. Why, or NULL. */
static char *revoked(const Tls *tls, const TlsPeer *peer)
{
	if (!tls->n_crls)
		return NULL;
	for (guint i = 0; i < peer->n; i++) {
		gnutls_x509_crt_t crt = peer->crts[i], issuer;

		for (guint up = 0; up < CHAIN_MAX; up++, crt = issuer) {
			g_autofree char *name = NULL;

			if (is_revoked(tls, crt) && !i && !up)
				return g_strdup("the station's certificate was revoked");
			if (is_revoked(tls, crt)) {
				name = common_name(crt);
				return g_strdup_printf("the certificate of %s, a CA above the station's certificate, was revoked",
						       name ?: "a CA");
			}
			if (gnutls_x509_trust_list_get_issuer(tls->trust, crt, &issuer, 0) < 0 || issuer == crt)
				break;
		}
	}
	return NULL;
}

TlsVerdict tls_check(const Tls *tls, const TlsPeer *peer, char **name, char **why)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
					  .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT };
	const unsigned int times = GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED;
	unsigned int status = 0;
	int code;

	*why = NULL;
	*name = common_name(peer->crts[0]);
	code = gnutls_x509_trust_list_verify_crt2(tls->trust, (gnutls_x509_crt_t *)peer->crts, peer->n, &purpose, 1, 0,
						  &status, NULL);
	if (code >= 0 && status && !(status & ~(times | GNUTLS_CERT_INVALID))) {
		*why = wrong_time(peer, status);
		return TLS_NOT_NOW;
	}
	if (code < 0 || status) {
		*why = g_strdup("no certificate of a station CA");
		return TLS_STRANGER;
	}
	if (!*name)
		*why = g_strdup("the certificate's CN is no name of a station");
	else if ((*why = revoked(tls, peer)))
		return TLS_NOT_NOW;
	else if (tls->files->refuse_stale_crl && tls->crl_until && tls->crl_until < g_get_real_time() / G_USEC_PER_SEC)
		*why = g_strdup("the depot's CRL of stations is out of date");
	return *why ? TLS_NOT_NOW : TLS_STATION;
}
