/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a depot refuses: one table for exit codes, HTTP statuses and what to do next. */
#ifndef IFPP_DEPOT_ERROR_H
#define IFPP_DEPOT_ERROR_H

#include <glib.h>

#define DEPOT_ERROR depot_error_quark()
GQuark depot_error_quark(void);

typedef enum {
	DEPOT_ERROR_UNKNOWN,	/* not here, or not this station's business: the two look alike */
	DEPOT_ERROR_CONFLICT,	/* contradicts what is on record */
	DEPOT_ERROR_INPUT,	/* malformed */
	DEPOT_ERROR_TOO_LARGE,
	DEPOT_ERROR_RATE,	/* a station asks too often */
	DEPOT_ERROR_METHOD,	/* HTTP only */
	DEPOT_ERROR_STATION,	/* no station certificate, or one that is not trusted */
	DEPOT_ERROR_AUTHORITY,	/* not a station that the operator has named */
	DEPOT_ERROR_QUOTA,	/* it holds as many chips as it may */
	DEPOT_ERROR_RECONCILE,	/* totals that do not add up */
	DEPOT_ERROR_KEYS,	/* a chip has not so many keys for this Key Maker */
	DEPOT_ERROR_FILES,	/* certificates, keys or CRLs of the service that are of no use */
} DepotError;

/**
 * depot_error_http() - HTTP status, stable name and hint of an error
 * @error: of DEPOT_ERROR, DB_ERROR or IFPP_ERROR
 * @name: "conflict"; never NULL
 * @hint: one sentence
 *
 * Return: the status. An error of the depot itself (its disk, its database) is 503: come again.
 */
guint depot_error_http(const GError *error, const char **name, const char **hint);

/* Print one line on standard error; returns the exit code (IfppExit). */
int depot_error_exit(const GError *error);

#endif
