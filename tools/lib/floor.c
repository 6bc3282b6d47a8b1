// SPDX-License-Identifier: LGPL-2.1-or-later
#include "floor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "build-time.h"
#include "error.h"
#include "file.h"

#define FLOOR_MAX 64

gint64 ifpp_floor_built(void)
{
	return IFPP_BUILD_TIME;
}

char *ifpp_floor_text(gint64 when)
{
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(when);

	return date ? g_date_time_format(date, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("a date beyond the year 9999");
}

gboolean ifpp_floor_read(const char *path, gint64 *floor, GError **error)
{
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GDateTime) date = NULL;
	g_autofree char *text = NULL;

	*floor = 0;
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	file = ifpp_file_read(path, FLOOR_MAX, error);
	if (!file)
		return FALSE;
	text = g_strndup(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
	date = g_date_time_new_from_iso8601(g_strchomp(text), NULL);
	if (!date) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: there is no date in it", path);
		return FALSE;
	}
	*floor = g_date_time_to_unix(date);
	return TRUE;
}

static gboolean rise(const char *path, gint64 floor, GError **error)
{
	g_autofree char *text = ifpp_floor_text(floor), *line = g_strconcat(text, "\n", NULL);
	gint64 before = 0;

	/* One that cannot be read is replaced: it holds nothing back. */
	if (ifpp_floor_read(path, &before, NULL) && before && floor < before + IFPP_FLOOR_SLACK)
		return TRUE;
	return ifpp_file_write(path, line, strlen(line), 0644, error);
}

gboolean ifpp_floor_write(const char *path, gint64 floor, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);
	gboolean done;
	int fd;

	if (!ifpp_make_dir(dir, 0755, error))
		return FALSE;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX)) {
		ifpp_file_error(dir, "cannot lock it", error);
		if (fd >= 0)
			close(fd);
		return FALSE;
	}
	done = rise(path, floor, error);
	close(fd);
	return done;
}

gboolean ifpp_floor_check(gint64 clock, gint64 floor, const char *what, GError **error)
{
	g_autofree char *says = NULL, *proven = NULL;

	if (clock >= floor - IFPP_FLOOR_SLACK)
		return TRUE;
	says = ifpp_floor_text(clock);
	proven = ifpp_floor_text(floor);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TIME_UNKNOWN,
		    "the time is not known: this machine's clock says %s, and %s is of %s", says, what, proven);
	return FALSE;
}
