// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files of the enabled profile which a modem reads when a SIM comes up, out of its profile elements
 * (TCA profile package 2.3; TS 31.102 4.2). Transparent ones only.
 */
#include "modem-services.h"

#include <string.h>

#include "upp.h"

#define MF 0x3F00
#define ADF_USIM 0x7FFF
#define EF_ICCID 0x2FE2

static const struct {
	guint16 id;
	guint8 element;		/* tag of the profile element: usim or opt-usim */
	guint8 member;		/* number in it */
} files[] = {
	{ 0x6F07, IFPP_UPP_IMSI },
	{ 0x6F08, 0xB3, 5 },	/* Keys */
	{ 0x6F09, 0xB3, 6 },	/* KeysPS */
	{ 0x6F31, 0xB3, 7 },	/* HPPLMN */
	{ 0x6F38, 0xB3, 8 },	/* UST */
	{ 0x6F43, 0xB3, 12 },	/* SMSS */
	{ 0x6F46, 0xB3, 13 },	/* SPN */
	{ 0x6F56, 0xB3, 14 },	/* EST */
	{ 0x6F5B, 0xB3, 15 },	/* START-HFN */
	{ 0x6F5C, 0xB3, 16 },	/* THRESHOLD */
	{ 0x6F73, 0xB3, 17 },	/* PSLOCI */
	{ 0x6F78, 0xB3, 18 },	/* ACC */
	{ 0x6F7B, 0xB3, 19 },	/* FPLMN */
	{ 0x6F7E, 0xB3, 20 },	/* LOCI */
	{ 0x6FAD, 0xB3, 21 },	/* AD */
	{ 0x6FC4, 0xB3, 23 },	/* NETPAR */
	{ 0x6FE3, 0xB3, 24 },	/* EPSLOCI */
	{ 0x6F05, 0xB4, 2 },	/* LI */
	{ 0x6F3E, IFPP_UPP_GID1 },
	{ 0x6F3F, IFPP_UPP_GID2 },
	{ 0x6F60, 0xB4, 15 },	/* PLMNwAcT */
	{ 0x6F61, 0xB4, 16 },	/* OPLMNwAcT */
	{ 0x6F62, 0xB4, 17 },	/* HPLMNwAcT */
};

/* Contents of a file of the enabled profile; NULL: it has none such. */
static GByteArray *read_file(Modem *modem, guint16 df, guint16 id)
{
	IfppChipProfile *profile = chip_enabled(modem->chip);
	guint i;

	if (!profile)
		return NULL;
	if (df == MF && id == EF_ICCID)
		return g_byte_array_append(g_byte_array_new(), profile->iccid, sizeof(profile->iccid));
	for (i = 0; i < G_N_ELEMENTS(files) && files[i].id != id; i++)
		;
	if (df != ADF_USIM || i == G_N_ELEMENTS(files))
		return NULL;
	return ifpp_upp_file(ifpp_span_bytes(profile->upp), files[i].element, files[i].member);
}

/* The file a request names: session, then file id and path. NULL: the error is set, and the card's word. */
static GByteArray *named_file(Request *req, guint16 *id)
{
	GByteArray *content;
	IfppSpan value;

	if (!request_tlv(req, 0x01, &value) || !request_tlv(req, 0x02, &value)) {
		req->error = QMI_MISSING_ARGUMENT;
		return NULL;
	}
	if (value.len < 3 || value.data[2] != value.len - 3 || value.data[2] % 2) {
		req->error = QMI_MALFORMED;
		return NULL;
	}
	if (req->modem->sim_off) {
		req->error = QMI_NO_SIM;
		return NULL;
	}
	*id = get16(value.data);
	content = read_file(req->modem, value.data[2] ? get16(value.data + value.len - 2) : MF, *id);
	if (!content)
		req->error = QMI_SIM_FILE_NOT_FOUND;
	put_tlv(req->out, 0x10, content ? (guint8[]){ 0x90, 0x00 } : (guint8[]){ 0x6A, 0x82 }, 2);
	return content;
}

static void read_transparent(Request *req)
{
	const guint8 *range = request_argument(req, 0x03, 4);
	g_autoptr(GByteArray) content = NULL;
	GByteArray *value;
	guint16 id, offset, len;

	if (!range)
		return;
	content = named_file(req, &id);
	if (!content)
		return;
	offset = get16(range);
	len = get16(range + 2);
	if (offset > content->len || len > content->len - offset) {
		req->error = QMI_INVALID_ARGUMENT;
		return;
	}
	if (!len)
		len = content->len - offset;
	value = g_byte_array_new();
	put16(value, len);
	g_byte_array_append(value, content->data + offset, len);
	put_tlv_array(req->out, 0x11, value);
}

static void get_attributes(Request *req)
{
	g_autoptr(GByteArray) content = NULL;
	GByteArray *value;
	guint16 id;

	content = named_file(req, &id);
	if (!content)
		return;
	value = g_byte_array_new();
	put16(value, content->len);
	put16(value, id);
	put8(value, 0);			/* transparent */
	put16(value, 0);		/* no records */
	put16(value, 0);
	for (guint i = 0; i < 5; i++) {	/* read, write, increase, deactivate, activate: always */
		put8(value, 0);
		put16(value, 0);
	}
	put16(value, 0);		/* FCP: none */
	put_tlv_array(req->out, 0x11, value);
}

gboolean modem_files(Request *req)
{
	switch (req->message) {
	case 0x0020:
		read_transparent(req);
		return TRUE;
	case 0x0024:
		get_attributes(req);
		return TRUE;
	default:
		return FALSE;
	}
}
