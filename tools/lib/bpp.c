// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bpp.h"

#include <string.h>

#include "error.h"
#include "x509.h"

#define MAC_LEN 8
#define BLOCK 16
#define PROTECTED_MAX 1036	/* one protected TLV, the largest that chips are known to take */

struct _IfppBpp {
	GBytes *bytes;
	GArray *segments;		/* of IfppSpan */
	GByteArray *metadata;		/* payloads of the 88s, joined */
	IfppSpan signed_part;		/* BF23 value up to 5F37 */
	IfppSpan sign;
	IfppSpan transaction_id;
	IfppSpan otpk_dp;
	IfppSpan iccid;
	IfppSpan provider;
	IfppSpan profile_name;
	guint profile_class;
};

static gboolean fail(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_BPP, "BoundProfilePackage: %s", what);
	return FALSE;
}

/* InitialiseSecureChannelRequest, SGP.22 5.5.1 */
static gboolean parse_bf23(IfppBpp *bpp, IfppSpan in, GError **error)
{
	static const guint8 install[] = { 0x82, 0x01, 0x01 };
	static const guint8 aes[] = { 0x80, 0x01, 0x88, 0x81, 0x01, 0x10 };
	const guint8 *start = in.data;
	IfppTlv tlv, crt;

	if (!ifpp_tlv_expect(&in, 0x82, "remoteOpId", &tlv, error))
		return FALSE;
	if (!ifpp_span_equal(tlv.whole, IFPP_SPAN(install)))
		return fail(error, "remoteOpId is not installBoundProfilePackage");
	if (!ifpp_tlv_expect(&in, 0x80, "transactionId", &tlv, error))
		return FALSE;
	if (tlv.value.len < 1 || tlv.value.len > 16)
		return fail(error, "transactionId is not 1 to 16 bytes");
	bpp->transaction_id = tlv.value;

	if (!ifpp_tlv_expect(&in, 0xA6, "controlRefTemplate", &crt, error))
		return FALSE;
	if (crt.value.len < sizeof(aes) || memcmp(crt.value.data, aes, sizeof(aes)) != 0)
		return fail(error, "controlRefTemplate does not say AES with 16-byte keys");
	crt.value.data += sizeof(aes);
	crt.value.len -= sizeof(aes);
	if (!ifpp_tlv_expect(&crt.value, 0x84, "hostId", &tlv, error))
		return FALSE;
	if (tlv.value.len < 1 || tlv.value.len > 16 || crt.value.len)
		return fail(error, "hostId is not 1 to 16 bytes");

	if (!ifpp_tlv_expect(&in, 0x5F49, "otPK.DP", &tlv, error))
		return FALSE;
	if (tlv.value.len != 65)
		return fail(error, "otPK.DP is not 65 bytes");
	bpp->otpk_dp = tlv.value;
	bpp->signed_part = (IfppSpan){ start, in.data - start };

	if (!ifpp_tlv_expect(&in, 0x5F37, "smdpSign", &tlv, error))
		return FALSE;
	if (tlv.value.len != 64)
		return fail(error, "smdpSign is not 64 bytes");
	bpp->sign = tlv.value;
	return in.len == 0 || fail(error, "bytes after smdpSign");
}

/* One protected TLV: whole blocks of ciphertext, or plain bytes, and a MAC. */
static gboolean check_protected(const IfppTlv *tlv, GError **error)
{
	gsize len = tlv->value.len;

	if (tlv->whole.len > PROTECTED_MAX || len <= MAC_LEN)
		return fail(error, "a protected command is too long or too short");
	if (tlv->tag != 0x88 && (len - MAC_LEN) % BLOCK != 0)
		return fail(error, "an encrypted command is not whole blocks");
	return TRUE;
}

/*
 * A sequence of protected commands. It goes to the chip as one segment, or, with @cut, as
 * its header and then each member (SGP.22 2.5.5).
 */
static gboolean parse_sequence(IfppBpp *bpp, const IfppTlv *seq, guint32 member, gboolean cut, GError **error)
{
	IfppSpan in = seq->value;
	IfppSpan header = { seq->whole.data, seq->whole.len - seq->value.len };
	IfppTlv tlv;

	if (in.len == 0)
		return fail(error, "an empty sequence of commands");
	g_array_append_val(bpp->segments, *(cut ? &header : &seq->whole));
	while (in.len) {
		if (!ifpp_tlv_expect(&in, member, "protected command", &tlv, error) ||
		    !check_protected(&tlv, error))
			return FALSE;
		if (cut)
			g_array_append_val(bpp->segments, tlv.whole);
		if (member == 0x88)
			g_byte_array_append(bpp->metadata, tlv.value.data, tlv.value.len - MAC_LEN);
	}
	return TRUE;
}

/* StoreMetadataRequest, SGP.22 5.5.3: only authenticated, so we can read it. */
static gboolean parse_metadata(IfppBpp *bpp, GError **error)
{
	IfppSpan in = { bpp->metadata->data, bpp->metadata->len };
	IfppTlv metadata, tlv;

	if (!ifpp_tlv_expect(&in, 0xBF25, "StoreMetadata", &metadata, error))
		return FALSE;
	if (in.len)
		return fail(error, "bytes after StoreMetadata");
	bpp->profile_class = IFPP_PROFILE_OPERATIONAL;	/* its default */
	for (in = metadata.value; in.len;) {
		if (!ifpp_tlv_next(&in, &tlv, error))
			return FALSE;
		if (tlv.tag == 0x5A) {
			if (tlv.value.len != 10 || bpp->iccid.len)
				return fail(error, "the ICCID is not ten bytes");
			bpp->iccid = tlv.value;
		} else if (tlv.tag == 0x91) {
			if (!g_utf8_validate_len((const char *)tlv.value.data, tlv.value.len, NULL))
				return fail(error, "the service provider's name is not UTF-8");
			bpp->provider = tlv.value;
		} else if (tlv.tag == 0x92) {
			if (!g_utf8_validate_len((const char *)tlv.value.data, tlv.value.len, NULL))
				return fail(error, "the profile name is not UTF-8");
			bpp->profile_name = tlv.value;
		} else if (tlv.tag == 0x95) {
			if (tlv.value.len != 1 || tlv.value.data[0] > IFPP_PROFILE_OPERATIONAL)
				return fail(error, "the profile class is none of the three");
			bpp->profile_class = tlv.value.data[0];
		}
	}
	return TRUE;
}

IfppBpp *ifpp_bpp_parse(GBytes *bytes, GError **error)
{
	g_autoptr(IfppBpp) bpp = g_new0(IfppBpp, 1);
	IfppSpan in = ifpp_span_bytes(bytes), first;
	IfppTlv all, bf23, tlv;

	bpp->bytes = g_bytes_ref(bytes);
	bpp->segments = g_array_new(FALSE, FALSE, sizeof(IfppSpan));
	bpp->metadata = g_byte_array_new();

	if (!ifpp_tlv_expect(&in, 0xBF36, "BoundProfilePackage", &all, error))
		return NULL;
	if (in.len) {
		fail(error, "bytes after the end");
		return NULL;
	}
	in = all.value;
	if (!ifpp_tlv_expect(&in, 0xBF23, "InitialiseSecureChannel", &bf23, error) ||
	    !parse_bf23(bpp, bf23.value, error))
		return NULL;
	first = (IfppSpan){ all.whole.data, in.data - all.whole.data };
	g_array_append_val(bpp->segments, first);

	if (!ifpp_tlv_expect(&in, 0xA0, "firstSequenceOf87", &tlv, error) ||
	    !parse_sequence(bpp, &tlv, 0x87, FALSE, error) ||
	    !ifpp_tlv_expect(&in, 0xA1, "sequenceOf88", &tlv, error) ||
	    !parse_sequence(bpp, &tlv, 0x88, TRUE, error) || !parse_metadata(bpp, error))
		return NULL;
	if (ifpp_tlv_take(&in, 0xA2, &tlv) && !parse_sequence(bpp, &tlv, 0x87, FALSE, error))
		return NULL;
	if (!ifpp_tlv_expect(&in, 0xA3, "sequenceOf86", &tlv, error) ||
	    !parse_sequence(bpp, &tlv, 0x86, TRUE, error))
		return NULL;
	if (in.len) {
		fail(error, "bytes after sequenceOf86");
		return NULL;
	}
	return g_steal_pointer(&bpp);
}

void ifpp_bpp_free(IfppBpp *bpp)
{
	g_bytes_unref(bpp->bytes);
	g_array_unref(bpp->segments);
	g_byte_array_unref(bpp->metadata);
	g_free(bpp);
}

guint ifpp_bpp_n_segments(IfppBpp *bpp)
{
	return bpp->segments->len;
}

IfppSpan ifpp_bpp_segment(IfppBpp *bpp, guint i)
{
	g_assert(i < bpp->segments->len);
	return g_array_index(bpp->segments, IfppSpan, i);
}

IfppSpan ifpp_bpp_transaction_id(IfppBpp *bpp)
{
	return bpp->transaction_id;
}

IfppSpan ifpp_bpp_otpk_dp(IfppBpp *bpp)
{
	return bpp->otpk_dp;
}

IfppSpan ifpp_bpp_iccid(IfppBpp *bpp)
{
	return bpp->iccid;
}

IfppSpan ifpp_bpp_metadata(IfppBpp *bpp)
{
	IfppSpan in = { bpp->metadata->data, bpp->metadata->len };
	IfppTlv metadata;

	return ifpp_tlv_take(&in, 0xBF25, &metadata) ? metadata.value : in;
}

IfppSpan ifpp_bpp_provider(IfppBpp *bpp)
{
	return bpp->provider;
}

IfppSpan ifpp_bpp_profile_name(IfppBpp *bpp)
{
	return bpp->profile_name;
}

guint ifpp_bpp_profile_class(IfppBpp *bpp)
{
	return bpp->profile_class;
}

gboolean ifpp_bpp_verify_sign(IfppBpp *bpp, const guint8 signer[65], const guint8 otpk[65], GError **error)
{
	static const guint8 otpk_header[] = { 0x5F, 0x49, 0x41 };
	IfppSpan parts[] = { bpp->signed_part, IFPP_SPAN(otpk_header), { otpk, 65 } };

	if (!ifpp_point_on_curve(bpp->otpk_dp) || !ifpp_point_on_curve((IfppSpan){ otpk, 65 })) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_POINT,
				    "BoundProfilePackage: a one-time key is not a point of NIST P-256");
		return FALSE;
	}
	if (!ifpp_ecdsa_verify(signer, parts, G_N_ELEMENTS(parts), bpp->sign)) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_SMDP_SIGN,
				    "BoundProfilePackage: smdpSign does not bind it to this one-time key");
		return FALSE;
	}
	return TRUE;
}
