// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same profile by our offline load and by an ordinary SGP.22 download, through a modem that takes
 * the time a real one would. Writes "NAME VALUE" lines.
 */
#include <stdio.h>

#include "download.h"

#define FILLING 11500	/* makes a profile of 12 KB */

int main(int argc, char **argv)
{
	World *world = world_new();
	DownloadRow rows[DOWNLOAD_ROWS];

	download_compare(world, "--link default", FILLING, rows);
	for (guint i = 0; i < DOWNLOAD_ROWS; i++) {
		const DownloadRow *row = &rows[i];

#define PUT(field) printf("download.%s." #field " %" G_GUINT64_FORMAT "\n", row->name, (guint64)row->field)
		PUT(server);
		PUT(server_bytes);
		PUT(requests);
		PUT(apdus);
		PUT(bytes);
		PUT(response_bytes);
		PUT(wire_us);
		PUT(apdu_us);
		PUT(chip_us);
		PUT(wall_us);
#undef PUT
	}
	world_free(world);
	return 0;
}
