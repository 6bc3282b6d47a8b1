/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deletion records: what a chip signs when it deletes a profile in the factory (Documentation/chip-codec.rst, Rework), and
 * the one reader and writer of the files that hold them (Documentation/daemon.rst, Files).
 */
#ifndef IFPP_DELETION_H
#define IFPP_DELETION_H

#include "tlv.h"
#include "unit.h"

#define IFPP_DELETION_SUFFIX ".deletion"

/**
 * struct IfppDeletion - a profile that its chip has deleted
 * @bytes: the record as the chip gave it
 * @seq: the chip's sequence number; what was installed with a lower one is gone
 * @iccid: of the profile
 * @time: when it was stored, ISO 8601; NULL: it has not been
 * @unit: that the chip is in, as it was then
 */
typedef struct {
	GBytes *bytes;
	guint64 seq;
	guint8 iccid[10];
	char *time;
	IfppUnit unit;
} IfppDeletion;

void ifpp_deletion_free(IfppDeletion *deletion);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppDeletion, ifpp_deletion_free)

/**
 * ifpp_deletion_parse() - OtherSignedNotification (SGP.22 5.7.9) of a deletion, without an address
 * @bytes: 30 { BF2F, 5F37, certificates }, or compact (SGP.32 5.9.11): A1 { BF2F, 5F37 }
 * @error: IFPP_ERROR_PIR; also when it is the notification of anything else
 */
IfppDeletion *ifpp_deletion_parse(GBytes *bytes, GError **error);

/* Has the chip of this certificate signed it? The certificate must be verified already. IFPP_ERROR_PIR_SIGNATURE */
gboolean ifpp_deletion_verify(const IfppDeletion *deletion, IfppSpan cert_euicc, GError **error);

/* The name of its file: its sequence number, which no other record of the chip has. */
char *ifpp_deletion_name(const IfppDeletion *deletion);

/**
 * ifpp_deletion_write() - store one in the outbox of its chip; on disk when this returns TRUE
 * @dir: of the chip's outbox
 * @eid: of the chip
 * @deletion: with its time
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO, DISK
 */
gboolean ifpp_deletion_write(const char *dir, const guint8 eid[16], const IfppDeletion *deletion, GError **error);

/**
 * ifpp_deletions_read() - all of one chip
 * @dir: of the chip's outbox; none: no records
 * @eid: of the chip
 * @damaged: gets a line (char *) for each record that cannot be read, or NULL
 *
 * Return: of IfppDeletion, in the chip's order
 */
GPtrArray *ifpp_deletions_read(const char *dir, const guint8 eid[16], GPtrArray *damaged);

/* The one by which what the chip installed with the sequence number @seq is gone, or NULL. @deletions: NULL: none */
const IfppDeletion *ifpp_deletions_find(const GPtrArray *deletions, IfppSpan iccid, guint64 seq);

#endif
