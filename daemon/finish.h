/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the factory wants of a chip that is locked and proven, and of its modem: its eIM, a profile in use, the slot of before. */
#ifndef IFPPD_FINISH_H
#define IFPPD_FINISH_H

#include "chip.h"
#include "policy.h"

/**
 * finish_read_policy() - what the policy wants
 * @given: the file, or NULL: IFPP_POLICY_FILE, if it is there
 * @policy: filled
 * @error: as ifpp_policy_read()
 */
gboolean finish_read_policy(const char *given, IfppPolicy *policy, GError **error);
/* Something is to be done by finish_async(). */
gboolean finish_wanted(const IfppPolicy *policy);

/**
 * finish_async() - put the eIM in, enable the profile, then make the slot active that is to be so in the end
 * @chip: locked, proven; its modem is open, without a logical channel
 * @policy: outlives it
 * @cancellable, @cb, @user: as everywhere
 *
 * Never fails: the unit is locked either way, and in the field whoever manages it can make up for it. What
 * could not be done is in the log, what became of the eIM in the outbox as well, and the next start tries again.
 */
void finish_async(Chip *chip, const IfppPolicy *policy, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
void finish_end(GAsyncResult *res);

#endif
