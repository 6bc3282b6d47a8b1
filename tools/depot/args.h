/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several commands take from their command line, and print alike. */
#ifndef IFPP_DEPOT_ARGS_H
#define IFPP_DEPOT_ARGS_H

#include <options.h>

#include "depot.h"
#include <x509.h>

#define ARGS_TRUST "/etc/ifpp/ci"

extern char *args_url;		/* --db, or NULL */
extern gboolean args_json;

#define COMMON \
	{ "db", 0, 0, G_OPTION_ARG_STRING, &args_url, "The depot; default: /var/lib/ifpp-depot/depot.db", "PATH|URL" }, \
	{ "json", 0, 0, G_OPTION_ARG_NONE, &args_json, "One JSON object per line", NULL }

#define TRUST(dir) \
	{ "trust", 0, 0, G_OPTION_ARG_FILENAME, &(dir), "CI roots and CRLs; default: " ARGS_TRUST, "DIR" }
#define STATION(name, what) { "station", 0, 0, G_OPTION_ARG_STRING, &(name), what, "NAME" }
#define LEASE(seconds, by_default) \
	{ "lease", 0, 0, G_OPTION_ARG_INT, &(seconds), "How long a claim lasts (" by_default ")", "SECONDS" }

/* Where the depot is. */
const char *args_db(void);
/* CI roots and CRLs; @dir NULL: the default. */
IfppTrust *args_trust(const char *dir, GError **error);

typedef struct {
	char *eid, *key, *iccid, *operator, *batch, *state;
	guint8 eid_bytes[16], key_bytes[32];
	DepotFilter filter;
} Filter;

#define FILTER(f) \
	{ "eid", 0, 0, G_OPTION_ARG_STRING, &(f).eid, "Of this chip", "EID" }, \
	{ "iccid", 0, 0, G_OPTION_ARG_STRING, &(f).iccid, "With this ICCID", "ICCID" }, \
	{ "operator", 0, 0, G_OPTION_ARG_STRING, &(f).operator, "Of this operator", "NAME" }, \
	{ "batch", 0, 0, G_OPTION_ARG_STRING, &(f).batch, "Of this order of the Key Maker", "NAME" }, \
	{ "state", 0, 0, G_OPTION_ARG_STRING, &(f).state, "free, reserved, sent, installed, failed or burnt", "STATE" }

void args_filter_clear(Filter *f);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Filter, args_filter_clear)
gboolean args_filter_read(Filter *f, GError **error);

gboolean args_key(const char *text, guint8 key_id[32], GError **error);
/* How a chip's packages are claimed from the command line. */
gboolean args_station_ok(const char *station, int lease, GError **error);

void args_tell_item(const DepotItem *item);
/* Calls @func for each package, page by page. */
gboolean args_each(Depot *depot, const DepotFilter *filter, gboolean (*func)(DepotItem *, gpointer, GError **),
		   gpointer user, guint *count, GError **error);

#endif
