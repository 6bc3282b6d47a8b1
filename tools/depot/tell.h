/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The figures as the dashboard and Prometheus read them. */
#ifndef IFPP_DEPOT_TELL_H
#define IFPP_DEPOT_TELL_H

#include <json.h>

#include "snapshot.h"

/* For snapshot_tell(); @user: JsonBuilder with an object that is open. */
void tell_json(const SnapshotView *view, gpointer user);
/* For snapshot_tell(); @user: GString. */
void tell_metrics(const SnapshotView *view, gpointer user);

#endif
