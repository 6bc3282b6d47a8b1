// SPDX-License-Identifier: LGPL-2.1-or-later
#include "csv-field.h"

#include <string.h>

void ifpp_csv_field(GString *out, const char *text)
{
	const char *formula = text && *text && strchr("=+-@\t\r", *text) ? "'" : "";

	if (!text || (!strpbrk(text, ",\"\r\n") && !*formula)) {
		g_string_append(out, text ?: "");
		return;
	}
	g_string_append_printf(out, "\"%s", formula);
	for (; *text; text++)
		g_string_append_printf(out, *text == '"' ? "\"\"" : "%c", *text);
	g_string_append_c(out, '"');
}
