/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests of the daemon at a station do again and again. */
#ifndef STEPS_H
#define STEPS_H

#include "station.h"

/* A reply with the chip's report. */
void steps_result(RelaySimResult *result, int status, guint reason);
void steps_pir(RelaySimResult *result, gboolean success);
/* Nothing of ours may be left in the modem when no daemon runs. */
void steps_clean(Station *station);
/* Stop the daemon, which must end in peace, and free the station. */
void steps_end(Station *station);
/* One request that is answered so, of which nothing else is looked at. */
void steps_ask(Station *station, enum ifpp_req_type type, GBytes *data, int status, guint reason);
/* Past the driver's checks, straight to the daemon. Return: the daemon's status */
int steps_force(Station *station, GBytes *package, RelaySimResult *result);
GBytes *steps_flipped(GBytes *package, gsize at, guint8 bits);
GBytes *steps_challenge(guint8 fill);

#endif
