/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a card takes: characters on its wire (ISO 7816-3), the modem's part in every APDU, and
 * what the chip does meanwhile. Always counted; waited for only when asked.
 */
#ifndef VMODEM_WIRE_H
#define VMODEM_WIRE_H

#include "chip.h"

typedef struct {
	gboolean t1;			/* T=1; else T=0 */
	guint pps;			/* PPS1: Fi in the high, Di in the low half */
	guint clock_khz;		/* of the card */
	guint apdu_us;			/* host, port and firmware, for one APDU */
	guint sign_us, verify_us;	/* ECDSA P-256 */
	guint point_us;			/* one point multiplication: ECDH, or the making of a key pair */
	guint cipher_ns, nvm_ns;	/* for one byte: AES, non-volatile memory */
	gboolean wait;			/* the modem answers as late as this makes it */
} WireModel;

/* Sums since the beginning. */
typedef struct {
	guint64 wire_ns, apdu_ns, chip_ns;
} WireTime;

typedef struct {
	WireModel model;
	WireTime time;
	guint64 pending_ns;		/* counted, not yet waited for */
	gint64 busy_until;		/* monotonic, us */
} Wire;

/* Measured on real cards; Documentation/virtual-modem.rst has the sources. Does not wait. */
extern const WireModel wire_default;

/**
 * wire_parse() - a model out of text: words and KEY=VALUE, separated by commas
 * @text: "t0", "t1", "default", "count" (do not wait); pps (hex), clock (kHz), apdu, sign, verify, point (us),
 *	cipher, nvm (ns a byte)
 * @model: filled; what @text does not name is as in wire_default, but waits
 * @error: IFPP_ERROR_USAGE
 */
gboolean wire_parse(const char *text, WireModel *model, GError **error);

/* One exchange on the wire, without what the chip does meanwhile; lengths with header and status word. */
guint64 wire_characters_ns(const WireModel *model, IfppSpan apdu, gsize response_len);
/* Count one exchange; @response NULL: the chip went dark. */
void wire_exchange(Wire *wire, IfppSpan apdu, const GByteArray *response, const ChipStats *before,
		   const ChipStats *after);
/* How many ms the answer to what was counted since the last call has to wait. */
guint wire_take_delay(Wire *wire);

#endif
