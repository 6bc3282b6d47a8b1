/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Certificates of the depot's side: its own, the CAs of stations, and their CRLs. A set never changes
 * once it is read; a reload makes another, and connections that began with the old one keep it.
 */
#ifndef IFPP_DEPOT_TLS_H
#define IFPP_DEPOT_TLS_H

#include <glib.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>

typedef struct {
	const char *cert, *key, *client_ca, *client_crl;	/* files; client_crl may be NULL */
	gboolean refuse_stale_crl;
} TlsFiles;

typedef struct _Tls Tls;

/**
 * tls_load() - read a set
 * @files: where; the strings must outlive the set
 * @error: DEPOT_ERROR_FILES, IFPP_ERROR_IO, ACCESS
 */
Tls *tls_load(const TlsFiles *files, GError **error);
Tls *tls_ref(Tls *tls);
void tls_unref(Tls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tls, tls_unref)

/* Tell, for each certificate and CRL of the set that ends within 14 days, when it does. */
void tls_warn(const Tls *tls, void (*tell)(const char *line));

/* The depot's own certificate and key, for gnutls_certificate_retrieve_function3. */
void tls_own(const Tls *tls, gnutls_pcert_st **chain, unsigned int *n, gnutls_privkey_t *key);

/* The certificates that a station shows, leaf first. */
typedef struct {
	gnutls_x509_crt_t crts[8];
	guint n;
} TlsPeer;

/* FALSE: none, too many, or none that can be read. */
gboolean tls_peer_take(TlsPeer *peer, gnutls_session_t session);
void tls_peer_clear(TlsPeer *peer);

/* The serial number of the leaf, hexadecimal. */
char *tls_peer_serial(const TlsPeer *peer);

typedef enum {
	TLS_STATION,	/* a station of that name */
	TLS_NOT_NOW,	/* of our CA, and not valid: expired, revoked, without a name; it is told why */
	TLS_STRANGER,	/* nobody we speak with */
} TlsVerdict;

/**
 * tls_check() - who is this?
 * @tls: the set to check with
 * @peer: what it shows
 * @name: CN of the certificate as far as it is a station's name, or NULL
 * @why: for all but TLS_STATION, what is wrong
 */
TlsVerdict tls_check(const Tls *tls, const TlsPeer *peer, char **name, char **why);

#endif
