/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other systems of a factory read over HTTPS with a token (packaging/openapi/ifpp-depot.yaml). It changes nothing. */
#ifndef IFPP_DEPOT_API_H
#define IFPP_DEPOT_API_H

#include "snapshot.h"
#include "web.h"

typedef struct _Api Api;

/**
 * api_start() - serve it
 * @address: HOST:PORT
 * @db: the depot's URL
 * @tls: certificate and key; taken
 * @snapshot: the figures, for /metrics; they must outlive it
 * @log: for refusals
 * @error: IFPP_ERROR_USAGE, IO, ACCESS
 */
Api *api_start(const char *address, const char *db, Tls *tls, Snapshot *snapshot, AccessLog *log, GError **error);
/* Takes @tls: new connections get it. */
void api_reload(Api *api, Tls *tls);
/* As web_sweep(). */
void api_sweep(Api *api);
/* Say on standard output where it is. */
void api_tell(Api *api);
void api_stop(Api *api);

#endif
