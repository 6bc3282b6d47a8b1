// SPDX-License-Identifier: LGPL-2.1-or-later
#include "attempt.h"

#include <errno.h>
#include <string.h>

#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "file.h"

#define RECORD_MAX (64 * 1024)
#define TRANSACTION_MAX 16
#define VERSION 2

static const char *const spent_names[] = { "unknown", "no", "yes" };

IfppAttempt *ifpp_attempt_new(const guint8 eid[16], const guint8 key_id[32], IfppSpan transaction)
{
	IfppAttempt *attempt = g_rc_box_new0(IfppAttempt);

	memcpy(attempt->eid, eid, 16);
	memcpy(attempt->key_id, key_id, 32);
	attempt->transaction = g_bytes_new(transaction.data, transaction.len);
	attempt->profile_class = -1;
	attempt->version = VERSION;
	return attempt;
}

IfppAttempt *ifpp_attempt_ref(IfppAttempt *attempt)
{
	return g_rc_box_acquire(attempt);
}

static void clear(gpointer data)
{
	IfppAttempt *attempt = data;

	g_bytes_unref(attempt->transaction);
	g_clear_pointer(&attempt->pir, g_bytes_unref);
	g_clear_pointer(&attempt->facts, g_bytes_unref);
	ifpp_unit_clear(&attempt->unit);
	g_free(attempt->time);
	g_free(attempt->file);
}

void ifpp_attempt_unref(IfppAttempt *attempt)
{
	g_rc_box_release_full(attempt, clear);
}

const char *ifpp_spent_name(IfppSpent spent)
{
	return spent_names[spent];
}

char *ifpp_attempt_name(const IfppAttempt *attempt)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(attempt->key_id));
	g_autofree char *transaction = ifpp_hex(ifpp_span_bytes(attempt->transaction));

	if (!attempt->pir)
		return g_strdup_printf("%s-%s", key, transaction);
	return g_strdup_printf("%s-%s-%" G_GUINT64_FORMAT, key, transaction, attempt->seq);
}

static void write_result(const IfppAttempt *a, GString *text)
{
	g_autofree char *pir = NULL;

	g_string_append_printf(text, "Status=%d\nReason=%u\nSpent=%s\nApdus=%u\nApduBytes=%u\nVerifyNs=%" G_GUINT64_FORMAT
			       "\nChipNs=%" G_GUINT64_FORMAT "\nModemNs=%" G_GUINT64_FORMAT "\n", a->status, a->reason,
			       spent_names[a->spent], a->apdus, a->apdu_bytes, a->verify_ns, a->chip_ns, a->modem_ns);
	if (a->deferred)
		g_string_append(text, "Deferred=true\n");
	if (a->gone)
		g_string_append(text, "Gone=true\n");
	if (a->pir) {
		pir = g_base64_encode(g_bytes_get_data(a->pir, NULL), g_bytes_get_size(a->pir));
		g_string_append_printf(text, "Seq=%" G_GUINT64_FORMAT "\nPIR=%s\n", a->seq, pir);
	}
}

static void write_pending(const IfppAttempt *a, GString *text)
{
	g_autofree char *facts = a->facts ? g_base64_encode(g_bytes_get_data(a->facts, NULL), g_bytes_get_size(a->facts)) : NULL;

	g_string_append_printf(text, "Before=%u\n", a->before);
	if (facts)
		g_string_append_printf(text, "Facts=%s\n", facts);
}

char *ifpp_attempt_text(const IfppAttempt *a)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(a->key_id));
	g_autofree char *transaction = ifpp_hex(ifpp_span_bytes(a->transaction));
	g_autoptr(GString) text = g_string_new(a->stored ? "[Result]\n" : "[Pending]\n");
	char eid[33];

	ifpp_eid_format(a->eid, eid);
	g_string_append_printf(text, "Version=%d\nEID=%s\nKeyId=%s\nTransactionId=%s\nProfileClass=%d\nTime=%s\n", VERSION,
			       eid, key, transaction, a->profile_class, a->time);
	if (a->floor)
		g_string_append_printf(text, "ClockFloor=%" G_GINT64_FORMAT "\n", a->floor);
	if (a->stored)
		write_result(a, text);
	else
		write_pending(a, text);
	if (!ifpp_unit_is_empty(&a->unit)) {
		g_string_append(text, "\n[Unit]\n");
		ifpp_unit_write(&a->unit, text);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* ---------------------------------------------------------------- reading */

static gboolean wrong(GError **error, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_PIR, what);
	return FALSE;
}

/* Nothing that a key file would write in another way than it reads it. */
static gboolean is_word(const char *text)
{
	for (const char *p = text; *p; p++)
		if (!g_ascii_isgraph(*p) || *p == '\\')
			return FALSE;
	return *text && strlen(text) <= 64;
}

static gboolean read_key(GKeyFile *kf, const char *group, guint8 key_id[32])
{
	g_autofree char *text = g_key_file_get_string(kf, group, "KeyId", NULL);

	return ifpp_unhex_into(text, key_id, 32);
}

static GBytes *read_transaction(GKeyFile *kf, const char *group)
{
	g_autofree char *text = g_key_file_get_string(kf, group, "TransactionId", NULL);
	g_autoptr(GBytes) bytes = text ? ifpp_unhex(text) : NULL;

	if (!bytes || !g_bytes_get_size(bytes) || g_bytes_get_size(bytes) > TRANSACTION_MAX)
		return NULL;
	return g_steal_pointer(&bytes);
}

/* FALSE: it is there and not one whole TLV in base64. */
static gboolean read_pir(GKeyFile *kf, IfppAttempt *a)
{
	IfppSpan in;
	IfppTlv tlv;
	g_autofree char *text = g_key_file_get_string(kf, "Result", "PIR", NULL);
	g_autoptr(GBytes) pir = ifpp_unbase64(text);

	if (!text || !*text)
		return TRUE;
	if (!pir)
		return FALSE;
	in = ifpp_span_bytes(pir);
	if (!ifpp_tlv_next(&in, &tlv, NULL) || in.len)
		return FALSE;
	a->pir = g_steal_pointer(&pir);
	return TRUE;
}

static guint32 read_u32(GKeyFile *kf, const char *name)
{
	return MIN(g_key_file_get_uint64(kf, "Result", name, NULL), G_MAXUINT32);
}

static gboolean read_spent(GKeyFile *kf, IfppAttempt *a)
{
	g_autofree char *text = g_key_file_get_string(kf, "Result", "Spent", NULL);

	for (guint i = 0; text && i < G_N_ELEMENTS(spent_names); i++) {
		if (g_str_equal(text, spent_names[i])) {
			a->spent = i;
			return TRUE;
		}
	}
	return FALSE;
}

/* Version 1 has neither: the number is in the chip's result, and what is installed has spent its key. */
static void read_version_1(IfppAttempt *a)
{
	g_autoptr(IfppPir) pir = a->pir ? ifpp_pir_parse(a->pir, NULL) : NULL;

	a->seq = pir ? pir->seq : 0;
	a->spent = a->status ? IFPP_SPENT_UNKNOWN : IFPP_SPENT_YES;
}

static gboolean read_result(GKeyFile *kf, IfppAttempt *a, GError **error)
{
	g_autoptr(GError) local = NULL;

	a->status = g_key_file_get_integer(kf, "Result", "Status", &local);
	if (local || a->status > 0)
		return wrong(error, "has no status of a result");
	a->reason = read_u32(kf, "Reason");
	a->apdus = read_u32(kf, "Apdus");
	a->apdu_bytes = read_u32(kf, "ApduBytes");
	a->verify_ns = g_key_file_get_uint64(kf, "Result", "VerifyNs", NULL);
	a->chip_ns = g_key_file_get_uint64(kf, "Result", "ChipNs", NULL);
	a->modem_ns = MIN(g_key_file_get_uint64(kf, "Result", "ModemNs", NULL), a->chip_ns);
	a->deferred = g_key_file_get_boolean(kf, "Result", "Deferred", NULL);
	a->gone = g_key_file_get_boolean(kf, "Result", "Gone", NULL);
	if (!read_pir(kf, a))
		return wrong(error, "PIR: is not a whole result in base64");
	/* Installed is what the chip has signed, nothing else is. */
	if (!a->status && !a->pir)
		return wrong(error, "tells of success without the chip's result");
	if (a->version == 1) {
		read_version_1(a);
		return TRUE;
	}
	if (!read_spent(kf, a))
		return wrong(error, "Spent: neither yes, no nor unknown");
	a->seq = g_key_file_get_uint64(kf, "Result", "Seq", &local);
	if (!!a->pir != !local)
		return wrong(error, "has a number without a result, or a result without a number");
	return TRUE;
}

/* Facts that cannot be read are none: without them a compact result is not proven, no more. */
static void read_pending(GKeyFile *kf, IfppAttempt *a)
{
	g_autofree char *facts = g_key_file_get_string(kf, "Pending", "Facts", NULL);

	a->before = MAX(g_key_file_get_integer(kf, "Pending", "Before", NULL), 0);
	a->facts = ifpp_unbase64(facts);
}

static gboolean check_name(const IfppAttempt *a, const char *file, const char *suffix, GError **error)
{
	g_autofree char *name = a->version == 1 ? ifpp_hex(IFPP_SPAN(a->key_id)) : ifpp_attempt_name(a);
	g_autofree char *whole = g_strconcat(name, suffix, NULL);

	return g_str_equal(whole, file) || wrong(error, "holds the result of another key or attempt than its name says");
}

IfppAttempt *ifpp_attempt_parse(GBytes *text, const guint8 eid[16], const char *file, GError **error)
{
	gboolean stored = g_str_has_suffix(file, IFPP_RESULT_SUFFIX);
	const char *group = stored ? "Result" : "Pending";
	g_autoptr(GKeyFile) kf = g_key_file_new();
	g_autoptr(IfppAttempt) a = NULL;
	g_autoptr(GBytes) transaction = NULL;
	g_autoptr(GError) local = NULL;
	g_autofree char *unit = NULL;
	guint8 key_id[32];
	char digits[33];
	int version;

	if (!g_key_file_load_from_bytes(kf, text, G_KEY_FILE_NONE, &local)) {
		wrong(error, local->message);
		return NULL;
	}
	ifpp_eid_format(eid, digits);
	unit = g_key_file_get_string(kf, group, "EID", NULL);
	version = g_key_file_get_integer(kf, group, "Version", NULL);
	transaction = read_transaction(kf, group);
	if (version < 1 || version > VERSION || g_strcmp0(unit, digits)) {
		wrong(error, "not a record of this chip in a version known here");
		return NULL;
	}
	if (!read_key(kf, group, key_id) || !transaction) {
		wrong(error, "has no key or no transaction");
		return NULL;
	}
	a = ifpp_attempt_new(eid, key_id, ifpp_span_bytes(transaction));
	a->version = version;
	a->stored = stored;
	a->file = g_strdup(file);
	a->time = g_key_file_get_string(kf, group, "Time", NULL);
	if (g_key_file_has_key(kf, group, "ProfileClass", NULL))
		a->profile_class = g_key_file_get_integer(kf, group, "ProfileClass", NULL);
	a->floor = MAX(g_key_file_get_int64(kf, group, "ClockFloor", NULL), 0);
	if (!a->time || !is_word(a->time)) {
		wrong(error, "has no time");
		return NULL;
	}
	if (stored ? !read_result(kf, a, error) : FALSE)
		return NULL;
	ifpp_unit_read(&a->unit, kf, "Unit");
	if (!stored)
		read_pending(kf, a);
	if (!check_name(a, file, stored ? IFPP_RESULT_SUFFIX : IFPP_PENDING_SUFFIX, error))
		return NULL;
	return g_steal_pointer(&a);
}

static int by_key_and_seq(gconstpointer x, gconstpointer y)
{
	const IfppAttempt *a = *(IfppAttempt *const *)x, *b = *(IfppAttempt *const *)y;
	int order = memcmp(a->key_id, b->key_id, 32);

	if (order)
		return order;
	if (a->stored != b->stored)
		return a->stored ? -1 : 1;
	/* Without a number only the clock tells. */
	if (a->pir && b->pir && a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	order = g_strcmp0(a->time, b->time);
	return order ? order : g_strcmp0(a->file, b->file);
}

void ifpp_attempts_sort(GPtrArray *attempts)
{
	g_ptr_array_sort(attempts, by_key_and_seq);
}

static gboolean same_load(const IfppAttempt *a, const IfppAttempt *b)
{
	return !memcmp(a->key_id, b->key_id, 32) && g_bytes_equal(a->transaction, b->transaction);
}

/* The version 1 record of an attempt that has been carried over. */
static gboolean is_twin(const IfppAttempt *a, const IfppAttempt *b)
{
	return a->version < b->version && a->stored == b->stored && same_load(a, b) && !a->pir == !b->pir &&
	       (!a->pir || a->seq == b->seq);
}

/* What a crash has left: a note of a load that ended, a record that was carried over, a loss that was none. */
static gboolean is_leftover(const GPtrArray *all, const IfppAttempt *a)
{
	if (!a->stored && ifpp_attempts_count(all, a->key_id, ifpp_span_bytes(a->transaction)) > a->before)
		return TRUE;
	for (guint i = 0; i < all->len; i++) {
		const IfppAttempt *b = all->pdata[i];

		if (is_twin(a, b) || (a->stored && !a->pir && b->pir && b->spent == IFPP_SPENT_YES && same_load(a, b)))
			return TRUE;
	}
	return FALSE;
}

static void take_file(GPtrArray *all, const char *dir, const char *name, const guint8 eid[16], GPtrArray *damaged)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) text = ifpp_file_read(path, RECORD_MAX, &error);
	IfppAttempt *attempt = text ? ifpp_attempt_parse(text, eid, name, &error) : NULL;

	if (attempt)
		g_ptr_array_add(all, attempt);
	else if (damaged)
		g_ptr_array_add(damaged, text ? g_strdup_printf("%s: %s", path, error->message) :
						g_strdup(error->message));
}

GPtrArray *ifpp_attempts_read(const char *dir, const guint8 eid[16], GPtrArray *damaged, GPtrArray *leftovers,
			      GError **error)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_attempt_unref);
	GPtrArray *attempts;
	const char *name;
	GDir *d;

	errno = 0;
	d = g_dir_open(dir, 0, NULL);
	if (!d && errno != ENOENT) {
		ifpp_file_error(dir, "cannot read it", error);
		return NULL;
	}
	while (d && (name = g_dir_read_name(d)))
		if (*name != '.' && (g_str_has_suffix(name, IFPP_RESULT_SUFFIX) || g_str_has_suffix(name, IFPP_PENDING_SUFFIX)))
			take_file(all, dir, name, eid, damaged);
	g_clear_pointer(&d, g_dir_close);

	attempts = g_ptr_array_new_with_free_func((GDestroyNotify)ifpp_attempt_unref);
	for (guint i = 0; i < all->len; i++) {
		IfppAttempt *a = all->pdata[i];

		if (!is_leftover(all, a))
			g_ptr_array_add(attempts, ifpp_attempt_ref(a));
		else if (leftovers)
			g_ptr_array_add(leftovers, g_strdup(a->file));
	}
	ifpp_attempts_sort(attempts);
	return attempts;
}

/* -------------------------------------------------------------- searching */

IfppAttempt *ifpp_attempts_find(const GPtrArray *attempts, const guint8 key_id[32])
{
	static const int rank[] = { [IFPP_SPENT_NO] = 0, [IFPP_SPENT_UNKNOWN] = 1, [IFPP_SPENT_YES] = 2 };
	IfppAttempt *best = NULL;

	for (guint i = 0; i < attempts->len; i++) {
		IfppAttempt *a = attempts->pdata[i];

		if (a->stored && !memcmp(a->key_id, key_id, 32) && (!best || rank[a->spent] >= rank[best->spent]))
			best = a;
	}
	return best;
}

IfppAttempt *ifpp_attempts_find_signed(const GPtrArray *attempts, IfppSpan transaction, guint64 seq)
{
	for (guint i = 0; i < attempts->len; i++) {
		IfppAttempt *a = attempts->pdata[i];

		if (a->pir && a->seq == seq && ifpp_span_equal(ifpp_span_bytes(a->transaction), transaction))
			return a;
	}
	return NULL;
}

guint ifpp_attempts_count(const GPtrArray *attempts, const guint8 key_id[32], IfppSpan transaction)
{
	guint n = 0;

	for (guint i = 0; i < attempts->len; i++) {
		const IfppAttempt *a = attempts->pdata[i];
		gboolean twin = FALSE;

		for (guint k = 0; k < attempts->len && !twin; k++)
			twin = is_twin(a, attempts->pdata[k]);
		n += a->stored && !twin && !memcmp(a->key_id, key_id, 32) &&
		     ifpp_span_equal(ifpp_span_bytes(a->transaction), transaction);
	}
	return n;
}
