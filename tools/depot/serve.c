// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <error.h>
#include <notify.h>

#include "api.h"
#include "connections.h"
#include "counters.h"
#include "dashboard.h"
#include "depot-error.h"
#include "jobs.h"
#include "listen.h"
#include "proxy.h"
#include "reload.h"
#include "witness.h"

#define CONNECTION_MEMORY (32 * 1024)	/* for headers */
#define ANSWER_MS 2800
#define TICK_MS 100
#define TICKS_BETWEEN_SWEEPS 5
#define TICKS_BETWEEN_LOOKS 10		/* at files, whether they have changed */
#define TICKS_BETWEEN_NOTES 100		/* of how far the history has come */

#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

typedef struct {
	const ServeOptions *options;
	TlsFiles files;
	AccessLog *log;
	Rates *rates;
	Connections *connections;
	Jobs *jobs;
	Witness *witness;
	Snapshot *snapshot;	/* and who shows it; NULL: nobody */
	Web *dashboard;
	Api *api;
	Reload *reload;
} Server;

/* ------------------------------------------------------------ requests */

static gboolean is_question(const Request *request)
{
	return g_str_equal(request->method, "GET") || g_str_equal(request->method, "HEAD");
}

/* Every refusal and every change; not each part of a package that is fetched, nor questions. */
static gboolean is_logged(const Request *request, const Answer *answer)
{
	return answer->status >= 400 || !is_question(request) ||
	       (request->resource == PACKAGE && answer->status == 200 && g_str_equal(request->method, "GET"));
}

static void note(const Server *server, const Request *request, const Answer *answer)
{
	counters_add(request_resource_names[request->resource], answer->status);
	if (is_logged(request, answer))
		access_note(server->log, &(AccessEntry){ .station = request->station, .address = request->address,
							 .method = request->method, .path = request->path,
							 .status = answer->status, .reason = answer->reason });
}

static enum MHD_Result send_answer(struct MHD_Connection *c, const Request *request, const Answer *answer)
{
	if (answer->len && !g_str_equal(request->method, "HEAD"))
		connections_body_follows(c);
	return answer_send(c, answer);
}

/* What took no job. */
static enum MHD_Result reply(Server *server, struct MHD_Connection *c, const Request *request, const Answer *answer)
{
	note(server, request, answer);
	access_flush(server->log);
	return send_answer(c, request, answer);
}

static enum MHD_Result refuse(Server *server, struct MHD_Connection *c, const Request *request, const GError *error)
{
	enum MHD_Result result;
	Answer answer = {};

	answer_error(&answer, error, request->station);
	result = reply(server, c, request, &answer);
	answer_clear(&answer);
	return result;
}

/* Before the body: whoever may not ask, or announces too much, is not listened to. */
static gboolean admit(Server *server, struct MHD_Connection *c, Request *request, GError **error)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

	if (!connections_admit(server->connections, c, &request->station, &request->address, error))
		return FALSE;
	if (length && g_ascii_strtoull(length, NULL, 10) > request->max)
		return request_too_large(error);
	request->range = g_strdup(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range"));
	request->if_range = g_strdup(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-Range"));
	request->if_none = g_strdup(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match"));
	return TRUE;
}

static void answered(Request *request, gpointer user)
{
	note(user, request, &request->answer);
	request_answered(request);
}

static void all_answered(gpointer user)
{
	access_flush(((Server *)user)->log);
}

/* That the server is there needs no database. */
static enum MHD_Result healthy(Server *server, struct MHD_Connection *c, const Request *request)
{
	JsonBuilder *b = answer_new();
	enum MHD_Result result;
	Answer answer = {};

	ifpp_json_string(b, "status", "serving");
	answer_json(&answer, 200, b);
	result = reply(server, c, request, &answer);
	answer_clear(&answer);
	return result;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *data, size_t *size, void **context)
{
	g_autoptr(GError) error = NULL;
	Request *request = *context;
	Server *server = cls;

	if (!request) {
		request = *context = request_new(method, url);
		return admit(server, c, request, &error) ? MHD_YES : refuse(server, c, request, error);
	}
	if (*size) {
		if (request->body->len + *size > request->max)
			request->too_large = TRUE;
		else
			g_byte_array_append(request->body, (const guint8 *)data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (request->too_large) {
		request_too_large(&error);
		return refuse(server, c, request, error);
	}
	if (request->resource == HEALTH && is_question(request))
		return healthy(server, c, request);
	jobs_push(server->jobs, request);
	request_wait(request);
	return send_answer(c, request, &request->answer);
}

static void completed(void *cls, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	Server *server = cls;

	connections_request_ended(server->connections, c);
	request_unref(*context);
	*context = NULL;
}

/* ------------------------------------------------------------ what changes on the disk */

static void tell(const char *line)
{
	fprintf(stderr, "ifpp-depot: %s\n", line);
}

static void look_at_files(Server *server, gboolean asked)
{
	guint news = reload_look(server->reload, asked);

	if (news & RELOAD_CERTIFICATES) {
		connections_reload(server->connections, reload_tls(server->reload));
		if (server->api)
			api_reload(server->api, reload_tls(server->reload));
	}
	if (news & RELOAD_CI_ROOTS)
		jobs_reload(server->jobs);
}

/* ------------------------------------------------------------ starting and ending */

static void log_line(void *cls, const char *format, va_list args)
{
	g_autofree char *line = g_strdup_vprintf(format, args);

	fprintf(stderr, "ifpp-depot: %s\n", g_strchomp(line));
}

static struct MHD_Daemon *start(Server *server, int fd)
{
	const ServeOptions *o = server->options;
	/* Whoever waits for an answer keeps its own thread waiting: to set its connection aside and take it up again costs more. */
	unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_TLS |
			     MHD_USE_ERROR_LOG;
	struct MHD_OptionItem socket[] = { { MHD_OPTION_LISTEN_SOCKET, fd, NULL }, { MHD_OPTION_END, 0, NULL } };

	/* Behind a balancer it gets its connections from proxy.c. */
	if (o->proxy_from) {
		flags |= MHD_USE_NO_LISTEN_SOCKET;
		socket[0].option = MHD_OPTION_END;
	}
	return MHD_start_daemon(
		flags, 0, NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
		MHD_OPTION_ARRAY, socket,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)o->connections,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)MAX(o->connections / 4, 8),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)o->timeout,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_HTTPS_CERT_CALLBACK2, connections_certificate,
		MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES, MHD_OPTION_NOTIFY_COMPLETED, completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, connections_notify, server->connections, MHD_OPTION_END);
}

static void tell_refused(const char *address, const char *why, gpointer user)
{
	connections_tell_refused(((Server *)user)->connections, address, NULL, why);
}

static void tell_ready(int fd)
{
	g_autofree char *port = NULL, *name = listen_name(fd, &port);

	printf("serving https://%s/v1/\n", name);
	fflush(stdout);
	sd_notifyf(0, "READY=1\nSTATUS=Serving port %s", port);
}

static void note_history(Server *server)
{
	g_autoptr(GError) error = NULL;

	if (!witness_write(server->witness, &error))
		fprintf(stderr, "ifpp-depot: %s; that this depot was put back could go unseen\n", error->message);
}

static void sweep(Server *server)
{
	connections_sweep(server->connections);
	if (server->dashboard)
		web_sweep(server->dashboard);
	if (server->api)
		api_sweep(server->api);
}

/* Until a signal ends it, or its database is taken away. */
static gboolean wait_and_watch(Server *server, const sigset_t *signals, GError **error)
{
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };

	for (guint n = 0;; n++) {
		int sig = sigtimedwait(signals, NULL, &tick);

		if (sig == SIGTERM || sig == SIGINT)
			return TRUE;
		jobs_sweep(server->jobs);
		if (n % TICKS_BETWEEN_SWEEPS == 0)
			sweep(server);
		if (n % TICKS_BETWEEN_LOOKS == 0 && !witness_check(server->witness, error))
			return FALSE;
		if (n % TICKS_BETWEEN_NOTES == 0)
			note_history(server);
		if (sig == SIGHUP || n % TICKS_BETWEEN_LOOKS == 0)
			look_at_files(server, sig == SIGHUP);
	}
}

/* The page, what Prometheus reads, and what other systems do, if they are wanted. */
static gboolean be_seen(Server *server, GError **error)
{
	const ServeOptions *o = server->options;
	g_autoptr(GError) local = NULL;

	if (!o->dashboard && !o->api)
		return TRUE;
	server->snapshot = snapshot_new(&(SnapshotOptions){ .db = o->db, .trust = o->trust, .files = &server->files,
							    .reload = server->reload });
	if (o->api) {
		server->api = api_start(o->api, o->db, reload_tls(server->reload), server->snapshot, server->log, error);
		if (!server->api)
			return FALSE;
	}
	if (!o->dashboard)
		return TRUE;
	server->dashboard = dashboard_start(o->dashboard, server->snapshot, server->log, &local);
	if (!server->dashboard && g_error_matches(local, IFPP_ERROR, IFPP_ERROR_USAGE)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	/* Stations do not wait for somebody who wants to look. */
	if (!server->dashboard)
		fprintf(stderr, "ifpp-depot: %s; stations are served without a dashboard\n", local->message);
	return TRUE;
}

static gboolean run(Server *server, int fd, const sigset_t *signals, GError **error)
{
	struct MHD_Daemon *daemon;
	Proxy *proxy = NULL;
	gboolean ok = FALSE;

	server->jobs = jobs_new(&(JobOptions){ .db = server->options->db, .trust = server->options->trust,
					       .threads = server->options->threads, .lease = server->options->lease,
					       .answer_ms = ANSWER_MS, .done = answered,
					       .all_done = all_answered, .user = server }, error);
	if (!server->jobs)
		return FALSE;
	daemon = start(server, fd);
	if (!daemon)
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS, "cannot serve: see the line above");
	else if (server->options->proxy_from)
		proxy = proxy_start(daemon, fd, server->options->proxy_from, tell_refused, server, error);
	if (daemon && (proxy || !server->options->proxy_from) && be_seen(server, error)) {
		tell_ready(fd);
		if (server->dashboard)
			web_tell(server->dashboard);
		if (server->api)
			api_tell(server->api);
		ok = wait_and_watch(server, signals, error);
		sd_notify(0, "STOPPING=1");
	}
	proxy_stop(proxy);
	/* Nobody may wait for an answer any more when the server ends. */
	jobs_stop(server->jobs);
	if (ok)
		note_history(server);
	web_stop(server->dashboard);
	api_stop(server->api);
	snapshot_free(server->snapshot);
	if (daemon)
		MHD_stop_daemon(daemon);
	jobs_free(server->jobs);
	return ok;
}

gboolean depot_serve(const ServeOptions *options, GError **error)
{
	Server server = { .options = options };
	gboolean ok = FALSE;
	sigset_t signals;
	int fd;

	/* Before there is another thread, so that they are blocked in every one; this one waits for them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	server.files = (TlsFiles){ options->cert, options->key, options->client_ca, options->client_crl,
				   options->refuse_stale_crl };
	fd = options->listen ? listen_on("--listen", options->listen, error) : listen_handed_over(error);
	server.log = fd < 0 ? NULL : access_open(options->access_log, error);
	server.reload = server.log ? reload_new(&server.files, options->trust, tell, error) : NULL;
	server.witness = server.reload ? witness_new(options->db, tell, error) : NULL;
	server.rates = server.witness ? rates_new(options->db, options->rate, error) : NULL;
	if (server.rates) {
		ConnectionLimits limits = { options->connections, options->timeout, server.rates, server.log };

		server.connections = connections_new(&limits, reload_tls(server.reload));
		ok = run(&server, fd, &signals, error);
	}
	connections_free(server.connections);
	rates_free(server.rates);
	witness_free(server.witness);
	reload_free(server.reload);
	access_close(server.log);
	return ok;
}
