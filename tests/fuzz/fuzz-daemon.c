// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon behind a hostile modem and chip: it opens the port, gets to know the chip, loads the seeds' package
 * and locks. The input is what the modem says instead of a sound answer: per request a kind, a length of two
 * bytes and the bytes. To an input of odd length the chip is one with its certificates in GetCerts. Neither a crash nor a wait without end, and no result or receipt that nobody signed.
 */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gio/gunixsocketaddress.h>

#include "job.h"
#include "modem-qmi.h"
#include "start.h"

enum {
	SOUND,		/* the answer that is in order; also when the input has come to its end */
	CONTENT,	/* the bytes as the answer's TLVs, or as the card's response to an APDU */
	ERROR,		/* the bytes as the error code */
	FRAME,		/* the bytes as they are, and the port is gone */
	INDICATION,	/* the bytes as an indication's TLVs, then the answer that is in order */
	KINDS,
};

#define MESSAGE_GET_MODEL 0x0022
#define MESSAGE_CLOSE 0x003F
#define MESSAGE_SEND_APDU 0x003B
#define MESSAGE_OPEN 0x0042

typedef struct {
	IfppSpan in;
	GSocketConnection *link;
	GByteArray *frame, *command;
	guint source;
	gboolean done, ok, apart;
} Bench;

static char *dir, *port, *trust;
static GBytes *info, *bare_info, *certs, *package, *pir, *receipt;
static GSocketService *service;
static Bench *bench;

/* ------------------------------------------------------------------ the modem */

static guint get16(const guint8 *p)
{
	return p[0] | p[1] << 8;
}

static void put_tlv(GByteArray *out, guint8 type, const void *data, gsize len)
{
	g_byte_array_append(out, (guint8[]){ type, len, len >> 8 }, 3);
	if (len)
		g_byte_array_append(out, data, len);
}

static IfppSpan find_tlv(IfppSpan tlvs, guint8 type)
{
	while (tlvs.len >= 3 && get16(tlvs.data + 1) <= tlvs.len - 3) {
		gsize len = get16(tlvs.data + 1);

		if (tlvs.data[0] == type)
			return (IfppSpan){ tlvs.data + 3, len };
		tlvs.data += 3 + len;
		tlvs.len -= 3 + len;
	}
	return (IfppSpan){ 0 };
}

static void put_bytes(GByteArray *out, GBytes *bytes)
{
	g_byte_array_append(out, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

/* What a chip in order says to one command, or segment. */
static void answer_es10(IfppSpan command, GByteArray *out)
{
	gsize hdr, len;
	guint32 tag = 0;

	ifpp_tlv_header(command, &tag, &hdr, &len, NULL);
	switch (tag) {
	case 0xBF3E:
		ifpp_tlv_put_header(out, 0xBF3E, 18);
		ifpp_tlv_put(out, 0x5A, fuzz_eid, 16);
		break;
	case 0xFF21:
		put_bytes(out, bench->apart ? bare_info : info);
		break;
	case 0xBF56:
		put_bytes(out, certs);
		break;
	case 0xBF22:
		g_byte_array_append(out, (const guint8 *)"\xBF\x22\x0A\x81\x03\x02\x03\x01\x82\x03\x02\x02\x02", 13);
		break;
	case 0xBF2B:
		g_byte_array_append(out, (const guint8 *)"\xBF\x2B\x03\x81\x01\x01", 6);
		break;
	case 0xBF30:
		g_byte_array_append(out, (const guint8 *)"\xBF\x30\x03\x80\x01\x00", 6);
		break;
	case 0xFF22:
		g_byte_array_append(out, (const guint8 *)"\xFF\x22\x03\x80\x01\x00", 6);
		break;
	case 0x86:
		put_bytes(out, pir);
		break;
	case 0xFF24:
		ifpp_tlv_put_span(out, 0xFF24, ifpp_span_bytes(receipt));
	}
}

/* Blocks are joined, and the last one answered. */
static void answer_apdu(IfppSpan apdu, GByteArray *out)
{
	gsize n;

	if (apdu.len < 5 || apdu.data[1] != 0xE2)
		return;
	n = MIN(apdu.data[4], apdu.len - 5);
	if (apdu.data[3] == 0)
		g_byte_array_set_size(bench->command, 0);
	g_byte_array_append(bench->command, apdu.data + 5, n);
	if (apdu.data[2] == 0x91)
		answer_es10((IfppSpan){ bench->command->data, bench->command->len }, out);
}

static void sound_answer(guint8 qmi_service, guint16 message, IfppSpan tlvs, GByteArray *out)
{
	g_autoptr(GByteArray) response = g_byte_array_new();
	IfppSpan value;

	if (qmi_service == 0) {		/* allocate, release */
		value = find_tlv(tlvs, 0x01);
		put_tlv(out, 0x01, (guint8[]){ value.len ? value.data[0] : 0, 1 }, 2);
		return;
	}
	if (qmi_service == 2) {
		if (message == MESSAGE_GET_MODEL)
			put_tlv(out, 0x01, "fuzz", 4);
		return;
	}
	switch (message) {
	case MESSAGE_OPEN:
		put_tlv(out, 0x10, (guint8[]){ 1 }, 1);
		put_tlv(out, 0x11, (guint8[]){ 0x90, 0x00 }, 2);
		break;
	case MESSAGE_SEND_APDU:
		value = find_tlv(tlvs, 0x02);
		g_byte_array_append(response, (guint8[]){ 0, 0 }, 2);
		if (value.len >= 2)
			answer_apdu((IfppSpan){ value.data + 2, value.len - 2 }, response);
		g_byte_array_append(response, (guint8[]){ 0x90, 0x00 }, 2);
		response->data[0] = response->len - 2;
		response->data[1] = (response->len - 2) >> 8;
		put_tlv(out, 0x10, response->data, response->len);
	}
}

static void send_frame(guint8 qmi_service, guint8 cid, guint8 flags, guint16 transaction, guint16 message,
		       const GByteArray *tlvs)
{
	GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(bench->link));
	g_autoptr(GByteArray) frame = g_byte_array_new();
	gsize sdu = (qmi_service ? 7 : 6) + tlvs->len;

	g_byte_array_append(frame, (guint8[]){ 1, 5 + sdu, (5 + sdu) >> 8, 0x80, qmi_service, cid, flags,
			    transaction, transaction >> 8 }, qmi_service ? 9 : 8);
	g_byte_array_append(frame, (guint8[]){ message, message >> 8, tlvs->len, tlvs->len >> 8 }, 4);
	g_byte_array_append(frame, tlvs->data, tlvs->len);
	g_output_stream_write_all(out, frame->data, frame->len, NULL, NULL, NULL);
}

static void drop_link(void)
{
	g_clear_handle_id(&bench->source, g_source_remove);
	if (bench->link)
		g_io_stream_close(G_IO_STREAM(bench->link), NULL, NULL);
	g_clear_object(&bench->link);
}

/* @sdu: of a request that is whole */
static void respond(guint8 qmi_service, guint8 cid, IfppSpan sdu)
{
	gsize head = qmi_service ? 7 : 6;
	guint16 transaction = qmi_service ? get16(sdu.data + 1) : sdu.data[1];
	guint16 message = get16(sdu.data + head - 4);
	IfppSpan tlvs = { sdu.data + head, sdu.len - head }, record = { 0 };
	g_autoptr(GByteArray) out = g_byte_array_new();
	guint8 kind = SOUND, result[4] = { 0 };

	if (bench->in.len >= 3) {
		kind = bench->in.data[0] % KINDS;
		record = (IfppSpan){ bench->in.data + 3, MIN(get16(bench->in.data + 1), bench->in.len - 3) };
		bench->in.data += 3 + record.len;
		bench->in.len -= 3 + record.len;
	}
	record.len = MIN(record.len, 60000);
	if (kind == FRAME) {
		g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(bench->link)), record.data,
					  record.len, NULL, NULL, NULL);
		drop_link();
		return;
	}
	if (kind == INDICATION) {
		g_byte_array_append(out, record.data, record.len);
		send_frame(qmi_service, cid, qmi_service ? 4 : 2, 0, message, out);
		g_byte_array_set_size(out, 0);
	}
	if (kind == ERROR) {
		result[0] = 1;
		result[2] = record.len ? record.data[0] : 3;
	}
	put_tlv(out, 0x02, result, sizeof(result));
	if (kind == SOUND || kind == INDICATION) {
		sound_answer(qmi_service, message, tlvs, out);
	} else if (kind == CONTENT && qmi_service == 11 && message == MESSAGE_SEND_APDU) {
		g_autoptr(GByteArray) response = g_byte_array_new();

		g_byte_array_append(response, (guint8[]){ record.len, record.len >> 8 }, 2);
		g_byte_array_append(response, record.data, record.len);
		put_tlv(out, 0x10, response->data, response->len);
	} else if (kind == CONTENT) {
		g_byte_array_append(out, record.data, record.len);
	}
	send_frame(qmi_service, cid, qmi_service ? 2 : 1, transaction, message, out);
}

static gboolean on_readable(GObject *stream, gpointer user)
{
	guint8 buf[4096];
	gssize n = g_pollable_input_stream_read_nonblocking(G_POLLABLE_INPUT_STREAM(stream), buf, sizeof(buf), NULL,
							    NULL);

	if (n <= 0) {
		bench->source = 0;
		drop_link();
		return G_SOURCE_REMOVE;
	}
	g_byte_array_append(bench->frame, buf, n);
	while (bench->link && bench->frame->len >= 3 && bench->frame->len > get16(bench->frame->data + 1)) {
		gsize len = 1 + get16(bench->frame->data + 1);
		g_autofree guint8 *frame = g_memdup2(bench->frame->data, len);

		g_byte_array_remove_range(bench->frame, 0, len);
		respond(frame[4], frame[5], (IfppSpan){ frame + 6, len - 6 });
	}
	return bench->link ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean on_incoming(GSocketService *self, GSocketConnection *connection, GObject *from, gpointer user)
{
	GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(connection));
	g_autoptr(GSource) source = g_pollable_input_stream_create_source(G_POLLABLE_INPUT_STREAM(in), NULL);

	if (!bench)
		return TRUE;
	drop_link();
	bench->link = g_object_ref(connection);
	g_source_set_callback(source, G_SOURCE_FUNC(on_readable), NULL, NULL);
	bench->source = g_source_attach(source, NULL);
	return TRUE;
}

/* ------------------------------------------------------------------ the daemon */

static void wait_done(void)
{
	while (!bench->done)
		g_main_context_iteration(NULL, TRUE);
	bench->done = FALSE;
}

static void on_gone(gpointer user)
{
}

static void on_modem_open(GObject *source, GAsyncResult *res, gpointer user)
{
	bench->ok = modem_open_finish(res, NULL);
	bench->done = TRUE;
}

static void on_modem_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	modem_close_finish(res);
	bench->done = TRUE;
}

static void on_started(GObject *source, GAsyncResult *res, gpointer user)
{
	bench->ok = start_finish(res, NULL);
	bench->done = TRUE;
}

static void on_load(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(JobReply) reply = job_run_finish(res);

	if (reply->status == 0)
		g_assert_true(g_bytes_equal(reply->data, pir));
	bench->done = TRUE;
}

static void on_lock(GObject *source, GAsyncResult *res, gpointer user)
{
	g_autoptr(JobReply) reply = job_run_finish(res);

	if (reply->status == 0)
		g_assert_true(g_bytes_equal(reply->data, receipt));
	bench->done = TRUE;
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
	const char *name;

	while (d && (name = g_dir_read_name(d))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		if (g_file_test(file, G_FILE_TEST_IS_DIR))
			remove_tree(file);
		else
			g_unlink(file);
	}
	g_rmdir(path);
}

/* The chip's export without certificates, and GetCerts with them. */
static void take_apart(void)
{
	g_autoptr(GByteArray) bare = g_byte_array_new(), list = g_byte_array_new(), inner = g_byte_array_new();
	GByteArray *answer = g_byte_array_new(), *export = g_byte_array_new();
	IfppSpan in = ifpp_span_bytes(info);
	IfppTlv all, tlv, cert;

	g_assert_true(ifpp_tlv_next(&in, &all, NULL));
	while (ifpp_tlv_next(&all.value, &tlv, NULL) && tlv.tag != 0xA4)
		g_byte_array_append(bare, tlv.whole.data, tlv.whole.len);
	for (guint32 tag = 0xA5; tag <= 0xA6; tag++) {
		g_assert_true(ifpp_tlv_next(&tlv.value, &cert, NULL));
		ifpp_tlv_put(list, tag, cert.value.data, cert.value.len);
	}
	ifpp_tlv_put(inner, 0xA0, list->data, list->len);
	ifpp_tlv_put(answer, 0xBF56, inner->data, inner->len);
	certs = g_byte_array_free_to_bytes(answer);
	ifpp_tlv_put(export, 0xFF21, bare->data, bare->len);
	bare_info = g_byte_array_free_to_bytes(export);
}

static void quiet(const char *domain, GLogLevelFlags level, const char *message, gpointer user)
{
}

static void start(void)
{
	g_autoptr(GSocketAddress) address = NULL;
	g_autoptr(GError) error = NULL;

	dir = g_strdup_printf("/dev/shm/ifpp-fuzz-daemon-%d", getpid());
	port = g_strdup_printf("%s-qmux_socket", dir);
	trust = g_build_filename(g_getenv("IFPP_FUZZ_SEEDS"), "trust", NULL);
	info = fuzz_file("euicc", "info");
	take_apart();
	package = fuzz_file("package", "direct");
	pir = fuzz_file("pir", "ok");
	receipt = fuzz_file("receipt", "receipt");
	g_log_set_handler("ifppd", G_LOG_LEVEL_MASK, quiet, NULL);
	g_log_set_handler("Qmi", G_LOG_LEVEL_MASK, quiet, NULL);
	unlink(port);
	address = g_unix_socket_address_new(port);
	service = g_socket_service_new();
	if (!g_socket_listener_add_address(G_SOCKET_LISTENER(service), address, G_SOCKET_TYPE_STREAM, 0, NULL, NULL,
					   &error))
		g_error("%s", error->message);
	g_signal_connect(service, "incoming", G_CALLBACK(on_incoming), NULL);
	g_socket_service_start(service);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const guint8 challenge[16] = { 1, 2, 3, 4 };
	g_autoptr(GBytes) lock = g_bytes_new_static(challenge, sizeof(challenge));
	Bench this = { .in = { data, len }, .frame = g_byte_array_new(), .command = g_byte_array_new(), .apart = len & 1 };
	ModemOptions options = { .timeout = 1 };
	g_autoptr(Chip) chip = NULL;
	Modem *modem;

	if (!service)
		start();
	bench = &this;
	options.device = port;
	options.state_dir = dir;
	modem = modem_qmi_new(&options, on_gone, NULL);
	modem_open_async(modem, g_get_monotonic_time() + 60 * G_USEC_PER_SEC, NULL, on_modem_open, NULL);
	wait_done();
	if (this.ok) {
		chip = chip_new(modem, &ifpp_codec, trust, dir, FALSE);
		start_async(chip, NULL, on_started, chip);
		wait_done();
	}
	if (chip && this.ok) {
		job_run_async(chip, IFPP_REQ_LOAD, package, 2000, NULL, on_load, chip);
		wait_done();
		job_run_async(chip, IFPP_REQ_LOCK, lock, 2000, NULL, on_lock, chip);
		wait_done();
	}
	modem_close_async(modem, on_modem_closed, NULL);
	wait_done();
	g_clear_pointer(&chip, chip_free);
	modem_free(modem);
	drop_link();
	while (g_main_context_iteration(NULL, FALSE))
		;
	bench = NULL;
	g_byte_array_unref(this.frame);
	g_byte_array_unref(this.command);
	remove_tree(dir);
	return 0;
}
