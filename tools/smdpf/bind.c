// SPDX-License-Identifier: GPL-2.0-or-later
#include "bind.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>

#include "anchor.h"
#include "chain.h"
#include "choose.h"
#include "eid.h"
#include "envelope.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "ledger.h"
#include "orders.h"
#include "pool.h"
#include "seal.h"
#include "store.h"
#include "told.h"
#include "token.h"

#define EUICC_DATA_MAX (256 * 1024)

static const guint8 configure[] = { 0xBF, 0x24, 0x00 };

typedef struct {
	guint8 eid[16];
	guint8 signer[65];	/* its proven key, which attests the others */
	KindsChip can;		/* have */
	GArray *keys;		/* IfppOtk */
	gboolean *proven;	/* of each, whether the chip was seen to have attested it */
	char *path;
} Chip;

/* One package on its way. */
typedef struct {
	LedgerEntry entry;
	const Chip *chip;	/* unless it is an old one */
	const IfppOtk *otk;
	Chosen chosen;		/* until it is sealed */
	char *name;		/* the profile's, as in its metadata */
	GBytes *package;
	gboolean old;		/* sealed by an earlier run */
	gboolean there;		/* and still where it should be */
} Item;

struct _Bind {
	const BindOrder *order;
	const BindOptions *options;
	Home *home;
	BindKeys keys;
	guint8 host_id[8];
	Ledger *ledger;
	Choice choice;
	BindCounts *counts;
};

static void item_free(gpointer p)
{
	Item *item = p;

	chosen_clear(&item->chosen);
	g_free(item->name);
	g_clear_pointer(&item->package, g_bytes_unref);
	g_free(item);
}

static void chip_free(gpointer p)
{
	Chip *chip = p;

	g_array_unref(chip->keys);
	g_free(chip->proven);
	g_free(chip->path);
	g_free(chip);
}

/* Say it and go on with the next chip. */
static void complain(Bind *run, const char *what, GError *error)
{
	int code;

	if (what)
		g_prefix_error(&error, "%s: ", what);
	code = ifpp_error_exit("ifpp-smdpf", error);
	if (run->counts->exit_code == IFPP_EXIT_OK)
		run->counts->exit_code = code;
	g_error_free(error);
}

static void complain_broken(GError *why, gpointer user)
{
	complain(user, NULL, why);
}

static char *item_file(const Item *item)
{
	return ifpp_package_file_name(item->entry.eid, item->entry.key_id);
}

/* ------------------------------------------------------------ files in bulk */

static char *tmp_path(Bind *run, const Item *item)
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
static gboolean deliver(Bind *run, GPtrArray *items, GError **error)
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

/* Of those that an earlier run has bound: it may have been killed before the journal said so. */
static gboolean say_again(Bind *run, GPtrArray *items, GError **error)
{
	g_autofree LedgerEntry **entries = g_new0(LedgerEntry *, items->len);
	guint n = 0;

	for (guint i = 0; run->options->out && i < items->len; i++) {
		Item *item = items->pdata[i];

		if (item->old && wanted(item))
			entries[n++] = &item->entry;
	}
	return store_out(run->home, entries, n, error);
}

/* Half-written files of processes that died, in the directory where packages go. */
static void sweep(Bind *run)
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

/*
 * DPFF10: nothing is sealed to a key that its chip did not attest. A chip may have hundreds and a signature check is much of
 * what a package costs: those that an order takes first are proven with the chip, a later one before it is sealed to.
 */
static gboolean prove_key(const Chip *chip, const IfppOtk *otk, GError **error)
{
	gsize number = otk - (const IfppOtk *)chip->keys->data;

	return chip->proven[number] || ifpp_otk_verify(otk, chip->eid, chip->signer, error);
}

typedef struct {
	const Bind *run;
	const Chip *chip;
	gboolean *taken;
	int missing;
} Taken;

static gboolean take_out(const LedgerEntry *entry, gpointer user, GError **error)
{
	Taken *t = user;

	for (guint i = 0; i < t->chip->keys->len; i++)
		t->taken[i] |= !memcmp(g_array_index(t->chip->keys, IfppOtk, i).key_id, entry->key_id, 32);
	t->missing -= !memcmp(entry->order, t->run->order->id, sizeof(entry->order));
	return TRUE;
}

/*
 * Those that the order will take, as far as can be told before it does. That is worth a look into a file; a server is a round trip
 * away, which takes longer than the check that it may save.
 */
static gboolean prove_first(Bind *run, Chip *chip, GError **error)
{
	g_autofree gboolean *taken = g_new0(gboolean, chip->keys->len);
	Taken t = { run, chip, taken, run->options->count };

	/* when the ledger cannot be read, whoever takes a key from it says so */
	if (!run->home->ledger && !ledger_chip(run->ledger, chip->eid, take_out, &t, NULL))
		return TRUE;
	for (guint i = 0; i < chip->keys->len && t.missing > 0; i++) {
		const IfppOtk *otk = &g_array_index(chip->keys, IfppOtk, i);

		if (taken[i])
			continue;
		if (!ifpp_otk_verify(otk, chip->eid, chip->signer, error))
			return FALSE;
		chip->proven[i] = TRUE;
		t.missing--;
	}
	return TRUE;
}

/* DPFF10, and DPFF09: nothing is sealed for a chip that is not wanted. */
static Chip *read_chip(Bind *run, const char *path, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, EUICC_DATA_MAX, error);
	g_autoptr(IfppFactoryInfo) info = NULL;
	guint8 eid[16], signer[65];
	RulesChip about = { .eid = eid };
	KindsChip can;
	IfppSpan ff21;
	Chip *chip;

	if (!file || !ifpp_euicc_data_parse(ifpp_span_bytes(file), eid, &ff21, &about.info2, error) ||
	    !(info = ifpp_factory_info_parse(ff21, error)) ||
	    !ifpp_factory_info_verify_chip(info, eid, run->home->trust, signer, error))
		return NULL;
	if (info->cert_eum)
		about.cert_eum = ifpp_span_bytes(info->cert_eum);
	about.imei = devices_find(run->order->devices, eid);
	if (!kinds_chip(run->order->kinds, &about, run->options->class, &can, error) ||
	    !metadata_check_chip(run->options->metadata, ifpp_euicc_data_is_iot(ifpp_span_bytes(file)), error))
		return NULL;
	chip = g_new0(Chip, 1);
	memcpy(chip->eid, eid, sizeof(eid));
	memcpy(chip->signer, signer, sizeof(signer));
	chip->can = can;
	chip->keys = g_array_ref(info->keys);
	chip->proven = g_new0(gboolean, chip->keys->len);
	chip->path = g_strdup(path);
	if (prove_first(run, chip, error))
		return chip;
	chip_free(chip);
	return NULL;
}

/* ------------------------------------------------------------ choosing */

/*
 * Killed between its package and the ledger, a host leaves a package that was never bound; another host may have sealed to the
 * key since. Then the file here is not the one that the ledger means, and that one is the other host's to deliver.
 */
static gboolean read_old(Bind *run, Item *item, GError **error)
{
	g_autoptr(GError) local = NULL;
	gboolean here = TRUE;

	item->package = store_read(run->home, &item->entry, &local);
	if (item->package)
		return TRUE;
	if (run->home->ledger && g_error_matches(local, IFPP_ERROR, IFPP_ERROR_HEADER_MISMATCH) &&
	    !store_bound_here(run->home, &item->entry, &here, error))
		return FALSE;
	if (here)
		g_propagate_error(error, g_steal_pointer(&local));
	else
		run->counts->abroad++;
	return !here;
}

static gboolean load_old(Bind *run, Item *item, GError **error)
{
	g_autofree char *name = item_file(item);
	g_autofree char *out = run->options->out ? g_build_filename(run->options->out, name, NULL) : NULL;
	g_autofree char *path = store_path(run->home, item->entry.eid, item->entry.key_id);
	g_autoptr(GBytes) have = NULL;

	if (item->entry.state == LEDGER_VOID)
		return TRUE;
	/* its chip has answered, and it was pruned; or another host has it, and delivers it */
	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		if (item->entry.state != LEDGER_BOUND)
			return TRUE;
		if (run->home->ledger) {
			run->counts->abroad++;
			return TRUE;
		}
	}
	if ((item->entry.state == LEDGER_BOUND && !ledger_sole(run->ledger, &item->entry, error)) || !read_old(run, item, error))
		return FALSE;
	have = out && item->package ? ifpp_file_read(out, IFPP_PACKAGE_MAX, NULL) : NULL;
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
static gboolean check_unbound(Bind *run, const Item *item, GError **error)
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

static gboolean plan_key(Bind *run, const Chip *chip, const IfppOtk *otk, GPtrArray *items, GError **error)
{
	Item *item = g_new0(Item, 1);

	memcpy(item->entry.key_id, otk->key_id, 32);
	memcpy(item->entry.eid, chip->eid, 16);
	memcpy(item->entry.order, run->order->id, 8);
	item->chip = chip;
	item->otk = otk;
	item->entry.profile = "";
	gnutls_rnd(GNUTLS_RND_RANDOM, item->entry.transaction, 16);
	if (!check_unbound(run, item, error) ||
	    !choose_profile(&run->choice, &chip->can, &item->entry, &item->chosen, complain_broken, run, error) ||
	    !ledger_reserve(run->ledger, &item->entry, error)) {
		item_free(item);
		return FALSE;
	}
	g_ptr_array_add(items, item);
	return TRUE;
}

/* What this order has for the chip already, then fresh keys until there is enough. */
static gboolean plan_chip(Bind *run, Chip *chip, GPtrArray *items, guint *elsewhere, GError **error)
{
	g_autoptr(GPtrArray) have = g_ptr_array_new_with_free_func(item_free);
	int missing = run->options->count;

	if (!ledger_chip(run->ledger, chip->eid, take_entry, have, error))
		return FALSE;
	for (guint i = 0; i < have->len && missing; i++) {
		Item *item = have->pdata[i];

		if (memcmp(item->entry.order, run->order->id, sizeof(run->order->id)))
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

static gboolean seal_item(Bind *run, Item *item, GError **error)
{
	const BindOptions *o = run->options;
	Chosen *chosen = &item->chosen;
	const char *name = o->profile_name ? o->profile_name : *chosen->name ? chosen->name : "Profile";
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
		.otpk = item->otk->point,
		.sign = sign,
		.sign_user = run->keys.key,
	};

	metadata = profile_metadata(item->entry.iccid, o->spn, short_name, o->class);
	if (o->metadata)
		metadata_add(o->metadata, metadata);
	g_free(item->name);
	item->name = g_steal_pointer(&short_name);
	in.metadata = (IfppSpan){ metadata->data, metadata->len };
	if (chosen->protected) {
		if (!protected_unwrap(chosen->protected, run->home, run->keys.unwrap, ppk, error))
			return FALSE;
		in.protected_86 = chosen->protected->segments;
	} else {
		/* fresh for each profile: a PPK set used twice would give its key stream away */
		if (gnutls_rnd(GNUTLS_RND_KEY, ppk, sizeof(ppk)) < 0) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "no randomness");
			return FALSE;
		}
		in.upp = (IfppSpan){ chosen->upp->data, chosen->upp->len };
	}
	bpp = ifpp_seal(&in, error);
	gnutls_memset(ppk, 0, sizeof(ppk));
	if (!bpp)
		return FALSE;
	item->package = envelope_seal(item->entry.eid, item->entry.key_id, ifpp_span_bytes(bpp), run->home->chain,
				      run->keys.key, error);
	return item->package != NULL;
}

/* The host id is of the key that signs. */
static gboolean set_host(Bind *run, GError **error)
{
	guint8 ski[20];

	if (!ifpp_cert_ski(ifpp_span_bytes(run->home->chain->pdata[0]), ski, error))
		return FALSE;
	memcpy(run->host_id, ski, sizeof(run->host_id));
	return TRUE;
}

static void say_reason(GError **why)
{
	if (*why && (*why)->code == IFPP_ERROR_TOKEN && token_reason()) {
		g_clear_error(why);
		*why = g_error_copy(token_reason());
	}
}

/* What the token that failed had begun never leaves this process: the package is made anew, with another token's key. */
static gboolean seal_somewhere(Bind *run, Item *item, GError **error)
{
	GError *why = NULL;
	gboolean ok = FALSE;

	for (guint i = 0; !ok && i <= run->home->keys->len; i++) {
		g_clear_error(&why);
		ok = seal_item(run, item, &why);
		if (ok || !run->options->next || !pool_may_help(run->home, why))
			break;
		say_reason(&why);
		if (!run->options->next(run->home, &run->keys, &why) || !set_host(run, &why))
			break;
	}
	chosen_clear(&item->chosen);
	if (!ok)
		g_propagate_error(error, why);
	return ok;
}

/* Those that could be sealed are stored and bound: nothing that the token signed is thrown away. */
static gboolean bind_sealed(Bind *run, GPtrArray *items, GError **error)
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
		item->entry.profile = item->name;
		store[n] = (StoreItem){ &item->entry, item->package };
		entries[n++] = &item->entry;
	}
	return store_put(run->ledger, store, n, error) && ledger_bind(run->ledger, entries, n, error) &&
	       store_out(run->home, entries, n, error) && (!n || !run->options->anchored || anchor_advance(run->ledger, run->home, error));
}

static gboolean seal_batch(Bind *run, GPtrArray *items, GError **error)
{
	GError *why = NULL;
	gint64 renewed = g_get_monotonic_time();

	for (guint i = 0; i < items->len && !why; i++) {
		Item *item = items->pdata[i];

		if (!item->old && !prove_key(item->chip, item->otk, &why))
			complain(run, item->chip->path, g_steal_pointer(&why));
		else if (!item->old && !seal_somewhere(run, item, &why) && why->code != IFPP_ERROR_TOKEN && why->code != IFPP_ERROR_PIN)
			complain(run, NULL, g_steal_pointer(&why));
		if (g_get_monotonic_time() - renewed > LEDGER_LEASE * G_USEC_PER_SEC / 8 && !why) {
			ledger_renew(run->ledger, &why);
			renewed = g_get_monotonic_time();
		}
	}
	if (!pool_may_help(run->home, why))
		say_reason(&why);
	if (!bind_sealed(run, items, why ? NULL : error)) {
		/* none may leave */
		for (guint i = 0; i < items->len; i++)
			if (!((Item *)items->pdata[i])->old)
				g_clear_pointer(&((Item *)items->pdata[i])->package, g_bytes_unref);
		if (why)
			g_propagate_error(error, why);
		return FALSE;
	}
	if (!say_again(run, items, why ? NULL : error) || !deliver(run, items, why ? NULL : error) || why) {
		if (why)
			g_propagate_error(error, why);
		return FALSE;
	}
	return TRUE;
}

/* ------------------------------------------------------------ the run */

/* A line for the one who listens. */
static void tell(Bind *run, Item *item, FILE *lines)
{
	g_autofree char *name = item_file(item), *id = ifpp_hex(IFPP_SPAN(item->entry.key_id));
	const char *state = item->old ? "again" : "sealed";
	char eid[33], iccid[21];

	ifpp_eid_format(item->entry.eid, eid);
	ifpp_iccid_format(item->entry.iccid, iccid);
	if (run->options->json)
		fprintf(lines, "P{\"eid\":\"%s\",\"key_id\":\"%s\",\"iccid\":\"%s\",\"file\":\"%s\",\"state\":\"%s\"}\n", eid,
			id, iccid, name, state);
	else
		fprintf(lines, "P%-6s %s  key %.16s  ICCID %-20s  %s\n", state, eid, id, iccid, name);
}

typedef struct {
	Bind *run;
	GPtrArray *chips, *items;
	GError **refusals;	/* for each chip, or NULL */
	guint tries, elsewhere;
} Plan;

static gboolean plan_body(Db *db, gpointer user, GError **error)
{
	Plan *plan = user;
	Bind *run = plan->run;

	g_ptr_array_set_size(plan->items, 0);
	/* after a COMMIT whose answer was lost, the reservations are there: they are ours, and not another process's */
	if (plan->tries++) {
		choice_again(&run->choice);
		if (!ledger_release(run->ledger, error))
			return FALSE;
	}
	plan->elsewhere = 0;
	if (!ledger_bury_dead(run->ledger, error) || !orders_check(run->ledger, run->order->id, error))
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

static gboolean run_batch(Bind *run, GPtrArray *chips, FILE *lines, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	g_autofree GError **refusals = g_new0(GError *, chips->len);
	Plan plan = { .run = run, .chips = chips, .items = items, .refusals = refusals };
	gboolean ok;

	choice_mark(&run->choice);
	ok = ledger_renew(run->ledger, error) && ledger_transaction(run->ledger, plan_body, &plan, error);

	for (guint i = 0; i < chips->len; i++) {
		Chip *chip = chips->pdata[i];

		if (ok && refusals[i])
			complain(run, chip->path, refusals[i]);
		else
			g_clear_error(&refusals[i]);
	}
	run->counts->elsewhere += plan.elsewhere;
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
		run->counts->sealed += !item->old;
		run->counts->again += item->old;
		tell(run, item, lines);
	}
	return ok;
}

static gboolean same_chip(gconstpointer a, gconstpointer b)
{
	const Chip *x = a, *y = b;

	return !memcmp(x->eid, y->eid, sizeof(x->eid));
}

gboolean bind_range(Bind *run, guint from, guint to, FILE *lines, BindCounts *counts, GError **error)
{
	g_autoptr(GPtrArray) chips = g_ptr_array_new_with_free_func(chip_free);

	run->counts = counts;
	choice_seek(&run->choice, from);
	for (guint i = from; i < to; i++) {
		g_autofree char *path = inputs_path(run->order->files, i);
		GError *refusal = NULL;
		Chip *chip = read_chip(run, path, &refusal);

		if (!chip) {
			complain(run, path, refusal);
		} else if (g_ptr_array_find_with_equal_func(chips, chip, same_chip, NULL)) {
			/* in another range it comes out as sealed before */
			complain(run, chip->path, g_error_new(IFPP_ERROR, IFPP_ERROR_USAGE, "the same chip again"));
			chip_free(chip);
		} else {
			g_ptr_array_add(chips, chip);
		}
	}
	return run_batch(run, chips, lines, error);
}

/* By the first process of the order. */
static gboolean make_known(Bind *run, GError **error)
{
	const BindOptions *o = run->options;
	Order order = {
		.name = o->order ? o->order : "", .profile = o->profile_name ? o->profile_name : run->order->profile,
		.class = o->class, .iccids = run->order->profiles ? inputs_count(run->order->profiles) : 0,
	};

	memcpy(order.id, run->order->id, sizeof(order.id));
	return orders_open(run->ledger, &order, run->order->iccids->data, error) &&
	       (!run->order->assignments || assign_check(run->order->assignments, run->ledger, order.id, error));
}

Bind *bind_new(const BindOrder *order, gboolean spare, GError **error)
{
	g_autoptr(Bind) run = g_new0(Bind, 1);
	const BindOptions *o = order->options;

	run->order = order;
	run->options = o;
	run->home = order->home;
	if (!o->open(run->home, spare, &run->keys, o->open_user, error) ||
	    !set_host(run, error) || (o->out && !ifpp_make_dir(o->out, 0755, error)))
		return NULL;
	run->ledger = ledger_open(run->home, error);
	if (!run->ledger || (o->anchored && !anchor_check(run->ledger, run->home, NULL, error)) ||
	    !ledger_start_run(run->ledger, error) ||
	    (!spare && (!make_known(run, error) || !told_operator(run->ledger, order->id, o->spn, error))))
		return NULL;
	choice_init(&run->choice, order, run->ledger);
	sweep(run);
	return g_steal_pointer(&run);
}

void bind_free(Bind *run)
{
	if (!run)
		return;
	choice_clear(&run->choice);
	g_clear_pointer(&run->ledger, ledger_free);
	g_clear_pointer(&run->keys.unwrap, g_ptr_array_unref);
	if (run->keys.key)
		gnutls_privkey_deinit(run->keys.key);
	g_free(run);
}
