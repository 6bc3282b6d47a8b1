// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What sealing and verifying cost, beside the bare cryptography in them, done with GnuTLS in the
 * same process and in turns with it. Times are of the CPU, so that a busy machine does not
 * count; only what is said to be a wall clock's is.
 *
 * usage: crypto DIR [PACKAGES] (made by tests/bench/run): writes "NAME VALUE" lines; with PACKAGES only
 * what memory this process has while it seals and verifies so many
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "envelope.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "jobs.h"
#include "package.h"
#include "seal.h"
#include "token.h"

#define ROUNDS 15
#define SLICE 20		/* packages in a round */
#define PARALLEL 200		/* packages of each process */
#define FLOOR_BYTES 12288

typedef struct {
	Home *home;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	GBytes *upp;
	GBytes *euicc;		/* one chip's data */
	guint8 eid[16];
	IfppOtk otk;
} World;

static void check(GError *error)
{
	if (!error)
		return;
	fprintf(stderr, "crypto: %s\n", error->message);
	exit(1);
}

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "crypto: %s: %s\n", what, gnutls_strerror(ret));
	exit(1);
}

static double clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double cpu_us(void)
{
	return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* ------------------------------------------------------------ the bare cryptography */

typedef struct {
	gnutls_privkey_t key;		/* what signs */
	gnutls_privkey_t own;
	gnutls_pubkey_t own_pub, peer;
	guint8 bytes[FLOOR_BYTES];
	gnutls_datum_t sig[5];
} Bare;

/* About the bytes that are signed: of the envelope, smdpSign; CERT.DPpb, CI root, CRL. */
static const gsize signed_len[5] = { 13000, 220, 460, 460, 250 };
/* What proves a chip: its certificate, and the attestation of its key, both about as long as smdpSign. */
#define PROOFS 2
static guint8 some_bytes[16384];

static gnutls_privkey_t new_key(void)
{
	gnutls_privkey_t key;

	must(gnutls_privkey_init(&key), "key");
	must(gnutls_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
	     "key generation");
	return key;
}

/* Envelope and smdpSign. */
static void bare_sign(Bare *b)
{
	for (int i = 0; i < 2; i++) {
		gnutls_datum_t data = { some_bytes, signed_len[i] }, sig = {};

		must(gnutls_privkey_sign_data2(b->key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &sig), "signature");
		gnutls_free(sig.data);
	}
}

/* What of that is not the curve's. */
static void bare_hash(Bare *b)
{
	guint8 hash[32];

	must(gnutls_hash_fast(GNUTLS_DIG_SHA256, some_bytes, signed_len[0], hash), "SHA-256");
}

static void bare_generate(Bare *b)
{
	gnutls_privkey_deinit(new_key());
}

static void bare_ecdh(Bare *b)
{
	gnutls_datum_t secret = {};

	must(gnutls_privkey_derive_secret(b->own, b->peer, NULL, &secret, 0), "ECDH");
	gnutls_free(secret.data);
}

static void bare_protect(Bare *b)
{
	guint8 iv[16] = {}, mac[16], key[16] = { 1 };
	gnutls_datum_t k = { key, 16 }, v = { iv, 16 };
	gnutls_cipher_hd_t aes;

	must(gnutls_cipher_init(&aes, GNUTLS_CIPHER_AES_128_CBC, &k, &v), "AES");
	must(gnutls_cipher_encrypt(aes, b->bytes, sizeof(b->bytes)), "AES");
	gnutls_cipher_deinit(aes);
	must(gnutls_hmac_fast(GNUTLS_MAC_AES_CMAC_128, key, 16, b->bytes, sizeof(b->bytes), mac), "CMAC");
}

static void bare_verify(Bare *b, int i)
{
	gnutls_datum_t d = { some_bytes, signed_len[i] };

	if (!b->sig[i].data)
		must(gnutls_privkey_sign_data2(b->own, GNUTLS_SIGN_ECDSA_SHA256, 0, &d, &b->sig[i]), "signature");
	else
		must(gnutls_pubkey_verify_data2(b->own_pub, GNUTLS_SIGN_ECDSA_SHA256, 0, &d, &b->sig[i]), "verify");
}

static void bare_init(Bare *b, gnutls_privkey_t key)
{
	gnutls_privkey_t peer = new_key();

	*b = (Bare){ .key = key };
	b->own = new_key();
	must(gnutls_pubkey_init(&b->own_pub), "key");
	must(gnutls_pubkey_import_privkey(b->own_pub, b->own, 0, 0), "key");
	must(gnutls_pubkey_init(&b->peer), "key");
	must(gnutls_pubkey_import_privkey(b->peer, peer, 0, 0), "key");
	gnutls_privkey_deinit(peer);
	for (int i = 0; i < 5; i++)
		bare_verify(b, i);
}

/* ------------------------------------------------------------ what the programs do */

static gboolean sign(const IfppSpan *parts, gsize n_parts, guint8 sig[64], gpointer user, GError **error)
{
	return ifpp_ecdsa_sign(user, parts, n_parts, sig, error);
}

/* As seal_item() of tools/smdpf/bind.c. */
static GBytes *seal(World *w, gnutls_privkey_t key)
{
	static const guint8 configure[] = { 0xBF, 0x24, 0x00 };
	g_autoptr(GByteArray) metadata = NULL;
	g_autoptr(GBytes) bpp = NULL;
	g_autoptr(GError) error = NULL;
	guint8 ppk[48], transaction[16], iccid[10];
	GBytes *package;
	IfppSealInput in = {
		.upp = ifpp_span_bytes(w->upp),
		.configure = IFPP_SPAN(configure),
		.transaction_id = IFPP_SPAN(transaction),
		.host_id = { w->eid, 8 },
		.ppk = ppk,
		.eid = w->eid,
		.otpk = w->otk.point,
		.sign = sign,
		.sign_user = key,
	};

	profile_builtin_iccid(1, iccid);
	metadata = profile_metadata(iccid, "IFPP", "Bench", PROFILE_TEST);
	in.metadata = (IfppSpan){ metadata->data, metadata->len };
	must(gnutls_rnd(GNUTLS_RND_RANDOM, transaction, sizeof(transaction)), "randomness");
	must(gnutls_rnd(GNUTLS_RND_KEY, ppk, sizeof(ppk)), "randomness");
	bpp = ifpp_seal(&in, &error);
	check(error);
	package = envelope_seal(w->eid, w->otk.key_id, ifpp_span_bytes(bpp), w->home->chain, key, &error);
	check(error);
	return package;
}

/* As read_chip() of tools/smdpf/bind.c: the chip, and the key that something is sealed to. */
static void prove_chip(World *w)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	g_autoptr(GError) error = NULL;
	IfppSpan ff21, bf22;
	guint8 signer[65];

	if (ifpp_euicc_data_parse(ifpp_span_bytes(w->euicc), w->eid, &ff21, &bf22, &error))
		info = ifpp_factory_info_parse(ff21, &error);
	if (info && ifpp_factory_info_verify_chip(info, w->eid, w->home->trust, signer, &error))
		ifpp_otk_verify(&g_array_index(info->keys, IfppOtk, 0), w->eid, signer, &error);
	check(error);
	w->otk = g_array_index(info->keys, IfppOtk, 0);
}

static void open_world(World *w)
{
	g_autoptr(GDir) dir = NULL;
	g_autofree char *path = NULL;
	GError *error = NULL;

	w->home = home_open("home", &error);
	check(error);
	home_load_trust(w->home, &error);
	check(error);
	w->upp = ifpp_file_read("0.upp", 65536, &error);
	check(error);
	dir = g_dir_open("data/0", 0, &error);
	check(error);
	path = g_build_filename("data/0", g_dir_read_name(dir), NULL);
	w->euicc = ifpp_file_read(path, 65536, &error);
	check(error);
	prove_chip(w);
}

static void open_token(World *w)
{
	GError *error = NULL;

	token_init(w->home->module, "pin", &error);
	check(error);
	w->key = token_open(w->home->key_url, &w->pub, &error);
	check(error);
}

/* ------------------------------------------------------------ tables */

static void sealing(World *w, const char *where, gnutls_privkey_t key)
{
	double floor[ROUNDS], real[ROUNDS], ratio[ROUNDS], signs[ROUNDS], hash[ROUNDS], generate[ROUNDS], ecdh[ROUNDS],
		protect[ROUNDS], start;
	static Bare b;

	bare_init(&b, key);
	g_bytes_unref(seal(w, key));
	for (int r = 0; r < ROUNDS; r++) {
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			bare_sign(&b);
		signs[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			bare_hash(&b);
		hash[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			bare_generate(&b);
		generate[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			bare_ecdh(&b);
		ecdh[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			bare_protect(&b);
		protect[r] = (cpu_us() - start) / SLICE;
		floor[r] = signs[r] + generate[r] + ecdh[r] + protect[r];

		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			g_bytes_unref(seal(w, key));
		real[r] = (cpu_us() - start) / SLICE;
		ratio[r] = floor[r] / real[r];
	}
	printf("seal.%s.sign2_us %.1f\n", where, median(signs, ROUNDS));
	printf("seal.%s.hash_us %.1f\n", where, median(hash, ROUNDS));
	printf("seal.%s.generate_us %.1f\n", where, median(generate, ROUNDS));
	printf("seal.%s.ecdh_us %.1f\n", where, median(ecdh, ROUNDS));
	printf("seal.%s.protect_us %.1f\n", where, median(protect, ROUNDS));
	printf("seal.%s.floor_us %.1f\n", where, median(floor, ROUNDS));
	printf("seal.%s.seal_us %.1f\n", where, median(real, ROUNDS));
	printf("seal.%s.floor_share %.3f\n", where, median(ratio, ROUNDS));
	for (int r = 0; r < ROUNDS; r++)
		ratio[r] = (floor[r] - hash[r]) / real[r];
	printf("seal.%s.floor_share_without_hash %.3f\n", where, median(ratio, ROUNDS));
}

static gboolean open_key(Home *home, gboolean spare, BindKeys *keys, gpointer own, GError **error)
{
	gnutls_pubkey_t pub;

	keys->key = own;
	if (own)
		return TRUE;
	keys->key = token_init(home->module, "pin", error) ? token_open(home->key_url, &pub, error) : NULL;
	return keys->key != NULL;
}

static double children_us(void)
{
	struct rusage use;

	getrusage(RUSAGE_CHILDREN, &use);
	return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

typedef struct {
	int packages;
	double cpu, wall;	/* us of a package */
} Cost;

/* ifpp-smdpf seal as a whole: prove every chip, seal, ledger, two durable copies of each package. */
static Cost whole_command(Home *home, gnutls_privkey_t own, const char *order, int jobs)
{
	/* Two orders for each lot of chips: they have two keys. A chip has a test profile once. */
	static int number;
	g_autofree char *out = g_strdup_printf("out-%s", order), *upp = g_strdup_printf("%d.upp", number % 2);
	g_autofree char *lot = g_strdup_printf("data/%d", number++ / 2);
	char *data[] = { lot, NULL }, *upps[] = { upp, NULL };
	BindOptions options = { .euicc = data, .upp = upps, .count = 1, .spn = "IFPP", .class = PROFILE_TEST, .out = out, .order = order,
				.jobs = jobs, .open = open_key, .open_user = own };
	GError *error = NULL;
	int exit_code, keep;
	g_autoptr(GDir) dir = NULL;
	Cost cost = {};

	/* its list of packages is not ours */
	fflush(stdout);
	keep = dup(STDOUT_FILENO);
	if (keep < 0 || !freopen("/dev/null", "w", stdout))
		exit(1);
	cost.wall = clock_us(CLOCK_MONOTONIC);
	cost.cpu = cpu_us() + children_us();
	jobs_seal(home, &options, &exit_code, &error);
	check(error);
	cost.cpu = cpu_us() + children_us() - cost.cpu;
	cost.wall = clock_us(CLOCK_MONOTONIC) - cost.wall;
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	close(keep);

	dir = g_dir_open(out, 0, &error);
	check(error);
	while (g_dir_read_name(dir))
		cost.packages++;
	if (exit_code || !cost.packages)
		exit(1);
	cost.cpu /= cost.packages;
	cost.wall /= cost.packages;
	return cost;
}

/* One process and two, in turns; whole_command() must not meet a session of this process. */
static void command(const char *where, gnutls_privkey_t own)
{
	double prove[ROUNDS], verify[ROUNDS], cpu[3], one[3], two[3], ratio[3], start;
	Cost cost = {};
	World w = {};
	static Bare b;

	bare_init(&b, NULL);
	open_world(&w);
	for (int r = 0; r < ROUNDS; r++) {
		start = cpu_us();
		for (int i = 0; i < SLICE * PROOFS; i++)
			bare_verify(&b, 1);
		verify[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			prove_chip(&w);
		prove[r] = (cpu_us() - start) / SLICE;
	}
	for (int r = 0; r < 3; r++) {
		g_autofree char *first = g_strdup_printf("%s-one-%d", where, r), *second = g_strdup_printf("%s-two-%d", where, r);

		cost = whole_command(w.home, own, first, 1);
		cpu[r] = cost.cpu;
		one[r] = cost.wall;
		two[r] = whole_command(w.home, own, second, 2).wall;
		ratio[r] = one[r] / two[r];
	}
	printf("command.%s.packages %d\n", where, cost.packages);
	printf("command.%s.verify_us %.1f\n", where, median(verify, ROUNDS));
	printf("command.%s.prove_us %.1f\n", where, median(prove, ROUNDS));
	printf("command.%s.cpu_us %.1f\n", where, median(cpu, 3));
	printf("command.%s.wall_us %.1f\n", where, median(one, 3));
	printf("command.%s.two_wall_us %.1f\n", where, median(two, 3));
	printf("command.%s.two_to_one %.2f\n", where, median(ratio, 3));
	g_bytes_unref(w.upp);
	g_bytes_unref(w.euicc);
	home_free(w.home);
}

/* Packages a second by the wall clock, of @n processes which each have a session of their own. */
static double together(int n, gboolean token)
{
	int ready[2], go[2], status;
	double start;
	char byte = 0;

	if (pipe(go) < 0)
		exit(1);
	fflush(stdout);
	for (int i = 0; i < n; i++) {
		World w = {};

		if (pipe(ready) < 0)
			exit(1);
		if (fork()) {
			/* one after the other: who starts is not what is measured */
			close(ready[1]);
			if (read(ready[0], &byte, 1) != 1)
				exit(1);
			close(ready[0]);
			continue;
		}
		close(go[1]);
		open_world(&w);
		if (token)
			open_token(&w);
		else
			w.key = new_key();
		g_bytes_unref(seal(&w, w.key));
		if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 0)
			_exit(1);
		for (int k = 0; k < PARALLEL; k++)
			g_bytes_unref(seal(&w, w.key));
		_exit(0);
	}
	close(go[0]);
	start = clock_us(CLOCK_MONOTONIC);
	close(go[1]);
	for (int i = 0; i < n; i++)
		if (wait(&status) < 0 || status)
			exit(1);
	return n * PARALLEL * 1e6 / (clock_us(CLOCK_MONOTONIC) - start);
}

static void scaling(const char *where, gboolean token)
{
	double one[3], two[3], ratio[3];

	for (int r = 0; r < 3; r++) {
		one[r] = together(1, token);
		two[r] = together(2, token);
		ratio[r] = two[r] / one[r];
	}
	printf("scaling.%s.one_per_s %.0f\n", where, median(one, 3));
	printf("scaling.%s.two_per_s %.0f\n", where, median(two, 3));
	printf("scaling.%s.ratio %.2f\n", where, median(ratio, 3));
}

static void verify_once(World *w, GBytes *file, IfppTrust *trust)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(IfppPackage) package = ifpp_package_open(file, trust, &error);

	check(error);
	ifpp_package_check_chip(package, w->eid, w->otk.point, &error);
	check(error);
}

/*
 * @fresh: nothing is known, as for the first package that ifppd sees: roots, CRL and chain are proven too.
 * Else as for the next ones: the directory is looked at, and has not changed.
 */
static void verifying(World *w, const char *how, int signatures, gboolean fresh)
{
	g_autoptr(GBytes) file = seal(w, w->key);
	double floor[ROUNDS], four[ROUNDS], real[ROUNDS], ratio[ROUNDS], ratio4[ROUNDS], start;
	IfppTrust *trust = NULL;
	GError *error = NULL;
	static Bare b;

	bare_init(&b, w->key);
	for (int r = 0; r < ROUNDS; r++) {
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			for (int k = 0; k < signatures; k++)
				bare_verify(&b, k);
		floor[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++)
			for (int k = 0; k < 4; k++)
				bare_verify(&b, k);
		four[r] = (cpu_us() - start) / SLICE;
		start = cpu_us();
		for (int i = 0; i < SLICE; i++) {
			if (fresh)
				g_clear_pointer(&trust, ifpp_trust_free);
			ifpp_trust_reload(&trust, "trust", &error);
			check(error);
			verify_once(w, file, trust);
		}
		real[r] = (cpu_us() - start) / SLICE;
		ratio[r] = real[r] / floor[r];
		ratio4[r] = real[r] / four[r];
	}
	printf("verify.%s.bytes %zu\n", how, g_bytes_get_size(file));
	printf("verify.%s.signatures %d\n", how, signatures);
	printf("verify.%s.floor_us %.1f\n", how, median(floor, ROUNDS));
	printf("verify.%s.verify_us %.1f\n", how, median(real, ROUNDS));
	printf("verify.%s.ratio %.3f\n", how, median(ratio, ROUNDS));
	printf("verify.%s.ratio_to_four %.3f\n", how, median(ratio4, ROUNDS));
	g_clear_pointer(&trust, ifpp_trust_free);
}

static long resident_kib(void)
{
	g_autofree char *text = NULL;
	char *rest;

	if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
		exit(1);
	g_ascii_strtoull(text, &rest, 10);
	return g_ascii_strtoull(rest, NULL, 10) * sysconf(_SC_PAGESIZE) / 1024;
}

/* Seal, look at the directory of roots, verify: nothing of a package may stay behind. */
static void memory_flat(World *w, guint64 packages)
{
	IfppTrust *trust = NULL;
	GError *error = NULL;

	for (guint64 i = 1; i <= packages; i++) {
		g_autoptr(GBytes) file = seal(w, w->key);

		ifpp_trust_reload(&trust, "trust", &error);
		check(error);
		verify_once(w, file, trust);
		if (i % MAX(packages / 10, 1) == 0)
			printf("memory.after_%" G_GUINT64_FORMAT "_kib %ld\n", i, resident_kib());
	}
	ifpp_trust_free(trust);
}

int main(int argc, char **argv)
{
	gnutls_privkey_t memory;
	World w = {};

	guint64 packages = 0;

	if (argc < 2 || argc > 3 || chdir(argv[1]) < 0 ||
	    (argc == 3 && !g_ascii_string_to_unsigned(argv[2], 10, 1, 1000000000, &packages, NULL))) {
		fprintf(stderr, "usage: crypto DIR [PACKAGES]\n");
		return 2;
	}
	if (packages) {
		open_world(&w);
		open_token(&w);
		memory_flat(&w, packages);
		return 0;
	}
	/* Before anything of PKCS#11 runs: a session does not survive a fork. */
	scaling("token", TRUE);
	scaling("memory", FALSE);
	memory = new_key();
	command("token", NULL);
	command("memory", memory);

	open_world(&w);
	open_token(&w);
	sealing(&w, "token", w.key);
	sealing(&w, "memory", memory);
	verifying(&w, "next", 2, FALSE);
	verifying(&w, "first", 5, TRUE);

	gnutls_privkey_deinit(memory);
	gnutls_privkey_deinit(w.key);
	gnutls_pubkey_deinit(w.pub);
	g_bytes_unref(w.upp);
	g_bytes_unref(w.euicc);
	home_free(w.home);
	token_deinit();
	return 0;
}
