/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMODEM_TRANSPORT_PRIV_H
#define VMODEM_TRANSPORT_PRIV_H

#include "transport.h"

struct _Transport {
	void (*event)(Transport *transport, ModemEvent event);
	void (*free)(Transport *transport);
};

#endif
