// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include "add-eim.h"
#include "eim.h"
#include "error.h"
#include "es10.h"
#include "task.h"

#define ADD_TIME (60 * G_USEC_PER_SEC)
#define CLOSE_TIME (5 * G_USEC_PER_SEC)
#define GET_EIMS 0xBF55
#define ADD_INITIAL_EIM 0xBF57

typedef struct {
	Modem *modem;
	Es10 *es10;
	GBytes *config;
	IfppEim eim;		/* in it */
	gboolean added;		/* the chip said so; it is read back */
	gint64 deadline;
	GError *error;		/* to return once the channel is closed */
} Add;

static void add_free(gpointer data)
{
	Add *add = data;

	g_clear_pointer(&add->es10, es10_free);
	g_clear_pointer(&add->config, g_bytes_unref);
	g_clear_error(&add->error);
	g_free(add);
}

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	Add *add = g_task_get_task_data(user);

	/* What cannot be closed is swept away when the port is. */
	modem_channel_close_finish(res, NULL);
	if (add->error)
		ifppd_task_fail(user, g_steal_pointer(&add->error));
	else
		ifppd_task_done(user);
}

/* Takes @task and @error. */
static void end(GTask *task, GError *error)
{
	Add *add = g_task_get_task_data(task);

	add->error = error;
	modem_channel_close_async(add->modem, add->deadline + CLOSE_TIME, NULL, on_closed, task);
}

static void send(GTask *task, const char *what, guint32 tag, GByteArray *value, GAsyncReadyCallback cb)
{
	Add *add = g_task_get_task_data(task);
	g_autoptr(GByteArray) command = g_byte_array_new();

	ifpp_tlv_put(command, tag, value->data, value->len);
	g_byte_array_unref(value);
	es10_send_async(add->es10, what, (IfppSpan){ command->data, command->len }, ES10_COMMAND, add->deadline,
			g_task_get_cancellable(task), cb, task);
}

static void ask(GTask *task);

/* ------------------------------------------------------------------ AddInitialEim */

/* addInitialEimError, SGP.32 5.9.4 */
static const char *refusal(guint64 code)
{
	switch (code) {
	case 1:
		return "its memory has no room for it";
	case 2:
		return "it has an eIM already";
	case 3:
		return "it does not know the CI that euiccCiPKId names; ask the eIM's operator for a configuration for this "
		       "chip's CI";
	case 5:
		return "the configuration has an associationToken of its own, which only the chip may give";
	case 6:
		return "the counterValue of the configuration is out of range";
	case 7:
		return "it does not understand the configuration";
	default:
		return "it does not say why";
	}
}

/* BF57 { A0 { 84 token | 05 } | 81 error } */
static gboolean check_added(GBytes *response, GError **error)
{
	IfppTlv whole, tlv;
	guint64 code;

	if (!es10_whole(response, ADD_INITIAL_EIM, "AddInitialEim", &whole, error))
		return FALSE;
	if (ifpp_tlv_find(whole.value, 0xA0, &tlv))
		return TRUE;
	if (!ifpp_tlv_find(whole.value, 0x81, &tlv) || !ifpp_tlv_uint(&tlv, &code, NULL)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "AddInitialEim: an answer without a result");
		return FALSE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "AddInitialEim: the chip refuses with result %u: %s", (guint)code,
		    refusal(code));
	return FALSE;
}

static void on_added(GObject *source, GAsyncResult *res, gpointer user)
{
	Add *add = g_task_get_task_data(user);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(add->es10, res, &error);

	if (!response || !check_added(response, &error)) {
		end(user, error);
		return;
	}
	add->added = TRUE;
	ask(user);
}

/* ------------------------------------------------------------------ GetEimConfigurationData */

typedef enum { EIM_NONE, EIM_THERE, EIM_FAILED } Found;

/* BF55 { A0 { EimConfigurationData... } } */
static Found look(Add *add, GBytes *response, GError **error)
{
	g_autofree char *wanted = ifpp_eim_name(&add->eim), *name = NULL;
	IfppTlv whole, list, tlv;
	IfppEim eim;

	if (!es10_whole(response, GET_EIMS, "GetEimConfigurationData", &whole, error))
		return EIM_FAILED;
	if (!ifpp_tlv_find(whole.value, 0xA0, &list)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetEimConfigurationData: an answer without a list");
		return EIM_FAILED;
	}
	if (!list.value.len)
		return EIM_NONE;
	while (list.value.len) {
		if (!ifpp_tlv_next(&list.value, &tlv, error))
			return EIM_FAILED;
		if (!ifpp_eim_parse(tlv.whole, &eim, error)) {
			g_prefix_error(error, "GetEimConfigurationData: ");
			return EIM_FAILED;
		}
		if (ifpp_eim_same(&add->eim, &eim))
			return EIM_THERE;
		/* The one that is told: with the same name, else the first. */
		if (!name || ifpp_span_equal(eim.id, add->eim.id)) {
			g_free(name);
			name = ifpp_eim_name(&eim);
		}
	}
	if (g_str_equal(name, wanted))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "the chip has the eIM %s already, with other data than the policy's: "
			    "it is left as it is, and its operator has to bring it up to date (UpdateEim)", name);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "the chip has another eIM already, %s, and not %s: it is left as it "
			    "is, and only %s can hand the chip over (AddEim)", name, wanted, name);
	return EIM_FAILED;
}

/* Status words of a chip that does not know the command. */
static gboolean unknown_command(guint sw)
{
	return sw == 0x6D00 || sw == 0x6A88 || sw == 0x6A80 || sw == 0x6A86;
}

static void on_asked(GObject *source, GAsyncResult *res, gpointer user)
{
	Add *add = g_task_get_task_data(user);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(add->es10, res, &error);
	GByteArray *list, *value;

	if (!response) {
		if (unknown_command(es10_sw(add->es10))) {
			g_clear_error(&error);
			error = g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "the chip is no IoT eUICC (SGP.32), it knows no eIM; take "
					    "Eim out of the policy");
		}
		end(user, error);
		return;
	}
	switch (look(add, response, &error)) {
	case EIM_NONE:
		if (add->added) {
			end(user, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "AddInitialEim: the chip took the eIM, and does not have it"));
			return;
		}
		list = g_byte_array_new();
		value = g_byte_array_new();
		g_byte_array_append(list, add->eim.whole.data, add->eim.whole.len);
		ifpp_tlv_put(value, 0xA0, list->data, list->len);
		g_byte_array_unref(list);
		send(user, "AddInitialEim", ADD_INITIAL_EIM, value, on_added);
		break;
	case EIM_THERE:
		end(user, NULL);
		break;
	case EIM_FAILED:
		end(user, error);
		break;
	}
}

static void ask(GTask *task)
{
	send(task, "GetEimConfigurationData", GET_EIMS, g_byte_array_new(), on_asked);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	GError *error = NULL;

	if (es10_open_finish(res, &error))
		ask(user);
	else
		end(user, error);
}

void add_eim_async(Modem *modem, GBytes *config, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	Add *add = g_new0(Add, 1);
	GTask *task = ifppd_task_new(add, add_free, cancellable, cb, user);
	GError *error = NULL;

	add->modem = modem;
	add->es10 = es10_new(modem);
	add->config = g_bytes_ref(config);
	add->deadline = g_get_monotonic_time() + ADD_TIME;
	if (!ifpp_eim_parse(ifpp_span_bytes(config), &add->eim, &error)) {
		ifppd_task_fail(task, error);
		return;
	}
	es10_open_async(add->es10, add->deadline, cancellable, on_opened, task);
}

gboolean add_eim_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}
