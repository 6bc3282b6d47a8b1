// SPDX-License-Identifier: GPL-2.0-or-later
#include "jobs.h"

#include <stdio.h>

#include "depot-error.h"

/* A lock that is not given by then is given up, so that the thread is free for others. */
#define LOCK_MS 2500

struct _Jobs {
	JobOptions options;
	GPtrArray *threads;
	GAsyncQueue *queue;
	GMutex lock;		/* of what follows, and of a request's done */
	GQueue open;		/* requests without an answer, the oldest first */
	gboolean stopped;
	gint generation;	/* of the CI roots; atomic */
};

typedef struct {
	Jobs *jobs;
	Worker worker;
	gint generation;
} Thread;

/* In the queue: the end. */
static int the_end;

/* TRUE: it is the caller who answers. */
static gboolean take_answer(Jobs *jobs, Request *request)
{
	gboolean mine;

	g_mutex_lock(&jobs->lock);
	mine = !request->done;
	request->done = TRUE;
	if (mine)
		g_queue_remove(&jobs->open, request);
	g_mutex_unlock(&jobs->lock);
	return mine;
}

static void finish(Jobs *jobs, Request *request, Answer *answer)
{
	if (!take_answer(jobs, request)) {
		answer_clear(answer);
		return;
	}
	request->answer = *answer;
	jobs->options.done(request, jobs->options.user);
	request_unref(request);
}

static void renew_trust(Thread *thread)
{
	gint generation = g_atomic_int_get(&thread->jobs->generation);
	g_autoptr(GError) error = NULL;
	IfppTrust *trust;

	if (generation == thread->generation)
		return;
	thread->generation = generation;
	trust = ifpp_trust_new_from_dir(thread->jobs->options.trust, &error);
	if (!trust) {
		fprintf(stderr, "ifpp-depot: %s; the CI roots from before stay in use\n", error->message);
		return;
	}
	ifpp_trust_free(thread->worker.trust);
	thread->worker.trust = trust;
}

static void work_on(Thread *thread, Request *request)
{
	g_autoptr(GError) error = NULL;
	Answer answer = {};

	renew_trust(thread);
	if (!request_work(&thread->worker, request, &answer, &error))
		answer_error(&answer, error, request->station);
	finish(thread->jobs, request, &answer);
}

static gpointer work(gpointer user)
{
	Thread *thread = user;
	gpointer next;

	while ((next = g_async_queue_pop(thread->jobs->queue)) != &the_end) {
		g_autoptr(Request) request = next;
		gboolean late;

		g_mutex_lock(&thread->jobs->lock);
		late = request->done;
		g_mutex_unlock(&thread->jobs->lock);
		if (!late)
			work_on(thread, request);
	}
	depot_close(thread->worker.depot);
	g_clear_pointer(&thread->worker.trust, ifpp_trust_free);
	g_free(thread);
	return NULL;
}

static gboolean start(Jobs *jobs, GError **error)
{
	Thread *thread = g_new0(Thread, 1);

	thread->jobs = jobs;
	thread->worker.lease = jobs->options.lease;
	thread->worker.trust = ifpp_trust_new_from_dir(jobs->options.trust, error);
	thread->worker.depot = thread->worker.trust ? depot_open(jobs->options.db, TRUE, error) : NULL;
	if (!thread->worker.depot || !depot_limit(thread->worker.depot, LOCK_MS, error)) {
		depot_close(thread->worker.depot);
		g_clear_pointer(&thread->worker.trust, ifpp_trust_free);
		g_free(thread);
		return FALSE;
	}
	g_ptr_array_add(jobs->threads, g_thread_new("worker", work, thread));
	return TRUE;
}

Jobs *jobs_new(const JobOptions *options, GError **error)
{
	Jobs *jobs = g_new0(Jobs, 1);

	jobs->options = *options;
	jobs->threads = g_ptr_array_new();
	jobs->queue = g_async_queue_new();
	g_mutex_init(&jobs->lock);
	g_queue_init(&jobs->open);
	for (guint i = 0; i < options->threads; i++) {
		if (!start(jobs, error)) {
			jobs_free(jobs);
			return NULL;
		}
	}
	return jobs;
}

static void give_up(Jobs *jobs, Request *request, const char *why)
{
	g_autoptr(GError) error = NULL;
	Answer answer = {};

	g_set_error_literal(&error, DB_ERROR, DB_ERROR_BUSY, why);
	answer_error(&answer, error, request->station);
	finish(jobs, request, &answer);
}

void jobs_stop(Jobs *jobs)
{
	gpointer left;

	g_mutex_lock(&jobs->lock);
	jobs->stopped = TRUE;
	g_mutex_unlock(&jobs->lock);
	for (guint i = 0; i < jobs->threads->len; i++)
		g_async_queue_push(jobs->queue, &the_end);
	for (guint i = 0; i < jobs->threads->len; i++)
		g_thread_join(jobs->threads->pdata[i]);
	g_ptr_array_set_size(jobs->threads, 0);
	while ((left = g_async_queue_try_pop(jobs->queue))) {
		give_up(jobs, left, "the depot is being stopped");
		request_unref(left);
	}
}

void jobs_free(Jobs *jobs)
{
	if (!jobs)
		return;
	jobs_stop(jobs);
	g_ptr_array_unref(jobs->threads);
	g_async_queue_unref(jobs->queue);
	g_mutex_clear(&jobs->lock);
	g_free(jobs);
}

void jobs_push(Jobs *jobs, Request *request)
{
	gboolean stopped;

	request->since = g_get_monotonic_time();
	g_mutex_lock(&jobs->lock);
	g_queue_push_tail(&jobs->open, request_ref(request));
	stopped = jobs->stopped;
	if (!stopped)
		g_async_queue_push(jobs->queue, request_ref(request));
	g_mutex_unlock(&jobs->lock);
	if (stopped)
		give_up(jobs, request, "the depot is being stopped");
}

void jobs_sweep(Jobs *jobs)
{
	gint64 before = g_get_monotonic_time() - (gint64)jobs->options.answer_ms * 1000;

	for (;;) {
		Request *request;

		g_mutex_lock(&jobs->lock);
		request = g_queue_peek_head(&jobs->open);
		if (request && request->since < before)
			request_ref(request);
		else
			request = NULL;
		g_mutex_unlock(&jobs->lock);
		if (!request)
			return;
		give_up(jobs, request, "the database does not answer in time");
		request_unref(request);
	}
}

void jobs_reload(Jobs *jobs)
{
	g_atomic_int_inc(&jobs->generation);
}
