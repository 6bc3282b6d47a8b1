// SPDX-License-Identifier: LGPL-2.1-or-later
#include "unit.h"
#include "eid.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"

#define GROUP "Unit"
#define FILE_MAX (16 * 1024)

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

void ifpp_unit_load(IfppUnit *unit, const char *dir, const char *file)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);
	g_autoptr(GBytes) text = ifpp_file_read(path, FILE_MAX, NULL);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_auto(IfppUnit) read = {};

	if (!text || !g_key_file_load_from_bytes(kf, text, G_KEY_FILE_NONE, NULL))
		return;
	ifpp_unit_read(&read, kf, GROUP);
	ifpp_unit_fill(unit, &read);
}

gboolean ifpp_unit_save(const IfppUnit *unit, const char *dir, const char *file, GError **error)
{
	g_autofree char *path = g_build_filename(dir, file, NULL);
	g_autoptr(GBytes) have = ifpp_file_read(path, FILE_MAX, NULL);
	g_autoptr(GString) text = g_string_new("[" GROUP "]\n");

	ifpp_unit_write(unit, text);
	if (have && ifpp_span_equal(ifpp_span_bytes(have), (IfppSpan){ (const guint8 *)text->str, text->len }))
		return TRUE;
	/* The daemon and who runs ifppctl may be different users. */
	return ifpp_file_write(path, text->str, text->len, 0644, error);
}

/* "1-2.3": a bus, then ports. */
static gboolean is_usb(const char *name)
{
	gsize bus = strspn(name, "0123456789");

	return bus && name[bus] == '-' && name[bus + 1] && !name[bus + 1 + strspn(name + bus + 1, "0123456789.")];
}

/* "0000:01:00.0" */
static gboolean is_pci(const char *name)
{
	return strlen(name) == 12 && name[4] == ':' && name[7] == ':' && name[10] == '.' &&
	       strspn(name, "0123456789abcdef:.") == 12;
}

char *ifpp_port_path(const char *class_dir, const char *device)
{
	static const char *const classes[] = { "usbmisc", "wwan" };
	g_autofree char *name = g_path_get_basename(device);

	for (guint i = 0; i < G_N_ELEMENTS(classes); i++) {
		g_autofree char *link = g_build_filename(class_dir, classes[i], name, NULL);
		char *real = realpath(link, NULL);
		g_auto(GStrv) parts = g_strsplit(real ?: "", "/", -1);
		const char *usb = NULL, *pci = NULL;

		free(real);
		/* The nearest one: hubs and bridges come before it. */
		for (char **part = parts; *part; part++) {
			if (is_usb(*part))
				usb = *part;
			else if (is_pci(*part))
				pci = *part;
		}
		if (usb || pci)
			return g_strdup(usb ?: pci);
	}
	return NULL;
}

void ifpp_imei_mask(char *imei)
{
	gsize n = strspn(imei, "0123456789");

	if (n >= 14 && n <= 16 && !imei[n])
		memset(imei + 8, '.', n - 10);
}

gboolean ifpp_imei_read(const char *text, char imei[16])
{
	gsize len = strspn(text, "0123456789");

	if (text[len] || (len != 15 && len != 16))
		return FALSE;
	memcpy(imei, text, 14);
	imei[14] = '\0';
	imei[14] = ifpp_luhn(imei);
	imei[15] = '\0';
	return len == 16 || imei[14] == text[14];
}
