// SPDX-License-Identifier: GPL-2.0-or-later
/* ifpp-codec, versions 1 to 3: private-class tags FF21 to FF26 over STORE DATA. */
#include "codec.h"
#include "error.h"
#include "es10.h"

static GBytes *finish(guint32 tag, GByteArray *body)
{
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(out, tag, body->data, body->len);
	return g_byte_array_free_to_bytes(out);
}

static gboolean result(IfppTlv *outer, const char *what, guint64 *code, GError **error)
{
	IfppTlv tlv;

	if (!ifpp_tlv_find(outer->value, 0x80, &tlv)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "%s: no result in the answer", what);
		return FALSE;
	}
	return ifpp_tlv_uint(&tlv, code, error);
}

static GBytes *get_info(gboolean full)
{
	g_autoptr(GByteArray) body = g_byte_array_new();

	ifpp_tlv_put_uint(body, 0x80, full ? 1 : 0);
	return finish(IFPP_TAG_FACTORY_INFO, body);
}

static IfppFactoryInfo *parse_info(GBytes *response, GError **error)
{
	IfppTlv outer;

	if (!es10_whole(response, IFPP_TAG_FACTORY_INFO, "GetFactoryInfo", &outer, error))
		return NULL;
	return ifpp_factory_info_parse(outer.whole, error);
}

static GBytes *prepare_load(const guint8 key_id[32], GPtrArray *chain)
{
	g_autoptr(GByteArray) certs = g_byte_array_new();
	g_autoptr(GByteArray) body = g_byte_array_new();

	for (guint i = 0; i < chain->len; i++) {
		IfppSpan der = ifpp_span_bytes(chain->pdata[i]);

		g_byte_array_append(certs, der.data, der.len);
	}
	ifpp_tlv_put(body, 0x80, key_id, 32);
	ifpp_tlv_put(body, 0xa1, certs->data, certs->len);
	return finish(IFPP_TAG_PREPARE_LOAD, body);
}

static gboolean parse_prepare(GBytes *response, GError **error)
{
	/* The chip's own verdict on the chain and the key; anything else is IFPP_ERROR_CHIP. */
	static const int codes[] = { [1] = IFPP_ERROR_CHAIN,
				     [5] = IFPP_ERROR_ROLE,
				     [8] = IFPP_ERROR_UNKNOWN_KEY,
				     [9] = IFPP_ERROR_SPENT_KEY };
	IfppTlv outer;
	guint64 code;

	if (!es10_whole(response, IFPP_TAG_PREPARE_LOAD, "PrepareFactoryLoad", &outer, error) ||
	    !result(&outer, "PrepareFactoryLoad", &code, error))
		return FALSE;
	if (!code)
		return TRUE;
	g_set_error(error, IFPP_ERROR,
		    code < G_N_ELEMENTS(codes) && codes[code] ? codes[code] : IFPP_ERROR_CHIP,
		    "PrepareFactoryLoad: the chip refused with %u", (guint)code);
	return FALSE;
}

static GBytes *without_members(guint32 tag)
{
	g_autoptr(GByteArray) body = g_byte_array_new();

	return finish(tag, body);
}

/* 80 result, 81 number; @code: the result */
static gboolean parse_deleted(GBytes *response, guint32 tag, const char *what, guint *deleted, guint64 *code, GError **error)
{
	IfppTlv outer, tlv;
	guint64 n;

	if (!es10_whole(response, tag, what, &outer, error) || !result(&outer, what, code, error))
		return FALSE;
	/* 1: there was nothing to delete */
	if (*code > 1 || !ifpp_tlv_find(outer.value, 0x81, &tlv) || !ifpp_tlv_uint(&tlv, &n, NULL) || n > G_MAXUINT16) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "%s: the chip refused with %u", what, (guint)*code);
		return FALSE;
	}
	*deleted = n;
	return TRUE;
}

static GBytes *delete_keys(void)
{
	return without_members(IFPP_TAG_DELETE_KEYS);
}

static gboolean parse_delete(GBytes *response, guint *deleted, GError **error)
{
	guint64 code;

	return parse_deleted(response, IFPP_TAG_DELETE_KEYS, "DeleteOneTimeKeys", deleted, &code, error);
}

static GBytes *lock(const guint8 challenge[16])
{
	g_autoptr(GByteArray) body = g_byte_array_new();

	ifpp_tlv_put(body, 0x80, challenge, 16);
	return finish(IFPP_TAG_LOCK, body);
}

static GBytes *parse_lock(GBytes *response, GError **error)
{
	IfppTlv outer;

	if (!es10_whole(response, IFPP_TAG_LOCK, "LockFactoryServices", &outer, error))
		return NULL;
	return g_bytes_new(outer.value.data, outer.value.len);
}

static gboolean has_test(const IfppFactoryInfo *info)
{
	return info->version >= 2;
}

static GBytes *test(guint seconds, const guint8 iccid[10])
{
	g_autoptr(GByteArray) body = g_byte_array_new();

	ifpp_tlv_put_uint(body, 0x80, seconds);
	if (seconds)
		ifpp_tlv_put(body, 0x5A, iccid, 10);
	return finish(IFPP_TAG_TEST, body);
}

static gboolean parse_test(GBytes *response, GError **error)
{
	static const char *const why[] = { [1] = ": it has no such profile, or no test runs",
					   [2] = ": a profile is enabled already",
					   [5] = ": a REFRESH waits, try again" };
	IfppTlv outer;
	guint64 code;

	if (!es10_whole(response, IFPP_TAG_TEST, "TestProfile", &outer, error) ||
	    !result(&outer, "TestProfile", &code, error))
		return FALSE;
	if (!code)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "TestProfile: the chip refuses with %u%s", (guint)code,
		    code < G_N_ELEMENTS(why) && why[code] ? why[code] : "");
	return FALSE;
}

static gboolean has_rework(const IfppFactoryInfo *info)
{
	return info->version >= 3;
}

static GBytes *rework(void)
{
	return without_members(IFPP_TAG_REWORK);
}

static gboolean parse_rework(GBytes *response, guint *deleted, GError **error)
{
	guint64 code = 0;

	if (parse_deleted(response, IFPP_TAG_REWORK, "Rework", deleted, &code, error))
		return TRUE;
	if (code == 2) {
		g_clear_error(error);
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_NO_REWORK, "Rework: the chip refused with 2: a profile is enabled");
	}
	return FALSE;
}

const Codec ifpp_codec = {
	.name = "ifpp-codec",
	.get_info = get_info,
	.parse_info = parse_info,
	.prepare_load = prepare_load,
	.parse_prepare = parse_prepare,
	.delete_keys = delete_keys,
	.parse_delete = parse_delete,
	.lock = lock,
	.parse_lock = parse_lock,
	.has_test = has_test,
	.test = test,
	.parse_test = parse_test,
	.has_rework = has_rework,
	.rework = rework,
	.parse_rework = parse_rework,
};
