// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "block.h"
#include "file.h"

#define PAUSE_MAX 64
#define MEMORY_MAX 4096	/* bytes of its file */

struct _Block {
	char *dir, *path;
	char *model, *revision;
	guint size;
	guint pause;		/* commands between two tries of a larger size: doubled by each that fails */
	guint wait;		/* of them still to come */
};

static const guint sizes[] = { BLOCK_MAX, 240, 120, 63 };

/* A firmware update may bring another limit, so each has a file of its own. */
static char *memory_path(Block *block)
{
	g_autofree char *both = g_strconcat(block->model, "\n", block->revision, NULL);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, both, -1);
	g_autofree char *name = g_strdup(block->model);

	g_strcanon(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_", '_');
	return g_strdup_printf("%s/%.40s-%.8s.model", block->dir, name, sum);
}

static void recall(Block *block)
{
	g_autoptr(GBytes) file = ifpp_file_read(block->path, MEMORY_MAX, NULL);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	int size;

	if (!file || !g_key_file_load_from_bytes(kf, file, G_KEY_FILE_NONE, NULL))
		return;
	size = g_key_file_get_integer(kf, "Model", "BlockSize", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
		if (size == (int)sizes[i])
			block->size = size;
	}
}

static void remember(Block *block)
{
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	gsize len;

	g_key_file_set_integer(kf, "Model", "Version", 2);
	g_key_file_set_string(kf, "Model", "Model", block->model);
	g_key_file_set_string(kf, "Model", "Revision", block->revision);
	g_key_file_set_integer(kf, "Model", "BlockSize", block->size);
	text = g_key_file_to_data(kf, &len, NULL);
	if (!ifpp_make_dir(block->dir, 0750, &error) || !ifpp_file_write(block->path, text, len, 0640, &error))
		g_warning("%s", error->message);
}

Block *block_new(const char *dir, const char *model, const char *revision)
{
	Block *block = g_new0(Block, 1);

	block->dir = g_strdup(dir);
	block->model = g_strdup(model ? model : "unknown");
	block->revision = g_strdup(revision ? revision : "unknown");
	block->path = memory_path(block);
	block->size = BLOCK_MAX;
	recall(block);
	return block;
}

void block_free(Block *block)
{
	g_free(block->dir);
	g_free(block->path);
	g_free(block->model);
	g_free(block->revision);
	g_free(block);
}

guint block_size(Block *block)
{
	return block->size;
}

guint block_for(Block *block, gsize len, gboolean may_try)
{
	if (!may_try || len <= block->size || block->size == BLOCK_MAX)
		return block->size;
	if (block->wait) {
		block->wait--;
		return block->size;
	}
	return BLOCK_MAX;
}

guint block_below(guint size, gsize len)
{
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
		if (sizes[i] < size && sizes[i] < len)
			return sizes[i];
	}
	return 0;
}

void block_took(Block *block, guint size, gboolean refused)
{
	if (refused && size <= block->size) {
		block->wait = block->pause;
		block->pause = MIN(MAX(2 * block->pause, 1), PAUSE_MAX);
	}
	if (size == block->size || (size < block->size && !refused))
		return;
	if (size > block->size)
		block->pause = 0;
	block->size = size;
	g_message("%s takes APDU blocks of %u bytes", block->model, size);
	remember(block);
}
