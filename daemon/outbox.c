// SPDX-License-Identifier: GPL-2.0-or-later
#define G_LOG_DOMAIN "ifppd"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <linux/ifpp.h>

#include "bpp.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "outbox-priv.h"
#include "quarantine.h"
#include "refusal.h"

/* A PIR of IFPP_PIR_MAX in base64 and everything beside it. */
#define RESERVE (IFPP_PIR_MAX * 2)

char *outbox_path(Outbox *outbox, const char *name, const char *suffix)
{
	return g_strdup_printf("%s/%s%s", outbox->dir, name, suffix);
}

char *outbox_now(void)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();

	return g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
}

/* ---------------------------------------------------------------- opening */

static void remove_name(Outbox *outbox, const char *name)
{
	g_autofree char *path = outbox_path(outbox, name, "");

	if (g_unlink(path) < 0 && errno != ENOENT)
		g_warning("%s: cannot delete it: %s", path, g_strerror(errno));
}

static char *stem(const char *file)
{
	return g_strndup(file, strrchr(file, '.') - file);
}

static void rename_with(Outbox *outbox, const char *from, const char *to, const char *suffix)
{
	g_autofree char *old = outbox_path(outbox, from, suffix), *new = outbox_path(outbox, to, suffix);

	if (g_rename(old, new) < 0 && errno != ENOENT)
		g_warning("%s: cannot rename it: %s", old, g_strerror(errno));
}

/* A record of version 1 gets its new name and content; at every step one of the two is there and whole. */
static void carry_over(Outbox *outbox, IfppAttempt *attempt)
{
	g_autofree char *old = stem(attempt->file), *new = ifpp_attempt_name(attempt);
	const char *suffix = attempt->stored ? IFPP_RESULT_SUFFIX : IFPP_PENDING_SUFFIX;
	g_autofree char *path = outbox_path(outbox, new, suffix), *text = ifpp_attempt_text(attempt);
	g_autoptr(GError) error = NULL;

	/* What is noted of its delivery goes first: without a note it is only delivered once more. */
	rename_with(outbox, old, new, attempt->stored ? ".delivered" : IFPP_RESERVE_SUFFIX);
	if (!quarantine_move(outbox->dir, outbox->eid, path, &error) || !ifpp_file_write(path, text, strlen(text), 0640, &error)) {
		g_warning("%s/%s: stays a record of version 1: %s", outbox->dir, attempt->file, error->message);
		return;
	}
	remove_name(outbox, attempt->file);
	g_free(attempt->file);
	attempt->file = g_path_get_basename(path);
	attempt->version = 2;
}

/* Space that no load waits for, and what was being written when a daemon was killed. */
static gboolean is_litter(Outbox *outbox, const char *name)
{
	g_autofree char *own = NULL;

	if (*name == '.')
		return strstr(name, IFPP_RESULT_SUFFIX ".") || strstr(name, IFPP_PENDING_SUFFIX ".") ||
		       strstr(name, IFPP_REFUSAL_SUFFIX ".") || strstr(name, IFPP_DELETION_SUFFIX ".") ||
		       g_str_has_prefix(name, ".lock.receipt.") || g_str_has_prefix(name, ".euicc.data.") ||
		       g_str_has_prefix(name, ".eim.record.");
	if (!g_str_has_suffix(name, IFPP_RESERVE_SUFFIX))
		return FALSE;
	own = stem(name);
	for (guint i = 0; i < outbox->attempts->len; i++) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];
		g_autofree char *other = stem(attempt->file);

		if (!attempt->stored && g_str_equal(own, other))
			return FALSE;
	}
	return TRUE;
}

static void tidy(Outbox *outbox, const GPtrArray *leftovers)
{
	g_autoptr(GPtrArray) litter = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	for (guint i = 0; i < leftovers->len; i++)
		remove_name(outbox, leftovers->pdata[i]);
	for (guint i = 0; i < outbox->attempts->len; i++) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];

		if (attempt->version == 1)
			carry_over(outbox, attempt);
	}
	dir = g_dir_open(outbox->dir, 0, NULL);
	while (dir && (name = g_dir_read_name(dir)))
		if (is_litter(outbox, name))
			g_ptr_array_add(litter, g_strdup(name));
	for (guint i = 0; i < litter->len; i++)
		remove_name(outbox, litter->pdata[i]);
}

Outbox *outbox_open(const char *state_dir, const guint8 eid[16], GError **error)
{
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) leftovers = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(Outbox) outbox = g_new0(Outbox, 1);
	char digits[33];

	memcpy(outbox->eid, eid, 16);
	ifpp_eid_format(eid, digits);
	outbox->dir = g_build_filename(state_dir, "outbox", digits, NULL);
	if (!ifpp_make_dir(outbox->dir, 0750, error))
		return NULL;
	outbox->attempts = ifpp_attempts_read(outbox->dir, eid, damaged, leftovers, error);
	if (!outbox->attempts)
		return NULL;
	outbox->deletions = ifpp_deletions_read(outbox->dir, eid, damaged);
	for (guint i = 0; i < damaged->len; i++)
		g_warning("%s: not readable, left as it is", (char *)damaged->pdata[i]);
	tidy(outbox, leftovers);
	return g_steal_pointer(&outbox);
}

void outbox_free(Outbox *outbox)
{
	g_free(outbox->dir);
	ifpp_unit_clear(&outbox->unit);
	g_clear_pointer(&outbox->attempts, g_ptr_array_unref);
	g_clear_pointer(&outbox->deletions, g_ptr_array_unref);
	g_free(outbox);
}

void outbox_set_unit(Outbox *outbox, const IfppUnit *unit)
{
	g_autoptr(GError) error = NULL;

	ifpp_unit_clear(&outbox->unit);
	ifpp_unit_fill(&outbox->unit, unit);
	if (!ifpp_unit_save(unit, outbox->dir, IFPP_UNIT_FILE, &error))
		g_info("%s", error->message);
}

void outbox_put_unit(Outbox *outbox, IfppUnit *unit)
{
	ifpp_unit_fill(unit, &outbox->unit);
	ifpp_unit_load(unit, outbox->dir, IFPP_UNIT_SCAN_FILE);
}

/* --------------------------------------------------------------- searching */

GPtrArray *outbox_attempts(Outbox *outbox)
{
	return outbox->attempts;
}

static IfppAttempt *find(Outbox *outbox, IfppSpan transaction, gboolean pending)
{
	for (guint i = 0; i < outbox->attempts->len; i++) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];

		if (!(pending && attempt->stored) &&
		    ifpp_span_equal(ifpp_span_bytes(attempt->transaction), transaction))
			return attempt;
	}
	return NULL;
}

IfppAttempt *outbox_pending(Outbox *outbox, IfppSpan transaction)
{
	return find(outbox, transaction, TRUE);
}

IfppAttempt *outbox_find_transaction(Outbox *outbox, IfppSpan transaction)
{
	return find(outbox, transaction, FALSE);
}

gboolean outbox_is_spent(Outbox *outbox, const guint8 key_id[32])
{
	IfppAttempt *attempt = ifpp_attempts_find(outbox->attempts, key_id);

	return attempt && attempt->spent == IFPP_SPENT_YES;
}

/* ----------------------------------------------------------------- writing */

/* The note of a load that has ended, and its space. */
static void remove_pending(Outbox *outbox, const char *file)
{
	g_autofree char *name = stem(file);
	g_autofree char *reserve = g_strconcat(name, IFPP_RESERVE_SUFFIX, NULL);

	remove_name(outbox, file);
	remove_name(outbox, reserve);
}

IfppAttempt *outbox_begin(Outbox *outbox, const guint8 key_id[32], IfppSpan transaction, guint profile_class,
			  gint64 floor, GBytes *facts, GError **error)
{
	g_autoptr(IfppAttempt) attempt = ifpp_attempt_new(outbox->eid, key_id, transaction);
	g_autofree char *name = ifpp_attempt_name(attempt);
	g_autofree char *reserve = outbox_path(outbox, name, IFPP_RESERVE_SUFFIX);
	g_autofree char *pending = outbox_path(outbox, name, IFPP_PENDING_SUFFIX);
	g_autofree char *text = NULL;
	IfppAttempt *begun = outbox_pending(outbox, transaction);

	attempt->before = ifpp_attempts_count(outbox->attempts, key_id, transaction);
	attempt->profile_class = profile_class;
	attempt->floor = floor;
	attempt->facts = facts ? g_bytes_ref(facts) : NULL;
	attempt->time = outbox_now();
	outbox_put_unit(outbox, &attempt->unit);
	attempt->file = g_path_get_basename(pending);
	text = ifpp_attempt_text(attempt);
	if (!begun && (!quarantine_move(outbox->dir, outbox->eid, pending, error) ||
		       !quarantine_move(outbox->dir, outbox->eid, reserve, error)))
		return NULL;
	if (!ifpp_file_reserve(reserve, RESERVE, 0640, error))
		return NULL;
	if (!ifpp_file_write(pending, text, strlen(text), 0640, error)) {
		g_unlink(reserve);
		return NULL;
	}
	if (begun && !g_str_equal(begun->file, attempt->file))
		remove_pending(outbox, begun->file);	/* of version 1: it could not be carried over */
	if (begun)
		g_ptr_array_remove(outbox->attempts, begun);
	g_ptr_array_add(outbox->attempts, ifpp_attempt_ref(attempt));
	ifpp_attempts_sort(outbox->attempts);
	return attempt;
}

void outbox_cancel(Outbox *outbox, IfppAttempt *attempt)
{
	if (attempt->stored)
		return;
	remove_pending(outbox, attempt->file);
	g_ptr_array_remove(outbox->attempts, attempt);
}

/* Into the space taken before, then under its name: needs no further block. */
static gboolean write_reserved(const char *reserve, const char *path, IfppSpan text, GError **error)
{
	int fd = text.len > RESERVE ? -1 : open(reserve, O_WRONLY | O_CLOEXEC);
	gboolean ok;

	if (fd < 0)
		return FALSE;
	ok = ifpp_file_put(fd, path, text, error);
	if (ok && (ftruncate(fd, text.len) || fsync(fd)))
		ok = ifpp_file_error(path, "cannot write", error);
	close(fd);
	return ok && (g_rename(reserve, path) == 0 || ifpp_file_error(path, "cannot rename", error));
}

static gboolean write_result(Outbox *outbox, const char *reserve, const char *path, const char *text, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (!quarantine_move(outbox->dir, outbox->eid, path, error))
		return FALSE;
	if (write_reserved(reserve, path, (IfppSpan){ (const guint8 *)text, strlen(text) }, &local))
		return ifpp_sync_dir(outbox->dir, error);
	/* A file system that writes elsewhere has no use of the space: give it back, and try in the usual way. */
	if (local)
		g_info("%s", local->message);
	g_unlink(reserve);
	return ifpp_file_write(path, text, strlen(text), 0640, error);
}

/* A loss that was none: the chip had the result after all. */
static void forget_loss(Outbox *outbox, const IfppAttempt *found)
{
	for (guint i = outbox->attempts->len; i-- > 0;) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];
		g_autofree char *name = NULL, *note = NULL;

		if (attempt == found || !attempt->stored || attempt->pir ||
		    memcmp(attempt->key_id, found->key_id, 32) || !g_bytes_equal(attempt->transaction, found->transaction))
			continue;
		name = stem(attempt->file);
		note = g_strconcat(name, ".delivered", NULL);
		remove_name(outbox, attempt->file);
		remove_name(outbox, note);
		g_ptr_array_remove_index(outbox->attempts, i);
	}
}

gboolean outbox_store(Outbox *outbox, IfppAttempt *attempt, GError **error)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(attempt->key_id));
	g_autofree char *transaction = ifpp_hex(ifpp_span_bytes(attempt->transaction));
	g_autofree char *reserve = g_strdup_printf("%s/%s-%s" IFPP_RESERVE_SUFFIX, outbox->dir, key, transaction);
	g_autofree char *name = ifpp_attempt_name(attempt);
	g_autofree char *path = outbox_path(outbox, name, IFPP_RESULT_SUFFIX);
	g_autofree char *begun = g_steal_pointer(&attempt->time);
	g_autofree char *text = NULL;

	attempt->stored = TRUE;
	if (!attempt->file)
		outbox_put_unit(outbox, &attempt->unit);
	attempt->time = outbox_now();
	text = ifpp_attempt_text(attempt);
	if (!write_result(outbox, reserve, path, text, error)) {
		attempt->stored = FALSE;
		g_free(attempt->time);
		attempt->time = g_steal_pointer(&begun);
		return FALSE;
	}
	if (attempt->file)
		remove_pending(outbox, attempt->file);
	else
		g_ptr_array_add(outbox->attempts, ifpp_attempt_ref(attempt));
	g_free(attempt->file);
	attempt->file = g_path_get_basename(path);
	if (attempt->pir)
		forget_loss(outbox, attempt);
	ifpp_attempts_sort(outbox->attempts);
	return TRUE;
}

/* ---------------------------------------------------------------- settling */

/*
 * The same signed bytes, with what the chip says by now; old or new is there at every moment. A record of version 1 that could
 * not be carried over stays as it is: under its name this would not be read again.
 */
static void write_again(Outbox *outbox, const IfppAttempt *attempt)
{
	g_autofree char *path = outbox_path(outbox, attempt->file, ""), *text = ifpp_attempt_text(attempt);
	g_autoptr(GError) error = NULL;

	if (attempt->version > 1 && !ifpp_file_write(path, text, strlen(text), 0640, &error))
		g_warning("%s", error->message);
}

static void set_spent(Outbox *outbox, IfppAttempt *attempt, IfppSpent spent)
{
	if (attempt->spent == spent)
		return;
	attempt->spent = spent;
	write_again(outbox, attempt);
}

/* Its ICCID, if it was installed and no deletion is known; NULL: it was not. */
static IfppPir *installed(Outbox *outbox, const IfppAttempt *attempt)
{
	g_autoptr(IfppPir) pir = NULL;

	if (!attempt->stored || attempt->status || !attempt->pir || attempt->profile_class == IFPP_PROFILE_TEST)
		return NULL;
	pir = ifpp_pir_parse(attempt->pir, NULL);
	return pir && pir->iccid.len == IFPP_ICCID_BYTES && !ifpp_deletions_find(outbox->deletions, pir->iccid, pir->seq) ?
		       g_steal_pointer(&pir) : NULL;
}

gboolean outbox_has_profiles(Outbox *outbox)
{
	for (guint i = 0; i < outbox->attempts->len; i++) {
		g_autoptr(IfppPir) pir = installed(outbox, outbox->attempts->pdata[i]);

		if (pir)
			return TRUE;
	}
	return FALSE;
}

guint outbox_hold_profiles(Outbox *outbox, const GByteArray *listed)
{
	guint n = 0;

	for (guint i = 0; i < outbox->attempts->len; i++) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];
		g_autoptr(IfppPir) pir = installed(outbox, attempt);
		gboolean gone = pir != NULL;

		for (guint at = 0; pir && gone && at < listed->len; at += IFPP_ICCID_BYTES)
			gone = !ifpp_span_equal(pir->iccid, (IfppSpan){ listed->data + at, IFPP_ICCID_BYTES });
		if (!pir || gone == attempt->gone)
			continue;
		attempt->gone = gone;
		n += gone;
		write_again(outbox, attempt);
	}
	return n;
}

/* Keys that are gone, by whether an attempt is known to have spent them. */
static void count_gone(Outbox *outbox, IfppFactoryInfo *now, guint *spent, guint *unknown)
{
	const guint8 *last = NULL;

	*spent = *unknown = 0;
	for (guint i = 0; i < outbox->attempts->len; i++) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];
		gboolean same = last && !memcmp(last, attempt->key_id, 32);

		last = attempt->key_id;
		if (same || ifpp_factory_info_find(now, attempt->key_id))
			continue;
		if (outbox_is_spent(outbox, attempt->key_id))
			(*spent)++;
		else
			(*unknown)++;
	}
}

static gpointer copy_ref(gconstpointer attempt, gpointer user)
{
	return ifpp_attempt_ref((IfppAttempt *)attempt);
}

guint outbox_settle(Outbox *outbox, IfppFactoryInfo *now, gboolean complete)
{
	IfppSpent gone = IFPP_SPENT_YES;	/* what became of a key that is gone and that nobody is known to have spent */
	g_autoptr(GPtrArray) all = NULL;
	guint spent, unknown, lost = 0;

	count_gone(outbox, now, &spent, &unknown);
	/* Deleting takes all keys, so while there are some, none was deleted. */
	if (now->state && now->spent < spent + unknown)
		gone = now->spent > spent ? IFPP_SPENT_UNKNOWN : IFPP_SPENT_NO;

	/* From the end: of several attempts the last one has spent the key. */
	for (guint i = outbox->attempts->len; i-- > 0;) {
		IfppAttempt *attempt = outbox->attempts->pdata[i];
		/* A loss is told on the chip's word, which is not signed: on its word it is taken back. */
		gboolean offered = attempt->stored && !attempt->pir && ifpp_factory_info_find(now, attempt->key_id);

		if (!attempt->stored || (attempt->spent != IFPP_SPENT_UNKNOWN && !offered))
			continue;
		if (ifpp_factory_info_find(now, attempt->key_id) || outbox_is_spent(outbox, attempt->key_id))
			set_spent(outbox, attempt, IFPP_SPENT_NO);
		else
			set_spent(outbox, attempt, gone);
	}
	all = g_ptr_array_copy(outbox->attempts, copy_ref, NULL);
	for (guint i = 0; i < all->len; i++) {
		IfppAttempt *attempt = all->pdata[i];
		g_autoptr(GError) error = NULL;

		if (attempt->stored)
			continue;
		if (ifpp_factory_info_find(now, attempt->key_id) || outbox_is_spent(outbox, attempt->key_id) ||
		    gone == IFPP_SPENT_NO) {
			outbox_cancel(outbox, attempt);
		} else if (complete) {
			attempt->status = -EREMOTEIO;
			attempt->reason = IFPP_ERROR_CHIP;
			attempt->spent = gone;
			if (outbox_store(outbox, attempt, &error))
				lost++;
			else
				g_warning("%s", error->message);
		}
	}
	return lost;
}
