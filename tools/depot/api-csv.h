/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units and failures as CSV (RFC 4180), page by page while it is read. */
#ifndef IFPP_DEPOT_API_CSV_H
#define IFPP_DEPOT_API_CSV_H

#include <microhttpd.h>

#include "depot.h"

/**
 * api_csv() - a response that reads the database as it is sent
 * @depot: is used until the response is destroyed
 * @failures: packages that failed or were burnt; else units
 * @give_back: called with @depot and @user at the end
 * @user: for @give_back
 *
 * An error of the database ends the connection before the end: what was sent is seen to be not whole.
 */
struct MHD_Response *api_csv(Depot *depot, gboolean failures, void (*give_back)(Depot *depot, gpointer user), gpointer user);

#endif
