// SPDX-License-Identifier: GPL-2.0-or-later
#include "witness.h"

#include <string.h>

#include <file.h>

#include "rows.h"

#define SUFFIX "-seen"
#define FILE_MAX 256

struct _Witness {
	Depot *depot;		/* NULL: not of SQLite */
	char *path, *epoch;
	gint64 written;		/* lines of history that the file tells */
	void (*tell)(const char *line);
};

/* The rows of the history are numbered as they come, and none is ever deleted. */
static gboolean get_lines(const Witness *w, gint64 *lines, GError **error)
{
	return db_run(w->depot->db, "SELECT COALESCE(MAX(rowid), 0) FROM history", NULL, 0, rows_take_int, lines, NULL, error);
}

/* "IDENTITY-EPOCH", and what of it is the identity. */
static gboolean same_depot(const char *a, const char *b)
{
	gsize n = strcspn(a, "-");

	return n == strcspn(b, "-") && !strncmp(a, b, n);
}

/*
 * How far the file says that the history had come; 0: nothing is known. A file of another epoch tells of a database
 * that is not this one: a copy of it was put back once before, and this is again what it was then.
 */
static gint64 read_lines(const Witness *w, gboolean *another)
{
	g_autoptr(GBytes) file = g_file_test(w->path, G_FILE_TEST_EXISTS) ? ifpp_file_read(w->path, FILE_MAX, NULL) : NULL;
	g_autofree char *text = file ? g_strndup(g_bytes_get_data(file, NULL), g_bytes_get_size(file)) : NULL;
	g_auto(GStrv) words = text ? g_strsplit(g_strchomp(text), " ", 2) : NULL;
	guint64 lines;

	if (!words)
		return 0;
	*another = g_strv_length(words) == 2 && !same_depot(words[0], w->epoch);
	if (g_strv_length(words) != 2 || !g_str_equal(words[0], w->epoch) ||
	    !g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXINT64, &lines, NULL))
		return G_MAXINT64;
	return lines;
}

static gboolean write_file(const Witness *w, const char *epoch, gint64 lines, GError **error)
{
	g_autofree char *text = g_strdup_printf("%s %" G_GINT64_FORMAT "\n", epoch, lines);

	return ifpp_file_write(w->path, text, strlen(text), 0640, error);
}

static gboolean renew(Witness *w, const char *why, GError **error)
{
	if (!depot_epoch_renew(w->depot, error))
		return FALSE;
	w->tell(why);
	w->written = 0;
	return witness_write(w, error);
}

static gboolean look(Witness *w, GError **error)
{
	gboolean another = FALSE;
	gint64 lines = 0;

	w->epoch = depot_epoch(w->depot, error);
	if (!w->epoch || !get_lines(w, &lines, error))
		return FALSE;
	w->written = read_lines(w, &another);
	if (lines >= w->written)
		return TRUE;
	return renew(w, another ? "the database is that of another depot than before: what stations bring of packages that are not "
		     "here is refused, and stays with them" :
		     "the database is older than it was: this is another epoch, in which stations bring their results again", error);
}

Witness *witness_new(const char *url, void (*tell)(const char *line), GError **error)
{
	Witness *w = g_new0(Witness, 1);

	w->tell = tell;
	if (db_is_server(url))
		return w;
	w->path = g_strconcat(g_str_has_prefix(url, "sqlite:") ? url + strlen("sqlite:") : url, SUFFIX, NULL);
	w->depot = depot_open(url, TRUE, error);
	if (w->depot && look(w, error))
		return w;
	witness_free(w);
	return NULL;
}

gboolean witness_write(Witness *w, GError **error)
{
	g_autofree char *epoch = NULL;
	gint64 lines = 0;

	if (!w->depot)
		return TRUE;
	epoch = depot_epoch(w->depot, error);
	if (!epoch || !get_lines(w, &lines, error))
		return FALSE;
	if (lines == w->written && g_str_equal(epoch, w->epoch))
		return TRUE;
	if (lines < w->written)
		return renew(w, "the database has become older while it was in use: this is another epoch; stop what works on it "
			     "before its file is replaced", error);
	if (!write_file(w, epoch, lines, error))
		return FALSE;
	g_free(w->epoch);
	w->epoch = g_steal_pointer(&epoch);
	w->written = lines;
	return TRUE;
}

gboolean witness_check(Witness *w, GError **error)
{
	g_autoptr(GError) local = NULL;
	gint64 lines;

	if (!w->depot || get_lines(w, &lines, &local) || !g_error_matches(local, DB_ERROR, DB_ERROR_REPLACED))
		return TRUE;
	/* What was answered since the file was written may be in no copy. */
	if (!write_file(w, w->epoch, G_MAXINT64, error))
		return FALSE;
	g_propagate_error(error, g_steal_pointer(&local));
	return FALSE;
}

void witness_free(Witness *w)
{
	if (!w)
		return;
	depot_close(w->depot);
	g_free(w->path);
	g_free(w->epoch);
	g_free(w);
}
