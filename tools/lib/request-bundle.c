// SPDX-License-Identifier: LGPL-2.1-or-later
#include "request-bundle.h"

#include <string.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/pkcs7.h>

#include "bundle.h"
#include "cert.h"
#include "eid.h"
#include "error.h"
#include "euicc.h"
#include "file.h"
#include "inventory.h"
#include "request-body.h"
#include "unit.h"

#define VERSION 2	/* of 1, which is still read, every chip's data is whole */
#define TEXT_MAX (32 * 1024 * 1024)

#define REQUEST "IFPP request "
#define BATCH "IFPP batch "
#define ORDER "Order: "
#define KEY_MAKER "Key Maker: "
#define PROFILE "Profile: "
#define KEYS_EACH "Keys each: "
#define IMEI "IMEI: "

static const guint8 magic_1[] = { 'I', 'F', 'P', 'R', 0, 1, 0, IFPP_REQUEST_HEADER_LEN };
static const guint8 magic[] = { 'I', 'F', 'P', 'R', 0, VERSION, 0, IFPP_REQUEST_HEADER_LEN };

struct _IfppRequest {
	char *path;
	int fd;
	GBytes *text, *signature;
	IfppRequestHead head;	/* its texts are ours */
	GArray *items;
	RequestBody *body;	/* NULL: version 1 */
};

static gboolean fail(GError **error, IfppError code, const char *what)
{
	g_set_error_literal(error, IFPP_ERROR, code, what);
	return FALSE;
}

/* ------------------------------------------------------------ inventory */

gboolean ifpp_request_item(GBytes *data, IfppRequestItem *item, GError **error)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan span = ifpp_span_bytes(data), ff21, bf22;

	if (span.len > IFPP_REQUEST_DATA_MAX)
		return fail(error, IFPP_ERROR_EUICC_DATA, "eUICC data: larger than 256 KiB");
	if (!ifpp_euicc_data_parse(span, item->eid, &ff21, &bf22, error) ||
	    !(info = ifpp_factory_info_parse(ff21, error)))
		return FALSE;
	item->keys = info->keys->len;
	item->len = span.len;
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, span.data, span.len, item->sha256) >= 0 ||
	       fail(error, IFPP_ERROR_INTERNAL, "SHA-256 failed");
}

/* Version 1 has no more than a name, version 2 no devices: they are written where that is all, for readers of then. */
static const char *title_of(const IfppRequestHead *head, GArray *items)
{
	if (head->batch)
		return BATCH "1\n";
	for (guint i = 0; i < items->len; i++)
		if (*g_array_index(items, IfppRequestItem, i).imei)
			return REQUEST "3\n";
	return head->key_maker || head->profile || head->keys_each ? REQUEST "2\n" : REQUEST "1\n";
}

GBytes *ifpp_request_format(const IfppRequestHead *head, GArray *items)
{
	GString *out = g_string_new(title_of(head, items));
	guint64 bytes = 0;

	for (guint i = 0; i < items->len; i++)
		bytes += g_array_index(items, IfppRequestItem, i).len;
	if (head->order)
		g_string_append_printf(out, ORDER "%s\n", head->order);
	if (head->key_maker)
		g_string_append_printf(out, KEY_MAKER "%s\n", head->key_maker);
	if (head->profile)
		g_string_append_printf(out, PROFILE "%s\n", head->profile);
	if (head->keys_each)
		g_string_append_printf(out, KEYS_EACH "%u\n", head->keys_each);
	g_string_append_printf(out, "Chips: %u\nBytes: %" G_GUINT64_FORMAT "\n", items->len, bytes);
	for (guint i = 0; i < items->len; i++) {
		const IfppRequestItem *item = &g_array_index(items, IfppRequestItem, i);
		g_autofree char *hash = ifpp_hex(IFPP_SPAN(item->sha256));
		char eid[33];

		ifpp_eid_format(item->eid, eid);
		g_string_append_printf(out, "\nEID: %s\n", eid);
		if (*item->imei && !head->batch)
			g_string_append_printf(out, IMEI "%s\n", item->imei);
		g_string_append_printf(out, "Keys: %u\nBytes: %u\nSHA-256: %s\n", item->keys, item->len, hash);
	}
	return g_string_free_to_bytes(out);
}

static gboolean parse_item(IfppSpan *in, IfppRequestItem *item)
{
	g_autofree char *blank = inventory_line(in, ""), *eid = NULL, *imei = NULL;
	guint64 keys, len;

	if (!blank || *blank || !(eid = inventory_line(in, "EID: ")) || !ifpp_eid_parse(eid, item->eid, NULL) ||
	    ((imei = inventory_line(in, IMEI)) && !ifpp_imei_read(imei, item->imei)) ||
	    !inventory_number(in, "Keys: ", 0, G_MAXUINT32, &keys) ||
	    !inventory_number(in, "Bytes: ", 1, IFPP_REQUEST_DATA_MAX, &len) ||
	    !inventory_hash(in, "SHA-256: ", item->sha256))
		return FALSE;
	item->keys = keys;
	item->len = len;
	return TRUE;
}

/* An optional line with a text. */
static gboolean parse_name(IfppSpan *in, const char *name, const char **out)
{
	*out = inventory_line(in, name);
	return !*out || ifpp_bundle_text_valid(*out);
}

static gboolean parse_head(IfppSpan *in, IfppRequestHead *head)
{
	guint64 each = 0;

	if (!parse_name(in, ORDER, &head->order))
		return FALSE;
	if (head->batch)
		return TRUE;
	if (!parse_name(in, KEY_MAKER, &head->key_maker) || !parse_name(in, PROFILE, &head->profile))
		return FALSE;
	inventory_number(in, KEYS_EACH, 1, 256, &each);
	head->keys_each = each;
	return TRUE;
}

static gboolean parse_text(IfppRequest *request, GError **error)
{
	IfppSpan in = ifpp_span_bytes(request->text);
	g_autofree char *title = inventory_line(&in, REQUEST), *batch = title ? NULL : inventory_line(&in, BATCH);
	g_autoptr(GBytes) again = NULL;
	guint64 count, bytes;

	if (!(title && strlen(title) == 1 && strchr("123", *title)) && !(batch && g_str_equal(batch, "1")))
		return fail(error, IFPP_ERROR_HEADER, "inventory: not of a request, or of another version");
	request->head.batch = batch != NULL;
	if (!parse_head(&in, &request->head) ||
	    !inventory_number(&in, "Chips: ", 1, IFPP_REQUEST_CHIPS_MAX, &count) ||
	    !inventory_number(&in, "Bytes: ", 1, G_MAXINT64, &bytes))
		goto malformed;
	for (guint64 i = 0; i < count; i++) {
		IfppRequestItem item = {};

		if (!parse_item(&in, &item))
			goto malformed;
		if (i && memcmp(g_array_index(request->items, IfppRequestItem, i - 1).eid, item.eid, 16) >= 0)
			goto malformed;
		g_array_append_val(request->items, item);
	}
	/* One inventory has one text: this also finds a wrong sum, leading zeros, upper case, what follows. */
	again = ifpp_request_format(&request->head, request->items);
	if (g_bytes_equal(again, request->text))
		return TRUE;
malformed:
	return fail(error, IFPP_ERROR_HEADER, "inventory: malformed");
}

/* ------------------------------------------------------------ reading */

static gboolean load(IfppRequest *request, GError **error)
{
	g_autoptr(GBytes) header = NULL;
	const guint8 *bytes;
	guint32 text_len, signature_len;
	guint64 size, end;

	request->fd = inventory_open(request->path, &size, error);
	if (request->fd < 0)
		return FALSE;
	if (size < IFPP_REQUEST_HEADER_LEN)
		return fail(error, IFPP_ERROR_LENGTH, size ? "is cut off" : "is empty");
	header = inventory_read_at(request->fd, 0, IFPP_REQUEST_HEADER_LEN, error);
	if (!header)
		return FALSE;
	bytes = g_bytes_get_data(header, NULL);
	memcpy(&text_len, bytes + 8, 4);
	memcpy(&signature_len, bytes + 12, 4);
	text_len = GUINT32_FROM_BE(text_len);
	signature_len = GUINT32_FROM_BE(signature_len);
	if (memcmp(bytes, magic, 4))
		return fail(error, IFPP_ERROR_HEADER, "is not a request");
	if (memcmp(bytes, magic, sizeof(magic)) && !memcmp(bytes, magic_1, sizeof(magic_1)))
		g_clear_pointer(&request->body, request_body_free);
	else if (memcmp(bytes, magic, sizeof(magic)))
		text_len = 0;
	if (!text_len || text_len > TEXT_MAX ||
	    signature_len > IFPP_REQUEST_SIGNATURE_MAX)
		return fail(error, IFPP_ERROR_HEADER, "is a request of another version, or damaged");
	end = IFPP_REQUEST_HEADER_LEN + (guint64)text_len + signature_len;
	if (size < end)
		return fail(error, IFPP_ERROR_LENGTH, "is cut off");

	request->text = inventory_read_at(request->fd, IFPP_REQUEST_HEADER_LEN, text_len, error);
	if (request->text && signature_len)
		request->signature = inventory_read_at(request->fd, IFPP_REQUEST_HEADER_LEN + text_len, signature_len, error);
	if (!request->text || (signature_len && !request->signature) || !parse_text(request, error))
		return FALSE;
	for (guint i = 0; i < request->items->len; i++) {
		IfppRequestItem *item = &g_array_index(request->items, IfppRequestItem, i);

		item->offset = end;
		if (!request->body)
			end += item->len;
		else if (!request_body_next(request->body, request->fd, item->offset, item->len, &end, error))
			return FALSE;
	}
	return inventory_size_is(size, end, error);
}

IfppRequest *ifpp_request_open(const char *path, GError **error)
{
	g_autoptr(IfppRequest) request = g_new0(IfppRequest, 1);

	request->path = g_strdup(path);
	request->fd = -1;
	request->body = request_body_new();
	request->items = g_array_new(FALSE, TRUE, sizeof(IfppRequestItem));
	if (!load(request, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	return g_steal_pointer(&request);
}

void ifpp_request_free(IfppRequest *request)
{
	if (!request)
		return;
	if (request->fd >= 0)
		close(request->fd);
	g_clear_pointer(&request->text, g_bytes_unref);
	g_clear_pointer(&request->signature, g_bytes_unref);
	g_clear_pointer(&request->body, request_body_free);
	g_array_unref(request->items);
	g_free((char *)request->head.order);
	g_free((char *)request->head.key_maker);
	g_free((char *)request->head.profile);
	g_free(request->path);
	g_free(request);
}

const IfppRequestHead *ifpp_request_head(const IfppRequest *request)
{
	return &request->head;
}

const char *ifpp_request_order(const IfppRequest *request)
{
	return request->head.order;
}

GArray *ifpp_request_items(const IfppRequest *request)
{
	return request->items;
}

GBytes *ifpp_request_text(const IfppRequest *request)
{
	return request->text;
}

GBytes *ifpp_request_signature(const IfppRequest *request)
{
	return request->signature;
}

GBytes *ifpp_request_read(IfppRequest *request, guint i, GError **error)
{
	const IfppRequestItem *item = &g_array_index(request->items, IfppRequestItem, i);
	g_autoptr(GBytes) data = request->body ? request_body_read(request->body, request->fd, item->offset, item->len, error) :
						 inventory_read_at(request->fd, item->offset, item->len, error);
	IfppRequestItem found = {};

	if (!data) {
		g_prefix_error(error, "%s: ", request->path);
		return NULL;
	}
	if (!inventory_sha256_is(data, item->sha256) || !ifpp_request_item(data, &found, NULL) ||
	    memcmp(found.eid, item->eid, sizeof(found.eid)) || found.keys != item->keys) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_HEADER_MISMATCH,
			    "%s: the data of chip %u is not what its inventory tells", request->path, i + 1);
		return NULL;
	}
	return g_steal_pointer(&data);
}

/* ------------------------------------------------------------ an EUM's batch */

static IfppFactoryInfo *batch_info(IfppRequest *request, guint i, guint8 eid[16], GError **error)
{
	g_autoptr(GBytes) data = ifpp_request_read(request, i, error);
	IfppSpan ff21, bf22;

	if (!data || !ifpp_euicc_data_parse(ifpp_span_bytes(data), eid, &ff21, &bf22, error))
		return NULL;
	return ifpp_factory_info_parse(ff21, error);
}

/* Is the detached signature by the key of this certificate? */
static gboolean batch_signed(IfppRequest *request, GBytes *eum, GError **error)
{
	gnutls_datum_t cert = cert_datum(ifpp_span_bytes(eum)), text = cert_datum(ifpp_span_bytes(request->text)), sig;
	gnutls_x509_crt_t crt = NULL;
	gnutls_pkcs7_t cms = NULL;
	gboolean ok;

	if (!request->signature)
		return fail(error, IFPP_ERROR_CMS_SIGNATURE, "batch: is not signed by its EUM");
	sig = cert_datum(ifpp_span_bytes(request->signature));
	if (gnutls_x509_crt_init(&crt) < 0 || gnutls_pkcs7_init(&cms) < 0)
		g_error("out of memory");
	ok = gnutls_x509_crt_import(crt, &cert, GNUTLS_X509_FMT_DER) >= 0 &&
	     gnutls_pkcs7_import(cms, &sig, GNUTLS_X509_FMT_DER) >= 0 && gnutls_pkcs7_get_signature_count(cms) == 1 &&
	     gnutls_pkcs7_verify_direct(cms, crt, 0, &text, 0) >= 0;
	gnutls_x509_crt_deinit(crt);
	gnutls_pkcs7_deinit(cms);
	return ok || fail(error, IFPP_ERROR_CMS_SIGNATURE, "batch: is not signed by the EUM of its chips, or was altered");
}

gboolean ifpp_batch_verify(IfppRequest *request, IfppTrust *trust, GError **error)
{
	g_autoptr(IfppFactoryInfo) first = NULL;
	guint8 eid[16];

	if (!request->head.batch)
		return fail(error, IFPP_ERROR_USAGE, "a request, no batch of an EUM");
	first = batch_info(request, 0, eid, error);
	if (!first || !ifpp_factory_info_verify(first, eid, trust, error) ||
	    !batch_signed(request, first->cert_eum, error)) {
		g_prefix_error(error, "%s: ", request->path);
		return FALSE;
	}
	for (guint i = 1; i < request->items->len; i++) {
		g_autoptr(IfppFactoryInfo) info = batch_info(request, i, eid, error);

		if (!info)
			return FALSE;
		if (info->cert_eum && g_bytes_equal(info->cert_eum, first->cert_eum))
			continue;
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_EUICC_DATA, "%s: chip %u is not of the EUM who signed", request->path,
			    i + 1);
		return FALSE;
	}
	return TRUE;
}

/* ------------------------------------------------------------ writing */

typedef struct {
	GBytes *text, *signature;
	guint n;
	IfppRequestData data;
	gpointer user;
} Write;

static gboolean put_all(int fd, const char *path, gpointer user, GError **error)
{
	Write *w = user;
	g_autoptr(RequestBody) chips = request_body_new();
	IfppSpan body = ifpp_span_bytes(w->text);
	IfppSpan sig = w->signature ? ifpp_span_bytes(w->signature) : (IfppSpan){ NULL, 0 };
	guint32 lens[] = { GUINT32_TO_BE(body.len), GUINT32_TO_BE(sig.len) };

	if (!ifpp_file_put(fd, path, IFPP_SPAN(magic), error) || !ifpp_file_put(fd, path, IFPP_SPAN(lens), error) ||
	    !ifpp_file_put(fd, path, body, error) || !ifpp_file_put(fd, path, sig, error))
		return FALSE;
	for (guint i = 0; i < w->n; i++) {
		g_autoptr(GBytes) bytes = w->data(i, w->user, error);

		if (!bytes || !request_body_put(chips, fd, path, bytes, error))
			return FALSE;
	}
	return TRUE;
}

gboolean ifpp_request_write(const char *path, GBytes *text, GBytes *signature, guint n, IfppRequestData data,
			    gpointer user, GError **error)
{
	return ifpp_file_write_by(path, 0644, put_all, &(Write){ text, signature, n, data, user }, error);
}
