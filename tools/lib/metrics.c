// SPDX-License-Identifier: LGPL-2.1-or-later
#include "metrics.h"

#include <stdarg.h>

void ifpp_metric(GString *out, const char *name, const char *type, const char *help)
{
	g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_value(GString *out, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	for (const char *p = valid; *p; p++) {
		if (*p == '\n')
			g_string_append(out, "\\n");
		else if (*p == '"' || *p == '\\')
			g_string_append_printf(out, "\\%c", *p);
		else
			g_string_append_c(out, *p);
	}
}

void ifpp_sample(GString *out, const char *name, double value, ...)
{
	char number[G_ASCII_DTOSTR_BUF_SIZE];
	const char *label, *separator = "{";
	va_list labels;

	g_string_append(out, name);
	va_start(labels, value);
	while ((label = va_arg(labels, const char *))) {
		g_string_append_printf(out, "%s%s=\"", separator, label);
		add_value(out, va_arg(labels, const char *));
		g_string_append_c(out, '"');
		separator = ",";
	}
	va_end(labels);
	/* Whatever the locale says of decimal points. */
	g_string_append_printf(out, "%s %s\n", *separator == ',' ? "}" : "", g_ascii_dtostr(number, sizeof(number), value));
}
