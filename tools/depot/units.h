/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units and what became of them, a page at a time, for other systems: they read, and change nothing. */
#ifndef IFPP_DEPOT_UNITS_H
#define IFPP_DEPOT_UNITS_H

#include "figures.h"

typedef struct {
	guint8 eid[16];
	FiguresUnit state;
	gint64 packages, installed, failed, burnt, changed;
	IfppUnit unit;
} UnitsRow;

/* By which units are asked for; only one of them. */
typedef enum { UNITS_ALL, UNITS_EID, UNITS_ORDER, UNITS_IMEI, UNITS_SERIAL, UNITS_BOARD_SERIAL, UNITS_WORK_ORDER, UNITS_KEYS } UnitsKey;
extern const char *const units_key_names[UNITS_KEYS];	/* "imei"; of UNITS_ALL NULL */

/**
 * units_list() - units by EID
 * @depot: the depot
 * @key: by what
 * @value: of it; of UNITS_EID 32 digits that are an EID
 * @after: the last one of the page before, or NULL
 * @limit: most of one page
 * @error: DB_ERROR
 *
 * Return: of UnitsRow
 */
GPtrArray *units_list(Depot *depot, UnitsKey key, const char *value, const guint8 *after, guint limit, GError **error);

/* What a package ended with. */
typedef struct {
	guint8 key_id[32], eid[16];
	char *iccid, *profile, *operator, *order, *station, *proof;
	DepotState state;
	const char *reason;		/* "ok"...; "burnt"; NULL: it has not ended */
	gboolean proven;
	gint64 at;
	struct {
		const char *reason;	/* NULL: no station refuses it, as far as anybody knows */
		char *why, *station;
		gint64 at;
	} refused;
	IfppUnit unit;
} UnitsResult;

typedef enum {
	UNITS_ENDED,
	UNITS_LOST,		/* failed or burnt */
	UNITS_REFUSED,		/* not loaded, by the word of a station, and not ended */
	UNITS_FAILURES,		/* lost or refused */
} UnitsWhich;

/**
 * units_results() - packages and what became of them, by EID and key id
 * @depot: the depot
 * @which: those that are told
 * @eid: of this chip, whatever became of them; NULL: of all
 * @after: the last one of the page before, or NULL
 * @limit: most of one page
 * @error: DB_ERROR
 *
 * Return: of UnitsResult
 */
GPtrArray *units_results(Depot *depot, UnitsWhich which, const guint8 *eid, const UnitsResult *after, guint limit, GError **error);

typedef struct {
	char *order;
	gint64 units[FIGURES_N_UNITS];
} UnitsYield;

/* Of one order, or of each with @order NULL; of UnitsYield. It goes through all packages. */
GPtrArray *units_yield(Depot *depot, const char *order, GError **error);

#endif
