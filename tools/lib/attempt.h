/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attempts: the records that the daemon keeps of each load of a package into a chip, and the one
 * reader of them (Documentation/daemon.rst, Files).
 */
#ifndef IFPP_ATTEMPT_H
#define IFPP_ATTEMPT_H

#include "tlv.h"
#include "unit.h"

#define IFPP_RESULT_SUFFIX ".result"
#define IFPP_PENDING_SUFFIX ".pending"
#define IFPP_RESERVE_SUFFIX ".reserve"
#define IFPP_QUARANTINE "quarantine"	/* the directory for results that nobody could read or prove */
#define IFPP_QUARANTINE_BYTES ".bin"
#define IFPP_QUARANTINE_REASON ".txt"

/* What the chip says of the key after the attempt. */
typedef enum {
	IFPP_SPENT_UNKNOWN,
	IFPP_SPENT_NO,
	IFPP_SPENT_YES,
} IfppSpent;

/**
 * struct IfppAttempt - one load of a package
 * @eid: of the chip
 * @key_id: of the package
 * @transaction: of its BPP, 1 to 16 bytes
 * @stored: its end is on disk; FALSE: it was begun and nobody knows yet how it ended
 * @before: attempts with this key and transaction that had ended when it was begun; not stored ones only
 * @spent: what became of the key
 * @seq: sequence number of the chip's signed result; with @pir only
 * @status: 0 or a negative errno
 * @reason: as in struct ifpp_result
 * @apdus: commands sent
 * @apdu_bytes: their bytes
 * @verify_ns: the daemon's verification
 * @chip_ns: first command to last answer
 * @modem_ns: of @chip_ns, what the modem takes by itself; an estimate
 * @profile_class: as in <bpp.h>; -1: not known
 * @pir: the signed result, or NULL when the chip has none
 * @unit: that the chip is in, as it was when it was begun
 * @time: when it was stored or begun, ISO 8601
 * @floor: the machine had no clock: dates were held against this, seconds since 1970; 0: against its clock
 * @facts: while it is not stored: what a compact result of it leaves out (compact.h); NULL: not noted
 * @deferred: the chip keeps its result as well, for whoever asks it in the field
 * @gone: the chip does not list its profile: another station has deleted it, or the record of that is lost
 * @file: name of its file, without directory
 * @version: of that file
 */
typedef struct {
	guint8 eid[16];
	guint8 key_id[32];
	GBytes *transaction;
	gboolean stored;
	guint before;
	IfppSpent spent;
	guint64 seq;
	gint32 status;
	guint32 reason;
	guint32 apdus;
	guint32 apdu_bytes;
	guint64 verify_ns;
	guint64 chip_ns;
	guint64 modem_ns;
	gint profile_class;
	GBytes *pir;
	IfppUnit unit;
	char *time;
	gint64 floor;
	GBytes *facts;
	gboolean deferred;
	gboolean gone;
	char *file;
	guint version;
} IfppAttempt;

IfppAttempt *ifpp_attempt_new(const guint8 eid[16], const guint8 key_id[32], IfppSpan transaction);
IfppAttempt *ifpp_attempt_ref(IfppAttempt *attempt);
void ifpp_attempt_unref(IfppAttempt *attempt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppAttempt, ifpp_attempt_unref)

const char *ifpp_spent_name(IfppSpent spent);	/* "unknown", "no", "yes" */

/**
 * ifpp_attempt_name() - its file's name without suffix
 * @attempt: the attempt
 *
 * KEYID-TRANSACTION-SEQ with a signed result, KEYID-TRANSACTION without.
 */
char *ifpp_attempt_name(const IfppAttempt *attempt);

/* The content of its file: [Result] when it is stored, else [Pending]. */
char *ifpp_attempt_text(const IfppAttempt *attempt);

/**
 * ifpp_attempt_parse() - a record, strictly
 * @text: content of the file
 * @eid: the chip that it must be of
 * @file: the file's name, which the content must agree with
 * @error: IFPP_ERROR_PIR
 *
 * Version 1, which had one record for a key, is read as well.
 */
IfppAttempt *ifpp_attempt_parse(GBytes *text, const guint8 eid[16], const char *file, GError **error);

/**
 * ifpp_attempts_read() - all attempts of one chip
 * @dir: its directory; none: no attempts
 * @eid: of the chip
 * @damaged: gets a line (char *) for each record that cannot be read, or NULL
 * @leftovers: gets the name (char *) of each file that another one has replaced, or NULL
 * @error: IFPP_ERROR_ACCESS, DISK: the directory cannot be read
 *
 * Return: of IfppAttempt, sorted by key, the earlier attempt first
 */
GPtrArray *ifpp_attempts_read(const char *dir, const guint8 eid[16], GPtrArray *damaged, GPtrArray *leftovers,
			      GError **error);

/* What is to be told of a key: the attempt that spent it, else the last one that was stored; or NULL. */
IfppAttempt *ifpp_attempts_find(const GPtrArray *attempts, const guint8 key_id[32]);
/* The one whose signed result has this number, or NULL. */
IfppAttempt *ifpp_attempts_find_signed(const GPtrArray *attempts, IfppSpan transaction, guint64 seq);
/* Stored ones with this key and transaction. */
guint ifpp_attempts_count(const GPtrArray *attempts, const guint8 key_id[32], IfppSpan transaction);
void ifpp_attempts_sort(GPtrArray *attempts);

#endif
