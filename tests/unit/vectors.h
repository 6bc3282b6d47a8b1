/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vectors computed with an independent implementation (pySim), shared by test-bsp and test-seal. */
#ifndef IFPP_TEST_VECTORS_H
#define IFPP_TEST_VECTORS_H

#include "bsp.h"

#include <gnutls/crypto.h>
#include <string.h>

#define V_OTSK_EUICC "b2061b920a87b2e79c83a80f466df43b4e2eaf9343db70e35dfc408c5ca8d5c5"
#define V_OTPK_EUICC                                                          \
	"04630b0f766a1ca3c543950e6625f4b07fad8d85ea922342cc9e1802c04e9c196e" \
	"8450df16010af08c2660701f389ea34035cc3bbea465493b2bf5d2a8bdb80189"
#define V_OTSK_DP "7c7f81b3532f92d69db9adcc047f5c9b0b7135cad6d13bdf412a84f5dcfdc15b"
#define V_OTPK_DP                                                             \
	"045d88ab0d597dce971d547f7ad3589a0399322e709425c5164016256ad0b8da72" \
	"39824ec9c2c308249df762847b5e96e7f42d3a66a3588ff0aa663026252fc3a7"
#define V_HOST_ID "49465050484f5354"
#define V_EID "89049032123451234512345678901235"
#define V_TRANSACTION_ID "000102030405060708090a0b0c0d0e0f"
#define V_ZAB "7dd02f1be6a97c251111f549f973cccdb7eea04b8740b0981b33bc58ebc4b05c"
#define V_CONFIGURE "bf2400"
#define V_METADATA "bf251d5a0a980010325476981032149104494650509206566563746f72950102"
#define V_PPK_MCV "303132333435363738393a3b3c3d3e3f"
#define V_PPK_ENC "101112131415161718191a1b1c1d1e1f"
#define V_PPK_MAC "202122232425262728292a2b2c2d2e2f"
#define V_REPLACE "bf26368010" V_PPK_MCV "8110" V_PPK_ENC "8210" V_PPK_MAC
#define V_UPP                                                                                            \
	"a026800102810103820454455354830a89000123456789012341a5028100a608060667810f010201aa07a0058000" \
	"810101"
#define V_86_PPK                                                                                       \
	"8648250f860c8b5145be186d10bd1149e7e5309a0d27076a9e6560e8b077a675e14bb59714cb14f1f262889d740b" \
	"af0f79f1ef2e466bc217cf054df37ca4f8b7b67102238f121e1fe99c"

static inline GBytes *unhex(const char *text)
{
	GBytes *bytes = ifpp_unhex(text);

	g_assert_nonnull(bytes);
	return bytes;
}

static inline void unhex_to(const char *text, guint8 *out, gsize len)
{
	g_autoptr(GBytes) bytes = unhex(text);

	g_assert_cmpuint(g_bytes_get_size(bytes), ==, len);
	memcpy(out, g_bytes_get_data(bytes, NULL), len);
}

#define assert_hex(data, len, text)                                           \
	do {                                                                  \
		g_autofree char *hex_ = ifpp_hex((IfppSpan){ data, len });   \
		g_assert_cmpstr(hex_, ==, text);                              \
	} while (0)

static inline void assert_sha256(const guint8 *data, gsize len, const char *text)
{
	guint8 digest[32];

	g_assert_cmpint(gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, digest), ==, 0);
	assert_hex(digest, sizeof(digest), text);
}

#endif
