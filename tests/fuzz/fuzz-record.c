// SPDX-License-Identifier: GPL-2.0-or-later
/* Records as a depot gets them from stations: '0' a result, '1' a chip, '2' and '3' when the chip's data is known; '4' notes. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "depot.h"
#include "euicc.h"
#include "fuzz.h"
#include "json.h"
#include "package.h"
#include "record.h"

static char *path;
static GBytes *package, *euicc_data;
static IfppHeader header;
static Depot *depot;

static void remove_depot(void)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };

	g_clear_pointer(&depot, depot_close);
	for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *file = g_strconcat(path, suffixes[i], NULL);

		g_unlink(file);
	}
}

/* One package, claimed and fetched by "a". */
static void make_depot(gboolean known)
{
	g_autoptr(GPtrArray) items = NULL;
	g_autoptr(GBytes) bytes = NULL;
	DepotItem item = { .bytes = g_bytes_get_size(package), .iccid = "8949449000000000015",
			   .profile = (char *)"seed", .operator = (char *)"", .batch = (char *)"" };
	DepotItem *list[] = { &item };
	GBytes *packages[] = { package };
	guint8 delivery[32] = {}, sum[32];
	gsize len = sizeof(item.sha256);
	g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA256);
	g_autoptr(GError) error = NULL;
	gint64 until;
	guint added = 0;

	memcpy(item.eid, header.eid, sizeof(item.eid));
	memcpy(item.key_id, header.key_id, sizeof(item.key_id));
	g_checksum_update(sha, g_bytes_get_data(package, NULL), g_bytes_get_size(package));
	g_checksum_get_digest(sha, item.sha256, &len);
	depot = depot_open(path, TRUE, &error);
	if (!depot || !depot_add(depot, delivery, list, packages, 1, &added, &error))
		g_error("%s", error->message);
	items = depot_claim(depot, header.eid, "a", 3600, &until, NULL);
	g_assert_true(items && items->len == 1);
	bytes = depot_fetch(depot, header.key_id, "a", sum, NULL);
	g_assert_nonnull(bytes);
	if (known) {
		DepotChip chip = { .euicc_data = euicc_data, .euicc_proven = TRUE, .proof = (char *)"proven" };
		gboolean stored = FALSE;

		memcpy(chip.eid, header.eid, sizeof(chip.eid));
		g_assert_true(depot_put_chip(depot, "a", &chip, &stored, NULL) && stored);
	}
}

static void start(void)
{
	static GPtrArray *packages, *data;	/* what others point into */

	packages = fuzz_seeds("package");
	data = fuzz_seeds("euicc");
	path = g_strdup_printf("/dev/shm/ifpp-fuzz-record-%d", getpid());
	package = packages->pdata[0];
	g_assert_true(ifpp_header_parse(ifpp_span_bytes(package), &header, NULL));
	/* the longest of them is the whole of it */
	for (guint i = 0; i < data->len; i++)
		if (!euicc_data || g_bytes_get_size(data->pdata[i]) > g_bytes_get_size(euicc_data))
			euicc_data = data->pdata[i];
	atexit(remove_depot);
}

/* What is kept as proven is what the chip or its maker has signed. */
static void check_kept(void)
{
	g_autofree char *record = NULL, *proof = NULL;
	g_autoptr(DepotChip) chip = depot_chip(depot, header.eid, NULL);

	record = depot_result(depot, header.key_id, &proof, NULL);
	if (record && !g_strcmp0(proof, "proven")) {
		g_autoptr(JsonObject) result = ifpp_json_parse((IfppSpan){ (guint8 *)record, strlen(record) }, 8, NULL);
		g_autoptr(GBytes) pir = result ? ifpp_json_get_base64(result, "pir", 65536) : NULL;

		g_assert_nonnull(pir);
		fuzz_must_be_seed("pir", ifpp_span_bytes(pir));
	}
	if (chip && chip->euicc_proven) {
		g_autoptr(IfppFactoryInfo) info = NULL;
		IfppSpan ff21, bf22;

		/* The rest of it is not signed. */
		g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(chip->euicc_data), chip->eid, &ff21, &bf22, NULL));
		info = ifpp_factory_info_parse(ff21, NULL);
		g_assert_true(info && ifpp_span_equal(ifpp_span_bytes(info->cert_euicc), ifpp_span_bytes(fuzz_euicc)));
	}
	if (chip && chip->lock_proven) {
		g_autoptr(JsonObject) lock =
			ifpp_json_parse((IfppSpan){ (guint8 *)chip->lock, strlen(chip->lock) }, 8, NULL);
		g_autoptr(GBytes) receipt = lock ? ifpp_json_get_base64(lock, "receipt", 65536) : NULL;

		g_assert_nonnull(receipt);
		g_assert_true(chip->euicc_proven);
	}
}

/* A station's word: the package is where it was, and what is kept can be told. */
static void check_moved(void)
{
	const DepotFilter all = { .state = -1 };
	g_autoptr(GPtrArray) items = depot_list(depot, &all, NULL, 2, NULL), refusals = depot_refusals(depot, header.eid, NULL);
	g_autoptr(GPtrArray) notes = depot_notes(depot, header.eid, NULL), doubts = depot_doubts(depot, NULL, NULL, 2, NULL);
	g_autoptr(JsonObject) object = NULL;
	const char *text;

	g_assert_true(items && items->len == 1 && ((DepotItem *)items->pdata[0])->state == DEPOT_SENT);
	g_assert_true(refusals && refusals->len <= 1 && notes && notes->len == 1 && doubts && !doubts->len);
	text = ((DepotNotes *)notes->pdata[0])->record;
	object = ifpp_json_parse((IfppSpan){ (const guint8 *)text, strlen(text) }, 8, NULL);
	g_assert_nonnull(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int kind = -1;
	gboolean stored = FALSE, ok;
	guint kept, told;
	DepotState state;

	if (!path)
		start();
	if (!len || data[0] < '0' || data[0] > '4')
		return -1;
	if (!depot || kind != (data[0] & 2)) {
		remove_depot();
		kind = data[0] & 2;
		make_depot(kind);
	}
	if (data[0] == '4')
		ok = record_put_notes(depot, "a", NULL, (IfppSpan){ data + 1, len - 1 }, &stored, &kept, &told, NULL);
	else if (data[0] & 1)
		ok = record_put_chip(depot, fuzz_trust, "a", NULL, (IfppSpan){ data + 1, len - 1 }, &stored, NULL);
	else
		ok = record_put_result(depot, fuzz_trust, "a", NULL, (IfppSpan){ data + 1, len - 1 }, &stored, &state, NULL,
				       NULL);
	if (ok && stored) {
		check_kept();
		if (data[0] == '4')
			check_moved();
		remove_depot();
	}
	return 0;
}
