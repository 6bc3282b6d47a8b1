// SPDX-License-Identifier: LGPL-2.1-or-later
#include "euicc.h"

#include <string.h>

#include "cert.h"
#include "eid.h"

#define CODEC_VERSION 3
#define STATE_MAX 2
#define KEYS_MAX 256
#define CAS_MAX 4
#define SIG_LEN 64

static gboolean fail(GError **error, IfppError code, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, code, what);
	return FALSE;
}

/* ------------------------------------------------------------ factory info and eUICC data */

GBytes *ifpp_attestation_tbs(const guint8 key_id[32], const guint8 point[65], const guint8 eid[16])
{
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(out, 0x80, key_id, 32);
	ifpp_tlv_put(out, 0x5F49, point, 65);
	ifpp_tlv_put(out, 0x5A, eid, 16);
	return g_byte_array_free_to_bytes(out);
}

static gboolean parse_key(IfppSpan in, IfppOtk *otk, GError **error)
{
	IfppTlv tlv, sig;

	memset(otk, 0, sizeof(*otk));
	if (!ifpp_tlv_expect(&in, 0x80, "key id", &tlv, error))
		return FALSE;
	if (tlv.value.len != sizeof(otk->key_id))
		return fail(error, IFPP_ERROR_EUICC_DATA, "one-time key: the key id is not 32 bytes");
	memcpy(otk->key_id, tlv.value.data, sizeof(otk->key_id));
	if (in.len == 0)
		return TRUE;

	if (!ifpp_tlv_expect(&in, 0x5F49, "otPK", &tlv, error) ||
	    !ifpp_tlv_expect(&in, 0x5F37, "attestation", &sig, error))
		return FALSE;
	if (tlv.value.len != sizeof(otk->point) || sig.value.len != SIG_LEN || in.len)
		return fail(error, IFPP_ERROR_EUICC_DATA,
			    "one-time key: otPK or attestation of a wrong length");
	memcpy(otk->point, tlv.value.data, sizeof(otk->point));
	memcpy(otk->attestation, sig.value.data, SIG_LEN);
	otk->full = TRUE;
	return TRUE;
}

static gboolean parse_keys(IfppFactoryInfo *info, IfppSpan in, GError **error)
{
	IfppTlv tlv;
	IfppOtk otk;

	while (in.len) {
		if (info->keys->len == KEYS_MAX)
			return fail(error, IFPP_ERROR_EUICC_DATA,
				    "factory info: more than 256 one-time keys");
		if (!ifpp_tlv_expect(&in, 0x30, "one-time key", &tlv, error) ||
		    !parse_key(tlv.value, &otk, error))
			return FALSE;
		if (ifpp_factory_info_find(info, otk.key_id))
			return fail(error, IFPP_ERROR_EUICC_DATA,
				    "factory info: a one-time key is there twice");
		g_array_append_val(info->keys, otk);
	}
	return TRUE;
}

static gboolean parse_small(IfppSpan *in, guint32 tag, const char *what, guint64 max, guint *out,
			    GError **error)
{
	guint64 value;
	IfppTlv tlv;

	if (!ifpp_tlv_expect(in, tag, what, &tlv, error) || !ifpp_tlv_uint(&tlv, &value, error))
		return FALSE;
	if (value > max) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA,
			    "factory info: %s is %" G_GUINT64_FORMAT ", at most %" G_GUINT64_FORMAT
			    " is known",
			    what, value, max);
		return FALSE;
	}
	*out = value;
	return TRUE;
}

IfppFactoryInfo *ifpp_factory_info_parse(IfppSpan in, GError **error)
{
	g_autoptr(IfppFactoryInfo) info = g_new0(IfppFactoryInfo, 1);
	IfppTlv all, tlv, eum, euicc, ca;

	info->keys = g_array_new(FALSE, FALSE, sizeof(IfppOtk));
	info->cas = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	if (!ifpp_tlv_expect(&in, IFPP_TAG_FACTORY_INFO, "factory info", &all, error))
		return NULL;
	if (in.len) {
		fail(error, IFPP_ERROR_EUICC_DATA, "factory info: bytes after the end");
		return NULL;
	}
	in = all.value;
	if (!parse_small(&in, 0x80, "codec version", CODEC_VERSION, &info->version, error) ||
	    !parse_small(&in, 0x81, "state", STATE_MAX, &info->state, error) ||
	    !ifpp_tlv_expect(&in, 0xA2, "keys", &tlv, error) || !parse_keys(info, tlv.value, error) ||
	    !parse_small(&in, 0x83, "spent count", G_MAXUINT32, &info->spent, error))
		return NULL;
	if (!info->version) {
		fail(error, IFPP_ERROR_EUICC_DATA, "factory info: there is no codec version 0");
		return NULL;
	}
	if (in.len) {
		if (!ifpp_tlv_expect(&in, 0xA4, "certificates", &tlv, error) ||
		    !ifpp_tlv_expect(&tlv.value, 0x30, "CERT.EUM", &eum, error) ||
		    !ifpp_tlv_expect(&tlv.value, 0x30, "CERT.EUICC", &euicc, error))
			return NULL;
		while (tlv.value.len) {
			if (!ifpp_tlv_expect(&tlv.value, 0x30, "CA certificate", &ca, error))
				return NULL;
			if (info->cas->len == CAS_MAX) {
				fail(error, IFPP_ERROR_EUICC_DATA, "factory info: too many CAs above the EUM");
				return NULL;
			}
			g_ptr_array_add(info->cas, g_bytes_new(ca.whole.data, ca.whole.len));
		}
		if (in.len) {
			fail(error, IFPP_ERROR_EUICC_DATA, "factory info: bytes after the certificates");
			return NULL;
		}
		info->cert_eum = g_bytes_new(eum.whole.data, eum.whole.len);
		info->cert_euicc = g_bytes_new(euicc.whole.data, euicc.whole.len);
	}
	return g_steal_pointer(&info);
}

GBytes *ifpp_factory_info_add_certs(IfppSpan in, GBytes *cert_eum, GBytes *cert_euicc)
{
	g_autoptr(GByteArray) certs = g_byte_array_new(), value = g_byte_array_new();
	GByteArray *out = g_byte_array_new();
	IfppSpan eum = ifpp_span_bytes(cert_eum), euicc = ifpp_span_bytes(cert_euicc);
	IfppTlv tlv;

	if (ifpp_tlv_take(&in, IFPP_TAG_FACTORY_INFO, &tlv))
		g_byte_array_append(value, tlv.value.data, tlv.value.len);
	g_byte_array_append(certs, eum.data, eum.len);
	g_byte_array_append(certs, euicc.data, euicc.len);
	ifpp_tlv_put(value, 0xA4, certs->data, certs->len);
	ifpp_tlv_put(out, IFPP_TAG_FACTORY_INFO, value->data, value->len);
	return g_byte_array_free_to_bytes(out);
}

void ifpp_factory_info_free(IfppFactoryInfo *info)
{
	g_array_unref(info->keys);
	g_ptr_array_unref(info->cas);
	g_clear_pointer(&info->cert_eum, g_bytes_unref);
	g_clear_pointer(&info->cert_euicc, g_bytes_unref);
	g_free(info);
}

const IfppOtk *ifpp_factory_info_find(IfppFactoryInfo *info, const guint8 key_id[32])
{
	for (guint i = 0; i < info->keys->len; i++) {
		const IfppOtk *otk = &g_array_index(info->keys, IfppOtk, i);

		if (memcmp(otk->key_id, key_id, sizeof(otk->key_id)) == 0)
			return otk;
	}
	return NULL;
}

gboolean ifpp_otk_verify(const IfppOtk *otk, const guint8 eid[16], const guint8 signer[65], GError **error)
{
	g_autoptr(GBytes) tbs = NULL;
	guint8 key_id[32];
	IfppSpan span;

	if (!otk->full)
		return fail(error, IFPP_ERROR_EUICC_DATA, "one-time key: without its point and attestation");
	if (!ifpp_point_on_curve(IFPP_SPAN(otk->point)))
		return fail(error, IFPP_ERROR_POINT, "one-time key: not a point of NIST P-256");
	ifpp_key_id(otk->point, key_id);
	if (memcmp(key_id, otk->key_id, sizeof(key_id)) != 0)
		return fail(error, IFPP_ERROR_ATTESTATION, "one-time key: the key id is not of its point");
	tbs = ifpp_attestation_tbs(otk->key_id, otk->point, eid);
	span = ifpp_span_bytes(tbs);
	if (!ifpp_ecdsa_verify(signer, &span, 1, IFPP_SPAN(otk->attestation)))
		return fail(error, IFPP_ERROR_ATTESTATION, "one-time key: not attested by this chip");
	return TRUE;
}

gboolean ifpp_factory_info_verify_chip(IfppFactoryInfo *info, const guint8 eid[16], IfppTrust *trust, guint8 signer[65],
				       GError **error)
{
	g_autoptr(GPtrArray) pool = g_ptr_array_new_with_free_func((GDestroyNotify)cert_unref);
	g_autoptr(Cert) chip = NULL;
	guint8 chip_eid[16];
	Cert *ca;

	if (!info->cert_euicc || !info->cert_eum)
		return fail(error, IFPP_ERROR_EUICC_DATA, "factory info: without the chip's certificates");
	chip = cert_new(ifpp_span_bytes(info->cert_euicc), error);
	ca = chip ? trust_cert(trust, ifpp_span_bytes(info->cert_eum), error) : NULL;
	if (!ca)
		return FALSE;
	g_ptr_array_add(pool, ca);
	for (guint i = 0; i < info->cas->len; i++) {
		ca = trust_cert(trust, ifpp_span_bytes(info->cas->pdata[i]), error);
		if (!ca)
			return FALSE;
		g_ptr_array_add(pool, ca);
	}
	if (!trust_verify(trust, chip, pool, IFPP_ROLE_EUICC, error) || !cert_eid(chip, chip_eid, error) ||
	    !cert_point(chip, signer, error))
		return FALSE;
	if (memcmp(chip_eid, eid, sizeof(chip_eid)) != 0)
		return fail(error, IFPP_ERROR_WRONG_EID, "factory info: the certificate is another chip's");
	return TRUE;
}

gboolean ifpp_factory_info_verify(IfppFactoryInfo *info, const guint8 eid[16], IfppTrust *trust, GError **error)
{
	guint8 signer[65];

	if (!ifpp_factory_info_verify_chip(info, eid, trust, signer, error))
		return FALSE;
	for (guint i = 0; i < info->keys->len; i++)
		if (!ifpp_otk_verify(&g_array_index(info->keys, IfppOtk, i), eid, signer, error))
			return FALSE;
	return TRUE;
}

GBytes *ifpp_euicc_data_build(const guint8 eid[16], IfppSpan ff21, IfppSpan bf22)
{
	g_autoptr(GByteArray) in = g_byte_array_new();
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(in, 0x5A, eid, 16);
	g_byte_array_append(in, ff21.data, ff21.len);
	g_byte_array_append(in, bf22.data, bf22.len);
	ifpp_tlv_put(out, 0x30, in->data, in->len);
	return g_byte_array_free_to_bytes(out);
}

gboolean ifpp_euicc_data_parse(IfppSpan file, guint8 eid[16], IfppSpan *ff21, IfppSpan *bf22, GError **error)
{
	IfppTlv all, id, info, info2;

	if (!ifpp_tlv_expect(&file, 0x30, "eUICC data", &all, error) ||
	    !ifpp_tlv_expect(&all.value, 0x5A, "EID", &id, error) ||
	    !ifpp_tlv_expect(&all.value, IFPP_TAG_FACTORY_INFO, "factory info", &info, error) ||
	    !ifpp_tlv_expect(&all.value, 0xBF22, "EUICCInfo2", &info2, error))
		return FALSE;
	if (file.len || all.value.len)
		return fail(error, IFPP_ERROR_EUICC_DATA, "eUICC data: bytes after the end");
	if (id.value.len != IFPP_EID_BYTES || !ifpp_eid_valid(id.value.data))
		return fail(error, IFPP_ERROR_EUICC_DATA, "eUICC data: its EID is not one");
	memcpy(eid, id.value.data, IFPP_EID_BYTES);
	*ff21 = info.whole;
	*bf22 = info2.whole;
	return TRUE;
}

gboolean ifpp_euicc_data_is_iot(IfppSpan file)
{
	IfppSpan ff21, bf22;
	IfppTlv info2, iot;
	guint8 eid[16];

	return ifpp_euicc_data_parse(file, eid, &ff21, &bf22, NULL) && ifpp_tlv_next(&bf22, &info2, NULL) &&
	       ifpp_tlv_find(info2.value, 0xB4, &iot);
}

GBytes *ifpp_euicc_data_keep(IfppSpan file, const guint8 (*key_ids)[32], guint n, GError **error)
{
	g_autoptr(GByteArray) keys = g_byte_array_new(), value = g_byte_array_new(), info = g_byte_array_new();
	IfppSpan ff21, bf22;
	IfppTlv all, tlv, key, id;
	guint kept = 0;
	guint8 eid[16];

	if (!ifpp_euicc_data_parse(file, eid, &ff21, &bf22, error) ||
	    !ifpp_tlv_expect(&ff21, IFPP_TAG_FACTORY_INFO, "factory info", &all, error))
		return NULL;
	while (all.value.len) {
		if (!ifpp_tlv_next(&all.value, &tlv, error))
			return NULL;
		if (tlv.tag != 0xA2) {
			g_byte_array_append(value, tlv.whole.data, tlv.whole.len);
			continue;
		}
		while (tlv.value.len) {
			gboolean wanted = FALSE;

			if (!ifpp_tlv_expect(&tlv.value, 0x30, "key", &key, error))
				return NULL;
			if (!ifpp_tlv_find(key.value, 0x80, &id) || id.value.len != 32)
				continue;
			for (guint i = 0; i < n; i++)
				wanted |= memcmp(key_ids[i], id.value.data, 32) == 0;
			if (wanted)
				g_byte_array_append(keys, key.whole.data, key.whole.len);
			kept += wanted;
		}
		ifpp_tlv_put(value, 0xA2, keys->data, keys->len);
	}
	if (kept != n) {
		fail(error, IFPP_ERROR_UNKNOWN_KEY, "eUICC data: has not all of the keys that are asked for");
		return NULL;
	}
	ifpp_tlv_put(info, IFPP_TAG_FACTORY_INFO, value->data, value->len);
	return ifpp_euicc_data_build(eid, (IfppSpan){ info->data, info->len }, bf22);
}

/* ------------------------------------------------------------ installation result */

static gboolean pir_error(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR, "installation result: %s", what);
	return FALSE;
}

/* NotificationMetadata of an installation, SGP.22 5.7.9 */
static gboolean parse_notification(IfppPir *pir, IfppSpan in, GError **error)
{
	static const guint8 install[] = { 0x07, 0x80 };
	IfppTlv tlv;

	if (!ifpp_tlv_expect(&in, 0x80, "seqNumber", &tlv, error) || !ifpp_tlv_uint(&tlv, &pir->seq, error) ||
	    !ifpp_tlv_expect(&in, 0x81, "profileManagementOperation", &tlv, error))
		return FALSE;
	if (!ifpp_span_equal(tlv.value, IFPP_SPAN(install)))
		return pir_error(error, "is of another operation than an installation");
	if (!ifpp_tlv_expect(&in, 0x0C, "notificationAddress", &tlv, error))
		return FALSE;
	if (!g_utf8_validate_len((const char *)tlv.value.data, tlv.value.len, NULL))
		return pir_error(error, "notificationAddress is not UTF-8");
	pir->address = g_strndup((const char *)tlv.value.data, tlv.value.len);
	if (ifpp_tlv_take(&in, 0x5A, &tlv)) {
		if (tlv.value.len != IFPP_ICCID_BYTES)
			return pir_error(error, "the ICCID is not ten bytes");
		pir->iccid = tlv.value;
	}
	return in.len == 0 || pir_error(error, "bytes after the notification metadata");
}

static gboolean parse_result(IfppPir *pir, IfppSpan in, GError **error)
{
	guint64 value;
	IfppTlv tlv, field;

	if (ifpp_tlv_take(&in, 0xA0, &tlv)) {
		if (!ifpp_tlv_expect(&tlv.value, 0x4F, "ISD-P AID", &field, error))
			return FALSE;
		if (field.value.len < 5 || field.value.len > 16)
			return pir_error(error, "the ISD-P AID is not 5 to 16 bytes");
		pir->aid = field.value;
		pir->success = TRUE;
		if (!ifpp_tlv_expect(&tlv.value, 0x04, "simaResponse", &field, error))
			return FALSE;
	} else {
		if (!ifpp_tlv_expect(&in, 0xA1, "errorResult", &tlv, error) ||
		    !ifpp_tlv_expect(&tlv.value, 0x80, "bppCommandId", &field, error) ||
		    !ifpp_tlv_uint(&field, &value, error))
			return FALSE;
		if (value > 5)
			return pir_error(error, "bppCommandId is not 0 to 5");
		pir->command_id = value;
		if (!ifpp_tlv_expect(&tlv.value, 0x81, "errorReason", &field, error) ||
		    !ifpp_tlv_uint(&field, &value, error))
			return FALSE;
		if (value < 1 || value > 127)
			return pir_error(error, "errorReason is not 1 to 127");
		pir->reason = value;
		ifpp_tlv_take(&tlv.value, 0x82, &field);
	}
	return (in.len == 0 && tlv.value.len == 0) || pir_error(error, "bytes after the result");
}

IfppPir *ifpp_pir_parse(GBytes *bytes, GError **error)
{
	g_autoptr(IfppPir) pir = g_new0(IfppPir, 1);
	IfppSpan in = ifpp_span_bytes(bytes);
	IfppTlv all, data, tlv;

	pir->bytes = g_bytes_ref(bytes);
	if (!ifpp_tlv_expect(&in, IFPP_TAG_PIR, "ProfileInstallationResult", &all, error))
		return NULL;
	if (in.len) {
		pir_error(error, "bytes after the end");
		return NULL;
	}
	in = all.value;
	if (!ifpp_tlv_expect(&in, 0xBF27, "ProfileInstallationResultData", &data, error) ||
	    !ifpp_tlv_expect(&in, 0x5F37, "euiccSignPIR", &tlv, error))
		return NULL;
	if (tlv.value.len != SIG_LEN || in.len) {
		pir_error(error, "the signature is not 64 bytes at the end");
		return NULL;
	}
	pir->signed_data = data.whole;
	pir->signature = tlv.value;

	in = data.value;
	if (!ifpp_tlv_expect(&in, 0x80, "transactionId", &tlv, error))
		return NULL;
	if (tlv.value.len < 1 || tlv.value.len > 16) {
		pir_error(error, "transactionId is not 1 to 16 bytes");
		return NULL;
	}
	pir->transaction_id = tlv.value;
	if (!ifpp_tlv_expect(&in, 0xBF2F, "NotificationMetadata", &tlv, error) ||
	    !parse_notification(pir, tlv.value, error))
		return NULL;
	ifpp_tlv_take(&in, 0x06, &tlv);		/* smdpOid, optional in older versions */
	if (!ifpp_tlv_expect(&in, 0xA2, "finalResult", &tlv, error) || !parse_result(pir, tlv.value, error))
		return NULL;
	if (in.len) {
		pir_error(error, "bytes after finalResult");
		return NULL;
	}
	return g_steal_pointer(&pir);
}

void ifpp_pir_free(IfppPir *pir)
{
	g_bytes_unref(pir->bytes);
	g_free(pir->address);
	g_free(pir);
}

gboolean ifpp_pir_verify(IfppPir *pir, IfppSpan cert_euicc, GError **error)
{
	guint8 point[65];

	if (!ifpp_cert_point(cert_euicc, point, error))
		return FALSE;
	if (!ifpp_ecdsa_verify(point, &pir->signed_data, 1, pir->signature))
		return fail(error, IFPP_ERROR_PIR_SIGNATURE, "installation result: not signed by this chip");
	return TRUE;
}

gboolean ifpp_pir_reason_is_early(guint reason)
{
	return reason >= 1 && reason <= 5;
}

const char *ifpp_pir_reason_name(guint reason)
{
	static const char *const names[] = {
		"ok",
		"incorrect-input-values",
		"invalid-signature",
		"invalid-transaction-id",
		"unsupported-crt-values",
		"unsupported-remote-operation-type",
		"unsupported-profile-class",
		"scp03t-structure-error",
		"scp03t-security-error",
		"iccid-already-exists",
		"insufficient-memory",
		"interruption",
		"pe-processing-error",
		"data-mismatch",
		"invalid-naa-key",
		"ppr-not-allowed",
		[31] = "insufficient-minimum-security-level",	/* SGP.22 v3 */
		[32] = "server-address-not-allowed",
	};

	if (reason < G_N_ELEMENTS(names) && names[reason])
		return names[reason];
	return reason == 127 ? "unknown-error" : "unknown";
}

const char *ifpp_reason_name(guint reason)
{
	return reason >= IFPP_ERROR_HEADER ? ifpp_error_name(reason) : ifpp_pir_reason_name(reason);
}

/* ------------------------------------------------------------ lock receipt */

static gboolean receipt_error(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_RECEIPT, "lock receipt: %s", what);
	return FALSE;
}

static gboolean parse_receipt(IfppSpan in, IfppReceipt *out, GError **error)
{
	IfppTlv tlv;

	if (!ifpp_tlv_expect(&in, 0x80, "EID", &tlv, error))
		return FALSE;
	if (tlv.value.len != sizeof(out->eid))
		return fail(error, IFPP_ERROR_RECEIPT, "the EID is not 16 bytes");
	memcpy(out->eid, tlv.value.data, sizeof(out->eid));
	if (!ifpp_tlv_expect(&in, 0x81, "challenge", &tlv, error))
		return FALSE;
	if (tlv.value.len != sizeof(out->challenge))
		return fail(error, IFPP_ERROR_RECEIPT, "the challenge is not 16 bytes");
	memcpy(out->challenge, tlv.value.data, sizeof(out->challenge));
	if (!ifpp_tlv_expect(&in, 0x82, "lock counter", &tlv, error) ||
	    !ifpp_tlv_uint(&tlv, &out->lock_counter, error) ||
	    !ifpp_tlv_expect(&in, 0x83, "spent count", &tlv, error) ||
	    !ifpp_tlv_uint(&tlv, &out->spent, error))
		return FALSE;
	return in.len == 0 || fail(error, IFPP_ERROR_RECEIPT, "bytes after the spent count");
}

gboolean ifpp_receipt_verify(IfppSpan value, IfppSpan cert_euicc, const guint8 eid[16],
			     const guint8 *challenge, IfppReceipt *out, GError **error)
{
	g_autoptr(GError) why = NULL;
	IfppReceipt receipt;
	guint8 point[65];
	IfppTlv data, sig;

	if (!ifpp_tlv_expect(&value, 0x30, "data", &data, &why) ||
	    !ifpp_tlv_expect(&value, 0x5F37, "signature", &sig, &why))
		return receipt_error(error, why->message);
	if (value.len)
		return receipt_error(error, "bytes after the signature");
	if (!ifpp_cert_point(cert_euicc, point, error))
		return FALSE;
	if (!ifpp_ecdsa_verify(point, &data.whole, 1, sig.value))
		return receipt_error(error, "not signed by this chip");
	if (!parse_receipt(data.value, &receipt, &why))
		return receipt_error(error, why->message);
	if (memcmp(receipt.eid, eid, sizeof(receipt.eid)) != 0)
		return receipt_error(error, "is of another chip");
	if (challenge && memcmp(receipt.challenge, challenge, sizeof(receipt.challenge)) != 0)
		return receipt_error(error, "answers another challenge");
	if (out)
		*out = receipt;
	return TRUE;
}
