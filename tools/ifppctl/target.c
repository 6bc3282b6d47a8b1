// SPDX-License-Identifier: GPL-2.0-or-later
#include "target.h"
#include "explain.h"
#include "outbox.h"
#include "packages.h"

#include <eid.h>
#include <euicc.h>
#include <file.h>
#include <package.h>
#include <string.h>

/* What the Key Maker signed. It was in time when it was loaded; the chip does not lose a profile with a certificate. */
static IfppPackage *open_package(const char *path, const char *trust_dir, GError **error)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(trust_dir, error);
	g_autoptr(GBytes) file = trust ? ifpp_file_read(path, IFPP_PACKAGE_MAX, error) : NULL;

	if (trust)
		ifpp_trust_set_time(trust, -1);
	return file ? ifpp_package_open(file, trust, error) : NULL;
}

int ctl_policy_find(const IfppPolicy *policy, IfppSpan name)
{
	for (int i = 0; policy->profiles[i]; i++)
		if (ifpp_span_equal(name, (IfppSpan){ (const guint8 *)policy->profiles[i], strlen(policy->profiles[i]) }))
			return i;
	return -1;
}

int ctl_policy_profile(const IfppPolicy *policy, const char *path, const char *trust, GError **error)
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

gboolean ctl_policy_check_eim(const IfppPolicy *policy, const char *outbox, const guint8 eid[16], GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(GBytes) data = policy->eim ? ctl_outbox_euicc_data(outbox, eid, &local) : NULL;

	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (!data || ifpp_euicc_data_is_iot(ifpp_span_bytes(data)))
		return TRUE;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "not locked, because the policy has Eim, and this chip is no IoT eUICC "
		    "(SGP.32): it could never have that eIM. Take the right chip, or Eim out of the policy");
	return FALSE;
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
	g_autoptr(GPtrArray) deletions = ctl_outbox_deletions(outbox, eid, NULL);

	for (guint i = 0; attempts && i < attempts->len; i++) {
		const IfppAttempt *result = attempts->pdata[i];
		g_autofree char *hex = ifpp_hex(IFPP_SPAN(result->key_id));
		g_autofree char *what = g_strdup_printf("key %.16s", hex);

		if (result->status || result->profile_class > IFPP_PROFILE_TEST || ctl_attempt_deleted(result, deletions) ||
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
