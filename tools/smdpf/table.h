/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CSV as spreadsheets write it: commas, semicolons or tabs, quotes or none, a byte order mark or none. */
#ifndef SMDPF_TABLE_H
#define SMDPF_TABLE_H

#include <glib.h>

/* A row: its fields without blanks around them, and the line that it ends in. FALSE ends the walk. */
typedef gboolean (*TableRow)(GPtrArray *fields, guint line, gpointer user);

/**
 * table_read() - one walk through the text of a file
 * @text: its bytes
 * @len: how many
 * @line: gets where the walk is
 * @row: called for each row that is not blank and does not begin with #; the first has the columns' names
 * @user: for @row
 *
 * Every copy of a field is wiped: it may be a key.
 *
 * Return: what is wrong with the line, or NULL: the end, or @row has ended it.
 */
const char *table_read(const char *text, gsize len, guint *line, TableRow row, gpointer user);

#endif
