// SPDX-License-Identifier: GPL-2.0-or-later
/* QMI DMS: what the modem is, and whether it is on. */
#include "modem-services.h"

#include <string.h>

#include "eid.h"

/* A test TAC, eight digits of the EID, Luhn digit: stable per chip. */
void modem_imei(const Modem *modem, char imei[16])
{
	char digits[IFPP_EID_DIGITS + 1];

	ifpp_eid_format(chip_memory(modem->chip)->eid, digits);
	memcpy(imei, "001012", 6);
	memcpy(imei + 6, digits + 22, 8);
	imei[14] = '\0';
	imei[14] = ifpp_luhn(imei);
	imei[15] = '\0';
}

const char *modem_model(void)
{
	return "Virtual EC25";
}

const char *modem_revision(void)
{
	return "ifpp-vmodem " IFPP_VERSION;
}

static void dms_ids(Request *req)
{
	char imei[16];

	if (!chip_powered(req->modem->chip)) {
		req->error = QMI_DEVICE_NOT_READY;
		return;
	}
	modem_imei(req->modem, imei);
	put_tlv(req->out, 0x10, "0", 1);
	put_tlv(req->out, 0x11, imei, 15);
}

static void dms_capabilities(Request *req)
{
	GByteArray *value = g_byte_array_new();

	put32(value, 50000000);		/* up, down, bit/s */
	put32(value, 150000000);
	put8(value, 1);			/* data service: non-simultaneous CS and PS */
	put8(value, 2);			/* a SIM is supported */
	put8(value, 3);			/* GSM, UMTS, LTE */
	put8(value, 4);
	put8(value, 5);
	put8(value, 8);
	put_tlv_array(req->out, 0x01, value);
}

/* As an EC25-E has them. */
static void dms_bands(Request *req)
{
	GByteArray *bands = g_byte_array_new(), *lte = g_byte_array_new();

	put64(bands, MODEM_BANDS);
	put64(lte, MODEM_BANDS_LTE);
	put_tlv_array(req->out, 0x01, bands);
	put_tlv_array(req->out, 0x10, lte);
}

static gboolean reset_now(gpointer user)
{
	modem_reset(user);
	return G_SOURCE_REMOVE;
}

static void dms_set_mode(Request *req)
{
	const guint8 *arg = request_argument(req, 0x01, 1);

	if (!arg)
		return;
	if (arg[0] > 7) {	/* mode-only low power */
		req->error = QMI_INVALID_ARGUMENT;
		return;
	}
	/* 4 is reset: the answer goes out first. */
	if (arg[0] == 4 && !req->modem->refresh_source)
		req->modem->refresh_source = g_idle_add(reset_now, req->modem);
	else
		req->modem->mode = arg[0];
}

static void put_text(Request *req, const char *text)
{
	put_tlv(req->out, 0x01, text, strlen(text));
}

void modem_dms(Request *req)
{
	switch (req->message) {
	case 0x0000:	/* Reset */
	case 0x0001:	/* Set Event Report */
		break;
	case 0x0020:
		dms_capabilities(req);
		break;
	case 0x0021:
		put_text(req, "IFPP project");
		break;
	case 0x0022:
		put_text(req, modem_model());
		break;
	case 0x0023:
		put_text(req, modem_revision());
		break;
	case 0x0025:
		dms_ids(req);
		break;
	case 0x002C:
		put_text(req, "10000");
		break;
	case 0x002D:
		put_tlv(req->out, 0x01, &req->modem->mode, 1);
		break;
	case 0x002E:
		dms_set_mode(req);
		break;
	case 0x0027:	/* Set PIN Protection, Verify PIN, Unblock PIN, Change PIN, Get PIN Status */
	case 0x0028:
	case 0x0029:
	case 0x002A:
	case 0x002B:
	case 0x003C:	/* Get ICCID */
	case 0x0040:	/* Get CK Status, Set CK Protection, Unblock CK */
	case 0x0041:
	case 0x0042:
	case 0x0043:	/* Get IMSI */
	case 0x0044:	/* Get UIM State */
		req->error = QMI_NOT_SUPPORTED;	/* UIM has all that, and an EC25-E says so */
		break;
	case 0x0045:
		dms_bands(req);
		break;
	case 0x0051:
		put_text(req, modem_revision());
		break;
	default:
		req->error = QMI_INVALID_COMMAND;
	}
}
