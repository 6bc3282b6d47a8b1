// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy.h"
#include "explain.h"
#include "outbox.h"
#include "packages.h"

#include <eid.h>
#include <file.h>
#include <package.h>
#include <string.h>

#define GROUP "Target"
#define POLICY_MAX (16 * 1024)
#define PROFILES_MAX 64

void ctl_policy_clear(CtlPolicy *policy)
{
	g_clear_pointer(&policy->profiles, g_strfreev);
	g_clear_pointer(&policy->enable, g_free);
}

static gboolean wrong(GError **error, const char *path, const char *what)
{
	g_set_error(error, CTL_ERROR, IFPP_EXIT_INPUT, "%s: %s. See POLICY in ifppctl(1)", path, what);
	return FALSE;
}

static gboolean read_profiles(GKeyFile *kf, const char *path, CtlPolicy *policy, GError **error)
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
	} else if (g_str_equal(key, "Profiles")) {
		return read_profiles(kf, path, policy, error);
	} else if (g_str_equal(key, "Enable")) {
		if (!value || !*value)
			return wrong(error, path, "Enable names no profile");
		g_free(policy->enable);
		policy->enable = g_steal_pointer(&value);
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
	if (policy->profiles && policy->packages >= 0)
		return wrong(error, path, "it has both Packages and Profiles, which say the same in two ways");
	if (policy->enable && policy->profiles &&
	    !g_strv_contains((const char *const *)policy->profiles, policy->enable))
		return wrong(error, path, "Enable names a profile that is not in Profiles");
	return TRUE;
}

/* What the Key Maker signed. It was in time when it was loaded; the chip does not lose a profile with a certificate. */
static IfppPackage *open_package(const char *path, const char *trust_dir, GError **error)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(trust_dir, error);
	g_autoptr(GBytes) file = trust ? ifpp_file_read(path, IFPP_PACKAGE_MAX, error) : NULL;

	if (trust)
		ifpp_trust_set_time(trust, -1);
	return file ? ifpp_package_open(file, trust, error) : NULL;
}

int ctl_policy_find(const CtlPolicy *policy, IfppSpan name)
{
	for (int i = 0; policy->profiles[i]; i++)
		if (ifpp_span_equal(name, (IfppSpan){ (const guint8 *)policy->profiles[i], strlen(policy->profiles[i]) }))
			return i;
	return -1;
}

int ctl_policy_profile(const CtlPolicy *policy, const char *path, const char *trust, GError **error)
{
	g_autoptr(IfppPackage) package = open_package(path, trust, error);

	return package ? ctl_policy_find(policy, ifpp_bpp_profile_name(ifpp_package_bpp(package))) : -1;
}

static gboolean is_test(GError **error, const char *what)
{
	g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: not locked, because this is a test profile and would "
		    "stay in the chip for life. If that is meant, give a policy with AllowTestProfiles=true", what);
	return FALSE;
}

gboolean ctl_policy_check_class(const char *path, const char *trust, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(IfppPackage) package = open_package(path, trust, &local);

	if (!package) {
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: not locked, because nobody can tell whether this is a "
			    "test profile: %s. Give the right --trust, or a policy with AllowTestProfiles=true", path,
			    local->message);
		return FALSE;
	}
	if (ifpp_bpp_profile_class(ifpp_package_bpp(package)) == IFPP_PROFILE_TEST)
		return is_test(error, path);
	return TRUE;
}

static gboolean was_checked(GPtrArray *checked, const guint8 key_id[32])
{
	for (guint i = 0; i < checked->len; i++) {
		g_autoptr(GBytes) file = NULL;
		IfppHeader header;

		file = ctl_package_read(checked->pdata[i], &header, NULL);
		if (file && !memcmp(header.key_id, key_id, 32))
			return TRUE;
	}
	return FALSE;
}

gboolean ctl_policy_check_outbox(const char *outbox, const guint8 eid[16], GPtrArray *checked, GError **error)
{
	g_autoptr(GPtrArray) attempts = ctl_outbox_attempts(outbox, eid, NULL, error);

	for (guint i = 0; attempts && i < attempts->len; i++) {
		const IfppAttempt *result = attempts->pdata[i];
		g_autofree char *hex = ifpp_hex(IFPP_SPAN(result->key_id));
		g_autofree char *what = g_strdup_printf("key %.16s", hex);

		if (result->status || result->profile_class > IFPP_PROFILE_TEST ||
		    (result->profile_class < 0 && was_checked(checked, result->key_id)))
			continue;
		if (result->profile_class == IFPP_PROFILE_TEST)
			return is_test(error, what);
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: not locked, because its package is not here, and nobody "
			    "can tell whether it was a test profile. Put it into the source, or give a policy with "
			    "AllowTestProfiles=true", what);
		return FALSE;
	}
	return attempts != NULL;
}
