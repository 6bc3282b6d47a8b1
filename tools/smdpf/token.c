// SPDX-License-Identifier: GPL-2.0-or-later
#include "token.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/pkcs11.h>

#include "cryptoki.h"
#include "error.h"
#include "file.h"

#define PIN_MAX 256
#define WRAP_BITS 3072
#define TRIES 8

static char pin[PIN_MAX];
static gboolean have_pin, pin_refused, pin_missing;
static char *own_module;
static gboolean opened;		/* a key is in use: the module must stay */

static struct termios shown;	/* the terminal, while it does not show what is typed */
static int terminal = -1;

/* ^C at the question must not leave a terminal behind that shows nothing. */
static void show_again(int number)
{
	tcsetattr(terminal, TCSAFLUSH, &shown);
	raise(number);
}

static void set_signals(void (*handler)(int number))
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESETHAND };

	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

/* Read a line from the terminal without showing it. */
static gboolean ask_pin(const char *label)
{
	struct termios quiet;
	gboolean ok = FALSE;
	gsize len = 0;
	int fd;

	fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return FALSE;
	if (tcgetattr(fd, &shown) == 0) {
		quiet = shown;
		terminal = fd;
		set_signals(show_again);
		quiet.c_lflag &= ~(ECHO | ECHONL);
		dprintf(fd, "PIN of token %s: ", label);
		tcsetattr(fd, TCSAFLUSH, &quiet);
		while (len < PIN_MAX - 1 && read(fd, pin + len, 1) == 1 && pin[len] != '\n')
			len++;
		pin[len] = '\0';
		tcsetattr(fd, TCSAFLUSH, &shown);
		set_signals(SIG_DFL);
		dprintf(fd, "\n");
		ok = len > 0;
	}
	close(fd);
	return ok;
}

static int pin_callback(void *user, int attempt, const char *url, const char *label, unsigned int flags, char *out,
			size_t out_max)
{
	/* A second question means that the first answer was wrong. Tokens lock: never repeat it. */
	if (attempt > 0 || (have_pin && flags & GNUTLS_PIN_WRONG)) {
		pin_refused = TRUE;
		return -1;
	}
	if (!have_pin)
		have_pin = ask_pin(label);
	if (!have_pin) {
		pin_missing = TRUE;
		return -1;
	}
	if (strlen(pin) >= out_max) {
		pin_refused = TRUE;
		return -1;
	}
	strcpy(out, pin);
	return 0;
}

static gboolean load_pin(const char *file, GError **error)
{
	char *env = getenv("IFPP_PIN");
	g_autoptr(GBytes) bytes = NULL;
	const char *text = env;
	gsize len = 0;

	if (file) {
		bytes = ifpp_file_read(file, 4096, error);
		if (!bytes) {
			g_prefix_error(error, "PIN: ");
			return FALSE;
		}
		text = g_bytes_get_data(bytes, &len);
		for (gsize i = 0; i < len; i++)
			if (text[i] == '\n' || text[i] == '\r')
				len = i;
	} else if (env) {
		len = strlen(env);
	} else {
		return TRUE;
	}
	if (len && len < PIN_MAX) {
		memcpy(pin, text, len);
		pin[len] = '\0';
		have_pin = TRUE;
	}
	if (bytes && g_bytes_get_size(bytes))
		gnutls_memset((void *)g_bytes_get_data(bytes, NULL), 0, g_bytes_get_size(bytes));
	if (env) {
		gnutls_memset(env, 0, strlen(env));
		unsetenv("IFPP_PIN");
	}
	if (!have_pin)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "%s: holds no PIN", file ? file : "IFPP_PIN");
	return have_pin;
}

static int start(void)
{
	int ret = gnutls_pkcs11_init(own_module ? GNUTLS_PKCS11_FLAG_MANUAL : GNUTLS_PKCS11_FLAG_AUTO, NULL);

	if (ret >= 0 && own_module)
		ret = gnutls_pkcs11_add_provider(own_module, NULL);
	gnutls_pkcs11_set_pin_function(pin_callback, NULL);
	return ret;
}

gboolean token_init(const char *module, const char *pin_file, GError **error)
{
	int ret;

	if (!load_pin(pin_file, error))
		return FALSE;
	own_module = g_strdup(module);
	ret = start();
	if (ret < 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "%s: %s", module ? module : "PKCS#11",
			    gnutls_strerror(ret));
		return FALSE;
	}
	return TRUE;
}

/*
 * SoftHSM empties and rewrites a token's file at every login. Who opens the token in that moment is told that
 * token or key are not there, or that the token has no user: look again, but never with a PIN that was refused.
 */
static gboolean once_more(int try)
{
	if (pin_refused || pin_missing || try >= TRIES)
		return FALSE;
	g_usleep(g_random_int_range(10000, 50000));
	if (!opened) {
		gnutls_pkcs11_deinit();
		start();
	}
	return TRUE;
}

void token_deinit(void)
{
	gnutls_memset(pin, 0, sizeof(pin));
	have_pin = opened = FALSE;
	cryptoki_close();
	g_clear_pointer(&own_module, g_free);
	gnutls_pkcs11_deinit();
}

/* Value of one attribute of a pkcs11: URL, unescaped. */
static char *url_attribute(const char *url, const char *name)
{
	g_auto(GStrv) parts = NULL;
	gsize len = strlen(name);

	if (!g_str_has_prefix(url, "pkcs11:"))
		return NULL;
	parts = g_strsplit_set(url + strlen("pkcs11:"), ";?&", -1);
	for (guint i = 0; parts[i]; i++)
		if (!strncmp(parts[i], name, len) && parts[i][len] == '=')
			return g_uri_unescape_string(parts[i] + len + 1, NULL);
	return NULL;
}

const char *token_module(void)
{
	return own_module;
}

const char *token_pin(const char *label, GError **error)
{
	if (!have_pin)
		have_pin = ask_pin(label);
	if (have_pin && !pin_refused)
		return pin;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "token %s: %s", label,
		    pin_refused ? "wrong PIN" : "no PIN given, and no terminal to ask on (--pin-file, IFPP_PIN)");
	return NULL;
}

char *token_label(const char *url)
{
	return url_attribute(url, "token");
}

char *token_object(const char *url)
{
	return url_attribute(url, "object");
}

gboolean token_check_url(const char *url, GError **error)
{
	g_autofree char *object = url_attribute(url, "object");
	g_autofree char *token = url_attribute(url, "token");
	g_autofree char *value = url_attribute(url, "pin-value");

	if (value) {
		gnutls_memset(value, 0, strlen(value));
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "key URL: holds a PIN for everybody to see; use --pin-file");
		return FALSE;
	}
	if (!object || !*object || !token || !*token) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "key URL %s: not of the form pkcs11:token=NAME;object=NAME", url);
		return FALSE;
	}
	return TRUE;
}

/* GnuTLS has one code for a token without the object, another for no such token. */
static gboolean not_found(int ret)
{
	return ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE || ret == GNUTLS_E_PKCS11_REQUESTED_OBJECT_NOT_AVAILBLE;
}

static gboolean token_present(const char *label)
{
	gboolean found = FALSE;
	char *url;

	for (unsigned int i = 0; !found && gnutls_pkcs11_token_get_url(i, 0, &url) >= 0; i++) {
		g_autofree char *name = url_attribute(url, "token");

		found = !g_strcmp0(name, label);
		gnutls_free(url);
	}
	return found;
}

/* One sentence for the ways in which a token refuses. */
static void refuse(int ret, const char *url, GError **error)
{
	g_autofree char *token = url_attribute(url, "token");
	g_autofree char *object = url_attribute(url, "object");

	if (pin_missing) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN,
			    "token %s: no PIN given, and no terminal to ask on (--pin-file, IFPP_PIN)", token);
		return;
	}
	if (pin_refused || ret == GNUTLS_E_PKCS11_PIN_ERROR) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "token %s: wrong PIN", token);
		return;
	}
	if (ret == GNUTLS_E_PKCS11_PIN_LOCKED) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "token %s: PIN is locked", token);
		return;
	}
	if (!token_present(token))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: not there", token);
	else if (not_found(ret))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: has no private key %s", token, object);
	else
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: %s", token, gnutls_strerror(ret));
}

/* The whole point of a token: the key must be unable to leave it. */
static gboolean check_kept(const char *url, GError **error)
{
	g_autofree char *private_url = g_strdup_printf("%s;type=private", url);
	gnutls_pkcs11_obj_t obj;
	unsigned int flags = 0;
	gboolean sensitive;
	int ret;

	ret = gnutls_pkcs11_obj_init(&obj);
	if (ret >= 0) {
		ret = gnutls_pkcs11_obj_import_url(obj, strstr(url, "type=") ? url : private_url,
						   GNUTLS_PKCS11_OBJ_FLAG_LOGIN);
		if (ret >= 0)
			ret = gnutls_pkcs11_obj_get_flags(obj, &flags);
		gnutls_pkcs11_obj_deinit(obj);
	}
	if (ret < 0) {
		refuse(ret, url, error);
		return FALSE;
	}
	sensitive = flags & GNUTLS_PKCS11_OBJ_FLAG_MARK_SENSITIVE;
	if (!sensitive || !(flags & GNUTLS_PKCS11_OBJ_FLAG_NEVER_EXTRACTABLE)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "key %s: %s; have the token generate one", url,
			    sensitive ? "is or was extractable from the token" : "is readable in the token");
		return FALSE;
	}
	return TRUE;
}

static gboolean is_p256(gnutls_pubkey_t pub)
{
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;

	return gnutls_pubkey_export_ecc_raw2(pub, &curve, NULL, NULL, 0) >= 0 && curve == GNUTLS_ECC_CURVE_SECP256R1;
}

static gboolean is_wrap(gnutls_pubkey_t pub)
{
	unsigned int bits = 0;

	return gnutls_pubkey_get_pk_algorithm(pub, &bits) == GNUTLS_PK_RSA && bits >= WRAP_BITS;
}

static gnutls_privkey_t try_key(const char *url, gnutls_pubkey_t *pub, gboolean (*right)(gnutls_pubkey_t pub),
				const char *wrong, GError **error)
{
	gnutls_privkey_t key = NULL;
	int ret;

	*pub = NULL;
	ret = gnutls_privkey_init(&key);
	if (ret >= 0)
		ret = gnutls_privkey_import_url(key, url, 0);
	if (ret >= 0)
		ret = gnutls_pubkey_init(pub);
	if (ret >= 0)
		ret = gnutls_pubkey_import_privkey(*pub, key, 0, 0);
	if (ret < 0) {
		refuse(ret, url, error);
		goto fail;
	}
	if (!right(*pub)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "key %s: %s", url, wrong);
		goto fail;
	}
	if (!check_kept(url, error))
		goto fail;
	return key;

fail:
	if (*pub)
		gnutls_pubkey_deinit(*pub);
	*pub = NULL;
	if (key)
		gnutls_privkey_deinit(key);
	return NULL;
}

static gnutls_privkey_t open_key(const char *url, gnutls_pubkey_t *pub, gboolean (*right)(gnutls_pubkey_t pub),
				 const char *wrong, GError **error)
{
	if (!token_check_url(url, error))
		return NULL;
	for (int try = 1;; try++) {
		g_autoptr(GError) why = NULL;
		gnutls_privkey_t key = try_key(url, pub, right, wrong, &why);

		opened |= key != NULL;
		if (key)
			return key;
		if (!once_more(try)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return NULL;
		}
	}
}

gnutls_privkey_t token_open(const char *url, gnutls_pubkey_t *pub, GError **error)
{
	return open_key(url, pub, is_p256, "is not an ECDSA key on P-256", error);
}

gnutls_privkey_t token_open_wrap(const char *url, gnutls_pubkey_t *pub, GError **error)
{
	gnutls_pubkey_t own = NULL;
	gnutls_privkey_t key = open_key(url, &own, is_wrap, "is not an RSA key of 3072 bits or more", error);

	if (pub)
		*pub = own;
	else if (own)
		gnutls_pubkey_deinit(own);
	return key;
}

char *token_wrap_url(const char *url)
{
	g_autofree char *token = url_attribute(url, "token"), *object = url_attribute(url, "object");
	g_autofree char *t = g_uri_escape_string(token, NULL, FALSE), *o = g_uri_escape_string(object, NULL, FALSE);

	return g_strdup_printf("pkcs11:token=%s;object=%s-ppk", t, o);
}

static gboolean generate(const char *url, gnutls_pk_algorithm_t algorithm, unsigned int bits, unsigned int usage,
			 gboolean *created, GError **error)
{
	g_autofree char *label = NULL;
	guint8 id[8];
	gnutls_datum_t cid = { id, sizeof(id) };
	int ret, try = 0;

	if (!token_check_url(url, error))
		return FALSE;
	*created = FALSE;
	/* A second key of one name would be worse than to wait a moment. */
	do {
		gnutls_privkey_t key;

		ret = gnutls_privkey_init(&key);
		if (ret >= 0) {
			ret = gnutls_privkey_import_url(key, url, 0);
			gnutls_privkey_deinit(key);
		}
		if (ret >= 0)
			return TRUE;
	} while (once_more(++try));
	if (!not_found(ret) || pin_refused || pin_missing) {
		refuse(ret, url, error);
		return FALSE;
	}
	label = url_attribute(url, "object");
	ret = gnutls_rnd(GNUTLS_RND_NONCE, id, sizeof(id));
	if (ret >= 0)
		ret = gnutls_pkcs11_privkey_generate3(url, algorithm, bits, label, &cid, 0, NULL, usage,
						      GNUTLS_PKCS11_OBJ_FLAG_LOGIN |
							      GNUTLS_PKCS11_OBJ_FLAG_MARK_PRIVATE |
							      GNUTLS_PKCS11_OBJ_FLAG_MARK_SENSITIVE);
	if (ret < 0) {
		refuse(ret, url, error);
		return FALSE;
	}
	*created = TRUE;
	return TRUE;
}

gboolean token_generate(const char *url, gboolean *created, GError **error)
{
	return generate(url, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
			GNUTLS_KEY_DIGITAL_SIGNATURE, created, error);
}

gboolean token_generate_wrap(const char *url, GError **error)
{
	gboolean created;

	/* for GnuTLS these two are CKA_ENCRYPT and CKA_DECRYPT */
	return generate(url, GNUTLS_PK_RSA, WRAP_BITS, GNUTLS_KEY_DECIPHER_ONLY | GNUTLS_KEY_ENCIPHER_ONLY,
			&created, error);
}
