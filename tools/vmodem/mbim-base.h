/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One MBIM command, taken apart, and the answer that grows beside it. All numbers are little-endian. */
#ifndef VMODEM_MBIM_BASE_H
#define VMODEM_MBIM_BASE_H

#include "modem-base.h"

enum {
	MBIM_OK = 0,
	MBIM_FAILURE = 2,
	MBIM_SIM_NOT_INSERTED = 3,
	MBIM_NO_DEVICE_SUPPORT = 9,
	MBIM_NOT_INITIALIZED = 14,
	MBIM_INVALID_PARAMETERS = 21,
	MBIM_PARAMETER_TOO_LONG = 26,
	MBIM_NO_LOGICAL_CHANNELS = 0x87430001,
	MBIM_SELECT_FAILED = 0x87430002,
	MBIM_INVALID_LOGICAL_CHANNEL = 0x87430003,
};

typedef struct {
	Modem *modem;
	ModemLink *link;
	guint32 transaction, cid;
	gboolean set;		/* else a query */
	IfppSpan info;
	guint32 status;
	GByteArray *out;	/* information buffer of the answer */
	gboolean silent;
	guint delay;		/* ms */
} MbimCommand;

/* @index-th number of the information buffer. FALSE: too short, and the status is set. */
gboolean mbim_number(MbimCommand *command, guint index, guint32 *value);
/* Bytes whose size, and then offset, are the numbers at @index; none if the size is 0. FALSE: as above. */
gboolean mbim_bytes(MbimCommand *command, guint index, IfppSpan *bytes);
/* Append, and make up to four bytes. */
void mbim_put_bytes(GByteArray *out, const void *data, gsize len);

/* mbim-uicc.c: Microsoft's low-level UICC access */
void mbim_uicc(MbimCommand *command);
/* mbim-slots.c: what there is of Microsoft's extensions of basic connectivity */
void mbim_slots(MbimCommand *command);

#endif
