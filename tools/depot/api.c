// SPDX-License-Identifier: GPL-2.0-or-later
#include "api.h"

#include <string.h>

#include <eid.h>
#include <error.h>

#include "api-csv.h"
#include "api-json.h"
#include "dashboard.h"
#include "depot-error.h"
#include "listen.h"
#include "token.h"

#define LOCK_MS 2500
#define PAGE 100
#define PAGE_MAX 500

struct _Api {
	Web *web;
	const char *db;
	Snapshot *snapshot;
	GMutex lock;		/* of what follows */
	GPtrArray *idle;	/* connections to the database that nobody uses now */
};

/* Each request has a connection to the database for itself: they are few, and wait for nobody else's. */
static Depot *take_depot(Api *api, GError **error)
{
	Depot *depot = NULL;

	g_mutex_lock(&api->lock);
	if (api->idle->len)
		depot = g_ptr_array_steal_index_fast(api->idle, api->idle->len - 1);
	g_mutex_unlock(&api->lock);
	if (depot)
		return depot;
	depot = depot_open(api->db, FALSE, error);
	if (depot && !depot_limit(depot, LOCK_MS, error))
		g_clear_pointer(&depot, depot_close);
	return depot;
}

static void give_depot_back(Depot *depot, gpointer user)
{
	Api *api = user;

	g_mutex_lock(&api->lock);
	g_ptr_array_add(api->idle, depot);
	g_mutex_unlock(&api->lock);
}

static gboolean bad_query(GError **error, const char *what)
{
	g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_INPUT, what);
	return FALSE;
}

/* ------------------------------------------------------------ who asks */

/* FALSE without an error: the answer says that he may not. */
static gboolean admit(Depot *depot, WebRequest *request, WebAnswer *answer, GError **error)
{
	const char *given = web_header(request, "Authorization");
	g_autoptr(GError) local = NULL;

	if (given && !g_ascii_strncasecmp(given, "Bearer ", 7)) {
		request->who = depot_token_check(depot, given + 7, &local);
		if (request->who)
			return TRUE;
		if (local) {
			g_propagate_error(error, g_steal_pointer(&local));
			return FALSE;
		}
	}
	web_refuse(answer, 401, "token", given ? "this token is not known, or was revoked" : "a token is needed",
		   "The operator of the depot gives one out: ifpp-depot token add; send it as Authorization: Bearer TOKEN");
	answer->extra = "WWW-Authenticate";
	answer->extra_value = "Bearer realm=\"ifpp-depot\"";
	return FALSE;
}

/* ------------------------------------------------------------ what is asked */

typedef struct {
	Api *api;
	Depot *depot;	/* NULL when somebody has taken it over */
	WebRequest *request;
	WebAnswer *answer;
} Call;

static gboolean get_limit(const Call *call, guint *limit, GError **error)
{
	const char *text = web_query(call->request, "limit");
	guint64 n = PAGE;

	if (text && !g_ascii_string_to_unsigned(text, 10, 1, PAGE_MAX, &n, NULL))
		return bad_query(error, "limit: a number from 1 to 500");
	*limit = n;
	return TRUE;
}

/* One of the keys, or none. */
static gboolean get_key(const Call *call, UnitsKey *key, const char **value, GError **error)
{
	*key = UNITS_ALL;
	for (guint i = UNITS_ALL + 1; i < UNITS_KEYS; i++) {
		const char *given = web_query(call->request, units_key_names[i]);

		if (!given)
			continue;
		if (*key != UNITS_ALL)
			return bad_query(error, "give one of eid, order, imei, serial, board_serial and work_order");
		if (!*given || strlen(given) > IFPP_UNIT_TEXT_MAX || !g_utf8_validate(given, -1, NULL))
			return bad_query(error, "a value to look for has 1 to 64 bytes of UTF-8");
		*key = i;
		*value = given;
	}
	return TRUE;
}

static gboolean get_units(Call *call, GError **error)
{
	const char *value = NULL, *after = web_query(call->request, "after");
	g_autoptr(GPtrArray) units = NULL;
	guint8 after_eid[16];
	UnitsKey key;
	guint limit;

	if (!get_limit(call, &limit, error) || !get_key(call, &key, &value, error) || (after && !ifpp_eid_parse(after, after_eid, error)))
		return FALSE;
	units = units_list(call->depot, key, value, after ? after_eid : NULL, limit, error);
	if (!units)
		return FALSE;
	answer_json(&call->answer->answer, 200, api_json_units(units, limit));
	return TRUE;
}

static gboolean get_unit(Call *call, const char *name, GError **error)
{
	g_autoptr(GPtrArray) units = NULL, results = NULL;
	guint8 eid[16];

	if (!ifpp_eid_parse(name, eid, error))
		return FALSE;
	units = units_list(call->depot, UNITS_EID, name, NULL, 1, error);
	results = units ? units_results(call->depot, UNITS_ENDED, eid, NULL, PAGE_MAX, error) : NULL;
	if (!results)
		return FALSE;
	if (!units->len) {
		web_refuse(call->answer, 404, "unknown", "no package is for this chip", "Look at the EID, or import its delivery");
		return TRUE;
	}
	answer_json(&call->answer->answer, 200, api_json_unit(units->pdata[0], results));
	return TRUE;
}

/* The cursor is EID-KEYID. */
static gboolean get_cursor(const char *text, UnitsResult *after, GError **error)
{
	g_autofree char *eid = g_strndup(text, 32);

	return (strlen(text) == 97 && text[32] == '-' && ifpp_eid_parse(eid, after->eid, NULL) && ifpp_unhex_into(text + 33, after->key_id, 32)) ||
	       bad_query(error, "after: what next of the page before was");
}

static gboolean get_results(Call *call, GError **error)
{
	const char *after = web_query(call->request, "after"), *state = web_query(call->request, "state");
	g_autoptr(GPtrArray) results = NULL;
	UnitsWhich which = !state ? UNITS_ENDED : g_str_equal(state, "lost") ? UNITS_LOST : UNITS_REFUSED;
	UnitsResult cursor = {};
	guint limit;

	if (!get_limit(call, &limit, error) || (after && !get_cursor(after, &cursor, error)))
		return FALSE;
	if (which == UNITS_REFUSED && !g_str_equal(state, "refused"))
		return bad_query(error, "state: lost, refused, or nothing");
	results = units_results(call->depot, which, NULL, after ? &cursor : NULL, limit, error);
	if (!results)
		return FALSE;
	answer_json(&call->answer->answer, 200, api_json_results(results, limit));
	return TRUE;
}

static gboolean get_yield(Call *call, GError **error)
{
	const char *order = web_query(call->request, "order");
	g_autoptr(GPtrArray) yields = NULL;

	if (order && (strlen(order) > IFPP_UNIT_TEXT_MAX || !g_utf8_validate(order, -1, NULL)))
		return bad_query(error, "an order has at most 64 bytes of UTF-8");
	yields = units_yield(call->depot, order, error);
	if (!yields)
		return FALSE;
	answer_json(&call->answer->answer, 200, api_json_yield(yields));
	return TRUE;
}

static gboolean get_states(Call *call, GError **error)
{
	DepotTotals totals;

	if (!depot_totals(call->depot, &totals, error))
		return FALSE;
	answer_json(&call->answer->answer, 200, api_json_states(&totals));
	return TRUE;
}

static void get_csv(Call *call, gboolean failures)
{
	call->answer->stream = api_csv(g_steal_pointer(&call->depot), failures, give_depot_back, call->api);
	call->answer->answer.status = 200;
	call->answer->type = "text/csv; charset=utf-8; header=present";
	call->answer->extra = "Content-Disposition";
	call->answer->extra_value = failures ? "attachment; filename=\"failures.csv\"" : "attachment; filename=\"units.csv\"";
}

static gboolean get_description(Call *call, GError **error)
{
	WebAnswer *answer = call->answer;

	answer->answer.body = dashboard_file("ifpp-depot.yaml", error);
	if (!answer->answer.body)
		return FALSE;
	answer->answer.status = 200;
	answer->answer.len = g_bytes_get_size(answer->answer.body);
	answer->type = "application/yaml";
	return TRUE;
}

static gboolean answer_call(Call *call, GError **error)
{
	const char *path = call->request->path;

	if (g_str_equal(path, "/metrics"))
		dashboard_metrics(call->api->snapshot, call->answer);
	else if (g_str_equal(path, "/api/v1/openapi.yaml"))
		return get_description(call, error);
	else if (g_str_equal(path, "/api/v1/units"))
		return get_units(call, error);
	else if (g_str_has_prefix(path, "/api/v1/units/"))
		return get_unit(call, path + strlen("/api/v1/units/"), error);
	else if (g_str_equal(path, "/api/v1/results"))
		return get_results(call, error);
	else if (g_str_equal(path, "/api/v1/yield"))
		return get_yield(call, error);
	else if (g_str_equal(path, "/api/v1/states"))
		return get_states(call, error);
	else if (g_str_equal(path, "/api/v1/units.csv") || g_str_equal(path, "/api/v1/failures.csv"))
		get_csv(call, path[8] == 'f');
	else
		web_refuse(call->answer, 404, "unknown", "there is no such thing here", "/api/v1/openapi.yaml says what there is");
	return TRUE;
}

static gboolean handle(WebRequest *request, WebAnswer *answer, gpointer user, GError **error)
{
	Api *api = user;
	Call call = { .api = api, .depot = take_depot(api, error), .request = request, .answer = answer };
	g_autoptr(GError) local = NULL;
	gboolean ok;

	if (!call.depot)
		return FALSE;
	ok = admit(call.depot, request, answer, &local) ? answer_call(&call, &local) : !local;
	if (local)
		g_propagate_error(error, g_steal_pointer(&local));
	if (call.depot)
		give_depot_back(call.depot, api);
	return ok;
}

/* ------------------------------------------------------------ starting and ending */

static void depot_free(gpointer depot)
{
	depot_close(depot);
}

Api *api_start(const char *address, const char *db, Tls *tls, Snapshot *snapshot, AccessLog *log, GError **error)
{
	Api *api = g_new0(Api, 1);
	const WebOptions options = { .name = "api", .log = log, .handle = handle, .user = api };
	int fd = listen_on("--api", address, error);

	api->db = db;
	api->snapshot = snapshot;
	g_mutex_init(&api->lock);
	api->idle = g_ptr_array_new_with_free_func(depot_free);
	if (fd < 0)
		tls_unref(tls);
	else
		api->web = web_start(fd, tls, &options, error);
	if (api->web)
		return api;
	api_stop(api);
	return NULL;
}

void api_reload(Api *api, Tls *tls)
{
	web_reload(api->web, tls);
}

void api_sweep(Api *api)
{
	web_sweep(api->web);
}

void api_tell(Api *api)
{
	web_tell(api->web);
}

void api_stop(Api *api)
{
	if (!api)
		return;
	web_stop(api->web);
	g_ptr_array_unref(api->idle);
	g_mutex_clear(&api->lock);
	g_free(api);
}
