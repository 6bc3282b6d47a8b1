// SPDX-License-Identifier: LGPL-2.1-or-later
/* P-256 keys held by us, and ECDSA in RSP's plain format for any GnuTLS key. */
#include "bsp.h"
#include "error.h"
#include "x509.h"

#include <gnutls/crypto.h>
#include <nettle/curve25519.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <string.h>

struct _IfppEcKey {
	gnutls_privkey_t priv;
	guint8 point[65];
};

/* GnuTLS drops or adds leading zeros; RSP wants exactly 32 bytes. */
static gboolean fixed32(const gnutls_datum_t *in, guint8 out[32])
{
	const guint8 *data = in->data;
	gsize len = in->size;

	while (len > 32 && !*data) {
		data++;
		len--;
	}
	if (len > 32)
		return FALSE;
	memset(out, 0, 32 - len);
	memcpy(out + 32 - len, data, len);
	return TRUE;
}

static gboolean internal(int ret, const char *what, GError **error)
{
	if (ret >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "%s: %s", what, gnutls_strerror(ret));
	return FALSE;
}

/**
 * ifpp_ec_key_generate() - a fresh random key pair
 * @error: IFPP_ERROR_INTERNAL
 */
IfppEcKey *ifpp_ec_key_generate(GError **error)
{
	g_autoptr(IfppEcKey) key = g_new0(IfppEcKey, 1);
	gnutls_datum_t x = {}, y = {};
	gnutls_ecc_curve_t curve;
	gboolean ok;
	int ret;

	if (!internal(gnutls_privkey_init(&key->priv), "key", error))
		return NULL;
	ret = gnutls_privkey_generate(key->priv, GNUTLS_PK_ECDSA,
				      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (!internal(ret, "key generation", error))
		return NULL;
	ret = gnutls_privkey_export_ecc_raw2(key->priv, &curve, &x, &y, NULL, 0);
	if (!internal(ret, "new key", error))
		return NULL;
	key->point[0] = 0x04;
	ok = fixed32(&x, key->point + 1) && fixed32(&y, key->point + 33);
	gnutls_free(x.data);
	gnutls_free(y.data);
	if (!ok) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "new key: not on P-256");
		return NULL;
	}
	return g_steal_pointer(&key);
}

static void wipe_mpz(mpz_t n)
{
	gsize limbs = mpz_size(n);

	if (limbs)
		gnutls_memset(mpz_limbs_modify(n, limbs), 0, limbs * sizeof(mp_limb_t));
	mpz_clear(n);
}

static void put_mpz(const mpz_t n, guint8 out[32])
{
	gsize len = (mpz_sizeinbase(n, 2) + 7) / 8; /* at most 32: below the field's prime */

	memset(out, 0, 32);
	mpz_export(out + 32 - len, NULL, 1, 1, 1, 0, n);
}

/* Public point of a scalar. GnuTLS imports a key only together with its point. */
static gboolean point_of(const guint8 scalar[32], guint8 point[65])
{
	const struct ecc_curve *curve = nettle_get_secp_256r1();
	struct ecc_scalar s;
	struct ecc_point p;
	mpz_t n, x, y;
	gboolean ok;

	mpz_inits(n, x, y, NULL);
	ecc_scalar_init(&s, curve);
	ecc_point_init(&p, curve);

	mpz_import(n, 32, 1, 1, 1, 0, scalar);
	ok = ecc_scalar_set(&s, n);
	if (ok) {
		ecc_point_mul_g(&p, &s);
		ecc_point_get(&p, x, y);
		point[0] = 0x04;
		put_mpz(x, point + 1);
		put_mpz(y, point + 33);
		/* nettle frees without wiping: overwrite the limbs with 1 */
		wipe_mpz(n);
		mpz_init_set_ui(n, 1);
		ecc_scalar_set(&s, n);
	}
	wipe_mpz(n);
	mpz_clears(x, y, NULL);
	ecc_scalar_clear(&s);
	ecc_point_clear(&p);
	return ok;
}

/**
 * ifpp_ec_key_import() - a key pair from its private scalar
 * @scalar: big-endian, 1 up to the group order less 1
 * @error: IFPP_ERROR_INTERNAL
 */
IfppEcKey *ifpp_ec_key_import(const guint8 scalar[32], GError **error)
{
	g_autoptr(IfppEcKey) key = g_new0(IfppEcKey, 1);
	gnutls_datum_t x = { key->point + 1, 32 }, y = { key->point + 33, 32 };
	gnutls_datum_t k = { (guint8 *)scalar, 32 };
	int ret;

	if (!point_of(scalar, key->point)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "private key: out of range");
		return NULL;
	}
	if (!internal(gnutls_privkey_init(&key->priv), "key", error))
		return NULL;
	ret = gnutls_privkey_import_ecc_raw(key->priv, GNUTLS_ECC_CURVE_SECP256R1, &x, &y, &k);
	if (!internal(ret, "private key", error))
		return NULL;
	return g_steal_pointer(&key);
}

/**
 * ifpp_ec_key_export() - the private scalar, for a chip's memory
 * @key: the key
 * @scalar: filled; wipe it
 * @error: IFPP_ERROR_INTERNAL
 */
gboolean ifpp_ec_key_export(IfppEcKey *key, guint8 scalar[32], GError **error)
{
	gnutls_datum_t x = {}, y = {}, k = {};
	gnutls_ecc_curve_t curve;
	gboolean ok;
	int ret;

	ret = gnutls_privkey_export_ecc_raw2(key->priv, &curve, &x, &y, &k, 0);
	if (!internal(ret, "key export", error))
		return FALSE;
	ok = fixed32(&k, scalar);
	gnutls_free(x.data);
	gnutls_free(y.data);
	ifpp_secret_datum_clear(&k);
	if (!ok)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "key export: scalar too long");
	return ok;
}

void ifpp_ec_key_point(IfppEcKey *key, guint8 point[65])
{
	memcpy(point, key->point, 65);
}

gboolean ifpp_ec_key_sign(IfppEcKey *key, const IfppSpan *parts, gsize n_parts, guint8 sig[64], GError **error)
{
	return ifpp_ecdsa_sign(key->priv, parts, n_parts, sig, error);
}

gboolean ifpp_ec_key_derive(IfppEcKey *key, const guint8 peer[65], guint8 zab[32], GError **error)
{
	gnutls_datum_t x = { (guint8 *)peer + 1, 32 }, y = { (guint8 *)peer + 33, 32 };
	gnutls_datum_t secret = {};
	gnutls_pubkey_t pub;
	gboolean ok = FALSE;
	int ret;

	if (!internal(gnutls_pubkey_init(&pub), "peer key", error))
		return FALSE;
	ret = peer[0] == 0x04 ? 0 : GNUTLS_E_INVALID_REQUEST;
	if (ret >= 0)
		ret = gnutls_pubkey_import_ecc_raw(pub, GNUTLS_ECC_CURVE_SECP256R1, &x, &y);
	/* refuses a point off the curve; P-256 has no small subgroup */
	if (ret >= 0)
		ret = gnutls_privkey_derive_secret(key->priv, pub, NULL, &secret, 0);
	if (ret >= 0)
		ok = fixed32(&secret, zab);
	if (!ok)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_POINT, "one-time public key: not a point on P-256");
	ifpp_secret_datum_clear(&secret);
	gnutls_pubkey_deinit(pub);
	return ok;
}

void ifpp_ec_key_free(IfppEcKey *key)
{
	if (!key)
		return;
	if (key->priv)
		gnutls_privkey_deinit(key->priv); /* overwrites the scalar */
	g_free(key);
}

/* Is there a point with this x on P-256: is x^3 - 3x + b a square (SEC 1, 2.3.4)? */
static gboolean has_point(const guint8 x[32])
{
	mpz_t p, b, n, s;
	gboolean ok;

	mpz_init_set_str(p, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16);
	mpz_init_set_str(b, "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", 16);
	mpz_inits(n, s, NULL);
	mpz_import(n, 32, 1, 1, 1, 0, x);
	mpz_mul(s, n, n);
	mpz_sub_ui(s, s, 3);
	mpz_mul(s, s, n);
	mpz_add(s, s, b);
	mpz_mod(s, s, p);
	ok = mpz_cmp(n, p) < 0 && mpz_legendre(s, p) == 1;
	mpz_clears(p, b, n, s, NULL);
	return ok;
}

gboolean ifpp_public_key_sound(IfppSpan key)
{
	static const guint8 one[32] = { 1 }, zero[32];
	guint8 shared[32];

	switch (key.len) {
	case 32:
		/* a private key is a multiple of eight, which takes a point of small order to zero */
		curve25519_mul(shared, one, key.data);
		return memcmp(shared, zero, sizeof(zero)) != 0;
	case 33:
		return (key.data[0] == 0x02 || key.data[0] == 0x03) && has_point(key.data + 1);
	case 65:
		return ifpp_point_on_curve(key);
	default:
		return FALSE;
	}
}

gboolean ifpp_ecdsa_sign(gnutls_privkey_t key, const IfppSpan *parts, gsize n_parts, guint8 sig[64],
			 GError **error)
{
	gnutls_datum_t der = {}, r = {}, s = {};
	guint8 digest[32];
	gnutls_datum_t hash = { digest, sizeof(digest) };
	gnutls_hash_hd_t hd;
	gboolean ok = FALSE;
	int ret;

	ret = gnutls_hash_init(&hd, GNUTLS_DIG_SHA256);
	if (!internal(ret, "SHA-256", error))
		return FALSE;
	for (gsize i = 0; i < n_parts && ret >= 0; i++)
		ret = gnutls_hash(hd, parts[i].data, parts[i].len);
	gnutls_hash_deinit(hd, digest);

	if (ret >= 0)
		ret = gnutls_privkey_sign_hash2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &hash, &der);
	if (ret >= 0)
		ret = gnutls_decode_rs_value(&der, &r, &s);
	if (ret >= 0)
		ok = fixed32(&r, sig) && fixed32(&s, sig + 32);
	if (!ok)
		g_set_error(error, IFPP_ERROR,
			    gnutls_privkey_get_type(key) == GNUTLS_PRIVKEY_EXT ? IFPP_ERROR_TOKEN :
										    IFPP_ERROR_INTERNAL,
			    "signing key: %s", ret < 0 ? gnutls_strerror(ret) : "not a P-256 signature");
	gnutls_free(der.data);
	gnutls_free(r.data);
	gnutls_free(s.data);
	return ok;
}
