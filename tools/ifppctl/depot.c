// SPDX-License-Identifier: GPL-2.0-or-later
#include "depot.h"
#include "explain.h"

#include <curl/curl.h>
#include <eid.h>
#include <errno.h>
#include <file.h>
#include <json.h>
#include <package.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX (512 * 1024)
#define ANSWER_DEPTH 4
#define CLAIM_PACKAGES_MAX 256
#define EPOCH_MAX 64
#define ATTEMPTS 4		/* that bring nothing, in a row */
#define PAUSE_US 100000		/* after the first of them; it grows */
#define CONNECT_S 10L
#define TRANSFER_S 60L

struct _CtlDepot {
	CURL *curl;
	char *url;
	char *cert, *key, *ca;
	char problem[CURL_ERROR_SIZE];
};

/* One answer, as far as it came. */
typedef struct {
	GByteArray *body;
	long status;
	gsize max;
	guint64 from, size;	/* of Content-Range; size 0: there is none that makes sense */
} Answer;

gboolean ctl_depot_is_url(const char *where)
{
	return g_str_has_prefix(where, "https:") || g_str_has_prefix(where, "http:");
}

/* curl calls a key that it cannot read a failed connection. */
static gboolean readable(const char *path, GError **error)
{
	if (access(path, R_OK) == 0)
		return TRUE;
	g_set_error(error, CTL_ERROR, IFPP_EXIT_ACCESS, "%s: %s. It is needed to speak with a depot, see ifppctl(1)", path,
		    g_strerror(errno));
	return FALSE;
}

CtlDepot *ctl_depot_new(const char *url, const CtlDepotKeys *keys, GError **error)
{
	g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
	const char *cert = keys->cert ?: CTL_DEPOT_CERT, *key = keys->key ?: CTL_DEPOT_KEY, *ca = keys->ca ?: CTL_DEPOT_CA;
	CtlDepot *depot;

	if (!uri || g_strcmp0(g_uri_get_scheme(uri), "https") || !g_uri_get_host(uri) || g_uri_get_userinfo(uri) ||
	    strlen(g_uri_get_path(uri)) > 1 || g_uri_get_query(uri)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: a depot is https://HOST:PORT and nothing else", url);
		return NULL;
	}
	if (!readable(cert, error) || !readable(key, error) || !readable(ca, error))
		return NULL;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	depot = g_new0(CtlDepot, 1);
	depot->curl = curl_easy_init();
	if (!depot->curl)
		g_error("curl_easy_init: out of memory");
	depot->url = g_strdup(url);
	if (g_str_has_suffix(depot->url, "/"))
		depot->url[strlen(depot->url) - 1] = '\0';
	depot->cert = g_strdup(cert);
	depot->key = g_strdup(key);
	depot->ca = g_strdup(ca);
	return depot;
}

void ctl_depot_free(CtlDepot *depot)
{
	if (!depot)
		return;
	curl_easy_cleanup(depot->curl);
	g_free(depot->url);
	g_free(depot->cert);
	g_free(depot->key);
	g_free(depot->ca);
	g_free(depot);
}

static size_t take(char *data, size_t size, size_t n, void *user)
{
	Answer *answer = user;

	if (answer->body->len + n > answer->max)
		return CURL_WRITEFUNC_ERROR;
	g_byte_array_append(answer->body, (const guint8 *)data, n);
	return n;
}

/* "Content-Range: bytes 500-1851/1852"; the last such header of the last answer counts. */
static size_t take_header(char *data, size_t size, size_t n, void *user)
{
	static const char name[] = "content-range:";
	g_autofree char *line = g_strndup(data, n);
	unsigned long long from, to, all;
	Answer *answer = user;
	int end = 0;

	if (!g_ascii_strncasecmp(line, "HTTP/", 5))
		answer->size = 0;
	if (g_ascii_strncasecmp(line, name, sizeof(name) - 1))
		return n;
	answer->size = 0;
	if (sscanf(line + sizeof(name) - 1, " bytes %llu-%llu/%llu %n", &from, &to, &all, &end) == 3 && end &&
	    !line[sizeof(name) - 1 + end] && from <= to && to < all) {
		answer->from = from;
		answer->size = all;
	}
	return n;
}

static gboolean fail(CtlDepot *depot, CURLcode code, GError **error)
{
	const char *what = *depot->problem ? depot->problem : curl_easy_strerror(code);

	switch (code) {
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		g_set_error(error, CTL_ERROR, IFPP_EXIT_ACCESS, "%s: %s. Check %s, %s and %s", depot->url, what, depot->cert,
			    depot->key, depot->ca);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: is not the depot that %s certifies: %s. Do not go on "
			    "before it is known who that is", depot->url, depot->ca, what);
		break;
	case CURLE_WRITE_ERROR:
		g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: answers more than a depot would. Check the URL",
			    depot->url);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		/* What the server says of our certificate comes as an alert, when our side of the handshake is over. */
		if (strstr(what, "alert")) {
			g_set_error(error, CTL_ERROR, IFPP_EXIT_ACCESS, "%s: refuses this station's certificate %s, or how it "
				    "speaks TLS: %s. Have the operator of the depot certify the station, and see the depot's log",
				    depot->url, depot->cert, what);
			break;
		}
		G_GNUC_FALLTHROUGH;
	default:
		g_set_error(error, CTL_ERROR, IFPP_EXIT_BUSY, "%s: cannot be reached: %s. Check the network; this can be "
			    "run again at any time", depot->url, what);
	}
	return FALSE;
}

/* One request. FALSE: no answer, or not all of it; what came is in @answer. */
static gboolean ask(CtlDepot *depot, const char *method, const char *path, const char *body, gsize from,
		    const char *etag, Answer *answer, GError **error)
{
	g_autofree char *url = g_strconcat(depot->url, path, NULL), *range = NULL, *if_range = NULL;
	struct curl_slist *headers = NULL;
	CURL *curl = depot->curl;
	CURLcode code;

	curl_easy_reset(curl);
	*depot->problem = '\0';
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, depot->problem);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_SSLCERT, depot->cert);
	curl_easy_setopt(curl, CURLOPT_SSLKEY, depot->key);
	curl_easy_setopt(curl, CURLOPT_CAINFO, depot->ca);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TRANSFER_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "ifppctl/" IFPP_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (body) {
		headers = curl_slist_append(headers, "Content-Type: application/json");
		headers = curl_slist_append(headers, "Expect:");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	if (from) {
		range = g_strdup_printf("%zu-", from);
		if_range = g_strdup_printf("If-Range: \"%s\"", etag);
		headers = curl_slist_append(headers, if_range);
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	answer->status = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	return code == CURLE_OK || fail(depot, code, error);
}

static IfppSpan answer_span(const Answer *answer)
{
	return (IfppSpan){ answer->body->data, answer->body->len };
}

/* What the depot says about a refusal; busy and server errors may pass. */
static void explain(CtlDepot *depot, const Answer *answer, GError **error)
{
	g_autoptr(JsonObject) object = ifpp_json_parse(answer_span(answer), ANSWER_DEPTH, NULL);
	const char *message = object ? ifpp_json_get_string(object, "message") : NULL;
	const char *hint = object ? ifpp_json_get_string(object, "hint") : NULL;
	int exit = answer->status >= 500 || answer->status == 429 ? IFPP_EXIT_BUSY :
		   answer->status == 403			  ? IFPP_EXIT_ACCESS :
								    IFPP_EXIT_REFUSED;
	g_autofree char *text = g_strdup_printf("%s: %s (HTTP %ld). %s", depot->url, message ?: "refuses", answer->status,
						hint ?: "Check that this is a depot");

	/* It comes from the network and goes to a terminal. */
	for (char *p = text; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = ' ';
	g_set_error_literal(error, CTL_ERROR, exit, text);
}

static gboolean odd(CtlDepot *depot, GError **error)
{
	g_set_error(error, CTL_ERROR, IFPP_EXIT_REFUSED, "%s: does not answer as a depot does. Check the URL", depot->url);
	return FALSE;
}

/* Take over what has come, if it goes on exactly where we are in what was claimed; else begin anew. */
static void take_over(const Answer *answer, GByteArray *all, gsize size)
{
	gboolean more = answer->status == 206 && answer->size == size && answer->from == all->len &&
			answer->body->len <= size - all->len;

	if (answer->status != 200 && answer->status != 206)
		return;
	if (!more)
		g_byte_array_set_size(all, 0);
	if (more || answer->status == 200)
		g_byte_array_append(all, answer->body->data, answer->body->len);
}

/*
 * The next attempt asks for the rest. A server that sends another part than that, or all of it again,
 * costs the part that is here; what the bytes are worth, the caller's hash tells.
 */
static GBytes *download(CtlDepot *depot, const char *path, gsize size, const char *sha256, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + TRANSFER_S * G_USEC_PER_SEC;
	g_autoptr(GByteArray) all = g_byte_array_new();
	guint tries = 0, most = 0;

	for (;;) {
		g_autoptr(GByteArray) part = g_byte_array_new();
		Answer answer = { .body = part, .max = MAX(size, ANSWER_MAX) };
		g_autoptr(GError) local = NULL;
		gboolean whole = ask(depot, "GET", path, NULL, all->len, sha256, &answer, &local);

		if (whole && answer.status != 200 && answer.status != 206) {
			explain(depot, &answer, error);
			return NULL;
		}
		take_over(&answer, all, size);
		if (whole && (answer.status == 200 || all->len == size))
			return g_bytes_new(all->data, all->len);
		tries = all->len > most ? 0 : tries + 1;
		most = MAX(most, all->len);
		if (local && local->code != IFPP_EXIT_BUSY) {
			g_propagate_error(error, g_steal_pointer(&local));
			return NULL;
		}
		if (tries == ATTEMPTS || g_get_monotonic_time() > deadline) {
			if (local)
				g_propagate_error(error, g_steal_pointer(&local));
			else
				odd(depot, error);
			return NULL;
		}
		g_usleep(PAUSE_US * tries);
	}
}

static gboolean is_here(const char *path, const char *sha256)
{
	g_autoptr(GBytes) file = ifpp_file_read(path, IFPP_PACKAGE_MAX, NULL);
	g_autofree char *sum = file ? g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, file) : NULL;

	return sum && g_str_equal(sum, sha256);
}

static gboolean fetch_one(CtlDepot *depot, const guint8 eid[16], JsonObject *object, const char *dir, guint *fetched,
			  GError **error)
{
	const char *key = object ? ifpp_json_get_string(object, "key_id") : NULL;
	const char *sha256 = object ? ifpp_json_get_string(object, "sha256") : NULL;
	g_autoptr(GBytes) file = NULL;
	g_autofree char *name = NULL, *path = NULL, *url = NULL, *got = NULL;
	guint8 key_id[32], sum[32];
	IfppHeader header;
	gint64 bytes;

	if (!ifpp_unhex_into(key, key_id, sizeof(key_id)) || !ifpp_unhex_into(sha256, sum, sizeof(sum)) ||
	    !ifpp_json_get_int(object, "bytes", IFPP_HEADER_LEN, IFPP_PACKAGE_MAX, &bytes))
		return odd(depot, error);
	name = ifpp_package_file_name(eid, key_id);
	path = g_build_filename(dir, name, NULL);
	if (is_here(path, sha256))
		return TRUE;
	url = g_strconcat("/v1/packages/", key, NULL);
	file = download(depot, url, bytes, sha256, error);
	if (!file)
		return FALSE;
	got = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, file);
	if (!g_str_equal(got, sha256) || !ifpp_header_parse(ifpp_span_bytes(file), &header, NULL) ||
	    memcmp(header.eid, eid, 16) || memcmp(header.key_id, key_id, 32)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_HEADER_MISMATCH, "%s: %s is not the package that was claimed",
			    depot->url, name);
		return FALSE;
	}
	++*fetched;
	return ifpp_file_write(path, g_bytes_get_data(file, NULL), g_bytes_get_size(file), 0644, error);
}

gboolean ctl_depot_fetch(CtlDepot *depot, const guint8 eid[16], const char *dir, guint *packages, guint *fetched,
			 GError **error)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	Answer answer = { .body = body, .max = ANSWER_MAX };
	g_autofree char *claim = NULL;
	g_autoptr(JsonObject) object = NULL;
	char digits[33];
	JsonArray *array;

	*packages = *fetched = 0;
	ifpp_eid_format(eid, digits);
	claim = g_strdup_printf("{\"eid\": \"%s\"}", digits);
	if (!ask(depot, "POST", "/v1/claims", claim, 0, NULL, &answer, error))
		return FALSE;
	if (answer.status != 200) {
		explain(depot, &answer, error);
		return FALSE;
	}
	object = ifpp_json_parse(answer_span(&answer), ANSWER_DEPTH, NULL);
	array = object ? ifpp_json_get_array(object, "packages") : NULL;
	if (!array || g_strcmp0(ifpp_json_get_string(object, "eid"), digits))
		return odd(depot, error);
	if (json_array_get_length(array) > CLAIM_PACKAGES_MAX)
		return odd(depot, error);
	*packages = json_array_get_length(array);
	for (guint i = 0; i < *packages; i++)
		if (!fetch_one(depot, eid, ifpp_json_get_element(array, i), dir, fetched, error))
			return FALSE;
	return TRUE;
}

char *ctl_depot_epoch(CtlDepot *depot, gboolean *notes, GError **error)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	Answer answer = { .body = body, .max = ANSWER_MAX };
	g_autoptr(JsonObject) object = NULL;
	const char *epoch;
	gint64 version;

	if (!ask(depot, "GET", "/v1/status", NULL, 0, NULL, &answer, error))
		return NULL;
	if (answer.status != 200) {
		explain(depot, &answer, error);
		return NULL;
	}
	object = ifpp_json_parse(answer_span(&answer), ANSWER_DEPTH, NULL);
	if (!object) {
		odd(depot, error);
		return NULL;
	}
	*notes = ifpp_json_get_int(object, "notes", 1, G_MAXINT64, &version);
	epoch = ifpp_json_get_string(object, "epoch");
	if (!epoch || !*epoch)
		return g_strdup("-");
	if (strlen(epoch) <= EPOCH_MAX && strspn(epoch, G_CSET_DIGITS G_CSET_a_2_z G_CSET_A_2_Z "-") == strlen(epoch))
		return g_strdup(epoch);
	odd(depot, error);
	return NULL;
}

CtlPut ctl_depot_put(CtlDepot *depot, const char *path, const char *text, GError **error)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	Answer answer = { .body = body, .max = ANSWER_MAX };

	if (!ask(depot, "PUT", path, text, 0, NULL, &answer, error))
		return CTL_PUT_LATER;
	switch (answer.status) {
	case 201:
		return CTL_PUT_STORED;
	case 200:
		return CTL_PUT_THERE;
	case 404:
		return CTL_PUT_UNKNOWN;
	}
	explain(depot, &answer, error);
	return answer.status >= 500 || answer.status == 429 || answer.status == 403 ? CTL_PUT_LATER : CTL_PUT_REFUSED;
}
