/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modem's services, each on top of modem-base.h. */
#ifndef VMODEM_MODEM_SERVICES_H
#define VMODEM_MODEM_SERVICES_H

#include "modem-base.h"

void modem_ctl(Request *req);
void modem_dms(Request *req);
/* modem-radio.c: a radio that hears nobody */
void modem_nas(Request *req);
void modem_wds(Request *req);
void modem_wda(Request *req);
void modem_uim(Request *req);

/* modem-files.c: UIM Read Transparent and Get File Attributes. FALSE: neither of them */
gboolean modem_files(Request *req);

/* modem-apdu.c: Logical Channel and its older form, Send APDU */
void modem_uim_open(Request *req);
void modem_uim_logical_channel(Request *req);
void modem_uim_send_apdu(Request *req);

/* modem-card.c */
IfppSpan modem_card_atr(void);
GByteArray *modem_card_status(Modem *modem);
void modem_put_slot_status(Modem *modem, GByteArray *out);
/* To who wants to know: card and slots; stages of a refresh, 1 it starts, 2 it is over. */
void modem_indicate_card(Modem *modem);
void modem_indicate_refresh(Modem *modem, guint8 stage);
/* To the physical @slot: the old card loses power, the new one starts cold. */
void modem_switch_slot(Modem *modem, guint slot);

/* modem-dms.c: who the modem says it is, with QMI or with MBIM */
const char *modem_model(void);
const char *modem_revision(void);
void modem_imei(const Modem *modem, char imei[16]);

/* mbim.c: QMUX frames that come inside go to @qmux. */
Mbim *mbim_new(ModemLink *link, gboolean (*qmux)(ModemLink *link, const guint8 *data, gsize len));
void mbim_free(Mbim *mbim);
/* Any piece of the stream. FALSE: not MBIM */
gboolean mbim_receive(Mbim *mbim, const guint8 *data, gsize len);

#endif
