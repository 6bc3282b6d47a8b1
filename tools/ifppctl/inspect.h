/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How chips and this machine are told, for the subcommands that tell them. */
#ifndef IFPPCTL_INSPECT_H
#define IFPPCTL_INSPECT_H

#include "output.h"

#include <netlink.h>

const char *ctl_anchor_name(guint32 anchor);	/* "none", "burnt"... */
void ctl_json_dev(JsonBuilder *b, const IfppNlDev *dev);
void ctl_json_host(JsonBuilder *b, const IfppNlHost *host);
void ctl_say_host(CtlOutput *out, const IfppNlHost *host);

#endif
