// SPDX-License-Identifier: GPL-2.0-or-later
/* ES10b mutual authentication: the way into an ordinary download (SGP.22 5.7.5, 5.7.7, 5.7.13, 5.7.14). */
#include "chip-services.h"

#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

/* Besides those of chip_check_chain() */
enum {
	AUTH_INVALID_SIGNATURE = 2,
	AUTH_NO_SESSION = 4,
	PREPARE_INVALID_TRANSACTION = 5,
	AUTH_CHALLENGE_MISMATCH = 6,
	AUTH_UNKNOWN_CI = 7,
	AUTH_UNDEFINED = 127,
};

/* Reasons of CancelSession */
enum {
	CANCEL_POSTPONED = 1,
	CANCEL_TIMEOUT = 2,
};

static guint16 get_challenge(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ChipSession *session = &chip->session;

	if (value.len)
		return SW_WRONG_DATA;
	chip_session_clear(chip);
	/* A new session: what was prepared in the last one is given up. A load that runs goes on. */
	if (!chip_load_running(chip))
		chip_load_clear(chip);
	if (gnutls_rnd(GNUTLS_RND_NONCE, session->challenge, sizeof(session->challenge)) < 0)
		return SW_MEMORY_FAILURE;
	session->has_challenge = TRUE;
	ifpp_tlv_put_header(out, 0xBF2E, 2 + sizeof(session->challenge));
	ifpp_tlv_put(out, 0x80, session->challenge, sizeof(session->challenge));
	return SW_OK;
}

/* tag { A1 { 80 transactionId, 02 code } } */
static guint16 put_error(GByteArray *out, guint32 tag, IfppSpan transaction, guint8 code)
{
	GByteArray *a1 = g_byte_array_new(), *value = g_byte_array_new();

	ifpp_tlv_put_span(a1, 0x80, transaction);
	ifpp_tlv_put_uint(a1, 0x02, code);
	chip_put(value, 0xA1, a1);
	chip_put(out, tag, value);
	return SW_OK;
}

/* ------------------------------------------------------------------ AuthenticateServer */

typedef struct {
	IfppTlv signed1, signature, ski, cert, context;
	IfppTlv transaction, challenge, address, server_challenge;
} Authenticate;

static gboolean parse_authenticate(IfppSpan in, Authenticate *a)
{
	IfppSpan fields;

	if (!ifpp_tlv_take(&in, 0x30, &a->signed1) || !ifpp_tlv_take(&in, 0x5F37, &a->signature) ||
	    !ifpp_tlv_take(&in, 0x04, &a->ski) || !ifpp_tlv_take(&in, 0x30, &a->cert) ||
	    !ifpp_tlv_take(&in, 0xA0, &a->context) || in.len)
		return FALSE;
	fields = a->signed1.value;
	return ifpp_tlv_take(&fields, 0x80, &a->transaction) && ifpp_tlv_take(&fields, 0x81, &a->challenge) &&
	       ifpp_tlv_take(&fields, 0x83, &a->address) &&
	       ifpp_tlv_take(&fields, 0x84, &a->server_challenge) &&
	       !fields.len && a->transaction.value.len >= 1 && a->transaction.value.len <= 16 &&
	       a->signature.value.len == 64;
}

static guint8 check_server(Chip *chip, const Authenticate *a, GBytes **oid)
{
	const ChipSession *session = &chip->session;
	guint8 ski[20], point[65], result;

	if (!session->has_challenge)
		return AUTH_NO_SESSION;
	if (!ifpp_cert_ski(ifpp_span_bytes(chip->mem->ci), ski, NULL) ||
	    !ifpp_span_equal(a->ski.value, IFPP_SPAN(ski)))
		return AUTH_UNKNOWN_CI;
	result = chip_check_chain(chip, a->cert.whole, IFPP_ROLE_DP_AUTH, point, oid);
	if (result != CHAIN_OK)
		return result;
	if (!chip_verify(chip, point, &a->signed1.whole, 1, a->signature.value))
		return AUTH_INVALID_SIGNATURE;
	if (!ifpp_span_equal(a->challenge.value, IFPP_SPAN(session->challenge)))
		return AUTH_CHALLENGE_MISMATCH;
	return CHAIN_OK;
}

static guint16 authenticate_server(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ChipSession *session = &chip->session;
	GByteArray *signed1, *members, *response;
	g_autoptr(GBytes) oid = NULL;
	Authenticate a;
	guint8 result;
	IfppSpan part;

	if (!parse_authenticate(value, &a))
		return SW_WRONG_DATA;
	result = check_server(chip, &a, &oid);
	/* A challenge is good for one try. */
	chip_session_clear(chip);
	if (result != CHAIN_OK)
		return put_error(out, 0xBF38, a.transaction.value, result);

	signed1 = g_byte_array_new();
	ifpp_tlv_put_span(signed1, 0x80, a.transaction.value);
	ifpp_tlv_put_span(signed1, 0x83, a.address.value);
	ifpp_tlv_put_span(signed1, 0x84, a.server_challenge.value);
	ifpp_chipmem_put_info2(chip->mem, signed1);
	ifpp_tlv_put_span(signed1, 0xA0, a.context.value);
	members = g_byte_array_new();
	chip_put(members, 0x30, signed1);
	part = chip_span(members);
	if (!chip_sign(chip, &part, 1, session->signature)) {
		g_byte_array_unref(members);
		return put_error(out, 0xBF38, a.transaction.value, AUTH_UNDEFINED);
	}
	ifpp_tlv_put(members, 0x5F37, session->signature, 64);
	g_byte_array_append(members, g_bytes_get_data(chip->mem->cert_euicc, NULL),
			    g_bytes_get_size(chip->mem->cert_euicc));
	g_byte_array_append(members, g_bytes_get_data(chip->mem->cert_eum, NULL),
			    g_bytes_get_size(chip->mem->cert_eum));
	response = g_byte_array_new();
	chip_put(response, 0xA0, members);
	chip_put(out, 0xBF38, response);
	session->transaction = g_bytes_new(a.transaction.value.data, a.transaction.value.len);
	session->address = g_strndup((const char *)a.address.value.data, a.address.value.len);
	session->oid = g_steal_pointer(&oid);
	return SW_OK;
}

/* ------------------------------------------------------------------ PrepareDownload */

typedef struct {
	IfppTlv signed2, signature, hash_cc, cert;
	IfppTlv transaction, cc_required, otpk;
	gboolean has_hash, has_otpk;
} Prepare;

static gboolean parse_prepare(IfppSpan in, Prepare *p)
{
	IfppSpan fields;

	if (!ifpp_tlv_take(&in, 0x30, &p->signed2) || !ifpp_tlv_take(&in, 0x5F37, &p->signature))
		return FALSE;
	p->has_hash = ifpp_tlv_take(&in, 0x04, &p->hash_cc);
	if (p->has_hash && p->hash_cc.value.len != 32)
		return FALSE;
	if (!ifpp_tlv_take(&in, 0x30, &p->cert) || in.len)
		return FALSE;
	fields = p->signed2.value;
	if (!ifpp_tlv_take(&fields, 0x80, &p->transaction) || !ifpp_tlv_take(&fields, 0x01, &p->cc_required) ||
	    p->cc_required.value.len != 1)
		return FALSE;
	p->has_otpk = ifpp_tlv_take(&fields, 0x5F49, &p->otpk);
	return !fields.len && p->signature.value.len == 64 && p->transaction.value.len >= 1 &&
	       p->transaction.value.len <= 16;
}

static guint8 check_prepare(Chip *chip, const Prepare *p, guint8 point[65])
{
	const ChipSession *session = &chip->session;
	guint8 signature1[67] = { 0x5F, 0x37, 0x40 }, result;
	IfppSpan parts[2] = { p->signed2.whole, IFPP_SPAN(signature1) };
	g_autoptr(GBytes) oid = NULL;

	if (!session->transaction)
		return AUTH_NO_SESSION;
	if (!ifpp_span_equal(p->transaction.value, ifpp_span_bytes(session->transaction)))
		return PREPARE_INVALID_TRANSACTION;
	result = chip_check_chain(chip, p->cert.whole, IFPP_ROLE_DP_PB, point, &oid);
	/* There is no code for a wrong role here, as there is in AuthenticateServer. */
	if (result != CHAIN_OK)
		return result == CHAIN_UNSUPPORTED_CURVE ? result : CHAIN_INVALID_CERTIFICATE;
	/* Both certificates must be of one SM-DP+. */
	if (!g_bytes_equal(oid, session->oid))
		return CHAIN_INVALID_CERTIFICATE;
	memcpy(signature1 + 3, session->signature, 64);
	if (!chip_verify(chip, point, parts, G_N_ELEMENTS(parts), p->signature.value))
		return AUTH_INVALID_SIGNATURE;
	if (p->cc_required.value.data[0] && !p->has_hash)
		return AUTH_UNDEFINED;
	return CHAIN_OK;
}

/*
 * SGP.22 3.1.3.2: a package that was bound in an earlier try is still good if its key is. The key is
 * kept until a load uses it, or the SM-DP+ or the user give up; one at a time, the last one.
 */
static gboolean choose_key(Chip *chip, const Prepare *p, guint8 otpk[65])
{
	IfppChipMem *mem = chip->mem;
	IfppEcKey *key;

	if (p->has_otpk && mem->retry && g_bytes_equal(mem->retry_oid, chip->session.oid)) {
		ifpp_ec_key_point(mem->retry, otpk);
		if (ifpp_span_equal(p->otpk.value, (IfppSpan){ otpk, 65 }))
			return TRUE;
	}
	key = ifpp_ec_key_generate(NULL);
	chip->stats.agreements++;
	if (!key)
		return FALSE;
	ifpp_ec_key_point(key, otpk);
	ifpp_chipmem_set_retry(mem, key, g_bytes_ref(chip->session.oid));
	return chip_commit(chip);
}

static guint16 prepare_download(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ChipSession *session = &chip->session;
	ChipLoad *load = &chip->load;
	GByteArray *signed2, *members, *response;
	guint8 point[65], sig[64], result;
	IfppSpan parts[2];
	Prepare p;

	if (!parse_prepare(value, &p))
		return SW_WRONG_DATA;
	result = check_prepare(chip, &p, point);
	if (result != CHAIN_OK)
		return put_error(out, 0xBF21, p.transaction.value, result);

	chip_load_clear(chip);
	if (!choose_key(chip, &p, load->otpk))
		return SW_MEMORY_FAILURE;
	signed2 = g_byte_array_new();
	ifpp_tlv_put_span(signed2, 0x80, p.transaction.value);
	ifpp_tlv_put(signed2, 0x5F49, load->otpk, 65);
	if (p.has_hash)
		ifpp_tlv_put_span(signed2, 0x04, p.hash_cc.value);
	members = g_byte_array_new();
	chip_put(members, 0x30, signed2);
	parts[0] = chip_span(members);
	parts[1] = p.signature.whole;
	if (!chip_sign(chip, parts, 2, sig)) {
		g_byte_array_unref(members);
		chip_load_clear(chip);
		return put_error(out, 0xBF21, p.transaction.value, AUTH_UNDEFINED);
	}
	ifpp_tlv_put(members, 0x5F37, sig, sizeof(sig));
	response = g_byte_array_new();
	chip_put(response, 0xA0, members);
	chip_put(out, 0xBF21, response);

	load->stage = LOAD_PREPARED;
	load->channel = channel;
	memcpy(load->dp_point, point, sizeof(load->dp_point));
	load->oid = g_bytes_ref(session->oid);
	load->want_transaction = g_bytes_ref(session->transaction);
	load->address = g_strdup(session->address);
	return SW_OK;
}

/* ------------------------------------------------------------------ CancelSession */

/* After these the download is meant to go on some other day, with the key that it has. */
static gboolean may_resume(const IfppTlv *reason)
{
	guint64 number;

	return ifpp_tlv_uint(reason, &number, NULL) && (number == CANCEL_POSTPONED || number == CANCEL_TIMEOUT);
}

static guint16 cancel_session(Chip *chip, guint channel, IfppSpan value, GByteArray *out)
{
	ChipSession *session = &chip->session;
	GByteArray *fields, *members, *response;
	IfppTlv transaction, reason;
	guint8 sig[64];
	IfppSpan part;

	if (!ifpp_tlv_take(&value, 0x80, &transaction) || !ifpp_tlv_take(&value, 0x81, &reason) || value.len)
		return SW_WRONG_DATA;
	response = g_byte_array_new();
	if (!session->transaction ||
	    !ifpp_span_equal(transaction.value, ifpp_span_bytes(session->transaction))) {
		/* One that is only a challenge has no name, and is over all the same. */
		if (!session->transaction)
			chip_session_clear(chip);
		ifpp_tlv_put_uint(response, 0x81, PREPARE_INVALID_TRANSACTION);
		chip_put(out, 0xBF41, response);
		return SW_OK;
	}
	fields = g_byte_array_new();
	ifpp_tlv_put_span(fields, 0x80, transaction.value);
	ifpp_tlv_put_span(fields, 0x81, ifpp_span_bytes(session->oid));
	ifpp_tlv_put_span(fields, 0x82, reason.value);
	members = g_byte_array_new();
	chip_put(members, 0x30, fields);
	part = chip_span(members);
	if (!chip_sign(chip, &part, 1, sig)) {
		g_byte_array_unref(members);
		ifpp_tlv_put_uint(response, 0x81, AUTH_UNDEFINED);
		chip_put(out, 0xBF41, response);
		return SW_OK;
	}
	ifpp_tlv_put(members, 0x5F37, sig, sizeof(sig));
	chip_put(response, 0xA0, members);
	chip_put(out, 0xBF41, response);
	if (!chip_load_interrupt(chip))
		return SW_MEMORY_FAILURE;
	if (chip->mem->retry && !may_resume(&reason) && g_bytes_equal(chip->mem->retry_oid, session->oid)) {
		ifpp_chipmem_set_retry(chip->mem, NULL, NULL);
		if (!chip_commit(chip))
			return SW_MEMORY_FAILURE;
	}
	chip_session_clear(chip);
	return SW_OK;
}

const ChipService chip_session_services[] = {
	{ 0xBF21, 0, prepare_download },
	{ 0xBF2E, SERVE_IN_LOAD, get_challenge },
	{ 0xBF38, 0, authenticate_server },
	{ 0xBF41, SERVE_IN_LOAD, cancel_session },
	{ 0 }
};
