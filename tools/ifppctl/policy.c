// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy.h"
#include "explain.h"

#include <file.h>
#include <package.h>

#define GROUP "Target"
#define POLICY_MAX (16 * 1024)

static gboolean wrong(GError **error, const char *path, const char *what)
{
	g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: %s. See POLICY in ifppctl(1)", path, what);
	return FALSE;
}

static gboolean read_key(GKeyFile *kf, const char *path, const char *key, CtlPolicy *policy, GError **error)
{
	g_autofree char *value = g_key_file_get_string(kf, GROUP, key, NULL);
	guint64 n;

	if (g_str_equal(key, "Packages")) {
		if (!g_ascii_string_to_unsigned(value, 10, 0, 256, &n, NULL))
			return wrong(error, path, "Packages is not a number from 0 to 256");
		policy->packages = n;
	} else if (g_str_equal(key, "Lock")) {
		if (g_str_equal(value, "no"))
			policy->lock = CTL_LOCK_NO;
		else if (g_str_equal(value, "unit"))
			policy->lock = CTL_LOCK_UNIT;
		else if (g_str_equal(value, "host"))
			policy->lock = CTL_LOCK_HOST;
		else
			return wrong(error, path, "Lock is none of no, unit, host");
	} else if (g_str_equal(key, "AllowTestProfiles")) {
		if (!g_str_equal(value, "true") && !g_str_equal(value, "false"))
			return wrong(error, path, "AllowTestProfiles is neither true nor false");
		policy->allow_test = g_str_equal(value, "true");
	} else {
		g_autofree char *what = g_strdup_printf("%s is not a word of a policy", key);

		return wrong(error, path, what);
	}
	return TRUE;
}

gboolean ctl_policy_read(const char *path, CtlPolicy *policy, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, POLICY_MAX, error);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GError) local = NULL;
	g_auto(GStrv) groups = NULL, keys = NULL;

	if (!file)
		return FALSE;
	if (!g_key_file_load_from_bytes(kf, file, G_KEY_FILE_NONE, &local))
		return wrong(error, path, local->message);
	groups = g_key_file_get_groups(kf, NULL);
	if (g_strv_length(groups) != 1 || !g_str_equal(groups[0], GROUP))
		return wrong(error, path, "it does not have one group, [" GROUP "], and nothing else");
	keys = g_key_file_get_keys(kf, GROUP, NULL, NULL);
	for (guint i = 0; keys[i]; i++)
		if (!read_key(kf, path, keys[i], policy, error))
			return FALSE;
	return TRUE;
}

gboolean ctl_policy_check_class(const char *path, const char *trust_dir, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(trust_dir, &local);
	g_autoptr(GBytes) file = trust ? ifpp_file_read(path, IFPP_PACKAGE_MAX, &local) : NULL;
	g_autoptr(IfppPackage) package = NULL;

	/* It was in time when it was loaded; the chip does not lose a profile with a certificate. */
	if (trust)
		ifpp_trust_set_time(trust, -1);
	if (file)
		package = ifpp_package_open(file, trust, &local);
	if (!package) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: not locked, because nobody can tell whether this is a "
			    "test profile: %s. Give the right --trust, or a policy with AllowTestProfiles=true", path,
			    local->message);
		return FALSE;
	}
	if (ifpp_bpp_profile_class(ifpp_package_bpp(package)) == IFPP_PROFILE_TEST) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: not locked, because this is a test profile and would "
			    "stay in the chip for life. If that is meant, give a policy with AllowTestProfiles=true", path);
		return FALSE;
	}
	return TRUE;
}
