// SPDX-License-Identifier: GPL-2.0-or-later
#include "devices.h"

#include <stdlib.h>
#include <string.h>

#include "eid.h"
#include "error.h"
#include "file.h"
#include "unit.h"

#define FILE_NAME "devices"
#define LINE_LEN (IFPP_EID_DIGITS + 1 + 15 + 1)
#define FILE_MAX (64 * 1024 * 1024)

typedef struct {
	guint8 eid[16];
	char imei[16];
} Device;

struct _Devices {
	GArray *all;		/* Device, by EID as far as they are sorted */
	gboolean sorted;
};

Devices *devices_new(void)
{
	Devices *devices = g_new0(Devices, 1);

	devices->all = g_array_new(FALSE, FALSE, sizeof(Device));
	devices->sorted = TRUE;
	return devices;
}

void devices_free(Devices *devices)
{
	if (!devices)
		return;
	g_array_unref(devices->all);
	g_free(devices);
}

void devices_set(Devices *devices, const guint8 eid[16], const char *imei)
{
	Device device = {};

	memcpy(device.eid, eid, sizeof(device.eid));
	g_strlcpy(device.imei, imei, sizeof(device.imei));
	g_array_append_val(devices->all, device);
	devices->sorted = FALSE;
}

static int by_eid(gconstpointer a, gconstpointer b)
{
	const Device *x = a, *y = b;

	return memcmp(x->eid, y->eid, sizeof(x->eid));
}

/* Of one that was told again the last word stays; g_array_sort() keeps the order of equals. */
static void sort(Devices *devices)
{
	GArray *all = devices->all;
	guint n = 0;

	if (devices->sorted)
		return;
	g_array_sort(all, by_eid);
	for (guint i = 0; i < all->len; i++) {
		Device *device = &g_array_index(all, Device, i);

		n -= n && !by_eid(&g_array_index(all, Device, n - 1), device);
		g_array_index(all, Device, n++) = *device;
	}
	g_array_set_size(all, n);
	devices->sorted = TRUE;
}

const char *devices_find(Devices *devices, const guint8 eid[16])
{
	Device wanted, *found;

	sort(devices);
	memcpy(wanted.eid, eid, sizeof(wanted.eid));
	found = devices->all->len ? bsearch(&wanted, devices->all->data, devices->all->len, sizeof(Device), by_eid) : NULL;
	return found ? found->imei : NULL;
}

static gboolean take_line(Devices *devices, const char *line)
{
	char digits[IFPP_EID_DIGITS + 1], told[16], imei[16];
	guint8 eid[16];

	g_strlcpy(digits, line, sizeof(digits));
	g_strlcpy(told, line + sizeof(digits), sizeof(told));
	if (line[IFPP_EID_DIGITS] != ' ' || line[LINE_LEN - 1] != '\n' || !ifpp_eid_parse(digits, eid, NULL) ||
	    !ifpp_imei_read(told, imei) || strcmp(told, imei))
		return FALSE;
	devices_set(devices, eid, imei);
	return TRUE;
}

gboolean devices_load(Devices *devices, const char *dir, GError **error)
{
	g_autofree char *path = g_build_filename(dir, FILE_NAME, NULL);
	g_autoptr(GBytes) file = NULL;
	const char *text;
	gsize len;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	file = ifpp_file_read(path, FILE_MAX, error);
	if (!file)
		return FALSE;
	text = g_bytes_get_data(file, &len);
	for (gsize at = 0; at < len; at += LINE_LEN) {
		if (len - at >= LINE_LEN && take_line(devices, text + at))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: is damaged at byte %zu: delete it and import the request again", path,
			    at);
		return FALSE;
	}
	return TRUE;
}

gboolean devices_save(Devices *devices, const char *dir, GError **error)
{
	g_autofree char *path = g_build_filename(dir, FILE_NAME, NULL);
	g_autoptr(GString) text = g_string_new(NULL);

	sort(devices);
	for (guint i = 0; i < devices->all->len; i++) {
		const Device *device = &g_array_index(devices->all, Device, i);
		char digits[IFPP_EID_DIGITS + 1];

		ifpp_eid_format(device->eid, digits);
		g_string_append_printf(text, "%s %s\n", digits, device->imei);
	}
	return ifpp_file_write(path, text->str, text->len, 0600, error);
}
