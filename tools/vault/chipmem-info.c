// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a virtual eUICC says about itself: GetFactoryInfo, EUICCInfo1 and EUICCInfo2 (SGP.22, 5.7.8). */
#include "chipmem.h"

#include <string.h>

void ifpp_chipmem_put_key(GByteArray *out, const IfppChipKey *key, gboolean secret)
{
	/* 80, 5F49, 5F37, and 81: the private half */
	ifpp_tlv_put_header(out, 0x30, 34 + 68 + 67 + (secret ? 34 : 0));
	ifpp_tlv_put(out, 0x80, key->key_id, 32);
	if (secret)
		ifpp_tlv_put(out, 0x81, key->scalar, 32);
	ifpp_tlv_put(out, 0x5F49, key->point, 65);
	ifpp_tlv_put(out, 0x5F37, key->attestation, 64);
}

void ifpp_chipmem_put_factory_info(const IfppChipMem *mem, gboolean full, gboolean certs, GByteArray *out)
{
	GByteArray *value = g_byte_array_new(), *part = g_byte_array_new();

	for (guint i = 0; i < mem->keys->len; i++) {
		const IfppChipKey *key = &g_array_index(mem->keys, IfppChipKey, i);

		if (full) {
			ifpp_chipmem_put_key(part, key, FALSE);
		} else {
			ifpp_tlv_put_header(part, 0x30, 34);
			ifpp_tlv_put(part, 0x80, key->key_id, 32);
		}
	}
	ifpp_tlv_put_uint(value, 0x80, mem->codec);
	ifpp_tlv_put_uint(value, 0x81, ifpp_chipmem_state(mem));
	ifpp_secret_put(value, 0xA2, part);
	ifpp_tlv_put_uint(value, 0x83, mem->spent);
	if (full && certs) {
		part = g_byte_array_new();
		g_byte_array_append(part, g_bytes_get_data(mem->cert_eum, NULL),
				    g_bytes_get_size(mem->cert_eum));
		g_byte_array_append(part, g_bytes_get_data(mem->cert_euicc, NULL),
				    g_bytes_get_size(mem->cert_euicc));
		if (mem->cas)
			g_byte_array_append(part, g_bytes_get_data(mem->cas, NULL), g_bytes_get_size(mem->cas));
		ifpp_secret_put(value, 0xA4, part);
	}
	ifpp_secret_put(out, IFPP_TAG_FACTORY_INFO, value);
}

/* A9 and AA: subject key identifiers of the CIs this chip can verify and is certified under. */
static void put_ci_lists(const IfppChipMem *mem, GByteArray *out)
{
	guint8 ski[20];

	if (!ifpp_cert_ski(ifpp_span_bytes(mem->ci), ski, NULL))
		memset(ski, 0, sizeof(ski));
	for (guint32 tag = 0xA9; tag <= 0xAA; tag++) {
		ifpp_tlv_put_header(out, tag, 22);
		ifpp_tlv_put(out, 0x04, ski, sizeof(ski));
	}
}

void ifpp_chipmem_put_info1(const IfppChipMem *mem, GByteArray *out)
{
	GByteArray *value = g_byte_array_new();

	ifpp_tlv_put(value, 0x82, (guint8[]){ 2, 2, 2 }, 3);
	put_ci_lists(mem, value);
	ifpp_secret_put(out, 0xBF20, value);
}

/* What SGP.32 (5.9.2) adds. */
static void put_iot_info2(GByteArray *out)
{
	static const guint8 versions[] = { 0xA0, 0x05, 0x04, 0x03, 1, 2, 0 };	/* iotVersion */

	ifpp_tlv_put(out, 0x8D, (guint8[]){ 0x07, 0x80 }, 2);	/* treProperties: discrete */
	ifpp_tlv_put(out, 0x90, (guint8[]){ 0 }, 1);		/* ipaMode: IPAd */
	ifpp_tlv_put(out, 0xB4, versions, sizeof(versions));	/* iotSpecificInfo: neither eCall nor fallback */
}

void ifpp_chipmem_put_info2(const IfppChipMem *mem, GByteArray *out)
{
	GByteArray *value = g_byte_array_new(), *part = g_byte_array_new();
	guint32 nvm = GUINT32_TO_BE(ifpp_chipmem_free_nvm(mem)), ram = GUINT32_TO_BE(64 * 1024);
	guint8 apps = mem->profiles->len;

	ifpp_tlv_put(value, 0x81, (guint8[]){ 2, 3, 1 }, 3);	/* TCA profile package */
	ifpp_tlv_put(value, 0x82, (guint8[]){ 2, 2, 2 }, 3);	/* SGP.22 */
	ifpp_tlv_put(value, 0x83, (guint8[]){ 0, 1, 0 }, 3);	/* firmware */
	ifpp_tlv_put(part, 0x81, &apps, 1);
	ifpp_tlv_put(part, 0x82, &nvm, 4);
	ifpp_tlv_put(part, 0x83, &ram, 4);
	ifpp_secret_put(value, 0x84, part);
	/* usim, isim, csim, milenage, tuak128; usim test algorithm; several of each, ber-tlv, dfLink */
	ifpp_tlv_put(value, 0x85, (guint8[]){ 0x03, 0x7A, 0x80, 0xF8 }, 4);
	ifpp_tlv_put(value, 0x86, (guint8[]){ 13, 0, 0 }, 3);	/* TS 102 241 */
	ifpp_tlv_put(value, 0x87, (guint8[]){ 2, 3, 0 }, 3);	/* GlobalPlatform */
	ifpp_tlv_put(value, 0x88, (guint8[]){ 0x04, 0x90 }, 2);	/* additionalProfile, testProfile */
	put_ci_lists(mem, value);
	ifpp_tlv_put(value, 0x8B, (guint8[]){ 2 }, 1);		/* medium eUICC */
	ifpp_tlv_put(value, 0x99, (guint8[]){ 0x00 }, 1);	/* no policy rule is forbidden */
	ifpp_tlv_put(value, 0x04, (guint8[]){ 1, 0, 0 }, 3);
	ifpp_tlv_put(value, 0x0C, "IFPP-TEST", 9);
	if (mem->iot)
		put_iot_info2(value);
	ifpp_secret_put(out, 0xBF22, value);
}
