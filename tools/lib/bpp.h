/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BoundProfilePackage: taking one apart without opening it (SGP.22 2.5.4, 5.5). */
#ifndef IFPP_BPP_H
#define IFPP_BPP_H

#include "tlv.h"

typedef struct _IfppBpp IfppBpp;

/**
 * ifpp_bpp_parse() - check every TLV length of a BF36 and cut it into segments
 * @bytes: the whole BF36 TLV, nothing after it
 * @error: IFPP_ERROR_BPP or IFPP_ERROR_TLV; the message names the place
 */
IfppBpp *ifpp_bpp_parse(GBytes *bytes, GError **error);
void ifpp_bpp_free(IfppBpp *bpp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IfppBpp, ifpp_bpp_free)

/* Segments of LoadBoundProfilePackage, SGP.22 2.5.5: BF36+BF23, A0, A1 header, 88s, A2, A3 header, 86s. */
guint ifpp_bpp_n_segments(IfppBpp *bpp);
IfppSpan ifpp_bpp_segment(IfppBpp *bpp, guint i);
IfppSpan ifpp_bpp_transaction_id(IfppBpp *bpp);
IfppSpan ifpp_bpp_otpk_dp(IfppBpp *bpp);	/* 65 bytes */
/* ICCID out of StoreMetadata (MAC only, so readable): ten bytes, or empty. */
IfppSpan ifpp_bpp_iccid(IfppBpp *bpp);
IfppSpan ifpp_bpp_metadata(IfppBpp *bpp);	/* value of StoreMetadata */
IfppSpan ifpp_bpp_provider(IfppBpp *bpp);	/* serviceProviderName, tag 91, UTF-8, may be empty */
IfppSpan ifpp_bpp_profile_name(IfppBpp *bpp);	/* tag 92, UTF-8, may be empty */

/* ProfileClass, SGP.22 5.5.3: tag 95 */
enum { IFPP_PROFILE_TEST = 0, IFPP_PROFILE_PROVISIONING = 1, IFPP_PROFILE_OPERATIONAL = 2 };
guint ifpp_bpp_profile_class(IfppBpp *bpp);

/**
 * ifpp_bpp_verify_sign() - does smdpSign bind this BPP to one chip's one-time key?
 * @bpp: the package
 * @signer: public key of CERT.DPpb, 65 bytes
 * @otpk: the chip's one-time public key, 65 bytes
 * @error: IFPP_ERROR_SMDP_SIGN, IFPP_ERROR_POINT
 *
 * Signed bytes: the BF23 value up to 5F37, then 5F49 41 otPK.eUICC, which is not transmitted.
 */
gboolean ifpp_bpp_verify_sign(IfppBpp *bpp, const guint8 signer[65], const guint8 otpk[65], GError **error);

#endif
