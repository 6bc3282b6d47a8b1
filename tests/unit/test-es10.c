// SPDX-License-Identifier: GPL-2.0-or-later
/* STORE DATA and GET RESPONSE over a modem that is a function: class bytes, bounds, block sizes. */
#include <string.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "error.h"
#include "es10.h"
#include "task.h"

#define CHANNEL_MAX 19

/* Answers one APDU: bytes with SW, or NULL and an error. */
typedef GBytes *(*Card)(IfppSpan apdu, GError **error);

typedef struct {
	Modem base;
	Card card;
	guint8 channel;		/* that it gives */
} Fake;

static guint sent;		/* APDUs */
static guint stores;		/* of them STORE DATA */
static guint largest;		/* data of a STORE DATA that was taken */
static guint limit;		/* of the card or modem */
static guint failures;		/* QMI errors still to come */
static guint8 get_response_cla;
static gint last_p2;

static void fake_open(Modem *base, IfppSpan aid, guint wait, GTask *task)
{
	base->channel = ((Fake *)base)->channel;
	ifppd_task_done(task);
}

static void fake_transmit(Modem *base, IfppSpan apdu, guint timeout, gint64 deadline, GTask *task)
{
	GError *error = NULL;
	GBytes *response;

	sent++;
	response = ((Fake *)base)->card(apdu, &error);
	if (response) {
		g_task_return_pointer(task, response, (GDestroyNotify)g_bytes_unref);
		g_object_unref(task);
	} else {
		ifppd_task_fail(task, error);
	}
}

static void fake_free(Modem *base)
{
}

static const ModemOps fake_ops = {
	.free = fake_free,
	.channel_open = fake_open,
	.transmit = fake_transmit,
};

static void on_gone(gpointer user)
{
}

static void on_done(GObject *source, GAsyncResult *res, gpointer user)
{
	*(GAsyncResult **)user = g_object_ref(res);
}

static GAsyncResult *wait_for(GAsyncResult **res)
{
	while (!*res)
		g_main_context_iteration(NULL, TRUE);
	return *res;
}

typedef struct {
	char *dir;
	Modem *modem;
	Es10 *es10;
} Bench;

static void bench_open(Bench *bench, const char *dir, Card card, guint8 channel)
{
	ModemOptions options = { .device = "fake", .state_dir = dir, .timeout = 1 };
	Fake *fake = g_new0(Fake, 1);
	GAsyncResult *res = NULL;

	modem_init(&fake->base, &fake_ops, &options, on_gone, NULL);
	fake->card = card;
	fake->channel = channel;
	bench->dir = g_strdup(dir);
	bench->modem = &fake->base;
	bench->es10 = es10_new(bench->modem);
	es10_open_async(bench->es10, G_MAXINT64, NULL, on_done, &res);
	g_assert_true(es10_open_finish(wait_for(&res), NULL));
	g_object_unref(res);
	sent = stores = largest = 0;
}

static void bench_close(Bench *bench)
{
	es10_free(bench->es10);
	modem_free(bench->modem);
	g_free(bench->dir);
}

static GBytes *ask(Bench *bench, gsize len, Es10Kind kind, GError **error)
{
	g_autofree guint8 *command = g_malloc0(len);
	GAsyncResult *res = NULL;
	GBytes *out;

	es10_send_async(bench->es10, "a command", (IfppSpan){ command, len }, kind, G_MAXINT64, NULL, on_done, &res);
	out = es10_send_finish(bench->es10, wait_for(&res), error);
	g_object_unref(res);
	return out;
}

static GBytes *sw(guint value)
{
	return g_bytes_new((guint8[]){ value >> 8, value }, 2);
}

/* -------------------------------------------------------------- GET RESPONSE */

static GBytes *card_nothing(IfppSpan apdu, GError **error)
{
	return sw(0x6100);
}

static GBytes *card_one_byte(IfppSpan apdu, GError **error)
{
	return apdu.data[1] == 0xc0 ? g_bytes_new((guint8[]){ 0x55, 0x61, 0x01 }, 3) : sw(0x6101);
}

static GBytes *card_ping_pong(IfppSpan apdu, GError **error)
{
	return sent % 2 ? sw(0x6c10) : sw(0x6110);
}

static GBytes *card_full(IfppSpan apdu, GError **error)
{
	guint8 data[258] = { 0 };

	data[256] = 0x61;
	return g_bytes_new(data, sizeof(data));
}

/* A chip that promises and does not give ends a command soon, and not by the deadline. */
static void test_get_response_bounded(void)
{
	static const struct { Card card; guint most; } cases[] = {
		{ card_nothing, 16 }, { card_one_byte, 16 }, { card_ping_pong, 32 }, { card_full, 300 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		Bench bench;
		g_autoptr(GError) error = NULL;
		g_autoptr(GBytes) response = NULL;

		bench_open(&bench, "/nonexistent", cases[i].card, 1);
		response = ask(&bench, 10, ES10_COMMAND, &error);
		g_assert_null(response);
		g_assert_error(error, IFPP_ERROR, IFPP_ERROR_CHIP);
		g_test_message("case %u: %u APDUs: %s", i, sent, error->message);
		g_assert_cmpuint(sent, <=, cases[i].most);
		bench_close(&bench);
	}
}

/* 700 bytes in pieces, the last of one byte. */
static GBytes *card_pieces(IfppSpan apdu, GError **error)
{
	guint8 data[258] = { 0 };
	guint n = sent == 1 ? 0 : sent < 5 ? 233 : 1;

	if (apdu.data[1] == 0xc0)
		get_response_cla = apdu.data[0];
	data[n] = sent == 5 ? 0x90 : 0x61;
	data[n + 1] = sent == 5 ? 0 : sent == 4 ? 1 : 233;
	return g_bytes_new(data, n + 2);
}

/* GET RESPONSE is an interindustry command: 0X and 4X, where STORE DATA has 8X and CX (ETSI TS 102 221, 10.1.1). */
static void test_get_response_class(void)
{
	for (guint channel = 1; channel <= CHANNEL_MAX; channel++) {
		Bench bench;
		g_autoptr(GError) error = NULL;
		g_autoptr(GBytes) response = NULL;

		bench_open(&bench, "/nonexistent", card_pieces, channel);
		response = ask(&bench, 10, ES10_COMMAND, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(g_bytes_get_size(response), ==, 700);
		g_assert_cmphex(get_response_cla, ==, channel < 4 ? channel : 0x40 | (channel - 4));
		bench_close(&bench);
	}
}

/* --------------------------------------------------------------- block sizes */

static GBytes *take_store(IfppSpan apdu)
{
	stores++;
	largest = MAX(largest, apdu.data[4]);
	last_p2 = apdu.data[3];
	return sw(0x9000);
}

static GBytes *card_6700(IfppSpan apdu, GError **error)
{
	return apdu.data[4] > limit ? sw(0x6700) : take_store(apdu);
}

/* A modem that has no better word for it than "internal". */
static GBytes *modem_internal(IfppSpan apdu, GError **error)
{
	if (apdu.data[4] <= limit)
		return take_store(apdu);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_MODEM, "internal");
	return NULL;
}

static GBytes *modem_passing(IfppSpan apdu, GError **error)
{
	if (!failures)
		return take_store(apdu);
	failures--;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_MODEM, "busy");
	return NULL;
}

static void assert_asks(Bench *bench, gsize len, Es10Kind kind, guint apdus)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) response = NULL;

	sent = 0;
	response = ask(bench, len, kind, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(sent, ==, apdus);
}

static void remove_dir(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		if (g_file_test(child, G_FILE_TEST_IS_DIR))
			remove_dir(child);
		else
			g_unlink(child);
	}
	g_rmdir(path);
}

/* A lasting limit is found and remembered, whatever word there is for it, and costs a try now and then. */
static void test_block_limits(void)
{
	static const struct { Card card; guint limit, size, first; } cases[] = {
		{ card_6700, 240, 240, 1 + 3 },	  { card_6700, 120, 120, 2 + 5 },    { card_6700, 100, 63, 3 + 10 },
		{ modem_internal, 240, 240, 2 + 3 }, { modem_internal, 120, 120, 3 + 5 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *dir = g_dir_make_tmp("ifpp-XXXXXX", NULL);
		guint blocks = (600 + cases[i].size - 1) / cases[i].size;
		Bench bench;

		limit = cases[i].limit;
		bench_open(&bench, dir, cases[i].card, 1);
		assert_asks(&bench, 600, ES10_COMMAND, cases[i].first);
		g_assert_cmpuint(block_size(modem_block(bench.modem)), ==, cases[i].size);
		/* Never tried in the middle of a load. */
		assert_asks(&bench, 600, ES10_SEGMENT, blocks);
		assert_asks(&bench, 600, ES10_COMMAND, cases[i].first);
		assert_asks(&bench, 600, ES10_COMMAND, blocks);
		bench_close(&bench);

		/* The next process remembers, and with new firmware nothing is known. */
		bench_open(&bench, dir, cases[i].card, 1);
		assert_asks(&bench, 600, ES10_SEGMENT, blocks);
		bench_close(&bench);
		bench_open(&bench, dir, cases[i].card, 1);
		bench.modem->identity.revision = g_strdup("newer");
		g_assert_cmpuint(block_size(modem_block(bench.modem)), ==, BLOCK_MAX);
		/* It takes all now. */
		limit = BLOCK_MAX;
		assert_asks(&bench, 600, ES10_COMMAND, 3);
		bench_close(&bench);
		bench_open(&bench, dir, cases[i].card, 1);
		assert_asks(&bench, 600, ES10_COMMAND, 3);
		assert_asks(&bench, 600, ES10_SEGMENT, 3);
		bench_close(&bench);
		remove_dir(dir);
	}
}

/* One passing error costs one APDU; in a block that is the last one it ends the command, which may have been done. */
static void test_passing_error(void)
{
	Bench bench;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) response = NULL;

	bench_open(&bench, "/nonexistent", modem_passing, 1);
	failures = 1;
	assert_asks(&bench, 600, ES10_SEGMENT, 4);
	g_assert_cmpuint(block_size(modem_block(bench.modem)), ==, BLOCK_MAX);
	failures = 1;
	sent = 0;
	response = ask(&bench, 200, ES10_SEGMENT, &error);
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_MODEM);
	g_assert_cmpuint(sent, ==, 1);
	bench_close(&bench);
}

/* P2 counts the blocks in one byte: it must not begin again. */
static void test_p2(void)
{
	g_autofree char *dir = g_dir_make_tmp("ifpp-XXXXXX", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) response = NULL;
	Bench bench;

	limit = BLOCK_MAX;
	bench_open(&bench, dir, card_6700, 1);
	assert_asks(&bench, 256 * 255, ES10_SEGMENT, 256);
	g_assert_cmpint(last_p2, ==, 255);
	response = ask(&bench, 256 * 255 + 1, ES10_SEGMENT, &error);
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TOO_LARGE);
	g_clear_error(&error);
	/* Also where the size is found out on the way. */
	limit = 63;
	stores = 0;
	response = ask(&bench, 256 * 63 + 1, ES10_SEGMENT, &error);
	g_assert_error(error, IFPP_ERROR, IFPP_ERROR_TOO_LARGE);
	g_assert_cmpuint(stores, ==, 0);
	bench_close(&bench);
	remove_dir(dir);
}

/* The certificates of an IoT eUICC; what is not exactly an answer is none, and an error is named. */
static void test_get_certs(void)
{
	static const struct {
		const char *hex, *says;	/* NULL: sound */
	} cases[] = {
		{ "bf560aa008a5020101a6020202", NULL },
		{ "bf5603810101", "invalidCiPKId (1)" },
		{ "bf560381017f", "undefinedError (127)" },
		{ "bf5603810105", "a code that SGP.32 does not have (5)" },
		{ "", "answered nothing" },
		{ "bf5600", "GetCerts" },
		{ "bf5602a000", "eumCertificate" },
		{ "bf5606a004a5020101", "euiccCertificate" },
		{ "bf560aa008a6020202a5020101", "eumCertificate" },
		{ "bf560ca00aa5020101a60202028000", "bytes after the certificates" },
		{ "bf560ca008a5020101a60202028000", "bytes after the certificates" },
		{ "bf560aa008a5020101a602020200", "1 bytes after the answer" },
		{ "bf2202a000", "GetCerts" },
	};
	static const guint8 eum_der[] = { 0x30, 2, 1, 1 }, euicc_der[] = { 0x30, 2, 2, 2 };

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) response = *cases[i].hex ? ifpp_unhex(cases[i].hex) : g_bytes_new(NULL, 0), eum = NULL, euicc = NULL;
		g_autoptr(GError) error = NULL;
		gboolean ok = es10_get_certs_parse(response, &eum, &euicc, &error);

		g_assert_cmpint(ok, ==, !cases[i].says);
		if (!cases[i].says) {
			g_assert_cmpmem(eum_der, 4, g_bytes_get_data(eum, NULL), g_bytes_get_size(eum));
			g_assert_cmpmem(euicc_der, 4, g_bytes_get_data(euicc, NULL), g_bytes_get_size(euicc));
		} else if (!strstr(error->message, cases[i].says)) {
			g_error("%s: %s, wanted %s", cases[i].hex, error->message, cases[i].says);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/es10/get_response_bounded", test_get_response_bounded);
	g_test_add_func("/es10/get-response-class", test_get_response_class);
	g_test_add_func("/es10/block-limits", test_block_limits);
	g_test_add_func("/es10/passing-error", test_passing_error);
	g_test_add_func("/es10/p2", test_p2);
	g_test_add_func("/es10/get_certs_errors_named", test_get_certs);
	return g_test_run();
}
