// SPDX-License-Identifier: LGPL-2.1-or-later
#include "policy.h"

#include <string.h>

#include "eim.h"
#include "error.h"
#include "file.h"

#define GROUP "Target"
#define POLICY_MAX (16 * 1024)
#define PROFILES_MAX 64
#define SLOTS_MAX 8
#define TEST_MAX 60	/* seconds: a load has to end within the deadline of its request */

void ifpp_policy_clear(IfppPolicy *policy)
{
	g_clear_pointer(&policy->profiles, g_strfreev);
	g_clear_pointer(&policy->enable, g_free);
	g_clear_pointer(&policy->eim, g_bytes_unref);
}

static gboolean wrong(GError **error, const char *path, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_POLICY, "%s: %s", path, what);
	return FALSE;
}

static gboolean read_profiles(GKeyFile *kf, const char *path, IfppPolicy *policy, GError **error)
{
	gsize n = 0;

	g_clear_pointer(&policy->profiles, g_strfreev);
	policy->profiles = g_key_file_get_string_list(kf, GROUP, "Profiles", &n, NULL);
	if (!policy->profiles || !n || n > PROFILES_MAX)
		return wrong(error, path, "Profiles is not a list of 1 to 64 names of profiles, separated by ;");
	for (gsize i = 0; i < n; i++) {
		g_strstrip(policy->profiles[i]);
		if (!*policy->profiles[i])
			return wrong(error, path, "Profiles has an empty name");
		for (gsize j = 0; j < i; j++)
			if (g_str_equal(policy->profiles[i], policy->profiles[j]))
				return wrong(error, path, "Profiles has a name twice");
	}
	return TRUE;
}

static gboolean read_eim(const char *path, const char *value, IfppPolicy *policy, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path), *file = g_canonicalize_filename(value, dir);
	g_autoptr(GError) local = NULL;
	g_autofree char *what = NULL;

	g_clear_pointer(&policy->eim, g_bytes_unref);
	policy->eim = ifpp_eim_read(file, &local);
	if (policy->eim)
		return TRUE;
	what = g_strdup_printf("Eim: %s", local->message);
	return wrong(error, path, what);
}

static gboolean read_key(GKeyFile *kf, const char *path, const char *key, IfppPolicy *policy, GError **error)
{
	g_autofree char *value = g_key_file_get_string(kf, GROUP, key, NULL);
	guint64 n;

	/* Not UTF-8, or an escape that is none. */
	if (!value) {
		g_autofree char *what = g_strdup_printf("the value of %s cannot be read", key);

		return wrong(error, path, what);
	}
	if (g_str_equal(key, "Packages")) {
		if (!g_ascii_string_to_unsigned(value, 10, 0, 256, &n, NULL))
			return wrong(error, path, "Packages is not a number from 0 to 256");
		policy->packages = n;
	} else if (g_str_equal(key, "Lock")) {
		if (g_str_equal(value, "no"))
			policy->lock = IFPP_POLICY_LOCK_NO;
		else if (g_str_equal(value, "unit"))
			policy->lock = IFPP_POLICY_LOCK_UNIT;
		else if (g_str_equal(value, "host"))
			policy->lock = IFPP_POLICY_LOCK_HOST;
		else
			return wrong(error, path, "Lock is none of no, unit, host");
	} else if (g_str_equal(key, "Profiles")) {
		return read_profiles(kf, path, policy, error);
	} else if (g_str_equal(key, "Enable")) {
		if (!*value)
			return wrong(error, path, "Enable names no profile");
		g_free(policy->enable);
		policy->enable = g_steal_pointer(&value);
	} else if (g_str_equal(key, "Eim")) {
		return *value ? read_eim(path, value, policy, error) : wrong(error, path, "Eim names no file");
	} else if (g_str_equal(key, "SwitchSlot") || g_str_equal(key, "SwitchBack")) {
		if (!g_ascii_string_to_unsigned(value, 10, 1, SLOTS_MAX, &n, NULL)) {
			g_autofree char *what = g_strdup_printf("%s is not a number from 1 to %d", key, SLOTS_MAX);

			return wrong(error, path, what);
		}
		*(g_str_equal(key, "SwitchSlot") ? &policy->switch_slot : &policy->switch_back) = n;
	} else if (g_str_equal(key, "Clock")) {
		if (!g_str_equal(value, "wait") && !g_str_equal(value, "floor"))
			return wrong(error, path, "Clock is neither wait nor floor");
		policy->clock_floor = g_str_equal(value, "floor");
	} else if (g_str_equal(key, "Report")) {
		if (!g_str_equal(value, "factory") && !g_str_equal(value, "field"))
			return wrong(error, path, "Report is neither factory nor field");
		policy->report_field = g_str_equal(value, "field");
	} else if (g_str_equal(key, "Test")) {
		if (!g_ascii_string_to_unsigned(value, 10, 0, TEST_MAX, &n, NULL))
			return wrong(error, path, "Test is not a number of seconds from 0 to 60");
		policy->test = n;
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

gboolean ifpp_policy_read(const char *path, IfppPolicy *policy, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, POLICY_MAX, error);
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(GError) local = NULL;
	g_auto(GStrv) groups = NULL, keys = NULL;

	if (!file)
		return FALSE;
	if (memchr(g_bytes_get_data(file, NULL), 0, g_bytes_get_size(file)))
		return wrong(error, path, "it is no text");
	/* With translations, or a key as Lock[de] would be passed over without a word. */
	if (!g_key_file_load_from_bytes(kf, file, G_KEY_FILE_KEEP_TRANSLATIONS, &local))
		return wrong(error, path, local->message);
	groups = g_key_file_get_groups(kf, NULL);
	if (g_strv_length(groups) != 1 || !g_str_equal(groups[0], GROUP))
		return wrong(error, path, "it does not have one group, [" GROUP "], and nothing else");
	keys = g_key_file_get_keys(kf, GROUP, NULL, NULL);
	for (guint i = 0; keys[i]; i++) {
		/* GLib lists both, and gives the value of the last for each. */
		if (g_strv_contains((const char *const *)keys + i + 1, keys[i])) {
			g_autofree char *what = g_strdup_printf("%s is there twice", keys[i]);

			return wrong(error, path, what);
		}
		if (!read_key(kf, path, keys[i], policy, error))
			return FALSE;
	}
	if (policy->profiles && policy->packages >= 0)
		return wrong(error, path, "it has both Packages and Profiles, which say the same in two ways");
	if (policy->switch_back && !policy->switch_slot)
		return wrong(error, path, "SwitchBack needs SwitchSlot");
	if (policy->enable && policy->profiles &&
	    !g_strv_contains((const char *const *)policy->profiles, policy->enable))
		return wrong(error, path, "Enable names a profile that is not in Profiles");
	return TRUE;
}

gboolean ifpp_policy_find(const char *given, IfppPolicy *policy, GError **error)
{
	if (!given && !g_file_test(IFPP_POLICY_FILE, G_FILE_TEST_EXISTS))
		return TRUE;
	return ifpp_policy_read(given ? given : IFPP_POLICY_FILE, policy, error);
}
