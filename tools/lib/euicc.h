/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a chip says about itself: its public data with attested one-time keys, its
 * installation results and its lock receipt. All of it is hostile until verified.
 */
#ifndef IFPP_EUICC_H
#define IFPP_EUICC_H

#include "x509.h"

/* Chip codec, versions 1 to 3: Documentation/chip-codec.rst */
#define IFPP_TAG_FACTORY_INFO 0xFF21
#define IFPP_TAG_PREPARE_LOAD 0xFF22
#define IFPP_TAG_DELETE_KEYS 0xFF23
#define IFPP_TAG_LOCK 0xFF24
#define IFPP_TAG_TEST 0xFF25	/* from version 2 on */
#define IFPP_TAG_REWORK 0xFF26	/* from version 3 on */
#define IFPP_TAG_LOAD_BPP 0xBF36
#define IFPP_TAG_PIR 0xBF37

typedef struct {
	guint8 key_id[32];
	gboolean full;		/* point and signature present */
	guint8 point[65];
	guint8 attestation[64];	/* SK.EUICC over 80 20 keyid || 5F49 41 otPK || 5A 10 EID */
} IfppOtk;

typedef struct {
	guint version;		/* of the codec */
	guint state;		/* 0 factory, 1 drained, 2 locked: the codec's numbers */
	guint spent;
	GArray *keys;		/* of IfppOtk, unspent */
	GBytes *cert_eum;	/* of the EUM or EUM sub-CA that issued cert_euicc; DER, or NULL */
	GBytes *cert_euicc;
	GPtrArray *cas;		/* of GBytes: the CAs between cert_eum and the CI; may be empty */
} IfppFactoryInfo;

/**
 * ifpp_factory_info_parse() - the response of GetFactoryInfo
 * @tlv: the whole FF21 TLV
 * @error: IFPP_ERROR_TLV, IFPP_ERROR_EUICC_DATA
 */
IfppFactoryInfo *ifpp_factory_info_parse(IfppSpan tlv, GError **error);
void ifpp_factory_info_free(IfppFactoryInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppFactoryInfo, ifpp_factory_info_free)

/* The response of GetFactoryInfo without certificates, @tlv, with them: as one parses that has them. */
GBytes *ifpp_factory_info_add_certs(IfppSpan tlv, GBytes *cert_eum, GBytes *cert_euicc);

/**
 * ifpp_factory_info_verify() - prove a full export: DPFF10
 * @info: with certificates and full keys
 * @eid: the chip it should be of
 * @trust: CI roots
 * @error: as ifpp_trust_verify(), and IFPP_ERROR_WRONG_EID, ATTESTATION, POINT, EUICC_DATA
 */
gboolean ifpp_factory_info_verify(IfppFactoryInfo *info, const guint8 eid[16], IfppTrust *trust, GError **error);

/**
 * ifpp_factory_info_verify_chip() - the first half of it: the chip's certificates, and that they are this chip's
 * @info: with certificates; what its keys are worth is not looked at
 * @eid: the chip it should be of
 * @trust: CI roots
 * @signer: gets the chip's public key, for ifpp_otk_verify()
 * @error: as ifpp_trust_verify(), and IFPP_ERROR_WRONG_EID, EUICC_DATA
 */
gboolean ifpp_factory_info_verify_chip(IfppFactoryInfo *info, const guint8 eid[16], IfppTrust *trust, guint8 signer[65],
				       GError **error);

/**
 * ifpp_otk_verify() - the other half: did this chip attest this key?
 * @otk: with point and attestation
 * @eid: the chip's
 * @signer: its proven public key
 * @error: IFPP_ERROR_ATTESTATION, POINT, EUICC_DATA
 */
gboolean ifpp_otk_verify(const IfppOtk *otk, const guint8 eid[16], const guint8 signer[65], GError **error);
/* NULL when the chip holds no such unspent key. */
const IfppOtk *ifpp_factory_info_find(IfppFactoryInfo *info, const guint8 key_id[32]);

/*
 * eUICC data, the file that goes from EUM or factory to the Key Maker (ESBPP02):
 * 30 { 5A EID, FF21 full export, BF22 EUICCInfo2 }.
 */
GBytes *ifpp_euicc_data_build(const guint8 eid[16], IfppSpan ff21, IfppSpan bf22);
gboolean ifpp_euicc_data_parse(IfppSpan file, guint8 eid[16], IfppSpan *ff21, IfppSpan *bf22, GError **error);
/* Its EUICCInfo2 has iotSpecificInfo, which an IoT eUICC must have (SGP.32). FALSE also: it cannot be read. */
gboolean ifpp_euicc_data_is_iot(IfppSpan file);

/**
 * ifpp_euicc_data_keep() - the same data with some of its one-time keys only
 * @file: eUICC data
 * @key_ids: 32 bytes each
 * @n: their number
 * @error: IFPP_ERROR_TLV, EUICC_DATA; UNKNOWN_KEY: one of them is not in it
 *
 * What the chip signed stays as it is: it attests each key by itself.
 */
GBytes *ifpp_euicc_data_keep(IfppSpan file, const guint8 (*key_ids)[32], guint n, GError **error);

/* Bytes a chip signs over one key: 80 20 keyid || 5F49 41 otPK || 5A 10 EID. */
GBytes *ifpp_attestation_tbs(const guint8 key_id[32], const guint8 point[65], const guint8 eid[16]);

typedef struct {
	GBytes *bytes;			/* the whole BF37 TLV, what the rest points into */
	IfppSpan transaction_id;
	guint64 seq;
	char *address;			/* notificationAddress, UTF-8 */
	IfppSpan iccid;			/* may be empty */
	gboolean success;
	IfppSpan aid;			/* of the ISD-P, on success */
	guint command_id;		/* bppCommandId, on failure */
	guint reason;			/* errorReason, on failure; 0 on success */
	IfppSpan signed_data;		/* the BF27 TLV */
	IfppSpan signature;		/* 64 bytes */
} IfppPir;

/**
 * ifpp_pir_parse() - ProfileInstallationResult, SGP.22 2.5.6
 * @bytes: the whole BF37 TLV
 * @error: IFPP_ERROR_PIR, IFPP_ERROR_TLV
 */
IfppPir *ifpp_pir_parse(GBytes *bytes, GError **error);
void ifpp_pir_free(IfppPir *pir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppPir, ifpp_pir_free)
/* IFPP_ERROR_PIR_SIGNATURE. The certificate must be verified already. */
gboolean ifpp_pir_verify(IfppPir *pir, IfppSpan cert_euicc, GError **error);
/*
 * A refusal with this reason comes before the key is spent (Documentation/chip-codec.rst): the package can be
 * loaded again. Reason 1 may also come later.
 */
gboolean ifpp_pir_reason_is_early(guint reason);
const char *ifpp_pir_reason_name(guint reason);	/* "ok", "scp03t-security-error", ... */
/* Stable name of a reason of either range, errorReason or IfppError: "ok", "wrong-eid", "scp03t-security-error"... */
const char *ifpp_reason_name(guint reason);

typedef struct {
	guint8 eid[16];
	guint8 challenge[16];
	guint64 lock_counter;
	guint64 spent;
} IfppReceipt;

/**
 * ifpp_receipt_verify() - lock receipt: the value of the FF24 response, 30 {...} 5F37 40 sig
 * @value: the bytes
 * @cert_euicc: verified certificate of the chip
 * @eid: of the chip
 * @challenge: what the receipt must answer, or NULL for any
 * @out: the fields, or NULL
 * @error: IFPP_ERROR_RECEIPT
 */
gboolean ifpp_receipt_verify(IfppSpan value, IfppSpan cert_euicc, const guint8 eid[16],
			     const guint8 *challenge, IfppReceipt *out, GError **error);

#endif
