/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units, results and yield as JSON, as packaging/openapi/ifpp-depot.yaml describes them. */
#ifndef IFPP_DEPOT_API_JSON_H
#define IFPP_DEPOT_API_JSON_H

#include <json.h>

#include "units.h"

/* @limit: a page as long as that may have a next one. */
JsonBuilder *api_json_units(const GPtrArray *units, guint limit);
JsonBuilder *api_json_unit(const UnitsRow *unit, const GPtrArray *results);
JsonBuilder *api_json_results(const GPtrArray *results, guint limit);
JsonBuilder *api_json_yield(const GPtrArray *yields);
JsonBuilder *api_json_states(const DepotTotals *totals);

#endif
