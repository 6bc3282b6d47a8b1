// SPDX-License-Identifier: GPL-2.0-or-later
#include "batch.h"

#include <string.h>

#include "bundle.h"
#include "error.h"
#include "file.h"
#include "request-bundle.h"

typedef struct {
	IfppRequestItem item;
	char *path;
} Chip;

static void chip_clear(gpointer p)
{
	g_free(((Chip *)p)->path);
}

static int by_eid(gconstpointer a, gconstpointer b)
{
	return memcmp(((const Chip *)a)->item.eid, ((const Chip *)b)->item.eid, 16);
}

static GBytes *chip_data(guint i, gpointer user, GError **error)
{
	return ifpp_file_read(g_array_index((GArray *)user, Chip, i).path, IFPP_REQUEST_DATA_MAX, error);
}

static gboolean collect(GArray *chips, const char *dir, GError **error)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	if (!d)
		return ifpp_file_error(dir, "cannot be read as a directory", error);
	while ((name = g_dir_read_name(d))) {
		Chip chip = {};
		g_autoptr(GBytes) data = NULL;

		if (!g_str_has_suffix(name, ".euicc"))
			continue;
		chip.path = g_build_filename(dir, name, NULL);
		g_array_append_val(chips, chip);
		data = chip_data(chips->len - 1, chips, error);
		if (!data || !ifpp_request_item(data, &g_array_index(chips, Chip, chips->len - 1).item, error))
			return FALSE;
	}
	g_array_sort(chips, by_eid);
	for (guint i = 1; i < chips->len; i++)
		if (by_eid(&g_array_index(chips, Chip, i - 1), &g_array_index(chips, Chip, i)) == 0) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s and %s: data of one chip",
				    g_array_index(chips, Chip, i - 1).path, g_array_index(chips, Chip, i).path);
			return FALSE;
		}
	if (chips->len && chips->len <= IFPP_REQUEST_CHIPS_MAX)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: %u chips; a batch holds 1 to %d", dir, chips->len,
		    IFPP_REQUEST_CHIPS_MAX);
	return FALSE;
}

gboolean batch_make(PkiEum *eum, const char *dir, const char *name, const char *out, GError **error)
{
	g_autoptr(GArray) chips = g_array_new(FALSE, TRUE, sizeof(Chip));
	g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(IfppRequestItem));
	g_autoptr(GBytes) text = NULL, signature = NULL;

	g_array_set_clear_func(chips, chip_clear);
	if (name && !ifpp_bundle_text_valid(name)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "--name: not 1 to 64 bytes of printable UTF-8");
		return FALSE;
	}
	if (!collect(chips, dir, error))
		return FALSE;
	for (guint i = 0; i < chips->len; i++)
		g_array_append_val(items, g_array_index(chips, Chip, i).item);
	text = ifpp_request_format(&(IfppRequestHead){ .batch = TRUE, .order = name }, items);
	signature = pki_eum_sign(eum, text, error);
	return signature && ifpp_request_write(out, text, signature, chips->len, chip_data, chips, error);
}
