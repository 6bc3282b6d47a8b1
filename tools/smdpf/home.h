/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Key Maker's home: which keys, which certificates, whom it trusts. */
#ifndef SMDPF_HOME_H
#define SMDPF_HOME_H

#include <gnutls/abstract.h>

#include "x509.h"

/*
 * DIR/smdpf.conf	key URLs, PKCS#11 modules, series number
 * DIR/dppb.pub.pem	public half of the key; dppb-2.pub.pem... of further ones
 * DIR/dppb.pem		CERT.DPpb and its sub-CAs; dppb-2.pem...
 * DIR/ci/		CI roots and CRLs
 * DIR/ledger.db		which one-time key is bound to what (ledger.h), unless a server keeps it
 * DIR/packages/	every package ever released, and
 * DIR/journal		what each of them is (store.h)
 * DIR/run/		a directory for each running process
 * DIR/head		the end of the ledger, where there are several tokens (anchor.h)
 */
typedef struct {
	guint number;		/* from 1; in the names of its files and of its part of smdpf.conf */
	char *url;
	char *module;		/* or NULL */
	char *token;		/* its label, which no other key of the home has */
	GPtrArray *chain;	/* GBytes of DER, CERT.DPpb first; NULL: none yet, or not fit to sign with */
	char *unfit;		/* why so, or NULL */
	gint64 away;		/* until when it is left alone, in us of the monotonic clock (pool.h); 0: it is there */
	char *untold;		/* why so, until it is said */
} HomeKey;

#define HOME_KEYS_MAX 8

typedef struct {
	char *dir;
	GPtrArray *keys;	/* HomeKey: a pool, any of which may sign */
	guint current;		/* the one in use, whose these are: */
	const char *key_url;
	const char *module;	/* or NULL */
	GPtrArray *chain;	/* NULL before home_load_trust() */
	char *ledger;		/* URL of its database, or NULL: DIR/ledger.db */
	gboolean signed_only;	/* requests and reports must be signed: requesters were named */
	guint series;		/* 0..99999: makes built-in ICCIDs unique between homes */
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
/* Of the key in use. */
gboolean home_store_public_key(Home *home, gnutls_pubkey_t pub, GError **error);

void home_use(Home *home, guint key);		/* from 0: this key is in use from now on */
HomeKey *home_key(const Home *home, guint key);
/* What protected profiles name a key by. */
gboolean home_key_id(const Home *home, const HomeKey *key, guint8 id[8], GError **error);

/**
 * home_add_key() - one more key, in another token, for when the others are gone
 * @home: not changed: open it again
 * @url: pkcs11: URL
 * @module: path or NULL
 * @pub: its public half
 * @error: IFPP_ERROR_USAGE: its token has one already, or there are HOME_KEYS_MAX; IO, ACCESS, NO_SPACE
 */
gboolean home_add_key(const Home *home, const char *url, const char *module, gnutls_pubkey_t pub, GError **error);
/* The key is not used any more; certificate and public key stay, as a record. The last one stays: IFPP_ERROR_USAGE */
gboolean home_remove_key(const Home *home, const char *token, GError **error);

/**
 * home_store_certificate() - check CERT.DPpb and keep it with what it needs
 * @home: with the public key stored
 * @file: PEM or DER; a PEM file may hold sub-CAs after the certificate
 * @ci_files: CI roots
 * @crl_files: CRLs, or NULL
 * @error: as ifpp_trust_verify(); IFPP_ERROR_ROLE when it is another key's, or has another name than those of the other keys
 *
 * It is kept for the key that it is for.
 */
gboolean home_store_certificate(Home *home, const char *file, char **ci_files, char **crl_files, GError **error);

/* Load chain and trust. IFPP_ERROR_IO before "certificate" was run. */
gboolean home_load_trust(Home *home, GError **error);
/*
 * Prove the chains: only who signs with one needs it to be valid today. Those that are not are put aside, and the first of the others is
 * in use; when there is none: IFPP_ERROR_EXPIRED, REVOKED...
 */
gboolean home_check_chain(Home *home, GError **error);

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
