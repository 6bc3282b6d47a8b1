// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <string.h>

#include "ask.h"
#include "connectivity.h"
#include "eid.h"
#include "error.h"
#include "job.h"
#include "load.h"
#include "task.h"
#include "verify.h"

#define LOCK_TRIES 3

typedef enum {
	JOB_OPEN,
	JOB_PREPARE,		/* LOAD */
	JOB_SEGMENT,
	JOB_REMOVE,
	JOB_DELETE,		/* DELETE_KEYS */
	JOB_LOCK,		/* LOCK */
	JOB_REWORK,		/* REWORK */
	JOB_INFO,
	JOB_CLOSE,
	JOB_TEST,		/* LOAD, if the policy wants it */
	JOB_ASK,
	JOB_END,
} JobStep;

typedef struct {
	Chip *chip;
	enum ifpp_req_type type;
	GBytes *data;
	JobStep step;
	guint tries;
	gint64 work_until;	/* leaves time to ask */
	gint64 deadline;
	gint64 chip_since;
	Es10Count count;	/* when the job began */
	JobReply *reply;
	GError *error;		/* that the job failed with */

	IfppPackage *package;	/* LOAD */
	IfppAttempt *attempt;
	GBytes *unproven;	/* what the chip gave as its result */
	AskClaim claim;		/* if its key is not offered */
	guint segment;
	guint64 seq;
	gboolean got_pir, installed;
	guint test;		/* seconds */
	guint8 iccid[IFPP_ICCID_BYTES];	/* if so */
	guint unspent;		/* DELETE_KEYS: keys before */
	guint deletions;	/* REWORK: records before */
	guint8 challenge[16];	/* LOCK */
} Job;

static void job_step(GTask *task);

void job_reply_free(JobReply *reply)
{
	g_clear_pointer(&reply->data, g_bytes_unref);
	g_free(reply);
}

static void job_free(gpointer data)
{
	Job *job = data;

	g_clear_pointer(&job->data, g_bytes_unref);
	g_clear_pointer(&job->reply, job_reply_free);
	g_clear_pointer(&job->package, ifpp_package_free);
	g_clear_pointer(&job->attempt, ifpp_attempt_unref);
	g_clear_pointer(&job->unproven, g_bytes_unref);
	g_clear_pointer(&job->claim.transaction, g_bytes_unref);
	g_clear_pointer(&job->claim.facts, g_bytes_unref);
	g_clear_error(&job->error);
	g_free(job);
}

static const guint8 *job_key(Job *job)
{
	return ifpp_package_header(job->package)->key_id;
}

/* A load's numbers end with its result; what comes after is housekeeping. */
static void job_count(Job *job)
{
	Es10Count count = es10_count(job->chip->es10);

	if (job->got_pir)
		return;
	job->reply->apdus = count.apdus - job->count.apdus;
	job->reply->apdu_bytes = count.bytes - job->count.bytes;
	if (job->chip_since)
		job->reply->chip_ns = (g_get_monotonic_time() - job->chip_since) * 1000;
}

static void job_end(GTask *task)
{
	Job *job = g_task_get_task_data(task);

	job_count(job);
	if (job->error) {
		g_message("%s: %s", job->chip->name[0] ? job->chip->name : "chip", job->error->message);
		if (job->type == IFPP_REQ_LOAD && !job->claim.transaction)
			load_note_refusal(job->chip, job->data, job->attempt, job->error);
		if (!job->reply->status) {
			job->reply->status = -verify_errno(job->error);
			job->reply->reason =
				job->error->domain == IFPP_ERROR ? job->error->code : IFPP_ERROR_INTERNAL;
		}
	}
	g_task_return_pointer(task, g_steal_pointer(&job->reply), (GDestroyNotify)job_reply_free);
	g_object_unref(task);
}

/* ------------------------------------------------------------------ asking */

/* The result of this load, from wherever it came. */
static void job_take_result(Job *job, IfppAttempt *attempt)
{
	job->reply->status = attempt->status;
	job->reply->reason = attempt->reason;
	g_clear_pointer(&job->reply->data, g_bytes_unref);
	job->reply->data = attempt->pir ? g_bytes_ref(attempt->pir) : NULL;
	g_clear_error(&job->error);
}

static void asked_load(Job *job)
{
	Chip *chip = job->chip;
	IfppAttempt *claimed;

	/* Even if the rest could not be asked, a stored result is the truth about this load. */
	if (job->attempt && job->attempt->stored)
		job_take_result(job, job->attempt);
	if (job->unproven && !(job->attempt && job->attempt->pir))
		chip_set_aside(chip, job->unproven, "given as the result of a load, and not proven");
	if (job->claim.transaction) {
		claimed = outbox_find_transaction(chip->outbox, ifpp_span_bytes(job->claim.transaction));
		if (claimed && claimed->stored && claimed->pir && claimed->spent != IFPP_SPENT_NO) {
			job->reply->claimed = TRUE;
			job_take_result(job, claimed);
		}
	}
	/* What the chip signed is there, and could not be stored: then that is what there is to mend. */
	if (job->error && chip->disk) {
		g_error_free(job->error);
		job->error = g_error_copy(chip->disk);
	}
}

/* Idempotent, and there is no way back: it is done again, unless it was the disk. */
static gboolean lock_again(Job *job)
{
	return job->reply->report && job->error && !job->reply->data && ++job->tries < LOCK_TRIES &&
	       job->error->code != IFPP_ERROR_NO_SPACE && job->error->code != IFPP_ERROR_DISK &&
	       job->error->code != IFPP_ERROR_ACCESS && g_get_monotonic_time() < job->work_until;
}

/* A profile is deleted if the chip's record of it is stored, whatever it has answered. */
static void asked_rework(Job *job, GError **asked)
{
	Chip *chip = job->chip;
	guint proven = outbox_deletions(chip->outbox)->len - job->deletions, said = job->reply->deleted;

	job->reply->deleted = proven;
	if (chip->disk || (proven && proven >= said))
		g_clear_error(&job->error);
	/* Some may be stored, and the disk is what there is to mend. */
	if (chip->disk)
		job->error = g_error_copy(chip->disk);
	else if (*asked && !job->error)
		job->error = g_steal_pointer(asked);
	else if (proven < said && !job->error)
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "Rework: the chip says that %u profiles are deleted, and "
					 "has records of %u", said, proven);
}

static void on_asked(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Job *job = g_task_get_task_data(task);
	g_autoptr(GError) error = NULL;

	job->step = JOB_END;
	job->reply->report = ask_finish(res, &error);
	switch (job->type) {
	case IFPP_REQ_LOAD:
		asked_load(job);
		break;
	case IFPP_REQ_DELETE_KEYS:
		if (job->reply->report && job->error && !job->chip->now->keys->len && job->unspent) {
			job->reply->deleted = job->unspent;
			g_clear_error(&job->error);
		} else if (job->reply->report && job->chip->now->state == CHIP_LOCKED &&
			   g_error_matches(job->error, IFPP_ERROR, IFPP_ERROR_CHIP)) {
			/* A status word alone does not say so: it may be any refusal, or damaged on its way. */
			g_clear_error(&job->error);
			job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_LOCKED, "the chip is locked");
		}
		break;
	case IFPP_REQ_LOCK:
		if (lock_again(job)) {
			g_clear_error(&job->error);
			job->step = JOB_OPEN;
		} else if (job->reply->data) {
			g_clear_error(&job->error);
		}
		break;
	case IFPP_REQ_REWORK:
		asked_rework(job, &error);
		break;
	case IFPP_REQ_REFRESH:
		if (error && !job->error)
			job->error = g_steal_pointer(&error);
		break;
	}
	job_step(task);
}

/* Takes @task and @error. */
static void job_failed(GTask *task, GError *error)
{
	Job *job = g_task_get_task_data(task);

	g_info("%s; asking the chip what it has", error->message);
	g_clear_error(&job->error);
	job->error = error;
	job->step = JOB_ASK;
	job_step(task);
}

/* ----------------------------------------------------------------- answers */

static gboolean job_pir(Job *job, GBytes *response, GError **error)
{
	Chip *chip = job->chip;
	IfppAttempt *attempt = job->attempt;
	g_autoptr(IfppPir) pir = verify_pir(response, chip->full->cert_euicc,
					    ifpp_bpp_transaction_id(ifpp_package_bpp(job->package)), error);

	if (!pir) {
		job->unproven = g_bytes_ref(response);
		return FALSE;
	}
	if (ifpp_attempts_find_signed(outbox_attempts(chip->outbox), pir->transaction_id, pir->seq)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR_MISMATCH, "installation result: of an earlier load");
		return FALSE;
	}
	job_count(job);
	attempt->apdus = job->reply->apdus;
	attempt->apdu_bytes = job->reply->apdu_bytes;
	attempt->verify_ns = job->reply->verify_ns;
	attempt->chip_ns = job->reply->chip_ns;
	attempt->modem_ns = MIN(attempt->apdus * modem_round_trip(chip->modem), attempt->chip_ns);
	if (!chip_keep_pir(chip, attempt, response, pir, error))
		return FALSE;
	job->seq = pir->seq;
	job->got_pir = TRUE;
	job->installed = pir->success && pir->iccid.len == sizeof(job->iccid);
	if (job->installed)
		memcpy(job->iccid, pir->iccid.data, sizeof(job->iccid));
	job_take_result(job, attempt);
	return TRUE;
}

static gboolean job_receipt(Job *job, GBytes *response, GError **error)
{
	Chip *chip = job->chip;
	g_autoptr(GBytes) receipt = chip->codec->parse_lock(response, error);
	IfppReceipt fields;

	if (!receipt ||
	    !ifpp_receipt_verify(ifpp_span_bytes(receipt), ifpp_span_bytes(chip->full->cert_euicc), chip->eid,
				 job->challenge, &fields, error))
		return FALSE;
	if (!outbox_store_receipt(chip->outbox, job->challenge, receipt, error))
		return FALSE;
	g_message("%s: locked for ever", chip->name);
	chip->proven = TRUE;
	job->reply->data = g_steal_pointer(&receipt);
	return TRUE;
}

static gboolean job_info(Job *job, GBytes *response, GError **error)
{
	Chip *chip = job->chip;
	g_autoptr(IfppFactoryInfo) info = chip->codec->parse_info(response, error);

	if (!info || !verify_progress(chip->now, info, error))
		return FALSE;
	/* What the answer before said must be what the chip has now. */
	if ((info->state == CHIP_LOCKED) != (job->type == IFPP_REQ_LOCK || chip->now->state == CHIP_LOCKED) ||
	    (job->type == IFPP_REQ_LOAD && !job->attempt->status && ifpp_factory_info_find(info, job_key(job)))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetFactoryInfo: not what was just done");
		return FALSE;
	}
	g_clear_pointer(&chip->now, ifpp_factory_info_free);
	chip->now = g_steal_pointer(&info);
	outbox_settle(chip->outbox, chip->now, FALSE);
	chip->now_valid = TRUE;
	job->reply->report = TRUE;
	return TRUE;
}

static gboolean job_answer(Job *job, GBytes *response, GError **error)
{
	Chip *chip = job->chip;

	switch (job->step) {
	case JOB_PREPARE:
		job->step = JOB_SEGMENT;
		return chip->codec->parse_prepare(response, error);
	case JOB_SEGMENT:
		if (g_bytes_get_size(response)) {
			if (!job_pir(job, response, error))
				return FALSE;
			job->step = job->attempt->deferred ? JOB_INFO : JOB_REMOVE;
			return TRUE;
		}
		if (++job->segment < ifpp_bpp_n_segments(ifpp_package_bpp(job->package)))
			return TRUE;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP,
			    "the chip took the whole package and gave no result");
		return FALSE;
	case JOB_REMOVE:
		job->step = JOB_INFO;
		return es10_remove_parse(response, error);
	case JOB_DELETE:
		job->step = JOB_INFO;
		return chip->codec->parse_delete(response, &job->reply->deleted, error);
	case JOB_LOCK:
		job->step = JOB_INFO;
		return job_receipt(job, response, error);
	case JOB_REWORK:
		job->step = JOB_ASK;
		return chip->codec->parse_rework(response, &job->reply->deleted, error);
	case JOB_INFO:
		job->step = JOB_CLOSE;
		return job_info(job, response, error);
	default:
		g_assert_not_reached();
	}
}

static void on_answer(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Job *job = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(job->chip->es10, res, &error);

	if (response && job_answer(job, response, &error))
		job_step(task);
	else
		job_failed(task, error);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Job *job = g_task_get_task_data(task);
	GError *error = NULL;

	if (!es10_open_finish(res, &error)) {
		job_failed(task, error);
		return;
	}
	job->step = job->type == IFPP_REQ_LOAD ? JOB_PREPARE :
		    job->type == IFPP_REQ_LOCK ? JOB_LOCK :
		    job->type == IFPP_REQ_REWORK ? JOB_REWORK : JOB_DELETE;
	job_step(task);
}

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	Job *job = g_task_get_task_data(user);

	/* What cannot be closed is swept away before the next one is opened. */
	modem_channel_close_finish(res, NULL);
	job->test = job->installed ? connectivity_wanted(job->chip) : 0;
	job->step = job->test ? JOB_TEST : JOB_END;
	job_step(user);
}

static void on_tested(GObject *source, GAsyncResult *res, gpointer user)
{
	Job *job = g_task_get_task_data(user);

	connectivity_test_finish(res);
	job->step = JOB_END;
	job_step(user);
}

static void job_step(GTask *task)
{
	Job *job = g_task_get_task_data(task);
	Chip *chip = job->chip;
	GCancellable *cancellable = g_task_get_cancellable(task);

	switch (job->step) {
	case JOB_OPEN:
		job->chip_since = job->chip_since ? job->chip_since : g_get_monotonic_time();
		chip->now_valid = FALSE;
		es10_open_async(chip->es10, job->work_until, cancellable, on_opened, task);
		break;
	case JOB_PREPARE:
		chip_send(chip, task, "PrepareFactoryLoad",
			  chip->codec->prepare_load(job_key(job), ifpp_package_chain(job->package)),
			  job->work_until, on_answer);
		break;
	case JOB_SEGMENT:
		es10_send_async(chip->es10, "LoadBoundProfilePackage",
				ifpp_bpp_segment(ifpp_package_bpp(job->package), job->segment), ES10_SEGMENT,
				job->work_until, cancellable, on_answer, task);
		break;
	case JOB_REMOVE:
		chip_send(chip, task, "RemoveNotificationFromList", es10_remove(job->seq), job->deadline, on_answer);
		break;
	case JOB_DELETE:
		chip_send(chip, task, "DeleteOneTimeKeys", chip->codec->delete_keys(), job->work_until, on_answer);
		break;
	case JOB_LOCK:
		chip_send(chip, task, "LockFactoryServices", chip->codec->lock(job->challenge), job->work_until,
			  on_answer);
		break;
	case JOB_REWORK:
		chip_send(chip, task, "Rework", chip->codec->rework(), job->work_until, on_answer);
		break;
	case JOB_INFO:
		chip_send(chip, task, "GetFactoryInfo", chip->codec->get_info(FALSE), job->deadline, on_answer);
		break;
	case JOB_CLOSE:
		modem_channel_close_async(chip->modem, job->deadline, cancellable, on_closed, task);
		break;
	case JOB_TEST:
		connectivity_test_async(chip, job->iccid, job->test, job->deadline, cancellable, on_tested, task);
		break;
	case JOB_ASK:
		if (job->type == IFPP_REQ_REWORK)
			outbox_end_rework(chip->outbox);
		ask_async(chip, FALSE, job->claim.transaction ? &job->claim : NULL, job->deadline, cancellable,
			  on_asked, task);
		break;
	case JOB_END:
		job_end(task);
		break;
	}
}

/* ------------------------------------------------------------------ checks */

/* Whatever can be refused is refused here: no byte has gone to the chip. */
static JobStep load_begin(Job *job)
{
	gint64 begin = g_get_monotonic_time();

	job->package = load_check(job->chip, job->data, &job->claim, &job->error);
	job->reply->verify_ns = (g_get_monotonic_time() - begin) * 1000;
	if (!job->package)
		return JOB_END;
	if (job->claim.transaction) {
		job->error = load_gone_error();
		return JOB_ASK;
	}
	job->attempt = load_reserve(job->chip, job->package, &job->error);
	return job->attempt ? JOB_OPEN : JOB_END;
}

/* Before the chip is locked for ever the outbox must take a file: there its receipt goes. */
static JobStep lock_begin(Job *job)
{
	if (g_bytes_get_size(job->data) != sizeof(job->challenge)) {
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_INTERNAL, "a lock without challenge");
		return JOB_END;
	}
	memcpy(job->challenge, g_bytes_get_data(job->data, NULL), sizeof(job->challenge));
	if (!outbox_begin_lock(job->chip->outbox, job->challenge, &job->error)) {
		g_prefix_error(&job->error, "not locked: its receipt could not be stored: ");
		return JOB_END;
	}
	return JOB_OPEN;
}

static JobStep rework_begin(Job *job)
{
	Chip *chip = job->chip;

	job->deletions = outbox_deletions(chip->outbox)->len;
	if (chip->now->state == CHIP_LOCKED)
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_LOCKED, "the chip is locked");
	else if (!chip->codec->has_rework(chip->now))
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_NO_REWORK, "the chip speaks version %u of %s, which has no rework",
					 chip->now->version, chip->codec->name);
	/* Where the records cannot be stored, provision would take what is gone for installed. */
	else if (!outbox_begin_rework(chip->outbox, &job->error))
		g_prefix_error(&job->error, "nothing was deleted, since the chip's records of it could not be stored: ");
	return job->error ? JOB_END : JOB_OPEN;
}

void job_run_async(Chip *chip, enum ifpp_req_type type, GBytes *data, guint timeout_ms, GCancellable *cancellable,
		   GAsyncReadyCallback cb, gpointer user)
{
	Job *job = g_new0(Job, 1);
	gint64 budget = (gint64)MAX(timeout_ms, 1000) * 1000;

	job->chip = chip;
	job->type = type;
	job->data = g_bytes_ref(data);
	job->reply = g_new0(JobReply, 1);
	job->count = es10_count(chip->es10);
	job->work_until = g_get_monotonic_time() + budget * 7 / 10;
	job->deadline = g_get_monotonic_time() + budget * 95 / 100;
	switch (type) {
	case IFPP_REQ_LOAD:
		job->step = load_begin(job);
		break;
	case IFPP_REQ_DELETE_KEYS:
		job->unspent = chip->now->keys->len;
		job->step = JOB_OPEN;
		break;
	case IFPP_REQ_LOCK:
		job->step = lock_begin(job);
		break;
	case IFPP_REQ_REWORK:
		job->step = rework_begin(job);
		break;
	case IFPP_REQ_REFRESH:
		job->step = JOB_ASK;
		break;
	default:
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_INTERNAL, "unknown request %u", type);
		job->step = JOB_END;
		break;
	}
	/* Refused before anything was sent: what the chip said last still holds. */
	if (job->step == JOB_END) {
		job->reply->report = chip->now_valid;
		if (!chip->now_valid)
			job->step = JOB_ASK;
	}
	job_step(ifppd_task_new(job, job_free, cancellable, cb, user));
}

JobReply *job_run_finish(GAsyncResult *res)
{
	return g_task_propagate_pointer(G_TASK(res), NULL);
}
