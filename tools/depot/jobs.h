/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests are worked on by threads of their own, each with its connection to the database, so that a
 * database that hangs does not keep the server from listening and answering. Claims and first fetches
 * that come while a commit is under way share the next one.
 */
#ifndef IFPP_DEPOT_JOBS_H
#define IFPP_DEPOT_JOBS_H

#include "request.h"

typedef struct _Jobs Jobs;

typedef struct {
	const char *db, *trust;
	guint threads;
	guint lease;			/* seconds */
	guint answer_ms;		/* a request without an answer by then gets 503 */
	void (*done)(Request *request, gpointer user);	/* in any thread; request->answer is there */
	void (*all_done)(gpointer user);		/* after one or several, in the same thread */
	gpointer user;
} JobOptions;

/**
 * jobs_new() - open the database and start to work
 * @options: how
 * @error: DB_ERROR_FAILED, or what the trust directory says
 */
Jobs *jobs_new(const JobOptions *options, GError **error);
/* What has been begun is finished; all requests are answered when this returns, and later ones at once. */
void jobs_stop(Jobs *jobs);
void jobs_free(Jobs *jobs);

/* Takes a reference. @done is called once for it, perhaps before this returns. */
void jobs_push(Jobs *jobs, Request *request);

/* Answer what has waited too long. Called several times a second. */
void jobs_sweep(Jobs *jobs);

/* Read the CI roots again before the next requests. */
void jobs_reload(Jobs *jobs);

#endif
