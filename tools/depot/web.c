// SPDX-License-Identifier: GPL-2.0-or-later
#include "web.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gio/gio.h>

#include <error.h>

#include "listen.h"

#define CONNECTIONS 64
#define CONNECTION_MEMORY (16 * 1024)	/* for the request line and headers */
#define PATH_BYTES 512
#define QUERY_BYTES 1024
#define WAITING_MAX 48		/* connections that ask for nothing, or not yet */
#define ADDRESS_MAX 32		/* connections from one address */
#define IDLE_SECONDS 15
#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Nothing is loaded from elsewhere, nothing is shown elsewhere, and no script but our own runs. */
static const char *const headers[][2] = {
	{ "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
				     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cache-Control", "no-store" },
};

struct _Web {
	WebOptions options;
	struct MHD_Daemon *daemon;
	GMutex lock;	/* of what follows */
	Tls *tls;	/* for new connections */
	GQueue waiting;	/* connections whose request is not here whole, the oldest first */
};

typedef struct {
	Tls *tls;	/* that it began with */
	int fd;
	gint64 since;	/* it waits; monotonic, us */
	GList link;
} Connection;

/* With the lock. */
static void wait_for_request(Web *web, Connection *connection)
{
	connection->since = g_get_monotonic_time();
	connection->link.data = connection;
	g_queue_push_tail_link(&web->waiting, &connection->link);
}

/* With the lock. */
static void waits_no_longer(Web *web, Connection *connection)
{
	if (connection->link.data)
		g_queue_unlink(&web->waiting, &connection->link);
	connection->link.data = NULL;
}

/* With the lock. */
static void end_oldest(Web *web)
{
	Connection *oldest = web->waiting.head->data;

	waits_no_longer(web, oldest);
	shutdown(oldest->fd, SHUT_RDWR);
}

/* A request has come, however slowly, or has been answered. */
static void set_waiting(Web *web, struct MHD_Connection *c, gboolean waiting)
{
	Connection *connection = *(Connection **)MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	g_mutex_lock(&web->lock);
	waits_no_longer(web, connection);
	if (waiting)
		wait_for_request(web, connection);
	g_mutex_unlock(&web->lock);
}

static void completed(void *cls, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	set_waiting(cls, c, TRUE);
}

void web_sweep(Web *web)
{
	gint64 before = g_get_monotonic_time() - IDLE_SECONDS * G_USEC_PER_SEC;

	g_mutex_lock(&web->lock);
	while (web->waiting.length && ((Connection *)web->waiting.head->data)->since < before)
		end_oldest(web);
	g_mutex_unlock(&web->lock);
}

const char *web_header(const WebRequest *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *web_query(const WebRequest *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

void web_text(WebAnswer *answer, const char *type, char *text)
{
	answer->type = type;
	answer->answer.status = 200;
	answer->answer.len = strlen(text);
	answer->answer.body = g_bytes_new_take(text, answer->answer.len);
}

void web_refuse(WebAnswer *answer, guint status, const char *name, const char *message, const char *hint)
{
	JsonBuilder *b = answer_new();

	ifpp_json_string(b, "error", name);
	ifpp_json_string(b, "message", message);
	ifpp_json_string(b, "hint", hint);
	answer_json(&answer->answer, status, b);
	answer->answer.reason = g_strdup(message);
}

/* A name that an attacker's DNS points at this host is not ours: a page of his would read what is shown here. */
static gboolean is_local(const char *host)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocketConnectable) address = host ? g_network_address_parse(host, 80, &error) : NULL;
	const char *name = address ? g_network_address_get_hostname(G_NETWORK_ADDRESS(address)) : NULL;

	return name && (g_hostname_is_ip_address(name) || !g_ascii_strcasecmp(name, "localhost"));
}

static enum MHD_Result add_length(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	*(gsize *)cls += strlen(key) + (value ? strlen(value) : 0) + 2;
	return MHD_YES;
}

/* FALSE: the answer says why. */
static gboolean admit(const Web *web, const WebRequest *request, const char *method, WebAnswer *answer)
{
	gsize query = 0;

	MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, add_length, &query);
	if (strcmp(method, "GET") && strcmp(method, "HEAD")) {
		web_refuse(answer, 405, "method", "here one can only ask", "Use GET or HEAD");
		answer->extra = "Allow";
		answer->extra_value = "GET, HEAD";
	} else if (strlen(request->path) > PATH_BYTES || query > QUERY_BYTES) {
		web_refuse(answer, 414, "too-large", "the address is longer than any that is answered",
			   "See Documentation/depot.rst for what can be asked");
	} else if (web->options.local_names && !is_local(web_header(request, "Host"))) {
		web_refuse(answer, 403, "host", "this is not the name of a host that is served here",
			   "Use an address or localhost, or have a reverse proxy send one as Host");
	} else {
		return TRUE;
	}
	return FALSE;
}

static char *address_of(struct MHD_Connection *c)
{
	const struct sockaddr *address = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	socklen_t len = address && address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (!address || getnameinfo(address, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return g_strdup("-");
	return g_strdup_printf("%s:%s", host, port);
}

static enum MHD_Result send_answer(const Web *web, const WebRequest *request, const char *method, const WebAnswer *answer)
{
	const Answer *a = &answer->answer;
	struct MHD_Response *response = answer->stream;
	enum MHD_Result result;

	if (a->status >= 400) {
		g_autofree char *address = address_of(request->connection);

		access_write(web->options.log, &(AccessEntry){ .station = request->who, .address = address, .method = method,
							       .path = request->path, .status = a->status, .reason = a->reason });
	}
	if (!response)
		response = MHD_create_response_from_buffer(a->len, (void *)g_bytes_get_data(a->body, NULL), MHD_RESPMEM_MUST_COPY);
	for (guint i = 0; i < G_N_ELEMENTS(headers); i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
	MHD_add_response_header(response, "Content-Type", a->json ? "application/json" : answer->type);
	if (answer->extra)
		MHD_add_response_header(response, answer->extra, answer->extra_value);
	if (a->status == 503)
		MHD_add_response_header(response, "Retry-After", "5");
	result = MHD_queue_response(request->connection, a->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *data, size_t *size, void **context)
{
	Web *web = cls;
	WebRequest request = { .path = url, .connection = c };
	g_autoptr(GError) error = NULL;
	WebAnswer answer = {};
	enum MHD_Result result;

	set_waiting(web, c, FALSE);
	if (admit(web, &request, method, &answer) && !web->options.handle(&request, &answer, web->options.user, &error))
		answer_error(&answer.answer, error, request.who ?: web->options.name);
	result = send_answer(web, &request, method, &answer);
	answer_clear(&answer.answer);
	g_free(request.who);
	return result;
}

/* ------------------------------------------------------------ certificates */

/* The session keeps what it began with; its pointer for a cache of sessions, of which there is none, leads there. */
static void notify(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_session_t session = info ? info->tls_session : NULL;	/* the next question has its answer in the same place */
	Connection *connection = *context;
	Web *web = cls;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		g_mutex_lock(&web->lock);
		waits_no_longer(web, connection);
		g_mutex_unlock(&web->lock);
		tls_unref(connection->tls);
		g_free(connection);
		return;
	}
	connection = *context = g_new0(Connection, 1);
	connection->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	g_mutex_lock(&web->lock);
	wait_for_request(web, connection);
	/* The newest is the likeliest to ask. */
	if (web->waiting.length > WAITING_MAX)
		end_oldest(web);
	connection->tls = web->tls ? tls_ref(web->tls) : NULL;
	g_mutex_unlock(&web->lock);
	if (session)
		gnutls_db_set_ptr(session, connection->tls);
}

static int certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
		       unsigned int *n, gnutls_ocsp_data_st **ocsp, unsigned int *n_ocsp, gnutls_privkey_t *key,
		       unsigned int *flags)
{
	const Tls *tls = gnutls_db_get_ptr(session);

	if (!tls)
		return -1;
	tls_own(tls, chain, n, key);
	*ocsp = NULL;
	*n_ocsp = 0;
	*flags = 0;
	return 0;
}

void web_reload(Web *web, Tls *tls)
{
	Tls *before;

	g_mutex_lock(&web->lock);
	before = web->tls;
	web->tls = tls;
	g_mutex_unlock(&web->lock);
	tls_unref(before);
}

/* ------------------------------------------------------------ starting and ending */

static void log_line(void *cls, const char *format, va_list args)
{
	const Web *web = cls;
	g_autofree char *line = g_strdup_vprintf(format, args);

	fprintf(stderr, "ifpp-depot: %s: %s\n", web->options.name, g_strchomp(line));
}

Web *web_start(int fd, Tls *tls, const WebOptions *options, GError **error)
{
	Web *web = g_new0(Web, 1);
	struct MHD_OptionItem secure[] = { { tls ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END, 0, (void *)certificate },
					   { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)PRIORITIES }, { MHD_OPTION_END, 0, NULL } };

	web->options = *options;
	web->tls = tls;
	g_mutex_init(&web->lock);
	g_queue_init(&web->waiting);
	/* Whoever waits for the database keeps only its own thread waiting. */
	web->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
				       MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, handle, web,
				       MHD_OPTION_EXTERNAL_LOGGER, log_line, web, MHD_OPTION_LISTEN_SOCKET, fd,
				       MHD_OPTION_ARRAY, secure, MHD_OPTION_NOTIFY_CONNECTION, notify, web,
				       MHD_OPTION_NOTIFY_COMPLETED, completed, web,
				       MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)ADDRESS_MAX,
				       MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
				       MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS,
				       MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				       MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (web->daemon)
		return web;
	close(fd);
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS, "cannot serve the %s: see the line above", options->name);
	web_stop(web);
	return NULL;
}

void web_tell(Web *web)
{
	g_autofree char *name = listen_name(MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd, NULL);

	printf("%s http%s://%s/\n", web->options.name, web->tls ? "s" : "", name);
	fflush(stdout);
}

void web_stop(Web *web)
{
	if (!web)
		return;
	if (web->daemon)
		MHD_stop_daemon(web->daemon);
	tls_unref(web->tls);
	g_mutex_clear(&web->lock);
	g_free(web);
}
