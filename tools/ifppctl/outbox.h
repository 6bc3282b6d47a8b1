/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the daemon's outbox: results, lock receipts and chips' public data. */
#ifndef IFPPCTL_OUTBOX_H
#define IFPPCTL_OUTBOX_H

#include <glib.h>

#define CTL_STATE_DIR "/var/lib/ifpp"
#define CTL_PACKAGES CTL_STATE_DIR "/packages"
#define CTL_OUTBOX CTL_STATE_DIR "/outbox"
#define CTL_TRUST "/etc/ifpp/ci"

typedef struct {
	guint8 key_id[32];
	char *transaction_id;	/* hex */
	gint status;
	guint reason;
	guint apdus, apdu_bytes;
	guint64 verify_ns, chip_ns;
	guint64 modem_ns;	/* of chip_ns, what the modem takes without the chip; 0: not known */
	gint profile_class;	/* as in <bpp.h>; -1: not known */
	char *time;
	char *pir;		/* base64, as it is in the file */
} CtlResult;

typedef struct {
	char *challenge;	/* hex */
	char *receipt;		/* base64 */
	char *time;
} CtlReceipt;

void ctl_result_free(CtlResult *result);
void ctl_receipt_free(CtlReceipt *receipt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlResult, ctl_result_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlReceipt, ctl_receipt_free)

/*
 * Each returns NULL without an error when there is no such file. IFPP_ERROR_PIR: the file is
 * there and not what it should be.
 */
CtlResult *ctl_outbox_result(const char *outbox, const guint8 eid[16], const guint8 key_id[32], GError **error);
CtlReceipt *ctl_outbox_receipt(const char *outbox, const guint8 eid[16], GError **error);
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

/* @eid: digits; @name: "chip", or a key id as digits */
gboolean ctl_outbox_note_read(const char *outbox, const char *eid, const char *name, CtlNote *note);
gboolean ctl_outbox_note_write(const char *outbox, const char *eid, const char *name, const CtlNote *note,
			       GError **error);

/* EIDs that have a directory, as digits, sorted. */
GPtrArray *ctl_outbox_units(const char *outbox, GError **error);
/* Key ids, 64 hex digits, that have a result file, sorted. */
GPtrArray *ctl_outbox_keys(const char *outbox, const char *eid);

#endif
