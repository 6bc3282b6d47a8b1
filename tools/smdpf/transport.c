// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport.h"

#include <string.h>

#include <gnutls/crypto.h>

#include "cryptoki.h"
#include "error.h"
#include "tlv.h"
#include "token.h"

#define BLOCK 16
#define FIELD_MAX 32		/* the longest key */
#define KCV_LEN 3
#define IV_BYTE 0x23

struct _Transport {
	char *column, *token, *object;
	guint8 kcv[KCV_LEN];
	CK_OBJECT_HANDLE handle;
	guint generation;		/* of the session that the handle is of */
	/* of the key, as the token has it */
	gboolean several;
	CK_BBOOL sensitive, extractable;
	guint8 has_kcv[KCV_LEN];
	gboolean tells_kcv;
	/* for one field */
	guint8 data[FIELD_MAX];
	gsize len;
};

Transport *transport_new(const char *text, GError **error)
{
	const char *equal = strchr(text, '='), *hash = strrchr(text, '#');
	g_autofree char *url = equal && hash > equal ? g_strndup(equal + 1, hash - equal - 1) : NULL;
	Transport *transport;
	guint8 kcv[KCV_LEN];

	if (!url || equal == text || !ifpp_unhex_into(hash + 1, kcv, KCV_LEN)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "column key %s: not of the form COLUMN=pkcs11:token=NAME;object=NAME#KCV, with a key check value of 6 hex digits",
			    text);
		return NULL;
	}
	if (!token_check_url(url, error))
		return NULL;
	transport = g_new0(Transport, 1);
	transport->column = g_strndup(text, equal - text);
	transport->token = token_label(url);
	transport->object = token_object(url);
	memcpy(transport->kcv, kcv, KCV_LEN);
	return transport;
}

void transport_free(Transport *transport)
{
	g_free(transport->column);
	g_free(transport->token);
	g_free(transport->object);
	gnutls_memset(transport->data, 0, sizeof(transport->data));
	g_free(transport);
}

const char *transport_column(const Transport *transport)
{
	return transport->column;
}

gboolean transport_covers(const Transport *transport, const char *name)
{
	gsize len = strlen(transport->column);

	return !g_ascii_strncasecmp(name, transport->column, len) && (!name[len] || name[len] == '-');
}

/* ------------------------------------------------------------ in the token */

static CK_RV find(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Transport *transport)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_LABEL, transport->object, strlen(transport->object) },
	};
	CK_OBJECT_HANDLE handles[2];
	CK_ULONG n = 0;
	CK_RV rv;

	if (transport->handle && transport->generation == cryptoki_generation())
		return CKR_OK;
	transport->handle = 0;
	rv = f->C_FindObjectsInit(session, template, G_N_ELEMENTS(template));
	if (rv != CKR_OK)
		return rv;
	rv = f->C_FindObjects(session, handles, 2, &n);
	f->C_FindObjectsFinal(session);
	if (rv != CKR_OK)
		return rv;
	transport->several = n > 1;
	if (!n)
		return CKR_OBJECT_HANDLE_INVALID;
	transport->handle = handles[0];
	transport->generation = cryptoki_generation();
	return CKR_OK;
}

static CK_MECHANISM cbc(guint8 iv[BLOCK], guint8 byte)
{
	memset(iv, byte, BLOCK);
	return (CK_MECHANISM){ CKM_AES_CBC, iv, BLOCK };
}

/* Some tokens let a transport key only decrypt; they know its check value themselves. */
static void read_kcv(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, Transport *transport)
{
	guint8 iv[BLOCK], zeros[BLOCK] = {}, out[BLOCK];
	CK_MECHANISM mechanism = cbc(iv, 0);
	CK_ATTRIBUTE get = { CKA_CHECK_VALUE, transport->has_kcv, KCV_LEN };
	CK_ULONG n = sizeof(out);

	if (f->C_EncryptInit(session, &mechanism, transport->handle) == CKR_OK) {
		transport->tells_kcv = f->C_Encrypt(session, zeros, BLOCK, out, &n) == CKR_OK && n == BLOCK;
		memcpy(transport->has_kcv, out, KCV_LEN);
		return;
	}
	transport->tells_kcv = f->C_GetAttributeValue(session, transport->handle, &get, 1) == CKR_OK &&
			       get.ulValueLen == KCV_LEN;
}

static CK_RV look(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	Transport *transport = user;
	CK_ATTRIBUTE get[] = {
		{ CKA_SENSITIVE, &transport->sensitive, sizeof(transport->sensitive) },
		{ CKA_EXTRACTABLE, &transport->extractable, sizeof(transport->extractable) },
	};
	CK_RV rv = find(f, session, transport);

	if (rv == CKR_OK)
		rv = f->C_GetAttributeValue(session, transport->handle, get, G_N_ELEMENTS(get));
	if (rv == CKR_OK)
		read_kcv(f, session, transport);
	return rv;
}

static CK_RV decrypt(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, gpointer user)
{
	Transport *transport = user;
	guint8 iv[BLOCK], out[FIELD_MAX];
	CK_MECHANISM mechanism = cbc(iv, IV_BYTE);
	CK_ULONG n = sizeof(out);
	CK_RV rv = find(f, session, transport);

	if (rv == CKR_OK)
		rv = f->C_DecryptInit(session, &mechanism, transport->handle);
	if (rv == CKR_OK)
		rv = f->C_Decrypt(session, transport->data, transport->len, out, &n);
	if (rv == CKR_OK && n != transport->len)
		rv = CKR_GENERAL_ERROR;
	if (rv == CKR_OK)
		memcpy(transport->data, out, n);
	gnutls_memset(out, 0, sizeof(out));
	return rv;
}

static gboolean with_session(Transport *transport, CryptokiOp op, GError **error)
{
	return cryptoki_run(token_module(transport->token), transport->token, token_pin, op, transport, error);
}

static gboolean refuse(const Transport *transport, GError **error, const char *why)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TOKEN, "key %s of token %s: %s", transport->object, transport->token, why);
	return FALSE;
}

gboolean transport_check(Transport *transport, GError **error)
{
	g_autofree char *has = NULL, *wanted = NULL, *why = NULL;
	GError *failed = NULL;

	transport->sensitive = CK_FALSE;
	transport->extractable = CK_TRUE;
	if (!with_session(transport, look, &failed)) {
		if (failed->code == IFPP_ERROR_TOKEN && cryptoki_last() == CKR_OBJECT_HANDLE_INVALID) {
			g_error_free(failed);
			return refuse(transport, error, "there is no AES key of this name");
		}
		g_propagate_error(error, failed);
		return FALSE;
	}
	if (transport->several)
		return refuse(transport, error, "there are several of this name: which one is meant?");
	if (!transport->sensitive || transport->extractable)
		return refuse(transport, error, "it can be read or extracted; import it as sensitive and not extractable");
	if (!transport->tells_kcv)
		return refuse(transport, error, "the token neither tells its check value nor encrypts with it");
	if (!memcmp(transport->has_kcv, transport->kcv, KCV_LEN))
		return TRUE;
	has = ifpp_hex(IFPP_SPAN(transport->has_kcv));
	wanted = ifpp_hex(IFPP_SPAN(transport->kcv));
	why = g_strdup_printf("its check value is %s, not %s: it is another key than the one that the records are encrypted with", has,
			      wanted);
	return refuse(transport, error, why);
}

char *transport_decrypt(Transport *transport, const char *text, GError **error)
{
	char *clear = NULL;

	transport->len = strlen(text) / 2;
	if (!transport->len || transport->len > FIELD_MAX || transport->len % BLOCK ||
	    !ifpp_unhex_into(text, transport->data, transport->len)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE,
			    "not whole blocks of AES: 32 or 64 hex digits, as pySim's csv-encrypt-columns.py writes them");
		return NULL;
	}
	if (with_session(transport, decrypt, error))
		clear = ifpp_hex((IfppSpan){ transport->data, transport->len });
	gnutls_memset(transport->data, 0, sizeof(transport->data));
	return clear;
}
