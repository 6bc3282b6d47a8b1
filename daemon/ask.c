// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "ask.h"
#include "eid.h"
#include "error.h"
#include "euicc-data.h"
#include "task.h"
#include "verify.h"

#define ASK_TRIES 3
#define ASK_PAUSE_MS 500

typedef enum {
	ASK_CLOSE,
	ASK_OPEN,
	ASK_EID,
	ASK_FULL,
	ASK_CERTS,
	ASK_INFO,
	ASK_INFO_AGAIN,
	ASK_INFO2,
	ASK_INFO2_AGAIN,
	ASK_LIST,
	ASK_LIST_AGAIN,
	ASK_REMOVE,
	ASK_PROFILES,
	ASK_END,
} AskStep;

typedef struct {
	Chip *chip;
	const AskClaim *claim;
	AskStep step;
	gboolean meet;
	guint tries;
	gint64 deadline;
	GBytes *full_bytes;
	IfppFactoryInfo *full;
	GBytes *info_bytes;
	IfppFactoryInfo *info;
	GBytes *info2;
	GBytes *list;
	gboolean listed;	/* every result in the chip was looked at, and what is ours is stored */
	GArray *remove;		/* of guint64 */
	gboolean kept;		/* the chip refused to remove the first of them */
	gboolean looked;	/* what profiles it has */
} Ask;

static void ask_step(GTask *task);

static void ask_reset(Ask *ask)
{
	g_clear_pointer(&ask->full_bytes, g_bytes_unref);
	g_clear_pointer(&ask->full, ifpp_factory_info_free);
	g_clear_pointer(&ask->info_bytes, g_bytes_unref);
	g_clear_pointer(&ask->info, ifpp_factory_info_free);
	g_clear_pointer(&ask->info2, g_bytes_unref);
	g_clear_pointer(&ask->list, g_bytes_unref);
	g_array_set_size(ask->remove, 0);
}

static void ask_free(gpointer data)
{
	Ask *ask = data;

	ask_reset(ask);
	g_array_unref(ask->remove);
	g_free(ask);
}

static gboolean on_pause(gpointer user)
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
			 g_error_matches(error, IFPP_ERROR, IFPP_ERROR_DISK) ||
			 g_error_matches(error, IFPP_ERROR, IFPP_ERROR_NO_SPACE) ||
			 g_error_matches(error, IFPP_ERROR, IFPP_ERROR_ACCESS) ||
			 g_cancellable_is_cancelled(g_task_get_cancellable(task));

	g_info("asking the chip: %s", error->message);
	if (final || ++ask->tries >= ASK_TRIES || g_get_monotonic_time() + ASK_PAUSE_MS * 1000 >= ask->deadline) {
		ifppd_task_fail(task, error);
		return;
	}
	g_error_free(error);
	ask_reset(ask);
	ask->step = ASK_CLOSE;
	g_timeout_add(ASK_PAUSE_MS, on_pause, task);
}

/* ------------------------------------------------------------- who are you */

static gboolean take_eid(Ask *ask, GBytes *response, GError **error)
{
	Chip *chip = ask->chip;
	guint8 eid[16];

	if (!es10_get_eid_parse(response, eid, error))
		return FALSE;
	if (!chip->full) {
		chip_set_eid(chip, eid);
	} else if (memcmp(chip->eid, eid, sizeof(eid))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "another chip answers now");
		return FALSE;
	}
	ask->step = chip->full ? ASK_INFO : ASK_FULL;
	return TRUE;
}

/* First meeting: is its export genuine, and what do we know of it? */
static gboolean meet(Ask *ask, GError **error)
{
	Chip *chip = ask->chip;
	g_autoptr(Outbox) outbox = NULL;
	g_autoptr(GBytes) receipt = NULL;
	guint8 challenge[16];
	IfppReceipt fields;

	if (!chip_read_trust(chip, error) ||
	    !ifpp_factory_info_verify(ask->full, chip->eid, chip->trust, error))
		return FALSE;
	outbox = chip_open_outbox(chip, error);
	if (!outbox)
		return FALSE;
	receipt = outbox_receipt(outbox, challenge);
	chip->proven = receipt && ask->info->state == CHIP_LOCKED &&
		       ifpp_receipt_verify(ifpp_span_bytes(receipt), ifpp_span_bytes(ask->full->cert_euicc),
					   chip->eid, challenge, &fields, NULL);
	chip->outbox = g_steal_pointer(&outbox);
	chip->full = g_steal_pointer(&ask->full);
	return TRUE;
}

/* ------------------------------------------------------------- eUICC data */

/* For the Key Maker only: a chip that refuses it, or a disk that does not take it, stops nothing here. */
static void take_info2(Ask *ask, GBytes *response)
{
	Chip *chip = ask->chip;
	g_autoptr(GError) error = NULL;

	ask->step = ASK_LIST;
	if (!ask->info2 && response) {
		ask->info2 = g_bytes_ref(response);
		ask->step = ASK_INFO2_AGAIN;
		return;
	}
	/* Unsigned as well. */
	if (!response || !g_bytes_equal(response, ask->info2) || !euicc_data_sound(ifpp_span_bytes(response))) {
		g_warning("%s: no EUICCInfo2 that can be read, so no eUICC data for the Key Maker; the next start asks again",
			  chip->name);
		return;
	}
	if (!euicc_data_store(chip, ask->full_bytes, response, &error))
		g_warning("%s", error->message);
}

/* Certificates prove themselves when the chip is met, wherever they come from. */
static gboolean take_full(Ask *ask, GBytes *response, GError **error)
{
	ask->full = ask->chip->codec->parse_info(response, error);
	ask->full_bytes = g_bytes_ref(response);
	ask->step = ask->full && !ask->full->cert_euicc ? ASK_CERTS : ASK_INFO;
	return ask->full != NULL;
}

static gboolean take_certs(Ask *ask, GBytes *response, GError **error)
{
	g_clear_pointer(&ask->full, ifpp_factory_info_free);
	ask->full = euicc_data_add_certs(&ask->full_bytes, response, error);
	ask->step = ASK_INFO;
	return ask->full != NULL;
}

static gboolean take_info(Ask *ask, GBytes *response, GError **error)
{
	Chip *chip = ask->chip;

	/* Unsigned, so it must at least say the same thing twice. */
	if (!g_bytes_equal(response, ask->info_bytes)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetFactoryInfo: two answers that differ");
		return FALSE;
	}
	if (!chip->full && !meet(ask, error))
		return FALSE;
	g_clear_pointer(&chip->now, ifpp_factory_info_free);
	chip->now = g_steal_pointer(&ask->info);
	ask->step = ask->meet && ask->full_bytes && !euicc_data_stored(chip) ? ASK_INFO2 : ASK_LIST;
	return TRUE;
}

/* ---------------------------------------------------------------- results */

/*
 * What cannot be read may have been damaged on its way, so it is asked for once more. If the chip says the same
 * again it is as it is. Takes @error.
 */
static void list_unreadable(Ask *ask, GBytes *response, GError *error)
{
	if (ask->step == ASK_LIST) {
		g_info("%s: %s; once more", ask->chip->name, error->message);
		ask->step = ASK_LIST_AGAIN;
		if (response)
			ask->list = g_bytes_ref(response);
	} else {
		g_warning("%s: its results cannot be listed: %s", ask->chip->name, error->message);
		if (response)
			chip_set_aside(ask->chip, response, error->message);
		ask->listed = FALSE;
		ask->step = ASK_REMOVE;
	}
	g_error_free(error);
}

static void list_done(Ask *ask)
{
	Chip *chip = ask->chip;
	guint lost = outbox_settle(chip->outbox, chip->now, ask->listed);

	if (lost)
		g_warning("%s: %u keys are spent, and the chip has no result for them", chip->name, lost);
	chip->now_valid = TRUE;
}

static gboolean take_list(Ask *ask, GBytes *response, GError **error)
{
	g_autoptr(GPtrArray) list = NULL;
	g_autoptr(GError) local = NULL;
	gboolean same = ask->step == ASK_LIST_AGAIN && ask->list && g_bytes_equal(ask->list, response);

	ask->listed = TRUE;
	list = es10_list_results_parse(response, &local);
	if (!list) {
		list_unreadable(ask, response, g_steal_pointer(&local));
		return TRUE;
	}
	for (guint i = 0; i < list->len; i++) {
		g_autoptr(GError) bad = NULL;

		if (result_take(ask->chip, ask->claim, list->pdata[i], ask->remove, &ask->listed, &bad))
			continue;
		if (same) {
			chip_set_aside(ask->chip, list->pdata[i], bad->message);
			continue;
		}
		if (ask->step == ASK_LIST_AGAIN) {
			g_propagate_error(error, g_steal_pointer(&bad));
			return FALSE;
		}
		g_array_set_size(ask->remove, 0);
		list_unreadable(ask, response, g_steal_pointer(&bad));
		return TRUE;
	}
	ask->step = ASK_REMOVE;
	return TRUE;
}

static void remove_next(Ask *ask)
{
	g_array_remove_index(ask->remove, 0);
	ask->kept = FALSE;
}

/* Asked for twice: a result that is stored can stay in the chip as well. Takes @error. */
static void remove_refused(Ask *ask, GError *error)
{
	if (ask->kept) {
		g_warning("%s: a result that is stored stays in the chip: %s", ask->chip->name, error->message);
		remove_next(ask);
	} else {
		ask->kept = TRUE;
	}
	g_error_free(error);
}

/* ------------------------------------------------------------------ profiles */

/* Where a rework elsewhere has left none, what was installed here is not there any more. An answer that makes no sense says nothing. */
static void take_profiles(Ask *ask, GBytes *response)
{
	g_autoptr(GByteArray) listed = es10_profiles_parse(response);
	guint gone = listed ? outbox_hold_profiles(ask->chip->outbox, listed) : 0;

	ask->step = ASK_END;
	if (gone)
		g_warning("%s: %u profiles that were installed are not in the chip any more, and the record of it is not here",
			  ask->chip->name, gone);
}

static gboolean wants_profiles(const Ask *ask)
{
	return ask->meet && !ask->looked && ask->chip->now->state != CHIP_LOCKED && outbox_has_profiles(ask->chip->outbox);
}

/* ------------------------------------------------------------------ steps */

static gboolean ask_answer(Ask *ask, GBytes *response, GError **error)
{
	Chip *chip = ask->chip;

	switch (ask->step) {
	case ASK_EID:
		return take_eid(ask, response, error);
	case ASK_FULL:
		return take_full(ask, response, error);
	case ASK_CERTS:
		return take_certs(ask, response, error);
	case ASK_INFO:
		ask->info = chip->codec->parse_info(response, error);
		ask->info_bytes = g_bytes_ref(response);
		ask->step = ASK_INFO_AGAIN;
		return ask->info && verify_progress(ask->full ? ask->full : chip->now, ask->info, error);
	case ASK_INFO_AGAIN:
		return take_info(ask, response, error);
	case ASK_INFO2:
	case ASK_INFO2_AGAIN:
		take_info2(ask, response);
		return TRUE;
	case ASK_LIST:
	case ASK_LIST_AGAIN:
		if (!take_list(ask, response, error))
			return FALSE;
		if (ask->step == ASK_REMOVE)
			list_done(ask);
		return TRUE;
	case ASK_REMOVE:
		if (es10_remove_parse(response, error))
			remove_next(ask);
		else
			remove_refused(ask, g_steal_pointer(error));
		return TRUE;
	case ASK_PROFILES:
		take_profiles(ask, response);
		return TRUE;
	default:
		g_assert_not_reached();
	}
}

/* A status word of the chip instead of an answer: TRUE if the machine goes on. Takes @error then. */
static gboolean ask_refused(Ask *ask, GError *error)
{
	guint sw = es10_sw(ask->chip->es10);

	if (!sw || !g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP))
		return FALSE;
	switch (ask->step) {
	case ASK_INFO2:
	case ASK_INFO2_AGAIN:
		take_info2(ask, NULL);
		g_error_free(error);
		return TRUE;
	case ASK_LIST:
	case ASK_LIST_AGAIN:
		list_unreadable(ask, NULL, error);
		if (ask->step == ASK_REMOVE)
			list_done(ask);
		return TRUE;
	case ASK_REMOVE:
		remove_refused(ask, error);
		return TRUE;
	case ASK_PROFILES:
		ask->step = ASK_END;
		g_error_free(error);
		return TRUE;
	default:
		return FALSE;
	}
}

static void on_answer(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Ask *ask = g_task_get_task_data(task);
	Chip *chip = ask->chip;
	GError *error = NULL;
	g_autoptr(GBytes) response = es10_send_finish(chip->es10, res, &error);
	guint sw = es10_sw(chip->es10);

	if (response ? ask_answer(ask, response, &error) : ask_refused(ask, error)) {
		ask_step(task);
		return;
	}
	if (!response && ask->step == ASK_FULL && g_error_matches(error, IFPP_ERROR, IFPP_ERROR_CHIP) &&
	    (sw == 0x6d00 || sw == 0x6a80 || sw == 0x6a88 || sw == 0x6a86)) {
		g_clear_error(&error);
		error = g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC,
				    "%s: an eUICC without factory provisioning: it does not speak %s", chip->name,
				    chip->codec->name);
	}
	if (!response && ask->step == ASK_CERTS && sw)
		g_prefix_error(&error, "%s: no certificates in GetFactoryInfo, and ", chip->name);
	ask_failed(task, error);
}

static void on_opened(GObject *source, GAsyncResult *res, gpointer user)
{
	Ask *ask = g_task_get_task_data(user);
	GError *error = NULL;

	if (!es10_open_finish(res, &error)) {
		ask_failed(user, error);
		return;
	}
	ask->step = ASK_EID;
	ask_step(user);
}

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	Ask *ask = g_task_get_task_data(user);

	/* What cannot be closed is swept away before the next one is opened. */
	modem_channel_close_finish(res, NULL);
	if (ask->step == ASK_END) {
		ifppd_task_done(user);
		return;
	}
	ask->step = ASK_OPEN;
	ask_step(user);
}

static void ask_step(GTask *task)
{
	Ask *ask = g_task_get_task_data(task);
	Chip *chip = ask->chip;

	if (ask->step == ASK_REMOVE && !ask->remove->len)
		ask->step = wants_profiles(ask) ? ASK_PROFILES : ASK_END;
	switch (ask->step) {
	case ASK_CLOSE:
	case ASK_END:
		modem_channel_close_async(chip->modem, ask->deadline, g_task_get_cancellable(task), on_closed, task);
		break;
	case ASK_OPEN:
		es10_open_async(chip->es10, ask->deadline, g_task_get_cancellable(task), on_opened, task);
		break;
	case ASK_EID:
		chip_send(chip, task, "GetEID", es10_get_eid(), ask->deadline, on_answer);
		break;
	case ASK_FULL:
	case ASK_INFO:
	case ASK_INFO_AGAIN:
		chip_send(chip, task, "GetFactoryInfo", chip->codec->get_info(ask->step == ASK_FULL), ask->deadline,
			  on_answer);
		break;
	case ASK_CERTS:
		chip_send(chip, task, "GetCerts", es10_get_certs(), ask->deadline, on_answer);
		break;
	case ASK_INFO2:
	case ASK_INFO2_AGAIN:
		chip_send(chip, task, "GetEUICCInfo2", es10_get_info2(), ask->deadline, on_answer);
		break;
	case ASK_LIST:
	case ASK_LIST_AGAIN:
		chip_send(chip, task, "RetrieveNotificationsList", es10_list_results(), ask->deadline, on_answer);
		break;
	case ASK_REMOVE:
		chip_send(chip, task, "RemoveNotificationFromList",
			  es10_remove(g_array_index(ask->remove, guint64, 0)), ask->deadline, on_answer);
		break;
	case ASK_PROFILES:
		ask->looked = TRUE;
		chip_send(chip, task, "GetProfilesInfo", es10_list_profiles(), ask->deadline, on_answer);
		break;
	}
}

void ask_async(Chip *chip, gboolean meet_it, const AskClaim *claim, gint64 deadline, GCancellable *cancellable,
	       GAsyncReadyCallback cb, gpointer user)
{
	Ask *ask = g_new0(Ask, 1);

	ask->chip = chip;
	ask->meet = meet_it;
	ask->claim = claim;
	ask->deadline = deadline;
	ask->remove = g_array_new(FALSE, FALSE, sizeof(guint64));
	chip->now_valid = FALSE;
	g_clear_error(&chip->disk);
	ask_step(ifppd_task_new(ask, ask_free, cancellable, cb, user));
}

gboolean ask_finish(GAsyncResult *res, GError **error)
{
	return g_task_propagate_boolean(G_TASK(res), error);
}
