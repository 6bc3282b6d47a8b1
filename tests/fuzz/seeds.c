// SPDX-License-Identifier: GPL-2.0-or-later
/* Fill a directory with keys for the fuzz targets and with sound inputs to start from. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <gnutls/pkcs7.h>

#include "bundle.h"
#include "euicc.h"
#include "file.h"
#include "package.h"
#include "request.h"
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
static void put_request(TestId *signer, GBytes *data, const char *name, const char *order)
{
	g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(IfppRequestItem));
	g_autoptr(GBytes) text = NULL, cms = NULL, file = NULL;
	g_autofree char *path = g_build_filename(top, "request.tmp", NULL);
	IfppRequestItem item = {};

	if (!ifpp_request_item(data, &item, NULL))
		g_error("no eUICC data");
	g_array_append_val(items, item);
	text = ifpp_request_format(order, items);
	cms = signer ? test_cms_new(signer, NULL, ifpp_span_bytes(text), 0) : NULL;
	if (!ifpp_request_write(path, text, cms, 1, one_data, data, NULL) || !(file = ifpp_file_read(path, 65536, NULL)))
		g_error("%s: cannot write", path);
	put_bytes("request", name, file);
	unlink(path);
}

static void put_report(GBytes *data, GBytes *pir, GBytes *receipt, const guint8 challenge[16], const guint8 otpk[65])
{
	static const char unset[] = "0000000000000000";
	g_autofree char *d = base64(data), *p = base64(pir), *r = base64(receipt), *key = NULL, *text = NULL;
	g_autofree char *ledger = NULL, *c = ifpp_hex((IfppSpan){ challenge, 16 });
	guint8 id[32];

	ifpp_key_id(otpk, id);
	key = ifpp_hex(IFPP_SPAN(id));
	text = g_strdup_printf("{\"format\":\"ifpp-report\",\"version\":1,\"units\":[{\"eid\":\"" TEST_EID "\","
			       "\"euicc_data\":\"%s\",\"results\":[{\"key_id\":\"%s\",\"status\":0,\"reason_name\":\"ok\","
			       "\"pir\":\"%s\"}],\"lock\":{\"challenge\":\"%s\",\"receipt\":\"%s\"}}]}", d, key, p, c, r);
	put("report", "report", text, strlen(text));
	/* The package that the result is of, as tools/smdpf/ledger.h has it. */
	ledger = g_strdup_printf("reserve %s " TEST_EID " 98001032547698103214 %s 000102030405060708090a0b0c0d0e0f %s\n"
				 "bound %s %s%s%s%s\n", key, unset, unset, key, unset, unset, unset, unset);
	put("home", "ledger", ledger, strlen(ledger));
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
	put("home/run", ".keep", "", 0);
	put("home/packages", ".keep", "", 0);
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
		put_request(NULL, data, "plain", NULL);
		put_request(pki->dppb, data, "signed", "seed");
		put_bytes("asked/requesters", "signer.pem", pki->dppb->der);
		put_report(data, ok, receipt, challenge, otpk);
	}
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
