// SPDX-License-Identifier: GPL-2.0-or-later
#include "token.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "cryptoki.h"
#include "error.h"
#include "file.h"

#define PIN_MAX 256
#define PIN_FILE_MAX 4096
#define PINS_MAX (2 * PIN_FILE_MAX)
#define WRAP_BITS 3072
#define ATTRIBUTE_MAX 1024

/* Lines, each ended by NUL: the PIN of every token (empty: none), then TOKEN=PIN for those with another. */
static char pins[PINS_MAX];
static gsize pins_len;
static char *own_module;
static GHashTable *modules;	/* token -> module, of those behind another */
static GError *reason;		/* of the last thing that GnuTLS was told to have failed */

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
static gboolean ask_pin(const char *label, char pin[PIN_MAX])
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

static void add_pin_line(const char *text, gsize len)
{
	if (pins_len + len + 1 > sizeof(pins))
		return;
	if (len)
		memcpy(pins + pins_len, text, len);
	pins_len += len;
	pins[pins_len++] = '\0';
}

static const char *find_pin(const char *label)
{
	gsize len = strlen(label);

	for (gsize at = 0; at < pins_len; at += strlen(pins + at) + 1)
		if (at && !strncmp(pins + at, label, len) && pins[at + len] == '=' && pins[at + len + 1])
			return pins + at + len + 1;
	return *pins ? pins : NULL;
}

static gboolean load_pin(const char *file, GError **error)
{
	char *env = getenv("IFPP_PIN");
	g_autoptr(GBytes) bytes = NULL;
	const char *text = env, *from = file ? file : "IFPP_PIN";
	gsize len = 0;

	if (file) {
		bytes = ifpp_file_read(file, PIN_FILE_MAX, error);
		if (!bytes) {
			g_prefix_error(error, "PIN: ");
			return FALSE;
		}
		text = g_bytes_get_data(bytes, &len);
	} else if (env) {
		len = MIN(strlen(env), PIN_FILE_MAX);
	}
	pins_len = 0;
	for (gsize i = 0; i < len || !pins_len;) {
		gsize line = i;

		while (i < len && text[i] && text[i] != '\n' && text[i] != '\r')
			i++;
		add_pin_line(text + line, i - line);
		i++;
	}
	if (bytes && len)
		gnutls_memset((void *)text, 0, len);
	if (env) {
		gnutls_memset(env, 0, strlen(env));
		unsetenv("IFPP_PIN");
	}
	if ((!file && !env) || (*pins && strlen(pins) < PIN_MAX))
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN, "%s: holds no PIN", from);
	return FALSE;
}

gboolean token_init(const char *module, const char *pin_file, GError **error)
{
	if (!load_pin(pin_file, error))
		return FALSE;
	g_free(own_module);
	own_module = g_strdup(module);
	return TRUE;
}

void token_set_module(const char *url, const char *module)
{
	if (!modules)
		modules = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(modules, token_label(url), g_strdup(module));
}

void token_deinit(void)
{
	cryptoki_close();
	gnutls_memset(pins, 0, sizeof(pins));
	pins_len = 0;
	g_clear_pointer(&own_module, g_free);
	g_clear_pointer(&modules, g_hash_table_unref);
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

const char *token_module(const char *label)
{
	gpointer module;

	return modules && g_hash_table_lookup_extended(modules, label, NULL, &module) ? module : own_module;
}

const char *token_pin(const char *label, GError **error)
{
	const char *known = find_pin(label);
	char pin[PIN_MAX] = "";

	if (!known && ask_pin(label, pin)) {
		g_autofree char *name = g_strdup_printf("%s=", label);

		add_pin_line(name, strlen(name));
		pins_len--;
		add_pin_line(pin, strlen(pin));
		known = find_pin(label);
	}
	gnutls_memset(pin, 0, sizeof(pin));
	if (!known)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIN,
			    "token %s: no PIN given, and no terminal to ask on (--pin-file, IFPP_PIN)", label);
	return known;
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

/* ------------------------------------------------------------ keys */

/* A key in the token. Its handles hold as long as the session does. */
typedef struct {
	char *label;		/* of the token */
	char *object;		/* of the key */
	CK_OBJECT_HANDLE handle;
	guint generation;	/* of the session that the handle is of */
	gboolean found, sensitive, kept, rsa;
	GByteArray *point;	/* DER or plain, from the public half */
	GByteArray *modulus;
	const gnutls_datum_t *in;	/* to be signed */
	GByteArray *out;
} Key;

static void key_free(Key *key)
{
	g_free(key->label);
	g_free(key->object);
	g_byte_array_unref(key->point);
	g_byte_array_unref(key->modulus);
	g_byte_array_unref(key->out);
	g_free(key);
}

static Key *key_new(const char *url)
{
	Key *key = g_new0(Key, 1);

	key->label = url_attribute(url, "token");
	key->object = url_attribute(url, "object");
	key->point = g_byte_array_new();
	key->modulus = g_byte_array_new();
	key->out = g_byte_array_new();
	return key;
}

static gboolean with_session(Key *key, CryptokiOp op, GError **error)
{
	return cryptoki_run(token_module(key->label), key->label, token_pin, op, key, error);
}

static CK_RV find_object(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, const char *label,
			 CK_OBJECT_HANDLE *object, gboolean *found)
{
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_LABEL, (void *)label, strlen(label) },
	};
	CK_ULONG n = 0;
	CK_RV rv = f->C_FindObjectsInit(session, template, G_N_ELEMENTS(template));

	if (rv != CKR_OK)
		return rv;
	rv = f->C_FindObjects(session, object, 1, &n);
	f->C_FindObjectsFinal(session);
	*found = rv == CKR_OK && n == 1;
	return rv;
}

/* An attribute that a token may have for this object, or not. */
static void get_bytes(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
		      GByteArray *out)
{
	guint8 value[ATTRIBUTE_MAX];
	CK_ATTRIBUTE get = { type, value, sizeof(value) };

	if (!out->len && f->C_GetAttributeValue(session, object, &get, 1) == CKR_OK && get.ulValueLen <= sizeof(value))
		g_byte_array_append(out, value, get.ulValueLen);
}

static CK_RV find_private(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Key *key)
{
	CK_RV rv = CKR_OK;

	if (key->handle && key->generation == cryptoki_generation())
		return CKR_OK;
	key->handle = 0;
	rv = find_object(f, session, CKO_PRIVATE_KEY, key->object, &key->handle, &key->found);
	key->generation = cryptoki_generation();
	if (rv == CKR_OK && !key->found)
		key->handle = 0;
	return rv;
}

static CK_RV look(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	CK_KEY_TYPE type = CKK_EC;
	CK_BBOOL sensitive = CK_FALSE, never = CK_FALSE;
	CK_ATTRIBUTE get[] = {
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_SENSITIVE, &sensitive, sizeof(sensitive) },
		{ CKA_NEVER_EXTRACTABLE, &never, sizeof(never) },
	};
	CK_OBJECT_HANDLE public;
	gboolean has_public = FALSE;
	Key *key = user;
	CK_RV rv;

	key->handle = 0;
	rv = find_private(f, session, key);
	if (rv != CKR_OK)
		return rv;
	/* SoftHSM rewrites its files at every login of anybody: what is not there may be there in a moment. */
	if (!key->found)
		return CKR_OBJECT_HANDLE_INVALID;
	rv = f->C_GetAttributeValue(session, key->handle, get, G_N_ELEMENTS(get));
	if (rv != CKR_OK)
		return rv;
	key->sensitive = sensitive;
	key->kept = never;
	key->rsa = type == CKK_RSA;
	rv = find_object(f, session, CKO_PUBLIC_KEY, key->object, &public, &has_public);
	if (rv == CKR_OK && has_public) {
		get_bytes(f, session, public, CKA_EC_POINT, key->point);
		get_bytes(f, session, public, CKA_MODULUS, key->modulus);
	}
	get_bytes(f, session, key->handle, CKA_EC_POINT, key->point);
	get_bytes(f, session, key->handle, CKA_MODULUS, key->modulus);
	return rv;
}

static CK_RV do_sign(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	CK_MECHANISM mechanism = { CKM_ECDSA, NULL, 0 };
	guint8 sig[64];
	CK_ULONG len = sizeof(sig);
	Key *key = user;
	CK_RV rv = find_private(f, session, key);

	if (rv == CKR_OK && !key->handle)
		rv = CKR_KEY_HANDLE_INVALID;
	if (rv == CKR_OK)
		rv = f->C_SignInit(session, &mechanism, key->handle);
	if (rv == CKR_OK)
		rv = f->C_Sign(session, key->in->data, key->in->size, sig, &len);
	if (rv == CKR_OK && len != sizeof(sig))
		return CKR_GENERAL_ERROR;
	g_byte_array_set_size(key->out, 0);
	if (rv == CKR_OK)
		g_byte_array_append(key->out, sig, sizeof(sig));
	return rv;
}

/* Why the token did not do it: GnuTLS has but a number for it. */
static void keep_reason(GError *why)
{
	g_clear_pointer(&reason, g_error_free);
	reason = why;
}

const GError *token_reason(void)
{
	return reason;
}

static int sign_hash(gnutls_privkey_t priv, gnutls_sign_algorithm_t algorithm, void *user, unsigned int flags,
		     const gnutls_datum_t *hash, gnutls_datum_t *sig)
{
	gnutls_datum_t r, s;
	GError *why = NULL;
	Key *key = user;

	key->in = hash;
	if (!with_session(key, do_sign, &why)) {
		keep_reason(why);
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	r = (gnutls_datum_t){ key->out->data, 32 };
	s = (gnutls_datum_t){ key->out->data + 32, 32 };
	return gnutls_encode_rs_value(sig, &r, &s);
}

static int info(gnutls_privkey_t priv, unsigned int flags, void *user)
{
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return GNUTLS_PK_ECDSA;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return 256;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return GNUTLS_FLAGS_TO_SIGN_ALGO(flags) == GNUTLS_SIGN_ECDSA_SHA256;
	return -1;
}

static void deinit(gnutls_privkey_t priv, void *user)
{
	key_free(user);
}

static gboolean import_public(const Key *key, gnutls_pubkey_t pub)
{
	const guint8 *point = key->point->data;
	gnutls_datum_t x, y;

	/* an OCTET STRING of it, as the standard says, or as it is */
	if (key->point->len == 67 && point[0] == 0x04 && point[1] == 65)
		point += 2;
	else if (key->point->len != 65)
		return FALSE;
	x = (gnutls_datum_t){ (guint8 *)point + 1, 32 };
	y = (gnutls_datum_t){ (guint8 *)point + 33, 32 };
	return point[0] == 0x04 && gnutls_pubkey_import_ecc_raw(pub, GNUTLS_ECC_CURVE_SECP256R1, &x, &y) >= 0;
}

/* The whole point of a token: the key must be unable to leave it. */
static gboolean check_key(const Key *key, const char *url, gboolean rsa, const char *wrong, GError **error)
{
	if (key->rsa != rsa || (rsa && key->modulus->len * 8 < WRAP_BITS)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "key %s: %s", url, wrong);
		return FALSE;
	}
	if (!key->sensitive || !key->kept) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "key %s: %s; have the token generate one", url,
			    key->sensitive ? "is or was extractable from the token" : "is readable in the token");
		return FALSE;
	}
	return TRUE;
}

/* Found, and unable to leave the token. */
static Key *open_key(const char *url, gboolean rsa, const char *wrong, GError **error)
{
	GError *why = NULL;
	Key *key;

	if (!token_check_url(url, error))
		return NULL;
	key = key_new(url);
	if (with_session(key, look, &why)) {
		if (check_key(key, url, rsa, wrong, error))
			return key;
	} else {
		if (why->code == IFPP_ERROR_TOKEN && cryptoki_last() == CKR_OBJECT_HANDLE_INVALID) {
			g_clear_error(&why);
			g_set_error(&why, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: has no private key %s", key->label, key->object);
		}
		g_propagate_error(error, why);
	}
	key_free(key);
	return NULL;
}

gnutls_privkey_t token_open(const char *url, gnutls_pubkey_t *pub, GError **error)
{
	static const char wrong[] = "is not an ECDSA key on P-256";
	Key *key = open_key(url, FALSE, wrong, error);
	gnutls_privkey_t priv = NULL;

	keep_reason(NULL);
	*pub = NULL;
	if (!key)
		return NULL;
	if (gnutls_pubkey_init(pub) < 0 || gnutls_privkey_init(&priv) < 0)
		g_error("out of memory");
	if (!import_public(key, *pub))
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "key %s: %s, or its public half is not in the token", url, wrong);
	else if (gnutls_privkey_import_ext4(priv, key, NULL, sign_hash, NULL, deinit, info, 0) < 0)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_INTERNAL, "key %s: GnuTLS does not take it", url);
	else
		return priv;
	gnutls_pubkey_deinit(*pub);
	*pub = NULL;
	gnutls_privkey_deinit(priv);
	key_free(key);
	return NULL;
}

gboolean token_check_wrap(const char *url, GError **error)
{
	Key *key = open_key(url, TRUE, "is not an RSA key of 3072 bits or more", error);

	if (key)
		key_free(key);
	return key != NULL;
}

char *token_wrap_url(const char *url)
{
	g_autofree char *token = url_attribute(url, "token"), *object = url_attribute(url, "object");
	g_autofree char *t = g_uri_escape_string(token, NULL, FALSE), *o = g_uri_escape_string(object, NULL, FALSE);

	return g_strdup_printf("pkcs11:token=%s;object=%s-ppk", t, o);
}

/* ------------------------------------------------------------ making them */

static CK_RV generate_pair(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, const Key *key)
{
	static const guint8 p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
	static const guint8 f4[] = { 0x01, 0x00, 0x01 };
	CK_MECHANISM mechanism = { key->rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG bits = WRAP_BITS;
	guint8 id[8];
	CK_ATTRIBUTE public[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_LABEL, key->object, strlen(key->object) },
		{ CKA_ID, id, sizeof(id) },
		{ key->rsa ? CKA_ENCRYPT : CKA_VERIFY, &yes, sizeof(yes) },
		{ key->rsa ? CKA_MODULUS_BITS : CKA_EC_PARAMS, key->rsa ? (void *)&bits : (void *)p256,
		  key->rsa ? sizeof(bits) : sizeof(p256) },
		{ CKA_PUBLIC_EXPONENT, (void *)f4, sizeof(f4) },
	};
	CK_ATTRIBUTE private[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) },
		{ CKA_EXTRACTABLE, &no, sizeof(no) },
		{ CKA_LABEL, key->object, strlen(key->object) },
		{ CKA_ID, id, sizeof(id) },
		{ key->rsa ? CKA_DECRYPT : CKA_SIGN, &yes, sizeof(yes) },
	};
	CK_OBJECT_HANDLE a, b;

	if (gnutls_rnd(GNUTLS_RND_NONCE, id, sizeof(id)) < 0)
		return CKR_RANDOM_NO_RNG;
	return f->C_GenerateKeyPair(session, &mechanism, public, G_N_ELEMENTS(public) - !key->rsa, private,
				    G_N_ELEMENTS(private), &a, &b);
}

typedef struct {
	Key *key;
	guint missed;		/* times that it was not there */
	gboolean created;
} Generate;

/* A second key of one name would be worse than to look once more: SoftHSM rewrites its files now and then. */
static CK_RV find_or_generate(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	Generate *generate = user;
	CK_RV rv;

	generate->key->handle = 0;
	rv = find_private(f, session, generate->key);
	if (rv != CKR_OK || generate->key->found)
		return rv;
	if (++generate->missed < 4)
		return CKR_OBJECT_HANDLE_INVALID;
	cryptoki_hold_signals(TRUE);
	rv = generate_pair(f, session, generate->key);
	cryptoki_hold_signals(FALSE);
	generate->created = rv == CKR_OK;
	return rv;
}

static gboolean generate_key(const char *url, gboolean rsa, gboolean *created, GError **error)
{
	Generate generate = {};
	gboolean ok;

	if (!token_check_url(url, error))
		return FALSE;
	generate.key = key_new(url);
	generate.key->rsa = rsa;
	ok = cryptoki_run(token_module(generate.key->label), generate.key->label, token_pin, find_or_generate, &generate, error);
	*created = generate.created;
	key_free(generate.key);
	return ok;
}

gboolean token_generate(const char *url, gboolean *created, GError **error)
{
	return generate_key(url, FALSE, created, error);
}

gboolean token_generate_wrap(const char *url, GError **error)
{
	gboolean created;

	return generate_key(url, TRUE, &created, error);
}
