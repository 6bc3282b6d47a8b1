/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done to a chip: one job at a time. After any error the chip is asked what it has before the job ends. */
#ifndef IFPPD_JOB_H
#define IFPPD_JOB_H

#include "chip.h"

/**
 * struct JobReply - how a job ended
 * @status: 0 or a negative errno
 * @reason: as in struct ifpp_result
 * @report: chip_state(), chip_spent() and chip_keys() are the chip's word
 * @claimed: a result of a load that another station began: the driver does not know its key, so it is to be named
 * @deleted: keys deleted; with REWORK profiles, of each of which the signed record is stored
 * @data: PIR or lock receipt, or NULL
 * @apdus: commands sent
 * @apdu_bytes: their bytes
 * @verify_ns: of the package
 * @chip_ns: first command to last answer
 */
typedef struct {
	int status;
	guint reason;
	gboolean report;
	gboolean claimed;
	guint deleted;
	GBytes *data;
	guint apdus;
	guint apdu_bytes;
	guint64 verify_ns;
	guint64 chip_ns;
} JobReply;

void job_reply_free(JobReply *reply);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JobReply, job_reply_free)

/**
 * job_run_async() - do what the kernel asks for
 * @chip: started
 * @type: of the request
 * @data: of the request
 * @timeout_ms: the request's deadline; the answer is ready a little earlier
 * @cancellable: ends what waits for the modem; the job has an answer all the same
 */
void job_run_async(Chip *chip, enum ifpp_req_type type, GBytes *data, guint timeout_ms, GCancellable *cancellable,
		   GAsyncReadyCallback cb, gpointer user);
/* Never NULL: a job that failed, or was cancelled, has an answer, too. */
JobReply *job_run_finish(GAsyncResult *res);

#endif
