// SPDX-License-Identifier: GPL-2.0-or-later
#include "quirks.h"

#include <string.h>

#include "error.h"
#include "file.h"

#define FILE_MAX 65536

static const struct {
	const char *group, *key;
	guint max;		/* 0: true or false */
	gsize offset;
} keys[] = {
	{ "Modem", "Mute", 0, G_STRUCT_OFFSET(Quirks, mute) },
	{ "Modem", "NoSlotStatus", 0, G_STRUCT_OFFSET(Quirks, no_slot_status) },
	{ "Modem", "ForwardCla", 0, G_STRUCT_OFFSET(Quirks, forward_cla) },
	{ "Modem", "FetchResponse", 0, G_STRUCT_OFFSET(Quirks, fetch_response) },
	{ "Modem", "Slots", 5, G_STRUCT_OFFSET(Quirks, slots) },
	{ "Modem", "ActiveSlot", 5, G_STRUCT_OFFSET(Quirks, active_slot) },
	{ "Modem", "UimError", 65535, G_STRUCT_OFFSET(Quirks, uim_error) },
	{ "Modem", "NoUiccAccess", 0, G_STRUCT_OFFSET(Quirks, no_uicc) },
	{ "Modem", "ApduLimit", 255, G_STRUCT_OFFSET(Quirks, apdu_limit) },
	{ "Modem", "LimitError", 65535, G_STRUCT_OFFSET(Quirks, limit_error) },
	{ "Modem", "StatusEvery", 65535, G_STRUCT_OFFSET(Quirks, status_every) },
	{ "Chip", "StrictCla", 0, G_STRUCT_OFFSET(Quirks, strict_cla) },
	{ "Chip", "EnableByAidOnly", 0, G_STRUCT_OFFSET(Quirks, aid_only) },
	{ "Chip", "CompactResults", 0, G_STRUCT_OFFSET(Quirks, compact) },
	{ "Chip", "CertificatesApart", 0, G_STRUCT_OFFSET(Quirks, getcerts) },
	{ "Chip", "ResponseChunk", 256, G_STRUCT_OFFSET(Quirks, chunk) },
	{ "Chip", "ProactiveEvery", 65535, G_STRUCT_OFFSET(Quirks, proactive_every) },
	{ "Chip", "ProactiveWithData", 0, G_STRUCT_OFFSET(Quirks, proactive_data) },
	{ "Chip", "InstallMs", 600000, G_STRUCT_OFFSET(Quirks, install_ms) },
};

static gboolean read_key(GKeyFile *kf, const char *group, const char *key, Quirks *quirks)
{
	g_autofree char *text = g_key_file_get_string(kf, group, key, NULL);
	guint64 value = 0;
	guint i;

	for (i = 0; i < G_N_ELEMENTS(keys) && (strcmp(keys[i].group, group) || strcmp(keys[i].key, key)); i++)
		;
	if (i == G_N_ELEMENTS(keys) || !text)
		return FALSE;
	if (!keys[i].max) {
		value = !strcmp(text, "true");
		if (!value && strcmp(text, "false"))
			return FALSE;
	} else if (!g_ascii_string_to_unsigned(text, 10, 1, keys[i].max, &value, NULL)) {
		return FALSE;
	}
	*(guint *)((char *)quirks + keys[i].offset) = value;
	return TRUE;
}

static gboolean read_all(const char *path, GKeyFile *kf, Quirks *quirks, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(kf, NULL);

	for (guint g = 0; groups[g]; g++) {
		g_auto(GStrv) names = g_key_file_get_keys(kf, groups[g], NULL, NULL);

		for (guint i = 0; names && names[i]; i++)
			if (!read_key(kf, groups[g], names[i], quirks)) {
				g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
					    "%s: [%s] %s: no such quirk, or not a value of it", path, groups[g],
					    names[i]);
				return FALSE;
			}
	}
	if (quirks->active_slot > MAX(quirks->slots, 1)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: ActiveSlot is none of the Slots", path);
		return FALSE;
	}
	return TRUE;
}

gboolean quirks_load(const char *path, Quirks *quirks, GError **error)
{
	g_autoptr(GBytes) text = ifpp_file_read(path, FILE_MAX, error);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GError) inner = NULL;

	memset(quirks, 0, sizeof(*quirks));
	if (!text)
		return FALSE;
	if (g_key_file_load_from_bytes(kf, text, G_KEY_FILE_NONE, &inner))
		return read_all(path, kf, quirks, error);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: %s", path, inner->message);
	return FALSE;
}
