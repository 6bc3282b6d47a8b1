/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMODEM_TRANSPORT_PRIV_H
#define VMODEM_TRANSPORT_PRIV_H

#include "transport.h"

struct _Transport {
	void (*event)(Transport *transport, ModemEvent event);
	void (*free)(Transport *transport);
	/* for transport_replug() */
	gboolean (*plug)(Transport *transport, GError **error);
	void (*unplug)(Transport *transport);
};

/* An event: whatever it is, the modem goes; and if it is not unplugged, it comes again. */
void transport_replug(Transport *transport, ModemEvent event);
/* From now on the modem's events are the transport's. */
void transport_follow(Transport *transport, Modem *modem);

#endif
