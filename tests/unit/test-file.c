// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "error.h"
#include "file.h"

static char *dir;

static guint entries(void)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	guint n = 0;

	while (g_dir_read_name(d))
		n++;
	return n;
}

static void test_round_trip(void)
{
	g_autofree char *path = g_build_filename(dir, "file", NULL);
	g_autoptr(GBytes) first = NULL;
	g_autoptr(GBytes) second = NULL;
	GError *error = NULL;
	struct stat st;

	g_assert_true(ifpp_file_write(path, "first", 5, 0600, &error));
	g_assert_no_error(error);
	first = ifpp_file_read(path, 5, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(g_bytes_get_data(first, NULL), g_bytes_get_size(first), "first", 5);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 0777, ==, 0600);

	g_assert_true(ifpp_file_write(path, NULL, 0, 0600, &error));
	g_assert_no_error(error);
	second = ifpp_file_read(path, 0, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(g_bytes_get_size(second), ==, 0);
	g_assert_cmpuint(entries(), ==, 1);
	g_unlink(path);
}

static void read_fails(const char *path, gsize max, int code, const char *why)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(ifpp_file_read(path, max, &error));
	g_assert_error(error, IFPP_ERROR, code);
	g_assert_true(g_str_has_prefix(error->message, path));
	g_assert_nonnull(strstr(error->message, why));
}

static void test_read_refused(void)
{
	g_autofree char *path = g_build_filename(dir, "file", NULL);
	g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);

	read_fails(path, 10, IFPP_ERROR_IO, "No such file");
	read_fails(dir, 10, IFPP_ERROR_IO, "is a directory");
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	read_fails(fifo, 10, IFPP_ERROR_IO, "not a file");
	g_unlink(fifo);
	g_assert_true(ifpp_file_write(path, "123", 3, 0600, NULL));
	read_fails(path, 2, IFPP_ERROR_TOO_LARGE, "2 bytes");
	g_unlink(path);
}

static void write_fails(const char *path, gsize len, int code)
{
	g_autoptr(GError) error = NULL;
	g_autofree guint8 *data = g_malloc0(len);

	g_assert_false(ifpp_file_write(path, data, len, 0600, &error));
	g_assert_error(error, IFPP_ERROR, code);
}

/* A write that fails leaves the old file whole and nothing beside it. */
static void test_write_refused(void)
{
	g_autofree char *path = g_build_filename(dir, "file", NULL);
	g_autofree char *missing = g_build_filename(dir, "missing", "file", NULL);
	g_autofree char *sub = g_build_filename(dir, "sub", NULL);
	struct rlimit limit, small = { 4096, RLIM_INFINITY };
	g_autoptr(GBytes) after = NULL;

	g_assert_true(ifpp_file_write(path, "old", 3, 0600, NULL));
	write_fails(missing, 1, IFPP_ERROR_IO);

	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	small.rlim_max = limit.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	write_fails(path, 8192, IFPP_ERROR_NO_SPACE);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);

	g_assert_cmpint(g_mkdir(sub, 0700), ==, 0);
	write_fails(sub, 1, IFPP_ERROR_IO);
	g_rmdir(sub);

	after = ifpp_file_read(path, 100, NULL);
	g_assert_cmpmem(g_bytes_get_data(after, NULL), g_bytes_get_size(after), "old", 3);
	g_assert_cmpuint(entries(), ==, 1);
	g_unlink(path);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	dir = g_dir_make_tmp("ifpp-test-XXXXXX", NULL);
	g_assert_nonnull(dir);
	g_test_add_func("/file/round-trip", test_round_trip);
	g_test_add_func("/file/read-refused", test_read_refused);
	g_test_add_func("/file/write-refused", test_write_refused);
	rc = g_test_run();
	g_rmdir(dir);
	g_free(dir);
	return rc;
}
