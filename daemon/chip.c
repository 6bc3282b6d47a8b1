// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Jobs on the chip as step machines: each step sends one command, its answer starts the next.
 * "Ask" is the common ground: a fresh channel, who are you, what do you have, what have you signed.
 */
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "chip.h"
#include "eid.h"
#include "error.h"
#include "verify.h"

#define ASK_TRIES 3
#define ASK_PAUSE_MS 500
#define ASK_TIME (60 * G_USEC_PER_SEC)	/* at start, where no request sets a deadline */
#define LOCK_TRIES 3

struct _Chip {
	Modem *modem;
	Es10 *es10;
	const Codec *codec;
	char *trust_dir;
	IfppTrust *trust;		/* as last read */
	char *state_dir;
	gboolean show_ids;
	guint8 eid[16];
	char name[33];
	IfppFactoryInfo *full;		/* the export, verified at start */
	IfppFactoryInfo *now;		/* the chip's last word */
	gboolean now_valid;		/* nothing was sent since that could have changed it */
	gboolean proven;
	Outbox *outbox;
};

static gint64 now_us(void)
{
	return g_get_monotonic_time();
}

static void chip_send(Chip *chip, GTask *task, const char *what, GBytes *command, gint64 deadline,
		      GAsyncReadyCallback cb)
{
	es10_send_async(chip->es10, what, ifpp_span_bytes(command), ES10_COMMAND, deadline, g_task_get_cancellable(task),
			cb, task);
	g_bytes_unref(command);
}

/* -------------------------------------------------------------- results */

static void log_pir(Chip *chip, IfppPir *pir)
{
	char iccid[21] = "unknown";

	if (pir->iccid.len == IFPP_ICCID_BYTES) {
		if (chip->show_ids)
			ifpp_iccid_format(pir->iccid.data, iccid);
		else
			ifpp_iccid_mask(pir->iccid.data, iccid);
	}
	if (pir->success)
		g_message("%s: profile %s installed", chip->name, iccid);
	else
		g_message("%s: profile %s not installed: %s", chip->name, iccid,
			  ifpp_pir_reason_name(pir->reason));
}

/* Bring a verified PIR into the outbox, as the end of @attempt. */
static gboolean keep_pir(Chip *chip, IfppAttempt *attempt, GBytes *bytes, IfppPir *pir, GError **error)
{
	attempt->status = pir->success ? 0 : -EREMOTEIO;
	attempt->reason = pir->success ? 0 : pir->reason;
	attempt->spent = pir->success ? IFPP_SPENT_YES : IFPP_SPENT_UNKNOWN;
	attempt->seq = pir->seq;
	attempt->pir = g_bytes_ref(bytes);
	if (!outbox_store(chip->outbox, attempt, error)) {
		g_clear_pointer(&attempt->pir, g_bytes_unref);
		return FALSE;
	}
	log_pir(chip, pir);
	return TRUE;
}

/* What cannot be read or proven is kept, told once, and stops nothing. */
static void set_aside(Chip *chip, GBytes *bytes, const char *why)
{
	g_autoptr(GError) error = NULL;

	if (outbox_is_aside(chip->outbox, bytes))
		return;
	if (outbox_set_aside(chip->outbox, bytes, why, &error))
		g_warning("%s: a result in the chip is not accepted, a copy is in quarantine: %s", chip->name, why);
	else
		g_warning("%s: a result in the chip is not accepted: %s; and it cannot be copied: %s", chip->name, why,
			  error->message);
}

static void settle(Chip *chip, gboolean complete)
{
	guint lost = outbox_settle(chip->outbox, chip->now, complete);

	if (lost)
		g_warning("%s: a key is spent, and the chip has no result for it", chip->name);
}

/* ------------------------------------------------------------------- ask */

typedef enum {
	ASK_CLOSE,
	ASK_OPEN,
	ASK_EID,
	ASK_FULL,
	ASK_INFO2,
	ASK_INFO,
	ASK_INFO_AGAIN,
	ASK_LIST,
	ASK_REMOVE,
	ASK_END,
} AskStep;

typedef struct {
	Chip *chip;
	AskStep step;
	gboolean start;
	guint tries;
	gint64 deadline;
	GBytes *full_bytes;
	GBytes *info2;
	IfppFactoryInfo *full;
	GBytes *info_bytes;
	IfppFactoryInfo *info;
	GArray *remove;		/* of guint64 */
	gboolean complete;	/* the list of results was read whole */
	GError *error;		/* of the last try */
} Ask;

static void ask_reset(Ask *ask)
{
	g_clear_pointer(&ask->full_bytes, g_bytes_unref);
	g_clear_pointer(&ask->info2, g_bytes_unref);
	g_clear_pointer(&ask->full, ifpp_factory_info_free);
	g_clear_pointer(&ask->info_bytes, g_bytes_unref);
	g_clear_pointer(&ask->info, ifpp_factory_info_free);
	g_array_set_size(ask->remove, 0);
}

static void ask_free(gpointer data)
{
	Ask *ask = data;

	ask_reset(ask);
	g_array_unref(ask->remove);
	g_clear_error(&ask->error);
	g_free(ask);
}

static void ask_step(GTask *task);

static gboolean on_ask_pause(gpointer user)
{
	ask_step(user);
	return G_SOURCE_REMOVE;
}

/* Takes @task and @error. */
static void ask_failed(GTask *task, GError *error)
{
	Ask *ask = g_task_get_task_data(task);
	gboolean final = g_error_matches(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE) ||
			 g_error_matches(error, IFPP_ERROR, IFPP_ERROR_NO_EUICC) ||
			 g_cancellable_is_cancelled(g_task_get_cancellable(task));

	g_info("asking the chip: %s", error->message);
	g_clear_error(&ask->error);
	if (final || ++ask->tries >= ASK_TRIES || now_us() + ASK_PAUSE_MS * 1000 >= ask->deadline) {
		g_task_return_error(task, error);
		g_object_unref(task);
		return;
	}
	ask->error = error;
	ask_reset(ask);
	ask->step = ASK_CLOSE;
	g_timeout_add(ASK_PAUSE_MS, on_ask_pause, task);
}

/* First meeting: who is it, and is its export genuine? */
static gboolean ask_meet(Chip *chip, Ask *ask, GError **error)
{
	g_autoptr(Outbox) outbox = NULL;
	g_autoptr(GBytes) receipt = NULL;
	guint8 challenge[16];
	IfppReceipt fields;

	if (!ifpp_trust_reload(&chip->trust, chip->trust_dir, error) ||
	    !ifpp_factory_info_verify(ask->full, chip->eid, chip->trust, error))
		return FALSE;
	outbox = outbox_open(chip->state_dir, chip->eid, error);
	if (!outbox)
		return FALSE;
	if (ask->info2 && !outbox_has_euicc_data(outbox)) {
		g_autoptr(GBytes) data = ifpp_euicc_data_build(chip->eid, ifpp_span_bytes(ask->full_bytes),
							       ifpp_span_bytes(ask->info2));

		if (!outbox_store_euicc_data(outbox, data, error))
			return FALSE;
	}
	receipt = outbox_receipt(outbox, challenge);
	chip->proven = receipt && ask->info->state == 2 &&
		       ifpp_receipt_verify(ifpp_span_bytes(receipt), ifpp_span_bytes(ask->full->cert_euicc),
					   chip->eid, challenge, &fields, NULL);
	chip->outbox = g_steal_pointer(&outbox);
	chip->full = g_steal_pointer(&ask->full);
	return TRUE;
}

/* Noise on the way is gone the next time; what is still there then is the chip's. */
static gboolean ask_again(Ask *ask)
{
	return ask->tries + 1 < ASK_TRIES;
}

/* A verified result of ours: into the outbox, unless it is there already. */
static gboolean ask_keep(Chip *chip, GBytes *bytes, IfppPir *pir, GError **error)
{
	IfppAttempt *known = ifpp_attempts_find_signed(outbox_attempts(chip->outbox), pir->transaction_id, pir->seq);
	IfppAttempt *pending = outbox_pending(chip->outbox, pir->transaction_id);
	g_autoptr(IfppAttempt) attempt = NULL;
	IfppAttempt *load;

	if (known) {
		if (!g_bytes_equal(known->pir, bytes))
			set_aside(chip, bytes, "another result has the same number");
		return TRUE;
	}
	if (pending)
		return keep_pir(chip, pending, bytes, pir, error);
	load = outbox_find_transaction(chip->outbox, pir->transaction_id);
	attempt = ifpp_attempt_new(chip->eid, load->key_id, pir->transaction_id);
	attempt->profile_class = load->profile_class;
	return keep_pir(chip, attempt, bytes, pir, error);
}

/* Every result that belongs to a load of ours. Others stay where they are: an LPA may wait for them. */
static gboolean ask_results(Chip *chip, Ask *ask, GBytes *response, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(GPtrArray) list = es10_list_results_parse(response, &local);

	ask->complete = list != NULL;
	if (!list && ask_again(ask)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (!list)
		set_aside(chip, response, local->message);
	for (guint i = 0; list && i < list->len; i++) {
		GBytes *bytes = list->pdata[i];
		g_autoptr(GError) why = NULL;
		g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, &why);

		if (pir && !outbox_find_transaction(chip->outbox, pir->transaction_id)) {
			g_info("%s: a result of a load that is not ours stays in the chip", chip->name);
			continue;
		}
		if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(chip->full->cert_euicc), &why)) {
			if (ask_again(ask) && !outbox_is_aside(chip->outbox, bytes)) {
				g_propagate_error(error, g_steal_pointer(&why));
				return FALSE;
			}
			set_aside(chip, bytes, why->message);
			continue;
		}
		if (!ask_keep(chip, bytes, pir, error))
			return FALSE;
		g_array_append_val(ask->remove, pir->seq);
	}
	return TRUE;
}

/* A chip that will not forget a result tells it again the next time: it is known then. */
static gboolean ask_removed(Chip *chip, Ask *ask, GBytes *response, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (!es10_remove_parse(response, &local)) {
		if (ask_again(ask)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		}
		g_warning("%s: a result that is in the outbox stays in the chip: %s", chip->name, local->message);
	}
	g_array_remove_index(ask->remove, 0);
	return TRUE;
}

static gboolean ask_answer(Chip *chip, Ask *ask, GBytes *response, GError **error)
{
	guint8 eid[16];
	IfppFactoryInfo *before = chip->now;

	switch (ask->step) {
	case ASK_EID:
		if (!es10_get_eid_parse(response, eid, error))
			return FALSE;
		if (ask->start && !chip->full) {
			memcpy(chip->eid, eid, 16);
			if (chip->show_ids)
				ifpp_eid_format(eid, chip->name);
			else
				ifpp_eid_mask(eid, chip->name);
		} else if (memcmp(chip->eid, eid, 16)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "another chip answers now");
			return FALSE;
		}
		ask->step = ask->start ? ASK_FULL : ASK_INFO;
		return TRUE;
	case ASK_FULL:
		ask->full = chip->codec->parse_info(response, error);
		ask->full_bytes = g_bytes_ref(response);
		ask->step = ASK_INFO2;
		return ask->full != NULL;
	case ASK_INFO2:
		ask->info2 = g_bytes_ref(response);
		ask->step = ASK_INFO;
		return TRUE;
	case ASK_INFO:
		ask->info = chip->codec->parse_info(response, error);
		ask->info_bytes = g_bytes_ref(response);
		ask->step = ASK_INFO_AGAIN;
		return ask->info && verify_progress(ask->start ? ask->full : before, ask->info, error);
	case ASK_INFO_AGAIN:
		/* Unsigned, so it must at least say the same thing twice. */
		if (!g_bytes_equal(response, ask->info_bytes)) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP,
				    "GetFactoryInfo: two answers that differ");
			return FALSE;
		}
		if (ask->start && !chip->full && !ask_meet(chip, ask, error))
			return FALSE;
		g_clear_pointer(&chip->now, ifpp_factory_info_free);
		chip->now = g_steal_pointer(&ask->info);
		ask->step = ASK_LIST;
		return TRUE;
	case ASK_LIST:
		if (!ask_results(chip, ask, response, error))
			return FALSE;
		chip->now_valid = TRUE;
		settle(chip, ask->complete);
		ask->step = ASK_REMOVE;
		return TRUE;
	case ASK_REMOVE:
		return ask_removed(chip, ask, response, error);
	default:
		g_assert_not_reached();
	}
}

static void on_ask_answer(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Ask *ask = g_task_get_task_data(task);
	Chip *chip = ask->chip;
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(chip->es10, res, &error);
	guint sw = es10_sw(chip->es10);

	if (!response && ask->step == ASK_FULL && g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP) &&
	    (sw == 0x6d00 || sw == 0x6a80 || sw == 0x6a88 || sw == 0x6a86)) {
		g_clear_error(&error);
		error = g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC,
				    "%s: an eUICC without factory provisioning: it does not speak %s",
				    chip->name, chip->codec->name);
	}
	/* EUICCInfo2 is for the Key Maker only: a chip that refuses it can be loaded all the same. */
	if (!response && ask->step == ASK_INFO2 && sw &&
	    g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP)) {
		g_clear_error(&error);
		ask->step = ASK_INFO;
		ask_step(task);
		return;
	}
	if (!response && ask->step == ASK_REMOVE && sw && !ask_again(ask)) {
		g_warning("%s: a result that is in the outbox stays in the chip: %s", chip->name, error->message);
		g_clear_error(&error);
		g_array_remove_index(ask->remove, 0);
		ask_step(task);
		return;
	}
	if (!response || !ask_answer(chip, ask, response, &error)) {
		ask_failed(task, error);
		return;
	}
	ask_step(task);
}

static void on_ask_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Ask *ask = g_task_get_task_data(task);
	GError *error = NULL;

	if (!es10_open_finish(res, &error)) {
		ask_failed(task, error);
		return;
	}
	ask->step = ASK_EID;
	ask_step(task);
}

static void on_ask_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Ask *ask = g_task_get_task_data(task);

	/* What cannot be closed is swept away before the next one is opened. */
	modem_channel_close_finish(res, NULL);
	if (ask->step == ASK_END) {
		g_task_return_boolean(task, TRUE);
		g_object_unref(task);
		return;
	}
	ask->step = ASK_OPEN;
	ask_step(task);
}

static void ask_step(GTask *task)
{
	Ask *ask = g_task_get_task_data(task);
	Chip *chip = ask->chip;

	if (ask->step == ASK_REMOVE && !ask->remove->len)
		ask->step = ASK_END;
	switch (ask->step) {
	case ASK_CLOSE:
	case ASK_END:
		modem_channel_close_async(chip->modem, ask->deadline, g_task_get_cancellable(task), on_ask_closed, task);
		break;
	case ASK_OPEN:
		es10_open_async(chip->es10, ask->deadline, g_task_get_cancellable(task), on_ask_opened, task);
		break;
	case ASK_EID:
		chip_send(chip, task, "GetEID", es10_get_eid(), ask->deadline, on_ask_answer);
		break;
	case ASK_FULL:
	case ASK_INFO:
	case ASK_INFO_AGAIN:
		chip_send(chip, task, "GetFactoryInfo", chip->codec->get_info(ask->step == ASK_FULL),
			  ask->deadline, on_ask_answer);
		break;
	case ASK_INFO2:
		chip_send(chip, task, "GetEUICCInfo2", es10_get_info2(), ask->deadline, on_ask_answer);
		break;
	case ASK_LIST:
		chip_send(chip, task, "RetrieveNotificationsList", es10_list_results(), ask->deadline,
			  on_ask_answer);
		break;
	case ASK_REMOVE:
		chip_send(chip, task, "RemoveNotificationFromList",
			  es10_remove(g_array_index(ask->remove, guint64, 0)), ask->deadline, on_ask_answer);
		break;
	}
}

static void ask_async(Chip *chip, gboolean start, gint64 deadline, GCancellable *cancellable,
		      GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	Ask *ask = g_new0(Ask, 1);

	ask->chip = chip;
	ask->start = start;
	ask->deadline = deadline;
	ask->remove = g_array_new(FALSE, FALSE, sizeof(guint64));
	g_task_set_task_data(task, ask, ask_free);
	chip->now_valid = FALSE;
	ask_step(task);
}

/* ------------------------------------------------------------------ jobs */

typedef enum {
	JOB_OPEN,
	JOB_PREPARE,		/* LOAD */
	JOB_SEGMENT,
	JOB_REMOVE,
	JOB_DELETE,		/* DELETE_KEYS */
	JOB_LOCK,		/* LOCK */
	JOB_INFO,
	JOB_CLOSE,
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
	ChipReply *reply;
	GError *error;		/* that the job failed with */

	IfppPackage *package;	/* LOAD */
	IfppAttempt *attempt;
	GBytes *unproven;	/* what the chip gave as its result */
	guint segment;
	guint64 seq;
	gboolean got_pir;
	guint unspent;		/* DELETE_KEYS: keys before */
	guint8 challenge[16];	/* LOCK */
} Job;

void chip_reply_free(ChipReply *reply)
{
	g_clear_pointer(&reply->data, g_bytes_unref);
	g_free(reply);
}

static void job_free(gpointer data)
{
	Job *job = data;

	g_clear_pointer(&job->data, g_bytes_unref);
	g_clear_pointer(&job->reply, chip_reply_free);
	g_clear_pointer(&job->package, ifpp_package_free);
	g_clear_pointer(&job->attempt, ifpp_attempt_unref);
	g_clear_pointer(&job->unproven, g_bytes_unref);
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
		job->reply->chip_ns = (now_us() - job->chip_since) * 1000;
}

static void job_end(GTask *task)
{
	Job *job = g_task_get_task_data(task);

	job_count(job);
	if (job->error) {
		g_message("%s: %s", job->chip->name[0] ? job->chip->name : "chip", job->error->message);
		if (!job->reply->status) {
			job->reply->status = -verify_errno(job->error);
			job->reply->reason =
				job->error->domain == IFPP_ERROR ? job->error->code : IFPP_ERROR_INTERNAL;
		}
	}
	g_task_return_pointer(task, g_steal_pointer(&job->reply), (GDestroyNotify)chip_reply_free);
	g_object_unref(task);
}

/* The result of this load, from wherever it came. */
static void job_take_result(Job *job)
{
	job->reply->status = job->attempt->status;
	job->reply->reason = job->attempt->reason;
	g_clear_pointer(&job->reply->data, g_bytes_unref);
	job->reply->data = job->attempt->pir ? g_bytes_ref(job->attempt->pir) : NULL;
	g_clear_error(&job->error);
}

static void job_step(GTask *task);

static void on_job_asked(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Job *job = g_task_get_task_data(task);
	Chip *chip = job->chip;
	g_autoptr(GError) error = NULL;

	job->reply->report = g_task_propagate_boolean(G_TASK(res), &error);
	switch (job->type) {
	case IFPP_REQ_LOAD:
		/* Even if the rest could not be asked, a stored PIR is the truth about this load. */
		if (job->attempt && job->attempt->stored)
			job_take_result(job);
		if (job->unproven && !(job->attempt && job->attempt->pir))
			set_aside(chip, job->unproven, "the chip gave it as the result of a load, and it is not proven");
		break;
	case IFPP_REQ_DELETE_KEYS:
		if (!job->reply->report || !job->error)
			break;
		if (!chip->now->keys->len && job->unspent) {
			job->reply->deleted = job->unspent;
			g_clear_error(&job->error);
		}
		break;
	case IFPP_REQ_LOCK:
		/* Idempotent, and there is no way back: do it again. */
		if (job->reply->report && job->error && !job->reply->data && ++job->tries < LOCK_TRIES &&
		    job->error->code != IFPP_ERROR_NO_SPACE && now_us() < job->work_until) {
			g_clear_error(&job->error);
			job->step = JOB_OPEN;
			job_step(task);
			return;
		}
		if (job->reply->data)
			g_clear_error(&job->error);
		break;
	case IFPP_REQ_REFRESH:
		if (error && !job->error)
			job->error = g_steal_pointer(&error);
		break;
	}
	job_end(task);
}

static void job_ask(GTask *task)
{
	Job *job = g_task_get_task_data(task);

	ask_async(job->chip, FALSE, job->deadline, g_task_get_cancellable(task), on_job_asked, task);
}

/* Takes @task and @error. */
static void job_failed(GTask *task, GError *error)
{
	Job *job = g_task_get_task_data(task);

	g_info("%s; asking the chip what it has", error->message);
	g_clear_error(&job->error);
	job->error = error;
	job_ask(task);
}

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
	if (!keep_pir(chip, attempt, response, pir, error))
		return FALSE;
	job->seq = pir->seq;
	job->got_pir = TRUE;
	job_take_result(job);
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
	if ((info->state == 2) != (job->type == IFPP_REQ_LOCK || chip->now->state == 2) ||
	    (job->type == IFPP_REQ_LOAD && !job->attempt->status && ifpp_factory_info_find(info, job_key(job)))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetFactoryInfo: not what was just done");
		return FALSE;
	}
	g_clear_pointer(&chip->now, ifpp_factory_info_free);
	chip->now = g_steal_pointer(&info);
	chip->now_valid = TRUE;
	settle(chip, FALSE);
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
			job->step = JOB_REMOVE;
			return job_pir(job, response, error);
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
	case JOB_INFO:
		job->step = JOB_CLOSE;
		return job_info(job, response, error);
	default:
		g_assert_not_reached();
	}
}

static void on_job_answer(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Job *job = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(job->chip->es10, res, &error);

	if (!response || !job_answer(job, response, &error)) {
		if (job->type == IFPP_REQ_DELETE_KEYS && es10_sw(job->chip->es10) == 0x6985 && !response) {
			g_clear_error(&error);
			error = g_error_new(IFPP_ERROR, IFPP_ERROR_LOCKED, "the chip is locked");
		}
		job_failed(task, error);
		return;
	}
	job_step(task);
}

static void on_job_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Job *job = g_task_get_task_data(task);
	GError *error = NULL;

	if (!es10_open_finish(res, &error)) {
		job_failed(task, error);
		return;
	}
	job->step = job->type == IFPP_REQ_LOAD ? JOB_PREPARE :
		    job->type == IFPP_REQ_LOCK ? JOB_LOCK : JOB_DELETE;
	job_step(task);
}

static void on_job_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	modem_channel_close_finish(res, NULL);
	job_end(user);
}

static void job_step(GTask *task)
{
	Job *job = g_task_get_task_data(task);
	Chip *chip = job->chip;
	IfppBpp *bpp;

	switch (job->step) {
	case JOB_OPEN:
		job->chip_since = job->chip_since ? job->chip_since : now_us();
		chip->now_valid = FALSE;
		es10_open_async(chip->es10, job->work_until, g_task_get_cancellable(task), on_job_opened, task);
		break;
	case JOB_PREPARE:
		chip_send(chip, task, "PrepareFactoryLoad",
			  chip->codec->prepare_load(job_key(job), ifpp_package_chain(job->package)),
			  job->work_until, on_job_answer);
		break;
	case JOB_SEGMENT:
		bpp = ifpp_package_bpp(job->package);
		es10_send_async(chip->es10, "LoadBoundProfilePackage", ifpp_bpp_segment(bpp, job->segment),
				ES10_SEGMENT, job->work_until, g_task_get_cancellable(task), on_job_answer, task);
		break;
	case JOB_REMOVE:
		chip_send(chip, task, "RemoveNotificationFromList", es10_remove(job->seq), job->deadline,
			  on_job_answer);
		break;
	case JOB_DELETE:
		chip_send(chip, task, "DeleteOneTimeKeys", chip->codec->delete_keys(), job->work_until,
			  on_job_answer);
		break;
	case JOB_LOCK:
		chip_send(chip, task, "LockFactoryServices", chip->codec->lock(job->challenge),
			  job->work_until, on_job_answer);
		break;
	case JOB_INFO:
		chip_send(chip, task, "GetFactoryInfo", chip->codec->get_info(FALSE), job->deadline,
			  on_job_answer);
		break;
	case JOB_CLOSE:
		modem_channel_close_async(chip->modem, job->deadline, g_task_get_cancellable(task), on_job_closed, task);
		break;
	}
}

static gboolean is_spent(const guint8 key_id[32], gpointer user)
{
	Chip *chip = user;

	return outbox_is_spent(chip->outbox, key_id);
}

/* Whatever can be refused is refused here: no byte has gone to the chip. */
static gboolean load_check(Job *job, GError **error)
{
	Chip *chip = job->chip;
	gint64 begin = now_us();
	IfppAttempt *attempt;
	IfppBpp *bpp;

	if (chip->now->state == 2) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LOCKED, "the chip is locked");
		return FALSE;
	}
	if (ifpp_trust_reload(&chip->trust, chip->trust_dir, error))
		job->package = verify_package(job->data, chip->trust, chip->eid, chip->full, chip->now, is_spent,
					      chip, error);
	job->reply->verify_ns = (now_us() - begin) * 1000;
	if (!job->package)
		return FALSE;
	bpp = ifpp_package_bpp(job->package);
	attempt = outbox_begin(chip->outbox, job_key(job), ifpp_bpp_transaction_id(bpp), ifpp_bpp_profile_class(bpp),
			       error);
	if (!attempt)
		return FALSE;
	job->attempt = ifpp_attempt_ref(attempt);
	return TRUE;
}

void chip_run_async(Chip *chip, enum ifpp_req_type type, GBytes *data, guint timeout_ms,
		    GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);
	Job *job = g_new0(Job, 1);
	gint64 budget = (gint64)MAX(timeout_ms, 1000) * 1000;

	job->chip = chip;
	job->type = type;
	job->data = g_bytes_ref(data);
	job->reply = g_new0(ChipReply, 1);
	job->count = es10_count(chip->es10);
	job->work_until = now_us() + budget * 7 / 10;
	job->deadline = now_us() + budget * 95 / 100;
	g_task_set_task_data(task, job, job_free);

	switch (type) {
	case IFPP_REQ_LOAD:
		if (load_check(job, &job->error))
			break;
		g_clear_pointer(&job->package, ifpp_package_free);
		job->reply->report = chip->now_valid;
		if (chip->now_valid)
			job_end(task);
		else
			job_ask(task);
		return;
	case IFPP_REQ_DELETE_KEYS:
		job->unspent = chip->now->keys->len;
		break;
	case IFPP_REQ_LOCK:
		if (g_bytes_get_size(data) == sizeof(job->challenge)) {
			memcpy(job->challenge, g_bytes_get_data(data, NULL), sizeof(job->challenge));
			break;
		}
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_INTERNAL, "a lock without challenge");
		job_end(task);
		return;
	case IFPP_REQ_REFRESH:
		job_ask(task);
		return;
	default:
		job->error = g_error_new(IFPP_ERROR, IFPP_ERROR_INTERNAL, "unknown request %u", type);
		job_end(task);
		return;
	}
	job->step = JOB_OPEN;
	job_step(task);
}

ChipReply *chip_run_finish(Chip *chip, GAsyncResult *res)
{
	/* The task's own cancellation must not eat the reply. */
	return g_task_propagate_pointer(G_TASK(res), NULL);
}

/* ----------------------------------------------------------------- start */

static void on_start_locked(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	Chip *chip = g_task_get_task_data(task);
	g_autoptr(ChipReply) reply = chip_run_finish(chip, res);

	if (reply->status)
		g_warning("%s: locked, but its receipt could not be had: %s", chip->name,
			  ifpp_error_name(reply->reason));
	if (!chip->now_valid) {
		g_task_return_new_error(task, IFPP_ERROR, IFPP_ERROR_CHIP,
					"%s: the chip does not answer any more", chip->name);
		return;
	}
	g_task_return_boolean(task, TRUE);
}

static void on_start_asked(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(GTask) task = user;
	GCancellable *cancellable = g_task_get_cancellable(task);
	Chip *chip = g_task_get_task_data(task);
	g_autoptr(GBytes) bytes = NULL;
	GError *error = NULL;
	guint8 challenge[16];

	if (!g_task_propagate_boolean(G_TASK(res), &error)) {
		g_task_return_error(task, error);
		return;
	}
	if (chip->now->state != 2 || chip->proven || getrandom(challenge, 16, 0) != 16) {
		g_task_return_boolean(task, TRUE);
		return;
	}
	/* A lock that was cut off before its receipt was stored: have it signed again. */
	bytes = g_bytes_new(challenge, sizeof(challenge));
	chip_run_async(chip, IFPP_REQ_LOCK, bytes, ASK_TIME / 1000, cancellable, on_start_locked,
		       g_steal_pointer(&task));
}

void chip_start_async(Chip *chip, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	GTask *task = g_task_new(NULL, cancellable, cb, user);

	g_task_set_task_data(task, chip, NULL);
	ask_async(chip, TRUE, now_us() + ASK_TIME, cancellable, on_start_asked, task);
}

gboolean chip_start_finish(Chip *chip, GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}

/* ------------------------------------------------------------- the chip */

const guint8 *chip_eid(Chip *chip)
{
	return chip->eid;
}

const char *chip_name(Chip *chip)
{
	return chip->name;
}

char *chip_redact(Chip *chip, const char *text)
{
	g_autoptr(GString) out = g_string_new(text);
	char digits[33];

	if (chip->name[0] && !chip->show_ids) {
		ifpp_eid_format(chip->eid, digits);
		g_string_replace(out, digits, chip->name, 0);
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

guint32 chip_state(Chip *chip)
{
	static const guint32 states[] = { IFPP_STATE_FACTORY, IFPP_STATE_DRAINED, IFPP_STATE_LOCKED };

	return states[chip->now->state];
}

guint32 chip_spent(Chip *chip)
{
	return chip->now->spent;
}

GArray *chip_keys(Chip *chip, gboolean spent)
{
	GArray *keys = g_array_new(FALSE, TRUE, sizeof(struct ifpp_key));
	GPtrArray *attempts = outbox_attempts(chip->outbox);
	guint64 left = chip->now->spent;

	for (guint i = 0; i < chip->now->keys->len; i++) {
		struct ifpp_key key = { .state = IFPP_KEY_UNSPENT };

		memcpy(key.id, g_array_index(chip->now->keys, IfppOtk, i).key_id, IFPP_KEY_ID_LEN);
		g_array_append_val(keys, key);
	}
	/* Only what the chip has spent, and no more than it says: keys that were deleted are gone, not spent. */
	for (guint i = 0; spent && left && i < attempts->len && keys->len < IFPP_KEYS_MAX; i++) {
		IfppAttempt *attempt = attempts->pdata[i];
		struct ifpp_key key = { .state = IFPP_KEY_SPENT };

		if (attempt->spent != IFPP_SPENT_YES || ifpp_factory_info_find(chip->now, attempt->key_id) ||
		    (i && !memcmp(attempt->key_id, ((IfppAttempt *)attempts->pdata[i - 1])->key_id, IFPP_KEY_ID_LEN) &&
		     ((IfppAttempt *)attempts->pdata[i - 1])->spent == IFPP_SPENT_YES))
			continue;
		memcpy(key.id, attempt->key_id, IFPP_KEY_ID_LEN);
		g_array_append_val(keys, key);
		left--;
	}
	return keys;
}

gboolean chip_proven(Chip *chip)
{
	return chip->proven;
}

Chip *chip_new(Modem *modem, const Codec *codec, const char *trust_dir, const char *state_dir, gboolean show_ids)
{
	Chip *chip = g_new0(Chip, 1);

	chip->modem = modem;
	chip->es10 = es10_new(modem);
	chip->codec = codec;
	chip->trust_dir = g_strdup(trust_dir);
	chip->state_dir = g_strdup(state_dir);
	chip->show_ids = show_ids;
	return chip;
}

void chip_free(Chip *chip)
{
	g_clear_pointer(&chip->es10, es10_free);
	g_clear_pointer(&chip->full, ifpp_factory_info_free);
	g_clear_pointer(&chip->now, ifpp_factory_info_free);
	g_clear_pointer(&chip->outbox, outbox_free);
	g_clear_pointer(&chip->trust, ifpp_trust_free);
	g_free(chip->trust_dir);
	g_free(chip->state_dir);
	g_free(chip);
}
