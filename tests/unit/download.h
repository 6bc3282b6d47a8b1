/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same profile into two chips: by our offline load, and by an ordinary download. */
#ifndef DOWNLOAD_H
#define DOWNLOAD_H

#include "station.h"

typedef struct {
	const char *name;	/* "offline", "sgp22-255", "sgp22-120": the last are block sizes */
	guint64 server;		/* requests to an SM-DP+, each a round trip over HTTPS */
	guint64 server_bytes;	/* in them, without HTTP and base64 */
	guint64 requests;	/* QMI messages to the modem */
	guint64 apdus;		/* that the chip received */
	guint64 bytes;		/* of those APDUs */
	guint64 response_bytes;
	guint64 wire_us, apdu_us, chip_us;	/* as the modem counts, tools/vmodem/wire.h */
	gint64 wall_us;
} DownloadRow;

#define DOWNLOAD_ROWS 3

/**
 * download_compare() - load one profile in three ways and check that it came to the same
 * @world: of the station
 * @link: options for the modem; NULL: the time is counted but not taken
 * @filling: bytes by which the profile is larger than the smallest
 * @rows: what it cost, from the package in hand to the result acknowledged and the channel closed
 */
void download_compare(World *world, const char *link, gsize filling, DownloadRow rows[DOWNLOAD_ROWS]);

#endif
