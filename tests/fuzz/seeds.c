// SPDX-License-Identifier: GPL-2.0-or-later
/* Fill a directory with keys for the fuzz targets and with sound inputs to start from. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <gnutls/pkcs7.h>
#include <linux/ifpp.h>

#include "attempt.h"
#include "bundle.h"
#include "chipkit.h"
#include "eid.h"
#include "euicc.h"
#include "file.h"
#include "package.h"
#include "profile.h"
#include "request-bundle.h"
#include "testpki.h"

static const char *top;

static void put(const char *sub, const char *name, const void *data, gsize len)
{
	g_autofree char *dir = g_build_filename(top, sub, NULL);
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autoptr(GError) error = NULL;

	if (g_mkdir_with_parents(dir, 0777) < 0 || !ifpp_file_write(path, data, len, 0666, &error))
		g_error("%s", error ? error->message : dir);
}

static void put_bytes(const char *sub, const char *name, GBytes *bytes)
{
	gsize len;
	const void *data = g_bytes_get_data(bytes, &len);

	put(sub, name, data, len);
}

/* A delivery of one package, and its inventory alone. */
static void put_bundle(TestId *signer, GBytes *package)
{
	g_autoptr(IfppInventory) inventory = ifpp_inventory_new("seed");
	g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, package);
	g_autoptr(GBytes) hash = ifpp_unhex(sum), text = NULL, cms = NULL;
	g_autoptr(GByteArray) file = g_byte_array_new();
	IfppBundleItem item = { .iccid = "8949449....15", .profile = "seed" };
	guint8 header[IFPP_BUNDLE_HEADER_LEN];
	IfppHeader fields;

	if (!ifpp_header_parse(ifpp_span_bytes(package), &fields, NULL))
		g_error("no package");
	memcpy(item.eid, fields.eid, sizeof(item.eid));
	memcpy(item.key_id, fields.key_id, sizeof(item.key_id));
	memcpy(item.sha256, g_bytes_get_data(hash, NULL), sizeof(item.sha256));
	item.len = g_bytes_get_size(package);
	g_array_append_val(inventory->items, item);
	text = ifpp_inventory_format(inventory);
	cms = test_cms_new(signer, NULL, ifpp_span_bytes(text),
			   GNUTLS_PKCS7_EMBED_DATA | GNUTLS_PKCS7_INCLUDE_CERT);
	ifpp_bundle_header_write(g_bytes_get_size(cms), header);
	g_byte_array_append(file, header, sizeof(header));
	g_byte_array_append(file, g_bytes_get_data(cms, NULL), g_bytes_get_size(cms));
	g_byte_array_append(file, g_bytes_get_data(package, NULL), g_bytes_get_size(package));
	put("bundle", "delivery", file->data, file->len);
	put_bytes("bundle", "inventory", text);
}

static GBytes *one_data(guint i, gpointer user, GError **error)
{
	return g_bytes_ref(user);
}

static char *base64(GBytes *bytes)
{
	return g_base64_encode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void put_package(TestPki *pki, TestId *signer, TestId **others, const char *name,
			const guint8 otpk[65])
{
	g_autoptr(GBytes) bpp = test_bpp_new(signer, otpk);
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GBytes) body = NULL;
	guint8 eid[16];

	test_eid(eid);
	file = others ? test_package_new_with_attributes(signer, others, eid, otpk, bpp)
		      : test_package_new(signer, NULL, eid, otpk, bpp);
	body = g_bytes_new_from_bytes(file, IFPP_HEADER_LEN, g_bytes_get_size(file) - IFPP_HEADER_LEN);
	put_bytes("package", name, file);
	if (!others)
		put_bundle(signer, file);
	put_bytes("cms", name, body);
	put_bytes("bpp", name, bpp);
	put_bytes("tlv", name, body);
}

/* Two chips' data would need two PKIs: one is enough, signed and not. */
static void put_request(TestId *signer, GBytes *data, const char *name, const char *order, const char *imei)
{
	g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(IfppRequestItem));
	g_autoptr(GBytes) text = NULL, cms = NULL, file = NULL;
	g_autofree char *path = g_build_filename(top, "request.tmp", NULL);
	IfppRequestItem item = {};

	if (!ifpp_request_item(data, &item, NULL))
		g_error("no eUICC data");
	g_strlcpy(item.imei, imei, sizeof(item.imei));
	g_array_append_val(items, item);
	text = ifpp_request_format(&(IfppRequestHead){ .order = order }, items);
	cms = signer ? test_cms_new(signer, NULL, ifpp_span_bytes(text), 0) : NULL;
	if (!ifpp_request_write(path, text, cms, 1, one_data, data, NULL) || !(file = ifpp_file_read(path, 65536, NULL)))
		g_error("%s: cannot write", path);
	put_bytes("request", name, file);
	unlink(path);
}

/* Records of the outbox, each with its file's name in front. */
static void put_attempts(GBytes *pir)
{
	static const guint8 key_id[32] = { 0xab }, transaction[] = { 1, 2, 3 };
	g_autofree char *key = ifpp_hex(IFPP_SPAN(key_id));
	g_autofree char *proof = g_base64_encode(g_bytes_get_data(pir, NULL), g_bytes_get_size(pir));
	g_autofree char *old = NULL;
	guint8 eid[16];

	g_assert_true(ifpp_eid_parse(TEST_EID, eid, NULL));
	for (guint i = 0; i < 3; i++) {
		g_autoptr(IfppAttempt) attempt = ifpp_attempt_new(eid, key_id, IFPP_SPAN(transaction));
		g_autofree char *kind = g_strdup_printf("attempt-%u", i), *name = NULL, *text = NULL, *file = NULL;

		attempt->stored = i < 2;
		attempt->time = g_strdup("2026-11-28T17:00:00Z");
		attempt->status = i ? -121 : 0;
		attempt->pir = i ? NULL : g_bytes_ref(pir);
		attempt->seq = i ? 0 : 7;
		name = ifpp_attempt_name(attempt);
		text = ifpp_attempt_text(attempt);
		file = g_strdup_printf("%s%s\n%s", name, i < 2 ? IFPP_RESULT_SUFFIX : IFPP_PENDING_SUFFIX, text);
		put("attempt", kind, file, strlen(file));
	}
	old = g_strdup_printf("%s.result\n[Result]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=0102\nStatus=0\nReason=0\n"
			      "Apdus=55\nTime=2026-11-23T00:00:00Z\nPIR=%s\n", key, TEST_EID, key, proof);
	put("attempt", "version-1", old, strlen(old));
}

static void put_report(GBytes *data, GBytes *pir, GBytes *receipt, const guint8 challenge[16], const guint8 otpk[65])
{
	static const char unset[] = "0000000000000000";
	g_autofree char *d = base64(data), *p = base64(pir), *r = base64(receipt), *key = NULL, *text = NULL, *lines = NULL;
	g_autofree char *bound = NULL, *notes = NULL, *c = ifpp_hex((IfppSpan){ challenge, 16 });
	guint8 id[32];

	ifpp_key_id(otpk, id);
	key = ifpp_hex(IFPP_SPAN(id));
	text = g_strdup_printf("{\"format\":\"ifpp-report\",\"version\":1,\"units\":[{\"eid\":\"" TEST_EID "\","
			       "\"euicc_data\":\"%s\",\"results\":[{\"key_id\":\"%s\",\"status\":0,\"reason_name\":\"ok\","
			       "\"pir\":\"%s\"}],\"lock\":{\"challenge\":\"%s\",\"receipt\":\"%s\"}}]}", d, key, p, c, r);
	put("report", "report", text, strlen(text));
	lines = g_strdup_printf("\n{\"eid\":\"" TEST_EID "\",\"euicc_data\":\"%s\",\"results\":[{\"key_id\":\"%s\",\"status\":0,"
				"\"pir\":\"%s\"}],\"lock\":{\"challenge\":\"%s\",\"receipt\":\"%s\"}}", d, key, p, c, r);
	put("report", "lines", lines, strlen(lines));
	/* The package that the result is of, as tools/smdpf/chain.h has it. */
	bound = g_strdup_printf("bound %s " TEST_EID " 98001032547698103214 %s 000102030405060708090a0b0c0d0e0f one %s%s%s%s \n",
				key, unset, unset, unset, unset, unset);
	put("home", "bound", bound, strlen(bound));
	notes = g_strdup_printf("4{\"format\":\"ifpp-notes\",\"version\":1,\"eid\":\"" TEST_EID "\",\"unit\":{\"imei\":\"1\"},"
				"\"socket\":\"a\",\"refused\":[{\"key_id\":\"%s\",\"reason\":265,\"why\":\"w\",\"time\":\"2026-11-29T10:00:00Z\"}],"
				"\"eim\":{\"id\":\"e\",\"sha256\":\"%s\",\"known\":true,\"time\":\"2026-11-29T10:00:00Z\"},"
				"\"quarantine\":[{\"name\":\"n\",\"why\":\"w\",\"bytes\":\"AAAA\"}],\"damaged\":[\"d\"]}", key, key);
	put("record", "notes", notes, strlen(notes));
	for (guint known = 0; known < 2; known++) {
		g_autofree char *result = NULL, *chip = NULL;

		result = g_strdup_printf("%c{\"format\":\"ifpp-result\",\"version\":1,\"eid\":\"" TEST_EID "\","
					 "\"result\":{\"key_id\":\"%s\",\"status\":0,\"reason\":0,\"pir\":\"%s\"}}",
					 '0' + 2 * known, key, p);
		chip = g_strdup_printf("%c{\"format\":\"ifpp-chip\",\"version\":1,\"eid\":\"" TEST_EID "\","
				       "\"euicc_data\":\"%s\",\"lock\":{\"challenge\":\"%s\",\"receipt\":\"%s\"}}",
				       '1' + 2 * known, d, c, r);
		put("record", known ? "result-known" : "result", result, strlen(result));
		put("record", known ? "chip-known" : "chip", chip, strlen(chip));
	}
}

/* A record of fuzz-apdu: kind, length, bytes. */
static void add_record(GByteArray *out, guint8 kind, IfppSpan bytes)
{
	g_byte_array_append(out, (guint8[]){ kind, bytes.len, bytes.len >> 8 }, 3);
	if (bytes.len)
		g_byte_array_append(out, bytes.data, bytes.len);
}

static void add_hex(GByteArray *out, guint8 kind, const char *hex)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(hex);

	add_record(out, kind, ifpp_span_bytes(bytes));
}

static void put_hex_records(const char *name, const char *const *records, guint n, guint8 kind)
{
	g_autoptr(GByteArray) out = g_byte_array_new();

	for (guint i = 0; i < n; i++)
		add_hex(out, kind, records[i]);
	put("apdu", name, out->data, out->len);
}

/* The PKI of the chip, flat as it is. */
static void put_pki(const char *pki)
{
	g_autoptr(GDir) dir = g_dir_open(pki, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(pki, name, NULL);
		g_autoptr(GBytes) bytes = ifpp_file_read(path, 1 << 20, NULL);

		if (!bytes)
			g_error("%s: cannot be read", path);
		put_bytes("pki", name, bytes);
	}
}

/* A chip with two keys; a load for the first, alone and with power cuts; commands; and a host's talk with the modem. */
static void put_chip(void)
{
	static const char *const field[] = {
		"bf3e035c015a", "bf2000", "bf2200", "bf2d00", "bf2d0aa003950102" "5c035a9f70", "bf2800", "bf2b00",
		"bf2b05a003800101", "bf3003800101", "ff2103800101", "ff2300", "bf3c00", "bf3f03800161", "bf4300",
		"bf2e00", "bf3404820205e0", "bf3502" "3000", "ff2412" "8010" "000102030405060708090a0b0c0d0e0f",
	};
	/* fuzz-apdu has what these say: plain, again, with session keys, cancelled, and with a byte that is wrong */
	static const char *const downloads[] = {
		"000000000000", "010000000000", "030000000000", "090100000000", "090300000000", "010000200001",
		"010000400101",
	};
	static const char *const raw[] = {
		"0070000001", "00700005", "0070800500", "01a4040010a0000005591010ffffffff8900000100",
		"01a4040007a0000000871002", "81e2110003bf3e03", "81e29101035c015a", "81c0000015", "81c0000000",
		"80f2000000", "801200000b", "801400000c810301010482028281830100", "80aa00000aa9088100820101830107",
	};
	/* CTL: versions, a client of UIM, sync; UIM: slots, card, a channel, GetEID, closing; a client of DMS, its model */
	static const char qmux[] =
		"ff" "010b0000000000012100" "0000" "010f00000000" "000222000400" "0101000b"
		"010c00000b01" "000100470000" "00" "010c00000b01" "0002002f0000" "00"
		"012400000b01" "00010042001800" "01010001" "10110010a0000005591010ffffffff8900000100"
		"012400000b01" "0002003b001800" "01010001" "020d000b0081e2910006bf3e035c015a" "10010001"
		"011400000b01" "0003003f000800" "01010001" "11010001"
		"010f00000000" "000322000400" "01010002" "010c00000201" "000100220000" "00" "010b00000000" "000427000000";
	g_autoptr(Kit) kit = kit_new(2);
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
	g_autoptr(GBytes) bytes = kit_seal(kit, key->point, NULL), memory = NULL, stream = ifpp_unhex(qmux);
	g_autoptr(IfppBpp) bpp = ifpp_bpp_parse(bytes, NULL);
	g_autoptr(GByteArray) prepare = g_byte_array_new(), command = g_byte_array_new();
	g_autoptr(GByteArray) upp = profile_builtin(1, NULL);

	memory = ifpp_file_read(kit->chip_file, 1 << 20, NULL);
	if (!memory || !bpp || !upp || !stream)
		g_error("no chip, or nothing for it");
	put_bytes("chip", "memory", memory);
	put("chip", "upp", upp->data, upp->len);
	ifpp_tlv_put(prepare, 0x80, key->key_id, 32);
	ifpp_tlv_put_span(prepare, 0xA1, ifpp_span_bytes(kit->dp_cert));
	ifpp_tlv_put(command, IFPP_TAG_PREPARE_LOAD, prepare->data, prepare->len);
	for (guint8 fate = 0; fate < 4; fate++) {
		g_autofree char *name = g_strdup_printf("load-%u", fate);
		g_autoptr(GByteArray) out = g_byte_array_new();

		add_record(out, 2, (IfppSpan){ command->data, command->len });
		if (fate)
			add_record(out, 3, (IfppSpan){ &fate, 1 });
		for (guint i = 0; i < ifpp_bpp_n_segments(bpp); i++)
			add_record(out, 2, ifpp_bpp_segment(bpp, i));
		add_hex(out, 2, "bf2b00");
		add_hex(out, 3, "00");
		add_hex(out, 2, "bf3003800101");
		put("apdu", name, out->data, out->len);
	}
	for (guint i = 0; i < G_N_ELEMENTS(downloads); i++) {
		g_autofree char *name = g_strdup_printf("download-%u", i);
		g_autoptr(GByteArray) out = g_byte_array_new();

		add_hex(out, 2, "ff2300");
		add_hex(out, 4, "040000000000");	/* prepared, and left */
		add_hex(out, 4, downloads[i]);
		add_hex(out, 3, "00");
		add_hex(out, 4, "010000000000");
		put("apdu", name, out->data, out->len);
	}
	put_pki(kit->pki);
	put_hex_records("field", field, G_N_ELEMENTS(field), 2);
	put_hex_records("raw", raw, G_N_ELEMENTS(raw), 0);
	put_bytes("modem", "host", stream);
}

/* For fuzz-daemon: all in order; then one answer after the other that is not, of each kind. */
static void put_modem_answers(void)
{
	static const char *const odd[] = { "6985", "6110", "6c05", "9000", "910b", "6a88", "6700", "bf37009000" };

	for (guint i = 0; i < 36; i++) {
		g_autofree char *name = g_strdup_printf("odd-%u", i);
		g_autoptr(GByteArray) out = g_byte_array_new();

		for (guint j = 0; j < i; j++)
			add_record(out, 0, (IfppSpan){ 0 });
		if (i)
			add_hex(out, 1 + i % 4, odd[i % G_N_ELEMENTS(odd)]);
		put("daemon", i ? name : "sound", out->data, out->len);
	}
}

/* For fuzz-relay: the answer to attaching, two requests that are whole, and one that is not. */
static void put_requests(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	const guint8 attached[8] = { 0 };

	g_byte_array_append(out, (guint8[]){ sizeof(attached), 0 }, 2);
	g_byte_array_append(out, attached, sizeof(attached));
	for (guint i = 0; i < 3; i++) {
		struct ifpp_req req = { .size = sizeof(req), .type = IFPP_REQ_LOAD, .timeout_ms = 1000, .len = 4 };

		g_byte_array_append(out, (guint8[]){ sizeof(req) + 4 + i / 2, 0 }, 2);
		g_byte_array_append(out, (guint8 *)&req, sizeof(req));
		g_byte_array_append(out, (const guint8 *)"IFPP?", 4 + i / 2);
	}
	put("relay", "requests", out->data, out->len);
	put("relay", "status", (const guint8[]){ 8, 0, 0, 0, 0, 0x80, 0, 0, 0, 0 }, 10);	/* INT_MIN, once a mishap */
}

int main(int argc, char **argv)
{
	const TestSpec sub_spec = { .cn = "sub", .role = IFPP_ROLE_CI, .ca = TRUE, .serial = 20 };
	g_autofree char *now = NULL;
	guint8 eid[16], otpk[65], challenge[16] = { 1, 2, 3, 4 };
	g_autoptr(TestPki) pki = NULL;
	g_autoptr(TestId) sub = NULL;
	g_autoptr(TestId) sub_dppb = NULL;
	g_autoptr(TestId) otk = NULL;
	g_autoptr(GBytes) bf22 = ifpp_unhex("bf220a81030203018203020202");
	g_autoptr(GBytes) locked = ifpp_unhex("ff210b800101810102a200830103");

	if (argc != 2) {
		fprintf(stderr, "usage: seeds DIRECTORY\n");
		return 2;
	}
	top = argv[1];
	/* Who signs requests is looked at by the clock. */
	test_shift = g_get_real_time() / G_USEC_PER_SEC - TEST_NOW;
	now = g_strdup_printf("%" G_GINT64_FORMAT, TEST_NOW + test_shift);
	pki = test_pki_new();
	sub = test_id_new(&sub_spec, pki->ci);
	sub_dppb = test_id_new(&test_spec_dppb, sub);
	test_eid(eid);
	{
		g_autoptr(GBytes) ff21 = test_factory_info_new(pki, 1, &otk);
		g_autoptr(GBytes) data =
			ifpp_euicc_data_build(eid, ifpp_span_bytes(ff21), ifpp_span_bytes(bf22));
		g_autoptr(GBytes) ok = test_pir_new(pki->euicc, TRUE);
		g_autoptr(GBytes) failed = test_pir_new(pki->euicc, FALSE);
		g_autoptr(GBytes) receipt = test_receipt_new(pki->euicc, eid, challenge);
		g_autoptr(GBytes) crl =
			test_crl_new(pki->ci, pki->dppb, TEST_NOW - TEST_DAY, TEST_NOW + TEST_DAY);
		TestId *others[] = { sub, NULL };

		test_id_point(otk, otpk);
		put_package(pki, pki->dppb, NULL, "direct", otpk);
		put_package(pki, sub_dppb, others, "sub-ca", otpk);
		put_bytes("euicc", "data", data);
		put_bytes("euicc", "info", ff21);
		put_bytes("euicc", "locked", locked);
		put_bytes("tlv", "data", data);
		put_bytes("pir", "ok", ok);
		put_bytes("pir", "failed", failed);
		put_bytes("receipt", "receipt", receipt);
		put_bytes("x509", "crl", crl);
		put_request(NULL, data, "plain", NULL, "");
		put_request(pki->dppb, data, "signed", "seed", "");
		put_request(NULL, data, "device", "seed", "351234561234568");
		put_bytes("asked/requesters", "signer.pem", pki->dppb->der);
		put_report(data, ok, receipt, challenge, otpk);
		put_attempts(ok);
	}
	put_chip();
	put_bytes("trust", "ci.der", pki->ci->der);
	put_modem_answers();
	put_requests();
	put_bytes("x509", "dppb", pki->dppb->der);
	put_bytes("x509", "euicc", pki->euicc->der);
	put_bytes("x509", "eum", pki->eum->der);
	put_bytes("x509", "ci", pki->ci->der);

	put_bytes("keys", "ci", pki->ci->der);
	put_bytes("keys", "eum", pki->eum->der);
	put_bytes("keys", "euicc", pki->euicc->der);
	put_bytes("keys", "dppb", pki->dppb->der);
	put("keys", "otpk", otpk, sizeof(otpk));
	put("keys", "eid", eid, sizeof(eid));
	put("keys", "now", now, strlen(now) + 1);
	return 0;
}
