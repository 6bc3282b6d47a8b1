/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The access log: every refusal and every change, one line each, for the journal or a file. */
#ifndef IFPP_DEPOT_ACCESS_H
#define IFPP_DEPOT_ACCESS_H

#include <glib.h>

typedef struct _AccessLog AccessLog;

/**
 * access_open() - open the log
 * @path: file to append to; NULL: standard error, which systemd gives to the journal
 * @error: IFPP_ERROR_IO, ACCESS
 */
AccessLog *access_open(const char *path, GError **error);
void access_close(AccessLog *log);

typedef struct {
	const char *station;	/* CN; NULL: nobody that is known */
	const char *address;	/* host:port; NULL: not known */
	const char *method, *path;
	guint status;
	const char *reason;
} AccessEntry;

/* EIDs in the path are masked. What came from the network cannot end a line. Any thread. */
void access_write(AccessLog *log, const AccessEntry *entry);
/* The same for one of several that end together: it is written by access_flush(). */
void access_note(AccessLog *log, const AccessEntry *entry);
void access_flush(AccessLog *log);

#endif
