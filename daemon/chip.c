// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <string.h>

#include "chip.h"
#include "clock.h"
#include "eid.h"
#include "error.h"
#include "policy.h"

gboolean chip_read_trust(Chip *chip, GError **error)
{
	const IfppTrust *before = chip->trust;
	g_autoptr(GPtrArray) ends = NULL;
	GPtrArray *problems;

	if (!ifpp_trust_reload(&chip->trust, chip->trust_dir, error))
		return FALSE;
	clock_apply(chip->trust, chip->state_dir, chip->policy);
	if (chip->trust == before)
		return TRUE;
	problems = ifpp_trust_problems(chip->trust);
	for (guint i = 0; i < problems->len; i++)
		g_message("not used: %s", (char *)problems->pdata[i]);
	ends = ifpp_trust_ends(chip->trust);
	for (guint i = 0; i < ends->len; i++)
		g_message("%s. Bring the next issue into %s", (char *)ends->pdata[i], chip->trust_dir);
	return TRUE;
}

/* What a modem says of itself that is not fit for a record is left out. */
static void identify(Modem *modem, IfppUnit *unit)
{
	const ModemIdentity *id = modem_identity(modem);
	g_autofree char *path = ifpp_port_path("/sys/class", modem->device);
	g_autofree char *port = g_path_get_basename(modem->device);

	ifpp_unit_set(unit, IFPP_UNIT_IMEI, id->imei);
	ifpp_unit_set(unit, IFPP_UNIT_MODEL, id->model);
	ifpp_unit_set(unit, IFPP_UNIT_FIRMWARE, id->revision);
	ifpp_unit_set(unit, IFPP_UNIT_SERIAL, id->serial);
	ifpp_unit_set(unit, IFPP_UNIT_USB_PATH, path ? path : modem->no_node ? modem->device : port);
	if (!ifpp_unit_set(unit, IFPP_UNIT_STATION, g_getenv("IFPP_STATION")) || !unit->field[IFPP_UNIT_STATION])
		ifpp_unit_set(unit, IFPP_UNIT_STATION, g_get_host_name());
}

Outbox *chip_open_outbox(Chip *chip, GError **error)
{
	Outbox *outbox = outbox_open(chip->state_dir, chip->eid, error);
	g_auto(IfppUnit) unit = { 0 };

	if (!outbox)
		return NULL;
	identify(chip->modem, &unit);
	outbox_set_unit(outbox, &unit);
	return outbox;
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
	g_clear_error(&chip->disk);
	g_free(chip->trust_dir);
	g_free(chip->state_dir);
	g_free(chip);
}

const guint8 *chip_eid(Chip *chip)
{
	return chip->eid;
}

const char *chip_name(Chip *chip)
{
	return chip->name;
}

void chip_set_eid(Chip *chip, const guint8 eid[16])
{
	memcpy(chip->eid, eid, sizeof(chip->eid));
	if (chip->show_ids)
		ifpp_eid_format(eid, chip->name);
	else
		ifpp_eid_mask(eid, chip->name);
}

char *chip_redact(Chip *chip, const char *text)
{
	g_autoptr(GString) out = g_string_new(text);
	const char *imei = chip->modem ? modem_identity(chip->modem)->imei : NULL;
	char digits[33];

	if (chip->name[0] && !chip->show_ids) {
		ifpp_eid_format(chip->eid, digits);
		g_string_replace(out, digits, chip->name, 0);
	}
	if (imei && *imei && !chip->show_ids) {
		g_autofree char *masked = g_strdup(imei);

		ifpp_imei_mask(masked);
		g_string_replace(out, imei, masked, 0);
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

guint chip_unspent(Chip *chip)
{
	return chip->now->keys->len;
}

GArray *chip_keys(Chip *chip, gboolean with_spent)
{
	GArray *keys = g_array_new(FALSE, TRUE, sizeof(struct ifpp_key));
	GPtrArray *attempts = outbox_attempts(chip->outbox);
	const guint8 *last = NULL;
	guint spent = 0;

	for (guint i = 0; i < chip->now->keys->len; i++) {
		struct ifpp_key key = { .state = IFPP_KEY_UNSPENT };

		memcpy(key.id, g_array_index(chip->now->keys, IfppOtk, i).key_id, IFPP_KEY_ID_LEN);
		g_array_append_val(keys, key);
	}
	for (guint i = 0; with_spent && i < attempts->len && keys->len < IFPP_KEYS_MAX && spent < chip->now->spent; i++) {
		IfppAttempt *attempt = attempts->pdata[i];
		struct ifpp_key key = { .state = IFPP_KEY_SPENT };

		if ((last && !memcmp(last, attempt->key_id, IFPP_KEY_ID_LEN)) ||
		    !outbox_is_spent(chip->outbox, attempt->key_id) ||
		    ifpp_factory_info_find(chip->now, attempt->key_id))
			continue;
		last = attempt->key_id;
		memcpy(key.id, attempt->key_id, IFPP_KEY_ID_LEN);
		g_array_append_val(keys, key);
		spent++;
	}
	return keys;
}

gboolean chip_proven(Chip *chip)
{
	return chip->proven;
}

void chip_send(Chip *chip, GTask *task, const char *what, GBytes *command, gint64 deadline, GAsyncReadyCallback cb)
{
	es10_send_async(chip->es10, what, ifpp_span_bytes(command), ES10_COMMAND, deadline,
			g_task_get_cancellable(task), cb, task);
	g_bytes_unref(command);
}

void chip_iccid_name(Chip *chip, const guint8 iccid[10], char name[21])
{
	if (chip->show_ids)
		ifpp_iccid_format(iccid, name);
	else
		ifpp_iccid_mask(iccid, name);
}

static void log_pir(Chip *chip, IfppPir *pir)
{
	char iccid[21] = "unknown";

	if (pir->iccid.len == IFPP_ICCID_BYTES)
		chip_iccid_name(chip, pir->iccid.data, iccid);
	if (pir->success)
		g_message("%s: profile %s installed", chip->name, iccid);
	else
		g_message("%s: profile %s not installed: %s", chip->name, iccid,
			  ifpp_pir_reason_name(pir->reason));
}

void chip_set_aside(Chip *chip, GBytes *bytes, const char *why)
{
	g_autoptr(GError) error = NULL;

	if (outbox_is_aside(chip->outbox, bytes))
		return;
	if (outbox_set_aside(chip->outbox, bytes, why, &error))
		g_warning("%s: a result in the chip: %s; a copy is in quarantine", chip->name, why);
	else
		g_warning("%s: a result in the chip: %s; it cannot be copied: %s", chip->name, why, error->message);
}

/* A policy that makes no sense decides nothing. */
static gboolean results_stay(Chip *chip)
{
	g_auto(IfppPolicy) policy = IFPP_POLICY_DEFAULT;

	return ifpp_policy_find(chip->policy, &policy, NULL) && policy.report_field;
}

gboolean chip_keep_pir(Chip *chip, IfppAttempt *attempt, GBytes *bytes, IfppPir *pir, GError **error)
{
	attempt->status = pir->success ? 0 : -EREMOTEIO;
	attempt->reason = pir->success ? 0 : pir->reason;
	attempt->spent = pir->success ? IFPP_SPENT_YES : IFPP_SPENT_UNKNOWN;
	attempt->seq = pir->seq;
	attempt->deferred = results_stay(chip);
	g_clear_pointer(&attempt->pir, g_bytes_unref);
	attempt->pir = g_bytes_ref(bytes);
	if (!outbox_store(chip->outbox, attempt, error)) {
		g_clear_pointer(&attempt->pir, g_bytes_unref);
		return FALSE;
	}
	log_pir(chip, pir);
	return TRUE;
}
