/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outbox: what a chip signed, on disk before the chip or the kernel hear that we have it
 * (Documentation/daemon.rst). One directory per chip.
 */
#ifndef IFPPD_OUTBOX_H
#define IFPPD_OUTBOX_H

#include <linux/ifpp.h>
#include "tlv.h"

typedef struct _Outbox Outbox;

/**
 * struct OutboxResult - one load's end
 * @key_id: of its package
 * @transaction: of its BPP
 * @stored: on disk; FALSE: a load was begun and nobody knows yet how it ended
 * @status: 0 or a negative errno
 * @reason: as in struct ifpp_result
 * @modem_ns: of chip_ns, what the modem takes by itself; an estimate, see daemon.rst
 * @profile_class: of its profile, -1: not known
 * @pir: the signed result, or NULL when the chip has none
 */
typedef struct {
	guint8 key_id[IFPP_KEY_ID_LEN];
	GBytes *transaction;
	gboolean stored;
	gint32 status;
	guint32 reason;
	guint32 apdus;
	guint32 apdu_bytes;
	guint64 verify_ns;
	guint64 chip_ns;
	guint64 modem_ns;
	gint profile_class;
	GBytes *pir;
} OutboxResult;

/**
 * outbox_open() - read what is known of one chip
 * @state_dir: the outbox is state_dir/outbox
 * @eid: of the chip
 * @error: IFPP_ERROR_IO, ACCESS
 */
Outbox *outbox_open(const char *state_dir, const guint8 eid[16], GError **error);
void outbox_free(Outbox *outbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Outbox, outbox_free)

/* In the order of key ids; elements are OutboxResult, owned by the outbox. */
GPtrArray *outbox_results(Outbox *outbox);
OutboxResult *outbox_find(Outbox *outbox, const guint8 key_id[32]);
OutboxResult *outbox_find_transaction(Outbox *outbox, IfppSpan transaction);

/**
 * outbox_reserve() - before the first byte goes to the chip
 * @outbox: of the chip
 * @key_id: of the package
 * @transaction: of its BPP
 * @profile_class: of its profile
 * @error: IFPP_ERROR_NO_SPACE, ACCESS, IO
 *
 * Notes durably which load has begun, and takes the disk space of its result: a full disk must
 * not be found after the key is spent.
 */
gboolean outbox_reserve(Outbox *outbox, const guint8 key_id[32], IfppSpan transaction, guint profile_class,
			GError **error);
/* The chip says that the key is unspent: the load has not happened. */
void outbox_cancel(Outbox *outbox, const guint8 key_id[32]);

/* Write a result of a load begun with outbox_reserve(); on disk when this returns TRUE. */
gboolean outbox_store(Outbox *outbox, OutboxResult *result, GError **error);

gboolean outbox_store_receipt(Outbox *outbox, const guint8 challenge[16], GBytes *receipt, GError **error);
/* The stored lock receipt and its challenge; NULL if there is none. */
GBytes *outbox_receipt(Outbox *outbox, guint8 challenge[16]);

gboolean outbox_has_euicc_data(Outbox *outbox);
gboolean outbox_store_euicc_data(Outbox *outbox, GBytes *data, GError **error);

#endif
