/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outbox: what a chip signed, on disk before the chip or the kernel hear that we have it
 * (Documentation/daemon.rst). One directory per chip, one record per attempt: a signed result is
 * never overwritten, used for another attempt, or deleted.
 */
#ifndef IFPPD_OUTBOX_H
#define IFPPD_OUTBOX_H

#include "attempt.h"
#include "deletion.h"
#include "euicc.h"

typedef struct _Outbox Outbox;

/**
 * outbox_open() - read what is known of one chip, and clear away what a crash has left
 * @state_dir: the outbox is state_dir/outbox
 * @eid: of the chip
 * @error: IFPP_ERROR_IO, DISK, NO_SPACE, ACCESS
 *
 * Records of version 1 are carried over. A record that cannot be read is named in the log and stays.
 */
Outbox *outbox_open(const char *state_dir, const guint8 eid[16], GError **error);
void outbox_free(Outbox *outbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Outbox, outbox_free)
/* The unit that the chip is in: noted beside its records, and in each attempt from here on with what was scanned. */
void outbox_set_unit(Outbox *outbox, const IfppUnit *unit);

/* Sorted by key, the earlier attempt first; elements are owned by the outbox. */
GPtrArray *outbox_attempts(Outbox *outbox);
/* The load that was begun with this transaction, or NULL. */
IfppAttempt *outbox_pending(Outbox *outbox, IfppSpan transaction);
/* An attempt with this transaction, begun or ended: a result with it is ours. */
IfppAttempt *outbox_find_transaction(Outbox *outbox, IfppSpan transaction);
/* An attempt is known to have spent this key. */
gboolean outbox_is_spent(Outbox *outbox, const guint8 key_id[32]);

/**
 * outbox_begin() - before the first byte goes to the chip
 * @outbox: of the chip
 * @key_id: of the package
 * @transaction: of its BPP
 * @profile_class: of its profile
 * @floor: see IfppAttempt
 * @facts: see IfppAttempt; NULL: none
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 *
 * Notes durably which load has begun, and takes the disk space of its result: a full disk must
 * not be found after the key is spent.
 *
 * Return: the attempt, owned by the outbox
 */
IfppAttempt *outbox_begin(Outbox *outbox, const guint8 key_id[32], IfppSpan transaction, guint profile_class,
			  gint64 floor, GBytes *facts, GError **error);
/* The load has not happened. A stored attempt cannot be cancelled. */
void outbox_cancel(Outbox *outbox, IfppAttempt *attempt);

/**
 * outbox_store() - write how an attempt ended; on disk when this returns TRUE
 * @outbox: of the chip
 * @attempt: begun, or a new one for a result that nobody waited for
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 */
gboolean outbox_store(Outbox *outbox, IfppAttempt *attempt, GError **error);

/**
 * outbox_settle() - hold attempts against what the chip says of its keys
 * @outbox: of the chip
 * @now: the chip's last word
 * @complete: every result in the chip has been looked at
 *
 * Decides whether an attempt has spent its key. A key that is gone was spent or deleted: the chip's own
 * count of spent keys tells, and where it cannot, the answer stays unknown. A load that was begun and has
 * no result is forgotten when its key is unspent or was deleted, else it is stored as lost.
 *
 * Return: loads stored as lost
 */
guint outbox_settle(Outbox *outbox, IfppFactoryInfo *now, gboolean complete);

/**
 * outbox_note_refusal() - a package was not loaded, and the chip has signed nothing of it
 * @outbox: of the chip
 * @key_id: of the package
 * @cause: why
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 */
gboolean outbox_note_refusal(Outbox *outbox, const guint8 key_id[32], const GError *cause, GError **error);

/* An installed profile that no deletion here takes back, as far as is known; test profiles are not asked for. */
gboolean outbox_has_profiles(Outbox *outbox);
/**
 * outbox_hold_profiles() - hold what is installed against what the chip lists
 * @outbox: of the chip
 * @listed: ICCIDs, as in GetProfilesInfo, each behind the other
 *
 * Another station may have deleted a profile, or the record of a deletion is lost: it is not to be taken for installed.
 *
 * Return: those that are not there, and were thought to be
 */
guint outbox_hold_profiles(Outbox *outbox, const GByteArray *listed);

/**
 * outbox_begin_rework() - before the chip is told to delete its profiles
 * @outbox: of the chip
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK: then the chip's records could not be stored
 *
 * Takes their disk space, until outbox_end_rework() or the next start.
 */
gboolean outbox_begin_rework(Outbox *outbox, GError **error);
void outbox_end_rework(Outbox *outbox);

/* Profiles that the chip has deleted in the factory: of IfppDeletion, in its order; owned by the outbox. */
GPtrArray *outbox_deletions(Outbox *outbox);

/**
 * outbox_store_deletion() - write the chip's record of one; on disk when this returns TRUE
 * @outbox: of the chip
 * @deletion: verified; taken if it is stored
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 */
gboolean outbox_store_deletion(Outbox *outbox, IfppDeletion *deletion, GError **error);

/**
 * outbox_set_aside() - keep what cannot be read or proven, byte for byte, in quarantine
 * @outbox: of the chip
 * @bytes: as the chip gave them
 * @why: for people
 * @error: IFPP_ERROR_NO_SPACE (also: there is too much of it already), ACCESS, IO, DISK
 */
gboolean outbox_set_aside(Outbox *outbox, GBytes *bytes, const char *why, GError **error);
gboolean outbox_is_aside(Outbox *outbox, GBytes *bytes);

/**
 * outbox_begin_lock() - before the chip is told to lock itself, which is for ever
 * @outbox: of the chip
 * @challenge: that its receipt will answer
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK: then nothing that the chip signs could be stored
 *
 * Notes durably that the lock was asked for here; the note stays.
 */
gboolean outbox_begin_lock(Outbox *outbox, const guint8 challenge[16], GError **error);
/* A whole note of it, of this chip: what only has its name is none. */
gboolean outbox_lock_begun(Outbox *outbox);

/* An earlier receipt stays beside it. */
gboolean outbox_store_receipt(Outbox *outbox, const guint8 challenge[16], GBytes *receipt, GError **error);
/* The stored lock receipt and its challenge; NULL if there is none. */
GBytes *outbox_receipt(Outbox *outbox, guint8 challenge[16]);

/**
 * outbox_store_eim() - note what became of the eIM that the policy wants
 * @outbox: of the chip
 * @id: its name
 * @config: its configuration
 * @reason: why the chip does not have it, or NULL: it has
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 *
 * A note that says the same stays as it is, with its time.
 */
gboolean outbox_store_eim(Outbox *outbox, const char *id, GBytes *config, const char *reason, GError **error);

/* What is stored of it, whatever it is; NULL: nothing that is a file. */
GBytes *outbox_euicc_data(Outbox *outbox);
gboolean outbox_store_euicc_data(Outbox *outbox, GBytes *data, GError **error);

#endif
