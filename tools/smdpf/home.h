/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Key Maker's home: which key, which certificates, whom it trusts. */
#ifndef SMDPF_HOME_H
#define SMDPF_HOME_H

#include <gnutls/abstract.h>

#include "x509.h"

/*
 * DIR/smdpf.conf	key URL, PKCS#11 module, series number
 * DIR/dppb.pub.pem	public half of the key
 * DIR/dppb.pem		CERT.DPpb and its sub-CAs
 * DIR/ci/		CI roots and CRLs
 * DIR/ledger.db		which one-time key is bound to what (ledger.h), unless a server keeps it
 * DIR/packages/	every package ever released, and
 * DIR/journal		what each of them is (store.h)
 * DIR/run/		a directory for each running process
 */
typedef struct {
	char *dir;
	char *key_url;
	char *module;		/* or NULL */
	char *ledger;		/* URL of its database, or NULL: DIR/ledger.db */
	gboolean signed_only;	/* requests and reports must be signed: requesters were named */
	guint series;		/* 0..99999: makes built-in ICCIDs unique between homes */
	GPtrArray *chain;	/* GBytes of DER, CERT.DPpb first; NULL before home_load_trust() */
	IfppTrust *trust;
} Home;

Home *home_open(const char *dir, GError **error);
void home_free(Home *home);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Home, home_free)

/**
 * home_init() - make the directories and the configuration; the same again is fine
 * @dir: its name, made if absent
 * @key_url: pkcs11: URL
 * @module: path or NULL
 * @ledger: URL of a database server, or NULL
 * @make_ledger: called for a new home
 * @error: IFPP_ERROR_USAGE when the home is another key's; IO, ACCESS, NO_SPACE
 */
Home *home_init(const char *dir, const char *key_url, const char *module, const char *ledger,
		gboolean (*make_ledger)(const Home *home, GError **error), GError **error);
gboolean home_store_public_key(Home *home, gnutls_pubkey_t pub, GError **error);

/**
 * home_store_certificate() - check CERT.DPpb and keep it with what it needs
 * @home: with the public key stored
 * @file: PEM or DER; a PEM file may hold sub-CAs after the certificate
 * @ci_files: CI roots
 * @crl_files: CRLs, or NULL
 * @error: as ifpp_trust_verify(), and IFPP_ERROR_CHAIN when it is another key's
 */
gboolean home_store_certificate(Home *home, const char *file, char **ci_files, char **crl_files, GError **error);

/* Load chain and trust. IFPP_ERROR_IO before "certificate" was run. */
gboolean home_load_trust(Home *home, GError **error);
/* Prove the chain: only who signs with it needs it to be valid today. IFPP_ERROR_EXPIRED, REVOKED... */
gboolean home_check_chain(const Home *home, GError **error);

/* Is CERT.DPpb of this key? Else every package would be refused at the gate: IFPP_ERROR_TOKEN. */
gboolean home_certifies(const Home *home, gnutls_pubkey_t pub, GError **error);

/* From now on, for good: it does not hang on files that may get lost. */
gboolean home_set_signed_only(const Home *home, GError **error);

char *home_path(const Home *home, const char *name);
/* The ledger's file, NULL when a server keeps it. */
char *home_ledger_path(const Home *home);

/* Uncompressed point of a P-256 public key. */
gboolean home_point(gnutls_pubkey_t pub, guint8 point[65], GError **error);

#endif
