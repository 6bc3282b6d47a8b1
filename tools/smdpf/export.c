// SPDX-License-Identifier: GPL-2.0-or-later
#include "export.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "anchor.h"
#include "bundle.h"
#include "eid.h"
#include "envelope.h"
#include "error.h"
#include "file.h"
#include "ledger.h"
#include "package.h"
#include "pool.h"
#include "store.h"
#include "token.h"

#define PROGRESS_EVERY 64

typedef struct {
	Home *home;
	const char *order;
	Ledger *ledger;
	IfppInventory *inventory;
	GBytes *envelope;	/* signed inventory, while the file is written */
	guint reserved, finished;
} Export;

/* A name fit for terminals, which is what the inventory takes. */
static void set_profile(IfppBundleItem *item, const char *name)
{
	GString *text = g_string_new(NULL);

	for (const char *p = name ? name : ""; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		gsize before = text->len;

		g_string_append_unichar(text, g_unichar_isprint(c) ? c : '?');
		if (text->len > IFPP_BUNDLE_TEXT_MAX) {
			g_string_truncate(text, before);
			break;
		}
	}
	g_strlcpy(item->profile, text->len ? text->str : "-", sizeof(item->profile));
	g_string_free(text, TRUE);
}

static gboolean choose(const LedgerEntry *entry, gpointer user, GError **error)
{
	Export *export = user;
	IfppBundleItem item = {};

	if (entry->state != LEDGER_BOUND) {
		export->finished++;
		return TRUE;
	}
	if (!ledger_sole(export->ledger, entry, error))
		return FALSE;
	memcpy(item.eid, entry->eid, sizeof(item.eid));
	memcpy(item.key_id, entry->key_id, sizeof(item.key_id));
	memcpy(item.sha256, entry->sha256, sizeof(item.sha256));
	ifpp_iccid_mask(entry->iccid, item.iccid);
	set_profile(&item, entry->profile);
	g_array_append_val(export->inventory->items, item);
	return TRUE;
}

static gboolean choose_order(const LedgerEntry *order, gpointer user, GError **error)
{
	Export *export = user;
	gint64 reserved = 0;

	if (!ledger_count(export->ledger, order->order, LEDGER_RESERVED, &reserved, error))
		return FALSE;
	export->reserved += reserved;
	return ledger_foreach(export->ledger, order->order, choose, export, error);
}

static gboolean choose_all(Export *export, GError **error)
{
	gint64 reserved = 0;

	if (export->order)
		return ledger_orders(export->ledger, export->order, choose_order, export, error);
	if (!ledger_count(export->ledger, NULL, LEDGER_RESERVED, &reserved, error))
		return FALSE;
	export->reserved = reserved;
	return ledger_foreach(export->ledger, NULL, choose, export, error);
}

static int compare(gconstpointer a, gconstpointer b)
{
	const IfppBundleItem *x = a, *y = b;
	int order = memcmp(x->eid, y->eid, sizeof(x->eid));

	return order ? order : memcmp(x->key_id, y->key_id, sizeof(x->key_id));
}

static GBytes *read_package(Export *export, const IfppBundleItem *item, GError **error)
{
	LedgerEntry entry = {};

	memcpy(entry.eid, item->eid, sizeof(entry.eid));
	memcpy(entry.key_id, item->key_id, sizeof(entry.key_id));
	memcpy(entry.sha256, item->sha256, sizeof(entry.sha256));
	return store_read(export->home, &entry, error);
}

static gboolean take_stock(Export *export, GError **error)
{
	GArray *items = export->inventory->items;

	if (!choose_all(export, error))
		return FALSE;
	if (!items->len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s%s: %s", export->order ? "order " : "",
			    export->order ? export->order : export->home->dir,
			    export->reserved ? "its packages are still being sealed" :
			    export->finished ? "every package has its result already" :
					       "no package was sealed for it");
		return FALSE;
	}
	if (items->len > IFPP_BUNDLE_PACKAGES_MAX) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%u packages are more than a delivery holds (%d); "
			    "export one --order at a time", items->len, IFPP_BUNDLE_PACKAGES_MAX);
		return FALSE;
	}
	g_array_sort(items, compare);
	for (guint i = 0; i < items->len; i++) {
		IfppBundleItem *item = &g_array_index(items, IfppBundleItem, i);
		g_autoptr(GBytes) package = read_package(export, item, error);

		if (!package)
			return FALSE;
		item->len = g_bytes_get_size(package);
	}
	return TRUE;
}

/* Is this very delivery in the file already, whole and sound? */
static gboolean is_there(Export *export, const char *path, GBytes *text)
{
	g_autoptr(IfppBundle) bundle = ifpp_bundle_open(path, export->home->trust, NULL);
	g_autoptr(GBytes) have = bundle ? ifpp_inventory_format(ifpp_bundle_inventory(bundle)) : NULL;

	if (!have || !g_bytes_equal(have, text))
		return FALSE;
	for (guint i = 0; i < export->inventory->items->len; i++) {
		g_autoptr(GBytes) package = ifpp_bundle_read(bundle, i, NULL);

		if (!package)
			return FALSE;
	}
	return TRUE;
}

/* A ledger that is not the newest would deliver what has its result, and miss what was sealed since. */
static GBytes *sign_inventory(Export *export, GBytes *text, const char *pin_file, GError **error)
{
	Home *home = export->home;
	gnutls_privkey_t key;
	GBytes *envelope = NULL;
	GError *why = NULL;

	if (!pool_start(home, pin_file, error))
		return NULL;
	key = pool_open(home, FALSE, error);
	if (key && !anchor_check(export->ledger, home, NULL, error))
		g_clear_pointer(&key, gnutls_privkey_deinit);
	for (guint i = 0; key && !envelope && i <= home->keys->len; i++) {
		g_clear_error(&why);
		envelope = envelope_sign(ifpp_span_bytes(text), home->chain, key, &why);
		if (envelope || !pool_may_help(home, why))
			break;
		gnutls_privkey_deinit(key);
		key = pool_open(home, TRUE, &why);
	}
	if (key)
		gnutls_privkey_deinit(key);
	if (why)
		g_propagate_error(error, why);
	return envelope;
}

/* ------------------------------------------------------------ the file */

static gboolean put_bundle(int fd, const char *path, gpointer user, GError **error)
{
	Export *export = user;
	guint8 header[IFPP_BUNDLE_HEADER_LEN];
	guint count = export->inventory->items->len;

	ifpp_bundle_header_write(g_bytes_get_size(export->envelope), header);
	if (!ifpp_file_put(fd, path, IFPP_SPAN(header), error) ||
	    !ifpp_file_put(fd, path, ifpp_span_bytes(export->envelope), error))
		return FALSE;
	for (guint i = 0; i < count; i++) {
		const IfppBundleItem *item = &g_array_index(export->inventory->items, IfppBundleItem, i);
		g_autoptr(GBytes) package = read_package(export, item, error);

		if (!package || !ifpp_file_put(fd, path, ifpp_span_bytes(package), error))
			return FALSE;
		if (isatty(STDERR_FILENO) && (i + 1) % PROGRESS_EVERY == 0)
			fprintf(stderr, "\r%u of %u packages ", i + 1, count);
	}
	return TRUE;
}

static gboolean deliver(Export *export, const char *out, const char *pin_file, GError **error)
{
	g_autoptr(GBytes) text = NULL, envelope = NULL;
	gboolean there;

	if (!take_stock(export, error))
		return FALSE;
	text = ifpp_inventory_format(export->inventory);
	there = is_there(export, out, text);
	if (!there) {
		envelope = sign_inventory(export, text, pin_file, error);
		export->envelope = envelope;
		/* Too large to be put together in memory. */
		if (!envelope || !ifpp_file_write_by(out, 0644, put_bundle, export, error))
			return FALSE;
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	printf("%s: %u packages%s", out, export->inventory->items->len, there ? ", there already" : "");
	if (export->finished)
		printf("; %u with a result already are left out", export->finished);
	printf("\n");
	return TRUE;
}

gboolean export_delivery(Home *home, const char *order, const char *out, const char *pin_file, int *exit_code,
			 GError **error)
{
	g_autoptr(Ledger) ledger = ledger_open(home, error);
	g_autoptr(IfppInventory) inventory = ifpp_inventory_new(order);
	Export export = { .home = home, .order = order, .ledger = ledger, .inventory = inventory };

	if (!ledger || !deliver(&export, out, pin_file, error))
		return FALSE;
	if (export.reserved) {
		fprintf(stderr,
			"ifpp-smdpf: %u more packages are still being sealed. Run this again when that is done.\n",
			export.reserved);
		*exit_code = IFPP_EXIT_BUSY;
	}
	return TRUE;
}
