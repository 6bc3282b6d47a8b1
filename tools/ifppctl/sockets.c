// SPDX-License-Identifier: GPL-2.0-or-later
#include "sockets.h"

#include <eid.h>
#include <file.h>
#include <string.h>

#define FILE_MAX (64 * 1024)

void ctl_unit_read(const char *outbox, const guint8 eid[16], IfppUnit *unit)
{
	g_autofree char *dir = NULL;
	char digits[33];

	ifpp_eid_format(eid, digits);
	dir = g_build_filename(outbox, digits, NULL);
	ifpp_unit_load(unit, dir, IFPP_UNIT_FILE);
	ifpp_unit_load(unit, dir, IFPP_UNIT_SCAN_FILE);
}

char *ctl_socket_name(const char *file, const char *path)
{
	g_autoptr(GBytes) bytes = ifpp_file_read(file ?: CTL_SOCKETS, FILE_MAX, NULL);
	g_autofree char *text = bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : g_strdup("");
	g_auto(GStrv) lines = path ? g_strsplit(text, "\n", -1) : NULL;

	for (guint i = 0; lines && lines[i]; i++) {
		char *line = lines[i], *name;

		*strchrnul(line, '#') = '\0';
		g_strstrip(line);
		if (!*line)
			continue;
		name = line + strcspn(line, " \t");
		if (*name)
			*name++ = '\0';
		name = g_strchug(name);
		if (!ifpp_unit_text_valid(name))
			g_info("%s: line %u is not USB-PATH NAME", file ?: CTL_SOCKETS, i + 1);
		else if (g_str_equal(line, path))
			return g_strdup(name);
	}
	return g_strdup(path);
}

char *ctl_socket(const char *outbox, const guint8 eid[16])
{
	g_auto(IfppUnit) unit = { 0 };

	ctl_unit_read(outbox, eid, &unit);
	return ctl_socket_name(NULL, unit.field[IFPP_UNIT_USB_PATH]);
}
