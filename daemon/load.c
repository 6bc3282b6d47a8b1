// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "clock.h"
#include "compact.h"
#include "error.h"
#include "load.h"
#include "verify.h"

/* The chip has spent or deleted keys that nobody here knows of: this may have been one of them. */
static gboolean may_be_gone(Chip *chip)
{
	g_autoptr(GArray) keys = chip_keys(chip, TRUE);

	return chip->now->state || chip->now->spent > keys->len - chip->now->keys->len;
}

static gboolean make_claim(Chip *chip, IfppPackage *package, AskClaim *claim, GError **error)
{
	const guint8 *key_id = ifpp_package_header(package)->key_id;
	IfppBpp *bpp = ifpp_package_bpp(package);
	IfppSpan transaction = ifpp_bpp_transaction_id(bpp);

	if (outbox_is_spent(chip->outbox, key_id)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_SPENT_KEY, "package: its one-time key is spent already");
		return FALSE;
	}
	if (!may_be_gone(chip)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_UNKNOWN_KEY,
			    "package: sealed to a one-time key that this chip never had");
		return FALSE;
	}
	memcpy(claim->key_id, key_id, sizeof(claim->key_id));
	claim->transaction = g_bytes_new(transaction.data, transaction.len);
	claim->profile_class = ifpp_bpp_profile_class(bpp);
	claim->facts = ifpp_compact_facts(package);
	return TRUE;
}

IfppPackage *load_check(Chip *chip, GBytes *file, AskClaim *claim, GError **error)
{
	g_autoptr(IfppPackage) package = NULL;
	gboolean offered = FALSE;

	if (chip->now->state == CHIP_LOCKED) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_LOCKED, "the chip is locked");
		return NULL;
	}
	if (!chip_read_trust(chip, error))
		return NULL;
	package = verify_package(file, chip->trust, chip->eid, chip->full, chip->now, &offered, error);
	if (!package)
		return NULL;
	clock_keep(chip->trust, chip->state_dir);
	if (!offered && !make_claim(chip, package, claim, error))
		return NULL;
	return g_steal_pointer(&package);
}

IfppAttempt *load_reserve(Chip *chip, IfppPackage *package, GError **error)
{
	IfppBpp *bpp = ifpp_package_bpp(package);
	/* Of any chip: whether it lists results in compact form shows when one is lost. */
	g_autoptr(GBytes) facts = ifpp_compact_facts(package);
	IfppAttempt *attempt = outbox_begin(chip->outbox, ifpp_package_header(package)->key_id,
					    ifpp_bpp_transaction_id(bpp), ifpp_bpp_profile_class(bpp),
					    ifpp_trust_floor(chip->trust), facts, error);

	return attempt ? ifpp_attempt_ref(attempt) : NULL;
}

GError *load_gone_error(void)
{
	return g_error_new(IFPP_ERROR, IFPP_ERROR_SPENT_KEY,
			   "package: its one-time key is gone, spent elsewhere or deleted, and the chip has no result of it");
}

void load_note_refusal(Chip *chip, GBytes *file, IfppAttempt *attempt, const GError *cause)
{
	g_autoptr(GError) error = NULL;
	IfppHeader header;

	if (!ifpp_header_parse(ifpp_span_bytes(file), &header, NULL) || memcmp(header.eid, chip->eid, sizeof(chip->eid)) ||
	    (attempt && outbox_pending(chip->outbox, ifpp_span_bytes(attempt->transaction))))
		return;
	if (!outbox_note_refusal(chip->outbox, header.key_id, cause, &error))
		g_warning("%s: that the package was refused could not be noted: %s", chip->name, error->message);
}
