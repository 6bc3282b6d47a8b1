// SPDX-License-Identifier: GPL-2.0-or-later
/* ifpp-smdpf: the Key Maker (SM-DPf). */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "adopt.h"
#include "bsp.h"
#include "bundle.h"
#include "cryptoki.h"
#include "error.h"
#include "export.h"
#include "extract.h"
#include "file.h"
#include "generate.h"
#include "home.h"
#include "jobs.h"
#include "ledger.h"
#include "migrate.h"
#include "options.h"
#include "order.h"
#include "pool.h"
#include "protect.h"
#include "recover.h"
#include "report.h"
#include "requests.h"
#include "token.h"
#include "tokens.h"
#include "void.h"

#define PROGRAM "ifpp-smdpf"
#define COUNT_MAX 256

static const char usage[] =
	"usage: ifpp-smdpf COMMAND [OPTION...]\n"
	"\n"
	"  init             make a home, and the signing key in a PKCS#11 token\n"
	"  certificate      store the certificate that a CI issued for the key\n"
	"  token            several tokens: add one, list them, remove one\n"
	"  profile build    make profiles from a template and subscriber records\n"
	"  profile minimal  write the built-in profile, as a template to try things with\n"
	"  protect          protect profiles in bulk, before their chips are known\n"
	"  requester        name one who may ask for packages, by certificate\n"
	"  import           take in a factory's request: the public data of its chips\n"
	"  seal             seal profiles to the one-time keys of chips\n"
	"  export           put sealed packages into one signed file for a factory\n"
	"  verify-report    check what the factory says became of the packages\n"
	"  order            list orders, show one, cancel or resume it\n"
	"  void             free the ICCID of a key that has no result\n"
	"  extract          tell one operator which profile is in which eUICC\n"
	"  ledger           check it, copy it, take it over, and what to do when it was lost\n"
	"  prune            delete packages whose result is proven\n"
	"\n"
	"ifpp-smdpf COMMAND --help lists the options of a command.\n"
	"The PIN comes from --pin-file, from IFPP_PIN in the environment, or is asked for.\n";

static gboolean cmd_init(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *url = NULL, *module = NULL, *pin_file = NULL, *path = NULL, *ledger = NULL;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "key", 0, 0, G_OPTION_ARG_STRING, &url, "Where the key is or is to be", "pkcs11:token=…;object=…" },
		{ "module", 0, 0, G_OPTION_ARG_FILENAME, &module, "PKCS#11 module that p11-kit does not know", "FILE" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the token's PIN", "FILE" },
		{ "ledger", 0, 0, G_OPTION_ARG_STRING, &ledger,
		  "Database server that keeps the ledger of several hosts (a file in the home)", "postgresql:URL" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	gboolean created, ok;

	if (!ifpp_options_parse(entries, NULL,
				"Makes the home, and an ECDSA P-256 key inside the token if it has none of that name.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!dir || !url)
		return ifpp_usage_error(error, "--home and --key are needed");
	if (!token_check_url(url, error) || !token_init(module, pin_file, error) ||
	    !token_generate(url, &created, error))
		return FALSE;
	key = token_open(url, &pub, error);
	if (!key)
		return FALSE;
	home = home_init(dir, url, module, ledger, ledger_create, error);
	ok = home && home_store_public_key(home, pub, error);
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	if (!ok)
		return FALSE;
	path = home_path(home, "dppb.pub.pem");
	printf("%s: key %s. Have a CI certify %s as DPpb, then run ifpp-smdpf certificate.\n", dir,
	       created ? "made in the token" : "found in the token", path);
	return TRUE;
}

static gboolean cmd_certificate(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL;
	g_auto(GStrv) ci = NULL, crl = NULL;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "ci", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &ci, "CI root to trust, for this certificate and for chips",
		  "FILE" },
		{ "crl", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &crl, "The CI's certificate revocation list", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, "CERT",
				"Stores CERT.DPpb, with its sub-CAs after it if there are any.", &argc, &argv,
				1, error))
		return FALSE;
	if (!dir || !ci)
		return ifpp_usage_error(error, "--home and --ci are needed");
	home = home_open(dir, error);
	if (!home || !home_store_certificate(home, argv[1], ci, crl, error))
		return FALSE;
	printf("%s: certificate stored. Ready to seal.\n", dir);
	return TRUE;
}

static gboolean cmd_token(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *url = NULL, *module = NULL, *pin_file = NULL;
	gboolean json = FALSE, add, remove;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "key", 0, 0, G_OPTION_ARG_STRING, &url, "add: where the key is or is to be", "pkcs11:token=…;object=…" },
		{ "module", 0, 0, G_OPTION_ARG_FILENAME, &module, "add: PKCS#11 module that p11-kit does not know", "FILE" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the tokens' PINs", "FILE" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &json, "list: one JSON object per token", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, "add|list|remove [TOKEN]",
				"add     one more token, with a key of its own, for when the others are gone\n"
				"list    asks each: is it there, is its key certified, what does it know of the ledger\n"
				"remove  uses TOKEN no more: it is lost, or goes elsewhere",
				&argc, &argv, -1, error))
		return FALSE;
	if (argc < 2)
		return ifpp_usage_error(error, "an argument is missing");
	add = !strcmp(argv[1], "add");
	remove = !strcmp(argv[1], "remove");
	if (!add && !remove && strcmp(argv[1], "list"))
		return ifpp_usage_error(error, "token: say token add, token list or token remove");
	if (!dir || add != !!url || argc != (remove ? 3 : 2))
		return ifpp_usage_error(error, "--home is needed, --key for add, and a token's name for remove");
	home = home_open(dir, error);
	if (!home)
		return FALSE;
	if (remove)
		return tokens_remove(home, argv[2], error);
	return add ? tokens_add(home, url, module, pin_file, error) : tokens_list(home, pin_file, json, exit_code, error);
}

/* No core dump, no swap: clear profiles and one-time secrets pass through this process. */
static void keep_secrets(void)
{
	const struct rlimit none = {}, all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	/* under a limit, locking would make later allocations fail */
	if (setrlimit(RLIMIT_MEMLOCK, &all) < 0 || mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		g_info("memory stays swappable: %s", g_strerror(errno));
}

static gboolean profile_minimal(int argc, char **argv, GError **error)
{
	g_autofree char *out = NULL;
	GOptionEntry entries[] = {
		{ "out", 0, 0, G_OPTION_ARG_FILENAME, &out, "Where the profile goes", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	GByteArray *upp;
	gboolean ok;

	if (!ifpp_options_parse(entries, NULL,
				"Writes the profile that seal takes if none is given: MF, USIM, ISIM, PINs, and the test algorithm with\n"
				"its published key.", &argc, &argv, 0, error))
		return FALSE;
	if (!out)
		return ifpp_usage_error(error, "--out is needed");
	upp = profile_builtin(0, error);
	ok = upp && ifpp_file_write(out, upp->data, upp->len, 0600, error);
	ifpp_secret_free(upp);
	return ok;
}

static gboolean parse_word(const char *text, const char *const *words, const char *what, int *out, GError **error)
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(text, words[i])) {
			*out = i;
			return TRUE;
		}
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s %s: not known", what, text);
	return FALSE;
}

static gboolean cmd_profile(int argc, char **argv, int *exit_code, GError **error)
{
	static const char *const classes[] = { "operational", "test", NULL };
	g_autofree char *template = NULL, *records = NULL, *out = NULL, *class = NULL, *module = NULL, *pin_file = NULL;
	g_auto(GStrv) column_keys = NULL;
	GenerateOptions options = {};
	GOptionEntry entries[] = {
		{ "template", 0, 0, G_OPTION_ARG_FILENAME, &template, "Clear profile in DER to start from", "FILE" },
		{ "records", 0, 0, G_OPTION_ARG_FILENAME, &records, "CSV: columns ICCID, IMSI, Ki, OPc and more", "FILE" },
		{ "class", 0, 0, G_OPTION_ARG_STRING, &class, "operational, or test: published keys are fine (operational)",
		  "CLASS" },
		{ "short-imsi", 0, 0, G_OPTION_ARG_NONE, &options.short_imsi, "IMSIs may have less than 15 digits", NULL },
		{ "leave-out", 0, 0, G_OPTION_ARG_NONE, &options.leave_out, "Name the records that are wrong, and make the others", NULL },
		{ "no-check-digit", 0, 0, G_OPTION_ARG_NONE, &options.no_check_digit, "ICCIDs of 18 digits are whole", NULL },
		{ "column-key", 0, 0, G_OPTION_ARG_STRING_ARRAY, &column_keys,
		  "A column is encrypted: by which AES key in a token", "COLUMN=pkcs11:URL#KCV" },
		{ "module", 0, 0, G_OPTION_ARG_FILENAME, &module, "PKCS#11 module that p11-kit does not know", "FILE" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the PIN of column keys' tokens", "FILE" },
		{ "out", 0, 0, G_OPTION_ARG_FILENAME, &out, "Where the profiles go", "DIR" },
		G_OPTION_ENTRY_NULL
	};
	guint count;
	int word = 0;

	if (argc < 2 || (strcmp(argv[1], "build") && strcmp(argv[1], "minimal")))
		return ifpp_usage_error(error, "profile: say profile build or profile minimal");
	if (!strcmp(argv[1], "minimal")) {
		argv[1] = argv[0];
		return profile_minimal(argc - 1, argv + 1, error);
	}
	argv[1] = argv[0];
	argc--;
	argv++;
	if (!ifpp_options_parse(entries, NULL,
				"Writes DIR/ICCID.der for each record. They are secret: seal them, then delete them.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!template || !records || !out)
		return ifpp_usage_error(error, "--template, --records and --out are needed");
	if (class && !parse_word(class, classes, "--class", &word, error))
		return FALSE;
	keep_secrets();
	options.template = template;
	options.records = records;
	options.out = out;
	options.test = word;
	options.column_keys = column_keys;
	if (column_keys && !token_init(module, pin_file, error))
		return FALSE;
	if (!generate_profiles(&options, &count, exit_code, error))
		return FALSE;
	printf("%u profiles in %s\n", count, out);
	return TRUE;
}

static gboolean cmd_protect(int argc, char **argv, int *exit_code, GError **error)
{
	static const char *const classes[] = { "operational", "test", NULL };
	g_autofree char *dir = NULL, *pin_file = NULL, *out = NULL, *class = NULL;
	g_auto(GStrv) upp = NULL;
	int word = 0;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the token's PIN", "FILE" },
		{ "upp", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &upp, "Clear profile in DER, or a directory of *.der",
		  "FILE" },
		{ "out", 0, 0, G_OPTION_ARG_FILENAME, &out, "Where the protected profiles go", "DIR" },
		{ "class", 0, 0, G_OPTION_ARG_STRING, &class, "operational, or test: published keys are fine (operational)",
		  "CLASS" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;
	guint count;

	if (!ifpp_options_parse(entries, NULL,
				"Writes DIR/ICCID.ppp for each profile, for ifpp-smdpf seal --protected. Only the token can\n"
				"open them: the clear profiles may be deleted.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!dir || !upp || !out)
		return ifpp_usage_error(error, "--home, --upp and --out are needed");
	if (class && !parse_word(class, classes, "--class", &word, error))
		return FALSE;
	keep_secrets();
	home = home_open(dir, error);
	if (!home || !protect_profiles(home, pin_file, upp, out, word, &count, error))
		return FALSE;
	printf("%u protected profiles in %s\n", count, out);
	return TRUE;
}

static gboolean cmd_requester(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, "CERT",
				"From now on, requests must be signed with this certificate's key, or with that of another one\n"
				"named so. A report must be signed likewise (verify-report --signature).",
				&argc, &argv, 1, error))
		return FALSE;
	if (!dir)
		return ifpp_usage_error(error, "--home is needed");
	home = home_open(dir, error);
	if (!home || !requester_add(home, argv[1], error))
		return FALSE;
	printf("%s: takes requests and reports that %s has signed\n", dir, argv[1]);
	return TRUE;
}

static gboolean cmd_import(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *name = NULL;
	gboolean json = FALSE;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "name", 0, 0, G_OPTION_ARG_STRING, &name, "What to call it (its order, or the file's name)", "NAME" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &json, "One JSON object per chip", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, "REQUEST",
				"Verifies a request that ifppctl request wrote, proves every chip in it, and keeps their data for\n"
				"ifpp-smdpf seal --request NAME. Run it again to finish what was interrupted.",
				&argc, &argv, 1, error))
		return FALSE;
	if (!dir)
		return ifpp_usage_error(error, "--home is needed");
	home = home_open(dir, error);
	return home && home_load_trust(home, error) && request_import(home, argv[1], name, json, exit_code, error);
}

/* For each process that seals. */
static gboolean open_keys(Home *home, gboolean spare, BindKeys *keys, gpointer with_wrap, GError **error)
{
	keep_secrets();
	if (spare) {
		cryptoki_spare();
		pool_quiet();
	}
	if (with_wrap)
		keys->unwrap = protected_wraps(home);
	keys->key = pool_open(home, FALSE, error);
	return keys->key != NULL;
}

static gboolean next_key(Home *home, BindKeys *keys, GError **error)
{
	gnutls_privkey_deinit(keys->key);
	keys->key = pool_open(home, TRUE, error);
	return keys->key != NULL;
}

static void close_keys(gpointer with_wrap)
{
	token_deinit();
}

/* Before anybody is asked for a PIN. */
static gboolean check_builtin(ProfileClass class, GError **error)
{
	GByteArray *upp = profile_builtin(0, error);
	gboolean ok = upp && profile_check_class((IfppSpan){ upp->data, upp->len }, class, error);

	ifpp_secret_free(upp);
	if (!ok)
		g_prefix_error(error, "without --upp: ");
	return ok;
}

static gboolean cmd_seal(int argc, char **argv, int *exit_code, GError **error)
{
	static const char *const classes[] = { "test", "provisioning", "operational", NULL };
	static const char *const modes[] = { "ppk", "session", NULL };
	g_autofree char *dir = NULL, *pin_file = NULL, *spn = NULL, *name = NULL, *class = NULL, *mode = NULL;
	g_autofree char *order = NULL, *out = NULL, *rules = NULL, *request = NULL, *assign = NULL, *metadata = NULL;
	g_autoptr(Metadata) more = NULL;
	g_auto(GStrv) euicc = NULL, upp = NULL, protected = NULL;
	BindOptions options = { .count = 1 };
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the token's PIN", "FILE" },
		{ "euicc", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &euicc, "eUICC data of a chip, or a directory of *.euicc",
		  "FILE" },
		{ "request", 0, 0, G_OPTION_ARG_STRING, &request,
		  "The chips of this request instead, and its name as --order", "NAME" },
		{ "upp", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &upp,
		  "Clear profile in DER, or a directory of *.der; default: a built-in minimal one", "FILE" },
		{ "protected", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &protected,
		  "Protected profile, or a directory of *.ppp, instead of --upp", "FILE" },
		{ "rules", 0, 0, G_OPTION_ARG_FILENAME, &rules, "Which chips may have it", "FILE" },
		{ "assign", 0, 0, G_OPTION_ARG_FILENAME, &assign, "Which chip gets which profile: CSV, columns eid and iccid",
		  "FILE" },
		{ "count", 0, 0, G_OPTION_ARG_INT, &options.count, "Packages for each chip (1)", "N" },
		{ "spn", 0, 0, G_OPTION_ARG_STRING, &spn, "Service provider's name (IFPP)", "NAME" },
		{ "profile-name", 0, 0, G_OPTION_ARG_STRING, &name, "Profile's name (from its header)", "NAME" },
		{ "metadata", 0, 0, G_OPTION_ARG_FILENAME, &metadata, "Owner, policy rules, notification addresses, icon", "FILE" },
		{ "class", 0, 0, G_OPTION_ARG_STRING, &class, "operational, test or provisioning (operational; of the built-in profile test)", "CLASS" },
		{ "mode", 0, 0, G_OPTION_ARG_STRING, &mode, "ppk or session keys (ppk)", "MODE" },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order, "Tells apart orders that are otherwise alike", "NAME" },
		{ "out", 0, 0, G_OPTION_ARG_FILENAME, &out, "Where the packages go besides the home, each in a file", "DIR" },
		{ "jobs", 0, 0, G_OPTION_ARG_INT, &options.jobs,
		  "Processes side by side, each with a session with the token (one for each core)", "N" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "One JSON object per package", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;
	int word = 0;

	if (!ifpp_options_parse(entries, NULL,
				"Seals profiles to chips, each to a one-time key that has never been used. The same order\n"
				"again gives the same packages: run it again after an interruption.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!dir || !euicc == !request)
		return ifpp_usage_error(error, "--home, and one of --euicc and --request are needed");
	if (options.count < 1 || options.count > COUNT_MAX)
		return ifpp_usage_error(error, "--count: not from 1 to 256");
	if (options.jobs < 0 || options.jobs > JOBS_MAX)
		return ifpp_usage_error(error, "--jobs: not from 1 to 256");
	if (spn && (strlen(spn) > 32 || !g_utf8_validate(spn, -1, NULL)))
		return ifpp_usage_error(error, "--spn: not 32 bytes of UTF-8 at most");
	if (order && !ifpp_bundle_text_valid(order))
		return ifpp_usage_error(error, "--order: not 1 to 64 bytes of printable UTF-8");
	if (name && (strlen(name) > 64 || !g_utf8_validate(name, -1, NULL)))
		return ifpp_usage_error(error, "--profile-name: not 64 bytes of UTF-8 at most");
	if (class) {
		if (!parse_word(class, classes, "--class", &word, error))
			return FALSE;
		options.class = word;
	} else {
		options.class = upp || protected ? PROFILE_OPERATIONAL : PROFILE_TEST;
	}
	if (!upp && !protected && !check_builtin(options.class, error))
		return FALSE;
	if (mode) {
		if (!parse_word(mode, modes, "--mode", &word, error))
			return FALSE;
		options.session_keys = word;
	}
	if (protected && (upp || options.session_keys))
		return ifpp_usage_error(error, "--protected: goes neither with --upp nor with --mode session");
	options.protected = protected;
	options.upp = upp;
	if (assign && ((!upp && !protected) || options.count != 1))
		return ifpp_usage_error(error, "--assign: needs --upp or --protected, and one package for each chip");
	options.rules = rules;
	options.assign = assign;
	options.spn = spn ? spn : "IFPP";
	options.profile_name = name;
	if (metadata && !(more = metadata_load(metadata, error)))
		return FALSE;
	options.metadata = more;
	options.order = order;
	options.out = out;
	options.anchored = TRUE;

	keep_secrets();
	home = home_open(dir, error);
	if (!home || !home_load_trust(home, error) || !home_check_chain(home, error))
		return FALSE;
	if (request) {
		euicc = g_new0(char *, 2);
		euicc[0] = request_dir(home, request, error);
		if (!euicc[0])
			return FALSE;
		options.order = order ? order : request;
	}
	options.euicc = euicc;
	options.open = open_keys;
	options.next = next_key;
	options.close = close_keys;
	options.open_user = protected;
	/* asked for here: the processes have no terminal of their own */
	return pool_start(home, pin_file, error) && pool_ask(home, error) &&
	       jobs_seal(home, &options, exit_code, error);
}

static gboolean cmd_export(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *pin_file = NULL, *order = NULL, *out = NULL;
	gboolean all = FALSE;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the token's PIN", "FILE" },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order, "What was sealed with this --order", "NAME" },
		{ "all", 0, 0, G_OPTION_ARG_NONE, &all, "Every package that has no result yet", NULL },
		{ "out", 0, 0, G_OPTION_ARG_FILENAME, &out, "The delivery to write", "FILE" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, NULL,
				"Writes sealed packages and a signed inventory into one file, for ifppctl import. Packages\n"
				"whose result is known are left out. The same again leaves the file as it is.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!dir || !out || !order == !all)
		return ifpp_usage_error(error, "--home, --out, and one of --order and --all are needed");
	if (order && !ifpp_bundle_text_valid(order))
		return ifpp_usage_error(error, "--order: not 1 to 64 bytes of printable UTF-8");
	home = home_open(dir, error);
	return home && home_load_trust(home, error) && home_check_chain(home, error) &&
	       export_delivery(home, order, out, pin_file, exit_code, error);
}

static gboolean cmd_verify_report(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *signature = NULL, *order = NULL;
	ReportOptions options = {};
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "One JSON object per line", NULL },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order,
		  "Account for the packages of this order (those that the report is about)", "NAME" },
		{ "signature", 0, 0, G_OPTION_ARG_FILENAME, &signature, "The factory's signature over the report, CMS in DER",
		  "FILE" },
		{ "complete", 0, 0, G_OPTION_ARG_NONE, &options.complete, "Also fail when a package is not installed", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, "REPORT",
				"Verifies every result and lock receipt with the chip's own certificate.",
				&argc, &argv, 1, error))
		return FALSE;
	if (!dir)
		return ifpp_usage_error(error, "--home is needed");
	home = home_open(dir, error);
	options.signature = signature;
	options.order = order;
	if (!home || !home_load_trust(home, error))
		return FALSE;
	/* Chips signed when they were loaded: what has run out since does not undo it. Revocation does. */
	ifpp_trust_set_time(home->trust, -1);
	return report_verify(home, argv[1], &options, exit_code, error);
}

static gboolean cmd_extract(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *operator = NULL, *order = NULL;
	gboolean csv = FALSE, json = FALSE;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "operator", 0, 0, G_OPTION_ARG_STRING, &operator, "Whose, as its profiles were sealed with --spn", "NAME" },
		{ "order", 0, 0, G_OPTION_ARG_STRING, &order, "What was sealed with this --order alone", "NAME" },
		{ "csv", 0, 0, G_OPTION_ARG_NONE, &csv, "CSV with a header (it is)", NULL },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &json, "One JSON object per package", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, NULL,
				"Writes a line for each package of one operator, and of nobody else: chip, profile, state, the unit\n"
				"by the factory's word, and the hash of the result that proves it. Run verify-report before.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!dir || (!operator && !order))
		return ifpp_usage_error(error, "--home, and --operator or --order or both are needed");
	if (csv && json)
		return ifpp_usage_error(error, "--csv or --json: not both");
	home = home_open(dir, error);
	return home && extract_write(home, operator, order, json, error);
}

static gboolean cmd_ledger(int argc, char **argv, int *exit_code, GError **error)
{
	static const char *const words[] = { "check", "backup", "migrate", "adopt", NULL };
	enum { CHECK, BACKUP, MIGRATE, ADOPT };
	g_autofree char *dir = NULL, *pin_file = NULL, *out = NULL;
	g_auto(GStrv) packages = NULL;
	gboolean offline = FALSE;
	gint64 accept = 0;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the token's PIN", "FILE" },
		{ "offline", 0, 0, G_OPTION_ARG_NONE, &offline, "check: without the token", NULL },
		{ "out", 0, 0, G_OPTION_ARG_FILENAME, &out, "backup: where it goes", "FILE" },
		{ "packages", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &packages, "adopt: released packages elsewhere, or the home of another host", "DIR" },
		{ "accept", 0, 0, G_OPTION_ARG_INT64, &accept,
		  "adopt: so many packages may stay unknown; their ICCIDs may be sealed again", "N" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;
	int word;

	if (!ifpp_options_parse(entries, "check|backup|migrate|adopt",
				"check    holds every event and entry of the ledger against each other and the token\n"
				"backup   copies it, while others may be at work\n"
				"migrate  takes over the text file that it was before\n"
				"adopt    makes one that was lost, or is old or altered, as whole as packages, journal and token prove",
				&argc, &argv, 1, error) ||
	    !parse_word(argv[1], words, "ledger", &word, error))
		return FALSE;
	if (!dir || (word == BACKUP && !out))
		return ifpp_usage_error(error, "--home is needed, and --out for backup");
	home = home_open(dir, error);
	if (!home)
		return FALSE;
	if (word == BACKUP)
		return recover_backup(home, out, error);
	if (word == CHECK && offline)
		return recover_check(home, FALSE, error);
	if (!pool_start(home, pin_file, error))
		return FALSE;
	if (word == CHECK)
		return recover_check(home, TRUE, error);
	return word == MIGRATE ? migrate_ledger(home, error) : adopt_ledger(home, packages, accept, error);
}

/* A reason is a line that people read later, on terminals too. */
static gboolean check_reason(const char *text, const char *option, GError **error)
{
	if (text && ifpp_bundle_text_valid(text))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s is needed: 1 to 64 bytes of printable UTF-8", option);
	return FALSE;
}

static gboolean cmd_order(int argc, char **argv, int *exit_code, GError **error)
{
	static const char *const words[] = { "list", "show", "cancel", "resume", NULL };
	enum { LIST, SHOW, CANCEL, RESUME };
	g_autofree char *dir = NULL, *reason = NULL, *pin_file = NULL;
	gboolean json = FALSE, yes = FALSE;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "cancel, resume: file with the token's PIN", "FILE" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &json, "list, show: one JSON object per line", NULL },
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "cancel, resume: why; the ledger keeps it", "TEXT" },
		{ "yes", 0, 0, G_OPTION_ARG_NONE, &yes, "cancel: do not ask", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;
	int word;

	if (!ifpp_options_parse(entries, "list|show|cancel|resume [ORDER]",
				"list     every order: class, ICCIDs, what became of them, since when, last event\n"
				"show     each ICCID of one\n"
				"cancel   seals it no more; its free ICCIDs stay out of use\n"
				"resume   takes it up again\n"
				"ORDER is its --order name, or its id as list shows it.",
				&argc, &argv, -1, error))
		return FALSE;
	if (argc < 2)
		return ifpp_usage_error(error, "an argument is missing");
	if (!parse_word(argv[1], words, "order", &word, error))
		return FALSE;
	if (argc != (word == LIST ? 2 : 3))
		return ifpp_usage_error(error, "list has no argument, the others have an order");
	if (!dir)
		return ifpp_usage_error(error, "--home is needed");
	if (word >= CANCEL && !check_reason(reason, "--reason", error))
		return FALSE;
	home = home_open(dir, error);
	if (!home)
		return FALSE;
	if (word == LIST)
		return order_list(home, json, error);
	if (word == SHOW)
		return order_show(home, argv[2], json, error);
	return pool_start(home, pin_file, error) && order_cancel(home, argv[2], word == CANCEL, reason, yes, error);
}

static gboolean cmd_void(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL, *reason = NULL, *proof = NULL, *name = NULL, *pin_file = NULL;
	g_auto(GStrv) packages = NULL;
	VoidOptions options = {};
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		{ "pin-file", 0, 0, G_OPTION_ARG_FILENAME, &pin_file, "File with the token's PIN", "FILE" },
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Why; the ledger keeps it", "TEXT" },
		{ "proof", 0, 0, G_OPTION_ARG_FILENAME, &proof, "A report with what the chip has signed", "REPORT" },
		{ "word", 0, 0, G_OPTION_ARG_STRING, &name, "Whose word it is, instead of --proof", "NAME" },
		{ "packages", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &packages, "Released packages elsewhere, to be removed too", "DIR" },
		{ "yes", 0, 0, G_OPTION_ARG_NONE, &options.yes, "Do not ask", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, "ICCID...",
				"Frees ICCIDs whose keys have no result: by what their chips have signed (a failed load, or a lock\n"
				"with every other spent key accounted for), or on somebody's word. The keys stay used for ever.",
				&argc, &argv, -1, error))
		return FALSE;
	if (!dir || argc < 2 || !proof == !name)
		return ifpp_usage_error(error, "--home, an ICCID, and one of --proof and --word are needed");
	if (!check_reason(reason, "--reason", error) || (name && !check_reason(name, "--word", error)))
		return FALSE;
	home = home_open(dir, error);
	if (!home || !home_load_trust(home, error))
		return FALSE;
	ifpp_trust_set_time(home->trust, -1);
	options.iccids = argv + 1;
	options.reason = reason;
	options.proof = proof;
	options.word = name;
	options.packages = packages;
	return pool_start(home, pin_file, error) && void_iccids(home, &options, error);
}

static gboolean cmd_prune(int argc, char **argv, int *exit_code, GError **error)
{
	g_autofree char *dir = NULL;
	GOptionEntry entries[] = {
		{ "home", 0, 0, G_OPTION_ARG_FILENAME, &dir, "The Key Maker's home", "DIR" },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(Home) home = NULL;

	if (!ifpp_options_parse(entries, NULL,
				"Deletes the home's copies of packages whose chips have proven what became of them.",
				&argc, &argv, 0, error))
		return FALSE;
	if (!dir)
		return ifpp_usage_error(error, "--home is needed");
	home = home_open(dir, error);
	return home && recover_prune(home, error);
}

static const IfppCommand commands[] = {
	{ "init", cmd_init },
	{ "certificate", cmd_certificate },
	{ "token", cmd_token },
	{ "profile", cmd_profile },
	{ "protect", cmd_protect },
	{ "requester", cmd_requester },
	{ "import", cmd_import },
	{ "seal", cmd_seal },
	{ "export", cmd_export },
	{ "verify-report", cmd_verify_report },
	{ "order", cmd_order },
	{ "void", cmd_void },
	{ "extract", cmd_extract },
	{ "ledger", cmd_ledger },
	{ "prune", cmd_prune },
	{ NULL, NULL },
};

static int fail(const GError *error)
{
	return ifpp_error_exit(PROGRAM, error);
}

int main(int argc, char **argv)
{
	int exit_code;

	setlocale(LC_ALL, "");
	exit_code = ifpp_options_main(PROGRAM, usage, commands, fail, argc, argv);
	token_deinit();
	return ifpp_stdout_exit(PROGRAM, exit_code);
}
