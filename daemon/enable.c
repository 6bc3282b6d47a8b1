// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "enable.h"
#include "error.h"
#include "euicc-data.h"
#include "task.h"

#define ENABLE_TIME (60 * G_USEC_PER_SEC)
#define CLOSE_TIME (5 * G_USEC_PER_SEC)
#define VERIFY_TRIES 20
#define VERIFY_PAUSE_MS 1000
#define RESULT_CAT_BUSY 5

typedef enum {
	AT_ONCE,		/* ES10b ImmediateEnable, SGP.32 5.9.15: what was loaded last, whatever it is called */
	BY_ICCID,		/* ES10c EnableProfile */
	BY_AID,			/* some chips want this one */
	N_WAYS,
} Way;

static const struct {
	guint32 command;
	guint32 id;		/* of the profile, in it */
	const char *name, *how;
} ways[N_WAYS] = {
	[AT_ONCE] = { 0xBF5A, 0, "ImmediateEnable", "at once" },
	[BY_ICCID] = { 0xBF31, 0x5A, "EnableProfile", "by ICCID" },
	[BY_AID] = { 0xBF31, 0x4F, "EnableProfile", "by AID" },
};

typedef struct {
	Chip *chip;
	Es10 *es10;
	char *name;
	gint64 deadline;
	guint profiles;		/* in the chip */
	Way next;		/* how it is tried next */
	gboolean verifying;	/* the chip says that it is enabled */
	guint looks;		/* since then */
	gboolean ended;
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

static void on_opened(GObject *source, GAsyncResult *res, gpointer user);

static gboolean on_pause(gpointer user)
{
	Enable *enable = g_task_get_task_data(user);

	es10_open_async(enable->es10, enable->deadline, g_task_get_cancellable(user), on_opened, user);
	return G_SOURCE_REMOVE;
}

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Enable *enable = g_task_get_task_data(task);

	/* What cannot be closed is swept away when the port is; a REFRESH has closed it for us. */
	modem_channel_close_finish(res, NULL);
	if (!enable->ended)
		g_timeout_add(enable->looks ? VERIFY_PAUSE_MS : 0, on_pause, g_steal_pointer(&task));
	else if (enable->error)
		g_task_return_error(task, g_steal_pointer(&enable->error));
	else
		g_task_return_boolean(task, TRUE);
}

static void close_channel(GTask *task)
{
	Enable *enable = g_task_get_task_data(task);

	modem_channel_close_async(enable->chip->modem, enable->deadline + CLOSE_TIME, NULL, on_closed, task);
}

/* Takes @task and @error, which replaces that of an earlier try. */
static void end(GTask *task, GError *error)
{
	Enable *enable = g_task_get_task_data(task);

	g_clear_error(&enable->error);
	enable->error = error;
	enable->ended = TRUE;
	close_channel(task);
}

/* It says that the profile is enabled, and may be in the middle of its REFRESH: read on a channel of its own. */
static void verify(GTask *task)
{
	Enable *enable = g_task_get_task_data(task);

	g_clear_error(&enable->error);
	enable->verifying = TRUE;
	close_channel(task);
}

/* Takes @task and @error. */
static void verify_again(GTask *task, GError *error)
{
	Enable *enable = g_task_get_task_data(task);

	if (++enable->looks < VERIFY_TRIES && !g_error_matches(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE) &&
	    !g_cancellable_is_cancelled(g_task_get_cancellable(task)) &&
	    g_get_monotonic_time() + VERIFY_PAUSE_MS * 1000 < enable->deadline) {
		g_info("%s: %s; once more", enable->chip->name, error->message);
		g_error_free(error);
		close_channel(task);
		return;
	}
	g_prefix_error(&error, "the chip says that it is, and that cannot be verified: ");
	end(task, error);
}

static void send(GTask *task, const char *what, GByteArray *command, GAsyncReadyCallback cb)
{
	Enable *enable = g_task_get_task_data(task);

	es10_send_async(enable->es10, what, (IfppSpan){ command->data, command->len }, ES10_COMMAND,
			enable->deadline,
			g_task_get_cancellable(task), cb, task);
	g_byte_array_unref(command);
}

static const char *result_text(Way way, guint64 code)
{
	if (code == RESULT_CAT_BUSY)
		return ": it waits for the end of a REFRESH, try again";
	if (way == AT_ONCE && code == 1)
		return ": it is not configured";
	return way == AT_ONCE && code == 4 ? ": no profile was loaded since power-up" : "";
}

/* BF31 or BF5A { 80 result } */
static gboolean check_enabled(Way way, GBytes *response, GError **error)
{
	IfppTlv whole, result;
	guint64 code;

	if (!es10_whole(response, ways[way].command, ways[way].name, &whole, error))
		return FALSE;
	if (!ifpp_tlv_find(whole.value, 0x80, &result) || !ifpp_tlv_uint(&result, &code, NULL)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "%s: an answer without a result", ways[way].name);
		return FALSE;
	}
	if (code)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "%s: the chip refuses with result %u%s", ways[way].name,
			    (guint)code, result_text(way, code));
	return !code;
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

	if (response && check_enabled(enable->next, response, &error)) {
		g_message("%s: it took %s (%s)", enable->chip->name, ways[enable->next].name, ways[enable->next].how);
		verify(task);
	} else if (g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP) ||
		   g_error_matches(error, IFPP_ERROR, IFPP_ERROR_MODEM)) {
		g_message("%s: %s. Reading what the chip has", ways[enable->next].how, error->message);
		g_clear_error(&enable->error);
		enable->error = error;
		enable->next++;
		read_state(task);
	} else {
		end(task, error);
	}
}

/* BF2D { A0 { E3 { 4F, 5A, 9F70, 92 }... } }: the profile with the name; the first one, if there are more. */
static gboolean find_profile(Enable *enable, GBytes *response, IfppSpan *found, GError **error)
{
	IfppSpan wanted = { (const guint8 *)enable->name, strlen(enable->name) };
	IfppTlv whole, list, profile, tlv;

	if (!es10_whole(response, 0xBF2D, "GetProfilesInfo", &whole, error))
		return FALSE;
	if (!ifpp_tlv_find(whole.value, 0xA0, &list)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetProfilesInfo: the chip refuses");
		return FALSE;
	}
	found->data = NULL;
	for (enable->profiles = 0; list.value.len; enable->profiles++) {
		if (!ifpp_tlv_next(&list.value, &profile, error))
			return FALSE;
		if (!found->data && profile.tag == 0xE3 && ifpp_tlv_find(profile.value, 0x92, &tlv) &&
		    ifpp_span_equal(tlv.value, wanted))
			*found = profile.value;
	}
	if (found->data)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "the chip has no profile with the name %s", enable->name);
	return FALSE;
}

static gboolean is_enabled(IfppSpan profile)
{
	IfppTlv state;

	return ifpp_tlv_find(profile, 0x9F70, &state) && state.value.len == 1 && state.value.data[0] == 1;
}

/* Is there a profile of this chip that can be enabled so? Only where it can be no other one is it enabled at once. */
static gboolean way_is_open(Enable *enable, Way way, IfppSpan profile, IfppTlv *name)
{
	if (way == AT_ONCE)
		return enable->profiles == 1 && euicc_data_iot(enable->chip);
	return ifpp_tlv_find(profile, ways[way].id, name);
}

static void try_enable(GTask *task, const IfppTlv *name)
{
	static const guint8 refresh = 0xFF;
	Enable *enable = g_task_get_task_data(task);
	Way way = enable->next;
	g_autoptr(GByteArray) id = g_byte_array_new(), body = g_byte_array_new();
	GByteArray *command = g_byte_array_new();

	if (way == AT_ONCE) {
		ifpp_tlv_put(body, 0x80, &refresh, 1);
	} else {
		ifpp_tlv_put(id, name->tag, name->value.data, name->value.len);
		ifpp_tlv_put(body, 0xA0, id->data, id->len);
		ifpp_tlv_put(body, 0x81, &refresh, 1);
	}
	ifpp_tlv_put(command, ways[way].command, body->data, body->len);
	send(task, ways[way].name, command, on_enabled);
}

/* No way is left. What an IPA cannot do its eIM can. */
static GError *no_way(Enable *enable)
{
	GError *error = g_steal_pointer(&enable->error);

	if (!error)
		return g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "GetProfilesInfo: the profile %s has neither ICCID nor AID",
				   enable->name);
	if (euicc_data_iot(enable->chip))
		g_prefix_error(&error, "its eIM may have to do it, there are %u profiles in this IoT eUICC: ", enable->profiles);
	return error;
}

static void on_profiles(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Enable *enable = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(enable->es10, res, &error);
	IfppSpan profile;
	IfppTlv name = { 0 };

	if (!response || !find_profile(enable, response, &profile, &error)) {
		if (enable->verifying) {
			verify_again(task, error);
			return;
		}
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
	if (enable->verifying) {
		verify_again(task, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "GetProfilesInfo: the profile is disabled"));
		return;
	}
	while (enable->next < N_WAYS && !way_is_open(enable, enable->next, profile, &name))
		enable->next++;
	if (enable->next < N_WAYS)
		try_enable(task, &name);
	else
		end(task, no_way(enable));
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
	Enable *enable = g_task_get_task_data(user);
	GError *error = NULL;

	if (es10_open_finish(res, &error))
		read_state(user);
	else if (enable->verifying)
		verify_again(user, error);
	else
		end(user, error);
}

void enable_async(Chip *chip, const char *name, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	Enable *enable = g_new0(Enable, 1);
	GTask *task = ifppd_task_new(enable, enable_free, cancellable, cb, user);

	enable->chip = chip;
	enable->es10 = es10_new(chip->modem);
	enable->name = g_strdup(name);
	enable->deadline = g_get_monotonic_time() + ENABLE_TIME;
	es10_open_async(enable->es10, enable->deadline, cancellable, on_opened, task);
}

gboolean enable_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}
