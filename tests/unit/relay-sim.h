/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plays the driver for one chip over a SEQPACKET socket: same records, and the driver's own
 * ledger (driver/core.c) decides what is submitted and what a report may say.
 */
#ifndef RELAY_SIM_H
#define RELAY_SIM_H

#include <glib.h>
#include "../../driver/core.h"

typedef struct {
	int listen_fd;
	int fd;				/* of the daemon, -1: none */
	guint64 next_id;
	guint tampers;			/* reports that contradicted the record */
	guint stale;			/* replies nobody waited for */
	struct ifpp_record rec;		/* outlives the daemon, as in the driver */
	struct ifpp_key keys[IFPP_KEYS_MAX];
	struct ifpp_req req;		/* in flight */
	struct ifpp_pkg_hdr hdr;	/* LOAD */
} RelaySim;

typedef struct {
	int status;			/* as the client sees it */
	struct ifpp_reply reply;
	GBytes *data;			/* PIR or receipt */
} RelaySimResult;

RelaySim *relay_sim_new(const char *path);
void relay_sim_free(RelaySim *sim);
/*
 * Take the next daemon's attach: 0, -ETIMEDOUT, or what the driver would answer it. -ENODEV when
 * the child @pid, if not NULL, ends before it attaches; the caller reaps it.
 */
int relay_sim_attach_of(RelaySim *sim, const GPid *pid, guint timeout_ms);
/* Hand a request to the daemon: 0, or the errno the driver would give the client instead. */
int relay_sim_submit(RelaySim *sim, guint32 type, const void *data, gsize len, guint timeout_ms);
/* A package past all checks of the driver, as if it had none. */
void relay_sim_force(RelaySim *sim, GBytes *package, guint timeout_ms);
/* Wait for its reply: 0, -ETIMEDOUT, or -ENODEV when the daemon is gone. */
int relay_sim_wait(RelaySim *sim, RelaySimResult *result, guint timeout_ms);
void relay_sim_result_clear(RelaySimResult *result);
/* The daemon is gone, or shall be. */
void relay_sim_hangup(RelaySim *sim);

#endif
