/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bring-up: what a modem must be able to do, asked one thing after the other. Nothing is changed. */
#ifndef IFPPD_SELFTEST_H
#define IFPPD_SELFTEST_H

#include "modem.h"

typedef struct {
	const char *trust_dir;
	const char *policy;	/* of the station, see ifpp_policy_find() */
	gboolean show_ids;	/* EIDs in full */
	gboolean json;		/* one object per line */
} SelftestOptions;

/**
 * selftest_run() - print one line for each check on standard output
 * @modem: which one; of its state_dir only what is known of the time is used
 * @options: how to look and to speak
 *
 * A check that fails says why and what to do; those that need it are skipped. The modem is left
 * as it was found: channel closed, clients given back.
 *
 * Return: IFPP_EXIT_OK if none failed, else the exit code of the first that did.
 */
int selftest_run(const ModemOptions *modem, const SelftestOptions *options);

#endif
