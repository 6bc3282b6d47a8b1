/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A request of a station, apart from its connection: whoever works on it needs nothing else. */
#ifndef IFPP_DEPOT_REQUEST_H
#define IFPP_DEPOT_REQUEST_H

#include <x509.h>

#include "answer.h"
#include "depot.h"

typedef enum { CLAIMS, CLAIM, PACKAGE, RESULT, CHIP, NOTES, STATUS, HEALTH, NOTHING, N_RESOURCES } Resource;
extern const char *const request_resource_names[N_RESOURCES];

typedef struct {
	gatomicrefcount refs;
	char *method, *path, *station, *address;
	char *range, *if_range, *if_none;	/* headers, or NULL */
	Resource resource;
	const char *name;			/* last part of the path, if the resource has one */
	GByteArray *body;
	gsize max;				/* bytes that the body may have */
	gboolean too_large;
	gint64 since;				/* monotonic, us: when it was there whole */
	/* What follows is for those who work on it. */
	gboolean done, alone;
	Answer answer;
	DepotTake take;				/* what request_work() leaves to request_commit() */
	/* Of who waits for the answer. */
	GMutex lock;
	GCond change;
	gboolean answered;
} Request;

Request *request_new(const char *method, const char *path);
Request *request_ref(Request *request);
void request_unref(Request *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_unref)

/* Sleep until request_answered() was called: then @request->answer is there. */
void request_wait(Request *request);
void request_answered(Request *request);

/* DEPOT_ERROR_TOO_LARGE; always FALSE. */
gboolean request_too_large(GError **error);

/* What one thread needs to work on requests. */
typedef struct {
	Depot *depot;
	IfppTrust *trust;
	guint lease;	/* seconds */
} Worker;

/**
 * request_claim() - read a claim
 * @request: of CLAIMS, by a station that may ask
 * @lease: seconds
 * @error: DEPOT_ERROR_INPUT, METHOD
 *
 * It needs no database: what is left is for request_commit().
 */
gboolean request_claim(Request *request, guint lease, GError **error);

/**
 * request_work() - do what is asked
 * @worker: with what
 * @request: of anything but CLAIMS, by a station that may ask
 * @answer: filled; without a status: what is left is for request_commit()
 * @error: DEPOT_ERROR, DB_ERROR
 */
gboolean request_work(Worker *worker, Request *request, Answer *answer, GError **error);

/**
 * request_commit() - the claims and first fetches of several requests, in one transaction
 * @worker: with what
 * @requests: which
 * @n: how many
 * @error: DB_ERROR: nothing was done for any of them
 *
 * TRUE: request_answer() answers each.
 */
gboolean request_commit(Worker *worker, Request *const *requests, guint n, GError **error);
/* After request_commit(): what came of this one. */
gboolean request_answer(Worker *worker, Request *request, Answer *answer, GError **error);

#endif
