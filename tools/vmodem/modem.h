/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A modem that speaks QMI in front of the chip. Transport is somebody else's business. */
#ifndef VMODEM_MODEM_H
#define VMODEM_MODEM_H

#include "chip.h"
#include "faults.h"
#include "wire.h"

typedef struct _Modem Modem;
/* One way in: a socket connection, or the USB port. */
typedef struct _ModemLink ModemLink;

typedef enum {
	MODEM_RESET,		/* the firmware restarts: gone, and back */
	MODEM_UNPLUG,		/* gone */
	MODEM_PLUG,		/* back */
} ModemEvent;

/* What is spoken on its links. */
typedef enum {
	MODEM_QMI,		/* QMUX */
	MODEM_MBIM_QMI,		/* MBIM, with QMUX inside */
	MODEM_MBIM,		/* MBIM alone */
} ModemProtocol;

typedef void (*ModemSendFunc)(const guint8 *frame, gsize len, gpointer user);
typedef void (*ModemEventFunc)(ModemEvent event, gpointer user);

/* @chip is taken. */
Modem *modem_new(Chip *chip);
void modem_free(Modem *modem);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Modem, modem_free)
/* Told from the main loop, never from inside a call, so that links may be freed in it. */
void modem_set_event_func(Modem *modem, ModemEventFunc func, gpointer user);
/* The character of modem and chip; none unless set. */
void modem_set_quirks(Modem *modem, const Quirks *quirks);
/* MODEM_QMI unless set; before there is any link. */
void modem_set_protocol(Modem *modem, ModemProtocol protocol);
/* Client ids per service, as small as on real modems. Default 16. */
void modem_set_max_clients(Modem *modem, guint max);

/* The time that card and modem take: what they would is always counted, wire_default unless set. */
void modem_set_wire(Modem *modem, const WireModel *model);
const WireTime *modem_wire_time(const Modem *modem);

/* @send gets one whole QMUX frame, or MBIM message, per call. */
ModemLink *modem_link_new(Modem *modem, ModemSendFunc send, gpointer user);
/* Client ids stay allocated, as they do when a process with /dev/cdc-wdm0 open is killed. */
void modem_link_free(ModemLink *link);
/* A client id of @service without asking for it in QMI CTL, which QRTR does not have. 0: there is none left, or no such service */
guint8 modem_link_client(ModemLink *link, guint8 service);
void modem_link_release(ModemLink *link, guint8 service, guint8 client);
/* Any piece of the stream. FALSE: not the protocol, the stream is lost. */
gboolean modem_link_receive(ModemLink *link, const guint8 *data, gsize len);

/* Every client and channel is dropped, the chip starts cold, the links go (event MODEM_RESET). */
void modem_reset(Modem *modem);
/* The whole unit loses power at once, and gets it back. */
void modem_power_cut(Modem *modem);
void modem_unplug(Modem *modem);
void modem_plug(Modem *modem);
gboolean modem_plugged(const Modem *modem);
guint modem_slot(const Modem *modem);	/* the active one, from 1 */

Chip *modem_chip(Modem *modem);
Faults *modem_faults(Modem *modem);
guint modem_clients(const Modem *modem);	/* allocated client ids */
/* Name of a service besides CTL, and how many requests it had; NULL: no such. */
const char *modem_service(const Modem *modem, guint index, guint64 *requests);

/* The same services by number; 0: no such. */
guint8 modem_service_id(const Modem *modem, guint index);

typedef struct {
	guint64 requests;		/* QMI messages from hosts */
	guint64 mbim_messages;		/* from hosts, those with QMI inside included */
	guint64 send_apdus;		/* UIM Send APDU among them */
	guint64 resets;
	guint64 faults;			/* that struck */
} ModemStats;

const ModemStats *modem_stats(const Modem *modem);

#endif
