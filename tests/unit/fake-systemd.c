// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake-systemd.h"

struct _FakeSystemd {
	char *dir;
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	GAsyncQueue *ready;	/* its address */
};

static FakeSystemdAnswer the_answer;

static GVariant *body_of(GDBusConnection *bus, const char *member)
{
	if (g_str_equal(member, "Hello"))
		return g_variant_new("(s)", ":1.1");
	if (g_str_equal(member, "GetNameOwner"))
		return g_variant_new("(s)", FAKE_SYSTEMD_NAME);
	return the_answer(bus, member);
}

static GDBusMessage *on_message(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer user)
{
	g_autoptr(GDBusMessage) reply = NULL;
	GVariant *body;

	if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
		return message;
	reply = g_dbus_message_new_method_reply(message);
	g_dbus_message_set_sender(reply, FAKE_SYSTEMD_NAME);
	body = body_of(bus, g_dbus_message_get_member(message));
	if (body)
		g_dbus_message_set_body(reply, body);
	g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
	g_object_unref(message);
	return NULL;
}

static gboolean on_connection(GDBusServer *server, GDBusConnection *bus, gpointer user)
{
	g_dbus_connection_add_filter(g_object_ref(bus), on_message, NULL, NULL);
	return TRUE;
}

static gpointer serve(gpointer data)
{
	FakeSystemd *systemd = data;
	g_autofree char *address = g_strdup_printf("unix:dir=%s", systemd->dir), *guid = g_dbus_generate_guid();
	g_autoptr(GDBusServer) server = NULL;
	g_autoptr(GError) error = NULL;

	g_main_context_push_thread_default(systemd->context);
	server = g_dbus_server_new_sync(address, G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, &error);
	g_assert_no_error(error);
	g_signal_connect(server, "new-connection", G_CALLBACK(on_connection), NULL);
	g_dbus_server_start(server);
	g_async_queue_push(systemd->ready, g_strdup(g_dbus_server_get_client_address(server)));
	g_main_loop_run(systemd->loop);
	g_dbus_server_stop(server);
	g_main_context_pop_thread_default(systemd->context);
	return NULL;
}

FakeSystemd *fake_systemd_new(const char *dir, FakeSystemdAnswer answer)
{
	FakeSystemd *systemd = g_new0(FakeSystemd, 1);
	g_autofree char *address = NULL;

	the_answer = answer;
	systemd->dir = g_strdup(dir);
	systemd->context = g_main_context_new();
	systemd->loop = g_main_loop_new(systemd->context, FALSE);
	systemd->ready = g_async_queue_new();
	systemd->thread = g_thread_new("bus", serve, systemd);
	address = g_async_queue_pop(systemd->ready);
	g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
	return systemd;
}

void fake_systemd_free(FakeSystemd *systemd)
{
	g_main_loop_quit(systemd->loop);
	g_thread_join(systemd->thread);
	g_async_queue_unref(systemd->ready);
	g_main_loop_unref(systemd->loop);
	g_main_context_unref(systemd->context);
	g_free(systemd->dir);
	g_free(systemd);
}
