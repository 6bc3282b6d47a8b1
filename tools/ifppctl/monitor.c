// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor.h"
#include "ctl.h"
#include "explain.h"
#include "inspect.h"

#include <eid.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct {
	IfppNlDev dev;
	gboolean here;
	char *last;		/* what happened to it last */
} Row;

struct _CtlBoard {
	CtlOutput *out;
	IfppNlHost host;
	GTree *rows;		/* index -> Row */
	GTree *reasons;		/* failure -> count */
	guint installed, failed, locked, tampered;
	guint64 busy_ns;	/* of loads that ended */
};

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

/* Why a load failed, in one word or a few. */
static char *failure(gint32 status, guint32 reason)
{
	return g_strdup(reason ? ctl_reason_name(reason) : g_strerror(-status));
}

char *ctl_event_json(const IfppNlEvent *event)
{
	JsonBuilder *b = ctl_json_new("event");
	g_autofree char *now = ctl_now();
	g_autofree char *node = NULL;

	ctl_json_string(b, "event", event_name(event->command));
	ctl_json_string(b, "time", now);
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
		ctl_json_string(b, "device", node);
		ctl_json_eid(b, event->load.eid);
		ctl_json_hex(b, "key_id", IFPP_SPAN(event->load.key_id));
		ctl_json_int(b, "status", event->load.status);
		ctl_json_int(b, "reason", event->load.reason);
		ctl_json_string(b, "reason_name", ctl_reason_name(event->load.reason));
		ctl_json_int(b, "keys_left", event->load.keys_left);
		ctl_json_int(b, "duration_ns", event->load.duration_ns);
		break;
	case IFPP_CMD_TAMPER_NTF:
		ctl_json_eid(b, event->tamper.eid);
		ctl_json_string(b, "kind", tamper_name(event->tamper.kind));
		break;
	}
	return ctl_json_text(b);
}

static char *load_text(const IfppNlEvent *event)
{
	g_autofree char *why = failure(event->load.status, event->load.reason);
	char key[17];

	ctl_short_key(event->load.key_id, key);
	if (!event->load.status)
		return g_strdup_printf("key %s installed in %.1f s", key, event->load.duration_ns / 1e9);
	return g_strdup_printf("key %s failed: %s", key, why);
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
		text = load_text(event);
		return g_strdup_printf("ifpp%u: %s", event->load.index, text);
	case IFPP_CMD_TAMPER_NTF:
		ctl_show_eid(out, event->tamper.eid, eid);
		return g_strdup_printf("EID %s: TAMPERING: its relay's report was refused: %s", eid,
				       tamper_name(event->tamper.kind));
	default:
		return g_strdup("an event this program does not know");
	}
}

static void row_free(gpointer data)
{
	Row *row = data;

	g_free(row->last);
	g_free(row);
}

static int by_index(gconstpointer a, gconstpointer b, gpointer user)
{
	guint x = GPOINTER_TO_UINT(a), y = GPOINTER_TO_UINT(b);

	return x < y ? -1 : x > y;
}

static int by_text(gconstpointer a, gconstpointer b, gpointer user)
{
	return strcmp(a, b);
}

CtlBoard *ctl_board_new(CtlOutput *out)
{
	CtlBoard *board = g_new0(CtlBoard, 1);

	board->out = out;
	board->rows = g_tree_new_full(by_index, NULL, NULL, row_free);
	board->reasons = g_tree_new_full(by_text, NULL, g_free, NULL);
	return board;
}

void ctl_board_free(CtlBoard *board)
{
	if (!board)
		return;
	g_tree_unref(board->rows);
	g_tree_unref(board->reasons);
	g_free(board);
}

void ctl_board_host(CtlBoard *board, const IfppNlHost *host)
{
	board->host = *host;
}

static Row *get_row(CtlBoard *board, guint32 index)
{
	Row *row = g_tree_lookup(board->rows, GUINT_TO_POINTER(index));

	if (!row) {
		row = g_new0(Row, 1);
		g_tree_insert(board->rows, GUINT_TO_POINTER(index), row);
	}
	return row;
}

static void set_last(Row *row, char *text)
{
	g_free(row->last);
	row->last = text;
}

static void board_dev(CtlBoard *board, const IfppNlEvent *event)
{
	Row *row = get_row(board, event->dev.index);
	gboolean same = !memcmp(row->dev.eid, event->dev.eid, IFPP_EID_LEN);

	/* A node's number serves another chip after an unplug: what was said of the last one is over. */
	if (!same)
		set_last(row, NULL);
	if (event->dev.state == IFPP_STATE_LOCKED && same && row->dev.state < IFPP_STATE_LOCKED)
		board->locked++;
	row->dev = event->dev;
	row->here = event->command != IFPP_CMD_DEV_DEL_NTF;
}

static void board_load(CtlBoard *board, const IfppNlEvent *event)
{
	Row *row = get_row(board, event->load.index);

	set_last(row, load_text(event));
	board->busy_ns += event->load.duration_ns;
	if (!event->load.status) {
		board->installed++;
	} else {
		char *why = failure(event->load.status, event->load.reason);
		guint n = GPOINTER_TO_UINT(g_tree_lookup(board->reasons, why));

		board->failed++;
		g_tree_insert(board->reasons, why, GUINT_TO_POINTER(n + 1));
	}
}

void ctl_board_event(CtlBoard *board, const IfppNlEvent *event)
{
	switch (event->command) {
	case IFPP_CMD_DEV_ADD_NTF:
	case IFPP_CMD_DEV_DEL_NTF:
	case IFPP_CMD_DEV_CHANGE_NTF:
		board_dev(board, event);
		break;
	case IFPP_CMD_HOST_CHANGE_NTF:
		board->host = event->host;
		break;
	case IFPP_CMD_LOAD_DONE_NTF:
		board_load(board, event);
		break;
	case IFPP_CMD_TAMPER_NTF:
		board->tampered++;
		break;
	}
}

typedef struct {
	CtlBoard *board;
	GString *text;
} Print;

static gboolean print_row(gpointer key, gpointer value, gpointer user)
{
	Print *print = user;
	Row *row = value;
	g_autofree char *node = g_strdup_printf("ifpp%u", GPOINTER_TO_UINT(key));
	char eid[33] = "";

	ctl_show_eid(print->board->out, row->dev.eid, eid);
	g_string_append_printf(print->text, "%-8s %-32s  %-8s %4u  %s\n", node, eid,
			       row->here ? ifpp_state_name(row->dev.state) : "gone", row->dev.keys_unspent,
			       row->dev.keys_unknown ? "at work ..." : row->last ?: "");
	return FALSE;
}

static gboolean print_reason(gpointer key, gpointer value, gpointer user)
{
	Print *print = user;

	g_string_append_printf(print->text, "  %u x %s\n", GPOINTER_TO_UINT(value), (const char *)key);
	return FALSE;
}

char *ctl_board_text(CtlBoard *board, double elapsed)
{
	GString *text = g_string_new(NULL);
	Print print = { board, text };
	guint loads = board->installed + board->failed;

	g_string_append_printf(text, "%-8s %-32s  %-8s %4s  %s\n", "CHIP", "EID", "STATE", "KEYS", "LAST");
	g_tree_foreach(board->rows, print_row, &print);
	g_string_append_printf(text, "\nSince %.0f s: %u installed, %u failed, %u chips locked", elapsed,
			       board->installed, board->failed, board->locked);
	if (loads)
		g_string_append_printf(text, "; %.1f s per load, %.0f installed per hour",
				       board->busy_ns / 1e9 / loads, board->installed * 3600 / MAX(elapsed, 1));
	if (board->tampered)
		g_string_append_printf(text, "; TAMPERING %u x", board->tampered);
	g_string_append_printf(text, "\nThis machine: %s, anchor %s\n", ifpp_state_name(board->host.state),
			       ctl_anchor_name(board->host.anchor));
	g_tree_foreach(board->reasons, print_reason, &print);
	return g_string_free(text, FALSE);
}

typedef struct {
	Ctl *ctl;
	CtlBoard *board;
	GMainLoop *loop;
	gboolean table;
	gint64 begin;
	int left;		/* events still to tell; below 0: no bound */
} Monitor;

static gboolean redraw(gpointer user)
{
	Monitor *m = user;
	g_autofree char *text = ctl_board_text(m->board, (g_get_monotonic_time() - m->begin) / 1e6);

	printf("\033[H\033[J%s\nCtrl-C ends this.\n", text);
	fflush(stdout);
	return G_SOURCE_CONTINUE;
}

static void on_event(const IfppNlEvent *event, gpointer user)
{
	Monitor *m = user;
	g_autofree char *text = NULL;

	ctl_board_event(m->board, event);
	if (m->table) {
		redraw(m);
	} else {
		g_autofree char *now = ctl_now();

		text = m->ctl->out.json ? ctl_event_json(event) : ctl_event_line(&m->ctl->out, event);
		if (m->ctl->out.json)
			printf("%s\n", text);
		else
			printf("%s  %s\n", now, text);
		/* A reader that went away is the end of it. */
		if (fflush(stdout))
			g_main_loop_quit(m->loop);
	}
	if (m->left > 0 && --m->left == 0)
		g_main_loop_quit(m->loop);
}

static gboolean on_signal(gpointer user)
{
	g_main_loop_quit(((Monitor *)user)->loop);
	return G_SOURCE_CONTINUE;
}

int ctl_cmd_monitor(Ctl *ctl, int argc, char **argv, GError **error)
{
	gboolean lines = FALSE;
	int count = -1, seconds = 0;
	const GOptionEntry entries[] = {
		{ "lines", 0, 0, G_OPTION_ARG_NONE, &lines, "One line per event on a terminal too", NULL },
		{ "count", 'n', 0, G_OPTION_ARG_INT, &count, "End after N events", "N" },
		{ "seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "End after that time", "N" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(IfppNetlink) nl = NULL;
	g_autoptr(GArray) devs = NULL;
	g_autoptr(CtlBoard) board = NULL;
	g_autoptr(GMainLoop) loop = NULL;
	Monitor m = { .ctl = ctl, .begin = g_get_monotonic_time() };
	IfppNlHost host;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Follow what happens: a live table on a terminal, else one line per event.", error))
		return 0;
	nl = ifpp_netlink_new(error);
	board = ctl_board_new(&ctl->out);
	loop = g_main_loop_new(NULL, FALSE);
	m.board = board;
	m.loop = loop;
	m.left = count;
	m.table = ctl->out.terminal && !ctl->out.json && !lines;

	/* Watch first: what happens during the dump is told twice rather than not at all. */
	if (!nl || !ifpp_netlink_watch(nl, on_event, &m, error))
		return 0;
	devs = ifpp_netlink_dump(nl, error);
	if (!devs || !ifpp_netlink_host_get(nl, &host, error))
		return 0;
	ctl_board_host(board, &host);
	for (guint i = 0; i < devs->len; i++) {
		IfppNlEvent event = { .command = IFPP_CMD_DEV_ADD_NTF };

		event.dev = g_array_index(devs, IfppNlDev, i);
		ctl_board_event(board, &event);
	}

	g_unix_signal_add(SIGINT, on_signal, &m);
	g_unix_signal_add(SIGTERM, on_signal, &m);
	if (seconds > 0)
		g_timeout_add_seconds(seconds, on_signal, &m);
	if (m.table) {
		redraw(&m);
		g_timeout_add_seconds(1, redraw, &m);
	} else {
		ctl_say_host(&ctl->out, &host);
	}
	g_main_loop_run(loop);
	return IFPP_EXIT_OK;
}
