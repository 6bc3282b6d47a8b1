// SPDX-License-Identifier: LGPL-2.1-or-later
#include "eim.h"

#include <string.h>

#include "error.h"
#include "file.h"

#define TAG_ID 0x80
#define TAG_COUNTER 0x83
#define TAG_TOKEN 0x84
#define TAG_KEY 0xA5
#define TAG_CI 0x88
#define ID_MAX 128

/* The members, in their order. */
static const guint32 order[] = { TAG_ID, 0x81, 0x82, TAG_COUNTER, TAG_TOKEN, TAG_KEY, 0xA6, 0x87, TAG_CI, 0x89, 0xAA };

static gboolean wrong(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "not the configuration of an eIM (EimConfigurationData): %s", what);
	return FALSE;
}

/* eimPublicKey A0 or eimCertificate A1, each with the content of a SEQUENCE. */
static gboolean check_key(IfppSpan value, GError **error)
{
	IfppTlv key;

	if ((!ifpp_tlv_take(&value, 0xA0, &key) && !ifpp_tlv_take(&value, 0xA1, &key)) || value.len || !key.value.len)
		return wrong(error, "eimPublicKeyData is neither a key nor a certificate");
	return TRUE;
}

gboolean ifpp_eim_parse(IfppSpan in, IfppEim *eim, GError **error)
{
	gboolean key = FALSE;
	IfppSpan rest = in;
	IfppTlv whole, tlv;
	guint next = 0;

	memset(eim, 0, sizeof(*eim));
	if (in.len > IFPP_EIM_MAX)
		return wrong(error, "it is longer than 8 KiB");
	if (!ifpp_tlv_take(&rest, 0x30, &whole) || rest.len)
		return wrong(error, "it is not one SEQUENCE");
	eim->whole = whole.whole;
	for (rest = whole.value; rest.len;) {
		if (!ifpp_tlv_next(&rest, &tlv, NULL))
			return wrong(error, "a member is cut short");
		while (next < G_N_ELEMENTS(order) && order[next] != tlv.tag)
			next++;
		if (next++ == G_N_ELEMENTS(order))
			return wrong(error, "a member is unknown, there twice, or not in its place");
		if (tlv.tag == TAG_ID)
			eim->id = tlv.value;
		else if (tlv.tag == TAG_TOKEN)
			eim->token = tlv.value;
		else if (tlv.tag == TAG_CI)
			eim->ci = tlv.value;
		else if (tlv.tag == TAG_KEY && !(key = check_key(tlv.value, error)))
			return FALSE;
	}
	if (!eim->id.len || eim->id.len > ID_MAX || memchr(eim->id.data, 0, eim->id.len) ||
	    !g_utf8_validate((const char *)eim->id.data, eim->id.len, NULL))
		return wrong(error, "its eimId is not 1 to 128 bytes of text");
	if (!key)
		return wrong(error, "it has no eimPublicKeyData, without which an eUICC cannot tell its eIM");
	return TRUE;
}

/* The next member that the eIM's operator decides; FALSE: there is none. */
static gboolean next_of(IfppSpan *in, gboolean with_ci, IfppTlv *tlv)
{
	while (in->len && ifpp_tlv_next(in, tlv, NULL))
		if (tlv->tag != TAG_COUNTER && tlv->tag != TAG_TOKEN && (with_ci || tlv->tag != TAG_CI))
			return TRUE;
	return FALSE;
}

gboolean ifpp_eim_same(const IfppEim *wanted, const IfppEim *there)
{
	IfppSpan in_a = wanted->whole, in_b = there->whole;
	gboolean with_ci = wanted->ci.len != 0, more_a, more_b;
	IfppTlv a, b;

	if (!ifpp_tlv_take(&in_a, 0x30, &a) || !ifpp_tlv_take(&in_b, 0x30, &b))
		return FALSE;
	in_a = a.value;
	in_b = b.value;
	do {
		more_a = next_of(&in_a, with_ci, &a);
		more_b = next_of(&in_b, with_ci, &b);
		if (more_a != more_b || (more_a && !ifpp_span_equal(a.whole, b.whole)))
			return FALSE;
	} while (more_a);
	return TRUE;
}

char *ifpp_eim_name(const IfppEim *eim)
{
	g_autofree char *text = g_strndup((const char *)eim->id.data, eim->id.len);

	return g_strescape(text, NULL);
}

/* Base64 with white space, as people send it by mail. NULL: it is something else. */
static GBytes *from_base64(GBytes *file)
{
	g_autofree char *text = g_strndup(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
	g_autofree guchar *data = NULL;
	gsize n = 0, len;

	if (strlen(text) != g_bytes_get_size(file))
		return NULL;
	for (const char *c = text; *c; c++) {
		if (g_ascii_isspace(*c))
			continue;
		if (!g_ascii_isalnum(*c) && !strchr("+/=", *c))
			return NULL;
		text[n++] = *c;
	}
	text[n] = '\0';
	if (!n || n % 4)
		return NULL;
	data = g_base64_decode(text, &len);
	return g_bytes_new_take(g_steal_pointer(&data), len);
}

GBytes *ifpp_eim_read(const char *path, GError **error)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, 2 * IFPP_EIM_MAX, error);
	g_autoptr(GBytes) der = NULL;
	IfppEim eim;

	if (!file)
		return NULL;
	if (!g_bytes_get_size(file) || *(const guint8 *)g_bytes_get_data(file, NULL) != 0x30)
		der = from_base64(file);
	if (!der)
		der = g_bytes_ref(file);
	if (!ifpp_eim_parse(ifpp_span_bytes(der), &eim, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	return g_steal_pointer(&der);
}
