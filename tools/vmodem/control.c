// SPDX-License-Identifier: GPL-2.0-or-later
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib/gstdio.h>

#include "error.h"
#include "unix.h"

#define LINE_MAX_LEN 512
#define ANSWER_SECONDS 10

struct _Control {
	Modem *modem;
	char *path;
	int fd;
	guint source;
	GPtrArray *conns;
};

typedef struct {
	Control *control;
	UnixConn *unix_conn;
	GByteArray *line;
} Conn;

static char *json_error(const char *text)
{
	g_autofree char *escaped = g_strescape(text, "");

	return g_strdup_printf("{\"error\":\"%s\"}", escaped);
}

static const char *bool_text(gboolean value)
{
	return value ? "true" : "false";
}

static char *stats(Modem *modem)
{
	const ChipStats *chip = chip_stats(modem_chip(modem));
	const ModemStats *m = modem_stats(modem);
	const IfppChipMem *mem = chip_memory(modem_chip(modem));
	const WireTime *time = modem_wire_time(modem);
	g_autoptr(GString) services = g_string_new(NULL);
	const char *name;
	guint64 n;

	for (guint i = 0; (name = modem_service(modem, i, &n)); i++)
		g_string_append_printf(services, "%s\"%s\":%" G_GUINT64_FORMAT, i ? "," : "", name, n);
	return g_strdup_printf("{\"apdus\":%" G_GUINT64_FORMAT ",\"bytes\":%" G_GUINT64_FORMAT
			       ",\"response_bytes\":%" G_GUINT64_FORMAT ",\"wire_us\":%" G_GUINT64_FORMAT
			       ",\"apdu_us\":%" G_GUINT64_FORMAT ",\"chip_us\":%" G_GUINT64_FORMAT
			       ",\"loads\":%" G_GUINT64_FORMAT ",\"installed\":%" G_GUINT64_FORMAT
			       ",\"writes\":%" G_GUINT64_FORMAT ",\"channels_open\":%u,\"clients\":%u"
			       ",\"requests\":%" G_GUINT64_FORMAT ",\"mbim_messages\":%" G_GUINT64_FORMAT ",\"send_apdus\":%" G_GUINT64_FORMAT
			       ",\"resets\":%" G_GUINT64_FORMAT ",\"faults\":%" G_GUINT64_FORMAT
			       ",\"armed\":%u,\"slot\":%u,\"plugged\":%s,\"powered\":%s,\"state\":%d,\"keys\":%u"
			       ",\"spent\":%" G_GUINT64_FORMAT ",\"profiles\":%u,\"enabled\":%d,\"notifications\":%u,\"services\":{%s}}",
			       chip->apdus, chip->bytes, chip->response_bytes, time->wire_ns / 1000,
			       time->apdu_ns / 1000, time->chip_ns / 1000, chip->loads, chip->installed, chip->writes,
			       chip_channels_open(modem_chip(modem)), modem_clients(modem), m->requests,
			       m->mbim_messages, m->send_apdus, m->resets, m->faults, faults_armed(modem_faults(modem)),
			       modem_slot(modem), bool_text(modem_plugged(modem)),
			       bool_text(mem != NULL), mem ? (int)ifpp_chipmem_state(mem) : -1,
			       mem ? mem->keys->len : 0, mem ? mem->spent : 0, mem ? mem->profiles->len : 0,
			       chip_enabled(modem_chip(modem)) != NULL,
			       mem ? mem->notes->len : 0, services->str);
}

static const struct {
	const char *name;
	void (*run)(Modem *modem);
} actions[] = {
	{ "reset", modem_reset },
	{ "power-cut", modem_power_cut },
	{ "unplug", modem_unplug },
	{ "plug", modem_plug },
};

char *control_run(Modem *modem, const char *line)
{
	g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
	g_autoptr(GError) error = NULL;
	guint n = 0;

	for (guint i = 0; words[i]; i++) {	/* several blanks make empty words */
		if (*words[i])
			words[n++] = words[i];
		else
			g_free(words[i]);
	}
	words[n] = NULL;
	if (!n)
		return json_error("nothing to do");
	if (n == 1 && !strcmp(words[0], "stats"))
		return stats(modem);
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++)
		if (n == 1 && !strcmp(words[0], actions[i].name)) {
			actions[i].run(modem);
			return g_strdup("{\"ok\":true}");
		}
	if (strcmp(words[0], "fault"))
		return json_error("stats, reset, power-cut, unplug, plug and fault are known");
	if (n == 2 && !strcmp(words[1], "clear"))
		faults_clear(modem_faults(modem));
	else if (!faults_add(modem_faults(modem), words + 1, &error))
		return json_error(error->message);
	return g_strdup_printf("{\"ok\":true,\"armed\":%u}", faults_armed(modem_faults(modem)));
}

/* ------------------------------------------------------------------ server */

static void conn_free(gpointer data)
{
	Conn *conn = data;

	unix_conn_free(conn->unix_conn);
	g_byte_array_unref(conn->line);
	g_free(conn);
}

static gboolean on_data(UnixConn *unix_conn, const guint8 *data, gsize len, gpointer user)
{
	Conn *conn = user;

	if (!data) {
		g_ptr_array_remove_fast(conn->control->conns, conn);
		return FALSE;
	}
	for (gsize i = 0; i < len; i++) {
		g_autofree char *answer = NULL;

		if (data[i] != '\n') {
			if (conn->line->len >= LINE_MAX_LEN)
				return FALSE;
			g_byte_array_append(conn->line, data + i, 1);
			continue;
		}
		g_byte_array_append(conn->line, (const guint8 *)"", 1);
		answer = control_run(conn->control->modem, (const char *)conn->line->data);
		g_byte_array_set_size(conn->line, 0);
		unix_conn_send(unix_conn, answer, strlen(answer));
		unix_conn_send(unix_conn, "\n", 1);
	}
	return TRUE;
}

static gboolean on_connect(int fd, GIOCondition condition, gpointer user)
{
	Control *control = user;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	Conn *conn;

	if (client < 0)
		return G_SOURCE_CONTINUE;
	conn = g_new0(Conn, 1);
	conn->control = control;
	conn->line = g_byte_array_new();
	conn->unix_conn = unix_conn_new(client, on_data, conn);
	g_ptr_array_add(control->conns, conn);
	return G_SOURCE_CONTINUE;
}

Control *control_new(Modem *modem, const char *path, GError **error)
{
	int fd = unix_listen(path, error);
	Control *control;

	if (fd < 0)
		return NULL;
	control = g_new0(Control, 1);
	control->modem = modem;
	control->path = g_strdup(path);
	control->fd = fd;
	control->conns = g_ptr_array_new_with_free_func(conn_free);
	control->source = g_unix_fd_add(fd, G_IO_IN, on_connect, control);
	return control;
}

void control_free(Control *control)
{
	if (!control)
		return;
	g_clear_handle_id(&control->source, g_source_remove);
	g_ptr_array_unref(control->conns);
	close(control->fd);
	g_unlink(control->path);
	g_free(control->path);
	g_free(control);
}

/* ------------------------------------------------------------------ client */

char *control_ask(const char *path, char **words, GError **error)
{
	g_autofree char *joined = g_strjoinv(" ", words);
	g_autofree char *line = g_strconcat(joined, "\n", NULL);
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	g_autoptr(GString) answer = g_string_new(NULL);
	char buf[1024];
	ssize_t n;
	int fd;

	fd = unix_connect(path, error);
	if (fd < 0)
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = send(fd, line, strlen(line), MSG_NOSIGNAL);
	while (n > 0 && !strchr(answer->str, '\n')) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			g_string_append_len(answer, buf, n);
	}
	close(fd);
	if (!strchr(answer->str, '\n')) {
		g_set_error(error, IFPP_ERROR,
			    n < 0 && errno == EAGAIN ? IFPP_ERROR_TIMEOUT : IFPP_ERROR_MODEM,
			    "%s: no answer to \"%s\"", path, joined);
		return NULL;
	}
	return g_strndup(answer->str, strcspn(answer->str, "\n"));
}
