// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A virtual chip without modem, kernel and daemon: what it signs, as a station would report it.
 *
 * usage: vchip load CHIP PACKAGE	the "result" object of the Profile Loading Report
 *        vchip refuse CHIP PACKAGE	the same, with a bit of smdpSign flipped on the way
 *        vchip lock CHIP		its "lock" object
 *        vchip rework CHIP		its "deletions": every profile of it goes
 */
#include <stdio.h>
#include <string.h>

#include "chipkit.h"
#include "deletion.h"
#include "eid.h"
#include "euicc.h"
#include "file.h"
#include "package.h"

static char *base64(GBytes *bytes)
{
	return g_base64_encode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

/* The chip judges the package; here it is only taken apart. */
static void load(Kit *kit, const char *path, gboolean flip)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) file = ifpp_file_read(path, IFPP_PACKAGE_MAX, &error);
	g_autoptr(IfppPackage) package = file ? ifpp_package_read_proven(file, &error) : NULL;
	g_autofree char *key = NULL, *transaction = NULL, *pir_text = NULL;
	g_autoptr(IfppPir) pir = NULL;
	g_autoptr(GBytes) bf36 = NULL;
	IfppSpan first, last;
	guint16 sw;

	g_assert_no_error(error);
	kit->dp_cert = ifpp_package_chain(package)->pdata[0];
	g_assert_cmpuint(kit_prepare(kit, ifpp_package_header(package)->key_id), ==, 0);
	first = ifpp_bpp_segment(ifpp_package_bpp(package), 0);
	last = ifpp_bpp_segment(ifpp_package_bpp(package), ifpp_bpp_n_segments(ifpp_package_bpp(package)) - 1);
	bf36 = g_bytes_new(first.data, last.data + last.len - first.data);
	if (flip) {
		static const guint8 sign[] = { 0x5F, 0x37, 0x40 };
		gsize len;
		guint8 *bytes = g_bytes_unref_to_data(g_steal_pointer(&bf36), &len);
		guint8 *at = memmem(bytes, len, sign, sizeof(sign));

		g_assert_true(at && at + 12 < bytes + len);
		at[12] ^= 1;
		bf36 = g_bytes_new_take(bytes, len);
	}
	pir = kit_load(kit, bf36, &sw);
	g_assert_nonnull(pir);
	key = ifpp_hex(IFPP_SPAN(ifpp_package_header(package)->key_id));
	transaction = ifpp_hex(pir->transaction_id);
	pir_text = base64(pir->bytes);
	printf("{\"key_id\": \"%s\", \"transaction_id\": \"%s\", \"status\": %d, \"reason\": %u, \"reason_name\": \"%s\", "
	       "\"pir\": \"%s\", \"apdus\": 12, \"apdu_bytes\": 1584, \"verify_ns\": 1, \"chip_ns\": 2, "
	       "\"time\": \"2026-11-25T12:00:00Z\"}\n", key, transaction, pir->success ? 0 : -5, pir->reason,
	       ifpp_pir_reason_name(pir->reason), pir_text);
}

static void lock(Kit *kit)
{
	guint8 command[21] = { 0xFF, 0x24, 0x12, 0x80, 0x10, 0x2A };
	g_autofree char *challenge = ifpp_hex((IfppSpan){ command + 5, 16 }), *receipt = NULL;
	g_autoptr(GBytes) response = NULL, value = NULL;
	IfppSpan in;
	IfppTlv tlv;
	guint16 sw;

	response = kit_es10(kit, IFPP_SPAN(command), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	in = ifpp_span_bytes(response);
	g_assert_true(ifpp_tlv_take(&in, IFPP_TAG_LOCK, &tlv));
	value = g_bytes_new(tlv.value.data, tlv.value.len);
	receipt = base64(value);
	printf("{\"challenge\": \"%s\", \"receipt\": \"%s\", \"time\": \"2026-11-25T12:00:01Z\"}\n", challenge, receipt);
}

static void rework(Kit *kit)
{
	static const guint8 command[] = { 0xFF, 0x26, 0x00 };
	const GPtrArray *notes = chip_memory(kit->chip)->notes;
	guint before = notes->len;
	g_autoptr(GBytes) response = NULL;
	guint16 sw;

	response = kit_es10(kit, IFPP_SPAN(command), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	putchar('[');
	for (guint i = before; i < notes->len; i++) {
		const IfppChipNote *note = notes->pdata[i];
		g_autofree char *record = base64(note->bytes);
		g_autoptr(IfppDeletion) deletion = ifpp_deletion_parse(note->bytes, NULL);
		char iccid[21];

		g_assert_nonnull(deletion);
		ifpp_iccid_format(deletion->iccid, iccid);
		printf("%s{\"iccid\": \"%s\", \"seq\": %" G_GUINT64_FORMAT ", \"record\": \"%s\", \"time\": \"2026-11-29T12:00:00Z\"}",
		       i > before ? ", " : "", iccid, deletion->seq, record);
	}
	puts("]");
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	Kit kit = { .block = 255 };

	if (argc < 3) {
		fprintf(stderr, "usage: vchip load|refuse CHIP PACKAGE | lock|rework CHIP\n");
		return 2;
	}
	kit.chip = chip_new(argv[2], &error);
	g_assert_no_error(error);
	kit_open(&kit);
	if (argc == 4)
		load(&kit, argv[3], !strcmp(argv[1], "refuse"));
	else if (!strcmp(argv[1], "rework"))
		rework(&kit);
	else
		lock(&kit);
	chip_free(kit.chip);
	return 0;
}
