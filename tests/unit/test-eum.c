// SPDX-License-Identifier: GPL-2.0-or-later
/* The test PKI and the birth of chips, judged by the library's own verification. */
#include <string.h>

#include <glib/gstdio.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "chipkit.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "personalise.h"

static char *in_dir(Kit *kit, const char *name)
{
	return g_build_filename(kit->dir, name, NULL);
}

static GPtrArray *list_of(GBytes *der)
{
	GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

	g_ptr_array_add(list, g_bytes_ref(der));
	return list;
}

static void test_chain(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	const IfppChipMem *mem = chip_memory(kit->chip);
	g_autoptr(GPtrArray) eum = list_of(mem->cert_eum);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) rid = NULL;
	guint8 eid[16], ski[20], point[65], sha1[20];

	ifpp_trust_verify(kit->trust, ifpp_span_bytes(mem->cert_euicc), eum, IFPP_ROLE_EUICC, &error);
	g_assert_no_error(error);
	ifpp_trust_verify(kit->trust, ifpp_span_bytes(kit->dp_cert), NULL, IFPP_ROLE_DP_PB, &error);
	g_assert_no_error(error);
	g_assert_false(ifpp_trust_verify(kit->trust, ifpp_span_bytes(kit->dp_cert), NULL, IFPP_ROLE_DP_AUTH,
					 &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_ROLE);
	g_assert_true(ifpp_cert_eid(ifpp_span_bytes(mem->cert_euicc), eid, NULL));
	g_assert_cmpmem(eid, 16, kit->eid, 16);
	rid = ifpp_cert_registered_id(ifpp_span_bytes(kit->dp_cert));
	g_assert_cmpmem(g_bytes_get_data(rid, NULL), g_bytes_get_size(rid), "\x88\x37\x0a", 3);	/* 2.999.10 */
	/* SKI is SHA-1 of the key bits, not of the SPKI */
	g_assert_true(ifpp_cert_ski(ifpp_span_bytes(kit->dp_cert), ski, NULL));
	g_assert_true(ifpp_cert_point(ifpp_span_bytes(kit->dp_cert), point, NULL));
	gnutls_hash_fast(GNUTLS_DIG_SHA1, point, sizeof(point), sha1);
	g_assert_cmpmem(ski, 20, sha1, 20);
}

static void test_profile(void)
{
	g_autoptr(Kit) kit = kit_new(1);
	GBytes *der = chip_memory(kit->chip)->cert_euicc;
	gnutls_datum_t datum = { (void *)g_bytes_get_data(der, NULL), g_bytes_get_size(der) };
	gnutls_x509_crt_t crt;
	char text[256];
	size_t len = sizeof(text);
	unsigned int usage, critical;

	g_assert_cmpint(gnutls_x509_crt_init(&crt), ==, 0);
	g_assert_cmpint(gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER), ==, 0);
	g_assert_cmpint(gnutls_x509_crt_get_version(crt), ==, 3);
	g_assert_cmpint(gnutls_x509_crt_get_key_usage(crt, &usage, &critical), ==, 0);
	g_assert_cmpuint(usage, ==, GNUTLS_KEY_DIGITAL_SIGNATURE);
	g_assert_true(critical);
	g_assert_cmpint(gnutls_x509_crt_get_dn_by_oid(crt, "2.5.4.5", 0, 0, text, &len), ==, 0);
	g_assert_cmpstr(text, ==, KIT_EID);
	len = sizeof(text);
	g_assert_cmpint(gnutls_x509_crt_get_dn_by_oid(crt, "2.5.4.10", 0, 0, text, &len), ==, 0);
	g_assert_cmpstr(text, ==, "Kit EUM");
	for (int i = 0;; i++) {
		len = sizeof(text);
		g_assert_cmpint(gnutls_x509_crt_get_extension_info(crt, i, text, &len, &critical), ==, 0);
		if (!strcmp(text, "2.5.29.32"))
			break;
	}
	g_assert_true(critical);
	gnutls_x509_crt_deinit(crt);
}

static void test_data(void)
{
	g_autoptr(Kit) kit = kit_new(3);
	g_autoptr(GBytes) file = ifpp_file_read(kit->data_file, 1 << 20, NULL);
	g_autoptr(IfppFactoryInfo) info = NULL;
	g_autoptr(GError) error = NULL;
	IfppSpan ff21, bf22, whole = ifpp_span_bytes(file);
	guint8 eid[16];

	ifpp_euicc_data_parse(whole, eid, &ff21, &bf22, &error);
	g_assert_no_error(error);
	info = ifpp_factory_info_parse(ff21, &error);
	g_assert_no_error(error);
	ifpp_factory_info_verify(info, kit->eid, kit->trust, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(info->keys->len, ==, 3);
	/* public data only */
	for (guint i = 0; i < 3; i++)
		g_assert_null(memmem(whole.data, whole.len,
				     g_array_index(chip_memory(kit->chip)->keys, IfppChipKey, i).scalar, 32));
}

static void test_crl(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	g_autofree char *crl = in_dir(kit, "x.crl"), *cert = in_dir(kit, "dp.pem");
	char *revoke[] = { cert, NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) empty = NULL;
	g_autoptr(GBytes) full = NULL;

	g_assert_true(pki_crl(kit->pki, "ci", NULL, crl, 30, &error));
	empty = ifpp_file_read(crl, 65536, NULL);
	g_assert_true(ifpp_trust_add_crl(kit->trust, ifpp_span_bytes(empty), &error));
	g_assert_true(ifpp_trust_verify(kit->trust, ifpp_span_bytes(kit->dp_cert), NULL, IFPP_ROLE_DP_PB,
					&error));
	g_assert_true(pki_crl(kit->pki, "ci", revoke, crl, 30, &error));
	full = ifpp_file_read(crl, 65536, NULL);
	g_assert_true(ifpp_trust_add_crl(kit->trust, ifpp_span_bytes(full), &error));
	g_assert_false(ifpp_trust_verify(kit->trust, ifpp_span_bytes(kit->dp_cert), NULL, IFPP_ROLE_DP_PB,
					 &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_REVOKED);
	g_clear_error(&error);
	revoke[0] = kit->chip_file;
	g_assert_false(pki_crl(kit->pki, "ci", revoke, crl, 30, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
}

/* A CRL of each CA that a PKI has revokes what that CA issued. */
static void test_variants(void)
{
	static const char *const names[] = { "O", "Ov3", "A", "B", "C" };
	static const char *const cas[] = { "ci", "ci-sub", "eum", "eum-sub", "dp-sub" };
	static const guint made[] = { 2, 2, 4, 3, 5 };

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(Kit) kit = kit_new(0);
		g_autofree char *pki = in_dir(kit, names[i]), *chip = in_dir(kit, "v.chip"), *data = in_dir(kit, "v.euicc");
		g_autofree char *crl = in_dir(kit, "x.crl");
		g_autoptr(IfppFactoryInfo) info = NULL;
		g_autoptr(IfppTrust) trust = ifpp_trust_new();
		g_autoptr(PkiEum) eum = NULL;
		g_autoptr(GBytes) file = NULL;
		g_autoptr(GError) error = NULL;
		PkiVariant variant;
		IfppSpan ff21, bf22;
		guint8 eid[16];
		guint found = 0;

		g_assert_true(pki_variant_parse(names[i], &variant, NULL));
		pki_init(pki, variant, "Variant", "89049032", &error);
		g_assert_no_error(error);
		eum = pki_eum_open(pki, &error);
		g_assert_no_error(error);
		personalise(eum, kit->eid, 2, 2, FALSE, chip, data, &error);
		g_assert_no_error(error);
		file = ifpp_file_read(data, 1 << 20, NULL);
		g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(file), eid, &ff21, &bf22, NULL));
		info = ifpp_factory_info_parse(ff21, &error);
		g_assert_no_error(error);
		g_assert_true(ifpp_trust_add_root(trust, ifpp_span_bytes(pki_eum_ci(eum)), NULL));
		ifpp_factory_info_verify(info, kit->eid, trust, &error);
		g_assert_no_error(error);
		for (guint j = 0; j < G_N_ELEMENTS(cas); j++) {
			g_autofree char *cert = g_strdup_printf("%s/%s.pem", pki, cas[j]);

			if (g_file_test(cert, G_FILE_TEST_EXISTS)) {
				found++;
				g_assert_true(pki_crl(pki, cas[j], NULL, crl, 30, &error));
			} else {
				g_assert_false(pki_crl(pki, cas[j], NULL, crl, 30, NULL));
			}
		}
		g_assert_cmpuint(found, ==, made[i]);
		g_assert_false(pki_crl(pki, "../ci", NULL, crl, 30, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	}
}

static void test_refusals(void)
{
	g_autoptr(Kit) kit = kit_new(0);
	g_autoptr(PkiEum) eum = pki_eum_open(kit->pki, NULL);
	g_autofree char *other = in_dir(kit, "other"), *data = in_dir(kit, "otherdata"),
		*none = in_dir(kit, "none/x");
	g_autofree char *out = in_dir(kit, "out.pem"), *csr = in_dir(kit, "nokey");
	g_autoptr(GError) error = NULL;
	guint8 eid[16];

	g_assert_false(pki_init(kit->pki, PKI_O, "Again", "89049032", &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	g_clear_error(&error);
	g_assert_false(pki_init(other, PKI_O, "Prefix", "8904", &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	g_clear_error(&error);
	g_assert_false(personalise(eum, kit->eid, 1, 2, FALSE, kit->chip_file, data, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	g_clear_error(&error);
	memcpy(eid, kit->eid, 16);
	eid[3] ^= 1;
	g_assert_false(personalise(eum, eid, 1, 2, FALSE, other, data, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CONSTRAINT);
	g_clear_error(&error);
	g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
	/* both files or none */
	g_assert_false(personalise(eum, kit->eid, 1, 2, FALSE, other, none, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
	g_clear_error(&error);
	g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_set_contents(csr, "nothing", -1, NULL));
	for (guint i = 0; i < 2; i++) {
		g_assert_false(pki_dp(kit->pki, IFPP_ROLE_DP_PB, csr, i, "2.999.10", out, 0, 1, &error));
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_IO);
		g_clear_error(&error);
	}
	g_assert_false(pki_dp(kit->pki, IFPP_ROLE_DP_PB, csr, FALSE, "2.999.10", out, 1, 1, &error));
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_USAGE);
	g_assert_false(g_file_test(out, G_FILE_TEST_EXISTS));
}

static void test_next_eid(void)
{
	guint8 eid[16];
	char text[33];

	g_assert_true(ifpp_eid_parse(KIT_EID, eid, NULL));
	g_assert_true(next_eid(eid));
	ifpp_eid_format(eid, text);
	g_assert_cmpstr(text, ==, "89049032123451234512345678901332");
	g_assert_true(ifpp_eid_valid(eid));

	/* a carry, and the last of the range */
	strcpy(text, "89049032123451234512345678999900");
	ifpp_eid_check_digits(text);
	g_assert_true(ifpp_eid_parse(text, eid, NULL));
	g_assert_true(next_eid(eid));
	ifpp_eid_format(eid, text);
	g_assert_true(g_str_has_prefix(text, "890490321234512345123456790000"));
	strcpy(text, "89049032999999999999999999999900");
	ifpp_eid_check_digits(text);
	g_assert_true(ifpp_eid_parse(text, eid, NULL));
	g_assert_false(next_eid(eid));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/eum/chain", test_chain);
	g_test_add_func("/eum/profile", test_profile);
	g_test_add_func("/eum/data", test_data);
	g_test_add_func("/eum/crl", test_crl);
	g_test_add_func("/eum/variants", test_variants);
	g_test_add_func("/eum/refusals", test_refusals);
	g_test_add_func("/eum/next-eid", test_next_eid);
	return g_test_run();
}
