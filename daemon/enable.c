// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "enable.h"
#include "error.h"
#include "es10.h"
#include "task.h"

#define ENABLE_TIME (60 * G_USEC_PER_SEC)
#define CLOSE_TIME (5 * G_USEC_PER_SEC)
#define RESULT_CAT_BUSY 5

typedef enum {
	BY_ICCID,
	BY_AID,			/* some chips want this one */
	N_WAYS,
} Way;

static const struct {
	guint32 tag;
	const char *name;
} ways[N_WAYS] = { [BY_ICCID] = { 0x5A, "ICCID" }, [BY_AID] = { 0x4F, "AID" } };

typedef struct {
	Modem *modem;
	Es10 *es10;
	char *name;
	gint64 deadline;
	Way next;		/* how it is tried next */
	GError *error;		/* of the last try; to return once the channel is closed */
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

/* Takes @task and @error, which replaces that of an earlier try. */
static void end(GTask *task, GError *error)
{
	Enable *enable = g_task_get_task_data(task);

	g_clear_error(&enable->error);
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
	if (code) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "EnableProfile: the chip refuses with result %u%s",
			    (guint)code,
			    code == RESULT_CAT_BUSY ? ": it waits for the end of a REFRESH, try again" : "");
		return FALSE;
	}
	return TRUE;
}

static void read_state(GTask *task);

/*
 * A chip that does it answers ok, and the REFRESH takes the channel away. One that refuses is asked what it did: some
 * refuse and have it enabled nonetheless, or want the other name.
 */
static void on_enabled(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Enable *enable = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(enable->es10, res, &error);

	if (response && check_enabled(response, &error)) {
		end(task, NULL);
	} else if (g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP) ||
		   g_error_matches(error, IFPP_ERROR, IFPP_ERROR_MODEM)) {
		g_message("by %s: %s. Reading what the chip has", ways[enable->next].name, error->message);
		g_clear_error(&enable->error);
		enable->error = error;
		enable->next++;
		read_state(task);
	} else {
		end(task, error);
	}
}

/* BF2D { A0 { E3 { 4F, 5A, 9F70, 92 }... } }: the profile with the @name. */
static gboolean find_profile(const char *name, GBytes *response, IfppSpan *found, GError **error)
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
		    !ifpp_span_equal(tlv.value, wanted))
			continue;
		*found = profile.value;
		return TRUE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "the chip has no profile with the name %s", name);
	return FALSE;
}

static gboolean is_enabled(IfppSpan profile)
{
	IfppTlv state;

	return ifpp_tlv_find(profile, 0x9F70, &state) && state.value.len == 1 && state.value.data[0] == 1;
}

static void try_enable(GTask *task, const IfppTlv *name)
{
	g_autoptr(GByteArray) id = g_byte_array_new(), body = g_byte_array_new();
	GByteArray *command = g_byte_array_new();

	ifpp_tlv_put(id, name->tag, name->value.data, name->value.len);
	ifpp_tlv_put(body, 0xA0, id->data, id->len);
	ifpp_tlv_put(body, 0x81, (const guint8[]){ 0xFF }, 1);	/* refreshFlag */
	ifpp_tlv_put(command, 0xBF31, body->data, body->len);
	send(task, "EnableProfile", command, on_enabled);
}

static void on_profiles(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Enable *enable = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(enable->es10, res, &error);
	IfppSpan profile;
	IfppTlv name;

	if (!response || !find_profile(enable->name, response, &profile, &error)) {
		/* A refusal says more than that the chip could not be asked about it. */
		if (enable->error)
			g_clear_error(&error);
		end(task, error ? error : g_steal_pointer(&enable->error));
		return;
	}
	if (is_enabled(profile)) {
		g_clear_error(&enable->error);
		end(task, NULL);
		return;
	}
	while (enable->next < N_WAYS && !ifpp_tlv_find(profile, ways[enable->next].tag, &name))
		enable->next++;
	if (enable->next < N_WAYS)
		try_enable(task, &name);
	else if (enable->error)
		end(task, g_steal_pointer(&enable->error));
	else
		end(task, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "GetProfilesInfo: the profile %s has neither ICCID nor AID",
				      enable->name));
}

static void read_state(GTask *task)
{
	static const guint8 tags[] = { 0x4F, 0x5A, 0x9F, 0x70, 0x92 };
	g_autoptr(GByteArray) list = g_byte_array_new();
	GByteArray *command = g_byte_array_new();

	ifpp_tlv_put(list, 0x5C, tags, sizeof(tags));
	ifpp_tlv_put(command, 0xBF2D, list->data, list->len);
	send(task, "GetProfilesInfo", command, on_profiles);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;

	if (es10_open_finish(res, &error))
		read_state(user);
	else
		end(user, error);
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
