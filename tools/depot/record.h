/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stations bring back, in JSON (Documentation/depot.rst): read strictly, proven with the
 * chip's own certificate where that is known, and stored.
 */
#ifndef IFPP_DEPOT_RECORD_H
#define IFPP_DEPOT_RECORD_H

#include <json.h>
#include <x509.h>

#include "depot.h"

/**
 * record_load() - the object that one of these is
 * @text: the JSON
 * @format: its name
 * @newest: version that is known here
 * @eid: set: of the chip that it is about
 * @error: DEPOT_ERROR_INPUT
 */
JsonObject *record_load(IfppSpan text, const char *format, int newest, guint8 eid[16], GError **error);

/**
 * record_put_result() - {"format": "ifpp-result", "version": 1, "eid", "result": {...}}
 * @depot: where it goes
 * @trust: CI roots, or NULL: nothing can be proven
 * @station: who brings it
 * @key_id: of the package it must be about, or NULL: what it says
 * @text: the JSON
 * @stored: FALSE: it was there already
 * @state: the state of the package after it
 * @doubt: set to why it is not proven, or to NULL; or NULL: who cares
 * @error: DEPOT_ERROR_INPUT, UNKNOWN, CONFLICT (also a forged one), DB, BUSY
 */
gboolean record_put_result(Depot *depot, IfppTrust *trust, const char *station, const guint8 *key_id, IfppSpan text,
			   gboolean *stored, DepotState *state, char **doubt, GError **error);

/*
 * {"format": "ifpp-chip", "version": 1, "eid", "euicc_data": base64 or null, "lock": {...} or null}
 * The chip's results that came before its data are proven by it.
 */
gboolean record_put_chip(Depot *depot, IfppTrust *trust, const char *station, const guint8 *eid, IfppSpan text,
			 gboolean *stored, GError **error);

/**
 * record_put_notes() - {"format": "ifpp-notes", "version": 1, "eid", ...}: the other members are those of a unit of the report
 * @depot: where they go
 * @station: who brings them
 * @eid: of the chip that they must be about, or NULL: what they say
 * @text: the JSON
 * @stored: FALSE: the same was there already
 * @kept: how many refusals are on record by it
 * @told: how many there are in @text; of the others the station was not sent the package
 * @error: DEPOT_ERROR_INPUT, UNKNOWN, TOO_LARGE, DB
 */
gboolean record_put_notes(Depot *depot, const char *station, const guint8 *eid, IfppSpan text, gboolean *stored,
			  guint *kept, guint *told, GError **error);

#endif
