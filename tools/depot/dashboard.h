/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is seen of a depot: a page for people, and /metrics for Prometheus. Nothing of a single unit, and no secret. */
#ifndef IFPP_DEPOT_DASHBOARD_H
#define IFPP_DEPOT_DASHBOARD_H

#include "snapshot.h"
#include "web.h"

/**
 * dashboard_start() - serve it
 * @address: HOST:PORT
 * @snapshot: the figures; they must outlive it
 * @log: for refusals
 * @error: IFPP_ERROR_USAGE, IO, ACCESS
 */
Web *dashboard_start(const char *address, Snapshot *snapshot, AccessLog *log, GError **error);

/* Prometheus' text of the figures. */
void dashboard_metrics(Snapshot *snapshot, WebAnswer *answer);

/* A file of ours that is part of the program, or NULL. */
GBytes *dashboard_file(const char *name, GError **error);

#endif
