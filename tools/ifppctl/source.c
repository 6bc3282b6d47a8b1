// SPDX-License-Identifier: GPL-2.0-or-later
#include "source.h"
#include "deliver.h"
#include "explain.h"
#include "outbox.h"

#include <eid.h>
#include <netlink.h>
#include <stdio.h>

const char *ctl_source_dir(const CtlSource *source)
{
	return ctl_depot_is_url(source->where) ? source->cache : source->where;
}

/* One chip's packages into the cache. */
static gboolean fetch(Ctl *ctl, CtlDepot *depot, const char *cache, const guint8 eid[16], GError **error)
{
	guint packages, fetched;
	char digits[33];

	if (!ctl_depot_fetch(depot, eid, cache, &packages, &fetched, error))
		return FALSE;
	ctl_show_eid(&ctl->out, eid, digits);
	ctl_say(&ctl->out, "EID %s: %u packages in the depot, %u fetched now.", digits, packages, fetched);
	if (ctl->out.json) {
		JsonBuilder *b = ifpp_json_new("fetch");

		ifpp_json_eid(b, eid);
		ifpp_json_int(b, "packages", packages);
		ifpp_json_int(b, "fetched", fetched);
		ifpp_json_print(b);
	}
	return TRUE;
}

static GPtrArray *scan(const CtlSource *source, const guint8 eid[16], GError **error)
{
	GPtrArray *packages = ctl_packages_scan(ctl_source_dir(source), eid, error);

	if (packages) {
		ctl_packages_add_gone(packages, source->outbox, eid);
		ctl_packages_drop_deleted(packages, source->outbox, eid);
	}
	return packages;
}

GPtrArray *ctl_source_packages(Ctl *ctl, const CtlSource *source, const guint8 eid[16], GError **error)
{
	g_autoptr(CtlDepot) depot = NULL;
	g_autoptr(GPtrArray) packages = NULL;
	g_autoptr(GError) local = NULL;

	if (!ctl_depot_is_url(source->where))
		return scan(source, eid, error);
	depot = ctl_depot_new(source->where, &source->keys, error);
	if (!depot)
		return NULL;
	if (!fetch(ctl, depot, source->cache, eid, &local) && !g_error_matches(local, CTL_ERROR, IFPP_EXIT_BUSY)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	packages = scan(source, eid, error);
	if (packages && local && !packages->len) {
		g_propagate_error(error, g_steal_pointer(&local));
		return NULL;
	}
	if (packages && local)
		ctl_say(&ctl->out, "%s: cannot be reached; going on with %u packages from before.", source->where,
			packages->len);
	return g_steal_pointer(&packages);
}

void ctl_source_deliver(Ctl *ctl, const CtlSource *source)
{
	g_autoptr(GError) error = NULL;
	CtlDelivered counts;

	if (!ctl_depot_is_url(source->where))
		return;
	if (!ctl_deliver(ctl, source->outbox, source->where, source->keep ? NULL : source->cache, &source->keys, &counts,
			 &error))
		ctl_say(&ctl->out, "The results wait in the outbox; ifppctl deliver brings them: %s.", error->message);
	else if (counts.delivered)
		ctl_say(&ctl->out, "%s: %u records delivered.", source->where, counts.delivered);
}

/* The chips that are here, or the one that -d names: an EID needs no driver. */
static GArray *chips_here(Ctl *ctl, GError **error)
{
	g_autoptr(GArray) eids = g_array_new(FALSE, FALSE, IFPP_EID_BYTES);
	g_autoptr(IfppNetlink) nl = NULL;
	g_autoptr(GArray) devs = NULL;
	guint8 eid[16];

	if (ctl->device && ifpp_eid_parse(ctl->device, eid, NULL)) {
		g_array_append_val(eids, eid);
		return g_steal_pointer(&eids);
	}
	nl = ifpp_netlink_new(error);
	devs = nl ? ifpp_netlink_dump(nl, error) : NULL;
	if (!devs)
		return NULL;
	for (guint i = 0; i < devs->len; i++) {
		const IfppNlDev *dev = &g_array_index(devs, IfppNlDev, i);
		g_autofree char *node = g_strdup_printf("ifpp%u", dev->index);

		if (!ctl->device || g_str_equal(ctl->device, node))
			g_array_append_val(eids, dev->eid);
	}
	if (eids->len)
		return g_steal_pointer(&eids);
	g_set_error(error, CTL_ERROR, IFPP_EXIT_NO_DEVICE, "no such chip is here. Plug its modem in, or name an EID with -d");
	return NULL;
}

int ctl_cmd_fetch(Ctl *ctl, int argc, char **argv, GError **error)
{
	g_autofree char *source = NULL, *to = NULL, *cert = NULL, *key = NULL, *ca = NULL;
	const GOptionEntry entries[] = {
		{ "source", 's', 0, G_OPTION_ARG_STRING, &source, "The depot", "URL" },
		{ "to", 0, 0, G_OPTION_ARG_FILENAME, &to, "Where the packages go; default: " CTL_PACKAGES, "DIR" },
		CTL_DEPOT_OPTIONS(cert, key, ca),
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(CtlDepot) depot = NULL;
	g_autoptr(GArray) eids = NULL;
	CtlDepotKeys keys;

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Claim the chips that are here in the depot and bring their packages, for ifppctl provision to load. "
		       "It needs the network and no device.", error))
		return 0;
	if (!source || argc > 1) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "fetch: %s",
			    source ? "it takes options only" : "say where the depot is with --source https://HOST:PORT");
		return 0;
	}
	keys = (CtlDepotKeys){ cert, key, ca };
	depot = ctl_depot_new(source, &keys, error);
	eids = depot ? chips_here(ctl, error) : NULL;
	for (guint i = 0; eids && i < eids->len; i++)
		if (!fetch(ctl, depot, to ?: CTL_PACKAGES, (const guint8 *)eids->data + i * IFPP_EID_BYTES, error))
			break;
	return IFPP_EXIT_OK;
}
