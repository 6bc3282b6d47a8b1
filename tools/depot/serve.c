// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <eid.h>
#include <error.h>
#include <file.h>
#include <gnutls/x509.h>
#include <json.h>
#include <microhttpd.h>
#include <notify.h>

#include "depot-error.h"
#include "depot.h"
#include "record.h"

#define PEM_MAX (1024 * 1024)
#define CLAIM_MAX 1024			/* bytes of a request's body */
#define RESULT_MAX (96 * 1024)
#define CHIP_MAX (512 * 1024)
#define CONNECTION_MEMORY (32 * 1024)	/* for headers */
#define BURST_SECONDS 2

#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* What one thread needs to answer a request. */
typedef struct {
	Depot *depot;
	IfppTrust *trust;
} Worker;

typedef struct {
	const ServeOptions *options;
	GAsyncQueue *workers;
	gnutls_x509_crl_t *crls;
	guint n_crls;
	GMutex lock;			/* of what follows */
	GHashTable *stations;		/* name -> Bucket */
	GHashTable *connections;	/* of Connection */
	GThread *watchdog;
	gboolean ending;
	GCond end;
} Server;

/* What a station may still ask: fills up with time. */
typedef struct {
	gint64 at;
	double tokens;
} Bucket;

typedef struct {
	int fd;
	gint64 since;			/* the request in hand, or the pause before it, began */
	char *station;			/* once its certificate has been looked at */
} Connection;

typedef struct {
	GByteArray *body;
	gsize max;
	gboolean too_large;
} Request;

/* What goes back. */
typedef struct {
	guint status;
	GBytes *body;
	gsize from, len;		/* of body */
	char *etag, *range;
	gboolean json;
} Answer;

/* ------------------------------------------------------------ answers */

static JsonBuilder *json_new(void)
{
	JsonBuilder *b = ifpp_json_new(NULL);

	ifpp_json_int(b, "version", 1);
	return b;
}

static void answer_json(Answer *answer, guint status, JsonBuilder *b)
{
	char *text = ifpp_json_text(b);

	answer->status = status;
	answer->json = TRUE;
	answer->len = strlen(text);
	answer->body = g_bytes_new_take(text, answer->len);
}

static void answer_error(Answer *answer, const GError *error, const char *station)
{
	JsonBuilder *b = json_new();
	const char *name, *hint;
	guint status = depot_error_http(error, &name, &hint);
	gboolean ours = status == 503 || status == 500;

	/* What the database says is the depot's business. */
	if (ours)
		fprintf(stderr, "ifpp-depot: for %s: %s\n", station ?: "-", error->message);
	ifpp_json_string(b, "error", name);
	ifpp_json_string(b, "message", ours ? "the depot cannot do it now" : error->message);
	ifpp_json_string(b, "hint", ours ? "Try again later; if it stays, tell the operator of the depot" : hint);
	answer_json(answer, status, b);
}

static enum MHD_Result send_answer(struct MHD_Connection *c, Answer *answer)
{
	const char *data = g_bytes_get_data(answer->body, NULL);
	struct MHD_Response *response = MHD_create_response_from_buffer(answer->len, (void *)(data + answer->from),
									MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	MHD_add_response_header(response, "Content-Type", answer->json ? "application/json" : "application/octet-stream");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (!answer->json)
		MHD_add_response_header(response, "Accept-Ranges", "bytes");
	if (answer->etag)
		MHD_add_response_header(response, "ETag", answer->etag);
	if (answer->range)
		MHD_add_response_header(response, "Content-Range", answer->range);
	if (answer->status == 429 || answer->status == 503)
		MHD_add_response_header(response, "Retry-After", answer->status == 429 ? "1" : "5");
	if (answer->status == 405)
		MHD_add_response_header(response, "Allow", "GET, HEAD, POST, PUT, DELETE");
	result = MHD_queue_response(c, answer->status, response);
	MHD_destroy_response(response);
	g_bytes_unref(answer->body);
	g_free(answer->etag);
	g_free(answer->range);
	return result;
}

/* ------------------------------------------------------------ stations */

static gboolean no_station(GError **error, const char *why)
{
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_STATION, "%s", why);
	return FALSE;
}

/* The subject's CN of a certificate that the station CA issued for a TLS client. */
static char *certified_name(const Server *server, gnutls_session_t session, GError **error)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
					  .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT };
	char name[DEPOT_STATION_MAX + 2] = "";
	unsigned int status = 0, n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
	gnutls_x509_crt_t crt;
	size_t len = sizeof(name) - 1;
	gboolean ok;

	if (!chain || !n || gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0 || status) {
		no_station(error, "no certificate of a trusted station CA");
		return NULL;
	}
	if (gnutls_x509_crt_init(&crt) < 0)
		return NULL;
	ok = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
	     gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) >= 0 &&
	     depot_station_valid(name);
	if (!ok)
		no_station(error, "the certificate's CN is no name of a station");
	else if (server->n_crls && gnutls_x509_crt_check_revocation(crt, server->crls, server->n_crls))
		ok = no_station(error, "the station's certificate was revoked");
	gnutls_x509_crt_deinit(crt);
	return ok ? g_strdup(name) : NULL;
}

static gboolean within_rate(Server *server, const char *station, GError **error)
{
	double rate = server->options->rate;
	gint64 now = g_get_monotonic_time();
	gboolean ok;
	Bucket *bucket;

	g_mutex_lock(&server->lock);
	bucket = g_hash_table_lookup(server->stations, station);
	if (!bucket) {
		bucket = g_new0(Bucket, 1);
		bucket->tokens = rate * BURST_SECONDS;
		bucket->at = now;
		g_hash_table_insert(server->stations, g_strdup(station), bucket);
	}
	bucket->tokens = MIN(bucket->tokens + rate * (now - bucket->at) / G_USEC_PER_SEC, rate * BURST_SECONDS);
	bucket->at = now;
	ok = bucket->tokens >= 1;
	bucket->tokens -= ok;
	g_mutex_unlock(&server->lock);
	if (!ok)
		g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_RATE, "more than %d requests a second", server->options->rate);
	return ok;
}

/* ------------------------------------------------------------ what can be asked */

static gboolean wrong(GError **error, int code, const char *what)
{
	g_set_error_literal(error, DEPOT_ERROR, code, what);
	return FALSE;
}

static gboolean post_claim(Server *server, Worker *worker, const char *station, const Request *request, Answer *answer,
			   GError **error)
{
	const IfppSpan body = { request->body->data, request->body->len };
	g_autoptr(JsonObject) object = ifpp_json_parse(body, 1, NULL);
	const char *text = object ? ifpp_json_get_string(object, "eid") : NULL;
	g_autoptr(GPtrArray) items = NULL;
	g_autofree char *until_text = NULL;
	guint8 eid[16];
	JsonBuilder *b;
	gint64 until;

	if (!text || !ifpp_eid_parse(text, eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "say which chip: {\"eid\": \"32 digits\"}");
	items = depot_claim(worker->depot, eid, station, server->options->lease, &until, error);
	if (!items)
		return FALSE;
	b = json_new();
	until_text = depot_time(until);
	ifpp_json_string(b, "eid", text);
	ifpp_json_string(b, "lease", until_text);
	json_builder_set_member_name(b, "packages");
	json_builder_begin_array(b);
	for (guint i = 0; i < items->len; i++) {
		const DepotItem *item = items->pdata[i];
		g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id)), *sha256 = ifpp_hex(IFPP_SPAN(item->sha256));

		json_builder_begin_object(b);
		ifpp_json_string(b, "key_id", key);
		ifpp_json_int(b, "bytes", item->bytes);
		ifpp_json_string(b, "sha256", sha256);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
	answer_json(answer, 200, b);
	return TRUE;
}

static gboolean delete_claim(Worker *worker, const char *station, const char *name, Answer *answer, GError **error)
{
	guint8 eid[16];
	guint released;
	JsonBuilder *b;

	if (!ifpp_eid_parse(name, eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "that is no EID");
	if (!depot_release(worker->depot, eid, station, &released, error))
		return FALSE;
	b = json_new();
	ifpp_json_int(b, "released", released);
	answer_json(answer, 200, b);
	return TRUE;
}

static gboolean parse_key(const char *name, guint8 key_id[32], GError **error)
{
	return ifpp_unhex_into(name, key_id, 32) || wrong(error, DEPOT_ERROR_INPUT, "that is no key id");
}

static gboolean number(const char **text, gsize *out)
{
	char *end;

	if (!g_ascii_isdigit(**text))
		return FALSE;
	errno = 0;
	*out = g_ascii_strtoull(*text, &end, 10);
	*text = end;
	return !errno;
}

/* One range of RFC 9110 section 14: FALSE: none, or one that is ignored. */
static gboolean parse_range(const char *text, gsize size, gsize *from, gsize *len)
{
	gsize first, last = size;

	if (!text || g_ascii_strncasecmp(text, "bytes=", 6))
		return FALSE;
	text += 6;
	if (*text == '-') {
		text++;
		if (!number(&text, &last) || *text)
			return FALSE;
		*from = size - MIN(last, size);
		*len = size - *from;
		return TRUE;
	}
	if (!number(&text, &first) || *text++ != '-')
		return FALSE;
	if (*text && (!number(&text, &last) || *text || last < first))
		return FALSE;
	*from = MIN(first, size);
	*len = last >= size ? size - *from : MIN(last + 1, size) - *from;
	return TRUE;
}

static gboolean get_package(Worker *worker, const char *station, struct MHD_Connection *c, const char *name,
			    Answer *answer, GError **error)
{
	const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
	const char *if_range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-Range");
	const char *if_none = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
	g_autofree char *hex = NULL;
	guint8 key_id[32], sha256[32];
	gsize size;

	if (!parse_key(name, key_id, error))
		return FALSE;
	answer->body = depot_fetch(worker->depot, key_id, station, sha256, error);
	if (!answer->body)
		return *error ? FALSE : wrong(error, DEPOT_ERROR_UNKNOWN, "the package has no bytes");
	size = g_bytes_get_size(answer->body);
	hex = ifpp_hex(IFPP_SPAN(sha256));
	answer->etag = g_strdup_printf("\"%s\"", hex);
	answer->status = 200;
	answer->len = size;
	if (if_none && g_str_equal(if_none, answer->etag)) {
		answer->status = 304;
		answer->len = 0;
	} else if (parse_range(if_range && !g_str_equal(if_range, answer->etag) ? NULL : range, size, &answer->from,
			       &answer->len)) {
		answer->status = answer->len ? 206 : 416;
		answer->range = answer->len ? g_strdup_printf("bytes %zu-%zu/%zu", answer->from,
							      answer->from + answer->len - 1, size) :
					      g_strdup_printf("bytes */%zu", size);
	}
	return TRUE;
}

static void answer_stored(Answer *answer, gboolean stored, const char *state)
{
	JsonBuilder *b = json_new();

	ifpp_json_bool(b, "stored", stored);
	if (state)
		ifpp_json_string(b, "state", state);
	answer_json(answer, stored ? 201 : 200, b);
}

static gboolean put_result(Worker *worker, const char *station, const char *name, const Request *request,
			   Answer *answer, GError **error)
{
	guint8 key_id[32];
	DepotState state;
	gboolean stored;

	if (!parse_key(name, key_id, error) ||
	    !record_put_result(worker->depot, worker->trust, station, key_id,
			       (IfppSpan){ request->body->data, request->body->len }, &stored, &state, error))
		return FALSE;
	answer_stored(answer, stored, depot_state_names[state]);
	return TRUE;
}

static gboolean put_chip(Worker *worker, const char *station, const char *name, const Request *request, Answer *answer,
			 GError **error)
{
	gboolean stored;
	guint8 eid[16];

	if (!ifpp_eid_parse(name, eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "that is no EID");
	if (!record_put_chip(worker->depot, worker->trust, station, eid,
			     (IfppSpan){ request->body->data, request->body->len }, &stored, error))
		return FALSE;
	answer_stored(answer, stored, NULL);
	return TRUE;
}

typedef enum { CLAIMS, CLAIM, PACKAGE, RESULT, CHIP, STATUS, NOTHING } Resource;

/* What a URL names, and the last part of it. */
static Resource resource_of(const char *url, const char **name)
{
	static const struct {
		const char *prefix;
		Resource resource;
	} known[] = { { "/v1/claims/", CLAIM },	  { "/v1/packages/", PACKAGE },
		      { "/v1/results/", RESULT }, { "/v1/chips/", CHIP } };

	if (g_str_equal(url, "/v1/claims"))
		return CLAIMS;
	if (g_str_equal(url, "/v1/status"))
		return STATUS;
	for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
		if (g_str_has_prefix(url, known[i].prefix)) {
			*name = url + strlen(known[i].prefix);
			return known[i].resource;
		}
	}
	return NOTHING;
}

static gboolean dispatch(Server *server, Worker *worker, const char *station, struct MHD_Connection *c, const char *url,
			 const char *method, const Request *request, Answer *answer, GError **error)
{
	gboolean get = g_str_equal(method, "GET") || g_str_equal(method, "HEAD"), put = g_str_equal(method, "PUT");
	const char *name = NULL;
	JsonBuilder *b;

	switch (resource_of(url, &name)) {
	case CLAIMS:
		if (g_str_equal(method, "POST"))
			return post_claim(server, worker, station, request, answer, error);
		break;
	case CLAIM:
		if (g_str_equal(method, "DELETE"))
			return delete_claim(worker, station, name, answer, error);
		break;
	case PACKAGE:
		if (get)
			return get_package(worker, station, c, name, answer, error);
		break;
	case RESULT:
		if (put)
			return put_result(worker, station, name, request, answer, error);
		break;
	case CHIP:
		if (put)
			return put_chip(worker, station, name, request, answer, error);
		break;
	case STATUS:
		if (!get)
			break;
		b = json_new();
		ifpp_json_string(b, "station", station);
		answer_json(answer, 200, b);
		return TRUE;
	case NOTHING:
		return wrong(error, DEPOT_ERROR_UNKNOWN, "there is no such thing here");
	}
	return wrong(error, DEPOT_ERROR_METHOD, "that cannot be done with it");
}

/* ------------------------------------------------------------ requests */

static Connection *connection_of(struct MHD_Connection *c)
{
	return *(Connection **)MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
}

static gnutls_session_t session_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	return info ? info->tls_session : NULL;
}

static gsize max_body(const char *url)
{
	const char *name;

	switch (resource_of(url, &name)) {
	case CLAIMS:
		return CLAIM_MAX;
	case RESULT:
		return RESULT_MAX;
	case CHIP:
		return CHIP_MAX;
	default:
		return 0;
	}
}

static gboolean too_large(GError **error)
{
	return wrong(error, DEPOT_ERROR_TOO_LARGE, "the body is larger than anything that is expected here");
}

/* Before the body: whoever may not ask, or announces too much, is not listened to. */
static gboolean admit(Server *server, struct MHD_Connection *c, const char *url, Request *request, GError **error)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
	Connection *connection = connection_of(c);

	if (!connection || !session_of(c))
		return no_station(error, "no TLS");
	if (!connection->station)
		connection->station = certified_name(server, session_of(c), error);
	if (!connection->station || !within_rate(server, connection->station, error))
		return FALSE;
	request->max = max_body(url);
	if (length && g_ascii_strtoull(length, NULL, 10) > request->max)
		return too_large(error);
	return TRUE;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *data, size_t *size, void **context)
{
	g_autoptr(GError) error = NULL;
	Request *request = *context;
	Server *server = cls;
	Answer answer = {};
	Worker *worker;

	if (!request) {
		request = *context = g_new0(Request, 1);
		request->body = g_byte_array_new();
		if (admit(server, c, url, request, &error))
			return MHD_YES;
		answer_error(&answer, error, NULL);
		return send_answer(c, &answer);
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
		too_large(&error);
	} else {
		worker = g_async_queue_pop(server->workers);
		dispatch(server, worker, connection_of(c)->station, c, url, method, request, &answer, &error);
		g_async_queue_push(server->workers, worker);
	}
	if (error) {
		g_clear_pointer(&answer.body, g_bytes_unref);
		answer_error(&answer, error, connection_of(c)->station);
	}
	return send_answer(c, &answer);
}

static void completed(void *cls, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	Connection *connection = connection_of(c);
	Request *request = *context;
	Server *server = cls;

	if (connection) {
		g_mutex_lock(&server->lock);
		connection->since = g_get_monotonic_time();
		g_mutex_unlock(&server->lock);
	}
	if (!request)
		return;
	g_byte_array_unref(request->body);
	g_free(request);
}

static void connected(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
	static gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
						 .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT };
	Connection *connection = *context;
	Server *server = cls;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!connection)
			return;
		g_mutex_lock(&server->lock);
		g_hash_table_remove(server->connections, connection);
		g_mutex_unlock(&server->lock);
		g_free(connection->station);
		g_free(connection);
		return;
	}
	/* Without a good certificate there is no TLS, so nobody else gets as far as our code. */
	if (session_of(c)) {
		gnutls_certificate_server_set_request(session_of(c), GNUTLS_CERT_REQUIRE);
		gnutls_session_set_verify_cert2(session_of(c), &purpose, 1, 0);
	}
	connection = *context = g_new0(Connection, 1);
	connection->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	connection->since = g_get_monotonic_time();
	g_mutex_lock(&server->lock);
	g_hash_table_add(server->connections, connection);
	g_mutex_unlock(&server->lock);
}

/*
 * libmicrohttpd only ends connections that are silent. One that sends a byte now and then would
 * stay for ever: here it is the whole request that has a deadline.
 */
static gpointer watch(gpointer user)
{
	Server *server = user;

	g_mutex_lock(&server->lock);
	while (!server->ending) {
		gint64 now = g_get_monotonic_time();
		GHashTableIter iter;
		gpointer key;

		g_hash_table_iter_init(&iter, server->connections);
		while (g_hash_table_iter_next(&iter, &key, NULL)) {
			Connection *connection = key;

			if (now - connection->since > (gint64)server->options->timeout * G_USEC_PER_SEC)
				shutdown(connection->fd, SHUT_RDWR);
		}
		g_cond_wait_until(&server->end, &server->lock, now + G_USEC_PER_SEC / 2);
	}
	g_mutex_unlock(&server->lock);
	return NULL;
}

/* ------------------------------------------------------------ starting and ending */

static int listen_on(const char *address, GError **error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *colon = strrchr(address, ':');
	g_autofree char *host = NULL;
	struct addrinfo *found = NULL;
	int fd = -1, one = 1, status;

	if (!colon) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "--listen: HOST:PORT, as in 0.0.0.0:8443");
		return -1;
	}
	host = g_strndup(address, colon - address);
	if (host[0] == '[' && g_str_has_suffix(host, "]")) {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	status = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
	if (status) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "--listen %s: %s", address, gai_strerror(status));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "--listen %s: %s", address, g_strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static int listen_socket(const ServeOptions *options, GError **error)
{
	int n = sd_listen_fds(1);

	if (options->listen)
		return listen_on(options->listen, error);
	if (n == 1 && sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) > 0)
		return SD_LISTEN_FDS_START;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "systemd has handed over %s; say --listen HOST:PORT",
		    n > 0 ? "something else than one listening socket" : "no socket");
	return -1;
}

static void tell_address(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
		printf("serving https://%s:%s/v1/\n", host, port);
		fflush(stdout);
		sd_notifyf(0, "READY=1\nSTATUS=Serving port %s", port);
	}
}

static char *read_pem(const char *path, GError **error)
{
	g_autoptr(GBytes) bytes = ifpp_file_read(path, PEM_MAX, error);

	return bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : NULL;
}

static gboolean load_crls(Server *server, GError **error)
{
	g_autofree char *pem = NULL;
	gnutls_datum_t data;

	if (!server->options->client_crl)
		return TRUE;
	pem = read_pem(server->options->client_crl, error);
	if (!pem)
		return FALSE;
	data = (gnutls_datum_t){ (unsigned char *)pem, strlen(pem) };
	if (gnutls_x509_crl_list_import2(&server->crls, &server->n_crls, &data, GNUTLS_X509_FMT_PEM, 0) >= 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CRL, "%s: no CRL in PEM", server->options->client_crl);
	return FALSE;
}

static gboolean make_workers(Server *server, GError **error)
{
	for (int i = 0; i < server->options->threads; i++) {
		Worker *worker = g_new0(Worker, 1);

		g_async_queue_push(server->workers, worker);
		worker->trust = ifpp_trust_new_from_dir(server->options->trust, error);
		worker->depot = worker->trust ? depot_open(server->options->db, TRUE, error) : NULL;
		if (!worker->depot)
			return FALSE;
	}
	return TRUE;
}

static void free_workers(Server *server)
{
	Worker *worker;

	while ((worker = g_async_queue_try_pop(server->workers))) {
		depot_close(worker->depot);
		g_clear_pointer(&worker->trust, ifpp_trust_free);
		g_free(worker);
	}
	g_async_queue_unref(server->workers);
}

static void log_line(void *cls, const char *format, va_list args)
{
	g_autofree char *line = g_strdup_vprintf(format, args);

	fprintf(stderr, "ifpp-depot: %s\n", g_strchomp(line));
}

static gboolean run(Server *server, const char *cert, const char *key, const char *ca, int fd, GError **error)
{
	const ServeOptions *o = server->options;
	struct MHD_Daemon *daemon;
	sigset_t signals;
	int sig;

	/* Blocked in every thread; this one waits for them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, server,
		MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_THREAD_POOL_SIZE, (unsigned int)(o->threads > 1 ? o->threads : 0),
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)o->connections,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)MAX(o->connections / 4, 8),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)o->timeout,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_HTTPS_MEM_CERT, cert, MHD_OPTION_HTTPS_MEM_KEY, key,
		MHD_OPTION_HTTPS_MEM_TRUST, ca, MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES,
		MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_NOTIFY_CONNECTION, connected, server,
		MHD_OPTION_END);
	if (!daemon) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_ACCESS, "cannot serve: see the line above; are certificate, key and "
			    "CA in PEM, and do the first two belong together?");
		return FALSE;
	}
	server->watchdog = g_thread_new("watchdog", watch, server);
	tell_address(fd);
	sigwait(&signals, &sig);
	sd_notify(0, "STOPPING=1");
	MHD_stop_daemon(daemon);
	g_mutex_lock(&server->lock);
	server->ending = TRUE;
	g_cond_signal(&server->end);
	g_mutex_unlock(&server->lock);
	g_thread_join(server->watchdog);
	return TRUE;
}

gboolean depot_serve(const ServeOptions *options, GError **error)
{
	g_autofree char *cert = NULL, *key = NULL, *ca = NULL;
	Server server = { .options = options };
	gboolean ok = FALSE;
	int fd;

	server.workers = g_async_queue_new();
	server.stations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	server.connections = g_hash_table_new(NULL, NULL);
	g_mutex_init(&server.lock);
	g_cond_init(&server.end);
	fd = listen_socket(options, error);
	if (fd >= 0 && (cert = read_pem(options->cert, error)) && (key = read_pem(options->key, error)) &&
	    (ca = read_pem(options->client_ca, error)) && load_crls(&server, error) && make_workers(&server, error))
		ok = run(&server, cert, key, ca, fd, error);
	if (key)
		gnutls_memset(key, 0, strlen(key));
	free_workers(&server);
	for (guint i = 0; i < server.n_crls; i++)
		gnutls_x509_crl_deinit(server.crls[i]);
	gnutls_free(server.crls);
	g_hash_table_unref(server.stations);
	g_hash_table_unref(server.connections);
	return ok;
}
