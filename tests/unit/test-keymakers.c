// SPDX-License-Identifier: GPL-2.0-or-later
/* The list of Key Makers: two that it names, a third that it does not; with the real programs, and each kind of line. */
#include <errno.h>
#include <string.h>

#include <glib/gstdio.h>

#include "error.h"
#include "file.h"
#include "station.h"
#include "testpki.h"

static void put_list(const char *dir, const char *text)
{
	g_autofree char *path = g_build_filename(dir, "key-makers", NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void expect(const char *ci_dir, TestId *leaf, int code, const char *why)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(ci_dir, NULL);
	g_autoptr(GError) error = NULL;

	ifpp_trust_set_time(trust, TEST_NOW);
	ifpp_trust_verify(trust, test_id_span(leaf), NULL, IFPP_ROLE_DP_PB, &error);
	if (!code) {
		g_assert_no_error(error);
		return;
	}
	g_assert_error(error, IFPP_ERROR, code);
	if (!strstr(error->message, why))
		g_error("'%s' does not say '%s'", error->message, why);
}

static void test_lines(void)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-test-XXXXXX", NULL), *ci_dir = g_build_filename(dir, "ci", NULL);
	g_autofree char *ci = g_build_filename(ci_dir, "ci.der", NULL), *list = g_build_filename(dir, "key-makers", NULL);
	TestSpec other_spec = test_spec_dppb;
	TestPki *pki = test_pki_new();
	g_autoptr(TestId) other = NULL;
	g_autofree char *ski_hex = NULL, *by_ski = NULL;
	guint8 ski[20];

	other_spec.cn = "Other, with a comma";
	other = test_id_new(&other_spec, pki->ci);
	g_assert_cmpint(g_mkdir(ci_dir, 0700), ==, 0);
	g_assert_true(ifpp_file_write(ci, g_bytes_get_data(pki->ci->der, NULL), g_bytes_get_size(pki->ci->der), 0600, NULL));
	g_assert_true(ifpp_cert_ski(test_id_span(pki->dppb), ski, NULL));
	ski_hex = ifpp_hex(IFPP_SPAN(ski));
	by_ski = g_strdup_printf("# ours\n\nski %s\n", ski_hex);

	expect(ci_dir, pki->dppb, 0, NULL);
	put_list(dir, "# nobody is named yet\n");
	expect(ci_dir, pki->dppb, 0, NULL);
	put_list(dir, by_ski);
	expect(ci_dir, pki->dppb, 0, NULL);
	expect(ci_dir, other, IFPP_ERROR_KEY_MAKER, "does not name this Key Maker");
	put_list(dir, "subject CN=Test DPpb, O=ACME\n");
	expect(ci_dir, pki->dppb, 0, NULL);
	expect(ci_dir, other, IFPP_ERROR_KEY_MAKER, "does not name");
	put_list(dir, "subject O = ACME , CN=Other\\, with a comma");
	expect(ci_dir, other, 0, NULL);
	expect(ci_dir, pki->dppb, IFPP_ERROR_KEY_MAKER, "does not name");
	put_list(dir, "subject CN=Test DPpb, O=Elsewhere\n");
	expect(ci_dir, pki->dppb, IFPP_ERROR_KEY_MAKER, "does not name");
	/* what cannot be understood takes nobody, and says where */
	put_list(dir, "subject CN=Test DPpb\nski 1234\n");
	expect(ci_dir, pki->dppb, IFPP_ERROR_KEY_MAKER, "line 2");
	put_list(dir, "Test DPpb\n");
	expect(ci_dir, pki->dppb, IFPP_ERROR_KEY_MAKER, "line 1");
	put_list(dir, "subject CN=\n");
	expect(ci_dir, pki->dppb, IFPP_ERROR_KEY_MAKER, "line 1");
	g_unlink(list);
	g_assert_cmpint(g_mkdir(list, 0700), ==, 0);
	expect(ci_dir, pki->dppb, IFPP_ERROR_KEY_MAKER, "key-makers");
	station_remove(dir);
	test_pki_free(pki);
}

/* One more Key Maker under the same CI, with a token key of its own. */
static char *add_key_maker(World *world, const char *name, const char *cert)
{
	g_autofree char *home = g_build_filename(world->dir, name, NULL), *pub = g_build_filename(home, "dppb.pub.pem", NULL);
	g_autofree char *key = g_strdup_printf("pkcs11:token=ifpp;object=%s", name);
	g_autofree char *ci = g_build_filename(world->pki, "ci.pem", NULL);

	g_assert_cmpint(station_run("ifpp-smdpf", "init", "--home", home, "--key", key, "--pin-file", world->pin, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-eum", "pki", "dppb", world->pki, "--public-key", pub, "--out", cert, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "certificate", "--home", home, cert, "--ci", ci, NULL), ==, 0);
	return g_steal_pointer(&home);
}

static char *ski_line(const char *cert)
{
	g_autoptr(GBytes) pem = ifpp_file_read(cert, 65536, NULL);
	g_autofree char *hex = NULL;
	gnutls_datum_t in, der;
	guint8 ski[20];
	gsize len;

	in.data = (guint8 *)g_bytes_get_data(pem, &len);
	in.size = len;
	g_assert_cmpint(gnutls_pem_base64_decode2("CERTIFICATE", &in, &der), ==, 0);
	g_assert_true(ifpp_cert_ski((IfppSpan){ der.data, der.size }, ski, NULL));
	gnutls_free(der.data);
	hex = ifpp_hex(IFPP_SPAN(ski));
	return g_strdup_printf("ski %s\n", hex);
}

static void test_foreign(void)
{
	World *world = world_new();
	g_autofree char *ours = g_build_filename(world->dir, "dppb.pem", NULL);
	g_autofree char *their_cert = g_build_filename(world->dir, "their.pem", NULL);
	g_autofree char *their_home = add_key_maker(world, "their", their_cert), *our_line = ski_line(ours);
	g_autofree char *their_line = ski_line(their_cert), *both = g_strconcat(our_line, their_line, NULL);
	g_autofree char *our_home = world->home;
	g_autoptr(GPtrArray) packages = NULL;
	Station *station = station_new(world, 1);
	guint reason, apdus;

	world->home = their_home;
	packages = station_seal(station, 1);
	world->home = g_steal_pointer(&our_home);
	station_up(station, 0, NULL);
	put_list(world->dir, our_line);
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, &apdus), ==, -EKEYREJECTED);
	g_assert_cmpuint(reason, ==, IFPP_ERROR_KEY_MAKER);
	g_assert_cmpuint(apdus, ==, 0);
	/* named, without a restart, it loads */
	put_list(world->dir, both);
	g_assert_cmpint(station_load(station, packages->pdata[0], &reason, &apdus), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_free(station);
	world_free(world);
}

/* Ask @home with the key that is assigned to it, and have it sealed; the one package. */
static GBytes *order_from(Station *station, const char *home, const char *name)
{
	World *world = station->world;
	g_autofree char *request = g_strdup_printf("%s/%s.ifppr", world->dir, name);
	g_autofree char *out = g_strdup_printf("%s/%s-packages", world->dir, name);
	g_autofree char *assignments = g_build_filename(world->dir, "assignments", NULL), *path = NULL;
	g_autoptr(GDir) dir = NULL;

	g_assert_cmpint(station_run("ifppctl", "request", "-o", request, "--for", name, "--keys", "1", "--assignments",
				    assignments, "--order", name, station->data, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "import", "--home", home, request, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "seal", "--home", home, "--pin-file", world->pin, "--request", name, "--out",
				    out, NULL), ==, 0);
	dir = g_dir_open(out, 0, NULL);
	path = g_build_filename(out, g_dir_read_name(dir), NULL);
	g_assert_null(g_dir_read_name(dir));
	return ifpp_file_read(path, 1 << 20, NULL);
}

/* Two Key Makers, one chip: neither seals to the other's key, and both packages load. */
static void test_two(void)
{
	World *world = world_new();
	g_autofree char *their_cert = g_build_filename(world->dir, "their.pem", NULL);
	g_autofree char *their_home = add_key_maker(world, "their", their_cert);
	Station *station = station_new(world, 2);
	g_autoptr(GBytes) ours = order_from(station, world->home, "A"), theirs = order_from(station, their_home, "B");

	station_up(station, 0, NULL);
	g_assert_cmpint(station_load(station, theirs, NULL, NULL), ==, 0);
	g_assert_cmpint(station_load(station, ours, NULL, NULL), ==, 0);
	g_assert_cmpint(station_daemon_stop(station), ==, 0);
	station_free(station);
	world_free(world);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/key-makers/lines", test_lines);
	g_test_add_func("/key-makers/foreign_key_maker_refused", test_foreign);
	g_test_add_func("/key-makers/two_key_makers", test_two);
	return g_test_run();
}
