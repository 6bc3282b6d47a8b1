// SPDX-License-Identifier: GPL-2.0-or-later
/* Deliveries: what is read back is what was signed, and anything else is refused. */
#include <stdlib.h>
#include <string.h>

#include <glib/gstdio.h>
#include <gnutls/pkcs7.h>

#include "bundle.h"
#include "error.h"
#include "package.h"
#include "testpki.h"

#define N_PACKAGES 3

static TestPki *pki;
static GBytes *packages[N_PACKAGES];
static IfppInventory *inventory;
static char *dir, *path;

/* A whole bundle around any signed text and any packages. */
static GBytes *bundle(TestId *signer, GBytes *text, GBytes **parts, guint n)
{
	g_autoptr(GBytes) cms = test_cms_new(signer, NULL, ifpp_span_bytes(text),
						 GNUTLS_PKCS7_EMBED_DATA | GNUTLS_PKCS7_INCLUDE_CERT);
	guint8 header[IFPP_BUNDLE_HEADER_LEN];
	GByteArray *out = g_byte_array_new();

	ifpp_bundle_header_write(g_bytes_get_size(cms), header);
	g_byte_array_append(out, header, sizeof(header));
	g_byte_array_append(out, g_bytes_get_data(cms, NULL), g_bytes_get_size(cms));
	for (guint i = 0; i < n; i++)
		g_byte_array_append(out, g_bytes_get_data(parts[i], NULL), g_bytes_get_size(parts[i]));
	return g_byte_array_free_to_bytes(out);
}

static GBytes *good(void)
{
	g_autoptr(GBytes) text = ifpp_inventory_format(inventory);

	return bundle(pki->dppb, text, packages, N_PACKAGES);
}

static void put(const void *data, gsize len)
{
	g_assert_true(g_file_set_contents_full(path, data, len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

/* What import does first: the whole file proven, or an error that names it. */
static gboolean proven(IfppTrust *trust, GError **error)
{
	g_autoptr(IfppBundle) b = ifpp_bundle_open(path, trust, error);

	if (!b)
		return FALSE;
	for (guint i = 0; i < ifpp_bundle_inventory(b)->items->len; i++) {
		g_autoptr(GBytes) package = ifpp_bundle_read(b, i, error);

		if (!package)
			return FALSE;
	}
	return TRUE;
}

static void refused(GBytes *file, int code, const char *why)
{
	g_autoptr(GError) error = NULL;

	put(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
	g_assert_false(proven(pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, code);
	if (!strstr(error->message, why) || !g_str_has_prefix(error->message, path))
		g_error("'%s' does not say '%s'", error->message, why);
}

static void test_good(void)
{
	g_autoptr(GBytes) file = good();
	g_autoptr(IfppBundle) b = NULL;
	g_autoptr(GError) error = NULL;

	put(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
	b = ifpp_bundle_open(path, pki->trust, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(ifpp_bundle_inventory(b)->order, ==, "night shift");
	g_assert_cmpuint(ifpp_bundle_inventory(b)->items->len, ==, N_PACKAGES);
	for (guint i = 0; i < N_PACKAGES; i++) {
		g_autoptr(GBytes) package = ifpp_bundle_read(b, i, &error);

		g_assert_no_error(error);
		g_assert_true(g_bytes_equal(package, packages[i]));
	}
}

/* A person reads it, so it may not change by accident. */
static void test_text(void)
{
	g_autoptr(IfppInventory) one = ifpp_inventory_new(NULL);
	IfppBundleItem item = { .len = 1234, .iccid = "8949449....15", .profile = "Zürich 5G" };
	g_autoptr(GBytes) text = NULL;
	g_autofree char *shown = NULL;

	test_eid(item.eid);
	memset(item.key_id, 0xAB, sizeof(item.key_id));
	memset(item.sha256, 0x0C, sizeof(item.sha256));
	g_array_append_val(one->items, item);
	text = ifpp_inventory_format(one);
	shown = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
	g_assert_cmpstr(shown, ==,
			"IFPP delivery 1\nPackages: 1\nBytes: 1234\n\nEID: " TEST_EID "\n"
			"Key: abababababababababababababababababababababababababababababababab\n"
			"ICCID: 8949449....15\nProfile: Zürich 5G\nBytes: 1234\n"
			"SHA-256: 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c\n");
}

/* One inventory has one text. Each of these is another, or none. */
static void test_text_refused(void)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "IFPP delivery 1", "IFPP delivery 2" },
		{ "IFPP delivery 1", "IFPP delivery 01" },
		{ "IFPP delivery 1\n", "" },
		{ "Order: night shift", "Order: " },
		{ "Order: night shift", "Order: night\033[2Jshift" },
		{ "Order: night shift", "Order: \xFF" },
		{ "Order: night shift", "order: night shift" },
		{ "Packages: 3", "Packages: 2" },
		{ "Packages: 3", "Packages: 4" },
		{ "Packages: 3", "Packages: 03" },
		{ "Packages: 3", "Packages: 0" },
		{ "Packages: 3", "Packages: 100001" },
		{ "Packages: 3", "Packages: -3" },
		{ "\nBytes: ", "\nBytes: 1" },
		{ "\n\nEID: ", "\nEID: " },
		{ "EID: 8904", "EID: 8905" },
		{ "Key: ", "Key: 00" },
		{ "Key: ", "Key: x" },
		{ "SHA-256: ", "SHA-256:  " },
		{ "ICCID: 8", "ICCID: /" },
		{ "ICCID: 8", "ICCID: 0000000000000000000000" },
		{ "Profile: one", "Profile: " },
		{ "Profile: one", "Profile: a\tb" },
		{ "Profile: one", "Profile: one\nProfile: one" },
		{ "Profile: one",
		  "Profile: 12345678901234567890123456789012345678901234567890123456789012345" },
		{ "IFPP delivery 1\n", "IFPP delivery 1\n\n" },
	};
	g_autoptr(GBytes) text = ifpp_inventory_format(inventory);
	gsize len = g_bytes_get_size(text);
	g_autofree char *data = g_strndup(g_bytes_get_data(text, NULL), len);
	g_autoptr(IfppInventory) read = ifpp_inventory_parse(ifpp_span_bytes(text), NULL);

	g_assert_nonnull(read);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *at = strstr(data, cases[i].from);
		g_autoptr(GString) changed = NULL;
		g_autoptr(GError) error = NULL;

		g_assert_nonnull(at);
		changed = g_string_new_len(data, at - data);
		g_string_append(changed, cases[i].to);
		g_string_append(changed, at + strlen(cases[i].from));
		if (ifpp_inventory_parse((IfppSpan){ (guint8 *)changed->str, changed->len }, &error))
			g_error("'%s' is accepted", cases[i].to);
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_HEADER);
	}
	for (gsize n = 0; n < len; n++)
		g_assert_null(ifpp_inventory_parse((IfppSpan){ (guint8 *)data, n }, NULL));
	{
		g_autofree char *longer = g_strconcat(data, "\n", NULL);

		g_assert_null(ifpp_inventory_parse((IfppSpan){ (guint8 *)longer, len + 1 }, NULL));
		longer[len] = '\0';
		g_assert_null(ifpp_inventory_parse((IfppSpan){ (guint8 *)longer, len + 1 }, NULL));
	}
}

/* Twice the same file name, or out of order: the second would overwrite the first. */
static void test_order(void)
{
	for (int swap = 0; swap < 2; swap++) {
		g_autoptr(IfppInventory) other = ifpp_inventory_new(NULL);
		g_autoptr(GBytes) text = NULL;
		IfppBundleItem *items = (IfppBundleItem *)inventory->items->data;

		g_array_append_val(other->items, items[1]);
		g_array_append_val(other->items, items[!swap]);
		if (!swap) {
			IfppBundleItem *second = &g_array_index(other->items, IfppBundleItem, 1);

			second->key_id[31] = 0xFF;
		} else {
			g_assert_cmpint(memcmp(items[0].key_id, items[1].key_id, 32), <, 0);
		}
		text = ifpp_inventory_format(other);
		g_assert_null(ifpp_inventory_parse(ifpp_span_bytes(text), NULL));
	}
}

static void test_cut(void)
{
	g_autoptr(GBytes) file = good();
	gsize len = g_bytes_get_size(file);
	g_autoptr(GByteArray) longer = g_byte_array_new();
	g_autoptr(GBytes) more = NULL;

	for (gsize n = 0; n < len; n += n < 64 || n + 64 > len ? 1 : 61) {
		g_autoptr(GBytes) cut = g_bytes_new_from_bytes(file, 0, n);

		refused(cut, IFPP_ERROR_LENGTH, n ? "" : "is empty");
	}
	g_byte_array_append(longer, g_bytes_get_data(file, NULL), len);
	g_byte_array_append(longer, (const guint8 *)"x", 1);
	more = g_bytes_new(longer->data, longer->len);
	refused(more, IFPP_ERROR_LENGTH, "instead of");
}

/* Every single byte counts. */
static void test_altered(void)
{
	g_autoptr(GBytes) file = good();
	gsize len = g_bytes_get_size(file);
	g_autofree guint8 *copy = g_memdup2(g_bytes_get_data(file, NULL), len);

	for (gsize i = 0; i < len; i++) {
		g_autoptr(GError) error = NULL;

		copy[i] ^= 1 << i % 8;
		put(copy, len);
		if (proven(pki->trust, &error))
			g_error("byte %zu may be altered", i);
		g_assert_true(error->domain == IFPP_ERROR);
		copy[i] ^= 1 << i % 8;
	}
	put(copy, len);
	g_assert_true(proven(pki->trust, NULL));
}

static void test_foreign(void)
{
	g_autoptr(TestPki) other = test_pki_new();
	g_autoptr(GBytes) text = ifpp_inventory_format(inventory), body = NULL, file = NULL, by_eum = NULL;
	g_autoptr(GBytes) binary = NULL;
	g_autoptr(GBytes) swapped = NULL, not_one = g_bytes_new_static("IFPP\0\1\0\x40 and so on", 18);
	GBytes *parts[N_PACKAGES] = { packages[1], packages[0], packages[2] };
	g_autoptr(IfppTrust) later = ifpp_trust_new();
	g_autoptr(GError) error = NULL;

	file = bundle(other->dppb, text, packages, N_PACKAGES);
	refused(file, IFPP_ERROR_CHAIN, "CI root");
	g_clear_pointer(&file, g_bytes_unref);

	/* a certificate of the right CI, but not a Key Maker's */
	by_eum = bundle(pki->eum, text, packages, N_PACKAGES);
	refused(by_eum, IFPP_ERROR_ROLE, "");

	/* something else that the Key Maker signed */
	body = g_bytes_new_static("0\0", 2);
	binary = bundle(pki->dppb, body, packages, N_PACKAGES);
	refused(binary, IFPP_ERROR_HEADER, "inventory");

	swapped = bundle(pki->dppb, text, parts, N_PACKAGES);
	refused(swapped, IFPP_ERROR_HEADER_MISMATCH, "package 1");
	refused(not_one, IFPP_ERROR_HEADER, "is not a delivery");

	file = good();
	put(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
	g_assert_true(ifpp_trust_add_root(later, test_id_span(pki->ci), NULL));
	ifpp_trust_set_time(later, TEST_NOW + 100000ll * TEST_DAY);
	g_assert_false(proven(later, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_EXPIRED);

	g_clear_error(&error);
	g_assert_null(ifpp_bundle_open(dir, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
	g_clear_error(&error);
	g_unlink(path);
	g_assert_null(ifpp_bundle_open(path, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
}

/* Signed, but what is inside is for another key than the inventory says, or is no package. */
static void test_lying_inventory(void)
{
	static const char junk_text[] = "junk";
	g_autoptr(GBytes) junk = g_bytes_new_static(junk_text, 4);

	for (int is_junk = 0; is_junk < 2; is_junk++) {
		g_autoptr(IfppInventory) lie = ifpp_inventory_new(NULL);
		IfppBundleItem item = g_array_index(inventory->items, IfppBundleItem, 0);
		g_autoptr(GBytes) text = NULL, file = NULL;

		if (is_junk) {
			g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, junk);
			g_autoptr(GBytes) hash = ifpp_unhex(sum);

			memcpy(item.sha256, g_bytes_get_data(hash, NULL), 32);
			item.len = 4;
		} else {
			item.key_id[0] ^= 1;
		}
		g_array_append_val(lie->items, item);
		text = ifpp_inventory_format(lie);
		file = bundle(pki->dppb, text, is_junk ? &junk : packages, 1);
		refused(file, IFPP_ERROR_HEADER_MISMATCH, "package 1");
	}
}

static int by_key(gconstpointer a, gconstpointer b)
{
	const guint8 *x = g_bytes_get_data(*(GBytes *const *)a, NULL);
	const guint8 *y = g_bytes_get_data(*(GBytes *const *)b, NULL);

	return memcmp(x + 32, y + 32, 32); /* key ids in the headers */
}

static void make_packages(void)
{
	static const char *const names[N_PACKAGES] = { "one", "two", "three" };
	guint8 eid[16];

	test_eid(eid);
	for (guint i = 0; i < N_PACKAGES; i++) {
		g_autoptr(TestId) otk = test_otk_new();
		g_autoptr(GBytes) bpp = NULL;
		guint8 point[65];

		test_id_point(otk, point);
		bpp = test_bpp_new(pki->dppb, point);
		packages[i] = test_package_new(pki->dppb, NULL, eid, point, bpp);
	}
	qsort(packages, N_PACKAGES, sizeof(packages[0]), by_key);
	for (guint i = 0; i < N_PACKAGES; i++) {
		IfppBundleItem item = { .iccid = "8949449....15" };
		g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, packages[i]);
		g_autoptr(GBytes) hash = ifpp_unhex(sum);
		IfppHeader header;

		g_assert_true(ifpp_header_parse(ifpp_span_bytes(packages[i]), &header, NULL));
		memcpy(item.eid, header.eid, 16);
		memcpy(item.key_id, header.key_id, 32);
		memcpy(item.sha256, g_bytes_get_data(hash, NULL), 32);
		item.len = g_bytes_get_size(packages[i]);
		strcpy(item.profile, names[i]);
		g_array_append_val(inventory->items, item);
	}
}

int main(int argc, char **argv)
{
	int ret;

	g_test_init(&argc, &argv, NULL);
	dir = g_dir_make_tmp("ifpp-bundle-XXXXXX", NULL);
	path = g_build_filename(dir, "delivery.ifppd", NULL);
	pki = test_pki_new();
	inventory = ifpp_inventory_new("night shift");
	make_packages();

	g_test_add_func("/bundle/good", test_good);
	g_test_add_func("/bundle/inventory", test_text);
	g_test_add_func("/bundle/inventory/refused", test_text_refused);
	g_test_add_func("/bundle/inventory/order", test_order);
	g_test_add_func("/bundle/cut", test_cut);
	g_test_add_func("/bundle/altered", test_altered);
	g_test_add_func("/bundle/foreign", test_foreign);
	g_test_add_func("/bundle/lying-inventory", test_lying_inventory);
	ret = g_test_run();

	g_unlink(path);
	g_rmdir(dir);
	for (guint i = 0; i < N_PACKAGES; i++)
		g_bytes_unref(packages[i]);
	ifpp_inventory_free(inventory);
	test_pki_free(pki);
	g_free(path);
	g_free(dir);
	return ret;
}
