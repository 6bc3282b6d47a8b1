// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "connectivity.h"
#include "error.h"
#include "policy.h"
#include "task.h"

#define END_TIME (10 * G_USEC_PER_SEC)	/* kept for its end: channel, command, channel */
#define TICK_MS 200

typedef struct {
	Chip *chip;
	guint8 iccid[10];
	char name[21];		/* the same for the log */
	guint seconds;
	gint64 deadline;
	gint64 until;		/* of the wait; 0: the test has not begun, or is to end */
	gboolean ending;
	gboolean failed;	/* told */
} Test;

guint connectivity_wanted(Chip *chip)
{
	g_auto(IfppPolicy) policy = IFPP_POLICY_DEFAULT;
	const char *why = NULL;

	/* A policy that makes no sense decides nothing. */
	if (!ifpp_policy_find(chip->policy, &policy, NULL) || !policy.test)
		return 0;
	if (!chip->codec->has_test(chip->now))
		why = "the chip does not offer it";
	else if (!chip->now->keys->len)
		why = "no one-time key is left";
	if (!why)
		return policy.test;
	g_message("%s: no test of connectivity, which Test= in the policy asks for: %s", chip->name, why);
	return 0;
}

static void step(GTask *task);

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	Test *test = g_task_get_task_data(user);

	/* The card was reset: what cannot be closed is gone, or is swept before the next channel is opened. */
	modem_channel_close_finish(res, NULL);
	if (test->ending && !test->failed)
		g_message("%s: the test of profile %s is over", test->chip->name, test->name);
	if (test->ending)
		ifppd_task_done(user);
	else
		step(user);
}

static void close_channel(GTask *task)
{
	Test *test = g_task_get_task_data(task);

	modem_channel_close_async(test->chip->modem, test->deadline, NULL, on_closed, task);
}

/* Takes @error. A test that has not begun need not be ended. */
static void failed(GTask *task, GError *error)
{
	Test *test = g_task_get_task_data(task);

	g_warning("%s: the test of profile %s could not be %s: %s%s", test->chip->name, test->name,
		  test->ending ? "ended" : "begun", error->message,
		  test->ending ? ". The chip ends it by itself" : "");
	g_error_free(error);
	test->failed = test->ending = TRUE;
	close_channel(task);
}

static void on_answer(GObject *source, GAsyncResult *res, gpointer user)
{
	Test *test = g_task_get_task_data(user);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(test->chip->es10, res, &error);

	if (!response || !test->chip->codec->parse_test(response, &error)) {
		failed(user, error);
		return;
	}
	if (!test->ending) {
		test->until = MIN(g_get_monotonic_time() + test->seconds * G_USEC_PER_SEC, test->deadline - END_TIME);
		g_message("%s: profile %s is enabled for a test of %u seconds", test->chip->name, test->name,
			  test->seconds);
	}
	close_channel(user);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	Test *test = g_task_get_task_data(user);
	GError *error = NULL;

	if (!es10_open_finish(res, &error)) {
		failed(user, error);
		return;
	}
	/* The chip's own time is longer than ours: it is there for what may happen to us. */
	chip_send(test->chip, user, "TestProfile",
		  test->chip->codec->test(test->ending ? 0 : test->seconds + END_TIME / G_USEC_PER_SEC, test->iccid),
		  test->deadline, on_answer);
}

static gboolean on_tick(gpointer user)
{
	GTask *task = user;
	Test *test = g_task_get_task_data(task);

	if (g_get_monotonic_time() < test->until && !g_cancellable_is_cancelled(g_task_get_cancellable(task)))
		return G_SOURCE_CONTINUE;
	test->until = 0;
	test->ending = TRUE;
	step(task);
	return G_SOURCE_REMOVE;
}

static void step(GTask *task)
{
	Test *test = g_task_get_task_data(task);

	if (test->until)
		g_timeout_add(TICK_MS, on_tick, task);
	else
		es10_open_async(test->chip->es10, test->deadline, g_task_get_cancellable(task), on_opened, task);
}

void connectivity_test_async(Chip *chip, const guint8 iccid[10], guint seconds, gint64 deadline, GCancellable *cancellable,
			     GAsyncReadyCallback cb, gpointer user)
{
	Test *test = g_new0(Test, 1);
	GTask *task = ifppd_task_new(test, g_free, cancellable, cb, user);

	test->chip = chip;
	memcpy(test->iccid, iccid, sizeof(test->iccid));
	chip_iccid_name(chip, iccid, test->name);
	test->seconds = seconds;
	test->deadline = deadline;
	if (deadline - g_get_monotonic_time() > 2 * END_TIME) {
		step(task);
		return;
	}
	g_warning("%s: no time is left for a test of profile %s", chip->name, test->name);
	ifppd_task_done(task);
}

void connectivity_test_finish(GAsyncResult *res)
{
	g_task_propagate_boolean(G_TASK(res), NULL);
}
