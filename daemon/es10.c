// SPDX-License-Identifier: GPL-2.0-or-later
/* STORE DATA runs over one logical channel. */
#define G_LOG_DOMAIN "ifppd"

#include <string.h>

#include "compact.h"
#include "deletion.h"
#include "error.h"
#include "es10.h"
#include "task.h"

#define RESPONSE_MAX (64 * 1024)
#define GET_RESPONSE_MAX 512	/* for one command; a chip hands out up to 256 bytes each time */
#define MEAGRE_MAX 8		/* of them that bring next to nothing, and promise more */
#define MEAGRE_BYTES 16
#define NO_RESULT_AVAILABLE 1	/* notificationsListResultError, SGP.22 5.7.10 */
#define BLOCKS_MAX 256		/* P2 counts them in one byte */
#define LAST_BLOCK_FACTOR 6	/* the chip works after the last block: installation takes its time */

static const guint8 isd_r[] = { 0xa0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xff,
				0xff, 0xff, 0xff, 0x89, 0x00, 0x00, 0x01, 0x00 };

struct _Es10 {
	Modem *modem;
	guint sw;
	Es10Count count;
};

typedef struct {
	Es10 *es10;
	const char *what;
	GBytes *command;
	gint64 deadline;
	gsize offset;		/* of the block in flight */
	gsize block_len;
	guint block_size;	/* for this command */
	gboolean refused;	/* a larger one was, in this command */
	gboolean repeated;	/* the first block, after an error that says nothing of the size */
	guint p2;
	gboolean le_fixed;
	guint fetched;		/* GET RESPONSEs */
	guint meagre;
	GByteArray *apdu;	/* in flight */
	GByteArray *response;
} Send;

static void send_free(gpointer data)
{
	Send *ctx = data;

	g_bytes_unref(ctx->command);
	g_byte_array_unref(ctx->apdu);
	g_byte_array_unref(ctx->response);
	g_free(ctx);
}

/* Class byte of a channel: GlobalPlatform's commands (GPCS 11.1.4), and the interindustry ones (TS 102 221 10.1.1). */
static guint8 cla_gp(guint channel)
{
	return channel < 4 ? 0x80 | channel : 0xc0 | (channel - 4);
}

static guint8 cla_iso(guint channel)
{
	return channel < 4 ? channel : 0x40 | (channel - 4);
}

static void send_apdu(GTask *task);

static gboolean last_block(Send *ctx)
{
	return ctx->offset + ctx->block_len >= g_bytes_get_size(ctx->command);
}

static void send_block(GTask *task)
{
	Send *ctx = g_task_get_task_data(task);
	gsize size;
	const guint8 *data = g_bytes_get_data(ctx->command, &size);
	guint8 head[5];

	if (!ctx->offset && size > BLOCKS_MAX * (gsize)ctx->block_size) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_TOO_LARGE,
						  "%s: %zu bytes do not fit into %u blocks of %u", ctx->what, size,
						  BLOCKS_MAX, ctx->block_size));
		return;
	}
	ctx->block_len = MIN(size - ctx->offset, ctx->block_size);
	head[0] = cla_gp(modem_channel(ctx->es10->modem));
	head[1] = 0xe2;
	head[2] = last_block(ctx) ? 0x91 : 0x11;
	head[3] = ctx->p2;
	head[4] = ctx->block_len;
	g_byte_array_set_size(ctx->apdu, 0);
	g_byte_array_append(ctx->apdu, head, sizeof(head));
	g_byte_array_append(ctx->apdu, data + ctx->offset, ctx->block_len);
	/* Le on the last block only: it spares a GET RESPONSE where the modem allows it. */
	if (last_block(ctx))
		g_byte_array_append(ctx->apdu, (const guint8 *)"", 1);
	ctx->le_fixed = FALSE;
	send_apdu(task);
}

static void send_get_response(GTask *task, guint8 le)
{
	Send *ctx = g_task_get_task_data(task);
	const guint8 apdu[] = { cla_iso(modem_channel(ctx->es10->modem)), 0xc0, 0, 0, le };

	ctx->fetched++;
	g_byte_array_set_size(ctx->apdu, 0);
	g_byte_array_append(ctx->apdu, apdu, sizeof(apdu));
	ctx->le_fixed = FALSE;
	send_apdu(task);
}

/* The first block of a command was refused for its size: nothing has happened yet, a smaller one may do. */
static gboolean step_down(Send *ctx)
{
	guint size = ctx->offset || ctx->response->len ? 0 : block_below(ctx->block_size, ctx->block_len);

	if (!size)
		return FALSE;
	ctx->block_size = size;
	ctx->refused = TRUE;
	return TRUE;
}

/*
 * Only some errors say that the block is too long. Any other may be a passing one: the first of several blocks is sent
 * once more as it was, and made shorter only if that fails, too. Takes @task and @error.
 */
static void send_failed(GTask *task, GError *error)
{
	Send *ctx = g_task_get_task_data(task);
	gboolean size = g_error_matches(error, IFPP_ERROR, IFPP_ERROR_TOO_LARGE);
	gboolean store = ctx->apdu->data[1] == 0xe2;

	if (store && !g_cancellable_is_cancelled(g_task_get_cancellable(task))) {
		gboolean unclear = g_error_matches(error, IFPP_ERROR, IFPP_ERROR_MODEM) && !last_block(ctx);

		if (unclear && !ctx->repeated && !ctx->offset) {
			g_debug("%s: %s; once more", ctx->what, error->message);
			g_error_free(error);
			ctx->repeated = TRUE;
			send_apdu(task);
			return;
		}
		if ((size || unclear) && step_down(ctx)) {
			g_debug("%s: %s; trying blocks of %u", ctx->what, error->message, ctx->block_size);
			g_error_free(error);
			send_block(task);
			return;
		}
	}
	if (size)	/* of an APDU, not of what the client gave us */
		error->code = IFPP_ERROR_MODEM;
	g_prefix_error(&error, "%s: ", ctx->what);
	ifppd_task_fail(task, error);
}

/* More of the answer waits in the chip. A chip that only says so must not keep us for ever. */
static void send_fetch(GTask *task, guint8 le, gsize got)
{
	Send *ctx = g_task_get_task_data(task);

	ctx->meagre += got < MEAGRE_BYTES;
	if (ctx->fetched < GET_RESPONSE_MAX && ctx->meagre <= MEAGRE_MAX) {
		send_get_response(task, le);
		return;
	}
	ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP,
					  "%s: the chip promises more after %u GET RESPONSE and %u bytes", ctx->what,
					  ctx->fetched, ctx->response->len));
}

static void on_response(GObject *source, GAsyncResult *res, gpointer user)
{
	GTask *task = user;
	Send *ctx = g_task_get_task_data(task);
	Es10 *es10 = ctx->es10;
	GError *error = NULL;
	g_autoptr(GBytes) bytes = modem_transmit_finish(res, &error);
	gboolean store = ctx->apdu->data[1] == 0xe2;
	const guint8 *data;
	gsize len;
	guint sw;

	if (!bytes) {
		send_failed(task, error);
		return;
	}
	data = g_bytes_get_data(bytes, &len);
	sw = data[len - 2] << 8 | data[len - 1];
	if (sw == 0x6700 && store && step_down(ctx)) {
		g_debug("%s: 6700; trying blocks of %u", ctx->what, ctx->block_size);
		send_block(task);
		return;
	}
	if (ctx->response->len + len > RESPONSE_MAX) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "%s: an endless answer", ctx->what));
		return;
	}
	g_byte_array_append(ctx->response, data, len - 2);
	if ((sw >> 8) == 0x61) {
		send_fetch(task, sw & 0xff, len - 2);
		return;
	}
	if ((sw >> 8) == 0x6c && !ctx->le_fixed && (!store || last_block(ctx))) {
		ctx->apdu->data[ctx->apdu->len - 1] = sw & 0xff;
		ctx->le_fixed = TRUE;
		send_apdu(task);
		return;
	}
	es10->sw = sw;
	if (sw != 0x9000 && (sw >> 8) != 0x91) {
		ifppd_task_fail(task, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "%s: the chip answered %04X",
						  ctx->what, sw));
		return;
	}
	if (store && ctx->block_len == ctx->block_size) {
		block_took(modem_block(es10->modem), ctx->block_size, ctx->refused);
		ctx->refused = FALSE;
	}
	if (!last_block(ctx) && !ctx->response->len) {
		ctx->offset += ctx->block_len;
		ctx->p2++;
		send_block(task);
		return;
	}
	g_task_return_pointer(task, g_bytes_new(ctx->response->data, ctx->response->len),
			      (GDestroyNotify)g_bytes_unref);
	g_object_unref(task);
}

static void send_apdu(GTask *task)
{
	Send *ctx = g_task_get_task_data(task);
	Es10 *es10 = ctx->es10;
	guint timeout = modem_timeout(es10->modem);

	es10->count.apdus++;
	es10->count.bytes += ctx->apdu->len;
	modem_transmit_async(es10->modem, (IfppSpan){ ctx->apdu->data, ctx->apdu->len },
			     last_block(ctx) ? timeout * LAST_BLOCK_FACTOR : timeout, ctx->deadline,
			     g_task_get_cancellable(task), on_response, task);
}

void es10_send_async(Es10 *es10, const char *what, IfppSpan command, Es10Kind kind, gint64 deadline,
		     GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	Send *ctx = g_new0(Send, 1);

	ctx->es10 = es10;
	ctx->what = what;
	ctx->command = g_bytes_new(command.data, command.len);
	ctx->deadline = deadline;
	ctx->block_size = block_for(modem_block(es10->modem), command.len, kind == ES10_COMMAND);
	ctx->apdu = g_byte_array_new();
	ctx->response = g_byte_array_new();
	es10->sw = 0;
	send_block(ifppd_task_new(ctx, send_free, cancellable, cb, user));
}

GBytes *es10_send_finish(Es10 *es10, GAsyncResult *res, GError **error)
{
	return g_task_propagate_pointer(G_TASK(res), error);
}

void es10_open_async(Es10 *es10, gint64 deadline, GCancellable *cancellable, GAsyncReadyCallback cb, gpointer user)
{
	modem_channel_open_async(es10->modem, IFPP_SPAN(isd_r), deadline, cancellable, cb, user);
}

gboolean es10_open_finish(GAsyncResult *res, GError **error)
{
	return modem_channel_open_finish(res, error);
}

guint es10_sw(Es10 *es10)
{
	return es10->sw;
}

Es10Count es10_count(Es10 *es10)
{
	return es10->count;
}

Es10 *es10_new(Modem *modem)
{
	Es10 *es10 = g_new0(Es10, 1);

	es10->modem = modem;
	return es10;
}

void es10_free(Es10 *es10)
{
	g_free(es10);
}

/* ------------------------------------------------------- SGP.22 commands */

static GBytes *command(guint32 tag, guint32 inner, const void *value, gsize len)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GByteArray) out = g_byte_array_new();

	if (inner)
		ifpp_tlv_put(body, inner, value, len);
	ifpp_tlv_put(out, tag, body->data, body->len);
	return g_bytes_new(out->data, out->len);
}

gboolean es10_whole(GBytes *response, guint32 tag, const char *what, IfppTlv *out, GError **error)
{
	IfppSpan in = ifpp_span_bytes(response);

	if (!in.len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "%s: the chip answered nothing", what);
		return FALSE;
	}
	if (!ifpp_tlv_expect(&in, tag, what, out, error))
		return FALSE;
	if (in.len) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_TLV, "%s: %zu bytes after the answer", what,
			    in.len);
		return FALSE;
	}
	return TRUE;
}

GBytes *es10_get_eid(void)
{
	const guint8 tag = 0x5a;

	return command(0xbf3e, 0x5c, &tag, 1);
}

gboolean es10_get_eid_parse(GBytes *response, guint8 eid[16], GError **error)
{
	IfppTlv outer, tlv;

	if (!es10_whole(response, 0xbf3e, "GetEID", &outer, error))
		return FALSE;
	if (!ifpp_tlv_find(outer.value, 0x5a, &tlv) || tlv.value.len != 16) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetEID: no EID in the answer");
		return FALSE;
	}
	memcpy(eid, tlv.value.data, 16);
	return TRUE;
}

GBytes *es10_get_info2(void)
{
	return command(0xbf22, 0, NULL, 0);
}

GBytes *es10_get_certs(void)
{
	return command(0xbf56, 0, NULL, 0);
}

/* The tag stands where the certificate's SEQUENCE had its own. */
static GBytes *certificate(IfppTlv *tlv)
{
	GByteArray *out = g_byte_array_new();

	ifpp_tlv_put(out, 0x30, tlv->value.data, tlv->value.len);
	return g_byte_array_free_to_bytes(out);
}

gboolean es10_get_certs_parse(GBytes *response, GBytes **eum, GBytes **euicc, GError **error)
{
	IfppTlv outer, certs, first, second;
	guint64 code;

	if (!es10_whole(response, 0xbf56, "GetCerts", &outer, error))
		return FALSE;
	if (ifpp_tlv_take(&outer.value, 0x81, &certs) && ifpp_tlv_uint(&certs, &code, NULL)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetCerts: the chip gives no certificates: %s (%u)",
			    code == 1 ? "invalidCiPKId" : code == 127 ? "undefinedError" : "a code that SGP.32 does not have",
			    (guint)code);
		return FALSE;
	}
	if (!ifpp_tlv_expect(&outer.value, 0xa0, "GetCerts", &certs, error) ||
	    !ifpp_tlv_expect(&certs.value, 0xa5, "GetCerts: eumCertificate", &first, error) ||
	    !ifpp_tlv_expect(&certs.value, 0xa6, "GetCerts: euiccCertificate", &second, error))
		return FALSE;
	if (certs.value.len || outer.value.len) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_TLV, "GetCerts: bytes after the certificates");
		return FALSE;
	}
	*eum = certificate(&first);
	*euicc = certificate(&second);
	return TRUE;
}

GBytes *es10_list_results(void)
{
	return command(0xbf2b, 0, NULL, 0);
}

/* Results, compact or not, and deletions in the factory; other notifications are the field's. */
static gboolean is_ours(const IfppTlv *tlv, GBytes *bytes)
{
	g_autoptr(IfppDeletion) deletion = NULL;

	if (tlv->tag == IFPP_TAG_PIR || tlv->tag == IFPP_TAG_COMPACT_PIR)
		return TRUE;
	deletion = ifpp_deletion_parse(bytes, NULL);
	return deletion != NULL;
}

GPtrArray *es10_list_results_parse(GBytes *response, GError **error)
{
	g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	IfppTlv outer, list;
	IfppSpan in;

	if (!es10_whole(response, 0xbf2b, "RetrieveNotificationsList", &outer, error))
		return NULL;
	in = outer.value;
	if (!in.len)
		return g_steal_pointer(&out);
	if (ifpp_tlv_take(&in, 0x81, &list)) {
		if (list.value.len == 1 && list.value.data[0] == NO_RESULT_AVAILABLE)
			return g_steal_pointer(&out);
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "RetrieveNotificationsList: refused");
		return NULL;
	}
	if (!ifpp_tlv_expect(&in, 0xa0, "RetrieveNotificationsList", &list, error))
		return NULL;
	for (in = list.value; in.len;) {
		g_autoptr(GBytes) bytes = NULL;
		IfppTlv tlv;

		if (!ifpp_tlv_next(&in, &tlv, error))
			return NULL;
		bytes = g_bytes_new(tlv.whole.data, tlv.whole.len);
		if (is_ours(&tlv, bytes))
			g_ptr_array_add(out, g_steal_pointer(&bytes));
	}
	return g_steal_pointer(&out);
}

GBytes *es10_list_profiles(void)
{
	static const guint8 iccid = 0x5A;

	return command(0xbf2d, 0x5C, &iccid, 1);
}

GByteArray *es10_profiles_parse(GBytes *response)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	IfppTlv outer, list, profile, iccid;
	IfppSpan in;

	if (!es10_whole(response, 0xbf2d, "GetProfilesInfo", &outer, NULL))
		return NULL;
	in = outer.value;
	if (!ifpp_tlv_take(&in, 0xA0, &list) || in.len)
		return NULL;
	while (list.value.len) {
		if (!ifpp_tlv_next(&list.value, &profile, NULL) || profile.tag != 0xE3 ||
		    !ifpp_tlv_find(profile.value, 0x5A, &iccid) || iccid.value.len != 10)
			return NULL;
		g_byte_array_append(out, iccid.value.data, iccid.value.len);
	}
	return g_steal_pointer(&out);
}

GBytes *es10_remove(guint64 seq)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GByteArray) out = g_byte_array_new();

	ifpp_tlv_put_uint(body, 0x80, seq);
	ifpp_tlv_put(out, 0xbf30, body->data, body->len);
	return g_bytes_new(out->data, out->len);
}

gboolean es10_remove_parse(GBytes *response, GError **error)
{
	IfppTlv outer, tlv;
	guint64 result;

	if (!es10_whole(response, 0xbf30, "RemoveNotificationFromList", &outer, error))
		return FALSE;
	if (!ifpp_tlv_find(outer.value, 0x80, &tlv) || !ifpp_tlv_uint(&tlv, &result, NULL) || result > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "RemoveNotificationFromList: refused");
		return FALSE;
	}
	return TRUE;
}
