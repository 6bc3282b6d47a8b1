/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One unit on its way to the end with something going wrong: loaded, locked, switched off and on. */
#ifndef ORDEAL_H
#define ORDEAL_H

#include "station.h"

/* Of an undisturbed run. */
typedef struct {
	guint requests, apdus, writes;
} OrdealRecord;

/* What all runs of a campaign share. */
typedef struct {
	Station *mould;		/* its chip and package are copied for each run */
	GBytes *package;
	const char *profile;	/* its modem's name */
	const char *options;	/* of the modem, NULL: none */
	const char *timeout;	/* of the daemon for one message */
	const char *ifppd;	/* NULL: the build's */
	gboolean hopeless;	/* this modem leads to no chip: what must hold is that nobody harms it */
} Ordeal;

/**
 * ordeal_run() - one run
 * @ordeal: with what
 * @fault: words separated by ';': lines for the "fault" command of the control socket; "kill N", "term N",
 *	"term2 N": SIGKILL, SIGTERM, SIGTERM twice for the daemon at message N; "leave": who loads does it
 *	once and locks the chip, whatever came of it
 * @record: of the run, or NULL
 *
 * Return: NULL when all holds that must hold, else what does not, with the daemon's last words.
 */
char *ordeal_run(const Ordeal *ordeal, const char *fault, OrdealRecord *record);

#endif
