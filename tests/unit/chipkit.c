// SPDX-License-Identifier: GPL-2.0-or-later
#include "chipkit.h"

#include <string.h>

#include <glib/gstdio.h>
#include <gnutls/abstract.h>

#include "eid.h"
#include "error.h"
#include "file.h"
#include "personalise.h"
#include "profile.h"

static const guint8 isdr[] = { 0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF,
			       0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x01, 0x00 };

/* A certificate of the Key Maker, through the same door as in life: a public key in PEM. */
GBytes *kit_certify(const char *pki, const char *dir, IfppRole role, IfppEcKey *ec, const char *oid)
{
	g_autofree char *pub = g_build_filename(dir, "dp.pub", NULL);
	g_autofree char *pem = g_build_filename(dir, role == IFPP_ROLE_DP_PB ? "dp.pem" : "auth.pem", NULL);
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) error = NULL;
	gnutls_datum_t x, y, out = {};
	gnutls_pubkey_t key;
	guint8 point[65];
	GBytes *der;
	gsize len;

	ifpp_ec_key_point(ec, point);
	x = (gnutls_datum_t){ point + 1, 32 };
	y = (gnutls_datum_t){ point + 33, 32 };
	g_assert_cmpint(gnutls_pubkey_init(&key), ==, 0);
	g_assert_cmpint(gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_SECP256R1, &x, &y), ==, 0);
	g_assert_cmpint(gnutls_pubkey_export2(key, GNUTLS_X509_FMT_PEM, &out), ==, 0);
	g_assert_true(g_file_set_contents(pub, (char *)out.data, out.size, NULL));
	gnutls_free(out.data);
	gnutls_pubkey_deinit(key);
	g_assert_true(pki_dp(pki, role, pub, FALSE, oid, pem, now - 60, now + 3600, &error));
	file = ifpp_file_read(pem, 65536, &error);
	g_assert_no_error(error);
	x.data = (guint8 *)g_bytes_get_data(file, &len);
	x.size = len;
	g_assert_cmpint(gnutls_pem_base64_decode2("CERTIFICATE", &x, &out), ==, 0);
	der = g_bytes_new(out.data, out.size);
	gnutls_free(out.data);
	return der;
}

static Kit *make(guint keys, gboolean iot)
{
	Kit *kit = g_new0(Kit, 1);
	g_autoptr(GError) error = NULL;
	g_autoptr(PkiEum) eum = NULL;

	kit->block = 255;
	kit->serial = 1;
	kit->dir = g_dir_make_tmp("ifpp-chip-XXXXXX", &error);
	g_assert_no_error(error);
	kit->pki = g_build_filename(kit->dir, "pki", NULL);
	kit->chip_file = g_build_filename(kit->dir, "chip", NULL);
	kit->data_file = g_build_filename(kit->dir, "data", NULL);
	g_assert_true(pki_init(kit->pki, PKI_O, "Kit", "89049032", &error));
	eum = pki_eum_open(kit->pki, &error);
	g_assert_no_error(error);
	g_assert_true(ifpp_eid_parse(KIT_EID, kit->eid, NULL));
	g_assert_true(personalise(eum, kit->eid, keys, IFPP_CHIP_CODEC_MAX, iot, kit->chip_file, kit->data_file, &error));
	kit->dp_key = ifpp_ec_key_generate(&error);
	g_assert_no_error(error);
	kit->dp_cert = kit_certify(kit->pki, kit->dir, IFPP_ROLE_DP_PB, kit->dp_key, "2.999.10");
	kit->trust = ifpp_trust_new();
	g_assert_true(ifpp_trust_add_root(kit->trust, ifpp_span_bytes(pki_eum_ci(eum)), &error));
	kit->chip = chip_new(kit->chip_file, &error);
	g_assert_no_error(error);
	kit_open(kit);
	return kit;
}

Kit *kit_new(guint keys)
{
	return make(keys, FALSE);
}

Kit *kit_new_iot(guint keys)
{
	return make(keys, TRUE);
}

void kit_remove(const char *dir)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		if (g_file_test(path, G_FILE_TEST_IS_DIR))
			kit_remove(path);
		else
			g_unlink(path);
	}
	g_rmdir(dir);
}

void kit_free(Kit *kit)
{
	chip_free(kit->chip);
	ifpp_trust_free(kit->trust);
	ifpp_ec_key_free(kit->dp_key);
	g_bytes_unref(kit->dp_cert);
	kit_remove(kit->dir);
	g_free(kit->dir);
	g_free(kit->pki);
	g_free(kit->chip_file);
	g_free(kit->data_file);
	g_free(kit);
}

GByteArray *kit_apdu(Kit *kit, int channel, const guint8 *apdu, gsize len, guint16 *sw)
{
	GByteArray *r = chip_transmit(kit->chip, channel, (IfppSpan){ apdu, len });

	*sw = 0;
	if (!r)
		return NULL;
	g_assert_cmpuint(r->len, >=, 2);
	*sw = r->data[r->len - 2] << 8 | r->data[r->len - 1];
	return g_byte_array_set_size(r, r->len - 2);
}

void kit_open(Kit *kit)
{
	guint8 select[5 + sizeof(isdr)] = { 0x00, 0xA4, 0x04, 0x0C, sizeof(isdr) };
	g_autoptr(GByteArray) opened = NULL;
	g_autoptr(GByteArray) selected = NULL;
	g_autoptr(GError) error = NULL;
	guint16 sw;

	if (!chip_powered(kit->chip)) {
		chip_power_on(kit->chip, &error);
		g_assert_no_error(error);
	}
	opened = kit_apdu(kit, 0, (guint8[]){ 0x00, 0x70, 0x00, 0x00, 0x01 }, 5, &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	kit->channel = opened->data[0];
	memcpy(select + 5, isdr, sizeof(isdr));
	selected = kit_apdu(kit, kit->channel, select, sizeof(select), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
}

void kit_close(Kit *kit)
{
	g_autoptr(GByteArray) closed = NULL;
	guint16 sw;

	closed = kit_apdu(kit, 0, (guint8[]){ 0x00, 0x70, 0x80, kit->channel }, 4, &sw);
	g_assert_cmphex(sw, ==, SW_OK);
}

GBytes *kit_es10(Kit *kit, IfppSpan command, guint16 *sw)
{
	g_autoptr(GByteArray) all = g_byte_array_new();
	guint8 p2 = 0;

	do {
		gsize n = MIN(command.len, kit->block);
		guint8 apdu[5 + 255] = { 0x80, 0xE2, command.len > n ? 0x11 : 0x91, p2++, n };
		g_autoptr(GByteArray) r = NULL;

		memcpy(apdu + 5, command.data, n);
		r = kit_apdu(kit, kit->channel, apdu, 5 + n, sw);
		if (!r)
			return NULL;
		command.data += n;
		command.len -= n;
		if (command.len && *sw != SW_OK)
			return NULL;
	} while (command.len);

	while (*sw >> 8 == 0x61) {
		guint8 get[5] = { 0x80, 0xC0, 0x00, 0x00, *sw };
		g_autoptr(GByteArray) r = kit_apdu(kit, kit->channel, get, sizeof(get), sw);

		if (!r)
			return NULL;
		g_byte_array_append(all, r->data, r->len);
	}
	if (*sw >> 8 == SW_PROACTIVE >> 8) {	/* as a terminal would */
		static const char done[] = "\x80\x14\x00\x00\x0C\x81\x03\x01\x01\x04\x82\x02\x82\x81\x83\x01";
		g_autoptr(GByteArray) r = NULL;
		guint16 done_sw;

		r = kit_apdu(kit, 0, (const guint8 *)done, sizeof(done), &done_sw);
		g_assert_cmphex(done_sw, ==, SW_OK);
		*sw = SW_OK;
	}
	if (*sw != SW_OK || !all->len)
		return NULL;
	return g_bytes_new(all->data, all->len);
}

char *kit_hex(Kit *kit, const char *command, guint16 *sw)
{
	g_autoptr(GBytes) bytes = ifpp_unhex(command);
	g_autoptr(GBytes) response = NULL;

	g_assert_nonnull(bytes);
	response = kit_es10(kit, ifpp_span_bytes(bytes), sw);
	return response ? ifpp_hex(ifpp_span_bytes(response)) : NULL;
}

IfppFactoryInfo *kit_info(Kit *kit, gboolean full)
{
	const guint8 command[] = { 0xFF, 0x21, 0x03, 0x80, 0x01, full };
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) response = NULL;
	IfppFactoryInfo *info;
	guint16 sw;

	response = kit_es10(kit, IFPP_SPAN(command), &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	info = ifpp_factory_info_parse(ifpp_span_bytes(response), &error);
	g_assert_no_error(error);
	return info;
}

guint8 kit_prepare(Kit *kit, const guint8 key_id[32])
{
	g_autoptr(GByteArray) value = g_byte_array_new();
	g_autoptr(GByteArray) command = g_byte_array_new();
	g_autoptr(GBytes) response = NULL;
	IfppTlv tlv, result;
	IfppSpan in;
	guint16 sw;

	ifpp_tlv_put(value, 0x80, key_id, 32);
	ifpp_tlv_put_span(value, 0xA1, ifpp_span_bytes(kit->dp_cert));
	ifpp_tlv_put(command, IFPP_TAG_PREPARE_LOAD, value->data, value->len);
	response = kit_es10(kit, (IfppSpan){ command->data, command->len }, &sw);
	g_assert_cmphex(sw, ==, SW_OK);
	in = ifpp_span_bytes(response);
	g_assert_true(ifpp_tlv_take(&in, IFPP_TAG_PREPARE_LOAD, &tlv));
	g_assert_true(ifpp_tlv_take(&tlv.value, 0x80, &result));
	return result.value.data[0];
}

static gboolean dp_sign(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	return ifpp_ec_key_sign(((Kit *)user)->dp_key, parts, n_parts, sig, error);
}

GBytes *kit_seal(Kit *kit, const guint8 point[65], const KitSeal *how)
{
	static const KitSeal plain;
	static const guint8 bf24[] = { 0xBF, 0x24, 0x00 }, transaction[16] = { 1, 2, 3 }, host[] = "host";
	guint8 ppk[48], iccid[10];
	g_autoptr(GByteArray) upp = NULL;
	g_autoptr(GByteArray) metadata = NULL;
	g_autoptr(GError) error = NULL;
	IfppSealInput in = { .configure = IFPP_SPAN(bf24), .transaction_id = IFPP_SPAN(transaction),
			     .host_id = IFPP_SPAN(host), .eid = kit->eid, .otpk = point, .sign = dp_sign,
			     .sign_user = kit };
	guint64 serial;
	GBytes *bpp;

	if (!how)
		how = &plain;
	if (how->transaction)
		in.transaction_id = (IfppSpan){ how->transaction, 16 };
	serial = how->serial ? how->serial : kit->serial++;
	upp = how->upp ? g_byte_array_ref(how->upp) : profile_builtin(serial, &error);
	g_assert_no_error(error);
	profile_builtin_iccid(how->metadata_serial ? how->metadata_serial : serial, iccid);
	metadata = how->metadata ? g_byte_array_ref(how->metadata) :
				   profile_metadata(iccid, "Kit", "Test",
						    how->profile_class ? how->profile_class : 2);
	for (guint i = 0; i < sizeof(ppk); i++)
		ppk[i] = i + serial;
	in.ppk = how->session_keys ? NULL : ppk;
	in.upp = (IfppSpan){ upp->data, upp->len };
	in.metadata = (IfppSpan){ metadata->data, metadata->len };
	bpp = ifpp_seal(&in, &error);
	g_assert_no_error(error);
	return bpp;
}

GBytes *kit_resign(Kit *kit, GBytes *bpp, const guint8 point[65], gsize at, const guint8 *bytes, gsize len)
{
	GByteArray *copy = g_byte_array_new();
	guint8 own[68] = { 0x5F, 0x49, 0x41 }, *value;
	IfppSpan in, parts[2];
	IfppTlv outer, bf23;
	g_autoptr(GError) error = NULL;

	g_byte_array_append(copy, g_bytes_get_data(bpp, NULL), g_bytes_get_size(bpp));
	in = (IfppSpan){ copy->data, copy->len };
	g_assert_true(ifpp_tlv_take(&in, 0xBF36, &outer));
	g_assert_true(ifpp_tlv_take(&outer.value, 0xBF23, &bf23));
	value = (guint8 *)bf23.value.data;
	g_assert_cmpuint(at + len, <=, bf23.value.len - 67);
	memcpy(value + at, bytes, len);
	memcpy(own + 3, point, 65);
	parts[0] = (IfppSpan){ value, bf23.value.len - 67 };
	parts[1] = IFPP_SPAN(own);
	g_assert_true(ifpp_ec_key_sign(kit->dp_key, parts, 2, value + bf23.value.len - 64, &error));
	return g_byte_array_free_to_bytes(copy);
}

/* Segments cut here: the library would not touch a BPP that is wrong inside. GArray of IfppSpan. */
static GArray *cut(GBytes *bytes)
{
	GArray *segments = g_array_new(FALSE, FALSE, sizeof(IfppSpan));
	IfppSpan in = ifpp_span_bytes(bytes), segment;
	IfppTlv outer, tlv, member;

	g_assert_true(ifpp_tlv_take(&in, 0xBF36, &outer));
	in = outer.value;
	g_assert_true(ifpp_tlv_take(&in, 0xBF23, &tlv));
	segment = (IfppSpan){ outer.whole.data, in.data - outer.whole.data };
	g_array_append_val(segments, segment);
	while (in.len) {
		g_assert_true(ifpp_tlv_next(&in, &tlv, NULL));
		if (tlv.tag == 0xA0 || tlv.tag == 0xA2) {
			g_array_append_val(segments, tlv.whole);
			continue;
		}
		segment = (IfppSpan){ tlv.whole.data, tlv.value.data - tlv.whole.data };
		g_array_append_val(segments, segment);
		while (tlv.value.len) {
			g_assert_true(ifpp_tlv_next(&tlv.value, &member, NULL));
			g_array_append_val(segments, member.whole);
		}
	}
	return segments;
}

IfppPir *kit_load(Kit *kit, GBytes *bytes, guint16 *sw)
{
	g_autoptr(GArray) segments = cut(bytes);
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < segments->len; i++) {
		g_autoptr(GBytes) response = kit_es10(kit, g_array_index(segments, IfppSpan, i), sw);
		IfppPir *pir;

		if (*sw != SW_OK)
			return NULL;
		if (!response)
			continue;
		pir = ifpp_pir_parse(response, &error);
		g_assert_no_error(error);
		return pir;
	}
	return NULL;
}

IfppPir *kit_load_next(Kit *kit, const KitSeal *how, guint16 *sw)
{
	g_autoptr(IfppFactoryInfo) info = kit_info(kit, TRUE);
	const IfppOtk *key = &g_array_index(info->keys, IfppOtk, 0);
	g_autoptr(GBytes) bpp = kit_seal(kit, key->point, how);

	g_assert_cmpuint(kit_prepare(kit, key->key_id), ==, 0);
	return kit_load(kit, bpp, sw);
}

void kit_check_pir(Kit *kit, IfppPir *pir, gboolean success, guint command, guint reason)
{
	const IfppChipMem *mem = chip_memory(kit->chip);
	g_autoptr(GError) error = NULL;

	g_assert_nonnull(pir);
	ifpp_pir_verify(pir, ifpp_span_bytes(mem->cert_euicc), &error);
	g_assert_no_error(error);
	g_assert_cmpint(pir->success, ==, success);
	g_assert_cmpuint(pir->reason, ==, reason);
	if (!success)
		g_assert_cmpuint(pir->command_id, ==, command);
}
