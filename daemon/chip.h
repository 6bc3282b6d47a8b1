/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One chip: what it is, and the jobs on it. One job at a time. After any error the chip is
 * asked what it has before the job ends.
 */
#ifndef IFPPD_CHIP_H
#define IFPPD_CHIP_H

#include <linux/ifpp.h>
#include "codec.h"
#include "es10.h"
#include "outbox.h"

typedef struct _Chip Chip;

/**
 * struct ChipReply - how a job ended
 * @status: 0 or a negative errno
 * @reason: as in struct ifpp_result
 * @report: chip_state(), chip_spent() and chip_keys() are the chip's word
 * @deleted: keys deleted
 * @data: PIR or lock receipt, or NULL
 */
typedef struct {
	int status;
	guint reason;
	gboolean report;
	guint deleted;
	GBytes *data;
	guint apdus;
	guint apdu_bytes;
	guint64 verify_ns;
	guint64 chip_ns;
} ChipReply;

void chip_reply_free(ChipReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChipReply, chip_reply_free)

Chip *chip_new(Modem *modem, const Codec *codec, const char *trust_dir, const char *state_dir, gboolean show_ids);
void chip_free(Chip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chip, chip_free)

/*
 * Get to know the chip: EID, full export, verified against the CI roots; results that a
 * predecessor did not fetch go to the outbox.
 * NO_EUICC: no ISD-R, or one that does not speak the codec
 */
void chip_start_async(Chip *chip, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
gboolean chip_start_finish(Chip *chip, GAsyncResult *res, GError **error);

/**
 * chip_run_async() - do what the kernel asks for
 * @chip: started
 * @type: of the request
 * @data: of the request
 * @timeout_ms: the request's deadline; the answer is ready a little earlier
 */
void chip_run_async(Chip *chip, enum ifpp_req_type type, GBytes *data, guint timeout_ms,
		    GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user);
/* Never NULL: a job that failed has an answer, too. */
ChipReply *chip_run_finish(Chip *chip, GAsyncResult *res);

const guint8 *chip_eid(Chip *chip);
const char *chip_name(Chip *chip);	/* EID for logs, masked unless asked */
/* A copy of a message in which the chip's EID is masked unless asked: paths and certificates name it. */
char *chip_redact(Chip *chip, const char *text);
guint32 chip_state(Chip *chip);		/* enum ifpp_state */
guint32 chip_spent(Chip *chip);
/* struct ifpp_key: the unspent keys, and with @spent those the outbox knows to be spent. */
GArray *chip_keys(Chip *chip, gboolean spent);
/* A verified lock receipt is in the outbox. */
gboolean chip_proven(Chip *chip);

#endif
