/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What wraps profile protection keys: a key that never leaves the token, beside the signing key and named as it, with
 * "-ppk" after it. How depends on what the token offers.
 */
#ifndef SMDPF_WRAP_H
#define SMDPF_WRAP_H

#include "tlv.h"

typedef enum {
	WRAP_PKCS1,		/* RSAES-PKCS1-v1_5: what was made earlier is read, nothing new is made */
	WRAP_OAEP_SHA256,	/* RSAES-OAEP with SHA-256 and MGF1 with SHA-256 */
	WRAP_OAEP_SHA1,
	WRAP_AES_KW,		/* AES-256, CKM_AES_KEY_WRAP */
	WRAP_AES_KWP,		/* CKM_AES_KEY_WRAP_PAD */
	WRAP_METHODS
} WrapMethod;

#define WRAP_LEN 80		/* bytes that are wrapped: a multiple of 8 for WRAP_AES_KW */

typedef struct _Wrap Wrap;

Wrap *wrap_new(const char *key_url);	/* of the signing key; nothing is opened yet */
void wrap_free(Wrap *wrap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wrap, wrap_free)

/**
 * wrap_choose() - the first method of WrapMethod, but the oldest, that the token offers and that works
 * @wrap: has the key made in the token, unless it is there
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN; TOKEN too when the key could leave the token, or it offers none
 */
gboolean wrap_choose(Wrap *wrap, GError **error);
WrapMethod wrap_method(const Wrap *wrap);

/* By the chosen method; @out is appended to. IFPP_ERROR_TOKEN, PIN */
gboolean wrap_put(Wrap *wrap, const guint8 secret[WRAP_LEN], GByteArray *out, GError **error);

/**
 * wrap_take() - unwrap
 * @method: by which it was wrapped
 * @wrapped: what wrap_put() made
 * @secret: gets it, to be wiped; undefined when @ok is not set
 * @ok: it was wrapped by this key and not altered, as far as the method tells
 * @error: IFPP_ERROR_TOKEN, IFPP_ERROR_PIN: the token did not do it
 */
gboolean wrap_take(Wrap *wrap, WrapMethod method, IfppSpan wrapped, guint8 secret[WRAP_LEN], gboolean *ok, GError **error);

#endif
