// SPDX-License-Identifier: GPL-2.0-or-later
/* One check after the other, so this waits for each answer instead of calling back. */
#define G_LOG_DOMAIN "ifppd"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib-unix.h>
#include <glib/gstdio.h>

#include "clock.h"
#include "codec.h"
#include "eid.h"
#include "error.h"
#include "euicc-data.h"
#include "floor.h"
#include "modem-port.h"
#include "selftest-tell.h"
#include "verify.h"

#define STEP_TIME (60 * G_USEC_PER_SEC)
#define ROUND_TRIPS 10
#define SLOW_NS (500 * G_GINT64_CONSTANT(1000000))
#define PROFILE_BYTES 13000	/* TS.48's, as a measure */
#define PROFILE_SEGMENTS 15

/* --------------------------------------------------------------- waiting */

static gint64 step_end(void)
{
	return g_get_monotonic_time() + STEP_TIME;
}

static void on_answer(GObject *source, GAsyncResult *res, gpointer user)
{
	Selftest *test = user;

	test->answer = g_object_ref(res);
}

static GAsyncResult *answer(Selftest *test)
{
	while (!test->answer)
		g_main_context_iteration(NULL, TRUE);
	return g_steal_pointer(&test->answer);
}

static gboolean on_signal(gpointer user)
{
	Selftest *test = user;

	g_cancellable_cancel(test->cancellable);
	return G_SOURCE_CONTINUE;
}

/* What is in hand fails by itself. */
static void on_gone(gpointer user)
{
}

/* One command to the ISD-R; NULL and @error set if it was not answered with 9000. */
static GBytes *ask(Selftest *test, const char *what, GBytes *command, GError **error)
{
	g_autoptr(GAsyncResult) res = NULL;

	es10_send_async(test->es10, what, ifpp_span_bytes(command), ES10_COMMAND, step_end(),
			test->cancellable, on_answer, test);
	g_bytes_unref(command);
	res = answer(test);
	return es10_send_finish(test->es10, res, error);
}

/* ---------------------------------------------------------------- checks */

/* Two programs on one port read each other's answers. */
static gboolean served(const Modem *modem)
{
	g_autofree char *port = g_path_get_basename(modem->device);
	g_autofree char *unit = modem->no_node ?
		g_strdup_printf("/sys/fs/cgroup/system.slice/system-ifppd\\x2dqrtr.slice/ifppd-qrtr@%s.service", port) :
		g_strdup_printf("/sys/fs/cgroup/system.slice/system-ifppd.slice/ifppd@%s.service", port);

	return (modem->no_node || g_str_has_prefix(modem->device, "/dev/")) && !access(unit, F_OK);
}

/* Port, QMI and slots come together: opening the modem needs all three. */
static gboolean check_modem(Selftest *test)
{
	const char *device = test->modem->device;
	g_autoptr(GAsyncResult) res = NULL;
	g_autoptr(GAsyncResult) versions_res = NULL;
	g_autofree char *versions = NULL;
	const ModemIdentity *id;
	GError *error = NULL, *local = NULL;

	if (served(test->port)) {
		fail_hint(test, PORT, g_error_new(IFPP_ERROR, IFPP_ERROR_NO_DEVICE, "%s: ifppd serves this port now", device),
			  test->port->no_node ? "Stop it with systemctl stop 'ifppd-qrtr@*' and test again" :
			  "Stop it with systemctl stop 'ifppd@*' and test again");
		return FALSE;
	}
	modem_open_async(test->port, step_end(), test->cancellable, on_answer, test);
	res = answer(test);
	if (!modem_open_finish(res, &error) &&
	    (error->domain != IFPP_ERROR || error->code == IFPP_ERROR_NO_DEVICE ||
	     error->code == IFPP_ERROR_ACCESS || error->code == IFPP_ERROR_UNSUPPORTED)) {
		fail_hint(test, PORT, error, error->code != IFPP_ERROR_NO_DEVICE ? ifpp_error_hint(error->code) :
			  test->port->no_node ? "Give the node of the modem; it is there once its firmware runs" :
			  "Check that the modem is plugged in, and that its driver is qmi_wwan or cdc_mbim");
		return FALSE;
	}
	pass(test, PORT, -1, "%s%s", device, test->modem->proxy ? " through qmi-proxy" : "");
	if (error && error->code != IFPP_ERROR_NO_EUICC) {
		fail_hint(test, QMI, error,
			  "Reset or replug the modem, end other programs on this port (ModemManager), and check "
			  "that its firmware speaks QMI here");
		return FALSE;
	}
	modem_versions_async(test->port, step_end(), test->cancellable, on_answer, test);
	versions_res = answer(test);
	versions = modem_versions_finish(versions_res, &local);
	if (versions) {
		pass(test, QMI, -1, "%s", versions);
	} else {
		/* The client for UIM was had: what counts is there. */
		tell(test, QMI, WARNED, -1, ifpp_error_hint(local->code), local->message);
		g_error_free(local);
	}
	if (error) {
		fail(test, SLOTS, error);
		return FALSE;
	}
	id = modem_identity(test->port);
	pass(test, SLOTS, -1, "%s, firmware %s, IMEI %s: %s", modem_model(test->port),
	     id->revision ? id->revision : "unknown", !id->imei ? "unknown" : test->options->show_ids ? id->imei : "known",
	     modem_slots(test->port));
	return TRUE;
}

static gboolean open_channel(Selftest *test, GError **error)
{
	g_autoptr(GAsyncResult) res = NULL;

	es10_open_async(test->es10, step_end(), test->cancellable, on_answer, test);
	res = answer(test);
	return es10_open_finish(res, error);
}

/* A channel is opened, closed and opened again: modems that lose them run out after nineteen. */
static gboolean check_channels(Selftest *test)
{
	g_autoptr(GAsyncResult) res = NULL;
	GError *error = NULL;
	g_autoptr(GError) closing = NULL;
	guint first;

	if (!open_channel(test, &error)) {
		if (error->code == IFPP_ERROR_NO_EUICC) {
			tell(test, CHANNELS, SKIPPED, -1, NULL, "nothing to open one to");
			fail_hint(test, ISD_R, error,
				  "Choose the eUICC's slot with --slot; a plain SIM cannot be provisioned");
		} else {
			fail_hint(test, CHANNELS, error,
				  "The firmware must let QMI UIM open logical channels: ask its maker for one that does");
		}
		return FALSE;
	}
	first = modem_channel(test->port);
	modem_channel_close_async(test->port, step_end(), test->cancellable, on_answer, test);
	res = answer(test);
	modem_channel_close_finish(res, &closing);
	if (!open_channel(test, &error)) {
		fail(test, CHANNELS, error);
		return FALSE;
	}
	if (closing || modem_channel(test->port) != first)
		tell(test, CHANNELS, WARNED, first,
		     "Ask for newer firmware; until then reset the modem when no channel is left",
		     closing ? closing->message : "a closed channel is not used again: the modem may lose them");
	else
		pass(test, CHANNELS, first, "channel %u opened, closed and opened again", first);
	return TRUE;
}

static gboolean check_isd_r(Selftest *test)
{
	GError *error = NULL;
	g_autoptr(GBytes) response = ask(test, "GetEID", es10_get_eid(), &error);
	g_autofree char *text = NULL;
	char eid[33];

	if (!response || !es10_get_eid_parse(response, test->eid, &error)) {
		fail(test, ISD_R, error);
		return FALSE;
	}
	if (test->options->show_ids)
		ifpp_eid_format(test->eid, eid);
	else
		ifpp_eid_mask(test->eid, eid);
	text = g_strdup_printf("EID %s", eid);
	if (ifpp_eid_valid(test->eid))
		pass(test, ISD_R, -1, "%s", text);
	else
		tell(test, ISD_R, WARNED, -1, "Ask the chip's maker: no package can be sealed for such an EID",
		     "the EID's check digits are wrong");
	return TRUE;
}

/*
 * A request for the EID, 300 times: long, and harmless whatever the chip thinks of it. Once the
 * first block is taken its size is proven, even if the whole is refused.
 */
static void check_block(Selftest *test)
{
	g_autoptr(GByteArray) list = g_byte_array_new();
	g_autoptr(GByteArray) body = g_byte_array_new();
	g_autoptr(GByteArray) command = g_byte_array_new();
	GError *error = NULL;
	g_autoptr(GBytes) response = NULL;
	guint before = es10_count(test->es10).apdus;

	g_byte_array_set_size(list, 300);
	memset(list->data, 0x5a, list->len);
	ifpp_tlv_put(body, 0x5c, list->data, list->len);
	ifpp_tlv_put(command, 0xbf3e, body->data, body->len);
	response = ask(test, "a long GetEID", g_bytes_new(command->data, command->len), &error);
	if (!response && !es10_sw(test->es10)) {
		fail_hint(test, BLOCK, error, "The firmware takes no APDU of 63 bytes of data: ask its maker");
		return;
	}
	if (!response && es10_count(test->es10).apdus - before < 2)
		tell(test, BLOCK, WARNED, -1, "The first load will find the size", error->message);
	else
		pass(test, BLOCK, block_size(modem_block(test->port)), "APDUs take blocks of %u bytes", block_size(modem_block(test->port)));
	g_clear_error(&error);
}

/* Where GetFactoryInfo has no certificates, GetCerts may have. */
static gboolean ask_certs(Selftest *test, GBytes **full, IfppFactoryInfo **info, GError **error)
{
	g_autoptr(GBytes) response = NULL;

	if ((*info)->cert_euicc)
		return TRUE;
	response = ask(test, "GetCerts", es10_get_certs(), error);
	if (!response) {
		g_prefix_error_literal(error, "no certificates in GetFactoryInfo, and ");
		return FALSE;
	}
	g_clear_pointer(info, ifpp_factory_info_free);
	*info = euicc_data_add_certs(full, response, error);
	return *info != NULL;
}

static void check_codec(Selftest *test)
{
	static const char *const states[] = { "in the factory", "drained", "locked" };
	GError *error = NULL;
	g_autoptr(GBytes) response = ask(test, "GetFactoryInfo", ifpp_codec.get_info(TRUE), &error);
	g_autoptr(IfppFactoryInfo) info = response ? ifpp_codec.parse_info(response, &error) : NULL;

	if (!response && es10_sw(test->es10)) {
		g_error_free(error);
		error = g_error_new(IFPP_ERROR, IFPP_ERROR_NO_EUICC,
				    "an eUICC without factory provisioning: it answers %04X to %s",
				    es10_sw(test->es10), ifpp_codec.name);
		fail_hint(test, CODEC, error, "This chip cannot be provisioned here: order eUICCs with this codec");
		return;
	}
	if (!info || !ask_certs(test, &response, &info, &error) || !verify_progress(NULL, info, &error)) {
		fail(test, CODEC, error);
		return;
	}
	pass(test, CODEC, info->version, "%s-%u, the chip is %s", ifpp_codec.name, info->version,
	     info->state < G_N_ELEMENTS(states) ? states[info->state] : "in an unknown state");
	if (info->state == 2 || !info->keys->len) {
		tell(test, KEYS, WARNED, 0, "Take a unit with one-time keys, not locked, to test loading",
		     info->state == 2 ? "none: the chip is locked for life" : "none is left: nothing more can be loaded");
		return;
	}
	if (!test->trust)
		return;
	if (ifpp_factory_info_verify(info, test->eid, test->trust, &error))
		pass(test, KEYS, info->keys->len, "%u one-time keys left, each attested under a root in %s",
		     info->keys->len, test->options->trust_dir);
	else
		fail(test, KEYS, error);
}

/* Does this machine know the time? */
static void check_time(Selftest *test)
{
	GError *error = NULL;
	g_autofree char *text = NULL, *says = NULL;
	gint64 now = 0;

	clock_apply(test->trust, test->modem->state_dir, test->options->policy);
	if (!ifpp_trust_now(test->trust, &now, &error)) {
		fail(test, TIME, error);
		return;
	}
	text = ifpp_floor_text(now);
	if (!ifpp_trust_floor(test->trust)) {
		pass(test, TIME, now, "%s, and nothing here is of later", text);
		return;
	}
	says = g_strdup_printf("the clock is wrong; as Clock=floor says dates are held against %s", text);
	tell(test, TIME, WARNED, now, "What has expired since is not noticed: set the clock, or bring the newest CRLs", says);
}

static void check_trust(Selftest *test)
{
	g_autoptr(GPtrArray) ends = NULL;
	GError *error = NULL;
	g_autofree char *text = NULL;

	test->trust = ifpp_trust_new_from_dir(test->options->trust_dir, &error);
	if (!test->trust) {
		fail(test, TRUST, error);
		return;
	}
	check_time(test);
	text = ifpp_trust_summary(test->trust);
	if (ifpp_trust_problems(test->trust)->len)
		tell(test, TRUST, WARNED, ifpp_trust_problems(test->trust)->len,
		     "Replace or remove these files: what depends on them is refused, the rest is not", text);
	ends = ifpp_trust_ends(test->trust);
	for (guint i = 0; i < ends->len; i++)
		tell(test, TRUST, WARNED, ends->len, "Bring the next issue before that day", ends->pdata[i]);
	if (!ends->len && !ifpp_trust_problems(test->trust)->len)
		pass(test, TRUST, ifpp_trust_key_makers(test->trust), "%s", text);
}

static void check_timing(Selftest *test)
{
	gint64 worst = 0, sum = 0, load;

	for (guint i = 0; i < ROUND_TRIPS; i++) {
		gint64 begin = g_get_monotonic_time(), took;
		GError *error = NULL;
		g_autoptr(GBytes) response = ask(test, "GetEID", es10_get_eid(), &error);

		if (!response) {
			fail(test, TIMING, error);
			return;
		}
		took = (g_get_monotonic_time() - begin) * 1000;
		worst = MAX(worst, took);
		sum += took / ROUND_TRIPS;
	}
	load = sum * (PROFILE_BYTES / block_size(modem_block(test->port)) + PROFILE_SEGMENTS);
	if (worst > SLOW_NS) {
		g_autofree char *text = g_strdup_printf("an APDU takes %.0f ms, at worst %.0f ms", sum / 1e6,
							worst / 1e6);

		tell(test, TIMING, WARNED, sum,
		     "Loads will be slow; give ifppd a longer --timeout if the modem misses it", text);
		return;
	}
	pass(test, TIMING, sum, "an APDU takes %.2f ms, at worst %.2f ms; %u KB of profile about %.2f s",
	     sum / 1e6, worst / 1e6, PROFILE_BYTES / 1000, load / 1e9);
}

static void run_checks(Selftest *test)
{
	check_trust(test);
	if (!check_modem(test) || !check_channels(test) || !check_isd_r(test))
		return;
	check_block(test);
	check_codec(test);
	check_timing(test);
}

static void remove_memory(const char *path)
{
	g_autofree char *sub = g_build_filename(path, "modem", NULL);
	g_autoptr(GDir) dir = g_dir_open(sub, 0, NULL);

	for (const char *name; dir && (name = g_dir_read_name(dir));) {
		g_autofree char *file = g_build_filename(sub, name, NULL);

		g_unlink(file);
	}
	g_rmdir(sub);
	g_rmdir(path);
}

int selftest_run(const ModemOptions *modem, const SelftestOptions *options)
{
	g_autoptr(GError) error = NULL;
	/* Remembers nothing: what the daemon has learnt of this modem stays as it is. */
	g_autofree char *dir = g_dir_make_tmp("ifpp-selftest-XXXXXX", &error);
	ModemOptions own = *modem;
	Selftest test = { .modem = modem, .options = options };
	guint signals[2];
	g_autoptr(GAsyncResult) res = NULL;
	int code = IFPP_EXIT_OK;

	g_log_writer_default_set_use_stderr(TRUE);
	if (!dir) {
		g_autoptr(GError) io = g_error_new(IFPP_ERROR, IFPP_ERROR_IO, "selftest: %s", error->message);

		return ifpp_error_exit("ifppd", io);
	}
	own.state_dir = dir;
	own.run_dir = NULL;
	own.guest = TRUE;
	signals[0] = g_unix_signal_add(SIGTERM, on_signal, &test);
	signals[1] = g_unix_signal_add(SIGINT, on_signal, &test);
	test.cancellable = g_cancellable_new();
	test.port = modem_new(&own, on_gone, &test);
	test.es10 = es10_new(test.port);
	run_checks(&test);
	for (guint i = 0; i < N_CHECKS; i++)
		if (!test.said[i])
			tell(&test, i, SKIPPED, -1, NULL, "needs what failed above");
	modem_close_async(test.port, on_answer, &test);
	res = answer(&test);
	modem_close_finish(res);

	tell_end(&test);
	if (test.error)
		code = ifpp_error_exit("ifppd: selftest", test.error);
	es10_free(test.es10);
	modem_free(test.port);
	g_clear_error(&test.error);
	g_clear_pointer(&test.trust, ifpp_trust_free);
	remove_memory(dir);
	g_object_unref(test.cancellable);
	for (guint i = 0; i < G_N_ELEMENTS(signals); i++)
		g_source_remove(signals[i]);
	return code;
}
