// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "enable.h"
#include "error.h"
#include "es10.h"
#include "task.h"

#define ENABLE_TIME (60 * G_USEC_PER_SEC)
#define CLOSE_TIME (5 * G_USEC_PER_SEC)
#define RESULT_WRONG_STATE 2	/* enabled meanwhile */
#define RESULT_CAT_BUSY 5

typedef struct {
	Modem *modem;
	Es10 *es10;
	char *name;
	gint64 deadline;
	GError *error;		/* to return once the channel is closed */
} Enable;

static void enable_free(gpointer data)
{
	Enable *enable = data;

	g_clear_pointer(&enable->es10, es10_free);
	g_clear_error(&enable->error);
	g_free(enable->name);
	g_free(enable);
}

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Enable *enable = g_task_get_task_data(task);

	/* What cannot be closed is swept away when the port is. */
	modem_channel_close_finish(res, NULL);
	if (enable->error)
		g_task_return_error(task, g_steal_pointer(&enable->error));
	else
		g_task_return_boolean(task, TRUE);
}

/* Takes @task and @error. */
static void end(GTask *task, GError *error)
{
	Enable *enable = g_task_get_task_data(task);

	enable->error = error;
	modem_channel_close_async(enable->modem, enable->deadline + CLOSE_TIME, NULL, on_closed, task);
}

static void send(GTask *task, const char *what, GByteArray *command, GAsyncReadyCallback cb)
{
	Enable *enable = g_task_get_task_data(task);

	es10_send_async(enable->es10, what, (IfppSpan){ command->data, command->len }, ES10_COMMAND,
			enable->deadline,
			g_task_get_cancellable(task), cb, task);
	g_byte_array_unref(command);
}

static gboolean check_enabled(GBytes *response, GError **error)
{
	IfppTlv whole, result;
	guint64 code;

	if (!es10_whole(response, 0xBF31, "EnableProfile", &whole, error))
		return FALSE;
	if (!ifpp_tlv_find(whole.value, 0x80, &result) || !ifpp_tlv_uint(&result, &code, error)) {
		g_clear_error(error);
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "EnableProfile: an answer without a result");
		return FALSE;
	}
	if (code && code != RESULT_WRONG_STATE) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "EnableProfile: the chip refuses with result %u%s",
			    (guint)code,
			    code == RESULT_CAT_BUSY ? ": it waits for the end of a REFRESH, try again" : "");
		return FALSE;
	}
	return TRUE;
}

static void on_enabled(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Enable *enable = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(enable->es10, res, &error);

	if (response)
		check_enabled(response, &error);
	end(task, error);
}

/* BF2D { A0 { E3 { 5A, 9F70, 92 }... } }. Returns FALSE without an error when it is enabled already. */
static gboolean find_profile(const char *name, GBytes *response, IfppTlv *iccid, GError **error)
{
	IfppTlv whole, list, profile, tlv;
	IfppSpan wanted = { (const guint8 *)name, strlen(name) };

	if (!es10_whole(response, 0xBF2D, "GetProfilesInfo", &whole, error))
		return FALSE;
	if (!ifpp_tlv_find(whole.value, 0xA0, &list)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetProfilesInfo: the chip refuses");
		return FALSE;
	}
	while (list.value.len) {
		if (!ifpp_tlv_next(&list.value, &profile, error))
			return FALSE;
		if (profile.tag != 0xE3 || !ifpp_tlv_find(profile.value, 0x92, &tlv) ||
		    !ifpp_span_equal(tlv.value, wanted) || !ifpp_tlv_find(profile.value, 0x5A, iccid))
			continue;
		return !ifpp_tlv_find(profile.value, 0x9F70, &tlv) || tlv.value.len != 1 || tlv.value.data[0] != 1;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "the chip has no profile with the name %s", name);
	return FALSE;
}

static void on_profiles(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Enable *enable = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(enable->es10, res, &error);
	g_autoptr(GByteArray) id = g_byte_array_new(), body = g_byte_array_new();
	GByteArray *command;
	IfppTlv iccid;

	if (!response || !find_profile(enable->name, response, &iccid, &error)) {
		end(task, error);
		return;
	}
	ifpp_tlv_put(id, 0x5A, iccid.value.data, iccid.value.len);
	ifpp_tlv_put(body, 0xA0, id->data, id->len);
	ifpp_tlv_put(body, 0x81, (const guint8[]){ 0xFF }, 1);	/* refreshFlag */
	command = g_byte_array_new();
	ifpp_tlv_put(command, 0xBF31, body->data, body->len);
	send(task, "EnableProfile", command, on_enabled);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	static const guint8 tags[] = { 0x5A, 0x9F, 0x70, 0x92 };
	GTask *task = user;
	g_autoptr(GByteArray) list = NULL;
	GByteArray *command;
	GError *error = NULL;

	if (!es10_open_finish(res, &error)) {
		end(task, error);
		return;
	}
	list = g_byte_array_new();
	ifpp_tlv_put(list, 0x5C, tags, sizeof(tags));
	command = g_byte_array_new();
	ifpp_tlv_put(command, 0xBF2D, list->data, list->len);
	send(task, "GetProfilesInfo", command, on_profiles);
}

void enable_async(Modem *modem, const char *name, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	Enable *enable = g_new0(Enable, 1);
	GTask *task = ifppd_task_new(enable, enable_free, cancellable, cb, user);

	enable->modem = modem;
	enable->es10 = es10_new(modem);
	enable->name = g_strdup(name);
	enable->deadline = g_get_monotonic_time() + ENABLE_TIME;
	es10_open_async(enable->es10, enable->deadline, cancellable, on_opened, task);
}

gboolean enable_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}
