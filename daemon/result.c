// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include "compact.h"
#include "error.h"
#include "result.h"

/* Which attempt a result ends; a new one if the chip has more results of a transaction than we have begun. */
static IfppAttempt *attempt_of(Chip *chip, const AskClaim *claim, IfppPir *pir, gboolean *known)
{
	IfppAttempt *attempt = ifpp_attempts_find_signed(outbox_attempts(chip->outbox), pir->transaction_id, pir->seq);
	IfppAttempt *fresh;

	*known = attempt != NULL;
	if (!attempt)
		attempt = outbox_pending(chip->outbox, pir->transaction_id);
	if (attempt)
		return ifpp_attempt_ref(attempt);
	attempt = outbox_find_transaction(chip->outbox, pir->transaction_id);
	if (attempt) {
		fresh = ifpp_attempt_new(chip->eid, attempt->key_id, pir->transaction_id);
		fresh->profile_class = attempt->profile_class;
		return fresh;
	}
	if (!claim || !ifpp_span_equal(ifpp_span_bytes(claim->transaction), pir->transaction_id))
		return NULL;
	fresh = ifpp_attempt_new(chip->eid, claim->key_id, pir->transaction_id);
	fresh->profile_class = claim->profile_class;
	return fresh;
}

/* FALSE with @error: it cannot be read or proven. */
static gboolean take_whole(Chip *chip, const AskClaim *claim, GBytes *bytes, GArray *remove, gboolean *stored, GError **error)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, error);
	g_autoptr(IfppAttempt) attempt = NULL;
	g_autoptr(GError) disk = NULL;
	gboolean known;

	if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(chip->full->cert_euicc), error))
		return FALSE;
	attempt = attempt_of(chip, claim, pir, &known);
	if (!attempt) {
		chip_set_aside(chip, bytes, "of a load that did not begin here; loading its package again claims it");
		return TRUE;
	}
	if (!known && !chip_keep_pir(chip, attempt, bytes, pir, &disk)) {
		g_warning("%s: its result stays in the chip: %s", chip->name, disk->message);
		if (!chip->disk)
			chip->disk = g_steal_pointer(&disk);
		*stored = FALSE;
		return TRUE;
	}
	/* Another result with the same numbers would not be the one that is on disk. */
	if (known && !g_bytes_equal(attempt->pir, bytes))
		chip_set_aside(chip, bytes, "with the numbers of another one that is stored");
	else if (!attempt->deferred)
		g_array_append_val(remove, pir->seq);
	return TRUE;
}

/* ------------------------------------------------------------------ compact */

/* What it leaves out, as it was noted when the load began; NULL: no load of ours, or nothing was noted. */
static GBytes *facts_of(Chip *chip, const AskClaim *claim, IfppSpan transaction)
{
	IfppAttempt *attempt = outbox_pending(chip->outbox, transaction);

	if (attempt && attempt->facts)
		return attempt->facts;
	return claim && claim->transaction && ifpp_span_equal(ifpp_span_bytes(claim->transaction), transaction) ? claim->facts :
														 NULL;
}

/* The one that is on disk has the same signature, or is another one. */
static gboolean is_stored(const IfppAttempt *attempt, const IfppCompactPir *compact)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(attempt->pir, NULL);

	return pir && ifpp_span_equal(pir->signature, compact->signature);
}

/* ------------------------------------------------------------------ deletions */

static const IfppDeletion *find_deletion(Outbox *outbox, guint64 seq)
{
	GPtrArray *all = outbox_deletions(outbox);

	for (guint i = 0; i < all->len; i++) {
		const IfppDeletion *deletion = all->pdata[i];

		if (deletion->seq == seq)
			return deletion;
	}
	return NULL;
}

/* What stays in the chip for the field (Report=field) must not tell it of a profile that is gone. */
static void remove_deferred(Chip *chip, const IfppDeletion *deletion, GArray *remove)
{
	GPtrArray *all = outbox_attempts(chip->outbox);

	for (guint i = 0; i < all->len; i++) {
		const IfppAttempt *attempt = all->pdata[i];
		g_autoptr(IfppPir) pir = attempt->deferred && attempt->pir ? ifpp_pir_parse(attempt->pir, NULL) : NULL;

		if (pir && pir->seq < deletion->seq && ifpp_span_equal(pir->iccid, IFPP_SPAN(deletion->iccid)))
			g_array_append_val(remove, pir->seq);
	}
}

static gboolean take_deletion(Chip *chip, GBytes *bytes, GArray *remove, gboolean *stored, GError **error)
{
	g_autoptr(IfppDeletion) deletion = ifpp_deletion_parse(bytes, error);
	g_autoptr(GError) disk = NULL;
	const IfppDeletion *known;
	guint64 seq;
	char iccid[21];

	if (!deletion || !ifpp_deletion_verify(deletion, ifpp_span_bytes(chip->full->cert_euicc), error))
		return FALSE;
	seq = deletion->seq;
	known = find_deletion(chip->outbox, seq);
	if (known && !g_bytes_equal(known->bytes, bytes)) {
		chip_set_aside(chip, bytes, "with the number of another one that is stored");
		return TRUE;
	}
	if (!known && !outbox_store_deletion(chip->outbox, deletion, &disk)) {
		g_warning("%s: its record of a deletion stays in the chip: %s", chip->name, disk->message);
		if (!chip->disk)
			chip->disk = g_steal_pointer(&disk);
		*stored = FALSE;
		return TRUE;
	}
	/* Before the record: while that is in the chip, this is done again. */
	remove_deferred(chip, deletion, remove);
	if (!known) {
		chip_iccid_name(chip, g_steal_pointer(&deletion)->iccid, iccid);
		g_message("%s: profile %s deleted", chip->name, iccid);
	}
	g_array_append_val(remove, seq);
	return TRUE;
}

gboolean result_take(Chip *chip, const AskClaim *claim, GBytes *bytes, GArray *remove, gboolean *stored, GError **error)
{
	guint8 tag = *(const guint8 *)g_bytes_get_data(bytes, NULL);
	IfppAttempt *attempt;
	IfppCompactPir compact;
	g_autoptr(GBytes) whole = NULL;
	GBytes *facts;
	guint64 seq;

	if (tag != IFPP_TAG_COMPACT_PIR && tag != IFPP_TAG_PIR >> 8)
		return take_deletion(chip, bytes, remove, stored, error);
	if (tag != IFPP_TAG_COMPACT_PIR)
		return take_whole(chip, claim, bytes, remove, stored, error);
	if (!ifpp_compact_pir_parse(ifpp_span_bytes(bytes), &compact, error))
		return FALSE;
	attempt = ifpp_compact_pir_seq(&compact, &seq) ?
			  ifpp_attempts_find_signed(outbox_attempts(chip->outbox), compact.transaction_id, seq) : NULL;
	if (attempt && is_stored(attempt, &compact)) {
		if (!attempt->deferred)
			g_array_append_val(remove, seq);
		return TRUE;
	}
	facts = facts_of(chip, claim, compact.transaction_id);
	if (!facts && !outbox_find_transaction(chip->outbox, compact.transaction_id)) {
		chip_set_aside(chip, bytes, "compact, of a load that did not begin here; loading its package again claims it");
		return TRUE;
	}
	if (facts)
		whole = ifpp_compact_pir_expand(&compact, ifpp_span_bytes(facts), ifpp_span_bytes(chip->full->cert_euicc));
	if (whole)
		return take_whole(chip, claim, whole, remove, stored, error);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR_SIGNATURE, "compact installation result: not signed over what is known of its load");
	return FALSE;
}
