// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include "enable.h"
#include "finish.h"
#include "task.h"

#define SLOT_TIME (60 * G_USEC_PER_SEC)

typedef struct {
	Modem *modem;
	const char *who;
	const IfppPolicy *policy;
} Finish;

gboolean finish_read_policy(const char *given, IfppPolicy *policy, GError **error)
{
	*policy = (IfppPolicy)IFPP_POLICY_DEFAULT;
	return ifpp_policy_find(given, policy, error);
}

gboolean finish_wanted(const IfppPolicy *policy)
{
	return policy->enable || policy->switch_back;
}

static void on_slot(GObject *source, GAsyncResult *res, gpointer user)
{
	Finish *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (modem_switch_slot_finish(res, &error))
		g_message("%s: slot %u is the active one again", ctx->who, ctx->policy->switch_back);
	else
		g_warning("%s: slot %u could not be made the active one: %s", ctx->who, ctx->policy->switch_back,
			  error->message);
	ifppd_task_done(user);
}

static void slot_back(GTask *task)
{
	Finish *ctx = g_task_get_task_data(task);

	if (ctx->policy->switch_back)
		modem_switch_slot_async(ctx->modem, ctx->policy->switch_back, g_get_monotonic_time() + SLOT_TIME,
					g_task_get_cancellable(task), on_slot, task);
	else
		ifppd_task_done(task);
}

static void on_enable(GObject *source, GAsyncResult *res, gpointer user)
{
	Finish *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (enable_finish(res, &error))
		g_message("%s: the profile %s is enabled", ctx->who, ctx->policy->enable);
	else
		g_warning("%s: the profile %s could not be enabled: %s", ctx->who, ctx->policy->enable, error->message);
	slot_back(user);
}

void finish_async(Modem *modem, const char *who, const IfppPolicy *policy, GCancellable *cancellable,
		  GAsyncReadyCallback cb, gpointer user)
{
	Finish *ctx = g_new0(Finish, 1);
	GTask *task = ifppd_task_new(ctx, g_free, cancellable, cb, user);

	ctx->modem = modem;
	ctx->who = who;
	ctx->policy = policy;
	if (policy->enable)
		enable_async(modem, policy->enable, cancellable, on_enable, task);
	else
		slot_back(task);
}

void finish_end(GAsyncResult *res)
{
	g_task_propagate_boolean(G_TASK(res), NULL);
}
