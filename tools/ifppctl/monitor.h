/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a station's events add up to, apart from how they arrive and where they are shown. */
#ifndef IFPPCTL_MONITOR_H
#define IFPPCTL_MONITOR_H

#include "output.h"

#include <netlink.h>

typedef struct _CtlBoard CtlBoard;

CtlBoard *ctl_board_new(CtlOutput *out);
void ctl_board_free(CtlBoard *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlBoard, ctl_board_free)

void ctl_board_host(CtlBoard *board, const IfppNlHost *host);
void ctl_board_event(CtlBoard *board, const IfppNlEvent *event);
/* The whole table as text, @elapsed seconds after the beginning; free it. */
char *ctl_board_text(CtlBoard *board, double elapsed);

/* One event as a line for people, or as JSON text; free it. */
char *ctl_event_line(CtlOutput *out, const IfppNlEvent *event);
char *ctl_event_json(const IfppNlEvent *event);

#endif
