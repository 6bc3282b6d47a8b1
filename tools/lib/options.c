// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "file.h"

gboolean ifpp_usage_error(GError **error, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_USAGE, what);
	return FALSE;
}

/* The flag of @entries that @arg gives a value, "--yes=no"; GLib takes it for "--yes". */
static const char *flag_with_value(const GOptionEntry *entries, const char *arg)
{
	const char *value = g_str_has_prefix(arg, "--") ? strchr(arg, '=') : NULL;
	gsize len = value ? value - arg - 2 : 0;

	for (; value && entries && entries->long_name; entries++)
		if (entries->arg == G_OPTION_ARG_NONE && strlen(entries->long_name) == len &&
		    !strncmp(entries->long_name, arg + 2, len))
			return entries->long_name;
	return NULL;
}

gboolean ifpp_options_check(const GOptionEntry *entries, int argc, char **argv, GError **error)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		const char *flag = flag_with_value(entries, argv[i]);

		if (!flag)
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: --%s takes no value; leave it out if it is not meant", argv[i],
			    flag);
		return FALSE;
	}
	for (int i = 1; i < argc; i++) {
		gsize len = strlen(argv[i]);

		if (len && !(g_str_has_prefix(argv[i], "--") && argv[i][len - 1] == '='))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s%s: an empty argument, as of a variable that is not set",
			    len || i == 1 ? "" : "after ", len ? argv[i] : argv[i - 1]);
		return FALSE;
	}
	return TRUE;
}

gboolean ifpp_options_parse(GOptionEntry *entries, const char *params, const char *summary, int *argc,
			    char ***argv, int n_args, GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(params);
	g_autoptr(GError) inner = NULL;

	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!ifpp_options_check(entries, *argc, *argv, error))
		return FALSE;
	if (!g_option_context_parse(context, argc, argv, &inner))
		return ifpp_usage_error(error, inner->message);
	if (n_args >= 0 && *argc - 1 != n_args)
		return ifpp_usage_error(error,
					*argc - 1 < n_args ? "an argument is missing" : "too many arguments");
	return TRUE;
}

int ifpp_options_main(const char *program, const char *usage, const IfppCommand *commands,
		      int (*fail)(const GError *error), int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	int exit_code = IFPP_EXIT_OK;

	if (argc < 2) {
		fputs(usage, stderr);
		return IFPP_EXIT_USAGE;
	}
	if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) {
		fputs(usage, stdout);
		return IFPP_EXIT_OK;
	}
	if (g_str_equal(argv[1], "--version")) {
		printf("%s " IFPP_VERSION "\n", program);
		return IFPP_EXIT_OK;
	}
	for (; commands->name; commands++) {
		if (!g_str_equal(argv[1], commands->name))
			continue;
		g_set_prgname(program);
		return commands->run(argc - 1, argv + 1, &exit_code, &error) ? exit_code : fail(error);
	}
	g_set_error(&error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: no such command", argv[1]);
	return fail(error);
}

int ifpp_stdout_exit(const char *program, int code)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	gboolean failed = ferror(stdout);
	g_autoptr(GError) error = NULL;
	int status, err;

	errno = 0;
	if (!fflush(stdout) && !failed)
		return code;
	err = errno;
	/* An earlier flush failed and has taken its errno along: the next byte fails in the same way. */
	if (!err)
		err = write(STDOUT_FILENO, "\n", 1) < 0 ? errno : EIO;
	if (err == EPIPE || (poll(&out, 1, 0) == 1 && out.revents & POLLERR))
		return code;
	errno = err;
	ifpp_file_error("standard output", "cannot write", &error);
	status = ifpp_error_exit(program, error);
	return code ? code : status;
}

gboolean ifpp_can_ask(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

gboolean ifpp_ask(const char *question)
{
	char line[16] = "";

	printf("%s Type yes to go on: ", question);
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && g_str_equal(g_strchomp(line), "yes");
}
