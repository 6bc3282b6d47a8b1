// SPDX-License-Identifier: GPL-2.0-or-later
#include "scan.h"
#include "explain.h"
#include "sockets.h"

#include <eid.h>
#include <errno.h>
#include <file.h>
#include <string.h>

#define LINE_BYTES 128
#define CODES_MAX 32
#define EMPTY_MAX 1000	/* lines */

/* What a code may be; the EID is no field of a unit. */
#define EID_CODE IFPP_UNIT_FIELDS

static const struct {
	const char *prefix;
	guint code;
} prefixes[] = {
	{ "EID", EID_CODE },
	{ "IMEI", IFPP_UNIT_IMEI },
	{ "SERIAL", IFPP_UNIT_SERIAL },
	{ "BOARD", IFPP_UNIT_BOARD_SERIAL },
	{ "ORDER", IFPP_UNIT_WORK_ORDER },
};

void ctl_scan_clear(CtlScan *scan)
{
	g_clear_pointer(&scan->eid, g_free);
	ifpp_unit_clear(&scan->unit);
}

static gboolean bad(GError **error, int exit, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean bad(GError **error, int exit, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(error, CTL_ERROR, exit, text);
	return FALSE;
}

/* Digits with blanks or dashes between them, as labels have them; what is something else stays. */
static char *only_digits(const char *text)
{
	GString *digits = g_string_new(NULL);

	for (const char *p = text; *p; p++) {
		if (g_ascii_isdigit(*p)) {
			g_string_append_c(digits, *p);
		} else if (*p != ' ' && *p != '-') {
			g_string_free(digits, TRUE);
			return g_strdup(text);
		}
	}
	return g_string_free(digits, FALSE);
}

static gboolean is_imei(const char *digits)
{
	char imei[16];

	return ifpp_imei_read(digits, imei);
}

static gboolean is_eid(const char *digits)
{
	guint8 eid[16];

	return ifpp_eid_parse(digits, eid, NULL);
}

static guint tell_code(const char **text, const char *digits)
{
	for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		gsize len = strlen(prefixes[i].prefix);

		if (!g_ascii_strncasecmp(*text, prefixes[i].prefix, len) && ((*text)[len] == ':' || (*text)[len] == '=')) {
			*text += len + 1;
			*text += strspn(*text, " ");
			return prefixes[i].code;
		}
	}
	if (strlen(digits) == 32 && is_eid(digits))
		return EID_CODE;
	return strlen(digits) == 15 && is_imei(digits) ? IFPP_UNIT_IMEI : IFPP_UNIT_SERIAL;
}

static gboolean take_code(CtlScan *scan, const char *line, const char *name, guint number, GError **error)
{
	g_autofree char *shown = g_strescape(line, NULL), *whole = only_digits(line), *digits = NULL;
	const char *text = line;
	guint code = tell_code(&text, whole);
	char **field = code == EID_CODE ? &scan->eid : &scan->unit.field[code];

	digits = only_digits(text);
	if (code == EID_CODE ? !is_eid(digits) : code == IFPP_UNIT_IMEI && !is_imei(digits))
		return bad(error, IFPP_EXIT_INPUT, "%s: code %u, \"%s\", is not an %s with right check digits. Scan it again", name,
			   number, shown, code == EID_CODE ? "EID" : "IMEI");
	if (code == EID_CODE || code == IFPP_UNIT_IMEI)
		text = digits;
	if (!ifpp_unit_text_valid(text))
		return bad(error, IFPP_EXIT_INPUT, "%s: code %u, \"%s\", is not text of 1 to %d bytes. Look at what the scanner is "
			   "set to, and at the label", name, number, shown, IFPP_UNIT_TEXT_MAX);
	if (*field && strcmp(*field, text))
		return bad(error, IFPP_EXIT_INPUT, "%s: code %u, \"%s\", is another one than was scanned or given before. One "
			   "unit at a time", name, number, shown);
	g_free(*field);
	*field = g_strdup(text);
	return TRUE;
}

gboolean ctl_scan_read(CtlScan *scan, FILE *in, const char *name, guint codes, GError **error)
{
	guint taken = 0, empty = 0;

	while (!codes || taken < codes) {
		char line[LINE_BYTES + 2];
		gsize len = 0;
		int c;

		/* Not fgets(): a scanner may send NULs. */
		while ((c = getc(in)) != EOF && c != '\n') {
			if (len == LINE_BYTES)
				return bad(error, IFPP_EXIT_INPUT, "%s: more than %d bytes without an end of line. Is it a scanner "
					   "that sends one code a line?", name, LINE_BYTES);
			line[len++] = c ? c : '\x01';
		}
		if (ferror(in))
			return bad(error, IFPP_EXIT_INPUT, "%s: cannot read it: %s", name, g_strerror(errno));
		line[len] = '\0';
		g_strstrip(line);
		if (!*line && (c == EOF || !codes))
			break;
		if (!*line) {
			if (++empty > EMPTY_MAX)
				return bad(error, IFPP_EXIT_INPUT, "%s: more than %d lines without a code. Look at what the "
					   "scanner is set to, and whether a key of it is stuck", name, EMPTY_MAX);
			continue;
		}
		if (taken == CODES_MAX)
			return bad(error, IFPP_EXIT_INPUT, "%s: more than %d codes for one unit", name, CODES_MAX);
		if (!take_code(scan, line, name, ++taken, error))
			return FALSE;
	}
	return taken || bad(error, IFPP_EXIT_INPUT, "%s: ended before a code came; nothing was done", name);
}

/* Of an IMEI, what two ways to write it have in common: the software's version is not the device. */
static gboolean same(guint field, const char *want, const char *is)
{
	if (field == IFPP_UNIT_IMEI && strlen(want) >= 15 && strlen(is) >= 15)
		return !strncmp(want, is, 14);
	return g_str_equal(want, is);
}

gboolean ctl_scan_check(CtlScan *scan, const CtlChip *chip, const char *outbox, GError **error)
{
	static const guint compared[] = { IFPP_UNIT_IMEI, IFPP_UNIT_SERIAL };
	static const char *const names[] = { "IMEI", "serial number" };
	g_auto(IfppUnit) unit = { 0 }, note = { 0 };
	g_autofree char *dir = NULL, *socket = NULL;
	char eid[33];

	ifpp_eid_format(chip->info.eid, eid);
	socket = ctl_socket(outbox, chip->info.eid);
	if (scan->eid) {
		g_autofree char *digits = only_digits(scan->eid);

		if (!is_eid(digits))
			return bad(error, IFPP_EXIT_USAGE, "%s is not an EID", scan->eid);
		if (strcmp(digits, eid))
			return bad(error, IFPP_EXIT_REFUSED, "%s in %s: the wrong unit: EID %s was scanned or given, and this chip's is "
				   "%s. Nothing was done to it. Put the unit of the label there, or scan the label of this one",
				   chip->node, socket ?: "its socket", digits, eid);
	}
	ctl_unit_read(outbox, chip->info.eid, &unit);
	for (guint i = 0; i < G_N_ELEMENTS(compared); i++) {
		const char *want = scan->unit.field[compared[i]], *is = unit.field[compared[i]];
		g_autofree char *digits = want && !i ? only_digits(want) : g_strdup(want);

		if (!want)
			continue;
		if (!is)
			return bad(error, IFPP_EXIT_REFUSED, "%s in %s: its modem has not told its %s, so it cannot be compared with "
				   "%s. Nothing was done to it. Scan its EID instead", chip->node, socket ?: "its socket", names[i],
				   want);
		if (!same(compared[i], digits, is))
			return bad(error, IFPP_EXIT_REFUSED, "%s in %s: the wrong unit: %s %s was scanned or given, and this modem's "
				   "is %s. Nothing was done to it. Put the unit of the label there, or scan the label of this one",
				   chip->node, socket ?: "its socket", names[i], digits, is);
	}
	for (guint i = IFPP_UNIT_BOARD_SERIAL; i <= IFPP_UNIT_WORK_ORDER; i++)
		if (!ifpp_unit_set(&note, i, scan->unit.field[i]))
			return bad(error, IFPP_EXIT_USAGE, "the %s is not text of 1 to %d bytes",
				   i == IFPP_UNIT_WORK_ORDER ? "work order" : "board's serial number", IFPP_UNIT_TEXT_MAX);
	if (ifpp_unit_is_empty(&note))
		return TRUE;
	dir = g_build_filename(outbox, eid, NULL);
	return ifpp_make_dir(dir, 0750, error) && ifpp_unit_save(&note, dir, IFPP_UNIT_SCAN_FILE, error);
}
