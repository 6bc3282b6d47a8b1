/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the outbox share. */
#ifndef IFPPD_OUTBOX_PRIV_H
#define IFPPD_OUTBOX_PRIV_H

#include "outbox.h"

struct _Outbox {
	char *dir;
	guint8 eid[16];
	GPtrArray *attempts;
	GPtrArray *deletions;	/* of IfppDeletion */
	IfppUnit unit;
};

/* The unit that the chip is in, with what was scanned: that may have come after the chip. */
void outbox_put_unit(Outbox *outbox, IfppUnit *unit);

/* A file in it, and the time for it. */
char *outbox_path(Outbox *outbox, const char *name, const char *suffix);
char *outbox_now(void);

#endif
