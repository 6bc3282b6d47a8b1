// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "error.h"
#include "file.h"
#include "options.h"

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
	struct stat st;
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

	/* As root "-o /dev/null" must not make a file of the device, nor of the link that /dev/stdout is. */
	g_assert_cmpint(mkfifo(sub, 0600), ==, 0);
	write_fails(sub, 1, IFPP_ERROR_IO);
	g_assert_true(g_lstat(sub, &st) == 0 && S_ISFIFO(st.st_mode));
	g_unlink(sub);
	g_assert_cmpint(symlink("/proc/self/fd/1", sub), ==, 0);
	write_fails(sub, 1, IFPP_ERROR_IO);
	g_assert_true(g_file_test(sub, G_FILE_TEST_IS_SYMLINK));
	g_unlink(sub);

	after = ifpp_file_read(path, 100, NULL);
	g_assert_cmpmem(g_bytes_get_data(after, NULL), g_bytes_get_size(after), "old", 3);
	g_assert_cmpuint(entries(), ==, 1);
	g_unlink(path);
}

/* What a program returns that prints, before its end or not, to a disk that is full or to somebody who has left. */
static int printed_to(const char *path, gboolean flushed)
{
	int status, fds[2];
	pid_t pid = fork();

	if (!pid) {
		signal(SIGPIPE, SIG_IGN);
		g_assert_true(freopen("/dev/null", "w", stderr));
		if (path) {
			g_assert_true(freopen(path, "w", stdout));
		} else {
			g_assert_cmpint(pipe(fds), ==, 0);
			dup2(fds[1], 1);
			close(fds[0]);
		}
		puts("a line");
		if (flushed)
			fflush(stdout);
		_exit(ifpp_stdout_exit("test", 0));
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_stdout(void)
{
	for (int flushed = 0; flushed < 2; flushed++) {
		g_assert_cmpint(printed_to("/dev/null", flushed), ==, 0);
		g_assert_cmpint(printed_to("/dev/full", flushed), ==, IFPP_EXIT_IO);
		g_assert_cmpint(printed_to(NULL, flushed), ==, 0);
	}
}

/* GLib takes "--yes=no" for "--yes". */
static void test_flag_with_value(void)
{
	static const GOptionEntry entries[] = {
		{ "yes", 'y', 0, G_OPTION_ARG_NONE, NULL, NULL, NULL }, { "out", 'o', 0, G_OPTION_ARG_STRING, NULL, NULL, NULL },
		G_OPTION_ENTRY_NULL
	};
	static const struct { const char *arg; gboolean ok; } cases[] = {
		{ "--yes", TRUE }, { "--yes=no", FALSE }, { "--yes=false", FALSE }, { "--yes=yes", FALSE }, { "--yes=", FALSE },
		{ "--out=yes", TRUE }, { "--ye=no", TRUE }, { "--yesterday=1", TRUE }, { "yes=no", TRUE }, { "", FALSE },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		char *argv[] = { (char *)"test", (char *)"-y", (char *)cases[i].arg, NULL };
		g_autoptr(GError) error = NULL;

		g_assert_cmpint(ifpp_options_check(entries, 3, argv, &error), ==, cases[i].ok);
		if (!cases[i].ok)
			g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	}
}

/* Told of each fsync(); the test's own function stands before libc's. */
static GPtrArray *synced;

int fsync(int fd)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
	char *path = g_file_read_link(link, NULL);

	g_assert_nonnull(path);
	if (synced)
		g_ptr_array_add(synced, path);
	else
		g_free(path);
	return syscall(SYS_fsync, fd);
}

/* The name of each new directory is on disk, up to the one that was there. */
static void test_make_dir(void)
{
	g_autofree char *deep = g_build_filename(dir, "a", "b", "c", NULL);
	g_autofree char *b = g_path_get_dirname(deep), *a = g_path_get_dirname(b);
	g_autofree char *file = g_build_filename(dir, "file", NULL);
	g_autofree char *below = g_build_filename(file, "d", NULL);
	const char *want[] = { dir, a, b };
	g_autoptr(GError) error = NULL;

	synced = g_ptr_array_new_with_free_func(g_free);
	g_assert_true(ifpp_make_dir(deep, 0750, &error));
	g_assert_no_error(error);
	g_assert_true(g_file_test(deep, G_FILE_TEST_IS_DIR));
	g_assert_cmpuint(synced->len, ==, G_N_ELEMENTS(want));
	for (guint i = 0; i < G_N_ELEMENTS(want); i++)
		g_assert_cmpstr(synced->pdata[i], ==, want[i]);
	g_assert_true(ifpp_make_dir(deep, 0750, &error));
	g_assert_cmpuint(synced->len, ==, G_N_ELEMENTS(want));
	g_clear_pointer(&synced, g_ptr_array_unref);

	g_assert_true(ifpp_file_write(file, "", 0, 0600, NULL));
	g_assert_false(ifpp_make_dir(file, 0750, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
	g_clear_error(&error);
	g_assert_false(ifpp_make_dir(below, 0750, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
	g_unlink(file);
	g_rmdir(deep);
	g_rmdir(b);
	g_rmdir(a);
}

/* Whose fault it is: the path, this user's rights, or the disk. */
static void test_disk_is_named(void)
{
	static const struct {
		int err, code;
		IfppExit exit;
	} cases[] = {
		{ ENOENT, IFPP_ERROR_IO, IFPP_EXIT_INPUT },
		{ EISDIR, IFPP_ERROR_IO, IFPP_EXIT_INPUT },
		{ EACCES, IFPP_ERROR_ACCESS, IFPP_EXIT_ACCESS },
		{ EPERM, IFPP_ERROR_CONFINED, IFPP_EXIT_ACCESS },	/* in a container; root is not asked for */
		{ EROFS, IFPP_ERROR_DISK, IFPP_EXIT_IO },
		{ EIO, IFPP_ERROR_DISK, IFPP_EXIT_IO },
		{ ESTALE, IFPP_ERROR_DISK, IFPP_EXIT_IO },
		{ ENOSPC, IFPP_ERROR_NO_SPACE, IFPP_EXIT_IO },
		{ EDQUOT, IFPP_ERROR_NO_SPACE, IFPP_EXIT_IO },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		errno = cases[i].err;
		g_assert_false(ifpp_file_error("/somewhere", NULL, &error));
		g_assert_error(error, IFPP_ERROR, cases[i].code);
		g_assert_cmpint(ifpp_error_exit("test", error), ==, cases[i].exit);
	}
	g_assert_nonnull(strstr(ifpp_error_hint(IFPP_ERROR_DISK), "neither the chip nor the modem"));
	g_assert_cmpstr(ifpp_error_name(IFPP_ERROR_DISK), ==, "disk");
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
	g_test_add_func("/file/make-dir", test_make_dir);
	g_test_add_func("/file/disk_is_named", test_disk_is_named);
	g_test_add_func("/file/stdout", test_stdout);
	g_test_add_func("/options/flag-with-value", test_flag_with_value);
	rc = g_test_run();
	g_rmdir(dir);
	g_free(dir);
	return rc;
}
