// SPDX-License-Identifier: GPL-2.0-or-later
/* MBIM 1.0: messages, services, basic connectivity as far as it describes the device, and QMI inside. */
#include "mbim-base.h"
#include "modem-services.h"

#include <string.h>

#define HEADER 12		/* type, length, transaction */
#define COMMAND_HEADER 48	/* and two numbers of the fragment, UUID, CID, kind, length */
#define MESSAGE_MAX 4096	/* one fragment */

enum {
	OPEN = 1,
	CLOSE = 2,
	COMMAND = 3,
	DONE = 0x80000000,	/* of each of them */
	FUNCTION_ERROR = 0x80000004,
	INDICATE_STATUS = 0x80000007,
};

enum {
	ERROR_FRAGMENT = 2,
	ERROR_LENGTH = 3,
	ERROR_NOT_OPENED = 5,
	ERROR_UNKNOWN = 6,
};

/* A command whose QMI response is still to come. */
typedef struct {
	guint32 transaction;
	guint8 service, cid;
	guint16 qmi;		/* QMI's transaction */
} Waiting;

struct _Mbim {
	ModemLink *link;
	gboolean (*qmux)(ModemLink *link, const guint8 *data, gsize len);
	GByteArray *in;
	gboolean opened;
	GArray *waiting;
};

typedef struct {
	guint8 uuid[16];
	guint32 cids[8];
	guint32 n_cids;
	void (*handle)(MbimCommand *command);
} MbimServiceKind;

static void basic_connect(MbimCommand *command);
static void qmi(MbimCommand *command);

static const MbimServiceKind kinds[] = {
	{ { 0xA2, 0x89, 0xCC, 0x33, 0xBC, 0xBB, 0x8B, 0x4F, 0xB6, 0xB0, 0x13, 0x3E, 0xC2, 0xAA, 0xE6, 0xDF },
	  { 1, 16, 19 }, 3, basic_connect },
	{ { 0x3D, 0x01, 0xDC, 0xC5, 0xFE, 0xF5, 0x4D, 0x05, 0x0D, 0x3A, 0xBE, 0xF7, 0x05, 0x8E, 0x9A, 0xAF },
	  { 5, 7, 8 }, 3, mbim_slots },
	{ { 0xC2, 0xF6, 0x58, 0x8E, 0xF0, 0x37, 0x4B, 0xC9, 0x86, 0x65, 0xF4, 0xD4, 0x4B, 0xD0, 0x93, 0x67 },
	  { 1, 2, 3, 4, 5, 6 }, 6, mbim_uicc },
	{ { 0xD1, 0xA3, 0x0B, 0xC2, 0xF9, 0x7A, 0x6E, 0x43, 0xBF, 0x65, 0xC7, 0xE2, 0x4F, 0xB0, 0xF0, 0xD3 },
	  { 1 }, 1, qmi },
};

#define KIND_QMI (&kinds[3])

static gboolean offered(const Modem *modem, const MbimServiceKind *kind)
{
	if (kind->handle == qmi)
		return modem->protocol == MODEM_MBIM_QMI;
	return kind->handle != mbim_uicc || !modem->quirks.no_uicc;
}

/* ------------------------------------------------------------------ information buffers */

gboolean mbim_number(MbimCommand *command, guint index, guint32 *value)
{
	if (command->info.len < (index + 1) * 4) {
		command->status = MBIM_INVALID_PARAMETERS;
		return FALSE;
	}
	*value = get32(command->info.data + index * 4);
	return TRUE;
}

gboolean mbim_bytes(MbimCommand *command, guint index, IfppSpan *bytes)
{
	guint32 size, offset;

	*bytes = (IfppSpan){ NULL, 0 };
	if (!mbim_number(command, index, &size) || !mbim_number(command, index + 1, &offset))
		return FALSE;
	if (!size)
		return TRUE;
	if (offset > command->info.len || size > command->info.len - offset) {
		command->status = MBIM_INVALID_PARAMETERS;
		return FALSE;
	}
	*bytes = (IfppSpan){ command->info.data + offset, size };
	return TRUE;
}

void mbim_put_bytes(GByteArray *out, const void *data, gsize len)
{
	if (len)
		g_byte_array_append(out, data, len);
	while (out->len % 4)
		put8(out, 0);
}

/* ------------------------------------------------------------------ out */

static GByteArray *message(guint32 type, guint32 transaction)
{
	GByteArray *out = g_byte_array_new();

	put32(out, type);
	put32(out, 0);
	put32(out, transaction);
	return out;
}

static void finish(GByteArray *out)
{
	out->data[4] = out->len;
	out->data[5] = out->len >> 8;
}

static void answer_number(Mbim *mbim, guint32 type, guint32 transaction, guint32 number, FaultKind kind, guint delay)
{
	g_autoptr(GByteArray) out = message(type, transaction);

	put32(out, number);
	finish(out);
	modem_link_answer(mbim->link, out, kind, delay);
}

/* COMMAND_DONE, or without @status an indication. */
static GByteArray *command_message(guint32 type, guint32 transaction, const MbimServiceKind *service, const guint8 *uuid,
				   guint32 cid, const guint32 *status, const guint8 *info, gsize len)
{
	GByteArray *out = message(type, transaction);

	put32(out, 1);		/* one fragment, the first */
	put32(out, 0);
	g_byte_array_append(out, service ? service->uuid : uuid, 16);
	put32(out, cid);
	if (status)
		put32(out, *status);
	put32(out, len);
	if (len)
		g_byte_array_append(out, info, len);
	finish(out);
	return out;
}

/* A QMUX frame goes out: as the answer to the command that its request came in, else as an indication. */
static GByteArray *cover(ModemLink *link, const GByteArray *frame)
{
	Mbim *mbim = link->mbim;
	guint8 service = frame->data[4], cid = frame->data[5];
	guint16 transaction = service == SERVICE_CTL ? frame->data[QMUX_HEADER + 1] : get16(frame->data + QMUX_HEADER + 1);
	const guint32 ok = MBIM_OK;

	for (guint i = 0; i < mbim->waiting->len; i++) {
		Waiting one = g_array_index(mbim->waiting, Waiting, i);

		if (one.service != service || one.cid != cid || one.qmi != transaction)
			continue;
		g_array_remove_index(mbim->waiting, i);
		return command_message(COMMAND | DONE, one.transaction, KIND_QMI, NULL, 1, &ok, frame->data, frame->len);
	}
	return command_message(INDICATE_STATUS, 0, KIND_QMI, NULL, 1, NULL, frame->data, frame->len);
}

/* ------------------------------------------------------------------ basic connectivity, and QMI */

/* Where a text is to stand, behind @fixed bytes; UTF-16. */
static void put_text(GByteArray *out, GByteArray *data, guint fixed, const char *text)
{
	gsize len = text ? strlen(text) : 0;

	put32(out, len ? fixed + data->len : 0);
	put32(out, len * 2);
	for (gsize i = 0; i < len; i++)
		put16(data, (guint8)text[i]);
	mbim_put_bytes(data, NULL, 0);
}

static void device_caps(MbimCommand *command)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	char imei[16] = "";

	if (chip_powered(command->modem->chip))
		modem_imei(command->modem, imei);
	put32(command->out, 1);		/* embedded */
	put32(command->out, 1);		/* GSM */
	put32(command->out, 1);		/* no voice */
	put32(command->out, 2);		/* removable SIM */
	put32(command->out, 0x3F);	/* GPRS to LTE */
	put32(command->out, 3);		/* SMS: receive, send */
	put32(command->out, 1);		/* controls: manual registration */
	put32(command->out, 1);		/* sessions */
	put_text(command->out, data, 64, NULL);
	put_text(command->out, data, 64, imei);
	put_text(command->out, data, 64, modem_revision());
	put_text(command->out, data, 64, modem_model());
	mbim_put_bytes(command->out, data->data, data->len);
}

static void device_services(MbimCommand *command)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	guint32 count = 0, fixed = 8;

	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
		count += offered(command->modem, &kinds[i]);
	fixed += count * 8;
	put32(command->out, count);
	put32(command->out, 0);		/* no data streams */
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (!offered(command->modem, &kinds[i]))
			continue;
		put32(command->out, fixed + data->len);
		put32(command->out, 28 + kinds[i].n_cids * 4);
		g_byte_array_append(data, kinds[i].uuid, 16);
		put32(data, 0);
		put32(data, 0);
		put32(data, kinds[i].n_cids);
		for (guint cid = 0; cid < kinds[i].n_cids; cid++)
			put32(data, kinds[i].cids[cid]);
	}
	mbim_put_bytes(command->out, data->data, data->len);
}

static void basic_connect(MbimCommand *command)
{
	if (command->cid == 1 && !command->set)
		device_caps(command);
	else if (command->cid == 16 && !command->set)
		device_services(command);
	else if (command->cid == 19 && command->set)	/* whoever subscribes gets the same list back */
		mbim_put_bytes(command->out, command->info.data, command->info.len);
	else
		command->status = MBIM_NO_DEVICE_SUPPORT;
}

static void qmi(MbimCommand *command)
{
	Mbim *mbim = command->link->mbim;
	const guint8 *frame = command->info.data;
	gsize head = QMUX_HEADER + 3;
	Waiting one = { .transaction = command->transaction };

	if (!command->set || command->info.len < head || frame[0] != 0x01 || get16(frame + 1) + 1u != command->info.len) {
		command->status = MBIM_INVALID_PARAMETERS;
		return;
	}
	one.service = frame[4];
	one.cid = frame[5];
	one.qmi = one.service == SERVICE_CTL ? frame[QMUX_HEADER + 1] : get16(frame + QMUX_HEADER + 1);
	g_array_append_val(mbim->waiting, one);
	command->silent = TRUE;		/* the answer is QMI's */
	mbim->qmux(command->link, frame, command->info.len);
}

/* ------------------------------------------------------------------ in */

static void run_command(Mbim *mbim, const guint8 *data, gsize len, FaultKind kind, guint arg, guint delay)
{
	MbimCommand command = { .modem = mbim->link->modem, .link = mbim->link, .transaction = get32(data + 8), .delay = delay };
	const MbimServiceKind *service = NULL;
	const guint8 *uuid = data + HEADER + 8;

	if (get32(data + HEADER) != 1 || get32(data + HEADER + 4) != 0) {
		answer_number(mbim, FUNCTION_ERROR, command.transaction, ERROR_FRAGMENT, kind, delay);
		return;
	}
	if (get32(data + COMMAND_HEADER - 4) != len - COMMAND_HEADER) {
		answer_number(mbim, FUNCTION_ERROR, command.transaction, ERROR_LENGTH, kind, delay);
		return;
	}
	command.cid = get32(uuid + 16);
	command.set = get32(uuid + 20) == 1;
	command.info = (IfppSpan){ data + COMMAND_HEADER, len - COMMAND_HEADER };
	command.out = g_byte_array_new();
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (!memcmp(kinds[i].uuid, uuid, 16) && offered(command.modem, &kinds[i]))
			service = &kinds[i];
	if (kind == FAULT_ERROR)
		command.status = arg;
	else if (!service)
		command.status = MBIM_NO_DEVICE_SUPPORT;
	else
		service->handle(&command);
	if (!command.silent) {
		g_autoptr(GByteArray) out = NULL;

		if (command.status)
			g_byte_array_set_size(command.out, 0);
		out = command_message(COMMAND | DONE, command.transaction, NULL, uuid, command.cid, &command.status,
				      command.out->data, command.out->len);
		modem_link_answer(command.link, out, kind, command.delay + wire_take_delay(&command.modem->wire));
	}
	g_byte_array_unref(command.out);
}

static void handle_message(Mbim *mbim, const guint8 *data, gsize len)
{
	Modem *modem = mbim->link->modem;
	g_autofree guint8 *copy = g_memdup2(data, len);
	guint32 type = get32(data), transaction = get32(data + 8);
	FaultKind kind;
	guint arg = 0, delay = 0;

	if (modem->hung || mbim->link->stale)
		return;
	modem->stats.mbim_messages++;
	if (modem->quirks.mute)
		return;
	kind = faults_next(modem->faults, FAULT_AT_MBIM, &arg);
	/* To damage: what follows the transaction; CLOSE has nothing more. */
	if (!modem_request_fault(modem, kind, arg, len > HEADER ? copy + HEADER : copy + 8, len > HEADER ? len - HEADER : 4, &delay))
		return;
	if (type == OPEN && len == HEADER + 4) {
		mbim->opened = TRUE;
		g_array_set_size(mbim->waiting, 0);
		answer_number(mbim, OPEN | DONE, transaction, kind == FAULT_ERROR ? arg : MBIM_OK, kind, delay);
	} else if (!mbim->opened && type <= COMMAND) {
		answer_number(mbim, FUNCTION_ERROR, transaction, ERROR_NOT_OPENED, kind, delay);
	} else if (type == CLOSE) {
		mbim->opened = FALSE;
		answer_number(mbim, CLOSE | DONE, transaction, kind == FAULT_ERROR ? arg : MBIM_OK, kind, delay);
	} else if (type == COMMAND && len >= COMMAND_HEADER) {
		run_command(mbim, copy, len, kind, arg, delay);
	} else {
		answer_number(mbim, FUNCTION_ERROR, transaction, ERROR_UNKNOWN, kind, delay);
	}
}

gboolean mbim_receive(Mbim *mbim, const guint8 *data, gsize len)
{
	gsize used = 0;

	g_byte_array_append(mbim->in, data, len);
	while (mbim->in->len - used >= HEADER) {
		const guint8 *one = mbim->in->data + used;
		guint32 one_len = get32(one + 4);

		if (one_len < HEADER || one_len > MESSAGE_MAX) {
			g_byte_array_set_size(mbim->in, 0);
			return FALSE;
		}
		if (mbim->in->len - used < one_len)
			break;
		handle_message(mbim, one, one_len);
		used += one_len;
	}
	if (used)
		g_byte_array_remove_range(mbim->in, 0, used);
	return TRUE;
}

/* ------------------------------------------------------------------ life */

Mbim *mbim_new(ModemLink *link, gboolean (*qmux)(ModemLink *link, const guint8 *data, gsize len))
{
	Mbim *mbim = g_new0(Mbim, 1);

	mbim->link = link;
	mbim->qmux = qmux;
	mbim->in = g_byte_array_new();
	mbim->waiting = g_array_new(FALSE, FALSE, sizeof(Waiting));
	link->cover = cover;
	return mbim;
}

void mbim_free(Mbim *mbim)
{
	g_byte_array_unref(mbim->in);
	g_array_unref(mbim->waiting);
	g_free(mbim);
}
