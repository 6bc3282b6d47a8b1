// SPDX-License-Identifier: GPL-2.0-or-later
#include "connections.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "depot-error.h"
#include "transport.h"

#define HANDSHAKE_SECONDS 5
#define CHECK_AGAIN_US (60 * G_USEC_PER_SEC)
#define REFUSED_A_SECOND 20	/* lines of the log about handshakes */
#define STATION_PART 8		/* of all connections may be of one station, */
#define STATION_LEAST 8		/* or so many */
#define TELL_AGAIN_US (60 * G_USEC_PER_SEC)
#define LINGER_SECONDS 5
#define LINGER_READS 16		/* of a buffer, in one sweep */

/* What is known of a name, for as long as the server runs: the CA has few. */
typedef struct {
	char *serial;		/* of the certificate that was shown last */
	gint64 told_at;		/* that there is another one */
	GQueue connections;	/* the oldest first */
} Station;

typedef struct {
	Connections *all;
	gnutls_session_t session;
	int fd;
	gint64 checked_at;
	gint64 since;		/* the handshake, the request in hand, or the pause before it, began */
	gboolean greeted;	/* the handshake is over */
	gboolean asking, asked;	/* a request is in hand; there was one before */
	gboolean ended;		/* by us: it is about to be closed */
	gint quiet;		/* what transport.received was when the last request ended */
	Tls *tls, *checked;	/* begun with; checked last with */
	TlsPeer peer;
	char *address, *station, *why;	/* why: it may not ask, or NULL */
	GList link;		/* of those that were not greeted */
	Station *of;		/* NULL: of nobody that is known */
	GList of_link;		/* in its connections */
	Transport transport;
} Connection;

/* A refused client's socket, which is still open for what the client sends. */
typedef struct {
	int fd;
	gint64 until;
} Lingering;

struct _Connections {
	ConnectionLimits limits;
	GMutex lock;		/* of all that follows */
	Tls *tls;
	GHashTable *sessions;	/* session -> Connection */
	GHashTable *stations;	/* name -> Station */
	GQueue waiting;		/* without a handshake, the oldest first */
	GArray *lingering;	/* of Lingering, the oldest first */
	gint64 told_at;
	guint told;		/* in that second */
};

static void station_free(gpointer data)
{
	Station *station = data;

	g_free(station->serial);
	g_free(station);
}

static void close_lingering(gpointer data)
{
	close(((Lingering *)data)->fd);
}

/* The one server of the process: callbacks of GnuTLS bring nothing but a session. */
static Connections *the_connections;

Connections *connections_new(const ConnectionLimits *limits, Tls *tls)
{
	Connections *all = g_new0(Connections, 1);

	all->limits = *limits;
	all->tls = tls;
	all->sessions = g_hash_table_new(NULL, NULL);
	all->stations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, station_free);
	g_mutex_init(&all->lock);
	g_queue_init(&all->waiting);
	all->lingering = g_array_new(FALSE, FALSE, sizeof(Lingering));
	g_array_set_clear_func(all->lingering, close_lingering);
	the_connections = all;
	return all;
}

void connections_free(Connections *all)
{
	if (!all)
		return;
	the_connections = NULL;
	g_hash_table_unref(all->sessions);
	g_hash_table_unref(all->stations);
	g_array_unref(all->lingering);
	g_mutex_clear(&all->lock);
	tls_unref(all->tls);
	g_free(all);
}

void connections_reload(Connections *all, Tls *tls)
{
	Tls *old;

	g_mutex_lock(&all->lock);
	old = all->tls;
	all->tls = tls;
	g_mutex_unlock(&all->lock);
	tls_unref(old);
}

static Connection *connection_of(struct MHD_Connection *c)
{
	return *(Connection **)MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
}

static Connection *find(gnutls_session_t session)
{
	Connection *connection;

	g_mutex_lock(&the_connections->lock);
	connection = g_hash_table_lookup(the_connections->sessions, session);
	g_mutex_unlock(&the_connections->lock);
	return connection;
}

int connections_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
			    unsigned int *n, gnutls_ocsp_data_st **ocsp, unsigned int *n_ocsp, gnutls_privkey_t *key,
			    unsigned int *flags)
{
	const Connection *connection = find(session);

	if (!connection)
		return -1;
	tls_own(connection->tls, chain, n, key);
	*ocsp = NULL;
	*n_ocsp = 0;
	*flags = 0;
	return 0;
}

void connections_tell_refused(Connections *all, const char *address, const char *station, const char *why)
{
	gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;
	gboolean tell;

	g_mutex_lock(&all->lock);
	if (all->told_at != second) {
		all->told_at = second;
		all->told = 0;
	}
	tell = all->told++ < REFUSED_A_SECOND;
	g_mutex_unlock(&all->lock);
	if (tell)
		access_write(all->limits.log, &(AccessEntry){ .station = station, .address = address, .method = "TLS",
							      .path = "handshake", .status = 403, .reason = why });
}

static void tell_refused(const Connection *connection, const char *station, const char *why)
{
	connections_tell_refused(connection->all, connection->address, station, why);
}

static void no_longer_waiting(Connection *connection)
{
	if (connection->link.data) {
		g_queue_unlink(&connection->all->waiting, &connection->link);
		connection->link.data = NULL;
	}
}

/* As many may linger, or be without a handshake. */
static guint places(const Connections *all)
{
	return MAX(all->limits.max / 4, 4);
}

/*
 * With TLS 1.3 a client takes itself for accepted and sends its request before it reads the alert. A socket that is
 * closed with that unread is reset, and the client hears of the reset instead. So it stays open behind libmicrohttpd's
 * back until the client closes.
 */
static void linger(Connection *connection)
{
	Connections *all = connection->all;
	Lingering lingering = {
		.fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0),
		.until = g_get_monotonic_time() + LINGER_SECONDS * G_USEC_PER_SEC,
	};

	if (lingering.fd < 0)
		return;
	g_mutex_lock(&all->lock);
	if (all->lingering->len >= places(all))
		g_array_remove_index(all->lingering, 0);
	g_array_append_val(all->lingering, lingering);
	g_mutex_unlock(&all->lock);
}

/* Is it over, by its end or its time? What the client sends is not looked at. */
static gboolean lingered(const Lingering *lingering, gint64 now)
{
	char unread[4096];

	for (guint i = 0; i < LINGER_READS && now < lingering->until; i++) {
		ssize_t n = recv(lingering->fd, unread, sizeof(unread), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return FALSE;
		if (n <= 0)
			return TRUE;
	}
	return now >= lingering->until;
}

/* With the lock. */
static void end_connection(Connection *connection)
{
	connection->ended = TRUE;
	shutdown(connection->fd, SHUT_RDWR);
}

/*
 * With the lock. A station can do with few: one that opens many takes no place from others. The oldest without a request
 * in hand goes, or the oldest of all. NULL: none has to.
 */
static Connection *one_too_many(const Connections *all, const Station *station)
{
	Connection *oldest = NULL;
	guint n = 1;	/* with the newest, which stays */

	for (GList *l = station->connections.tail->prev; l; l = l->prev) {
		Connection *connection = l->data;

		if (connection->ended)
			continue;
		n++;
		if (!oldest || oldest->asking || !connection->asking)
			oldest = connection;
	}
	return n > MAX(all->limits.max / STATION_PART, STATION_LEAST) ? oldest : NULL;
}

static void note_end(const Connection *connection, guint status, const char *reason)
{
	access_write(connection->all->limits.log, &(AccessEntry){ .station = connection->station, .address = connection->address,
								  .method = "TLS", .path = "connection", .status = status,
								  .reason = reason });
}

/* With the lock. NULL: it shows the certificate that it showed before, or that it does not was told a short while ago. */
static char *other_certificate(Station *station, const Connection *connection)
{
	g_autofree char *serial = tls_peer_serial(&connection->peer), *before = g_steal_pointer(&station->serial);
	gint64 now = g_get_monotonic_time();

	station->serial = g_steal_pointer(&serial);
	if (!before || g_str_equal(before, station->serial) || (station->told_at && now - station->told_at < TELL_AGAIN_US))
		return NULL;
	station->told_at = now;
	return g_strdup_printf("another certificate of this name than before: serial %s, before %s", station->serial, before);
}

/* Two that have one name are one station, and the operator learns of it. */
static void join_station(Connection *connection)
{
	Connections *all = connection->all;
	g_autofree char *other = NULL;
	Connection *oldest;
	Station *station;

	g_mutex_lock(&all->lock);
	station = g_hash_table_lookup(all->stations, connection->station);
	if (!station) {
		station = g_new0(Station, 1);
		g_hash_table_insert(all->stations, g_strdup(connection->station), station);
	}
	connection->of = station;
	connection->of_link.data = connection;
	g_queue_push_tail_link(&station->connections, &connection->of_link);
	other = other_certificate(station, connection);
	oldest = one_too_many(all, station);
	if (oldest) {
		end_connection(oldest);
		note_end(oldest, 429, "more connections than one station may have: its oldest was closed");
	}
	g_mutex_unlock(&all->lock);
	if (other)
		note_end(connection, 200, other);
}

/*
 * Whoever is of our CA gets as far as HTTP, where it can be told in words why it may not ask; a stranger
 * gets no TLS.
 */
static int verify(gnutls_session_t session)
{
	Connection *connection = find(session);
	g_autofree char *station = NULL, *why = NULL;
	TlsVerdict verdict;

	if (!connection)
		return GNUTLS_E_CERTIFICATE_ERROR;
	tls_peer_clear(&connection->peer);
	if (!tls_peer_take(&connection->peer, session)) {
		tell_refused(connection, NULL, "no certificate, or none that can be read");
		return GNUTLS_E_CERTIFICATE_ERROR;
	}
	verdict = tls_check(connection->tls, &connection->peer, &station, &why);
	if (verdict == TLS_STRANGER) {
		tell_refused(connection, station, why);
		/* libmicrohttpd closes without a word. */
		gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_UNKNOWN_CA);
		linger(connection);
		return GNUTLS_E_CERTIFICATE_ERROR;
	}
	g_mutex_lock(&connection->all->lock);
	no_longer_waiting(connection);
	connection->greeted = TRUE;
	connection->since = g_get_monotonic_time();
	g_mutex_unlock(&connection->all->lock);
	connection->station = g_steal_pointer(&station);
	connection->why = g_steal_pointer(&why);
	tls_unref(connection->checked);
	connection->checked = tls_ref(connection->tls);
	connection->checked_at = g_get_monotonic_time();
	if (verdict == TLS_STATION && !connection->of)
		join_station(connection);
	return 0;
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

static void opened(Connections *all, struct MHD_Connection *c, void **context)
{
	Connection *connection = *context = g_new0(Connection, 1);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	connection->all = all;
	connection->session = info ? info->tls_session : NULL;
	connection->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	connection->since = g_get_monotonic_time();
	connection->address = address_of(c);
	if (connection->session) {
		gnutls_certificate_server_set_request(connection->session, GNUTLS_CERT_REQUIRE);
		gnutls_session_set_verify_function(connection->session, verify);
		transport_begin(&connection->transport, connection->session, connection->fd);
	}
	g_mutex_lock(&all->lock);
	connection->tls = tls_ref(all->tls);
	g_hash_table_insert(all->sessions, connection->session, connection);
	connection->link.data = connection;
	g_queue_push_tail_link(&all->waiting, &connection->link);
	/* The newest is the likeliest to be a station: the oldest gives its place up. */
	if (all->waiting.length > places(all)) {
		Connection *oldest = all->waiting.head->data;

		no_longer_waiting(oldest);
		shutdown(oldest->fd, SHUT_RDWR);
	}
	g_mutex_unlock(&all->lock);
}

static void closed(Connections *all, Connection *connection)
{
	gboolean greeted;

	g_mutex_lock(&all->lock);
	g_hash_table_remove(all->sessions, connection->session);
	no_longer_waiting(connection);
	if (connection->of)
		g_queue_unlink(&connection->of->connections, &connection->of_link);
	greeted = connection->greeted;
	g_mutex_unlock(&all->lock);
	if (!greeted && !connection->peer.n)
		tell_refused(connection, NULL, "closed before a certificate was shown");
	transport_end(&connection->transport);
	tls_peer_clear(&connection->peer);
	tls_unref(connection->tls);
	tls_unref(connection->checked);
	g_free(connection->address);
	g_free(connection->station);
	g_free(connection->why);
	g_free(connection);
}

void connections_notify(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		opened(cls, c, context);
	else if (*context)
		closed(cls, *context);
}

void connections_request_ended(Connections *all, struct MHD_Connection *c)
{
	Connection *connection = connection_of(c);

	if (!connection)
		return;
	g_mutex_lock(&all->lock);
	connection->since = g_get_monotonic_time();
	connection->asking = FALSE;
	connection->asked = TRUE;
	connection->quiet = g_atomic_int_get(&connection->transport.received);
	g_mutex_unlock(&all->lock);
}

void connections_body_follows(struct MHD_Connection *c)
{
	Connection *connection = connection_of(c);

	if (connection)
		transport_hold(&connection->transport);
}

/* Certificates and CRLs may be others by now, and time goes on. */
static void check_again(Connection *connection)
{
	Connections *all = connection->all;
	g_autofree char *name = NULL;
	char *why = NULL;
	Tls *now;

	g_mutex_lock(&all->lock);
	now = tls_ref(all->tls);
	g_mutex_unlock(&all->lock);
	if (now == connection->checked && g_get_monotonic_time() - connection->checked_at < CHECK_AGAIN_US) {
		tls_unref(now);
		return;
	}
	tls_check(now, &connection->peer, &name, &why);
	g_free(connection->why);
	connection->why = why;
	tls_unref(connection->checked);
	connection->checked = now;
	connection->checked_at = g_get_monotonic_time();
}

gboolean connections_admit(Connections *all, struct MHD_Connection *c, char **station, char **address, GError **error)
{
	Connection *connection = connection_of(c);

	if (!connection || !connection->session || !connection->checked) {
		g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_STATION, "no certificate of a station CA");
		return FALSE;
	}
	g_mutex_lock(&all->lock);
	connection->asking = TRUE;
	g_mutex_unlock(&all->lock);
	*address = g_strdup(connection->address);
	*station = g_strdup(connection->station);
	check_again(connection);
	if (connection->why) {
		g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_STATION, connection->why);
		return FALSE;
	}
	if (rates_take(all->limits.rates, connection->station))
		return TRUE;
	g_set_error(error, DEPOT_ERROR, DEPOT_ERROR_RATE, "more than %u requests a second", rates_limit(all->limits.rates));
	return FALSE;
}

/* With the lock. One that only rests between two requests is closed without a word. */
static void end_late(Connection *connection)
{
	gboolean rests = connection->asked && !connection->asking &&
			 connection->quiet == g_atomic_int_get(&connection->transport.received);
	g_autofree char *why = g_strdup_printf("a request that takes longer than %u seconds: its connection was closed",
					       connection->all->limits.timeout);

	if (connection->greeted && !rests)
		note_end(connection, 408, why);
	end_connection(connection);
}

void connections_sweep(Connections *all)
{
	gint64 now = g_get_monotonic_time();
	GHashTableIter iter;
	gpointer value;

	g_mutex_lock(&all->lock);
	g_hash_table_iter_init(&iter, all->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Connection *connection = value;
		guint limit = connection->greeted ? all->limits.timeout : MIN(all->limits.timeout, HANDSHAKE_SECONDS);

		if (!connection->ended && now - connection->since > (gint64)limit * G_USEC_PER_SEC)
			end_late(connection);
	}
	for (guint i = all->lingering->len; i--;) {
		if (lingered(&g_array_index(all->lingering, Lingering, i), now))
			g_array_remove_index(all->lingering, i);
	}
	g_mutex_unlock(&all->lock);
}
