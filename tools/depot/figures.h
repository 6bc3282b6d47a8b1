/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the dashboard and Prometheus are told of a depot: sums, and nothing of a single unit. */
#ifndef IFPP_DEPOT_FIGURES_H
#define IFPP_DEPOT_FIGURES_H

#include "depot.h"

#define FIGURES_HOURS 24
#define FIGURES_STOCK_MAX 200	/* orders and profiles that are told one by one */

typedef struct {
	const char *order, *operator, *profile;	/* all empty: those that are not told one by one */
	gint64 packages[DEPOT_N_STATES];
	gint64 changed;				/* the last of them, Unix ms */
} FiguresStock;

/* Which units, by what they need. */
typedef enum {
	FIGURES_UNTOUCHED,	/* no package of it has been asked for */
	FIGURES_OPEN,		/* some have not ended */
	FIGURES_DONE,		/* all are installed */
	FIGURES_LOST,		/* all have ended, and not all are installed */
	FIGURES_N_UNITS
} FiguresUnit;

typedef struct {
	const char *name;
	gboolean named, revoked;
	gint64 quota;
	gint64 chips, packages, sent;		/* whose leases run, now; sent: of these packages */
	gint64 installed, failed, burnt;	/* of all time */
	gint64 hour;				/* installed in the last 60 minutes */
	gint64 doubts;
	gint64 last;				/* change of a package that it has or had last, Unix ms */
} FiguresStation;

/* Packages that ended badly, or that stations refuse, and alike. */
typedef struct {
	const char *reason, *station, *firmware;	/* firmware: of the modem, "" if nobody has told it */
	gint64 packages;
} FiguresFailure;

typedef struct {
	const char *name;		/* of the modem's firmware; "": nobody has told it */
	gint64 results;		/* packages that a chip has ended */
} FiguresFirmware;

typedef struct {
	const char *why, *station;
	gint64 count, since;
} FiguresDoubt;

typedef struct {
	gint64 at;				/* the database's clock, Unix ms */
	gint64 took;				/* us that the database needed */
	gint64 packages[DEPOT_N_STATES], units[FIGURES_N_UNITS];
	gint64 doubts, deliveries[4];		/* by DEPOT_DELIVERY_BEGUN... */
	/* [0]: the hour that runs, [1]: the one before... of the clock, UTC */
	struct {
		gint64 units, packages, lost;	/* units done, packages installed, packages that failed or were burnt */
	} hours[FIGURES_HOURS];
	GPtrArray *stock, *stations, *failures, *firmware, *doubt;	/* of the structs above */
	GPtrArray *refusals;			/* of FiguresFailure: not lost, and not loaded by the station's word */
	GStringChunk *strings;			/* the texts in them */
} Figures;

/**
 * depot_figures() - add everything up
 * @depot: the depot
 * @error: DB_ERROR
 *
 * It goes through all packages, and takes no lock: with a million it is a matter of seconds, in which others work.
 */
Figures *depot_figures(Depot *depot, GError **error);
void figures_free(Figures *figures);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Figures, figures_free)

/* "working", "claimed", "idle", "revoked": what a station does now. */
const char *figures_doing(const FiguresStation *station);

/* By the least and the greatest state of its packages. */
FiguresUnit figures_unit(gint64 least, gint64 most);

extern const char *const figures_unit_names[FIGURES_N_UNITS];
extern const char *const figures_delivery_names[4];

#endif
