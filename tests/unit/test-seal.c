// SPDX-License-Identifier: GPL-2.0-or-later
/* The whole BoundProfilePackage against published vectors, and opened again as a chip does. */
#include <stdio.h>

#include "vectors.h"
#include "error.h"
#include "seal.h"

#define V_SIGN                                                             \
	"e97432e9ce7b3ad8d4b4a714b95c1634eab6d63db05dfb673db8c96462c1df49" \
	"d2c3469d55fca7ea2afe458b41a026977891b765e82d4aae186f0c5272bbc829"
#define V_SIGNED                                                                       \
	"8201018010" V_TRANSACTION_ID "a610800188810110" "8408" V_HOST_ID "5f4941" V_OTPK_DP \
	"5f4941" V_OTPK_EUICC

static gboolean sign_vector(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	g_autoptr(GByteArray) message = g_byte_array_new();

	for (gsize i = 0; i < n_parts; i++)
		g_byte_array_append(message, parts[i].data, parts[i].len);
	assert_hex(message->data, message->len, V_SIGNED);
	unhex_to(V_SIGN, sig, 64);
	return TRUE;
}

static gboolean sign_key(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	return ifpp_ec_key_sign(user, parts, n_parts, sig, error);
}

static gboolean sign_fails(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token gone");
	return FALSE;
}

typedef struct {
	IfppSealInput in;
	guint8 eid[16], otpk[65], ppk[48];
	GPtrArray *keep;
} Fixture;

static IfppSpan keep(Fixture *f, const char *hex)
{
	GBytes *bytes = unhex(hex);

	g_ptr_array_add(f->keep, bytes);
	return ifpp_span_bytes(bytes);
}

static void setup(Fixture *f, gconstpointer data)
{
	f->keep = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	unhex_to(V_EID, f->eid, 16);
	unhex_to(V_OTPK_EUICC, f->otpk, 65);
	unhex_to(V_PPK_MCV V_PPK_ENC V_PPK_MAC, f->ppk, 48);
	f->in = (IfppSealInput){
		.upp = keep(f, V_UPP),
		.metadata = keep(f, V_METADATA),
		.configure = keep(f, V_CONFIGURE),
		.transaction_id = keep(f, V_TRANSACTION_ID),
		.host_id = keep(f, V_HOST_ID),
		.eid = f->eid,
		.otpk = f->otpk,
		.sign = sign_vector,
	};
}

static void teardown(Fixture *f, gconstpointer data)
{
	g_ptr_array_unref(f->keep);
}

static IfppEcKey *vector_key(const char *hex)
{
	guint8 scalar[32];

	unhex_to(hex, scalar, 32);
	return ifpp_ec_key_import(scalar, NULL);
}

static void check_vector(Fixture *f, gsize len, const char *sha256)
{
	g_autoptr(IfppEcKey) ephemeral = vector_key(V_OTSK_DP);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bpp = ifpp_seal_with_key(&f->in, ephemeral, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(g_bytes_get_size(bpp), ==, len);
	assert_sha256(g_bytes_get_data(bpp, NULL), g_bytes_get_size(bpp), sha256);
}

static void vector_ppk(Fixture *f, gconstpointer data)
{
	f->in.ppk = f->ppk;
	check_vector(f, 407, "5206f3cc6de6b6c9450229d2dd8a7e46751118f2c9f8c367b068739fdf56edbd");
}

/* The profile elements protected long before the chip is known: the same bytes. */
static void vector_protected(Fixture *f, gconstpointer data)
{
	f->in.ppk = f->ppk;
	f->in.upp = (IfppSpan){};
	f->in.protected_86 = keep(f, V_86_PPK);
	check_vector(f, 407, "5206f3cc6de6b6c9450229d2dd8a7e46751118f2c9f8c367b068739fdf56edbd");
}

static void vector_session(Fixture *f, gconstpointer data)
{
	check_vector(f, 331, "abce04b1465350a5be2b202ae534b896e29f1207b8a54545c862201170f5c48b");
}

static void open_into(IfppBsp *bsp, IfppSpan *bpp, guint32 tag, guint32 member, GByteArray *out)
{
	g_autoptr(GError) error = NULL;
	IfppTlv seq, tlv;

	g_assert_true(ifpp_tlv_expect(bpp, tag, "sequence", &seq, &error));
	while (seq.value.len) {
		g_assert_true(ifpp_tlv_expect(&seq.value, member, "segment", &tlv, &error));
		g_assert_true(ifpp_bsp_open(bsp, &tlv, out, &error));
		g_assert_no_error(error);
	}
}

/* As the chip: only the one-time private key and the package, fresh ephemeral key, many segments. */
static void round_trip(Fixture *f, gconstpointer data)
{
	g_autoptr(IfppEcKey) chip = vector_key(V_OTSK_EUICC), dp_pb = ifpp_ec_key_generate(NULL);
	g_autofree guint8 *upp = g_malloc(5000), *metadata = g_malloc(2500);
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) bpp = NULL, again = NULL;
	IfppSpan in;
	IfppTlv tlv, otpk;
	IfppBsp bsp;

	gnutls_rnd(GNUTLS_RND_NONCE, upp, 5000);
	gnutls_rnd(GNUTLS_RND_NONCE, metadata, 2500);
	f->in.upp = (IfppSpan){ upp, 5000 };
	f->in.metadata = (IfppSpan){ metadata, 2500 };
	f->in.sign = sign_key;
	f->in.sign_user = dp_pb;
	if (data)
		f->in.ppk = f->ppk;
	bpp = ifpp_seal(&f->in, &error);
	g_assert_no_error(error);
	again = ifpp_seal(&f->in, &error);
	g_assert_false(g_bytes_equal(bpp, again)); /* forward secrecy: another ephemeral key */

	in = ifpp_span_bytes(bpp);
	g_assert_true(ifpp_tlv_expect(&in, 0xBF36, "BPP", &tlv, &error));
	in = tlv.value;
	g_assert_true(ifpp_tlv_expect(&in, 0xBF23, "BF23", &tlv, &error));
	g_assert_true(ifpp_tlv_find(tlv.value, 0x5F49, &otpk));
	g_assert_true(ifpp_bsp_agree(&bsp, chip, otpk.value.data, f->in.host_id, f->eid, &error));
	open_into(&bsp, &in, 0xA0, 0x87, out);
	g_assert_cmpmem(out->data, out->len, f->in.configure.data, f->in.configure.len);
	g_byte_array_set_size(out, 0);
	open_into(&bsp, &in, 0xA1, 0x88, out);
	g_assert_cmpmem(out->data, out->len, metadata, 2500);
	g_byte_array_set_size(out, 0);
	if (data) {
		open_into(&bsp, &in, 0xA2, 0x87, out);
		assert_hex(out->data, out->len, V_REPLACE);
		g_byte_array_set_size(out, 0);
		ifpp_bsp_set_ppk(&bsp, f->ppk, f->ppk + 16, f->ppk + 32);
	}
	open_into(&bsp, &in, 0xA3, 0x86, out);
	g_assert_cmpmem(out->data, out->len, upp, 5000);
	g_assert_cmpuint(in.len, ==, 0);
}

/* ------------------------------------------------------------ what stays in memory */

/* Secrets to look for, inverted so that the search does not find its own list. */
static struct {
	const char *name;
	guint8 masked[32];
	gsize len;
} needles[8];
static guint n_needles;

static void remember(const char *name, guint8 *secret, gsize len, gboolean reversed)
{
	g_assert_cmpuint(n_needles, <, G_N_ELEMENTS(needles));
	needles[n_needles].name = name;
	needles[n_needles].len = len;
	for (gsize i = 0; i < len; i++)
		needles[n_needles].masked[i] = ~secret[reversed ? len - 1 - i : i];
	n_needles++;
}

#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))

UNCHECKED static gboolean matches(const guint8 *p, guint n)
{
	gsize i;

	for (i = 0; i < needles[n].len && (guint8)~p[i] == needles[n].masked[i]; i++)
		;
	return i == needles[n].len;
}

/* Search everything this process can write to. */
UNCHECKED static const char *find_secret(void)
{
	g_autofree char *maps = NULL;
	g_auto(GStrv) lines = NULL;

	g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
	lines = g_strsplit(maps, "\n", -1);
	for (guint l = 0; lines[l] && *lines[l]; l++) {
		unsigned long from, to;
		char mode[5];

		g_assert_cmpint(sscanf(lines[l], "%lx-%lx %4s", &from, &to, mode), ==, 3);
		/* a sanitizer's shadow is terabytes of nothing */
		if (mode[0] != 'r' || mode[1] != 'w' || to - from > (1ul << 28))
			continue;
		for (const guint8 *p = (const guint8 *)from; p < (const guint8 *)to - 32; p++)
			for (guint n = 0; n < n_needles; n++)
				if ((guint8)~*p == needles[n].masked[0] && matches(p, n))
					return needles[n].name;
	}
	return NULL;
}

/* Not inlined: its stack frame is gone, and soon written over, when it returns. */
__attribute__((noinline)) static IfppEcKey *prepare_secrets(Fixture *f)
{
	IfppEcKey *ephemeral = ifpp_ec_key_generate(NULL);
	guint8 scalar[32], zab[32];
	IfppBsp bsp;

	g_assert_true(ifpp_ec_key_export(ephemeral, scalar, NULL));
	g_assert_true(ifpp_ec_key_derive(ephemeral, f->otpk, zab, NULL));
	g_assert_true(ifpp_bsp_agree(&bsp, ephemeral, f->otpk, f->in.host_id, f->eid, NULL));
	n_needles = 0;
	remember("ephemeral key", scalar, 32, FALSE);
	remember("ephemeral key, as limbs", scalar, 32, TRUE);
	remember("shared secret", zab, 32, FALSE);
	remember("shared secret, as limbs", zab, 32, TRUE);
	remember("S-ENC", bsp.enc, 16, FALSE);
	remember("S-MAC", bsp.mac, 16, FALSE);
	gnutls_memset(scalar, 0, sizeof(scalar));
	gnutls_memset(zab, 0, sizeof(zab));
	ifpp_bsp_wipe(&bsp);
	return ephemeral;
}

static void wiped(Fixture *f, gconstpointer data)
{
	g_autoptr(IfppEcKey) dp_pb = ifpp_ec_key_generate(NULL);

#ifdef __SANITIZE_ADDRESS__
	g_test_skip("the sanitizer's own memory takes minutes to search; the plain build does it");
	return;
#endif
	f->in.sign = sign_key;
	f->in.sign_user = dp_pb;
	if (data)
		f->in.ppk = f->ppk;
	for (guint i = 0; i < 5; i++) {
		IfppEcKey *ephemeral = prepare_secrets(f);
		g_autoptr(GBytes) bpp = ifpp_seal_with_key(&f->in, ephemeral, NULL);
		const char *found;
		guint8 *copy;

		g_assert_nonnull(bpp);
		/* while the key lives the search must find it: a search that finds nothing proves nothing */
		g_assert_nonnull(find_secret());
		ifpp_ec_key_free(ephemeral);
		found = find_secret();
		if (found)
			g_error("%s is still in memory", found);

		/* and each of them, were it left behind */
		for (guint n = 0; n < n_needles; n++) {
			copy = g_malloc(needles[n].len);
			for (gsize j = 0; j < needles[n].len; j++)
				copy[j] = ~needles[n].masked[j];
			g_assert_cmpstr(find_secret(), ==, needles[n].name);
			gnutls_memset(copy, 0, needles[n].len);
			g_free(copy);
		}
	}
}

static void refusals(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	f->in.sign = sign_fails;
	g_assert_null(ifpp_seal(&f->in, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN);
	g_clear_error(&error);

	f->otpk[64] ^= 1;
	g_assert_null(ifpp_seal(&f->in, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_POINT);
	g_clear_error(&error);

	f->in.transaction_id.len = 0;
	g_assert_null(ifpp_seal(&f->in, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL);
	f->in.transaction_id.len = 16;
	f->in.host_id.len = 17;
	g_assert_null(ifpp_seal(&f->in, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, func, data) g_test_add("/seal/" name, Fixture, data, setup, func, teardown)
	ADD("vector/ppk", vector_ppk, NULL);
	ADD("vector/protected", vector_protected, NULL);
	ADD("vector/session", vector_session, NULL);
	ADD("round-trip/session", round_trip, NULL);
	ADD("round-trip/ppk", round_trip, "ppk");
	ADD("wiped/session", wiped, NULL);
	ADD("wiped/ppk", wiped, "ppk");
	ADD("refusals", refusals, NULL);
	return g_test_run();
}
