// SPDX-License-Identifier: GPL-2.0-or-later
#include "bind.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "anchor.h"
#include "chain.h"
#include "eid.h"
#include "envelope.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "inputs.h"
#include "ledger.h"
#include "protect.h"
#include "rules.h"
#include "seal.h"
#include "store.h"
#include "token.h"
#include "upp.h"

#define BATCH 64		/* packages between two visits to the ledger */
#define EUICC_DATA_MAX (256 * 1024)
#define SHOW_MAX 32		/* packages listed one by one */

static const guint8 configure[] = { 0xBF, 0x24, 0x00 };

/* One package on its way. */
typedef struct {
	LedgerEntry entry;
	guint8 otpk[65];
	GByteArray *upp;	/* clear: freed as soon as it is sealed */
	Protected *protected;	/* instead of @upp */
	char *upp_name;		/* UTF-8, from the profile's header; once sealed, as in its metadata */
	GBytes *package;
	gboolean old;		/* sealed by an earlier run */
	gboolean there;		/* and still where it should be */
} Item;

typedef struct {
	guint8 eid[16];
	GArray *keys;		/* IfppOtk */
} Chip;

typedef struct {
	Home *home;
	gnutls_privkey_t key;
	const BindOptions *options;
	Ledger *ledger;
	guint8 order[8];
	guint8 host_id[8];
	Rules *rules;
	GPtrArray *profiles;	/* file names */
	gboolean pool;		/* several profiles: each goes out once */
	guint next_profile;
	GHashTable *seen;	/* EIDs of this run */
	GHashTable *broken;	/* profiles that were named for it */
	LedgerEntry holder;	/* of the ICCID that was asked for last */
	guint64 sealed, again, elsewhere, abroad, total, listed;
	gint64 started;
	int exit_code;
} Run;

static void item_free(gpointer p)
{
	Item *item = p;

	ifpp_secret_free(item->upp);
	protected_free(item->protected);
	g_free(item->upp_name);
	g_clear_pointer(&item->package, g_bytes_unref);
	g_free(item);
}

static void chip_free(gpointer p)
{
	Chip *chip = p;

	g_array_unref(chip->keys);
	g_free(chip);
}

/* Say it and go on with the next chip. */
static void complain(Run *run, const char *what, GError *error)
{
	int code;

	if (what)
		g_prefix_error(&error, "%s: ", what);
	code = ifpp_error_exit("ifpp-smdpf", error);
	if (run->exit_code == IFPP_EXIT_OK)
		run->exit_code = code;
	g_error_free(error);
}

static char *item_file(const Item *item)
{
	return ifpp_package_file_name(item->entry.eid, item->entry.key_id);
}

/* ------------------------------------------------------------ files in bulk */

static char *tmp_path(Run *run, const Item *item)
{
	g_autofree char *name = item_file(item);

	return g_strdup_printf("%s/.smdpf-%s-%s", run->options->out, run->ledger->run_name, name);
}

static gboolean wanted(const Item *item)
{
	return item->package && !item->there;
}

/*
 * Put the packages of a batch where they are wanted: all written, one sync for all, then all renamed.
 * After a crash a name stands for a whole package or for none.
 */
static gboolean deliver(Run *run, GPtrArray *items, GError **error)
{
	const char *out = run->options->out;
	gboolean any = FALSE;

	if (!out)
		return TRUE;

	for (guint i = 0; i < items->len; i++) {
		Item *item = items->pdata[i];
		g_autofree char *tmp = tmp_path(run, item);

		if (!wanted(item))
			continue;
		any = TRUE;
		if (!store_write_plain(tmp, item->package, error))
			goto undo;
	}
	if (!any)
		return TRUE;
	if (!store_sync(out, error))
		goto undo;
	for (guint i = 0; i < items->len; i++) {
		Item *item = items->pdata[i];
		g_autofree char *name = item_file(item), *tmp = tmp_path(run, item);
		g_autofree char *path = g_build_filename(out, name, NULL);

		if (wanted(item) && rename(tmp, path) < 0) {
			ifpp_file_error(path, NULL, error);
			goto undo;
		}
	}
	return ifpp_sync_dir(out, error);

undo:
	for (guint i = 0; i < items->len; i++) {
		g_autofree char *tmp = tmp_path(run, items->pdata[i]);

		g_unlink(tmp);
	}
	return FALSE;
}

/* Half-written files of processes that died, in the directory where packages go. */
static void sweep(Run *run)
{
	g_autoptr(GDir) dir = run->options->out ? g_dir_open(run->options->out, 0, NULL) : NULL;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *other = NULL, *path = NULL;

		if (!g_str_has_prefix(name, ".smdpf-") || strlen(name) < 24)
			continue;
		other = g_strndup(name + 7, 16);
		path = g_build_filename(run->options->out, name, NULL);
		if (!ledger_run_alive(run->ledger, other))
			g_unlink(path);
	}
}

/* ------------------------------------------------------------ input */

/* DPFF10: nothing is sealed to a key that its chip did not attest; DPFF09: nor to a chip not wanted. */
static Chip *read_chip(Run *run, const char *path, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, EUICC_DATA_MAX, error);
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16];
	char text[33];
	Chip *chip;

	if (!file || !ifpp_euicc_data_parse(ifpp_span_bytes(file), eid, &ff21, &bf22, error) ||
	    !(info = ifpp_factory_info_parse(ff21, error)) ||
	    !ifpp_factory_info_verify(info, eid, run->home->trust, error) ||
	    !rules_check(run->rules, eid, bf22, run->options->class, error))
		return NULL;
	ifpp_eid_format(eid, text);
	if (!g_hash_table_add(run->seen, g_strdup(text))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "the same chip again");
		return NULL;
	}
	chip = g_new0(Chip, 1);
	memcpy(chip->eid, eid, sizeof(eid));
	chip->keys = g_array_ref(info->keys);
	return chip;
}

/* ------------------------------------------------------------ choosing */

/* May this ICCID go to this chip? Test profiles may be on many chips, others on one. */
static gboolean iccid_free(Run *run, Item *item, gboolean *free, GError **error)
{
	gboolean test = run->options->class == PROFILE_TEST && !run->pool, held;

	item->entry.hold = test ? LEDGER_HELD_TEST : LEDGER_HELD;
	if (!ledger_holder(run->ledger, item->entry.iccid, item->entry.eid, test, &run->holder, &held, error))
		return FALSE;
	*free = !held;
	return TRUE;
}

static gboolean load_protected(Item *item, const char *path, ProfileClass class, GError **error)
{
	item->protected = protected_read(path, error);
	if (!item->protected)
		return FALSE;
	memcpy(item->entry.iccid, item->protected->iccid, 10);
	item->upp_name = g_strdup(item->protected->name);
	return TRUE;
}

static gboolean load_clear(Item *item, const char *path, ProfileClass class, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, IFPP_PACKAGE_MAX, error);
	g_autoptr(IfppUpp) upp = NULL;
	IfppSpan span;

	if (!file)
		return FALSE;
	span = ifpp_span_bytes(file);
	upp = ifpp_upp_parse(span, error);
	if (!upp) {
		g_prefix_error(error, "%s: ", path);
		return FALSE;
	}
	item->upp = g_byte_array_sized_new(span.len);
	g_byte_array_append(item->upp, span.data, span.len);
	gnutls_memset((guint8 *)span.data, 0, span.len);
	memcpy(item->entry.iccid, upp->iccid, 10);
	item->upp_name = g_steal_pointer(&upp->profile_type);
	if (class == PROFILE_OPERATIONAL && !profile_check_keys((IfppSpan){ item->upp->data, item->upp->len }, error)) {
		g_prefix_error(error, "%s: ", path);
		return FALSE;
	}
	return TRUE;
}

static gboolean choose_builtin(Run *run, Item *item, GError **error)
{
	gboolean free = FALSE;

	while (!free) {
		gint64 serial;

		if (!ledger_serial(run->ledger, &serial, error))
			return FALSE;
		serial += run->home->series * 1000000000ll;
		profile_builtin_iccid(serial, item->entry.iccid);
		/* after an adoption the series begins again */
		if (!iccid_free(run, item, &free, error))
			return FALSE;
		if (free)
			item->upp = profile_builtin(serial, error);
	}
	item->upp_name = g_strdup("IFPP minimal");
	return item->upp != NULL;
}

static void refuse_taken(Run *run, const Item *item, GError **error)
{
	gboolean test = run->options->class == PROFILE_TEST;
	char iccid[21], eid[33];

	ifpp_iccid_format(item->entry.iccid, iccid);
	ifpp_eid_format(run->holder.eid, eid);
	if (!memcmp(run->holder.eid, item->entry.eid, 16))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "the profile with ICCID %s is sealed to another key already, of this chip", iccid);
	else if (test)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "the profile with ICCID %s is sealed to another key already, for chip %s, and not as --class test",
			    iccid, eid);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "the profile with ICCID %s is sealed to another key already, for chip %s "
			    "(only --class test may be on several chips)",
			    iccid, eid);
}

/* Give the item its profile and so its ICCID. */
static gboolean choose_profile(Run *run, Item *item, GError **error)
{
	if (!run->profiles)
		return choose_builtin(run, item, error);
	while (run->next_profile < run->profiles->len) {
		const char *path = run->profiles->pdata[run->next_profile];
		GError *why = NULL;
		gboolean free;

		run->next_profile += run->pool;
		if (!(run->options->protected ? load_protected : load_clear)(item, path, run->options->class, &why)) {
			if (!run->pool) {
				g_propagate_error(error, why);
				return FALSE;
			}
			/* One that is broken is named, once, and left out. */
			if (g_hash_table_add(run->broken, g_strdup(path)))
				complain(run, NULL, why);
			else
				g_error_free(why);
			continue;
		}
		if (!iccid_free(run, item, &free, error))
			return FALSE;
		if (free)
			return TRUE;
		if (!run->pool) {
			refuse_taken(run, item, error);
			return FALSE;
		}
		g_clear_pointer(&item->upp, ifpp_secret_free);
		g_clear_pointer(&item->protected, protected_free);
		g_clear_pointer(&item->upp_name, g_free);
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "no profile left: every one given is sealed already");
	return FALSE;
}

static gboolean load_old(Run *run, Item *item, GError **error)
{
	g_autofree char *name = item_file(item);
	g_autofree char *out = run->options->out ? g_build_filename(run->options->out, name, NULL) : NULL;
	g_autofree char *path = store_path(run->home, item->entry.eid, item->entry.key_id);
	g_autoptr(GBytes) have = NULL;

	/* its chip has answered, and it was pruned; or another host has it, and delivers it */
	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		if (item->entry.state != LEDGER_BOUND)
			return TRUE;
		if (run->home->ledger) {
			run->abroad++;
			return TRUE;
		}
	}
	item->package = store_read(run->home, &item->entry, error);
	if (!item->package)
		return FALSE;
	have = out ? ifpp_file_read(out, IFPP_PACKAGE_MAX, NULL) : NULL;
	item->there = have && g_bytes_equal(have, item->package);
	return TRUE;
}

static gboolean take_entry(const LedgerEntry *entry, gpointer user, GError **error)
{
	Item *item = g_new0(Item, 1);

	item->entry = *entry;
	item->entry.profile = "";
	item->old = TRUE;
	g_ptr_array_add(user, item);
	return TRUE;
}

/*
 * The ledger does not know this key: then there is no package for it either, but for one that was interrupted
 * before it was bound. An event that names the key says that the ledger was altered.
 */
static gboolean check_unbound(Run *run, const Item *item, GError **error)
{
	g_autofree char *path = store_path(run->home, item->entry.eid, item->entry.key_id);
	gboolean named;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return TRUE;
	if (!chain_names(run->ledger, item->entry.key_id, &named, error))
		return FALSE;
	if (!named)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LEDGER, "%s: was bound, and its entry is gone from the ledger", path);
	return FALSE;
}

static gboolean plan_key(Run *run, const Chip *chip, const IfppOtk *otk, GPtrArray *items, GError **error)
{
	Item *item = g_new0(Item, 1);

	memcpy(item->entry.key_id, otk->key_id, 32);
	memcpy(item->entry.eid, chip->eid, 16);
	memcpy(item->entry.order, run->order, 8);
	memcpy(item->otpk, otk->point, 65);
	item->entry.profile = "";
	gnutls_rnd(GNUTLS_RND_RANDOM, item->entry.transaction, 16);
	if (!check_unbound(run, item, error) || !choose_profile(run, item, error) ||
	    !ledger_reserve(run->ledger, &item->entry, error)) {
		item_free(item);
		return FALSE;
	}
	g_ptr_array_add(items, item);
	return TRUE;
}

/* What this order has for the chip already, then fresh keys until there is enough. */
static gboolean plan_chip(Run *run, Chip *chip, GPtrArray *items, guint *elsewhere, GError **error)
{
	g_autoptr(GPtrArray) have = g_ptr_array_new_with_free_func(item_free);
	int missing = run->options->count;

	if (!ledger_chip(run->ledger, chip->eid, take_entry, have, error))
		return FALSE;
	for (guint i = 0; i < have->len && missing; i++) {
		Item *item = have->pdata[i];

		if (memcmp(item->entry.order, run->order, sizeof(run->order)))
			continue;
		missing--;
		if (item->entry.state == LEDGER_RESERVED) {
			(*elsewhere)++;
			continue;
		}
		have->pdata[i] = g_new0(Item, 1);
		((Item *)have->pdata[i])->entry = item->entry;
		g_ptr_array_add(items, item);
	}
	for (guint i = 0; i < chip->keys->len && missing; i++) {
		const IfppOtk *otk = &g_array_index(chip->keys, IfppOtk, i);
		gboolean taken = !otk->full;

		for (guint j = 0; j < have->len; j++)
			taken |= !memcmp(((Item *)have->pdata[j])->entry.key_id, otk->key_id, 32);
		if (taken)
			continue;
		if (!plan_key(run, chip, otk, items, error))
			return FALSE;
		missing--;
	}
	if (missing) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_KEY_BOUND,
			    "no free one-time key left, %d of %d packages missing", missing, run->options->count);
		return FALSE;
	}
	return TRUE;
}

/* ------------------------------------------------------------ sealing */

static gboolean sign(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	return ifpp_ecdsa_sign(user, parts, n_parts, sig, error);
}

static gboolean seal_item(Run *run, Item *item, GError **error)
{
	const BindOptions *o = run->options;
	const char *name = o->profile_name ? o->profile_name : *item->upp_name ? item->upp_name : "Profile";
	g_autofree char *short_name = g_utf8_make_valid(name, MIN(strlen(name), 64));
	g_autoptr(GByteArray) metadata = NULL;
	g_autoptr(GBytes) bpp = NULL;
	guint8 ppk[PPK_LEN];
	IfppSealInput in = {
		.configure = IFPP_SPAN(configure),
		.transaction_id = IFPP_SPAN(item->entry.transaction),
		.host_id = IFPP_SPAN(run->host_id),
		.ppk = o->session_keys ? NULL : ppk,
		.eid = item->entry.eid,
		.otpk = item->otpk,
		.sign = sign,
		.sign_user = run->key,
	};

	metadata = profile_metadata(item->entry.iccid, o->spn, short_name, o->class);
	g_free(item->upp_name);
	item->upp_name = g_steal_pointer(&short_name);
	in.metadata = (IfppSpan){ metadata->data, metadata->len };
	if (item->protected) {
		if (!protected_unwrap(item->protected, o->unwrap, ppk, error))
			return FALSE;
		in.protected_86 = item->protected->segments;
	} else {
		/* fresh for each profile: a PPK set used twice would give its key stream away */
		if (gnutls_rnd(GNUTLS_RND_KEY, ppk, sizeof(ppk)) < 0) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "no randomness");
			return FALSE;
		}
		in.upp = (IfppSpan){ item->upp->data, item->upp->len };
	}
	bpp = ifpp_seal(&in, error);
	gnutls_memset(ppk, 0, sizeof(ppk));
	g_clear_pointer(&item->upp, ifpp_secret_free);
	g_clear_pointer(&item->protected, protected_free);
	if (!bpp)
		return FALSE;
	item->package = envelope_seal(item->entry.eid, item->entry.key_id, ifpp_span_bytes(bpp), run->home->chain,
				      run->key, error);
	return item->package != NULL;
}

/* Those that could be sealed are stored and bound: nothing that the token signed is thrown away. */
static gboolean bind_sealed(Run *run, GPtrArray *items, GError **error)
{
	g_autofree StoreItem *store = g_new0(StoreItem, items->len);
	g_autofree LedgerEntry **entries = g_new0(LedgerEntry *, items->len);
	guint n = 0;

	for (guint i = 0; i < items->len; i++) {
		Item *item = items->pdata[i];
		gsize len;
		const void *data;

		if (item->old || !item->package)
			continue;
		data = g_bytes_get_data(item->package, &len);
		gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, item->entry.sha256);
		item->entry.profile = item->upp_name;
		store[n] = (StoreItem){ &item->entry, item->package };
		entries[n++] = &item->entry;
	}
	return store_put(run->ledger, store, n, error) && ledger_bind(run->ledger, entries, n, error) &&
	       (!n || !run->options->anchored || anchor_write(run->home->key_url, &run->ledger->head, error));
}

static gboolean seal_batch(Run *run, GPtrArray *items, GError **error)
{
	GError *why = NULL;
	gint64 renewed = g_get_monotonic_time();

	for (guint i = 0; i < items->len && !why; i++) {
		Item *item = items->pdata[i];

		if (!item->old && !seal_item(run, item, &why) && why->code != IFPP_ERROR_TOKEN && why->code != IFPP_ERROR_PIN)
			complain(run, NULL, g_steal_pointer(&why));
		if (g_get_monotonic_time() - renewed > LEDGER_LEASE * G_USEC_PER_SEC / 8 && !why) {
			ledger_renew(run->ledger, &why);
			renewed = g_get_monotonic_time();
		}
	}
	if (why && why->code == IFPP_ERROR_TOKEN && token_reason()) {
		g_clear_error(&why);
		why = g_error_copy(token_reason());
	}
	if (!bind_sealed(run, items, why ? NULL : error)) {
		/* none may leave */
		for (guint i = 0; i < items->len; i++)
			if (!((Item *)items->pdata[i])->old)
				g_clear_pointer(&((Item *)items->pdata[i])->package, g_bytes_unref);
		if (why)
			g_propagate_error(error, why);
		return FALSE;
	}
	if (!deliver(run, items, why ? NULL : error) || why) {
		if (why)
			g_propagate_error(error, why);
		return FALSE;
	}
	return TRUE;
}

/* ------------------------------------------------------------ the run */

static void show(Run *run, Item *item)
{
	g_autofree char *name = item_file(item), *id = ifpp_hex(IFPP_SPAN(item->entry.key_id));
	const char *state = item->old ? "again" : "sealed";
	char eid[33], iccid[21];

	ifpp_eid_format(item->entry.eid, eid);
	ifpp_iccid_format(item->entry.iccid, iccid);
	if (run->options->json)
		printf("{\"eid\":\"%s\",\"key_id\":\"%s\",\"iccid\":\"%s\",\"file\":\"%s\",\"state\":\"%s\"}\n", eid, id,
		       iccid, name, state);
	else if (run->listed++ < SHOW_MAX)
		printf("%-6s %s  key %.16s  ICCID %-20s  %s\n", state, eid, id, iccid, name);
	else if (run->listed == SHOW_MAX + 1)
		printf("...\n");
}

static void progress(Run *run, guint64 done)
{
	static const char full[] = "==============================", none[] = "                              ";
	gint64 elapsed = g_get_monotonic_time() - run->started;
	int bar = run->total ? done * (sizeof(full) - 1) / run->total : 0;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r[%.*s%s] %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " packages, %.0f a second ", bar,
			full, none + bar, done, run->total, elapsed ? done * 1e6 / elapsed : 0.0);
}

typedef struct {
	Run *run;
	GPtrArray *chips, *items;
	GError **refusals;	/* for each chip, or NULL */
	guint next_profile, elsewhere;
} Plan;

static gboolean plan_body(Db *db, gpointer user, GError **error)
{
	Plan *plan = user;
	Run *run = plan->run;

	g_ptr_array_set_size(plan->items, 0);
	run->next_profile = plan->next_profile;
	plan->elsewhere = 0;
	if (!ledger_bury_dead(run->ledger, error))
		return FALSE;
	for (guint i = 0; i < plan->chips->len; i++) {
		GError *why = NULL;

		g_clear_error(&plan->refusals[i]);
		if (plan_chip(run, plan->chips->pdata[i], plan->items, &plan->elsewhere, &why))
			continue;
		/* The chip's own trouble is told, the others go on; the ledger's ends it. */
		if (why->domain == DB_ERROR || why->code == IFPP_ERROR_LEDGER) {
			g_propagate_error(error, why);
			return FALSE;
		}
		plan->refusals[i] = why;
	}
	return TRUE;
}

static gboolean run_batch(Run *run, GPtrArray *chips, GPtrArray *names, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	g_autofree GError **refusals = g_new0(GError *, chips->len);
	Plan plan = { .run = run, .chips = chips, .items = items, .refusals = refusals, .next_profile = run->next_profile };
	gboolean ok = ledger_renew(run->ledger, error) && ledger_transaction(run->ledger, plan_body, &plan, error);

	for (guint i = 0; i < chips->len; i++) {
		if (ok && refusals[i])
			complain(run, names->pdata[i], refusals[i]);
		else
			g_clear_error(&refusals[i]);
	}
	run->elsewhere += plan.elsewhere;
	for (guint i = 0; ok && i < items->len; i++) {
		Item *item = items->pdata[i];
		GError *why = NULL;

		if (item->old && !load_old(run, item, &why))
			complain(run, run->home->dir, why);
	}
	ok = ok && seal_batch(run, items, error);
	for (guint i = 0; ok && i < items->len; i++) {
		Item *item = items->pdata[i];

		if (!item->package)
			continue;
		run->sealed += !item->old;
		run->again += item->old;
		show(run, item);
	}
	return ok;
}

/* The same profiles, metadata and mode are the same order, wherever they lie. */
static gboolean compute_order(Run *run, GError **error)
{
	const BindOptions *o = run->options;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree char *text = NULL;
	guint8 digest[32];
	gsize len = sizeof(digest);

	text = g_strdup_printf("%s\n%s\n%s\n%d\n%d\n", o->order ? o->order : "", o->spn,
			       o->profile_name ? o->profile_name : "", o->class, o->session_keys);
	g_checksum_update(sum, (const guint8 *)text, -1);
	for (guint i = 0; run->profiles && i < run->profiles->len; i++) {
		g_autoptr(GBytes) file = ifpp_file_read(run->profiles->pdata[i], 2 * IFPP_PACKAGE_MAX, error);
		IfppSpan span;

		if (!file)
			return FALSE;
		span = ifpp_span_bytes(file);
		g_checksum_update(sum, span.data, span.len);
		gnutls_memset((guint8 *)span.data, 0, span.len);
	}
	g_checksum_get_digest(sum, digest, &len);
	memcpy(run->order, digest, sizeof(run->order));
	return TRUE;
}

static gboolean prepare(Run *run, GPtrArray **files, GError **error)
{
	const BindOptions *o = run->options;
	guint8 ski[20];

	if (o->rules && !(run->rules = rules_load(o->rules, error)))
		return FALSE;
	*files = input_files(o->euicc, ".euicc", ".euicc", error);
	if (!*files)
		return FALSE;
	run->total = (guint64)(*files)->len * o->count;
	if (o->upp || o->protected) {
		run->profiles = o->protected ? input_files(o->protected, ".ppp", ".ppp", error) :
					       input_files(o->upp, ".der", ".upp", error);
		if (!run->profiles)
			return FALSE;
		run->pool = run->profiles->len > 1;
	}
	if (!ifpp_cert_ski(ifpp_span_bytes(run->home->chain->pdata[0]), ski, error) || !compute_order(run, error))
		return FALSE;
	memcpy(run->host_id, ski, sizeof(run->host_id));

	if (o->out && !ifpp_make_dir(o->out, 0755, error))
		return FALSE;
	run->ledger = ledger_open(run->home, error);
	if (!run->ledger || (o->anchored && !anchor_check(run->ledger, run->home->key_url, error)) ||
	    !ledger_start_run(run->ledger, error) ||
	    (o->order && !ledger_name_order(run->ledger, run->order, o->order, error)))
		return FALSE;
	sweep(run);
	return TRUE;
}

static void summary(Run *run)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	if (run->options->json)
		return;
	printf("%" G_GUINT64_FORMAT " packages in %s: %" G_GUINT64_FORMAT " sealed now, %" G_GUINT64_FORMAT
	       " from before\n",
	       run->sealed + run->again, run->options->out ? run->options->out : run->home->dir, run->sealed, run->again);
	if (run->abroad)
		fprintf(stderr,
			"ifpp-smdpf: %" G_GUINT64_FORMAT " more packages were sealed on another host, and are in its home.\n",
			run->abroad);
	if (run->elsewhere)
		fprintf(stderr,
			"ifpp-smdpf: %" G_GUINT64_FORMAT " more packages are being sealed by another process. "
			"Run this again when it is done.\n",
			run->elsewhere);
}

gboolean bind_all(Home *home, gnutls_privkey_t key, const BindOptions *options, int *exit_code, GError **error)
{
	g_autoptr(GPtrArray) files = NULL, chips = NULL, names = NULL;
	Run run = { .home = home, .key = key, .options = options };
	guint batch = MAX(1, BATCH / options->count);
	gboolean ok;

	run.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	run.broken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	run.started = g_get_monotonic_time();
	chips = g_ptr_array_new_with_free_func(chip_free);
	names = g_ptr_array_new();
	ok = prepare(&run, &files, error);
	for (guint i = 0; ok && i < files->len; i++) {
		GError *refusal = NULL;
		Chip *chip = read_chip(&run, files->pdata[i], &refusal);

		if (chip) {
			g_ptr_array_add(chips, chip);
			g_ptr_array_add(names, files->pdata[i]);
		} else {
			complain(&run, files->pdata[i], refusal);
		}
		if (chips->len == batch || i + 1 == files->len) {
			ok = run_batch(&run, chips, names, error);
			g_ptr_array_set_size(chips, 0);
			g_ptr_array_set_size(names, 0);
			progress(&run, (guint64)(i + 1) * options->count);
		}
	}
	if (ok)
		summary(&run);
	if (run.elsewhere && run.exit_code == IFPP_EXIT_OK)
		run.exit_code = IFPP_EXIT_BUSY;
	*exit_code = run.exit_code;

	g_clear_pointer(&run.ledger, ledger_free);
	g_clear_pointer(&run.profiles, g_ptr_array_unref);
	rules_free(run.rules);
	g_hash_table_unref(run.seen);
	g_hash_table_unref(run.broken);
	return ok;
}
