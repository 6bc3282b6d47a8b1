/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events of the driver as text. */
#ifndef IFPPCTL_MONITOR_H
#define IFPPCTL_MONITOR_H

#include "output.h"

#include <netlink.h>

/* One event as a line for people, or as JSON text; free it. */
char *ctl_event_line(CtlOutput *out, const IfppNlEvent *event);
char *ctl_event_json(const IfppNlEvent *event);

#endif
