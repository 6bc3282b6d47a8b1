// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "port-state.h"

#define STATE_MAX 4096

static char *node_instance(const char *device)
{
	g_autofree char *boot = NULL;
	struct stat st;

	if (stat(device, &st))
		return g_strdup("none");
	/* Hidden from a unit with ProcSubset=pid; there the file is in /run, which does not outlive the boot. */
	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
		boot = g_strdup("");
	g_strstrip(boot);
	return g_strdup_printf("%s:%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, boot, (guint64)st.st_dev,
			       (guint64)st.st_ino);
}

static guint8 client_id(GKeyFile *kf, const char *key)
{
	int cid = g_key_file_get_integer(kf, "Port", key, NULL);

	return cid > 0 && cid < 255 ? cid : 0;
}

void port_state_load(PortState *state, const char *dir, const char *device)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autofree char *port = g_path_get_basename(device);
	g_autofree char *instance = NULL;
	g_autoptr(GBytes) file = NULL;

	port_state_clear(state);
	state->path = g_strdup_printf("%s/%s.state", dir, port);
	state->instance = node_instance(device);
	file = ifpp_file_read(state->path, STATE_MAX, NULL);
	if (!file || !g_key_file_load_from_bytes(kf, file, G_KEY_FILE_NONE, NULL))
		return;
	instance = g_key_file_get_string(kf, "Port", "Instance", NULL);
	if (g_strcmp0(instance, state->instance))
		return;
	state->uim = client_id(kf, "Uim");
	state->dms = client_id(kf, "Dms");
	state->allocating = g_key_file_get_boolean(kf, "Port", "Allocating", NULL);
}

gboolean port_state_save(PortState *state, GError **error)
{
	g_autofree char *text =
		!state->path ? NULL : g_strdup_printf("[Port]\nVersion=1\nInstance=%s\nUim=%u\nDms=%u\nAllocating=%s\n", state->instance,
				state->uim, state->dms, state->allocating ? "true" : "false");

	return !text || ifpp_file_write(state->path, text, strlen(text), 0640, error);
}

void port_state_clear(PortState *state)
{
	g_clear_pointer(&state->path, g_free);
	g_clear_pointer(&state->instance, g_free);
	state->uim = 0;
	state->dms = 0;
	state->allocating = FALSE;
}
