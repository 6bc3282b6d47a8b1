// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"
#include "error.h"

gboolean ifpp_usage_error(GError **error, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_USAGE, what);
	return FALSE;
}

gboolean ifpp_options_parse(GOptionEntry *entries, const char *params, const char *summary, int *argc,
			    char ***argv, int n_args, GError **error)
{
	g_autoptr(GOptionContext) context = g_option_context_new(params);
	g_autoptr(GError) inner = NULL;

	g_option_context_set_summary(context, summary);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, &inner))
		return ifpp_usage_error(error, inner->message);
	if (*argc - 1 != n_args)
		return ifpp_usage_error(error,
					*argc - 1 < n_args ? "an argument is missing" : "too many arguments");
	return TRUE;
}
