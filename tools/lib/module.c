// SPDX-License-Identifier: LGPL-2.1-or-later
#include "module.h"

#include <stdio.h>
#include <string.h>

static char *read_below(const char *root, const char *path)
{
	g_autofree char *name = g_strconcat(root, path, NULL);
	char *text = NULL;

	g_file_get_contents(name, &text, NULL, NULL);
	return text;
}

/* A module for each line, its dependencies after a colon. */
static gboolean listed(const char *deps)
{
	g_auto(GStrv) lines = g_strsplit(deps, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_autofree char *name = g_strndup(*line, strcspn(*line, ":"));
		g_autofree char *base = g_path_get_basename(name);

		if (g_str_has_prefix(base, "ifpp.ko"))
			return TRUE;
	}
	return FALSE;
}

/* Secure Boot brings lockdown along; a kernel may enforce signatures without it. */
static gboolean only_signed(const char *root)
{
	g_autofree char *enforce = read_below(root, "/sys/module/module/parameters/sig_enforce");
	g_autofree char *lockdown = read_below(root, "/sys/kernel/security/lockdown");

	return (enforce && *enforce == 'Y') || (lockdown && strchr(lockdown, '[') && !strstr(lockdown, "[none]"));
}

char *ifpp_module_advice(const char *root, const char *release)
{
	g_autofree char *path = g_strdup_printf("/lib/modules/%s/modules.dep", release);
	g_autofree char *deps = read_below(root, path);
	int major = 0, minor = 0;

	if (deps && !listed(deps)) {
		if (sscanf(release, "%d.%d", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 6)))
			return g_strdup_printf("it needs Linux 6.6 or later, and this is %s", release);
		return g_strdup_printf("no module was built for this kernel; install linux-headers-%s, then run dkms autoinstall",
				       release);
	}
	if (only_signed(root))
		return g_strdup("this kernel takes only modules with a signature that it knows; if modprobe ifpp says \"Key was "
				"rejected by service\", enrol DKMS's key with mokutil --import /var/lib/dkms/mok.pub and reboot, "
				"or sign the module with a key of this machine");
	return g_strdup("modprobe ifpp loads it");
}
