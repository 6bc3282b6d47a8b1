/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modem's base: what its services stand on. All numbers of QMI are little-endian. */
#ifndef VMODEM_MODEM_BASE_H
#define VMODEM_MODEM_BASE_H

#include "modem.h"

enum {
	SERVICE_CTL = 0x00,
	SERVICE_WDS = 0x01,
	SERVICE_DMS = 0x02,
	SERVICE_NAS = 0x03,
	SERVICE_UIM = 0x0B,
	SERVICE_WDA = 0x1A,
};

/* QMI bit masks: modes; bands GSM 1800, 900, UMTS 2100, 900; LTE 1, 3, 5, 7, 8, 20 */
#define MODEM_MODES (1 << 2 | 1 << 3 | 1 << 4)
#define MODEM_BANDS (G_GUINT64_CONSTANT(1) << 7 | 1 << 8 | 1 << 22 | G_GUINT64_CONSTANT(1) << 49)
#define MODEM_BANDS_LTE (1 << 0 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 19)

#define QMUX_HEADER 6

#define N_SERVICES 5		/* besides CTL */
#define N_CLIENTS 254

enum {
	QMI_OK = 0,
	QMI_MALFORMED = 1,
	QMI_INTERNAL = 3,
	QMI_CLIENT_IDS_EXHAUSTED = 5,
	QMI_INVALID_CLIENT_ID = 7,
	QMI_CALL_FAILED = 14,
	QMI_OUT_OF_CALL = 15,
	QMI_MISSING_ARGUMENT = 17,
	QMI_ARGUMENT_TOO_LONG = 19,
	QMI_NO_EFFECT = 26,
	QMI_INVALID_SERVICE_TYPE = 31,
	QMI_INVALID_ARGUMENT = 48,
	QMI_DEVICE_NOT_READY = 52,
	QMI_INSUFFICIENT_RESOURCES = 68,
	QMI_INVALID_COMMAND = 71,
	QMI_SIM_FILE_NOT_FOUND = 80,
	QMI_NOT_SUPPORTED = 94,
	QMI_NO_SIM = 102,
};

/* UIM Register Events */
#define EVENT_CARD_STATUS 0x01
#define EVENT_SLOT_STATUS 0x10

typedef struct {
	gboolean used;
	ModemLink *link;	/* who used it last; NULL: gone */
	guint32 events;
	gboolean refresh;	/* wants refresh indications */
} Client;

typedef struct _Request Request;

typedef struct {
	guint8 id;
	const char *name;
	guint16 major, minor;
	void (*handle)(Request *req);
} ServiceKind;

typedef struct {
	const ServiceKind *kind;
	guint64 requests;
	Client clients[N_CLIENTS + 1];
} Service;

struct _Modem {
	Chip *chip;
	Faults *faults;
	Wire wire;		/* what all this would take on a real one */
	Quirks quirks;
	guint slot;		/* physical one that is active, from 1 */
	guint host_apdus;	/* since the modem's last STATUS of its own */
	Service services[N_SERVICES];
	guint max_clients;
	GPtrArray *links;
	guint8 mode;		/* DMS operating mode */
	guint16 modes;		/* NAS mode preference */
	guint8 link_layer;	/* WDA: 1 802.3, 2 raw IP */
	gboolean sim_off;	/* by UIM Power Off */
	gboolean plugged;
	gboolean hung;
	ModemEventFunc event;
	gpointer event_user;
	GQueue events;		/* ModemEvent, to be told from the main loop */
	guint event_source;
	guint refresh_source;
	guint8 proactive_len;	/* of the command that the card has announced */
	GPtrArray *late;	/* Late: answers that a fault holds back */
	ModemProtocol protocol;
	guint32 channel_groups[CHIP_CHANNELS];	/* MBIM: the tag of who opened it */
	GByteArray *terminal_capability;	/* MBIM: as the host has set it, or NULL */
	ModemStats stats;
};

typedef struct _Mbim Mbim;

struct _ModemLink {
	Modem *modem;
	ModemSendFunc send;
	gpointer user;
	GByteArray *in;
	Mbim *mbim;		/* QMI, if there is any, is inside of it; NULL: QMUX as it is */
	GByteArray *(*cover)(ModemLink *link, const GByteArray *frame);	/* of a QMUX frame; NULL: none */
	gboolean stale;		/* of a modem before its reset; will be freed soon */
};

/* One request, taken apart, and the answer that grows beside it. */
struct _Request {
	Modem *modem;
	ModemLink *link;
	guint8 service, cid;
	guint16 transaction, message;
	IfppSpan tlvs;
	Client *client;		/* NULL for CTL */
	guint16 error;
	GByteArray *out;	/* TLVs after the result */
	gboolean silent;
	guint delay;
};

/* First TLV of a request with @type. */
gboolean request_tlv(const Request *req, guint8 type, IfppSpan *value);
/* Every TLV fits, and nothing is left over. */
gboolean request_tlvs_sound(IfppSpan tlvs);
/* A fixed-size argument; NULL, and the error set, when it is missing or of another size. */
const guint8 *request_argument(Request *req, guint8 type, gsize len);
/* The first argument of every card operation. FALSE: the error is set. */
gboolean request_slot_ready(Request *req);

/* NULL: no such service */
Service *modem_find_service(Modem *modem, guint8 id);
/* A whole QMUX frame from the modem. */
GByteArray *modem_frame(guint8 service, guint8 cid, guint8 sdu_flags, guint16 transaction,
			guint16 message, const GByteArray *tlvs);
/* A QMUX frame, in whatever covers it on this link. */
void modem_link_send(ModemLink *link, const GByteArray *frame);
/* As it is; a @delay in ms holds it back. */
void modem_link_send_raw(ModemLink *link, const GByteArray *message, guint delay);
/* The same, and what the fault @kind does to an answer. */
void modem_link_answer(ModemLink *link, const GByteArray *message, FaultKind kind, guint delay);
/*
 * What a fault does before the request is dealt with; @bytes: of it, that a fault may damage; @delay: of its answer, ms.
 * FALSE: the request is dealt with.
 */
gboolean modem_request_fault(Modem *modem, FaultKind kind, guint arg, guint8 *bytes, gsize len, guint *delay);
/* An indication of UIM to all clients that want it. */
void modem_indicate(Modem *modem, guint16 message, const GByteArray *tlvs,
		    gboolean (*wants)(const Client *client));
void modem_late_init(Modem *modem);
void modem_late_drop(ModemLink *link);	/* its answers that are held back */

/* The eUICC is in this physical slot, the others are empty. */
guint modem_chip_slot(const Modem *modem);
/* The card that QMI talks of is there, and has power. */
gboolean modem_card_present(const Modem *modem);
/* RAM of the modem: clients, and whatever it was waiting for. */
void modem_forget(Modem *modem);
void modem_chip_on(Modem *modem);

static inline guint16 get16(const guint8 *p)
{
	return p[0] | p[1] << 8;
}

static inline guint32 get32(const guint8 *p)
{
	return get16(p) | (guint32)get16(p + 2) << 16;
}

static inline void put8(GByteArray *out, guint8 v)
{
	g_byte_array_append(out, &v, 1);
}

static inline void put16(GByteArray *out, guint16 v)
{
	g_byte_array_append(out, (guint8[]){ v, v >> 8 }, 2);
}

static inline void put32(GByteArray *out, guint32 v)
{
	g_byte_array_append(out, (guint8[]){ v, v >> 8, v >> 16, v >> 24 }, 4);
}

static inline void put64(GByteArray *out, guint64 v)
{
	put32(out, v);
	put32(out, v >> 32);
}

static inline void put_lv8(GByteArray *out, const void *data, guint8 len)
{
	put8(out, len);
	if (len)
		g_byte_array_append(out, data, len);
}

static inline void put_tlv(GByteArray *out, guint8 type, const void *data, gsize len)
{
	put8(out, type);
	put16(out, len);
	if (len)
		g_byte_array_append(out, data, len);
}

/* Takes @value. */
static inline void put_tlv_array(GByteArray *out, guint8 type, GByteArray *value)
{
	put_tlv(out, type, value->data, value->len);
	g_byte_array_unref(value);
}

#endif
