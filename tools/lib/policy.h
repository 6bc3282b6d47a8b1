/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a unit should be when the factory is through with it: the file that ifppctl and ifppd are given. */
#ifndef IFPP_POLICY_H
#define IFPP_POLICY_H

#include <glib.h>

/* Where a station keeps it, unless told. */
#define IFPP_POLICY_FILE "/etc/ifpp/policy"

typedef enum {
	IFPP_POLICY_LOCK_NO,
	IFPP_POLICY_LOCK_UNIT,	/* the chip */
	IFPP_POLICY_LOCK_HOST,	/* the chip, then this machine */
} IfppPolicyLock;

typedef struct {
	int packages;		/* that must be installed before a lock; -1: all there are, at least one */
	IfppPolicyLock lock;
	gboolean allow_test;	/* lock although a test profile is among them */
	char **profiles;	/* names of the profiles it shall have; NULL: every package's */
	guint switch_slot;	/* physical slot of the modem that may be made the active one; 0: none */
	guint switch_back;	/* the one that is to be active when all is done; 0: stays */
	gboolean clock_floor;	/* no clock: go on with what is proven of the time */
	gboolean report_field;	/* signed results stay in the chip, for its first power-up in the field */
	GBytes *eim;		/* EimConfigurationData that the chip shall have after the lock, or NULL */
	guint test;		/* seconds that each loaded profile is enabled for a test of connectivity; 0: none */
	char *enable;		/* name of the one that shall be enabled after the lock, or NULL */
} IfppPolicy;

#define IFPP_POLICY_DEFAULT { .packages = -1 }

void ifpp_policy_clear(IfppPolicy *policy);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IfppPolicy, ifpp_policy_clear)

/**
 * ifpp_policy_read() - read a policy file
 * @path: a key file with one group, [Target]
 * @policy: what the file says, the rest untouched
 * @error: IFPP_ERROR_IO, ACCESS, DISK; IFPP_ERROR_POLICY: what it says makes no sense
 *
 * A word that is not known is an error: a lock is for life, a slip of the pen must not decide it. The file that Eim names, from
 * the policy's directory if its path is not absolute, is read and checked as well.
 */
gboolean ifpp_policy_read(const char *path, IfppPolicy *policy, GError **error);
/* The same of the station's: @given, or if that is NULL IFPP_POLICY_FILE, which need not be there. */
gboolean ifpp_policy_find(const char *given, IfppPolicy *policy, GError **error);

#endif
