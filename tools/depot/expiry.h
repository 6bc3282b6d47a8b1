/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the certificates and CRLs end that a depot goes by. */
#ifndef IFPP_DEPOT_EXPIRY_H
#define IFPP_DEPOT_EXPIRY_H

#include "tls.h"

#define EXPIRY_SOON_DAYS 14

typedef struct {
	const char *kind;	/* "certificate" or "crl" */
	char *file, *name;	/* name: CN of the subject, of a CRL that of the issuer */
	gint64 until;		/* Unix time, s */
} Expiry;

/**
 * expiry_read() - look into the files
 * @files: the depot's own certificate, the station CA and its CRL
 * @trust: directory of CI roots and CRLs
 *
 * A file that cannot be read has nothing that ends; tls_load() complains about it.
 *
 * Return: of Expiry, the one that ends first is the first.
 */
GPtrArray *expiry_read(const TlsFiles *files, const char *trust);

#endif
