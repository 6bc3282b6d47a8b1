// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include <gnutls/pkcs7.h>

#include "error.h"
#include "package.h"
#include "testpki.h"

static TestPki *pki;
static TestId *otk;
static guint8 eid[16], otpk[65];
static GBytes *bpp, *good, *attributes;

/* What the daemon does with a package: TRUE only if it may go to the chip. */
static gboolean accepted(GBytes *file, IfppTrust *trust, GError **error)
{
	g_autoptr(IfppPackage) package = ifpp_package_open(file, trust, error);

	return package && ifpp_package_check_chip(package, eid, otpk, error);
}

static void refused(GBytes *file, int code, const char *why)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(accepted(file, pki->trust, &error));
	g_assert_error(error, IFPP_ERROR, code);
	if (!strstr(error->message, why))
		g_error("'%s' does not say '%s'", error->message, why);
}

static void test_good(void)
{
	g_autoptr(IfppPackage) package = NULL;
	GError *error = NULL;

	g_assert_true(accepted(good, pki->trust, &error));
	g_assert_no_error(error);
	g_assert_true(accepted(attributes, pki->trust, &error));
	g_assert_no_error(error);
	package = ifpp_package_open(good, pki->trust, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(ifpp_package_header(package)->eid, 16, eid, 16);
	g_assert_cmpuint(ifpp_package_header(package)->body_len, ==, g_bytes_get_size(good) - 64);
	g_assert_cmpuint(ifpp_bpp_n_segments(ifpp_package_bpp(package)), ==, 7);
	g_assert_cmpuint(ifpp_package_chain(package)->len, ==, 1);
	g_assert_true(g_bytes_equal(ifpp_package_chain(package)->pdata[0], pki->dppb->der));
}

static void test_sub_ca(void)
{
	const TestSpec sub = {.cn = "CI SubCA", .role = IFPP_ROLE_CI, .ca = TRUE, .pathlen = 1, .serial = 7};
	g_autoptr(TestId) ca = test_id_new(&sub, pki->ci);
	g_autoptr(TestId) dppb = test_id_new(&test_spec_dppb, ca);
	g_autoptr(GBytes) sub_bpp = test_bpp_new(dppb, otpk);
	TestId *list[] = { ca, NULL };
	g_autoptr(GBytes) file = test_package_new(dppb, list, eid, otpk, sub_bpp);
	g_autoptr(GBytes) short_file = test_package_new(dppb, NULL, eid, otpk, sub_bpp);
	g_autoptr(IfppPackage) package = NULL;
	GError *error = NULL;

	g_assert_true(accepted(file, pki->trust, &error));
	g_assert_no_error(error);
	package = ifpp_package_open(file, pki->trust, &error);
	g_assert_cmpuint(ifpp_package_chain(package)->len, ==, 2);
	g_assert_true(g_bytes_equal(ifpp_package_chain(package)->pdata[0], dppb->der));
	refused(short_file, IFPP_ERROR_CHAIN, "not a configured CI root");
}

static GBytes *patch(gsize at, const char *bytes, gsize n)
{
	gsize len;
	guint8 *copy = g_memdup2(g_bytes_get_data(good, &len), g_bytes_get_size(good));

	memcpy(copy + at, bytes, n);
	return g_bytes_new_take(copy, len);
}

static void test_header(void)
{
	static const struct {
		gsize at;
		const char *bytes;
		gsize len;
		IfppError code;
		const char *why;
	} cases[] = {
		{ 0, "IFPQ", 4, IFPP_ERROR_HEADER, "not a sealed package" },
		{ 4, "\0\2", 2, IFPP_ERROR_HEADER, "version" },
		{ 6, "\0\x41", 2, IFPP_ERROR_HEADER, "64" },
		{ 8, "\0\0\0\0", 4, IFPP_ERROR_LENGTH, "should have 0 bytes" },
		{ 12, "\0\0\0\1", 4, IFPP_ERROR_HEADER, "flags" },
		{ 16, "\x12", 1, IFPP_ERROR_HEADER_MISMATCH, "signed" },
		{ 32, "\0\0\0\0", 4, IFPP_ERROR_HEADER_MISMATCH, "signed" },
	};
	g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
	g_autoptr(GBytes) only_header = g_bytes_new_from_bytes(good, 0, 64);
	g_autoptr(GByteArray) large = g_byte_array_new();
	g_autoptr(GBytes) too_large = NULL;
	g_autoptr(GBytes) longer = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) file = patch(cases[i].at, cases[i].bytes, cases[i].len);

		refused(file, cases[i].code, cases[i].why);
	}
	refused(empty, IFPP_ERROR_LENGTH, "empty");
	refused(only_header, IFPP_ERROR_LENGTH, "has 0");
	g_byte_array_append(large, g_bytes_get_data(good, NULL), g_bytes_get_size(good));
	g_byte_array_set_size(large, large->len + 1);
	longer = g_bytes_new(large->data, large->len);
	refused(longer, IFPP_ERROR_LENGTH, "after its header");
	g_byte_array_set_size(large, IFPP_PACKAGE_MAX + 1);
	too_large = g_bytes_new(large->data, large->len);
	refused(too_large, IFPP_ERROR_TOO_LARGE, "256 KiB");
	for (gsize len = 0; len < g_bytes_get_size(good); len++) {
		g_autoptr(GBytes) cut = g_bytes_new_from_bytes(good, 0, len);

		g_assert_false(accepted(cut, pki->trust, NULL));
	}
}

/* A package around @cms whose header says the right length but is not what was signed. */
static GBytes *wrap_cms(GBytes *cms)
{
	IfppHeader header = { .body_len = g_bytes_get_size(cms) };
	guint8 raw[64];

	memcpy(header.eid, eid, 16);
	ifpp_key_id(otpk, header.key_id);
	ifpp_header_write(&header, raw);
	return test_package_wrap(raw, cms);
}

static void test_signers(void)
{
	g_autoptr(TestPki) other = test_pki_new();
	g_autoptr(GBytes) stranger_bpp = test_bpp_new(other->dppb, otpk);
	g_autoptr(GBytes) stranger = test_package_new(other->dppb, NULL, eid, otpk, stranger_bpp);
	g_autoptr(GBytes) eum = test_package_new(pki->eum, NULL, eid, otpk, bpp);
	/* Sealed by the right Key Maker, but the profile inside was bound by somebody else. */
	g_autoptr(GBytes) foreign = test_package_new(pki->dppb, NULL, eid, otpk, stranger_bpp);
	TestId *extra[] = { other->ci, NULL };
	g_autoptr(GBytes) more = test_package_new(pki->dppb, extra, eid, otpk, bpp);
	g_autoptr(IfppPackage) package = NULL;
	g_autoptr(GError) error = NULL;
	guint8 wrong[65], eid2[16];

	refused(stranger, IFPP_ERROR_CHAIN, "not a configured CI root");
	refused(eum, IFPP_ERROR_ROLE, "role");
	refused(foreign, IFPP_ERROR_SMDP_SIGN, "smdpSign");
	refused(more, IFPP_ERROR_CHAIN, "not part of the chain");

	package = ifpp_package_open(good, pki->trust, NULL);
	memcpy(eid2, eid, 16);
	eid2[15] ^= 1;
	g_assert_false(ifpp_package_check_chip(package, eid2, otpk, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_WRONG_EID);
	g_clear_error(&error);
	g_assert_false(ifpp_package_check_chip(package, eid, NULL, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_UNKNOWN_KEY);
	g_clear_error(&error);
	test_id_point(other->dppb, wrong);
	g_assert_false(ifpp_package_check_chip(package, eid, wrong, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_UNKNOWN_KEY);
}

/* Envelopes that a tolerant reader would take. */
static void test_strict(void)
{
	const unsigned int usual = GNUTLS_PKCS7_EMBED_DATA | GNUTLS_PKCS7_INCLUDE_CERT;
	const guint8 other_header[IFPP_HEADER_LEN] = "IFPP";
	g_autoptr(GBytes) content = ifpp_package_content(other_header, ifpp_span_bytes(bpp));
	g_autoptr(GBytes) detached =
		test_cms_new(pki->dppb, NULL, ifpp_span_bytes(content), GNUTLS_PKCS7_INCLUDE_CERT);
	g_autoptr(GBytes) no_cert =
		test_cms_new(pki->dppb, NULL, ifpp_span_bytes(content), GNUTLS_PKCS7_EMBED_DATA);
	g_autoptr(GBytes) text = test_cms_new(pki->dppb, NULL, (IfppSpan){(const guint8 *)"hello", 5}, usual);
	g_autoptr(GBytes) plain = test_cms_new(pki->dppb, NULL, ifpp_span_bytes(content), usual);
	g_autoptr(GBytes) not_cms = g_bytes_new("0123456789", 10);
	GBytes *list[] = { detached, no_cert, text, plain, not_cms };
	static const struct {
		IfppError code;
		const char *why;
	} expected[] = {
		{ IFPP_ERROR_CMS_STRICT, "encapsulated content" },
		{ IFPP_ERROR_CMS_STRICT, "certificates" },
		{ IFPP_ERROR_TLV, "package content" },
		{ IFPP_ERROR_HEADER_MISMATCH, "not the one that was signed" },
		{ IFPP_ERROR_CMS, "not a CMS SignedData" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(list); i++) {
		g_autoptr(GBytes) file = wrap_cms(list[i]);

		refused(file, expected[i].code, expected[i].why);
	}
}

/*
 * Every value of every byte: what is not covered by a signature is fixed, so not one of them may
 * pass. The point where a change is noticed does not matter, only that it is.
 */
static void test_every_mutation(gconstpointer package)
{
	gsize len;
	const guint8 *bytes = g_bytes_get_data((GBytes *)package, &len);
	guint8 *copy = g_memdup2(bytes, len);
	guint step = g_test_quick() ? 0 : 1;
	guint tried = 0;

	for (gsize i = 0; i < len; i++) {
		for (guint mask = 1; mask < 256; mask++) {
			g_autoptr(GBytes) file = NULL;

			/* In quick mode every single-bit flip and one other; all 255 with -m slow. */
			if (!step && (mask & (mask - 1)) != 0 && mask != 0xFF)
				continue;
			copy[i] = bytes[i] ^ mask;
			file = g_bytes_new_static(copy, len);
			if (accepted(file, pki->trust, NULL))
				g_error("byte %zu changed from %02x to %02x is accepted", i, bytes[i],
					copy[i]);
			tried++;
		}
		copy[i] = bytes[i];
	}
	g_test_message("%u mutations of %zu bytes", tried, len);
	g_assert_cmpuint(tried, >=, 9 * len);
	g_free(copy);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	pki = test_pki_new();
	otk = test_otk_new();
	test_eid(eid);
	test_id_point(otk, otpk);
	bpp = test_bpp_new(pki->dppb, otpk);
	good = test_package_new(pki->dppb, NULL, eid, otpk, bpp);
	attributes = test_package_new_with_attributes(pki->dppb, NULL, eid, otpk, bpp);

	g_test_add_func("/package/good", test_good);
	g_test_add_func("/package/sub-ca", test_sub_ca);
	g_test_add_func("/package/header", test_header);
	g_test_add_func("/package/signers", test_signers);
	g_test_add_func("/package/strict", test_strict);
	g_test_add_data_func("/package/every-mutation", good, test_every_mutation);
	g_test_add_data_func("/package/every-mutation-attributes", attributes, test_every_mutation);
	rc = g_test_run();
	g_bytes_unref(good);
	g_bytes_unref(attributes);
	g_bytes_unref(bpp);
	test_id_free(otk);
	test_pki_free(pki);
	return rc;
}
