// SPDX-License-Identifier: GPL-2.0-or-later
#include "request.h"

#include <string.h>

#include <eid.h>

#include "depot-error.h"
#include "record.h"

#define CLAIM_MAX 1024			/* bytes of a request's body */
#define RESULT_MAX (96 * 1024)
#define CHIP_MAX (512 * 1024)
#define NOTES_MAX (512 * 1024)
#define NOTES_VERSION 1			/* the newest that is taken */

const char *const request_resource_names[N_RESOURCES] = { "claims", "claim", "package", "result", "chip", "notes", "status", "health",
							   "nothing" };

/* What a URL names, and the last part of it. */
static Resource resource_of(const char *url, const char **name)
{
	static const struct {
		const char *prefix;
		Resource resource;
	} known[] = { { "/v1/claims/", CLAIM },	  { "/v1/packages/", PACKAGE },
		      { "/v1/results/", RESULT }, { "/v1/chips/", CHIP },
		      { "/v1/notes/", NOTES } };

	if (g_str_equal(url, "/v1/claims"))
		return CLAIMS;
	if (g_str_equal(url, "/v1/status"))
		return STATUS;
	if (g_str_equal(url, "/healthz"))
		return HEALTH;
	for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
		if (g_str_has_prefix(url, known[i].prefix)) {
			*name = url + strlen(known[i].prefix);
			return known[i].resource;
		}
	}
	return NOTHING;
}

static gsize max_body(Resource resource)
{
	switch (resource) {
	case CLAIMS:
		return CLAIM_MAX;
	case RESULT:
		return RESULT_MAX;
	case CHIP:
		return CHIP_MAX;
	case NOTES:
		return NOTES_MAX;
	default:
		return 0;
	}
}

Request *request_new(const char *method, const char *path)
{
	Request *request = g_new0(Request, 1);

	g_atomic_ref_count_init(&request->refs);
	g_mutex_init(&request->lock);
	g_cond_init(&request->change);
	request->method = g_strdup(method);
	request->path = g_strdup(path);
	request->body = g_byte_array_new();
	request->resource = resource_of(request->path, &request->name);
	request->max = max_body(request->resource);
	return request;
}

Request *request_ref(Request *request)
{
	g_atomic_ref_count_inc(&request->refs);
	return request;
}

void request_unref(Request *request)
{
	if (!request || !g_atomic_ref_count_dec(&request->refs))
		return;
	g_byte_array_unref(request->body);
	answer_clear(&request->answer);
	depot_take_clear(&request->take);
	g_mutex_clear(&request->lock);
	g_cond_clear(&request->change);
	g_free(request->method);
	g_free(request->path);
	g_free(request->station);
	g_free(request->address);
	g_free(request->range);
	g_free(request->if_range);
	g_free(request->if_none);
	g_free(request);
}

void request_wait(Request *request)
{
	g_mutex_lock(&request->lock);
	while (!request->answered)
		g_cond_wait(&request->change, &request->lock);
	g_mutex_unlock(&request->lock);
}

void request_answered(Request *request)
{
	g_mutex_lock(&request->lock);
	request->answered = TRUE;
	g_mutex_unlock(&request->lock);
	g_cond_signal(&request->change);
}

static gboolean wrong(GError **error, int code, const char *what)
{
	g_set_error_literal(error, DEPOT_ERROR, code, what);
	return FALSE;
}

gboolean request_too_large(GError **error)
{
	return wrong(error, DEPOT_ERROR_TOO_LARGE, "the body is larger than anything that is expected here");
}

static gboolean no_such_method(GError **error)
{
	return wrong(error, DEPOT_ERROR_METHOD, "that cannot be done with it");
}

gboolean request_claim(Request *request, guint lease, GError **error)
{
	const IfppSpan body = { request->body->data, request->body->len };
	gboolean post = g_str_equal(request->method, "POST");
	g_autoptr(JsonObject) object = post ? ifpp_json_parse(body, 1, NULL) : NULL;
	const char *text = object ? ifpp_json_get_string(object, "eid") : NULL;

	if (!post)
		return no_such_method(error);
	if (!text || !ifpp_eid_parse(text, request->take.eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "say which chip: {\"eid\": \"32 digits\"}");
	request->take.station = request->station;
	request->take.lease = lease;
	return TRUE;
}

/* There are digits, numbers and a time in it, nothing to escape: json-glib would take as long as the database. */
static void answer_claim(const DepotTake *take, Answer *answer)
{
	g_autofree char *until = depot_time(take->until), *eid = ifpp_hex(IFPP_SPAN(take->eid));
	GString *text = g_string_sized_new(512);

	g_string_append_printf(text, "{\"version\":1,\"eid\":\"%s\",\"lease\":\"%s\",\"packages\":[", eid, until);
	for (guint i = 0; i < take->items->len; i++) {
		const DepotItem *item = take->items->pdata[i];
		g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id)), *sha256 = ifpp_hex(IFPP_SPAN(item->sha256));

		g_string_append_printf(text, "%s{\"key_id\":\"%s\",\"bytes\":%" G_GINT64_FORMAT ",\"sha256\":\"%s\"}", i ? "," : "", key,
				       item->bytes, sha256);
	}
	g_string_append(text, "]}");
	answer_text(answer, 200, g_string_free(text, FALSE));
}

static gboolean delete_claim(Worker *worker, const Request *request, Answer *answer, GError **error)
{
	guint8 eid[16];
	guint released;
	JsonBuilder *b;

	if (!ifpp_eid_parse(request->name, eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "that is no EID");
	if (!depot_release(worker->depot, eid, request->station, &released, error))
		return FALSE;
	b = answer_new();
	ifpp_json_int(b, "released", released);
	answer_json(answer, 200, b);
	return TRUE;
}

static gboolean parse_key(const char *name, guint8 key_id[32], GError **error)
{
	return ifpp_unhex_into(name, key_id, 32) || wrong(error, DEPOT_ERROR_INPUT, "that is no key id");
}

static void answer_package(const Request *request, GBytes *bytes, const guint8 sha256[32], Answer *answer)
{
	answer_bytes(answer, bytes, sha256, request->range, request->if_range, request->if_none);
}

static gboolean get_package(Worker *worker, Request *request, Answer *answer, GError **error)
{
	g_autoptr(GError) local = NULL;
	guint8 sha256[32];
	GBytes *bytes;

	if (!parse_key(request->name, request->take.key_id, error))
		return FALSE;
	bytes = depot_fetch_again(worker->depot, request->take.key_id, request->station, sha256, &local);
	if (local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (bytes) {
		answer_package(request, bytes, sha256, answer);
		return TRUE;
	}
	request->take.fetch = TRUE;
	request->take.station = request->station;
	return TRUE;
}

gboolean request_commit(Worker *worker, Request *const *requests, guint n, GError **error)
{
	g_autofree DepotTake **takes = g_new(DepotTake *, n);

	for (guint i = 0; i < n; i++)
		takes[i] = &requests[i]->take;
	return depot_take(worker->depot, takes, n, error);
}

gboolean request_answer(Worker *worker, Request *request, Answer *answer, GError **error)
{
	DepotTake *take = &request->take;
	g_autoptr(GError) local = NULL;
	GBytes *bytes;

	if (take->error) {
		g_propagate_error(error, g_steal_pointer(&take->error));
		return FALSE;
	}
	if (!take->fetch) {
		answer_claim(take, answer);
		return TRUE;
	}
	bytes = depot_package(worker->depot, take->key_id, &local);
	if (!bytes && local) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	if (!bytes)
		return wrong(error, DEPOT_ERROR_UNKNOWN, "the package has no bytes");
	answer_package(request, bytes, ((const DepotItem *)take->items->pdata[0])->sha256, answer);
	return TRUE;
}

static void answer_stored(Answer *answer, gboolean stored, const char *state, const char *doubt)
{
	JsonBuilder *b = answer_new();

	ifpp_json_bool(b, "stored", stored);
	if (state)
		ifpp_json_string(b, "state", state);
	if (doubt) {
		ifpp_json_string(b, "doubt", doubt);
		answer->reason = g_strdup_printf("in doubt: %s", doubt);
	}
	answer_json(answer, stored ? 201 : 200, b);
}

static gboolean put_result(Worker *worker, const Request *request, Answer *answer, GError **error)
{
	guint8 key_id[32];
	g_autofree char *doubt = NULL;
	DepotState state;
	gboolean stored;

	if (!parse_key(request->name, key_id, error) ||
	    !record_put_result(worker->depot, worker->trust, request->station, key_id,
			       (IfppSpan){ request->body->data, request->body->len }, &stored, &state, &doubt, error))
		return FALSE;
	answer_stored(answer, stored, depot_state_names[state], doubt);
	return TRUE;
}

static gboolean put_chip(Worker *worker, const Request *request, Answer *answer, GError **error)
{
	gboolean stored;
	guint8 eid[16];

	if (!ifpp_eid_parse(request->name, eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "that is no EID");
	if (!record_put_chip(worker->depot, worker->trust, request->station, eid,
			     (IfppSpan){ request->body->data, request->body->len }, &stored, error))
		return FALSE;
	answer_stored(answer, stored, NULL, NULL);
	return TRUE;
}

static gboolean put_notes(Worker *worker, const Request *request, Answer *answer, GError **error)
{
	guint kept, told;
	gboolean stored;
	JsonBuilder *b;
	guint8 eid[16];

	if (!ifpp_eid_parse(request->name, eid, NULL))
		return wrong(error, DEPOT_ERROR_INPUT, "that is no EID");
	if (!record_put_notes(worker->depot, request->station, eid, (IfppSpan){ request->body->data, request->body->len },
			      &stored, &kept, &told, error))
		return FALSE;
	b = answer_new();
	ifpp_json_bool(b, "stored", stored);
	if (stored) {
		ifpp_json_int(b, "refused", kept);
		if (kept < told)
			answer->reason = g_strdup_printf("%u of %u refusals are of packages that it was not sent", told - kept, told);
	}
	answer_json(answer, stored ? 201 : 200, b);
	return TRUE;
}

static gboolean get_status(Worker *worker, const Request *request, Answer *answer, GError **error)
{
	g_autofree char *epoch = depot_epoch(worker->depot, error);
	JsonBuilder *b;

	if (!epoch)
		return FALSE;
	b = answer_new();
	ifpp_json_string(b, "station", request->station);
	ifpp_json_string(b, "epoch", epoch);
	ifpp_json_int(b, "notes", NOTES_VERSION);
	answer_json(answer, 200, b);
	return TRUE;
}

gboolean request_work(Worker *worker, Request *request, Answer *answer, GError **error)
{
	gboolean get = g_str_equal(request->method, "GET") || g_str_equal(request->method, "HEAD");
	gboolean put = g_str_equal(request->method, "PUT");

	if (!depot_station_check(worker->depot, request->station, error))
		return FALSE;
	switch (request->resource) {
	case CLAIM:
		if (g_str_equal(request->method, "DELETE"))
			return delete_claim(worker, request, answer, error);
		break;
	case PACKAGE:
		if (get)
			return get_package(worker, request, answer, error);
		break;
	case RESULT:
		if (put)
			return put_result(worker, request, answer, error);
		break;
	case CHIP:
		if (put)
			return put_chip(worker, request, answer, error);
		break;
	case NOTES:
		if (put)
			return put_notes(worker, request, answer, error);
		break;
	case STATUS:
		if (get)
			return get_status(worker, request, answer, error);
		break;
	case CLAIMS:
	case HEALTH:
		/* That is request_claim(); and the server answers the other itself. */
		break;
	case NOTHING:
	case N_RESOURCES:
		return wrong(error, DEPOT_ERROR_UNKNOWN, "there is no such thing here");
	}
	return no_such_method(error);
}
