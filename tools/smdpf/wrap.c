// SPDX-License-Identifier: GPL-2.0-or-later
#include "wrap.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "cryptoki.h"
#include "error.h"
#include "token.h"

#define VALUE_MAX 1024

enum { PUBLIC, PRIVATE, SECRET, KEYS };

struct _Wrap {
	char *rsa_url, *token, *rsa, *aes;	/* labels; both keys have one of their own: they are found by class too */
	WrapMethod method;
	gboolean checked[2];			/* RSA, AES: cannot leave the token */
	CK_OBJECT_HANDLE handle[KEYS];
	guint generation;			/* of the session that the handles are of */
	/* for one operation */
	WrapMethod now;
	IfppSpan in;
	GByteArray *out;
	gboolean offered[WRAP_METHODS];
	gboolean refused;			/* the method, or what is to be unwrapped */
	guint doubts, missed;
	CK_BBOOL kept, sensitive;
};

/* ------------------------------------------------------------ what the token can do */

static const struct {
	CK_MECHANISM_TYPE type;
	CK_FLAGS flags;
} mechanisms[WRAP_METHODS] = {
	[WRAP_PKCS1] = { CKM_RSA_PKCS, CKF_DECRYPT },
	[WRAP_OAEP_SHA256] = { CKM_RSA_PKCS_OAEP, CKF_ENCRYPT | CKF_DECRYPT },
	[WRAP_OAEP_SHA1] = { CKM_RSA_PKCS_OAEP, CKF_ENCRYPT | CKF_DECRYPT },
	[WRAP_AES_KW] = { CKM_AES_KEY_WRAP, CKF_WRAP | CKF_UNWRAP },
	[WRAP_AES_KWP] = { CKM_AES_KEY_WRAP_PAD, CKF_WRAP | CKF_UNWRAP },
};

static gboolean is_rsa(WrapMethod method)
{
	return method < WRAP_AES_KW;
}

static CK_RV survey(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	CK_SESSION_INFO at;
	Wrap *wrap = user;
	CK_RV rv = f->C_GetSessionInfo(session, &at);

	for (guint i = 0; rv == CKR_OK && i < WRAP_METHODS; i++) {
		CK_MECHANISM_INFO info;

		wrap->offered[i] = f->C_GetMechanismInfo(at.slotID, mechanisms[i].type, &info) == CKR_OK &&
				   (info.flags & mechanisms[i].flags) == mechanisms[i].flags;
	}
	return rv;
}

static CK_MECHANISM mechanism_of(WrapMethod method, CK_RSA_PKCS_OAEP_PARAMS *oaep)
{
	CK_MECHANISM mechanism = { mechanisms[method].type, NULL, 0 };

	if (method != WRAP_OAEP_SHA256 && method != WRAP_OAEP_SHA1)
		return mechanism;
	*oaep = (CK_RSA_PKCS_OAEP_PARAMS){
		.hashAlg = method == WRAP_OAEP_SHA256 ? CKM_SHA256 : CKM_SHA_1,
		.mgf = method == WRAP_OAEP_SHA256 ? CKG_MGF1_SHA256 : CKG_MGF1_SHA1,
		.source = CKZ_DATA_SPECIFIED,
	};
	mechanism.pParameter = oaep;
	mechanism.ulParameterLen = sizeof(*oaep);
	return mechanism;
}

/* The token has the mechanism, but not in this form, or not for this key. */
static gboolean means_unsupported(CK_RV rv)
{
	return rv == CKR_ARGUMENTS_BAD || rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID ||
	       rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_KEY_FUNCTION_NOT_PERMITTED || rv == CKR_KEY_TYPE_INCONSISTENT ||
	       rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_KEY_NOT_WRAPPABLE;
}

/* ------------------------------------------------------------ its keys */

static CK_RV find(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Wrap *wrap, guint which)
{
	CK_OBJECT_CLASS class = which == PUBLIC ? CKO_PUBLIC_KEY : which == PRIVATE ? CKO_PRIVATE_KEY : CKO_SECRET_KEY;
	char *label = which == SECRET ? wrap->aes : wrap->rsa;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_LABEL, label, strlen(label) },
	};
	CK_ULONG n = 0;
	CK_RV rv;

	if (wrap->generation != cryptoki_generation())
		memset(wrap->handle, 0, sizeof(wrap->handle));
	wrap->generation = cryptoki_generation();
	if (wrap->handle[which])
		return CKR_OK;
	rv = f->C_FindObjectsInit(session, template, G_N_ELEMENTS(template));
	if (rv != CKR_OK)
		return rv;
	rv = f->C_FindObjects(session, &wrap->handle[which], 1, &n);
	f->C_FindObjectsFinal(session);
	if (rv == CKR_OK && n == 1)
		return CKR_OK;
	wrap->handle[which] = 0;
	return rv == CKR_OK ? CKR_OBJECT_HANDLE_INVALID : rv;
}

static CK_RV generate_aes(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Wrap *wrap)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG bytes = 32;
	CK_ATTRIBUTE template[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) },
		{ CKA_EXTRACTABLE, &no, sizeof(no) },
		{ CKA_LABEL, wrap->aes, strlen(wrap->aes) },
		{ CKA_VALUE_LEN, &bytes, sizeof(bytes) },
		{ CKA_WRAP, &yes, sizeof(yes) },
		{ CKA_UNWRAP, &yes, sizeof(yes) },
	};
	CK_RV rv;

	cryptoki_hold_signals(TRUE);
	rv = f->C_GenerateKey(session, &mechanism, template, G_N_ELEMENTS(template), &wrap->handle[SECRET]);
	cryptoki_hold_signals(FALSE);
	return rv;
}

/* As for the others: looked for more than once, since a second one of a name would be worse. */
static CK_RV find_or_generate_aes(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	Wrap *wrap = user;
	CK_RV rv = find(f, session, wrap, SECRET);

	if (rv != CKR_OBJECT_HANDLE_INVALID)
		return rv;
	return ++wrap->missed < 4 ? rv : generate_aes(f, session, wrap);
}

static CK_RV look_aes(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	Wrap *wrap = user;
	CK_ATTRIBUTE get[] = {
		{ CKA_SENSITIVE, &wrap->sensitive, sizeof(wrap->sensitive) },
		{ CKA_NEVER_EXTRACTABLE, &wrap->kept, sizeof(wrap->kept) },
	};
	CK_RV rv = find(f, session, wrap, SECRET);

	return rv == CKR_OK ? f->C_GetAttributeValue(session, wrap->handle[SECRET], get, G_N_ELEMENTS(get)) : rv;
}

static gboolean with_session(Wrap *wrap, CryptokiOp op, GError **error)
{
	return cryptoki_run(token_module(wrap->token), wrap->token, token_pin, op, wrap, error);
}

/* The whole point of a token: the key must be unable to leave it. */
static gboolean check_key(Wrap *wrap, WrapMethod method, GError **error)
{
	GError *why = NULL;

	if (wrap->checked[!is_rsa(method)])
		return TRUE;
	if (is_rsa(method))
		return wrap->checked[0] = token_check_wrap(wrap->rsa_url, error);
	wrap->sensitive = wrap->kept = CK_FALSE;
	if (!with_session(wrap, look_aes, &why)) {
		if (why->code == IFPP_ERROR_TOKEN && cryptoki_last() == CKR_OBJECT_HANDLE_INVALID) {
			g_clear_error(&why);
			g_set_error(&why, IFPP_ERROR, IFPP_ERROR_TOKEN, "token %s: has no secret key %s", wrap->token, wrap->aes);
		}
		g_propagate_error(error, why);
		return FALSE;
	}
	wrap->checked[1] = wrap->sensitive && wrap->kept;
	if (!wrap->checked[1])
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN,
			    "key %s of token %s: is readable, or is or was extractable from the token; have the token generate one",
			    wrap->aes, wrap->token);
	return wrap->checked[1];
}

static gboolean make_key(Wrap *wrap, WrapMethod method, GError **error)
{
	wrap->missed = 0;
	return is_rsa(method) ? token_generate_wrap(wrap->rsa_url, error) : with_session(wrap, find_or_generate_aes, error);
}

/* ------------------------------------------------------------ wrapping and unwrapping */

/* With the RSA key of @which: PUBLIC wraps, PRIVATE unwraps. */
static CK_RV with_rsa(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Wrap *wrap, CK_MECHANISM *mechanism, guint which)
{
	gboolean out = which == PRIVATE;
	guint8 value[VALUE_MAX];
	CK_ULONG len = sizeof(value);
	CK_RV rv = find(f, session, wrap, which);

	if (rv == CKR_OK)
		rv = (out ? f->C_DecryptInit : f->C_EncryptInit)(session, mechanism, wrap->handle[which]);
	if (rv == CKR_OK)
		rv = (out ? f->C_Decrypt : f->C_Encrypt)(session, (CK_BYTE *)wrap->in.data, wrap->in.len, value, &len);
	if (rv == CKR_OK)
		g_byte_array_append(wrap->out, value, len);
	gnutls_memset(value, 0, sizeof(value));
	return rv;
}

/* A PPK while it is in the token, for AES key wrap: of this session, and readable. */
static CK_OBJECT_CLASS secret_class = CKO_SECRET_KEY;
static CK_KEY_TYPE generic_key = CKK_GENERIC_SECRET;
static CK_BBOOL on = CK_TRUE, off = CK_FALSE;
#define SESSION_SECRET                                                                                                 \
	{ CKA_CLASS, &secret_class, sizeof(secret_class) }, { CKA_KEY_TYPE, &generic_key, sizeof(generic_key) },       \
	{ CKA_TOKEN, &off, sizeof(off) }, { CKA_EXTRACTABLE, &on, sizeof(on) }

static CK_RV put_aes(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Wrap *wrap, CK_MECHANISM *mechanism)
{
	CK_ATTRIBUTE template[] = {
		SESSION_SECRET,
		{ CKA_VALUE, (void *)wrap->in.data, wrap->in.len },
	};
	CK_OBJECT_HANDLE object;
	guint8 value[VALUE_MAX];
	CK_ULONG len = sizeof(value);
	CK_RV rv = find(f, session, wrap, SECRET);

	if (rv == CKR_OK)
		rv = f->C_CreateObject(session, template, G_N_ELEMENTS(template), &object);
	if (rv != CKR_OK)
		return rv;
	rv = f->C_WrapKey(session, mechanism, wrap->handle[SECRET], object, value, &len);
	f->C_DestroyObject(session, object);
	if (rv == CKR_OK)
		g_byte_array_append(wrap->out, value, len);
	return rv;
}

static CK_RV do_put(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	Wrap *wrap = user;
	CK_MECHANISM mechanism = mechanism_of(wrap->now, &oaep);

	g_byte_array_set_size(wrap->out, 0);
	return is_rsa(wrap->now) ? with_rsa(f, session, wrap, &mechanism, PUBLIC) : put_aes(f, session, wrap, &mechanism);
}

static CK_RV take_aes(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Wrap *wrap, CK_MECHANISM *mechanism)
{
	CK_ATTRIBUTE template[] = {
		SESSION_SECRET,
		{ CKA_SENSITIVE, &off, sizeof(off) },
	};
	guint8 value[VALUE_MAX];
	CK_ATTRIBUTE get = { CKA_VALUE, value, sizeof(value) };
	CK_OBJECT_HANDLE object;
	CK_RV rv = find(f, session, wrap, SECRET);

	if (rv == CKR_OK)
		rv = f->C_UnwrapKey(session, mechanism, wrap->handle[SECRET], (CK_BYTE *)wrap->in.data, wrap->in.len, template,
				    G_N_ELEMENTS(template), &object);
	if (rv != CKR_OK)
		return rv;
	rv = f->C_GetAttributeValue(session, object, &get, 1);
	f->C_DestroyObject(session, object);
	if (rv == CKR_OK)
		g_byte_array_append(wrap->out, value, get.ulValueLen);
	gnutls_memset(value, 0, sizeof(value));
	return rv;
}

/* What was altered is no reason to log in again. Some tokens have no better word for it than for trouble: once more, then. */
static gboolean means_altered(Wrap *wrap, CK_RV rv)
{
	if (rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED)
		return ++wrap->doubts > 1;
	return rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_DATA_INVALID ||
	       rv == CKR_DATA_LEN_RANGE || rv == CKR_WRAPPED_KEY_INVALID || rv == CKR_WRAPPED_KEY_LEN_RANGE;
}

static CK_RV do_take(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	Wrap *wrap = user;
	CK_MECHANISM mechanism = mechanism_of(wrap->now, &oaep);
	CK_RV rv;

	g_byte_array_set_size(wrap->out, 0);
	rv = is_rsa(wrap->now) ? with_rsa(f, session, wrap, &mechanism, PRIVATE) : take_aes(f, session, wrap, &mechanism);
	wrap->refused = rv != CKR_OK && means_altered(wrap, rv);
	return wrap->refused ? CKR_OK : rv;
}

/* ------------------------------------------------------------ choosing */

/* Not every token says in advance what it does not do. */
static CK_RV try_method(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	g_autoptr(GByteArray) wrapped = NULL;
	const guint8 sample[WRAP_LEN] = { 1, 2, 3 };
	Wrap *wrap = user;
	CK_RV rv;

	wrap->in = IFPP_SPAN(sample);
	rv = do_put(f, session, wrap);
	if (rv == CKR_OK) {
		wrapped = g_byte_array_append(g_byte_array_new(), wrap->out->data, wrap->out->len);
		wrap->in = (IfppSpan){ wrapped->data, wrapped->len };
		rv = do_take(f, session, wrap);
	}
	if (rv == CKR_OK)
		wrap->refused |= wrap->out->len != WRAP_LEN || memcmp(wrap->out->data, sample, WRAP_LEN);
	else
		wrap->refused = means_unsupported(rv);
	return wrap->refused ? CKR_OK : rv;
}

gboolean wrap_choose(Wrap *wrap, GError **error)
{
	if (!with_session(wrap, survey, error))
		return FALSE;
	for (WrapMethod m = WRAP_OAEP_SHA256; m < WRAP_METHODS; m++) {
		if (!wrap->offered[m])
			continue;
		wrap->now = m;
		wrap->doubts = 0;
		if (!make_key(wrap, m, error) || !check_key(wrap, m, error) || !with_session(wrap, try_method, error))
			return FALSE;
		if (!wrap->refused) {
			wrap->method = m;
			return TRUE;
		}
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN,
		    "token %s: offers neither RSA-OAEP nor AES key wrap, so it cannot keep profile protection keys; seal clear profiles "
		    "(--upp), or use another token", wrap->token);
	return FALSE;
}

WrapMethod wrap_method(const Wrap *wrap)
{
	return wrap->method;
}

gboolean wrap_put(Wrap *wrap, const guint8 secret[WRAP_LEN], GByteArray *out, GError **error)
{
	wrap->now = wrap->method;
	wrap->in = (IfppSpan){ secret, WRAP_LEN };
	if (!with_session(wrap, do_put, error))
		return FALSE;
	g_byte_array_append(out, wrap->out->data, wrap->out->len);
	return TRUE;
}

gboolean wrap_take(Wrap *wrap, WrapMethod method, IfppSpan wrapped, guint8 secret[WRAP_LEN], gboolean *ok, GError **error)
{
	gboolean done;

	if (!check_key(wrap, method, error))
		return FALSE;
	wrap->now = method;
	wrap->in = wrapped;
	wrap->doubts = 0;
	done = with_session(wrap, do_take, error);
	*ok = done && !wrap->refused && wrap->out->len == WRAP_LEN;
	if (*ok)
		memcpy(secret, wrap->out->data, WRAP_LEN);
	gnutls_memset(wrap->out->data, 0, wrap->out->len);
	return done;
}

Wrap *wrap_new(const char *key_url)
{
	g_autofree char *object = token_object(key_url);
	Wrap *wrap = g_new0(Wrap, 1);

	wrap->rsa_url = token_wrap_url(key_url);
	wrap->token = token_label(key_url);
	wrap->rsa = token_object(wrap->rsa_url);
	wrap->aes = g_strdup_printf("%s-ppk-aes", object);
	wrap->out = g_byte_array_sized_new(VALUE_MAX);
	return wrap;
}

void wrap_free(Wrap *wrap)
{
	if (!wrap)
		return;
	g_free(wrap->rsa_url);
	g_free(wrap->token);
	g_free(wrap->rsa);
	g_free(wrap->aes);
	g_byte_array_unref(wrap->out);
	g_free(wrap);
}
