/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections of stations: who is at the other end, and how long and how often it may ask. */
#ifndef IFPP_DEPOT_CONNECTIONS_H
#define IFPP_DEPOT_CONNECTIONS_H

#include <microhttpd.h>

#include "access.h"
#include "rates.h"
#include "tls.h"

typedef struct _Connections Connections;

typedef struct {
	guint max;		/* a quarter of them may have shown no certificate yet */
	guint timeout;		/* seconds for a whole request, however slowly it drips */
	Rates *rates;		/* how often a station may ask */
	AccessLog *log;
} ConnectionLimits;

Connections *connections_new(const ConnectionLimits *limits, Tls *tls);
/* After the server has ended. */
void connections_free(Connections *connections);

/* From here on this set is used, also for whoever is connected already. Takes @tls. */
void connections_reload(Connections *connections, Tls *tls);

/* For MHD_OPTION_NOTIFY_CONNECTION, _NOTIFY_COMPLETED and _HTTPS_CERT_CALLBACK2. */
void connections_notify(void *connections, struct MHD_Connection *c, void **context,
			enum MHD_ConnectionNotificationCode what);
void connections_request_ended(Connections *connections, struct MHD_Connection *c);
int connections_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
			    unsigned int *n, gnutls_ocsp_data_st **ocsp, unsigned int *n_ocsp, gnutls_privkey_t *key,
			    unsigned int *flags);

/**
 * connections_admit() - may it ask now?
 * @connections: all of them
 * @c: which
 * @station: the name in its certificate
 * @address: "host:port"
 * @error: DEPOT_ERROR_STATION, RATE
 *
 * Station and address are set as far as they are known, also if it may not. Free them.
 */
gboolean connections_admit(Connections *connections, struct MHD_Connection *c, char **station, char **address,
			   GError **error);

/* The answer that is queued now has a body: its head waits for it, and both go at once. */
void connections_body_follows(struct MHD_Connection *c);

/* A line of the log about a connection that was refused: a flood of them does not become a flood of lines. */
void connections_tell_refused(Connections *connections, const char *address, const char *station, const char *why);

/* End those that take too long. Called twice a second. */
void connections_sweep(Connections *connections);

#endif
