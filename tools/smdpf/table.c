// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.h"

#include <string.h>

#include <csv.h>
#include <gnutls/crypto.h>

typedef struct {
	TableRow row;
	gpointer user;
	guint *line;
	GPtrArray *fields;	/* of the row at hand */
	const char *wrong;
	gboolean ended;
} Table;

static void field_free(gpointer field)
{
	gnutls_memset(field, 0, strlen(field));
	g_free(field);
}

static void end_field(void *data, gsize len, void *user)
{
	Table *t = user;

	if (len && memchr(data, 0, len) && !t->wrong)
		t->wrong = "a NUL byte";
	g_ptr_array_add(t->fields, g_strstrip(g_strndup(data ? data : "", data ? len : 0)));
}

static void end_row(int c, void *user)
{
	Table *t = user;
	const char *first = t->fields->len ? t->fields->pdata[0] : "";

	if (!t->wrong && !t->ended && *first != '#' && (t->fields->len > 1 || *first))
		t->ended = !t->row(t->fields, *t->line, t->user);
	g_ptr_array_set_size(t->fields, 0);
}

/* What stands between the names of the columns. */
static char delimiter(const char *text, gsize len)
{
	const char *end = text + len;

	while (text < end && (*text == '#' || *text == '\r' || *text == '\n')) {
		const char *nl = memchr(text, '\n', end - text);

		text = nl ? nl + 1 : end;
	}
	for (; text < end && *text != '\n'; text++)
		if (*text == ',' || *text == ';' || *text == '\t')
			return *text;
	return ',';
}

const char *table_read(const char *text, gsize len, guint *line, TableRow row, gpointer user)
{
	g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(field_free);
	Table t = { .row = row, .user = user, .line = line, .fields = fields };
	const char *end = text + len;
	struct csv_parser parser;

	*line = 0;
	if (len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
		text += 3;
	if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) < 0)
		g_error("out of memory");
	csv_set_delim(&parser, delimiter(text, end - text));
	/* no field grows beyond it, so that no copy of a key is left behind */
	csv_set_blk_size(&parser, 4096);
	while (!t.wrong && !t.ended && text < end) {
		const char *nl = memchr(text, '\n', end - text);
		gsize n = (nl ? nl + 1 : end) - text;

		(*line)++;
		/* a remark has no quotes to be closed */
		if (*text != '#' && csv_parse(&parser, text, n, end_field, end_row, &t) != n && !t.wrong)
			t.wrong = "the quotes are wrong";
		text += n;
	}
	if (!t.wrong && !t.ended && csv_fini(&parser, end_field, end_row, &t) < 0)
		t.wrong = "ends within quotes";
	if (parser.entry_buf)
		gnutls_memset(parser.entry_buf, 0, parser.entry_size);
	csv_free(&parser);
	return t.ended ? NULL : t.wrong;
}
