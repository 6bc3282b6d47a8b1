// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Key Maker's program with a SoftHSM2 token and chips born by ifpp-eum: what it seals is
 * opened with the chip's private key, what it refuses leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include "bundle.h"
#include "chipmem.h"
#include "eid.h"
#include "error.h"
#include "file.h"
#include "package.h"
#include "profile.h"

#define FIRST_EID "89049032123451234512345678901235"
#define LINE_MAX_LEN 400

static char *top, *eum, *smdpf, *ctl;

/* ------------------------------------------------------------ running programs */

static char *out_text, *err_text;

static void new_session(gpointer data)
{
	setsid(); /* no terminal to ask for a PIN on */
}

static rlim_t file_limit = 1000;

static void small_files(gpointer data)
{
	const struct rlimit limit = { file_limit, file_limit };

	new_session(NULL);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
}

static int run_with(GSpawnChildSetupFunc setup, char **argv)
{
	g_autoptr(GError) error = NULL;
	int status;

	g_clear_pointer(&out_text, g_free);
	g_clear_pointer(&err_text, g_free);
	g_spawn_sync(top, argv, NULL, G_SPAWN_SEARCH_PATH, setup, NULL, &out_text, &err_text, &status, &error);
	g_assert_no_error(error);
	if (!WIFEXITED(status))
		g_error("%s died: %s", argv[0], err_text);
	return WEXITSTATUS(status);
}

/* Words separated by spaces; none of ours has one inside. */
static char **words(const char *format, va_list args)
{
	g_autofree char *line = g_strdup_vprintf(format, args);

	return g_strsplit(line, " ", -1);
}

static int run(const char *format, ...) G_GNUC_PRINTF(1, 2);
static int run(const char *format, ...)
{
	g_auto(GStrv) argv = NULL;
	va_list args;

	va_start(args, format);
	argv = words(format, args);
	va_end(args);
	return run_with(new_session, argv);
}

static void must(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void must(const char *format, ...)
{
	g_auto(GStrv) argv = NULL;
	va_list args;
	int code;

	va_start(args, format);
	argv = words(format, args);
	va_end(args);
	code = run_with(new_session, argv);
	if (code)
		g_error("%s %s: exit %d: %s", argv[0], argv[1], code, err_text);
}

/* What ifppctl refuses, or NULL in @says for what it does not. */
static void station(int code, const char *says, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void station(int code, const char *says, const char *format, ...)
{
	g_auto(GStrv) argv = NULL;
	va_list args;
	int got;

	va_start(args, format);
	argv = words(format, args);
	va_end(args);
	got = run_with(new_session, argv);
	if (got != code || (says ? !strstr(err_text, says) : *err_text))
		g_error("exit %d instead of %d, '%s' does not say '%s'", got, code, err_text, says ? says : "");
	if (says)
		g_assert_cmpuint(strcspn(err_text, "\n"), ==, strlen(err_text) - 1);
}

/* The refusal is one line, names the thing and has the documented exit code. */
static void expect(int code, const char *says, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void expect(int code, const char *says, const char *format, ...)
{
	g_auto(GStrv) argv = NULL;
	va_list args;
	int got;

	va_start(args, format);
	argv = words(format, args);
	va_end(args);
	got = run_with(new_session, argv);
	if (got != code || !strstr(err_text, says))
		g_error("exit %d instead of %d, '%s' does not say '%s'", got, code, err_text, says);
	g_assert_true(g_str_has_prefix(err_text, "ifpp-smdpf: "));
	g_assert_cmpuint(strcspn(err_text, "\n"), ==, strlen(err_text) - 1);
	g_assert_cmpuint(strlen(err_text), <, LINE_MAX_LEN);
}

/* ------------------------------------------------------------ the place */

static void remove_all(const char *path)
{
	const char *const argv[] = { "rm", "-rf", path, NULL };

	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

typedef struct {
	IfppTrust *trust;
} Fixture;

static void in_top(void)
{
	g_assert_cmpint(g_chdir(top), ==, 0);
}

/* A token, a PKI and a home that is ready to seal; made once and copied. */
static void make_world(void)
{
	g_autofree char *conf = g_build_filename(top, "softhsm2.conf", NULL);
	g_autofree char *text = g_strdup_printf("directories.tokendir = %s/tokens\nlog.level = ERROR\n", top);

	in_top();
	g_mkdir("tokens", 0700);
	g_assert_true(g_file_set_contents(conf, text, -1, NULL));
	g_setenv("SOFTHSM2_CONF", conf, TRUE);
	g_assert_true(g_file_set_contents("pin", "1234\n", -1, NULL));
	g_assert_true(g_file_set_contents("wrong-pin", "4321\n", -1, NULL));
	g_assert_true(g_file_set_contents("no-pin", "", -1, NULL));
	must("softhsm2-util --init-token --free --label vault --pin 1234 --so-pin 5678");
	must("%s pki init pki", eum);
	must("%s init --home home0 --key pkcs11:token=vault;object=dppb --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "made in the token"));
	must("%s pki dppb pki --public-key home0/dppb.pub.pem --out dppb.pem", eum);
	must("%s certificate --home home0 dppb.pem --ci pki/ci.pem", smdpf);
	must("cp -a tokens tokens0");
}

static void setup(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	in_top();
	remove_all("home");
	remove_all("out");
	remove_all("chips");
	remove_all("data");
	remove_all("factory");
	remove_all("d.ifppd");
	/* the token knows the ledger of the test before */
	remove_all("tokens");
	must("cp -a tokens0 tokens");
	must("cp -a home0 home");
	f->trust = ifpp_trust_new_from_dir("pki", &error);
	g_assert_no_error(error);
}

static void teardown(Fixture *f, gconstpointer data)
{
	ifpp_trust_free(f->trust);
}

/* Chips in chips/, their public data in data/. */
static void make_chips(int n, int keys)
{
	g_mkdir("chips", 0700);
	g_mkdir("data", 0700);
	if (n == 1)
		must("%s personalise --pki pki --eid " FIRST_EID " --keys %d --chip chips/" FIRST_EID
		     ".chip --data data/" FIRST_EID ".euicc",
		     eum, keys);
	else
		must("%s personalise --pki pki --eid " FIRST_EID " --keys %d --chip chips --data data --count %d", eum,
		     keys, n);
}

static GPtrArray *list(const char *path)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		g_ptr_array_add(out, g_build_filename(path, name, NULL));
	return out;
}

static guint count_files(const char *path)
{
	g_autoptr(GPtrArray) names = list(path);

	return names->len;
}

static GBytes *read_file(const char *path)
{
	g_autoptr(GError) error = NULL;
	GBytes *bytes = ifpp_file_read(path, 16 * 1024 * 1024, &error);

	g_assert_no_error(error);
	return bytes;
}

/* Packages in the home, whatever their directory. */
static guint count_stored(void)
{
	g_autoptr(GPtrArray) dirs = list("home/packages");
	guint n = 0;

	for (guint i = 0; i < dirs->len; i++)
		n += count_files(dirs->pdata[i]);
	return n;
}

static gsize count_bytes(const char *path)
{
	g_autoptr(GBytes) bytes = read_file(path);

	return g_bytes_get_size(bytes);
}

/* ------------------------------------------------------------ opening, as a chip does */

static void open_sequence(IfppBsp *bsp, IfppSpan *bpp, guint32 tag, guint32 member, GByteArray *out)
{
	g_autoptr(GError) error = NULL;
	IfppTlv seq, tlv;

	g_byte_array_set_size(out, 0);
	if (!ifpp_tlv_take(bpp, tag, &seq))
		return;
	while (seq.value.len) {
		g_assert_true(ifpp_tlv_expect(&seq.value, member, "segment", &tlv, &error));
		g_assert_cmpuint(tlv.whole.len, <=, 1020);
		g_assert_true(ifpp_bsp_open(bsp, &tlv, out, &error));
		g_assert_no_error(error);
	}
}

typedef struct {
	GByteArray *upp, *metadata;
	guint8 transaction[16];
	guint8 key_id[32];
	guint8 eid[16];
	gboolean ppk;
} Opened;

static void opened_free(Opened *o)
{
	g_byte_array_unref(o->upp);
	g_byte_array_unref(o->metadata);
	g_free(o);
}

/* Everything the daemon checks, then everything the chip does, with the chip's own memory. */
static Opened *open_package(IfppTrust *trust, const char *path)
{
	static const guint32 path_to_bpp[] = { 0x30, 0xA0, 0x30, 0x30, 0xA0, 0x04, 0x30, 0xBF36 };
	Opened *o = g_new0(Opened, 1);
	g_autoptr(GBytes) file = read_file(path);
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppPackage) package = ifpp_package_open(file, trust, &error);
	g_autoptr(IfppChipMem) chip = NULL;
	g_autoptr(IfppEcKey) otsk = NULL;
	g_autofree char *chip_path = NULL;
	const IfppHeader *header;
	const IfppChipKey *key;
	IfppTlv bf36, bf23, tlv, host, crt;
	IfppSpan in;
	IfppBsp bsp;
	char text[33];
	int at;

	g_assert_no_error(error);
	header = ifpp_package_header(package);
	memcpy(o->eid, header->eid, 16);
	memcpy(o->key_id, header->key_id, 32);
	ifpp_eid_format(header->eid, text);
	chip_path = g_strdup_printf("chips/%s.chip", text);
	chip = ifpp_chipmem_load(chip_path, &error);
	g_assert_no_error(error);
	at = ifpp_chipmem_find_key(chip, header->key_id);
	g_assert_cmpint(at, >=, 0);
	key = &g_array_index(chip->keys, IfppChipKey, at);
	g_assert_true(ifpp_package_check_chip(package, chip->eid, key->point, &error));
	g_assert_no_error(error);

	/* ContentInfo, [0], SignedData, encapContentInfo, [0], OCTET STRING, SEQUENCE { header, BF36 } */
	in = ifpp_span_bytes(file);
	in = (IfppSpan){ in.data + IFPP_HEADER_LEN, in.len - IFPP_HEADER_LEN };
	for (guint i = 0; i < G_N_ELEMENTS(path_to_bpp); i++) {
		g_assert_true(ifpp_tlv_find(in, path_to_bpp[i], &bf36));
		in = bf36.value;
	}
	in = bf36.value;
	g_assert_true(ifpp_tlv_expect(&in, 0xBF23, "BF23", &bf23, &error));
	g_assert_true(ifpp_tlv_find(bf23.value, 0x80, &tlv));
	g_assert_cmpuint(tlv.value.len, ==, 16);
	memcpy(o->transaction, tlv.value.data, 16);
	g_assert_true(ifpp_tlv_find(bf23.value, 0xA6, &crt));
	g_assert_true(ifpp_tlv_find(crt.value, 0x84, &host));
	g_assert_true(ifpp_tlv_find(bf23.value, 0x5F49, &tlv));

	otsk = ifpp_ec_key_import(key->scalar, &error);
	g_assert_true(ifpp_bsp_agree(&bsp, otsk, tlv.value.data, host.value, chip->eid, &error));
	open_sequence(&bsp, &in, 0xA0, 0x87, out);
	g_assert_cmpmem(out->data, out->len, "\xBF\x24\x00", 3);
	o->metadata = g_byte_array_new();
	open_sequence(&bsp, &in, 0xA1, 0x88, o->metadata);
	open_sequence(&bsp, &in, 0xA2, 0x87, out);
	o->ppk = out->len != 0;
	if (o->ppk) {
		IfppSpan replace = { out->data, out->len };
		IfppTlv ppk[3];

		g_assert_true(ifpp_tlv_expect(&replace, 0xBF26, "BF26", &tlv, &error));
		for (guint i = 0; i < 3; i++)
			g_assert_true(ifpp_tlv_expect(&tlv.value, 0x80 + i, "PPK", &ppk[i], &error));
		ifpp_bsp_set_ppk(&bsp, ppk[0].value.data, ppk[1].value.data, ppk[2].value.data);
	}
	o->upp = g_byte_array_new();
	open_sequence(&bsp, &in, 0xA3, 0x86, o->upp);
	g_assert_cmpuint(in.len, ==, 0);
	return o;
}

static void iccid_of(const Opened *o, guint8 iccid[10])
{
	IfppSpan in = { o->metadata->data, o->metadata->len };
	IfppTlv bf25, tlv;

	g_assert_true(ifpp_tlv_expect(&in, 0xBF25, "BF25", &bf25, NULL));
	g_assert_true(ifpp_tlv_find(bf25.value, 0x5A, &tlv));
	g_assert_cmpuint(tlv.value.len, ==, 10);
	memcpy(iccid, tlv.value.data, 10);
}

/* What the metadata in each package of out/ say. */
static void expect_class(const Fixture *f, ProfileClass class)
{
	g_autoptr(GPtrArray) names = list("out");

	g_assert_cmpuint(names->len, >, 0);
	for (guint i = 0; i < names->len; i++) {
		Opened *o = open_package(f->trust, names->pdata[i]);
		IfppSpan in = { o->metadata->data, o->metadata->len };
		IfppTlv bf25, tlv;

		g_assert_true(ifpp_tlv_expect(&in, 0xBF25, "BF25", &bf25, NULL));
		g_assert_true(ifpp_tlv_find(bf25.value, 0x95, &tlv));
		g_assert_cmpuint(tlv.value.data[0], ==, class);
		opened_free(o);
	}
}

/* Open every package in out/: each its own key, its own ICCID. Returns how many. */
static guint open_all(Fixture *f)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) names = list("out");

	for (guint i = 0; i < names->len; i++) {
		Opened *o = open_package(f->trust, names->pdata[i]);
		guint8 iccid[10];

		iccid_of(o, iccid);
		g_assert_true(g_hash_table_add(seen, ifpp_hex(IFPP_SPAN(o->key_id))));
		g_assert_true(g_hash_table_add(seen, ifpp_hex(IFPP_SPAN(o->transaction))));
		g_assert_true(g_hash_table_add(seen, ifpp_hex(IFPP_SPAN(iccid))));
		opened_free(o);
	}
	return names->len;
}

/* A profile of several segments with a chosen ICCID. */
static void write_profile(const char *path, const char *iccid, gsize padding)
{
	static const guint8 ki[16] = "made for a test", opc[16] = "made for another";
	const ProfileRecord record = { .iccid = iccid, .ki = ki, .opc = opc };
	GByteArray *small = profile_builtin(0, NULL), *upp;
	g_autoptr(GByteArray) big = g_byte_array_new();
	g_autofree guint8 *zero = g_malloc0(padding);
	g_autoptr(GError) error = NULL;

	upp = profile_personalise((IfppSpan){ small->data, small->len }, &record, &error);
	g_assert_no_error(error);
	g_byte_array_append(big, upp->data, upp->len - 9); /* all but the end */
	if (padding) {
		ifpp_tlv_put_header(big, 0xA9, 7 + padding);
		g_byte_array_append(big, (const guint8 *)"\xA0\x05\x80\x00\x81\x01\x33", 7);
		g_byte_array_append(big, zero, padding);
	}
	g_byte_array_append(big, upp->data + upp->len - 9, 9);
	g_assert_true(g_file_set_contents(path, (const char *)big->data, big->len, NULL));
	ifpp_secret_free(small);
	ifpp_secret_free(upp);
}

#define SEAL "%s seal --home home --pin-file pin --out out "

/* ------------------------------------------------------------ tests */

static void token(Fixture *f, gconstpointer data)
{
#define INIT "%s init --home h2 --key "
#define VAULT "pkcs11:token=vault;object="
	remove_all("h2");
	must(INIT VAULT "dppb --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "found in the token"));
	must(INIT VAULT "dppb --pin-file pin", smdpf);
	expect(2, "home of another key", INIT VAULT "other --pin-file pin", smdpf);
	expect(10, "wrong PIN", INIT VAULT "dppb --pin-file wrong-pin", smdpf);
	expect(10, "no PIN given", INIT VAULT "dppb", smdpf);
	expect(10, "holds no PIN", INIT VAULT "dppb --pin-file no-pin", smdpf);
	expect(5, "nowhere", INIT VAULT "dppb --pin-file nowhere", smdpf);
	expect(10, "token gone: not there", INIT "pkcs11:token=gone;object=x --pin-file pin", smdpf);
	expect(2, "holds a PIN", INIT VAULT "dppb;pin-value=1234", smdpf);
	expect(2, "not of the form", INIT "pkcs11:token=vault", smdpf);
	expect(2, "not of the form", INIT "key.pem", smdpf);

	g_setenv("IFPP_PIN", "1234", TRUE);
	must(INIT VAULT "dppb", smdpf);
	g_setenv("IFPP_PIN", "4321", TRUE);
	expect(10, "wrong PIN", INIT VAULT "dppb", smdpf);
	g_unsetenv("IFPP_PIN");

	expect(10, "wrong PIN", "%s seal --home home --pin-file wrong-pin --euicc x --out out", smdpf);
	g_assert_false(g_file_test("out", G_FILE_TEST_EXISTS));
}

/* A key that was ever outside the token is not accepted. */
static void token_imported(Fixture *f, gconstpointer data)
{
	must("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out soft.pem");
	must("softhsm2-util --token vault --pin 1234 --import soft.pem --label imported --id 77");
	remove_all("h3");
	expect(10, "extractable", "%s init --home h3 --key pkcs11:token=vault;object=imported --pin-file pin", smdpf);
	g_assert_false(g_file_test("h3", G_FILE_TEST_EXISTS));
}

static void certificate(Fixture *f, gconstpointer data)
{
	remove_all("h2");
	remove_all("pki2");
	must("%s init --home h2 --key pkcs11:token=vault;object=second --pin-file pin", smdpf);
	must("%s pki init pki2", eum);
	expect(5, "no certificate yet", "%s seal --home h2 --pin-file pin --euicc data --out out", smdpf);
	expect(6, "another key", "%s certificate --home h2 dppb.pem --ci pki/ci.pem", smdpf);
	expect(6, "dppb.pem", "%s certificate --home home dppb.pem --ci pki2/ci.pem", smdpf);
	expect(5, "not a certificate", "%s certificate --home home pin --ci pki/ci.pem", smdpf);
	expect(5, "nowhere", "%s certificate --home home nowhere --ci pki/ci.pem", smdpf);
	expect(6, "eum.pem", "%s certificate --home home dppb.pem --ci pki/eum.pem", smdpf);
	expect(2, "are needed", "%s certificate --home home dppb.pem", smdpf);
	must("%s pki crl pki --revoke dppb.pem --out revoked.crl", eum);
	expect(6, "revoked", "%s certificate --home home dppb.pem --ci pki/ci.pem --crl revoked.crl", smdpf);
	must("%s pki dppb pki --public-key home0/dppb.pub.pem --out old.pem --not-before 2020-01-01T00:00:00Z "
	     "--not-after 2020-02-01T00:00:00Z",
	     eum);
	expect(6, "old.pem", "%s certificate --home home old.pem --ci pki/ci.pem", smdpf);
	must("%s certificate --home home dppb.pem --ci pki/ci.pem", smdpf);
}

/* A token that answers to the same name but holds another key must not seal a thing. */
static void token_swapped(Fixture *f, gconstpointer data)
{
	make_chips(1, 1);
	remove_all("other");
	must("%s init --home other --key pkcs11:token=vault;object=other --pin-file pin", smdpf);
	must("cp other/smdpf.conf home/smdpf.conf");
	expect(10, "not the one in home", SEAL "--euicc data", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 0);
}

static void seal(Fixture *f, gconstpointer mode)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autofree char *hex = NULL;
	g_autoptr(GBytes) upp = NULL;
	Opened *o;

	make_chips(1, 3);
	must(SEAL "--euicc data --count 2 --mode %s", smdpf, (const char *)mode);
	g_assert_cmpuint(open_all(f), ==, 2);

	write_profile("big.der", "89000123456789012341", 12000);
	must(SEAL "--euicc data --upp big.der --mode %s --spn Spender --profile-name Name --class test", smdpf,
	     (const char *)mode);
	g_assert_cmpuint(open_all(f), ==, 3);
	upp = read_file("big.der");
	names = list("out");
	for (guint i = 0; i < names->len; i++) {
		o = open_package(f->trust, names->pdata[i]);
		g_assert_true(o->ppk == !strcmp(mode, "ppk"));
		if (o->upp->len > 2000) {
			g_assert_cmpmem(o->upp->data, o->upp->len, g_bytes_get_data(upp, NULL), g_bytes_get_size(upp));
			hex = ifpp_hex((IfppSpan){ o->metadata->data, o->metadata->len });
			g_assert_cmpstr(hex, ==,
					"bf251e5a0a9800103254769810321491075370656e64657292044e616d65950100");
		}
		opened_free(o);
	}
	g_assert_nonnull(hex);
}

/* An order is what its profiles are, not where they lie. */
static void content_is_the_order(Fixture *f, gconstpointer data)
{
	make_chips(2, 3);
	remove_all("profiles");
	remove_all("moved");
	g_mkdir("profiles", 0700);
	write_profile("profiles/a.der", "8949449999999990015", 0);
	write_profile("profiles/b.der", "8949449999999990023", 0);
	must(SEAL "--euicc data --upp profiles", smdpf);
	g_assert_nonnull(strstr(out_text, "2 sealed now, 0 from before"));
	must("mv profiles moved");
	must(SEAL "--euicc data --upp moved", smdpf);
	g_assert_nonnull(strstr(out_text, "0 sealed now, 2 from before"));
	/* new subscribers where the old ones were */
	g_mkdir("profiles", 0700);
	write_profile("profiles/a.der", "8949449999999990031", 0);
	write_profile("profiles/b.der", "8949449999999990049", 0);
	must(SEAL "--euicc data --upp profiles", smdpf);
	g_assert_nonnull(strstr(out_text, "2 sealed now, 0 from before"));
	g_assert_cmpuint(open_all(f), ==, 4);

	/* one that is broken is named and left out, the rest is sealed */
	g_assert_true(g_file_set_contents("profiles/0.der", "\xA0\x00", 2, NULL));
	write_profile("profiles/c.der", "8949449999999990056", 0);
	write_profile("profiles/d.der", "8949449999999990064", 0);
	g_assert_cmpint(run(SEAL "--euicc data --upp profiles", smdpf), ==, IFPP_EXIT_INPUT);
	g_assert_nonnull(strstr(err_text, "profiles/0.der"));
	g_assert_nonnull(strstr(out_text, "2 sealed now, 0 from before"));
	g_assert_cmpuint(open_all(f), ==, 6);
}

/* Tools that know nothing of us open the envelope. */
static void envelope(Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GBytes) file = NULL, content = NULL;
	IfppSpan span;

	make_chips(1, 1);
	must(SEAL "--euicc data", smdpf);
	names = list("out");
	file = read_file(names->pdata[0]);
	span = ifpp_span_bytes(file);
	g_assert_true(g_file_set_contents("body.der", (const char *)span.data + 64, span.len - 64, NULL));
	must("openssl cms -verify -inform DER -in body.der -CAfile pki/ci.pem -purpose any -binary -out content.der");
	content = read_file("content.der");
	g_assert_nonnull(memmem(g_bytes_get_data(content, NULL), g_bytes_get_size(content), span.data, 64));
	must("certtool --p7-verify --inder --infile body.der --load-ca-certificate pki/ci.pem");
	g_assert_nonnull(strstr(err_text, "Signature status: ok"));
	/* and they notice a changed bit */
	((guint8 *)span.data)[span.len / 2] ^= 1;
	g_assert_true(g_file_set_contents("body.der", (const char *)span.data + 64, span.len - 64, NULL));
	g_assert_cmpint(run("openssl cms -verify -inform DER -in body.der -CAfile pki/ci.pem -purpose any -out x"), !=, 0);
}

static void again(Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GBytes) before = NULL, after = NULL, other = NULL;

	make_chips(1, 3);
	must(SEAL "--euicc data --count 2", smdpf);
	names = list("out");
	before = read_file(names->pdata[0]);
	g_unlink(names->pdata[0]);
	g_assert_true(g_file_set_contents(names->pdata[1], "junk", -1, NULL));
	must(SEAL "--euicc data --count 2", smdpf);
	g_assert_nonnull(strstr(out_text, "0 sealed now, 2 from before"));
	after = read_file(names->pdata[0]);
	g_assert_true(g_bytes_equal(before, after));
	g_assert_cmpuint(open_all(f), ==, 2);

	/* the same order for one more, then there is none left, whatever the order is called */
	must(SEAL "--euicc data --count 3", smdpf);
	g_assert_cmpuint(open_all(f), ==, 3);
	expect(6, "no free one-time key", SEAL "--euicc data --count 4", smdpf);
	expect(6, "no free one-time key", SEAL "--euicc data --order second", smdpf);
	g_assert_cmpuint(open_all(f), ==, 3);
	must(SEAL "--euicc data --count 3 --json", smdpf);
	g_assert_nonnull(strstr(out_text, "\"state\":\"again\""));
}

static void one_profile_one_chip(Fixture *f, gconstpointer data)
{
	make_chips(2, 3);
	write_profile("one.der", "89000123456789012341", 0);
	expect(6, "sealed to another key already", SEAL "--euicc data --upp one.der", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 1);
	expect(6, "sealed to another key already", SEAL "--euicc data/" FIRST_EID
	       ".euicc --upp one.der --order again", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 1);

	remove_all("profiles");
	g_mkdir("profiles", 0700);
	write_profile("profiles/a.der", "8949449999999990015", 0);
	write_profile("profiles/b.der", "8949449999999990023", 0);
	must(SEAL "--euicc data --upp profiles", smdpf);
	g_assert_cmpuint(open_all(f), ==, 3);
	expect(2, "no profile left", SEAL "--euicc data/" FIRST_EID ".euicc --upp profiles --order more", smdpf);
}

static void test_profile_many_chips(Fixture *f, gconstpointer data)
{
	make_chips(2, 2);
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data --upp one.der --class test", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 2);
	expect(6, "sealed to another key already", SEAL "--euicc data/" FIRST_EID
	       ".euicc --upp one.der --class test --count 2", smdpf);
}

#define BUILD "%s profile build --template template.der --records records.csv --out built"

static void profile_build(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *csv, *says;
	} bad[] = {
		{ "ICCID,IMSI\n8949449999999990024,001010000000001\n", "check digit 3" },
		{ "ICCID,IMSI\n8949449999999990023,00101\n", "line 2: IMSI 00101" },
		{ "ICCID,IMSI\n8949449999999990023,\n", "line 2: column IMSI is empty" },
		{ "ICCID\n894944999999999002\n", "the check digit 3 is missing, or say --no-check-digit" },
		{ "ICCID\n8949449999999990023\n89000123456789012341\n", "line 3: ICCID 89000123456789012341 has 20 digits, the first one 19" },
		{ "ICCID\n8.9494E+18\n", "8.9494E+18 is not 18 to 20 digits (a spreadsheet must take the column for text)" },
		{ "ICCID,Ki\n8949449999999990023,000102030405060708090a0b0c0d0e0f\n", "this Ki is published" },
		{ "ICCID,Ki\n8949449999999990023,00000000000000000000000000000000\n", "this Ki is published, or no key at all" },
		{ "ICCID,Ki,OPc\n8949449999999990015,101112131415161718191a1b1c1d1e1f,ffeeddccbbaa99887766554433221100\n"
		  "8949449999999990023,101112131415161718191A1B1C1D1E1F,ffeeddccbbaa99887766554433221100\n",
		  "line 3: the same Ki as on a line before" },
		{ "ICCID,Ki,OP,OPc\n8949449999999990023,101112131415161718191a1b1c1d1e1f,00,00\n", "OP goes with Ki, and not with OPc" },
		{ "ICCID,PIN1\n8949449999999990023,12\n", "PIN1 is not 4 to 8 digits" },
		{ "ICCID,PUK1\n8949449999999990023,1234567\n", "PUK1 is not 8 digits" },
		{ "ICCID,SPN\n8949449999999990023,12345678901234567\n", "SPN 12345678901234567 is not" },
		{ "ICCID,MSISDN\n8949449999999990023,49x\n", "number 49x" },
		{ "ICCID\n\"8949449999999990023\n", "ends within quotes" },
		{ "ICCID\n8949\"449999999990023\n", "line 2: the quotes are wrong" },
		{ "ICCID\n8949449999999990023\n8949449999999990023\n", "line 3: ICCID 8949449999999990023 is there twice" },
		{ "ICCID,IMSI\n8949449999999990023,001010000000001\n8949449999999990015,001010000000001\n", "IMSI 001010000000001 is there twice" },
		{ "ICCID,Ki\n8949449999999990023,00\n", "Ki is not 32 hex digits" },
		{ "ICCID,Ki\n8949449999999990023\n", "1 fields instead of 2" },
		{ "ICCID\n8949449999999990023,1\n", "2 fields instead of 1" },
		{ "ICCID,ICCID\n1,1\n", "there twice" },
		{ "IMSI\n1\n", "no column ICCID" },
		{ "ICCID,PIN\n1,1\n", "PIN: not a column" },
		{ "ICCID\n../../etc/passwd\n", "18 to 20 digits" },
		{ "ICCID\n", "no record" },
		{ "", "no record" },
	};
	static const char good[] = "# of the \"test\" order\r\nICCID, IMSI, Ki, OPc\r\n"
				   "8949449999999990015,001010123456063,101112131415161718191a1b1c1d1e1f,"
				   "ffeeddccbbaa99887766554433221100\r\n\r\n"
				   "8949449999999990023,001010123456064,202122232425262728292a2b2c2d2e2f,"
				   "ffeeddccbbaa99887766554433221100\n"
				   "8949449999999990031,001010123456065,303132333435363738393a3b3c3d3e3f,"
				   "ffeeddccbbaa99887766554433221100";
	g_autoptr(GBytes) upp = NULL;

	remove_all("built");
	write_profile("template.der", "8949449999999990015", 3000);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_true(g_file_set_contents("records.csv", bad[i].csv, -1, NULL));
		expect(2, bad[i].says, BUILD, smdpf);
		g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	}
	g_assert_true(g_file_set_contents("records.csv", "ICCID,SCP80-KVN01-ENC\n8949449999999990023,a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\n", -1, NULL));
	expect(5, "line 2: profile: no SCP80-KVN01-ENC of the right length", BUILD, smdpf);
	g_assert_true(g_file_set_contents("records.csv", good, -1, NULL));
	expect(5, "pin", "%s profile build --template pin --records records.csv --out built", smdpf);
	must(BUILD, smdpf);
	g_assert_cmpuint(count_files("built"), ==, 3);
	upp = read_file("built/8949449999999990015.der");
	g_assert_nonnull(memmem(g_bytes_get_data(upp, NULL), g_bytes_get_size(upp),
				"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f", 16));

	/* and what was built can be sealed, each profile once */
	make_chips(3, 1);
	must(SEAL "--euicc data --upp built", smdpf);
	g_assert_cmpuint(open_all(f), ==, 3);
}

/* A line of records; @wrong: a digit of its Ki is missing. */
static void add_record(GString *csv, guint number, gboolean wrong)
{
	g_autofree char *ki = g_strdup_printf("%032x", number + 0x10000000), *iccid = g_strdup_printf("894944999%09u", number);
	guint sum = 0;

	for (guint i = 0; i < 18; i++) {
		guint digit = (iccid[17 - i] - '0') * (i % 2 ? 1 : 2);

		sum += digit > 9 ? digit - 9 : digit;
	}
	g_string_append_printf(csv, "%s%u,00101%010u,%s,ffeeddccbbaa99887766554433221100\n", iccid, (10 - sum % 10) % 10, number,
			       ki + wrong);
}

/* Which line it is, which column and why; nothing is made of the file, and all the others on demand. */
static void csv_wrong_line(Fixture *f, gconstpointer data)
{
	g_autoptr(GString) csv = g_string_new("ICCID,IMSI,Ki,OPc\n");
	gint64 begun;

	remove_all("built");
	must("%s profile minimal --out template.der", smdpf);
	for (guint i = 0; i < 100000; i++)
		add_record(csv, i, i == 70000);
	g_assert_true(g_file_set_contents("records.csv", csv->str, csv->len, NULL));
	begun = g_get_monotonic_time();
	expect(2, "records.csv: line 70002: Ki is not 32 hex digits", BUILD, smdpf);
	g_test_message("one wrong line in 100,000 is named after %.1f s", (g_get_monotonic_time() - begun) / 1e6);
	g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));

	g_string_assign(csv, "ICCID,IMSI,Ki,OPc\n");
	for (guint i = 0; i < 9; i++)
		add_record(csv, i, i % 4 == 1);
	add_record(csv, 3, FALSE);
	g_assert_true(g_file_set_contents("records.csv", csv->str, csv->len, NULL));
	expect(2, "line 3: Ki is not 32 hex digits", BUILD, smdpf);
	g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	g_assert_cmpint(run(BUILD " --leave-out", smdpf), ==, 2);
	g_assert_nonnull(strstr(err_text, "line 3: Ki is not 32 hex digits"));
	g_assert_nonnull(strstr(err_text, "line 7: Ki is not 32 hex digits"));
	g_assert_nonnull(strstr(err_text, "line 11: ICCID 894944999000000003"));
	g_assert_nonnull(strstr(out_text, "7 profiles in built"));
	g_assert_cmpuint(count_files("built"), ==, 7);

	/* none is left */
	remove_all("built");
	g_string_assign(csv, "ICCID,IMSI,Ki,OPc\n");
	add_record(csv, 0, TRUE);
	g_assert_true(g_file_set_contents("records.csv", csv->str, csv->len, NULL));
	g_assert_cmpint(run(BUILD " --leave-out", smdpf), ==, 2);
	g_assert_nonnull(strstr(err_text, "no record"));
	g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	/* what is wrong with the whole file is not a line's */
	g_assert_true(g_file_set_contents("records.csv", "ICCID,PIN\n1,1\n", -1, NULL));
	expect(2, "PIN: not a column", BUILD " --leave-out", smdpf);
}

static void assert_has(GBytes *upp, const char *const *hex)
{
	for (guint i = 0; hex[i]; i++) {
		g_autoptr(GBytes) want = ifpp_unhex(hex[i]);

		if (!memmem(g_bytes_get_data(upp, NULL), g_bytes_get_size(upp), g_bytes_get_data(want, NULL),
			    g_bytes_get_size(want)))
			g_error("%s is not in the profile", hex[i]);
	}
}

/* One profile is built of these records, and has all of these bytes. */
static void built_has(const char *csv, gsize len, const char *iccid, const char *const *hex)
{
	g_autofree char *path = g_strdup_printf("built/%s.der", iccid);
	g_autoptr(GBytes) upp = NULL;

	remove_all("built");
	g_assert_true(g_file_set_contents("records.csv", csv, len, NULL));
	must(BUILD, smdpf);
	upp = read_file(path);
	assert_has(upp, hex);
}

/* As spreadsheets write it: byte order mark, semicolons, tabs, quotes, CRLF, names in another case. */
static void csv_dialects(Fixture *f, gconstpointer data)
{
	static const char *const files[] = {
		"ICCID,IMSI,Ki,OPc\n8949449999999990023,001010000000001,%s,%s\n",
		("\xEF\xBB\xBF" "ICCID,IMSI,Ki,OPc\r\n8949449999999990023,001010000000001,%s,%s\r\n"),
		"ICCID;IMSI;Ki;OPc\r\n8949449999999990023;001010000000001;%s;%s",
		"iccid\timsi\tk\topc\n8949449999999990023\t001010000000001\t%s\t%s\n",
		"\xEF\xBB\xBF\"ICCID\";\"IMSI\";\"Ki\";\"OPc\"\r\n\"8949449999999990023\";\"001010000000001\";\"%s\";\"%s\"\r\n\r\n",
		" ICCID , IMSI , Ki , OPc \n 8949449999999990023 , 001010000000001 , %s , %s \n",
	};
	static const char *const has[] = {
		"101112131415161718191a1b1c1d1e1f", "ffeeddccbbaa99887766554433221100", "080910100000000010", NULL
	};

	write_profile("template.der", "8949449999999990015", 0);
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		g_auto(GStrv) parts = g_strsplit(files[i], "%s", -1);
		g_autofree char *csv = g_strconcat(parts[0], has[0], parts[1], has[1], parts[2], NULL);

		built_has(csv, strlen(csv), "8949449999999990023", has);
	}
}

static void imsi_lost_zeros(Fixture *f, gconstpointer data)
{
	write_profile("template.der", "8949449999999990015", 0);
	remove_all("built");
	g_assert_true(g_file_set_contents("records.csv", "ICCID,IMSI\n8949449999999990023,1010000000001\n", -1, NULL));
	expect(2, "IMSI 1010000000001 has 13 digits instead of 15: were zeros", BUILD, smdpf);
	g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	must(BUILD " --short-imsi", smdpf);
	/* nor is a wrong line in many: line and column, and nothing is made */
	{
		g_autoptr(GString) csv = g_string_new("ICCID,IMSI\n");

		for (guint i = 0; i < 2000; i++) {
			g_autofree char *body = g_strdup_printf("894944%012u", i);

			g_string_append_printf(csv, "%s%c,%s00101%08u\n", body, ifpp_luhn(body), i == 1234 ? "" : "00", i);
		}
		remove_all("built");
		g_assert_true(g_file_set_contents("records.csv", csv->str, csv->len, NULL));
		expect(2, "line 1236: IMSI 0010100001234 has 13 digits", BUILD, smdpf);
		g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	}
}

/* The built-in profile with an ISIM as TS.48 has it, and files that grow. */
static void put_text_file(GByteArray *out, guint32 member, const char *fcp, const char *text)
{
	g_autoptr(GBytes) descriptor = ifpp_unhex(fcp);
	g_autoptr(GByteArray) content = g_byte_array_new(), file = g_byte_array_new();

	ifpp_tlv_put(file, 0xA1, g_bytes_get_data(descriptor, NULL), g_bytes_get_size(descriptor));
	if (text) {
		ifpp_tlv_put(content, 0x80, text, strlen(text));
		ifpp_tlv_put(file, 0x83, content->data, content->len);
	}
	ifpp_tlv_put(out, member, file->data, file->len);
}

static void write_ims_template(const char *path)
{
	g_autoptr(GByteArray) out = g_byte_array_new(), isim = g_byte_array_new(), opt = g_byte_array_new();
	GByteArray *small = profile_builtin(0, NULL);
	IfppSpan in = { small->data, small->len };
	IfppTlv pe;

	g_byte_array_append(isim, (const guint8 *)"\xA0\x05\x80\x00\x81\x01\x20\x81\x06\x67\x81\x0f\x01\x02\x05", 15);
	put_text_file(isim, 0xA3, "8202412183026f028b036f0601800120a500", "001010123456789@test.3gpp.com");
	put_text_file(isim, 0xA4, "82044221004083026f048b036f06018001c0a500", "sip:001010123456789@ims.mnc001.mcc001.3gppnetwork.org");
	put_text_file(isim, 0xA5, "8202412183026f038b036f0601800120a500", "test.3gpp.com");
	g_byte_array_append(opt, (const guint8 *)"\xA0\x05\x80\x00\x81\x01\x21\x81\x06\x67\x81\x0f\x01\x02\x06", 15);
	put_text_file(opt, 0xA7, "82044221001c83026f408b036f06048001388800a500", NULL);
	while (in.len && ifpp_tlv_next(&in, &pe, NULL)) {
		if (pe.tag == 0xB5)
			ifpp_tlv_put(out, 0xB5, isim->data, isim->len);
		else if (pe.tag == 0xB4)
			ifpp_tlv_put(out, 0xB4, opt->data, opt->len);
		else
			g_byte_array_append(out, pe.whole.data, pe.whole.len);
	}
	g_assert_true(g_file_set_contents(path, (const char *)out->data, out->len, NULL));
	ifpp_secret_free(small);
}

/* IMPI, IMPU and domain follow the IMSI unless they are given; nothing of the template's subscriber is left. */
static void isim_follows_imsi(Fixture *f, gconstpointer data)
{
	static const char csv[] = "ICCID,IMSI,Ki,OP,MSISDN,SPN,PIN1,PUK1,ADM,ACC\n8949449999999990023,262011234567890,"
				  "465b5ce8b199b49faa5f0a2ee238a6bd,cdc202d5123e20f62b6d676ac72cb318,+491701234567,Telco,4711,"
				  "12345678,0123456789abcdef,8001\n";
	static const char given[] = "ICCID,IMSI,Ki,OPc,IMPI,IMPU,DOMAIN\n8949449999999990023,262011234567890,"
				    "465b5ce8b199b49faa5f0a2ee238a6bd,cdc202d5123e20f62b6d676ac72cb318,me@telco,sip:me@telco,telco\n";
	g_autofree char *domain = g_strdup("696d732e6d6e633030312e6d63633236322e336770706e6574776f726b2e6f7267");
	g_autofree char *impi = g_strdup_printf("803132363230313132333435363738393040%s", domain);
	g_autofree char *impu = g_strdup_printf("80357369703a32363230313132333435363738393040%s", domain);
	const char *has[] = { domain, impi, impu, "8001", "0791947110325476", "0054656c636fff", "34373131ffffffff",
			      "3132333435363738", "0123456789abcdef", "8210465b5ce8b199b49faa5f0a2ee238a6bd", "800101", NULL };
	static const char *const has_given[] = { "80086d654074656c636f", "800c7369703a6d654074656c636f", "800574656c636f", NULL };
	/* TS 35.208, 4.3 */
	g_autoptr(GBytes) k = ifpp_unhex("465b5ce8b199b49faa5f0a2ee238a6bc"), op = ifpp_unhex("cdc202d5123e20f62b6d676ac72cb318");
	g_autoptr(GBytes) want = ifpp_unhex("cd63cb71954a9f4e48a5994e37a02baf"), upp = NULL;
	guint8 opc[16];

	g_assert_true(profile_opc(g_bytes_get_data(k, NULL), g_bytes_get_data(op, NULL), opc));
	g_assert_cmpmem(opc, 16, g_bytes_get_data(want, NULL), 16);
	write_ims_template("template.der");
	built_has(csv, strlen(csv), "8949449999999990023", has);
	upp = read_file("built/8949449999999990023.der");
	g_assert_null(memmem(g_bytes_get_data(upp, NULL), g_bytes_get_size(upp), "001010123456789@", 16));
	/* what was built is sound, and goes into a chip */
	make_chips(1, 1);
	must(SEAL "--euicc data --upp built", smdpf);
	built_has(given, strlen(given), "8949449999999990023", has_given);
}

/* The built-in template has a place for everything of a subscriber; what is not given follows from the IMSI. */
static void builtin_every_column(Fixture *f, gconstpointer data)
{
	static const char csv[] =
		"ICCID,IMSI,Ki,OPc,ACC,MSISDN,IMPI,IMPU,DOMAIN,SMSC,SPN,PIN1,PIN2,PUK1,PUK2,ADM,SUCI-SCHEME,SUCI-KEY,SUCI-KEY-ID,"
		"ROUTING-INDICATOR,UST,IST\n"
		"8949449999999990023,262011234567890,465b5ce8b199b49faa5f0a2ee238a6bd,cdc202d5123e20f62b6d676ac72cb318,"
		"8001,+491701234567,me@telco,sip:me@telco,telco,+491710760000,Telco,4711,0815,12345678,87654321,0123456789abcdef,A,"
		"26a32ecbedb49b259835c1eeab5a9b8e64f7e6c30094a9e8763eb75b8515e90b,1,0,122,1\n";
	static const char follows[] =
		"ICCID,IMSI,Ki,OPc\n8949449999999990023,262011234567890,465b5ce8b199b49faa5f0a2ee238a6bd,"
		"cdc202d5123e20f62b6d676ac72cb318\n";
	static const char *const has[] = {
		"a40c830a" "989444999999990920f3", "8309" "082926102143658709", "83028001",
		/* EF.MSISDN, one record */
		"831cffffffffffffffffffffffffffff" "0791947110325476" "ffffffffffff",
		/* EF.SMSP: the service centre alone */
		"831cfd" "ffffffffffffffffffffffff" "0791947101670000ffffffff" "ffffff",
		"80086d654074656c636f", "800c7369703a6d654074656c636f", "800574656c636f", "0054656c636fff",
		"8001018108" "34373131ffffffff", "80020081" "8108" "30383135ffffffff", "8001018108" "3132333435363738",
		"800200818108" "3837363534333231", "80010a8108" "0123456789abcdef",
		"8376" "a0020101" "a125" "800101" "8120" "26a32ecbedb49b259835c1eeab5a9b8e64f7e6c30094a9e8763eb75b8515e90b", "8304f0ffffff",
		"8311" "0a08140000000000000000000000000a00", "8302" "0100", NULL
	};
	static const char *const has_followed[] = {
		"8340" "8035" "7369703a" "323632303131323334353637383930" "40" "696d732e6d6e633030312e6d63633236322e336770706e6574776f726b"
		"2e6f7267" "ffffffffffffff", NULL
	};

	must("%s profile minimal --out template.der", smdpf);
	built_has(csv, strlen(csv), "8949449999999990023", has);
	built_has(follows, strlen(follows), "8949449999999990023", has_followed);
	/* sound, and goes into a chip */
	make_chips(1, 1);
	must(SEAL "--euicc data --upp built", smdpf);
}

/* The built-in profile with another AKA element, or with a security domain with the keys that TS.48 has. */
static void write_keys_template(const char *aka)
{
	static const char domain[] =
		"a681cea0058000810120a281c43022950118820101830101301730158001808610000102030405060708090a0b0c0d0e"
		"0f3022950114820102830101301730158001808610000102030405060708090a0b0c0d0e0f3022950148820103830101"
		"301730158001808610000102030405060708090a0b0c0d0e0f3032950118820101830130302730258001888620000102"
		"030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f302295013c8201018301403017301580018586"
		"10000102030405060708090a0b0c0d0e0f";
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) other = aka ? ifpp_unhex(aka) : NULL, sd = ifpp_unhex(domain);
	GByteArray *small = profile_builtin(0, NULL);
	IfppSpan in = { small->data, small->len };
	IfppTlv pe;

	while (in.len && ifpp_tlv_next(&in, &pe, NULL)) {
		gboolean replace = pe.tag == 0xA4 && other;
		IfppSpan put = replace ? ifpp_span_bytes(other) : pe.whole;

		if (pe.tag == 0xAA && !aka)
			g_byte_array_append(out, g_bytes_get_data(sd, NULL), g_bytes_get_size(sd));
		g_byte_array_append(out, put.data, put.len);
		if (replace)	/* the ISIM's is a mapping to it */
			g_clear_pointer(&other, g_bytes_unref);
	}
	g_assert_true(g_file_set_contents("template.der", (const char *)out->data, out->len, NULL));
	ifpp_secret_free(small);
}

/* Keys for the air, by the names that pySim has for them, each where version, identifier, type and length say. */
static void ota_keys(Fixture *f, gconstpointer data)
{
#define AKA "465b5ce8b199b49faa5f0a2ee238a6bd,cdc202d5123e20f62b6d676ac72cb318"
#define RECORD(names, values) "ICCID,IMSI,Ki,OPc," names "\n8949449999999990023,262011234567890," AKA "," values "\n"
#define DES "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define MAC "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define AES DES MAC
#define ALL(dek, values) RECORD("SCP80-KVN01-DES-ENC,scp80-kvn01-mac,SCP03-KVN30-AES-KIC,SCP81-KVN40-TLSPSK" dek, \
				DES "," MAC "," AES "," MAC values)
	static const char csv[] = ALL(",SCP80-KVN01-DEK", "," MAC), forgotten[] = ALL("", "");
	static const char *const has[] = {
		"820101830101301730158001808610" DES, "820102830101301730158001808610" MAC,
		"820103830101301730158001808610" MAC,
		"820101830130302730258001888620" AES, "820101830140301730158001858610" MAC, NULL
	};
	static const struct {
		const char *csv;
		int code;
		const char *says;
	} bad[] = {
		{ RECORD("SCP80-KVN01-AES-ENC", DES), 5, "no SCP80-KVN01-AES-ENC of the right length" },
		{ RECORD("SCP80-KVN02-ENC", DES), 5, "no SCP80-KVN02-ENC of the right length" },
		{ RECORD("SCP80-KVN01-ENC", AES), 5, "no SCP80-KVN01-ENC of the right length" },
		{ RECORD("SCP80-KVN01-ENC", "a0a1"), 2, "SCP80-KVN01-ENC is not 32, 48 or 64 hex digits" },
		{ RECORD("SCP80-KVN01-ENC", "000102030405060708090a0b0c0d0e0f"), 2, "this SCP80-KVN01-ENC is published" },
		{ RECORD("SCP80-KVN01-ENC", ""), 2, "column SCP80-KVN01-ENC is empty" },
		{ RECORD("SCP80-KVN01-ENC,SCP80-KVN01-DES-KIC", DES "," MAC), 2, "SCP80-KVN01-DES-KIC: not a column's name, or there twice" },
		{ RECORD("SCP80-KVN30-ENC", DES), 2, "SCP80-KVN30-ENC: not a column's name" },
		{ RECORD("SCP80-KVN01-RSA-ENC", DES), 2, "SCP80-KVN01-RSA-ENC: not a column's name" },
		{ RECORD("SCP80-KVN1-ENC", DES), 2, "SCP80-KVN1-ENC: not a column's name" },
		{ RECORD("SCP80-KVN01", DES), 2, "SCP80-KVN01: not a column's name" },
		{ RECORD("TOPc", AES), 2, "TOPc is TUAK's" },
	};

	static const char nul[] = "ICCID,IMSI\n8949449999999990023\0,262011234567890\n";

	write_keys_template(NULL);
	built_has(csv, strlen(csv), "8949449999999990023", has);
	/* what the file does not name stays the template's, whose keys everybody knows */
	remove_all("built");
	g_assert_true(g_file_set_contents("records.csv", forgotten, -1, NULL));
	expect(5, "give records with the keys of version 01, or say --class test", BUILD, smdpf);
	must(BUILD " --class test", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		remove_all("built");
		g_assert_true(g_file_set_contents("records.csv", bad[i].csv, -1, NULL));
		expect(bad[i].code, bad[i].says, BUILD, smdpf);
		g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	}
	/* a NUL would end the field for everybody who reads it */
	g_assert_true(g_file_set_contents("records.csv", nul, sizeof(nul) - 1, NULL));
	expect(2, "line 2: a NUL byte", BUILD, smdpf);
}

static void tuak(Fixture *f, gconstpointer data)
{
	static const char wide[] =
		"a455a0058000810107a14ca14a8001028101028220000102030405060708090a0b0c0d0e0f000102030405060708090a"
		"0b0c0d0e0f83200000000000000000000000000000000000000000000000000000000000000000";
	static const char csv[] = "ICCID,IMSI,Ki,TOPc\n8949449999999990023,262011234567890," AES "," MAC DES "\n";
	static const char *const has[] = { "8001028101028220" AES "8320" MAC DES, NULL };

	write_keys_template(wide);
	built_has(csv, strlen(csv), "8949449999999990023", has);
	/* sound, and goes into a chip */
	make_chips(1, 1);
	must(SEAL "--euicc data --upp built", smdpf);
	remove_all("built");
	g_assert_true(g_file_set_contents("records.csv", "ICCID,IMSI,Ki,TOPc\n8949449999999990023,262011234567890," DES "," AES "\n",
					  -1, NULL));
	expect(5, "no AKA key of the right length", BUILD, smdpf);
	write_keys_template(NULL);
	expect(5, "no TUAK element", BUILD, smdpf);
#undef AKA
#undef RECORD
#undef DES
#undef MAC
#undef AES
}

/*
 * The built-in profile with DF.5GS, DF.SAIP and services as TS.48 version 5 has them, but for 122 to 127. With
 * @demands the header demands of the chip what its USIM conceals the identity with (service 125).
 */
static void write_5g_template(gboolean demands)
{
	static const char files[] =
		"bc5ca005800081010c810667810f01020da211a10f83025fc08b036f060dc60481010a0ba91ea11c8202412183024f07"
		"8b036f0604800176a50ac00140c105a0020000ffac18a1168202412183024f0a8b036f0604a507c00140c102f0ffbd42"
		"a005800081010e810667810f01020ea211a10f83025fd08b036f060dc60481010a0ba31ea11c8202412183024f018b03"
		"6f060f800176a50ac00140c105a0020000ff";
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GBytes) dirs = ifpp_unhex(files), table = ifpp_unhex("a818a10380011183119effbf1dff3e0083410310010400000011");
	GByteArray *small = profile_builtin(0, NULL);
	IfppSpan in = { small->data, small->len };
	IfppTlv pe, tlv;

	while (in.len && ifpp_tlv_next(&in, &pe, NULL)) {
		g_autoptr(GByteArray) body = g_byte_array_new();

		if (pe.tag == 0xBC) {
			g_byte_array_append(out, g_bytes_get_data(dirs, NULL), g_bytes_get_size(dirs));
			continue;
		}
		while (pe.value.len && ifpp_tlv_next(&pe.value, &tlv, NULL)) {
			if (pe.tag == 0xA0 && tlv.tag == 0xA5 && demands)
				ifpp_tlv_put(body, 0xA5, "\x81\0\x82\0\x91\0\x95\0\x96\0\x97", 12);
			else if (pe.tag == 0xB3 && tlv.tag == 0xA8)
				g_byte_array_append(body, g_bytes_get_data(table, NULL), g_bytes_get_size(table));
			else
				g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
		}
		ifpp_tlv_put(out, pe.tag, body->data, body->len);
	}
	g_assert_true(g_file_set_contents("template.der", (const char *)out->data, out->len, NULL));
	ifpp_secret_free(small);
}

/* The profile without such elements. */
static void drop_element(const char *path, guint32 tag)
{
	g_autoptr(GBytes) file = read_file(path);
	g_autoptr(GByteArray) out = g_byte_array_new();
	IfppSpan in = ifpp_span_bytes(file);
	IfppTlv pe;

	while (in.len && ifpp_tlv_next(&in, &pe, NULL))
		if (pe.tag != tag)
			g_byte_array_append(out, pe.whole.data, pe.whole.len);
	g_assert_true(g_file_set_contents(path, (const char *)out->data, out->len, NULL));
}

/* What conceals the identity in 5G goes to where terminal or USIM look for it, and is no key that everybody can open. */
static void suci(Fixture *f, gconstpointer data)
{
#define KEY_A "26a32ecbedb49b259835c1eeab5a9b8e64f7e6c30094a9e8763eb75b8515e90b"
#define KEY_B "031042ac949f664a868f92a1770efee32af65aaee0b47a9b4267e23e32703e8922"
#define WHOLE_B "041042ac949f664a868f92a1770efee32af65aaee0b47a9b4267e23e32703e89221e2bfd6ab5e30c244bd78bf36e695f4ff01617ec85ec7d93637c184b94905edf"
#define PUBLISHED_B "0272da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1"
#define START "ICCID,IMSI,Ki,OPc,"
#define RECORD "\n8949449999999990023,262011234567890,465b5ce8b199b49faa5f0a2ee238a6bd,cdc202d5123e20f62b6d676ac72cb318,"
#define COLUMNS START "SUCI-SCHEME,SUCI-KEY,SUCI-KEY-ID" RECORD
	/* as the example of TS 31.121 4.9.4, with keys of our own */
#define BOTH "a006" "020101020000" "a14b" "80011b" "8121" KEY_B "80011e" "8120" KEY_A
	static const char both[] = START "PROT_SCHEME_ID,HNET_PUBKEY,HNET_PUBKEY_IDENTIFIER,Routing_Indicator,SPN,UST,IST" RECORD
		"B A null," KEY_B "  " KEY_A ",27 30,71,Telco,122 -125 130,1 -2\n";
	static const char one[] = COLUMNS "A," KEY_A ",255\n";
	static const char by_usim[] = START "SUCI-SCHEME,SUCI-KEY,SUCI-KEY-ID,UST" RECORD "2 0," KEY_B ",1,125\n";
	static const char whole[] = COLUMNS "B," WHOLE_B ",0\n";
	static const char published[] = COLUMNS "B," PUBLISHED_B ",1\n";
	static const char null[] = START "SUCI-SCHEME" RECORD "null\n";
	/* the whole file, FF after what is in it; the service table grows: 19, 122, 124, 130 */
	static const char *const has_both[] = {
		"a97d" "a103800176" "8376" BOTH "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"a103800104830417ffffff", "a818a10380011183110a00040000000000000000000000000a02", "8302" "0100", "0054656c636fff", NULL
	};
	static const char *const has_one[] = { "a002" "0101" "a125" "8001ff" "8120" KEY_A "ffff", NULL };
	static const char *const has_usim[] = {
		/* that of the terminal is the template's */
		"a91ea11c8202412183024f078b036f0604800176a50ac00140c105a0020000ff",
		"8376" "a004" "02010000" "a126" "800101" "8121" KEY_B "ffff", "9effbf1dff3e008341031001040000" "18" "11", NULL
	};
	static const char *const has_whole[] = { "a002" "0201" "a146" "800100" "8141" WHOLE_B "ffff", NULL };
	static const char *const has_published[] = { "8121" PUBLISHED_B, NULL };
	static const char *const has_null[] = { "8376" "a002" "0000" "ffff", NULL };
	static const struct {
		const char *csv;
		int code;
		const char *says;
	} bad[] = {
		{ COLUMNS "A," KEY_B ",1\n", 2, "line 2: SUCI-KEY: " KEY_B " is not a key of profile A, X25519: 64 hex digits" },
		{ COLUMNS "B," KEY_A ",1\n", 2, "line 2: SUCI-KEY: " KEY_A " is not a key of profile B, P-256" },
		{ COLUMNS "B,020000000000000000000000000000000000000000000000000000000000000001,1\n", 2, "is no public key of P-256" },
		{ COLUMNS "B,ff0000000000000000000000000000000000000000000000000000000000000005,1\n", 2, "is no public key of P-256" },
		{ COLUMNS "A,0000000000000000000000000000000000000000000000000000000000000000,1\n", 2, "is no public key of X25519" },
		{ COLUMNS "A,ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f,1\n", 2, "is no public key of X25519" },
		{ COLUMNS "A,5a8d38864820197c3394b92613b20b91633cbd897119273bf8e4a6f4eec0a650,1\n", 2, "is published with its private key" },
		{ published, 2, "is published with its private key (TS 33.501, annex C)" },
		{ COLUMNS "B,0372DA71976234CE833A6907425867B82E074D44EF907DFB4B3E21C1C2256EBCD1,1\n", 2, "is published with its private key" },
		{ COLUMNS "A B," KEY_A ",1\n", 2, "SUCI-SCHEME A B needs 2 keys in SUCI-KEY and as many numbers in SUCI-KEY-ID" },
		{ COLUMNS "A," KEY_A ",1 2\n", 2, "needs 1 keys" },
		{ COLUMNS "A," KEY_A ",256\n", 2, "SUCI-KEY-ID: 256 is not a number from 0 to 255" },
		{ COLUMNS "A B," KEY_A " " KEY_B ",7 7\n", 2, "SUCI-KEY-ID: 7 is not a number from 0 to 255, or is there twice" },
		{ COLUMNS "A A," KEY_A " " KEY_A ",1 2\n", 2, "SUCI-SCHEME: A is not A, B or null, or is there twice" },
		{ COLUMNS "C," KEY_A ",1\n", 2, "SUCI-SCHEME: C is not A, B or null" },
		{ COLUMNS "null A," KEY_A ",1\n", 2, "null comes last" },
		{ START "SUCI-KEY,SUCI-KEY-ID" RECORD KEY_A ",1\n", 2, "SUCI-KEY and SUCI-KEY-ID go with SUCI-SCHEME" },
		{ START "ROUTING-INDICATOR" RECORD "12345\n", 2, "line 2: ROUTING-INDICATOR 12345 is not 1 to 4 digits" },
		{ START "ROUTING-INDICATOR" RECORD "7f\n", 2, "ROUTING-INDICATOR 7f is not 1 to 4 digits" },
		{ by_usim, 5, "by service 125 the USIM conceals, but the header does not demand get-identity of the chip" },
	};

	must("%s profile minimal --out template.der", smdpf);
	built_has(both, strlen(both), "8949449999999990023", has_both);
	make_chips(1, 2);
	must(SEAL "--euicc data --upp built", smdpf);
	built_has(one, strlen(one), "8949449999999990023", has_one);
	built_has(whole, strlen(whole), "8949449999999990023", has_whole);
	built_has(null, strlen(null), "8949449999999990023", has_null);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		remove_all("built");
		g_assert_true(g_file_set_contents("records.csv", bad[i].csv, -1, NULL));
		expect(bad[i].code, bad[i].says, BUILD, smdpf);
		g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	}
	/* with its private key known to everybody it is a test profile's, also when the template has brought it */
	g_assert_true(g_file_set_contents("records.csv", published, -1, NULL));
	must(BUILD " --class test", smdpf);
	{
		g_autoptr(GBytes) upp = read_file("built/8949449999999990023.der");

		assert_has(upp, has_published);
	}
	must("cp built/8949449999999990023.der template.der");
	expect(5, "template.der: profile: has an EF.SUCI_Calc_Info with a home network key that is published",
	       SEAL "--euicc data --upp template.der", smdpf);
	g_assert_nonnull(strstr(err_text, "give records with SUCI-KEY, or say --class test"));
	built_has(one, strlen(one), "8949449999999990023", has_one);

	write_5g_template(TRUE);
	built_has(by_usim, strlen(by_usim), "8949449999999990023", has_usim);
	write_5g_template(FALSE);
	remove_all("built");
	expect(5, "the header does not demand get-identity of the chip", BUILD, smdpf);
	built_has(one, strlen(one), "8949449999999990023", has_one);
	/* and one that has no 5G */
	must("%s profile minimal --out template.der", smdpf);
	drop_element("template.der", 0xBC);
	g_assert_true(g_file_set_contents("records.csv", one, -1, NULL));
	remove_all("built");
	expect(5, "profile: the template has no EF.SUCI_Calc_Info of DF.5GS to fill in", BUILD, smdpf);
	g_assert_true(g_file_set_contents("records.csv", START "ROUTING-INDICATOR" RECORD "71\n", -1, NULL));
	expect(5, "profile: the template has no EF.Routing_Indicator of DF.5GS to fill in", BUILD, smdpf);
	g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
#undef KEY_A
#undef KEY_B
#undef WHOLE_B
#undef PUBLISHED_B
#undef COLUMNS
#undef BOTH
}

/* Services by their numbers, and those that a column needs by itself. */
static void service_flags(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *csv;
		const char *has[3];
	} good[] = {
		{ START "UST" RECORD "122 123 -2\n", { "a818a10380011183110800000000000000000000000000000600", NULL } },
		{ START "UST" RECORD "137\n", { "a819a10380011283120a0000000000000000000000000000000001", NULL } },
		{ START "MSISDN,SMSC,SPN" RECORD "+491701234567,+491710760000,Telco\n", { "83110a081400", NULL } },
		{ START "IST" RECORD "1 2 10\n", { "8b036f0602800102" "83020302", NULL } },
		{ START "IST" RECORD "18\n", { "80010383" "03000002", NULL } },
	};
	static const struct {
		const char *csv, *says;
	} bad[] = {
		{ START "UST" RECORD "124 -124\n", "line 2: UST: -124 is not a service, 1 to 255, with - before it or not, or is there twice" },
		{ START "UST" RECORD "0\n", "UST: 0 is not a service" },
		{ START "UST" RECORD "256\n", "UST: 256 is not a service" },
		{ START "IST" RECORD "P-CSCF\n", "IST: P-CSCF is not a service" },
		{ START "UST" RECORD "\" \"\n", "column UST is empty" },
		{ START "UST,SPN" RECORD "-19,Telco\n", "UST: without service 19 no terminal looks at what SPN is for" },
		{ START "UST,MSISDN" RECORD "-21,0170\n", "UST: without service 21 no terminal looks at what MSISDN is for" },
		{ START "UST,SUCI-SCHEME" RECORD "-124,null\n", "UST: without service 124 no terminal looks at what SUCI-SCHEME is for" },
	};

	must("%s profile minimal --out template.der", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(good); i++)
		built_has(good[i].csv, strlen(good[i].csv), "8949449999999990023", good[i].has);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		remove_all("built");
		g_assert_true(g_file_set_contents("records.csv", bad[i].csv, -1, NULL));
		expect(2, bad[i].says, BUILD, smdpf);
		g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	}
#undef START
#undef RECORD
}

/* softhsm2-util imports AES keys with which no mechanism works. */
static void import_key(const char *file, int len, const char *label, const char *id, const char *access)
{
	must("pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label vault --login --pin 1234 --write-object %s "
	     "--type secrkey --key-type AES:%d --label %s --id %s %s", file, len, label, id, access);
}

/*
 * As pySim's csv-encrypt-columns.py writes it. The keys of SCP80 under "transport" are the example that is published with it;
 * the others were made with openssl enc -aes-256-cbc -nopad -iv 2323...
 */
static void encrypted_columns(Fixture *f, gconstpointer data)
{
#define PLAIN "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define HEAD "\"ICCID\",\"IMSI\",\"K\",\"OPC\",\"SCP80-KVN01-KIC\",\"SCP80-KVN01-KID\",\"SCP80-KVN01-KIK\"," \
	     "\"SCP03-KVN30-AES-KIC\",\"SCP81-KVN40-TLSPSK\"\n"
#define ROW "\"8949449999999990023\",\"262011234567890\",\"%s\",\"ffeeddccbbaa99887766554433221100\"," \
		      "\"eae46224fa0a4ac1c12cba9d102f1188\",\"3f14b978ddb38c08d832d4e4c2e0639d\",\"9e19db4a5ed5cb8c4f5d96283eab273a\"," \
		      "\"6b8d92be2b897c9be0d95556661a54ec694df68e21883ffe0bca52a0c8e98916\",\"" PLAIN "\"\n"
#define KI "76e553f828348af6965670feadb1bece"
#define KEYED BUILD " --pin-file pin"
#define GROUP " --column-key scp80-kvn01=pkcs11:token=vault;object=transport#fde4fb"
#define LONG " --column-key SCP03-KVN30-AES-KIC=pkcs11:token=vault;object=wide#A7DA91"
#define OF_KI " --column-key Ki=pkcs11:token=vault;object=wide#a7da91"
	static const guint8 transport[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	static const char *const has[] = {
		"8210" "8d5a0e7f3c21b64990d2c7e81f3a5b06",
		"820101830101301730158001808610" "f09c43ee1a0391665cc9f05af4e0bd10",
		"820102830101301730158001808610" "01981f4a20999f62af99988007baf6ca",
		"820103830101301730158001808610" "8f8aee5cdcc5d361368bc45673d99195",
		"820101830130302730258001888620" "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
		"820101830140301730158001858610" PLAIN, NULL
	};
	static const struct {
		const char *options, *k;
		int code;
		const char *says;
	} bad[] = {
		{ GROUP LONG " --column-key Ki=pkcs11:token=vault;object=wide#000000", KI, 10,
		  "records.csv: column Ki: key wide of token vault: its check value is a7da91, not 000000: it is another key" },
		{ " --column-key Ki=pkcs11:token=vault;object=none#a7da91", KI, 10, "key none of token vault: there is no AES key of this name" },
		{ " --column-key Ki=pkcs11:token=vault;object=open#fde4fb", KI, 10, "key open of token vault: it can be read or extracted" },
		{ " --column-key Ki=pkcs11:token=vault;object=twice#fde4fb", KI, 10, "there are several of this name" },
		{ OF_KI, "76e553f828348af6965670feadb1be", 2, "line 2: column Ki: not whole blocks of AES" },
		{ OF_KI, "76e553f828348af6965670feadb1becg", 2, "line 2: column Ki: not whole blocks of AES" },
		{ OF_KI, "", 2, "line 2: column Ki is empty" },
		{ OF_KI, "55f9065bd3acb521a7d6f05e4fd51d71", 2, "line 2: this Ki is published" },
		{ OF_KI, "6b8d92be2b897c9be0d95556661a54ec694df68e21883ffe0bca52a0c8e98916", 2, "line 2: Ki is not 32 hex digits" },
		{ OF_KI " --column-key K=pkcs11:token=vault;object=wide#a7da91", KI, 2, "column Ki has two transport keys" },
		{ " --column-key OP=pkcs11:token=vault;object=wide#a7da91", KI, 2, "no column OP, for which there is a transport key" },
		{ " --column-key IMSI=pkcs11:token=vault;object=wide#a7da91", KI, 2, "column IMSI cannot be encrypted" },
		{ " --column-key Ki=pkcs11:token=vault;object=wide", KI, 2, "with a key check value of 6 hex digits" },
		{ " --column-key Ki=pkcs11:token=vault;object=wide#a7da", KI, 2, "with a key check value of 6 hex digits" },
		{ " --column-key pkcs11:token#a7da91", KI, 2, "not of the form COLUMN=" },
		{ " --column-key Ki=vault#a7da91", KI, 2, "not of the form pkcs11:token=NAME;object=NAME" },
	};
	guint8 wide[32];

	for (guint i = 0; i < sizeof(wide); i++)
		wide[i] = 0x11 * (15 - i % 16);
	g_assert_true(g_file_set_contents("transport.key", (const char *)transport, sizeof(transport), NULL));
	g_assert_true(g_file_set_contents("wide.key", (const char *)wide, sizeof(wide), NULL));
	import_key("transport.key", 16, "transport", "21", "--sensitive");
	import_key("wide.key", 32, "wide", "22", "--sensitive");
	import_key("transport.key", 16, "twice", "23", "--sensitive");
	import_key("transport.key", 16, "twice", "24", "--sensitive");
	import_key("transport.key", 16, "open", "25", "--extractable");
	write_keys_template(NULL);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *csv = g_strdup_printf(HEAD ROW, bad[i].k);

		remove_all("built");
		g_assert_true(g_file_set_contents("records.csv", csv, -1, NULL));
		expect(bad[i].code, bad[i].says, KEYED "%s", smdpf, bad[i].options);
		g_assert_false(g_file_test("built", G_FILE_TEST_EXISTS));
	}
	{
		g_autofree char *csv = g_strdup_printf(HEAD ROW, KI);
		g_autoptr(GBytes) upp = NULL;

		g_assert_true(g_file_set_contents("records.csv", csv, -1, NULL));
		expect(10, "no PIN given", BUILD GROUP LONG OF_KI, smdpf);
		must(KEYED GROUP LONG OF_KI, smdpf);
		upp = read_file("built/8949449999999990023.der");
		assert_has(upp, has);
	}
	/* and goes into a chip, as an operational profile */
	make_chips(1, 1);
	must(SEAL "--euicc data --upp built", smdpf);
	g_assert_cmpuint(open_all(f), ==, 1);
#undef PLAIN
#undef HEAD
#undef ROW
#undef KI
#undef KEYED
#undef GROUP
#undef LONG
#undef OF_KI
}

/* The file with an icon of so many bytes that begins so. */
static void write_icon(const char *path, const char *magic, gsize n, gsize len)
{
	g_autofree char *icon = g_malloc(len);

	memset(icon, 'i', len);
	memcpy(icon, magic, n);
	g_assert_true(g_file_set_contents(path, icon, len, NULL));
}

/* EF.GID1 and EF.GID2 into its opt-usim. */
static void add_groups(const char *path)
{
	g_autoptr(GBytes) file = read_file(path), groups = ifpp_unhex("a5038301a1a6048302b2b3");
	g_autoptr(GByteArray) out = g_byte_array_new();
	IfppSpan in = ifpp_span_bytes(file);
	IfppTlv pe, member;

	while (in.len && ifpp_tlv_next(&in, &pe, NULL)) {
		g_autoptr(GByteArray) body = g_byte_array_new();

		if (pe.tag != 0xB4) {
			g_byte_array_append(out, pe.whole.data, pe.whole.len);
			continue;
		}
		while (pe.value.len && ifpp_tlv_next(&pe.value, &member, NULL)) {
			if (member.tag == 0xA7)
				g_byte_array_append(body, g_bytes_get_data(groups, NULL), g_bytes_get_size(groups));
			g_byte_array_append(body, member.whole.data, member.whole.len);
		}
		ifpp_tlv_put(out, 0xB4, body->data, body->len);
	}
	g_assert_true(g_file_set_contents(path, (const char *)out->data, out->len, NULL));
}

static Opened *open_one(Fixture *f)
{
	g_autoptr(GPtrArray) names = list("out");

	g_assert_cmpuint(names->len, ==, 1);
	return open_package(f->trust, names->pdata[0]);
}

#define PNG "\x89PNG\r\n\x1A\n"
#define WITH_METADATA SEAL "--euicc data --upp one.der --metadata "

/* Everything that an operator can say, in the order that SGP.22 has for StoreMetadata. */
static void metadata_whole(Fixture *f, gconstpointer data)
{
	static const char text[] =
		"[metadata]\nmcc-mnc = 99970\ngid1 = a1\ngid2=B2b3\npolicy-rules = ppr1; ppr2;update-control\nicon=logo.png\n"
		"notify-install=smdp.example.com\nnotify-enable = a.example.com;b.example.com\nnotify-disable=a.example.com\n"
		"notify-delete=a.example.com\nvendor-data=1.3.6.1.4.1.99999:04021122; 2.47.4294967295:A103020105\n";
	/* profileClass; notificationConfigurationInfo, profileOwner, profilePolicyRules */
	static const char rest[] =
		"950102" "b66c"
		"3016" "80020780" "8110" "736d64702e6578616d706c652e636f6d"
		"3013" "80020640" "810d" "612e6578616d706c652e636f6d"
		"3013" "80020640" "810d" "622e6578616d706c652e636f6d"
		"3013" "80020520" "810d" "612e6578616d706c652e636f6d"
		"3013" "80020410" "810d" "612e6578616d706c652e636f6d"
		"b70c" "800399f907" "8101a1" "8202b2b3" "990205e0"
		"bf2223" "3010" "8008" "2b06010401868d1f" "a104" "04021122" "300f" "8006" "7f8fffffff7f" "a105" "a103020105";
	static const struct {
		const char *conf;
		int code;
		const char *says;
	} bad[] = {
		{ "[metadata]\nmcc-mnc=26201\n", 5, "its IMSI or group identifiers are not those of the owner in --metadata" },
		{ "[metadata]\nmcc-mnc=99970\ngid1=a2\n", 5, "its IMSI or group identifiers are not those of the owner" },
		{ "[metadata]\nmcc-mnc=9997\n", 2, "operator/bad.conf: mcc-mnc: 9997 is not 5 or 6 digits" },
		{ "[metadata]\nmcc-mnc=999-70\n", 2, "mcc-mnc: 999-70 is not 5 or 6 digits" },
		{ "[metadata]\ngid1=a1\n", 2, "gid1: goes with mcc-mnc" },
		{ "[metadata]\nmcc-mnc=99970\ngid2=a\n", 2, "gid2: a is not 1 to 16 bytes in hex" },
		{ "[metadata]\nmcc-mnc=99970\npolicy-rules=ppr1;ppr9\n", 2, "policy-rules: ppr9 is not known: ppr1" },
		{ "[metadata]\nmcc-mnc=99970\npolicy-rules=\n", 2, "policy-rules: is empty" },
		{ "[metadata]\npolicy-rules=ppr2\n", 2, "policy-rules: without a profile owner no chip takes them" },
		{ "[metadata]\nnotify-install=https://smdp.example.com\n", 2, "is not the name of a server" },
		{ "[metadata]\nnotify-delete=localhost\n", 2, "notify-delete: localhost is not the name of a server" },
		{ "[metadata]\nicon=big.png\n", 2, "icon: big.png has 1025 bytes; SGP.22 allows 1024" },
		{ "[metadata]\nicon=logo.gif\n", 2, "icon: logo.gif is neither PNG nor JPEG" },
		{ "[metadata]\nicon=none.png\n", 5, "none.png" },
		{ "[metadata]\nvendor-data=\n", 2, "vendor-data: is empty" },
		{ "[metadata]\nvendor-data=1.2.x:0401aa\n", 2, "vendor-data: 1.2.x:0401aa does not begin with an object identifier" },
		{ "[metadata]\nvendor-data=3.2.1:0401aa\n", 2, "3.2.1:0401aa does not begin with an object identifier" },
		{ "[metadata]\nvendor-data=1.40.1:0401aa\n", 2, "1.40.1:0401aa does not begin with an object identifier" },
		{ "[metadata]\nvendor-data=1.2.4294967296:0401aa\n", 2, "does not begin with an object identifier" },
		{ "[metadata]\nvendor-data=1.2.3:0402aa\n", 2, "1.2.3:0402aa: what is after the colon is not one DER TLV in hex" },
		{ "[metadata]\nvendor-data=1.2.3:0401aa00\n", 2, "1.2.3:0401aa00: what is after the colon" },
		{ "[metadata]\nvendor-data=1.2.3\n", 2, "1.2.3: what is after the colon" },
		{ "[metadata]\nfallback=yes\n", 2, "fallback: yes is not known: allowed and forbidden are" },
		{ "[metadata]\nfallback=allowed\n", 6, "not eligible: --metadata says fallback, which is of IoT eUICCs (SGP.32)" },
		{ "[metadata]\nicons=logo.png\n", 2, "icons: is not known" },
		{ "[metadata]\n", 2, "there is nothing in this group" },
		{ "[other]\nicon=logo.png\n", 2, "other: no group but [metadata] is known" },
		{ "icon\n", 2, "not a key file" },
	};
	static const guint8 jpeg[] = { 0x93, 1, 0, 0x94, 20, 0xFF, 0xD8, 0xFF, 0xE0, 'i' };
	g_autoptr(GBytes) want = ifpp_unhex(rest);
	IfppSpan in, tail;
	IfppTlv bf25, tlv;
	Opened *o;

	make_chips(1, 4);
	write_profile("one.der", "8949449999999990015", 0);
	g_mkdir("operator", 0700);
	write_icon("operator/logo.png", PNG, 8, 1024);
	g_assert_true(g_file_set_contents("operator/metadata.conf", text, -1, NULL));
	write_icon("operator/big.png", PNG, 8, 1025);
	write_icon("operator/logo.gif", "GIF89a", 6, 100);
	write_icon("operator/logo.jpg", "\xFF\xD8\xFF\xE0", 4, 20);
	/* the profile has no group identifiers: a chip would refuse it, and its key would be spent */
	expect(5, "its IMSI or group identifiers are not those of the owner", WITH_METADATA "operator/metadata.conf", smdpf);
	add_groups("one.der");
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_true(g_file_set_contents("operator/bad.conf", bad[i].conf, -1, NULL));
		expect(bad[i].code, bad[i].says, WITH_METADATA "operator/bad.conf", smdpf);
	}
	g_assert_cmpuint(count_files("out"), ==, 0);

	must(WITH_METADATA "operator/metadata.conf", smdpf);
	o = open_one(f);
	in = (IfppSpan){ o->metadata->data, o->metadata->len };
	g_assert_true(ifpp_tlv_expect(&in, 0xBF25, "BF25", &bf25, NULL));
	g_assert_cmpuint(in.len, ==, 0);
	g_assert_true(ifpp_tlv_find(bf25.value, 0x94, &tlv));
	g_assert_cmpuint(tlv.value.len, ==, 1024);
	g_assert_cmpmem(tlv.whole.data - 3, 3, "\x93\x01\x01", 3);
	tail = (IfppSpan){ tlv.whole.data + tlv.whole.len, bf25.whole.data + bf25.whole.len - tlv.whole.data - tlv.whole.len };
	g_assert_cmpmem(tail.data, tail.len, g_bytes_get_data(want, NULL), g_bytes_get_size(want));
	opened_free(o);

	/* the same again is the same package; other metadata is another order, whose profile is taken */
	must(WITH_METADATA "operator/metadata.conf", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 1);
	g_assert_true(g_file_set_contents("operator/metadata.conf", "[metadata]\nicon=logo.jpg\n", -1, NULL));
	expect(6, "sealed to another key already", WITH_METADATA "operator/metadata.conf", smdpf);
	remove_all("out");
	must("%s seal --home home --pin-file pin --out out --euicc data --metadata operator/metadata.conf", smdpf);
	o = open_one(f);
	g_assert_nonnull(memmem(o->metadata->data, o->metadata->len, jpeg, sizeof(jpeg)));
	opened_free(o);
}

/* An IoT eUICC is told that the profile may be what it falls back to. */
static void metadata_fallback(Fixture *f, gconstpointer data)
{
	static const guint8 allowed[] = { 0x95, 1, 2, 0x9F, 0x67, 1, 0xFF }, forbidden[] = { 0x95, 1, 2, 0x9F, 0x67, 1, 0 };
	Opened *o;

	g_mkdir("data", 0700);
	g_mkdir("chips", 0700);
	must("%s personalise --pki pki --iot --eid " FIRST_EID " --keys 2 --chip chips/" FIRST_EID ".chip --data data/iot.euicc", eum);
	write_profile("one.der", "8949449999999990015", 0);
	g_assert_true(g_file_set_contents("metadata.conf", "[metadata]\nfallback=allowed\n", -1, NULL));
	must(WITH_METADATA "metadata.conf", smdpf);
	o = open_one(f);
	g_assert_nonnull(memmem(o->metadata->data, o->metadata->len, allowed, sizeof(allowed)));
	opened_free(o);
	remove_all("out");
	write_profile("one.der", "8949449999999990023", 0);
	g_assert_true(g_file_set_contents("metadata.conf", "[metadata]\nfallback=forbidden\n", -1, NULL));
	must(WITH_METADATA "metadata.conf", smdpf);
	o = open_one(f);
	g_assert_nonnull(memmem(o->metadata->data, o->metadata->len, forbidden, sizeof(forbidden)));
	opened_free(o);
}

/* What everybody knows the key of is no operational profile. */
static void published_keys_refused(Fixture *f, gconstpointer data)
{
	make_chips(1, 4);
	/* the built-in profile is a test profile, and can be nothing else */
	expect(5, "without --upp: profile: has the test algorithm", SEAL "--euicc data --class operational", smdpf);
	g_assert_nonnull(strstr(err_text, "--class test"));
	expect(5, "without --upp: profile: has the test algorithm", SEAL "--euicc data --class provisioning", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 0);
	must(SEAL "--euicc data --count 2", smdpf);
	expect_class(f, PROFILE_TEST);
	remove_all("out");
	must("%s profile minimal --out test.der", smdpf);
	expect(5, "test.der: profile: has the test algorithm", SEAL "--euicc data --upp test.der", smdpf);
	g_assert_nonnull(strstr(err_text, "--class test"));
	expect(5, "has the test algorithm", "%s protect --home home --pin-file pin --upp test.der --out ppp9", smdpf);
	/* what was protected as a test profile is sealed as one, or not at all */
	must("%s protect --home home --pin-file pin --upp test.der --out ppp9 --class test", smdpf);
	expect(5, "was protected with --class test", SEAL "--euicc data --protected ppp9", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 0);
	must(SEAL "--euicc data --upp test.der --class test", smdpf);

	must("cp test.der template.der");
	remove_all("built");
	g_assert_true(g_file_set_contents("records.csv", "ICCID,Ki\n8949449999999990023,101112131415161718191a1b1c1d1e1f\n", -1,
					  NULL));
	/* a real Ki for the test algorithm would never log in */
	expect(5, "has the test algorithm", BUILD, smdpf);
	must(BUILD " --class test", smdpf);
	g_assert_true(g_file_set_contents("records.csv",
					  "ICCID,Ki,OPc\n8949449999999990023,101112131415161718191a1b1c1d1e1f,"
					  "ffeeddccbbaa99887766554433221100\n", -1, NULL));
	must(BUILD, smdpf);
	must(SEAL "--euicc data --upp built", smdpf);
}

static void bad_input(Fixture *f, gconstpointer data)
{
	g_autofree char *first = g_strdup("data/" FIRST_EID ".euicc");
	g_autoptr(GBytes) good = NULL;
	IfppSpan span, ff21, bf22;
	guint8 eid[16];

	make_chips(1, 1);
	good = read_file(first);
	span = ifpp_span_bytes(good);
	write_profile("one.der", "89000123456789012341", 0);
	g_assert_true(g_file_set_contents("bad.der", "\xA0\x00", 2, NULL));
	remove_all("empty");
	g_mkdir("empty", 0700);

	expect(5, "nowhere", SEAL "--euicc nowhere", smdpf);
	expect(5, "empty: no *.euicc", SEAL "--euicc empty", smdpf);
	expect(5, "bad.der", SEAL "--euicc %s --upp bad.der", smdpf, first);
	expect(5, "nowhere", SEAL "--euicc %s --upp nowhere", smdpf, first);
	expect(5, "no-pin", SEAL "--euicc no-pin", smdpf);
	expect(5, "not a Key Maker's home", "%s seal --home empty --pin-file pin --euicc %s --out out", smdpf, first);
	expect(2, "--count", SEAL "--euicc %s --count 0", smdpf, first);
	expect(2, "--count", SEAL "--euicc %s --count 257", smdpf, first);
	expect(2, "--mode", SEAL "--euicc %s --mode none", smdpf, first);
	expect(2, "--class", SEAL "--euicc %s --class none", smdpf, first);
	expect(2, "--spn", SEAL "--euicc %s --spn 123456789012345678901234567890123", smdpf, first);
	expect(2, "are needed", "%s seal --home home", smdpf);
	expect(2, "no such command", "%s open", smdpf);
	expect(5, "pin", "%s seal --home home --pin-file pin --euicc %s --out pin/x", smdpf, first);

	/* any changed bit in a chip's attested data is refused (EUICCInfo2 after it is nobody's word) */
	g_assert_true(ifpp_euicc_data_parse(span, eid, &ff21, &bf22, NULL));
	for (gsize bit = 0; bit < (gsize)(ff21.data + ff21.len - span.data) * 8; bit += 997) {
		g_autofree guint8 *copy = g_memdup2(span.data, span.len);
		int code;

		copy[bit / 8] ^= 1 << bit % 8;
		g_assert_true(g_file_set_contents("changed.euicc", (char *)copy, span.len, NULL));
		code = run(SEAL "--euicc changed.euicc", smdpf);
		if (code != IFPP_EXIT_INPUT && code != IFPP_EXIT_REFUSED)
			g_error("bit %zu: exit %d", bit, code);
	}
	g_assert_cmpuint(count_files("out"), ==, 0);
	g_assert_cmpuint(count_stored(), ==, 0);

	/* the sound ones beside it go through */
	g_assert_cmpint(run(SEAL "--euicc %s --euicc changed.euicc --euicc %s", smdpf, first, first), !=, 0);
	g_assert_nonnull(strstr(err_text, "the same chip"));
	g_assert_cmpuint(open_all(f), ==, 1);
}

/* A key that is not attested, behind one that is: nothing is sealed to it, by whichever order it is come to. */
static void later_key_attested(Fixture *f, gconstpointer data)
{
	static const guint8 mark[] = { 0x5F, 0x37, 0x40 };
	g_autoptr(GBytes) good = NULL;
	g_autofree guint8 *bad = NULL;
	guint8 *at;
	gsize len;

	make_chips(1, 3);
	good = read_file("data/" FIRST_EID ".euicc");
	bad = g_memdup2(g_bytes_get_data(good, &len), g_bytes_get_size(good));
	len = g_bytes_get_size(good);
	at = memmem(bad, len, mark, sizeof(mark));
	g_assert_nonnull(at);
	at = memmem(at + 1, bad + len - at - 1, mark, sizeof(mark));
	g_assert_nonnull(at);
	at[20] ^= 1;
	g_assert_true(g_file_set_contents("second.euicc", (char *)bad, len, NULL));
	must(SEAL "--euicc second.euicc --order a", smdpf);
	expect(6, "second.euicc: one-time key: not attested by this chip", SEAL "--euicc second.euicc --order b", smdpf);
	expect(6, "second.euicc: one-time key: not attested by this chip", SEAL "--euicc second.euicc --order c --count 2", smdpf);
	g_assert_cmpuint(open_all(f), ==, 1);
	/* what was refused keeps no key */
	must(SEAL "--euicc data --order b", smdpf);
	g_assert_cmpuint(open_all(f), ==, 2);
	must("%s ledger check --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "2 keys bound"));
	/* a key that another order has is not asked for again */
	g_free(bad);
	bad = g_memdup2(g_bytes_get_data(good, NULL), len);
	at = memmem(bad, len, mark, sizeof(mark));
	at[20] ^= 1;
	g_assert_true(g_file_set_contents("first.euicc", (char *)bad, len, NULL));
	must(SEAL "--euicc first.euicc --order c", smdpf);
	g_assert_cmpuint(open_all(f), ==, 3);
	must(SEAL "--euicc first.euicc --order a", smdpf);
	g_assert_nonnull(strstr(out_text, "0 sealed now, 1 from before"));
}

static void eligibility(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *rules, *says; /* says NULL: eligible */
		int code;
	} cases[] = {
		{ "EIDs=1234;8904903313-8904903399", "in none of the EIDs", 6 },
		{ "EIDs=89049032123451234512345678901234", "in none of the EIDs", 6 },
		{ "Classes=test;provisioning", "in none of the Classes", 6 },
		{ "MinProfileVersion=99.0.0", "is below MinProfileVersion", 6 },
		{ "MinSVN=99.0.0", "is below MinSVN", 6 },
		{ "MinFirmware=255.0.0", "is below MinFirmware", 6 },
		{ "MinFreeMemory=4000000000", "below MinFreeMemory", 6 },
		{ "EIDs=8x", "EIDs: not a list", 2 },
		{ "EIDs=2-1", "EIDs: not a list", 2 },
		{ "Classes=other", "Classes: not a list", 2 },
		{ "MinSVN=2.2", "MinSVN: not a version", 2 },
		{ "MinFreeMemory=lots", "MinFreeMemory: not a number", 2 },
		{ "MinFreeMemroy=1", "MinFreeMemroy: not a rule", 2 },
		{ "EIDs=89049032;1\nClasses=operational\nMinProfileVersion=1.0.0\nMinSVN=2.0.0\nMinFreeMemory=1000", NULL, 0 },
	};

	make_chips(1, 1);
	write_profile("one.der", "89000123456789012341", 0);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = g_strdup_printf("[Eligibility]\n%s\n", cases[i].rules);

		g_assert_true(g_file_set_contents("rules", text, -1, NULL));
		if (cases[i].says)
			expect(cases[i].code, cases[i].says, SEAL "--euicc data --upp one.der --rules rules", smdpf);
		else
			must(SEAL "--euicc data --upp one.der --rules rules", smdpf);
	}
	g_assert_cmpuint(open_all(f), ==, 1);
	g_assert_true(g_file_set_contents("rules", "[Other]\nEIDs=1\n", -1, NULL));
	expect(2, "rules: Other: not a group that this program knows: [Eligibility] and [Profile NAME] are", SEAL "--euicc data --upp one.der --rules rules",
	       smdpf);
	expect(5, "nowhere", SEAL "--euicc data --upp one.der --rules nowhere", smdpf);
}

/* A profile of another type and version; what it is made of stays as it is. */
static void write_kind(const char *path, const char *iccid, const char *type, guint8 major, guint8 minor)
{
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GByteArray) out = g_byte_array_new(), body = g_byte_array_new();
	IfppSpan in;
	IfppTlv header, tlv;

	write_profile(path, iccid, 0);
	file = read_file(path);
	in = ifpp_span_bytes(file);
	g_assert_true(ifpp_tlv_next(&in, &header, NULL));
	ifpp_tlv_put(body, 0x80, &major, 1);
	ifpp_tlv_put(body, 0x81, &minor, 1);
	ifpp_tlv_put(body, 0x82, type, strlen(type));
	while (header.value.len && ifpp_tlv_next(&header.value, &tlv, NULL))
		if (tlv.tag > 0x82)
			g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
	ifpp_tlv_put(out, 0xA0, body->data, body->len);
	g_byte_array_append(out, in.data, in.len);
	g_assert_true(g_file_set_contents(path, (const char *)out->data, out->len, NULL));
}

/* The chip's EUICCInfo2 with more in it, which no one signs; FF21 and EID as they are. */
static void tell_more(const char *path, const char *hex)
{
	g_autoptr(GBytes) file = read_file(path), more = ifpp_unhex(hex), out = NULL;
	g_autoptr(GByteArray) body = g_byte_array_new(), info = g_byte_array_new();
	IfppSpan ff21, bf22;
	IfppTlv all;
	guint8 eid[16];

	g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(file), eid, &ff21, &bf22, NULL));
	g_assert_true(ifpp_tlv_next(&bf22, &all, NULL));
	g_byte_array_append(body, all.value.data, all.value.len);
	g_byte_array_append(body, g_bytes_get_data(more, NULL), g_bytes_get_size(more));
	ifpp_tlv_put(info, 0xBF22, body->data, body->len);
	out = ifpp_euicc_data_build(eid, ff21, (IfppSpan){ info->data, info->len });
	g_assert_true(g_file_set_contents(path, g_bytes_get_data(out, NULL), g_bytes_get_size(out), NULL));
}

/* subjectKeyIdentifier of whoever has made the chip. */
static char *ski_of_eum(const char *path)
{
	g_autoptr(GBytes) file = read_file(path);
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16], ski[20];

	g_assert_true(ifpp_euicc_data_parse(ifpp_span_bytes(file), eid, &ff21, &bf22, NULL));
	info = ifpp_factory_info_parse(ff21, NULL);
	g_assert_true(ifpp_cert_ski(ifpp_span_bytes(info->cert_eum), ski, NULL));
	return ifpp_hex(IFPP_SPAN(ski));
}

/* The ICCIDs in a listing of packages, which are all there are. */
static void expect_iccids(const char *const *iccids)
{
	guint n = 0;

	for (const char *p = out_text; (p = strstr(p, "ICCID ")); p++)
		n++;
	for (guint i = 0; iccids[i]; i++)
		if (!strstr(out_text, iccids[i]))
			g_error("no %s in '%s'", iccids[i], out_text);
	g_assert_cmpuint(n, ==, g_strv_length((char **)iccids));
}

/* Which type of profile a chip gets, its rules say; one that fits none gets none, and hears why. */
static void rules_choose(Fixture *f, gconstpointer data)
{
#define RULES SEAL "--euicc data --upp kinds --rules rules"
	static const struct {
		const char *rules, *says;
		int code;
	} bad[] = {
		{ "[Profile Meter]\nEUMs=Another\n[Profile Sensor]\nCapabilities=multos\n",
		  "not eligible: no profile is for this chip; Meter: its EUM, IFPP Test EUM, is none of the EUMs; Sensor: the chip lacks "
		  "multos of the Capabilities", 6 },
		{ "[Profile Meter]\nTACs=35123456\n", "Meter: the IMEI of its device is not known: no request has told it", 6 },
		{ "[Eligibility]\nEUMs=Another\n[Profile Sensor]\n", "not eligible: its EUM, IFPP Test EUM, is none of the EUMs", 6 },
		{ "[Profile Gateway]\n", "not eligible: by its rules the chip gets a profile Gateway, and the order has none", 6 },
		{ "[Profile Meter]\nEIDs=x\n", "rules: [Profile Meter]: EIDs: not a list", 2 },
		{ "[Profile Meter]\nCapabilities=usim;wings\n", "[Profile Meter]: Capabilities: not a list of usim, isim", 2 },
		{ "[Profile Meter]\nEUMs=\n", "[Profile Meter]: EUMs: empty", 2 },
		{ "[Profile Meter]\nTACs=351234567\n", "[Profile Meter]: TACs: not a list of prefixes", 2 },
		{ "[Profile ]\nEIDs=8\n", "not a group that this program knows", 2 },
		{ "", "there is no rule", 2 },
	};
	/* the second chip by its EID, the others by what every one of them is and can */
	static const char good[] = "[Profile Meter]\nEIDs=%s\n[Profile Sensor]\nEUMs=Another;IFPP Test EUM\n"
				   "Capabilities=usim;tuak128;multiple-isim\n";
	g_autofree char *ski = NULL, *text = NULL;
	g_autoptr(GPtrArray) chips = NULL;
	g_autofree char *second = NULL;

	make_chips(3, 2);
	remove_all("kinds");
	g_mkdir("kinds", 0700);
	write_kind("kinds/a.der", "8949449999999990015", "Sensor", 2, 3);
	write_kind("kinds/b.der", "8949449999999990023", "Meter", 2, 3);
	write_kind("kinds/c.der", "8949449999999990031", "Sensor", 2, 3);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_true(g_file_set_contents("rules", bad[i].rules, -1, NULL));
		expect(bad[i].code, bad[i].says, SEAL "--euicc data/" FIRST_EID ".euicc --upp kinds --rules rules", smdpf);
	}
	g_assert_cmpuint(count_files("out"), ==, 0);
	chips = list("data");
	second = g_strndup(strrchr(chips->pdata[1], '/') + 1, 32);
	text = g_strdup_printf(good, second);
	g_assert_true(g_file_set_contents("rules", text, -1, NULL));
	must(RULES, smdpf);
	expect_iccids((const char *const[]){ "8949449999999990015", "8949449999999990023", "8949449999999990031", NULL });
	{
		g_autofree char *line = g_strdup_printf("%s  key ", second);
		const char *at = strstr(out_text, line);

		g_assert_nonnull(at);
		g_assert_nonnull(strstr(at, "8949449999999990023"));
		g_assert_true(strstr(at, "8949449999999990023") < strchr(at, '\n'));
	}
	/* none is left of the type that is for it, although there is another */
	write_kind("kinds/d.der", "8949449999999990049", "Meter", 2, 3);
	g_assert_true(g_file_set_contents("rules", "[Profile Sensor]\n", -1, NULL));
	expect(2, "no profile left of type Sensor", SEAL "--euicc data/" FIRST_EID ".euicc --upp kinds --rules rules", smdpf);
	/* by the key of the EUM; the assigned one must be of the type */
	ski = ski_of_eum(chips->pdata[0]);
	g_free(text);
	text = g_strdup_printf("[Profile Meter]\nEUMs=%s\n", ski);
	g_assert_true(g_file_set_contents("rules", text, -1, NULL));
	write_kind("kinds/e.der", "8949449999999990056", "Sensor", 2, 3);
	g_free(text);
	text = g_strdup_printf("eid,iccid\n%s,8949449999999990056\n", second);
	g_assert_true(g_file_set_contents("assign.csv", text, -1, NULL));
	expect(6, "by its rules the chip gets a profile Meter, and the one that it is assigned is none",
	       SEAL "--euicc %s --upp kinds --rules rules --assign assign.csv", smdpf, (char *)chips->pdata[1]);
	must(SEAL "--euicc %s --upp kinds --rules rules", smdpf, (char *)chips->pdata[1]);
	expect_iccids((const char *const[]){ "8949449999999990049", NULL });
#undef RULES
}

/* The newest package version that a chip takes, of those that the order has; none is a refusal that says both. */
static void package_versions(Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) chips = NULL;

	make_chips(3, 2);
	chips = list("data");
	/* two of SGP.22 v3, which take packages of 3.2 as well; the third one 2.3 alone */
	tell_more(chips->pdata[0], "af05" "0403030200");
	tell_more(chips->pdata[1], "af0a" "0403040100" "0403030200");
	remove_all("kinds");
	g_mkdir("kinds", 0700);
	write_kind("kinds/a.der", "8949449999999990015", "Sensor", 4, 1);
	expect(6, "not eligible: the chip takes profile packages of version 2.3, and the order has them of 4.1 alone",
	       SEAL "--euicc %s --upp kinds", smdpf, (char *)chips->pdata[2]);
	g_assert_cmpuint(count_files("out"), ==, 0);
	write_kind("kinds/b.der", "8949449999999990023", "Sensor", 2, 3);
	write_kind("kinds/c.der", "8949449999999990031", "Sensor", 3, 2);
	/* the same subscriber in two versions goes out once; 2.4 nobody takes */
	write_kind("kinds/d.der", "8949449999999990031", "Sensor", 2, 3);
	write_kind("kinds/e.der", "8949449999999990049", "Sensor", 2, 4);
	must(SEAL "--euicc %s --upp kinds", smdpf, (char *)chips->pdata[0]);
	expect_iccids((const char *const[]){ "8949449999999990031", NULL });
	must(SEAL "--euicc %s --upp kinds", smdpf, (char *)chips->pdata[1]);
	expect_iccids((const char *const[]){ "8949449999999990015", NULL });
	must(SEAL "--euicc %s --upp kinds", smdpf, (char *)chips->pdata[2]);
	expect_iccids((const char *const[]){ "8949449999999990023", NULL });
	expect(2, "no profile left: every one given is sealed already", SEAL "--euicc %s --upp kinds --count 2", smdpf,
	       (char *)chips->pdata[2]);
	must("%s ledger check --home home --pin-file pin", smdpf);
	/* protected ones say their version as well */
	must("%s protect --home home --pin-file pin --upp kinds/e.der --out ppp-kind", smdpf);
	expect(6, "the chip takes profile packages of version 2.3, and the order has them of 2.4 alone",
	       SEAL "--euicc %s --protected ppp-kind", smdpf, (char *)chips->pdata[2]);
	remove_all("ppp-kind");
}

static void full_disk(Fixture *f, gconstpointer data)
{
	g_auto(GStrv) argv = NULL;
	g_autofree char *line = g_strdup_printf(SEAL "--euicc data --upp one.der", smdpf);
	int code;

	make_chips(1, 1);
	/* larger than the ledger, which has to have room */
	write_profile("one.der", "89000123456789012341", 250000);
	argv = g_strsplit(line, " ", -1);
	file_limit = 200000;
	code = run_with(small_files, argv);
	file_limit = 1000;
	if (code != IFPP_EXIT_IO || !strstr(err_text, "Free space"))
		g_error("exit %d: %s", code, err_text);
	g_assert_cmpuint(count_files("out"), ==, 0);
	g_assert_cmpuint(count_stored(), ==, 0);
	g_assert_cmpuint(count_files("home/run"), ==, 0);
	/* and the key that was reserved is not lost */
	must(SEAL "--euicc data --upp one.der", smdpf);
	g_assert_cmpuint(open_all(f), ==, 1);
	/* a ledger that cannot be written: nothing is sealed */
	code = run_with(small_files, argv);
	g_assert_cmpint(code, !=, 0);
}

static GPid start(const char *const *argv)
{
	g_autoptr(GError) error = NULL;
	GPid pid;

	g_spawn_async(top, (char **)argv, NULL,
		      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
		      &pid, &error);
	g_assert_no_error(error);
	return pid;
}

static int finish(GPid pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		g_assert_cmpint(errno, ==, EINTR);
	return status;
}

/* Four at once for the same chips: every key once, everything delivered in the end. */
static void parallel(Fixture *f, gconstpointer data)
{
	const char *const argv[] = { smdpf, "seal", "--home", "home", "--pin-file", "pin", "--out", "out",
				     "--euicc", "data", "--count", "3", NULL };
	GPid pids[4];

	make_chips(20, 3);
	for (guint i = 0; i < 4; i++)
		pids[i] = start(argv);
	for (guint i = 0; i < 4; i++) {
		int status = finish(pids[i]);

		g_assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != IFPP_EXIT_OK && WEXITSTATUS(status) != IFPP_EXIT_BUSY)
			g_error("exit %d", WEXITSTATUS(status));
	}
	must(SEAL "--euicc data --count 3", smdpf);
	g_assert_cmpuint(open_all(f), ==, 60);
	g_assert_cmpuint(count_stored(), ==, 60);
	g_assert_cmpuint(count_files("home/run"), ==, 0);
}

/* Who opens the token while another one logs in must not be told that it is not there. */
static void token_together(Fixture *f, gconstpointer data)
{
	for (guint round = 0; round < 10; round++) {
		char homes[6][8];
		GPid pids[6];

		for (guint i = 0; i < G_N_ELEMENTS(pids); i++) {
			const char *const argv[] = { smdpf, "init", "--home", homes[i], "--key",
						     "pkcs11:token=vault;object=dppb", "--pin-file", "pin", NULL };

			g_snprintf(homes[i], sizeof(homes[i]), "same%u", i);
			pids[i] = start(argv);
		}
		for (guint i = 0; i < G_N_ELEMENTS(pids); i++)
			g_assert_cmpint(finish(pids[i]), ==, 0);
	}
}

/* Killed at any moment, finished by running it again; what was out stays as it was. */
static void killed(Fixture *f, gconstpointer data)
{
	const char *const argv[] = { smdpf, "seal", "--home", "home", "--pin-file", "pin", "--out", "out",
				     "--euicc", "data", "--count", "2", NULL };
	g_autoptr(GHashTable) before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
	g_autoptr(GPtrArray) left = NULL;

	make_chips(60, 2);
	for (guint i = 0; i < 10; i++) {
		g_autoptr(GPtrArray) names = NULL;
		GPid pid = start(argv);

		g_usleep(g_test_rand_int_range(1000, 400000));
		kill(pid, SIGKILL);
		finish(pid);
		names = list("out");
		for (guint j = 0; j < names->len; j++)
			if (g_str_has_suffix(names->pdata[j], ".ifpp") && !strstr(names->pdata[j], "/.smdpf-") &&
			    !g_hash_table_contains(before, names->pdata[j]))
				g_hash_table_insert(before, g_strdup(names->pdata[j]), read_file(names->pdata[j]));
	}
	must(SEAL "--euicc data --count 2", smdpf);
	g_assert_cmpuint(open_all(f), ==, 120);
	g_assert_cmpuint(count_stored(), ==, 120);
	g_assert_cmpuint(count_files("home/run"), ==, 0);
	left = list("out");
	for (guint i = 0; i < left->len; i++) {
		GBytes *was = g_hash_table_lookup(before, left->pdata[i]);
		g_autoptr(GBytes) is = read_file(left->pdata[i]);

		g_assert_true(!was || g_bytes_equal(was, is));
	}
}

/* ------------------------------------------------------------ a ledger that is not what it was */

static void sql(const char *file, const char *text)
{
	const char *const argv[] = { "sqlite3", file, text, NULL };
	int code = run_with(new_session, (char **)argv);

	if (code)
		g_error("sqlite3: %s", err_text);
}

/* Nothing is sealed, whichever chip is asked for, and the next step is named. */
static void expect_stopped(const char *says)
{
	guint before = count_files("out");

	expect(IFPP_EXIT_REFUSED, says, SEAL "--euicc data --count 2 --order other", smdpf);
	g_assert_nonnull(strstr(err_text, "ifpp-smdpf ledger adopt"));
	expect(IFPP_EXIT_REFUSED, says, "%s ledger check --home home --pin-file pin", smdpf);
	g_assert_cmpuint(count_files("out"), ==, before);
}

/* The profile that is out already is out once: after an adoption too. */
static void expect_no_clone(const char *chip)
{
	expect(6, "sealed to another key already", SEAL "--euicc %s --upp one.der", smdpf, chip);
}

static char *second_chip(void)
{
	g_autoptr(GPtrArray) names = list("data");

	for (guint i = 0; i < names->len; i++)
		if (!strstr(names->pdata[i], FIRST_EID))
			return g_strdup(names->pdata[i]);
	g_assert_not_reached();
}

static void ledger_lost(Fixture *f, gconstpointer data)
{
	g_autofree char *other = NULL;

	make_chips(2, 3);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	remove_all("home/ledger.db");
	remove_all("home/ledger.db-wal");
	expect_stopped("home/ledger.db: the ledger is missing");
	/* also when the home is made again: the token remembers */
	must("%s init --home home --key pkcs11:token=vault;object=dppb --pin-file pin", smdpf);
	expect_stopped("the ledger is missing");
	must("cp -a home lost");
	remove_all("home");
	must("%s init --home home --key pkcs11:token=vault;object=dppb --pin-file pin", smdpf);
	must("%s certificate --home home dppb.pem --ci pki/ci.pem", smdpf);
	expect_stopped("older than the signing key knows of: it has 0 bound keys, the token has seen 1");

	/* without journal and packages nothing is proven; the packages alone do not tell the ICCID */
	expect(6, "1 are missing", "%s ledger adopt --home home --pin-file pin", smdpf);
	expect(6, "of 1 packages the ICCID is not known", "%s ledger adopt --home home --pin-file pin --packages out", smdpf);
	expect_stopped("older than");

	remove_all("home");
	must("mv lost home");
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "1 keys bound, 1 of them adopted"));
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect_no_clone(other);
	/* that key is taken: two are left */
	must(SEAL "--euicc data/" FIRST_EID ".euicc --count 2", smdpf);
	expect(6, "no free one-time key", SEAL "--euicc data/" FIRST_EID ".euicc --count 3", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "is sound: 3 keys bound"));
}

/* For whom an order is, and its name, are held against the events: another operator is told nothing of it. */
static void ledger_operator(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *alter, *says, *back;
		gboolean stops;		/* seen by every command, not only by the check of all */
	} cases[] = {
		{ "UPDATE order_operator SET name = 'Rival'", "gives the operator of order",
		  "UPDATE order_operator SET name = 'Telco,Ltd'", TRUE },
		{ "CREATE TABLE kept AS SELECT * FROM order_operator; DELETE FROM order_operator", "gives the operator of order",
		  "INSERT INTO order_operator SELECT * FROM kept; DROP TABLE kept", TRUE },
		{ "INSERT INTO order_operator VALUES (X'0011223344556677', 'Rival')",
		  "no event gives the operator of order 0011223344556677",
		  "DELETE FROM order_operator WHERE name = 'Rival'", FALSE },
		{ "UPDATE orders SET name = 'line-8'", "gives the name of order", "UPDATE orders SET name = 'line-7'", TRUE },
	};

	make_chips(1, 3);
	must(SEAL "--euicc data --spn Telco,Ltd --order line-7", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		must("%s ledger check --home home --pin-file pin", smdpf);
		sql("home/ledger.db", cases[i].alter);
		if (cases[i].stops)
			expect_stopped(cases[i].says);
		expect(6, cases[i].says, "%s ledger check --home home --pin-file pin", smdpf);
		sql("home/ledger.db", cases[i].back);
	}

	/* what was altered is not taken up: nobody's it is, until the order is sealed for again */
	sql("home/ledger.db", cases[0].alter);
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(err_text, "1 orders: no event says for whom they are"));
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect(2, "operator Rival: no order is known", "%s extract --home home --operator Rival", smdpf);
	must(SEAL "--euicc data --spn Telco,Ltd --order line-7", smdpf);
	must("%s extract --home home --operator Telco,Ltd", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);

	/* and what the events say stays through another beginning */
	sql("home/ledger.db", "UPDATE event SET who = 'nobody' WHERE seq = (SELECT MAX(seq) FROM event)");
	expect(6, "was altered", "%s ledger check --home home --pin-file pin", smdpf);
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	g_assert_null(strstr(err_text, "no event says"));
	must("%s ledger check --home home --pin-file pin", smdpf);
	must("%s extract --home home --operator Telco,Ltd", smdpf);
}

/* An entry that says its key has failed sets no ICCID free: the event is missing. */
static void ledger_freed(Fixture *f, gconstpointer data)
{
	static const char *const alter[] = { "UPDATE binding SET state = 3, reason = 3, hold = 0",
					     "UPDATE binding SET state = 4, hold = 0", "UPDATE binding SET state = 2, reason = 1, hold = 0" };

	make_chips(1, 2);
	must(SEAL "--euicc data --order a", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(alter); i++) {
		sql("home/ledger.db", alter[i]);
		expect_stopped("no event sets the ICCID of key");
		expect(6, "no event sets the ICCID of key", "%s ledger check --home home --pin-file pin", smdpf);
		sql("home/ledger.db", "UPDATE binding SET state = 1, reason = 0, hold = 1");
		must("%s ledger check --home home --pin-file pin", smdpf);
	}
}

/* Beyond the events at which every command looks it is seen when the ICCID is to be given again. */
static void ledger_freed_long_ago(Fixture *f, gconstpointer data)
{
#define ONE "iccid = x'98001032547698103214'"
#define TWO "iccid = x'98001032547698103224'"
	static const struct {
		const char *alter, *says;
	} cases[] = {
		{ "UPDATE binding SET state = 3, reason = 3, hold = 0 WHERE " ONE, "no event sets the ICCID of key" },
		{ "UPDATE binding SET state = 4, hold = 0 WHERE " ONE, "no event sets the ICCID of key" },
		/* by the event of another key, and by one that was made to say so */
		{ "UPDATE binding SET state = 4, hold = 0 WHERE " ONE "; INSERT INTO freed SELECT key_id, (SELECT event FROM freed) "
		  "FROM binding WHERE " ONE, "no event sets the ICCID of key" },
		{ "UPDATE binding SET state = 4, hold = 0 WHERE " ONE "; INSERT INTO freed SELECT key_id, (SELECT event FROM freed) "
		  "FROM binding WHERE " ONE "; UPDATE event SET text = text || 'voided ' || (SELECT lower(hex(key_id)) FROM binding "
		  "WHERE " ONE ") || ' word Ann r' || char(10) WHERE seq = (SELECT event FROM freed LIMIT 1)",
		  "no event sets the ICCID of key" },
		/* what is out or loaded is nobody else's, whatever its entry says of the ICCID */
		{ "UPDATE binding SET hold = 0 WHERE " ONE, "is sealed to another key already" },
		{ "UPDATE binding SET state = 2, reason = 1, hold = 0 WHERE " ONE, "is sealed to another key already" },
	};
	const char *wal[] = { "home/ledger.db", "home/ledger.db-wal", "home/ledger.db-shm" };
	g_autoptr(GString) name = g_string_new(NULL);
	g_autofree char *other = NULL;

	make_chips(2, 200);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	write_profile("two.der", "89000123456789012342", 0);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp two.der", smdpf);
	must("%s void 89000123456789012342 --word Ann --reason r --yes --home home --pin-file pin", smdpf);
	for (guint i = 0; i < 21; i++)
		g_string_append(name, "\u20ac");
	/* 128 KiB of lines come after these events */
	must(SEAL "--euicc data --count 190 --profile-name %s", smdpf, name->str);
	must("%s ledger backup --home home --out whole.db", smdpf);
	must("cp -a tokens tokens1");
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		sql("home/ledger.db", cases[i].alter);
		expect(6, cases[i].says, SEAL "--euicc %s --upp one.der", smdpf, other);
		expect(6, "ledger:", "%s ledger check --home home --pin-file pin", smdpf);
		must("%s ledger adopt --home home --pin-file pin", smdpf);
		must("%s ledger check --home home --pin-file pin", smdpf);
		expect_no_clone(other);
		for (guint j = 0; j < G_N_ELEMENTS(wal); j++)
			remove_all(wal[j]);
		must("cp whole.db home/ledger.db");
		remove_all("tokens");
		must("cp -a tokens1 tokens");
	}
	/* and what an event says is free, is */
	must(SEAL "--euicc %s --upp two.der", smdpf, other);
	must("%s ledger check --home home --pin-file pin", smdpf);
	remove_all("whole.db");
}

/* The operator's word closes what nothing proves, and the number must be right. */
static void ledger_accept(Fixture *f, gconstpointer data)
{
	make_chips(1, 3);
	must(SEAL "--euicc data --count 2", smdpf);
	remove_all("home/ledger.db");
	remove_all("home/journal");
	expect(6, "of 2 packages the ICCID is not known", "%s ledger adopt --home home --pin-file pin --accept 1", smdpf);
	must("%s ledger adopt --home home --pin-file pin --accept 2", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);
	must(SEAL "--euicc data", smdpf);
	expect(6, "no free one-time key", SEAL "--euicc data --order more", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 3);
}

static void ledger_old_backup(Fixture *f, gconstpointer data)
{
	g_autofree char *other = NULL;

	make_chips(2, 3);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data", smdpf);
	must("touch backup.db-wal");
	expect(5, "backup.db-wal: is there already", "%s ledger backup --home home --out backup.db", smdpf);
	remove_all("backup.db-wal");
	must("%s ledger backup --home home --out backup.db", smdpf);
	expect(5, "is there already", "%s ledger backup --home home --out backup.db", smdpf);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	must("cp home/ledger.db newest.db");
	remove_all("home/ledger.db-wal");
	must("cp backup.db home/ledger.db");
	expect_stopped("older than the signing key knows of: it has 2 bound keys, the token has seen 3");
	expect(6, "older than", "%s export --home home --pin-file pin --all --out e.ifppd", smdpf);

	/* either the newest is restored, or what is proven is taken up */
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "3 keys bound, 1 of them adopted"));
	expect_no_clone(other);
	must(SEAL "--euicc data --order other", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "is sound: 5 keys bound"));

	/* the chain that was given up does not come back, as new as it may be */
	remove_all("home/ledger.db-wal");
	must("cp newest.db home/ledger.db");
	expect_stopped("older than");
	remove_all("backup.db");
}

static void ledger_truncated(Fixture *f, gconstpointer data)
{
	static const char *const changes[] = {
		/* the last event is gone; an entry; both */
		"DELETE FROM event WHERE seq = (SELECT MAX(seq) FROM event)",
		"DELETE FROM binding WHERE key_id = (SELECT MIN(key_id) FROM binding)",
		"DELETE FROM binding; DELETE FROM event",
		/* an ICCID is made free, a key moved to another chip, an event rewritten */
		"UPDATE binding SET hold = 0",
		"UPDATE binding SET iccid = x'98001032547698103224' WHERE key_id = (SELECT MIN(key_id) FROM binding)",
		"UPDATE event SET text = replace(text, ' one ', ' free ')",
		"UPDATE event SET who = 'nobody' WHERE seq = 1",
	};
	g_autofree char *other = NULL;

	make_chips(2, 4);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	must(SEAL "--euicc data", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
		remove_all("home1");
		remove_all("tokens1");
		must("cp -a home home1");
		must("cp -a tokens tokens1");
		sql("home/ledger.db", changes[i]);
		expect_stopped("ledger");
		must("%s ledger adopt --home home --pin-file pin", smdpf);
		must("%s ledger check --home home --pin-file pin", smdpf);
		g_assert_nonnull(strstr(out_text, "is sound: 3 keys bound"));
		expect_no_clone(other);
		must(SEAL "--euicc data --order after", smdpf);
		must("%s ledger check --home home --pin-file pin", smdpf);
		remove_all("home");
		remove_all("tokens");
		must("mv home1 home");
		must("mv tokens1 tokens");
		remove_all("out");
		must(SEAL "--euicc data", smdpf);
	}

	/* half of the file, and a file of something else */
	must("%s ledger backup --home home --out whole.db", smdpf);
	remove_all("home/ledger.db-wal");
	g_assert_cmpint(truncate("home/ledger.db", count_bytes("home/ledger.db") / 2), ==, 0);
	expect_stopped("ledger");
	must("cp pin home/ledger.db");
	expect_stopped("not a database");
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect_no_clone(other);
	remove_all("whole.db");
}

/* A ledger of before the database. */
static void ledger_migrate(Fixture *f, gconstpointer data)
{
	g_autofree char *other = NULL, *text = NULL, *line = NULL;
	g_autoptr(GPtrArray) names = NULL;

	make_chips(2, 3);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der --order o", smdpf);
	/* what it would have looked like: one directory, a text file, and nothing in the token */
	must("sh -c mv\thome/packages/*/*\thome/packages;rmdir\thome/packages/???");
	sql("home/ledger.db", "SELECT text FROM event WHERE text LIKE 'bound%'");
	{
		g_auto(GStrv) w = g_strsplit(g_strchomp(out_text), " ", -1);

		text = g_strdup_printf("reserve %s %s %s %s %s 0123456789abcdef\nbound %s %s %s\norder %s o\n", w[1], w[2], w[3],
				       w[4], w[5], w[1], w[7], w[8], w[4]);
	}
	line = g_strdup_printf("%sreserve 0123", text);
	g_assert_true(g_file_set_contents("home/ledger", line, -1, NULL));
	remove_all("home/ledger.db");
	remove_all("home/journal");
	remove_all("tokens");
	must("cp -a tokens0 tokens");

	expect(6, "ifpp-smdpf ledger migrate", SEAL "--euicc data", smdpf);
	text[10] = 'x';
	g_assert_true(g_file_set_contents("home/ledger.bad", text, -1, NULL));
	must("cp home/ledger home/ledger.good");
	must("mv home/ledger.bad home/ledger");
	expect(5, "line 1 is damaged", "%s ledger migrate --home home --pin-file pin", smdpf);
	must("mv home/ledger.good home/ledger");
	must("%s ledger migrate --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "1 bound keys taken over"));
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect(5, "home/ledger", "%s ledger migrate --home home --pin-file pin", smdpf);
	expect_no_clone(other);
	remove_all("out");
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der --order o", smdpf);
	g_assert_nonnull(strstr(out_text, "0 sealed now, 1 from before"));
	must("%s export --home home --pin-file pin --order o --out d.ifppd", smdpf);
	names = list("home/packages");
	g_assert_cmpuint(names->len, ==, 1);
	g_assert_false(g_str_has_suffix(names->pdata[0], ".ifpp"));
}

/* ------------------------------------------------------------ reports */

/* BF37 as the chip makes it. */
static GBytes *make_pir(IfppChipMem *chip, const guint8 transaction[16], const guint8 iccid[10], guint reason)
{
	static const guint8 oid[] = { 0x88, 0x37, 0x0A }, aid[16] = { 0xA0 }, ok[] = { 0x30, 0x07, 0xA0, 0x05, 0x30,
										      0x03, 0x80, 0x01, 0x00 };
	g_autoptr(GByteArray) meta = g_byte_array_new(), body = g_byte_array_new(), res = g_byte_array_new();
	g_autoptr(GByteArray) final = g_byte_array_new(), signed_data = g_byte_array_new(), all = g_byte_array_new();
	GByteArray *out = g_byte_array_new();
	const guint8 zero = 0, why = reason;
	guint8 sig[64];

	ifpp_tlv_put_uint(meta, 0x80, 1);
	ifpp_tlv_put(meta, 0x81, "\x07\x80", 2);
	ifpp_tlv_put(meta, 0x0C, "", 0);
	ifpp_tlv_put(meta, 0x5A, iccid, 10);
	ifpp_tlv_put(body, 0x80, transaction, 16);
	ifpp_tlv_put(body, 0xBF2F, meta->data, meta->len);
	ifpp_tlv_put(body, 0x06, oid, sizeof(oid));
	if (reason) {
		ifpp_tlv_put(res, 0x80, &zero, 1);
		ifpp_tlv_put(res, 0x81, &why, 1);
	} else {
		ifpp_tlv_put(res, 0x4F, aid, sizeof(aid));
		ifpp_tlv_put(res, 0x04, ok, sizeof(ok));
	}
	ifpp_tlv_put(final, reason ? 0xA1 : 0xA0, res->data, res->len);
	ifpp_tlv_put(body, 0xA2, final->data, final->len);
	ifpp_tlv_put(signed_data, 0xBF27, body->data, body->len);
	const IfppSpan part = { signed_data->data, signed_data->len };

	g_assert_true(ifpp_ec_key_sign(chip->sk, &part, 1, sig, NULL));
	g_byte_array_append(all, signed_data->data, signed_data->len);
	ifpp_tlv_put(all, 0x5F37, sig, 64);
	ifpp_tlv_put(out, 0xBF37, all->data, all->len);
	return g_byte_array_free_to_bytes(out);
}

static GBytes *make_receipt(IfppChipMem *chip, const guint8 challenge[16], guint spent)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	GByteArray *out = g_byte_array_new();
	guint8 sig[64];

	ifpp_tlv_put(body, 0x80, chip->eid, 16);
	ifpp_tlv_put(body, 0x81, challenge, 16);
	ifpp_tlv_put_uint(body, 0x82, 1);
	ifpp_tlv_put_uint(body, 0x83, spent);
	ifpp_tlv_put(out, 0x30, body->data, body->len);
	const IfppSpan part = { out->data, out->len };

	g_assert_true(ifpp_ec_key_sign(chip->sk, &part, 1, sig, NULL));
	ifpp_tlv_put(out, 0x5F37, sig, 64);
	return g_byte_array_free_to_bytes(out);
}

typedef struct {
	const char *key_id;	/* hex */
	GBytes *pir;		/* or NULL */
	int status;		/* KEPT: the factory says that the key is unspent */
} Result;

#define KEPT (-EREMOTEIO)

static char *base64(GBytes *bytes)
{
	return g_base64_encode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void write_report(const char *eid, GBytes *euicc, const Result *results, guint n, GBytes *receipt)
{
	g_autoptr(GString) json = g_string_new("{\"format\":\"ifpp-report\",\"version\":1,\"units\":[");
	g_autofree char *data = base64(euicc);

	g_string_append_printf(json, "{\"eid\":\"%s\",\"euicc_data\":\"%s\",\"results\":[", eid, data);
	for (guint i = 0; i < n; i++) {
		g_autofree char *pir = results[i].pir ? base64(results[i].pir) : g_strdup("");

		g_string_append_printf(json,
				       "%s{\"key_id\":\"%s\",\"status\":%d,\"reason_name\":\"why\",\"spent\":\"%s\",\"pir\":\"%s\"}",
				       i ? "," : "", results[i].key_id, results[i].status,
				       results[i].status == KEPT ? "no" : "unknown", pir);
	}
	g_string_append(json, "],\"lock\":");
	if (receipt) {
		g_autofree char *text = base64(receipt);

		g_string_append_printf(json,
				       "{\"challenge\":\"00000000000000000000000000000000\",\"receipt\":\"%s\"}}]}",
				       text);
	} else {
		g_string_append(json, "null}]}");
	}
	g_assert_true(g_file_set_contents("report.json", json->str, json->len, NULL));
}

/* A report of a factory that has a package for the first chip and never saw it. */
static void write_unseen(const char *key_id, guint units, guint packages)
{
	g_autofree char *text = g_strdup_printf(
		"{\"format\":\"ifpp-report\",\"version\":1,\"units\":[{\"eid\":\"%s\",\"euicc_data\":null,\"results\":[],"
		"\"pending\":[{\"file\":\"a\",\"key_id\":\"%s\"}],\"lock\":null}],"
		"\"totals\":{\"units\":%u,\"unseen\":1,\"packages\":%u,\"pending\":1,\"results\":0,\"locked\":0}}",
		FIRST_EID, key_id, units, packages);

	g_assert_true(g_file_set_contents("report.json", text, -1, NULL));
}

/* Exit code of verify-report, and one field of the summary that it prints. */
static int verify_report(const char *field, int *value)
{
	int code = run("%s verify-report --home home --json report.json", smdpf);
	g_auto(GStrv) lines = g_strsplit(out_text, "\n", -1);
	gboolean found = FALSE;

	for (guint i = 0; lines[i] && *lines[i]; i++) {
		g_autoptr(JsonParser) parser = json_parser_new();
		JsonObject *object;

		g_assert_true(json_parser_load_from_data(parser, lines[i], -1, NULL));
		object = json_node_get_object(json_parser_get_root(parser));
		if (!strcmp(json_object_get_string_member(object, "type"), "summary")) {
			*value = json_object_get_int_member(object, field);
			found = TRUE;
		}
	}
	if (!found)
		g_error("exit %d, no summary: %s", code, err_text);
	return code;
}

#define EXPECT_REPORT(code, field, count)                                  \
	do {                                                               \
		int value_ = -1;                                           \
		int code_ = verify_report(field, &value_);                 \
		if (code_ != (code) || value_ != (count))                  \
			g_error("exit %d, %s %d: %s", code_, field, value_, out_text); \
	} while (0)

static void report(Fixture *f, gconstpointer data)
{
	static const guint8 challenge[16];
	g_autoptr(IfppChipMem) chip = NULL;
	g_autoptr(GBytes) euicc = NULL, good = NULL, bad = NULL, other = NULL, receipt = NULL, wrong_receipt = NULL;
	g_autoptr(GBytes) refused = NULL, early = NULL, both_spent = NULL;
	g_autofree char *id0 = NULL, *id1 = NULL;
	g_autoptr(GPtrArray) names = NULL;
	char foreign[65];
	guint8 iccid0[10], iccid1[10];
	Opened *a, *b;

	make_chips(1, 3);
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data", smdpf);
	must(SEAL "--euicc data --upp one.der", smdpf);
	names = list("out");
	a = open_package(f->trust, names->pdata[0]);
	b = open_package(f->trust, names->pdata[1]);
	iccid_of(a, iccid0);
	if (iccid0[9] == 0x14) { /* a is to be the built-in one */
		Opened *swap = a;

		a = b;
		b = swap;
	}
	iccid_of(a, iccid0);
	iccid_of(b, iccid1);
	id0 = ifpp_hex(IFPP_SPAN(a->key_id));
	id1 = ifpp_hex(IFPP_SPAN(b->key_id));
	memset(foreign, '7', 64);
	foreign[64] = '\0';
	euicc = read_file("data/" FIRST_EID ".euicc");
	chip = ifpp_chipmem_load("chips/" FIRST_EID ".chip", NULL);
	good = make_pir(chip, a->transaction, iccid0, 0);
	bad = make_pir(chip, b->transaction, iccid1, 8);
	other = make_pir(chip, b->transaction, iccid0, 0);
	refused = make_pir(chip, a->transaction, iccid0, 2);
	early = make_pir(chip, b->transaction, iccid1, 4);
	receipt = make_receipt(chip, challenge, 1);
	both_spent = make_receipt(chip, challenge, 2);
	wrong_receipt = make_receipt(chip, (const guint8 *)"0123456789abcdef", 1);

#define REPORT(receipt, ...)                                                                        \
	do {                                                                                        \
		const Result results_[] = { __VA_ARGS__ };                                          \
		write_report(FIRST_EID, euicc, results_, G_N_ELEMENTS(results_), receipt);          \
	} while (0)

	/* what does not verify, first: nothing of it may reach the ledger */
	for (guint bit = 0; bit < g_bytes_get_size(good) * 8; bit += 61) {
		gsize len;
		guint8 *copy = g_memdup2(g_bytes_get_data(good, &len), g_bytes_get_size(good));
		g_autoptr(GBytes) changed = NULL;

		copy[bit / 8] ^= 1 << bit % 8;
		changed = g_bytes_new_take(copy, len);
		REPORT(NULL, { id0, changed, 0 });
		EXPECT_REPORT(IFPP_EXIT_REFUSED, "forged", 1);
	}
	REPORT(NULL, { id0, bad, 0 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "forged", 1);
	REPORT(NULL, { id1, other, 0 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "forged", 1);
	REPORT(NULL, { id0, NULL, 0 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "forged", 1);
	REPORT(NULL, { "12", good, 0 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "forged", 1);
	REPORT(wrong_receipt, { id0, NULL, -5 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "locks_forged", 1);
	REPORT(NULL, { id0, NULL, -5 });
	EXPECT_REPORT(IFPP_EXIT_OK, "not-loaded", 1);
	/* the other package is of another order, which this report is not about */
	EXPECT_REPORT(IFPP_EXIT_OK, "missing", 0);
	EXPECT_REPORT(IFPP_EXIT_OK, "sealed", 1);
	/* unit_moves_station: the receipt says that a key is spent, and nobody shows its result */
	REPORT(receipt, { id0, NULL, -5 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "not-loaded", 0);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "unknown", 1);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "chips_short", 1);
	g_assert_cmpint(run("%s verify-report --home home report.json", smdpf), ==, IFPP_EXIT_REFUSED);
	g_assert_nonnull(strstr(out_text, "the chip has spent 1 keys, and 0 results are known"));

	/* attempts_both_kept: refused with its key unspent, which ends nothing, then loaded */
	REPORT(NULL, { id0, refused, KEPT });
	EXPECT_REPORT(IFPP_EXIT_OK, "refused", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "failed", 0);
	g_assert_cmpint(run("%s verify-report --home home --complete report.json", smdpf), ==, IFPP_EXIT_FAILED);
	g_assert_cmpint(run(SEAL "--euicc data --upp one.der --order again", smdpf), !=, IFPP_EXIT_OK);
	REPORT(receipt, { id0, refused, KEPT });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "chips_short", 1);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "unknown", 1);
	REPORT(NULL, { id0, refused, KEPT }, { id0, refused, KEPT });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "duplicate", 1);
	REPORT(NULL, { foreign, good, 0 });
	EXPECT_REPORT(IFPP_EXIT_OK, "foreign", 1);

	REPORT(receipt, { id0, good, 0 }, { id0, good, 0 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "duplicate", 1);
	REPORT(receipt, { id0, refused, KEPT }, { id0, good, 0 });
	EXPECT_REPORT(IFPP_EXIT_OK, "installed", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "refused", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "duplicate", 0);
	REPORT(both_spent, { id0, good, 0 });
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "chips_short", 1);
	/* a locked chip, whose spent keys are all accounted for, will never load it */
	REPORT(receipt, { id0, good, 0 }, { id1, early, KEPT });
	EXPECT_REPORT(IFPP_EXIT_OK, "failed", 1);
	REPORT(both_spent, { id0, good, 0 }, { id1, bad, -5 });
	EXPECT_REPORT(IFPP_EXIT_OK, "installed", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "failed", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "missing", 0);
	EXPECT_REPORT(IFPP_EXIT_OK, "locks_proven", 1);
	g_assert_cmpint(run("%s verify-report --home home --complete report.json", smdpf), ==, IFPP_EXIT_FAILED);
	g_assert_nonnull(strstr(out_text, "scp03t"));

	/* the totals: both packages by the report before, none by one that knows of no load */
	EXPECT_REPORT(IFPP_EXIT_OK, "sealed", 2);
	write_unseen(id0, 1, 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "chips_unseen", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "earlier", 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "not-loaded", 0);
	write_unseen(foreign, 1, 1);
	EXPECT_REPORT(IFPP_EXIT_OK, "foreign", 1);
	write_unseen("12", 1, 1);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "forged", 1);
	/* a unit or a package was cut out on the way */
	write_unseen(id0, 2, 1);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "totals_wrong", 1);
	write_unseen(id0, 2, 2);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "totals_wrong", 2);
	g_assert_cmpint(run("%s verify-report --home home report.json", smdpf), ==, IFPP_EXIT_REFUSED);
	g_assert_nonnull(strstr(out_text, "the report says 2 units, and has 1"));

	/* the chip proved that it did not take that profile: it may go to another key */
	must(SEAL "--euicc data --upp one.der --order second", smdpf);
	g_assert_cmpuint(count_files("out"), ==, 3);

	/* the package for it lies in a factory that never saw the chip */
	{
		g_autofree char *id2 = NULL;
		g_autoptr(GDir) dir = g_dir_open("out", 0, NULL);
		const char *name;

		while ((name = g_dir_read_name(dir))) {
			g_autofree char *path = g_build_filename("out", name, NULL);
			g_autoptr(GBytes) bytes = read_file(path);
			g_autofree char *id = ifpp_hex((IfppSpan){ (const guint8 *)g_bytes_get_data(bytes, NULL) + 32, 32 });

			if (strcmp(id, id0) && strcmp(id, id1))
				id2 = g_steal_pointer(&id);
		}
		g_assert_nonnull(id2);
		write_unseen(id2, 1, 1);
		EXPECT_REPORT(IFPP_EXIT_OK, "not-loaded", 1);
		EXPECT_REPORT(IFPP_EXIT_OK, "missing", 0);
		EXPECT_REPORT(IFPP_EXIT_OK, "sealed", 1);
	}

	/* a chip whose data is another's proves nothing */
	write_report("89049032123451234512345678901334", euicc, NULL, 0, NULL);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "chips_unproven", 1);

	g_assert_true(g_file_set_contents("report.json", "{}", -1, NULL));
	expect(5, "not a Profile Loading Report", "%s verify-report --home home report.json", smdpf);
	g_assert_true(g_file_set_contents("report.json", "{", -1, NULL));
	expect(5, "not JSON", "%s verify-report --home home report.json", smdpf);
	expect(5, "nowhere", "%s verify-report --home home nowhere", smdpf);
	opened_free(a);
	opened_free(b);
}

/* report.json says that the chip of this package installed it; it does. */
static void report_installed(Fixture *f, const char *path)
{
	Opened *o = open_package(f->trust, path);
	g_autofree char *id = ifpp_hex(IFPP_SPAN(o->key_id)), *chip_path = NULL, *data_path = NULL;
	g_autoptr(GBytes) pir = NULL, euicc = NULL;
	g_autoptr(IfppChipMem) chip = NULL;
	guint8 iccid[10];
	char eid[33];

	ifpp_eid_format(o->eid, eid);
	chip_path = g_strdup_printf("chips/%s.chip", eid);
	data_path = g_strdup_printf("data/%s.euicc", eid);
	chip = ifpp_chipmem_load(chip_path, NULL);
	euicc = read_file(data_path);
	iccid_of(o, iccid);
	pir = make_pir(chip, o->transaction, iccid, 0);
	{
		const Result result = { id, pir, 0 };

		write_report(eid, euicc, &result, 1, NULL);
	}
	opened_free(o);
}

static void prove_installed(Fixture *f, const char *key_id)
{
	g_autoptr(GPtrArray) names = list("out");

	for (guint i = 0; i < names->len; i++) {
		g_autofree char *part = g_strndup(key_id, 16);

		if (!strstr(names->pdata[i], part))
			continue;
		report_installed(f, names->pdata[i]);
		must("%s verify-report --home home report.json", smdpf);
		return;
	}
	g_assert_not_reached();
}

/* One operator's packages and nobody else's, with what proves them; a unit by the factory's word. */
static void extract(Fixture *f, gconstpointer data)
{
#define EXTRACT "%s extract --home home "
	static const char telco[] = "--operator Telco,Ltd";
	g_autofree char *report_text = NULL, *told = NULL, *key_id = NULL, *proof = NULL, *want = NULL, *full = NULL;
	g_autoptr(GPtrArray) names = NULL;
	g_auto(GStrv) lines = NULL, parts = NULL;
	guint8 *pir;
	gsize len;

	make_chips(3, 2);
	must(SEAL "--euicc data --spn Telco,Ltd --order line-7", smdpf);
	names = list("out");
	must(SEAL "--euicc data --spn Rival --order line-7", smdpf);
	report_installed(f, names->pdata[0]);
	g_assert_true(g_file_get_contents("report.json", &report_text, NULL, NULL));
	parts = g_strsplit(report_text, "\"status\":0", 2);
	told = g_strjoin("\"status\":0,\"unit\":{\"imei\":\"490154203237518\",\"model\":\"=EC25\",\"station\":\"line-7-2\"}", parts[0],
			 parts[1], NULL);
	g_assert_true(g_file_set_contents("report.json", told, -1, NULL));
	must("%s verify-report --home home report.json", smdpf);
	{
		g_auto(GStrv) a = g_strsplit(strstr(report_text, "\"pir\":\"") + 7, "\"", 2);
		g_auto(GStrv) b = g_strsplit(strstr(report_text, "\"key_id\":\"") + 10, "\"", 2);

		pir = g_base64_decode(a[0], &len);
		proof = g_compute_checksum_for_data(G_CHECKSUM_SHA256, pir, len);
		key_id = g_strdup(b[0]);
		g_free(pir);
	}

	must(EXTRACT "%s", smdpf, telco);
	lines = g_strsplit(out_text, "\r\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 5);	/* a header, three packages, and the end */
	g_assert_cmpstr(lines[0], ==, "iccid,eid,state,reason,profile,order,operator,imei,model,firmware,serial,usb_path,station,"
				      "board_serial,work_order,verified,proof_sha256,key_id");
	g_assert_null(strstr(out_text, "Rival"));
	/* a name with a comma, and one that a spreadsheet would take for a formula */
	want = g_strdup_printf(",installed,,IFPP minimal,line-7,\"Telco,Ltd\",490154203237518,\"'=EC25\",,,,line-7-2,,,2");
	g_assert_nonnull(strstr(out_text, want));
	g_free(want);
	want = g_strdup_printf("Z,%s,%s\r\n", proof, key_id);
	g_assert_nonnull(strstr(out_text, want));
	g_assert_nonnull(strstr(out_text, ",sealed,,IFPP minimal,line-7,\"Telco,Ltd\",,,,,,,,,,,"));

	/* two operators' orders of one name are not mixed */
	expect(2, "one of \"Telco,Ltd\" and one of \"Rival\"", EXTRACT "--order line-7", smdpf);
	must(EXTRACT "--order line-7 --operator Rival --json", smdpf);
	g_assert_null(strstr(out_text, "Telco"));
	g_assert_null(strstr(out_text, key_id));
	g_assert_nonnull(strstr(out_text, "\"operator\":\"Rival\""));
	expect(2, "operator Nobody: no order is known", EXTRACT "--operator Nobody", smdpf);
	expect(2, "order line-8: no order is known", EXTRACT "--order line-8", smdpf);
	expect(2, "--operator or --order", "%s extract --home home", smdpf);
	full = g_strdup_printf("exec %s extract --home home --operator Rival >/dev/full", smdpf);
	g_assert_true(g_file_set_contents("full.sh", full, -1, NULL));
	expect(9, "standard output", "sh full.sh");

	/* a report again: another station's word, the same proof */
	must("sed -i s/line-7-2/line-9-1/ report.json");
	must("%s verify-report --home home report.json", smdpf);
	must(EXTRACT "%s", smdpf, telco);
	g_assert_nonnull(strstr(out_text, "line-9-1"));
	g_assert_nonnull(strstr(out_text, proof));
	/* the ledger's chain is whole */
	must("%s ledger check --home home --pin-file pin", smdpf);
#undef EXTRACT
}

/* A certificate that has run out seals nothing more; what was loaded while it was good is still reported. */
static void expired_report(Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) names = NULL;

	make_chips(1, 2);
	must(SEAL "--euicc data", smdpf);
	names = list("out");
	report_installed(f, names->pdata[0]);
	must("%s pki dppb pki --public-key home0/dppb.pub.pem --out old.pem --not-before 2020-01-01T00:00:00Z "
	     "--not-after 2020-02-01T00:00:00Z",
	     eum);
	must("cp old.pem home/dppb.pem");
	expect(6, "home/dppb.pem", SEAL "--euicc data --order more", smdpf);
	expect(6, "home/dppb.pem", "%s export --home home --pin-file pin --all --out e.ifppd", smdpf);
	EXPECT_REPORT(IFPP_EXIT_OK, "installed", 1);
}

/* Who may ask is lost, or cannot be read: then nobody may. */
static void requester_fails_closed(Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) names = NULL;
	static const char *const losses[] = { "rm -r home/requesters", "rm home/requesters/*", "rm -r home/requesters;touch home/requesters" };

	make_chips(1, 2);
	must(SEAL "--euicc data", smdpf);
	names = list("out");
	report_installed(f, names->pdata[0]);
	must("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout r.key -out r.pem -days 365 -subj /CN=r");
	must("%s requester --home home r.pem", smdpf);
	expect(6, "is not signed, and this home knows who may ask", "%s verify-report --home home report.json", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(losses); i++) {
		const char *const argv[] = { "sh", "-c", losses[i], NULL };

		must("%s requester --home home r.pem", smdpf);
		g_assert_cmpint(run_with(new_session, (char **)argv), ==, 0);
		expect(4, "name them again with ifpp-smdpf requester", "%s verify-report --home home report.json", smdpf);
		remove_all("home/requesters");
	}
	must("%s requester --home home r.pem", smdpf);
	must("openssl cms -sign -binary -in report.json -signer r.pem -inkey r.key -outform DER -out r.sig");
	must("%s verify-report --home home --signature r.sig report.json", smdpf);
}

/* A variable of a script that is not set is no name of anything. */
static void empty_arguments(Fixture *f, gconstpointer data)
{
	static const char *const lines[] = {
		"init --home ", "init --home=", "seal --home home --pin-file pin --euicc data --out ", "verify-report --home home ",
		"ledger check --home ", ""
	};

	for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
		g_autoptr(GPtrArray) argv = g_ptr_array_new();

		g_ptr_array_add(argv, smdpf);
		for (guint w = 0; words[w] && (*words[w] || w); w++)
			g_ptr_array_add(argv, words[w]);
		if (!words[0])
			g_ptr_array_add(argv, (char *)"");
		g_ptr_array_add(argv, NULL);
		g_assert_cmpint(run_with(new_session, (char **)argv->pdata), ==, IFPP_EXIT_USAGE);
		g_assert_nonnull(strstr(err_text, words[0] ? "an empty argument" : "no such command"));
	}
	g_assert_false(g_file_test("smdpf.conf", G_FILE_TEST_EXISTS));
}

/* ^C at the question for the PIN. */
static void pin_interrupted(Fixture *f, gconstpointer data)
{
	struct termios now;
	char seen[256] = "";
	gsize len = 0;
	int master, status;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		execl(smdpf, smdpf, "init", "--home", "h9", "--key", "pkcs11:token=vault;object=dppb", NULL);
		_exit(127);
	}
	while (!strstr(seen, "PIN of token vault: ") && len < sizeof(seen) - 1) {
		gssize n = read(master, seen + len, sizeof(seen) - 1 - len);

		g_assert_cmpint(n, >, 0);
		len += n;
	}
	do {
		g_usleep(10000);
		g_assert_cmpint(tcgetattr(master, &now), ==, 0);
	} while (now.c_lflag & ECHO);
	g_assert_cmpint(write(master, "12\003", 3), ==, 3);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	g_assert_cmpint(tcgetattr(master, &now), ==, 0);
	g_assert_true(now.c_lflag & ECHO);
	close(master);
}

/* ------------------------------------------------------------ an HSM on a bad day */

/* The home's key behind the module with these faults. */
static void bad_hsm(const char *faults)
{
	const char *build = g_getenv("IFPP_BUILD");
	g_autofree char *conf = NULL, *with = NULL, *module = g_build_filename(build, "tests/unit/p11-faults.so", NULL);

	g_unlink("p11.log");
	g_assert_true(g_file_get_contents("home0/smdpf.conf", &conf, NULL, NULL));
	with = g_strdup_printf("%s\n[Key]\nModule=%s\n", conf, module);
	g_assert_true(g_file_set_contents("home/smdpf.conf", with, -1, NULL));
	g_setenv("IFPP_P11_FAULTS", faults, TRUE);
	g_setenv("IFPP_P11_LOG", "p11.log", TRUE);
}

/* Logins since bad_hsm(); no session was left open. */
static guint good_hsm(void)
{
	g_autofree char *log = NULL;
	g_auto(GStrv) lines = NULL;
	guint logins = 0;

	g_unsetenv("IFPP_P11_FAULTS");
	g_unsetenv("IFPP_P11_LOG");
	g_assert_true(g_file_get_contents("p11.log", &log, NULL, NULL));
	lines = g_strsplit(g_strchomp(log), "\n", -1);
	for (guint i = 0; lines[i]; i++) {
		g_auto(GStrv) w = g_strsplit(lines[i], " ", -1);

		g_assert_cmpstr(w[0], ==, "0");
		logins = atoi(w[1]);
	}
	return logins;
}

static void sealed_whatever(Fixture *f, const char *faults, guint chips)
{
	guint n;

	make_chips(chips, 1);
	bad_hsm(faults);
	must(SEAL "--euicc data", smdpf);
	n = good_hsm();
	g_test_message("%s: %u logins", faults, n);
	g_assert_cmpuint(open_all(f), ==, chips);
	must("%s ledger check --home home --pin-file pin", smdpf);
}

/* The session ends after seven signatures, and only to begin from the start helps. */
static void hsm_session_dropped(Fixture *f, gconstpointer data)
{
	g_autofree char *says = NULL;

	sealed_whatever(f, "drop=7", 20);
	says = g_strdup_printf("is sound: 20 keys bound");
	g_assert_nonnull(strstr(out_text, says));
	/* no ICCID of the series was lost to a key that was tried again */
	sql("home/ledger.db", "SELECT value FROM ledger WHERE name = 'serial'");
	g_assert_cmpstr(out_text, ==, "20\n");
}

static void hsm_one_session(Fixture *f, gconstpointer data)
{
	sealed_whatever(f, "sessions=1", 3);
	write_profile("one.der", "89000123456789012341", 0);
	bad_hsm("sessions=1");
	must("%s protect --home home --pin-file pin --upp one.der --out ppp1", smdpf);
	must("%s export --home home --pin-file pin --all --out d.ifppd", smdpf);
	g_assert_cmpuint(good_hsm(), >, 0);
	remove_all("ppp1");
}

/* Several processes, each with a session of its own; the order is one. */
static void seal_jobs(Fixture *f, gconstpointer data)
{
	g_autofree char *log = NULL;
	g_auto(GStrv) lines = NULL;

	make_chips(200, 1);
	bad_hsm("sign_ms=2");
	must(SEAL "--euicc data --jobs 3", smdpf);
	g_assert_nonnull(strstr(out_text, "200 sealed now, 0 from before"));
	g_assert_true(g_file_get_contents("p11.log", &log, NULL, NULL));
	lines = g_strsplit(g_strchomp(log), "\n", -1);
	/* one that is refused by the token begins anew, which is a line more: seen once, on a busy machine */
	g_assert_cmpuint(g_strv_length(lines), >=, 3);
	good_hsm();
	g_assert_cmpuint(open_all(f), ==, 200);
	must(SEAL "--euicc data --jobs 2 --json", smdpf);
	lines = (g_strfreev(lines), g_strsplit(g_strchomp(out_text), "\n", -1));
	g_assert_cmpuint(g_strv_length(lines), ==, 200);
	for (guint i = 0; lines[i]; i++)
		g_assert_true(g_str_has_suffix(lines[i], "\"state\":\"again\"}"));
	must("%s ledger check --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "200 keys bound"));
	expect(2, "--jobs", SEAL "--euicc data --jobs 257", smdpf);
}

/* A library that ends its process: what that one had in hand is not taken for sealed. */
static void worker_ends(Fixture *f, gconstpointer data)
{
	make_chips(20, 1);
	bad_hsm("die=9");
	expect(1, "a worker ended with status 3", SEAL "--euicc data --jobs 1", smdpf);
	bad_hsm("");
	must(SEAL "--euicc data", smdpf);
	good_hsm();
	g_assert_cmpuint(count_files("out"), ==, 20);
	must("%s ledger check --home home --pin-file pin", smdpf);
	g_assert_nonnull(strstr(out_text, "20 keys bound"));
}

static void hsm_slow(Fixture *f, gconstpointer data)
{
	sealed_whatever(f, "sign_ms=20", 8);
}

static void hsm_device_error(Fixture *f, gconstpointer data)
{
	sealed_whatever(f, "error=5", 10);
}

static void hsm_away_and_back(Fixture *f, gconstpointer data)
{
	sealed_whatever(f, "away=9", 10);
}

/* The PIN is refused in the middle: it is not tried again, and what was signed is kept. */
static void hsm_pin_refused(Fixture *f, gconstpointer data)
{
	make_chips(20, 1);
	bad_hsm("drop=7 pin=2");
	expect(10, "wrong PIN", SEAL "--euicc data", smdpf);
	g_assert_cmpuint(good_hsm(), ==, 2);
	g_assert_cmpuint(count_files("out"), ==, 0);
	g_assert_cmpuint(count_stored(), ==, 3);
	must(SEAL "--euicc data", smdpf);
	g_assert_nonnull(strstr(out_text, "17 sealed now, 3 from before"));
	g_assert_cmpuint(open_all(f), ==, 20);
	must("%s ledger check --home home --pin-file pin", smdpf);
}

/* Two chips with one subscriber: the report of the first is not "foreign", it is an alarm. */
static void clone_exit_6(Fixture *f, gconstpointer data)
{
	g_autofree char *other = NULL, *name = NULL, *first = NULL, *eid = NULL;
	g_autoptr(GPtrArray) names = NULL;

	make_chips(2, 2);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	names = list("out");
	first = g_strdup(names->pdata[0]);
	/* all is lost, token and home, and somebody begins again */
	remove_all("home");
	remove_all("tokens");
	must("cp -a tokens0 tokens");
	must("cp -a home0 home");
	must(SEAL "--euicc %s --upp one.der", smdpf, other);

	report_installed(f, first);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "clone", 1);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "foreign", 0);
	name = g_path_get_basename(other);
	eid = g_strndup(name, 32);
	g_assert_cmpint(run("%s verify-report --home home report.json", smdpf), ==, IFPP_EXIT_REFUSED);
	g_assert_nonnull(strstr(out_text, "clone "));
	g_assert_nonnull(strstr(out_text, "ICCID 89000123456789012341 is installed in chip " FIRST_EID ", and is bound to chip "));
	g_assert_nonnull(strstr(out_text, eid));
}

/* An ICCID is freed by what its chip has signed, and by nothing less; installed after all, both chips are named. */
static void void_proof(Fixture *f, gconstpointer data)
{
#define VOID "%s void --home home --pin-file pin --reason scrapped --proof report.json --yes 89000123456789012341"
	static const guint8 challenge[16];
	g_autofree char *other = NULL, *first = NULL, *builtin = NULL, *id = NULL, *id0 = NULL, *name = NULL, *eid = NULL;
	g_autoptr(GBytes) euicc = NULL, good = NULL, bad = NULL, early = NULL, installed = NULL, locked1 = NULL, locked2 = NULL;
	g_autoptr(IfppChipMem) chip = NULL;
	g_autoptr(GPtrArray) names = NULL;
	guint8 iccid[10], iccid0[10];
	Opened *a, *b;

	make_chips(2, 3);
	other = second_chip();
	write_profile("one.der", "89000123456789012341", 0);
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	names = list("out");
	first = g_strdup(names->pdata[0]);
	must(SEAL "--euicc data/" FIRST_EID ".euicc", smdpf);
	g_clear_pointer(&names, g_ptr_array_unref);
	names = list("out");
	builtin = g_strdup(names->pdata[g_str_equal(names->pdata[0], first)]);
	a = open_package(f->trust, builtin);
	b = open_package(f->trust, first);
	iccid_of(a, iccid0);
	iccid_of(b, iccid);
	id0 = ifpp_hex(IFPP_SPAN(a->key_id));
	id = ifpp_hex(IFPP_SPAN(b->key_id));
	euicc = read_file("data/" FIRST_EID ".euicc");
	chip = ifpp_chipmem_load("chips/" FIRST_EID ".chip", NULL);
	good = make_pir(chip, a->transaction, iccid0, 0);
	early = make_pir(chip, a->transaction, iccid0, 2);
	installed = make_pir(chip, b->transaction, iccid, 0);
	bad = make_pir(chip, b->transaction, iccid, 2);
	locked1 = make_receipt(chip, challenge, 1);
	locked2 = make_receipt(chip, challenge, 2);

	REPORT(NULL, { id0, good, 0 });
	expect(6, "neither a failed result nor a lock receipt", VOID, smdpf);
	REPORT(NULL, { id, bad, KEPT });
	expect(6, "neither a failed result nor a lock receipt", VOID, smdpf);
	REPORT(locked1, { id0, early, KEPT });
	expect(6, "it may be installed", VOID, smdpf);
	REPORT(locked2, { id0, good, 0 });
	expect(6, "it may be installed", VOID, smdpf);
	REPORT(locked2, { id0, good, 0 }, { id, installed, 0 });
	expect(6, "has proven that it is installed", VOID, smdpf);
	REPORT(locked1, { id0, good, 0 });
	must(VOID, smdpf);
	g_assert_nonnull(strstr(out_text, "void by proof"));
	g_assert_cmpuint(count_stored(), ==, 1);
	g_assert_cmpuint(count_files("home/proofs"), ==, 1);
	must("%s order list --home home --json", smdpf);
	g_assert_nonnull(strstr(out_text, "\"void_proof\":1"));
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect(2, "no key holds it", VOID, smdpf);
	must("%s ledger backup --home home --out void.db", smdpf);

	/* it was not so: the chip has it, and tells */
	report_installed(f, first);
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "clone", 1);
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect(6, "has proven that it is installed", "%s void --home home --pin-file pin --reason r --word me --yes 89000123456789012341", smdpf);
	expect(6, "for chip " FIRST_EID, SEAL "--euicc %s --upp one.der --order o", smdpf, other);
	/* which is not forgotten with a ledger that is lost, or older; the journal still says that it was void */
	must(SEAL "--euicc %s --order later", smdpf, other);
	must("rm home/ledger.db");
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect(6, "for chip " FIRST_EID, SEAL "--euicc %s --upp one.der --order o", smdpf, other);
	must("mv void.db home/ledger.db");
	must("%s ledger adopt --home home --pin-file pin", smdpf);
	must("%s ledger check --home home --pin-file pin", smdpf);
	expect(6, "for chip " FIRST_EID, SEAL "--euicc %s --upp one.der --order o", smdpf, other);
	expect(6, "has proven that it is installed", "%s void --home home --pin-file pin --reason r --word me --yes 89000123456789012341", smdpf);
	opened_free(a);
	opened_free(b);

	/* and with another chip that has it by then */
	remove_all("home");
	remove_all("tokens");
	remove_all("out");
	must("cp -a tokens0 tokens");
	must("cp -a home0 home");
	must(SEAL "--euicc data/" FIRST_EID ".euicc --upp one.der", smdpf);
	g_clear_pointer(&names, g_ptr_array_unref);
	names = list("out");
	g_free(first);
	first = g_strdup(names->pdata[0]);
	must("%s void --home home --pin-file pin --reason scrapped --word me --yes 89000123456789012341", smdpf);
	g_assert_nonnull(strstr(out_text, "call it back"));
	must(SEAL "--euicc %s --upp one.der --order o", smdpf, other);
	report_installed(f, first);
	name = g_path_get_basename(other);
	eid = g_strndup(name, 32);
	g_assert_cmpint(run("%s verify-report --home home report.json", smdpf), ==, IFPP_EXIT_REFUSED);
	g_assert_nonnull(strstr(out_text, "was void, is installed in chip " FIRST_EID ", and is bound to chip "));
	g_assert_nonnull(strstr(out_text, eid));
	EXPECT_REPORT(IFPP_EXIT_REFUSED, "clone", 1);
	must("%s ledger check --home home --pin-file pin", smdpf);
#undef VOID
}

/* ------------------------------------------------------------ protection in bulk */

static void alter(const char *from, const char *to, gssize at)
{
	g_autoptr(GBytes) bytes = read_file(from);
	gsize len;
	char *data = g_bytes_unref_to_data(g_steal_pointer(&bytes), &len);

	data[at < 0 ? (gssize)len + at : at] ^= 1;
	g_assert_true(g_file_set_contents(to, data, len, NULL));
	g_free(data);
}

static gboolean holds(const Opened *o, GBytes *upp)
{
	return o->upp->len == g_bytes_get_size(upp) && !memcmp(o->upp->data, g_bytes_get_data(upp, NULL), o->upp->len);
}

/* Profiles protected first, sealed later: the chip gets what was in them, the disk tells nothing. */
static void protect(Fixture *f, gconstpointer data)
{
	static const char *const iccids[] = { "8949449999999990015", "8949449999999990023" };
	g_autoptr(GBytes) first = NULL, second = NULL, a = NULL, b = NULL;
	g_autoptr(GPtrArray) names = NULL;
	gboolean seen_a = FALSE, seen_b = FALSE;

	make_chips(2, 2);
	remove_all("profiles");
	remove_all("ppp");
	g_mkdir("profiles", 0700);
	write_profile("profiles/a.der", iccids[0], 3000);
	write_profile("profiles/b.der", iccids[1], 0);
	a = read_file("profiles/a.der");
	b = read_file("profiles/b.der");
	expect(10, "PIN", "%s protect --home home --pin-file wrong-pin --upp profiles --out ppp", smdpf);
	must("%s protect --home home --pin-file pin --upp profiles --out ppp", smdpf);
	g_assert_cmpstr(out_text, ==, "2 protected profiles in ppp\n");
	first = read_file("ppp/8949449999999990015.ppp");
	/* each time the keys are new ones */
	must("%s protect --home home --pin-file pin --upp profiles --out ppp", smdpf);
	second = read_file("ppp/8949449999999990015.ppp");
	g_assert_cmpuint(g_bytes_get_size(first), ==, g_bytes_get_size(second));
	g_assert_false(g_bytes_equal(first, second));
	g_assert_null(memmem(g_bytes_get_data(second, NULL), g_bytes_get_size(second),
			     (const char *)g_bytes_get_data(a, NULL) + 20, 16));
	remove_all("profiles");

	/* one bit in the keys, the segments, the name: no package is sealed from it */
	for (guint i = 0; i < 3; i++) {
		const gssize at[] = { 60, -100, 12 };

		alter("ppp/8949449999999990015.ppp", "bad.ppp", at[i]);
		expect(5, "altered, or protected for another token",
		       SEAL "--euicc data/" FIRST_EID ".euicc --protected bad.ppp", smdpf);
		g_assert_cmpuint(count_files("out"), ==, 0);
	}
	alter("ppp/8949449999999990015.ppp", "bad.ppp", 0);
	expect(5, "bad.ppp", SEAL "--euicc data/" FIRST_EID ".euicc --protected bad.ppp", smdpf);
	expect(2, "--protected", SEAL "--euicc data --protected ppp --mode session", smdpf);

	must(SEAL "--euicc data --protected ppp", smdpf);
	g_assert_cmpuint(open_all(f), ==, 2);
	names = list("out");
	for (guint i = 0; i < names->len; i++) {
		Opened *o = open_package(f->trust, names->pdata[i]);

		g_assert_true(o->ppk);
		seen_a |= holds(o, a);
		seen_b |= holds(o, b);
		opened_free(o);
	}
	g_assert_true(seen_a && seen_b);
	must(SEAL "--euicc data --protected ppp", smdpf);
	g_assert_nonnull(strstr(out_text, "0 sealed now, 2 from before"));
	expect(2, "no profile left", SEAL "--euicc data/" FIRST_EID ".euicc --protected ppp --order more", smdpf);
	g_unlink("bad.ppp");
}

/* In place of @path: the same profile @upp, protected as earlier versions did (version 2, the padding of PKCS #1 v1.5). */
static void make_old(const char *path, GBytes *upp)
{
	g_autoptr(GByteArray) body = g_byte_array_new(), segments = g_byte_array_new(), back = g_byte_array_new();
	g_autoptr(GBytes) file = read_file(path), wrapped = NULL;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	static const guint8 version_2[] = { 0x02, 0x01, 0x02 };
	IfppSpan in = ifpp_span_bytes(file);
	gsize digest = 32;
	guint8 clear[80];
	IfppBsp bsp = {};
	IfppTlv all, tlv;

	for (guint i = 0; i < 48; i++)
		clear[i] = i;
	ifpp_bsp_set_ppk(&bsp, clear, clear + 16, clear + 32);
	g_assert_true(ifpp_bsp_protect_all(&bsp, 0x86, TRUE, ifpp_span_bytes(upp), segments, NULL));
	ifpp_bsp_wipe(&bsp);
	ifpp_tlv_put(back, 0xA3, segments->data, segments->len);

	g_byte_array_append(body, version_2, sizeof(version_2));
	g_assert_true(ifpp_tlv_expect(&in, 0x30, "file", &all, NULL));
	while (ifpp_tlv_next(&all.value, &tlv, NULL))
		if (tlv.tag == 0x5A || tlv.tag == 0x0C || tlv.tag == 0x95)
			g_byte_array_append(body, tlv.whole.data, tlv.whole.len);
	g_checksum_update(sum, body->data + sizeof(version_2), body->len - sizeof(version_2));
	g_checksum_update(sum, back->data, back->len);
	g_checksum_get_digest(sum, clear + 48, &digest);

	g_assert_true(g_file_set_contents("clear", (const char *)clear, sizeof(clear), NULL));
	must("pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label vault --read-object --type pubkey "
	     "--label dppb-ppk --output-file rsa.der");
	must("openssl pkeyutl -encrypt -pubin -keyform DER -inkey rsa.der -in clear -out wrapped");
	wrapped = read_file("wrapped");
	ifpp_tlv_put(body, 0x04, g_bytes_get_data(wrapped, NULL), g_bytes_get_size(wrapped));
	g_byte_array_append(body, back->data, back->len);
	g_byte_array_set_size(back, 0);
	ifpp_tlv_put(back, 0x30, body->data, body->len);
	g_assert_true(g_file_set_contents(path, (const char *)back->data, back->len, NULL));
	g_unlink("clear");
	g_unlink("wrapped");
}

static guint8 method_of(const char *path)
{
	g_autoptr(GBytes) file = read_file(path);
	IfppSpan in = ifpp_span_bytes(file);
	IfppTlv all, tlv;

	g_assert_true(ifpp_tlv_expect(&in, 0x30, "file", &all, NULL));
	while (ifpp_tlv_next(&all.value, &tlv, NULL))
		if (tlv.tag == 0x80)
			return tlv.value.data[0];
	return 0;
}

/* What the token offers decides how the keys are wrapped; what was wrapped otherwise is read as before. */
static void hsm_wrap_chosen(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *faults, *iccid;
		guint8 method;
	} cases[] = {
		{ "hide=0", "8949449999999990015", 2 },			/* SoftHSM2 has OAEP with SHA-1 only */
		{ "oaep256=1", "8949449999999990023", 1 },
		{ "hide=9", "8949449999999990031", 3 },			/* CKM_RSA_PKCS_OAEP */
		{ "hide=9 hide2=8457", "8949449999999990049", 4 },	/* and CKM_AES_KEY_WRAP */
		{ "hide=0", "8949449999999990056", 0 },			/* as it was before there was a choice */
	};

	make_chips(1, 5);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *ppp = g_strdup_printf("ppp/%s.ppp", cases[i].iccid), *order = g_strdup_printf("%u", i);
		g_autoptr(GPtrArray) names = NULL;
		g_autoptr(GBytes) clear = NULL;
		Opened *o;

		write_profile("one.der", cases[i].iccid, 3000);
		clear = read_file("one.der");
		bad_hsm(cases[i].faults);
		remove_all("ppp");
		must("%s protect --home home --pin-file pin --upp one.der --out ppp", smdpf);
		if (!cases[i].method)
			make_old(ppp, clear);
		g_assert_cmpuint(method_of(ppp), ==, cases[i].method);
		/* one bit: the token says so, or what comes out does */
		alter(ppp, "bad.ppp", 100);
		remove_all("out");
		expect(5, "altered, or protected for another token", SEAL "--euicc data --protected bad.ppp --order %s", smdpf, order);
		g_assert_cmpuint(count_files("out"), ==, 0);
		must(SEAL "--euicc data --protected ppp --order %s", smdpf, order);
		good_hsm();
		names = list("out");
		g_assert_cmpuint(names->len, ==, 1);
		o = open_package(f->trust, names->pdata[0]);
		g_assert_true(holds(o, clear));
		opened_free(o);
	}
	bad_hsm("hide=9 hide2=8457 hide3=8458");
	expect(10, "neither RSA-OAEP nor AES key wrap", "%s protect --home home --pin-file pin --upp one.der --out ppp2", smdpf);
	good_hsm();
	g_assert_false(g_file_test("ppp2", G_FILE_TEST_EXISTS));
	g_unlink("bad.ppp");
	remove_all("ppp");
}

/* A wrapping key that was ever outside the token protects nothing. */
static void protect_imported(Fixture *f, gconstpointer data)
{
	write_profile("one.der", "89000123456789012341", 0);
	must("openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out rsa.pem");
	must("softhsm2-util --token vault --pin 1234 --import rsa.pem --label other-ppk --id 78");
	must("%s init --home h5 --key pkcs11:token=vault;object=other --pin-file pin", smdpf);
	expect(10, "extractable", "%s protect --home h5 --pin-file pin --upp one.der --out ppp5", smdpf);
	g_assert_false(g_file_test("ppp5", G_FILE_TEST_EXISTS));
}

/* ------------------------------------------------------------ deliveries */

static void assert_same_files(const char *a, const char *b)
{
	g_autoptr(GPtrArray) names = list(a);

	g_assert_cmpuint(names->len, ==, count_files(b));
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *base = g_path_get_basename(names->pdata[i]);
		g_autofree char *other = g_build_filename(b, base, NULL);
		g_autoptr(GBytes) x = read_file(names->pdata[i]), y = read_file(other);

		g_assert_true(g_bytes_equal(x, y));
	}
}

/* To the factory and into a directory: every package as it was sealed, whatever happens on the way. */
static void delivery(Fixture *f, gconstpointer data)
{
	g_autoptr(GBytes) first = NULL, again = NULL;
	g_autoptr(GPtrArray) names = NULL;
	g_autofree char *one = NULL, *half = NULL;
	int dir;

	make_chips(3, 2);
	must("%s seal --home home --pin-file pin --euicc data --count 2 --out out", smdpf);
	must("%s export --home home --pin-file pin --all --out d.ifppd", smdpf);
	g_assert_cmpstr(out_text, ==, "d.ifppd: 6 packages\n");
	first = read_file("d.ifppd");

	/* the same delivery is not signed again: no PIN, same bytes */
	must("%s export --home home --pin-file no-pin --all --out d.ifppd", smdpf);
	g_assert_nonnull(strstr(out_text, "6 packages, there already"));
	again = read_file("d.ifppd");
	g_assert_true(g_bytes_equal(first, again));

	/* any CMS tool reads the inventory, with no secret */
	must("sh -c tail\t-c\t+17\td.ifppd|openssl\tcms\t-verify\t-inform\tDER\t-CAfile\tpki/ci.pem\t-purpose\tany\t-binary");
	g_assert_true(g_str_has_prefix(out_text, "IFPP delivery 1\nPackages: 6\nBytes: "));
	g_assert_nonnull(strstr(out_text, "\nEID: " FIRST_EID "\n"));
	g_assert_nonnull(strstr(out_text, "\nProfile: IFPP minimal\n"));

	station(0, NULL, "%s import d.ifppd --trust pki --to factory/new --check", ctl);
	g_assert_nonnull(strstr(out_text, "signed by a trusted Key Maker, 6 packages, all whole"));
	g_assert_null(strstr(out_text, FIRST_EID));
	g_assert_false(g_file_test("factory", G_FILE_TEST_EXISTS));
	station(0, NULL, "%s import d.ifppd --trust pki --to factory/new", ctl);
	g_assert_nonnull(strstr(out_text, "6 packages in factory/new, 6 written now, 0 there already"));
	assert_same_files("out", "factory/new");

	/* interrupted: one package is not there yet, one is half there */
	names = list("factory/new");
	g_assert_cmpint(g_unlink(names->pdata[0]), ==, 0);
	g_assert_cmpint(truncate(names->pdata[1], 100), ==, 0);
	half = g_strdup_printf("factory/new/.%s.a1B2c3", strrchr(names->pdata[0], '/') + 1);
	g_assert_true(g_file_set_contents(half, "half", -1, NULL));
	g_assert_true(g_file_set_contents("factory/new/.keep", "mine", -1, NULL));
	dir = open("factory/new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(flock(dir, LOCK_EX), ==, 0);
	station(IFPP_EXIT_BUSY, "another import", "%s import d.ifppd --trust pki --to factory/new", ctl);
	close(dir);
	station(0, NULL, "%s --json import d.ifppd --trust pki --to factory/new", ctl);
	g_assert_nonnull(strstr(out_text, "\"type\":\"import\""));
	g_assert_nonnull(strstr(out_text, "\"written\":2,\"there\":4"));
	g_assert_cmpint(g_unlink("factory/new/.keep"), ==, 0);
	assert_same_files("out", "factory/new");

	/* a damaged delivery is replaced by exporting it again, a damaged home is not delivered */
	g_assert_cmpint(truncate("d.ifppd", 5000), ==, 0);
	must("%s export --home home --pin-file pin --all --out d.ifppd", smdpf);
	station(0, NULL, "%s import d.ifppd --trust pki --to factory/new", ctl);
	g_clear_pointer(&names, g_ptr_array_unref);
	names = list("home/packages");
	one = g_strdup(names->pdata[0]);
	g_clear_pointer(&names, g_ptr_array_unref);
	names = list(one);
	g_free(one);
	one = g_strdup(names->pdata[0]);
	g_assert_cmpint(truncate(one, 100), ==, 0);
	expect(6, "restore it from a backup", "%s export --home home --pin-file pin --all --out e.ifppd", smdpf);
	g_assert_false(g_file_test("e.ifppd", G_FILE_TEST_EXISTS));
}

/* Orders are told apart, and what has its result is not delivered again. */
static void delivery_orders(Fixture *f, gconstpointer data)
{
	g_autoptr(IfppBundle) bundle = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *id = NULL;
	const IfppBundleItem *item;

	make_chips(2, 3);
	must("%s seal --home home --pin-file pin --euicc data --order night --out out", smdpf);
	must("%s seal --home home --pin-file pin --euicc data --order day --profile-name Day --out out", smdpf);
	must("%s seal --home home --pin-file pin --euicc data --out out", smdpf);
	must("%s export --home home --pin-file pin --order day --out d.ifppd", smdpf);
	bundle = ifpp_bundle_open("d.ifppd", f->trust, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(ifpp_bundle_inventory(bundle)->order, ==, "day");
	g_assert_cmpuint(ifpp_bundle_inventory(bundle)->items->len, ==, 2);
	item = &g_array_index(ifpp_bundle_inventory(bundle)->items, IfppBundleItem, 0);
	g_assert_cmpstr(item->profile, ==, "Day");
	g_assert_nonnull(strchr(item->iccid, '.'));

	/* the chip proves that it has one of them */
	id = ifpp_hex(IFPP_SPAN(item->key_id));
	prove_installed(f, id);
	must("%s export --home home --pin-file pin --order day --out d.ifppd", smdpf);
	g_assert_nonnull(strstr(out_text, "1 packages; 1 with a result already are left out"));
	must("%s export --home home --pin-file pin --all --out d.ifppd", smdpf);
	g_assert_nonnull(strstr(out_text, "5 packages; 1 with"));

	expect(2, "no package was sealed for it", "%s export --home home --pin-file pin --order dusk --out e.ifppd",
	       smdpf);
	expect(2, "--order and --all", "%s export --home home --pin-file pin --out e.ifppd", smdpf);
	expect(2, "--order and --all", "%s export --home home --all --order day --out e.ifppd", smdpf);
	expect(10, "PIN", "%s export --home home --pin-file wrong-pin --all --out e.ifppd", smdpf);
	expect(5, "nowhere", "%s export --home home --pin-file pin --all --out nowhere/e.ifppd", smdpf);
	g_assert_false(g_file_test("e.ifppd", G_FILE_TEST_EXISTS));
}

static void change(const char *path, gsize at, gssize cut)
{
	g_autoptr(GBytes) bytes = read_file("d.ifppd");
	gsize len;
	guint8 *data = g_bytes_unref_to_data(g_steal_pointer(&bytes), &len);

	if (at < len)
		data[at] ^= 0x40;
	g_assert_true(g_file_set_contents(path, (char *)data, len - cut, NULL));
	g_free(data);
}

/* Nothing that is not whole and the Key Maker's leaves anything at the factory. */
static void delivery_refused(Fixture *f, gconstpointer data)
{
	gsize len;

	make_chips(1, 2);
	must("%s seal --home home --pin-file pin --euicc data --count 2 --out out", smdpf);
	must("%s export --home home --pin-file pin --all --out d.ifppd", smdpf);
	len = count_bytes("d.ifppd");

	change("bad.ifppd", len, 1);
	station(5, "instead of", "%s import bad.ifppd --trust pki --to factory", ctl);
	change("bad.ifppd", len, len - 10);
	station(5, "is cut off", "%s import bad.ifppd --trust pki --to factory", ctl);
	change("bad.ifppd", len - 1, 0);
	station(6, "package 2 is not the one in the signed inventory", "%s import bad.ifppd --trust pki --to factory",
		ctl);
	change("bad.ifppd", 120, 0);
	station(6, "does not verify", "%s import bad.ifppd --trust pki --to factory", ctl);
	station(5, "is not a delivery", "%s import pin --trust pki --to factory", ctl);
	station(5, "nowhere", "%s import nowhere --trust pki --to factory", ctl);
	station(5, "nowhere", "%s import d.ifppd --trust nowhere --to factory", ctl);
	station(2, "name one delivery", "%s import --trust pki --to factory", ctl);
	must("%s pki init foreign-pki", eum);
	station(6, "CI root", "%s import d.ifppd --trust foreign-pki --to factory", ctl);
	g_assert_false(g_file_test("factory", G_FILE_TEST_EXISTS));

	/* a full disk is told, and running it again finishes */
	{
		const char *const argv[] = { ctl, "import", "d.ifppd", "--trust", "pki", "--to", "factory", NULL };

		g_assert_cmpint(run_with(small_files, (char **)argv), ==, IFPP_EXIT_IO);
		g_assert_cmpuint(count_files("factory"), ==, 0);
	}
	station(0, NULL, "%s import d.ifppd --trust pki --to factory", ctl);
	assert_same_files("out", "factory");
}

/* A certificate is revoked while its packages wait at the factory: they are named, before a chip is there. */
static void revocation_hits(Fixture *f, gconstpointer data)
{
	make_chips(1, 2);
	must("%s seal --home home --pin-file pin --euicc data --count 2 --out out", smdpf);
	station(0, NULL, "%s check --packages out --trust pki", ctl);
	g_assert_nonnull(strstr(out_text, "2 packages, all good"));
	must("%s pki crl pki --revoke dppb.pem --out pki/ci.crl", eum);
	station(6, "2 of 2 packages would be refused", "%s check --packages out --trust pki", ctl);
	g_assert_nonnull(strstr(out_text, "revoked"));
	g_unlink("pki/ci.crl");
	g_assert_true(g_file_set_contents("out/short.ifpp", "IFPP", 4, NULL));
	station(6, "1 of 3", "%s --json check --packages out --trust pki", ctl);
	g_assert_nonnull(strstr(out_text, "\"outcome\":\"ok\""));
	g_assert_nonnull(strstr(out_text, "short.ifpp"));
	station(5, "nowhere", "%s check --packages nowhere --trust pki", ctl);
	station(2, "options only", "%s check out --trust pki", ctl);
}

/* ------------------------------------------------------------ a pool of tokens */

#define POOL_SEAL "%s seal --home home --pin-file pins --jobs 1 --euicc data --out out "

/* A second token, with a PIN of its own; the home's keys behind the module with faults. */
static void make_pool(void)
{
	const char *build = g_getenv("IFPP_BUILD");
	g_autofree char *conf = NULL, *with = NULL, *module = g_build_filename(build, "tests/unit/p11-faults.so", NULL);

	g_assert_true(g_file_set_contents("pins", "1234\nspare=98765\n", -1, NULL));
	must("softhsm2-util --init-token --free --label spare --pin 98765 --so-pin 5678");
	must("%s token add --home home --key pkcs11:token=spare;object=dppb --pin-file pins", smdpf);
	g_assert_nonnull(strstr(out_text, "key made in token spare"));
	expect(2, "has a key in token spare already", "%s token add --home home --key pkcs11:token=spare;object=x --pin-file pins", smdpf);
	must("%s pki dppb pki --public-key home/dppb-2.pub.pem --out dppb-2.pem", eum);
	must("%s certificate --home home dppb-2.pem --ci pki/ci.pem", smdpf);
	g_assert_true(g_file_get_contents("home/smdpf.conf", &conf, NULL, NULL));
	with = g_strdup_printf("%s\n[Key]\nModule=%s\n[Key 2]\nModule=%s\n", conf, module, module);
	g_assert_true(g_file_set_contents("home/smdpf.conf", with, -1, NULL));
}

/* These faults, of one token or (NULL) of both. */
static void bad_token(const char *faults, const char *token)
{
	g_unlink("p11.log");
	g_setenv("IFPP_P11_FAULTS", faults, TRUE);
	g_setenv("IFPP_P11_LOG", "p11.log", TRUE);
	if (token)
		g_setenv("IFPP_P11_TOKEN", token, TRUE);
	else
		g_unsetenv("IFPP_P11_TOKEN");
}

static void good_tokens(void)
{
	good_hsm();
	g_unsetenv("IFPP_P11_TOKEN");
}

/* How many packages are signed with the key of this certificate. */
static guint count_signed_by(const char *cert)
{
	g_autoptr(GPtrArray) names = list("out");
	g_autoptr(GBytes) pem = read_file(cert);
	gnutls_datum_t in = { (guint8 *)g_bytes_get_data(pem, NULL), g_bytes_get_size(pem) }, der = {};
	guint n = 0;

	g_assert_cmpint(gnutls_pem_base64_decode2("CERTIFICATE", &in, &der), >=, 0);
	for (guint i = 0; i < names->len; i++) {
		g_autoptr(GBytes) package = read_file(names->pdata[i]);
		gsize len;
		const char *data = g_bytes_get_data(package, &len);

		n += memmem(data, len, der.data, der.size) != NULL;
	}
	gnutls_free(der.data);
	return n;
}

/* One token dies in the middle of an order, in every way: the other finishes it; each key once, and no ICCID is lost. */
static void hsm_pool_failover(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *faults, *says;
		guint by_first;		/* packages that the first token has signed whole */
	} cases[] = {
		{ "away=9 away_ms=3600000", "token vault: not there; it goes on without", 4 },
		{ "drop=9 pin=2", "token vault: wrong PIN; it goes on without", 4 },
		{ "gone=1", "token vault: not there; it goes on without", 0 },
		{ "error=1", "it goes on without", 0 },
	};
	guint bound = 0;

	make_pool();
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *serial = NULL, *says = NULL;

		remove_all("data");
		remove_all("chips");
		remove_all("out");
		make_chips(10, 1);
		bad_token(cases[i].faults, "vault");
		must(POOL_SEAL "--order %u", smdpf, i);
		good_tokens();
		g_assert_nonnull(strstr(out_text, "10 sealed now, 0 from before"));
		if (!strstr(err_text, cases[i].says))
			g_error("%s: '%s' does not say '%s'", cases[i].faults, err_text, cases[i].says);
		g_assert_cmpuint(strcspn(err_text, "\n"), ==, strlen(err_text) - 1);
		bound += 10;
		g_assert_cmpuint(open_all(f), ==, 10);
		g_assert_cmpuint(count_signed_by("dppb.pem"), ==, cases[i].by_first);
		g_assert_cmpuint(count_signed_by("dppb-2.pem"), ==, 10 - cases[i].by_first);
		/* it is back, and knows less: that is no rollback */
		must("%s token list --home home --pin-file pins", smdpf);
		g_assert_nonnull(strstr(out_text, "was away: the ledger has"));
		must("%s ledger check --home home --pin-file pins", smdpf);
		says = g_strdup_printf("is sound: %u keys bound", bound);
		g_assert_nonnull(strstr(out_text, says));
		g_assert_nonnull(strstr(out_text, "and 2 of 2 tokens agree"));
		sql("home/ledger.db", "SELECT value FROM ledger WHERE name = 'serial'");
		serial = g_strdup_printf("%u\n", bound);
		g_assert_cmpstr(out_text, ==, serial);
		must(POOL_SEAL "--order %u", smdpf, i);
		g_assert_nonnull(strstr(out_text, "0 sealed now, 10 from before"));
	}
	/* with both there it learns what it has missed */
	remove_all("data");
	remove_all("chips");
	remove_all("out");
	make_chips(1, 1);
	must(POOL_SEAL "--order both", smdpf);
	g_assert_cmpuint(count_signed_by("dppb.pem"), ==, 1);
	must("%s token list --home home --pin-file pins", smdpf);
	g_assert_null(strstr(out_text, "was away"));
}

/* The second dies too: the first is waited for. When nothing is left that is one line, and what was signed is kept. */
static void hsm_pool_gone(Fixture *f, gconstpointer data)
{
	make_pool();
	make_chips(20, 1);
	bad_token("away=9 away_ms=1500", NULL);
	must(POOL_SEAL "--order a", smdpf);
	good_tokens();
	g_assert_nonnull(strstr(out_text, "20 sealed now"));
	g_assert_cmpuint(open_all(f), ==, 20);

	remove_all("data");
	remove_all("chips");
	remove_all("out");
	make_chips(10, 1);
	bad_token("gone=1", NULL);
	expect(10, "token vault: not there; token spare: not there", POOL_SEAL "--order b", smdpf);
	expect(10, "token vault: not there", "%s export --home home --pin-file pins --all --out d.ifppd", smdpf);
	bad_token("drop=9 pin=3", NULL);
	expect(10, "token vault: wrong PIN; token spare: wrong PIN", POOL_SEAL "--order b", smdpf);
	good_tokens();
	g_assert_cmpuint(count_files("out"), ==, 0);
	must(POOL_SEAL "--order b", smdpf);
	g_assert_nonnull(strstr(out_text, "6 sealed now, 4 from before"));
	g_assert_cmpuint(open_all(f), ==, 10);
	must("%s ledger check --home home --pin-file pins", smdpf);
}

/* A wrong PIN for one is tried once, and in no later run, until somebody looks. */
static void hsm_pool_pin(Fixture *f, gconstpointer data)
{
	make_pool();
	make_chips(2, 3);
	g_assert_true(g_file_set_contents("pins", "1234\nspare=0000\n", -1, NULL));
	must(POOL_SEAL "--jobs 2", smdpf);
	g_assert_nonnull(strstr(err_text, "token spare: wrong PIN"));
	must(POOL_SEAL "--order b", smdpf);
	g_assert_nonnull(strstr(err_text, "token spare: was given a wrong PIN before"));
	g_assert_true(g_file_set_contents("pins", "1234\nspare=98765\n", -1, NULL));
	must(POOL_SEAL "--order c", smdpf);
	g_assert_nonnull(strstr(err_text, "token spare: was given a wrong PIN before"));
	must("%s token list --home home --pin-file pins --json", smdpf);
	g_assert_nonnull(strstr(out_text, "\"token\":\"spare\",\"key\":\"dppb\",\"state\":\"ready\""));
	must(POOL_SEAL "--order c", smdpf);
	g_assert_cmpstr(err_text, ==, "");
}

/* An old ledger is seen as long as one token, or the home, knows a newer one. */
static void hsm_pool_rollback(Fixture *f, gconstpointer data)
{
	static const char *const away[] = { "", "vault", "spare" };
	g_autofree char *line = g_strdup_printf(POOL_SEAL "--order c", smdpf);
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);

	make_pool();
	make_chips(3, 3);
	must(POOL_SEAL "--order a", smdpf);
	must("%s ledger backup --home home --out old.db", smdpf);
	bad_token("gone=1", "vault");
	must(POOL_SEAL "--order b", smdpf);
	good_tokens();
	must("%s ledger backup --home home --out new.db", smdpf);
	for (guint i = 0; i < G_N_ELEMENTS(away); i++) {
		remove_all("home/ledger.db");
		remove_all("home/ledger.db-wal");
		remove_all("home/ledger.db-shm");
		must("cp old.db home/ledger.db");
		bad_token(*away[i] ? "gone=1" : "hide=0", *away[i] ? away[i] : NULL);
		g_assert_cmpint(run_with(new_session, argv), ==, 6);
		g_assert_nonnull(strstr(err_text, "older than the signing key knows of: it has 3 bound keys"));
		good_tokens();
	}
	/* not even when the home forgot */
	must("mv home/head head");
	expect(6, "token spare has seen 6", POOL_SEAL "--order c", smdpf);
	must("mv head home/head");
	/* who was away when it was adopted is told once it is there */
	bad_token("gone=1", "spare");
	must("%s ledger adopt --home home --pin-file pins", smdpf);
	g_assert_nonnull(strstr(out_text, "6 keys bound, 3 of them adopted"));
	good_tokens();
	expect(6, "token spare has seen 6", POOL_SEAL "--order c", smdpf);
	must("%s ledger adopt --home home --pin-file pins", smdpf);
	g_assert_nonnull(strstr(out_text, "6 keys bound, 0 of them adopted"));
	must("%s ledger check --home home --pin-file pins", smdpf);
	g_assert_nonnull(strstr(out_text, "2 of 2 tokens agree"));
	must(POOL_SEAL "--order c", smdpf);
	g_assert_nonnull(strstr(out_text, "3 sealed now"));
	g_unlink("old.db");
	g_unlink("new.db");
}

/* The token that knew is taken out: what it knew stays known, although the one that is left was away. */
static void hsm_pool_removed(Fixture *f, gconstpointer data)
{
	make_pool();
	make_chips(2, 3);
	must("%s ledger backup --home home --out old.db", smdpf);
	bad_token("gone=1", "spare");
	must(POOL_SEAL "--order a", smdpf);
	good_tokens();
	must("%s token remove --home home vault", smdpf);
	remove_all("home/ledger.db-wal");
	remove_all("home/ledger.db-shm");
	must("cp old.db home/ledger.db");
	expect(6, "older than the signing key knows of", POOL_SEAL "--order b", smdpf);
	must("%s ledger adopt --home home --pin-file pins", smdpf);
	must(POOL_SEAL "--order b", smdpf);
	must("%s ledger check --home home --pin-file pins", smdpf);
	g_assert_nonnull(strstr(out_text, "is sound: 4 keys bound"));
	must("cp old.db home/ledger.db");
	remove_all("home/ledger.db-wal");
	expect(6, "older than", POOL_SEAL "--order c", smdpf);
	g_unlink("old.db");
}

/* Protected for every token, so that any of them can go on. */
static void hsm_pool_protected(Fixture *f, gconstpointer data)
{
	g_autofree char *line = g_strdup_printf(POOL_SEAL "--protected ppp-old", smdpf);
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);

	make_pool();
	make_chips(2, 3);
	remove_all("clear");
	remove_all("ppp");
	remove_all("ppp-old");
	g_mkdir("clear", 0700);
	write_profile("clear/a.der", "8949449999999990015", 3000);
	write_profile("clear/b.der", "8949449999999990023", 3000);
	bad_token("gone=1", "spare");
	expect(10, "are protected for every token of the pool", "%s protect --home home --pin-file pins --upp clear --out ppp", smdpf);
	good_tokens();
	g_assert_cmpuint(count_files("ppp"), ==, 0);
	must("%s protect --home home --pin-file pins --upp clear --out ppp", smdpf);
	bad_token("away=3 away_ms=3600000", "vault");
	must(POOL_SEAL "--protected ppp", smdpf);
	good_tokens();
	g_assert_cmpuint(open_all(f), ==, 2);
	g_assert_cmpuint(count_signed_by("dppb-2.pem"), ==, 1);

	/* made before there was a pool: the first token opens them, whoever signs */
	must("cp home/smdpf.conf pool.conf");
	must("cp home0/smdpf.conf home/smdpf.conf");
	write_profile("clear/a.der", "8949449999999990031", 3000);
	write_profile("clear/b.der", "8949449999999990049", 3000);
	must("%s protect --home home --pin-file pin --upp clear --out ppp-old", smdpf);
	must("cp pool.conf home/smdpf.conf");
	remove_all("out");
	bad_token("gone=1", "vault");
	g_assert_cmpint(run_with(new_session, argv), ==, 5);
	good_tokens();
	g_assert_nonnull(strstr(err_text, "or for one that is not there"));
	must(POOL_SEAL "--protected ppp-old", smdpf);
	g_assert_cmpuint(open_all(f), ==, 2);
	/* which keys it is for cannot be altered either */
	remove_all("data");
	remove_all("chips");
	make_chips(1, 1);
	remove_all("clear");
	g_mkdir("clear", 0700);
	write_profile("clear/a.der", "8949449999999990056", 0);
	must("%s protect --home home --pin-file pins --upp clear --out ppp", smdpf);
	alter("ppp/8949449999999990056.ppp", "bad.ppp", 50);
	expect(5, "bad.ppp", POOL_SEAL "--protected bad.ppp --order bad", smdpf);
}

/* A certificate of another name is another Key Maker's; one that ran out is put aside; a token that is lost is taken out. */
static void pool_certificates(Fixture *f, gconstpointer data)
{
	make_pool();
	make_chips(1, 3);
	must("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key");
	must("openssl x509 -new -force_pubkey home/dppb-2.pub.pem -subj /CN=other -key other.key -days 30 -out other-name.pem");
	expect(6, "has another subject", "%s certificate --home home other-name.pem --ci pki/ci.pem", smdpf);
	must("%s token remove --home home vault", smdpf);
	must(POOL_SEAL "--order a", smdpf);
	g_assert_cmpuint(count_signed_by("dppb-2.pem"), ==, 1);
	expect(2, "no other token has a certificate", "%s token remove --home home spare", smdpf);
	expect(2, "has no key in a token vault", "%s token remove --home home vault", smdpf);
}

int main(int argc, char **argv)
{
	const char *build = g_getenv("IFPP_BUILD");
	g_autoptr(GError) error = NULL;
	int ret;

	g_test_init(&argc, &argv, NULL);
	if (!build) {
		printf("1..0 # SKIP IFPP_BUILD does not name the build directory\n");
		return 77;
	}
	eum = g_build_filename(build, "tools/eum/ifpp-eum", NULL);
	ctl = g_build_filename(build, "tools/ifppctl/ifppctl", NULL);
	smdpf = g_build_filename(build, "tools/smdpf/ifpp-smdpf", NULL);
	top = g_dir_make_tmp("ifpp-smdpf-XXXXXX", &error);
	g_assert_no_error(error);
	make_world();

#define ADD(name, func, data) g_test_add("/smdpf/" name, Fixture, data, setup, func, teardown)
	ADD("token", token, NULL);
	ADD("token/imported", token_imported, NULL);
	ADD("token/swapped", token_swapped, NULL);
	ADD("certificate", certificate, NULL);
	ADD("seal/ppk", seal, "ppk");
	ADD("seal/session", seal, "session");
	ADD("envelope", envelope, NULL);
	ADD("again", again, NULL);
	ADD("profile/one-chip", one_profile_one_chip, NULL);
	ADD("profile/test", test_profile_many_chips, NULL);
	ADD("profile/build", profile_build, NULL);
	ADD("ota_keys", ota_keys, NULL);
	ADD("tuak", tuak, NULL);
	ADD("suci", suci, NULL);
	ADD("service_flags", service_flags, NULL);
	ADD("encrypted_columns", encrypted_columns, NULL);
	ADD("metadata_whole", metadata_whole, NULL);
	ADD("metadata_fallback", metadata_fallback, NULL);
	ADD("csv_dialects", csv_dialects, NULL);
	ADD("csv_wrong_line_in_100000", csv_wrong_line, NULL);
	ADD("imsi_lost_zeros", imsi_lost_zeros, NULL);
	ADD("isim_follows_imsi", isim_follows_imsi, NULL);
	ADD("extract", extract, NULL);
	ADD("builtin_every_column", builtin_every_column, NULL);
	ADD("published_keys_refused", published_keys_refused, NULL);
	ADD("bad-input", bad_input, NULL);
	ADD("later_key_attested", later_key_attested, NULL);
	ADD("eligibility", eligibility, NULL);
	ADD("rules_choose", rules_choose, NULL);
	ADD("package_versions", package_versions, NULL);
	ADD("full-disk", full_disk, NULL);
	ADD("parallel", parallel, NULL);
	ADD("token/together", token_together, NULL);
	ADD("killed", killed, NULL);
	ADD("ledger_lost", ledger_lost, NULL);
	ADD("ledger_operator", ledger_operator, NULL);
	ADD("ledger_freed", ledger_freed, NULL);
	ADD("ledger_freed/long-ago", ledger_freed_long_ago, NULL);
	ADD("ledger_accept", ledger_accept, NULL);
	ADD("ledger_old_backup", ledger_old_backup, NULL);
	ADD("ledger_truncated", ledger_truncated, NULL);
	ADD("ledger_migrate", ledger_migrate, NULL);
	ADD("report", report, NULL);
	ADD("hsm_session_dropped", hsm_session_dropped, NULL);
	ADD("hsm_one_session", hsm_one_session, NULL);
	ADD("seal_jobs", seal_jobs, NULL);
	ADD("worker_ends", worker_ends, NULL);
	ADD("hsm_slow", hsm_slow, NULL);
	ADD("hsm_device_error", hsm_device_error, NULL);
	ADD("hsm_away_and_back", hsm_away_and_back, NULL);
	ADD("hsm_wrap_chosen", hsm_wrap_chosen, NULL);
	ADD("hsm_pin_refused", hsm_pin_refused, NULL);
	ADD("hsm_pool_failover", hsm_pool_failover, NULL);
	ADD("hsm_pool_gone", hsm_pool_gone, NULL);
	ADD("hsm_pool_pin", hsm_pool_pin, NULL);
	ADD("hsm_pool_rollback", hsm_pool_rollback, NULL);
	ADD("hsm_pool_removed", hsm_pool_removed, NULL);
	ADD("hsm_pool_protected", hsm_pool_protected, NULL);
	ADD("pool_certificates", pool_certificates, NULL);
	ADD("clone_exit_6", clone_exit_6, NULL);
	ADD("void_proof", void_proof, NULL);
	ADD("expired_report", expired_report, NULL);
	ADD("requester_fails_closed", requester_fails_closed, NULL);
	ADD("empty_arguments", empty_arguments, NULL);
	ADD("token/interrupted", pin_interrupted, NULL);
	ADD("content_is_the_order", content_is_the_order, NULL);
	ADD("protect", protect, NULL);
	ADD("protect/imported", protect_imported, NULL);
	ADD("delivery", delivery, NULL);
	ADD("delivery/orders", delivery_orders, NULL);
	ADD("delivery/refused", delivery_refused, NULL);
	ADD("delivery/revocation-hits", revocation_hits, NULL);
	ret = g_test_run();

	remove_all(top);
	g_free(out_text);
	g_free(err_text);
	g_free(top);
	g_free(eum);
	g_free(smdpf);
	g_free(ctl);
	return ret;
}
