// SPDX-License-Identifier: LGPL-2.1-or-later
#include "request-body.h"

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "euicc.h"
#include "file.h"
#include "inventory.h"

#define CERTS_MAX 8		/* of a chip's issuers */
#define CERTS_ALL_MAX 65535	/* and a number for those that have none yet */
#define NO_NUMBER G_MAXUINT16
#define CERT_HEAD 8		/* offset 4, length 2, number 2 */

/* Where a certificate is: in the data of its chip, and of all of them. */
typedef struct {
	guint32 at;
	guint16 len, number;
} Place;

typedef struct {
	guint n;
	Place place[CERTS_MAX];
} Head;

struct _RequestBody {
	GHashTable *written;	/* GBytes of a certificate to its number + 1 */
	GArray *seen;		/* guint64: where in the file certificate N is, and its length in the low 16 bits */
};

RequestBody *request_body_new(void)
{
	RequestBody *body = g_new0(RequestBody, 1);

	body->written = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
	body->seen = g_array_new(FALSE, FALSE, sizeof(guint64));
	return body;
}

void request_body_free(RequestBody *body)
{
	g_hash_table_unref(body->written);
	g_array_unref(body->seen);
	g_free(body);
}

/* ------------------------------------------------------------ writing */

static const guint8 *find(IfppSpan in, IfppSpan what)
{
	for (const guint8 *p = in.data; what.len && p + what.len <= in.data + in.len; p++) {
		p = memchr(p, what.data[0], in.data + in.len - what.len - p + 1);
		if (!p)
			return NULL;
		if (!memcmp(p, what.data, what.len))
			return p;
	}
	return NULL;
}

static int by_place(gconstpointer a, gconstpointer b)
{
	const Place *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static void place_cert(RequestBody *body, Head *head, IfppSpan data, GBytes *cert)
{
	IfppSpan span = ifpp_span_bytes(cert);
	const guint8 *at = find(data, span);
	guint number = GPOINTER_TO_UINT(g_hash_table_lookup(body->written, cert));

	if (!at || head->n == CERTS_MAX || span.len > G_MAXUINT16)
		return;
	if (!number && g_hash_table_size(body->written) == CERTS_ALL_MAX)
		return;
	head->place[head->n++] = (Place){ at - data.data, span.len, number ? number - 1 : NO_NUMBER };
}

/* The certificates of its issuers. Those that are new get the next numbers, in the order in which they stand there. */
static Head place_certs(RequestBody *body, IfppSpan data)
{
	g_autoptr(IfppFactoryInfo) info = NULL;
	IfppSpan ff21, bf22;
	guint8 eid[16];
	Head head = {};

	if (!ifpp_euicc_data_parse(data, eid, &ff21, &bf22, NULL) || !(info = ifpp_factory_info_parse(ff21, NULL)))
		return head;
	if (info->cert_eum)
		place_cert(body, &head, data, info->cert_eum);
	for (guint i = 0; info->cas && i < info->cas->len; i++)
		place_cert(body, &head, data, info->cas->pdata[i]);
	qsort(head.place, head.n, sizeof(head.place[0]), by_place);
	/* the same certificate twice: both were found at the first place */
	for (guint i = 1; i < head.n; i++)
		if (head.place[i].at < head.place[i - 1].at + head.place[i - 1].len)
			head.n = i;
	return head;
}

gboolean request_body_put(RequestBody *body, int fd, const char *path, GBytes *data, GError **error)
{
	IfppSpan span = ifpp_span_bytes(data);
	Head head = place_certs(body, span);
	guint8 bytes[1 + CERTS_MAX * CERT_HEAD] = { head.n }, *p = bytes + 1;
	gboolean known[CERTS_MAX];
	guint32 from = 0;

	for (guint i = 0; i < head.n; i++, p += CERT_HEAD) {
		Place *place = &head.place[i];

		known[i] = place->number != NO_NUMBER;
		if (!known[i]) {
			place->number = g_hash_table_size(body->written);
			g_hash_table_insert(body->written, g_bytes_new(span.data + place->at, place->len),
					    GUINT_TO_POINTER(place->number + 1u));
		}
		memcpy(p, &(guint32){ GUINT32_TO_BE(place->at) }, 4);
		memcpy(p + 4, &(guint16){ GUINT16_TO_BE(place->len) }, 2);
		memcpy(p + 6, &(guint16){ GUINT16_TO_BE(place->number) }, 2);
	}
	if (!ifpp_file_put(fd, path, (IfppSpan){ bytes, p - bytes }, error))
		return FALSE;
	for (guint i = 0; i < head.n; i++) {
		const Place *place = &head.place[i];

		if (!known[i])
			continue;
		if (!ifpp_file_put(fd, path, (IfppSpan){ span.data + from, place->at - from }, error))
			return FALSE;
		from = place->at + place->len;
	}
	return ifpp_file_put(fd, path, (IfppSpan){ span.data + from, span.len - from }, error);
}

/* ------------------------------------------------------------ reading */

static gboolean malformed(GError **error)
{
	g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_HEADER, "a chip's data is malformed");
	return FALSE;
}

static gboolean read_head(int fd, guint64 offset, guint32 len, Head *head, GError **error)
{
	g_autoptr(GBytes) first = inventory_read_at(fd, offset, 1, error), rest = NULL;
	const guint8 *p;
	guint32 end = 0;

	if (!first)
		return FALSE;
	head->n = *(const guint8 *)g_bytes_get_data(first, NULL);
	if (head->n > CERTS_MAX)
		return malformed(error);
	if (!head->n)
		return TRUE;
	rest = inventory_read_at(fd, offset + 1, head->n * CERT_HEAD, error);
	if (!rest)
		return FALSE;
	p = g_bytes_get_data(rest, NULL);
	for (guint i = 0; i < head->n; i++, p += CERT_HEAD) {
		Place *place = &head->place[i];

		memcpy(&place->at, p, 4);
		memcpy(&place->len, p + 4, 2);
		memcpy(&place->number, p + 6, 2);
		place->at = GUINT32_FROM_BE(place->at);
		place->len = GUINT16_FROM_BE(place->len);
		place->number = GUINT16_FROM_BE(place->number);
		if (!place->len || place->at < end || place->at > len || place->len > len - place->at)
			return malformed(error);
		end = place->at + place->len;
	}
	return TRUE;
}

gboolean request_body_next(RequestBody *body, int fd, guint64 offset, guint32 len, guint64 *end, GError **error)
{
	guint64 begin, elsewhere = 0;
	Head head;

	if (!read_head(fd, offset, len, &head, error))
		return FALSE;
	begin = offset + 1 + head.n * CERT_HEAD;
	for (guint i = 0; i < head.n; i++) {
		const Place *place = &head.place[i];
		guint64 here = (begin + place->at - elsewhere) << 16 | place->len;

		if (place->number > body->seen->len)
			return malformed(error);
		if (place->number == body->seen->len) {
			g_array_append_val(body->seen, here);
			continue;
		}
		if ((g_array_index(body->seen, guint64, place->number) & G_MAXUINT16) != place->len)
			return malformed(error);
		elsewhere += place->len;
	}
	*end = begin + len - elsewhere;
	return TRUE;
}

/* Append @len bytes of the file at @offset. */
static gboolean take(int fd, guint64 offset, guint32 len, GByteArray *out, GError **error)
{
	g_autoptr(GBytes) bytes = len ? inventory_read_at(fd, offset, len, error) : NULL;

	if (!len)
		return TRUE;
	if (!bytes)
		return FALSE;
	g_byte_array_append(out, g_bytes_get_data(bytes, NULL), len);
	return TRUE;
}

GBytes *request_body_read(RequestBody *body, int fd, guint64 offset, guint32 len, GError **error)
{
	g_autoptr(GByteArray) out = g_byte_array_sized_new(len);
	guint64 at;
	Head head;

	if (!read_head(fd, offset, len, &head, error))
		return NULL;
	at = offset + 1 + head.n * CERT_HEAD;
	for (guint i = 0; i < head.n; i++) {
		const Place *place = &head.place[i];
		guint32 before = place->at - out->len;
		guint64 cert;

		if (place->number >= body->seen->len) {
			malformed(error);
			return NULL;
		}
		cert = g_array_index(body->seen, guint64, place->number) >> 16;
		if (!take(fd, at, before, out, error) || !take(fd, cert, place->len, out, error))
			return NULL;
		at += before;
		/* it stands here */
		if (cert == at)
			at += place->len;
	}
	if (!take(fd, at, len - out->len, out, error))
		return NULL;
	return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
