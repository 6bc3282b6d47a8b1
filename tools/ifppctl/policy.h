/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a unit should be when provision is through with it. */
#ifndef IFPPCTL_POLICY_H
#define IFPPCTL_POLICY_H

#include <glib.h>
#include <tlv.h>

typedef enum {
	CTL_LOCK_NO,
	CTL_LOCK_UNIT,		/* the chip */
	CTL_LOCK_HOST,		/* the chip, then this machine */
} CtlLockTarget;

typedef struct {
	int packages;		/* that must be installed before a lock; -1: all there are, at least one */
	CtlLockTarget lock;
	gboolean allow_test;	/* lock although a test profile is among them */
	char **profiles;	/* names of the profiles it shall have; NULL: every package's */
	char *enable;		/* name of the one that shall be enabled after the lock, or NULL */
} CtlPolicy;

#define CTL_POLICY_DEFAULT { .packages = -1 }

void ctl_policy_clear(CtlPolicy *policy);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlPolicy, ctl_policy_clear)

/**
 * ctl_policy_read() - read a policy file
 * @path: a key file with one group, [Target]
 * @policy: what the file says, the rest untouched
 * @error: IFPP_ERROR_IO, ACCESS; CTL_ERROR: what it says makes no sense
 *
 * A word that is not known is an error: a lock is for life, a slip of the pen must not decide it.
 */
gboolean ctl_policy_read(const char *path, CtlPolicy *policy, GError **error);

/**
 * ctl_policy_profile() - which of the wanted profiles is in a package?
 * @policy: with profiles
 * @path: the package
 * @trust: directory of CI roots, to read what the package says of its profile
 * @error: the package cannot be read or is not to be believed
 *
 * Return: the index in policy->profiles; -1 without an error: none of them.
 */
int ctl_policy_profile(const CtlPolicy *policy, const char *path, const char *trust, GError **error);

/* The index of a profile's name in policy->profiles; -1: it is none of them. */
int ctl_policy_find(const CtlPolicy *policy, IfppSpan name);

/**
 * ctl_policy_check_class() - may a chip with this package's profile be locked?
 * @path: the package
 * @trust: directory of CI roots, to read what the package says of its profile
 * @error: CTL_ERROR: it is a test profile, or nobody can tell
 */
gboolean ctl_policy_check_class(const char *path, const char *trust, GError **error);

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
