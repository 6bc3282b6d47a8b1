// SPDX-License-Identifier: GPL-2.0-or-later
#include "load.h"
#include "explain.h"

#include <errno.h>
#include <euicc.h>
#include <string.h>

#define TICK_MS 500			/* between two turns of the progress line */
#define BUSY_WAIT_S 600			/* for the packages of others before ours */
#define UNKNOWN_WAIT_S 120		/* for the daemon to ask the chip about a key */

static const char *const outcome_names[] = { "installed", "done", "refused", "failed" };

void ctl_load_clear(CtlLoad *load)
{
	g_clear_error(&load->error);
	g_clear_pointer(&load->stored, ifpp_attempt_unref);
}

int ctl_key_state(CtlChip *chip, const guint8 key_id[32])
{
	g_autoptr(GArray) keys = NULL;

	if (ctl_device_keys(chip->device, &keys))
		return -1;
	for (guint i = 0; i < keys->len; i++) {
		struct ifpp_key *key = &g_array_index(keys, struct ifpp_key, i);

		if (!memcmp(key->id, key_id, IFPP_KEY_ID_LEN))
			return key->state;
	}
	return -1;
}

/* Wait for @events up to @deadline (or for ever: 0), telling on the terminal how long it has been. */
static int wait_for(Ctl *ctl, CtlChip *chip, short events, gint64 deadline, const char *doing)
{
	gint64 begin = g_get_monotonic_time();
	int err;

	do {
		ctl_progress(&ctl->out, "%s: %s ... %d s", chip->node, doing,
			     (int)((g_get_monotonic_time() - begin) / G_USEC_PER_SEC));
		err = ctl_device_wait(chip->device, events, TICK_MS);
	} while (err == ETIMEDOUT && (!deadline || g_get_monotonic_time() < deadline));
	return err;
}

/* Wait until the driver knows what became of a key. The driver has asked the chip already. */
static int wait_known(Ctl *ctl, CtlChip *chip, const guint8 key_id[32], gint64 deadline)
{
	struct ifpp_info info;
	int err;

	do {
		/* Looking takes POLLPRI back, so look before the keys are read. */
		err = ctl_device_info(chip->device, &info);
		if (err || ctl_key_state(chip, key_id) != IFPP_KEY_UNKNOWN)
			return err;
		err = wait_for(ctl, chip, POLLPRI, deadline, "asking the chip what became of this key");
	} while (!err);
	return err;
}

static int submit(Ctl *ctl, CtlChip *chip, GBytes *file, const guint8 key_id[32])
{
	gint64 busy = g_get_monotonic_time() + BUSY_WAIT_S * G_USEC_PER_SEC;
	gint64 unknown = g_get_monotonic_time() + UNKNOWN_WAIT_S * G_USEC_PER_SEC;
	struct ifpp_result old;
	int err, waited;

	for (;;) {
		err = ctl_device_submit(chip->device, file);
		switch (err) {
		case EAGAIN:
			waited = wait_for(ctl, chip, POLLOUT, busy, "waiting for another package");
			break;
		case EBUSY:
			/* A load of ours that was not waited for: its result is in the outbox too. */
			waited = wait_for(ctl, chip, POLLIN, busy, "waiting for the package before");
			if (!waited)
				waited = ctl_device_result(chip->device, &old);
			break;
		case EKEYREJECTED:
			if (ctl_key_state(chip, key_id) == -1)
				return err;
			waited = wait_known(ctl, chip, key_id, unknown);
			break;
		default:
			return err;
		}
		if (waited == ETIMEDOUT)
			return err;
		if (waited)
			return waited;
	}
}

static int run(Ctl *ctl, CtlChip *chip, GBytes *file, const IfppHeader *header, const char *doing, CtlLoad *load)
{
	int err = submit(ctl, chip, file, header->key_id);

	load->outcome = CTL_REFUSED;
	if (err)
		return err;

	load->outcome = CTL_FAILED;
	err = wait_for(ctl, chip, POLLIN, 0, doing);
	if (!err)
		err = ctl_device_result(chip->device, &load->result);
	return err;
}

static IfppSpent is_spent(CtlChip *chip, const guint8 key_id[32])
{
	int state = ctl_key_state(chip, key_id);

	return state == IFPP_KEY_SPENT ? IFPP_SPENT_YES : state == IFPP_KEY_UNSPENT ? IFPP_SPENT_NO : IFPP_SPENT_UNKNOWN;
}

void ctl_load(Ctl *ctl, CtlChip *chip, const char *path, GBytes *file, const IfppHeader *header, CtlLoad *load)
{
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *doing = g_strdup_printf("loading %s", base);

	memset(load, 0, sizeof(*load));
	load->err = run(ctl, chip, file, header, doing, load);
	ctl_progress_end(&ctl->out);
	if (load->err) {
		ctl_set_errno(&load->error, load->err, path);
	} else if (load->result.status) {
		load->err = -load->result.status;
		ctl_set_result(&load->error, load->result.status, load->result.reason, is_spent(chip, header->key_id), path);
		if (load->result.reason >= IFPP_ERROR_HEADER && !load->result.apdus)
			load->outcome = CTL_REFUSED;
	} else {
		load->outcome = CTL_INSTALLED;
	}
}

gboolean ctl_load_lookup(const char *outbox, CtlChip *chip, const char *path, const IfppHeader *header,
			 CtlLoad *load)
{
	memset(load, 0, sizeof(*load));
	load->stored = ctl_outbox_result(outbox, chip->info.eid, header->key_id, &load->error);
	if (!load->stored && !load->error)
		return FALSE;
	if (load->error) {
		load->outcome = CTL_FAILED;
		load->err = EIO;
	} else if (load->stored->status) {
		load->outcome = CTL_FAILED;
		load->err = -load->stored->status;
		ctl_set_result(&load->error, load->stored->status, load->stored->reason, load->stored->spent, path);
		g_prefix_error(&load->error, "loaded at %s: ", load->stored->time);
	} else {
		load->outcome = CTL_DONE;
	}
	return TRUE;
}

static void tell_json(CtlChip *chip, const char *path, const IfppHeader *header, const CtlLoad *load)
{
	const struct ifpp_result *r = &load->result;
	guint32 reason = load->stored ? load->stored->reason : r->reason;
	struct ifpp_info info;
	JsonBuilder *b = ifpp_json_new("package");

	ifpp_json_string(b, "device", chip->node);
	ifpp_json_eid(b, chip->info.eid);
	ifpp_json_string(b, "file", path);
	ifpp_json_hex(b, "key_id", IFPP_SPAN(header->key_id));
	ifpp_json_string(b, "outcome", outcome_names[load->outcome]);
	ifpp_json_int(b, "status", -load->err);
	ifpp_json_string(b, "errno", load->err ? g_strerror(load->err) : NULL);
	ifpp_json_int(b, "reason", reason);
	ifpp_json_string(b, "reason_name", ifpp_reason_name(reason));
	ifpp_json_string(b, "message", load->error ? load->error->message : NULL);
	ifpp_json_int(b, "keys_left", ctl_device_info(chip->device, &info) ? 0 : info.keys_unspent);
	ifpp_json_int(b, "apdus", load->stored ? load->stored->apdus : r->apdus);
	ifpp_json_int(b, "apdu_bytes", load->stored ? load->stored->apdu_bytes : r->apdu_bytes);
	ifpp_json_int(b, "queue_ns", r->queue_ns);
	ifpp_json_int(b, "verify_ns", load->stored ? load->stored->verify_ns : r->verify_ns);
	ifpp_json_int(b, "chip_ns", load->stored ? load->stored->chip_ns : r->chip_ns);
	ifpp_json_int(b, "total_ns", r->total_ns);
	ifpp_json_print(b);
}

int ctl_load_tell(Ctl *ctl, CtlChip *chip, const char *path, const IfppHeader *header, const CtlLoad *load)
{
	g_autofree char *shown = ctl_show_path(&ctl->out, path);
	const struct ifpp_result *r = &load->result;

	if (ctl->out.json)
		tell_json(chip, path, header, load);
	switch (load->outcome) {
	case CTL_INSTALLED:
		ctl_say(&ctl->out, "%s: %s: installed, %u APDUs, %u bytes, %.1f s of which the chip %.1f s; "
			"one-time keys left: %u.", chip->node, shown, r->apdus, r->apdu_bytes, r->total_ns / 1e9,
			r->chip_ns / 1e9, r->keys_left);
		return IFPP_EXIT_OK;
	case CTL_DONE:
		ctl_say(&ctl->out, "%s: %s: done already, at %s.", chip->node, shown, load->stored->time);
		return IFPP_EXIT_OK;
	default:
		return ctl_error_exit(load->error);
	}
}

int ctl_cmd_load(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autoptr(CtlChip) chip = NULL;
	int worst = IFPP_EXIT_OK;

	if (!ctl_parse(ctl, &argc, &argv, NULL, "FILE...", "Load sealed packages into a chip, one after the other.",
		       error))
		return 0;
	if (argc < 2) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "load: name at least one sealed package");
		return 0;
	}
	chip = ctl_chip_open(ctl, error);
	if (!chip)
		return 0;

	ctl_catch_signals();
	for (int i = 1; i < argc; i++) {
		g_auto(CtlLoad) load = { 0 };
		g_autoptr(GBytes) file = NULL;
		g_autoptr(GError) local = NULL;
		IfppHeader header;
		int exit;

		file = ctl_package_read(argv[i], &header, &local);
		if (!file) {
			exit = ctl_error_exit(local);
		} else {
			ctl_load(ctl, chip, argv[i], file, &header, &load);
			exit = ctl_load_tell(ctl, chip, argv[i], &header, &load);
		}
		if (!worst)
			worst = exit;
		/* The others would only meet the same. */
		if (load.err && ctl_errno_is_final(load.err) && !load.result.status)
			break;
	}
	return worst;
}
