/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a station knows of the time when its clock does not: the newest date that was ever proven to it, and its policy. */
#ifndef IFPPD_CLOCK_H
#define IFPPD_CLOCK_H

#include "x509.h"

/**
 * clock_apply() - hold the machine's clock against what this station has seen
 * @trust: just read
 * @state_dir: what was seen is in state_dir/clock/floor
 * @policy: as ifpp_policy_find(); "Clock=floor" there takes the floor for now. A policy that makes no sense says nothing
 */
void clock_apply(IfppTrust *trust, const char *state_dir, const char *policy);

/*
 * Keep what was believed since: after a path was. That it cannot be kept is told in the log, and stops nothing; so is that
 * dates were held against the floor.
 */
void clock_keep(IfppTrust *trust, const char *state_dir);

#endif
