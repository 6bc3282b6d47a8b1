/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a station's events add up to: units, packages, failures, and where the time goes. */
#ifndef IFPPCTL_BOARD_H
#define IFPPCTL_BOARD_H

#include "output.h"

#include <netlink.h>

/* Where the time of a load goes. */
typedef enum {
	CTL_TIME_CLIENT,	/* from the chip's appearance, or its last result, to the package's write() */
	CTL_TIME_KERNEL,	/* until the daemon read it */
	CTL_TIME_DAEMON,	/* verification, outbox, all that is not the modem */
	CTL_TIME_MODEM,		/* the requests themselves: an estimate, see ifppd(8) */
	CTL_TIME_CHIP,		/* the rest of the time between first command and last answer */
	CTL_N_TIMES,
} CtlTime;

/* One chip, from the first time it was seen on. */
typedef struct {
	IfppNlDev dev;
	gboolean here;
	gboolean finished;	/* locked, or left with a profile and no failure */
	gint64 came, left, idle;	/* us: of this visit; since when nothing is loaded */
	guint installed, failed;
	guint64 time_ns[CTL_N_TIMES];
	char *socket;		/* where it is plugged, or NULL */
	char *last;		/* what happened to it last */
} CtlUnit;

typedef struct _CtlBoard CtlBoard;

/**
 * ctl_board_new() - an empty table
 * @out: how EIDs are shown
 * @outbox: where the modem's own time is found; a result that cannot be read leaves it with the chip's
 */
CtlBoard *ctl_board_new(CtlOutput *out, const char *outbox);
void ctl_board_free(CtlBoard *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlBoard, ctl_board_free)

void ctl_board_host(CtlBoard *board, const IfppNlHost *host);

/**
 * ctl_board_event() - take an event in
 * @board: the table
 * @event: what happened
 * @now: monotonic time, us
 *
 * Return: the unit, if this event is the end of its visit; else NULL.
 */
const CtlUnit *ctl_board_event(CtlBoard *board, const IfppNlEvent *event, gint64 now);

/**
 * ctl_board_text() - the whole table
 * @board: the table
 * @services: of CtlService, for what is to be done and what failed; NULL: not known
 * @elapsed: seconds since its beginning
 * @rows: lines that there is room for, 0: no bound. Units that have left give way first.
 * @cols: columns, 0: no bound. Where there are few, the last digits of an EID stand for it.
 */
char *ctl_board_text(CtlBoard *board, GPtrArray *services, double elapsed, guint rows, guint cols);

/* A unit's result, as a line for people or as JSON text; free it. */
char *ctl_unit_line(CtlOutput *out, const CtlUnit *unit);
char *ctl_unit_json(const CtlUnit *unit);

/* What came of a load, in a few words; free it. */
char *ctl_load_text(const IfppNlEvent *event);

#endif
