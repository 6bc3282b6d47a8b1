// SPDX-License-Identifier: GPL-2.0-or-later
#include "board.h"
#include "inspect.h"
#include "outbox.h"
#include "services.h"
#include "sockets.h"

#include <eid.h>
#include <euicc.h>
#include <string.h>

#define WIDE 100	/* columns from which on an EID is shown whole */

struct _CtlBoard {
	CtlOutput *out;
	char *outbox;
	IfppNlHost host;
	GHashTable *by_eid;	/* EID -> CtlUnit */
	GPtrArray *units;	/* in the order of their first appearance */
	GTree *reasons;		/* failure -> count */
	guint installed, failed, locked, finished, tampered;
	guint64 busy_ns;	/* of loads that ended */
	gint64 work, worked;	/* us: in which some chip was loaded; until when that is counted */
	guint64 time_ns[CTL_N_TIMES];
	gboolean blind;		/* a load's modem time was not to be found */
};

static const char *const time_names[CTL_N_TIMES] = { "client", "kernel", "daemon", "modem", "chip" };

/* Why a load failed, in one word or a few. */
static const char *failure(const IfppNlEvent *event)
{
	return event->load.reason ? ifpp_reason_name(event->load.reason) : g_strerror(-event->load.status);
}

char *ctl_load_text(const IfppNlEvent *event)
{
	char key[17];

	ctl_short_key(event->load.key_id, key);
	if (!event->load.status)
		return g_strdup_printf("key %s installed in %.1f s", key, event->load.duration_ns / 1e9);
	return g_strdup_printf("key %s failed: %s", key, failure(event));
}

static void unit_free(gpointer data)
{
	CtlUnit *unit = data;

	g_free(unit->last);
	g_free(unit->socket);
	g_free(unit);
}

static guint eid_hash(gconstpointer key)
{
	const guint8 *eid = key;

	/* The digits that tell chips of one maker apart, before the check digits. */
	return eid[11] | eid[12] << 8 | eid[13] << 16 | (guint)eid[14] << 24;
}

static gboolean eid_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, IFPP_EID_LEN);
}

static int by_text(gconstpointer a, gconstpointer b, gpointer user)
{
	return strcmp(a, b);
}

CtlBoard *ctl_board_new(CtlOutput *out, const char *outbox)
{
	CtlBoard *board = g_new0(CtlBoard, 1);

	board->out = out;
	board->outbox = g_strdup(outbox);
	board->by_eid = g_hash_table_new(eid_hash, eid_equal);
	board->units = g_ptr_array_new_with_free_func(unit_free);
	board->reasons = g_tree_new_full(by_text, NULL, g_free, NULL);
	return board;
}

void ctl_board_free(CtlBoard *board)
{
	if (!board)
		return;
	g_hash_table_unref(board->by_eid);
	g_ptr_array_unref(board->units);
	g_tree_unref(board->reasons);
	g_free(board->outbox);
	g_free(board);
}

void ctl_board_host(CtlBoard *board, const IfppNlHost *host)
{
	board->host = *host;
}

static CtlUnit *get_unit(CtlBoard *board, const guint8 eid[IFPP_EID_LEN])
{
	CtlUnit *unit = g_hash_table_lookup(board->by_eid, eid);

	if (!unit) {
		unit = g_new0(CtlUnit, 1);
		memcpy(unit->dev.eid, eid, IFPP_EID_LEN);
		g_hash_table_insert(board->by_eid, unit->dev.eid, unit);
		g_ptr_array_add(board->units, unit);
	}
	return unit;
}

static void finish(CtlBoard *board, CtlUnit *unit)
{
	board->finished += !unit->finished;
	unit->finished = TRUE;
}

static const CtlUnit *board_dev(CtlBoard *board, const IfppNlEvent *event, gint64 now)
{
	CtlUnit *unit = get_unit(board, event->dev.eid);
	gboolean known = unit->came != 0;

	if (!unit->here) {
		unit->came = unit->idle = now;
		unit->left = 0;
	}
	/* One that comes locked was locked before we looked. */
	if (event->dev.state == IFPP_STATE_LOCKED && known && unit->dev.state < IFPP_STATE_LOCKED) {
		board->locked++;
		finish(board, unit);
	}
	unit->dev = event->dev;
	/* Where it was last, when it has left. */
	if (event->command != IFPP_CMD_DEV_DEL_NTF) {
		g_free(unit->socket);
		unit->socket = ctl_socket(board->outbox, event->dev.eid);
	}
	unit->here = event->command != IFPP_CMD_DEV_DEL_NTF;
	if (unit->here)
		return NULL;
	unit->left = now;
	if (unit->installed && !unit->failed)
		finish(board, unit);
	return unit;
}

/* Split what a load took. Without the daemon's record modem and chip are one. */
static void add_times(CtlBoard *board, CtlUnit *unit, const IfppNlEvent *event, gint64 now)
{
	g_autoptr(IfppAttempt) result = ctl_outbox_result(board->outbox, event->load.eid, event->load.key_id, NULL);
	guint64 total = event->load.duration_ns, chip = MIN(event->load.chip_ns, total),
		kernel = MIN(event->load.queue_ns, total - chip), modem = result ? MIN(result->modem_ns, chip) : 0;
	gint64 client = (now - unit->idle) * 1000 - (gint64)total;
	const guint64 ns[CTL_N_TIMES] = {
		[CTL_TIME_CLIENT] = unit->came ? MAX(client, 0) : 0,
		[CTL_TIME_KERNEL] = kernel,
		[CTL_TIME_DAEMON] = total - chip - kernel,
		[CTL_TIME_MODEM] = modem,
		[CTL_TIME_CHIP] = chip - modem,
	};

	board->blind |= chip && !modem;
	board->busy_ns += total;
	for (guint i = 0; i < CTL_N_TIMES; i++) {
		unit->time_ns[i] += ns[i];
		board->time_ns[i] += ns[i];
	}
	unit->idle = now;
}

static void board_load(CtlBoard *board, const IfppNlEvent *event, gint64 now)
{
	CtlUnit *unit = get_unit(board, event->load.eid);

	g_free(unit->last);
	unit->last = ctl_load_text(event);
	add_times(board, unit, event, now);
	/* Loads side by side count once, and waiting does not count. */
	board->work += now - MIN(MAX(now - (gint64)(event->load.duration_ns / 1000), board->worked), now);
	board->worked = now;
	if (!event->load.status) {
		unit->installed++;
		board->installed++;
	} else {
		const char *why = failure(event);
		guint n = GPOINTER_TO_UINT(g_tree_lookup(board->reasons, why));

		unit->failed++;
		board->failed++;
		g_tree_insert(board->reasons, g_strdup(why), GUINT_TO_POINTER(n + 1));
	}
}

const CtlUnit *ctl_board_event(CtlBoard *board, const IfppNlEvent *event, gint64 now)
{
	switch (event->command) {
	case IFPP_CMD_DEV_ADD_NTF:
	case IFPP_CMD_DEV_DEL_NTF:
	case IFPP_CMD_DEV_CHANGE_NTF:
		return board_dev(board, event, now);
	case IFPP_CMD_HOST_CHANGE_NTF:
		board->host = event->host;
		break;
	case IFPP_CMD_LOAD_DONE_NTF:
		board_load(board, event, now);
		break;
	case IFPP_CMD_TAMPER_NTF:
		board->tampered++;
		break;
	}
	return NULL;
}

/* ------------------------------------------------------------------ text */

/* Those that are here by their node, then those that have left, the latest first. */
static int by_place(gconstpointer a, gconstpointer b)
{
	const CtlUnit *x = *(CtlUnit *const *)a, *y = *(CtlUnit *const *)b;

	if (x->here != y->here)
		return x->here ? -1 : 1;
	if (x->here)
		return x->dev.index < y->dev.index ? -1 : 1;
	return x->left > y->left ? -1 : 1;
}

/* The line from @begin on, cut off where the terminal would wrap it. */
static void end_line(GString *text, gsize begin, guint cols)
{
	const char *line = text->str + begin;

	if (cols && g_utf8_validate(line, -1, NULL) && (gulong)g_utf8_strlen(line, -1) > cols)
		g_string_truncate(text, g_utf8_offset_to_pointer(line, cols) - text->str);
	g_string_append_c(text, '\n');
}

/* What became of its last load, what failed since, or what is to be done next. */
static const char *last_of(const CtlUnit *unit, guint64 installed, GPtrArray *services, const char *node)
{
	const CtlService *service = unit->here ? ctl_services_of(services, node) : NULL;

	if (unit->here && unit->dev.keys_unknown)
		return "at work ...";
	if (service && ctl_service_failed(service))
		return "failed, see below";
	if (unit->last || !unit->here)
		return unit->last ?: "";
	return ctl_to_do(unit->dev.state, installed, service);
}

static void put_unit(CtlBoard *board, const CtlUnit *unit, GPtrArray *services, GString *text, guint cols)
{
	g_autofree char *node = g_strdup_printf("ifpp%u", unit->dev.index);
	/* What the driver has counted of this visit may have been before we looked. */
	guint64 installed = MAX(unit->installed, unit->dev.installed), failed = MAX(unit->failed, unit->dev.failed);
	gboolean narrow = cols && cols < WIDE;
	const char *last = last_of(unit, installed, services, node);
	gsize begin = text->len;
	char eid[33] = "";

	ctl_show_eid(board->out, unit->dev.eid, eid);
	g_string_append_printf(text, "%-8s %-*.*s ", unit->here ? node : unit->finished ? "done" : "gone", narrow ? 10 : 12,
			       narrow ? 10 : 12, unit->socket ?: "");
	g_string_append_printf(text, narrow ? "%.8s" : "%s", narrow ? eid + IFPP_EID_DIGITS - 8 : eid);
	/* What became of it matters more than of which key. */
	if (narrow && g_str_has_prefix(last, "key ") && strlen(last) > 21)
		last += 21;
	g_string_append_printf(text, "  %-8s %4u %4" G_GUINT64_FORMAT " %4" G_GUINT64_FORMAT "  %s",
			       ifpp_state_name(unit->dev.state), unit->dev.keys_unspent, installed, failed,
			       last);
	end_line(text, begin, cols);
}

static void put_units(CtlBoard *board, GPtrArray *services, GString *text, guint room, guint cols)
{
	g_autoptr(GPtrArray) units = g_ptr_array_copy(board->units, NULL, NULL);
	guint shown = room && units->len > room ? room - 1 : units->len;

	g_ptr_array_set_free_func(units, NULL);
	g_ptr_array_sort(units, by_place);
	g_string_append_printf(text, cols && cols < WIDE ? "%-8s %-10s %-8s  %-8s %4s %4s %4s  %s\n" :
			       "%-8s %-12s %-32s  %-8s %4s %4s %4s  %s\n", "CHIP", "SOCKET", "EID", "STATE", "KEYS", "OK", "BAD",
			       "LAST, OR TO DO");
	for (guint i = 0; i < shown; i++)
		put_unit(board, units->pdata[i], services, text, cols);
	if (shown < units->len)
		g_string_append_printf(text, "... and %u more\n", units->len - shown);
}

static gboolean put_reason(gpointer key, gpointer value, gpointer user)
{
	g_string_append_printf(user, "  %u x %s\n", GPOINTER_TO_UINT(value), (const char *)key);
	return FALSE;
}

static void put_times(const guint64 ns[CTL_N_TIMES], guint loads, gboolean blind, GString *text)
{
	for (guint i = 0; i < CTL_N_TIMES; i++) {
		if (i == CTL_TIME_MODEM && blind)
			g_string_append_printf(text, ", modem and chip %.2f",
					       (ns[CTL_TIME_MODEM] + ns[CTL_TIME_CHIP]) / 1e9 / loads);
		else if (i != CTL_TIME_CHIP || !blind)
			g_string_append_printf(text, "%s%s %.2f", i ? ", " : "", time_names[i], ns[i] / 1e9 / loads);
	}
}

char *ctl_board_text(CtlBoard *board, GPtrArray *services, double elapsed, guint rows, guint cols)
{
	GString *text = g_string_new(NULL), *units = g_string_new(NULL);
	guint loads = board->installed + board->failed, used = 1;
	double hours = MAX(board->work / 1e6, 1) / 3600;

	g_string_append_printf(text, "\nSince %.0f s: %u units, %u finished, %u of them locked\n"
			       "At work for %.0f s: %.0f units per hour of work\n", elapsed, board->units->len, board->finished, board->locked, board->work / 1e6, board->finished / hours);
	g_string_append_printf(text, "Packages: %u installed, %u failed", board->installed, board->failed);
	if (loads) {
		g_string_append_printf(text, "; %.0f installed per hour of work,\n%.2f s for each after its submission\n"
				       "Seconds each: ", board->installed / hours, board->busy_ns / 1e9 / loads);
		put_times(board->time_ns, loads, board->blind, text);
	}
	if (board->tampered)
		g_string_append_printf(text, "\nTAMPERING %u x", board->tampered);
	g_string_append_printf(text, "\nThis machine: %s, anchor %s\n", ifpp_state_name(board->host.state),
			       ctl_anchor_name(board->host.anchor));
	g_tree_foreach(board->reasons, put_reason, text);

	for (const char *p = text->str; *p; p++)
		used += *p == '\n';
	put_units(board, services, units, rows ? MAX((int)rows - (int)used, 2) : 0, cols);
	g_string_prepend(text, units->str);
	g_string_free(units, TRUE);
	return g_string_free(text, FALSE);
}

char *ctl_unit_line(CtlOutput *out, const CtlUnit *unit)
{
	GString *text = g_string_new(NULL);
	guint loads = unit->installed + unit->failed;
	char eid[33];

	ctl_show_eid(out, unit->dev.eid, eid);
	g_string_append_printf(text, "ifpp%u: EID %s: gone after %.1f s, %s, %u installed, %u failed", unit->dev.index, eid,
			       (unit->left - unit->came) / 1e6, ifpp_state_name(unit->dev.state), unit->installed,
			       unit->failed);
	if (loads) {
		g_string_append(text, "; seconds: ");
		put_times(unit->time_ns, 1, FALSE, text);
	}
	return g_string_free(text, FALSE);
}

char *ctl_unit_json(const CtlUnit *unit)
{
	g_autofree char *node = g_strdup_printf("ifpp%u", unit->dev.index), *now = ctl_now();
	JsonBuilder *b = ifpp_json_new("unit");

	ifpp_json_string(b, "time", now);
	ifpp_json_string(b, "device", node);
	ifpp_json_eid(b, unit->dev.eid);
	ifpp_json_string(b, "state", ifpp_state_name(unit->dev.state));
	ifpp_json_bool(b, "finished", unit->finished);
	ifpp_json_int(b, "keys_unspent", unit->dev.keys_unspent);
	ifpp_json_int(b, "installed", unit->installed);
	ifpp_json_int(b, "failed", unit->failed);
	ifpp_json_int(b, "here_ns", (unit->left - unit->came) * 1000);
	for (guint i = 0; i < CTL_N_TIMES; i++) {
		g_autofree char *name = g_strconcat(time_names[i], "_ns", NULL);

		ifpp_json_int(b, name, unit->time_ns[i]);
	}
	return ifpp_json_text(b);
}
