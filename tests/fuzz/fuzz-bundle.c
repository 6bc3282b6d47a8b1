// SPDX-License-Identifier: GPL-2.0-or-later
/* A delivery as the factory gets it, and its inventory as if somebody had signed it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle.h"
#include "fuzz.h"

static void open_file(IfppSpan data)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autoptr(IfppBundle) bundle = NULL;
	gboolean sound;

	g_assert_true(fd >= 0 && write(fd, data.data, data.len) == (gssize)data.len);
	bundle = ifpp_bundle_open(path, fuzz_trust, NULL);
	sound = bundle != NULL;
	for (guint i = 0; sound && i < ifpp_bundle_inventory(bundle)->items->len; i++) {
		g_autoptr(GBytes) package = ifpp_bundle_read(bundle, i, NULL);

		sound = package != NULL;
	}
	if (sound)
		fuzz_must_be_seed("bundle", data);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const IfppSpan span = { data, len };
	g_autoptr(IfppInventory) inventory = ifpp_inventory_parse(span, NULL);

	if (inventory) {
		const IfppBundleItem *item = (IfppBundleItem *)inventory->items->data;

		/* what import relies on for file names and terminals */
		for (guint i = 0; i < inventory->items->len; i++, item++) {
			g_assert_true(ifpp_bundle_text_valid(item->profile) && item->len);
			g_assert_true(!i || memcmp(item[-1].eid, item->eid, 16) < 0 ||
				      memcmp(item[-1].key_id, item->key_id, 8) < 0);
		}
	}
	open_file(span);
	return 0;
}
