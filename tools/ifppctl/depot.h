/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A station's way to the warehouse: HTTPS with a certificate of its own (Documentation/depot.rst). */
#ifndef IFPPCTL_DEPOT_H
#define IFPPCTL_DEPOT_H

#include <glib.h>
#include <tlv.h>

#define CTL_DEPOT_CERT "/etc/ifpp/depot/station.pem"
#define CTL_DEPOT_KEY "/etc/ifpp/depot/station.key"
#define CTL_DEPOT_CA "/etc/ifpp/depot/ca.pem"

typedef struct {
	char *cert, *key, *ca;	/* files; NULL: the ones above */
} CtlDepotKeys;

#define CTL_DEPOT_OPTIONS(cert, key, ca) \
	{ "cert", 0, 0, G_OPTION_ARG_FILENAME, &(cert), "This station's certificate; default: " CTL_DEPOT_CERT, "FILE" }, \
	{ "key", 0, 0, G_OPTION_ARG_FILENAME, &(key), "Its private key; default: " CTL_DEPOT_KEY, "FILE" }, \
	{ "ca", 0, 0, G_OPTION_ARG_FILENAME, &(ca), "Who certifies the depot; default: " CTL_DEPOT_CA, "FILE" }

typedef struct _CtlDepot CtlDepot;

gboolean ctl_depot_is_url(const char *where);

/**
 * ctl_depot_new() - a client of one depot; connects when first asked
 * @url: https://HOST[:PORT], nothing after it
 * @keys: who we are, and whom we believe
 * @error: IFPP_ERROR_USAGE, INTERNAL
 */
CtlDepot *ctl_depot_new(const char *url, const CtlDepotKeys *keys, GError **error);
void ctl_depot_free(CtlDepot *depot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlDepot, ctl_depot_free)

/**
 * ctl_depot_epoch() - which depot this is, and since when its memory has no gap
 * @depot: the depot
 * @notes: set: does it take what a station says of a unit beside results? Older ones do not
 * @error: CTL_ERROR with IFPP_EXIT_BUSY: it cannot be reached now; or another
 *
 * Return: a name without spaces that is another once a depot was restored; "-" from a depot that knows of none.
 */
char *ctl_depot_epoch(CtlDepot *depot, gboolean *notes, GError **error);

/**
 * ctl_depot_fetch() - claim a chip and bring its packages here
 * @depot: the depot
 * @eid: of the chip
 * @dir: where the packages go, each whole and on the disk
 * @packages: how many the depot has for it
 * @fetched: how many of them were not here yet
 * @error: CTL_ERROR, of exit code IFPP_EXIT_BUSY if the depot cannot be reached; IFPP_ERROR_HEADER_MISMATCH,
 *	NO_SPACE, ACCESS, IO
 *
 * A transfer that breaks off goes on where it was.
 */
gboolean ctl_depot_fetch(CtlDepot *depot, const guint8 eid[16], const char *dir, guint *packages, guint *fetched,
			 GError **error);

typedef enum {
	CTL_PUT_STORED,
	CTL_PUT_THERE,		/* the same is there */
	CTL_PUT_UNKNOWN,	/* the depot does not know what this is about */
	CTL_PUT_REFUSED,	/* for good: @error says why */
	CTL_PUT_LATER,		/* not now: @error says why */
} CtlPut;

/* @path: as in "/v1/results/KEYID" */
CtlPut ctl_depot_put(CtlDepot *depot, const char *path, const char *body, GError **error);

#endif
