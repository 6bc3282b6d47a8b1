/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often stations have asked this process for what, and what they were answered. */
#ifndef IFPP_DEPOT_COUNTERS_H
#define IFPP_DEPOT_COUNTERS_H

#include <glib.h>

/* Any thread. @what lives for ever. */
void counters_add(const char *what, guint status);
/* Any thread; in no order. */
void counters_each(void (*each)(const char *what, guint status, guint64 count, gpointer user), gpointer user);

#endif
