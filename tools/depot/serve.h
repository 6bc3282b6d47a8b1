/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The depot over HTTPS, for stations with a certificate (Documentation/depot.rst). */
#ifndef IFPP_DEPOT_SERVE_H
#define IFPP_DEPOT_SERVE_H

#include <glib.h>

typedef struct {
	const char *db, *listen;	/* listen NULL: the socket that systemd hands over */
	const char *cert, *key, *client_ca, *client_crl, *trust;
	const char *proxy_from;		/* balancers that speak the PROXY protocol; NULL: there is none */
	const char *dashboard;		/* HOST:PORT of the page and /metrics; NULL: there is none */
	const char *api;		/* HOST:PORT of what other systems read with a token; NULL: there is none */
	const char *access_log;		/* file; NULL: standard error */
	gboolean refuse_stale_crl;	/* whoever a CRL out of date may have revoked is refused */
	int lease, threads, connections, rate, timeout;
} ServeOptions;

/* Serve until SIGTERM or SIGINT; SIGHUP reads certificates, CRLs and CI roots again. DB_ERROR_FAILED, IFPP_ERROR_IO, ACCESS, USAGE */
gboolean depot_serve(const ServeOptions *options, GError **error);

#endif
