// SPDX-License-Identifier: LGPL-2.1-or-later
#include "unit.h"

#include <string.h>

const char *const ifpp_unit_names[IFPP_UNIT_FIELDS] = {
	"imei", "model", "firmware", "serial", "usb_path", "station", "board_serial", "work_order",
};

const char *const ifpp_unit_keys[IFPP_UNIT_FIELDS] = {
	"Imei", "Model", "Firmware", "Serial", "UsbPath", "Station", "BoardSerial", "WorkOrder",
};

gboolean ifpp_unit_text_valid(const char *text)
{
	gsize len = strlen(text);

	if (!len || len > IFPP_UNIT_TEXT_MAX || *text == ' ' || text[len - 1] == ' ' || !g_utf8_validate(text, len, NULL))
		return FALSE;
	/* A key file would write a backslash in another way than it reads it. */
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		if (*p == '\\' || !g_unichar_isprint(g_utf8_get_char(p)))
			return FALSE;
	return TRUE;
}

gboolean ifpp_unit_set(IfppUnit *unit, IfppUnitField field, const char *text)
{
	g_autofree char *own = g_strstrip(g_strdup(text ?: ""));

	if (*own && !ifpp_unit_text_valid(own))
		return FALSE;
	g_free(unit->field[field]);
	unit->field[field] = *own ? g_steal_pointer(&own) : NULL;
	return TRUE;
}

void ifpp_unit_fill(IfppUnit *unit, const IfppUnit *from)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		if (!unit->field[i])
			unit->field[i] = g_strdup(from->field[i]);
}

gboolean ifpp_unit_is_empty(const IfppUnit *unit)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		if (unit->field[i])
			return FALSE;
	return TRUE;
}

void ifpp_unit_clear(IfppUnit *unit)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		g_clear_pointer(&unit->field[i], g_free);
}

void ifpp_unit_read(IfppUnit *unit, GKeyFile *kf, const char *group)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++) {
		g_autofree char *text = g_key_file_get_string(kf, group, ifpp_unit_keys[i], NULL);

		if (text)
			ifpp_unit_set(unit, i, text);
	}
}

void ifpp_unit_write(const IfppUnit *unit, GString *text)
{
	for (guint i = 0; i < IFPP_UNIT_FIELDS; i++)
		if (unit->field[i])
			g_string_append_printf(text, "%s=%s\n", ifpp_unit_keys[i], unit->field[i]);
}
