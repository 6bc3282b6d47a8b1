// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <sys/random.h>

#include "ask.h"
#include "clock.h"
#include "error.h"
#include "job.h"
#include "start.h"
#include "task.h"

#define START_TIME_MS 60000	/* no request sets a deadline here */

static void on_start_locked(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Chip *chip = g_task_get_task_data(task);
	g_autoptr(JobReply) reply = job_run_finish(res);

	if (reply->status)
		g_warning("%s: locked, but its receipt could not be had: %s", chip->name,
			  ifpp_error_name(reply->reason));
	if (chip->now_valid)
		ifppd_task_done(task);
	else
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP,
						  "%s: the chip does not answer any more", chip->name));
}

static void on_start_asked(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Chip *chip = g_task_get_task_data(task);
	g_autoptr(GBytes) bytes = NULL;
	GError *error = NULL;
	guint8 challenge[16];

	if (!ask_finish(res, &error)) {
		ifppd_task_fail(task, error);
		return;
	}
	clock_keep(chip->trust, chip->state_dir);
	if (chip->now->state != CHIP_LOCKED || chip->proven) {
		ifppd_task_done(task);
		return;
	}
	/* What the chip says is not signed. Only a lock that was begun here is begun again, to have its receipt. */
	if (!outbox_lock_begun(chip->outbox)) {
		g_warning("%s: says that it is locked, and no lock was begun here: it is loaded with nothing; "
			  "'ifppctl lock' locks it and stores its receipt", chip->name);
		ifppd_task_done(task);
		return;
	}
	if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge)) {
		ifppd_task_done(task);
		return;
	}
	bytes = g_bytes_new(challenge, sizeof(challenge));
	job_run_async(chip, IFPP_REQ_LOCK, bytes, START_TIME_MS, g_task_get_cancellable(task), on_start_locked, task);
}

void start_async(Chip *chip, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	ask_async(chip, TRUE, NULL, g_get_monotonic_time() + START_TIME_MS * 1000, cancellable, on_start_asked,
		  ifppd_task_new(chip, NULL, cancellable, cb, user));
}

gboolean start_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}
