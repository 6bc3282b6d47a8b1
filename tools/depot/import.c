// SPDX-License-Identifier: GPL-2.0-or-later
#include "import.h"

#include <string.h>

#include <eid.h>
#include <package.h>

#include "depot-error.h"
#include "rows.h"

#define BATCH 500	/* packages in a transaction: what is done again after a crash */

typedef struct {
	IfppBundle *bundle;
	const IfppInventory *inventory;
	const char *operator;
	guint8 id[32];
	void (*progress)(const char *doing, guint done, guint all);
} Import;

static void tell(const Import *import, const char *doing, guint done)
{
	if (import->progress)
		import->progress(doing, done, import->inventory->items->len);
}

static const IfppBundleItem *item_at(const Import *import, guint i)
{
	return &g_array_index(import->inventory->items, IfppBundleItem, i);
}

/* A name fit for terminals. */
static char *name(IfppSpan text)
{
	g_autofree char *utf8 = g_strndup((const char *)text.data, text.len);

	return ifpp_bundle_text_valid(utf8) ? g_steal_pointer(&utf8) : g_strdup("");
}

/* What the inventory tells, and what the package says of itself for all to read. */
static DepotItem *describe(const Import *import, guint i, GBytes *package, GError **error)
{
	g_autoptr(IfppPackage) parsed = ifpp_package_read_proven(package, error);
	const IfppBundleItem *from = item_at(import, i);
	DepotItem *item;
	IfppSpan iccid;

	if (!parsed)
		return NULL;
	item = g_new0(DepotItem, 1);
	memcpy(item->eid, from->eid, sizeof(item->eid));
	memcpy(item->key_id, from->key_id, sizeof(item->key_id));
	memcpy(item->sha256, from->sha256, sizeof(item->sha256));
	item->bytes = from->len;
	item->profile = g_strdup(from->profile);
	item->batch = g_strdup(import->inventory->order ? import->inventory->order : "");
	item->operator = import->operator ? g_strdup(import->operator) : name(ifpp_bpp_provider(ifpp_package_bpp(parsed)));
	iccid = ifpp_bpp_iccid(ifpp_package_bpp(parsed));
	if (iccid.len == IFPP_ICCID_BYTES)
		ifpp_iccid_format(iccid.data, item->iccid);
	return item;
}

static gboolean verify_all(const Import *import, GError **error)
{
	for (guint i = 0; i < import->inventory->items->len; i++) {
		g_autoptr(GBytes) package = ifpp_bundle_read(import->bundle, i, error);
		DepotItem *item = package ? describe(import, i, package, error) : NULL;

		if (!item)
			return FALSE;
		depot_item_free(item);
		tell(import, "verifying", i + 1);
	}
	return TRUE;
}

static void item_free(gpointer item)
{
	depot_item_free(item);
}

static gboolean add_batch(Depot *depot, const Import *import, guint from, guint n, guint *added, GError **error)
{
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
	g_autoptr(GPtrArray) packages = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

	for (guint i = from; i < from + n; i++) {
		GBytes *package = ifpp_bundle_read(import->bundle, i, error);
		DepotItem *item;

		if (!package)
			return FALSE;
		g_ptr_array_add(packages, package);
		item = describe(import, i, package, error);
		if (!item)
			return FALSE;
		g_ptr_array_add(items, item);
	}
	return depot_add(depot, import->id, (DepotItem *const *)items->pdata, (GBytes *const *)packages->pdata, n, added,
			 error);
}

static gboolean add_all(Depot *depot, const Import *import, guint *added, GError **error)
{
	guint all = import->inventory->items->len;

	for (guint from = 0; from < all; from += BATCH) {
		guint n = MIN(BATCH, all - from);

		if (!add_batch(depot, import, from, n, added, error))
			return FALSE;
		tell(import, "importing", from + n);
	}
	return TRUE;
}

gboolean depot_import(Depot *depot, const char *file, IfppTrust *trust, const char *operator,
		      void (*progress)(const char *doing, guint done, guint all), ImportCount *count, GError **error)
{
	g_autoptr(IfppBundle) bundle = ifpp_bundle_open(file, trust, error);
	g_autoptr(GBytes) text = NULL;
	g_autoptr(GError) local = NULL;
	Import import = { .bundle = bundle, .operator = operator, .progress = progress };
	gboolean done = FALSE;

	memset(count, 0, sizeof(*count));
	if (!bundle)
		return FALSE;
	import.inventory = ifpp_bundle_inventory(bundle);
	text = ifpp_inventory_format(import.inventory);
	rows_sha256(g_bytes_get_data(text, NULL), g_bytes_get_size(text), import.id);
	count->packages = import.inventory->items->len;
	count->order = g_strdup(import.inventory->order);
	if (!verify_all(&import, error) ||
	    !depot_delivery(depot, import.id, import.inventory->order, count->packages, &done, error))
		return FALSE;
	if (done)
		return TRUE;
	done = TRUE;
	if (!add_all(depot, &import, &count->added, &local)) {
		if (g_error_matches(local, DEPOT_ERROR, DEPOT_ERROR_CONFLICT))
			depot_delivery_conflict(depot, import.id, NULL);
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	return depot_delivery(depot, import.id, import.inventory->order, count->packages, &done, error);
}
