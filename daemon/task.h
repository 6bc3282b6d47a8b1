/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one way in which the daemon waits: a GTask carries the state of a step machine, each answer sets the next step.
 * Whoever holds the task at a time owns its reference; the last step returns a result and gives it up.
 */
#ifndef IFPPD_TASK_H
#define IFPPD_TASK_H

#include <gio/gio.h>

/**
 * ifppd_task_new() - a task whose result counts even if it was cancelled meanwhile
 * @data: state of its machine, or NULL
 * @destroy: for @data, or NULL
 * @cancellable: cuts the step that waits; that step's error ends the machine
 * @cb: called with a NULL source when it ends
 * @user: for @cb
 *
 * An answer that has come is never replaced by "cancelled": what a chip signed must not get lost so.
 */
static inline GTask *ifppd_task_new(gpointer data, GDestroyNotify destroy, GCancellable *cancellable,
				    GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);

	g_task_set_check_cancellable(task, FALSE);
	g_task_set_task_data(task, data, destroy);
	return task;
}

/* Takes @task. */
static inline void ifppd_task_done(GTask *task)
{
	g_task_return_boolean(task, TRUE);
	g_object_unref(task);
}

/* Takes @task and @error. */
static inline void ifppd_task_fail(GTask *task, GError *error)
{
	g_task_return_error(task, error);
	g_object_unref(task);
}

#endif
