/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the daemon's outbox: attempts, lock receipts and chips' public data. */
#ifndef IFPPCTL_OUTBOX_H
#define IFPPCTL_OUTBOX_H

#include <attempt.h>
#include <deletion.h>
#include <refusal.h>

#define CTL_STATE_DIR "/var/lib/ifpp"
#define CTL_PACKAGES CTL_STATE_DIR "/packages"
#define CTL_OUTBOX CTL_STATE_DIR "/outbox"
#define CTL_TRUST "/etc/ifpp/ci"

typedef struct {
	char *challenge;	/* hex */
	char *receipt;		/* base64 */
	char *time;
} CtlReceipt;

void ctl_receipt_free(CtlReceipt *receipt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlReceipt, ctl_receipt_free)

/**
 * struct CtlEim - what became of the eIM that a policy wanted in a chip
 * @id: its name
 * @sha256: of its configuration, hex
 * @known: the chip has it
 * @reason: why not; NULL: @known
 * @time: when that was found
 */
typedef struct {
	char *id;
	char *sha256;
	gboolean known;
	char *reason;
	char *time;
} CtlEim;

void ctl_eim_free(CtlEim *eim);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlEim, ctl_eim_free)

/**
 * ctl_outbox_attempts() - what is stored of one chip's loads
 * @outbox: the directory
 * @eid: of the chip
 * @damaged: gets a line (char *) for each record that cannot be read; NULL: such a record is an error
 * @error: IFPP_ERROR_PIR, ACCESS, DISK
 *
 * Return: of IfppAttempt, sorted by key, the earlier attempt first
 */
GPtrArray *ctl_outbox_attempts(const char *outbox, const guint8 eid[16], GPtrArray *damaged, GError **error);

/*
 * What became of a package: the attempt that spent its key, else the last one. NULL without an error: none is
 * stored. IFPP_ERROR_PIR: a record of it is there and not what it should be.
 */
IfppAttempt *ctl_outbox_result(const char *outbox, const guint8 eid[16], const guint8 key_id[32], GError **error);
/* The name of its notes: that of its file, without suffix. */
char *ctl_attempt_name(const IfppAttempt *attempt);

/**
 * struct CtlAside - what the daemon could not read or prove
 * @name: of its file
 * @why: what the daemon noted
 * @bytes: as the chip gave them; NULL: a directory, or not readable
 */
typedef struct {
	char *name;
	char *why;
	GBytes *bytes;
} CtlAside;

/* Of CtlAside, by name. */
GPtrArray *ctl_outbox_quarantine(const char *outbox, const guint8 eid[16]);

/* Profiles that the chip has deleted in the factory: of IfppDeletion, in its order. @damaged: as above */
GPtrArray *ctl_outbox_deletions(const char *outbox, const guint8 eid[16], GPtrArray *damaged);
/* Did it install a profile that is deleted since, as these say? */
gboolean ctl_attempt_deleted(const IfppAttempt *attempt, const GPtrArray *deletions);

/* Packages that were not loaded, and why: of IfppRefusal, sorted by key. */
GPtrArray *ctl_outbox_refusals(const char *outbox, const guint8 eid[16]);

/**
 * ctl_outbox_missing() - keys that the chip has spent and of which no attempt here tells
 * @outbox: the directory
 * @eid: of the chip
 * @attempts: of ctl_outbox_attempts()
 *
 * Such a chip was loaded by another station, or its results were cut off and are still in it.
 *
 * Return: their number, as the chip's signed lock receipt says; 0 without a receipt that can be read
 */
guint ctl_outbox_missing(const char *outbox, const guint8 eid[16], const GPtrArray *attempts);

/* Each returns NULL without an error when there is no such file. */
CtlReceipt *ctl_outbox_receipt(const char *outbox, const guint8 eid[16], GError **error);
/* NULL without an error: no policy wanted one, or nobody knows yet. IFPP_ERROR_PIR: the note is damaged. */
CtlEim *ctl_outbox_eim(const char *outbox, const guint8 eid[16], GError **error);
GBytes *ctl_outbox_euicc_data(const char *outbox, const guint8 eid[16], GError **error);

/**
 * struct CtlNote - where a record has been delivered to: a file NAME.delivered beside it
 * @where: hash of the record and the place
 * @profile: name of the profile, "" if it has none, once the package is not needed any more; or NULL
 */
typedef struct {
	char *where;
	char *profile;
} CtlNote;

void ctl_note_clear(CtlNote *note);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlNote, ctl_note_clear)

/* @eid: digits; @name: "chip", or ctl_attempt_name() */
gboolean ctl_outbox_note_read(const char *outbox, const char *eid, const char *name, CtlNote *note);
gboolean ctl_outbox_note_write(const char *outbox, const char *eid, const char *name, const CtlNote *note,
			       GError **error);

/* EIDs that have a directory, as digits, sorted. */
GPtrArray *ctl_outbox_units(const char *outbox, GError **error);

/* g_dir_open() with our errors: IFPP_ERROR_IO, ACCESS */
GDir *ctl_dir_open(const char *path, GError **error);

#endif
