/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holding packages and results to a policy. */
#ifndef IFPPCTL_TARGET_H
#define IFPPCTL_TARGET_H

#include <glib.h>
#include <policy.h>
#include <tlv.h>

/**
 * ctl_policy_profile() - which of the wanted profiles is in a package?
 * @policy: with profiles
 * @path: the package
 * @trust: directory of CI roots, to read what the package says of its profile
 * @error: the package cannot be read or is not to be believed
 *
 * Return: the index in policy->profiles; -1 without an error: none of them.
 */
int ctl_policy_profile(const IfppPolicy *policy, const char *path, const char *trust, GError **error);

/* The index of a profile's name in policy->profiles; -1: it is none of them. */
int ctl_policy_find(const IfppPolicy *policy, IfppSpan name);

/**
 * ctl_policy_check_class() - may a chip with this package's profile be locked?
 * @path: the package
 * @trust: directory of CI roots, to read what the package says of its profile
 * @error: CTL_ERROR: it is a test profile, or nobody can tell
 */
gboolean ctl_policy_check_class(const char *path, const char *trust, GError **error);

/**
 * ctl_policy_check_eim() - may a chip be locked with what the policy says of its eIM?
 * @policy: with an eIM, or without
 * @outbox: the daemon's, with what the chip says of itself
 * @eid: of the chip
 * @error: CTL_ERROR: the chip is no IoT eUICC; as ifpp_file_read()
 *
 * An eIM goes in after the lock, and then it is too late. A chip of which nothing is known may have one.
 */
gboolean ctl_policy_check_eim(const IfppPolicy *policy, const char *outbox, const guint8 eid[16], GError **error);

/**
 * ctl_policy_check_outbox() - may a chip with what was ever loaded into it be locked?
 * @outbox: the daemon's results
 * @eid: of the chip
 * @checked: paths of packages that ctl_policy_check_class() has passed
 * @error: CTL_ERROR: a test profile was installed, or nobody can tell
 *
 * Finds the profile that came in by another way than this run's packages.
 */
gboolean ctl_policy_check_outbox(const char *outbox, const guint8 eid[16], GPtrArray *checked, GError **error);

#endif
