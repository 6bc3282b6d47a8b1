// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ifppd: between one modem and /dev/ifpp-relay. One process per modem, one main loop, one
 * request at a time.
 */
#define G_LOG_DOMAIN "ifppd"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <glib-unix.h>

#include "error.h"
#include "finish.h"
#include "job.h"
#include "modem-port.h"
#include "netlink.h"
#include "notify.h"
#include "options.h"
#include "relay.h"
#include "selftest.h"
#include "start.h"

#define OPEN_TIME (120 * G_USEC_PER_SEC)

typedef struct {
	GMainLoop *loop;
	GCancellable *cancellable;
	Modem *modem;
	Chip *chip;
	Relay *relay;
	RelayRequest *request;		/* in hand */
	IfppNetlink *netlink;
	guint32 index;			/* of /dev/ifppN */
	guint linger;			/* seconds */
	const char *policy;		/* given, or NULL: the station's, if it has one */
	gboolean asked_policy;		/* what is wanted of a chip that is locked */
	IfppPolicy target;		/* that, until it was tried */
	RelayRequest *waiting;		/* came while that was tried */
	gboolean busy;			/* an operation will call back */
	gboolean stopping;		/* end as soon as nothing is in hand */
	gboolean closing;
	gboolean asked;			/* to end, by a signal */
	GError *error;			/* to exit with */
} App;

static void app_close(App *app);

/* End with @error (taken), or in peace; at once when nothing is in hand. */
static void app_stop(App *app, GError *error)
{
	/* The first reason counts: who was asked to end does not end with an error. */
	if (error && !app->stopping)
		app->error = error;
	else
		g_clear_error(&error);
	app->stopping = TRUE;
	if (!app->busy)
		app_close(app);
}

static void on_closed(GObject *source, GAsyncResult *res, gpointer user)
{
	App *app = user;

	modem_close_finish(res);
	g_main_loop_quit(app->loop);
}

static void app_close(App *app)
{
	if (app->closing)
		return;
	app->closing = TRUE;
	sd_notify(0, "STOPPING=1");
	g_clear_pointer(&app->relay, relay_free);
	modem_close_async(app->modem, on_closed, app);
}

/* Not before the lock: the policy may have come after the modem. */
static gboolean wants_more(App *app)
{
	g_autoptr(GError) error = NULL;

	if (!app->asked_policy && !finish_read_policy(app->policy, &app->target, &error))
		g_warning("%s: nothing is done after the lock, no eIM and no profile enabled: %s", chip_name(app->chip), error->message);
	app->asked_policy = TRUE;
	return finish_wanted(&app->target);
}

static void on_gone(gpointer user)
{
	App *app = user;

	/* libqmi is still in the middle of it: what is in hand fails by itself. */
	g_cancellable_cancel(app->cancellable);
	/* While we were leaving: if the modem is still there, so are our clients. A successor takes them back. */
	if (app->closing && !app->asked && !app->error && modem_is_there(app->modem))
		app->error = modem_gone_error(app->modem, "leaving it");
	/* Locked and proven: there was nothing left to do. */
	if (chip_proven(app->chip) && !wants_more(app))
		app_stop(app, NULL);
	else
		app_stop(app, modem_gone_error(app->modem, "serving it"));
}

static gboolean on_signal(gpointer user)
{
	App *app = user;

	/* A load in hand is finished: cutting it costs a one-time key. Who asks twice means it. */
	if (app->stopping || !app->request)
		g_cancellable_cancel(app->cancellable);
	app->asked = TRUE;
	app_stop(app, NULL);
	return G_SOURCE_CONTINUE;
}

static gboolean on_watchdog(gpointer user)
{
	sd_notify(0, "WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

static gboolean on_linger(gpointer user)
{
	app_stop(user, NULL);
	return G_SOURCE_REMOVE;
}

static void status(App *app, const char *doing)
{
	sd_notifyf(0, "STATUS=%s: %s, %u keys left%s%s", chip_name(app->chip),
		   ifpp_state_name(chip_state(app->chip)), chip_unspent(app->chip), doing ? ", " : "", doing ? doing : "");
}

static void maybe_done(App *app);
static void run_request(App *app, RelayRequest *request);

static void on_finish(GObject *source, GAsyncResult *res, gpointer user)
{
	App *app = user;
	gboolean left = app->target.switch_back != 0;

	app->busy = FALSE;
	finish_end(res);
	ifpp_policy_clear(&app->target);
	app->target = (IfppPolicy)IFPP_POLICY_DEFAULT;
	if (app->stopping)
		app_close(app);
	else if (left)		/* the chip, that is: it cannot be asked any more */
		app_stop(app, NULL);
	else if (app->waiting)
		run_request(app, g_steal_pointer(&app->waiting));
	else
		maybe_done(app);
}

/* Locked and proven: nothing is left to do here, now or ever, but for its eIM and the profile that starts its life in use. */
static void maybe_done(App *app)
{
	if (app->stopping || chip_state(app->chip) != IFPP_STATE_LOCKED || !chip_proven(app->chip))
		return;
	if (wants_more(app)) {
		app->busy = TRUE;
		finish_async(app->chip, &app->target, app->cancellable, on_finish, app);
		return;
	}
	g_message("%s is locked and its receipt is stored, the work is done", chip_name(app->chip));
	g_timeout_add_seconds(app->linger, on_linger, app);
}

/* -------------------------------------------------------------- requests */

static void on_reply(GObject *source, GAsyncResult *res, gpointer user)
{
	App *app = user;
	g_autoptr(JobReply) done = job_run_finish(res);
	g_autoptr(RelayRequest) request = g_steal_pointer(&app->request);
	g_autoptr(GArray) keys = chip_keys(app->chip, done->claimed);
	g_autoptr(GError) error = NULL;
	struct ifpp_reply reply = {
		.id = request->req.id,
		.type = request->req.type,
		.status = done->status,
		.reason = done->reason,
		.apdus = done->apdus,
		.apdu_bytes = done->apdu_bytes,
		.verify_ns = done->verify_ns,
		.chip_ns = done->chip_ns,
		.deleted = done->deleted,
	};

	app->busy = FALSE;
	if (done->report) {
		reply.flags = IFPP_REPLY_REPORT;
		reply.state = chip_state(app->chip);
		reply.spent_count = chip_spent(app->chip);
		reply.n_keys = keys->len;
	}
	if (!relay_reply(app->relay, &reply, (struct ifpp_key *)keys->data, done->data, &error))
		g_warning("%s", error->message);
	if (app->stopping) {
		app_close(app);
		return;
	}
	if (!done->report) {
		/* A fresh start asks again with everything new: client, channel, report. */
		app_stop(app, g_error_new(IFPP_ERROR, IFPP_ERROR_CHIP, "%s: does not answer",
					  chip_name(app->chip)));
		return;
	}
	status(app, NULL);
	maybe_done(app);
}

static void run_request(App *app, RelayRequest *request)
{
	static const char *const doing[] = { "", "loading", "deleting keys", "locking", "asking" };

	app->request = request;
	app->busy = TRUE;
	status(app, request->req.type < G_N_ELEMENTS(doing) ? doing[request->req.type] : NULL);
	job_run_async(app->chip, request->req.type, request->data, request->req.timeout_ms, app->cancellable,
		       on_reply, app);
}

static void on_request(RelayRequest *request, const GError *error, gpointer user)
{
	App *app = user;

	if (!request)
		app_stop(app, g_error_copy(error));
	else if (app->busy)
		app->waiting = request;
	else
		run_request(app, request);
}

/* --------------------------------------------------------------- netlink */

static void on_event(const IfppNlEvent *event, gpointer user)
{
	App *app = user;

	if (event->command == IFPP_CMD_DEV_CHANGE_NTF && event->dev.index == app->index && !app->request)
		sd_notifyf(0, "STATUS=%s: %s, %u keys left", chip_name(app->chip),
			   ifpp_state_name(event->dev.state), event->dev.keys_unspent);
	else if (event->command == IFPP_CMD_TAMPER_NTF && event->tamper.index == app->index)
		g_warning("%s: the kernel suspects tampering", chip_name(app->chip));
}

static void netlink_follow(App *app)
{
	g_autoptr(GError) error = NULL;

	app->netlink = ifpp_netlink_new(&error);
	if (!app->netlink || !ifpp_netlink_watch(app->netlink, on_event, app, &error))
		g_info("no events from the kernel: %s", error->message);
}

/* ----------------------------------------------------------------- start */

static void on_started(GObject *source, GAsyncResult *res, gpointer user)
{
	App *app = user;
	struct ifpp_attach attach = { 0 };
	g_autoptr(GArray) keys = NULL;
	GError *error = NULL;

	app->busy = FALSE;
	if (!start_finish(res, &error)) {
		if (app->stopping)
			g_clear_error(&error);
		app_stop(app, error);
		return;
	}
	if (app->stopping) {
		app_close(app);
		return;
	}
	keys = chip_keys(app->chip, TRUE);
	memcpy(attach.eid, chip_eid(app->chip), IFPP_EID_LEN);
	attach.state = chip_state(app->chip);
	attach.spent_count = chip_spent(app->chip);
	attach.n_keys = keys->len;
	if (!relay_attach(app->relay, &attach, (struct ifpp_key *)keys->data, &error)) {
		app_stop(app, error);
		return;
	}
	app->index = attach.index;
	g_message("%s on %s is ifpp%u: %s", chip_name(app->chip), modem_model(app->modem), app->index,
		  ifpp_state_name(attach.state));
	netlink_follow(app);
	status(app, NULL);
	sd_notify(0, "READY=1");
	relay_watch(app->relay, on_request, app);
	maybe_done(app);
}

static void on_modem(GObject *source, GAsyncResult *res, gpointer user)
{
	App *app = user;
	GError *error = NULL;

	app->busy = FALSE;
	if (!modem_open_finish(res, &error)) {
		if (app->stopping)
			g_clear_error(&error);
		app_stop(app, error);
		return;
	}
	if (app->stopping) {
		app_close(app);
		return;
	}
	sd_notifyf(0, "STATUS=%s: asking the chip", modem_model(app->modem));
	app->busy = TRUE;
	start_async(app->chip, app->cancellable, on_started, app);
}

/* Whatever is logged, by whomever: no EID in it. */
static GLogWriterOutput on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user)
{
	App *app = user;
	g_autofree GLogField *copy = g_memdup2(fields, n * sizeof(*fields));
	g_autofree char *text = NULL;

	for (gsize i = 0; app->chip && i < n; i++) {
		if (strcmp(copy[i].key, "MESSAGE") || copy[i].length >= 0)
			continue;
		g_free(text);
		text = chip_redact(app->chip, copy[i].value);
		copy[i].value = text;
	}
	return g_log_writer_default(level, copy, n, NULL);
}

/* The status line of the unit says why, until it is started again. */
static int fail(const GError *error)
{
	sd_notifyf(0, "STATUS=%s. %s.", error->message,
		   error->domain == IFPP_ERROR ? ifpp_error_hint(error->code) : "See its log");
	return ifpp_error_exit("ifppd", error);
}

static int run(App *app)
{
	guint64 watchdog = 0;

	app->loop = g_main_loop_new(NULL, FALSE);
	app->cancellable = g_cancellable_new();
	g_unix_signal_add(SIGTERM, on_signal, app);
	g_unix_signal_add(SIGINT, on_signal, app);
	if (sd_watchdog_enabled(0, &watchdog) > 0)
		g_timeout_add(MAX(watchdog / 2000, 100), on_watchdog, NULL);

	app->busy = TRUE;
	modem_open_async(app->modem, g_get_monotonic_time() + OPEN_TIME, app->cancellable, on_modem, app);
	g_main_loop_run(app->loop);
	if (app->error) {
		g_autofree char *text = chip_redact(app->chip, app->error->message);
		g_autoptr(GError) error = g_error_new_literal(app->error->domain, app->error->code, text);

		return fail(error);
	}
	return IFPP_EXIT_OK;
}

static void app_clear(App *app)
{
	g_clear_pointer(&app->netlink, ifpp_netlink_free);
	g_clear_pointer(&app->request, relay_request_free);
	g_clear_pointer(&app->waiting, relay_request_free);
	ifpp_policy_clear(&app->target);
	g_clear_pointer(&app->relay, relay_free);
	g_clear_pointer(&app->chip, chip_free);
	g_clear_pointer(&app->modem, modem_free);
	g_clear_object(&app->cancellable);
	g_clear_pointer(&app->loop, g_main_loop_unref);
	g_clear_error(&app->error);
}

int main(int argc, char **argv)
{
	g_autofree char *device = NULL;
	g_autofree char *trust = NULL;
	g_autofree char *state_dir = NULL;
	g_autofree char *relay = NULL;
	g_autofree char *policy = NULL;
	g_autofree char *protocol = NULL;
	int slot = 0, timeout = 10, linger = 5;
	gboolean show_ids = FALSE, proxy = FALSE, version = FALSE, selftest = FALSE, as_json = FALSE;
	const GOptionEntry entries[] = {
		{ "device", 0, 0, G_OPTION_ARG_FILENAME, &device, "QMI or MBIM port of the modem, or its node on QRTR", "/dev/cdc-wdm0|qrtr://0" },
		{ "protocol", 0, 0, G_OPTION_ARG_STRING, &protocol, "auto (default), qmi or mbim", "NAME" },
		{ "slot", 0, 0, G_OPTION_ARG_INT, &slot, "Physical SIM slot (default: the active one)", "N" },
		{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &trust, "CI roots and CRLs (default /etc/ifpp/ci)",
		  "DIR" },
		{ "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &state_dir,
		  "Outbox and memory (default /var/lib/ifpp)", "DIR" },
		{ "relay", 0, 0, G_OPTION_ARG_FILENAME, &relay,
		  "The driver's relay (default /dev/ifpp-relay)", "PATH" },
		{ "timeout", 0, 0, G_OPTION_ARG_INT, &timeout, "Wait this long for the modem (default 10)",
		  "SECONDS" },
		{ "linger", 0, 0, G_OPTION_ARG_INT, &linger,
		  "Stay this long once the chip is locked (default 5)", "SECONDS" },
		{ "policy", 0, 0, G_OPTION_ARG_FILENAME, &policy,
		  "What to do once the chip is locked: eIM, profile, slot (default /etc/ifpp/policy, if it is there)", "FILE" },
		{ "proxy", 0, 0, G_OPTION_ARG_NONE, &proxy, "Share the port through qmi-proxy, or mbim-proxy", NULL },
		{ "show-ids", 0, 0, G_OPTION_ARG_NONE, &show_ids, "Write EIDs and ICCIDs in full to the log",
		  NULL },
		{ "selftest", 0, 0, G_OPTION_ARG_NONE, &selftest,
		  "Tell what this modem can do and what not, then exit", NULL },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "With --selftest: one JSON object per line", NULL },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context =
		g_option_context_new("- serve one modem's eUICC to the ifpp driver");
	g_autoptr(GError) error = NULL;
	ModemOptions options;
	ModemProtocol number;
	App app = { 0 };
	int code;

	setlocale(LC_ALL, "");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!ifpp_options_check(entries, argc, argv, &error) || !g_option_context_parse(context, &argc, &argv, &error)) {
		g_autoptr(GError) usage = g_error_new(IFPP_ERROR, IFPP_ERROR_USAGE, "%s", error->message);

		return ifpp_error_exit("ifppd", usage);
	}
	if (version) {
		g_print("ifppd %s\n", IFPP_VERSION);
		return IFPP_EXIT_OK;
	}
	if (argc > 1 || !device || !modem_protocol_parse(protocol, &number) || (as_json && !selftest) ||
	    slot < 0 || slot > 255 || timeout < 1 || timeout > 600 || linger < 0) {
		g_autoptr(GError) usage = g_error_new(IFPP_ERROR, IFPP_ERROR_USAGE, "%s",
						      !device		     ? "no --device given"
						      : argc > 1	     ? "too many arguments"
						      : !modem_protocol_parse(protocol, &number) ? "--protocol is auto, qmi or mbim"
						      : as_json && !selftest ? "--json is for --selftest"
									     : "a number out of range");

		return ifpp_error_exit("ifppd", usage);
	}

	options = (ModemOptions){
		.device = device,
		.protocol = number,
		.state_dir = state_dir ? state_dir : "/var/lib/ifpp",
		.run_dir = g_getenv("RUNTIME_DIRECTORY"),
		.slot = slot,
		.timeout = timeout,
		.proxy = proxy,
	};
	if (selftest) {
		const SelftestOptions how = {
			.trust_dir = trust ? trust : "/etc/ifpp/ci",
			.policy = policy,
			.show_ids = show_ids,
			.json = as_json,
		};

		return ifpp_stdout_exit("ifppd", selftest_run(&options, &how));
	}

	g_log_set_writer_func(on_log, &app, NULL);
	/* A slip of the pen is found now, what it asks for is read again when the chip is locked. */
	if (!finish_read_policy(policy, &app.target, &error))
		return fail(error);
	options.slot = slot ? (guint)slot : app.target.switch_slot;
	options.switch_slot = options.slot && options.slot == app.target.switch_slot;
	ifpp_policy_clear(&app.target);
	app.policy = policy;
	app.relay = relay_open(relay ? relay : "/dev/ifpp-relay", &error);
	if (!app.relay)
		return fail(error);
	app.linger = linger;
	app.modem = modem_new(&options, on_gone, &app);
	app.chip = chip_new(app.modem, &ifpp_codec, trust ? trust : "/etc/ifpp/ci", options.state_dir, show_ids);
	app.chip->policy = policy;
	code = run(&app);
	app_clear(&app);
	return code;
}
