/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Command lines of programs with commands: options, then a known number of words. */
#ifndef IFPP_OPTIONS_H
#define IFPP_OPTIONS_H

#include <glib.h>

/**
 * ifpp_options_parse() - parse the options of one command
 * @entries: its options, ended by an empty entry
 * @params: what --help shows after the command's name
 * @summary: what --help says first
 * @argc: as main()'s, options are taken out
 * @argv: likewise
 * @n_args: words that must be left after the command's own name; -1: the caller looks
 * @error: IFPP_ERROR_USAGE
 */
gboolean ifpp_options_parse(GOptionEntry *entries, const char *params, const char *summary, int *argc,
			    char ***argv, int n_args, GError **error);

typedef struct {
	const char *name;
	/* argv[0] is the command's name. FALSE: @error is set; else *exit_code counts, which is 0 at first */
	gboolean (*run)(int argc, char **argv, int *exit_code, GError **error);
} IfppCommand;

/**
 * ifpp_options_main() - main() of a program with commands
 * @program: its name
 * @usage: what --help prints, and standard error if no command is named
 * @commands: ended by one without a name
 * @fail: prints an error and returns the exit status for it
 * @argc: as main()'s
 * @argv: likewise
 *
 * Return: the exit status.
 */
int ifpp_options_main(const char *program, const char *usage, const IfppCommand *commands,
		      int (*fail)(const GError *error), int argc, char **argv);

/* Somebody sits there who can be asked. */
gboolean ifpp_can_ask(void);

/**
 * ifpp_ask() - ask before what somebody should mean
 * @question: a sentence
 *
 * Return: "yes" was typed
 */
gboolean ifpp_ask(const char *question);

/**
 * ifpp_options_check() - refuse a command line that would be taken for another than it is
 * @entries: options that may be in it, or NULL
 * @argc: as main()'s
 * @argv: likewise
 * @error: IFPP_ERROR_USAGE, with the argument
 *
 * A value for an option that takes none: GLib reads "--yes=no" as "--yes". An empty argument: no option and no command
 * here has a use for one. An empty name of a directory would mean the current one, an empty name of a database one that
 * is gone when it is closed. ifpp_options_parse() asks this itself.
 */
gboolean ifpp_options_check(const GOptionEntry *entries, int argc, char **argv, GError **error);

/**
 * ifpp_stdout_exit() - has all that was printed been written?
 * @program: name in front of the error
 * @code: exit status so far
 *
 * The last thing before a program ends. Who has closed his end of a pipe does not want the rest: no error.
 *
 * Return: @code; if that is 0 and standard output failed, the status of that error.
 */
int ifpp_stdout_exit(const char *program, int code);

/* Set IFPP_ERROR_USAGE and return FALSE. */
gboolean ifpp_usage_error(GError **error, const char *what);

#endif
