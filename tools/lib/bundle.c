// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bundle.h"

#include <string.h>
#include <unistd.h>

#include "eid.h"
#include "error.h"
#include "inventory.h"
#include "package.h"

#define VERSION 1
#define ENVELOPE_MAX (64 * 1024 * 1024)

static const guint8 magic[] = { 'I', 'F', 'P', 'D', 0, VERSION, 0, IFPP_BUNDLE_HEADER_LEN };

struct _IfppBundle {
	char *path;
	int fd;
	IfppInventory *inventory;
};

static gboolean fail(GError **error, IfppError code, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, code, what);
	return FALSE;
}

/* ------------------------------------------------------------ inventory */

IfppInventory *ifpp_inventory_new(const char *order)
{
	IfppInventory *inventory = g_new0(IfppInventory, 1);

	inventory->order = g_strdup(order);
	inventory->items = g_array_new(FALSE, TRUE, sizeof(IfppBundleItem));
	return inventory;
}

void ifpp_inventory_free(IfppInventory *inventory)
{
	if (!inventory)
		return;
	g_free(inventory->order);
	g_array_unref(inventory->items);
	g_free(inventory);
}

gboolean ifpp_bundle_text_valid(const char *text)
{
	if (!*text || strlen(text) > IFPP_BUNDLE_TEXT_MAX || !g_utf8_validate(text, -1, NULL))
		return FALSE;
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		if (!g_unichar_isprint(g_utf8_get_char(p)))
			return FALSE;
	return TRUE;
}

GBytes *ifpp_inventory_format(const IfppInventory *inventory)
{
	GString *out = g_string_new("IFPP delivery 1\n");
	guint64 bytes = 0;

	for (guint i = 0; i < inventory->items->len; i++)
		bytes += g_array_index(inventory->items, IfppBundleItem, i).len;
	if (inventory->order)
		g_string_append_printf(out, "Order: %s\n", inventory->order);
	g_string_append_printf(out, "Packages: %u\nBytes: %" G_GUINT64_FORMAT "\n", inventory->items->len, bytes);
	for (guint i = 0; i < inventory->items->len; i++) {
		const IfppBundleItem *item = &g_array_index(inventory->items, IfppBundleItem, i);
		g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id)), *hash = ifpp_hex(IFPP_SPAN(item->sha256));
		char eid[33];

		ifpp_eid_format(item->eid, eid);
		g_string_append_printf(out, "\nEID: %s\nKey: %s\nICCID: %s\nProfile: %s\n", eid, key, item->iccid,
				       item->profile);
		g_string_append_printf(out, "Bytes: %u\nSHA-256: %s\n", item->len, hash);
	}
	return g_string_free_to_bytes(out);
}

static gboolean parse_item(IfppSpan *in, IfppBundleItem *item)
{
	g_autofree char *blank = inventory_line(in, ""), *eid = NULL, *iccid = NULL, *profile = NULL;
	guint64 len;

	if (!blank || *blank || !(eid = inventory_line(in, "EID: ")) || !ifpp_eid_parse(eid, item->eid, NULL) ||
	    !inventory_hash(in, "Key: ", item->key_id) || !(iccid = inventory_line(in, "ICCID: ")) ||
	    !(profile = inventory_line(in, "Profile: ")) || !inventory_number(in, "Bytes: ", 1, IFPP_PACKAGE_MAX, &len) ||
	    !inventory_hash(in, "SHA-256: ", item->sha256))
		return FALSE;
	if (strlen(iccid) >= sizeof(item->iccid) || iccid[strspn(iccid, "0123456789.")] ||
	    !ifpp_bundle_text_valid(profile))
		return FALSE;
	strcpy(item->iccid, iccid);
	strcpy(item->profile, profile);
	item->len = len;
	return TRUE;
}

/* Ascending, and never two that would go into one file: its name has the first bytes of the key id. */
static gboolean ascends(const IfppBundleItem *a, const IfppBundleItem *b)
{
	int order = memcmp(a->eid, b->eid, sizeof(a->eid));

	return order < 0 || (order == 0 && memcmp(a->key_id, b->key_id, IFPP_FILE_KEY_LEN) < 0);
}

IfppInventory *ifpp_inventory_parse(IfppSpan text, GError **error)
{
	g_autoptr(IfppInventory) inventory = ifpp_inventory_new(NULL);
	g_autofree char *title = NULL;
	g_autoptr(GBytes) again = NULL;
	guint64 count, bytes;
	IfppSpan in = text;

	title = inventory_line(&in, "IFPP delivery ");
	if (!title || !g_str_equal(title, "1")) {
		fail(error, IFPP_ERROR_HEADER, "inventory: not of a delivery, or of another version");
		return NULL;
	}
	inventory->order = inventory_line(&in, "Order: ");
	if ((inventory->order && !ifpp_bundle_text_valid(inventory->order)) ||
	    !inventory_number(&in, "Packages: ", 1, IFPP_BUNDLE_PACKAGES_MAX, &count) ||
	    !inventory_number(&in, "Bytes: ", 1, G_MAXINT64, &bytes))
		goto malformed;
	for (guint64 i = 0; i < count; i++) {
		IfppBundleItem item = {};

		if (!parse_item(&in, &item))
			goto malformed;
		if (i && !ascends(&g_array_index(inventory->items, IfppBundleItem, i - 1), &item))
			goto malformed;
		g_array_append_val(inventory->items, item);
	}
	/* One inventory has one text: this also finds a wrong sum, leading zeros, upper case, what follows. */
	again = ifpp_inventory_format(inventory);
	if (!ifpp_span_equal(ifpp_span_bytes(again), text))
		goto malformed;
	return g_steal_pointer(&inventory);

malformed:
	fail(error, IFPP_ERROR_HEADER, "inventory: malformed");
	return NULL;
}

/* ------------------------------------------------------------ file */

void ifpp_bundle_header_write(guint32 envelope_len, guint8 out[IFPP_BUNDLE_HEADER_LEN])
{
	guint32 len = GUINT32_TO_BE(envelope_len);

	memset(out, 0, IFPP_BUNDLE_HEADER_LEN);
	memcpy(out, magic, sizeof(magic));
	memcpy(out + sizeof(magic), &len, sizeof(len));
}

/* Envelope length of a sound header. */
static gboolean read_header(int fd, guint64 size, guint32 *envelope_len, GError **error)
{
	guint8 want[IFPP_BUNDLE_HEADER_LEN];
	g_autoptr(GBytes) bytes = NULL;
	const guint8 *header;

	if (!size)
		return fail(error, IFPP_ERROR_LENGTH, "is empty");
	bytes = inventory_read_at(fd, 0, MIN(size, IFPP_BUNDLE_HEADER_LEN), error);
	if (!bytes)
		return FALSE;
	header = g_bytes_get_data(bytes, NULL);
	if (memcmp(header, magic, MIN(size, 4)))
		return fail(error, IFPP_ERROR_HEADER, "is not a delivery");
	if (size < IFPP_BUNDLE_HEADER_LEN)
		return fail(error, IFPP_ERROR_LENGTH, "is cut off");
	memcpy(envelope_len, header + sizeof(magic), sizeof(*envelope_len));
	*envelope_len = GUINT32_FROM_BE(*envelope_len);
	ifpp_bundle_header_write(*envelope_len, want);
	if (memcmp(header, want, sizeof(want)) || !*envelope_len || *envelope_len > ENVELOPE_MAX)
		return fail(error, IFPP_ERROR_HEADER, "is a delivery of another version, or damaged");
	if (size - IFPP_BUNDLE_HEADER_LEN < *envelope_len)
		return fail(error, IFPP_ERROR_LENGTH, "is cut off");
	return TRUE;
}

static gboolean load(IfppBundle *bundle, IfppTrust *trust, GError **error)
{
	g_autoptr(GBytes) envelope = NULL, text = NULL;
	guint32 envelope_len;
	guint64 size, end;

	bundle->fd = inventory_open(bundle->path, &size, error);
	if (bundle->fd < 0 || !read_header(bundle->fd, size, &envelope_len, error))
		return FALSE;
	envelope = inventory_read_at(bundle->fd, IFPP_BUNDLE_HEADER_LEN, envelope_len, error);
	text = envelope ? ifpp_envelope_open(envelope, trust, error) : NULL;
	bundle->inventory = text ? ifpp_inventory_parse(ifpp_span_bytes(text), error) : NULL;
	if (!bundle->inventory)
		return FALSE;

	end = IFPP_BUNDLE_HEADER_LEN + (guint64)envelope_len;
	for (guint i = 0; i < bundle->inventory->items->len; i++) {
		IfppBundleItem *item = &g_array_index(bundle->inventory->items, IfppBundleItem, i);

		item->offset = end;
		end += item->len;
	}
	return inventory_size_is(size, end, error);
}

IfppBundle *ifpp_bundle_open(const char *path, IfppTrust *trust, GError **error)
{
	g_autoptr(IfppBundle) bundle = g_new0(IfppBundle, 1);

	bundle->path = g_strdup(path);
	bundle->fd = -1;
	if (!load(bundle, trust, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	return g_steal_pointer(&bundle);
}

void ifpp_bundle_free(IfppBundle *bundle)
{
	if (!bundle)
		return;
	if (bundle->fd >= 0)
		close(bundle->fd);
	ifpp_inventory_free(bundle->inventory);
	g_free(bundle->path);
	g_free(bundle);
}

const IfppInventory *ifpp_bundle_inventory(const IfppBundle *bundle)
{
	return bundle->inventory;
}

GBytes *ifpp_bundle_read(IfppBundle *bundle, guint i, GError **error)
{
	const IfppBundleItem *item = &g_array_index(bundle->inventory->items, IfppBundleItem, i);
	g_autoptr(GBytes) package = inventory_read_at(bundle->fd, item->offset, item->len, error);
	IfppHeader header;

	if (!package) {
		g_prefix_error(error, "%s: ", bundle->path);
		return NULL;
	}
	if (!inventory_sha256_is(package, item->sha256) || !ifpp_header_parse(ifpp_span_bytes(package), &header, NULL) ||
	    memcmp(header.eid, item->eid, sizeof(header.eid)) ||
	    memcmp(header.key_id, item->key_id, sizeof(header.key_id))) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_HEADER_MISMATCH,
			    "%s: package %u is not the one in the signed inventory", bundle->path, i + 1);
		return NULL;
	}
	return g_steal_pointer(&package);
}
