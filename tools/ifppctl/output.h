/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two voices: lines for people, JSON objects for programs. */
#ifndef IFPPCTL_OUTPUT_H
#define IFPPCTL_OUTPUT_H

#include <glib.h>
#include <json.h>

typedef struct {
	gboolean json;		/* one object per line, nothing else, on standard output */
	gboolean terminal;	/* standard output is one: progress, and EIDs in full */
	gboolean show_ids;	/* EIDs in full elsewhere too */
	gboolean progress;	/* an unfinished line is on the terminal */
} CtlOutput;

/* A line for people; nothing with --json. */
void ctl_say(CtlOutput *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A line that the next one overwrites; only on a terminal. */
void ctl_progress(CtlOutput *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
void ctl_progress_end(CtlOutput *out);

/* EID digits as they may be shown to people. */
void ctl_show_eid(CtlOutput *out, const guint8 eid[16], char text[33]);
/* A path as it may be shown: EIDs in file names are masked in logs. Free it. */
char *ctl_show_path(CtlOutput *out, const char *path);
/* Mask every EID and IMEI in a text, in place. */
void ctl_mask(char *text);
/* Key ids are told apart by their first eight bytes, as in package names. */
void ctl_short_key(const guint8 key_id[32], char text[17]);

/* The first error of this process, for systemctl status and ifppctl list. Nothing outside a unit. */
void ctl_status(const char *text);

char *ctl_now(void);			/* ISO 8601, UTC */
char *ctl_time(gint64 us);		/* real time, the same */

#endif
