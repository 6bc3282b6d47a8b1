// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor.h"
#include "board.h"
#include "ctl.h"
#include "inspect.h"
#include "outbox.h"
#include "services.h"

#include <eid.h>
#include <error.h>
#include <euicc.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define SERVICES_US (2 * G_USEC_PER_SEC)

static const char *const tamper_names[] = {
	"state-lowered", "key-resurrected", "spent-count-lowered", "key-added", "key-lost",
};

static const char *tamper_name(guint32 kind)
{
	return kind < G_N_ELEMENTS(tamper_names) ? tamper_names[kind] : "unknown";
}

static const char *event_name(guint32 command)
{
	switch (command) {
	case IFPP_CMD_DEV_ADD_NTF:
		return "dev-add";
	case IFPP_CMD_DEV_DEL_NTF:
		return "dev-del";
	case IFPP_CMD_DEV_CHANGE_NTF:
		return "dev-change";
	case IFPP_CMD_HOST_CHANGE_NTF:
		return "host-change";
	case IFPP_CMD_LOAD_DONE_NTF:
		return "load-done";
	case IFPP_CMD_TAMPER_NTF:
		return "tamper";
	default:
		return "unknown";
	}
}

char *ctl_event_json(const IfppNlEvent *event)
{
	JsonBuilder *b = ifpp_json_new("event");
	g_autofree char *now = ctl_now();
	g_autofree char *node = NULL;

	ifpp_json_string(b, "event", event_name(event->command));
	ifpp_json_string(b, "time", now);
	switch (event->command) {
	case IFPP_CMD_DEV_ADD_NTF:
	case IFPP_CMD_DEV_DEL_NTF:
	case IFPP_CMD_DEV_CHANGE_NTF:
		ctl_json_dev(b, &event->dev);
		break;
	case IFPP_CMD_HOST_CHANGE_NTF:
		ctl_json_host(b, &event->host);
		break;
	case IFPP_CMD_LOAD_DONE_NTF:
		node = g_strdup_printf("ifpp%u", event->load.index);
		ifpp_json_string(b, "device", node);
		ifpp_json_eid(b, event->load.eid);
		ifpp_json_hex(b, "key_id", IFPP_SPAN(event->load.key_id));
		ifpp_json_int(b, "status", event->load.status);
		ifpp_json_int(b, "reason", event->load.reason);
		ifpp_json_string(b, "reason_name", ifpp_reason_name(event->load.reason));
		ifpp_json_int(b, "keys_left", event->load.keys_left);
		ifpp_json_int(b, "duration_ns", event->load.duration_ns);
		ifpp_json_int(b, "queue_ns", event->load.queue_ns);
		ifpp_json_int(b, "verify_ns", event->load.verify_ns);
		ifpp_json_int(b, "chip_ns", event->load.chip_ns);
		break;
	case IFPP_CMD_TAMPER_NTF:
		node = g_strdup_printf("ifpp%u", event->tamper.index);
		ifpp_json_string(b, "device", node);
		ifpp_json_string(b, "kind", tamper_name(event->tamper.kind));
		break;
	}
	return ifpp_json_text(b);
}

char *ctl_event_line(CtlOutput *out, const IfppNlEvent *event)
{
	g_autofree char *text = NULL;
	char eid[33];

	switch (event->command) {
	case IFPP_CMD_DEV_ADD_NTF:
	case IFPP_CMD_DEV_CHANGE_NTF:
		ctl_show_eid(out, event->dev.eid, eid);
		return g_strdup_printf("ifpp%u: EID %s: %s%s, one-time keys left: %u%s", event->dev.index, eid,
				       event->command == IFPP_CMD_DEV_ADD_NTF ? "here, " : "",
				       ifpp_state_name(event->dev.state), event->dev.keys_unspent,
				       event->dev.keys_unknown ? ", at work" : "");
	case IFPP_CMD_DEV_DEL_NTF:
		ctl_show_eid(out, event->dev.eid, eid);
		return g_strdup_printf("ifpp%u: EID %s: gone, %s", event->dev.index, eid,
				       ifpp_state_name(event->dev.state));
	case IFPP_CMD_HOST_CHANGE_NTF:
		return g_strdup_printf("this machine: %s, anchor %s, %u of %u chips locked",
				       ifpp_state_name(event->host.state), ctl_anchor_name(event->host.anchor),
				       event->host.chips_locked, event->host.chips);
	case IFPP_CMD_LOAD_DONE_NTF:
		text = ctl_load_text(event);
		return g_strdup_printf("ifpp%u: %s", event->load.index, text);
	case IFPP_CMD_TAMPER_NTF:
		return g_strdup_printf("ifpp%u: TAMPERING: its relay's report was refused: %s. journalctl -u 'ifppd@*' "
				       "names the chip", event->tamper.index, tamper_name(event->tamper.kind));
	default:
		return g_strdup("an event this program does not know");
	}
}

typedef struct {
	Ctl *ctl;
	CtlBoard *board;
	GMainLoop *loop;
	IfppNetlink *nl;
	GError *error;		/* ends it; while there is no driver: which is waited for */
	gboolean table;
	gint64 begin;
	GPtrArray *services;	/* that failed, as of @asked */
	gint64 asked;
	int left;		/* events still to tell; below 0: no bound */
	guint tick, wait, sigint, sigterm, end;	/* sources */
} Monitor;

/* The text in lines of a terminal: a reason and what to do about it are of no use if they are cut off. */
static void put_wrapped(GString *out, const char *text, guint cols, guint *lines)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	gulong at = 0;

	for (char **word = words; *word; word++) {
		gulong len = g_utf8_strlen(*word, -1);

		if (at && cols && at + 1 + len > cols) {
			g_string_append(out, "\n  ");
			at = 2;
			++*lines;
		} else if (at) {
			g_string_append_c(out, ' ');
			at++;
		}
		g_string_append(out, *word);
		at += len;
	}
	g_string_append_c(out, '\n');
	++*lines;
}

/* What failed, and why; of many what half of the terminal takes. */
static char *failures(Monitor *m, const struct winsize *size, guint *lines)
{
	GString *text = g_string_new(NULL);

	*lines = 0;
	for (guint i = 0; i < m->services->len; i++) {
		const CtlService *service = m->services->pdata[i];
		g_autofree char *line = NULL;

		if (!ctl_service_failed(service))
			continue;
		if (size->ws_row && *lines >= size->ws_row / 2u) {
			g_string_append(text, "... and others: ifppctl list\n");
			++*lines;
			break;
		}
		line = ctl_service_line(&m->ctl->out, service);
		put_wrapped(text, line, size->ws_col, lines);
	}
	return g_string_free(text, FALSE);
}

static gboolean redraw(gpointer user)
{
	Monitor *m = user;
	gint64 now = g_get_monotonic_time();
	struct winsize size = { 0 };
	g_autofree char *text = NULL, *failed = NULL;
	guint lines;

	/* Not for each of many events. */
	if (!m->services || now - m->asked > SERVICES_US) {
		g_clear_pointer(&m->services, g_ptr_array_unref);
		m->services = ctl_services(CTL_SERVICES_RUNNING, NULL) ?: g_ptr_array_new();
		m->asked = now;
	}
	ioctl(1, TIOCGWINSZ, &size);
	failed = failures(m, &size, &lines);
	/* what failed, the hint and the cursor's line */
	text = ctl_board_text(m->board, m->services, (now - m->begin) / 1e6,
			      size.ws_row ? MAX(size.ws_row - 3 - (int)lines, 1) : 0, size.ws_col);
	printf("\033[H\033[J%s%s", text, failed);
	puts("\nCtrl-C ends this.");
	fflush(stdout);
	return G_SOURCE_CONTINUE;
}

static void print(Monitor *m, char *text)
{
	g_autofree char *now = ctl_now(), *line = text;

	if (m->ctl->out.json)
		printf("%s\n", line);
	else
		printf("%s  %s\n", now, line);
	/* A reader that went away is the end of it. */
	if (fflush(stdout))
		g_main_loop_quit(m->loop);
}

static void on_event(const IfppNlEvent *event, gpointer user)
{
	Monitor *m = user;
	CtlOutput *out = &m->ctl->out;
	const CtlUnit *ended = ctl_board_event(m->board, event, g_get_monotonic_time());

	if (m->table) {
		redraw(m);
	} else {
		print(m, out->json ? ctl_event_json(event) : ctl_event_line(out, event));
		if (ended)
			print(m, out->json ? ctl_unit_json(ended) : ctl_unit_line(out, ended));
	}
	if (m->left > 0 && --m->left == 0)
		g_main_loop_quit(m->loop);
}

static gboolean on_signal(gpointer user)
{
	g_main_loop_quit(((Monitor *)user)->loop);
	return G_SOURCE_CONTINUE;
}

static gboolean begin(Monitor *m, GError **error)
{
	g_autoptr(GArray) devs = NULL;
	IfppNlHost host;

	m->nl = ifpp_netlink_new(error);
	/* Watch first: what happens during the dump is told twice rather than not at all. */
	if (!m->nl || !ifpp_netlink_watch(m->nl, on_event, m, error))
		return FALSE;
	devs = ifpp_netlink_dump(m->nl, error);
	if (!devs || !ifpp_netlink_host_get(m->nl, &host, error))
		return FALSE;
	ctl_board_host(m->board, &host);
	for (guint i = 0; i < devs->len; i++) {
		IfppNlEvent event = { .command = IFPP_CMD_DEV_ADD_NTF };

		event.dev = g_array_index(devs, IfppNlDev, i);
		ctl_board_event(m->board, &event, m->begin);
	}
	if (m->table) {
		redraw(m);
		m->tick = g_timeout_add_seconds(1, redraw, m);
	} else {
		ctl_say_host(&m->ctl->out, &host);
		fflush(stdout);
	}
	return TRUE;
}

/* A line may be watched before its first modem brings the driver. */
static gboolean begin_or_wait(gpointer user)
{
	Monitor *m = user;

	g_clear_error(&m->error);
	g_clear_pointer(&m->nl, ifpp_netlink_free);
	if (!begin(m, &m->error)) {
		if (g_error_matches(m->error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE))
			return G_SOURCE_CONTINUE;
		g_main_loop_quit(m->loop);
	}
	m->wait = 0;
	return G_SOURCE_REMOVE;
}

int ctl_cmd_monitor(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *outbox = NULL;
	gboolean lines = FALSE;
	int count = -1, seconds = 0;
	const GOptionEntry entries[] = {
		{ "lines", 0, 0, G_OPTION_ARG_NONE, &lines, "One line per event on a terminal too", NULL },
		{ "count", 'n', 0, G_OPTION_ARG_INT, &count, "End after N events", "N" },
		{ "outbox", 0, 0, G_OPTION_ARG_FILENAME, &outbox, "Where the daemon keeps results", "DIR" },
		{ "seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "End after that time", "N" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(CtlBoard) board = NULL;
	g_autoptr(GMainLoop) loop = NULL;
	Monitor m = { .ctl = ctl, .begin = g_get_monotonic_time() };

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Follow what happens: a live table on a terminal, else one line per event.", error))
		return 0;
	board = ctl_board_new(&ctl->out, outbox ?: CTL_OUTBOX);
	loop = g_main_loop_new(NULL, FALSE);
	m.board = board;
	m.loop = loop;
	m.left = count;
	m.table = ctl->out.terminal && !ctl->out.json && !lines;

	if (begin_or_wait(&m) == G_SOURCE_CONTINUE) {
		fprintf(stderr, "ifppctl: %s. Waiting for it.\n", m.error->message);
		m.wait = g_timeout_add_seconds(1, begin_or_wait, &m);
	} else if (m.error) {
		g_clear_pointer(&m.nl, ifpp_netlink_free);
		g_propagate_error(error, m.error);
		return 0;
	}
	m.sigint = g_unix_signal_add(SIGINT, on_signal, &m);
	m.sigterm = g_unix_signal_add(SIGTERM, on_signal, &m);
	if (seconds > 0)
		m.end = g_timeout_add_seconds(seconds, on_signal, &m);
	g_main_loop_run(loop);
	g_clear_handle_id(&m.tick, g_source_remove);
	g_clear_handle_id(&m.wait, g_source_remove);
	g_clear_handle_id(&m.sigint, g_source_remove);
	g_clear_handle_id(&m.sigterm, g_source_remove);
	g_clear_handle_id(&m.end, g_source_remove);
	g_clear_pointer(&m.services, g_ptr_array_unref);
	g_clear_pointer(&m.nl, ifpp_netlink_free);
	if (m.error)
		g_propagate_error(error, m.error);
	return IFPP_EXIT_OK;
}
