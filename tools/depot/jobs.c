// SPDX-License-Identifier: GPL-2.0-or-later
#include "jobs.h"

#include "depot-error.h"
#include "reload.h"

/* A lock that is not given by then is given up, so that the thread is free for others. */
#define LOCK_MS 2500
/* The same for a group: then each goes alone, and only who needs what is locked waits on. */
#define GROUP_LOCK_MS 400
#define GROUP_MAX 64

struct _Jobs {
	JobOptions options;
	GPtrArray *threads;
	GThread *committer;
	GMutex lock;		/* of what follows, and of a request's done */
	GQueue open;		/* requests without an answer, the oldest first */
	GQueue queue, commits;	/* for the threads; for the committer */
	GCond queued, to_commit;
	gboolean stopped, no_more_commits, idle;	/* idle: the committer waits */
	gint generation;	/* of the CI roots; atomic */
};

typedef struct {
	Jobs *jobs;
	Worker worker;
	gint generation;
} Thread;

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

static void all_done(Jobs *jobs)
{
	jobs->options.all_done(jobs->options.user);
}

/* What cannot be read just now is tried again with the next request; serve.c tells of it. */
static void renew_trust(Thread *thread)
{
	gint generation = g_atomic_int_get(&thread->jobs->generation);

	if (generation != thread->generation && reload_trust(&thread->worker.trust, thread->jobs->options.trust, NULL))
		thread->generation = generation;
}

static void end(Thread *thread)
{
	depot_close(thread->worker.depot);
	g_clear_pointer(&thread->worker.trust, ifpp_trust_free);
	g_free(thread);
}

static gboolean is_done(Jobs *jobs, const Request *request)
{
	gboolean done;

	g_mutex_lock(&jobs->lock);
	done = request->done;
	g_mutex_unlock(&jobs->lock);
	return done;
}

/* TRUE: it was answered; FALSE: it needs a commit. */
static gboolean work_on(Thread *thread, Request *request)
{
	g_autoptr(GError) error = NULL;
	Answer answer = {};

	if (is_done(thread->jobs, request))
		return TRUE;
	renew_trust(thread);
	if (!request_work(&thread->worker, request, &answer, &error))
		answer_error(&answer, error, request->station);
	else if (!answer.status)
		return FALSE;
	finish(thread->jobs, request, &answer);
	all_done(thread->jobs);
	return TRUE;
}

/* @error: of the commit; NULL: it succeeded. */
static void answer_one(Thread *thread, Request *request, const GError *error)
{
	g_autoptr(GError) local = NULL;
	Answer answer = {};

	if (error)
		answer_error(&answer, error, request->station);
	else if (!request_answer(&thread->worker, request, &answer, &local))
		answer_error(&answer, local, request->station);
	finish(thread->jobs, request, &answer);
}

static void commit_alone(Thread *thread, Request *request)
{
	g_autoptr(GError) error = NULL;

	if (is_done(thread->jobs, request))
		return;
	request_commit(&thread->worker, &request, 1, &error);
	answer_one(thread, request, error);
	all_done(thread->jobs);
}

/* With the lock. */
static void push(Jobs *jobs, Request *request)
{
	g_queue_push_tail(&jobs->queue, request_ref(request));
	g_cond_signal(&jobs->queued);
}

/*
 * What fails together is tried again one by one, by the other threads, so that what is wrong with one is not
 * the others' misfortune.
 */
static void commit_together(Thread *thread, GPtrArray *group)
{
	Jobs *jobs = thread->jobs;

	if (request_commit(&thread->worker, (Request *const *)group->pdata, group->len, NULL)) {
		for (guint i = 0; i < group->len; i++)
			answer_one(thread, group->pdata[i], NULL);
		all_done(jobs);
		return;
	}
	g_mutex_lock(&jobs->lock);
	for (guint i = 0; i < group->len; i++) {
		Request *request = group->pdata[i];

		request->alone = TRUE;
		push(jobs, request);
	}
	g_mutex_unlock(&jobs->lock);
}

/* With the lock. TRUE: the committer is to be woken, without the lock: it would only wait for that. */
static gboolean commit_later(Jobs *jobs, Request *request)
{
	gboolean wake = jobs->idle;

	g_queue_push_tail(&jobs->commits, request_ref(request));
	jobs->idle = FALSE;
	return wake;
}

/* Some that wait for a commit; FALSE: there will be no more. */
static gboolean next_group(Jobs *jobs, GPtrArray *group)
{
	Request *request;
	gboolean more;

	g_ptr_array_set_size(group, 0);
	g_mutex_lock(&jobs->lock);
	while (!jobs->commits.length && !jobs->no_more_commits) {
		jobs->idle = TRUE;
		g_cond_wait(&jobs->to_commit, &jobs->lock);
	}
	jobs->idle = FALSE;
	more = jobs->commits.length > 0;
	while (group->len < GROUP_MAX && (request = g_queue_pop_head(&jobs->commits))) {
		if (request->done)
			request_unref(request);
		else
			g_ptr_array_add(group, request);
	}
	g_mutex_unlock(&jobs->lock);
	return more;
}

/*
 * One thread commits: while it does, the next group gathers, and what its connection has read stays true.
 * A claim comes to it at once, what may need no commit by way of the others. It does nothing else, as all wait for it.
 */
static gpointer commit_all(gpointer user)
{
	g_autoptr(GPtrArray) group = g_ptr_array_new_with_free_func((GDestroyNotify)request_unref);
	Thread *thread = user;

	while (next_group(thread->jobs, group))
		if (group->len)
			commit_together(thread, group);
	end(thread);
	return NULL;
}

static Request *next(Jobs *jobs)
{
	Request *request;

	g_mutex_lock(&jobs->lock);
	while (!jobs->queue.length && !jobs->stopped)
		g_cond_wait(&jobs->queued, &jobs->lock);
	request = g_queue_pop_head(&jobs->queue);
	g_mutex_unlock(&jobs->lock);
	return request;
}

static gpointer work(gpointer user)
{
	Thread *thread = user;
	Request *request;

	while ((request = next(thread->jobs))) {
		if (request->alone) {
			commit_alone(thread, request);
		} else if (!work_on(thread, request)) {
			gboolean wake;

			g_mutex_lock(&thread->jobs->lock);
			wake = commit_later(thread->jobs, request);
			g_mutex_unlock(&thread->jobs->lock);
			if (wake)
				g_cond_signal(&thread->jobs->to_commit);
		}
		request_unref(request);
	}
	end(thread);
	return NULL;
}

static Thread *open_thread(Jobs *jobs, guint lock_ms, GError **error)
{
	Thread *thread = g_new0(Thread, 1);

	thread->jobs = jobs;
	thread->worker.lease = jobs->options.lease;
	thread->worker.trust = ifpp_trust_new_from_dir(jobs->options.trust, error);
	thread->worker.depot = thread->worker.trust ? depot_open(jobs->options.db, TRUE, error) : NULL;
	if (thread->worker.depot && depot_limit(thread->worker.depot, lock_ms, error))
		return thread;
	end(thread);
	return NULL;
}

static gboolean start(Jobs *jobs, GError **error)
{
	Thread *thread = open_thread(jobs, GROUP_LOCK_MS, error);

	if (!thread)
		return FALSE;
	jobs->committer = g_thread_new("committer", commit_all, thread);
	for (guint i = 0; i < jobs->options.threads; i++) {
		thread = open_thread(jobs, LOCK_MS, error);
		if (!thread)
			return FALSE;
		g_ptr_array_add(jobs->threads, g_thread_new("worker", work, thread));
	}
	return TRUE;
}

Jobs *jobs_new(const JobOptions *options, GError **error)
{
	Jobs *jobs = g_new0(Jobs, 1);

	jobs->options = *options;
	jobs->threads = g_ptr_array_new();
	g_mutex_init(&jobs->lock);
	g_cond_init(&jobs->queued);
	g_cond_init(&jobs->to_commit);
	if (start(jobs, error))
		return jobs;
	jobs_free(jobs);
	return NULL;
}

static void refuse(Jobs *jobs, Request *request, const GError *error)
{
	Answer answer = {};

	answer_error(&answer, error, request->station);
	finish(jobs, request, &answer);
	all_done(jobs);
}

static void give_up(Jobs *jobs, Request *request, const char *why)
{
	g_autoptr(GError) error = g_error_new_literal(DB_ERROR, DB_ERROR_BUSY, why);

	refuse(jobs, request, error);
}

void jobs_stop(Jobs *jobs)
{
	Request *left;

	g_mutex_lock(&jobs->lock);
	jobs->stopped = TRUE;
	g_cond_broadcast(&jobs->queued);
	g_mutex_unlock(&jobs->lock);
	for (guint i = 0; i < jobs->threads->len; i++)
		g_thread_join(jobs->threads->pdata[i]);
	g_ptr_array_set_size(jobs->threads, 0);
	g_mutex_lock(&jobs->lock);
	jobs->no_more_commits = TRUE;
	g_cond_signal(&jobs->to_commit);
	g_mutex_unlock(&jobs->lock);
	if (jobs->committer)
		g_thread_join(g_steal_pointer(&jobs->committer));
	while ((left = g_queue_pop_head(&jobs->queue))) {
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
	g_cond_clear(&jobs->queued);
	g_cond_clear(&jobs->to_commit);
	g_mutex_clear(&jobs->lock);
	g_free(jobs);
}

void jobs_push(Jobs *jobs, Request *request)
{
	g_autoptr(GError) error = NULL;
	gboolean claim = request->resource == CLAIMS && request_claim(request, jobs->options.lease, &error);
	gboolean stopped, wake = FALSE;

	request->since = g_get_monotonic_time();
	g_mutex_lock(&jobs->lock);
	g_queue_push_tail(&jobs->open, request_ref(request));
	stopped = jobs->stopped;
	if (!stopped && claim)
		wake = commit_later(jobs, request);
	else if (!stopped && !error)
		push(jobs, request);
	g_mutex_unlock(&jobs->lock);
	if (wake)
		g_cond_signal(&jobs->to_commit);
	if (stopped)
		give_up(jobs, request, "the depot is being stopped");
	else if (error)
		refuse(jobs, request, error);
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
