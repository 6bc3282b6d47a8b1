// SPDX-License-Identifier: GPL-2.0-or-later
/* ifppctl: the station's command line. It can push sealed packages, never open one. */
#include "ctl.h"
#include "explain.h"

#include <locale.h>
#include <options.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int (*run)(Ctl *ctl, int argc, char **argv, GError **error);
	const char *summary;
} commands[] = {
	{ "list", ctl_cmd_list, "chips that are here, and this machine's lock" },
	{ "info", ctl_cmd_info, "what the driver knows of one chip" },
	{ "request", ctl_cmd_request, "write a request for the Key Maker: the chips' public data" },
	{ "import", ctl_cmd_import, "verify a delivery of the Key Maker and unpack it" },
	{ "check", ctl_cmd_check, "name the packages that would be refused today, after a new CRL" },
	{ "load", ctl_cmd_load, "load sealed packages into a chip" },
	{ "provision", ctl_cmd_provision, "load everything a directory or depot has for a chip, then lock it if told" },
	{ "keys", ctl_cmd_keys, "list one-time keys, or delete the unused ones" },
	{ "rework", ctl_cmd_rework, "delete what was loaded, before the lock; the chip signs a record of it" },
	{ "lock", ctl_cmd_lock, "lock a chip, or with --host this machine, for life" },
	{ "handover", ctl_cmd_handover, "lock this machine when its chips are finished, and leave it to the field" },
	{ "retry", ctl_cmd_retry, "start the daemons and provisionings again that failed" },
	{ "monitor", ctl_cmd_monitor, "follow what happens" },
	{ "fetch", ctl_cmd_fetch, "bring packages of the chips that are here from the depot" },
	{ "deliver", ctl_cmd_deliver, "bring results and lock receipts to the depot" },
	{ "report", ctl_cmd_report, "write the Profile Loading Report for the Key Maker" },
	{ "hook", ctl_cmd_hook, "tell this station's hook of the units that are done" },
	{ "metrics", ctl_cmd_metrics, "write figures of this station for Prometheus" },
	{ "selftest", ctl_cmd_selftest, "tell whether a modem and its chip can be provisioned" },
};

static char *describe(void)
{
	GString *text = g_string_new("Commands:\n");

	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		g_string_append_printf(text, "  %-10s %s\n", commands[i].name, commands[i].summary);
	g_string_append(text, "\nEach has its own --help. ifppctl(1) tells the exit codes and the JSON objects.");
	return g_string_free(text, FALSE);
}

static int run(Ctl *ctl, int argc, char **argv, GError **error)
{
	gboolean version = FALSE;
	const GOptionEntry entries[] = {
		{ "device", 'd', 0, G_OPTION_ARG_STRING, &ctl->device, "Node or EID of the chip; default: the only one",
		  "ifppN" },
		{ "json", 'j', 0, G_OPTION_ARG_NONE, &ctl->out.json, "One JSON object per line", NULL },
		{ "show-ids", 0, 0, G_OPTION_ARG_NONE, &ctl->out.show_ids, "Print whole EIDs into logs too", NULL },
		{ "yes", 'y', 0, G_OPTION_ARG_NONE, &ctl->yes, "Do not ask before what cannot be undone", NULL },
		{ "version", 'V', 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context = g_option_context_new("COMMAND [ARG...]");
	g_autofree char *description = describe();

	g_option_context_set_summary(context, "Provision eSIM chips in the factory: push sealed packages into them, "
				     "then lock them.");
	g_option_context_set_description(context, description);
	g_option_context_add_main_entries(context, entries, NULL);
	/* What follows the command belongs to the command. */
	g_option_context_set_strict_posix(context, TRUE);
	if (!ifpp_options_check(entries, argc, argv, error) || !g_option_context_parse(context, &argc, &argv, error))
		return 0;
	if (version) {
		printf("ifppctl %s\n", IFPP_VERSION);
		return IFPP_EXIT_OK;
	}
	if (argc < 2) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "say what to do: list, info, load, provision...");
		return 0;
	}
	if (g_str_equal(argv[1], "help") && argc == 2) {
		g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);

		fputs(help, stdout);
		return IFPP_EXIT_OK;
	}
	if (g_str_equal(argv[1], "help")) {
		/* "help load" is "load --help" */
		argv[1] = argv[2];
		argv[2] = (char *)"--help";
	}
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		if (g_str_equal(argv[1], commands[i].name))
			return commands[i].run(ctl, argc - 1, argv + 1, error);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: there is no such command", argv[1]);
	return 0;
}

int main(int argc, char **argv)
{
	Ctl ctl = { .out.terminal = isatty(STDOUT_FILENO) };
	g_autoptr(GError) error = NULL;
	int exit;

	setlocale(LC_ALL, "");
	/* Messages of the C library are part of ours, and of stable JSON. */
	setlocale(LC_MESSAGES, "C");
	signal(SIGPIPE, SIG_IGN);
	exit = run(&ctl, argc, argv, &error);
	ctl_progress_end(&ctl.out);
	g_free(ctl.device);
	return ifpp_stdout_exit("ifppctl", error ? ctl_error_exit(error) : exit);
}
