/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lasting character of one modem and its chip, out of a file (Documentation/virtual-modem.rst, Quirks). */
#ifndef VMODEM_QUIRKS_H
#define VMODEM_QUIRKS_H

#include <glib.h>

/* All zero: none. */
typedef struct {
	/* [Modem] */
	gboolean mute;		/* it takes every message and answers none */
	gboolean no_slot_status;/* Get Slot Status is an unknown message */
	gboolean forward_cla;	/* the channel is what CLA says, not what QMI says */
	gboolean fetch_response;/* GET RESPONSE is sent by the modem */
	guint slots;		/* physical ones, the eUICC is in the last; 0: 1 */
	guint active_slot;	/* at power-up; 0: the eUICC's */
	guint uim_error;	/* QMI error of every UIM request; 0: none */
	gboolean no_uicc;	/* MBIM: no low-level UICC access */
	guint apdu_limit;	/* longest data of a command; 0: none */
	guint limit_error;	/* QMI error of a longer one; 0: the card's 6700 */
	guint status_every;	/* a STATUS of the modem's own before every N-th APDU; 0: never */
	/* [Chip] */
	gboolean strict_cla;	/* CLA must be of the command's kind, and of the channel */
	gboolean aid_only;	/* EnableProfile knows profiles by AID only */
	gboolean compact;	/* results and notifications are listed in compact form (SGP.32) */
	gboolean getcerts;	/* GetFactoryInfo has no certificates, GetCerts has (SGP.32) */
	guint chunk;		/* most bytes in one answer, the rest is 61xx; 0: 256 */
	guint proactive_every;	/* every N-th good answer ends with 91xx; 0: never */
	gboolean proactive_data;/* only answers with data are counted */
	guint install_ms;	/* how long the installation of a profile takes */
} Quirks;

/**
 * quirks_load() - read a quirk file
 * @path: a key file
 * @quirks: filled; what the file does not name is 0
 * @error: IFPP_ERROR_IO, ACCESS, TOO_LARGE; USAGE: a group, key or value that is not known
 */
gboolean quirks_load(const char *path, Quirks *quirks, GError **error);

#endif
