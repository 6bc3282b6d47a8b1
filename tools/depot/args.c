// SPDX-License-Identifier: GPL-2.0-or-later
#include "args.h"

#include <stdio.h>

#include <eid.h>
#include <error.h>
#include <json.h>

#define DEFAULT_DB "/var/lib/ifpp-depot/depot.db"
#define PAGE 500

char *args_url;
gboolean args_json;

const char *args_db(void)
{
	return args_url ?: g_getenv("IFPP_DEPOT_DB") ?: DEFAULT_DB;
}

IfppTrust *args_trust(const char *dir, GError **error)
{
	return ifpp_trust_new_from_dir(dir ?: ARGS_TRUST, error);
}

void args_tell_item(const DepotItem *item)
{
	g_autofree char *key = ifpp_hex(IFPP_SPAN(item->key_id)), *sha256 = ifpp_hex(IFPP_SPAN(item->sha256));
	g_autofree char *lease = item->lease ? depot_time(item->lease) : NULL, *changed = depot_time(item->changed);
	char eid[33];

	ifpp_eid_format(item->eid, eid);
	if (args_json) {
		JsonBuilder *b = ifpp_json_new("package");

		ifpp_json_string(b, "eid", eid);
		ifpp_json_string(b, "key_id", key);
		ifpp_json_string(b, "state", depot_state_names[item->state]);
		ifpp_json_string(b, "station", item->station);
		ifpp_json_string(b, "lease", lease);
		ifpp_json_string(b, "changed", changed);
		ifpp_json_string(b, "iccid", item->iccid);
		ifpp_json_string(b, "operator", item->operator);
		ifpp_json_string(b, "batch", item->batch);
		ifpp_json_string(b, "profile", item->profile);
		ifpp_json_int(b, "bytes", item->bytes);
		ifpp_json_string(b, "sha256", sha256);
		ifpp_json_print(b);
		return;
	}
	printf("%-9s  %s  %.16s  %-20s  %-12s  %s%s%s\n", depot_state_names[item->state], eid, key, item->iccid,
	       item->station ?: "-", item->operator, *item->batch ? " / " : "", item->batch);
}

void args_filter_clear(Filter *f)
{
	g_free(f->eid);
	g_free(f->key);
	g_free(f->iccid);
	g_free(f->operator);
	g_free(f->batch);
	g_free(f->state);
}
gboolean args_key(const char *text, guint8 key_id[32], GError **error)
{
	return ifpp_unhex_into(text, key_id, 32) || ifpp_usage_error(error, "a key id has 64 hexadecimal digits");
}

gboolean args_filter_read(Filter *f, GError **error)
{
	DepotState state;

	f->filter = (DepotFilter){ .iccid = f->iccid, .operator = f->operator, .batch = f->batch, .state = -1 };
	if (!!f->eid + !!f->key + !!f->iccid + !!f->operator + !!f->batch > 1)
		return ifpp_usage_error(error, "give one of --eid, --key, --iccid, --operator and --batch");
	if (f->eid) {
		if (!ifpp_eid_parse(f->eid, f->eid_bytes, error))
			return FALSE;
		f->filter.eid = f->eid_bytes;
	}
	if (f->key) {
		if (!args_key(f->key, f->key_bytes, error))
			return FALSE;
		f->filter.key_id = f->key_bytes;
	}
	if (f->state) {
		if (!depot_state_parse(f->state, &state))
			return ifpp_usage_error(error, "--state: free, reserved, sent, installed, failed or burnt");
		f->filter.state = state;
	}
	return TRUE;
}

gboolean args_station_ok(const char *station, int lease, GError **error)
{
	if (!station || !depot_station_valid(station))
		return ifpp_usage_error(error, "--station: 1 to 64 letters, digits, dots, dashes and underscores");
	if (lease < 1 || lease > DEPOT_LEASE_MAX)
		return ifpp_usage_error(error, "--lease: from 1 second to 7 days");
	return TRUE;
}

gboolean args_each(Depot *depot, const DepotFilter *filter, gboolean (*func)(DepotItem *, gpointer, GError **),
		     gpointer user, guint *count, GError **error)
{
	g_autoptr(GPtrArray) items = NULL;

	do {
		g_autoptr(GPtrArray) next = depot_list(depot, filter, items ? items->pdata[items->len - 1] : NULL, PAGE,
						       error);

		if (!next)
			return FALSE;
		for (guint i = 0; i < next->len; i++)
			if (!func(next->pdata[i], user, error))
				return FALSE;
		*count += next->len;
		g_clear_pointer(&items, g_ptr_array_unref);
		items = g_steal_pointer(&next);
	} while (items->len == PAGE);
	return TRUE;
}
