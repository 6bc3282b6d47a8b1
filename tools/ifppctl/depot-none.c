// SPDX-License-Identifier: GPL-2.0-or-later
/* In place of depot.c where the client of a warehouse is left out: a URL is known, and refused. */
#include "depot.h"

#include <error.h>

gboolean ctl_depot_is_url(const char *where)
{
	return g_str_has_prefix(where, "https://");
}

CtlDepot *ctl_depot_new(const char *url, const CtlDepotKeys *keys, GError **error)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: this ifppctl was built without the client of a warehouse", url);
	return NULL;
}

void ctl_depot_free(CtlDepot *depot)
{
}

gboolean ctl_depot_fetch(CtlDepot *depot, const guint8 eid[16], const char *dir, guint *packages, guint *fetched,
			 GError **error)
{
	g_return_val_if_reached(FALSE);
}

char *ctl_depot_epoch(CtlDepot *depot, gboolean *notes, GError **error)
{
	g_return_val_if_reached(NULL);
}

CtlPut ctl_depot_put(CtlDepot *depot, const char *path, const char *body, GError **error)
{
	g_return_val_if_reached(CTL_PUT_LATER);
}
