// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include "add-eim.h"
#include "eim.h"
#include "enable.h"
#include "finish.h"
#include "task.h"

#define SLOT_TIME (60 * G_USEC_PER_SEC)

typedef struct {
	Chip *chip;
	const IfppPolicy *policy;
} Finish;

gboolean finish_read_policy(const char *given, IfppPolicy *policy, GError **error)
{
	*policy = (IfppPolicy)IFPP_POLICY_DEFAULT;
	return ifpp_policy_find(given, policy, error);
}

gboolean finish_wanted(const IfppPolicy *policy)
{
	return policy->eim || policy->enable || policy->switch_back;
}

static void on_slot(GObject *source, GAsyncResult *res, gpointer user)
{
	Finish *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (modem_switch_slot_finish(res, &error))
		g_message("%s: slot %u is the active one again", ctx->chip->name, ctx->policy->switch_back);
	else
		g_warning("%s: slot %u could not be made the active one: %s", ctx->chip->name, ctx->policy->switch_back,
			  error->message);
	ifppd_task_done(user);
}

static void slot_back(GTask *task)
{
	Finish *ctx = g_task_get_task_data(task);

	if (ctx->policy->switch_back)
		modem_switch_slot_async(ctx->chip->modem, ctx->policy->switch_back, g_get_monotonic_time() + SLOT_TIME,
					g_task_get_cancellable(task), on_slot, task);
	else
		ifppd_task_done(task);
}

static void on_enable(GObject *source, GAsyncResult *res, gpointer user)
{
	Finish *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL;

	if (enable_finish(res, &error))
		g_message("%s: the profile %s is enabled", ctx->chip->name, ctx->policy->enable);
	else
		g_warning("%s: the profile %s could not be enabled: %s", ctx->chip->name, ctx->policy->enable, error->message);
	slot_back(user);
}

static void use_profile(GTask *task)
{
	Finish *ctx = g_task_get_task_data(task);

	if (ctx->policy->enable)
		enable_async(ctx->chip, ctx->policy->enable, g_task_get_cancellable(task), on_enable, task);
	else
		slot_back(task);
}

static void on_eim(GObject *source, GAsyncResult *res, gpointer user)
{
	Finish *ctx = g_task_get_task_data(user);
	g_autoptr(GError) error = NULL, disk = NULL;
	g_autofree char *name = NULL;
	IfppEim eim;

	ifpp_eim_parse(ifpp_span_bytes(ctx->policy->eim), &eim, NULL);
	name = ifpp_eim_name(&eim);
	if (add_eim_finish(res, &error))
		g_message("%s: it has the eIM %s", ctx->chip->name, name);
	else
		g_warning("%s: the eIM %s could not be put in: %s", ctx->chip->name, name, error->message);
	if (!outbox_store_eim(ctx->chip->outbox, name, ctx->policy->eim, error ? error->message : NULL, &disk))
		g_warning("%s: what became of the eIM is not noted: %s", ctx->chip->name, disk->message);
	use_profile(user);
}

void finish_async(Chip *chip, const IfppPolicy *policy, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	Finish *ctx = g_new0(Finish, 1);
	GTask *task = ifppd_task_new(ctx, g_free, cancellable, cb, user);

	ctx->chip = chip;
	ctx->policy = policy;
	if (policy->eim)
		add_eim_async(chip->modem, policy->eim, cancellable, on_eim, task);
	else
		use_profile(task);
}

void finish_end(GAsyncResult *res)
{
	g_task_propagate_boolean(G_TASK(res), NULL);
}
