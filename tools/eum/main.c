// SPDX-License-Identifier: GPL-2.0-or-later
/* ifpp-eum: the EUM of the virtual chips, and a test PKI around it. Test keys in plain files. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "eid.h"
#include "error.h"
#include "options.h"
#include "chipmem.h"
#include "personalise.h"
#include "batch.h"
#include "pki.h"

#define PROGRAM "ifpp-eum"
#define TEN_YEARS (3650LL * 24 * 3600)

static const char usage[] =
	"usage: ifpp-eum COMMAND [OPTION...]\n"
	"\n"
	"  pki init DIR                 make a test CI root and an EUM under it\n"
	"  pki dppb DIR                 certify a Key Maker's profile binding key\n"
	"  pki dpauth DIR               certify an SM-DP's authentication key, for ordinary downloads\n"
	"  pki crl DIR                  make the CI's certificate revocation list\n"
	"  personalise                  make virtual chips with one-time keys\n"
	"  batch DIR                    put the eUICC data of many chips into one signed file\n"
	"\n"
	"ifpp-eum COMMAND --help lists the options of a command.\n"
	"The keys lie in plain files: this is a PKI for tests, not for products.\n";

static gboolean parse_time(const char *text, gint64 *out, GError **error)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autoptr(GDateTime) time = NULL;

	if (!text)
		return TRUE;
	time = g_date_time_new_from_iso8601(text, utc);
	if (!time) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: not a time like 2026-01-31T12:00:00Z",
			    text);
		return FALSE;
	}
	*out = g_date_time_to_unix(time);
	return TRUE;
}

static gboolean cmd_pki_init(int argc, char **argv, GError **error)
{
	g_autofree char *name = NULL, *prefix = NULL, *variant_name = NULL;
	PkiVariant variant = PKI_O;
	GOptionEntry entries[] = {
		{ "variant", 0, 0, G_OPTION_ARG_STRING, &variant_name,
		  "Chain of SGP.26: O (SGP.22 v2, the default), Ov3, A, B or C (v3, with sub-CAs)", "VARIANT" },
		{ "name", 'n', 0, G_OPTION_ARG_STRING, &name, "Organisation in the certificates", "NAME" },
		{ "eid-prefix", 0, 0, G_OPTION_ARG_STRING, &prefix,
		  "First eight digits of the EUM's EIDs (89049032)", "DIGITS" }, G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, "pki init DIR", "Makes ci.key, ci.pem, eum.key and eum.pem in DIR.",
				&argc, &argv, 1, error))
		return FALSE;
	if (variant_name && !pki_variant_parse(variant_name, &variant, error))
		return FALSE;
	if (!pki_init(argv[1], variant, name ? name : "IFPP Test", prefix ? prefix : "89049032", error))
		return FALSE;
	printf("%s: test CI and EUM made; %s/ci.pem is the root to trust\n", argv[1], argv[1]);
	return TRUE;
}

static gboolean certify_dp(IfppRole role, int argc, char **argv, GError **error)
{
	g_autofree char *public_key = NULL, *csr = NULL, *out = NULL, *oid = NULL;
	g_autofree char *not_before = NULL, *not_after = NULL;
	gint64 from = g_get_real_time() / G_USEC_PER_SEC - 24 * 3600, to = from + TEN_YEARS;
	GOptionEntry entries[] = {
		{ "public-key", 0, 0, G_OPTION_ARG_FILENAME, &public_key, "Key to certify, PEM", "FILE" },
		{ "csr", 0, 0, G_OPTION_ARG_FILENAME, &csr, "Certificate request instead, PEM", "FILE" },
		{ "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "Certificate to write, PEM", "FILE" },
		{ "oid", 0, 0, G_OPTION_ARG_STRING, &oid, "The SM-DPf's object identifier (2.999.10)",
		  "OID" },
		{ "not-before", 0, 0, G_OPTION_ARG_STRING, &not_before, "Valid from (yesterday)", "TIME" },
		{ "not-after", 0, 0, G_OPTION_ARG_STRING, &not_after, "Valid until (ten years)", "TIME" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, "pki dppb|dpauth DIR",
				"The CI in DIR signs a certificate for an SM-DP.", &argc, &argv, 1, error))
		return FALSE;
	if (!public_key == !csr)
		return ifpp_usage_error(error, "give one of --public-key and --csr");
	if (!out)
		return ifpp_usage_error(error, "--out is missing");
	if (!parse_time(not_before, &from, error) || !parse_time(not_after, &to, error))
		return FALSE;
	return pki_dp(argv[1], role, csr ? csr : public_key, csr != NULL, oid ? oid : "2.999.10", out, from,
		      to, error);
}

static gboolean cmd_pki_dppb(int argc, char **argv, GError **error)
{
	return certify_dp(IFPP_ROLE_DP_PB, argc, argv, error);
}

static gboolean cmd_pki_dpauth(int argc, char **argv, GError **error)
{
	return certify_dp(IFPP_ROLE_DP_AUTH, argc, argv, error);
}

static gboolean cmd_pki_crl(int argc, char **argv, GError **error)
{
	g_auto(GStrv) revoke = NULL;
	g_autofree char *out = NULL, *issuer = NULL;
	int days = 365;
	GOptionEntry entries[] = {
		{ "revoke", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &revoke,
		  "A certificate to revoke, PEM; may be repeated", "FILE" },
		{ "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "CRL to write, DER", "FILE" },
		{ "days", 0, 0, G_OPTION_ARG_INT, &days, "Until the next CRL (365)", "N" },
		{ "issuer", 0, 0, G_OPTION_ARG_STRING, &issuer, "Whose CRL: ci (the default), ci-sub, eum, eum-sub or dp-sub", "CA" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, "pki crl DIR", "The CI in DIR signs a revocation list.", &argc,
				&argv, 1, error))
		return FALSE;
	if (!out)
		return ifpp_usage_error(error, "--out is missing");
	if (days < 1 || days > 36500)
		return ifpp_usage_error(error, "--days is 1 to 36500");
	return pki_crl(argv[1], issuer ? issuer : "ci", revoke, out, days, error);
}

/* @path itself for one chip, a file named by the EID in the directory @path for many. */
static char *chip_path(const char *path, const guint8 eid[16], const char *suffix, gboolean many)
{
	char digits[IFPP_EID_DIGITS + 1];

	ifpp_eid_format(eid, digits);
	return many ? g_strdup_printf("%s/%s.%s", path, digits, suffix) : g_strdup(path);
}

static gboolean cmd_personalise(int argc, char **argv, GError **error)
{
	g_autofree char *pki = NULL, *eid_text = NULL, *chip = NULL, *data = NULL;
	g_autoptr(PkiEum) eum = NULL;
	int keys = 3, count = 0, codec = IFPP_CHIP_CODEC_MAX;
	gboolean iot = FALSE;
	guint8 eid[16];
	GOptionEntry entries[] = {
		{ "pki", 0, 0, G_OPTION_ARG_FILENAME, &pki, "Directory of the test PKI", "DIR" },
		{ "eid", 0, 0, G_OPTION_ARG_STRING, &eid_text, "EID of the (first) chip", "DIGITS" },
		{ "keys", 0, 0, G_OPTION_ARG_INT, &keys, "One-time keys per chip (3)", "N" },
		{ "codec", 0, 0, G_OPTION_ARG_INT, &codec, "Version of the factory services: 1 to 3 (3)", "N" },
		{ "iot", 0, 0, G_OPTION_ARG_NONE, &iot, "Make IoT eUICCs (SGP.32), with immediate enabling", NULL },
		{ "chip", 0, 0, G_OPTION_ARG_FILENAME, &chip, "Chip memory to write", "FILE" },
		{ "data", 0, 0, G_OPTION_ARG_FILENAME, &data, "eUICC data to write", "FILE" },
		{ "count", 0, 0, G_OPTION_ARG_INT, &count,
		  "Make N chips with rising EIDs; --chip and --data are directories then", "N" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, "personalise",
				"Makes a virtual chip for ifpp-vmodem and its public data for ifpp-smdpf.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!pki || !eid_text || !chip || !data)
		return ifpp_usage_error(error, "--pki, --eid, --chip and --data are needed");
	if (keys < 0 || keys > 256)
		return ifpp_usage_error(error, "--keys is 0 to 256");
	if (codec < 1 || codec > IFPP_CHIP_CODEC_MAX)
		return ifpp_usage_error(error, "--codec is 1, 2 or 3");
	if (count < 0)
		return ifpp_usage_error(error, "--count is 1 or more");
	if (!ifpp_eid_parse(eid_text, eid, error))
		return FALSE;
	eum = pki_eum_open(pki, error);
	if (!eum)
		return FALSE;
	for (int i = 0; i < MAX(count, 1); i++) {
		g_autofree char *chip_file = NULL, *data_file = NULL;

		if (i > 0 && !next_eid(eid))
			return ifpp_usage_error(error, "no EID of this EUM is left");
		chip_file = chip_path(chip, eid, "chip", count > 0);
		data_file = chip_path(data, eid, "euicc", count > 0);
		if (!personalise(eum, eid, keys, codec, iot, chip_file, data_file, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean cmd_batch(int argc, char **argv, GError **error)
{
	g_autofree char *pki = NULL, *out = NULL, *name = NULL;
	g_autoptr(PkiEum) eum = NULL;
	GOptionEntry entries[] = {
		{ "pki", 0, 0, G_OPTION_ARG_FILENAME, &pki, "Directory of the test PKI", "DIR" },
		{ "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "Batch to write, *.ifppe", "FILE" },
		{ "name", 0, 0, G_OPTION_ARG_STRING, &name, "What the batch is called", "NAME" },
		G_OPTION_ENTRY_NULL
	};

	if (!ifpp_options_parse(entries, "batch DIR", "Signs the eUICC data (*.euicc) in DIR into one file.", &argc, &argv, 1,
				error))
		return FALSE;
	if (!pki || !out)
		return ifpp_usage_error(error, "--pki and --out are needed");
	eum = pki_eum_open(pki, error);
	return eum && batch_make(eum, argv[1], name, out, error);
}

static const struct {
	const char *group;
	const char *name;
	gboolean (*run)(int argc, char **argv, GError **error);
} commands[] = {
	{ "pki", "init", cmd_pki_init },
	{ "pki", "dppb", cmd_pki_dppb },
	{ "pki", "dpauth", cmd_pki_dpauth },
	{ "pki", "crl", cmd_pki_crl },
	{ NULL, "personalise", cmd_personalise },
	{ NULL, "batch", cmd_batch },
};

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	setlocale(LC_ALL, "");
	g_set_prgname(PROGRAM);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return IFPP_EXIT_OK;
	}
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts(PROGRAM " " IFPP_VERSION);
		return IFPP_EXIT_OK;
	}
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		int words = commands[i].group ? 2 : 1;

		if (argc <= words || strcmp(argv[words], commands[i].name) ||
		    (commands[i].group && strcmp(argv[1], commands[i].group)))
			continue;
		argv[words] = argv[0];
		if (commands[i].run(argc - words, argv + words, &error))
			return IFPP_EXIT_OK;
		return ifpp_error_exit(PROGRAM, error);
	}
	if (argc > 1)
		g_printerr("%s: %s: no such command. %s --help lists them.\n", PROGRAM, argv[1], PROGRAM);
	else
		fputs(usage, stderr);
	return IFPP_EXIT_USAGE;
}
