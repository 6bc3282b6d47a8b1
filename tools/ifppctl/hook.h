/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hook of whoever runs the station: a program that is told of each unit that is done. Provisioning leaves a note
 * and goes on; ifpp-hook.service runs the program with it, so nothing that it does stops or slows the line.
 */
#ifndef IFPPCTL_HOOK_H
#define IFPPCTL_HOOK_H

#include "ctl.h"

#define CTL_HOOK "/etc/ifpp/hooks/unit-done"
#define CTL_HOOK_SPOOL "/run/ifpp-hook"

/* For tests: other places for the two. */
#define CTL_HOOK_ENV "IFPP_HOOK"
#define CTL_HOOK_SPOOL_ENV "IFPP_HOOK_SPOOL"

/**
 * ctl_hook_note() - a unit is done: leave that for the hook, if there is one
 * @ctl: for what it says
 * @chip: of the unit
 * @outbox: its results
 *
 * What goes wrong is told, and stops nothing.
 */
void ctl_hook_note(Ctl *ctl, CtlChip *chip, const char *outbox);

#endif
