// SPDX-License-Identifier: GPL-2.0-or-later
#include "inputs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "diskset.h"
#include "error.h"
#include "file.h"

#define FILES_MAX (1u << 30)

/* Names one after the other, each with a NUL; and where each begins. */
struct _Inputs {
	FILE *names, *starts;
	guint64 end;
	guint count;
	const char *dir;	/* whose names come now */
};

static FILE *open_temporary(GError **error)
{
	g_autofree char *path = g_build_filename(diskset_dir(), "ifpp-smdpf-XXXXXX", NULL);
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");

	if (!file)
		ifpp_file_error(path, "cannot create", error);
	if (fd >= 0)
		g_unlink(path);
	if (fd >= 0 && !file)
		close(fd);
	return file;
}

static gboolean put(Inputs *inputs, const char *path, GError **error)
{
	gsize len = strlen(path) + 1;

	if (inputs->count == FILES_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "more than %u files", FILES_MAX);
		return FALSE;
	}
	if (fwrite(&inputs->end, sizeof(inputs->end), 1, inputs->starts) != 1 || fwrite(path, len, 1, inputs->names) != 1)
		return ifpp_file_error(diskset_dir(), "a temporary file", error);
	inputs->end += len;
	inputs->count++;
	return TRUE;
}

static gboolean put_found(IfppSpan name, gpointer user, GError **error)
{
	g_autofree char *text = g_strndup((const char *)name.data, name.len), *path = NULL;
	Inputs *inputs = user;

	path = g_build_filename(inputs->dir, text, NULL);
	return put(inputs, path, error);
}

static gboolean put_directory(Inputs *inputs, const char *path, const char *suffix1, const char *suffix2, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	g_autoptr(Db) found = diskset_new(error);
	guint before = inputs->count;
	const char *name;

	if (!found)
		return FALSE;
	while (dir && (name = g_dir_read_name(dir)))
		if ((g_str_has_suffix(name, suffix1) || g_str_has_suffix(name, suffix2)) &&
		    !diskset_add(found, (IfppSpan){ (const guint8 *)name, strlen(name) }, error))
			return FALSE;
	inputs->dir = path;
	if (!diskset_foreach(found, put_found, inputs, error))
		return FALSE;
	if (inputs->count > before)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: no *%s in it", path, suffix1);
	return FALSE;
}

Inputs *inputs_open(char **names, const char *suffix1, const char *suffix2, GError **error)
{
	g_autoptr(Inputs) inputs = g_new0(Inputs, 1);

	inputs->names = open_temporary(error);
	inputs->starts = inputs->names ? open_temporary(error) : NULL;
	if (!inputs->starts)
		return NULL;
	for (guint i = 0; names[i]; i++)
		if (!(g_file_test(names[i], G_FILE_TEST_IS_DIR) ? put_directory(inputs, names[i], suffix1, suffix2, error) :
								   put(inputs, names[i], error)))
			return NULL;
	/* from here on it is read by those who fork, too: without a position */
	if (fflush(inputs->names) || fflush(inputs->starts)) {
		ifpp_file_error(diskset_dir(), "a temporary file", error);
		return NULL;
	}
	return g_steal_pointer(&inputs);
}

void inputs_free(Inputs *inputs)
{
	if (!inputs)
		return;
	if (inputs->names)
		fclose(inputs->names);
	if (inputs->starts)
		fclose(inputs->starts);
	g_free(inputs);
}

guint inputs_count(const Inputs *inputs)
{
	return inputs->count;
}

static void read_at(FILE *file, void *out, gsize len, guint64 at)
{
	if (pread(fileno(file), out, len, at) != (gssize)len)
		g_error("a temporary file cannot be read");
}

char *inputs_path(const Inputs *inputs, guint number)
{
	gboolean last = number + 1 == inputs->count;
	guint64 from[2] = { 0, inputs->end };
	char *path;

	read_at(inputs->starts, from, last ? sizeof(from[0]) : sizeof(from), (guint64)number * sizeof(from[0]));
	path = g_malloc(from[1] - from[0]);
	read_at(inputs->names, path, from[1] - from[0], from[0]);
	return path;
}
