// SPDX-License-Identifier: GPL-2.0-or-later
#include "inputs.h"

#include <string.h>

#include "error.h"

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *input_files(char **names, const char *suffix1, const char *suffix2, GError **error)
{
	g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; names[i]; i++) {
		g_autoptr(GPtrArray) found = NULL;
		g_autoptr(GDir) dir = NULL;
		const char *name;

		if (!g_file_test(names[i], G_FILE_TEST_IS_DIR)) {
			g_ptr_array_add(out, g_strdup(names[i]));
			continue;
		}
		found = g_ptr_array_new();
		dir = g_dir_open(names[i], 0, NULL);
		while (dir && (name = g_dir_read_name(dir)))
			if (g_str_has_suffix(name, suffix1) || g_str_has_suffix(name, suffix2))
				g_ptr_array_add(found, g_build_filename(names[i], name, NULL));
		g_ptr_array_sort(found, by_name);
		if (!found->len) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s: no *%s in it", names[i], suffix1);
			return NULL;
		}
		for (guint j = 0; j < found->len; j++)
			g_ptr_array_add(out, found->pdata[j]);
	}
	return g_steal_pointer(&out);
}
